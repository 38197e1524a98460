"""What happened to each subject, as numbers a dose decision weighs: DLT, worst CRS grade, objective response."""

from __future__ import annotations

from math import nan

from pandas import DataFrame

from kinetics.protocol_history import Patient, patients_of
from kinetics.protocol_tables import Protocol
from kinetics.response import RATES, best_responses
from kinetics.study import Study

__all__ = ["subject_outcomes"]


def subject_outcomes(
    study: Study, protocol: Protocol, *, level_column: str = "dose_level", confirmed: bool = False
) -> DataFrame:
    """One row a subject who had the level's product, in the order of subjects.csv.

    subject; level (from 1); dose (of the protocol, in its level_unit); dlt (1, 0, NaN where not evaluable or
    pending); crs (worst grade by the scale the protocol names for it, from the first infusion of cells, 0 where
    none, NaN where the protocol names no scale); response (1 for CR or PR, 0 otherwise, NaN where none of the
    study's subjects was assessed).
    """
    dosed = set(study.doses.loc[study.doses["product"] == protocol.level_product, "subject"])
    patients = [p for p in patients_of(study, protocol, level_column=level_column) if p.subject in dosed]
    crs, responded = _worst_crs(study, protocol), _responses(study, confirmed, level_column)
    rows = [
        {
            "subject": p.subject,
            "level": p.level,
            "dose": float(protocol.levels[p.level - 1]),
            "dlt": _dlt(p),
            "crs": nan if crs is None else crs.get(p.subject, 0.0),
            "response": nan if responded is None else float(responded[p.subject]),
        }
        for p in patients
    ]
    return DataFrame(rows, columns=["subject", "level", "dose", "dlt", "crs", "response"])


def _dlt(patient: Patient) -> float:
    return float(patient.dlt) if patient.status == "evaluable" else nan


def _worst_crs(study: Study, protocol: Protocol) -> dict[str, float] | None:
    endpoint = protocol.endpoints.get("crs")
    system = endpoint.grading.value if endpoint and endpoint.grading else None
    if system is None:
        return None
    own = study.events[(study.events["event"] == "crs") & (study.events["grading_system"] == system)]
    return {str(k): float(v) for k, v in own.groupby("subject")["grade"].max().items()}


def _responses(study: Study, confirmed: bool, level_column: str) -> dict[str, bool] | None:
    if study.responses.empty:
        return None
    best = best_responses(study, confirmed, by=level_column)
    return {str(s): r in RATES["orr"] for s, r in zip(best["subject"], best["response"], strict=True)}
