"""The closing table of a run: how good its estimators are, what they measured, where all lies."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from wilsonvox.errors import UserError
from wilsonvox.tables import SUMMARY_COLUMNS, read_table

Rows = list[Sequence[str]]


def _aligned(rows: Rows, left: int) -> Iterator[str]:
    """Lines of a table, the first `left` columns flush left and the others flush right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            text.ljust(width) if column < left else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def _table(title: str, columns: Sequence[str], rows: Rows, left: int) -> list[str]:
    """A titled table; the column of image specifications moves to the title if there is one."""
    column = columns.index("image")
    images = {row[column] for row in rows} - {""}
    if len(images) == 1:
        title += f" ({images.pop()})"
        left -= 1
        columns = [*columns[:column], *columns[column + 1 :]]
        rows = [[*row[:column], *row[column + 1 :]] for row in rows]
    return [title, "", *_aligned([columns, *rows], left), ""]


def _shift(coefficient: str) -> str:
    return f"δC{coefficient[1:].replace('p', '′')}"


def _number(value: float | None, form: str, unit: str = "") -> str:
    return "–" if value is None or math.isnan(value) else f"{value:{form}}{unit}"


def _ensemble_rows(summary: pd.DataFrame, estimator: str, image: str) -> Rows:
    """Means over points of one estimator: trained, interpolation and all points."""
    rows: Rows = []
    for coefficient, points in summary.groupby("coefficient", sort=False):
        seen = points["seen_in_training"]
        for name, part in (("trained", points[seen]), ("between", points[~seen]), ("all", points)):
            if part.empty:
                continue
            rows.append(
                (
                    "" if rows else estimator,
                    "" if rows else image,
                    _shift(str(coefficient)),
                    name,
                    str(len(part)),
                    _number(part["bias"].mean(), "+.4f"),
                    _number(part["bias"].abs().mean(), ".4f"),
                    _number(part["sigma_over_bound"].mean(), ".2f"),
                )
            )
    return rows


def pull(value: float, interval_68: Sequence[float | None], true: float) -> float:
    """Deviation of a measured value from the truth in units of its error on that side.

    >>> pull(-0.8, (-0.85, -0.75), true=-0.9)
    2.0
    """
    end = interval_68[1 if true > value else 0]
    error = 0.0 if end is None else abs(end - value)
    return round((value - true) / error, 6) if error > 0 else math.nan


def _measurement_rows(content: dict[str, Any], sample: str, estimator: str, image: str) -> Rows:
    rows: Rows = []
    truth = content.get("true_shifts") or {}
    for coefficient, result in content["coefficients"].items():
        value, interval, true = result["value"], result["interval_68"], truth.get(coefficient)
        low, high = (_number(end, "+.3f") for end in interval)
        deviation = math.nan if value is None or true is None else pull(value, interval, true)
        rows.append(
            (
                sample,
                estimator,
                image,
                str(content["n_images"]),
                f"{_shift(coefficient)} = {_number(value, '+.3f')} [{low}, {high}]",
                _number(true, "+.2f"),
                _number(deviation, "+.1f", "σ"),
            )
        )
    return rows


def _files(run: Path, pattern: str) -> list[Path]:
    return sorted(run.glob(pattern))


def run_table(run: Path) -> str:
    """The closing table of the run in folder `run`, as text of several lines.

    Raises:
        UserError: no such folder, or nothing in it to tell of.
    """
    if not run.is_dir():
        raise UserError(f"{run}: no such run; expected a folder such as results/demo")
    summaries: Rows = []
    for path in _files(run, "evaluation/*/*/summary.parquet"):
        frame, _ = read_table(path, SUMMARY_COLUMNS)
        summaries += _ensemble_rows(frame, path.parent.name, path.parent.parent.name)
    measurements: Rows = []
    for path in _files(run, "measurements/*/*/*.json"):
        names = path.stem, path.parent.name, path.parent.parent.name
        try:
            measurements += _measurement_rows(json.loads(path.read_text()), *names)
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: not a measurement; delete it and run again") from error
    figures = _files(run, "figures/**/*.pdf")
    if not (summaries or measurements or figures):
        raise UserError(f"{run}: nothing to show yet; run the workflow first")

    lines: list[str] = []
    if summaries:
        lines += _table(
            "Ensembles of test images: means over n points",
            ("estimator", "image", "shift", "points", "n", "bias", "|bias|", "σ/bound"),
            summaries,
            left=4,
        )
    if measurements:
        lines += _table(
            "Measured samples: generator level, statistical errors",
            ("sample", "estimator", "image", "images", "measured [68 %]", "true", "pull"),
            measurements,
            left=3,
        )
    if figures:
        lines.append(f"figures  {run / 'figures'} ({len(figures)}, each as PDF and PNG)")
    report = run / "report.html"
    lines.append(f"report   {report}" if report.is_file() else "report   none yet: make report")
    return "\n".join(lines)
