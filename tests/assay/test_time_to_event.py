"""The likelihood of a time to an event equals SciPy's, with a link and without."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import fisk, weibull_min

from kinetics.assay import EventTimes, event_information, event_log_likelihood, event_times, link_values

END = np.array([3.0, 40.0, 200.0, 365.0, np.nan])
HAPPENED = np.array([True, True, False, True, False])
FROM_0 = np.zeros(5)
LN2 = np.log(2.0)
NOBODY_DIFFERS = np.zeros(5)


def parameters(slope: float = 0.0, median: float = 120.0, shape: float = 1.4) -> dict[str, float]:
    return {"slope": slope, "median": median, "shape": shape}


@pytest.mark.parametrize(
    ("baseline", "law"),
    [
        ("weibull", weibull_min(1.4, scale=120.0 / LN2 ** (1 / 1.4))),
        ("exponential", weibull_min(1.0, scale=120.0 / LN2)),
        ("log_logistic", fisk(1.4, scale=120.0)),
    ],
)
def test_without_a_link_it_is_the_law_of_the_baseline(baseline, law) -> None:
    entry = np.array([0.0, 10.0, 0.0, 30.0, 0.0])
    events = event_times(END, HAPPENED, entry)
    x = jnp.ones(events.time.shape)
    found = event_log_likelihood(baseline, x, events, parameters(), NOBODY_DIFFERS)
    truth = np.where(HAPPENED, law.logpdf(END), law.logsf(END)) - law.logsf(entry)
    np.testing.assert_allclose(found[:4], truth[:4], rtol=1e-12)
    assert float(found[4]) == 0.0
    assert law.sf(120.0) == pytest.approx(0.5)


def rise_and_fall(t, peak_day: float = 9.3):
    """Copies/ug that double every 0.8 days up to a peak of 1e5 and then halve every 12 days."""
    rise = jnp.exp2((jnp.minimum(t, peak_day) - peak_day) / 0.8)
    return 1e5 * rise * jnp.exp2(-jnp.maximum(t - peak_day, 0.0) / 12.0)


def of_rise_and_fall(link: str, events: EventTimes, peak_day: float = 9.3) -> jax.Array:
    f = rise_and_fall(jnp.asarray(events.time), peak_day)
    return link_values(link, f, events.time, reference=1e4, floor=10.0, window=7.0)


def link_at(link: str, t: float) -> float:
    """The link on one day, by its definition."""
    logs = lambda day: float(jnp.log10(jnp.maximum(rise_and_fall(day), 10.0)))  # noqa: E731
    if link == "log_current":
        return logs(t) - 4.0
    if link == "log_peak":
        return logs(min(t, 9.3)) - 4.0
    if link == "log_growth":
        return logs(t) - logs(max(t - 7.0, 0.0))
    area = quad(lambda day: float(rise_and_fall(day)), 0.0, t, points=[9.3] if t > 9.3 else None)[0]
    return float(np.log10(max(area, 10.0))) - 4.0


@pytest.mark.parametrize("link", ["log_current", "log_peak", "log_auc", "log_growth"])
def test_a_link_that_changes_with_time_is_integrated(link: str) -> None:
    events = event_times(END, HAPPENED, FROM_0)
    p = parameters(slope=-0.7)
    found = event_log_likelihood("weibull", of_rise_and_fall(link, events), events, p, NOBODY_DIFFERS)

    def hazard(t: float) -> float:
        baseline = LN2 * 1.4 / 120.0 * (t / 120.0) ** 0.4
        return baseline * np.exp(-0.7 * link_at(link, t))

    for i in range(4):
        cumulative = quad(hazard, 0.0, END[i], points=[2.0, 7.0, 9.3, 16.3], limit=500, epsrel=1e-6)[0]
        truth = HAPPENED[i] * np.log(hazard(END[i])) - cumulative
        assert float(found[i]) == pytest.approx(truth, abs=0.02), i


def test_the_peak_is_known_from_its_day_on_and_does_not_jump() -> None:
    events = event_times(END, HAPPENED, FROM_0)
    x = np.asarray(of_rise_and_fall("log_peak", events))
    days = np.asarray(events.time)
    assert (np.diff(x, axis=1) >= 0).all()
    assert x[0, -1] < -1.0, "who had the event on day 3 had not yet had a peak"
    np.testing.assert_allclose(x[days > 11.0], 1.0, atol=1e-9)
    by_day = jax.grad(lambda day: jnp.sum(of_rise_and_fall("log_peak", events, day)[3, 30:]))
    for day in (8.9, 9.4, 10.1):
        assert float(by_day(day)) == pytest.approx(0.0, abs=1e-9)


def test_a_landmark_counts_who_reaches_it_and_keeps_the_link() -> None:
    events = event_times(END, HAPPENED, FROM_0, landmark=28.0)
    assert list(np.asarray(events.counted)) == [False, True, True, True, False]
    x = of_rise_and_fall("log_current", events)
    x = jnp.broadcast_to(x[:, -1:], x.shape)
    p = parameters(slope=-0.7)
    found = event_log_likelihood("weibull", x, events, p, NOBODY_DIFFERS)
    ratio = np.exp(-0.7 * link_at("log_current", 28.0))
    law = weibull_min(1.4, scale=120.0 / LN2 ** (1 / 1.4))
    truth = np.where(HAPPENED, law.logpdf(END) - law.logsf(END) + np.log(ratio), 0.0)
    truth += ratio * (law.logsf(END) - law.logsf(28.0))
    np.testing.assert_allclose(found[1:4], truth[1:4], rtol=1e-9)


def test_covariates_multiply_the_hazard_and_a_lost_curve_has_no_likelihood() -> None:
    events = event_times(END, HAPPENED, FROM_0)
    x = jnp.zeros(events.time.shape).at[2, 4].set(jnp.nan)
    covariates = np.array([0.3, 0.0, 0.0, -0.3, 0.0])
    found = event_log_likelihood("weibull", x, events, parameters(slope=1.0), covariates)
    law = weibull_min(1.4, scale=120.0 / LN2 ** (1 / 1.4))
    assert float(found[0]) == pytest.approx(
        law.logpdf(3.0) - law.logsf(3.0) + 0.3 + np.exp(0.3) * law.logsf(3.0)
    )
    assert float(found[2]) == -np.inf
    by_x = jax.grad(
        lambda x: jnp.sum(event_log_likelihood("weibull", x, events, parameters(1.0), covariates)[3:])
    )(x)
    assert np.isfinite(np.asarray(by_x)).all()


def test_the_information_is_the_expected_curvature() -> None:
    """By the slope of the likelihood: E[(d log L / dx)^2] over simulated times equals the information."""
    rng = np.random.default_rng(20261201)
    n = 40_000
    p = parameters(slope=-0.8, median=100.0, shape=1.0)
    x_of = -0.4
    times = rng.exponential(100.0 / LN2 / np.exp(-0.8 * x_of), n)
    events = event_times(np.minimum(times, 250.0), times < 250.0, np.zeros(n))
    x = jnp.full(events.time.shape, x_of)
    score = jax.grad(lambda d: jnp.sum(event_log_likelihood("weibull", x + d, events, p, np.zeros(n))))
    each = jax.vmap(jax.grad(partial(_one, p=p)), (None, 0, 0))(x_of, events.end, events.happened)
    assert float(score(0.0)) == pytest.approx(float(each.sum()), rel=1e-9)
    information = float(jnp.sum(event_information("weibull", x, events, p, np.zeros(n)))) / n
    assert float(jnp.mean(each**2)) == pytest.approx(information, rel=0.03)


def _one(x, end, happened, p):
    rate = LN2 / p["median"] * jnp.exp(p["slope"] * x)
    return jnp.where(happened, jnp.log(rate), 0.0) - rate * end
