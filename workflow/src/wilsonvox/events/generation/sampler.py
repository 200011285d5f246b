"""Generation of events in chunks with independent random streams."""

import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from wilsonvox.events.event_file import BRANCHES, Events
from wilsonvox.events.generation.density_grid import Density, tabulate_density
from wilsonvox.events.generation.kernel import WORDS, draw
from wilsonvox.events.generation.proposal import Proposal, make_proposal
from wilsonvox.theory.coefficient_table import AngularCoefficients
from wilsonvox.theory.points import SPLITS

CHUNK = 1 << 18
"""Number of events per chunk. Chunks have independent random streams, so that memory is bounded."""

_ANTIPARTICLE = 2
"""Key of the random bits for the decay variables of anti-B0."""

_MIXTURE = 3
"""Key of the random bits for events of both flavours."""

_BLOCK = 1 << 13
"""Number of proposals for which random words are drawn at a time."""


@dataclass(frozen=True)
class Stream:
    """Key of the random numbers of a campaign: equal streams give equal events."""

    seed: int
    point: str
    split: str
    campaign: int

    def bits(self, chunk: int, *purpose: int) -> np.random.Philox:
        """Return the counter-based bit generator of one chunk, independent for different keys.

        Args:
            chunk: index of the chunk.
            purpose: empty for the decay variables, a distinct number for each other use.
        """
        campaign = (zlib.crc32(self.point.encode()), SPLITS.index(self.split), self.campaign)
        key = (*campaign, chunk, *purpose)
        return np.random.Philox(np.random.SeedSequence(entropy=self.seed, spawn_key=key))


class Prepared(NamedTuple):
    """Tables that are computed once, before events are drawn."""

    density: Density
    proposal: Proposal
    flavour: int


def prepare(
    table: AngularCoefficients, shifts: NDArray[np.complex128], flavour: int = 1
) -> Prepared:
    """Tabulate density and cells; for the arguments see `generate`."""
    # with several threads BLAS sums in another order, which would change the events
    with threadpool_limits(limits=1, user_api="blas"):
        density = tabulate_density(table, shifts, flavour)
        return Prepared(density, make_proposal(density, table.inputs), flavour)


def make_chunk(prepared: Prepared, size: int, bits: np.random.BitGenerator) -> Events:
    """Generate `size` events; the first events do not depend on `size`.

    Raises:
        RuntimeError: the density exceeded its bound in a cell, so that events would be distorted.
    """
    columns = {name: np.empty(size, dtype) for name, dtype in BRANCHES.items()}
    columns["flavour"][:] = prepared.flavour
    drawn = [columns[name] for name in BRANCHES if name != "flavour"]
    filled = 0
    while filled < size:
        words = np.asarray(bits.random_raw(_BLOCK * WORDS)).reshape(_BLOCK, WORDS)
        filled, worst, _ = draw(words, prepared.density, prepared.proposal, filled, *drawn)
        if worst > 1:
            raise RuntimeError(f"the density exceeds its bound in a cell by a factor {worst:.4f}")
    return Events(**columns)


def mix_chunk(prepared: tuple[Prepared, Prepared], size: int, stream: Stream, chunk: int) -> Events:
    """Generate `size` events of either flavour with probability ½, in random order.

    They are independent of events of a single flavour. The first events do not depend on `size`.

    Args:
        prepared: tables for B0 and for anti-B0.
        size: number of events.
        stream: key of the random numbers.
        chunk: index of the chunk.

    Raises:
        RuntimeError: see `make_chunk`.
    """
    b0 = np.random.Generator(stream.bits(chunk, _MIXTURE)).random(size) < 0.5
    columns = {name: np.empty(size, dtype) for name, dtype in BRANCHES.items()}
    for number, (tables, rows) in enumerate(zip(prepared, (b0, ~b0), strict=True), start=1):
        part = make_chunk(tables, int(rows.sum()), stream.bits(chunk, _MIXTURE, number))
        for name, column in part.columns().items():
            columns[name][rows] = column
    return Events(**columns)


def generate(
    table: AngularCoefficients,
    shifts: NDArray[np.complex128],
    n_events: int,
    stream: Stream,
    flavour: int = 1,
    threads: int = 1,
) -> Iterator[Events]:
    """Yield events at `shifts` in chunks of at most `CHUNK`, with bounded memory.

    Events cover the full q² range; cuts are made when images are filled.

    Args:
        table: table of angular coefficients.
        shifts: complex128 of shape (6,), dimensionless.
        n_events: number of events.
        stream: key of the random numbers.
        flavour: +1 for B0, −1 for anti-B0, 0 for both (each event with probability ½).
        threads: number of chunks generated concurrently; it does not change the events.

    Raises:
        RuntimeError: the density exceeded its bound, so that events would be distorted.
    """
    prepared = tuple(prepare(table, shifts, sign) for sign in ((flavour,) if flavour else (1, -1)))
    # the flavours of one campaign are independent
    purpose = () if flavour > 0 else (_ANTIPARTICLE,)
    sizes = [min(CHUNK, n_events - start) for start in range(0, n_events, CHUNK)]

    def chunk(number: int) -> Events:
        if len(prepared) == 2:
            return mix_chunk(prepared, sizes[number], stream, number)
        return make_chunk(prepared[0], sizes[number], stream.bits(number, *purpose))

    if threads == 1:
        yield from map(chunk, range(len(sizes)))
        return
    waiting: deque[Future[Events]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for number in range(len(sizes)):
            waiting.append(pool.submit(chunk, number))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
