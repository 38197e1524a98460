"""Laplace's method beside NONMEM's FOCE-I and R's nlme: the objective, the estimates, without priors."""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import kinetics as kn
from kinetics.inference.laplace.marginal import Laplace, Marginal
from kinetics.inference.posterior import Posterior
from kinetics.plan.binding import BoundFit, bind
from kinetics.plan.plan import plan_of
from tests.published.reference_studies import WANG_MODEL, WANG_OBJECTIVES, phenobarbital, wang_2007
from tests.published.wide_priors import WEIGHT, spread, wide


@pytest.fixture
def study(tmp_path: Path) -> kn.Study:
    return kn.read_study(wang_2007(tmp_path / "wang"))


def maximum(model: str, study: kn.Study, **keys: Any) -> tuple[BoundFit, Laplace, dict[str, float]]:
    bound = bind(plan_of({"model": model, "data": "-", **keys}), study=study)
    posterior = Posterior(bound)
    found = Marginal(posterior).maximise(bound.data, np.asarray(posterior.plain().centre), with_prior=False)
    sites, _ = posterior.sites(jnp.asarray(found.g))
    return bound, found, {k: float(v) for k, v in sites.items()}


def objective(bound: BoundFit, log_likelihood: float) -> float:
    """NONMEM's: -2 log L less the constant of the records."""
    count = sum(int(np.sum(a.measured)) for a in bound.data.observations.assays.values())
    return -2.0 * log_likelihood - count * np.log(2.0 * np.pi)


def test_phenobarbitals_objective_estimates_and_standard_errors_are_nonmems(
    shared_data: Path, tmp_path: Path
) -> None:
    """pheno_real by FOCE-I: objective 586.276. NONMEM's SEs are by the sandwich, ours by the information:
    15 %.
    """
    fit = kn.fit(
        "one_compartment_iv",
        phenobarbital(shared_data / "pheno" / "pheno.dta", tmp_path / "pheno"),
        observe={"phenobarbital": {"likelihood": "proportional"}},
        allometry={"cl": WEIGHT, "v": WEIGHT},
        covariates={"v": [{"covariate": "apgar"}]},
        priors={"cl": wide(0.112693), "v": wide(0.984258)},
        omega=spread("cl", "v"),
        method="laplace",
        sampler={"chains": 1, "draws": 100},
    )
    found = kn.checks.estimates(fit)
    assert found.ofv == pytest.approx(586.276, abs=0.01)
    published = {
        "cl_pop": 24 * 4.69555e-3, "v_pop": 0.984258, "beta_v_apgar_low": np.log(1.158920),
        "omega_cl": np.sqrt(2.93508e-2), "omega_v": np.sqrt(2.79060e-2),
        "sigma_phenobarbital": np.sqrt(1.32410e-2),
    }  # fmt: skip
    table = found.table.set_index("site")
    for name, value in published.items():
        assert table["estimate"][name] == pytest.approx(value, rel=0.02), name
    errors = {"cl_pop": 24 * 2.10e-4, "v_pop": 2.69e-2, "beta_v_apgar_low": 8.38e-2 / 1.158920}
    for name, value in errors.items():
        assert table["se"][name] == pytest.approx(value, rel=0.15), name
    assert not found.held


def test_theophyllines_log_likelihood_is_nlmes() -> None:
    """R nlme 3.1, SSfol by ML: log-likelihood -177.02."""
    _, found, _ = maximum(
        "one_compartment_oral",
        kn.read_study("theophylline"),
        observe={"theophylline": {"likelihood": "additive", "sigma_scale": 2.0}},
        allometry={"cl": WEIGHT},
        priors={"ka": wide(38.23), "ke": wide(2.0615), "cl": wide(0.9521)},
        omega=spread("ka", "cl"),
    )
    assert found.converged
    assert found.log_likelihood == pytest.approx(-177.02, abs=0.3)


def test_wangs_objective_is_that_of_foce_with_interaction(study: kn.Study) -> None:
    """Wang 2007, proportional error: FOCE-I 39.458 beside the exact 39.355, everything at the paper's
    values.
    """
    plan = plan_of(
        {
            "model": str(WANG_MODEL),
            "data": "-",
            "observe": {"drug": {"likelihood": "proportional"}},
        }
    )
    bound = bind(plan, study=study)
    posterior = Posterior(bound)
    g = posterior.unconstrained({"k_pop": 0.5, "omega_k": 0.2, "sigma_drug": np.sqrt(0.1)})
    modes = Marginal(posterior).modes(g, np.zeros((1, 10)), bound.data)
    found = objective(bound, float(modes.value.sum()))
    assert found == pytest.approx(39.458, abs=0.1)
    assert abs(found - WANG_OBJECTIVES["proportional"]) > 0.01  # an approximation, and seen to be one
