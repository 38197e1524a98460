"""What has been tried of one task, and who may try it now: a folder with a lock, its attempts, and its
result.

tasks/NAME/lock            held by the process that works on it; the kernel lets it go with the process
           attempts.json   every attempt: when, where, how it ended and what was said
           attempt-N.log   the command, the environment, and what was printed
           result.json     what the command's --json prints: here the task is finished

An attempt that fails or whose process dies counts; one that was told to stop (requeue, preemption, time
limit) does not, unless several in a row came to no new checkpoint.
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
    """The attempts of the task in a folder; written only by who has claimed it."""

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
        return (self.folder / "result.json").exists()

    @property
    def open(self) -> dict[str, Any] | None:
        """The attempt under way, or whose process died before it could say so."""
        return self.all[-1] if self.all and "outcome" not in self.all[-1] else None

    @property
    def failures(self) -> int:
        """Failed and killed attempts since the last `retry`."""
        return sum(a.get("outcome") in _COUNTED for a in self.all) - self.forgiven

    @property
    def last(self) -> dict[str, Any]:
        return self.all[-1] if self.all else {}

    def state(self, retries: int) -> State:
        if self.finished:
            return "finished"
        if self.open is not None:
            return "running" if _busy(self.folder / "lock") else "lost"
        if self.failures > retries:
            return "failed"
        return "stopped" if self.last.get("outcome") == "stopped" else "waiting"

    def begin(self, facts: Mapping[str, Any]) -> int:
        """A new attempt; returns its number."""
        self.all.append({"number": len(self.all) + 1, "started": _now(), **facts})
        self._write()
        return len(self.all)

    def end(self, outcome: str, *, message: str = "", progress: int | None = None) -> None:
        """The attempt under way ended: finished, failed, stopped or killed."""
        if outcome == "stopped" and self._idle(progress):
            outcome = "failed"
            message = (
                f"stopped {_IDLE_STOPS} times without a new checkpoint; give it more time ([slurm] time)"
            )
        self.all[-1] |= {"ended": _now(), "outcome": outcome, "message": message, "progress": progress}
        self._write()

    def forgive(self) -> None:
        """Count no failure there was."""
        self.forgiven += self.failures
        self._write()

    def _idle(self, progress: int | None) -> bool:
        stops = self.all[-_IDLE_STOPS:-1]
        return len(stops) == _IDLE_STOPS - 1 and all(
            a.get("outcome") == "stopped" and a.get("progress") == progress for a in stops
        )

    def _write(self) -> None:
        content = {"forgiven": self.forgiven, "attempts": self.all}
        write_atomic(self.folder / "attempts.json", json.dumps(content, indent=1) + "\n")


@contextmanager
def claimed(folder: Path) -> Iterator[Attempts | None]:
    """The attempts of a task for as long as nobody else works on it; None where somebody does."""
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


def _busy(lock: Path) -> bool:
    """Whether a process holds it."""
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
