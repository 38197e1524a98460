"""May these numbers be used? Each check has a value, a threshold, a verdict, and what to try.

Thresholds: R-hat < 1.01 and ESS > 400 (Vehtari et al. 2021, doi 10.1214/20-BA1221); no divergent transition;
E-BFMI > 0.3 (Betancourt 2016, arXiv 1604.00695). Fits by other methods: `kinetics.checks.verdict`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from pandas import DataFrame

from kinetics.checks.maximum_estimates import Estimates, estimates
from kinetics.checks.parameters import diagnostics
from kinetics.errors import CheckError
from kinetics.inference import ENOUGH, K_HAT, Fit
from kinetics.model import inverse_link, link
from kinetics.solve import trouble

__all__ = ["Check", "approximation_rows", "check"]

R_HAT = 1.01
ESS = 400.0
E_BFMI = 0.3


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
        """One sentence a failed check, with what to try."""
        return [
            f"{r['check']}: {r['value']:.4g}, wanted {r['threshold']}"
            + (f" ({r['where']})" if r["where"] else "")
            + f"; {r['what_to_try']}"
            for r in self.rows[~self.rows["ok"]].to_dict("records")
        ]

    def raise_for_status(self) -> None:
        """CheckError with every reason, unless all checks passed."""
        if not self.ok:
            raise CheckError(f"{self.fit}: these numbers may not be used\n" + "\n".join(self.failures))

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {"fit": self.fit, "ok": self.ok, "checks": self.rows.to_dict("records")}

    def __str__(self) -> str:
        verdict = "all checks pass" if self.ok else "these numbers may not be used"
        lines = [f"{self.fit}: {verdict}"]
        for r in self.rows.itertuples():
            mark = "ok  " if r.ok else "FAIL"
            where = f"  {r.where}" if r.where else ""
            lines.append(f"  {mark} {r.check:<24} {r.value:>10.4g}  wanted {r.threshold}{where}")
            if not r.ok:
                lines.append(f"       try: {r.what_to_try}")
        return "\n".join(lines)


def check(fit: Fit) -> Check:
    """Run every check on a fit; never raises for a bad fit (see `Check.raise_for_status`).

    >>> found = kn.check(kn.load_fit("runs/ogasawara_2021__synthetic_cart_12"))
    >>> list(found.rows["check"])[:4]
    ['R-hat, worst', 'ESS bulk, worst', 'ESS tail, worst', 'divergent transitions']
    """
    how = [*_convergence(fit), *_sampler(fit)] if fit.method == "nuts" else approximation_rows(fit)
    rows = [*how, _solves(fit), *_expected(fit)]
    columns = ["check", "value", "threshold", "ok", "where", "what_to_try"]
    return Check(fit.name, DataFrame(rows, columns=columns))


def _convergence(fit: Fit) -> list[tuple[Any, ...]]:
    table = diagnostics(fit)

    def place(i: Any) -> str:
        row = table.loc[i]
        return f"{row['site']}, subject {row['subject']}" if row["subject"] else str(row["site"])

    more = "more draws (kinetics resume RUN --draws N); if it stays, a stronger prior or fewer varying parameters"
    chains = fit.posterior["posterior"].sizes["chain"]
    r_hat = table["r_hat"] if chains > 1 else table["r_hat"] * np.nan
    worst = float(r_hat.max())
    rows = [
        (
            "R-hat, worst",
            worst,
            f"< {R_HAT}",
            worst < R_HAT,
            place(r_hat.idxmax()) if worst == worst else "",
            more,
        )
        if chains > 1
        else (
            "R-hat, worst",
            np.nan,
            f"< {R_HAT}",
            False,
            "one chain",
            "run at least 2 chains (4 by default)",
        )
    ]
    for kind in ("bulk", "tail"):
        column = table[f"ess_{kind}"]
        low = float(column.min())
        rows.append((f"ESS {kind}, worst", low, f"> {ESS:g}", low > ESS, place(column.idxmin()), more))
    return rows


def _sampler(fit: Fit) -> list[tuple[Any, ...]]:
    stats = fit.posterior["sample_stats"].dataset
    divergent = int(stats["diverging"].sum())
    energy = stats["energy"].to_numpy()
    e_bfmi = stats["energy_change"].to_numpy().mean(axis=1) / energy.var(axis=1)
    depth = fit.bound.plan.sampler.max_tree_depth
    saturated = int((stats["tree_depth"].to_numpy() >= depth).sum())
    low = float(e_bfmi.min())
    return [
        (
            "divergent transitions",
            float(divergent),
            "0",
            divergent == 0,
            "",
            "a higher target_accept (0.95, 0.99), or centre the parameters with many records per subject",
        ),
        (
            "E-BFMI, worst chain",
            low,
            f"> {E_BFMI}",
            low > E_BFMI,
            f"chain {int(e_bfmi.argmin())}",
            "longer warm-up; a heavy tail wants a tighter prior on the between-subject SDs",
        ),
        (
            "draws at full tree depth",
            float(saturated),
            "0",
            saturated == 0,
            f"max_tree_depth {depth}",
            "longer warm-up, centring, or a higher max_tree_depth",
        ),
    ]


def _solves(fit: Fit) -> tuple[Any, ...]:
    """Predictions that are not finite in 200 draws, by subject."""
    bound = fit.bound
    data = fit.bound.data
    found = fit.sites(at_most=200)
    sites = {k: jnp.asarray(found[k]) for k in bound.site_names()}

    def finite(s: dict[str, Any]) -> Any:
        terms = bound.record_log_likelihood(s, data)
        return jnp.all(jnp.stack([jnp.isfinite(t).all(axis=1) for t in terms.values()]), axis=0)

    failed = ~np.asarray(jax.jit(jax.vmap(finite))(sites))
    names = [bound.subjects[i] for i in np.nonzero(failed.any(axis=0))[0]]
    count = int(failed.sum())
    where = f"subjects {', '.join(names)}" if names else _beyond(fit)
    return (
        "failed predictions",
        float(count),
        "0",
        count == 0,
        where,
        "look at the named subjects' records and doses; bound the prior of the parameter that runs away",
    )


def _beyond(fit: Fit) -> str:
    """Who the solver gives up on, and when, three times as far from the median as the posterior goes: where a
    divergent transition may have been, since a draw that fails is never kept.
    """
    bound = fit.bound
    model = fit.model
    if model.vector_field is None:
        return ""
    far = {}
    for name, values in fit.theta(at_most=100).items():
        kind = model.parameters[bound.parameters[name]].prior.link
        on_line = link(kind, jnp.asarray(values))
        centre = jnp.median(on_line, axis=0)
        far[name] = inverse_link(kind, centre + 3.0 * (on_line - centre))
    times = bound.data.observations.time
    outputs = [a.output for a in bound.assays]

    def ends(theta: dict[str, Any]) -> Any:
        return trouble(model, times, theta, bound.data.doses, outputs, solver=bound.solver).at

    at = np.asarray(jax.jit(jax.vmap(ends))(far))
    first = [(bound.subjects[i], at[:, i].min()) for i in np.nonzero(np.isfinite(at).any(axis=0))[0]]
    said = ", ".join(f"subject {who} from day {day:.3g}" for who, day in first[:10])
    return f"the solver gives up three times as far out: {said}" if said else ""


def _expected(fit: Fit) -> list[tuple[Any, ...]]:
    sites = fit.sites()
    rows = []
    for name, expect in fit.bound.plan.expect.items():
        site = name if name in sites and f"{name}_pop" not in sites else f"{name}_pop"
        median = float(np.median(sites[site])) if site in sites else np.nan
        rows.append(
            (
                f"expected {name}",
                median,
                f"{expect.median:g} +- {expect.within:g}",
                bool(abs(median - expect.median) <= expect.within),
                site,
                "the data, model or prior is not the one this plan was written for",
            )
        )
    return rows


CONDITION = 1000.0
SHRINKAGE = 95.0
SLOPE = 0.1
EFFECTIVE = 400.0
Row = tuple[str, float, str, bool, str, str]


def approximation_rows(fit: Fit) -> list[Row]:
    """check, value, threshold, ok, where, what to try."""
    facts = fit.provenance["method"]
    rows = _maximum(estimates(fit), facts) if "estimates" in fit.posterior else _guide(facts)
    return rows + (_importance(fit.method, facts) if "pareto_k" in facts else [])


def _maximum(found: Estimates, facts: Mapping[str, Any]) -> list[Row]:
    gain = float(facts["gain"])
    ends = [e for e in facts["searches"] if e["converged"]]
    apart = max(e["value"] for e in facts["searches"] if e["value"] == e["value"])
    better = [e["start"] for e in facts["searches"] if not e["converged"] and e["value"] >= apart]
    worst = found.table.iloc[int(np.argmax(found.table["shrinkage_percent"].fillna(-1.0).to_numpy()))]
    share = float(worst["shrinkage_percent"])
    held = found.held
    rows: list[Row] = [
        (
            "gradient, gain of a step",
            gain,
            f"< {ENOUGH}",
            gain < ENOUGH,
            f"the search from {better[0]}" if better else "",
            "more starts (`[sampler] starts = 5`); a likelihood with corners or several maxima wants nuts",
        ),
        (
            "searches that converged",
            float(len(ends)),
            ">= 1",
            len(ends) >= 1,
            "",
            "tighter solver tolerances, other priors (they place the starts), or nuts",
        ),
        (
            "values not determined",
            float(len(held)),
            "0",
            not held,
            ", ".join(held),
            "; ".join(f"{k}: {why}" for k, why in held.items()) or "-",
        ),
        (
            "condition number",
            found.condition,
            f"< {CONDITION:g}",
            found.condition < CONDITION,
            "",
            "the estimates are nearly collinear: fix one, or simplify the model",
        ),
    ]
    if share == share:
        rows.append(
            (
                "EBE shrinkage, worst (%)",
                share,
                f"< {SHRINKAGE:g}",
                share < SHRINKAGE,
                str(worst["site"]),
                "the subjects' own values of it say nothing: leave it out of `vary`, and read no EBE of it",
            )
        )
    return rows


def _guide(facts: Mapping[str, Any]) -> list[Row]:
    slope = float(facts["slope"])
    return [
        (
            "slope of the bound",
            slope,
            f"< {SLOPE}",
            slope < SLOPE,
            f"{facts['steps']} steps",
            "priors that leave less room; or nuts",
        )
    ]


def _importance(method: str, facts: Mapping[str, Any]) -> list[Row]:
    k = float(facts["pareto_k"])
    remedy = "nuts: the posterior is not as this approximation has it" + (
        '; nuts can begin from it (`[sampler] start = "vi"`)' if method == "vi" else "; or vi"
    )
    rows: list[Row] = [("Pareto k of the draws", k, f"< {K_HAT}", k < K_HAT, "", remedy)]
    if facts.get("resampled"):
        n = float(facts["effective"])
        rows.append(("effective draws", n, f"> {EFFECTIVE:g}", n > EFFECTIVE, "", "more draws, or nuts"))
    return rows


# # MERGED check_approximation: """The checks of a fit whose draws are not NUTS's: was a maximum reached, is
# it one, may the approximation be used?
#
# Thresholds: what a Newton step would still bring < 0.1 in log-likelihood; condition number of the estimates'
# correlation matrix < 1000, the field's convention; Pareto k < 0.7 (Vehtari et al. 2024, arXiv 1507.02646),
# of `map` and `vi`, whose target is the posterior; shrinkage of EBEs < 95 %, above which the subjects' own
# values say nothing (from 30 % on plots of EBEs mislead: Savic & Karlsson 2009, doi
# 10.1208/s12248-009-9133-0). """
