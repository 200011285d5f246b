"""Jobs of configurations: the DAG is built, nothing runs."""

import re

import pytest

from wilsonvox.core.errors import UserError

from .conftest import ROOT, by_rule

EVERY_RULE = {
    "angular_coefficients", "generate_events", "ingest_events", "voxelize", "voxelize_sample",
    "train", "prepare_estimator", "evaluate", "evaluate_events", "summarize", "measure",
    "measure_events", "plot_topology", "plot_distributions",
    "plot_voxels", "plot_network", "plot_training", "plot_histograms", "plot_linearity",
    "plot_linearity_unscaled", "plot_sensitivity", "image_information", "plot_information",
}  # fmt: skip


def test_tiny_needs_every_rule(folder):
    jobs = by_rule(folder.planned("tiny.yaml"))
    # three points with train (two campaigns at one), validation and test, and one in between
    campaigns = 3 + 1 + 3 + 3 + 1
    many = {"generate_events": campaigns, "voxelize": campaigns, "evaluate": 4}
    # both estimators
    many |= {"evaluate_events": 4, "summarize": 2}
    many |= dict.fromkeys(("plot_histograms", "plot_linearity", "plot_linearity_unscaled"), 2)
    assert jobs == dict.fromkeys(EVERY_RULE, 1) | many


@pytest.mark.parametrize(
    ("target", "rules"),
    [
        ("events", {"angular_coefficients", "generate_events", "ingest_events"}),
        ("voxels", {"angular_coefficients", "generate_events", "ingest_events", "voxelize",
                    "voxelize_sample"}),
        ("models", {"angular_coefficients", "generate_events", "voxelize", "train",
                    "prepare_estimator"}),
        ("measurements", {rule for rule in EVERY_RULE - {"image_information"}
                          if not rule.startswith("plot")}),
        ("figures", EVERY_RULE - {"ingest_events", "voxelize_sample", "measure",
                                  "measure_events"}),
    ],
)  # fmt: skip
def test_named_targets_need_their_rules_only(folder, target, rules):
    jobs = folder.planned("tiny.yaml", targets=(target,))
    assert set(by_rule(jobs)) == rules


def test_models_do_not_need_test_images(folder):
    jobs = folder.planned("tiny.yaml", targets=("models",))
    assert {job.wildcards.split("/")[0] for job in jobs if job.rule == "generate_events"} == {
        "train",
        "validation",
    }


def test_demo_is_the_default(folder):
    default = folder.planned()
    assert by_rule(default) == by_rule(folder.planned("config/demo.yaml"))
    assert by_rule(default)["evaluate"] >= 9 + 4  # training points and those in between


def test_a_configuration_has_no_values_of_the_default_one(folder):
    """Keys of the demo must not enter it: paper has other points, images and estimators."""
    jobs = folder.planned("config/paper.yaml")
    assert {job.wildcards for job in jobs if job.rule == "train"} == {
        "b50_n24000/resnet34",
        "b50_n24000/resnet34-coordinates",
    }
    trained = {job.wildcards.split("/")[1] for job in jobs if job.rule == "generate_events"}
    assert "c9_-1.75" not in trained  # a point of the demo
    assert len(trained) == 28


def test_paper_stays_below_two_thousand_jobs(folder):
    assert len(folder.planned("config/paper.yaml")) < 2000


def test_the_proceedings_train_with_twelve_thousand_images_of_a_million_voxels(folder):
    jobs = folder.planned("config/proceedings2023.yaml")
    assert len(jobs) < 2000
    assert "ingest_events" not in by_rule(jobs)
    commands = {(job.rule, job.wildcards): " ".join(job.command) for job in jobs}
    train = commands["train", "b100_n24000/resnet34"]
    assert "--normalisation none" in train
    assert "--dense-units 5000" in train
    assert "--early-stopping-patience 50" in train
    voxelize = [words for (rule, _), words in commands.items() if rule == "voxelize"]
    learned = [words for words in voxelize if "/train/" in words or "/validation/" in words]
    images = [int(words.split("--images ")[1].split()[0]) for words in learned]
    assert (len(images), sum(images)) == (2 * 22, 22 * 540)
    for words in voxelize:
        assert "--bins 100 --events-per-image 24000" in words
        assert "--flavour both --antiparticle-angles positive-lepton" in words
        assert "--multiple-entries" not in words
    events = [words for (rule, _), words in commands.items() if rule == "generate_events"]
    assert all("--flavour both" in words for words in events)
    drawn = [words for (rule, _), words in commands.items() if "--ensembles gaussian" in words]
    assert len(drawn) == 2 * 2
    assert all(words.startswith("wilsonvox plot linearity ") for words in drawn)


