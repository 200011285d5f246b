"""Code digests of stages: reruns after edits of the source."""

import shutil

import pytest

from wilsonvox.config.reading import parse_configuration
from wilsonvox.estimators import ARCHITECTURES
from wilsonvox.provenance.code import SourceTree, chosen, stage_digest
from wilsonvox.provenance.recording import architectures_of, make_record
from wilsonvox.stages.events import FOUR_MOMENTA
from wilsonvox.stages.run import Run
from wilsonvox.stages.table import STAGES
from wilsonvox.workflow.job_digest import JobDigests

from .conftest import ROOT, TINY

SOURCE = ROOT / "workflow/src"
RESNET = ["resnet"]
PLOTS = {stage for stage in STAGES if stage.startswith("plot_")}
BEFORE_TRAINING = {"angular_coefficients", "generate_events", "ingest_events", "voxelize",
                   "voxelize_sample"}  # fmt: skip
# stages of a scan, whose trainings rerun whenever other trainings do
SCANNED = {"collect_trials", "plot_scan"}
SUGGESTED = {"suggest_trials", "train_trial", "train_trial_voxel_sum"} | SCANNED


def after(*names):
    """Return all stages that read outputs of some stages, directly or through others."""
    found = set(names)
    while more := {name for name in STAGES if set(STAGES[name].after) & found} - found:
        found |= more
    return found - set(names)


AFTER_TRAINING = after("train") - {"evaluate_events", "measure_events"}

# stages of a global fit with a measurement from another run
MEASURED_APART = {"measure_for_global_fit", "plot_global_fit_contours"}
OF_GLOBAL_FITS = {stage for stage in PLOTS if stage.startswith("plot_global_fit")} | {
    "tabulate_observables", "fit_coefficients", "train_inverse_network", "train_gan",
} | MEASURED_APART  # fmt: skip

# stages for results of all networks and GANs, and of one kind
OF_MACHINES = {
    "plot_global_fit_training_sets", "plot_global_fit_best_sample", "plot_global_fit_contours",
}  # fmt: skip
OF_NETWORKS = OF_MACHINES | {
    "train_inverse_network", "plot_global_fit_network", "plot_global_fit_posterior",
}  # fmt: skip
OF_GANS = OF_MACHINES | {"train_gan", "plot_global_fit_gan", "plot_global_fit_images"}

LIKELIHOOD = ["likelihood"]
OF_FITS = {"prepare_estimator", "evaluate_events", "measure_events"}
AFTER_FITS = after("prepare_estimator") - OF_FITS - {"measure"}


@pytest.fixture
def changed(tmp_path):
    """Return the stages whose digest differs after an edit of a file.

    Only stages for estimators of `architectures` are considered.
    """
    copy = tmp_path / "src"
    shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("__pycache__"))

    def digests(architectures):
        source = SourceTree(copy)
        return {
            name: source.stage_digest(name, architectures)
            for name in STAGES
            if chosen(name, architectures)
        }

    def edit(path, append="", replace=("", ""), architectures=RESNET):
        file = copy / "wilsonvox" / path
        text = file.read_text() if file.exists() else ""
        assert replace[0] in text
        before = digests(architectures)
        file.write_text(text.replace(*replace, 1) + append if replace[0] else text + append)
        after = digests(architectures)
        return {stage for stage in before if after[stage] != before[stage]}

    return edit


CODE = "\n\n_NEW = 1\n"


def test_every_stage_has_its_own_digest():
    source = SourceTree(SOURCE)
    digests = {stage: source.stage_digest(stage, RESNET) for stage in STAGES}
    assert len(set(digests.values())) == len(STAGES)
    assert digests["train"] == stage_digest("train", RESNET)
    assert source.stage_digest("train", []) != digests["train"]


@pytest.mark.parametrize(
    "module",
    ["events/event_file.py", "voxels/shards.py", "training/loop.py", "voxels/binning.py"],
)
def test_comments_docstrings_and_layout_do_not_count(changed, module):
    assert changed(module, append='\n\n# a comment\n"""A bare string."""\n\n\n') == set()
    assert changed(module, replace=('"""', '"""Reworded. ')) == set()


@pytest.mark.parametrize(
    "path", ["cli/train.py", "cli/__init__.py", "config/run.py", "records/record.py",
             "estimators/settings.py", "estimators/__init__.py", "report/summary_table.py"],
)  # fmt: skip
def test_what_only_carries_values_does_not_count(changed, path):
    assert changed(path, append=CODE) == set()


