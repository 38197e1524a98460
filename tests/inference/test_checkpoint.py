"""A stopped fit goes on and ends with the draws it would have had: kills, signals, damage, strangers, more
draws.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray

from kinetics.cli.fit import fit_to, resume_to
from kinetics.errors import FitError
from kinetics.inference.checkpoint import Checkpoint, alone_in, unfinished
from kinetics.inference.fitting import Fit, fit, load_fit, resume
from kinetics.inference.nuts import Chunk
from kinetics.plan.plan import plan_of
from tests.support.faults import SMALL
from tests.support.fits import posterior_arrays

SETTINGS = {"chains": 2, "warmup": 60, "draws": 60, "chunk": 20, "target_accept": 0.8}


class Killed(Exception):
    pass


def plan(**sampler: Any) -> Any:
    return plan_of({**tomllib.loads(SMALL), "sampler": {**SETTINGS, **sampler}})


def killed_after(iterations: int) -> Any:
    def report(chunk: Chunk) -> None:
        if chunk.done >= iterations:
            raise Killed

    return report


def same(a: Fit, b: Fit) -> bool:
    one, other = posterior_arrays(a), posterior_arrays(b)
    return set(one) == set(other) and all(np.array_equal(one[k], other[k]) for k in one)


@pytest.fixture(scope="module")
def whole() -> Fit:
    return fit(plan())


@pytest.mark.fit
@pytest.mark.parametrize("iterations", [20, 60, 80], ids=["in_warm_up", "between", "in_sampling"])
def test_a_fit_stopped_anywhere_ends_with_the_draws_of_one_never_stopped(
    whole: Fit, tmp_path: Path, iterations: int
) -> None:
    run = tmp_path / "run"
    with pytest.raises(Killed):
        fit(plan(), run=run, report=killed_after(iterations))
    assert not run.exists()
    assert same(resume(run), whole)


@pytest.mark.fit
def test_a_finished_fit_is_taken_further_as_if_more_had_been_asked_for(whole: Fit, tmp_path: Path) -> None:
    run, more = tmp_path / "run", fit(plan(draws=100))
    fit(plan(), run=run).save(run)
    assert not unfinished(run).exists()
    assert (run / "checkpoint" / "state.npz").exists()
    with pytest.raises(Killed):
        resume(run, draws=100, report=killed_after(140))
    extended = resume(run)
    assert same(extended, more)
    left = tmp_path / "left"
    shutil.copytree(unfinished(run), left)
    extended.save(run, force=True)
    shutil.copytree(left, unfinished(run))  # as if killed before the checkpoint was removed
    again = resume(run)
    assert same(again, more)
    again.save(run, force=True)
    with xarray.open_datatree(run / "posterior.nc", engine="h5netcdf") as tree:
        assert tree["posterior"].sizes["draw"] == 100
    with pytest.raises(FitError, match="100 draws a chain; say --draws"):
        resume(run, draws=100)


@pytest.mark.fit
def test_a_damaged_or_foreign_checkpoint_is_refused_with_the_reason(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(Killed):
        fit(plan(), run=run, report=killed_after(80))
    left = unfinished(run)
    state, facts = (left / "state.npz").read_bytes(), json.loads((left / "facts.json").read_text())
    (left / "state.npz").write_bytes(state[: len(state) // 2])
    with pytest.raises(FitError, match=r"state\.npz is damaged"):
        resume(run)
    flipped = bytearray(state)
    flipped[len(state) // 2] ^= 0xFF
    (left / "state.npz").write_bytes(bytes(flipped))
    with pytest.raises(FitError, match=r"state\.npz is damaged"):
        resume(run)
    (left / "state.npz").write_bytes(state)
    for what in ("data", "model", "code", "jax"):
        identity = facts["identity"] | {what: "0" * 64}
        Checkpoint(left).note(facts | {"identity": identity})
        with pytest.raises(FitError, match=f"the checkpoint of another fit \\({what} was 000"):
            resume(run)
    with pytest.raises(FitError, match="is not finished"):
        resume(run, draws=500)
    (left / "facts.json").unlink()
    with pytest.raises(FitError, match=r"facts\.json is missing"):
        resume(run)


def test_a_finished_run_keeps_what_more_draws_start_from_in_place_of_what_it_had(tmp_path: Path) -> None:
    run = tmp_path / "tiny"
    (run / "checkpoint").mkdir(parents=True)
    (run / "checkpoint" / "of_before.npz").write_text("old")
    checkpoint = Checkpoint(unfinished(run))
    checkpoint.begin({}, {})
    for name in ("start.npz", "state.npz", "draws-000000020.npz"):
        (checkpoint.folder / name).write_text(name)
    checkpoint.keep_in(run)
    kept = run / "checkpoint"
    assert {path.name for path in kept.iterdir()} == {"start.npz", "state.npz", "facts.json"}
    assert oct(kept.stat().st_mode & 0o777) == "0o755"
    assert list(tmp_path.iterdir()) == [run]
    assert list(run.iterdir()) == [kept]


def test_resuming_what_was_never_begun_says_so(tmp_path: Path) -> None:
    with pytest.raises(FitError, match="no run folder"):
        resume(tmp_path / "nothing")


@pytest.mark.fit
def test_the_same_call_begins_goes_on_and_sums_up(whole: Fit, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(Killed):
        fit(plan(), run=run, report=killed_after(80))
    (unfinished(run) / "start.npz").rename(tmp_path / "start.npz")
    assert not Checkpoint(unfinished(run)).begun  # killed before it had a start: begins anew
    (tmp_path / "start.npz").rename(unfinished(run) / "start.npz")
    with pytest.raises(FitError, match="of another plan"):
        fit_to(plan(draws=80), run, resume=True)
    found, _ = fit_to(plan(), run, resume=True)
    assert "going on after 80 iterations" in (run / "log.txt").read_text()
    assert same(load_fit(run), whole)
    written = (run / "posterior.nc").stat().st_mtime_ns
    again, _ = fit_to(plan(), run, resume=True)
    assert json.dumps(again, default=str) == json.dumps(found, default=str)
    assert (run / "posterior.nc").stat().st_mtime_ns == written
    with pytest.raises(FitError, match="of another plan"):
        fit_to(plan(draws=80), run, resume=True)
    with pytest.raises(FitError, match="go on with --resume, or replace it"):
        fit_to(plan(), run)


def command(*arguments: str, folder: Path) -> subprocess.Popen[str]:
    program = [sys.executable, "-m", "kinetics.cli", *arguments]
    return subprocess.Popen(program, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def begun(folder: Path, draws: int = 400) -> tuple[str, Path]:
    """A plan's file for a fit in chunks of 5 iterations, and its run folder."""
    (folder / "fits").mkdir()
    sampler = f'[sampler]\nstart = "prior"\nchains = 2\nwarmup = 100\ndraws = {draws}\nchunk = 5\n'
    (folder / "fits" / "a.toml").write_text(SMALL + sampler)
    return "fits/a.toml", folder / "runs" / "a"


