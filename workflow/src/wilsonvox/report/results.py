"""Result pages: summaries of the estimators, and measured samples."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from wilsonvox.core.errors import UserError
from wilsonvox.ensembles.tables import SUMMARY_COLUMNS, read_table
from wilsonvox.figures.labels import image_text
from wilsonvox.measurement.intervals import symbol
from wilsonvox.report.page import Column, Row, Section, number, page
from wilsonvox.report.summary_table import mean_pull, measurements, parts, pooled, pull

_COVERS = "of images whose interval, calibrated with all other points, contains the true shift"

SUMMARY_TABLE: dict[str, tuple[Column, str]] = {
    "point": (Column("point", "label of the point (its true shifts)", "point", left=True), ""),
    "coefficient": (
        Column("shift", "estimated shift", "coefficient", left=True),
        "",
    ),
    "true": (Column("true", "true shift", "true"), "+z.2f"),
    "seen_in_training": (
        Column(
            "trained",
            "whether images of this point were used in training; a dash without training",
            "seen_in_training",
        ),
        "",
    ),
    "n_images": (Column("N", "number of test images", "n_images"), "d"),
    "mean": (Column("mean", "mean of the predicted shifts", "mean"), "+z.3f"),
    "bias": (Column("bias", "mean − true", "bias"), "+z.3f"),
    "sigma_left": (
        Column("σ_L", "distance from the mean to the 16 % quantile", "sigma_left"),
        ".3f",
    ),
    "sigma_right": (
        Column("σ_R", "distance from the mean to the 84 % quantile", "sigma_right"),
        ".3f",
    ),
    "sigma": (
        Column("σ", "standard deviation of the predicted shift of a single image", "sigma"),
        ".3f",
    ),
    "response_slope": (
        Column(
            "slope",
            "derivative of a smooth fit of the mean as a function of the true shift; below 1, "
            "predictions shrink towards the centre of the training range",
            "response_slope",
        ),
        "z.2f",
    ),
    "bound": (
        Column(
            "bound",
            "Cramér–Rao bound: smallest standard deviation of an unbiased estimate from the events "
            "of one image, with the same physics inputs and q² range",
            "bound",
        ),
        ".3f",
    ),
    "sigma_over_bound": (
        Column("σ/bound", "σ / slope / bound; 1 is optimal", "sigma_over_bound"),
        "z.2f",
    ),
    "gauss_mean": (
        Column("fit μ", "mean of a Gaussian fit to the core of the predictions", "gauss_mean"),
        "+z.3f",
    ),
    "gauss_sigma": (
        Column("fit σ", "standard deviation of that Gaussian fit", "gauss_sigma"),
        ".3f",
    ),
    "coverage_68": (
        Column("68 % coverage", f"fraction {_COVERS}, 68 % interval", "coverage_68"),
        ".3f",
    ),
    "coverage_95": (
        Column("95 % coverage", f"fraction {_COVERS}, 95 % interval", "coverage_95"),
        ".3f",
    ),
}
"""Presentation of the columns of summary.csv: heading, description and number format."""


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
    """Render the summary page: means over points, then all points of each estimator.

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
                paragraph=f"Images: {image_text(metadata.image, mathtext=False)}. Generator level"
                + (f", physics inputs {metadata.physics_inputs}" if metadata.physics_inputs else "")
                + f". Full precision: {path.with_suffix('.csv').relative_to(run)}.",
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
                "trained: points used in training; between: other points; all: all points",
                left=True,
            ),
            Column("n", "number of points"),
            Column("bias", "mean bias"),
            Column("|bias|", "mean absolute bias"),
            Column("σ/bound", "mean of σ / slope / bound; 1 is optimal"),
            Column("68 % coverage", f"percentage {_COVERS}, all points combined"),
            Column("95 % coverage", "the same for the 95 % intervals"),
        ],
        rows=means,
        meanings=True,
    )
    intro = Section(
        paragraph="Ensembles of test images with known shifts, at generator level. All shifts and "
        "σ are dimensionless."
        if tables
        else "This run has no summary yet."
    )
    return page("Summary of the estimators", [intro, overview, *tables] if tables else [intro])


_MEASUREMENT_COLUMNS = (
    Column("sample", left=True),
    Column("estimator", left=True),
    Column("images", left=True),
    Column("N", "number of images of the sample"),
    Column("shift", left=True),
    Column("measured", "measured shift, calibrated with ensembles of test images"),
    Column(
        "68 % interval",
        "central confidence interval; a dash marks an end outside the calibrated range",
    ),
    Column(
        "95 % interval",
        "central confidence interval; a dash marks an end outside the calibrated range",
    ),
    Column("true", "true shift; a dash if unknown"),
    Column(
        "pull",
        "(measured − true) / error, the distance to the end of the 68 % interval on that side",
    ),
    Column(
        "mean pull of one image",
        "mean over single images of (prediction − expected prediction at the true shift) / "
        "(standard deviation at the true shift), with its error 1/√N",
    ),
)


def _interval(ends: Sequence[float | None]) -> str:
    return f"[{number(ends[0], '+.3f')}, {number(ends[1], '+.3f')}]"


def _warnings(estimators_by_warning: dict[str, list[str]], n_estimators: int) -> str:
    """Format distinct warnings, preceded by the estimators unless all of them warn."""
    return "; ".join(
        text if len(names) == n_estimators else f"{', '.join(names)}: {text}"
        for text, names in estimators_by_warning.items()
    )


def measurements_page(run: Path) -> str:
    """Render the measurements page: measured shifts of all samples, and the numbers of events.

    Raises:
        UserError: a file is not a measurement.
    """
    rows: list[Row] = []
    events: dict[tuple[str, str], Row] = {}
    warnings: dict[tuple[str, str], dict[str, list[str]]] = {}
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
                warnings.setdefault(key, {}).setdefault(text, []).append(estimator)
            kinds.append(content["interval_type"])
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: not a measurement; delete it and run again") from error
    notes = {key: _warnings(warnings.get(key, {}), estimators[key]) or "–" for key in events}
    if not rows:
        sections = [Section(paragraph="This run does not measure external samples.")]
    else:
        sections = [
            Section(
                heading="Measured shifts",
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
                    Column("reason", left=True, long=True),
                    Column("warnings", left=True, long=True),
                ],
                rows=[(*row, notes[key]) for key, row in events.items()],
            ),
        ]
    return page("Measured samples", sections)
