"""Where chains begin: near the prior or around the maximum, and never where a record is impossible."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kinetics.checks.calibration.prior_study import PriorStudy
from kinetics.errors import FitError
from kinetics.inference.coordinates import coordinates_shape
from kinetics.inference.laplace.marginal import Marginal
from kinetics.inference.possible_starts import constrained_start, impossible_records, possible_centre
from kinetics.inference.posterior import Posterior
from kinetics.inference.starts import begin
from kinetics.plan.binding import bind
from kinetics.plan.plan import read_plan
from kinetics.study.study import Study
from tests.support.linear import linear_study
from tests.support.plans import BOTH, RICH, plan, study, study_of

__all__ = ["study"]


def test_chains_without_a_maximum_start_near_the_typical_patient_of_the_prior(study: Study) -> None:
    bound = bind(plan(**RICH, sampler={"chains": 3, "start": "prior"}), study=study)
    typical = constrained_start(bound)
    assert float(typical["cmax_pop"]) == pytest.approx(24000.0)
    assert not np.asarray(typical["eta_cmax"]).any()
    posterior = Posterior(bound)
    coordinates, start, _ = begin(posterior, bound.data, bound.plan.sampler, jax.random.key(1))
    assert start.shape == (3, posterior.size)
    starts = [
        posterior.sites(coordinates.centre + v)[0]["cmax_pop"] for v in start[:, : posterior.population]
    ]
    assert len({float(x) for x in starts}) == 3
    assert max(abs(np.log(float(x) / 24000.0)) for x in starts) < 0.5
    assert impossible_records(bound, typical) == []


def test_a_measured_record_before_the_first_dose_is_named_by_subject_day_and_analyte(study: Study) -> None:
    first = study.doses["subject"].isin(["S02", "S05"])
    late = replace(study, doses=study.doses.assign(time=study.doses["time"] + np.where(first, 5.5, 0.0)))
    bound = bind(plan(**BOTH), study=late)
    with pytest.raises(FitError) as caught:
        possible_centre(Posterior(bound), jax.random.key(0))
    text = str(caught.value)
    seen = late.observations
    early = seen[seen["subject"].isin(["S02", "S05"]) & (seen["time"] < 5.5) & (seen["censored"] == "none")]
    assert len(early) >= 2
    assert f"{len(early)} records are impossible" in text
    for row in early.head(20).itertuples():
        assert f"subject {row.subject}, day {row.time:g}, {row.analyte}: a measured value where" in text
    assert "check dose and sample times" in text
    assert "S01" not in text


def test_a_record_before_the_first_dose_is_possible_below_the_lloq_and_for_additive_error() -> None:
    study = study_of("theophylline")
    keys: dict[str, Any] = {"model": "one_compartment_oral", "data": "theophylline"}
    additive = bind(plan(**keys, observe={"theophylline": {"likelihood": "additive"}}), study=study)
    assert impossible_records(additive, constrained_start(additive)) == []
    lognormal = bind(plan(**keys, observe={"theophylline": {}}), study=study)
    lines = impossible_records(lognormal, constrained_start(lognormal))
    assert lines[0].startswith("subject 1, day 0, theophylline: a measured value where")


def test_an_undefined_prediction_is_named_with_its_value(study: Study) -> None:
    bound = bind(plan(), study=study)
    broken = constrained_start(bound) | {"eta_cmax": jnp.zeros(12).at[3].set(jnp.nan)}
    lines = impossible_records(bound, broken)
    assert lines
    assert all(re.match(r"subject S04, day .*, car_copies: prediction nan", line) for line in lines)


def test_coordinates_begin_each_chain_as_a_standard_normal_around_the_maximum_and_say_so() -> None:
    bound, lines = linear_study().bound(), []
    posterior = Posterior(bound)
    settings = bound.plan.sampler
    coordinates, start, _ = begin(posterior, bound.data, settings, jax.random.key(2), announce=lines.append)
    assert coordinates.information is not None
    assert start.shape == (settings.chains, posterior.size)
    assert abs(float(jnp.mean(start))) < 4 / np.sqrt(start.size)
    assert abs(float(jnp.std(start)) - 1) < 4 / np.sqrt(2 * start.size)
    assert any("chains begin around its maximum" in line for line in lines)


@pytest.mark.parametrize(
    "keys",
    [
        {}, {"vary": []}, {"effects": {"centred": ["a"]}}, {"effects": {"non_centred": ["b"]}},
        {"mixture": {"shifts": {"a": {"distribution": "Normal", "mean": 6.0, "sd": 2.0}}}},
    ],
    ids=("plain", "nobody varies", "centred", "non-centred", "mixture"),
)  # fmt: skip
def test_programs_are_compiled_for_the_coordinates_that_come(keys: dict[str, Any]) -> None:
    posterior = Posterior(bound := linear_study().bound(**keys))
    coordinates, _, _ = begin(posterior, bound.data, bound.plan.sampler, jax.random.key(2))
    assert coordinates.information is not None
    told, found = (
        jax.tree.map(lambda x: (x.shape, np.dtype(x.dtype)), c)
        for c in (coordinates_shape(posterior), coordinates)
    )
    assert told == found


def test_where_no_maximum_is_found_chains_begin_at_the_prior_and_it_is_announced() -> None:
    class Flat:
        def modes(self, *arguments: Any, **keys: Any) -> Any:
            raise np.linalg.LinAlgError

        def maximise(self, *arguments: Any, **keys: Any) -> Any:
            raise FitError("flat")

    bound, lines = linear_study().bound(), []
    posterior = Posterior(bound)
    flat: Any = Flat()
    flat.posterior = posterior
    coordinates, start, _ = begin(
        posterior, bound.data, bound.plan.sampler, jax.random.key(2), announce=lines.append, marginal=flat
    )
    assert coordinates.information is None
    assert float(jnp.abs(start).max()) < 0.6
    assert len(lines) == 1
    assert lines[0].startswith(
        "Laplace's method failed (from the prior medians: flat; from draw 1 of the priors: flat"
    )
    assert lines[0].endswith("chains begin at the prior medians")


def test_chains_begin_around_the_maximum_where_nobody_varies_too() -> None:
    bound, lines = linear_study().bound(**{"vary": []}), []
    posterior = Posterior(bound)
    _, start, _ = begin(posterior, bound.data, bound.plan.sampler, jax.random.key(2), announce=lines.append)
    assert posterior.vary == ()
    assert start.shape == (bound.plan.sampler.chains, posterior.population)
    assert any("chains begin around its maximum" in line for line in lines)


def test_the_search_finds_the_peak_of_a_patient_whose_records_the_middle_curve_would_miss() -> None:
    """Study 92 of the demo's calibration: from the middle curve, one patient's mode is 24 below its truth."""
    bound = bind(read_plan("ogasawara_2021__synthetic_cart_12"))
    made = PriorStudy.of(bound)
    drawn, bound = made.draw(bound.plan.seed, 92), made.fitted
    posterior = Posterior(bound)
    found = Marginal(posterior).maximise(drawn.data, np.asarray(posterior.plain().centre), with_prior=True)
    at_modes = posterior.with_effects(posterior.sites(jnp.asarray(found.g))[0], jnp.asarray(found.modes.b))
    at_mode, at_truth = (
        np.asarray(bound.subject_log_likelihood({k: jnp.asarray(v) for k, v in s.items()}, drawn.data))
        for s in (at_modes, drawn.sites)
    )
    assert (at_mode > at_truth - 10).all(), (at_mode - at_truth).round(1)
