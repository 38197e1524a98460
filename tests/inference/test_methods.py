"""map, laplace and vi: exact on a linear model with normal errors, and one kind of Fit whatever the
method.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import kinetics as kn
from kinetics.inference.approximate import Approximate, approximate
from kinetics.inference.checkpoint import unfinished
from kinetics.inference.devices import chain_layout
from kinetics.inference.fitting import CAUTIONS
from kinetics.inference.laplace.marginal import Laplace, Marginal
from kinetics.inference.laplace.search import search, start_of_subjects
from kinetics.inference.nuts import NutsProgram
from kinetics.inference.possible_starts import constrained_start, impossible_records, possible_centre
from kinetics.inference.posterior import Posterior
from kinetics.inference.starts import begin
from kinetics.plan.binding import BoundFit, bind
from kinetics.plan.plan import plan_of, plan_sha256
from tests.support.commands import call
from tests.support.linear import COEFFICIENTS, MODEL, TRUTH, linear_study
from tests.support.linear_marginal import exact, hessian, known_spread, marginal_of
from tests.support.plans import BOTH, THEOPHYLLINE_PLAN, plan, study

__all__ = ["study"]

METHODS = ("map", "laplace", "vi")


def by(bound: BoundFit, method: str, **sampler: Any) -> Posterior:
    """The bound fit's posterior under a plan of this method."""
    plan = plan_of({**bound.plan.resolved(), "method": method})
    return Posterior(
        replace(bound, plan=plan.model_copy(update={"sampler": plan.sampler.model_copy(update=sampler)}))
    )


def run(posterior: Posterior, seed: int = 1) -> tuple[Approximate, list[str]]:
    lines: list[str] = []
    centre = np.asarray(posterior.plain().centre)
    return approximate(posterior, centre, jax.random.key(seed), announce=lines.append), lines


@cache
def likeliest() -> Approximate:
    return run(by(linear_study().bound(), "laplace", chains=1, draws=4000))[0]


@pytest.mark.fit
@pytest.mark.parametrize("method", ["map", "vi"])
def test_a_normal_posterior_is_given_exactly(method: str) -> None:
    """4000 independent draws: means within 4.5 standard errors, SDs within 5 % (4.5 of sqrt(1/8000))."""
    bound = known_spread()
    found, _ = run(by(bound, method, chains=1, draws=4000))
    truth = {f"omega_{k}": w for k, w in zip(COEFFICIENTS, TRUTH["omega"], strict=True)}
    mean, covariance = linear_study().posterior(
        truth | {"sigma_add_theophylline": TRUTH["sigma"]}, bound
    )  # the SDs' priors are 0.1 % wide
    names = [*(f"{k}_pop" for k in COEFFICIENTS), "beta_a_weight_kg"]
    for name, value, variance in zip(names, mean, np.diag(covariance), strict=True):
        drawn = found.draws.sites[name]
        assert drawn.shape == (1, 4000)
        assert drawn.mean() == pytest.approx(value, abs=4.5 * np.sqrt(variance / 4000) + 0.002), name
        assert drawn.std() == pytest.approx(np.sqrt(variance), rel=0.06), name
    assert found.facts["pareto_k"] < 0.5


