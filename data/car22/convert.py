"""The car22 tables in our layout; every rule used here is stated in the note of dictionary.toml."""

from pathlib import Path

import pandas as pd

LLOQ_CELLS = 0.04  # cells/uL, assumed: just below the smallest value detected, 0.0406
LOWEST = {"il6": 0.37}  # pg/mL: recurring minimum
HIGHEST = {"il6": (1472, 1502, 1530), "ifn_gamma": (2761, 2800, 2860, 2900, 2921)}  # pg/mL: recurring maxima
CYTOKINES = {"IL-6": "il6", "IFN-gamma": "ifn_gamma", "IL-10": "il10"}


def convert(raw: Path, out: Path) -> None:
    """Write subjects, doses and observations for every subject with at least one CAR+ cell count."""
    kinetics = pd.read_csv(raw / "kinetics_long.csv")
    cells = kinetics[kinetics["analyte"] == "car_cells_per_uL"].assign(analyte="car_cells")
    seen = pd.concat([_cells(cells), _cytokines(pd.read_csv(raw / "cytokines_long.csv"))])
    subjects = pd.read_csv(raw / "subjects.csv")
    subjects = subjects[subjects["id"].isin(cells["id"])]
    seen = seen[seen["id"].isin(subjects["id"])].sort_values(["id", "time", "analyte"])
    named = {"crs_max_grade": "crs_grade", "toci": "tocilizumab"}
    columns = ["crs_grade", "dose_level", "hlh", "tcs", "prior_car", "tocilizumab", "steroids"]
    subjects = subjects.rename(columns=named).assign(subject=_name(subjects["id"]))
    subjects[["subject", *columns]].astype({c: int for c in columns}).to_csv(
        out / "subjects.csv", index=False
    )
    doses = pd.DataFrame(
        {"subject": subjects["subject"], "time": 0, "product": "car_t", "route": "iv", "cells": 1}
    )
    doses.to_csv(out / "doses.csv", index=False)
    seen = seen.assign(subject=_name(seen["id"]))
    kept = ["subject", "time", "analyte", "value", "censored", "lloq", "uloq"]
    seen[kept].to_csv(out / "observations.csv", index=False)


def _name(ids: pd.Series) -> pd.Series:
    return ids.map(lambda i: f"P{int(i):02d}")


def _cells(table: pd.DataFrame) -> pd.DataFrame:
    none = table["value"] == 0
    return pd.DataFrame(
        {
            "id": table["id"],
            "time": table["day"],
            "analyte": "car_cells",
            "value": table["value"].where(~none, LLOQ_CELLS),
            "censored": none.map({True: "left", False: "none"}),
        }
    )


def _cytokines(table: pd.DataFrame) -> pd.DataFrame:
    table = table[table["cytokine"].isin(CYTOKINES) & table["value"].notna()]
    analyte = table["cytokine"].map(CYTOKINES)
    low = table["value"] <= analyte.map(LOWEST).fillna(-1.0)
    high = pd.Series(
        [v in HIGHEST.get(a, ()) for v, a in zip(table["value"], analyte, strict=True)], index=table.index
    )
    return pd.DataFrame(
        {
            "id": table["id"],
            "time": table["day"],
            "analyte": analyte,
            "value": table["value"],
            "censored": low.map({True: "left", False: "none"}).mask(high, "right"),
            "uloq": table["value"].where(high),
            "lloq": table["value"].where(low),
        }
    )
