"""The models beside the rule of a dose decision: BLRM, exposure-response and utilities, with their priors.

The utility of a level joins P(DLT) and P(response) of new patients by declared weights, draw by draw. A
patient's outcome is one of four: response or none, with a DLT or none. Given the exposures, the two are taken
as independent; what they share comes from the exposures. The utility of a level is the mean weight over
patients, and the best level of a draw is the one with the highest utility.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from pandas import DataFrame

from kinetics.decision.level_exposures import Exposures
from kinetics.decision.regression import ExposureResponse, Slope, exposure_response
from kinetics.errors import InputError, Problem
from kinetics.escalation import Blrm, Cohort
from kinetics.outcomes import dlt_table
from kinetics.protocol import Protocol, rule_of
from kinetics.study import Study

__all__ = [
    "FEASIBLE",
    "OUTCOMES",
    "Chances",
    "Target",
    "at_every_level",
    "blrm_of",
    "chances_of",
    "p_best",
    "regressions",
    "rule_table",
    "sensitivity_of",
    "utilities",
    "weight_variants",
    "with_models",
    "with_utility",
]

FEASIBLE = Blrm.feasible  # P(overdose) at most; `Blrm` gives the source
GUESS = "design guess: no published slope was found"
SLOPES = {  # mean and SD for one unit of ln exposure; guesses [D] of this project's design, weak on purpose
    "cmax": (0.5, 0.35),
    "il6": (0.8, 0.4),
    "dose": (0.6, 0.3),
    "auc": (0.3, 0.3),
}
DLT_SHARES = (9.0, 1.0)  # a priori one DLT in ten at the reference, worth ten patients; a guess
OUTCOMES = ("response_without_dlt", "response_with_dlt", "neither", "dlt_without_response")

LevelChances = Float[np.ndarray, "draw patient"]
Chances = Mapping[str, Sequence[LevelChances]]  # outcome -> one entry a level


@dataclass(frozen=True)
class Target:
    """An exposure that is wanted to be above a value, given in the exposure's unit.

    >>> kn.decision.Target("car_copies_cmax", above=1e4).above
    10000.0
    """

    exposure: str
    above: float


def blrm_of(protocol: Protocol) -> Blrm:
    """The BLRM of `kinetics design --rule blrm`, with the overdose interval that the protocol names."""
    rule = rule_of(protocol, "blrm")
    assert isinstance(rule, Blrm)
    return replace(rule, target=(rule.target[0], protocol.mtd.overdose_above))


def rule_table(
    study: Study, protocol: Protocol, blrm: Blrm, history: Sequence[Cohort], level_column: str
) -> DataFrame:
    """One row a level: level, dose, subjects, evaluable, dlts, the BLRM's mean and interval probabilities."""
    counts = dlt_table(study, protocol, level_column=level_column)
    table = counts[["level", "dose", "subjects", "evaluable", "dlts"]].copy()
    posterior = blrm.posterior(history)
    for name, key in (
        ("blrm_mean", "mean"),
        ("p_under", "under"),
        ("p_target", "target"),
        ("p_over", "over"),
    ):
        table[name] = [getattr(p, key) for p in posterior]
    return table


def regressions(outcomes: DataFrame, as_dosed: Exposures, seed: int) -> dict[str, ExposureResponse]:
    """Outcome -> its regression, on the exposures that the fit has.

    `outcomes` comes from `kinetics.outcomes.subject_outcomes`. An outcome for which nobody was assessed has
    no regression.
    """
    fits = {}
    for name, categories, shares, exposures in (
        ("crs", 4, None, [_crs_exposure(as_dosed)]),
        ("dlt", 2, DLT_SHARES, ["il6_cmax", "dose"]),
        ("response", 2, None, [_response_exposure(as_dosed)]),
    ):
        assessed = outcomes[outcomes[name].notna() & outcomes["subject"].isin(as_dosed.subjects)]
        x = as_dosed.of(assessed["subject"].tolist())
        x["dose"] = np.broadcast_to(assessed["dose"].to_numpy(float), next(iter(x.values())).shape)
        x = {exposure: x[exposure] for exposure in exposures if exposure in x}
        usable = np.all([(np.isfinite(v) & (v > 0)).all(axis=0) for v in x.values()], axis=0)
        if not usable.any():
            continue
        assessed = assessed[usable]
        x = {exposure: v[:, usable] for exposure, v in x.items()}
        grades = assessed[name].astype(int).clip(upper=categories - 1)
        priors = {exposure: _prior(exposure, v) for exposure, v in x.items()}
        fits[name] = exposure_response(
            name, grades.tolist(), x, priors, categories=categories, shares=shares, seed=seed
        )
    return fits


def _prior(name: str, values: np.ndarray) -> Slope:
    """The prior of a slope, from the geometric middle of the exposures; for the IL-6 peak from 100 pg/mL."""
    if "auc" in name:
        kind = "auc"
    elif name == "dose":
        kind = "dose"
    elif name.startswith("il6"):
        kind = "il6"
    else:
        kind = "cmax"
    mean, sd = SLOPES[kind]
    reference = 100.0 if name == "il6_cmax" else float(np.exp(np.median(np.log(values))))
    return Slope(mean, sd, reference, GUESS)


def _crs_exposure(exposures: Exposures) -> str:
    """The exposure that CRS is regressed on: the peak of transgene copies, or of whatever cells there are."""
    return _first(exposures, ("car_copies_cmax", "car_cells_cmax", "t_cells_cmax"), "_cmax")


def _response_exposure(exposures: Exposures) -> str:
    """The exposure that response is regressed on: the area in the tumour, or that of the cells in blood."""
    return _first(exposures, ("car_t_tumour_auc_28d", "car_copies_auc_28d", "car_cells_auc_28d"), "_auc_28d")