def test_the_preprint_cuts_its_learning_rate_whatever_the_loss(folder):
    jobs = folder.planned("config/preprint2023.yaml")
    (train,) = (" ".join(job.command) for job in jobs if job.rule == "train")
    assert "--learning-rate-schedule step --reduce-factor 0.2 --reduce-patience 5" in train
    assert "--minimum-learning-rate 0.0" in train
    assert "--normalisation none" in train
    (paper,) = (
        " ".join(job.command)
        for job in folder.planned("config/paper.yaml")
        if job.rule == "train" and job.wildcards.endswith("/resnet34")
    )
    assert "--learning-rate-schedule" not in paper


def test_one_value_on_the_command_line_changes_the_default(folder):
    jobs = folder.planned(config={"run": "other", "measure": []})
    assert by_rule(jobs)["generate_events"] == by_rule(folder.planned())["generate_events"]
    assert "measure" not in by_rule(jobs)
    run = folder.snakemake(
        "-n", "-p", "--config", "seed=5", "--", "results/demo/events/test/c9_+0.00/000.root"
    )
    assert "--seed 5 " in run.stdout + run.stderr


def test_all_that_selects_a_flavour_is_told_that_of_the_events(folder):
    def change(values):
        values["generation"] = {"flavour": "B0bar"}
        values["images"]["b8_n300"]["flavour"] = "B0bar"

    folder.configure(change)
    targets = ("results/tiny/figures/distributions.png",
               "results/tiny/models/b8_n300/likelihood/estimator.npz")  # fmt: skip
    run = folder.snakemake("-n", "-p", "--configfile", "tiny.yaml", "--", *targets)
    lines = [line for line in run.stdout.splitlines() if "wilsonvox " in line and ">" in line]
    commands = {line.split("wilsonvox ")[1].split(" -")[0]: "B0bar" in line for line in lines}
    assert commands == {"coefficients": False, "generate": True, "plot distributions": True,
                        "prepare": True}  # fmt: skip


def test_figures_of_another_coefficient_are_told_so(folder):
    def change(values):
        values["points"] = [{"shifts": {"c10": [0.0, -0.5, -1.0, -1.5]}, "n_images": {"test": 10}}]
        fit = values["estimators"]["likelihood"] | {"coefficients": ["c10"]}
        values["estimators"] = {"likelihood": fit}
        del values["figures"]

    folder.configure(change)
    run = folder.snakemake("-n", "-p", "--configfile", "tiny.yaml", "--", "figures")
    lines = [line for line in run.stdout.splitlines() if "wilsonvox plot" in line and ">" in line]
    told = [line.split("wilsonvox plot ")[1] for line in lines if "--coefficient c10 " in line]
    assert {line.split()[0] for line in told} == {"histograms", "linearity", "sensitivity"}
    (line,) = (line for line in run.stdout.splitlines() if "wilsonvox information" in line)
    assert "--point c10_+0.00 --point c10_-1.50 --coefficient c10 " in line


def test_more_images_specifications_and_estimators_multiply_only_their_jobs(folder):
    def add(values):
        values["images"]["b4_n100"] = {"bins": 4, "events_per_image": 100}
        other = {"images": ["b8_n300", "b4_n100"]}
        values["estimators"]["other"] = values["estimators"]["tiny"] | other

    folder.configure(add)
    jobs = by_rule(folder.planned("tiny.yaml"))
    assert jobs["generate_events"] == 11
    assert jobs["voxelize"] == 22
    assert jobs["voxelize_sample"] == 2
    assert jobs["train"] == jobs["measure"] == jobs["plot_network"] == 3
    assert jobs["plot_linearity"] == 3 + 1
    assert jobs["prepare_estimator"] == 1
    assert jobs["plot_sensitivity"] == 2
    assert jobs["evaluate"] == 12


