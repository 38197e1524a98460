"""Scale factors and correlated analytes of a bound plan: in the density, the predictions and the tables."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from kinetics.assay.likelihood import log_likelihood
from kinetics.checks.parameters import parameter_table
from kinetics.errors import PlanError
from kinetics.exposures.fitted import exposure
from kinetics.inference.fitting import Fit
from kinetics.inference.possible_starts import constrained_start, impossible_records
from kinetics.inference.posterior import Posterior
from kinetics.model.priors import Correlation, LogNormal
from kinetics.plan.binding import BoundFit, bind, describe_records
from kinetics.plan.plan import plan_of
from kinetics.prediction.curves import individual_curves, population_curve
from kinetics.prediction.records import simulate_records
from kinetics.solve.solving import solve
from kinetics.study.study import Study, read_study
from tests.support.fits import prior_fit, written_posterior

SCALE: dict[str, Any] = {"scale": {"median": 1.0, "sd": 0.3}}
BOTH: dict[str, Any] = {"car_copies": {}, "car_cells": {}}
PAIR: dict[str, Any] = {"correlated": {"analytes": ["car_copies", "car_cells"]}}
RHO = "rho_car_copies_car_cells"


@cache
def study() -> Study:
    """The library's, its times rounded to whole days: both assays of a visit are then of one blood draw."""
    found = read_study("synthetic_cart_12")
    return replace(found, observations=found.observations.assign(time=found.observations["time"].round()))


def bound(observe: dict[str, Any], **keys: Any) -> BoundFit:
    content = {"model": "ogasawara_2021", "data": "synthetic_cart_12", "name": "mine", "observe": observe}
    return bind(plan_of(content | keys), study=study())


def terms(of: BoundFit, **sites: float) -> dict[str, np.ndarray]:
    values = constrained_start(of) | {k: jnp.asarray(v) for k, v in sites.items()}
    return {k: np.asarray(v) for k, v in jax.jit(of.record_log_likelihood)(values, of.data).items()}


def predicted(of: BoundFit, output: str) -> jax.Array:
    theta = of.theta(constrained_start(of), of.data)
    return solve(of.model, of.data.observations.time, theta, of.data.doses, [output])[output]


def refused(observe: dict[str, Any], **keys: Any) -> list[str]:
    with pytest.raises(PlanError) as caught:
        bound(observe, **keys)
    return [str(problem) for problem in caught.value.problems]


def test_a_scale_factor_multiplies_what_its_assay_reads_and_no_other() -> None:
    of = bound({"car_copies": SCALE, "car_cells": {}})
    assert of.priors()["scale_car_copies"] == LogNormal(1.0, 0.3)
    assert "scale_car_cells" not in of.priors()
    found = terms(of, scale_car_copies=1.7, sigma_car_copies=0.5)
    records = of.data.observations.assays["car_copies"]
    wanted = log_likelihood("lognormal", 1.7 * predicted(of, "copies"), records, {"sigma": jnp.asarray(0.5)})
    np.testing.assert_allclose(found["car_copies"], wanted, rtol=1e-12)
    plain = terms(bound(BOTH), sigma_car_copies=0.5)
    np.testing.assert_allclose(found["car_cells"], plain["car_cells"], rtol=1e-12)
    assert np.abs(found["car_copies"] - plain["car_copies"]).max() > 0.1


def test_the_dna_in_a_reaction_reaches_the_likelihood() -> None:
    of = {ug: bound({"car_copies": {"likelihood": "lognormal_poisson", "dna_ug": ug}}) for ug in (0.01, 1.0)}
    of[0.2] = bound({"car_copies": {"likelihood": "lognormal_poisson"}})
    for ug, each in of.items():
        records, f = each.data.observations.assays["car_copies"], predicted(each, "copies")
        residual = {"sigma": jnp.asarray(0.5)}
        wanted = log_likelihood("lognormal_poisson", f, records, residual, dna_ug=ug)
        np.testing.assert_allclose(terms(each, sigma_car_copies=0.5)["car_copies"], wanted, rtol=1e-12)
    sums = [terms(each, sigma_car_copies=0.5)["car_copies"].sum() for each in of.values()]
    assert len({round(float(x), 6) for x in sums}) == 3


