"""The decay B0 → K*0 ℓ+ ℓ−: kinematics, amplitudes, angular coefficients, Fisher information."""
