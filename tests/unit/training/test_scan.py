"""Hyperparameter scans: search space, suggestions of a round, trials, and their comparison."""

import copy
import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml
from tests.helpers.toy_shards import save, toy_shard

from wilsonvox.cli import run
from wilsonvox.config.reading import parse_configuration
from wilsonvox.core.errors import UserError
from wilsonvox.estimators.model_file import load_estimator
from wilsonvox.estimators.settings import NetworkEstimatorConfig, VoxelSumEstimatorConfig
from wilsonvox.figures import scan as figure
from wilsonvox.records.digests import content_digest
from wilsonvox.records.embedded import read_record
from wilsonvox.stages.run import Run
from wilsonvox.training.scan.comparison import COLUMNS, combine_rounds, table
from wilsonvox.training.scan.settings import ScanSettings, SearchRange
from wilsonvox.training.scan.space import contains, decode, setting_names, with_settings
from wilsonvox.training.scan.study import importance, round_seed, space_of, suggest, write_study
from wilsonvox.training.scan.trials import Scan, Suggestion, Suggestions, TrialResult
from wilsonvox.voxels.specification import ImageSpecification
from wilsonvox.workflow.job_digest import JobDigests

TINY = yaml.safe_load((Path(__file__).parents[2] / "workflow/tiny.yaml").read_text())
NETWORK = NetworkEstimatorConfig(images=("b8_n300",))
RATE = {"low": 0.001, "high": 0.1, "log": True}
PARAMETERS = {
    "training.learning_rate": RATE,
    "network.stem_filters": {"low": 2, "high": 8},
    "network.filters": {"choices": [[4, 8], [64, 128, 256, 512]]},
    "network.coordinates": {"choices": [False, True]},
}


def scan_of(parameters=None, **values):
    # filters and blocks have the same length
    values = {"parameters": parameters or {k: PARAMETERS[k] for k in WITHOUT_STACKS}} | values
    return ScanSettings.model_validate(values)


WITHOUT_STACKS = ("training.learning_rate", "network.stem_filters", "network.coordinates")


@dataclass(frozen=True)
class Done:
    trial: int
    parameters: dict
    objective: float | None


def with_scan(scan, **more):
    values = copy.deepcopy(TINY)
    values["estimators"]["sum"] = {"architecture": "voxel-sum", "images": ["b8_n300"]}
    return values | {"scan": scan} | more


# ---------------------------------------------------------------- settings
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "needs low and high, or choices"),
        ({"low": 2}, "needs low and high, or choices"),
        ({"low": 3, "high": 3}, "low 3 is not below high 3"),
        ({"low": 0.0, "high": 1.0, "log": True}, "log needs a positive low"),
        ({"low": 1, "high": 9, "log": True, "step": 2}, "log and step exclude each other"),
        ({"choices": [1, 2], "low": 1}, "choices cannot be combined"),
        ({"choices": [1, 1]}, "a value is duplicated"),
    ],
)
def test_invalid_range_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        SearchRange.model_validate(given)


