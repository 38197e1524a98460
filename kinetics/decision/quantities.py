"""Exposures for a dose decision: their values by name and subject, and what each is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from jaxtyping import Float
from pandas import DataFrame

__all__ = ["Exposures", "Quantity", "bounded_subjects", "exposures_of_table"]


@dataclass(frozen=True)
class Quantity:
    """What an exposure is: the peak or the area of an `analyte`, in a `unit`; at a `site`, "" for blood.

    >>> peak = kn.decision.Quantity("il6", "peak", "pg/mL")
    >>> peak.analyte, peak.of, peak.unit, peak.site
    ('il6', 'peak', 'pg/mL', '')
    """

    analyte: str
    of: Literal["peak", "area"]
    unit: str
    site: str = ""


@dataclass(frozen=True, eq=False)
class Exposures:
    """Exposures by name, and what each is.

    `values` has an array (draw, subject) for each exposure, `quantities` says what it is. `subjects` are
    those who have an exposure: none of them is NaN throughout. `lower_bounds` names, by exposure, the
    subjects whose value is no more than a lower bound, as where samples lay above the upper limit of
    quantification.

    >>> values = {"copies_cmax": np.array([[9e3, 2e4]])}
    >>> peak = kn.decision.Quantity("copies", "peak", "copies/ug DNA")
    >>> seen = kn.decision.Exposures(["S1", "S2"], {"copies_cmax": peak}, values)
    >>> seen.units, seen.quantities["copies_cmax"].of
    ({'copies_cmax': 'copies/ug DNA'}, 'peak')
    >>> seen.only(["copies_cmax"]).of(["S2"])["copies_cmax"].shape
    (1, 1)
    """

    subjects: list[str]
    quantities: Mapping[str, Quantity]
    values: Mapping[str, Float[np.ndarray, "draw subject"]]
    lower_bounds: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def units(self) -> dict[str, str]:
        """The unit of every exposure."""
        return {name: quantity.unit for name, quantity in self.quantities.items()}

    def only(self, names: Collection[str]) -> Exposures:
        """The same exposures without those of other names."""
        return replace(self, values={k: v for k, v in self.values.items() if k in names})

    def of(self, subjects: list[str]) -> dict[str, Float[np.ndarray, "draw subject"]]:
        """The columns of these subjects, in the order in which they are named."""
        columns = [self.subjects.index(s) for s in subjects]
        return {name: values[:, columns] for name, values in self.values.items()}


def exposures_of_table(table: DataFrame, *, course: str = "course") -> Exposures:
    """Exposures over the whole course, from a table of `kinetics.exposure` (every draw) or `kinetics.nca`.

    The table has its numbers by course. The exposures are `A_cmax` [unit of analyte A] and `A_auc_28d` [that
    unit x day], or the area over whatever window the table has. The subjects are those of any analyte; where
    a subject has no number, the value is NaN. `course` is the value of the column `cycle` that stands for the
    whole course. Example: `exposures_of_table(kinetics.exposure(fit, by="course"))`.
    """
    rows = table[table["cycle"].astype(str) == course]
    if "draw" not in rows:
        rows = rows.assign(draw=0)
    area = next(name for name in map(str, rows.columns) if name.startswith("auc_0_") and name.endswith("d"))
    subjects = list(dict.fromkeys(rows["subject"]))
    draws = sorted(set(rows["draw"]))
    quantities: dict[str, Quantity] = {}
    values = {}
    lower_bounds = {}
    for analyte, of_analyte in rows.groupby("analyte", sort=False):
        unit = str(of_analyte["unit"].iloc[0])
        area_name = f"{analyte}_{area.replace('_0_', '_')}"
        quantities[f"{analyte}_cmax"] = Quantity(str(analyte), "peak", unit)
        quantities[area_name] = Quantity(str(analyte), "area", f"{unit} x day")
        for name, column in ((f"{analyte}_cmax", "cmax"), (area_name, area)):
            wide = of_analyte.pivot(index="draw", columns="subject", values=column)
            values[name] = wide.reindex(draws, columns=subjects).to_numpy(float)
            lower_bounds[name] = bounded_subjects(of_analyte, column)
    return Exposures(subjects, quantities, values, lower_bounds)


def bounded_subjects(rows: DataFrame, column: str) -> frozenset[str]:
    """The subjects whose number in a `column` of a table of `kinetics.nca` is a lower bound."""
    if "lower_bound" not in rows:
        return frozenset()
    bounded = [column in str(names).split(",") for names in rows["lower_bound"]]
    return frozenset(map(str, rows["subject"][bounded]))
