"""Tabulate flavio's predictions: exact quadratics in the shifts, and the theory covariance.

flavio repeats the integration over each bin at every point. Here the integrands are evaluated once,
on Gauss–Legendre nodes in q² and at six points, which determine the six coefficients of a quadratic
in two variables.
"""

import math
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wilsonvox.global_fit.observables import BRANCHING_RATIO_UNIT, MeasuredObservable, ObservableSet
from wilsonvox.global_fit.predictions import N_FUNCTIONS, PredictionTable, shift_functions

Array = NDArray[np.float64]

POINTS = ((0.0, 0.0), (-1.0, 0.0), (-2.0, 0.0), (0.0, 1.0), (0.0, -1.0), (-1.0, 1.0))
"""Shifts (δC9, δC10) of the evaluations: one for each coefficient of the quadratic."""

SCALE_GEV = 4.8
"""Renormalisation scale of the shifts, as in flavio's predictions for these decays."""

N_NODES = 16
"""Integration nodes per bin for the predictions."""
N_NODES_COVARIANCE = 3
"""Integration nodes per bin for the theory covariance."""


@dataclass(frozen=True)
class _Channel:
    """Decay channel: flavio's names of the mesons and the lepton."""

    b: str
    meson: str
    lepton: str

    @property
    def is_vector(self) -> bool:
        return "*" in self.meson


def _channel(measurement: MeasuredObservable, lepton: str) -> _Channel:
    charge = re.search(r"B(0|\+)->", measurement.name)
    sign = charge[1] if charge else "0"
    return _Channel(f"B{sign}", ("K*" if "K*" in measurement.name else "K") + sign, lepton)


_PSEUDOSCALAR = ("rate",)
_VECTOR = ("rate", "P1", "P2", "P4p", "P5p", "2s", "2c")


def _vector_rates(observable: Any, q2: float) -> Array:
    """Evaluate the integrands of B → K*ℓℓ observables at one q² [GeV²], in the order of `_VECTOR`.

    The numerators of P1, P2, P4′ and P5′ are flavio's, in the LHCb convention.
    """
    from flavio.physics.bdecays.bvll import observables as bvll

    j, bar = observable.j(q2), observable.jbar(q2)
    numerators = {"P1": (3, 2.0), "P2": ("6s", 8.0), "P4p": (4, 1.0), "P5p": (5, 1.0)}
    return np.array(
        [
            bvll.dGdq2_ave(j, bar),
            *(bvll.S_experiment_num(j, bar, i) / factor for i, factor in numerators.values()),
            bvll.S_experiment_num(j, bar, "2s"),
            bvll.S_experiment_num(j, bar, "2c"),
        ]
    )


def _rates(
    channel: _Channel, shifts: Any, parameters: Mapping[str, float]
) -> Callable[[float], Array]:
    """Make the function of q² [GeV²] that evaluates the integrands of a channel.

    Args:
        channel: decay channel.
        shifts: flavio's `WilsonCoefficients`.
        parameters: flavio's parameters.
    """
    from flavio.physics.bdecays import bpll
    from flavio.physics.bdecays.bvll.observables import BVllObservable

    names = (channel.b, channel.meson, channel.lepton)
    if channel.is_vector:
        observable = BVllObservable(*names, shifts, parameters)
        return lambda q2: _vector_rates(observable, q2)
    average = bpll.dGdq2_cpaverage
    return lambda q2: np.array([bpll.bpll_obs(average, q2, shifts, parameters, *names)])


def _nodes(low: float, high: float, n: int) -> tuple[Array, Array]:
    """Compute Gauss–Legendre nodes and weights in q² [GeV²], or in ln q² for bins at low q².

    At low q² the photon pole, 1/q², makes the rates steep.
    """
    x, weights = np.polynomial.legendre.leggauss(n)
    if low > 0.5:
        return (low + high) / 2 + (high - low) / 2 * x, weights * (high - low) / 2
    half = math.log(high / low) / 2
    q2 = np.exp(math.log(low) + half * (1 + x))
    return q2, weights * half * q2


@dataclass(frozen=True)
class _Bin:
    """Decay channel in a q² bin [GeV²]."""

    channel: _Channel
    low: float
    high: float


def _bins(observables: ObservableSet) -> list[_Bin]:
    """List the distinct channels and bins that enter the observables."""
    bins: dict[_Bin, None] = {}
    for measurement in observables.measurements:
        for lepton in ("mu", "e") if measurement.kind in ("R_K", "R_Kstar") else ("mu",):
            bins[_Bin(_channel(measurement, lepton), *measurement.q2_gev2)] = None
    return list(bins)


def _integrals(
    bins: list[_Bin], shifts: Any, parameters: Mapping[str, float], n_nodes: int
) -> dict[_Bin, Array]:
    """Integrate the integrands over each bin."""
    rates: dict[_Channel, Callable[[float], Array]] = {}
    integrals = {}
    for one_bin in bins:
        channel = one_bin.channel
        if channel not in rates:
            rates[channel] = _rates(channel, shifts, parameters)
        threshold = 4 * parameters[f"m_{channel.lepton}"] ** 2
        endpoint = (parameters[f"m_{channel.b}"] - parameters[f"m_{channel.meson}"]) ** 2
        low, high = max(one_bin.low, threshold), min(one_bin.high, endpoint)
        nodes, weights = _nodes(low, high, n_nodes)
        integrals[one_bin] = weights @ np.array([rates[channel](float(q2)) for q2 in nodes])
    return integrals


