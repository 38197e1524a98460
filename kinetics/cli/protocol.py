"""The commands about a protocol: `kinetics lint`, `kinetics design` and `kinetics design from-fit`.

`design` is a group: `kinetics design PROTOCOL` is short for `kinetics design exact PROTOCOL`. Its command
`trials` is in `design_trials`, its command `two-stage` in `expansion`.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer
from pandas import DataFrame

import kinetics.checks as checks
import kinetics.inference as inference
from kinetics.cli.console import print_result
from kinetics.cli.design_trials import TriggerWithoutDlt, TrueDlt, design_trials, numbers_of, planned_patients
from kinetics.cli.expansion import two_stage_designs
from kinetics.cli.groups import Group
from kinetics.cli.options import ArmName, Json, ProtocolFile, RuleName, RunFolder, TargetRate, Trust
from kinetics.decision import AT_RESPONSES
from kinetics.errors import PlanError, Problem
from kinetics.escalation import (
    OperatingCharacteristics,
    RawExposures,
    Rule,
    ThreePlusThree,
    TiteBoin,
    operating_characteristics,
)
from kinetics.outcomes import one_arm
from kinetics.protocol import (
    CODINGS,
    Protocol,
    assumed,
    lint as lint_of,
    read_protocol,
    rule_name,
    rule_of,
    settled,
    stated,
)
from kinetics.streams import LARGEST_SEED

__all__ = ["design", "design_exact", "design_from_fit", "lint"]

_WINDOWS_END = (
    "here every DLT window ends before the next decision, where TITE-BOIN is BOIN: it saves time only"
)


def lint(protocol: ProtocolFile, as_json: Json = False) -> None:
    """Check a protocol: what it leaves open, and where it contradicts itself.

    It also prints what the protocol settles. Exit 1 if a point is open.

    Example: `kinetics lint data/nkg2d_registry/protocol.toml`
    """
    content = read_protocol(protocol)
    points = lint_of(content)
    result = {"protocol": content.title} | points.as_dict()
    lines = [content.title, str(points)]
    kind = rule_name(content)
    result["rule"] = kind
    if points.ok:
        nobody = RawExposures(((),) * len(content.levels))
        result["assumed"] = assumed(rule_of(content, exposures=nobody), content)
        lines += [f"rule: {kind}", *(f"  assumed: {line}" for line in result["assumed"])]
    print_result(result, "\n".join(lines), as_json)
    if not points.ok:
        raise typer.Exit(1)


class _ExactByDefault(Group):
    """A group whose first word may be left out: without the name of a command it is `exact`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["exact", *args]
        return super().parse_args(ctx, args)


design = typer.Typer(
    name="design",
    cls=_ExactByDefault,
    no_args_is_help=True,
    subcommand_metavar="[exact|trials|from-fit|two-stage] PROTOCOL ...",
    rich_markup_mode="markdown",
    help="""Compute what a dose-escalation rule does: exactly, by simulation, or from a fit.

    `kinetics design PROTOCOL` is short for `kinetics design exact PROTOCOL`; `kinetics design exact --help`
    lists its options. `two-stage` needs no protocol: it is for an expansion cohort. Each takes --json.
    Example: `kinetics design nkg2d_phase1_synthetic --true-dlt .05,.10,.20,.35`
    """,
)


@design.command("exact")
def design_exact(
    protocol: ProtocolFile,
    true_dlt: TrueDlt,
    trigger_without_dlt: TriggerWithoutDlt = "0",
    rule: RuleName = "protocol",
    target: TargetRate = None,
    arm: ArmName = None,
    as_json: Json = False,
) -> None:
    """What a rule does if these are the true DLT probabilities: exact, by enumeration. Table for a protocol.

    boin12 and pkboin12 look at responses and are simulated: `kinetics design trials`.

    Example: `kinetics design exact nkg2d_phase1_synthetic --true-dlt .05,.10,.20,.35 --trigger-without-dlt
    .15`, or the same without the word `exact`
    """
    content, _ = one_arm(settled(read_protocol(protocol), protocol), None, arm)
    kind = rule_name(content, rule)
    if kind in AT_RESPONSES:
        remedy = "use kinetics design trials, and add --true-response .1,.2,.3,.35, one per level"
        raise PlanError(Problem(f"{kind} looks at responses", remedy))
    truth = numbers_of("--true-dlt", true_dlt)
    triggers = numbers_of("--trigger-without-dlt", trigger_without_dlt)
    result, text = _exact(content, rule, rule_of(content, rule, target=target), truth, triggers)
    print_result(result, text, as_json)