@pytest.mark.fit
def test_laplace_is_the_exact_maximum_with_the_exact_information_and_no_prior() -> None:
    found, marginal = likeliest(), marginal_of("independent")
    group, posterior = found.estimates, marginal.posterior
    assert group is not None
    values = dict(zip(group["site"].to_numpy(), group["estimate"].to_numpy(), strict=True))
    g = posterior.unconstrained(values)
    assert group.attrs["log_likelihood"] == pytest.approx(exact(marginal, g), abs=1e-4)
    records = 132
    assert group.attrs["ofv"] == pytest.approx(
        -2 * exact(marginal, g) - records * np.log(2 * np.pi), abs=1e-3
    )
    unit = posterior.units()
    information = -hessian(lambda g: exact(marginal, g), g, unit)
    covariance = np.linalg.inv(information)
    errors = dict(zip(group["site"].to_numpy(), group["se"].to_numpy(), strict=True))
    for site in ("a_pop", "b_pop", "c_pop", "beta_a_weight_kg"):  # coordinates are the values themselves
        i = posterior.names.index(site)
        assert errors[site] == pytest.approx(np.sqrt(covariance[i, i]), rel=0.02), site
        drawn = found.draws.sites[site]
        assert drawn.mean() == pytest.approx(values[site], abs=4.5 * errors[site] / np.sqrt(4000))
        assert drawn.std() == pytest.approx(errors[site], rel=0.06)
    blups = linear_study().blups(values, posterior.bound)
    for i, k in enumerate(COEFFICIENTS):
        eta = group[f"eta_{k}"].to_numpy()
        np.testing.assert_allclose(eta * values[f"omega_{k}"], blups[i], rtol=2e-3, atol=1e-3)


def without_spread() -> BoundFit:
    """Subjects of one curve but for a, and of one weight but for milligrams: omega_c and beta are not to
    be seen.
    """
    line = linear_study()
    seen = line.study.observations
    rng = np.random.default_rng(2)
    level = dict(zip(line.study.subject_ids, 0.8 * rng.standard_normal(12), strict=True))
    noise = dict(zip(range(11), 0.5 * rng.standard_normal(11), strict=True))
    t = seen["time"].to_numpy()
    rank = seen.groupby("subject")["time"].rank().to_numpy().astype(int) - 1
    y = 5 - 2 * t + t**2 + seen["subject"].map(level).to_numpy() + np.array([noise[k] for k in rank])
    study = replace(
        line.study,
        observations=seen.assign(value=y),
        subjects=line.study.subjects.assign(weight_kg=75.0 + 1e-6 * np.arange(12)),
    )
    content = line.bound("a", "c").plan.resolved() | {"method": "laplace"}
    content["covariates"] = {"a": [{"covariate": "weight_kg", "centre": 75.0}]}
    return bind(plan_of(content), study=study, model=MODEL)


@pytest.mark.fit
def test_what_the_records_do_not_determine_is_named_with_a_remedy_and_has_no_standard_error() -> None:
    found, lines = run(by(without_spread(), "laplace", chains=1, draws=100))
    assert found.estimates is not None
    held = dict(zip(found.estimates["site"].to_numpy(), found.estimates["held"].to_numpy(), strict=True))
    assert "not told from 0" in held["omega_c"]
    assert "leave c out of `vary`" in held["omega_c"]
    assert "not determined" in held["beta_a_weight_kg"]
    assert 'method = "map"' in held["beta_a_weight_kg"]
    assert not held["a_pop"]
    assert not held["omega_a"]
    assert {line.partition(":")[0] for line in lines} >= {"omega_c", "beta_a_weight_kg"}
    for site in ("omega_c", "beta_a_weight_kg"):
        assert np.isnan(found.estimates["se"].sel(site=site))
        assert np.ptp(found.draws.sites[site]) == 0
    assert np.isfinite(found.estimates["se"].sel(site="a_pop"))
    assert found.estimates.attrs["parameters"] == len(held) - 2


def test_the_subjects_own_values_place_a_start_and_several_starts_agree() -> None:
    marginal = marginal_of("independent")
    posterior, data = marginal.posterior, marginal.posterior.bound.data
    centre = np.asarray(posterior.plain().centre)
    start = start_of_subjects(marginal, data, centre)
    assert start is not None
    sites, _ = posterior.sites(jnp.asarray(start))
    for k in COEFFICIENTS:
        assert float(sites[f"{k}_pop"]) == pytest.approx(TRUTH[k], abs=1.2)
    lines: list[str] = []
    found = search(
        marginal, data, centre, jax.random.key(0), with_prior=True, starts=3, announce=lines.append
    )
    assert [e.start for e in found.ends[:2]] == ["the prior medians", "the subjects' own values"]
    assert re.fullmatch(r"draw \d+ of the priors", found.ends[2].start)
    assert found.apart < 0.1
    assert lines[-1].startswith("3 of 3 searches end at the best maximum")


