"""Settings of a global fit: observables, χ², hadronic corrections, networks and GANs."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from wilsonvox.core.errors import UserError
from wilsonvox.core.models import StrictModel
from wilsonvox.global_fit.chi_squared import VERSIONS, Version
from wilsonvox.global_fit.hadronic import HADRONIC, HALF_WIDTHS, Hadronic
from wilsonvox.global_fit.learning.settings import GanModelSettings, NetworkModelSettings

HalfWidth = Annotated[float, Field(gt=0)]
MachineName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$")]
Level = Annotated[float, Field(gt=0, lt=1)]

_FIGURES = ("observables", "contours")  # of every set
_SUFFIXES = ("pdf", "png")


class MeasuredShift(StrictModel):
    """A measurement of δC9 by an estimator, shown in the figures together with the fit."""

    run: str = Field(description="folder of the run with the estimator, or of a shipped estimator")
    estimator: str | None = Field(
        default=None,
        description="name of the estimator, which must read images, if the folder has several",
    )
    events: str = Field(description="ROOT file with the decays")
    flavour: Literal["auto", "B0", "B0bar"] = Field(
        default="auto", description="flavour of the decays, if the file does not contain it"
    )


class GlobalFitSettings(StrictModel):
    """A fit of δC9 and δC10 to binned observables."""

    observables: list[str] = Field(
        default=["lhcb-2015"],
        min_length=1,
        description="sets of measurements: those of the package by name, others by file (.yaml)",
    )
    versions: list[Version] = Field(
        default=list(VERSIONS), min_length=1, description="versions of the χ²"
    )
    hadronic: list[Hadronic] = Field(
        default=list(HADRONIC),
        min_length=1,
        description="polynomials in q2 added to the predictions: none, independent ones for each "
        "kind of observable, or one shared by all",
    )
    half_widths: tuple[HalfWidth, HalfWidth, HalfWidth] = Field(
        default=HALF_WIDTHS,
        description="largest modulus of their coefficients a0, a1 [GeV⁻²] and a2 [GeV⁻⁴]",
    )
    theory_draws: int = Field(
        default=1000,
        ge=100,
        description="draws of the theory parameters, for the covariance of the predictions",
    )
    levels: list[Level] = Field(
        default=[0.68, 0.95],
        min_length=1,
        description="joint confidence levels of the contours in (δC9, δC10)",
    )
    points: list[tuple[float, float]] = Field(
        default=[(-0.92, 0.10)],
        description="(δC9, δC10) at which the χ² is evaluated, in addition to (0, 0)",
    )
    measurement: MeasuredShift | None = Field(
        default=None, description="a measurement of δC9 to show with the fit; null: none"
    )

    networks: dict[MachineName, NetworkModelSettings] = Field(
        default={}, description="networks that learn the first of the sets, by name"
    )
    gans: dict[MachineName, GanModelSettings] = Field(
        default={}, description="GANs that learn the first of the sets, by name"
    )

    @model_validator(mode="after")
    def _differ(self) -> "GlobalFitSettings":
        for key in ("observables", "versions", "hadronic", "levels"):
            values = getattr(self, key)
            if key == "observables":
                values = [_name(each) for each in values]
            for each in values:
                if values.count(each) > 1:
                    raise ValueError(f"{key}: {each} is duplicated")
        for name in self.networks:
            # the figures of both would be in one folder
            if name in self.gans:
                raise ValueError(f"gans.{name}: a network has the same name; rename one of them")
        for name, machine in self.networks.items():
            if machine.network.output == "mixture" and not (
                machine.version in self.versions and "none" in self.hadronic
            ):
                raise ValueError(
                    f"networks.{name}: its density is compared with the fit of the χ² "
                    f"{machine.version} without hadronic polynomials; add {machine.version} to "
                    "versions and none to hadronic"
                )
        for each in self.observables:
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.+-]*", _name(each)):
                raise ValueError(
                    f"observables: {each}: results are named after the file, whose name may only "
                    "contain letters, digits and _ . + -; rename it"
                )
        return self

    def learned_set(self) -> str:
        """Return the name of the set of observables that networks and GANs learn."""
        return _name(self.observables[0])

    def observable_sets(self) -> dict[str, str]:
        """Return the sets as given in the configuration, by the names used for their results."""
        return {_name(given): given for given in self.observables}

    def observable_file(self, name: str) -> str | None:
        """Return the user's file of a set; None for a set of the package."""
        given = self.observable_sets()[name]
        return given if _is_file(given) else None


def _is_file(observables: str) -> bool:
    return observables.endswith((".yaml", ".yml"))


def _name(observables: str) -> str:
    return Path(observables).stem if _is_file(observables) else observables


def check_global_fit(settings: GlobalFitSettings | None) -> None:
    """Check that the files named by a global fit exist and can be read.

    Raises:
        UserError: a set of observables is missing or invalid, or the events or the estimator of
            the measurement are missing.
    """
    if settings is None:
        return
    from wilsonvox.global_fit.observables import load_observables

    for observables in settings.observables:
        load_observables(observables)
    shown = settings.measurement
    if shown is None:
        return
    if not Path(shown.events).is_file():
        raise UserError(f"global_fit.measurement.events: there is no file {shown.events}")
    if not any(Path(shown.run).glob(f"models/*/{shown.estimator or '*'}/model.keras")):
        raise UserError(
            f"global_fit.measurement.run: there is no estimator in {shown.run} that reads images "
            f"(models/*/{shown.estimator or '*'}/model.keras); finish that run first, or use "
            "resources/estimators/voxel-sum"
        )
