"""Figures draw the given data, and both files contain their provenance record."""

import hashlib
import re
import shutil
import zipfile
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from jinja2 import Template
from matplotlib import colormaps
from matplotlib.colors import to_hex
from matplotlib.text import Text
from tests.helpers.toy_figures import (
    FEW_EVENTS,
    FEWER,
    HISTORY,
    IMAGE,
    POINTS,
    TRAINED,
    toy_events,
    toy_metadata,
    toy_predictions,
    toy_shard,
    toy_summary,
)

from wilsonvox.cli import run
from wilsonvox.config.reading import load_configuration
from wilsonvox.core.errors import UserError
from wilsonvox.ensembles.tables import PREDICTION_COLUMNS, SUMMARY_COLUMNS, write_table
from wilsonvox.events.event_file import EventMetadata, write_events
from wilsonvox.figures import (
    distributions,
    histograms,
    labels,
    linearity,
    luminosity,
    network,
    sensitivity,
    summaries,
    topology,
    training,
    voxels,
)
from wilsonvox.figures.style import BLACK, CROSS, DOUBLE_COLUMN, SINGLE_COLUMN, new_figure
from wilsonvox.figures.summaries import Summary
from wilsonvox.provenance.recording import make_record
from wilsonvox.records.digests import content_digest
from wilsonvox.records.embedded import read_record
from wilsonvox.theory.points import point_label
from wilsonvox.voxels.specification import ImageSpecification


def _record():
    return make_record("generate_events", "out.file", {}, command=[])


@pytest.fixture(scope="module")
def model():
    from wilsonvox.estimators.networks.backend import prepare_backend
    from wilsonvox.estimators.networks.resnet import build
    from wilsonvox.estimators.settings import NetworkSettings

    prepare_backend()
    sizes = NetworkSettings(
        stem_filters=2, stem_kernel=3, filters=(2, 3), blocks=(2, 1), dense_units=5
    )
    return build((12, 12, 12, 1), 1, sizes)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, model):
    """Folder with one input of each kind; shared, so tests must not write to it."""
    folder = tmp_path_factory.mktemp("inputs")
    for c9 in POINTS:
        point = point_label({"c9": c9})
        metadata = EventMetadata(
            origin="generated", point=point, shifts={"c9": c9}, physics_inputs="toy"
        )
        write_events(folder / f"{point}.root", [toy_events(c9)], metadata, _record())
        toy_shard(c9).save(folder / f"{point}.npz", _record())
        write_table(
            folder / f"{point}.parquet",
            toy_predictions(c9),
            PREDICTION_COLUMNS,
            toy_metadata(),
            _record(),
        )
    for name, factor in (("resnet", 1.5), ("fit", 1.1)):
        write_table(
            folder / f"summary_{name}.parquet",
            toy_summary(factor),
            SUMMARY_COLUMNS,
            toy_metadata(name),
            _record(),
        )
    write_table(
        folder / "summary_few_events.parquet",
        toy_summary(1.5 * FEWER**0.5),
        SUMMARY_COLUMNS,
        toy_metadata(image=FEW_EVENTS),
        _record(),
    )
    HISTORY.to_csv(folder / "history.csv", index=False)
    model.save(folder / "model.keras")
    return folder


@pytest.fixture
def here(inputs, monkeypatch, tmp_path):
    """New working directory with links to the inputs."""
    for path in inputs.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


