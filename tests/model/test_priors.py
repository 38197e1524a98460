"""Each prior is the distribution it says: its median, its SD on the scale of its link, its density."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from kinetics.model.priors import (
    DISTRIBUTIONS,
    Correlation,
    HalfNormal,
    Link,
    LogitNormal,
    LogNormal,
    Normal,
    Prior,
    describe,
    inverse_link,
    link,
)

PRIORS = [
    LogNormal(9.3, 0.5), LogNormal(2e9, 1.3), LogitNormal(0.0079, 0.8), LogitNormal(0.6, 2.0),
    Normal(-3.0, 0.7), HalfNormal(0.5),
]  # fmt: skip
LINKS: dict[Link, tuple[float, ...]] = {
    "log": (1e-12, 0.3, 1.0, 2e9),
    "logit": (1e-6, 0.0079, 0.5, 0.999),
    "identity": (-40.0, 0.0, 7.5),
}


def reference_logpdf(prior: Prior, x: np.ndarray) -> np.ndarray:
    """The density by scipy; the logit-normal by change of variables."""
    if isinstance(prior, LogNormal):
        return stats.lognorm(prior.sd, scale=prior.median).logpdf(x)
    if isinstance(prior, LogitNormal):
        on_link = stats.norm(special.logit(prior.median), prior.sd).logpdf(special.logit(x))
        return on_link - np.log(x) - np.log1p(-x)
    if isinstance(prior, Normal):
        return stats.norm(prior.mean, prior.sd).logpdf(x)
    return stats.halfnorm(scale=prior.scale).logpdf(x)


def named(prior: object) -> str:
    return type(prior).__name__


@pytest.mark.parametrize("prior", PRIORS, ids=named)
def test_half_of_a_prior_lies_below_its_median(prior: Prior) -> None:
    assert float(prior.to_numpyro().cdf(jnp.asarray(prior.median))) == pytest.approx(0.5, abs=1e-9)


@pytest.mark.parametrize("prior", PRIORS, ids=named)
def test_density_of_a_prior_is_scipys(prior: Prior) -> None:
    x = np.asarray(
        inverse_link(prior.link, link(prior.link, jnp.asarray(prior.median)) + np.linspace(-1, 1, 5))
    )
    np.testing.assert_allclose(
        prior.to_numpyro().log_prob(x), reference_logpdf(prior, x), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("prior", [p for p in PRIORS if not isinstance(p, HalfNormal)], ids=named)
def test_sd_of_a_prior_is_a_standard_deviation_on_its_links_scale(prior: Prior) -> None:
    """One SD above the median on the link scale lies the 84.13 % quantile; a variance would fail for sd !=
    1.
    """
    assert not isinstance(prior, HalfNormal)
    up = inverse_link(prior.link, link(prior.link, jnp.asarray(prior.median)) + prior.sd)
    assert float(prior.to_numpyro().cdf(up)) == pytest.approx(stats.norm.cdf(1.0), abs=1e-9)


@pytest.mark.parametrize(("kind", "values"), LINKS.items())
def test_a_link_and_its_inverse_undo_each_other(kind: Link, values: tuple[float, ...]) -> None:
    x = jnp.array(values)
    np.testing.assert_allclose(inverse_link(kind, link(kind, x)), x, rtol=1e-12)


@pytest.mark.parametrize(
    ("kind", "low", "high"), [("log", 0.0, np.inf), ("logit", 0.0, 1.0), ("identity", -np.inf, np.inf)]
)
def test_a_link_keeps_a_parameter_where_it_belongs(kind: Link, low: float, high: float) -> None:
    x = inverse_link(kind, jnp.linspace(-30.0, 30.0, 61))
    assert bool(jnp.all((x > low) & (x < high)))
    assert bool(jnp.all(jnp.diff(x) > 0))
    slope = jax.vmap(jax.grad(lambda z: inverse_link(kind, z)))(jnp.linspace(-30.0, 30.0, 61))
    assert bool(jnp.all(jnp.isfinite(slope)))


@pytest.mark.parametrize(
    ("prior", "text"),
    [
        (LogNormal(9.3, 0.5), "LogNormal(median 9.3, sd 0.5)"),
        (LogitNormal(0.0079, 0.8), "LogitNormal(median 0.0079, sd 0.8)"),
        (Normal(-3.0, 0.7), "Normal(mean -3, sd 0.7)"),
        (HalfNormal(0.5), "HalfNormal(scale 0.5)"),
    ],
)
def test_a_prior_is_described_by_its_own_numbers_without_its_link(prior: Prior, text: str) -> None:
    assert describe(prior) == text


def test_the_table_of_distributions_knows_each_by_its_name() -> None:
    assert {name: kind.__name__ for name, kind in DISTRIBUTIONS.items()} == {n: n for n in DISTRIBUTIONS}
    assert set(DISTRIBUTIONS) == {named(prior) for prior in PRIORS}


@pytest.mark.parametrize("concentration", [1.0, 2.0, 5.0])
def test_a_correlation_is_a_stretched_beta_with_the_sd_it_says(concentration: float) -> None:
    """LKJ in two dimensions: (1 + rho)/2 is Beta(concentration, concentration); 1 is uniform."""
    prior, reference = Correlation(concentration), stats.beta(concentration, concentration, loc=-1, scale=2)
    x = np.linspace(-0.99, 0.99, 9)
    np.testing.assert_allclose(prior.to_numpyro().log_prob(jnp.asarray(x)), reference.logpdf(x), rtol=1e-9)
    assert (prior.median, prior.sd) == (pytest.approx(reference.median()), pytest.approx(reference.std()))
    drawn = np.asarray(prior.to_numpyro().sample(jax.random.key(2), (4000,)))
    assert stats.kstest(drawn, reference.cdf).pvalue > 0.01
    assert describe(prior) == f"Correlation(concentration {concentration:g}, size 2)"
