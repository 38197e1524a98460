"""The command `kinetics design trials`: what a rule does in simulated trials.

boin12 looks at responses, pkboin12 at responses and exposures. joint and recommend are compared with these
and with the protocol's rule (`kinetics.cli.design_comparison`). Every other rule, and joint too, is simulated
in calendar time, with BOIN and the protocol's rule, which wait for every DLT window, beside it. All rules and
truths meet the same patients. "protocol" is the rule of the protocol's [design], or its 3+3.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from pandas import DataFrame

from kinetics.cli.console import print_result
from kinetics.cli.design_comparison import COMPARED, TRIALS as TRIALS_COMPARED, Asked, design_comparison
from kinetics.cli.options import ArmName, Json, ProtocolFile, TargetRate
from kinetics.decision import (
    AT_RESPONSES,
    MONTH,
    SimulatedTrials,
    simulate_calendar,
    simulate_exposures,
    truth_problems,
)
from kinetics.errors import PlanError, Problem, did_you_mean
from kinetics.escalation import (
    Boin12,
    Calendar,
    ExposureTruth,
    PkBoin12,
    RawExposures,
    response_characteristics,
)
from kinetics.outcomes import one_arm
from kinetics.protocol import (
    CODINGS,
    RULES,
    Protocol,
    assumed,
    read_protocol,
    rule_name,
    rule_of,
    settled,
    stated,
)
from kinetics.streams import LARGEST_SEED

__all__ = ["TriggerWithoutDlt", "TrueDlt", "design_trials", "numbers_of", "planned_patients"]

TRIALS = 2_000  # default number of trials that are simulated one by one
TRIALS_BOIN12 = 10_000  # default number of trials of boin12
WAITING = ("boin", "protocol")  # rules that wait for every DLT window, shown beside the one asked for
SIMULATED = (*RULES, "recommend")
WITH_RESPONSES = ("boin12", "pkboin12", "joint", "recommend")
WITH_EXPOSURES = ("pkboin12", "joint", "recommend")

_LEVELS = "one a level, with commas"
TrueDlt = Annotated[str, typer.Option(help=f"True P(DLT), {_LEVELS}.")]
TriggerWithoutDlt = Annotated[
    str, typer.Option(help="P(a titration trigger that is no DLT): one, or one a level.")
]


@dataclass(frozen=True)
class TrialSettings:
    """How trials are simulated one by one.

    folder: where they are kept, None for nowhere. jobs: processes side by side.
    """

    rule: str
    target: float | None
    trials: int
    seed: int
    folder: Path | None
    jobs: int


def design_trials(
    protocol: ProtocolFile,
    true_dlt: Annotated[
        str, typer.Option(help=f"True P(DLT), {_LEVELS}; needed without --truths.", show_default=False)
    ] = "",
    rule: Annotated[str, typer.Option(help=f"{', '.join(SIMULATED)}.")] = "protocol",
    target: TargetRate = None,
    trigger_without_dlt: TriggerWithoutDlt = "0",
    accrual: Annotated[
        float | None,
        typer.Option(help="Patients a month; not for boin12, pkboin12, recommend.", show_default=False),
    ] = None,
    time_to_dlt: Annotated[
        str, typer.Option(help="With --accrual: uniform or weibull, in the DLT window.")
    ] = "uniform",
    late: Annotated[
        float, typer.Option(help="With weibull: the share of DLTs in the window's second half.")
    ] = 0.5,
    true_response: Annotated[
        str, typer.Option(help=f"True P(response), {_LEVELS}, for {', '.join(WITH_RESPONSES)}.")
    ] = "",
    true_exposure: Annotated[
        str, typer.Option(help=f"True mean exposure, {_LEVELS}, for {', '.join(WITH_EXPOSURES)}.")
    ] = "",
    exposure_cv: Annotated[float, typer.Option(help="CV % of exposure between patients.")] = 50,
    wanted_exposure: Annotated[
        float | None, typer.Option(help="The mean exposure wanted, for pkboin12.", show_default=False)
    ] = None,
    truths: Annotated[
        str, typer.Option(help="shipped: eight scenarios and random truths, for joint and recommend.")
    ] = "",
    trials: Annotated[
        int | None,
        typer.Option(
            min=2,
            help=f"Simulated trials.  [default: {TRIALS_BOIN12} boin12, {TRIALS_COMPARED} joint and "
            f"recommend, else {TRIALS}]",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=LARGEST_SEED, help="Seed of the simulation.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(help="Keep the trials in this folder; the same command goes on. Not for boin12."),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes side by side; boin12 has one.")] = 1,
    arm: ArmName = None,
    as_json: Json = False,
) -> None:
    """What a rule does in simulated trials, if these are the true probabilities.

    With --accrual in calendar time, BOIN and the protocol's rule waiting beside the rule: what a TITE design
    saves. boin12 weighs responses; pkboin12 looks at exposures too, with boin12 beside it. joint chooses by
    the joint model of DLT and response; recommend is what that model recommends after the protocol's rule.
    Both are shown together, beside the protocol's MTD, boin12 and pkboin12: how often each is right. Every
    rule and truth meets the same patients.

    Example: `kinetics design trials nkg2d_phase1_synthetic --true-dlt .05,.10,.20,.35 --rule tite_boin
    --accrual 3` or `kinetics design trials nkg2d_phase1_synthetic --true-dlt .05,.10,.20,.35 --rule boin12
    --true-response .1,.2,.4,.4` or `kinetics design trials nkg2d_phase1_synthetic --rule joint --truths
    shipped --trials 200 --jobs 4 --out runs/designs`
    """
    content, _ = one_arm(settled(read_protocol(protocol), protocol), None, arm)
    rule = _own_name(content, rule, target)
    if rule == "pkboin12" and wanted_exposure is None:
        wanted_exposure = content.design.wanted_exposure.value
    given = _Given(
        dlt=bool(true_dlt),
        responses=bool(true_response),
        exposures=bool(true_exposure),
        wanted=wanted_exposure is not None,
        triggers=trigger_without_dlt != "0",
        truths=truths,
        accrual=accrual is not None,
        out=out is not None,
    )
    if not true_dlt and rule in RULES and rule not in COMPARED:
        raise typer.BadParameter(
            "give the true P(DLT), .05,.10,.20,.35, one a level", param_hint="--true-dlt"
        )
    if problems := list(_problems(rule, given)):
        raise PlanError(problems)
    texts = {
        "--true-dlt": true_dlt,
        "--true-response": true_response,
        "--trigger-without-dlt": trigger_without_dlt,
        "--true-exposure": true_exposure,
    }
    settings = TrialSettings(
        rule=rule,
        target=target,
        trials=trials or _default_trials(rule),
        seed=seed,
        folder=out,
        jobs=jobs,
    )
    if accrual is not None:
        calendar = _calendar(content, accrual, time_to_dlt, late)
        result, text = _in_calendar_time(content, settings, texts, calendar)
    elif rule in COMPARED:
        asked = _asked(truths, texts, exposure_cv, wanted_exposure)
        result, text = design_comparison(
            content,
            rule,
            asked,
            limit=target,
            trials=trials,
            seed=seed,
            folder=out,
            jobs=jobs,
            report=_print_progress,
        )
    elif rule == "pkboin12":
        assert wanted_exposure is not None  # as _problems asks for
        patients = ExposureTruth(
            tuple(numbers_of("--true-dlt", true_dlt)),
            tuple(numbers_of("--true-response", true_response)),
            tuple(numbers_of("--true-exposure", true_exposure)),
            exposure_cv / 100,
        )
        result, text = _with_exposures(content, settings, patients, wanted_exposure)
    else:
        result, text = _with_responses(content, settings, texts)
    print_result(result, text, as_json)


def _own_name(protocol: Protocol, rule: str, target: float | None) -> str:
    """The rule asked; of a protocol whose own rule is no 3+3, that rule's name."""
    if rule != "protocol" or rule_name(protocol) in CODINGS:
        return rule
    own = rule_name(protocol)
    if target is not None:
        what = f"the target {target:g} is given, and the protocol has its own"
        raise PlanError(Problem(what, f"leave --target out, or ask by the rule's name: --rule {own}"))
    return own


