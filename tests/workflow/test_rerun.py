"""Reruns after edits: the tables of docs/user_guide/reruns.md, with the real DAG.

Every edit is planned twice, by Snakemake and by `wilsonvox status`, which uses the records in the
outputs. Both must give exactly the same jobs.
"""

import copy
import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from wilsonvox.ensembles.tables import SUMMARY_COLUMNS, read_table
from wilsonvox.provenance import code
from wilsonvox.provenance.audit import Verdict, judge_all
from wilsonvox.provenance.code import SourceTree, installed_tree
from wilsonvox.provenance.digest_cache import DigestCache
from wilsonvox.provenance.environment import environment_problem, lock_file
from wilsonvox.provenance.lineage_graph import LineageGraph
from wilsonvox.records.embedded import read_record
from wilsonvox.workflow import started
from wilsonvox.workflow.status.engine import DEFAULT_CHECKSUM_SIZE, checksum_size, planned_jobs
from wilsonvox.workflow.status.report import Status, lines
from wilsonvox.workflow.status.staleness import Need, classify_jobs

from .conftest import ROOT, Folder

PROFILE = checksum_size(ROOT / "profiles/local")
TESTED = ["c9_-2.00", "c9_+0.00", "c9_-1.00"]
IMAGE, ESTIMATOR, FIT = "b8_n300", "b8_n300/tiny", "b8_n300/likelihood"

CAMPAIGNS = {
    *(f"{split}/{point}/000" for split in ("train", "validation", "test") for point in TESTED),
    "train/c9_-1.00/001",
    "interpolation/c9_-0.50/000",
}
EVENTS = {("generate_events", name) for name in CAMPAIGNS}
SHARDS = {("voxelize", f"{IMAGE}/{name}") for name in CAMPAIGNS}
SAMPLE = {("ingest_events", "ntuple"), ("voxelize_sample", f"{IMAGE}/ntuple")}
EVALUATIONS = {("evaluate", f"{ESTIMATOR}/test/{point}") for point in TESTED} | {
    ("evaluate", f"{ESTIMATOR}/interpolation/c9_-0.50")
}
SUMMARY = {
    ("summarize", ESTIMATOR),
    ("measure", f"{ESTIMATOR}/ntuple"),
    ("plot_linearity", ESTIMATOR),
    ("plot_linearity_unscaled", ESTIMATOR),
    ("plot_sensitivity", IMAGE),
}
FIT_EVALUATIONS = {("evaluate_events", f"{FIT}/test/{point}") for point in TESTED} | {
    ("evaluate_events", f"{FIT}/interpolation/c9_-0.50")
}
FIT_SUMMARY = {
    ("summarize", FIT),
    ("measure_events", f"{FIT}/ntuple"),
    ("plot_linearity", FIT),
    ("plot_linearity_unscaled", FIT),
    ("plot_sensitivity", IMAGE),
}
FITTED = {("plot_histograms", FIT), *FIT_EVALUATIONS, *FIT_SUMMARY}
FITTING = {("prepare_estimator", FIT), *FITTED}
TRAINING = {
    ("train", ESTIMATOR),
    ("plot_network", ESTIMATOR),
    ("plot_training", ESTIMATOR),
    ("plot_histograms", ESTIMATOR),
    *EVALUATIONS,
    *SUMMARY,
}
INFORMATION = {("image_information", IMAGE), ("plot_information", IMAGE)}
FIGURES = {
    ("plot_topology", ""),
    ("plot_distributions", ""),
    ("plot_voxels", IMAGE),
    ("plot_information", IMAGE),
    *((rule, place) for rule, place in TRAINING | FITTING if rule.startswith("plot")),
}
OF_IMAGES = {
    ("voxelize_sample", f"{IMAGE}/ntuple"),
    ("plot_voxels", IMAGE),
    *SHARDS,
    *TRAINING,
    *FITTING,
    *INFORMATION,
}
OF_EVENTS = {
    ("plot_distributions", ""),
    ("plot_voxels", IMAGE),
    *EVENTS,
    *SHARDS,
    *TRAINING,
    *FITTED,
}
OF_MODEL = {
    ("angular_coefficients", ""),
    ("prepare_estimator", FIT),
    *INFORMATION,
    *OF_EVENTS,
}
EVERYTHING = {*OF_MODEL, *SAMPLE, ("plot_topology", "")}

