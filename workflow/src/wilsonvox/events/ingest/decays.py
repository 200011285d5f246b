"""Decays as read from a file: units, physical checks and conversion to events."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from wilsonvox.events.event_file import Events
from wilsonvox.events.ingest.layouts import VARIABLES
from wilsonvox.theory.kinematics import DecayMomenta, DecayVariables, decay_variables
from wilsonvox.theory.particles import B_MASS, B_MASS_WINDOW, KPI_MASS_WINDOW, MUON_MASS

Array = NDArray[np.float64]
Checks = Mapping[str, NDArray[np.bool_]]

SUM_TOLERANCE = 0.25
"""Tolerance on missing energy and momentum of the daughters, in the rest frame of the B [GeV].

It is large enough for radiated photons (PHOTOS) and refitted B candidates, and much smaller than
the effect of a missing or wrong daughter.
"""
ELECTRON_MASS2 = 2.5e-5
"""Squared mass [GeV²] below which a lepton counts as an electron: (5 MeV)², for rounded momenta."""
LEPTONS_MASS2 = MUON_MASS**2 / 2
"""Squared mass [GeV²] that separates electrons from muons."""
ROUNDING_GEV2 = 1e-3
"""Tolerance on squared masses [GeV²], in addition to 32 rounding errors of the squared energy."""

DROP_REASONS = {
    "other_candidate": "another candidate of the event is kept",
    "other_decay": "not exactly one B0 → K π μ+ μ− with its daughters",
    "several_signal_decays": "more than one signal decay in the event",
    "unknown_flavour": "neither B0 nor anti-B0 by the PDG codes or charges",
    "not_finite": "a number is NaN or infinite",
    "energy_not_positive": "an energy is zero or negative",
    "negative_mass": "a particle has momentum above its energy",
    "b_mass": f"mass of the B outside {B_MASS_WINDOW[0]} … {B_MASS_WINDOW[1]} GeV",
    "daughters_do_not_sum_to_b": f"more than {SUM_TOLERANCE} GeV missing in the B rest frame",
    "q2_out_of_range": "q2 outside 4 m_ℓ² … (m_B − m_Kπ)²",
    "angle_out_of_range": "an angle is out of its range or undefined",
}
"""Reasons for dropping an event, with their descriptions."""


class Decays(Protocol):
    """Decays of one chunk of a file, in the file's unit of energy before `in_gev`."""

    mass_window: ClassVar[tuple[float, float]]
    mass_name: ClassVar[str]

    @property
    def flavour(self) -> NDArray[np.int8]:
        """Flavour, shape (n,): +1 for B0, −1 for anti-B0, 0 if unknown."""
        ...

    def __len__(self) -> int: ...
    def __getitem__(self, keep: NDArray[np.bool_]) -> Self: ...

    def masses(self) -> Array:
        """Return a mass with a known range, in the file's unit, shape (n,)."""
        ...

    def in_gev(self, factor: float) -> Self:
        """Return the decays with energies multiplied by `factor`."""
        ...

    def with_flavour(self, flavour: NDArray[np.int8]) -> Self:
        """Return the decays with the given flavour."""
        ...

    def leptons(self) -> tuple[int, int]:
        """Return the numbers of decays [GeV] identified as decays to electrons and to muons."""
        ...

    def events(self) -> tuple[Events, Counter[str]]:
        """Convert physical decays [GeV] to events, and count the dropped ones by reason."""
        ...


def _sift(checks: Checks, n: int) -> tuple[NDArray[np.bool_], Counter[str]]:
    """Return the mask of decays that pass all checks; count the others by first failed check."""
    keep = np.ones(n, dtype=np.bool_)
    failed: Counter[str] = Counter()
    for reason, passes in checks.items():
        failed[reason] += int((keep & ~passes).sum())
        keep &= passes
    return keep, failed


def _as_events(columns: Mapping[str, NDArray[Any]]) -> Events:
    """Convert columns to events, with chi below 2π after rounding to float32."""
    chi = np.asarray(columns["chi"]).astype(np.float32)
    below = np.nextafter(np.float32(2 * np.pi), np.float32(0))
    return Events.from_columns({**columns, "chi": np.minimum(chi, below)})


