"""What a fit's covariate effects show, and what so few subjects cannot show.

Effects are per SD of a number and against the most frequent level of a category; on a parameter with a log
link they are ratios, with a logit link odds ratios. Beside each stands what the data alone say, an estimate
with its standard error: that normal likelihood under which the draws are most likely to have come from the
prior. From it follows the least effect that could have been told from none, the prior's pull included.
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

from kinetics.checks.parameters import INTERVAL
from kinetics.errors import Problem, StudyError
from kinetics.inference import Fit
from kinetics.population import GLOBAL, Effect, ScaleMixture, Shrinkage

__all__ = ["RELEVANT", "Subgroups", "data_alone", "effective_number", "subgroups"]

RELEVANT = (0.8, 1.25)  # ratios between these are no relevant change
_SURE = 0.95
_SCALES = {"log": "ratio", "logit": "odds ratio", "identity": "difference"}
_DRAWS = 400  # for what the data alone say
_WIDEST = 30.0  # its SE in prior SDs, at most
_SHOWN = ["parameter", "effect", "per", "n", "estimate", "lower", "upper", "p_above", "p_relevant", "verdict"]


@dataclass(frozen=True)
class Subgroups:
    """table, one row an effect: parameter, covariate, level, reference, effect (the covariate, or level
    against reference), per (the step: an SD of a number), n (subjects of the level; all, for a number),
    n_reference, scale (ratio, odds ratio or difference), estimate (median), lower and upper (90 %), p_above
    (the probability of more than 1, or 0), p_relevant (outside 0.8 to 1.25), prior_lower and prior_upper,
    contraction, data_estimate and data_se (of the data alone, link scale), detectable (the least ratio above
    1, of the data alone, whose 90 % interval would have excluded 1), false_chance (of that, were there no
    effect), per_unit (of a number: the effect of one unit; of a power the exponent), verdict and says.
    verdict: "shown" (the interval excludes 1, and a relevant change has a probability of 0.95), "signal" (it
    excludes 1), "no relevant change" (the 90 % interval of the data alone lies within 0.8 to 1.25),
    "unlikely" (a relevant change has a probability below 0.05, which the prior helped to), "nothing shown".

    m_eff: median and 90 % interval of the effective number of effects that are not 0, m_eff_prior: those of
    its prior; None without a horseshoe.

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
        """The rows of `table` whose 90 % interval excludes none at all."""
        return DataFrame(self.table[self.table["verdict"].isin(["shown", "signal"])])

    @property
    def expected_false(self) -> float:
        """How many intervals would exclude none by chance, were no effect real."""
        return float(self.table["false_chance"].sum())

    @property
    def statement(self) -> str:
        """What was looked at, and how much of what was found chance would find."""
        names = [f"{row['effect']} on {row['parameter']}" for row in self.signals.to_dict("records")]
        count = len(self.table)
        said = [
            f"{count} effect{'s' * (count > 1)} in {self.subjects} subjects: were none real, "
            f"{self.expected_false:.2g} of their 90 % intervals would be expected to exclude none by chance "
            f"({0.1 * count:.2g} with flat priors)",
            f"{len(names)} exclude{'s' * (len(names) == 1)} it" + (f": {', '.join(names)}" if names else ""),
        ]
        if self.m_eff is not None and self.m_eff_prior is not None:
            now, low, high = self.m_eff
            before = self.m_eff_prior
            said.append(
                f"effective number of shrunk effects {now:.2g} ({low:.2g} to {high:.2g}); "
                f"before the data {before[0]:.2g} ({before[1]:.2g} to {before[2]:.2g})"
            )
        said.append("these are associations: a covariate may stand for another, measured or not")
        return ". ".join(s[0].upper() + s[1:] for s in said) + "."

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        names = ("estimate", "lower", "upper")
        found = {k: v and dict(zip(names, v, strict=True)) for k, v in self._numbers().items()}
        told = {"expected_false": self.expected_false, "statement": self.statement, **found}
        return {"fit": self.fit, "subjects": self.subjects, "effects": self.table.to_dict("records"), **told}

    def _numbers(self) -> dict[str, tuple[float, float, float] | None]:
        return {"m_eff": self.m_eff, "m_eff_prior": self.m_eff_prior}

    def __str__(self) -> str:
        shown = self.table[_SHOWN].to_string(index=False, na_rep="-", float_format=lambda x: f"{x:.3g}")
        says = [
            f"  {row['effect']} on {row['parameter']}: {row['says']}" for row in self.table.to_dict("records")
        ]
        return "\n".join([f"{self.fit}: covariate effects", shown, "", *says, "", self.statement])


def subgroups(fit: Fit) -> Subgroups:
    """The covariate effects of a fit, and for each what n subjects can and cannot show.

    StudyError where the fit has none.

    >>> found = kn.checks.subgroups(kn.load_fit("runs/ogasawara_2021__synthetic_cart_12"))
    >>> found.table[["parameter", "covariate", "per", "n", "scale"]]
      parameter   covariate        per   n  scale
    0      cmax  dose_level  SD, x1.79  12  ratio
    """
    h = fit.bound.hierarchy
    if not h.effects:
        what = f"{fit.name} has no covariate effect"
        raise StudyError(Problem(what, "add `covariates` to the plan and fit again"))
    table = DataFrame([_row(fit, effect) for effect in h.effects])
    people = len(fit.bound.subjects)
    if h.shrinkage is None or h.shrinkage.kind != "horseshoe":
        return Subgroups(fit.name, people, table)
    return Subgroups(fit.name, people, table, *effective_number(fit))


