"""Event files: ROOT files with a TTree `events`, the format that all later stages read.

The branches are float32 `q2` [GeV²], `cos_theta_mu`, `cos_theta_k`, `chi` [rad, 0 to 2π] and
`m_kpi` [GeV], and int8 `flavour` (+1 for B0, −1 for anti-B0), over the full q² range. Files with
four-momenta also have float64 `{B0,K,pi,mup,mum}_{E,px,py,pz}` [GeV], where `mup` and `mum` are the
positive and the negative lepton (muon or electron). Next to the tree the file contains two strings,
`provenance` (the record) and `metadata` (`EventMetadata`).
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from wilsonvox.core.errors import UserError
from wilsonvox.core.files import atomic_path, require_file, require_whole_root
from wilsonvox.core.models import StrictModel
from wilsonvox.records.digests import ColumnDigest
from wilsonvox.records.record import Record
from wilsonvox.theory.particles import MOMENTUM_BRANCHES

TREE = "events"
BRANCHES: dict[str, np.dtype[Any]] = {
    "q2": np.dtype(np.float32),
    "cos_theta_mu": np.dtype(np.float32),
    "cos_theta_k": np.dtype(np.float32),
    "chi": np.dtype(np.float32),
    "m_kpi": np.dtype(np.float32),
    "flavour": np.dtype(np.int8),
}
CHUNK = 1_000_000
"""Number of events per chunk when a file is streamed."""


@dataclass(frozen=True)
class Events:
    """Decays as columns of shape (n,) with the dtypes of `BRANCHES`."""

    q2: NDArray[np.float32]
    cos_theta_mu: NDArray[np.float32]
    cos_theta_k: NDArray[np.float32]
    chi: NDArray[np.float32]
    m_kpi: NDArray[np.float32]
    flavour: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.q2)

    def __getitem__(self, selection: slice | NDArray[Any]) -> Self:
        return type(self)(**{name: column[selection] for name, column in self.columns().items()})

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return the columns by branch name, in the order of `BRANCHES`."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_columns(cls, columns: dict[str, NDArray[Any]]) -> Self:
        """Construct events from columns, cast to the dtypes of `BRANCHES`."""
        return cls(
            **{name: np.asarray(columns[name], dtype=dtype) for name, dtype in BRANCHES.items()}
        )

    @classmethod
    def concatenate(cls, parts: Iterable["Events"]) -> Self:
        """Concatenate events, in order."""
        kept = [part.columns() for part in parts]
        return cls.from_columns(
            {
                name: np.concatenate([part[name] for part in kept]) if kept else np.empty(0, dtype)
                for name, dtype in BRANCHES.items()
            }
        )


class EventMetadata(StrictModel):
    """Metadata of an event file."""

    origin: Literal["generated", "ingested"]
    point: str | None = Field(default=None, description="point label, such as c9_-0.90")
    shifts: dict[str, float | complex] | None = Field(
        default=None, description="true shifts by coefficient; null if unknown"
    )
    split: str | None = None
    campaign: str | None = None
    sample: str | None = Field(default=None, description="name in samples.tsv")
    physics_inputs: str | None = Field(default=None, description="set of SM inputs, if generated")
    lepton: Literal["muon", "electron"] | None = Field(
        default=None, description="kind of lepton; null if unknown"
    )
    antiparticle_shifts: Literal["equal", "conjugate"] | None = Field(
        default=None,
        description="shifts of the B0: equal to those of the anti-B0 or their complex conjugates; "
        "if generated",
    )
    frame: Literal["rest", "belle2"] | None = Field(
        default=None, description="frame of the four-momenta, if the file contains any"
    )
    layout: str | None = Field(default=None, description="layout of the files, if ingested")
    energy_unit: str | None = Field(default=None, description="unit of energy of the files")
    n_read: int | None = Field(default=None, description="number of events in the files")
    n_dropped: dict[str, int] = Field(default_factory=dict, description="dropped events by reason")
    warnings: tuple[str, ...] = Field(
        default=(), description="warnings from reading the external files"
    )
    level: Literal["generator"] = Field(
        default="generator", description="no correction for detector effects"
    )


def write_events(
    path: str | os.PathLike[str],
    chunks: Iterable[Events],
    metadata: EventMetadata | Callable[[], EventMetadata],
    record: Record,
    momenta: Callable[[int, Events], NDArray[np.float64]] | None = None,
) -> int:
    """Write an event file, atomically and chunk by chunk.

    The file is compressed with LZ4, which uproot reads and writes ten times faster than its
    default.

    Args:
        path: file to write.
        chunks: the events.
        metadata: metadata, or a function that returns them, called after the last chunk.
        record: provenance record, written with the digest of the content added.
        momenta: function of the index and the events of a chunk that returns their four-momenta,
            float64 of shape (5, 4, n) [GeV]; no four-momenta are written if None.

    Returns:
        The number of events.
    """
    import uproot

    total = 0
    branches = dict(BRANCHES)
    if momenta is not None:
        branches |= dict.fromkeys(MOMENTUM_BRANCHES, np.dtype(np.float64))
    digest = ColumnDigest(branches)
    with (
        atomic_path(path) as temporary,
        uproot.recreate(temporary, compression=uproot.LZ4(1)) as file,
    ):
        tree = file.mktree(TREE, branches)
        for number, chunk in enumerate(chunks):
            if len(chunk):
                columns = chunk.columns()
                if momenta is not None:
                    rows = momenta(number, chunk).reshape(len(MOMENTUM_BRANCHES), -1)
                    columns |= dict(zip(MOMENTUM_BRANCHES, rows, strict=True))
                tree.extend(columns)
                digest.update(columns)
                total += len(chunk)
        about = (metadata() if callable(metadata) else metadata).model_dump_json()
        content = digest.hexdigest({"metadata": about})
        file["metadata"] = about
        file["provenance"] = record.model_copy(update={"content_digest": content}).to_json()
    return total


def _open(path: str | os.PathLike[str]) -> Any:
    import uproot

    existing = require_file(path, "a ROOT event file")
    try:
        file = uproot.open(existing)
        require_whole_root(existing, file.file.fEND)
        missing = [name for name in (TREE,) if name not in file]
        absent = [] if TREE in missing else [name for name in BRANCHES if name not in file[TREE]]
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{existing}: not a readable ROOT file ({type(error).__name__})") from error
    if missing or absent:
        raise UserError(
            f"{existing}: not an event file of wilsonvox: lacks {', '.join(missing + absent)}; "
            "convert other ROOT files with 'wilsonvox ingest'"
        )
    return file


def read_metadata(path: str | os.PathLike[str]) -> EventMetadata:
    """Read the metadata of an event file; default values if another program wrote the file.

    Raises:
        UserError: the file does not exist or is not an event file.
    """
    with _open(path) as file:
        if "metadata" not in file:
            return EventMetadata(origin="ingested")
        return EventMetadata.model_validate_json(str(file["metadata"]))


def iterate_events(path: str | os.PathLike[str], step: int = CHUNK) -> Iterator[Events]:
    """Yield the events of a file in chunks of at most `step`, in file order.

    Raises:
        UserError: the file does not exist, is not an event file, or is truncated.
    """
    with _open(path) as file:
        try:
            for chunk in file[TREE].iterate(list(BRANCHES), step_size=step, library="np"):
                yield Events.from_columns(chunk)
        except (OSError, ValueError, EOFError) as error:
            raise UserError(f"{Path(path)}: damaged event file ({error})") from error


def read_events(path: str | os.PathLike[str]) -> Events:
    """Read all events of a file."""
    return Events.concatenate(iterate_events(path))
