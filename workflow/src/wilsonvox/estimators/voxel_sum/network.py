"""Keras network of `voxel-sum`: sum of log-density ratios over occupied voxels.

It has the form of a Deep-Sets network (arXiv:1703.06114): an embedding of each occupied voxel, a
sum over the voxels of an image, and a readout of the sums.
"""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from wilsonvox.core.polynomials import polynomial_orders
from wilsonvox.estimators.voxel_sum.head import Head
from wilsonvox.estimators.voxel_sum.scoring import (
    ITERATIONS,
    MAX_SCALED_SHIFT,
    MAX_STEP,
    MINIMUM_RATE,
    RIDGE,
    Scoring,
)
from wilsonvox.estimators.voxel_sum.voxel_density import (
    LEAST_Q2_GEV2,
    VoxelDensity,
    angular_factors,
    function_pairs,
)

LEAST_DENSITY = 1e-3
"""Lower limit of the learned density, in units of its mean over the angles."""


def _constant(layer: Any, *weights: Any) -> Any:
    """Return a layer whose given weights are set when it is built."""
    layer.given = [np.asarray(weight, dtype=layer.variable_dtype) for weight in weights]
    return layer


LEAST_VARIANCE_GEV4 = 0.01
"""Lower limit of the learned variance of q² in a voxel [GeV⁴]."""

Image = dict[str, Any]


def _angular_functions(bins: int) -> Callable[[Any], Any]:
    """Return a function from flat voxel indices to the voxel averages of the angular functions."""
    from keras import layers, ops

    embeddings = [
        _constant(layers.Embedding(bins, table.shape[1], name=f"functions_of_{name}"), table)
        for name, table in zip(
            ("cos_theta_mu", "cos_theta_k", "chi"), angular_factors(bins), strict=True
        )
    ]
    product = layers.Multiply(name="angular_functions")

    def functions(voxel: Any) -> Any:
        places = (
            ops.floor_divide(voxel, bins * bins),
            ops.mod(ops.floor_divide(voxel, bins), bins),
            ops.mod(voxel, bins),
        )
        return product([embed(place) for embed, place in zip(embeddings, places, strict=True)])

    return functions


def _log_density(
    functions: Any,
    mean_q2: Any,
    density: VoxelDensity,
    at_anchors: Callable[[Any], Any],
    prefix: str = "",
) -> Any:
    """Log-density of one event per voxel at the anchors, shape (batch, voxels, n_anchors)."""
    from keras import layers, ops

    log_q2 = ops.expand_dims(ops.log(ops.maximum(mean_q2, LEAST_Q2_GEV2)), -1)
    slopes = np.diff(density.tables.reshape(len(density.knots), -1), axis=0)
    slopes /= np.diff(density.knots)[:, None]
    # a piecewise linear function is its first value plus its changes of slope at the knots
    hinges = _constant(
        layers.Dense(len(slopes), activation="relu", name=f"{prefix}knots"),
        np.ones((1, len(slopes))),
        -density.knots[:-1],
    )(log_q2)
    coefficients = _constant(
        layers.Dense(slopes.shape[1], name=f"{prefix}angular_coefficients"),
        np.diff(slopes, axis=0, prepend=0 * slopes[:1]),
        density.tables[0].ravel(),
    )(hinges)
    coefficients = layers.Reshape((-1, *density.tables.shape[1:]), name=f"{prefix}by_term")(
        coefficients
    )
    terms = ops.einsum("bvi,bvit->bvt", functions, coefficients)
    return ops.log(ops.maximum(at_anchors(terms), LEAST_DENSITY))


def _log_density_of_several(
    functions: Any,
    mean_q2: Any,
    count: Any,
    q2_moments: Any,
    at_anchors: Callable[[Any], Any],
    prefix: str = "",
) -> Any:
    """Log-density of voxels with n events, from their number and their mean q².

    It is n times the logarithm of the density integrated over q², plus that of a normal
    distribution of the mean of n values of q².
    """
    from keras import layers, ops

    n_terms = q2_moments.shape[-1]
    by_moment = layers.Reshape((-1, 3, n_terms), name=f"{prefix}by_moment")
    moments = _constant(
        layers.Dense(3 * n_terms, use_bias=False, name=f"{prefix}q2_moments"),
        q2_moments.transpose(1, 0, 2).reshape(-1, 3 * n_terms),
    )(functions)
    moments = at_anchors(by_moment(moments))
    rate = ops.maximum(moments[..., 0, :], LEAST_DENSITY)
    mean = ops.divide(moments[..., 1, :], rate)
    variance = ops.subtract(ops.divide(moments[..., 2, :], rate), ops.square(mean))
    variance = ops.maximum(variance, LEAST_VARIANCE_GEV4)
    left = ops.square(ops.subtract(ops.expand_dims(mean_q2, -1), mean))
    n = ops.expand_dims(count, -1)
    exponent = ops.add(ops.log(variance), ops.divide(ops.multiply(n, left), variance))
    return ops.subtract(ops.multiply(n, ops.log(rate)), ops.multiply(0.5, exponent))