Jobs = set[tuple[str, str]]


@dataclass
class Plan:
    """Jobs that would run, according to Snakemake and to the outputs."""

    snakemake: Jobs
    truth: Jobs
    status: Status = field(repr=False)
    lines: list[str] = field(repr=False)
    repairs: list[str] = field(repr=False)


def make_plan(folder: Folder, checksum_bytes: int = PROFILE, name: str = "tiny.yaml") -> Plan:
    before = Path.cwd()
    os.chdir(folder.path)
    try:
        configuration = Path(name)
        jobs = planned_jobs(ROOT / "Snakefile", [configuration], checksum_bytes=checksum_bytes)
        states = classify_jobs(jobs, DigestCache(None))
        run = Path(jobs[0].outputs[0]).parents[1]
        words = ["snakemake", "--profile", str(ROOT / "profiles/local"), "--configfile", name]
        status = Status(states, Path(*run.parts[:2]), tuple(words))
        return Plan(
            {(job.rule, job.wildcards) for job in jobs if job.would_run},
            {(s.job.rule, s.job.wildcards) for s in states.values() if s.need is not Need.NO},
            status,
            list(lines(status)),
            status.repairs(),
        )
    finally:
        os.chdir(before)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Edit a copy of the package or of the lock file, and use it for all digests."""
    tree = tmp_path / "src"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "workflow/src", tree, ignore=ignored)
    lock = tmp_path / "requirements.lock"
    found = lock_file()
    assert found is not None
    shutil.copy(found, lock)

    def edit(path: str = "", pattern: str = "", replacement: str = "", append: str = "") -> None:
        files = sorted((tree / "wilsonvox").glob(path)) if path else [lock]
        assert files
        for file in files:
            text = file.read_text()
            changed = re.sub(pattern, replacement, text, count=1) if pattern else text
            assert changed + append != text, f"{pattern} is not in {file}"
            file.write_text(changed + append)
        edited = SourceTree(tree, lock)
        # the code that the run started with stays that of the checkout
        monkeypatch.setattr(started, "installed_tree", installed_tree)
        monkeypatch.setattr(code, "installed_tree", lambda: edited)

    return edit


def assert_plan(plan: Plan, expected: Jobs) -> None:
    for found in (plan.snakemake, plan.truth):
        assert found - expected == set(), "too many"
        assert expected - found == set(), "too few"


def more_points(values: dict[str, Any], split: str, value: float) -> None:
    values["points"].append({"shifts": {"c9": [value]}, "n_images": {split: 10}})


def one_more_campaign(values: dict[str, Any]) -> None:
    second = copy.deepcopy(values["points"][0])
    values["points"][0]["shifts"]["c9"] = [-2.0]
    second["shifts"]["c9"] = [0.0]
    second["n_images"]["train"] = 24
    values["points"].insert(1, second)


def one_more_estimator(values: dict[str, Any]) -> None:
    other = copy.deepcopy(values["estimators"]["tiny"])
    other["network"]["dense_units"] = 5
    values["estimators"]["other"] = other


def one_more_fit(values: dict[str, Any]) -> None:
    # coarse, because it is only planned
    bins = {"q2_bins_gev2": [[1.0, 6.0], [15.0, 19.0]]}
    values["estimators"]["other"] = {
        "architecture": "angular-likelihood",
        "images": [IMAGE],
    } | bins


def numbers_in_the_documentation() -> dict[str, int]:
    """Return the number of jobs per edit in the first table of docs/user_guide/reruns.md."""
    text = (ROOT / "docs/user_guide/reruns.md").read_text()
    rows = re.findall(r"(?m)^\| (.+?) \| .+ \| (\d+) \|$", text)
    return {edit: int(number) for edit, number in rows}


def of_new_point(split: str, point: str) -> Jobs:
    return {
        ("generate_events", f"{split}/{point}/000"),
        ("voxelize", f"{IMAGE}/{split}/{point}/000"),
        ("evaluate", f"{ESTIMATOR}/{split}/{point}"),
        ("evaluate_events", f"{FIT}/{split}/{point}"),
        *SUMMARY,
        *FIT_SUMMARY,
    }


def of_other_estimator(jobs: Jobs) -> Jobs:
    """Return the same jobs for another estimator."""
    renamed = {
        (rule, place.replace(ESTIMATOR, "b8_n300/other").replace(FIT, "b8_n300/other"))
        for rule, place in jobs
    }
    return renamed | {("plot_sensitivity", IMAGE)}


WITHOUT_TRAINED_POINT = {
    job for job in TRAINING if "c9_-1.00" not in job[1]
} | FIT_SUMMARY  # its evaluations are no longer jobs

LINEARITIES = {
    (rule, place)
    for rule in ("plot_linearity", "plot_linearity_unscaled")
    for place in (ESTIMATOR, FIT)
}

CONFIGURATION: dict[str, tuple[Callable[[dict[str, Any]], object], Jobs]] = {
    "nothing": (lambda _: None, set()),
    "`bins`": (lambda values: values["images"][IMAGE].update(bins=7), OF_IMAGES),
    "`events_per_image`": (
        lambda values: values["images"][IMAGE].update(events_per_image=250),
        OF_EVENTS
        | INFORMATION
        | {("voxelize_sample", f"{IMAGE}/ntuple"), ("prepare_estimator", FIT)},
    ),
    "the q² cut": (lambda values: values["images"][IMAGE].update(q2_min_gev2=1.0), OF_IMAGES),
    "one more campaign at one point": (
        one_more_campaign,
        TRAINING
        | {
            ("generate_events", "train/c9_+0.00/001"),
            ("voxelize", f"{IMAGE}/train/c9_+0.00/001"),
        },
    ),
    "one more test point": (
        lambda values: more_points(values, "test", -1.5),
        of_new_point("test", "c9_-1.50"),
    ),
    "one more interpolation point": (
        lambda values: more_points(values, "interpolation", -0.2),
        of_new_point("interpolation", "c9_-0.20"),
    ),
    "one removed interpolation point": (
        lambda values: values["points"].pop(2),
        SUMMARY | FIT_SUMMARY,
    ),
    "one removed trained point": (lambda values: values["points"].pop(1), WITHOUT_TRAINED_POINT),
    "learning rate": (
        lambda values: values["estimators"]["tiny"]["training"].update(learning_rate=0.02),
        TRAINING,
    ),
    "limits of a fit": (
        lambda values: values["estimators"]["likelihood"].update(parameter_range=[-4, 4]),
        FITTING,
    ),
    "one more network": (one_more_estimator, of_other_estimator(TRAINING)),
    "one more fit": (one_more_fit, of_other_estimator(FITTING)),
    "the run's seed": (lambda values: values.update(seed=8), OF_EVENTS),
    "a renamed run (`run:`)": (lambda values: values.update(run="renamed"), EVERYTHING),
    "what the linearity shows": (
        lambda values: values["figures"].update(linearity="gaussian"),
        LINEARITIES,
    ),
    "range of the distributions": (
        lambda values: values["figures"].update(distributions_q2_gev2=[1.1, 6.0]),
        {("plot_distributions", "")},
    ),
}


@pytest.mark.parametrize("edit", CONFIGURATION)
def test_an_edit_of_the_configuration_runs_exactly_its_jobs(finished: Folder, edit: str) -> None:
    change, expected = CONFIGURATION[edit]
    assert len(expected) == numbers_in_the_documentation().get(edit, len(expected))
    finished.configure(change)
    try:
        assert_plan(make_plan(finished), expected)
    finally:
        finished.configure()


def test_every_edit_of_the_documentation_is_tested() -> None:
    elsewhere = {
        "a changed external ROOT file",
        "one removed estimator",
        "the folder renamed as well (`mv results/old results/new`)",
    }
    assert set(numbers_in_the_documentation()) - elsewhere <= {*CONFIGURATION, *SOURCE}


NEW_CODE = "\n\n_NEW = 1\n"
SOURCE: dict[str, tuple[dict[str, str], Jobs]] = {
    "a colour in the style of all figures": (
        {"path": "figures/style.py", "pattern": r"#[0-9A-Fa-f]{6}", "replacement": "#123456"},
        FIGURES,
    ),
    "code of one figure": (
        {"path": "figures/linearity.py", "append": NEW_CODE},
        LINEARITIES,
    ),
    "code in `voxels`": (
        {"path": "voxels/binning.py", "append": NEW_CODE},
        OF_IMAGES - INFORMATION,
    ),
    "code in the amplitudes": (
        {"path": "theory/amplitudes.py", "append": NEW_CODE},
        OF_MODEL,
    ),
    "code of a fit": ({"path": "estimators/fits/unbinned.py", "append": NEW_CODE}, FITTING),
    "code of another fit": (
        {"path": "estimators/fits/angular.py", "append": NEW_CODE},
        set(),
    ),
    "code of a network": ({"path": "estimators/networks/resnet.py", "append": NEW_CODE}, TRAINING),
    "a docstring anywhere": (
        {"path": "**/*.py", "pattern": r'(?<!r)"""', "replacement": '"""Reworded. '},
        set(),
    ),
    "a comment anywhere": ({"path": "**/*.py", "append": "\n# a comment\n"}, set()),
    "a lock file with another matplotlib": (
        {"pattern": r"(?m)^matplotlib==[\d.]+", "replacement": "matplotlib==9.9.9"},
        FIGURES,
    ),
    "a lock file with another numba": (
        {"pattern": r"(?m)^numba==[\d.]+", "replacement": "numba==9.9.9"},
        OF_EVENTS | {("prepare_estimator", FIT)},
    ),
    "a lock file with another linter": (
        {"pattern": r"(?m)^ruff==[\d.]+", "replacement": "ruff==9.9.9"},
        set(),
    ),
}


@pytest.mark.parametrize("edit", SOURCE)
def test_an_edit_of_the_code_runs_exactly_its_jobs(
    finished: Folder, source: Callable[..., None], edit: str
) -> None:
    words, expected = SOURCE[edit]
    assert len(expected) == numbers_in_the_documentation()[edit]
    source(**words)
    plan = make_plan(finished)
    assert plan.snakemake == expected
    if words.get("path"):  # installed packages are unchanged, see the test of the lock file
        assert plan.truth == expected


def test_no_job_runs_in_another_environment_than_the_locked_one(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    found = lock_file()
    assert found is not None
    lock.write_text(re.sub(r"(?m)^numba==[\d.]+", "numba==9.9.9", found.read_text()))
    problem = environment_problem(code.all_imports(), lock)
    assert problem is not None
    assert re.search(r"numba \S+ instead of 9\.9\.9; run 'make setup'", problem)
    assert environment_problem(code.all_imports(), found) is None
    lock.write_text(re.sub(r"(?m)^ruff==[\d.]+", "ruff==9.9.9", found.read_text()))
    assert environment_problem(code.all_imports(), lock) is None


def test_a_changed_external_file_runs_its_measurement(finished: Folder) -> None:
    table = finished.path / "samples.tsv"
    kept = table.read_text()
    original = finished.path / "resources/evtgen/basf2_ntuple_b0_dc9_-0.90.root"
    mine = finished.path / "mine.root"
    content = bytearray(original.read_bytes())
    content[len(content) // 2] ^= 1
    mine.write_bytes(content)
    table.write_text(kept.replace("resources/evtgen/basf2_ntuple_b0_dc9_-0.90.root", "mine.root"))
    try:
        assert_plan(
            make_plan(finished),
            SAMPLE | {("measure", f"{ESTIMATOR}/ntuple"), ("measure_events", f"{FIT}/ntuple")},
        )
    finally:
        table.write_text(kept)
        mine.unlink()


@pytest.fixture
def copied(finished: Folder, tmp_path: Path) -> Folder:
    """Provide a copy of the finished run with times and Snakemake's metadata, for edits."""
    path = tmp_path / "copy"
    shutil.copytree(finished.path, path, symlinks=True)
    return Folder(path)


