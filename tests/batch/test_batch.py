"""Batches: what a PLAN asks for, its folder, who tries what how often, workers on this machine, what is
collected.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kinetics.batch import bootstrap
from kinetics.batch.attempts import Attempts, claimed
from kinetics.batch.batch_status import forgive, status
from kinetics.batch.bootstrap import drawn_subjects, write_resample
from kinetics.batch.collection import bootstrap_table, collect
from kinetics.batch.folder import BatchFolder, write_batch
from kinetics.batch.grid import Task, tasks_of
from kinetics.batch.local import cores_of
from kinetics.batch.preflight_checks import memory_mb, preflight, writable
from kinetics.batch.spec import LocalSpec, SlurmSpec, minutes_of, read_batch
from kinetics.errors import BatchError, InputError, PlanError
from kinetics.plan.binding import bind
from kinetics.plan.plan import plan_of
from kinetics.study.study import read_study

FIT = """
model = "ogasawara_2021"
data = "synthetic_cart_12"
vary = ["cmax"]
fixed.lag_fraction = 0.35
fixed.doubling_time = 0.755
fixed.half_life_contraction = 5.0
fixed.half_life_persistence = 352.0
expect = { tmax_pop = { median = 9.4, within = 0.5 } }
[observe.car_copies]
output = "copies"
[sampler]
chains = 1
warmup = 20
draws = 20
chunk = 20
start = "prior"
"""


def study_folder(tmp_path: Path, batch: str, fit: str = FIT) -> Path:
    """A study's root with fits/tiny.toml and batch.toml; returns the latter."""
    (tmp_path / "fits").mkdir(parents=True)
    (tmp_path / "fits" / "tiny.toml").write_text(fit)
    (tmp_path / "batch.toml").write_text(batch)
    return tmp_path / "batch.toml"


def tasks(file: Path) -> list[Task]:
    plan, folder = read_batch(file)
    return tasks_of(plan, file.parent, folder)


def test_every_problem_of_a_plan_is_said_at_once(tmp_path: Path) -> None:
    file = study_folder(
        tmp_path,
        'retrys = 1\n[[fit]]\nplan = "fits/tiny.toml"\nseeds = 3\nbootstrap = { resamples = 0 }\n'
        '[slurm]\ntime = "soon"',
    )
    with pytest.raises(PlanError) as raised:
        read_batch(file)
    said = str(raised.value)
    assert "'retrys'; did you mean 'retries'?" in said
    assert "'fit.0.seeds'; did you mean 'seed'?" in said
    assert "fit.0.bootstrap.resamples" in said
    assert "'soon' is no time" in said
    assert all(p.file == str(file) for p in raised.value.problems)


def test_a_plan_without_tasks_or_with_fits_that_are_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="no tasks; add a"):
        read_batch(study_folder(tmp_path, "retries = 1"))
    file = study_folder(
        tmp_path / "b",
        '[[fit]]\nplan = "fits/tiny.tom"\n[[sbc]]\nplan = "fits/nothing.toml"\n'
        '[[fit]]\nplan = "fits/tiny.toml"\nsampler = { drows = 3 }',
    )
    with pytest.raises(PlanError) as raised:
        tasks(file)
    assert "fits/tiny.tom: no such file" in str(raised.value)
    assert "fits/nothing.toml: no such file" in str(raised.value)
    assert "did you mean 'draws'?" in str(raised.value)


