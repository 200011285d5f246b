"""Dry runs with the cluster profiles by the command of Snakemake."""

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.unit.workflow.test_profile_table import SITES, TABLE, cluster_resources, with_site
from wilsonvox.config.reading import load_configuration
from wilsonvox.config.samples import measured_samples
from wilsonvox.stages.figures import DRAWING, GLOBAL_FIT_FIGURE_STAGES
from wilsonvox.stages.run import Run
from wilsonvox.stages.table import STAGES, jobs_behind
from wilsonvox.stages.targets import jobs_of_all

from .conftest import ROOT, Folder

OF_SCANS = {
    "suggest_trials", "train_trial", "train_trial_voxel_sum", "collect_trials", "plot_scan",
}  # fmt: skip
OF_GLOBAL_FITS = {
    "tabulate_observables", "fit_coefficients", "measure_for_global_fit", "train_inverse_network",
    "train_gan",
} | set(GLOBAL_FIT_FIGURE_STAGES)  # fmt: skip
DRAWN = {name for name, stage in STAGES.items() if stage.resources == DRAWING}
SITE = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())["__variables__"]


@pytest.fixture
def cluster_folder(folder: Folder) -> Folder:
    """Provide the folder of the tiny configuration with the files of a checkout."""
    for name in ("Snakefile", "workflow", "profiles", "slurm"):
        (folder.path / name).symlink_to(ROOT / name)
    return folder


