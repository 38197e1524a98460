"""A second computation in R: the records as CSV, the numbers that this package states, and a script of R.

The script, check.R beside this module, is R's own language and its package survival, so that another program
and another hand compute the numbers. It was not run here: no R was at hand.
"""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
from pandas import DataFrame

from kinetics.exposures import NCARules, nca
from kinetics.outcomes import ENDPOINTS, best_responses, kaplan_meier, response_rates, survival_times
from kinetics.protocol import Protocol
from kinetics.spreadsheets import csv_text
from kinetics.study import Study

__all__ = ["NOT_RUN", "r_check_files"]

NOT_RUN = (
    "check.R was not run: run `Rscript check.R` in the folder; it ends with status 1 if a number differs"
)
_SCRIPT = Path(__file__).parent / "check.R"
_NUMBERS = ("cmax", "tmax", "clast", "tlast", "auc_last", "half_life")
_ONE = "everyone"  # a group of all subjects


def r_check_files(
    study: Study, rules: NCARules, protocol: Protocol | None, assessed_every_days: float | None
) -> dict[str, str]:
    """The files: check.R, the CSVs that it reads, and the numbers that it compares with.

    Survival needs a `protocol`, response rates a study with responses; without them their files are left out,
    and the script passes them over.
    """
    tables = {
        "rules.csv": _rules(rules),
        "records.csv": _records(study),
        "doses.csv": _doses(study),
        "expected_nca.csv": _profiles(study, rules),
    }
    if protocol is not None:
        tables |= _survival(study, protocol, assessed_every_days)
    if len(study.responses):
        tables |= _responses(study)
    files = {name: csv_text(table, name, missing="NA") for name, table in tables.items()}
    return {"check.R": _SCRIPT.read_text(encoding="utf-8")} | files


def _rules(rules: NCARules) -> DataFrame:
    """The NCA rules, one row each; NA where a limit is not set."""
    rows = []
    for field in fields(rules):
        value = getattr(rules, field.name)
        rows.append({"rule": field.name, "value": "NA" if value is None else str(value)})
    return DataFrame(rows)


def _records(study: Study) -> DataFrame:
    """The records: subject, analyte, time [day], value [unit; NA where censored to an interval], below (0, 1)
    and after_dose (0, 1: a sample at the time of a dose was taken after it).
    """
    rows = study.observations
    value = rows["value"].astype(float)
    interval = rows["censored"] == "interval"
    below = (rows["censored"] == "left") | (interval & (value <= rows["lloq"].astype(float)))
    after = pd.Series(0, index=rows.index)
    if "timing" in rows:
        after = (rows["timing"] == "after").astype(int)
    return DataFrame(
        {
            "subject": rows["subject"],
            "analyte": rows["analyte"],
            "time": rows["time"].astype(float),
            "value": value.where(~(interval & ~below)),
            "below": below.astype(int),
            "after_dose": after,
        }
    )


def _doses(study: Study) -> DataFrame:
    """The doses that define profiles: those of cells, or all where there are none; times in days."""
    doses = study.doses
    of_cells = doses["unit"] == "cells"
    if of_cells.any():
        doses = doses[of_cells]
    return DataFrame(doses[["subject", "product", "cycle", "time", "duration"]])


def _profiles(study: Study, rules: NCARules) -> DataFrame:
    """The stated numbers of every profile; start is the study day of its first infusion."""
    table = nca(study, rules=rules)
    return DataFrame(table[["subject", "analyte", "product", "cycle", "start", *_NUMBERS]])


def _survival(study: Study, protocol: Protocol, assessed_every_days: float | None) -> dict[str, DataFrame]:
    """The times to every endpoint, and the number, events and median of each."""
    of_all = _in_one_group(study)
    times = []
    expected = []
    for endpoint in ENDPOINTS:
        every = None if endpoint == "os" else assessed_every_days
        table = survival_times(of_all, protocol, endpoint, by=_ONE, assessed_every_days=every)
        counted = table[table["time"].notna()]
        if counted.empty:
            continue
        times.append(
            DataFrame(
                {
                    "endpoint": endpoint,
                    "subject": counted["subject"],
                    "time": counted["time"],
                    "event": counted["event"].astype(int),
                }
            )
        )
        (median,) = kaplan_meier(table).medians.to_dict("records")
        expected.append({"endpoint": endpoint} | {key: median[key] for key in ("n", "events", "median")})
    if not times:
        return {}
    frames = {"survival_times.csv": pd.concat(times), "expected_survival.csv": DataFrame(expected)}
    return {name: frame.reset_index(drop=True) for name, frame in frames.items()}


def _responses(study: Study) -> dict[str, DataFrame]:
    """The best response of every subject, and the rates with their exact 95 % intervals."""
    of_all = _in_one_group(study)
    best = best_responses(of_all, by=_ONE)
    rates = response_rates(of_all, by=_ONE)
    table = DataFrame(
        {
            "subject": best["subject"],
            "treated": np.where(best["treated"], 1, 0),
            "response": best["response"],
        }
    )
    expected = DataFrame(rates[["rate", "n", "events", "estimate", "lower", "upper"]])
    return {"best_responses.csv": table, "expected_rates.csv": expected}


def _in_one_group(study: Study) -> Study:
    """The study with all its subjects in one group."""
    return replace(study, subjects=study.subjects.assign(**{_ONE: "all"}))
