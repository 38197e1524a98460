"""What `kinetics next` does: the next dose of a running trial by any rule, and the decision tree from
there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from pandas import DataFrame

from kinetics.cli.console import print_result
from kinetics.cli.recommend import targets_of
from kinetics.decision import NextDose, next_dose as ask
from kinetics.errors import PlanError, Problem
from kinetics.escalation import Branch, Decision
from kinetics.inference import load_fit
from kinetics.printing import table_text
from kinetics.protocol import RULES, read_protocol, settled
from kinetics.study import read_study

__all__ = ["next_dose"]


def next_dose(
    protocol: Annotated[
        str, typer.Argument(help="A protocol.toml, its folder, or a data set of the library.")
    ],
    study: Annotated[
        str | None, typer.Option(help="A study's name or folder; without it, before anybody was treated.")
    ] = None,
    rule: Annotated[str, typer.Option(help=f"{', '.join(RULES)}.")] = "protocol",
    target: Annotated[
        float | None,
        typer.Option(help="Target DLT rate of boin and the like: 0.3; boin12, pkboin12: 0.35.", show_default=False),
    ] = None,
    ahead: Annotated[int, typer.Option(min=0, max=4, help="Steps of the decision tree to print.")] = 0,
    response_within: Annotated[
        float | None,
        typer.Option(help="Days in which a response may come, for boin12 and pkboin12; else the protocol's."),
    ] = None,
    exposure: Annotated[
        str, typer.Option(help="For pkboin12: an exposure and the mean wanted, car_copies_auc_28d=1e5.")
    ] = "",
    run: Annotated[Path | None, typer.Option(help="A run folder: pkboin12 takes exposures of its fit.")] = None,
    backfill: Annotated[
        bool, typer.Option("--backfill", help="Which lower levels may take patients meanwhile (BF-BOIN).")
    ] = False,
    level_column: Annotated[str, typer.Option(help="Column of subjects.csv: assigned level.")] = "dose_level",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:  # fmt: skip
    """The next level, or the MTD, from a study's tables by the protocol's rule or another, with the clause.

    A pending patient counts as far as its last record, or `followed_until` of subjects.csv, says. With
    --ahead the decision tree: what the rule will say after every outcome of the next cohorts.

    Example: `kinetics next nkg2d_phase1_synthetic --study nkg2d_phase1_synthetic --rule tite_boin --ahead 1`
    """
    read = settled(read_protocol(protocol), protocol)
    if run is not None and rule != "pkboin12":
        raise PlanError(Problem(f"{rule} looks at no exposures", "leave --run out, or take --rule pkboin12"))
    found = ask(
        read,
        None if study is None else read_study(study),
        rule=rule,
        target=target,
        ahead=ahead,
        backfill=backfill,
        exposure=targets_of([exposure], "--exposure")[0] if exposure else None,
        fit=None if run is None else load_fit(run),
        response_within=response_within,
        level_column=level_column,
    )
    between = read.escalation.days_between_patients
    print_result(found.as_dict() | {"days_between_patients": between}, _text(found), as_json)


def _text(found: NextDose) -> str:
    who = found.study or "before anybody was treated"
    label = " (SYNTHETIC)" if found.synthetic else ""
    d = found.decision
    lines = [f"{who}{label}: {_said(d, found)}", f"  rule: {found.rule}", f"  why: {d.why}"]
    levels = ", ".join(f"{i} = {dose}" for i, dose in found.level_names.items())
    lines += [f"  would change it: {d.would_change}", f"  levels: {levels}"]
    lines += [f"  assumed: {what}" for what in found.assumed]
    if found.patients:
        rows = found.as_dict()["patients"]
        table = DataFrame(rows)
        table["followed"] = [f"{p.followed:.2f}" if p.status == "pending" else "" for p in found.patients]
        if found.responded is not None:
            words = {True: "yes", False: "no", None: "not known yet"}
            table["responded"] = [words[found.responded[p.subject]] for p in found.patients]
        last = [c for c in ("why",) if c in table]
        lines += ["", table_text(table[[c for c in table if c not in last] + last])]
    lines += [
        f"deviation: {s.subject} at level {s.level}; the rule said: {s.decision.why}"
        for s in found.deviations
    ]
    lines += [
        f"backfill at {found.level_names[x.level]}: {f'{x.room} more' if x.room else 'nobody'}; {x.why}"
        for x in found.backfill
    ]
    if found.ahead:
        lines += ["", "decision tree", *_tree(found.ahead, found, "")]
    return "\n".join(lines)


def _said(d: Decision, found: NextDose) -> str:
    best = "OBD" if found.rule in ("boin12", "pkboin12") else "MTD"
    return {"stop": f"{best}: {found.dose}", "wait": "wait", "treat": f"treat {d.size} at {found.dose}"}[
        d.action
    ]


def _tree(branches: Sequence[Branch], found: NextDose, indent: str) -> list[str]:
    """A line a branch, what it says and why, the later ones indented under it."""
    lines = []
    for b in branches:
        then = NextDose(**{**vars(found), "decision": b.decision})
        lines += [f"{indent}- {b.said}: {_said(b.decision, then)}", f"{indent}    {b.decision.why}"]
        lines += _tree(b.later, found, indent + "  ")
    return lines
