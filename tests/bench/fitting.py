"""Fits of δC9 to the 24,000 events of one image."""

import importlib
import sys

import numpy as np
from decays import decays, table
from iminuit import Minuit
from iminuit.cost import UnbinnedNLL
from measuring import Row, Way, race
from numpy.typing import NDArray
from scipy.interpolate import BarycentricInterpolator

from wilsonvox.estimators.fits.prepared import EventEstimator, PreparedMetadata, prepare
from wilsonvox.estimators.settings import LikelihoodSettings
from wilsonvox.events.event_file import Events
from wilsonvox.theory.angular import RATE_WEIGHTS, angular_functions
from wilsonvox.theory.line_shape import line_shape_quantiles
from wilsonvox.theory.model import DecayModel
from wilsonvox.theory.points import shift_vector
from wilsonvox.voxels.binning import selection
from wilsonvox.voxels.specification import ImageSpecification

Array = NDArray[np.float64]

IMAGE = ImageSpecification()
N_MASS, N_Q2 = 9, 40
"""Nodes of the peer's numerical normalisation, in m_Kπ and in each panel of q²."""


def own_estimator(model: DecayModel) -> EventEstimator:
    """The estimator `likelihood` of δC9."""
    metadata = PreparedMetadata(
        estimator="likelihood",
        architecture="likelihood",
        image=IMAGE,
        coefficients=("c9",),
        physics_inputs=model.inputs.name,
        settings=LikelihoodSettings(),
    )
    module = importlib.import_module("wilsonvox.estimators.fits.unbinned")
    estimator: EventEstimator = module.estimator(prepare(metadata, model), metadata, model)
    return estimator


class NumericalDensity:
    """p(q2, cos θ_μ, cos θ_K, chi, m_Kπ | δC9), normalised by quadrature at every call.

    What one writes for a generic fitter with the amplitudes at hand: nothing is known of how the
    density depends on the shift.
    """

    def __init__(self, model: DecayModel) -> None:
        self.model = model
        inputs = model.inputs
        middle = (inputs.m_kpi_max_gev + inputs.m_kpi_min_gev) / 2
        half = (inputs.m_kpi_max_gev - inputs.m_kpi_min_gev) / 2
        self.nodes = middle + half * np.cos(np.pi * (np.arange(N_MASS) + 0.5) / N_MASS)
        u, weight = np.polynomial.legendre.leggauss(N_Q2)
        u, weight = np.pi * (u + 1) / 2, np.sin(np.pi * (u + 1) / 2) * weight * np.pi / 2

        def panel(low: Array, high: Array) -> tuple[Array, Array]:
            half = (high - low)[:, None] / 2
            return low[:, None] + half * (1 - np.cos(u)), half * weight

        # q² on either side of the charm threshold, where the rate has a cusp
        end = model.q2_end(self.nodes)
        low, cusp = (
            np.full(N_MASS, value) for value in (model.q2_min_gev2, model.charm_threshold_gev2)
        )
        both = zip(panel(low, cusp), panel(cusp, end), strict=True)
        self.q2, self.dq2 = (np.concatenate(parts, axis=1) for parts in both)
        # what the cut leaves out, averaged over equally likely masses
        mass, cumulative = line_shape_quantiles(inputs)
        self.masses = np.interp((np.arange(200) + 0.5) / 200, cumulative, mass)
        end = model.q2_end(self.masses)
        self.q2_cut, self.dq2_cut = panel(np.minimum(IMAGE.q2_max_gev2, end), end)

    def __call__(self, columns: Array, c9: float) -> Array:
        q2, cos_theta_mu, cos_theta_k, chi, m_kpi = columns
        shifts = shift_vector({"c9": c9})

        def integral(q2: Array, dq2: Array, mass: Array) -> Array:
            j = self.model.angular_coefficients(q2, mass[:, None], shifts)
            return np.asarray(np.sum(j @ RATE_WEIGHTS * dq2, axis=1))

        total = BarycentricInterpolator(self.nodes, integral(self.q2, self.dq2, self.nodes))
        lost = integral(self.q2_cut, self.dq2_cut, self.masses) / total(self.masses)
        probability = 1 - np.mean(lost)
        j = self.model.angular_coefficients(q2, m_kpi, shifts)
        f = angular_functions(cos_theta_mu, cos_theta_k, chi)
        intensity = 9 / (32 * np.pi) * np.einsum("ij,ij->i", j, f)
        # the line shape itself does not depend on the shift
        return np.asarray(intensity / total(m_kpi) / probability)


def generic_fit(model: DecayModel, events: Events) -> tuple[float, float]:
    """δC9 and its error by iminuit's `UnbinnedNLL`."""
    columns = np.stack(
        [events.q2, events.cos_theta_mu, events.cos_theta_k, events.chi, events.m_kpi]
    ).astype(float)
    minuit = Minuit(UnbinnedNLL(columns, NumericalDensity(model)), c9=0.0)
    minuit.limits["c9"] = LikelihoodSettings().parameter_range
    minuit.migrad()
    minuit.hesse()
    return minuit.values["c9"], minuit.errors["c9"]


def run() -> list[Row]:
    """All rows of this module."""
    model = table().model
    drawn = decays(int(1.01 * IMAGE.events_per_image))
    events = drawn[selection(drawn, IMAGE)["selected"]][: IMAGE.events_per_image]
    estimator = own_estimator(model)
    found = estimator.estimate(events)
    value, error = generic_fit(model, events)
    text = f"δC9 = {value:.4f} ± {error:.4f}"
    if not abs(found.values[0] - value) < 0.1 * error > abs(found.errors[0] - error):
        sys.exit(f"the likelihood finds {found}, the generic fit {text}")
    return race(
        "fit δC9 to 24,000 events, with errors",
        "fits",
        {
            "wilsonvox, from the event columns": Way(
                lambda: estimator.estimate(events),
                1,
                True,
                f"δC9 = {found.values[0]:.4f} ± {found.errors[0]:.4f}",
            ),
            "iminuit UnbinnedNLL, numerical normalisation": Way(
                lambda: generic_fit(model, events), 1, note=text
            ),
        },
    )
