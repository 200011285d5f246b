"""Global-fit page: results of the χ² fits and of the ML models."""

from pathlib import Path

from wilsonvox.config.run import RunConfiguration
from wilsonvox.global_fit.fits import CoefficientFit, MinosError
from wilsonvox.global_fit.learning.results import GanResult, ModelResult, NetworkResult
from wilsonvox.report.page import Column, Row, Section, number, page
from wilsonvox.stages import targets
from wilsonvox.stages.run import Run

_FIT_COLUMNS = (
    Column("set", "set of observables", left=True),
    Column("version", "version of the χ²", left=True),
    Column("hadronic", "hadronic polynomials in q² that are added to the predictions", left=True),
    Column("χ² (SM)", "χ² without shifts"),
    Column("χ²", "χ² at the minimum"),
    Column("d.o.f.", "number of observables minus number of free parameters"),
    Column("p-value", "p-value of χ² at the minimum"),
    Column("δC9", "best fit with Minos errors (68 %, the other shift profiled)"),
    Column("δC10", "best fit with Minos errors (68 %, the other shift profiled)"),
)

_MODEL_COLUMNS = (
    Column("model", "name of the model in the configuration", left=True),
    Column("kind", left=True),
    Column("set", "set of observables", left=True),
    Column("version", "version of the χ²", left=True),
    Column("hadronic", "hadronic polynomials in q² in the training set", left=True),
    Column("trainings", "number of trainings from random initial weights"),
    Column("δC9", "mean ± standard deviation over the trainings"),
    Column("δC10", "mean ± standard deviation over the trainings"),
    Column("min. χ²", "minimum over the trainings, recomputed from the coefficients"),
    Column("median χ²", "median over the trainings, recomputed from the coefficients"),
    Column("max. χ²", "maximum over the trainings, recomputed from the coefficients"),
)


def _with_errors(value: float, error: MinosError) -> str:
    return " ".join(number(part, "+z.3f") for part in (value, error.up, error.down))


def _p_value(value: float) -> str:
    """Format a p-value, in exponential notation below 0.001."""
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


def _spread(mean: float, deviation: float, n_trainings: int) -> str:
    # a single training has no spread
    error = f" ± {number(deviation, '.3f')}" if n_trainings > 1 else ""
    return number(mean, "+z.3f") + error


def _model_row(result: ModelResult) -> Row:
    spread, n_trainings = result.spread, len(result.answers)
    return (
        result.name,
        "network" if result.kind == "network" else "GAN",
        result.observables,
        result.version,
        result.hadronic,
        str(n_trainings),
        _spread(spread.c9_mean, spread.c9_deviation, n_trainings),
        _spread(spread.c10_mean, spread.c10_deviation, n_trainings),
        number(spread.chi_squared_least, ".2f"),
        number(spread.chi_squared_median, ".2f"),
        number(spread.chi_squared_greatest, ".2f"),
    )


def global_fit_page(run: Path, configuration: RunConfiguration) -> str:
    """Render the global-fit page: results of all fits and of all ML models.

    Raises:
        UserError: a fit or the result of a model is missing or cannot be read.
    """
    made = Run(configuration, {})
    if not targets.includes_global_fit(made, run):
        missing = Section(
            paragraph="The global fit of this configuration is not complete yet. Run "
            "`snakemake global_fit` and make the report again."
        )
        return page("Global fit", [missing])
    fits = [CoefficientFit.load(run / path) for path in targets.fit_files(made)]
    models: list[ModelResult] = [
        *(NetworkResult.load(run / path) for path in targets.network_files(made)),
        *(GanResult.load(run / path) for path in targets.gan_files(made)),
    ]
    sections = [
        Section(
            paragraph="Shifts δC9 and δC10 for muons, fitted to observables in q² bins with "
            "predictions from flavio (docs/user_guide/global_fit.md). Shifts are dimensionless."
        ),
        Section(
            heading="Fits",
            columns=_FIT_COLUMNS,
            rows=[_fit_row(fit) for fit in fits],
            meanings=True,
        ),
    ]
    if models:
        sections.append(
            Section(
                heading="ML models",
                columns=_MODEL_COLUMNS,
                rows=[_model_row(model) for model in models],
                meanings=True,
            )
        )
    return page("Global fit", sections)
