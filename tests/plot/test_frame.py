"""The words and axes of figures: numbers, titles, units, and the range of a logarithmic axis."""

from __future__ import annotations

import pytest

from kinetics.plot.frame import analyte_text, analyte_title, log_range, number_text, time_title
from kinetics.plot.persistence import plot_persistence
from kinetics.study.dictionary import NOT_DECLARED, Analyte
from kinetics.study.study import read_study
from tests.support.fits import theophylline_fit


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (float("nan"), "—"), (0.0, "0"), (24000.0, "24,000"), (0.0126, "0.0126"), (0.99964, "1.00"),
        (158.4, "158"), (15_187_654.0, "1.52 × 10⁷"), (-0.0281, "−0.0281"), (999.96, "1,000"),
        (1e-7, "1.00 × 10⁻⁷"), (float("inf"), "∞"), (5.0, "5.00"),
    ],
)  # fmt: skip
def test_numbers_have_three_significant_digits(x, text):
    assert number_text(x) == text


def test_a_set_number_is_shown_as_it_was_set():
    assert [number_text(x, trim=True) for x in (50.0, 0.5, 1e8, 1000.0)] == ["50", "0.5", "1 × 10⁸", "1,000"]


def test_an_oral_dose_is_not_called_an_infusion():
    assert time_title(theophylline_fit().study) == "Time since first dose (days)"


@pytest.mark.parametrize(
    ("assay", "site", "said"),
    [
        ("qpcr", "bone_marrow", "CAR cells, qPCR in bone marrow"),
        (NOT_DECLARED, "blood", "CAR cells, blood"),
        ("flow", NOT_DECLARED, "CAR cells, flow"),
        (NOT_DECLARED, NOT_DECLARED, "CAR cells"),
    ],
)
def test_an_assay_or_site_that_nobody_declared_is_not_spoken_of(assay, site, said):
    assert analyte_text(Analyte(label="CAR cells", assay=assay, site=site, unit="cells/uL")) == said


def test_the_axis_of_a_table_that_says_its_unit_alone_has_its_name_and_the_unit(tmp_path):
    file = tmp_path / "pk.csv"
    file.write_text("ID,TIME,DV,AMT,EVID\n1,0,.,100,1\n1,1,5.0,.,0\n1,9,2.0,.,0\n")
    told = {"time_unit": "h", "dose_unit": "mg", "analyte": "drug", "route": "oral", "product": "drug"}
    axis = plot_persistence(read_study(file, value_unit="mg/L", **told), "drug").layout.yaxis.title.text
    assert axis == "drug (mg/L)"
    assert (
        analyte_title(read_study(file, value_unit="1", **told), "drug") == "drug"
    )  # a pure number: no brackets


def test_a_log_axis_holds_every_positive_value():
    low, high = log_range([0.0, 3.0, 4000.0, float("nan")])
    assert low < 3.0
    assert high > 4000.0
    assert log_range([]) == (0.1, 10.0)
