"""Who got how much, when, by which route: a study's doses as dense padded arrays.

Every subject has the same number of dose slots; an unused slot has amount 0 and repeats the last time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from pandas import DataFrame

from kinetics.arrays import AnyArray
from kinetics.errors import Problem, StudyError
from kinetics.study import Study

__all__ = ["Doses", "doses_of", "entry_of", "pad_doses"]

_COURSE = ["product", "cycle"]  # CAR-NK cycle 1 and CAR-T cycle 1 are two courses


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

    `entries` are the keys of a model's `dosing`. StudyError where a product is not in the study, a dose's route
    is not among the entries, or cells and milligrams would be mixed.
    """
    doses = study.doses
    if products is not None:
        unknown = sorted(set(products) - set(doses["product"]))
        if unknown:
            raise StudyError(
                Problem(
                    f"no dose of product {', '.join(unknown)}",
                    f"products in this study: {', '.join(sorted(set(doses['product'])))}",
                    file=str(study.path),
                )
            )
        doses = doses[doses["product"].isin(products)]
    units = sorted(set(doses["unit"]))
    if len(units) > 1:
        raise StudyError(
            Problem(
                f"doses in {' and '.join(units)} cannot enter one model together",
                "choose with `products = [...]` in the plan",
                file=str(study.path),
            )
        )
    lost = doses[[entry_of(d.product, d.route, entries) is None for d in doses.itertuples()]]
    if len(lost):
        raise StudyError(
            [
                Problem(
                    f"the model has no entry for {product} given {route}",
                    f"its entries: {', '.join(entries)}; leave a product out with `products = [...]` in the plan",
                    file=str(study.path),
                )
                for product, route in sorted(set(zip(lost["product"], lost["route"], strict=True)))
            ]
        )
    return pad_doses(doses, study.subject_ids, entries)


def entry_of(product: str, route: str, entries: Sequence[str]) -> int | None:
    """The number of the entry a dose takes: "product/route" before "route"; None where there is neither."""
    if not entries:
        return 0
    return next((list(entries).index(k) for k in (f"{product}/{route}", route) if k in entries), None)


def pad_doses(doses: DataFrame, subjects: Sequence[str], entries: Sequence[str] = ()) -> Doses:
    """Dense arrays from a dose table: subject, product, route, time [day], amount, duration [day], cycle."""
    groups = {str(k): g.sort_values("time") for k, g in doses.groupby("subject", sort=False)}
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
            entry[i, :n] = [entry_of(d.product, d.route, entries) for d in g.itertuples()]
        total = g.groupby(_COURSE)["amount"].transform("sum")
        share[i, :n] = g["amount"] / total
    return Doses(time, amount, duration, share, course, entry)
