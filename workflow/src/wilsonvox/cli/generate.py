"""`wilsonvox generate`: events of the model."""

import logging
from pathlib import Path

import click

from wilsonvox.points import SPLITS


@click.command()
@click.option("--point", required=True, help="Shifts as a point label, such as c9_-0.90.")
@click.option("--events", required=True, type=click.IntRange(min=1), help="Events, before any cut.")
@click.option("--seed", required=True, type=click.IntRange(min=0), help="The run's seed.")
@click.option(
    "--split",
    type=click.Choice(SPLITS),
    default="train",
    show_default=True,
    help="Use of the campaign; keys the random numbers.",
)
@click.option(
    "--campaign",
    default="000",
    show_default=True,
    help="Three digits; keys the random numbers.",
)
@click.option(
    "--coefficients",
    type=click.Path(path_type=Path),
    help="Table of 'wilsonvox coefficients' (.npz); computed where not given.",
)
@click.option(
    "--physics-inputs",
    default="evtgen-btosllnpr",
    show_default=True,
    help="Set of Standard-Model inputs, where no table is given.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="ROOT file to write.")
def command(
    point: str,
    events: int,
    seed: int,
    split: str,
    campaign: str,
    coefficients: Path | None,
    physics_inputs: str,
    out: Path,
) -> None:
    """Generate B0 → K*0 μ+ μ− events, over the full q2 range.

    Writes the TTree 'events' with q2 [GeV²], cos_theta_mu, cos_theta_k, chi [rad, 0 to 2π],
    m_kpi [GeV] and flavour (+1 for B0), at generator level.
    """
    from wilsonvox.errors import UserError
    from wilsonvox.events import EventMetadata, write_events
    from wilsonvox.points import parse_point, shift_vector
    from wilsonvox.provenance import make_record
    from wilsonvox.sampling import Stream, generate
    from wilsonvox.theory import AngularCoefficients, tabulate_by_name

    shifts = parse_point(point)
    if not (len(campaign) == 3 and campaign.isdigit()):
        raise UserError(f"--campaign {campaign}: three digits are needed, such as 000")
    table = (
        tabulate_by_name(physics_inputs)
        if coefficients is None
        else AngularCoefficients.load(coefficients)
    )
    metadata = EventMetadata(
        origin="generated",
        point=point,
        shifts=shifts,
        split=split,
        campaign=campaign,
        physics_inputs=table.inputs.name,
    )
    settings = {
        "point": point,
        "split": split,
        "campaign": campaign,
        "events": events,
        "physics_inputs": table.inputs.name,
    }
    inputs = [] if coefficients is None else [coefficients]
    record = make_record("generate_events", out, settings, inputs, seed=seed)
    stream = Stream(seed, point, split, int(campaign))
    written = write_events(
        out, generate(table, shift_vector(shifts), events, stream), metadata, record
    )
    logging.info("%s: %d B0 events at %s (generator level)", out, written, point)
