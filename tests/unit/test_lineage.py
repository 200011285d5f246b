"""What the one digest of each job depends on."""

import copy
from pathlib import Path

import pytest
import yaml

from wilsonvox.config import SampleRow, parse_configuration
from wilsonvox.lineage import Lineage

TINY = yaml.safe_load((Path(__file__).parents[1] / "workflow/tiny.yaml").read_text())
WHOLE = {"image": "b8_n300", "estimator": "tiny"}
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
AFTER_TRAINING = {"train", "evaluate", "summarize", "measure", "plot_linearity", "plot_network"}


def digests(change=None, sample=None):
    values = copy.deepcopy(TINY)
    if change is not None:
        change(values)
    row = SampleRow(**({"sample": "mine", "path": "a.root"} | (sample or {})))
    lineage = Lineage(parse_configuration(values), {"mine": row})
    return {stage: lineage.digest(stage, **words) for stage, words in STAGES.items()}


def changed(**changes):
    before, after = digests(), digests(**changes)
    return {stage for stage in STAGES if before[stage] != after[stage]}


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
    ],
)  # fmt: skip
def test_a_setting_changes_what_comes_after_it(change, stages):
    assert changed(change=change) == stages


def test_a_row_of_the_samples_changes_its_measurement_only():
    assert changed(sample={"layout": "belle2"}) == {"measure"}
