"""Fit of a `voxel-sum` to shards of images, with one shard in memory at a time.

The fit is deterministic: on one machine the same shards always give the same network.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wilsonvox.estimators.metadata import EstimatorMetadata
from wilsonvox.estimators.networks.backend import prepare_backend
from wilsonvox.estimators.settings import VoxelSumSettings
from wilsonvox.estimators.voxel_sum.head import fit_head
from wilsonvox.estimators.voxel_sum.limits import IMAGES_PER_BATCH, MAX_ANCHORS, max_anchors
from wilsonvox.estimators.voxel_sum.scoring import fit_scoring
from wilsonvox.estimators.voxel_sum.voxel_density import (
    DualMoments,
    Q2Histogram,
    Q2Moments,
    VoxelDensity,
    dual_functions,
    fit_density,
    moment_variances,
    voxel_functions,
)
from wilsonvox.theory.sobol import sobol_sequence
from wilsonvox.voxels.event_overlap import EventRanges
from wilsonvox.voxels.labelled_shards import (
    check_shards,
    check_voxels,
    labels,
    training_points,
    varying_coefficients,
)
from wilsonvox.voxels.shards import Shard
from wilsonvox.voxels.specification import VoxelScaling

logger = logging.getLogger(__name__)

Array = NDArray[np.float64]

MAX_EXPECTED_EVENTS = 5.0
"""Upper limit of the expected number of events of a voxel in the weights of single events."""

ANCHOR_BOX = 0.75
"""Size of the box of anchors of several shifts, relative to the box of the training points."""


@dataclass(frozen=True)
class FittedVoxelSum:
    """Fitted `voxel-sum` network with the shards that it was fitted to.

    model: keras.Model, not compiled
    coefficients: names of its outputs, in order
    headers: training shards without their voxels, by file name
    training_events, validation_events: events of the images, one entry per shard
    """

    model: Any
    coefficients: tuple[str, ...]
    headers: Mapping[str, Shard]
    training_events: tuple[EventRanges, ...]
    validation_events: tuple[EventRanges, ...]


def _header(source: str, shard: Shard, histogram: Q2Histogram | None = None) -> Shard:
    """Check a shard, fill its mean q2 into a histogram, and return it without its voxels.

    Raises:
        UserError: a mean q2 is not finite.
    """
    check_voxels(source, shard)
    if histogram is not None:
        histogram.add(shard.mean_q2)
    # new arrays: slices would keep the whole arrays in memory
    return replace(
        shard,
        voxel=np.empty(0, np.int32),
        mean_q2=np.empty(0, np.float32),
        count=np.empty(0, np.uint16),
    )


def select_anchors(shifts: Array, most: int = MAX_ANCHORS) -> Array:
    """Choose anchors from the points by farthest-point sampling, starting near the mean.

    Args:
        shifts: shifts of the points, shape (n_points, k).
        most: maximum number of anchors.

    Returns:
        Shape (n_anchors, k), sorted by the first shift.
    """
    points = np.unique(shifts, axis=0)
    if len(points) <= most:
        return points
    scaled = (points - points.mean(axis=0)) / np.ptp(points, axis=0)
    chosen = [int(np.argmin((scaled**2).sum(axis=1)))]
    distance = np.full(len(points), np.inf)
    while len(chosen) < most:
        distance = np.minimum(distance, ((scaled - scaled[chosen[-1]]) ** 2).sum(axis=1))
        chosen.append(int(np.argmax(distance)))
    return np.asarray(points[np.sort(chosen)])


def sample_anchors(shifts: Array, number: int) -> Array:
    """Place anchors by a Sobol sequence in the central part of the box of the training points.

    For several shifts, points far from each other would be corners of the box, about which an image
    inside carries little information; the density is known at all shifts.

    Args:
        shifts: shifts of the points, shape (n_points, k).
        number: number of anchors.

    Returns:
        Shape (number, k).
    """
    low, high = shifts.min(axis=0), shifts.max(axis=0)
    margin = (1 - ANCHOR_BOX) / 2 * (high - low)
    unit = sobol_sequence(shifts.shape[1], number, 1)
    return np.asarray(low + margin + (high - low - 2 * margin) * unit)


def image_sums(model: Any, shard: Shard, use_counts: bool) -> Array:
    """Compute the outputs of a network for a shard, float64 of shape (n_images, n_outputs)."""
    from wilsonvox.estimators.networks.voxel_batches import VoxelBatches

    if not len(shard):
        return np.zeros((0, model.output_shape[-1]))
    batches = VoxelBatches(shard, IMAGES_PER_BATCH, use_counts)
    # not `predict`: its threads keep the shard in memory until garbage collection
    parts = [model.predict_on_batch(batches[number][0]) for number in range(batches.num_batches)]
    return np.concatenate(parts).astype(np.float64)


def _by_point(truths: Array, points: Array) -> list[tuple[int, slice]]:
    """Split a shard into runs of images of one point: index of the point and slice of images."""
    numbers = [int(np.flatnonzero((points == truth).all(axis=1))[0]) for truth in truths]
    starts = [i for i in range(len(numbers)) if i == 0 or numbers[i] != numbers[i - 1]]
    return [
        (numbers[start], slice(start, end))
        for start, end in zip(starts, [*starts[1:], len(numbers)], strict=True)
    ]


@dataclass(frozen=True)
class PointMoments:
    """Moments of the voxels of every training point, which determine its angular coefficients.

    near_knots: means of hat functions of log q² times dual functions, shape (n_points, n_knots, 11)
    q2: moments in q², see `wilsonvox.estimators.voxel_sum.voxel_density.Q2Moments`, shape
        (n_points, 3, 11); None without counts
    weights: number of events in the means, shape (n_points,)
    n_images: number of images, shape (n_points,)
    spectrum: events of all points by q², counts of a `Q2Histogram`; None without counts, or if no
        voxel has exactly one event
    """

    near_knots: Array
    q2: Array | None
    weights: Array
    n_images: Array
    spectrum: Array | None = None


def point_moments(
    paths: Sequence[str],
    load: Callable[[str], Shard],
    knots: Array,
    points: Array,
    truths: Mapping[str, Array],
    use_counts: bool,
    bins: int,
) -> PointMoments:
    """Compute the moments of the training images, in one pass, or in two if counts are known.

    The mean q2 of several events is not the q2 of any of them. Therefore, if counts are known, the
    density at some q² is learned from voxels with one event. Where λ events are expected, as the
    first pass determines, a fraction exp(−λ) of the events is alone in its voxel; the weight
    exp(λ) corrects for it.

    Args:
        paths: file names of the training shards.
        load: function that reads a shard.
        knots: knots in log(q² / GeV²).
        points: shifts of the points, shape (n_points, k).
        truths: shifts of the images, by file name of the shard.
        use_counts: use the number of events per voxel.
        bins: number of bins in each angle.
    """
    functions = voxel_functions(bins)
    dual = dual_functions(functions)
    parts = {path: _by_point(truths[path], points) for path in paths}
    totals = [Q2Moments(functions, dual) for _ in points]
    for path in paths if use_counts else ():
        shard = load(path)
        for number, images in parts[path]:
            entries = slice(shard.offsets[images.start], shard.offsets[images.stop])
            columns = shard.voxel[entries], shard.mean_q2[entries], shard.count[entries]
            totals[number].add(*columns, n_images=images.stop - images.start)
    moments = [DualMoments(knots, dual) for _ in points]
    spectrum = Q2Histogram()
    n_images = np.zeros(len(points))
    for path in paths:
        shard = load(path)
        for number, images in parts[path]:
            entries = slice(shard.offsets[images.start], shard.offsets[images.stop])
            voxel, mean_q2 = shard.voxel[entries], shard.mean_q2[entries]
            weight = np.ones(len(voxel))
            if use_counts:
                alone = shard.count[entries] == 1
                voxel, mean_q2 = voxel[alone], mean_q2[alone]
                expected = np.clip(totals[number].expected_counts(), 0, MAX_EXPECTED_EVENTS)
                weight = np.exp(expected)[voxel]
                spectrum.add(mean_q2, weight)
            moments[number].add(voxel, mean_q2, weight)
            n_images[number] += images.stop - images.start
    lone = use_counts and bool(spectrum.counts.any())
    return PointMoments(
        near_knots=np.stack([point.sums / max(point.weight, 1.0) for point in moments]),
        q2=np.stack([point.normalised() for point in totals]) if use_counts else None,
        weights=np.array([point.weight for point in moments]),
        n_images=n_images,
        spectrum=spectrum.counts if lone else None,
    )


def _learn_density(
    moments: PointMoments, knots: Array, points: Array, degree: int, bins: int
) -> VoxelDensity:
    functions = voxel_functions(bins)
    flat = functions.mean(axis=0)
    variances = moment_variances(
        moments.near_knots, flat, dual_functions(functions), moments.weights
    )
    return fit_density(
        knots,
        moments.near_knots,
        points,
        moments.n_images,
        degree,
        flat,
        variances,
        moments.q2,
        moments.spectrum,
        functions.T @ functions / len(functions),
    )


def fit_voxel_sum(
    train: Sequence[str],
    validation: Sequence[str],
    settings: VoxelSumSettings,
    load: Callable[[str], Shard] = Shard.load,
    threads: int | None = None,
) -> FittedVoxelSum:
    """Fit a `voxel-sum` to images, in four passes over the shards, or three without counts.

    The passes determine the distribution of mean q2 and the knots; the moments of every training
    point (`point_moments`, two passes if counts are used) and the density; and the sums of every
    image and the head. The validation images only select the size of the head.

    Args:
        train: file names of the training shards.
        validation: file names of the validation shards.
        settings: settings of the network.
        load: function that reads a shard; each shard is read up to four times.
        threads: CPU threads, see `wilsonvox.estimators.networks.backend.prepare_backend`.

    Raises:
        UserError: the shards do not match, see `wilsonvox.voxels.labelled_shards.check_shards`.
    """
    histogram = Q2Histogram()
    headers = {
        "train": {path: _header(path, load(path), histogram) for path in train},
        "validation": {path: _header(path, load(path)) for path in validation},
    }
    check_shards(headers["train"], headers["validation"])
    names = varying_coefficients(headers["train"])
    truths = {
        path: labels({path: shard}, names)
        for shards in headers.values()
        for path, shard in shards.items()
    }
    bins = next(iter(headers["train"].values())).metadata.image.bins
    points = np.unique(np.concatenate([truths[path] for path in train]), axis=0)
    logger.info(
        "voxel-sum for %s: %d images of %d points to train, %d to validate",
        ", ".join(names),
        sum(map(len, headers["train"].values())),
        len(points),
        sum(map(len, headers["validation"].values())),
    )
    knots = histogram.knots(settings.q2_knots)
    moments = point_moments(train, load, knots, points, truths, settings.use_counts, bins)
    density = _learn_density(moments, knots, points, settings.density_degree, bins)
    prepare_backend(threads)
    from wilsonvox.estimators.voxel_sum.network import build

    most = max_anchors(len(names))
    anchors = select_anchors(points) if len(names) == 1 else sample_anchors(points, most)
    summing = build(bins, density, anchors, settings.use_counts)
    sums = {
        path: image_sums(summing, load(path), settings.use_counts) for path in (*train, *validation)
    }
    train_sums, train_truths, validation_sums, validation_truths = (
        np.concatenate([values[path] for path in paths])
        for paths in (train, validation)
        for values in (sums, truths)
    )
    known = train_sums, train_truths, validation_sums, validation_truths
    head = fit_head(*known, settings.head_degree, settings.bias_weight)
    logger.info("head: %d components, polynomials of degree %d", len(head.offset), head.degree)
    scoring = fit_scoring(*known, head, settings.head_degree, density.rate)
    if scoring is not None:
        logger.info(
            "Fisher scoring: %d components, polynomials of degree %d",
            len(scoring.offset),
            scoring.degree,
        )
    return FittedVoxelSum(
        build(bins, density, anchors, settings.use_counts, head, scoring),
        names,
        headers["train"],
        tuple(map(EventRanges.of, headers["train"].values())),
        tuple(map(EventRanges.of, headers["validation"].values())),
    )


def describe(
    fitted: FittedVoxelSum, estimator: str, settings: VoxelSumSettings
) -> EstimatorMetadata:
    """Return the metadata to store in the model file."""
    shard = next(iter(fitted.headers.values()))
    return EstimatorMetadata(
        estimator=estimator,
        architecture="voxel-sum",
        image=shard.metadata.image,
        normalisation=VoxelScaling(method="none"),
        coefficients=fitted.coefficients,
        network=settings,
        physics_inputs=shard.metadata.physics_inputs,
        lepton=shard.metadata.lepton,
        antiparticle_shifts=shard.metadata.antiparticle_shifts,
        training_points=training_points(fitted.headers),
        training_events=fitted.training_events,
        validation_events=fitted.validation_events,
        n_parameters=fitted.model.count_params(),
    )
