"""The table of angular coefficients on a (q², m_Kπ) grid, as polynomials in the shift δC9.

With amplitudes linear in the Wilson coefficients, every J_i is exactly quadratic in a real shift:
J_i(δ) = J_i,0 + J_i,1 δ + J_i,2 δ². The table holds the three coefficients of the *reduced* J_i
(`angular.reduced_coefficients`, times q⁶ against the photon pole). They are smooth up to both ends
of phase space, so that linear interpolation is good to about 1e-4 of the rate. The q² axis is
uniform in a variable t in which nodes crowd at the muon threshold and on both sides of the charm
cusp at 4m_c²: there J_i goes as √|q² − 4m_c²|, which is linear in t.
"""

import os
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from wilsonvox.errors import UserError
from wilsonvox.files import atomic_path, require_file
from wilsonvox.provenance.formats import digest_arrays
from wilsonvox.provenance.record import Record
from wilsonvox.theory.amplitudes import amplitudes, phase_space, standard_model_coefficients
from wilsonvox.theory.angular import NAMES, kinematic_factors, reduced_coefficients
from wilsonvox.theory.physics_inputs import PhysicsInputs, load_inputs

Array = NDArray[np.float64]

POLE_POWER = 3
"""Power of q² that makes the reduced J_i smooth where q² → 4m_μ² (photon pole, lepton mass)."""


def grid_variable(q2: Array, inputs: PhysicsInputs) -> Array:
    """The variable t(q²) of the table's axis, dimensionless, increasing; q2 in GeV².

    With q0 = 4m_μ² and c = 4m_c²: arcsin √((q² − q0)/(c − q0)) − π/2 below c, and
    √((q² − c)/c) above.
    """
    low, cusp = 4 * inputs.m_muon_gev**2, 4 * inputs.m_c_gev**2
    below = np.arcsin(np.sqrt(np.clip((q2 - low) / (cusp - low), 0, 1))) - np.pi / 2
    return np.asarray(np.where(q2 < cusp, below, np.sqrt(np.maximum(q2 / cusp - 1, 0))))


def grid_q2(t: Array, inputs: PhysicsInputs) -> Array:
    """q² [GeV²] at grid variable `t`, the inverse of `grid_variable`."""
    low, cusp = 4 * inputs.m_muon_gev**2, 4 * inputs.m_c_gev**2
    below = low + (cusp - low) * np.sin(t + np.pi / 2) ** 2
    return np.asarray(np.where(t < 0, below, cusp * (1 + t**2)))


def reduced_polynomials(q2: Array, m_kpi: Array, inputs: PhysicsInputs) -> Array:
    """Reduced J_i as polynomials in δC9: shape (…, 3, 11), powers 0, 1, 2 on the axis before last.

    Exact: the middle coefficient is the polar form of the quadratic form J_i.

    Args:
        q2: GeV².
        m_kpi: GeV, broadcastable with `q2`.
        inputs: the set of Standard-Model inputs.
    """
    lam, beta2 = phase_space(q2, m_kpi, inputs)
    standard = amplitudes(q2, m_kpi, standard_model_coefficients(q2, inputs), inputs)
    step = amplitudes(q2, m_kpi, {"c9": np.ones_like(q2, dtype=np.complex128)}, inputs)

    def quadratic(a: object) -> Array:
        return reduced_coefficients(a, q2, lam, beta2, inputs.m_muon_gev)  # type: ignore[arg-type]

    constant, curvature = quadratic(standard), quadratic(step)
    return np.stack(
        [constant, quadratic(standard + step) - constant - curvature, curvature], axis=-2
    )