def _row(fit: Fit, effect: Effect) -> dict[str, Any]:
    column = np.asarray(fit.bound.data.design[effect.column], float)
    step = 1.0 if effect.level else float(np.std(column))
    beta = fit.sites()[effect.site] * step
    prior = _prior(fit, effect, step)
    alone = data_alone(beta, _given(fit, effect, step))
    kind = fit.bound.hierarchy.priors[effect.parameter].link
    back = (lambda x: x) if kind == "identity" else np.exp
    low, middle, high = np.quantile(beta, [INTERVAL[0], 0.5, INTERVAL[1]])
    least = prior.least(alone[1])
    relevant = np.mean((beta < np.log(RELEVANT[0])) | (beta > np.log(RELEVANT[1])))
    row = {
        **_who(fit, effect, step),
        "scale": _SCALES[kind],
        "estimate": float(back(middle)),
        "lower": float(back(low)),
        "upper": float(back(high)),
        "p_above": float(np.mean(beta > 0)),
        "p_relevant": np.nan if kind == "identity" else float(relevant),
        "prior_lower": float(back(prior.quantile(INTERVAL[0]))),
        "prior_upper": float(back(prior.quantile(INTERVAL[1]))),
        "contraction": float(1 - np.var(beta) / prior.variance),
        "data_estimate": alone[0],
        "data_se": alone[1],
        "detectable": float(back(least)),
        "false_chance": float(2 * norm.sf(least / alone[1])),
        "per_unit": _per_unit(effect, middle / step, kind == "identity"),
    }
    return row | _judged(row, _SCALES[kind], fit.model.parameters[effect.parameter].unit)


def _who(fit: Fit, effect: Effect, step: float) -> dict[str, Any]:
    """Which subjects an effect is about, and its step in the covariate's own unit."""
    people = len(fit.bound.subjects)
    names = {"parameter": effect.parameter, "covariate": effect.covariate}
    if effect.level:
        labels = fit.study.subjects[effect.covariate].astype(str)
        text = f"{effect.covariate}: {effect.level} against {effect.reference}"
        counts = {
            "n": int((labels == effect.level).sum()),
            "n_reference": int((labels == effect.reference).sum()),
        }
        named = {"level": effect.level, "reference": effect.reference, "effect": text, "per": "level"}
        return {**names, **named, **counts, "subjects": people}
    size = step * effect.unit
    spec = fit.study.dictionary.columns.subjects.get(effect.covariate)
    unit = "" if spec is None or spec.unit in (None, "1", "none") else f" {spec.unit}"
    per = f"SD, x{np.exp(size):.3g}" if effect.form == "power" else f"SD, {size:.3g}{unit}"
    named = {"level": "", "reference": "", "effect": effect.covariate, "per": per}
    return {**names, **named, "n": people, "n_reference": people, "subjects": people}


def _per_unit(effect: Effect, beta: float, linear: bool) -> float:
    """The effect of one unit of a number; of a power, the exponent; nothing of a level."""
    if effect.level:
        return np.nan
    raw = float(beta) / effect.unit
    return raw if linear or effect.form == "power" else float(np.exp(raw))


def _prior(fit: Fit, effect: Effect, step: float) -> ScaleMixture:
    shared = fit.bound.hierarchy.shrinkage
    if shared is not None and effect.shrunk:
        return shared.marginal(effect.parameter)
    return ScaleMixture(np.array([effect.prior.sd * step]), np.ones(1))  # pyright: ignore


def _given(fit: Fit, effect: Effect, step: float) -> list[ScaleMixture]:
    """What each of some draws believes of the effect before the data: by its global scale, where it is
    shared.
    """
    shared = fit.bound.hierarchy.shrinkage
    if shared is None or not effect.shrunk:
        return [_prior(fit, effect, step)] * fit.draws
    return [shared.given(effect.parameter, float(tau)) for tau in fit.sites()[GLOBAL]]