def test_one_figure_draws_itself_again(changed):
    assert changed("figures/linearity.py", append=CODE) == {
        "plot_linearity",
        "plot_linearity_unscaled",
    }


def test_style_draws_every_figure_again_and_nothing_else(changed):
    assert changed("figures/style.py", append=CODE) == PLOTS


def test_voxels_rerun_all_that_comes_after_them(changed):
    # figures of events or of the decay need no images
    stages = changed("voxels/binning.py", append=CODE)
    assert stages >= {"voxelize", "voxelize_sample", "train", "plot_voxels"} | AFTER_TRAINING
    assert not stages & {"angular_coefficients", "generate_events", "ingest_events",
                         "plot_topology", "plot_distributions"}  # fmt: skip


def test_amplitudes_rerun_generated_events_but_not_external_ones(changed):
    stages = changed("theory/amplitudes.py", append=CODE)
    of_networks = set(STAGES) - OF_FITS - {"train_voxel_sum", "train_trial_voxel_sum"}
    of_networks -= OF_GLOBAL_FITS
    assert of_networks - stages == {
        "ingest_events", "voxelize_sample", "plot_topology", "suggest_trials",
    }  # fmt: skip


def test_data_files_count(changed):
    inputs = next((SOURCE / "wilsonvox/theory").rglob("*.yaml"))
    path = inputs.relative_to(SOURCE / "wilsonvox")
    assert "angular_coefficients" in changed(path, append="\n# changed\n")


def test_training_reruns_estimators_only(changed):
    stages = changed("training/loop.py", append=CODE)
    assert stages >= {"train"} | AFTER_TRAINING
    assert not stages & BEFORE_TRAINING


def test_an_architecture_counts_for_its_own_estimators_only(changed, monkeypatch):
    monkeypatch.setitem(ARCHITECTURES, "other", "wilsonvox.estimators.other")
    assert changed("estimators/other.py", append=CODE) == set()
    made = {"train", "train_trial"} | SCANNED | AFTER_TRAINING
    assert changed("estimators/networks/resnet.py", append=CODE) == made


def test_a_fit_counts_for_its_own_estimators_only(changed):
    module = "estimators/fits/unbinned.py"
    assert changed(module, append=CODE) == set()
    assert changed(module, append=CODE, architectures=["angular-likelihood"]) == set()
    assert changed(module, append=CODE, architectures=LIKELIHOOD) == OF_FITS | AFTER_FITS
    # the figure that compares both kinds
    both = changed(module, append=CODE, architectures=[*RESNET, *LIKELIHOOD])
    assert "plot_sensitivity" in both
    assert not both & {"train", "evaluate", "plot_network"}


def test_networks_and_fits_are_no_code_behind_each_other(changed):
    assert changed("estimators/fits/prepared.py", append=CODE) == set()
    found = changed("estimators/fits/prepared.py", append=CODE, architectures=LIKELIHOOD)
    assert found == OF_FITS | AFTER_FITS
    for path in (
        "estimators/model_file.py",
        "estimators/networks/resnet.py",
        "training/loop.py",
        "estimators/networks/image_batches.py",
    ):
        assert changed(path, append=CODE, architectures=LIKELIHOOD) == set(), path


def test_a_voxel_sum_and_a_network_are_no_code_behind_each_other(changed):
    made = {"train_voxel_sum", "train_trial_voxel_sum"} | SCANNED | AFTER_TRAINING
    made -= {"plot_network", "plot_training"}
    for path in ("estimators/voxel_sum/network.py", "estimators/voxel_sum/head.py"):
        assert changed(path, append=CODE) == set(), path
        assert changed(path, append=CODE, architectures=["voxel-sum"]) == made, path
    for path in ("estimators/networks/resnet.py", "training/callbacks.py"):
        assert changed(path, append=CODE, architectures=["voxel-sum"]) == set(), path


def test_suggestions_rerun_scans_only(changed):
    assert changed("training/scan/study.py", append=CODE) == SUGGESTED - {"train_trial_voxel_sum"}
    assert changed("training/scan/comparison.py", append=CODE) == SCANNED
    assert changed("cli/scan.py", append=CODE) == set()


