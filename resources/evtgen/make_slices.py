"""Cut the slices in this folder out of the full EvtGen files: `make_slices.py SOURCE [OUT]`.

SOURCE is the folder with the full files (see README.md); OUT defaults to this script's folder.
"""

import argparse
from functools import partial
from pathlib import Path

import awkward as ak
import numpy as np
import uproot

from wilsonvox.events.ingest.reader import ingest_files
from wilsonvox.provenance.recording import make_record

FOUR_MOMENTA = {
    "evtgen_btosllnpr_b0_dc9_-0.90.root": 62_000,
    "evtgen_btosllnpr_antib0_dc9_0.00.root": 10_000,
    "evtgen_btosllnpr_b0_charmonium_dc9_0.00.root": 3_000,
}
"""Kept as four-momenta, in a TTree of float32: first events of each file."""
VARIABLES = {
    "evtgen_btosllnpr_b0_dc9_0.00.root": (60_000, "c9_+0.00"),
    "evtgen_btosllnpr_b0_dc9_-2.00.root": (60_000, "c9_-2.00"),
}
"""Kept as event files of `wilsonvox ingest`: first events of each file, and the true point."""
AS_THEY_ARE = {
    "basf2_ntuple_b0_dc9_-0.90.root": ("ntp", 2_000),
    "particle_list_b0_dc9_-2.00.root": ("particles", 2_000),
}
"""Kept as RNTuples with their own columns and precision: tree and first events of each file."""


def _write_four_momenta(source: Path, out: Path, n_events: int) -> None:
    with uproot.open(source) as file:
        columns = file["events"].arrays(entry_stop=n_events, library="np")
    narrow = {name: column.astype(np.float32) for name, column in columns.items()}
    with uproot.recreate(out, compression=uproot.LZMA(9)) as file:
        file.mktree("events", {name: np.dtype(np.float32) for name in narrow}).extend(narrow)


def _write_as_it_is(source: Path, out: Path, tree: str, n_events: int) -> None:
    with uproot.open(source) as file:
        columns = file[tree].arrays(entry_stop=n_events)
    with uproot.recreate(out, compression=uproot.LZMA(9)) as file:
        file.mkrntuple(tree, {name: ak.to_packed(columns[name]) for name in columns.fields})


def make_slices(source: Path, out: Path) -> None:
    """Write all slices of the files in `source` to `out`."""
    for name, n_events in FOUR_MOMENTA.items():
        _write_four_momenta(source / name, out / name, n_events)
    for name, (tree, n_events) in AS_THEY_ARE.items():
        _write_as_it_is(source / name, out / name, tree, n_events)
    for name, (n_events, point) in VARIABLES.items():
        momenta = out / f"momenta_of_{name}"
        _write_four_momenta(source / name, momenta, n_events)
        try:
            record = partial(make_record, "ingest_events", command=("make_slices.py", source.name))
            ingest_files(
                [momenta],
                out / name,
                flavour="B0",
                sample=name,
                true_point=point,
                make_record=record,
            )
        finally:
            momenta.unlink()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path, nargs="?", default=Path(__file__).parent)
    arguments = parser.parse_args()
    make_slices(arguments.source, arguments.out)
