import numpy as np
import pytest

from wilsonvox.core.errors import UserError
from wilsonvox.theory.points import (
    COEFFICIENTS,
    PARAMETERS,
    is_sampled,
    parameter_values,
    parse_point,
    parse_shift,
    point_label,
    set_parameter,
    shift_vector,
)
from wilsonvox.theory.sobol import sampled_label, sobol_points

LABELS = {
    "c9_-0.90": {"c9": -0.9},
    "c9_+0.00": {"c9": 0.0},
    "c9_-0.125": {"c9": -0.125},
    "c9_+10.00": {"c9": 10.0},
    "c7_+0.05__c9_-0.90": {"c7": 0.05, "c9": -0.9},
    "c9p_+0.50": {"c9p": 0.5},
    "c10_-1.00__c10p_+1.00": {"c10": -1.0, "c10p": 1.0},
    "c9_-0.90+0.30i": {"c9": -0.9 + 0.3j},
    "c7_+0.00-0.125i__c9_-0.90": {"c7": -0.125j, "c9": -0.9},
}


@pytest.mark.parametrize(("label", "shifts"), LABELS.items())
def test_labels_and_shifts_are_inverse(label, shifts):
    assert point_label(shifts) == label
    assert parse_point(label) == shifts


def test_label_has_the_order_of_the_contract_and_no_negative_zero():
    assert point_label({"c9": -0.0, "c7": 0.05}) == "c7_+0.05__c9_+0.00"
    assert point_label({"c9": 1e-5}) == "c9_+0.00001"


@pytest.mark.parametrize(
    "label",
    ["", "c9", "c9_0.90", "c9_-0.9", "c9_-.90", "c8_-0.90", "c9_-0.900", "c9_-0.90__", "c9_-0.00",
     "c9_-0.90__c7_+0.05", "c9_-0.90+0.00i", "c9_-0.90+0.3i", "c9_+0.30i",
     "c9_-0.90__c9_-0.90", "c9_-0.90 "],
)  # fmt: skip
def test_malformed_labels_are_refused_with_the_right_form(label):
    with pytest.raises(UserError, match=r"c9_-0\.90"):
        parse_point(label)


def test_label_of_unknown_or_no_coefficient_is_refused():
    with pytest.raises(UserError, match=r"unknown coefficient.*c8.*known are c7, c9"):
        point_label({"c8": 1.0})
    with pytest.raises(UserError, match="at least one"):
        point_label({})


def test_shift_vector_stands_in_the_order_of_coefficients():
    vector = shift_vector({"c9": -0.9, "c7p": 0.1})
    assert vector.dtype == np.complex128
    assert dict(zip(COEFFICIENTS, vector, strict=True)) == {
        "c7": 0, "c9": -0.9, "c10": 0, "c7p": 0.1, "c9p": 0, "c10p": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "value"),
    [("-0.9", -0.9), ("0.3i", 0.3j), ("-0.9+0.3i", -0.9 + 0.3j), (" 1e-2 - 2i ", 0.01 - 2j)],
)
def test_shifts_as_people_write_them(text, value):
    found = parse_shift(text)
    assert found == value
    assert isinstance(found, float) == (complex(value).imag == 0)


@pytest.mark.parametrize("text", ["", "c9", "0.3j", "nan", "inf", "two"])
def test_what_is_no_shift_is_refused(text):
    with pytest.raises(UserError, match=r"-0\.9\+0\.3i"):
        parse_shift(text)


def test_real_parameters_of_shifts():
    shifts = {"c9": -0.9 + 0.3j, "c10p": 2.0}
    assert len(PARAMETERS) == 12
    values = dict(zip(PARAMETERS, parameter_values(shift_vector(shifts)), strict=True))
    assert {name: value for name, value in values.items() if value} == {
        "c9": -0.9, "c9_imaginary": 0.3, "c10p": 2.0,
    }  # fmt: skip
    set_parameter(shifts, "c9_imaginary", 0.0)
    set_parameter(shifts, "c7", 0.1)
    assert shifts == {"c9": -0.9, "c10p": 2.0, "c7": 0.1}
    assert isinstance(shifts["c9"], float)


def test_a_sampled_label_is_told_apart_and_has_no_shifts():
    assert is_sampled(sampled_label(17))
    assert not any(map(is_sampled, ("sobol_17", "c9_-0.90", "sobol_0017 ", "sobol_00017a")))
    with pytest.raises(UserError, match=r"sobol_0017.*does not contain its shifts"):
        parse_point("sobol_0017")


def test_sobol_points_are_the_sequence_and_more_change_none():
    box = {"c10": (-1.0, 1.0), "c7": (-0.1, 0.1), "c9": (-2.0, 1.0)}
    points = sobol_points(box, 8)
    assert list(points[0]) == ["c7", "c9", "c10"]
    # the lower corner, the centre, and Joe and Kuo's third point (3/4, 1/4, 1/4)
    assert [list(each.values()) for each in points[:3]] == [
        [-0.1, -2.0, -1.0], [0.0, -0.5, 0.0], pytest.approx([0.05, -1.25, -0.5]),
    ]  # fmt: skip
    for number, first in ((8, 0), (3, 5), (1, 7), (1, 0)):
        assert sobol_points(box, number, first) == sobol_points(box, 50)[first : first + number]
    unit = np.array([list(each.values()) for each in sobol_points(box, 64)])
    scaled = (unit - [-0.1, -2, -1]) / [0.2, 3, 2]
    for column in scaled.T:
        # each half, quarter, … of each axis has its share
        assert sorted(np.round(column * 64)) == list(range(64))
