"""Exposures without a fit: of the subjects from their samples, of new patients by the power model of dose.

    ln exposure = a + b ln(dose / middle dose) + e,    e ~ N(0, s^2)

b = 1 is dose proportionality (Smith BP et al., Pharm Res 2000;17:1278). The prior is b ~ N(1, s^2), a flat,
and s^2 scaled inverse chi-squared with 4 degrees of freedom about 0.83^2 (a CV of 100 %), so that the
posterior has a closed form. Without a proper prior of s, three patients can give new ones exposures of any
size. Both priors are guesses, worth about one and four patients. The model ignores what happened between the
samples, the uncertainty of each subject's exposure, and every influence but dose. A fit accounts for these
(`kinetics.decision.level_exposures`).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float
from pandas import DataFrame

from kinetics.decision.quantities import Exposures, Quantity, bounded_subjects
from kinetics.errors import Problem, StudyError, did_you_mean
from kinetics.exposures import nca
from kinetics.protocol import Protocol, level_of
from kinetics.streams import stream
from kinetics.study import Study

__all__ = [
    "counted_analytes",
    "exposures_by_power_model",
    "exposures_from_samples",
    "levels_of",
    "power_curve",
    "power_model",
    "proportionality_table",
    "usable_exposures",
]

UNITS = ("copies/ug DNA", "cells/uL", "pg/mL")  # of cells and cytokines; a lesion has no exposure
FEWEST = 3  # subjects for a power model
AREA = "auc_0_28d"
SD = 0.83  # of ln exposure between patients at a dose, a priori; a guess: a CV of 100 %
SD_WORTH = 4.0  # patients that the guess is worth
MOST_DRAWS = 200  # of a fit's exposures; each gets a power model of its own


def exposures_from_samples(study: Study, protocol: Protocol) -> Exposures:
    """Exposures of the subjects by NCA of their samples, from the first infusion of the level's product.

    `A_cmax` [unit of analyte A] and `A_auc_28d` [that unit x day] of every analyte A of cells or cytokines,
    as one draw; NaN where the samples do not give one. An analyte that counts the cells of another product is
    left out. StudyError where nobody had the level's product.

    >>> study, protocol = kn.read_study("nkg2d_phase1_synthetic"), kn.read_protocol("nkg2d_phase1_synthetic")
    >>> seen = kn.decision.exposures_from_samples(study, protocol)
    >>> len(seen.subjects), sorted(seen.units)[:2]
    (11, ['car_copies_auc_28d', 'car_copies_cmax'])
    """
    table = nca(study, by="course", products=[protocol.level_product])
    analytes = [
        name
        for name in counted_analytes(study)
        if study.analytes[name].product in (None, protocol.level_product)
    ]
    table = table[table["start"].notna() & table["analyte"].isin(analytes)]
    sampled = set(table["subject"])
    subjects = [subject for subject in study.subject_ids if subject in sampled]
    if not subjects:
        what = f"nobody had {protocol.level_product} and a sample of cells or cytokines after it"
        raise StudyError(Problem(what, "check `product` in doses.csv", file="doses.csv"))
    quantities: dict[str, Quantity] = {}
    values = {}
    lower_bounds = {}
    for analyte, rows in table.groupby("analyte", sort=False):
        unit = str(rows["unit"].iloc[0])
        quantities[f"{analyte}_cmax"] = Quantity(str(analyte), "peak", unit)
        quantities[f"{analyte}_auc_28d"] = Quantity(str(analyte), "area", f"{unit} x day")
        for name, column in ((f"{analyte}_cmax", "cmax"), (f"{analyte}_auc_28d", AREA)):
            by_subject = dict(zip(rows["subject"], rows[column].astype(float), strict=True))
            values[name] = np.array([[by_subject.get(subject, np.nan) for subject in subjects]])
            lower_bounds[name] = bounded_subjects(rows, column)
    return Exposures(subjects, quantities, values, lower_bounds)


def exposures_by_power_model(
    exposures: Exposures,
    doses: Mapping[str, float],
    protocol: Protocol,
    *,
    draws: int = 1000,
    patients: int = 20,
    seed: int = 0,
) -> list[Exposures]:
    """Exposures of new patients at every level, lowest first, by the power model of each of `exposures`.

    `doses`: subject -> its level, in the unit of the protocol's levels. Each exposure is drawn independently
    of the others: `draws` of the posterior for each of `patients` new patients, by `seed`.

    >>> study, protocol = kn.read_study("nkg2d_phase1_synthetic"), kn.read_protocol("nkg2d_phase1_synthetic")
    >>> seen = kn.decision.exposures_from_samples(study, protocol)
    >>> doses = study.subjects["dose_level"]
    >>> levels = kn.decision.exposures_by_power_model(seen, doses, protocol, draws=50, patients=2)
    >>> len(levels), levels[0].values["car_copies_cmax"].shape
    (4, (50, 2))
    """
    rng = stream(seed, "new patients of the power model")
    names = [f"new {i + 1}" for i in range(patients)]
    middle = float(np.exp(np.mean(np.log(protocol.levels))))
    by_level: list[dict[str, np.ndarray]] = [{} for _ in protocol.levels]
    for name in exposures.values:
        _, dose, values = usable_exposures(exposures, doses, name)
        if len(dose) < FEWEST:
            continue
        posterior = _power_draws(np.log(dose / middle), np.log(values), draws, rng)
        a, b, s = (column[:draws] for column in posterior)
        noise = s[:, None] * rng.standard_normal((draws, patients))
        for level, level_values in zip(protocol.levels, by_level, strict=True):
            level_values[name] = np.exp((a + b * np.log(level / middle))[:, None] + noise)
    return [
        Exposures(names, {name: exposures.quantities[name] for name in level_values}, level_values)
        for level_values in by_level
    ]


def power_model(
    x: Float[np.ndarray, " subject"], y: Float[np.ndarray, " subject"], draws: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, " draw"], Float[np.ndarray, " draw"], Float[np.ndarray, " draw"]]:
    """Posterior draws of a, b and s from ln dose `x` and ln exposure `y` of three subjects or more.

    Conjugate normal-inverse-gamma: precision diag(0, 1) at (0, 1) a priori (Gelman et al. 2013, Bayesian Data
    Analysis, 14.8), n - 1 degrees of freedom beside those of the prior.
    """
    design = np.stack([np.ones_like(x), x], axis=1)
    prior = np.diag([0.0, 1.0])
    precision = design.T @ design + prior
    mean = np.linalg.solve(precision, design.T @ y + prior @ np.array([0.0, 1.0]))
    residuals = y - design @ mean
    scatter = residuals @ residuals + (mean[1] - 1.0) ** 2 + SD_WORTH * SD**2
    s = np.sqrt(scatter / rng.chisquare(SD_WORTH + len(y) - 1, draws))
    root = np.linalg.cholesky(np.linalg.inv(precision))
    coefficients = mean + s[:, None] * (rng.standard_normal((draws, 2)) @ root.T)
    return coefficients[:, 0], coefficients[:, 1], s


def proportionality_table(
    exposures: Exposures, doses: Mapping[str, float], *, draws: int = 4000, seed: int = 0
) -> DataFrame:
    """The power model of each exposure: one row per exposure.

    Columns: exposure, unit, n (subjects), b with its 90 % interval (lower, upper), geometric_cv_percent (of
    patients at one dose).

    `doses`: subject -> its level, all in one unit. Where the exposures come from a fit, each posterior draw
    has a power model of its own, and their `draws` are pooled into one sample.

    >>> study, protocol = kn.read_study("nkg2d_phase1_synthetic"), kn.read_protocol("nkg2d_phase1_synthetic")
    >>> seen = kn.decision.exposures_from_samples(study, protocol)
    >>> table = kn.decision.proportionality_table(seen, study.subjects["dose_level"])
    >>> list(table)
    ['exposure', 'unit', 'n', 'b', 'lower', 'upper', 'geometric_cv_percent']
    """
    rng = stream(seed, "power model")
    rows = []
    for name in exposures.values:
        _, dose, values = usable_exposures(exposures, doses, name)
        if len(dose) < FEWEST:
            continue
        x = np.log(dose)
        _, b, s = _power_draws(x - x.mean(), np.log(values), draws, rng)
        lower, median, upper = np.quantile(b, [0.05, 0.5, 0.95])
        rows.append(
            {
                "exposure": name,
                "unit": exposures.units[name],
                "n": len(dose),
                "b": median,
                "lower": lower,
                "upper": upper,
                "geometric_cv_percent": 100 * float(np.sqrt(np.expm1(np.median(s) ** 2))),
            }
        )
    return DataFrame(rows)


def power_curve(
    exposures: Exposures,
    doses: Mapping[str, float],
    exposure: str,
    *,
    points: int = 60,
    draws: int = 4000,
    seed: int = 0,
) -> DataFrame:
    """The power model of one exposure over the doses that the subjects had, a little beyond both ends.

    One row per dose, `points` in all: dose; median, lower, upper (of the middle patient, 90 % of the draws);
    new_lower, new_upper (90 % of new patients), in the exposure's unit. `doses`: subject -> its level.
    StudyError where fewer than three subjects have the exposure, or all had one dose. Example:
    `power_curve(exposures_from_samples(study, protocol), levels_of(study), "car_copies_cmax")`.
    """
    _, dose, values = usable_exposures(exposures, doses, exposure)
    if len(dose) < FEWEST or dose.min() == dose.max():
        what = f"{exposure}: {len(dose)} subjects have it, at {len(np.unique(dose))} doses"
        raise StudyError(Problem(what, f"a power model needs {FEWEST} subjects and two doses"))
    rng = stream(seed, "power model")
    middle = np.log(dose).mean()
    a, b, s = _power_draws(np.log(dose) - middle, np.log(values), draws, rng)
    grid = np.geomspace(dose.min() / 1.25, dose.max() * 1.25, points)
    line = a[:, None] + b[:, None] * (np.log(grid) - middle)
    new = line + s[:, None] * rng.standard_normal(len(s))[:, None]
    lower, median, upper = np.exp(np.quantile(line, [0.05, 0.5, 0.95], axis=0))
    new_lower, new_upper = np.exp(np.quantile(new, [0.05, 0.95], axis=0))
    return DataFrame(
        {
            "dose": grid,
            "median": median,
            "lower": lower,
            "upper": upper,
            "new_lower": new_lower,
            "new_upper": new_upper,
        }
    )


def counted_analytes(study: Study) -> list[str]:
    """The analytes whose exposure means something: cells and cytokines, not lesions or blood counts."""
    return [
        name
        for name, analyte in study.analytes.items()
        if analyte.unit in UNITS and analyte.assay != "haematology"
    ]


def levels_of(study: Study, column: str = "dose_level", protocol: Protocol | None = None) -> dict[str, float]:
    """Subject -> its dose by a column of subjects.csv, in that column's unit.

    With a `protocol` whose levels have names, the dose of a named level, in the protocol's unit; of a regimen
    the total. Subjects without a dose above 0 are left out. StudyError where there is no such column, or no
    dose above 0 in it. Example: `levels_of(read_study("synthetic_cart_12"))["S01"]` is 1.5e7 [cells/kg].
    """
    if column not in study.subjects.columns:
        names = map(str, study.subjects.columns)
        remedy = f"{did_you_mean(column, names)}; name the dose's: --by COLUMN (--level-column)"
        raise StudyError(Problem(f"no column {column!r}", remedy, file="subjects.csv"))
    numbers = pd.to_numeric(study.subjects[column], errors="coerce")
    if protocol is not None and protocol.level:
        doses = (np.nan, *protocol.levels)  # level 0 is none
        numbers = study.subjects[column].map(lambda cell: doses[level_of(protocol, cell)]).astype(float)
    levels = {
        str(subject): float(dose) for subject, dose in numbers.items() if np.isfinite(dose) and dose > 0
    }
    if not levels:
        what = f"no subject has a dose above 0 in {column!r}"
        raise StudyError(Problem(what, "name the column of the dose", file="subjects.csv", column=column))
    return levels


def usable_exposures(
    exposures: Exposures, doses: Mapping[str, float], exposure: str
) -> tuple[list[str], Float[np.ndarray, " subject"], Float[np.ndarray, "draw subject"]]:
    """The subjects who have a dose and, in every draw, the exposure; their doses; their exposures."""
    values = np.atleast_2d(exposures.values[exposure])
    subject_doses = np.array([doses.get(subject, np.nan) for subject in exposures.subjects])
    usable = np.isfinite(subject_doses) & np.all(np.isfinite(values) & (values > 0), axis=0)
    subjects = [subject for subject, keep in zip(exposures.subjects, usable, strict=True) if keep]
    return subjects, subject_doses[usable], values[:, usable]


def _power_draws(
    x: Float[np.ndarray, " subject"],
    y: Float[np.ndarray, "draw subject"],
    draws: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draws of `power_model` for the rows of `y` (at most `MOST_DRAWS` of them), about `draws` in all."""
    rows = y[np.linspace(0, len(y) - 1, min(len(y), MOST_DRAWS)).round().astype(int)]
    draws_each = -(-draws // len(rows))  # rounded up
    parts = [power_model(x, row, draws_each, rng) for row in rows]
    a, b, s = (np.concatenate(part) for part in zip(*parts, strict=True))
    return a, b, s
