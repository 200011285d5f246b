"""Dependencies of the digest of each job."""

import copy
from pathlib import Path

import pytest
import yaml

from wilsonvox.config.reading import parse_configuration
from wilsonvox.config.samples import SampleRow
from wilsonvox.stages.run import Run
from wilsonvox.workflow.job_digest import JobDigests

TINY = yaml.safe_load((Path(__file__).parents[2] / "workflow/tiny.yaml").read_text())
WHOLE = {"image": "b8_n300", "estimator": "tiny"}
FIT = {"image": "b8_n300", "estimator": "likelihood"}
STAGES = {
    "generate_events": {"point": "c9_-1.00", "split": "train", "campaign": "001"},
    "voxelize": {"image": "b8_n300", "point": "c9_-1.00", "split": "train", "campaign": "001"},
    "train": WHOLE,
    "evaluate": WHOLE | {"split": "test", "point": "c9_+0.00"},
    "summarize": WHOLE,
    "measure": WHOLE | {"sample": "mine"},
    "plot_distributions": {},
    "plot_linearity": WHOLE,
    "plot_network": WHOLE,
    "plot_topology": {},
}
FITS = {
    "prepare_estimator": FIT,
    "evaluate_events": FIT | {"split": "test", "point": "c9_+0.00"},
    "summarize": FIT,
    "measure_events": FIT | {"sample": "mine"},
    "plot_linearity": FIT,
}
AFTER_TRAINING = {"train", "evaluate", "summarize", "measure", "plot_linearity", "plot_network"}


SUM = {"image": "b8_n300", "estimator": "sum"}
SUMS = {
    "train_voxel_sum": SUM,
    "evaluate": SUM | {"split": "test", "point": "c9_+0.00"},
    "summarize": SUM,
    "measure": SUM | {"sample": "mine"},
}


def digests(change=None, sample=None, stages=STAGES):
    values = copy.deepcopy(TINY)
    if change is not None:
        change(values)
    row = SampleRow(**({"sample": "mine", "path": "a.root"} | (sample or {})))
    lineage = JobDigests(Run(parse_configuration(values), {"mine": row}))
    return {stage: lineage.digest(stage, **words) for stage, words in stages.items()}


def changed(stages=STAGES, **changes):
    before, after = digests(stages=stages), digests(stages=stages, **changes)
    return {stage for stage in stages if before[stage] != after[stage]}


def test_equal_configurations_have_equal_digests():
    assert changed() == set()
    assert len(set(digests().values())) == len(STAGES)


@pytest.mark.parametrize(
    ("change", "stages"),
    [
        (lambda values: values.update(run="other"), set()),
        (lambda values: values["estimators"]["tiny"]["training"].update(learning_rate=0.02),
         AFTER_TRAINING),
        (lambda values: values["points"].reverse(), AFTER_TRAINING),
        (lambda values: values["points"][2]["shifts"].update(c9=[-0.5, -0.2]),
         {"summarize", "measure", "plot_linearity"}),
        (lambda values: values.update(seed=8), set(STAGES) - {"plot_topology"}),
        (lambda values: values["images"]["b8_n300"].update(bins=9), AFTER_TRAINING | {"voxelize"}),
        (lambda values: values["figures"].update(distributions_q2_gev2=[1.1, 6.0]),
         {"plot_distributions"}),
        (lambda values: values["figures"].update(linearity="gaussian"), {"plot_linearity"}),
        (lambda values: values["figures"].update(linearity="mean"), set()),
    ],
)  # fmt: skip
def test_a_setting_changes_what_comes_after_it(change, stages):
    assert changed(change=change) == stages


def test_a_row_of_the_samples_changes_its_measurement_only():
    assert changed(sample={"layout": "belle2"}) == {"measure"}


