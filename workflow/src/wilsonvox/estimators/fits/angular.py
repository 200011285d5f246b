"""Angular analysis: observables in bins of q² by the method of moments, and a χ² fit of the shifts.

In each bin of q² the means of functions dual to the eleven angular functions f_i are unbiased
estimates of the normalised J_i for any lepton mass (arXiv:1503.04100, section 2), and so of F_L,
A_FB and S_3, S_4, S_5, S_7, S_8, S_9 in LHCb's convention. The χ² of measured and predicted
observables is minimised first with the covariance of the sample, then with the covariance that the
model predicts at the first result. (Fluctuations of the means and of the sample covariance are
correlated; with the sample covariance alone the result is biased by a tenth of its error.)

The fit does not use the numbers of events in the bins (the q² distribution), q² within a bin, m_Kπ,
events outside all bins, or properties of the angular distribution other than these means.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

from wilsonvox.core.errors import UserError
from wilsonvox.core.polynomials import polynomial_gradient, polynomial_terms
from wilsonvox.estimators.fits.event_density import require_flavour
from wilsonvox.estimators.fits.minimisation import Fit, failed, minimise
from wilsonvox.estimators.fits.prepared import Estimate, PreparedMetadata
from wilsonvox.estimators.settings import AngularLikelihoodSettings
from wilsonvox.events.event_file import Events
from wilsonvox.theory.angular import NAMES, RATE_WEIGHTS, angular_functions
from wilsonvox.theory.integrals import mass_quadrature, rate_integrals, require_phase_space
from wilsonvox.theory.model import DecayModel
from wilsonvox.theory.q2_ranges import Range, intersection
from wilsonvox.voxels.flavours import fitted_flavour
from wilsonvox.voxels.specification import ImageSpecification, selected_ranges

Array = NDArray[np.float64]

OBSERVABLES = ("F_L", "A_FB", "S3", "S4", "S5", "S7", "S8", "S9")
"""Observables of each bin, in the order of all arrays."""

MINIMUM_EVENTS = 100
"""Minimum number of events of a bin: with fewer, its sample covariance is too uncertain."""

N_MASS = 8
"""Quadrature nodes per interval of m_Kπ; observables are accurate to 1e-8."""


def _observable_weights() -> Array:
    """Observables as linear functions of the J_i over the rate, shape (11, 8)."""
    weights = np.zeros((len(NAMES), len(OBSERVABLES)))
    for column, name in enumerate(OBSERVABLES):
        if name == "F_L":
            weights[NAMES.index("1c"), column] = 0.75
            weights[NAMES.index("2c"), column] = -0.25
        elif name == "A_FB":
            weights[NAMES.index("6s"), column] = 0.75
        else:
            weights[NAMES.index(name[1:]), column] = 1
    return weights


@cache
def _angular_integrals() -> tuple[Array, Array]:
    """9/(32π) ∫ f_i f_j dΩ and 9/(32π) ∫ f_i f_j f_k dΩ, shapes (11, 11) and (11, 11, 11)."""
    cosines, weights = np.polynomial.legendre.leggauss(8)
    chi = np.arange(16) * np.pi / 8
    axes = np.meshgrid(cosines, cosines, chi, indexing="ij")
    volume = np.einsum("i,j,k->ijk", weights, weights, np.full(16, np.pi / 8)).ravel()
    functions = angular_functions(*(axis.ravel() for axis in axes))
    weighted = 9 / (32 * np.pi) * volume[:, None] * functions
    triple = np.einsum("ei,ej,ek->ijk", weighted, functions, functions, optimize=True)
    return weighted.T @ functions, triple


@cache
def _moment_weights() -> Array:
    """Functions whose means are the observables, as coefficients of the f_i, shape (11, 8).

    The mean of f_j is Σ_i J_i/Γ · 9/(32π) ∫ f_i f_j dΩ.
    """
    return np.asarray(np.linalg.solve(_angular_integrals()[0], _observable_weights()))


def event_moments(cos_theta_mu: Array, cos_theta_k: Array, chi: Array) -> Array:
    """Evaluate the functions of the angles whose means are the observables.

    Args:
        cos_theta_mu: shape (n,), dimensionless.
        cos_theta_k: shape (n,), dimensionless.
        chi: shape (n,) [rad].

    Returns:
        float64 of shape (n, 8), dimensionless, in the order of `OBSERVABLES`.
    """
    return angular_functions(cos_theta_mu, cos_theta_k, chi) @ _moment_weights()


def measure_moments(events: Events) -> tuple[Array, Array]:
    """Measure the observables of a sample and their covariance by the method of moments.

    Args:
        events: at least two events with any q²; only the angles are used.

    Returns:
        float64 of shape (8,), dimensionless, in the order of `OBSERVABLES`, and their covariance
        of shape (8, 8), the sample covariance divided by the number of events.
    """
    angles = (events.cos_theta_mu, events.cos_theta_k, events.chi)
    values = event_moments(*(np.asarray(angle, float) for angle in angles))
    return values.mean(axis=0), np.cov(values, rowvar=False) / len(values)


@dataclass(frozen=True)
class Predictions:
    """Integrals of the J_i over the bins, as polynomials in the parameters.

    mass_weights: weights of the nodes of the line shape, shape (n,)
    rates: Γ over all q² at those nodes, shape (n, n_monomials)
    bins: J_i integrated over the selected part of each bin at those nodes, shape
        (n_bins, n, n_monomials, 11)
    """

    mass_weights: Array
    rates: Array
    bins: Array

    def normalised_coefficients(self, parameters: Array) -> tuple[Array, Array]:
        """Return J_i/Γ of the bins and their derivatives by the parameters.

        Args:
            parameters: shape (k,).

        Returns:
            float64 of shapes (n_bins, 11) and (n_bins, k, 11).
        """
        parameters = np.asarray(parameters, float)
        weights = polynomial_terms(parameters, 2)
        rates = self.rates @ weights
        factor = self.mass_weights / rates
        at_nodes = np.einsum("bnpi,p->bni", self.bins, weights)
        by_monomial = np.einsum("n,bnpi->bpi", factor, self.bins)
        by_monomial -= np.einsum("np,bni->bpi", (factor / rates)[:, None] * self.rates, at_nodes)
        coefficients = np.einsum("n,bni->bi", factor, at_nodes)
        slopes = np.einsum("bpi,pk->bki", by_monomial, polynomial_gradient(parameters, 2))
        rate = (coefficients @ RATE_WEIGHTS)[:, None]
        values = coefficients / rate
        slope = slopes - values[:, None] * (slopes @ RATE_WEIGHTS)[..., None]
        return values, slope / rate[:, None]

    def observables(self, parameters: Array) -> tuple[Array, Array]:
        """Return the observables, shape (n_bins, 8), and their derivatives, (n_bins, k, 8)."""
        values, slopes = self.normalised_coefficients(parameters)
        weights = _observable_weights()
        return values @ weights, slopes @ weights

    def covariance(self, parameters: Array) -> Array:
        """Return the covariance of the moments of one event in each bin, shape (n_bins, 8, 8).

        The covariance of the observables of n events is 1/n of it.
        """
        gram, triple = _angular_integrals()
        values, _ = self.normalised_coefficients(parameters)
        means = values @ gram
        second = np.einsum("bi,ijk->bjk", values, triple)
        second -= means[:, :, None] * means[:, None, :]
        weights = _moment_weights()
        return np.asarray(weights.T @ second @ weights)


def predictions(
    model: DecayModel,
    image: ImageSpecification,
    names: Sequence[str],
    q2_bins_gev2: Sequence[Range],
) -> Predictions:
    """Integrate the model over bins of q², within the selection of an image.

    Args:
        model: decay model.
        image: image specification: q² range, vetoes and flavour.
        names: parameters, from `points.PARAMETERS`; all others are 0.
        q2_bins_gev2: lower and upper end of each bin [GeV²].

    Raises:
        UserError: the selection excludes a whole bin, or a parameter is unknown.
    """
    flavour, selected = fitted_flavour(image), selected_ranges(image)
    require_phase_space(model, selected)
    end = float(model.q2_end(np.asarray(model.inputs.m_kpi_min_gev)))
    parts = [intersection(selected, low, high) for low, high in q2_bins_gev2]
    for (low, high), part in zip(q2_bins_gev2, parts, strict=True):
        if not intersection(part, model.q2_min_gev2, end):
            raise UserError(
                f"q2_bins_gev2: the image selects nothing in the bin {low:g} … {high:g} GeV²; "
                "remove the bin"
            )
    edges = [pair for part in parts for pair in part]
    masses, mass_weights = mass_quadrature(model, edges, N_MASS)
    everything = rate_integrals(
        model, masses, [(0.0, np.inf)], names, flavour, RATE_WEIGHTS[:, None]
    )
    unit_weights = np.eye(len(NAMES))
    bins = [rate_integrals(model, masses, part, names, flavour, unit_weights) for part in parts]
    return Predictions(mass_weights, everything[..., 0], np.stack(bins))


@dataclass(frozen=True)
class AngularChiSquared:
    """χ² of measured observables.

    predictions: predictions for the bins in use
    n_events: number of events in these bins, shape (n_used,)
    measured: measured observables, shape (n_used, 8)
    inverse_covariance: shape (n_used, 8, 8)
    n_parameters: number of parameters, k
    errordef: rise of χ² at one standard deviation
    """

    predictions: Predictions
    n_events: Array
    measured: Array
    inverse_covariance: Array
    n_parameters: int
    errordef: float = 1.0

    def with_expected_covariance(self, parameters: Array) -> Self:
        """Replace the covariance by the one that the model predicts at these parameters."""
        covariance = self.predictions.covariance(parameters) / self.n_events[:, None, None]
        inverse = np.asarray(np.linalg.inv(covariance), np.float64)
        return replace(self, inverse_covariance=inverse)

    def value(self, parameters: Array) -> float:
        """Return χ² at one point, shape (k,)."""
        difference = self.predictions.observables(parameters)[0] - self.measured
        return float(np.einsum("bi,bij,bj->", difference, self.inverse_covariance, difference))

    def gradient(self, parameters: Array) -> Array:
        """Return the derivatives by the parameters, shape (k,)."""
        values, slopes = self.predictions.observables(parameters)
        difference = values - self.measured
        return np.asarray(
            2 * np.einsum("bki,bij,bj->k", slopes, self.inverse_covariance, difference)
        )

    def values(self, points: Array) -> Array:
        """Return χ² at n points of shape (n, k), shape (n,)."""
        return np.array([self.value(point) for point in points])

    def rough(self) -> Self:
        """Return itself: it is fast enough for a rough fit."""
        return self


def chi_squared(
    events: Events,
    image: ImageSpecification,
    predicted: Predictions,
    q2_bins_gev2: Sequence[Range],
    n_parameters: int,
) -> AngularChiSquared | None:
    """Build the χ² of selected events from the bins with at least `MINIMUM_EVENTS`.

    A bin includes its lower end.

    Returns:
        χ², or None if no bin has enough events.

    Raises:
        UserError: events of the other flavour.
    """
    require_flavour(events, fitted_flavour(image))
    used, n_events, measured, inverse = [], [], [], []
    for index, (low, high) in enumerate(q2_bins_gev2):
        inside = events[(events.q2 >= low) & (events.q2 < high)]
        if len(inside) < MINIMUM_EVENTS:
            continue
        values, covariance = measure_moments(inside)
        used.append(index)
        n_events.append(len(inside))
        measured.append(values)
        inverse.append(np.linalg.inv(covariance))
    if not used:
        return None
    return AngularChiSquared(
        Predictions(predicted.mass_weights, predicted.rates, predicted.bins[used]),
        np.array(n_events, float),
        np.stack(measured),
        np.stack(inverse),
        n_parameters,
    )


def fit(objective: AngularChiSquared, limits: Range) -> Fit:
    """Minimise χ² with the sample covariance, then with the covariance expected at its minimum."""
    first = minimise(objective, limits)
    if not first.converged:
        return first
    return minimise(objective.with_expected_covariance(first.values), limits, first.values)


def prepare(
    model: DecayModel,
    image: ImageSpecification,
    coefficients: tuple[str, ...],
    settings: AngularLikelihoodSettings,
) -> dict[str, Array]:
    """Compute the arrays of a prepared file: those of `Predictions`.

    Raises:
        UserError: see `predictions`.
    """
    return vars(predictions(model, image, coefficients, settings.q2_bins_gev2))


@dataclass(frozen=True)
class AngularLikelihoodEstimator:
    """Fit to angular observables, ready to be applied to images."""

    image: ImageSpecification
    coefficients: tuple[str, ...]
    settings: AngularLikelihoodSettings
    predicted: Predictions

    def fit(self, events: Events) -> Fit:
        """Fit one image, given its selected events."""
        n_parameters = len(self.coefficients)
        bins = self.settings.q2_bins_gev2
        objective = chi_squared(events, self.image, self.predicted, bins, n_parameters)
        if objective is None:
            return failed(n_parameters)
        return fit(objective, self.settings.parameter_range)

    def estimate(self, events: Events) -> Estimate:
        """Return the shifts of one image, given its selected events; NaN if the fit failed."""
        result = self.fit(events)
        return Estimate(result.values, result.errors)


def estimator(
    arrays: Mapping[str, Array], metadata: PreparedMetadata, model: DecayModel
) -> AngularLikelihoodEstimator:
    """Build the estimator from the content of a prepared file."""
    del model  # the arrays contain all that is needed of it
    settings = metadata.settings
    if not isinstance(settings, AngularLikelihoodSettings):
        raise UserError("estimator: the settings are not those of an angular analysis")
    return AngularLikelihoodEstimator(
        metadata.image, metadata.coefficients, settings, Predictions(**arrays)
    )
