"""Hazard ratios of a fit's times to events and odds ratios of its grades, with what each is the ratio of."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from pandas import DataFrame

from kinetics.arguments import require
from kinetics.inference import Fit
from kinetics.plan import BoundEvent, BoundGrades

__all__ = ["hazard_ratios", "odds_ratios"]

_COLUMNS = ["outcome", "effect", "site", "ratio", "lower", "upper", "p_below"]


def hazard_ratios(fit: Fit, *, level: float = 0.95) -> DataFrame:
    """Return the hazard ratio of each link and covariate, a row each; no row where the plan has no event.

    Columns: outcome (the event), effect (what it is the ratio of, with its step), site, ratio (median), lower
    and upper (of the interval of probability `level`), p_below (the probability of a ratio below 1).

    >>> kn.checks.hazard_ratios(kn.load_fit("runs/ogasawara_2021__synthetic_cart_12"))
    Empty DataFrame
    Columns: [outcome, effect, site, ratio, lower, upper, p_below]
    Index: []
    """
    require(fit=(fit, Fit))
    return _ratios(fit, fit.bound.events, level)


def odds_ratios(fit: Fit, *, level: float = 0.95) -> DataFrame:
    """Return the odds ratio of each link and covariate of the fit's grades; no row where it has none.

    The columns are those of `hazard_ratios`; `outcome` are the grades, and the interval has the probability
    `level`. A ratio is of a grade at or above any level against one below it: proportional odds have one
    ratio for all.

    >>> fit = kn.load_fit("runs/ogasawara_2021__synthetic_cart_survival_60")
    >>> kn.checks.odds_ratios(fit)["effect"].tolist()
    ['copies now, per ten-fold']
    """
    require(fit=(fit, Fit))
    return _ratios(fit, fit.bound.grades, level)


def _ratios(fit: Fit, outcomes: Iterable[BoundEvent | BoundGrades], level: float) -> DataFrame:
    """The exponential of every slope and covariate effect of the outcomes."""
    sites = fit.sites()
    rows = []
    for outcome in outcomes:
        effects = {f"slope_{outcome.name}": _link_words(fit, outcome)}
        for effect in outcome.effects:
            per = "e-fold" if effect.form == "power" else "unit"
            words = f"{effect.covariate}, per {per}"
            if effect.level:
                words = f"{effect.level} against {effect.reference}"
            effects[effect.site] = words
        for site, words in effects.items():
            ends = np.quantile(sites[site], [0.5 - level / 2, 0.5, 0.5 + level / 2])
            lower, median, upper = np.exp(ends)
            row = {"outcome": outcome.name, "effect": words, "site": site, "ratio": median}
            p_below = float(np.mean(sites[site] < 0))
            rows.append(row | {"lower": lower, "upper": upper, "p_below": p_below})
    return DataFrame(rows, columns=_COLUMNS)


def _link_words(fit: Fit, outcome: BoundEvent | BoundGrades) -> str:
    """What an outcome follows of its output, and the step that the ratio is of."""
    spec = outcome.spec
    if isinstance(outcome, BoundEvent):
        landmark = outcome.spec.landmark
        until = "now" if landmark is None else f"day {landmark:g}"
        on = "now" if landmark is None else f"on day {landmark:g}"
    else:
        delay = outcome.spec.delay
        until = "now" if delay == 0 else f"{delay:g} days ago"
        on = until
    output = outcome.output
    quantity = {
        "log_current": f"{output} {on}",
        "log_peak": f"highest {output} up to {until}",
        "log_auc": f"area under {output} up to {until}",
        "log_growth": f"{output} {on} over {spec.window:g} days before",
        "current": f"{output} {on}",
    }[spec.link]
    step = f"per {fit.model.outputs[output].unit}" if spec.link == "current" else "per ten-fold"
    return f"{quantity}, {step}"