BOTH = ["c9_+0.00", "c9_-2.00"]
KINDS = {
    "topology": [],
    "distributions": [word for point in BOTH for word in ("--events", f"{point}.root")],
    "voxels": [word for point in BOTH for word in ("--shard", f"{point}.npz")],
    "network": ["--model", "model.keras", "--title", "resnet"],
    "training": ["--history", "history.csv", "--model", "resnet", "--loss", "mae"],
    "histograms": [word for point in BOTH for word in ("--predictions", f"{point}.parquet")],
    "linearity": ["--summary", "summary_resnet.parquet"],
    "sensitivity": ["--summary", "summary_resnet.parquet", "--summary", "summary_fit.parquet"],
    "luminosity": [
        *("--summary", "summary_resnet.parquet", "--summary", "summary_few_events.parquet"),
        *("--point", "c9_+0.00", "--point", "c9_-2.00"),
    ],
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_png_holds_the_record_of_both_files_and_equal_runs_give_equal_bytes(kind, here):
    words = ["plot", kind, *KINDS[kind], "--pdf", "f/a.pdf", "--png", "f/a.png"]
    assert run(words) == 0
    pdf, png = here / "f" / "a.pdf", here / "f" / "a.png"
    files = [word for word in KINDS[kind] if "." in word and word not in BOTH]
    record = read_record(png)
    assert record.rule == f"plot_{kind}"
    assert record.command == ("wilsonvox", *words)
    assert [each.path for each in record.inputs] == files
    assert [each.content_digest for each in record.inputs] == [content_digest(f) for f in files]
    assert record.content_digest == content_digest(png)
    assert record.copies == {"f/a.pdf": hashlib.sha256(pdf.read_bytes()).hexdigest()}
    assert read_record(pdf) is None
    assert len(re.findall(rb"/Type /Page\b", pdf.read_bytes())) == 1
    first = pdf.read_bytes(), png.read_bytes()
    assert run(words) == 0
    assert (pdf.read_bytes(), png.read_bytes()) == first
    assert sorted(path.name for path in (here / "f").iterdir()) == ["a.pdf", "a.png"]


def _figures(model_path):
    summary = summaries.Summary("c9", toy_summary().sort_values("true"), toy_metadata())
    one_side = summaries.Summary("c9", toy_summary(values=TRAINED[:3]), toy_metadata())
    note = labels.note_text(ImageSpecification(), "evtgen-btosllnpr")
    ensembles = histograms.make_ensembles(pd.concat([toy_predictions(c9) for c9 in POINTS]))
    images = [voxels.take_image(toy_shard(c9), 0, "x") for c9 in POINTS]
    filled = [distributions.fill([toy_events(c9)], "x", (1, 6)) for c9 in POINTS]
    yield "topology", topology.draw()
    yield "distributions", distributions.draw(filled, "evtgen-btosllnpr")
    yield "voxels", voxels.draw(images, note)
    yield "network", network.draw(network.read(model_path), 40, "resnet")
    yield "network, a part", network.draw(network.read(model_path), 20)
    yield "training", training.draw(HISTORY, "resnet", "mae")
    about = labels.image_text(ImageSpecification()), "evtgen-btosllnpr"
    yield "histograms", histograms.draw(ensembles, *about)
    yield "linearity", linearity.draw(summary, scaled=True)
    yield "linearity on one side", linearity.draw(one_side, scaled=False)
    gaussians = Summary("c9", toy_summary().sort_values("true"), toy_metadata())
    gaussians.frame.loc[[0, 3], ["gauss_mean", "gauss_sigma"]] = np.nan
    yield "linearity of Gaussians", linearity.draw(gaussians, True, "gaussian")
    yield "linearity of Gaussians on one side", linearity.draw(one_side, False, "gaussian")
    yield "sensitivity", sensitivity.draw([summary, summary])
    few = Summary("c9", toy_summary(1.4 * FEWER**0.5), toy_metadata(image=FEW_EVENTS))
    yield "luminosity", luminosity.draw([summary, few], BOTH)


def test_nothing_is_clipped_and_all_text_is_legible(inputs):
    for name, figure in _figures(inputs / "model.keras"):
        figure.canvas.draw()
        box = figure.get_tightbbox(figure.canvas.get_renderer())
        width, height = figure.get_size_inches()
        inside = (box.x0 >= 0, box.y0 >= 0, box.x1 <= width, box.y1 <= height)
        assert all(inside), (name, box)
        assert width in (3.4, 3.5, 7.0), name
        texts = [text for text in figure.findobj(Text) if text.get_text()]
        assert texts, name
        assert min(text.get_fontsize() for text in texts) >= 7, name


def test_matplotlibrc_does_not_affect_figures():
    import matplotlib as mpl

    with mpl.rc_context({"font.size": 20.0, "axes.grid": True}):
        figure = training.draw(HISTORY)
        assert figure.axes[0].xaxis.label.get_fontsize() == 8.5
        assert not any(line.get_visible() for line in figure.axes[0].get_xgridlines())
        assert mpl.rcParams["font.size"] == 20.0


# topology


def test_topology_draws_the_angles_of_the_events():
    drawn = topology.decay_directions()
    k_star, dimuon = np.array([1.0, 0, 0]), np.array([-1.0, 0, 0])
    assert drawn["mup"] @ dimuon == pytest.approx(np.cos(topology.THETA_MU))
    assert drawn["K"] @ k_star == pytest.approx(np.cos(topology.THETA_K))
    assert drawn["pi"] == pytest.approx(-drawn["K"])
    # EvtGen's EvtDecayAngleChi(B; K, π, μ+, μ−)
    kaon, muon = (drawn[name] * [0, 1, 1] for name in ("K", "mup"))
    chi = np.arctan2(np.cross(k_star, kaon) @ muon, kaon @ muon)
    assert chi == pytest.approx(topology.CHI)


# distributions


def test_distributions_are_densities_of_the_selected_events():
    events = toy_events(-2.0)
    other = toy_events(-2.0, 500, flavour=-1)
    filled = distributions.fill([events[:1500], events[1500:], other], "x", (1.0, 6.0))
    selected = events[(events.q2 > 1) & (events.q2 < 6)]
    assert filled.n_events == len(selected)
    of_both = distributions.fill([events, other], "x", (1.0, 6.0), "both")
    assert of_both.n_events == filled.n_events + np.sum((other.q2 > 1) & (other.q2 < 6))
    for name in ("q2", "cos_theta_mu", "cos_theta_k", "chi"):
        edges = filled.edges[name]
        expected, _ = np.histogram(getattr(selected, name).astype(float), edges)
        assert filled.counts[name].tolist() == expected.tolist()
        density, error = filled.density(name)
        assert np.sum(density * np.diff(edges)) == pytest.approx(1)
        assert error == pytest.approx(density / np.sqrt(expected))
    assert filled.edges["q2"][[0, -1]].tolist() == [1, 6]
    figure = distributions.draw([filled, filled])
    points = figure.axes[0].containers[0].lines[0]
    assert points.get_ydata() == pytest.approx(filled.density("cos_theta_mu")[0])
    labels_x = [axes.get_xlabel() for axes in figure.axes]
    assert labels_x[2:] == [r"$\chi$ [rad]", "$q^2$ [GeV$^2$]"]


def test_distributions_are_labelled_by_the_points_of_the_files(here):
    read = [distributions.read(f"{point}.root", (1, 6)) for point in BOTH]
    assert [file.label for file in read] == [r"$\delta C_{9} = 0.0$ (SM)", r"$\delta C_{9} = -2.0$"]
    with pytest.raises(UserError, match="no B0bar event with 1 < q2 < 6 GeV2"):
        distributions.read(here / "c9_+0.00.root", (1, 6), "B0bar")


# voxels


def test_occupied_voxels_are_drawn_as_coloured_cubes():
    shard, viridis = toy_shard(-2.0), colormaps["viridis"]
    image = voxels.take_image(shard, 1, "x")
    assert image.label == r"$\delta C_{9} = -2.0$"
    flat = (image.position[:, 0] * 6 + image.position[:, 1]) * 6 + image.position[:, 2]
    assert flat.tolist() == shard.voxel[60:].tolist()
    assert image.value == pytest.approx(shard.mean_q2[60:] / 20)
    faces = voxels.cube_faces(image, 0.8)
    low, high = faces.min(axis=(1, 2)), faces.max(axis=(1, 2))
    width = np.array([2, 2, 2 * np.pi]) / 6
    assert high - low == pytest.approx(np.tile(0.8 * width, (75, 1)))
    assert (low + high) / 2 == pytest.approx([-1, -1, 0] + (image.position + 0.5) * width)
    figure = voxels.draw([image, image])
    figure.canvas.draw()
    bars = [axes for axes in figure.axes if "GeV" in axes.get_ylabel()]
    assert len(figure.axes) == 3
    assert len(bars) == 1
    for panel in figure.axes[:2]:
        assert panel.get_zlim() == (0, 2 * np.pi)
        (cubes,) = panel.collections
        assert cubes.get_rasterized()
        assert len(cubes.get_paths()) == 75 * 3
        # the upper face, the brightest of the three, has the colour of the colour bar
        drawn = {tuple(colour) for colour in np.round(cubes.get_facecolor(), 6)}
        assert drawn >= {tuple(colour) for colour in np.round(viridis(image.value), 6)}


def test_images_without_truth_are_labelled_by_their_sample():
    assert voxels.take_image(toy_shard(0.0, sample="belle"), 0, "x").label == "belle"
    assert voxels.take_image(toy_shard(0.0), 0, "x").label == r"$\delta C_{9} = 0.0$ (SM)"


# network


def test_layers_agree_with_keras(model, inputs):
    layers = network.read(inputs / "model.keras")
    assert {layer.name for layer in layers} == {layer.name for layer in model.layers}
    for layer in layers:
        keras_layer = model.get_layer(layer.name)
        assert layer.kind == type(keras_layer).__name__
        assert layer.output_shape == keras_layer.output.shape
        if layer.kind not in ("Add", "InputLayer"):
            assert layer.input_shape == keras_layer.input.shape
    seen = set()
    for layer in layers:
        assert set(layer.sources) <= seen
        seen.add(layer.name)
    adds = [layer for layer in layers if layer.kind == "Add"]
    assert len(adds) == 3
    assert all(len(layer.sources) == 2 for layer in adds)
    assert layers[-1].name == "predictions"


def test_sequential_models_are_chains(tmp_path):
    import keras

    keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4, name="a"), keras.layers.Dense(1, name="b")]
    ).save(tmp_path / "s.keras")
    layers = network.read(tmp_path / "s.keras")
    assert [layer.kind for layer in layers] == ["InputLayer", "Dense", "Dense"]
    assert [layer.input_shape for layer in layers] == [(None, 3), (None, 3), (None, 4)]
    assert [layer.output_shape for layer in layers] == [(None, 3), (None, 4), (None, 1)]
    assert layers[2].sources == ("a",)
    assert network.draw(layers).get_size_inches()[0] == 3.5


