"""What a voxel image keeps of the events' Fisher information on one shift.

An image forgets m_Kπ, the angles within a voxel, the q² of single events in a voxel with several,
and, where the counts are not used, how many they were. For each of these steps the information
that is left is computed from the density itself; no events are drawn.

Voxels are taken as independent, with Poisson counts of mean N p_v: what they would be if the
number N of events in an image fluctuated. For the counts this is exact (Σ_v ∂p_v = 0), for the rest
good to 1/N.
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

KEPT = (
    "m_kpi, q2 and angles of every event",
    "q2 and angles of every event",
    "voxel and q2 of every event",
    "voxel, mean q2 and count",
    "voxel and mean q2",
    "voxel and count",
)
"""What is kept, from everything to the least; the first is the Cramér–Rao bound's."""

N_Q2_BINS = 256
"""Equal bins of q² in which sums over several events are convolved."""
N_VOXELS = 1024
"""Voxels, evenly scattered over the angles, that stand for all."""
N_INSIDE = 3
"""Gauss–Legendre nodes across a voxel in each angle."""

_IN_A_BIN = 3
"""Nodes in a q² bin."""
_IN_A_PIECE = 4
"""Nodes in a piece of m_Kπ."""

_STEP = 1e-3
_CHUNK = 64
_NEGLIGIBLE = 1e-12
_TAIL = 1e-7


@dataclass(frozen=True)
class Information:
    """Information of one event on one shift, by what is kept (`KEPT`).

    left: float64, shape (6,); sigma_over_bound: √(left[0]/left), the least σ of an estimate from
    what is kept, in units of the Cramér–Rao bound.
    """

    left: Array

    @property
    def sigma_over_bound(self) -> Array:
        """Least σ in units of the bound of the events themselves, shape (6,)."""
        return np.asarray(np.sqrt(self.left[0] / self.left))


@dataclass(frozen=True)
class _Nodes:
    """Where J_i is computed to integrate it over the line shape and over bins of q².

    masses, mass_weights: of the line shape, shape (n_m,)
    q2, weights, bins: nodes in q² [GeV²], their weights and the bin of each, shape (n,)
    """

    masses: Array
    mass_weights: Array
    q2: Array
    weights: Array
    bins: NDArray[np.int64]

    @classmethod
    def of(cls, model: DecayModel, image: ImageSpecification, edges: Array) -> Self:
        """Nodes in the selected part of each bin."""
        ranges = selected_ranges(image)
        cut = [
            part
            for low, high in ranges
            for part in itertools.pairwise([low, *edges[(edges > low) & (edges < high)], high])
        ]
        # to the largest end of phase space; at other masses J_i is zero beyond theirs
        q2, weights = q2_quadrature(model, model.inputs.m_kpi_min_gev, cut, _IN_A_BIN)
        bins = np.clip(np.searchsorted(edges, q2, side="right") - 1, 0, len(edges) - 2)
        return cls(*mass_quadrature(model, ranges, _IN_A_PIECE), q2, weights, bins)


def _marginal(
    model: DecayModel, shifts: NDArray[np.complex128], nodes: _Nodes, flavour: int, n_bins: int
) -> Array:
    """J_i of selected events, integrated over q² bins and the line shape, shape (n_bins, 11).

    Normalised so that 9/(32π) Σ J_i f_i is the probability of a bin, per angle.
    """
    total = np.zeros((n_bins, 11))
    for m_kpi, mass_weight in zip(nodes.masses, nodes.mass_weights, strict=True):
        q2, weights = q2_quadrature(model, float(m_kpi), ALL_Q2)
        rate = weights @ (model.angular_coefficients(q2, m_kpi, shifts, flavour) @ RATE_WEIGHTS)
        j = model.angular_coefficients(nodes.q2, m_kpi, shifts, flavour)
        np.add.at(total, nodes.bins, j * (nodes.weights * mass_weight / rate)[:, None])
    return np.asarray(total / (total @ RATE_WEIGHTS).sum())