@pytest.mark.parametrize(
    ("scan", "message"),
    [
        ({"tny": scan_of()}, r"scan\.tny: is no trained estimator; did you mean 'tiny'"),
        ({"likelihood": scan_of()}, r"scan\.likelihood: is no trained estimator"),
        ({"tiny": {"parameters": {"training.learning_rat": RATE}}},
         r"tiny\.parameters\.training\.learning_rat: is not .* mean 'training\.learning_rate'"),
        ({"tiny": {"parameters": {"q2_knots": {"low": 4, "high": 9}}}}, r"q2_knots: is not a set"),
        ({"tiny": {"parameters": {"images": {"choices": ["a", "b"]}}}}, "images: is not a setting"),
        ({"tiny": {"parameters": {"network.dropout": {"low": 0.0, "high": 1.0}}}},
         r"parameters\.network\.dropout: Input should be less than 1 \(got 1\.0\)"),
        ({"tiny": {"parameters": {"network.stem_filters": {"low": 0.5, "high": 3}}}},
         r"stem_filters: is an integer, so low, high and step must be integers"),
        ({"tiny": {"parameters": {"network.filters": {"low": 1, "high": 3}}}},
         r"network\.filters: is not a number: give choices"),
        ({"tiny": {"parameters": {"network.filters": {"choices": [[2], [2, 4]]}}}},
         r"network\.filters: filters and blocks must have the same length, .* \(got \[2, 4\]\)"),
        ({"tiny": {"parameters": {"training.batch_size": {"low": 2, "hihg": 3}}}},
         r"hihg: unknown key; did you mean 'high'"),
        ({"tiny": {"parameters": {"training.batch_size": {"low": 2, "high": 3}}, "round": 2}},
         r"scan\.tiny\.round: unknown key; did you mean 'rounds'"),
        ({"tiny": {"parameters": {"network.dropout": {"low": 0.0, "high": 0.5}},
                   "fixed": {"network.dropout": 0.1}}}, r"fixed\.network\.dropout: is scanned"),
        ({"tiny": {"parameters": {"network.dropout": {"low": 0.0, "high": 0.5}},
                   "fixed": {"training.max_epochs": 0}}},
         r"scan\.tiny\.fixed\.training\.max_epochs: Input should be .* \(got 0\)"),
    ],
)  # fmt: skip
def test_invalid_scan_is_a_one_line_error(scan, message):
    scan = {
        name: value.model_dump(exclude_unset=True) if isinstance(value, ScanSettings) else value
        for name, value in scan.items()
    }
    with pytest.raises(UserError, match=message) as caught:
        parse_configuration(with_scan(scan), "my.yaml")
    assert str(caught.value).startswith("my.yaml: ")
    assert "\n" not in str(caught.value)


def test_setting_names_of_both_kinds_of_networks():
    names = setting_names(NETWORK)
    assert {"network.stem_filters", "training.learning_rate", "normalisation.scale_gev2"} <= {
        *names
    }
    assert not {"images", "architecture"} & {*names}
    voxel_sum = VoxelSumEstimatorConfig(architecture="voxel-sum", images=("a",))
    assert setting_names(voxel_sum) == [
        "q2_knots", "density_degree", "use_counts", "head_degree", "bias_weight",
    ]  # fmt: skip
    changed = with_settings(NETWORK, {"network.stem_filters": 3, "training.loss": "mse"})
    assert (changed.network.stem_filters, changed.training.loss) == (3, "mse")
    assert changed.network.blocks == NETWORK.network.blocks


def test_search_space_contains_values():
    assert contains(SearchRange(low=2, high=8, step=3), 5)
    assert not contains(SearchRange(low=2, high=8, step=3), 4)
    assert not contains(SearchRange(low=2, high=8), 9)
    lists = SearchRange(choices=([8, 16], [16, 32]))
    assert contains(lists, (8, 16))
    assert not contains(lists, (8, 8))
    assert decode(lists, "[16, 32]") == [16, 32]
    assert decode(SearchRange(choices=(True, False)), True) is True


# ---------------------------------------------------------------- suggestions
def done(suggested, first=0):
    """Results of trials: the objective grows with the distance of the learning rate from 0.03."""
    return [
        Done(first + i, suggestion, abs(np.log(suggestion["training.learning_rate"] / 0.03)))
        for i, suggestion in enumerate(suggested)
    ]


def test_equal_scans_suggest_equal_trials_and_the_first_is_the_estimator_itself():
    scan, seed = scan_of(), round_seed(7, "tiny", 0)
    first = suggest(NETWORK, scan, 0, seed, [])
    assert first == suggest(NETWORK, scan, 0, seed, [])
    assert len(first) == scan.trials_per_round
    assert first[0] != suggest(NETWORK, scan_of({"training.learning_rate": RATE}), 0, seed, [])[1]
    # 64 filters are out of the range: no trial has the estimator's own values
    assert not any(trial["training.learning_rate"] == 0.01 for trial in first)
    own = with_settings(NETWORK, {"network.stem_filters": 4})
    assert suggest(own, scan, 0, seed, [])[0] == {
        "network.coordinates": False, "network.stem_filters": 4, "training.learning_rate": 0.01,
    }  # fmt: skip
    assert len({json.dumps(trial) for trial in first}) == 4
    assert first != suggest(NETWORK, scan, 0, round_seed(8, "tiny", 0), [])
    for entry in first:
        assert 0.001 <= entry["training.learning_rate"] <= 0.1
        assert isinstance(entry["network.stem_filters"], int)


