"""The tables of a run's report as HTML pages: configuration, summaries, measurements, runtimes.

Each page stands alone: no script, and no font, style or image from elsewhere. Snakemake embeds it
in the report (`make report`). All shifts and sigmas are dimensionless.
"""

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from wilsonvox.config import RunConfiguration, measured_samples
from wilsonvox.errors import UserError
from wilsonvox.files import atomic_path
from wilsonvox.report_table import pull
from wilsonvox.runtimes import RuleRuntime, read_benchmarks, runtimes_by_rule
from wilsonvox.shards import ImageSpecification
from wilsonvox.tables import SUMMARY_COLUMNS, read_table

Row = Sequence[str]

PAGES = ("configuration", "summary", "measurements", "runtimes")
"""Names of the pages; each is written to `{name}.html`."""


@dataclass(frozen=True)
class Column:
    """A column of a table: its heading, what it is, and what a file calls it."""

    symbol: str
    meaning: str = ""
    name: str = ""
    left: bool = False
    long: bool = False


@dataclass(frozen=True)
class Section:
    """A part of a page: a heading, a paragraph, then a block of text or a table or both."""

    heading: str = ""
    paragraph: str = ""
    text: str = ""
    columns: Sequence[Column] = ()
    rows: Sequence[Row] = ()
    total: Row = ()
    meanings: bool = False