def _voxels(bins: int) -> tuple[Array, Array]:
    """Angular functions at nodes inside some voxels, (n, N_INSIDE³, 11), and the nodes' weights.

    The weights are those of an integral over one voxel, the 9/(32π) included.
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
    """numerator²/denominator where the second is not negligible, else 0."""
    large = denominator > _NEGLIGIBLE * denominator.max(axis=-1, keepdims=True)
    return np.divide(numerator**2, denominator, out=np.zeros_like(numerator), where=large)


def _of_single(density: Array, derivative: Array, n_events: int) -> Array:
    """Information of images in voxels, shape (n,), of which those with several events are empty.

    With λ events expected in a voxel it holds one, of a known q², with the probability λ exp(−λ).

    Args:
        density: probability of one event by voxel and q² bin, shape (n, n_q2).
        derivative: its derivative by the shift.
        n_events: events in an image.
    """
    mean, mean_slope = n_events * density.sum(axis=1), n_events * derivative.sum(axis=1)
    alone = np.exp(-mean)
    of_q2 = n_events * density * alone[:, None]
    of_q2_slope = n_events * alone[:, None] * (derivative - density * mean_slope[:, None])
    empty = 1 - mean * alone
    empty_slope = -alone * (1 - mean) * mean_slope
    return np.asarray(_ratio(of_q2_slope, of_q2).sum(axis=1) + empty_slope**2 / empty)


def _of_means(density: Array, derivative: Array, n_events: int) -> tuple[Array, Array]:
    """Information of images in voxels, shape (n,): with mean q² and count, and without the count.

    Args:
        density: probability of one event by voxel and q² bin, shape (n, n_q2).
        derivative: its derivative by the shift.
        n_events: events in an image.
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
    # mean q² without the count: a mixture over counts, on the bins of single events
    mixture, mixture_slope = np.zeros_like(shape), np.zeros_like(shape)
    for k in range(1, most + 1):
        derivative_k = np.fft.irfft(k * power * transform_slope, length)[:, : k * n_q2]
        power = power * transform
        density_k = np.fft.irfft(power, length)[:, : k * n_q2]
        weight = poisson.pmf(k, mean)
        weight_slope = weight * (k / mean - 1) * mean_slope
        counted += weight * _ratio(derivative_k, density_k).sum(axis=1)
        # a sum of k events in bin k·j of its lattice is a mean at the centre of bin j
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
    """Information of one event, by what an image keeps of it.

    Args:
        model: the decay.
        shifts: complex128, shape (6,): where the information is taken.
        image: bins, events an image, flavour and cuts.
        name: the parameter, of `PARAMETERS`; all others are known.

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
    kept = np.zeros(len(KEPT) - 1)
    for start in range(0, N_VOXELS, _CHUNK):
        part = functions[start : start + _CHUNK]
        inside, inside_slope = part @ at.T, part @ derivative.T
        density, slope = (np.einsum("k,vkq->vq", weights, each) for each in (inside, inside_slope))
        within = np.einsum("k,vkq->", weights, _ratio(inside_slope, inside))
        n_events = image.events_per_image
        if image.multiple_entries == "removed":  # where all counts are one
            with_count = without = _of_single(density, slope, n_events)
        else:
            with_count, without = _of_means(density, slope, n_events)
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
    # the voxels' own sampling error cancels in ratios to what is known of the same voxels
    return Information(np.array([events, without_mass, *(kept[1:] / kept[0] * without_mass)]))


def _without_mass(at: Array, derivative: Array) -> float:
    """Information of q² bins and unbinned angles, by quadrature over all angles."""
    functions, weight = angular_grid()
    return float((_ratio(functions @ derivative.T, functions @ at.T) * weight[:, None]).sum())


class InformationRow(StrictModel):
    """Information at one shift, in images of one number of bins, by what is kept."""

    shifts: dict[str, float | complex] = Field(description="where the information is taken")
    bins: int
    information: dict[str, float] = Field(description="of one event, by what is kept")
    sigma_over_bound: dict[str, float] = Field(
        description="least σ of an estimate from what is kept, over that from everything"
    )


class ImageInformation(RecordedResult):
    """Result of `wilsonvox information`: information on one shift that images retain."""

    file_description: ClassVar[str] = "the information of images (.json)"

    coefficient: str
    image_specification: ImageSpecification = Field(description="its bins are those of each row")
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
    """Information by what is kept, at several points and in several numbers of bins.

    Args:
        model: the decay.
        points: shifts by coefficient.
        image: events an image, flavour and cuts.
        bins: numbers of bins in each angle.
        name: the parameter, of `PARAMETERS`.
    """
    rows = []
    for shifts, n_bins in itertools.product(points, sorted(set(bins))):
        chosen = image.model_copy(update={"bins": n_bins})
        found = image_information(model, shift_vector(shifts), chosen, name)
        left, ratio = found.left.tolist(), found.sigma_over_bound.tolist()
        rows.append(
            InformationRow(
                shifts=dict(shifts),
                bins=n_bins,
                information=dict(zip(KEPT, left, strict=True)),
                sigma_over_bound=dict(zip(KEPT, ratio, strict=True)),
            )
        )
    return ImageInformation(
        coefficient=name,
        image_specification=image,
        physics_inputs=model.inputs.name,
        rows=rows,
    )
