"""ADPC- and ADPPK-shaped datasets of a study (CDISC ADaM; `kinetics.study.sources.cdisc` says what is whose),
and their TOML.

Times are days. AFRLT counts from the subject's first dose of cells; ARRLT and APRLT from the latest before
the record (the next, where there is none before), for a record at the very time of a dose is read as taken
before it. A value below its limit has AVALCAT1 `<BLQ`, no AVAL, and ALLOQ, as admiral's templates have it.
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
Columns = dict[str, tuple[Any, str]]


def adpc(study: Study) -> Dataset:
    """One row a concentration and a dose, as admiral's ADPC has them; doses are PARAMCD = DOSE."""
    rows, given = timeline(study)
    own = subject_variables(study)
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
    visits = list(dict.fromkeys(given["visit"]))
    columns |= {
        "AVISIT": (given["visit"], "Derived: product and cycle of the reference dose"),
        "AVISITN": (given["visit"].map(visits.index) + 1, "Derived: order of AVISIT"),
        "ACYCLE": (given["cycle"], "Predecessor: doses.csv cycle"),
        "ATPT": (_timepoints(rows), "Derived: ARRLT"),
        "ATPTN": (rows["since"], "Derived: ARRLT"),
        "ATPTREF": (given["name"], "Derived: reference dose"),
    }
    columns |= _times(rows) | {
        "NRRLT": (np.nan, "Not Available: the study has actual times alone"),
        "ARRLT": (rows["since"], "Derived: time from the reference dose"),
        "RRLTU": ("day", "Assigned"),
    }
    columns |= _reference(given) | _traced(study, rows) | own.columns(rows["subject"])
    structure = "One record per subject per parameter per time"
    notes = not_carried(study)
    return dataset_of(
        "ADPC",
        "PK Concentrations Analysis Data",
        structure,
        study,
        columns,
        own.variables,
        codelists=_codelists(study) | dict(own.codelists),
        notes=notes,
    )


def adppk(study: Study) -> Dataset:
    """One row a record and a dose for a population model: EVID, MDV, CMT, AMT, DV, covariates with numeric
    copies.

    As in admiral's ADPPK a value below its limit has no DV and MDV 1. CMT numbers the products, then the
    analytes.
    """
    rows, given = timeline(study)
    own = subject_variables(study)
    columns = subject_keys(study, rows["subject"]) | _events(study, rows)
    columns |= (
        _limits(rows)
        | _times(rows)
        | {
            "NPRLT": (np.nan, "Not Available: the study has actual times alone"),
            "APRLT": (rows["since"], "Derived: time from the previous dose"),
        }
    )
    columns |= _reference(given) | _parameters(study, rows)
    columns["ACYCLE"] = given["cycle"], "Predecessor: doses.csv cycle"
    routes = list(dict.fromkeys(given["ROUTE"]))
    columns["ROUTEN"] = given["ROUTE"].map(routes.index) + 1, "Assigned: order of ROUTE"
    columns["RECSEQ"] = np.arange(1, len(rows) + 1), "Assigned: order of the rows"
    products = [f"dose of {product} by {route}" for product, route, _ in products_of(study)]
    codelists = _codelists(study) | dict(own.codelists)
    codelists["CMT"] = {str(i): said for i, said in enumerate([*products, *study.analytes], start=1)}
    columns |= _traced(study, rows) | _with_copies(own, rows["subject"], codelists)
    variables = dict(own.variables) | {
        copy: Variable(f"{own.variables[name].label[:36]} (N)", "integer", own.variables[name].where)
        for name, copy in own.copies.items()
    }
    return dataset_of(
        "ADPPK",
        "Population PK Analysis Data",
        "One record per subject per time",
        study,
        columns,
        variables,
        codelists=codelists,
        notes=not_carried(study),
    )


def _events(study: Study, rows: DataFrame) -> Columns:
    """What a population model reads of every row: event, compartment, amount, value, whether there is one."""
    dose = rows["dose"]
    below = rows["censored"].eq("left").astype(int)
    dv = rows["value"].where(rows["censored"].isin(["none", "interval"]) & ~dose)
    ids = {subject: place for place, subject in enumerate(study.subject_ids, start=1)}
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
    """Analyte -> PARAMCD: `car_copies` -> `CARCOPIE`; never DOSE."""
    codes: dict[str, str] = {}
    for name in study.analytes:
        codes[name] = adam_name(name, ["DOSE", *codes.values()])
    return codes


def not_carried(study: Study) -> tuple[str, ...]:
    """What of a study a table of doses and records has no place for."""
    notes = [
        f"{name}.csv ({len(table)} rows)"
        for name in ("events", "responses")
        if len(table := getattr(study, name))
    ]
    for name in ("doses", "observations"):
        specs = getattr(study.dictionary.columns, name)
        own = [c for c in getattr(study, name).columns if c in specs and specs[c].role]
        own += [c for c in ("nucleated_cells_per_uL",) if c in getattr(study, name).columns]
        notes += [f"{name}.csv column {column}" for column in own]
    return tuple(f"not carried: {note}" for note in notes)


def adam_toml(study: Study, dataset: Dataset) -> str:
    """The TOML beside an ADPC or ADPPK: with it, `read_study` gives the study's own names back."""
    own = subject_variables(study)
    content = study_dictionary(study, ("subjects",))
    columns = content.setdefault("columns", {}).setdefault("subjects", {})
    for column, name in own.names.items():
        if name == "SEX" and "SEX" in own.codelists and column in columns:
            columns[column]["codes"] = dict(own.codelists["SEX"])
    columns["weight_kg"] = {"unit": "kg"}
    spec: dict[str, Any] = {
        "subject": "SUBJID",
        "analyte": {code: name for name, code in analyte_codes(study).items()},
        "product": {name: name for name in dict.fromkeys(study.doses["product"])},
        "columns": {name: column for column, name in own.names.items() if column != "weight_kg"},
        "time": "STUDYTM" if "STUDYTM" in dataset.frame else "AFRLT",
        "drop": [copy for copy in own.copies.values() if copy in dataset.frame],
    }
    return tomli_w.dumps(content | {"adam": spec})


