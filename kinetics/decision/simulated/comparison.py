"""Designs compared on the same simulated patients: many trials, resumable, and what each design did.

Trial i is a function of the seed, the truth and i alone. Under `shipped` truths trial i stands for one trial
of each scenario and one of random truth i.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
from pandas import DataFrame

from kinetics.decision.simulated.designs import DESIGNS, Outcome, Setting
from kinetics.decision.simulated.patients import MOST, patients_of
from kinetics.decision.simulated.truths import Truth, random_truth, scenarios
from kinetics.decision.trials_simulated import columns_by_level, simulate_blocks

__all__ = ["MEAN_S", "RANDOM", "SHIPPED", "ComparedDesigns", "compare_designs", "measured"]

BLOCK = 25  # trials between two writes: the joint rule takes a tenth of a second each
SHIPPED = "shipped"
RANDOM = "R"  # the name of the random truths
MEAN_S = "mean S"  # the name of the scenarios together, each with the same weight


@dataclass(frozen=True, eq=False)
class ComparedDesigns:
    """Simulated trials of several designs on the same patients.

    `table` has one row per truth, design and trial: rule, truth, trial, found and best (levels, 0: none),
    right, lost [points of utility], over (1 where the level selected is above the limit), n_above and
    dlts_above (patients and DLTs above the limit), n_1 ..., dlts_1 ....
    """

    table: DataFrame
    designs: tuple[str, ...]
    levels: int
    trials: int
    seed: int

    @property
    def truths(self) -> list[str]:
        """The names of the truths, with `MEAN_S` after the scenarios where there are any."""
        names = list(dict.fromkeys(self.table["truth"]))
        scenarios = [name for name in names if name != RANDOM]
        return [*scenarios, MEAN_S, RANDOM] if RANDOM in names else names

    def of(self, rule: str, truth: str) -> dict[str, Any]:
        """A design's characteristics under a truth: shares and means, the errors standard errors of them."""
        trials = self._trials(rule, truth)
        groups = [group for _, group in trials.groupby("truth", sort=False)]
        answer: dict[str, Any] = {"trials": len(trials)}
        for name in ("right", "lost", "over"):
            answer[name], answer[f"{name}_error"] = _mean([group[name].to_numpy(float) for group in groups])
        chosen = [
            _mean([(group["found"] == level).to_numpy(float) for group in groups])
            for level in range(self.levels + 1)
        ]
        answer["p_found"] = [p for p, _ in chosen]
        answer["p_found_error"] = [error for _, error in chosen]
        for name, shown in (("n", "patients_by_level"), ("dlts", "dlts_by_level")):
            answer[shown] = [float(trials[f"{name}_{i}"].mean()) for i in range(1, self.levels + 1)]
        answer["expected_n"] = sum(answer["patients_by_level"])
        answer["max_n"] = int(trials[[f"n_{i}" for i in range(1, self.levels + 1)]].sum(axis=1).max())
        answer["expected_dlt"] = sum(answer["dlts_by_level"])
        answer["patients_above"] = float(trials["n_above"].mean())
        answer["dlts_above"] = float(trials["dlts_above"].mean())
        return answer

    def gain(self, rule: str, other: str, truth: str) -> tuple[float, float]:
        """By how much `rule` is right more often than `other` on the same patients; the standard error."""
        right = [self._trials(name, truth).set_index(["truth", "trial"])["right"] for name in (rule, other)]
        difference = (right[0] - right[1]).astype(float)
        return _mean([group.to_numpy() for _, group in difference.groupby(level="truth", sort=False)])

    def _trials(self, rule: str, truth: str) -> DataFrame:
        """The trials of a design under a truth; those of every scenario for `MEAN_S`."""
        own = self.table[self.table["rule"] == rule]
        return own[own["truth"] != RANDOM] if truth == MEAN_S else own[own["truth"] == truth]


def compare_designs(
    setting: Setting,
    truth: Truth | None = None,
    *,
    trials: int = 500,
    seed: int = 0,
    folder: Path | None = None,
    jobs: int = 1,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> ComparedDesigns:
    """Simulate every design on the same patients, under a truth, or under the shipped ones.

    The shipped truths are the scenarios and as many random truths as there are `trials`. PKBOIN-12 is left
    out where the truth has no exposures. `folder`, `jobs` and `report` are as in `simulate_calendar`.
    InputError where the folder holds other trials.
    """
    designs = [name for name in DESIGNS if name != "pkboin12" or truth is None or truth.log_exposure]
    table = simulate_blocks(
        partial(_block, designs=designs, setting=setting, truth=truth, seed=seed),
        {"truth": SHIPPED if truth is None else repr(truth), "designs": designs, "setting": repr(setting)},
        trials=trials,
        seed=seed,
        folder=folder,
        jobs=jobs,
        report=report,
        size=BLOCK,
    )
    return ComparedDesigns(table, tuple(designs), setting.joint.levels, trials, seed)


def measured(truth: Truth, outcome: Outcome) -> dict[str, Any]:
    """How well one trial went: best, right, lost [points of utility], over, n_above, dlts_above."""
    above = [p > truth.limit for p in truth.dlt]
    return {
        "best": truth.best,
        "right": int(outcome.level == truth.best),
        "lost": round(truth.lost(outcome.level), 4),
        "over": int(outcome.level > 0 and above[outcome.level - 1]),
        "n_above": sum(n for n, is_above in zip(outcome.patients, above, strict=True) if is_above),
        "dlts_above": sum(n for n, is_above in zip(outcome.dlts, above, strict=True) if is_above),
    }


def _block(
    numbers: Sequence[int], *, designs: Sequence[str], setting: Setting, truth: Truth | None, seed: int
) -> list[dict[str, Any]]:
    """The rows of the trials with these numbers."""
    rows = []
    most = max(MOST, 2 * setting.joint.most)
    for number in numbers:
        for name, case in _truths(setting, truth, number, seed).items():
            patients = patients_of(case, number, seed, most)
            for rule in designs:
                outcome = DESIGNS[rule](patients, setting)
                row = {"rule": rule, "truth": name, "trial": number, "found": outcome.level}
                counts = {"n": outcome.patients, "dlts": outcome.dlts}
                rows.append(row | measured(case, outcome) | columns_by_level(counts))
    return rows


def _truths(setting: Setting, truth: Truth | None, number: int, seed: int) -> Mapping[str, Truth]:
    """The truths of trial `number`, by the names under which they are summed up."""
    if truth is not None:
        return {truth.name: truth}
    rule = setting.joint
    fixed = {case.name: case for case in scenarios(rule.doses, rule.limit, rule.utilities)}
    return fixed | {RANDOM: random_truth(number, seed, rule.doses, rule.limit, rule.utilities)}


def _mean(groups: Sequence[np.ndarray]) -> tuple[float, float]:
    """The mean over groups of equal weight and its standard error."""
    means = [values.mean() for values in groups]
    squared = [values.var(ddof=1) / len(values) for values in groups]
    return float(np.mean(means)), sqrt(sum(squared)) / len(groups)
