"""`kinetics design trials --rule joint` and `--rule recommend`: designs compared on the same patients.

The joint rule, the joint model's recommendation after a trial of the protocol's rule, that rule's MTD, BOIN12
and PKBOIN-12, under truths of the command line or under the shipped ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import log, log1p, sqrt
from pathlib import Path
from typing import Any

from pandas import DataFrame

from kinetics.decision import (
    MEAN_S,
    RANDOM,
    ComparedDesigns,
    Truth,
    compare_designs,
    middle_level,
    setting_of,
    truth_problems,
)
from kinetics.errors import PlanError, Problem
from kinetics.protocol import CODINGS, Protocol, assumed, rule_name, stated

__all__ = ["COMPARED", "Asked", "design_comparison"]

COMPARED = ("joint", "recommend")
TRIALS = 500  # default number of trials, and of random truths
SHIPPED = "shipped"


@dataclass(frozen=True)
class Asked:
    """What the command line says of the truth: numbers one a level, empty where an option is not there.

    `cv` is in percent, `trigger` P(a trigger without a DLT). `truths` is "shipped", or empty.
    """

    truths: str
    dlt: Sequence[float]
    response: Sequence[float]
    trigger: Sequence[float]
    exposure: Sequence[float]
    cv: float
    wanted: float | None


def design_comparison(
    protocol: Protocol,
    rule: str,
    asked: Asked,
    *,
    limit: float | None,
    trials: int | None,
    seed: int,
    folder: Path | None,
    jobs: int,
    report: Callable[[int, int], None],
) -> tuple[dict[str, Any], str]:
    """The answer and the text of designs compared. PlanError with every number that cannot be true."""
    setting = setting_of(protocol, limit)
    limit = setting.joint.limit
    truth = None
    if not asked.truths:
        if problems := list(_problems(protocol, asked)):
            raise PlanError(problems)
        truth = _truth(protocol, asked, limit)
        if asked.exposure:
            wanted = asked.wanted or asked.exposure[middle_level(protocol.levels) - 1]
            setting = setting_of(protocol, limit, wanted)
    count = trials or TRIALS
    compared = compare_designs(
        setting, truth, trials=count, seed=seed, folder=folder, jobs=jobs, report=report
    )
    designs = [rule, *(name for name in compared.designs if name != rule)]
    assumptions = list(_assumptions(protocol, asked, setting.wanted, setting.joint.most))
    assumptions += assumed(setting.joint, protocol)
    names = [protocol.level_name(i) for i in range(1, len(protocol.levels) + 1)]
    answer: dict[str, Any] = {
        "protocol": protocol.title,
        "rule": rule,
        "method": "simulation, every design on the same patients",
        "trials": count,
        "seed": seed,
        "levels": names,
        "limit": limit,
        "planned_n": setting.joint.most,
        "truths": {
            name: {
                "designs": {design: compared.of(design, name) for design in designs},
                "gain": {
                    other: dict(zip(("right", "error"), compared.gain(rule, other, name), strict=True))
                    for other in designs
                    if other != rule
                },
            }
            for name in compared.truths
        },
        "stated": stated(protocol, "joint"),
        "assumed": assumptions,
        "folder": None if folder is None else str(folder),
    }
    if truth is not None:
        answer |= {
            "true_dlt": list(truth.dlt),
            "true_response": list(truth.response),
            "true_exposure": list(asked.exposure) or None,
            "utility": list(truth.utility),
            "best": truth.best,
        }
    lines = [
        protocol.title,
        f"{count} simulated trials{'' if truth else ' a truth'}, seed {seed}, every design on the same "
        f"patients, at most {setting.joint.most}; standard errors in brackets",
        *_truth_lines(names, truth, limit),
        *_tables(compared, designs),
        *_gain_lines(compared, rule, designs),
        *(f"protocol: {line}" for line in stated(protocol, "joint")),
        *(f"assumed: {line}" for line in assumptions),
    ]
    return answer, "\n".join(lines)


def _problems(protocol: Protocol, asked: Asked) -> Iterator[Problem]:
    """Every number of the command line that cannot be true of the protocol's levels."""
    yield from truth_problems(
        len(protocol.levels),
        dlt=asked.dlt,
        response=asked.response,
        trigger=asked.trigger,
        exposure=asked.exposure,
        cv=asked.cv / 100,
    )
    if asked.wanted is not None and not asked.wanted > 0:
        yield Problem(f"a mean exposure wanted of {asked.wanted:g}", "write a number above 0")


