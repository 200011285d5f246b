"""Unbinned maximum-likelihood fit of the four decay variables, at each event's own m_Kπ.

The density of a selected event is p = L(m) I(q², Ω; m, δ) / Γ(m; δ) / P(δ), with the line shape L,
which does not depend on the shifts δ, I = 9/(32π) Σ_i J_i f_i, Γ(m; δ) = ∫ dΓ/dq² over all q², and
P(δ) = ∫ L(m) Γ_selected(m; δ)/Γ(m; δ) dm. I, Γ and Γ_selected are polynomials of second degree
in δ.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Self

import numba
import numpy as np
from numpy.typing import NDArray

from wilsonvox.core.polynomials import polynomial_gradient, polynomial_terms
from wilsonvox.estimators.fits.event_density import (
    event_polynomials,
    inside_phase_space,
    require_flavour,
)
from wilsonvox.estimators.fits.minimisation import Fit, failed, minimise
from wilsonvox.estimators.fits.prepared import Estimate, PreparedMetadata
from wilsonvox.estimators.settings import LikelihoodSettings
from wilsonvox.events.event_file import Events
from wilsonvox.theory.angular import RATE_WEIGHTS
from wilsonvox.theory.integrals import mass_quadrature, rate_integrals, require_phase_space
from wilsonvox.theory.model import DecayModel
from wilsonvox.voxels.flavours import fitted_flavour
from wilsonvox.voxels.specification import ImageSpecification, selected_ranges

Array = NDArray[np.float64]

N_CHEBYSHEV = 20
"""Chebyshev nodes in m_Kπ for ln Γ(m); accurate to 1e-13."""

_FLOOR = 1e-12
"""Lower limit of the density of an event, in units of its own scale; less is rounding error."""
_BLOCK = 256
_TOGETHER = 8
_ROUGH_EVENTS = 2000
"""Minimum number of events of a rough likelihood, if there are as many."""


@numba.njit(cache=True, nogil=True)
def _sum_of_logarithms(polynomials: Array, weights: Array) -> float:
    """Σ_e ln(polynomials_e · weights), for polynomials of shape (n_monomials, n).

    Takes one logarithm of the product of a few densities, which are of order 1.
    """
    n_monomials, n = polynomials.shape
    density = np.empty(_BLOCK)
    total = 0.0
    for start in range(0, n, _BLOCK):
        size = min(_BLOCK, n - start)
        density[:] = 1.0
        for event in range(size):
            density[event] = polynomials[0, start + event] * weights[0]
        for monomial in range(1, n_monomials):
            for event in range(size):
                density[event] += polynomials[monomial, start + event] * weights[monomial]
        for event in range(size):
            density[event] = max(density[event], _FLOOR)
        width = _BLOCK // _TOGETHER
        for event in range(width):
            product = density[event]
            for other in range(1, _TOGETHER):
                product *= density[event + other * width]
            total += np.log(product)
    return total


@numba.njit(cache=True, nogil=True)
def _sums_over_density(polynomials: Array, weights: Array) -> Array:
    """Σ_e polynomials_e / (polynomials_e · weights), shape (n_monomials,)."""
    n_monomials, n = polynomials.shape
    inverse = np.empty(_BLOCK)
    result = np.zeros(n_monomials)
    for start in range(0, n, _BLOCK):
        size = min(_BLOCK, n - start)
        inverse[:] = 0.0
        for monomial in range(n_monomials):
            for event in range(size):
                inverse[event] += polynomials[monomial, start + event] * weights[monomial]
        for event in range(size):
            # below the floor the logarithm is constant
            value = inverse[event]
            inverse[event] = 1.0 / value if value > _FLOOR else 0.0
        for monomial in range(n_monomials):
            partial = 0.0
            for event in range(size):
                partial += polynomials[monomial, start + event] * inverse[event]
            result[monomial] += partial
    return result


@numba.njit(cache=True, nogil=True)
def _chebyshev_moments(x: Array, n_moments: int) -> Array:
    """Σ_e T_k(x_e) for k below `n_moments` (at least 2), shape (n_moments,)."""
    result = np.zeros(n_moments)
    result[0] = len(x)
    before, last = np.ones_like(x), x.copy()
    for k in range(1, n_moments):
        total = 0.0
        for event in range(len(x)):
            total += last[event]
            following = 2.0 * x[event] * last[event] - before[event]
            before[event] = last[event]
            last[event] = following
        result[k] = total
    return result


@dataclass(frozen=True)
class NormalisationIntegrals:
    """Integrals for the normalisation of the density, as polynomials in the parameters.

    chebyshev_rates: Γ at the Chebyshev nodes in m_Kπ, shape (N_CHEBYSHEV, n_monomials)
    mass_weights: weights of the nodes of the line shape, shape (n,)
    rates: Γ at those nodes, shape (n, n_monomials)
    selected_rates: Γ_selected at those nodes, shape (n, n_monomials)
    """

    chebyshev_rates: Array
    mass_weights: Array
    rates: Array
    selected_rates: Array

    def selected_fraction(self, weights: Array) -> Array:
        """Return P(δ), the selected fraction of all decays, shape (…).

        Args:
            weights: monomials of δ, shape (…, n_monomials).
        """
        selected = weights @ self.selected_rates.T
        return np.asarray((selected / (weights @ self.rates.T)) @ self.mass_weights)

    def selected_fraction_gradient(self, weights: Array) -> Array:
        """Return the derivatives of P by the monomials, shape (n_monomials,)."""
        rates, selected = self.rates @ weights, self.selected_rates @ weights
        return np.asarray(
            (self.mass_weights / rates) @ self.selected_rates
            - (self.mass_weights * selected / rates**2) @ self.rates
        )


@dataclass(frozen=True)
class NegativeLogLikelihood:
    """−ln L(δ) of one image, up to a constant.

    polynomials: transpose of `event_polynomials`, shape (n_monomials, n_events)
    mass_moments: Σ_e of the Lagrange polynomials of the Chebyshev nodes at m_e, (N_CHEBYSHEV,)
    normalisation: integrals, as polynomials in the same parameters
    n_parameters: number of parameters, k
    event_weight: weight of each event
    errordef: rise of −ln L at one standard deviation
    """

    polynomials: Array
    mass_moments: Array
    normalisation: NormalisationIntegrals
    n_parameters: int
    event_weight: float = 1.0
    errordef: float = 0.5

    @property
    def n_events(self) -> float:
        """Number of events of the image."""
        return float(self.polynomials.shape[1] * self.event_weight)

    def _normalisation(self, weights: Array) -> Array:
        rates = weights @ self.normalisation.chebyshev_rates.T
        fraction = self.normalisation.selected_fraction(weights)
        return np.asarray(np.log(rates) @ self.mass_moments + self.n_events * np.log(fraction))

    def value(self, parameters: Array) -> float:
        """Return −ln L at one point, shape (k,)."""
        weights = polynomial_terms(np.asarray(parameters, float), 2)
        logarithms = float(_sum_of_logarithms(self.polynomials, weights))
        return float(self._normalisation(weights)) - self.event_weight * logarithms

    def gradient(self, parameters: Array) -> Array:
        """Return the derivatives by the parameters, shape (k,)."""
        weights = polynomial_terms(np.asarray(parameters, float), 2)
        normalisation = self.normalisation
        by_monomial = -self.event_weight * _sums_over_density(self.polynomials, weights)
        rates = normalisation.chebyshev_rates
        by_monomial += (self.mass_moments / (rates @ weights)) @ rates
        by_monomial += (
            self.n_events
            / normalisation.selected_fraction(weights)
            * normalisation.selected_fraction_gradient(weights)
        )
        return np.asarray(by_monomial @ polynomial_gradient(np.asarray(parameters, float), 2))

    def values(self, points: Array) -> Array:
        """Return −ln L at n points of shape (n, k), shape (n,)."""
        weights = polynomial_terms(points, 2)
        density = np.maximum(weights @ self.polynomials, _FLOOR)
        return np.asarray(
            self._normalisation(weights) - self.event_weight * np.log(density).sum(axis=1)
        )

    def rough(self) -> Self:
        """Return −ln L of a subset of the events, weighted to their total number."""
        n_events = self.polynomials.shape[1]
        part = np.ascontiguousarray(self.polynomials[:, :: max(1, n_events // _ROUGH_EVENTS)])
        return replace(self, polynomials=part, event_weight=self.n_events / part.shape[1])


def _chebyshev_nodes() -> Array:
    return np.cos(np.pi * (np.arange(N_CHEBYSHEV) + 0.5) / N_CHEBYSHEV)


def normalisation(
    model: DecayModel, image: ImageSpecification, names: Sequence[str]
) -> NormalisationIntegrals:
    """Integrate the rate for an image specification, as polynomials in the parameters `names`.

    Raises:
        UserError: the image selects no phase space, or a parameter is unknown.
    """
    flavour, weights = fitted_flavour(image), RATE_WEIGHTS[:, None]
    inputs, ranges, everything = model.inputs, selected_ranges(image), [(0.0, np.inf)]
    require_phase_space(model, ranges)
    low, high = inputs.m_kpi_min_gev, inputs.m_kpi_max_gev
    nodes = low + (high - low) * (_chebyshev_nodes() + 1) / 2
    masses, mass_weights = mass_quadrature(model, ranges)

    def rates(at: Array, within: list[tuple[float, float]]) -> Array:
        return rate_integrals(model, at, within, names, flavour, weights)[..., 0]

    return NormalisationIntegrals(
        chebyshev_rates=rates(nodes, everything),
        mass_weights=mass_weights,
        rates=rates(masses, everything),
        selected_rates=rates(masses, ranges),
    )


def negative_log_likelihood(
    model: DecayModel,
    events: Events,
    image: ImageSpecification,
    names: Sequence[str],
    integrals: NormalisationIntegrals | None = None,
) -> NegativeLogLikelihood:
    """Build −ln L of selected events.

    Args:
        model: decay model.
        events: at least one event selected by `image`; all of its flavour.
        image: image specification: q² range, vetoes and flavour.
        names: fitted parameters, from `points.PARAMETERS`; all others are 0.
        integrals: result of `normalisation`, if already computed.

    Raises:
        UserError: events of another flavour or with a q² or m_Kπ that is not a finite number; or
            see `normalisation`.
    """
    require_flavour(events, fitted_flavour(image))
    inputs = model.inputs
    _, m_kpi = inside_phase_space(model, events)
    low, high = inputs.m_kpi_min_gev, inputs.m_kpi_max_gev
    moments = _chebyshev_moments(2 * (m_kpi - low) / (high - low) - 1, N_CHEBYSHEV)
    # ln Γ = Σ_k c_k T_k, c_k = (2 − δ_k0)/K Σ_j ln Γ(m_j) T_k(x_j)
    values = np.polynomial.chebyshev.chebvander(_chebyshev_nodes(), N_CHEBYSHEV - 1)
    values *= np.where(np.arange(N_CHEBYSHEV) == 0, 1, 2) / N_CHEBYSHEV
    return NegativeLogLikelihood(
        polynomials=np.ascontiguousarray(event_polynomials(model, events, names).T),
        mass_moments=values @ moments,
        normalisation=integrals or normalisation(model, image, names),
        n_parameters=len(names),
    )


def fit_events(
    model: DecayModel,
    events: Events,
    image: ImageSpecification,
    names: Sequence[str] = ("c9",),
    limits: tuple[float, float] = (-5.0, 5.0),
) -> Estimate:
    """Fit the shifts to any number of selected events, without a prepared file.

    Args:
        model: decay model.
        events: events selected by `image`.
        image: image specification: q² range, vetoes and flavour; its bins and its number of events
            per image are ignored.
        names: fitted parameters, from `points.PARAMETERS`; all others are 0.
        limits: lower and upper limit of every parameter.

    Raises:
        UserError: see `negative_log_likelihood`.
    """
    result = minimise(negative_log_likelihood(model, events, image, names), limits)
    return Estimate(result.values, result.errors)


def prepare(
    model: DecayModel,
    image: ImageSpecification,
    coefficients: tuple[str, ...],
    settings: LikelihoodSettings,  # noqa: ARG001
) -> dict[str, Array]:
    """Compute the arrays of a prepared file: `NormalisationIntegrals`.

    Raises:
        UserError: see `normalisation`.
    """
    return asdict(normalisation(model, image, coefficients))


@dataclass(frozen=True)
class LikelihoodEstimator:
    """Unbinned fit, ready to be applied to images."""

    model: DecayModel
    image: ImageSpecification
    coefficients: tuple[str, ...]
    limits: tuple[float, float]
    integrals: NormalisationIntegrals

    def fit(self, events: Events) -> Fit:
        """Fit one image, given its selected events."""
        if not len(events):
            return failed(len(self.coefficients))
        likelihood = negative_log_likelihood(
            self.model, events, self.image, self.coefficients, self.integrals
        )
        return minimise(likelihood, self.limits)

    def estimate(self, events: Events) -> Estimate:
        """Return the shifts of one image, given its selected events; NaN if the fit failed."""
        result = self.fit(events)
        return Estimate(result.values, result.errors)


def estimator(
    arrays: Mapping[str, Array], metadata: PreparedMetadata, model: DecayModel
) -> LikelihoodEstimator:
    """Build the estimator from the content of a prepared file."""
    return LikelihoodEstimator(
        model=model,
        image=metadata.image,
        coefficients=metadata.coefficients,
        limits=metadata.settings.parameter_range,
        integrals=NormalisationIntegrals(**arrays),
    )
