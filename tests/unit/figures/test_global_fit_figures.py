"""Figures of the global fit on toy predictions."""

import json

import numpy as np
import pytest
from matplotlib.colors import to_hex
from tests.helpers.toy_global_fit import toy_table

from wilsonvox.cli import run
from wilsonvox.core.errors import UserError
from wilsonvox.figures.global_fit import best_sample as global_fit_best_sample
from wilsonvox.figures.global_fit import contours as global_fit_contours
from wilsonvox.figures.global_fit import gan as global_fit_gan
from wilsonvox.figures.global_fit import images as global_fit_images
from wilsonvox.figures.global_fit import network as global_fit_network
from wilsonvox.figures.global_fit import observables as global_fit_observables
from wilsonvox.figures.global_fit import posterior as global_fit_posterior
from wilsonvox.figures.global_fit import training_sets as global_fit_training_sets
from wilsonvox.figures.style import BLUE, GREEN, RED
from wilsonvox.global_fit.fits import CoefficientFit, fit_coefficients
from wilsonvox.global_fit.learning.model_summary import ModelSummary
from wilsonvox.global_fit.learning.results import (
    Coefficients,
    Coverage,
    EnsemblePosterior,
    GanRestartResult,
    GanResult,
    Images,
    NetworkRestartResult,
    NetworkResult,
    Region,
    Spread,
    TrainingSetSummary,
)
from wilsonvox.global_fit.learning.settings import (
    GanSettings,
    InverseNetworkSettings,
    TrainingSetSettings,
)
from wilsonvox.global_fit.predictions import PredictionTable
from wilsonvox.provenance.recording import make_record
from wilsonvox.records.embedded import read_record


@pytest.fixture(scope="module")
def table() -> PredictionTable:
    return toy_table()


@pytest.fixture(scope="module")
def fit(table) -> CoefficientFit:
    return fit_coefficients(table, "experimental")


def model_summary(name: str, kind: str, c9: list[float]) -> ModelSummary:
    restarts = [{"c9": value, "c10": 0.1, "chi_squared": 40.0} for value in c9]
    return ModelSummary.model_validate(
        {"name": name, "kind": kind, "observables": "lhcb-2015", "hadronic": "none",
         "answers": restarts, "more": "than is drawn"}
    )  # fmt: skip


def test_observables_have_one_panel_per_kind(table, fit):
    figure = global_fit_observables.draw(table, fit)
    assert len(figure.axes) == 8
    boxes = [len(axes.patches) for axes in figure.axes]
    assert boxes == [6, 6, 6, 6, 4, 6, 1, 2]
    # the box is the SM prediction ± the theory uncertainty
    box = figure.axes[6].patches[0]
    row = table.observables.kinds.index("R_K")
    error = np.sqrt(table.theory_covariance[row, row])
    assert box.get_height() == pytest.approx(2 * error)
    assert box.get_y() + error == pytest.approx(table(0, 0)[0, row])
    other = fit.model_copy(update={"fitted": fit.fitted[:-1], "observables": "mine"})
    with pytest.raises(
        UserError, match="to the set mine, but the table is for lhcb-2015; give a fit"
    ):
        global_fit_observables.draw(table, other)


def heights(axes, colour: str) -> list[float]:
    """Vertical positions of the lines of a colour."""
    return [
        float(segment[0, 1])
        for collection in axes.collections
        if to_hex(collection.get_color()[0]).upper() == colour
        for segment in collection.get_segments()
    ]