def _parts(
    observables: ObservableSet,
    at_shifts: Mapping[_Bin, Array],
    without: Mapping[_Bin, Array],
    parameters: Mapping[str, float],
) -> Array:
    """Combine integrals into N, D₁ and D₂ of each observable, float64, (n_observables, 3).

    Args:
        observables: the observables.
        at_shifts: integrals at the shifts, for muons.
        without: integrals without shifts, for electrons.
        parameters: flavio's parameters.
    """
    rows = []
    for measurement in observables.measurements:
        low, high = measurement.q2_gev2
        muons = at_shifts[_Bin(_channel(measurement, "mu"), low, high)]
        values = dict(zip(_VECTOR, muons, strict=False))
        if measurement.kind in ("R_K", "R_Kstar"):
            electrons = without[_Bin(_channel(measurement, "e"), low, high)][0]
            rows.append([values["rate"], electrons, electrons])
        elif measurement.kind in ("BR_K0", "BR_Kstar0"):
            lifetime = parameters[f"tau_{_channel(measurement, 'mu').b}"]
            ratio = lifetime * values["rate"] / (high - low) / BRANCHING_RATIO_UNIT
            rows.append([ratio, 1.0, 1.0])
        elif measurement.kind in ("P1", "P2"):
            rows.append([values[measurement.kind], values["2s"], values["2s"]])
        else:
            rows.append([values[measurement.kind], 2 * values["2s"], -2 * values["2c"]])
    return np.array(rows)


def _ignore_warnings() -> None:
    """Ignore flavio's warning about QCD factorisation above 6 GeV²: the bins are fixed."""
    warnings.filterwarnings("ignore", message="The QCDF corrections should not be trusted .*")


def _coefficients(observables: ObservableSet) -> Array:
    """Solve for the coefficients of the quadratics, float64, shape (n_observables, 3, 6)."""
    import flavio

    parameters = flavio.default_parameters.get_central_all()
    bins = _bins(observables)
    electrons = [one_bin for one_bin in bins if one_bin.channel.lepton == "e"]
    muons = [one_bin for one_bin in bins if one_bin.channel.lepton == "mu"]
    none = flavio.WilsonCoefficients()
    without = _integrals(electrons, none, parameters, N_NODES)
    values = []
    for c9, c10 in POINTS:
        shifts = flavio.WilsonCoefficients()
        if c9 or c10:
            shifts.set_initial({"C9_bsmumu": c9, "C10_bsmumu": c10}, scale=SCALE_GEV)
        at_shifts = _integrals(muons, shifts, parameters, N_NODES)
        values.append(_parts(observables, at_shifts, without, parameters))
    functions = shift_functions(*np.array(POINTS).T)
    solved = np.linalg.solve(functions, np.array(values).reshape(N_FUNCTIONS, -1))
    return np.asarray(solved.reshape(N_FUNCTIONS, -1, 3).transpose(1, 2, 0), np.float64)


def _draw_parameters(n_draws: int, seed: int) -> list[dict[str, float]]:
    """Draw values of all flavio parameters from their distributions."""
    import flavio

    # flavio uses NumPy's global random generator
    state = np.random.get_state()  # noqa: NPY002
    entropy = np.random.SeedSequence([seed, *b"theory"]).generate_state(8)
    try:
        np.random.seed(entropy)  # noqa: NPY002
        drawn = flavio.default_parameters.get_random_all(size=n_draws)
    finally:
        np.random.set_state(state)  # noqa: NPY002
    return [{name: values[i] for name, values in drawn.items()} for i in range(n_draws)]


def draw_predictions(observables: ObservableSet, n_draws: int, seed: int) -> Array:
    """Compute Standard Model predictions for random draws of the theory parameters.

    All parameters that flavio varies, such as form factors and hadronic corrections, are drawn as
    in `flavio.sm_covariance`.

    Returns:
        float64, shape (n_draws, n_observables), in the units of the observables.
    """
    import flavio

    bins, none = _bins(observables), flavio.WilsonCoefficients()
    rows = []
    with warnings.catch_warnings():
        _ignore_warnings()
        for parameters in _draw_parameters(n_draws, seed):
            integrals = _integrals(bins, none, parameters, N_NODES_COVARIANCE)
            parts = _parts(observables, integrals, integrals, parameters)
            rows.append(parts[:, 0] / np.sqrt(parts[:, 1] * parts[:, 2]))
    return np.array(rows)


def tabulate(observables: ObservableSet, n_draws: int, seed: int) -> PredictionTable:
    """Tabulate the predictions for a set of observables.

    Args:
        observables: set of observables.
        n_draws: number of draws of the theory parameters for the theory covariance.
        seed: seed of the draws.
    """
    with warnings.catch_warnings():
        _ignore_warnings()
        coefficients = _coefficients(observables)
    covariance = np.cov(draw_predictions(observables, n_draws, seed), rowvar=False)
    return PredictionTable(observables, coefficients, covariance, n_draws)
