"""Exposures without a fit: of the subjects from their samples, of new patients at every level by the power model.

    ln exposure = a + b ln(dose / middle dose) + e,    e ~ N(0, s^2)

b = 1 is dose proportionality (Smith BP et al., Pharm Res 2000;17:1278). The prior is b ~ N(1, s^2), a flat, s^2
proportional to 1/s^2, so the posterior has a closed form; that prior is a guess, worth about one patient far from the
middle. What the samples missed, the uncertainty of each subject's exposure and anything but dose are left out: a fit
knows more (`kinetics.dose_exposure`).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from pandas import DataFrame

from kinetics.dose_exposure import Exposures
from kinetics.errors import Problem, StudyError
from kinetics.nca import nca
from kinetics.protocol_tables import Protocol
from kinetics.study import Study

__all__ = ["exposures_by_power_model", "exposures_from_samples", "power_model", "proportionality_table"]

UNITS = ("copies/ug DNA", "cells/uL", "pg/mL")  # of cells and cytokines; a lesion has no exposure
FEWEST = 3  # subjects that a power model is fitted to
_AREA = "auc_0_28d"


def exposures_from_samples(study: Study, protocol: Protocol) -> Exposures:
    """`A_cmax` and `A_auc_28d` of every analyte A of cells or cytokines, by NCA, from the first infusion of the level's
    product: one draw; NaN where the samples do not give it. StudyError where nobody had the product.

    >>> study, protocol = kn.read_study("nkg2d_phase1_synthetic"), kn.read_protocol("nkg2d_phase1_synthetic")
    >>> seen = kn.exposures_from_samples(study, protocol)
    >>> len(seen.subjects), sorted(seen.units)[:2]
    (11, ['car_copies_auc_28d', 'car_copies_cmax'])
    """
    table = nca(study, by="course", products=[protocol.level_product])
    counted = [a for a, of in study.analytes.items() if of.unit in UNITS and of.assay != "haematology"]
    table = table[table["start"].notna() & table["analyte"].isin(counted)]
    subjects = [s for s in study.subject_ids if s in set(table["subject"])]
    if not subjects:
        raise StudyError(
            Problem(f"nobody had {protocol.level_product} and a sample of cells or cytokines after it",
                    "check `product` in doses.csv", file="doses.csv")
        )  # fmt: skip
    units, values = {}, {}
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
    >>> seen = kn.exposures_from_samples(study, protocol)
    >>> levels = kn.exposures_by_power_model(seen, study.subjects["dose_level"], protocol, draws=50, patients=2)
    >>> len(levels), levels[0].values["car_copies_cmax"].shape
    (4, (50, 2))
    """
    rng, names = np.random.default_rng([seed, 4]), [f"new {i + 1}" for i in range(patients)]
    given = np.array([doses[s] for s in seen.subjects])
    middle = float(np.exp(np.mean(np.log(protocol.levels))))
    found: list[dict[str, np.ndarray]] = [{} for _ in protocol.levels]
    for name, values in seen.values.items():
        usable = np.isfinite(values[0]) & (values[0] > 0)
        if usable.sum() < FEWEST:
            continue
        a, b, s = power_model(np.log(given[usable] / middle), np.log(values[0][usable]), draws, rng)
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
    design, prior = np.stack([np.ones_like(x), x], axis=1), np.diag([0.0, 1.0])
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

    `doses` are the subjects' levels, in one unit.

    >>> study, protocol = kn.read_study("nkg2d_phase1_synthetic"), kn.read_protocol("nkg2d_phase1_synthetic")
    >>> seen = kn.exposures_from_samples(study, protocol)
    >>> table = kn.proportionality_table(seen, study.subjects["dose_level"])
    >>> list(table)
    ['exposure', 'unit', 'n', 'b', 'lower', 'upper', 'geometric_cv_percent']
    """
    rng, rows = np.random.default_rng([seed, 5]), []
    given = np.array([doses[s] for s in seen.subjects])
    for name, values in seen.values.items():
        usable = np.isfinite(values[0]) & (values[0] > 0)
        if usable.sum() >= FEWEST:
            x = np.log(given[usable])
            _, b, s = power_model(x - x.mean(), np.log(values[0][usable]), draws, rng)
            low, middle, high = np.quantile(b, [0.05, 0.5, 0.95])
            cv = 100 * float(np.sqrt(np.expm1(np.median(s) ** 2)))
            rows.append({
                "exposure": name, "unit": seen.units[name], "n": int(usable.sum()), "b": middle, "lower": low,
                "upper": high, "geometric_cv_percent": cv,
            })  # fmt: skip
    return DataFrame(rows)