def test_a_search_that_fails_goes_on_from_elsewhere_and_says_so() -> None:
    marginal = marginal_of("independent")
    posterior, data = marginal.posterior, marginal.posterior.bound.data
    centre = np.asarray(posterior.plain().centre)

    class Narrow:
        """Finds a maximum from anywhere but the prior medians; further ones are lower."""

        def __init__(self) -> None:
            self.posterior, self.calls = posterior, 0

        def modes(self, *arguments: Any, **keys: Any) -> Any:
            return marginal.modes(*arguments, **keys)

        def maximise(self, data: Any, g: np.ndarray, **keys: Any) -> Laplace:
            self.calls += 1
            if self.calls == 1:
                raise kn.errors.FitError("flat")
            done = marginal.maximise(data, centre, **keys)
            return replace(done, log_likelihood=done.log_likelihood - 3.0 * (self.calls - 2))

    lines: list[str] = []
    narrow: Any = Narrow()
    search(narrow, data, centre, jax.random.key(0), with_prior=True, starts=1, announce=lines.append)
    assert narrow.calls == 2
    assert lines[0] == "no maximum from the prior medians: flat"
    narrow, lines = Narrow(), []
    search(narrow, data, centre, jax.random.key(0), with_prior=True, starts=3, announce=lines.append)
    assert "ended 3.00 lower: the likelihood has several maxima" in lines[1]


def test_where_only_the_prior_medians_are_impossible_the_start_is_a_draw_of_the_priors(
    study: kn.Study,
) -> None:
    """A doubling time of 0.03 d leaves 1e-60 cells before the expansion; one of the draws is longer."""
    priors = {"doubling_time": {"median": 0.03, "sd": 1.5}}
    bound = bind(plan(**BOTH, priors=priors), study=study)
    assert impossible_records(bound, constrained_start(bound))
    lines: list[str] = []
    posterior = Posterior(bound)
    g = possible_centre(posterior, jax.random.key(0), announce=lines.append)
    sites, _ = posterior.sites(jnp.asarray(g))
    assert float(sites["doubling_time_pop"]) > 0.05
    assert "records are impossible at the prior medians (subject " in lines[0]
    assert "the search begins at a draw of the priors" in lines[0]


@pytest.mark.parametrize("method", METHODS)
def test_a_start_that_is_impossible_everywhere_names_subject_day_and_analyte(method: str) -> None:
    with pytest.raises(
        kn.errors.FitError, match=r"some at each of 20 draws.*\n.*subject 1, day 0, theophylline: a mea"
    ):
        kn.fit("one_compartment_oral", "theophylline", observe={"theophylline": {}}, method=method)


def test_the_method_is_a_key_of_the_plan_in_any_case_and_nuts_changes_no_hash() -> None:
    keys: dict[str, Any] = {"model": "linear", "data": "theophylline", "observe": {"theophylline": {}}}
    assert plan_of({**keys, "method": "Laplace"}).method == "laplace"
    assert plan_sha256(plan_of({**keys, "method": "NUTS"})) == plan_sha256(plan_of(keys))
    assert "method" not in plan_of(keys).resolved()
    assert plan_sha256(plan_of({**keys, "method": "vi"})) != plan_sha256(plan_of(keys))
    with pytest.raises(kn.errors.PlanError, match=r"key of the plan, not of its sampler: method = \"map\""):
        plan_of({**keys, "sampler": {"kind": "MAP"}})
    with pytest.raises(kn.errors.PlanError, match="method"):
        plan_of({**keys, "method": "saem"})