def test_a_pair_is_the_bivariate_normal_of_its_two_log_residuals() -> None:
    """Draws with two measured values, by scipy; every other draw with one measured record or none stays."""
    of, rho, sd = bound(BOTH, **PAIR), 0.6, (0.4, 0.8)
    assert of.priors()[RHO] == Correlation(1.0)
    found = terms(of, **{RHO: rho}, sigma_car_copies=sd[0], sigma_car_cells=sd[1])
    a, b = (of.data.observations.assays[k] for k in BOTH)
    both = np.asarray(a.measured & b.measured)
    f = np.stack([np.asarray(predicted(of, k))[both] for k in ("copies", "cells")], axis=-1)
    y = np.stack([np.asarray(x.value)[both] for x in (a, b)], axis=-1)
    cross = rho * sd[0] * sd[1]
    normal = stats.multivariate_normal([0, 0], [[sd[0] ** 2, cross], [cross, sd[1] ** 2]])
    wanted = normal.logpdf(np.log(y / f)) - np.log(y).sum(axis=-1)
    assert both.sum() > 20
    np.testing.assert_allclose(sum(found.values())[both], wanted, rtol=1e-9)
    apart = terms(bound(BOTH), sigma_car_copies=sd[0], sigma_car_cells=sd[1])
    np.testing.assert_allclose(found["car_copies"], apart["car_copies"], rtol=1e-12)
    single = np.asarray(b.measured | b.left) & ~np.asarray(a.measured | a.left)
    np.testing.assert_allclose(found["car_cells"][single], apart["car_cells"][single], rtol=1e-12)
    none = terms(of, **{RHO: 0.0}, sigma_car_copies=sd[0], sigma_car_cells=sd[1])
    np.testing.assert_allclose(none["car_cells"], apart["car_cells"], atol=1e-7)


def test_the_density_has_the_priors_of_factor_and_correlation_and_a_finite_gradient() -> None:
    of = bound({"car_copies": SCALE, "car_cells": SCALE}, **PAIR)
    sites = constrained_start(of)
    assert {"scale_car_copies", "scale_car_cells", RHO} <= set(sites)
    assert set(Posterior(of).names) == set(of.priors())
    assert impossible_records(of, sites) == []
    joint = jax.jit(lambda s: of.log_density(s, of.data))
    likelihood = jax.jit(lambda s: sum(t.sum() for t in of.record_log_likelihood(s, of.data).values()))
    moved = sites | {"scale_car_cells": jnp.asarray(2.0), RHO: jnp.asarray(-0.3)}
    base, other = (float(joint(s)) - float(likelihood(s)) for s in (sites, moved))
    prior = [float(LogNormal(1.0, 0.3).to_numpyro().log_prob(s["scale_car_cells"])) for s in (sites, moved)]
    assert other - base == pytest.approx(prior[1] - prior[0], abs=1e-5)  # a uniform rho adds nothing
    slope = jax.jit(jax.grad(lambda s: joint(s)))(sites)
    assert all(bool(jnp.all(jnp.isfinite(g))) for g in slope.values())
    assert float(slope[RHO]) != 0.0
    seen = study().observations
    draws = seen[seen.duplicated(["subject", "time"])]
    assert len(draws) > 50
    assert (
        f"car_copies and car_cells correlated in the {len(draws)} draws that have both"
        in describe_records(of)
    )


@cache
def posterior() -> Fit:
    content = {"model": "ogasawara_2021", "data": "synthetic_cart_12", "name": "mine"}
    return prior_fit(plan_of(content | {"observe": {"car_copies": {}, "car_cells": SCALE}} | PAIR), draws=20)