def data_alone(beta: Float[np.ndarray, " draw"], given: list[ScaleMixture]) -> tuple[float, float]:
    """Estimate and standard error of an effect by the data alone, from its draws and the prior that each had.

    The two numbers make the draws most likely, were the likelihood of the effect normal: for a normal prior
    they are those that turn its mean and variance into the draws'. The SE is at most 30 prior SDs: then the
    data say nothing.
    """
    keep = np.linspace(0, len(beta) - 1, min(_DRAWS, len(beta))).astype(int)
    if len({id(m) for m in given}) == 1:
        keep = np.arange(len(beta))
        given = given[:1]
    else:
        given = [given[i] for i in keep]
    drawn = beta[keep]
    variances = np.stack([m.sds**2 for m in given])
    log_weights = np.log(np.stack([m.weights for m in given]))
    widest = float(np.sqrt(np.mean([m.variance for m in given])))

    def fall(x: np.ndarray) -> float:
        variance = np.exp(2 * x[1])
        likely = np.mean(-0.5 * (drawn - x[0]) ** 2 / variance) - x[1]
        total = variances + variance
        prior = logsumexp(log_weights - 0.5 * x[0] ** 2 / total - 0.5 * np.log(total), axis=1)
        return float(np.mean(np.asarray(prior)) - likely)

    start = max(float(np.std(drawn)), 1e-6 * widest)
    reach = 10 * widest + 10 * float(np.abs(drawn).max())
    bounds = [(-reach, reach), (np.log(start) - 3, np.log(_WIDEST * widest))]
    options = {"xatol": 1e-5, "fatol": 1e-9, "maxiter": 600}
    tries = [
        minimize(
            fall, [np.mean(drawn), np.log(start * k)], method="Nelder-Mead", bounds=bounds, options=options
        )
        for k in (1.2, 4.0)
    ]
    best = min(tries, key=lambda found: found.fun)
    return float(best.x[0]), float(np.exp(best.x[1]))


def _judged(row: dict[str, Any], scale: str, unit: str) -> dict[str, str]:
    """The verdict and its sentence."""
    difference = scale == "difference"
    none, unit = (0.0, f" {unit}".removesuffix(" 1")) if difference else (1.0, "")
    low = row["lower"]
    high = row["upper"]
    who = (
        f"With {row['subjects']} subjects, {row['n']} of them {row['level']},"
        if row["level"]
        else (f"With {row['subjects']} subjects")
    )
    if row["level"] and row["n"] == 1:
        who = f"One subject stands for the level. {who}"
    per = "" if row["level"] else " per SD"
    what = f"{scale} {row['estimate']:.3g}{unit} (90 % {low:.3g} to {high:.3g}){per}"
    if not low <= none <= high:
        side = "above" if low > none else "below"
        sure = _probability(max(row["p_above"], 1 - row["p_above"]))
        said = f"{who} {what}: {side} {none:g} with probability {sure}"
        if difference:
            return {"verdict": "signal", "says": f"{said}."}
        shown = row["p_relevant"] >= _SURE
        said += f", a relevant change with probability {_probability(row['p_relevant'])}"
        return {
            "verdict": "shown" if shown else "signal",
            "says": f"{said}{'' if shown else ': its size is open'}.",
        }
    reach = float(norm.ppf(INTERVAL[1])) * row["data_se"]
    ends = row["data_estimate"] - reach, row["data_estimate"] + reach
    alone = "the data alone: {:.2g} to {:.2g}".format(*(ends if difference else np.exp(ends)))
    if not difference and np.log(RELEVANT[0]) < ends[0] and ends[1] < np.log(RELEVANT[1]):
        return {"verdict": "no relevant change", "says": f"{who} {what}: no relevant change; {alone}."}
    if row["p_relevant"] <= 1 - _SURE:
        said = f"a relevant change is unlikely (probability {row['p_relevant']:.2g}) given the prior"
        return {"verdict": "unlikely", "says": f"{who} {what}: {said}; {alone}."}
    least = row["detectable"]
    beyond = f"±{least:.2g}{unit}" if difference else f"{least:.2g} or below {1 / least:.2g}"
    said = f"only a {scale}{per} beyond {beyond} could have been told from none"
    return {"verdict": "nothing shown", "says": f"{who} {said}; nothing is shown either way ({alone})."}


def _probability(p: float) -> str:
    return "above 0.999" if p > 0.999 else f"{p:.2g}" if p < 0.99 else f"{p:.3g}"


def effective_number(
    fit: Fit, *, seed: int = 0
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Median and 90 % interval of m_eff (Piironen & Vehtari 2017), after and before the data.

    The sum over effects of 1 - kappa, a local scale drawn for each draw's effect and global scale. ValueError
    where the effects do not share a horseshoe.
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
        sds = np.stack([shared.given(effect.parameter, float(t)).sds for t in sites[GLOBAL]])
        log = norm.logpdf(sites[effect.site][:, None], scale=sds) + np.log(
            shared.given(effect.parameter, 1.0).weights
        )
        chosen = np.argmax(log + rng.gumbel(size=log.shape), axis=1)
        after += shared.kept(effect.parameter, sds[np.arange(len(sds)), chosen], spread)
        before += _prior_kept(shared, effect.parameter, spread, tau, rng)
    return _interval(after), _interval(before)


def _prior_kept(
    shared: Shrinkage, parameter: str, spread: float, tau: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    free = shared.sigma[parameter] * tau * np.abs(rng.standard_cauchy(len(tau)))
    return shared.kept(parameter, shared.slab_sd * free / np.hypot(shared.slab_sd, free), spread)


def _interval(values: np.ndarray) -> tuple[float, float, float]:
    low, middle, high = np.quantile(values, [INTERVAL[0], 0.5, INTERVAL[1]])
    return float(middle), float(low), float(high)
