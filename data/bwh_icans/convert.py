"""The bwh_icans table in our layout; every rule used here is stated in the note of dictionary.toml."""

from pathlib import Path

import pandas as pd

# analyte -> column, lower limits and upper limits (recurring minima and maxima), in the analyte's unit
ANALYTES = {
    "crp": ("CRP", (), (3000.0,)),
    "ferritin": ("Ferritin", (), (16501.0, 100000.0)),
    "il6": ("IL_6", (0.99, 1.0), (400.0, 401.0)),
    "temperature": ("Temp", (), ()),
    "icans_grade": ("meanscore", (), ()),
}
FAHRENHEIT = 60.0  # no body temperature is above this in degrees C, or below it in degrees F


def convert(raw: Path, out: Path) -> None:
    """Write subjects, doses and observations; the first row of an id's day is used."""
    daily = pd.read_csv(raw / "daily.csv").drop_duplicates(["SID", "HospitalDay"], keep="first")
    daily["subject"] = daily["SID"].map(lambda i: f"B{int(i):03d}")
    first = daily.groupby("subject", sort=True).first()  # the first value that is there
    subjects = pd.DataFrame(
        {
            "subject": first.index,
            "age": first["Age"].astype(int),
            "sex": first["Sex"].str.lower(),
            "diagnosis": first["Subtype"].map(_diagnosis),
            "crs_grade": first["CRS Peak Severity"],
            "crs_onset_day": first["CRS Onset Day"],
            "tocilizumab_doses": first["Toci doses"],
        }
    )
    subjects.to_csv(out / "subjects.csv", index=False)
    doses = pd.DataFrame(
        {"subject": subjects["subject"], "time": 0, "product": "car_t", "route": "iv", "cells": 1}
    )
    doses.to_csv(out / "doses.csv", index=False)
    tables = [_records(daily, analyte, *rule) for analyte, rule in ANALYTES.items()]
    records = pd.concat(tables).sort_values(["subject", "time", "analyte"])
    records.to_csv(out / "observations.csv", index=False)


def _diagnosis(subtype: str) -> str:
    """Myeloma, leukaemia or lymphoma, by the subtype; the column Diagnosis is empty for half the patients."""
    if subtype == "MM":
        return "myeloma"
    return "leukaemia" if subtype in ("B-ALL", "AML", "CLL", "PML") else "lymphoma"


def _records(
    daily: pd.DataFrame, analyte: str, column: str, lowest: tuple[float, ...], highest: tuple[float, ...]
) -> pd.DataFrame:
    rows = daily[daily[column].notna()]
    value = rows[column]
    if analyte == "temperature":
        value = value.where(value < FAHRENHEIT, (value - 32) / 1.8)
    low = value.isin(lowest)
    high = value.isin(highest)
    return pd.DataFrame(
        {
            "subject": rows["subject"],
            "time": rows["HospitalDay"],
            "analyte": analyte,
            "value": value.round(4),
            "censored": low.map({True: "left", False: "none"}).mask(high, "right"),
            "lloq": value.where(low),
            "uloq": value.where(high),
        }
    )
