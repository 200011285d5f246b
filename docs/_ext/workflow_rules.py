"""Directive `workflow-rules`: the rules of the workflow, from their docstrings.

The files are read as text: every `rule NAME:` that begins with a docstring is listed, and a
`use rule … as NAME` with what it takes over.
"""

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

_RULE = re.compile(
    r"^(?P<indent>[ \t]*)(?:rule|checkpoint)[ \t]+(?P<name>\w+)[ \t]*:[ \t]*(?:#.*)?\n"
    r"(?P<body>(?:(?P=indent)[ \t]+.*\n|[ \t]*\n)*)",
    re.MULTILINE,
)
_USE = re.compile(r"^[ \t]*use rule (?P<base>\w+) as (?P<name>\w+)(?: with)?[ \t]*:?", re.MULTILINE)
_DOCSTRING = re.compile(r'\s*"""(?P<text>.*?)"""', re.DOTALL)


@dataclass(frozen=True)
class Rule:
    """A rule of the workflow.

    name: its name
    summary: the first paragraph of its docstring, empty where it has none
    details: the other paragraphs
    file: name of the file that has it
    """

    name: str
    summary: str
    details: tuple[str, ...]
    file: str


def _paragraphs(docstring: str) -> list[str]:
    first, _, rest = docstring.strip().partition("\n")
    text = f"{first}\n{textwrap.dedent(rest)}"
    return [" ".join(each.split()) for each in re.split(r"\n\s*\n", text) if each.strip()]


def read_rules(text: str, file: str) -> list[Rule]:
    """Read the rules in the text of a Snakefile, in their order."""
    rules: list[tuple[int, Rule]] = []
    for match in _RULE.finditer(text):
        docstring = _DOCSTRING.match(match["body"])
        summary, *details = _paragraphs(docstring["text"]) if docstring else [""]
        rules.append((match.start(), Rule(match["name"], summary, tuple(details), file)))
    for match in _USE.finditer(text):
        summary = f"As `{match['base']}`, with other inputs or outputs."
        rules.append((match.start(), Rule(match["name"], summary, (), file)))
    return [rule for _, rule in sorted(rules, key=lambda each: each[0])]


def workflow_files(workflow: Path) -> list[Path]:
    """Find the Snakefile and the files of rules, in the order in which they are included."""
    snakefile = workflow / "Snakefile"
    included = re.findall(r'^include: "(.+?)"', snakefile.read_text(), re.MULTILINE)
    return [snakefile, *(workflow / name for name in included)]


class WorkflowRules(SphinxDirective):
    """List the rules of a workflow, one section per file; the argument is its folder."""

    required_arguments = 1
    option_spec = {"class": directives.class_option}  # noqa: RUF012 - docutils' name

    def run(self) -> list[nodes.Node]:
        """Read the files and make the sections."""
        _, folder = self.env.relfn2path(self.arguments[0])
        lines: list[str] = []
        for path in workflow_files(Path(folder)):
            self.env.note_dependency(str(path))
            rules = read_rules(path.read_text(), path.name)
            if not rules:
                continue
            title = "Targets" if path.name == "Snakefile" else path.name
            lines += [f"## {title}", ""]
            for rule in rules:
                lines += [f"`{rule.name}`", f": {rule.summary or 'No description.'}", ""]
                for paragraph in rule.details:
                    lines += [f"  {paragraph}", ""]
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("workflow-rules", WorkflowRules)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
