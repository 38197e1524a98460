"""The technical criteria of a model analysis plan, each with its outcome in a run."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from kinetics.checks import By, Check, Loo, loo
from kinetics.inference import Fit
from kinetics.plot import number_text
from kinetics.submission.analysis_plan import AnalysisPlan, HeldOut

__all__ = ["CriterionOutcome", "criterion_outcomes", "read_calibration"]

Outcome = Literal["met", "not met", "not made"]


class CriterionOutcome(NamedTuple):
    """A planned criterion: what was wanted, the value in the run, the outcome and where it comes from.

    >>> kn.submission.CriterionOutcome("R-hat, worst", "< 1.01", "1.002", "met", "ka_pop").outcome
    'met'
    """

    criterion: str
    wanted: str
    value: str
    outcome: Outcome
    where: str


def criterion_outcomes(
    plan: AnalysisPlan,
    fit: Fit,
    check: Check,
    calibration: Mapping[str, Any] | None = None,
    *,
    leave_out: Callable[[Fit, By], Loo] = loo,
) -> list[CriterionOutcome]:
    """The outcome of every technical criterion of a plan in a run.

    `check` is what `kinetics.check` returns for the `fit`; a planned check that it does not hold is "not
    made". `calibration` is the summary of `kinetics sbc`, as its summary.json holds it; without one a planned
    calibration is "not made". `leave_out` leaves each record or subject out of a fit, as `kinetics.loo` does.

    >>> fit = kn.load_fit("runs/theophylline")
    >>> plan = kn.submission.AnalysisPlan(
    ...     title="Theophylline", question_of_interest="Which dose?", context_of_use="Exposure",
    ...     model_influence={"rating": "low", "reason": "an example"},
    ...     consequence_of_wrong_decision={"rating": "low", "reason": "an example"},
    ...     model_impact={"rating": "low", "reason": "an example"}, decision_rules=["none: an example"],
    ...     models=[{"plan": "theophylline"}], technical_criteria={"checks": ["failed predictions"]},
    ... )
    >>> [(o.criterion, o.outcome) for o in kn.submission.criterion_outcomes(plan, fit, kn.check(fit))]
    [('failed predictions', 'met')]
    """
    criteria = plan.technical_criteria
    outcomes = list(_checks(criteria.checks, check))
    if criteria.calibration is not None:
        outcomes.append(_calibration(criteria.calibration.replicates, fit, calibration))
    if criteria.held_out is not None:
        outcomes.append(_held_out(criteria.held_out, leave_out(fit, criteria.held_out.by)))
    return outcomes


def _checks(planned: tuple[str, ...], check: Check) -> Iterator[CriterionOutcome]:
    """The outcome of each planned check."""
    rows = {row["check"]: row for row in check.rows.to_dict("records")}
    for name in planned:
        if name not in rows:
            yield CriterionOutcome(name, "", "", "not made", "`kinetics check` of this run has no such check")
            continue
        row = rows[name]
        outcome: Outcome = "met" if row["ok"] else "not met"
        value = number_text(float(row["value"]), 4, trim=True)
        yield CriterionOutcome(name, str(row["threshold"]), value, outcome, str(row["where"]))


def _calibration(replicates: int, fit: Fit, calibration: Mapping[str, Any] | None) -> CriterionOutcome:
    """Whether the ranks of a calibration of this very model are uniform, in enough replicates."""
    name = "calibration by simulation"
    wanted = f"uniform ranks in at least {replicates} replicates"
    if calibration is None:
        return CriterionOutcome(name, wanted, "", "not made", "no summary of `kinetics sbc` (--calibration)")
    n = int(calibration["replicates"])
    verdict = "uniform" if calibration["uniform"] else "not uniform"
    value = f"{verdict}, {n} replicates"
    of_other = _calibrates_another(fit, calibration)
    if of_other:
        return CriterionOutcome(name, wanted, value, "not made", of_other)
    met = bool(calibration["uniform"]) and n >= replicates
    where = f"fit {calibration['fit']}"
    return CriterionOutcome(name, wanted, value, "met" if met else "not met", where)


def _calibrates_another(fit: Fit, calibration: Mapping[str, Any]) -> str:
    """Why a calibration does not speak for a fit; "" where it does."""
    settings = calibration.get("settings", {})
    if settings.get("wrong"):
        return f"it is of a likelihood that is wrong on purpose ({settings['wrong']})"
    if calibration["model"]["sha256"] != fit.model.sha256:
        return f"it is of another model: {calibration['model']['name']}"
    if calibration["data"]["sha256"] != fit.study.sha256:
        return f"it is of the design of other data: {calibration['data']['name']}"
    return ""


def _held_out(criterion: HeldOut, left_out: Loo) -> CriterionOutcome:
    """How many left-out units the fit cannot predict reliably."""
    count = len(left_out.unreliable)
    elpd = "no elpd: some of them have no likelihood"
    if math.isfinite(left_out.elpd):
        elpd = f"elpd {left_out.elpd:.1f} (SE {left_out.se:.1f})"
    return CriterionOutcome(
        f"prediction of a left-out {criterion.by}",
        f"at most {criterion.unreliable_at_most} unreliable",
        f"{count} of {len(left_out.units)}; {elpd}",
        "met" if count <= criterion.unreliable_at_most else "not met",
        f"worst Pareto k {number_text(left_out.worst_k)}",
    )


def read_calibration(file: Path) -> dict[str, Any]:
    """The summary of a calibration: summary.json of `kinetics sbc`, or the one kept beside a plan."""
    content = json.loads(file.read_text(encoding="utf-8"))
    return content.get("calibration", content)
