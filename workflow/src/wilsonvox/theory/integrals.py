"""Integrals of the rate over q² and over the K* line shape, as polynomials in the shifts.

Gauss–Legendre in pieces, each in a variable in which the integrand is analytic: β goes as
√(q² − 4m_ℓ²), the charm loop as √|q² − 4m_c²| and √λ as √((m_B − m_Kπ)² − q²), so those roots (the
first of the logarithm of q², because of the photon pole) are the variables near these points.
"""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from wilsonvox.core.errors import UserError
from wilsonvox.theory.line_shape import line_shape
from wilsonvox.theory.model import DecayModel

Array = NDArray[np.float64]
Range = tuple[float, float]

ALL_Q2: list[Range] = [(0.0, np.inf)]
"""All of phase space."""

N_Q2 = 16
"""Nodes in each piece of q²; rates are good to 1e-12."""
N_MASS = 12
"""Nodes in each piece of m_Kπ; fractions are good to 1e-12."""

_CHUNK = 400_000
"""Coefficients (nodes times monomials) computed at once."""


def ranges_between(low: float, high: float, vetoes: Sequence[Range] = ()) -> list[Range]:
    """A q² range without veto windows [GeV²], rising.

    >>> ranges_between(0, 20, [(8, 11), (12.7, 14)])
    [(0, 8), (11, 12.7), (14, 20)]
    """
    ranges = [(low, high)]
    for veto_low, veto_high in vetoes:
        parts = [
            ((first, min(last, veto_low)), (max(first, veto_high), last)) for first, last in ranges
        ]
        ranges = [part for pair in parts for part in pair if part[0] < part[1]]
    return ranges


def intersection(ranges: Sequence[Range], low: float, high: float) -> list[Range]:
    """What of rising `ranges` lies between `low` and `high`."""
    cut = [(max(low, first), min(high, last)) for first, last in ranges]
    return [(first, last) for first, last in cut if first < last]


def _legendre(nodes: int, low: float, high: float) -> tuple[Array, Array]:
    x, weights = np.polynomial.legendre.leggauss(nodes)
    half = (high - low) / 2
    return low + half * (x + 1), half * weights


def _piece(
    region: int, low: float, high: float, ends: Sequence[float], nodes: int
) -> tuple[Array, Array]:
    """Nodes and weights in one region of q²; `ends` are the five ends of the four regions."""
    start, _, cusp, _, end = ends
    if region == 0:
        r, weights = _legendre(nodes, *np.sqrt(np.log(np.maximum([low / start, high / start], 1))))
        q2 = start * np.exp(r**2)
        return q2, weights * 2 * r * q2
    if region == 1:
        # not √(cusp − q²): for electrons q² covers many orders of magnitude
        r, weights = _legendre(nodes, *np.sqrt(np.log([cusp / high, cusp / low])))
        q2 = cusp * np.exp(-(r**2))
        return q2, weights * 2 * r * q2
    if region == 2:
        r, weights = _legendre(nodes, *np.sqrt(np.maximum([low - cusp, high - cusp], 0)))
        return cusp + r**2, weights * 2 * r
    r, weights = _legendre(nodes, *np.sqrt(np.maximum([end - high, end - low], 0)))
    return end - r**2, weights * 2 * r


def q2_quadrature(
    model: DecayModel, m_kpi: float, ranges: Sequence[Range], nodes: int = N_Q2
) -> tuple[Array, Array]:
    """Nodes in q² [GeV²] and weights for ∫ dq² over `ranges`, at one m_Kπ [GeV].

    Args:
        model: gives the ends of phase space and the cusp.
        m_kpi: GeV.
        ranges: rising, not overlapping [GeV²]; cut to phase space.
        nodes: in each piece.

    Returns:
        Two float64 arrays of one shape (n,); n is 0 where nothing of phase space is in the ranges.
    """
    start, cusp = model.q2_min_gev2, model.charm_threshold_gev2
    end = float(model.q2_end(np.asarray(m_kpi)))
    ends = (start, float(np.sqrt(start * cusp)), cusp, (cusp + end) / 2, end)
    found = [
        _piece(region, low, high, ends, nodes)
        for region, edges in enumerate(itertools.pairwise(ends))
        for low, high in intersection(ranges, *edges)
    ]
    if not found:
        return np.empty(0), np.empty(0)
    return np.concatenate([q2 for q2, _ in found]), np.concatenate([w for _, w in found])