def test_a_grid_is_every_combination_and_each_task_is_named_by_what_varies(tmp_path: Path) -> None:
    file = study_folder(
        tmp_path,
        """
[[fit]]
plan = "fits/tiny.toml"
model = ["ogasawara_2021", "stein_2019"]
data = "synthetic_cart_12"
seed = [1, 2]
method = "laplace"
bootstrap = { resamples = 2, seed = 9 }
[fit.priors.plan]
[fit.priors.wide]
cmax = { median = 1e4, sd = 3.0 }
""",
    )
    found = tasks(file)
    assert len(found) == 2 * 2 * 2 * 3
    named = {t.name: t for t in found}
    of = named["stein_2019__synthetic_cart_12__wide__seed2__boot0001"]
    assert of.plan is not None
    assert of.plan["priors"]["cmax"]["sd"] == 3.0
    assert of.plan["seed"] == 2
    assert "expect" not in of.plan  # the plan's fit alone has to give it
    assert of.resample is not None
    assert of.plan["data"] == of.resample.folder
    assert {t.resample.folder for t in found if t.resample} == {
        str(tmp_path / "runs" / "batch.batch" / "data" / f"synthetic_cart_12__seed9_boot000{r}")
        for r in (1, 2)
    }
    assert of.axes | {"seed": 2, "resample": 1, "priors": "wide", "model": "stein_2019"} == of.axes
    assert of.command.startswith("kinetics fit ")
    assert of.command.endswith("--resume")


def test_two_tasks_of_one_name_are_refused(tmp_path: Path) -> None:
    file = study_folder(
        tmp_path, '[[fit]]\nplan = "fits/tiny.toml"\n[[fit]]\nplan = "fits/tiny.toml"\nseed = 3'
    )
    with pytest.raises(PlanError, match="2 tasks are called tiny; give the tables different `name"):
        tasks(file)


def test_the_expected_values_of_a_plan_stay_where_only_the_seed_differs(tmp_path: Path) -> None:
    found = tasks(study_folder(tmp_path, '[[fit]]\nplan = "fits/tiny.toml"\nseed = 5'))
    assert found[0].plan is not None
    assert "expect" in found[0].plan


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("90", 90), ("30:01", 31), ("2:00:00", 120), ("1-12", 2160), ("1-12:30", 2190), ("0:00:30", 1)],
)
def test_slurms_times_are_read_as_slurm_reads_them(text: str, minutes: int) -> None:
    assert minutes_of(text) == minutes


def test_a_resample_is_the_seeds_alone_and_keeps_every_record_of_who_was_drawn(tmp_path: Path) -> None:
    study = read_study("synthetic_cart_12")
    chosen = drawn_subjects(study, 3, 1)
    assert chosen == drawn_subjects(study, 3, 1)
    assert chosen != drawn_subjects(study, 3, 2)
    assert chosen != drawn_subjects(study, 4, 1)
    assert len(set(chosen)) < len(chosen) == 12
    resampled = read_study(write_resample(study, tmp_path / "boot", seed=3, number=1))
    assert resampled.dictionary.title.startswith(
        "BOOTSTRAP resample 1 (seed 3) of the subjects of: SYNTHETIC"
    )
    assert study.sha256 in resampled.dictionary.source
    assert resampled.synthetic
    assert resampled.subject_ids == [f"{i:02d}_{s}" for i, s in enumerate(chosen, start=1)]
    for name, subject in zip(resampled.subject_ids, chosen, strict=True):
        for table in ("observations", "doses", "events"):
            one, other = getattr(resampled, table), getattr(study, table)
            mine = one[one["subject"] == name].drop(columns=["subject", "row"]).reset_index(drop=True)
            its = other[other["subject"] == subject].drop(columns=["subject", "row"]).reset_index(drop=True)
            pd.testing.assert_frame_equal(mine, its)


def test_a_resample_that_another_worker_wrote_meanwhile_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = read_study("synthetic_cart_12")
    rows = bootstrap._rows

    def rows_meanwhile(table: Path, new: list[tuple[str, str]]) -> str:
        if table.name == "doses.csv":
            shutil.copytree(theirs, ours)
        return rows(table, new)

    theirs = write_resample(study, tmp_path / "theirs", seed=3, number=1)
    ours = tmp_path / "ours"
    monkeypatch.setattr(bootstrap, "_rows", rows_meanwhile)
    assert write_resample(study, ours, seed=3, number=1) == ours
    assert read_study(ours).subject_ids == read_study(theirs).subject_ids
    assert {path.name for path in tmp_path.iterdir()} == {"ours", "theirs"}


