"""Covariate effects of a fit: what they show, and what a small number of subjects cannot show.

An effect is per SD of a number, or of a level of a category against the most frequent one. On a parameter
with a log link it is a ratio, with a logit link an odds ratio. Beside each effect stands what the data alone
say, an estimate with its standard error: the normal likelihood that, together with the prior, makes the draws
most likely. From it follows the smallest effect that could have been told from none, the pull of the prior
included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from pandas import DataFrame
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import norm

from kinetics.arguments import require
from kinetics.checks.parameters import INTERVAL
from kinetics.errors import Problem, StudyError
from kinetics.inference import Fit
from kinetics.population import GLOBAL, Effect, ScaleMixture

__all__ = ["RELEVANT", "Subgroups", "data_alone", "effective_number", "subgroups"]

RELEVANT = (0.8, 1.25)  # ratios between these are no relevant change
_SURE = 0.95  # the probability from which a relevant change counts as shown
_SCALES = {"log": "ratio", "logit": "odds ratio", "identity": "difference"}
_DRAWS = 400  # the most draws used for what the data alone say, where each draw has a prior of its own
_WIDEST = 30.0  # the greatest SE of the data alone, in prior SDs
_SHOWN = ["parameter", "effect", "per", "n", "estimate", "lower", "upper", "p_above", "p_relevant", "verdict"]


@dataclass(frozen=True)
class Subgroups:
    """The covariate effects of a fit.

    table, one row for each effect: parameter, covariate, level, reference, effect (the covariate, or level
    against reference), per (the step: an SD of a number), n (subjects of the level; all, for a number),
    n_reference, scale (ratio, odds ratio or difference), estimate (median), lower and upper (90 %), p_above
    (the probability of more than 1, or of more than 0 for a difference), p_relevant (the probability outside
    0.8 to 1.25), prior_lower and prior_upper, contraction, data_estimate and data_se (of the data alone, on
    the link scale), detectable (the smallest ratio above 1, of the data alone, whose 90 % interval would have
    excluded 1), false_chance (the probability of such an interval if there were no effect), per_unit (the
    effect of one unit of a number; for a power, the exponent), verdict and says.

    verdict: "shown" (the interval excludes 1, and a relevant change has a probability of 0.95), "signal" (it
    excludes 1), "no relevant change" (the 90 % interval of the data alone lies within 0.8 to 1.25),
    "unlikely" (a relevant change has a probability below 0.05, which the prior helped to), "nothing shown".

    m_eff: median and 90 % interval of the effective number of effects that are not 0; m_eff_prior: the same
    before the data; None without a horseshoe.

    >>> found = kn.checks.subgroups(kn.load_fit("runs/ogasawara_2021__synthetic_cart_12"))
    >>> len(found.signals) <= len(found.table), round(found.expected_false, 2)
    (True, 0.1)
    >>> print(found.statement)
    1 effect in 12 subjects: were none real, 0.1 of their 90 % intervals would be expected to exclude none ...
    >>> list(found.as_dict())
    ['fit', 'subjects', 'effects', 'expected_false', 'statement', 'm_eff', 'm_eff_prior']
    """

    fit: str
    subjects: int
    table: DataFrame
    m_eff: tuple[float, float, float] | None = None
    m_eff_prior: tuple[float, float, float] | None = None

    @property
    def signals(self) -> DataFrame:
        """The rows of `table` whose 90 % interval excludes no effect."""
        return DataFrame(self.table[self.table["verdict"].isin(["shown", "signal"])])

    @property
    def expected_false(self) -> float:
        """The number of intervals that would exclude no effect by chance if no effect were real."""
        return float(self.table["false_chance"].sum())

    @property
    def statement(self) -> str:
        """How many effects were looked at, how many are signals, and how many signals chance would give."""
        signals = [f"{row['effect']} on {row['parameter']}" for row in self.signals.to_dict("records")]
        count = len(self.table)
        names = f": {', '.join(signals)}" if signals else ""
        sentences = [
            f"{count} effect{'s' * (count > 1)} in {self.subjects} subjects: were none real, "
            f"{self.expected_false:.2g} of their 90 % intervals would be expected to exclude none by chance "
            f"({0.1 * count:.2g} with flat priors)",
            f"{len(signals)} exclude{'s' * (len(signals) == 1)} it{names}",
        ]
        if self.m_eff is not None and self.m_eff_prior is not None:
            after, low, high = self.m_eff
            before, prior_low, prior_high = self.m_eff_prior
            sentences.append(
                f"effective number of shrunk effects {after:.2g} ({low:.2g} to {high:.2g}); "
                f"before the data {before:.2g} ({prior_low:.2g} to {prior_high:.2g})"
            )
        sentences.append("these are associations: a covariate may stand for another, measured or not")
        return ". ".join(s[0].upper() + s[1:] for s in sentences) + "."

    def as_dict(self) -> dict[str, Any]:
        """The effects as plain values, for `--json`."""

        def interval(numbers: tuple[float, float, float] | None) -> dict[str, float] | None:
            return (
                None if numbers is None else dict(zip(("estimate", "lower", "upper"), numbers, strict=True))
            )

        return {
            "fit": self.fit,
            "subjects": self.subjects,
            "effects": self.table.to_dict("records"),
            "expected_false": self.expected_false,
            "statement": self.statement,
            "m_eff": interval(self.m_eff),
            "m_eff_prior": interval(self.m_eff_prior),
        }

    def __str__(self) -> str:
        table = self.table[_SHOWN].to_string(index=False, na_rep="-", float_format=lambda x: f"{x:.3g}")
        lines = [f"{self.fit}: covariate effects", table, ""]
        for row in self.table.to_dict("records"):
            lines.append(f"  {row['effect']} on {row['parameter']}: {row['says']}")
        return "\n".join([*lines, "", self.statement])


def subgroups(fit: Fit) -> Subgroups:
    """The covariate effects of a fit, and for each what its number of subjects can and cannot show.

    StudyError where the fit has no covariate effect.

    >>> found = kn.checks.subgroups(kn.load_fit("runs/ogasawara_2021__synthetic_cart_12"))
    >>> found.table[["parameter", "covariate", "per", "n", "scale"]]
      parameter   covariate        per   n  scale
    0      cmax  dose_level  SD, x1.79  12  ratio
    """
    require(fit=(fit, Fit))
    h = fit.bound.hierarchy
    if not h.effects:
        what = f"{fit.name} has no covariate effect"
        raise StudyError(Problem(what, "add `covariates` to the plan and fit again"))
    table = DataFrame([_row(fit, effect) for effect in h.effects])
    subjects = len(fit.bound.subjects)
    if h.shrinkage is None or h.shrinkage.kind != "horseshoe":
        return Subgroups(fit.name, subjects, table)
    m_eff, m_eff_prior = effective_number(fit)
    return Subgroups(fit.name, subjects, table, m_eff, m_eff_prior)


def _row(fit: Fit, effect: Effect) -> dict[str, Any]:
    """The row of one effect."""
    column = np.asarray(fit.bound.data.design[effect.column], float)
    step = 1.0 if effect.level else float(np.std(column))
    beta = fit.sites()[effect.site] * step
    prior = _prior(fit, effect, step)
    data_estimate, data_se = data_alone(beta, _priors_of_draws(fit, effect, step))
    kind = fit.bound.hierarchy.priors[effect.parameter].link
    linear = kind == "identity"

    def shown(x: float) -> float:
        """An effect on the link scale as it is shown: a difference, or a ratio."""
        return float(x) if linear else float(np.exp(x))

    low, middle, high = np.quantile(beta, [INTERVAL[0], 0.5, INTERVAL[1]])
    least = prior.least(data_se)
    relevant = np.mean((beta < np.log(RELEVANT[0])) | (beta > np.log(RELEVANT[1])))
    row = {
        **_description(fit, effect, step),
        "scale": _SCALES[kind],
        "estimate": shown(middle),
        "lower": shown(low),
        "upper": shown(high),
        "p_above": float(np.mean(beta > 0)),
        "p_relevant": np.nan if linear else float(relevant),
        "prior_lower": shown(prior.quantile(INTERVAL[0])),
        "prior_upper": shown(prior.quantile(INTERVAL[1])),
        "contraction": float(1 - np.var(beta) / prior.variance),
        "data_estimate": data_estimate,
        "data_se": data_se,
        "detectable": shown(least),
        "false_chance": float(2 * norm.sf(least / data_se)),
        "per_unit": _per_unit(effect, middle / step, linear),
    }
    return row | _verdict(row, fit.model.parameters[effect.parameter].unit)


def _description(fit: Fit, effect: Effect, step: float) -> dict[str, Any]:
    """The names of an effect, its step in the covariate's own unit, and the numbers of its subjects."""
    subjects = len(fit.bound.subjects)
    if effect.level:
        labels = fit.study.subjects[effect.covariate].astype(str)
        return {
            "parameter": effect.parameter,
            "covariate": effect.covariate,
            "level": effect.level,
            "reference": effect.reference,
            "effect": f"{effect.covariate}: {effect.level} against {effect.reference}",
            "per": "level",
            "n": int((labels == effect.level).sum()),
            "n_reference": int((labels == effect.reference).sum()),
            "subjects": subjects,
        }
    size = step * effect.unit
    if effect.form == "power":
        per = f"SD, x{np.exp(size):.3g}"
    else:
        spec = fit.study.dictionary.columns.subjects.get(effect.covariate)
        unit = "" if spec is None or spec.unit in (None, "1", "none") else f" {spec.unit}"
        per = f"SD, {size:.3g}{unit}"
    return {
        "parameter": effect.parameter,
        "covariate": effect.covariate,
        "level": "",
        "reference": "",
        "effect": effect.covariate,
        "per": per,
        "n": subjects,
        "n_reference": subjects,
        "subjects": subjects,
    }


