"""`wilsonvox coefficients`: tabulate the angular coefficients of the decay."""

from pathlib import Path

import click

from wilsonvox.cli.options import decay_options


@click.command()
@decay_options
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Table to write (.npz)."
)
def command(physics_inputs: str, lepton: str, antiparticle_shifts: str, out: Path) -> None:
    """Tabulate J_i(q2, m_Kpi) as polynomials in the shifts of all six coefficients.

    The grid in q2 [GeV²] and m_Kpi [GeV] covers the whole phase space.
    """
    from wilsonvox.provenance.recording import make_record
    from wilsonvox.theory.coefficient_table import tabulate_by_name

    settings = {
        "physics_inputs": physics_inputs,
        "lepton": lepton,
        "antiparticle_shifts": antiparticle_shifts,
    }
    table = tabulate_by_name(physics_inputs, lepton, antiparticle_shifts)  # type: ignore[arg-type]
    record = make_record("angular_coefficients", out, settings)
    table.save(out, record)