@dataclass(frozen=True)
class MomentumDecays:
    """Decays as four-momenta.

    Attributes:
        momenta: float64 of shape (5, 4, n), ordered as `PARTICLES` and `COMPONENTS`.
        flavour: +1 for B0, −1 for anti-B0, 0 if unknown, shape (n,).
        precision: relative rounding error of the numbers in the file.
    """

    momenta: Array
    flavour: NDArray[np.int8]
    precision: float
    mass_window: ClassVar[tuple[float, float]] = B_MASS_WINDOW
    mass_name: ClassVar[str] = "B mass"

    def __len__(self) -> int:
        return len(self.flavour)

    def __getitem__(self, keep: NDArray[np.bool_]) -> Self:
        return replace(self, momenta=self.momenta[:, :, keep], flavour=self.flavour[keep])

    def masses(self) -> Array:
        """Return the masses of the B; NaN for negative squared masses."""
        with np.errstate(all="ignore"):
            return np.asarray(np.sqrt(self._mass2(self.momenta[0])))

    def in_gev(self, factor: float) -> Self:
        """Return the decays with energies multiplied by `factor`."""
        return replace(self, momenta=self.momenta * factor)

    def with_flavour(self, flavour: NDArray[np.int8]) -> Self:
        """Return the decays with the given flavour."""
        return replace(self, flavour=flavour)

    @staticmethod
    def _mass2(momentum: Array) -> Array:
        return np.asarray(momentum[0] ** 2 - (momentum[1:] ** 2).sum(axis=0))

    def leptons(self) -> tuple[int, int]:
        """Return the numbers of decays to electrons and to muons, by the masses of the leptons.

        Decays are not counted if the rounding error is as large as the mass of a muon.
        """
        with np.errstate(all="ignore"):
            mass2 = np.stack([self._mass2(momentum) for momentum in self.momenta[3:]])
            rounding = 32 * self.precision * self.momenta[3:, 0] ** 2
            resolved = (rounding < LEPTONS_MASS2).all(axis=0)
            electrons = resolved & (mass2 < LEPTONS_MASS2).all(axis=0)
            muons = resolved & (mass2 >= LEPTONS_MASS2).all(axis=0)
        return int(electrons.sum()), int(muons.sum())

    def _tolerance(self, energy: Array) -> Array:
        return np.asarray(ROUNDING_GEV2 + 32 * self.precision * energy**2)

    def _checks(self) -> Checks:
        energies = self.momenta[:, 0]
        mass2 = np.stack([self._mass2(momentum) for momentum in self.momenta])
        missing = self.momenta[0] - self.momenta[1:].sum(axis=0)
        b_mass = np.sqrt(mass2[0])
        metric = np.array([1.0, -1.0, -1.0, -1.0])[:, np.newaxis]
        energy = (metric * missing * self.momenta[0]).sum(axis=0) / b_mass
        momentum2 = energy**2 - self._mass2(missing)
        return {
            "not_finite": np.isfinite(self.momenta).all(axis=(0, 1)),
            "energy_not_positive": (energies > 0).all(axis=0),
            "negative_mass": (mass2 >= -self._tolerance(energies)).all(axis=0),
            "b_mass": (b_mass >= B_MASS_WINDOW[0]) & (b_mass <= B_MASS_WINDOW[1]),
            "daughters_do_not_sum_to_b": (np.abs(energy) <= SUM_TOLERANCE)
            & (momentum2 <= SUM_TOLERANCE**2),
        }

    def events(self) -> tuple[Events, Counter[str]]:
        """Convert physical decays to events, and count the dropped ones by reason."""
        with np.errstate(all="ignore"):
            keep, dropped = _sift(self._checks(), len(self))
            good = self[keep]
            variables = decay_variables(DecayMomenta.from_array(good.momenta), good.flavour)
            columns: dict[str, NDArray[Any]] = {
                **{name: getattr(variables, name) for name in VARIABLES},
                "flavour": good.flavour,
            }
            tolerance = good._tolerance(good.momenta[3, 0] + good.momenta[4, 0])
            electrons = (self._mass2(good.momenta[3]) < ELECTRON_MASS2) & (
                self._mass2(good.momenta[4]) < ELECTRON_MASS2
            )
            q2_min = np.where(electrons, 0.0, 4 * MUON_MASS**2)
            checks = _ranges(variables, good.masses(), tolerance, q2_min)
            keep, more = _sift(checks, len(good))
        return _as_events({name: column[keep] for name, column in columns.items()}), dropped + more