def test_later_rounds_use_all_earlier_results_in_any_order():
    scan = scan_of({"training.learning_rate": RATE}, trials_per_round=24)
    first = suggest(NETWORK, scan, 0, round_seed(1, "tiny", 0), [])
    results = done(first)
    seed = round_seed(1, "tiny", 1)
    second = suggest(NETWORK, scan, 1, seed, results)
    assert second == suggest(NETWORK, scan, 1, seed, results[::-1])
    # other results give other suggestions
    turned = [Done(result.trial, result.parameters, -result.objective) for result in results]
    assert second != suggest(NETWORK, scan, 1, seed, turned)
    error = [np.median([trial.objective for trial in trials]) for trials in (results, done(second))]
    assert error[1] < 0.7 * error[0]
    # random sampling does not depend on results
    random = scan_of({"training.learning_rate": RATE}, trials_per_round=24, sampler="random")
    assert suggest(NETWORK, random, 1, seed, results) == suggest(NETWORK, random, 1, seed, turned)


def test_a_failed_trial_does_not_end_the_scan():
    scan = scan_of({"training.learning_rate": RATE})
    results = done(suggest(NETWORK, scan, 0, 1, []))
    results[1] = Done(1, results[1].parameters, None)
    assert len(suggest(NETWORK, scan, 1, 2, results)) == 4


def test_a_round_needs_all_trials_before_it():
    scan = scan_of({"training.learning_rate": RATE})
    results = done(suggest(NETWORK, scan, 0, 1, []))
    with pytest.raises(UserError, match="round 1 needs the results of trials 0 to 3"):
        suggest(NETWORK, scan, 1, 2, results[:3])
    with pytest.raises(UserError, match="there are no trials before the first round"):
        suggest(NETWORK, scan, 0, 2, results)


# ---------------------------------------------------------------- all trials
def toy_scan(objectives, parameters=PARAMETERS):
    """Rounds and results of a scan with these objectives, four trials per round."""
    generator = np.random.default_rng(3)
    base = with_settings(NETWORK, {"network.filters": [4, 8], "network.blocks": [1, 1]})
    ranges = {name: SearchRange.model_validate(parameter) for name, parameter in parameters.items()}
    space = space_of(base, ranges)
    trials = [
        {
            "training.learning_rate": float(10 ** generator.uniform(-3, -1)),
            "network.stem_filters": int(generator.integers(2, 9)),
            "network.filters": ["[4, 8]", "[64, 128, 256, 512]"][number % 2],
            "network.coordinates": bool(number % 3),
        }
        for number in range(len(objectives))
    ]
    trials = [{name: trial[name] for name in sorted(parameters)} for trial in trials]
    about = {"image": ImageSpecification(), "physics_inputs": "toy"}
    results = [
        TrialResult(
            estimator="tiny", trial=number, round=number // 4, parameters=values,
            objective=objectives[number],
            failure=None if objectives[number] is not None else "the loss is not finite", **about,
        )
        for number, values in enumerate(trials)
    ]  # fmt: skip
    rounds = [
        Suggestions(
            estimator="tiny", round=number, sampler="tpe", sampler_seed=1, space=space,
            trials=[
                Suggestion(trial=i, parameters=trials[i], settings={})
                for i in range(4 * number, min(4 * number + 4, len(trials)))
            ],
        )
        for number in range(-(-len(trials) // 4))
    ]  # fmt: skip
    return rounds, results


OBJECTIVES = [0.31, 0.2, None, 0.25, 0.18, 0.22, 0.12, 0.4]


def test_best_trial_has_the_lowest_error_and_table_has_all_trials():
    rounds, results = toy_scan(OBJECTIVES)
    scan = combine_rounds(rounds, results[::-1])
    assert scan.best == 6
    assert [trial.trial for trial in scan.trials] == list(range(8))
    assert sum(scan.importance.values()) == pytest.approx(1)
    rows = list(csv.DictReader(table(scan).splitlines()))
    assert list(rows[0]) == [*COLUMNS, *sorted(PARAMETERS)]
    assert [row["objective"] for row in rows] == [
        "" if objective is None else repr(objective) for objective in OBJECTIVES
    ]
    assert rows[2]["failure"] == "the loss is not finite"
    assert rows[1]["network.filters"] == "[64, 128, 256, 512]"


def test_importance_is_highest_for_the_relevant_setting():
    rounds, results = toy_scan([0.0] * 24)
    renumbered = [
        Done(
            result.trial,
            result.parameters,
            abs(np.log(result.parameters["training.learning_rate"])),
        )
        for result in results
    ]
    actual = importance(rounds[0].space, renumbered)
    assert max(actual, key=actual.get) == "training.learning_rate"
    assert importance(rounds[0].space, renumbered[:3]) is None
    alike = [Done(result.trial, result.parameters, 0.5) for result in results]
    assert importance(rounds[0].space, alike) is None


def test_trials_of_another_scan_are_refused():
    rounds, results = toy_scan(OBJECTIVES)
    with pytest.raises(UserError, match="the result of trial 3 is missing"):
        combine_rounds(rounds, results[:3] + results[4:])
    other = results[0].model_copy(update={"parameters": results[1].parameters})
    with pytest.raises(UserError, match="the settings of trial 0 differ from its suggestion"):
        combine_rounds(rounds, [other, *results[1:]])
    with pytest.raises(UserError, match="8 results given, but there are 4 trials"):
        combine_rounds(rounds[:1], results)
    changed = rounds[1].model_copy(update={"estimator": "other"})
    with pytest.raises(UserError, match="different scans"):
        combine_rounds([rounds[0], changed], results)


def test_study_is_readable_by_optuna_and_reproducible(tmp_path):
    import optuna

    rounds, results = toy_scan(OBJECTIVES)
    for name in ("a.journal", "b.journal"):
        write_study(tmp_path / name, "tiny", rounds[0].space, results)
    assert (tmp_path / "a.journal").read_bytes() == (tmp_path / "b.journal").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.journal", "b.journal"]
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "a.journal"))
    storage = optuna.storages.JournalStorage(backend)
    study = optuna.load_study(study_name="tiny", storage=storage)
    assert [trial.value for trial in study.trials] == OBJECTIVES
    assert study.trials[2].state == optuna.trial.TrialState.FAIL
    assert study.best_trial.number == 6
    assert [trial.params for trial in study.trials] == [result.parameters for result in results]


