"""`wilsonvox audit`: prove where files came from, and compare two of them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wilsonvox.errors import UserError

if TYPE_CHECKING:
    from wilsonvox.provenance.lineage_graph import LineageGraph, Node

FOLDER = click.Path(file_okay=False, path_type=Path)


def _files(paths: tuple[Path, ...]) -> list[Path]:
    """The files of `paths`; of a folder all below it that can carry a record."""
    from wilsonvox.provenance.formats import has_record_format

    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = [
            each
            for each in sorted(path.rglob("*"))
            if has_record_format(each) and each.is_file() and not each.name.startswith(".")
        ]
        if not inside:
            raise UserError(f"{path}: holds no file that can carry a record")
        found += inside
    return found


def _roots(graph: "LineageGraph", paths: tuple[Path, ...]) -> list["Node"]:
    """Nodes of the audited files; of those in folders only the ones that no other was made of."""
    named = {path.absolute() for path in paths if not path.is_dir()}
    nodes = [graph.add(path) for path in _files(paths)]
    return [node for node in nodes if node.path in named or not node.readings]


def _compare(graph: "LineageGraph", paths: tuple[Path, ...], full: bool) -> int:
    from wilsonvox.provenance.comparison import Comparison, grouped
    from wilsonvox.provenance.digest_cache import DigestCache, default_cache_file

    if len(paths) != 2:
        raise UserError(f"--compare: takes two files, not {len(paths)}")
    if paths[0].suffix != paths[1].suffix:
        raise UserError(f"--compare: {paths[0]} and {paths[1]} are of different formats")
    first, second = (graph.add(path) for path in paths)
    cache = DigestCache(default_cache_file(), full)
    comparison = Comparison(cache)
    same = comparison.content(first) == comparison.content(second)
    lines = grouped(comparison.causes(first, second))
    cache.save()
    click.echo(f"{paths[0]} and {paths[1]}: {'the same content' if same else 'content differs'}")
    if lines:
        click.echo("they were made differently:" if same else "because they were made differently:")
    elif not same:
        click.echo(
            "nothing in how they were made differs: one was changed since (see 'wilsonvox audit'), "
            "or another machine or number of threads rounds otherwise"
        )
    for line in lines:
        click.echo(f"  {line}")
    return 0 if same else 1


@click.command("audit")
@click.argument("paths", nargs=-1, required=True, metavar="PATH…", type=click.Path(path_type=Path))
@click.option("--full", is_flag=True, help="Read every file again, whatever the cache says.")
@click.option("--json", "as_json", is_flag=True, help="Print the lineage as JSON.")
@click.option("--replay", is_flag=True, help="Print the commands that make the files again.")
@click.option("--compare", is_flag=True, help="Say why two files differ.")
@click.option("--run", type=FOLDER, help="Folder of the run of files that were copied out of it.")
@click.option(
    "--search", multiple=True, type=FOLDER, help="Folder that may hold external files; again for "
    "each."
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
    """Prove where figures, tables, models, shards or event files came from.

    Walks back to the generated or external events by the records inside the files, computes every
    content digest anew, and prints the lineage with a verdict per file: verified, changed, missing,
    made by other code, dirty tree. Exit code 0 only when all is verified. A folder stands for all
    files in it. Digests of unchanged files (size, time and inode) are kept from one audit to the
    next.
    """
    from wilsonvox.provenance import lineage_text
    from wilsonvox.provenance.audit import Verdict, count, judge_all
    from wilsonvox.provenance.digest_cache import DigestCache, default_cache_file
    from wilsonvox.provenance.lineage_graph import LineageGraph, Places

    if sum((as_json, replay, compare)) > 1:
        raise UserError("--json, --replay and --compare exclude each other")
    graph = LineageGraph(Places(run, search))
    if compare:
        return _compare(graph, paths, full)
    roots = _roots(graph, paths)
    if replay:
        for line in lineage_text.replay_lines(roots):
            click.echo(line)
        return 0
    nodes = list(graph.nodes.values())
    cache = DigestCache(default_cache_file(), full)
    findings = judge_all(nodes, cache)
    cache.save()
    if as_json:
        content = lineage_text.as_json(roots, nodes, findings)
        click.echo(json.dumps(content, indent=2, ensure_ascii=False))
    else:
        for line in lineage_text.tree_lines(roots, findings):
            click.echo(line)
        click.echo(count(findings.values()))
    return 0 if all(each.verdict is Verdict.VERIFIED for each in findings.values()) else 1
