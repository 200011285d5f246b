"""From external files to events: the stream, its counts, and the event file made of it."""

import logging
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from wilsonvox.core.errors import UserError
from wilsonvox.core.suggestions import did_you_mean
from wilsonvox.events.event_file import (
    TREE,
    EventMetadata,
    Events,
    read_metadata,
    write_events,
)
from wilsonvox.events.ingest.candidates import RULE, first_candidates
from wilsonvox.events.ingest.decays import REASONS, Decays, MomentumDecays, VariableDecays
from wilsonvox.events.ingest.layouts import VARIABLES, Match, find_layout
from wilsonvox.events.ingest.particle_list import find_decays
from wilsonvox.events.ingest.sources import Source, damaged, expand_paths, open_source
from wilsonvox.records.record import RecordFactory, portable_path
from wilsonvox.theory.kinematics import DecayVariables
from wilsonvox.theory.particles import COMPONENTS, FLAVOURS, JPSI_GEV2, PARTICLES, PDG_CODES
from wilsonvox.theory.points import parse_point

LOG = logging.getLogger(__name__)

LEVEL = (
    "everything here is taken as generator level: detector effects "
    "(acceptance, efficiency, resolution, background) are not corrected for"
)
UNITS = {"GeV": 1.0, "MeV": 1e-3}
"""Energy units that are told apart, and their size [GeV]."""

HIGH_Q2_GEV2 = 14.0
"""Where the forward-backward asymmetry tells the flavours apart [GeV²]."""

FLAVOUR_SIGNIFICANCE = 5.0
"""Standard deviations by which it must contradict an assumed flavour."""

JPSI_HALF_WIDTH_GEV2, JPSI_FRACTION = 0.1, 0.1
"""Half width of a window around the J/ψ [GeV²], and the fraction of events in it above which the
file is taken to contain charmonium resonances. Without them the fraction is 1.2 %."""

OTHER_LEPTONS = 0.01
"""Part of the decays that may be to the other lepton by their masses."""

_ANTI_NAME = re.compile(r"anti[-_]?b0?(?![a-z])|b0?bar|bbar", re.IGNORECASE)


