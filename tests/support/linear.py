"""A linear mixed model with normal errors: its marginal likelihood and posterior are known in closed form.

y_ij = a_i + b_i t_ij + c_i t_ij^2 + e_ij,   (a, b, c)_i = mu + beta (weight_i - 70) in a + omega eta_i
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from itertools import permutations
from typing import Any

import numpy as np
from scipy import stats

import kinetics as kn
from kinetics.model.model import Model, Output, Parameter, State
from kinetics.model.priors import LogNormal, Normal
from kinetics.plan.binding import BoundFit, bind
from kinetics.plan.plan import plan_of
from kinetics.study.study import Study

__all__ = ["COEFFICIENTS", "TRUTH", "Linear", "linear_study"]

COEFFICIENTS = ("a", "b", "c")
TRUTH = {"a": 5.0, "b": -2.0, "c": 1.0, "beta": 0.05, "omega": np.array([0.8, 1.2, 0.6]), "sigma": 0.5}
PRIORS = {"a": Normal(4.0, 2.0), "b": Normal(0.0, 2.0), "c": Normal(0.0, 1.5)}


def _line(t: Any, p: Any, doses: Any) -> dict[str, Any]:
    return {"x": p["a"] + p["b"] * t + p["c"] * t**2}


PARAMETERS = {
    k: Parameter(p.mean, "1", p, source="test", sd_prior=LogNormal(0.7, 0.6)) for k, p in PRIORS.items()
}
MODEL = Model(
    {"x": State("x", "mg", "serum")},
    PARAMETERS,
    {"x": Output(lambda y, p: y["x"], "mg/L", "x")},
    _line,
    dose_unit="mg",
    name="linear",
    sha256="linear",
)


@dataclass(frozen=True)
class Linear:
    """A study simulated from the model: the subjects, times and weights of theophylline."""

    study: Study
    y: np.ndarray  # subject, record
    time: np.ndarray
    weight: np.ndarray  # less 70 kg

    def bound(self, *vary: str, scale: float = 1.0, **keys: Any) -> BoundFit:
        """The plan bound with these coefficients varying (all of them unless named)."""
        content = {
            "model": "linear",
            "data": "theophylline",
            "vary": vary or COEFFICIENTS,
            "observe": {"theophylline": {"likelihood": "additive", "sigma_scale": scale}},
            "covariates": {"a": [{"covariate": "weight_kg", "centre": 70.0}]},
        }
        return bind(plan_of({**content, **keys}), study=self.study, model=MODEL)

    def design(self, i: int) -> np.ndarray:
        return np.vander(self.time[i], 3, increasing=True)

    def fixed(self, i: int) -> np.ndarray:
        """The columns that a, b, c and beta multiply."""
        return np.column_stack([self.design(i), np.full(len(self.time[i]), self.weight[i])])

    def of_subject(self, i: int, sites: Any, bound: BoundFit) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Residual of the population's line, Z Omega, and the covariance of the records."""
        at = [COEFFICIENTS.index(k) for k in bound.hierarchy.vary]
        omega = np.array([float(sites[f"omega_{k}"]) for k in bound.hierarchy.vary])
        z = self.design(i)[:, at]
        spread = z @ (np.outer(omega, omega) * correlation_of(sites, bound.hierarchy.vary))
        sigma = float(sites["sigma_add_theophylline"])
        mean = [*(float(sites[f"{k}_pop"]) for k in COEFFICIENTS), float(sites["beta_a_weight_kg"])]
        return self.y[i] - self.fixed(i) @ np.array(mean), spread, spread @ z.T + sigma**2 * np.eye(len(z))

    def log_marginal(self, sites: Any, bound: BoundFit) -> np.ndarray:
        """The exact log marginal likelihood of every subject."""
        parts = [self.of_subject(i, sites, bound) for i in range(len(self.y))]
        return np.array([stats.multivariate_normal(cov=v).logpdf(r) for r, _, v in parts])

    def blups(self, sites: Any, bound: BoundFit) -> np.ndarray:
        """Conditional means of the random effects: (vary, subject)."""
        parts = [self.of_subject(i, sites, bound) for i in range(len(self.y))]
        return np.array([spread.T @ np.linalg.solve(v, r) for r, spread, v in parts]).T

    def posterior(self, sites: Any, bound: BoundFit) -> tuple[np.ndarray, np.ndarray]:
        """Mean and covariance of a, b, c and beta, the SDs and correlations of `sites` known."""
        sites = {k: p.median for k, p in bound.priors().items()} | sites
        priors = [PRIORS[k] for k in COEFFICIENTS] + [bound.priors()["beta_a_weight_kg"]]
        precision = np.diag([p.sd**-2.0 for p in priors])  # pyright: ignore
        right = precision @ np.array([p.median for p in priors])
        for i in range(len(self.y)):
            x, v = self.fixed(i), self.of_subject(i, sites, bound)[2]
            precision += x.T @ np.linalg.solve(v, x)
            right += x.T @ np.linalg.solve(v, self.y[i])
        return np.linalg.solve(precision, right), np.linalg.inv(precision)


def correlation_of(sites: Any, vary: tuple[str, ...]) -> np.ndarray:
    """The correlation matrix of the random effects, out of whichever corr_X_Y there are."""
    matrix = np.eye(len(vary))
    for (i, a), (j, b) in permutations(enumerate(vary), 2):
        if f"corr_{a}_{b}" in sites:
            matrix[i, j] = matrix[j, i] = float(sites[f"corr_{a}_{b}"])
    return matrix


@cache
def linear_study() -> Linear:
    study, rng = kn.read_study("theophylline"), np.random.default_rng(4)
    seen = study.observations
    ids = list(study.subject_ids)
    assert (seen["subject"].value_counts() == 11).all()
    time = np.array([seen.loc[seen["subject"] == s, "time"].to_numpy() for s in ids])
    weight = study.subjects["weight_kg"].to_numpy(float) - 70.0
    mean = np.array([TRUTH[k] for k in COEFFICIENTS])
    theta = mean + TRUTH["omega"] * rng.standard_normal((len(ids), 3))
    theta[:, 0] += TRUTH["beta"] * weight
    y = np.einsum("sk,srk->sr", theta, np.stack([time**k for k in range(3)], axis=-1))
    y += TRUTH["sigma"] * rng.standard_normal(y.shape)
    place = {s: i for i, s in enumerate(ids)}
    values = [
        y[place[s], np.argmin(np.abs(time[place[s]] - t))]
        for s, t in zip(seen["subject"], seen["time"], strict=True)
    ]
    simulated = seen.assign(value=np.array(values), censored="none")
    return Linear(replace(study, observations=simulated), y, time, weight)
