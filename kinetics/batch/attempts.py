"""The attempts at one task, and who may try it now: a folder with a lock, the attempts and the result.

tasks/NAME/lock            held by the process that works on the task; the kernel frees it with the process
           attempts.json   every attempt: when, where, how it ended and with which message
           attempt-N.log   the command, the environment, and what was printed
           result.json     what the command's --json prints; where it exists the task is finished

An attempt that fails, or whose process dies, counts as a failure. One that was told to stop (requeue,
preemption, time limit) does not, unless several in a row reached no new checkpoint.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from kinetics.errors import BatchError
from kinetics.files import write_atomic

__all__ = ["Attempts", "State", "claimed"]

State = Literal["waiting", "running", "stopped", "lost", "failed", "finished"]
_COUNTED = ("failed", "killed")
_IDLE_STOPS = 3  # stops in a row without a new checkpoint, after which a stop counts as a failure


class Attempts:
    """The attempts at the task of a folder. Only the process that has claimed the task writes them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            content = json.loads((folder / "attempts.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            content = {}
        except ValueError as error:
            raise BatchError(f"{folder / 'attempts.json'} is damaged ({error}); remove it") from error
        self.all: list[dict[str, Any]] = content.get("attempts", [])
        self.forgiven = int(content.get("forgiven", 0))

    @property
    def finished(self) -> bool:
        """Whether the task has a result."""
        return (self.folder / "result.json").exists()

    @property
    def open(self) -> dict[str, Any] | None:
        """The attempt under way, or one whose process died before it could record its end; else None."""
        if self.all and "outcome" not in self.all[-1]:
            return self.all[-1]
        return None

    @property
    def failures(self) -> int:
        """Failed and killed attempts since the last `retry`."""
        return sum(attempt.get("outcome") in _COUNTED for attempt in self.all) - self.forgiven

    @property
    def last(self) -> dict[str, Any]:
        """The last attempt; empty where there is none."""
        return self.all[-1] if self.all else {}

    def state(self, retries: int) -> State:
        """The state of the task, which is tried once and `retries` times again."""
        if self.finished:
            return "finished"
        if self.open is not None:
            return "running" if _is_locked(self.folder / "lock") else "lost"
        if self.failures > retries:
            return "failed"
        return "stopped" if self.last.get("outcome") == "stopped" else "waiting"

    def begin(self, facts: Mapping[str, Any]) -> int:
        """Record a new attempt and return its number."""
        self.all.append({"number": len(self.all) + 1, "started": _now(), **facts})
        self._write()
        return len(self.all)

    def end(self, outcome: str, *, message: str = "", progress: int | None = None) -> None:
        """Record how the attempt under way ended: finished, failed, stopped or killed."""
        if outcome == "stopped" and self._is_idle(progress):
            outcome = "failed"
            message = (
                f"stopped {_IDLE_STOPS} times without a new checkpoint; give it more time ([slurm] time)"
            )
        self.all[-1] |= {"ended": _now(), "outcome": outcome, "message": message, "progress": progress}
        self._write()

    def forgive(self) -> None:
        """Count none of the failures so far."""
        self.forgiven += self.failures
        self._write()

    def _is_idle(self, progress: int | None) -> bool:
        """Whether the attempts before this one stopped too, with the same checkpoint."""
        former = self.all[-_IDLE_STOPS:-1]
        return len(former) == _IDLE_STOPS - 1 and all(
            attempt.get("outcome") == "stopped" and attempt.get("progress") == progress for attempt in former
        )

    def _write(self) -> None:
        content = {"forgiven": self.forgiven, "attempts": self.all}
        write_atomic(self.folder / "attempts.json", json.dumps(content, indent=1) + "\n")


@contextmanager
def claimed(folder: Path) -> Iterator[Attempts | None]:
    """The attempts at a task, which nobody else works on meanwhile; None where somebody already does."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        yield Attempts(folder)
    finally:
        os.close(handle)


def _is_locked(lock: Path) -> bool:
    """Whether a process holds the lock."""
    try:
        handle = os.open(lock, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
