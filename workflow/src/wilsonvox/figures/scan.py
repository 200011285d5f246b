"""Hyperparameter scan: validation error against trial number and against each setting."""

import math
import os
from pathlib import Path
from typing import Any

import click
import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullFormatter, NullLocator
from numpy.typing import NDArray

from wilsonvox.core.errors import UserError
from wilsonvox.figures.command import FILE, outputs, write
from wilsonvox.figures.labels import note_text
from wilsonvox.figures.style import BLACK, DOUBLE_COLUMN, GREY, RED, new_figure, styled
from wilsonvox.records.json_files import load_recorded
from wilsonvox.training.scan.trials import Scan

COLUMNS = 3
"""Panels per row."""

MAX_NAMED_ROUNDS = 8
"""Maximum number of rounds with an entry each in the legend."""


def read(path: str | os.PathLike[str]) -> Scan:
    """Read the `scan.json` of `wilsonvox scan collect`.

    Raises:
        UserError: the file does not exist, is not a scan, or no trial has an objective.
    """
    scan = load_recorded(Scan, path, "all trials of a scan (.json)")
    if scan.best is None:
        raise UserError(f"{path}: no trial has a finite loss, nothing to draw")
    return scan


def _colours(n_rounds: int) -> list[Any]:
    """Choose colours of the rounds, ordered from dark to light."""
    return [mpl.colormaps["viridis"](x) for x in np.linspace(0.0, 0.8, n_rounds)]


def _is_wide(values: NDArray[np.float64]) -> bool:
    return bool(values.min() > 0 and values.max() > 5 * values.min())


def _points(axes: Axes, x: NDArray[np.float64], scan: Scan) -> None:
    """Draw trials with an objective in the colour of their round, with a ring around the best."""
    colours = _colours(scan.trials[-1].round + 1)
    for position, trial in zip(x, scan.trials, strict=True):
        if trial.objective is not None:
            axes.plot(position, trial.objective, "o", color=colours[trial.round], zorder=3)
            if trial.trial == scan.best:
                axes.plot(
                    position, trial.objective, "o", color=BLACK, markersize=8,
                    markerfacecolor="none", zorder=4,
                )  # fmt: skip


def _failed(axes: Axes, x: NDArray[np.float64], scan: Scan) -> None:
    """Draw trials without an objective as crosses at the upper edge."""
    failed = [p for p, trial in zip(x, scan.trials, strict=True) if trial.objective is None]
    axes.plot(
        failed, [0.95] * len(failed), "x", color=RED, transform=axes.get_xaxis_transform(), zorder=3
    )


