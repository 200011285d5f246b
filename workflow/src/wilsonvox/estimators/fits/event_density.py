"""Density of each event as a polynomial in the shifts, in a compiled loop.

At the event's own (q², m_Kπ), Σ_i J_i f_i is a quadratic form of the seven transversity amplitudes,
with a matrix that depends on the event's angles; the amplitudes are linear in the Wilson
coefficients. The form is therefore applied to the amplitudes of the Standard Model and of each
parameter, which is cheaper than computing eleven J_i for each pair of parameters.
"""

import logging
from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from wilsonvox.core.errors import UserError
from wilsonvox.events.event_file import Events
from wilsonvox.theory.amplitudes import amplitudes, phase_space, standard_model_coefficients
from wilsonvox.theory.angular import angular_functions
from wilsonvox.theory.form_factors import form_factors
from wilsonvox.theory.model import DecayModel
from wilsonvox.theory.particles import FLAVOURS
from wilsonvox.theory.points import COEFFICIENTS, PARAMETERS

Array = NDArray[np.float64]

logger = logging.getLogger(__name__)

_ROUNDING = 1e-5
"""Relative distance explained by single precision and by the conversion from four-momenta."""
_WARNING_FRACTION = 1e-3

_CHUNK = 8192
"""Events computed at once; their arrays fit into the processor's cache."""

_AMPLITUDES = (
    "perp_left",
    "para_left",
    "zero_left",
    "perp_right",
    "para_right",
    "zero_right",
    "time",
)
_HALF_ROOT = float(np.sqrt(0.5))


@numba.njit(cache=True, nogil=True)
def _matrix(f: Array, beta2: float) -> Any:
    """Elements of the Hermitian matrix of the quadratic form Σ_i J_i f_i of the amplitudes.

    The J_i are those of `theory.angular.polar_form`, with all factors √λ and β.

    Args:
        f: the functions of `theory.angular.angular_functions` at one event, shape (11,).
        beta2: β².

    Returns:
        Six real elements, then (0, ∥), (0, ⊥) and (∥, ⊥) for left- and for right-handed leptons.
    """
    b2, b, mass = beta2, np.sqrt(beta2), 1.0 - beta2
    transverse = (2.0 + b2) / 4.0 * f[0] + b2 / 4.0 * f[2]
    f_3 = b2 / 2.0 * f[4]
    f_4 = -_HALF_ROOT * b2 / 2.0 * f[5]
    f_5 = _HALF_ROOT * b * f[6]
    f_6 = -b * f[7]
    f_7 = _HALF_ROOT * b * f[8]
    f_8 = -_HALF_ROOT * b2 / 2.0 * f[9]
    f_9 = -b2 / 2.0 * f[10]
    return (
        transverse + f_3,
        transverse - f_3,
        f[1] - b2 * f[3],
        mass * f[1],
        mass * f[0] / 2.0,
        mass * f[1],
        complex(f_4, f_7),
        complex(f_4, -f_7),
        complex(f_5, f_8),
        complex(-f_5, f_8),
        complex(f_6, f_9),
        complex(-f_6, f_9),
    )


@numba.njit(cache=True, nogil=True)
def _apply(matrix: Any, v: NDArray[np.complex128], out: NDArray[np.complex128]) -> None:
    """Fill `out` with the matrix times `v`, both of shape (7,) in the order of `_AMPLITUDES`."""
    perp, para, zero, time, mixed, mixed_zero = matrix[:6]
    for first, (zero_para, zero_perp, para_perp) in (
        (0, (matrix[6], matrix[8], matrix[10])),
        (3, (matrix[7], matrix[9], matrix[11])),
    ):
        other = 3 - first
        a, b, c = v[first], v[first + 1], v[first + 2]
        out[first] = perp * a + mixed * v[other] + para_perp * b + zero_perp * c
        out[first + 1] = para * b + mixed * v[other + 1] + para_perp.conjugate() * a
        out[first + 1] += zero_para * c
        out[first + 2] = zero * c + mixed_zero * v[other + 2] + zero_perp.conjugate() * a
        out[first + 2] += zero_para.conjugate() * b
    out[6] = time * v[6]


