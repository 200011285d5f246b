"""`wilsonvox generate`: generate events of the decay model."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from wilsonvox.cli.options import decay_options
from wilsonvox.core.errors import UserError
from wilsonvox.theory.points import SPLITS

if TYPE_CHECKING:
    from wilsonvox.events.generation.four_momenta import Frame
    from wilsonvox.theory.model import AntiparticleShifts, DecayModel, Lepton


def _refuse_other_decay(table: Path, model: "DecayModel") -> None:
    """Check that options of the decay given on the command line agree with the table.

    Raises:
        UserError: an option differs from the table.
    """
    context = click.get_current_context()
    in_table = {
        "physics_inputs": model.inputs.name,
        "lepton": model.lepton,
        "antiparticle_shifts": model.antiparticle_shifts,
    }
    for name, value in in_table.items():
        given = context.params[name]
        if context.get_parameter_source(name) != ParameterSource.DEFAULT and given != value:
            option = f"--{name.replace('_', '-')}"
            raise UserError(
                f"{option} {given}: the table {table} was made for {value}; omit the option, or "
                f"make a table for it ('wilsonvox coefficients {option} {given}')"
            )


def _point_shifts(point: str, given: tuple[str, ...]) -> dict[str, float | complex]:
    """Return the shifts of a point: from its label, or the given ones for a sampled point."""
    from wilsonvox.theory.points import COEFFICIENTS, is_sampled, parse_point, parse_shift

    if not is_sampled(point):
        if given:
            raise UserError(f"--shift: the label {point} defines the shifts; omit the option")
        return parse_point(point)
    shifts: dict[str, float | complex] = {}
    for word in given:
        name, equals, value = word.partition("=")
        if name not in COEFFICIENTS or not equals:
            raise UserError(
                f"--shift {word}: write coefficient=value, such as c9=-0.9 (coefficients: "
                f"{', '.join(COEFFICIENTS)})"
            )
        if name in shifts:
            raise UserError(f"--shift {word}: {name} is given twice")
        shifts[name] = parse_shift(value)
    if not shifts:
        raise UserError(
            f"--point {point}: the label of a sampled point does not define its shifts; give each "
            "of them with --shift, such as --shift c9=-0.9"
        )
    return shifts


@click.command()
@click.option(
    "--point",
    required=True,
    help="Shifts as a point label, such as c9_-0.90, or the label of a sampled point, such as "
    "sobol_0017, together with --shift.",
)
@click.option(
    "--shift",
    "given_shifts",
    multiple=True,
    metavar="NAME=VALUE",
    help="Shift of a sampled point, such as c9=-0.90625; repeat for each coefficient.",
)
@click.option(
    "--events", required=True, type=click.IntRange(min=1), help="Number of events, before any cut."
)
@click.option("--seed", required=True, type=click.IntRange(min=0), help="Seed of the run.")
@click.option(
    "--split",
    type=click.Choice(SPLITS),
    default="train",
    show_default=True,
    help="Split of the campaign; part of the key of the random numbers.",
)
@click.option(
    "--campaign",
    default="000",
    show_default=True,
    help="Campaign, three digits; part of the key of the random numbers.",
)
@click.option(
    "--coefficients",
    type=click.Path(path_type=Path),
    help="Table of 'wilsonvox coefficients' (.npz), which then defines inputs, lepton and shifts "
    "of antiparticles; computed if not given.",
)
@decay_options
@click.option(
    "--flavour",
    type=click.Choice(["B0", "B0bar", "both"]),
    default="B0",
    show_default=True,
    help="Flavour of the decays; both: either one with probability 1/2.",
)
@click.option(
    "--four-momenta/--no-four-momenta",
    default=False,
    show_default=True,
    help="Also write four-momenta, with random orientation.",
)
@click.option(
    "--frame",
    type=click.Choice(["rest", "belle2"]),
    default="rest",
    show_default=True,
    help="Frame of the four-momenta: rest frame of the B, or laboratory frame of Belle II.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Threads; their number does not change the events.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="ROOT file to write.")
def command(
    *,
    point: str,
    given_shifts: tuple[str, ...],
    events: int,
    seed: int,
    split: str,
    campaign: str,
    coefficients: Path | None,
    physics_inputs: str,
    lepton: "Lepton",
    antiparticle_shifts: "AntiparticleShifts",
    flavour: str,
    four_momenta: bool,
    frame: "Frame",
    threads: int,
    out: Path,
) -> None:
    """Generate B0 → K*0 μ+ μ− (or e+ e−) events, over the full q2 range.

    Writes the TTree 'events' with q2 [GeV²], cos_theta_mu, cos_theta_k, chi [rad, 0 to 2π],
    m_kpi [GeV] and flavour (+1 for B0, −1 for anti-B0), at generator level; with --four-momenta
    also {B0,K,pi,mup,mum}_{E,px,py,pz} [GeV], where mup and mum are the positive and the negative
    lepton.
    """
    from wilsonvox.events.event_file import EventMetadata, write_events
    from wilsonvox.events.generation.four_momenta import momenta_of_chunks
    from wilsonvox.events.generation.sampler import Stream, generate
    from wilsonvox.provenance.recording import make_record
    from wilsonvox.theory.coefficient_table import AngularCoefficients, tabulate_by_name
    from wilsonvox.theory.particles import FLAVOURS
    from wilsonvox.theory.points import shift_vector

    shifts = _point_shifts(point, given_shifts)
    if not (len(campaign) == 3 and campaign.isdigit()):
        raise UserError(f"--campaign {campaign}: expected three digits, such as 000")
    if frame != "rest" and not four_momenta:
        raise UserError(f"--frame {frame} applies to four-momenta; also give --four-momenta")
    table = (
        tabulate_by_name(physics_inputs, lepton, antiparticle_shifts)
        if coefficients is None
        else AngularCoefficients.load(coefficients)
    )
    model = table.model
    if coefficients is not None:
        _refuse_other_decay(coefficients, model)
    if flavour == "both" and model.antiparticle_shifts != "equal":
        raise UserError(
            "--flavour both: needs --antiparticle-shifts equal; with conjugate shifts the rates of "
            "the two flavours may differ, and so may their numbers of events"
        )
    metadata = EventMetadata(
        origin="generated",
        point=point,
        shifts=shifts,
        split=split,
        campaign=campaign,
        physics_inputs=table.inputs.name,
        lepton=model.lepton,
        antiparticle_shifts=model.antiparticle_shifts,
        frame=frame if four_momenta else None,
    )
    settings = {
        "point": point,
        **({"shifts": shifts} if given_shifts else {}),
        "split": split,
        "campaign": campaign,
        "events": events,
        "physics_inputs": table.inputs.name,
        "lepton": model.lepton,
        "antiparticle_shifts": model.antiparticle_shifts,
        "flavour": flavour,
        "four_momenta": four_momenta,
        "frame": frame,
    }
    inputs = [] if coefficients is None else [coefficients]
    record = make_record("generate_events", out, settings, inputs, seed=seed)
    stream = Stream(seed, point, split, int(campaign))
    chunks = generate(
        table, shift_vector(shifts), events, stream, FLAVOURS.get(flavour, 0), threads=threads
    )
    momenta = momenta_of_chunks(model, frame, stream) if four_momenta else None
    written = write_events(out, chunks, metadata, record, momenta)
    logging.info("%s: %d %s events at %s (generator level)", out, written, flavour, point)
