"""The truths that designs are measured on: eight scenarios and a distribution of random truths.

All synthetic, and all about the ladder of doses: x = ln(7 / 1.5) (position - MIDDLE), where a level's
position is where its ln dose lies between the lowest level (0) and the highest (1). On the ladder that they
were chosen on, 1.5, 3, 5 and 7e7 cells/kg, x is ln(dose / 3e7). The scenarios have four levels; on another
ladder their log odds are interpolated from level to level.

The best level has the greatest expected utility among those whose P(DLT) is at most the limit. Where nobody
responds, or every level is above the limit, no level is best.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import expit, logit

from kinetics.errors import Problem
from kinetics.escalation import Utilities

__all__ = [
    "MEDIAN_EXPOSURE",
    "SD_LOG_EXPOSURE",
    "Truth",
    "mediated_dlt",
    "mediated_response",
    "middle_level",
    "random_truth",
    "scenarios",
    "truth_problems",
]

SPAN = np.log(7 / 1.5)
MIDDLE = np.log(2) / SPAN  # the position of 3e7 between 1.5e7 and 7e7
LIMIT = 0.33  # highest acceptable P(DLT), where none is given
MEDIAN_EXPOSURE = 8e3  # Cmax at the middle of the ladder, copies/ug DNA
SD_LOG_EXPOSURE = 0.83  # of ln exposure between patients of a level: a CV of 100 %
RISE = 0.7  # of ln exposure on ln dose
SLOPE = 0.8  # log odds per SD of ln exposure, within a level
TRIGGER = 0.15  # P(a titration trigger) of a patient without a DLT
NOBODY = 0.05  # where no level responds more often than this, nothing works
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(60)


@dataclass(frozen=True)
class Truth:
    """True probabilities of DLT and response at each level, and what decides which level is best.

    `limit` is the highest acceptable P(DLT), `utilities` are the weights of the four outcomes.
    `log_exposure`: ln of the median exposure of each level, empty where exposures are not measured;
    `exposure_sd`: the SD of ln exposure between patients. `dlt_slope` and `response_slope`: log odds per SD
    of ln exposure within a level. `trigger`: P(a titration trigger) of a patient without a DLT, one a level,
    0.15 where it is empty. `mediated`: both outcomes depend on a patient's own exposure and on nothing else.
    """

    name: str
    dlt: tuple[float, ...]
    response: tuple[float, ...]
    limit: float = LIMIT
    utilities: Utilities = field(default_factory=Utilities)
    log_exposure: tuple[float, ...] = ()
    exposure_sd: float = SD_LOG_EXPOSURE
    dlt_slope: float = SLOPE
    response_slope: float = SLOPE
    trigger: tuple[float, ...] = ()
    mediated: bool = False

    @property
    def utility(self) -> tuple[float, ...]:
        """The mean weight of a patient's outcome at each level, DLT and response independent."""
        return tuple(self.utilities.undesirable(t, r) for t, r in zip(self.dlt, self.response, strict=True))

    @property
    def best(self) -> int:
        """The level of greatest utility among the tolerable ones, from 1; 0 where no level is right."""
        tolerable = np.array(self.dlt) <= self.limit
        if not tolerable.any() or max(self.response) <= NOBODY:
            return 0
        return int(np.argmax(np.where(tolerable, self.utility, -np.inf))) + 1

    def lost(self, level: int) -> float:
        """Utility lost by recommending `level` (0: none, worth as much as neither outcome), not the best."""
        values = (self.utilities.neither, *self.utility)
        return float(values[self.best] - values[level])


def truth_problems(
    levels: int,
    *,
    dlt: Sequence[float],
    response: Sequence[float],
    trigger: Sequence[float] = (),
    exposure: Sequence[float] = (),
    cv: float = 0.5,
) -> Iterator[Problem]:
    """Everything that cannot be true of a protocol's levels. `trigger` is P(trigger and no DLT)."""
    one_each = "give one per level, the lowest first"
    by_level = {"DLT probabilities": dlt, "response probabilities": response}
    if exposure:
        by_level["mean exposures"] = exposure
    for name, values in by_level.items():
        if len(values) != levels:
            yield Problem(f"{len(values)} true {name} for {levels} levels", one_each)
    for name, values in (("DLT", dlt), ("response", response), ("trigger", trigger)):
        if wrong := [p for p in values if not 0 <= p <= 1]:
            yield Problem(f"a true {name} probability of {wrong[0]:g}", "write 0 to 1")
    if trigger and len(trigger) not in (1, levels):
        yield Problem(f"{len(trigger)} trigger probabilities for {levels} levels", "give one, or one a level")
    elif trigger and any(t > 0 and p + t > 1 for p, t in zip(dlt, _each(trigger, len(dlt)), strict=False)):
        what = "P(DLT) and P(a trigger without a DLT) add up to more than 1"
        yield Problem(what, "lower one of them")
    if wrong := [x for x in exposure if not (x > 0 and np.isfinite(x))]:
        yield Problem(f"a true mean exposure of {wrong[0]:g}", "write numbers above 0")
    if exposure and not (cv > 0 and np.isfinite(cv)):
        yield Problem(f"a CV of {100 * cv:g} % between patients", "give one above 0")


def _each(values: Sequence[float], levels: int) -> Sequence[float]:
    """One value a level."""
    return list(values) * levels if len(values) == 1 else values


