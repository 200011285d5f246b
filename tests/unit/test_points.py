import numpy as np
import pytest

from wilsonvox.errors import UserError
from wilsonvox.points import COEFFICIENTS, parse_point, point_label, shift_vector

LABELS = {
    "c9_-0.90": {"c9": -0.9},
    "c9_+0.00": {"c9": 0.0},
    "c9_-0.125": {"c9": -0.125},
    "c9_+10.00": {"c9": 10.0},
    "c7_+0.05__c9_-0.90": {"c7": 0.05, "c9": -0.9},
    "c9p_+0.50": {"c9p": 0.5},
    "c10_-1.00__c10p_+1.00": {"c10": -1.0, "c10p": 1.0},
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
     "c9_-0.90__c7_+0.05", "c9_-0.90__c9_-0.90", "c9_-0.90 "],
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
