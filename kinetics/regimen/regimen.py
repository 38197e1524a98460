"""Who got how much, when, by which route: a regimen to simulate, and doses as dense padded arrays.

A `Regimen` is written by hand or read from a TOML (`kinetics.regimen.regimen_file`); a study brings its own
doses. Both become `Doses`: every subject has the same number of dose slots; an unused slot has amount 0 and
repeats the last time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Required, TypedDict, Unpack

import numpy as np
from jaxtyping import Float, Int
from pandas import DataFrame

from kinetics.arrays import AnyArray
from kinetics.errors import PlanError, Problem, StudyError, did_you_mean
from kinetics.regimen.dose import Dose, doses_from, problems_of, repeated, shortest, toml_of
from kinetics.study import HEAVIEST_KG, LIGHTEST_KG, Study
from kinetics.units import convert

__all__ = ["DoseKeywords", "Doses", "Regimen", "doses_for", "doses_of", "entry_of", "pad_doses"]

_COURSE = ["product", "cycle"]  # CAR-NK cycle 1 and CAR-T cycle 1 are two courses
_COLUMNS = ["product", "route", "time", "amount", "unit", "duration", "cycle"]

Numbers = float | int | Sequence[float | int] | AnyArray


class DoseKeywords(TypedDict, total=False):
    """What `Regimen.iv`, `.hepatic_artery` and `.portal_vein` take: the keywords of `Regimen.dose`."""

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
    """What is given, how much, when, by which route: a frozen value, its doses in the order of time.

    Amounts are what was infused, not what was planned: where a bag held less, say so with `but_infused`.
    Build one with `Regimen.iv`, `.hepatic_artery`, `.portal_vein` or `.dose`, join with `+` (in any order),
    and repeat with `.repeat`. `+` leaves the cycles as they are: a second course written by hand says
    `cycle=2`. PlanError lists everything wrong at once.

    >>> car_t = kn.Regimen.iv(cells_per_kg=3e7, on=[0, 1]).repeat(every_days=14, times=2)
    >>> car_nk = kn.Regimen.hepatic_artery(cells=1e9, on=0, product="car_nk") + kn.Regimen.portal_vein(cells=1e9, on=1)
    >>> others = kn.Regimen.lymphodepletion(on=[0, 1]) + kn.Regimen.tocilizumab(on=9) + kn.Regimen.steroid(on=9, mg=60)
    >>> given = (car_t.later(days=7) + car_nk + others).but_infused({("car_t", 2, 1): 2e9})
    >>> given.only("car_t").doses(weight_kg=70)["amount"].tolist(), given.to_toml().count("[[dose]]")
    ([1000000000.0, 2100000000.0, 2100000000.0, 2000000000.0, 2100000000.0], 8)
    """

    given: tuple[Dose, ...] = ()

    def __post_init__(self) -> None:
        if problems := [problem for dose in self.given for problem in problems_of(dose)]:
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

        Exactly one amount: `cells`, `cells_per_kg`, `mg`, `mg_per_kg`, or `count` for what is neither. It and
        `minutes` (of infusion; 0 is a bolus, real ones take 10 to 60) are one number, or one for each day.
        `at_most_cells` and `at_most_mg` cap a dose per kg. The product is `car_t` unless said.

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
        """Doses into a vein; `product` is `car_t` unless said. Keywords as `Regimen.dose`."""
        return Regimen.dose(route="iv", **dose)

    @staticmethod
    def hepatic_artery(**dose: Unpack[DoseKeywords]) -> Regimen:
        """Doses into the hepatic artery; `product` is `car_t` unless said. Keywords as `Regimen.dose`."""
        return Regimen.dose(route="hepatic_artery", **dose)

    @staticmethod
    def portal_vein(**dose: Unpack[DoseKeywords]) -> Regimen:
        """Doses into the portal vein; `product` is `car_t` unless said. Keywords as `Regimen.dose`."""
        return Regimen.dose(route="portal_vein", **dose)

    @staticmethod
    def lymphodepletion(*, on: Numbers) -> Regimen:
        """Days of lymphodepletion (such as FC): product `lymphodepletion`, iv, amount 1 of unit `count` a
        day.

        What a day of it does is the model's entry `lymphodepletion/iv`; it never passes for cells or mg.
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
        """Tocilizumab iv, product `tocilizumab`: 8 mg/kg, at most 800 mg (Moes 2022); the hour is a guess."""
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
        """A steroid; its product is the drug, for the milligrams of two drugs are not the same."""
        return Regimen.dose(route=route, product=drug, mg=mg, mg_per_kg=mg_per_kg, on=on, minutes=minutes)

    def __add__(self, other: Regimen) -> Regimen:
        return Regimen(self.given + other.given) if isinstance(other, Regimen) else NotImplemented

    def repeat(self, *, every_days: float | int, times: int) -> Regimen:
        """`times` courses in all, `every_days` from start to start: NONMEM's ADDL = times - 1, II =
        every_days.

        Each product's cycles count on, 1, 2, ...: ADDL leaves them to the table's own cycle column.
        """
        return Regimen(tuple(repeated(self.given, every_days=every_days, times=times)))

    def later(self, *, days: float | int) -> Regimen:
        """The same regimen, that many days later."""
        return Regimen(tuple(replace(dose, time=float(dose.time + days)) for dose in self.given))

    def only(self, *products: str) -> Regimen:
        """The doses of these products; PlanError for a product that is not given."""
        known = {dose.product for dose in self.given}
        if unknown := [product for product in products if product not in known]:
            raise PlanError([Problem(f"no dose of product {p!r}", did_you_mean(p, known)) for p in unknown])
        return Regimen(tuple(dose for dose in self.given if dose.product in products))

    def but_infused(self, amounts: Mapping[tuple[str, int, int], float | int]) -> Regimen:
        """What was infused in place of what was planned, by (product, cycle, infusion in it from 1).

        Amounts are whole doses [cells or mg], never per kg: what left the bag. 0 was not given, and leaves.
        PlanError lists the infusions that there are not, and amounts that are none."""
        places = dict(zip(_places(self.given), self.given, strict=True))
        known = ", ".join(map(str, places))
        found = [Problem(f"no infusion {key!r}", f"known: {known}") for key in amounts if key not in places]
        for key, amount in amounts.items():
            if not 0 <= amount < np.inf:
                remedy = "write what was infused, 0 for nothing"
                found.append(Problem(f"infusion {key!r}: {amount} is not an amount", remedy))
        if found:
            raise PlanError(found)
        infused = [
            replace(dose, amount=float(amounts[key]), unit=dose.total_unit, at_most=np.inf)
            if key in amounts
            else dose
            for key, dose in places.items()
        ]
        return Regimen(tuple(dose for dose in infused if dose.amount > 0))

    def doses(self, weight_kg: float | int | None = None) -> DataFrame:
        """One patient's doses: product, route, time [day], amount, unit, duration [day], cycle.

        `unit` is cells or mg (count for lymphodepletion). PlanError where a dose is per kg and there is no
        weight, or none that a patient has. `weight_kg` is needed for doses per kg.
        """
        amounts = _totals(self.given, np.array([np.nan if weight_kg is None else weight_kg], float))[0]
        days = convert("min", "day")
        rows = [
            (d.product, d.route, d.time, float(a), d.total_unit, d.minutes * days, d.cycle)
            for d, a in zip(self.given, amounts, strict=True)
        ]
        numeric = {"time": float, "amount": float, "duration": float, "cycle": int}
        return DataFrame(rows, columns=_COLUMNS).astype(numeric)

    def to_toml(self) -> str:
        """The regimen as [[dose]] tables, which `read_regimen` reads back as the same regimen."""
        return toml_of(self.given)

    def __str__(self) -> str:
        rows = [("product", "cycle", "day", "route", "amount", "over")]
        for d in self.given:
            most = f", at most {shortest(d.at_most)} {d.total_unit}" if d.at_most < np.inf else ""
            over = f"{shortest(d.minutes)} min" if d.minutes else "bolus"
            amount = f"{shortest(d.amount)} {d.unit}{most}"
            rows.append((d.product, str(d.cycle), shortest(d.time), d.route, amount, over))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(w.ljust(n) for w, n in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([f"Regimen of {len(self.given)} doses", *(f"  {line}" for line in lines)])

    __repr__ = __str__


def _places(doses: Sequence[Dose]) -> Iterator[tuple[str, int, int]]:
    """(product, cycle, which infusion of that course) of every dose, in the order of time."""
    seen: dict[tuple[str, int], int] = {}
    for dose in doses:
        course = (dose.product, dose.cycle)
        seen[course] = seen.get(course, 0) + 1
        yield *course, seen[course]


def _totals(
    doses: Sequence[Dose], weights: Float[np.ndarray, " subject"]
) -> Float[np.ndarray, "subject dose"]:
    """Whole doses [cells, mg or count] at body weights [kg]; PlanError where one is per kg and a weight is
    wrong.
    """
    per_kg = sorted({dose.product for dose in doses if dose.per_kg})
    found = []
    missing = int(np.isnan(weights).sum())
    strange = [f"{kg:g}" for kg in weights if kg < LIGHTEST_KG or kg > HEAVIEST_KG]
    if missing:
        what = (
            f"{', '.join(per_kg)} is dosed per kg, and {missing} of {len(weights)} body weights are missing"
        )
        found.append(Problem(what, "give `weight_kg`, or write the whole dose"))
    if strange:
        what = (
            f"{len(strange)} of {len(weights)} body weights are implausible in kg: {', '.join(strange[:5])}"
        )
        found.append(Problem(what, f"write kg, from {LIGHTEST_KG:g} to {HEAVIEST_KG:g}"))
    if per_kg and found:
        raise PlanError(found)
    columns = [dose.total(weights) for dose in doses]
    return np.stack(columns, axis=1) if columns else np.zeros((len(weights), 0))


class Doses(NamedTuple):
    """Padded doses of all subjects (or, inside a model's `solution`, of one: without the first axis).

    `time` [day] is the start of the infusion, `amount` [cells or mg] what was infused, `duration` [day].
    `course` numbers the treatment courses (the cycles of each product) from 0; `share` is the amount over the
    total of its course, so the shares of a course sum to 1: how a course is split over its infusions.
    `entry` says which of the model's `dosing` each dose takes (its number, in order; 0 where there is none).
    """

    time: Float[AnyArray, "*subject dose"]
    amount: Float[AnyArray, "*subject dose"]
    duration: Float[AnyArray, "*subject dose"]
    share: Float[AnyArray, "*subject dose"]
    course: Int[AnyArray, "*subject dose"]
    entry: Int[AnyArray, "*subject dose"]


def doses_of(study: Study, *, products: Sequence[str] | None = None, entries: Sequence[str] = ()) -> Doses:
    """The doses of a study, subjects in `study.subject_ids` order. `products` keeps only those products.

    `entries` are the keys of a model's `dosing`. StudyError where a product is not in the study, a dose's
    route is not among the entries, or cells and milligrams would be mixed.
    """
    doses = study.doses
    if products is not None:
        unknown = sorted(set(products) - set(doses["product"]))
        if unknown:
            what = f"no dose of product {', '.join(unknown)}"
            remedy = f"products in this study: {', '.join(sorted(set(doses['product'])))}"
            raise StudyError(Problem(what, remedy, file=str(study.path)))
        doses = doses[doses["product"].isin(products)]
    leave_out = "`products = [...]` in the plan"
    if found := [*_without_entry(doses, entries, leave_out), *_mixed(doses, entries, "", leave_out)]:
        raise StudyError([replace(problem, file=str(study.path)) for problem in found])
    return pad_doses(doses, study.subject_ids, entries)


def doses_for(
    regimen: Regimen,
    weights: Float[AnyArray, " subject"],
    entries: Sequence[str] = (),
    *,
    dose_unit: str = "",
) -> Doses:
    """The doses of one regimen for many patients of body weights [kg], as arrays (subject, dose).

    `entries` are the keys of a model's `dosing`, `dose_unit` the model's ("" checks less). PlanError lists
    bad weights, doses that have no entry, and amounts that would be mixed in one: cells with mg, two drugs'
    mg.

    >>> regimen = kn.Regimen.iv(cells_per_kg=1e6, on=[0, 7])
    >>> kn.regimen.doses_for(regimen, np.array([60.0, 80.0]), ["car_t/iv"], dose_unit="cells").amount
    array([[60000000., 60000000.],
           [80000000., 80000000.]])
    """
    kg = np.asarray(weights, float)
    amount = _totals(regimen.given, kg)
    table = regimen.doses(float(kg[0]) if len(kg) else 70.0).assign(
        subject="every"
    )  # all but the amount is common
    leave_out = "`regimen.only(...)`"
    if found := [*_without_entry(table, entries, leave_out), *_mixed(table, entries, dose_unit, leave_out)]:
        raise PlanError(found)
    common = pad_doses(table, ["every"], entries)
    time, _, duration, _, course, entry = (np.repeat(field, len(kg), axis=0) for field in common)
    amount = np.pad(amount, ((0, 0), (0, time.shape[1] - amount.shape[1])))
    total = amount @ (common.course[0][:, None] == common.course[0]).astype(float)
    share = np.divide(amount, total, out=np.zeros_like(amount), where=total > 0)
    return Doses(time, amount, duration, share, course, entry)


def _without_entry(doses: DataFrame, entries: Sequence[str], leave_out: str) -> list[Problem]:
    """The products and routes that a model has no entry for."""
    given = sorted(set(zip(doses["product"], doses["route"], strict=True)))
    remedy = f"its entries: {', '.join(entries)}; leave a product out with {leave_out}"
    lost = [(product, route) for product, route in given if entry_of(product, route, entries) is None]
    return [Problem(f"the model has no entry for {product} given {route}", remedy) for product, route in lost]


def _mixed(doses: DataFrame, entries: Sequence[str], dose_unit: str, leave_out: str) -> list[Problem]:
    """Amounts that would enter in a unit that is not taken, or together though they cannot be added up."""
    found = []
    entering = {}
    remedy = f"give the model an entry '{{}}', or leave a product out with {leave_out}"
    for product, route, unit in sorted(
        set(zip(doses["product"], doses["route"], doses["unit"], strict=True))
    ):
        number = entry_of(product, route, entries)
        own = f"{product}/{route}"
        if number is None:
            continue
        entry = entries[number] if entries else "the model's solution"
        takes = (dose_unit,) if dose_unit else ("cells", "mg")
        if entry != own and unit not in takes:
            what = f"{product} in {unit} would enter by {entry}, which takes {' or '.join(takes)}"
            found.append(Problem(what, remedy.format(own)))
            continue
        kind = unit if unit == "cells" else f"{product} in {unit}"
        entering.setdefault(entry, {})[kind] = own
    for entry, kinds in entering.items():
        if len(kinds) > 1:
            what = f"{' and '.join(kinds)} would enter together by {entry}"
            own = "', '".join(route for kind, route in kinds.items() if kind != "cells")
            found.append(Problem(what, remedy.format(own)))
    return found


def entry_of(product: str, route: str, entries: Sequence[str]) -> int | None:
    """The number of the entry a dose takes: "product/route" before "route"; None where there is neither."""
    if not entries:
        return 0
    return next((list(entries).index(k) for k in (f"{product}/{route}", route) if k in entries), None)


def pad_doses(doses: DataFrame, subjects: Sequence[str], entries: Sequence[str] = ()) -> Doses:
    """Dense arrays from a dose table: subject, product, route, time [day], amount, duration [day], cycle."""
    groups = {str(k): g.sort_values("time", kind="stable") for k, g in doses.groupby("subject", sort=False)}
    width = max((len(g) for g in groups.values()), default=1)
    time, amount, duration, share = (np.zeros((len(subjects), width)) for _ in range(4))
    course, entry = (np.zeros((len(subjects), width), int) for _ in range(2))
    for i, subject in enumerate(subjects):
        g = groups.get(subject)
        if g is None:
            continue
        n = len(g)
        time[i, :n], time[i, n:] = g["time"], g["time"].iloc[-1]
        amount[i, :n], duration[i, :n] = g["amount"], g["duration"]
        course[i, :n] = g.groupby(_COURSE).ngroup()
        if entries:
            entry[i, :n] = [entry_of(p, r, entries) for p, r in zip(g["product"], g["route"], strict=True)]
        total = g.groupby(_COURSE)["amount"].transform("sum")
        share[i, :n] = g["amount"] / total
    return Doses(time, amount, duration, share, course, entry)