def test_images_of_fewer_events_are_compared_in_one_figure(folder):
    def add(values):
        image = values["images"]["b8_n300"]
        values["images"] |= {
            "b8_n100": image | {"events_per_image": 100, "fraction_of_events": 0.5},
            "b4_n100": image | {"events_per_image": 100, "bins": 4},
        }
        values["estimators"]["likelihood"]["images"] = [*values["images"]]

    folder.configure(add)
    found = [job for job in folder.planned("tiny.yaml") if job.rule == "plot_luminosity"]
    assert [sorted(job.inputs) for job in found] == [
        [
            f"results/tiny/evaluation/{image}/likelihood/summary.parquet"
            for image in ("b8_n100", "b8_n300")
        ]
    ]


def test_without_samples_nothing_is_measured(folder):
    folder.configure(lambda values: values.update(samples_table=None))
    rules = set(by_rule(folder.planned("tiny.yaml")))
    assert EVERY_RULE - rules == {"ingest_events", "voxelize_sample", "measure", "measure_events"}


def only(*names):
    """Return a change of the configuration that keeps only these estimators."""

    def change(values):
        kept = {name: values["estimators"][name] for name in names}
        values["estimators"] = kept

    return change


def test_without_a_network_nothing_is_trained_and_no_training_events_are_made(folder):
    def change(values):
        only("likelihood")(values)
        for group in values["points"]:
            group["n_images"].pop("train", None)
            group["n_images"].pop("validation", None)

    folder.configure(change)
    jobs = folder.planned("tiny.yaml")
    networks = {"train", "evaluate", "measure", "plot_network", "plot_training"}
    # images of a sample are only for networks
    assert EVERY_RULE - set(by_rule(jobs)) == networks | {"voxelize_sample"}
    splits = {job.wildcards.split("/")[0] for job in jobs if job.rule == "generate_events"}
    assert splits == {"test", "interpolation"}


def test_without_a_fit_nothing_is_prepared(folder):
    folder.configure(only("tiny"))
    rules = set(by_rule(folder.planned("tiny.yaml")))
    assert EVERY_RULE - rules == {"prepare_estimator", "evaluate_events", "measure_events"}


def test_a_voxel_sum_is_an_estimator_of_images_without_epochs(folder):
    def add(values):
        values["estimators"]["sum"] = {
            "architecture": "voxel-sum", "images": ["b8_n300"], "q2_knots": 8,
        }  # fmt: skip

    before = by_rule(folder.planned("tiny.yaml"))
    folder.configure(add)
    planned = folder.planned("tiny.yaml")
    more = {
        "train_voxel_sum": 1, "evaluate": 4, "summarize": 1, "measure": 1, "plot_histograms": 1,
        "plot_linearity": 1, "plot_linearity_unscaled": 1,
    }  # fmt: skip
    assert by_rule(planned) == {
        rule: before.get(rule, 0) + more.get(rule, 0) for rule in before | more
    }
    (job,) = (job for job in planned if job.rule == "train_voxel_sum")
    assert job.outputs == ("results/tiny/models/b8_n300/sum/model.keras",)
    assert "--estimator sum --q2-knots 8" in " ".join(job.command)
    # the weights do not depend on the number of cores
    assert "--threads 1 " in " ".join(job.command)


def add_scans(values, rounds=2):
    values["estimators"]["sum"] = {"architecture": "voxel-sum", "images": ["b8_n300"]}
    rates = {"training.learning_rate": {"low": 0.001, "high": 0.1, "log": True}}
    knots = {"q2_knots": {"low": 4, "high": 8}, "head_degree": {"choices": [1, 2]}}
    values["scan"] = {
        "tiny": {"parameters": rates, "rounds": rounds, "trials_per_round": 3,
                 "fixed": {"training.max_epochs": 1}},
        "sum": {"parameters": knots, "rounds": 1, "trials_per_round": 2},
    }  # fmt: skip