def test_network_diagrams_show_all_skip_connections_and_whole_blocks(inputs):
    layers = network.read(inputs / "model.keras")
    names = [layer.name for layer in layers]
    skips = [(names[start], names[end]) for start, end, _ in network.skip_lanes(layers)]
    assert ("pool1_pool", "conv2_block1_add") in skips
    assert ("conv2_block1_out", "conv2_block2_add") in skips
    n_edges = sum(len(layer.sources) for layer in layers)
    adjacent = sum(a.name in b.sources for a, b in pairwise(layers))
    assert len(skips) + adjacent == n_edges
    # split only at a single connection, never across a skip connection
    first, hidden, last = network.portion(layers, 20)
    assert len(first) + hidden + len(last) == len(layers)
    assert len(first) + len(last) <= 20
    assert first[-1].name == "conv2_block1_add"
    assert [layer.name for layer in last][-5:] == names[-5:]
    left = {layer.name for layer in first}
    crossing = [s for layer in layers[len(first) :] for s in layer.sources if s in left]
    assert crossing == ["conv2_block1_add"]
    figure = network.draw(layers, 20, "resnet")
    texts = [text.get_text() for text in figure.findobj(Text)]
    assert all(layer.name in texts for layer in (*first, *last))
    assert f"⋮   {hidden} more layers   ⋮" in texts
    assert network.portion(layers, 99) == (layers, 0, [])


