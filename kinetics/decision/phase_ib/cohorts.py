"""Phase IB: response rates of the expansion cohorts, each alone, pooled, and borrowing by EXNEX; verdicts.

A cohort goes on where P(p > null) is at least `go`, and does not where P(p > target) is less than `no_go`; p
is its response rate by the EXNEX posterior (`kinetics.decision.exnex`). Where both or neither hold, it is
undecided. Both: the rate is above the null but not as high as wanted. Neither: too few were treated to tell.

A cohort may have an interim look: with so few responses among its first patients it ends, whatever the others
say. The two-stage designs of Simon 1989 (`kinetics.decision.two_stages`) give such looks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from pandas import DataFrame, Series

from kinetics.decision.phase_ib.borrowing import Exnex, ExnexPrior, beta_answer, exnex, exnex_prior
from kinetics.errors import InputError, PlanError, Problem, StudyError, did_you_mean
from kinetics.outcomes import ResponseReading, best_by_criteria, clopper_pearson, reading_of
from kinetics.protocol import Expansion, InterimLook, Point, Protocol
from kinetics.study import Study

__all__ = [
    "CohortRates",
    "ExpansionDesign",
    "Verdict",
    "decide",
    "design_of",
    "ended_at_look",
    "expansion",
]

Verdict = Literal["go", "no go", "undecided"]
POINTS = {  # key of [expansion] -> its meaning
    "null_rate": "the response rate that is not worth it",
    "target_rate": "the response rate that is wanted",
    "go": "P(p > null) from which a cohort goes on",
    "no_go": "P(p > target) below which it does not",
    "weight": "the prior probability that a cohort is exchangeable",
    "tau_scale": "the scale of the SD between exchangeable cohorts, logit",
}
NOT_ASSESSED = ("NE", "MISSING")


@dataclass(frozen=True)
class ExpansionDesign:
    """The expansion of a protocol with nothing left open; tuples have one entry per cohort.

    `names`, planned `patients`, `null` and `target` response rates are by cohort. A cohort goes on where P(p
    > null) is at least `go`, and does not where P(p > target) is below `no_go`. `because`: key of `POINTS` ->
    the protocol's sentence for the value, "" where it has none. `looks` are the interim looks, None for a
    cohort without one.

    >>> design = kn.decision.design_of(kn.read_protocol("nkg2d_phase1_synthetic"))
    >>> design.null, design.target, design.go, design.look_at(0), design.look_lines()
    ((0.05, 0.05, 0.05, 0.05), (0.2, 0.2, 0.2, 0.2), 0.9, None, [])
    >>> print(design.assumed()[0])
    prior: logit p ~ w N(mu, tau²) + (1 - w) N(-1.95, 3.02²); w 0.5; ...
    """

    names: tuple[str, ...]
    patients: tuple[int, ...]  # planned
    null: tuple[float, ...]
    target: tuple[float, ...]
    go: float
    no_go: float
    prior: ExnexPrior
    because: Mapping[str, str]
    looks: tuple[InterimLook | None, ...] = ()

    def look_at(self, cohort: int) -> InterimLook | None:
        """The interim look at a cohort (from 0); None where it has none."""
        return self.looks[cohort] if self.looks else None

    def look_lines(self) -> list[str]:
        """When each cohort ends at its interim look, a sentence each; empty without looks."""
        lines = []
        for j, name in enumerate(self.names):
            look = self.look_at(j)
            if look is not None:
                lines.append(
                    f"{name}: after {look.patients} of {self.patients[j]} it ends with {_so_few(look)}"
                )
        return lines

    def assumed(self) -> list[str]:
        """The assumptions of every answer, a sentence each."""
        sentences = [f"prior: {self.prior}: {self.prior.source}"]
        for key, sentence in self.because.items():
            sentences.append(f"{key}: {sentence or 'without a sentence in the protocol'}")
        return sentences


def design_of(
    protocol: Protocol, *, patients: Sequence[int] | None = None, weight: float | None = None
) -> ExpansionDesign:
    """The design of a protocol's expansion; `patients` and `weight` replace those of the cohorts.

    The plausible rate of the prior is the middle of null and target, where Neuenschwander 2016 centres a
    cohort by itself. PlanError where the protocol has no [expansion], or leaves a value of it out. InputError
    where `patients` is not one number for each cohort.

    >>> protocol = kn.read_protocol("nkg2d_phase1_synthetic")
    >>> design = kn.decision.design_of(protocol)
    >>> design.names, design.patients
    (('colorectal', 'gastric', 'oesophageal', 'other'), (18, 12, 12, 9))
    """
    table = protocol.expansion
    if table is None:
        raise PlanError(
            Problem("the protocol has no table [expansion]", "add its column, cohorts, rates and thresholds")
        )
    points: dict[str, Point[float]] = {key: getattr(table, key) for key in POINTS}
    if weight is not None:
        points["weight"] = Point(value=weight, because="given in place of the protocol's")
    missing = [key for key, point in points.items() if point.value is None]
    if missing:
        raise PlanError(
            Problem(f"`expansion.{key}` is left out", f"write {POINTS[key]} and `because`") for key in missing
        )
    planned = tuple(c.patients for c in table.cohorts) if patients is None else tuple(patients)
    if len(planned) != len(table.cohorts) or min(planned) < 1:
        what = f"{len(planned)} numbers of patients for {len(table.cohorts)} cohorts"
        raise InputError(Problem(what, "give one, from 1, for each cohort"))
    values: dict[str, Any] = {key: point.value for key, point in points.items()}
    null = tuple(c.null_rate or values["null_rate"] for c in table.cohorts)
    target = tuple(c.target_rate or values["target_rate"] for c in table.cohorts)

    weights = []
    for cohort in table.cohorts:
        replaced = weight is not None or cohort.weight is None
        weights.append(values["weight"] if replaced else cohort.weight)
    plausible = [(low + high) / 2 for low, high in zip(null, target, strict=True)]
    prior = exnex_prior(plausible, weights, tau_scale=values["tau_scale"])
    prior = replace(prior, source=f"{prior.source}: the middle of null and target")
    too_late = [
        Problem(
            f"{cohort.name}: a look after {cohort.look.patients} of {n} is no interim", "give more patients"
        )
        for cohort, n in zip(table.cohorts, planned, strict=True)
        if cohort.look is not None and cohort.look.patients >= n
    ]
    if too_late:
        raise InputError(too_late)
    return ExpansionDesign(
        names=tuple(c.name for c in table.cohorts),
        patients=planned,
        null=null,
        target=target,
        go=values["go"],
        no_go=values["no_go"],
        prior=prior,
        because={key: point.because for key, point in points.items()},
        looks=tuple(c.look for c in table.cohorts),
    )


def decide(
    above_null: float, above_target: float, design: ExpansionDesign, cohort: int
) -> tuple[Verdict, str]:
    """The verdict on a cohort (from 0), and the clauses that gave it.

    `above_null` and `above_target` are P(p > null) and P(p > target).
    """
    goes = above_null >= design.go
    ends = above_target < design.no_go
    null_side = "at least" if goes else "less than"
    target_side = "less than" if ends else "at least"
    clauses = (
        f"P(p > {design.null[cohort]:g}) is {above_null:.3f}, {null_side} {design.go:g}; "
        f"P(p > {design.target[cohort]:g}) is {above_target:.3f}, {target_side} {design.no_go:g}"
    )
    if goes and ends:
        return "undecided", f"{clauses}: above the null, but not as high as wanted"
    if goes:
        return "go", clauses
    if ends:
        return "no go", clauses
    return "undecided", f"{clauses}: neither shown nor ruled out"


def _so_few(look: InterimLook) -> str:
    """The responses with which a look ends a cohort, in words."""
    if look.stop_at == 0:
        return "0 responses"
    return f"{look.stop_at} response{'s' if look.stop_at > 1 else ''} or fewer"


def ended_at_look(look: InterimLook, events: int, assessed: int, treated: int) -> tuple[bool, str]:
    """Whether a cohort ends at its interim look, and what the look says.

    `events` of the `assessed` of its `treated` patients responded. With more patients than the look has, the
    first are not told from the others: too few responses of all are too few of the first.
    """
    rule = f"the interim look after {look.patients} ends it with {_so_few(look)}"
    if events > look.stop_at:
        return False, f"{rule}: {events} of {treated} responded, so it goes on"
    if assessed >= look.patients:
        return True, f"{rule}: {events} of {assessed} assessed responded, so no more patients"
    return False, f"{rule}: {events} of {assessed} assessed so far, {look.patients - assessed} more to see"


@dataclass(frozen=True, eq=False)
class CohortRates:
    """The expansion of a study: the cohorts' response rates and the verdicts.

    `table` has one row per cohort: cohort; planned; n; events; estimate, lower, upper (Clopper-Pearson);
    mean, borrowed_lower, borrowed_upper, p_above_null, p_above_target (EXNEX); weight and p_exchangeable
    (before and after the data); alone_* and pooled_* (Jeffreys' prior, for the cohort by itself and for all
    cohorts as one: mean, lower, upper, p_above_null); verdict; why; reason (why there is no estimate).
    `look` is what the interim look says, "" for a cohort without one; one that it ends has the verdict "no
    go". `notes` say which subjects were counted. `level` is the probability of the intervals.

    >>> study, protocol = kn.read_study("nkg2d_plateau_synthetic"), kn.read_protocol("nkg2d_phase1_synthetic")
    >>> found = kn.decision.expansion(study, protocol, weight=0.0)  # nobody borrows
    >>> found.level, found.synthetic, found.posterior.mean.shape
    (0.9, True, (4,))
    """

    study: str
    sha256: str
    synthetic: bool
    level: float
    design: ExpansionDesign
    posterior: Exnex
    table: DataFrame
    notes: list[str]


def expansion(
    study: Study,
    protocol: Protocol,
    *,
    confirmed: bool = False,
    level: float = 0.9,
    weight: float | None = None,
) -> CohortRates:
    """The cohorts' rates of objective response among the treated, with intervals, and the verdicts.

    A subject who is NE or without an assessment counts as one without a response. With `confirmed`, a CR or
    PR needs a later assessment that confirms it. `level` is the probability of the intervals; `weight`
    replaces the protocol's. PlanError where [expansion] is missing or leaves a value out, StudyError where a
    subject has no cohort, InputError for a weight that is no probability.

    >>> study = kn.read_study("nkg2d_plateau_synthetic")
    >>> found = kn.decision.expansion(study, kn.read_protocol("nkg2d_phase1_synthetic"))
    >>> found.table[["cohort", "planned", "n", "events", "verdict"]]
            cohort  planned   n  events    verdict
    0   colorectal       18  10      10         go
    1      gastric       12   2       2         go
    2  oesophageal       12   1       1         go
    3        other        9   0       0  undecided
    """
    design = design_of(protocol, weight=weight)
    assert protocol.expansion is not None  # or design_of had raised
    reading = reading_of(protocol)
    subjects, notes = _counted(study, protocol.expansion, reading, confirmed)
    patients = []
    events = []
    fewer = []
    assessed = []
    for name, planned in zip(design.names, design.patients, strict=True):
        responses = subjects.loc[subjects["cohort"] == name, "response"]
        patients.append(len(responses))
        assessed.append(int((~responses.isin(NOT_ASSESSED)).sum()))
        events.append(int(responses.isin(reading.response).sum()))
        if len(responses) < planned:
            fewer.append(f"{name} {len(responses)} of {planned}")
    if fewer:
        notes.append(f"fewer than planned: {', '.join(fewer)}; characteristics are of the planned numbers")
    posterior = exnex(events, patients, design.prior)
    return CohortRates(
        study=study.name,
        sha256=study.sha256,
        synthetic=study.synthetic or protocol.synthetic,
        level=level,
        design=design,
        posterior=posterior,
        table=_table(design, posterior, level, assessed),
        notes=notes,
    )


def _table(design: ExpansionDesign, posterior: Exnex, level: float, assessed: Sequence[int]) -> DataFrame:
    """One row per cohort: its rate by four estimates, and the verdict."""
    means = posterior.mean
    low = posterior.quantile((1 - level) / 2)
    high = posterior.quantile((1 + level) / 2)
    all_events = sum(posterior.events)
    all_patients = sum(posterior.patients)
    rows = []
    for j, name in enumerate(design.names):
        events = posterior.events[j]
        n = posterior.patients[j]
        null = design.null[j]
        lower, upper = clopper_pearson(events, n, level)
        above_null = float(posterior.above(null)[j])
        above_target = float(posterior.above(design.target[j])[j])
        verdict, why = decide(above_null, above_target, design, j)
        if not n:
            verdict = "undecided"
            why = "no treated patient: what is said of it is the other cohorts' and the prior's"
        look = design.look_at(j)
        look_says = ""
        if look is not None:
            ends, look_says = ended_at_look(look, events, assessed[j], n)
            if ends:
                verdict = "no go"
                why = look_says
        row = {
            "cohort": name,
            "planned": design.patients[j],
            "n": n,
            "events": events,
            "estimate": events / n if n else np.nan,
            "lower": lower,
            "upper": upper,
            "mean": means[j],
            "borrowed_lower": low[j],
            "borrowed_upper": high[j],
            "p_above_null": above_null,
            "p_above_target": above_target,
            "weight": design.prior.weight[j],
            "p_exchangeable": float(posterior.exchangeable[j]),
        }
        row |= _jeffreys_columns("alone", events, n, level, null)
        row |= _jeffreys_columns("pooled", all_events, all_patients, level, null)
        row |= {"verdict": verdict, "why": why, "look": look_says}
        row["reason"] = "" if n else "no treated subject"
        rows.append(row)
    return DataFrame(rows)


def _jeffreys_columns(prefix: str, events: int, n: int, level: float, null: float) -> dict[str, float]:
    """The columns of the answer by Jeffreys' prior; NaN where nobody was treated."""
    answer = beta_answer(events, n, level, null) if n else (np.nan,) * 4
    names = ("mean", "lower", "upper", "p_above_null")
    return {f"{prefix}_{name}": value for name, value in zip(names, answer, strict=True)}


