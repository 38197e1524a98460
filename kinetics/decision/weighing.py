"""The models beside the rule of a dose decision: BLRM, exposure-response, utilities; their priors are
printed too.
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

FEASIBLE = Blrm.feasible  # P(overdose) at most: its source stands there
GUESS = "design guess: no published slope was found"
SLOPES = {  # of one unit of ln exposure; guesses [D] of this project's design, weak on purpose
    "cmax": (0.5, 0.35),
    "il6": (0.8, 0.4),
    "dose": (0.6, 0.3),
    "auc": (0.3, 0.3),
}
DLT_SHARES = (9.0, 1.0)  # a priori one in ten at the reference, worth ten patients; a guess


@dataclass(frozen=True)
class Target:
    """An exposure wanted, `above` in its own unit.

    >>> kn.decision.Target("car_copies_cmax", above=1e4).above
    10000.0
    """

    exposure: str
    above: float


Chances = Mapping[str, Sequence[Float[np.ndarray, "draw patient"]]]  # outcome -> one a level


def blrm_of(protocol: Protocol) -> Blrm:
    """`kinetics design --rule blrm`'s, with the overdose that the protocol names."""
    rule = rule_of(protocol, "blrm")
    assert isinstance(rule, Blrm)
    return replace(rule, target=(rule.target[0], protocol.mtd.overdose_above))


def rule_table(
    study: Study, protocol: Protocol, blrm: Blrm, history: Sequence[Cohort], level_column: str
) -> DataFrame:
    """level, dose, subjects, evaluable, dlts, and the BLRM's mean and interval probabilities."""
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
    """outcome -> its regression, on the exposures that the fit has; none for an outcome nobody was
    assessed for.
    """
    found = {}
    for name, categories, shares, wanted in (
        ("crs", 4, None, [_cells(as_dosed)]),
        ("dlt", 2, DLT_SHARES, ["il6_cmax", "dose"]),
        ("response", 2, None, [_area(as_dosed)]),
    ):
        own = outcomes[outcomes[name].notna() & outcomes["subject"].isin(as_dosed.subjects)]
        x = as_dosed.of(own["subject"].tolist())
        x["dose"] = np.broadcast_to(own["dose"].to_numpy(float), next(iter(x.values())).shape)
        x = {k: x[k] for k in wanted if k in x}
        known = np.all([np.isfinite(v).all(axis=0) & (v > 0).all(axis=0) for v in x.values()], axis=0)
        if not known.any():
            continue
        own = own[known]
        x = {k: v[:, known] for k, v in x.items()}
        grades = own[name].astype(int).clip(upper=categories - 1)
        priors = {k: _prior(k, v) for k, v in x.items()}
        found[name] = exposure_response(
            name, grades.tolist(), x, priors, categories=categories, shares=shares, seed=seed
        )
    return found


def _prior(name: str, values: np.ndarray) -> Slope:
    """The prior of a slope, from the exposures' geometric middle: that of IL-6 is 100 pg/mL."""
    key = "il6" if name.startswith("il6") else name.rpartition("_")[2] if name != "dose" else "dose"
    mean, sd = SLOPES["auc" if "auc" in name else key if key in SLOPES else "cmax"]
    reference = 100.0 if name == "il6_cmax" else float(np.exp(np.median(np.log(values))))
    return Slope(mean, sd, reference, GUESS)


def _cells(exposures: Exposures) -> str:
    """The exposure that CRS is regressed on: the peak of transgene copies, or of whatever cells there are."""
    return _first(exposures, ("car_copies_cmax", "car_cells_cmax", "t_cells_cmax"), "_cmax")


def _area(exposures: Exposures) -> str:
    """The exposure that response is regressed on: the area in the tumour, or that of the cells in blood."""
    return _first(exposures, ("car_t_tumour_auc_28d", "car_copies_auc_28d", "car_cells_auc_28d"), "_auc_28d")


def _first(exposures: Exposures, names: Sequence[str], ending: str) -> str:
    known = [
        *(k for k in names if k in exposures.values),
        *(k for k in exposures.values if k.endswith(ending)),
    ]
    return known[0]


def chances_of(
    protocol: Protocol, fits: Mapping[str, ExposureResponse], at_levels: Sequence[Exposures]
) -> dict[str, list[np.ndarray]]:
    """P(outcome) of every level's new patients: dlt, crs_3 (grade 3 or more), response; each (draw,
    patient).
    """
    if not at_levels:
        return {}
    return {
        "crs_3" if name == "crs" else name: at_every_level(
            protocol, fit, at_levels, 3 if name == "crs" else 1
        )
        for name, fit in fits.items()
    }


