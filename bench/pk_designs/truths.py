"""The five scenarios of the comparison, and random truths on the same doses. All synthetic.

A patient has a DLT where AUC x e^alpha is above a threshold; ln AUC is normal about ln(dose / CL) with an SD
of `AUC_SD`, and alpha about 0 with `alpha_sd`. So

    P(DLT) = Phi((ln dose - ln threshold - ln CL) / sqrt(AUC_SD^2 + alpha_sd^2)).

The right level is the one whose P(DLT) is nearest to `TARGET`; none is right where that of level 1 is `NONE`
or more, as in the authors' `run_sim_scenario.R`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

__all__ = ["AUC_SD", "CL", "DOSES", "NONE", "RANDOM", "SCENARIOS", "TARGET", "Truth", "random_truth"]

DOSES = (30.6, 50.69, 93.69, 150.37)  # mg
TARGET = 0.25  # P(DLT) that is sought
NONE = 0.40  # P(DLT) of level 1 from which no level is right
CL = 10.0  # L/h, of the typical patient
AUC_SD = 0.7  # of ln CL, and so of ln AUC, between patients
ALPHA_SD = 0.8  # of a patient's sensitivity, in the five scenarios
RANDOM = "R"  # the name of every random truth
_LOWEST = 3.0  # h mg/L: limits of the thresholds of random truths, from far too toxic to all but harmless
_HIGHEST = 60.0
_LEAST_SD = 0.4  # of the sensitivity in random truths
_MOST_SD = 1.4


@dataclass(frozen=True)
class Truth:
    """A threshold of the AUC [h mg/L] and the SD of the sensitivity to it."""

    name: str
    threshold: float
    alpha_sd: float = ALPHA_SD

    @property
    def dlt(self) -> tuple[float, ...]:
        """P(DLT) at every level."""
        distance = np.log(np.array(DOSES)) - np.log(self.threshold) - np.log(CL)
        return tuple(ndtr(distance / np.hypot(AUC_SD, self.alpha_sd)).tolist())

    @property
    def right(self) -> int:
        """The right level, from 1; 0 where none is."""
        if self.dlt[0] >= NONE:
            return 0
        return int(np.argmin(np.abs(np.array(self.dlt) - TARGET))) + 1


SCENARIOS = (
    Truth("A1", 6.6),
    Truth("A2", 10.96),
    Truth("A3", 18.2),
    Truth("A4", 29.5),
    Truth("A5", 3.9),
)


def random_truth(number: int, seed: int) -> Truth:
    """Random truth `number` of a seed: the right answer is each of none and the levels one time in five.

    ln threshold and ln SD of the sensitivity are uniform, drawn again until the right answer is that of the
    number. So the slope of P(DLT) on dose, and the share of it that the AUC explains, differ from the five
    scenarios, and P(DLT) of the right level is seldom 25 %.
    """
    rng = np.random.default_rng([seed, 77, number])
    wanted = number % (len(DOSES) + 1)
    while True:
        threshold = float(np.exp(rng.uniform(np.log(_LOWEST), np.log(_HIGHEST))))
        alpha_sd = float(np.exp(rng.uniform(np.log(_LEAST_SD), np.log(_MOST_SD))))
        truth = Truth(RANDOM, threshold, alpha_sd)
        if truth.right == wanted:
            return truth