def test_lanes_of_skip_connections_do_not_overlap():
    chain = [network.Layer(str(i), "Add", (str(i - 1),) if i else (), (), ()) for i in range(9)]
    for target, source in ((4, 0), (6, 2), (8, 4)):
        old = chain[target]
        chain[target] = network.Layer(old.name, "Add", (*old.sources, str(source)), (), ())
    lanes = network.skip_lanes(chain)
    assert [(start, end) for start, end, _ in lanes] == [(0, 4), (2, 6), (4, 8)]
    assert [lane for *_, lane in lanes] == [0, 1, 0]


# training


def test_training_curves_draw_the_history(inputs):
    history = training.read_history(inputs / "history.csv")
    above, below = training.draw(history, "resnet", "mae").axes
    loss, validation, best = above.get_lines()
    assert loss.get_ydata() == pytest.approx(HISTORY["loss"])
    assert validation.get_ydata() == pytest.approx(HISTORY["val_loss"])
    assert (best.get_xdata()[0], best.get_ydata()[0]) == (10, 0.11)
    assert above.get_yscale() == below.get_yscale() == "log"
    assert below.get_lines()[0].get_ydata() == pytest.approx(HISTORY["learning_rate"])
    flat = HISTORY.assign(loss=0.5, val_loss=0.6, learning_rate=0.01)
    assert [axes.get_yscale() for axes in training.draw(flat).axes] == ["linear", "linear"]


# histograms


def test_histograms_share_an_axis_and_show_the_moments(inputs):
    paths = [inputs / f"{point}.parquet" for point in BOTH]
    ensembles, metadata = histograms.read(paths, "c9")
    assert [ensemble.true for ensemble in ensembles] == [0.0, -2.0]
    assert metadata.estimator == "resnet"
    figure = histograms.draw(ensembles, "", metadata.physics_inputs)
    (legend,) = figure.legends
    assert legend.get_title().get_text() == metadata.physics_inputs != ""
    upper, lower = figure.axes
    assert upper.get_xlim() == lower.get_xlim()
    for panel, ensemble in zip(figure.axes, ensembles, strict=True):
        vertical = {
            round(float(line.get_xdata()[0]), 12): line.get_linestyle()
            for line in panel.get_lines()
            if len(set(line.get_xdata())) == 1 and line.get_marker() == "None"
        }
        low, high = np.quantile(ensemble.predicted, [0.16, 0.84])
        assert vertical == {
            round(float(np.mean(ensemble.predicted)), 12): "--",
            round(float(low), 12): "-",
            round(float(high), 12): "-",
        }
        counts = panel.patches[0].get_data().values
        assert counts.sum() == len(ensemble.predicted)
        (text,) = [text.get_text() for text in panel.texts]
        assert rf"$\sigma_L$ = {np.mean(ensemble.predicted) - low:.3f}" in text
        assert "150 images" in text
        assert "fit:" in text


