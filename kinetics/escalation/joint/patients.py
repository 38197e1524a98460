"""What the joint model knows of each patient, and exposures on a scale common to all levels.

An exposure enters as its distance from the middle of its level, in SDs between patients: ln exposure is
normal about a line in ln dose with one SD,

    ln x = a + b (ln d - mean ln d) + s z,
    b ~ N(0.7, 0.3^2 s^2 / 0.83^2),   s^2 ~ scaled inverse chi-squared(4, 0.83^2),

a flat. The two priors are proper, so that three patients cannot make s vanish or b run away. Their numbers
are guesses (0.83 is a CV of 100 %). An exposure may be an interval (below the LLOQ, or seen only up to an
event), or a number with a standard error; it is then drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr, ndtri

from kinetics.errors import InputError, Problem
from kinetics.escalation.history import Cohort

__all__ = ["Exposure", "Seen", "check_patients", "distances", "patients_of_cohorts"]

RISE = 0.7  # of ln exposure on ln dose
RISE_SD = 0.3
SD = 0.83  # of ln exposure between patients at a level
SD_WORTH = 4.0  # patients that the guess of SD is worth
DRAWS = 4  # of exposures that are not known exactly
SWEEPS = 100  # of the sampler that draws them


class Exposure(NamedTuple):
    """What is known of a patient's ln exposure: it lies between `low` and `high`.

    Where both are the same, it is that number, known with a standard error of `sd` (0: exactly).

    >>> from kinetics.escalation import Exposure
    >>> below = Exposure(low=-np.inf, high=np.log(50.0))  # below the LLOQ of 50
    >>> Exposure(9.2, 9.2, sd=0.1).sd, bool(below.low < below.high)
    (0.1, True)
    """

    low: float
    high: float
    sd: float = 0.0


@dataclass(frozen=True)
class Seen:
    """What is known of one patient treated at `level` (from 1).

    `dlt`: whether there was a DLT, None where nothing is known of it (not evaluable). `followed`: the share
    of the DLT window seen; below 1 the patient is pending and `dlt` is False. `crs`: the worst CRS grade so
    far, None where it is not graded. `trigger`: a titration trigger without a DLT. `response`: True, False
    once nothing more is awaited, or None. `looked`: for a response of None, the share of the response window
    that assessments without a response cover; 0 where nobody has looked. `change`: the best change of the sum
    of diameters [%], where `response` is known by it. `dlt_exposure`, `response_exposure`: what is known of
    the exposures that the two are thought to follow, or None.

    >>> from kinetics.escalation import Seen
    >>> Seen(level=2, dlt=False, crs=1, response=None).looked
    0.0
    """

    level: int
    dlt: bool | None = None
    followed: float = 1.0
    crs: int | None = None
    trigger: bool = False
    response: bool | None = None
    looked: float = 0.0
    change: float | None = None
    dlt_exposure: Exposure | None = None
    response_exposure: Exposure | None = None


def check_patients(patients: Sequence[Seen], levels: int) -> None:
    """InputError with everything that cannot be: a level that does not exist, a share outside 0 to 1."""
    problems = []
    for place, p in enumerate(patients, start=1):
        where = f"patient {place}"
        if not 1 <= p.level <= levels:
            what = f"{where} at level {p.level}: there are levels 1 to {levels}"
            problems.append(Problem(what, "correct its level"))
        if not (0 <= p.followed <= 1 and 0 <= p.looked <= 1):
            what = f"{where}: follow-up {p.followed:g} and {p.looked:g}"
            problems.append(Problem(what, "give shares of the windows, 0 to 1"))
        if p.crs is not None and not 0 <= p.crs <= 5:
            problems.append(Problem(f"{where}: CRS of grade {p.crs}", "grades are 0 to 5"))
        if p.change is not None and not (np.isfinite(p.change) and p.change >= -100):
            what = f"{where}: a change of {p.change:g} %"
            problems.append(Problem(what, "give a finite one, -100 or more"))
    if problems:
        raise InputError(problems)


def patients_of_cohorts(history: Sequence[Cohort]) -> list[Seen]:
    """The patients of cohorts, one by one: which of them had what beyond the counts does not matter here."""
    patients = []
    for c in history:
        dlts = [True] * c.dlts + [False] * (c.evaluable - c.dlts) + [False] * c.pending
        share = c.followed / c.pending if c.pending else 1.0
        followed = [1.0] * c.evaluable + [share] * c.pending
        treated = c.evaluable + c.pending
        silent = treated - c.responses - c.response_pending
        responses = [True] * c.responses + [False] * silent + [None] * c.response_pending
        for dlt, part, response in zip(dlts, followed, responses, strict=True):
            patients.append(Seen(c.level, dlt, part, response=response))
    return patients


def distances(
    exposures: Sequence[Exposure | None],
    log_doses: Float[np.ndarray, " patient"],
    rng: np.random.Generator,
) -> Float[np.ndarray, "draw patient"]:
    """Each patient's ln exposure as a distance from the middle of its level in SDs; NaN where unknown.

    One draw where every exposure is a number, else `DRAWS`.
    """
    known = np.array([exposure is not None for exposure in exposures], bool)
    if not known.any():
        return np.full((1, len(exposures)), np.nan)
    low, high, sd = np.array([exposure for exposure in exposures if exposure is not None], float).T
    x = log_doses[known] - log_doses[known].mean()
    if ((low == high) & (sd == 0)).all():
        a, b, s = _line(x, low)
        z = ((low - a - b * x) / s)[None]
    else:
        z = _drawn(x, low, high, sd, rng)
    full = np.full((len(z), len(exposures)), np.nan)
    full[:, known] = z
    return full


def _line(x: np.ndarray, y: np.ndarray, rng: np.random.Generator | None = None) -> tuple[float, float, float]:
    """The posterior mean of a and b and the middle of s, or one draw of them by `rng`."""
    precision = np.array([[len(x), x.sum()], [x.sum(), x @ x + (SD / RISE_SD) ** 2]])
    right = np.array([y.sum(), x @ y + (SD / RISE_SD) ** 2 * RISE])
    mean = np.linalg.solve(precision, right)
    residuals = y - mean[0] - mean[1] * x
    scatter = residuals @ residuals + ((mean[1] - RISE) * SD / RISE_SD) ** 2 + SD_WORTH * SD**2
    degrees = SD_WORTH + len(x) - 1
    if rng is None:
        return float(mean[0]), float(mean[1]), float(np.sqrt(scatter / degrees))
    s = np.sqrt(scatter / rng.chisquare(degrees))
    a, b = rng.multivariate_normal(mean, s**2 * np.linalg.inv(precision))
    return float(a), float(b), float(s)


def _drawn(
    x: np.ndarray, low: np.ndarray, high: np.ndarray, sd: np.ndarray, rng: np.random.Generator
) -> Float[np.ndarray, "draw patient"]:
    """Gibbs sampling of the line and of the exposures, each in its interval or about its number.

    The last draws, thinned to `DRAWS`.
    """
    measured = low == high
    noisy = measured & (sd > 0)
    start_low = np.where(np.isfinite(low), low, high - SD)
    start_high = np.where(np.isfinite(high), high, low + SD)
    y = (start_low + start_high) / 2
    kept = []
    every = SWEEPS // (2 * DRAWS)
    for sweep in range(SWEEPS):
        a, b, s = _line(x, y, rng)
        middle = a + b * x
        lower = ndtr((low - middle) / s)
        upper = ndtr((high - middle) / s)
        share = lower + rng.uniform(size=len(x)) * (upper - lower)
        inside = np.clip(middle + s * ndtri(np.clip(share, 1e-12, 1 - 1e-12)), low, high)
        y = np.where(measured, low, inside)
        if noisy.any():
            precision = 1 / s**2 + 1 / sd[noisy] ** 2
            mean = (middle[noisy] / s**2 + low[noisy] / sd[noisy] ** 2) / precision
            y[noisy] = mean + rng.standard_normal(len(mean)) / np.sqrt(precision)
        if sweep >= SWEEPS - DRAWS * every and (SWEEPS - sweep) % every == 0:
            kept.append((y - middle) / s)
    return np.stack(kept)
