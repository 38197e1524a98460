"""Residuals correlated within a blood draw: every pair of kinds of record against scipy's bivariate
normal.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from kinetics.assay.correlated import FAR, StandardisedRecords, both_censored, given_first, log_rectangle
from kinetics.assay.likelihood import AssayRecords, log_likelihood, standardise

KINDS = ("measured", "left", "right", "interval")
MEDIAN, SD = (37.0, 5.0), (0.45, 0.7)  # of the first and the second analyte
VALUE: dict[str, tuple[float, float]] = {  # kind -> value of each
    "measured": (30.0, 9.0), "left": (25.0, 7.0), "right": (40.0, 6.0), "interval": (60.0, 8.0),
}  # fmt: skip
LIMIT = (20.0, 3.0)  # lower bound of an interval
TAIL = 9.0  # SD: beyond it lies 1e-19


def record(kind: str, side: int, value: Any = None) -> AssayRecords:
    masks = {k: np.array([[k == kind]]) for k in KINDS}
    value = VALUE.get(kind, (1.0, 1.0))[side] if value is None else value
    return AssayRecords(jnp.reshape(jnp.asarray(value), (1, 1)), np.array([[LIMIT[side]]]), **masks)


@partial(jax.jit, static_argnums=5)
def compiled(first: AssayRecords, second: AssayRecords, rho: Any, f: Any, sd: Any, most: int) -> jax.Array:
    sides, own = [], jnp.zeros(())
    for records, x, s in zip((first, second), f, sd, strict=True):
        predicted, residual = x * jnp.ones(records.value.shape), {"sigma": s}
        sides.append(StandardisedRecords(records, standardise("lognormal", predicted, records, residual)))
        own = own if len(sides) > 1 else log_likelihood("lognormal", predicted, records, residual)
    return own + given_first(*sides, rho, most=most)


def joint(first: AssayRecords, second: AssayRecords, rho: Any, f: Any = MEDIAN, sd: Any = SD) -> jax.Array:
    """Log-likelihood of both records together: the first's own and the second's given it."""
    f, sd = (tuple(jnp.asarray(x, float) for x in pair) for pair in (f, sd))
    return compiled(first, second, jnp.asarray(rho, float), f, sd, both_censored(first, second))


def alone(kind: str, side: int) -> float:
    residual = {"sigma": jnp.asarray(SD[side])}
    return float(
        log_likelihood("lognormal", jnp.full((1, 1), MEDIAN[side]), record(kind, side), residual)[0, 0]
    )


def known(kind: str, side: int) -> tuple[float, float]:
    """What is known of the log of a measurement."""
    value, limit = np.log(VALUE[kind][side]), np.log(LIMIT[side])
    low, high = np.log(MEDIAN[side]) - TAIL * SD[side], np.log(MEDIAN[side]) + TAIL * SD[side]
    return {"left": (low, value), "right": (value, high), "interval": (limit, value)}.get(
        kind, (value, value)
    )


def whole(density: Callable[[float], float], low: float, high: float) -> float:
    """Log of an integral in 60 pieces, each to its own relative accuracy."""
    steps = np.linspace(low, high, 61)
    return float(np.log(sum(integrate.quad(density, a, b, epsabs=0)[0] for a, b in pairwise(steps))))


def reference(first: str, second: str, rho: float) -> float:
    """By scipy: the density of two logs, integrated over what is censored of them."""
    cross = rho * SD[0] * SD[1]
    normal = stats.multivariate_normal(np.log(MEDIAN), [[SD[0] ** 2, cross], [cross, SD[1] ** 2]])
    x, y = known(first, 0), known(second, 1)
    units = [np.log(VALUE["measured"][i]) if k == "measured" else 0.0 for i, k in enumerate((first, second))]

    def density(b: float, a: float) -> float:
        return float(normal.pdf([a, b]))

    if first == second == "measured":
        return float(normal.logpdf([x[0], y[0]])) - sum(units)
    if first == "measured":
        return whole(lambda b: density(b, x[0]), *y) - sum(units)
    if second == "measured":
        return whole(lambda a: density(y[0], a), *x) - sum(units)
    conditional = stats.norm(0, SD[1] * np.sqrt(1 - rho**2))

    def inside(a: float) -> float:
        shift = np.log(MEDIAN[1]) + rho * SD[1] / SD[0] * (a - np.log(MEDIAN[0]))
        low, high = y[0] - shift, y[1] - shift
        share = conditional.cdf(high) - conditional.cdf(low)
        if low > 0:  # the same without cancellation
            share = conditional.sf(low) - conditional.sf(high)
        return stats.norm.pdf(a, np.log(MEDIAN[0]), SD[0]) * share

    return whole(inside, *x)


@pytest.mark.parametrize("rho", [-0.95, -0.4, 0.0, 0.6, 0.99])
@pytest.mark.parametrize("second", KINDS)
@pytest.mark.parametrize("first", KINDS)
def test_two_records_of_a_draw_have_their_bivariate_normal_probability(
    first: str, second: str, rho: float
) -> None:
    found = float(joint(record(first, 0), record(second, 1), rho)[0, 0])
    assert found == pytest.approx(reference(first, second, rho), abs=2e-7)


@pytest.mark.parametrize(("first", "second"), [("left", "left"), ("right", "interval"), ("interval", "left")])
def test_the_probability_of_two_censored_records_is_a_double_integral_of_the_measured_density(
    first: str, second: str
) -> None:
    """Our own density of two measurements, integrated over both: nothing but the pair's own likelihood."""
    rho = 0.7

    @jax.jit
    def both(b: jax.Array, a: jax.Array) -> jax.Array:
        measured = record("measured", 0, jnp.exp(a)), record("measured", 1, jnp.exp(b))
        return jnp.exp(joint(*measured, rho)[0, 0] + a + b)

    def density(b: float, a: float) -> float:
        return float(both(b, a))

    total = integrate.dblquad(density, *known(first, 0), *known(second, 1), epsabs=1e-8, epsrel=1e-7)[0]
    assert float(joint(record(first, 0), record(second, 1), rho)[0, 0]) == pytest.approx(
        np.log(total), abs=1e-5
    )