def test_a_resample_within_levels_keeps_how_many_each_has(tmp_path: Path) -> None:
    study = read_study("synthetic_cart_12")
    chosen = drawn_subjects(study, 1, 1, "dose_level")
    assert sorted(study.subjects.loc[chosen, "dose_level"]) == sorted(study.subjects["dose_level"])
    with pytest.raises(PlanError, match="no such column; did you mean 'dose_level'"):
        drawn_subjects(study, 1, 1, "dose_leve")


def test_a_single_event_table_says_why_it_cannot_be_resampled(tmp_path: Path) -> None:
    file = study_folder(tmp_path, '[[fit]]\nplan = "fits/tiny.toml"\nbootstrap = { resamples = 1 }')
    (tmp_path / "fits" / "tiny.toml").write_text(FIT.replace('"synthetic_cart_12"', '"no/such"'))
    plan, folder = read_batch(file)
    with pytest.raises(InputError):
        write_batch(folder, tasks_of(plan, tmp_path, folder), 1)
    assert not (folder / "tasks.json").exists()


def test_a_task_counts_failures_and_kills_but_no_stops(tmp_path: Path) -> None:
    with claimed(tmp_path / "task") as attempts:
        assert attempts is not None
        for outcome in ("stopped", "failed", "stopped", "killed"):
            attempts.begin({"worker": "w", "host": "h"})
            attempts.end(outcome, message="m", progress=len(attempts.all))
        assert attempts.failures == 2
        assert attempts.state(2) == "waiting"
        assert attempts.state(1) == "failed"
        attempts.forgive()
    again = Attempts(tmp_path / "task")
    assert again.failures == 0
    assert again.state(0) == "waiting"


def test_a_task_that_is_stopped_again_and_again_before_its_first_checkpoint_fails(tmp_path: Path) -> None:
    with claimed(tmp_path / "task") as attempts:
        assert attempts is not None
        for progress in (7, 8, 8, 8):
            attempts.begin({})
            attempts.end("stopped", progress=progress)
        assert [a["outcome"] for a in attempts.all] == ["stopped", "stopped", "stopped", "failed"]
        assert "give it more time" in attempts.last["message"]


def test_a_task_is_worked_on_by_one_at_a_time_and_is_lost_where_its_process_died(tmp_path: Path) -> None:
    with claimed(tmp_path / "task") as attempts:
        assert attempts is not None
        attempts.begin({"worker": "w", "host": "h"})
        with claimed(tmp_path / "task") as other:
            assert other is None
        assert Attempts(tmp_path / "task").state(1) == "running"
    assert Attempts(tmp_path / "task").state(1) == "lost"


def test_a_task_that_became_another_is_refused_and_new_ones_are_added(tmp_path: Path) -> None:
    file = study_folder(tmp_path, '[[fit]]\nplan = "fits/tiny.toml"\nseed = [1, 2]')
    plan, folder = read_batch(file)
    write_batch(folder, tasks_of(plan, tmp_path, folder), 1)
    file.write_text('[[fit]]\nplan = "fits/tiny.toml"\nseed = [1, 2, 3]')
    plan, _ = read_batch(file)
    assert len(write_batch(folder, tasks_of(plan, tmp_path, folder), 1).tasks) == 3
    file.write_text('[[fit]]\nplan = "fits/tiny.toml"\nseed = [1, 2]\nsampler = { draws = 21 }')
    plan, _ = read_batch(file)
    with pytest.raises(PlanError, match="this task was another when the batch began") as raised:
        write_batch(folder, tasks_of(plan, tmp_path, folder), 1)
    assert len(raised.value.problems) == 2
    assert len(BatchFolder(folder).tasks) == 3