@numba.njit(cache=True, nogil=True)
def _quadratic_forms(
    base: NDArray[np.complex128],
    units: Array,
    coefficient: NDArray[np.int64],
    phase: NDArray[np.complex128],
    root_lambda: Array,
    beta2: Array,
    functions: Array,
    out: Array,
) -> None:
    """Fill `out` (n, n_monomials) with Σ_i J_i f_i, divided by a scale of each event.

    Args:
        base: Wilson coefficients without the fitted parameters, shape (n_units, n).
        units: amplitudes for one coefficient at 1 and the others at 0, shape (n_units, 7, n).
        coefficient: index in `units` of each parameter's coefficient, shape (k,).
        phase: change of the coefficient per unit of each parameter, shape (k,).
        root_lambda: √λ [GeV²], shape (n,).
        beta2: β², shape (n,).
        functions: the f_i of `theory.angular.angular_functions`, shape (n, 11).
        out: float64.
    """
    k = len(coefficient)
    vectors = np.empty((k + 1, 7), np.complex128)
    product = np.empty(7, np.complex128)
    for event in range(out.shape[0]):
        matrix = _matrix(functions[event], beta2[event])
        for a in range(7):
            factor = root_lambda[event] if a in (0, 3, 6) else 1.0
            total = 0j
            for unit in range(len(units)):
                total += base[unit, event] * units[unit, a, event]
            vectors[0, a] = factor * total
            for step in range(k):
                vectors[step + 1, a] = phase[step] * (factor * units[coefficient[step], a, event])
        # monomials are the pairs of the base and the parameters, in row-major order
        column, scale = 0, 0.0
        for row in range(k + 1):
            _apply(matrix, vectors[row], product)
            for other in range(row, k + 1):
                value = 0.0
                for a in range(7):
                    u = vectors[other, a]
                    value += product[a].real * u.real + product[a].imag * u.imag
                out[event, column] = value if row == other else 2.0 * value
                scale += value if row == other else 0.0
                column += 1
        if scale > 0.0:
            out[event] /= scale
        else:  # forbidden at all shifts: the event carries no information
            out[event] = 0.0
            out[event, 0] = 1.0


def require_flavour(events: Events, flavour: int) -> None:
    """Check that all events have one flavour.

    Raises:
        UserError: an event has the other flavour.
    """
    others = int(np.count_nonzero(events.flavour != flavour))
    if others:
        names = {value: name for name, value in FLAVOURS.items()}
        raise UserError(
            f"events: {others} of {len(events)} are not {names[flavour]}, the flavour of the "
            "image; select them by flavour"
        )


def inside_phase_space(model: DecayModel, events: Events) -> tuple[Array, Array]:
    """Return q² [GeV²] and m_Kπ [GeV] as float64, moved to the nearest point of phase space.

    Rounding to float32 moves events beyond its boundary. Events with m_Kπ outside the range of the
    line shape are moved to its end, because their density is undefined otherwise. A warning is
    logged if more than one in a thousand is farther away than rounding explains.

    Raises:
        UserError: a variable of an event is not a finite number.
    """
    finite = np.ones(len(events), dtype=bool)
    for column in events.columns().values():
        finite &= np.isfinite(column)
    bad = int(np.count_nonzero(~finite))
    if bad:
        raise UserError(
            f"events: {bad} of {len(events)} have a variable that is not a finite number; "
            "leave them out"
        )
    q2, m_kpi = np.asarray(events.q2, float), np.asarray(events.m_kpi, float)
    mass = np.clip(m_kpi, model.inputs.m_kpi_min_gev, model.inputs.m_kpi_max_gev)
    moved = np.clip(q2, model.q2_min_gev2, model.q2_end(mass))
    far = (np.abs(moved - q2) > _ROUNDING * q2) | (np.abs(mass - m_kpi) > _ROUNDING * m_kpi)
    if far.mean() > _WARNING_FRACTION:
        logger.warning(
            "%d of %d events lie outside phase space or the range of the K* line shape; they are "
            "moved to its boundary",
            int(far.sum()),
            len(events),
        )
    return moved, mass


