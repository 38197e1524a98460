"""A plan meets its study and model: mismatches refused at once, and a density that sees only what it
should.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from kinetics.errors import ModelError, PlanError
from kinetics.library import ROOT
from kinetics.model.model import load_model
from kinetics.model.priors import HalfCauchy, HalfNormal, LogNormal
from kinetics.plan.binding import BoundFit, bind, describe_records
from kinetics.solve.solving import solve
from kinetics.study.study import Study
from tests.support.plans import BOTH, RICH, plan, study_of


def subset(study: Study, subjects: list[str]) -> Study:
    """The study of these subjects, in this order."""
    doses, seen = (t[t["subject"].isin(subjects)] for t in (study.doses, study.observations))
    return replace(study, subjects=study.subjects.loc[subjects], doses=doses, observations=seen)


def draw(bound: BoundFit, number: int = 0) -> dict[str, jax.Array]:
    """One draw of the sites from their priors, on their own scale."""
    priors, vary = bound.priors(), bound.hierarchy.vary
    keys = iter(jax.random.split(jax.random.key(number), len(priors) + len(vary)))
    drawn = {k: p.to_numpyro().sample(next(keys)) for k, p in priors.items()}
    return drawn | {f"eta_{k}": jax.random.normal(next(keys), (len(bound.subjects),)) for k in vary}


def of_subjects(sites: dict[str, jax.Array], rows: np.ndarray) -> dict[str, jax.Array]:
    return {k: v[rows] if jnp.ndim(v) else v for k, v in sites.items()}


def by_subject(bound: BoundFit, sites: dict[str, jax.Array]) -> dict[str, np.ndarray]:
    """Analyte -> log-likelihood of each subject."""
    terms = jax.jit(bound.record_log_likelihood)(sites, bound.data)
    return {analyte: np.asarray(t).sum(axis=1) for analyte, t in terms.items()}


PLACES = [
    "vary",
    "effects.correlated",
    "effects.tails",
    "effects.centred",
    "effects.non_centred",
    "gamma",
    "fixed",
    "priors",
    "omega",
    "covariates",
    "allometry",
]


@pytest.mark.parametrize("key", PLACES)
def test_an_unknown_parameter_is_refused_in_every_key_with_the_nearest(study: Study, key: str) -> None:
    spec: dict[str, Any] = {
        "vary": ["cmaxx"],
        "effects.correlated": [["cmaxx"]],
        "effects.tails": {"cmaxx": 4.0},
        "effects.centred": ["cmaxx"],
        "effects.non_centred": ["cmaxx"],
        "gamma": {"cmaxx": {"median": 1, "sd": 1}},
        "fixed": {"cmaxx": 1.0},
        "priors": {"cmaxx": {"median": 1, "sd": 1}},
        "omega": {"cmaxx": {"median": 1, "sd": 1}},
        "covariates": {"cmaxx": [{"covariate": "age"}]},
        "allometry": {"cmaxx": {"exponent": 1}},
    }
    table, _, inner = key.partition(".")
    with pytest.raises(PlanError) as caught:
        bind(plan(**{table: {inner: spec[key]} if inner else spec[key]}), study=study)
    (problem,) = caught.value.problems
    assert problem.what == f"{key}: model ogasawara_2021 has no parameter 'cmaxx'"
    assert problem.remedy == "did you mean 'cmax'?"
    assert problem.file == "mine"


@pytest.mark.parametrize(
    ("observe", "what", "remedy"),
    [
        ({"car_copy": {}}, "no analyte 'car_copy'", "did you mean 'car_copies'?"),
        ({"car_copies": {"output": "blood"}}, "no output 'blood'", "known: cells, copies"),
        ({"car_copies": {"output": "coppies"}}, "no output 'coppies'", "did you mean 'copies'?"),
        ({"car_copies": {"output": "cells"}}, "copies/ug DNA", "cells [cells/uL]"),
    ],
)
def test_an_observation_the_model_cannot_give_is_refused(
    study: Study, observe: dict[str, Any], what: str, remedy: str
) -> None:
    with pytest.raises(PlanError) as caught:
        bind(plan(observe=observe), study=study)
    (problem,) = caught.value.problems
    assert what in problem.what
    assert remedy in problem.remedy


def test_what_is_centred_is_neither_in_a_block_nor_non_centred(study: Study) -> None:
    effects = {"centred": ["cmax", "tmax"], "non_centred": ["tmax"], "correlated": [["cmax", "fb"]]}
    with pytest.raises(PlanError) as caught:
        bind(plan(effects=effects), study=study)
    said = [p.what for p in caught.value.problems]
    assert said == ["effects.centred: cmax is also in a block", "effects.centred: tmax is also non_centred"]


def test_a_plan_that_lets_no_record_of_an_analyte_in_is_refused_with_the_last_day(study: Study) -> None:
    last = study.observed("car_copies")["time"].max()
    bind(plan(observe={"car_copies": {"after": last - 0.01}}), study=study)
    with pytest.raises(PlanError, match=f"no record after day {last:g}, the last is of day {last:g}; lower"):
        bind(plan(observe={"car_copies": {"after": last}}), study=study)


def test_a_prior_on_another_scale_than_the_models_is_refused(study: Study) -> None:
    with pytest.raises(PlanError, match=r"priors\.fb: a LogNormal; ogasawara_2021 wants a LogitNormal"):
        bind(plan(priors={"fb": {"median": 0.01, "sd": 1.0}}), study=study)


def test_every_mismatch_is_reported_at_once(study: Study) -> None:
    wrong = plan(
        vary=["cmaxx"],
        fixed={"tmaxx": 1.0},
        covariates={"cmax": [{"covariate": "agee"}]},
        products=["car_nk"],
        observe={"car_copy": {}, "car_cells": {"output": "cell"}},
        priors={"fb": {"median": 0.1, "sd": 1}},
    )
    holes = study.subjects.assign(weight_kg=study.subjects["weight_kg"].mask(study.subjects.index == "S07"))
    with pytest.raises(PlanError) as caught:
        bind(wrong, study=replace(study, subjects=holes))
    wanted = ("'cmaxx'", "'tmaxx'", "'agee'", "'car_copy'", "'cell'", "priors.fb", "product car_nk")
    assert [w for w in wanted if w not in str(caught.value)] == []


def test_a_model_of_cells_refuses_a_study_of_milligrams_and_the_other_way_round(study: Study) -> None:
    theophylline = study_of("theophylline")
    seen = theophylline.observations.assign(analyte="car_copies")
    drug = replace(theophylline, observations=seen, dictionary=study.dictionary)
    for model, data in (("one_compartment_oral", study), ("ogasawara_2021", drug)):
        with pytest.raises(PlanError, match=r"takes \w+ in (mg|cells), the study gives it in (mg|cells)"):
            bind(plan(model=model), study=data)


def test_a_fixed_value_outside_the_scale_of_its_parameter_is_refused(study: Study) -> None:
    with pytest.raises(PlanError, match="cmax"):
        bind(plan(fixed={"cmax": -1.0}), study=study)
    with pytest.raises(PlanError, match="fb"):
        bind(plan(fixed={"fb": 1.5}), study=study)
    with pytest.raises(PlanError, match="tmax"):
        bind(plan(fixed={"tmax": float("nan")}), study=study)


@pytest.mark.parametrize(
    "keys",
    [
        {"omega": {"cmax": {"distribution": "Normal", "mean": 0.0, "sd": 1.0}}},
        {"vary": ["cmax"], "omega": {"fb": {"median": 1.0, "sd": 0.5}}},
        {"vary": ["cmax"], "effects": {"correlated": [["cmax", "fb"]]}},
        {"vary": ["cmax"], "effects": {"tails": {"fb": 5.0}}},
        {"effects": {"correlated": [["cmax", "fb"], ["fb", "tmax"]]}},
        {"effects": {"correlated": [["cmax", "fb"]], "tails": {"fb": 5.0}}},
        {"vary": ["fb"], "fixed": {"fb": 0.01}},
        {"fixed": {"fb": 0.01}, "priors": {"fb": {"distribution": "LogitNormal", "median": 0.1, "sd": 1}}},
        {"allometry": {"fb": {"exponent": 0.75}}},
        {"covariates": {"cmax": [{"covariate": "age"}, {"covariate": "age", "form": "power"}]}},
        {"observe": {"car_copies": {"likelihood": "additive", "sigma": {"median": 0.2, "sd": 0.3}}}},
        {"observe": {"car_copies": {"sigma_add": {"median": 20.0, "sd": 0.3}}}},
        {
            "observe": {
                "car_copies": {
                    "likelihood": "combined",
                    "sigma_add": {"distribution": "Normal", "mean": 1.0, "sd": 1.0},
                }
            }
        },
        {"observe": {"car_copies": {"sigma": {"distribution": "Normal", "mean": 0.0, "sd": 0.3}}}},
        {"observe": {}},
        {"products": []},
        {"expect": {"cmaxx": {"median": 1.0, "within": 1.0}}},
    ],
    ids=lambda keys: " ".join(keys),
)  # fmt: skip
def test_a_key_that_could_not_do_what_it_says_is_refused(study: Study, keys: dict[str, Any]) -> None:
    """A plan is never quietly changed: what it asks is done, or refused."""
    with pytest.raises(PlanError):
        bind(plan(**keys), study=study)


@pytest.mark.parametrize(
    ("old", "new"),
    [('return {"copies": p', 'return {"copy": p'), ('-p["alpha"]', '-p["alfa"]')],
)
def test_a_solution_that_lacks_a_state_or_a_parameter_is_refused_by_its_file(
    study: Study, old: str, new: str, tmp_path: Path
) -> None:
    text = (ROOT / "models" / "stein_2019.py").read_text()
    assert old in text
    path = tmp_path / "mine.py"
    path.write_text(text.replace(old, new))
    with pytest.raises(ModelError, match=r"mine\.py"):
        bind(plan(model=str(path)), study=study)


@pytest.mark.parametrize(
    ("analyte", "named", "output"),
    [("car_copies", None, "copies"), ("car_cells", None, "cells"), ("car_cells", "cells", "cells")],
)
def test_an_analyte_reads_the_output_named_or_the_first_in_its_unit(
    study: Study, analyte: str, named: str | None, output: str
) -> None:
    (assay,) = bind(plan(observe={analyte: {"output": named} if named else {}}), study=study).assays
    assert (assay.analyte, assay.output, assay.unit) == (analyte, output, study.analytes[analyte].unit)


@pytest.mark.parametrize(
    ("observe", "unused"),
    [(["car_copies"], ("nucleated_per_vcn",)), (["car_cells"], ()), (["car_copies", "car_cells"], ())],
)
def test_a_parameter_that_reaches_no_observed_output_is_held_and_said_to_be(
    study: Study, observe: list[str], unused: tuple[str, ...]
) -> None:
    bound = bind(plan(observe={a: {} for a in observe}), study=study)
    assert bound.unused == unused
    assert ("held at their typical value" in describe_records(bound)) == bool(unused)
    for name in unused:
        assert bound.hierarchy.fixed[name] == bound.model.parameters[name].value
        assert f"{name}_pop" not in bound.priors()
        assert name not in bound.hierarchy.vary
        np.testing.assert_allclose(bound.theta(draw(bound), bound.data)[name], 1000.0)


def test_who_varies_is_the_models_published_sds_unless_the_plan_says(study: Study) -> None:
    published = tuple(
        k for k, p in bind(plan(**BOTH), study=study).model.parameters.items() if p.sd is not None
    )
    assert bind(plan(**BOTH), study=study).hierarchy.vary == published
    some = bind(plan(**BOTH, vary=["tmax", "cmax"], omega={"tmax": {"median": 0.2, "sd": 0.1}}), study=study)
    assert set(some.hierarchy.omega) == {"tmax", "cmax"}
    assert some.hierarchy.omega["tmax"] == LogNormal(0.2, 0.1)
    assert some.hierarchy.omega["cmax"] == some.model.parameters["cmax"].omega_prior
    nobody = bind(plan(**BOTH, vary=[]), study=study)
    assert not any(site.startswith(("omega_", "eta_")) for site in draw(nobody))


def test_the_additive_sd_has_a_prior_of_its_own_and_sds_may_be_half_cauchy(study: Study) -> None:
    cauchy = {"distribution": "HalfCauchy", "scale": 0.4}
    combined: dict[str, Any] = {"likelihood": "combined", "sigma_scale": 3.0}
    both = combined | {"sigma": cauchy, "sigma_add": {"median": 90, "sd": 0.2}}
    priors = bind(plan(observe={"car_copies": both}, omega={"cmax": cauchy}), study=study).priors()
    assert priors["sigma_add_car_copies"] == LogNormal(90.0, 0.2)
    assert priors["sigma_car_copies"] == HalfCauchy(0.4)
    assert priors["omega_cmax"] == HalfCauchy(0.4)
    one = combined | {"sigma": {"median": 0.1, "sd": 0.2}}
    priors = bind(plan(observe={"car_copies": one}), study=study).priors()
    assert priors["sigma_add_car_copies"] == HalfNormal(3.0)


def test_priors_fixed_values_and_prior_sets_of_the_plan_reach_the_density(study: Study) -> None:
    keys = {
        "prior_set": "solid_tumour",
        "priors": {"tmax": {"median": 8.0, "sd": 0.2}},
        "fixed": {"doubling_time": 0.8},
    }
    priors = bind(plan(**keys), study=study).priors()
    assert priors["tmax_pop"] == LogNormal(8.0, 0.2)
    assert priors["cmax_pop"] == LogNormal(2000.0, 1.3)
    assert priors["sigma_car_copies"] == HalfNormal(1.0)
    assert "doubling_time_pop" not in priors
    bound = bind(plan(**keys), study=study)
    assert set(draw(bound)) == {*priors, *(f"eta_{k}" for k in bound.hierarchy.vary)}


def test_every_record_of_the_study_enters_by_its_kind_and_is_counted(study: Study) -> None:
    said = describe_records(bind(plan(**BOTH), study=study))
    for analyte in ("car_copies", "car_cells"):
        seen = study.observed(analyte)
        left = (seen["censored"] == "left").sum()
        assert f"{analyte}: {len(seen)} records, {left} below LLOQ by log-CDF (M3)" in said
    dropped = describe_records(bind(plan(observe={"car_copies": {"below_lloq": "drop"}}), study=study))
    copies = study.observed("car_copies")
    assert (
        f"car_copies: {(copies['censored'] == 'none').sum()} records, 0 below LLOQ left out (M1)" in dropped
    )


def test_the_joint_density_is_the_priors_plus_every_records_likelihood(study: Study) -> None:
    bound = bind(plan(**RICH), study=study)
    sites = draw(bound)
    prior = sum(float(p.to_numpyro().log_prob(sites[k])) for k, p in bound.priors().items())
    etas = np.array([sites[f"eta_{name}"] for name in bound.hierarchy.vary])
    prior += np.sum(-0.5 * etas**2 - 0.5 * np.log(2 * np.pi))
    likelihood = sum(float(t.sum()) for t in bound.record_log_likelihood(sites, bound.data).values())
    assert float(bound.log_density(sites, bound.data)) == pytest.approx(prior + likelihood, rel=1e-10)


def test_permuting_the_subjects_permutes_their_likelihood(study: Study) -> None:
    order = np.random.default_rng(3).permutation(len(study.subject_ids))
    bound = bind(plan(**RICH), study=study)
    turned = bind(plan(**RICH), study=subset(study, [study.subject_ids[i] for i in order]))
    sites = draw(bound)
    before, after = by_subject(bound, sites), by_subject(turned, of_subjects(sites, order))
    for analyte in before:
        assert np.ptp(before[analyte]) > 1.0
        np.testing.assert_allclose(after[analyte], before[analyte][order], rtol=1e-10)
    lp = [b.log_density(s, b.data) for b, s in ((bound, sites), (turned, of_subjects(sites, order)))]
    assert float(lp[0]) == pytest.approx(float(lp[1]), rel=1e-12)


def test_a_subjects_likelihood_does_not_depend_on_who_is_beside_him(study: Study) -> None:
    """Alone, and beside one with a single record and one with many more doses: padding costs nothing."""
    some = study.subject_ids[:3]
    few = study.observations[study.observations["subject"] != "S03"]
    few = pd.concat([few, study.observed("car_copies").query("subject == 'S03'").tail(1)])
    more = pd.concat(
        [study.doses, *(study.doses.query("subject == 'S03'").assign(time=30.0 + i) for i in range(4))]
    )
    crowd = replace(subset(replace(study, observations=few), some), doses=more[more["subject"].isin(some)])
    together = bind(plan(**BOTH), study=crowd)
    sites = draw(together)
    terms = by_subject(together, sites)
    assert together.data.doses.time.shape[1] > 4
    alone = bind(plan(**BOTH), study=subset(study, ["S01"]))
    assert alone.data.observations.time.shape[1] <= together.data.observations.time.shape[1]
    for analyte, value in by_subject(alone, of_subjects(sites, np.array([0]))).items():
        assert value[0] == pytest.approx(terms[analyte][0], rel=1e-10)


def test_a_padded_slot_has_no_likelihood_and_no_gradient(study: Study) -> None:
    bound = bind(plan(**RICH), study=study)
    sites = draw(bound)
    terms = jax.jit(bound.record_log_likelihood)(sites, bound.data)
    for analyte, records in bound.data.observations.assays.items():
        there = records.measured | records.left | records.right | records.interval
        assert 0 < there.sum() == len(study.observed(analyte)) < there.size
        assert not np.asarray(terms[analyte])[~there].any()

    @jax.jit
    @jax.grad
    def gradient(s: dict[str, jax.Array]) -> jax.Array:
        return sum((t.sum() for t in bound.record_log_likelihood(s, bound.data).values()), jnp.zeros(()))

    assert all(bool(jnp.all(jnp.isfinite(g))) for g in gradient(sites).values())


@pytest.mark.parametrize("name", ["biphasic_decline", "ogasawara_2021", "stein_2019", "transit_2022"])
def test_the_solution_of_a_subject_does_not_depend_on_the_batch(study: Study, name: str) -> None:
    bound = bind(plan(**BOTH), study=study)
    model = load_model(name)
    rng = np.random.default_rng(5)
    n = len(study.subject_ids)
    theta = {k: v * np.exp(0.2 * rng.standard_normal(n)) for k, v in model.typical().items()}
    times, doses = bound.data.observations.time, bound.data.doses
    compiled = jax.jit(partial(solve, model))
    together = compiled(times, theta, doses)
    for i in (0, n - 1):
        one = compiled(
            times[[i]], {k: v[[i]] for k, v in theta.items()}, type(doses)(*(d[[i]] for d in doses))
        )
        for output, value in one.items():
            np.testing.assert_allclose(value[0], together[output][i], rtol=1e-12)


def test_one_shape_of_data_is_traced_once(study: Study) -> None:
    bound = bind(plan(**RICH), study=study)
    sites, traced = draw(bound), []

    @jax.jit
    def total(s: dict[str, jax.Array], data: Any) -> jax.Array:
        traced.append(1)
        return bound.log_density(s, data)

    shifted = study.observations.assign(value=study.observations["value"] * 1.1)
    other = bind(plan(**RICH), study=replace(study, observations=shifted))
    first, second = float(total(sites, bound.data)), float(total(sites, other.data))
    third = float(total(draw(bound, 1), other.data))
    assert len(traced) == 1
    assert len({first, second, third}) == 3
    assert first == pytest.approx(float(bound.log_density(sites, bound.data)), rel=1e-12)


def test_a_record_said_to_be_after_a_dose_of_the_same_time_is_read_as_before_it_and_said(study):
    records = study.observations.assign(timing="")
    at_dose = (records["subject"] == "S12") & (records["time"] == 14.0)
    records.loc[at_dose & (records["analyte"] == "car_copies"), "timing"] = "after"
    said = describe_records(bind(plan(), study=replace(study, observations=records)))
    assert "1 records said to be taken after a dose of the same time are read as taken before it" in said
    assert "said to be taken after" not in describe_records(bind(plan(), study=study))


def test_a_record_above_the_uloq_with_a_limit_is_counted_as_an_interval(study):
    records = study.observations.copy()
    first = records.index[(records["analyte"] == "car_copies") & (records["censored"] == "none")][0]
    records.loc[first, ["censored", "value", "uloq", "limit"]] = ["right", 9e4, 9e4, 1e5]
    bound = bind(plan(), study=replace(study, observations=records))
    assert "0 above ULOQ, 1 interval" in describe_records(bound)
    (assay,) = (a for a in bound.assays if a.analyte == "car_copies")
    assert set(assay.present) == {"left", "interval"}
