"""Figures as data: every record is there, drawn as what it is, with its limits, units and labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from plotly.graph_objects import Figure

from kinetics.checks.visual_check import vpc
from kinetics.errors import StudyError
from kinetics.inference.fitting import Fit
from kinetics.plot.frame import PALETTE
from kinetics.plot.grouping import group_subjects, groupings
from kinetics.plot.individual_fits import plot_individual_fits
from kinetics.plot.persistence import plot_persistence
from kinetics.plot.population import plot_population, population_curves
from kinetics.plot.prior_posterior import plot_prior_posterior
from kinetics.plot.records import drawn_records, first_dose
from kinetics.plot.vpc import plot_vpc
from kinetics.prediction.curves import individual_curves
from kinetics.study.study import read_study
from tests.support.figures import annotation, traces
from tests.support.fits import cart_fit, theophylline_fit
from tests.support.simulated_patients import known_fit

FIGURES: dict[str, Callable[[Fit, str, bool], Figure]] = {
    "persistence": lambda fit, analyte, log: plot_persistence(fit.study, analyte, log=log),
    "individual": lambda fit, analyte, log: plot_individual_fits(fit, analyte, log=log),
    "population": lambda fit, analyte, log: plot_population(fit, analyte, draws=30, log=log),
    "vpc": lambda fit, analyte, log: plot_vpc(fit, vpc(fit, analyte, n=30), log=log),
    "prior_posterior": lambda fit, analyte, log: plot_prior_posterior(fit),
}


@cache
def figure_of(kind: str, which: str = "cart", log: bool = True) -> Figure:
    fit = cart_fit() if which == "cart" else theophylline_fit()
    return FIGURES[kind](fit, fit.bound.assays[0].analyte, log)


def numbers(figure: Figure) -> Iterator[float]:
    for trace in figure.data:
        yield from (float(v) for v in trace.y if v is not None and not pd.isna(v))


# --- every figure ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FIGURES)
def test_synthetic_data_say_so_on_every_figure_and_real_data_do_not(kind):
    assert "SYNTHETIC DATA" in annotation(figure_of(kind), "labels")
    assert annotation(figure_of(kind, "theophylline", False), "labels") == ""


def test_curves_of_every_analyte_at_once_draw_the_figure_of_each() -> None:
    fit = cart_fit()
    curves = population_curves(fit, draws=30)
    assert {frozenset(table["analyte"]) for table in curves.values()} == {
        frozenset(a.analyte for a in fit.bound.assays)
    }
    for assay in fit.bound.assays:
        alone = plot_population(fit, assay.analyte, draws=30)
        assert plot_population(fit, assay.analyte, curves=curves).to_json() == alone.to_json()


@pytest.mark.parametrize("kind", FIGURES)
def test_every_figure_names_its_study_by_hash(kind):
    study = cart_fit().study
    footer = annotation(figure_of(kind), "footer")
    assert study.name in footer
    assert study.sha256[:8] in footer


@pytest.mark.parametrize("kind", FIGURES)
def test_no_figure_offers_to_send_the_data_away(kind):
    assert "sendChartToCloud" in figure_of(kind).layout.modebar.remove


@pytest.mark.parametrize("kind", ["persistence", "individual", "population", "vpc"])
def test_axes_have_units(kind):
    layout = figure_of(kind).layout.to_plotly_json()
    axes = [v.get("title", {}).get("text") for k, v in layout.items() if k.startswith(("xaxis", "yaxis"))]
    titles = [*axes, *(a["text"] for a in layout["annotations"])]
    assert "Time since first infusion (days)" in titles
    if kind == "individual":  # beside its small panels the assay would not fit: it is in the subtitle
        assert "CAR transgene (copies/µg DNA)" in titles
        assert layout["title"]["subtitle"]["text"] == "CAR transgene, qPCR in blood"
    else:
        assert "CAR transgene, qPCR in blood (copies/µg DNA)" in titles


@pytest.mark.parametrize("kind", ["persistence", "individual", "population", "vpc"])
def test_a_log_axis_holds_no_zero_and_no_negative_number(kind):
    for which in ("cart", "theophylline"):
        figure = figure_of(kind, which, True)
        if kind == "vpc":  # its second panel is a linear share, and additive noise may go below zero
            kept = [t for t in figure.data if t.yaxis in (None, "y") and (t.meta or {})["role"] == "records"]
            figure = Figure(kept)
        assert min(numbers(figure)) > 0


@pytest.mark.parametrize("kind", FIGURES)
def test_figures_survive_json(kind):
    assert "NaN" not in figure_of(kind).to_json()


# --- records --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["persistence", "individual", "population"])
def test_every_record_is_drawn_once_and_every_blq_record_is_open_at_the_lloq(kind):
    records = cart_fit().study.observed("car_copies")
    x, y, symbols = [], [], []
    for trace in traces(figure_of(kind), "records"):
        x += list(trace.x)
        y += list(trace.y)
        symbols += list(trace.marker.symbol)
    assert len(x) == len(records)
    np.testing.assert_allclose(np.sort(y), np.sort(records["value"]))
    below = [v for v, s in zip(y, symbols, strict=True) if s == "circle-open"]
    assert len(below) == int((records["censored"] == "left").sum())
    assert set(below) == {50.0}


@pytest.mark.parametrize("kind", ["persistence", "individual", "population", "vpc"])
def test_the_lloq_line_lies_at_the_lloq(kind):
    lines = traces(figure_of(kind), "lloq")
    assert lines
    assert all(set(line.y) == {50.0} for line in lines)


@pytest.mark.parametrize("kind", ["persistence", "individual", "population"])
def test_zeros_on_a_log_axis_are_drawn_at_its_floor_and_counted(kind):
    study = theophylline_fit().study
    zeros = int((study.observed("theophylline")["value"] == 0).sum())
    assert zeros > 0
    figure = figure_of(kind, "theophylline", True)
    symbols = [s for t in traces(figure, "records") for s in t.marker.symbol]
    assert symbols.count("x-open") == zeros
    assert f"{zeros} values reported as 0" in annotation(figure, "footer")


def test_censoring_of_every_kind_has_its_own_symbol(monkeypatch):
    study = read_study("synthetic_cart_12")
    records = study.observed("car_copies").copy()
    records.loc[5, ["censored", "value", "uloq"]] = ["right", 9e4, 9e4]
    records.loc[6, ["censored", "value", "limit"]] = ["interval", 300.0, 100.0]
    monkeypatch.setattr(type(study), "observed", lambda self, analyte: records)
    drawn = drawn_records(study, "car_copies", floor=1.0)
    assert drawn["symbol"][5] == "triangle-up-open"
    assert ">= 90,000" in drawn["text"][5]
    assert drawn["symbol"][6] == "diamond-open"
    assert "between 100 and 300" in drawn["text"][6]
    assert {t.meta["role"] for t in plot_persistence(study, "car_copies").data} >= {"lloq", "uloq"}


def test_time_counts_from_each_subjects_own_first_dose(monkeypatch):
    study = read_study("synthetic_cart_12")
    late = study.doses.copy()
    late.loc[late["subject"] == "S02", "time"] += 5.0
    object.__setattr__(study, "doses", late)
    assert first_dose(study)["S02"] == 5.0
    drawn = drawn_records(study, "car_copies").set_index("subject")["time"]
    assert drawn["S02"].min() == pytest.approx(-6.0)
    assert drawn["S01"].min() == pytest.approx(-1.0)


# --- persistence ----------------------------------------------------------------------------------------


def test_the_menu_shows_one_grouping_at_a_time_and_loses_no_record():
    figure, study = figure_of("persistence"), cart_fit().study
    (menu,) = figure.layout.updatemenus
    assert [b.label for b in menu.buttons] == list(groupings(study).values())
    assert {"Dose level per infusion", "Worst CRS grade (ASTCT)", "Age", "Weight"} <= {
        b.label for b in menu.buttons
    }
    for button in menu.buttons:
        visible = button.args[0]["visible"]
        assert len(visible) == len(figure.data)
        shown = [
            t for t, v in zip(figure.data, visible, strict=True) if v and (t.meta or {})["role"] == "records"
        ]
        assert sum(len(t.x) for t in shown) == len(study.observed("car_copies"))
        assert any((t.meta or {})["role"] == "lloq" for t, v in zip(figure.data, visible, strict=True) if v)


def test_groups_are_a_partition_in_a_sensible_order():
    study = cart_fit().study
    for by in groupings(study):
        groups = group_subjects(study, by)
        assert list(groups.index) == study.subject_ids
        assert not groups.isna().any()
    assert group_subjects(study, "dose_level").cat.categories[0] == "1.5 × 10⁷ cells/kg"
    assert list(group_subjects(study, "crs_grade").cat.categories) == ["0", "1", "2"]
    assert len(group_subjects(study, "age").cat.categories) == 3
    with pytest.raises(StudyError, match="dose_level"):
        group_subjects(study, "dose_levle")


def test_doses_that_are_a_few_levels_per_kg_are_grouped_by_them():
    study = cart_fit().study
    dictionary = study.dictionary.model_copy(deep=True)
    dictionary.columns.subjects.pop("dose_level")
    unsaid = replace(study, dictionary=dictionary)  # of amounts in cells, no two subjects' are alike
    levels = [f"{x} × 10⁷ cells/kg" for x in ("1.5", "3", "4", "5", "5.6", "7")]  # two first doses were short
    assert list(group_subjects(unsaid, "dose").cat.categories) == levels
    unweighed = replace(unsaid, subjects=study.subjects.assign(weight_kg=np.nan))
    assert " to " in group_subjects(unweighed, "dose").cat.categories[0]


def test_colours_are_okabe_and_itos():
    used = {t.line.color for t in traces(figure_of("persistence"), "lines", shown=False)}
    assert used <= set(PALETTE)


# --- the others -----------------------------------------------------------------------------------------


def test_every_subject_has_a_panel_with_its_doses_and_its_bands():
    fit, figure = cart_fit(), figure_of("individual")
    titles = [a.text for a in figure.layout.annotations]
    for subject in fit.bound.subjects:
        assert any(title.startswith(f"{subject},") for title in titles)
    assert sum(len(t.x) for t in traces(figure, "doses")) == len(fit.study.doses)
    for role in ("band q5 q95", "band q25 q75", "curve q50"):
        assert len(traces(figure, role)) == len(fit.bound.subjects)


def test_a_curve_is_drawn_where_it_lies_above_the_floor():
    fit = known_fit()
    curves = individual_curves(fit, np.array([2.0, 20.0, 40.0]), analyte="copies", draws=5)
    figure = plot_individual_fits(fit, "copies", curves=curves, subjects=["P01", "P02"])
    drawn = traces(figure, "curve q50")
    assert len(drawn) == 2
    own = curves[curves["subject"] == "P02"]["q50"].to_numpy()
    floor = 10 ** figure.layout.yaxis.range[0]
    np.testing.assert_allclose(drawn[1].y, np.where(own < floor, np.nan, own))


def test_the_lowest_panel_of_every_column_has_its_days():
    figure = plot_individual_fits(cart_fit(), "car_copies", subjects=[f"S{i:02d}" for i in range(1, 10)])
    shown = [axis for axis in figure.select_xaxes() if axis.showticklabels]
    assert len(shown) == 4


def test_new_patients_spread_wider_than_what_is_not_known_of_the_typical_one():
    figure = figure_of("population")
    groups = group_subjects(cart_fit().study, "dose_level")
    bands = traces(figure, "band q5 q95")
    assert len(bands) == 2 * len(groups.cat.categories)
    new, typical = (np.asarray(t.y).reshape(2, -1) for t in bands[:2])  # upper edge, then lower backwards
    assert np.mean(np.log(new[0] / new[1][::-1]) > np.log(typical[0] / typical[1][::-1])) > 0.9


def test_a_vpc_draws_no_quantile_that_lies_below_the_lloq():
    fit = cart_fit()
    checked = vpc(fit, "car_copies", n=30)
    figure = plot_vpc(fit, checked)
    (low,) = traces(figure, "observed_5")
    censored = np.isneginf(checked.bins["observed_5"])
    assert censored.any()
    assert np.isnan(np.asarray(low.y, float)[censored]).all()
    ribbons = [
        v for t in figure.data if (t.meta or {})["role"].startswith("interval_") for v in t.y if v is not None
    ]
    assert min(ribbons) >= 50.0
    (share,) = traces(figure, "observed")
    np.testing.assert_allclose(share.y, checked.bins["blq_observed"])
    assert len(traces(figure, "records")[0].x) == len(checked.points)


def test_a_study_without_an_lloq_has_no_blq_panel():
    assert "yaxis2" not in figure_of("vpc", "theophylline", False).layout.to_plotly_json()
    assert figure_of("vpc").layout.yaxis2.title.text == "Below LLOQ (%)"


def test_prior_and_posterior_have_a_panel_for_every_site():
    figure, fit = figure_of("prior_posterior"), cart_fit()
    sites = fit.bound.priors()
    prior, posterior = traces(figure, "prior"), traces(figure, "posterior")
    assert len(prior) == len(posterior) == len(sites)
    i = list(sites).index("cmax_pop")
    peak = prior[i].x[int(np.argmax(prior[i].y))]  # log-scale density of a LogNormal peaks at its median
    assert peak == pytest.approx(sites["cmax_pop"].median, rel=0.1)
    draws = fit.sites()["cmax_pop"]
    peak = posterior[i].x[int(np.argmax(posterior[i].y))]
    assert draws.min() <= peak <= draws.max()
