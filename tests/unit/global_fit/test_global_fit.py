"""Fit of δC9 and δC10 to toy predictions, without flavio."""

import itertools
import json

import numpy as np
import pytest
from scipy.optimize import minimize
from tests.helpers.toy_global_fit import toy_set, toy_table

from wilsonvox.cli import run
from wilsonvox.core.errors import UserError
from wilsonvox.global_fit.chi_squared import VERSIONS, ChiSquared
from wilsonvox.global_fit.fits import CoefficientFit, fit_coefficients
from wilsonvox.global_fit.hadronic import HALF_WIDTHS, HadronicPolynomials
from wilsonvox.global_fit.observables import KINDS, load_observables
from wilsonvox.global_fit.predictions import PredictionTable, shift_functions
from wilsonvox.global_fit.profiling import profiled, profiled_coefficients
from wilsonvox.provenance.recording import make_record
from wilsonvox.records.digests import content_digest
from wilsonvox.records.embedded import read_record


@pytest.fixture(scope="module")
def table() -> PredictionTable:
    return toy_table()


# ------------------------------------------------------------------ sets of observables
@pytest.mark.parametrize(("name", "n_of_ratios"), [("lhcb-2015", (1, 2)), ("lhcb-2022", (2, 2))])
def test_shipped_sets_have_the_published_observables_and_correlations(name, n_of_ratios):
    observables = load_observables(name)
    count = dict(zip(KINDS, (observables.kinds.count(kind) for kind in KINDS), strict=True))
    n_k, n_kstar = n_of_ratios
    assert count == dict.fromkeys(("P1", "P2", "P4p", "P5p"), 6) | {
        "BR_Kstar0": 6, "BR_K0": 4, "R_K": n_k, "R_Kstar": n_kstar,
    }  # fmt: skip
    # published correlations of the angular observables within a bin
    correlation = observables.correlation
    labels = observables.labels
    assert np.linalg.eigvalsh(correlation).min() > 0.3
    pair = labels.index("P4p[4,6]"), labels.index("P5p[4,6]")
    assert correlation[pair] == (0.1 if name == "lhcb-2015" else 0.02)
    assert correlation[labels.index("P4p[4,6]"), labels.index("P5p[6,8]")] == 0


def test_shipped_values_are_the_published_ones():
    """arXiv:1512.04442 (P5'), 1606.04731 and 1403.8044 (dB/dq²), 1406.6482, 1705.05802 (R_K*)."""
    observables = toy_set()
    of = dict(zip(observables.labels, observables.measurements, strict=True))
    published = {
        "P5p[4,6]": (-0.300, np.hypot(0.158, 0.023), np.hypot(0.159, 0.023)),
        "P2[2.5,4]": (-0.636, np.hypot(0.444, 0.015), np.hypot(1.735, 0.015)),
        "BR_K0[2,4]": (1.87, np.hypot(0.55, 0.09), np.hypot(0.49, 0.09)),
        "BR_Kstar0[4,6]": (3.54, np.sqrt(0.27**2 + 0.09**2 + 0.24**2),
                           np.sqrt(0.26**2 + 0.09**2 + 0.24**2)),
        "R_K[1,6]": (0.745, np.hypot(0.090, 0.036), np.hypot(0.074, 0.036)),
        "R_Kstar[0.045,1.1]": (0.66, np.hypot(0.11, 0.03), np.hypot(0.07, 0.03)),
        "R_Kstar[1.1,6]": (0.69, np.hypot(0.11, 0.05), np.hypot(0.07, 0.05)),
    }  # fmt: skip
    for label, (value, up, down) in published.items():
        assert (of[label].value, of[label].error_up, of[label].error_down) == pytest.approx(
            (value, up, down)
        ), label