def run(folder: Folder, command: str) -> list[str]:
    """Run a printed command and return the rules of its jobs."""
    words = shlex.split(command)
    assert words[0] == "snakemake"
    done = folder.snakemake(*words[1:])
    assert done.returncode == 0, done.stdout + done.stderr
    return re.findall(r"(?m)^\s*(?:local)?rule (\w+):", done.stdout + done.stderr)


def snakemake(folder: Folder, name: str = "tiny.yaml") -> Any:
    return folder.snakemake("--profile", ROOT / "profiles/local", "--configfile", name)


def events_file(folder: Folder) -> Path:
    path = folder.path / "results/tiny/events/train/c9_-1.00/000.root"
    assert path.stat().st_size > DEFAULT_CHECKSUM_SIZE
    return path


def test_a_touched_event_file_runs_nothing(copied: Folder) -> None:
    events_file(copied).touch()
    assert_plan(make_plan(copied), set())
    alone = make_plan(copied, DEFAULT_CHECKSUM_SIZE)
    assert alone.snakemake == TRAINING | {("voxelize", f"{IMAGE}/train/c9_-1.00/000")}
    assert alone.truth == set()
    repairs = alone.repairs
    assert len(repairs) == 1
    words = shlex.split(repairs[0])
    assert words[:2] == ["touch", "-r"]
    reference, target = (copied.path / word for word in words[2:])
    time = reference.stat().st_mtime_ns
    os.utime(target, ns=(time, time))
    assert make_plan(copied, DEFAULT_CHECKSUM_SIZE).snakemake == set()


