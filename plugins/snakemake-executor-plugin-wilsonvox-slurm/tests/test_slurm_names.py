"""Names of a run's jobs."""

import re
from types import SimpleNamespace

import pytest

from snakemake_executor_plugin_wilsonvox_slurm.names import JobNames

GUARD = SimpleNamespace(name="demo", digest="0123456789abcdef")


def test_names(tmp_path):
    names = JobNames.of(GUARD, tmp_path)
    name = f"{names.prefix}_0b1c2d3e-uuid"
    assert re.fullmatch(r"demo-[0-9a-f]{8}-01234567", names.prefix)
    assert names.same_run(name)
    assert names.same_state(name)


def test_another_configuration_of_the_same_run(tmp_path):
    name = f"{JobNames.of(GUARD, tmp_path).prefix}_uuid"
    other = JobNames.of(SimpleNamespace(name="demo", digest="f" * 64), tmp_path)
    assert other.same_run(name)
    assert not other.same_state(name)


def test_jobs_of_others(tmp_path):
    name = f"{JobNames.of(GUARD, tmp_path).prefix}_uuid"
    for other in (
        JobNames.of(SimpleNamespace(name="demo2", digest=GUARD.digest), tmp_path),
        JobNames.of(GUARD, tmp_path / "elsewhere"),
    ):
        assert not other.same_run(name)
        assert not other.same_state(name)
    names = JobNames.of(GUARD, tmp_path)
    for foreign in ("wrap", names.run, f"{names.run}-x_uuid", f"my-{name}"):
        assert not names.same_run(foreign)


def test_a_link_leads_to_the_same_folder(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    there, link = (JobNames.of(GUARD, tmp_path / name) for name in ("there", "link"))
    assert there == link


@pytest.mark.parametrize("name", ["a.b+c", "x" * 80, "demo_1-2"])
def test_prefix_is_one_that_snakemake_accepts(tmp_path, name):
    guard = SimpleNamespace(name=name, digest=GUARD.digest)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,50}", JobNames.of(guard, tmp_path).prefix)
