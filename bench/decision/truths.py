"""The truths that designs are measured on: eight scenarios and a distribution of random truths. All
synthetic.

Four levels, 1.5, 3, 5 and 7e7 cells/kg. The weights 100 (response without DLT), 60 (response with DLT), 40
(neither) and 0 (DLT without response) make the utility of a level 40 + 60 r - 40 t exactly, with r its
probability of response and t that of a DLT. The best level has the greatest utility among those with t at
most `LIMIT`; where nobody responds, or every level is above the limit, no level is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

__all__ = [
    "LEVELS",
    "LIMIT",
    "SCENARIOS",
    "SD_LOG_CMAX",
    "Truth",
    "mediated_dlt",
    "mediated_response",
    "random_truth",
    "utility",
]

LEVELS = np.array([1.5e7, 3e7, 5e7, 7e7])  # cells/kg
LIMIT = 0.33  # highest acceptable probability of a DLT
SD_LOG_CMAX = 0.83  # of ln Cmax between patients of a level: a CV of 100 %
_LEAST_RESPONSE = 0.05  # where no level responds more often than this, nothing works
_REFERENCE = 3e7  # cells/kg
_NOTHING = 40.0  # utility of recommending no level: neither a DLT nor a response
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(60)


@dataclass(frozen=True)
class Truth:
    """True probabilities of DLT and response at each level, and how the median Cmax rises with dose.

    `mediated`: both outcomes depend on a patient's own Cmax and on nothing else (S4).
    """

    name: str
    dlt: tuple[float, ...]
    response: tuple[float, ...]
    dose_exponent: float = 0.7
    mediated: bool = False

    @property
    def best(self) -> int:
        """The level of greatest utility among the tolerable ones, from 1; 0 where no level is right."""
        tolerable = np.array(self.dlt) <= LIMIT
        if not tolerable.any() or max(self.response) <= _LEAST_RESPONSE:
            return 0
        return int(np.argmax(np.where(tolerable, utility(self.dlt, self.response), -np.inf))) + 1

    def lost(self, level: int) -> float:
        """Utility lost by recommending `level` (0: none) rather than the best."""
        values = np.concatenate([[_NOTHING], utility(self.dlt, self.response)])
        return float(values[self.best] - values[level])


def utility(dlt: Sequence[float], response: Sequence[float]) -> np.ndarray:
    """The mean weight of a patient's outcome, 0 to 100, DLT and response independent."""
    return 40.0 + 60.0 * np.asarray(response) - 40.0 * np.asarray(dlt)


def mediated_dlt(x: np.ndarray) -> np.ndarray:
    """P(DLT) of a patient whose Cmax is exp(x) times 8e3 copies/ug DNA, where all depends on exposure
    (S4).
    """
    return expit(-2.6 + 2.2 * x)


def mediated_response(x: np.ndarray) -> np.ndarray:
    """P(response) of the same patient."""
    return 0.6 * expit(1.6 + 2.2 * x)


def mediated_truth(name: str, dose_exponent: float) -> Truth:
    """A truth in which dose acts through exposure alone; the probabilities are averages over patients."""
    x = dose_exponent * np.log(LEVELS / _REFERENCE)[:, None] + SD_LOG_CMAX * _NODES
    weights = _WEIGHTS / np.sum(_WEIGHTS)
    dlt = tuple((mediated_dlt(x) @ weights).tolist())
    response = tuple((mediated_response(x) @ weights).tolist())
    return Truth(name, dlt, response, dose_exponent, mediated=True)


SCENARIOS = (
    Truth("S1 monotone", (0.03, 0.08, 0.16, 0.40), (0.10, 0.25, 0.45, 0.55)),
    Truth("S1b safe to the top", (0.02, 0.05, 0.10, 0.18), (0.10, 0.20, 0.35, 0.55)),
    Truth("S2 plateau from 2", (0.03, 0.05, 0.08, 0.12), (0.15, 0.45, 0.45, 0.45)),
    Truth("S3 steep toxicity", (0.05, 0.15, 0.45, 0.65), (0.15, 0.30, 0.40, 0.45)),
    mediated_truth("S4 through exposure", dose_exponent=0.5),
    Truth("S5 nothing works", (0.03, 0.06, 0.10, 0.15), (0.02, 0.02, 0.02, 0.02)),
    Truth("S6 umbrella", (0.03, 0.06, 0.12, 0.20), (0.15, 0.35, 0.55, 0.25)),
    Truth("S7 flat response", (0.04, 0.10, 0.18, 0.28), (0.40, 0.40, 0.40, 0.40)),
)


def random_truth(number: int, seed: int) -> Truth:
    """Random truth `number` of a seed: a third each with a rising, a plateau and an umbrella response.

    logit t = N(-1.9, 1.2) + exp(N(0.4, 0.6)) ln(d / 3e7), drawn again until level 1 is tolerable. The highest
    response probability is U(0.15, 0.65). A rising curve is logistic in ln d, a plateau rises to a level of 1
    to 3 and stays, an umbrella peaks at level 2 or 3 and falls by a factor U(0.3, 0.8) a level on either
    side.
    """
    rng = np.random.default_rng([seed, number])
    x = np.log(LEVELS / _REFERENCE)
    dlt = np.ones(len(LEVELS))
    while dlt[0] > LIMIT:
        dlt = expit(rng.normal(-1.9, 1.2) + np.exp(rng.normal(0.4, 0.6)) * x)
    top = rng.uniform(0.15, 0.65)
    shape = ("rising", "plateau", "umbrella")[number % 3]
    if shape == "rising":
        curve = expit(rng.uniform(1.0, 4.0) * (x - rng.uniform(x[0], x[-1])))
        share = curve / curve[-1]
    elif shape == "plateau":
        first = int(rng.integers(0, 3))
        below = np.maximum(first - np.arange(len(LEVELS)), 0)
        share = rng.uniform(0.3, 0.8) ** below
    else:
        peak = int(rng.integers(1, 3))
        share = rng.uniform(0.3, 0.8) ** np.abs(np.arange(len(LEVELS)) - peak)
    return Truth(f"R {shape}", tuple(dlt.tolist()), tuple((top * share).tolist()))
