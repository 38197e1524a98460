"""Operating characteristics of a rule if patients are as a fit says: DLTs by way of cells and cytokines.

In each posterior draw new patients at every level have exposures, and exposure-response gives each a chance
of a DLT and of a titration trigger. A patient of a trial is one of them at random, so the level's chance is
their mean.
Given the draw, the rule's characteristics are exact (`kinetics.escalation.operating_characteristics`): they
sum over whole trials and simulate none. They are averaged over the draws; the spread between draws is the
uncertainty about the patients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from kinetics.decision.level_exposures import exposures_as_dosed, exposures_at_levels
from kinetics.decision.outcome_regressions import at_every_level, regressions
from kinetics.errors import FitError
from kinetics.escalation import OperatingCharacteristics, Rule, operating_characteristics
from kinetics.inference import Fit
from kinetics.outcomes import event_name, subject_outcomes
from kinetics.protocol import Protocol

__all__ = ["VirtualTrials", "chances_from_fit", "virtual_trials"]

GRADES = 3  # grades of CRS in exposure-response: 3 stands for 3 or more


@dataclass(frozen=True, eq=False)
class VirtualTrials:
    """The chances of a DLT and of a trigger in every draw, and the rule's exact characteristics in each.

    `overdose_above` is the chance of a DLT above which a level is an overdose.
    """

    p_dlt: Float[np.ndarray, "draw level"]
    p_trigger: Float[np.ndarray, "draw level"]
    each: Sequence[OperatingCharacteristics]
    overdose_above: float

    @property
    def p_mtd(self) -> Float[np.ndarray, " outcome"]:
        """P(the MTD is none), then P(the MTD is each level)."""
        return np.mean([c.p_mtd for c in self.each], axis=0)

    @property
    def expected_n(self) -> float:
        """The expected number of patients of a trial."""
        return float(np.mean([c.expected_n for c in self.each]))

    @property
    def p_too_high(self) -> float:
        """P(the MTD is a level whose chance of a DLT is above `overdose_above`)."""
        too_high = np.c_[np.zeros(len(self.p_dlt)), self.p_dlt > self.overdose_above]
        p_mtd = np.array([c.p_mtd for c in self.each])
        return float(np.mean(np.sum(too_high * p_mtd, axis=1)))

    @property
    def p_right(self) -> float:
        """P(the MTD is the highest level whose chance of a DLT is at most `overdose_above`).

        Where there is no such level, "no MTD" is right.
        """
        right = np.sum(np.cumprod(self.p_dlt <= self.overdose_above, axis=1), axis=1)
        return float(np.mean([c.p_mtd[level] for c, level in zip(self.each, right, strict=True)]))

    def as_dict(self, planned: int) -> dict[str, Any]:
        """Averages over draws as plain values, for `--json`; `planned` is the planned number of patients.

        The chance of a DLT at each level has the median and the 90 % interval over draws.
        """
        lower, median, upper = np.quantile(self.p_dlt, [0.05, 0.5, 0.95], axis=0)
        return {
            "method": "exact in each posterior draw, averaged",
            "draws": len(self.each),
            "p_dlt": median.tolist(),
            "p_dlt_lower": lower.tolist(),
            "p_dlt_upper": upper.tolist(),
            "p_trigger": np.median(self.p_trigger, axis=0).tolist(),
            "p_mtd": self.p_mtd.tolist(),
            "expected_n": self.expected_n,
            "max_n": max(c.max_n for c in self.each),
            "planned_n": planned,
            "p_n_over_planned": float(np.mean([c.p_n_over(planned) for c in self.each])),
            "expected_dlt": float(np.mean([c.expected_dlt for c in self.each])),
            "overdose_above": self.overdose_above,
            "p_mtd_too_high": self.p_too_high,
            "p_mtd_right": self.p_right,
            "patients_by_level": np.mean([c.patients for c in self.each], axis=0).tolist(),
        }


def virtual_trials(
    rule: Rule,
    p_dlt: Float[np.ndarray, "draw level"],
    p_trigger: Float[np.ndarray, "draw level"],
    *,
    overdose_above: float = 0.33,
) -> VirtualTrials:
    """The rule's exact characteristics in every draw, from the chances of a DLT and of a trigger without DLT.

    `overdose_above` is the chance of a DLT above which a level is an overdose. InputError for a chance that
    is no probability.
    """
    each = [
        operating_characteristics(rule, tuple(dlt), trigger_without_dlt=tuple(trigger))
        for dlt, trigger in zip(p_dlt.tolist(), p_trigger.tolist(), strict=True)
    ]
    return VirtualTrials(p_dlt, p_trigger, each, overdose_above)


def chances_from_fit(
    fit: Fit, protocol: Protocol, *, draws: int = 100, level_column: str = "dose_level", seed: int = 1
) -> tuple[Float[np.ndarray, "draw level"], Float[np.ndarray, "draw level"]]:
    """P(DLT), and P(a titration trigger but no DLT), of a new patient at every level, draw by draw.

    The trigger is CRS of the grade that ends the protocol's titration. Other adverse events that would end it
    are not modelled; the second array is 0 where none of the triggers is CRS. Both come from the exposures of
    the fit (`draws` at most, new patients by `seed`) and the outcomes of its study (`level_column`: the
    column of subjects.csv with each subject's level). FitError where the study has no subject assessed for
    DLT and CRS.
    """
    outcomes = subject_outcomes(fit.study, protocol, level_column=level_column)
    fits = regressions(outcomes, exposures_as_dosed(fit, protocol, draws=draws), seed)
    if not {"dlt", "crs"} <= set(fits):
        raise FitError(
            f"the study of {fit.name} has no subject assessed for DLT and CRS with a known exposure"
        )
    at_levels = exposures_at_levels(fit, protocol, draws=draws, seed=seed)
    dlt = at_every_level(protocol, fits["dlt"], at_levels, 1)
    p_dlt = np.stack([p.mean(axis=1) for p in dlt], axis=1)
    titration = protocol.titration
    triggers = titration.triggers.value if titration else None
    grades = [min(trigger.grade, GRADES) for trigger in triggers or () if event_name(trigger.term) == "crs"]
    if not grades:
        return p_dlt, np.zeros_like(p_dlt)
    crs = at_every_level(protocol, fits["crs"], at_levels, min(grades))
    triggered = [p_crs * (1 - p) for p_crs, p in zip(crs, dlt, strict=True)]
    return p_dlt, np.stack([p.mean(axis=1) for p in triggered], axis=1)
