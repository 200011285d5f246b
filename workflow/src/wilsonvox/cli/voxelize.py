"""`wilsonvox voxelize`: bin events into voxel images."""

import logging
from pathlib import Path
from typing import Any

import click

from wilsonvox.cli.options import model_from, options_from
from wilsonvox.voxels.specification import ImageSpecification


@click.command()
@click.option(
    "--events",
    required=True,
    type=click.Path(path_type=Path),
    help="Event file, generated or ingested (.root).",
)
@options_from(ImageSpecification)
@click.option(
    "--images",
    type=click.IntRange(min=1),
    help="Number of images to make.  [default: as many as the events allow]",
)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Shard to write (.npz)."
)
def command(events: Path, images: int | None, out: Path, **values: Any) -> None:
    """Bin events into sparse voxel images: mean q2 [GeV²] and counts in bins of the angles."""
    from wilsonvox.provenance.recording import make_record
    from wilsonvox.voxels.binning import voxelize_file

    image = model_from(ImageSpecification, values)
    shard = voxelize_file(events, image, images)
    settings = {"image": image.model_dump(mode="json"), "images": images}
    shard.save(out, make_record("voxelize", out, settings, [events], embed_inputs=True))
    made = shard.metadata
    cut = ", ".join(f"{number} {reason}" for reason, number in made.n_events_cut.items())
    logging.info(
        "%s: %d images of %d events from %d events%s; %d left over",
        out,
        len(shard),
        image.events_per_image,
        made.n_events_in_file,
        f" ({cut})" if cut else "",
        made.n_events_left_over,
    )