def posterior(run: Path) -> dict[str, np.ndarray]:
    with xarray.open_datatree(run / "posterior.nc", engine="h5netcdf") as tree:
        return {str(k): v.to_numpy() for k, v in tree["posterior"].dataset.data_vars.items()}


def survives(folder: Path, kills: int, seed: int) -> None:
    """Kill the command at random moments, begin again each time, and compare with a run left alone."""
    name, run = begun(folder, draws=200 * kills)  # a moment between kills is about 20 chunks, or 100 draws
    alone = command("fit", name, "--out", "alone", folder=folder)
    assert alone.wait() in (0, 1), alone.stderr and alone.stderr.read()
    rng, done = np.random.default_rng(seed), 0
    process = command("fit", name, folder=folder)
    while done < kills:
        before = mark(run)
        limit = time.monotonic() + 120
        while process.poll() is None and mark(run) == before and time.monotonic() < limit:
            time.sleep(0.01)  # until it is under way, and then for a moment that nothing plans
        time.sleep(rng.uniform(0, 0.5))
        if process.poll() is not None:
            break
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        done += 1
        process = command("resume", str(run), folder=folder)
    assert process.wait() in (0, 1), process.stderr and process.stderr.read()
    assert done == kills, f"it ended after {done} kills"
    one, other = posterior(folder / "alone" / "a"), posterior(run)
    assert all(np.array_equal(one[k], other[k]) for k in one)


def mark(run: Path) -> float:
    state = unfinished(run) / "state.npz"
    return state.stat().st_mtime if state.exists() else 0.0


@pytest.mark.fit
def test_kill_9_loses_nothing(tmp_path: Path) -> None:
    survives(tmp_path, kills=2, seed=1)


@pytest.mark.slow
def test_kill_9_twenty_times_loses_nothing(tmp_path: Path) -> None:
    survives(tmp_path, kills=20, seed=2)


@pytest.mark.fit
def test_a_warning_signal_ends_with_code_75_and_a_checkpoint(tmp_path: Path) -> None:
    name, run = begun(tmp_path)
    process = command("fit", name, folder=tmp_path)
    limit = time.monotonic() + 120
    while mark(run) == 0.0 and time.monotonic() < limit:
        time.sleep(0.01)
    process.send_signal(signal.SIGUSR1)
    assert process.stderr is not None
    said = process.stderr.read()
    assert process.wait() == 75, said
    assert "SIGUSR1: stopped after" in said
    assert "kinetics resume" in said
    assert not run.exists()
    assert Checkpoint(unfinished(run)).read() is not None


def test_a_second_process_is_kept_out_of_a_run_until_the_first_ends(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "a"
    code = "import sys, time, pathlib; from kinetics.inference.checkpoint import alone_in\n"
    code += "with alone_in(pathlib.Path(sys.argv[1])): print('in', flush=True); time.sleep(60)"
    first = subprocess.Popen([sys.executable, "-c", code, str(run)], stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    assert first.stdout.readline() == "in\n"
    unfinished(run).mkdir()  # as of any fit under way: not one that was stopped
    for again in (
        lambda: fit_to(plan(), run),
        lambda: fit_to(plan(), run, force=True),
        lambda: fit_to(plan(), run, resume=True),
        lambda: resume_to(run, None),
        lambda: resume_to(unfinished(run), 9),
    ):
        with pytest.raises(FitError, match=rf"process {first.pid} on .* is fitting into it; wait for it"):
            again()
    first.kill()
    first.wait()
    with alone_in(run):
        assert f"process {os.getpid()} on" in (run.parent / ".a.lock").read_text()
    assert list(run.parent.iterdir()) == [unfinished(run)]


def test_a_run_is_held_whatever_ends_the_fit(tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("mine")
    for run in (tmp_path / "a", tmp_path / "new" / "runs" / "a"):
        with pytest.raises(Killed), alone_in(run):
            raise Killed
    assert [p.name for p in tmp_path.iterdir()] == ["other.txt"]
    with alone_in(tmp_path / "a"), alone_in(tmp_path / "b"):  # another run is another matter
        assert len(list(tmp_path.glob(".*.lock"))) == 2
