"""ADPC- and ADPPK-shaped datasets of a study (CDISC ADaM), and the TOML that lets `read_study` read them.

`kinetics.study.sources.cdisc` says which variable is from which guide. Times are days. AFRLT counts from the
subject's first dose of cells. ARRLT and APRLT count from the latest dose of cells before the record, or from
the next one where there is none before; a record at the very time of a dose is read as taken before it. A
value below its limit has AVALCAT1 `<BLQ`, no AVAL, and ALLOQ, as admiral's templates have it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tomli_w
from pandas import DataFrame, Series

from kinetics.formats.dataset import Dataset, dataset_of
from kinetics.formats.study_folder import study_dictionary
from kinetics.formats.subjects import SubjectVariables, subject_keys, subject_variables
from kinetics.formats.timeline import compartments, products_of, timeline
from kinetics.study import Study, Variable, adam_name

__all__ = ["adam_toml", "adpc", "adppk", "analyte_codes", "not_carried"]

_CATEGORY = {"left": "<BLQ", "right": ">ULOQ", "interval": "INTERVAL"}
Columns = dict[str, tuple[Any, str]]  # variable -> (values, origin)


def adpc(study: Study) -> Dataset:
    """The ADPC-shaped dataset: one row per concentration and dose (PARAMCD DOSE), as in admiral's ADPC."""
    rows, reference = timeline(study)
    subjects = subject_variables(study)
    dose = rows["dose"]
    columns = subject_keys(study, rows["subject"]) | _parameters(study, rows)
    measured = rows["value"].where(rows["censored"].isin(["none", "interval"]) & ~dose)
    columns |= {
        "AVAL": (
            rows["amount"].where(dose, measured),
            "Predecessor: observations.csv value; doses.csv amount",
        ),
        "AVALU": (rows["unit"], "Assigned: the study's dictionary"),
        "AVALCAT1": (rows["censored"].map(_CATEGORY).fillna(""), "Derived: censoring"),
    }
    columns |= _limits(rows)
    visits = list(dict.fromkeys(reference["visit"]))
    columns |= {
        "AVISIT": (reference["visit"], "Derived: product and cycle of the reference dose"),
        "AVISITN": (reference["visit"].map(visits.index) + 1, "Derived: order of AVISIT"),
        "ACYCLE": (reference["cycle"], "Predecessor: doses.csv cycle"),
        "ATPT": (_timepoints(rows), "Derived: ARRLT"),
        "ATPTN": (rows["since"], "Derived: ARRLT"),
        "ATPTREF": (reference["name"], "Derived: reference dose"),
    }
    columns |= _times(rows)
    columns |= {
        "NRRLT": (np.nan, "Not Available: the study has actual times alone"),
        "ARRLT": (rows["since"], "Derived: time from the reference dose"),
        "RRLTU": ("day", "Assigned"),
    }
    columns |= _reference_dose(reference)
    columns |= _source(study, rows)
    columns |= subjects.columns(rows["subject"])
    return dataset_of(
        name="ADPC",
        label="PK Concentrations Analysis Data",
        structure="One record per subject per parameter per time",
        study=study,
        columns=columns,
        study_variables=subjects.variables,
        codelists=_codelists(study) | dict(subjects.codelists),
        notes=not_carried(study),
    )


def adppk(study: Study) -> Dataset:
    """The ADPPK-shaped dataset: one row per record and per dose, for a population model.

    It has EVID, MDV, CMT, AMT, DV, and covariates with numeric copies. As in admiral's ADPPK a value below
    its limit has no DV, and MDV 1. CMT numbers the products, then the analytes.
    """
    rows, reference = timeline(study)
    subjects = subject_variables(study)

    # the columns in order
    columns = subject_keys(study, rows["subject"]) | _events(study, rows)
    columns |= _limits(rows)
    columns |= _times(rows)
    columns |= {
        "NPRLT": (np.nan, "Not Available: the study has actual times alone"),
        "APRLT": (rows["since"], "Derived: time from the previous dose"),
    }
    columns |= _reference_dose(reference)
    columns |= _parameters(study, rows)
    columns["ACYCLE"] = (reference["cycle"], "Predecessor: doses.csv cycle")
    routes = list(dict.fromkeys(reference["ROUTE"]))
    columns["ROUTEN"] = (reference["ROUTE"].map(routes.index) + 1, "Assigned: order of ROUTE")
    columns["RECSEQ"] = (np.arange(1, len(rows) + 1), "Assigned: order of the rows")
    columns |= _source(study, rows)
    columns |= _with_copies(subjects, rows["subject"])

    # what their codes mean
    codelists = _codelists(study) | dict(subjects.codelists)
    doses = [f"dose of {product} by {route}" for product, route, _ in products_of(study)]
    codelists["CMT"] = {str(cmt): meaning for cmt, meaning in enumerate([*doses, *study.analytes], start=1)}
    for name, copy in subjects.copies.items():
        codelists[copy] = {str(code): word for word, code in _word_codes(subjects, name).items()}

    # the description of the study's variables and of their copies
    variables = dict(subjects.variables)
    for name, copy in subjects.copies.items():
        variable = subjects.variables[name]
        variables[copy] = Variable(f"{variable.label[:36]} (N)", "integer", variable.where)
    return dataset_of(
        name="ADPPK",
        label="Population PK Analysis Data",
        structure="One record per subject per time",
        study=study,
        columns=columns,
        study_variables=variables,
        codelists=codelists,
        notes=not_carried(study),
    )