def test_best_samples_are_predictions_for_their_coefficients(table):
    """For a GAN with shared polynomials: 0.01 + 0.002 q² − 0.0005 q⁴ is added to all."""
    settings = TrainingSetSettings(hadronic="shared", half_widths=(0.1, 0.01, 0.001))
    trained = Coefficients(c9=-0.9, c10=0.3, hadronic=[0.0, 0.0, 0.0], chi_squared=40.0)
    worse = trained.model_copy(update={"chi_squared": 90.0})
    best = Coefficients(c9=-1.2, c10=0.1, hadronic=[0.01, 0.002, -0.0005], chi_squared=38.25)
    result = GanResult.model_construct(
        name="gan", observables="lhcb-2015", version="experimental", hadronic="shared",
        training_set=TrainingSetSummary.model_construct(settings=settings, best=trained),
        answers=[worse, best, worse],
    )  # fmt: skip
    figure = global_fit_best_sample.draw(table, result)
    row = table.observables.kinds.index("R_K")
    axes = figure.axes[6]
    assert heights(axes, GREEN) == pytest.approx([table(-0.9, 0.3)[0, row]])
    q2 = 3.5
    correction = 0.01 + 0.002 * q2 - 0.0005 * q2**2
    assert heights(axes, BLUE) == pytest.approx([table(-1.2, 0.1)[0, row] + correction])
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert any("best generated sample of 3 trainings" in t and "= 38.2" in t for t in texts)
    other = result.model_copy(update={"observables": "mine"})
    with pytest.raises(UserError, match="on the set mine, but the table is for lhcb-2015; give"):
        global_fit_best_sample.draw(table, other)


def test_contours_show_models_by_kind_and_count_results_outside(fit):
    networks = model_summary("net", "network", [-0.5, -0.6, -5.0])
    gans = model_summary("gan", "gan", [-0.7])
    measured = global_fit_contours.MeasuredC9("voxel-sum", -0.84, -0.88, -0.80)
    figure = global_fit_contours.draw([fit], [networks, gans], measured)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[2:] == ["Networks", "GANs"]
    texts = [text.get_text() for text in figure.axes[2].get_legend().get_texts()]
    assert texts == [r"$\chi^2$ fit", "net (1 of 3 outside)"]
    generated = [(-1.0, 0.2, 50.0), (-1.5, 0.4, 60.0)]
    sampled = model_summary("sampled", "gan", [-0.7, -0.8])
    sampled = sampled.model_copy(
        update={"answers": [a.model_copy(update={"samples": generated}) for a in sampled.answers]}
    )
    panel = global_fit_contours.draw([fit], [sampled]).axes[2]
    (dots,) = (line for line in panel.lines if line.get_marker() == ".")
    assert dots.get_xydata().tolist() == [[-1.0, 0.2], [-1.5, 0.4]] * 2
    contour = next(line for line in figure.axes[0].lines if len(line.get_xdata()) > 10)
    assert np.array_equal(contour.get_xdata()[:-1], fit.contours[0].c9)
    assert len(global_fit_contours.draw([fit]).axes) == 2
    shared = fit.model_copy(update={"hadronic": "shared"})
    with pytest.raises(UserError, match="no fit without hadronic polynomials"):
        global_fit_contours.draw([shared])
    other = fit.model_copy(update={"observables": "lhcb-2022"})
    with pytest.raises(UserError, match=r"several sets of observables \(lhcb-2015, lhcb-2022\)"):
        global_fit_contours.draw([fit, other])


def summary(**settings) -> TrainingSetSummary:
    """Summary of a training set of 100 samples."""
    return TrainingSetSummary(
        settings=TrainingSetSettings(**settings),
        n_samples=100,
        best=Coefficients(c9=-0.9, c10=0.2, chi_squared=38.5),
        chi_squared_edges=[38.5, 60.0, 100.0, 300.0],
        chi_squared_counts=[20, 50, 30],
    )


def common_fields(restarts: list, **more) -> dict:
    """Fields of the results of networks and GANs."""
    return {
        "name": "mine", "observables": "lhcb-2015", "version": "experimental", "hadronic": "none",
        "training_set": summary(), "spread": Spread.of(restarts), "answers": restarts,
    } | more  # fmt: skip


