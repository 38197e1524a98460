"""The likelihood of an assay's records given the predictions, exact for censored records.

A record is measured, left-censored (below the LLOQ: M3), right-censored (above the ULOQ) or known to lie in
an interval; a censored one with a limit on its other side is of an interval too. It contributes its density
or its probability (Beal 2001, doi 10.1023/A:1012299115260). Arrays are dense (subject x record); a padded
slot contributes zero.
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
    """The records of one analyte on the common time grid; where there is a record exactly one mask is
    true.
    """

    value: Float[AnyArray, "subject record"]
    limit: Float[AnyArray, "subject record"]  # lower bound of an interval
    measured: Bool[AnyArray, "subject record"]
    left: Bool[AnyArray, "subject record"]
    right: Bool[AnyArray, "subject record"]
    interval: Bool[AnyArray, "subject record"]


class Observations(NamedTuple):
    """All records. `time` [day] is the union of the analytes' times of each subject, padded by its last
    time.
    """

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
    """Dense arrays from the observation table of a study.

    Two records of one analyte at one time (replicates) have a slot each. The BLQ records of the `drop_left`
    analytes are left out (M1). `after` maps analytes to a study day; their records up to that day are left
    out.
    """
    early = table["time"] <= table["analyte"].map(dict(after or {})).astype(float)
    table = table[table["analyte"].isin(list(analytes)) & ~early]
    # The union of each subject's times, padded; a time as often as any analyte has records of it.
    replicate = table.groupby(["subject", "time", "analyte"], sort=False).cumcount()
    table = table.assign(replicate=replicate)
    times = {subject: np.array([]) for subject in subjects}
    for subject, rows in table.groupby("subject", sort=False):
        slots_of_time = rows[["time", "replicate"]].drop_duplicates()["time"]
        times[str(subject)] = np.sort(slots_of_time.to_numpy(float))
    width = max(1, *(len(days) for days in times.values()))
    time = np.zeros((len(subjects), width))
    for i, subject in enumerate(subjects):
        days = times[subject]
        if len(days):
            time[i, : len(days)] = days
            time[i, len(days) :] = days[-1]
    # Every record into the slot of its subject and time.
    row_of = {subject: i for i, subject in enumerate(subjects)}
    assays = {}
    for analyte in analytes:
        rows = table[table["analyte"] == analyte]
        i = rows["subject"].map(row_of).to_numpy(int)
        slots = [
            np.searchsorted(times[str(subject)], day) + replicate
            for subject, day, replicate in zip(rows["subject"], rows["time"], rows["replicate"], strict=True)
        ]
        j = np.array(slots, int)
        assays[analyte] = _assay_records(rows, i, j, time.shape, drop_left=analyte in drop_left)
    return Observations(time, assays)


def _assay_records(
    rows: DataFrame, i: np.ndarray, j: np.ndarray, shape: tuple[int, ...], *, drop_left: bool
) -> AssayRecords:
    """One analyte's records, row k of the table in slot (i[k], j[k]).

    A BLQ value with a limit is the interval (limit, value), and one above the ULOQ with a limit the interval
    (value, limit).
    """
    value = np.ones(shape)
    limit = np.zeros(shape)
    has_limit = rows["limit"].notna().to_numpy()
    censoring = rows["censored"].to_numpy(str)
    bounded = (censoring == "right") & has_limit
    upper = np.where(bounded, rows["limit"].to_numpy(float), rows["value"].to_numpy(float))
    lower = np.where(bounded, rows["value"].to_numpy(float), rows["limit"].fillna(0.0).to_numpy(float))
    value[i, j] = upper
    limit[i, j] = lower
    blq = (censoring == "left") & (not drop_left)
    masks = {kind: np.zeros(shape, bool) for kind in ("measured", "left", "right", "interval")}
    masks["measured"][i, j] = censoring == "none"
    masks["left"][i, j] = blq & ~has_limit
    masks["right"][i, j] = (censoring == "right") & ~bounded
    masks["interval"][i, j] = (censoring == "interval") | (blq & has_limit) | bounded
    return AssayRecords(value, limit, **masks)


class Standard(NamedTuple):
    """Records on the scale on which the residual error is a standard normal or a standard Student's t.

    `unit` is log |dz/dy|, which turns a density of z into a density per unit of the measurement. `there` is
    false where the prediction is not finite; the other numbers are then finite and have no meaning.
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
    """The records minus their location, divided by their scale; predictions `f` are in the assay's unit."""
    logged = family in LOG_FAMILIES
    there = jnp.isfinite(f)  # false where the solver gave up: likelihood 0, and no gradient
    location, scale = location_scale(family, jnp.where(there, f, 1.0), residual, dna_ug)

    def standard(y: AnyArray) -> Array:
        return (jnp.asarray(jnp.log(jnp.maximum(y, TINY)) if logged else y) - location) / scale

    z = standard(records.value)
    jacobian = jnp.log(jnp.maximum(jnp.asarray(records.value), TINY)) if logged else 0.0
    lower = jnp.where(records.interval, standard(records.limit), z - 1.0)
    return Standard(z, lower, -jnp.log(scale) - jacobian + jnp.zeros_like(z), there)


def record_terms(
    records: AssayRecords,
    standard: Standard,
    *,
    nu: float | None = None,
    present: Sequence[str] = ("left", "right", "interval"),
) -> Float[Array, "subject record"]:
    """Log density or log probability of every record; 0 in padded slots.

    The residual is normal, or Student's t with `nu` degrees of freedom.
    """
    logpdf, logcdf = (normal_logpdf, normal_logcdf) if nu is None else student(nu)
    z = standard.z
    total = jnp.asarray(jnp.where(records.measured, logpdf(z) + standard.unit, 0.0))
    if "left" in present:
        total += jnp.where(records.left, logcdf(z), 0.0)
    if "right" in present:
        total += jnp.where(records.right, logcdf(-z), 0.0)
    if "interval" in present:
        total += jnp.where(records.interval, log_between(logcdf, standard.lower, z), 0.0)
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

    `f` is the prediction in the assay's unit and `residual` the parameters of the family: `sigma` on the log
    or relative scale, `sigma_add` in the assay's unit (see `kinetics.assay.location_scale`). `nu` is the
    degrees of freedom of `student_t`, `dna_ug` the DNA [ug] in a reaction of `lognormal_poisson`. Densities
    are per unit of the measurement, so that families can be compared by LOO. A record whose prediction is not
    finite has a log-likelihood of -inf and no gradient. `present` names the kinds of censoring in the data; a
    kind that is left out costs nothing.
    """
    standard = standardise(family, f, records, residual, dna_ug=dna_ug)
    total = record_terms(records, standard, nu=nu if family == "student_t" else None, present=present)
    return jnp.asarray(jnp.where(recorded(records) & ~standard.there, -jnp.inf, total))
