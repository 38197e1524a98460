"""The command line of phase IB: `kinetics expansion`, of a study's cohorts or of true response rates."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from pandas import DataFrame

from kinetics.cli.console import print_result
from kinetics.decision import (
    CohortRates,
    ExpansionCharacteristics,
    ExpansionDesign,
    design_of,
    expansion,
    expansion_characteristics,
)
from kinetics.errors import PlanError, Problem
from kinetics.plot import plot_expansion, refuse_figures, save_figure
from kinetics.printing import records, table_text
from kinetics.protocol import Protocol, read_protocol, settled
from kinetics.study import read_study

__all__ = ["expansion_cohorts"]


def expansion_cohorts(
    study: Annotated[str | None, typer.Argument(help="A study with responses.csv.")] = None,
    *,
    protocol: Annotated[str, typer.Option(help="A protocol.toml with a table [expansion].")],
    true_response: Annotated[
        str, typer.Option(help="True P(response) of every cohort, with commas: what the rule does then.")
    ] = "",
    patients: Annotated[
        str, typer.Option(help="With --true-response: patients of every cohort, not the planned.")
    ] = "",
    weight: Annotated[
        float | None, typer.Option(min=0, max=1, help="P(exchangeable) of every cohort, not the protocol's.")
    ] = None,
    confirmed: Annotated[bool, typer.Option(help="A response counts once a later scan confirms it.")] = False,
    level: Annotated[float, typer.Option(help="Of every interval.")] = 0.9,
    trials: Annotated[int, typer.Option(min=2, help="Simulated trials, of too many outcomes to list.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Of the simulation.")] = 0,
    plot: Annotated[Path | None, typer.Option(help="Write the forest of a study: .html, .svg, .pdf, .png.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:  # fmt: skip
    """Expansion cohorts: exact and borrowed (EXNEX) response rates, go or no go; or what that rule does,
    exactly.

    Example: `kinetics expansion nkg2d_phase1_synthetic --protocol nkg2d_phase1_synthetic --plot cohorts.html`
    or `kinetics expansion --protocol nkg2d_phase1_synthetic --true-response .05,.2,.2,.3`
    """
    rules = settled(read_protocol(protocol), protocol)
    _check(study, true_response, patients, plot)
    if study is not None:
        found = expansion(read_study(study), rules, confirmed=confirmed, level=level, weight=weight)
        if plot is not None:
            save_figure(plot_expansion(found), plot)
        return print_result(_answer(rules, found, plot), _text(rules, found, plot), as_json)
    sizes = [int(n) for n in _numbers("--patients", patients, whole=True)] if patients else None
    design = design_of(rules, patients=sizes, weight=weight)
    truth = _numbers("--true-response", true_response)
    done = expansion_characteristics(design, truth, trials=trials, seed=seed)
    print_result(_characteristics(rules, done), _characteristics_text(rules, done), as_json)


def _check(study: str | None, true_response: str, patients: str, plot: Path | None) -> None:
    """PlanError unless it is clear whether a study is read or a truth is tried."""
    if (study is None) == (not true_response):
        what = "neither a study nor --true-response" if study is None else "a study and --true-response"
        remedy = "give a study for its cohorts, or --true-response .05,.2,.2,.3 for the rule"
        raise PlanError(Problem(what, remedy))
    if study is not None and patients:
        raise PlanError(Problem("--patients with a study", "the study says how many there are: leave it out"))
    refuse_figures([] if plot is None else [plot])
    if study is None and plot is not None:
        raise PlanError(
            Problem("--plot without a study", "name the study whose cohorts are drawn, or leave it out")
        )


def _numbers(option: str, text: str, *, whole: bool = False) -> list[float]:
    try:
        return [int(part) if whole else float(part) for part in text.split(",")]
    except ValueError:
        remedy = "write 18,12,12,9" if whole else "write .05,.2,.2,.3"
        raise PlanError(Problem(f"{option} {text!r} is no list of numbers", remedy)) from None


def _design(design: ExpansionDesign) -> dict[str, Any]:
    """For `--json`."""
    return {
        "go": design.go,
        "no_go": design.no_go,
        "prior": asdict(design.prior),
        "assumed": design.assumed(),
    }


def _answer(protocol: Protocol, found: CohortRates, plot: Path | None) -> dict[str, Any]:
    return {
        "study": found.study,
        "synthetic": found.synthetic,
        "protocol": protocol.title,
        "level": found.level,
        "notes": found.notes,
        "cohorts": records(found.table),
        "plot": None if plot is None else str(plot),
    } | _design(found.design)


def _text(protocol: Protocol, found: CohortRates, plot: Path | None) -> str:
    table = found.table
    percent = f"{100 * found.level:g} %"
    label = " (SYNTHETIC)" if found.synthetic else ""
    lines = [f"{found.study}{label}: {protocol.title}", *(f"  {note}" for note in found.notes), ""]
    exact = {"n": "n", "events": "responders", "estimate": "rate", "lower": "lower", "upper": "upper"}
    borrowed = {
        "mean": "EXNEX",
        "borrowed_lower": "lower",
        "borrowed_upper": "upper",
        "p_exchangeable": "P(exch.)",
    }
    chances = {"p_above_null": "P(p > null)", "p_above_target": "P(p > target)", "verdict": "verdict"}
    lines += [
        f"objective response: exact {percent} interval; EXNEX mean, {percent} interval; P(exchangeable | data)",
        _shown(table, {"cohort": "cohort"} | exact | borrowed | chances),
        "",
        f"the same cohorts by themselves, and all as one (Jeffreys' prior): mean, {percent} interval, P(p > null)",
    ]
    beside = {f"{k}_{q}": k if q == "mean" else n for k in ("alone", "pooled") for q, n in _BESIDE.items()}
    lines += [_shown(table, {"cohort": "cohort"} | beside), ""]
    lines += [f"{row['cohort']}: {row['verdict']}: {row['why']}" for row in records(table)]
    lines += ["", *(f"assumed: {what}" for what in found.design.assumed())]
    return "\n".join([*lines, *([f"written: {plot}"] if plot else [])])


_BESIDE = {"mean": "mean", "lower": "lower", "upper": "upper", "p_above_null": "P(p > null)"}


def _shown(table: DataFrame, columns: dict[str, str]) -> str:
    """Some columns under other heads, which may repeat."""
    return table_text(table[list(columns)].round(4).set_axis(list(columns.values()), axis=1))


def _characteristics(protocol: Protocol, found: ExpansionCharacteristics) -> dict[str, Any]:
    return {
        "protocol": protocol.title,
        "method": found.method,
        "outcomes": found.outcomes,
        "trials": found.trials,
        "seed": found.seed,
        "cohorts": records(found.table),
        "false_go": found.false_go,
        "false_go_error": found.false_go_error,
        "alone_false_go": found.alone_false_go,
    } | _design(found.design)


def _characteristics_text(protocol: Protocol, found: ExpansionCharacteristics) -> str:
    design = found.design
    how = f"exact, {found.outcomes} outcomes"
    if found.trials:
        most = max(found.table["p_go_error"].max(), found.table["p_no_go_error"].max())
        how = f"{found.trials} simulated trials, seed {found.seed}; standard error at most {most:.4f}"
    heads = {
        "cohort": "cohort", "patients": "patients", "null": "null", "true_response": "true rate", "p_go": "P(go)",
        "p_no_go": "P(no go)", "p_undecided": "P(undecided)", "alone_p_go": "alone: P(go)", "alone_p_no_go": "P(no go)",
    }  # fmt: skip
    rule = f"go: P(p > null) at least {design.go:g}; no go: P(p > target) less than {design.no_go:g}"
    lines = [
        f"{protocol.title}\n{rule}; {how}",
        _shown(found.table, heads),
    ]
    if found.false_go == found.false_go:
        error = f" (SE {found.false_go_error:.4f})" if found.trials else ""
        lines.append(
            f"P(any cohort not above its null goes on) {found.false_go:.4f}{error}; "
            f"{found.alone_false_go:.4f} with every cohort by itself"
        )
    else:
        lines.append("every true rate is above its null: no go would be false")
    return "\n".join([*lines, *(f"assumed: {what}" for what in design.assumed())])
