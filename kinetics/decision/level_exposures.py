"""Exposures for a dose decision, from a fit: of the subjects as dosed, and of new patients at every level.

Both are computed from fitted curves in the same way, so what the outcomes say about the exposures of the
subjects holds for those of new patients. New patients have their own random effects, and the covariates,
lymphodepletion and days of infusion of the study's subjects. They get the doses that the protocol plans, and
no drug against toxicity.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from jaxtyping import Float
from pandas import DataFrame

from kinetics.decision.quantities import Exposures, Quantity
from kinetics.errors import FitError
from kinetics.exposures import segment_areas
from kinetics.inference import Fit
from kinetics.prediction import patients_of_each_draw, population_draws, predicted_blocks
from kinetics.protocol import Protocol, planned_infusions
from kinetics.regimen import pad_doses
from kinetics.streams import stream
from kinetics.study import SURFACE

__all__ = ["exposures_as_dosed", "exposures_at_levels", "planned_doses"]

FOLLOWED = 28.0  # days from the first infusion of the level's product
DAYS = np.unique(
    [0.0, 0.02, 0.1, 0.25, 0.5, 0.75, *np.arange(1.0, 15.0, 0.5), *np.arange(15.0, FOLLOWED + 0.5)]
)  # days at which curves are read, finer in the first two weeks
DOSE_COLUMNS = ["subject", "product", "route", "time", "amount", "duration", "cycle"]


def exposures_as_dosed(fit: Fit, protocol: Protocol, *, draws: int = 200) -> Exposures:
    """Exposures of every subject who had the level's product, under the doses that the subject had.

    They cover the 28 days from the first infusion of the level's product: `A_cmax` [unit of analyte A] and
    `A_auc_28d` [that unit x day] of each analyte A of the fit, as its assay reads it; `P_SITE_auc_28d` [cells
    day] of each product and site of the model, blood left out. Areas are linear-up log-down, as in
    `kinetics.exposure`. `draws` is the number of posterior draws at most. FitError where nobody had the
    product.

    >>> fit = kn.load_fit("runs/ogasawara_2021__synthetic_cart_12")
    >>> protocol = kn.read_protocol("nkg2d_phase1_synthetic")
    >>> seen = kn.decision.exposures_as_dosed(fit, protocol, draws=5)
    >>> seen.units["car_copies_auc_28d"], seen.values["car_copies_auc_28d"].shape
    ('copies/ug DNA x day', (5, 12))
    """
    table = _in_the_fit(fit, fit.study.doses)
    starts = _starts(table, protocol)
    subjects = [s for s in fit.bound.subjects if s in starts]
    if not subjects:
        raise FitError(f"nobody in {fit.name} had {protocol.level_product}: there is no exposure to it")
    values = _exposures(fit, table, starts, fit.sites(at_most=draws))
    columns = [fit.bound.subjects.index(s) for s in subjects]
    return Exposures(subjects, _quantities(fit), {name: array[:, columns] for name, array in values.items()})


def exposures_at_levels(fit: Fit, protocol: Protocol, *, draws: int = 200, seed: int = 0) -> list[Exposures]:
    """Exposures of new patients at every level, the lowest level first.

    Each posterior draw has one new patient like each subject. `seed` draws the patients, and they are the
    same at every level (common random numbers). Exposures and `draws` are as in `exposures_as_dosed`.
    FitError where a dose per kg or m2 meets a subject without a weight or surface.

    >>> fit = kn.load_fit("runs/ogasawara_2021__synthetic_cart_12")
    >>> protocol = kn.read_protocol("nkg2d_phase1_synthetic")
    >>> levels = kn.decision.exposures_at_levels(fit, protocol, draws=5)
    >>> len(levels) == len(protocol.levels), levels[0].values["car_copies_cmax"].shape
    (True, (5, 12))
    """
    bound = fit.bound
    rng = stream(seed, "new patients at every level")
    sites = population_draws(fit, draws)
    theta = patients_of_each_draw(fit, sites, bound.data.design, len(bound.subjects), rng)
    at_levels = []
    for level in range(1, len(protocol.levels) + 1):
        table = _in_the_fit(fit, planned_doses(fit, protocol, level))
        values = _exposures(fit, table, _starts(table, protocol), sites | theta)
        at_levels.append(Exposures(list(bound.subjects), _quantities(fit), values))
    return at_levels


def planned_doses(fit: Fit, protocol: Protocol, level: int) -> DataFrame:
    """The doses that the protocol plans at `level` for patients like the fit's subjects, as a dose table.

    A product begins on the day of the subject's first dose of it, or, if the subject had none, on the first
    day that the protocol allows. Doses on or before the day of the subject's first cells, such as
    lymphodepletion, are kept.
    """
    infusions = planned_infusions(protocol, level)
    rows = []
    for subject in fit.bound.subjects:
        doses = fit.study.doses[fit.study.doses["subject"] == subject]
        of_protocol = doses["product"].isin(protocol.products)
        cells = doses[of_protocol]
        first = float(cells["time"].min()) if len(cells) else 0.0
        before = doses[~of_protocol & (doses["time"] <= first)]
        rows += before[DOSE_COLUMNS].to_dict("records")
        begins = {product: _begins(protocol, product, cells, first) for product in protocol.dosing}
        for infusion in infusions:
            start = first if infusion.of_regimen else begins[infusion.product]
            rows.append(
                {
                    "subject": subject,
                    "product": infusion.product,
                    "route": infusion.route,
                    "time": start + infusion.day,
                    "amount": infusion.amount * _size(fit, subject, infusion.unit),
                    "duration": 0.0,
                    "cycle": infusion.cycle,
                }
            )
    return DataFrame(rows, columns=DOSE_COLUMNS)


def _begins(protocol: Protocol, product: str, cells: DataFrame, first: float) -> float:
    """The day of a subject's first dose of a product, or the first day that the protocol allows.

    `cells` are the subject's doses of the protocol's products, the earliest on day `first`.
    """
    times = cells[cells["product"] == product]["time"]
    if len(times):
        return float(times.min())
    return first + (protocol.dosing[product].begins_on_days or (0.0, 0.0))[0]


def _size(fit: Fit, subject: str, unit: str) -> float:
    """What an amount is multiplied by to give cells: body weight [kg], body surface [m2], or 1."""
    if unit == "cells":
        return 1.0
    column = {"cells/kg": "weight_kg", "cells/m2": SURFACE}[unit]
    subjects = fit.study.subjects
    size = float(subjects[column].to_dict()[subject]) if column in subjects else float("nan")
    if not size > 0:
        what = f"a dose in {unit}, and {subject} has no {column}"
        raise FitError(f"{what}: add the column to subjects.csv with a number for every subject")
    return size


def _in_the_fit(fit: Fit, table: DataFrame) -> DataFrame:
    """The doses of the products that the plan of the fit names; all doses if it names none."""
    products = fit.bound.plan.products
    return table if products is None else table[table["product"].isin(products)]


def _starts(table: DataFrame, protocol: Protocol) -> dict[str, float]:
    """Subject -> day of its first infusion of the level's product."""
    infusions = table[table["product"] == protocol.level_product]
    return {str(s): float(t) for s, t in infusions.groupby("subject")["time"].min().items()}