@dataclass
class IngestedEvents:
    """Events of external files, read in chunks when iterated over, with the counts so far.

    Attributes:
        paths: the files.
        layout: the layout found.
        unit: ``GeV`` or ``MeV``; None before the first chunk, ``GeV and MeV`` where files differ.
        n_read: entries (for particle lists: events) read.
        n_kept: events given out.
        n_dropped: events dropped, by reason (`wilsonvox.events.ingest.decays.REASONS`).
        warnings: what the user should know of the result; also logged.
    """

    paths: tuple[Path, ...]
    layout: str
    flavour: str
    sources: tuple[tuple[Source, Match], ...] = field(repr=False)
    unit: str | None = None
    n_read: int = 0
    n_kept: int = 0
    n_dropped: Counter[str] = field(default_factory=Counter)
    warnings: list[str] = field(default_factory=list)
    _n_jpsi: int = field(default=0, repr=False)
    _leptons: list[int] = field(default_factory=lambda: [0, 0], repr=False)
    _assumed: list[int] = field(default_factory=lambda: [0, 0], repr=False)

    def __iter__(self) -> Iterator[Events]:
        """Events of all files in chunks, in file order. Iterate once.

        Raises:
            UserError: a file is damaged, its unit cannot be told, its flavour contradicts the
                one given, or no event is left at the end.
        """
        for source, match in self.sources:
            yield from self._file(source, match)
        if self.n_kept == 0:
            raise UserError(
                f"{self.paths[0]}{' …' if len(self.paths) > 1 else ''}: no usable event among "
                f"{self.n_read} (dropped: {self._dropped() or 'none'}); check layout and content"
            )
        LOG.info(
            "read %d events, kept %d, dropped %d", self.n_read, self.n_kept, self.total_dropped
        )
        for reason, number in self.counts().items():
            LOG.info("  dropped %d: %s (%s)", number, reason, REASONS[reason])
        self._check_assumed_flavour()
        electrons, muons = self._leptons
        if electrons + muons and self.lepton is None:
            self._warn(f"decays to electrons ({electrons:,}) and to muons ({muons:,}) together")
        if self._n_jpsi > JPSI_FRACTION * self.n_kept:
            self._warn(
                f"{100 * self._n_jpsi / self.n_kept:.0f} % of the events lie within "
                f"{JPSI_HALF_WIDTH_GEV2} GeV² of the J/ψ: charmonium resonances are in the file; "
                "give veto windows when images are made"
            )
        LOG.info(LEVEL)

    @property
    def total_dropped(self) -> int:
        """Number of events dropped so far."""
        return sum(self.n_dropped.values())

    @property
    def lepton(self) -> Literal["muon", "electron"] | None:
        """The leptons of the decays read so far, by their masses; None where those do not tell."""
        electrons, muons = self._leptons
        if electrons > OTHER_LEPTONS * (electrons + muons) < muons:
            return None
        return "electron" if electrons > muons else "muon" if muons else None

    def counts(self) -> dict[str, int]:
        """Dropped events by reason, without the reasons that dropped none."""
        return {reason: self.n_dropped[reason] for reason in REASONS if self.n_dropped[reason]}

    def portable_warnings(self) -> tuple[str, ...]:
        """The warnings so far, without the folders of this machine, as files keep them."""
        texts = self.warnings
        for path in self.paths:
            texts = [text.replace(str(path), portable_path(path)) for text in texts]
        return tuple(texts)

    def _dropped(self) -> str:
        return ", ".join(f"{number} {reason}" for reason, number in self.counts().items())

    def _warn(self, message: str) -> None:
        if message not in self.warnings:
            self.warnings.append(message)
            LOG.warning("warning: %s", message)

    def _file(self, source: Source, match: Match) -> Iterator[Events]:
        for note in match.notes:
            self._warn(f"{source.path}: {note}")
        self._say_flavour(source, match)
        chosen = first_candidates(source, match) if match.layout == "belle2" else None
        if chosen is not None:
            LOG.info("%s: %s", source.path, RULE)
        factor: float | None = None
        position = 0
        for chunk in source.chunks(match.branches.values(), match.layout == "particle-list"):
            decays, n_entries = self._decode(source, match, chunk)
            self.n_read += n_entries
            if chosen is not None:
                keep = chosen[position : position + n_entries]
                self.n_dropped["other_candidate"] += int((~keep).sum())
                decays = decays[keep]
            position += n_entries
            decays = self._settle_flavour(source, match, decays)
            if factor is None and len(decays):
                factor = self._find_unit(source, match, decays)
            decays = decays.in_gev(factor or 1.0)
            for index, number in enumerate(decays.leptons()):
                self._leptons[index] += number
            events, dropped = decays.events()
            self.n_dropped.update(dropped)
            self.n_kept += len(events)
            if self.flavour == "auto" and not match.tells_flavour:
                high = events.cos_theta_mu[events.q2 > HIGH_Q2_GEV2]
                self._assumed[0] += int((high > 0).sum())
                self._assumed[1] += int((high < 0).sum())
            self._n_jpsi += int((np.abs(events.q2 - JPSI_GEV2) < JPSI_HALF_WIDTH_GEV2).sum())
            yield events

    def _check_assumed_flavour(self) -> None:
        """Refuse anti-B0 decays that were taken as B0 because nothing told their flavour.

        Above 14 GeV² the muons' forward–backward asymmetry is about +0.3 for any shift near the
        Standard Model; with the other flavour's angles it has the other sign.
        """
        forward, backward = self._assumed
        total = forward + backward
        if total and (forward - backward) / total**0.5 < -FLAVOUR_SIGNIFICANCE:
            raise UserError(
                f"{self.paths[0]}: no branch tells the flavour, and these are no B0 decays: their "
                f"forward-backward asymmetry above {HIGH_Q2_GEV2:g} GeV² is "
                f"{(forward - backward) / total:+.2f} ± {total**-0.5:.2f}, that of B0 is positive; "
                "give --flavour B0bar (or --flavour B0)"
            )

    def _decode(self, source: Source, match: Match, chunk: Mapping[str, Any]) -> tuple[Decays, int]:
        if match.layout == "particle-list":
            momenta, flavour, dropped = find_decays(chunk, source.path)
            self.n_dropped.update(dropped)
            decays = MomentumDecays(momenta.astype(np.float64), flavour, _rounding([momenta]))
            return decays, len(flavour) + sum(dropped.values())
        roles = {role: chunk[branch] for role, branch in match.branches.items()}
        flavour = _told_flavour(roles)
        if match.layout == "variables":
            values = {name: roles[name].astype(np.float64) for name in VARIABLES}
            return VariableDecays(DecayVariables(**values), flavour), len(flavour)
        numbers = [roles[f"{p}_{c}"] for p in PARTICLES for c in COMPONENTS]
        momenta = np.stack([n.astype(np.float64) for n in numbers]).reshape(5, 4, -1)
        if match.layout == "belle2":
            momenta = self._order_muons(source, roles, momenta, flavour)
        return MomentumDecays(momenta, flavour, _rounding(numbers)), len(flavour)

    def _order_muons(
        self,
        source: Source,
        roles: Mapping[str, NDArray[Any]],
        momenta: NDArray[np.float64],
        flavour: NDArray[np.int8],
    ) -> NDArray[np.float64]:
        """Put the positive muon first by its code or charge.

        An ntuple names daughters as in the decay string of the B0; for an anti-B0 candidate its
        ``mu_p`` columns may hold the charge conjugate.
        """
        if "mup_pdg" in roles:
            exchanged = roles["mup_pdg"] == PDG_CODES["mum"]
        elif "mup_charge" in roles:
            exchanged = roles["mup_charge"] < 0
        else:
            if (flavour < 0).any():
                self._warn(
                    f"{source.path}: anti-B0 candidates, and no PDG code or charge of the muons: "
                    "the mu_p columns are taken as the positive muon's"
                )
            return momenta
        ordered = momenta.copy()
        ordered[3:, :, exchanged] = momenta[[4, 3]][:, :, exchanged]
        return ordered

    def _say_flavour(self, source: Source, match: Match) -> None:
        if match.tells_flavour:
            LOG.info("%s: flavour from the file", source.path)
        elif self.flavour != "auto":
            LOG.info("%s: flavour %s as given", source.path, self.flavour)
        elif _ANTI_NAME.search(source.path.name):
            raise UserError(
                f"{source.path}: no branch tells the flavour, and the name speaks of anti-B0; "
                "give --flavour B0bar (or --flavour B0)"
            )
        else:
            self._warn(
                f"{source.path}: no branch tells the flavour, all events are taken as B0; "
                "use --flavour B0bar if they are anti-B0"
            )

    def _settle_flavour(self, source: Source, match: Match, decays: Decays) -> Decays:
        if not match.tells_flavour:
            value = FLAVOURS.get(self.flavour, FLAVOURS["B0"])
            return decays.with_flavour(np.full(len(decays), value, dtype=np.int8))
        known = decays.flavour != 0
        self.n_dropped["unknown_flavour"] += int((~known).sum())
        if self.flavour != "auto":
            contradicting = int((decays.flavour[known] != FLAVOURS[self.flavour]).sum())
            if contradicting:
                raise UserError(
                    f"{source.path}: {contradicting} of the first {self.n_read} events are not "
                    f"{self.flavour} by the file's own codes; use --flavour auto"
                )
        return decays[known]

    def _find_unit(self, source: Source, match: Match, decays: Decays) -> float:
        masses = decays.masses()
        masses = masses[np.isfinite(masses)]
        median = float(np.median(masses)) if len(masses) else np.nan
        low, high = decays.mass_window
        for unit, factor in UNITS.items():
            if low <= median * factor <= high:
                LOG.info(
                    "%s: %s %r, layout %s, %d entries, energies in %s (median %s %.4g)",
                    source.path,
                    source.kind,
                    source.tree,
                    match.layout,
                    source.n_entries,
                    unit,
                    decays.mass_name,
                    median,
                )
                known = [] if self.unit is None else self.unit.split(" and ")
                self.unit = " and ".join(sorted({*known, unit}))
                return factor
        raise UserError(
            f"{source.path}: unit of energy not known: median {decays.mass_name} {median:.4g} is "
            f"that of no B0 decay in GeV or MeV; convert the momenta, or check tree and layout"
        )


