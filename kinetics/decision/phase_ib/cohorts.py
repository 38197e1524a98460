"""Phase IB: response rates of the expansion cohorts, each by itself, all as one, and borrowing by EXNEX; go
or no go.

A cohort goes on where P(p > null) is at least `go`, and does not where P(p > target) is less than `no_go`, p
being its response rate by the EXNEX posterior (`kinetics.decision.exnex`). Where both or neither hold it is
undecided: both say that the rate is above the null but not as high as was wanted, neither that too few were
treated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from pandas import DataFrame, Series

from kinetics.decision.phase_ib.borrowing import Exnex, ExnexPrior, beta_answer, exnex, exnex_prior
from kinetics.errors import InputError, PlanError, Problem, StudyError, did_you_mean
from kinetics.outcomes import best_responses, clopper_pearson
from kinetics.protocol import Expansion, Point, Protocol
from kinetics.study import Study

__all__ = ["CohortRates", "ExpansionDesign", "Verdict", "decide", "design_of", "expansion"]

Verdict = Literal["go", "no go", "undecided"]
POINTS = {  # key of [expansion] -> what it is
    "null_rate": "the response rate that is not worth it",
    "target_rate": "the response rate that is wanted",
    "go": "P(p > null) from which a cohort goes on",
    "no_go": "P(p > target) below which it does not",
    "weight": "the prior probability that a cohort is exchangeable",
    "tau_scale": "the scale of the SD between exchangeable cohorts, logit",
}
RESPONDED = ("CR", "PR")


@dataclass(frozen=True)
class ExpansionDesign:
    """The expansion of a protocol with nothing left open; tuples have one entry a cohort.

    `because`: the protocol's sentence for every value of `POINTS`, "" where it has none. `names`, planned
    `patients`, `null` and `target` response rates by cohort; a cohort goes on where P(p > null) is above
    `go`, and does not where P(p > target) is below `no_go`.

    >>> design = kn.decision.design_of(kn.read_protocol("nkg2d_phase1_synthetic"))
    >>> design.null, design.target, design.go
    ((0.05, 0.05, 0.05, 0.05), (0.2, 0.2, 0.2, 0.2), 0.9)
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

    def assumed(self) -> list[str]:
        """What every answer stands on, a sentence each."""
        said = [
            f"{key}: {sentence or 'without a sentence in the protocol'}"
            for key, sentence in self.because.items()
        ]
        return [f"prior: {self.prior}: {self.prior.source}", *said]


def design_of(
    protocol: Protocol, *, patients: Sequence[int] | None = None, weight: float | None = None
) -> ExpansionDesign:
    """The expansion of a protocol; `patients` and `weight` take the place of the cohorts' own.

    The plausible rate of the prior is the middle of null and target, where Neuenschwander 2016 centres a
    cohort of its own. PlanError where the protocol has no [expansion], or leaves a value of it out.
    InputError where `patients` are not one number for each cohort.

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
    value: dict[str, Any] = {key: point.value for key, point in points.items()}
    null = tuple(c.null_rate or value["null_rate"] for c in table.cohorts)
    target = tuple(c.target_rate or value["target_rate"] for c in table.cohorts)
    own = [c.weight if weight is None else None for c in table.cohorts]
    plausible = [(a + b) / 2 for a, b in zip(null, target, strict=True)]
    weights = [value["weight"] if w is None else w for w in own]
    prior = exnex_prior(plausible, weights, tau_scale=value["tau_scale"])
    prior = replace(prior, source=f"{prior.source}: the middle of null and target")
    because = {key: point.because for key, point in points.items()}
    names = tuple(c.name for c in table.cohorts)
    return ExpansionDesign(names, planned, null, target, value["go"], value["no_go"], prior, because)


def decide(
    above_null: float, above_target: float, design: ExpansionDesign, cohort: int
) -> tuple[Verdict, str]:
    """The verdict on a cohort (from 0), and the clauses that gave it."""
    goes = above_null >= design.go
    ends = above_target < design.no_go
    said = (
        f"P(p > {design.null[cohort]:g}) is {above_null:.3f}, {'at least' if goes else 'less than'} {design.go:g}; "
        f"P(p > {design.target[cohort]:g}) is {above_target:.3f}, {'less than' if ends else 'at least'} "
        f"{design.no_go:g}"
    )
    if goes and ends:
        return "undecided", f"{said}: above the null, but not as high as wanted"
    if not goes and not ends:
        return "undecided", f"{said}: neither shown nor ruled out"
    return ("go" if goes else "no go"), said


@dataclass(frozen=True, eq=False)
class CohortRates:
    """The expansion of a study. `table` has a row a cohort; `notes` say who was counted.

    cohort; planned; n; events; estimate, lower, upper (Clopper-Pearson); mean, borrowed_lower,
    borrowed_upper, p_above_null, p_above_target (EXNEX); weight and p_exchangeable (before and after the
    data); alone_* and pooled_* (Jeffreys' prior: the cohort by itself, all cohorts as one: mean, lower,
    upper, p_above_null); verdict; why; reason (why there is no estimate). `level` is the probability of the
    intervals.

    >>> study = kn.read_study("nkg2d_plateau_synthetic")
    >>> found = kn.decision.expansion(study, kn.read_protocol("nkg2d_phase1_synthetic"), weight=0.0)  # nobody borrows
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
    """The cohorts' rates of objective response among the treated, intervals of `level`, and the verdicts.

    Who is NE or without an assessment counts as without a response; `weight` takes the place of the
    protocol's. PlanError where [expansion] is missing or leaves a value out, StudyError where a subject has
    no cohort. InputError for a weight that is no probability.

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
    assert protocol.expansion is not None  # design_of has looked
    found, notes = _counted(study, protocol.expansion, confirmed)
    patients = tuple(int((found["cohort"] == name).sum()) for name in design.names)
    events = tuple(
        int(found.loc[found["cohort"] == n, "response"].isin(RESPONDED).sum()) for n in design.names
    )
    early = [
        f"{name} {n} of {m}"
        for name, n, m in zip(design.names, patients, design.patients, strict=True)
        if n < m
    ]
    if early:
        notes.append(f"fewer than planned: {', '.join(early)}; characteristics are of the planned numbers")
    posterior = exnex(events, patients, design.prior)
    table = _table(design, posterior, level)
    synthetic = study.synthetic or protocol.synthetic
    return CohortRates(study.name, study.sha256, synthetic, level, design, posterior, table, notes)


def _table(design: ExpansionDesign, posterior: Exnex, level: float) -> DataFrame:
    means = posterior.mean
    low = posterior.quantile((1 - level) / 2)
    high = posterior.quantile((1 + level) / 2)
    total = sum(posterior.events), sum(posterior.patients)
    rows = []
    for j, name in enumerate(design.names):
        y = posterior.events[j]
        n = posterior.patients[j]
        lower, upper = clopper_pearson(y, n, level)
        null = float(posterior.above(design.null[j])[j])
        target = float(posterior.above(design.target[j])[j])
        verdict, why = decide(null, target, design, j)
        if not n:
            verdict = "undecided"
            why = "no treated patient: what is said of it is the other cohorts' and the prior's"
        row = {
            "cohort": name,
            "planned": design.patients[j],
            "n": n,
            "events": y,
            "estimate": y / n if n else np.nan,
            "lower": lower,
            "upper": upper,
            "mean": means[j],
            "borrowed_lower": low[j],
            "borrowed_upper": high[j],
            "p_above_null": null,
            "p_above_target": target,
            "weight": design.prior.weight[j],
            "p_exchangeable": float(posterior.exchangeable[j]),
        }
        row |= _beside("alone", (y, n), level, design.null[j]) | _beside(
            "pooled", total, level, design.null[j]
        )
        rows.append(row | {"verdict": verdict, "why": why, "reason": "" if n else "no treated subject"})
    return DataFrame(rows)


def _beside(key: str, counted: tuple[int, int], level: float, null: float) -> dict[str, float]:
    """The answer of Jeffreys' prior; NaN where nobody was treated."""
    answer = beta_answer(*counted, level, null) if counted[1] else (np.nan,) * 4
    return {f"{key}_{k}": v for k, v in zip(("mean", "lower", "upper", "p_above_null"), answer, strict=True)}