def mass_quadrature(
    model: DecayModel, ranges: Sequence[Range] = (), nodes: int = N_MASS
) -> tuple[Array, Array]:
    """Nodes in m_Kπ [GeV] and weights for the mean over the line shape, ∫ L(m) … dm / ∫ L(m) dm.

    Args:
        model: gives the line shape.
        ranges: of q² [GeV²]. Where phase space ends at an edge of them, integrals over q² go as
            (m₁ − m)^{3/2} below that m₁ = m_B − √edge, so a piece ends there, in √(m₁ − m).
        nodes: in each piece.

    Returns:
        Two float64 arrays of one shape (n,); the weights' sum is 1.
    """
    inputs = model.inputs
    low, high = inputs.m_kpi_min_gev, inputs.m_kpi_max_gev
    kinks = {inputs.m_b_meson_gev - float(np.sqrt(edge)) for pair in ranges for edge in pair}
    kinks = {kink for kink in kinks if low < kink < high}
    widths = inputs.m_k_star_gev + inputs.width_k_star_gev * np.array([-3, -1, 0, 1, 3, 6])
    cuts = sorted({low, high, *kinks, *(cut for cut in widths.tolist() if low < cut < high)})
    masses, weights = [], []
    for first, last in itertools.pairwise(cuts):
        if last in kinks:
            r, weight = _legendre(nodes, 0.0, float(np.sqrt(last - first)))
            masses.append(last - r**2)
            weights.append(weight * 2 * r)
        else:
            mass, weight = _legendre(nodes, first, last)
            masses.append(mass)
            weights.append(weight)
    mass, weight = np.concatenate(masses), np.concatenate(weights)
    weight = weight * line_shape(mass, inputs)
    return mass, weight / weight.sum()


def _groups(sizes: Sequence[int], most: int) -> Iterator[slice]:
    """Consecutive slices of `sizes`, each of a sum of about `most`."""
    start = 0
    while start < len(sizes):
        stop, total = start + 1, sizes[start]
        while stop < len(sizes) and total + sizes[stop] <= most:
            total += sizes[stop]
            stop += 1
        yield slice(start, stop)
        start = stop


def rate_integrals(
    model: DecayModel,
    m_kpi: Array,
    ranges: Sequence[Range],
    names: Sequence[str],
    flavour: int,
    weights: Array,
    nodes: int = N_Q2,
) -> Array:
    """∫ dq² Σ_i J_i weights_i over `ranges` at each m_Kπ, as polynomials in the parameters `names`.

    Args:
        model: the decay.
        m_kpi: GeV, shape (n,).
        ranges: of q² [GeV²], cut to phase space.
        names: parameters, of `points.PARAMETERS`; all others are 0.
        flavour: +1 for B0, −1 for anti-B0.
        weights: of the J_i, shape (11, n_outputs), such as ``RATE_WEIGHTS[:, None]``.
        nodes: in each piece of q².

    Returns:
        float64 of shape (n, n_monomials, n_outputs), with the constant of `DecayModel`.
    """
    n_monomials = (len(names) + 1) * (len(names) + 2) // 2
    found = [q2_quadrature(model, float(mass), ranges, nodes) for mass in m_kpi]
    result = np.zeros((len(m_kpi), n_monomials, weights.shape[1]))
    sizes = [len(q2) for q2, _ in found]
    for group in _groups(sizes, _CHUNK // n_monomials):
        q2 = np.concatenate([nodes_ for nodes_, _ in found[group]])
        if not len(q2):
            continue
        mass = np.repeat(m_kpi[group], sizes[group])
        values = model.polynomials(q2, mass, names, flavour=flavour) @ weights
        values *= np.concatenate([weight for _, weight in found[group]])[:, None, None]
        for index, part in zip(
            range(group.start, group.stop),
            np.split(values, np.cumsum(sizes[group])[:-1]),
            strict=True,
        ):
            result[index] = part.sum(axis=0)
    return result


def require_phase_space(model: DecayModel, ranges: Sequence[Range]) -> None:
    """Refuse q² ranges in which there is no phase space.

    Raises:
        UserError: nothing of the ranges is between the threshold and the end at the smallest m_Kπ.
    """
    end = float(model.q2_end(np.asarray(model.inputs.m_kpi_min_gev)))
    if not intersection(ranges, model.q2_min_gev2, end):
        raise UserError(
            f"q2 range: no phase space is left between its ends and the vetoes; "
            f"it goes from {model.q2_min_gev2:.3g} to {end:.3g} GeV²"
        )