def _rounding(numbers: Sequence[NDArray[Any]]) -> float:
    """Relative rounding of the coarsest floating-point type among arrays."""
    kinds = [each.dtype for each in numbers if each.dtype.kind == "f"]
    return max((float(np.finfo(dtype).eps) for dtype in kinds), default=0.0)


def _told_flavour(roles: Mapping[str, NDArray[Any]]) -> NDArray[np.int8]:
    """+1 for B0, −1 for anti-B0, 0 where the file does not tell, shape (n,)."""
    codes = {"flavour": 1, "b_pdg": PDG_CODES["B0"], "k_pdg": PDG_CODES["K"], "k_charge": 1}
    for role, code in codes.items():
        if role in roles:
            values = roles[role]
            told = (values == code).astype(np.int8) - (values == -code).astype(np.int8)
            return np.asarray(told, dtype=np.int8)
    return np.zeros(len(next(iter(roles.values()))), dtype=np.int8)


def read_external(
    paths: Sequence[str | os.PathLike[str]],
    tree: str | None = None,
    layout: str = "auto",
    flavour: str = "auto",
) -> IngestedEvents:
    """Open external ROOT files and find out their layout; events are read by iterating.

    Args:
        paths: files or globs; all must have one layout.
        tree: TTree or RNTuple to read; None (or empty) for the only one in the file.
        layout: one of `LAYOUTS`; ``auto`` finds out by the branches' names.
        flavour: ``B0`` or ``B0bar`` for files that do not tell; ``auto`` takes those as B0.

    Raises:
        UserError: no file, not a ROOT file, damaged, empty, without the tree or a branch, of
            different layouts, or an unknown layout or flavour.
    """
    if flavour not in ("auto", *FLAVOURS):
        known = ("auto", *FLAVOURS)
        raise UserError(f"flavour {flavour!r} is unknown{did_you_mean(flavour, known)}")
    files = expand_paths(paths)
    sources = []
    for path in files:
        source = open_source(path, tree or None)
        sources.append((source, find_layout(path, source.columns, layout)))
    first = sources[0][1].layout
    for source, match in sources:
        if match.layout != first:
            raise UserError(
                f"{source.path}: has layout {match.layout}, but {files[0]} has {first}; "
                "ingest them one by one"
            )
    return IngestedEvents(tuple(files), first, flavour, tuple(sources))


