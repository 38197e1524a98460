"""Random effects through the factor of their own precision: against numpy's Cholesky and jax's own
gradient.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kinetics.population.subject_factor import conditional

N = 5


def inputs(d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Roots B of the precisions A = B B' + I, and two vectors: the subject last."""
    rng = np.random.default_rng([seed, d])
    return rng.standard_normal((d, d, N)), rng.standard_normal((d, N)), rng.standard_normal((d, N))


def precision(root: Any) -> Any:
    return jnp.einsum("ijs,kjs->iks", root, root) + jnp.eye(len(root))[..., None]


def plainly(a: Any, pull: Any, u: Any) -> tuple[Any, Any]:
    """The same by jax's Cholesky and triangular solves, subject by subject."""

    def one(a: Any, pull: Any, u: Any) -> tuple[Any, Any]:
        c = jnp.linalg.cholesky(a)
        raised = jax.scipy.linalg.solve_triangular(c, pull, lower=True)
        b = jax.scipy.linalg.solve_triangular(c, raised + u, lower=True, trans=1)
        return b, -jnp.sum(jnp.log(jnp.diagonal(c)))

    return jax.vmap(one, in_axes=(2, 1, 1), out_axes=(1, 0))(a, pull, u)


def loss(function: Any) -> Any:
    """A number that every entry of b and of the volume moves, as a function of the root of A, pull and u."""

    def total(root: Any, pull: Any, u: Any) -> Any:
        b, volume = function(precision(root), pull, u)
        weight = 1.0 + jnp.arange(b.size).reshape(b.shape)
        return jnp.sum(jnp.sin(weight * b)) + jnp.sum((1.0 + jnp.arange(N)) * volume)

    return total


@pytest.mark.parametrize("d", [1, 2, 3, 10])
def test_effects_and_volume_are_those_of_numpys_cholesky_factor(d: int) -> None:
    root, pull, u = inputs(d)
    a = np.asarray(precision(root))
    b, volume = jax.jit(conditional)(a, pull, u)
    for i in range(N):
        c = np.linalg.cholesky(a[..., i])
        by_hand = np.linalg.solve(a[..., i], pull[:, i]) + np.linalg.solve(c.T, u[:, i])
        np.testing.assert_allclose(b[:, i], by_hand, rtol=1e-10, atol=1e-12)
        assert float(volume[i]) == pytest.approx(-0.5 * np.linalg.slogdet(a[..., i])[1], abs=1e-10)


@pytest.mark.parametrize("d", [1, 2, 3, 10])
def test_the_gradient_is_that_of_jaxs_own_cholesky_and_solves(d: int) -> None:
    ours = jax.jit(jax.grad(loss(conditional), (0, 1, 2)))(*inputs(d))
    theirs = jax.jit(jax.grad(loss(plainly), (0, 1, 2)))(*inputs(d))
    for mine, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max())


def test_the_gradient_by_a_precision_is_symmetric() -> None:
    root, pull, u = inputs(4)

    def total(a: Any) -> Any:
        b, volume = conditional(a, pull, u)
        return jnp.sum(b**3) + jnp.sum(volume)

    slope = jax.grad(total)(precision(root))
    np.testing.assert_allclose(slope, jnp.swapaxes(slope, 0, 1), rtol=1e-12, atol=1e-14)


def test_chains_vectorised_are_chains_one_by_one() -> None:
    many = [np.stack(x) for x in zip(*(inputs(3, seed) for seed in range(4)), strict=True)]
    call = jax.value_and_grad(loss(conditional), (0, 1, 2))
    values, slopes = jax.jit(jax.vmap(call))(*many)
    for i in range(4):
        value, slope = call(*(x[i] for x in many))
        assert float(values[i]) == pytest.approx(float(value), rel=1e-12)
        for together, alone in zip(slopes, slope, strict=True):
            np.testing.assert_allclose(together[i], alone, rtol=1e-10, atol=1e-12)


def test_a_precision_that_is_none_gives_nan_to_its_own_subject_only() -> None:
    root, pull, u = inputs(3)
    a = np.array(precision(root))
    a[..., 2] = np.diag([1.0, -1.0, 1.0])
    b, volume = conditional(jnp.asarray(a), pull, u)
    assert np.isnan(np.asarray(volume)).tolist() == [False, False, True, False, False]
    assert np.isfinite(np.delete(np.asarray(b), 2, axis=1)).all()
    assert np.isnan(np.asarray(b)[:, 2]).any()


def test_the_program_does_not_grow_with_the_number_of_parameters() -> None:
    def length(d: int) -> int:
        compiled = jax.jit(jax.grad(loss(conditional), (0, 1, 2))).lower(*inputs(d)).compile()
        return len(compiled.as_text().splitlines())

    assert length(10) < 1.2 * length(3)
