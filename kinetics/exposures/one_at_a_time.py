"""Which parameter moves an exposure most: each moves to the ends of its interval, one at a time.

The other parameters stay in the middle, so the joint effect of two parameters and the correlations of a
posterior are not in the numbers. A wide bar is a question worth an experiment, not the width of an interval;
`simulate` gives intervals.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from pandas import DataFrame
from scipy.stats import norm

from kinetics.arguments import require
from kinetics.errors import PlanError, Problem, did_you_mean
from kinetics.exposures.fitted import curve_exposure
from kinetics.inference import Fit
from kinetics.model import HalfNormal, Model, inverse_link, link
from kinetics.prediction import Simulation, chosen_model, simulated_values, simulation
from kinetics.regimen import Regimen

__all__ = ["Tornado", "tornado", "tornado_quantities"]

_CLOSE = (0.0, 0.02, 0.1, 0.25, 0.5, 0.75)  # days after the start of the window
_STEP = 0.1  # days between two times of a curve, and so the precision of Tmax
Ends = dict[str, tuple[float, float, float]]  # parameter -> low, middle, high
Values = dict[str, Float[np.ndarray, " patient"]]


@dataclass(frozen=True, eq=False)
class Tornado:
    """How far each parameter moves each quantity.

    `table` has one row for each quantity and parameter, the widest swing of a quantity first: quantity,
    parameter, unit, low, middle, high [of the parameter], at_low, at_middle, at_high [in `units[quantity]`],
    swing, scale, guess. `swing` is the largest of the three values over the least where all are above 0
    (scale "ratio"), otherwise their difference. `source` says where low and high come from, `level` which
    probability lies between them, and `notes` what was assumed.

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
        """The result as plain values, for `--json`; a missing number is None."""
        return {
            "model": self.model.name,
            "source": self.source,
            "level": self.level,
            "synthetic": self.synthetic,
            "units": dict(self.units),
            "notes": list(self.notes),
            "rows": self.table.astype(object).where(self.table.notna(), None).to_dict("records"),
        }


def tornado_quantities(
    of: Model | str | Path | Fit,
    regimen: Regimen | None = None,
    *,
    window: tuple[float, float] = (0.0, 28.0),
    weight_kg: float = 70.0,
) -> dict[str, str]:
    """Every quantity that `tornado` has for a model or a fit, with its unit; nothing is compiled.

    `of`, `regimen`, `window` [study day] and `weight_kg` [kg] are those of `tornado`.

    >>> list(kn.exposures.tornado_quantities("stein_2019"))[:3]
    ['copies_cmax', 'copies_tmax', 'copies_auc_0_28d']
    """
    require(of=(of, Model | str | Path | Fit), regimen=(regimen, Regimen | None))
    model = chosen_model(of, None)
    prepared = simulation(model, regimen, times=np.array([window[0], window[1]]), weight_kg=weight_kg)
    return _units(prepared, window)