def _known_of_all(events: IngestedEvents) -> dict[str, Any]:
    """What event files of this package tell of their decay, where all files agree."""
    told = []
    for source, _ in events.sources:
        try:
            told.append(read_metadata(source.path) if source.tree == TREE else None)
        except UserError:  # of another program
            told.append(None)
    known: dict[str, Any] = {}
    for name in ("physics_inputs", "lepton", "antiparticle_shifts"):
        values = {getattr(each, name) if each else None for each in told}
        known[name] = values.pop() if len(values) == 1 else None
    return known


def ingest_files(
    paths: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    tree: str | None = None,
    layout: str = "auto",
    flavour: str = "auto",
    sample: str | None = None,
    true_point: str | None = None,
    make_record: RecordFactory,
) -> EventMetadata:
    """Write the usable events of external ROOT files as an event file.

    Args:
        paths: files or globs, see `read_external`.
        out: the event file to write, atomically.
        tree: TTree or RNTuple to read; None for the only one.
        layout: one of `LAYOUTS`.
        flavour: ``auto``, ``B0`` or ``B0bar``.
        sample: name of the sample, kept in the metadata.
        true_point: label of the true shifts (``c9_-0.90``), where they are known.
        make_record: makes the record of the event file.

    Returns:
        The metadata that the file got, with the numbers of events read and dropped.

    Raises:
        UserError: as `read_external`, a bad label, or no usable event; no file is left then.
    """
    shifts = parse_point(true_point) if true_point else None
    events = read_external(paths, tree, layout, flavour)
    settings = {
        "tree": tree or None,
        "layout": layout,
        "flavour": flavour,
        "sample": sample or None,
        "true_point": true_point or None,
    }
    try:
        record = make_record(out, settings, events.paths)
    except Exception as error:
        # the digest of an event file of our own reads it whole
        raise damaged(events.paths[0], error) from error

    known = _known_of_all(events)

    def metadata() -> EventMetadata:
        return EventMetadata(
            origin="ingested",
            point=true_point or None,
            shifts=shifts,
            sample=sample or None,
            layout=events.layout,
            energy_unit=events.unit,
            n_read=events.n_read,
            n_dropped=events.counts(),
            **known | ({"lepton": events.lepton} if events.lepton else {}),
            warnings=events.portable_warnings(),
        )

    write_events(out, events, metadata, record)
    return metadata()
