"""What a command prints: a result as text or as one JSON object, and the progress of a fit."""

from __future__ import annotations

import json
import sys
from time import perf_counter
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from kinetics.inference import Chunk
from kinetics.printing import plain

__all__ = ["FitProgress", "print_result"]


def print_result(result: dict[str, Any], text: str, as_json: bool) -> None:
    """Print `text`, or with `as_json` the `result` as one JSON object."""
    print(json.dumps(plain(result), default=str) if as_json else text)


class FitProgress:
    """The progress of a fit on stderr: a bar with the time left on a terminal, elsewhere one line per chunk.

    Call it with every `Chunk`. `lines` keeps every line, for the log of the run.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
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
            self._task = self._bar.add_task("compiling", total=None)
            self._bar.start()

    def say(self, line: str) -> None:
        """Print a line on stderr and keep it for the log."""
        self.lines.append(line)
        print(line, file=sys.stderr, flush=True)

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
        self.lines.append(line)
        if self._bar is None:
            print(line, file=sys.stderr, flush=True)
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
        """Stop the bar."""
        if self._bar is not None:
            self._bar.stop()
