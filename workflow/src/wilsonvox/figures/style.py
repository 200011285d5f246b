"""One look for all figures: sizes, fonts and colours. No other module sets rcParams."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

Parameters = ParamSpec("Parameters")

SINGLE_COLUMN = 3.4
"""Width of a figure in one column of a journal page [inch]."""
DOUBLE_COLUMN = 7.0
"""Width of a figure across both columns [inch]."""
NOTE_SIZE = 7
"""Size of the note at the foot of a figure [pt]."""
PNG_DPI = 200
"""Resolution of PNG files, and of what is rasterised inside PDF files [dots per inch]."""

BLACK = "#000000"
ORANGE = "#E69F00"
SKY_BLUE = "#56B4E9"
GREEN = "#009E73"
BLUE = "#0072B2"
RED = "#D55E00"
PURPLE = "#CC79A7"
GREY = "#6E6E6E"
CURVES = (BLUE, RED, GREEN, PURPLE, ORANGE, SKY_BLUE)
"""Colours of curves in their order: the Okabe-Ito palette, told apart by colour-blind readers."""
CROSS = "#D50000"
"""The papers' red of the interpolation points; they differ from black circles by shape as well."""

_SETTINGS: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "mathtext.fontset": "dejavusans",
    "font.size": 8.0,
    "axes.labelsize": 8.5,
    "axes.titlesize": 8.5,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "axes.linewidth": 0.7,
    "lines.linewidth": 1.2,
    "lines.markersize": 4.0,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.top": True,
    "ytick.right": True,
    "xtick.minor.visible": True,
    "ytick.minor.visible": True,
    "savefig.dpi": PNG_DPI,
    # TrueType fonts keep text selectable in the PDF, and editable by a journal
    "pdf.fonttype": 42,
    "path.simplify": True,
}


@contextmanager
def figure_style() -> Iterator[None]:
    """Matplotlib's own defaults and our settings, whatever the user's matplotlibrc says."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield


def styled(draw: Callable[Parameters, Figure]) -> Callable[Parameters, Figure]:
    """Decorator of `draw` functions: run them in `figure_style`."""

    @wraps(draw)
    def inner(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Figure:
        with figure_style():
            return draw(*args, **kwargs)

    return inner


def _lines(figure: Figure, note: str) -> list[str]:
    """A note in as few lines as fit between the edges of a figure, divided after commas."""

    def fits(line: str) -> bool:
        text = figure.text(0, 0, line, fontsize=NOTE_SIZE)
        width = text.get_window_extent().width
        text.remove()
        return bool(width < 0.98 * figure.bbox.width)

    lines = [note]
    while not fits(lines[-1]) and ", " in lines[-1]:
        parts = lines.pop().split(", ")
        most = max((n for n in range(1, len(parts)) if fits(", ".join(parts[:n]) + ",")), default=1)
        lines += [", ".join(parts[:most]) + ",", ", ".join(parts[most:])]
    return lines


def new_figure(width: float, height: float, note: str = "") -> Figure:
    """An empty figure of `width` × `height` inches with room for a small note at its foot.

    Args:
        width: width [inch].
        height: height [inch], the note included.
        note: what was drawn (image specification, physics inputs); none if empty. One line, or
            several where it is longer than the figure is wide.
    """
    figure = Figure(figsize=(width, height), dpi=PNG_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    if note:
        lines = _lines(figure, note)
        foot = 0.17 * len(lines) / height
        engine = figure.get_layout_engine()
        assert engine is not None
        engine.set(rect=(0.0, foot, 1.0, 1.0 - foot))  # type: ignore[call-arg]
        figure.text(
            0.99, 0.04 / height, "\n".join(lines), ha="right", va="bottom", fontsize=NOTE_SIZE,
            color=GREY,
        )  # fmt: skip
    return figure
