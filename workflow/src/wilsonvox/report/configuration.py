"""The page of the configuration: every value that a run used."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from wilsonvox.config.run import RunConfiguration
from wilsonvox.config.samples import measured_samples
from wilsonvox.core.errors import UserError
from wilsonvox.global_fit.fits import CoefficientFit
from wilsonvox.report.page import Column, Row, Section, page
from wilsonvox.stages import targets
from wilsonvox.stages.run import Run

_TREE: dict[bool | None, str] = {True: "changed since that commit", False: "as committed"}


def _leaves(values: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of nested mappings and lists of mappings, with its place: ``images.b50.bins``."""
    if isinstance(values, Mapping) and values:
        for key, value in values.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    elif isinstance(values, list) and any(isinstance(each, Mapping) for each in values):
        for i in range(len(values)):
            yield from _leaves(values[i], f"{path}[{i}]")
    else:
        yield path, values


def _yaml(values: Any) -> str:
    """YAML with the keys in their order and lists of numbers on one line."""
    import yaml

    class Dumper(yaml.SafeDumper):
        pass

    def sequence(dumper: yaml.SafeDumper, data: list[Any]) -> yaml.Node:
        flow = not any(isinstance(each, Mapping) for each in data)
        return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=flow)

    Dumper.add_representer(list, sequence)
    return yaml.dump(values, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=90)


def _code_rows(run: Path) -> list[Row]:
    """Version and commit of the code behind each summary, as its own record tells."""
    import pyarrow.parquet as pq

    rows: list[Row] = []
    for path in sorted(run.glob("evaluation/*/*/summary.parquet")):
        try:
            record = json.loads(pq.read_schema(path).metadata[b"provenance"])
            version, commit = record["packages"].get("wilsonvox"), record.get("git_commit")
            dirty = record.get("git_dirty")
        except Exception as error:
            raise UserError(f"{path}: has no record; delete it and run again") from error
        rows.append(
            (path.parent.name, path.parent.parent.name, version or "not known",
             commit or "not known", _TREE.get(dirty, "not known"))
        )  # fmt: skip
    return rows


def _fit_code_rows(run: Path, configuration: RunConfiguration) -> list[Row]:
    """Version and commit of the code behind the fits of each set, each once."""
    made = Run(configuration, {})
    if not targets.includes_global_fit(made, run):
        return []
    rows: dict[Row, None] = {}
    for path in targets.fit_files(made):
        record = CoefficientFit.load(run / path).provenance
        if record is None:
            raise UserError(f"{run / path}: has no record; delete it and run again")
        # global_fit/{set}/fits/…
        rows[
            (
                Path(path).parts[1],
                record.packages.get("wilsonvox") or "not known",
                record.git_commit or "not known",
                _TREE.get(record.git_dirty, "not known"),
            )
        ] = None
    return list(rows)


def configuration_page(run: Path, configuration: RunConfiguration) -> str:
    """Every value that the run used, those left to their defaults, its samples and its code.

    Raises:
        UserError: the table of samples, a summary or a fit cannot be read.
    """
    used = configuration.model_dump(mode="json")
    given = dict(_leaves(configuration.model_dump(mode="json", exclude_unset=True)))
    defaults = [
        (path, json.dumps(value, ensure_ascii=False))
        for path, value in _leaves(used)
        if path not in given
    ]
    samples = measured_samples(configuration).values()
    sections = [
        Section(
            paragraph="All values that this run used, also those that its configuration file "
            "left to their defaults. Saved as a YAML file they make the same run again. "
            "config/README.md tells what each key is, with units.",
            text=_yaml(used),
        ),
        Section(
            heading="Values left to their defaults",
            paragraph="" if defaults else "None: the configuration names every value.",
            columns=[Column("key", left=True), Column("value", left=True)],
            rows=defaults,
        ),
    ]
    code = [
        Column("version", left=True),
        Column("git commit", left=True),
        Column("code and workflow", left=True),
    ]
    if configuration.has_images:
        sections += [
            Section(
                heading="Samples",
                paragraph=f"Rows of {configuration.samples_table} that were measured."
                if samples
                else "This run measures no external sample.",
                columns=[
                    Column("sample", left=True),
                    Column("path", left=True, long=True),
                    Column("tree", left=True),
                    Column("layout", left=True),
                    Column("flavour", left=True),
                    Column("true point", left=True),
                ],
                rows=[
                    (row.sample, row.portable_path(), row.tree or "the only one", row.layout,
                     row.flavour, row.true_point or "not known")
                    for row in samples
                ],
            ),
            Section(
                heading="Code",
                paragraph="The version of wilsonvox that summarized each estimator.",
                columns=[Column("estimator", left=True), Column("images", left=True), *code],
                rows=_code_rows(run),
            ),
        ]  # fmt: skip
    fitted = _fit_code_rows(run, configuration)
    if fitted:
        sections.append(
            Section(
                heading="Code of the global fit",
                paragraph="The version of wilsonvox that fitted each set of observables.",
                columns=[Column("set", left=True), *code],
                rows=fitted,
            )
        )
    return page(f"Configuration of run {configuration.run}", sections)
