"""The commands that fit: `kinetics fit`, `resume` and `check`.

SIGTERM and SIGUSR1 (which Slurm sends before it kills) end a fit after the chunk under way, with its
checkpoint written and exit code 75. Ctrl-C ends it at once, with the same code and the checkpoint of the
chunk before. A fit by another method than NUTS has no chunks; a signal ends it as it ends any program.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer
from pandas import DataFrame

from kinetics.checks import check as run_check, estimates, hazard_ratios, odds_ratios, parameter_table
from kinetics.cli.console import FitProgress, print_result
from kinetics.cli.options import Force, Json, PlanName, RunFolder, Trust
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
from kinetics.plan import FitPlan, plan_of, plan_sha256, read_plan
from kinetics.printing import records, table_text
from kinetics.streams import LARGEST_SEED

__all__ = ["check", "fit_plan", "fit_to", "overridden", "resume_run", "resume_to"]

Answer = tuple[dict[str, Any], str]  # the result as one JSON object, and as text

_SHOWN = ["site", "unit", "median", "lower", "upper", "cv_percent", "shrinkage", "contraction"]
_SHOWN_OF_CHAINS = ["r_hat", "ess_bulk"]


def fit_plan(
    plan: PlanName,
    out: Annotated[Path, typer.Option(help="Where run folders go.")] = Path("runs"),
    draws: Annotated[int | None, typer.Option(help="Draws per chain.")] = None,
    warmup: Annotated[int | None, typer.Option(help="Warm-up iterations per chain.")] = None,
    chains: Annotated[int | None, typer.Option(help="Chains.")] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=LARGEST_SEED, help="Seed of every random number.")
    ] = None,
    method: Annotated[str | None, typer.Option(help="nuts, map, laplace (FOCE-I, no priors) or vi.")] = None,
    starts: Annotated[
        int | None, typer.Option(min=1, help="Points from which a maximum is searched for.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Begin, go on, or sum up what is finished: whichever applies.")
    ] = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Fit a model to a study; the result is a run folder.

    That is runs/NAME, or runs/NAME-METHOD for another --method.

    Example: `kinetics fit fits/ogasawara_2021__synthetic_cart_12.toml --method laplace`
    """
    changed = overridden(
        read_plan(plan), draws=draws, warmup=warmup, chains=chains, seed=seed, method=method, starts=starts
    )
    result, text = fit_to(changed, out / changed.name, force=force, resume=resume)
    print_result(result, text, as_json)