# ---------------------------------------------------------------- figure
def draw(objectives, parameters=PARAMETERS):
    return figure.draw(combine_rounds(*toy_scan(objectives, parameters)))


def test_the_figure_shows_every_trial_in_every_panel():
    drawn = draw(OBJECTIVES)
    above, *settings = drawn.axes
    assert len(settings) == len(PARAMETERS)
    assert {axes.get_xlabel() for axes in settings} == set(PARAMETERS)
    for axes in drawn.axes:
        shown = [
            line.get_ydata()[0] for line in axes.lines
            if line.get_marker() == "o" and line.get_markerfacecolor() != "none"
        ]  # fmt: skip
        assert sorted(shown) == sorted(
            objective for objective in OBJECTIVES if objective is not None
        )
        (best,) = (line for line in axes.lines if line.get_markerfacecolor() == "none")
        assert best.get_ydata()[0] == 0.12
        (failed,) = (line for line in axes.lines if line.get_marker() == "x")
        assert len(failed.get_xdata()) == 1
    rate = next(axes for axes in settings if axes.get_xlabel() == "training.learning_rate")
    assert rate.get_xscale() == "log"
    least = next(line for line in above.lines if line.get_drawstyle() == "steps-post")
    np.testing.assert_array_equal(least.get_ydata(), [0.31, 0.2, 0.2, 0.2, 0.18, 0.18, 0.12, 0.12])
    lists = next(axes for axes in settings if axes.get_xlabel() == "network.filters")
    names = [text.get_text() for text in lists.get_xticklabels()]
    assert names == ["4-8", "64-128-256-512"]


def test_the_figure_of_a_single_trial_and_setting_is_drawn():
    assert len(draw([0.2], {"network.stem_filters": {"low": 2, "high": 8}}).axes) == 2


