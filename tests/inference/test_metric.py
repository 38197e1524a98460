"""The metric of NUTS: kept where the coordinates are good, corrected where one direction is wide."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from arviz_stats import ess

from kinetics.inference.coordinates import coordinates_of
from kinetics.inference.devices import chain_layout
from kinetics.inference.laplace.marginal import Marginal
from kinetics.inference.metric import corrected, shrunk_covariance
from kinetics.inference.nuts import Draws, NutsProgram, Saved
from kinetics.inference.posterior import Posterior
from tests.support.linear_marginal import known_spread


def test_few_draws_of_a_standard_normal_say_nothing_and_many_of_a_wide_one_are_believed() -> None:
    rng = np.random.default_rng(1)
    few = shrunk_covariance(rng.standard_normal((120, 40)))
    assert np.linalg.cond(np.cov(rng.standard_normal((120, 40)).T)) > 10
    assert np.linalg.cond(few) < 1.6
    wide = rng.standard_normal((400, 3)) * [1.0, 1.0, 4.0]
    assert shrunk_covariance(wide)[2, 2] == pytest.approx(np.cov(wide.T)[2, 2], rel=0.15)
    narrow = rng.standard_normal((80, 7)) * [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.1]
    assert shrunk_covariance(narrow)[6, 6] == pytest.approx(0.01, rel=0.5)
    tied = rng.standard_normal((300, 1)) @ np.ones((1, 2)) + 0.3 * rng.standard_normal((300, 2))
    assert shrunk_covariance(tied)[0, 1] == pytest.approx(1.0, rel=0.2)


def sampled(wide: float, saved: Saved | None = None) -> tuple[Draws, list[Saved]]:
    """Draws of the linear model in coordinates that are too narrow by `wide` in one direction, and what was
    saved after every chunk.
    """
    bound = known_spread()
    posterior = Posterior(bound)
    marginal = Marginal(posterior)
    best = marginal.maximise(bound.data, np.asarray(posterior.plain().centre), with_prior=True)
    coordinates = coordinates_of(marginal, best, bound.data)
    scale = np.asarray(coordinates.scale).copy()
    scale[:, 0] /= wide
    settings = bound.plan.sampler.model_copy(
        update={"chains": 2, "warmup": 200, "draws": 200, "chunk": 50, "target_accept": 0.8}
    )
    program = NutsProgram(posterior, settings, chain_layout(2, 1))
    start = jax.random.normal(jax.random.key(1), (2, posterior.size))
    states: list[Saved] = []
    coordinates = coordinates._replace(scale=scale)
    key = jax.random.key(2)
    draws = program.run(bound.data, coordinates, start, key, saved=saved, save=states.append)
    return draws, states


@pytest.mark.fit
def test_a_direction_that_is_ten_times_too_wide_costs_hardly_more_steps() -> None:
    right = sampled(1.0)[0].stats["n_steps"].mean()
    wrong = sampled(0.1)[0].stats["n_steps"].mean()
    assert wrong < 2.0 * right, (right, wrong)


@pytest.mark.fit
def test_a_direction_that_is_ten_times_too_narrow_mixes_as_one_that_is_right() -> None:
    draws, _ = sampled(10.0)
    effective = float(ess(draws.sites["a_pop"]))  # the first coordinate
    assert effective > 100, effective


@pytest.mark.fit
def test_a_run_stopped_after_the_metric_was_corrected_goes_on_bit_for_bit() -> None:
    whole, saved = sampled(10.0)
    stopped = next(s for s in saved if s.done == 150)
    again, _ = sampled(10.0, saved=stopped)
    for site, values in whole.sites.items():
        np.testing.assert_array_equal(values, again.sites[site], err_msg=site)


def test_a_metric_that_is_not_dense_is_left_as_it_is() -> None:
    class Diagonal:
        inverse_mass_matrix = jnp.ones((2, 3))

    adaptation: Any = Diagonal()
    assert corrected(adaptation, jnp.ones((2, 10, 3)), 3) is adaptation
