"""Rules of BOIN12 and PKBOIN-12, histories of a trial written as the R package escalation writes them, and
random trials.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np

from kinetics.escalation.boin12 import Boin12, Utilities
from kinetics.escalation.history import Cohort, Decision
from kinetics.escalation.pkboin12 import ModelExposures, PkBoin12

__all__ = ["AMPLE", "BOIN12_RULES", "FIVE", "path", "patient", "trials", "with_exposure"]

FIVE = Boin12(5, most=30, most_at_a_level=12)
BOIN12_RULES: dict[str, Boin12] = {
    "boin12": Boin12(4, most=36),
    "capped": Boin12(5, 0.3, 0.2, most=30, most_at_a_level=9),
    "strict": Boin12(3, 0.2, 0.4, Utilities(100, 50, 30, 0), toxic=0.9, futile=0.8, most=24),
}
AMPLE = ModelExposures(np.full((10, 5), 1e6) * np.arange(1, 6))  # rising, and far above any bar


def path(text: str) -> list[Cohort]:
    """`2NTB`: three at level 2; N nothing, T a DLT, E a response, B both, as the R package escalation
    writes it.
    """
    cohorts = []
    for word in text.split():
        had = word[1:]
        both = had.count("B")
        dlts = had.count("T") + both
        responses = had.count("E") + both
        cohorts.append(Cohort(int(word[0]), len(had), dlts, responses=responses, dlts_with_response=both))
    return cohorts


def with_exposure(rule: Boin12) -> PkBoin12:
    """Exposures about the wanted: the lower levels have too little."""
    means = np.linspace(40, 160, rule.levels)
    return PkBoin12(
        rule, ModelExposures(np.random.default_rng(5).normal(means, 12, (400, rule.levels))), 100.0
    )


def trials(
    name: str, seed: int, count: int = 200, *, exposed: bool = False
) -> Iterator[tuple[list[Cohort], Decision]]:
    """(history, decision) of every step of random trials; some patients' windows and responses are late."""
    base = BOIN12_RULES[name]
    rng = random.Random(seed)
    rule = with_exposure(base) if exposed else base
    for _ in range(count):
        p = sorted(rng.random() * 0.7 for _ in range(base.levels))
        q = [rng.random() for _ in range(base.levels)]
        history: list[Cohort] = []
        for _ in range(80):
            said = rule.decide(history)
            yield list(history), said
            if said.action == "stop":
                break
            if said.action == "wait":
                history = [
                    patient(c.level, p, q, rng) if c.pending or c.response_pending else c for c in history
                ]
                continue
            for _ in range(said.size):
                late = rng.random()
                new = patient(said.level or 0, p, q, rng)
                if late < 0.1:
                    new = Cohort(new.level, 0, pending=1)
                elif late < 0.2:
                    new = Cohort(new.level, 1, new.dlts, response_pending=1)
                history.append(new)
        else:
            raise AssertionError(f"{name} did not end: {history}")


def patient(level: int, p: list[float], q: list[float], rng: random.Random) -> Cohort:
    """One patient at a level, whose probabilities by level of a DLT are `p` and of a response `q`."""
    dlt = int(rng.random() < p[level - 1])
    responds = int(rng.random() < q[level - 1])
    return Cohort(level, 1, dlt, responses=responds, dlts_with_response=dlt * responds)