def _default_trials(rule: str) -> int:
    """How many trials are simulated where nobody says."""
    if rule == "boin12":
        return TRIALS_BOIN12
    return TRIALS_COMPARED if rule in COMPARED else TRIALS


@dataclass(frozen=True)
class _Given:
    """Which options are given; `truths` is the text of its option."""

    dlt: bool
    responses: bool
    exposures: bool
    wanted: bool
    triggers: bool
    truths: str
    accrual: bool
    out: bool


def _problems(rule: str, given: _Given) -> Iterator[Problem]:
    """Every option that the rule needs and has not, or has and does not look at."""
    if rule not in SIMULATED:
        yield Problem(f"unknown rule {rule!r}", did_you_mean(rule, SIMULATED))
        return
    if rule in COMPARED:
        yield from _comparison_problems(rule, given)
        return
    if rule == "tite_pkboin12":
        remedy = "ask it in a running trial (kinetics next), or take --rule pkboin12, which waits"
        what = "tite_pkboin12 is simulated in Python alone (kinetics.escalation.exposure_trials)"
        yield Problem(what, remedy)
        return
    if given.truths:
        yield Problem(f"--truths is not for {rule}", "leave it out, or take --rule joint or recommend")
    if rule in AT_RESPONSES:
        if given.accrual:
            remedy = "leave --accrual out, or choose another rule"
            yield Problem(f"{rule} in calendar time: when responses come is not modelled", remedy)
        if not given.responses and not given.accrual:
            yield Problem(f"{rule} looks at responses", "add --true-response .1,.2,.3,.35, one a level")
    else:
        if given.responses:
            remedy = f"leave --true-response out, or take --rule {', '.join(WITH_RESPONSES)}"
            yield Problem(f"{rule} looks at no responses", remedy)
        if not given.accrual:
            remedy = "add --accrual 3, patients a month, or take kinetics design exact"
            yield Problem(f"{rule} is simulated in calendar time", remedy)
    if rule == "pkboin12":
        if not (given.exposures and given.wanted) and not given.accrual:
            remedy = "add --true-exposure 40,80,120,200, one a level, and --wanted-exposure 100"
            yield Problem("pkboin12 looks at exposures", remedy)
    elif given.exposures or given.wanted:
        remedy = "leave --true-exposure and --wanted-exposure out, or take --rule pkboin12"
        yield Problem(f"{rule} looks at no exposures", remedy)
    if rule == "boin12" and given.out:
        yield Problem("--out without trials that are simulated one by one", "leave it out")


