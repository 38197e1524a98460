"""Where in the body the cells are, and what the route and each part of a regimen contribute to that.

This is for models that name the outputs which are a product's cells at a site (`Model.sites`). All quantities
are computed from the curves of the posterior, under the doses that were given and under the same doses
changed: by the other route, without later cycles, without lymphodepletion.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float
from pandas import DataFrame

from kinetics.arguments import require
from kinetics.errors import FitError, ModelError, Problem
from kinetics.exposures.area import auc
from kinetics.inference import Fit
from kinetics.model import Model
from kinetics.prediction import DRAWS, common_days, own_blocks, predicted_blocks
from kinetics.regimen import Doses, entry_of, pad_doses

__all__ = ["biodistribution", "biodistribution_summary", "site_curves", "site_shares"]

HOUR = 1 / 24
# Days after a product's first infusion at which shares are drawn, besides every quarter of a day.
_AFTER = np.array(
    [0.002, 0.02, HOUR, 0.08, 0.125, 0.17, 0.25, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 5.5, 7.0]
)
_TRACE = 1e-6  # a share of the most cells of a patient; below it most of the number is the solver's error
_QUANTILES = {"lower": 0.05, "median": 0.5, "upper": 0.95}
_CHANGED = 80  # draws in which curves under changed doses are solved, or a few more
_ROUTES = ("hepatic_artery", "iv")

Curve = Float[np.ndarray, "draw subject time"]


def biodistribution(fit: Fit, *, window: float = 28.0, draws: int = DRAWS) -> DataFrame:
    """Quantities of where the cells are: one row for each subject, product, posterior draw and quantity.

    Columns: subject, product, draw, quantity, unit, value. Quantities:
    - `auc_SITE` [cells day]: the area over the `window` days from the product's first infusion
    - `peak_SITE` [cells] and `peak_day_SITE` [days after that infusion]
    - `liver_to_blood`, `tumour_to_blood`: ratios of these areas
    - `retained_1h`: the share of a first dose in liver and tumour one hour after it, by the route given
    - `hepatic_artery_advantage_SITE`: the area with the product's doses by hepatic artery over the area with
      the same doses iv
    - `doubling_time` [day]: the shortest in the rise in blood
    - `second_cycle_share`: the share that later cycles add to the area in tumour until 90 days after the last
      dose
    - `lymphodepletion_share`: the same for lymphodepletion
    - `best_lesion_change`: the least sum of diameters after day 0 over that at day 0, less 1 (product `all`)

    Areas are computed by the linear-up log-down rule from `draws` of the posterior. Curves under changed
    doses, which the advantages and shares need, are solved for about eighty of these. A quantity that a
    model or a regimen cannot have is left out. FitError where the model has no sites.

    >>> fit = kn.load_fit("runs/nkg2d_blood__nkg2d_phase1_synthetic")
    >>> table = kn.biodistribution(fit, draws=2)
    >>> list(table), "liver_to_blood" in set(table["quantity"])
    (['subject', 'product', 'draw', 'quantity', 'unit', 'value'], True)
    """
    require(fit=(fit, Fit))
    if not fit.model.sites:
        raise FitError(f"model {fit.model.name} does not say which outputs are cells at a site (Model.sites)")
    curves = _Curves(fit, draws)
    actual = curves.as_given()
    frames = list(_frames(fit, "all", _lesion_change(actual), draws=len(curves)))
    for product in curves.products:
        frames += _frames(fit, product, _quantities(curves, actual, product, window), draws=len(curves))
    return pd.concat(frames, ignore_index=True).dropna(subset=["value"], ignore_index=True)


def biodistribution_summary(table: DataFrame) -> DataFrame:
    """The median and 90 % interval over draws: one row for each subject, product and quantity.

    The rows of the subject `median patient` are those of the median over subjects, taken draw by draw.
    `table` is what `biodistribution` returns.

    >>> fit = kn.load_fit("runs/nkg2d_blood__nkg2d_phase1_synthetic")
    >>> summary = kn.exposures.biodistribution_summary(kn.biodistribution(fit, draws=2))
    >>> list(summary)
    ['product', 'quantity', 'unit', 'subject', 'lower', 'median', 'upper']
    """
    keys = ["product", "quantity", "unit"]
    groups = table.groupby([*keys, "subject"], sort=False)["value"]
    subjects = DataFrame({name: groups.quantile(q) for name, q in _QUANTILES.items()}).reset_index()
    medians = table.groupby([*keys, "draw"], sort=False)["value"].median().groupby(keys, sort=False)
    middle = DataFrame({name: medians.quantile(q) for name, q in _QUANTILES.items()}).reset_index()
    return pd.concat([subjects, middle.assign(subject="median patient")], ignore_index=True)


def site_curves(fit: Fit, *, draws: int = DRAWS) -> DataFrame:
    """The cells at each site over time: subject, product, site, time [study day], lower, median, upper.

    `lower` to `upper` [cells] hold 90 % of the `draws`.

    >>> curves = kn.exposures.site_curves(kn.load_fit("runs/nkg2d_blood__nkg2d_phase1_synthetic"), draws=2)
    >>> list(curves)
    ['subject', 'product', 'site', 'time', 'lower', 'median', 'upper']
    >>> sorted(set(curves["site"]))
    ['blood', 'liver', 'lung', 'rest', 'tumour']
    """
    require(fit=(fit, Fit))
    curves = _Curves(fit, draws)
    cells = curves.as_given()
    tables = []
    for product in curves.products:
        for site, output in fit.model.sites[product].items():
            bands = np.quantile(cells[output], list(_QUANTILES.values()), axis=0)
            for i, subject in enumerate(fit.bound.subjects):
                columns = {"subject": subject, "product": product, "site": site, "time": curves.times[i]}
                tables.append(DataFrame(columns | dict(zip(_QUANTILES, bands[:, i], strict=True))))
    return pd.concat(tables, ignore_index=True).drop_duplicates(["subject", "product", "site", "time"])


def site_shares(
    of: Fit | Model, curves: DataFrame | None = None, *, until: float = 60.0, draws: int = DRAWS
) -> DataFrame:
    """The share of a product's cells at each site over time, of a fit or of a simulation.

    `of` is a fit, from which `draws` are taken, or the model of the `curves` that `kinetics.simulate`
    returned. Columns: product, site, time [day], share, lower, median, upper [cells, 5, 50 and 95 %]. `share`
    is the mean over patients and draws of the share of each, so the shares at one time add up to 1; the site
    `all` is their sum. A patient with less than one cell, or less than a millionth of the most that it had,
    has no share, and where that is more than half of them `share` is NaN. In a fit time counts from a
    subject's first infusion of the product and ends at `until` [day]; for curves it is that of the
    simulation. FitError or ModelError where the model has no sites.

    >>> model, times = kn.load_model("nkg2d_blood"), [0.5, 1.0, 7.0, 28.0]
    >>> regimen = kn.Regimen.dose(product="car_nk", route="hepatic_artery", on=0, cells=1e9)
    >>> curves = kn.simulate(model, regimen, times=times, outputs=[*model.sites["car_nk"].values()])
    >>> shares = kn.exposures.site_shares(model, curves)
    >>> first = shares[shares["time"].eq(0.5) & shares["site"].ne("all")]
    >>> round(float(first["share"].sum()), 6)
    1.0
    """
    require(of=(of, Fit | Model))
    if isinstance(of, Fit):
        if not of.model.sites:
            raise FitError(
                f"model {of.model.name} does not say which outputs are cells at a site (Model.sites)"
            )
        products = _fitted_sites(of, until, draws)
    elif curves is None or not of.sites:
        what = "no curves of `simulate`" if of.sites else f"model {of.name} has no sites (Model.sites)"
        raise ModelError(Problem(what, "give a model with sites, and the curves that `simulate` makes of it"))
    else:
        products = _simulated_sites(of, curves)
    tables = [_shares(product, time, cells) for product, time, cells in products]
    tables = [table for table in tables if len(table)]
    if not tables:
        raise ModelError(
            Problem(
                "there are no cells at any site of these curves",
                "give cells, and keep the outputs of the sites",
            )
        )
    return pd.concat(tables, ignore_index=True)


def _fitted_sites(
    fit: Fit, until: float, draws: int
) -> Iterator[tuple[str, np.ndarray, dict[str, np.ndarray]]]:
    """For each product of a fit: its name, times, and cells (patient and draw, time) by site."""
    curves = _Curves(fit, draws)
    actual = curves.as_given()
    grid = np.unique([*_AFTER, *np.arange(0.25, until + 0.125, 0.25)])
    for product in curves.products:
        first = curves.doses[curves.doses["product"] == product].groupby("subject")["time"].min()
        cells = {}
        for site, output in fit.model.sites[product].items():
            by_subject = [
                _interpolated(curves.times[i], actual[output][:, i], first[subject] + grid)
                for i, subject in enumerate(fit.bound.subjects)
                if subject in first.index
            ]
            cells[site] = np.concatenate(by_subject)
        yield product, grid, cells


def _simulated_sites(
    model: Model, curves: DataFrame
) -> Iterator[tuple[str, np.ndarray, dict[str, np.ndarray]]]:
    """The same for a simulation; patients for whom the solver gave up are left out."""
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
    """The shares of one product: a row for each site and time at which any patient has cells."""
    cells = {site: np.maximum(at_site, 0.0) for site, at_site in cells.items()}
    total = np.sum(list(cells.values()), axis=0)
    any_cells = (total > 0).any(axis=0)
    # A patient with a mere trace of cells has no share; most patients need one for a mean.
    has_share = total >= np.maximum(1.0, _TRACE * total.max(axis=1, keepdims=True))
    enough = has_share.mean(axis=0) >= 0.5
    patients = np.maximum(has_share.sum(axis=0), 1)
    tables = []
    for site, at_site in {"all": total, **cells}.items():
        shares = np.where(has_share, at_site / np.where(has_share, total, 1.0), 0.0)
        mean = np.where(enough, shares.sum(axis=0) / patients, np.nan)
        bands = np.quantile(at_site[:, any_cells], list(_QUANTILES.values()), axis=0)
        columns = {"product": product, "site": site, "time": time[any_cells], "share": mean[any_cells]}
        tables.append(DataFrame(columns | dict(zip(_QUANTILES, bands, strict=True))))
    return pd.concat(tables, ignore_index=True)


def _interpolated(
    times: np.ndarray, curve: Float[np.ndarray, "draw time"], days: np.ndarray
) -> Float[np.ndarray, "draw day"]:
    """The curve of every draw on `days`, linear between its own `times`."""
    right = np.clip(np.searchsorted(times, days, side="left"), 1, len(times) - 1)
    width = times[right] - times[right - 1]
    weight = np.clip((days - times[right - 1]) / np.where(width > 0, width, 1.0), 0.0, 1.0)
    return curve[:, right - 1] * (1 - weight) + curve[:, right] * weight


class _Curves:
    """The curves of every site, under the `doses` of the study or under changed doses on the same days."""

    def __init__(self, fit: Fit, draws: int) -> None:
        self.fit = fit
        self.draws = draws
        self.doses = fit.study.doses
        products = fit.bound.plan.products
        if products is not None:
            self.doses = self.doses[self.doses["product"].isin(products)]
        self.products = [p for p in fit.model.sites if (self.doses["product"] == p).any()]
        self.times = common_days(fit)
        self._solved: dict[bytes, dict[str, Curve]] = {}
        outputs = [output for sites in fit.model.sites.values() for output in sites.values()]
        if "lesions" in fit.model.outputs:
            outputs.append("lesions")
        self.outputs = tuple(dict.fromkeys(outputs))

    def as_given(self) -> dict[str, Curve]:
        """The curve of each output (draw, subject, time) under the doses of the study."""
        return _whole(self.outputs, own_blocks(self.fit, self.outputs, self.times, draws=self.draws))

    def under(self, doses: DataFrame) -> dict[str, Curve]:
        """The same under a table of changed doses, in every `step`-th draw; one table is solved once."""
        padded = self._padded(doses)
        if _key(padded) == _key(self._padded(self.doses)):
            return {k: self.few(curves) for k, curves in self.as_given().items()}
        if _key(padded) not in self._solved:
            theta = {k: self.few(v) for k, v in self.fit.theta(at_most=self.draws).items()}
            blocks = predicted_blocks(self.fit, self.outputs, self.times, theta, padded)
            self._solved[_key(padded)] = _whole(self.outputs, blocks)
        return self._solved[_key(padded)]

    def __len__(self) -> int:
        """The number of draws under the given doses."""
        return min(self.draws, self.fit.draws)

    def few(self, values: np.ndarray) -> np.ndarray:
        """The draws of `values` (draw, ...) in which changed doses are solved: about eighty."""
        return values[:: max(1, round(len(self) / _CHANGED))]

    def _padded(self, doses: DataFrame) -> Doses:
        return pad_doses(doses, self.fit.bound.subjects, tuple(self.fit.model.dosing))


def _key(doses: Doses) -> bytes:
    """The bytes of padded doses, by which their curves are found again."""
    return b"".join(np.asarray(x).tobytes() for x in doses)


def _whole(outputs: Iterable[str], blocks: Iterable[tuple[slice, Mapping[str, Curve]]]) -> dict[str, Curve]:
    """The curves of all subjects from those of blocks of subjects."""
    parts = [curves for _, curves in blocks]
    return {k: np.concatenate([part[k] for part in parts], axis=1) for k in outputs}


def _quantities(
    curves: _Curves, actual: Mapping[str, Curve], product: str, window: float
) -> Iterator[tuple[str, tuple[str, Float[np.ndarray, "draw subject"]]]]:
    """The quantities of a product with unit and value; NaN for a subject to whom one does not apply."""
    sites = curves.fit.model.sites[product]
    times = curves.times
    doses = curves.doses
    subjects = curves.fit.bound.subjects
    of_product = doses[doses["product"] == product]
    first = of_product.groupby("subject")["time"].min().reindex(subjects).to_numpy(float)
    # The area and the peak of each site, within the window.
    area = {site: _area(times, actual[output], first, window) for site, output in sites.items()}
    inside = (times >= first[:, None]) & (times <= first[:, None] + window)
    for site, output in sites.items():
        cells = np.where(inside, actual[output], -np.inf)
        day = np.take_along_axis(times[None], cells.argmax(-1)[..., None], -1)[..., 0] - first
        yield f"auc_{site}", ("cells day", area[site])
        yield f"peak_{site}", ("cells", np.where(np.isnan(first), np.nan, cells.max(-1)))
        yield f"peak_day_{site}", ("day", day)
    # What the actual doses did.
    for site in ("liver", "tumour"):
        if site in sites and "blood" in sites:
            yield f"{site}_to_blood", ("1", area[site] / area["blood"])
    if "blood" in sites:
        yield "doubling_time", ("day", _doubling(times, actual[sites["blood"]], first, window))
    yield from _retained(curves, of_product, actual, sites)
    # What changed doses would have done.
    yield from _advantages(curves, product, first, window)
    if "tumour" not in sites:
        return
    until = np.full_like(first, np.inf)
    area_with = curves.few(_area(times, actual[sites["tumour"]], first, until))
    for name, omitted in _omissions(doses, product):
        # Omitted doses stay in the table with no cells, so that all days and shapes stay the same.
        changed = doses.assign(amount=doses["amount"].where(~omitted, 0.0))
        area_without = _area(times, curves.under(changed)[sites["tumour"]], first, until)
        had_them = doses[omitted].groupby("subject").size().reindex(subjects).notna().to_numpy()
        yield name, ("1", np.where(had_them, 1 - area_without / area_with, np.nan))


def _retained(
    curves: _Curves, doses: DataFrame, actual: Mapping[str, Curve], sites: Mapping[str, str]
) -> Iterator[tuple[str, tuple[str, np.ndarray]]]:
    """The share of the first dose in liver and tumour after an hour, when no other dose has added to it."""
    present = [site for site in ("liver", "tumour") if site in sites]
    if not present:
        return
    subjects = curves.fit.bound.subjects
    first = doses.sort_values("time").groupby("subject")[["time", "amount"]].first().reindex(subjects)
    hour_after = first["time"].to_numpy(float)[:, None] + HOUR
    nearest = np.abs(curves.times - hour_after).argmin(1)
    cells = np.asarray(sum(actual[sites[site]] for site in present))
    retained = np.take_along_axis(cells, nearest[None, :, None], -1)[..., 0]
    yield "retained_1h", ("1", retained / first["amount"].to_numpy(float))


def _advantages(
    curves: _Curves, product: str, first: np.ndarray, window: float
) -> Iterator[tuple[str, tuple[str, np.ndarray]]]:
    """The areas with all doses of a product by hepatic artery over those with all doses iv."""
    entries = tuple(curves.fit.model.dosing)
    if any(entry_of(product, route, entries) is None for route in _ROUTES):
        return
    sites = curves.fit.model.sites[product]
    doses = curves.doses
    by_route = []
    for route in _ROUTES:
        rerouted = doses.assign(route=doses["route"].where(doses["product"] != product, route))
        by_route.append(curves.under(rerouted))
    for site in ("liver", "tumour"):
        if site in sites:
            artery, iv = (_area(curves.times, cells[sites[site]], first, window) for cells in by_route)
            yield f"hepatic_artery_advantage_{site}", ("1", artery / iv)


def _omissions(doses: DataFrame, product: str) -> Iterator[tuple[str, pd.Series]]:
    """The doses to leave out for each quantity that says what they add, as a mask of the rows."""
    later_cycles = (doses["product"] == product) & (doses["cycle"] > 1)
    lymphodepletion = doses["product"] == "lymphodepletion"
    if later_cycles.any():
        yield "second_cycle_share", later_cycles
    if lymphodepletion.any():
        yield "lymphodepletion_share", lymphodepletion


def _lesion_change(actual: Mapping[str, Curve]) -> Iterator[tuple[str, tuple[str, np.ndarray]]]:
    """The best change of the sum of diameters, where the model has lesions."""
    if "lesions" in actual:
        diameters = actual["lesions"]
        yield "best_lesion_change", ("1", diameters[..., 1:].min(-1) / diameters[..., 0] - 1)


def _area(
    times: np.ndarray, curve: Curve, start: np.ndarray, length: float | np.ndarray
) -> Float[np.ndarray, "draw subject"]:
    """The area from `start` to `start + length` or the last time, if earlier; NaN without a start."""
    end = np.minimum(start + length, times[:, -1])
    return auc(times, curve, start, end)


def _doubling(
    times: np.ndarray, curve: Curve, start: np.ndarray, window: float
) -> Float[np.ndarray, "draw subject"]:
    """The doubling time of the steepest rise of log cells; NaN where there is no rise.

    Steps are of a day, from a day and a half after `start` to the end of the window.
    """
    steepest = np.full(curve.shape[:2], -np.inf)
    for i in np.flatnonzero(np.isfinite(start)):
        days = np.arange(start[i] + 1.5, min(start[i] + window, times[i, -1]) + 1e-9, 1.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = np.diff(_interpolated(times[i], np.log(curve[:, i]), days), axis=-1)
        steepest[:, i] = np.where(np.isfinite(slope), slope, -np.inf).max(axis=-1, initial=-np.inf)
    return np.where(steepest > 0, np.log(2) / np.where(steepest > 0, steepest, 1.0), np.nan)


def _frames(
    fit: Fit, product: str, quantities: Iterable[tuple[str, tuple[str, np.ndarray]]], *, draws: int
) -> Iterator[DataFrame]:
    """A table for each quantity (draw, subject) of a product, in all `draws` or in every so many of them."""
    subjects = np.array(fit.bound.subjects)
    for quantity, (unit, value) in quantities:
        number, n = value.shape
        step = -(-draws // number)
        yield DataFrame(
            {
                "subject": np.tile(subjects, number),
                "product": product,
                "draw": np.repeat(step * np.arange(number), n),
                "quantity": quantity,
                "unit": unit,
                "value": value.ravel(),
            }
        )
