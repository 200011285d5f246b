"""Summary table of a run: performance of the estimators, measurements, and output files."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from wilsonvox.core.errors import UserError
from wilsonvox.ensembles.tables import SUMMARY_COLUMNS, JointCovariances, read_table
from wilsonvox.measurement.intervals import symbol

Rows = list[Sequence[str]]

COVERAGE_NOTE = "68 %, 95 %: percentage of images whose interval contains the true shift"
VOLUME_NOTE = "volume: √det of the covariance of all shifts, relative to the bound"


def _aligned(rows: Rows, left: int) -> Iterator[str]:
    """Format the lines of a table, with the first `left` columns aligned to the left."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            text.ljust(width) if column < left else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def _table(title: str, columns: Sequence[str], rows: Rows, left: int, note: str = "") -> list[str]:
    """Format a table; a unique image specification moves from its column to the title."""
    column = columns.index("image")
    images = {row[column] for row in rows} - {""}
    if len(images) == 1:
        title += f" ({images.pop()})"
        left -= 1
        columns = [*columns[:column], *columns[column + 1 :]]
        rows = [[*row[:column], *row[column + 1 :]] for row in rows]
    return [title, *([note] if note else []), "", *_aligned([columns, *rows], left), ""]


def _number(value: float | None, form: str, unit: str = "") -> str:
    return "–" if value is None or math.isnan(value) else f"{value:{form}}{unit}"


def parts(points: pd.DataFrame, trained: bool) -> Iterator[tuple[str, pd.DataFrame]]:
    """Iterate over groups of points: those used in training, those between, and all.

    For estimators without training the only group is all points.
    """
    seen = points["seen_in_training"]
    if trained:
        yield "trained", points[seen]
        yield "between", points[~seen]
    yield "all", points


def _ensemble_rows(summary: pd.DataFrame, estimator: str, image: str, trained: bool) -> Rows:
    """Compute means over the points of one estimator."""
    rows: Rows = []
    for coefficient, points in summary.groupby("coefficient", sort=False):
        for name, part in parts(points, trained):
            if part.empty:
                continue
            rows.append(
                (
                    "" if rows else estimator,
                    "" if rows else image,
                    symbol(str(coefficient)),
                    name,
                    str(len(part)),
                    _number(part["bias"].mean(), "+.4f"),
                    _number(part["bias"].abs().mean(), ".4f"),
                    _number(part["sigma_over_bound"].mean(), ".2f"),
                    *(_number(pooled(part, f"coverage_{level}"), ".1f") for level in (68, 95)),
                )
            )
    return rows


def pooled(points: pd.DataFrame, column: str) -> float:
    """Average `column`, a fraction of images, over points weighted by their images, in percent."""
    known = points[points[column].notna()]
    images = known["n_images"].sum()
    return float(100 * (known[column] * known["n_images"]).sum() / images) if images else math.nan


def mean_pull(pulls: Sequence[float] | None) -> str:
    """Format the mean pull of single images with its error 1/√n; a dash without pulls.

    >>> mean_pull([0.5, 1.5, -0.2, 0.2])
    '+0.50 ± 0.50'
    """
    if not pulls:
        return "–"
    return f"{sum(pulls) / len(pulls):+.2f} ± {1 / math.sqrt(len(pulls)):.2f}"


def _volume_rows(summary: pd.DataFrame, joint: JointCovariances, trained: bool) -> Rows:
    """Compute the mean volume of the joint covariance relative to the bound for one estimator."""
    volumes = {point.point: point.volume_over_bound for point in joint.points}
    points = summary.drop_duplicates("point")
    return [
        ("", "", "volume", name, str(len(part)), "–", "–",
         _number(part["point"].map(volumes).mean(), ".2f"), "–", "–")
        for name, part in parts(points, trained)
        if not part.empty
    ]  # fmt: skip


def pull(value: float, interval_68: Sequence[float | None], true: float) -> float:
    """Compute the pull of a measured value, with its error on the side of the true value.

    >>> pull(-0.8, (-0.85, -0.75), true=-0.9)
    2.0
    """
    end = interval_68[1 if true > value else 0]
    error = 0.0 if end is None else abs(end - value)
    return round((value - true) / error, 6) if error > 0 else math.nan


def measurements(run: Path) -> list[tuple[Path, str, str, str]]:
    """List the measurements of a run as (path, sample, image specification, estimator).

    They are sorted by sample.
    """
    files = (
        (path, path.stem, path.parent.parent.name, path.parent.name)
        for path in run.glob("measurements/*/*/*.json")
    )
    return sorted(files, key=lambda file: file[1:])


def _measurement_rows(content: dict[str, Any], sample: str, image: str, estimator: str) -> Rows:
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
                symbol(coefficient),
                str(content["n_images"]),
                f"{_number(value, '+.3f')} [{low}, {high}]",
                _number(true, "+.2f"),
                _number(deviation, "+.1f", "σ"),
                mean_pull(result.get("pulls")),
            )
        )
    return rows


def _measurement_table(rows: Rows) -> list[str]:
    """Format the measurements; a unique shift moves from its column to the title."""
    columns = ["sample", "estimator", "image", "shift", "N", "measured [68 %]", "true", "pull"]
    columns += ["pull/image"]
    shifts = {row[3] for row in rows}
    cells: Rows = []
    previous = ""
    for row in rows:
        cells.append(["" if row[0] == previous else row[0], *row[1:]])
        previous = row[0]
    left = 4
    if len(shifts) == 1:
        columns = [*columns[:3], *columns[4:]]
        cells = [[*row[:3], *row[4:]] for row in cells]
        left = 3
    name = f"Measured {shifts.pop()}" if len(shifts) == 1 else "Measured shifts"
    note = "N images; pull/image: mean pull of single images; statistical, generator level"
    return _table(name, columns, cells, left, note)


def _files(run: Path, pattern: str) -> list[Path]:
    return sorted(run.glob(pattern))


def run_table(run: Path) -> str:
    """Format the summary table of the run in folder `run` as text.

    Raises:
        UserError: the folder does not exist or contains no results.
    """
    if not run.is_dir():
        raise UserError(f"{run}: no such run; expected a folder such as results/demo")
    summaries: Rows = []
    volume_note = ""
    for path in _files(run, "evaluation/*/*/summary.parquet"):
        frame, about = read_table(path, SUMMARY_COLUMNS)
        names = path.parent.name, path.parent.parent.name
        summaries += _ensemble_rows(frame, *names, about.trained)
        if about.joint is not None:
            summaries += _volume_rows(frame, about.joint, about.trained)
            volume_note = VOLUME_NOTE
    measured: Rows = []
    for path, *places in measurements(run):
        try:
            measured += _measurement_rows(json.loads(path.read_text()), *places)
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: not a measurement; delete it and run again") from error
    figures = _files(run, "figures/**/*.pdf")
    if not (summaries or measured or figures):
        raise UserError(f"{run}: no results yet; run the workflow first")

    lines: list[str] = []
    if summaries:
        lines += _table(
            "Ensembles of test images: means over n points",
            (
                *("estimator", "image", "shift", "points", "n", "bias", "|bias|", "σ/bound"),
                *("68 %", "95 %"),
            ),
            summaries,
            left=4,
            note="; ".join(filter(None, (COVERAGE_NOTE, volume_note))),
        )
    if measured:
        lines += _measurement_table(measured)
    if figures:
        lines.append(f"figures  {run / 'figures'} ({len(figures)}, as PDF and PNG)")
    report = run / "report.html"
    lines.append(
        f"report   {report}" if report.is_file() else "report   not made yet (make report)"
    )
    return "\n".join(lines)
