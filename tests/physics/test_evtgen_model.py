"""The whole model against files of EvtGen: histograms, moments and δC9 of the likelihood.

WILSONVOX_EVTGEN_FILES names a folder with the full files (200,000 events each); the slices in
`resources/evtgen` are used if it is not set. WILSONVOX_EVTGEN_LISTING names a file to which
p-values are appended. The model does not describe the file with charmonium resonances.
"""

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from tests.helpers.goodness import goodness
from tests.helpers.ingesting import ingest_files

from wilsonvox.estimators.fits.minimisation import minimise
from wilsonvox.estimators.fits.unbinned import negative_log_likelihood, normalisation
from wilsonvox.events.event_file import read_events, read_metadata
from wilsonvox.theory.coefficient_table import AngularCoefficients
from wilsonvox.theory.model import DecayModel
from wilsonvox.theory.physics_inputs import load_inputs
from wilsonvox.theory.points import shift_vector
from wilsonvox.voxels.binning import selection
from wilsonvox.voxels.specification import ImageSpecification

SLICES = Path(__file__).parents[2] / "resources" / "evtgen"
FOLDER = Path(os.environ.get("WILSONVOX_EVTGEN_FILES") or SLICES)
FILES = {
    "evtgen_btosllnpr_b0_dc9_0.00.root": 0.0,
    "evtgen_btosllnpr_b0_dc9_-0.90.root": -0.9,
    "evtgen_btosllnpr_b0_dc9_-2.00.root": -2.0,
    "evtgen_btosllnpr_antib0_dc9_0.00.root": 0.0,
    "basf2_ntuple_b0_dc9_-0.90.root": -0.9,
    "particle_list_b0_dc9_-2.00.root": -2.0,
}
N_TOYS = int(os.environ.get("WILSONVOX_EVTGEN_TOYS", "1100"))
"""Number of events that suffices for a p-value below 0.001."""

LEAST = 0.001


@cache
def the_table():
    return AngularCoefficients.tabulate(DecayModel(load_inputs("evtgen-btosllnpr")))


@cache
def the_normalisation(flavour):
    return normalisation(the_table().model, ImageSpecification(flavour=flavour), ["c9"])


def fit(events):
    """Return δC9 of the events with q2 < 20 GeV², and its error."""
    image = ImageSpecification(flavour="B0" if events.flavour[0] > 0 else "B0bar")
    selected = events[selection(events, image)["selected"]]
    integrals = the_normalisation(image.flavour)
    likelihood = negative_log_likelihood(the_table().model, selected, image, ["c9"], integrals)
    result = minimise(likelihood, (-5.0, 5.0))
    return float(result.values[0]), float(result.errors[0])


def decays(name, folder):
    """Return all events of a file after ingestion."""
    path = FOLDER / name
    try:
        read_metadata(path)
    except Exception:
        flavour = "B0bar" if "antib0" in name else "B0"
        ingest_files([path], folder / name, flavour=flavour)
        path = folder / name
    return read_events(path)


def listed(text):
    path = os.environ.get("WILSONVOX_EVTGEN_LISTING")
    if path:
        with Path(path).open("a") as handle:
            handle.write(text + "\n")


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_file_agrees_with_the_model(name, tmp_path):
    events = decays(name, tmp_path)
    result = goodness(events, the_table(), shift_vector({"c9": FILES[name]}), fit, N_TOYS)
    p_values = ", ".join(f"{key} {value:.3f}" for key, value in result.p_values.items())
    shift = FILES[name] + result.shift
    listed(
        f"{name}, {len(events)} events: overall {result.overall:.4f}; δC9 {shift:.4f} ± "
        f"{result.error:.4f}, pull {result.pull:+.2f}; {p_values}"
    )
    assert 1 / (N_TOYS + 1) < LEAST, "with fewer toys nothing could be found"
    assert result.overall >= LEAST, result
    assert len(result.p_values) == 14


@pytest.mark.slow
def test_model_shifted_by_a_tenth_disagrees(tmp_path):
    """Power of the test, with the most sensitive file, at δC9 = −2."""
    name, off = "evtgen_btosllnpr_b0_dc9_-2.00.root", 0.1
    events = decays(name, tmp_path)
    result = goodness(events, the_table(), shift_vector({"c9": FILES[name] + off}), fit, N_TOYS)
    listed(f"{name} against δC9 = {FILES[name] + off:+.2f}: overall {result.overall:.4f}")
    assert result.overall < LEAST


def test_histograms_detect_more_than_the_fit():
    """Histograms and moments detect a distortion to which δC9 is not sensitive."""
    from tests.helpers.goodness import toys

    shifts, table = shift_vector({"c9": -0.9}), the_table()
    events = next(toys(table, shifts, 1, 20_000, 1, seed=5))
    rng = np.random.default_rng(2)

    def no_fit(_):
        return rng.normal(-0.9, 1.0), 1.0

    same = goodness(events, table, shifts, no_fit, 60)
    assert same.overall > 1 / 61
    turned = np.mod(events.chi + np.float32(0.6), np.float32(2 * np.pi))
    distorted = type(events)(**events.columns() | {"chi": turned})
    result = goodness(distorted, table, shifts, no_fit, 60)
    assert result.overall == 1 / 61
    assert result.p_values["chi"] == 1 / 61
