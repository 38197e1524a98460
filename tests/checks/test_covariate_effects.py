"""Subgroup tables against numbers worked out by hand, what the data alone say against the exact answer,
the forest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

import kinetics as kn
from kinetics.checks.covariate_effects import data_alone, effective_number, subgroups
from kinetics.errors import StudyError
from kinetics.plan.binding import bind
from kinetics.plan.plan import plan_of
from kinetics.plot.forest import plot_forest
from kinetics.population.shrinkage import GLOBAL, ScaleMixture
from tests.support.figures import annotation, traces
from tests.support.fits import cart_fit, theophylline_fit, written_posterior
from tests.support.linear import linear_study
from tests.support.subgroup_fit import QUANTILES, subgroup_fit, subgroup_table


def row(effect: str) -> dict[Any, Any]:
    return subgroup_table().table.set_index("covariate").loc[effect].to_dict()


def test_an_effect_of_a_measurement_has_its_row() -> None:
    content = {
        "model": "ogasawara_2021",
        "data": "synthetic_cart_12",
        "name": "measured",
        "observe": {"car_copies": {}},
        "covariates": {"cmax": [{"covariate": "car_copies@7", "form": "power"}]},
    }
    bound = bind(plan_of(content))
    sites = {k: np.full(2000, float(p.median)) for k, p in bound.priors().items()}
    sites |= {f"eta_{k}": np.zeros((2000, len(bound.subjects))) for k in bound.hierarchy.vary}
    sites["beta_cmax_car_copies@7"] = 0.5 + 0.1 * norm.ppf(QUANTILES)
    (row,) = subgroups(written_posterior(bound, sites)).table.to_dict("records")
    assert (row["covariate"], row["n"], row["level"]) == ("car_copies@7", 12, "")
    assert row["per_unit"] == pytest.approx(0.5, rel=1e-3)


def test_a_level_is_a_ratio_against_the_most_frequent_one() -> None:
    sex, subjects = row("sex"), subgroup_fit().study.subjects["sex"]
    assert (sex["level"], sex["reference"]) == ("male", "female")
    assert (sex["n"], sex["n_reference"]) == ((subjects == "male").sum(), (subjects == "female").sum())
    assert sex["scale"] == "ratio"
    assert sex["estimate"] == pytest.approx(np.exp(0.1), rel=1e-3)
    assert sex["lower"] == pytest.approx(np.exp(0.1 - 1.645 * 0.3), rel=3e-3)
    assert sex["upper"] == pytest.approx(np.exp(0.1 + 1.645 * 0.3), rel=3e-3)
    assert sex["p_above"] == pytest.approx(norm.cdf(1 / 3), abs=2e-3)
    relevant = norm.cdf((np.log(0.8) - 0.1) / 0.3) + norm.sf((np.log(1.25) - 0.1) / 0.3)
    assert sex["p_relevant"] == pytest.approx(relevant, abs=2e-3)
    assert sex["prior_upper"] == pytest.approx(np.exp(1.645 * 0.5), rel=1e-3)
    assert sex["contraction"] == pytest.approx(1 - 0.09 / 0.25, abs=3e-3)


def test_what_the_data_alone_say_undoes_a_normal_prior() -> None:
    """Precisions subtract: 1/se^2 = 1/0.3^2 - 1/0.5^2, and the estimate is 0.1 se^2/0.3^2."""
    se = (1 / 0.09 - 1 / 0.25) ** -0.5
    assert row("sex")["data_se"] == pytest.approx(se, rel=5e-3)
    assert row("sex")["data_estimate"] == pytest.approx(0.1 * se**2 / 0.09, rel=1e-2)
    least = norm.ppf(0.95) * se * np.sqrt((0.25 + se**2) / 0.25)
    assert row("sex")["detectable"] == pytest.approx(np.exp(least), rel=1e-2)
    assert row("sex")["false_chance"] == pytest.approx(2 * norm.sf(least / se), rel=2e-2)
    assert (
        f"beyond {np.exp(least):.2g} or below {np.exp(-least):.2g} could have been told" in row("sex")["says"]
    )
    assert "5 of them male" in row("sex")["says"] or f"{row('sex')['n']} of them male" in row("sex")["says"]
    assert row("sex")["verdict"] == "nothing shown"


def test_a_number_is_told_per_sd_and_per_unit() -> None:
    age = subgroup_fit().study.subjects["age"].to_numpy(float)
    assert row("age")["estimate"] == pytest.approx(np.exp(0.01 * age.std()), rel=1e-3)
    assert row("age")["per_unit"] == pytest.approx(np.exp(0.01), rel=1e-4)
    assert row("age")["prior_upper"] == pytest.approx(np.exp(1.645 * 0.02 * age.std()), rel=1e-3)
    assert row("age")["per"] == f"SD, {age.std():.3g} year"
    level = np.log(subgroup_fit().study.subjects["dose_level"].to_numpy(float))
    assert row("dose_level")["per_unit"] == pytest.approx(0.8, rel=1e-3)  # the exponent
    assert row("dose_level")["per"] == f"SD, x{np.exp(level.std()):.3g}"
    assert row("dose_level")["estimate"] == pytest.approx(np.exp(0.8 * level.std()), rel=1e-3)


def test_a_shrunk_number_has_the_effect_of_one_unit_too() -> None:
    beta = subgroup_fit().sites()["beta_tmax_weight_kg"]
    sd = subgroup_fit().study.subjects["weight_kg"].to_numpy(float).std()
    assert row("weight_kg")["estimate"] == pytest.approx(np.exp(np.median(beta)))
    assert row("weight_kg")["per_unit"] == pytest.approx(np.exp(np.median(beta) / sd))
    prior = subgroup_fit().bound.hierarchy.shrinkage.marginal("tmax")  # pyright: ignore
    assert row("weight_kg")["prior_lower"] == pytest.approx(np.exp(prior.quantile(0.05)))
    assert row("weight_kg")["contraction"] == pytest.approx(1 - np.var(beta) / prior.variance)


def test_an_interval_that_excludes_1_is_a_signal_and_a_sure_relevant_change_is_shown() -> None:
    level, age = row("dose_level"), row("age")
    assert level["lower"] > 1
    assert level["p_relevant"] > 0.95
    assert level["verdict"] == "shown"
    assert age["lower"] > 1
    assert age["p_relevant"] < 0.95
    assert age["verdict"] == "signal"
    assert "its size is open" in age["says"]
    assert set(subgroup_table().signals["covariate"]) == {"age", "dose_level"}


def test_the_statement_counts_what_was_looked_at_and_what_chance_would_find() -> None:
    table, said = subgroup_table().table, subgroup_table().statement
    assert said.startswith("5 effects in 12 subjects")
    assert subgroup_table().expected_false == pytest.approx(table["false_chance"].sum())
    assert "0.5 with flat priors" in said
    assert "2 exclude it: age on cmax, dose_level on cmax" in said
    assert "Effective number of shrunk effects" in said


def test_draws_from_the_prior_teach_nothing_and_leave_m_eff_where_it_was() -> None:
    """The posterior of the Tmax effects is their prior: equal quantiles of m_eff, no contraction, a vast
    data_se.
    """
    after, before = effective_number(subgroup_fit())
    assert after[0] == pytest.approx(before[0], abs=0.06)
    assert after[2] == pytest.approx(before[2], rel=0.05)
    assert abs(row("weight_kg")["contraction"]) < 0.25
    shared = subgroup_fit().bound.hierarchy.shrinkage
    assert shared is not None
    assert row("weight_kg")["data_se"] > 3 * np.sqrt(shared.marginal("tmax").variance)
    assert row("weight_kg")["verdict"] == "nothing shown"


def test_what_the_data_alone_say_is_the_exact_answer_of_a_linear_model() -> None:
    """The exact posterior with a tight prior, drawn from; the exact one with no prior, got back."""
    line = linear_study()
    sites = {f"omega_{k}": v for k, v in zip("abc", (0.8, 1.2, 0.6), strict=True)}
    sites |= {"sigma_add_theophylline": 0.5}

    def exact(sd: float) -> tuple[float, float]:
        bound = line.bound(covariates={"a": [{"covariate": "weight_kg", "centre": 70.0, "sd": sd}]})
        mean, covariance = line.posterior(sites, bound)
        return float(mean[3]), float(covariance[3, 3]) ** 0.5

    (mean, sd), (alone, se) = exact(0.02), exact(1e4)
    assert sd < 0.8 * se
    draws = np.random.default_rng(2).permutation(mean + sd * norm.ppf(QUANTILES))
    got = data_alone(draws, [ScaleMixture(np.array([0.02]), np.ones(1))] * len(draws))
    assert got == (pytest.approx(alone, rel=0.02), pytest.approx(se, rel=0.02))


def test_what_the_data_alone_say_is_found_through_a_horseshoe() -> None:
    """Draws of effects from the exact posterior given each tau, for a likelihood that is known."""
    shared, rng = subgroup_fit().bound.hierarchy.shrinkage, np.random.default_rng(3)
    assert shared is not None
    for estimate, se in ((0.9, 0.2), (0.05, 0.15)):
        given, draws = [], []
        for tau in 0.3 * np.exp(0.5 * rng.standard_normal(400)):
            mixture = shared.given("tmax", float(tau))
            total = mixture.sds**2 + se**2
            weight = mixture.weights * norm.pdf(estimate, scale=np.sqrt(total))
            s2 = mixture.sds[rng.choice(len(weight), p=weight / weight.sum())] ** 2
            kept = s2 / (s2 + se**2)
            draws.append(kept * estimate + np.sqrt(kept) * se * rng.standard_normal())
            given.append(mixture)
        got = data_alone(np.array(draws), given)
        assert got[1] == pytest.approx(se, rel=0.25)
        assert got[0] == pytest.approx(estimate, abs=0.5 * se)


def test_a_difference_has_no_relevant_range_and_says_its_unit() -> None:
    line, rng = linear_study(), np.random.default_rng(4)
    bound = line.bound()
    sites = {k: np.full(500, float(p.median)) for k, p in bound.priors().items()}
    sites |= {f"eta_{k}": np.zeros((500, 12)) for k in bound.hierarchy.vary}
    sites["beta_a_weight_kg"] = 0.03 * rng.standard_normal(500)
    fit = written_posterior(bound, sites)
    only = subgroups(fit).table.iloc[0]
    assert only["scale"] == "difference"
    assert np.isnan(only["p_relevant"])
    assert only["verdict"] == "nothing shown"
    assert "±" in only["says"]
    with pytest.raises(StudyError, match="is a ratio"):
        plot_forest(fit, subgroups(fit))


def test_a_fit_without_covariates_says_so() -> None:
    with pytest.raises(StudyError, match="no covariate effect"):
        kn.checks.subgroups(theophylline_fit())


def test_the_parameter_table_has_the_effects_and_their_shared_prior() -> None:
    table = kn.parameter_table(subgroup_fit()).set_index("site")
    assert table.loc["beta_tmax_weight_kg", "kind"] == "covariate effect"
    assert str(table.loc["beta_tmax_weight_kg", "prior"]).startswith("shared, 90 % between")
    assert table.loc[GLOBAL, "kind"] == "shrinkage of effects"
    assert np.isfinite(float(table.loc["beta_tmax_weight_kg", "ess_bulk"]))  # pyright: ignore


# --- the forest
# ----------------------------------------------------------------------------------------------


def test_the_forest_draws_every_ratio_with_its_intervals() -> None:
    figure, table = plot_forest(subgroup_fit(), subgroup_table()), subgroup_table().table
    (points,), (interval,), (prior,) = (traces(figure, k) for k in ("estimate", "interval", "prior"))
    np.testing.assert_allclose(points.x, table["estimate"])
    assert len(set(points.y)) == len(table)
    assert interval.x[0::3] == tuple(table["lower"])
    assert interval.x[1::3] == tuple(table["upper"])
    assert prior.x[0::3] == tuple(table["prior_lower"])
    assert prior.x[1::3] == tuple(table["prior_upper"])
    filled = [colour != "white" for colour in points.marker.color]
    assert filled == table["verdict"].isin(["shown", "signal"]).tolist()
    (band,), (none,) = traces(figure, "band"), traces(figure, "none")
    assert (min(band.x), max(band.x)) == (0.8, 1.25)
    assert set(none.x) == {1}
    assert figure.layout.xaxis.type == "log"
    assert "SYNTHETIC DATA" in annotation(figure, "labels")
    assert subgroup_fit().study.sha256[:8] in annotation(figure, "footer")
    names = list(figure.layout.yaxis.ticktext)
    assert "Sex: male" in names[1]
    assert "NaN" not in str(figure.to_json())


def test_a_fit_with_one_covariate_has_a_forest_too() -> None:
    figure = plot_forest(cart_fit(), subgroups(cart_fit()))
    assert len(traces(figure, "estimate")[0].x) == 1