def test_the_preflight_names_tasks_that_cannot_run_and_memory_that_is_too_little(tmp_path: Path) -> None:
    file = study_folder(
        tmp_path, '[[fit]]\nplan = "fits/tiny.toml"\ndata = ["synthetic_cart_12", "data/absent"]'
    )
    found = tasks(file)
    ready = preflight(found, SlurmSpec(memory="2G"))
    assert list(ready.tasks) == ["absent"]
    with pytest.raises(InputError, match="memory = '512M', and a fit is estimated to need 9"):
        preflight(found, SlurmSpec(memory="512M"))
    bound = bind(plan_of({**(found[0].plan or {}), "sampler": {"chains": 4, "draws": 10_000}}))
    assert memory_mb(bound) > ready.memory_mb


def test_a_folder_that_cannot_be_written_is_a_problem_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    problem = writable(tmp_path / "file" / "batch")[0]
    assert "cannot be written and locked" in problem.what
    assert "all nodes share" in problem.remedy


def test_workers_here_have_cores_of_their_own() -> None:
    cores = sorted(os.sched_getaffinity(0))
    assert cores_of(LocalSpec()) == [[core] for core in cores]
    assert cores_of(LocalSpec(threads=len(cores))) == [cores]
    assert len(cores_of(LocalSpec(workers=7))) == 7


def test_percentiles_of_a_bootstrap_are_those_of_its_resamples() -> None:
    rows = [{"resample": r, "value": float(r)} for r in range(0, 102)]
    same = {"record": "parameter", "name": "cmax_pop", "unit": "", "plan": "p", "model": "m", "data": "d",
            "prior_set": None, "priors": None, "method": "laplace", "seed": 1}  # fmt: skip
    found = bootstrap_table(pd.DataFrame([{**same, **row} for row in rows]))
    assert found.loc[0, "estimate"] == 0.0
    assert found.loc[0, "resamples"] == 101
    assert found.loc[0, "median"] == 51.0
    assert found.loc[0, "p2_5"] == pytest.approx(np.quantile(np.arange(1, 102), 0.025))


def test_a_design_of_a_rule_that_looks_at_responses_is_simulated(tmp_path: Path) -> None:
    design = (
        '[[design]]\nprotocol = "nkg2d_phase1_synthetic"\ntrue_dlt = [[0.05, 0.1, 0.2, 0.35]]\ntrials = 300\n'
    )
    (tmp_path / "PLAN.toml").write_text(
        f'{design}rule = ["boin", "boin12"]\ntrue_response = [0.1, 0.2, 0.4, 0.4]'
    )
    exact, simulated = tasks(tmp_path / "PLAN.toml")
    assert exact.command.startswith("kinetics design nkg2d_phase1_synthetic --rule boin ")
    assert exact.command.endswith("--true-dlt 0.05,0.1,0.2,0.35 --trigger-without-dlt 0")
    assert simulated.command.startswith("kinetics design trials nkg2d_phase1_synthetic --rule boin12 ")
    assert simulated.command.endswith("--true-response 0.1,0.2,0.4,0.4 --trials 300 --seed 0")
    (tmp_path / "PLAN.toml").write_text(f'{design}rule = "boin"\ntrue_response = [0.1, 0.2, 0.4, 0.4]')
    with pytest.raises(PlanError, match="boin looks at no responses"):
        tasks(tmp_path / "PLAN.toml")


def test_the_plan_of_the_page_is_one(tmp_path: Path, root: Path) -> None:
    blocks = (root / "docs" / "how_to" / "batch.md").read_text().split("```toml")[1:]
    plan = next(block.split("```")[0].partition("\n")[2] for block in blocks if "[[fit]]" in block)
    (tmp_path / "PLAN.toml").write_text(plan)
    found = tasks(tmp_path / "PLAN.toml")
    assert len(found) == 2 * 3 * 2 * 101 + 1 + 4 + 1
    assert preflight(found, SlurmSpec()).tasks == {}


