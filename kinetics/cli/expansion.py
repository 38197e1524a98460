"""The commands of phase IB: `kinetics expansion`, of a study's cohorts or of stated true response rates, and
`kinetics design two-stage`.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from pandas import DataFrame

import kinetics.plot as figures
from kinetics.cli.console import print_result
from kinetics.cli.options import Confirmed, Json, Plain
from kinetics.decision import (
    CohortRates,
    ExpansionCharacteristics,
    ExpansionDesign,
    TwoStages,
    design_of,
    expansion,
    expansion_characteristics,
    two_stages,
)
from kinetics.errors import PlanError, Problem
from kinetics.printing import records, table_text
from kinetics.protocol import Protocol, read_protocol, settled
from kinetics.streams import LARGEST_SEED
from kinetics.study import read_study

__all__ = ["expansion_cohorts", "two_stage_designs"]


def expansion_cohorts(
    study: Annotated[str | None, typer.Argument(help="A study with responses.csv.")] = None,
    *,
    protocol: Annotated[str, typer.Option(help="A protocol.toml with a table [expansion].")],
    true_response: Annotated[
        str, typer.Option(help="True P(response) of every cohort, with commas: what the rule does then.")
    ] = "",
    patients: Annotated[
        str, typer.Option(help="With --true-response: patients of every cohort, instead of the planned.")
    ] = "",
    weight: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="P(exchangeable) of every cohort, instead of the protocol's."),
    ] = None,
    confirmed: Confirmed = False,
    level: Annotated[float, typer.Option(help="Coverage of every interval.")] = 0.9,
    trials: Annotated[
        int,
        typer.Option(
            min=2, max=10_000_000, help="Simulated trials, where there are too many outcomes to list."
        ),
    ] = 10_000,
    seed: Annotated[int, typer.Option(min=0, max=LARGEST_SEED, help="Seed of the simulation.")] = 0,
    plot: Annotated[
        Path | None, typer.Option(help="Write the forest of a study: .html, .svg, .pdf, .png.")
    ] = None,
    plain: Plain = False,
    as_json: Json = False,
) -> None:
    """Decide go or no go for expansion cohorts.

    Prints exact and borrowed (EXNEX) response rates, or what the rule does, exactly.

    A cohort with a `look` in [expansion] also says whether it ends there.

    Example: `kinetics expansion nkg2d_phase1_synthetic --protocol nkg2d_phase1_synthetic --plot cohorts.html`
    or `kinetics expansion --protocol nkg2d_phase1_synthetic --true-response .05,.2,.2,.3`
    """
    content = settled(read_protocol(protocol), protocol)
    _require_one_question(study, true_response, patients, plot, plain=plain)
    if study is not None:
        rates = expansion(read_study(study), content, confirmed=confirmed, level=level, weight=weight)
        lines = _rates_lines(content, rates)
        if plot is not None:
            figures.save_figure(figures.plot_expansion(rates), plot, plain=plain)
            lines.append(f"written: {plot}")
            if plain:
                lines.append(f"written: {figures.caption_file(plot)}")
        answer = _rates_answer(content, rates) | {"plot": None if plot is None else str(plot)}
        print_result(answer | _design_answer(rates.design), "\n".join(lines), as_json)
    else:
        sizes = None
        if patients:
            sizes = [int(number) for number in _numbers("--patients", patients, whole=True)]
        design = design_of(content, patients=sizes, weight=weight)
        truth = _numbers("--true-response", true_response)
        characteristics = expansion_characteristics(design, truth, trials=trials, seed=seed)
        answer = _characteristics_answer(content, characteristics) | _design_answer(design)
        print_result(answer, "\n".join(_characteristics_lines(content, characteristics)), as_json)


def _require_one_question(
    study: str | None, true_response: str, patients: str, plot: Path | None, *, plain: bool
) -> None:
    """PlanError unless it is clear whether a study is read or a truth is tried."""
    if (study is None) == (not true_response):
        what = "neither a study nor --true-response" if study is None else "a study and --true-response"
        remedy = "give a study for its cohorts, or --true-response .05,.2,.2,.3 for the rule"
        raise PlanError(Problem(what, remedy))
    if study is not None and patients:
        raise PlanError(Problem("--patients with a study", "the study says how many there are: leave it out"))
    figures.refuse_figures([] if plot is None else [plot], plain=plain)
    if study is None and plot is not None:
        raise PlanError(
            Problem("--plot without a study", "name the study whose cohorts are drawn, or leave it out")
        )


def _numbers(option: str, text: str, *, whole: bool = False) -> list[float]:
    """The numbers of an option's text, with commas; PlanError where one is none."""
    try:
        return [int(part) if whole else float(part) for part in text.split(",")]
    except ValueError:
        remedy = "write 18,12,12,9" if whole else "write .05,.2,.2,.3"
        raise PlanError(Problem(f"{option} {text!r} is no list of numbers", remedy)) from None