def _events(study: Study, rows: DataFrame) -> Columns:
    """The columns that a population model reads: event, compartment, amount, value, whether it is missing."""
    dose = rows["dose"]
    below = rows["censored"].eq("left").astype(int)
    dv = rows["value"].where(rows["censored"].isin(["none", "interval"]) & ~dose)
    ids = {subject: number for number, subject in enumerate(study.subject_ids, start=1)}
    return {
        "STUDYIDN": (1, "Assigned"),
        "USUBJIDN": (rows["subject"].map(ids), "Assigned: order of subjects.csv"),
        "EVID": (dose.astype(int), "Derived: 1 of a dose"),
        "MDV": ((dose | dv.isna()).astype(int), "Derived: no DV"),
        "CMT": (compartments(study, rows), "Assigned: products by route, then analytes"),
        "AMT": (rows["amount"].where(dose), "Predecessor: doses.csv amount"),
        "DV": (dv, "Predecessor: observations.csv value"),
        "DVL": (np.log(dv.where(dv > 0)), "Derived: log of DV"),
        "AVAL": (dv, "Derived: DV"),
        "AVALU": (rows["unit"].where(~dose, ""), "Assigned: the study's dictionary"),
        "AVALCAT1": (rows["censored"].map(_CATEGORY).fillna(""), "Derived: censoring"),
        "BLQFL": (below.map({1: "Y", 0: "N"}), "Derived: below ALLOQ"),
        "BLQFN": (below, "Derived: below ALLOQ"),
    }


def analyte_codes(study: Study) -> dict[str, str]:
    """Analyte -> PARAMCD, for example `car_copies` -> `CARCOPIE`; never DOSE."""
    codes: dict[str, str] = {}
    for name in study.analytes:
        codes[name] = adam_name(name, ["DOSE", *codes.values()])
    return codes


def not_carried(study: Study) -> tuple[str, ...]:
    """Notes on those tables and columns of a study for which a table of doses and records has no place."""
    omitted = []
    for name in ("events", "responses"):
        table = getattr(study, name)
        if len(table):
            omitted.append(f"{name}.csv ({len(table)} rows)")
    for name in ("doses", "observations"):
        specs = getattr(study.dictionary.columns, name)
        present = getattr(study, name).columns
        columns = [column for column in present if column in specs and specs[column].role]
        if "nucleated_cells_per_uL" in present:
            columns.append("nucleated_cells_per_uL")
        omitted += [f"{name}.csv column {column}" for column in columns]
    return tuple(f"not carried: {part}" for part in omitted)


def adam_toml(study: Study, dataset: Dataset) -> str:
    """The TOML beside an ADPC or ADPPK: with it, `read_study` gives the study's own names back."""
    subjects = subject_variables(study)
    content = study_dictionary(study, ("subjects",))
    columns = content.setdefault("columns", {}).setdefault("subjects", {})
    for column, name in subjects.names.items():
        if name == "SEX" and "SEX" in subjects.codelists and column in columns:
            columns[column]["codes"] = dict(subjects.codelists["SEX"])
    columns["weight_kg"] = {"unit": "kg"}
    spec: dict[str, Any] = {
        "subject": "SUBJID",
        "analyte": {code: name for name, code in analyte_codes(study).items()},
        "product": {name: name for name in dict.fromkeys(study.doses["product"])},
        "columns": {name: column for column, name in subjects.names.items() if column != "weight_kg"},
        "time": "STUDYTM" if "STUDYTM" in dataset.frame else "AFRLT",
        "drop": [copy for copy in subjects.copies.values() if copy in dataset.frame],
    }
    return tomli_w.dumps(content | {"adam": spec})


def _parameters(study: Study, rows: DataFrame) -> Columns:
    """TRTA, PARAMCD, PARAM, PARAMN and the parameter's categories in every row."""
    codes = analyte_codes(study)
    numbers = {name: number for number, name in enumerate(codes, start=1)}
    dose = rows["dose"]
    analyte = rows["analyte"]

    def analyte_fact(field: str, at_dose: str) -> Series:
        facts = {name: getattr(entry, field) for name, entry in study.analytes.items()}
        return analyte.map(facts).astype(object).where(~dose, at_dose)

    return {
        "TRTA": (rows["product"].where(dose, ""), "Predecessor: doses.csv product"),
        "PARAMCD": (analyte.map(codes).where(~dose, "DOSE"), "Assigned: the analyte's name, DOSE of a dose"),
        "PARAM": (analyte_fact("label", "Dose"), "Predecessor: the study's dictionary"),
        "PARAMN": (analyte.map(numbers).where(~dose, 0).astype(int), "Assigned: order of the analytes"),
        "PARCAT1": (analyte_fact("site", ""), "Predecessor: the study's dictionary (specimen)"),
        "PARCAT2": (analyte_fact("assay", ""), "Predecessor: the study's dictionary (assay)"),
    }