def scenarios(
    doses: Sequence[float], limit: float = LIMIT, utilities: Utilities | None = None
) -> tuple[Truth, ...]:
    """The eight scenarios on levels of these `doses`, lowest first."""
    weights = utilities or Utilities()
    exposures = _log_exposures(doses)
    declared = (
        ("S1 monotone", (0.03, 0.08, 0.16, 0.40), (0.10, 0.25, 0.45, 0.55)),
        ("S1b safe to the top", (0.02, 0.05, 0.10, 0.18), (0.10, 0.20, 0.35, 0.55)),
        ("S2 plateau from 2", (0.03, 0.05, 0.08, 0.12), (0.15, 0.45, 0.45, 0.45)),
        ("S3 steep toxicity", (0.05, 0.15, 0.45, 0.65), (0.15, 0.30, 0.40, 0.45)),
        ("S5 nothing works", (0.03, 0.06, 0.10, 0.15), (0.02, 0.02, 0.02, 0.02)),
        ("S6 umbrella", (0.03, 0.06, 0.12, 0.20), (0.15, 0.35, 0.55, 0.25)),
        ("S7 flat response", (0.04, 0.10, 0.18, 0.28), (0.40, 0.40, 0.40, 0.40)),
    )
    levels = len(doses)
    rows = [
        Truth(name, _on(levels, dlt), _on(levels, response), limit, weights, log_exposure=exposures)
        for name, dlt, response in declared
    ]
    mediated = _mediated_truth("S4 through exposure", doses, limit, weights)
    return (*rows[:4], mediated, *rows[4:])


def random_truth(
    number: int,
    seed: int,
    doses: Sequence[float],
    limit: float = LIMIT,
    utilities: Utilities | None = None,
) -> Truth:
    """Random truth `number` of a seed: a third each with a rising, a plateau and an umbrella response.

    logit P(DLT) = N(-1.9, 1.2) + exp(N(0.4, 0.6)) x, drawn again until level 1 is tolerable. The highest
    P(response) is U(0.15, 0.65). A rising curve is logistic in x, a plateau rises to a level below the top
    and stays, an umbrella peaks between the ends and falls by a factor U(0.3, 0.8) a level on either side (on
    fewer than three levels, at the top).
    """
    rng = np.random.default_rng([seed, number])
    levels = len(doses)
    x = _x(doses)
    dlt = np.ones(levels)
    while dlt[0] > limit:
        dlt = expit(rng.normal(-1.9, 1.2) + np.exp(rng.normal(0.4, 0.6)) * x)
    top = rng.uniform(0.15, 0.65)
    shape = ("rising", "plateau", "umbrella")[number % 3]
    level = np.arange(levels)
    if shape == "rising":
        curve = expit(rng.uniform(1.0, 4.0) * (x - rng.uniform(x[0], x[-1])))
        share = curve / curve[-1]
    elif shape == "plateau":
        first = int(rng.integers(0, max(levels - 1, 1)))
        share = rng.uniform(0.3, 0.8) ** np.maximum(first - level, 0)
    else:
        peak = int(rng.integers(1, levels - 1)) if levels > 2 else levels - 1
        share = rng.uniform(0.3, 0.8) ** np.abs(level - peak)
    response = tuple((top * share).tolist())
    weights = utilities or Utilities()
    exposures = _log_exposures(doses)
    return Truth(f"R {shape}", tuple(dlt.tolist()), response, limit, weights, log_exposure=exposures)


def middle_level(doses: Sequence[float]) -> int:
    """The level nearest the middle of the ladder: level 2 of 1.5, 3, 5 and 7e7 cells/kg."""
    return int(np.argmin(np.abs(_x(doses)))) + 1


def mediated_dlt(x: np.ndarray) -> np.ndarray:
    """P(DLT) of a patient whose exposure is exp(x) times `MEDIAN_EXPOSURE`, where all depends on it (S4)."""
    return expit(-2.6 + 2.2 * x)


def mediated_response(x: np.ndarray) -> np.ndarray:
    """P(response) of such a patient."""
    return 0.6 * expit(1.6 + 2.2 * x)


def _mediated_truth(name: str, doses: Sequence[float], limit: float, utilities: Utilities) -> Truth:
    """A truth in which dose acts through exposure alone; the probabilities are averages over patients."""
    middle = 0.5 * _x(doses)
    x = middle[:, None] + SD_LOG_EXPOSURE * _NODES
    weights = _WEIGHTS / np.sum(_WEIGHTS)
    dlt = tuple((mediated_dlt(x) @ weights).tolist())
    response = tuple((mediated_response(x) @ weights).tolist())
    exposures = tuple((np.log(MEDIAN_EXPOSURE) + middle).tolist())
    return Truth(name, dlt, response, limit, utilities, log_exposure=exposures, mediated=True)


def _x(doses: Sequence[float]) -> np.ndarray:
    """Where each level stands on the ladder; 0 is its middle."""
    logs = np.log(np.asarray(doses, float))
    if len(logs) == 1:
        return np.zeros(1)
    return SPAN * ((logs - logs[0]) / (logs[-1] - logs[0]) - MIDDLE)


def _log_exposures(doses: Sequence[float]) -> tuple[float, ...]:
    """ln of the median exposure of each level, which rises with dose^0.7."""
    logs = np.log(np.asarray(doses, float))
    middle = logs[0] + MIDDLE * (logs[-1] - logs[0])
    return tuple((np.log(MEDIAN_EXPOSURE) + RISE * (logs - middle)).tolist())


def _on(levels: int, values: tuple[float, ...]) -> tuple[float, ...]:
    """The probabilities of four levels on as many levels as there are, log odds interpolated."""
    if levels == len(values):
        return values
    places = np.linspace(0, len(values) - 1, levels)
    odds = np.interp(places, np.arange(len(values)), logit(np.array(values)))
    return tuple(expit(odds).tolist())
