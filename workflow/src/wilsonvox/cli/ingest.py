"""`wilsonvox ingest`: read external ROOT files into an event file."""

from functools import partial

import click

_LAYOUTS = ("auto", "variables", "four-momenta", "belle2", "particle-list")


@click.command(
    name="ingest",
    epilog="Layouts: 'variables' (q2 [GeV²], cos_theta_mu, cos_theta_k, chi [rad], m_kpi [GeV]); "
    "'four-momenta' ({B0,K,pi,mup,mum}_{E,px,py,pz}); 'belle2' (columns of a Belle II ntuple: "
    "B0_mc_E or B0_mcE or B0_E …, K_p_…, pi_m_…, mu_p_…, mu_m_…; generated values are preferred "
    "to reconstructed ones); 'particle-list' (jagged pdg_id, mother, e, px, py, pz).",
)
@click.option(
    "--events",
    "events",
    required=True,
    multiple=True,
    metavar="FILE",
    help="ROOT file (TTree or RNTuple) or quoted glob; repeatable. Energies are in GeV or MeV, "
    "recognised by the B mass.",
)
@click.option("--tree", default=None, help="Tree to read.  [default: the only one in the file]")
@click.option(
    "--layout",
    default="auto",
    show_default=True,
    metavar="|".join(_LAYOUTS),
    help="Layout of the branches; auto: recognised by their names.",
)
@click.option(
    "--flavour",
    type=click.Choice(["auto", "B0", "B0bar"]),
    default="auto",
    show_default=True,
    help="Flavour, if the file does not contain it; auto: B0, with a warning.",
)
@click.option("--sample", default=None, help="Name of the sample, stored in the file.")
@click.option(
    "--true-point", default=None, metavar="POINT", help="True shifts, if known, such as c9_-0.90."
)
@click.option(
    "--out", required=True, type=click.Path(), metavar="FILE.root", help="Event file to write."
)
def command(
    *,
    events: tuple[str, ...],
    tree: str | None,
    layout: str,
    flavour: str,
    sample: str | None,
    true_point: str | None,
    out: str,
) -> None:
    """Read B0 → K*0 μ+ μ− decays from external ROOT files into an event file.

    Writes q2 [GeV²], the three angles, m_kpi [GeV] and the flavour, before any cut. If an event has
    several candidates, the first one (lowest __candidate__) is kept; unphysical events are dropped
    and counted. All input is taken as generator level: detector effects are not corrected for.
    """
    from wilsonvox.events.ingest.reader import ingest_files
    from wilsonvox.provenance.recording import make_record

    ingest_files(
        events,
        out,
        tree=tree,
        layout=layout,
        flavour=flavour,
        sample=sample,
        true_point=true_point,
        make_record=partial(make_record, "ingest_events"),
    )
