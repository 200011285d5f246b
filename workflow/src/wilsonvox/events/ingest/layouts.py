"""The layouts of external files: which branch plays which role, found by the branches' names."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wilsonvox.core.errors import UserError
from wilsonvox.core.suggestions import did_you_mean
from wilsonvox.events.event_file import BRANCHES
from wilsonvox.theory.particles import COMPONENTS, PARTICLES

LAYOUTS = ("auto", "variables", "four-momenta", "belle2", "particle-list")
"""Names of the layouts; `auto` finds out."""

VARIABLES = tuple(name for name in BRANCHES if name != "flavour")
LIST_COLUMNS = ("pdg_id", "mother", "e", "px", "py", "pz")
BOOKKEEPING = ("__production__", "__experiment__", "__run__", "__event__", "__candidate__")


@dataclass(frozen=True)
class Match:
    """How the branches of a file fit a layout.

    `branches` maps roles (``K_px``, ``q2``, ``pdg_id``, ``b_pdg``, ``__event__``) to branches;
    `missing` are branches that the layout needs and the file lacks.
    """

    layout: str
    branches: Mapping[str, str]
    n_needed: int
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def fraction(self) -> float:
        """Part of the needed branches that are there."""
        return 1 - len(self.missing) / self.n_needed

    @property
    def tells_flavour(self) -> bool:
        """Whether a branch tells B0 from anti-B0."""
        return self.layout == "particle-list" or any(
            role in self.branches for role in ("flavour", "b_pdg", "k_pdg", "k_charge")
        )


def _first(columns: Iterable[str], names: Iterable[str]) -> str | None:
    present = set(columns)
    return next((name for name in names if name in present), None)


def _exact(layout: str, columns: Sequence[str], roles: Iterable[str], **optional: str) -> Match:
    wanted = list(roles)
    branches = {role: role for role in wanted if role in columns}
    missing = tuple(role for role in wanted if role not in columns)
    for role, names in optional.items():
        found = _first(columns, names.split())
        if found:
            branches[role] = found
    return Match(layout, branches, len(wanted), missing)


def _match_variables(columns: Sequence[str]) -> Match:
    return _exact("variables", columns, VARIABLES, flavour="flavour")


def _match_four_momenta(columns: Sequence[str]) -> Match:
    roles = [f"{particle}_{component}" for particle in PARTICLES for component in COMPONENTS]
    return _exact(
        "four-momenta",
        columns,
        roles,
        flavour="flavour",
        b_pdg="B0_pdg B0_pdg_id B0_PDG B0_mcPDG",
        k_pdg="K_pdg K_pdg_id K_PDG K_mcPDG",
        k_charge="K_charge K_q",
    )


def _match_particle_list(columns: Sequence[str]) -> Match:
    return _exact("particle-list", columns, LIST_COLUMNS)


_BELLE2_COLUMN = re.compile(
    r"(?:(?P<prefix>.+?)_)?(?P<truth>mc_?)?(?P<quantity>e|px|py|pz|pdg|charge)", re.IGNORECASE
)
_BELLE2_PREFIXES = {
    # the B's own columns have no prefix in an ntuple of a list of B candidates
    "B0": re.compile(r"|(anti[-_]?)?B_?[0d]?|B0bar", re.IGNORECASE),
    "K": re.compile(r"(.+_)?K(_?[pm])?"),
    "pi": re.compile(r"(.+_)?pi(_?[pm])?"),
    "mup": re.compile(r"(.+_)?mu_p(lus)?"),
    "mum": re.compile(r"(.+_)?mu_m(inus)?"),
}
_BELLE2_NAMES = {"B0": "B0", "K": "K_p", "pi": "pi_m", "mup": "mu_p", "mum": "mu_m"}

_Quantities = Mapping[str, str]


def _belle2_tables(columns: Iterable[str]) -> dict[bool, dict[str, dict[str, str]]]:
    """Columns by level (truth or reconstructed), prefix and quantity."""
    tables: dict[bool, dict[str, dict[str, str]]] = {True: {}, False: {}}
    for column in columns:
        found = _BELLE2_COLUMN.fullmatch(column)
        if found:
            prefixes = tables[found["truth"] is not None]
            quantities = prefixes.setdefault(found["prefix"] or "", {})
            quantities.setdefault(found["quantity"].lower(), column)
    return tables


def _belle2_level(columns: Sequence[str], truth: bool) -> Match:
    tables = _belle2_tables(columns)
    branches: dict[str, str] = {}
    missing: list[str] = []
    for particle, pattern in _BELLE2_PREFIXES.items():
        here = {p: q for p, q in tables[truth].items() if pattern.fullmatch(p)}
        momenta = {p: len({c.lower() for c in COMPONENTS} & set(q)) for p, q in here.items()}
        best = max(momenta.values(), default=0)
        prefixes = [prefix for prefix, number in momenta.items() if number == best > 0]
        if len(prefixes) > 1:
            names = ", ".join(repr(each) for each in sorted(prefixes))
            raise UserError(
                f"branches of several particles could be the {particle} ({names}); "
                "keep one of them in the ntuple, or rename the others"
            )
        prefix = prefixes[0] if prefixes else _BELLE2_NAMES[particle]
        quantities: _Quantities = here.get(prefix, {})
        for component in COMPONENTS:
            column = quantities.get(component.lower())
            if column is None:
                level = "mc_" if truth else ""
                missing.append(f"{prefix}_{level}{component}".lstrip("_"))
            else:
                branches[f"{particle}_{component}"] = column
        # PDG codes of the truth tell the true flavour, the hypothesis only the reconstructed one
        other: _Quantities = tables[not truth].get(prefix, {})
        role = {"B0": "b", "K": "k"}.get(particle, particle)
        for name in ("pdg", "charge"):
            column = quantities.get(name) or other.get(name)
            if column is not None and (role, name) != ("b", "charge"):
                branches[f"{role}_{name}"] = column
    branches.update({name: name for name in BOOKKEEPING if name in columns})
    return Match("belle2", branches, 4 * len(PARTICLES), tuple(missing), _belle2_notes(truth))


def _belle2_notes(truth: bool) -> tuple[str, ...]:
    if truth:
        return ()
    return (
        (
            "no generated (mc) momenta: reconstructed ones are read and taken as generated, "
            "resolution and efficiency stay in them"
        ),
    )


def _match_belle2(columns: Sequence[str]) -> Match:
    truth = _belle2_level(columns, True)
    return min(truth, _belle2_level(columns, False), key=lambda match: len(match.missing))


_MATCHERS: Mapping[str, Callable[[Sequence[str]], Match]] = {
    "variables": _match_variables,
    "four-momenta": _match_four_momenta,
    "belle2": _match_belle2,
    "particle-list": _match_particle_list,
}


def find_layout(path: Path, columns: Sequence[str], layout: str) -> Match:
    """The branches of a file in their roles; `auto` takes the first layout that fits whole.

    Raises:
        UserError: an unknown layout, a missing branch (named, with the nearest one that is
            there), or no layout that fits.
    """
    if layout not in LAYOUTS:
        raise UserError(f"layout {layout!r} is unknown{did_you_mean(layout, LAYOUTS)}")
    wanted = [layout] if layout != "auto" else list(_MATCHERS)
    matches = []
    ambiguous: dict[str, UserError] = defaultdict()
    for name in wanted:
        try:
            matches.append(_MATCHERS[name](columns))
        except UserError as error:
            ambiguous[name] = error
    best = max(matches, key=lambda match: match.fraction, default=None)
    if best is not None and not best.missing:
        return best
    if ambiguous:
        raise UserError(f"{path}: {next(iter(ambiguous.values()))}")
    if best is None or (layout == "auto" and best.fraction < 0.5):
        shown = ", ".join(columns[:12]) + (", …" if len(columns) > 12 else "")
        raise UserError(
            f"{path}: its branches ({shown}) fit none of the layouts {', '.join(LAYOUTS[1:])}; "
            "rename them, see 'wilsonvox ingest --help'"
        )
    first, *others = best.missing
    more = f" (and {len(others)} more)" if others else ""
    raise UserError(
        f"{path}: branch {first!r} of layout {best.layout} is missing{more}"
        f"{did_you_mean(first, columns)}"
    )
