"""What a command prints: a result as text or as one JSON object, and the progress of a fit."""

from __future__ import annotations

import json
import sys
from threading import Event, Thread
from time import perf_counter
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from kinetics.printing import plain

if TYPE_CHECKING:
    from kinetics.inference import Chunk

__all__ = ["FitProgress", "print_result"]


def print_result(result: dict[str, Any], text: str, as_json: bool) -> None:
    """Print `text`, or with `as_json` the `result` as one JSON object."""
    print(json.dumps(plain(result), default=str) if as_json else text)


class FitProgress:
    """The progress of a fit on stderr: a bar with the time left on a terminal, elsewhere one line per chunk.

    Call it with every `Chunk`. `lines` keeps every line, for the log of the run. Without a terminal, a line
    says every `heartbeat` seconds what is under way if nothing else was printed; it is not kept.
    """

    def __init__(self, heartbeat: float = 10.0) -> None:
        self.lines: list[str] = []
        self._stage = "compiling the equations and looking for a start (minutes the first time, then cached)"
        self._heartbeat = heartbeat
        self._printed = perf_counter()
        self._closed = Event()
        self._began = perf_counter()
        self._last = self._began
        self._done = 0
        self._divergences = 0
        self._bar: Progress | None = None
        if sys.stderr.isatty():
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.completed}/{task.total}"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(elapsed_when_finished=True),
                console=Console(stderr=True),
            )
            self._task = self._bar.add_task("compiling (minutes the first time)", total=None)
            self._bar.start()
        else:
            Thread(target=self._beat, daemon=True).start()

    def _beat(self) -> None:
        """Print what is under way whenever nothing was printed for a heartbeat, until the fit is closed."""
        while not self._closed.wait(self._heartbeat / 10):
            now = perf_counter()
            if now - self._printed >= self._heartbeat:
                self._print(f"{self._stage}: {now - self._began:.0f} s")

    def _print(self, line: str) -> None:
        self._printed = perf_counter()
        print(line, file=sys.stderr, flush=True)

    def say(self, line: str) -> None:
        """Print a line on stderr and keep it for the log."""
        self.lines.append(line)
        self._print(line)

    def __call__(self, chunk: Chunk) -> None:
        """Show a chunk of draws."""
        if not chunk.warmup:
            self._divergences += chunk.divergences
        phase = "warm-up" if chunk.warmup else "sampling"
        now = perf_counter()
        line = (
            f"{phase} {chunk.done}/{chunk.total}  {now - self._began:.0f} s, {self._left(chunk, now)}  "
            f"{chunk.mean_steps:.0f} gradients a draw, {self._divergences} divergences"
        )
        self._last = now
        self._done = chunk.done
        self._stage = f"{phase}, after {chunk.done}/{chunk.total}"
        self.lines.append(line)
        if self._bar is None:
            self._print(line)
        else:
            description = f"{phase}, {chunk.mean_steps:.0f} gradients a draw, {self._divergences} divergences"
            self._bar.update(self._task, completed=chunk.done, total=chunk.total, description=description)

    def _left(self, chunk: Chunk, now: float) -> str:
        """The time left at the pace of the last chunk. The first chunk compiled, so it has no pace."""
        if self._done == 0:
            return "compiled"
        pace = (now - self._last) / (chunk.done - self._done)
        return f"about {pace * (chunk.total - chunk.done):.0f} s left"

    def close(self) -> None:
        """Stop the bar, or the lines."""
        self._closed.set()
        if self._bar is not None:
            self._bar.stop()
