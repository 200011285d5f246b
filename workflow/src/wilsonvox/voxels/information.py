"""Fisher information on one shift that is retained in voxel images.

An image does not contain m_Kπ, the angles within a voxel, the q² of single events in a voxel with
several events and, if the counts are not used, the numbers of events. The information that remains
after each of these steps is computed from the density itself, without simulated events.

Voxels are treated as independent with Poisson counts of mean N p_v, as if the number N of events in
an image fluctuated. This is exact for the counts (Σ_v ∂p_v = 0) and accurate to 1/N for the rest.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.stats import poisson, qmc

from wilsonvox.core.models import StrictModel
from wilsonvox.records.json_files import RecordedResult
from wilsonvox.records.record import Record
from wilsonvox.theory.angular import RATE_WEIGHTS, angular_functions
from wilsonvox.theory.fisher import angular_grid, fisher_information
from wilsonvox.theory.integrals import ALL_Q2, mass_quadrature, q2_quadrature, require_phase_space
from wilsonvox.theory.model import DecayModel
from wilsonvox.theory.points import PARAMETERS, shift_vector
from wilsonvox.voxels.histograms import ANGLES
from wilsonvox.voxels.image_distribution import image_distribution
from wilsonvox.voxels.specification import ImageSpecification, selected_ranges

Array = NDArray[np.float64]

INFORMATION_LEVELS = (
    "m_kpi, q2 and angles of every event",
    "q2 and angles of every event",
    "voxel and q2 of every event",
    "voxel, mean q2 and count",
    "voxel and mean q2",
    "voxel and count",
)
"""Levels of retained information, in descending order; the first defines the Cramér–Rao bound."""

N_Q2_BINS = 256
"""Number of equal bins of q² for the convolutions that give sums over several events."""
N_VOXELS = 1024
"""Number of sampled voxels, evenly distributed over the angles."""
N_INSIDE = 3
"""Gauss–Legendre nodes in a voxel in each angle."""

_IN_A_BIN = 3
"""Quadrature nodes in a q² bin."""
_IN_A_PIECE = 4
"""Quadrature nodes in a piece of m_Kπ."""

_STEP = 1e-3
_CHUNK = 64
_NEGLIGIBLE = 1e-12
_TAIL = 1e-7


@dataclass(frozen=True)
class Information:
    """Information of one event on one shift at each level of `INFORMATION_LEVELS`.

    Attributes:
        retained: retained Fisher information, float64 of shape (6,).
    """

    retained: Array

    @property
    def sigma_over_bound(self) -> Array:
        """Smallest σ of an estimate, √(retained[0]/retained), in units of the Cramér–Rao bound."""
        return np.asarray(np.sqrt(self.retained[0] / self.retained))


@dataclass(frozen=True)
class _Nodes:
    """Quadrature nodes for integrals of J_i over the line shape and over bins of q².

    Attributes:
        masses: nodes in m_Kπ [GeV], shape (n_m,).
        mass_weights: their weights, shape (n_m,).
        q2: nodes in q² [GeV²], shape (n,).
        weights: their weights, shape (n,).
        bins: indices of their bins, shape (n,).
    """

    masses: Array
    mass_weights: Array
    q2: Array
    weights: Array
    bins: NDArray[np.int64]

    @classmethod
    def of(cls, model: DecayModel, image: ImageSpecification, edges: Array) -> Self:
        """Construct nodes in the selected part of each bin between `edges` [GeV²]."""
        ranges = selected_ranges(image)
        cut = [
            part
            for low, high in ranges
            for part in itertools.pairwise([low, *edges[(edges > low) & (edges < high)], high])
        ]
        # up to the largest end of phase space; at larger masses J_i is zero beyond the end
        q2, weights = q2_quadrature(model, model.inputs.m_kpi_min_gev, cut, _IN_A_BIN)
        bins = np.clip(np.searchsorted(edges, q2, side="right") - 1, 0, len(edges) - 2)
        return cls(*mass_quadrature(model, ranges, _IN_A_PIECE), q2, weights, bins)


def _marginal(
    model: DecayModel, shifts: NDArray[np.complex128], nodes: _Nodes, flavour: int, n_bins: int
) -> Array:
    """Integrate the J_i of selected events over q² bins and the line shape, shape (n_bins, 11).

    They are normalised so that 9/(32π) Σ J_i f_i is the probability of a bin and density in the
    angles.
    """
    total = np.zeros((n_bins, 11))
    for m_kpi, mass_weight in zip(nodes.masses, nodes.mass_weights, strict=True):
        q2, weights = q2_quadrature(model, float(m_kpi), ALL_Q2)
        rate = weights @ (model.angular_coefficients(q2, m_kpi, shifts, flavour) @ RATE_WEIGHTS)
        j = model.angular_coefficients(nodes.q2, m_kpi, shifts, flavour)
        np.add.at(total, nodes.bins, j * (nodes.weights * mass_weight / rate)[:, None])
    return np.asarray(total / (total @ RATE_WEIGHTS).sum())


def _voxels(bins: int) -> tuple[Array, Array]:
    """Evaluate the angular functions at quadrature nodes in sampled voxels.

    Args:
        bins: number of bins in each angle.

    Returns:
        The functions, shape (`N_VOXELS`, `N_INSIDE`³, 11), and the weights of the nodes for an
        integral over one voxel, including the factor 9/(32π), shape (`N_INSIDE`³,).
    """
    points = qmc.Sobol(3, seed=1, scramble=True).random(N_VOXELS)
    corner = np.floor(points * bins) / bins
    nodes, weights = np.polynomial.legendre.leggauss(N_INSIDE)
    inside = np.stack(np.meshgrid(*[(nodes + 1) / (2 * bins)] * 3, indexing="ij"), -1)
    unit = corner[:, None, :] + inside.reshape(-1, 3)
    limits = np.array(list(ANGLES.values()))
    angles = limits[:, 0] + (limits[:, 1] - limits[:, 0]) * unit
    volume = np.prod(limits[:, 1] - limits[:, 0]) / (2 * bins) ** 3
    weight = np.einsum("i,j,k->ijk", weights, weights, weights).ravel() * volume
    return angular_functions(*np.moveaxis(angles, -1, 0)), weight * (9 / (32 * np.pi))


def _ratio(numerator: Array, denominator: Array) -> Array:
    """Return numerator²/denominator, or 0 if the denominator is negligible."""
    large = denominator > _NEGLIGIBLE * denominator.max(axis=-1, keepdims=True)
    return np.divide(numerator**2, denominator, out=np.zeros_like(numerator), where=large)


def _single_entry_information(density: Array, derivative: Array, n_events: int) -> Array:
    """Compute the information in voxels if those with several events are emptied, shape (n,).

    With λ expected events, a voxel contains exactly one event, of known q², with probability
    λ exp(−λ).

    Args:
        density: probability of one event by voxel and q² bin, shape (n, n_q2).
        derivative: its derivative with respect to the shift, shape (n, n_q2).
        n_events: number of events in an image.
    """
    mean, mean_slope = n_events * density.sum(axis=1), n_events * derivative.sum(axis=1)
    alone = np.exp(-mean)
    of_q2 = n_events * density * alone[:, None]
    of_q2_slope = n_events * alone[:, None] * (derivative - density * mean_slope[:, None])
    empty = 1 - mean * alone
    empty_slope = -alone * (1 - mean) * mean_slope
    return np.asarray(_ratio(of_q2_slope, of_q2).sum(axis=1) + empty_slope**2 / empty)


def _mean_q2_information(density: Array, derivative: Array, n_events: int) -> tuple[Array, Array]:
    """Compute the information of mean q² in voxels, with and without the counts, each (n,).

    Args:
        density: probability of one event by voxel and q² bin, shape (n, n_q2).
        derivative: its derivative with respect to the shift, shape (n, n_q2).
        n_events: number of events in an image.
    """
    probability, slope = density.sum(axis=1), derivative.sum(axis=1)
    shape = density / probability[:, None]
    shape_slope = (derivative - shape * slope[:, None]) / probability[:, None]
    mean, mean_slope = n_events * probability, n_events * slope
    n_q2 = density.shape[1]
    most = int(poisson.isf(_TAIL, mean.max())) + 1
    length = n_q2 * most
    transform = np.fft.rfft(shape, length)
    transform_slope = np.fft.rfft(shape_slope, length)
    power = np.ones_like(transform)
    counted = mean_slope**2 / mean
    # mean q² without the count: a mixture over counts, in the bins of single events
    mixture, mixture_slope = np.zeros_like(shape), np.zeros_like(shape)
    for k in range(1, most + 1):
        derivative_k = np.fft.irfft(k * power * transform_slope, length)[:, : k * n_q2]
        power = power * transform
        density_k = np.fft.irfft(power, length)[:, : k * n_q2]
        weight = poisson.pmf(k, mean)
        weight_slope = weight * (k / mean - 1) * mean_slope
        counted += weight * _ratio(derivative_k, density_k).sum(axis=1)
        # a sum of k events in bin k·j of the lattice of sums is a mean at the centre of bin j
        of_mean, of_mean_slope = k * density_k[:, ::k], k * derivative_k[:, ::k]
        mixture += weight[:, None] * of_mean
        mixture_slope += weight_slope[:, None] * of_mean + weight[:, None] * of_mean_slope
    empty = np.exp(-mean)
    uncounted = empty * mean_slope**2 + _ratio(mixture_slope, mixture).sum(axis=1)
    return counted, uncounted


def image_information(
    model: DecayModel,
    shifts: NDArray[np.complex128],
    image: ImageSpecification,
    name: str = "c9",
) -> Information:
    """Compute the information of one event at each level of `INFORMATION_LEVELS`.

    Args:
        model: the decay model.
        shifts: complex128 of shape (6,) at which the information is evaluated.
        image: bins, events per image, flavour and cuts.
        name: the parameter, from `PARAMETERS`; all others are taken as known.

    Raises:
        UserError: the image selects no phase space.
    """
    require_phase_space(model, selected_ranges(image))
    low, high = image.q2_min_gev2, image.q2_max_gev2
    largest = float(model.q2_end(np.asarray(model.inputs.m_kpi_min_gev)))
    edges = np.linspace(max(low, model.q2_min_gev2), min(high, largest), N_Q2_BINS + 1)
    index = PARAMETERS.index(name)
    step = np.zeros(6, np.complex128)
    step[index % 6] = _STEP * (1 if index < 6 else 1j)
    nodes, (flavour, factors) = _Nodes.of(model, image, edges), image_distribution(image)
    at, above, below = (
        _marginal(model, shifts + change, nodes, flavour, N_Q2_BINS) * factors
        for change in (0 * step, step, -step)
    )
    derivative = (above - below) / (2 * _STEP)
    functions, weights = _voxels(image.bins)
    kept = np.zeros(len(INFORMATION_LEVELS) - 1)
    for start in range(0, N_VOXELS, _CHUNK):
        part = functions[start : start + _CHUNK]
        inside, inside_slope = part @ at.T, part @ derivative.T
        density, slope = (
            np.einsum("k,vkq->vq", weights, array) for array in (inside, inside_slope)
        )
        within = np.einsum("k,vkq->", weights, _ratio(inside_slope, inside))
        n_events = image.events_per_image
        if image.multiple_entries == "removed":  # all remaining counts are one
            with_count = without = _single_entry_information(density, slope, n_events)
        else:
            with_count, without = _mean_q2_information(density, slope, n_events)
        kept += [
            within,
            _ratio(slope, density).sum(),
            with_count.sum() / n_events,
            without.sum() / n_events,
            (slope.sum(axis=1) ** 2 / density.sum(axis=1)).sum(),
        ]
    kept *= image.bins**3 / N_VOXELS
    events = fisher_information(
        model, shifts, [name], low, high, image.vetoes_gev2, flavour, factors
    )[0, 0]
    without_mass = _without_mass(at, derivative)
    # the error from sampling voxels cancels in ratios of values from the same voxels
    return Information(np.array([events, without_mass, *(kept[1:] / kept[0] * without_mass)]))


def _without_mass(at: Array, derivative: Array) -> float:
    """Compute the information of binned q² and unbinned angles, by quadrature over the angles."""
    functions, weight = angular_grid()
    return float((_ratio(functions @ derivative.T, functions @ at.T) * weight[:, None]).sum())


class InformationRow(StrictModel):
    """Retained information at one point, for images with one number of bins."""

    shifts: dict[str, float | complex] = Field(description="point, as shifts by coefficient")
    bins: int
    information: dict[str, float] = Field(
        description="Fisher information of one event, by level of retained information"
    )
    sigma_over_bound: dict[str, float] = Field(
        description="smallest σ of an estimate in units of the Cramér–Rao bound, by level"
    )


class ImageInformation(RecordedResult):
    """Result of `wilsonvox information`: information on one shift that images retain."""

    file_description: ClassVar[str] = "the information of images (.json)"

    coefficient: str
    image_specification: ImageSpecification = Field(
        description="specification of the images; each row has its own number of bins"
    )
    physics_inputs: str
    rows: list[InformationRow]
    provenance: Record | None = None


def compare_images(
    model: DecayModel,
    points: Sequence[Mapping[str, float | complex]],
    image: ImageSpecification,
    bins: Sequence[int],
    name: str = "c9",
) -> ImageInformation:
    """Compute the retained information at several points and for several numbers of bins.

    Args:
        model: the decay model.
        points: shifts by coefficient, for each point.
        image: events per image, flavour and cuts.
        bins: numbers of bins in each angle.
        name: the parameter, from `PARAMETERS`.
    """
    rows = []
    for shifts, n_bins in itertools.product(points, sorted(set(bins))):
        chosen = image.model_copy(update={"bins": n_bins})
        result = image_information(model, shift_vector(shifts), chosen, name)
        retained, ratio = result.retained.tolist(), result.sigma_over_bound.tolist()
        rows.append(
            InformationRow(
                shifts=dict(shifts),
                bins=n_bins,
                information=dict(zip(INFORMATION_LEVELS, retained, strict=True)),
                sigma_over_bound=dict(zip(INFORMATION_LEVELS, ratio, strict=True)),
            )
        )
    return ImageInformation(
        coefficient=name,
        image_specification=image,
        physics_inputs=model.inputs.name,
        rows=rows,
    )
