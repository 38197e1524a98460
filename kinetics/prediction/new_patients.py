"""What a fit predicts of patients who were not in it, and whether their records agree.

Patients are of the fit's population, or of the population updated by their own first samples. A prediction
is of a measurement, residual error included. A record's PIT (probability integral transform) is the
predicted probability of a value at most as large; over many records of a calibrated prediction it is uniform.
Of a record below the LLOQ only the range of its PIT is known, from 0 to the predicted probability of such a
record. It counts as inside a band by the share of that range that lies within the band's probabilities, so
that a calibrated prediction covers its nominal share, records below the LLOQ included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from pandas import DataFrame
from scipy.special import ndtr
from scipy.stats import t as student_t

from kinetics.arguments import require
from kinetics.assay import LOG_FAMILIES, TINY, location_scale, simulate_residual
from kinetics.errors import PlanError, Problem
from kinetics.inference import Fit
from kinetics.plan import KEPT_OUT, BoundAssay, Observe, bind_new_subjects
from kinetics.prediction.conditional_patients import PatientDraws, conditional_draws, readings
from kinetics.prediction.curves import QUANTILES
from kinetics.streams import stream
from kinetics.study import Study, read_study

__all__ = ["Prediction", "held_out", "predict"]

_BAND_POINTS = 60  # times of a patient's band
_MEASUREMENTS = 4  # measurements drawn for each draw of a patient
_LEVELS = {"inside_50": (0.25, 0.75), "inside_90": (0.05, 0.95)}


@dataclass(frozen=True)
class Prediction:
    """Predicted measurements of new patients, beside the records that they have.

    `records`: one row for each record that was not used: subject, analyte, unit, time [study day], value,
    censored, lloq, uloq; q5 q25 q50 q75 q95 of a measurement; below_lloq, the predicted probability of a
    record below its LLOQ; pit_low and pit_high, the range of its PIT (equal where it was measured); inside_50
    and inside_90, how far it is inside these bands (0 to 1).
    `bands`: subject, analyte, unit, time [study day], q5 q25 q50 q75 q95 of a measurement, below_lloq (by the
    analyte's LLOQ).
    `used`: the records by which the patients were updated, as the study has them. `given` is the last study
    day [day] of these; None where the patients are of the population. `study` is that of the patients.

    >>> fit = kn.load_fit("runs/theophylline")
    >>> prediction = kn.prediction.predict(fit, "theophylline", given=0.1, draws=50)
    >>> prediction.coverage()[["analyte", "records", "patients"]]
           analyte  records  patients
    0  theophylline       72        12
    >>> len(prediction.bands), len(prediction.used)
    (720, 60)
    """

    fit: Fit
    study: Study
    given: float | None
    records: DataFrame
    bands: DataFrame
    used: DataFrame

    def coverage(self) -> DataFrame:
        """Return one row for each analyte, and `all` of them where there are several.

        Columns: analyte, records, patients; inside_50 and inside_90, the shares of the records inside these
        bands, and their standard errors inside_50_se and inside_90_se (patients are independent, the records
        of one are not); below_lloq and below_lloq_predicted, the share of the records below the LLOQ and what
        was predicted of it.
        """
        groups = [(str(name), rows) for name, rows in self.records.groupby("analyte", sort=False)]
        if len(groups) > 1:
            groups.append(("all", self.records))
        rows = [_coverage_row(name, table) for name, table in groups]
        columns = ["analyte", "records", "patients", *_coverage_columns()]
        return DataFrame(rows, columns=columns)


def _coverage_columns() -> list[str]:
    of_levels = [column for name in _LEVELS for column in (name, f"{name}_se")]
    return [*of_levels, "below_lloq", "below_lloq_predicted"]


def _coverage_row(name: str, table: DataFrame) -> dict[str, Any]:
    """The coverage of these records, with its standard error by patients."""
    row: dict[str, Any] = {"analyte": name, "records": len(table), "patients": table["subject"].nunique()}
    for level in _LEVELS:
        inside = table[level].to_numpy(float)
        share = inside.mean()
        by_patient = pd.Series(inside - share).groupby(table["subject"].to_numpy()).sum()
        row[level] = share
        row[f"{level}_se"] = float(np.sqrt(np.sum(by_patient**2)) / len(table))
    row["below_lloq"] = float((table["censored"] == "left").mean())
    row["below_lloq_predicted"] = float(table["below_lloq"].fillna(0.0).mean())
    return row


def held_out(fit: Fit) -> Study:
    """Return the study of the subjects that the fit's plan has kept out of the fit.

    PlanError where the plan has no `hold_out`.

    >>> fit = kn.load_fit("runs/ogasawara_2021__synthetic_cart_12")
    >>> try:
    ...     kn.prediction.held_out(fit)
    ... except kn.errors.PlanError as error:
    ...     print(str(error).split(";")[0])
    the fit ogasawara_2021__synthetic_cart_12 keeps no subject out
    """
    require(fit=(fit, Fit))
    if KEPT_OUT not in fit.study.notes:
        remedy = "name another study, or fit again with hold_out = { share = 0.33, seed = 1 } in the plan"
        raise PlanError(Problem(f"the fit {fit.name} keeps no subject out", remedy))
    whole = read_study(fit.bound.plan.data, **dict(fit.study.options))
    return whole.only(fit.study.notes[KEPT_OUT])


def predict(
    fit: Fit,
    study: Study | str | None = None,
    *,
    given: float | None = None,
    until: float | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> Prediction:
    """Predict the measurements of patients who were not in the fit.

    `study` is theirs; by default that of the subjects which the plan's `hold_out` has kept out of the fit.
    Their doses, covariates and sampling times are used, and with `given` their records up to that study day:
    each patient is then updated by its own. Records up to that day are used and not predicted. `until` is the
    last study day [day] of the bands (default: that of the last record, of the fit or of these patients).
    `draws` are taken of each patient. PlanError where the study does not suit the fit; StudyError where it
    cannot be read, or a patient's samples are impossible by the fit.

    >>> fit = kn.load_fit("runs/ogasawara_2021__synthetic_cart_12")
    >>> prediction = kn.prediction.predict(fit, "synthetic_cart_12", given=14, draws=100)
    >>> list(prediction.coverage()["analyte"])
    ['car_copies', 'car_cells', 'all']
    """
    require(fit=(fit, Fit), study=(study, Study | str | None), given=(given, float | int | None))
    if study is None:
        study = held_out(fit)
    elif isinstance(study, str):
        study = read_study(study)
    bound = bind_new_subjects(fit.bound, study)
    analytes = [a.analyte for a in bound.assays]
    observed = _records(bound.plan.observe, study, analytes)
    used = observed[observed["time"] <= (-np.inf if given is None else given)]
    later = observed.drop(used.index)
    if given is not None and not len(used):
        what = f"{study.name} has no record of {', '.join(analytes)} up to day {given:g}"
        raise PlanError(Problem(what, "give a later day, or leave `given` out"))
    patients = conditional_draws(
        fit, bound, until=given, draws=draws, rng=stream(seed, "patients of another study")
    )
    noise = stream(seed, "records of another study")
    last = max(float(fit.study.observations["time"].max()), float(observed["time"].max()))
    grid = _grid(study, given, last if until is None else until)
    return Prediction(
        fit=fit,
        study=study,
        given=given,
        records=_record_table(patients, later, noise),
        bands=_band_table(patients, grid, noise),
        used=used.reset_index(drop=True),
    )


def _records(observe: Mapping[str, Observe], study: Study, analytes: Sequence[str]) -> DataFrame:
    """The records of these analytes, without those that the plan's `after` leaves out."""
    records = study.observations[study.observations["analyte"].isin(list(analytes))]
    after = records["analyte"].map({a: observe[a].after for a in analytes}).astype(float)
    return records[~(records["time"] <= after)].reset_index(drop=True)


def _grid(study: Study, given: float | None, until: float) -> Float[np.ndarray, "patient time"]:
    """Times [study day] of each patient's bands: from its first dose, or the last day that was used."""
    first_dose = study.doses.groupby("subject")["time"].min()
    rows = []
    for subject in study.subject_ids:
        begin = float(first_dose.get(subject, 0.0)) if given is None else given
        rows.append(np.linspace(begin, max(until, begin), _BAND_POINTS))
    return np.array(rows)


@dataclass(frozen=True)
class _Predicted:
    """The distribution of a measurement at several places, as one for each draw: location and scale.

    `prediction` is what the assay reads without residual error [unit of the analyte].
    """

    assay: BoundAssay
    prediction: Float[np.ndarray, "draw place"]
    residual: dict[str, Float[np.ndarray, "draw place"]]

    def quantiles(self, rng: np.random.Generator) -> dict[str, Float[np.ndarray, " place"]]:
        """Quantiles of a measurement [unit of the analyte] at each place; q5 and so on -> (place,)."""
        a = self.assay
        drawn = [
            simulate_residual(a.likelihood, self.prediction, self.residual, rng, nu=a.nu, dna_ug=a.dna_ug)
            for _ in range(_MEASUREMENTS)
        ]
        values = np.quantile(np.concatenate(drawn), list(QUANTILES.values()), axis=0)
        return dict(zip(QUANTILES, values, strict=True))

    def below(self, value: Float[np.ndarray, " place"]) -> Float[np.ndarray, " place"]:
        """The probability of a measurement of at most `value` [unit of the analyte] at each place."""
        a = self.assay
        location, scale = location_scale(a.likelihood, self.prediction, self.residual, a.dna_ug)
        at = np.asarray(value, float)
        none = np.zeros(self.prediction.shape, bool)
        if a.likelihood in LOG_FAMILIES:
            at = np.log(np.maximum(at, TINY))
            none = self.prediction <= TINY  # no cells: below every limit
        standard = (at - np.asarray(location)) / np.asarray(scale)
        share = student_t.cdf(standard, a.nu) if a.likelihood == "student_t" else ndtr(standard)
        return np.where(np.isnan(at), np.nan, np.where(none, 1.0, share).mean(axis=0))


def _predicted(
    patients: PatientDraws, assay: BoundAssay, read: Float[np.ndarray, "draw patient time"], places: Any
) -> _Predicted:
    """The measurements of one assay at these places: rows of patients, and slots of `read`."""
    patient, slot = places
    residual = {k: np.asarray(v)[:, patient] for k, v in assay.residual(patients.sites).items()}
    return _Predicted(assay, read[:, patient, slot], residual)


def _record_table(patients: PatientDraws, records: DataFrame, rng: np.random.Generator) -> DataFrame:
    """`Prediction.records` of these records."""
    subjects = patients.bound.subjects
    rows_of = {subject: records[records["subject"] == subject] for subject in subjects}
    days = {subject: np.unique(rows["time"]) for subject, rows in rows_of.items()}
    width = max(1, *(len(own) for own in days.values()))
    times = np.zeros((len(subjects), width))
    for row, subject in enumerate(subjects):
        own = days[subject]
        times[row] = own[np.minimum(np.arange(width), len(own) - 1)] if len(own) else 0.0
    read = readings(patients, times) if len(records) else {}
    row_of = {subject: row for row, subject in enumerate(subjects)}
    tables = []
    for assay in patients.bound.assays:
        table = records[records["analyte"] == assay.analyte].reset_index(drop=True)
        if not len(table):
            continue
        rows = np.array([row_of[str(s)] for s in table["subject"]])
        pairs = zip(table["subject"], table["time"], strict=True)
        slots = np.array([np.searchsorted(days[str(subject)], time) for subject, time in pairs])
        predicted = _predicted(patients, assay, read[assay.analyte], (rows, slots))
        tables.append(_compared(table, assay, predicted, rng))
    if not tables:
        return DataFrame(columns=_RECORD_COLUMNS)
    return pd.concat(tables, ignore_index=True)


_RECORD_COLUMNS = [
    *("subject", "analyte", "unit", "time", "value", "censored", "lloq", "uloq"),
    *QUANTILES,
    *("below_lloq", "pit_low", "pit_high"),
    *_LEVELS,
]


def _compared(
    records: DataFrame, assay: BoundAssay, predicted: _Predicted, rng: np.random.Generator
) -> DataFrame:
    """The rows of `Prediction.records` of one assay."""
    value = records["value"].to_numpy(float)
    limit = records["limit"].to_numpy(float)
    censored = records["censored"].to_numpy(str)
    # the range of values that a record stands for, and so that of its PIT
    at_value = predicted.below(value)
    at_limit = predicted.below(limit)
    bounded = np.isfinite(limit)
    pit_low = np.where(censored == "none", at_value, 0.0)
    pit_high = at_value.copy()
    for kind in ("left", "interval"):
        pit_low = np.where((censored == kind) & bounded, at_limit, pit_low)
    right = censored == "right"
    pit_low = np.where(right, at_value, pit_low)
    pit_high = np.where(right, np.where(bounded, at_limit, 1.0), pit_high)
    lloq = records["lloq"].to_numpy(float)
    lloq = np.where(np.isnan(lloq) & (censored == "left"), value, lloq)
    table = records[["subject", "analyte", "time", "value", "censored"]].assign(
        unit=assay.unit, lloq=lloq, uloq=records["uloq"].to_numpy(float)
    )
    table = table.assign(
        **predicted.quantiles(rng), below_lloq=predicted.below(lloq), pit_low=pit_low, pit_high=pit_high
    )
    for name, (low, high) in _LEVELS.items():
        table[name] = _inside(pit_low, pit_high, low, high)
    return table[_RECORD_COLUMNS]


def _inside(
    pit_low: Float[np.ndarray, " record"], pit_high: Float[np.ndarray, " record"], low: float, high: float
) -> Float[np.ndarray, " record"]:
    """The share of each record's range of PIT that is between `low` and `high`."""
    width = pit_high - pit_low
    overlap = np.clip(np.minimum(pit_high, high) - np.maximum(pit_low, low), 0.0, None)
    point = ((pit_low >= low) & (pit_low <= high)).astype(float)
    return np.where(width > 0, overlap / np.where(width > 0, width, 1.0), point)


def _band_table(
    patients: PatientDraws, grid: Float[np.ndarray, "patient time"], rng: np.random.Generator
) -> DataFrame:
    """`Prediction.bands` at the times of `grid`."""
    subjects = patients.bound.subjects
    read = readings(patients, grid)
    patient = np.repeat(np.arange(len(subjects)), grid.shape[1])
    slot = np.tile(np.arange(grid.shape[1]), len(subjects))
    tables = []
    for assay in patients.bound.assays:
        predicted = _predicted(patients, assay, read[assay.analyte], (patient, slot))
        lloq = patients.bound.study.analytes[assay.analyte].lloq
        limits = np.full(grid.size, np.nan if lloq is None else lloq)
        columns: dict[str, Any] = {
            "subject": np.repeat(np.asarray(subjects, object), grid.shape[1]),
            "analyte": assay.analyte,
            "unit": assay.unit,
            "time": grid.ravel(),
        }
        columns |= {**predicted.quantiles(rng), "below_lloq": predicted.below(limits)}
        tables.append(DataFrame(columns))
    return pd.concat(tables, ignore_index=True)