def _name(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text.strip("[]").replace(", ", "-")


def _setting(axes: Axes, name: str, scan: Scan) -> None:
    """Draw the error against one setting."""
    attributes = scan.space[name]["attributes"]
    values = [trial.parameters[name] for trial in scan.trials]
    if "choices" in attributes:
        choices = attributes["choices"]
        positions = [choices.index(value) for value in values]
        axes.set_xticks(range(len(choices)), [_name(choice) for choice in choices])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlim(-0.5, len(choices) - 0.5)
        # horizontal offsets, so that trials with the same choice do not overlap
        shift = np.linspace(-0.2, 0.2, len(values)) if len(values) > 1 else np.zeros(1)
        x = np.array(positions, dtype=np.float64) + shift
    else:
        x = np.array(values, dtype=np.float64)
        low, high = attributes["low"], attributes["high"]
        if attributes["log"]:
            axes.set_xscale("log")
            margin = (high / low) ** 0.06
            axes.set_xlim(low / margin, high * margin)
            if high < 30 * low and isinstance(low, int):
                ticks = sorted({round(t) for t in np.geomspace(low, high, 4)})
                axes.set_xticks(ticks, [str(t) for t in ticks])
                axes.xaxis.set_minor_formatter(NullFormatter())
        else:
            margin = 0.06 * (high - low)
            axes.set_xlim(low - margin, high + margin)
            if isinstance(low, int):
                axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
                axes.xaxis.set_minor_locator(NullLocator())
    _points(axes, x, scan)
    _failed(axes, x, scan)
    axes.set_xlabel(name)
    if scan.importance is not None:
        axes.set_title(
            f"importance {100 * scan.importance[name]:.0f} %", fontsize=7, loc="right", pad=3
        )


def _in_order(axes: Axes, scan: Scan) -> None:
    """Draw the error against the trial number, and the best error so far."""
    number = np.array([trial.trial for trial in scan.trials], dtype=np.float64)
    _points(axes, number, scan)
    _failed(axes, number, scan)
    errors = [math.inf if trial.objective is None else trial.objective for trial in scan.trials]
    best = np.minimum.accumulate(errors)
    known = np.isfinite(best)
    axes.step(number[known], best[known], where="post", color=GREY, zorder=1)
    for before, after in zip(scan.trials[:-1], scan.trials[1:], strict=True):
        if before.round != after.round:
            axes.axvline(after.trial - 0.5, color=GREY, linestyle=":", linewidth=0.8, zorder=0)
    axes.set_xlim(-0.5, len(scan.trials) - 0.5)
    axes.set_xlabel("Trial")
    axes.xaxis.set_major_locator(MaxNLocator(24, integer=True))
    axes.xaxis.set_minor_locator(NullLocator())


def _handles(scan: Scan) -> list[Line2D]:
    n_rounds = scan.trials[-1].round + 1
    colours = _colours(n_rounds)
    named = range(n_rounds) if n_rounds <= MAX_NAMED_ROUNDS else (0, n_rounds // 2, n_rounds - 1)

    def mark(style: str, colour: Any, label: str, **more: Any) -> Line2D:
        return Line2D([], [], linestyle="", marker=style, color=colour, label=label, **more)

    handles = [mark("o", colours[number], f"round {number}") for number in named]
    assert scan.best is not None
    best = scan.trials[scan.best].objective
    ring = {"markersize": 8, "markerfacecolor": "none"}
    handles.append(mark("o", BLACK, f"best: trial {scan.best}, {best:.4g}", **ring))
    handles.append(Line2D([], [], color=GREY, label="best so far"))
    if any(trial.objective is None for trial in scan.trials):
        handles.append(mark("x", RED, "loss not finite"))
    return handles


@styled
def draw(scan: Scan) -> Figure:
    """Draw the error against the trial number, and below against each scanned setting.

    The axis of the error is logarithmic if the errors span more than a factor of five. Trials with
    the same categorical value are offset horizontally.

    Args:
        scan: hyperparameter scan with at least one trial that has an objective.
    """
    names = sorted(scan.space, key=lambda name: -(scan.importance or {}).get(name, 0.0))
    rows = -(-len(names) // COLUMNS)
    first = scan.trials[0]
    figure = new_figure(
        DOUBLE_COLUMN, 2.3 + 1.75 * rows, note_text(first.image, first.physics_inputs)
    )
    grid = figure.add_gridspec(1 + rows, COLUMNS, height_ratios=[1.15, *[1.0] * rows])
    above = figure.add_subplot(grid[0, :])
    _in_order(above, scan)
    panels = [above]
    for index, name in enumerate(names):
        cell = grid[1 + index // COLUMNS, index % COLUMNS]
        axes = figure.add_subplot(cell, sharey=above)
        _setting(axes, name, scan)
        if index % COLUMNS:
            axes.tick_params(labelleft=False)
        else:
            panels.append(axes)
    errors = [trial.objective for trial in scan.trials if trial.objective is not None]
    if _is_wide(np.array(errors)):
        above.set_yscale("log")
    # room for the crosses at the upper edge
    failed = len(errors) < len(scan.trials)
    above.margins(y=0.25 if failed else 0.1)
    for axes in panels:
        axes.set_ylabel("Validation error")
    figure.align_ylabels(panels)
    figure.legend(
        handles=_handles(scan), loc="outside upper center", ncols=6, columnspacing=1.2,
        title=f"{scan.estimator}: mean absolute error of predicted shifts, validation images",
        title_fontsize=7.5,
    )  # fmt: skip
    return figure


@click.command("scan")
@click.option(
    "--scan",
    "scan_path",
    required=True,
    type=FILE,
    help="What 'wilsonvox scan collect' wrote (.json).",
)
@outputs
def command(scan_path: Path, pdf: Path, png: Path) -> None:
    """Errors of a scan's trials, one after the other and against each scanned setting."""
    write("scan", pdf, png, lambda: draw(read(scan_path)), [scan_path])
