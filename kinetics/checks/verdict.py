"""The checks of a fit and their verdict: each has a value, a threshold, and what to try where it fails.

Every fit whose search for a maximum began in several places: the best maximum was reached more than once, or
no search ended elsewhere.

Thresholds of draws by NUTS: R-hat < 1.01 and ESS > 400 (Vehtari et al. 2021, doi 10.1214/20-BA1221); no
divergent transition; E-BFMI > 0.3 (Betancourt 2016, arXiv 1604.00695).

The checks of a fit by another method ask: was a maximum reached, is it one, may the approximation be used?
Thresholds: the log-likelihood that one more Newton step would gain < 0.1; condition number of the estimates'
correlation matrix < 1000, the field's convention; Pareto k < 0.7 (Vehtari et al. 2024, arXiv 1507.02646), of
`map` and `vi`, whose target is the posterior; shrinkage of EBEs < 95 %, above which the subjects' own values
say nothing (from 30 % on plots of EBEs mislead: Savic & Karlsson 2009, doi 10.1208/s12248-009-9133-0).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool
from pandas import DataFrame

from kinetics.arguments import require
from kinetics.checks.maximum_estimates import Estimates, estimates
from kinetics.checks.parameters import diagnostics
from kinetics.errors import CheckError
from kinetics.inference import ENOUGH, K_HAT, SAME, Fit
from kinetics.model import inverse_link, link
from kinetics.prediction import DRAWS, own_blocks, predicted_blocks

__all__ = ["Check", "CheckRow", "approximation_rows", "check"]

R_HAT = 1.01
ESS = 400.0
E_BFMI = 0.3
CONDITION = 1000.0
SHRINKAGE = 95.0
SLOPE = 0.1
EFFECTIVE = 400.0
_MOST_DRAWS = 0.5  # the share of draws in which a subject fails above which the subject is the cause
_MORE_STARTS = "`[sampler] starts = 20`"


class CheckRow(NamedTuple):
    """One check of a fit: `value`, the `threshold` as text, whether it passes, where the value comes from."""

    check: str
    value: float
    threshold: str
    ok: bool
    where: str
    what_to_try: str


@dataclass(frozen=True)
class Check:
    """The checks of one fit. `rows`: check, value, threshold, ok, where, what_to_try.

    >>> found = kn.check(kn.load_fit("runs/theophylline"))  # 60 draws: too few
    >>> found.ok, found.as_dict()["ok"]
    (False, False)
    >>> len(found.failures) == sum(~found.rows["ok"])
    True
    >>> try:
    ...     found.raise_for_status()
    ... except kn.errors.CheckError:
    ...     print("not to be used")
    not to be used
    """

    fit: str
    rows: DataFrame

    @property
    def ok(self) -> bool:
        """Whether every check passed."""
        return bool(self.rows["ok"].all())

    @property
    def failures(self) -> list[str]:
        """One sentence for each failed check, with what to try."""
        sentences = []
        for row in self.rows[~self.rows["ok"]].to_dict("records"):
            where = f" ({row['where']})" if row["where"] else ""
            sentences.append(
                f"{row['check']}: {row['value']:.4g}, wanted {row['threshold']}{where}; {row['what_to_try']}"
            )
        return sentences

    def raise_for_status(self) -> None:
        """Raise CheckError with every failure, unless all checks passed."""
        if not self.ok:
            raise CheckError(f"{self.fit}: these numbers may not be used\n" + "\n".join(self.failures))

    def as_dict(self) -> dict[str, Any]:
        """The checks as plain values, for `--json`."""
        return {"fit": self.fit, "ok": self.ok, "checks": self.rows.to_dict("records")}

    def __str__(self) -> str:
        verdict = "all checks pass" if self.ok else "these numbers may not be used"
        lines = [f"{self.fit}: {verdict}"]
        for row in self.rows.itertuples():
            mark = "ok  " if row.ok else "FAIL"
            where = f"  {row.where}" if row.where else ""
            lines.append(f"  {mark} {row.check:<24} {row.value:>10.4g}  wanted {row.threshold}{where}")
            if not row.ok:
                lines.append(f"       try: {row.what_to_try}")
        return "\n".join(lines)


def check(fit: Fit) -> Check:
    """Run every check on a fit. A bad fit raises nothing here: see `Check.raise_for_status`.

    >>> found = kn.check(kn.load_fit("runs/ogasawara_2021__synthetic_cart_12"))
    >>> list(found.rows["check"])[:4]
    ['R-hat, worst', 'ESS bulk, worst', 'ESS tail, worst', 'divergent transitions']
    """
    require(fit=(fit, Fit))
    if fit.method == "nuts":
        rows = [*_convergence(fit), *_sampler(fit)]
        searches = fit.provenance.get("searches")  # runs of earlier versions have not noted them
        if searches:
            rows.append(_agreement(searches))
    else:
        rows = approximation_rows(fit)
    rows += [_failed_predictions(fit), *_expected(fit)]
    return Check(fit.name, DataFrame(rows, columns=list(CheckRow._fields)))


# --- draws by NUTS ----------------------------------------------------------------------------------------


def _convergence(fit: Fit) -> list[CheckRow]:
    """R-hat and ESS, each of the site where it is worst."""
    table = diagnostics(fit)

    def place(i: Any) -> str:
        row = table.loc[i]
        return f"{row['site']}, subject {row['subject']}" if row["subject"] else str(row["site"])

    remedy = "more draws (kinetics resume RUN --draws N); if it stays, a stronger prior or fewer varying "
    remedy += f"parameters, or a search for the maximum from more places ({_MORE_STARTS})"
    if fit.posterior["posterior"].sizes["chain"] > 1:
        worst = float(table["r_hat"].max())
        r_hat = CheckRow(
            check="R-hat, worst",
            value=worst,
            threshold=f"< {R_HAT}",
            ok=worst < R_HAT,
            where="" if np.isnan(worst) else place(table["r_hat"].idxmax()),
            what_to_try=remedy,
        )
    else:
        r_hat = CheckRow(
            check="R-hat, worst",
            value=np.nan,
            threshold=f"< {R_HAT}",
            ok=False,
            where="one chain",
            what_to_try="run at least 2 chains (4 by default)",
        )
    rows = [r_hat]
    for kind in ("bulk", "tail"):
        column = table[f"ess_{kind}"]
        least = float(column.min())
        rows.append(
            CheckRow(
                check=f"ESS {kind}, worst",
                value=least,
                threshold=f"> {ESS:g}",
                ok=least > ESS,
                where=place(column.idxmin()),
                what_to_try=remedy,
            )
        )
    return rows


def _sampler(fit: Fit) -> list[CheckRow]:
    """Divergent transitions, E-BFMI, and draws that ended at the full tree depth."""
    stats = fit.posterior["sample_stats"].dataset
    divergent = int(stats["diverging"].sum())
    energy = stats["energy"].to_numpy()
    e_bfmi = stats["energy_change"].to_numpy().mean(axis=1) / energy.var(axis=1)
    least_e_bfmi = float(e_bfmi.min())
    max_depth = fit.bound.plan.sampler.max_tree_depth
    saturated = int((stats["tree_depth"].to_numpy() >= max_depth).sum())
    return [
        CheckRow(
            check="divergent transitions",
            value=float(divergent),
            threshold="0",
            ok=divergent == 0,
            where="",
            what_to_try="a higher target_accept (0.95, 0.99), or centre the parameters with many records per "
            f"subject; if they are of one chain, more starts ({_MORE_STARTS})",
        ),
        CheckRow(
            check="E-BFMI, worst chain",
            value=least_e_bfmi,
            threshold=f"> {E_BFMI}",
            ok=least_e_bfmi > E_BFMI,
            where=f"chain {int(e_bfmi.argmin())}",
            what_to_try="longer warm-up; a heavy tail wants a tighter prior on the between-subject SDs",
        ),
        CheckRow(
            check="draws at full tree depth",
            value=float(saturated),
            threshold="0",
            ok=saturated == 0,
            where=f"max_tree_depth {max_depth}",
            what_to_try="longer warm-up, centring, or a higher max_tree_depth",
        ),
    ]


# --- draws by other methods -------------------------------------------------------------------------------


def approximation_rows(fit: Fit) -> list[CheckRow]:
    """The checks of a fit by laplace, map or vi: of its maximum or its guide, and of its reweighted draws."""
    facts = fit.provenance["method"]
    if "estimates" in fit.posterior:
        rows = _maximum(fit, estimates(fit), facts)
    else:
        rows = [_guide(facts)]
        if facts.get("searches"):  # runs of earlier versions have not noted them
            rows.append(_agreement(facts["searches"]))
    if "pareto_k" in facts:
        rows.extend(_importance(fit.method, facts))
    return rows


def _maximum(fit: Fit, maximum: Estimates, facts: Mapping[str, Any]) -> list[CheckRow]:
    """Whether the searches reached a maximum, and whether it determines the values and the EBEs."""
    gain = float(facts["gain"])
    searches = facts["searches"]
    converged = [s for s in searches if s["converged"]]
    highest = max(s["value"] for s in searches if not np.isnan(s["value"]))
    better = [s["start"] for s in searches if not s["converged"] and s["value"] >= highest]
    rows = [
        CheckRow(
            check="gradient, gain of a step",
            value=gain,
            threshold=f"< {ENOUGH}",
            ok=gain < ENOUGH,
            where=f"the search from {better[0]}" if better else "",
            what_to_try=f"more starts ({_MORE_STARTS}); a likelihood with corners or several maxima wants "
            "nuts",
        ),
        CheckRow(
            check="searches that converged",
            value=float(len(converged)),
            threshold=">= 1",
            ok=len(converged) >= 1,
            where="",
            what_to_try="tighter solver tolerances, other priors (they place the starts), or nuts",
        ),
        _agreement(searches),
    ]
    if gain < ENOUGH:
        rows += _determined(fit, maximum)
    shrinkage = maximum.table["shrinkage_percent"]
    worst = maximum.table.iloc[int(np.argmax(shrinkage.fillna(-1.0).to_numpy()))]
    percent = float(worst["shrinkage_percent"])
    if not np.isnan(percent):
        rows.append(
            CheckRow(
                check="EBE shrinkage, worst (%)",
                value=percent,
                threshold=f"< {SHRINKAGE:g}",
                ok=percent < SHRINKAGE,
                where=str(worst["site"]),
                what_to_try="the subjects' own values of it say nothing: leave it out of `vary`, and read no "
                "EBE of it",
            )
        )
    return rows


def _determined(fit: Fit, maximum: Estimates) -> list[CheckRow]:
    """Whether the maximum determines the values."""
    held = maximum.held
    advice = [f"{site}: {reason}" for site, reason in held.items()]
    hierarchy = fit.bound.hierarchy
    seen = [name for name in hierarchy.vary if hierarchy.sd_site(name) not in held]
    if 0 < len(seen) < len(hierarchy.vary):
        advice.append(f"with those left out the plan says vary = {json.dumps(seen)}")
    return [
        CheckRow(
            check="values not determined",
            value=float(len(held)),
            threshold="0",
            ok=not held,
            where=", ".join(held),
            what_to_try="; ".join(advice) or "-",
        ),
        CheckRow(
            check="condition number",
            value=maximum.condition,
            threshold=f"< {CONDITION:g}",
            ok=maximum.condition < CONDITION,
            where="",
            what_to_try="the estimates are nearly collinear: fix one, or simplify the model",
        ),
    ]


def _guide(facts: Mapping[str, Any]) -> CheckRow:
    """Whether the bound of a variational fit had stopped rising."""
    slope = float(facts["slope"])
    return CheckRow(
        check="slope of the bound",
        value=slope,
        threshold=f"< {SLOPE}",
        ok=slope < SLOPE,
        where=f"{facts['steps']} steps",
        what_to_try="priors that leave less room; or nuts",
    )


def _importance(method: str, facts: Mapping[str, Any]) -> list[CheckRow]:
    """Whether the draws of the approximation can be reweighted to the posterior."""
    k = float(facts["pareto_k"])
    alternative = "; or vi"
    if method == "vi":
        alternative = '; nuts can begin from it (`[sampler] start = "vi"`)'
    rows = [
        CheckRow(
            check="Pareto k of the draws",
            value=k,
            threshold=f"< {K_HAT}",
            ok=k < K_HAT,
            where="",
            what_to_try=f"nuts: the posterior is not as this approximation has it{alternative}",
        )
    ]
    if facts.get("resampled"):
        effective = float(facts["effective"])
        rows.append(
            CheckRow(
                check="effective draws",
                value=effective,
                threshold=f"> {EFFECTIVE:g}",
                ok=effective > EFFECTIVE,
                where="",
                what_to_try="more draws, or nuts",
            )
        )
    return rows


def _agreement(searches: Sequence[Mapping[str, Any]]) -> CheckRow:
    """How many searches ended at the best maximum: one is too few where others ended lower."""
    values = np.array([float(s["value"]) for s in searches])
    ended = np.isfinite(values)
    best = np.max(values[ended], initial=-np.inf)
    reached = int(np.sum(values[ended] >= best - SAME))
    lower = int(ended.sum()) - reached
    parts = [f"{len(searches)} searches"]
    if lower:
        parts.append(f"{lower} ended lower, by {best - np.min(values[ended]):.4g} at most")
    if not ended.all():
        parts.append(f"{int((~ended).sum())} failed")
    return CheckRow(
        check="searches at best maximum",
        value=float(reached),
        threshold=">= 2" if lower else ">= 1",
        ok=reached >= (2 if lower else 1),
        where=", ".join(parts),
        what_to_try=f"more starts ({_MORE_STARTS}): there are several maxima, and the best was found once",
    )


# --- every fit --------------------------------------------------------------------------------------------


def _failed_predictions(fit: Fit) -> CheckRow:
    """The number of predictions that are not finite in 400 draws, with the subjects they are of."""
    bound = fit.bound
    times = np.asarray(bound.data.observations.time, float)
    outputs = tuple(dict.fromkeys(a.output for a in bound.assays))
    failed = np.zeros((min(DRAWS, fit.draws), len(bound.subjects)), bool)
    for rows, predicted in own_blocks(fit, outputs, times):
        finite = np.all([np.isfinite(values).all(axis=2) for values in predicted.values()], axis=0)
        failed[:, rows] = ~finite
    subjects = [bound.subjects[i] for i in np.nonzero(failed.any(axis=0))[0]]
    count = int(failed.sum())
    where = _failures_farther_out(fit)
    what_to_try = ""
    if subjects:
        draws = int(failed.any(axis=1).sum())
        where = f"in {draws} of {len(failed)} draws, subjects {', '.join(subjects)}"
        what_to_try = _cause_of_failures(fit, failed)
    return CheckRow(
        check="failed predictions",
        value=float(count),
        threshold="0",
        ok=count == 0,
        where=where,
        what_to_try=what_to_try,
    )


def _cause_of_failures(fit: Fit, failed: Bool[np.ndarray, "draw subject"]) -> str:
    """What failed predictions are likely to come from, and what to try.

    A subject who fails in most draws has a fault of its own. Where failures are spread over draws and
    subjects, the draws are the cause, and the population value that differs most between the draws with and
    without a failure is named.
    """
    of_subjects = [fit.bound.subjects[i] for i in np.flatnonzero(failed.mean(axis=0) > _MOST_DRAWS)]
    if of_subjects:
        return f"look at the records and doses of {', '.join(of_subjects)}, who fail in most draws"
    in_draw = failed.any(axis=1)
    differences = {}
    for site, values in fit.sites(at_most=len(failed)).items():
        numbers = np.asarray(values, float)
        if numbers.shape != in_draw.shape or site.startswith("eta_") or in_draw.all():
            continue
        ranks = np.argsort(np.argsort(numbers)) / len(numbers)
        differences[site] = abs(float(ranks[in_draw].mean() - ranks[~in_draw].mean()))
    remedy = "give its prior less room, or hold it (`fixed`, or leave it out of `vary`)"
    if not differences:
        return f"the draws are the likely cause, not the subjects: of the parameter that runs away {remedy}"
    site = max(differences, key=lambda name: differences[name])
    numbers = np.asarray(fit.sites(at_most=len(failed))[site], float)
    median_failed = float(np.median(numbers[in_draw]))
    median_others = float(np.median(numbers[~in_draw]))
    return (
        f"the draws are the likely cause, not the subjects: {site} is {median_failed:.3g} (median) in those "
        f"that fail and {median_others:.3g} in the others; {remedy}"
    )


def _failures_farther_out(fit: Fit) -> str:
    """The subjects that the solver gives up on, and when, three times as far from the median as the draws
    are.

    A divergent transition may have been there, since a draw that fails is never kept. The day is that of the
    first record which the solver does not reach.
    """
    bound = fit.bound
    model = fit.model
    if model.vector_field is None:
        return ""
    theta = {}
    for name, values in fit.theta(at_most=100).items():
        kind = model.parameters[bound.parameters[name]].prior.link
        linked = link(kind, jnp.asarray(values))
        centre = jnp.median(linked, axis=0)
        theta[name] = np.asarray(inverse_link(kind, centre + 3.0 * (linked - centre)))
    times = np.asarray(bound.data.observations.time, float)
    outputs = tuple(dict.fromkeys(a.output for a in bound.assays))
    failing = []
    for rows, predicted in predicted_blocks(fit, outputs, times, theta, bound.data.doses):
        missing = np.any([~np.isfinite(values).all(axis=0) for values in predicted.values()], axis=0)
        for i in np.flatnonzero(missing.any(axis=1)):
            subject = rows.start + int(i)
            day = float(times[subject][missing[i]].min())
            failing.append(f"subject {bound.subjects[subject]} before day {day:.3g}")
    return f"the solver gives up three times as far out: {', '.join(failing[:10])}" if failing else ""


def _expected(fit: Fit) -> list[CheckRow]:
    """The medians that the plan says to expect."""
    sites = fit.sites()
    rows = []
    for name, expect in fit.bound.plan.expect.items():
        site = name if name in sites and f"{name}_pop" not in sites else f"{name}_pop"
        median = float(np.median(sites[site])) if site in sites else np.nan
        rows.append(
            CheckRow(
                check=f"expected {name}",
                value=median,
                threshold=f"{expect.median:g} +- {expect.within:g}",
                ok=bool(abs(median - expect.median) <= expect.within),
                where=site,
                what_to_try="the data, model or prior is not the one this plan was written for",
            )
        )
    return rows