@pytest.mark.fit
@pytest.mark.parametrize("method", ["map", "laplace"])
def test_a_search_that_has_not_ended_gives_no_standard_errors(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    maximise = Marginal.maximise

    def stopped(*arguments: Any, **keys: Any) -> Laplace:
        return replace(maximise(*arguments, **keys), gain=46.0)

    monkeypatch.setattr(Marginal, "maximise", stopped)
    found, lines = run(by(linear_study().bound(), method, chains=1, draws=100, starts=1))
    assert "not reached a maximum (a Newton step would still bring 46)" in lines[-2]
    assert found.estimates is not None
    for column in ("se", "rse_percent", "lower", "upper", "correlation"):
        assert np.isnan(found.estimates[column]).all(), column
    assert np.isfinite(found.estimates["estimate"]).all()
    assert all("no standard error" in reason for reason in found.estimates["held"].to_numpy())
    assert found.estimates.attrs["parameters"] == found.estimates.sizes["site"]
    assert np.ptp(found.draws.sites["a_pop"]) == 0
    assert "pareto_k" not in found.facts


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, dict[str, Any]]]:
    """One plan by each method on the command line: run folder and answer."""
    home = tmp_path_factory.mktemp("methods")
    (home / "fits").mkdir()
    file = home / "fits" / "theo.toml"
    file.write_text(THEOPHYLLINE_PLAN)
    said = {}
    for method in METHODS:
        left = unfinished(home / "runs" / f"theo-{method}")
        left.mkdir(parents=True)
        (left / "facts.json").write_text("{}")
        size = ["--draws", 100, "--chains", 2, "--force", "--json"]
        answer = call("fit", file, "--method", method, "--out", home / "runs", *size)
        assert answer.code == 0, answer.err
        assert not left.exists()
        said[method] = (home / "runs" / f"theo-{method}", answer.json())
    return said


@pytest.mark.fit
@pytest.mark.parametrize("method", METHODS)
def test_each_method_by_the_command_line_is_a_fit_like_any_other(
    runs: dict[str, tuple[Path, dict[str, Any]]], method: str, tmp_path: Path
) -> None:
    folder, answer = runs[method]
    assert (answer["method"], answer["run"]) == (method, str(folder))
    assert answer["caution"] == CAUTIONS[method]
    fit = kn.load_fit(folder)
    assert (fit.method, fit.draws) == (method, 200)
    sites = {"ka_pop", "ke_pop", "cl_pop", "omega_ka", "sigma_add_theophylline", "eta_ka", "ka", "ke", "cl"}
    assert set(fit.sites()) == sites
    assert fit.sites()["ka"].shape == (200, 12)
    assert fit.provenance["method"]["draws_are"] == CAUTIONS[method]
    assert 0.5 < np.median(fit.sites()["cl_pop"]) < 1.5
    table = kn.parameter_table(fit)
    assert set(table["method"]) == {method}
    assert table[["r_hat", "ess_bulk", "ess_tail"]].isna().all().all()
    assert ("estimates" in answer) == (method != "vi")
    assert (folder / "estimates.csv").exists() == (method != "vi")
    verdict = call("check", folder, "--json").json()
    checks = {row["check"] for row in verdict["checks"]}
    assert not any("R-hat" in name or "ESS" in name or "E-BFMI" in name for name in checks)
    assert "failed predictions" in checks
    said = call("exposure", folder, "--draws", 20, "--out", tmp_path / "e.csv", "--json")
    assert CAUTIONS[method] in said.err
    assert pd.read_csv(tmp_path / "e.csv")["subject"].nunique() == 12
    more = call("resume", folder, "--draws", 500)
    assert more.code == 1
    assert f"a fit by {method} has no chains to go on with" in more.err


