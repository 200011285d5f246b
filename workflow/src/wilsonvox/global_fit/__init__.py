"""The fit of (C9, C10) to binned observables of B → K(*)ℓℓ, apart from the images.

`PredictionTable`, `ChiSquared` and the hadronic polynomials are what the fit and the learning
machines share.
"""
