"""The pages of the results: summaries of the estimators, and measured samples."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from wilsonvox.core.errors import UserError
from wilsonvox.ensembles.tables import SUMMARY_COLUMNS, read_table
from wilsonvox.measurement.intervals import symbol
from wilsonvox.report.page import Column, Row, Section, image_sentence, number, page
from wilsonvox.report.summary_table import mean_pull, measurements, parts, pooled, pull

_COVERS = (
    "part of the images whose interval, by the calibration with all other points, holds the true "
    "shift"
)

SUMMARY_TABLE: dict[str, tuple[Column, str]] = {
    "point": (Column("point", "label of the point: its true shifts", "point", left=True), ""),
    "coefficient": (
        Column("shift", "the shift that is estimated", "coefficient", left=True),
        "",
    ),
    "true": (Column("true", "true shift of the point's events", "true"), "+z.2f"),
    "seen_in_training": (
        Column(
            "trained",
            "whether the training had images of this point; a dash where nothing is trained",
            "seen_in_training",
        ),
        "",
    ),
    "n_images": (Column("N", "number of test images", "n_images"), "d"),
    "mean": (Column("mean", "mean of the predicted shifts", "mean"), "+z.3f"),
    "bias": (Column("bias", "mean − true", "bias"), "+z.3f"),
    "sigma_left": (
        Column("σ_L", "distance from the mean down to the 16 % point", "sigma_left"),
        ".3f",
    ),
    "sigma_right": (
        Column("σ_R", "distance from the mean up to the 84 % point", "sigma_right"),
        ".3f",
    ),
    "sigma": (
        Column("σ", "standard deviation of the predicted shift of one image", "sigma"),
        ".3f",
    ),
    "response_slope": (
        Column(
            "slope",
            "derivative of a smooth fit of the mean against the true shift of all points; 1 is the "
            "full response, less shrinks towards the middle",
            "response_slope",
        ),
        "z.2f",
    ),
    "bound": (
        Column(
            "bound",
            "Cramér–Rao bound: the least standard deviation of any unbiased estimate from the "
            "events of one image, with the same physics inputs and range of q²",
            "bound",
        ),
        ".3f",
    ),
    "sigma_over_bound": (
        Column("σ/bound", "σ / slope / bound; 1 is the best possible", "sigma_over_bound"),
        "z.2f",
    ),
    "gauss_mean": (
        Column("fit μ", "mean of a Gaussian fitted to the core of the predictions", "gauss_mean"),
        "+z.3f",
    ),
    "gauss_sigma": (Column("fit σ", "standard deviation of that Gaussian", "gauss_sigma"), ".3f"),
    "coverage_68": (Column("68 % covers", f"{_COVERS}, 68 % interval", "coverage_68"), ".3f"),
    "coverage_95": (Column("95 % covers", f"{_COVERS}, 95 % interval", "coverage_95"), ".3f"),
}
"""How each column of summary.csv is shown: heading, meaning and number format."""


def _summary_cell(name: str, value: Any, trained: bool) -> str:
    if name == "coefficient":
        return symbol(str(value))
    if name == "seen_in_training" and not trained:
        return "–"
    if name == "seen_in_training":
        return "yes" if value else "no"
    form = SUMMARY_TABLE[name][1]
    return number(value, form) if form else str(value)


def _mean_rows(summary: pd.DataFrame, estimator: str, image: str, trained: bool) -> list[Row]:
    rows: list[Row] = []
    for coefficient, points in summary.groupby("coefficient", sort=False):
        for name, part in parts(points, trained):
            if not part.empty:
                rows.append(
                    (estimator, image, symbol(str(coefficient)), name, str(len(part)),
                     number(part["bias"].mean(), "+z.4f"),
                     number(part["bias"].abs().mean(), ".4f"),
                     number(part["sigma_over_bound"].mean(), "z.2f"),
                     number(pooled(part, "coverage_68"), ".1f"),
                     number(pooled(part, "coverage_95"), ".1f"))
                )  # fmt: skip
    return rows


def summary_page(run: Path) -> str:
    """The summaries of all estimators: means over points, then every point.

    Raises:
        UserError: a summary cannot be read.
    """
    means: list[Row] = []
    tables: list[Section] = []
    for path in sorted(run.glob("evaluation/*/*/summary.parquet")):
        frame, metadata = read_table(path, SUMMARY_COLUMNS)
        estimator, image = path.parent.name, path.parent.parent.name
        means += _mean_rows(frame, estimator, image, metadata.trained)
        tables.append(
            Section(
                heading=f"Estimator {estimator}, images {image}",
                paragraph=f"Images: {image_sentence(metadata.image)}. Generator level"
                + (f", physics inputs {metadata.physics_inputs}" if metadata.physics_inputs else "")
                + f". All digits are in {path.with_suffix('.csv').relative_to(run)}.",
                columns=[column for column, _ in SUMMARY_TABLE.values()],
                rows=[
                    [_summary_cell(name, row[name], metadata.trained) for name in SUMMARY_TABLE]
                    for row in frame.to_dict("records")
                ],
                meanings=True,
            )
        )  # fmt: skip
    overview = Section(
        heading="Means over points",
        columns=[
            Column("estimator", left=True),
            Column("images", left=True),
            Column("shift", left=True),
            Column(
                "points",
                "trained: the training had images of them; between: it had none; all: those of an "
                "estimator that is not trained, too",
                left=True,
            ),
            Column("n", "number of points"),
            Column("bias", "mean of mean − true"),
            Column("|bias|", "mean of its absolute value"),
            Column("σ/bound", "mean of σ / slope / bound; 1 is the best possible"),
            Column("68 % covers", f"percentage, of all points together: {_COVERS}"),
            Column("95 % covers", "the same of the 95 % intervals"),
        ],
        rows=means,
        meanings=True,
    )
    intro = Section(
        paragraph="Ensembles of test images with known shifts, at generator level. All shifts and "
        "sigmas are dimensionless."
        if tables
        else "There is no summary in this run yet."
    )
    return page("Summary of the estimators", [intro, overview, *tables] if tables else [intro])


_MEASUREMENT_COLUMNS = (
    Column("sample", left=True),
    Column("estimator", left=True),
    Column("images", left=True),
    Column("N", "number of images of the sample"),
    Column("shift", left=True),
    Column("measured", "shift of the sample, calibrated with the ensembles of test images"),
    Column("68 % interval", "central confidence interval; a dash is an end beyond the points"),
    Column("95 % interval", "central confidence interval; a dash is an end beyond the points"),
    Column("true", "true shift of the sample; a dash where it is not known"),
    Column("pull", "(measured − true) / distance to the end of the 68 % interval on that side"),
    Column(
        "mean pull of one image",
        "mean over the images, each alone, of (prediction − what is expected at the true shift) / "
        "standard deviation there, with its error 1/√N",
    ),
)


def _interval(ends: Sequence[float | None]) -> str:
    return f"[{number(ends[0], '+.3f')}, {number(ends[1], '+.3f')}]"


def _warnings(found: dict[str, list[str]], n_estimators: int) -> str:
    """What was said of a sample, each once; with the estimators where not all said it."""
    return "; ".join(
        text if len(names) == n_estimators else f"{', '.join(names)}: {text}"
        for text, names in found.items()
    )


def measurements_page(run: Path) -> str:
    """The measured shifts of all samples by each estimator, and how many events were used.

    Raises:
        UserError: a file is not a measurement.
    """
    rows: list[Row] = []
    events: dict[tuple[str, str], Row] = {}
    said: dict[tuple[str, str], dict[str, list[str]]] = {}
    estimators: dict[tuple[str, str], int] = {}
    kinds: list[str] = []
    for path, sample, image, estimator in measurements(run):
        key = (sample, image)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            truth = content["true_shifts"] or {}
            for name, result in content["coefficients"].items():
                value, ends, true = result["value"], result["interval_68"], truth.get(name)
                deviation = None if value is None or true is None else pull(value, ends, true)
                rows.append(
                    (sample, estimator, image, str(content["n_images"]), symbol(name),
                     number(value, "+z.3f"), _interval(ends), _interval(result["interval_95"]),
                     number(true, "+z.2f"), number(deviation, "+z.1f"),
                     mean_pull(result.get("pulls")).replace("-", "−"))
                )  # fmt: skip
            dropped = content["n_events_dropped_by_reason"]
            reasons = "; ".join(f"{number:,} {reason}" for reason, number in dropped.items())
            events[key] = (
                sample, image, f"{content['n_events_used']:,}",
                f"{content['n_events_dropped']:,}", reasons or "–",
            )  # fmt: skip
            estimators[key] = estimators.get(key, 0) + 1
            for text in content["warnings"]:
                said.setdefault(key, {}).setdefault(text, []).append(estimator)
            kinds.append(content["interval_type"])
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: not a measurement; delete it and run again") from error
    notes = {key: _warnings(said.get(key, {}), estimators[key]) or "–" for key in events}
    if not rows:
        sections = [Section(paragraph="This run measures no external sample.")]
    else:
        sections = [
            Section(
                heading="Every sample by each estimator",
                paragraph=" ".join(f"Intervals are {kind}." for kind in dict.fromkeys(kinds)),
                columns=_MEASUREMENT_COLUMNS,
                rows=rows,
                meanings=True,
            ),
            Section(
                heading="Events",
                columns=[
                    Column("sample", left=True),
                    Column("images", left=True),
                    Column("used"),
                    Column("not used"),
                    Column("why not", left=True, long=True),
                    Column("warnings", left=True, long=True),
                ],
                rows=[(*row, notes[key]) for key, row in events.items()],
            ),
        ]
    return page("Measured samples", sections)
