"""Where the cells go: liver and tumour beside blood, by route and by draw, and what each part of a regimen
added.

For models that say which of their outputs are a product's cells where (`Model.sites`). Everything is computed
from the posterior's curves, under the doses that were given and under the same doses changed: by the other
route, without a later cycle, without lymphodepletion.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float
from pandas import DataFrame

from kinetics.errors import FitError, ModelError, Problem
from kinetics.exposures.area import auc
from kinetics.inference import Fit
from kinetics.model import Model
from kinetics.prediction import predicted_blocks
from kinetics.regimen import entry_of, pad_doses

__all__ = ["biodistribution", "biodistribution_summary", "site_curves", "site_shares"]

HOUR = 1 / 24
_AFTER = np.array(
    [0.002, 0.02, HOUR, 0.08, 0.125, 0.17, 0.25, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 5.5, 7.0]
)
_FOLLOWED = 90.0  # days after the last dose
_TRACE = 1e-6  # of the most cells of a patient: below it the solver's error is most of what there is
_QUANTILES = {"lower": 0.05, "median": 0.5, "upper": 0.95}
_ROUTES = ("hepatic_artery", "iv")

Curve = Float[np.ndarray, "draw subject time"]


def biodistribution(fit: Fit, *, window: float = 28.0, draws: int = 200) -> DataFrame:
    """Every site quantity of every subject, product and posterior draw: subject, product, draw, quantity,
    unit, value.

    `auc_SITE` [cells day] of the `window` days from the product's first infusion, `peak_SITE` [cells] and
    `peak_day_SITE` [days after that infusion]; `liver_to_blood`, `tumour_to_blood`: ratios of these areas;
    `retained_1h`: share of a first dose in liver and tumour one hour after it, by the route given;
    `hepatic_artery_advantage_SITE`: area with the product's doses by hepatic artery over that with the same
    doses iv; `doubling_time` [day]: the fastest of the rise in blood; `second_cycle_share`: what of the area
    in tumour, to 90 days after the last dose, later cycles add; `lymphodepletion_share`: the same for
    lymphodepletion; `best_lesion_change`: least sum of diameters after day 0 over that at day 0, less 1
    (product `all`). Areas are linear-up log-down. A quantity that a model or regimen cannot have is left out.
    FitError where the model has no sites.

    >>> fit = kn.load_fit("runs/nkg2d_blood__nkg2d_phase1_synthetic")
    >>> table = kn.biodistribution(fit, draws=2)
    >>> list(table), "liver_to_blood" in set(table["quantity"])
    (['subject', 'product', 'draw', 'quantity', 'unit', 'value'], True)
    """
    if not fit.model.sites:
        raise FitError(f"model {fit.model.name} does not say which outputs are cells at a site (Model.sites)")
    curves = _Curves(fit, draws)
    actual = curves.under(curves.given)
    frames = list(_frames(fit, "all", dict(_of_lesions(actual))))
    for product in curves.products:
        frames += _frames(fit, product, dict(_quantities(curves, actual, product, window)))
    return pd.concat(frames, ignore_index=True).dropna(subset=["value"], ignore_index=True)


def biodistribution_summary(table: DataFrame) -> DataFrame:
    """Median and 90 % interval over draws: one row a subject, product and quantity; then, as subject `median
    patient`, of the median over subjects, taken draw by draw.

    `table` is that of `biodistribution`.

    >>> fit = kn.load_fit("runs/nkg2d_blood__nkg2d_phase1_synthetic")
    >>> summary = kn.exposures.biodistribution_summary(kn.biodistribution(fit, draws=2))
    >>> list(summary)
    ['product', 'quantity', 'unit', 'subject', 'lower', 'median', 'upper']
    """
    keys = ["product", "quantity", "unit"]
    groups = table.groupby([*keys, "subject"], sort=False)["value"]
    own = DataFrame({name: groups.quantile(q) for name, q in _QUANTILES.items()}).reset_index()
    typical = table.groupby([*keys, "draw"], sort=False)["value"].median().groupby(keys, sort=False)
    every = DataFrame({name: typical.quantile(q) for name, q in _QUANTILES.items()}).reset_index()
    return pd.concat([own, every.assign(subject="median patient")], ignore_index=True)


def site_curves(fit: Fit, *, draws: int = 100) -> DataFrame:
    """Cells over time: subject, product, site, time [study day], lower, median, upper (90 % of the draws).

    >>> curves = kn.exposures.site_curves(kn.load_fit("runs/nkg2d_blood__nkg2d_phase1_synthetic"), draws=2)
    >>> list(curves), sorted(set(curves["site"]))
    (['subject', 'product', 'site', 'time', 'lower', 'median', 'upper'], ['blood', 'liver', 'lung', 'rest', 'tumour'])
    """
    curves = _Curves(fit, draws)
    seen = curves.under(curves.given)
    rows = []
    for product in curves.products:
        for site, output in fit.model.sites[product].items():
            bands = np.quantile(seen[output], list(_QUANTILES.values()), axis=0)
            for i, subject in enumerate(fit.bound.subjects):
                columns = dict(zip(_QUANTILES, bands[:, i], strict=True))
                rows.append(
                    DataFrame(
                        {
                            "subject": subject,
                            "product": product,
                            "site": site,
                            "time": curves.times[i],
                            **columns,
                        }
                    )
                )
    return pd.concat(rows, ignore_index=True).drop_duplicates(["subject", "product", "site", "time"])


def site_shares(
    of: Fit | Model, curves: DataFrame | None = None, *, until: float = 60.0, draws: int = 100
) -> DataFrame:
    """Which part of a product's cells is at which site, over time: of a fit, or of the `curves` of
    `simulate`.

    Columns: product, site, time [day], share, lower, median, upper [cells, 5, 50 and 95 %]. `share` is the
    mean over patients and draws of each one's own, so the shares of a time add to 1; the site `all` is their
    sum. Who has less than a cell, or than a millionth of the most that it had, has no share, and where that
    is more than half of them `share` is NaN. Time is from a subject's first infusion of the product, to
    `until`, in a fit, and that of the simulation for curves. FitError or ModelError where the model has no
    sites.

    >>> model, times = kn.load_model("nkg2d_blood"), [0.5, 1.0, 7.0, 28.0]
    >>> regimen = kn.Regimen.dose(product="car_nk", route="hepatic_artery", on=0, cells=1e9)
    >>> curves = kn.simulate(model, regimen, times=times, outputs=[*model.sites["car_nk"].values()])
    >>> shares = kn.exposures.site_shares(model, curves)
    >>> first = shares[shares["time"].eq(0.5) & shares["site"].ne("all")]
    >>> round(float(first["share"].sum()), 6)
    1.0
    """
    if isinstance(of, Fit):
        if not of.model.sites:
            raise FitError(
                f"model {of.model.name} does not say which outputs are cells at a site (Model.sites)"
            )
        found = _fitted_sites(of, until, draws)
    elif curves is None or not of.sites:
        what = "no curves of `simulate`" if of.sites else f"model {of.name} has no sites (Model.sites)"
        raise ModelError(Problem(what, "give a model with sites, and the curves that `simulate` makes of it"))
    else:
        found = _simulated_sites(of, curves)
    parts = [table for product, time, cells in found if len(table := _shares(product, time, cells))]
    if not parts:
        what = "there are no cells at any site of these curves"
        raise ModelError(Problem(what, "give cells, and keep the outputs of the sites"))
    return pd.concat(parts, ignore_index=True)


def _fitted_sites(
    fit: Fit, until: float, draws: int
) -> Iterator[tuple[str, np.ndarray, dict[str, np.ndarray]]]:
    """product, time, and site -> (patient and draw, time)."""
    curves = _Curves(fit, draws)
    seen = curves.under(curves.given)
    grid = np.unique([*_AFTER, *np.arange(0.25, until + 0.125, 0.25)])
    for product in curves.products:
        own = curves.given[curves.given["product"] == product].groupby("subject")["time"].min()
        rows = [i for i, subject in enumerate(fit.bound.subjects) if subject in own.index]
        yield (
            product,
            grid,
            {
                site: np.concatenate(
                    [
                        _at(curves.times[i], seen[output][:, i], own[fit.bound.subjects[i]] + grid)
                        for i in rows
                    ]
                )
                for site, output in fit.model.sites[product].items()
            },
        )


def _simulated_sites(
    model: Model, curves: DataFrame
) -> Iterator[tuple[str, np.ndarray, dict[str, np.ndarray]]]:
    """The same of a simulation; patients whom the solver gave up on are left out."""
    whole = curves[~curves["patient"].isin(curves.loc[curves["value"].isna(), "patient"])]
    for product, sites in model.sites.items():
        wide = {
            site: whole[whole["output"] == output].pivot(index="patient", columns="time", values="value")
            for site, output in sites.items()
        }
        if all(table.size for table in wide.values()):
            time = next(iter(wide.values())).columns.to_numpy(float)
            yield product, time, {site: table.to_numpy(float) for site, table in wide.items()}


def _shares(product: str, time: np.ndarray, cells: Mapping[str, np.ndarray]) -> DataFrame:
    """One row a site and time at which anybody has cells."""
    cells = {site: np.maximum(of, 0.0) for site, of in cells.items()}
    total = np.sum(list(cells.values()), axis=0)
    some = total >= np.maximum(1.0, _TRACE * total.max(axis=1, keepdims=True))
    kept = (total > 0).any(axis=0)
    enough = some.mean(axis=0) >= 0.5
    rows = []
    for site, of in {"all": total, **cells}.items():
        mean = np.where(some, of / np.where(some, total, 1.0), 0.0).sum(axis=0) / np.maximum(
            some.sum(axis=0), 1
        )
        share = np.where(enough, mean, np.nan)
        bands = np.quantile(of[:, kept], list(_QUANTILES.values()), axis=0)
        rows.append(
            DataFrame(
                {
                    "product": product,
                    "site": site,
                    "time": time[kept],
                    "share": share[kept],
                    **dict(zip(_QUANTILES, bands, strict=True)),
                }
            )
        )
    return pd.concat(rows, ignore_index=True)


def _at(times: np.ndarray, curve: Float[np.ndarray, "draw time"], wanted: np.ndarray) -> np.ndarray:
    """Every draw's curve at `wanted`, linear between its own days."""
    right = np.clip(np.searchsorted(times, wanted, side="left"), 1, len(times) - 1)
    width = times[right] - times[right - 1]
    weight = np.clip((wanted - times[right - 1]) / np.where(width > 0, width, 1.0), 0.0, 1.0)
    return curve[:, right - 1] * (1 - weight) + curve[:, right] * weight