def tornado(
    of: Model | str | Path | Fit,
    regimen: Regimen | None = None,
    *,
    quantities: Sequence[str] | None = None,
    window: tuple[float, float] = (0.0, 28.0),
    weight_kg: float = 70.0,
    level: float = 0.9,
    prior_set: str | None = None,
) -> Tornado:
    """Move each parameter alone to the ends of its prior or posterior; return the quantities there.

    Of a model, every parameter moves from the middle of its prior to the quantiles that hold `level` of it.
    Of a fit, the population values move by their posterior; covariates are at their reference, random effects
    at 0, and parameters that the fit held are left out. `prior_set` names a prior set of a model; a fit has
    its own. The patient weighs `weight_kg` [kg] and takes `regimen`, by default the typical dose of the model
    on day 0.

    The `quantities` (default: all) of the `window` [study day] are `OUTPUT_cmax` [unit of the output],
    `OUTPUT_tmax` [day after the start of the window], `OUTPUT_auc_0_28d` [unit x day],
    `PRODUCT_SITE_to_blood` (the ratio of these areas, in a model with sites), and the derived quantities of
    the model. Curves are without residual error and assay scale. A number is NaN where the solver gives up.
    PlanError for a quantity that is not there, for a level or window that is none, and for a prior set beside
    a fit; ModelError for a prior set that the model does not have.

    >>> found = kn.tornado("stein_2019", quantities=["copies_auc_0_28d"])
    >>> str(found.of("copies_auc_0_28d")["parameter"].iloc[0]), found.as_dict()["level"]
    ('cmax', 0.9)
    """
    require(of=(of, Model | str | Path | Fit), regimen=(regimen, Regimen | None))
    fit = of if isinstance(of, Fit) else None
    model = chosen_model(of, prior_set)
    if not 0 < level < 1 or not window[0] < window[1]:
        raise PlanError(
            Problem(
                f"level {level:g}, window {window}",
                "give a level in (0, 1) and a window that ends after it starts",
            )
        )
    # The ends of each parameter, and the middle of all.
    typical = model.typical()
    solver = None
    if fit is None:
        ends = _ends_of_prior(model, level)
    else:
        ends = _ends_of_posterior(fit, level)
        typical = typical | dict(fit.bound.hierarchy.fixed)
        solver = fit.bound.plan.solver.solver()
    middle = {name: typical[name] for name in model.parameters}
    middle |= {name: value for name, (_, value, _) in ends.items()}
    # Patient 0 is at the middle; two more for each parameter have it alone at its low and its high end.
    theta = {name: np.full(1 + 2 * len(ends), float(value)) for name, value in middle.items()}
    for i, (name, (low, _, high)) in enumerate(ends.items()):
        theta[name][1 + 2 * i] = low
        theta[name][2 + 2 * i] = high
    # The quantities of all patients, and the table.
    days = np.unique([*(window[0] + np.array(_CLOSE)), *np.arange(window[0], window[1], _STEP), window[1]])
    prepared = simulation(model, regimen, times=days, weight_kg=weight_kg, solver=solver)
    units = _units(prepared, window)
    chosen = list(units) if quantities is None else list(quantities)
    unknown = [quantity for quantity in chosen if quantity not in units]
    if unknown:  # before the curves, whose equations take a while to compile
        raise PlanError(Problem(f"no quantity {q!r}", did_you_mean(q, list(units))) for q in unknown)
    values = _quantities(prepared, theta, window)
    rows = [row for quantity in chosen for row in _rows(model, quantity, values[quantity], ends)]
    table = DataFrame(rows).sort_values("swing", ascending=False, kind="stable", na_position="last")
    table["quantity"] = table["quantity"].astype("category").cat.set_categories(chosen)
    table = table.sort_values("quantity", kind="stable", ignore_index=True).astype({"quantity": str})
    source = "priors" if fit is None else f"posterior of {fit.name}"
    notes = prepared.notes
    if prior_set is not None:
        notes = (f"typical values and priors of the prior set {prior_set}", *notes)
    return Tornado(
        model=model,
        source=source,
        level=level,
        table=table,
        units={quantity: units[quantity] for quantity in chosen},
        notes=notes,
        synthetic=fit is not None and fit.study.synthetic,
    )


def _ends_of_prior(model: Model, level: float) -> Ends:
    """The ends of every parameter's prior, taken on the scale on which the prior is normal."""
    ends: Ends = {}
    for name, p in model.parameters.items():
        z = np.array([-1.0, 0.0, 1.0]) * norm.ppf(0.5 + level / 2)
        if isinstance(p.prior, HalfNormal):
            values = p.prior.scale * norm.ppf(0.5 + 0.5 * norm.cdf(z))
        else:
            scale = p.prior.link
            centre = link(scale, jnp.asarray(p.prior.median))
            values = inverse_link(scale, centre + p.prior.sd * z)
        low, middle, high = (float(v) for v in values)
        ends[name] = (low, middle, high)
    return ends


