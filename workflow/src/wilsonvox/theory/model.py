"""The decay model: angular coefficients J_i(q², m_Kπ) as exact polynomials in the shifts.

The amplitudes are linear in the Wilson coefficients, so every J_i is a polynomial of second degree
in the real and imaginary parts of the shifts: with twelve real parameters, 91 monomials.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from wilsonvox.core.errors import UserError
from wilsonvox.theory.amplitudes import (
    Amplitudes,
    amplitudes,
    phase_space,
    standard_model_coefficients,
)
from wilsonvox.theory.angular import kinematic_factors, polar_form
from wilsonvox.theory.form_factors import form_factors
from wilsonvox.theory.physics_inputs import PhysicsInputs
from wilsonvox.theory.points import COEFFICIENTS, PARAMETERS

Array = NDArray[np.float64]
Lepton = Literal["muon", "electron"]
AntiparticleShifts = Literal["equal", "conjugate"]


@dataclass(frozen=True)
class DecayModel:
    """Model of B0 → K*0 ℓ+ ℓ− and its conjugate, with given Standard-Model inputs.

    The angles of each flavour are those of its own decay (LHCb's definition, chi = π − φ), so that
    the same formulas hold for both.

    Attributes:
        inputs: masses, Standard-Model coefficients, form factors.
        lepton: ``muon`` or ``electron``.
        antiparticle_shifts: ``equal`` if both flavours decay with the same complex shifts, as in
            EvtGen; ``conjugate`` if the shifts are weak phases. In the latter case the given shifts
            are those of the anti-B0, which contains the b quark of the Hamiltonian, and the B0
            decays with their complex conjugates.
    """

    inputs: PhysicsInputs
    lepton: Lepton = "muon"
    antiparticle_shifts: AntiparticleShifts = "equal"

    @property
    def m_lepton_gev(self) -> float:
        """Mass of the lepton [GeV]."""
        masses = {"muon": self.inputs.m_muon_gev, "electron": self.inputs.m_electron_gev}
        return masses[self.lepton]

    @property
    def q2_min_gev2(self) -> float:
        """Lower end of q², 4 m_ℓ² [GeV²]."""
        return 4 * self.m_lepton_gev**2

    @property
    def charm_threshold_gev2(self) -> float:
        """Position of the cusp of Y(q²), 4 m_c² [GeV²]."""
        return 4 * self.inputs.m_c_gev**2

    def q2_end(self, m_kpi: Array) -> Array:
        """Return the upper end of q², (m_B − m_Kπ)² [GeV²], at m_Kπ [GeV]."""
        return np.asarray((self.inputs.m_b_meson_gev - np.asarray(m_kpi)) ** 2)

    def decay_shifts(
        self, shifts: NDArray[np.complex128] | None, flavour: int
    ) -> NDArray[np.complex128]:
        """Return the shifts with which a flavour decays, complex128 of shape (6,).

        Args:
            shifts: complex128 of shape (6,), dimensionless; zero if None.
            flavour: +1 for B0, −1 for anti-B0.
        """
        vector = np.zeros(6, np.complex128) if shifts is None else np.asarray(shifts, complex)
        conjugated = self.antiparticle_shifts == "conjugate" and flavour > 0
        return np.conj(vector) if conjugated else vector

    def _amplitudes(
        self,
        q2: Array,
        m_kpi: Array,
        shifts: NDArray[np.complex128],
        factors: dict[str, Array] | None = None,
    ) -> Amplitudes:
        """Compute the amplitudes of the Standard Model plus `shifts`."""
        coefficients = standard_model_coefficients(q2, self.inputs)
        for name, shift in zip(COEFFICIENTS, shifts, strict=True):
            coefficients[name] = np.asarray(coefficients.get(name, 0.0) + shift)
        return amplitudes(q2, m_kpi, coefficients, self.inputs, factors)

    def _form(self, q2: Array, m_kpi: Array, a: Amplitudes, b: Amplitudes) -> Array:
        lam, beta2 = phase_space(q2, m_kpi, self.inputs.m_b_meson_gev, self.m_lepton_gev)
        return polar_form(a, b, q2, lam, beta2, self.m_lepton_gev)

    def factors(self, q2: Array, m_kpi: Array) -> Array:
        """Compute the kinematic factors of the full J_i, shape (…, 11); 0 outside phase space."""
        lam, beta2 = phase_space(q2, m_kpi, self.inputs.m_b_meson_gev, self.m_lepton_gev)
        return kinematic_factors(q2, lam, beta2)

    def reduced_coefficients(
        self,
        q2: Array,
        m_kpi: Array,
        shifts: NDArray[np.complex128] | None = None,
        flavour: int = 1,
    ) -> Array:
        """Compute the J_i without the factors that vanish at the ends of phase space.

        Args:
            q2: GeV².
            m_kpi: GeV, broadcastable with `q2`.
            shifts: complex128 of shape (6,), dimensionless; the Standard Model if None.
            flavour: +1 for B0, −1 for anti-B0.

        Returns:
            float64 of shape (…, 11).
        """
        a = self._amplitudes(q2, m_kpi, self.decay_shifts(shifts, flavour))
        return self._form(q2, m_kpi, a, a)

    def angular_coefficients(
        self,
        q2: Array,
        m_kpi: Array,
        shifts: NDArray[np.complex128] | None = None,
        flavour: int = 1,
    ) -> Array:
        """Compute the J_i up to a common constant, in the order of `NAMES`.

        Args:
            q2: GeV².
            m_kpi: GeV, broadcastable with `q2`.
            shifts: complex128 of shape (6,), dimensionless; the Standard Model if None.
            flavour: +1 for B0, −1 for anti-B0.

        Returns:
            float64 of shape (…, 11).
        """
        q2, m_kpi = np.broadcast_arrays(q2, m_kpi)
        reduced = self.reduced_coefficients(q2, m_kpi, shifts, flavour)
        return np.asarray(reduced * self.factors(q2, m_kpi))

    def reduced_polynomials(
        self,
        q2: Array,
        m_kpi: Array,
        names: Sequence[str],
        shifts: NDArray[np.complex128] | None = None,
        flavour: int = 1,
    ) -> Array:
        """Compute the reduced J_i as polynomials, shape (…, n_monomials, 11); see `polynomials`."""
        unknown = [name for name in names if name not in PARAMETERS]
        if unknown or len(set(names)) != len(names):
            raise UserError(
                f"parameters {', '.join(names)}: each of {', '.join(PARAMETERS)} at most once"
            )
        q2, m_kpi = np.broadcast_arrays(q2, m_kpi)
        fixed = np.zeros(6, np.complex128) if shifts is None else np.array(shifts, complex)
        steps: list[Amplitudes] = []
        for name in names:
            index = PARAMETERS.index(name)
            if index < 6:
                fixed[index] = 1j * fixed[index].imag
            else:
                fixed[index - 6] = fixed[index - 6].real
        factors = form_factors(q2, m_kpi, self.inputs)
        base = self._amplitudes(q2, m_kpi, self.decay_shifts(fixed, flavour), factors)
        for name in names:
            index = PARAMETERS.index(name)
            unit = np.zeros(6, np.complex128)
            unit[index % 6] = 1 if index < 6 else 1j
            change = self.decay_shifts(unit, flavour)
            # real amplitudes if possible: half the work
            value = change[index % 6]
            step = {COEFFICIENTS[index % 6]: np.asarray(value if value.imag else value.real)}
            steps.append(amplitudes(q2, m_kpi, step, self.inputs, factors))
        parts = [self._form(q2, m_kpi, base, base)]
        parts += [2 * self._form(q2, m_kpi, base, step) for step in steps]
        for one, other in itertools.combinations_with_replacement(steps, 2):
            form = self._form(q2, m_kpi, one, other)
            parts.append(form if one is other else 2 * form)
        return np.stack(parts, axis=-2)

    def polynomials(
        self,
        q2: Array,
        m_kpi: Array,
        names: Sequence[str],
        shifts: NDArray[np.complex128] | None = None,
        flavour: int = 1,
    ) -> Array:
        """Compute the J_i as exact polynomials in real parameters.

        J_i(x) = ``polynomial_terms(x, 2) @ polynomials``.

        Args:
            q2: GeV².
            m_kpi: GeV, broadcastable with `q2`.
            names: the parameters, from `PARAMETERS`.
            shifts: complex128 of shape (6,), values of all other parameters; 0 if None.
            flavour: +1 for B0, −1 for anti-B0.

        Returns:
            float64 of shape (…, n_monomials, 11), up to the constant of `angular_coefficients`.

        Raises:
            UserError: a parameter is unknown or duplicated.
        """
        q2, m_kpi = np.broadcast_arrays(q2, m_kpi)
        reduced = self.reduced_polynomials(q2, m_kpi, names, shifts, flavour)
        return np.asarray(reduced * self.factors(q2, m_kpi)[..., None, :])
