"""The prior of the joint model: curves of P(DLT) and P(response) over the dose levels, drawn once.

A level's position is where its ln dose lies between the lowest level (0) and the highest (1), so the prior is
about the ladder that the protocol's authors chose and not about a unit of dose. With x = SPAN (position -
MIDDLE), a curve of P(DLT) is one of three:

- a line, logit p = a + b x, with b > 0;
- free steps upward from level to level;
- mediated: the dose acts through exposure alone, and the line's slope is the slope of the outcome on exposure
  times the slope of exposure on dose.

A curve of P(response) is its top times a shape: rising, a plateau from some level on, an umbrella with its
peak between the ends, or flat; or nobody responds at any level. Within a level the log odds of either outcome
rise by a slope per SD of ln exposure. The probabilities of a level are averages over its patients.

All the numbers are guesses of this project, chosen on simulated trials so that what the model calls P(best)
and P(over the limit) is met by the truth as often as it says (`python -m bench.decision`).
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import expit, logit

from kinetics.errors import InputError, Problem

__all__ = ["Curves", "JointPrior", "curves_of"]

SPAN = 1.54  # ln(7e7 / 1.5e7): the ladder on which the prior's numbers were chosen
MIDDLE = 0.45  # the position of 3e7 between 1.5e7 and 7e7
RISING, PLATEAU, UMBRELLA, FLAT, NONE = range(5)
SHAPES = ("rising", "plateau", "umbrella", "flat", "nobody responds")
# E[expit(a + g z)] with z standard normal is about expit(a / sqrt(1 + 0.346 g^2)): Zeger SL et al. 1988,
# Biometrics 44:1049, (16 sqrt(3) / (15 pi))^2 = 0.346.
ATTENUATION = 0.346
_SMALLEST = 0.002  # probabilities stay between it and 1 - it
_LARGEST_LOGIT = 9.0


@dataclass(frozen=True)
class JointPrior:
    """The numbers of the prior; `sentences` prints them.

    A pair is the mean and SD of a normal distribution. `dlt_middle`: logit P(DLT) at the middle of the
    ladder. `dlt_slope`: ln of the line's slope over x. `dlt_free`, `dlt_mediated`: P(free steps),
    P(mediated). `shapes`: P(rising, plateau, umbrella, flat, nobody responds). `top`: limits of the uniform
    top response. `exposure_slope`: log odds per SD of ln exposure within a level, cut at 0.
    `exposure_on_dose`: ln exposure per unit of x, in SDs between patients. InputError where a number cannot
    be.

    >>> from kinetics.escalation import JointPrior
    >>> JointPrior().sentences()[0]
    'P(DLT) at the middle of the ladder: median 13 %, 90 % interval 2 % to 52 %'
    """

    dlt_middle: tuple[float, float] = (-1.9, 1.2)
    dlt_slope: tuple[float, float] = (0.4, 0.6)
    dlt_free: float = 0.1
    dlt_mediated: float = 0.1
    shapes: tuple[float, ...] = (0.34, 0.27, 0.27, 0.07, 0.05)
    top: tuple[float, float] = (0.08, 0.95)
    exposure_slope: tuple[float, float] = (0.6, 0.5)
    exposure_on_dose: tuple[float, float] = (0.84, 0.36)

    def __post_init__(self) -> None:
        problems = []
        shares = (self.dlt_free, self.dlt_mediated, 1 - self.dlt_free - self.dlt_mediated)
        if min(shares) < 0:
            what = f"P(free steps) {self.dlt_free:g}, P(mediated) {self.dlt_mediated:g}"
            problems.append(Problem(what, "give numbers from 0 up that add up to 1 at most"))
        if len(self.shapes) != len(SHAPES) or min(self.shapes) < 0 or sum(self.shapes) <= 0:
            problems.append(Problem(f"shapes {self.shapes}", f"give one weight each for {', '.join(SHAPES)}"))
        if not 0 < self.top[0] < self.top[1] < 1:
            problems.append(Problem(f"top response {self.top}", "give two probabilities, the lower first"))
        pairs = (self.dlt_middle, self.dlt_slope, self.exposure_slope, self.exposure_on_dose)
        if any(sd <= 0 for _, sd in pairs):
            problems.append(Problem("an SD of the prior is not above 0", "give SDs above 0"))
        if not np.isfinite([x for group in astuple(self) for x in np.atleast_1d(group)]).all():
            problems.append(Problem("a number of the prior is not finite", "give finite numbers"))
        if problems:
            raise InputError(problems)

    def sentences(self) -> list[str]:
        """The prior in words, a sentence each."""
        quantiles = np.array([-1.645, 0.0, 1.645])  # of the standard normal: 5, 50 and 95 %
        low, middle, high = 100 * expit(self.dlt_middle[0] + self.dlt_middle[1] * quantiles)
        odds = np.exp(SPAN * np.exp(self.dlt_slope[0] + self.dlt_slope[1] * quantiles))
        weights = np.array(self.shapes) / sum(self.shapes)
        shapes = ", ".join(f"{name} {100 * w:.0f} %" for name, w in zip(SHAPES, weights, strict=True))
        bottom, top = self.top
        return [
            f"P(DLT) at the middle of the ladder: median {middle:.0f} %, 90 % interval {low:.0f} % to "
            f"{high:.0f} %",
            f"odds of a DLT from the lowest to the highest level: times {odds[1]:.0f} ({odds[0]:.1f} to "
            f"{odds[2]:.0f}); free steps {100 * self.dlt_free:.0f} %, through exposure alone "
            f"{100 * self.dlt_mediated:.0f} %",
            f"response over the levels: {shapes}; at its top {100 * bottom:.0f} % to {100 * top:.0f} %",
            "all of these are guesses, chosen so that P(best) and P(over the limit) hold in simulated trials",
        ]


@dataclass(frozen=True, eq=False)
class Curves:
    """Draws of the prior, in single precision.

    `p_dlt` and `p_response`: the probabilities at each level. `dlt_slope`, `response_slope`: log odds per SD
    of ln exposure. `dlt_odds`, `response_odds`: log odds of a patient of average exposure at each level.
    `grade_cuts`: log odds of CRS of grade 1 or more, and of grade 2 or more, above those of a DLT.
    `depth_sd`: percentage points of change of the sum of diameters for one unit of the latent response.
    `nothing`: whether nobody responds at any level.
    """

    p_dlt: Float[np.ndarray, "draw level"]
    p_response: Float[np.ndarray, "draw level"]
    dlt_slope: Float[np.ndarray, " draw"]
    response_slope: Float[np.ndarray, " draw"]
    dlt_odds: Float[np.ndarray, "draw level"]
    response_odds: Float[np.ndarray, "draw level"]
    grade_cuts: Float[np.ndarray, "draw cut"]
    depth_sd: Float[np.ndarray, " draw"]
    nothing: Bool[np.ndarray, " draw"]


@lru_cache(maxsize=4)
def curves_of(prior: JointPrior, doses: tuple[float, ...], draws: int, seed: int = 1) -> Curves:
    """Curves over the levels of these `doses`, lowest first, drawn by `seed`.

    InputError where the doses do not rise from above 0.
    """
    steps = np.diff(doses)
    if not doses or doses[0] <= 0 or not np.isfinite(doses).all() or (steps <= 0).any():
        what = f"doses {', '.join(f'{dose:g}' for dose in doses) or 'of no level'}"
        raise InputError(Problem(what, "give one dose above 0 a level, each higher than the one before"))
    rng = np.random.default_rng(seed)
    logs = np.log(np.array(doses))
    position = np.zeros(1) if len(doses) == 1 else (logs - logs[0]) / (logs[-1] - logs[0])
    x = SPAN * (position - MIDDLE)

    p_dlt, dlt_odds, dlt_slope = _dlt_curves(prior, x, draws, rng)
    p_response, shape = _response_curves(prior, position, draws, rng)
    response_slope = np.maximum(rng.normal(*prior.exposure_slope, draws), 0.0)
    response_odds = logit(p_response) * _widening(response_slope)[:, None]
    first_cut = 0.2 + np.abs(rng.normal(2.2, 0.9, draws))
    second_cut = first_cut * rng.uniform(0.2, 0.8, draws)
    depth_sd = np.exp(rng.normal(np.log(25.0), 0.35, draws))
    return Curves(
        p_dlt=p_dlt.astype(np.float32),
        p_response=p_response.astype(np.float32),
        dlt_slope=dlt_slope.astype(np.float32),
        response_slope=response_slope.astype(np.float32),
        dlt_odds=dlt_odds.astype(np.float32),
        response_odds=response_odds.astype(np.float32),
        grade_cuts=np.stack([first_cut, second_cut], axis=1).astype(np.float32),
        depth_sd=depth_sd.astype(np.float32),
        nothing=shape == NONE,
    )


def _widening(slope: Float[np.ndarray, " draw"]) -> Float[np.ndarray, " draw"]:
    """Log odds of a patient of average exposure, for each unit of the log odds of the average patient."""
    return np.sqrt(1.0 + ATTENUATION * slope**2)


def _dlt_curves(
    prior: JointPrior, x: Float[np.ndarray, " level"], draws: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """P(DLT) and its log odds at average exposure (draw, level), and the slope on exposure (draw,)."""
    middle = rng.normal(*prior.dlt_middle, draws)[:, None]
    line = middle + np.exp(rng.normal(*prior.dlt_slope, draws))[:, None] * x
    steps = rng.gamma(1.0, 0.8, (draws, len(x)))
    steps[:, 0] = rng.normal(-3.0, 1.2, draws)
    kind = rng.uniform(size=draws)
    free = kind < prior.dlt_free
    mediated = kind > 1 - prior.dlt_mediated

    slope = np.maximum(rng.normal(*prior.exposure_slope, draws), 0.0)
    slope = np.where(mediated, np.abs(rng.normal(1.2, 0.8, draws)), slope)
    rise = np.maximum(rng.normal(*prior.exposure_on_dose, draws), 0.0)
    through_exposure = middle + (slope * rise / _widening(slope))[:, None] * x

    average = np.where(free[:, None], np.cumsum(steps, axis=1), line)
    average = np.where(mediated[:, None], through_exposure, average)
    average = np.clip(average, -_LARGEST_LOGIT, _LARGEST_LOGIT)
    return expit(average), average * _widening(slope)[:, None], slope


def _response_curves(
    prior: JointPrior, position: Float[np.ndarray, " level"], draws: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """P(response) (draw, level) and the number of its shape in `SHAPES` (draw,)."""
    levels = len(position)
    weights = np.array(prior.shapes, float)
    if levels < 3:
        weights[UMBRELLA] = 0.0
    if levels < 2:
        weights[:] = (0.0, 0.0, 0.0, weights[:FLAT].sum() + weights[FLAT], weights[NONE])
    shape = rng.choice(len(SHAPES), draws, p=weights / weights.sum())
    level = np.arange(levels)

    steepness = SPAN * rng.uniform(1.0, 4.0, draws)[:, None]
    rising = expit(steepness * (position - rng.uniform(0.0, 1.0, draws)[:, None]))
    rising = rising / rising[:, -1:]
    first = rng.integers(min(1, levels - 1), levels, draws)[:, None]
    below = rng.uniform(0.25, 0.85, draws)[:, None]
    above = rng.uniform(0.3, 0.85, draws)[:, None]
    plateau = below ** np.maximum(first - level, 0)
    peak = rng.integers(1, levels - 1, draws)[:, None] if levels > 2 else first
    umbrella = below ** np.maximum(peak - level, 0) * above ** np.maximum(level - peak, 0)
    flat = np.ones((draws, levels))
    share = np.choose(shape[:, None], [rising, plateau, umbrella, flat, flat])
    top = np.where(shape == NONE, rng.uniform(0.005, 0.05, draws), rng.uniform(*prior.top, draws))
    return np.clip(top[:, None] * share, _SMALLEST, 1 - _SMALLEST), shape
