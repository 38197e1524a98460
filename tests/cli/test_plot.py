"""`kinetics plot`: persistence curves of a study, and the points drawn in them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from kinetics.plot.grouping import group_subjects
from kinetics.plot.persistence import persistence_points, plot_persistence
from kinetics.study.study import read_study
from tests.support.commands import call

STUDY = "synthetic_cart_12"


def test_one_command_draws_every_analyte_and_writes_its_points(tmp_path: Path) -> None:
    said = call("plot", STUDY, "--out", tmp_path / "figures", "--json").json()
    files = [
        str(tmp_path / "figures" / f"persistence_{analyte}{ending}")
        for analyte in ("car_copies", "car_cells")
        for ending in (".html", "_points.csv")
    ]
    assert said["files"] == files
    assert sorted(map(str, (tmp_path / "figures").iterdir())) == sorted(files)


def test_a_table_drawn_beside_itself_is_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "pk.csv"
    file.write_text("ID,TIME,EVID,AMT,DV\n1,0,1,1e8,.\n1,7,0,.,10000\n1,14,0,.,4000\n")
    before = file.read_bytes()
    told = "--time-unit day --dose-unit cells --value-unit cells/uL --analyte x --route iv --product car_t"
    said = call("plot", file, *told.split(), "--out", tmp_path / "pk.html")
    assert said.code == 0
    assert file.read_bytes() == before
    assert (tmp_path / "pk_points.csv").is_file()


def test_the_points_are_the_records_as_drawn(tmp_path: Path) -> None:
    out = tmp_path / "x.html"
    said = call(
        "plot", STUDY, "--analyte", "car_copies", "--by", "sex", "--facet", "dose_level", "--out", out
    )
    assert said.code == 0
    points = pd.read_csv(tmp_path / "x_points.csv")
    study = read_study(STUDY)
    records = study.observed("car_copies")
    assert points["drawn_at"].tolist() == records["value"].tolist()
    below = points["kind"] == "below"
    assert below.sum() == 42
    assert set(points["value"][below]) == {"< 50"}
    assert points["sex"].tolist() == records["subject"].map(group_subjects(study, "sex")).astype(str).tolist()
    assert points["dose_level"].nunique() == 4


@pytest.mark.parametrize(("facet", "panels"), [("dose_level", 4), ("subject", 12), ("product", 1)])
def test_each_group_has_a_panel_with_its_own_records_and_a_group_is_in_the_legend_once(
    facet: str, panels: int
) -> None:
    study = read_study(STUDY)
    figure = plot_persistence(study, "car_copies", by="sex", facet=facet)
    axes = {trace.yaxis or "y" for trace in figure.data if trace.meta["role"] == "records"}
    assert len(axes) == panels
    drawn = sum(len(trace.x) for trace in figure.data if trace.meta["role"] == "records")
    assert drawn == len(study.observed("car_copies"))
    names = [t.name for t in figure.data if t.meta["role"] == "lines" and t.showlegend]
    assert sorted(names) == ["female", "male"]


def test_a_study_of_two_products_is_drawn_by_product() -> None:
    study = read_study("nkg2d_phase1_synthetic")
    groups = group_subjects(study, "product")
    assert groups.value_counts().to_dict() == {"CAR-NK, then CAR-T": 11, "CAR-NK": 1}
    points = persistence_points(study, "car_copies", by="product")
    assert set(points["product"]) == {"CAR-NK, then CAR-T", "CAR-NK"}


def test_a_value_above_the_uloq_is_labelled_as_a_lower_bound(tmp_path: Path) -> None:
    file = tmp_path / "above.csv"
    file.write_text("ID,TIME,EVID,AMT,DV,CENS\n1,0,1,1e8,.,0\n1,7,0,.,10000,-1\n1,14,0,.,4000,0\n")
    told = {"time_unit": "day", "dose_unit": "cells", "value_unit": "cells/uL", "analyte": "car_cells"}
    study = read_study(file, route="iv", product="car_t", **told)
    assert persistence_points(study, "car_cells")["value"].tolist() == [">= 10000", "4000"]
    figure = plot_persistence(study, "car_cells")
    texts = [text for trace in figure.data if trace.meta["role"] == "records" for text in trace.text]
    assert any(">= 10,000 cells/µL" in text for text in texts)
    assert "1 above the ULOQ (>=)" in figure.layout.title.subtitle.text


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--analyte", "car_copiess"], "did you mean 'car_copies'?"),
        (["--facet", "dose_levl"], "did you mean 'dose_level'?"),
        (["--by", "sexx"], "did you mean 'sex'?"),
        (["--out", "x.html"], "2 analytes and one file; choose one (--analyte car_copies)"),
        (["--analyte", "car_copies", "--out", "x.jpg"], "end it with one of .html"),
    ],
)
def test_a_wrong_plot_is_refused_before_anything_is_written(
    options: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = call("plot", STUDY, *options)
    assert said.code == 1
    assert says in said.err
    assert list(tmp_path.iterdir()) == []
