"""The target global_fit: its jobs, what an edit runs again, and how it stands apart.

A small run of all of it is in test_global_fit_learning.py.
"""

import copy
import shutil
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from wilsonvox.config import check_global_fit, parse_configuration
from wilsonvox.errors import UserError
from wilsonvox.lineage import Lineage

from .conftest import ROOT, Folder, by_rule

SHIPPED = yaml.safe_load((ROOT / "config/global-fit.yaml").read_text())
OF_FITS = {"tabulate_observables", "fit_coefficients", "measure_for_global_fit"}
LEARNING = {"networks", "gans"}

Values = dict[str, Any]


def reduced(change: Callable[[Values], object] | None = None) -> Values:
    """The shipped configuration without learning machines, after `change` was applied to it."""
    values = copy.deepcopy(SHIPPED)
    values["global_fit"] = {
        name: value for name, value in values["global_fit"].items() if name not in LEARNING
    }
    if change is not None:
        change(values)
    return values


def write(folder: Folder, values: Values) -> str:
    (folder.path / "fit.yaml").write_text(yaml.safe_dump(values))
    return "fit.yaml"


def test_every_version_and_polynomial_of_every_set_is_fitted(folder):
    jobs = folder.planned(write(folder, reduced()), targets=("global_fit",))
    assert by_rule(jobs) == {
        "tabulate_observables": 2,
        "fit_coefficients": 2 * 3 * 3,
        "measure_for_global_fit": 1,
        "plot_global_fit_observables": 2,
        "plot_global_fit_contours": 2,
    }
    words = [" ".join(job.command) for job in jobs if job.rule == "fit_coefficients"]
    assert all("--level 0.68 --level 0.95 --point -0.92 0.1" in text for text in words)
    ranges = {text.split("--hadronic ")[1].split()[0]: "--half-widths" in text for text in words}
    assert ranges == {"none": False, "independent": True, "shared": True}
    figure = next(job for job in jobs if job.rule == "plot_global_fit_contours")
    words = list(figure.command)
    assert words.count("--fit") == 9
    shown = words[words.index("--measurement") + 1]
    assert shown == "results/global-fit/global_fit/measurement.json"


def test_the_shipped_configuration_needs_its_learning_machines_too(folder):
    jobs = by_rule(folder.planned("config/global-fit.yaml", targets=("global_fit",)))
    assert jobs["fit_coefficients"] == 18
    assert set(jobs) > OF_FITS


def test_a_set_in_a_file_is_an_input(folder):
    source = ROOT / "workflow/src/wilsonvox/globalfit/data/lhcb-2022.yaml"
    shutil.copy(source, folder.path / "mine.yaml")
    name = write(folder, reduced(lambda v: v["global_fit"].update(observables=["mine.yaml"])))
    (table,) = (
        job for job in folder.planned(name, targets=("global_fit",))
        if job.rule == "tabulate_observables"
    )  # fmt: skip
    assert table.wildcards == "mine"
    assert "--observables mine.yaml " in " ".join(table.command)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"observables": ["lhcb-2016"]}, "lhcb-2016: there is no such set of observables; there"),
        ({"observables": ["none.yaml"]}, "none.yaml: does not exist; expected a set of measure"),
        ({"versions": ["best"]}, r"global_fit\.versions\.0: Input should be 'experimental'"),
        ({"theory_drawings": 3}, "theory_drawings: unknown key; did you mean 'theory_draws'"),
        ({"observables": ["lhcb-2015", "x/lhcb-2015.yaml"]}, "lhcb-2015 stands there twice"),
        (
            {"measurement": {"run": "results/none", "events": "config/samples.tsv"}},
            "global_fit.measurement.run: there is no estimator in results/none that reads images",
        ),
        (
            {"measurement": {"run": "resources/estimators/voxel-sum", "events": "none.root"}},
            "global_fit.measurement.events: there is no file none.root",
        ),
    ],
)
def test_what_is_wrong_is_told_in_one_line(monkeypatch, change, message):
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError, match=message) as error:
        check_global_fit(
            parse_configuration(reduced(lambda v: v["global_fit"].update(change))).global_fit
        )
    assert "\n" not in str(error.value)


def test_what_is_wrong_is_told_before_anything_runs(folder):
    name = write(folder, reduced(lambda v: v["global_fit"].update(observables=["lhcb-2016"])))
    run = folder.snakemake("-n", "global_fit", "--configfile", name)
    assert run.returncode == 1
    assert "lhcb-2016: there is no such set of observables" in run.stdout + run.stderr
    assert "Traceback" not in run.stdout + run.stderr


def test_the_default_target_says_which_one_to_ask_for(folder):
    run = folder.snakemake("-n", "--configfile", write(folder, reduced()))
    assert run.returncode == 1
    assert "the configuration has a global fit alone; ask for it: snakemake global_fit" in (
        run.stdout + run.stderr
    )


def test_a_global_fit_adds_nothing_to_a_run(folder):
    before = by_rule(folder.planned("tiny.yaml"))
    folder.configure(lambda values: values.update(global_fit=reduced()["global_fit"]))
    assert by_rule(folder.planned("tiny.yaml")) == before
    jobs = by_rule(folder.planned("tiny.yaml", targets=("global_fit",)))
    assert jobs["fit_coefficients"] == 18


def digests(change: Callable[[Values], object] | None = None) -> dict[str, str]:
    """The lineage of every rule of the fit."""
    lineage = Lineage(parse_configuration(reduced(change)), {})
    name = {"observables": "lhcb-2015"}
    fit = {"version": "correlated"}
    return {
        "table": lineage.digest("tabulate_observables", **name),
        "plain": lineage.digest("fit_coefficients", **name, **fit, hadronic="none"),
        "shared": lineage.digest("fit_coefficients", **name, **fit, hadronic="shared"),
        "measurement": lineage.digest("measure_for_global_fit"),
        "observables": lineage.digest("plot_global_fit_observables", **name),
        "contours": lineage.digest("plot_global_fit_contours", **name),
    }


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda v: v.update(seed=4),
         {"table", "plain", "shared", "observables", "contours"}),
        (lambda v: v["global_fit"].update(theory_draws=500),
         {"table", "plain", "shared", "observables", "contours"}),
        (lambda v: v["global_fit"].update(levels=[0.9]),
         {"plain", "shared", "observables", "contours"}),
        (lambda v: v["global_fit"].update(half_widths=[0.1, 1e-3, 1e-4]), {"shared", "contours"}),
        (lambda v: v["global_fit"]["measurement"].update(flavour="B0"),
         {"measurement", "contours"}),
        (lambda v: v["global_fit"].update(hadronic=["none"]), {"contours"}),
        (lambda v: v["global_fit"].update(observables=["lhcb-2015"]), set()),
        (lambda v: v.update(run="other"), set()),
    ],
)  # fmt: skip
def test_an_edit_runs_again_what_it_affects(change, expected):
    before, after = digests(), digests(change)
    assert {name for name in before if before[name] != after[name]} == expected
