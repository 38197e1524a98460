"""Exposures without a fit: of the subjects from their samples, of new patients at every level by the power
model.

    ln exposure = a + b ln(dose / middle dose) + e,    e ~ N(0, s^2)

b = 1 is dose proportionality (Smith BP et al., Pharm Res 2000;17:1278). The prior is b ~ N(1, s^2), a flat,
s^2 proportional to 1/s^2, so the posterior has a closed form; that prior is a guess, worth about one patient
far from the middle. What the samples missed, the uncertainty of each subject's exposure and anything but dose
are left out: a fit knows more (`kinetics.decision.level_exposures`).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float
from pandas import DataFrame

from kinetics.decision.level_exposures import Exposures
from kinetics.errors import Problem, StudyError, did_you_mean
from kinetics.exposures import nca
from kinetics.protocol import Protocol
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
FEWEST = 3  # subjects that a power model is fitted to
_AREA = "auc_0_28d"
_POSTERIOR = 200  # draws of a fit's exposures that a power model is fitted to, each by itself


def exposures_from_samples(study: Study, protocol: Protocol) -> Exposures:
    """`A_cmax` and `A_auc_28d` of every analyte A of cells or cytokines, by NCA, from the first infusion of
    the level's product: one draw; NaN where the samples do not give it. StudyError where nobody had the
    product.

    >>> study, protocol = kn.read_study("nkg2d_phase1_synthetic"), kn.read_protocol("nkg2d_phase1_synthetic")
    >>> seen = kn.decision.exposures_from_samples(study, protocol)
    >>> len(seen.subjects), sorted(seen.units)[:2]
    (11, ['car_copies_auc_28d', 'car_copies_cmax'])
    """
    table = nca(study, by="course", products=[protocol.level_product])
    table = table[table["start"].notna() & table["analyte"].isin(counted_analytes(study))]
    subjects = [s for s in study.subject_ids if s in set(table["subject"])]
    if not subjects:
        raise StudyError(
            Problem(
                f"nobody had {protocol.level_product} and a sample of cells or cytokines after it",
                "check `product` in doses.csv",
                file="doses.csv",
            )
        )
    units = {}
    values = {}
    for analyte, own in table.groupby("analyte", sort=False):
        unit = str(own["unit"].iloc[0])
        for name, column, of in (
            (f"{analyte}_cmax", "cmax", unit),
            (f"{analyte}_auc_28d", _AREA, f"{unit} x day"),
        ):
            found = dict(zip(own["subject"], own[column].astype(float), strict=True))
            units[name] = of
            values[name] = np.array([[found.get(s, np.nan) for s in subjects]])
    return Exposures(subjects, units, values)


def exposures_by_power_model(
    seen: Exposures, doses: Mapping[str, float], protocol: Protocol, *, draws: int = 1000, patients: int = 20,
    seed: int = 0,
) -> list[Exposures]:  # fmt: skip
    """New patients at every level, lowest first; `doses` are the subjects' levels. Exposures are drawn apart.

    Doses are in the unit of the protocol's levels.

    >>> study, protocol = kn.read_study("nkg2d_phase1_synthetic"), kn.read_protocol("nkg2d_phase1_synthetic")
    >>> seen = kn.decision.exposures_from_samples(study, protocol)
    >>> levels = kn.decision.exposures_by_power_model(seen, study.subjects["dose_level"], protocol, draws=50, patients=2)
    >>> len(levels), levels[0].values["car_copies_cmax"].shape
    (4, (50, 2))
    """
    rng = stream(seed, "new patients of the power model")
    names = [f"new {i + 1}" for i in range(patients)]
    middle = float(np.exp(np.mean(np.log(protocol.levels))))
    found: list[dict[str, np.ndarray]] = [{} for _ in protocol.levels]
    for name in seen.values:
        _, dose, values = usable_exposures(seen, doses, name)
        if len(dose) < FEWEST:
            continue
        a, b, s = (v[:draws] for v in _power_draws(np.log(dose / middle), np.log(values), draws, rng))
        noise = s[:, None] * rng.standard_normal((draws, patients))
        for level, of in zip(protocol.levels, found, strict=True):
            of[name] = np.exp((a + b * np.log(level / middle))[:, None] + noise)
    return [Exposures(names, {k: seen.units[k] for k in of}, of) for of in found]


def power_model(
    x: Float[np.ndarray, " subject"], y: Float[np.ndarray, " subject"], draws: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, " draw"], Float[np.ndarray, " draw"], Float[np.ndarray, " draw"]]:
    """Draws of a, b and s of the model above, from ln dose `x` and ln exposure `y`; three subjects or more.

    Conjugate normal-inverse-gamma: precision diag(0, 1) at (0, 1) a priori (Gelman et al. 2013, Bayesian Data Analysis,
    14.8), n - 1 degrees of freedom.
    """
    design = np.stack([np.ones_like(x), x], axis=1)
    prior = np.diag([0.0, 1.0])
    precision = design.T @ design + prior
    mean = np.linalg.solve(precision, design.T @ y + prior @ np.array([0.0, 1.0]))
    rest = y - design @ mean
    scatter = rest @ rest + (mean[1] - 1.0) ** 2
    s = np.sqrt(scatter / rng.chisquare(len(y) - 1, draws))
    root = np.linalg.cholesky(np.linalg.inv(precision))
    both = mean + s[:, None] * (rng.standard_normal((draws, 2)) @ root.T)
    return both[:, 0], both[:, 1], s


def proportionality_table(
    seen: Exposures, doses: Mapping[str, float], *, draws: int = 4000, seed: int = 0
) -> DataFrame:
    """One row an exposure: n, b with its 90 % interval, geometric CV [%] of patients at one dose.

    `doses` are the subjects' levels, in one unit. Of a fit's exposures each posterior draw has a power model
    of its own, and the draws of all are one sample.

    >>> study, protocol = kn.read_study("nkg2d_phase1_synthetic"), kn.read_protocol("nkg2d_phase1_synthetic")
    >>> seen = kn.decision.exposures_from_samples(study, protocol)
    >>> table = kn.decision.proportionality_table(seen, study.subjects["dose_level"])
    >>> list(table)
    ['exposure', 'unit', 'n', 'b', 'lower', 'upper', 'geometric_cv_percent']
    """
    rng = stream(seed, "power model")
    rows = []
    for name in seen.values:
        _, dose, values = usable_exposures(seen, doses, name)
        if len(dose) >= FEWEST:
            x = np.log(dose)
            _, b, s = _power_draws(x - x.mean(), np.log(values), draws, rng)
            low, middle, high = np.quantile(b, [0.05, 0.5, 0.95])
            cv = 100 * float(np.sqrt(np.expm1(np.median(s) ** 2)))
            rows.append(
                {
                    "exposure": name,
                    "unit": seen.units[name],
                    "n": len(dose),
                    "b": middle,
                    "lower": low,
                    "upper": high,
                    "geometric_cv_percent": cv,
                }
            )
    return DataFrame(rows)


def power_curve(
    seen: Exposures,
    doses: Mapping[str, float],
    exposure: str,
    *,
    points: int = 60,
    draws: int = 4000,
    seed: int = 0,
) -> DataFrame:
    """The power model of one exposure over the doses given, a little beyond both ends: one row a dose.

    dose; median, lower, upper: of the middle patient (90 % of the draws); new_lower, new_upper: 90 % of new
    patients, in the exposure's unit. StudyError where fewer than three subjects have the exposure, or all had
    one dose. Example: `power_curve(exposures_from_samples(study, protocol), levels_of(study),
    "car_copies_cmax")`.
    """
    _, dose, values = usable_exposures(seen, doses, exposure)
    if len(dose) < FEWEST or dose.min() == dose.max():
        what = f"{exposure}: {len(dose)} subjects have it, at {len(np.unique(dose))} doses"
        raise StudyError(Problem(what, f"a power model needs {FEWEST} subjects and two doses"))
    rng = stream(seed, "power model")
    middle = np.log(dose).mean()
    a, b, s = _power_draws(np.log(dose) - middle, np.log(values), draws, rng)
    at = np.geomspace(dose.min() / 1.25, dose.max() * 1.25, points)
    line = a[:, None] + b[:, None] * (np.log(at) - middle)
    new = line + s[:, None] * rng.standard_normal(len(s))[:, None]
    lower, median, upper = np.exp(np.quantile(line, [0.05, 0.5, 0.95], axis=0))
    new_lower, new_upper = np.exp(np.quantile(new, [0.05, 0.95], axis=0))
    return DataFrame(
        {
            "dose": at,
            "median": median,
            "lower": lower,
            "upper": upper,
            "new_lower": new_lower,
            "new_upper": new_upper,
        }
    )


def counted_analytes(study: Study) -> list[str]:
    """The analytes whose exposure means something: cells and cytokines, not lesions or blood counts."""
    return [a for a, of in study.analytes.items() if of.unit in UNITS and of.assay != "haematology"]


def levels_of(study: Study, column: str = "dose_level") -> dict[str, float]:
    """subject -> its dose by a column of subjects.csv, in that column's unit; StudyError where it is not such
    a one.

    Example: `levels_of(read_study("synthetic_cart_12"))["S01"]` is 1.5e7 [cells/kg].
    """
    if column not in study.subjects.columns:
        known = map(str, study.subjects.columns)
        remedy = f"{did_you_mean(column, known)}; name the dose's: --by COLUMN (--level-column)"
        raise StudyError(Problem(f"no column {column!r}", remedy, file="subjects.csv"))
    numbers = pd.to_numeric(study.subjects[column], errors="coerce")
    found = {str(s): float(v) for s, v in numbers.items() if np.isfinite(v) and v > 0}
    if not found:
        what = f"no subject has a dose above 0 in {column!r}"
        raise StudyError(Problem(what, "name the column of the dose", file="subjects.csv", column=column))
    return found


def usable_exposures(
    seen: Exposures, doses: Mapping[str, float], exposure: str
) -> tuple[list[str], Float[np.ndarray, " subject"], Float[np.ndarray, "draw subject"]]:
    """The subjects who have a dose and, in every draw, the exposure; with both."""
    values = np.atleast_2d(seen.values[exposure])
    given = np.array([doses.get(s, np.nan) for s in seen.subjects])
    own = np.isfinite(given) & np.all(np.isfinite(values) & (values > 0), axis=0)
    return [s for s, kept in zip(seen.subjects, own, strict=True) if kept], given[own], values[:, own]


def _power_draws(
    x: Float[np.ndarray, " subject"],
    y: Float[np.ndarray, "draw subject"],
    draws: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`power_model` of every row of `y`, about `draws` in all."""
    rows = y[np.linspace(0, len(y) - 1, min(len(y), _POSTERIOR)).round().astype(int)]
    parts = [power_model(x, row, -(-draws // len(rows)), rng) for row in rows]
    a, b, s = (np.concatenate(part) for part in zip(*parts, strict=True))
    return a, b, s
