"""The tables of a report as HTML pages."""

import json
import math
from html.parser import HTMLParser

import pandas as pd
import pytest
from tests.helpers.toy_global_fit import toy_table

from wilsonvox.cli import run
from wilsonvox.config.reading import load_configuration, parse_configuration
from wilsonvox.ensembles.tables import SUMMARY_COLUMNS, TableMetadata, write_table
from wilsonvox.global_fit.fits import fit_coefficients
from wilsonvox.global_fit.learning.mode_collapse import Coverage
from wilsonvox.global_fit.learning.results import (
    Coefficients,
    GanAnswer,
    GanResult,
    NetworkAnswer,
    NetworkResult,
    Spread,
    TrainingSetSummary,
)
from wilsonvox.global_fit.learning.settings import (
    GanSettings,
    InverseNetworkSettings,
    TrainingSetSettings,
)
from wilsonvox.provenance.recording import make_record
from wilsonvox.records.json_files import save_recorded
from wilsonvox.report.pages import write_pages
from wilsonvox.report.results import SUMMARY_TABLE
from wilsonvox.stages import targets
from wilsonvox.stages.run import Run
from wilsonvox.voxels.specification import ImageSpecification

CONFIGURATION = "tests/workflow/tiny.yaml"


class Page(HTMLParser):
    """Rows of all tables, all text, and every address that the page would load or link to."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.text, self.addresses, self._cell = [], "", [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in {"src", "href"}]
        if tag == "tr":
            self.rows.append([])
        elif tag in {"td", "th"}:
            self._cell = ""

    def handle_endtag(self, tag):
        if tag in {"td", "th"}:
            self.rows[-1].append(self._cell.strip())
            self._cell = None

    def handle_data(self, data):
        self.text += data
        if self._cell is not None:
            self._cell += data


def row(point, true, *, seen=True, **values):
    numbers = dict.fromkeys(SUMMARY_COLUMNS, 0.123456) | {"n_images": 60, "coefficient": "c9"}
    return numbers | {"point": point, "true": true, "seen_in_training": seen} | values


@pytest.fixture
def folder(tmp_path):
    """The folder of a run with one estimator of two points and one measured sample."""
    path = tmp_path / "results/tiny"
    rows = [
        row("c9_-0.90", -0.9, bias=-0.0216, sigma_over_bound=2.0, gauss_mean=math.nan),
        row("c9_-0.50", -0.5, seen=False, bias=0.05, sigma_over_bound=3.0),
    ]
    output = path / "evaluation/b8_n300/tiny/summary.parquet"
    metadata = TableMetadata(
        estimator="tiny", image=ImageSpecification(bins=8), physics_inputs="evtgen-btosllnpr"
    )
    record = make_record("summarize", output, {})
    write_table(output, pd.DataFrame(rows), SUMMARY_COLUMNS, metadata, record)
    measured = path / "measurements/b8_n300/tiny/<mine>.json"
    measured.parent.mkdir(parents=True)
    result = {"value": -0.8, "interval_68": [-0.85, None], "interval_95": [-0.9, -0.7]}
    result["pulls"] = [-0.5, -1.5]
    content = {
        "coefficients": {"c9": result},
        "n_images": 2,
        "n_events_used": 48000,
        "n_events_dropped": 14,
        "n_events_dropped_by_reason": {"fill no whole image": 14},
        "warnings": ["14 events are not used"],
        "true_shifts": None,
        "interval_type": "statistical; generator level",
    }
    measured.write_text(json.dumps(content))
    times = path / "benchmarks/train/b8_n300/tiny.tsv"
    times.parent.mkdir(parents=True)
    times.write_text("s\tmax_rss\tcpu_time\n1234.56\tNA\t2000\n")
    return path


@pytest.fixture
def configuration():
    configuration = load_configuration(CONFIGURATION)
    return configuration.model_copy(update={"samples_table": None})


@pytest.fixture
def pages(folder, configuration, tmp_path):
    return {
        path.stem: Page(path.read_text())
        for path in write_pages(folder, configuration, tmp_path / "pages")
    }


def test_every_column_of_the_summary_is_shown_and_explained():
    assert list(SUMMARY_TABLE) == list(SUMMARY_COLUMNS)
    for name, (column, _) in SUMMARY_TABLE.items():
        assert column.name == name
        assert column.meaning


def test_pages_load_nothing_from_elsewhere(pages):
    assert set(pages) == {"configuration", "summary", "measurements", "runtimes"}
    for page in pages.values():
        assert page.addresses == []


def test_summary_is_rounded_for_reading(pages):
    rows = pages["summary"].rows
    assert [
        "c9_-0.90", "δC9", "−0.90", "yes", "60", "+0.123", "−0.022", "0.123", "0.123", "0.123",
        "0.12", "0.123", "2.00", "–", "0.123", "0.123", "0.123",
    ] in rows  # fmt: skip
    assert [
        "tiny",
        "b8_n300",
        "δC9",
        "between",
        "1",
        "+0.0500",
        "0.0500",
        "3.00",
        "12.3",
        "12.3",
    ] in rows
    assert [
        "tiny",
        "b8_n300",
        "δC9",
        "all",
        "2",
        "+0.0142",
        "0.0358",
        "2.50",
        "12.3",
        "12.3",
    ] in rows
    assert "8 bins in each angle, 24,000 events an image" in pages["summary"].text


def test_measured_values_with_open_ends_and_unknown_truth(pages):
    page = pages["measurements"]
    assert [
        "<mine>", "tiny", "b8_n300", "2", "δC9", "−0.800", "[−0.850, –]", "[−0.900, −0.700]",
        "–", "–", "−1.00 ± 0.71",
    ] in page.rows  # fmt: skip
    assert ["<mine>", "b8_n300", "48,000", "14", "14 fill no whole image",
            "14 events are not used"] in page.rows  # fmt: skip
    assert "Intervals are statistical; generator level." in page.text


def test_runtimes_have_units_and_a_sum(pages):
    rows = pages["runtimes"].rows
    assert rows[0][2:] == ["total [s]", "mean [s]", "longest [s]", "CPU [s]", "memory [MiB]"]
    assert ["train", "1", "1,234.6", "1,234.6", "1,234.6", "2,000.0", "–"] in rows
    assert rows[-1] == ["all", "1", "1,234.6", "1,234.6", "1,234.6", "2,000.0", "–"]


def test_configuration_tells_defaults_and_can_be_used_again(pages, configuration, tmp_path):
    page = pages["configuration"]
    assert ["images.b8_n300.q2_max_gev2", "20.0"] in page.rows
    assert not any(cells[0] == "images.b8_n300.bins" for cells in page.rows)  # it is given
    text = page.text[page.text.index("run: tiny") : page.text.index("Values left")]
    again = tmp_path / "again.yaml"
    again.write_text(text)
    assert load_configuration(again) == configuration


def test_empty_run_is_told_so(configuration, tmp_path):
    (tmp_path / "results").mkdir()
    paths = write_pages(tmp_path / "results", configuration, tmp_path)
    texts = {path.stem: path.read_text() for path in paths}
    assert "There is no summary in this run yet." in texts["summary"]
    assert "This run measures no external sample." in texts["measurements"]
    assert "No job has been timed in this run yet." in texts["runtimes"]


def test_largest_memory_is_that_of_the_jobs_that_were_measured(folder, configuration, tmp_path):
    (folder / "benchmarks/measure.tsv").write_text("s\tmax_rss\tcpu_time\n1\t757.2\t2\n")
    paths = write_pages(folder, configuration, tmp_path)
    assert Page(paths[-1].read_text()).rows[-1][-1] == "757"


def test_command_takes_a_file_or_values(folder, tmp_path, capsys):
    values = json.dumps({**load_configuration(CONFIGURATION).model_dump(mode="json"),
                         "samples_table": None})  # fmt: skip
    arguments = ["report", "--run", str(folder), "--out", str(tmp_path / "pages")]
    assert run([*arguments, "--configuration", values]) == 0
    assert "wrote" in capsys.readouterr().out
    assert run([*arguments, "--configuration", "{"]) == 1
    assert "not JSON" in capsys.readouterr().err
    assert run([*arguments, "--configuration", str(tmp_path / "absent.yaml")]) == 1
    assert "cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("measurements/b8_n300/tiny/<mine>.json", "not a measurement"),
        ("evaluation/b8_n300/tiny/summary.parquet", "delete it and run again"),
        ("benchmarks/train/b8_n300/tiny.tsv", "not a benchmark file"),
    ],
)
def test_broken_file_is_named(folder, tmp_path, capsys, path, message):
    (folder / path).write_text("{}")
    values = load_configuration(CONFIGURATION).model_dump(mode="json") | {"samples_table": None}
    assert run(["report", "--run", str(folder), "--out", str(tmp_path), "--configuration",
                json.dumps(values)]) == 1  # fmt: skip
    error = capsys.readouterr().err
    assert message in error
    assert path.rsplit("/", 1)[-1] in error


def test_no_such_run_is_one_clear_line(tmp_path, capsys):
    assert run(["report", "--run", str(tmp_path / "absent"), "--out", str(tmp_path),
                "--configuration", "config/demo.yaml"]) == 1  # fmt: skip
    assert "no such run" in capsys.readouterr().err


def test_every_sample_is_there_by_each_estimator_with_its_warnings(folder, configuration, tmp_path):
    first = folder / "measurements/b8_n300/tiny/<mine>.json"
    content = json.loads(first.read_text())
    content["warnings"] = ["14 events are not used", "too few ensembles"]
    other = folder / "measurements/b8_n300/fit/<mine>.json"
    other.parent.mkdir()
    other.write_text(json.dumps(content))
    write_pages(folder, configuration, tmp_path / "pages")
    rows = Page((tmp_path / "pages/measurements.html").read_text()).rows
    assert [row[:2] for row in rows if row[0] == "<mine>"][:2] == [
        ["<mine>", "fit"], ["<mine>", "tiny"],
    ]  # fmt: skip
    (events,) = [row for row in rows if len(row) == 6 and row[0] == "<mine>"]
    assert events[5] == "14 events are not used; fit: too few ensembles"


def test_an_estimator_that_is_not_trained_has_no_trained_points(folder, configuration, tmp_path):
    output = folder / "evaluation/b8_n300/fit/summary.parquet"
    metadata = TableMetadata(
        estimator="fit", image=ImageSpecification(bins=8), physics_inputs=None, trained=False
    )
    record = make_record("summarize", output, {})
    rows = [row("c9_-0.90", -0.9), row("c9_-0.50", -0.5, seen=False)]
    write_table(output, pd.DataFrame(rows), SUMMARY_COLUMNS, metadata, record)
    write_pages(folder, configuration, tmp_path / "pages")
    found = Page((tmp_path / "pages/summary.html").read_text()).rows
    assert [line[:4] for line in found if line[0] == "fit"] == [["fit", "b8_n300", "δC9", "all"]]
    assert sum(line[0] == "tiny" for line in found) == 3
    points = [line for line in found if len(line) == len(SUMMARY_COLUMNS) and line[0] != "point"]
    assert [line[3] for line in points] == ["–", "–", "yes", "no"]


FITTED = {
    "run": "fitted",
    "seed": 1,
    "global_fit": {
        "versions": ["experimental"],
        "hadronic": ["none", "shared"],
        "networks": {"net": {}},
        "gans": {"gan": {}},
    },
}


def save_fits(folder):
    """Two fits, and what a network of three starts and a GAN of one answer."""
    fit = fit_coefficients(toy_table(), "experimental").model_copy(
        update={"c9": -0.81234, "c10": 0.2, "chi_squared": 38.256, "p_value": 2.3e-5,
                "n_observables": 37, "n_parameters": 2}
    )  # fmt: skip
    fit = fit.model_copy(
        update={
            "minos": {"c9": fit.minos["c9"].model_copy(update={"down": -0.14, "up": 0.15})}
            | {"c10": fit.minos["c10"].model_copy(update={"down": -0.1, "up": 0.1})},
            "points": [fit.points[0].model_copy(update={"chi_squared": 159.44})],
        }
    )
    about = {"observables": "lhcb-2015", "version": "experimental", "hadronic": "none"}
    training_set = TrainingSetSummary(
        settings=TrainingSetSettings(), n_samples=1, chi_squared_edges=[], chi_squared_counts=[],
        best=Coefficients(c9=0, c10=0, chi_squared=1),
    )  # fmt: skip
    answers = [
        NetworkAnswer(c9=c9, c10=0.1, chi_squared=chi, start=0, loss=[], validation_loss=[],
                      best_epoch=1, is_constant=False)
        for c9, chi in ((-0.8, 41.0), (-0.9, 40.0), (-1.0, 55.5))
    ]  # fmt: skip
    network = NetworkResult(
        name="net", **about, hadronic_names=[], training_set=training_set,
        spread=Spread.of(answers), settings=InverseNetworkSettings(), n_parameters=1,
        answers=answers,
    )  # fmt: skip
    generated = [
        GanAnswer(
            c9=-0.5, c10=-0.25, chi_squared=60.0, start=0, generator_loss=[],
            discriminator_loss=[], discriminator_accuracy=[], median_chi_squared=90,
            said_chi_squared=1, said_chi_squared_recomputed=1, inconsistency=1, samples=[],
            coverage=Coverage(outside=0, covered_cells=0, effective_modes=0,
                              least_variance_ratio=0, verdict="mode collapse", words=""),
        )
    ]  # fmt: skip
    gan = GanResult(
        name="gan", **about, hadronic_names=[], training_set=training_set,
        spread=Spread.of(generated), settings=GanSettings(), n_parameters=(1, 1),
        answers=generated,
    )  # fmt: skip
    here = folder / "global_fit/lhcb-2015"
    shared = fit.model_copy(update={"hadronic": "shared", "p_value": 0.3})
    for result, name, rule in (
        (fit, "fits/experimental_none", "fit_coefficients"),
        (shared, "fits/experimental_shared", "fit_coefficients"),
        (network, "networks/net", "train_inverse_network"),
        (gan, "gans/gan", "train_gan"),
    ):
        path = here / f"{name}.json"
        save_recorded(result, path, make_record(rule, path, {}))


def test_a_global_fit_alone_has_its_fits_and_answers(tmp_path):
    save_fits(tmp_path / "fitted")
    paths = write_pages(tmp_path / "fitted", parse_configuration(FITTED), tmp_path / "pages")
    pages = {path.stem: Page(path.read_text()) for path in paths}
    assert list(pages) == ["configuration", "global_fit", "runtimes"]
    rows = pages["global_fit"].rows
    shifts = ["−0.812 +0.150 −0.140", "+0.200 +0.100 −0.100"]
    fit = ["lhcb-2015", "experimental"]
    assert [*fit, "none", "159.4", "38.26", "35", "2.3e−05", *shifts] in rows
    assert [*fit, "shared", "159.4", "38.26", "35", "0.300", *shifts] in rows
    assert ["net", "network", *fit, "none", "3", "−0.900 ± 0.100", "+0.100 ± 0.000", "40.00",
            "41.00", "55.50"] in rows  # fmt: skip
    # one start has no spread
    assert ["gan", "GAN", *fit, "none", "1", "−0.500", "−0.250", "60.00", "60.00", "60.00"] in rows
    assert pages["global_fit"].addresses == []
    text = pages["configuration"].text
    assert "Samples" not in text  # it reads none of its table
    (code,) = [row for row in pages["configuration"].rows if row[0] == "lhcb-2015"]
    assert len(code) == 4


def test_a_missing_fit_is_named(tmp_path, capsys):
    save_fits(tmp_path / "fitted")
    (tmp_path / "fitted/global_fit/lhcb-2015/fits/experimental_shared.json").unlink()
    words = ["--run", str(tmp_path / "fitted"), "--out", str(tmp_path / "pages")]
    assert run(["report", *words, "--configuration", json.dumps(FITTED)]) == 1
    assert "experimental_shared.json: does not exist" in capsys.readouterr().err


def test_beside_images_a_global_fit_is_told_of_once_all_of_it_is_there(
    folder, configuration, tmp_path
):
    fit = parse_configuration(FITTED).global_fit
    both = configuration.model_copy(update={"global_fit": fit})
    save_fits(folder)

    def page():
        paths = {path.stem: path for path in write_pages(folder, both, tmp_path / "pages")}
        assert list(paths) == ["configuration", "summary", "measurements", "global_fit", "runtimes"]
        return Page(paths["global_fit"].read_text())

    assert "has not run to its end yet; `snakemake global_fit` runs it" in page().text
    assert page().rows == []
    for name in targets.global_fit_figures(Run(both, {})):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    assert any(row[0] == "net" for row in page().rows)