@pytest.mark.fit
def test_estimates_have_what_a_nonmem_user_looks_for(runs: dict[str, tuple[Path, dict[str, Any]]]) -> None:
    folder, answer = runs["laplace"]
    found = kn.checks.estimates(kn.load_fit(folder))
    assert set(found.table.columns) >= {"estimate", "se", "rse_percent", "shrinkage_percent", "held"}
    assert found.ofv == pytest.approx(-2 * found.log_likelihood - 132 * np.log(2 * np.pi))
    assert found.aic == pytest.approx(-2 * found.log_likelihood + 2 * 5)
    assert found.bic == pytest.approx(-2 * found.log_likelihood + 5 * np.log(132))
    row = found.table.set_index("site").loc["omega_ka"]
    spread = float(np.std(found.ebes["eta_ka"]))
    assert row["shrinkage_percent"] == pytest.approx(100 * (1 - spread))
    assert np.diag(found.correlation) == pytest.approx(np.ones(5))
    assert answer["estimates"]["ofv"] == pytest.approx(found.ofv)
    assert "OFV" in str(found)
    assert "shrinkage_percent" in str(found)
    saved = pd.read_csv(folder / "estimates.csv", index_col="site")
    np.testing.assert_allclose(saved["se"], found.table["se"])
    with pytest.raises(kn.errors.FitError, match="fitted by vi, which estimates no maximum"):
        kn.checks.estimates(kn.load_fit(runs["vi"][0]))


@pytest.mark.fit
def test_the_checks_fail_where_they_should(runs: dict[str, tuple[Path, dict[str, Any]]]) -> None:
    fit = kn.load_fit(runs["laplace"][0])
    assert kn.check(fit).ok
    facts = fit.provenance["method"]
    worse = replace(fit, provenance=dict(fit.provenance) | {"method": facts | {"gain": 0.4}})
    assert [r.split(",")[0] for r in kn.check(worse).failures] == ["gradient"]
    ends = [{"start": "here", "value": v, "converged": True, "why": ""} for v in (-3.0, -9.0, np.nan)]
    for method in ("laplace", "vi"):
        several = kn.load_fit(runs[method][0])
        facts = several.provenance["method"] | {"searches": ends}
        disagree = replace(several, provenance=dict(several.provenance) | {"method": facts})
        (said,) = [r for r in kn.check(disagree).failures if r.startswith("searches at best maximum")]
        assert said.startswith(
            "searches at best maximum: 1, wanted >= 2 (3 searches, 1 ended lower, by 6 at most, 1 failed)"
        )
        assert "`[sampler] starts = 20`" in said
        facts = several.provenance["method"] | {"searches": [*ends, ends[0]]}
        agree = replace(several, provenance=dict(several.provenance) | {"method": facts})
        assert not [r for r in kn.check(agree).failures if r.startswith("searches at best maximum")]
    vague = kn.load_fit(runs["vi"][0])
    facts = vague.provenance["method"] | {"pareto_k": 0.9, "slope": 3.0, "resampled": False}
    failed = kn.check(replace(vague, provenance=dict(vague.provenance) | {"method": facts}))
    assert {"slope of the bound", "Pareto k of the draws"} <= {r.split(":")[0] for r in failed.failures}


@pytest.mark.fit
@pytest.mark.slow
def test_chains_that_begin_at_the_variational_approximation_have_its_posterior() -> None:
    bound = known_spread()
    settings = bound.plan.sampler.model_copy(update={"start": "vi"})
    posterior, lines = Posterior(bound), []
    coordinates, start, _ = begin(posterior, bound.data, settings, jax.random.key(3), announce=lines.append)
    assert "draws of the approximation" in lines[-1]
    assert abs(float(np.std(start)) - 1) < 4 / np.sqrt(2 * start.size)
    program = NutsProgram(posterior, settings, chain_layout(settings.chains))
    draws = program.run(bound.data, coordinates, start, jax.random.key(4))
    assert np.median(draws.stats["n_steps"]) <= 7
    assert not draws.stats["diverging"].any()