def _comparison_problems(rule: str, given: _Given) -> Iterator[Problem]:
    """The same for the joint rule and the recommendation."""
    if given.truths and given.truths != "shipped":
        yield Problem(
            f"unknown truths {given.truths!r}", "write --truths shipped, or give the truth yourself"
        )
    numbers = {
        "--true-dlt": given.dlt,
        "--true-response": given.responses,
        "--true-exposure": given.exposures,
        "--wanted-exposure": given.wanted,
        "--trigger-without-dlt": given.triggers,
    }
    if given.truths:
        if both := [option for option, is_given in numbers.items() if is_given]:
            yield Problem(f"--truths and {', '.join(both)}", "leave one or the other out")
        if given.accrual:
            yield Problem("--truths in calendar time", "leave --accrual out, or give the truth yourself")
    else:
        for option, example in (("--true-dlt", ".05,.10,.20,.35"), ("--true-response", ".1,.2,.3,.35")):
            if not numbers[option]:
                remedy = f"add {option} {example}, one a level, or --truths shipped"
                yield Problem(f"{rule} without {option}", remedy)
        if given.wanted and not given.exposures and not given.accrual:
            remedy = "add --true-exposure 40,80,120,200, one a level"
            yield Problem("--wanted-exposure without exposures", remedy)
    if given.accrual and rule == "recommend":
        yield Problem("recommend in calendar time", "leave --accrual out, or take --rule joint")
    if given.accrual and (given.exposures or given.wanted):
        remedy = "leave --true-exposure and --wanted-exposure out, or --accrual"
        yield Problem(f"{rule} looks at no exposures in calendar time", remedy)