def test_a_global_fit_reruns_what_its_code_is_behind(changed):
    fitted = {
        "fit_coefficients", "plot_global_fit_observables", "plot_global_fit_contours",
        "plot_global_fit_posterior",
    }  # fmt: skip
    assert changed("global_fit/fits.py", append=CODE) == fitted
    assert changed("global_fit/tabulation.py", append=CODE) == (
        OF_GLOBAL_FITS - {"measure_for_global_fit"}
    )
    assert changed("global_fit/learning/settings.py", append=CODE) == set()
    # a set of measurements is compared by content, for the stages that read it
    assert changed("global_fit/data/lhcb-2015.yaml", append="\n# a comment\n") == set()


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("global_fit/learning/inverse_networks.py", OF_NETWORKS),
        ("global_fit/learning/posteriors.py", OF_NETWORKS),
        ("global_fit/learning/gans.py", OF_GANS),
        ("global_fit/learning/mode_collapse.py", OF_GANS),
        ("global_fit/learning/training_sets.py", OF_NETWORKS | OF_GANS),
        (
            "global_fit/chi_squared.py",
            OF_GLOBAL_FITS - {"tabulate_observables", "measure_for_global_fit"},
        ),
        ("global_fit/learning/model_summary.py", {"plot_global_fit_contours"}),
        ("figures/global_fit/training_sets.py", {"plot_global_fit_training_sets"}),
    ],
)
def test_a_learning_machine_is_no_code_behind_fits_and_other_machines(changed, module, expected):
    assert changed(module, append=CODE) == expected


def test_ingestion_reruns_measurements_only(changed):
    assert changed("theory/kinematics.py", append=CODE) == MEASURED_APART | {
        "ingest_events", "voxelize_sample", "measure", "plot_corner",
    }  # fmt: skip
    found = changed("theory/kinematics.py", append=CODE, architectures=LIKELIHOOD)
    assert found == {"ingest_events", "voxelize_sample", "measure_events", "plot_corner"}


def test_four_momenta_count_where_they_are_written(changed):
    module = "events/generation/four_momenta.py"
    assert changed(module, append=CODE) == set()
    assert changed(module, append=CODE, architectures=LIKELIHOOD) == set()
    assert "generate_events" in changed(module, append=CODE, architectures=[FOUR_MOMENTA])


def test_only_events_that_have_four_momenta_ask_for_their_code(monkeypatch):
    asked = {}

    def digest(stage, architectures):
        asked[stage] = list(architectures)
        return ""

    monkeypatch.setattr("wilsonvox.workflow.job_digest.code_digest", digest)
    words = {"image": "b8_n300", "point": "c9_-1.00", "split": "train", "campaign": "000"}
    for given, parts in (False, []), (True, [FOUR_MOMENTA]):
        values = TINY | {"generation": {"four_momenta": given}}
        JobDigests(Run(parse_configuration(values), {})).digest("voxelize", **words)
        assert asked["generate_events"] == parts
        assert FOUR_MOMENTA not in asked["voxelize"] + asked["angular_coefficients"]


def test_a_record_depends_on_the_code_of_four_momenta_only_if_it_ran(tmp_path):
    records = [
        make_record("generate_events", tmp_path / "a.root", {"four_momenta": given}, command=["x"])
        for given in (False, True)
    ]
    assert [architectures_of(record) for record in records] == [(), (FOUR_MOMENTA,)]
    assert records[0].code_digest != records[1].code_digest


PACKAGE = {
    "__init__.py": "",
    "cli/__init__.py": "",
    "cli/train.py": "from wilsonvox.cli.shared import work\n",
    "cli/shared.py": "from .. import direct\ndef work():\n    import wilsonvox.deep.lazy\n",
    "direct.py": (
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import wilsonvox.typing_only\n"
        "else:\n    import wilsonvox.otherwise\n"
        "class A:\n    def f(self):\n        if True:\n            from .deep import name\n"
    ),
    "deep/__init__.py": "name = 1\n",
    "deep/lazy.py": "import wilsonvox.config, json\n",
    "config.py": "import wilsonvox.hidden\n",
    "hidden.py": "",
    "otherwise.py": "",
    "typing_only.py": "",
    "unused.py": "",
}


def test_closure_follows_imports_at_any_level(tmp_path):
    for name, text in PACKAGE.items():
        path = tmp_path / "wilsonvox" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert SourceTree(tmp_path).closure(["wilsonvox.cli.train"]) == [
        "wilsonvox", "wilsonvox.deep", "wilsonvox.deep.lazy", "wilsonvox.direct",
        "wilsonvox.otherwise",
    ]  # fmt: skip


def test_a_stage_without_its_module_is_an_error(tmp_path):
    with pytest.raises(LookupError, match=r"'train': there is no module wilsonvox\.cli\.train"):
        SourceTree(tmp_path).stage_digest("train")
