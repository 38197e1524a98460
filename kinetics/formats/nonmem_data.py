"""A NM-TRAN-ready data file of a study: numbers alone, `.` where there is none, and the TOML that names the
codes.

ID TIME DV AMT RATE EVID MDV CMT DVID CENS LIMIT CYCLE WT and the subjects' columns. Times are days. A value
below its limit has DV at the limit and CENS 1 (Monolix's, rxode2's and nlmixr2's coding; in NONMEM an M3
likelihood reads it). An interval-censored one has CENS 1, DV the upper and LIMIT the lower bound. CMT numbers
the products by route, then the analytes; DVID the analytes. RATE is AMT over the duration. SYNTH is 1 where
the data are simulated.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import tomli_w
from pandas import DataFrame, Series

from kinetics.formats.concentrations import not_carried
from kinetics.formats.study_folder import study_dictionary
from kinetics.formats.timeline import compartments, products_of, timeline
from kinetics.study import Study, adam_name

__all__ = ["DROPPED", "nonmem_csv", "nonmem_data", "nonmem_ids", "nonmem_notes", "nonmem_toml"]

_CENS = {"left": 1, "interval": 1, "right": -1}
_TAKEN = (
    "ID", "TIME", "DV", "AMT", "RATE", "EVID", "MDV", "CMT", "DVID", "CENS", "LIMIT", "LLOQ", "ULOQ", "CYCLE", "WT",
    "SYNTH", "SS", "II", "ADDL", "DUR", "ADM", "Y", "L1", "L2", "DATE", "DROP", "SKIP",
)  # fmt: skip
DROPPED = ("SYNTH",)


def nonmem_data(study: Study) -> DataFrame:
    """The rows; NaN where the file has `.`."""
    rows, _ = timeline(study)
    dose = rows["dose"]
    censored = rows["censored"]
    ids = nonmem_ids(study)
    numbers = {name: place for place, name in enumerate(study.analytes, start=1)}
    frame = DataFrame(
        {
            "ID": rows["subject"].map(ids),
            "TIME": rows["time"],
            "DV": rows["value"].where(~dose),
            "AMT": rows["amount"].where(dose),
            "RATE": (rows["amount"] / rows["duration"].where(rows["duration"] > 0)).where(dose),
            "EVID": dose.astype(int),
            "MDV": dose.astype(int),
            "CMT": compartments(study, rows),
            "DVID": rows["analyte"].map(numbers).fillna(0).astype(int),
            "CENS": censored.map(_CENS).fillna(0).astype(int),
            "LIMIT": rows["limit"],
        }
    )
    for column in ("lloq", "uloq"):
        declared = (
            rows["analyte"].map({n: getattr(a, column) for n, a in study.analytes.items()}).astype(float)
        )
        if not (dose | rows[column].isna() | (rows[column] == declared)).all():
            frame[column.upper()] = rows[column]
    frame["CYCLE"] = rows["cycle"].where(dose)
    for column, name in _names(study).items():
        codes = _codes(study, column)
        values = study.subjects[column]
        frame[name] = (
            rows["subject"]
            .map(values.map({v: int(k) for k, v in codes.items()}) if codes else values)
            .astype(float)
        )
    return frame.assign(SYNTH=int(study.synthetic))


def nonmem_csv(study: Study) -> str:
    """The data file: no text but its header, every digit, `.` for what is missing. $DATA ... IGNORE=@
    reads it.
    """
    frame = nonmem_data(study)
    shown = DataFrame({name: [_number(value) for value in frame[name]] for name in frame.columns})
    return shown.to_csv(index=False, lineterminator="\n")


def _number(value: Any) -> str:
    number = float(value)
    if np.isnan(number):
        return "."
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)


def nonmem_ids(study: Study) -> dict[str, int]:
    """Subject -> ID: the subject itself where all are whole numbers, else its place in subjects.csv."""
    subjects = study.subject_ids
    if all(re.fullmatch(r"[1-9]\d{0,8}", subject) for subject in subjects):
        return {subject: int(subject) for subject in subjects}
    return {subject: place for place, subject in enumerate(subjects, start=1)}


def nonmem_toml(study: Study) -> str:
    """The TOML beside the file: with it, `read_study` gives the study's own names, codes and units back."""
    content = study_dictionary(study, ("subjects",))
    products = products_of(study)
    subjects: dict[str, Any] = {}
    for column in _names(study):
        spec = content.get("columns", {}).get("subjects", {}).get(column, {})
        codes = _codes(study, column)
        if column != "weight_kg":
            subjects[column] = spec | ({"codes": codes} if codes else {"kind": "number"})
    content["columns"] = {"subjects": subjects} if subjects else {}
    spec = {
        "time_unit": "day",
        "product": {str(i): product for i, (product, _, _) in enumerate(products, start=1)},
        "route": {str(i): route for i, (_, route, _) in enumerate(products, start=1)},
        "dose_unit": {str(i): unit for i, (_, _, unit) in enumerate(products, start=1)},
        "analyte": {str(i): name for i, name in enumerate(study.analytes, start=1)},
        "cycle_column": "CYCLE",
        "drop": list(DROPPED),
        "columns": {name: column for column, name in _names(study).items() if column != "weight_kg"},
        "subject": {str(i): s for s, i in nonmem_ids(study).items() if str(i) != s},
    }
    if "weight_kg" in _names(study):
        spec["weight_column"] = "WT"
    return tomli_w.dumps(content | {"event_table": {k: v for k, v in spec.items() if v}})


def nonmem_notes(study: Study) -> tuple[str, ...]:
    """What of the study the file has no place for."""
    level = ("not carried: doses.csv column level",) if (study.doses["level"] != "").any() else ()
    return not_carried(study) + level


def _names(study: Study) -> dict[str, str]:
    """The study's column -> the file's: WT the weight, at most 8 capitals and digits."""
    names: dict[str, str] = {}
    for column in map(str, study.subjects.columns):
        if column == "weight_kg":
            if study.subjects[column].notna().any():
                names[column] = "WT"
        else:
            names[column] = adam_name(column, [*_TAKEN, *names.values()])
    return names


def _codes(study: Study, column: str) -> dict[str, str]:
    """Number -> label of a column of words, in the dictionary's order; none of a column of numbers."""
    values: Series = study.subjects[column]
    if values.dtype.kind in "fi":
        return {}
    spec = study.dictionary.columns.subjects.get(column)
    known = list(dict.fromkeys(spec.labels.values())) if spec is not None and spec.labels else []
    words = known or sorted(set(values.dropna()))
    return {str(place): word for place, word in enumerate(words, start=1)}