SHARD = "results/tiny/voxels/b8_n300/train/c9_-1.00/001.npz"


def delete(path: Path) -> None:
    path.unlink()


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def damage_unnoticed(path: Path) -> None:
    found = path.stat()
    damage(path)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


@pytest.mark.parametrize(
    ("fault", "snakemake_alone"),
    [(delete, set()), (damage, TRAINING), (damage_unnoticed, set())],
)
def test_a_lost_shard_is_made_again_alone(
    copied: Folder, fault: Callable[[Path], None], snakemake_alone: Jobs
) -> None:
    fault(copied.path / SHARD)
    plan = make_plan(copied)
    assert plan.snakemake == snakemake_alone
    assert plan.truth == {("voxelize", f"{IMAGE}/train/c9_-1.00/001")}
    [repair] = plan.repairs
    assert repair in "\n".join(plan.lines)
    assert run(copied, repair) == ["voxelize"]
    assert_plan(make_plan(copied), set())
    graph = LineageGraph()
    graph.add(copied.path / "results/tiny/figures/b8_n300/tiny/linearity.png")
    findings = judge_all(graph.nodes.values(), DigestCache(None)).values()
    assert {each.verdict for each in findings} <= {Verdict.VERIFIED, Verdict.DIRTY_TREE}


@pytest.mark.slow
def test_a_lost_event_file_is_made_again_alone(copied: Folder) -> None:
    """The bytes of a ROOT file differ each time, so that Snakemake treats it as a new one."""
    events_file(copied).unlink()
    plan = make_plan(copied)
    assert plan.snakemake == set()
    assert plan.truth == {("generate_events", "train/c9_-1.00/000")}
    again, older = plan.repairs
    assert run(copied, again) == ["generate_events"]
    assert make_plan(copied).truth == set()
    reference, target = (copied.path / word for word in shlex.split(older)[2:])
    time = reference.stat().st_mtime_ns
    os.utime(target, ns=(time, time))
    assert_plan(make_plan(copied), set())


