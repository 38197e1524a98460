"""A NM-TRAN-ready data file of a study (numbers only, `.` if missing), and the TOML that names its codes.

The columns are ID TIME DV AMT RATE EVID MDV CMT DVID CENS LIMIT CYCLE WT, then the subjects' columns and
SYNTH. Times are days. A value below its limit has DV at the limit and CENS 1 (the coding of Monolix, rxode2
and nlmixr2; in NONMEM an M3 likelihood reads it). An interval-censored value has CENS 1, the upper bound in
DV and the lower bound in LIMIT. CMT numbers the products by route and unit, then the analytes; DVID numbers
the analytes. RATE is AMT divided by the duration. SYNTH is 1 where the data are simulated.
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
from kinetics.spreadsheets import csv_text
from kinetics.study import Study, adam_name

__all__ = ["DROPPED", "nonmem_csv", "nonmem_data", "nonmem_ids", "nonmem_notes", "nonmem_text", "nonmem_toml"]

_CENS = {"left": 1, "interval": 1, "right": -1}
# names that no column of the subjects may get: the file's own, and those with a meaning in NM-TRAN
_RESERVED = (
    "ID", "TIME", "DV", "AMT", "RATE", "EVID", "MDV", "CMT", "DVID", "CENS", "LIMIT", "LLOQ", "ULOQ",
    "CYCLE", "WT", "SYNTH", "SS", "II", "ADDL", "DUR", "ADM", "Y", "L1", "L2", "DATE", "DROP", "SKIP",
)  # fmt: skip
DROPPED = ("SYNTH",)


def nonmem_data(study: Study) -> DataFrame:
    """The rows of the data file as numbers, with NaN where the file has `.`."""
    rows, _ = timeline(study)
    dose = rows["dose"]
    censored = rows["censored"]
    ids = nonmem_ids(study)
    analyte_numbers = {name: number for number, name in enumerate(study.analytes, start=1)}
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
            "DVID": rows["analyte"].map(analyte_numbers).fillna(0).astype(int),
            "CENS": censored.map(_CENS).fillna(0).astype(int),
            "LIMIT": rows["limit"],
        }
    )

    # limits of quantification, where a record's differs from the one that the dictionary declares
    for column in ("lloq", "uloq"):
        limits = {name: getattr(analyte, column) for name, analyte in study.analytes.items()}
        declared = rows["analyte"].map(limits).astype(float)
        if not (dose | rows[column].isna() | (rows[column] == declared)).all():
            frame[column.upper()] = rows[column]
    frame["CYCLE"] = rows["cycle"].where(dose)

    # columns of the subjects, words as their numeric codes
    for column, name in _names(study).items():
        codes = _codes(study, column)
        values = study.subjects[column]
        if codes:
            values = values.map({word: int(code) for code, word in codes.items()})
        frame[name] = rows["subject"].map(values).astype(float)
    return frame.assign(SYNTH=int(study.synthetic))


def nonmem_csv(study: Study) -> str:
    """The data file as text, which $DATA ... IGNORE=@ reads.

    The header is its only text; numbers have every digit, and `.` stands for a missing one.
    """
    return nonmem_text(nonmem_data(study), "nonmem.csv")


def nonmem_text(frame: DataFrame, file: str) -> str:
    """Rows of numbers as the text of `file`: every digit, and `.` for a missing one."""
    cells = DataFrame({name: [_number(value) for value in frame[name]] for name in frame.columns})
    return csv_text(cells, file)


def _number(value: Any) -> str:
    """A number with every digit, whole ones without a decimal point; `.` for NaN."""
    number = float(value)
    if np.isnan(number):
        return "."
    if number.is_integer() and abs(number) < 1e15:
        return str(int(number))
    return repr(number)


def nonmem_ids(study: Study) -> dict[str, int]:
    """Subject -> ID: the subject itself where all are whole numbers, else its position in subjects.csv."""
    subjects = study.subject_ids
    if all(re.fullmatch(r"[1-9]\d{0,8}", subject) for subject in subjects):
        return {subject: int(subject) for subject in subjects}
    return {subject: position for position, subject in enumerate(subjects, start=1)}


def nonmem_toml(study: Study) -> str:
    """The TOML beside the file: with it, `read_study` gives the study's own names, codes and units back."""
    content = study_dictionary(study, ("subjects",))
    products = products_of(study)
    names = _names(study)

    # declarations of the subjects' columns
    declared = content.get("columns", {}).get("subjects", {})
    subjects: dict[str, Any] = {}
    for column in names:
        if column == "weight_kg":
            continue
        codes = _codes(study, column)
        kind_or_codes = {"codes": codes} if codes else {"kind": "number"}
        subjects[column] = declared.get(column, {}) | kind_or_codes
    content["columns"] = {"subjects": subjects} if subjects else {}

    # how to read the file back
    spec = {
        "time_unit": "day",
        "product": {str(i): product for i, (product, _, _) in enumerate(products, start=1)},
        "route": {str(i): route for i, (_, route, _) in enumerate(products, start=1)},
        "dose_unit": {str(i): unit for i, (_, _, unit) in enumerate(products, start=1)},
        "analyte": {str(i): name for i, name in enumerate(study.analytes, start=1)},
        "cycle_column": "CYCLE",
        "drop": list(DROPPED),
        "columns": {name: column for column, name in names.items() if column != "weight_kg"},
        "subject": {str(i): s for s, i in nonmem_ids(study).items() if str(i) != s},
    }
    if "weight_kg" in names:
        spec["weight_column"] = "WT"
    return tomli_w.dumps(content | {"event_table": {key: value for key, value in spec.items() if value}})


def nonmem_notes(study: Study) -> tuple[str, ...]:
    """Notes on those tables and columns of the study for which the file has no place."""
    notes = not_carried(study)
    if "timing" in study.observations:
        notes = (
            *notes,
            "not carried: observations.csv column timing (samples said to be taken after a dose)",
        )
    if (study.doses["level"] != "").any():
        notes += ("not carried: doses.csv column level",)
    return notes


def _names(study: Study) -> dict[str, str]:
    """The study's subject columns -> the file's: WT for the weight, else at most 8 capitals and digits."""
    names: dict[str, str] = {}
    for column in map(str, study.subjects.columns):
        if column == "weight_kg":
            if study.subjects[column].notna().any():
                names[column] = "WT"
        else:
            names[column] = adam_name(column, [*_RESERVED, *names.values()])
    return names


def _codes(study: Study, column: str) -> dict[str, str]:
    """Numeric code -> label for a column of words, in the dictionary's order; {} for a column of numbers."""
    values: Series = study.subjects[column]
    if values.dtype.kind in "fi":
        return {}
    spec = study.dictionary.columns.subjects.get(column)
    if spec is not None and spec.labels:
        words = list(dict.fromkeys(spec.labels.values()))
    else:
        words = sorted(set(values.dropna()))
    return {str(code): word for code, word in enumerate(words, start=1)}
