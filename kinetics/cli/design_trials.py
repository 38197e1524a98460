"""What `kinetics design` tells of trials simulated one by one: in calendar time, and with exposures
(PKBOIN-12).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pandas import DataFrame

from kinetics.decision import MONTH, SimulatedTrials, simulate_calendar, simulate_exposures
from kinetics.errors import PlanError, Problem
from kinetics.escalation import Boin12, Calendar, ExposureTruth, PkBoin12, RawExposures, Rule
from kinetics.protocol import Protocol, assumed, rule_of

__all__ = ["TRIALS", "Asked", "calendar_design", "exposure_design"]

TRIALS = 2000  # simulated one by one unless said otherwise
WAITING = ("boin", "protocol")  # rules that wait for every window, shown beside the one asked for


@dataclass(frozen=True)
class Asked:
    """The options of the command that these designs share."""

    rule: str
    target: float | None
    trials: int
    seed: int
    folder: Path | None
    jobs: int


def calendar_design(
    protocol: Protocol, asked: Asked, truth: Sequence[float], triggers: Sequence[float], calendar: Calendar
) -> tuple[dict[str, Any], str]:
    """The answer and the table of a rule in calendar time, BOIN and the protocol's rule waiting beside it."""
    if asked.rule in ("boin12", "pkboin12"):
        what = f"{asked.rule} in calendar time: when responses come is not modelled"
        raise PlanError(Problem(what, "leave --accrual out, or choose another rule"))
    names = list(dict.fromkeys([asked.rule, *WAITING]))
    rules = {n: rule_of(protocol, n, target=asked.target if n != "protocol" else None) for n in names}
    single = triggers[0] if len(triggers) == 1 else list(triggers)
    done = simulate_calendar(
        rules,
        truth,
        calendar,
        trigger_without_dlt=single,
        trials=asked.trials,
        seed=asked.seed,
        folder=asked.folder,
        jobs=asked.jobs,
        report=_say,
    )
    found = {name: _calendar_answer(protocol, done, name, truth) for name in names}
    saved = {n: done.saved(asked.rule, n) for n in names if n != asked.rule}
    answer = _head(protocol, asked, rules[asked.rule]) | {
        "method": "simulation in calendar time",
        "calendar": asdict(calendar),
        "true_dlt": list(truth),
        "trigger_without_dlt": single,
        "rules": found,
        "days_saved": {n: {"than": n, "days": days, "error": error} for n, (days, error) in saved.items()},
    }
    return answer, _calendar_text(protocol, asked, calendar, found, saved, answer["assumed"])


def exposure_design(
    protocol: Protocol, asked: Asked, truth: ExposureTruth, wanted: float
) -> tuple[dict[str, Any], str]:
    """The answer and the table of PKBOIN-12, asked with the exposures so far; BOIN12 on the same patients
    beside it.
    """
    boin12 = rule_of(protocol, "boin12", target=asked.target)
    assert isinstance(boin12, Boin12)
    rules = {"pkboin12": PkBoin12(boin12, RawExposures(((),) * boin12.levels), wanted), "boin12": boin12}
    done = simulate_exposures(
        rules, truth, trials=asked.trials, seed=asked.seed, folder=asked.folder, jobs=asked.jobs, report=_say
    )
    found = {name: done.of(name) for name in rules}
    for own in found.values():
        own["p_obd"], own["p_obd_error"] = own.pop("p_found"), own.pop("p_found_error")
        own["overdosing"] = _above(own["patients_by_level"], truth.dlt, protocol.mtd.overdose_above)
        short = [p for p, x in zip(own["p_obd"][1:], truth.exposure, strict=True) if x < wanted]
        own["p_obd_with_too_little_exposure"] = sum(short)
    answer = _head(protocol, asked, rules["pkboin12"]) | {
        "method": "simulation",
        "true_dlt": list(truth.dlt),
        "true_response": list(truth.response),
        "true_exposure": list(truth.exposure),
        "exposure_cv": truth.cv,
        "wanted_exposure": wanted,
        "rules": found,
    }
    answer["assumed"] = [
        "exposure, DLT and response of a patient are independent given the level, and known before the next decision",
        *answer["assumed"],
    ]
    return answer | found["pkboin12"], _exposure_text(
        protocol, asked, truth, wanted, found, answer["assumed"]
    )


def _head(protocol: Protocol, asked: Asked, rule: Rule) -> dict[str, Any]:
    return {
        "protocol": protocol.title,
        "rule": asked.rule,
        "trials": asked.trials,
        "seed": asked.seed,
        "levels": [protocol.level_name(i) for i in range(1, len(protocol.levels) + 1)],
        "planned_n": (protocol.size.planned.value or (0, 0))[1],
        "assumed": assumed(rule),
        "folder": None if asked.folder is None else str(asked.folder),
    }


