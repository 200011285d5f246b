"""Angles and ingestion against files of EvtGen and reference moments made from them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chi2
from tests.helpers.evtgen_angles import evtgen_angle_chi, evtgen_decay_angle, momenta_of
from tests.helpers.ingesting import ingest_files

from wilsonvox.config.samples import load_samples
from wilsonvox.events.event_file import read_events, read_metadata
from wilsonvox.theory.kinematics import DecayMomenta, decay_variables, lhcb_angles

ROOT = Path(__file__).parents[2]
EVTGEN = ROOT / "resources" / "evtgen"
SLICES = {point: EVTGEN / f"evtgen_btosllnpr_b0_dc9_{point}.root" for point in ("0.00", "-2.00")}
VARIABLES = ("q2", "cos_theta_mu", "cos_theta_k", "chi", "m_kpi")

N_REFERENCE = 200_000
REFERENCE_ERRORS = {"mean_q2": 0.012, "a_fb": 0.005, "f_l": 0.004, "s5": 0.006}
REFERENCE = {
    "0.00": {"mean_q2": 9.461, "a_fb": 0.042, "f_l": 0.802, "s5": -0.229},
    "-0.90": {"mean_q2": 9.328, "a_fb": -0.007, "f_l": 0.775, "s5": -0.154},
    "-2.00": {"mean_q2": 9.051, "a_fb": -0.089, "f_l": 0.719, "s5": -0.034},
}
"""EvtGen, 200,000 events each, LHCb signs, 1 < q2 < 6 GeV² except the mean q2."""


@pytest.fixture(scope="module")
def ingested(tmp_path_factory):
    """All slices with their events, ingested once."""
    folder = tmp_path_factory.mktemp("ingested")
    events = {}
    for path in sorted(EVTGEN.glob("*.root")):
        if path in SLICES.values():
            events[path.name] = read_events(path)
            continue
        flavour = "B0bar" if "antib0" in path.name else "B0"
        ingest_files([path], folder / path.name, flavour=flavour)
        events[path.name] = read_events(folder / path.name)
    return events


def moments(events):
    low = (events.q2 > 1) & (events.q2 < 6)
    cos_l, cos_k, phi = lhcb_angles(
        events.cos_theta_mu[low], events.cos_theta_k[low], events.chi[low]
    )
    sin_2k = 2 * cos_k * np.sqrt(1 - cos_k**2)
    return {
        "mean_q2": events.q2.mean(dtype=np.float64),
        "a_fb": np.sign(cos_l).mean(),
        "f_l": (5 * cos_k**2 - 1).mean() / 2,
        "s5": 2.5 * (sin_2k * np.sqrt(1 - cos_l**2) * np.cos(phi)).mean(),
    }


@pytest.mark.parametrize("point", list(REFERENCE))
def test_moments_of_the_slices(point, ingested):
    events = ingested[f"evtgen_btosllnpr_b0_dc9_{point}.root"]
    assert len(events) >= 60_000
    for name, value in moments(events).items():
        error = REFERENCE_ERRORS[name] * np.sqrt(N_REFERENCE / len(events))
        # the slice is part of the reference sample: the difference varies less than the slice
        error *= np.sqrt(1 - len(events) / N_REFERENCE)
        assert abs(value - REFERENCE[point][name]) < 3.5 * error, name


def two_sample_p(first, second, edges):
    """Return the p-value of the chi-square test that two histograms have the same shape."""
    n = np.histogram(first, edges)[0].astype(float)
    m = np.histogram(second, edges)[0].astype(float)
    ratio = np.sqrt(m.sum() / n.sum())
    filled = n + m > 0
    statistic = ((ratio * n - m / ratio) ** 2)[filled] / (n + m)[filled]
    return chi2.sf(statistic.sum(), filled.sum() - 1)


@pytest.mark.parametrize("name", VARIABLES)
@pytest.mark.parametrize("q2_range", [(0.0, 20.0), (1.0, 6.0)])
def test_anti_b0_has_the_same_distributions_as_b0(name, q2_range, ingested):
    b0 = ingested["evtgen_btosllnpr_b0_dc9_0.00.root"]
    anti = ingested["evtgen_btosllnpr_antib0_dc9_0.00.root"]
    assert set(anti.flavour) == {-1}
    low, high = q2_range
    b0, anti = b0[(b0.q2 > low) & (b0.q2 < high)], anti[(anti.q2 > low) & (anti.q2 < high)]
    edges = np.quantile(getattr(b0, name), np.linspace(0, 1, 21))
    edges[0], edges[-1] = -np.inf, np.inf
    assert two_sample_p(getattr(b0, name), getattr(anti, name), edges) > 1e-3


def test_anti_b0_taken_as_b0_disagrees(ingested, tmp_path):
    ingest_files(
        [EVTGEN / "evtgen_btosllnpr_antib0_dc9_0.00.root"], tmp_path / "a.root", flavour="B0"
    )
    wrong = read_events(tmp_path / "a.root")
    b0 = ingested["evtgen_btosllnpr_b0_dc9_0.00.root"]
    assert two_sample_p(b0.cos_theta_mu, wrong.cos_theta_mu, np.linspace(-1, 1, 21)) < 1e-20
    assert moments(wrong)["s5"] > 0.1


def test_angles_agree_with_evtgen():
    momenta = momenta_of("evtgen_btosllnpr_b0_dc9_-0.90.root")
    b, k, pi, mup, mum = momenta
    result = decay_variables(DecayMomenta.from_array(momenta), np.ones(momenta.shape[2], np.int8))
    slow = result.q2 < 0.1  # float32 muons near threshold
    difference = result.chi - evtgen_angle_chi(k[1:], pi[1:], mup[1:])
    difference = np.abs(np.mod(difference + np.pi, 2 * np.pi) - np.pi)
    assert np.median(difference) < 1e-6
    assert difference.max() < 1e-3
    np.testing.assert_allclose(result.cos_theta_k, evtgen_decay_angle(b, k + pi, k), atol=1e-5)
    np.testing.assert_allclose(
        result.cos_theta_mu[~slow], evtgen_decay_angle(b, mup + mum, mup)[~slow], atol=1e-5
    )


def test_same_decays_in_three_layouts(ingested):
    """The ntuple and the list contain the first decays of the four-momenta files."""
    pairs = {
        "basf2_ntuple_b0_dc9_-0.90.root": "evtgen_btosllnpr_b0_dc9_-0.90.root",
        "particle_list_b0_dc9_-2.00.root": "evtgen_btosllnpr_b0_dc9_-2.00.root",
    }
    for other, flat in pairs.items():
        events, reference = ingested[other], ingested[flat]
        assert len(events) == 2_000
        for name in VARIABLES:
            difference = np.abs(getattr(events, name) - getattr(reference, name)[:2_000])
            assert np.quantile(difference, 0.99) < 3e-6, (other, name)


def test_float32_slice_keeps_q2_and_the_physical_range(ingested):
    events = ingested["evtgen_btosllnpr_b0_dc9_-0.90.root"]
    assert len(events) == 62_000
    assert events.q2.min() > 4 * 0.1056**2
    assert events.q2.max() < (5.27964 - 0.6656) ** 2
    assert 0 < (events.q2 > 20).mean() < 2e-3
    assert 0.6656 < events.m_kpi.min() < events.m_kpi.max() < 1.6051


def test_charmonium_file_contains_resonances(ingested):
    q2 = ingested["evtgen_btosllnpr_b0_charmonium_dc9_0.00.root"].q2
    assert ((q2 > 8) & (q2 < 10)).mean() == pytest.approx(0.91, abs=0.02)


def test_fractions_in_q2(ingested):
    edges = [0.04, 0.1, 1, 2, 4, 6, 8, 10, 12, 14, 16, 18, 22]
    percent = [1.34, 6.74, 3.96, 7.61, 8.76, 10.98, 11.79, 12.34, 12.44, 11.68, 9.33, 3.04]
    reference = np.array(percent) / 100
    events = ingested["evtgen_btosllnpr_b0_dc9_0.00.root"]
    result = np.histogram(events.q2, edges)[0] / len(events)
    errors = np.sqrt(reference * (1 - reference) / len(events))
    assert np.abs((result - reference) / errors).max() < 3.5


def test_samples_table_names_the_shipped_slice(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    row = load_samples("config/samples.tsv")["evtgen_c9_-0.90"]
    metadata = ingest_files(
        [row.path],
        tmp_path / "sample.root",
        tree=row.tree,
        layout=row.layout,
        flavour=row.flavour,
        sample=row.sample,
        true_point=row.true_point,
    )
    assert metadata == read_metadata(tmp_path / "sample.root")
    assert metadata.shifts == {"c9": -0.9}
    assert (metadata.n_read, metadata.n_dropped) == (62_000, {})


def test_resources_are_small_and_reproducible(tmp_path):
    sizes = {path.name: path.stat().st_size for path in EVTGEN.iterdir() if path.is_file()}
    assert max(sizes.values()) < 4_000_000
    assert sum(sizes.values()) < 12_000_000
    script = EVTGEN / "make_slices.py"
    shown = subprocess.run(
        [sys.executable, script, "--help"], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert "SOURCE" in shown.stdout


def test_antiparticles_in_a_file_with_a_neutral_name_are_detected(tmp_path, capsys):
    """In a flat file, only A_FB at high q2 reveals the flavour."""
    import shutil

    from wilsonvox.cli import run

    path = tmp_path / "decays.root"
    shutil.copy("resources/evtgen/evtgen_btosllnpr_antib0_dc9_0.00.root", path)
    out = tmp_path / "events.root"
    assert run(["ingest", "--events", str(path), "--out", str(out)]) == 1
    error = capsys.readouterr().err
    assert "give --flavour B0bar" in error
    assert error.count("\n") == 1
    assert not out.exists()
    assert run(["ingest", "--events", str(path), "--flavour", "B0bar", "--out", str(out)]) == 0
    # a flavour given explicitly is accepted
    assert run(["ingest", "--events", str(path), "--flavour", "B0", "--out", str(out)]) == 0
