"""Polynomials in several variables."""

import itertools

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def polynomial_orders(n: int, degree: int) -> list[tuple[int, ...]]:
    """List the monomials of `n` variables up to a degree, as tuples of variable indices.

    >>> polynomial_orders(2, 2)
    [(), (0,), (1,), (0, 0), (0, 1), (1, 1)]
    """
    return [
        chosen
        for order in range(degree + 1)
        for chosen in itertools.combinations_with_replacement(range(n), order)
    ]


def polynomial_terms(values: Array, degree: int) -> Array:
    """Evaluate all monomials of k variables up to a degree: 1, x_1 … x_k, x_1², x_1 x_2, ….

    Args:
        values: shape (…, k).
        degree: 0 or more.

    Returns:
        float64 of shape (…, n_terms), in the order of `polynomial_orders`.

    >>> polynomial_terms(np.array([[2.0, 3.0]]), 2)
    array([[1., 2., 3., 4., 6., 9.]])
    """
    values = np.asarray(values, dtype=float)
    orders = polynomial_orders(values.shape[-1], degree)
    return np.stack([values[..., list(chosen)].prod(axis=-1) for chosen in orders], axis=-1)


def polynomial_gradient(values: Array, degree: int) -> Array:
    """Evaluate the derivatives of `polynomial_terms` with respect to the k variables.

    Args:
        values: shape (…, k).
        degree: 0 or more.

    Returns:
        float64 of shape (…, n_terms, k).

    >>> polynomial_gradient(np.array([2.0, 3.0]), 2)[:, 0]
    array([0., 1., 0., 4., 3., 0.])
    """
    values = np.asarray(values, dtype=float)
    k = values.shape[-1]
    orders = polynomial_orders(k, degree)
    gradient = np.zeros((*values.shape[:-1], len(orders), k))
    for term, chosen in enumerate(orders):
        for position, variable in enumerate(chosen):
            others = [*chosen[:position], *chosen[position + 1 :]]
            gradient[..., term, variable] += values[..., others].prod(axis=-1)
    return gradient