def network_result(**more) -> NetworkResult:
    """Two trainings of a network, the second one dead."""
    restarts = [
        NetworkRestartResult(
            c9=c9, c10=c10, chi_squared=chi_squared, start=start, loss=[0.9, 0.5, 0.2 + start],
            validation_loss=[0.8, 0.6, 0.3 + start], best_epoch=3, is_constant=start == 1,
        )
        for start, (c9, c10, chi_squared) in enumerate([(-1.2, 0.4, 40.0), (-0.6, -0.2, 64.0)])
    ]  # fmt: skip
    fields = {"settings": InverseNetworkSettings(), "posterior": None} | more
    return NetworkResult.model_construct(**common_fields(restarts, **fields))


def gan_result(**more) -> GanResult:
    """Two trainings of a GAN, the second one collapsed."""
    restarts = [
        GanRestartResult.model_construct(
            c9=-1.1, c10=0.3, chi_squared=40.0 + start, start=start,
            generator_loss=[0.7, 0.9 + start], discriminator_loss=[0.69, 0.5 + start],
            discriminator_accuracy=[0.5, 0.75 + 0.1 * start],
            coverage=Coverage.model_construct(verdict=verdict),
            samples=[(-1.0, 0.1 + start, 50.0), (-0.5, 0.2 + start, 60.0)],
        )
        for start, verdict in enumerate(["partial mode collapse", "mode collapse"])
    ]  # fmt: skip
    fields = {"settings": GanSettings(), "images": None} | more
    return GanResult.model_construct(**common_fields(restarts, **fields))


def lines(axes, colour: str, marker: str = "None") -> list[list[list[float]]]:
    """Points of the lines of a colour and marker, in drawing order."""
    return [
        line.get_xydata().tolist()
        for line in axes.lines
        if line.get_color() == colour and line.get_marker() == marker
    ]


def test_network_figure_draws_losses_and_predictions_of_all_trainings():
    result = network_result()
    figure = global_fit_network.draw(result)
    left, right = figure.axes
    for colour, name in ((BLUE, "loss"), (RED, "validation_loss")):
        epochs = [list(enumerate(getattr(r, name), start=1)) for r in result.answers]
        assert lines(left, colour) == [[list(point) for point in curve] for curve in epochs]
    drawn = [line for line in right.lines if line.get_marker() == "o"]
    assert [line.get_xydata().tolist() for line in drawn] == [[[-1.2, 0.4]], [[-0.6, -0.2]]]
    # the marker of a dead network is open
    assert [line.get_markerfacecolor() for line in drawn] == [RED, "none"]
    (mean,) = right.containers
    assert mean[0].get_xydata() == pytest.approx(np.array([[-0.9, 0.1]]))
    (across,), (along,) = (bar.get_segments() for bar in mean[2])
    assert np.ptp(across[:, 0]) == pytest.approx(2 * 0.6 / np.sqrt(2))
    assert np.ptp(along[:, 1]) == pytest.approx(2 * 0.6 / np.sqrt(2))
    assert lines(right, BLUE, "+") == [[[-0.9, 0.2]]]
    assert "2 trainings: $\\chi^2$ from 40.00 to 64.00, median 52.00" in figure.get_suptitle()


def test_gan_figure_draws_histories_and_samples_of_all_trainings():
    figure = global_fit_gan.draw(gan_result())
    losses, accuracy, samples = figure.axes
    assert lines(losses, RED, "o") == [[[1, 0.7], [2, 0.9]], [[1, 0.7], [2, 1.9]]]
    assert lines(losses, BLUE, "o") == [[[1, 0.69], [2, 0.5]], [[1, 0.69], [2, 1.5]]]
    assert lines(accuracy, BLUE, "o") == [[[1, 0.5], [2, 0.75]], [[1, 0.5], [2, 0.85]]]
    assert lines(samples, GREEN, ".") == [[[-1.0, 0.1], [-0.5, 0.2]], [[-1.0, 1.1], [-0.5, 1.2]]]
    assert "1 × mode collapse, 1 × partial mode collapse" in figure.get_suptitle()


