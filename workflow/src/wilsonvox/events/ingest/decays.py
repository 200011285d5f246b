"""Decays as a file holds them: unit, physical sense, and the way to the contract's columns."""

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
"""Energy and momentum that the daughters may lack, in the B's rest frame [GeV].

Wide enough for radiated photons (PHOTOS) and for a B that was refitted, and far from what a lost
or a wrong daughter would do.
"""
ELECTRON_MASS2 = 2.5e-5
"""Squared mass [GeV²] below which a lepton is an electron: (5 MeV)², for rounded momenta."""
LEPTONS_MASS2 = MUON_MASS**2 / 2
"""Squared mass [GeV²] between those of an electron and of a muon."""
ROUNDING_GEV2 = 1e-3
"""Tolerance on squared masses [GeV²], beside 32 roundings of the squared energy."""

REASONS = {
    "other_candidate": "another candidate of the event is kept",
    "other_decay": "not exactly one B0 → K π μ+ μ− with its daughters",
    "several_signal_decays": "more than one signal decay in the event",
    "unknown_flavour": "neither B0 nor anti-B0 by its codes",
    "not_finite": "a number is NaN or infinite",
    "energy_not_positive": "an energy is zero or negative",
    "negative_mass": "a particle has momentum above its energy",
    "b_mass": f"mass of the B outside {B_MASS_WINDOW[0]} … {B_MASS_WINDOW[1]} GeV",
    "daughters_do_not_sum_to_b": f"more than {SUM_TOLERANCE} GeV lack in the B's rest frame",
    "q2_out_of_range": "q2 outside 4 m_ℓ² … (m_B − m_Kπ)²",
    "angle_out_of_range": "an angle is out of its range or undefined",
}
"""What each reason for dropping an event means."""


class Decays(Protocol):
    """Decays of one chunk of a file, in the file's unit until `in_gev`."""

    mass_window: ClassVar[tuple[float, float]]
    mass_name: ClassVar[str]

    @property
    def flavour(self) -> NDArray[np.int8]:
        """+1 for B0, −1 for anti-B0, 0 where the file does not tell, shape (n,)."""
        ...

    def __len__(self) -> int: ...
    def __getitem__(self, keep: NDArray[np.bool_]) -> Self: ...

    def masses(self) -> Array:
        """A known mass of each decay, in the file's unit, shape (n,)."""
        ...

    def in_gev(self, factor: float) -> Self:
        """The same decays with energies times `factor`."""
        ...

    def with_flavour(self, flavour: NDArray[np.int8]) -> Self:
        """The same decays, their flavour settled."""
        ...

    def leptons(self) -> tuple[int, int]:
        """How many decays [GeV] are to electrons and to muons, of those that tell it."""
        ...

    def events(self) -> tuple[Events, Counter[str]]:
        """Physical decays [GeV] as events, and how many were dropped for which reason."""
        ...


def _sift(checks: Checks, n: int) -> tuple[NDArray[np.bool_], Counter[str]]:
    """What passes all checks, and how many fail which check first."""
    keep = np.ones(n, dtype=np.bool_)
    failed: Counter[str] = Counter()
    for reason, passes in checks.items():
        failed[reason] += int((keep & ~passes).sum())
        keep &= passes
    return keep, failed


def _as_events(columns: Mapping[str, NDArray[Any]]) -> Events:
    """Events in the contract's float32, with chi below 2π also after rounding."""
    chi = np.asarray(columns["chi"]).astype(np.float32)
    below = np.nextafter(np.float32(2 * np.pi), np.float32(0))
    return Events.from_columns({**columns, "chi": np.minimum(chi, below)})


