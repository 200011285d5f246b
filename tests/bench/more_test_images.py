"""Bias and σ of a shipped estimator on more test images than its table has.

    .venv/bin/python tests/bench/more_test_images.py --points c9_-2.00 --work DIR

makes, at each of the points, as many further campaigns of test images as are asked for, by the
command line as the workflow calls it, with the run's seed and numbers of campaigns that follow
those of the table, so that the images are independent of these and of all training images. Prints
the bias by point of the new images alone and of old and new ones together, and the row of
docs/results/precision.md of all images. What is in `--work` already is not made again.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from precision_tables import precision_row, table

from wilsonvox.ensembles.tables import PREDICTION_COLUMNS, SUMMARY_COLUMNS, read_table

ROOT = Path(__file__).parents[2]
SEED = 20260716  # of config/laptop.yaml


def wilsonvox(*words: object) -> None:
    """Run a command of the package."""
    program = Path(sys.executable).with_name("wilsonvox")
    subprocess.run([program, *map(str, words)], check=True, stdout=subprocess.DEVNULL)


def predictions(old: Path, model: Path, first: int, number: int, images: int, work: Path) -> Path:
    """Predictions of further campaigns of the point and split of an old table of predictions."""
    frame, _ = read_table(old, PREDICTION_COLUMNS)
    point, split = frame["point"].iloc[0], frame["split"].iloc[0]
    out = work / split / f"{point}.parquet"
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.exists():
        return out
    size = 24_000
    shards: list[object] = []
    for campaign in range(first, first + number):
        events, shard = work / "events.root", work / f"{campaign:03}.npz"
        words = ("--split", split, "--campaign", f"{campaign:03}", "--seed", SEED, "--out", events)
        wilsonvox(
            "generate", "--point", point, "--events", round(images * size * 1.002),
            "--coefficients", work / "coefficients.npz", *words,
        )  # fmt: skip
        wilsonvox(
            "voxelize", "--events", events, "--bins", 50, "--events-per-image", size,
            "--q2-min-gev2", 0, "--q2-max-gev2", 20, "--flavour", "B0", "--images", images,
            "--out", shard,
        )  # fmt: skip
        shards += ["--shard", shard]
    wilsonvox("evaluate", "--model", model, *shards, "--out", out)
    return out


def bias(frame: pd.DataFrame) -> str:
    """Bias of one point's predictions in units of their standard deviation."""
    off = frame["predicted"] - frame["true"]
    return f"{off.mean() / off.std():+.3f} ± {1 / np.sqrt(len(off)):.3f}"


def row(kind: str, paths: list[Path], work: Path) -> list[str]:
    """The row of docs/results/precision.md of tables of predictions."""
    words = [word for path in paths for word in ("--predictions", path)]
    out = work / "summary.parquet"
    out.unlink(missing_ok=True)
    wilsonvox(
        "summarize", *words, "--coefficients", work / "coefficients.npz", "--out", out,
        "--csv", work / f"{kind}.csv",
    )  # fmt: skip
    summary = read_table(out, SUMMARY_COLUMNS)[0].sort_values("true")
    summary["relative_bias"] = summary["bias"] / summary["sigma"]
    return precision_row((kind, str(summary["n_images"].min())), summary)


def main() -> None:
    """Make the images and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", nargs="+", required=True, help="labels of points")
    parser.add_argument("--campaigns", type=int, default=4, help="campaigns a point")
    parser.add_argument("--images", type=int, default=450, help="images a campaign")
    parser.add_argument("--work", type=Path, required=True, help="folder for files of its own")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    shipped = ROOT / "resources/estimators/voxel-sum"
    (model,) = shipped.glob("models/*/*/model.keras")
    if not (options.work / "coefficients.npz").exists():
        wilsonvox(
            "coefficients", "--physics-inputs", "evtgen-btosllnpr",
            "--out", options.work / "coefficients.npz",
        )  # fmt: skip
    old = sorted(shipped.glob("evaluation/*/*/*/*.parquet"))
    first = 1 + max(int(read_table(path, PREDICTION_COLUMNS)[0]["campaign"].max()) for path in old)
    chosen = [path for path in old if path.stem in options.points]
    rows, more = [], []
    for path in chosen:
        more.append(
            predictions(path, model, first, options.campaigns, options.images, options.work)
        )
        before, after = (read_table(each, PREDICTION_COLUMNS)[0] for each in (path, more[-1]))
        both = pd.concat([before, after])
        assert not both.duplicated(["campaign", "image_index"]).any()
        rows.append([path.stem, *map(bias, (before, after, both)), str(len(both))])
    print(table(["point", "bias/σ, before", "new images", "all", "images"], rows))
    columns = ["images", "a value", "σ/bound", "at trained values", "between", "worst",
               "bias/σ, rms", "largest"]  # fmt: skip
    print(table(columns, [row("all", [*old, *more], options.work)]))


if __name__ == "__main__":
    main()
