"""The peer of the sampler: accept–reject of the same model in plain NumPy, whole arrays at a time.

As the sampler it draws m_Kπ, then q², then the angles; each J_i is interpolated in a table.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wilsonvox.events.event_file import Events
from wilsonvox.theory.angular import RATE_WEIGHTS
from wilsonvox.theory.line_shape import line_shape_quantiles
from wilsonvox.theory.model import DecayModel

Array = NDArray[np.float64]

N_S, N_MASS = 1200, 60
CHUNK = 20_000
"""Proposals at a time: whole columns stay in the processor's cache."""


@dataclass(frozen=True)
class Table:
    """J_i on a grid uniform in s and m_Kπ, q² = low + (high(m) − low) s².

    mass, cumulative: for m_Kπ by inverse transform
    values: shape (N_MASS, N_S, 11), the J_i
    rate: shape (N_MASS, N_S), dΓ/ds over the density that s is proposed with
    s_nodes, s_cumulative: for the proposal of s by inverse transform
    """

    model: DecayModel
    mass: Array
    cumulative: Array
    values: Array
    rate: Array
    s_nodes: Array
    s_cumulative: Array


def prepare(model: DecayModel, shifts: NDArray[np.complex128]) -> Table:
    """The table at given shifts, complex128 of shape (6,)."""
    inputs = model.inputs
    m = np.linspace(inputs.m_kpi_min_gev, inputs.m_kpi_max_gev, N_MASS)[:, None]
    s = np.linspace(0, 1, N_S)
    q2 = model.q2_min_gev2 + (model.q2_end(m) - model.q2_min_gev2) * s**2
    values = np.nan_to_num(model.angular_coefficients(q2, m, shifts))
    rate = (values @ RATE_WEIGHTS) * s
    # proposed between two nodes with the larger of their mean densities
    density = (rate / rate.sum(axis=1, keepdims=True)).mean(axis=0)
    steps = np.maximum(density[1:], density[:-1])
    cumulative = np.concatenate([[0.0], np.cumsum(steps)])
    proposed = np.interp(s, (s[1:] + s[:-1]) / 2, steps)
    ratio = rate / proposed
    mass, mass_cumulative = line_shape_quantiles(inputs)
    return Table(
        model,
        mass,
        mass_cumulative,
        values,
        ratio / (1.02 * ratio.max(axis=1, keepdims=True)),
        s,
        cumulative / cumulative[-1],
    )


def _interpolate(grid: Array, row: Any, column: Any, wy: Array, wx: Array) -> Array:
    if grid.ndim == 3:
        wy, wx = wy[:, None], wx[:, None]
    low = grid[row, column] * (1 - wx) + grid[row, column + 1] * wx
    high = grid[row + 1, column] * (1 - wx) + grid[row + 1, column + 1] * wx
    return low * (1 - wy) + high * wy


def _angles(j: Array, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Angles (cos θ_μ, cos θ_K, φ) by accept–reject for J_i of shape (n, 11)."""
    n = len(j)
    j = np.ascontiguousarray(j.T)
    bound = (
        np.maximum(j[0] + np.abs(j[2]) + np.hypot(j[4], j[10]) + np.abs(j[7]), j[1] + np.abs(j[3]))
        + np.hypot(j[5], j[9])
        + np.hypot(j[6], j[8])
    )
    result = np.empty((3, n))
    left = np.arange(n)
    while left.size:
        cl, ck = rng.uniform(-1, 1, (2, left.size))
        phi = rng.uniform(-np.pi, np.pi, left.size)
        sl2, sk2 = 1 - cl * cl, 1 - ck * ck
        sl, s2k, c2l = np.sqrt(sl2), 2 * ck * np.sqrt(sk2), 1 - 2 * sl2
        cos, sin = np.cos(phi), np.sin(phi)
        intensity = (
            sk2 * (j[0] + j[2] * c2l + cl * j[7])
            + ck * ck * (j[1] + j[3] * c2l)
            + sk2 * sl2 * (j[4] * (2 * cos * cos - 1) + 2 * j[10] * sin * cos)
            + s2k * sl * (cos * (2 * cl * j[5] + j[6]) + sin * (2 * cl * j[9] + j[8]))
        )
        kept = rng.random(left.size) * bound < intensity
        result[:, left[kept]] = cl[kept], ck[kept], phi[kept]
        j, bound, left = j[:, ~kept], bound[~kept], left[~kept]
    return result[0], result[1], result[2]


def generate(table: Table, n_events: int, rng: np.random.Generator) -> Events:
    """So many B0 events."""
    model, inputs = table.model, table.model.inputs
    step = (inputs.m_kpi_max_gev - inputs.m_kpi_min_gev) / (N_MASS - 1)
    parts: list[Events] = []
    found = 0
    while found < n_events:
        m = np.interp(rng.random(CHUNK), table.cumulative, table.mass)
        y = (m - inputs.m_kpi_min_gev) / step
        row = np.minimum(y.astype(int), N_MASS - 2)
        wy = y - row
        s = np.empty(CHUNK)
        column, wx = np.empty(CHUNK, int), np.empty(CHUNK)
        left = np.arange(CHUNK)
        while left.size:
            proposed = np.interp(rng.random(left.size), table.s_cumulative, table.s_nodes)
            x = proposed * (N_S - 1)
            cell = np.minimum(x.astype(int), N_S - 2)
            rate = _interpolate(table.rate, row[left], cell, wy[left], x - cell)
            kept = rng.random(left.size) < rate
            s[left[kept]], column[left[kept]] = proposed[kept], cell[kept]
            wx[left[kept]] = (x - cell)[kept]
            left = left[~kept]
        q2 = model.q2_min_gev2 + (model.q2_end(m) - model.q2_min_gev2) * s * s
        cl, ck, phi = _angles(_interpolate(table.values, row, column, wy, wx), rng)
        columns = {"q2": q2, "cos_theta_mu": cl, "cos_theta_k": ck, "m_kpi": m}
        columns |= {"chi": np.mod(np.pi - phi, 2 * np.pi), "flavour": np.ones(CHUNK)}
        parts.append(Events.from_columns(columns))
        found += CHUNK
    return Events.concatenate(parts)[:n_events]