def _exact(
    protocol: Protocol, name: str, rule: Rule, truth: list[float], triggers: list[float]
) -> tuple[dict[str, Any], str]:
    """The characteristics by enumeration, as an answer and as text.

    A 3+3 has two cases: whole cohorts, and levels that close at the second DLT. The protocol says which is
    shown; of the other the expected numbers are given.
    """
    trigger = triggers[0] if len(triggers) == 1 else triggers
    shown = operating_characteristics(rule, truth, trigger_without_dlt=trigger)
    other = None
    closes = False
    if isinstance(rule, ThreePlusThree):
        other = operating_characteristics(rule, truth, trigger_without_dlt=trigger, one_by_one=True)
        closes = protocol.escalation.second_dlt.value == "must_stay_away"
        if closes:
            shown, other = other, shown

    assumptions = assumed(rule, protocol)
    if isinstance(rule, TiteBoin):
        assumptions = [_WINDOWS_END, *assumptions]
    answer = _answer(protocol, name, shown) | {"cohorts": "closed at the second DLT" if closes else "whole"}
    if assumptions:
        answer["assumed"] = assumptions
    if other is not None:
        key = "if_cohorts_are_whole" if closes else "if_closed_at_the_second_dlt"
        answer[key] = {"expected_n": other.expected_n, "expected_dlt": other.expected_dlt}
    lines = _lines(protocol, name, shown)
    if other is not None:
        case = "with whole cohorts" if closes else "where a level takes nobody after its second DLT"
        lines.append(
            f"{case}: expected N {other.expected_n:.3f}, expected DLTs {other.expected_dlt:.3f}, same P(MTD)"
        )
    lines += [f"protocol: {line}" for line in stated(protocol, name)]
    lines += [f"assumed: {line}" for line in assumptions]
    return answer, "\n".join(lines)


def _answer(protocol: Protocol, name: str, exact: OperatingCharacteristics) -> dict[str, Any]:
    """The characteristics for `--json`."""
    planned = planned_patients(protocol)
    return {
        "protocol": protocol.title,
        "rule": name,
        "kind": rule_name(protocol, name),
        "stated": stated(protocol, name),
        "method": "exact enumeration",
        "states": exact.states,
        "levels": [protocol.level_name(i) for i in range(1, len(protocol.levels) + 1)],
        "true_dlt": exact.true_dlt,
        "trigger_without_dlt": exact.trigger_without_dlt,
        "p_mtd": exact.p_mtd,
        "expected_n": exact.expected_n,
        "max_n": exact.max_n,
        "planned_n": planned,
        "p_n_over_planned": exact.p_n_over(planned),
        "expected_dlt": exact.expected_dlt,
        "overdosing": exact.overdosing(protocol.overdose_above),
        "overdosing_above": protocol.overdose_above,
        "patients_by_level": exact.patients,
        "dlts_by_level": exact.dlts,
    }


def _named(protocol: Protocol, name: str) -> str:
    """The name of a rule; of the protocol's own also what it is, where it is no 3+3."""
    kind = rule_name(protocol, name)
    return f"protocol, which is {kind}" if name == "protocol" and kind not in CODINGS else name


