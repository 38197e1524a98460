"""Estimates of a fit by `laplace` or `map`, as a NONMEM user expects them: SE, RSE, shrinkage, objective."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pandas import DataFrame

from kinetics.arguments import require
from kinetics.errors import FitError
from kinetics.inference import Fit

__all__ = ["Estimates", "estimates"]


@dataclass(frozen=True)
class Estimates:
    """The maximum of a fit by `laplace` (no priors) or `map`.

    `kinetics.inference.laplace.standard_errors` defines every number. table: site, estimate, se, rse_percent,
    lower, upper (95 %), shrinkage_percent (of the EBEs that belong to an omega), held (why a value has no
    standard error, and what to do). ebes: subject, eta_X, X. `ofv` is NONMEM's objective, `ofv_log` the same
    with log-normal records taken as logs. covariance, correlation and `condition` are the covariance matrix
    of the estimates, their correlation matrix, and the condition number of the latter. `log_likelihood`,
    `aic` and `bic` (lower is better) count `parameters` free parameters and `records` records.

    >>> found = kn.checks.estimates(kn.load_fit("runs/theophylline-laplace"))
    >>> found.method, found.parameters, found.records, round(found.ofv, 1), found.held
    ('laplace', 6, 132, 111.9, {})
    >>> list(found.as_dict())[:4]
    ['fit', 'method', 'ofv', 'ofv_log']
    """

    fit: str
    method: str
    table: DataFrame
    ebes: DataFrame
    covariance: DataFrame
    correlation: DataFrame
    ofv: float
    ofv_log: float
    log_likelihood: float
    aic: float
    bic: float
    parameters: int
    records: int
    condition: float

    @property
    def held(self) -> dict[str, str]:
        """The sites that the records do not determine: site -> why, and what to do."""
        rows = self.table[self.table["held"] != ""]
        return dict(zip(rows["site"], rows["held"], strict=True))

    def as_dict(self) -> dict[str, Any]:
        """The estimates as plain values, for `--json`."""
        numbers = ("ofv", "ofv_log", "log_likelihood", "aic", "bic", "parameters", "records", "condition")
        return {
            "fit": self.fit,
            "method": self.method,
            **{k: getattr(self, k) for k in numbers},
            "estimates": self.table.to_dict("records"),
            "ebes": self.ebes.to_dict("records"),
            "correlation": self.correlation.to_dict(),
        }

    def __str__(self) -> str:
        kind = "maximum likelihood, no priors" if self.method == "laplace" else "maximum of the posterior"
        head = f"{self.fit}: {kind}; random effects integrated by Laplace's method (FOCE with interaction)"
        lines = [
            head,
            f"OFV {self.ofv:.3f} (-2 log L less N log 2 pi), log L {self.log_likelihood:.3f}, "
            f"AIC {self.aic:.2f}, BIC {self.bic:.2f}; {self.parameters} parameters, {self.records} records; "
            f"condition number {self.condition:.3g}",
        ]
        if abs(self.ofv_log - self.ofv) > 1e-9:
            lines.append(f"OFV with log-normal records as logs: {self.ofv_log:.3f}")
        table = self.table.drop(columns="held")
        lines.append(table.to_string(index=False, na_rep="-", float_format=lambda x: f"{x:.4g}"))
        if table["se"].notna().any():
            lines.append("SE by the delta method from the information; intervals hold 95 %")
        sites: dict[str, list[str]] = {}
        for site, reason in self.held.items():
            sites.setdefault(reason, []).append(site)
        lines.extend(f"held: {', '.join(names)}: {reason}" for reason, names in sites.items())
        return "\n".join(lines)


def estimates(fit: Fit) -> Estimates:
    """The estimates of a fit by `laplace` or `map`. FitError for another method, which has no maximum.

    >>> found = kn.checks.estimates(kn.load_fit("runs/theophylline-laplace"))
    >>> found.table[["site", "estimate", "rse_percent"]].round(1).head(3)
         site  estimate  rse_percent
    0  ka_pop      37.9         19.9
    1  ke_pop       2.0          5.3
    2  cl_pop      65.2          6.1
    """
    require(fit=(fit, Fit))
    if "estimates" not in fit.posterior:
        raise FitError(
            f"{fit.name} was fitted by {fit.method}, which estimates no maximum: see `parameter_table`, or "
            'fit with method = "laplace"'
        )
    group = fit.posterior["estimates"].dataset
    sites = [str(s) for s in group["site"].to_numpy()]
    columns = ("estimate", "se", "rse_percent", "lower", "upper")
    table = DataFrame({"site": sites, **{k: group[k].to_numpy() for k in columns}})
    shrinkage = {}
    for name in fit.bound.hierarchy.omega:
        shrinkage[f"omega_{name}"] = 100 * (1 - float(np.std(group[f"eta_{name}"].to_numpy())))
    table["shrinkage_percent"] = [shrinkage.get(s, np.nan) for s in sites]
    table["held"] = [str(v) for v in group["held"].to_numpy()]
    by_subject = [str(k) for k, v in group.data_vars.items() if v.dims == ("subject",)]
    ebes = DataFrame({"subject": fit.bound.subjects, **{k: group[k].to_numpy() for k in by_subject}})
    return Estimates(
        fit=fit.name,
        method=fit.method,
        table=table,
        ebes=ebes,
        covariance=DataFrame(group["covariance"].to_numpy(), index=sites, columns=sites),
        correlation=DataFrame(group["correlation"].to_numpy(), index=sites, columns=sites),
        ofv=float(group.attrs["ofv"]),
        ofv_log=float(group.attrs["ofv_log"]),
        log_likelihood=float(group.attrs["log_likelihood"]),
        aic=float(group.attrs["aic"]),
        bic=float(group.attrs["bic"]),
        parameters=int(group.attrs["parameters"]),
        records=int(group.attrs["records"]),
        condition=float(group.attrs["condition"]),
    )
