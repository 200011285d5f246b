"""The signal decay in jagged lists of particles, by PDG codes and mothers, in any order."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wilsonvox.core.errors import UserError
from wilsonvox.events.ingest.layouts import LIST_COLUMNS
from wilsonvox.theory.particles import (
    K_STAR_PDG_CODE,
    LEPTONS,
    PARTICLES,
    PDG_CODES,
    PHOTON_PDG_CODE,
)


def find_decays(
    chunk: Mapping[str, Any], path: Path
) -> tuple[NDArray[Any], NDArray[np.int8], Counter[str]]:
    """Momenta of the B0 → K*0(→ K π) μ+ μ− decays of jagged lists, one list an event.

    The B (±511) must have exactly the muons and either a K*0 (±313, with exactly K and π) or K
    and π themselves as daughters, with the charges of its flavour; photons beside them are let
    pass. ``mother`` is the place in the event's list, from 0; −1 for none.

    Args:
        chunk: awkward arrays `pdg_id`, `mother`, `e`, `px`, `py`, `pz`, each n × var.
        path: the file, for messages.

    Returns:
        Momenta of shape (5, 4, m), in the file's dtype and unit, ordered as `PARTICLES` and
        (E, px, py, pz); flavour, int8 of shape (m,); and the numbers of events dropped:
        ``other_decay`` and ``several_signal_decays``.

    Raises:
        UserError: the lists of the branches have different lengths, or are no lists of numbers.
    """
    counts, flat = _flatten(chunk, path)
    starts = np.concatenate([[0], np.cumsum(counts)])[:-1]
    event = np.repeat(np.arange(len(counts)), counts)
    pdg, mother = flat["pdg_id"].astype(np.int64), flat["mother"].astype(np.int64)

    has_parent = (mother >= 0) & (mother < counts[event])
    parent = np.where(has_parent, starts[event] + mother, -1)
    # index −1 reads the last particle and is masked everywhere
    grandparent = np.where(has_parent, parent[parent], -1) if len(pdg) else parent
    is_b, is_kstar = np.abs(pdg) == PDG_CODES["B0"], np.abs(pdg) == K_STAR_PDG_CODE
    direct = has_parent & is_b[parent]
    through = has_parent & is_kstar[parent] & (grandparent >= 0) & is_b[grandparent]
    owner = np.where(direct, parent, np.where(through, grandparent, -1))
    sign = np.sign(pdg[owner])

    def count(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.bincount(owner[mask], minlength=len(pdg))

    massive = pdg != PHOTON_PDG_CODE
    kstars = direct & (pdg == sign * K_STAR_PDG_CODE)
    signal = (
        is_b
        & (count(direct & massive & ~kstars) + count(through & massive) == 4)
        & (count(through & massive) == 2 * count(kstars))
    )
    places = {"B0": np.arange(len(pdg))}
    for name in PARTICLES[1:]:
        code, is_muon = PDG_CODES[name], name in LEPTONS
        own = (direct if is_muon else direct | through) & (
            pdg == (code if is_muon else sign * code)
        )
        signal &= count(own) == 1
        places[name] = np.full(len(pdg), -1)
        places[name][owner[own]] = np.flatnonzero(own)

    n_signal = np.bincount(event[signal], minlength=len(counts))
    chosen = np.flatnonzero(signal & (n_signal[event] == 1))
    dropped = Counter(
        other_decay=int((n_signal == 0).sum()), several_signal_decays=int((n_signal > 1).sum())
    )
    momenta = np.stack(
        [
            np.stack([flat[each][places[name][chosen]] for each in LIST_COLUMNS[2:]])
            for name in PARTICLES
        ]
    )
    return momenta, np.sign(pdg[chosen]).astype(np.int8), dropped


def _flatten(
    chunk: Mapping[str, Any], path: Path
) -> tuple[NDArray[np.int64], dict[str, NDArray[Any]]]:
    import awkward as ak

    flat: dict[str, NDArray[Any]] = {}
    counts: NDArray[np.int64] | None = None
    for name in LIST_COLUMNS:
        column = chunk[name]
        if column.ndim != 2:
            raise UserError(f"{path}: branch {name!r} is no list of numbers; see --layout")
        numbers = ak.to_numpy(ak.num(column, axis=1)).astype(np.int64)
        if counts is not None and not np.array_equal(counts, numbers):
            raise UserError(
                f"{path}: branches {LIST_COLUMNS[0]!r} and {name!r} list different numbers of "
                "particles in an event; write the file again"
            )
        counts = numbers
        flat[name] = ak.to_numpy(ak.flatten(column, axis=1))
    assert counts is not None
    return counts, flat
