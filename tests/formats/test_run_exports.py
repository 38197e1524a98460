"""A run's exports are its parameter table, estimates, effects, predictions and exposures, number by
number.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kinetics.checks.goodness_of_fit import gof
from kinetics.checks.maximum_estimates import estimates
from kinetics.checks.parameters import parameter_table
from kinetics.exposures.fitted import exposure, exposure_summary
from kinetics.exposures.samples import CDISC
from kinetics.formats.exporting import export
from kinetics.formats.nonmem_data import nonmem_ids
from kinetics.inference.fitting import fit
from tests.support.fits import cart_fit, theophylline_fit


@pytest.fixture(scope="module")
def cart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(cart_fit(), ["monolix", "nonmem", "adpp"], tmp_path_factory.mktemp("run") / "cart").folder


def nonmem_table(text: str) -> tuple[str, pd.DataFrame]:
    """Title and rows of a NONMEM table file."""
    title, rest = text.split("\n", 1)
    return title, pd.read_csv(io.StringIO(rest), sep=r"\s+")


def test_population_parameters_are_the_parameter_table(cart):
    table = parameter_table(cart_fit()).set_index("site")
    table = table[table["kind"] != "derived"]
    found = pd.read_csv(cart / "monolix" / "populationParameters.txt").set_index("parameter")
    ours = {"a_car_copies": "sigma_car_copies", "a_car_cells": "sigma_car_cells"}
    for name, row in found.iterrows():
        site = ours.get(str(name), str(name))
        if np.isnan(row["sd_posterior"]):  # fixed by the plan
            assert site not in table.index
            continue
        assert row["value"] == table.loc[site, "median"]
        assert row["sd_posterior"] == table.loc[site, "sd"]
    assert {ours.get(str(n), str(n)) for n in found.index} >= set(table.index)
    assert list(found.columns) == ["value", "CV", "sd_posterior", "rsd_posterior"]
    assert "SYNTHETIC" in (cart / "monolix" / "summary.txt").read_text()


def test_individual_parameters_and_effects_are_the_draws(cart):
    done = cart_fit()
    folder = cart / "monolix" / "IndividualParameters"
    own = pd.read_csv(folder / "estimatedIndividualParameters.txt")
    effects = pd.read_csv(folder / "estimatedRandomEffects.txt")
    assert list(own["id"]) == done.bound.subjects == list(effects["id"])
    sites = done.sites()
    for name, draws in done.theta().items():
        np.testing.assert_array_equal(own[f"{name}_mean"], draws.mean(axis=0))
        np.testing.assert_array_equal(own[f"{name}_sd"], draws.std(axis=0))
    for name in done.bound.hierarchy.omega:
        eta = sites[f"omega_{name}"][:, None] * sites[f"eta_{name}"]
        np.testing.assert_array_equal(effects[f"eta_{name}_mean"], eta.mean(axis=0))
    assert {"WTBL", "AGE", "SEX"} <= set(own)


def test_predictions_are_those_of_gof(cart):
    table = gof(cart_fit()).table
    for analyte, rows in table.groupby("analyte"):
        found = pd.read_csv(cart / "monolix" / f"predictions_{analyte}.txt")
        assert list(found["id"]) == list(rows["subject"])
        for column, ours in {
            "popPred": "pred",
            "indivPred_median": "ipred",
            str(analyte): "dv",
            "npde": "npde",
        }.items():
            np.testing.assert_array_equal(found[column], rows[ours].to_numpy(float))
        assert found["censored"].eq(1).sum() == rows["censored"].eq("left").sum()


def test_the_ext_table_has_the_parameter_table_in_nonmems_places(cart):
    done = cart_fit()
    (file,) = cart.glob("*.ext")
    title, table = nonmem_table(file.read_text())
    names = pd.read_csv(next(cart.glob("*.names.csv"))).set_index("column")["site"]
    summary = parameter_table(done).set_index("site")
    rows = table.set_index("ITERATION")
    assert title.startswith("TABLE NO.     1: NUTS")
    assert "SYNTHETIC" in title
    assert list(table.columns)[1] == "THETA1"
    for column, site in names.items():
        final, error, sd = (rows.loc[code, column] for code in (-1000000000, -1000000001, -1000000004))
        if column.startswith("THETA") and site in summary.index:
            assert (final, error) == pytest.approx(
                (summary.loc[site, "median"], summary.loc[site, "sd"]), rel=1e-5
            )
        elif not column.startswith("THETA"):
            median, spread = summary.loc[site, "median"], summary.loc[site, "sd"]
            assert (final, error, sd) == pytest.approx((median**2, 2 * median * spread, median), rel=2e-5)
    fixed = rows.loc[-1000000006]
    assert fixed["OMEGA(2,1)"] == 1.0
    assert fixed["OMEGA(2,2)"] == 0.0
    order = [c for c in table.columns if c.startswith("OMEGA")]
    assert order[:4] == ["OMEGA(1,1)", "OMEGA(2,1)", "OMEGA(2,2)", "OMEGA(3,1)"]
    assert np.isnan(rows.loc[-1000000000, "OBJ"])


def test_the_phi_table_has_the_effects_of_the_data_files_ids(cart):
    done = cart_fit()
    (file,) = cart.glob("*.phi")
    _, table = nonmem_table(file.read_text())
    ids = nonmem_ids(done.study)
    assert list(table["ID"]) == [ids[s] for s in done.bound.subjects]
    assert set(pd.read_csv(cart / "nonmem.csv")["ID"]) == set(table["ID"])
    sites = done.sites()
    for i, name in enumerate(done.bound.hierarchy.vary, start=1):
        eta = sites[f"omega_{name}"][:, None] * sites[f"eta_{name}"]
        np.testing.assert_allclose(table[f"ETA({i})"], eta.mean(axis=0), rtol=1e-5)
        np.testing.assert_allclose(table[f"ETC({i},{i})"], eta.var(axis=0), rtol=1e-5)


def test_adpp_of_a_run_is_its_exposure(cart):
    summary = exposure_summary(exposure(cart_fit()))
    frame = pd.read_csv(cart / "adpp.csv", keep_default_na=False, na_values=[""])
    code = {name: c for name, (c, _, _) in CDISC.items()} | {"auc_0_28d": "AUCINT"}
    cycles = {"course": "course"}
    wanted = {
        (r["subject"], r["analyte"], cycles.get(r["cycle"], f"cycle {r['cycle']}"), code[r["quantity"]]): r
        for r in summary.to_dict("records")
        if r["quantity"] in code
    }
    assert len(frame) == len(wanted)
    for row in frame.to_dict("records"):
        ours = wanted[row["SUBJID"], row["PARQUAL"], row["AVISIT"], row["PARAMCD"]]
        np.testing.assert_array_equal(
            [row["AVAL"], row["AVALLO"], row["AVALHI"]], [ours["median"], ours["lower"], ours["upper"]]
        )
    assert frame["PPANMETH"].str.startswith("MODEL ogasawara_2021").all()
    assert "SYNTHETIC" in (cart / "define.xml").read_text()


def test_one_analyte_has_plain_names_and_an_additive_error_is_a(tmp_path):
    folder = export(theophylline_fit(), "monolix", tmp_path / "theo").folder / "monolix"
    assert (folder / "predictions.txt").is_file()
    assert "a" in set(pd.read_csv(folder / "populationParameters.txt")["parameter"])
    assert "measured data" in (folder / "summary.txt").read_text()


@pytest.mark.fit
@pytest.mark.slow
def test_a_maximum_has_nonmems_objective_errors_modes_and_likelihood(tmp_path):
    done = fit("one_compartment_oral", "theophylline", observe={"theophylline": {"likelihood": "additive"}},
               vary=["ka", "cl"], method="laplace", seed=1)  # fmt: skip
    found, folder = estimates(done), export(done, ["monolix", "nonmem"], tmp_path / "out").folder
    table = pd.read_csv(folder / "monolix" / "populationParameters.txt").set_index("parameter")
    ours = found.table.set_index("site").rename(index={"sigma_add_theophylline": "a"})
    for site, row in ours.iterrows():
        assert (table.loc[site, "value"], table.loc[site, "se_lin"]) == pytest.approx(
            (row["estimate"], row["se"]), rel=1e-12
        )
    likelihood = pd.read_csv(folder / "monolix" / "LogLikelihood" / "logLikelihood.txt").set_index("criteria")
    assert likelihood["linearization"]["-2LL"] == pytest.approx(-2 * found.log_likelihood)
    (ext,), (phi,) = folder.glob("*.ext"), folder.glob("*.phi")
    _, rows = nonmem_table(ext.read_text())
    assert rows["OBJ"][0] == pytest.approx(found.ofv, rel=1e-9)
    _, effects = nonmem_table(phi.read_text())
    omega = ours["estimate"]["omega_ka"]
    np.testing.assert_allclose(effects["ETA(1)"], omega * found.ebes["eta_ka"].to_numpy(), rtol=1e-4)
    modes = pd.read_csv(folder / "monolix" / "IndividualParameters" / "estimatedRandomEffects.txt")
    np.testing.assert_allclose(modes["eta_ka_mode"], omega * found.ebes["eta_ka"].to_numpy(), rtol=1e-12)