@pytest.mark.slow
def test_deleted_event_files_are_made_again_only_where_they_are_needed(copied: Folder) -> None:
    def without_events(values: dict[str, Any]) -> None:
        values.update(keep_event_files=False)

    def and_another_range(values: dict[str, Any]) -> None:
        without_events(values)
        values["figures"].update(distributions_q2_gev2=[1.1, 6.0])

    shutil.rmtree(copied.path / "results/tiny/events")
    copied.configure(without_events)
    assert_plan(make_plan(copied), set())
    copied.configure(and_another_range)
    plan = make_plan(copied)
    needed = {
        ("plot_distributions", ""),
        ("generate_events", "test/c9_+0.00/000"),
        ("generate_events", "test/c9_-2.00/000"),
    }
    assert plan.truth == needed
    assert plan.snakemake > needed  # all jobs after the same events
    assert sorted(run(copied, plan.lines[plan.lines.index("run:") + 1])) == sorted(
        rule for rule, _ in needed
    )
    assert_plan(make_plan(copied), set())


def test_figures_of_before_a_run_that_failed_are_made_again(copied: Folder) -> None:
    change = CONFIGURATION["learning rate"][0]
    copied.configure(change)
    state = copied.path / "results/tiny/training_state"
    shutil.rmtree(state, ignore_errors=True)
    state.write_text("a file where the training wants its folder")
    failed = snakemake(copied)
    assert failed.returncode == 1
    model = copied.path / "results/tiny/models/b8_n300/tiny/model.keras"
    assert not model.exists()
    figure = copied.path / "results/tiny/figures/b8_n300/tiny/linearity.png"
    before = read_record(figure)
    assert before is not None
    assert_plan(make_plan(copied), TRAINING)
    state.unlink()
    done = snakemake(copied)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_plan(make_plan(copied), set())
    after = read_record(figure)
    assert after is not None
    assert after.inputs[0].content_digest != before.inputs[0].content_digest