def _truth(protocol: Protocol, asked: Asked, limit: float) -> Truth:
    """The truth that the command line gives."""
    weights = setting_of(protocol, limit).joint.utilities
    sd = sqrt(log1p((asked.cv / 100) ** 2))
    triggers = list(asked.trigger) * len(asked.dlt) if len(asked.trigger) == 1 else asked.trigger
    without_dlt = [t / (1 - p) if p < 1 else 0.0 for t, p in zip(triggers, asked.dlt, strict=True)]
    return Truth(
        "the truth given",
        tuple(asked.dlt),
        tuple(asked.response),
        limit,
        weights,
        log_exposure=tuple(log(mean) - sd**2 / 2 for mean in asked.exposure),
        exposure_sd=sd,
        trigger=tuple(without_dlt),
    )


def _assumptions(protocol: Protocol, asked: Asked, wanted: float, most: int) -> Iterator[str]:
    """What the simulation stands on that nobody gave, a sentence each."""
    yield "DLT, CRS grade, response and its depth of a patient are known before the next decision"
    if rule_name(protocol) in CODINGS:
        rest = "its MTD is then the highest level that could be one"
        yield f"the protocol's rule ends with {most} patients at most; {rest}"
    yield "within a level the log odds of DLT and response rise by 0.8 per SD of ln exposure"
    yield "CRS grades by proportional odds, depth of response normal, SD 25 % (guesses)"
    if asked.truths:
        yield "a titration trigger in 15 % of the patients without a DLT; exposures of a CV of 100 %"
    if asked.truths or asked.exposure:
        is_true = "" if asked.wanted else ", the true one at the level nearest the ladder's middle"
        yield f"mean exposure wanted by PKBOIN-12 {wanted:.4g}{is_true}"
    else:
        yield "nobody's exposure is measured: without it PKBOIN-12 is BOIN12"


def _truth_lines(names: Sequence[str], truth: Truth | None, limit: float) -> Iterator[str]:
    """The truth, and which level is right."""
    right = "right is the level of highest utility among those with a true P(DLT) of at most"
    if truth is None:
        yield f"truths: the shipped scenarios, {MEAN_S} (their mean) and {RANDOM} (random truths)"
        yield "levels: " + ", ".join(f"{i} = {name}" for i, name in enumerate(names, start=1))
        yield f"{right} {limit:g}; none where nobody responds"
        return
    rows = [
        (f"{i} = {name}", f"{t:g}", f"{r:g}", f"{u:.1f}")
        for i, (name, t, r, u) in enumerate(
            zip(names, truth.dlt, truth.response, truth.utility, strict=True), start=1
        )
    ]
    yield DataFrame(rows, columns=["level", "true P(DLT)", "true P(response)", "utility"]).to_string(
        index=False
    )
    best = f"level {truth.best}" if truth.best else "none, because nobody responds or all are above it"
    yield f"{right} {limit:g}: {best}"


def _tables(compared: ComparedDesigns, designs: Sequence[str]) -> Iterator[str]:
    """What the designs select, and whom they treat."""
    selected = []
    treated = []
    levels = range(1, compared.levels + 1)
    for truth in compared.truths:
        for design in designs:
            own = compared.of(design, truth)
            label = {"truth": truth} if len(compared.truths) > 1 else {}
            p_found = zip(own["p_found"], own["p_found_error"], strict=True)
            selected.append(
                label
                | {
                    "design": design,
                    "right %": _percent(own["right"], own["right_error"]),
                    "utility lost": f"{own['lost']:.2f} ({own['lost_error']:.2f})",
                    "over limit %": _percent(own["over"], own["over_error"]),
                }
                | {
                    f"{name} %": _percent(p, error)
                    for name, (p, error) in zip(["none", *levels], p_found, strict=True)
                }
            )
            counts = zip(own["patients_by_level"], own["dlts_by_level"], strict=True)
            treated.append(
                label
                | {"design": design, "patients": f"{own['expected_n']:.1f}"}
                | {"over limit": f"{own['patients_above']:.2f}", "DLTs": f"{own['expected_dlt']:.2f}"}
                | {
                    f"at {level}": f"{n:.1f} ({dlts:.2f})"
                    for level, (n, dlts) in zip(levels, counts, strict=True)
                }
            )
    yield "selected, in percent of the trials:"
    yield DataFrame(selected).to_string(index=False)
    yield "treated, patients a trial (in brackets DLTs):"
    yield DataFrame(treated).to_string(index=False)


def _gain_lines(compared: ComparedDesigns, rule: str, designs: Sequence[str]) -> Iterator[str]:
    """By how much a design is right more often than the others."""
    for truth in compared.truths:
        if len(compared.truths) > 1 and truth not in (MEAN_S, RANDOM):
            continue
        others = []
        for other in designs:
            if other != rule:
                gain, error = compared.gain(rule, other, truth)
                others.append(f"{100 * gain:+.1f} ({100 * error:.1f}) against {other}")
        yield f"{truth}: {rule} is right in % of the trials more often by {', '.join(others)}"


def _percent(share: float, error: float) -> str:
    return f"{100 * share:.1f} ({100 * error:.1f})"
