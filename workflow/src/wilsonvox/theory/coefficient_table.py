"""Table of angular coefficients on a (q², m_Kπ) grid, as polynomials in all twelve parameters.

The table contains the *reduced* J_i (`angular.polar_form`), which are smooth up to both ends of
phase space, times q⁴ to remove the photon pole. In m_Kπ, the polynomial through nine Chebyshev
nodes is accurate to 1e-7 of the rate. In q², linear interpolation between 901 nodes is accurate to
2e-4. These nodes are uniform in a variable t. They are dense at the photon pole and on both sides
of the charm cusp at 4m_c², where J_i varies as √|q² − 4m_c²|, which is linear in t. Only non-zero
pairs of a monomial and a J_i are stored.
"""

import json
import os
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BarycentricInterpolator

from wilsonvox.core.errors import UserError
from wilsonvox.core.files import atomic_path, require_file
from wilsonvox.core.polynomials import polynomial_terms
from wilsonvox.records.digests import digest_arrays
from wilsonvox.records.record import Record
from wilsonvox.theory.angular import NAMES
from wilsonvox.theory.model import AntiparticleShifts, DecayModel, Lepton
from wilsonvox.theory.physics_inputs import PhysicsInputs, load_inputs
from wilsonvox.theory.points import PARAMETERS, parameter_values

Array = NDArray[np.float64]

POLE_POWER = 2
"""Power of q² that removes the photon pole from the reduced J_i."""

N_BELOW, N_ABOVE, N_MASS = 600, 300, 9
"""Numbers of intervals in t below and above the cusp, and of nodes in m_Kπ."""

_NEGLIGIBLE = 1e-12


def grid_variable(q2: Array, model: DecayModel) -> Array:
    """Compute the grid variable t(q²) from `q2` [GeV²]; dimensionless, increasing from −1.

    With q0 = 4m_ℓ² and c = 4m_c²: t = −√(ln(c/q²)/ln(c/q0)) below c, and √(q²/c − 1) above.
    """
    low, cusp = model.q2_min_gev2, model.charm_threshold_gev2
    below = -np.sqrt(np.log(cusp / np.clip(q2, low, cusp)) / np.log(cusp / low))
    return np.asarray(np.where(q2 < cusp, below, np.sqrt(np.maximum(q2 / cusp - 1, 0))))


def grid_q2(t: Array, model: DecayModel) -> Array:
    """Compute q² [GeV²] from the grid variable `t`; the inverse of `grid_variable`."""
    low, cusp = model.q2_min_gev2, model.charm_threshold_gev2
    below = cusp * np.exp(-np.log(cusp / low) * np.minimum(t, 0) ** 2)
    return np.asarray(np.where(t < 0, below, cusp * (1 + np.maximum(t, 0) ** 2)))


def model_json(model: DecayModel) -> str:
    """Serialise a decay model with all its inputs as JSON."""
    return json.dumps(asdict(model) | {"inputs": model.inputs.model_dump()}, sort_keys=True)


def model_from_json(text: str) -> DecayModel:
    """Construct the decay model that `model_json` serialised."""
    values: dict[str, Any] = json.loads(text)
    return DecayModel(**values | {"inputs": PhysicsInputs.model_validate(values["inputs"])})


