"""Tables of docs/results/papers.md: images of both flavours, and without voxels of several events.

    .venv/bin/snakemake --profile profiles/local --cores 2 --configfile tests/bench/flavours.yaml
    .venv/bin/python tests/bench/flavour_tables.py --run results/flavours

Both images of a pair are of the same events. Prints, in Markdown, σ of an estimator on each, over
the slope of its response between the two neighbouring values, and their ratio with its error, by
drawing images with replacement, the same of both kinds.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wilsonvox.ensembles.tables import PREDICTION_COLUMNS, read_table
from wilsonvox.theory.points import parse_point

Array = NDArray[np.float64]

PAIRS = (
    ("voxel-sum", "b50_apart", "b50_mixed"),
    ("voxel-sum", "b100_apart", "b100_mixed"),
    ("voxel-sum-without-counts", "b50_apart", "b50_removed"),
    ("voxel-sum-without-counts", "b100_apart", "b100_removed"),
)
DRAWS = 1000


def predictions(run: Path, image: str, estimator: str) -> dict[float, Array]:
    """Predicted δC9 of the test images by true value, in the order of the images."""
    found = {}
    for path in sorted((run / "evaluation" / image / estimator / "test").glob("*.parquet")):
        frame, _ = read_table(path, PREDICTION_COLUMNS)
        shift = parse_point(path.stem)["c9"]
        found[float(np.real(shift))] = frame["predicted"].to_numpy()
    return dict(sorted(found.items()))


def resolution(below: Array, here: Array, above: Array, distance: float) -> float:
    """σ over the slope of the response between two values that are `distance` apart."""
    return float(here.std(ddof=1) / ((above.mean() - below.mean()) / distance))


def ratio(
    pair: tuple[dict[float, Array], dict[float, Array]], true: float, random: np.random.Generator
) -> tuple[float, float, float, float]:
    """σ of the first and of the second kind of image, their ratio and its error."""
    values = list(pair[0])
    place = values.index(true)
    around = values[place - 1 : place + 2]

    def both(drawn: list[NDArray[np.intp]]) -> Array:
        parts = [[kind[value][rows] for value, rows in zip(around, drawn, strict=True)]
                 for kind in pair]  # fmt: skip
        return np.array([resolution(*part, around[2] - around[0]) for part in parts])

    sizes = [len(pair[0][value]) for value in around]
    first, second = both([np.arange(size) for size in sizes])
    again = np.array([both([random.integers(0, n, n) for n in sizes]) for _ in range(DRAWS)])
    return first, second, second / first, float((again[:, 1] / again[:, 0]).std(ddof=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, required=True, help="results/flavours")
    run = parser.parse_args().run
    random = np.random.default_rng(1)
    for estimator, first, second in PAIRS:
        pair = predictions(run, first, estimator), predictions(run, second, estimator)
        print(f"\n`{estimator}`\n\n| δC9 | σ, {first} | σ, {second} | ratio |\n|---|---|---|---|")
        ratios = []
        for true in list(pair[0])[1:-1]:
            one, other, value, error = ratio(pair, true, random)
            ratios.append((value, error))
            print(f"| {true:+.2f} | {one:.4f} | {other:.4f} | {value:.3f} ± {error:.3f} |")
        mean, errors = np.array(ratios).T
        error = np.sqrt((errors**2).sum()) / len(errors)
        print(f"| mean | | | {mean.mean():.3f} ± {error:.3f} |")


if __name__ == "__main__":
    main()
