"""EvtGen's own angles of EvtGen decays, independent of the package."""

from pathlib import Path

import numpy as np
import uproot

EVTGEN = Path(__file__).parents[2] / "resources/evtgen"


def momenta_of(name):
    """Four-momenta of the first decays of a file, float64 of shape (5, 4, n) [GeV]."""
    with uproot.open(EVTGEN / name) as file:
        columns = file["events"].arrays(entry_stop=20_000, library="np")
    return np.array(
        [
            [columns[f"{particle}_{c}"] for c in ("E", "px", "py", "pz")]
            for particle in ("B0", "K", "pi", "mup", "mum")
        ],
        dtype=np.float64,
    )


def evtgen_angle_chi(k, pi, mup):
    """EvtGen's EvtDecayAngleChi(B; K, π, μ+, μ−) for a B at rest, with 3-momenta (3, n)."""
    axis = k + pi
    kaon = k - (axis * k).sum(axis=0) / (axis**2).sum(axis=0) * axis
    muon = mup - (axis * mup).sum(axis=0) / (axis**2).sum(axis=0) * axis
    third = np.cross(axis, kaon, axis=0)
    x = (kaon * muon).sum(axis=0) / np.linalg.norm(kaon, axis=0)
    y = (third * muon).sum(axis=0) / np.linalg.norm(third, axis=0)
    return np.mod(np.arctan2(y, x), 2 * np.pi)


def evtgen_decay_angle(parent, pair, daughter):
    """EvtGen's EvtDecayAngle(p, q, d): cosine in the frame of q, from invariants alone."""

    def product(a, b):
        return a[0] * b[0] - (a[1:] * b[1:]).sum(axis=0)

    pd, pq, qd = product(parent, daughter), product(parent, pair), product(pair, daughter)
    pp, qq, dd = product(parent, parent), product(pair, pair), product(daughter, daughter)
    return (pd * qq - pq * qd) / np.sqrt((pq**2 - qq * pp) * (qd**2 - qq * dd))
