"""Every residual error model, measured and censored each way, against scipy."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from kinetics.observe import FAMILIES, TINY, AssayRecords, log_likelihood, pad_observations, simulate_residual

F = 37.0  # the prediction
RESIDUAL = {"sigma": jnp.asarray(0.45), "sigma_add": jnp.asarray(6.0)}
REFERENCE = {
    "lognormal": stats.lognorm(0.45, scale=F),
    "additive_on_log": stats.lognorm(0.45, scale=F),
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


@pytest.mark.parametrize("nu", [2.5, 4.0, 30.0])
@pytest.mark.parametrize("value", [0.5, 20.0, 37.0, 400.0])
def test_student_t_on_the_log_scale_is_scipys(nu: float, value: float) -> None:
    z = stats.t(nu, loc=np.log(F), scale=0.45)
    assert at("student_t", one(value, "measured"), nu=nu) == pytest.approx(
        z.logpdf(np.log(value)) - np.log(value), rel=1e-9
    )
    assert at("student_t", one(value, "left"), nu=nu) == pytest.approx(z.logcdf(np.log(value)), rel=1e-9)
    assert at("student_t", one(value, "right"), nu=nu) == pytest.approx(z.logsf(np.log(value)), rel=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
def test_probability_of_a_censored_record_is_the_integral_of_the_density(family: str) -> None:
    """Quadrature over our own density: the pieces of one likelihood agree with each other."""
    low, high = 12.0, 55.0

    def density(y: float) -> float:
        return float(np.exp(at(family, one(y, "measured"))))

    inside = integrate.quad(density, low, high, epsabs=1e-11, epsrel=1e-11)[0]
    assert at(family, one(high, "interval", low)) == pytest.approx(np.log(inside), abs=1e-8)
    left, right = (np.exp(at(family, one(v, k))) for v, k in ((low, "left"), (high, "right")))
    assert left + inside + right == pytest.approx(1.0, abs=1e-8)


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