def at_every_level(
    protocol: Protocol, fit: ExposureResponse, at_levels: Sequence[Exposures], grade: int
) -> list[Float[np.ndarray, "draw patient"]]:
    """P(this grade or more) of the new patients of every level."""
    found = []
    for level, exposures in zip(protocol.levels, at_levels, strict=True):
        x = dict(exposures.values)
        x["dose"] = np.full_like(next(iter(x.values())), level)
        found.append(fit.probability(x, grade))
    return found


def with_models(
    table: DataFrame,
    chances: Chances,
    at_levels: Sequence[Exposures],
    targets: Sequence[Target],
) -> DataFrame:
    """Median and 90 % interval of each outcome's probability, and the share of new patients above each
    target.
    """
    table = table.copy()
    for name, each in chances.items():
        quantiles = np.array([np.quantile(p.mean(axis=1), [0.05, 0.5, 0.95]) for p in each])
        table[[f"{name}_lower", f"{name}_median", f"{name}_upper"]] = quantiles
    for target in targets:
        share = [float(np.mean(e.values[target.exposure] > target.above)) for e in at_levels]
        table[f"p_{target.exposure}_above_{target.above:g}"] = share
    return table


def with_utility(table: DataFrame, protocol: Protocol, chances: Chances, allowed: np.ndarray) -> DataFrame:
    u = utilities(chances["dlt"], chances["response"], protocol.utilities)
    every = np.ones(len(table), bool)
    return table.assign(utility=u.mean(axis=1), p_best=p_best(u, allowed), p_best_of_all=p_best(u, every))


def sensitivity_of(protocol: Protocol, chances: Chances, allowed: np.ndarray) -> DataFrame:
    """weights, each weight, the level of highest expected utility among the allowed, and how likely it is
    best.
    """
    rows = []
    for name, weights in weight_variants(protocol.utilities).items():
        u = utilities(chances["dlt"], chances["response"], weights)
        shares = p_best(u, allowed)
        best = int(np.argmax(np.where(allowed, u.mean(axis=1), -np.inf))) if allowed.any() else None
        rows.append(
            {"weights": name}
            | weights
            | {
                "level": None if best is None else best + 1,
                "p_best": float("nan") if best is None else float(shares[best]),
            }
        )
    return DataFrame(rows)


OUTCOMES = ("response_without_dlt", "response_with_dlt", "neither", "dlt_without_response")
LevelChances = Float[np.ndarray, "draw patient"]


def utilities(
    p_dlt: Sequence[LevelChances], p_response: Sequence[LevelChances], weights: Mapping[str, float]
) -> Float[np.ndarray, "level draw"]:
    """The mean weight of every level in every draw. InputError for a weight that is missing or not of
    `OUTCOMES`.
    """
    if set(weights) != set(OUTCOMES):
        raise InputError(
            Problem(f"weights of {', '.join(sorted(weights)) or 'nothing'}", f"give {', '.join(OUTCOMES)}")
        )
    w = [weights[k] for k in OUTCOMES]
    return np.stack(
        [
            np.mean(r * (1 - t) * w[0] + r * t * w[1] + (1 - r) * (1 - t) * w[2] + (1 - r) * t * w[3], axis=1)
            for t, r in zip(p_dlt, p_response, strict=True)
        ]
    )


def p_best(
    utility: Float[np.ndarray, "level draw"], allowed: Sequence[bool] | np.ndarray
) -> Float[np.ndarray, " level"]:
    """The share of draws in which each level, of those `allowed`, has the highest utility; zeros where
    none is.
    """
    among = np.asarray(allowed, bool)
    if not among.any():
        return np.zeros(len(utility))
    best = np.argmax(np.where(among[:, None], utility, -np.inf), axis=0)
    return np.bincount(best, minlength=len(utility)) / utility.shape[1]


def weight_variants(weights: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """The declared weights, and others that a reader may hold: what a decision owes to the choice of them."""
    declared = dict(weights)
    return {
        "declared": declared,
        "response alone": dict(zip(OUTCOMES, (100.0, 100.0, 0.0, 0.0), strict=True)),
        "safety alone": dict(zip(OUTCOMES, (100.0, 0.0, 100.0, 0.0), strict=True)),
        "a DLT forfeits a response": declared | {"response_with_dlt": declared["dlt_without_response"]},
        "a DLT costs a response little": declared
        | {"response_with_dlt": (declared["response_with_dlt"] + declared["response_without_dlt"]) / 2},
    }


# # MERGED utility: """Which level is best: P(DLT) and P(response) of new patients joined by declared weights,
# draw by draw.
#
# A patient's outcome is one of four, response or none with a DLT or none. Given the exposures, the two are
# taken as independent; what they share comes of the exposures. The utility of a level is the mean weight over
# patients, and the best level of a draw is the one with most of it. """
