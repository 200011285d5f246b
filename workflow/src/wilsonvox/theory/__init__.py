"""The decay B0 → K*0 μ+ μ−: form factors, amplitudes, angular coefficients and what they bound."""

from wilsonvox.theory.coefficients import AngularCoefficients, tabulate_by_name
from wilsonvox.theory.model import DecayModel
from wilsonvox.theory.physics_inputs import PhysicsInputs, load_inputs

__all__ = ["AngularCoefficients", "DecayModel", "PhysicsInputs", "load_inputs", "tabulate_by_name"]