WHOLE = """
retries = 1
[[fit]]
plan = "fits/tiny.toml"
seed = [1, 2]
[[fit]]
plan = "fits/tiny.toml"
data = "data/bad"
[[design]]
protocol = "nkg2d_phase1_synthetic"
true_dlt = [[0.05, 0.1, 0.2, 0.35]]
[[simulate]]
model = "stein_2019"
times = "0,7"
[local]
workers = 1
"""


def command(folder: Path, *words: str) -> subprocess.Popen[str]:
    program = [sys.executable, "-m", "kinetics.cli", "batch", *words, "--json"]
    return subprocess.Popen(program, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str], code: int) -> dict[str, Any]:
    out, err = process.communicate(timeout=600)
    assert process.returncode == code, out + err
    return json.loads(out) if out else {"stopped": err}


def until(true: Any, seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.fit
def test_a_batch_survives_a_kill_and_a_stop_and_bad_data_block_nothing(tmp_path: Path) -> None:
    file = study_folder(tmp_path, WHOLE)
    folder = tmp_path / "runs" / "batch.batch"
    first = folder / "tasks" / "tiny__seed1"

    # Its process is killed; another takes its place. Then the whole is told to stop.
    process = command(tmp_path, file.name)
    until(lambda: (first / "attempts.json").exists() and Attempts(first).open is not None)
    os.kill(Attempts(first).last["pid"], signal.SIGKILL)
    until(lambda: len(Attempts(first).all) == 2)
    process.send_signal(signal.SIGTERM)
    assert "the same command goes on" in said(process, 75)["stopped"]
    assert [a["outcome"] for a in Attempts(first).all] == ["killed", "stopped"]

    # The same command goes on, and reports what fails.
    result = said(command(tmp_path, file.name), 1)
    assert result["counts"]["finished"] == 4
    assert result["counts"]["failed"] == 1
    assert list(result["preflight"]) == ["bad"]
    cause = result["causes"][0]
    assert cause["tasks"] == ["bad"]
    assert "data/bad" in cause["cause"]
    outcomes = [a["outcome"] for a in Attempts(first).all]
    assert outcomes[0] == "killed"
    assert outcomes.count("finished") == 1
    assert [a["outcome"] for a in Attempts(folder / "tasks" / "bad").all] == ["failed", "failed"]
    assert (folder / "runs" / "tiny__seed1" / "posterior.nc").exists()

    # What was mended is tried again, and nothing else is.
    log = (folder / "tasks" / "tiny__seed2" / "attempt-1.log").read_text()
    assert log.startswith("$ kinetics fit ")
    assert "12 subjects" in log
    before = {t: (folder / "tasks" / t / "attempts.json").read_text() for t in ("tiny__seed1", "tiny__seed2")}
    forgiven = forgive(BatchFolder(folder))
    assert forgiven == ["bad"]
    assert status(BatchFolder(folder)).counts["waiting"] == 1
    assert {t: (folder / "tasks" / t / "attempts.json").read_text() for t in before} == before

    # Everything that is finished is collected.
    collected = collect(BatchFolder(folder))
    table = pd.read_csv(folder / "results.csv")
    assert set(table["task"]) == {"tiny__seed1", "tiny__seed2", "design__nkg2d_phase1_synthetic__protocol",
                                  "simulate__stein_2019"}  # fmt: skip
    fit = table[(table["task"] == "tiny__seed1") & (table["record"] == "parameter")]
    posterior = json.loads((folder / "tasks" / "tiny__seed1" / "result.json").read_text())["parameters"]
    assert fit["value"].tolist() == pytest.approx([p["median"] for p in posterior])
    assert "divergent transitions" in set(table.loc[table["record"] == "check", "name"])
    assert {"tiny__seed1", "tiny__seed2"} <= set(collected.fits.columns)
    page = (folder / "batch.html").read_text()
    assert "SYNTHETIC" in page
    assert "data/bad" in page


def test_what_is_no_batch_yet_and_no_verb_is_said(tmp_path: Path) -> None:
    with pytest.raises(BatchError, match="is no batch yet; begin it with"):
        status(BatchFolder(tmp_path))