def _limits(rows: DataFrame) -> Columns:
    """Limits of quantification, and the kind of censoring where `<BLQ` alone does not say it."""
    columns: Columns = {"ALLOQ": (rows["lloq"], "Predecessor: observations.csv lloq, or the dictionary's")}
    not_left = rows["censored"].isin(["right", "interval"])
    if not_left.any():
        kinds = rows["censored"].where(not_left, "").str.upper()
        columns["CENSOR"] = (kinds, "Predecessor: observations.csv censored")
    for name, column in (("AULOQ", "uloq"), ("ALIMIT", "limit")):
        if rows[column].notna().any():
            columns[name] = (rows[column], f"Predecessor: observations.csv {column}")
    return columns


def _times(rows: DataFrame) -> Columns:
    """Times from the first dose, and the study's own time where that differs."""
    columns: Columns = {
        "NFRLT": (np.nan, "Not Available: the study has actual times alone"),
        "AFRLT": (rows["time"] - rows["first"], "Derived: time from the subject's first dose of cells"),
        "FRLTU": ("day", "Assigned"),
    }
    if (rows["first"] != 0).any():
        columns["STUDYTM"] = (rows["time"], "Predecessor: time of the study's tables")
    return columns


def _timepoints(rows: DataFrame) -> Series:
    """The label of every row's time: Dose, Pre-dose, Post-dose (at its very time), or the days since the
    reference dose.
    """
    days = rows["since"].map(lambda since: f"{since:g} days post-dose")
    labels = days.mask(rows["since"] <= 0, "Pre-dose")
    if "timing" in rows:
        labels = labels.mask((rows["timing"] == "after") & (rows["since"] == 0), "Post-dose")
    return labels.mask(rows["dose"], "Dose")


def _reference_dose(reference: DataFrame) -> Columns:
    """Amount, unit, duration, route and level of every row's reference dose."""
    columns: Columns = {
        "DOSEA": (reference["amount"], "Predecessor: doses.csv amount of the reference dose"),
        "DOSEU": (reference["unit"], "Predecessor: doses.csv unit"),
        "ADOSEDUR": (reference["duration"], "Predecessor: doses.csv duration [FRLTU]"),
        "ROUTE": (reference["ROUTE"], "Assigned: doses.csv route"),
        "EXLOC": (reference["EXLOC"], "Assigned: doses.csv route"),
    }
    if (reference["level"] != "").any():
        columns["DOSELVL"] = (reference["level"], "Predecessor: doses.csv level")
    return columns


def _source(study: Study, rows: DataFrame) -> Columns:
    """Where a row comes from in the study's files, and its number within the subject."""
    if study.path.is_dir():
        observations = "observations.csv"
        doses = "doses.csv"
    else:
        observations = study.path.name
        doses = study.path.name
    return {
        "SRCDOM": (np.where(rows["dose"], doses, observations), "Assigned: the study's file"),
        "SRCVAR": (np.where(rows["dose"], "amount", "value"), "Assigned: its column"),
        "SRCSEQ": (rows["row"].astype(int), "Assigned: its row, the header being row 1"),
        "ASEQ": (rows.groupby("subject").cumcount() + 1, "Derived: order within the subject"),
    }


def _with_copies(subjects: SubjectVariables, row_subjects: Series) -> Columns:
    """The subject-level variables, with a numeric copy after each text, as a population model needs it."""
    columns: Columns = {}
    for name, (values, origin) in subjects.columns(row_subjects).items():
        columns[name] = (values, origin)
        if name in subjects.copies:
            codes = Series(values).map(_word_codes(subjects, name))
            columns[subjects.copies[name]] = (codes, f"Assigned: codes of {name}")
    return columns


def _word_codes(subjects: SubjectVariables, name: str) -> dict[str, int]:
    """Word -> number for a variable of words, in the order of its codelist, or else of the alphabet."""
    words = list(subjects.codelists.get(name, {})) or sorted(set(subjects.frame[name].dropna()))
    return {word: code for code, word in enumerate(words, start=1)}


def _codelists(study: Study) -> dict[str, dict[str, str]]:
    """The meaning of the codes in PARAMCD and AVALCAT1."""
    labels = {code: study.analytes[name].label for name, code in analyte_codes(study).items()}
    below = {"<BLQ": "below ALLOQ", ">ULOQ": "above AULOQ", "INTERVAL": "between ALIMIT and AVAL"}
    return {"PARAMCD": {"DOSE": "Dose"} | labels, "AVALCAT1": below}
