"""Measures what jobs cost, and writes the rates that `wilsonvox plan` scales.

Run it on a quiet machine, some ten minutes of one core:

    .venv/bin/python tests/bench/bench_rates.py --rows rows.json

It runs every rule's command for the configurations below, each in a process of its own, notes its
processor time, its largest memory and the size of its outputs, fits costs that are linear in
amounts of work (`wilsonvox.workflow.planning.jobs`), and writes
workflow/src/wilsonvox/workflow/planning/rates.json. `--fit rows.json` only fits again. No
configuration is the demonstration's, and none of its numbers is used, so that the demonstration's
actual cost stays a check of the plan.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

# ---------------------------------------------------------------- one process


def measure_this_process(report: Path, arguments: Sequence[str]) -> int:
    """Run `wilsonvox` or `snakemake` in this process and write what it took of the machine."""
    program, *words = arguments
    if program == "snakemake":
        from snakemake.cli import main

        try:
            code = int(bool(main(words)))
        except SystemExit as stop:
            code = int(bool(stop.code))
    else:
        from wilsonvox.cli import run

        code = run(words)
    # of this program alone: the largest memory of the one that started it is not in VmHWM
    status = Path("/proc/self/status").read_text()
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert peak
    report.write_text(
        json.dumps({"seconds": time.process_time(), "memory_bytes": 1024 * int(peak[1])})
    )
    return code


def measured(folder: Path, arguments: Sequence[str]) -> dict[str, float]:
    """Processor seconds, largest memory [B] and log [B] of a command run in `folder`."""
    report = folder / "measured.json"
    command = [sys.executable, __file__, "--measure", str(report), "--", *arguments]
    # as Snakemake starts jobs of one thread; a training names its own number
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    environment = dict(os.environ) | threads
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)}\n{done.stdout.decode()}{done.stderr.decode()}")
    values: dict[str, float] = json.loads(report.read_text())
    return values | {"log_bytes": len(done.stdout) + len(done.stderr)}


# ---------------------------------------------------------------- workloads

THIN: dict[str, Any] = {
    "stem_filters": 6, "stem_kernel": 1, "stem_stride": 1, "pooling": "average", "pool_size": 8,
    "pool_stride": 8, "filters": [8], "blocks": [1], "dense_units": 8, "dropout": 0.0,
}  # fmt: skip

SMALL: dict[str, Any] = {
    "run": "small",
    "seed": 11,
    "points": [
        {"shifts": {"c9": [-2.0, 0.0]}, "n_images": {"train": 16, "validation": 8, "test": 8}},
        {"shifts": {"c9": [-1.5, -1.0]}, "n_images": {"interpolation": 8}},
    ],
    "spare_events_fraction": 0.02,
    "images": {
        "b20": {"bins": 20, "events_per_image": 4000},
        "b40": {"bins": 40, "events_per_image": 20000},
    },
    "estimators": {
        # multiply-accumulates count
        "wide": {
            "images": ["b20"],
            "network": {
                "stem_filters": 16, "stem_kernel": 3, "stem_stride": 1, "pool_size": 2,
                "filters": [32, 64], "blocks": [1, 1], "dense_units": 50, "dropout": 0.0,
            },
            "training": {"batch_size": 20, "max_epochs": 12},
        },
        # what is read and written between layers counts
        "thin": {
            "images": ["b40"],
            "network": THIN,
            "training": {"batch_size": 16, "max_epochs": 60, "early_stopping_patience": 60},
        },
        # the papers' network: many parameters
        "resnet34": {"images": ["b40"], "training": {"batch_size": 8, "max_epochs": 4}},
        "resnet34-only-trained": {
            "images": ["b20"], "training": {"batch_size": 40, "max_epochs": 1},
        },
        "sum": {"architecture": "voxel-sum", "images": ["b20", "b40"]},
        "likelihood": {"architecture": "likelihood", "images": ["b20", "b40"]},
        # with images of 4,000 events its bins of q2 would be too empty
        "angular": {"architecture": "angular-likelihood", "images": ["b40"]},
    },
    "samples_table": "small.tsv",
}  # fmt: skip

LARGE: dict[str, Any] = {
    "run": "large",
    "seed": 12,
    "points": [
        {
            "shifts": {"c9": [-2.0, 0.0]},
            "n_images": {"train": 30, "validation": 20, "test": 60},
        },
        {"shifts": {"c9": -1.0}, "n_images": {"train": 150, "validation": 20, "test": 30}},
        {"shifts": {"c9": -0.5}, "n_images": {"interpolation": 30}},
    ],
    "spare_events_fraction": 0.02,
    "images": {"b45": {"bins": 45, "events_per_image": 20000}},
    "estimators": {
        "wide": {
            "images": ["b45"],
            "network": {
                "stem_filters": 24, "stem_kernel": 5, "stem_stride": 2, "pool_size": 3,
                "filters": [48, 96], "blocks": [1, 1], "dense_units": 100, "dropout": 0.2,
            },
            "training": {"batch_size": 30, "max_epochs": 4},
        },
        "thin": {
            "images": ["b45"],
            "network": {
                "stem_filters": 8, "stem_kernel": 1, "stem_stride": 1, "pooling": "average",
                "pool_size": 6, "pool_stride": 6, "filters": [8, 8], "blocks": [1, 1],
                "dense_units": 8, "dropout": 0.0,
            },
            "training": {"batch_size": 20, "max_epochs": 8},
        },
        # the papers' network again, with so many images an epoch that they count most
        "resnet34-only-trained": {
            "images": ["b45"], "training": {"batch_size": 30, "max_epochs": 1},
        },
        "sum": {"architecture": "voxel-sum", "images": ["b45"]},
        "likelihood": {"architecture": "likelihood", "images": ["b45"]},
        "angular": {"architecture": "angular-likelihood", "images": ["b45"]},
    },
    "samples_table": "large.tsv",
}  # fmt: skip

# Trainings that differ in one amount each, of which nothing else is measured.
TRAININGS: dict[str, Any] = {
    "run": "trainings",
    "seed": 14,
    "points": [
        {"shifts": {"c9": [-2.0, 0.0]}, "n_images": {"train": 24, "validation": 8, "test": 2}}
    ],
    "spare_events_fraction": 0.02,
    "images": {
        "b20": {"bins": 20, "events_per_image": 2000},
        "b40": {"bins": 40, "events_per_image": 20000},
    },
    "estimators": {
        "start-only-trained": {
            "images": ["b40"],
            "network": THIN,
            "training": {"batch_size": 16, "max_epochs": 1},
        },
        "elements-only-trained": {
            "images": ["b40"],
            "network": THIN,
            "training": {"batch_size": 48, "max_epochs": 80, "early_stopping_patience": 80},
        },
        "epochs-only-trained": {
            "images": ["b20"],
            "network": {
                "stem_filters": 1, "stem_kernel": 2, "stem_stride": 4, "pool_size": 1,
                "filters": [1], "blocks": [1], "dense_units": 2, "dropout": 0.0,
            },
            "training": {"batch_size": 480, "max_epochs": 100, "early_stopping_patience": 100},
        },
        "products-only-trained": {
            "images": ["b20"],
            "network": {
                "stem_filters": 32, "stem_kernel": 5, "stem_stride": 2, "pool_size": 2,
                "filters": [128], "blocks": [4], "dense_units": 50, "dropout": 0.0,
            },
            "training": {"batch_size": 32, "max_epochs": 2},
        },
        "few-products-only-trained": {
            "images": ["b40"],
            "network": {
                "stem_filters": 32, "stem_kernel": 5, "stem_stride": 2, "pool_size": 2,
                "filters": [128], "blocks": [4], "dense_units": 50, "dropout": 0.0,
            },
            "training": {"batch_size": 8, "max_epochs": 1},
        },
    },
    "samples_table": None,
}  # fmt: skip

ONLY_TRAINED = "-only-trained"
"""Ending of the names of estimators of which nothing but the training is measured."""

SAMPLE_EVENTS = {"small": 24_000, "large": 480_000}

MODELS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    # amounts that count for processor time, memory and size of the outputs
    "angular_coefficients": (("job",), ("job",), ("job",)),
    "generate_events": (("job", "events"), ("job", "chunk_events"), ("job", "events")),
    "ingest_events": (("job", "input_bytes"), ("job", "input_bytes"), ("job", "input_bytes")),
    "voxelize": (
        ("job", "events", "cells"),
        ("job", "chunk_events", "voxels"),
        ("job", "images", "voxels"),
    ),
    "train": (
        ("job", "element_passes", "multiply_accumulates", "parameters", "epochs",
         "parameter_epochs"),
        ("job", "shard_voxels", "batch_elements", "parameters"),
        ("job", "parameters"),
    ),
    "train_voxel_sum": (
        ("job", "voxels", "voxel_elements"),
        ("job", "shard_voxels", "batch_elements"),
        ("job", "parameters"),
    ),
    "evaluate": (
        ("job", "element_passes", "multiply_accumulates", "voxel_elements", "parameters"),
        ("job", "voxels", "batch_elements", "parameters"),
        ("job", "images"),
    ),
    "image_information": (("job", "convolutions"), ("job", "convolutions"), ("job",)),
    "prepare_estimator": (("job",), ("job",), ("job", "angular_likelihood_terms")),
    "evaluate_events": (
        ("job", "events", "likelihood_terms", "angular_likelihood_terms"),
        ("job", "chunk_events"),
        ("job", "images"),
    ),
    "summarize": (("job", "points", "predictions"), ("job", "predictions"), ("job", "points")),
    "measure": (
        ("job", "element_passes", "multiply_accumulates", "voxel_elements", "parameters",
         "predictions"),
        ("job", "batch_elements", "parameters"),
        ("job", "images"),
    ),
    "measure_events": (
        ("job", "events", "likelihood_terms", "angular_likelihood_terms", "predictions"),
        ("job", "chunk_events"),
        ("job", "images"),
    ),
    "plot_distributions": (("job", "events"), ("job", "events"), ("job",)),
    "plot_network": (("job", "parameters"), ("job", "parameters"), ("job",)),
    "plot_voxels": (("job", "drawn_voxels"), ("job", "voxels", "drawn_voxels"), ("job",)),
} | dict.fromkeys(
    (
        "plot_topology", "plot_training", "plot_histograms", "plot_linearity",
        "plot_linearity_unscaled", "plot_sensitivity", "plot_corner", "plot_information",
    ),
    (("job",), ("job",), ("job",)),
)  # fmt: skip

VOXEL_BYTES = 4 + 4 + 2
"""Of a voxel in memory, by the contract of a shard: index, mean q2, count."""

PASSES = ("element_passes", "multiply_accumulates")
"""Amounts that cost in a prediction what they cost in a training, which measures them better."""

TERMS = ("likelihood_terms", "angular_likelihood_terms")
"""Amounts that cost in a measurement what they cost in an evaluation, which tells it better."""

COMPILED = {"generate_events", "voxelize", "evaluate_events"}
"""Rules whose first job may have to compile code that all later ones find compiled."""

SAME_CODE = {"voxelize_sample": "voxelize"}
"""Rules that run another rule's command."""