@dataclass(frozen=True)
class MomentumDecays:
    """Four-momenta, float64 of shape (5, 4, n), ordered as `PARTICLES` and `COMPONENTS`.

    `flavour` is 0 where the file does not tell; `precision` is the rounding of the file's numbers.
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
        """Masses of the B, NaN where it has none."""
        with np.errstate(all="ignore"):
            return np.asarray(np.sqrt(self._mass2(self.momenta[0])))

    def in_gev(self, factor: float) -> Self:
        """The same decays with energies times `factor`."""
        return replace(self, momenta=self.momenta * factor)

    def with_flavour(self, flavour: NDArray[np.int8]) -> Self:
        """The same decays, their flavour settled."""
        return replace(self, flavour=flavour)

    @staticmethod
    def _mass2(momentum: Array) -> Array:
        return np.asarray(momentum[0] ** 2 - (momentum[1:] ** 2).sum(axis=0))

    def leptons(self) -> tuple[int, int]:
        """How many decays are to electrons and to muons, by the leptons' masses.

        Neither where the rounding of the file's numbers could hide a muon's mass.
        """
        with np.errstate(all="ignore"):
            mass2 = np.stack([self._mass2(each) for each in self.momenta[3:]])
            rounding = 32 * self.precision * self.momenta[3:, 0] ** 2
            told = (rounding < LEPTONS_MASS2).all(axis=0)
            electrons = told & (mass2 < LEPTONS_MASS2).all(axis=0)
            muons = told & (mass2 >= LEPTONS_MASS2).all(axis=0)
        return int(electrons.sum()), int(muons.sum())

    def _tolerance(self, energy: Array) -> Array:
        return np.asarray(ROUNDING_GEV2 + 32 * self.precision * energy**2)

    def _checks(self) -> Checks:
        energies = self.momenta[:, 0]
        mass2 = np.stack([self._mass2(each) for each in self.momenta])
        lacking = self.momenta[0] - self.momenta[1:].sum(axis=0)
        b_mass = np.sqrt(mass2[0])
        metric = np.array([1.0, -1.0, -1.0, -1.0])[:, np.newaxis]
        energy = (metric * lacking * self.momenta[0]).sum(axis=0) / b_mass
        momentum2 = energy**2 - self._mass2(lacking)
        return {
            "not_finite": np.isfinite(self.momenta).all(axis=(0, 1)),
            "energy_not_positive": (energies > 0).all(axis=0),
            "negative_mass": (mass2 >= -self._tolerance(energies)).all(axis=0),
            "b_mass": (b_mass >= B_MASS_WINDOW[0]) & (b_mass <= B_MASS_WINDOW[1]),
            "daughters_do_not_sum_to_b": (np.abs(energy) <= SUM_TOLERANCE)
            & (momentum2 <= SUM_TOLERANCE**2),
        }

    def events(self) -> tuple[Events, Counter[str]]:
        """Physical decays as events, and how many were dropped for which reason."""
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
    """The contract's own variables, float64 columns of shape (n,), `flavour` as above.

    chi is an angle: values from −2π to 0 are taken modulo 2π.
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
        """Masses of the Kπ pair."""
        return self.variables.m_kpi

    def leptons(self) -> tuple[int, int]:
        """None, because the variables alone do not tell electrons from muons."""
        return 0, 0

    def in_gev(self, factor: float) -> Self:
        """The same decays with energies times `factor`."""
        q2, m_kpi = self.variables.q2 * factor**2, self.variables.m_kpi * factor
        return replace(self, variables=replace(self.variables, q2=q2, m_kpi=m_kpi))

    def with_flavour(self, flavour: NDArray[np.int8]) -> Self:
        """The same decays, their flavour settled."""
        return replace(self, flavour=flavour)

    def events(self) -> tuple[Events, Counter[str]]:
        """Physical decays as events, and how many were dropped for which reason."""
        columns = {name: getattr(self.variables, name) for name in VARIABLES}
        finite = np.isfinite(np.stack(list(columns.values()))).all(axis=0)
        with np.errstate(all="ignore"):
            # the variables alone do not tell electrons from muons
            ranges = _ranges(self.variables, B_MASS, ROUNDING_GEV2, q2_min=0.0)
            keep, dropped = _sift({"not_finite": finite, **ranges}, len(self))
            cosines = {
                name: np.clip(columns[name], -1.0, 1.0) for name in ("cos_theta_mu", "cos_theta_k")
            }
            chi = columns["chi"]
            # a chi of 2π stays at the upper end, as a modulo would move it to the lower one
            chi = np.where((chi >= 0) & (chi <= 2 * np.pi + 1e-6), chi, np.mod(chi, 2 * np.pi))
        whole = {**columns, **cosines, "chi": chi, "flavour": self.flavour}
        return _as_events({name: column[keep] for name, column in whole.items()}), dropped