def _per_unit(effect: Effect, beta: float, linear: bool) -> float:
    """The effect of one unit of a number; for a power, the exponent; NaN for a level."""
    if effect.level:
        return np.nan
    per_unit = float(beta) / effect.unit
    if linear or effect.form == "power":
        return per_unit
    return float(np.exp(per_unit))


def _prior(fit: Fit, effect: Effect, step: float) -> ScaleMixture:
    """The prior of an effect per `step`; the marginal one where the effects share a global scale."""
    shared = fit.bound.hierarchy.shrinkage
    if shared is not None and effect.shrunk:
        return shared.marginal(effect.parameter)
    return ScaleMixture(np.array([effect.prior.sd * step]), np.ones(1))  # pyright: ignore


def _priors_of_draws(fit: Fit, effect: Effect, step: float) -> list[ScaleMixture]:
    """The prior of an effect in each draw: given the draw's global scale, where the effects share one."""
    shared = fit.bound.hierarchy.shrinkage
    if shared is None or not effect.shrunk:
        return [_prior(fit, effect, step)] * fit.draws
    return [shared.given(effect.parameter, float(tau)) for tau in fit.sites()[GLOBAL]]


def data_alone(beta: Float[np.ndarray, " draw"], given: list[ScaleMixture]) -> tuple[float, float]:
    """Estimate and standard error of an effect by the data alone, from its draws and their priors.

    The two numbers make the draws most likely if the likelihood of the effect is normal. For a normal prior
    they are the likelihood that turns the mean and variance of the prior into those of the draws. `given`
    holds the prior of each draw. The SE is at most 30 prior SDs; at that width the data say nothing.
    """
    if len({id(mixture) for mixture in given}) == 1:
        draws = beta
        mixtures = given[:1]
    else:
        keep = np.linspace(0, len(beta) - 1, min(_DRAWS, len(beta))).astype(int)
        draws = beta[keep]
        mixtures = [given[i] for i in keep]
    variances = np.stack([m.sds**2 for m in mixtures])
    log_weights = np.log(np.stack([m.weights for m in mixtures]))
    prior_sd = float(np.sqrt(np.mean([m.variance for m in mixtures])))

    def loss(x: np.ndarray) -> float:
        """Minus the mean log density of the draws, but for a constant; x is (estimate, log SE)."""
        variance = np.exp(2 * x[1])
        likelihood = np.mean(-0.5 * (draws - x[0]) ** 2 / variance) - x[1]
        total = variances + variance
        evidence = logsumexp(log_weights - 0.5 * x[0] ** 2 / total - 0.5 * np.log(total), axis=1)
        return float(np.mean(np.asarray(evidence)) - likelihood)

    sd = max(float(np.std(draws)), 1e-6 * prior_sd)
    reach = 10 * prior_sd + 10 * float(np.abs(draws).max())
    bounds = [(-reach, reach), (np.log(sd) - 3, np.log(_WIDEST * prior_sd))]
    options = {"xatol": 1e-5, "fatol": 1e-9, "maxiter": 600}
    searches = []
    for factor in (1.2, 4.0):
        start = [np.mean(draws), np.log(sd * factor)]
        searches.append(minimize(loss, start, method="Nelder-Mead", bounds=bounds, options=options))
    best = min(searches, key=lambda search: search.fun)
    return float(best.x[0]), float(np.exp(best.x[1]))