def test_few_predictions_have_no_gaussian_fit():
    few = histograms.make_ensembles(toy_predictions(0.0, 4))
    (panel,) = histograms.draw(few).axes
    assert "fit" not in panel.texts[0].get_text()


# linearity


def _marked(panel, marker):
    return [
        container for container in panel.containers if container.lines[0].get_marker() == marker
    ]


@pytest.mark.parametrize("scaled", [True, False])
def test_linearity_draws_means_with_their_errors(inputs, scaled):
    summary = summaries.read(inputs / "summary_resnet.parquet", "c9")
    figure = linearity.draw(summary, scaled)
    negative, everything, bias, _ = figure.axes
    for panel, rows in (
        (negative, summary.frame["true"] <= 0),
        (everything, summary.frame["true"] < 9),
    ):
        for marker, colour, seen in (("o", BLACK, True), ("x", CROSS, False)):
            frame = summary.frame[rows & (summary.frame["seen_in_training"] == seen)]
            (container,) = _marked(panel, marker)
            points, _, (bars,) = container.lines
            assert points.get_xdata() == pytest.approx(frame["true"])
            assert points.get_ydata() == pytest.approx(frame["mean"])
            assert to_hex(points.get_color()).upper() == colour
            scale = 20 if scaled else 1
            ends = np.array([segment[:, 1] for segment in bars.get_segments()])
            assert ends[:, 0] == pytest.approx(frame["mean"] - frame["sigma_left"] / scale)
            assert ends[:, 1] == pytest.approx(frame["mean"] + frame["sigma_right"] / scale)
    trained_bias = _marked(bias, "o")[0].lines[0].get_ydata()
    rows = summary.frame["seen_in_training"] & (summary.frame["true"] <= 0)
    assert trained_bias == pytest.approx(summary.frame["bias"][rows])
    diagonal = negative.get_lines()[0]
    assert diagonal.get_slope() == 1
    assert diagonal.get_xy1() == (0, 0)


def _fitted():
    """Summary with fitted Gaussians that differ from the means."""
    frame = toy_summary().sort_values("true").reset_index(drop=True)
    frame["gauss_mean"] = frame["mean"] + 0.02 + 0.01 * frame["true"]
    frame["gauss_sigma"] = 0.7 * frame["sigma"]
    return frame


@pytest.mark.parametrize("scaled", [True, False])
def test_linearity_can_draw_fitted_gaussians(scaled):
    frame = _fitted()
    figure = linearity.draw(summaries.Summary("c9", frame, toy_metadata()), scaled, "gaussian")
    _, everything, _, bias = figure.axes
    for marker, seen in (("o", True), ("x", False)):
        rows = frame[frame["seen_in_training"] == seen]
        points, _, (bars,) = _marked(everything, marker)[0].lines
        assert points.get_ydata() == pytest.approx(rows["gauss_mean"])
        ends = np.array([segment[:, 1] for segment in bars.get_segments()])
        error = rows["gauss_sigma"] / (20 if scaled else 1)
        assert ends[:, 0] == pytest.approx(rows["gauss_mean"] - error)
        assert ends[:, 1] == pytest.approx(rows["gauss_mean"] + error)
        below = _marked(bias, marker)[0].lines[0].get_ydata()
        assert below == pytest.approx(rows["gauss_mean"] - rows["true"])
    assert figure.axes[0].get_ylabel().startswith("Fitted mean of")
    assert figure.axes[2].get_ylabel() == "fitted mean\n− true"
    title = figure.legends[0].get_title().get_text()
    assert r"\sigma_\mathrm{fit}" in title
    assert ("sqrt" in title) == scaled
    assert "without a fit" not in title


def test_points_without_a_fitted_gaussian_are_omitted_and_counted():
    frame = _fitted()
    frame.loc[1, ["gauss_mean", "gauss_sigma"]] = np.nan
    figure = linearity.draw(summaries.Summary("c9", frame, toy_metadata()), True, "gaussian")
    drawn = [x for bars in figure.axes[1].containers for x in bars.lines[0].get_xdata()]
    assert sorted(drawn) == sorted(frame["true"].drop(1))
    assert "1 point without a fit" in figure.legends[0].get_title().get_text()
    frame[["gauss_mean", "gauss_sigma"]] = np.nan
    with pytest.raises(
        UserError, match=r"no ensemble of c9 has a fitted .* set figures.linearity: mean"
    ):
        linearity.draw(summaries.Summary("c9", frame, toy_metadata()), True, "gaussian")


