"""The table of stages: its paths, its jobs, and the jobs that Snakemake makes of it."""

from pathlib import Path

import pytest
import yaml

from wilsonvox.config.reading import load_configuration, parse_configuration
from wilsonvox.config.samples import SampleRow, measured_samples
from wilsonvox.core.errors import UserError
from wilsonvox.stages import targets
from wilsonvox.stages.graph import File, Input, Job, Stage, output_of
from wilsonvox.stages.run import Run
from wilsonvox.stages.table import STAGES, figure_jobs, job_paths, jobs_behind, path_of

ROOT = Path(__file__).parents[3]
TINY = yaml.safe_load((ROOT / "tests/workflow/tiny.yaml").read_text())
CONFIGURATIONS = sorted(path.name for path in (ROOT / "config").glob("*.yaml"))
MINE = {"mine": SampleRow(sample="mine", path="mine.root")}


def run_of(**changes):
    return Run(parse_configuration(TINY | changes), MINE)


@pytest.fixture(params=CONFIGURATIONS)
def shipped(request, monkeypatch):
    monkeypatch.chdir(ROOT)
    configuration = load_configuration(Path("config") / request.param)
    return Run(configuration, measured_samples(configuration))


def all_jobs(run):
    jobs = targets.jobs_of_all(run) if run.configuration.has_images else []
    return list(jobs_behind(run, jobs))


def test_every_job_comes_once_and_after_its_inputs(shipped):
    seen = set()
    for job in all_jobs(shipped):
        assert job not in seen
        files = STAGES[job.stage].input_files(shipped, job.wildcards).values()
        assert {f.job for each in files for f in each if isinstance(f, File)} <= seen
        seen.add(job)


def test_no_two_jobs_write_one_file(shipped):
    paths = [path for job in all_jobs(shipped) for path in job_paths(job)]
    assert len(set(paths)) == len(paths)


def test_arguments_are_words_of_a_command_line(shipped):
    for job in all_jobs(shipped):
        words = STAGES[job.stage].arguments(shipped, job.wildcards)
        assert all(isinstance(word, str | int | float) for word in words), job
        assert all("\n" not in str(word) for word in words), job


def test_all_outputs_of_a_stage_have_its_wildcards():
    for name, stage in STAGES.items():
        for pattern in stage.outputs.values():
            values = dict.fromkeys(stage.wildcards, "x")
            assert "{" not in pattern.format(**values), name


def test_a_path_is_that_of_the_pattern():
    file = output_of("evaluate", "predictions", image="a", estimator="b", split="c", point="d")
    assert path_of(file) == "evaluation/a/b/c/d.parquet"
    assert STAGES["evaluate"].wildcards == ("image", "estimator", "split", "point")
    assert STAGES["evaluate"].folder == "evaluation"


def test_an_input_from_a_stage_that_is_not_declared_is_refused():
    source = Input(lambda _run, _wildcards: [output_of("train", "model")], ("evaluate",))
    with pytest.raises(ValueError, match="train is not declared"):
        source.files(run_of(), {})


def test_a_loop_over_stages_is_not_among_the_stages_before():
    assert STAGES["suggest_trials"].after == ()
    assert STAGES["train_trial"].after == ("voxelize", "suggest_trials")


def test_estimators_choose_stages_by_their_kind():
    run = run_of()
    assert run.estimators("networks") == ["tiny"]
    assert "likelihood" in run.estimators("events")
    stages = {job.stage for job in all_jobs(run) if job.wildcards.get("estimator") == "likelihood"}
    assert stages >= {"prepare_estimator", "evaluate_events", "summarize", "measure_events"}
    assert not stages & {"train", "evaluate", "measure", "plot_network"}


def test_figures_are_those_of_the_configuration():
    names = ["plot_linearity", "plot_network"]
    jobs = figure_jobs(run_of(), names)
    drawn = {(job.stage, job.wildcards["estimator"]) for job in jobs}
    assert ("plot_network", "tiny") in drawn
    assert ("plot_network", "likelihood") not in drawn
    assert ("plot_linearity", "likelihood") in drawn
    assert figure_jobs(run_of(), ["plot_luminosity"]) == []


def test_targets_without_their_part_of_the_configuration_are_refused():
    for target in (targets.scan_files, targets.global_fit_files):
        with pytest.raises(UserError, match="the configuration has no"):
            target(run_of())


def test_captions_and_modules_of_figures_are_there():
    for name, stage in STAGES.items():
        if stage.report is not None:
            assert (ROOT / f"workflow/report/{stage.report.caption}.rst").is_file(), name
            module = ROOT / "workflow/src" / (stage.modules[0].replace(".", "/") + ".py")
            assert module.is_file(), name
            assert stage.description.startswith("Draw "), name


def test_jobs_are_hashed_by_their_values():
    first = output_of("evaluate", "predictions", image="a", point="b").job
    assert first == output_of("evaluate", "predictions", point="b", image="a").job
    assert Job("train").wildcards == {}
    assert Stage(outputs={"a": "x/{b}.c"}, modules=()).wildcards == ("b",)