def _ends_of_posterior(fit: Fit, level: float) -> Ends:
    """The ends of every population value that was sampled."""
    tail = (1 - level) / 2
    ends: Ends = {}
    for site, draws in fit.sites().items():
        name = site.removesuffix("_pop")
        if site.endswith("_pop") and name in fit.model.parameters:
            low, middle, high = (float(v) for v in np.quantile(draws, [tail, 0.5, 1 - tail]))
            ends[name] = (low, middle, high)
    return ends


def _area(window: tuple[float, float]) -> str:
    """The name of the area under a curve over the window, as `auc_0_28d`."""
    return f"auc_{window[0]:g}_{window[1]:g}d"


def _units(prepared: Simulation, window: tuple[float, float]) -> dict[str, str]:
    """Every quantity with its unit, in the order of `_quantities`."""
    model = prepared.model
    units = {}
    for name in prepared.outputs:
        unit = model.outputs[name].unit
        units |= {f"{name}_cmax": unit, f"{name}_tmax": "day", f"{name}_{_area(window)}": f"{unit} x day"}
    for product, site, _ in _sites_beside_blood(model):
        units[f"{product}_{site}_to_blood"] = "1"
    return units | {name: derived.unit for name, derived in model.derived.items()}


def _sites_beside_blood(model: Model) -> Iterator[tuple[str, str, tuple[str, str]]]:
    """Product, site, and the outputs of the site and of blood, for every site of a product seen in blood."""
    for product, sites in model.sites.items():
        for site, output in sites.items():
            if site != "blood" and "blood" in sites:
                yield product, site, (output, sites["blood"])


def _quantities(prepared: Simulation, theta: Values, window: tuple[float, float]) -> Values:
    """The value of every quantity for every patient."""
    model = prepared.model
    start, end = window
    curves = simulated_values(prepared, theta)
    values = {}
    # Exposures of each output.
    since = jnp.asarray(prepared.times - start)
    exposures_of = jax.vmap(lambda y: curve_exposure(since, y, window=end - start, lloq=0.0))
    for i, name in enumerate(prepared.outputs):
        exposures = exposures_of(jnp.asarray(curves[:, i]))
        failed = np.isnan(curves[:, i]).any(axis=1)
        numbers = (
            (f"{name}_cmax", exposures.cmax),
            (f"{name}_tmax", exposures.tmax),
            (f"{name}_{_area(window)}", exposures.auc_window),
        )
        for quantity, number in numbers:
            values[quantity] = np.where(failed, np.nan, np.asarray(number))
    # Ratios of the areas of sites.
    for product, site, (output, blood) in _sites_beside_blood(model):
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = values[f"{output}_{_area(window)}"] / values[f"{blood}_{_area(window)}"]
        values[f"{product}_{site}_to_blood"] = ratio
    # Derived quantities of the model.
    for name, derived in model.derived.items():
        number = jax.vmap(derived.value)({k: jnp.asarray(v) for k, v in theta.items()})
        values[name] = np.broadcast_to(np.asarray(number, float), (len(curves),))
    return values


def _rows(model: Model, quantity: str, values: np.ndarray, ends: Ends) -> list[dict[str, Any]]:
    """The rows of one quantity, a row for each parameter; `values` are those of the patients of `tornado`."""
    rows = []
    at_middle = float(values[0])
    for i, (name, (low, middle, high)) in enumerate(ends.items()):
        at_low = float(values[1 + 2 * i])
        at_high = float(values[2 + 2 * i])
        three = np.array([at_low, at_middle, at_high])
        if (three > 0).all():
            scale = "ratio"
            swing = float(three.max() / three.min())
        else:
            scale = "difference"
            swing = float(np.ptp(three))
        parameter = model.parameters[name]
        rows.append(
            {
                "quantity": quantity,
                "parameter": name,
                "unit": parameter.unit,
                "low": low,
                "middle": middle,
                "high": high,
                "at_low": at_low,
                "at_middle": at_middle,
                "at_high": at_high,
                "swing": swing,
                "scale": scale,
                "guess": parameter.guess,
            }
        )
    return rows
