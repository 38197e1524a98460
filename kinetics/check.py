"""May these numbers be used? Each check has a value, a threshold, a verdict, and what to try.

Thresholds: R-hat < 1.01 and ESS > 400 (Vehtari et al. 2021, doi 10.1214/20-BA1221); no divergent transition;
E-BFMI > 0.3 (Betancourt 2016, arXiv 1604.00695). Fits by other methods: `kinetics.check_approximation`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from pandas import DataFrame

from kinetics.check_approximation import approximation_rows
from kinetics.distributions import inverse_link, link
from kinetics.errors import CheckError
from kinetics.fit import Fit
from kinetics.solve import trouble
from kinetics.summary import diagnostics

__all__ = ["Check", "check"]

R_HAT, ESS, E_BFMI = 1.01, 400.0, 0.3


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
    ... except kn.CheckError:
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
            "divergent transitions", float(divergent), "0", divergent == 0, "",
            "a higher target_accept (0.95, 0.99), or centre the parameters with many records per subject",
        ),
        (
            "E-BFMI, worst chain", low, f"> {E_BFMI}", low > E_BFMI, f"chain {int(e_bfmi.argmin())}",
            "longer warm-up; a heavy tail wants a tighter prior on the between-subject SDs",
        ),
        (
            "draws at full tree depth", float(saturated), "0", saturated == 0, f"max_tree_depth {depth}",
            "longer warm-up, centring, or a higher max_tree_depth",
        ),
    ]  # fmt: skip


def _solves(fit: Fit) -> tuple[Any, ...]:
    """Predictions that are not finite in 200 draws, by subject."""
    bound, data = fit.bound, fit.bound.data
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
        "failed predictions", float(count), "0", count == 0, where,
        "look at the named subjects' records and doses; bound the prior of the parameter that runs away",
    )  # fmt: skip


def _beyond(fit: Fit) -> str:
    """Who the solver gives up on, and when, three times as far from the median as the posterior goes: where a
    divergent transition may have been, since a draw that fails is never kept.
    """
    bound, model = fit.bound, fit.model
    if model.vector_field is None:
        return ""
    far = {}
    for name, values in fit.theta(at_most=100).items():
        kind = model.parameters[bound.parameters[name]].prior.link
        on_line = link(kind, jnp.asarray(values))
        centre = jnp.median(on_line, axis=0)
        far[name] = inverse_link(kind, centre + 3.0 * (on_line - centre))
    times, outputs = bound.data.observations.time, [a.output for a in bound.assays]

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
                f"expected {name}", median, f"{expect.median:g} +- {expect.within:g}",
                bool(abs(median - expect.median) <= expect.within), site,
                "the data, model or prior is not the one this plan was written for",
            )
        )  # fmt: skip
    return rows