@pytest.mark.parametrize("second", KINDS)
@pytest.mark.parametrize("first", KINDS)
def test_without_a_correlation_or_a_partner_a_record_has_its_own_likelihood(first: str, second: str) -> None:
    apart = alone(first, 0) + alone(second, 1)
    assert float(joint(record(first, 0), record(second, 1), 0.0)[0, 0]) == pytest.approx(apart, abs=1e-8)
    none = [record("none", side) for side in (0, 1)]
    assert float(joint(record(first, 0), none[1], 0.9)[0, 0]) == pytest.approx(alone(first, 0), abs=1e-12)
    assert float(joint(none[0], record(second, 1), 0.9)[0, 0]) == pytest.approx(alone(second, 1), abs=1e-12)
    assert float(joint(*none, 0.9)[0, 0]) == 0.0


@pytest.mark.parametrize("second", KINDS)
@pytest.mark.parametrize("first", KINDS)
def test_which_analyte_comes_first_does_not_matter(first: str, second: str) -> None:
    here = joint(record(first, 0), record(second, 1), 0.8)
    there = joint(record(second, 1), record(first, 0), 0.8, MEDIAN[::-1], SD[::-1])
    np.testing.assert_allclose(here, there, atol=2e-7)


@pytest.mark.parametrize("second", KINDS)
@pytest.mark.parametrize("first", KINDS)
def test_the_gradient_is_the_slope_and_stays_finite_far_out(first: str, second: str) -> None:
    """By finite differences near the data; only finite where a prediction is absurd or `rho` at its bound."""
    records = record(first, 0), record(second, 1)

    def total(f: Any, g: Any, sd: Any, rho: Any) -> jax.Array:
        return joint(*records, rho, (f, g), (sd, SD[1])).sum()

    slope = jax.value_and_grad(total, argnums=(0, 1, 2, 3))
    at = np.array([MEDIAN[0], MEDIAN[1], SD[0], 0.55])
    _, found = slope(*at)
    for i, by in enumerate(found):
        step = np.zeros(4)
        step[i] = 1e-4 * at[i]
        difference = (float(total(*(at + step))) - float(total(*(at - step)))) / (2 * step[i])
        assert float(by) == pytest.approx(difference, rel=1e-5, abs=1e-6)
    for f, g in [(1e-6, 1e9), (1e9, 1e9), (1e9, 1e-6), (0.0, 0.0), (40.0, 0.0)]:
        for rho in (-0.9999, 0.0, 0.5, 1.0):
            value, gradient = slope(f, g, 0.3, rho)
            assert np.isfinite(value), (f, g, rho)
            assert np.isfinite(gradient).all(), (f, g, rho)


