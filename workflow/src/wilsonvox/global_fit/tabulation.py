"""Tables of predictions from flavio: exact quadratics in the shifts, and the theory's errors.

flavio integrates each bin anew at each point. Here what it integrates is evaluated once, on
Gauss–Legendre nodes in q² and at six points, which determine the six coefficients of a quadratic.
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
"""Shifts (δC9, δC10) at which everything is evaluated: as many as a quadratic has coefficients."""

SCALE_GEV = 4.8
"""Scale at which the shifts are defined, that of flavio's predictions of these decays."""

N_NODES = 16
"""Nodes in a bin, for the predictions."""
N_NODES_OF_DRAWS = 3
"""Nodes in a bin, for the theory's errors."""


@dataclass(frozen=True)
class _Channel:
    """A decay: mesons and lepton in flavio's words."""

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
    """What observables of B → K*ℓℓ are made of at one q² [GeV²], in the order of `_VECTOR`.

    The numerators of P1, P2, P4′ and P5′ are those of flavio, in LHCb's convention.
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
    """Function of q² [GeV²] that gives what the observables of a decay are made of.

    Args:
        channel: the decay.
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
    """Gauss–Legendre nodes and weights in q² [GeV²], in its logarithm where the bin begins low.

    There the photon's pole, 1/q², makes the rates steep.
    """
    x, weights = np.polynomial.legendre.leggauss(n)
    if low > 0.5:
        return (low + high) / 2 + (high - low) / 2 * x, weights * (high - low) / 2
    half = math.log(high / low) / 2
    q2 = np.exp(math.log(low) + half * (1 + x))
    return q2, weights * half * q2


@dataclass(frozen=True)
class _Bin:
    """A decay in a bin of q² [GeV²]."""

    channel: _Channel
    low: float
    high: float


def _bins(observables: ObservableSet) -> list[_Bin]:
    """All decays in bins that the observables are made of, each once."""
    found: dict[_Bin, None] = {}
    for each in observables.measurements:
        for lepton in ("mu", "e") if each.kind in ("R_K", "R_Kstar") else ("mu",):
            found[_Bin(_channel(each, lepton), *each.q2_gev2)] = None
    return list(found)


def _integrals(
    bins: list[_Bin], shifts: Any, parameters: Mapping[str, float], n_nodes: int
) -> dict[_Bin, Array]:
    """Integrals over each bin of what its observables are made of."""
    rates: dict[_Channel, Callable[[float], Array]] = {}
    found = {}
    for each in bins:
        channel = each.channel
        if channel not in rates:
            rates[channel] = _rates(channel, shifts, parameters)
        lightest = 4 * parameters[f"m_{channel.lepton}"] ** 2
        end = (parameters[f"m_{channel.b}"] - parameters[f"m_{channel.meson}"]) ** 2
        nodes, weights = _nodes(max(each.low, lightest), min(each.high, end), n_nodes)
        found[each] = weights @ np.array([rates[channel](float(q2)) for q2 in nodes])
    return found


def _parts(
    observables: ObservableSet,
    at_shifts: Mapping[_Bin, Array],
    without: Mapping[_Bin, Array],
    parameters: Mapping[str, float],
) -> Array:
    """Numerator and two denominators of each observable, float64, shape (n_observables, 3).

    Args:
        observables: which.
        at_shifts: integrals at the shifts.
        without: those at no shift, of which electrons' are taken.
        parameters: flavio's parameters.
    """
    rows = []
    for each in observables.measurements:
        low, high = each.q2_gev2
        muons = at_shifts[_Bin(_channel(each, "mu"), low, high)]
        values = dict(zip(_VECTOR, muons, strict=False))
        if each.kind in ("R_K", "R_Kstar"):
            electrons = without[_Bin(_channel(each, "e"), low, high)][0]
            rows.append([values["rate"], electrons, electrons])
        elif each.kind in ("BR_K0", "BR_Kstar0"):
            lifetime = parameters[f"tau_{_channel(each, 'mu').b}"]
            ratio = lifetime * values["rate"] / (high - low) / BRANCHING_RATIO_UNIT
            rows.append([ratio, 1.0, 1.0])
        elif each.kind in ("P1", "P2"):
            rows.append([values[each.kind], values["2s"], values["2s"]])
        else:
            rows.append([values[each.kind], 2 * values["2s"], -2 * values["2c"]])
    return np.array(rows)


def _quiet() -> None:
    """Silence what flavio says of charm above 6 GeV² and of old names, once a bin is chosen."""
    warnings.filterwarnings("ignore", message="The QCDF corrections should not be trusted .*")


def _coefficients(observables: ObservableSet) -> Array:
    """Coefficients of the quadratics, float64, shape (n_observables, 3, 6)."""
    import flavio

    parameters = flavio.default_parameters.get_central_all()
    bins = _bins(observables)
    electrons = [each for each in bins if each.channel.lepton == "e"]
    muons = [each for each in bins if each.channel.lepton == "mu"]
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
    """Values of all of flavio's parameters, drawn from their distributions."""
    import flavio

    # flavio draws from numpy's global generator
    state = np.random.get_state()  # noqa: NPY002
    entropy = np.random.SeedSequence([seed, *b"theory"]).generate_state(8)
    try:
        np.random.seed(entropy)  # noqa: NPY002
        drawn = flavio.default_parameters.get_random_all(size=n_draws)
    finally:
        np.random.set_state(state)  # noqa: NPY002
    return [{name: values[i] for name, values in drawn.items()} for i in range(n_draws)]


def draw_predictions(observables: ObservableSet, n_draws: int, seed: int) -> Array:
    """Predictions without shifts for draws of the theory's parameters.

    Form factors, hadronic corrections and all else that flavio varies, as its `sm_covariance`
    does.

    Returns:
        float64, shape (n_draws, n_observables), in the units of the observables.
    """
    import flavio

    bins, none = _bins(observables), flavio.WilsonCoefficients()
    rows = []
    with warnings.catch_warnings():
        _quiet()
        for parameters in _draw_parameters(n_draws, seed):
            integrals = _integrals(bins, none, parameters, N_NODES_OF_DRAWS)
            parts = _parts(observables, integrals, integrals, parameters)
            rows.append(parts[:, 0] / np.sqrt(parts[:, 1] * parts[:, 2]))
    return np.array(rows)


def tabulate(observables: ObservableSet, n_draws: int, seed: int) -> PredictionTable:
    """The table of a set's predictions.

    Args:
        observables: the set.
        n_draws: draws of the theory's parameters, from which its covariance is computed.
        seed: of these draws.
    """
    with warnings.catch_warnings():
        _quiet()
        coefficients = _coefficients(observables)
    covariance = np.cov(draw_predictions(observables, n_draws, seed), rowvar=False)
    return PredictionTable(observables, coefficients, covariance, n_draws)
