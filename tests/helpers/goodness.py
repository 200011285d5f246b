"""Goodness of fit of a file of decays with the model: many statistics, one p-value, from toys.

The statistics are those of `STATISTICS`: χ² of four one-dimensional and six two-dimensional
histograms, χ² of the twelve angular moments in three ranges of q², and the pull of the likelihood's
δC9. Expectations, covariances and the distributions of the statistics come from toys with as many
events as the file. The overall statistic is the smallest p-value; its distribution over the toys
gives the overall p-value, which accounts for correlations between the statistics.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2, norm

from wilsonvox.events.event_file import Events
from wilsonvox.events.generation.sampler import Stream, generate
from wilsonvox.theory.angular import angular_functions
from wilsonvox.theory.coefficient_table import AngularCoefficients

Array = NDArray[np.float64]

VARIABLES = ("q2", "cos_theta_mu", "cos_theta_k", "chi")
PAIRS = tuple(itertools.combinations(VARIABLES, 2))
Q2_RANGES = ((0.0, 4.0), (4.0, 10.0), (10.0, 25.0))
FINE, COARSE = 48, 12
STATISTICS = (
    *VARIABLES,
    *(f"{a} × {b}" for a, b in PAIRS),
    *(f"moments, {low:g} < q2 < {high:g} GeV²" for low, high in Q2_RANGES),
    "likelihood's δC9",
)

Fit = Callable[[Events], tuple[float, float]]
"""Function that returns δC9 of events and its error."""


def quantile_edges(events: Events) -> dict[str, Array]:
    """Inner edges of bins with equal numbers of events, float64 of shape (FINE − 1,) each."""
    levels = np.arange(1, FINE) / FINE
    return {name: np.quantile(getattr(events, name), levels) for name in VARIABLES}


def moments(events: Events) -> Array:
    """Means of the twelve angular functions in each q² range, shape (3, 12); J_6c is last."""
    mu, k, chi = (events.columns()[name].astype(np.float64) for name in VARIABLES[1:])
    functions = np.column_stack([angular_functions(mu, k, chi), k**2 * mu])
    result = []
    for low, high in Q2_RANGES:
        inside = (events.q2 >= low) & (events.q2 < high)
        result.append(functions[inside].mean(axis=0))
    return np.array(result)


@dataclass(frozen=True)
class Numbers:
    """Compared quantities: histograms (fine in 1D, coarse in 2D), moments, δC9, its error."""

    one: Array
    two: Array
    moments: Array
    fit: tuple[float, float]

    @classmethod
    def of(cls, events: Events, edges: dict[str, Array], fit: Fit) -> "Numbers":
        """Compute the compared quantities of events."""
        index = {
            name: np.searchsorted(edges[name], getattr(events, name).astype(np.float64))
            for name in VARIABLES
        }
        coarse = {name: bins // (FINE // COARSE) for name, bins in index.items()}
        one = [np.bincount(index[name], minlength=FINE) for name in VARIABLES]
        two = [np.bincount(coarse[a] * COARSE + coarse[b], minlength=COARSE**2) for a, b in PAIRS]
        return cls(np.array(one, float), np.array(two, float), moments(events), fit(events))


def toys(
    table: AngularCoefficients,
    shifts: NDArray[np.complex128],
    flavour: int,
    n_events: int,
    n_toys: int,
    seed: int = 1,
) -> Iterator[Events]:
    """Yield toys with `n_events` events."""
    stream = Stream(seed, "goodness", "test", 0)
    held = Events.concatenate([])
    made = 0
    for chunk in generate(table, shifts, n_events * n_toys, stream, flavour):
        held = Events.concatenate([held, chunk])
        while len(held) >= n_events and made < n_toys:
            yield held[:n_events]
            held = held[n_events:]
            made += 1


@dataclass(frozen=True)
class Goodness:
    """p-values of a file, by statistic, and the overall p-value."""

    p_values: dict[str, float]
    overall: float
    shift: float
    error: float

    @property
    def pull(self) -> float:
        """Pull of the fitted δC9 with respect to the model's."""
        return self.shift / self.error


def _statistics(all_numbers: list[Numbers], true: float) -> Array:
    """Statistics of every set, shape (n, 14); expectations are means over all but the first."""
    n = len(all_numbers)
    columns = []
    for name, count in (("one", len(VARIABLES)), ("two", len(PAIRS))):
        values = np.array([getattr(numbers, name) for numbers in all_numbers])
        expected = (values.sum(axis=0) - values) / (n - 1)
        squares = (values - expected) ** 2 / np.maximum(expected, 1e-9)
        columns += [squares[:, index].sum(axis=-1) for index in range(count)]
    values = np.array([number.moments for number in all_numbers])
    for index in range(len(Q2_RANGES)):
        centred = values[:, index] - values[:, index].mean(axis=0)
        # of rank eleven, because the functions of J_1s and J_1c add up to one
        inverse = np.linalg.pinv(np.cov(centred.T), rcond=1e-9, hermitian=True)
        columns.append(((centred @ inverse) * centred).sum(axis=1))
    columns.append(np.array([abs(entry.fit[0] - true) / entry.fit[1] for entry in all_numbers]))
    return np.stack(columns, axis=1)


def _tail(of_toys: Array, values: Array) -> Array:
    """Smooth p-values of χ²-like statistics, with mean and variance of the toys."""
    scale = of_toys.var() / (2 * of_toys.mean())
    return np.asarray(chi2.sf(values / scale, of_toys.mean() / scale))


def goodness(
    events: Events,
    table: AngularCoefficients,
    shifts: NDArray[np.complex128],
    fit: Fit,
    n_toys: int,
    seed: int = 1,
) -> Goodness:
    """Compare events with the model at `shifts`.

    Args:
        events: events of one flavour.
        table: coefficient table of the model.
        shifts: complex128, shape (6,).
        fit: function that returns δC9 and its error.
        n_toys: number of toys; the smallest p-value is 1/(n_toys + 1).
        seed: seed of the toys.
    """
    flavour = int(events.flavour[0])
    source = toys(table, shifts, flavour, len(events), n_toys, seed)
    first = next(source)
    edges = quantile_edges(first)
    numbers = [Numbers.of(sample, edges, fit) for sample in itertools.chain([first], source)]
    numbers.append(Numbers.of(events, edges, fit))
    true = float(shifts[1].real)
    statistics = _statistics(numbers, true)
    of_toys = statistics[:-1]
    p_values = np.stack([_tail(of_toys[:, i], statistics[:, i]) for i in range(13)], axis=1)
    pulls = 2 * norm.sf(statistics[:, 13] / np.sqrt(np.mean(of_toys[:, 13] ** 2)))
    p_values = np.column_stack([p_values, pulls])
    least = p_values.min(axis=1)
    overall = (1 + np.sum(least[:-1] <= least[-1])) / (n_toys + 1)
    exact = (1 + (of_toys >= statistics[-1]).sum(axis=0)) / (n_toys + 1)
    shift, error = numbers[-1].fit
    return Goodness(
        dict(zip(STATISTICS, map(float, exact), strict=True)), float(overall), shift - true, error
    )
