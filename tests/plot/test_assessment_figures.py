"""Figures of model assessment as data: every record is drawn, censored ones open, thresholds where they
lie.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from plotly.graph_objects import Figure

from kinetics.checks.goodness_of_fit import GoodnessOfFit, gof
from kinetics.checks.leave_one_out import Loo, loo
from kinetics.checks.visual_check import stratified_vpc, vpc
from kinetics.errors import StudyError
from kinetics.plan.binding import bind
from kinetics.plan.plan import plan_of
from kinetics.plot import many_points
from kinetics.plot.gof import plot_gof
from kinetics.plot.loo import plot_pareto_k
from kinetics.plot.random_effects import plot_eta_covariates, plot_etas
from kinetics.plot.vpc import plot_vpc
from tests.support.figures import annotation, traces
from tests.support.fits import cart_fit, theophylline_fit, written_posterior


@cache
def cart_gof() -> GoodnessOfFit:
    return gof(cart_fit(), "car_copies", replicates=100)


@cache
def cart_loo() -> Loo:
    return loo(cart_fit())


FIGURES: dict[str, Callable[[], Figure]] = {
    "gof": lambda: plot_gof(cart_fit(), cart_gof(), "car_copies"),
    "etas": lambda: plot_etas(cart_fit()),
    "covariates": lambda: plot_eta_covariates(cart_fit()),
    "pareto": lambda: plot_pareto_k(cart_fit(), cart_loo()),
    "pcvpc": lambda: plot_vpc(cart_fit(), vpc(cart_fit(), "car_copies", n=20, prediction_corrected=True)),
}


@pytest.mark.parametrize("kind", FIGURES)
def test_every_figure_says_that_data_are_synthetic_and_whose_they_are(kind):
    figure = FIGURES[kind]()
    assert "SYNTHETIC DATA" in annotation(figure, "labels")
    assert cart_fit().study.sha256[:8] in annotation(figure, "footer")
    assert "sendChartToCloud" in figure.layout.modebar.remove
    assert "NaN" not in figure.to_json()


def test_every_record_with_a_residual_is_drawn_and_a_censored_one_is_open():
    figure, table = FIGURES["gof"](), cart_gof().table
    (by_time,) = traces(figure, "npde time")
    assert len(by_time.x) == table["npde"].notna().sum()
    censored = table[table["npde"].notna()]["censored"] != "none"
    assert [s == "circle-open" for s in by_time.marker.symbol] == censored.tolist()
    (against,) = traces(figure, "dv pred")
    assert min(against.x) > 0
    assert len(against.x) == (table["pred"] > 0).sum()
    assert f"{(table['pred'] <= 0).sum()} records are 0, or predicted as 0" in annotation(figure, "footer")
    (quantiles,) = traces(figure, "quantiles")
    np.testing.assert_allclose(quantiles.y, np.sort(table["npde"].dropna()))


def test_of_very_many_records_some_are_drawn_and_a_note_says_how_many(monkeypatch):
    monkeypatch.setattr(many_points, "MOST_POINTS", 50)
    figure = plot_gof(cart_fit(), cart_gof(), "car_copies")
    count = int((cart_gof().table["analyte"] == "car_copies").sum())
    assert count > 50
    (residuals,) = traces(figure, "npde time")
    assert len(residuals.x) == 50
    assert f"50 of {count} records, taken at random, are drawn" in annotation(figure, "footer")


def test_predictions_without_a_log_axis_keep_their_zeros():
    fit = theophylline_fit()
    checked = gof(fit, replicates=50)
    figure = plot_gof(fit, checked, "theophylline", log=False)
    assert len(traces(figure, "dv pred")[0].x) == len(checked.table)
    assert figure.layout.xaxis.type == "linear"


def test_each_varying_parameter_has_a_histogram_with_its_shrinkage():
    figure, h = FIGURES["etas"](), cart_fit().bound.hierarchy
    assert len(traces(figure, "eta")) == len(traces(figure, "normal")) == len(h.vary)
    titles = [a.text for a in figure.layout.annotations if "shrinkage" in (a.text or "")]
    assert [t.split(",")[0] for t in titles] == list(h.vary)


def test_a_number_is_drawn_as_points_and_a_category_as_boxes():
    figure = plot_eta_covariates(cart_fit(), ["age", "sex"])
    h, study = cart_fit().bound.hierarchy, cart_fit().study
    points, boxes = traces(figure, "number"), traces(figure, "category")
    assert len(points) == len(boxes) == len(h.vary)
    np.testing.assert_allclose(points[0].x, study.subjects["age"])
    np.testing.assert_allclose(points[0].y, cart_fit().sites()[f"eta_{h.vary[0]}"].mean(axis=0))
    assert set(boxes[0].x) == set(study.subjects["sex"])
    with pytest.raises(StudyError, match="did you mean 'age'"):
        plot_eta_covariates(cart_fit(), ["agee"])


def test_a_fit_in_which_nothing_varies_has_no_random_effects_to_draw():
    plan = cart_fit().bound.plan.resolved() | {"vary": [], "omega": {}}
    bound = bind(plan_of(plan))
    alike = written_posterior(bound, {k: cart_fit().sites()[k] for k in bound.priors()})
    with pytest.raises(StudyError, match="no parameter varies"):
        plot_etas(alike)


def test_every_unit_with_a_pareto_k_is_drawn_with_the_threshold_and_the_worst_is_named():
    figure, found = FIGURES["pareto"](), cart_loo()
    drawn = np.concatenate([t.y for t in traces(figure, "k")])
    np.testing.assert_allclose(np.sort(drawn), np.sort(found.units["pareto_k"].dropna()))
    (line,) = traces(figure, "threshold")
    assert set(line.y) == {found.threshold}
    worst = found.unreliable.iloc[0]
    named = [text for t in traces(figure, "k") for text in t.text if text]
    assert any(text.startswith(f"{worst['subject']}, day") for text in named)


def test_a_corrected_check_says_so_and_draws_no_line_at_an_lloq_that_each_record_has_of_its_own():
    figure = FIGURES["pcvpc"]()
    assert figure.layout.title.text.startswith("CAR transgene: prediction-corrected")
    assert figure.layout.yaxis.title.text.startswith("Prediction-corrected")
    assert not traces(figure, "lloq")
    assert traces(figure, "observed")  # the share below the LLOQ is still there


def test_a_stratum_is_in_the_title():
    checked = stratified_vpc(cart_fit(), "car_copies", "sex", n=20)
    for name, own in checked.items():
        assert plot_vpc(cart_fit(), own).layout.title.text.endswith(f", {name}")
