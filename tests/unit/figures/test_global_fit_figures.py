"""Figures of the global fit, on made-up predictions."""

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
from wilsonvox.global_fit.learning.answers import Answers
from wilsonvox.global_fit.learning.results import (
    Coefficients,
    Coverage,
    EnsemblePosterior,
    GanAnswer,
    GanResult,
    Images,
    NetworkAnswer,
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


def answers(name: str, kind: str, c9: list[float]) -> Answers:
    each = [{"c9": value, "c10": 0.1, "chi_squared": 40.0} for value in c9]
    return Answers.model_validate(
        {"name": name, "kind": kind, "observables": "lhcb-2015", "hadronic": "none",
         "answers": each, "more": "than is drawn"}
    )  # fmt: skip


def test_observables_have_a_panel_for_each_kind(table, fit):
    figure = global_fit_observables.draw(table, fit)
    assert len(figure.axes) == 8
    boxes = [len(axes.patches) for axes in figure.axes]
    assert boxes == [6, 6, 6, 6, 4, 6, 1, 2]
    # the box is the prediction without shifts ± the theory's error
    box = figure.axes[6].patches[0]
    place = table.observables.kinds.index("R_K")
    error = np.sqrt(table.theory_covariance[place, place])
    assert box.get_height() == pytest.approx(2 * error)
    assert box.get_y() + error == pytest.approx(table(0, 0)[0, place])
    other = fit.model_copy(update={"fitted": fit.fitted[:-1], "observables": "mine"})
    with pytest.raises(UserError, match="of the set mine, the table of lhcb-2015; give a fit"):
        global_fit_observables.draw(table, other)


def heights(axes, colour: str) -> list[float]:
    """Where the lines of a colour lie."""
    return [
        float(segment[0, 1])
        for collection in axes.collections
        if to_hex(collection.get_color()[0]).upper() == colour
        for segment in collection.get_segments()
    ]


def test_best_samples_are_predictions_of_their_coefficients(table):
    """Of a GAN with shared polynomials: 0.01 + 0.002 q² − 0.0005 q⁴ are added to all."""
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
    place = table.observables.kinds.index("R_K")
    axes = figure.axes[6]
    assert heights(axes, GREEN) == pytest.approx([table(-0.9, 0.3)[0, place]])
    q2 = 3.5
    correction = 0.01 + 0.002 * q2 - 0.0005 * q2**2
    assert heights(axes, BLUE) == pytest.approx([table(-1.2, 0.1)[0, place] + correction])
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert any("best generated of 3 starts" in each and "= 38.2" in each for each in texts)
    other = result.model_copy(update={"observables": "mine"})
    with pytest.raises(UserError, match="are to the set mine, the table is of lhcb-2015; give"):
        global_fit_best_sample.draw(table, other)


def test_contours_show_machines_by_kind_and_count_those_outside(fit):
    networks = answers("net", "network", [-0.5, -0.6, -5.0])
    gans = answers("gan", "gan", [-0.7])
    measured = global_fit_contours.MeasuredC9("voxel-sum", -0.84, -0.88, -0.80)
    figure = global_fit_contours.draw([fit], [networks, gans], measured)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[2:] == ["Networks", "GANs"]
    texts = [text.get_text() for text in figure.axes[2].get_legend().get_texts()]
    assert texts == ["fit", "net (1 of 3 outside)"]
    generated = [(-1.0, 0.2, 50.0), (-1.5, 0.4, 60.0)]
    sampled = answers("sampled", "gan", [-0.7, -0.8])
    sampled = sampled.model_copy(
        update={"answers": [a.model_copy(update={"samples": generated}) for a in sampled.answers]}
    )
    panel = global_fit_contours.draw([fit], [sampled]).axes[2]
    (dots,) = (each for each in panel.lines if each.get_marker() == ".")
    assert dots.get_xydata().tolist() == [[-1.0, 0.2], [-1.5, 0.4]] * 2
    line = next(each for each in figure.axes[0].lines if len(each.get_xdata()) > 10)
    assert np.array_equal(line.get_xdata()[:-1], fit.contours[0].c9)
    assert len(global_fit_contours.draw([fit]).axes) == 2
    shared = fit.model_copy(update={"hadronic": "shared"})
    with pytest.raises(UserError, match="none is without hadronic polynomials"):
        global_fit_contours.draw([shared])
    other = fit.model_copy(update={"observables": "lhcb-2022"})
    with pytest.raises(UserError, match=r"several sets of observables \(lhcb-2015, lhcb-2022\)"):
        global_fit_contours.draw([fit, other])


def summary(**settings) -> TrainingSetSummary:
    """Of a training set of 100 samples."""
    return TrainingSetSummary(
        settings=TrainingSetSettings(**settings),
        n_samples=100,
        best=Coefficients(c9=-0.9, c10=0.2, chi_squared=38.5),
        chi_squared_edges=[38.5, 60.0, 100.0, 300.0],
        chi_squared_counts=[20, 50, 30],
    )


def of_machine(answers: list, **more) -> dict:
    """What results of both kinds hold."""
    return {
        "name": "mine", "observables": "lhcb-2015", "version": "experimental", "hadronic": "none",
        "training_set": summary(), "spread": Spread.of(answers), "answers": answers,
    } | more  # fmt: skip


def network_result(**more) -> NetworkResult:
    """Two starts of a network, the second one dead."""
    answers = [
        NetworkAnswer(
            c9=c9, c10=c10, chi_squared=chi_squared, start=start, loss=[0.9, 0.5, 0.2 + start],
            validation_loss=[0.8, 0.6, 0.3 + start], best_epoch=3, is_constant=start == 1,
        )
        for start, (c9, c10, chi_squared) in enumerate([(-1.2, 0.4, 40.0), (-0.6, -0.2, 64.0)])
    ]  # fmt: skip
    words = {"settings": InverseNetworkSettings(), "posterior": None} | more
    return NetworkResult.model_construct(**of_machine(answers, **words))


def gan_result(**more) -> GanResult:
    """Two starts of a GAN, the second one collapsed."""
    answers = [
        GanAnswer.model_construct(
            c9=-1.1, c10=0.3, chi_squared=40.0 + start, start=start,
            generator_loss=[0.7, 0.9 + start], discriminator_loss=[0.69, 0.5 + start],
            discriminator_accuracy=[0.5, 0.75 + 0.1 * start],
            coverage=Coverage.model_construct(verdict=verdict),
            samples=[(-1.0, 0.1 + start, 50.0), (-0.5, 0.2 + start, 60.0)],
        )
        for start, verdict in enumerate(["partial mode collapse", "mode collapse"])
    ]  # fmt: skip
    words = {"settings": GanSettings(), "images": None} | more
    return GanResult.model_construct(**of_machine(answers, **words))


def lines(axes, colour: str, marker: str = "None") -> list[list[list[float]]]:
    """Points of the lines of a colour and marker, in the order in which they were drawn."""
    return [
        line.get_xydata().tolist()
        for line in axes.lines
        if line.get_color() == colour and line.get_marker() == marker
    ]


def test_losses_and_answers_of_a_network_are_those_of_its_starts():
    result = network_result()
    figure = global_fit_network.draw(result)
    left, right = figure.axes
    for colour, name in ((BLUE, "loss"), (RED, "validation_loss")):
        epochs = [list(enumerate(getattr(each, name), start=1)) for each in result.answers]
        assert lines(left, colour) == [[list(point) for point in each] for each in epochs]
    drawn = [line for line in right.lines if line.get_marker() == "o"]
    assert [line.get_xydata().tolist() for line in drawn] == [[[-1.2, 0.4]], [[-0.6, -0.2]]]
    # a dead network's answer is empty
    assert [line.get_markerfacecolor() for line in drawn] == [RED, "none"]
    (mean,) = right.containers
    assert mean[0].get_xydata() == pytest.approx(np.array([[-0.9, 0.1]]))
    (across,), (along,) = (bar.get_segments() for bar in mean[2])
    assert np.ptp(across[:, 0]) == pytest.approx(2 * 0.6 / np.sqrt(2))
    assert np.ptp(along[:, 1]) == pytest.approx(2 * 0.6 / np.sqrt(2))
    assert lines(right, BLUE, "+") == [[[-0.9, 0.2]]]
    assert "2 starts: $\\chi^2$ 40.00 to 64.00, median 52.00" in figure.get_suptitle()


def test_histories_of_a_gan_are_those_of_its_starts():
    figure = global_fit_gan.draw(gan_result())
    losses, accuracy, samples = figure.axes
    assert lines(losses, RED, "o") == [[[1, 0.7], [2, 0.9]], [[1, 0.7], [2, 1.9]]]
    assert lines(losses, BLUE, "o") == [[[1, 0.69], [2, 0.5]], [[1, 0.69], [2, 1.5]]]
    assert lines(accuracy, BLUE, "o") == [[[1, 0.5], [2, 0.75]], [[1, 0.5], [2, 0.85]]]
    assert lines(samples, GREEN, ".") == [[[-1.0, 0.1], [-0.5, 0.2]], [[-1.0, 1.1], [-0.5, 1.2]]]
    assert "1 × mode collapse, 1 × partial mode collapse" in figure.get_suptitle()


def test_a_posterior_is_drawn_with_its_regions_and_the_fits_contours(fit):
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
    found = lines(axes, BLUE)
    assert len(found) == len(fit.contours) == 2
    for points, contour in zip(found, fit.contours, strict=True):
        assert points[:-1] == [list(point) for point in zip(contour.c9, contour.c10, strict=True)]
        assert points[-1] == points[0]
    assert lines(axes, BLUE, "+") == [[[fit.c9, fit.c10]]]
    title = figure.legends[0].get_title().get_text()
    assert title == "mine: modes 0.07 errors apart, 68 % area × 1.04"
    other = fit.model_copy(update={"version": "correlated"})
    with pytest.raises(UserError, match="its version is correlated, that of the network experi"):
        global_fit_posterior.draw(result, other)


def test_training_sets_are_drawn_once_each_as_densities():
    smeared = network_result(
        training_set=summary(values_per_coefficient=7),
        settings=InverseNetworkSettings(smeared=True),
    )
    shared = gan_result(training_set=summary(hadronic="shared"))
    figure = global_fit_training_sets.draw([network_result(), smeared, gan_result(), shared])
    (axes,) = figure.axes
    # the GAN learned what the network did, and what is smeared has no samples
    assert len(axes.patches) == 2
    for patch in axes.patches:
        density = patch.get_data()
        assert density.edges.tolist() == [38.5, 60.0, 100.0, 300.0]
        widths = np.diff(density.edges)
        assert density.values * widths == pytest.approx([0.2, 0.5, 0.3])
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == [
        f"{words}: 100 samples, least $\\chi^2$ 38.50"
        for words in ("no polynomials", "one polynomial for all")
    ]
    with pytest.raises(UserError, match="no machine that learns from a grid"):
        global_fit_training_sets.draw([smeared])


def test_images_are_those_of_the_training_set_above_and_generated_ones_below():
    training, generated = np.random.default_rng(1).uniform(-0.2, 1.2, (2, 8, 8, 8))
    images = Images(training=training.tolist(), generated=generated.tolist())
    figure = global_fit_images.draw(gan_result(images=images))
    drawn = [axes.images[0] for axes in figure.axes if axes.images]
    assert np.array_equal([image.get_array() for image in drawn], [*training, *generated])
    # the scale is that of the training set
    assert {image.get_clim() for image in drawn} == {(0.0, 1.0)}
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert (titles[0], titles[8]) == ("training set", "generated")


def test_the_commands_record_what_they_drew(fit, tmp_path, capsys):
    path = tmp_path / "fit.json"
    fit.save(path, make_record("fit_coefficients", path, {}))
    measurement = tmp_path / "measurement.json"
    measured = {"value": -0.84, "interval_68": [-0.88, None]}
    measurement.write_text(json.dumps({"coefficients": {"c9": measured}, "estimator": "fit"}))
    pdf, png = (str(tmp_path / f"contours.{suffix}") for suffix in ("pdf", "png"))
    words = ["plot", "global-fit-contours", "--fit", str(path), "--pdf", pdf, "--png", png]
    assert run(words) == 0
    record = read_record(png)
    assert record is not None
    assert record.rule == "plot_global_fit_contours"
    assert [each.path for each in record.inputs] == ["fit.json"]
    capsys.readouterr()
    assert run([*words, "--measurement", str(measurement)]) == 1
    assert "no value or no closed 68 % interval of δC9" in capsys.readouterr().err
