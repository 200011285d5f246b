"""Fixtures for a report in a real browser, with a log of all requests of the page."""

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, Route, sync_playwright

from tests.workflow.conftest import Folder, finished, reported

__all__ = ["finished", "reported"]  # fixtures

SCREENSHOTS = "WILSONVOX_SCREENSHOTS"
"""Environment variable for the folder of screenshots, by default a temporary one."""


def find_chromium() -> str:
    """Return the path of the system's Chromium, or fail."""
    found = shutil.which("chromium")
    if found is None:
        pytest.fail(
            "no Chromium: install Debian's package chromium (apt-get install chromium)",
            pytrace=False,
        )
    return found


@dataclass
class OpenReport:
    """Report in a browser window, with the errors of its page."""

    page: Page
    screenshots: Path
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def screenshot(self, name: str) -> None:
        """Save a screenshot."""
        self.screenshots.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=self.screenshots / (re.sub(r"\W+", "-", name) + ".png"))

    def assert_nothing_went_wrong(self) -> None:
        """Check that the page made no external request and the console has no error."""
        assert self.requests == []
        assert self.errors == []


def open_report(browser: Browser, path: Path, screenshots: Path) -> OpenReport:
    """Open the report at `path`, blocking and recording all other requests."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(10_000)
    report = OpenReport(page, screenshots)
    own = path.as_uri()

    def is_inside(url: str) -> bool:
        return url.startswith((own, "data:", "blob:", "about:"))

    def decide(route: Route) -> None:
        if is_inside(route.request.url):
            route.continue_()
        else:
            route.abort()

    def note(request: Request) -> None:
        if not is_inside(request.url):
            report.requests.append(request.url)

    page.route("**/*", decide)
    page.on("request", note)
    page.on("pageerror", lambda error: report.errors.append(str(error)))
    page.on(
        "console",
        lambda message: report.errors.append(message.text) if message.type == "error" else None,
    )
    page.goto(own)
    page.locator("#app > div > nav").wait_for()
    return report


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Provide the headless Chromium of the system."""
    chromium = find_chromium()
    with sync_playwright() as playwright:
        # continuous integration runs as root, where Chromium has no sandbox
        launched = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Provide the folder for screenshots."""
    given = os.environ.get(SCREENSHOTS)
    return Path(given) if given else tmp_path_factory.mktemp("screenshots")


@pytest.fixture(scope="session")
def report_path(reported: Folder) -> Path:
    """Provide the report of the tiny run."""
    return reported.path / "results/tiny/report.html"


@pytest.fixture
def report(browser: Browser, report_path: Path, screenshots: Path) -> Iterator[OpenReport]:
    """Provide a newly opened report, and check for errors of the page at the end."""
    opened = open_report(browser, report_path, screenshots)
    yield opened
    opened.page.close()
    opened.assert_nothing_went_wrong()
