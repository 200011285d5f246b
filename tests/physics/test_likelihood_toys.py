"""Ensembles of fits: pulls, widths beside the Cramér–Rao bound, coverage; and EvtGen's files.

WILSONVOX_TOY_TABLE names a file to which the rows of the tables in docs/results/fits.md are
added.
WILSONVOX_EVTGEN_FILES names a folder with EvtGen's full files; without it the slices in
resources/evtgen are read.
"""

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chi2
from tests.helpers.ingesting import ingest_files

from wilsonvox.estimators.fits import angular as angular_likelihood
from wilsonvox.estimators.fits import unbinned as likelihood
from wilsonvox.estimators.fits.minimisation import intervals
from wilsonvox.estimators.settings import AngularLikelihoodSettings
from wilsonvox.events.event_file import Events, read_events
from wilsonvox.events.generation.sampler import Stream, generate
from wilsonvox.theory import fisher as bound
from wilsonvox.theory.coefficient_table import AngularCoefficients
from wilsonvox.theory.model import DecayModel
from wilsonvox.theory.physics_inputs import load_inputs
from wilsonvox.theory.points import point_label, shift_vector
from wilsonvox.voxels.binning import selection
from wilsonvox.voxels.specification import ImageSpecification

N_EVENTS = 24_000
RANGE = (-5.0, 5.0)
# probability of a Gaussian within these levels, and ±1 and ±1.96 of its σ
LEVELS = {0.68: 0.994458, 0.95: 1.959964}
SLICES = Path(__file__).parents[2] / "resources" / "evtgen"
FOLDER = Path(os.environ.get("WILSONVOX_EVTGEN_FILES") or SLICES)
FILES = {
    "evtgen_btosllnpr_b0_dc9_0.00.root": ("B0", 0.0),
    "evtgen_btosllnpr_b0_dc9_-0.90.root": ("B0", -0.9),
    "evtgen_btosllnpr_b0_dc9_-2.00.root": ("B0", -2.0),
    "evtgen_btosllnpr_antib0_dc9_0.00.root": ("B0bar", 0.0),
    "basf2_ntuple_b0_dc9_-0.90.root": ("B0", -0.9),
    "particle_list_b0_dc9_-2.00.root": ("B0", -2.0),
}


@cache
def the_model():
    return DecayModel(load_inputs("evtgen-btosllnpr"))


@cache
def the_table():
    return AngularCoefficients.tabulate(the_model())


@cache
def the_estimator(kind, flavour="B0"):
    image = ImageSpecification(events_per_image=N_EVENTS, flavour=flavour)
    if kind == "likelihood":
        integrals = likelihood.normalisation(the_model(), image, ("c9",))
        return likelihood.LikelihoodEstimator(the_model(), image, ("c9",), RANGE, integrals)
    settings = AngularLikelihoodSettings(parameter_range=RANGE)
    predicted = angular_likelihood.predictions(the_model(), image, ("c9",), settings.q2_bins_gev2)
    return angular_likelihood.AngularLikelihoodEstimator(image, ("c9",), settings, predicted)


def write_row(*cells):
    path = os.environ.get("WILSONVOX_TOY_TABLE")
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write("| " + " | ".join(map(str, cells)) + " |\n")


