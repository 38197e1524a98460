"""The predicted shares of grades are the model's mean probabilities on the subjects' own days."""

from __future__ import annotations

import numpy as np
import pytest

import kinetics as kn
from kinetics.checks import odds_ratios, predicted_grades
from kinetics.errors import InputError
from kinetics.inference import Fit
from kinetics.plan import read_plan
from kinetics.plot import plot_grades
from tests.support.figures import traces
from tests.support.fits import prior_fit


@pytest.fixture(scope="module")
def fit() -> Fit:
    return prior_fit(read_plan("ogasawara_2021__synthetic_cart_survival_60"), draws=6)


def test_shares_are_those_of_the_records_and_of_the_equation(fit: Fit) -> None:
    table = predicted_grades(fit, "crs", draws=1).set_index(["level", "day"])
    records = fit.study.observed("crs_grade")
    of_day = records[records["time"] == 9.0]
    assert table.loc[(2.0, 9.0), "n"] == len(of_day)
    assert table.loc[(2.0, 9.0), "seen"] == pytest.approx((of_day["value"] >= 2).mean())

    s = fit.sites(at_most=1)
    theta = {k: v[0] for k, v in fit.theta(at_most=1).items()}
    days = np.full((len(fit.bound.subjects), 1), 9.0)
    copies = kn.solve.solving.solve(fit.model, days, theta, fit.bound.data.doses, ["copies"])["copies"]
    cut = s["cut1_crs"][0] + s["gap2_crs"][0]
    odds = s["slope_crs"][0] * np.log10(np.maximum(np.asarray(copies)[:, 0], 50.0) / 1e4) - cut
    there = np.isin(fit.bound.subjects, of_day["subject"])
    expected = np.mean(1 / (1 + np.exp(-odds[there])))
    assert table.loc[(2.0, 9.0), "predicted"] == pytest.approx(expected, rel=1e-6)


def test_the_figure_has_a_line_and_dots_for_each_level(fit: Fit) -> None:
    figure = plot_grades(fit, "crs", draws=2)
    assert len(traces(figure, "curve predicted")) == len(traces(figure, "seen")) == 3
    ratio = odds_ratios(fit)["ratio"].iloc[0]
    assert ratio == pytest.approx(np.exp(np.median(fit.sites()["slope_crs"])))


def test_other_grades_are_refused_by_name(fit: Fit) -> None:
    with pytest.raises(InputError, match="no grades 'icans'"):
        predicted_grades(fit, "icans")