@pytest.mark.usefixtures("here")
def test_the_command_records_the_choice_of_ensembles():
    words = ["plot", "linearity", *KINDS["linearity"], "--pdf", "a.pdf", "--png", "a.png"]
    assert run([*words, "--ensembles", "gaussian"]) == 0
    assert read_record("a.png").settings["ensembles"] == "gaussian"
    pixels = content_digest("a.png")
    assert run(words) == 0
    assert read_record("a.png").settings["ensembles"] == "mean"
    assert content_digest("a.png") != pixels


@pytest.mark.parametrize("name", ["linearity", "linearity_unscaled"])
def test_captions_describe_the_choice_of_ensembles(name):
    template = (Path(__file__).parents[3] / f"workflow/report/{name}.rst").read_text()
    configuration = load_configuration("config/proceedings2023.yaml").model_dump(mode="json")
    wildcards = SimpleNamespace(image="b100_n24000", estimator="resnet34")
    texts = {}
    for shown in ("mean", "gaussian"):
        configuration["figures"]["linearity"] = shown
        given = SimpleNamespace(config=configuration, wildcards=wildcards)
        texts[shown] = " ".join(Template(template).render(snakemake=given).split())
    assert "Mean of a Gaussian fitted" in texts["gaussian"]
    assert ":sub:`L`" not in texts["gaussian"]
    assert "Gaussian" not in texts["mean"]
    assert ":sub:`L`" in texts["mean"]


def test_linearity_of_one_sign_has_one_column():
    frame = toy_summary(values=TRAINED[:3])
    figure = linearity.draw(summaries.Summary("c9", frame, toy_metadata()), scaled=True)
    assert len(figure.axes) == 2


# sensitivity


def test_sensitivity_is_divided_by_the_slope_and_compared_with_the_bound(inputs):
    summary = summaries.read(inputs / "summary_resnet.parquet", "c9")
    above, below = sensitivity.draw([summary]).axes
    bound = next(line for line in above.get_lines() if line.get_label() == "Cramér–Rao bound")
    assert bound.get_xdata() == pytest.approx(summary.frame["true"])
    assert bound.get_ydata() == pytest.approx(summary.frame["bound"])
    for marker, seen in (("o", True), ("x", False)):
        frame = summary.frame[summary.frame["seen_in_training"] == seen]
        points, _, (bars,) = _marked(above, marker)[0].lines
        expected = frame["sigma"] / frame["response_slope"]
        assert points.get_ydata() == pytest.approx(expected)
        ends = np.array([segment[:, 1] for segment in bars.get_segments()])
        relative = (ends[:, 1] - ends[:, 0]) / 2 / expected
        assert relative.to_numpy() == pytest.approx(1 / np.sqrt(2 * 399))
        ratio = _marked(below, marker)[0].lines[0].get_ydata()
        assert ratio == pytest.approx(frame["sigma_over_bound"])


def test_sensitivity_legend_lists_the_estimators(inputs):
    read = [summaries.read(inputs / f"summary_{name}.parquet", "c9") for name in ("resnet", "fit")]
    figure = sensitivity.draw(read)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["Cramér–Rao bound", "resnet", "fit", "trained", "interpolation"]
    looks = {
        (line.get_marker(), line.get_color(), line.get_markerfacecolor())
        for line in (bars.lines[0] for bars in figure.axes[0].containers)
    }
    # one colour and marker per estimator, filled and open
    assert len({colour for _, colour, _ in looks}) == len({marker for marker, *_ in looks}) == 2
    assert len(looks) == 4
    other = summaries.Summary("c9", read[1].frame, toy_metadata("fit", ImageSpecification()))
    lines = sensitivity.draw([read[0], other]).axes[0].get_lines()
    assert sum(line.get_label() == "Cramér–Rao bound" for line in lines) == 2


def test_estimators_without_training_have_one_kind_of_points(inputs):
    resnet, fit = (summaries.read(inputs / f"summary_{n}.parquet", "c9") for n in ("resnet", "fit"))
    untrained = fit.metadata.model_copy(update={"trained": False})
    fit = summaries.Summary("c9", fit.frame, untrained)
    above = sensitivity.draw([resnet, fit]).axes[0]
    drawn = [len(_marked(above, marker)) for marker in ("o", "s")]
    assert drawn == [2, 1]  # filled and open, filled only
    true = _marked(above, "s")[0].lines[0].get_xdata()
    spacing = np.diff(np.unique(fit.frame["true"])).min()
    assert true == pytest.approx(fit.frame["true"], abs=0.3 * spacing)
    assert np.all(true != fit.frame["true"].to_numpy())
    for drawing in (sensitivity.draw([fit]), linearity.draw(fit, True)):
        legend = (drawing.legends or [drawing.axes[0].get_legend()])[0]
        names = {text.get_text() for text in legend.get_texts()}
        assert "estimate" in names
        assert not {"trained", "interpolation"} & names


