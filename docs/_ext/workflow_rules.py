"""Lists of the rules of the workflow, from their docstrings, in Markdown.

The files are read as text, with rules in loops: a rule is listed by its name or, where it is made
with several names, by the expression of its keyword `name`, such as `plot_{figure}`.
"""

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

_RULE = re.compile(
    r"^(?P<indent>[ \t]*)(?:rule|checkpoint)(?:[ \t]+(?P<name>\w+))?[ \t]*:[ \t]*(?:#.*)?\n"
    r"(?P<body>(?:(?P=indent)[ \t]+.*\n|[ \t]*\n)*)",
    re.MULTILINE,
)
_USE = re.compile(r"^[ \t]*use rule (?P<base>\w+) as (?P<name>\w+)(?: with)?[ \t]*:?", re.MULTILINE)
_NAME = re.compile(r"""^[ \t]*name:\s*f?["'](?P<name>[^"']+)["']""", re.MULTILINE)
_DOCSTRING = re.compile(r'\s*"""(?P<text>.*?)"""', re.DOTALL)


@dataclass(frozen=True)
class Rule:
    """A rule of the workflow.

    name: its name, or the expression that its names are made with
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
        keyword = _NAME.search(match["body"])
        name = match["name"] or (keyword["name"] if keyword else "")
        rules.append((match.start(), Rule(name, summary, tuple(details), file)))
    for match in _USE.finditer(text):
        summary = f"As `{match['base']}`, with other inputs or outputs."
        rules.append((match.start(), Rule(match["name"], summary, (), file)))
    return [rule for _, rule in sorted(rules, key=lambda each: each[0])]


def workflow_files(workflow: Path) -> list[Path]:
    """Find the Snakefile and the files of rules, in the order in which they are included."""
    snakefile = workflow / "Snakefile"
    included = re.findall(r'^include: "(.+?)"', snakefile.read_text(), re.MULTILINE)
    return [snakefile, *(workflow / name for name in included)]


def rule_reference(workflow: Path) -> str:
    """Write the rules of a workflow, one section per file; `workflow` is its folder."""
    lines: list[str] = []
    for path in workflow_files(workflow):
        rules = read_rules(path.read_text(), path.name)
        if not rules:
            continue
        lines += [f"## {'Targets' if path.name == 'Snakefile' else path.name}", ""]
        for rule in rules:
            lines += [f"`{rule.name}`", f": {rule.summary or 'No description.'}", ""]
            for paragraph in rule.details:
                lines += [f"  {paragraph}", ""]
    return "\n".join(lines)