def _lines(protocol: Protocol, name: str, exact: OperatingCharacteristics) -> list[str]:
    """The characteristics as a table and sentences for a protocol's statistics section."""
    planned = planned_patients(protocol)
    above = protocol.overdose_above
    rows = [("none", "", "", f"{exact.p_mtd[0]:.4f}", "", "")]
    for i in range(len(protocol.levels)):
        trigger = exact.trigger_without_dlt[i]
        rows.append(
            (
                protocol.level_name(i + 1),
                f"{exact.true_dlt[i]:g}",
                f"{trigger:g}" if trigger else "",
                f"{exact.p_mtd[i + 1]:.4f}",
                f"{exact.patients[i]:.2f}",
                f"{exact.dlts[i]:.2f}",
            )
        )
    columns = ["level", "true P(DLT)", "P(trigger, no DLT)", "P(MTD)", "expected patients", "expected DLTs"]
    return [
        protocol.title,
        f"rule: {_named(protocol, name)}; exact, {exact.states} final states",
        DataFrame(rows, columns=columns).to_string(index=False),
        f"expected N {exact.expected_n:.3f}, at most {exact.max_n}; P(N > {planned}) "
        f"{exact.p_n_over(planned):.4f}, {planned} being planned",
        f"expected DLTs {exact.expected_dlt:.3f}; {100 * exact.overdosing(above):.1f} % of patients at a "
        f"level whose true P(DLT) is above {above:g}",
    ]


design.command("trials")(design_trials)
design.command("two-stage")(two_stage_designs)


@design.command("from-fit")
def design_from_fit(
    protocol: ProtocolFile,
    run: RunFolder,
    rule: RuleName = "protocol",
    target: TargetRate = None,
    draws: Annotated[int, typer.Option(min=20, max=1_000_000, help="Posterior draws.")] = 100,
    seed: Annotated[int, typer.Option(min=0, max=LARGEST_SEED, help="Seed of the new patients.")] = 0,
    arm: ArmName = None,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """What a rule does if patients are as a fit says: the chances of a DLT are those of its new patients.

    The characteristics are exact in every posterior draw.

    Example: `kinetics design from-fit nkg2d_phase1_synthetic runs/nkg2d_blood__nkg2d_phase1_synthetic`
    """
    content, _ = one_arm(settled(read_protocol(protocol), protocol), None, arm)
    kind = rule_name(content, rule)
    if kind in AT_RESPONSES:
        remedy = "use kinetics design trials with --true-dlt, or choose another rule"
        raise PlanError(Problem(f"a fit gives no responses to {kind}", remedy))
    from kinetics.decision import chances_from_fit, virtual_trials  # with jax, which the others do without

    fit = inference.load_fit(run, trust=trust)
    asked = rule_of(content, rule, target=target)
    p_dlt, p_trigger = chances_from_fit(fit, content, draws=draws, seed=seed)
    trials = virtual_trials(asked, p_dlt, p_trigger, overdose_above=content.overdose_above)
    planned = planned_patients(content)
    passed = checks.check(fit).ok
    answer = {
        "protocol": content.title,
        "rule": rule,
        "fit": fit.name,
        "fit_checks": "passed" if passed else "failed",
    }
    answer |= trials.as_dict(planned)
    rows = [("none", "", f"{answer['p_mtd'][0]:.4f}", "")]
    for i, p in enumerate(answer["p_dlt"]):
        chance = f"{p:.3f} ({answer['p_dlt_lower'][i]:.3f} to {answer['p_dlt_upper'][i]:.3f})"
        patients = f"{answer['patients_by_level'][i]:.2f}"
        rows.append((content.level_name(i + 1), chance, f"{answer['p_mtd'][i + 1]:.4f}", patients))
    columns = ["level", "P(DLT), 90 % of draws", "P(MTD)", "expected patients"]
    lines = [
        content.title,
        f"rule: {_named(content, rule)}; patients of {fit.name}, exact in each of {draws} posterior draws",
        DataFrame(rows, columns=columns).to_string(index=False),
        f"expected N {trials.expected_n:.2f}, at most {answer['max_n']}; P(N > {planned}) "
        f"{answer['p_n_over_planned']:.3f}; expected DLTs {answer['expected_dlt']:.2f}",
        f"P(the MTD's chance of a DLT is above {trials.overdose_above:g}) {trials.p_too_high:.3f}; "
        f"P(the MTD is the highest level not above it) {trials.p_right:.3f}",
        "slopes of exposure-response lean on their priors, design guesses: kinetics recommend shows how much",
    ]
    if not passed:
        lines.append("The fit did not pass its checks (kinetics check): do not use what leans on it.")
    print_result(answer, "\n".join(lines), as_json)
