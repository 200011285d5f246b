"""A report opened in a real browser, with everything that the page asks for on record."""

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
"""Environment variable: folder for screenshots, else a temporary one."""


def find_chromium() -> str:
    """Path of the Chromium that the system has; a test without one fails."""
    found = shutil.which("chromium")
    if found is None:
        pytest.fail(
            "no Chromium: install Debian's package chromium (apt-get install chromium)",
            pytrace=False,
        )
    return found


@dataclass
class OpenReport:
    """A report in a browser window, and what went wrong on its page so far."""

    page: Page
    screenshots: Path
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def screenshot(self, name: str) -> None:
        """Save what the window shows."""
        self.screenshots.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=self.screenshots / (re.sub(r"\W+", "-", name) + ".png"))

    def assert_nothing_went_wrong(self) -> None:
        """No request has left the page, and the console has no error."""
        assert self.requests == []
        assert self.errors == []


def open_report(browser: Browser, path: Path, screenshots: Path) -> OpenReport:
    """Open the report at `path`; whatever it asks for beyond itself is blocked and recorded."""
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
    """Headless Chromium of the system."""
    chromium = find_chromium()
    with sync_playwright() as playwright:
        # continuous integration runs as root, where Chromium has no sandbox
        launched = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder for screenshots."""
    given = os.environ.get(SCREENSHOTS)
    return Path(given) if given else tmp_path_factory.mktemp("screenshots")


@pytest.fixture(scope="session")
def report_path(reported: Folder) -> Path:
    """The report of the tiny run."""
    return reported.path / "results/tiny/report.html"


@pytest.fixture
def report(browser: Browser, report_path: Path, screenshots: Path) -> Iterator[OpenReport]:
    """The report, opened anew; at the end nothing may have gone wrong."""
    opened = open_report(browser, report_path, screenshots)
    yield opened
    opened.page.close()
    opened.assert_nothing_went_wrong()