def _asked(truths: str, options: Mapping[str, str], cv: float, wanted: float | None) -> Asked:
    """The truth of the command line; PlanError with every option that is no list of numbers."""
    numbers: dict[str, list[float]] = {}
    problems: list[Problem] = []
    for option, text in options.items():
        try:
            numbers[option] = numbers_of(option, text) if text else []
        except PlanError as error:
            problems += error.problems
    if problems:
        raise PlanError(problems)
    return Asked(
        truths,
        dlt=numbers["--true-dlt"],
        response=numbers["--true-response"],
        trigger=numbers["--trigger-without-dlt"],
        exposure=numbers["--true-exposure"],
        cv=cv,
        wanted=wanted,
    )


def numbers_of(option: str, text: str) -> list[float]:
    """The numbers of an option's text, with commas; PlanError where one is none."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise PlanError(
            Problem(f"{option} {text!r} is no list of numbers", "write .05,.10,.20,.35")
        ) from None


def planned_patients(protocol: Protocol) -> int:
    """The greatest number of patients that the protocol plans; 0 where it plans none."""
    return protocol.design.max_patients.value or (protocol.size.planned.value or (0, 0))[1]


def _level_names(protocol: Protocol) -> list[str]:
    return [protocol.level_name(i) for i in range(1, len(protocol.levels) + 1)]


def _overdosed_share(patients: Sequence[float], truth: Sequence[float], bound: float) -> float:
    """The share of patients at a level whose true P(DLT) is above a bound."""
    return sum(n for n, p in zip(patients, truth, strict=True) if p > bound) / sum(patients)


# ------------------------------------------------------------------------------------------------- boin12


def _with_responses(
    protocol: Protocol, settings: TrialSettings, texts: Mapping[str, str]
) -> tuple[dict[str, Any], str]:
    """The answer and the text of BOIN12."""
    rule = rule_of(protocol, "boin12", target=settings.target)
    assert isinstance(rule, Boin12)
    simulated = response_characteristics(
        rule,
        numbers_of("--true-dlt", texts["--true-dlt"]),
        numbers_of("--true-response", texts["--true-response"]),
        trials=settings.trials,
        seed=settings.seed,
    )
    doses = simulated.doses
    planned = planned_patients(protocol)
    above = protocol.overdose_above
    assumptions = [
        "DLT and response of a patient are independent, and both are known before the next decision",
        *assumed(rule, protocol),
    ]
    answer = {
        "protocol": protocol.title,
        "rule": "boin12",
        "stated": stated(protocol, "boin12"),
        "method": "simulation",
        "states": doses.states,
        "levels": _level_names(protocol),
        "true_dlt": doses.true_dlt,
        "expected_n": doses.expected_n,
        "max_n": doses.max_n,
        "planned_n": planned,
        "p_n_over_planned": doses.p_n_over(planned),
        "expected_dlt": doses.expected_dlt,
        "overdosing": doses.overdosing(above),
        "overdosing_above": above,
        "patients_by_level": doses.patients,
        "dlts_by_level": doses.dlts,
        "trials": simulated.trials,
        "seed": simulated.seed,
        "true_response": simulated.true_response,
        "p_obd": simulated.p_obd,
        "p_obd_error": simulated.error,
        "responses_by_level": simulated.responses,
        "assumed": assumptions,
    }
    rows = [("none", "", "", f"{simulated.p_obd[0]:.4f}", "", "", "")]
    for i, name in enumerate(_level_names(protocol)):
        rows.append(
            (
                name,
                f"{doses.true_dlt[i]:g}",
                f"{simulated.true_response[i]:g}",
                f"{simulated.p_obd[i + 1]:.4f}",
                f"{doses.patients[i]:.2f}",
                f"{doses.dlts[i]:.2f}",
                f"{simulated.responses[i]:.2f}",
            )
        )
    columns = ["level", "true P(DLT)", "true P(response)", "P(OBD)"]
    columns += ["expected patients", "expected DLTs", "expected responses"]
    lines = [
        protocol.title,
        f"rule: boin12; {simulated.trials} simulated trials, seed {simulated.seed}; "
        f"standard error of P(OBD) at most {max(simulated.error):.4f}",
        DataFrame(rows, columns=columns).to_string(index=False),
        f"expected N {doses.expected_n:.2f}, at most {doses.max_n}; expected DLTs {doses.expected_dlt:.2f}, "
        f"responses {sum(simulated.responses):.2f}; {100 * doses.overdosing(above):.1f} % of patients at a "
        f"level whose true P(DLT) is above {above:g}",
        *(f"protocol: {line}" for line in stated(protocol, "boin12")),
        *(f"assumed: {line}" for line in assumptions),
    ]
    return answer, "\n".join(lines)


# ------------------------------------------------------------------------------------------ calendar time


def _calendar(protocol: Protocol, accrual: float, time_to_dlt: str, late: float) -> Calendar:
    """When patients come and DLTs happen; `accrual` is patients a month."""
    law: Any = time_to_dlt  # Calendar refuses any other word
    window = protocol.dlt.window_days.value or 0.0
    return Calendar(accrual / MONTH, window, protocol.escalation.days_between_patients, law, late)


def _in_calendar_time(
    protocol: Protocol,
    settings: TrialSettings,
    texts: Mapping[str, str],
    calendar: Calendar,
) -> tuple[dict[str, Any], str]:
    """The answer and the text of a rule in calendar time, with BOIN and the protocol's rule beside it."""
    truth = numbers_of("--true-dlt", texts["--true-dlt"])
    triggers = numbers_of("--trigger-without-dlt", texts["--trigger-without-dlt"])
    responses = []
    if texts["--true-response"]:
        responses = numbers_of("--true-response", texts["--true-response"])
    problems = list(truth_problems(len(protocol.levels), dlt=truth, response=responses))
    if settings.rule in COMPARED and problems:
        raise PlanError(problems)
    names = _side_by_side(protocol, settings.rule)
    rules = {name: rule_of(protocol, name, target=_target(protocol, name, settings)) for name in names}
    trigger = triggers[0] if len(triggers) == 1 else list(triggers)
    trials = simulate_calendar(
        rules,
        truth,
        calendar,
        true_response=responses,
        trigger_without_dlt=trigger,
        trials=settings.trials,
        seed=settings.seed,
        folder=settings.folder,
        jobs=settings.jobs,
        report=_print_progress,
    )
    by_rule = {name: _calendar_result(protocol, trials, name, truth) for name in names}
    saved = {name: trials.saved(settings.rule, name) for name in names if name != settings.rule}
    assumptions = assumed(rules[settings.rule], protocol)
    if rule_name(protocol) in AT_RESPONSES and rule_name(protocol) != settings.rule:
        own = f"the protocol's rule, {rule_name(protocol)}, looks at responses and is not simulated beside it"
        assumptions = [own, *assumptions]
    if responses:
        assumptions = ["responses come uniformly within the DLT window", *assumptions]
    answer = _head(protocol, settings, assumptions) | {
        "method": "simulation in calendar time",
        "calendar": asdict(calendar),
        "true_dlt": list(truth),
        "true_response": list(responses) or None,
        "trigger_without_dlt": trigger,
        "rules": by_rule,
        "days_saved": {
            name: {"than": name, "days": days, "error": error} for name, (days, error) in saved.items()
        },
    }
    lines = _calendar_lines(protocol, settings, calendar, by_rule, saved)
    lines += [f"protocol: {line}" for line in stated(protocol, settings.rule)]
    return answer, "\n".join([*lines, *(f"assumed: {line}" for line in assumptions)])


