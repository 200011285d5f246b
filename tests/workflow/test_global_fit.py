"""The target global_fit: jobs, reruns after edits, and separation from the default target.

A small run is in test_global_fit_learning.py.
"""

import copy
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from wilsonvox.cli import run
from wilsonvox.config.global_fit import check_global_fit
from wilsonvox.config.reading import parse_configuration
from wilsonvox.core.errors import UserError
from wilsonvox.stages import targets
from wilsonvox.stages.figures import GLOBAL_FIT_FIGURE_STAGES
from wilsonvox.stages.global_fit import GLOBAL_FIT_STAGES
from wilsonvox.stages.run import Run
from wilsonvox.workflow.job_digest import JobDigests

from .conftest import ROOT, Folder, by_rule

SHIPPED = yaml.safe_load((ROOT / "config/global-fit.yaml").read_text())
OF_FITS = {"tabulate_observables", "fit_coefficients", "measure_for_global_fit"}
LEARNING = {"networks", "gans"}

Values = dict[str, Any]


def reduced(change: Callable[[Values], object] | None = None) -> Values:
    """Return the shipped configuration without networks and GANs, modified by `change`."""
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
    source = ROOT / "workflow/src/wilsonvox/global_fit/data/lhcb-2022.yaml"
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
        ({"observables": ["lhcb-2016"]}, "lhcb-2016: no such set of observables; choose one"),
        ({"observables": ["none.yaml"]}, "none.yaml: does not exist; expected a set of measure"),
        ({"versions": ["best"]}, r"global_fit\.versions\.0: Input should be 'experimental'"),
        ({"theory_drawings": 3}, "theory_drawings: unknown key; did you mean 'theory_draws'"),
        ({"observables": ["lhcb-2015", "x/lhcb-2015.yaml"]}, "lhcb-2015 is duplicated"),
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
def test_errors_are_one_line(monkeypatch, change, message):
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError, match=message) as error:
        check_global_fit(
            parse_configuration(reduced(lambda v: v["global_fit"].update(change))).global_fit
        )
    assert "\n" not in str(error.value)


def test_errors_are_reported_before_anything_runs(folder):
    name = write(folder, reduced(lambda v: v["global_fit"].update(observables=["lhcb-2016"])))
    ended = folder.snakemake("-n", "global_fit", "--configfile", name)
    assert ended.returncode == 1
    assert "lhcb-2016: no such set of observables" in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr


def test_the_default_target_names_the_target_to_use(folder):
    ended = folder.snakemake("-n", "--configfile", write(folder, reduced()))
    assert ended.returncode == 1
    assert "the configuration has a global fit alone; ask for it: snakemake global_fit" in (
        ended.stdout + ended.stderr
    )


def test_a_global_fit_adds_nothing_to_a_run(folder):
    before = by_rule(folder.planned("tiny.yaml"))
    folder.configure(lambda values: values.update(global_fit=reduced()["global_fit"]))
    assert by_rule(folder.planned("tiny.yaml")) == before
    jobs = by_rule(folder.planned("tiny.yaml", targets=("global_fit",)))
    assert jobs["fit_coefficients"] == 18


def fit_results(configuration: Values) -> set[str]:
    """Return the outputs of the fit of a configuration."""
    parsed = parse_configuration(configuration)
    assert parsed.global_fit is not None
    return {f"results/{parsed.run}/{path}" for path in targets.global_fit_files(Run(parsed, {}))}


def with_fit(values: Values) -> None:
    """Add a global fit to the tiny configuration."""
    values.update(global_fit=reduced()["global_fit"])


def test_every_rule_of_a_fit_makes_results_that_are_reported_and_packed(folder):
    """The shipped configuration has networks and GANs of all kinds."""
    jobs = folder.planned("config/global-fit.yaml", targets=("global_fit",))
    assert set(by_rule(jobs)) == {*GLOBAL_FIT_STAGES, *GLOBAL_FIT_FIGURE_STAGES}
    made = {path for job in jobs for path in job.outputs if job.rule != "tabulate_observables"}
    assert fit_results(SHIPPED) == made


def test_a_global_fit_alone_is_reported_and_packed(folder):
    name = write(folder, reduced())
    fit = by_rule(folder.planned(name, targets=("global_fit",)))
    assert by_rule(folder.planned(name, targets=("reported",))) == fit
    jobs = folder.planned(name, targets=("run_crate",))
    packing = ("report_pages", "write_configuration", "write_report", "run_crate")
    assert by_rule(jobs) == fit + Counter(packing)
    by_name = {job.rule: job for job in jobs}
    results = fit_results(reduced())
    for rule in ("report_pages", "write_report", "run_crate"):
        assert results <= set(by_name[rule].inputs)
    pages = {Path(path).stem for path in by_name["report_pages"].outputs}
    assert pages == {"configuration", "global_fit", "runtimes"}
    assert "config/samples.tsv" not in by_name["run_crate"].inputs


def test_beside_images_report_and_crate_have_the_fit_once_it_is_there(folder):
    everything = by_rule(folder.planned("tiny.yaml"))
    folder.configure(with_fit)
    results = fit_results(yaml.safe_load((folder.path / "tiny.yaml").read_text()))
    assert by_rule(folder.planned("tiny.yaml", targets=("reported",))) == everything

    def inputs_of_packing() -> list[set[str]]:
        jobs = folder.planned("tiny.yaml", targets=("run_crate",))
        # no job of the fit runs
        assert set(by_rule(jobs)) - set(everything) == {
            "report_pages", "write_configuration", "write_report", "run_crate",
        }  # fmt: skip
        (pages,) = (job for job in jobs if job.rule == "report_pages")
        assert {Path(path).stem for path in pages.outputs} == {
            "configuration", "summary", "measurements", "global_fit", "runtimes",
        }  # fmt: skip
        return [set(job.inputs) for job in jobs if job.rule in ("report_pages", "run_crate")]

    assert all(not results & inputs for inputs in inputs_of_packing())
    for path in sorted(results, reverse=True):  # figures last, so that none is older than its fits
        (folder.path / path).parent.mkdir(parents=True, exist_ok=True)
        (folder.path / path).write_text("made")
    assert all(results < inputs for inputs in inputs_of_packing())
    (folder.path / min(results)).unlink()
    assert all(not results & inputs for inputs in inputs_of_packing())


def test_the_status_of_a_fit_counts_its_jobs(folder, monkeypatch, capsys):
    for name in ("Snakefile", "workflow", "profiles"):
        (folder.path / name).symlink_to(ROOT / name)
    name = write(folder, reduced())
    monkeypatch.chdir(folder.path)
    assert run(["status", "--configfile", name, "--target", "global_fit"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "results/global-fit: 25 of 25 jobs have to run:"
    assert lines[-1].endswith(f" global_fit --profile profiles/local --configfile {name}")


def digests(change: Callable[[Values], object] | None = None) -> dict[str, str]:
    """The lineage of every rule of the fit."""
    lineage = JobDigests(Run(parse_configuration(reduced(change)), {}))
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