def test_posterior_figure_draws_regions_and_fit_contours(fit):
    edges = [[(-1.0, 0.0), (-0.5, 0.5), (-1.0, 0.0)], [(-2.0, 0.1), (-1.9, 0.2), (-2.0, 0.1)]]
    regions = [
        Region.model_construct(level=level, area_ratio=ratio, lines=[edge])
        for level, ratio, edge in zip((0.68, 0.95), (1.04, 1.5), edges, strict=True)
    ]
    posterior = EnsemblePosterior.model_construct(regions=regions, distance_in_errors=0.07)
    result = network_result(posterior=posterior)
    figure = global_fit_posterior.draw(result, fit)
    (axes,) = figure.axes
    assert lines(axes, RED) == [[list(point) for point in edge] for edge in edges]
    assert lines(axes, RED, "o") == [[[-1.2, 0.4]], [[-0.6, -0.2]]]
    drawn = lines(axes, BLUE)
    assert len(drawn) == len(fit.contours) == 2
    for points, contour in zip(drawn, fit.contours, strict=True):
        assert points[:-1] == [list(point) for point in zip(contour.c9, contour.c10, strict=True)]
        assert points[-1] == points[0]
    assert lines(axes, BLUE, "+") == [[[fit.c9, fit.c10]]]
    title = figure.legends[0].get_title().get_text()
    assert title == r"mine: modes 0.07$\sigma$ apart, 68 % area ratio 1.04"
    other = fit.model_copy(update={"version": "correlated"})
    with pytest.raises(UserError, match="version is correlated, but experimental for the network"):
        global_fit_posterior.draw(result, other)


def test_distinct_training_sets_are_drawn_as_densities():
    smeared = network_result(
        training_set=summary(values_per_coefficient=7),
        settings=InverseNetworkSettings(smeared=True),
    )
    shared = gan_result(training_set=summary(hadronic="shared"))
    figure = global_fit_training_sets.draw([network_result(), smeared, gan_result(), shared])
    (axes,) = figure.axes
    # network and GAN have the same training set; smeared predictions have none
    assert len(axes.patches) == 2
    for patch in axes.patches:
        density = patch.get_data()
        assert density.edges.tolist() == [38.5, 60.0, 100.0, 300.0]
        widths = np.diff(density.edges)
        assert density.values * widths == pytest.approx([0.2, 0.5, 0.3])
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == [
        f"{name}: 100 samples, minimum 38.50" for name in ("no polynomials", "common polynomial")
    ]
    with pytest.raises(UserError, match="no model is trained on a grid"):
        global_fit_training_sets.draw([smeared])


def test_training_images_are_drawn_above_generated_images():
    training, generated = np.random.default_rng(1).uniform(-0.2, 1.2, (2, 8, 8, 8))
    images = Images(training=training.tolist(), generated=generated.tolist())
    figure = global_fit_images.draw(gan_result(images=images))
    drawn = [axes.images[0] for axes in figure.axes if axes.images]
    assert np.array_equal([image.get_array() for image in drawn], [*training, *generated])
    # samples are scaled to the range of the training set
    assert {image.get_clim() for image in drawn} == {(0.0, 1.0)}
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert (titles[0], titles[8]) == ("training set", "generated")


def test_the_commands_record_their_inputs(fit, tmp_path, capsys):
    path = tmp_path / "fit.json"
    fit.save(path, make_record("fit_coefficients", path, {}))
    measurement = tmp_path / "measurement.json"
    measured = {"value": -0.84, "interval_68": [-0.88, None]}
    measurement.write_text(json.dumps({"coefficients": {"c9": measured}, "estimator": "fit"}))
    pdf, png = (str(tmp_path / f"contours.{suffix}") for suffix in ("pdf", "png"))
    arguments = ["plot", "global-fit-contours", "--fit", str(path), "--pdf", pdf, "--png", png]
    assert run(arguments) == 0
    record = read_record(png)
    assert record is not None
    assert record.rule == "plot_global_fit_contours"
    assert [file.path for file in record.inputs] == ["fit.json"]
    capsys.readouterr()
    assert run([*arguments, "--measurement", str(measurement)]) == 1
    assert "no value or no closed 68 % interval of δC9" in capsys.readouterr().err
