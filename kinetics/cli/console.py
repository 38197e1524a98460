"""What a command prints: text, or one JSON object."""

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
    """Call it with every `Chunk`; `lines` keeps what was said, for the run's log."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._clock = self._last = perf_counter()
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
        """A line for the log and stderr."""
        self.lines.append(line)
        print(line, file=sys.stderr, flush=True)

    def __call__(self, chunk: Chunk) -> None:
        self._divergences += 0 if chunk.warmup else chunk.divergences
        phase = "warm-up" if chunk.warmup else "sampling"
        now = perf_counter()
        line = (
            f"{phase} {chunk.done}/{chunk.total}  {now - self._clock:.0f} s, {self._left(chunk, now)}  "
            f"{chunk.mean_steps:.0f} gradients a draw, {self._divergences} divergences"
        )
        self._last = now
        self._done = chunk.done
        self.lines.append(line)
        if self._bar is None:
            print(line, file=sys.stderr, flush=True)
        else:
            what = f"{phase}, {chunk.mean_steps:.0f} gradients a draw, {self._divergences} divergences"
            self._bar.update(self._task, completed=chunk.done, total=chunk.total, description=what)

    def _left(self, chunk: Chunk, now: float) -> str:
        """The time left at the pace of the last chunk; the first one compiled, so it tells nothing."""
        if self._done == 0:
            return "compiled"
        pace = (now - self._last) / (chunk.done - self._done)
        return f"about {pace * (chunk.total - chunk.done):.0f} s left"

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()


# # MERGED progress: """Progress of a fit: a bar with an ETA on a terminal, one line every chunk elsewhere;
# all to stderr."""
