"""Trials simulated one by one, in calendar time or with exposures: side by side, resumable, and what they add
up to.

Trial i is a function of the seed and i alone. So any number of processes gives the same trials, a folder goes
on where it was stopped, and every rule meets the same patients (common random numbers). A folder holds
`settings.json` and `trials.csv`, one row a rule and trial, rewritten whole after each block. What can be
enumerated is not simulated here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
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
    PkBoin12,
    Rule,
    calendar_trials,
    exposure_trials,
)
from kinetics.files import write_atomic

__all__ = ["MONTH", "SimulatedTrials", "simulate_calendar", "simulate_exposures"]

BLOCK = 250  # trials between two writes
MONTH = 30.4375  # days
Block = Callable[[Sequence[int]], list[dict[str, Any]]]


@dataclass(frozen=True, eq=False)
class SimulatedTrials:
    """One row a rule and trial: rule, trial, found (0: none), n_1 ..., dlts_1 ..., and responses_1 ... or
    days.
    """

    table: DataFrame
    levels: int
    trials: int
    seed: int

    def of(self, rule: str) -> dict[str, Any]:
        """A rule's characteristics; errors are the simulation's standard errors."""
        own = self.table[self.table["rule"] == rule].sort_values("trial")
        found = np.bincount(own["found"].to_numpy(int), minlength=self.levels + 1) / self.trials
        total = own[[f"n_{i}" for i in range(1, self.levels + 1)]].sum(axis=1)
        known = {
            "p_found": found.tolist(),
            "p_found_error": [sqrt(p * (1 - p) / self.trials) for p in found],
            "expected_n": float(total.mean()),
            "max_n": int(total.max()),
            "patients_by_level": self._by_level(own, "n"),
            "dlts_by_level": self._by_level(own, "dlts"),
        }
        known["expected_dlt"] = sum(known["dlts_by_level"])
        if "responses_1" in own:
            known["responses_by_level"] = self._by_level(own, "responses")
        if "days" in own:
            days = own["days"].to_numpy(float)
            known |= {
                "expected_days": float(days.mean()),
                "days_error": float(days.std(ddof=1) / sqrt(len(days))),
            }
            known["days_quantiles"] = np.quantile(days, [0.05, 0.5, 0.95]).tolist()
        return known

    def saved(self, rule: str, other: str) -> tuple[float, float]:
        """Days by which `rule` ends before `other` with the same patients, on average, and the standard
        error.
        """
        days = [self.table[self.table["rule"] == r].set_index("trial")["days"] for r in (other, rule)]
        apart = (days[0] - days[1]).to_numpy(float)
        return float(apart.mean()), float(apart.std(ddof=1) / sqrt(len(apart)))

    def _by_level(self, own: DataFrame, name: str) -> list[float]:
        return [float(own[f"{name}_{i}"].mean()) for i in range(1, self.levels + 1)]


def simulate_calendar(
    rules: Mapping[str, Rule],
    true_dlt: Sequence[float],
    calendar: Calendar,
    *,
    trigger_without_dlt: float | Sequence[float] = 0.0,
    trials: int = 2000,
    seed: int = 0,
    folder: Path | None = None,
    jobs: int = 1,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> SimulatedTrials:
    """Every rule in calendar time, on the same patients. InputError where the folder holds other trials."""
    facts = {"calendar": asdict(calendar), "true_dlt": list(true_dlt), "trigger": trigger_without_dlt}
    block = partial(_calendar_block, dict(rules), tuple(true_dlt), calendar, trigger_without_dlt, seed)
    return _simulated(block, rules, facts, trials, seed, folder, jobs, report)


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
    """Every rule on the same patients with exposures. InputError where the folder holds other trials."""
    block = partial(_exposure_block, dict(rules), truth, seed)
    return _simulated(block, rules, {"truth": asdict(truth)}, trials, seed, folder, jobs, report)


# ------------------------------------------------------------------------------------- blocks of trials


def _calendar_block(
    rules: Mapping[str, Rule],
    true_dlt: tuple[float, ...],
    calendar: Calendar,
    trigger: float | Sequence[float],
    seed: int,
    which: Sequence[int],
) -> list[dict[str, Any]]:
    rows = []
    for name, rule in rules.items():
        done = calendar_trials(rule, true_dlt, calendar, which, trigger_without_dlt=trigger, seed=seed)
        for trial, t in zip(which, done, strict=True):
            counts = {"n": t.patients, "dlts": t.dlts}
            rows.append({"rule": name, "trial": trial, "found": t.mtd, "days": t.days} | _columns(counts))
    return rows


def _exposure_block(
    rules: Mapping[str, Boin12 | PkBoin12], truth: ExposureTruth, seed: int, which: Sequence[int]
) -> list[dict[str, Any]]:
    rows = []
    for name, rule in rules.items():
        for trial, t in zip(which, exposure_trials(rule, truth, which, seed=seed), strict=True):
            counts = {"n": t.patients, "dlts": t.dlts, "responses": t.responses}
            rows.append({"rule": name, "trial": trial, "found": t.obd} | _columns(counts))
    return rows


def _columns(counts: Mapping[str, Sequence[int]]) -> dict[str, int]:
    return {f"{name}_{i}": n for name, each in counts.items() for i, n in enumerate(each, start=1)}


def _simulated(
    block: Block,
    rules: Mapping[str, Rule],
    facts: Mapping[str, Any],
    trials: int,
    seed: int,
    folder: Path | None,
    jobs: int,
    report: Callable[[int, int], None],
) -> SimulatedTrials:
    if trials < 2 or jobs < 1:
        raise InputError(
            Problem(f"{trials} trials, {jobs} jobs", "simulate at least 2 trials, by at least 1")
        )
    told = {name: repr(rule) for name, rule in rules.items()}
    facts = {**facts, "rules": told, "seed": seed, "cellkinetics": version("cellkinetics")}
    table = DataFrame() if folder is None else _read(folder, json.loads(json.dumps(facts)))
    done = set(table["trial"]) if len(table) else set()
    left = [i for i in range(trials) if i not in done]
    for rows in _blocks(block, [left[i : i + BLOCK] for i in range(0, len(left), BLOCK)], jobs):
        table = pd.concat([table, DataFrame(rows)], ignore_index=True)
        if folder is not None:
            write_atomic(folder / "trials.csv", table.to_csv(index=False))
        report(int(table["trial"].nunique()), trials)
    kept = table[table["trial"] < trials].sort_values(["rule", "trial"]).reset_index(drop=True)
    return SimulatedTrials(kept, next(iter(rules.values())).levels, trials, seed)


def _blocks(block: Block, parts: Sequence[Sequence[int]], jobs: int) -> Iterator[list[dict[str, Any]]]:
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


def _read(folder: Path, facts: Mapping[str, Any]) -> DataFrame:
    """The trials that a folder has; its settings are written where it is new."""
    file = folder / "settings.json"
    rows = folder / "trials.csv"
    if not file.exists():
        if folder.is_dir() and any(folder.iterdir()):
            raise InputError(Problem(f"{folder} holds something else than trials", "choose another folder"))
        write_atomic(file, json.dumps(facts, indent=2) + "\n")
        return DataFrame()
    try:
        then = json.loads(file.read_text(encoding="utf-8"))
        table = pd.read_csv(StringIO(rows.read_text(encoding="utf-8"))) if rows.exists() else DataFrame()
    except (OSError, ValueError) as error:
        raise InputError(Problem(f"{folder} is damaged: {error}", "choose another folder")) from error
    if other := [k for k in facts if then.get(k) != facts[k]]:
        what = f"{folder} holds trials of another {', '.join(other)}"
        raise InputError(Problem(what, "choose another folder, or say the same again to go on"))
    return table
