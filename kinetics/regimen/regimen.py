"""A regimen: who is given which dose, when and by which route, written by hand as a frozen value.

`Regimen` is built from keywords and joined with `+`. `kinetics.regimen.regimen_file` reads one from a TOML,
and `kinetics.regimen.schedule` makes the arrays of it that a solver takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Required, TypedDict, Unpack

import numpy as np
from pandas import DataFrame

from kinetics.arrays import AnyArray
from kinetics.errors import PlanError, Problem, did_you_mean
from kinetics.regimen.dose import Dose, doses_from, problems_of, repeated, shortest, toml_of, total_amounts
from kinetics.units import convert

__all__ = ["DoseKeywords", "Regimen"]

_COLUMNS = ["product", "route", "time", "amount", "unit", "duration", "cycle"]

Numbers = float | int | Sequence[float | int] | AnyArray


class DoseKeywords(TypedDict, total=False):
    """The keywords of `Regimen.iv`, `.hepatic_artery` and `.portal_vein`, as `Regimen.dose` has them."""

    on: Required[Numbers]
    product: str
    cells: Numbers
    cells_per_kg: Numbers
    mg: Numbers
    mg_per_kg: Numbers
    minutes: Numbers
    cycle: int
    at_most_cells: float | int
    at_most_mg: float | int


@dataclass(frozen=True, repr=False)
class Regimen:
    """The doses of a treatment: what, how much, when and by which route, in the order of time. Frozen.

    Amounts are what was infused, not what was planned: where a bag held less, say so with `but_infused`.
    Build one with `Regimen.iv`, `.hepatic_artery`, `.portal_vein` or `.dose`, join several with `+` (in any
    order), and repeat one with `.repeat`. `+` leaves the cycles as they are, so a second course written by
    hand says `cycle=2`. PlanError lists everything wrong at once.

    >>> car_t = kn.Regimen.iv(cells_per_kg=3e7, on=[0, 1]).repeat(every_days=14, times=2)
    >>> car_nk = kn.Regimen.hepatic_artery(cells=1e9, on=0, product="car_nk")
    >>> car_nk = car_nk + kn.Regimen.portal_vein(cells=1e9, on=1)
    >>> others = kn.Regimen.lymphodepletion(on=[0, 1]) + kn.Regimen.tocilizumab(on=9)
    >>> others = others + kn.Regimen.steroid(on=9, mg=60)
    >>> given = (car_t.later(days=7) + car_nk + others).but_infused({("car_t", 2, 1): 2e9})
    >>> given.only("car_t").doses(weight_kg=70)["amount"].tolist(), given.to_toml().count("[[dose]]")
    ([1000000000.0, 2100000000.0, 2100000000.0, 2000000000.0, 2100000000.0], 8)
    """

    given: tuple[Dose, ...] = ()

    def __post_init__(self) -> None:
        problems = [problem for dose in self.given for problem in problems_of(dose)]
        if problems:
            raise PlanError(dict.fromkeys(problems))
        object.__setattr__(self, "given", tuple(sorted(self.given)))

    @staticmethod
    def dose(
        *,
        route: str,
        on: Numbers,
        product: str = "car_t",
        cells: Numbers | None = None,
        cells_per_kg: Numbers | None = None,
        mg: Numbers | None = None,
        mg_per_kg: Numbers | None = None,
        count: Numbers | None = None,
        minutes: Numbers = 0.0,
        cycle: int = 1,
        at_most_cells: float | int | None = None,
        at_most_mg: float | int | None = None,
    ) -> Regimen:
        """Doses of one product by one route, at the days `on` (from 0 up); `route` is any site's name.

        Give exactly one amount: `cells`, `cells_per_kg`, `mg`, `mg_per_kg`, or `count` for what is neither.
        The amount, and the `minutes` of infusion (0 is a bolus, real infusions take 10 to 60), are one number
        for all days or a list with one for each. `at_most_cells` and `at_most_mg` cap a dose per kg. The
        default product is `car_t`.

        >>> kn.Regimen.dose(route="hepatic_artery", product="car_nk", cells=[1e9, 2e9], on=[0, 7], minutes=30)
        Regimen of 2 doses
          product  cycle  day  route           amount     over
          car_nk   1      0    hepatic_artery  1e9 cells  30 min
          car_nk   1      7    hepatic_artery  2e9 cells  30 min
        """
        keys = {
            "product": product,
            "route": route,
            "on": on,
            "cells": cells,
            "cells_per_kg": cells_per_kg,
            "mg": mg,
            "mg_per_kg": mg_per_kg,
            "count": count,
            "minutes": minutes,
            "cycle": cycle,
            "at_most_cells": at_most_cells,
            "at_most_mg": at_most_mg,
        }
        return Regimen(tuple(doses_from({key: value for key, value in keys.items() if value is not None})))

    @staticmethod
    def iv(**dose: Unpack[DoseKeywords]) -> Regimen:
        """Doses into a vein; the default `product` is `car_t`. Keywords as for `Regimen.dose`."""
        return Regimen.dose(route="iv", **dose)

    @staticmethod
    def hepatic_artery(**dose: Unpack[DoseKeywords]) -> Regimen:
        """Doses into the hepatic artery; the default `product` is `car_t`. Keywords as for `Regimen.dose`."""
        return Regimen.dose(route="hepatic_artery", **dose)

    @staticmethod
    def portal_vein(**dose: Unpack[DoseKeywords]) -> Regimen:
        """Doses into the portal vein; the default `product` is `car_t`. Keywords as for `Regimen.dose`."""
        return Regimen.dose(route="portal_vein", **dose)

    @staticmethod
    def lymphodepletion(*, on: Numbers) -> Regimen:
        """Days of lymphodepletion (such as FC): product `lymphodepletion`, iv, 1 of unit `count` a day.

        The model's entry `lymphodepletion/iv` says what a day of it does. It never passes for cells or mg.
        """
        return Regimen.dose(route="iv", product="lymphodepletion", count=1.0, on=on)

    @staticmethod
    def tocilizumab(
        *,
        on: Numbers,
        mg_per_kg: Numbers = 8.0,
        at_most_mg: float | int | None = 800.0,
        minutes: Numbers = 60.0,
    ) -> Regimen:
        """Tocilizumab iv, product `tocilizumab`: 8 mg/kg, at most 800 mg (Moes 2022).

        That it is infused over an hour is a guess.
        """
        return Regimen.dose(
            route="iv",
            product="tocilizumab",
            mg_per_kg=mg_per_kg,
            at_most_mg=at_most_mg,
            on=on,
            minutes=minutes,
        )

    @staticmethod
    def steroid(
        *,
        on: Numbers,
        mg: Numbers | None = None,
        mg_per_kg: Numbers | None = None,
        drug: str = "methylprednisolone",
        route: str = "iv",
        minutes: Numbers = 0.0,
    ) -> Regimen:
        """Doses of a steroid. The product is the drug, because milligrams of two drugs are not comparable."""
        return Regimen.dose(route=route, product=drug, mg=mg, mg_per_kg=mg_per_kg, on=on, minutes=minutes)

    def __add__(self, other: Regimen) -> Regimen:
        if not isinstance(other, Regimen):
            return NotImplemented
        return Regimen(self.given + other.given)

    def repeat(self, *, every_days: float | int, times: int) -> Regimen:
        """`times` courses in all, `every_days` from start to start.

        This is NONMEM's ADDL = times - 1 and II = every_days. The cycles of each product count on, 1, 2, ...;
        ADDL leaves them to the table's own cycle column.
        """
        return Regimen(tuple(repeated(self.given, every_days=every_days, times=times)))

    def later(self, *, days: float | int) -> Regimen:
        """The same regimen, that many days later."""
        return Regimen(tuple(replace(dose, time=float(dose.time + days)) for dose in self.given))

    def only(self, *products: str) -> Regimen:
        """The doses of these products; PlanError for a product that is not given."""
        in_regimen = {dose.product for dose in self.given}
        problems = [
            Problem(f"no dose of product {product!r}", did_you_mean(product, in_regimen))
            for product in products
            if product not in in_regimen
        ]
        if problems:
            raise PlanError(problems)
        return Regimen(tuple(dose for dose in self.given if dose.product in products))

    def but_infused(self, amounts: Mapping[tuple[str, int, int], float | int]) -> Regimen:
        """The regimen with the planned amounts replaced by the infused ones.

        `amounts` maps (product, cycle, number of the infusion in that cycle, from 1) to the whole dose [cells
        or mg] that left the bag, never per kg. An amount of 0 was not given, and its dose is left out.
        PlanError lists the infusions that do not exist, and values that are not amounts.
        """
        planned = dict(zip(_infusion_keys(self.given), self.given, strict=True))
        if problems := list(_infusion_problems(amounts, planned)):
            raise PlanError(problems)
        infused = []
        for key, dose in planned.items():
            if key in amounts:
                dose = replace(dose, amount=float(amounts[key]), unit=dose.total_unit, at_most=np.inf)
            if dose.amount > 0:
                infused.append(dose)
        return Regimen(tuple(infused))

    def doses(self, weight_kg: float | int | None = None) -> DataFrame:
        """One patient's doses: product, route, time [day], amount, unit, duration [day], cycle.

        `unit` is cells or mg (count for lymphodepletion). `weight_kg` is needed for doses per kg. PlanError
        where a dose is per kg and the weight is missing or implausible.
        """
        weights = np.array([np.nan if weight_kg is None else weight_kg], float)
        amounts = total_amounts(self.given, weights)[0]
        days_per_minute = convert("min", "day")
        rows = [
            (
                dose.product,
                dose.route,
                dose.time,
                float(amount),
                dose.total_unit,
                dose.minutes * days_per_minute,
                dose.cycle,
            )
            for dose, amount in zip(self.given, amounts, strict=True)
        ]
        numeric = {"time": float, "amount": float, "duration": float, "cycle": int}
        return DataFrame(rows, columns=_COLUMNS).astype(numeric)

    def to_toml(self) -> str:
        """The regimen as [[dose]] tables, which `read_regimen` reads back as the same regimen."""
        return toml_of(self.given)

    def __str__(self) -> str:
        rows = [("product", "cycle", "day", "route", "amount", "over")]
        for dose in self.given:
            amount = f"{shortest(dose.amount)} {dose.unit}"
            if dose.at_most < np.inf:
                amount += f", at most {shortest(dose.at_most)} {dose.total_unit}"
            duration = f"{shortest(dose.minutes)} min" if dose.minutes else "bolus"
            rows.append((dose.product, str(dose.cycle), shortest(dose.time), dose.route, amount, duration))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [f"Regimen of {len(self.given)} doses"]
        for row in rows:
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
            lines.append("  " + "  ".join(cells).rstrip())
        return "\n".join(lines)

    __repr__ = __str__


def _infusion_keys(doses: Sequence[Dose]) -> Iterator[tuple[str, int, int]]:
    """(product, cycle, number of the infusion in that cycle) of every dose, in the order of time."""
    infusions: dict[tuple[str, int], int] = {}
    for dose in doses:
        course = (dose.product, dose.cycle)
        infusions[course] = infusions.get(course, 0) + 1
        yield *course, infusions[course]


def _infusion_problems(
    amounts: Mapping[tuple[str, int, int], float | int], planned: Mapping[tuple[str, int, int], Dose]
) -> Iterator[Problem]:
    """Infusions that were not planned, and values that are not amounts."""
    planned_keys = ", ".join(map(str, planned))
    for key in amounts:
        if key not in planned:
            yield Problem(f"no infusion {key!r}", f"known: {planned_keys}")
    for key, amount in amounts.items():
        if not 0 <= amount < np.inf:
            remedy = "write what was infused, 0 for nothing"
            yield Problem(f"infusion {key!r}: {amount} is not an amount", remedy)
