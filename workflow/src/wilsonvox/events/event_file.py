"""Event files: the TTree `events` that every stage after the first reads.

Branches (design contract): float32 `q2` [GeV²], `cos_theta_mu`, `cos_theta_k`, `chi` [rad, 0 to
2π], `m_kpi` [GeV], and int8 `flavour` (+1 for B0, −1 for anti-B0), over the full q² range; where
four-momenta were asked for also float64 `{B0,K,pi,mup,mum}_{E,px,py,pz}` [GeV], with `mup` and
`mum` the positive and the negative lepton, electrons too. Beside the tree stand two strings:
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
from wilsonvox.theory.kinematics import MOMENTUM_BRANCHES

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
"""Events a chunk, when a file is streamed."""

FLAVOURS = {"B0": 1, "B0bar": -1}
"""Names of the two flavours in configuration, and their value in the `flavour` branch."""


@dataclass(frozen=True)
class Events:
    """Decays as columns, each of shape (n,) with the dtypes of `BRANCHES`."""

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
        """The columns by branch name, in the order of `BRANCHES`."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_columns(cls, columns: dict[str, NDArray[Any]]) -> Self:
        """Events of columns, cast to the contract's dtypes."""
        return cls(
            **{name: np.asarray(columns[name], dtype=dtype) for name, dtype in BRANCHES.items()}
        )

    @classmethod
    def concatenate(cls, parts: Iterable["Events"]) -> Self:
        """Events of several parts, in order."""
        kept = [part.columns() for part in parts]
        return cls.from_columns(
            {
                name: np.concatenate([part[name] for part in kept]) if kept else np.empty(0, dtype)
                for name, dtype in BRANCHES.items()
            }
        )


class EventMetadata(StrictModel):
    """What an event file says about itself."""

    origin: Literal["generated", "ingested"]
    point: str | None = Field(default=None, description="point label, such as c9_-0.90")
    shifts: dict[str, float | complex] | None = Field(
        default=None, description="true shifts by coefficient; null where they are not known"
    )
    split: str | None = None
    campaign: str | None = None
    sample: str | None = Field(default=None, description="name in samples.tsv")
    physics_inputs: str | None = Field(default=None, description="set of SM inputs, if generated")
    lepton: Literal["muon", "electron"] | None = Field(
        default=None, description="the leptons; mup and mum hold electrons as well"
    )
    antiparticle_shifts: Literal["equal", "conjugate"] | None = Field(
        default=None, description="whether a B0 has the shifts or their conjugates, if generated"
    )
    frame: Literal["rest", "belle2"] | None = Field(
        default=None, description="frame of the four-momenta, where there are any"
    )
    layout: str | None = Field(default=None, description="layout that was read, if ingested")
    energy_unit: str | None = Field(default=None, description="unit found in the file read")
    n_read: int | None = Field(default=None, description="events in the files read")
    n_dropped: dict[str, int] = Field(default_factory=dict, description="dropped events by reason")
    warnings: tuple[str, ...] = Field(
        default=(), description="what reading the external files left to be said"
    )
    level: Literal["generator"] = Field(
        default="generator", description="detector effects are not corrected for"
    )


def write_events(
    path: str | os.PathLike[str],
    chunks: Iterable[Events],
    metadata: EventMetadata | Callable[[], EventMetadata],
    record: Record,
    momenta: Callable[[int, Events], NDArray[np.float64]] | None = None,
) -> int:
    """Write an event file, atomically, chunk by chunk; return the number of events.

    `metadata` may be a function, called after the last chunk, for counts known only then. Where
    `momenta` is given, it makes the four-momenta, shape (5, 4, n), of chunk number i.

    Stored with LZ4, which uproot reads and writes ten times faster than its default.
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

    found = require_file(path, "a ROOT event file")
    try:
        file = uproot.open(found)
        require_whole_root(found, file.file.fEND)
        missing = [name for name in (TREE,) if name not in file]
        absent = [] if TREE in missing else [name for name in BRANCHES if name not in file[TREE]]
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{found}: not a readable ROOT file ({type(error).__name__})") from error
    if missing or absent:
        raise UserError(
            f"{found}: not an event file of wilsonvox: lacks {', '.join(missing + absent)}; "
            "make one of other ROOT files with 'wilsonvox ingest'"
        )
    return file


def read_metadata(path: str | os.PathLike[str]) -> EventMetadata:
    """Metadata of an event file; of one that another program wrote, that its truth is not known.

    Raises:
        UserError: no such file, or not an event file.
    """
    with _open(path) as file:
        if "metadata" not in file:
            return EventMetadata(origin="ingested")
        return EventMetadata.model_validate_json(str(file["metadata"]))


def iterate_events(path: str | os.PathLike[str], step: int = CHUNK) -> Iterator[Events]:
    """Events of a file in chunks of at most `step`, in file order.

    Raises:
        UserError: no such file, not an event file, or truncated.
    """
    with _open(path) as file:
        try:
            for chunk in file[TREE].iterate(list(BRANCHES), step_size=step, library="np"):
                yield Events.from_columns(chunk)
        except (OSError, ValueError, EOFError) as error:
            raise UserError(f"{Path(path)}: damaged event file ({error})") from error


def read_events(path: str | os.PathLike[str]) -> Events:
    """All events of a file."""
    return Events.concatenate(iterate_events(path))
