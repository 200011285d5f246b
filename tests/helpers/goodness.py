"""How well a file of decays agrees with the model: many statistics, one p-value, from toys.

The statistics are those of `STATISTICS`: chi-squares of four one-dimensional and six
two-dimensional histograms, chi-squares of the twelve angular moments in three q² ranges, and the
pull of the likelihood's δC9. Expectations, covariances and the distribution of every statistic are
those of toys with as many events as the file. The overall statistic is the least of the statistics'
p-values; its own distribution over the toys gives the overall p-value, so that correlations between
the statistics count as they should.
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
"""δC9 of events and its error."""


def quantile_edges(events: Events) -> dict[str, Array]:
    """Inner edges of bins with equal numbers of events, float64 of shape (FINE − 1,) each."""
    levels = np.arange(1, FINE) / FINE
    return {name: np.quantile(getattr(events, name), levels) for name in VARIABLES}


def moments(events: Events) -> Array:
    """Means of the twelve angular functions in each q² range, shape (3, 12); J_6c's stands last."""
    mu, k, chi = (events.columns()[name].astype(np.float64) for name in VARIABLES[1:])
    functions = np.column_stack([angular_functions(mu, k, chi), k**2 * mu])
    result = []
    for low, high in Q2_RANGES:
        inside = (events.q2 >= low) & (events.q2 < high)
        result.append(functions[inside].mean(axis=0))
    return np.array(result)


@dataclass(frozen=True)
class Numbers:
    """What is compared: histograms (fine in one variable, coarse in two), moments, δC9, error."""

    one: Array
    two: Array
    moments: Array
    fit: tuple[float, float]

    @classmethod
    def of(cls, events: Events, edges: dict[str, Array], fit: Fit) -> "Numbers":
        """Reduce events to what is compared."""
        index = {
            name: np.searchsorted(edges[name], getattr(events, name).astype(np.float64))
            for name in VARIABLES
        }
        coarse = {name: each // (FINE // COARSE) for name, each in index.items()}
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
    """Toys of `n_events` events each."""
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
    """p-values of a file, by statistic, and the overall one."""

    p_values: dict[str, float]
    overall: float
    shift: float
    error: float

    @property
    def pull(self) -> float:
        """Of the fitted δC9, from the model's."""
        return self.shift / self.error


def _statistics(all_numbers: list[Numbers], true: float) -> Array:
    """Statistics of every set of numbers, shape (n, 14); expectations are those of all but one."""
    n = len(all_numbers)
    columns = []
    for name, count in (("one", len(VARIABLES)), ("two", len(PAIRS))):
        values = np.array([getattr(each, name) for each in all_numbers])
        expected = (values.sum(axis=0) - values) / (n - 1)
        squares = (values - expected) ** 2 / np.maximum(expected, 1e-9)
        columns += [squares[:, index].sum(axis=-1) for index in range(count)]
    values = np.array([each.moments for each in all_numbers])
    for index in range(len(Q2_RANGES)):
        centred = values[:, index] - values[:, index].mean(axis=0)
        # of rank eleven: the functions of J_1s and J_1c add up to one
        inverse = np.linalg.pinv(np.cov(centred.T), rcond=1e-9, hermitian=True)
        columns.append(((centred @ inverse) * centred).sum(axis=1))
    columns.append(np.array([abs(each.fit[0] - true) / each.fit[1] for each in all_numbers]))
    return np.stack(columns, axis=1)


def _tail(of_toys: Array, values: Array) -> Array:
    """Smooth p-values of chi-square-like statistics, with the toys' mean and variance."""
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
        events: all of one flavour.
        table: of the model.
        shifts: complex128, shape (6,).
        fit: δC9 and its error.
        n_toys: the least p-value is 1/(n_toys + 1).
        seed: of the toys.
    """
    flavour = int(events.flavour[0])
    source = toys(table, shifts, flavour, len(events), n_toys, seed)
    first = next(source)
    edges = quantile_edges(first)
    numbers = [Numbers.of(each, edges, fit) for each in itertools.chain([first], source)]
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
