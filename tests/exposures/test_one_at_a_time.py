"""One parameter at a time: ends, numbers at them in closed form, order, and what is drawn of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import kinetics as kn
from kinetics.plot.tornado import plot_tornado
from tests.support.commands import call
from tests.support.figures import annotation, traces
from tests.support.fits import cart_fit
from tests.support.two_sites import TWO_SITES

Z = norm.ppf(0.95)
IV = kn.Regimen.dose(product="car_nk", route="iv", on=[0.0], cells=1e8)
ARTERY = kn.Regimen.dose(product="car_nk", route="hepatic_artery", on=[0.0], cells=1e8)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> kn.Model:
    path = tmp_path_factory.mktemp("tornado") / "model.py"
    path.write_text(TWO_SITES)
    return kn.load_model(path)


@pytest.fixture(scope="module")
def iv(model: kn.Model) -> kn.exposures.Tornado:
    return kn.tornado(model, IV)


def test_the_ends_are_the_priors_quantiles(iv: kn.exposures.Tornado) -> None:
    rows = iv.of("blood_auc_0_28d").set_index("parameter")
    assert rows.loc["a", ["low", "middle", "high"]].tolist() == pytest.approx(
        [2.0 * np.exp(-0.3 * Z), 2.0, 2.0 * np.exp(0.3 * Z)]
    )
    logit = np.log(0.7 / 0.3)
    assert rows.loc["F", ["low", "high"]].tolist() == pytest.approx(
        [1 / (1 + np.exp(0.3 * Z - logit)), 1 / (1 + np.exp(-0.3 * Z - logit))]
    )


def test_the_numbers_are_those_of_the_solution_and_the_widest_comes_first(iv: kn.exposures.Tornado) -> None:
    rows = iv.of("blood_auc_0_28d")
    assert rows["parameter"].iloc[0] == "a"
    first = rows.set_index("parameter").loc["a"]
    assert first["at_middle"] == pytest.approx(1e8 / 2.0, rel=0.03)  # D / a
    assert first["swing"] == pytest.approx(np.exp(2 * 0.3 * Z), rel=0.03)
    assert first["at_low"] > first["at_high"]
    rest = rows.set_index("parameter").loc[["b", "F"]]
    np.testing.assert_allclose(rest["swing"], 1.0)  # neither is felt by blood after an iv dose
    assert iv.units["blood_auc_0_28d"] == "cells x day"
    liver = iv.of("liver_auc_0_28d").set_index("parameter")
    assert liver["swing"].idxmax() == "b"  # D / b, to 28 days
    assert liver.loc["b", "swing"] == pytest.approx(np.exp(2 * 0.3 * Z), rel=0.02)


def test_the_route_decides_what_matters(model: kn.Model) -> None:
    ratio = kn.tornado(model, ARTERY, quantities=["car_nk_liver_to_blood"])
    assert list(ratio.units) == ["car_nk_liver_to_blood"]
    rows = ratio.of("car_nk_liver_to_blood").set_index("parameter")
    share = rows.loc["F", ["low", "high"]].to_numpy(float)
    truth = (1 / 0.5) / ((1 - share) / 2.0)  # every cell passes the liver once; 1 - F of them blood before it
    np.testing.assert_allclose(rows.loc["F", ["at_low", "at_high"]].to_numpy(float), truth, rtol=0.04)
    assert rows.loc["F", "swing"] > 1.5


def test_a_window_begins_where_it_is_told_to(model: kn.Model) -> None:
    late = kn.Regimen.dose(product="car_nk", route="iv", on=[10.0], cells=1e8)
    found = kn.tornado(model, late, window=(10.0, 20.0))
    rows = found.of("liver_tmax").set_index("parameter")
    assert rows.loc["a", "at_middle"] == pytest.approx(
        np.log(2.0 / 0.5) / 1.5, abs=0.2
    )  # days after the window begins
    assert "blood_auc_10_20d" in found.units


def test_a_wider_level_has_wider_swings(model: kn.Model, iv: kn.exposures.Tornado) -> None:
    wide = kn.tornado(model, IV, level=0.99).of("blood_auc_0_28d")["swing"].max()
    assert wide > 1.2 * iv.of("blood_auc_0_28d")["swing"].max()


def test_of_a_fit_the_ends_are_its_posteriors_and_held_parameters_stay_out() -> None:
    fit = cart_fit()
    found = kn.tornado(fit)
    rows = found.of("copies_cmax").set_index("parameter")
    draws = fit.sites()["cmax_pop"]
    assert rows.loc["cmax", ["low", "middle", "high"]].tolist() == pytest.approx(
        np.quantile(draws, [0.05, 0.5, 0.95]).tolist()
    )
    assert rows.loc["cmax", "at_high"] / rows.loc["cmax", "at_low"] == pytest.approx(
        rows.loc["cmax", "high"] / rows.loc["cmax", "low"], rel=1e-6
    )
    sampled = {k.removesuffix("_pop") for k in fit.sites() if k.endswith("_pop")}
    assert set(rows.index) == sampled & set(fit.model.parameters)
    assert found.synthetic
    assert found.source == f"posterior of {fit.name}"
    assert "SYNTHETIC DATA" in annotation(plot_tornado(found, "copies_cmax"), "labels")


def test_a_prior_set_moves_the_ends_and_a_fit_has_its_own() -> None:
    usual = kn.tornado("ogasawara_2021", quantities=["copies_cmax"])
    solid = kn.tornado("ogasawara_2021", quantities=["copies_cmax"], prior_set="solid_tumour")
    prior = kn.load_model("ogasawara_2021").with_prior_set("solid_tumour").parameters["cmax"].prior
    row = solid.table.set_index("parameter").loc["cmax"]
    assert row["middle"] == pytest.approx(prior.median)
    assert usual.table.set_index("parameter").loc["cmax"]["middle"] != row["middle"]
    assert solid.notes[0] == "typical values and priors of the prior set solid_tumour"
    with pytest.raises(kn.errors.ModelError, match="known: solid_tumour"):
        kn.tornado("ogasawara_2021", prior_set="liver")
    with pytest.raises(kn.errors.PlanError, match="whose plan has its own"):
        kn.tornado(cart_fit(), prior_set="solid_tumour")


def test_what_is_not_there_is_named(model: kn.Model) -> None:
    with pytest.raises(kn.errors.PlanError, match="no quantity 'blood_cmx'; did you mean 'blood_cmax'"):
        kn.tornado(model, IV, quantities=["blood_cmx"])
    with pytest.raises(kn.errors.PlanError, match="window that ends after it starts"):
        kn.tornado(model, IV, window=(3.0, 3.0))


def test_the_bars_run_from_the_middle_to_the_numbers_with_the_widest_on_top(iv: kn.exposures.Tornado) -> None:
    rows = iv.of("liver_auc_0_28d").set_index("parameter")
    figure = plot_tornado(iv, "liver_auc_0_28d")
    for column in ("low", "high"):
        (bars,) = traces(figure, column)
        names = [y.removesuffix("*") for y in bars.y]
        assert names == ["a", "b"]  # F is not felt after an iv dose
        np.testing.assert_allclose(np.asarray(bars.x) + bars.base, rows.loc[names, f"at_{column}"])
        assert set(y[-1] for y in bars.y) == {"*"}  # both are guesses
    assert figure.layout.xaxis.title.text == "AUC0–28d (day·cells)"
    assert figure.layout.title.text == f"What moves AUC0–28d of {iv.model.outputs['liver'].label}"
    assert "1 parameter does not move it." in annotation(figure, "footer")
    assert (figure.layout.xaxis.showgrid, figure.layout.yaxis.showgrid) == (False, False)
    assert annotation(figure, "labels") == "<b>DESIGN GUESSES</b>"
    assert iv.model.sha256[:8] in annotation(figure, "footer")
    (words,) = traces(figure, "high values")
    at_b = [y.removesuffix("*") for y in words.y].index("b")
    assert words.text[at_b].strip() == "0.82 1/day"
    assert words.textposition[at_b] == "middle left"  # a faster loss leaves less


def test_of_two_bars_on_one_side_only_the_longer_has_words(iv: kn.exposures.Tornado) -> None:
    table = iv.table.copy()
    own = (table["quantity"] == "blood_cmax") & (table["parameter"] == "a")
    table.loc[own, ["at_low", "at_middle", "at_high", "swing"]] = [2.0, 1.0, 3.0, 3.0]
    table.loc[table["quantity"] == "blood_cmax", "at_middle"] = 1.0
    figure = plot_tornado(kn.exposures.Tornado(iv.model, iv.source, iv.level, table, iv.units), "blood_cmax")
    said = {}
    for column in ("low", "high"):
        (words,) = traces(figure, f"{column} values")
        said[column] = dict(zip(words.y, words.text, strict=True))["a*"]
    assert said["low"] == ""
    assert said["high"].strip() == "3.3 1/day"


def test_parameters_that_are_not_shown_or_not_solved_are_counted(iv: kn.exposures.Tornado) -> None:
    table = iv.table.copy()
    table.loc[(table["quantity"] == "liver_cmax") & (table["parameter"] == "F"), "swing"] = np.nan
    figure = plot_tornado(
        kn.exposures.Tornado(iv.model, iv.source, iv.level, table, iv.units), "liver_cmax", most=1
    )
    footer = annotation(figure, "footer")
    second = iv.of("liver_cmax")["swing"].iloc[1]
    assert f"1 more parameter moves it less, by at most {second:.2f}-fold." in footer
    assert "1 parameter is not drawn: the solver gave up" in footer
    assert "do not move it" not in footer
    assert len(traces(figure, "low")[0].y) == 1


def test_a_quantity_that_nothing_moves_is_refused(iv: kn.exposures.Tornado) -> None:
    still = iv.table.assign(swing=1.0, scale="ratio")
    with pytest.raises(kn.errors.PlanError, match="no parameter moves blood_cmax"):
        plot_tornado(kn.exposures.Tornado(iv.model, iv.source, iv.level, still, iv.units), "blood_cmax")


def test_the_command_prints_draws_and_writes(tmp_path: Path) -> None:
    csv, figures = tmp_path / "all.csv", tmp_path / "figures"
    said = call("tornado", "stein_2019", "--quantity", "copies_cmax", "--out", csv, "--plots", figures)
    assert said.code == 0, said.err
    assert [p.name for p in figures.glob("*.html")] == ["tornado_copies_cmax.html"]
    table = pd.read_csv(csv)
    widest = table[table["quantity"] == "copies_cmax"].iloc[0]["parameter"]
    lines = said.out.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("copies_cmax, "))
    assert lines[at + 2].split()[0] == widest
    answer = call("tornado", "stein_2019", "--json").json()
    assert answer["quantities"] == ["copies_auc_0_28d"]
    assert {row["quantity"] for row in answer["rows"]} == {"copies_auc_0_28d"}
    assert call("tornado", "stein_2019", "--window", "28").code == 2
    assert "did you mean" in call("tornado", "stein_2019", "--quantity", "copies_cmx").err