def _design_answer(design: ExpansionDesign) -> dict[str, Any]:
    """The rule and the prior, for `--json`."""
    return {
        "go": design.go,
        "no_go": design.no_go,
        "prior": asdict(design.prior),
        "looks": {
            name: look.model_dump() for name, look in zip(design.names, design.looks, strict=True) if look
        },
        "assumed": design.assumed(),
    }


# --------------------------------------------------------------------------------------- cohorts of a study


def _rates_answer(protocol: Protocol, rates: CohortRates) -> dict[str, Any]:
    """The cohorts of a study, for `--json`."""
    return {
        "study": rates.study,
        "synthetic": rates.synthetic,
        "protocol": protocol.title,
        "level": rates.level,
        "notes": rates.notes,
        "cohorts": records(rates.table),
    }


def _rates_lines(protocol: Protocol, rates: CohortRates) -> list[str]:
    """Two tables of the cohorts, the verdict of each, and what the rule assumes."""
    percent = f"{100 * rates.level:g} %"
    label = " (SYNTHETIC)" if rates.synthetic else ""
    borrowed = [
        ("cohort", "cohort"),
        ("n", "n"),
        ("events", "responders"),
        ("estimate", "rate"),
        ("lower", "lower"),
        ("upper", "upper"),
        ("mean", "EXNEX"),
        ("borrowed_lower", "lower"),
        ("borrowed_upper", "upper"),
        ("p_exchangeable", "P(exch.)"),
        ("p_above_null", "P(p > null)"),
        ("p_above_target", "P(p > target)"),
        ("verdict", "verdict"),
    ]
    beside = [("cohort", "cohort")]
    for kind in ("alone", "pooled"):
        beside += [
            (f"{kind}_mean", kind),
            (f"{kind}_lower", "lower"),
            (f"{kind}_upper", "upper"),
            (f"{kind}_p_above_null", "P(p > null)"),
        ]
    return [
        f"{rates.study}{label}: {protocol.title}",
        *(f"  {note}" for note in rates.notes),
        "",
        f"objective response: exact {percent} interval; EXNEX mean, {percent} interval; "
        "P(exchangeable | data)",
        _with_heads(rates.table, borrowed),
        "",
        f"the same cohorts by themselves, and all as one (Jeffreys' prior): mean, {percent} interval, "
        "P(p > null)",
        _with_heads(rates.table, beside),
        "",
        *(f"{row['cohort']}: {row['verdict']}: {row['why']}" for row in records(rates.table)),
        *(
            f"{row['cohort']}: {row['look']}"
            for row in records(rates.table)
            if row["look"] not in ("", row["why"])
        ),
        "",
        *(f"assumed: {line}" for line in rates.design.assumed()),
    ]


def _with_heads(table: DataFrame, columns: list[tuple[str, str]]) -> str:
    """Some columns of a table, each `(column, head)`, as text. Heads may repeat."""
    names = [name for name, _ in columns]
    heads = [head for _, head in columns]
    return table_text(table[names].round(4).set_axis(heads, axis=1))


# ------------------------------------------------------------------------------- characteristics of the rule


