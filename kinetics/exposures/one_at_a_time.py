"""Which parameter moves a number most: each alone at the ends of what is believed of it, the others at the
middle.

One at a time, so what two parameters do together, and that a posterior's parameters go up and down with each
other, is not in it: a wide bar is a question worth an experiment, not the width of an interval (`simulate`
draws those).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from pandas import DataFrame
from scipy.stats import norm

from kinetics.errors import PlanError, Problem, did_you_mean
from kinetics.exposures.fitted import curve_exposure
from kinetics.inference import Fit
from kinetics.model import HalfNormal, Model, inverse_link, link, load_model
from kinetics.prediction import Simulation, simulated_values, simulation
from kinetics.regimen import Regimen

__all__ = ["Tornado", "tornado"]

_CLOSE = (0.0, 0.02, 0.1, 0.25, 0.5, 0.75)  # days after the start of the window
_STEP = 0.1  # day: to which a Tmax is known
Values = dict[str, Float[np.ndarray, " patient"]]


@dataclass(frozen=True, eq=False)
class Tornado:
    """`table`: one row a quantity and parameter, the widest swing of a quantity first: quantity, parameter,
    unit, low, middle, high [of the parameter], at_low, at_middle, at_high [in `units[quantity]`], swing,
    scale, guess.

    `swing` is the largest of the three over the least where all are above 0 (scale "ratio"), else their
    difference. `source` says where low and high come from, `level` how much lies between them; `notes` what
    was assumed.

    >>> found = kn.tornado("stein_2019", quantities=["copies_auc_0_28d"])
    >>> found.of("copies_auc_0_28d")["swing"].is_monotonic_decreasing, list(found.as_dict())[:2]
    (True, ['model', 'source'])
    """

    model: Model
    source: str
    level: float
    table: DataFrame
    units: Mapping[str, str]
    notes: tuple[str, ...] = ()
    synthetic: bool = False

    def of(self, quantity: str) -> DataFrame:
        """The rows of one quantity; PlanError where there is none of that name."""
        if quantity not in self.units:
            raise PlanError(Problem(f"no quantity {quantity!r}", did_you_mean(quantity, list(self.units))))
        return DataFrame(self.table[self.table["quantity"] == quantity]).reset_index(drop=True)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        head = {
            "model": self.model.name,
            "source": self.source,
            "level": self.level,
            "synthetic": self.synthetic,
        }
        rows = self.table.astype(object).where(self.table.notna(), None).to_dict("records")
        return head | {"units": dict(self.units), "notes": list(self.notes), "rows": rows}


def tornado(
    of: Model | str | Path | Fit,
    regimen: Regimen | None = None,
    *,
    quantities: Sequence[str] | None = None,
    window: tuple[float, float] = (0.0, 28.0),
    weight_kg: float = 70.0,
    level: float = 0.9,
) -> Tornado:
    """Move each parameter alone to the ends of its prior, or of its posterior in a fit, and see what numbers
    become.

    A model: every parameter from the middle of its prior to the quantiles that hold `level` of it. A fit: its
    population values, by their posterior; covariates at their reference, random effects at 0, and what the
    fit held is left out. The patient weighs `weight_kg` [kg] and takes `regimen`, by default the model's
    typical dose on day 0.

    Quantities of the `window` [study day], default all: `OUTPUT_cmax` [unit of the output], `OUTPUT_tmax`
    [day after the window's start], `OUTPUT_auc_0_28d` [unit x day], `PRODUCT_SITE_to_blood` (ratio of these
    areas, of a model with sites), and the model's derived quantities. Curves are without residual error and
    assay scale. PlanError for what is not there. Where the solver gives up a number is NaN.

    >>> found = kn.tornado("stein_2019", quantities=["copies_auc_0_28d"])
    >>> str(found.of("copies_auc_0_28d")["parameter"].iloc[0]), found.as_dict()["level"]
    ('cmax', 0.9)
    """
    fit = of if isinstance(of, Fit) else None
    model = of.model if isinstance(of, Fit) else of if isinstance(of, Model) else load_model(of)
    if not 0 < level < 1 or not window[0] < window[1]:
        what = f"level {level:g}, window {window}"
        raise PlanError(Problem(what, "give a level in (0, 1) and a window that ends after it starts"))
    ends = _of_posterior(fit, level) if fit is not None else _of_prior(model, level)
    middle = model.typical() | (dict(fit.bound.hierarchy.fixed) if fit is not None else {})
    middle = {k: middle[k] for k in model.parameters} | {k: m for k, (_, m, _) in ends.items()}
    days = np.unique([*(window[0] + np.array(_CLOSE)), *np.arange(window[0], window[1], _STEP), window[1]])
    solver = None if fit is None else fit.bound.plan.solver.solver()
    prepared = simulation(model, regimen, times=days, weight_kg=weight_kg, solver=solver)
    theta = {k: np.full(1 + 2 * len(ends), float(v)) for k, v in middle.items()}
    for i, (name, (low, _, high)) in enumerate(ends.items()):
        theta[name][1 + 2 * i : 3 + 2 * i] = low, high
    found, units = _quantities(prepared, theta, window)
    chosen = list(found) if quantities is None else list(quantities)
    if strange := [q for q in chosen if q not in found]:
        raise PlanError(Problem(f"no quantity {q!r}", did_you_mean(q, list(found))) for q in strange)
    rows = [row for q in chosen for row in _rows(model, q, found[q], ends)]
    table = DataFrame(rows).sort_values("swing", ascending=False, kind="stable", na_position="last")
    table["quantity"] = table["quantity"].astype("category").cat.set_categories(chosen)
    table = table.sort_values("quantity", kind="stable", ignore_index=True).astype({"quantity": str})
    source = "priors" if fit is None else f"posterior of {fit.name}"
    synthetic = fit is not None and fit.study.synthetic
    return Tornado(model, source, level, table, {q: units[q] for q in chosen}, prepared.notes, synthetic)


Ends = dict[str, tuple[float, float, float]]  # parameter -> low, middle, high


def _of_prior(model: Model, level: float) -> Ends:
    """Of every parameter's prior, on the scale on which it is normal."""
    found: Ends = {}
    for name, p in model.parameters.items():
        z = np.array([-1.0, 0.0, 1.0]) * norm.ppf(0.5 + level / 2)
        if isinstance(p.prior, HalfNormal):
            values = p.prior.scale * norm.ppf(0.5 + 0.5 * norm.cdf(z))
        else:
            kind = p.prior.link
            values = inverse_link(kind, link(kind, jnp.asarray(p.prior.median)) + p.prior.sd * z)
        low, middle, high = (float(v) for v in values)
        found[name] = low, middle, high
    return found


