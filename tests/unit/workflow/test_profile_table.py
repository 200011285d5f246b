"""Cluster profiles: generation from the table, and evaluation by Snakemake."""

import importlib.util
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from wilsonvox.provenance.code import chosen, stage_packages
from wilsonvox.stages.figures import DRAWING
from wilsonvox.stages.table import STAGES

ROOT = Path(__file__).parents[3]
PROFILES = ROOT / "profiles"

spec = importlib.util.spec_from_file_location("make_profiles", PROFILES / "make_profiles.py")
make_profiles = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make_profiles)

TABLE = make_profiles.read_table()


def cluster_resources(rule: str) -> dict[str, Any]:
    """Return what the first attempt of a rule asks of a cluster; figures ask what the rule asks."""
    return TABLE.get(rule, {"mem_mb": DRAWING.memory_mb, "runtime": DRAWING.minutes})


SITES_PAGE = (ROOT / "docs/user_guide/sites.md").read_text()
SITES = re.findall(r"^## (.+?)\n(?:.*?)```yaml\n(.*?)```", SITES_PAGE,
                   re.DOTALL | re.MULTILINE)  # fmt: skip


def with_site(text: str, block: str) -> str:
    """Return the text of a profile with the settings of another site."""
    return re.sub(r"^__variables__:\n(  .*\n)+", lambda _: block, text, flags=re.MULTILINE)


def read_profile(name, tmp_path, block=None):
    """Return the options of a profile as read by Snakemake."""
    from snakemake.profiles import ProfileConfigFileParser

    text = (PROFILES / name / "config.yaml").read_text()
    path = tmp_path / "config.yaml"
    path.write_text(with_site(text, block) if block else text)
    with path.open() as stream:
        return ProfileConfigFileParser().parse(stream)


def resources(options, rule, attempt=1):
    """Return the resources of a job in one attempt, as evaluated by Snakemake."""
    from snakemake.cli import parse_set_resources
    from snakemake.resources import Resources

    found = Resources.parse(options["default-resources"], allow_expressions=True)
    found.update(parse_set_resources(options["set-resources"])[rule])
    values = {"wildcards": {}, "input": [], "threads": 1, "rulename": rule, "async_run": None}
    for name, resource in found.items():
        if resource.is_evaluable():
            resource = resource.evaluate(attempt=attempt, **values)  # noqa: PLW2901
        yield name, resource.value


def asked(options, rule, attempt=1):
    found = dict(resources(options, rule, attempt))
    # Snakemake stores memory under the name without unit
    return {{"mem": "mem_mb"}.get(name, name): value for name, value in found.items()}


@pytest.mark.parametrize("name", make_profiles.PROFILES)
def test_profiles_are_those_of_the_table(name):
    text = (PROFILES / name / "config.yaml").read_text()
    assert make_profiles.MARKER in text
    assert text == make_profiles.with_resources(text, name, TABLE), "run `make profiles`"


def test_a_site_block_stays_when_profiles_are_written_again():
    text = (PROFILES / "slurm/config.yaml").read_text()
    mine = re.sub("CPU_PARTITION: .*", "CPU_PARTITION: mine", text)
    assert mine != text
    other = TABLE | {"voxelize": TABLE["voxelize"] | {"mem_mb": 1234}}
    written = make_profiles.with_resources(mine, "slurm", other)
    assert "CPU_PARTITION: mine" in written
    assert "mem_mb: ?memory(1234, CPU_MAX_MEM_MB)" in written


def test_threads_of_the_table_reach_the_profile():
    text = (PROFILES / "slurm/config.yaml").read_text()
    other = TABLE | {"voxelize": TABLE["voxelize"] | {"threads": 4}}
    values = yaml.safe_load(make_profiles.with_resources(text, "slurm", other))
    assert values["set-threads"] == {"voxelize": 4}


