"""A plan on a model given by equations: the same likelihood as its closed form, and failures that are
named.
"""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kinetics as kn
from kinetics.inference.possible_starts import constrained_start, impossible_records
from kinetics.inference.posterior import Posterior
from kinetics.plan.binding import BoundFit, bind
from kinetics.plan.plan import plan_of
from tests.support.equations import EQUATIONS, KEYS


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[BoundFit, BoundFit]:
    file = tmp_path_factory.mktemp("models") / "oral_equations.py"
    file.write_text(EQUATIONS)
    tight = {"rtol": 1e-9, "atol": 1e-9}
    equations = {**KEYS, "model": str(file), "fixed": {"blow": 1e-9}, "solver": tight}
    return bind(plan_of(equations)), bind(plan_of({**KEYS, "model": "one_compartment_oral"}))


def test_a_parameter_that_feeds_only_an_unseen_state_is_held(pair: tuple[BoundFit, BoundFit]) -> None:
    assert pair[0].unused == ("idle",)
    assert set(pair[0].priors()) == set(pair[1].priors())


def test_equations_and_closed_form_have_one_density_and_gradient(pair: tuple[BoundFit, BoundFit]) -> None:
    values, slopes = [], []
    for bound in pair:
        posterior = Posterior(bound)
        at = 0.3 * jax.random.normal(jax.random.key(3), (posterior.size,))
        value, slope = jax.jit(jax.value_and_grad(posterior.log_density))(at, bound.data, posterior.plain())
        values.append(float(value))
        slopes.append(slope)
    assert values[0] == pytest.approx(values[1], rel=1e-7)
    size = float(jnp.max(jnp.abs(slopes[1])))
    np.testing.assert_allclose(slopes[0], slopes[1], rtol=1e-5, atol=1e-6 * size)
    assert Posterior(pair[0]).names == Posterior(pair[1]).names


def test_a_subject_that_cannot_be_solved_is_impossible_without_a_nan_in_the_gradient(
    pair: tuple[BoundFit, BoundFit],
) -> None:
    bound = bind(plan_of({**pair[0].plan.resolved(), "fixed": {}, "vary": ["ka", "cl", "blow"]}))
    sites = constrained_start(bound)
    runaway = jnp.zeros(12).at[4].set(1.0)
    sites |= {"blow_pop": jnp.asarray(1e-9), "omega_blow": jnp.asarray(1.0), "eta_blow": 25.0 * runaway}

    def total(etas: jax.Array) -> jax.Array:
        terms = bound.record_log_likelihood(sites | {"eta_ka": etas}, bound.data)["theophylline"]
        return jnp.sum(terms, axis=1)

    by_subject, slope = total(jnp.zeros(12)), jax.jacrev(total)(jnp.zeros(12))
    assert np.isneginf(by_subject[4])
    assert np.isfinite(np.delete(np.asarray(by_subject), 4)).all()
    assert np.isfinite(slope).all()
    assert slope[4, 4] == 0.0
    lines = impossible_records(bound, sites)
    assert lines
    assert all(re.match(r"subject 5, day .*the solver gave up at day 0\.0", line) for line in lines)


@pytest.mark.fit
def test_a_fit_survives_proposals_that_cannot_be_solved_and_its_check_names_who_fails_further_out(
    pair: tuple[BoundFit, BoundFit],
) -> None:
    """With a wide prior of `blow` some parameters run away within a day: those draws are never kept."""
    plan = {**pair[0].plan.resolved(), "fixed": {}, "solver": {"rtol": 1e-5, "atol": 1e-5}}
    plan["priors"] = {"blow": {"median": 1e-3, "sd": 1.5}}
    plan["sampler"] = {"chains": 2, "warmup": 20, "draws": 10, "chunk": 30}
    fit = kn.fit(plan_of(plan))
    row = kn.check(fit).rows.set_index("check").loc["failed predictions"]
    assert row["value"] == 0
    assert row["ok"]
    assert re.match(r"the solver gives up three times as far out: subject \d+ before day \d", row["where"])
    assert 0.6 < np.median(fit.sites()["cl_pop"]) < 1.5  # nlme: 0.952 L/day/kg