def _side_by_side(protocol: Protocol, rule: str) -> list[str]:
    """The rule and those shown beside it, each once; a rule that looks at responses only if it is asked."""
    names = [rule]
    for other in WAITING:
        kind = rule_name(protocol, other)
        if kind not in AT_RESPONSES and kind not in [rule_name(protocol, name) for name in names]:
            names.append(other)
    return names


def _target(protocol: Protocol, name: str, settings: TrialSettings) -> float | None:
    """The target that the command line gives a rule; None where the rule has none or is the protocol's."""
    kind = rule_name(protocol, name)
    return None if name == "protocol" or kind in CODINGS or kind == "blrm" else settings.target


def _head(protocol: Protocol, settings: TrialSettings, assumptions: list[str]) -> dict[str, Any]:
    """What the answers of trials simulated one by one have in common."""
    return {
        "protocol": protocol.title,
        "rule": settings.rule,
        "trials": settings.trials,
        "seed": settings.seed,
        "levels": _level_names(protocol),
        "planned_n": planned_patients(protocol),
        "stated": stated(protocol, settings.rule),
        "assumed": assumptions,
        "folder": None if settings.folder is None else str(settings.folder),
    }


def _calendar_result(
    protocol: Protocol, trials: SimulatedTrials, name: str, truth: Sequence[float]
) -> dict[str, Any]:
    """The summary of one rule, with `p_mtd` and the share of patients overdosed."""
    summary = trials.of(name)
    summary["p_mtd"] = summary.pop("p_found")
    summary["p_mtd_error"] = summary.pop("p_found_error")
    summary["overdosing"] = _overdosed_share(summary["patients_by_level"], truth, protocol.overdose_above)
    return summary


