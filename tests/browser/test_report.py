"""Report of the tiny run in a browser."""

import csv
import json

import pytest
import yaml
from playwright.sync_api import Error, Locator, expect

from tests.workflow.conftest import TINY
from wilsonvox.config.reading import parse_configuration

from .conftest import find_chromium, open_report

GENERAL = ["Workflow", "Statistics", "About"]
CATEGORIES = [
    "Configuration", "Images", "Results", "Runtimes", "Summary", "The decay", "Training",
]  # fmt: skip

pytestmark = pytest.mark.browser


def home(report):
    """Click on the home icon above the menu."""
    report.page.locator("#app nav nav a").first.click()
    expect(menu(report).first).to_have_text("Workflow")


def menu(report) -> Locator:
    return report.page.locator("#app nav > div ul li a")


def rows(report) -> Locator:
    """Return the results of a category, each with the icons for show and about."""
    return report.page.locator("#app nav tbody tr")


def open_category(report, name):
    home(report)
    menu(report).get_by_text(name, exact=True).click()
    expect(rows(report).first).to_be_visible()


def show(report, number):
    """Click on the show icon of a result and return its path."""
    rows(report).nth(number).locator("a").nth(0).click()
    return report.page.evaluate("app.state.resultPath")


def assert_whole_figure(report, path):
    """Check that the figure at `path` is shown, decoded and completely reachable."""
    image = report.page.locator("#app div.grow.h-screen img")
    expect(image).to_be_visible()
    assert image.get_attribute("src") == report.page.evaluate("p => results[p].data_uri", path)
    try:
        width = image.evaluate("async i => { await i.decode(); return i.naturalWidth; }")
    except Error:
        width = 0
    assert width > 0, f"{path} is no image"
    # the width of the area next to the menu changes slowly
    report.page.wait_for_timeout(250)
    room = report.page.locator("#app div.grow.h-screen")
    assert room.evaluate("r => r.scrollLeft + r.clientWidth >= r.scrollWidth"), f"{path} is cut"
    room.evaluate("r => r.scrollTo(0, 0)")
    outer, inner = room.bounding_box(), image.bounding_box()
    assert inner["x"] >= outer["x"], f"{path} is cut at the left"
    assert inner["y"] >= outer["y"], f"{path} is cut at the top"
    assert inner["width"] >= 300, f"{path} is too small to read"


def table_page(report, category, heading):
    """Open the table page of a category with this heading."""
    open_category(report, category)
    frame = report.page.frame_locator("#app iframe")
    for number in range(rows(report).count()):
        show(report, number)
        title = frame.locator("h1")
        title.wait_for()
        report.page.wait_for_timeout(250)
        if title.inner_text().startswith(heading):
            report.screenshot(f"table {heading}")
            return frame
    raise AssertionError(f"{category}: no page {heading!r}")


def cells(frame):
    """Return all rows of all tables of a page."""
    found = frame.locator("tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.innerText.trim()))"
    )
    assert found
    return found


def number(text):
    return float(text.replace("−", "-").replace(",", ""))


def test_first_page_describes_the_run(report):
    page = report.page
    report.screenshot("first page")
    expect(page.locator("#app .prose").first).to_contain_text("Run tiny of wilsonvox")
    expect(page.locator("#rulegraph canvas, #rulegraph svg").first).to_be_visible()
    assert menu(report).all_inner_texts() == GENERAL + CATEGORIES


def test_every_link_of_the_description_leads_to_its_category(report):
    page = report.page
    links = page.locator("#app .prose a")
    assert links.all_inner_texts() == CATEGORIES
    for i in range(links.count()):
        name = links.nth(i).inner_text()
        links.nth(i).click()
        expect(page.locator("#app nav nav li.grow")).to_have_text(name)
        expect(rows(report).first).to_be_visible()


def test_general_pages(report):
    page = report.page
    menu(report).get_by_text("Workflow", exact=True).click()
    expect(page.locator("#rulegraph canvas, #rulegraph svg").first).to_be_visible()
    menu(report).get_by_text("Statistics", exact=True).click()
    for plot in ("#runtimes", "#timeline"):
        expect(page.locator(f"{plot} canvas, {plot} svg").first).to_be_visible()
    report.screenshot("statistics")
    menu(report).get_by_text("About", exact=True).click()
    packages = menu(report)
    assert packages.count() > 10
    for i in range(packages.count()):
        packages.nth(i).click()
        expect(page.locator("#app pre")).not_to_be_empty()
    home(report)


def test_every_result_is_shown_and_explained(report, reported):
    page = report.page
    shown = set()
    for category in CATEGORIES:
        open_category(report, category)
        for i in range(rows(report).count()):
            path = show(report, i)
            shown.add(path)
            if path.endswith(".png"):
                assert_whole_figure(report, path)
            else:
                frame = page.frame_locator("#app iframe")
                expect(frame.locator("h1")).to_be_visible()
            report.screenshot(f"{category} {i}")
            rows(report).nth(i).locator("a").nth(1).click()
            caption = page.locator("#app nav li.prose")
            expect(caption).to_be_visible()
            assert len(caption.inner_text()) > 80, path
            assert "System Message" not in caption.inner_text(), path
            report.screenshot(f"{category} {i} about")
            # the rule that made it, and back
            page.locator("#app nav > div ul li a").last.click()
            expect(page.locator("#app nav .source")).to_contain_text("wilsonvox ")
            page.locator("#app nav nav a").get_by_text(category, exact=True).last.click()
            expect(rows(report).first).to_be_visible()
    folder = reported.path / "results/tiny"
    made = [*(folder / "figures").rglob("*.png"), *(folder / "report").glob("*.html")]
    assert shown == {path.relative_to(reported.path).as_posix() for path in made}
    assert len(made) == 13 + 4