@cache
def fits() -> tuple[Fit, Fit]:
    """A written posterior, and the same with a factor of 2 on what the flow assay reads."""
    scaled = posterior()
    sites = scaled.sites()
    keep = {k for k in sites if k in scaled.bound.priors() or k.startswith("eta_")}
    sites = {k: v for k, v in sites.items() if k in keep} | {"scale_car_cells": np.full(20, 2.0)}
    assays = tuple(
        replace(a, priors={k: v for k, v in a.priors.items() if k != "scale_car_cells"})
        for a in scaled.bound.assays
    )
    plain = replace(scaled.bound, assays=assays)
    less = {k: v for k, v in sites.items() if k != "scale_car_cells"}
    return written_posterior(plain, less), written_posterior(scaled.bound, sites)


def test_curves_replicates_and_exposures_are_of_what_the_assay_reads() -> None:
    plain, scaled = fits()
    for analyte, factor in (("car_copies", 1.0), ("car_cells", 2.0)):
        curves = [individual_curves(f, np.arange(0.0, 40.0), analyte=analyte)["q50"] for f in (plain, scaled)]
        np.testing.assert_allclose(curves[1], factor * curves[0], rtol=1e-9)
        new = [
            population_curve(f, [20.0], like="S01", analyte=analyte, draws=20)["q95"] for f in (plain, scaled)
        ]
        np.testing.assert_allclose(new[1], factor * new[0], rtol=1e-9)
        records = [simulate_records(f, analyte, draws=20) for f in (plain, scaled)]
        seen = ~(records[0].below | records[1].below)
        assert seen.any()
        np.testing.assert_allclose(records[1].value[seen], factor * records[0].value[seen], rtol=1e-9)
        tables = [exposure(f, draws=5) for f in (plain, scaled)]
        cmax, half = ([t[t["analyte"] == analyte][k] for t in tables] for k in ("cmax", "fold_expansion"))
        np.testing.assert_allclose(cmax[1], factor * cmax[0], rtol=1e-9)
        np.testing.assert_allclose(half[1], half[0], rtol=1e-9)


def test_the_parameter_table_names_a_scale_factor_and_a_correlation_for_what_they_are() -> None:
    table = parameter_table(posterior()).set_index("site")
    assert table.loc["scale_car_cells", "kind"] == "assay scale"
    assert table.loc["scale_car_cells", "prior"] == "LogNormal(median 1, sd 0.3)"
    assert table.loc[RHO, "kind"] == "residual correlation"
    assert (table.loc[["scale_car_cells", RHO], "unit"] == "1").all()
    assert table.loc["sigma_car_cells", "kind"] == "residual SD"


@pytest.mark.parametrize(
    ("observe", "analytes", "says"),
    [
        (
            BOTH,
            ["car_copies", "car_cell"],
            ["'car_cell' is not under `observe`", "did you mean 'car_cells'?"],
        ),
        (
            {"car_copies": {"likelihood": "student_t"}, "car_cells": {}},
            ["car_copies", "car_cells"],
            ["car_copies has student_t error", "choose lognormal or additive_on_log"],
        ),
        (
            {"car_copies": {}, "car_cells": {"likelihood": "combined"}},
            ["car_copies", "car_cells"],
            ["car_cells has combined error", "not normal on the log scale"],
        ),
    ],
)
def test_analytes_that_cannot_be_correlated_are_refused(
    observe: dict[str, Any], analytes: list[str], says: list[str]
) -> None:
    (problem,) = refused(observe, correlated={"analytes": analytes})
    for fragment in says:
        assert fragment in problem


def test_analytes_never_drawn_together_cannot_be_correlated() -> None:
    seen = study().observations
    apart = seen.assign(time=seen["time"] + 0.003 * (seen["analyte"] == "car_cells"))
    content = {"model": "ogasawara_2021", "data": "synthetic_cart_12", "observe": BOTH} | PAIR
    with pytest.raises(PlanError, match="no subject has car_copies and car_cells at one time"):
        bind(plan_of(content), study=replace(study(), observations=apart))


def test_molecules_are_counted_of_copies_only() -> None:
    (problem,) = refused({"car_cells": {"likelihood": "lognormal_poisson"}})
    assert "counts copies in `dna_ug`, and car_cells is in cells/uL" in problem
