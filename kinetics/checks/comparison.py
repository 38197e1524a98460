"""Comparison of several fits of the same records: which predicts best, and by how much.

The difference in elpd is summed over the same left-out units, so its standard error is that of the unit by
unit differences, not of the two sums (Vehtari, Gelman & Gabry 2017). Weights are by stacking (Yao, Vehtari,
Simpson & Gelman 2018). A difference below 4 cannot tell two fits apart, whatever its standard error (Sivula,
Magnusson & Vehtari 2020).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np
from arviz_stats import (
    ELPDData,  # pyright: ignore[reportPrivateImportUsage]
    compare as arviz_compare,  # pyright: ignore[reportPrivateImportUsage]
)
from pandas import DataFrame
from xarray import DataArray

from kinetics.arguments import require
from kinetics.checks.leave_one_out import By, loo
from kinetics.errors import InputError, Problem
from kinetics.inference import Fit

__all__ = ["Comparison", "compare"]

_SMALL = 4.0  # a difference in elpd below which two fits cannot be told apart


@dataclass(frozen=True)
class Comparison:
    """Several fits, the best first.

    table: rank, fit, model, elpd, se, p_loo, elpd_diff (to the best fit, for which it is 0), se_diff, weight,
    worst_k, unreliable (number of units whose elpd may not be used), verdict. parameters: one row for each
    site, three columns for each fit: `<fit>` (median), `<fit>_lower`, `<fit>_upper` (90 % interval). units:
    the elpd of each unit, one column for each fit.

    >>> found = kn.compare([kn.load_fit("runs/theophylline"), kn.load_fit("runs/theophylline-combined")])
    >>> found.by, list(found.units)
    ('observation', ['subject', 'analyte', 'time', 'theophylline', 'theophylline-combined'])
    >>> list(found.as_dict())
    ['by', 'fits', 'parameters', 'advice']
    """

    by: By
    table: DataFrame
    parameters: DataFrame
    units: DataFrame
    advice: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The comparison as plain values, for `--json`."""
        return {
            "by": self.by,
            "fits": self.table.to_dict("records"),
            "parameters": self.parameters.to_dict("records"),
            "advice": list(self.advice),
        }

    def __str__(self) -> str:
        def text(table: DataFrame) -> str:
            return table.to_string(index=False, na_rep="-", float_format=lambda x: f"{x:.4g}")

        names = list(self.table["fit"])
        lines = [f"leave one {self.by} out, {len(self.units)} units; the best first", text(self.table)]
        lines += ["", "population values, median", text(self.parameters[["site", *names]])]
        lines += [f"note: {advice}" for advice in self.advice]
        return "\n".join(lines)


def compare(
    fits: Mapping[str, Fit] | Sequence[Fit],
    by: By = "observation",
    *,
    draws: int | None = None,
    points: int = 256,
    seed: int = 0,
) -> Comparison:
    """Compare fits of the same records by leave-one-out.

    `fits` maps names to fits, or is a sequence of fits with different names. `by`, `draws`, `points` and
    `seed` are those of `loo`. Analytes that any of the fits has correlated are left out together from all.
    InputError for fewer than two fits, for two of one name, and for fits of different data or of different
    records of the same data.

    >>> fit = kn.load_fit("runs/theophylline")
    >>> other = kn.load_fit("runs/theophylline-combined")  # another residual error
    >>> found = kn.compare({"additive": fit, "combined": other})
    >>> sorted(found.table["fit"]), list(found.table)[:5]
    (['additive', 'combined'], ['rank', 'fit', 'model', 'elpd', 'se'])
    """
    named = _named(fits)
    _refuse_other_data(named)
    _refuse_other_records(named, with_outcomes=by == "subject")
    correlated = {analyte for fit in named.values() if fit.bound.pair for analyte in fit.bound.pair.analytes}
    loos = {}
    for name, fit in named.items():
        loos[name] = loo(fit, by, draws=draws, points=points, seed=seed, together=correlated)

    # the elpd of every unit, the fits in the order of their elpd
    order = sorted(named, key=lambda name: -loos[name].elpd)
    best = order[0]
    keys = [c for c in ("subject", "analyte", "time") if c in loos[best].units]
    units = DataFrame(loos[best].units[keys])
    for name in named:
        units[name] = loos[name].units["elpd"].to_numpy()
    weights = _weights(units[order])

    rows = []
    for rank, name in enumerate(order):
        result = loos[name]
        difference = (units[name] - units[best]).to_numpy(float)
        elpd_diff = float(difference.sum())
        se_diff = float(np.sqrt(len(difference) * np.var(difference)))
        rows.append(
            {
                "rank": rank + 1,
                "fit": name,
                "model": named[name].model.name,
                "elpd": result.elpd,
                "se": result.se,
                "p_loo": result.p_loo,
                "elpd_diff": elpd_diff,
                "se_diff": se_diff,
                "weight": weights[rank],
                "worst_k": result.worst_k,
                "unreliable": len(result.unreliable),
                "verdict": _verdict(rank, elpd_diff, se_diff),
            }
        )
    advice = [f"{name}: {loos[name].advice}" for name in order if loos[name].advice]
    advice += [f"{name}: {named[name].caution}" for name in order if named[name].caution]
    parameters = _parameters({name: named[name] for name in order})
    return Comparison(by, DataFrame(rows), parameters, units, tuple(advice))


def _verdict(rank: int, difference: float, se: float) -> str:
    """The verdict on a fit whose elpd differs from the best by `difference`, with the standard error `se`."""
    if rank == 0:
        return "best"
    if not np.isfinite(difference):
        return "gives some record no likelihood"
    if -difference < _SMALL:
        return "cannot be told from the best (difference below 4)"
    if -difference < 2 * se:
        return "cannot be told from the best (within 2 SE)"
    return "worse"