def _of_posterior(fit: Fit, level: float) -> Ends:
    """Of every population value that was sampled."""
    tail = (1 - level) / 2
    found = {}
    for site, draws in fit.sites().items():
        name = site.removesuffix("_pop")
        if site.endswith("_pop") and name in fit.model.parameters:
            low, middle, high = (float(v) for v in np.quantile(draws, [tail, 0.5, 1 - tail]))
            found[name] = low, middle, high
    return found


def _quantities(
    prepared: Simulation, theta: Values, window: tuple[float, float]
) -> tuple[Values, dict[str, str]]:
    """Every quantity of every patient, and its unit."""
    model = prepared.model
    start, end = window
    values = simulated_values(prepared, theta)
    found = {}
    units = {}
    area = f"auc_{start:g}_{end:g}d"
    since = jnp.asarray(prepared.times - start)
    of_curves = jax.vmap(lambda y: curve_exposure(since, y, window=end - start, lloq=0.0))
    for i, name in enumerate(prepared.outputs):
        seen = of_curves(jnp.asarray(values[:, i]))
        unit = model.outputs[name].unit
        lost = np.isnan(values[:, i]).any(axis=1)
        for suffix, of, number in (
            ("cmax", unit, seen.cmax),
            ("tmax", "day", seen.tmax),
            (area, f"{unit} x day", seen.auc_window),
        ):
            units[f"{name}_{suffix}"] = of
            found[f"{name}_{suffix}"] = np.where(lost, np.nan, np.asarray(number))
    for product, sites in model.sites.items():
        for site, output in sites.items():
            if site != "blood" and "blood" in sites:
                with np.errstate(divide="ignore", invalid="ignore"):
                    ratio = found[f"{output}_{area}"] / found[f"{sites['blood']}_{area}"]
                units[f"{product}_{site}_to_blood"] = "1"
                found[f"{product}_{site}_to_blood"] = ratio
    n = len(values)
    for name, derived in model.derived.items():
        number = jax.vmap(derived.value)({k: jnp.asarray(v) for k, v in theta.items()})
        units[name], found[name] = derived.unit, np.broadcast_to(np.asarray(number, float), (n,))
    return found, units


def _rows(model: Model, quantity: str, numbers: np.ndarray, ends: Ends) -> list[dict[str, Any]]:
    rows = []
    base = float(numbers[0])
    for i, (name, (low, middle, high)) in enumerate(ends.items()):
        at_low, at_high = (float(x) for x in numbers[1 + 2 * i : 3 + 2 * i])
        three = np.array([at_low, base, at_high])
        ratio = bool((three > 0).all())
        p = model.parameters[name]
        rows.append(
            {
                "quantity": quantity,
                "parameter": name,
                "unit": p.unit,
                "low": low,
                "middle": middle,
                "high": high,
                "at_low": at_low,
                "at_middle": base,
                "at_high": at_high,
                "swing": float(three.max() / three.min()) if ratio else float(np.ptp(three)),
                "scale": "ratio" if ratio else "difference",
                "guess": p.guess,
            }
        )
    return rows
