"""A fit under way, on disk: what a killed job needs to go on and to end with the draws that it would have
had.

runs/NAME.unfinished/plan.toml       the plan
                     facts.json      hashes of plan, model, data and code, versions, seconds so far
                     start.npz       the coordinates and the start of each chain
                     draws-N.npz     each chunk of draws, N iterations in
                     state.npz       the sampler after the last whole chunk, adaptation included: written last

Every file is written under another name and then renamed. A finished run keeps start.npz, state.npz and
facts.json in runs/NAME/checkpoint, from which more draws can be taken. runs/.NAME.lock exists while a process
fits into the run.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import shutil
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np
import tomli_w

from kinetics.errors import FitError
from kinetics.files import whole_folder, write_atomic
from kinetics.inference.nuts import Saved
from kinetics.inference.posterior import Coordinates

__all__ = ["Checkpoint", "alone_in", "unfinished"]


def unfinished(run: Path) -> Path:
    """Return the path of a run's checkpoint while the run is under way."""
    return run.with_name(f"{run.name}.unfinished")


@contextmanager
def alone_in(run: Path) -> Iterator[None]:
    """Lock a run against every other process that would fit into it; FitError names the process that has it.

    The system releases the lock when its holder ends, however it ends. A file system without locks is not
    guarded.
    """
    lock = run.with_name(f".{run.name}.lock")
    new_folders = [folder for folder in lock.parents if not folder.exists()]
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        with _locked(lock, run):
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)
    finally:
        with suppress(OSError):  # a folder in which the fit wrote something is not empty, and stays
            for folder in new_folders:
                folder.rmdir()


def _locked(lock: Path, run: Path) -> IO[str]:
    """Return the lock's file, open and locked, with the name of this process in it.

    An OSError, as that of a read-only disk, has the name of the run.
    """
    while True:
        try:
            file = lock.open("a+")
        except OSError as error:
            error.filename = str(run)
            raise
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with file:
                file.seek(0)
                holder = file.read().strip() or "another process"
            raise FitError(f"{run}: {holder} is fitting into it; wait for it, or stop it first") from None
        except OSError:  # this file system has no locks
            pass
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), lock.stat()):
                _write_holder(file, lock, run)
                return file
        file.close()  # its holder ended and removed it while it was being opened: try again


def _write_holder(file: IO[str], lock: Path, run: Path) -> None:
    """Write the name of this process into a lock that it holds; the lock is removed where that fails."""
    try:
        file.truncate(0)
        os.write(file.fileno(), f"process {os.getpid()} on {platform.node()}\n".encode())
    except OSError as error:
        lock.unlink(missing_ok=True)
        file.close()
        error.filename = str(run)
        raise