def _characteristics_answer(protocol: Protocol, characteristics: ExpansionCharacteristics) -> dict[str, Any]:
    """What the rule does, for `--json`."""
    return {
        "protocol": protocol.title,
        "method": characteristics.method,
        "outcomes": characteristics.outcomes,
        "trials": characteristics.trials,
        "seed": characteristics.seed,
        "cohorts": records(characteristics.table),
        "false_go": characteristics.false_go,
        "false_go_error": characteristics.false_go_error,
        "alone_false_go": characteristics.alone_false_go,
    }


def _characteristics_lines(protocol: Protocol, characteristics: ExpansionCharacteristics) -> list[str]:
    """What the rule does, as a table of cohorts and a sentence on false decisions."""
    c = characteristics
    design = c.design
    method = f"exact, {c.outcomes} outcomes"
    if c.trials:
        error = max(c.table["p_go_error"].max(), c.table["p_no_go_error"].max())
        method = f"{c.trials} simulated trials, seed {c.seed}; standard error at most {error:.4f}"
    columns = [
        ("cohort", "cohort"),
        ("patients", "patients"),
        ("null", "null"),
        ("true_response", "true rate"),
        ("p_go", "P(go)"),
        ("p_no_go", "P(no go)"),
        ("p_undecided", "P(undecided)"),
        *([("p_stop", "P(ends at look)"), ("expected_n", "expected n")] if design.look_lines() else []),
        ("alone_p_go", "alone: P(go)"),
        ("alone_p_no_go", "P(no go)"),
    ]
    lines = [
        protocol.title,
        f"go: P(p > null) at least {design.go:g}; no go: P(p > target) less than {design.no_go:g}; {method}",
        _with_heads(c.table, columns),
    ]
    if c.false_go == c.false_go:  # nan where no cohort could go on falsely
        error = f" (SE {c.false_go_error:.4f})" if c.trials else ""
        lines.append(
            f"P(any cohort not above its null goes on) {c.false_go:.4f}{error}; "
            f"{c.alone_false_go:.4f} with every cohort by itself"
        )
    else:
        lines.append("every true rate is above its null: no go would be false")
    lines += [f"interim look at {line}" for line in design.look_lines()]
    return [*lines, *(f"assumed: {line}" for line in design.assumed())]


# ------------------------------------------------------------------------------------- two-stage designs


def two_stage_designs(
    null: Annotated[float, typer.Option(help="The response rate that is not worth it.", show_default=False)],
    target: Annotated[float, typer.Option(help="The response rate that is wanted.", show_default=False)],
    alpha: Annotated[float, typer.Option(help="Most P(worth it) at the null rate.")] = 0.05,
    power: Annotated[float, typer.Option(help="Least P(worth it) at the target rate.")] = 0.8,
    most: Annotated[int, typer.Option(help="The greatest number of patients that is tried.")] = 100,
    as_json: Json = False,
) -> None:
    """Simon's two-stage designs of one cohort, optimal and minimax (Simon 1989): when to stop it, exactly.

    The first stage is a `look` of a cohort in [expansion] of a protocol.toml.

    Example: `kinetics design two-stage --null .05 --target .25`
    """
    optimal, minimax = two_stages(null, target, alpha=alpha, power=power, most=most)
    designs = {"optimal": optimal, "minimax": minimax}
    answer = {"alpha_at_most": alpha, "power_at_least": power}
    answer |= {name: asdict(design) | {"sentence": design.sentence()} for name, design in designs.items()}
    lines = [f"response rates {null:g} against {target:g}, alpha at most {alpha:g}, power at least {power:g}"]
    for name, design in designs.items():
        lines += _two_stage_lines(name, design)
    print_result(answer, "\n".join(lines), as_json)


def _two_stage_lines(name: str, design: TwoStages) -> list[str]:
    """A two-stage design in sentences, and as a protocol.toml has its first stage."""
    return [
        f"{name}: {design.sentence()}",
        f"  at {design.null:g}: ends after the first stage with {design.p_stop:.4f}, expected patients "
        f"{design.expected_n:.2f}, called worth it with {design.alpha:.4f}; at {design.target:g} with "
        f"{design.power:.4f}",
        f"  as a cohort: patients = {design.patients}, look = {{ patients = {design.first}, "
        f"stop_at = {design.stop_at} }}",
    ]