def _calendar_lines(
    protocol: Protocol,
    settings: TrialSettings,
    calendar: Calendar,
    by_rule: Mapping[str, Mapping[str, Any]],
    saved: Mapping[str, tuple[float, float]],
) -> list[str]:
    """The table of the rules in calendar time, and how many months one saves."""
    rows = []
    for name, result in by_rule.items():
        low, _, high = (days / MONTH for days in result["days_quantiles"])
        rows.append(
            (
                name,
                *(f"{p:.3f}" for p in result["p_mtd"]),
                f"{result['expected_n']:.2f}",
                f"{result['expected_dlt']:.2f}",
                f"{100 * result['overdosing']:.1f}",
                f"{result['expected_days'] / MONTH:.1f} ({low:.1f} to {high:.1f})",
                f"{result['expected_days'] / result['expected_n']:.1f}",
            )
        )
    columns = ["rule", *(f"P(MTD {name})" for name in ["none", *_level_names(protocol)])]
    columns += ["N", "DLTs", "% overdosed", "months (90 %)", "days a patient"]
    late = f", {calendar.late:.0%} of them in its second half" if calendar.time_to_dlt == "weibull" else ""
    error = max(max(result["p_mtd_error"]) for result in by_rule.values())
    lines = [
        protocol.title,
        f"in calendar time: {calendar.accrual * MONTH:g} patients a month (Poisson), at least "
        f"{calendar.days_between:g} days between two, a DLT window of {calendar.window:g} days, DLTs "
        f"{calendar.time_to_dlt} in it{late}",
        f"{settings.trials} simulated trials, seed {settings.seed}, every rule on the same patients; "
        f"standard error of a P(MTD) at most {error:.4f}",
        DataFrame(rows, columns=columns).to_string(index=False),
    ]
    for other, (days, days_error) in saved.items():
        months = f"{abs(days) / MONTH:.1f} months"
        precision = f"on average (standard error {days_error / MONTH:.2f})"
        if days >= 0:
            lines.append(
                f"{settings.rule} ends {months} before {other} {precision}; "
                "both wait for the last windows before the MTD"
            )
        else:
            lines.append(f"{settings.rule} ends {months} after {other} {precision}")
    return lines


# ----------------------------------------------------------------------------------------------- pkboin12