class Checkpoint:
    """The checkpoint in a folder. Reading raises FitError, naming the file that is missing or damaged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(self, plan: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        """Write the plan and the facts of a new fit; whatever was in the folder is removed."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        try:
            write_atomic(self.folder / "plan.toml", tomli_w.dumps(dict(plan)))
            self.note(facts)
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    @property
    def begun(self) -> bool:
        """Whether there is something to go on from: an iteration, or at least the start of the chains."""
        return all((self.folder / name).exists() for name in ("plan.toml", "facts.json", "start.npz"))

    def remove_if_empty(self) -> None:
        """Remove the checkpoint of a fit that was ended before its chains had a start: nothing is lost."""
        names = {path.name for path in self.folder.iterdir()} if self.folder.is_dir() else set()
        if names and names <= {"plan.toml", "facts.json"}:
            shutil.rmtree(self.folder, ignore_errors=True)

    def note(self, facts: Mapping[str, Any]) -> None:
        """Write the facts of the fit in place of those that stood there."""
        write_atomic(self.folder / "facts.json", json.dumps(facts, indent=2) + "\n")

    def plan(self) -> dict[str, Any]:
        """Read the content of the plan."""
        return self._read("plan.toml", tomllib.loads)

    def facts(self) -> dict[str, Any]:
        """Read the facts of the fit."""
        return self._read("facts.json", _facts)

    def _read(self, name: str, parse: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
        """What `parse` makes of the text of a file."""
        try:
            return parse((self.folder / name).read_text(encoding="utf-8"))
        except RecursionError:
            self._damaged(name, ValueError("nested too deeply"))
        except (OSError, ValueError) as error:
            self._damaged(name, error)

    def require(self, identity: Mapping[str, Any]) -> None:
        """Raise FitError unless the checkpoint is of this very plan, model, data, code and versions."""
        then = self.facts().get("identity", {})
        changed = [k for k in identity if then.get(k) != identity[k]]
        if changed:
            was = "; ".join(f"{k} was {_short(then.get(k))}, is {_short(identity[k])}" for k in changed)
            raise FitError(
                f"{self.folder} is the checkpoint of another fit ({was}): its draws would not be those of "
                "one fit. Bring back what changed, or fit again with --force"
            )

    def write_start(self, coordinates: Coordinates, start: np.ndarray) -> None:
        """Write the coordinates and the start of each chain."""
        arrays = {k: np.asarray(v) for k, v in coordinates._asdict().items() if v is not None}
        self._write_arrays("start.npz", arrays | {"start": np.asarray(start)})

    def read_start(self) -> tuple[Coordinates, np.ndarray] | None:
        """Read the coordinates and the start of each chain; None where the job was killed before that."""
        if not (self.folder / "start.npz").exists():
            return None
        arrays = self._read_arrays("start.npz")
        fields = set(arrays) - {"start"}
        if "start" not in arrays or not {"centre", "scale"} <= fields <= set(Coordinates._fields):
            self._damaged("start.npz", ValueError("it holds other arrays"))
        return Coordinates(**{k: v for k, v in arrays.items() if k != "start"}), arrays["start"]

    def save(self, saved: Saved) -> None:
        """Write the newest chunk, then the state; a job killed in between will write the same chunk again."""
        for trace in saved.kept:
            self._write_arrays(f"draws-{saved.done:09d}.npz", trace)
        state = {f"a{i:03d}": x for i, x in enumerate(saved.state)}
        self._write_arrays("state.npz", {"done": np.array(saved.done), **state})

    def read(self) -> Saved | None:
        """Read the sampler's state and every chunk of draws up to it; None where there is no state yet."""
        if not (self.folder / "state.npz").exists():
            return None
        arrays = self._read_arrays("state.npz")
        if "done" not in arrays or arrays["done"].shape != () or arrays["done"].dtype.kind not in "iu":
            self._damaged("state.npz", ValueError("it holds other arrays"))
        done = int(arrays.pop("done"))
        state = [arrays[k] for k in sorted(arrays)]
        chunk_names = []
        for path in sorted(self.folder.glob("draws-*.npz")):
            _, _, iterations = path.stem.partition("-")
            if int(iterations) <= done:
                chunk_names.append(path.name)
        return Saved(done, state, [self._read_arrays(name) for name in chunk_names])

    def keep_in(self, run: Path) -> None:
        """Move into a finished run the files that more draws start from, and remove the rest."""
        with whole_folder(run / "checkpoint", replace=True) as partial:
            for name in ("start.npz", "state.npz", "facts.json"):
                shutil.copy2(self.folder / name, partial / name)
        shutil.rmtree(self.folder)

    def _write_arrays(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        content = BytesIO()
        np.savez(content, **arrays)  # pyright: ignore[reportArgumentType]
        write_atomic(self.folder / name, content.getvalue())

    def _read_arrays(self, name: str) -> dict[str, np.ndarray]:
        try:
            with np.load(self.folder / name, allow_pickle=False) as file:
                return {k: file[k] for k in file.files}
        except Exception as error:  # numpy raises what zipfile, zlib and its own parser raise
            self._damaged(name, error)

    def _damaged(self, name: str, error: Exception) -> NoReturn:
        """Raise FitError for a file that cannot be read."""
        fault = "missing" if isinstance(error, FileNotFoundError) else f"damaged ({error})"
        raise FitError(
            f"{self.folder / name} is {fault}; it cannot be gone on from: fit again with --force"
        ) from error


def _facts(text: str) -> dict[str, Any]:
    """The facts in a JSON text; ValueError where it does not say what the fit is of."""
    facts = json.loads(text)
    if not isinstance(facts, dict):
        raise ValueError("it is no JSON object")
    for name in ("identity", "options"):
        if not isinstance(facts.get(name, {}), dict):
            raise ValueError(f"{name} is no JSON object")
    if "plan" not in facts.get("identity", {}) or not isinstance(facts.get("seconds", 0.0), int | float):
        raise ValueError("it does not say which fit it is of")
    return facts


def _short(value: Any) -> str:
    """Return a value as text, a hash by its first 12 characters."""
    text = str(value)
    return text[:12] if len(text) > 40 else text
