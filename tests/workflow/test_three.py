"""Several coefficients at points of a Sobol sequence: the DAG and a small run."""

import json

import pytest

from wilsonvox.ensembles.summary import coefficients_in
from wilsonvox.ensembles.tables import PREDICTION_COLUMNS, SUMMARY_COLUMNS, read_table
from wilsonvox.events.event_file import read_metadata
from wilsonvox.theory.sobol import sobol_points

from .conftest import ROOT, by_rule

IMAGE = "b16_n10000"
NAMES = ("c7", "c9", "c10")


def prepare(folder, change=None):
    """Write the configuration of three coefficients, and a sample with enough events."""
    text = (ROOT / "tests/workflow/three.yaml").read_text()
    (folder.path / "three.yaml").write_text(text if change is None else change(text))
    (folder.path / "samples.tsv").write_text(
        "sample\tpath\ttrue_point\n"
        "evtgen\tresources/evtgen/evtgen_btosllnpr_b0_dc9_-0.90.root\tc9_-0.90\n"
    )


def test_sampled_points_reach_the_commands_with_their_shifts(folder):
    prepare(folder)
    planned = folder.planned("three.yaml")
    jobs = by_rule(planned)
    assert jobs["generate_events"] == 12 + 3 * 2 + 8
    assert jobs["plot_corner"] == 1
    commands = {job.wildcards: " ".join(job.command) for job in planned}
    box = {"c7": (-0.15, 0.15), "c9": (-3.0, 2.0), "c10": (-1.5, 1.5)}
    (shifts,) = sobol_points(box, 1, 13)
    words = " ".join(f"--shift {name}={value!r}" for name, value in shifts.items())
    assert (
        "--point sobol_0013 --split interpolation --campaign 000 --events"
        in commands["interpolation/sobol_0013/000"]
    )
    assert words in commands["interpolation/sobol_0013/000"]
    (corner,) = (job for job in planned if job.rule == "plot_corner")
    assert [path.split("/")[-2] for path in corner.inputs] == ["voxel-sum", "likelihood"]


@pytest.mark.slow
def test_a_run_of_three_coefficients(folder):
    prepare(folder)
    local = ("--profile", ROOT / "profiles/local", "--cores", "2", "--configfile", "three.yaml")
    run = folder.snakemake(*local)
    assert run.returncode == 0, run.stdout + run.stderr
    results = folder.path / "results/three"
    metadata = read_metadata(results / "events/train/sobol_0002/000.root")
    box = {"c7": (-0.2, 0.2), "c9": (-4.0, 3.0), "c10": (-2.5, 2.5)}
    assert metadata.shifts == sobol_points(box, 1, 2)[0]
    for estimator in ("voxel-sum", "likelihood"):
        folder_of = results / f"evaluation/{IMAGE}/{estimator}"
        frame, _ = read_table(folder_of / "interpolation/sobol_0012.parquet", PREDICTION_COLUMNS)
        assert coefficients_in(frame) == NAMES
        summary, about = read_table(folder_of / "summary.parquet", SUMMARY_COLUMNS)
        assert len(summary) == 3 * 10
        assert about.joint is not None
        assert about.joint.coefficients == NAMES
        # no estimate is better than the bound; with so few images the uncertainty is a third
        volumes = [each.volume_over_bound for each in about.joint.points]
        assert sum(volumes) / len(volumes) > 0.6
        measured = json.loads(
            (results / f"measurements/{IMAGE}/{estimator}/evtgen.json").read_text()
        )
        assert measured["true_shifts"] == {"c7": 0.0, "c9": -0.9, "c10": 0.0}
        assert measured["n_images"] == 6
    assert (results / f"figures/{IMAGE}/corner/evtgen.pdf").is_file()
    assert folder.planned("three.yaml") == []
    # an additional point only needs its own events
    prepare(folder, lambda text: text.replace("number: 8", "number: 9"))
    more = {job.wildcards for job in folder.planned("three.yaml") if job.rule == "generate_events"}
    assert more == {"interpolation/sobol_0020/000"}
