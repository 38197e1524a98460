"""Wang 2007 Table 1: our likelihood, integrated over the random effect, gives the exact -2 log L."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kinetics as kn
from kinetics.plan.binding import bind
from kinetics.plan.plan import plan_of
from tests.published.reference_studies import WANG_MODEL, WANG_OBJECTIVES, wang_2007


@pytest.fixture
def study(tmp_path: Path) -> kn.Study:
    return kn.read_study(wang_2007(tmp_path / "wang"))


@pytest.mark.parametrize("error", WANG_OBJECTIVES)
def test_quadrature_over_the_random_effect_gives_the_exact_objective(study: kn.Study, error: str) -> None:
    plan = plan_of({"model": str(WANG_MODEL), "data": "-", "observe": {"drug": {"likelihood": error}}})
    bound = bind(plan, study=study)
    sigma = "sigma_drug" if error == "proportional" else "sigma_add_drug"
    fixed = {"k_pop": jnp.asarray(0.5), "omega_k": jnp.asarray(0.2), sigma: jnp.sqrt(0.1)}

    def by_subject(eta: jax.Array) -> jax.Array:
        terms = bound.record_log_likelihood({**fixed, "eta_k": jnp.full(10, eta)}, bound.data)
        return terms["drug"].sum(axis=1)

    nodes, weights = np.polynomial.hermite_e.hermegauss(200)
    keep = weights > 1e-280  # the outermost weights underflow
    log_weight = np.log(weights[keep] / np.sqrt(2 * np.pi))
    terms = jax.vmap(by_subject)(jnp.asarray(nodes[keep])) + log_weight[:, None]
    log_likelihood = float(jax.scipy.special.logsumexp(terms, axis=0).sum())
    objective = -2 * log_likelihood - 20 * np.log(2 * np.pi)  # the constant that NONMEM leaves out
    assert objective == pytest.approx(WANG_OBJECTIVES[error], abs=1e-6)