def test_a_scan_is_a_target_of_its_own_round_by_round(folder):
    before = by_rule(folder.planned("tiny.yaml"))
    folder.configure(add_scans)
    # not part of a run
    assert not {rule for rule in by_rule(folder.planned("tiny.yaml")) if "trial" in rule}
    assert before["train"] == 1
    planned = folder.planned("tiny.yaml", targets=("scan",))
    assert by_rule(planned) == {
        "angular_coefficients": 1, "generate_events": 7, "voxelize": 7, "suggest_trials": 3,
        "train_trial": 6, "train_trial_voxel_sum": 2, "collect_trials": 2, "plot_scan": 2,
    }  # fmt: skip
    jobs = {(job.rule, job.wildcards): job for job in planned}
    scan = "results/tiny/scans/b8_n300/tiny"

    def trials(*numbers):
        return {f"{scan}/trials/{number:03d}/trial.json" for number in numbers}

    # each round follows all trials of earlier ones
    assert jobs["suggest_trials", "b8_n300/tiny/0"].inputs == ()
    assert set(jobs["suggest_trials", "b8_n300/tiny/1"].inputs) == trials(0, 1, 2)
    for number in range(6):
        job = jobs["train_trial", f"b8_n300/tiny/{number:03d}"]
        assert [each for each in job.inputs if "round" in each] == [
            f"{scan}/round_{number // 3}.json"
        ]
        assert not [each for each in job.inputs if "/test/" in each]
    collected = jobs["collect_trials", "b8_n300/tiny"]
    rounds = {f"{scan}/round_0.json", f"{scan}/round_1.json"}
    assert set(collected.inputs) == trials(*range(6)) | rounds
    words = " ".join(jobs["suggest_trials", "b8_n300/tiny/0"].command)
    assert '--parameter training.learning_rate {"low":0.001,"high":0.1,"log":true}' in words
    assert "--max-epochs 1 " in words


def test_one_more_round_leaves_those_before_it(folder):
    jobs = {}
    for rounds in (2, 3):
        folder.configure(lambda values, rounds=rounds: add_scans(values, rounds))
        planned = folder.planned("tiny.yaml", targets=("scan",))
        jobs[rounds] = {(job.rule, job.wildcards): job.command for job in planned}
    more = set(jobs[3]) - set(jobs[2])
    assert more == {("suggest_trials", "b8_n300/tiny/2")} | {
        ("train_trial", f"b8_n300/tiny/{number:03d}") for number in (6, 7, 8)
    }
    changed = {each for each in jobs[2] if jobs[2][each] != jobs[3][each]}
    assert changed == {("collect_trials", "b8_n300/tiny")}


def test_the_target_scan_without_a_scan_is_an_error(folder):
    run = folder.snakemake("-n", "--configfile", "tiny.yaml", "--", "scan")
    assert run.returncode == 1
    assert "scan: the configuration has no hyperparameter scan" in run.stdout + run.stderr


def test_a_fit_reads_the_events_of_its_images(folder):
    point = "b8_n300/likelihood/test/c9_-1.00"
    jobs = {(job.rule, job.wildcards): job for job in folder.planned("tiny.yaml")}
    job = jobs["evaluate_events", point]
    name = "test/c9_-1.00/000"
    assert set(job.inputs) == {
        "results/tiny/models/b8_n300/likelihood/estimator.npz",
        f"results/tiny/voxels/b8_n300/{name}.npz",
        f"results/tiny/events/{name}.root",
    }
    assert job.outputs == (f"results/tiny/evaluation/{point}.parquet",)
    assert ("evaluate", point) not in jobs


