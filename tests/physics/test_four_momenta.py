"""Four-momenta of generated decays: masses, conservation, frames, and the way back."""

import numpy as np
import pytest
from scipy.stats import kstest

from wilsonvox.cli import run
from wilsonvox.events.event_file import Events, read_events, read_metadata
from wilsonvox.events.generation.four_momenta import (
    M_UPSILON_4S_GEV,
    four_momenta,
    upsilon_momentum,
)
from wilsonvox.events.generation.sampler import Stream, generate
from wilsonvox.provenance.recording import make_record
from wilsonvox.records.digests import content_digest
from wilsonvox.records.embedded import read_record
from wilsonvox.theory.coefficient_table import AngularCoefficients
from wilsonvox.theory.kinematics import DecayMomenta, decay_variables
from wilsonvox.theory.model import DecayModel
from wilsonvox.theory.particles import MOMENTUM_BRANCHES
from wilsonvox.theory.points import shift_vector

N = 20_000
EPS = np.finfo(np.float32).eps


@pytest.fixture(scope="module")
def electron_table(inputs):
    return AngularCoefficients.tabulate(DecayModel(inputs, "electron"))


@pytest.fixture(scope="module")
def events(table, electron_table):
    stream = Stream(3, "c9_-0.90", "test", 0)
    shifts = shift_vector({"c9": -0.9})
    return {
        (lepton, flavour): Events.concatenate(generate(each, shifts, N, stream, flavour))
        for lepton, each in (("muon", table), ("electron", electron_table))
        for flavour in (1, -1)
    }


def masses(momenta):
    return np.sqrt(momenta[:, 0] ** 2 - (momenta[:, 1:] ** 2).sum(axis=1))


@pytest.mark.parametrize("frame", ["rest", "belle2"])
@pytest.mark.parametrize("flavour", [1, -1])
@pytest.mark.parametrize("lepton", ["muon", "electron"])
def test_masses_sums_and_the_way_back(events, inputs, lepton, flavour, frame):
    model = DecayModel(inputs, lepton)
    drawn = events[lepton, flavour]
    momenta = four_momenta(drawn, model, frame, np.random.default_rng(1))
    assert momenta.shape == (5, 4, N)
    expected = [inputs.m_b_meson_gev, inputs.m_kaon_gev, inputs.m_pion_gev]
    found = masses(momenta)
    np.testing.assert_allclose(found[:3], np.broadcast_to(expected, (N, 3)).T, rtol=1e-12)
    # an electron of 5 GeV has E² = 10⁸ m²: its mass from float64 components is good to 10⁻⁸
    tolerance = 1e-9 if lepton == "muon" else 2e-8
    np.testing.assert_allclose(found[3:], model.m_lepton_gev, rtol=tolerance)
    np.testing.assert_allclose(momenta[0], momenta[1:].sum(axis=0), atol=1e-14)
    back = decay_variables(DecayMomenta.from_array(momenta), drawn.flavour)
    np.testing.assert_allclose(back.q2, drawn.q2, rtol=2 * EPS)
    np.testing.assert_allclose(back.m_kpi, drawn.m_kpi, rtol=EPS)
    np.testing.assert_allclose(back.cos_theta_mu, drawn.cos_theta_mu, atol=EPS)
    np.testing.assert_allclose(back.cos_theta_k, drawn.cos_theta_k, atol=EPS)
    turn = np.angle(np.exp(1j * (back.chi - drawn.chi)))
    np.testing.assert_allclose(turn, 0, atol=8 * EPS)


def test_ends_of_phase_space(model, inputs):
    """q² that single precision moved across an end makes no imaginary momentum."""
    m_kpi = np.full(2, 0.9, np.float32)
    end = (inputs.m_b_meson_gev - m_kpi.astype(float)) ** 2
    q2 = np.array([model.q2_min_gev2 * (1 - 1e-7), end[0] * (1 + 1e-7)])
    columns = {"q2": q2, "m_kpi": m_kpi, "flavour": np.ones(2)}
    cosines = {name: np.full(2, 0.3) for name in ("cos_theta_mu", "cos_theta_k", "chi")}
    drawn = Events.from_columns(columns | cosines)
    momenta = four_momenta(drawn, model, "rest", np.random.default_rng(1))
    assert np.isfinite(momenta).all()
    back = decay_variables(DecayMomenta.from_array(momenta), drawn.flavour)
    np.testing.assert_allclose(back.q2, drawn.q2, rtol=4 * EPS)
    np.testing.assert_allclose(back.cos_theta_mu, 0.3, atol=1e-6)


def boosted(momentum, frame):
    """Four-momenta in the rest frame of another, by the textbook's matrix."""
    mass = np.sqrt(frame[0] ** 2 - frame[1:] @ frame[1:])
    energy = (frame[0] * momentum[0] - frame[1:] @ momentum[1:]) / mass
    factor = (momentum[0] + energy) / (frame[0] + mass)
    return np.concatenate([energy[None], momentum[1:] - factor * frame[1:, None]])


