"""Figures of a run, one module per figure.

Each module has a pure function `draw` that takes data and returns a `matplotlib.figure.Figure`,
and, if the data come from files, a function that reads them. `saving.save_figure` writes a figure
as PDF and PNG with its provenance record embedded.
"""