def event_polynomials(model: DecayModel, events: Events, names: Sequence[str]) -> Array:
    """Compute the density Σ_i J_i f_i of each event as a polynomial in the parameters `names`.

    Equal to ``model.polynomials(q2, m_kpi, names) @ angular_functions(…)`` up to a factor per
    event, which cancels in a likelihood: it makes the sum of the coefficients of 1, x_1², …, x_k²
    equal to 1.

    Args:
        model: decay model.
        events: n events of one flavour.
        names: parameters, from `points.PARAMETERS`; all others are 0.

    Returns:
        float64 of shape (n, n_monomials), in the order of
        `wilsonvox.core.polynomials.polynomial_terms` at degree 2 (1, x_1 … x_k, x_1², x_1x_2, …).

    Raises:
        UserError: an unknown parameter, two flavours, or events with a q² or m_Kπ that is not a
            finite number.
    """
    unknown = [name for name in names if name not in PARAMETERS]
    if unknown or len(set(names)) != len(names):
        raise UserError(
            f"parameters {', '.join(names)}: unknown or duplicated; known are "
            f"{', '.join(PARAMETERS)}"
        )
    k = len(names)
    out = np.empty((len(events), (k + 1) * (k + 2) // 2))
    if not len(events):
        return out
    flavour = int(events.flavour[0])
    require_flavour(events, flavour)
    sm = standard_model_coefficients(np.array([1.0]), model.inputs)
    fitted = [PARAMETERS.index(name) % 6 for name in names]
    needed = [
        name
        for index, name in enumerate(COEFFICIENTS)
        if index in fitted or np.any(sm.get(name, 0.0))
    ]
    coefficient = np.array([needed.index(COEFFICIENTS[index]) for index in fitted], np.int64)
    phase = np.empty(k, np.complex128)
    for step, name in enumerate(names):
        index = PARAMETERS.index(name)
        unit = np.zeros(6, np.complex128)
        unit[index % 6] = 1 if index < 6 else 1j
        phase[step] = model.decay_shifts(unit, flavour)[index % 6]
    for start in range(0, len(events), _CHUNK):
        part = slice(start, start + _CHUNK)
        _fill(model, events[part], needed, coefficient, phase, out[part])
    return out


def _fill(
    model: DecayModel,
    events: Events,
    needed: Sequence[str],
    coefficient: NDArray[np.int64],
    phase: NDArray[np.complex128],
    out: Array,
) -> None:
    """Compute `event_polynomials` of one chunk."""
    q2, m_kpi = inside_phase_space(model, events)
    factors = form_factors(q2, m_kpi, model.inputs)
    sm = standard_model_coefficients(q2, model.inputs)
    base = np.empty((len(needed), len(q2)), np.complex128)
    units = np.zeros((len(needed), len(_AMPLITUDES), len(q2)))
    for index, name in enumerate(needed):
        base[index] = sm.get(name, 0.0)
        alone: dict[str, Any] = {name: np.asarray(1.0)}
        amplitude_values = vars(amplitudes(q2, m_kpi, alone, model.inputs, factors))
        for place, amplitude in enumerate(_AMPLITUDES):
            units[index, place] = amplitude_values[amplitude]
    lam, beta2 = phase_space(q2, m_kpi, model.inputs.m_b_meson_gev, model.m_lepton_gev)
    angles = np.array([events.cos_theta_mu, events.cos_theta_k, events.chi], float)
    _quadratic_forms(
        base,
        units,
        coefficient,
        phase,
        np.sqrt(np.maximum(lam, 0.0)),
        np.maximum(beta2, 0.0),
        angular_functions(*angles),
        out,
    )
