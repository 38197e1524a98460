"""Lynx and hare: from default starts, the posterior that posteriordb has of predator and prey.

The prior medians, and 7 of 10 draws of the priors, lead to a maximum that is 42 lower than the best one.
"""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
import pytest
from arviz_stats import ess, rhat

from kinetics.inference.devices import chain_layout
from kinetics.inference.laplace.marginal import Marginal
from kinetics.inference.laplace.search import default_starts, search
from kinetics.inference.nuts import NutsProgram
from kinetics.inference.posterior import Posterior
from kinetics.inference.starts import begin
from tests.support.lynx_hare import REFERENCE_SITES, lynx_and_hare
from tests.support.reference_tables import reference_table

DATA = "posteriordb/hudson_lynx_hare.json"
ANSWER = "posteriordb/hudson_lynx_hare_lotka_volterra_reference.csv"


@pytest.fixture(scope="module")
def posterior(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Posterior:
    source = shared_data / DATA
    if not source.is_file():
        pytest.skip(f"real data absent: {source}")
    return Posterior(lynx_and_hare(source, tmp_path_factory.mktemp("lynx") / "lynx_hare"))


@pytest.mark.fit
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_default_searches_find_the_maximum_that_the_prior_medians_miss(
    posterior: Posterior, seed: int
) -> None:
    assert default_starts(posterior) == 10
    data = posterior.bound.data
    centre = np.asarray(posterior.plain().centre)
    maxima = search(Marginal(posterior), data, centre, jax.random.key(seed), with_prior=True)
    assert maxima.ends[0].start == "the prior medians"
    assert maxima.ends[0].value == pytest.approx(-167.1, abs=0.1)
    values = np.array([end.value for end in maxima.ends])
    assert np.nanmax(values) == pytest.approx(-124.8, abs=0.1)
    assert np.sum(values > -125.3) >= 2  # the check of a fit asks for two


@pytest.mark.fit
@pytest.mark.slow
def test_all_chains_have_the_reference_posterior_within_monte_carlo_error(
    posterior: Posterior, shared_data: Path
) -> None:
    settings = posterior.bound.plan.sampler
    data = posterior.bound.data
    key_start, key = jax.random.split(jax.random.key(posterior.bound.plan.seed))
    coordinates, start, _ = begin(posterior, data, settings, key_start)
    program = NutsProgram(posterior, settings, chain_layout(settings.chains))
    draws = program.run(data, coordinates, start, key)
    assert draws.stats["diverging"].mean() < 0.002  # 2 of 4000 were seen, of trajectories 5 SDs out
    assert draws.stats["n_steps"].mean() < 16
    reference = reference_table(shared_data, ANSWER).set_index("parameter")
    for name, site in REFERENCE_SITES.items():
        values = draws.sites[site]
        assert rhat(values) < 1.01, site
        effective = min(float(ess(values)), 10_000.0)
        error = float(reference.loc[name, "sd"]) * np.sqrt(1 / effective + 1 / 10_000)
        assert abs(values.mean() - float(reference.loc[name, "mean"])) < 4 * error, site
        assert values.std() == pytest.approx(float(reference.loc[name, "sd"]), rel=0.1), site
