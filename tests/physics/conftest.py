import pytest

from wilsonvox.theory.coefficient_table import AngularCoefficients
from wilsonvox.theory.model import DecayModel
from wilsonvox.theory.physics_inputs import PhysicsInputs, load_inputs


@pytest.fixture(scope="session")
def inputs() -> PhysicsInputs:
    return load_inputs("evtgen-btosllnpr")


@pytest.fixture(scope="session")
def model(inputs: PhysicsInputs) -> DecayModel:
    return DecayModel(inputs)


@pytest.fixture(scope="session")
def table(model: DecayModel) -> AngularCoefficients:
    return AngularCoefficients.tabulate(model)
