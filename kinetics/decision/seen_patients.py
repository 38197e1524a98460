"""What a study's tables say of each patient, as the joint model of DLT and response takes it.

A pending DLT window counts by the share seen, and a response that may still come is no failure. Exposures end
at a landmark, or at what may have followed from the outcome: the DLT itself, tocilizumab or steroids. Beyond
it a peak is known to be at least what was seen before; below the LLOQ it is known to be at most the LLOQ.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, log

import numpy as np

from kinetics.decision.quantities import Exposures
from kinetics.errors import StudyError
from kinetics.escalation import Exposure, Seen
from kinetics.outcomes import (
    Patient,
    as_recist_scans,
    best_changes,
    first_infusions,
    known_responses,
    patients_of,
    reading_of,
    response_days,
    worst_crs,
)
from kinetics.protocol import Protocol
from kinetics.study import Study

__all__ = ["LANDMARK", "early_peaks", "patients_seen", "peaks_of_fit"]

LANDMARK = 14.0  # days from the first infusion of the level's product: before the first scan; a guess
HALF_OF_RESPONSES = 60.0  # days after the first cells by which half of the responses are seen; a guess
RESCUE = ("tocilizumab", "corticosteroid", "dexamethasone", "methylprednisolone", "prednisolone", "anakinra")
# Analytes whose peak stands for a patient's exposure, the first that the study has.
OF_DLT = ("il6", "car_copies", "car_cells", "t_cells", "nk_cells")
OF_RESPONSE = ("car_copies", "car_cells", "t_cells", "nk_cells")


def patients_seen(
    study: Study,
    protocol: Protocol,
    *,
    as_dosed: Exposures | None = None,
    response_within: float | None = None,
    level_column: str = "dose_level",
    escalation_only: bool = False,
) -> dict[str, Seen]:
    """Subject -> what is known of it; only subjects who had the level's product at one of its levels.

    `escalation_only`: only those whom the escalation counts. The others (phase IB, backfill) tell of a level
    as well, and are left out where the question is the next step of the escalation.

    `as_dosed`: exposures of a fit (`exposures_as_dosed`); without them peaks are read off the samples, up to
    `LANDMARK`. `response_within`: days in which a response may come, by default the protocol's. StudyError as
    `kinetics.outcomes.patients_of`.

    >>> study, protocol = kn.read_study("nkg2d_phase1_synthetic"), kn.read_protocol("nkg2d_phase1_synthetic")
    >>> seen = kn.decision.patients_seen(study, protocol)
    >>> len(seen), seen["S01"].level, seen["S01"].dlt, seen["S01"].response
    (11, 1, False, False)
    """
    dosed = set(study.doses.loc[study.doses["product"] == protocol.level_product, "subject"])
    everyone = patients_of(study, protocol, level_column=level_column)
    patients = [p for p in everyone if p.subject in dosed and p.level > 0]
    if escalation_only:
        patients = [p for p in patients if not p.outside]
    if as_dosed is None:
        dlt_exposures = early_peaks(study, protocol, OF_DLT)
        response_exposures = early_peaks(study, protocol, OF_RESPONSE)
    else:
        dlt_exposures = peaks_of_fit(as_dosed, OF_DLT)
        response_exposures = peaks_of_fit(as_dosed, OF_RESPONSE)
    crs = worst_crs(study, protocol)
    responses = _responses(study, protocol, response_within, level_column)
    looked = _looked(study, protocol)
    changes = _changes(study, level_column)
    return {
        p.subject: Seen(
            p.level,
            dlt=None if p.status == "not_evaluable" else p.dlt,
            followed=p.followed if p.status == "pending" else 1.0,
            crs=_grade(crs, p),
            trigger=p.trigger and not p.dlt,
            response=responses.get(p.subject),
            looked=looked.get(p.subject, 0.0),
            change=changes.get(p.subject) if responses.get(p.subject) is not None else None,
            dlt_exposure=dlt_exposures.get(p.subject),
            response_exposure=response_exposures.get(p.subject),
        )
        for p in patients
    }


def early_peaks(
    study: Study, protocol: Protocol, analytes: tuple[str, ...], *, until: float = LANDMARK
) -> dict[str, Exposure]:
    """Subject -> the interval of its ln peak of the first of `analytes` that the study has, by its samples.

    The peak is that from the first infusion of the level's product to `until` days after it, or to the day of
    a DLT or of a drug against toxicity, if that comes earlier: then the peak is at least what was seen.
    Subjects without a sample in that time have none.
    """
    analyte = next((name for name in analytes if name in study.analytes), None)
    if analyte is None:
        return {}
    starts = _starts(study, protocol)
    ends = _events(study, protocol)
    records = study.observations[study.observations["analyte"] == analyte]
    peaks = {}
    for subject, start in starts.items():
        landmark = start + until
        event = ends.get(subject, inf)
        own = records[(records["subject"] == subject) & (records["time"] >= start)]
        own = own[own["time"] <= min(landmark, event)]
        if own.empty:
            continue
        counted = own[(own["censored"] != "left") & (own["value"] > 0)]
        if counted.empty:
            bound = own["value"].astype(float).max()
            low = -inf
            high = log(bound) if bound > 0 else inf
        else:
            low = log(float(counted["value"].max()))
            above = own["censored"] == "right"
            high = inf if event < landmark or above.any() else low
        if (low, high) != (-inf, inf):
            peaks[subject] = Exposure(low, high)
    return peaks


def peaks_of_fit(as_dosed: Exposures, analytes: tuple[str, ...]) -> dict[str, Exposure]:
    """Subject -> its ln peak by a fit, with the SD of the posterior, of the first of `analytes` there is."""
    name = next((f"{name}_cmax" for name in analytes if f"{name}_cmax" in as_dosed.values), None)
    if name is None:
        return {}
    peaks = {}
    for subject, values in zip(as_dosed.subjects, as_dosed.values[name].T, strict=True):
        usable = values[np.isfinite(values) & (values > 0)]
        if len(usable):
            middle = float(np.log(usable).mean())
            peaks[subject] = Exposure(middle, middle, float(np.log(usable).std()))
    return peaks


def _starts(study: Study, protocol: Protocol) -> dict[str, float]:
    """Subject -> day of its first infusion of the level's product."""
    doses = study.doses[study.doses["product"] == protocol.level_product]
    return {str(s): float(t) for s, t in doses.groupby("subject")["time"].min().items()}