@dataclass(frozen=True)
class AngularCoefficients:
    """The table.

    t: float64, shape (n_t,), uniform; m_kpi: float64, shape (n_m,), uniform [GeV]
    values: float64, shape (3, n_m, n_t, 11): power of δC9, mass, t, J_i; reduced J_i times q⁶
    """

    inputs: PhysicsInputs
    t: Array
    m_kpi: Array
    values: Array

    @classmethod
    def tabulate(cls, inputs: PhysicsInputs, n_t: int = 1601, n_m: int = 65) -> Self:
        """Fill the table for a set of inputs."""
        largest = np.asarray((inputs.m_b_meson_gev - inputs.m_kpi_min_gev) ** 2)
        high = float(grid_variable(largest, inputs))
        # nodes exactly at both kinks, the muon threshold and the charm cusp
        n_below = int((n_t - 1) * (np.pi / 2) / (np.pi / 2 + high))
        t = np.arange(-n_below, n_t - n_below, dtype=np.float64) * (np.pi / 2 / n_below)
        q2 = grid_q2(t, inputs)
        m_kpi = np.linspace(inputs.m_kpi_min_gev, inputs.m_kpi_max_gev, n_m)
        reduced = reduced_polynomials(q2[None, :], m_kpi[:, None], inputs)
        reduced = reduced * q2[None, :, None, None] ** POLE_POWER
        return cls(inputs, t, m_kpi, np.ascontiguousarray(np.moveaxis(reduced, 2, 0)))

    @property
    def threshold(self) -> float:
        """4 m_c² [GeV²], where the charm cusp is."""
        return 4 * self.inputs.m_c_gev**2

    def reduced_at(self, shift: float) -> Array:
        """Reduced J_i times q⁶ at δC9 = `shift`, shape (n_m, n_t, 11)."""
        return np.asarray(self.values[0] + shift * (self.values[1] + shift * self.values[2]))

    def polynomials(self, q2: Array, m_kpi: Array) -> Array:
        """Full J_i (up to one constant) as polynomials in δC9, interpolated; shape (…, 3, 11)."""
        x = (grid_variable(q2, self.inputs) - self.t[0]) / (self.t[1] - self.t[0])
        y = (m_kpi - self.m_kpi[0]) / (self.m_kpi[1] - self.m_kpi[0])
        column = np.clip(x.astype(np.int64), 0, len(self.t) - 2)
        row = np.clip(y.astype(np.int64), 0, len(self.m_kpi) - 2)
        wx, wy = (x - column)[..., None], (y - row)[..., None]
        table = np.moveaxis(self.values, 0, 2)
        wx, wy = wx[..., None], wy[..., None]
        reduced = (1 - wy) * ((1 - wx) * table[row, column] + wx * table[row, column + 1]) + wy * (
            (1 - wx) * table[row + 1, column] + wx * table[row + 1, column + 1]
        )
        lam, beta2 = phase_space(q2, m_kpi, self.inputs)
        factors = kinematic_factors(q2, lam, beta2) / np.asarray(q2)[..., None] ** POLE_POWER
        return np.asarray(reduced * factors[..., None, :])

    def save(self, path: str | os.PathLike[str], record: Record) -> None:
        """Write the table as `.npz`, atomically."""
        arrays = {
            "t": self.t,
            "m_kpi": self.m_kpi,
            "values": self.values,
            "names": np.array(NAMES),
            "physics_inputs": np.array(self.inputs.model_dump_json()),
        }
        full = record.model_copy(update={"content_digest": digest_arrays(arrays.items())})
        with atomic_path(path) as temporary, temporary.open("wb") as handle:
            np.savez(handle, allow_pickle=False, provenance=np.array(full.to_json()), **arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a table.

        Raises:
            UserError: no such file, or not such a table.
        """
        found = require_file(path, "a table of angular coefficients (.npz)")
        try:
            # np.load leaves a file open when it raises on a damaged one
            with found.open("rb") as handle, np.load(handle, allow_pickle=False) as content:
                if tuple(content["names"]) != NAMES:
                    raise ValueError("other angular coefficients than this version's")
                return cls(
                    inputs=PhysicsInputs.model_validate_json(str(content["physics_inputs"])),
                    t=content["t"],
                    m_kpi=content["m_kpi"],
                    values=content["values"],
                )
        except Exception as error:
            raise UserError(
                f"{found}: not a table of angular coefficients ({error}); "
                "make one with 'wilsonvox coefficients'"
            ) from error


def tabulate_by_name(physics_inputs: str) -> AngularCoefficients:
    """The table of a named set of inputs."""
    return AngularCoefficients.tabulate(load_inputs(physics_inputs))
