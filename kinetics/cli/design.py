"""What `kinetics lint` and `design` do: a protocol's open points, and what its rule does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from pandas import DataFrame

from kinetics.checks import check
from kinetics.cli.console import print_result
from kinetics.cli.design_trials import TRIALS, Asked, calendar_design, exposure_design
from kinetics.decision import AT_RESPONSES, MONTH, chances_from_fit, virtual_trials
from kinetics.errors import PlanError, Problem
from kinetics.escalation import (
    Boin12,
    Calendar,
    ExposureTruth,
    OperatingCharacteristics,
    ResponseCharacteristics,
    Rule,
    ThreePlusThree,
    TiteBoin,
    operating_characteristics,
    response_characteristics,
)
from kinetics.inference import Fit, load_fit
from kinetics.protocol import RULES, Protocol, assumed, lint as lint_of, read_protocol, rule_of, settled

__all__ = ["design", "lint"]

Source = Annotated[str, typer.Argument(help="A protocol.toml, its folder, or a data set of the library.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]


def lint(protocol: Source, as_json: Json = False) -> None:
    """Name every point a protocol leaves open or contradicts itself on, and what it settles. Exit 1 if one is
    open.

    Example: `kinetics lint data/nkg2d_registry/protocol.toml`
    """
    read = read_protocol(protocol)
    found = lint_of(read)
    print_result({"protocol": read.title} | found.as_dict(), f"{read.title}\n{found}", as_json)
    if not found.ok:
        raise typer.Exit(1)


Level = "one a level, with commas"
TrueDlt = Annotated[str, typer.Option(help=f"True P(DLT), {Level}.")]
Fires = Annotated[str, typer.Option(help="P(a titration trigger that is no DLT): one, or one a level.")]
Named = Annotated[str, typer.Option(help=f"{', '.join(RULES)}.")]
Target = Annotated[
    float | None,
    typer.Option(
        help="Target DLT rate of boin, tite_boin, crm (0.3), boin12, pkboin12 (0.35).", show_default=False
    ),
]
Responses = Annotated[str, typer.Option(help=f"True P(response), {Level}, for boin12 and pkboin12.")]
TrueExposure = Annotated[str, typer.Option(help=f"True mean exposure, {Level}, for pkboin12.")]
Cv = Annotated[float, typer.Option(help="CV % of exposure between patients, for pkboin12.")]
Wanted = Annotated[
    float | None, typer.Option(help="The mean exposure wanted, for pkboin12.", show_default=False)
]
Accrual = Annotated[
    float | None,
    typer.Option(help="Patients a month: simulate in calendar time, how long it takes.", show_default=False),
]
TimeToDlt = Annotated[str, typer.Option(help="With --accrual: uniform or weibull, in the DLT window.")]
Late = Annotated[float, typer.Option(help="Of weibull: the share of DLTs in the window's second half.")]
Trials = Annotated[
    int | None,
    typer.Option(
        min=2, help=f"Simulated trials.  [default: 10000 boin12, else {TRIALS}]", show_default=False
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="Of the simulation, or of new patients.")]
Out = Annotated[
    Path | None,
    typer.Option(help="Keep the simulated trials of --accrual and pkboin12 here; the same command goes on."),
]
Jobs = Annotated[int, typer.Option(min=1, help="Processes side by side, with --accrual and pkboin12.")]
Run = Annotated[
    Path | None, typer.Option(help="A run folder: patients as its fit says, instead of --true-dlt.")
]
Draws = Annotated[int, typer.Option(min=20, help="Posterior draws, with --run.")]


def design(
    protocol: Source, true_dlt: TrueDlt = "", trigger_without_dlt: Fires = "0", rule: Named = "protocol",
    target: Target = None, true_response: Responses = "", true_exposure: TrueExposure = "", exposure_cv: Cv = 50,
    wanted_exposure: Wanted = None, accrual: Accrual = None, time_to_dlt: TimeToDlt = "uniform", late: Late = 0.5,
    trials: Trials = None, seed: Seed = 0, out: Out = None, jobs: Jobs = 1, run: Run = None, draws: Draws = 100,
    as_json: Json = False,
) -> None:  # fmt: skip
    """What a protocol's rule does if these are the true DLT probabilities: exact, by enumeration. Table for a
    protocol.

    boin12 and pkboin12 look at responses (and exposures) and are simulated; with --accrual any other rule is,
    in calendar time, BOIN and the protocol's rule waiting beside it: what a TITE design saves. Every rule and
    truth meets the same patients. With --run the chances of a DLT are those of the fit's new patients, in
    every posterior draw.

    Example: `kinetics design nkg2d_phase1_synthetic --true-dlt .05,.10,.20,.35 --trigger-without-dlt .15` or
    `kinetics design nkg2d_phase1_synthetic --true-dlt .05,.10,.20,.35 --rule tite_boin --accrual 3`
    """
    read = settled(read_protocol(protocol), protocol)
    if (run is None) == (true_dlt == ""):
        what = "no true DLT probabilities, or two sources of them"
        raise PlanError(Problem(what, "give --true-dlt .05,.10,... or --run"))
    _check_options(rule, true_response, true_exposure, wanted_exposure, accrual, run, out)
    if run is not None:
        fitted = (load_fit(run), rule_of(read, rule, target=target))
        return print_result(*_from_fit(read, rule, *fitted, draws, seed), as_json)
    truth = _numbers("--true-dlt", true_dlt)
    triggers = _numbers("--trigger-without-dlt", trigger_without_dlt)
    asked = Asked(rule, target, trials or TRIALS, seed, out, jobs)
    if accrual is not None:
        calendar = _calendar(read, accrual, time_to_dlt, late)
        return print_result(*calendar_design(read, asked, truth, triggers, calendar), as_json)
    response = _numbers("--true-response", true_response) if true_response else []
    if rule == "pkboin12" and wanted_exposure is not None:
        means = _numbers("--true-exposure", true_exposure)
        told = ExposureTruth(tuple(truth), tuple(response), tuple(means), exposure_cv / 100)
        return print_result(*exposure_design(read, asked, told, wanted_exposure), as_json)
    chosen = rule_of(read, rule, target=target)
    if isinstance(chosen, Boin12):
        found = response_characteristics(chosen, truth, response, trials=trials or 10_000, seed=seed)
        simulated = (read, rule, chosen, found)
        return print_result(_response_answer(*simulated), _response_table(*simulated), as_json)
    return print_result(*_exact(read, rule, chosen, truth, triggers), as_json)


def _calendar(protocol: Protocol, accrual: float, time_to_dlt: str, late: float) -> Calendar:
    between = protocol.escalation.days_between_patients
    when: Any = time_to_dlt
    return Calendar(accrual / MONTH, protocol.dlt.window_days.value or 0.0, between, when, late)


def _check_options(
    rule: str,
    response: str,
    exposure: str,
    wanted: float | None,
    accrual: float | None,
    run: Path | None,
    out: Path | None,
) -> None:
    """PlanError with every option that the rule needs and has not, or has and does not look at."""
    looks = rule in AT_RESPONSES
    simulated = accrual is not None or rule == "pkboin12"
    exposed = bool(exposure) and wanted is not None
    unread = exposure or wanted is not None
    checks = [
        (
            looks and not response and run is None and accrual is None,
            f"{rule} looks at responses",
            "add --true-response .1,.2,.3,.35, one a level",
        ),
        (
            response and not looks,
            f"{rule} looks at no responses",
            "leave --true-response out, or take --rule boin12 or pkboin12",
        ),
        (
            rule == "pkboin12" and not exposed and accrual is None,
            "pkboin12 looks at exposures",
            "add --true-exposure 40,80,120,200, one a level, and --wanted-exposure 100",
        ),
        (
            unread and rule != "pkboin12",
            f"{rule} looks at no exposures",
            "leave --true-exposure and --wanted-exposure out, or take --rule pkboin12",
        ),
        (
            run is not None and (looks or accrual is not None),
            f"--run gives no responses and no days to {rule}",
            "leave --run out and give --true-dlt, or choose another rule",
        ),
        (
            out is not None and not simulated,
            "--out without trials that are simulated one by one",
            "leave it out, or add --accrual",
        ),
    ]
    if problems := [Problem(what, remedy) for wrong, what, remedy in checks if wrong]:
        raise PlanError(problems)


def _exact(
    read: Protocol, rule: str, chosen: Rule, truth: list[float], triggers: list[float]
) -> tuple[dict[str, Any], str]:
    """The answer and the table of the enumeration."""
    single = triggers[0] if len(triggers) == 1 else triggers
    whole = operating_characteristics(chosen, truth, trigger_without_dlt=single)
    early = None
    if isinstance(chosen, ThreePlusThree):
        early = operating_characteristics(chosen, truth, trigger_without_dlt=single, one_by_one=True)
    must = early is not None and read.escalation.second_dlt == "must_stay_away"
    shown, other = (early, whole) if must and early is not None else (whole, early)
    answer = _answer(read, rule, shown) | {"cohorts": "closed at the second DLT" if must else "whole"}
    if assumptions := _assumed(chosen):
        answer["assumed"] = assumptions
    if other is not None:
        key = "if_cohorts_are_whole" if must else "if_closed_at_the_second_dlt"
        answer[key] = {"expected_n": other.expected_n, "expected_dlt": other.expected_dlt}
    lines = [_table(read, rule, shown, other, must), *(f"assumed: {what}" for what in assumptions)]
    return answer, "\n".join(lines)


def _from_fit(
    protocol: Protocol, name: str, fit: Fit, rule: Rule, draws: int, seed: int
) -> tuple[dict[str, Any], str]:
    """The answer and the table where patients are as a fit says."""
    p_dlt, p_trigger = chances_from_fit(fit, protocol, draws=draws, seed=seed)
    found = virtual_trials(rule, p_dlt, p_trigger, overdose_above=protocol.mtd.overdose_above)
    planned = (protocol.size.planned.value or (0, 0))[1]
    passed = check(fit).ok
    answer = {
        "protocol": protocol.title,
        "rule": name,
        "fit": fit.name,
        "fit_checks": "passed" if passed else "failed",
    }
    answer |= found.as_dict(planned)
    rows = [("none", "", f"{answer['p_mtd'][0]:.4f}", "")]
    for i, p in enumerate(answer["p_dlt"]):
        chance = f"{p:.3f} ({answer['p_dlt_lower'][i]:.3f} to {answer['p_dlt_upper'][i]:.3f})"
        patients = f"{answer['patients_by_level'][i]:.2f}"
        rows.append((protocol.level_name(i + 1), chance, f"{answer['p_mtd'][i + 1]:.4f}", patients))
    columns = ["level", "P(DLT), 90 % of draws", "P(MTD)", "expected patients"]
    lines = [
        f"{protocol.title}\nrule: {name}; patients of {fit.name}, exact in each of {draws} posterior draws",
        DataFrame(rows, columns=columns).to_string(index=False),
        f"expected N {found.expected_n:.2f}, at most {answer['max_n']}; P(N > {planned}) "
        f"{answer['p_n_over_planned']:.3f}; expected DLTs {answer['expected_dlt']:.2f}",
        f"P(the MTD's chance of a DLT is above {found.overdose_above:g}) {found.p_too_high:.3f}; P(the MTD is the "
        f"highest level not above it) {found.p_right:.3f}",
        "slopes of exposure-response lean on their priors, design guesses: kinetics recommend shows how much",
    ]
    lines += (
        [] if passed else ["The fit did not pass its checks (kinetics check): do not use what leans on it."]
    )
    return answer, "\n".join(lines)


def _numbers(option: str, text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise PlanError(
            Problem(f"{option} {text!r} is no list of numbers", "write .05,.10,.20,.35")
        ) from None


def _assumed(rule: Rule) -> list[str]:
    """What the rule stands on beside the protocol, and what these characteristics make simpler."""
    simpler = []
    if isinstance(rule, TiteBoin):
        simpler = [
            "here every DLT window ends before the next decision, where TITE-BOIN is BOIN: it saves time only"
        ]
    if isinstance(rule, Boin12):
        simpler = [
            "DLT and response of a patient are independent, and both are known before the next decision"
        ]
    return simpler + assumed(rule)


def _answer(protocol: Protocol, rule: str, found: OperatingCharacteristics) -> dict[str, Any]:
    planned = (protocol.size.planned.value or (0, 0))[1]
    return {
        "protocol": protocol.title,
        "rule": rule,
        "method": "exact enumeration",
        "states": found.states,
        "levels": [protocol.level_name(i) for i in range(1, len(protocol.levels) + 1)],
        "true_dlt": found.true_dlt,
        "trigger_without_dlt": found.trigger_without_dlt,
        "p_mtd": found.p_mtd,
        "expected_n": found.expected_n,
        "max_n": found.max_n,
        "planned_n": planned,
        "p_n_over_planned": found.p_n_over(planned),
        "expected_dlt": found.expected_dlt,
        "overdosing": found.overdosing(protocol.mtd.overdose_above),
        "overdosing_above": protocol.mtd.overdose_above,
        "patients_by_level": found.patients,
        "dlts_by_level": found.dlts,
    }


def _table(
    protocol: Protocol,
    rule: str,
    found: OperatingCharacteristics,
    other: OperatingCharacteristics | None,
    must: bool,
) -> str:
    """The characteristics as a table and sentences for a protocol's statistics section."""
    planned = (protocol.size.planned.value or (0, 0))[1]
    above = protocol.mtd.overdose_above
    rows = [("none", "", "", f"{found.p_mtd[0]:.4f}", "", "")]
    for i, (p, t, m, n, y) in enumerate(
        zip(
            found.true_dlt,
            found.trigger_without_dlt,
            found.p_mtd[1:],
            found.patients,
            found.dlts,
            strict=True,
        ),
        1,
    ):
        fires = f"{t:g}" if t else ""
        rows.append((protocol.level_name(i), f"{p:g}", fires, f"{m:.4f}", f"{n:.2f}", f"{y:.2f}"))
    columns = ["level", "true P(DLT)", "P(trigger, no DLT)", "P(MTD)", "expected patients", "expected DLTs"]
    lines = [
        f"{protocol.title}\nrule: {rule}; exact, {found.states} final states",
        DataFrame(rows, columns=columns).to_string(index=False),
        f"expected N {found.expected_n:.3f}, at most {found.max_n}; P(N > {planned}) {found.p_n_over(planned):.4f}, "
        f"{planned} being planned",
        f"expected DLTs {found.expected_dlt:.3f}; {100 * found.overdosing(above):.1f} % of patients at a level "
        f"whose true P(DLT) is above {above:g}",
    ]
    if other is not None:
        case = "with whole cohorts" if must else "where a level takes nobody after its second DLT"
        lines.append(
            f"{case}: expected N {other.expected_n:.3f}, expected DLTs {other.expected_dlt:.3f}, same P(MTD)"
        )
    return "\n".join(lines)