def dry_run(
    folder: Folder,
    profile: str | Path,
    *targets: str,
    configuration: str = "tiny.yaml",
    **environment: str,
) -> dict[str, dict[str, str]]:
    """Return the resources of each rule in a dry run in `folder`."""
    run = subprocess.run(
        [Path(sys.executable).with_name("snakemake"), *targets, "--profile", profile, "-n",
         "--configfile", configuration],
        cwd=folder.path,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PATH": os.defpath} | environment,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    jobs = re.findall(r"^rule (\w+):\n(?:    .*\n)*?    resources: (.*)$", run.stdout, re.MULTILINE)
    return {
        rule: dict(word.split("=", 1) for word in text.split(", ") if "=" in word)
        for rule, text in jobs
        if rule not in ("default", *targets)  # rules with inputs only
    }


def test_every_rule_that_runs_on_a_cluster_is_in_the_table(folder):
    from snakemake.api import SnakemakeApi
    from snakemake.settings.enums import Quietness
    from snakemake.settings.types import (
        ConfigSettings,
        DAGSettings,
        OutputSettings,
        ResourceSettings,
    )

    before = Path.cwd()
    os.chdir(folder.path)
    try:
        with (
            contextlib.redirect_stderr(io.StringIO()),
            SnakemakeApi(OutputSettings(dryrun=True, quiet={Quietness.ALL})) as api,
        ):
            workflow = api.workflow(
                resource_settings=ResourceSettings(cores=1),
                config_settings=ConfigSettings(configfiles=[Path("tiny.yaml")]),
                snakefile=ROOT / "Snakefile",
                workdir=folder.path,
            )
            workflow.dag(DAGSettings(targets={"events"})).execute_workflow(executor="dryrun")
            loaded = workflow._workflow
            # a rule without a command, such as the default one, is not submitted
            rules = {rule.name for rule in loaded.rules if not rule.norun} - loaded._localrules
    finally:
        os.chdir(before)
    assert set(TABLE) | DRAWN == rules


def check_slurm(asked: dict[str, dict[str, str]]) -> None:
    """Check that jobs request the resources of the table and the partitions of the site."""
    for rule, found in asked.items():
        entry = cluster_resources(rule)
        assert found["mem_mb"] == str(entry["mem_mb"]), rule
        assert found["runtime"] == str(entry["runtime"]), rule
        kind = "GPU" if entry.get("gpu") else "CPU"
        assert found.get("slurm_partition", "") == SITE[f"{kind}_PARTITION"], rule
        assert found.get("gres") == (SITE["GPU_GRES"] if entry.get("gpu") else None), rule


def test_slurm_as_it_is_typed_in_a_checkout(cluster_folder, monkeypatch):
    asked = dry_run(cluster_folder, "slurm")
    # neither scans nor global fits nor crates are part of a run
    monkeypatch.chdir(cluster_folder.path)
    configuration = load_configuration("tiny.yaml")
    run = Run(configuration, measured_samples(configuration))
    assert set(asked) == {job.stage for job in jobs_behind(run, jobs_of_all(run))}
    assert not set(asked) & (OF_SCANS | OF_GLOBAL_FITS | {"run_crate"})
    check_slurm(asked)
    assert "--signal=TERM@120" in asked["train"]["slurm_extra"]
    # its name in the checkout is tracked by git
    assert (ROOT / "slurm").is_symlink()
    assert (ROOT / "slurm").readlink() == Path("profiles/slurm")


def test_slurm_plans_a_global_fit(cluster_folder):
    asked = dry_run(cluster_folder, "slurm", "global_fit", configuration="config/global-fit.yaml")
    assert set(asked) == OF_GLOBAL_FITS
    check_slurm(asked)
    # such small networks are not faster on a GPU
    assert {rule for rule, found in asked.items() if "gres" in found} == {"measure_for_global_fit"}


@pytest.mark.slow
def test_slurm_that_chooses_partitions_plans_the_jobs(cluster_folder):
    asked = dry_run(cluster_folder, "profiles/slurm-partitions")
    assert asked["train"]["gres"] == "gpu:1"
    assert not [rule for rule, found in asked.items() if "slurm_partition" in found]


@pytest.mark.slow
def test_lsf_plans_the_jobs(cluster_folder):
    asked = dry_run(cluster_folder, "profiles/lsf")
    assert (asked["voxelize"]["lsf_queue"], asked["train"]["lsf_queue"]) == ("s", "h")
    assert asked["voxelize"]["mem_mb"] == str(TABLE["voxelize"]["mem_mb"])


@pytest.mark.slow
@pytest.mark.parametrize("block", [block for _, block in SITES], ids=[site for site, _ in SITES])
def test_blocks_of_real_sites_plan_the_jobs(block, cluster_folder):
    site = cluster_folder.path / "site"
    site.mkdir()
    text = (ROOT / "profiles/slurm/config.yaml").read_text()
    (site / "config.yaml").write_text(with_site(text, block))
    names = yaml.safe_load(block)["__variables__"]
    asked = dry_run(cluster_folder, "site")
    assert asked["train"]["slurm_partition"] == names["GPU_PARTITION"]
    assert asked["train"]["gres"] == names["GPU_GRES"]
    assert asked["voxelize"].get("slurm_partition", "") == names["CPU_PARTITION"]
    assert names["EXTRA"] in asked["train"]["slurm_extra"]


@pytest.mark.slow
def test_htcondor_from_its_lock_plans_the_jobs(cluster_folder, tmp_path):
    own = [Path(sys.prefix).parent / ".uv/bin/uv", ROOT / ".uv/bin/uv"]
    uv = shutil.which("uv") or next(path for path in own if path.exists())
    plugin = tmp_path / "plugin"
    done = subprocess.run(
        [uv, "pip", "install", "--quiet", "--require-hashes", "--python", sys.executable,
         "--target", plugin, "--requirements", ROOT / "envs/requirements-htcondor.lock"],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(plugin)]))
    asked = dry_run(cluster_folder, "profiles/htcondor", PYTHONPATH=path)
    assert asked["train"]["request_gpus"] == "1"
    assert asked["train"]["htcondor_request_mem_mb"] == str(TABLE["train"]["mem_mb"])
    assert asked["train"]["allowed_execute_duration"] == str(60 * TABLE["train"]["runtime"])
    assert "request_gpus" not in asked["voxelize"]


def test_htcondor_stays_out_of_the_environment_of_all():
    for name in ("requirements.lock", "requirements-gpu.lock"):
        assert "htcondor" not in (ROOT / "envs" / name).read_text()
    locked = (ROOT / "envs/requirements.lock").read_text()
    # installing it must not change other packages
    for line in (ROOT / "envs/requirements-htcondor.lock").read_text().splitlines():
        if "==" in line and "htcondor" not in line:
            assert line in locked.splitlines()