# ---------------------------------------------------------------- commands
VOXEL_SUM_WORDS = [
    "scan", "suggest", "--estimator", "sum", "--architecture", "voxel-sum", "--seed", "5",
    "--trials", "2", "--parameter", "q2_knots", '{"low": 4, "high": 8}', "--parameter",
    "head_degree", '{"choices": [1, 2]}', "--density-degree", "2",
]  # fmt: skip


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    return [
        word
        for split, n_images in (("train", 12), ("validation", 4))
        for c9 in (-2.0, -1.0, 0.0, 1.0)
        for word in (
            f"--{split}",
            save(toy_shard(c9, n_images, split), folder / f"{split}_{c9}.npz"),
        )
    ]


def train_words(number, round_number=0):
    return ["scan", "train", "--estimator", "sum", "--suggestions", f"{round_number}.json",
            "--trial", f"{number:03d}", "--model", f"{number}.keras",
            "--out", f"{number}.json.trial.json"]  # fmt: skip


@pytest.mark.slow
def test_scan_by_commands(shards, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["--round", "0", "--out", "0.json"]
    assert run([*VOXEL_SUM_WORDS, *words]) == 0
    first = Suggestions.model_validate_json(Path("0.json").read_text())
    assert first.provenance.rule == "suggest_trials"
    assert [trial.settings["density_degree"] for trial in first.trials] == [2, 2]
    for value in first.trials:
        assert value.settings["q2_knots"] == value.parameters["q2_knots"]
    before = Path("0.json").read_bytes()
    assert run([*VOXEL_SUM_WORDS, *words]) == 0
    assert Path("0.json").read_bytes() == before
    for number in (0, 1):
        assert run([*train_words(number), *shards]) == 0
    result = TrialResult.model_validate_json(Path("1.json.trial.json").read_text())
    assert result.provenance.rule == read_record("1.keras").rule == "train_trial_voxel_sum"
    assert result.model_digest == content_digest("1.keras")
    model = load_estimator("1.keras")
    assert model.metadata.network.q2_knots == first.trials[1].parameters["q2_knots"]
    # the objective is the error of the model on the validation images
    errors = [
        np.abs(model.predict(toy_shard(c9, 4, "validation"))[:, 0] - c9)
        for c9 in (-2.0, -1.0, 0.0, 1.0)
    ]
    assert result.objective == pytest.approx(np.mean(errors), rel=1e-6)
    earlier = ["--earlier", "0.json.trial.json", "--earlier", "1.json.trial.json"]
    assert run([*VOXEL_SUM_WORDS, "--round", "1", *earlier, "--out", "1.json"]) == 0
    second = Suggestions.model_validate_json(Path("1.json").read_text())
    assert [trial.trial for trial in second.trials] == [2, 3]
    assert {entry.path for entry in second.provenance.inputs} == set(earlier[1::2])
    assert run(["scan", "collect", "--suggestions", "0.json", "--trial", "0.json.trial.json",
                "--trial", "1.json.trial.json", "--csv", "t.csv", "--study", "s.journal",
                "--out", "scan.json"]) == 0  # fmt: skip
    scan = Scan.model_validate_json(Path("scan.json").read_text())
    assert scan.provenance.copies == {
        "t.csv": content_digest("t.csv"), "s.journal": content_digest("s.journal"),
    }  # fmt: skip
    assert run(["plot", "scan", "--scan", "scan.json", "--pdf", "f.pdf", "--png", "f.png"]) == 0
    assert read_record("f.png").rule == "plot_scan"
    capsys.readouterr()
    assert run([*train_words(1), *shards, "--trial", "7"]) == 1
    assert "--trial: 7 is not in round 0, which has the trials 0 to 1" in capsys.readouterr().err
    assert run([*train_words(1), *shards, "--estimator", "other"]) == 1
    assert "0.json is for sum, not other" in capsys.readouterr().err
    assert run([*train_words(1), *shards, "--suggestions", "scan.json"]) == 1
    assert "scan.json: not the suggestions of a round" in capsys.readouterr().err
    # the refused commands have changed no earlier file
    assert content_digest("1.keras") == result.model_digest


RESNET_WORDS = [
    "scan", "suggest", "--estimator", "net", "--seed", "5", "--round", "0", "--trials", "1",
    "--sampler", "random", "--stem-filters", "2", "--stem-kernel", "3", "--filters", "2",
    "--blocks", "1", "--dense-units", "4", "--dropout", "0", "--batch-size", "8",
    "--max-epochs", "2", "--out", "0.json", "--parameter", "training.learning_rate",
]  # fmt: skip


def test_a_trial_that_diverges_has_a_result_and_no_model(shards, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    rates = '{"low": 1e36, "high": 1e38}'
    assert run([*RESNET_WORDS, rates]) == 0
    Path("m.keras").write_text("of an earlier training")
    words = ["scan", "train", "--estimator", "net", "--suggestions", "0.json", "--trial", "0",
             "--model", "m.keras", "--out", "trial.json", *shards]  # fmt: skip
    assert run(words) == 1
    assert "--seed: required for a training in epochs" in capfd.readouterr().err
    words += ["--seed", "3", "--history", "h.csv", "--state", "state.npz"]
    assert run(words) == 0
    result = TrialResult.model_validate_json(Path("trial.json").read_text())
    assert result.objective is None
    assert "not finite" in result.failure
    assert result.provenance.rule == "train_trial"
    assert not [name for name in ("m.keras", "h.csv", "state.npz") if Path(name).exists()]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "--parameter training.learning_rate: not JSON"),
        ('{"low": 1}', "--parameter training.learning_rate: needs low and high"),
        ('{"low": -1, "high": 1}', "--parameter: training.learning_rate: Input should be greater"),
    ],
)
def test_a_bad_parameter_is_one_line_and_no_file(text, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run([*RESNET_WORDS, text]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- lineage
SCANS = {
    "tiny": {"parameters": {"training.learning_rate": RATE}, "rounds": 2, "trials_per_round": 2},
    "sum": {"parameters": {"q2_knots": {"low": 4, "high": 8}}, "rounds": 2, "trials_per_round": 2},
}
WHOLE = {"image": "b8_n300", "estimator": "tiny"}
JOBS = {
    "first suggestions": ("suggest_trials", WHOLE | {"round": "0"}),
    "second suggestions": ("suggest_trials", WHOLE | {"round": "1"}),
    "first trial": ("train_trial", WHOLE | {"trial": "000"}),
    "last trial": ("train_trial", WHOLE | {"trial": "003"}),
    "collected": ("collect_trials", WHOLE),
    "figure": ("plot_scan", WHOLE),
    "sum": ("train_trial_voxel_sum", {"image": "b8_n300", "estimator": "sum", "trial": "003"}),
    "train": ("train", WHOLE),
}


def digests(change):
    values = with_scan(copy.deepcopy(SCANS))
    change(values)
    lineage = JobDigests(Run(parse_configuration(values), {}))
    return {name: lineage.digest(stage, **words) for name, (stage, words) in JOBS.items()}


SCAN_JOBS = set(JOBS) - {"train", "sum"}
TRAINED = SCAN_JOBS - {"first suggestions"}


@pytest.mark.parametrize(
    ("change", "jobs"),
    [
        (dict, set()),
        (lambda v: v["scan"]["tiny"].update(rounds=3), {"collected", "figure"}),
        (lambda v: v["scan"]["tiny"].update(seed=TINY["seed"]), set()),
        (lambda v: v["scan"]["tiny"].update(seed=3), SCAN_JOBS),
        (lambda v: v["scan"]["tiny"].update(sampler="random"), SCAN_JOBS),
        (lambda v: v["scan"]["tiny"].update(trials_per_round=3), SCAN_JOBS),
        (lambda v: v["scan"]["tiny"]["parameters"].update({"network.dropout": {"low": 0.0,
                                                           "high": 0.2}}), SCAN_JOBS),
        (lambda v: v["scan"]["tiny"].update(fixed={"training.max_epochs": 1}), SCAN_JOBS),
        (lambda v: v["scan"]["sum"].update(seed=3), {"sum"}),
        (lambda v: v["points"][1]["n_images"].update(train=19), TRAINED | {"train", "sum"}),
        (lambda v: v["estimators"]["tiny"]["training"].update(momentum=0.8), SCAN_JOBS | {"train"}),
        (lambda v: v.pop("scan") and v.update(scan=SCANS), set()),
    ],
)  # fmt: skip
def test_edit_reruns_only_affected_jobs(change, jobs):
    before, after = digests(dict), digests(change)
    assert {name for name in JOBS if before[name] != after[name]} == jobs
