"""What `kinetics fit` and `kinetics resume` do: run under a signal's eye, save, check, and sum up.

SIGTERM and SIGUSR1 (what Slurm sends before it kills) end the fit after the chunk under way, with its
checkpoint written and exit code 75. A fit by another method than NUTS has no chunks, and a signal ends it as
any program.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from pandas import DataFrame

from kinetics.checks import check, estimates, parameter_table
from kinetics.cli.console import FitProgress
from kinetics.errors import FitError, Stopped
from kinetics.inference import (
    Checkpoint,
    Chunk,
    Fit,
    alone_in,
    fit,
    load_fit,
    read_run,
    resume,
    split_host,
    unfinished,
    use_compile_cache,
)
from kinetics.plan import FitPlan, plan_of, plan_sha256
from kinetics.printing import records, table_text

__all__ = ["fit_to", "overridden", "resume_to"]

Answer = tuple[dict[str, Any], str]


def fit_to(plan: FitPlan, folder: Path, *, force: bool = False, resume: bool = False) -> Answer:
    """Fit a plan and write its run folder; FitError if it is there, finished or not, and neither is said.

    `force` begins anew. `resume` begins, goes on from a checkpoint, or sums up what is finished, whichever it
    is: the same call until it is done. FitError where the folder is of another plan, or another process fits
    into it.
    """
    with alone_in(folder):
        return _fit_to(plan, folder, force, resume)


def _fit_to(plan: FitPlan, folder: Path, force: bool, resume: bool) -> Answer:
    if force or not (folder.exists() or unfinished(folder).exists()):
        return _run(plan, folder, force, lambda **keys: fit(plan, run=folder, **keys))
    if not resume:
        if folder.exists():
            raise FitError(
                f"{folder} exists; choose another --out, go on with --resume, or replace it with --force"
            )
        raise FitError(
            f"{unfinished(folder)} holds a fit that was stopped; go on with `kinetics resume {folder}`, "
            "or begin anew with --force"
        )
    left = Checkpoint(unfinished(folder))
    if not left.folder.exists():
        _require(plan, plan_of(read_run(folder)[0]), folder)
        use_compile_cache()
        return _summed(load_fit(folder), folder)
    if not left.begun:  # killed before there was anything to lose
        return _run(plan, folder, force, lambda **keys: fit(plan, run=folder, **keys))
    _require(plan, plan_of(left.plan()), folder)
    return _resume_to(folder, None)


def _require(plan: FitPlan, then: FitPlan, folder: Path) -> None:
    if plan_sha256(plan) != plan_sha256(then):
        raise FitError(f"{folder} is of another plan; choose another --out, or replace it with --force")


def resume_to(folder: Path, draws: int | None) -> Answer:
    """Finish a stopped fit, or extend a finished one, and write its run folder."""
    folder = folder.with_name(folder.name.removesuffix(".unfinished"))
    with alone_in(folder):
        return _resume_to(folder, draws)


def _resume_to(folder: Path, draws: int | None) -> Answer:
    left = Checkpoint(unfinished(folder))
    content = left.plan() if left.folder.exists() else read_run(folder)[0]
    return _run(plan_of(content), folder, True, lambda **keys: resume(folder, draws=draws, **keys))


def _run(plan: FitPlan, folder: Path, force: bool, run: Callable[..., Fit]) -> Answer:
    chained = plan.method == "nuts"
    split_host(plan.sampler.devices or plan.sampler.chains if chained else 1)
    use_compile_cache()
    progress = FitProgress()
    try:
        with _heeding_signals(progress, folder) if chained else nullcontext(progress) as report:
            done = run(report=report, announce=progress.say)
    finally:
        progress.close()
    done.save(folder, force=force, log="\n".join(progress.lines) + "\n")
    return _summed(done, folder)


def _summed(done: Fit, folder: Path) -> Answer:
    verdict = check(done)
    table = parameter_table(done)
    result = {
        "run": str(folder),
        "method": done.method,
        "synthetic": done.study.synthetic,
        "ok": verdict.ok,
        "failures": verdict.failures,
        "checks": records(verdict.rows),
        "parameters": records(table),
    }
    shown = _key_table(done, table)
    if "estimates" in done.posterior:
        found = estimates(done)
        result |= {"estimates": found.as_dict()}
        shown = f"{'SYNTHETIC DATA  ' if done.study.synthetic else ''}{found}"
    if done.caution:
        result |= {"caution": done.caution}
        shown += f"\nnote: {done.caution}"
    return result, f"{shown}\n\n{verdict}\n\nwritten: {folder}"


@contextmanager
def _heeding_signals(progress: FitProgress, folder: Path) -> Iterator[Callable[[Chunk], None]]:
    """A report of chunks that raises Stopped after the first one to end with a signal received."""
    received: list[str] = []
    caught = (signal.SIGTERM, signal.SIGUSR1)
    before = {
        number: signal.signal(number, lambda n, _: received.append(signal.Signals(n).name))
        for number in caught
    }

    def report(chunk: Chunk) -> None:
        progress(chunk)
        if received and chunk.done < chunk.total:
            raise Stopped(
                f"{received[0]}: stopped after {chunk.done} iterations; go on with `kinetics resume {folder}`"
            )

    try:
        yield report
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def overridden(
    plan: FitPlan, *, seed: int | None, method: str | None = None, **sampler: int | None
) -> FitPlan:
    """The plan with what the command line says instead; one by another method is named NAME-METHOD."""
    content = plan.resolved()
    if method is not None and method.lower() != plan.method:
        content |= {"method": method, "name": f"{plan.name}-{method.lower()}"}
    content["sampler"] |= {k: v for k, v in sampler.items() if v is not None}
    return plan_of(content | ({} if seed is None else {"seed": seed}), file=plan.name)


def _key_table(fit: Fit, table: DataFrame) -> str:
    """Population values with 90 % interval, between-subject CV, shrinkage and contraction."""
    label = "SYNTHETIC DATA  " if fit.study.synthetic else ""
    shown = table[
        [
            "site",
            "unit",
            "median",
            "lower",
            "upper",
            "cv_percent",
            "shrinkage",
            "contraction",
            "r_hat",
            "ess_bulk",
        ]
    ]
    shown = shown.drop(columns=[] if fit.method == "nuts" else ["r_hat", "ess_bulk"])
    return f"{label}{fit.name}: median, 90 % interval\n{table_text(shown)}"
