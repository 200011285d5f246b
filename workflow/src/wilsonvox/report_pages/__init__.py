"""The tables of a run's report as HTML pages: configuration, summaries, measurements, runtimes.

Each page stands alone: no script, and no font, style or image from elsewhere. Snakemake embeds it
in the report (`make report`). All shifts and sigmas are dimensionless.
"""

import os
from pathlib import Path

from wilsonvox.config import RunConfiguration
from wilsonvox.errors import UserError
from wilsonvox.files import atomic_path
from wilsonvox.report_pages.configuration import configuration_page
from wilsonvox.report_pages.results import SUMMARY_TABLE, measurements_page, summary_page
from wilsonvox.report_pages.times import runtimes_page

__all__ = ["PAGES", "SUMMARY_TABLE", "write_pages"]

PAGES = ("configuration", "summary", "measurements", "runtimes")
"""Names of the pages; each is written to `{name}.html`."""


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