def _calendar_answer(
    protocol: Protocol, done: SimulatedTrials, name: str, truth: Sequence[float]
) -> dict[str, Any]:
    own = done.of(name)
    own["p_mtd"], own["p_mtd_error"] = own.pop("p_found"), own.pop("p_found_error")
    return own | {"overdosing": _above(own["patients_by_level"], truth, protocol.mtd.overdose_above)}


def _above(patients: Sequence[float], truth: Sequence[float], bound: float) -> float:
    return sum(n for n, p in zip(patients, truth, strict=True) if p > bound) / sum(patients)


def _calendar_text(
    protocol: Protocol,
    asked: Asked,
    calendar: Calendar,
    found: Mapping[str, Mapping[str, Any]],
    saved: Mapping[str, tuple[float, float]],
    assumptions: Sequence[str],
) -> str:
    names = ["none", *(protocol.level_name(i) for i in range(1, len(protocol.levels) + 1))]
    rows = []
    for name, own in found.items():
        low, _, high = (d / MONTH for d in own["days_quantiles"])
        months = f"{own['expected_days'] / MONTH:.1f} ({low:.1f} to {high:.1f})"
        chances = [f"{p:.3f}" for p in own["p_mtd"]]
        counts = (f"{own['expected_n']:.2f}", f"{own['expected_dlt']:.2f}", f"{100 * own['overdosing']:.1f}")
        rows.append((name, *chances, *counts, months, f"{own['expected_days'] / own['expected_n']:.1f}"))
    columns = [
        "rule",
        *(f"P(MTD {n})" for n in names),
        "N",
        "DLTs",
        "% overdosed",
        "months (90 %)",
        "days a patient",
    ]
    late = f", {calendar.late:.0%} of them in its second half" if calendar.time_to_dlt == "weibull" else ""
    lines = [
        f"{protocol.title}\nin calendar time: {calendar.accrual * MONTH:g} patients a month (Poisson), at least "
        f"{calendar.days_between:g} days between two, a DLT window of {calendar.window:g} days, DLTs "
        f"{calendar.time_to_dlt} in it{late}",
        f"{asked.trials} simulated trials, seed {asked.seed}, every rule on the same patients; standard error of a "
        f"P(MTD) at most {max(max(own['p_mtd_error']) for own in found.values()):.4f}",
        DataFrame(rows, columns=columns).to_string(index=False),
    ]
    lines += [
        f"{asked.rule} ends {days / MONTH:.1f} months before {other} on average (standard error {error / MONTH:.2f}); "
        "both wait for the last windows before the MTD"
        if days >= 0
        else f"{asked.rule} ends {-days / MONTH:.1f} months after {other} on average (standard error {error / MONTH:.2f})"
        for other, (days, error) in saved.items()
    ]
    return "\n".join([*lines, *(f"assumed: {what}" for what in assumptions)])


def _exposure_text(
    protocol: Protocol,
    asked: Asked,
    truth: ExposureTruth,
    wanted: float,
    found: Mapping[str, Mapping[str, Any]],
    assumptions: Sequence[str],
) -> str:
    pk = found["pkboin12"]
    plain = found["boin12"]
    rows: list[tuple[str, ...]] = [
        ("none", "", "", "", f"{pk['p_obd'][0]:.4f}", f"{plain['p_obd'][0]:.4f}", "", "", "")
    ]
    for i in range(len(truth.dlt)):
        true = (f"{truth.dlt[i]:g}", f"{truth.response[i]:g}", f"{truth.exposure[i]:g}")
        chances = (f"{pk['p_obd'][i + 1]:.4f}", f"{plain['p_obd'][i + 1]:.4f}")
        counts = (f"{pk[k][i]:.2f}" for k in ("patients_by_level", "dlts_by_level", "responses_by_level"))
        rows.append((protocol.level_name(i + 1), *true, *chances, *counts))
    columns = ["level", "true P(DLT)", "true P(response)", "true exposure", "P(OBD)", "P(OBD) boin12"]
    columns += ["expected patients", "expected DLTs", "expected responses"]
    short = [f"{own['p_obd_with_too_little_exposure']:.3f}" for own in (pk, plain)]
    lines = [
        f"{protocol.title}\nrule: pkboin12, boin12 on the same patients beside it; {asked.trials} simulated trials, "
        f"seed {asked.seed}; standard error of P(OBD) at most {max(pk['p_obd_error']):.4f}",
        f"exposures: lognormal about each level's mean, CV {100 * truth.cv:g} %; wanted {wanted:g}",
        DataFrame(rows, columns=columns).to_string(index=False),
        f"P(OBD at a level whose true exposure is below the wanted) {short[0]}, boin12 {short[1]}",
        f"expected N {pk['expected_n']:.2f}, at most {pk['max_n']}; {100 * pk['overdosing']:.1f} % of patients at a "
        f"level whose true P(DLT) is above {protocol.mtd.overdose_above:g}",
    ]
    return "\n".join([*lines, *(f"assumed: {what}" for what in assumptions)])


def _say(done: int, total: int) -> None:
    print(f"{done}/{total} trials", file=sys.stderr, flush=True)
