"""Tables of the report of a run as HTML pages: configuration, results and runtimes.

The pages are self-contained, without scripts or external fonts, styles and images. Snakemake embeds
them in the report (`make report`). All shifts and σ are dimensionless.
"""

import os
from pathlib import Path

from wilsonvox.config.run import RunConfiguration
from wilsonvox.core.errors import UserError
from wilsonvox.core.files import atomic_path
from wilsonvox.report.configuration import configuration_page
from wilsonvox.report.global_fit import global_fit_page
from wilsonvox.report.results import SUMMARY_TABLE, measurements_page, summary_page
from wilsonvox.report.times import runtimes_page

__all__ = ["SUMMARY_TABLE", "write_pages"]


def write_pages(
    run: str | os.PathLike[str], configuration: RunConfiguration, out: str | os.PathLike[str]
) -> list[Path]:
    """Write the pages of the run in folder `run` to ``{out}/{name}.html``.

    These are the pages of the configuration and the runtimes, of summaries and measured samples if
    the run has images, and of the global fit if there is one.

    Raises:
        UserError: the run does not exist, one of its files cannot be read, or `out` cannot be
            written.
    """
    folder = Path(run)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such run; expected a folder such as results/demo")
    texts = {"configuration": configuration_page(folder, configuration)}
    if configuration.has_images:
        texts["summary"] = summary_page(folder)
        texts["measurements"] = measurements_page(folder)
    if configuration.global_fit is not None:
        texts["global_fit"] = global_fit_page(folder, configuration)
    texts["runtimes"] = runtimes_page(folder)
    paths = []
    for name, text in texts.items():
        path = Path(out) / f"{name}.html"
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths
