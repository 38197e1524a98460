"""Every residual error model, measured and censored each way, against scipy."""

from collections.abc import Callable
from functools import cache
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats
from scipy.special import log_ndtr

from kinetics.assay.likelihood import AssayRecords, log_likelihood, pad_observations
from kinetics.assay.residual import (
    FAMILIES,
    LOG_FAMILIES,
    TINY,
    location_scale,
    normal_logcdf,
    simulate_residual,
    student,
)

F = 37.0  # the prediction
RESIDUAL = {"sigma": jnp.asarray(0.45), "sigma_add": jnp.asarray(6.0)}
REFERENCE = {
    "lognormal": stats.lognorm(0.45, scale=F),
    "additive_on_log": stats.lognorm(0.45, scale=F),
    "lognormal_poisson": stats.lognorm(
        np.sqrt(0.45**2 + np.log(1 + 1 / (0.2 * F))), scale=F / np.sqrt(1 + 1 / (0.2 * F))
    ),
    "additive": stats.norm(F, 6.0),
    "proportional": stats.norm(F, 0.45 * F),
    "combined": stats.norm(F, np.hypot(6.0, 0.45 * F)),
}


def one(value: float, kind: str, limit: float = 0.0) -> AssayRecords:
    masks = {k: np.array([[k == kind]]) for k in ("measured", "left", "right", "interval")}
    return AssayRecords(np.array([[value]]), np.array([[limit]]), **masks)


def at(family: str, records: AssayRecords, f: float = F, **options: float) -> float:
    return float(log_likelihood(family, jnp.array([[f]]), records, RESIDUAL, **options)[0, 0])


@pytest.mark.parametrize("family", REFERENCE)
@pytest.mark.parametrize("value", [3.0, 20.0, 37.0, 90.0])
def test_density_and_censored_probabilities_are_scipys(family: str, value: float) -> None:
    reference = REFERENCE[family]
    assert at(family, one(value, "measured")) == pytest.approx(reference.logpdf(value), rel=1e-10)
    assert at(family, one(value, "left")) == pytest.approx(reference.logcdf(value), rel=1e-9)
    assert at(family, one(value, "right")) == pytest.approx(reference.logsf(value), rel=1e-9)
    between = max(
        reference.cdf(value * 1.3) - reference.cdf(value), reference.sf(value) - reference.sf(value * 1.3)
    )
    assert at(family, one(value * 1.3, "interval", value)) == pytest.approx(np.log(between), rel=1e-8)


def test_the_normals_log_probability_is_scipys_from_the_far_tails_to_the_middle() -> None:
    z = np.concatenate([np.linspace(-45, 9, 5401), -np.logspace(2, 150, 50), [0.0, -1e-300, 12.0]])
    np.testing.assert_allclose(normal_logcdf(jnp.asarray(z)), log_ndtr(z), rtol=1e-13)
    slope = jax.vmap(jax.grad(normal_logcdf))(jnp.asarray(z[:5401]))
    np.testing.assert_allclose(slope, np.exp(stats.norm.logpdf(z[:5401]) - log_ndtr(z[:5401])), rtol=1e-11)
    assert np.asarray(normal_logcdf(jnp.array([-np.inf, np.inf]))).tolist() == [-np.inf, 0.0]


def test_students_t_of_four_degrees_of_freedom_is_scipys_far_out_in_both_tails() -> None:
    z = np.array([-1e6, -300.0, -3.0, -1e-9, 0.0, 1e-9, 0.5, 3.0, 300.0, 1e6])
    logcdf = student(4.0)[1]
    np.testing.assert_allclose(logcdf(jnp.asarray(z)), stats.t(4).logcdf(z), rtol=1e-12)
    slope = jax.vmap(jax.grad(logcdf))(jnp.asarray(z))
    np.testing.assert_allclose(slope, np.exp(stats.t(4).logpdf(z) - stats.t(4).logcdf(z)), rtol=1e-9)


@pytest.mark.parametrize("nu", [2.5, 4.0, 30.0])
@pytest.mark.parametrize("value", [0.5, 20.0, 37.0, 400.0])
def test_student_t_on_the_log_scale_is_scipys(nu: float, value: float) -> None:
    z = stats.t(nu, loc=np.log(F), scale=0.45)
    assert at("student_t", one(value, "measured"), nu=nu) == pytest.approx(
        z.logpdf(np.log(value)) - np.log(value), rel=1e-9
    )
    assert at("student_t", one(value, "left"), nu=nu) == pytest.approx(z.logcdf(np.log(value)), rel=1e-9)
    assert at("student_t", one(value, "right"), nu=nu) == pytest.approx(z.logsf(np.log(value)), rel=1e-9)


@cache
def measured_density(family: str) -> Callable[[float, float], jax.Array]:
    """Our density of a measurement y where f is predicted, compiled."""

    @jax.jit
    def density(y: jax.Array, f: jax.Array) -> jax.Array:
        there = np.array([[True]])
        records = AssayRecords(jnp.reshape(y, (1, 1)), np.zeros((1, 1)), there, ~there, ~there, ~there)
        return jnp.exp(log_likelihood(family, jnp.reshape(f, (1, 1)), records, RESIDUAL)[0, 0])

    return density


RANGES: dict[str, tuple[float, float]] = {  # kind of record -> what is known of the measurement
    "measured": (-np.inf, np.inf),
    "left": (-np.inf, 12.0),
    "right": (55.0, np.inf),
    "interval": (12.0, 55.0),
}


@pytest.mark.parametrize("f", [20.0, F, 60.0])
@pytest.mark.parametrize("kind", RANGES)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_record_has_the_integral_of_the_density_over_what_is_known_of_it(
    family: str, kind: str, f: float
) -> None:
    """Every family, measured and censored each way, by quadrature of the measured density; a whole is 1."""
    low, high = RANGES[kind]
    logged = family in LOG_FAMILIES
    if logged:  # over log y, where the density is smooth
        low, high = np.log(max(low, TINY)), min(np.log(high), 300.0)
    centre, scale = (float(x) for x in location_scale(family, jnp.asarray(f), RESIDUAL))

    def density(x: float) -> float:
        y = np.exp(x) if logged else x
        return float(measured_density(family)(y, f)) * (y if logged else 1.0)

    far = [6.0, 30.0, 300.0, 1e4]
    edges = np.clip(centre + scale * np.array([-x for x in far[::-1]] + [-2.0, 0.0, 2.0] + far), low, high)
    pieces = [integrate.quad(density, a, b, epsabs=0, epsrel=1e-10)[0] for a, b in pairwise(edges)]
    value, limit = (55.0, 12.0) if kind == "interval" else (12.0 if kind == "left" else 55.0, 0.0)
    known = 0.0 if kind == "measured" else at(family, one(value, kind, limit), f)
    tolerance = 2e-6 if family == "student_t" else 1e-8  # of a Student's t some is beyond TINY
    assert known == pytest.approx(np.log(sum(pieces)), abs=tolerance)


@pytest.mark.parametrize(("molecules", "within"), [(5.0, 0.04), (10.0, 0.025), (30.0, 0.012), (200.0, 0.004)])
def test_a_count_of_few_molecules_is_nearly_the_exact_poisson_lognormal_mixture(
    molecules: float, within: float
) -> None:
    """P(y < x) of N molecules counted, N Poisson, times log-normal error: summed over N, at ten x."""
    f, sigma = molecules / 0.2, float(RESIDUAL["sigma"])
    n = np.arange(1, 1000)
    x = f * np.exp(np.linspace(-2.0, 1.5, 10))
    below = stats.norm.cdf(np.log(x[:, None] * 0.2 / n) / sigma)
    exact = stats.poisson.pmf(0, molecules) + below @ stats.poisson.pmf(n, molecules)
    ours = [np.exp(at("lognormal_poisson", one(float(v), "left"), f)) for v in x]
    plain = [np.exp(at("lognormal", one(float(v), "left"), f)) for v in x]
    assert np.abs(ours - exact).max() < within
    assert np.abs(plain - exact).max() > 2 * np.abs(ours - exact).max()


def test_the_counting_error_needs_few_molecules_and_vanishes_with_many() -> None:
    def slack(f: float, dna_ug: float) -> float:
        measured = one(f, "measured")
        return at("lognormal_poisson", measured, f, dna_ug=dna_ug) - at("lognormal", measured, f)

    assert abs(slack(1e6, 1.0)) < 1e-5
    assert slack(20.0, 0.2) < slack(20.0, 1.0) < -0.05  # 4 and 20 molecules: a wider density, so a lower one


def test_fewer_molecules_are_ever_less_likely_to_be_seen_above_the_limit() -> None:
    f = np.append(10.0 ** np.arange(2, -9, -0.5), 0.0)
    seen = [at("lognormal_poisson", one(50.0, "right"), x) for x in f]
    assert (np.diff(seen) < 0).all()
    assert seen[-1] < np.log(1e-15)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["left", "right", "interval"])
def test_far_tails_keep_a_finite_likelihood_and_gradient(family: str, kind: str) -> None:
    records = one(50.0, kind, limit=49.999)

    def total(f: jax.Array) -> jax.Array:
        return jnp.sum(log_likelihood(family, f, records, RESIDUAL))

    for f in (1e-6, 0.3, 50.0, 1e4, 1e9):
        value, slope = jax.value_and_grad(total)(jnp.array([[f]]))
        assert np.isfinite(value)
        assert np.isfinite(slope).all()