def write_sample(path: Path, n_events: int) -> None:
    """A file of four-momenta: the shipped decays, one after the other, as often as needed."""
    import numpy as np
    import uproot

    with uproot.open(ROOT / "resources/evtgen/evtgen_btosllnpr_b0_dc9_-0.90.root") as file:
        columns = file["events"].arrays(library="np")
    rows = np.arange(n_events) % len(next(iter(columns.values())))
    with uproot.recreate(path) as file:
        file["events"] = {name: column[rows] for name, column in columns.items()}


def make_folder(folder: Path, values: Mapping[str, Any]) -> Path:
    """A folder to run a configuration in; returns the configuration's path."""
    import yaml

    for name in ("workflow", "Snakefile", "config", "resources", "envs"):
        (folder / name).symlink_to(ROOT / name)
    run = values["run"]
    if values.get("samples_table"):
        write_sample(folder / f"{run}.root", SAMPLE_EVENTS[run])
        (folder / f"{run}.tsv").write_text(f"sample\tpath\tflavour\nmine\t{run}.root\tB0\n")
    path = folder / f"{run}.yaml"
    path.write_text(yaml.safe_dump(dict(values), sort_keys=False))
    return path


def measure_configuration(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Run every job's command of a configuration; one row a job."""
    from wilsonvox.config.reading import load_configuration
    from wilsonvox.config.samples import measured_samples
    from wilsonvox.workflow.planning.jobs import planned
    from wilsonvox.workflow.status.engine import planned_jobs

    rows: list[dict[str, Any]] = []
    compiled: set[str] = set()
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = make_folder(folder, values)
        os.chdir(folder)
        try:
            configuration = load_configuration(path)
            expected = {
                job.outputs: job for job in planned(configuration, measured_samples(configuration))
            }
            for job in planned_jobs(ROOT / "Snakefile", [path]):
                if ONLY_TRAINED in "".join(job.outputs) and job.rule != "train":
                    continue
                if ONLY_TRAINED in "".join(job.inputs) and job.rule == "plot_sensitivity":
                    continue
                for output in job.outputs:
                    Path(output).parent.mkdir(parents=True, exist_ok=True)
                if job.rule in COMPILED and job.rule not in compiled:
                    measured(folder, job.command)  # the first one may have to compile
                    compiled.add(job.rule)
                costs = measured(folder, job.command)
                size = sum(Path(output).stat().st_size for output in job.outputs)
                amounts = dict(expected[tuple(job.outputs)].amounts)
                rows.append(
                    {"rule": job.rule, "job": job.name, "amounts": amounts, "output_bytes": size}
                    | costs
                )
                print(
                    f"{job.name:60} {costs['seconds']:7.2f} s "
                    f"{costs['memory_bytes'] / 2**20:6.0f} MiB {size:>11} B",
                    flush=True,
                )
        finally:
            os.chdir(before)
    return rows


GENERATED = (2_000_000, 10_000_000, 40_000_000)
"""Events of further files: a million takes 0.2 s, which is lost in the start of the small ones."""


def measure_generation() -> list[dict[str, Any]]:
    """Generate files of more events than a configuration of this size needs; one row each."""
    from wilsonvox.events.event_file import CHUNK

    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measured(folder, ["wilsonvox", "coefficients", "--out", "table.npz"])
        for n_events in GENERATED:
            words = ["--point", "c9_-0.90", "--seed", "1", "--coefficients", "table.npz"]
            words += ["--events", str(n_events), "--out", "events.root"]
            costs = measured(folder, ["wilsonvox", "generate", *words])
            amounts = {"job": 1, "events": n_events, "chunk_events": min(n_events, CHUNK)}
            size = (folder / "events.root").stat().st_size
            rows.append(
                {
                    "rule": "generate_events",
                    "job": f"generate_events {n_events}",
                    "amounts": amounts,
                    "output_bytes": size,
                }
                | costs
            )
            print(f"{rows[-1]['job']:60} {costs['seconds']:7.2f} s", flush=True)
    return rows


SUMMARIZED = ((5, 20), (5, 400), (25, 20), (25, 100))
"""Points and images of each, of further summaries."""


def measure_summaries() -> list[dict[str, Any]]:
    """Summarize tables of random predictions, of more points than those configurations have."""
    import numpy as np
    import pandas as pd

    from wilsonvox.ensembles.tables import PREDICTION_COLUMNS, TableMetadata, write_table
    from wilsonvox.provenance.recording import make_record
    from wilsonvox.theory.points import point_label
    from wilsonvox.voxels.specification import ImageSpecification

    rows, rng = [], np.random.default_rng(3)
    about = TableMetadata(
        estimator="any", image=ImageSpecification(), physics_inputs="evtgen-btosllnpr"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measured(folder, ["wilsonvox", "coefficients", "--out", "table.npz"])
        for n_points, n_images in SUMMARIZED:
            words = []
            for true in np.linspace(-2, 1, n_points).round(3):
                point = point_label({"c9": float(true)})
                frame = pd.DataFrame(
                    {
                        "point": point,
                        "split": "test",
                        "campaign": "000",
                        "image_index": np.arange(n_images),
                        "coefficient": "c9",
                        "true": true,
                        "predicted": rng.normal(true, 0.05, n_images),
                        "error": np.nan,
                    }
                )
                path = folder / f"{n_points}_{n_images}_{point}.parquet"
                record = make_record("evaluate", path.name, {})
                write_table(path, frame, PREDICTION_COLUMNS, about, record)
                words += ["--predictions", path.name]
            words += ["--coefficients", "table.npz", "--out", "out.parquet", "--csv", "out.csv"]
            costs = measured(folder, ["wilsonvox", "summarize", *words])
            size = sum((folder / each).stat().st_size for each in ("out.parquet", "out.csv"))
            rows.append(
                {
                    "rule": "summarize",
                    "job": f"summarize {n_points} points of {n_images} images",
                    "amounts": {
                        "job": 1,
                        "points": n_points,
                        "predictions": n_points * n_images,
                    },
                    "output_bytes": size,
                }
                | costs
            )
            print(f"{rows[-1]['job']:60} {costs['seconds']:7.2f} s", flush=True)
    return rows


def measure_snakemake() -> list[dict[str, float]]:
    """What Snakemake itself takes for runs of two sizes, of jobs that last seconds."""
    rows = []
    for n_campaigns in (1, 12):
        values = {
            "run": "many",
            "seed": 13,
            "points": [
                {
                    "shifts": {"c9": [-2.0, 0.0]},
                    "n_images": {"train": n_campaigns, "validation": 1, "test": 1},
                }
            ],
            "images_per_campaign": {"train": 1},
            "images": {"b4": {"bins": 4, "events_per_image": 100}},
            "estimators": {"any": {"images": ["b4"]}},
            "samples_table": None,
        }
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            path = make_folder(folder, values)
            costs = measured(
                folder,
                [
                    "snakemake", "--profile", str(ROOT / "profiles/local"), "--cores", "1",
                    "--configfile", str(path), "--", "events",
                ],
            )  # fmt: skip
            notes = [p.stat().st_size for p in (folder / ".snakemake/metadata").rglob("*")
                     if p.is_file()]  # fmt: skip
            times = [p.stat().st_size for p in (folder / "results/many/benchmarks").rglob("*.tsv")]
            costs |= {
                "jobs": len(times),
                "metadata_bytes": sum(notes) / len(notes),
                "benchmark_bytes": sum(times) / len(times),
            }
        rows.append(costs)
        print(costs, flush=True)
    return rows


# ---------------------------------------------------------------- fit


def fit(
    rows: Iterable[Mapping[str, Any]],
    cost: str,
    names: Sequence[str],
    known: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Rates, none of them negative, with the least relative squares of what was measured.

    Args:
        rows: of one rule.
        cost: seconds, memory_bytes or output_bytes.
        names: amounts that it depends on.
        known: rates of some of them that are not fitted.
    """
    import numpy as np
    from scipy.optimize import nnls

    chosen, known = list(rows), known or {}
    found = np.array([row[cost] for row in chosen], dtype=float)
    amounts = {name: np.array([row["amounts"][name] for row in chosen]) for name in names}
    given = sum((rate * amounts[name] for name, rate in known.items()), np.zeros(len(found)))
    free = [name for name in names if name not in known]
    matrix = np.stack([amounts[name] for name in free], axis=1).astype(float)
    scale = matrix.max(axis=0)
    solution, _ = nnls(matrix / scale / found[:, None], 1 - given / found)
    ratio = (matrix / scale @ solution + given) / found
    rates = dict(zip(free, solution / scale, strict=True)) | known
    return {
        "per": {name: float(f"{rates[name]:.4g}") for name in names if rates[name] > 0},
        "factor": round(float(max(ratio.max(), 1 / ratio.min())), 3),
    }


def processor() -> str:
    """Name of the processor."""
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return found[1].strip() if found else platform.machine()


def rates_of(measurements: Mapping[str, Any]) -> dict[str, Any]:
    """The content of rates.json, of measured rows."""
    rows: list[dict[str, Any]] = measurements["jobs"]
    rules: dict[str, Any] = {}
    for rule, models in MODELS.items():
        of_rule = [row for row in rows if SAME_CODE.get(row["rule"], row["rule"]) == rule]
        passes = rules.get("train", {}).get("seconds", {}).get("per", {})
        fits = rules.get("evaluate_events", {}).get("seconds", {}).get("per", {})
        known = {
            "seconds": {name: passes[name] for name in PASSES if name in passes}
            | {name: fits[name] for name in TERMS if name in fits},
            "memory_bytes": {"voxels": VOXEL_BYTES, "shard_voxels": VOXEL_BYTES},
        }
        rules[rule] = {
            cost: fit(
                of_rule,
                cost,
                names,
                # images, or a shard of them, that are held as they are in the files
                {name: rate for name, rate in known.get(cost, {}).items() if name in names}
                if rule in ("train", "evaluate", "measure", "measure_events")
                else None,
            )
            for cost, names in zip(("seconds", "memory_bytes", "output_bytes"), models, strict=True)
        }
    rules |= {rule: rules[other] for rule, other in SAME_CODE.items()}
    few, many = measurements["snakemake"]
    each = (many["seconds"] - few["seconds"]) / (many["jobs"] - few["jobs"])
    return {
        "measured_on": measurements["measured_on"],
        "rules": rules,
        "snakemake": {
            "run_seconds": round(few["seconds"] - each * few["jobs"], 3),
            "job_seconds": round(each, 4),
            "memory_bytes": many["memory_bytes"],
            "log_bytes": round(sum(row["log_bytes"] for row in rows) / len(rows)),
            "benchmark_bytes": round(many["benchmark_bytes"]),
            "metadata_bytes": round(many["metadata_bytes"]),
        },
    }


def main() -> int:
    """Measure, fit and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=Path, help="keep what was measured in this file")
    parser.add_argument("--fit", type=Path, help="measure nothing, fit what is in this file")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "workflow/src/wilsonvox/workflow/planning/rates.json"
    )
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        return measure_this_process(given.measure, given.words)
    if given.fit:
        measurements = json.loads(given.fit.read_text())
    else:
        packages = ("keras", "numba", "numpy", "snakemake", "tensorflow-cpu", "uproot")
        measurements = {
            "measured_on": {
                "processor": processor(),
                "cores": os.cpu_count(),
                "date": time.strftime("%Y-%m-%d"),
                "packages": {name: importlib.metadata.version(name) for name in packages}
                | {"python": platform.python_version()},
            },
            "snakemake": measure_snakemake(),
            "jobs": [
                row for values in (SMALL, LARGE, TRAININGS) for row in measure_configuration(values)
            ]
            + measure_generation()
            + measure_summaries(),
        }
        if given.rows:
            given.rows.write_text(json.dumps(measurements, indent=1))
    given.out.write_text(json.dumps(rates_of(measurements), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
