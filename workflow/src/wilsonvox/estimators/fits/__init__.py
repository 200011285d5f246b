"""Likelihood fits of the decay model: unbinned, or to angular observables, with iminuit."""