@pytest.mark.parametrize(
    ("change", "stages"),
    [
        (lambda values: values["estimators"]["tiny"]["training"].update(learning_rate=0.02), set()),
        (lambda values: values["points"].reverse(), set()),
        (lambda values: values["points"][0]["n_images"].update(train=13), set()),
        (lambda values: values["estimators"]["likelihood"].update(parameter_range=[-4, 4]),
         set(FITS)),
        (lambda values: values["estimators"].update(other=values["estimators"]["tiny"]), set()),
        (lambda values: values.update(seed=8), set(FITS) - {"prepare_estimator"}),
        (lambda values: values.update(generation={"lepton": "electron"}), set(FITS)),
        (lambda values: values.update(generation={"four_momenta": True}),
         set(FITS) - {"prepare_estimator"}),
        (lambda values: values.update(physics_inputs="flavio"), set(FITS)),
        (lambda values: values["images"].update(more={"events_per_image": 100}), set()),
    ],
)  # fmt: skip
def test_a_setting_changes_what_comes_after_it_of_a_fit(change, stages):
    assert changed(FITS, change=change) == stages


def test_a_row_of_the_samples_changes_its_measurement_by_a_fit_only():
    assert changed(FITS, sample={"layout": "belle2"}) == {"measure_events"}


def test_a_fit_changes_nothing_of_a_network():
    def remove(values):
        del values["estimators"]["likelihood"]

    assert changed(change=remove) == set()


def test_what_generation_leaves_to_its_defaults_changes_nothing():
    defaults = {"lepton": "muon", "flavour": "B0", "four_momenta": False}
    everything = STAGES | FITS
    assert changed(everything, change=lambda v: v.update(generation=defaults)) == set()
    conjugate = {"antiparticle_shifts": "conjugate"}
    found = changed(everything, change=lambda v: v.update(generation=conjugate))
    assert found == set(everything) - {"plot_topology"}


def with_sum(change=None):
    def both(values):
        values["estimators"]["sum"] = {"architecture": "voxel-sum", "images": ["b8_n300"]}
        if change is not None:
            change(values)

    return both


def test_a_voxel_sum_follows_its_own_settings_and_its_images():
    before = digests(stages=SUMS, change=with_sum())
    for change, same in (
        (lambda values: values["estimators"]["sum"].update(q2_knots=8), set()),
        (lambda values: values["points"][1]["n_images"].update(train=19), set()),
        (lambda values: values["estimators"]["tiny"]["training"].update(max_epochs=3), set(SUMS)),
    ):
        after = digests(stages=SUMS, change=with_sum(change))
        assert {stage for stage in SUMS if before[stage] == after[stage]} == same


def test_a_voxel_sum_beside_a_network_changes_nothing_of_it():
    assert changed(change=with_sum()) == set()


SAMPLED = {"split": "train", "campaign": "000"}


def test_the_shifts_of_a_sampled_point_are_behind_its_events():
    def lineage(box, number):
        values = copy.deepcopy(TINY)
        sobol = {"box": {"c9": box}, "number": number}
        values["points"].append({"sobol": sobol, "n_images": {"train": 12}})
        return JobDigests(Run(parse_configuration(values), {}))

    def events(lineage, point):
        return lineage.digest("generate_events", point=point, **SAMPLED)

    first = lineage([-2, 1], 2)
    more, wider = lineage([-2, 1], 3), lineage([-2, 2], 2)
    for point in ("sobol_0000", "sobol_0001", "c9_-1.00"):
        assert events(more, point) == events(first, point)
    # the lower corner is the same, the centre is not
    assert events(wider, "sobol_0000") == events(first, "sobol_0000")
    assert events(wider, "sobol_0001") != events(first, "sobol_0001")
    assert more.digest("train", **WHOLE) != first.digest("train", **WHOLE)


def test_settings_that_came_later_count_where_they_are_set():
    def defaults(values):
        values["images"]["b8_n300"] |= {
            "antiparticle_angles": "conjugate", "multiple_entries": "averaged",
        }  # fmt: skip
        training = values["estimators"]["tiny"].setdefault("training", {})
        training["learning_rate_schedule"] = "plateau"

    assert changed(change=defaults) == set()

    def removed(values):
        values["images"]["b8_n300"]["multiple_entries"] = "removed"

    assert "voxelize" in changed(change=removed)
    assert "generate_events" not in changed(change=removed)

    def step(values):
        values["estimators"]["tiny"].setdefault("training", {})["learning_rate_schedule"] = "step"

    assert changed(change=step) == AFTER_TRAINING
