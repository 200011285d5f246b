"""The documentation's generators read the code as it is, and links between pages lead somewhere."""

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from wilsonvox.cli import COMMANDS
from wilsonvox.config.run import RunConfiguration
from wilsonvox.stages.graph import Resources, Stage
from wilsonvox.stages.table import STAGES

ROOT = Path(__file__).parents[3]
LINK = re.compile(r"\]\((?!https?:|#)(?P<path>[^)#\s]+)")
PAGE = re.compile(r"\bdocs/[\w/]+\.md\b")


@pytest.fixture(scope="module", autouse=True)
def _extensions():
    sys.path.insert(0, str(ROOT / "docs/_ext"))
    yield
    sys.path.remove(str(ROOT / "docs/_ext"))


def extension(name):
    return importlib.import_module(name)


class Inner(BaseModel):
    """Settings in a table."""

    cut_gev2: float = Field(default=1.5, ge=0, description="a cut")


class Outer(BaseModel):
    """All settings."""

    kind: Literal["a", "b"] = Field(default="a", description="one | the other")
    names: list[str] = Field(description="names")
    number: int = Field(default=5, lt=1_000_000, description="how many")
    width: Annotated[int, Field(ge=1)] | None = Field(default=None, description="width [GeV⁻²]")
    inner: dict[str, Inner] = Field(default={}, description="tables")
    alone: Inner = Inner()


def test_every_key_has_type_unit_default_and_description():
    text = extension("configuration_keys").key_reference(Outer)
    assert "| `kind` | `a`, `b` |  | `a` | one \\| the other |" in text
    assert "| `names` | list of text |  | required | names |" in text
    assert "| `number` | whole number, <\N{NO-BREAK SPACE}1,000,000 |  | `5` | how many |" in text
    assert "| `width` | whole number or `null` | GeV⁻² | `null` | width [GeV⁻²] |" in text
    assert "| `inner` | keys below by name |  | `{}` | tables |" in text
    assert "| `alone` | keys below |  | those below | Settings in a table. |" in text
    assert "## `inner.NAME`" in text
    assert "| `cut_gev2` | number, ≥\N{NO-BREAK SPACE}0 | GeV² | `1.5` | a cut |" in text


def test_the_reference_has_every_key_of_the_configuration_and_describes_it():
    text = extension("configuration_keys").key_reference(RunConfiguration)
    rows = [re.split(r" (?<!\\)\| ", line[2:-2]) for line in text.splitlines() if line[:3] == "| `"]
    assert {len(row) for row in rows} == {5}
    assert [row[0] for row in rows if not row[4].strip()] == []
    schema = json.loads((ROOT / "workflow/schemas/config.schema.json").read_text())
    keys = {key for each in [schema, *schema["$defs"].values()] for key in each["properties"]}
    assert {row[0].strip("`") for row in rows} == keys


def test_rules_are_sorted_into_their_files_and_described():
    listing = """bare
draw_one (Draw a figure.)
draw_two (Draw a figure.)
first (Do one thing (or two).

    More about it.
    Still more.)
elsewhere (Not in the workflow.)
"""
    workflow_rules = extension("workflow_rules")
    rules = workflow_rules.listed_rules(listing)
    assert [rule.name for rule in rules] == ["bare", "draw_one", "draw_two", "first", "elsewhere"]
    assert (rules[3].summary, rules[3].details) == (
        "Do one thing (or two).",
        ("More about it. Still more.",),
    )
    loop = 'for name in NAMES:\n\n    rule:\n        """Draw a figure."""\n        name: name\n'
    texts = {"Snakefile": "rule first:\nrule bare:\n", "figures.smk": loop}
    files = workflow_rules.rules_by_file(rules, texts)
    assert {file: [rule.name for rule in rules] for file, rules in files.items()} == {
        "Snakefile": ["first", "bare"],
        "figures.smk": ["draw_one", "draw_two"],
    }
    stage = Stage(
        outputs={"pdf": "figures/one.pdf", "png": "figures/one.png"},
        modules=(),
        resources=Resources(1500, 20, threads=2, gpu_memory_mb=12000),
        description="Draw figure one.",
    )
    assert workflow_rules.reference_lines(files["figures.smk"], {"draw_one": stage}) == [
        "`draw_one`",
        ": Draw figure one.",
        "",
        (
            "  Writes `figures/one.pdf`, `figures/one.png`. "
            "Asks for 1,500 MB, 20 min, 2 threads, on a GPU 12,000 MB."
        ),
        "",
        "`draw_two`",
        ": Draw a figure.",
        "",
    ]