@dataclass(frozen=True)
class AngularCoefficients:
    """Table of angular coefficients of a decay model.

    Attributes:
        model: the decay model.
        t: nodes of the grid variable, float64 of shape (n_t,), uniform on either side of 0.
        m_kpi: Chebyshev nodes [GeV], float64 of shape (n_m,), ascending.
        terms: indices of the monomial (of `polynomial_terms` of `PARAMETERS`, degree 2) and of the
            J_i of each term, int64 of shape (n_terms, 2).
        values: coefficient of that monomial in the reduced J_i, times q⁴, float64 of shape
            (n_m, n_t, n_terms).
    """

    model: DecayModel
    t: Array
    m_kpi: Array
    terms: NDArray[np.int64]
    values: Array

    @property
    def inputs(self) -> PhysicsInputs:
        """Standard-Model inputs of the model."""
        return self.model.inputs

    @classmethod
    def tabulate(cls, model: DecayModel) -> Self:
        """Compute the table of a decay model."""
        inputs = model.inputs
        largest = np.asarray((inputs.m_b_meson_gev - inputs.m_kpi_min_gev) ** 2)
        high = float(grid_variable(largest, model))
        # a node exactly at the cusp
        t = np.concatenate([np.linspace(-1, 0, N_BELOW + 1), np.linspace(0, high, N_ABOVE + 1)[1:]])
        q2 = grid_q2(t, model)
        middle = (inputs.m_kpi_max_gev + inputs.m_kpi_min_gev) / 2
        half = (inputs.m_kpi_max_gev - inputs.m_kpi_min_gev) / 2
        m_kpi = middle - half * np.cos(np.pi * np.arange(N_MASS) / (N_MASS - 1))
        # in the shifts as they enter the amplitudes: those of an anti-B0 are never conjugated
        reduced = model.reduced_polynomials(q2[None, :], m_kpi[:, None], PARAMETERS, flavour=-1)
        reduced *= q2[None, :, None, None] ** POLE_POWER
        size = np.abs(reduced).max(axis=(0, 1))
        terms = np.argwhere(size > _NEGLIGIBLE * size.max(axis=0))
        return cls(model, t, m_kpi, terms, reduced[:, :, terms[:, 0], terms[:, 1]])

    def at(
        self,
        shifts: NDArray[np.complex128],
        flavour: int = 1,
        m_kpi: Array | None = None,
    ) -> Array:
        """Evaluate the reduced J_i times q⁴ at given shifts, float64 of shape (n_masses, n_t, 11).

        Args:
            shifts: complex128 of shape (6,), dimensionless.
            flavour: +1 for B0, −1 for anti-B0.
            m_kpi: masses to interpolate to [GeV]; the nodes of the table if None.
        """
        decaying = self.model.decay_shifts(shifts, flavour)
        weights = polynomial_terms(parameter_values(decaying), 2)[self.terms[:, 0]]
        result = np.zeros((*self.values.shape[:2], len(NAMES)))
        for index in range(len(NAMES)):
            chosen = self.terms[:, 1] == index
            result[..., index] = self.values[..., chosen] @ weights[chosen]
        if m_kpi is None:
            return result
        return np.asarray(BarycentricInterpolator(self.m_kpi, result)(np.asarray(m_kpi)))

    def save(self, path: str | os.PathLike[str], record: Record) -> None:
        """Write the table and `record` to an `.npz` file, atomically."""
        arrays = {
            "t": self.t,
            "q2": grid_q2(self.t, self.model),
            "m_kpi": self.m_kpi,
            "terms": self.terms,
            "values": self.values,
            "names": np.array(NAMES),
            "parameters": np.array(PARAMETERS),
            "model": np.array(model_json(self.model)),
        }
        full = record.model_copy(update={"content_digest": digest_arrays(arrays.items())})
        with atomic_path(path) as temporary, temporary.open("wb") as handle:
            np.savez(handle, allow_pickle=False, provenance=np.array(full.to_json()), **arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a table.

        Raises:
            UserError: the file does not exist or is not such a table.
        """
        file = require_file(path, "a table of angular coefficients (.npz)")
        try:
            # np.load does not close the file if it raises on a damaged one
            with file.open("rb") as handle, np.load(handle, allow_pickle=False) as content:
                if tuple(content["names"]) != NAMES:
                    raise ValueError("other angular coefficients than this version's")
                return cls(
                    model=model_from_json(str(content["model"])),
                    t=content["t"],
                    m_kpi=content["m_kpi"],
                    terms=content["terms"],
                    values=content["values"],
                )
        except Exception as error:
            raise UserError(
                f"{file}: not a table of angular coefficients ({error}); "
                "make one with 'wilsonvox coefficients'"
            ) from error


def tabulate_by_name(
    physics_inputs: str, lepton: Lepton = "muon", antiparticle_shifts: AntiparticleShifts = "equal"
) -> AngularCoefficients:
    """Compute the table for a named set of physics inputs."""
    model = DecayModel(load_inputs(physics_inputs), lepton, antiparticle_shifts)
    return AngularCoefficients.tabulate(model)
