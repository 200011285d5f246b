import pytest

from wilsonvox.theory import AngularCoefficients, PhysicsInputs, load_inputs


@pytest.fixture(scope="session")
def inputs() -> PhysicsInputs:
    return load_inputs("evtgen-btosllnpr")


@pytest.fixture(scope="session")
def table(inputs: PhysicsInputs) -> AngularCoefficients:
    return AngularCoefficients.tabulate(inputs)