def test_every_label_names_figure_image_and_estimator(report):
    open_category(report, "Results")
    assert [row.split("\t")[:3] for row in rows(report).all_inner_texts()] == [
        *(
            [figure, "b8_n300", estimator]
            for figure in (
                "histograms", "linearity, errors of one image", "linearity, errors of the mean"
            )
            for estimator in ("likelihood", "tiny")
        ),
        ["sensitivity", "b8_n300", "all"],
    ]  # fmt: skip


def test_search_finds_a_figure(report):
    field = report.page.get_by_placeholder("Search...")
    field.fill("topology")
    field.press("Enter")
    expect(rows(report)).to_have_count(1)
    assert_whole_figure(report, show(report, 0))


def test_summary_has_the_values_of_every_point(report, reported):
    found = cells(table_page(report, "Summary", "Summary of the estimators"))
    path = reported.path / "results/tiny/evaluation/b8_n300/tiny/summary.csv"
    with path.open(newline="") as handle:
        points = list(csv.DictReader(handle))
    assert len(points) == 4
    shown = {row[0]: row for row in found if len(row) == len(points[0])}
    for point in points:
        row = shown[point["point"]]
        assert row[3] == ("yes" if point["seen_in_training"] == "True" else "no")
        for i, (column, value) in enumerate(point.items()):
            if column in {"point", "coefficient", "seen_in_training"}:
                continue
            if value == "":
                assert row[i] == "–"
            else:
                assert number(row[i]) == pytest.approx(float(value), abs=0.0051), column


def test_measured_sample_stands_beside_the_truth(report, reported):
    found = cells(table_page(report, "Summary", "Measured samples"))
    path = reported.path / "results/tiny/measurements/b8_n300/tiny/ntuple.json"
    value = json.loads(path.read_text())["coefficients"]["c9"]["value"]
    row = next(row for row in found if row[:2] == ["ntuple", "tiny"])
    assert row[2:5] == ["b8_n300", "6", "δC9"]
    assert row[5] == ("–" if value is None else f"{value:+.3f}".replace("-", "−"))
    assert row[8] == "−0.90"


def test_runtimes_of_every_rule(report, reported):
    found = cells(table_page(report, "Runtimes", "Runtimes"))
    folder = reported.path / "results/tiny/benchmarks"
    rules = {path.stem for path in folder.iterdir()} - {"report_pages"}
    assert {row[0] for row in found} - {"rule", "report_pages"} == rules | {"all"}
    generated = next(row for row in found if row[0] == "generate_events")
    assert generated[1] == "11"
    assert number(generated[2]) >= number(generated[4]) >= number(generated[3]) > 0


def test_configuration_is_there_with_its_defaults(report):
    frame = table_page(report, "Configuration", "Configuration of run tiny")
    values = yaml.safe_load(frame.locator("pre").inner_text())
    assert parse_configuration(values) == parse_configuration(TINY)
    assert values["images"]["b8_n300"]["q2_max_gev2"] == 20.0  # a default
    assert "ntuple" in {row[0] for row in cells(frame)}


def changed(report_path, tmp_path, old, new):
    html = report_path.read_text()
    assert old in html
    path = tmp_path / "changed.html"
    path.write_text(html.replace(old, new, 1))
    return path


def test_a_page_that_asks_for_more_is_found_out(browser, report_path, tmp_path):
    """Check that the conditions of the tests above can fail."""
    address = "https://example.org/logo.png"
    path = changed(report_path, tmp_path, "<body>", f'<body><img src="{address}">')
    opened = open_report(browser, path, tmp_path)
    opened.page.wait_for_timeout(250)
    opened.page.close()
    assert opened.requests == [address]
    with pytest.raises(AssertionError):
        opened.assert_nothing_went_wrong()


def test_a_broken_figure_is_found_out(browser, report_path, tmp_path):
    html = report_path.read_text()
    start = html.index("base64,", html.index('"name": "topology.png"'))
    path = tmp_path / "changed.html"
    path.write_text(html[: start + 7] + "AAAA" + html[start + 107 :])
    opened = open_report(browser, path, tmp_path)
    open_category(opened, "The decay")
    assert_whole_figure(opened, show(opened, 0))  # the distributions
    topology = show(opened, 1)
    with pytest.raises(AssertionError, match=r"topology\.png is no image"):
        assert_whole_figure(opened, topology)
    opened.page.close()


def test_without_chromium_one_sentence_names_the_package(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(pytest.fail.Exception, match="install Debian's package chromium"):
        find_chromium()
