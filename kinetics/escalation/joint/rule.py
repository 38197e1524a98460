"""The dose rule of the joint model: which level next, when to stop, and which level to recommend.

Before every cohort a level may be treated where P(its P(DLT) is above the limit) is below `bound`, where it
is at most one above the highest tried, and where no level below it is closed. A level is closed as in a 3+3:
more than `allowed` DLTs among at most `needed` patients, and beyond them a share of DLTs at or above the
limit. The closed level itself is judged by its P(over the limit); with `shut` it is shut like those above it.

Of these levels the one is treated whose expected utility plus `explore` SDs / sqrt(1 + patients there) is
greatest: a level of which little is known gets the benefit of the doubt. The trial stops where no level may
be treated, where no admissible level is likely to have responses, where one level is best almost surely, or
at `most` patients. The level recommended has the greatest expected utility of those that have evaluable
patients and may be treated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Bool

from kinetics.escalation.boin12 import Utilities
from kinetics.escalation.history import Cohort, Decision, check_history, tallies
from kinetics.escalation.joint.patients import Seen, patients_of_cohorts
from kinetics.escalation.joint.posterior import DRAWS, JointPosterior, joint_posterior
from kinetics.escalation.joint.prior import JointPrior
from kinetics.escalation.titration import Titration

__all__ = ["Joint", "JointDecision"]

Reason = Literal["start", "treat", "wait", "full", "safety", "futility", "certain"]


@dataclass(frozen=True, eq=False)
class JointDecision:
    """What the joint rule decides, and what it decided it from.

    `reason`: "start", "treat", "wait" (for open windows), or why the trial stops: "full" (all patients),
    "safety", "futility", "certain". `admissible`: the levels that may be treated now; `eligible`: those that
    may be recommended; `why_not`: for every level, why it may not be recommended ("" where it may).
    `recommended` is the level that would be recommended if the trial ended now, 0 for none. `backfill`: lower
    levels that may take patients meanwhile. `posterior` is the one of the joint model.

    >>> from kinetics.escalation import Joint, Seen
    >>> seen = [Seen(1, dlt=False, response=True)] * 3 + [Seen(2, dlt=True, response=True)] * 3
    >>> found = Joint(doses=(1.5e7, 3e7, 5e7)).decide_on(seen)
    >>> found.reason, found.decision.level, found.recommended, found.backfill
    ('treat', 1, 1, ())
    >>> found.admissible.tolist(), found.eligible.tolist()
    ([True, False, False], [True, False, False])
    >>> found.why_not[2], bool(found.posterior.p_over[1] > 0.4)
    ('level 2 is closed: 3 of 3 evaluable with a DLT', True)
    """

    decision: Decision
    reason: Reason
    posterior: JointPosterior
    admissible: Bool[np.ndarray, " level"]
    eligible: Bool[np.ndarray, " level"]
    why_not: tuple[str, ...]
    recommended: int
    backfill: tuple[int, ...]


@dataclass(frozen=True)
class Joint:
    """The joint rule on levels of these `doses`, lowest first, in one unit.

    `utilities`: the weights of the four outcomes; `limit`: the highest acceptable P(DLT); `cohort` and
    `most`: patients at a time and in all; `titration`: how the trial begins. `needed` and `allowed` close
    levels as in a 3+3, and `shut` shuts a closed level altogether. `bound`: P(over the limit) at which a
    level is not admissible; `explore`: SDs of utility that a level without patients gets as the benefit of
    the doubt. A trial is futile where after `least` patients with a known response no admissible level has
    P(P(response) > `response`) of at least `futile`. It is certain where a level with `needed` patients is
    best with a probability of `certain`. `draws` curves are drawn from the `prior`. The trial begins at the
    level `start` and sends nobody below `lowest`. The defaults are this project's, chosen on simulated trials
    (`python -m bench.decision`).

    >>> from kinetics.escalation import Cohort, Joint
    >>> rule = Joint(doses=(1.5e7, 3e7, 5e7, 7e7))
    >>> rule.decide([]).level, rule.decide([Cohort(1, 3, responses=0), Cohort(2, 3, responses=2)]).level
    (1, 3)
    >>> rule.levels, rule.trigger_levels, rule.most, rule.bound, rule.posterior([]).limit
    (4, frozenset(), 18, 0.4, 0.33)
    >>> rule.decide_on([]).reason, rule.is_futile(rule.posterior([]), np.ones(4, bool), known=9)
    ('start', False)
    >>> rule.best(rule.posterior([]), np.zeros(4, bool), known=0)
    0
    """

    order_matters: ClassVar[bool] = False
    last_cohort_matters: ClassVar[bool] = False
    doses: tuple[float, ...]
    utilities: Utilities = field(default_factory=Utilities)
    limit: float = 0.33
    cohort: int = 3
    most: int = 18
    titration: Titration | None = None
    needed: int = 6
    allowed: int = 1
    bound: float = 0.40
    explore: float = 1.0
    least: int = 9
    response: float = 0.10
    futile: float = 0.25
    certain: float = 0.95
    shut: bool = False
    start: int = 1
    lowest: int = 1
    prior: JointPrior = field(default_factory=JointPrior)
    draws: int = DRAWS

    @property
    def levels(self) -> int:
        """How many dose levels there are."""
        return len(self.doses)

    @property
    def trigger_levels(self) -> frozenset[int]:
        """The levels at which its titration may run."""
        return self.titration.at if self.titration else frozenset()

    def decide(self, history: Sequence[Cohort]) -> Decision:
        """The decision after these cohorts, from their counts alone."""
        check_history(history, self.levels)
        triggers = sum(c.triggers for c in history)
        return self.decide_on(patients_of_cohorts(history), triggers=triggers).decision

    def posterior(self, patients: Sequence[Seen]) -> JointPosterior:
        """The posterior after these patients."""
        return joint_posterior(
            patients, self.doses, self.utilities, limit=self.limit, prior=self.prior, draws=self.draws
        )

    def is_futile(self, posterior: JointPosterior, levels: Bool[np.ndarray, " level"], known: int) -> bool:
        """Whether none of these levels is likely to have responses, from `known` known responses."""
        if known < self.least:
            return False
        chances = posterior.p_response_above(self.response)[levels]
        return bool(len(chances) and chances.max() < self.futile)

    def best(self, posterior: JointPosterior, levels: Bool[np.ndarray, " level"], known: int) -> int:
        """The one of these levels to recommend, from `known` known responses; 0 for none.

        It has the greatest expected utility. None is recommended where no response is likely.
        """
        if not levels.any() or self.is_futile(posterior, levels, known):
            return 0
        return int(np.argmax(np.where(levels, posterior.utility, -np.inf))) + 1

    def decide_on(self, patients: Sequence[Seen], *, triggers: int | None = None) -> JointDecision:
        """The decision after these patients, with all that is known of each.

        `triggers`: the titration triggers so far, if not those of the patients.
        """
        posterior = self.posterior(patients)
        if triggers is None:
            triggers = sum(p.trigger for p in patients)
        trial = _Trial(self, patients, posterior, triggers)
        decision, reason = trial.decided()
        return JointDecision(
            decision=decision,
            reason=reason,
            posterior=posterior,
            admissible=trial.admissible,
            eligible=trial.eligible,
            why_not=trial.why_not(),
            recommended=0 if reason == "futility" else trial.recommended(),
            backfill=trial.backfill(decision),
        )


class _Trial:
    """A trial at one moment, as the joint rule sees it."""

    def __init__(
        self, rule: Joint, patients: Sequence[Seen], posterior: JointPosterior, triggers: int
    ) -> None:
        self.rule = rule
        self.posterior = posterior
        self.triggers = triggers
        levels = np.arange(1, rule.levels + 1)
        at = np.array([p.level for p in patients], int)
        self.treated = np.array([np.sum(at == level) for level in levels])
        seen = np.array([p.dlt is not None and p.followed >= 1 for p in patients], bool)
        waiting = np.array([p.dlt is False and p.followed < 1 for p in patients], bool)
        had_dlt = np.array([bool(p.dlt) for p in patients], bool)
        self.evaluable = np.array([np.sum(seen & (at == level)) for level in levels])
        self.pending = np.array([np.sum(waiting & (at == level)) for level in levels])
        self.dlts = np.array([np.sum(had_dlt & (at == level)) for level in levels])
        self.responses_known = sum(p.response is not None for p in patients)
        self.highest = int(at.max()) if len(at) else 0
        self.closed = self._closed()
        self.p_over = posterior.p_over

        below_closed = levels < self.closed if rule.shut else levels <= self.closed
        in_escalation = levels >= rule.lowest
        self.safe = (self.p_over < rule.bound) & below_closed & in_escalation
        self.admissible = self.safe & (levels <= max(self.highest + 1, rule.start))
        self.eligible = self.safe & (self.evaluable > 0)

    def _closed(self) -> int:
        """The lowest closed level; one above the highest where none is."""
        rule = self.rule
        few = self.evaluable <= rule.needed
        share = self.dlts / np.maximum(self.evaluable, 1)
        closed = (self.dlts > rule.allowed) & (few | (share >= rule.limit))
        return int(np.argmax(closed)) + 1 if closed.any() else rule.levels + 1

    def recommended(self) -> int:
        """The level to recommend if the trial ended now; 0 for none."""
        return self.rule.best(self.posterior, self.eligible, self.responses_known)

    def why_not(self) -> tuple[str, ...]:
        """For every level why it may not be recommended; "" where it may."""
        reasons = []
        for level in range(1, self.rule.levels + 1):
            p = self.p_over[level - 1]
            if self.eligible[level - 1]:
                reasons.append("")
            elif level > self.closed or (level == self.closed and self.rule.shut):
                below = f"level {self.closed} is closed"
                reasons.append(f"{below}: {self._counted(self.closed)}")
            elif level < self.rule.lowest:
                reasons.append("below the escalation: for patients whose product falls short")
            elif p >= self.rule.bound:
                reasons.append(f"{_percent(p)} likely to be over the limit")
            else:
                reasons.append("nobody there is evaluable")
        return tuple(reasons)

    def decided(self) -> tuple[Decision, Reason]:
        """The decision and its reason."""
        rule = self.rule
        n = int(self.treated.sum())
        if self.highest < rule.lowest:
            return self._start(), "start"
        if rule.titration:
            counts = tallies(self._cohorts(), rule.levels)
            titrated = rule.titration.decide(counts, rule.levels, rule.cohort)
            if titrated and titrated.titrating:
                return titrated, "treat"
        if not self.admissible.any():
            return self._end("no level may be treated: " + self._unsafe_clause()), "safety"
        if rule.is_futile(self.posterior, self.safe | self.admissible, self.responses_known):
            bar = f"P(response above {_percent(rule.response)}) is below {_percent(rule.futile)}"
            return self._end(f"futility: {bar} at every level that may be treated", found=False), "futility"
        if n >= rule.most:
            if self.pending.any():
                return self._wait(self.highest, "all patients are treated"), "wait"
            return self._end(f"all {rule.most} patients are treated"), "full"
        if self._certain() and not self.pending.any():
            best = self.recommended()
            p = self.posterior.p_best(self.eligible)[best - 1]
            return self._end(f"level {best} is the best with a probability of {_percent(p)}"), "certain"
        return self._treat(n)

    def _start(self) -> Decision:
        size = self.rule.titration.size if self.rule.titration else self.rule.cohort
        start = self.rule.start
        why = f"the trial begins with {size} at level {start}"
        return Decision(
            "treat", why, "nothing: nobody was treated yet", start, size, titrating=bool(self.rule.titration)
        )

    def _treat(self, n: int) -> tuple[Decision, Reason]:
        """The next cohort, or the wait for open windows that it needs."""
        rule = self.rule
        values = self._value()
        level = int(np.argmax(np.where(self.admissible, values, -np.inf))) + 1
        watched = min(level, self.highest)
        if self.pending[watched - 1] > self.evaluable[watched - 1]:
            return self._wait(watched, f"level {level} is next, but most patients at level {watched}"), "wait"
        utility = self.posterior.utility[level - 1]
        known = self.posterior.p_over[level - 1]
        choices = ", ".join(str(i + 1) for i in np.flatnonzero(self.admissible))
        what = "highest expected utility, with the benefit of the doubt,"
        why = f"level {level} has the {what} of levels {choices}: {utility:.0f}; {self._over_clause(known)}"
        after = self.posterior.p_over_after_dlt()[level - 1]
        would = f"one more DLT there would make it {_percent(after)}"
        return Decision("treat", why, would, level=level, size=min(rule.cohort, rule.most - n)), "treat"

    def _value(self) -> np.ndarray:
        """Expected utility, and the benefit of the doubt."""
        spread = self.posterior.utility_draws.std(axis=0)
        return self.posterior.utility + self.rule.explore * spread / np.sqrt(1 + self.treated)

    def backfill(self, decision: Decision) -> tuple[int, ...]:
        """Lower levels that may take patients meanwhile: tried, safe, and perhaps as good as any."""
        if decision.action == "stop" or decision.level is None:
            return ()
        near = self.posterior.p_near_best(self.admissible) if self.admissible.any() else self.p_over * 0
        below = np.arange(1, self.rule.levels + 1) < decision.level
        return tuple((np.flatnonzero(self.eligible & below & (near >= WORTH_BACKFILL)) + 1).tolist())

    def _certain(self) -> bool:
        best = self.recommended()
        if best == 0 or self.evaluable[best - 1] < self.rule.needed:
            return False
        rivals = self.eligible | self.admissible
        return bool(self.posterior.p_best(rivals)[best - 1] >= self.rule.certain)

    def _end(self, why: str, *, found: bool = True) -> Decision:
        """The stop, with the level recommended."""
        return Decision("stop", why, "other outcomes", mtd=self.recommended() if found else 0)

    def _wait(self, level: int, clause: str) -> Decision:
        why = f"{clause} are still in their DLT window: nothing is decided before it ends"
        return Decision("wait", why, "the end of the open windows, or a DLT in them", level=level)

    def _cohorts(self) -> list[Cohort]:
        """The counts as one cohort a level, all triggers at the highest: what a titration looks at."""
        return [
            Cohort(
                level,
                int(self.evaluable[level - 1]),
                int(self.dlts[level - 1]),
                triggers=self.triggers if level == self.highest else 0,
                pending=int(self.pending[level - 1]),
            )
            for level in range(1, self.rule.levels + 1)
            if self.treated[level - 1]
        ]

    def _unsafe_clause(self) -> str:
        lowest = self.rule.lowest
        if self.closed <= self.rule.levels and (self.closed <= lowest or self.rule.shut):
            return f"{self._counted(self.closed)} at level {self.closed}"
        return f"at level {lowest} {self._over_clause(self.p_over[lowest - 1])}"

    def _over_clause(self, p: float) -> str:
        return f"P(DLT rate above {_percent(self.rule.limit)}) is {_percent(p)}"

    def _counted(self, level: int) -> str:
        return f"{self.dlts[level - 1]} of {self.evaluable[level - 1]} evaluable with a DLT"


WORTH_BACKFILL = 0.10  # P(within two points of the best) from which a lower level may take patients: a guess


def _percent(p: float) -> str:
    """A probability in whole percent."""
    return f"{100 * p:.0f} %"
