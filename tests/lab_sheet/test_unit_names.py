"""Units as headers write them."""

from __future__ import annotations

import pytest

from kinetics.lab_sheet.unit_names import split_unit, unit_named


@pytest.mark.parametrize(
    ("header", "label", "unit"),
    [
        ("BCMA [pg/mL]", "BCMA", "pg/mL"), ("Weight, kg", "Weight", "kg"), ("weight_kg", "weight", "kg"),
        ("CD3_CAR_%", "CD3_CAR", "%"), ("CAR (copies/µg gDNA)", "CAR", "copies/ug DNA"),
        ("Dose (x10^6 cells/kg)", "Dose", "1e6 cells/kg"), ("Dose [×10⁶/kg]", "Dose", "1e6 cells/kg"),
        ("WBC (10^9/L)", "WBC", "1e9 cells/L"), ("CAR-T (qPCR, copies/µg)", "CAR-T (qPCR)", "copies/ug DNA"),
        ("qPCR copies/ug DNA", "qPCR", "copies/ug DNA"), ("Age (years)", "Age", "year"),
        ("CD3_abs", "CD3_abs", None), ("CAR T cells", "CAR T cells", None), ("D7", "D7", None),
    ],
)  # fmt: skip
def test_a_header_has_its_unit(header, label, unit):
    assert split_unit(header) == (label, unit)


@pytest.mark.parametrize("text", ["10E6 cells", "G/L", "IU/mL", "log10 copies/ug DNA", "copies"])
def test_a_doubtful_unit_is_none(text):
    assert unit_named(text) is None
