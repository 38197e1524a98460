"""The checks of a fit whose draws are not NUTS's: was a maximum reached, is it one, may the approximation be used?

Thresholds: what a Newton step would still bring < 0.1 in log-likelihood; condition number of the estimates' correlation
matrix < 1000, the field's convention; Pareto k < 0.7 (Vehtari et al. 2024, arXiv 1507.02646), of `map` and `vi`, whose
target is the posterior; shrinkage of EBEs < 95 %, above which the subjects' own values say nothing (from 30 % on plots
of EBEs mislead: Savic & Karlsson 2009, doi 10.1208/s12248-009-9133-0).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kinetics.approximate import K_HAT
from kinetics.estimates import Estimates, estimates
from kinetics.fit import Fit
from kinetics.laplace import ENOUGH

__all__ = ["approximation_rows"]

CONDITION, SHRINKAGE, SLOPE, EFFECTIVE = 1000.0, 95.0, 0.1, 400.0
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
            "gradient, gain of a step", gain, f"< {ENOUGH}", gain < ENOUGH,
            f"the search from {better[0]}" if better else "",
            "more starts (`[sampler] starts = 5`); a likelihood with corners or several maxima wants nuts",
        ),
        (
            "searches that converged", float(len(ends)), ">= 1", len(ends) >= 1, "",
            "tighter solver tolerances, other priors (they place the starts), or nuts",
        ),
        (
            "values not determined", float(len(held)), "0", not held, ", ".join(held),
            "; ".join(f"{k}: {why}" for k, why in held.items()) or "-",
        ),
        (
            "condition number", found.condition, f"< {CONDITION:g}", found.condition < CONDITION, "",
            "the estimates are nearly collinear: fix one, or simplify the model",
        ),
    ]  # fmt: skip
    if share == share:
        rows.append((
            "EBE shrinkage, worst (%)", share, f"< {SHRINKAGE:g}", share < SHRINKAGE, str(worst["site"]),
            "the subjects' own values of it say nothing: leave it out of `vary`, and read no EBE of it",
        ))  # fmt: skip
    return rows


def _guide(facts: Mapping[str, Any]) -> list[Row]:
    slope = float(facts["slope"])
    return [(
        "slope of the bound", slope, f"< {SLOPE}", slope < SLOPE, f"{facts['steps']} steps",
        "priors that leave less room; or nuts",
    )]  # fmt: skip


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
