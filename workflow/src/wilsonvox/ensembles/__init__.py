"""Ensembles of predictions: tables, summaries and calibrations."""
