"""Events in chunks, each from random numbers of its own."""

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
"""Events a chunk. Each chunk has random numbers of its own, so that memory is constant."""

_ANTIPARTICLE = 2
"""Purpose of the random bits of an anti-B0's decay variables."""

_MIXTURE = 3
"""Purpose of the random bits of events of both flavours."""

_BLOCK = 1 << 13
"""Proposals that random words are drawn for at a time."""


@dataclass(frozen=True)
class Stream:
    """What keys the random numbers of a campaign: equal streams give equal events."""

    seed: int
    point: str
    split: str
    campaign: int

    def bits(self, chunk: int, *purpose: int) -> np.random.Philox:
        """Counter-based random bits of one chunk, independent of those with any other key.

        Args:
            chunk: number of the chunk.
            purpose: none for the decay variables, another number for each other use.
        """
        campaign = (zlib.crc32(self.point.encode()), SPLITS.index(self.split), self.campaign)
        key = (*campaign, chunk, *purpose)
        return np.random.Philox(np.random.SeedSequence(entropy=self.seed, spawn_key=key))


class Prepared(NamedTuple):
    """What is computed once before any event is drawn."""

    density: Density
    proposal: Proposal
    flavour: int


def prepare(
    table: AngularCoefficients, shifts: NDArray[np.complex128], flavour: int = 1
) -> Prepared:
    """Tabulate density and cells; arguments as those of `generate`."""
    # with several threads BLAS sums in another order, and the events would be others
    with threadpool_limits(limits=1, user_api="blas"):
        density = tabulate_density(table, shifts, flavour)
        return Prepared(density, make_proposal(density, table.inputs), flavour)


def make_chunk(prepared: Prepared, size: int, bits: np.random.BitGenerator) -> Events:
    """`size` events; the first of them are the same for every `size`.

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
    """`size` events, each of either flavour with probability ½, in random order.

    They are independent of those of one flavour alone; the first are the same for every `size`.

    Args:
        prepared: for B0 and for anti-B0.
        size: number of events.
        stream: keys the random numbers.
        chunk: number of the chunk.

    Raises:
        RuntimeError: see `make_chunk`.
    """
    b0 = np.random.Generator(stream.bits(chunk, _MIXTURE)).random(size) < 0.5
    columns = {name: np.empty(size, dtype) for name, dtype in BRANCHES.items()}
    for number, (each, rows) in enumerate(zip(prepared, (b0, ~b0), strict=True), start=1):
        part = make_chunk(each, int(rows.sum()), stream.bits(chunk, _MIXTURE, number))
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
    """Events at `shifts`, in chunks of at most `CHUNK`; memory does not grow with their number.

    The q² range is the full one; cuts belong to the voxels.

    Args:
        table: the table of angular coefficients.
        shifts: complex128, shape (6,), dimensionless.
        n_events: number of events.
        stream: keys the random numbers.
        flavour: +1 for B0, −1 for anti-B0, 0 for both, each event with probability ½.
        threads: chunks that are made at the same time; the events are the same for any number.

    Raises:
        RuntimeError: the density exceeded its bound, so that events would be distorted.
    """
    prepared = tuple(prepare(table, shifts, each) for each in ((flavour,) if flavour else (1, -1)))
    # the flavours of one campaign are independent, too
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
