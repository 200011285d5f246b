"""Estimated cost of configurations, compared with the measured cost of the demonstration."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from wilsonvox.cli import run
from wilsonvox.cli.plan import command
from wilsonvox.config.reading import load_configuration, parse_configuration
from wilsonvox.config.samples import measured_samples
from wilsonvox.core.errors import UserError
from wilsonvox.voxels.specification import ImageSpecification
from wilsonvox.workflow.planning.costs import CostEstimate, Plan, plan, total
from wilsonvox.workflow.planning.jobs import PlannedJob, occupied_voxels, planned, trainings
from wilsonvox.workflow.planning.rates import RATES_FILE, Rate, Rates, load_rates
from wilsonvox.workflow.planning.report import duration, lines, size, sure

DEMO = Path("config/demo.yaml")
PAPER = Path("config/paper.yaml")
COST = json.loads(Path("tests/data/demo_cost.json").read_text())
FACTOR = 2


def plan_of(path: Path, **changes: object) -> Plan:
    configuration = load_configuration(path).model_copy(update=changes)
    return plan(configuration, measured_samples(configuration))


@pytest.fixture(scope="module")
def demo() -> Plan:
    return plan_of(DEMO)


@pytest.fixture(scope="module")
def paper() -> Plan:
    return plan_of(PAPER)


def agrees(expected: float, found: float) -> bool:
    return found / FACTOR <= expected <= found * FACTOR


# ---------------------------------------------------------------- the demonstration's actual cost


def test_jobs_of_the_demonstration(demo):
    measured = {name: rule["jobs"] for name, rule in COST["rules"].items()}
    planned_jobs = {rule.rule: rule.jobs for rule in demo.rules}
    assert {name: planned_jobs[name] for name in measured} == measured
    # figures may have been added since the measurement
    assert all(name.startswith("plot_") for name in set(planned_jobs) - set(measured))


def test_a_figure_without_measured_rates_has_those_of_a_typical_one():
    rates = load_rates()
    assert rates.rule("plot_new") == rates.rule("plot_linearity")
    with pytest.raises(UserError, match="no rates of rule summarize_new were measured"):
        rates.rule("summarize_new")


def test_a_plan_reports_that_it_omits_the_scan(demo):
    scan = plan_of(Path("config/scan.yaml"))
    assert scan.scan_trials == 3 * 4 + 2 * 4
    assert "Not counted: the target scan. Its 20 trials" in "\n".join(lines(scan))
    assert not any("trial" in rule.rule for rule in scan.rules)
    assert demo.scan_trials == 0
    assert "Not counted" not in "\n".join(lines(demo))


def test_files_of_the_demonstration(demo):
    names = ("outputs", "logs", "benchmarks", "notes")
    new = [rule for rule in demo.rules if rule.rule not in COST["rules"]]
    added = {
        "outputs": sum(rule.outputs for rule in new),
        "logs": sum(rule.jobs for rule in new),
        "benchmarks": sum(rule.jobs for rule in new),
        "notes": sum(rule.outputs for rule in new),
    }
    stages = {stage.stage: stage for stage in demo.stages if stage.stage != "the run"}
    assert set(stages) == set(COST["stages"])
    for name, stage in stages.items():
        # only figures may have been added since the measurement
        more = added if name == "figures" else dict.fromkeys(names, 0)
        expected = {n: COST["stages"][name][n] + more[n] for n in names}
        assert {n: getattr(stage, n) for n in names} == expected


def missed(rule):
    """Return the time of a rule missed by the benchmarks of Snakemake [s].

    Snakemake samples every 0.5 s, and later every 30 s: it misses up to 0.5 s per job, or up to
    30 s for jobs of more than 15 s.
    """
    return rule.jobs * (0.5 if rule.core_seconds.value < 15 * rule.jobs else 30)


@pytest.mark.parametrize("stage", COST["stages"])
def test_processor_time_of_each_stage_of_the_demonstration(demo, stage):
    rules = [rule for rule in demo.rules if rule.stage == stage and rule.rule in COST["rules"]]
    expected = sum(rule.core_seconds.value for rule in rules)
    found = sum(COST["rules"][rule.rule]["cpu_seconds"] for rule in rules)
    assert found / FACTOR <= expected <= (found + sum(map(missed, rules))) * FACTOR


@pytest.mark.parametrize("rule", ["generate_events", "voxelize", "train", "evaluate", "summarize"])
def test_processor_time_of_the_large_rules_of_the_demonstration(demo, rule):
    cost = next(each for each in demo.rules if each.rule == rule)
    assert agrees(cost.core_seconds.value, COST["rules"][rule]["cpu_seconds"])


def test_processor_time_of_the_whole_demonstration(demo):
    expected = demo.core_seconds.value + demo.snakemake.core_seconds.value
    assert agrees(expected, COST["whole_seconds"])
    assert agrees(
        demo.core_seconds.value, sum(rule["cpu_seconds"] for rule in COST["rules"].values())
    )


@pytest.mark.parametrize("rule", COST["rules"])
def test_memory_of_each_rule_of_the_demonstration(demo, rule):
    cost = next(each for each in demo.rules if each.rule == rule)
    assert agrees(cost.memory_bytes.value, COST["rules"][rule]["memory_bytes"])


def test_memory_of_a_training_counts_its_largest_shard():
    """Memory depends on the size of campaigns, not on their number."""

    def memory(images: int, in_campaign: int) -> float:
        values = load_configuration(DEMO).model_dump(exclude_unset=True)
        for group in values["points"]:
            group["n_images"] = dict.fromkeys(("train", "validation", "test"), images)
        values["images_per_campaign"] = {"train": in_campaign, "validation": 10}
        found = plan(parse_configuration(values), {})
        return next(rule.memory_bytes.value for rule in found.rules if rule.rule == "train")

    assert memory(3000, 100) == memory(300, 100)
    voxels = occupied_voxels(ImageSpecification(bins=50, events_per_image=24_000))
    # index, mean q2 and count: ten bytes per voxel
    assert memory(3000, 1000) - memory(3000, 100) == pytest.approx(900 * voxels * 10)


def test_the_largest_job_of_the_demonstration(demo):
    largest = max(COST["rules"], key=lambda rule: COST["rules"][rule]["memory_bytes"])
    assert demo.largest_memory.rule == largest


@pytest.mark.parametrize("stage", COST["stages"])
def test_storage_of_each_stage_of_the_demonstration(demo, stage):
    expected = sum(rule.output_bytes.value for rule in demo.rules if rule.stage == stage)
    assert agrees(expected, COST["stages"][stage]["output_bytes"])


def test_storage_of_the_whole_demonstration(demo):
    found = sum(stage["output_bytes"] for stage in COST["stages"].values())
    assert agrees(demo.kept_bytes.value, found)


def test_the_demonstration_lies_within_the_uncertainty_of_the_plan(demo):
    for rule in demo.rules:
        if rule.rule not in COST["rules"]:  # a figure added since the measurement
            continue
        found = COST["rules"][rule.rule]
        estimate = rule.core_seconds
        assert estimate.low <= found["cpu_seconds"] + missed(rule), rule.rule
        assert estimate.high >= found["cpu_seconds"], rule.rule
        memory = rule.memory_bytes
        assert found["memory_bytes"] <= memory.high, rule.rule
        # Snakemake also misses the largest size of short jobs
        seen = found["cpu_seconds"] > 2 * rule.jobs and not 15 < estimate.value / rule.jobs < 60
        if seen:
            assert memory.low <= found["memory_bytes"], rule.rule


# ---------------------------------------------------------------- what it follows from


def test_rates_do_not_come_from_the_demonstration():
    bench = Path("tests/bench/bench_rates.py").read_text()
    assert "demo.yaml" not in bench
    assert "demo_cost" not in bench


def test_events_of_a_plan_are_those_of_its_campaigns(demo):
    configuration = load_configuration(DEMO)
    events = sum(
        configuration.campaign_events(point, split, campaign)
        for split in ("train", "validation", "test", "interpolation")
        for point in configuration.labels(split)
        for campaign in configuration.campaigns(point, split)
    )
    assert demo.generator.events == events
    # 37,000 to 52,000 events per second
    assert demo.generator.evtgen_most_core_seconds == pytest.approx(events / 37_000)
    assert demo.generator.evtgen_least_core_seconds == pytest.approx(events / 52_000)
    assert demo.generator.core_seconds.high < demo.generator.evtgen_least_core_seconds


def test_occupied_voxels_are_at_most_those_of_evenly_spread_events():
    image = ImageSpecification(bins=50, events_per_image=24_000)
    assert occupied_voxels(image) == pytest.approx(
        125_000 * (1 - (1 - 1 / 125_000) ** 24_000), rel=1e-5
    )
    # the images of all campaigns, and two per sample
    found = COST["stages"]["voxels"]["output_bytes"] / (2640 + 1170 + 3 * 2) / 10
    assert 0.95 < found / occupied_voxels(image) < 1


def test_a_training_is_planned_for_its_maximum_number_of_epochs(paper, demo):
    training, with_coordinates = paper.trainings
    assert with_coordinates.multiply_accumulates > training.multiply_accumulates
    assert with_coordinates.epochs == training.epochs
    assert (training.images, training.validation_images) == (61_560, 16_200)
    assert (training.least_epochs, training.epochs) == (21, 1000)
    assert next(rule for rule in paper.rules if rule.rule == "train").upper_limit
    # the patience of early stopping is as long as the training
    (training,) = demo.trainings
    assert training.least_epochs == training.epochs == 12
    assert not any(rule.upper_limit for rule in demo.rules)


def test_twice_the_epochs_take_twice_the_time_of_the_network():
    configuration = load_configuration(PAPER)
    estimator = configuration.estimators["resnet34"]
    half = estimator.training.model_copy(update={"max_epochs": 500})
    configuration = configuration.model_copy(update={"estimators": {"resnet34": estimator}})
    estimators = {"resnet34": estimator.model_copy(update={"training": half})}
    halved = configuration.model_copy(update={"estimators": estimators})
    samples = measured_samples(configuration)
    (whole,), (part,) = (plan(each, samples).trainings for each in (configuration, halved))
    assert part.gpu_seconds.value == pytest.approx(whole.gpu_seconds.value / 2)
    assert part.core_seconds.value == pytest.approx(whole.core_seconds.value / 2, rel=1e-3)


def test_gpu_hours_hold_for_the_published_rates_of_two_gpus(paper):
    training = paper.trainings[0]
    passes = 3 * (61_560 // 128 * 128) + 16_200
    products = 1000 * passes * training.multiply_accumulates
    # training of ResNet-50 by NVIDIA: images per second on a V100 (float32) and an A100 (TF32)
    for images_per_second in (412, 909):
        seconds = products / (images_per_second * 3 * 4.09e9)
        assert training.gpu_seconds.low < seconds < training.gpu_seconds.high


def test_snakemake_starts_twice_in_each_job_of_a_cluster(demo):
    rates = load_rates().snakemake
    start = rates.run_seconds + rates.job_seconds
    assert demo.snakemake.cluster_core_seconds.value == pytest.approx(2 * demo.jobs * start)
    assert demo.snakemake.core_seconds.value == pytest.approx(
        rates.run_seconds + demo.jobs * rates.job_seconds
    )


def test_passes_of_an_epoch():
    configuration = load_configuration(DEMO)
    (training,) = trainings(configuration, {})
    # 73 whole batches of 32 out of 2,340 images, forward and two backward; 300 images to validate
    assert training.passes == 3 * 73 * 32 + 300


def test_outputs_learned_are_the_coefficients_that_vary():
    values = load_configuration(DEMO).model_dump(mode="json", exclude_unset=True)
    one = plan(parse_configuration(values), {})
    values["points"][0]["shifts"] |= {"c10": [0.0, 0.5], "c7": 0.0}
    values["points"][0]["shifts"]["c9"] = [-2.0, 0.0]
    values["points"][1]["shifts"] |= {"c10": 0.25, "c7": 0.0}
    values["figures"] = {"shown_points": [0.0, -2.0]}
    with pytest.raises(UserError, match="shown_points"):
        parse_configuration(values)
    values["points"].append({"shifts": {"c9": [0.0, -2.0]}, "n_images": {"test": 2}})
    del values["estimators"]["likelihood"], values["estimators"]["angular-likelihood"]
    two = plan(parse_configuration(values), {})
    dense = 32 + 1  # one more output of the last layer
    assert two.trainings[0].parameters == one.trainings[0].parameters + dense


def test_deleted_event_files_are_no_storage_at_the_end(demo):
    without = plan_of(DEMO, keep_event_files=False)
    events, kept = (
        next(stage for stage in each.stages if stage.stage == "events") for each in (without, demo)
    )
    assert events.outputs == 0
    assert events.deleted_bytes.value > 1e9
    assert kept.outputs == 43
    assert not kept.deleted_bytes.value
    # "events", its four splits, the points of each
    assert demo.folders - without.folders == 1 + 4 + 43
    assert demo.kept_bytes.value - without.kept_bytes.value == pytest.approx(
        events.deleted_bytes.value
    )


def test_amounts_have_rates():
    configuration = load_configuration(DEMO)
    rates = load_rates()
    for job in planned(configuration, measured_samples(configuration)):
        rule = rates.rule(job.rule)
        assert rule.seconds.of(job.amounts) > 0
        assert rule.memory_bytes.of(job.amounts) > 10e6
        assert rule.output_bytes.of(job.amounts) > 0


def fit_jobs(**changes: object) -> dict[str, list[PlannedJob]]:
    """Return the jobs of the demonstration with only the likelihood, by rule."""
    configuration = load_configuration(DEMO)
    fit = configuration.estimators["likelihood"].model_copy(update=changes)
    configuration = configuration.model_copy(update={"estimators": {"likelihood": fit}})
    found: dict[str, list[PlannedJob]] = {}
    for job in planned(configuration, measured_samples(configuration)):
        found.setdefault(job.rule, []).append(job)
    return found


def test_a_run_without_networks_trains_nothing():
    jobs = fit_jobs()
    assert not set(jobs) & {"train", "evaluate", "measure", "plot_network", "plot_training"}
    # images of a sample are only for networks
    assert "voxelize_sample" not in jobs
    assert [len(jobs[name]) for name in ("prepare_estimator", "evaluate_events")] == [1, 13]
    assert len(jobs["measure_events"]) == 3
    configuration = load_configuration(DEMO)
    fits = configuration.event_estimators()
    result = plan(configuration.model_copy(update={"estimators": fits}), {})
    text = "\n".join(lines(result))
    assert "No estimator is trained." in text
    assert "GPU" not in text


def test_a_fit_costs_by_its_events_and_the_terms_of_their_polynomials():
    job = fit_jobs()["evaluate_events"][0]
    assert job.amounts["likelihood_terms"] == 90 * 24_000 * 3
    assert job.amounts["angular_likelihood_terms"] == 0
    more = fit_jobs(coefficients=("c9", "c10", "c9_imaginary"))["evaluate_events"][0]
    assert more.amounts["likelihood_terms"] == 90 * 24_000 * 10
    rate = load_rates().rule("evaluate_events").seconds
    assert rate.of(more.amounts) > 1.5 * rate.of(job.amounts)


def test_a_rule_without_rates_is_named():
    values = json.loads(RATES_FILE.read_text())
    del values["rules"]["evaluate_events"]
    configuration = load_configuration(DEMO)
    with pytest.raises(UserError, match="no rates of rule evaluate_events were measured"):
        plan(configuration, {}, Rates.model_validate(values))


# ---------------------------------------------------------------- how sure


def test_a_sum_is_as_sure_as_what_is_in_it():
    parts = [CostEstimate(value=10, factor=2), CostEstimate(value=90, factor=1)]
    assert total(parts).value == 100
    assert total(parts).factor == pytest.approx(1.1)
    assert total([]) == CostEstimate(value=0, factor=1)


def test_a_figure_cannot_be_surer_than_exact():
    with pytest.raises(ValidationError):
        CostEstimate(value=1, factor=0.5)


# ---------------------------------------------------------------- rates


def test_a_rate_is_linear_in_the_amounts():
    rate = Rate(per={"job": 2.0, "events": 0.5}, factor=1.1)
    assert rate.of({"job": 1, "events": 10, "images": 3}) == 7


def test_rates_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(UserError, match=r"absent\.json: cannot be read"):
        load_rates(tmp_path / "absent.json")
    path = tmp_path / "rates.json"
    path.write_text("{")
    with pytest.raises(UserError, match=r"rates\.json: not JSON"):
        load_rates(path)
    values = json.loads(RATES_FILE.read_text())
    values["rules"]["train"]["seconds"]["factor"] = "large"
    path.write_text(json.dumps(values))
    with pytest.raises(UserError, match=r"rates\.json: rules\.train\.seconds\.factor: "):
        load_rates(path)


def test_rates_double_what_they_are_multiplied_with(demo):
    values = json.loads(RATES_FILE.read_text())
    rate = values["rules"]["generate_events"]["seconds"]["per"]
    values["rules"]["generate_events"]["seconds"]["per"] = {k: 2 * v for k, v in rate.items()}
    configuration = load_configuration(DEMO)
    other = plan(configuration, measured_samples(configuration), Rates.model_validate(values))
    assert other.generator.core_seconds.value == pytest.approx(
        2 * demo.generator.core_seconds.value
    )


# ---------------------------------------------------------------- what is printed


@pytest.mark.parametrize("path", [DEMO, PAPER])
def test_tables_fit_a_terminal(path):
    text = list(lines(plan_of(path)))
    assert max(map(len, text)) <= 100
    assert not any(line != line.rstrip() for line in text)


def test_paper_says_what_is_not_measured_and_what_is_a_limit(paper):
    text = "\n".join(lines(paper))
    assert re.search(r"resnet34 +61,560 +4,559 M +≤ 1,000", text)
    assert "GPU-hours, not measured" in text
    assert "early stopping ends it after 21 to 1,000 epochs" in text
    assert "EvtGen itself would take" in text
    assert paper.measured_on.processor in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.44, "0.4 s"), (119, "119 s"), (120, "2.0 min"), (7199, "120 min"), (7200, "2.0 h")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_sizes_and_certainties():
    assert [size(n) for n in (500, 1.5e6, 69e9, 2e12)] == ["0.5 kB", "1.5 MB", "69 GB", "2.0 TB"]
    assert [sure(f) for f in (1.05, 1.5, 1.999, 3.2)] == [
        "± 5 %",
        "± 50 %",
        "factor 2",
        "factor 3.2",
    ]


# ---------------------------------------------------------------- the command


def test_the_command_prints_tables_and_writes_json(tmp_path, demo):
    path = tmp_path / "plan.json"
    result = CliRunner().invoke(command, ["--config", str(DEMO), "--json", str(path)])
    assert result.exit_code == 0
    assert result.output.splitlines() == list(lines(demo))
    written = json.loads(path.read_text())
    assert written["jobs"] == demo.jobs
    assert written["files"] == demo.files
    assert written["gpu_seconds"]["factor"] == pytest.approx(3)
    assert {rule["rule"] for rule in written["rules"]} == {rule.rule for rule in demo.rules}


def test_json_alone_on_standard_output():
    result = CliRunner().invoke(command, ["--configfile", str(DEMO), "--json", "-"])
    assert result.exit_code == 0
    assert json.loads(result.output)["run"] == "demo"


def test_a_misspelt_key_is_one_line(tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    path.write_text(DEMO.read_text().replace("seed:", "sede:"))
    assert run(["plan", "--config", str(path), "--json", str(tmp_path / "plan.json")]) == 1
    captured = capsys.readouterr()
    assert captured.err.strip().endswith(
        f"{path}: sede: unknown key; did you mean 'seed'? (1 more)"
    )
    assert captured.err.count("\n") == 1
    assert not captured.out
    assert not (tmp_path / "plan.json").exists()


def test_no_configuration_is_one_line(tmp_path, capsys):
    assert run(["plan", "--config", str(tmp_path / "absent.yaml")]) == 1
    assert "absent.yaml: cannot be read" in capsys.readouterr().err
    assert run(["plan"]) == 1