def _counted(
    study: Study, table: Expansion, reading: ResponseReading, confirmed: bool
) -> tuple[DataFrame, list[str]]:
    """The treated subjects of the expansion with their cohort and best response; notes on who they are."""
    missing = [column for column in (table.column, *table.only) if column not in study.subjects.columns]
    if missing:
        names = list(map(str, study.subjects.columns))
        raise StudyError(
            Problem(
                f"no column {column!r}, which [expansion] names",
                did_you_mean(column, names),
                file="subjects.csv",
            )
            for column in missing
        )
    responses = best_by_criteria(study, reading, confirmed, by=table.column)
    selected = Series(True, index=study.subjects.index)
    for column, value in table.only.items():
        selected &= study.subjects[column].astype(str) == value
    in_expansion = responses["subject"].map(selected).astype(bool).to_numpy()
    counted = in_expansion & responses["treated"].to_numpy(bool)
    if not counted.any():
        what = f"no treated subject with {', '.join(f'{c} = {v}' for c, v in table.only.items())}"
        raise StudyError(Problem(what, "mend `expansion.only`, or wait for the first", file="subjects.csv"))

    # every subject belongs to a cohort, or to the cohort of all others
    cohorts = [cohort.name for cohort in table.cohorts]
    subjects = responses[counted].assign(cohort=lambda t: t[table.column].astype(str))
    strays = subjects[~subjects["cohort"].isin(cohorts)]
    if len(strays) and not table.others:
        remedy = f"one of {', '.join(cohorts)}, or let `expansion.others` name the cohort of all others"
        raise StudyError(
            Problem(
                "belongs to no cohort",
                remedy,
                file="subjects.csv",
                row=int(i) + 2,  # type: ignore[arg-type]
                subject=subject,
                column=table.column,
                value=str(value),
            )
            for i, subject, value in zip(strays.index, strays["subject"], strays["cohort"], strict=True)
        )
    subjects.loc[strays.index, "cohort"] = table.others
    return subjects, _notes(study, table, subjects, strays, confirmed)


def _notes(
    study: Study, table: Expansion, subjects: DataFrame, strays: DataFrame, confirmed: bool
) -> list[str]:
    """Who was counted, a sentence each."""
    notes = [f"{len(subjects)} treated subjects; {'confirmed' if confirmed else 'unconfirmed'} responses"]
    if table.only:
        notes.append("only subjects with " + ", ".join(f"{c} = {v}" for c, v in table.only.items()))
    else:
        notes.append("`expansion.only` names nobody: every treated subject counts, those of phase IA too")
    if "dose_level" in study.subjects.columns:
        levels = study.subjects.loc[subjects["subject"], "dose_level"].nunique()
        if levels > 1:
            notes.append(
                f"they had {levels} dose levels, taken together here: phase IB has one, the recommended"
            )
    if len(strays):
        notes.append(f"in {table.others!r}: {', '.join(sorted(set(strays['cohort'])))}")
    return notes
