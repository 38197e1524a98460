"""Laplace's marginal likelihood of the linear model, beside the exact one."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import jax
import numpy as np

from kinetics.inference.laplace.marginal import Marginal
from kinetics.inference.posterior import Posterior
from kinetics.model.priors import LogNormal
from tests.support.linear import COEFFICIENTS, TRUTH, linear_study

__all__ = ["EFFECTS", "exact", "hessian", "known_spread", "marginal_of", "sites_of"]

EFFECTS: dict[str, dict[str, Any]] = {
    "independent": {},
    "correlated": {"correlated": [["c", "a", "b"]], "concentration": 1.5},
}


@cache
def marginal_of(effects: str) -> Marginal:
    """Laplace's marginal of the linear model with independent or with correlated effects."""
    return Marginal(Posterior(linear_study().bound(effects=EFFECTS[effects])))


@cache
def sites_of(posterior: Posterior) -> Any:
    """The compiled function from a point of the coordinates to the sites of the population."""
    return jax.jit(posterior.sites)


def exact(marginal: Marginal, g: np.ndarray) -> float:
    """The exact log marginal likelihood at the point `g` of the coordinates."""
    sites, _ = sites_of(marginal.posterior)(g)
    return float(np.sum(linear_study().log_marginal(sites, marginal.posterior.bound)))


def hessian(function: Any, g: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Second derivatives (d, d) of a function at `g`, by differences of 0.001 units of every coordinate."""
    h = 1e-3
    eye = np.diag(unit)
    d = len(g)
    out = np.empty((d, d))
    for i in range(d):
        for j in range(i, d):
            a = h * eye[i]
            b = h * eye[j]
            corners = function(g + a + b) - function(g + a - b) - function(g - a + b) + function(g - a - b)
            out[i, j] = out[j, i] = corners / (4 * h**2 * unit[i] * unit[j])
    return out


def known_spread() -> Any:
    """The linear model with its SDs all but known (prior SDs of 0.1 %): the posterior of the rest is
    normal.
    """
    omega = {k: {"median": float(w), "sd": 1e-3} for k, w in zip(COEFFICIENTS, TRUTH["omega"], strict=True)}
    sampler = {"chains": 2, "warmup": 200, "draws": 500, "chunk": 250}
    bound = linear_study().bound(omega=omega, sampler=sampler)
    tight = {"sigma_add_theophylline": LogNormal(TRUTH["sigma"], 1e-3)}
    return replace(bound, assays=tuple(replace(a, priors=tight) for a in bound.assays))
