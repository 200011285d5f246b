"""Measurement of shifts from a sample, with intervals."""