def test_orientation_is_uniform(events, model):
    momenta = four_momenta(events["muon", 1], model, "rest", np.random.default_rng(2))
    kstar = momenta[1, 1:] + momenta[2, 1:]
    kaon = momenta[1, 1:]
    for vector in (kstar, kaon, np.cross(kaon.T, kstar.T).T):
        x, y, z = vector / np.linalg.norm(vector, axis=0)
        assert kstest(z, "uniform", (-1, 2)).pvalue > 1e-3
        assert kstest(np.arctan2(y, x), "uniform", (-np.pi, 2 * np.pi)).pvalue > 1e-3


def test_belle2_frame(events, model):
    upsilon = upsilon_momentum()
    energy = np.sqrt(M_UPSILON_4S_GEV**2 + upsilon @ upsilon)
    # the beams: 11.006 GeV, 3.002 cos(41.5 mrad) along z, 11.006 sin(41.5 mrad) along x
    np.testing.assert_allclose(energy, 11.006, rtol=5e-5)
    np.testing.assert_allclose(upsilon, [0.45663, 0, 2.99942], rtol=5e-5)
    momenta = four_momenta(events["muon", 1], model, "belle2", np.random.default_rng(3))
    b = boosted(momenta[0], np.concatenate([[energy], upsilon]))
    np.testing.assert_allclose(b[0], M_UPSILON_4S_GEV / 2, rtol=1e-12)
    beam = 7.004 * np.array([1, np.sin(0.0415), 0, np.cos(0.0415)])
    axis = boosted(beam[:, None], np.concatenate([[energy], upsilon]))[1:, 0]
    axis /= np.linalg.norm(axis)
    direction = b[1:] / np.linalg.norm(b[1:], axis=0)
    cosine = axis @ direction

    def cumulative(c):
        return (2 + 3 * c - c**3) / 4

    assert kstest(cosine, cumulative).pvalue > 1e-3
    # about the detector's axis it would be another distribution
    assert kstest(momenta[0, 3] / np.linalg.norm(momenta[0, 1:], axis=0), cumulative).pvalue < 1e-6
    side = np.cross(axis, [0.0, 1.0, 0.0])
    around = np.arctan2(direction[1], side @ direction)
    assert kstest(around, "uniform", (-np.pi, 2 * np.pi)).pvalue > 1e-3
    # the decay knows nothing of the direction of the B
    rest = [boosted(momenta[1][:, [i]], momenta[0][:, i])[1:, 0] for i in range(2000)]
    toward = [r @ d / np.linalg.norm(r) for r, d in zip(rest, direction.T, strict=False)]
    assert kstest(toward, "uniform", (-1, 2)).pvalue > 1e-3


@pytest.mark.parametrize(
    ("lepton", "flavour", "frame"), [("muon", "B0", "belle2"), ("electron", "B0bar", "rest")]
)
def test_ingest_reads_what_generate_writes(tmp_path, table, electron_table, lepton, flavour, frame):
    import uproot

    made, plain, ingested = (tmp_path / f"{name}.root" for name in ("made", "plain", "ingested"))
    coefficients = tmp_path / "coefficients.npz"
    chosen = table if lepton == "muon" else electron_table
    chosen.save(coefficients, make_record("angular_coefficients", coefficients, {}))
    words = ["generate", "--point", "c9_-0.90+0.50i", "--events", "3000", "--seed", "1"]
    words += ["--flavour", flavour, "--coefficients", str(coefficients)]
    assert run([*words, "--four-momenta", "--frame", frame, "--out", str(made)]) == 0
    assert run([*words, "--out", str(plain)]) == 0
    expected = read_events(made)
    np.testing.assert_array_equal(expected.q2, read_events(plain).q2)
    with uproot.open(made) as file:
        kinds = {b.name: b.interpretation.numpy_dtype for b in file["events"].branches}
        assert set(MOMENTUM_BRANCHES) < set(kinds)
        assert {kinds[name] for name in MOMENTUM_BRANCHES} == {np.dtype(np.float64)}
    metadata = read_metadata(made)
    assert (metadata.lepton, metadata.frame) == (lepton, frame)
    assert metadata.shifts == {"c9": -0.9 + 0.5j}
    assert read_metadata(plain).frame is None
    assert content_digest(made) == read_record(made).content_digest
    for layout in ("four-momenta", "variables"):
        options = ["--layout", layout, "--flavour", flavour]
        assert run(["ingest", "--events", str(made), *options, "--out", str(ingested)]) == 0
        found = read_events(ingested)
        assert read_metadata(ingested).n_dropped == {}
        np.testing.assert_array_equal(found.flavour, expected.flavour)
        np.testing.assert_allclose(found.q2, expected.q2, rtol=2 * EPS)
        np.testing.assert_allclose(found.m_kpi, expected.m_kpi, rtol=EPS)
        np.testing.assert_allclose(found.cos_theta_mu, expected.cos_theta_mu, atol=EPS)
        np.testing.assert_allclose(found.cos_theta_k, expected.cos_theta_k, atol=EPS)
        turn = np.angle(np.exp(1j * (found.chi.astype(float) - expected.chi)))
        np.testing.assert_allclose(turn, 0, atol=8 * EPS)
