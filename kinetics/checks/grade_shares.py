"""The grades of a fit day by day: the share that was seen at or above each level, and the share predicted."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from pandas import DataFrame

from kinetics.arguments import require
from kinetics.assay import probability_of_at_least
from kinetics.errors import InputError, Problem, did_you_mean
from kinetics.inference import Fit
from kinetics.plan import BoundGrades, covariate_sum
from kinetics.prediction import predicted_blocks

__all__ = ["bound_grades_of", "predicted_grades"]

_DRAWS = 200


def bound_grades_of(fit: Fit, name: str) -> BoundGrades:
    """Return the grades of a fit by their name; InputError if the plan has none of it."""
    for grades in fit.bound.grades:
        if grades.name == name:
            return grades
    names = [grades.name for grades in fit.bound.grades]
    if not names:
        raise InputError(Problem(f"the fit {fit.name} has no grades", "add [graded.NAME] to its plan"))
    raise InputError(Problem(f"no grades {name!r}", did_you_mean(name, names)))


def predicted_grades(fit: Fit, name: str, *, draws: int = _DRAWS, level: float = 0.9) -> DataFrame:
    """Return the seen and the predicted share of the grades `name` at or above each level, by study day.

    Columns: level, day (rounded), n (grades of that day), seen, predicted (median over `draws` of the
    posterior), lower, upper (of the interval of probability `level` of the mean, without the chance of single
    grades). The prediction is for the same subjects, days and covariates. InputError for grades that the plan
    does not have.

    >>> fit = kn.load_fit("runs/ogasawara_2021__synthetic_cart_survival_60")
    >>> kn.checks.predicted_grades(fit, "crs", draws=4)[["level", "day", "n"]].head(2)
       level  day   n
    0    1.0  1.0  58
    1    1.0  3.0  56
    """
    require(fit=(fit, Fit), name=(name, str))
    grades = bound_grades_of(fit, name)
    data = fit.bound.data
    records = data.grades[grades.name]
    times = np.asarray(records.time)
    sites = {k: v for k, v in fit.sites(at_most=draws).items() if k in fit.bound.priors()}
    blocks = predicted_blocks(fit, [grades.output], times, fit.theta(at_most=draws), data.doses)
    output = np.concatenate([values[grades.output] for _, values in blocks], axis=1)

    @jax.jit
    def at_least(s: dict[str, Array], f: Float[Array, "subject node"]) -> Array:
        x = jnp.take_along_axis(grades.link(f, records), jnp.asarray(records.slot), axis=1)
        covariates = covariate_sum(grades.effects, s, data.design, len(times))
        probability = probability_of_at_least(
            x, s[f"slope_{grades.name}"], grades.cuts(s), covariates[:, None]
        )
        return probability[..., 1:]

    by_draw = np.array([at_least({k: v[i] for k, v in sites.items()}, output[i]) for i in range(len(output))])
    there = np.asarray(records.recorded)
    days = _days(fit, grades)
    rows = []
    for k, lowest in enumerate(grades.spec.levels):
        for day in np.unique(days[there]):
            of_day = there & (days == day)
            predicted = by_draw[:, of_day, k].mean(axis=1)
            lower, median, upper = np.quantile(predicted, [0.5 - level / 2, 0.5, 0.5 + level / 2])
            row = {"level": lowest, "day": day, "n": int(of_day.sum())}
            row["seen"] = float(np.mean(np.asarray(records.category)[of_day] > k))
            rows.append(row | {"predicted": median, "lower": lower, "upper": upper})
    return DataFrame(rows)


def _days(fit: Fit, grades: BoundGrades) -> Float[np.ndarray, "subject record"]:
    """The study day of every grade, rounded; the delay does not move it."""
    records = fit.bound.data.grades[grades.name]
    days = np.zeros(np.asarray(records.slot).shape)
    table = fit.study.observed(grades.spec.analyte)
    for i, subject in enumerate(fit.bound.subjects):
        times = table["time"][table["subject"] == subject].to_numpy(float)
        days[i, : len(times)] = np.round(times)
    return days
