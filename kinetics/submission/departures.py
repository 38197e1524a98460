"""Where an analysis departs from its locked plan, found by comparing the lock with the run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from kinetics.inference import Fit
from kinetics.submission.criteria import CriterionOutcome
from kinetics.submission.plan_lock import PlanLock, changes_between, fit_content, present_content

__all__ = ["Deviation", "deviations", "planned_fit_of"]


class Deviation(NamedTuple):
    """One departure from the plan: what it is about, what was planned and what was done.

    >>> kn.submission.Deviation("run demo: seed", "1", "2").done
    '2'
    """

    subject: str
    planned: str
    done: str


def deviations(
    lock: PlanLock, map_file: str | Path, runs: Sequence[Fit], outcomes: Iterable[CriterionOutcome]
) -> list[Deviation]:
    """Every departure of the `runs` from a locked plan; the first of the runs is the primary one.

    Compared are the plan in `map_file` now with the lock, the time of the lock with the times at which the
    runs began, each run's plan, model file and code with those locked, the runs with the models planned, and
    the planned criteria with their `outcomes`, as `criterion_outcomes` gives them: one that was not made is
    a deviation, one that is not met is an outcome.

    >>> fit = kn.load_fit("runs/theophylline")
    >>> try:
    ...     lock = kn.submission.read_lock("nothing/map.toml")
    ...     kn.submission.deviations(lock, "nothing/map.toml", [fit], [])
    ... except kn.errors.PlanError as error:
    ...     print(error.problems[0].what)
    the plan is not locked: no such file
    """
    locked = lock.latest.content
    now = present_content(Path(map_file)) | {"code": locked["code"]}  # what ran is compared below, run by run
    departures = [
        Deviation(
            f"plan changed after the lock: {change.key}",
            change.before or "nothing",
            change.after or "nothing",
        )
        for change in changes_between(locked, now)
    ]
    departures += _late_locks(lock, runs)
    for run in runs:
        departures += _of_run(locked, run)
    done = {planned_fit_of(locked, run) for run in runs}
    departures += [
        Deviation(f"fit {name}", "planned", "no such run is reported")
        for name in locked["fits"]
        if name not in done
    ]
    departures += [
        Deviation(
            f"criterion: {outcome.criterion}", outcome.wanted or "planned", f"not made: {outcome.where}"
        )
        for outcome in outcomes
        if outcome.outcome == "not made"
    ]
    return departures


def planned_fit_of(locked: Mapping[str, Any], run: Fit) -> str:
    """The name of the planned fit that a run is of, by name or else by model and data; "" where none is."""
    fits = locked["fits"]
    if run.name in fits:
        return run.name
    content = fit_content(run.bound.plan)
    for name, planned in fits.items():
        if (planned["model"], planned["data"]) == (content["model"], content["data"]):
            return name
    return ""


def _late_locks(lock: PlanLock, runs: Sequence[Fit]) -> Iterator[Deviation]:
    """Versions of the plan that are younger than the beginning of a run."""
    for run in runs:
        began = run.provenance.get("started")
        if began is None:
            yield Deviation(f"run {run.name}: time", "recorded", "the run does not say when it began")
            continue
        for version in lock.versions:
            if datetime.fromisoformat(version.locked) <= datetime.fromisoformat(str(began)):
                continue
            if version.number == 0:
                yield Deviation("time of the lock", f"before run {run.name} ({began})", version.locked)
                continue
            changed = "; ".join(map(str, lock.changes_of(version.number)))
            yield Deviation(
                f"amendment {version.number}",
                f"before run {run.name} ({began})",
                f"{version.locked}: {changed} (reason: {version.reason})",
            )


def _of_run(locked: Mapping[str, Any], run: Fit) -> Iterator[Deviation]:
    """Where a run departs from the fit plan, the model file and the code that were locked."""
    name = planned_fit_of(locked, run)
    if not name:
        yield Deviation(f"run {run.name}", "no such fit", f"model {run.model.name}, data {run.study.name}")
        return
    for change in changes_between(locked["fits"][name], fit_content(run.bound.plan)):
        yield Deviation(
            f"run {run.name}: {change.key}", change.before or "nothing", change.after or "nothing"
        )
    model = Path(run.bound.plan.model).stem
    ran = run.provenance["model"].get("file_sha256", "")
    if model in locked["models"] and ran != locked["models"][model]:
        yield Deviation(f"run {run.name}: file of model {model}", locked["models"][model][:12], ran[:12])
    code = run.provenance.get("code", {}).get("sha256", "")
    if code != locked["code"]:
        yield Deviation(f"run {run.name}: source of this package", locked["code"][:12], code[:12])
