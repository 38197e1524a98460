"""Persistence: panels of two products, infusions, limits that no line is drawn along, titles in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from plotly.graph_objects import Figure

from kinetics.plot.frame import _lines, analyte_label, value_axis
from kinetics.plot.persistence import persistence_points, plot_persistence
from kinetics.plot.records import subject_lines
from kinetics.study.dictionary import Analyte
from kinetics.study.study import Study, read_study
from tests.support.figures import annotation, traces

TWO = "nkg2d_phase1_synthetic"
ONE = "synthetic_cart_12"


def table(tmp_path: Path, rows: str, **options: object) -> Study:
    """A study of one table of cells/uL."""
    file = tmp_path / "pk.csv"
    file.write_text("ID,TIME,EVID,AMT,DV,CENS\n" + rows)
    columns = {"time_unit": "day", "dose_unit": "cells", "value_unit": "cells/uL", "route": "iv"}
    return read_study(file, **(columns | {"analyte": "car_cells", "product": "car_t"} | options))


def panels(figure: Figure) -> int:
    return len({trace.yaxis or "y" for trace in figure.data if trace.meta["role"] == "records"})


def test_two_products_have_a_panel_for_each_dose_unless_one_is_asked_for() -> None:
    study = read_study(TWO)
    assert panels(plot_persistence(study, "car_copies")) == 3
    assert panels(plot_persistence(study, "car_copies", by="sex")) == 3
    assert panels(plot_persistence(study, "car_copies", facet="none")) == 1
    assert panels(plot_persistence(study, "tumour_biopsy")) == 1  # five records need no panels
    assert panels(plot_persistence(read_study(ONE), "car_copies")) == 1
    assert "dose_level" in persistence_points(study, "car_copies", by="sex")
    assert "dose_level" not in persistence_points(study, "car_copies", by="sex", facet="none")


@pytest.mark.parametrize("facet", [None, "none"])
def test_every_infusion_up_to_the_last_record_is_marked_with_its_product(facet: str | None) -> None:
    study = read_study(TWO)
    figure = plot_persistence(study, "car_copies", facet=facet)
    given = study.doses["product"].value_counts()
    for product in ("car_nk", "car_t"):
        marks = [t for t in traces(figure, "infusions") if t.meta["product"] == product]
        assert sum(x is not None for t in marks for x in t.x) == given[product]
        assert len({t.marker.symbol for t in marks}) == 1
    named = [t.name for t in traces(figure, "infusions") if t.showlegend]
    assert named == ["CAR-NK infusion", "CAR-T infusion"]
    highest = max(float(np.max(t.y)) for t in traces(figure, "records"))
    assert all(min(t.y) > highest for t in traces(figure, "infusions"))
    top = 10 ** figure.layout.yaxis.range[1]
    assert all(max(t.y) < top for t in traces(figure, "infusions"))


def test_an_oral_drug_has_doses_and_no_infusions() -> None:
    names = [
        t.name for t in traces(plot_persistence(read_study("theophylline"), "theophylline"), "infusions")
    ]
    assert names == ["drug dose"]


def test_no_line_runs_along_a_limit(tmp_path: Path) -> None:
    rows = "1,0,1,1e8,.,0\n1,1,0,.,50,1\n1,2,0,.,50,1\n1,3,0,.,900,0\n1,4,0,.,5000,-1\n1,5,0,.,5000,-1\n"
    figure = plot_persistence(table(tmp_path, rows), "car_cells")
    line = next(t for t in traces(figure, "lines") if len(t.x) > 1)
    pairs = zip(line.y[:-1], line.y[1:], strict=True)
    assert not [pair for pair in pairs if pair[0] == pair[1]]
    assert [y for y in line.y if not np.isnan(y)] == [50, 50, 900, 5000, 5000]


def test_the_lloq_and_the_uloq_have_different_dashes(tmp_path: Path) -> None:
    figure = plot_persistence(read_study(TWO), "il6")
    dashes = {role: {t.line.dash for t in traces(figure, role)} for role in ("lloq", "uloq")}
    if dashes["uloq"]:
        assert dashes["lloq"].isdisjoint(dashes["uloq"])
    rows = "1,0,1,1e8,.,0\n1,1,0,.,50,1\n1,3,0,.,900,0\n1,4,0,.,5000,-1\n"
    figure = plot_persistence(table(tmp_path, rows), "car_cells")
    (low,) = traces(figure, "lloq")
    (high,) = traces(figure, "uloq")
    assert low.line.dash != high.line.dash


def test_the_size_of_a_tumour_has_a_linear_axis_unless_a_log_one_is_asked_for() -> None:
    study = read_study(TWO)
    assert plot_persistence(study, "lesions").layout.yaxis.type == "linear"
    assert plot_persistence(study, "lesions", log=True).layout.yaxis.type == "log"
    assert plot_persistence(study, "car_copies").layout.yaxis.type == "log"
    assert plot_persistence(study, "lesions").layout.yaxis.range[0] == 0


def test_the_legend_shows_points_where_no_subject_has_a_line() -> None:
    figure = plot_persistence(read_study(TWO), "tumour_biopsy", by="dose_level")
    assert {t.mode for t in traces(figure, "lines")} == {"markers"}
    assert {t.mode for t in traces(plot_persistence(read_study(ONE), "car_copies"), "lines")} == {"lines"}


def test_a_long_axis_title_is_broken_and_its_unit_stays_whole() -> None:
    figure = plot_persistence(read_study(TWO), "tumour_biopsy")
    lines = figure.layout.yaxis.title.text.split("<br>")
    assert len(lines) == 2
    assert lines[-1].endswith("(fraction)")
    assert figure.layout.margin.l > plot_persistence(read_study(ONE), "car_copies").layout.margin.l
    assert _lines("CAR transgene in blood (copies/µg DNA)", 60)[-1] == "(copies/µg DNA)"


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("car_copies", "CAR copies"),
        ("il6", "IL-6"),
        ("nk_cells", "NK cells"),
        ("tumour_load", "tumour load"),
        ("drug", "drug"),
        ("CAR transgene, both", "CAR transgene, both"),
    ],
)
def test_a_label_that_is_a_column_name_is_written_in_words(label: str, words: str) -> None:
    assert analyte_label(Analyte(label=label, assay="qpcr", site="blood", unit="cells/uL")) == words


def test_the_title_has_no_column_name(tmp_path: Path) -> None:
    study = table(tmp_path, "1,0,1,1e8,.,0\n1,1,0,.,50,0\n1,3,0,.,900,0\n")
    figure = plot_persistence(study, "car_cells")
    assert "CAR cells" in figure.layout.title.text
    assert "_" not in figure.layout.title.text + figure.layout.yaxis.title.text


def test_the_legends_leave_the_figure_its_width() -> None:
    layout = plot_persistence(read_study(ONE), "car_copies").layout
    assert (layout.legend.orientation, layout.legend2.orientation) == ("h", "h")
    assert layout.margin.r < 40
    assert "SYNTHETIC DATA" in annotation(plot_persistence(read_study(TWO), "car_copies"), "labels")


def test_an_axis_has_its_numbers_in_one_style() -> None:
    assert value_axis((1e-5, 1e5), log=True)["labelalias"]["1"] == "10<sup>0</sup>"
    assert "labelalias" not in value_axis((1e-2, 1e5), log=True)
    assert value_axis((1e-2, 1e5), log=True, powers=True)["exponentformat"] == "power"


def test_a_gap_separates_two_zeros_too() -> None:
    study = read_study(ONE)
    drawn = persistence_points(study, "car_copies").rename(columns={"drawn_at": "y"}).head(3)
    drawn = drawn.assign(subject="S01", kind="zero", y=1.0)
    assert np.isnan(subject_lines(drawn)["y"]).sum() == 2
