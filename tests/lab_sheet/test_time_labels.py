"""Times in the words of a sheet."""

from __future__ import annotations

import pytest

from kinetics.lab_sheet.time_labels import time_label


@pytest.mark.parametrize(
    ("text", "days", "rest"),
    [
        ("D7", 7, ""), ("Day 7", 7, ""), ("d-7", -7, ""), ("Day −1", -1, ""), ("D+14", 14, ""),
        ("14d", 14, ""),
        ("2 weeks", 14, ""), ("Wk4", 28, ""), ("M2", 60.875, ""), ("6 m", 182.625, ""), ("24 h", 1, ""),
        ("Day 14 post infusion", 14, ""), ("Days after infusion | 7", 7, ""), ("CRP_d-7", -7, "CRP"),
        ("il6_d1-0300", 1.125, "il6"), ("qPCR | D0", 0, "qPCR"), ("30 day response", 30, "response"),
        ("CAR T cells D7", 7, "CAR T cells"), ("Tag 3", 3, ""),
    ],
)  # fmt: skip
def test_a_label_has_its_time(text, days, rest):
    label = time_label(text)
    assert label is not None
    assert (label.days, label.rest) == (pytest.approx(days), rest)


@pytest.mark.parametrize("text", ["CD3_abs", "CD19", "IL-6", "copies", "Week 1 Day 3", "C1D8", "B_cells_abs"])
def test_a_label_without_a_time_has_none(text):
    assert time_label(text) is None