def _first(exposures: Exposures, names: Sequence[str], ending: str) -> str:
    """The first of `names` that there is, or else the first exposure with this ending."""
    named = [name for name in names if name in exposures.values]
    others = [name for name in exposures.values if name.endswith(ending)]
    return [*named, *others][0]


def chances_of(
    protocol: Protocol, fits: Mapping[str, ExposureResponse], at_levels: Sequence[Exposures]
) -> dict[str, list[np.ndarray]]:
    """Probabilities of each outcome for new patients: outcome -> an array (draw, patient) for each level.

    The outcomes are dlt, crs_3 (CRS of grade 3 or more) and response. Empty without `at_levels`.
    """
    if not at_levels:
        return {}
    chances = {}
    for name, fit in fits.items():
        if name == "crs":
            chances["crs_3"] = at_every_level(protocol, fit, at_levels, 3)
        else:
            chances[name] = at_every_level(protocol, fit, at_levels, 1)
    return chances


def at_every_level(
    protocol: Protocol, fit: ExposureResponse, at_levels: Sequence[Exposures], grade: int
) -> list[Float[np.ndarray, "draw patient"]]:
    """P(`grade` or more) of the new patients of every level, lowest first."""
    chances = []
    for level, exposures in zip(protocol.levels, at_levels, strict=True):
        x = dict(exposures.values)
        x["dose"] = np.full_like(next(iter(x.values())), level)
        chances.append(fit.probability(x, grade))
    return chances


def with_models(
    table: DataFrame,
    chances: Chances,
    at_levels: Sequence[Exposures],
    targets: Sequence[Target],
) -> DataFrame:
    """The levels with the models' columns: probabilities of outcomes, and shares above targets.

    Each outcome has the median and the 90 % interval of its probability, each target the share of new
    patients whose exposure is above it.
    """
    table = table.copy()
    for name, by_level in chances.items():
        means = [p.mean(axis=1) for p in by_level]
        quantiles = np.array([np.quantile(mean, [0.05, 0.5, 0.95]) for mean in means])
        table[[f"{name}_lower", f"{name}_median", f"{name}_upper"]] = quantiles
    for target in targets:
        shares = [float(np.mean(e.values[target.exposure] > target.above)) for e in at_levels]
        table[f"p_{target.exposure}_above_{target.above:g}"] = shares
    return table


def with_utility(table: DataFrame, protocol: Protocol, chances: Chances, allowed: np.ndarray) -> DataFrame:
    """The levels with their expected utility, and how often each is best: of those allowed, and of all."""
    u = utilities(chances["dlt"], chances["response"], protocol.utilities)
    every = np.ones(len(table), bool)
    return table.assign(utility=u.mean(axis=1), p_best=p_best(u, allowed), p_best_of_all=p_best(u, every))


def sensitivity_of(protocol: Protocol, chances: Chances, allowed: np.ndarray) -> DataFrame:
    """The best level by other weights: one row a set of weights.

    Columns: weights (a name), each weight, level (of highest expected utility among the allowed, None where
    none is), p_best (the share of draws in which it is best).
    """
    rows = []
    for name, weights in weight_variants(protocol.utilities).items():
        u = utilities(chances["dlt"], chances["response"], weights)
        row = {"weights": name, **weights, "level": None, "p_best": float("nan")}
        if allowed.any():
            best = int(np.argmax(np.where(allowed, u.mean(axis=1), -np.inf)))
            row["level"] = best + 1
            row["p_best"] = float(p_best(u, allowed)[best])
        rows.append(row)
    return DataFrame(rows)


def utilities(
    p_dlt: Sequence[LevelChances], p_response: Sequence[LevelChances], weights: Mapping[str, float]
) -> Float[np.ndarray, "level draw"]:
    """The mean weight of every level in every draw.

    InputError where a weight of `OUTCOMES` is missing, or one is not of them.
    """
    if set(weights) != set(OUTCOMES):
        what = f"weights of {', '.join(sorted(weights)) or 'nothing'}"
        raise InputError(Problem(what, f"give {', '.join(OUTCOMES)}"))
    response_alone, both, neither, dlt_alone = (weights[outcome] for outcome in OUTCOMES)
    means = []
    for t, r in zip(p_dlt, p_response, strict=True):  # given the exposures DLT and response are independent
        weight = r * (1 - t) * response_alone + r * t * both
        weight = weight + (1 - r) * (1 - t) * neither + (1 - r) * t * dlt_alone
        means.append(np.mean(weight, axis=1))
    return np.stack(means)


def p_best(
    utility: Float[np.ndarray, "level draw"], allowed: Sequence[bool] | np.ndarray
) -> Float[np.ndarray, " level"]:
    """The share of draws in which each level, of those `allowed`, has the highest utility.

    Zeros where no level is allowed.
    """
    mask = np.asarray(allowed, bool)
    if not mask.any():
        return np.zeros(len(utility))
    best = np.argmax(np.where(mask[:, None], utility, -np.inf), axis=0)
    return np.bincount(best, minlength=len(utility)) / utility.shape[1]


def weight_variants(weights: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """The declared weights, and others that a reader may hold: how far does the decision rest on them."""
    declared = dict(weights)
    halfway = (declared["response_with_dlt"] + declared["response_without_dlt"]) / 2
    return {
        "declared": declared,
        "response alone": dict(zip(OUTCOMES, (100.0, 100.0, 0.0, 0.0), strict=True)),
        "safety alone": dict(zip(OUTCOMES, (100.0, 0.0, 100.0, 0.0), strict=True)),
        "a DLT forfeits a response": declared | {"response_with_dlt": declared["dlt_without_response"]},
        "a DLT costs a response little": declared | {"response_with_dlt": halfway},
    }