def _parameters(study: Study, rows: DataFrame) -> Columns:
    """PARAMCD, PARAM, PARAMN and the parameter's categories of every row."""
    codes = analyte_codes(study)
    numbers = {name: place for place, name in enumerate(codes, start=1)}
    dose = rows["dose"]
    analyte = rows["analyte"]

    def of(name: str, at_dose: str) -> Series:
        found = analyte.map({key: getattr(a, name) for key, a in study.analytes.items()})
        return found.astype(object).where(~dose, at_dose)

    return {
        "TRTA": (rows["product"].where(dose, ""), "Predecessor: doses.csv product"),
        "PARAMCD": (analyte.map(codes).where(~dose, "DOSE"), "Assigned: the analyte's name, DOSE of a dose"),
        "PARAM": (of("label", "Dose"), "Predecessor: the study's dictionary"),
        "PARAMN": (analyte.map(numbers).where(~dose, 0).astype(int), "Assigned: order of the analytes"),
        "PARCAT1": (of("site", ""), "Predecessor: the study's dictionary (specimen)"),
        "PARCAT2": (of("assay", ""), "Predecessor: the study's dictionary (assay)"),
    }


def _limits(rows: DataFrame) -> Columns:
    """Limits of quantification; the censoring that `<BLQ` alone does not say."""
    columns: Columns = {"ALLOQ": (rows["lloq"], "Predecessor: observations.csv lloq, or the dictionary's")}
    odd = rows["censored"].isin(["right", "interval"])
    if odd.any():
        words = rows["censored"].where(odd, "").str.upper()
        columns["CENSOR"] = words, "Predecessor: observations.csv censored"
    for name, column in (("AULOQ", "uloq"), ("ALIMIT", "limit")):
        if rows[column].notna().any():
            columns[name] = rows[column], f"Predecessor: observations.csv {column}"
    return columns


def _times(rows: DataFrame) -> Columns:
    """Times from the first dose, and the study day where that is another one."""
    columns: Columns = {
        "NFRLT": (np.nan, "Not Available: the study has actual times alone"),
        "AFRLT": (rows["time"] - rows["first"], "Derived: time from the subject's first dose of cells"),
        "FRLTU": ("day", "Assigned"),
    }
    if (rows["first"] != 0).any():
        columns["STUDYTM"] = rows["time"], "Predecessor: time of the study's tables"
    return columns


def _timepoints(rows: DataFrame) -> Series:
    """Dose, Pre-dose, or the days since the reference dose."""
    days = rows["since"].map(lambda since: f"{since:g} days post-dose")
    return days.mask(rows["since"] <= 0, "Pre-dose").mask(rows["dose"], "Dose")


def _reference(given: DataFrame) -> Columns:
    """The reference dose of every row."""
    columns: Columns = {
        "DOSEA": (given["amount"], "Predecessor: doses.csv amount of the reference dose"),
        "DOSEU": (given["unit"], "Predecessor: doses.csv unit"),
        "ADOSEDUR": (given["duration"], "Predecessor: doses.csv duration [FRLTU]"),
        "ROUTE": (given["ROUTE"], "Assigned: doses.csv route"),
        "EXLOC": (given["EXLOC"], "Assigned: doses.csv route"),
    }
    if (given["level"] != "").any():
        columns["DOSELVL"] = given["level"], "Predecessor: doses.csv level"
    return columns


def _traced(study: Study, rows: DataFrame) -> Columns:
    """Where a row comes from in the study's files, and its number within the subject."""
    name = "observations.csv" if study.path.is_dir() else study.path.name
    doses = "doses.csv" if study.path.is_dir() else study.path.name
    return {
        "SRCDOM": (np.where(rows["dose"], doses, name), "Assigned: the study's file"),
        "SRCVAR": (np.where(rows["dose"], "amount", "value"), "Assigned: its column"),
        "SRCSEQ": (rows["row"].astype(int), "Assigned: its row, the header being row 1"),
        "ASEQ": (rows.groupby("subject").cumcount() + 1, "Derived: order within the subject"),
    }


def _with_copies(own: SubjectVariables, subjects: Series, codelists: dict[str, Any]) -> Columns:
    """The subject-level variables, each text beside a numeric copy, as a population model needs it."""
    columns: Columns = {}
    for name, (values, origin) in own.columns(subjects).items():
        columns[name] = values, origin
        if name in own.copies:
            words = list(own.codelists.get(name, {})) or sorted(set(own.frame[name].dropna()))
            places = {word: place for place, word in enumerate(words, start=1)}
            columns[own.copies[name]] = Series(values).map(places), f"Assigned: codes of {name}"
            codelists[own.copies[name]] = {str(place): word for word, place in places.items()}
    return columns


def _codelists(study: Study) -> dict[str, dict[str, str]]:
    """What PARAMCD and AVALCAT1 mean."""
    labels = {code: study.analytes[name].label for name, code in analyte_codes(study).items()}
    below = {"<BLQ": "below ALLOQ", ">ULOQ": "above AULOQ", "INTERVAL": "between ALIMIT and AVAL"}
    return {"PARAMCD": {"DOSE": "Dose"} | labels, "AVALCAT1": below}
