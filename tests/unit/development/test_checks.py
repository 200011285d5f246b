"""Agreement of the lists and versions that continuous integration and pre-commit repeat."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
TARGETS = subprocess.run(
    ["bash", ".ci/run", "--list"], cwd=ROOT, capture_output=True, text=True, check=True
).stdout.split()


def read_yaml(path: str) -> dict:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def test_the_workflow_has_one_job_per_target():
    jobs = read_yaml(".github/workflows/ci.yml")["jobs"]
    made = []
    for job in jobs.values():
        *_, last = job["steps"]
        assert last["run"] == 'bash .ci/run "$TARGET"'
        target = last["env"]["TARGET"]
        is_matrix = target == "${{ matrix.target }}"
        made += job["strategy"]["matrix"]["target"] if is_matrix else [target]
    assert sorted(made) == sorted(TARGETS)


def test_the_workflow_tests_every_supported_python():
    job = read_yaml(".github/workflows/ci.yml")["jobs"]["test"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    supported = re.findall(r":: (3\.\d+)", "\n".join(project["classifiers"]))
    assert job["strategy"]["matrix"]["python"] == supported
    assert job["steps"][-1]["env"]["PYTHON"] == "python${{ matrix.python }}"


def test_actions_are_pinned_by_commit():
    text = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    used = re.findall(r"uses: (.*)", text)
    assert used
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each) for each in used)


def test_targets_are_those_of_the_makefile_and_the_tests_come_last():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert set(TARGETS) <= set(re.findall(r"(?m)^([a-z-]+):", text))
    assert TARGETS[-1] == "test"


def test_an_unknown_target_is_refused():
    command = ["bash", ".ci/run", "lint", "tests"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(".ci/run: no target tests; name some of: lint")
    assert not done.stdout


def hooks() -> list[dict]:
    (local,) = read_yaml(".pre-commit-config.yaml")["repos"]
    return local["hooks"]


@pytest.mark.parametrize("hook", hooks(), ids=lambda hook: hook["id"])
def test_hooks_have_the_locked_versions(hook):
    lock = (ROOT / "envs/requirements.lock").read_text(encoding="utf-8")
    locked = set(re.findall(r"(?m)^(\S+==\S+)", lock))
    if hook["language"] == "python":
        assert hook["additional_dependencies"]
        assert set(hook["additional_dependencies"]) <= locked
    else:
        assert hook["stages"] == ["manual"]


def test_hooks_run_the_commands_of_make_lint():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"(?m)^lint:.*\n((?:\t.*\n)+)", text)
    lint = {line.strip() for line in recipe.replace("$(BIN)/", "").splitlines()}
    entries = {
        hook["entry"].removeprefix(".venv/bin/").removesuffix(" --force-exclude")
        for hook in hooks()
    }
    assert entries <= lint


def test_the_version_is_the_same_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = read_yaml("CITATION.cff")
    assert citation["version"] == project["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"(?m)^## \[(\d.*?)\] - (\d{4}-\d\d-\d\d)$", changelog)
    assert released[0] == (project["version"], str(citation["date-released"]))