def test_a_padded_slot_and_no_cells_below_the_limit_cost_nothing() -> None:
    padded = one(1.0, "none")
    assert at("lognormal", padded) == 0.0
    assert at("lognormal", one(50.0, "left"), f=0.0) == pytest.approx(0.0, abs=1e-12)


def test_records_land_where_their_time_is_and_each_has_one_mask() -> None:
    table = pd.DataFrame(
        {
            "subject": ["a", "a", "a", "b"], "time": [1.0, 2.0, 1.0, 5.0],
            "analyte": ["x", "x", "y", "x"], "value": [10.0, 50.0, 3.0, 7.0],
            "censored": ["none", "left", "none", "left"], "limit": [np.nan, np.nan, np.nan, 2.0],
        }
    )  # fmt: skip
    seen = pad_observations(table, ["a", "b", "c"], ["x", "y"])
    np.testing.assert_array_equal(seen.time, [[1, 2], [5, 5], [0, 0]])
    x, y = seen.assays["x"], seen.assays["y"]
    np.testing.assert_array_equal(x.measured, [[True, False], [False, False], [False, False]])
    np.testing.assert_array_equal(x.left, [[False, True], [False, False], [False, False]])
    np.testing.assert_array_equal(x.interval, [[False, False], [True, False], [False, False]])
    assert (x.limit[1, 0], x.value[1, 0], y.value[0, 0]) == (2.0, 7.0, 3.0)
    for records in seen.assays.values():
        stacked = np.stack([records.measured, records.left, records.right, records.interval]).sum(axis=0)
        assert stacked.max() <= 1
    assert sum(int(r.measured.sum() + r.left.sum() + r.interval.sum()) for r in seen.assays.values()) == len(
        table
    )


def test_dropping_below_lloq_removes_them_and_only_them() -> None:
    table = pd.DataFrame(
        {"subject": ["a"] * 3, "time": [1.0, 2.0, 3.0], "analyte": "x", "value": [10.0, 5.0, 5.0],
         "censored": ["none", "left", "left"], "limit": [np.nan, np.nan, 1.0]}
    )  # fmt: skip
    kept = pad_observations(table, ["a"], ["x"], drop_left=["x"]).assays["x"]
    assert (kept.measured.sum(), kept.left.sum(), kept.interval.sum()) == (1, 0, 0)


def test_records_up_to_the_day_named_do_not_enter_and_those_of_other_analytes_do() -> None:
    table = pd.DataFrame(
        {"subject": ["a"] * 4, "time": [-1.0, 0.0, 2.0, 0.0], "analyte": ["x", "x", "x", "y"],
         "value": [1.0, 2.0, 3.0, 4.0], "censored": ["none", "none", "left", "none"], "limit": np.nan}
    )  # fmt: skip
    seen = pad_observations(table, ["a"], ["x", "y"], after={"x": 0.0})
    x, y = seen.assays["x"], seen.assays["y"]
    assert (x.measured.sum(), x.left.sum(), y.measured.sum()) == (0, 1, 1)
    assert seen.time.tolist() == [[0.0, 2.0]]


@pytest.mark.parametrize("family", FAMILIES)
def test_simulated_measurements_follow_the_likelihood(family: str) -> None:
    """The probability integral transform of 20,000 simulated values is uniform (KS, seed fixed)."""
    rng = np.random.default_rng(11)
    f = np.full(20_000, F)
    y = simulate_residual(family, f, {k: np.asarray(v) for k, v in RESIDUAL.items()}, rng)
    records = AssayRecords(
        y[None],
        y[None] * 0,
        *(np.full((1, y.size), k == "left") for k in ("measured", "left", "right", "interval")),
    )
    pit = np.exp(np.asarray(log_likelihood(family, jnp.asarray(f)[None], records, RESIDUAL)))[0]
    assert stats.kstest(pit, "uniform").pvalue > 0.01
    assert TINY < 1e-12


@pytest.mark.parametrize("family", REFERENCE)
def test_a_record_above_the_uloq_with_a_limit_is_the_interval_up_to_it(family: str) -> None:
    # Monolix: CENS = -1 with LIMIT is DV < y < LIMIT; without LIMIT it is y > DV
    table = pd.DataFrame(
        {"subject": ["a", "a"], "time": [1.0, 2.0], "analyte": "x", "value": [40.0, 40.0],
         "censored": ["right", "right"], "limit": [60.0, np.nan]}
    )  # fmt: skip
    records = pad_observations(table, ["a"], ["x"]).assays["x"]
    assert (records.interval.tolist(), records.right.tolist()) == ([[True, False]], [[False, True]])
    reference = REFERENCE[family]
    seen = log_likelihood(family, jnp.full((1, 2), F), records, RESIDUAL)[0]
    between = np.log(reference.cdf(60.0) - reference.cdf(40.0))
    np.testing.assert_allclose(seen, [between, reference.logsf(40.0)], rtol=1e-8)
