"""What a site refuses is known at once, in sbatch's own words."""

import pytest

from .conftest import Run, lines_with

pytestmark = pytest.mark.slurm


@pytest.mark.parametrize(
    ("rule", "resource", "value", "words"),
    [
        ("generate_events", "slurm_partition", "'nowhere'", "invalid partition specified: nowhere"),
        ("train", "gres", "'gpu:9'", "Requested node configuration is not available"),
        ("voxelize", "runtime", 100_000, "Requested time limit is invalid"),
    ],
)
def test_refused_at_once(run: Run, rule, resource, value, words):
    run.change_profile(lambda profile: profile["set-resources"][rule].update({resource: value}))
    printed = run.snakemake(code=1)
    told = lines_with(printed, "sbatch refuses")
    run.show(f"{resource} {value} of {rule}", *told)
    assert len(told) == 1, printed
    assert rule in told[0]
    assert words in told[0]
    assert "File " not in printed
    assert run.jobs() == []
    assert not list(run.results.rglob("*.root"))