class _Curves:
    """Every site's curve, under the doses given or the same doses changed, which keep their days."""

    def __init__(self, fit: Fit, draws: int) -> None:
        self.fit, self.theta = fit, fit.theta(at_most=draws)
        doses = fit.study.doses
        products = fit.bound.plan.products
        self.given = doses if products is None else doses[doses["product"].isin(products)]
        self.products = [p for p in fit.model.sites if (self.given["product"] == p).any()]
        self.times = _days(self.given, fit.bound.subjects)
        wanted = [o for by_site in fit.model.sites.values() for o in by_site.values()]
        wanted += [o for o in ("lesions",) if o in fit.model.outputs]
        self.outputs = tuple(dict.fromkeys(wanted))

    def under(self, table: DataFrame) -> dict[str, Curve]:
        doses = pad_doses(table, self.fit.bound.subjects, tuple(self.fit.model.dosing))
        blocks = predicted_blocks(self.fit, self.outputs, self.times, self.theta, doses)
        parts = [found for _, found in blocks]
        return {k: np.concatenate([part[k] for part in parts], axis=1) for k in self.outputs}


def _days(table: DataFrame, subjects: list[str]) -> Float[np.ndarray, "subject time"]:
    """Days close after every dose, then every day to `_FOLLOWED` after the last; rows padded by their
    last.
    """
    rows = []
    for subject in subjects:
        days = table.loc[table["subject"] == subject, "time"].to_numpy(float)
        near = (days[:, None] + _AFTER).ravel()
        daily = np.arange(0, days.max(initial=0.0) + _FOLLOWED)
        rows.append(np.unique(np.concatenate([[0.0], near, daily])))
    width = max(map(len, rows))
    return np.array([np.pad(r, (0, width - len(r)), mode="edge") for r in rows])