SET = """
name: mine
description: three
sources:
  s: {experiment: LHCb, year: 2015, arxiv: "1512.04442"}
measurements:
  - {name: "<P1>(B0->K*mumu)", kind: P1, q2_gev2: [1, 6], value: 0.1, errors: {a: [1, 2]},
     source: s}
  - {name: "<P2>(B0->K*mumu)", kind: P2, q2_gev2: [1, 6], value: 0.1, errors: {a: [1, 2]},
     source: s}
  - {name: "<Rmue>(B0->K*ll)", kind: R_Kstar, q2_gev2: [1, 6], value: 1, errors: {a: [1, 2]},
     source: s}
correlations:
  - {measurements: ["P1[1,6]", "P2[1,6]"], matrix: [[1, 0.2], [0.2, 1]]}
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("kind: P1,", "", r"mine.yaml: measurements.0.kind: Field required"),
        ("value: 0.1", "vlaue: 0.1", r"measurements.0.value \(P1 in \[1, 6\] GeV²\): Field req"),
        ("kind: P1,", "kind: P1, q: 2,", r"measurements.0.q .*no such field"),
        ("[1, 2]}", "[1, -2]}", r"errors: each must be \[up, down\]"),
        ("source: s}", "source: t}", r"measurements.0.source: 't' is not under sources"),
        ("[1, 6], value", "[6, 1], value", r"q2_gev2: the bin must be \[low, high\]"),
        ("kind: P2", "kind: P1", r"name: <P2>\(B0->K\*mumu\) is not an observable of kind P1;"),
        ('"P2[1,6]"]', '"P2[1,5]"]', r"P2\[1,5\] is not under measurements; did you mean 'P2"),
        ("[0.2, 1]]", "[0.3, 1]]", r"correlations.0: matrix: must be symmetric"),
        ("[[1, 0.2], [0.2, 1]]", "[[1, 1.2], [1.2, 1]]", r"matrix: is not positive definite"),
        ("name: mine", "name: [", r"mine.yaml: not a YAML file"),
    ],
)  # fmt: skip
def test_invalid_sets_give_a_one_line_error(tmp_path, old, new, message):
    path = tmp_path / "mine.yaml"
    path.write_text(SET)
    assert load_observables(path).labels == ("P1[1,6]", "P2[1,6]", "R_Kstar[1,6]")
    assert old in SET
    path.write_text(SET.replace(old, new, 1))
    with pytest.raises(UserError, match=message) as error:
        load_observables(path)
    assert "\n" not in str(error.value)


def test_unknown_sets_are_rejected(capsys, tmp_path):
    assert run(["global-fit", "tabulate", "--observables", "lhcb-2016", "--seed", "1",
                "--out", str(tmp_path / "t.npz")]) == 1  # fmt: skip
    assert "no such set of observables; choose one of lhcb-2015" in capsys.readouterr().err
    with pytest.raises(UserError, match="does not exist; expected a set of measurements"):
        load_observables("nowhere.yaml")


# ------------------------------------------------------------------ predictions
def test_predictions_are_the_numerator_over_the_root_of_the_denominators(table):
    c9, c10 = np.array([0.0, -1.3, 0.4]), np.array([0.0, 0.7, -0.2])
    predicted = table(c9, c10)
    assert predicted.shape == (3, 37)
    for row, x, y in zip(predicted, c9, c10, strict=True):
        n, first, second = np.moveaxis(
            table.coefficients @ [1, x, y, x * x, x * y, y * y], -1, 0
        )  # fmt: skip
        assert row == pytest.approx(n / np.sqrt(first * second))
    assert shift_functions(-1.0, c10).shape == (3, 6)


def test_predictions_do_not_depend_on_the_number_of_points(table):
    points = np.random.default_rng(3).uniform(-1, 1, (40_000, 2))
    predicted = table(*points.T)
    for i in (0, 16_383, 16_384, 39_999):
        assert np.array_equal(predicted[i], table(*points[i])[0]) or np.allclose(
            predicted[i], table(*points[i])[0], rtol=1e-13
        )


def test_tables_round_trip_with_their_record(table, tmp_path):
    path = tmp_path / "table.npz"
    table.save(path, make_record("tabulate_observables", path, {"theory_draws": 100}, seed=1))
    again = PredictionTable.load(path)
    assert again.observables == table.observables
    assert np.array_equal(again.coefficients, table.coefficients)
    assert np.array_equal(again.theory_covariance, table.theory_covariance)
    record = read_record(path)
    assert record is not None
    assert record.content_digest == content_digest(path)
    other = tmp_path / "other.npz"
    np.savez(other, a=np.zeros(2))
    with pytest.raises(UserError, match="not a table of `wilsonvox global-fit tabulate`"):
        PredictionTable.load(other)


# ------------------------------------------------------------------ χ²
def test_asymmetric_errors_follow_the_sign_of_the_residual(table):
    chi_squared = ChiSquared(table, "experimental")
    observables = table.observables
    expected = 0.0
    for value, up, down, predicted in zip(
        observables.values, observables.errors_up, observables.errors_down, table(0.2, -0.3)[0],
        strict=True,
    ):  # fmt: skip
        expected += ((predicted - value) / (up if predicted > value else down)) ** 2
    assert chi_squared(0.2, -0.3) == pytest.approx([expected])
    assert (chi_squared.pulls(0.2, -0.3) ** 2).sum() == pytest.approx(expected)


def test_versions_add_theory_errors_and_correlations(table):
    observables = table.observables
    mean = (observables.errors_up + observables.errors_down) / 2
    residual = table(0.2, -0.3)[0] - observables.values
    variance = mean**2 + np.diag(table.theory_covariance)
    uncorrelated = ChiSquared(table, "uncorrelated")
    assert uncorrelated(0.2, -0.3)[0] == pytest.approx((residual**2 / variance).sum())
    assert uncorrelated.pulls(0.2, -0.3)[0] == pytest.approx(residual / np.sqrt(variance))
    covariance = observables.correlation * np.outer(mean, mean) + table.theory_covariance
    expected = residual @ np.linalg.solve(covariance, residual)
    assert ChiSquared(table, "correlated")(0.2, -0.3)[0] == pytest.approx(expected)


def test_polynomials_are_evaluated_at_the_bin_centres(table):
    observables = table.observables
    independent = HadronicPolynomials.of("independent", observables)
    shared = HadronicPolynomials.of("shared", observables)
    assert (independent.n_coefficients, shared.n_coefficients) == (24, 3)
    assert independent.names[:4] == ("a0_P1", "a1_P1", "a2_P1", "a0_P2")
    assert independent.half_widths[:3] == pytest.approx(HALF_WIDTHS)
    coefficients = np.arange(24.0) * 1e-4
    added = independent.design_matrix @ coefficients
    for row, measurement in zip(added, observables.measurements, strict=True):
        a0, a1, a2 = coefficients[3 * KINDS.index(measurement.kind) :][:3]
        q2 = sum(measurement.q2_gev2) / 2
        assert row == pytest.approx(a0 + a1 * q2 + a2 * q2**2)
    chi_squared = ChiSquared(table, "experimental", shared)
    corrected = table(0.1, 0.1) + shared.design_matrix @ [0.01, 1e-4, -1e-5]
    assert chi_squared(0.1, 0.1, [0.01, 1e-4, -1e-5]) == pytest.approx(
        chi_squared.of_predictions(corrected)
    )
    many = np.outer(np.linspace(-1, 1, 5), shared.half_widths)
    assert chi_squared(np.zeros(5), np.zeros(5), many)[3] == pytest.approx(
        chi_squared(0.0, 0.0, many[3])[0]
    )


@pytest.mark.parametrize(
    ("version", "scale"), [("experimental", 30.0), ("experimental", 1.0), ("correlated", 1.0)]
)
def test_profiled_coefficients_minimise_chi_squared_in_their_ranges(table, version, scale):
    polynomials = HadronicPolynomials.of(
        "independent", table.observables, scale * np.array(HALF_WIDTHS)
    )
    chi_squared = ChiSquared(table, version, polynomials)
    width = polynomials.half_widths
    coefficients = profiled_coefficients(chi_squared, -0.3, 0.1)
    assert (np.abs(coefficients) <= width * (1 + 1e-12)).all()
    reference = minimize(
        lambda x: float(chi_squared(-0.3, 0.1, x * width)[0]),
        coefficients / width * 0.5,
        bounds=[(-1, 1)] * len(width),
        options={"maxiter": 200, "ftol": 1e-12, "maxfun": 100_000},
    )
    least = profiled(chi_squared, -0.3, 0.1)
    assert least <= reference.fun + 1e-6
    assert least < chi_squared(-0.3, 0.1)[0] - 0.1


# ------------------------------------------------------------------ fits
@pytest.fixture(scope="module")
def fits(table) -> dict[tuple[str, str], CoefficientFit]:
    return {
        (version, hadronic): fit_coefficients(table, version, hadronic, points=[(-0.5, 0.3)])
        for version, hadronic in itertools.product(VERSIONS, ("none", "shared"))
    }


def test_the_minimum_agrees_with_another_minimizer(table, fits):
    for (version, hadronic), fit in fits.items():
        polynomials = HadronicPolynomials.of(hadronic, table.observables)
        chi_squared = ChiSquared(table, version, polynomials)
        other = minimize(
            lambda x, of=chi_squared: profiled(of, *x), (-0.7, 0.1), method="Nelder-Mead",
            options={"xatol": 1e-6, "fatol": 1e-9},
        )  # fmt: skip
        assert fit.chi_squared == pytest.approx(other.fun, abs=1e-4), (version, hadronic)
        assert (fit.c9, fit.c10) == pytest.approx(other.x, abs=2e-3)
        # the toy data are half an error away from the predictions at (−0.8, 0.2)
        assert abs(fit.c9 + 0.8) < 4 * max(fit.minos["c9"].up, -fit.minos["c9"].down)
        assert fit.points[0].chi_squared == pytest.approx(profiled(chi_squared, 0.0, 0.0))
        assert (fit.points[1].c9, fit.points[1].c10) == (-0.5, 0.3)


def test_contours_and_minos_errors_are_at_their_delta_chi_squared(table, fits):
    for (version, hadronic), fit in fits.items():
        chi_squared = ChiSquared(
            table, version, HadronicPolynomials.of(hadronic, table.observables)
        )
        for contour in fit.contours:
            # 2.28 and 5.99 for two parameters jointly
            assert contour.delta_chi_squared == pytest.approx(-2 * np.log(1 - contour.level))
            rise = [
                profiled(chi_squared, x, y) - fit.chi_squared
                for x, y in zip(contour.c9, contour.c10, strict=True)
            ]
            assert rise == pytest.approx([contour.delta_chi_squared] * len(rise), rel=0.02)
        end = fit.c9 + fit.minos["c9"].up
        best = minimize(
            lambda y, x=end, of=chi_squared: profiled(of, x, float(y[0])), [fit.c10],
            method="Nelder-Mead",
        )  # fmt: skip
        assert best.fun - fit.chi_squared == pytest.approx(1.0, abs=0.02)


def test_pulls_and_p_values(fits):
    fit = fits["experimental", "none"]
    assert sum(observable.pull**2 for observable in fit.fitted) == pytest.approx(fit.chi_squared)
    at_zero = sum(observable.pull_without_shifts**2 for observable in fit.fitted)
    assert at_zero == pytest.approx(fit.points[0].chi_squared)
    assert (fit.n_observables, fit.n_parameters) == (37, 2)
    from scipy.stats import chi2

    assert fit.p_value == pytest.approx(chi2.sf(fit.chi_squared, 35))
    shared = fits["experimental", "shared"]
    assert shared.chi_squared <= fit.chi_squared
    # coefficients at a limit are not free parameters
    assert shared.n_parameters == 2 + 3 - len(shared.hadronic_at_limit)
    assert set(shared.hadronic_coefficients) == {"a0", "a1", "a2"}


def test_the_command_writes_the_fit_and_its_record(table, tmp_path):
    path, out = tmp_path / "table.npz", tmp_path / "fit.json"
    table.save(path, make_record("tabulate_observables", path, {}))
    arguments = ["global-fit", "fit", "--table", str(path), "--version", "correlated",
                 "--point", "-0.92", "0.1", "--level", "0.9", "--out", str(out)]  # fmt: skip
    assert run(arguments) == 0
    fit = CoefficientFit.load(out)
    assert [contour.level for contour in fit.contours] == [0.9]
    assert fit.points[1].c9 == -0.92
    record = read_record(out)
    assert record is not None
    assert record.rule == "fit_coefficients"
    assert record.content_digest == content_digest(out)
    assert record.inputs[0].content_digest == content_digest(path)
    with pytest.raises(UserError, match="expected a fit of"):
        CoefficientFit.load(tmp_path / "none.json")
    broken = json.loads(out.read_text()) | {"c9": "?"}
    out.write_text(json.dumps(broken))
    with pytest.raises(UserError, match=r"not a fit of .*make it again"):
        CoefficientFit.load(out)