def _weights(units: DataFrame) -> np.ndarray:
    """Stacking weights by ArviZ.

    The best elpd of each unit is subtracted from that of every fit. This changes no weight, and no density
    underflows.
    """
    values = units.to_numpy(float)
    if not np.isfinite(values).all():
        return np.full(values.shape[1], np.nan)
    values = values - values.max(axis=1, keepdims=True)
    # arviz-stats 1.3, for Python 3.12 and later, has no `kind`
    kind: dict[str, Any] = {"kind": "loo"} if "kind" in signature(ELPDData).parameters else {}
    elpds = {}
    for k, elpd_i in enumerate(values.T):
        elpds[str(k)] = ELPDData(
            **kind,
            elpd=float(elpd_i.sum()),
            se=0.0,
            p=0.0,
            n_samples=0,
            n_data_points=len(values),
            scale="log",
            warning=False,
            good_k=0.7,
            elpd_i=DataArray(elpd_i, dims=["unit"]),
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = arviz_compare(elpds, method="stacking")
    return np.array([float(table.loc[str(k), "weight"]) for k in range(values.shape[1])])  # pyright: ignore


def _named(fits: Mapping[str, Fit] | Sequence[Fit]) -> dict[str, Fit]:
    """The fits by name; InputError for what is no fit, for two of one name, and for fewer than two."""
    members: Any = fits
    if isinstance(fits, str) or not isinstance(fits, Iterable):
        members = [fits]
    keyed = members.items() if isinstance(members, Mapping) else enumerate(members)
    require(**{f"fits[{key!r}]": (fit, Fit) for key, fit in keyed})
    named = dict(members) if isinstance(members, Mapping) else {fit.name: fit for fit in members}
    if len(named) < len(members):
        raise InputError(Problem("two fits of one name", 'name them: compare({"a": fit, "b": other})'))
    if len(named) < 2:
        raise InputError(Problem(f"{len(named)} fit to compare", "give two or more"))
    return named


def _refuse_other_data(fits: Mapping[str, Fit]) -> None:
    """InputError where a fit is not of the same study as the first."""
    (first, first_fit), *others = fits.items()
    for name, fit in others:
        if fit.study.sha256 != first_fit.study.sha256:
            what = f"{name} was fitted to {fit.study.name} ({fit.study.sha256[:8]}), "
            what += f"{first} to {first_fit.study.name} ({first_fit.study.sha256[:8]})"
            raise InputError(
                Problem(what, "only fits of the same data can be compared: fit both to one study")
            )


def _refuse_other_records(fits: Mapping[str, Fit], *, with_outcomes: bool) -> None:
    """InputError where a fit uses other records of an analyte than the first: the left-out units have to be
    the same, and a subject has to have the same records in each; `with_outcomes`, the same events and grades.
    """

    def used(fit: Fit) -> dict[str, set[tuple[str, float]]]:
        return _records_used(fit) | (_outcomes_used(fit) if with_outcomes else {})

    first, *others = fits
    first_records = used(fits[first])
    for name in others:
        records = used(fits[name])
        for analyte in sorted({*first_records, *records}):
            a = first_records.get(analyte, set())
            b = records.get(analyte, set())
            if a != b:
                remedy = (
                    f"observe the same analytes with the same below_lloq in both (only in one: {_few(a ^ b)})"
                )
                if analyte.startswith(("the event ", "the grades ")):
                    remedy = "fit the same events and grades in both, or compare by observation"
                what = (
                    f"{first} uses {len(a)} records of {analyte}, {name} {len(b)}: "
                    "their elpd cannot be compared"
                )
                raise InputError(Problem(what, remedy))


def _records_used(fit: Fit) -> dict[str, set[tuple[str, float]]]:
    """Analyte -> the (subject, study day) of every record that enters the likelihood."""
    bound = fit.bound
    time = np.asarray(bound.data.observations.time)
    used = {}
    for analyte, records in bound.data.observations.assays.items():
        masks = records[2:]  # measured, left, right, interval
        entering = np.argwhere(np.any([np.asarray(m) for m in masks], axis=0))
        used[analyte] = {(bound.subjects[i], float(time[i, j])) for i, j in entering}
    return used


def _outcomes_used(fit: Fit) -> dict[str, set[tuple[str, float]]]:
    """Event or grades -> the (subject, study day) of every time and grade that enters the likelihood."""
    bound = fit.bound
    used = {}
    for event in bound.events:
        times = bound.data.event_times[event.name]
        counted = np.flatnonzero(np.asarray(times.counted))
        used[f"the event {event.name}"] = {(bound.subjects[i], float(times.end[i])) for i in counted}
    for grades in bound.grades:
        records = fit.study.observed(grades.spec.analyte)
        used[f"the grades {grades.name}"] = set(zip(records["subject"], records["time"], strict=True))
    return used


def _few(records: Iterable[tuple[str, float]]) -> str:
    """The first three records, and how many more there are."""
    ordered = sorted(records)
    named = ", ".join(f"{subject} on day {time:g}" for subject, time in ordered[:3])
    if len(ordered) > 3:
        return f"{named} and {len(ordered) - 3} more"
    return named


def _parameters(fits: Mapping[str, Fit]) -> DataFrame:
    """Population sites side by side, in the order in which the fits first name them."""
    sites = dict.fromkeys(site for fit in fits.values() for site in fit.bound.priors())
    table = DataFrame({"site": list(sites)})
    for name, fit in fits.items():
        draws = fit.sites()
        for suffix, q in (("", 0.5), ("_lower", 0.05), ("_upper", 0.95)):
            quantile = [float(np.quantile(draws[s], q)) if s in draws else np.nan for s in sites]
            table[f"{name}{suffix}"] = quantile
    return table
