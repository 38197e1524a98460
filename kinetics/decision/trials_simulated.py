"""Trials simulated one by one, in calendar time or with exposures: rules side by side, resumable.

Trial i is a function of the seed and i alone. So any number of processes gives the same trials, a folder
continues where it was stopped, and every rule meets the same patients (common random numbers). A folder holds
`settings.json` and `trials.csv`, one row per rule and trial, rewritten whole after each block. What can be
enumerated exactly is not simulated here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from io import StringIO
from math import sqrt
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas import DataFrame

from kinetics.errors import InputError, Problem
from kinetics.escalation import (
    Boin12,
    Calendar,
    ExposureTruth,
    Joint,
    PkBoin12,
    Rule,
    calendar_trials,
    exposure_trials,
)
from kinetics.files import write_atomic

__all__ = [
    "MONTH",
    "SimulatedTrials",
    "columns_by_level",
    "simulate_blocks",
    "simulate_calendar",
    "simulate_exposures",
]

BLOCK = 250  # trials between two writes
MONTH = 30.4375  # days
Block = Callable[[Sequence[int]], list[dict[str, Any]]]


@dataclass(frozen=True, eq=False)
class SimulatedTrials:
    """Simulated trials of one or several rules.

    `table` has one row per rule and trial: rule, trial, found (the level, 0: none), n_1 ..., dlts_1 ..., and
    responses_1 ... or days.
    """

    table: DataFrame
    levels: int
    trials: int
    seed: int

    def of(self, rule: str) -> dict[str, Any]:
        """A rule's characteristics; the errors are standard errors of the simulation."""
        trials = self.table[self.table["rule"] == rule].sort_values("trial")
        p_found = np.bincount(trials["found"].to_numpy(int), minlength=self.levels + 1) / self.trials
        n = trials[[f"n_{i}" for i in range(1, self.levels + 1)]].sum(axis=1)
        dlts = self._by_level(trials, "dlts")
        characteristics = {
            "p_found": p_found.tolist(),
            "p_found_error": [sqrt(p * (1 - p) / self.trials) for p in p_found],
            "expected_n": float(n.mean()),
            "max_n": int(n.max()),
            "patients_by_level": self._by_level(trials, "n"),
            "dlts_by_level": dlts,
            "expected_dlt": sum(dlts),
        }
        if "responses_1" in trials:
            characteristics["responses_by_level"] = self._by_level(trials, "responses")
        if "days" in trials:
            days = trials["days"].to_numpy(float)
            characteristics["expected_days"] = float(days.mean())
            characteristics["days_error"] = float(days.std(ddof=1) / sqrt(len(days)))
            characteristics["days_quantiles"] = np.quantile(days, [0.05, 0.5, 0.95]).tolist()
        return characteristics

    def saved(self, rule: str, other: str) -> tuple[float, float]:
        """The mean days by which `rule` ends before `other` on the same patients, and the standard error."""
        by_rule = {}
        for name in (rule, other):
            by_rule[name] = self.table[self.table["rule"] == name].set_index("trial")["days"]
        saved = (by_rule[other] - by_rule[rule]).to_numpy(float)
        return float(saved.mean()), float(saved.std(ddof=1) / sqrt(len(saved)))

    def _by_level(self, trials: DataFrame, name: str) -> list[float]:
        """The mean over trials of a count, for each level."""
        return [float(trials[f"{name}_{i}"].mean()) for i in range(1, self.levels + 1)]