def _counted(study: Study, table: Expansion, confirmed: bool) -> tuple[DataFrame, list[str]]:
    """The treated subjects of the expansion with their cohort and best response; who they are, in words."""
    missing = [c for c in (table.column, *table.only) if c not in study.subjects.columns]
    if missing:
        known = list(map(str, study.subjects.columns))
        raise StudyError(
            Problem(f"no column {c!r}, which [expansion] names", did_you_mean(c, known), file="subjects.csv")
            for c in missing
        )
    responses = best_responses(study, confirmed, by=table.column)
    own = Series(True, index=study.subjects.index)
    for column, value in table.only.items():
        own &= study.subjects[column].astype(str) == value
    chosen = responses["subject"].map(own).astype(bool).to_numpy() & responses["treated"].to_numpy(bool)
    if not chosen.any():
        what = f"no treated subject with {', '.join(f'{c} = {v}' for c, v in table.only.items())}"
        raise StudyError(Problem(what, "mend `expansion.only`, or wait for the first", file="subjects.csv"))
    names = [cohort.name for cohort in table.cohorts]
    found = responses[chosen].assign(cohort=lambda t: t[table.column].astype(str))
    strays = found[~found["cohort"].isin(names)]
    if len(strays) and not table.others:
        remedy = f"one of {', '.join(names)}, or let `expansion.others` name the cohort of all others"
        raise StudyError(
            Problem("belongs to no cohort", remedy, "subjects.csv", int(i) + 2, s, table.column, str(value))  # type: ignore[arg-type]
            for i, s, value in zip(strays.index, strays["subject"], strays["cohort"], strict=True)
        )
    found.loc[strays.index, "cohort"] = table.others
    return found, _notes(study, table, found, strays, confirmed)


def _notes(study: Study, table: Expansion, found: DataFrame, strays: DataFrame, confirmed: bool) -> list[str]:
    notes = [f"{len(found)} treated subjects; {'confirmed' if confirmed else 'unconfirmed'} responses"]
    if table.only:
        notes.append("only subjects with " + ", ".join(f"{c} = {v}" for c, v in table.only.items()))
    else:
        notes.append("`expansion.only` names nobody: every treated subject counts, those of phase IA too")
    if "dose_level" in study.subjects.columns:
        levels = study.subjects.loc[found["subject"], "dose_level"].nunique()
        if levels > 1:
            notes.append(
                f"they had {levels} dose levels, taken together here: phase IB has one, the recommended"
            )
    if len(strays):
        notes.append(f"in {table.others!r}: {', '.join(sorted(set(strays['cohort'])))}")
    return notes