def _page(title: str, sections: Iterable[Section]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("wilsonvox", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    template = environment.get_template("report_page.html.jinja2")
    return template.render(title=title, sections=list(sections)) + "\n"


def _number(value: float | None, form: str) -> str:
    """A number for people, with a minus sign; a dash where there is none."""
    if value is None or math.isnan(value):
        return "–"
    return f"{value:{form}}".replace("-", "−")


def _shift(coefficient: str) -> str:
    return f"δC{coefficient[1:].replace('p', '′')}"


def image_sentence(image: ImageSpecification) -> str:
    """An image specification in words.

    >>> image_sentence(ImageSpecification(vetoes_gev2=((8.0, 11.0),)))
    '50 bins in each angle, 24,000 events an image, q² from 0 to 20 GeV² without 8 to 11 GeV², B0'
    """
    vetoes = " and ".join(f"{low:g} to {high:g} GeV²" for low, high in image.vetoes_gev2)
    return (
        f"{image.bins} bins in each angle, {image.events_per_image:,} events an image, "
        f"q² from {image.q2_min_gev2:g} to {image.q2_max_gev2:g} GeV²"
        + (f" without {vetoes}" if vetoes else "")
        + f", {'anti-B0' if image.flavour == 'B0bar' else 'B0'}"
    )


# ---------------------------------------------------------------- configuration
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
        tree = {True: "changed since that commit", False: "as committed"}.get(dirty, "not known")
        rows.append(
            (path.parent.name, path.parent.parent.name, version or "not known",
             commit or "not known", tree)
        )  # fmt: skip
    return rows


def configuration_page(run: Path, configuration: RunConfiguration) -> str:
    """Every value that the run used, those left to their defaults, its samples and its code.

    Raises:
        UserError: the table of samples or a summary cannot be read.
    """
    used = configuration.model_dump(mode="json")
    given = dict(_leaves(configuration.model_dump(mode="json", exclude_unset=True)))
    defaults = [
        (path, json.dumps(value, ensure_ascii=False))
        for path, value in _leaves(used)
        if path not in given
    ]
    samples = measured_samples(configuration).values()
    return _page(
        f"Configuration of run {configuration.run}",
        [
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
                columns=[
                    Column("estimator", left=True),
                    Column("images", left=True),
                    Column("version", left=True),
                    Column("git commit", left=True),
                    Column("code and workflow", left=True),
                ],
                rows=_code_rows(run),
            ),
        ],
    )  # fmt: skip


# ---------------------------------------------------------------- summaries
SUMMARY_TABLE: dict[str, tuple[Column, str]] = {
    "point": (Column("point", "label of the point: its true shifts", "point", left=True), ""),
    "coefficient": (
        Column("shift", "the shift that is estimated", "coefficient", left=True),
        "",
    ),
    "true": (Column("true", "true shift of the point's events", "true"), "+z.2f"),
    "seen_in_training": (
        Column("trained", "whether the training had images of this point", "seen_in_training"),
        "",
    ),
    "n_images": (Column("N", "number of test images", "n_images"), "d"),
    "mean": (Column("mean", "mean of the predicted shifts", "mean"), "+z.3f"),
    "bias": (Column("bias", "mean − true", "bias"), "+z.3f"),
    "sigma_left": (
        Column("σ_L", "distance from the mean down to the 16 % point", "sigma_left"),
        ".3f",
    ),
    "sigma_right": (
        Column("σ_R", "distance from the mean up to the 84 % point", "sigma_right"),
        ".3f",
    ),
    "sigma": (
        Column("σ", "standard deviation of the predicted shift of one image", "sigma"),
        ".3f",
    ),
    "response_slope": (
        Column(
            "slope",
            "derivative of a smooth fit of the mean against the true shift of all points; 1 is the "
            "full response, less shrinks towards the middle",
            "response_slope",
        ),
        "z.2f",
    ),
    "bound": (
        Column(
            "bound",
            "Cramér–Rao bound: the least standard deviation of any unbiased estimate from the "
            "events of one image, with the same physics inputs and range of q²",
            "bound",
        ),
        ".3f",
    ),
    "sigma_over_bound": (
        Column("σ/bound", "σ / slope / bound; 1 is the best possible", "sigma_over_bound"),
        "z.2f",
    ),
    "gauss_mean": (
        Column("fit μ", "mean of a Gaussian fitted to the core of the predictions", "gauss_mean"),
        "+z.3f",
    ),
    "gauss_sigma": (Column("fit σ", "standard deviation of that Gaussian", "gauss_sigma"), ".3f"),
}
"""How each column of summary.csv is shown: heading, meaning and number format."""


def _summary_cell(name: str, value: Any) -> str:
    if name == "coefficient":
        return _shift(str(value))
    if name == "seen_in_training":
        return "yes" if value else "no"
    form = SUMMARY_TABLE[name][1]
    return _number(value, form) if form else str(value)


def _mean_rows(summary: pd.DataFrame, estimator: str, image: str) -> list[Row]:
    rows: list[Row] = []
    for coefficient, points in summary.groupby("coefficient", sort=False):
        seen = points["seen_in_training"]
        for name, part in (("trained", points[seen]), ("between", points[~seen]), ("all", points)):
            if not part.empty:
                rows.append(
                    (estimator, image, _shift(str(coefficient)), name, str(len(part)),
                     _number(part["bias"].mean(), "+z.4f"),
                     _number(part["bias"].abs().mean(), ".4f"),
                     _number(part["sigma_over_bound"].mean(), "z.2f"))
                )  # fmt: skip
    return rows


def summary_page(run: Path) -> str:
    """The summaries of all estimators: means over points, then every point.

    Raises:
        UserError: a summary cannot be read.
    """
    means: list[Row] = []
    tables: list[Section] = []
    for path in sorted(run.glob("evaluation/*/*/summary.parquet")):
        frame, metadata = read_table(path, SUMMARY_COLUMNS)
        estimator, image = path.parent.name, path.parent.parent.name
        means += _mean_rows(frame, estimator, image)
        tables.append(
            Section(
                heading=f"Estimator {estimator}, images {image}",
                paragraph=f"Images: {image_sentence(metadata.image)}. Generator level"
                + (f", physics inputs {metadata.physics_inputs}" if metadata.physics_inputs else "")
                + f". All digits are in {path.with_suffix('.csv').relative_to(run)}.",
                columns=[column for column, _ in SUMMARY_TABLE.values()],
                rows=[
                    [_summary_cell(name, row[name]) for name in SUMMARY_TABLE]
                    for row in frame.to_dict("records")
                ],
                meanings=True,
            )
        )  # fmt: skip
    overview = Section(
        heading="Means over points",
        columns=[
            Column("estimator", left=True),
            Column("images", left=True),
            Column("shift", left=True),
            Column(
                "points",
                "trained: the training had images of them; between: it had none",
                left=True,
            ),
            Column("n", "number of points"),
            Column("bias", "mean of mean − true"),
            Column("|bias|", "mean of its absolute value"),
            Column("σ/bound", "mean of σ / slope / bound; 1 is the best possible"),
        ],
        rows=means,
        meanings=True,
    )
    intro = Section(
        paragraph="Ensembles of test images with known shifts, at generator level. All shifts and "
        "sigmas are dimensionless."
        if tables
        else "There is no summary in this run yet."
    )
    return _page("Summary of the estimators", [intro, overview, *tables] if tables else [intro])


# ---------------------------------------------------------------- measurements
_MEASUREMENT_COLUMNS = (
    Column("sample", left=True),
    Column("estimator", left=True),
    Column("images", left=True),
    Column("N", "number of images of the sample"),
    Column("shift", left=True),
    Column("measured", "shift of the sample, calibrated with the ensembles of test images"),
    Column("68 % interval", "central confidence interval; a dash is an end beyond the points"),
    Column("95 % interval", "central confidence interval; a dash is an end beyond the points"),
    Column("true", "true shift of the sample; a dash where it is not known"),
    Column("pull", "(measured − true) / distance to the end of the 68 % interval on that side"),
)


def _interval(ends: Sequence[float | None]) -> str:
    return f"[{_number(ends[0], '+.3f')}, {_number(ends[1], '+.3f')}]"


def measurements_page(run: Path) -> str:
    """The measured shifts of all samples, and how many of their events were used.

    Raises:
        UserError: a file is not a measurement.
    """
    rows: list[Row] = []
    events: dict[tuple[str, str], Row] = {}
    kinds: list[str] = []
    for path in sorted(run.glob("measurements/*/*/*.json")):
        sample, estimator, image = path.stem, path.parent.name, path.parent.parent.name
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            truth = content["true_shifts"] or {}
            for name, result in content["coefficients"].items():
                value, ends, true = result["value"], result["interval_68"], truth.get(name)
                deviation = None if value is None or true is None else pull(value, ends, true)
                rows.append(
                    (sample, estimator, image, str(content["n_images"]), _shift(name),
                     _number(value, "+z.3f"), _interval(ends), _interval(result["interval_95"]),
                     _number(true, "+z.2f"), _number(deviation, "+z.1f"))
                )  # fmt: skip
            dropped = content["n_events_dropped_by_reason"]
            reasons = "; ".join(f"{number:,} {reason}" for reason, number in dropped.items())
            notes = "; ".join(content["warnings"])
            events[sample, image] = (
                sample, image, f"{content['n_events_used']:,}",
                f"{content['n_events_dropped']:,}", reasons or "–", notes or "–",
            )  # fmt: skip
            kinds.append(content["interval_type"])
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: not a measurement; delete it and run again") from error
    if not rows:
        sections = [Section(paragraph="This run measures no external sample.")]
    else:
        sections = [
            Section(
                paragraph=" ".join(f"Intervals are {kind}." for kind in dict.fromkeys(kinds)),
                columns=_MEASUREMENT_COLUMNS,
                rows=rows,
                meanings=True,
            ),
            Section(
                heading="Events",
                columns=[
                    Column("sample", left=True),
                    Column("images", left=True),
                    Column("used"),
                    Column("not used"),
                    Column("why not", left=True, long=True),
                    Column("warnings", left=True, long=True),
                ],
                rows=list(events.values()),
            ),
        ]
    return _page("Measured samples", sections)


# ---------------------------------------------------------------- runtimes
_RUNTIME_COLUMNS = (
    Column("rule", left=True),
    Column("jobs", "number of jobs"),
    Column("total [s]", "wall time of all of them, summed up"),
    Column("mean [s]", "wall time of one job"),
    Column("longest [s]", "wall time of the longest job"),
    Column("CPU [s]", "CPU time of all of them and of all their threads"),
    Column("memory [MiB]", "largest resident memory of any of them, in units of 1024² bytes"),
)


def _runtime_row(rule: RuleRuntime) -> Row:
    return (
        rule.rule,
        f"{rule.jobs:,}",
        _number(rule.total_seconds, ",.1f"),
        _number(rule.mean_seconds, ",.1f"),
        _number(rule.longest_seconds, ",.1f"),
        _number(rule.cpu_seconds, ",.1f"),
        _number(rule.memory_mib, ",.0f"),
    )


def runtimes_page(run: Path) -> str:
    """Times and memory of the run's jobs, by rule.

    Raises:
        UserError: a file among the benchmarks is none.
    """
    jobs = read_benchmarks(run / "benchmarks")
    rules = runtimes_by_rule(jobs)
    together = runtimes_by_rule(replace(job, rule="all") for job in jobs)
    paragraph = (
        "The last run of each job, as Snakemake measured it (its benchmark files). Jobs run side "
        "by side, so the run took less time than their sum. A dash: not measured, because the job "
        "ended at once."
        if rules
        else "No job has been timed in this run yet."
    )
    return _page(
        "Runtimes",
        [
            Section(
                paragraph=paragraph,
                columns=_RUNTIME_COLUMNS,
                rows=[_runtime_row(rule) for rule in rules],
                total=_runtime_row(together[0]) if together else (),
                meanings=bool(rules),
            )
        ],
    )


def write_pages(
    run: str | os.PathLike[str], configuration: RunConfiguration, out: str | os.PathLike[str]
) -> list[Path]:
    """Write the pages of the run in folder `run` to folder `out`; see `PAGES`.

    Raises:
        UserError: no such run, a file of it cannot be read, or `out` cannot be written.
    """
    folder = Path(run)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such run; expected a folder such as results/demo")
    texts = {
        "configuration": configuration_page(folder, configuration),
        "summary": summary_page(folder),
        "measurements": measurements_page(folder),
        "runtimes": runtimes_page(folder),
    }
    paths = []
    for name in PAGES:
        path = Path(out) / f"{name}.html"
        with atomic_path(path) as temporary:
            temporary.write_text(texts[name], encoding="utf-8")
        paths.append(path)
    return paths