def test_luminosity_is_flat_if_sigma_scales_with_the_number_of_events():
    few = Summary("c9", toy_summary(1.5 * FEWER**0.5), toy_metadata(image=FEW_EVENTS))
    few.frame["bound"] *= FEWER**0.5
    figure = luminosity.draw([few, Summary("c9", toy_summary(), toy_metadata())], BOTH)
    drawn = [bars[0].get_xydata()[0] for bars in figure.axes[0].containers]
    assert [x for x, _ in drawn] == [IMAGE.events_per_image / FEWER, IMAGE.events_per_image]
    bound = 0.05 * IMAGE.events_per_image**0.5
    assert [y for _, y in drawn] == pytest.approx([1.5 * bound] * 2)
    assert figure.axes[0].lines[-1].get_ydata()[0] == pytest.approx(bound)


def test_luminosity_rejects_images_that_differ_in_other_settings():
    other = toy_metadata(image=FEW_EVENTS.model_copy(update={"bins": 9}))
    summaries = [Summary("c9", toy_summary(), metadata) for metadata in (toy_metadata(), other)]
    with pytest.raises(UserError, match="differ in events_per_image only"):
        luminosity.draw(summaries, BOTH)


def test_figures_of_results_state_the_physics_inputs(inputs):
    read = [summaries.read(inputs / f"summary_{name}.parquet", "c9") for name in ("resnet", "fit")]
    drawings = [sensitivity.draw(read), sensitivity.draw(read[:1]), linearity.draw(read[0], True)]
    for drawing in drawings:
        texts = " ".join(text.get_text() for text in drawing.findobj(Text))
        assert read[0].metadata.physics_inputs in texts


def test_sensitivity_omits_points_without_sensitivity():
    frame = toy_summary().sort_values("true").reset_index(drop=True)
    frame.loc[0, ["response_slope", "sigma_over_bound"]] = [-0.1, np.nan]
    frame.loc[1, ["response_slope", "sigma_over_bound"]] = [1e-4, 1e4]
    above, below = sensitivity.draw([summaries.Summary("c9", frame, toy_metadata())]).axes
    assert sum(len(c.lines[0].get_xdata()) for c in above.containers) == 5
    assert above.get_yscale() == below.get_yscale() == "log"
    frame[["response_slope", "bound", "sigma_over_bound"]] = np.nan
    above, below = sensitivity.draw([summaries.Summary("c9", frame, toy_metadata())]).axes
    assert not above.containers
    assert [text.get_text() for text in below.texts] == ["no ratio available"]


# labels


def test_labels():
    assert labels.shifts_text({"c9": 0.0}) == r"$\delta C_{9} = 0.0$ (SM)"
    assert labels.shifts_text({"c9": -0.95}) == r"$\delta C_{9} = -0.95$"
    both = labels.shifts_text({"c7": 0.05, "c9p": 0.5})
    assert both == r"$\delta C_{7} = 0.05$, $\delta C_{9}^{\prime} = 0.5$"
    assert labels.image_text(ImageSpecification()).startswith("50³ voxels, 24,000 events per image")
    cut = ImageSpecification(q2_min_gev2=1, q2_max_gev2=8, vetoes_gev2=((8, 11),), flavour="B0bar")
    assert "1 < $q^2$ < 8 GeV² without 8–11 GeV², $" in labels.image_text(cut)
    mixed = ImageSpecification(
        flavour="both", antiparticle_angles="positive-lepton", multiple_entries="removed"
    )
    assert labels.image_text(mixed).endswith(
        r"GeV², $B^0$ and $\overline{B}{}^0$, angles of $\ell^+$, single-event voxels"
    )
    plain = labels.image_text(mixed, mathtext=False)
    assert plain.endswith("GeV², B⁰ and anti-B⁰, angles of ℓ⁺, single-event voxels")