def test_rules_on_gpus_are_those_whose_code_imports_keras():
    # a voxel-sum is fitted with means, on a CPU. Networks and GANs of a global fit have few layers
    # and some thousand samples, too few for a GPU
    on_cpus = {"train_inverse_network", "train_gan"}
    keras = {
        name
        for name in STAGES
        if chosen(name, ["resnet"]) and "keras" in stage_packages(name, ["resnet"])
    } - on_cpus
    assert {rule for rule, entry in TABLE.items() if entry.get("gpu")} == keras
    assert keras == {"train", "train_trial", "evaluate", "measure", "measure_for_global_fit"}


@pytest.mark.parametrize("name", ["slurm", "slurm-partitions", "lsf"])
def test_attempts_ask_for_more_up_to_the_limits_of_the_site(name, tmp_path):
    options = read_profile(name, tmp_path)
    site = yaml.safe_load((PROFILES / name / "config.yaml").read_text())["__variables__"]
    for rule, entry in TABLE.items():
        kind = "GPU" if entry.get("gpu") else "CPU"
        most = site[f"{kind}_MAX_RUNTIME"]
        most_memory = max(site[f"{kind}_MAX_MEM_MB"], entry["mem_mb"])
        for attempt in (1, 2, 4):
            found = asked(options, rule, attempt)
            assert found["runtime"] == min(attempt * entry["runtime"], most)
            assert found["mem_mb"] == min(attempt * entry["mem_mb"], most_memory)


def test_a_whole_site_block_reaches_the_jobs(tmp_path, monkeypatch):
    scratch = tmp_path / "local-17"
    block = f"""\
__variables__:
  CPU_PARTITION: all  # a function of Python, too
  CPU_MAX_RUNTIME: 10
  CPU_MAX_MEM_MB: 1000
  GPU_PARTITION: max
  GPU_GRES: gpu:NV-A30:2
  GPU_CONSTRAINT: hopper
  GPU_MAX_RUNTIME: 20
  GPU_MAX_MEM_MB: 2000
  ACCOUNT: 123456
  QOS: normal
  EXTRA: --licenses=sps
  NODE_SCRATCH: {tmp_path}/local-$SLURM_JOB_ID
"""
    options = read_profile("slurm", tmp_path, block)
    train, voxelize = asked(options, "train"), asked(options, "voxelize")
    assert (train["slurm_partition"], train["gres"]) == ("max", "gpu:NV-A30:2")
    assert (voxelize["slurm_partition"], voxelize["slurm_account"]) == ("all", "123456")
    assert (voxelize["qos"], voxelize["slurm_extra"]) == ("normal", "--licenses=sps")
    assert train["slurm_extra"] == "--signal=TERM@120 --licenses=sps"
    assert (train["constraint"], voxelize.get("constraint")) == ("hopper", None)
    # memory is not limited below that of the first attempt; time is
    assert (train["mem_mb"], train["runtime"]) == (TABLE["train"]["mem_mb"], 20)
    # the folder on the node is evaluated on the node
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.delenv("SLURM_TMPDIR", raising=False)
    assert asked(options, "train")["tmpdir"] not in (str(scratch), None)
    scratch.mkdir()
    assert asked(options, "train")["tmpdir"] == str(scratch)
    monkeypatch.setenv("SLURM_TMPDIR", str(tmp_path))
    assert asked(options, "train")["tmpdir"] == str(tmp_path)


def test_names_that_are_left_empty_are_not_asked_for(tmp_path):
    text = (PROFILES / "slurm/config.yaml").read_text()
    block = re.search(r"^__variables__:\n(  .*\n)+", text, re.MULTILINE)[0]
    for name in ("CPU_PARTITION", "ACCOUNT", "QOS", "EXTRA", "GPU_CONSTRAINT"):
        block = re.sub(f"  {name}: .*", f'  {name}: ""', block)
    options = read_profile("slurm", tmp_path, block)
    assert options["executor"] == "wilsonvox-slurm"
    train, voxelize = asked(options, "train"), asked(options, "voxelize")
    assert set(train) - set(voxelize) == {"slurm_partition", "gres", "slurm_extra"}
    assert not {"slurm_account", "qos", "constraint"} & set(train)
    assert train["slurm_extra"] == "--signal=TERM@120"