@pytest.mark.slow
def test_a_removed_point_leaves_nothing_in_summaries_and_measurements(copied: Folder) -> None:
    # it is replaced by another point, because a response needs four
    copied.configure(lambda values: values["points"][2]["shifts"].update(c9=[-0.4]))
    done = snakemake(copied)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = copied.path / "results/tiny"
    summary, _ = read_table(folder / "evaluation/b8_n300/tiny/summary.parquet", SUMMARY_COLUMNS)
    assert set(summary["point"]) == {*TESTED, "c9_-0.40"}
    assert "c9_-0.50" not in (folder / "evaluation/b8_n300/tiny/summary.csv").read_text()
    outputs: Iterable[Path] = [
        folder / "measurements/b8_n300/tiny/ntuple.json",
        *folder.glob("figures/b8_n300/**/*.png"),
    ]
    for path in outputs:
        record = read_record(path)
        assert record is not None
        assert not any("c9_-0.50" in each.path for each in record.inputs), path
    plan = make_plan(copied)
    assert_plan(plan, set())
    assert any("evaluation" in line and "belong to no job" in line for line in plan.lines)


@pytest.mark.slow
def test_a_new_estimator_trains_alone_and_a_removed_one_runs_a_comparison(copied: Folder) -> None:
    copied.configure(one_more_estimator)
    model = copied.path / "results/tiny/models/b8_n300/tiny/model.keras"
    before = model.read_bytes(), model.stat().st_mtime_ns
    done = snakemake(copied)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (model.read_bytes(), model.stat().st_mtime_ns) == before
    assert_plan(make_plan(copied), set())
    copied.configure()
    assert_plan(make_plan(copied), {("plot_sensitivity", IMAGE)})


def test_a_renamed_folder_runs_nothing(copied: Folder) -> None:
    (copied.path / "results/tiny").rename(copied.path / "results/renamed")
    copied.configure(CONFIGURATION["a renamed run (`run:`)"][0])
    assert_plan(make_plan(copied), set())


def test_the_status_of_a_run_that_never_ran_counts_every_job_once(folder: Folder) -> None:
    plan = make_plan(folder)
    assert plan.truth == plan.snakemake == EVERYTHING
    assert plan.lines[0] == "results/tiny: 53 of 53 jobs have to run:"
    assert re.search(r"(?<!\d)1 train", plan.lines[1])
    assert plan.repairs == []


def test_the_status_describes_jobs_and_reasons(finished: Folder) -> None:
    finished.configure(CONFIGURATION["learning rate"][0])
    try:
        plan = make_plan(finished)
    finally:
        finished.configure()
    text = plan.lines
    assert text[0] == "results/tiny: 13 of 53 jobs have to run:"
    assert text[1] == "  train b8_n300/tiny: --learning-rate 0.01 → 0.02"
    assert text[2].endswith("an input is made again")
    assert text[-2] == "run:"
