"""The rules of the workflow, as Snakemake lists them, in Markdown.

Descriptions are the rules' docstrings; those of figures, whose rules are made in a loop, and all
outputs and resources come from the table of stages.
"""

import re
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from wilsonvox.stages.graph import Stage

# `name (docstring)`, where the docstring may go on in indented lines
_ENTRY = re.compile(r"^(?P<name>\w+)(?: \((?P<docstring>.*?)\))?$(?!\n[ \n])", re.M | re.S)


@dataclass(frozen=True)
class Rule:
    """A rule of the workflow.

    name: its name
    summary: the first paragraph of its docstring, empty where it has none
    details: the other paragraphs
    """

    name: str
    summary: str
    details: tuple[str, ...]


def _paragraphs(docstring: str) -> list[str]:
    first, _, rest = docstring.strip().partition("\n")
    text = f"{first}\n{textwrap.dedent(rest)}"
    return [" ".join(each.split()) for each in re.split(r"\n\s*\n", text) if each.strip()]


def listed_rules(text: str) -> list[Rule]:
    """Read what `snakemake --list-rules` prints."""
    rules = []
    for match in _ENTRY.finditer(text):
        summary, *details = _paragraphs(match["docstring"]) if match["docstring"] else [""]
        rules.append(Rule(match["name"], summary, tuple(details)))
    return rules


def workflow_files(workflow: Path) -> list[Path]:
    """Find the Snakefile and the files of rules, in the order in which they are included."""
    snakefile = workflow / "Snakefile"
    included = re.findall(r'^include: "(.+?)"', snakefile.read_text(), re.MULTILINE)
    return [snakefile, *(workflow / name for name in included)]


def rules_by_file(rules: Iterable[Rule], texts: dict[str, str]) -> dict[str, list[Rule]]:
    """Sort rules into the files that have them, in the order of their places there.

    A rule that is made in a loop has no name in its file: it stands where its docstring stands.
    Rules of no file are left out.
    """
    places: list[tuple[str, int, Rule]] = []
    for rule in rules:
        for file, text in texts.items():
            named = re.search(rf"^[ \t]*(?:rule|checkpoint) {rule.name}\b", text, re.MULTILINE)
            unnamed = text.find(f'"""{rule.summary}') if rule.summary else -1
            place = named.start() if named else unnamed
            if place >= 0:
                places.append((file, place, rule))
                break
    return {
        file: [rule for name, _, rule in sorted(places, key=lambda each: each[1]) if name == file]
        for file in texts
    }


def stage_text(stage: Stage) -> str:
    """Describe the outputs of a stage and the resources of the first attempt of a job."""
    outputs = ", ".join(f"`{path}`" for path in stage.outputs.values())
    needs = stage.resources
    resources = [f"{needs.memory_mb:,} MB", f"{needs.minutes} min"]
    if needs.threads > 1:
        resources.append(f"{needs.threads} threads")
    if needs.gpu_memory_mb is not None:
        resources.append(f"on a GPU {needs.gpu_memory_mb:,} MB")
    return f"Writes {outputs}. Asks for {', '.join(resources)}."


def reference_lines(rules: Iterable[Rule], stages: Mapping[str, Stage]) -> list[str]:
    """Write rules as a list of definitions, with what the table of stages has on them."""
    lines: list[str] = []
    for rule in rules:
        stage = stages.get(rule.name)
        summary = (stage.description if stage else "") or rule.summary
        lines += [f"`{rule.name}`", f": {summary or 'No description.'}", ""]
        for paragraph in [*rule.details, *([stage_text(stage)] if stage else [])]:
            lines += [f"  {paragraph}", ""]
    return lines


def rule_reference(workflow: Path, stages: Mapping[str, Stage]) -> str:
    """Write the rules of a workflow, one section per file.

    Args:
        workflow: folder with the Snakefile, in the folder where Snakemake is started.
        stages: stages by the names of their rules.

    Raises:
        subprocess.CalledProcessError: Snakemake cannot read the workflow.
    """
    command = [Path(sys.executable).with_name("snakemake"), "--list-rules"]
    done = subprocess.run(
        command, cwd=workflow.parent, stdout=subprocess.PIPE, text=True, check=True
    )
    texts = {path.name: path.read_text() for path in workflow_files(workflow)}
    lines: list[str] = []
    for file, rules in rules_by_file(listed_rules(done.stdout), texts).items():
        if rules:
            title = "Targets" if file == "Snakefile" else file
            lines += [f"## {title}", "", *reference_lines(rules, stages)]
    return "\n".join(lines)
