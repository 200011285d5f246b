"""Figures of a run, one module per figure.

Every module has a pure function `draw` that takes data and returns a `matplotlib.figure.Figure`,
and where the data come from files a function that reads them. `saving.save_figure` writes the same
figure as PNG with its record inside, and as PDF.
"""
