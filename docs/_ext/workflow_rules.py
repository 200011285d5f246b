"""The rules of the workflow with their docstrings, as Snakemake lists them, in Markdown."""

import re
import subprocess
import sys
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

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


def reference_lines(rules: Iterable[Rule]) -> list[str]:
    """Write rules as a list of definitions; neighbours with one description share it."""
    lines: list[str] = []
    for (summary, details), group in groupby(rules, key=lambda rule: (rule.summary, rule.details)):
        names = ", ".join(f"`{rule.name}`" for rule in group)
        lines += [names, f": {summary or 'No description.'}", ""]
        for paragraph in details:
            lines += [f"  {paragraph}", ""]
    return lines


def rule_reference(workflow: Path) -> str:
    """Write the rules of a workflow, one section per file.

    Args:
        workflow: folder with the Snakefile, in the folder where Snakemake is started.

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
            lines += [f"## {title}", "", *reference_lines(rules)]
    return "\n".join(lines)