def test_every_rule_of_the_workflow_is_described():
    text = extension("workflow_rules").rule_reference(ROOT / "workflow", STAGES)
    assert "No description." not in text
    files = [ROOT / "workflow/Snakefile", *(ROOT / "workflow/rules").glob("*.smk")]
    names = {
        name for file in files for name in re.findall(r"^ *rule (\w+):", file.read_text(), re.M)
    }
    assert len(names) > 10
    assert {name for name in names if f"\n`{name}`\n: " not in text} == set()
    assert {name for name in STAGES if f"\n`{name}`\n: " not in text} == set()


def test_pages_of_the_python_api_follow_the_tree(tmp_path):
    for name in ("__init__", "one", "_private", "room/__init__", "room/two", "_hidden/__init__"):
        path = tmp_path / f"toy/{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    pages = extension("python_api").pages(tmp_path / "toy")
    assert list(pages) == ["toy.rst", "toy.room.rst"]
    modules = {name: re.findall("automodule:: (.+)", text) for name, text in pages.items()}
    assert modules == {
        "toy.rst": ["toy", "toy.one"],
        "toy.room.rst": ["toy.room", "toy.room.two"],
    }
    assert "   toy.room\n" in pages["toy.rst"]


def test_every_command_has_a_page():
    pages = extension("command_pages").pages("wilsonvox.cli")
    assert {f"{name}.rst" for name in COMMANDS} == set(pages) - {"table.txt"}
    assert pages["train-voxel-sum.rst"] == (
        ".. click:: wilsonvox.cli.train_voxel_sum:command\n"
        "   :prog: wilsonvox train-voxel-sum\n   :nested: full\n"
    )
    assert all(f"<commands/{name}>" in pages["table.txt"] for name in COMMANDS)


def test_docstrings_are_made_restructured_text():
    docstrings = extension("docstrings")
    assert docstrings.escaped("K*0 at `c9_` as c9_-0.9 |x|") == r"K\*0 at `c9_` as c9\_-0.9 \|x\|"
    assert docstrings.escaped("**Required** file") == "**Required** file"
    lines = ["Title.", "", "a, b: first,", "    goes on", "c: second", "", "Args:", "    x: one"]
    assert docstrings.listed(lines) == [
        "Title.", "", "- `a`, `b`: first,", "  goes on", "- `c`: second", "", "Args:", "    x: one"
    ]  # fmt: skip
    array = "~numpy.ndarray[tuple[~typing.Any, ...], ~numpy.dtype[~numpy.float64]]"
    assert docstrings.short(f"(x: {array})") == "(x: NDArray[float64])"


def tracked(*patterns):
    listed = subprocess.run(
        ["git", "ls-files", "--", *patterns], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def test_links_between_pages_lead_to_files():
    broken = [
        f"{page.relative_to(ROOT)}: {path}"
        for page in tracked("*.md")
        for path in LINK.findall(page.read_text())
        if not (page.parent / path).exists()
    ]
    assert broken == []


def test_pages_that_code_and_configurations_name_exist():
    files = tracked("*.py", "*.smk", "*.yaml", "*.toml", "CHANGELOG.md")
    missing = [
        f"{file.relative_to(ROOT)}: {page}"
        for file in files
        for page in PAGE.findall(file.read_text())
        if not (ROOT / page).is_file()
    ]
    assert missing == []