def _sum_over_voxels(logarithm: Any, count: Any) -> Any:
    """Sum over the voxels of each image, relative to the mean over the anchors."""
    from keras import ops

    logarithm = ops.subtract(logarithm, ops.mean(logarithm, axis=-1, keepdims=True))
    return ops.einsum("bva,bv->ba", logarithm, ops.minimum(count, 1.0))


def _products(functions: Any) -> Any:
    """Products of two of the eleven angular functions, shape (batch, voxels, 66)."""
    from keras import layers, ops

    factors = [
        _constant(layers.Dense(len(chosen), use_bias=False, name=name), np.eye(11)[:, chosen])(
            functions
        )
        for name, chosen in zip(("first_of_pair", "second_of_pair"), function_pairs(), strict=True)
    ]
    return ops.multiply(*factors)


def _sums(image: Image, bins: int, density: VoxelDensity, anchors: Any) -> Any:
    """Log-likelihood of images at the anchors, Keras tensor of shape (batch, n_anchors)."""
    from keras import layers, ops

    def values(of: VoxelDensity, name: str) -> Any:
        terms = of.terms(np.asarray(anchors, dtype=float))
        return _constant(layers.Dense(len(terms), use_bias=False, name=name), terms.T)

    at_anchors, functions = values(density, "density"), _angular_functions(bins)
    logarithm = _log_density(functions(image["voxel"]), image["mean_q2"], density, at_anchors)
    sums = _sum_over_voxels(logarithm, image["count"])
    if "pair_voxel" not in image:
        return sums
    pairs = functions(image["pair_voxel"])
    if density.pairs is None:
        # hardly any voxel has one event: the density of pairs cannot be computed
        logarithm = _log_density_of_several(
            pairs,
            image["pair_mean_q2"],
            image["pair_count"],
            density.q2_moments,
            at_anchors,
            "pair_",
        )
    else:
        logarithm = _log_density(
            _products(pairs),
            image["pair_mean_q2"],
            density.pairs,
            values(density.pairs, "pair_density"),
            "pair_",
        )
    sums = ops.add(sums, _sum_over_voxels(logarithm, image["pair_count"]))
    logarithm = _log_density_of_several(
        functions(image["several_voxel"]),
        image["several_mean_q2"],
        image["several_count"],
        density.q2_moments,
        at_anchors,
    )
    return ops.add(sums, _sum_over_voxels(logarithm, image["several_count"]))


def build(
    bins: int,
    density: VoxelDensity,
    anchors: Any,
    use_counts: bool,
    head: Head | None = None,
    scoring: Scoring | None = None,
) -> Any:
    """Build the network that maps the occupied voxels of an image to shifts.

    For a voxel with one event, two layers turn log q² into eleven angular coefficients times
    polynomials in the shifts; multiplied by the angular functions of the voxel they give its
    density at the `anchors`, a few values of the shifts. For a voxel with two events it is the
    density of their mean q², a convolution of two such densities; for a voxel with more events, the
    density of their number and of their mean q², taken as normal. The logarithms, relative to their
    mean over the anchors, are summed over the image and give its log-likelihood at the anchors, up
    to a constant. The head turns these sums into shifts by polynomials; Fisher scoring continues
    from there to the maximum-likelihood shifts.

    The network can represent the information of independent voxels, if the density within a voxel
    is that of a decay of a P-wave Kπ pair (eleven angular functions, any dependence on q²). It
    cannot represent the positions of events within a voxel or correlations between voxels. Other
    angular distributions, for example from an S wave, from an efficiency that depends on the
    angles, or from the momentum resolution, make it less precise; the head, which is fitted to
    images of the same kind, keeps the mean unbiased.

    Args:
        bins: number of bins in each angle.
        density: learned density, see `wilsonvox.estimators.voxel_sum.voxel_density`.
        anchors: shifts, float64 of shape (n_anchors, k).
        use_counts: use the number of events per voxel; otherwise each occupied voxel counts as one
            event.
        head: readout of the sums; None: the outputs are the sums.
        scoring: Fisher scoring after the head; None: the outputs are those of the head.

    Returns:
        keras.Model: not compiled, made of Keras's own layers and operations only. Input: a
        dictionary of ``voxel`` (int32, flat index), ``mean_q2`` (float32 [GeV²]) and ``count``
        (float32), each of shape (batch, voxels), with count 0 as padding. With `use_counts` these
        hold the voxels with one event, ``pair_voxel``, … those with two, and ``several_voxel``, …
        the others; each group has its own number of voxels. Output: float32 of shape (batch, k),
        or (batch, n_anchors) without a head.
    """
    import keras
    from keras import layers

    image = {
        part + name: keras.Input((None,), dtype=dtype, name=part + name)
        for part in (("", "pair_", "several_") if use_counts else ("",))
        for name, dtype in (("voxel", "int32"), ("mean_q2", "float32"), ("count", "float32"))
    }
    x = _sums(image, bins, density, anchors)
    sums = x
    if head is not None:
        x = _constant(
            layers.Dense(len(head.offset), name="components"), head.projection, head.offset
        )(x)
        x = _polynomials(x, head)
    if scoring is not None:
        x = _maximum_likelihood_shifts(sums, x, scoring)
    model = keras.Model(image, x, name="voxel_sum")
    for layer in model.layers:
        if hasattr(layer, "given"):
            layer.set_weights(layer.given)
            layer.trainable = False
    return model


