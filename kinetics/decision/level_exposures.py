"""Exposures for a dose decision: of the subjects as they were dosed, and of new patients at every level.

The same numbers of the same curves, so that what outcomes teach of one holds for the other. New patients have
random effects of their own and the covariates, lymphodepletion and days of infusion of the study's subjects;
they get what the protocol plans, and no drug against toxicity.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from pandas import DataFrame

from kinetics.errors import FitError
from kinetics.exposures import segment_areas
from kinetics.inference import Fit
from kinetics.prediction import patients_of_each_draw, population_draws, predicted_blocks
from kinetics.protocol import Dosing, Protocol
from kinetics.regimen import pad_doses
from kinetics.streams import stream

__all__ = ["Exposures", "exposures_as_dosed", "exposures_at_levels", "exposures_of_table", "planned_doses"]

FOLLOWED = 28.0  # days from the first infusion of the level's product
_DAYS = np.unique(
    [0.0, 0.02, 0.1, 0.25, 0.5, 0.75, *np.arange(1.0, 15.0, 0.5), *np.arange(15.0, FOLLOWED + 0.5)]
)


@dataclass(frozen=True, eq=False)
class Exposures:
    """`values` by exposure, each (draw, subject), and their units. NaN for nobody: subjects are those with
    any.

    >>> seen = kn.decision.Exposures(["S1", "S2"], {"copies_cmax": "copies/ug DNA"}, {"copies_cmax": np.array([[9e3, 2e4]])})
    >>> seen.only(["copies_cmax"]).of(["S2"])["copies_cmax"].shape
    (1, 1)
    """

    subjects: list[str]
    units: Mapping[str, str]
    values: Mapping[str, Float[np.ndarray, "draw subject"]]

    def only(self, names: Collection[str]) -> Exposures:
        """The exposures of these names."""
        return replace(self, values={k: v for k, v in self.values.items() if k in names})

    def of(self, subjects: list[str]) -> dict[str, Float[np.ndarray, "draw subject"]]:
        """The columns of these subjects, in their order."""
        rows = [self.subjects.index(s) for s in subjects]
        return {k: v[:, rows] for k, v in self.values.items()}


def exposures_as_dosed(fit: Fit, protocol: Protocol, *, draws: int = 200) -> Exposures:
    """Of every subject who had the level's product, under the doses that it had.

    `A_cmax` [unit of analyte A] and `A_auc_28d` [that x day] of each analyte of the fit as its assay reads
    it, in the 28 days from the first infusion of the level's product; `P_SITE_auc_28d` [cells day] of each
    product and site of the model, blood left out. Areas are linear-up log-down, as in `kinetics.exposure`.
    FitError where nobody had the product.

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
    found = _exposures(fit, table, starts, fit.sites(at_most=draws))
    rows = [fit.bound.subjects.index(s) for s in subjects]
    return Exposures(subjects, _units(fit), {k: v[:, rows] for k, v in found.items()})


def exposures_of_table(table: DataFrame, *, course: str = "course") -> Exposures:
    """The whole course's exposures in a table of `kinetics.exposure` (every draw), or of `kinetics.nca` by
    course.

    `A_cmax` [unit of analyte A] and `A_auc_28d` [that x day], or whatever window the table has; the subjects
    of all analytes, NaN where one has no number. Example: `exposures_of_table(kinetics.exposure(fit,
    by="course"))`.
    """
    own = table[table["cycle"].astype(str) == course]
    own = own if "draw" in own else own.assign(draw=0)
    area = next(c for c in map(str, own.columns) if c.startswith("auc_0_") and c.endswith("d"))
    subjects = list(dict.fromkeys(own["subject"]))
    draws = sorted(set(own["draw"]))
    units = {}
    values = {}
    for analyte, rows in own.groupby("analyte", sort=False):
        unit = str(rows["unit"].iloc[0])
        for suffix, column, of in (("cmax", "cmax", unit), (area.replace("_0_", "_"), area, f"{unit} x day")):
            wide = rows.pivot(index="draw", columns="subject", values=column).reindex(draws, columns=subjects)
            units[f"{analyte}_{suffix}"] = of
            values[f"{analyte}_{suffix}"] = wide.to_numpy(float)
    return Exposures(subjects, units, values)


def exposures_at_levels(fit: Fit, protocol: Protocol, *, draws: int = 200, seed: int = 0) -> list[Exposures]:
    """Of new patients at every level, lowest first: one like each subject in each posterior draw.

    The same patients at every level (common random numbers). Exposures as `exposures_as_dosed`.

    >>> fit = kn.load_fit("runs/ogasawara_2021__synthetic_cart_12")
    >>> protocol = kn.read_protocol("nkg2d_phase1_synthetic")
    >>> levels = kn.decision.exposures_at_levels(fit, protocol, draws=5)
    >>> len(levels) == len(protocol.levels), levels[0].values["car_copies_cmax"].shape
    (True, (5, 12))
    """
    bound = fit.bound
    n = len(fit.bound.subjects)
    rng = stream(seed, "new patients at every level")
    sites = population_draws(fit, draws)
    theta = patients_of_each_draw(fit, sites, bound.data.design, n, rng)
    found = []
    for level in range(1, len(protocol.levels) + 1):
        table = _in_the_fit(fit, planned_doses(fit, protocol, level))
        values = _exposures(fit, table, _starts(table, protocol), sites | theta)
        found.append(Exposures(list(bound.subjects), _units(fit), values))
    return found


