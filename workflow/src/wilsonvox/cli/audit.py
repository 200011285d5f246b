"""`wilsonvox audit`: verify the origin of files, and compare two of them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wilsonvox.core.errors import UserError

if TYPE_CHECKING:
    from wilsonvox.provenance.digest_cache import DigestCache
    from wilsonvox.provenance.lineage_graph import LineageGraph, Node

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


def _inside(folder: Path) -> Iterator[Path]:
    """Yield the visible files below a folder that can carry a record or be a copy."""
    from wilsonvox.provenance.lineage_graph import COPY_SUFFIXES
    from wilsonvox.records.embedded import has_record_format

    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        known = has_record_format(path) or path.suffix in COPY_SUFFIXES
        if known and not hidden and path.is_file():
            yield path


def _roots(graph: "LineageGraph", paths: tuple[Path, ...]) -> tuple[list["Node"], list[Path]]:
    """Return the nodes of the audited files, and the files in folders without a record.

    Files in a folder are roots only if no other audited file was made from them.
    """
    named = {path.absolute() for path in paths if not path.is_dir()}
    nodes: dict[Path, Node] = {}
    foreign: list[Path] = []
    for path in paths:
        if not path.is_dir():
            node = graph.add(path)
            nodes[node.path] = node
            continue
        nodes_in_folder = [(file, graph.find(file)) for file in _inside(path)]
        inside = {node.path: node for _, node in nodes_in_folder if node is not None}
        if not inside:
            raise UserError(f"{path}: contains no file made by wilsonvox")
        nodes |= inside
        foreign += [
            file for file, node in nodes_in_folder if node is None and file.suffix != ".csv"
        ]
    roots = [node for node in nodes.values() if node.path in named or not node.readings]
    return roots, foreign


def _compare(graph: "LineageGraph", paths: tuple[Path, ...], cache: "DigestCache") -> int:
    from wilsonvox.provenance.comparison import Comparison, grouped

    if len(paths) != 2:
        raise UserError(f"--compare: takes two files, not {len(paths)}")
    if paths[0].suffix != paths[1].suffix:
        raise UserError(f"--compare: {paths[0]} and {paths[1]} are of different formats")
    first, second = (graph.add(path) for path in paths)
    comparison = Comparison(cache)
    contents = [comparison.content(node) for node in (first, second)]
    for path, node, content in zip(paths, (first, second), contents, strict=True):
        if content is None or node.problem is not None:
            raise UserError(f"{path}: cannot be read: see 'wilsonvox audit {path}'")
    same = contents[0] == contents[1]
    lines = grouped(comparison.causes(first, second))
    cache.save()
    click.echo(f"{paths[0]} and {paths[1]}: {'the same content' if same else 'content differs'}")
    if lines and same:
        click.echo("although they were made differently:")
    for line in lines:
        click.echo(f"  {line}")
    return 0 if same else 1


def _hints(graph: "LineageGraph") -> Iterator[str]:
    """Yield hints about missing files."""
    if graph.missing_runs:
        runs = ", ".join(map(str, sorted(graph.missing_runs)))
        yield f"the run's folder is not at {runs}: give it with --run DIR"
    names = sorted(
        node.path.name for node in graph.nodes.values() if node.external and not node.exists
    )
    if names:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield f"external file {names[0]}{more} not found: give its folder with --search DIR"


@click.command("audit")
@click.argument("paths", nargs=-1, required=True, metavar="PATH…", type=click.Path(path_type=Path))
@click.option("--full", is_flag=True, help="Read every file again, ignoring the cache.")
@click.option("--json", "as_json", is_flag=True, help="Print the lineage as JSON.")
@click.option("--replay", is_flag=True, help="Print the commands that make the files again.")
@click.option("--compare", is_flag=True, help="Explain why two files differ.")
@click.option("--run", type=FOLDER, help="Run folder of files that were copied out of it.")
@click.option(
    "--search", multiple=True, type=FOLDER, help="Folder that may contain external files; "
    "repeatable."
)  # fmt: skip
def command(
    paths: tuple[Path, ...],
    full: bool,
    as_json: bool,
    replay: bool,
    compare: bool,
    run: Path | None,
    search: tuple[Path, ...],
) -> int:
    """Verify the origin of figures, tables, models, shards or event files.

    Follows the records inside the files back to the generated or external events, recomputes every
    content digest, and prints the lineage with a verdict per file: verified, changed, missing, made
    by other code, dirty tree. The exit code is 0 only if all files are verified. A folder stands
    for all files in it. Digests of unchanged files (same size, times and inode) are cached between
    audits.
    """
    from wilsonvox.provenance import lineage_text
    from wilsonvox.provenance.audit import Verdict, count, judge_all
    from wilsonvox.provenance.digest_cache import DigestCache, default_cache_file
    from wilsonvox.provenance.lineage_graph import LineageGraph, Places

    if sum((as_json, replay, compare)) > 1:
        raise UserError("--json, --replay and --compare exclude each other")
    cache = DigestCache(default_cache_file(), full)
    graph = LineageGraph(Places(run, search), cache.digest)
    if compare:
        return _compare(graph, paths, cache)
    roots, foreign = _roots(graph, paths)
    nodes = list(graph.nodes.values())
    if replay:
        for line in lineage_text.replay_lines(roots):
            click.echo(line)
        return 1 if any(node.lost for node in nodes) else 0
    findings = judge_all(nodes, cache)
    cache.save()
    if as_json:
        content = lineage_text.as_json(roots, nodes, findings)
        click.echo(json.dumps(content, indent=2, ensure_ascii=False))
    else:
        for line in lineage_text.tree_lines(roots, findings):
            click.echo(line)
        click.echo(count(findings.values()))
    for hint in _hints(graph):
        click.echo(hint, err=True)
    if foreign:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        click.echo(f"ignored, without a record: {foreign[0]}{more}", err=True)
    return 0 if all(each.verdict is Verdict.VERIFIED for each in findings.values()) else 1
