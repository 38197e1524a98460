"""What an assay reports of a prediction: records, and the exact likelihood of censored ones.

A record is measured, left-censored (below the LLOQ: M3), right-censored (above the ULOQ) or known to lie in
an interval; each contributes its density or its probability (Beal 2001, doi 10.1023/A:1012299115260). Arrays
are dense (subject x record); a padded slot contributes zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float
from pandas import DataFrame

from kinetics.arrays import AnyArray
from kinetics.assay.residual import (
    DNA_UG,
    LOG_FAMILIES,
    TINY,
    location_scale,
    log_between,
    normal_logcdf,
    normal_logpdf,
    student,
)

__all__ = [
    "AssayRecords",
    "Observations",
    "Standard",
    "log_likelihood",
    "pad_observations",
    "record_terms",
    "recorded",
    "standardise",
]


class AssayRecords(NamedTuple):
    """One analyte's records on the common time grid; exactly one mask is true where there is a record."""

    value: Float[AnyArray, "subject record"]
    limit: Float[AnyArray, "subject record"]  # lower bound of an interval
    measured: Bool[AnyArray, "subject record"]
    left: Bool[AnyArray, "subject record"]
    right: Bool[AnyArray, "subject record"]
    interval: Bool[AnyArray, "subject record"]


class Observations(NamedTuple):
    """All records: `time` [day] is the union of the analytes' times per subject, padded by its last."""

    time: Float[AnyArray, "subject record"]
    assays: dict[str, AssayRecords]


def pad_observations(
    table: DataFrame,
    subjects: Sequence[str],
    analytes: Sequence[str],
    *,
    drop_left: Sequence[str] = (),
    after: Mapping[str, float] | None = None,
) -> Observations:
    """Dense arrays from a canonical observation table.

    `drop_left` analytes lose their BLQ records (M1), those in `after` all up to that study day.
    """
    early = table["time"] <= table["analyte"].map(dict(after or {})).astype(float)
    table = table[table["analyte"].isin(list(analytes)) & ~early]
    times = {s: np.array([]) for s in subjects}
    times |= {str(s): np.unique(g["time"].to_numpy()) for s, g in table.groupby("subject", sort=False)}
    width = max(1, *(len(t) for t in times.values()))
    time = np.zeros((len(subjects), width))
    row = {s: i for i, s in enumerate(subjects)}
    for s in subjects:
        if len(times[s]):
            time[row[s], : len(times[s])], time[row[s], len(times[s]) :] = times[s], times[s][-1]
    assays = {}
    for analyte in analytes:
        g = table[table["analyte"] == analyte]
        i = g["subject"].map(row).to_numpy(int)
        j = np.array(
            [np.searchsorted(times[str(s)], t) for s, t in zip(g["subject"], g["time"], strict=True)], int
        )
        assays[analyte] = _assay_records(g, i, j, time.shape, drop_left=analyte in drop_left)
    return Observations(time, assays)


def _assay_records(
    g: DataFrame, i: np.ndarray, j: np.ndarray, shape: tuple[int, ...], *, drop_left: bool
) -> AssayRecords:
    value = np.ones(shape)
    limit = np.zeros(shape)
    value[i, j], limit[i, j] = g["value"], g["limit"].fillna(0.0)
    bounded = g["limit"].notna().to_numpy()
    code = g["censored"].to_numpy(str)
    masks = {k: np.zeros(shape, bool) for k in ("measured", "left", "right", "interval")}
    masks["measured"][i, j] = code == "none"
    masks["left"][i, j] = (code == "left") & ~bounded & (not drop_left)
    masks["right"][i, j] = code == "right"
    masks["interval"][i, j] = ((code == "interval") | ((code == "left") & bounded)) & (
        (code != "left") | (not drop_left)
    )
    return AssayRecords(value, limit, **masks)


class Standard(NamedTuple):
    """Records on the scale where the residual error is a standard normal, or a standard Student's t.

    `unit` is log |dz/dy|: what turns a density of z into one per unit of the measurement. `there` is false
    where the prediction is not finite; the numbers there are finite and mean nothing.
    """

    z: Float[Array, "subject record"]
    lower: Float[Array, "subject record"]  # of an interval; anything below z elsewhere
    unit: Float[Array, "subject record"]
    there: Bool[Array, "subject record"]


def standardise(
    family: str,
    f: Float[Array, "subject record"],
    records: AssayRecords,
    residual: Mapping[str, Float[AnyArray, ""]],
    *,
    dna_ug: float = DNA_UG,
) -> Standard:
    """The records less their location, over their scale; `f` in the assay's unit."""
    logged = family in LOG_FAMILIES
    there = jnp.isfinite(f)  # where the solver gave up: impossible, and no gradient
    location, scale = location_scale(family, jnp.where(there, f, 1.0), residual, dna_ug)

    def standard(y: AnyArray) -> Array:
        return (jnp.asarray(jnp.log(jnp.maximum(y, TINY)) if logged else y) - location) / scale

    z = standard(records.value)
    jacobian = jnp.log(jnp.maximum(jnp.asarray(records.value), TINY)) if logged else 0.0
    lower = jnp.where(records.interval, standard(records.limit), z - 1.0)
    return Standard(z, lower, -jnp.log(scale) - jacobian + jnp.zeros_like(z), there)


def record_terms(
    records: AssayRecords,
    seen: Standard,
    *,
    nu: float | None = None,
    present: Sequence[str] = ("left", "right", "interval"),
) -> Float[Array, "subject record"]:
    """Log density or log probability of every record, 0 in padded slots; normal, or Student's t of `nu`."""
    logpdf, logcdf = (normal_logpdf, normal_logcdf) if nu is None else student(nu)
    z = seen.z
    total = jnp.asarray(jnp.where(records.measured, logpdf(z) + seen.unit, 0.0))
    if "left" in present:
        total += jnp.where(records.left, logcdf(z), 0.0)
    if "right" in present:
        total += jnp.where(records.right, logcdf(-z), 0.0)
    if "interval" in present:
        total += jnp.where(records.interval, log_between(logcdf, seen.lower, z), 0.0)
    return total


def recorded(records: AssayRecords) -> Bool[AnyArray, "subject record"]:
    """Where there is a record of any kind."""
    return records.measured | records.left | records.right | records.interval


def log_likelihood(
    family: str,
    f: Float[Array, "subject record"],
    records: AssayRecords,
    residual: Mapping[str, Float[AnyArray, ""]],
    *,
    nu: float = 4.0,
    dna_ug: float = DNA_UG,
    present: Sequence[str] = ("left", "right", "interval"),
) -> Float[Array, "subject record"]:
    """Log-likelihood of every record, 0 in padded slots.

    `f` is the prediction in the assay's unit, `residual` the family's parameters (`sigma` on the log or
    relative scale, `sigma_add` in the assay's unit); `kinetics.assay.location_scale` says what they do.
    `nu` is the degrees of freedom of `student_t`, `dna_ug` the DNA [ug] in a reaction of `lognormal_poisson`.
    Densities are per unit of the measurement, so families compare by LOO. A record whose prediction is not
    finite has -inf and no gradient. `present` names the kinds of censoring in the data; leaving one out saves
    its work.
    """
    seen = standardise(family, f, records, residual, dna_ug=dna_ug)
    total = record_terms(records, seen, nu=nu if family == "student_t" else None, present=present)
    return jnp.asarray(jnp.where(recorded(records) & ~seen.there, -jnp.inf, total))