def resume_run(
    run: RunFolder,
    draws: Annotated[int | None, typer.Option(help="Take a finished run to this many draws a chain.")] = None,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Continue a fit that was stopped, or take more draws of a finished one.

    Example: `kinetics resume runs/ogasawara_2021__synthetic_cart_12 --draws 2000`
    """
    result, text = resume_to(run, draws, trust=trust)
    print_result(result, text, as_json)


def check(run: RunFolder, trust: Trust = False, as_json: Json = False) -> None:
    """Check whether the numbers of a fit may be used.

    Exit 1 with the reasons if not.

    Example: `kinetics check runs/ogasawara_2021__synthetic_cart_12`
    """
    verdict = run_check(load_fit(run, trust=trust))
    print_result(verdict.as_dict(), str(verdict), as_json)
    if not verdict.ok:
        raise typer.Exit(1)


def overridden(
    plan: FitPlan, *, seed: int | None, method: str | None = None, **sampler: int | None
) -> FitPlan:
    """The plan with the values that the command line gives. A plan by another method is named NAME-METHOD."""
    content = plan.resolved()
    if method is not None and method.lower() != plan.method:
        content |= {"method": method, "name": f"{plan.name}-{method.lower()}"}
    content["sampler"] |= {key: value for key, value in sampler.items() if value is not None}
    if seed is not None:
        content |= {"seed": seed}
    return plan_of(content, file=plan.name)


def fit_to(plan: FitPlan, folder: Path, *, force: bool = False, resume: bool = False) -> Answer:
    """Fit a plan and write its run folder. FitError if it exists, finished or not, without either option.

    `force` begins anew. `resume` begins, goes on from a checkpoint, or sums up what is finished, whichever
    applies: the same call until the fit is done. FitError where the folder is of another plan, or another
    process fits into it.
    """
    with alone_in(folder):
        return _fit_to(plan, folder, force, resume)


def _fit_to(plan: FitPlan, folder: Path, force: bool, resume: bool) -> Answer:
    """`fit_to`, in a folder that no other process works in."""
    checkpoint = Checkpoint(unfinished(folder))
    if force or not (folder.exists() or checkpoint.folder.exists()):
        return _run(plan, folder, force, lambda **keys: fit(plan, run=folder, **keys))
    if not resume:
        if folder.exists():
            raise FitError(
                f"{folder} exists; choose another --out, go on with --resume, or replace it with --force"
            )
        raise FitError(
            f"{checkpoint.folder} holds a fit that was stopped; go on with `kinetics resume {folder}`, "
            "or begin anew with --force"
        )
    if not checkpoint.folder.exists():
        _require_same(plan, plan_of(read_run(folder)[0]), folder)
        use_compile_cache()
        return _summed(load_fit(folder, trust=True), folder)  # the plan just compared names this model
    if not checkpoint.begun:  # killed before there was anything to lose
        return _run(plan, folder, force, lambda **keys: fit(plan, run=folder, **keys))
    _require_same(plan, plan_of(checkpoint.plan()), folder)
    return _resume_to(folder, None, trust=True)


def _require_same(plan: FitPlan, former: FitPlan, folder: Path) -> None:
    """FitError unless the plan is the one that the folder was made from."""
    if plan_sha256(plan) != plan_sha256(former):
        raise FitError(f"{folder} is of another plan; choose another --out, or replace it with --force")


def resume_to(folder: Path, draws: int | None, *, trust: bool = False) -> Answer:
    """Finish a stopped fit, or extend a finished one, and write its run folder."""
    folder = folder.with_name(folder.name.removesuffix(".unfinished"))
    with alone_in(folder):
        return _resume_to(folder, draws, trust=trust)


def _resume_to(folder: Path, draws: int | None, *, trust: bool) -> Answer:
    """`resume_to`, in a folder that no other process works in."""
    checkpoint = Checkpoint(unfinished(folder))
    content = checkpoint.plan() if checkpoint.folder.exists() else read_run(folder)[0]
    return _run(
        plan_of(content), folder, True, lambda **keys: resume(folder, draws=draws, trust=trust, **keys)
    )


def _run(plan: FitPlan, folder: Path, force: bool, run: Callable[..., Fit]) -> Answer:
    """Call `run` with progress on stderr, save its fit into the folder, and sum it up."""
    by_chains = plan.method == "nuts"
    split_host(plan.sampler.devices or plan.sampler.chains if by_chains else 1)
    use_compile_cache()
    progress = FitProgress()
    try:
        with _heeding_signals(progress, folder) if by_chains else nullcontext(progress) as report:
            done = run(report=report, announce=progress.say)
    except KeyboardInterrupt:
        raise Stopped(f"SIGINT: stopped; {_way_on(folder)}") from None
    finally:
        progress.close()
        Checkpoint(unfinished(folder)).remove_if_empty()
    done.save(folder, force=force, log="\n".join(progress.lines) + "\n")
    return _summed(done, folder)


def _way_on(folder: Path) -> str:
    """What to do after a fit was stopped: go on from its checkpoint, if it has one."""
    if Checkpoint(unfinished(folder)).begun:
        return f"go on with `kinetics resume {folder}`"
    return "nothing was written: the same command begins anew"


@contextmanager
def _heeding_signals(progress: FitProgress, folder: Path) -> Iterator[Callable[[Chunk], None]]:
    """A report of chunks that raises Stopped after the first chunk that ends with a signal received."""
    received: list[str] = []
    former = {
        number: signal.signal(number, lambda n, _: received.append(signal.Signals(n).name))
        for number in (signal.SIGTERM, signal.SIGUSR1)
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
        for number, handler in former.items():
            signal.signal(number, handler)


def _summed(fit: Fit, folder: Path) -> Answer:
    """The parameters, the estimates of a maximum, and the verdict of the checks."""
    verdict = run_check(fit)
    table = parameter_table(fit)
    result = {
        "run": str(folder),
        "method": fit.method,
        "synthetic": fit.study.synthetic,
        "ok": verdict.ok,
        "failures": verdict.failures,
        "checks": records(verdict.rows),
        "parameters": records(table),
    }
    label = "SYNTHETIC DATA  " if fit.study.synthetic else ""
    if "estimates" in fit.posterior:
        maximum = estimates(fit)
        result |= {"estimates": maximum.as_dict()}
        text = f"{label}{maximum}"
    else:
        text = f"{label}{fit.name}: median, 90 % interval\n{_parameter_text(fit, table)}"
    for kind, ratios in {"hazard ratios": hazard_ratios(fit), "odds ratios": odds_ratios(fit)}.items():
        if len(ratios):
            result |= {kind.replace(" ", "_"): records(ratios)}
            text += f"\n{kind}, 95 % interval:\n{table_text(ratios.drop(columns='site'))}"
    if fit.caution:
        result |= {"caution": fit.caution}
        text += f"\nnote: {fit.caution}"
    return result, f"{text}\n\n{verdict}\n\nwritten: {folder}"


def _parameter_text(fit: Fit, table: DataFrame) -> str:
    """Population values with 90 % interval, between-subject CV, shrinkage and contraction."""
    columns = _SHOWN + _SHOWN_OF_CHAINS if fit.method == "nuts" else _SHOWN
    return table_text(table[columns])
