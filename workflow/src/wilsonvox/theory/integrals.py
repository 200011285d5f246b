"""Integrals of the rate over q² and over the K* line shape, as polynomials in the shifts.

The integrals use Gauss–Legendre quadrature in pieces, each in a variable in which the integrand is
analytic. β varies as √(q² − 4m_ℓ²), the charm loop as √|q² − 4m_c²| and √λ as
√((m_B − m_Kπ)² − q²), so these roots are the integration variables near these points (near the
first, the root of ln q², because of the photon pole).
"""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from wilsonvox.core.errors import UserError
from wilsonvox.theory.line_shape import line_shape
from wilsonvox.theory.model import DecayModel
from wilsonvox.theory.q2_ranges import Range, intersection

Array = NDArray[np.float64]

ALL_Q2: list[Range] = [(0.0, np.inf)]
"""The q² range that includes all of phase space."""

N_Q2 = 16
"""Nodes in each piece of q²; rates are accurate to 1e-12."""
N_MASS = 12
"""Nodes in each piece of m_Kπ; fractions are accurate to 1e-12."""

_CHUNK = 400_000
"""Number of coefficients (nodes times monomials) computed at once."""


def _legendre(nodes: int, low: float, high: float) -> tuple[Array, Array]:
    x, weights = np.polynomial.legendre.leggauss(nodes)
    half = (high - low) / 2
    return low + half * (x + 1), half * weights


def _piece(
    region: int, low: float, high: float, ends: Sequence[float], nodes: int
) -> tuple[Array, Array]:
    """Return nodes and weights in one of four regions of q², which `ends` (five values) delimit."""
    start, _, cusp, _, end = ends
    if region == 0:
        r, weights = _legendre(nodes, *np.sqrt(np.log(np.maximum([low / start, high / start], 1))))
        q2 = start * np.exp(r**2)
        return q2, weights * 2 * r * q2
    if region == 1:
        # not √(cusp − q²): for electrons q² spans many orders of magnitude
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
    """Return nodes in q² [GeV²] and weights for ∫ dq² over `ranges`, at one m_Kπ [GeV].

    Args:
        model: decay model, which defines the ends of phase space and the cusp.
        m_kpi: GeV.
        ranges: ascending and disjoint [GeV²]; cut to phase space.
        nodes: number of nodes in each piece.

    Returns:
        Two float64 arrays of shape (n,); n is 0 if the ranges contain no phase space.
    """
    start, cusp = model.q2_min_gev2, model.charm_threshold_gev2
    end = float(model.q2_end(np.asarray(m_kpi)))
    ends = (start, float(np.sqrt(start * cusp)), cusp, (cusp + end) / 2, end)
    pieces = [
        _piece(region, low, high, ends, nodes)
        for region, edges in enumerate(itertools.pairwise(ends))
        for low, high in intersection(ranges, *edges)
    ]
    if not pieces:
        return np.empty(0), np.empty(0)
    return np.concatenate([q2 for q2, _ in pieces]), np.concatenate([w for _, w in pieces])


def mass_quadrature(
    model: DecayModel, ranges: Sequence[Range] = (), nodes: int = N_MASS
) -> tuple[Array, Array]:
    """Return nodes in m_Kπ [GeV] and weights for the mean over the line shape L.

    The mean is ∫ L(m) … dm / ∫ L(m) dm.

    Args:
        model: decay model, which defines the line shape.
        ranges: ranges of q² [GeV²]. Integrals over a range whose edge is the end of phase space at
            m₁ = m_B − √edge vary as (m₁ − m)^{3/2} below m₁. A piece therefore ends at each m₁,
            with √(m₁ − m) as the variable.
        nodes: number of nodes in each piece.

    Returns:
        Two float64 arrays of shape (n,); the sum of the weights is 1.
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
    """Yield consecutive slices of `sizes` with sums of about `most`."""
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
    """Integrate Σ_i J_i weights_i over q² at each m_Kπ, as polynomials in the parameters `names`.

    Args:
        model: the decay model.
        m_kpi: GeV, shape (n,).
        ranges: ranges of q² [GeV²], cut to phase space.
        names: parameters, from `points.PARAMETERS`; all others are 0.
        flavour: +1 for B0, −1 for anti-B0.
        weights: weights of the J_i, shape (11, n_outputs), such as ``RATE_WEIGHTS[:, None]``.
        nodes: number of nodes in each piece of q².

    Returns:
        float64 of shape (n, n_monomials, n_outputs), in the relative units of `DecayModel`.
    """
    n_monomials = (len(names) + 1) * (len(names) + 2) // 2
    rules = [q2_quadrature(model, float(mass), ranges, nodes) for mass in m_kpi]
    result = np.zeros((len(m_kpi), n_monomials, weights.shape[1]))
    sizes = [len(q2) for q2, _ in rules]
    for group in _groups(sizes, _CHUNK // n_monomials):
        q2 = np.concatenate([nodes_ for nodes_, _ in rules[group]])
        if not len(q2):
            continue
        mass = np.repeat(m_kpi[group], sizes[group])
        values = model.polynomials(q2, mass, names, flavour=flavour) @ weights
        values *= np.concatenate([weight for _, weight in rules[group]])[:, None, None]
        for index, part in zip(
            range(group.start, group.stop),
            np.split(values, np.cumsum(sizes[group])[:-1]),
            strict=True,
        ):
            result[index] = part.sum(axis=0)
    return result


def require_phase_space(model: DecayModel, ranges: Sequence[Range]) -> None:
    """Raise an error if q² ranges [GeV²] contain no phase space.

    Raises:
        UserError: no part of the ranges lies between the threshold and the end of phase space at
            the smallest m_Kπ.
    """
    end = float(model.q2_end(np.asarray(model.inputs.m_kpi_min_gev)))
    if not intersection(ranges, model.q2_min_gev2, end):
        raise UserError(
            f"q2 range: no phase space is left between its ends and the vetoes; "
            f"it goes from {model.q2_min_gev2:.3g} to {end:.3g} GeV²"
        )
