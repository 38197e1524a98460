"""What a record says about its prediction: against quadrature of the score and second differences of a
probability.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from kinetics.assay.likelihood import AssayRecords, log_likelihood
from kinetics.assay.residual import FAMILIES, LOG_FAMILIES, location_scale
from kinetics.inference.information import record_information

NU, DNA = 4.0, 0.3
RESIDUAL = {"sigma": 0.35, "sigma_add": 2.5}
F = np.array([[0.7, 6.0, 40.0, 900.0]])
KINDS = ("measured", "left", "right", "interval")


def records_of(kind: str, value: Any, limit: Any = 0.0) -> AssayRecords:
    value = np.asarray(value, float)
    masks = {k: np.full(value.shape, k == kind) for k in KINDS}
    return AssayRecords(value, np.broadcast_to(np.asarray(limit, float), value.shape), **masks)


def residual_of(family: str) -> dict[str, Any]:
    return {name: jnp.asarray(RESIDUAL[name]) for name in FAMILIES[family]}


def information(family: str, f: Any, records: AssayRecords) -> np.ndarray:
    found = record_information(
        family, jnp.asarray(f), records, residual_of(family), nu=NU, dna_ug=DNA
    )  # fmt: skip
    return np.asarray(found)


def measured_at(family: str, f: float, z: np.ndarray) -> np.ndarray:
    """The measurement that lies `z` scales from the location of a prediction."""
    location, scale = (np.asarray(x) for x in location_scale(family, f, residual_of(family), DNA))
    y = location + scale * z
    return np.exp(y) if family in LOG_FAMILIES else y


def quadrature(family: str) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of the standard distribution: Gauss-Hermite, or equal angles for Student's t."""
    if family != "student_t":
        z, w = np.polynomial.hermite_e.hermegauss(40)
        return z, w / w.sum()
    angle = (np.arange(400) + 0.5) / 400 * np.pi - np.pi / 2
    z = np.sqrt(NU) * np.tan(angle)
    w = stats.t(NU).pdf(z) / np.cos(angle) ** 2
    return z, w / w.sum()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_measured_record_has_the_mean_square_of_its_score(family: str) -> None:
    z, w = quadrature(family)
    expected = []
    for f in F[0]:
        seen = records_of("measured", measured_at(family, float(f), z)[None])

        def total(f: Any, seen: AssayRecords = seen) -> Any:
            return jnp.sum(log_likelihood(family, f, seen, residual_of(family), nu=NU, dna_ug=DNA))

        score = np.asarray(jax.grad(total)(jnp.full((1, len(z)), f)))[0]
        expected.append(np.sum(w * score**2))
    ours = information(family, F, records_of("measured", np.ones_like(F)))[0]
    np.testing.assert_allclose(ours, expected, rtol=1e-6)


def standard(family: str, y: np.ndarray, f: np.ndarray) -> np.ndarray:
    """A limit less its location over its scale, by hand."""
    s, add = RESIDUAL["sigma"], RESIDUAL["sigma_add"]
    if family == "lognormal_poisson":
        counting = np.log1p(1 / (f * DNA))
        return (np.log(y) - np.log(f) + counting / 2) / np.sqrt(s**2 + counting)
    if family in LOG_FAMILIES:
        return (np.log(y) - np.log(f)) / s
    scale = {"additive": add, "proportional": s * f, "combined": np.sqrt(add**2 + (s * f) ** 2)}[family]
    return (y - f) / scale


@pytest.mark.parametrize("kind", ["left", "right", "interval"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_censored_record_has_minus_the_second_derivative_of_its_log_probability(
    family: str, kind: str
) -> None:
    """Along the straight line on which its standardised limits move with the prediction, as Gauss-Newton
    takes it.
    """
    law = stats.t(NU) if family == "student_t" else stats.norm
    upper, lower = (np.array([measured_at(family, f, np.array(z)) for f in F[0]]) for z in (0.6, -0.5))
    if family in ("additive", "combined", "proportional"):
        lower = np.minimum(lower, upper - 0.1)

    def moves(y: np.ndarray) -> np.ndarray:
        h = 1e-5 * F[0]
        return (standard(family, y, F[0] + h) - standard(family, y, F[0] - h)) / (2 * h)

    def log_probability(t: np.ndarray) -> np.ndarray:
        high, low = (standard(family, y, F[0]) + t * moves(y) for y in (upper, lower))
        if kind == "interval":
            return np.log(law.cdf(high) - law.cdf(low))
        return law.logcdf(high) if kind == "left" else law.logsf(high)

    h = 2e-3 / np.abs(moves(upper))
    bend = (log_probability(h) - 2 * log_probability(0 * h) + log_probability(-h)) / h**2
    ours = information(family, F, records_of(kind, upper[None], lower[None]))[0]
    assert (ours > 0).all()
    np.testing.assert_allclose(ours, -bend, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_information_is_never_negative_nor_undefined(family: str) -> None:
    rng = np.random.default_rng(3)
    f = np.exp(rng.uniform(-80, 15, (1, 400)))
    value = np.exp(rng.uniform(-5, 15, (1, 400)))
    for kind in KINDS:
        ours = information(family, f, records_of(kind, value, 0.5 * value))
        assert np.isfinite(ours).all()
        assert (ours >= 0).all()
        assert (ours > 0).any()


def test_the_convex_tail_of_students_t_says_nothing_rather_than_less_than_nothing() -> None:
    seen = records_of("left", np.full((1, 1), 1.0))
    assert information("student_t", np.full((1, 1), 1e4), seen)[0, 0] == 0.0
    assert information("student_t", np.full((1, 1), 1.5), seen)[0, 0] > 0.0


@pytest.mark.parametrize("family", FAMILIES)
def test_a_padded_slot_and_a_failed_prediction_have_no_information(family: str) -> None:
    nothing = records_of("nothing", np.ones_like(F))
    assert not information(family, F, nothing).any()
    failed = np.array([[np.nan, 6.0, np.inf, 900.0]])
    ours = information(family, failed, records_of("measured", np.full_like(F, 30.0)))
    assert (ours[0] > 0).tolist() == [False, True, False, True]


@pytest.mark.parametrize("kind", ["left", "right", "interval"])
def test_leaving_out_a_kind_of_censoring_that_is_absent_changes_nothing(kind: str) -> None:
    """And leaving out the one that is there would."""
    records, residual = records_of(kind, F, 0.5 * F), residual_of("student_t")
    found = {
        present: np.asarray(
            record_information("student_t", 1.5 * F, records, residual, nu=NU, present=present)
        )
        for present in ((kind,), ("left", "right", "interval"), ())
    }
    np.testing.assert_allclose(found[(kind,)], found["left", "right", "interval"], rtol=1e-12)
    assert (found[()] == 0).all()
    assert (found[(kind,)] > 0).any()
