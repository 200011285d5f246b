"""`wilsonvox coefficients`: tabulate the angular coefficients."""

from pathlib import Path

import click


@click.command()
@click.option(
    "--physics-inputs",
    default="evtgen-btosllnpr",
    show_default=True,
    help="Set of Standard-Model inputs.",
)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Table to write (.npz)."
)
def command(physics_inputs: str, out: Path) -> None:
    """Tabulate J_i(q2, m_Kpi) as polynomials in δC9.

    The grid is in q2 [GeV²] and m_Kpi [GeV], over all of phase space.
    """
    from wilsonvox.provenance import make_record
    from wilsonvox.theory import tabulate_by_name

    table = tabulate_by_name(physics_inputs)
    record = make_record("angular_coefficients", out, {"physics_inputs": physics_inputs})
    table.save(out, record)