def simulate_calendar(
    rules: Mapping[str, Rule],
    true_dlt: Sequence[float],
    calendar: Calendar,
    *,
    true_response: Sequence[float] = (),
    trigger_without_dlt: float | Sequence[float] = 0.0,
    trials: int = 2000,
    seed: int = 0,
    folder: Path | None = None,
    jobs: int = 1,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> SimulatedTrials:
    """Simulate every rule in calendar time, on the same patients.

    `rules`: name -> rule; `true_dlt`: the true chance of a DLT at each level; `true_response`: that of a
    response, which the joint rule alone looks at. `folder` keeps the trials and
    lets the simulation continue, `jobs` is the number of processes, `report` is called with the trials done
    and all. InputError where the folder holds other trials.
    """
    settings = {"calendar": asdict(calendar), "true_dlt": list(true_dlt), "trigger": trigger_without_dlt}
    if true_response:
        settings["true_response"] = list(true_response)
    block = partial(
        _calendar_block,
        rules=dict(rules),
        true_dlt=tuple(true_dlt),
        true_response=tuple(true_response),
        calendar=calendar,
        trigger=trigger_without_dlt,
        seed=seed,
    )
    return _simulate(
        block, rules, settings, trials=trials, seed=seed, folder=folder, jobs=jobs, report=report
    )


def simulate_exposures(
    rules: Mapping[str, Boin12 | PkBoin12],
    truth: ExposureTruth,
    *,
    trials: int = 2000,
    seed: int = 0,
    folder: Path | None = None,
    jobs: int = 1,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> SimulatedTrials:
    """Simulate every rule on the same patients with exposures.

    `rules`: name -> rule. `folder`, `jobs` and `report` are as in `simulate_calendar`. InputError where the
    folder holds other trials.
    """
    block = partial(_exposure_block, rules=dict(rules), truth=truth, seed=seed)
    settings = {"truth": asdict(truth)}
    return _simulate(
        block, rules, settings, trials=trials, seed=seed, folder=folder, jobs=jobs, report=report
    )


# ------------------------------------------------------------------------------------- blocks of trials


def _calendar_block(
    numbers: Sequence[int],
    *,
    rules: Mapping[str, Rule],
    true_dlt: tuple[float, ...],
    true_response: tuple[float, ...],
    calendar: Calendar,
    trigger: float | Sequence[float],
    seed: int,
) -> list[dict[str, Any]]:
    """The rows of the trials with these numbers, in calendar time."""
    rows = []
    for name, rule in rules.items():
        responding = isinstance(rule, Joint)
        trials = calendar_trials(
            rule,
            true_dlt,
            replace(calendar, response_window=calendar.window) if responding else calendar,
            numbers,
            trigger_without_dlt=trigger,
            true_response=true_response if responding else None,
            seed=seed,
        )
        for number, trial in zip(numbers, trials, strict=True):
            row = {"rule": name, "trial": number, "found": trial.mtd, "days": trial.days}
            counts = {"n": trial.patients, "dlts": trial.dlts}
            rows.append(row | columns_by_level(counts))
    return rows


def _exposure_block(
    numbers: Sequence[int],
    *,
    rules: Mapping[str, Boin12 | PkBoin12],
    truth: ExposureTruth,
    seed: int,
) -> list[dict[str, Any]]:
    """The rows of the trials with these numbers, with exposures."""
    rows = []
    for name, rule in rules.items():
        trials = exposure_trials(rule, truth, numbers, seed=seed)
        for number, trial in zip(numbers, trials, strict=True):
            row = {"rule": name, "trial": number, "found": trial.obd}
            counts = {"n": trial.patients, "dlts": trial.dlts, "responses": trial.responses}
            rows.append(row | columns_by_level(counts))
    return rows


def columns_by_level(counts: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """Counts by level as the columns n_1, n_2, ... of a row."""
    columns = {}
    for name, by_level in counts.items():
        for level, count in enumerate(by_level, start=1):
            columns[f"{name}_{level}"] = count
    return columns


def _simulate(
    block: Block,
    rules: Mapping[str, Rule],
    settings: Mapping[str, Any],
    *,
    trials: int,
    seed: int,
    folder: Path | None,
    jobs: int,
    report: Callable[[int, int], None],
) -> SimulatedTrials:
    """Simulate the trials of rules that the folder does not have yet."""
    table = simulate_blocks(
        block,
        {**settings, "rules": {name: repr(rule) for name, rule in rules.items()}},
        trials=trials,
        seed=seed,
        folder=folder,
        jobs=jobs,
        report=report,
        size=BLOCK,
    )
    levels = next(iter(rules.values())).levels
    return SimulatedTrials(table, levels, trials, seed)


def simulate_blocks(
    block: Block,
    settings: Mapping[str, Any],
    *,
    trials: int,
    seed: int,
    folder: Path | None,
    jobs: int,
    report: Callable[[int, int], None],
    size: int,
) -> DataFrame:
    """Simulate the trials that the folder does not have yet, in blocks of `size`: rows by rule and trial.

    `block` gives the rows of the trials with given numbers, `settings` say what they are trials of.
    InputError where the folder holds trials of other settings.
    """
    if trials < 2 or jobs < 1:
        what = f"{trials} trials, {jobs} jobs"
        raise InputError(Problem(what, "simulate at least 2 trials, by at least 1"))
    settings = {**settings, "seed": seed, "cellkinetics": version("cellkinetics")}
    table = DataFrame()
    if folder is not None:
        table = _read_folder(folder, json.loads(json.dumps(settings)))
    done = set(table["trial"]) if len(table) else set()
    left = [number for number in range(trials) if number not in done]
    parts = [left[start : start + size] for start in range(0, len(left), size)]
    for rows in _blocks(block, parts, jobs):
        table = pd.concat([table, DataFrame(rows)], ignore_index=True)
        if folder is not None:
            write_atomic(folder / "trials.csv", table.to_csv(index=False))
        report(int(table["trial"].nunique()), trials)
    table = table[table["trial"] < trials]
    return table.sort_values(["rule", "trial"], kind="stable").reset_index(drop=True)


def _blocks(block: Block, parts: Sequence[Sequence[int]], jobs: int) -> Iterator[list[dict[str, Any]]]:
    """The rows of each part as it is done, here or by `jobs` processes."""
    jobs = min(jobs, len(parts))
    if jobs <= 1:
        yield from map(block, parts)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        tasks = [pool.submit(block, part) for part in parts]
        try:
            for task in as_completed(tasks):
                yield task.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _read_folder(folder: Path, settings: Mapping[str, Any]) -> DataFrame:
    """The trials that a folder has; a new folder gets the settings.

    InputError where the folder holds something else, is damaged, or has trials of other settings.
    """
    settings_file = folder / "settings.json"
    trials_file = folder / "trials.csv"
    if not settings_file.exists():
        if folder.is_dir() and any(folder.iterdir()):
            raise InputError(Problem(f"{folder} holds something else than trials", "choose another folder"))
        write_atomic(settings_file, json.dumps(settings, indent=2) + "\n")
        return DataFrame()
    try:
        earlier = json.loads(settings_file.read_text(encoding="utf-8"))
        table = DataFrame()
        if trials_file.exists():
            table = pd.read_csv(StringIO(trials_file.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise InputError(Problem(f"{folder} is damaged: {error}", "choose another folder")) from error
    different = [key for key in settings if earlier.get(key) != settings[key]]
    if different:
        what = f"{folder} holds trials of another {', '.join(different)}"
        raise InputError(Problem(what, "choose another folder, or say the same again to go on"))
    return table
