"""The key table of a submission, and its recomputation from the data sets of a tree alone.

Parameters: median and 90 % interval of every population value, from the draws in draws.xpt. Exposures: the
numbers of the non-compartmental analysis, from the records in adppk.xpt, which are read as a study again.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas import DataFrame

from kinetics.exposures import NCARules, nca
from kinetics.spreadsheets import csv_text
from kinetics.study import Study, read_study
from kinetics.submission.transport_file import read_transport

__all__ = [
    "KEYS",
    "NCA_RULE_SETS",
    "exposure_rows",
    "key_table",
    "key_table_of_files",
    "parameter_rows",
    "table_differences",
]

KEYS = ["table", "item", "analyte", "cycle", "statistic"]
NCA_RULE_SETS = {"car_t": NCARules.car_t, "pknca": NCARules, "winnonlin": NCARules.winnonlin}
_QUANTILES = {"lower_5": 0.05, "median": 0.5, "upper_95": 0.95}
_SAME = 1e-9  # relative difference of two numbers that count as the same


def key_table(study: Study, draws: DataFrame, labels: dict[str, str], rules: NCARules) -> DataFrame:
    """The key table: table, item, analyte, cycle, statistic, value, in the units of the study."""
    return pd.concat([parameter_rows(draws, labels), exposure_rows(study, rules)], ignore_index=True)


def parameter_rows(draws: DataFrame, labels: dict[str, str]) -> DataFrame:
    """The median and the 90 % interval of every column of draws but DRAW; `labels` name the parameters."""
    rows = []
    for column in map(str, draws.columns):
        if column == "DRAW":
            continue
        for statistic, share in _QUANTILES.items():
            value = float(np.quantile(draws[column].to_numpy(float), share))
            rows.append(("parameters", labels[column], "", "", statistic, value))
    return DataFrame(rows, columns=[*KEYS, "value"])


def exposure_rows(study: Study, rules: NCARules) -> DataFrame:
    """The numbers of the non-compartmental analysis of every subject, analyte and cycle."""
    table = nca(study, rules=rules)
    area = next(name for name in map(str, table.columns) if name.startswith("auc_0_"))
    rows = [
        ("exposures", row["subject"], row["analyte"], f"{row['product']} {row['cycle']}", number, row[number])
        for row in table.to_dict("records")
        for number in ("cmax", "tmax", area, "auc_last", "half_life", "tlast")
    ]
    frame = DataFrame(rows, columns=[*KEYS, "value"])
    return frame.assign(value=frame["value"].astype(float))


def key_table_of_files(datasets: Path, reading: Path, rules: NCARules) -> DataFrame:
    """The key table recomputed from draws.xpt and adppk.xpt in a folder.

    `reading` is the TOML with which `read_study` reads the ADPPK. InputError where they cannot be read.
    """
    draws, labels = read_transport(datasets / "draws.xpt")
    records, _ = read_transport(datasets / "adppk.xpt")
    with tempfile.TemporaryDirectory(prefix="kinetics-") as folder:
        table = Path(folder) / "adppk.csv"
        table.write_text(csv_text(records, "adppk.csv"), encoding="utf-8")
        table.with_suffix(".toml").write_bytes(reading.read_bytes())
        study = read_study(table)
        return key_table(study, draws, labels, rules)


def table_differences(stated: DataFrame, recomputed: DataFrame) -> Iterator[str]:
    """Where a recomputed key table differs from the stated one, a sentence for each row."""
    values = _by_key(recomputed)
    keys = _by_key(stated)
    for key, value in keys.items():
        name = " ".join(part for part in key if part)
        if key not in values:
            yield f"{name}: {value!r} is stated and not recomputed"
        elif not _same(value, values[key]):
            yield f"{name}: {value!r} is stated, {values[key]!r} is recomputed"
    for key in values.keys() - keys.keys():
        yield f"{' '.join(part for part in key if part)}: recomputed and not stated"


def _by_key(table: DataFrame) -> dict[tuple[Any, ...], float]:
    """The values of a key table by its other columns."""
    return {tuple(row[key] for key in KEYS): float(row["value"]) for row in table.to_dict("records")}


def _same(a: float, b: float) -> bool:
    """Whether two numbers are the same to nine digits, or both missing."""
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return math.isclose(a, b, rel_tol=_SAME, abs_tol=0.0)