def test_lsf_and_htcondor_get_the_names_of_their_plugins(tmp_path):
    lsf = read_profile("lsf", tmp_path)
    assert asked(lsf, "voxelize")["lsf_queue"] == "s"
    assert asked(lsf, "train")["lsf_queue"] == "h"
    text = (PROFILES / "lsf/config.yaml").read_text()
    block = re.search(r"^__variables__:\n(  .*\n)+", text, re.MULTILINE)[0]
    block = block.replace('GPU_OPTIONS: ""', 'GPU_OPTIONS: "-gpu num=1"')
    block = block.replace('PROJECT: ""', "PROJECT: belle2")
    lsf = read_profile("lsf", tmp_path, block)
    assert asked(lsf, "train")["lsf_extra"] == "-gpu num=1"
    assert asked(lsf, "train")["lsf_project"] == "belle2"

    htcondor = read_profile("htcondor", tmp_path)
    train, voxelize = asked(htcondor, "train", 2), asked(htcondor, "voxelize", 2)
    assert train["request_gpus"] == 1
    assert train["htcondor_request_mem_mb"] == 2 * TABLE["train"]["mem_mb"]
    assert train["allowed_execute_duration"] == 2 * 60 * TABLE["train"]["runtime"]
    assert "request_gpus" not in voxelize
    assert voxelize["htcondor_request_mem_mb"] == 2 * TABLE["voxelize"]["mem_mb"]


@pytest.mark.parametrize("name", ["lsf", "htcondor"])
def test_untested_profiles_are_marked(name):
    first = (PROFILES / name / "config.yaml").read_text().splitlines()[:5]
    assert any("has not been used on a real" in line for line in first)


@pytest.mark.parametrize(
    ("rule", "attempt", "partition"),
    [
        ("voxelize", 1, "shared"),
        ("voxelize", 4, "shared"),
        ("evaluate", 1, "gpu"),
        ("train", 1, "gpu"),
        ("train", 3, "gpu"),
    ],
)
def test_partitions_are_chosen_by_size(rule, attempt, partition, tmp_path):
    options = read_profile("slurm-partitions", tmp_path)
    assert best_partition(asked(options, rule, attempt)) == partition


@pytest.mark.parametrize(
    ("wanted", "partition"),
    [
        ({"mem_mb": 200_000, "runtime": 60}, "large-memory"),
        ({"mem_mb": 2000, "runtime": 6000}, "long"),
        ({"mem_mb": 2000, "runtime": 60, "gres": "gpu:8"}, "gpu"),
        ({"mem_mb": 2000, "runtime": 60, "gres": "gpu:9"}, None),
        ({"mem_mb": 600_000, "runtime": 60}, None),
    ],
)
def test_partitions_of_unusual_jobs(wanted, partition):
    assert best_partition(wanted) == partition


def best_partition(wanted):
    """Return the partition chosen by the plugin for a job with these resources."""
    import logging

    from snakemake_executor_plugin_slurm.partitions import get_best_partition, read_partition_file

    partitions = read_partition_file(PROFILES / "slurm-partitions/partitions.yaml")
    job = SimpleNamespace(name="job", threads=1, resources=wanted)
    return get_best_partition(partitions, job, logging.getLogger("test"))


def test_sites_are_three_and_name_sources():
    assert len(SITES) == 3
    for section in re.split(r"^## ", SITES_PAGE, flags=re.MULTILINE)[1:]:
        assert "https://" in section


@pytest.mark.parametrize(("site", "block"), SITES, ids=[site for site, _ in SITES])
def test_blocks_of_real_sites_fit_the_profile(site, block, tmp_path):
    own = yaml.safe_load((PROFILES / "slurm/config.yaml").read_text())["__variables__"]
    names = yaml.safe_load(block)["__variables__"]
    assert set(names) == set(own), site
    options = read_profile("slurm", tmp_path, block)
    for rule, entry in TABLE.items():
        found = asked(options, rule)
        assert found["runtime"] <= 10_080
        assert ("gres" in found) == bool(entry.get("gpu"))
        if names["CPU_PARTITION"] and not entry.get("gpu"):
            assert found["slurm_partition"] == names["CPU_PARTITION"]
        if entry.get("gpu"):
            assert found["slurm_partition"] == names["GPU_PARTITION"]
