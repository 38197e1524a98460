"""A model analysis plan under lock: what it said, when, and every change since as a numbered amendment.

MAP.lock.json beside MAP.toml is a list of versions. Version 0 is what was locked, each later one an
amendment with its reason. A version holds what the plan and the fit plans that it names said, the hashes of
the model files and of this package, and the time by the clock of the machine. Each carries a hash of itself
and of the version before, so that an entry edited by hand is refused. Locking reads no data.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kinetics.content import code_sha256
from kinetics.errors import PlanError, Problem
from kinetics.files import not_readable, write_atomic
from kinetics.model import model_file
from kinetics.plan import FitPlan
from kinetics.submission.analysis_plan import fit_plan_of, plain_content, read_analysis_plan

__all__ = [
    "Change",
    "LockedVersion",
    "PlanLock",
    "changes_between",
    "fit_content",
    "lock_file",
    "lock_plan",
    "present_content",
    "read_lock",
]


@dataclass(frozen=True)
class Change:
    """One key whose value changed, with the values before and after; "" where there was none.

    >>> str(kn.submission.Change("seed", "1", "2"))
    'seed: 1 -> 2'
    """

    key: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.key}: {self.before or 'nothing'} -> {self.after or 'nothing'}"


@dataclass(frozen=True)
class LockedVersion:
    """A plan as it was locked or amended.

    number: 0 of the lock, then that of the amendment. locked: time, UTC, ISO 8601. reason: why it was
    amended. content: what the plan and its fit plans said. sha256: hash of all that and of the version
    before.

    >>> version = kn.submission.LockedVersion(0, "2025-01-01T00:00:00+00:00", "", {"map": {}}, "ab")
    >>> version.number, version.as_dict()["locked"]
    (0, '2025-01-01T00:00:00+00:00')
    """

    number: int
    locked: str
    reason: str
    content: Mapping[str, Any]
    sha256: str

    def as_dict(self) -> dict[str, Any]:
        """The version as plain values."""
        return {
            "number": self.number,
            "locked": self.locked,
            "reason": self.reason,
            "content": dict(self.content),
            "sha256": self.sha256,
        }


@dataclass(frozen=True)
class PlanLock:
    """The versions of a locked plan, the first one first.

    >>> first = kn.submission.LockedVersion(0, "2025-01-01T00:00:00+00:00", "", {"seed": 1}, "ab")
    >>> second = kn.submission.LockedVersion(1, "2025-02-01T00:00:00+00:00", "a slip", {"seed": 2}, "cd")
    >>> lock = kn.submission.PlanLock((first, second))
    >>> lock.latest.reason, [str(change) for change in lock.changes_of(1)]
    ('a slip', ['seed: 1 -> 2'])
    """

    versions: tuple[LockedVersion, ...]

    @property
    def latest(self) -> LockedVersion:
        """The version in force."""
        return self.versions[-1]

    def changes_of(self, number: int) -> list[Change]:
        """What amendment `number` changed."""
        return changes_between(self.versions[number - 1].content, self.versions[number].content)


def lock_file(map_file: str | Path) -> Path:
    """The path of the lock of a plan.

    >>> kn.submission.lock_file("study/map.toml").name
    'map.lock.json'
    """
    return Path(map_file).with_suffix(".lock.json")


def lock_plan(map_file: str | Path, *, reason: str | None = None) -> PlanLock:
    """Lock a plan, or amend a locked one for a `reason`, and write the lock beside it.

    PlanError where a locked plan has changed and no reason is given (every change is named), where nothing
    has changed, and where a reason is given for a plan that was never locked.

    >>> try:
    ...     kn.submission.lock_plan("nothing/map.toml")
    ... except kn.errors.PlanError as error:
    ...     print(error.problems[0].what)
    no such file
    """
    path = Path(map_file)
    content = present_content(path)
    file = lock_file(path)
    versions: tuple[LockedVersion, ...] = ()
    if file.exists():
        versions = read_lock(path).versions
    problem = _refusal(path, versions, content, reason)
    if problem is not None:
        raise PlanError(problem)
    locked = datetime.now(UTC).isoformat(timespec="seconds")
    before = versions[-1].sha256 if versions else ""
    number = len(versions)
    sha256 = _sha256(number, locked, reason or "", content, before)
    lock = PlanLock((*versions, LockedVersion(number, locked, reason or "", content, sha256)))
    text = json.dumps({"versions": [version.as_dict() for version in lock.versions]}, indent=2)
    write_atomic(file, text + "\n")
    return lock


def _refusal(
    path: Path, versions: tuple[LockedVersion, ...], content: Mapping[str, Any], reason: str | None
) -> Problem | None:
    """Why a plan is not locked now; None where it is."""
    if reason is not None and not reason.strip():
        return Problem("an amendment without a reason", "say why with --amend", file=str(path))
    if not versions:
        if reason is not None:
            return Problem("the plan was never locked", "lock it first, without --amend", file=str(path))
        return None
    changes = changes_between(versions[-1].content, content)
    if not changes:
        return Problem(
            f"nothing has changed since version {versions[-1].number} was locked",
            f"nothing is to be done; locked {versions[-1].locked}",
            file=str(path),
        )
    if reason is None:
        listed = "; ".join(map(str, changes))
        what = f"the locked plan has changed: {listed}"
        return Problem(what, "amend it with --amend 'REASON', or put it back", file=str(path))
    return None


def read_lock(map_file: str | Path) -> PlanLock:
    """The lock of a plan; PlanError where it is missing, damaged, or edited by hand.

    >>> try:
    ...     kn.submission.read_lock("nothing/map.toml")
    ... except kn.errors.PlanError as error:
    ...     print(error.problems[0].what)
    the plan is not locked: no such file
    """
    file = lock_file(map_file)
    fault = not_readable(file)
    if fault:
        remedy = f"lock it with `kinetics map lock {map_file}` before the data are read"
        raise PlanError(Problem(f"the plan is not locked: {fault}", remedy, file=str(file)))
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))["versions"]
        versions = tuple(LockedVersion(**entry) for entry in entries)
        if not versions:
            raise ValueError("no version")
    except (ValueError, KeyError, TypeError) as error:
        raise PlanError(Problem(f"no lock of a plan: {error}", "restore the file", file=str(file))) from error
    before = ""
    for place, version in enumerate(versions):
        sha256 = _sha256(version.number, version.locked, version.reason, version.content, before)
        if version.number != place or version.sha256 != sha256:
            what = f"version {place} is not what was locked: its hash does not fit its content"
            raise PlanError(Problem(what, "restore the file; a change is an amendment", file=str(file)))
        before = version.sha256
    return PlanLock(versions)


def present_content(map_file: Path) -> dict[str, Any]:
    """What a plan, its fit plans and its models say now, as a lock holds it."""
    plan = read_analysis_plan(map_file)
    fits = {}
    models = {}
    for model in plan.models:
        fit_plan = fit_plan_of(map_file, model)
        fits[fit_plan.name] = fit_content(fit_plan)
        models[Path(fit_plan.model).stem] = model_file(fit_plan.model).sha256
    return {
        "map": plain_content(plan),
        "fits": fits,
        "models": models,
        "code": code_sha256(),
    }


def fit_content(fit_plan: FitPlan) -> dict[str, Any]:
    """What a fit plan says, with the names of its model and data in place of their paths."""
    names = {"model": Path(fit_plan.model).stem, "data": Path(fit_plan.data).name}
    return fit_plan.resolved() | {"method": fit_plan.method} | names


def _sha256(number: int, locked: str, reason: str, content: Mapping[str, Any], before: str) -> str:
    """The hash of a version and of the one before it."""
    values = [number, locked, reason, content, before]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def changes_between(before: Any, after: Any, key: str = "") -> list[Change]:
    """The keys at which two nested values differ, in order; entries of a list are compared as wholes.

    >>> from kinetics.submission.plan_lock import changes_between
    >>> changes = changes_between({"a": {"b": 1}, "c": [1, 2]}, {"a": {"b": 2}, "c": [1]})
    >>> [str(change) for change in changes]
    ['a.b: 1 -> 2', 'c: 2 -> nothing']
    """
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        changes = []
        for name in dict.fromkeys([*before, *after]):
            inner = f"{key}.{name}" if key else str(name)
            changes += changes_between(before.get(name, _ABSENT), after.get(name, _ABSENT), inner)
        return changes
    if isinstance(before, list) and isinstance(after, list):
        gone = [entry for entry in before if entry not in after]
        new = [entry for entry in after if entry not in before]
        if not gone and not new:
            return [] if before == after else [Change(key, _text(before), _text(after))]
        pairs = max(len(gone), len(new))
        gone += [_ABSENT] * (pairs - len(gone))
        new += [_ABSENT] * (pairs - len(new))
        return [Change(key, _text(old), _text(fresh)) for old, fresh in zip(gone, new, strict=True)]
    return [] if before == after else [Change(key, _text(before), _text(after))]


_ABSENT: Any = object()


def _text(value: Any) -> str:
    """A value as text: a word as it is, anything else as JSON, "" where there is none."""
    if value is _ABSENT:
        return ""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