def _events(study: Study, protocol: Protocol) -> dict[str, float]:
    """Subject -> day of its first DLT or drug against toxicity after the level's product began."""
    starts = _starts(study, protocol)
    rescued = study.doses[study.doses["product"].isin(RESCUE)]
    times = list(zip(rescued["subject"].astype(str), rescued["time"].astype(float), strict=True))
    if "dlt" in study.events.columns:
        toxic = study.events[study.events["dlt"] == "yes"]
        times += zip(toxic["subject"].astype(str), toxic["time"].astype(float), strict=True)
    first: dict[str, float] = {}
    for subject, time in times:
        if time >= starts.get(subject, inf):
            first[subject] = min(time, first.get(subject, inf))
    return first


def _grade(crs: Mapping[str, float] | None, patient: Patient) -> int | None:
    """The patient's worst CRS grade; None where CRS is not graded or nothing is known of the patient."""
    if crs is None or patient.status == "not_evaluable":
        return None
    return int(crs.get(patient.subject, 0.0))


def _responses(
    study: Study, protocol: Protocol, within: float | None, level_column: str
) -> dict[str, bool | None]:
    """Subject -> whether it responded, None where that is not known yet; empty without responses."""
    if study.responses.empty:
        return {}
    days = response_days(protocol) if within is None else within
    return known_responses(study, within_days=days, level_column=level_column, reading=reading_of(protocol))


def _looked(study: Study, protocol: Protocol) -> dict[str, float]:
    """Subject -> the share of responses that its assessments so far would have shown."""
    if study.responses.empty:
        return {}
    starts = first_infusions(study)
    looked = {}
    for subject, assessments in as_recist_scans(study, reading_of(protocol)).items():
        assessed = [a.day for a in assessments if a.response != "NE"]
        if assessed and subject in starts:
            looked[subject] = 1 - 0.5 ** (max(assessed[-1] - starts[subject], 0.0) / HALF_OF_RESPONSES)
    return looked


def _changes(study: Study, level_column: str) -> dict[str, float]:
    """Subject -> its best change of the sum of diameters [%]; empty where diameters cannot be read."""
    try:
        table = best_changes(study, by=level_column)
    except StudyError:
        return {}
    known = table[table["percent"].notna()]
    return {str(s): max(float(x), -100.0) for s, x in zip(known["subject"], known["percent"], strict=True)}
