"""Doses as dense padded arrays, which a solver takes for all subjects at once.

A study brings its own doses (`doses_of`); a `Regimen` gives the same doses to many patients (`doses_for`).
Both become `Doses`: every subject has the same number of dose slots, and an unused slot has amount 0 and
repeats the last time. `entry_of` says which entry of a model's `dosing` a dose takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from pandas import DataFrame

from kinetics.arguments import require
from kinetics.arrays import AnyArray
from kinetics.errors import PlanError, Problem, StudyError
from kinetics.regimen.dose import total_amounts
from kinetics.regimen.regimen import Regimen
from kinetics.study import Study

__all__ = ["Doses", "doses_for", "doses_of", "entry_of", "pad_doses"]

_COURSE = ["product", "cycle"]  # CAR-NK cycle 1 and CAR-T cycle 1 are two courses


class Doses(NamedTuple):
    """Padded doses of all subjects (or, inside a model's `solution`, of one: without the first axis).

    `time` [day] is the start of the infusion, `amount` [cells or mg] what was infused, `duration` [day].
    `course` numbers the treatment courses (the cycles of each product) from 0; `share` is the amount over the
    total of its course, so the shares of a course sum to 1: how a course is split over its infusions.
    `entry` is the number, from 0, of the entry of the model's `dosing` that each dose takes; 0 where the
    model has no entries.
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
        in_study = set(doses["product"])
        missing = sorted(set(products) - in_study)
        if missing:
            what = f"no dose of product {', '.join(missing)}"
            remedy = f"products in this study: {', '.join(sorted(in_study))}"
            raise StudyError(Problem(what, remedy, file=str(study.path)))
        doses = doses[doses["product"].isin(products)]
    leave_out = "`products = [...]` in the plan"
    problems = [*_without_entry(doses, entries, leave_out), *_mixed(doses, entries, "", leave_out)]
    if problems:
        raise StudyError([replace(problem, file=str(study.path)) for problem in problems])
    return pad_doses(doses, study.subject_ids, entries)


def doses_for(
    regimen: Regimen,
    weights: Float[AnyArray, " subject"],
    entries: Sequence[str] = (),
    *,
    dose_unit: str = "",
) -> Doses:
    """The doses of one regimen for many patients of body weights [kg], as arrays (subject, dose).

    `entries` are the keys of a model's `dosing`. `dose_unit` is the model's; "" accepts cells and mg.
    PlanError lists bad weights, doses that have no entry, and amounts that one entry would mix: cells with
    mg, or the mg of two drugs.

    >>> regimen = kn.Regimen.iv(cells_per_kg=1e6, on=[0, 7])
    >>> kn.regimen.doses_for(regimen, np.array([60.0, 80.0]), ["car_t/iv"], dose_unit="cells").amount
    array([[60000000., 60000000.],
           [80000000., 80000000.]])
    """
    require(regimen=(regimen, Regimen))
    kg = np.asarray(weights, float)
    amount = total_amounts(regimen.given, kg)

    # All but the amount is the same for every patient.
    table = regimen.doses(float(kg[0]) if len(kg) else 70.0).assign(subject="every")
    leave_out = "`regimen.only(...)`"
    problems = [*_without_entry(table, entries, leave_out), *_mixed(table, entries, dose_unit, leave_out)]
    if problems:
        raise PlanError(problems)
    common = pad_doses(table, ["every"], entries)

    slots = common.time.shape[1]
    amount = np.pad(amount, ((0, 0), (0, slots - amount.shape[1])))
    same_course = common.course[0][:, None] == common.course[0]
    course_total = amount @ same_course.astype(float)
    return Doses(
        time=np.repeat(common.time, len(kg), axis=0),
        amount=amount,
        duration=np.repeat(common.duration, len(kg), axis=0),
        share=np.divide(amount, course_total, out=np.zeros_like(amount), where=course_total > 0),
        course=np.repeat(common.course, len(kg), axis=0),
        entry=np.repeat(common.entry, len(kg), axis=0),
    )


def _without_entry(doses: DataFrame, entries: Sequence[str], leave_out: str) -> Iterator[Problem]:
    """The products and routes that a model has no entry for."""
    remedy = f"its entries: {', '.join(entries)}; leave a product out with {leave_out}"
    for product, route in sorted(set(zip(doses["product"], doses["route"], strict=True))):
        if entry_of(product, route, entries) is None:
            yield Problem(f"the model has no entry for {product} given {route}", remedy)


def _mixed(doses: DataFrame, entries: Sequence[str], dose_unit: str, leave_out: str) -> Iterator[Problem]:
    """Amounts in a unit that their entry does not take, or that enter together and cannot be added up."""
    remedy = f"give the model an entry '{{}}', or leave a product out with {leave_out}"
    units_taken = (dose_unit,) if dose_unit else ("cells", "mg")
    kinds_of_entry: dict[str, dict[str, str]] = {}  # entry -> what is counted -> the product's exact entry
    for product, route, unit in sorted(
        set(zip(doses["product"], doses["route"], doses["unit"], strict=True))
    ):
        number = entry_of(product, route, entries)
        if number is None:
            continue
        entry = entries[number] if entries else "the model's solution"
        exact = f"{product}/{route}"
        if entry != exact and unit not in units_taken:
            what = f"{product} in {unit} would enter by {entry}, which takes {' or '.join(units_taken)}"
            yield Problem(what, remedy.format(exact))
            continue
        kind = unit if unit == "cells" else f"{product} in {unit}"
        kinds_of_entry.setdefault(entry, {})[kind] = exact
    for entry, kinds in kinds_of_entry.items():
        if len(kinds) > 1:
            what = f"{' and '.join(kinds)} would enter together by {entry}"
            missing_entries = "', '".join(exact for kind, exact in kinds.items() if kind != "cells")
            yield Problem(what, remedy.format(missing_entries))


def entry_of(product: str, route: str, entries: Sequence[str]) -> int | None:
    """The number of the entry a dose takes: "product/route" before "route"; None where there is neither.

    0 where there are no entries at all.
    """
    if not entries:
        return 0
    for key in (f"{product}/{route}", route):
        if key in entries:
            return list(entries).index(key)
    return None


def pad_doses(doses: DataFrame, subjects: Sequence[str], entries: Sequence[str] = ()) -> Doses:
    """Dense arrays from a dose table: subject, product, route, time [day], amount, duration [day], cycle."""
    doses_by_subject = {
        str(subject): rows.sort_values("time", kind="stable")
        for subject, rows in doses.groupby("subject", sort=False)
    }
    width = max((len(rows) for rows in doses_by_subject.values()), default=1)
    shape = (len(subjects), width)
    time = np.zeros(shape)
    amount = np.zeros(shape)
    duration = np.zeros(shape)
    share = np.zeros(shape)
    course = np.zeros(shape, int)
    entry = np.zeros(shape, int)
    for i, subject in enumerate(subjects):
        rows = doses_by_subject.get(subject)
        if rows is None:
            continue
        n = len(rows)
        time[i, :n] = rows["time"]
        time[i, n:] = rows["time"].iloc[-1]
        amount[i, :n] = rows["amount"]
        duration[i, :n] = rows["duration"]
        courses = rows.groupby(_COURSE)
        course[i, :n] = courses.ngroup()
        share[i, :n] = rows["amount"] / courses["amount"].transform("sum")
        if entries:
            routes = zip(rows["product"], rows["route"], strict=True)
            entry[i, :n] = [entry_of(product, route, entries) for product, route in routes]
    return Doses(time=time, amount=amount, duration=duration, share=share, course=course, entry=entry)
