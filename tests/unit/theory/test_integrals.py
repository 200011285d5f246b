"""Quadratures over q² and the line shape."""

import numpy as np
import pytest

from wilsonvox.theory.angular import RATE_WEIGHTS
from wilsonvox.theory.integrals import mass_quadrature, q2_quadrature, rate_integrals
from wilsonvox.theory.line_shape import line_shape_quantiles
from wilsonvox.theory.model import DecayModel
from wilsonvox.theory.physics_inputs import load_inputs
from wilsonvox.theory.q2_ranges import intersection
from wilsonvox.voxels.specification import ImageSpecification, selected_ranges

RATE = RATE_WEIGHTS[:, None]


@pytest.fixture(scope="module", params=["muon", "electron"])
def model(request):
    return DecayModel(load_inputs("evtgen-btosllnpr"), request.param)


@pytest.mark.parametrize(
    ("vetoes", "expected"),
    [
        ((), [(1.0, 19.0)]),
        (((8.0, 11.0), (12.5, 15.0)), [(1.0, 8.0), (11.0, 12.5), (15.0, 19.0)]),
        (((12.5, 15.0), (0.0, 2.0)), [(2.0, 12.5), (15.0, 19.0)]),
        (((8.0, 11.0), (10.0, 12.0), (18.0, 30.0)), [(1.0, 8.0), (12.0, 18.0)]),
        (((20.0, 21.0),), [(1.0, 19.0)]),
        (((0.0, 20.0),), []),
    ],
)
def test_selected_ranges(vetoes, expected):
    image = ImageSpecification(q2_min_gev2=1.0, q2_max_gev2=19.0, vetoes_gev2=vetoes)
    assert selected_ranges(image) == expected


def test_intersection():
    assert intersection([(0.0, 2.0), (3.0, np.inf)], 1.0, 5.0) == [(1.0, 2.0), (3.0, 5.0)]
    assert intersection([(0.0, 2.0)], 2.0, 5.0) == []


@pytest.mark.parametrize("ranges", [[(0.0, np.inf)], [(0.05, 6.76), (6.8, 11.0), (15.0, 17.0)]])
def test_lengths_of_q2_ranges(model, ranges):
    q2, weights = q2_quadrature(model, 0.9, ranges)
    start, end = model.q2_min_gev2, float(model.q2_end(np.array(0.9)))
    lengths = [min(high, end) - max(low, start) for low, high in ranges]
    assert weights.sum() == pytest.approx(sum(lengths), rel=1e-12)
    assert np.all((q2 > start) & (q2 < end))
    assert len(q2_quadrature(model, 1.6, [(18.0, 20.0)])[0]) == 0


def test_means_over_the_line_shape(model):
    mass, weights = mass_quadrature(model, [(1.1, 15.0), (17.0, 19.0)])
    assert weights.sum() == pytest.approx(1, rel=1e-12)
    quantiles, cumulative = line_shape_quantiles(model.inputs)
    middles, steps = (quantiles[1:] + quantiles[:-1]) / 2, np.diff(cumulative)
    for power in (1, 2, -3):
        assert weights @ mass**power == pytest.approx(steps @ middles**power, rel=1e-6)


@pytest.mark.parametrize("ranges", [[(0.0, 20.0)], [(0.046, 8.0), (11.0, 12.5), (15.0, 19.0)]])
def test_nodes_are_enough(model, ranges):
    """Fractions and rates with twice the nodes are the same to 1e-10.

    An error of that size which grows by itself with each unit of a shift moves a fit of 24,000
    events by N ε σ ≈ 2e-7 of its error.
    """
    masses = mass_quadrature(model, ranges)[0][::12]
    rates = rate_integrals(model, masses, ranges, ["c9"], 1, RATE)[..., 0]
    more = rate_integrals(model, masses, ranges, ["c9"], 1, RATE, nodes=40)[..., 0]
    np.testing.assert_allclose(rates, more, atol=1e-10 * np.abs(more).max())
    fractions = []
    for nodes in (None, 30):
        masses, weights = mass_quadrature(model, ranges, *([nodes] if nodes else []))
        selected = rate_integrals(model, masses, ranges, ["c9"], 1, RATE)[..., 0] @ [1, -1, 1]
        every = rate_integrals(model, masses, [(0, np.inf)], ["c9"], 1, RATE)[..., 0] @ [1, -1, 1]
        fractions.append(weights @ (selected / every))
    assert fractions[0] == pytest.approx(fractions[1], rel=1e-10)


def test_rates_of_ranges_add_up(model):
    masses, ranges = (
        np.array([0.7, 0.9, 1.5]),
        [(0.0, 3.3), (3.3, 6.76), (6.76, 12.0), (12.0, 99.0)],
    )
    whole = rate_integrals(model, masses, [(0.0, np.inf)], ["c9", "c10"], -1, RATE)
    parts = [rate_integrals(model, masses, [part], ["c9", "c10"], -1, RATE) for part in ranges]
    assert whole.shape == (3, 6, 1)
    np.testing.assert_allclose(np.sum(parts, axis=0), whole, rtol=1e-11)


def test_chunks_do_not_matter(model, monkeypatch):
    masses = np.linspace(0.7, 1.6, 7)
    whole = rate_integrals(model, masses, [(15.0, 19.0)], ["c9"], 1, RATE)
    monkeypatch.setattr("wilsonvox.theory.integrals._CHUNK", 100)
    again = rate_integrals(model, masses, [(15.0, 19.0)], ["c9"], 1, RATE)
    np.testing.assert_allclose(again, whole, rtol=1e-13)
    assert np.all(whole[-2:] == 0)
