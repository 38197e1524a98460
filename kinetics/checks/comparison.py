"""Which of several fits of the same records predicts best, and by how much.

The difference in elpd is summed over the same left-out units, so its standard error is that of the
differences, not of the sums (Vehtari, Gelman & Gabry 2017); weights are by stacking (Yao, Vehtari, Simpson &
Gelman 2018). A difference below 4 cannot tell two fits apart whatever its standard error (Sivula, Magnusson &
Vehtari 2020).
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

from kinetics.checks.leave_one_out import By, Loo, loo
from kinetics.errors import InputError, Problem
from kinetics.inference import Fit

__all__ = ["Comparison", "compare"]

_SMALL = 4.0  # a difference in elpd


@dataclass(frozen=True)
class Comparison:
    """Several fits, the best first.

    table: rank, fit, model, elpd, se, p_loo, elpd_diff (to the best; 0 for it), se_diff, weight, worst_k,
    unreliable (units whose elpd may not be used), verdict. parameters: one row a site, three columns a fit:
    `<fit>` (median), `<fit>_lower`, `<fit>_upper` (90 % interval). units: each unit's elpd, one column a fit.

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
        """For `--json`."""
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
        parts = [f"leave one {self.by} out, {len(self.units)} units; the best first", text(self.table)]
        parts += ["", "population values, median", text(self.parameters[["site", *names]])]
        return "\n".join([*parts, *(f"note: {line}" for line in self.advice)])


def compare(
    fits: Mapping[str, Fit] | Sequence[Fit],
    by: By = "observation",
    *,
    draws: int | None = None,
    points: int = 256,
    seed: int = 0,
) -> Comparison:
    """Compare fits of the same records by leave-one-out; `by`, `draws`, `points` and `seed` are those of
    `loo`.

    `fits`: name -> fit, or a sequence of fits with different names. Analytes that any of them has correlated
    are left out together from all. InputError for fewer than two, for two of one name, and for fits of
    different data or of different records of it.

    >>> fit = kn.load_fit("runs/theophylline")
    >>> other = kn.load_fit("runs/theophylline-combined")  # another residual error
    >>> found = kn.compare({"additive": fit, "combined": other})
    >>> sorted(found.table["fit"]), list(found.table)[:5]
    (['additive', 'combined'], ['rank', 'fit', 'model', 'elpd', 'se'])
    """
    named = _named(fits)
    _refuse_other_data(named)
    pairs = {analyte for fit in named.values() if fit.bound.pair for analyte in fit.bound.pair.analytes}
    found = {
        name: loo(fit, by, draws=draws, points=points, seed=seed, together=pairs)
        for name, fit in named.items()
    }
    _refuse_other_records(named, found)
    order = sorted(named, key=lambda name: -found[name].elpd)
    keys = [c for c in ("subject", "analyte", "time") if c in found[order[0]].units]
    units = DataFrame(found[order[0]].units[keys])
    for name in named:
        units[name] = found[name].units["elpd"].to_numpy()
    weights = _weights(units[order])
    rows = []
    for rank, name in enumerate(order):
        f = found[name]
        difference = (units[name] - units[order[0]]).to_numpy(float)
        total = float(difference.sum())
        se = float(np.sqrt(len(difference) * np.var(difference)))
        row = {"rank": rank + 1, "fit": name, "model": named[name].model.name, "elpd": f.elpd, "se": f.se}
        row |= {"p_loo": f.p_loo, "elpd_diff": total, "se_diff": se, "weight": weights[rank]}
        row |= {"worst_k": f.worst_k, "unreliable": len(f.unreliable), "verdict": _verdict(rank, total, se)}
        rows.append(row)
    advice = tuple(f"{name}: {found[name].advice}" for name in order if found[name].advice)
    advice += tuple(f"{name}: {named[name].caution}" for name in order if named[name].caution)
    return Comparison(by, DataFrame(rows), _parameters({name: named[name] for name in order}), units, advice)


def _verdict(rank: int, difference: float, se: float) -> str:
    if rank == 0:
        return "best"
    if not np.isfinite(difference):
        return "gives some record no likelihood"
    if -difference < _SMALL:
        return "cannot be told from the best (difference below 4)"
    return "cannot be told from the best (within 2 SE)" if -difference < 2 * se else "worse"


def _weights(units: DataFrame) -> np.ndarray:
    """Stacking weights by ArviZ. A unit's best elpd is subtracted from all: no weight changes, none
    underflows.
    """
    values = units.to_numpy(float)
    if not np.isfinite(values).all():
        return np.full(values.shape[1], np.nan)
    values = values - values.max(axis=1, keepdims=True)
    # arviz-stats 1.3, for Python 3.12 and later, has no `kind`
    kind: dict[str, Any] = {"kind": "loo"} if "kind" in signature(ELPDData).parameters else {}
    each = {}
    for k, elpd_i in enumerate(values.T):
        each[str(k)] = ELPDData(
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
        table = arviz_compare(each, method="stacking")
    return np.array([float(table.loc[str(k), "weight"]) for k in range(values.shape[1])])  # pyright: ignore


def _named(fits: Mapping[str, Fit] | Sequence[Fit]) -> dict[str, Fit]:
    named = dict(fits) if isinstance(fits, Mapping) else {fit.name: fit for fit in fits}
    if len(named) < len(fits):
        raise InputError(Problem("two fits of one name", 'name them: compare({"a": fit, "b": other})'))
    if len(named) < 2:
        raise InputError(Problem(f"{len(named)} fit to compare", "give two or more"))
    return named


def _refuse_other_data(fits: Mapping[str, Fit]) -> None:
    first, *others = fits.items()
    for name, fit in others:
        if fit.study.sha256 != first[1].study.sha256:
            what = f"{name} was fitted to {fit.study.name} ({fit.study.sha256[:8]}), "
            what += f"{first[0]} to {first[1].study.name} ({first[1].study.sha256[:8]})"
            raise InputError(
                Problem(what, "only fits of the same data can be compared: fit both to one study")
            )


def _refuse_other_records(fits: Mapping[str, Fit], found: Mapping[str, Loo]) -> None:
    """Left-out units have to be the same, and mean the same: so many records of each analyte for a
    subject.
    """
    first, *others = found

    def entering(name: str) -> dict[str, set[tuple[Any, ...]]]:
        bound = fits[name].bound
        masks = {a: r[2:] for a, r in bound.data.observations.assays.items()}
        present = {a: np.argwhere(np.any([np.asarray(m) for m in mask], axis=0)) for a, mask in masks.items()}
        time = np.asarray(bound.data.observations.time)
        return {a: {(bound.subjects[i], float(time[i, j])) for i, j in at} for a, at in present.items()}

    one = entering(first)
    for name in others:
        other = entering(name)
        for analyte in sorted({*one, *other}):
            a = one.get(analyte, set())
            b = other.get(analyte, set())
            if a != b:
                remedy = (
                    f"observe the same analytes with the same below_lloq in both (only in one: {_few(a ^ b)})"
                )
                what = f"{first} uses {len(a)} records of {analyte}, {name} {len(b)}: their elpd cannot be compared"
                raise InputError(Problem(what, remedy))


def _few(records: Iterable[tuple[Any, ...]]) -> str:
    ordered = sorted(records)
    said = ", ".join(f"{subject} on day {time:g}" for subject, time in ordered[:3])
    return said + (f" and {len(ordered) - 3} more" if len(ordered) > 3 else "")


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