def _polynomials(x: Any, head: Head) -> Any:
    """Polynomials of the head, as products of its components and one dense layer."""
    from keras import layers, ops

    r, k = len(head.offset), head.coefficients.shape[1]
    # all r^d products of each degree d; of equal products the first has the weight
    names: list[tuple[int, ...]] = [()]
    products: list[Any] = [ops.ones_like(x[:, :1])]
    power: Any = products[0]
    kernels = []
    known = {
        tuple(order): row
        for order, row in zip(polynomial_orders(r, head.degree), head.coefficients, strict=True)
    }
    for degree in range(head.degree + 1):
        if degree:
            power = ops.reshape(ops.einsum("bi,bj->bij", power, x), (-1, r**degree))
            names = [(*name, column) for name in names for column in range(r)]
            products.append(power)
        kernels += [known.pop(tuple(sorted(name)), np.zeros(k)) for name in names]
    features = layers.Concatenate(name="products")(products)
    predictions = layers.Dense(k, use_bias=False, dtype="float32", name="predictions")
    return _constant(predictions, np.stack(kernels))(features)


def _powers(coefficients: Any, k: int, degree: int) -> Any:
    """Distribute polynomial coefficients over all products of `degree` factors from (1, z_1 … z_k).

    Args:
        coefficients: shape (n_terms, n), in the order of
            `wilsonvox.core.polynomials.polynomial_terms`.
        k: number of variables.
        degree: degree of the polynomials.

    Returns:
        Shape ((k + 1)^degree, n); of equal products the first has the coefficient.
    """
    rows = {order: row for row, order in enumerate(polynomial_orders(k, degree))}
    kernel = np.zeros(((k + 1) ** degree, coefficients.shape[1]))
    for place, chosen in enumerate(itertools.product(range(k + 1), repeat=degree)):
        order = tuple(sorted(variable - 1 for variable in chosen if variable))
        if order in rows:
            kernel[place] = coefficients[rows.pop(order)]
    return kernel


def _maximum_likelihood_shifts(sums: Any, start: Any, scoring: Scoring) -> Any:
    """Fisher scoring from a start to the maximum-likelihood shifts; float64, as in the fit."""
    from keras import layers, ops

    k, r, degree = len(scoring.centre), len(scoring.offset), scoring.degree

    def dense(name: str, units: int, *weights: Any) -> Any:
        bias = len(weights) > 1
        return _constant(layers.Dense(units, use_bias=bias, dtype="float64", name=name), *weights)

    x = dense("combinations", r, scoring.projection, scoring.offset)(sums)
    values_of = dense("mean_and_rate", r + 1, _powers(scoring.both, k, degree))
    gradient = scoring.gradient.reshape(-1, (r + 1) * k)
    slopes_of = dense("slopes", (r + 1) * k, _powers(gradient, k, degree - 1))
    weigh = dense("weight", r, scoring.weight)
    by_shift = layers.Reshape((r + 1, k), dtype="float64", name="by_shift")
    z = dense("scaled", k, np.diag(1 / scoring.scale), -scoring.centre / scoring.scale)(start)
    z = ops.clip(z, -MAX_SCALED_SHIFT, MAX_SCALED_SHIFT)
    for _ in range(ITERATIONS):
        one = ops.concatenate([ops.ones_like(z[:, :1]), z], axis=-1)
        powers = ops.ones_like(z[:, :1])
        for power in range(1, degree):
            powers = ops.reshape(ops.einsum("bi,bj->bij", powers, one), (-1, (k + 1) ** power))
        slopes = by_shift(slopes_of(powers))
        powers = ops.reshape(ops.einsum("bi,bj->bij", powers, one), (-1, (k + 1) ** degree))
        values = values_of(powers)
        rate = ops.maximum(values[:, r:], MINIMUM_RATE)
        mean = ops.divide(values[:, :r], rate)
        change = ops.multiply(ops.expand_dims(mean, -1), slopes[:, r:])
        slopes = ops.divide(ops.subtract(slopes[:, :r], change), ops.expand_dims(rate, -1))
        left = weigh(ops.subtract(x, mean))
        # W is symmetric, so that it can multiply from either side
        weighted = weigh(ops.transpose(slopes, (0, 2, 1)))
        information = ops.einsum("bkr,brl->bkl", weighted, slopes)
        information = ops.add(information, RIDGE * np.eye(k))
        direction = ops.einsum("brk,br->bk", slopes, left)
        step = ops.solve(information, ops.expand_dims(direction, -1))[..., 0]
        z = ops.clip(
            ops.add(z, ops.clip(step, -MAX_STEP, MAX_STEP)), -MAX_SCALED_SHIFT, MAX_SCALED_SHIFT
        )
    shifts = dense("shifts", k, np.diag(scoring.scale), scoring.centre)(z)
    return ops.cast(shifts, "float32")