def _quantities(fit: Fit) -> dict[str, Quantity]:
    """What every exposure is."""
    quantities = {}
    for assay in fit.bound.assays:
        quantities[f"{assay.analyte}_cmax"] = Quantity(assay.analyte, "peak", assay.unit)
        quantities[f"{assay.analyte}_auc_28d"] = Quantity(assay.analyte, "area", f"{assay.unit} x day")
    for product, site, _ in _sites(fit):
        quantities[_site_area(product, site)] = Quantity(product, "area", "cells x day", site)
    return quantities


def _sites(fit: Fit) -> Iterator[tuple[str, str, str]]:
    """Product, site and the model's output that is the cells there, of every site but blood."""
    for product, sites in fit.model.sites.items():
        for site, output in sites.items():
            if site != "blood":
                yield product, site, output


def _site_area(product: str, site: str) -> str:
    return f"{product}_{site}_auc_28d"


def _exposures(
    fit: Fit, table: DataFrame, starts: Mapping[str, float], sites: Mapping[str, np.ndarray]
) -> dict[str, Float[np.ndarray, "draw subject"]]:
    """Every exposure of every subject of the fit under the doses of `table`; NaN for one not in `starts`."""
    bound = fit.bound
    site_outputs = {_site_area(product, site): output for product, site, output in _sites(fit)}
    outputs = tuple(dict.fromkeys([*(assay.output for assay in bound.assays), *site_outputs.values()]))
    begins = np.array([starts.get(subject, np.nan) for subject in bound.subjects])
    times = np.nan_to_num(begins)[:, None] + DAYS
    doses = pad_doses(table, bound.subjects, tuple(fit.model.dosing))
    theta = {name: sites[name] for name in bound.parameters}
    parts: dict[str, list[np.ndarray]] = {}
    for rows, predicted in predicted_blocks(fit, outputs, times, theta, doses):
        subjects = np.arange(len(times))[rows]
        for assay in bound.assays:
            curve = np.asarray(assay.reading(sites, predicted[assay.output], times[rows], subjects))
            areas = segment_areas(DAYS, curve).sum(axis=-1)
            parts.setdefault(f"{assay.analyte}_cmax", []).append(curve.max(axis=-1))
            parts.setdefault(f"{assay.analyte}_auc_28d", []).append(areas)
        for name, output in site_outputs.items():
            areas = segment_areas(DAYS, predicted[output]).sum(axis=-1)
            parts.setdefault(name, []).append(areas)
    missing = np.isnan(begins)
    return {name: np.where(missing, np.nan, np.concatenate(blocks, axis=1)) for name, blocks in parts.items()}
