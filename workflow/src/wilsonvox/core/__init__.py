"""Errors, files, settings models and polynomials that all other packages use."""
