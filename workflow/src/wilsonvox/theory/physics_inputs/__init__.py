"""Validated sets of Standard-Model inputs with their sources, from `physics_inputs.yaml`.

The choice of the set changes the observables as much as a shift of δC9 by about one, so every
result names its set.
"""

from functools import cache
from importlib.resources import files
from typing import Annotated

from pydantic import Field

from wilsonvox.core.errors import UserError
from wilsonvox.core.models import StrictModel

Positive = Annotated[float, Field(gt=0)]


class FormFactor(StrictModel):
    """One form factor: pole mass [GeV] and coefficients of the z expansion."""

    pole_gev: Positive
    a: tuple[float, float, float]


class FormFactors(StrictModel):
    """The seven form factors of B → K* (arXiv:1503.05534)."""

    V: FormFactor
    A0: FormFactor
    A1: FormFactor
    A12: FormFactor
    T1: FormFactor
    T2: FormFactor
    T23: FormFactor


class PhysicsInputs(StrictModel):
    """Masses, widths [GeV], Wilson coefficients and form factors of one set."""

    name: str
    sources: dict[str, str] = Field(min_length=1, description="sources of the values")
    m_b_meson_gev: Positive
    m_muon_gev: Positive
    m_electron_gev: Positive
    m_k_star_gev: Positive
    width_k_star_gev: Positive
    m_kaon_gev: Positive
    m_pion_gev: Positive
    m_kpi_min_gev: Positive = Field(description="lower end of the K* mass distribution")
    m_kpi_max_gev: Positive = Field(description="upper end of the K* mass distribution")
    barrier_radius_per_gev: Positive
    m_b_gev: Positive = Field(description="b mass in the C7 terms")
    m_b_loop_gev: Positive = Field(description="b mass in h(q², m_b)")
    m_c_gev: Positive = Field(description="c mass in h(q², m_c)")
    scale_gev: Positive
    c7eff: float
    c7peff: float
    c9: float
    c10: float
    c1_to_c6: tuple[float, float, float, float, float, float]
    form_factors: FormFactors


@cache
def known_inputs() -> dict[str, PhysicsInputs]:
    """Return all sets of inputs, by name."""
    import yaml

    source = files("wilsonvox.theory.physics_inputs") / "physics_inputs.yaml"
    sets = yaml.safe_load(source.read_text(encoding="utf-8"))
    return {name: PhysicsInputs.model_validate({"name": name, **sets[name]}) for name in sets}


def load_inputs(name: str) -> PhysicsInputs:
    """Return a set of inputs by name, such as ``evtgen-btosllnpr``.

    Raises:
        UserError: the name is unknown.
    """
    sets = known_inputs()
    if name not in sets:
        raise UserError(f"physics inputs {name!r}: no such set; known are {', '.join(sets)}")
    return sets[name]
