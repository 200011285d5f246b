"""Sets of Standard-Model inputs, one validated data file each in `theory/inputs/`."""

from functools import cache
from importlib.resources import files
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from wilsonvox.errors import UserError

Positive = Annotated[float, Field(gt=0)]


class FormFactor(BaseModel):
    """One form factor: pole mass [GeV] and the coefficients of its z expansion."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pole_gev: Positive
    a: tuple[float, float, float]


class FormFactors(BaseModel):
    """The seven form factors of B → K* (arXiv:1503.05534)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    V: FormFactor
    A0: FormFactor
    A1: FormFactor
    A12: FormFactor
    T1: FormFactor
    T2: FormFactor
    T23: FormFactor


class PhysicsInputs(BaseModel):
    """Masses, widths [GeV], Wilson coefficients and form factors of one set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    m_b_meson_gev: Positive
    m_muon_gev: Positive
    m_k_star_gev: Positive
    width_k_star_gev: Positive
    m_kaon_gev: Positive
    m_pion_gev: Positive
    m_kpi_min_gev: Positive
    m_kpi_max_gev: Positive
    barrier_radius_per_gev: Positive
    m_b_gev: Positive
    m_c_gev: Positive
    scale_gev: Positive
    c7eff: float
    c9: float
    c10: float
    c1_to_c6: tuple[float, float, float, float, float, float]
    form_factors: FormFactors


@cache
def load_inputs(name: str) -> PhysicsInputs:
    """Read a set of inputs by name, such as ``evtgen-btosllnpr``.

    Raises:
        UserError: there is no such set.
    """
    import yaml

    folder = files("wilsonvox.theory") / "inputs"
    source = folder / f"{name}.yaml"
    if not source.is_file():
        known = sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir())
        raise UserError(f"physics inputs {name!r}: no such set; known are {', '.join(known)}")
    return PhysicsInputs.model_validate(yaml.safe_load(source.read_text()))
