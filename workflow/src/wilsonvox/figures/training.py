"""Training curves: training and validation loss and learning rate against the epoch."""

import os
from pathlib import Path

import click
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from wilsonvox.core.errors import UserError
from wilsonvox.core.files import require_file
from wilsonvox.figures.command import FILE, outputs, write
from wilsonvox.figures.style import BLACK, BLUE, GREY, RED, SINGLE_COLUMN, new_figure, styled

COLUMNS = ("epoch", "loss", "val_loss", "learning_rate")
"""Required columns of a training history."""


def read_history(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a `history.csv` of `wilsonvox train`: one row per epoch, columns `COLUMNS`, float64.

    Raises:
        UserError: the file does not exist, is not CSV, lacks a column, has no rows or contains
            values that are not numbers.
    """
    file = require_file(path, "a training history (.csv)")
    try:
        frame = pd.read_csv(file)
    except (ValueError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: not a training history ({error})") from error
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise UserError(f"{file}: not a training history: lacks {', '.join(missing)}")
    if frame.empty:
        raise UserError(f"{file}: no epoch in this training history")
    try:
        return frame[list(COLUMNS)].astype("float64")
    except ValueError as error:
        raise UserError(f"{file}: not a training history ({error})") from error


def _is_wide(values: NDArray[np.float64], ratio: float) -> bool:
    positive = values[np.isfinite(values) & (values > 0)]
    return len(positive) == np.isfinite(values).sum() > 0 and bool(
        positive.max() > ratio * positive.min()
    )


@styled
def draw(history: pd.DataFrame, model: str = "", loss: str = "") -> Figure:
    """Draw training and validation loss against the epoch, and the learning rate below.

    The axis of the loss is logarithmic if the losses span more than a factor of five.

    Args:
        history: columns `COLUMNS`, one row per epoch; losses in units of the predicted shifts.
        model: name of the network, for the title.
        loss: name of the loss function (mae or mse), for the axis label.
    """
    figure = new_figure(SINGLE_COLUMN, 3.4)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    epoch = history["epoch"].to_numpy(dtype=np.float64)
    # markers make histories of a few epochs visible
    marker = {"marker": "o", "markersize": 2.0} if len(epoch) < 40 else {}
    for column, label, colour in (("loss", "training", BLUE), ("val_loss", "validation", RED)):
        above.plot(epoch, history[column].to_numpy(), color=colour, label=label, **marker)
    validation = history["val_loss"].to_numpy(dtype=np.float64)
    if np.isfinite(validation).any():
        best = int(np.nanargmin(validation))
        above.plot(
            epoch[best],
            validation[best],
            "v",
            color=BLACK,
            markersize=5,
            markerfacecolor="none",
            label=f"lowest: {validation[best]:.3g}",
        )
    if _is_wide(history[["loss", "val_loss"]].to_numpy().ravel(), 5):
        above.set_yscale("log")
    above.set_ylabel(f"Loss ({loss.upper()})" if loss else "Loss")
    figure.legend(
        *above.get_legend_handles_labels(),
        loc="outside upper center",
        ncols=3,
        title=model or None,
        title_fontsize=7.5,
        columnspacing=1.2,
    )
    rate = history["learning_rate"].to_numpy(dtype=np.float64)
    below.step(epoch, rate, where="mid", color=GREY)
    if _is_wide(rate, 1.5):
        below.set_yscale("log")
    below.margins(y=0.15)
    below.set_ylabel("Learning rate")
    below.set_xlabel("Epoch")
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(epoch) < 15:
        below.xaxis.set_minor_locator(MaxNLocator(1))
    figure.align_ylabels()
    return figure


@click.command("training")
@click.option("--history", required=True, type=FILE, help="Training history (.csv).")
@click.option("--model", default="", metavar="LABEL", help="Name of the network, for the legend.")
@click.option(
    "--loss", type=click.Choice(["mae", "mse"]), help="Name of the loss function, for the axis."
)
@outputs
def command(history: Path, model: str, loss: str | None, pdf: Path, png: Path) -> None:
    """Loss, validation loss and learning rate of each epoch."""
    write(
        "training",
        pdf,
        png,
        lambda: draw(read_history(history), model, loss or ""),
        [history],
        {"model": model, "loss": loss},
    )