@pytest.mark.parametrize(
    ("corners", "rho"),
    [
        ((-FAR, -8.0, -FAR, -9.0), 0.99), ((-FAR, -8.0, -FAR, -9.0), -0.5), ((2.0, FAR, 3.0, FAR), -0.97),
        ((-FAR, 0.0, -FAR, -5.0), 0.99), ((-0.5, 0.5, -FAR, -15.0), 0.98), ((0.0, 0.001, 1.0, 1.002), 0.7),
        ((-FAR, -20.0, -FAR, -25.0), 0.6), ((-FAR, 0.0, -FAR, 0.0), 0.9999),
    ],
)  # fmt: skip
def test_a_rectangle_keeps_its_relative_accuracy_in_every_tail(
    corners: tuple[float, ...], rho: float
) -> None:
    """Against quadrature over the other variable, in 200 pieces about its peak."""
    a, b, c, d = corners
    wide = np.sqrt((1 - rho) * (1 + rho))

    def log_density(y: np.ndarray) -> np.ndarray:
        low, high = (a - rho * y) / wide, (b - rho * y) / wide
        low, high = np.where(low > 0, -high, low), np.where(low > 0, -low, high)
        top = stats.norm.logcdf(high)
        gap = np.minimum(stats.norm.logcdf(low) - top, -1e-300)
        return stats.norm.logpdf(y) + top + np.log(-np.expm1(gap))

    y = np.linspace(max(c, -60.0), min(d, 60.0), 100_001)
    shift = log_density(y).max()
    held = y[log_density(y) > shift - 45]
    steps = np.linspace(held[0], held[-1], 201)
    pieces = [
        integrate.quad(lambda v: np.exp(log_density(v) - shift), p, q, epsabs=0)[0]
        for p, q in pairwise(steps)
    ]
    found = jax.jit(log_rectangle)(*(jnp.array([x]) for x in (*corners, rho)))
    assert float(found[0]) == pytest.approx(shift + np.log(sum(pieces)), abs=1e-6)


def test_a_rectangle_of_four_open_sides_is_certain_and_a_quadrant_is_the_known_formula() -> None:
    rho = jnp.array([-0.99, -0.5, 0.0, 0.3, 0.9])
    far, zero, compiled_rectangle = jnp.full(5, FAR), jnp.zeros(5), jax.jit(log_rectangle)
    np.testing.assert_allclose(compiled_rectangle(-far, far, -far, far, rho), 0.0, atol=1e-7)
    quadrant = 0.25 + np.arcsin(np.asarray(rho)) / (2 * np.pi)  # Sheppard's formula for two signs
    np.testing.assert_allclose(jnp.exp(compiled_rectangle(-far, zero, -far, zero, rho)), quadrant, rtol=1e-7)


def test_a_prediction_that_is_not_finite_is_impossible_and_has_no_gradient() -> None:
    wide = AssayRecords(*(np.concatenate([x, x], axis=1) for x in record("left", 0)))
    other = AssayRecords(*(np.concatenate([x, x], axis=1) for x in record("left", 1)))

    @jax.jit
    def terms(f: jax.Array) -> jax.Array:
        residual = {"sigma": jnp.asarray(0.45)}
        sides = [StandardisedRecords(r, standardise("lognormal", f, r, residual)) for r in (wide, other)]
        return given_first(*sides, jnp.asarray(0.5), most=2)

    f = jnp.array([[37.0, jnp.nan]])
    found = terms(f)
    assert np.isfinite(found[0, 0])
    assert found[0, 1] == -jnp.inf
    slope = jax.grad(lambda x: terms(x)[0, 0])(f)
    assert np.isfinite(slope).all()
    assert slope[0, 1] == 0.0


def test_more_doubly_censored_draws_than_were_counted_are_not_passed_over() -> None:
    sides = [
        StandardisedRecords(r, standardise("lognormal", jnp.full((1, 1), f), r, {"sigma": jnp.asarray(0.5)}))
        for r, f in zip((record("left", 0), record("right", 1)), MEDIAN, strict=True)
    ]
    many = [
        jax.tree.map(lambda x: jnp.concatenate([jnp.asarray(x)] * 2, axis=1), (s.records, s.standard))
        for s in sides
    ]
    given = jax.jit(
        partial(given_first, *(StandardisedRecords(*s) for s in many), jnp.asarray(0.5)),
        static_argnames="most",
    )
    assert np.isfinite(given(most=2)).all()
    assert np.isfinite(given(most=5)).all()
    assert np.isnan(given(most=1)).any()