def planned_doses(fit: Fit, protocol: Protocol, level: int) -> DataFrame:
    """What the protocol plans at `level` for patients like the fit's subjects: the columns of a dose table.

    A product begins on the day that the subject's did, or else on the first day that the protocol allows.
    What a subject was given on or before the day of its first cells, such as lymphodepletion, stays.
    """
    rows = []
    for subject in fit.bound.subjects:
        own = fit.study.doses[fit.study.doses["subject"] == subject]
        cells = own[own["product"].isin(list(protocol.dosing))]
        first = float(cells["time"].min()) if len(cells) else 0.0
        other = own[~own["product"].isin(list(protocol.dosing)) & (own["time"] <= first)]
        rows += other[_COLUMNS].to_dict("records")
        weight = _weight(fit, subject, protocol)
        for product, dosing in protocol.dosing.items():
            given = cells[cells["product"] == product]["time"]
            earliest = first + (dosing.begins_on_days or (0.0, 0.0))[0]
            begins = float(given.min()) if len(given) else earliest
            amounts = _amounts(protocol, product, dosing, level, weight)
            for cycle, day, amount in _infusions(dosing, amounts):
                rows.append(
                    {
                        "subject": subject,
                        "product": product,
                        "route": dosing.route,
                        "time": begins + day,
                        "amount": amount,
                        "duration": 0.0,
                        "cycle": cycle,
                    }
                )
    return DataFrame(rows, columns=_COLUMNS)


_COLUMNS = ["subject", "product", "route", "time", "amount", "duration", "cycle"]


def _infusions(dosing: Dosing, amounts: tuple[float, ...]) -> Iterator[tuple[int, float, float]]:
    """Cycle, day from the product's first infusion, and amount."""
    for cycle in range(dosing.cycles):
        later = cycle * (dosing.days_between_cycles or 0.0)
        for day, amount in zip(dosing.days, amounts, strict=True):
            yield cycle + 1, later + day - dosing.days[0], amount


def _amounts(
    protocol: Protocol, product: str, dosing: Dosing, level: int, weight: float
) -> tuple[float, ...]:
    """Cells of each infusion of a cycle."""
    if product != protocol.level_product:
        return dosing.cells.value or (0.0,) * len(dosing.days)
    parts = {"cycle": len(dosing.days), "total": len(dosing.days) * dosing.cycles}
    each = protocol.levels[level - 1] * weight / parts.get(dosing.per.value or "administration", 1)
    return (each,) * len(dosing.days)


def _weight(fit: Fit, subject: str, protocol: Protocol) -> float:
    """By what a level is multiplied: body weight [kg], or 1."""
    if protocol.level_unit == "cells":
        return 1.0
    return float(fit.study.subjects["weight_kg"].to_dict()[subject])


def _in_the_fit(fit: Fit, table: DataFrame) -> DataFrame:
    products = fit.bound.plan.products
    return table if products is None else table[table["product"].isin(products)]


def _starts(table: DataFrame, protocol: Protocol) -> dict[str, float]:
    own = table[table["product"] == protocol.level_product]
    return {str(s): float(t) for s, t in own.groupby("subject")["time"].min().items()}


def _units(fit: Fit) -> dict[str, str]:
    units = {}
    for assay in fit.bound.assays:
        units |= {f"{assay.analyte}_cmax": assay.unit, f"{assay.analyte}_auc_28d": f"{assay.unit} x day"}
    return units | {name: "cells x day" for name in _site_outputs(fit)}


def _site_outputs(fit: Fit) -> dict[str, str]:
    """Name of the exposure -> the model's output that is cells there."""
    return {
        f"{product}_{site}_auc_28d": output
        for product, sites in fit.model.sites.items()
        for site, output in sites.items()
        if site != "blood"
    }


def _exposures(
    fit: Fit, table: DataFrame, starts: Mapping[str, float], sites: Mapping[str, np.ndarray]
) -> dict[str, Float[np.ndarray, "draw subject"]]:
    """Every exposure of every subject of the fit; NaN for one that is not in `starts`."""
    bound = fit.bound
    at_sites = _site_outputs(fit)
    begins = np.array([starts.get(s, np.nan) for s in bound.subjects])
    times = np.nan_to_num(begins)[:, None] + _DAYS
    outputs = tuple(dict.fromkeys([*(a.output for a in bound.assays), *at_sites.values()]))
    doses = pad_doses(table, bound.subjects, tuple(fit.model.dosing))
    theta = {name: sites[name] for name in bound.parameters}
    parts: dict[str, list[np.ndarray]] = {}
    for rows, predicted in predicted_blocks(fit, outputs, times, theta, doses):
        which = np.arange(len(times))[rows]
        for a in bound.assays:
            read = np.asarray(a.seen(sites, predicted[a.output], times[rows], which))
            parts.setdefault(f"{a.analyte}_cmax", []).append(read.max(axis=-1))
            parts.setdefault(f"{a.analyte}_auc_28d", []).append(segment_areas(_DAYS, read).sum(axis=-1))
        for name, output in at_sites.items():
            parts.setdefault(name, []).append(segment_areas(_DAYS, predicted[output]).sum(axis=-1))
    missing = np.isnan(begins)
    return {k: np.where(missing, np.nan, np.concatenate(v, axis=1)) for k, v in parts.items()}
