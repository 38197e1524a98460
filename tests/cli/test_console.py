"""The progress of a fit in a log: what is under way is said even while nothing ends."""

from __future__ import annotations

import io
import time

import pytest

from kinetics.cli.console import FitProgress
from kinetics.inference import Chunk


def test_a_log_says_what_is_under_way_while_nothing_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    monkeypatch.setattr("sys.stderr", log)
    progress = FitProgress(heartbeat=0.05)
    progress.say("12 subjects")
    _until(log, "compiling the equations")
    progress(Chunk(warmup=True, done=100, total=700, divergences=0, mean_steps=7.0, step_size=0.5))
    _until(log, "warm-up, after 100/700: ")
    progress.close()
    assert [line.split("  ")[0] for line in progress.lines] == ["12 subjects", "warm-up 100/700"]
    lines = len(log.getvalue().splitlines())
    time.sleep(0.2)
    assert len(log.getvalue().splitlines()) == lines


def _until(log: io.StringIO, text: str) -> None:
    """Wait until the log has the text, 10 s at most."""
    end = time.monotonic() + 10
    while text not in log.getvalue():
        assert time.monotonic() < end, log.getvalue()
        time.sleep(0.01)
