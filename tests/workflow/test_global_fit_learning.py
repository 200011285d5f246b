"""Networks and GANs of the target global_fit: jobs, reruns after edits, and a small run."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.helpers.crate_validation import ACCEPTED, findings
from wilsonvox.config.reading import parse_configuration
from wilsonvox.core.errors import UserError
from wilsonvox.global_fit.learning.results import GanResult, NetworkResult
from wilsonvox.records.embedded import read_record
from wilsonvox.stages.run import Run
from wilsonvox.workflow.job_digest import JobDigests

from .conftest import ROOT, Folder, by_rule, make_report

SHIPPED = yaml.safe_load((ROOT / "config/global-fit.yaml").read_text())
SMALL = {
    "networks": {
        "point": {
            "training_set": {"values_per_coefficient": 8},
            "network": {"starts": 1, "max_epochs": 2},
        },
        "density": {
            "training_set": {"values_per_coefficient": 8},
            "network": {
                "smeared": True, "output": "mixture", "smeared_points": 512, "max_epochs": 2,
                "starts": 2,
            },
        },
    },
    "gans": {
        "images": {
            "training_set": {"values_per_coefficient": 8},
            "gan": {
                "architecture": "convolutional", "batch_size": 32, "epochs": 1, "samples": 100,
                "starts": 1,
            },
        }
    },
}  # fmt: skip

Values = dict[str, Any]


def small(change: Callable[[Values], object] | None = None) -> Values:
    """Return a configuration with one set, one χ², no polynomials and small networks and GANs."""
    values = copy.deepcopy(SHIPPED)
    values["global_fit"] = {
        "observables": ["lhcb-2015", "lhcb-2022"], "versions": ["experimental"],
        "hadronic": ["none"], "theory_draws": 100, **copy.deepcopy(SMALL),
    }  # fmt: skip
    if change is not None:
        change(values)
    return values


def write(folder: Folder, values: Values) -> str:
    (folder.path / "fit.yaml").write_text(yaml.safe_dump(values))
    return "fit.yaml"


def test_the_papers_machines_and_what_beats_them_are_trained(folder):
    jobs = folder.planned("config/global-fit.yaml", targets=("global_fit",))
    rules = by_rule(jobs)
    assert rules["train_inverse_network"] == rules["plot_global_fit_network"] == 5
    assert rules["train_gan"] == rules["plot_global_fit_gan"] == 5
    assert rules["plot_global_fit_images"] == rules["plot_global_fit_posterior"] == 1
    assert rules["plot_global_fit_best_sample"] == 10
    words = {
        job.wildcards.split("/")[-1]: " ".join(job.command)
        for job in jobs
        if job.rule in ("train_inverse_network", "train_gan")
    }
    # only the first set is learned, with ten starts each
    assert all("/lhcb-2015/" in text for text in words.values())
    assert all("--starts 10" in text for text in words.values())
    assert "--hidden-units 2 " in words["network-1"]
    assert "--values-per-coefficient 50" in words["network-1"]
    for name in ("network-2", "gan-2", "gan-4"):
        assert (
            "--values-per-coefficient 10 --hadronic independent --hadronic-draws 100"
            in (words[name])
        )
    assert "--smeared true" in words["mixture"]
    assert "--output mixture" in words["mixture"]
    assert "--conditional true" in words["gan-conditional"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda v: v["global_fit"]["networks"]["density"].update(version="correlated"),
            r"networks\.density: its density is compared with .* add correlated to versions",
        ),
        (
            lambda v: v["global_fit"]["networks"]["point"]["network"].update(output="mixture"),
            "a mixture needs smeared predictions",
        ),
        (
            lambda v: v["global_fit"]["gans"]["images"]["gan"].update(epoch=3),
            "did you mean 'epochs'",
        ),
        (
            lambda v: v["global_fit"]["networks"]["point"]["training_set"].update(c9_rang=3),
            "did you mean 'c9_range'",
        ),
        (lambda v: v["global_fit"]["gans"].update({"a/b": {}}), "a/b"),
        (
            lambda v: v["global_fit"]["gans"].update({"point": {}}),
            r"gans\.point: a network has the same name; rename one of them",
        ),
    ],
)
def test_errors_are_one_line(change, message):
    with pytest.raises(UserError, match=message) as error:
        parse_configuration(small(change))
    assert "\n" not in str(error.value)


def digests(change: Callable[[Values], object] | None = None) -> dict[str, str]:
    """The lineage of every rule of the machines."""
    lineage = JobDigests(Run(parse_configuration(small(change)), {}))
    name = {"observables": "lhcb-2015"}
    return {
        "point": lineage.digest("train_inverse_network", **name, machine="point"),
        "density": lineage.digest("train_inverse_network", **name, machine="density"),
        "images": lineage.digest("train_gan", **name, machine="images"),
        "best answer": lineage.digest("plot_global_fit_best_sample", **name, machine="point"),
        "best sample": lineage.digest("plot_global_fit_best_sample", **name, machine="images"),
        "losses": lineage.digest("plot_global_fit_network", **name, machine="point"),
        "posterior": lineage.digest("plot_global_fit_posterior", **name, machine="density"),
        "history": lineage.digest("plot_global_fit_gan", **name, machine="images"),
        "pixels": lineage.digest("plot_global_fit_images", **name, machine="images"),
        "training_sets": lineage.digest("plot_global_fit_training_sets", **name),
        "contours": lineage.digest("plot_global_fit_contours", **name),
        "other contours": lineage.digest("plot_global_fit_contours", observables="lhcb-2022"),
    }


ALL_MACHINES = set(digests()) - {"other contours"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda v: v["global_fit"]["networks"]["point"]["network"].update(max_epochs=3),
         {"point", "best answer", "losses", "training_sets", "contours"}),
        (lambda v: v["global_fit"]["networks"]["density"]["network"].update(components=2),
         {"density", "posterior", "training_sets", "contours"}),
        (lambda v: v["global_fit"]["gans"]["images"]["training_set"].update(hadronic_draws=2),
         {"images", "best sample", "history", "pixels", "training_sets", "contours"}),
        (lambda v: v["global_fit"]["gans"].update(more={}), {"training_sets", "contours"}),
        (lambda v: v["global_fit"].update(levels=[0.9]),
         {"posterior", "contours", "other contours"}),
        (lambda v: v.update(seed=4), {*ALL_MACHINES, "other contours"}),
        (lambda v: v.update(run="other"), set()),
    ],
)  # fmt: skip
def test_an_edit_runs_again_what_it_affects(change, expected):
    before, after = digests(), digests(change)
    assert {name for name in before if before[name] != after[name]} == expected


@pytest.mark.slow
def test_small_machines_run_and_are_reported_and_nothing_is_left_to_do(folder, tmp_path):
    shown = {"measurement": SHIPPED["global_fit"]["measurement"], "observables": ["lhcb-2015"]}
    name = write(folder, small(lambda v: v["global_fit"].update(shown)))
    words = ("--profile", ROOT / "profiles/local", "--cores", "1", "--configfile", name)
    run = folder.snakemake("global_fit", *words)
    assert run.returncode == 0, run.stdout + run.stderr
    results = folder.path / "results/global-fit"
    answers = results / "global_fit/lhcb-2015"
    density = NetworkResult.load(answers / "networks/density.json")
    assert density.posterior is not None
    gan = GanResult.load(answers / "gans/images.json")
    assert gan.images is not None
    for machine, figures in (
        ("point", ["best_sample", "losses"]), ("density", ["losses", "posterior"]),
        ("images", ["best_sample", "training", "images"]), (".", ["training_sets", "contours"]),
    ):  # fmt: skip
        for figure in figures:
            path = results / f"figures/global_fit/lhcb-2015/{machine}/{figure}.png"
            assert read_record(path).inputs
    # no job is left, and no file is reported as left over
    assert folder.planned(name, targets=("global_fit",)) == []
    table = results / "global_fit/lhcb-2015/predictions.npz"
    fit = results / "global_fit/lhcb-2015/fits/experimental_none.json"
    for path in (fit, answers / "gans/images.json"):
        assert read_record(path).inputs[0].content_digest == read_record(table).content_digest
    made = make_report(folder, name)
    assert made.returncode == 0, made.stdout + made.stderr
    html = (results / "report.html").read_text()
    for path in [*results.glob("figures/**/*.png"), *results.glob("report/*.html")]:
        assert f'"name": "{path.name}"' in html
    assert len(list(results.glob("report/*.html"))) == 3
    packed = folder.snakemake(*words, "--", "run_crate")
    assert packed.returncode == 0, packed.stdout + packed.stderr
    found = findings(results / "global-fit.crate.zip", tmp_path / "cache")
    assert set(found) <= ACCEPTED
