"""Nucleated-cell counts in the qPCR assay: copies per ug DNA of the same cells rise as leukocytes fall."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from pandas import DataFrame, read_csv

import kinetics as kn
from kinetics.errors import PlanError, StudyError
from kinetics.plan.binding import BoundFit, bind, describe_records
from kinetics.plan.plan import plan_of
from kinetics.prediction.curves import population_curve
from kinetics.prediction.records import predicted_records
from kinetics.solve.solving import solve
from kinetics.units import copies_per_ug_to_cells_per_uL
from tests.support.fits import prior_fit

SUBJECTS = "subject,weight_kg\nP1,70\nP2,60\nP3,80\n"
DOSES = "subject,time,product,route,cells,duration,cycle\n" + "".join(
    f"P{i},0,car_t,iv,1e8,0,1\n" for i in (1, 2, 3)
)
DICTIONARY = """title = "SYNTHETIC counts"
source = "tests/assay/test_qpcr.py"
licence = "CC0-1.0"
synthetic = true
[analytes.car_copies]
label = "CAR transgene"
assay = "qpcr"
site = "blood"
unit = "copies/ug DNA"
[analytes.wbc]
label = "leukocytes"
assay = "counter"
site = "blood"
unit = "1e9 cells/L"
[analytes.il6]
label = "IL-6"
assay = "elisa"
site = "serum"
unit = "pg/mL"
[columns.subjects]
weight_kg = { unit = "kg" }
[columns.doses]
time = { unit = "day" }
duration = { unit = "h" }
[columns.observations]
time = { unit = "day" }
"""
COUNTS = {"P1": {0: 0.1, 10: 1.0, 20: 4.0}, "P2": {5: 2.0}, "P3": {0: 0.5, 30: 5.0}}  # 1e9/L
COPIES = (3.0, 10.0, 15.0, 28.0)


def study(folder: Path, *, drop: tuple[str, ...] = (), row: bool = False) -> Path:
    rows = [(s, t, "car_copies", 1000.0 + t) for s in COUNTS for t in COPIES]
    rows += [(s, t, "wbc", v) for s, counts in COUNTS.items() if s not in drop for t, v in counts.items()]
    rows += [("P1", 3.0, "il6", 5.0)]
    table = DataFrame(rows, columns=["subject", "time", "analyte", "value"])
    if row:
        own = table["analyte"].eq("car_copies") & ~table["subject"].isin(drop)
        table["nucleated_cells_per_uL"] = (500.0 + 100.0 * table["time"]).where(own)
    folder.mkdir(exist_ok=True)
    table.to_csv(folder / "observations.csv", index=False)
    for name, text in (("subjects.csv", SUBJECTS), ("doses.csv", DOSES), ("dictionary.toml", DICTIONARY)):
        (folder / name).write_text(text)
    return folder


def plan(folder: Path, **observe: Any) -> Any:
    counts = {"output": "cells", "nucleated_cells": "wbc", "vcn": 2.0} | observe
    return plan_of({
        "model": "ogasawara_2021", "data": str(folder), "vary": ["cmax"],
        "fixed": {"nucleated_per_vcn": 1000.0}, "observe": {"car_copies": counts},
    })  # fmt: skip


def typical(bound: BoundFit, **own: float) -> dict[str, Any]:
    medians = {k: p.median for k, p in bound.priors().items()} | own
    n = len(bound.subjects)
    return {k: jax.numpy.asarray(v, float) for k, v in medians.items()} | {"eta_cmax": jax.numpy.zeros(n)}


def test_copies_are_cells_over_the_counts_of_the_day(tmp_path: Path) -> None:
    bound = bind(plan(study(tmp_path / "s")))
    s = typical(bound)
    read = np.asarray(bound.predicted(s, bound.data)["car_copies"])
    model = kn.load_model("ogasawara_2021")
    p = {k: np.full(3, v) for k, v in model.typical().items()}
    cells = solve(model, bound.data.observations.time, p, bound.data.doses)["cells"]
    by_day = {
        "P1": np.interp(COPIES, [0, 10, 20], np.log([100.0, 1000.0, 4000.0])),
        "P2": np.log([2000.0] * 4),
        "P3": np.interp(COPIES, [0, 30], np.log([500.0, 5000.0])),
    }
    expected = np.asarray(cells) * 1e6 / 6.6 * 2.0 / np.exp([by_day[k] for k in ("P1", "P2", "P3")])
    np.testing.assert_allclose(read, expected, rtol=1e-10)


def test_with_the_golden_count_the_golden_ratio_comes_back(tmp_path: Path) -> None:
    """T9: 24,000 copies/ug at 1000 nucleated cells/uL and VCN 1 are 158.4 cells/uL."""
    bound = bind(plan(study(tmp_path / "s"), vcn=1.0))
    (assay,) = bound.assays
    day = np.full((3, 1), 10.0)
    np.testing.assert_allclose(assay.reading({}, np.full((3, 1), 158.4), day)[0], 24000.0, rtol=1e-6)


def test_counts_in_the_records_own_rows(tmp_path: Path) -> None:
    bound = bind(plan(study(tmp_path / "s", row=True), nucleated_cells="row"))
    (assay,) = bound.assays
    times = bound.data.observations.time
    per_cell = np.asarray(assay.reading({}, np.ones_like(times), times))
    np.testing.assert_allclose(per_cell, 1e6 / 6.6 * 2.0 / (500.0 + 100.0 * np.asarray(times)), rtol=1e-6)


def test_vector_copies_may_be_a_site_and_reach_every_later_room(tmp_path: Path) -> None:
    folder = study(tmp_path / "s")
    fit = prior_fit(plan(folder, vcn={"median": 2.0, "sd": 0.3}))
    assert "vcn_car_copies" in fit.bound.priors()
    table = kn.parameter_table(fit).set_index("site")
    assert table.loc["vcn_car_copies", "kind"] == "vector copies per CAR+ cell"
    (assay,) = fit.bound.assays
    sites = fit.sites(at_most=7)
    records = predicted_records(fit, (assay,), sites)[assay.analyte]
    draw = {k: v[3] for k, v in sites.items()}
    want = np.asarray(fit.bound.predicted(draw, fit.bound.data)["car_copies"])
    np.testing.assert_allclose(records[3].reshape(3, -1), want, rtol=1e-10)
    own = kn.prediction.individual_curves(fit, np.array(COPIES), draws=7)
    middle = own.pivot(index="subject", columns="time", values="q50").to_numpy()
    np.testing.assert_allclose(middle, np.median(records, axis=0).reshape(3, -1), rtol=1e-6)
    new = population_curve(fit, np.array(COPIES), like="P3", draws=7)
    ratio = new[new["who"] == "typical"]["q50"].to_numpy() / middle[1]
    assert np.ptp(ratio / (middle[2] / middle[1])) < 1.0
    peak = kn.exposure(fit, draws=7, by="course")
    assert (peak["cmax"] > 0).all()


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    folder = study(tmp_path / "s", drop=("P2",), row=True)
    with pytest.raises(PlanError, match=r"subject P2.*: observe\.car_copies: no nucleated-cell count"):
        bind(plan(folder))
    for source, said in (("wcb", "did you mean 'wbc'"), ("il6", "il6 is no cell count")):
        with pytest.raises(PlanError, match=said):
            bind(plan(folder, nucleated_cells=source))
    bare = study(tmp_path / "bare")
    with pytest.raises(PlanError, match="no column nucleated_cells_per_uL"):
        bind(plan(bare, nucleated_cells="row"))
    with pytest.raises(PlanError, match="go together"):
        plan(folder, vcn=None)
    with pytest.raises(PlanError, match="LogNormal prior"):
        plan(folder, vcn={"distribution": "HalfNormal", "scale": 1.0})
    with pytest.raises(PlanError, match=r"output copies of ogasawara_2021 is not in cells/uL"):
        bind(plan(study(tmp_path / "whole"), output="copies"))


def test_a_count_of_zero_is_a_problem_of_its_row(tmp_path: Path) -> None:
    folder = study(tmp_path / "s", row=True)
    table = read_csv(folder / "observations.csv")
    table.loc[0, "nucleated_cells_per_uL"] = 0.0
    table.to_csv(folder / "observations.csv", index=False)
    with pytest.raises(StudyError, match="the count is not positive"):
        kn.read_study(folder)


@pytest.mark.parametrize("genome_pg", [3.3, 3.45])
def test_the_dna_of_a_genome_is_that_of_the_laboratory(tmp_path: Path, genome_pg: float) -> None:
    """Half the DNA in a counted cell, twice the copies; 3.45 pg is 290 copies/ug for 1 in 1,000 cells."""
    folder = study(tmp_path / "s")
    bound = bind(plan(folder, genome_pg=genome_pg))
    (assay,) = bound.assays
    (diploid,) = bind(plan(folder)).assays
    day = np.full((3, 1), 10.0)
    ratio = assay.reading({}, np.ones((3, 1)), day) / diploid.reading({}, np.ones((3, 1)), day)
    np.testing.assert_allclose(ratio, 6.6 / genome_pg, rtol=1e-6)
    assert f"{genome_pg:g} pg of DNA counted as one cell" in describe_records(bound)
    assert "6.6 pg of DNA counted as one cell" in describe_records(bind(plan(folder)))
    one_cell = copies_per_ug_to_cells_per_uL(290e3, nucleated_cells_per_uL=1000, vcn=1, genome_pg=3.45)
    assert one_cell == pytest.approx(1000, rel=1e-3)  # 290 copies/ug are 1 copy in 1,000 cells


def test_the_dna_of_a_genome_may_be_fitted(tmp_path: Path) -> None:
    bound = bind(plan(study(tmp_path / "s"), vcn=1.0, genome_pg={"median": 4.7, "sd": 0.35}))
    s = typical(bound, genome_pg_car_copies=3.3)
    assert bound.priors()["genome_pg_car_copies"].median == 4.7
    fixed = bind(plan(study(tmp_path / "t"), vcn=1.0, genome_pg=3.3))
    np.testing.assert_allclose(
        bound.predicted(s, bound.data)["car_copies"], fixed.predicted(s, fixed.data)["car_copies"], rtol=1e-10
    )
    assert "the fitted mass of DNA" in describe_records(bound)
    table = kn.parameter_table(prior_fit(plan(study(tmp_path / "u"), genome_pg={"median": 4.7, "sd": 0.35})))
    assert table.set_index("site").loc["genome_pg_car_copies", "kind"] == "DNA of a counted cell"


def test_the_dna_of_a_genome_without_counts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="goes with `nucleated_cells`"):
        plan(study(tmp_path / "s"), nucleated_cells=None, vcn=None, genome_pg=3.3)
