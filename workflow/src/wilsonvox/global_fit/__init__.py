"""Fit of (C9, C10) to binned observables of B → K(*)ℓℓ, independent of the voxel images.

The χ² fit and the ML models in `learning` use the same `PredictionTable`, `ChiSquared` and hadronic
polynomials.
"""
