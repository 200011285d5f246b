"""Tables of predictions and the fit beside flavio, and beside numbers of another build."""

import numpy as np
import pytest

from wilsonvox.global_fit.fits import fit_coefficients
from wilsonvox.global_fit.observables import BRANCHING_RATIO_UNIT, load_observables
from wilsonvox.global_fit.predictions import PredictionTable
from wilsonvox.global_fit.tabulation import SCALE_GEV, draw_predictions, tabulate

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

N_DRAWS = 200
SETS = ("lhcb-2015", "lhcb-2022")


@pytest.fixture(scope="module")
def table() -> PredictionTable:
    return tabulate(load_observables("lhcb-2015"), N_DRAWS, seed=3)


@pytest.fixture(scope="module")
def tables(table) -> dict[str, PredictionTable]:
    """Of both sets; the second one's theory errors, of two draws, are not to be used."""
    return {"lhcb-2015": table, "lhcb-2022": tabulate(load_observables("lhcb-2022"), 2, seed=3)}


@pytest.mark.parametrize("name", SETS)
def test_predictions_are_flavios(tables, name):
    import flavio

    table = tables[name]
    observables = table.observables
    least = np.minimum(observables.errors_up, observables.errors_down)
    random = np.random.default_rng(8)
    for c9, c10 in random.uniform([-2, -1], [0.5, 1], (3, 2)):
        shifts = flavio.WilsonCoefficients()
        shifts.set_initial({"C9_bsmumu": c9, "C10_bsmumu": c10}, scale=SCALE_GEV)
        expected = np.array(
            [
                flavio.np_prediction(each.name, shifts, *each.q2_gev2)
                / (BRANCHING_RATIO_UNIT if "BR" in each.kind else 1)
                for each in observables.measurements
            ]
        )
        assert np.abs((table(c9, c10)[0] - expected) / least).max() < 3e-4


def test_theory_errors_are_flavios(table):
    import flavio

    errors = np.sqrt(np.diag(table.theory_covariance))
    for label in ("P5p[4,6]", "BR_Kstar0[1.1,2.5]", "BR_K0[4,6]"):
        place = table.observables.labels.index(label)
        each = table.observables.measurements[place]
        unit = BRANCHING_RATIO_UNIT if "BR" in each.kind else 1
        np.random.seed(1)  # noqa: NPY002 - flavio draws from numpy's global generator
        expected = flavio.sm_uncertainty(each.name, *each.q2_gev2, N=100) / unit
        # of 200 and of 100 draws: 5 % and 7 %
        assert errors[place] == pytest.approx(expected, rel=0.25), label


def test_draws_are_those_of_the_seed(table):
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first = draw_predictions(table.observables, 2, seed=3)
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    np.random.seed(99)  # noqa: NPY002
    assert np.array_equal(draw_predictions(table.observables, 2, seed=3), first)
    assert not np.array_equal(draw_predictions(table.observables, 2, seed=4), first)


@pytest.mark.parametrize("name", SETS)
def test_measured_values_are_those_that_flavio_has(name):
    import flavio

    checked = 0
    observables = load_observables(name)
    for each in observables.measurements:
        key = observables.sources[each.source].flavio
        if key is None:
            continue
        unit = BRANCHING_RATIO_UNIT if "BR" in each.kind else 1
        parameter = (each.name, *each.q2_gev2)
        found = flavio.Measurement[key]
        central = found.get_central_all()[parameter] / unit
        assert each.value == pytest.approx(central, rel=0.015), each.label
        right, left = found.get_1d_errors_rightleft()[parameter]
        # flavio has R_K* on a grid, and one error for both sides where errors correlate
        assert each.error_up == pytest.approx(right / unit, rel=0.13), each.label
        assert each.error_down == pytest.approx(left / unit, rel=0.13), each.label
        checked += 1
    assert checked == {"lhcb-2015": 12, "lhcb-2022": 38}[name]


@pytest.mark.parametrize(
    ("version", "at_zero", "minimum", "place", "at_paper", "tolerances"),
    [
        # no theory error comes in: nothing is drawn
        ("experimental", 159.4, 38.3, (-1.13, 0.33), 49.3, (0.1, 0.1, 0.01, 0.1)),
        # theory errors of 200 draws are known to 5 %, their correlations less well
        ("uncorrelated", 105.3, 33.0, (-1.16, 0.45), 42.3, (2.5, 0.4, 0.03, 0.7)),
        ("correlated", 82.7, 34.4, (-1.17, 0.43), 40.3, (4.5, 0.7, 0.06, 1.2)),
    ],
)
def test_fits_are_those_of_another_build(
    table, version, at_zero, minimum, place, at_paper, tolerances
):
    """χ² that an independent build found with flavio's central theory, for the same 37."""
    fit = fit_coefficients(table, version)
    assert fit.points[0].chi_squared == pytest.approx(at_zero, abs=tolerances[0])
    assert fit.chi_squared == pytest.approx(minimum, abs=tolerances[1])
    assert (fit.c9, fit.c10) == pytest.approx(place, abs=tolerances[2])
    assert (fit.points[1].c9, fit.points[1].c10) == (-0.92, 0.10)
    assert fit.points[1].chi_squared == pytest.approx(at_paper, abs=tolerances[3])


@pytest.mark.parametrize(
    ("name", "hadronic", "minimum", "place"),
    [
        ("lhcb-2015", "independent", 35.4, (-1.20, 0.30)),
        ("lhcb-2022", "none", 78.4, (-0.91, 0.02)),
    ],
)
def test_minima_are_those_of_the_documentation(tables, name, hadronic, minimum, place):
    """The rows of docs/results/global_fit.md for which nothing is drawn."""
    fit = fit_coefficients(tables[name], "experimental", hadronic)
    assert fit.chi_squared == pytest.approx(minimum, abs=0.1)
    assert (fit.c9, fit.c10) == pytest.approx(place, abs=0.01)