def _ranges(
    variables: DecayVariables,
    b_mass: Array | float,
    tolerance: Array | float,
    q2_min: Array | float,
) -> Checks:
    q2, m_kpi = variables.q2, variables.m_kpi
    cosines = np.stack([variables.cos_theta_mu, variables.cos_theta_k])
    angles = np.isfinite(variables.chi) & (np.abs(variables.chi) <= 2 * np.pi + 1e-6)
    return {
        "q2_out_of_range": (q2 >= q2_min - tolerance)
        & (m_kpi > 0)
        & (m_kpi < b_mass)
        & (q2 <= (b_mass - m_kpi) ** 2 + tolerance),
        "angle_out_of_range": angles & (np.abs(cosines) <= 1 + 1e-6).all(axis=0),
    }


@dataclass(frozen=True)
class VariableDecays:
    """Decays as the variables of event files, float64 columns of shape (n,).

    Values of chi from −2π to 0 are taken modulo 2π. For `flavour` see `MomentumDecays`.
    """

    variables: DecayVariables
    flavour: NDArray[np.int8]
    mass_window: ClassVar[tuple[float, float]] = KPI_MASS_WINDOW
    mass_name: ClassVar[str] = "m_kpi"

    def __len__(self) -> int:
        return len(self.flavour)

    def __getitem__(self, keep: NDArray[np.bool_]) -> Self:
        columns = {name: getattr(self.variables, name)[keep] for name in VARIABLES}
        return replace(self, variables=DecayVariables(**columns), flavour=self.flavour[keep])

    def masses(self) -> Array:
        """Return the masses of the Kπ pair."""
        return self.variables.m_kpi

    def leptons(self) -> tuple[int, int]:
        """Return zeros: the variables do not distinguish electrons from muons."""
        return 0, 0

    def in_gev(self, factor: float) -> Self:
        """Return the decays with energies multiplied by `factor`."""
        q2, m_kpi = self.variables.q2 * factor**2, self.variables.m_kpi * factor
        return replace(self, variables=replace(self.variables, q2=q2, m_kpi=m_kpi))

    def with_flavour(self, flavour: NDArray[np.int8]) -> Self:
        """Return the decays with the given flavour."""
        return replace(self, flavour=flavour)

    def events(self) -> tuple[Events, Counter[str]]:
        """Convert physical decays to events, and count the dropped ones by reason."""
        columns = {name: getattr(self.variables, name) for name in VARIABLES}
        finite = np.isfinite(np.stack(list(columns.values()))).all(axis=0)
        with np.errstate(all="ignore"):
            # the variables do not distinguish electrons from muons
            ranges = _ranges(self.variables, B_MASS, ROUNDING_GEV2, q2_min=0.0)
            keep, dropped = _sift({"not_finite": finite, **ranges}, len(self))
            cosines = {
                name: np.clip(columns[name], -1.0, 1.0) for name in ("cos_theta_mu", "cos_theta_k")
            }
            chi = columns["chi"]
            # keep a chi of 2π at the upper end, which a modulo would move to the lower one
            chi = np.where((chi >= 0) & (chi <= 2 * np.pi + 1e-6), chi, np.mod(chi, 2 * np.pi))
        whole = {**columns, **cosines, "chi": chi, "flavour": self.flavour}
        return _as_events({name: column[keep] for name, column in whole.items()}), dropped