def _response_answer(
    protocol: Protocol, name: str, rule: Rule, found: ResponseCharacteristics
) -> dict[str, Any]:
    """As `_answer`, with `p_obd` and its standard error in place of `p_mtd`, and the responses."""
    answer = _answer(protocol, name, found.doses)
    del answer["p_mtd"], answer["trigger_without_dlt"]
    return answer | {
        "method": "simulation",
        "trials": found.trials,
        "seed": found.seed,
        "true_response": found.true_response,
        "p_obd": found.p_obd,
        "p_obd_error": found.error,
        "responses_by_level": found.responses,
        "assumed": _assumed(rule),
    }


def _response_table(protocol: Protocol, name: str, rule: Rule, found: ResponseCharacteristics) -> str:
    doses = found.doses
    above = protocol.mtd.overdose_above
    levels = [protocol.level_name(i) for i in range(1, len(protocol.levels) + 1)]
    each = [
        (f"{p:g}", f"{q:g}", f"{obd:.4f}", f"{n:.2f}", f"{y:.2f}", f"{r:.2f}")
        for p, q, obd, n, y, r in zip(
            doses.true_dlt,
            found.true_response,
            found.p_obd[1:],
            doses.patients,
            doses.dlts,
            found.responses,
            strict=True,
        )
    ]
    rows = [("none", "", "", f"{found.p_obd[0]:.4f}", "", "", "")]
    rows += [(level, *row) for level, row in zip(levels, each, strict=True)]
    columns = ["level", "true P(DLT)", "true P(response)", "P(OBD)", *(f"expected {x}" for x in _COUNTED)]
    lines = [
        f"{protocol.title}\nrule: {name}; {found.trials} simulated trials, seed {found.seed}; "
        f"standard error of P(OBD) at most {max(found.error):.4f}",
        DataFrame(rows, columns=columns).to_string(index=False),
        f"expected N {doses.expected_n:.2f}, at most {doses.max_n}; expected DLTs {doses.expected_dlt:.2f}, "
        f"responses {sum(found.responses):.2f}; {100 * doses.overdosing(above):.1f} % of patients at a level whose "
        f"true P(DLT) is above {above:g}",
    ]
    return "\n".join([*lines, *(f"assumed: {what}" for what in _assumed(rule))])


_COUNTED = ("patients", "DLTs", "responses")
