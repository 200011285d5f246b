"""Write the RO-Crate of a run to one zip file."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from wilsonvox.config.run import RunConfiguration
from wilsonvox.config.samples import measured_samples
from wilsonvox.core.files import atomic_path, require_file
from wilsonvox.workflow.crates import contents
from wilsonvox.workflow.crates.graph import make_crate
from wilsonvox.workflow.crates.history import RunHistory, read_history

if TYPE_CHECKING:
    from rocrate.rocrate import ROCrate

_EARLIEST = (1980, 1, 1, 0, 0, 0)  # the first date that a zip file can hold


def write_zip(crate: "ROCrate", path: Path) -> None:
    """Write a crate as a zip file, atomically; equal content gives equal bytes.

    Raises:
        UserError: the file cannot be written.
    """
    with (
        atomic_path(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for entity in [*crate.default_entities, *crate.data_entities]:
            chunks = [chunk for _, chunk in entity.stream()]
            if not chunks:  # the root, which is a folder
                continue
            entry = zipfile.ZipInfo(unquote(entity.id), _EARLIEST)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, b"".join(chunks))


def pack_run(
    run: Path,
    configuration: RunConfiguration,
    out: Path,
    report: Path | None,
    largest_mb: float,
    command_descriptions: Mapping[str, str],
) -> RunHistory:
    """Pack a finished run into an RO-Crate of the profile Provenance Run Crate.

    Args:
        run: folder of the run.
        configuration: configuration of the run.
        out: path of the crate to write (.zip).
        report: report of the run, or None.
        largest_mb: size above which a result is described by its digest instead of packed [MB].
        command_descriptions: descriptions of the subcommands, by name.

    Returns:
        The jobs and files of the run.

    Raises:
        UserError: the run does not exist or is not finished; a file is damaged, has no record or
            was changed after later results were made from it; or the code has changed.
    """
    samples = measured_samples(configuration)
    results = contents.result_files(run, configuration, samples)
    if report is not None:
        require_file(report, "the report of the run")
    # figures last: the records of images contain those of temporary event files, figures do not
    history = read_history(run, [path for paths in results.values() for path in paths])
    largest_bytes = int(largest_mb * 1_000_000)
    crate = make_crate(
        configuration, samples, history, results, report, largest_bytes, command_descriptions
    )
    write_zip(crate, out)
    return history
