"""Tables of docs/results/precision.md, of the summaries of a finished run and of measured files.

    .venv/bin/python tests/bench/precision_tables.py --run results/laptop
    .venv/bin/python tests/bench/precision_tables.py --measured measured/*.json

The first prints, in Markdown, σ in units of the Cramér–Rao bound and bias in units of σ at every
point, their means and extremes in [−2, 1.1], how many images' intervals hold the true shift, in all
and by point, and how far mean predictions are from those of the likelihood for the same images, in
which the scatter that both have in common is gone. The second prints pulls by file and estimator,
of files that `wilsonvox measure --json` wrote of samples with true points.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd

from wilsonvox.ensembles.tables import PREDICTION_COLUMNS, SUMMARY_COLUMNS, read_table
from wilsonvox.report.summary_table import mean_pull, pooled, pull

LOW, HIGH = -2.0, 1.1
"""Ends of the papers' values, over which means are taken."""

FORMATS = {
    "sigma_over_bound": ".3f",
    "relative_bias": "+.2f",
    "coverage_68": ".1%",
    "coverage_95": ".1%",
}


def table(columns: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def summaries(run: Path) -> dict[tuple[str, str], pd.DataFrame]:
    """Summaries by estimator and image specification, with the bias in units of σ."""
    found = {}
    for path in sorted(run.glob("evaluation/*/*/summary.parquet")):
        summary, _ = read_table(path, SUMMARY_COLUMNS)
        summary["relative_bias"] = summary["bias"] / summary["sigma"]
        found[path.parent.name, path.parent.parent.name] = summary.sort_values("true")
    return found


def precision_row(name: tuple[str, str], summary: pd.DataFrame) -> list[str]:
    """Means over the points in the papers' range; errors are of the numbers of images alone."""
    inside = summary[summary["true"].between(LOW, HIGH)]
    trained = inside["seen_in_training"]
    cells = [f"`{name[0]}`", name[1]]
    for part in (inside, inside[trained], inside[~trained]):
        ratio = part["sigma_over_bound"]
        error = np.sqrt((ratio**2 / (2 * part["n_images"])).sum()) / max(len(part), 1)
        cells.append(f"{ratio.mean():.3f} ± {error:.3f}" if len(part) else "–")
    worst = inside.iloc[int(inside["sigma_over_bound"].argmax())]
    error = worst["sigma_over_bound"] / np.sqrt(2 * worst["n_images"])
    cells.append(f"{worst['sigma_over_bound']:.3f} ± {error:.3f} ({worst['true']:+.2f})")
    bias = inside["relative_bias"]
    most = inside.iloc[int(bias.abs().argmax())]
    cells.append(f"{np.sqrt((bias**2).mean()):.3f}")
    error = 1 / np.sqrt(most["n_images"])
    cells.append(f"{most['relative_bias']:+.3f} ± {error:.3f} ({most['true']:+.2f})")
    return cells


def coverage_row(name: tuple[str, str], summary: pd.DataFrame) -> list[str]:
    """Coverage pooled over the points that no training image has, over all, and by point."""
    cells = [f"`{name[0]}`", name[1]]
    between = summary[~summary["seen_in_training"]]
    for level in (68, 95):
        column = f"coverage_{level}"
        images = between["n_images"].sum()
        error = np.sqrt(level * (100 - level) / images) if images else np.nan
        each = 100 * summary[column]
        cells += [
            f"{pooled(between, column):.1f} ± {error:.1f}",
            f"{pooled(summary, column):.1f}",
            f"{each.min():.1f} to {each.max():.1f}",
        ]
    return cells


def likelihood_row(name: tuple[str, str], run: Path) -> list[str] | None:
    """Mean predictions less those of the likelihood for the same images, in units of σ."""
    folder, likelihood = (run / "evaluation" / name[1] / each for each in (name[0], "likelihood"))
    if folder == likelihood or not likelihood.is_dir():
        return None
    found = []
    for path in sorted(folder.glob("*/*.parquet")):
        own, _ = read_table(path, PREDICTION_COLUMNS)
        fits, _ = read_table(likelihood / path.relative_to(folder), PREDICTION_COLUMNS)
        true = own["true"].iloc[0]
        if LOW <= true <= HIGH:
            sigma = own["predicted"].std()
            off = (own["predicted"] - fits["predicted"]) / sigma
            correlation = np.corrcoef(own["predicted"], fits["predicted"])[0, 1]
            found.append((true, off.mean(), off.std() / np.sqrt(len(off)), correlation))
    values = np.array(found)
    true, off, error, _ = values[np.abs(values[:, 1]).argmax()]
    return [f"`{name[0]}`", name[1], f"{np.sqrt((values[:, 1] ** 2).mean()):.3f}",
            f"{off:+.3f} ± {error:.3f} ({true:+.2f})", f"{values[:, 3].mean():.3f}"]  # fmt: skip


def point_table(found: dict[tuple[str, str], pd.DataFrame], columns: list[str]) -> str:
    """Two columns of every estimator's summary at every point, in the formats of `FORMATS`."""
    truths = sorted({true for summary in found.values() for true in summary["true"]})
    rows = []
    for true in truths:
        row = [f"{true:+.2f}"]
        seen = False
        for summary in found.values():
            here = summary[summary["true"] == true]
            seen |= bool(here["seen_in_training"].any())
            row += [
                ", ".join(format(point[column], FORMATS[column]) for column in columns)
                for _, point in here.dropna(subset=columns).iterrows()
            ] or ["–"]
        rows.append([row[0] if seen else f"*{row[0]}*", *row[1:]])
    names = [f"`{estimator}` {image}" for estimator, image in found]
    return table(["δC9", *names], rows)


def measured_table(paths: list[Path]) -> str:
    """Pulls of whole files and of their images, by file and estimator."""
    rows = []
    for path in paths:
        content = json.loads(path.read_text())
        for coefficient, result in content["coefficients"].items():
            true = content["true_shifts"][coefficient]
            value, interval = result["value"], result["interval_68"]
            low, high = (abs(end - value) for end in interval)
            whole = pull(value, interval, true)
            rows.append([
                f"`{content['sample'] or path.stem}`", f"`{content['estimator']}`",
                str(content["n_images"]), f"{value:+.3f} −{low:.3f} +{high:.3f}", f"{whole:+.2f}",
                mean_pull(result["pulls"]),
            ])  # fmt: skip
    return table(["file", "estimator", "images", "δC9", "pull", "pulls of its images"], rows)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--run", type=Path)
    what.add_argument("--measured", type=Path, nargs="+")
    options = parser.parse_args()
    if options.measured:
        print(measured_table(options.measured))
        return
    found = summaries(options.run)
    ratio = ["σ/bound", "at trained values", "between", "worst", "bias/σ, rms", "largest"]
    print(table(["estimator", "images", *ratio],
                [precision_row(*each) for each in found.items()]))  # fmt: skip
    cover = [f"{level} % {part}" for level in (68, 95) for part in ("between", "all", "by point")]
    print()
    print(table(["estimator", "images", *cover],
                [coverage_row(*each) for each in found.items()]))  # fmt: skip
    print()
    beside = ["difference/σ, rms", "largest", "correlation"]
    rows = (likelihood_row(name, options.run) for name in found)
    print(table(["estimator", "images", *beside], [row for row in rows if row]))
    print()
    print(point_table(found, ["sigma_over_bound", "relative_bias"]))
    print()
    print(point_table(found, ["coverage_68", "coverage_95"]))


if __name__ == "__main__":
    main()