def _quantities(
    curves: _Curves, actual: Mapping[str, Curve], product: str, window: float
) -> Iterator[tuple[str, tuple[str, Float[np.ndarray, "draw subject"]]]]:
    """quantity -> (unit, value); NaN for a subject to whom it does not apply."""
    sites = curves.fit.model.sites[product]
    times = curves.times
    given = curves.given
    subjects = curves.fit.bound.subjects
    own = given[given["product"] == product]
    first = own.groupby("subject")["time"].min().reindex(subjects).to_numpy(float)
    area = {site: _area(times, actual[o], first, window) for site, o in sites.items()}
    for site, output in sites.items():
        inside = (times >= first[:, None]) & (times <= first[:, None] + window)
        seen = np.where(inside, actual[output], -np.inf)
        day = np.take_along_axis(times[None], seen.argmax(-1)[..., None], -1)[..., 0] - first
        yield f"auc_{site}", ("cells day", area[site])
        yield f"peak_{site}", ("cells", np.where(np.isnan(first), np.nan, seen.max(-1)))
        yield f"peak_day_{site}", ("day", day)
    for site in ("liver", "tumour"):
        if site in sites and "blood" in sites:
            yield f"{site}_to_blood", ("1", area[site] / area["blood"])
    if "blood" in sites:
        yield "doubling_time", ("day", _doubling(times, actual[sites["blood"]], first, window))
    yield from _retained(curves, own, actual, sites)
    yield from _advantages(curves, product, first, window)
    until = np.full_like(first, np.inf)
    whole = _area(times, actual[sites["tumour"]], first, until) if "tumour" in sites else None
    for name, gone in _left_out(given, product) if whole is not None else ():
        rest = given.assign(amount=given["amount"].where(~gone, 0.0))  # the rows stay: all days and shapes do
        without = _area(times, curves.under(rest)[sites["tumour"]], first, until)
        had = given[gone].groupby("subject").size().reindex(subjects).notna().to_numpy()
        yield name, ("1", np.where(had, 1 - without / whole, np.nan))