def ensembles(shift, n_images):
    """Images of selected events of the sampler."""
    image = ImageSpecification(events_per_image=N_EVENTS)
    per_campaign = 50
    label = point_label({"c9": shift})
    for campaign in range(-(-n_images // per_campaign)):
        stream = Stream(20261122, label, "test", campaign)
        # 0.01 % of the events are above 20 GeV²
        n_drawn = int(per_campaign * N_EVENTS * 1.001)
        chunks = generate(the_table(), shift_vector({"c9": shift}), n_drawn, stream)
        events = Events.concatenate(
            [chunk[selection(chunk, image)["selected"]] for chunk in chunks]
        )
        for index in range(min(per_campaign, n_images - campaign * per_campaign)):
            part = events[index * N_EVENTS : (index + 1) * N_EVENTS]
            assert len(part) == N_EVENTS
            yield part


def run(kind, shift, n_images):
    """Value, Hesse error and Minos ends of each image: shape (n_images, 2 + 2 levels × 2)."""
    rows = []
    for events in ensembles(shift, n_images):
        found = the_estimator(kind).fit(events)
        ends = [intervals(found, level)[0] for level in LEVELS]
        rows.append([found.values[0], found.errors[0], *np.ravel(ends)])
    return np.array(rows)


@pytest.mark.slow
@pytest.mark.parametrize("shift", [-2.0, -1.0, 0.0, 1.0])
@pytest.mark.parametrize(("kind", "n_images"), [("likelihood", 2000), ("angular-likelihood", 500)])
def test_ensembles(kind, n_images, shift):
    """Pulls of mean 0 and width 1, σ at the bound, coverage: within four of their errors."""
    found = run(kind, shift, n_images)
    assert np.all(np.isfinite(found))
    values, errors = found[:, 0], found[:, 1]
    pulls = (values - shift) / errors
    width_error = 1 / np.sqrt(2 * (n_images - 1))
    smallest = bound.cramer_rao_bound(the_model(), {"c9": shift}, ("c9",), N_EVENTS)["c9"]
    ratio = values.std(ddof=1) / smallest
    row = [kind, f"{shift:+.2f}", n_images]
    row += [f"{pulls.mean():+.3f} ± {1 / np.sqrt(n_images):.3f}"]
    row += [f"{pulls.std(ddof=1):.3f} ± {width_error:.3f}"]
    row += [f"{values.std(ddof=1):.4f}", f"{ratio:.3f} ± {ratio * width_error:.3f}"]
    deviations = [pulls.mean() * np.sqrt(n_images), (pulls.std(ddof=1) - 1) / width_error]
    for index, (level, sigmas) in enumerate(LEVELS.items()):
        low, high = found[:, 2 + 2 * index], found[:, 3 + 2 * index]
        error = np.sqrt(level * (1 - level) / n_images)
        for inside in ((low <= shift) & (shift <= high), np.abs(pulls) <= sigmas):
            row.append(f"{100 * inside.mean():.1f} ± {100 * error:.1f}")
            deviations.append((inside.mean() - level) / error)
    write_row(*row)
    assert np.abs(deviations).max() < 4, (row, deviations)
    if kind == "likelihood":
        assert abs(ratio - 1) < 4 * width_error
        assert errors.mean() == pytest.approx(smallest, rel=0.02)
    else:
        assert 1 < ratio < 2
        assert errors.mean() / smallest == pytest.approx(ratio, rel=4 * width_error)


def read_file(name, folder):
    path, flavour = FOLDER / name, FILES[name][0]
    try:
        return read_events(path)  # a slice that was stored as an event file
    except Exception:
        ingest_files([path], folder / name, flavour=flavour)
        return read_events(folder / name)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["likelihood", "angular-likelihood"])
@pytest.mark.parametrize("name", FILES)
def test_files_of_evtgen(name, kind, tmp_path):
    """δC9 of the whole file, and of its images of 24,000 events: pulls, spread beside the bound."""
    flavour, shift = FILES[name]
    fits = the_estimator(kind, flavour)
    events = read_file(name, tmp_path)
    events = events[selection(events, fits.image)["selected"]]
    whole = fits.estimate(events)
    value, error = float(whole.values[0]), float(whole.errors[0])
    smallest = bound.cramer_rao_bound(
        the_model(), {"c9": shift}, ("c9",), N_EVENTS, flavour=1 if flavour == "B0" else -1
    )["c9"]
    n_images = len(events) // N_EVENTS
    images = [
        fits.estimate(events[index * N_EVENTS : (index + 1) * N_EVENTS])
        for index in range(n_images)
    ]
    values = np.array([found.values[0] for found in images])
    pulls = (values - shift) / np.array([found.errors[0] for found in images])
    spread = f"{values.std(ddof=1) / smallest:.2f}" if n_images > 1 else "–"
    width = f"{pulls.std(ddof=1):.2f}" if n_images > 1 else "–"
    mean = f"{pulls.mean():+.2f} ± {1 / np.sqrt(n_images):.2f}" if n_images else "–"
    row = [
        name,
        kind,
        len(events),
        f"{value:+.4f} ± {error:.4f}",
        f"{(value - shift) / error:+.2f}",
    ]
    row += [n_images, mean, width, spread]
    write_row(*row)
    assert abs(value - shift) < 4 * error
    if n_images:
        assert chi2.sf((pulls**2).sum(), n_images) > 1e-4
    if n_images > 1 and kind == "likelihood":
        # the spread of images is what the bound says, as far as so few can tell
        scaled = (n_images - 1) * (values.std(ddof=1) / smallest) ** 2
        assert 1e-4 < chi2.sf(scaled, n_images - 1) < 1 - 1e-4
