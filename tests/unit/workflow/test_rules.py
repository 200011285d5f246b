"""Inputs, arguments and resources of rules, from the table of stages."""

import itertools
from pathlib import Path
from types import SimpleNamespace

import yaml

from wilsonvox.config.reading import parse_configuration
from wilsonvox.config.samples import SampleRow
from wilsonvox.stages.run import Run
from wilsonvox.workflow.job_digest import JobDigests
from wilsonvox.workflow.rules import Rules, one_of, resources, side_file, threads

TINY = yaml.safe_load((Path(__file__).parents[2] / "workflow/tiny.yaml").read_text())
RUN = Run(
    parse_configuration(TINY), {"mine": SampleRow(sample="mine", path="mine.root", layout="belle2")}
)
RULES = Rules(RUN, JobDigests(RUN))


def arguments(stage, **wildcards):
    inputs = RULES.inputs(stage)(wildcards)
    return RULES.arguments(stage)(wildcards, SimpleNamespace(**inputs))


def test_inputs_are_paths_in_the_folder_of_the_run():
    wildcards = {"image": "b8_n300", "estimator": "tiny", "split": "test", "point": "c9_+0.00"}
    inputs = RULES.inputs("evaluate")(wildcards)
    assert inputs["model"] == ["<results>/models/b8_n300/tiny/model.keras"]
    assert inputs["shards"] == ["<results>/voxels/b8_n300/test/c9_+0.00/000.npz"]


def test_arguments_have_input_files_side_files_and_settings():
    words = arguments("train", image="b8_n300", estimator="tiny")
    pairs = set(itertools.pairwise(words))
    assert ("--train", "<results>/voxels/b8_n300/train/c9_-1.00/000.npz") in pairs
    assert ("--state", "results/tiny/training_state/b8_n300/tiny.npz") in pairs
    assert ("--seed", str(TINY["seed"])) in pairs
    assert ("--estimator", "tiny") in pairs
    assert all(isinstance(word, str) for word in words)


def test_a_side_file_without_pattern_is_the_folder_of_the_run():
    words = arguments("measure", image="b8_n300", estimator="tiny", sample="mine")
    assert words[words.index("--run") + 1] == "results/tiny"


def test_settings_that_are_left_to_their_defaults_give_no_option():
    words = arguments("generate_events", point="c9_-1.00", split="train", campaign="000")
    assert "--flavour" not in words
    assert "--four-momenta" not in words


def test_external_files_keep_their_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.root").touch()
    assert RULES.inputs("ingest_events")({"sample": "mine"}) == {"files": ["mine.root"]}


def test_logs_and_benchmarks_are_named_after_rule_and_wildcards():
    assert side_file("logs", "log", "voxelize") == (
        "<logs>/voxelize/{image}/{split}/{point}/{campaign}.log"
    )
    assert side_file("benchmarks", "tsv", "plot_topology") == "<benchmarks>/plot_topology.tsv"


def test_wildcards_are_those_that_a_stage_is_for():
    assert RULES.constraints("train") == {"estimator": "tiny"}
    assert "likelihood" in RULES.constraints("evaluate_events")["estimator"]
    assert RULES.constraints("plot_topology") == {}
    # a run without a scan has no trials at all
    assert RULES.constraints("train_trial") == {"estimator": one_of([])}
    assert one_of([]) == "(?!)"


def test_resources_are_those_of_the_table():
    assert resources("angular_coefficients") == {"mem_mb": 1000, "runtime": 15}
    assert resources("run_crate")["runtime"] == 120
    assert (threads("train"), threads("voxelize")) == (2, 1)
