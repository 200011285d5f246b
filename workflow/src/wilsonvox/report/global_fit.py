"""The page of a global fit: minima of the χ², and answers of the learning machines."""

from pathlib import Path

from wilsonvox.config.run import RunConfiguration
from wilsonvox.global_fit.fits import CoefficientFit, MinosError
from wilsonvox.global_fit.learning.results import GanResult, NetworkResult
from wilsonvox.report.page import Column, Row, Section, number, page
from wilsonvox.stages import targets
from wilsonvox.stages.run import Run

_FIT_COLUMNS = (
    Column("set", "set of observables", left=True),
    Column("version", "version of the χ²", left=True),
    Column("hadronic", "polynomials in q² added to the predictions", left=True),
    Column("χ² at (0, 0)", "without shifts"),
    Column("χ²", "at the minimum"),
    Column("d.o.f.", "observables less shifts and hadronic coefficients that are free"),
    Column("p-value", "of χ² at the minimum"),
    Column("δC9", "at the minimum, with the errors of Minos (68 %, the other shift free)"),
    Column("δC10", "the same"),
)

_ANSWER_COLUMNS = (
    Column("machine", "its name in the configuration", left=True),
    Column("kind", left=True),
    Column("set", "set of observables that it learned", left=True),
    Column("version", "version of the χ²", left=True),
    Column("hadronic", "polynomials in q² in its training set", left=True),
    Column("starts", "trainings, each from random weights of its own"),
    Column("δC9", "mean of the answers of all starts ± their standard deviation"),
    Column("δC10", "the same"),
    Column("least χ²", "of all starts, recomputed from the answers"),
    Column("median χ²", "the same"),
    Column("greatest χ²", "the same"),
)


def _with_errors(value: float, error: MinosError) -> str:
    return " ".join(number(each, "+z.3f") for each in (value, error.up, error.down))


def _p_value(value: float) -> str:
    """A p-value, with an exponent where it is less than 0.001."""
    return number(value, ".3f" if value >= 0.001 else ".1e")


def _fit_row(fit: CoefficientFit) -> Row:
    return (
        fit.observables,
        fit.version,
        fit.hadronic,
        number(fit.points[0].chi_squared, ".1f"),
        number(fit.chi_squared, ".2f"),
        str(fit.n_observables - fit.n_parameters),
        _p_value(fit.p_value),
        _with_errors(fit.c9, fit.minos["c9"]),
        _with_errors(fit.c10, fit.minos["c10"]),
    )


def _spread(mean: float, deviation: float, starts: int) -> str:
    # one start has no spread
    error = f" ± {number(deviation, '.3f')}" if starts > 1 else ""
    return number(mean, "+z.3f") + error


def _answer_row(result: NetworkResult | GanResult) -> Row:
    spread, starts = result.spread, len(result.answers)
    return (
        result.name,
        "network" if result.kind == "network" else "GAN",
        result.observables,
        result.version,
        result.hadronic,
        str(starts),
        _spread(spread.c9_mean, spread.c9_deviation, starts),
        _spread(spread.c10_mean, spread.c10_deviation, starts),
        number(spread.chi_squared_least, ".2f"),
        number(spread.chi_squared_median, ".2f"),
        number(spread.chi_squared_greatest, ".2f"),
    )


def global_fit_page(run: Path, configuration: RunConfiguration) -> str:
    """The minima of all fits with errors and p-values, and the answers of all machines.

    Raises:
        UserError: a fit or an answer is missing or cannot be read.
    """
    made = Run(configuration, {})
    if not targets.includes_global_fit(made, run):
        missing = Section(
            paragraph="The global fit of this configuration has not run to its end yet; "
            "`snakemake global_fit` runs it, and the next report has it."
        )
        return page("Global fit", [missing])
    fits = [CoefficientFit.load(run / path) for path in targets.fit_files(made)]
    machines: list[NetworkResult | GanResult] = [
        *(NetworkResult.load(run / path) for path in targets.network_files(made)),
        *(GanResult.load(run / path) for path in targets.gan_files(made)),
    ]
    sections = [
        Section(
            paragraph="Shifts δC9 and δC10 of the muons' coefficients, fitted to observables in "
            "bins of q² (docs/user_guide/global_fit.md). They are dimensionless. The predictions "
            "are flavio's."
        ),
        Section(
            heading="Fits",
            columns=_FIT_COLUMNS,
            rows=[_fit_row(each) for each in fits],
            meanings=True,
        ),
    ]
    if machines:
        sections.append(
            Section(
                heading="Answers of learning machines",
                columns=_ANSWER_COLUMNS,
                rows=[_answer_row(each) for each in machines],
                meanings=True,
            )
        )
    return page("Global fit", sections)