def _retained(
    curves: _Curves, own: DataFrame, actual: Mapping[str, Curve], sites: Mapping[str, str]
) -> Iterator[tuple[str, tuple[str, np.ndarray]]]:
    """Of the first dose, before which there was nothing to add to it."""
    subjects = curves.fit.bound.subjects
    start = own.sort_values("time").groupby("subject")[["time", "amount"]].first().reindex(subjects)
    at = np.abs(curves.times - (start["time"].to_numpy(float)[:, None] + HOUR)).argmin(1)
    held = sum(actual[sites[s]] for s in ("liver", "tumour") if s in sites)
    if np.ndim(held):
        there = np.take_along_axis(np.asarray(held), at[None, :, None], -1)[..., 0]
        yield "retained_1h", ("1", there / start["amount"].to_numpy(float))


def _advantages(
    curves: _Curves, product: str, first: np.ndarray, window: float
) -> Iterator[tuple[str, tuple[str, np.ndarray]]]:
    entries = tuple(curves.fit.model.dosing)
    if any(entry_of(product, route, entries) is None for route in _ROUTES):
        return
    sites = curves.fit.model.sites[product]
    given = curves.given
    by = [
        curves.under(given.assign(route=given["route"].where(given["product"] != product, route)))
        for route in _ROUTES
    ]
    for site in ("liver", "tumour"):
        if site in sites:
            artery, iv = (_area(curves.times, seen[sites[site]], first, window) for seen in by)
            yield f"hepatic_artery_advantage_{site}", ("1", artery / iv)


def _left_out(given: DataFrame, product: str) -> Iterator[tuple[str, pd.Series]]:
    """quantity -> the doses without which its course is run."""
    later = (given["product"] == product) & (given["cycle"] > 1)
    depleting = given["product"] == "lymphodepletion"
    for name, gone in (("second_cycle_share", later), ("lymphodepletion_share", depleting)):
        if gone.any():
            yield name, gone


def _of_lesions(actual: Mapping[str, Curve]) -> Iterator[tuple[str, tuple[str, np.ndarray]]]:
    if "lesions" in actual:
        seen = actual["lesions"]
        yield "best_lesion_change", ("1", seen[..., 1:].min(-1) / seen[..., 0] - 1)


def _area(
    times: np.ndarray, curve: Curve, start: np.ndarray, length: float | np.ndarray
) -> Float[np.ndarray, "draw subject"]:
    """The area from `start` to `start + length` or the last time, if that is earlier; NaN where there is
    no start.
    """
    end = np.minimum(start + length, times[:, -1])
    return auc(times, curve, start, end)


def _doubling(
    times: np.ndarray, curve: Curve, start: np.ndarray, window: float
) -> Float[np.ndarray, "draw subject"]:
    """ln 2 over the steepest rise of log cells, from a day and a half after the first dose; NaN where none
    rises.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.diff(np.log(curve), axis=-1) / np.diff(times, axis=-1)
    begin = start[:, None]
    inside = (
        (times[:, :-1] > begin + 1.5) & (times[:, 1:] <= begin + window) & (np.diff(times, axis=-1) > 0.4)
    )
    steepest = np.where(inside & np.isfinite(slope), slope, -np.inf).max(-1)
    return np.where(steepest > 0, np.log(2) / np.where(steepest > 0, steepest, 1.0), np.nan)


def _frames(fit: Fit, product: str, found: Mapping[str, tuple[str, np.ndarray]]) -> Iterator[DataFrame]:
    subjects = np.array(fit.bound.subjects)
    for quantity, (unit, value) in found.items():
        draws, n = value.shape
        yield DataFrame(
            {
                "subject": np.tile(subjects, draws),
                "product": product,
                "draw": np.repeat(np.arange(draws), n),
                "quantity": quantity,
                "unit": unit,
                "value": value.ravel(),
            }
        )