def _verdict(row: dict[str, Any], parameter_unit: str) -> dict[str, str]:
    """The verdict of a row, and the sentence that says it."""
    scale = row["scale"]
    difference = scale == "difference"
    no_effect = 0.0 if difference else 1.0
    unit = f" {parameter_unit}".removesuffix(" 1") if difference else ""
    low = row["lower"]
    high = row["upper"]

    # who was looked at, and the effect with its interval
    subjects = f"With {row['subjects']} subjects"
    per = " per SD"
    if row["level"]:
        subjects = f"{subjects}, {row['n']} of them {row['level']},"
        per = ""
        if row["n"] == 1:
            subjects = f"One subject stands for the level. {subjects}"
    estimate = f"{scale} {row['estimate']:.3g}{unit} (90 % {low:.3g} to {high:.3g}){per}"

    if not low <= no_effect <= high:
        side = "above" if low > no_effect else "below"
        probability = _probability(max(row["p_above"], 1 - row["p_above"]))
        sentence = f"{subjects} {estimate}: {side} {no_effect:g} with probability {probability}"
        if difference:
            return {"verdict": "signal", "says": f"{sentence}."}
        sentence += f", a relevant change with probability {_probability(row['p_relevant'])}"
        if row["p_relevant"] >= _SURE:
            return {"verdict": "shown", "says": f"{sentence}."}
        return {"verdict": "signal", "says": f"{sentence}: its size is open."}

    # the interval holds no effect: what do the data alone exclude?
    reach = float(norm.ppf(INTERVAL[1])) * row["data_se"]
    data_low = row["data_estimate"] - reach
    data_high = row["data_estimate"] + reach
    if difference:
        alone = f"the data alone: {data_low:.2g} to {data_high:.2g}"
    else:
        alone = f"the data alone: {np.exp(data_low):.2g} to {np.exp(data_high):.2g}"
        if np.log(RELEVANT[0]) < data_low and data_high < np.log(RELEVANT[1]):
            sentence = f"{subjects} {estimate}: no relevant change; {alone}."
            return {"verdict": "no relevant change", "says": sentence}
    if row["p_relevant"] <= 1 - _SURE:
        unlikely = f"a relevant change is unlikely (probability {row['p_relevant']:.2g}) given the prior"
        return {"verdict": "unlikely", "says": f"{subjects} {estimate}: {unlikely}; {alone}."}
    least = row["detectable"]
    beyond = f"±{least:.2g}{unit}" if difference else f"{least:.2g} or below {1 / least:.2g}"
    detectable = f"only a {scale}{per} beyond {beyond} could have been told from none"
    sentence = f"{subjects} {detectable}; nothing is shown either way ({alone})."
    return {"verdict": "nothing shown", "says": sentence}