def _with_exposures(
    protocol: Protocol, settings: TrialSettings, truth: ExposureTruth, wanted: float
) -> tuple[dict[str, Any], str]:
    """The answer and the text of PKBOIN-12, with BOIN12 on the same patients beside it.

    At each decision PKBOIN-12 has the exposures of the patients so far.
    """
    boin12 = rule_of(protocol, "boin12", target=settings.target)
    assert isinstance(boin12, Boin12)
    pkboin12 = PkBoin12(boin12, RawExposures(((),) * boin12.levels), wanted)
    rules = {"pkboin12": pkboin12, "boin12": boin12}
    trials = simulate_exposures(
        rules,
        truth,
        trials=settings.trials,
        seed=settings.seed,
        folder=settings.folder,
        jobs=settings.jobs,
        report=_print_progress,
    )
    by_rule = {name: _exposure_result(protocol, trials, name, truth, wanted) for name in rules}
    assumptions = [
        "exposure, DLT and response of a patient are independent given the level, and known before the next "
        "decision",
        *assumed(pkboin12, protocol),
    ]
    answer = _head(protocol, settings, assumptions) | {
        "method": "simulation",
        "true_dlt": list(truth.dlt),
        "true_response": list(truth.response),
        "true_exposure": list(truth.exposure),
        "exposure_cv": truth.cv,
        "wanted_exposure": wanted,
        "rules": by_rule,
    }
    lines = _exposure_lines(protocol, settings, truth, wanted, by_rule)
    lines += [f"protocol: {line}" for line in stated(protocol, "pkboin12")]
    text = "\n".join([*lines, *(f"assumed: {line}" for line in assumptions)])
    return answer | by_rule["pkboin12"], text


def _exposure_result(
    protocol: Protocol, trials: SimulatedTrials, name: str, truth: ExposureTruth, wanted: float
) -> dict[str, Any]:
    """The summary of one rule, with `p_obd`, overdosing, and P(OBD at too low an exposure)."""
    summary = trials.of(name)
    summary["p_obd"] = summary.pop("p_found")
    summary["p_obd_error"] = summary.pop("p_found_error")
    summary["overdosing"] = _overdosed_share(summary["patients_by_level"], truth.dlt, protocol.overdose_above)
    p_at_levels = summary["p_obd"][1:]
    summary["p_obd_with_too_little_exposure"] = sum(
        p for p, exposure in zip(p_at_levels, truth.exposure, strict=True) if exposure < wanted
    )
    return summary


def _exposure_lines(
    protocol: Protocol,
    settings: TrialSettings,
    truth: ExposureTruth,
    wanted: float,
    by_rule: Mapping[str, Mapping[str, Any]],
) -> list[str]:
    """The table of PKBOIN-12 by level, and what exposures gain over BOIN12."""
    pk = by_rule["pkboin12"]
    plain = by_rule["boin12"]
    rows = [("none", "", "", "", f"{pk['p_obd'][0]:.4f}", f"{plain['p_obd'][0]:.4f}", "", "", "")]
    for i, name in enumerate(_level_names(protocol)):
        rows.append(
            (
                name,
                f"{truth.dlt[i]:g}",
                f"{truth.response[i]:g}",
                f"{truth.exposure[i]:g}",
                f"{pk['p_obd'][i + 1]:.4f}",
                f"{plain['p_obd'][i + 1]:.4f}",
                f"{pk['patients_by_level'][i]:.2f}",
                f"{pk['dlts_by_level'][i]:.2f}",
                f"{pk['responses_by_level'][i]:.2f}",
            )
        )
    columns = ["level", "true P(DLT)", "true P(response)", "true exposure", "P(OBD)", "P(OBD) boin12"]
    columns += ["expected patients", "expected DLTs", "expected responses"]
    return [
        protocol.title,
        f"rule: pkboin12, boin12 on the same patients beside it; {settings.trials} simulated trials, "
        f"seed {settings.seed}; standard error of P(OBD) at most {max(pk['p_obd_error']):.4f}",
        f"exposures: lognormal about each level's mean, CV {100 * truth.cv:g} %; wanted {wanted:g}",
        DataFrame(rows, columns=columns).to_string(index=False),
        "P(OBD at a level whose true exposure is below the wanted) "
        f"{pk['p_obd_with_too_little_exposure']:.3f}, boin12 {plain['p_obd_with_too_little_exposure']:.3f}",
        f"expected N {pk['expected_n']:.2f}, at most {pk['max_n']}; {100 * pk['overdosing']:.1f} % of "
        f"patients at a level whose true P(DLT) is above {protocol.overdose_above:g}",
    ]


def _print_progress(done: int, total: int) -> None:
    print(f"{done}/{total} trials", file=sys.stderr, flush=True)
