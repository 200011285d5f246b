"""`wilsonvox plot`: one subcommand a figure; each writes it as PDF and as PNG."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from wilsonvox.cli.plot.global_fit import GLOBAL_FIT_FIGURES
from wilsonvox.cli.plot.outputs import FILE, outputs, write
from wilsonvox.theory.points import PARAMETERS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_coefficient = click.option(
    "--coefficient",
    type=click.Choice(PARAMETERS),
    default="c9",
    show_default=True,
    help="Which shift δC_i (dimensionless).",
)


_summaries = click.option(
    "--summary",
    "summaries",
    required=True,
    multiple=True,
    type=FILE,
    help="Summary of an estimator (.parquet); give all that are to be compared.",
)


@click.group(no_args_is_help=False)
def command() -> None:
    """Draw one figure, as PDF and as PNG, with its provenance record inside both."""


@command.command()
@outputs
def topology(pdf: Path, png: Path) -> None:
    """Decay planes and the angles θ_μ, θ_K and χ."""
    from wilsonvox.figures.topology import draw

    write("topology", pdf, png, draw)


@command.command()
@click.option(
    "--events",
    required=True,
    multiple=True,
    type=FILE,
    help="Event file (.root) of one point; give it several times to compare.",
)
@click.option(
    "--q2-min",
    "--q2-min-gev2",
    "q2_min",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="Lower cut on q2 [GeV²].",
)
@click.option(
    "--q2-max",
    "--q2-max-gev2",
    "q2_max",
    type=click.FloatRange(min=0, min_open=True),
    default=6.0,
    show_default=True,
    help="Upper cut on q2 [GeV²].",
)
@click.option(
    "--flavour",
    type=click.Choice(["B0", "B0bar", "both"]),
    default="B0",
    show_default=True,
    help="Flavour that is drawn; both: together, with the angles of their own decays.",
)
@outputs
def distributions(
    events: tuple[Path, ...], q2_min: float, q2_max: float, flavour: str, pdf: Path, png: Path
) -> None:
    """Distributions of the four variables at several points."""
    from wilsonvox.core.errors import UserError
    from wilsonvox.events.event_file import read_metadata
    from wilsonvox.figures.distributions import draw, read

    if q2_min >= q2_max:
        raise UserError(f"--q2-min: {q2_min:g} GeV2 is not below --q2-max, {q2_max:g} GeV2")

    def make() -> "Figure":
        files = [read(path, (q2_min, q2_max), flavour) for path in events]
        inputs = {read_metadata(path).physics_inputs for path in events} - {None}
        return draw(files, ", ".join(sorted(str(name) for name in inputs)))

    settings = {"q2_gev2": [q2_min, q2_max], "flavour": flavour}
    write("distributions", pdf, png, make, events, settings)


@command.command()
@click.option(
    "--shard",
    "shards",
    required=True,
    multiple=True,
    type=FILE,
    help="Shard of voxel images (.npz) of one point; give it several times to compare.",
)
@click.option(
    "--image-index",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Which image of each shard, counted from 0.",
)
@outputs
def voxels(shards: tuple[Path, ...], image_index: int, pdf: Path, png: Path) -> None:
    """Voxel images in 3D, coloured by mean q²."""
    from wilsonvox.figures.labels import note_text
    from wilsonvox.figures.voxels import draw, take_image
    from wilsonvox.voxels.shards import Shard

    def make() -> "Figure":
        loaded = [Shard.load(path) for path in shards]
        images = [
            take_image(shard, image_index, path.stem)
            for shard, path in zip(loaded, shards, strict=True)
        ]
        notes = {note_text(shard.metadata.image, shard.metadata.physics_inputs) for shard in loaded}
        return draw(images, notes.pop() if len(notes) == 1 else "")

    write("voxels", pdf, png, make, shards, {"image_index": image_index})


@command.command()
@click.option("--model", required=True, type=FILE, help="Trained network (.keras).")
@click.option(
    "--max-layers",
    type=click.IntRange(min=8),
    default=36,
    show_default=True,
    help="Draw at most so many layers: the first blocks and the head.",
)
@click.option("--title", default="", help="Name of the network, written above it.")
@outputs
def network(model: Path, max_layers: int, title: str, pdf: Path, png: Path) -> None:
    """Layers of a network, their shapes and skip connections."""
    from wilsonvox.figures.network import draw, read

    write(
        "network",
        pdf,
        png,
        lambda: draw(read(model), max_layers, title),
        [model],
        {"max_layers": max_layers, "title": title},
    )


@command.command()
@click.option("--history", required=True, type=FILE, help="Training history (.csv).")
@click.option("--model", default="", metavar="LABEL", help="Name of the network, for the legend.")
@click.option(
    "--loss", type=click.Choice(["mae", "mse"]), help="Name of the loss function, for the axis."
)
@outputs
def training(history: Path, model: str, loss: str | None, pdf: Path, png: Path) -> None:
    """Loss, validation loss and learning rate of each epoch."""
    from wilsonvox.figures.training import draw, read_history

    write(
        "training",
        pdf,
        png,
        lambda: draw(read_history(history), model, loss or ""),
        [history],
        {"model": model, "loss": loss},
    )


@command.command()
@click.option(
    "--predictions",
    required=True,
    multiple=True,
    type=FILE,
    help="Predictions (.parquet) of one point; give it several times, one panel a point.",
)
@_coefficient
@outputs
def histograms(predictions: tuple[Path, ...], coefficient: str, pdf: Path, png: Path) -> None:
    """Histograms of predictions, with mean, σ_L and σ_R."""
    from wilsonvox.figures.histograms import draw, read
    from wilsonvox.figures.labels import image_text

    def make() -> "Figure":
        ensembles, metadata = read(predictions, coefficient)
        return draw(ensembles, image_text(metadata.image), metadata.physics_inputs or "")

    write("histograms", pdf, png, make, predictions, {"coefficient": coefficient})


@command.command()
@click.option("--summary", required=True, type=FILE, help="Summary of an estimator (.parquet).")
@click.option(
    "--scaled/--unscaled",
    default=True,
    show_default=True,
    help="Error bars σ/√N, N the images of a point, or σ of one image.",
)
@click.option(
    "--ensembles",
    type=click.Choice(["mean", "gaussian"]),
    default="mean",
    show_default=True,
    help="What is drawn of a point's images: mean with σ_L and σ_R, or mean and σ of a Gaussian "
    "fitted to them.",
)
@_coefficient
@outputs
def linearity(
    summary: Path,
    scaled: bool,
    ensembles: Literal["mean", "gaussian"],
    coefficient: str,
    pdf: Path,
    png: Path,
) -> None:
    """Mean prediction against the true value, and the bias below."""
    from wilsonvox.figures.linearity import draw
    from wilsonvox.figures.summaries import read

    write(
        "linearity" if scaled else "linearity_unscaled",
        pdf,
        png,
        lambda: draw(read(summary, coefficient), scaled, ensembles),
        [summary],
        {"scaled": scaled, "ensembles": ensembles, "coefficient": coefficient},
    )


@command.command()
@_summaries
@_coefficient
@outputs
def sensitivity(summaries: tuple[Path, ...], coefficient: str, pdf: Path, png: Path) -> None:
    """σ of one image beside the Cramér-Rao bound."""
    from wilsonvox.figures.sensitivity import draw
    from wilsonvox.figures.summaries import read

    write(
        "sensitivity",
        pdf,
        png,
        lambda: draw([read(path, coefficient) for path in summaries]),
        summaries,
        {"coefficient": coefficient},
    )


@command.command()
@_summaries
@click.option(
    "--point",
    "points",
    required=True,
    multiple=True,
    metavar="LABEL",
    help="Point to show, such as c9_-0.90; give it several times, one panel a point.",
)
@_coefficient
@outputs
def luminosity(
    summaries: tuple[Path, ...], points: tuple[str, ...], coefficient: str, pdf: Path, png: Path
) -> None:
    """σ·√N of images of several numbers of events N, beside the Cramér-Rao bound."""
    from wilsonvox.figures.luminosity import draw
    from wilsonvox.figures.summaries import read

    write(
        "luminosity",
        pdf,
        png,
        lambda: draw([read(path, coefficient) for path in summaries], points),
        summaries,
        {"coefficient": coefficient, "points": list(points)},
    )


@command.command()
@click.option(
    "--information",
    "information_path",
    required=True,
    type=FILE,
    help="What 'wilsonvox information' wrote (.json).",
)
@outputs
def information(information_path: Path, pdf: Path, png: Path) -> None:
    """Least σ by what an image keeps of the events, in units of the Cramér–Rao bound."""
    from wilsonvox.figures.information import draw, read

    write("information", pdf, png, lambda: draw(read(information_path)), [information_path])


@command.command()
@click.option(
    "--scan",
    "scan_path",
    required=True,
    type=FILE,
    help="What 'wilsonvox scan collect' wrote (.json).",
)
@outputs
def scan(scan_path: Path, pdf: Path, png: Path) -> None:
    """Errors of a scan's trials, one after the other and against each scanned setting."""
    from wilsonvox.figures.scan import draw, read

    write("scan", pdf, png, lambda: draw(read(scan_path)), [scan_path])


@command.command()
@click.option(
    "--measurement",
    "measurements",
    required=True,
    multiple=True,
    type=FILE,
    help="Measurement of a sample by one estimator (.json); give it several times to compare "
    "estimators.",
)
@outputs
def corner(measurements: tuple[Path, ...], pdf: Path, png: Path) -> None:
    """Shifts that were measured together, with 68 % and 95 % regions."""
    from wilsonvox.figures.corner import draw, read

    write("corner", pdf, png, lambda: draw([read(path) for path in measurements]), measurements)


for _figure in GLOBAL_FIT_FIGURES:
    command.add_command(_figure)
