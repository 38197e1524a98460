"""Faults for tests: disks that are small or read-only, commands to be killed, and what is left of a fit."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import xarray

__all__ = [
    "SMALL",
    "SMALL_FIT",
    "Disk",
    "begun",
    "command",
    "disk",
    "left_by_writers",
    "posterior",
    "until",
    "write_fit",
]

# Part of the shipped study's parameters and one of its assays: what a stopped fit keeps is the same, and it
# compiles sooner.
SMALL = """
model = "ogasawara_2021"
data = "synthetic_cart_12"
seed = 7
vary = ["cmax"]
fixed.lag_fraction = 0.35
fixed.doubling_time = 0.755
fixed.half_life_contraction = 5.0
fixed.half_life_persistence = 352.0

[observe.car_copies]
output = "copies"
"""
# 500 iterations in about 4 s
SMALL_FIT = f"""{SMALL}
[sampler]
start = "prior"
chains = 2
warmup = 100
draws = 400
chunk = 5
"""


def write_fit(folder: Path) -> Path:
    """Write the plan of the small fit as FOLDER/fits/a.toml, and return its path."""
    file = folder / "fits" / "a.toml"
    file.parent.mkdir(parents=True)
    file.write_text(SMALL_FIT, encoding="utf-8")
    return file


def command(*arguments: str | Path, folder: Path) -> subprocess.Popen[str]:
    """`kinetics ARGUMENTS`, begun in a folder as a program of its own; stdout and stderr are in one pipe.

    It can be interrupted even where the tests themselves run in the background of a shell, which makes what
    it begins there deaf to Ctrl-C.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "kinetics.cli", *map(str, arguments)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        bufsize=-1,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def until(condition: Callable[[], object], seconds: float = 120) -> None:
    """Wait until the condition holds; fail after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "what was waited for did not come"
        time.sleep(0.01)


def begun(run: Path) -> bool:
    """Whether a fit has written its first draws or its first state of warm-up."""
    return (run.with_name(f"{run.name}.unfinished") / "state.npz").exists()


def posterior(run: Path) -> dict[str, np.ndarray]:
    """The draws of a run folder, by name."""
    with xarray.open_datatree(run / "posterior.nc", engine="h5netcdf") as tree:
        return {str(name): values.to_numpy() for name, values in tree["posterior"].dataset.data_vars.items()}


def left_by_writers(folder: Path) -> list[str]:
    """The hidden files and folders that a writer left below a folder: partial files, old folders, locks of
    runs.
    """
    return sorted(str(path.relative_to(folder)) for path in folder.rglob(".*"))


class Disk:
    """A file system in memory, at `path`, that a test makes small, full or read-only."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def resize(self, kilobytes: int) -> None:
        """Give the file system another size."""
        _mount("-o", f"remount,size={kilobytes}k", self.path)

    def leave(self, kilobytes: int) -> None:
        """Leave so much space free, and no more."""
        system = os.statvfs(self.path)
        used = (system.f_blocks - system.f_bfree) * system.f_frsize // 1024
        self.resize(max(4, used + kilobytes))  # 0 would be no limit

    def read_only(self) -> None:
        """Let nothing more be written."""
        _mount("-o", "remount,ro", self.path)


@contextmanager
def disk(path: Path, kilobytes: int = 8192) -> Iterator[Disk]:
    """A small file system at `path`; a test that may mount none is skipped."""
    path.mkdir(parents=True)
    try:
        _mount("-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", path)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no right to mount a file system: a full and a read-only disk were NOT tried")
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "--lazy", path], check=True, capture_output=True)


def _mount(*arguments: str | Path) -> None:
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        raise OSError(errno.EPERM, "not root")
    subprocess.run(["mount", *arguments], check=True, capture_output=True)