def _probability(p: float) -> str:
    """A probability with two digits, three near 1."""
    if p > 0.999:
        return "above 0.999"
    return f"{p:.2g}" if p < 0.99 else f"{p:.3g}"


def effective_number(
    fit: Fit, *, seed: int = 0
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Median and 90 % interval of m_eff (Piironen & Vehtari 2017), after and before the data.

    m_eff is the sum of 1 - kappa over the effects. After the data, the local scale is drawn for the effect
    and the global scale of each draw. ValueError where the effects do not share a horseshoe.
    """
    h = fit.bound.hierarchy
    if h.shrinkage is None or h.shrinkage.kind != "horseshoe":
        raise ValueError("m_eff is that of a horseshoe")
    shared = h.shrinkage
    rng = np.random.default_rng(seed)
    sites = fit.sites()
    after = np.zeros(fit.draws)
    before = np.zeros(4000)
    tau = shared.global_scale * np.abs(rng.standard_cauchy(4000))
    for effect in h.shrunk:
        spread = float(np.var(np.asarray(fit.bound.data.design[effect.column], float)))
        # a component of the scale mixture for each draw, with its posterior probability
        sds = np.stack([shared.given(effect.parameter, float(t)).sds for t in sites[GLOBAL]])
        weights = shared.given(effect.parameter, 1.0).weights
        log_probability = norm.logpdf(sites[effect.site][:, None], scale=sds) + np.log(weights)
        component = np.argmax(log_probability + rng.gumbel(size=log_probability.shape), axis=1)
        after += shared.kept(effect.parameter, sds[np.arange(len(sds)), component], spread)
        # a local scale from its prior, limited by the slab
        free = shared.sigma[effect.parameter] * tau * np.abs(rng.standard_cauchy(len(tau)))
        slabbed = shared.slab_sd * free / np.hypot(shared.slab_sd, free)
        before += shared.kept(effect.parameter, slabbed, spread)
    return _interval(after), _interval(before)


def _interval(values: np.ndarray) -> tuple[float, float, float]:
    """Median and 90 % interval."""
    low, middle, high = np.quantile(values, [INTERVAL[0], 0.5, INTERVAL[1]])
    return float(middle), float(low), float(high)
