"""The fandrei2024 tables in our layout; every rule used here is stated in the note of dictionary.toml."""

from pathlib import Path

import pandas as pd

LLOQ = {  # assumed, no limit is stated: just below the smallest value detected
    "car_cells": 0.19,  # cells/uL; the smallest is 0.2
    "car_copies": 100.0,  # copies/ug DNA; the smallest is 161
}
CELLS = {"ide_cel": 420e6, "cilta_cel": 60e6}  # cells, assumed: the labelled target; 0.75e6/kg at 80 kg
PRODUCTS = {"Ide-cel": "ide_cel", "Cilta-cel": "cilta_cel"}
NOT_DONE = {"", "n.d.", "nan"}
PLANNED = {"Day 0": 0, "Day 7": 7, "Day 14": 14, "Day 30": 30, "Day 100": 100}


def convert(raw: Path, out: Path) -> None:
    """Write subjects, doses and observations of every patient of clinical.csv."""
    flow = _table(raw / "flow_long.csv")
    actual = _actual_days(flow)
    records = pd.concat(
        [
            _cells(flow, actual),
            _copies(_table(raw / "qpcr_wide.csv"), actual),
            _antigen(_table(raw / "soluble_bcma_long.csv"), actual),
            _serum(_table(raw / "crs_crp_il6_wide.csv")),
        ]
    )
    clinical = _table(raw / "clinical.csv")
    subjects = pd.DataFrame(
        {
            "subject": clinical["patient_id"],
            "product": clinical["Product"].map(PRODUCTS),
            "sex": clinical["sex"].map({"m": "m", "w": "f"}),
            "age": clinical["age_cart"],
            "crs_grade": clinical["crs_grade"],
            "response_day_30": clinical["30 day response"],
            "pfs_days": clinical["pfs"],
            "pfs_event": clinical["status"],
            "os_days": clinical["os"],
            "os_event": clinical["death"],
        }
    )
    subjects.to_csv(out / "subjects.csv", index=False)
    doses = subjects[["subject", "product"]].assign(time=0, route="iv", cells=subjects["product"].map(CELLS))
    doses.to_csv(out / "doses.csv", index=False)
    records = records[records["subject"].isin(subjects["subject"])]
    records.sort_values(["subject", "time", "analyte"]).to_csv(out / "observations.csv", index=False)


def _table(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def _actual_days(flow: pd.DataFrame) -> dict[tuple[str, str], float]:
    """The day of each patient's flow sample, by visit; a later visit that is said to be on day 0 has none."""
    days = {}
    for patient, visit, day in zip(flow["patient_id"], flow["Day"], flow["cum_days"], strict=True):
        if day not in NOT_DONE and not (PLANNED.get(visit, 0) > 0 and float(day) == 0):
            days[patient, visit] = float(day)
    return days


def _day(actual: dict[tuple[str, str], float], patient: str, visit: str) -> float | None:
    return actual.get((patient, visit), PLANNED.get(visit))


def _record(subject: str, time: float, analyte: str, value: float) -> dict[str, object]:
    """A row of observations.csv; a zero of an analyte with a limit is below it."""
    below = value == 0 and analyte in LLOQ
    return {
        "subject": subject,
        "time": time,
        "analyte": analyte,
        "value": LLOQ[analyte] if below else value,
        "censored": "left" if below else "none",
    }


def _cells(flow: pd.DataFrame, actual: dict[tuple[str, str], float]) -> pd.DataFrame:
    """CAR+ T cells/uL after the infusion."""
    rows = []
    for patient, visit, value in zip(flow["patient_id"], flow["Day"], flow["CD3_CAR_abs"], strict=True):
        day = _day(actual, patient, visit)
        if value not in NOT_DONE and day is not None and day > 0:
            rows.append(_record(patient, day, "car_cells", float(value)))
    return pd.DataFrame(rows)


def _copies(qpcr: pd.DataFrame, actual: dict[tuple[str, str], float]) -> pd.DataFrame:
    """copies/ug DNA, on the day of the flow sample of the same visit."""
    rows = []
    for column in [name for name in qpcr if name.startswith("copies_")]:
        visit = f"Day {column.removeprefix('copies_')}"
        for patient, value in zip(qpcr["patient_id"], qpcr[column], strict=True):
            if value not in NOT_DONE:
                rows.append(_record(patient, _day(actual, patient, visit), "car_copies", float(value)))
    return pd.DataFrame(rows)


def _antigen(table: pd.DataFrame, actual: dict[tuple[str, str], float]) -> pd.DataFrame:
    """Soluble BCMA in ng/mL, from the day of infusion on."""
    rows = []
    for patient, visit, value in zip(table["patient_id"], table["Day"], table["BCMA [pg/mL]"], strict=True):
        day = _day(actual, patient, visit)
        if value not in NOT_DONE and day is not None and day >= 0:
            rows.append(_record(patient, day, "soluble_bcma", float(value) / 1000))
    return pd.DataFrame(rows)


def _serum(table: pd.DataFrame) -> pd.DataFrame:
    """CRP (columns `CRP_d5`) and IL-6 (columns `il6_d5` and `il6_d1-0300`, a time of day)."""
    rows = []
    for column in table:
        analyte, separator, label = column.partition("_d")
        if not separator or analyte not in ("CRP", "il6"):
            continue
        day, _, clock = label.rpartition("-") if label[-5:-4] == "-" else (label, "", "")
        hours = int(clock[:2]) + int(clock[2:]) / 60 if clock else 0.0
        for sample, value in zip(table["sample_id"], table[column], strict=True):
            if value not in NOT_DONE:
                patient = sample.rpartition("_")[0]
                rows.append(_record(patient, int(day) + hours / 24, analyte.lower(), float(value)))
    return pd.DataFrame(rows)
