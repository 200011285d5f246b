"""Common style of all figures: sizes, fonts and colours. No other module sets rcParams."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

Parameters = ParamSpec("Parameters")

SINGLE_COLUMN = 3.4
"""Width of a single-column figure [inch]."""
DOUBLE_COLUMN = 7.0
"""Width of a two-column figure [inch]."""
NOTE_SIZE = 7
"""Font size of the note at the foot of a figure [pt]."""
PNG_DPI = 200
"""Resolution of PNG files and of rasterised parts of PDF files [dots per inch]."""

BLACK = "#000000"
ORANGE = "#E69F00"
SKY_BLUE = "#56B4E9"
GREEN = "#009E73"
BLUE = "#0072B2"
RED = "#D55E00"
PURPLE = "#CC79A7"
GREY = "#6E6E6E"
CURVES = (BLUE, RED, GREEN, PURPLE, ORANGE, SKY_BLUE)
"""Colour cycle of curves: the Okabe–Ito palette, which is safe for colour-blind readers."""
CROSS = "#D50000"
"""Red of the interpolated points, as in the papers; their marker differs as well."""

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
    """Context with Matplotlib's defaults and these settings, independent of the matplotlibrc."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield


def styled(draw: Callable[Parameters, Figure]) -> Callable[Parameters, Figure]:
    """Decorate a `draw` function to run inside `figure_style`."""

    @wraps(draw)
    def inner(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Figure:
        with figure_style():
            return draw(*args, **kwargs)

    return inner


def _lines(figure: Figure, note: str) -> list[str]:
    """Break a note after commas into as few lines as fit the width of the figure."""

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
    """Make an empty figure with room for a note at its foot.

    Args:
        width: width [inch].
        height: height [inch], including the note.
        note: description of the data (image specification, physics inputs), broken into several
            lines if it is wider than the figure; none if empty.
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
