"""Polynomials in several variables."""

import itertools

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def polynomial_orders(n: int, degree: int) -> list[tuple[int, ...]]:
    """Which of `n` values each of `polynomial_terms` is a product of.

    >>> polynomial_orders(2, 2)
    [(), (0,), (1,), (0, 0), (0, 1), (1, 1)]
    """
    return [
        chosen
        for order in range(degree + 1)
        for chosen in itertools.combinations_with_replacement(range(n), order)
    ]


def polynomial_terms(values: Array, degree: int) -> Array:
    """All products of up to `degree` of k values: 1, x_1 … x_k, x_1², x_1 x_2 and so on.

    Args:
        values: shape (n, k).
        degree: 0 or more.

    Returns:
        Shape (n, number of terms).

    >>> polynomial_terms(np.array([[2.0, 3.0]]), 2)
    array([[1., 2., 3., 4., 6., 9.]])
    """
    orders = polynomial_orders(values.shape[1], degree)
    return np.stack([values[:, list(chosen)].prod(axis=1) for chosen in orders], axis=1)


def polynomial_gradient(value: Array, degree: int) -> Array:
    """Derivatives of `polynomial_terms` by the k values at one place.

    Args:
        value: shape (k,).
        degree: 0 or more.

    Returns:
        Shape (number of terms, k).

    >>> polynomial_gradient(np.array([2.0, 3.0]), 2)[:, 0]
    array([0., 1., 0., 4., 3., 0.])
    """
    k = len(value)
    rows = np.zeros((len(polynomial_orders(k, degree)), k))
    for row, chosen in zip(rows, polynomial_orders(k, degree), strict=True):
        for place, variable in enumerate(chosen):
            rest = [*chosen[:place], *chosen[place + 1 :]]
            row[variable] += value[rest].prod()
    return rows
