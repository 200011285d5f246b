"""Guards: a workflow's own, and the one for workflows without."""

from types import SimpleNamespace

import pytest
from snakemake_interface_common.exceptions import WorkflowError

from snakemake_executor_plugin_wilsonvox_slurm.guard import make_guard


def refuse():
    raise ValueError("not this workflow")


@pytest.fixture
def workflow(tmp_path):
    """A workflow of one Snakefile."""
    snakefile = tmp_path / "Snakefile"
    snakefile.write_text("rule all: input: 'a.txt'")
    source = SimpleNamespace(get_path_or_uri=lambda secret_free: str(snakefile))  # noqa: ARG005
    return SimpleNamespace(
        workdir_init=str(tmp_path / "analysis"), config={"seed": 1}, included=[source]
    )


def test_a_guard_of_the_workflow(workflow):
    assert make_guard("types:SimpleNamespace", workflow) == SimpleNamespace()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (f"{__name__}:refuse", "not this workflow"),
        ("no_such_module:guard", "No module named 'no_such_module'"),
        (f"{__name__}:guard", "has no attribute 'guard'"),
        ("types.SimpleNamespace", "write it as MODULE:CALLABLE"),
    ],
)
def test_a_guard_that_cannot_be_made(workflow, option, message):
    with pytest.raises(WorkflowError, match=message) as caught:
        make_guard(option, workflow)
    assert f"--wilsonvox-slurm-guard {option}: " in str(caught.value)


def test_sources_and_configuration_identify_a_workflow_without_a_guard(workflow, tmp_path):
    guard = make_guard(None, workflow)
    assert guard.name == "analysis"
    assert make_guard(None, workflow).digest == guard.digest
    workflow.config["seed"] = 2
    other_configuration = make_guard(None, workflow)
    (tmp_path / "Snakefile").write_text("rule all: input: 'b.txt'")
    other_source = make_guard(None, workflow)
    assert len({guard.digest, other_configuration.digest, other_source.digest}) == 3


def test_a_workflow_without_a_guard_is_never_stopped(workflow, tmp_path):
    guard = make_guard(None, workflow)
    (tmp_path / "Snakefile").unlink()
    assert guard.changed() is None
    assert guard.stop_reason("changed") is None
    assert guard.failure_message("error: x") is None
