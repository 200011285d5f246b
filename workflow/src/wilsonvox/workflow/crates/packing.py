"""Writing the RO-Crate of a run to one zip file."""

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
    """Write a crate as a zip file, atomically, equal bytes for equal content.

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
        configuration: that the run was made with.
        out: the crate to write (.zip).
        report: the run's report, where there is one.
        largest_mb: results larger than this are described by their digest only [MB].
        command_descriptions: of each subcommand of the command line, by its name.

    Returns:
        The jobs and files of the run.

    Raises:
        UserError: there is no such run, or it is not finished; a file is damaged, without a
            record or not what later results were made of; or the code changed since.
    """
    samples = measured_samples(configuration)
    results = contents.result_files(run, configuration, samples)
    if report is not None:
        require_file(report, "the report of the run")
    # figures last: their readings of temporary event files keep no record, those of images do
    history = read_history(run, [path for paths in results.values() for path in paths])
    largest_bytes = int(largest_mb * 1_000_000)
    crate = make_crate(
        configuration, samples, history, results, report, largest_bytes, command_descriptions
    )
    write_zip(crate, out)
    return history