def test_settings_of_the_generation_reach_the_commands(folder):
    def change(values):
        only("likelihood")(values)
        values["physics_inputs"] = "flavio"
        values["generation"] = {
            "lepton": "electron", "flavour": "B0bar", "antiparticle_shifts": "conjugate",
            "four_momenta": True, "frame": "belle2",
        }  # fmt: skip
        values["images"]["b8_n300"]["flavour"] = "B0bar"

    plain = {job.rule: " ".join(job.command) for job in folder.planned("tiny.yaml")}
    for rule in ("angular_coefficients", "generate_events", "prepare_estimator"):
        for option in ("--lepton", "--antiparticle-shifts", "--four-momenta", "--frame"):
            assert option not in plain[rule], rule
    folder.configure(change)
    words = {job.rule: " ".join(job.command) for job in folder.planned("tiny.yaml")}
    decay = "--physics-inputs flavio --lepton electron --antiparticle-shifts conjugate"
    assert decay in words["angular_coefficients"]
    assert decay in words["prepare_estimator"]
    assert "--flavour B0bar --four-momenta --frame belle2" in words["generate_events"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values.update(sede=3), "sede: .*did you mean 'seed'"),
        (lambda values: values.update(measure=["ntupel"]), "did you mean 'ntuple'"),
        (lambda values: values.update(samples_table="absent.tsv"), "absent.tsv: cannot be read"),
        (lambda values: values["figures"].update(shown_points=[0.0, 1.0]), "no point with test"),
        (lambda values: values["estimators"]["likelihood"].update(network={}), "of resnet"),
        (lambda values: values.update(generation={"flavour": "B0bar"}), "images.b8_n300.flavour"),
    ],
)
def test_bad_configuration_is_one_clear_line(folder, change, message):
    folder.configure(change)
    with pytest.raises(UserError, match=message) as caught:
        folder.planned("tiny.yaml")
    assert "\n" not in str(caught.value)


def test_bad_configuration_on_the_command_line_has_no_traceback(folder):
    folder.configure(lambda values: values.update(sede=3))
    run = folder.snakemake("-n", "--configfile", "tiny.yaml")
    assert run.returncode == 1
    assert "tiny.yaml: sede: unknown key; did you mean 'seed'?" in run.stdout + run.stderr
    assert "Traceback" not in run.stderr + run.stdout


def test_a_training_keeps_its_state_in_a_file_that_is_no_output(folder):
    # Snakemake deletes outputs before a job runs, and incomplete outputs of killed jobs
    model = "results/tiny/models/b8_n300/tiny/model.keras"
    run = folder.snakemake(model, "--dry-run", "--printshellcmds", "--configfile", "tiny.yaml")
    assert run.returncode == 0, run.stderr
    lines = [line for line in run.stdout.splitlines() if "training_state" in line]
    assert len(lines) == 1
    assert "wilsonvox train " in lines[0]
    assert " --state results/tiny/training_state/b8_n300/tiny.npz " in lines[0]
    assert " --tensorboard results/tiny/logs/train/b8_n300/tiny " in lines[0]


def test_missing_external_file_is_named(folder):
    (folder.path / "samples.tsv").write_text("sample\tpath\nmine\tdata/absent.root\n")
    run = folder.snakemake("-n", "--configfile", "tiny.yaml")
    assert run.returncode == 1
    assert "data/absent.root" in run.stderr + run.stdout


def test_event_files_are_temporary_where_the_configuration_says_so(folder):
    assert not any(job.temporary for job in folder.planned("tiny.yaml"))
    jobs = folder.planned("tiny.yaml", config={"keep_event_files": False})
    assert {job.rule for job in jobs if job.temporary} == {"generate_events"}


def test_every_rule_has_log_benchmark_and_resources():
    files = sorted((ROOT / "workflow/rules").glob("*.smk"))
    rules = [rule for path in files for rule in re.split(r"^ *rule\b", path.read_text(),
                                                         flags=re.MULTILINE)[1:]]  # fmt: skip
    assert len(rules) > 20
    # outputs() and report_pages() refuse empty files
    checked = re.compile(r"non_empty=True|\*\*(figure_)?outputs\(|\*\*report_pages\(\)")
    for rule in rules:
        for directive in ("log:", "benchmark:", "threads:", "**resources("):
            assert directive in rule, (directive, rule)
        assert checked.search(rule), rule
        assert "lambda" not in rule
        assert "checkpoint" not in rule
    common = (ROOT / "workflow/rules/common.smk").read_text()
    assert common.count("non_empty=True") == 2
    assert len(common.splitlines()) < 100
