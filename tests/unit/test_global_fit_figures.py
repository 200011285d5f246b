"""Figures of the global fit, on made-up predictions."""

import json

import numpy as np
import pytest
from matplotlib.colors import to_hex
from toy_global_fit import toy_table

from wilsonvox.cli import run
from wilsonvox.errors import UserError
from wilsonvox.figures import (
    global_fit_best_sample,
    global_fit_contours,
    global_fit_observables,
)
from wilsonvox.figures.style import BLUE, GREEN
from wilsonvox.globalfit.answers import Answers
from wilsonvox.globalfit.fits import CoefficientFit, fit_coefficients
from wilsonvox.globalfit.learning_results import Coefficients, GanResult, TrainingSetSummary
from wilsonvox.globalfit.predictions import PredictionTable
from wilsonvox.globalfit.settings import TrainingSetSettings
from wilsonvox.provenance import make_record, read_record


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