def test_long_notes_are_broken_into_lines():
    def of_image(width, **settings):
        figure = new_figure(width, 3.0, labels.image_text(ImageSpecification(**settings)))
        (note,) = figure.texts
        box = note.get_window_extent()
        assert box.x0 > 0
        assert box.x1 < figure.bbox.width
        return note.get_text()

    assert "\n" not in of_image(SINGLE_COLUMN)
    mixed = {"flavour": "both", "antiparticle_angles": "positive-lepton"}
    text = of_image(SINGLE_COLUMN, **mixed)
    assert text.count("\n") == 1
    assert text.replace(",\n", ", ") == labels.image_text(ImageSpecification(**mixed))
    assert "\n" not in of_image(DOUBLE_COLUMN, **mixed)


# bad input

OUT = ["--pdf", "o.pdf", "--png", "o.png"]
BAD = {
    "one number of events": (
        ["luminosity", "--summary", "summary_fit.parquet", "--point", "c9_+0.00", *OUT],
        "all images have the same number of events",
    ),
    "no such point": (
        ["luminosity", *KINDS["luminosity"][:4], "--point", "c9_+7.00", *OUT],
        "--point c9_+7.00: not in the summary",
    ),
    "no such kind": (["histogram", *OUT], "histogram"),
    "no kind": ([], "Missing command"),
    "no output": (["topology", "--pdf", "o.pdf"], "--png"),
    "wrong suffix": (["topology", "--pdf", "o.png", "--png", "o.png"], "must end in .pdf"),
    "unwritable": (["topology", "--pdf", "file.txt/o.pdf", "--png", "o.png"], "cannot be written"),
    "no event file": (["distributions", "--events", "no.root", *OUT], "does not exist"),
    "no events in range": (
        ["distributions", "--events", "c9_+0.00.root", "--q2-min", "19.5", "--q2-max", "20", *OUT],
        "no B0 event with 19.5 < q2 < 20 GeV2",
    ),
    "empty range": (
        ["distributions", "--events", "c9_+0.00.root", "--q2-min-gev2", "7", *OUT],
        "7 GeV2 is not below --q2-max, 6 GeV2",
    ),
    "not a shard": (["voxels", "--shard", "history.csv", *OUT], "not a readable shard"),
    "no such image": (
        ["voxels", "--shard", "c9_+0.00.npz", "--image-index", "2", *OUT],
        "image 2 does not exist; the shard has 2",
    ),
    "not a model": (["network", "--model", "file.txt", *OUT], "not a Keras model"),
    "zip, but no model": (["network", "--model", "other.zip", *OUT], "not a Keras model"),
    "not a history": (["training", "--history", "c9_+0.00.npz", *OUT], "not a training history"),
    "columns missing": (["training", "--history", "short.csv", *OUT], "lacks val_loss"),
    "no epochs": (["training", "--history", "empty.csv", *OUT], "no epoch"),
    "text in history": (["training", "--history", "text.csv", *OUT], "not a training history"),
    "not predictions": (
        ["histograms", "--predictions", "summary_fit.parquet", *OUT],
        "not a table of this pipeline",
    ),
    "no such coefficient": (
        ["histograms", "--predictions", "c9_+0.00.parquet", "--coefficient", "c10", *OUT],
        "no prediction of c10",
    ),
    "not a summary": (["linearity", "--summary", "c9_+0.00.parquet", *OUT], "not a table"),
    "coefficient not summarised": (
        ["sensitivity", "--summary", "summary_fit.parquet", "--coefficient", "c7", *OUT],
        "no row of c7",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gives_a_one_line_error_and_no_file(case, here, capsys):
    (here / "file.txt").write_text("neither this nor that")
    with zipfile.ZipFile(here / "other.zip", "w") as archive:
        archive.writestr("config.json", '{"config": 3, "class_name": "X"}')
    (here / "short.csv").write_text("epoch,loss,learning_rate\n1,2,3\n")
    (here / "empty.csv").write_text("epoch,loss,val_loss,learning_rate\n")
    (here / "text.csv").write_text("epoch,loss,val_loss,learning_rate\n1,a,2,3\n")
    words, message = BAD[case]
    assert run(["plot", *words]) == 1
    error = capsys.readouterr().err
    assert error.startswith("wilsonvox: error: ")
    assert len(error.splitlines()) == 1
    assert message in error
    assert not list(here.rglob("o.*"))
    assert not list(here.rglob("*.part*"))


def test_a_failing_figure_keeps_the_old_files(here):
    words = ["plot", "training", "--history", "history.csv", *OUT]
    assert run(words) == 0
    before = (here / "o.pdf").read_bytes(), (here / "o.png").read_bytes()
    (here / "history.csv").unlink()
    shutil.copy(here / "c9_+0.00.parquet", here / "history.csv")
    assert run(words) == 1
    assert ((here / "o.pdf").read_bytes(), (here / "o.png").read_bytes()) == before
