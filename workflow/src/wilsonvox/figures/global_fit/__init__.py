"""Figures of the global fit, one module per figure."""
