"""One dose as it is written: the keywords of `Regimen.dose`, which are the keys of a [[dose]] table in TOML.

The rules are written here once and hold for both: exactly one amount, one value for all days or one for each,
names in snake_case, days from 0 up.

`doses_from` reads keywords, `problems_of` checks a `Dose`, `repeated` makes courses of doses, `total_amounts`
turns doses per kg into whole doses, and `toml_of` writes the [[dose]] tables.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any, TypeGuard

import numpy as np
from jaxtyping import Float

from kinetics.arrays import AnyArray
from kinetics.errors import PlanError, Problem, did_you_mean
from kinetics.study import HEAVIEST_KG, LIGHTEST_KG, ROUTES

__all__ = [
    "AMOUNTS",
    "KEYS",
    "Dose",
    "doses_from",
    "problems_of",
    "repeated",
    "shortest",
    "toml_of",
    "total_amounts",
]

# keyword -> unit. A count is for what is neither cells nor a mass: one day of lymphodepletion is 1.
AMOUNTS = {"cells": "cells", "cells_per_kg": "cells/kg", "mg": "mg", "mg_per_kg": "mg/kg", "count": "count"}
_CEILINGS = {"at_most_cells": "cells_per_kg", "at_most_mg": "mg_per_kg"}
_REQUIRED = {  # key -> what it takes
    "product": 'a snake_case name such as "car_t"',
    "route": 'a snake_case name such as "iv"',
    "on": "a day from 0 up, or a list of days",
}
_REPEAT = {
    "every_days": "the days from one course's start to the next one's",
    "times": "the number of courses in all: 2 is the first and one more",
}
KEYS = (*_REQUIRED, *AMOUNTS, *_CEILINGS, "minutes", "cycle", "repeat")

MOST_DOSES = 100_000  # of one regimen
MOST_REPEATS = 10_000  # courses of one regimen: one a day for 27 years
_PRODUCTS = ("car_nk", "car_t")
_WEEK = 7 * 1440.0  # minutes: as for a study's doses, no infusion is longer


@dataclass(frozen=True, order=True)
class Dose:
    """One dose: `amount` in `unit` (cells, cells/kg, mg, mg/kg, count) from `time` [day] on, over `minutes`.

    0 minutes is a bolus. `cycle` numbers the courses of a product from 1. `at_most` [cells or mg] is the
    ceiling of a dose per kg.
    """

    time: float
    product: str
    route: str
    cycle: int
    amount: float
    unit: str
    minutes: float = 0.0
    at_most: float = math.inf

    @property
    def per_kg(self) -> bool:
        """Whether a body weight is needed."""
        return self.unit.endswith("/kg")

    @property
    def total_unit(self) -> str:
        """The unit of the whole dose: cells, mg or count."""
        return self.unit.removesuffix("/kg")

    def total(self, weights: AnyArray) -> np.ndarray:
        """The whole dose [cells, mg or count] at each body weight [kg], never above the ceiling."""
        kg = np.asarray(weights, float)
        if self.per_kg:
            return np.minimum(self.amount * kg, self.at_most)
        return np.full(kg.shape, self.amount)


def problems_of(dose: Dose) -> Iterator[Problem]:
    """Everything wrong with the values of one dose."""
    key = next((key for key, unit in AMOUNTS.items() if unit == dose.unit), "amount")
    here = f"{dose.product} on day {dose.time:g}: "
    every = f"{dose.product}: "
    yield from _name_problems("product", dose.product, "car_t")
    yield from _name_problems("route", dose.route, "iv")
    if not 0 <= dose.time < math.inf:
        yield Problem(
            f"{here}on = {dose.time:g} is not a day from 0 up",
            "day 0 is the regimen's first event; `.later(days=...)` moves the rest",
        )
    if not 0 < dose.amount < math.inf:
        yield Problem(
            f"{here}{key} = {dose.amount:g} is not an amount above 0",
            "write the amount that was infused; leave out a dose that was not given",
        )
    if not 0 <= dose.minutes <= _WEEK:
        what = f"{here}minutes = {dose.minutes:g} is not a duration from 0 to a week"
        yield Problem(what, "write 0 for a bolus")
    if not _is_whole(dose.cycle, 1):
        what = f"{every}cycle = {dose.cycle!r} is not a whole number from 1 up"
        yield Problem(what, "write 1, 2, 3, ...")
    if not dose.at_most > 0:
        yield Problem(f"{every}a ceiling of {dose.at_most:g} is not above 0", "write the largest dose")
    if not dose.per_kg and dose.at_most != math.inf:
        yield Problem(f"{every}a ceiling, and {key} is not per kg", "leave the ceiling out")
    if dose.unit not in AMOUNTS.values():
        yield Problem(f"{every}unit {dose.unit!r}", f"known: {', '.join(sorted(AMOUNTS.values()))}")


def _name_problems(key: str, name: object, example: str) -> Iterator[Problem]:
    """What is wrong with the name of a product or a route.

    Any snake_case site is a route, but one that looks like a misspelt standard route is refused.
    """
    standard = ROUTES if key == "route" else _PRODUCTS
    if isinstance(name, str) and re.fullmatch(r"[a-z][a-z0-9_]*", name):
        if key == "route" and name not in standard and get_close_matches(name, standard, n=1, cutoff=0.85):
            yield Problem(f"{key} = {name!r} looks misspelt", did_you_mean(name, standard))
        return
    guess = re.sub(r"[^a-z0-9]+", "_", str(name).lower()).strip("_")
    remedy = f"write a snake_case name such as {example!r}"
    if guess in standard:
        remedy = did_you_mean(guess, standard)
    yield Problem(f"{key} = {name!r} is not a snake_case name", remedy)


def _is_whole(value: object, least: int) -> bool:
    """Whether a value is a whole number from `least` up; True and False are none."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, Real) and not isinstance(value, bool)


def doses_from(keys: Mapping[str, Any]) -> list[Dose]:
    """The doses that one set of keywords writes; PlanError lists everything wrong with them."""
    problems = [*_key_problems(keys), *_value_problems(keys)]

    # Where a value is wrong, a valid one stands in for it, so that the rest of the dose is checked too.
    days = _numbers(keys.get("on", 0.0)) or [0.0]
    amounts = {key: _column(keys[key], len(days)) for key in AMOUNTS if key in keys}
    if not amounts:
        amounts = {"cells": [1.0] * len(days)}
    minutes = _column(keys.get("minutes", 0.0), len(days))
    ceiling = _ceiling(keys)
    cycle = keys.get("cycle", 1)
    doses = [
        Dose(
            time=day,
            product=keys.get("product", "car_t"),
            route=keys.get("route", "iv"),
            cycle=int(cycle) if _is_whole(cycle, 1) else cycle,
            amount=amount,
            unit=AMOUNTS[key],
            minutes=duration,
            at_most=ceiling,
        )
        for key, column in amounts.items()
        for day, amount, duration in zip(days, column, minutes, strict=True)
    ]

    # One value for many days is one mistake: the first day stands for all.
    first_of_each: dict[str, Problem] = {}
    for dose in doses:
        for problem in problems_of(dose):
            mistake = problem.what.partition(": ")[2] or problem.what
            first_of_each.setdefault(mistake, problem)
    problems += first_of_each.values()
    if problems:
        raise PlanError(problems)
    if "repeat" in keys:
        return repeated(doses, **keys["repeat"])
    return doses


def _key_problems(keys: Mapping[str, Any]) -> Iterator[Problem]:
    """Keys that are unknown or missing, in the dose and in its `repeat`."""
    for key in keys:
        if key not in KEYS:
            yield Problem(f"unknown key {key!r}", did_you_mean(key, KEYS))
    for key, words in _REQUIRED.items():
        if key not in keys:
            yield Problem(f"missing key {key!r}", f"add `{key} = ...`, {words}")
    if "repeat" not in keys:
        return
    repeat = keys["repeat"]
    if not isinstance(repeat, Mapping):
        what = f"repeat = {repeat!r} is not a table"
        yield Problem(what, "write `repeat = { every_days = 14, times = 2 }`")
        return
    for key in repeat:
        if key not in _REPEAT:
            yield Problem(f"unknown key 'repeat.{key}'", did_you_mean(key, _REPEAT))
    for key, words in _REPEAT.items():
        if key not in repeat:
            yield Problem(f"missing key 'repeat.{key}'", f"add `{key} = ...`, {words}")
    yield from _repeat_problems(repeat.get("every_days", 1), repeat.get("times", 1))


def _repeat_problems(every_days: object, times: object) -> Iterator[Problem]:
    if not (_is_number(every_days) and 0 < every_days < math.inf):
        what = f"every_days = {every_days!r} is not a number of days above 0"
        yield Problem(what, f"write {_REPEAT['every_days']}")
    if not _is_whole(times, 1):
        what = f"times = {times!r} is not a whole number from 1 up"
        yield Problem(what, f"write {_REPEAT['times']}")
    elif isinstance(times, Integral) and int(times) > MOST_REPEATS:
        what = f"times = {times} is more than {MOST_REPEATS} courses"
        yield Problem(what, "write the courses that are given")


def _value_problems(keys: Mapping[str, Any]) -> Iterator[Problem]:
    """Values that are no numbers, lists of the wrong length, and any count of amounts but one."""
    days = keys.get("on", 0.0)
    yield from _number_problems("on", days)
    number_of_days = len(_numbers(days) or [0.0])
    amounts = [key for key in AMOUNTS if key in keys]
    if len(amounts) != 1:
        what = "no amount is given"
        if amounts:
            what = f"the amount is given {len(amounts)} times ({', '.join(amounts)})"
        yield Problem(what, f"give exactly one of {', '.join(AMOUNTS)}")
    for key in (*amounts, "minutes"):
        if key in keys:
            yield from _column_problems(key, keys[key], number_of_days)
    for key in _CEILINGS:
        if key not in keys:
            continue
        problems = list(_ceiling_problems(key, keys))
        if not problems:
            return
        yield from problems


def _numbers(value: object) -> list[float] | None:
    """A number or a list of numbers as floats; None where it is neither."""
    try:
        array = np.asarray(value)
    except ValueError:  # lists of different lengths
        return None
    if array.dtype.kind in "iuf" and array.ndim <= 1 and array.size:
        return [float(number) for number in np.atleast_1d(array)]
    return None


def _number_problems(key: str, value: object) -> Iterator[Problem]:
    if _numbers(value) is None:
        remedy = "write one number for all days, or a list with one for each day"
        if key == "on":
            remedy = "write a day or a list of days: 14 or [14, 15]"
        if key in _CEILINGS:
            remedy = "write the largest dose as one number"
        yield Problem(f"{key} = {value!r} is not a number or a list of numbers", remedy)


def _is_list(value: object) -> bool:
    return np.ndim(np.asarray(value, object)) > 0


def _column(value: object, days: int) -> list[float]:
    """A number for every day: one for all, or one for each.

    1 stands in for what is no number, and a list of the wrong length is cut, or its last number repeated.
    """
    values = _numbers(value)
    if values is None:
        return [1.0] * days
    return (values + values[-1:] * days)[:days]


def _column_problems(key: str, value: object, days: int) -> Iterator[Problem]:
    yield from _number_problems(key, value)
    values = _numbers(value)
    if values is not None and _is_list(value) and len(values) != days:
        what = f"{key} has {len(values)} values, on has {days} days"
        yield Problem(what, "write one value for all days, or one for each")


def _ceiling(keys: Mapping[str, Any]) -> float:
    """The largest whole dose [cells or mg] of a dose per kg; infinite where none is written."""
    for key in _CEILINGS:
        if key in keys and not list(_ceiling_problems(key, keys)):
            return float(keys[key])
    return math.inf


def _ceiling_problems(key: str, keys: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong with one ceiling, which `keys` hold."""
    if _CEILINGS[key] not in keys:
        yield Problem(f"{key} without {_CEILINGS[key]}", "a ceiling belongs to a dose per kg")
    elif _is_list(keys[key]):
        yield Problem(f"{key} = {keys[key]!r} is a list", "write one ceiling for all days")
    else:
        yield from _number_problems(key, keys[key])


def repeated(doses: Sequence[Dose], *, every_days: float | int, times: int) -> list[Dose]:
    """`times` courses in all, `every_days` [day] from start to start; each product's cycles count on.

    PlanError where `every_days` is not above 0 or `times` not a whole number from 1 up.
    """
    if problems := list(_repeat_problems(every_days, times)):
        raise PlanError(problems)
    if len(doses) * int(times) > MOST_DOSES:
        what = f"{len(doses)} doses repeated {times} times are more than {MOST_DOSES} doses"
        raise PlanError(Problem(what, "write the doses that one patient is given"))
    cycles: dict[str, set[int]] = {}
    for dose in doses:
        cycles.setdefault(dose.product, set()).add(dose.cycle)
    span = {product: max(numbers) - min(numbers) + 1 for product, numbers in cycles.items()}
    return [
        replace(
            dose,
            time=float(dose.time + course * every_days),
            cycle=dose.cycle + course * span[dose.product],
        )
        for course in range(int(times))
        for dose in doses
    ]


def total_amounts(
    doses: Sequence[Dose], weights: Float[np.ndarray, " subject"]
) -> Float[np.ndarray, "subject dose"]:
    """Whole doses [cells, mg or count] at body weights [kg].

    PlanError where a dose is per kg and a weight is missing or implausible.
    """
    per_kg = sorted({dose.product for dose in doses if dose.per_kg})
    if per_kg and (problems := list(_weight_problems(per_kg, weights))):
        raise PlanError(problems)
    if not doses:
        return np.zeros((len(weights), 0))
    return np.stack([dose.total(weights) for dose in doses], axis=1)


def _weight_problems(per_kg: Sequence[str], weights: Float[np.ndarray, " subject"]) -> Iterator[Problem]:
    """Body weights [kg] that are missing or implausible; the products `per_kg` need them."""
    missing = int(np.isnan(weights).sum())
    if missing:
        products = ", ".join(per_kg)
        what = f"{products} is dosed per kg, and {missing} of {len(weights)} body weights are missing"
        yield Problem(what, "give `weight_kg`, or write the whole dose")
    implausible = [f"{kg:g}" for kg in weights if kg < LIGHTEST_KG or kg > HEAVIEST_KG]
    if implausible:
        count = f"{len(implausible)} of {len(weights)}"
        what = f"{count} body weights are implausible in kg: {', '.join(implausible[:5])}"
        yield Problem(what, f"write kg, from {LIGHTEST_KG:g} to {HEAVIEST_KG:g}")


def shortest(number: float) -> str:
    """The shortest writing that reads back as the same number: 3e7, 2.5e8, 14."""
    text = f"{number:.6g}"
    if float(text) != number:
        text = repr(float(number))
    return re.sub(r"e\+?(-?)0*", r"e\1", text)


def toml_of(doses: Iterable[Dose]) -> str:
    """The [[dose]] tables that read back as these doses: one for each course, or one with a `repeat`."""
    groups: dict[tuple[object, ...], dict[int, list[Dose]]] = {}
    for dose in sorted(doses):
        courses = groups.setdefault((dose.product, dose.route, dose.unit, dose.at_most), {})
        courses.setdefault(dose.cycle, []).append(dose)
    tables = []
    for courses in groups.values():
        every_days = _interval(courses)
        if every_days:
            repeat = f"repeat = {{ every_days = {shortest(every_days)}, times = {len(courses)} }}\n"
            tables.append(_table(courses[min(courses)]) + repeat)
        else:
            tables += [_table(course) for course in courses.values()]
    return "\n".join(tables)


def _interval(courses: Mapping[int, list[Dose]]) -> float:
    """Days between courses that are exactly the first one repeated; 0 where they are not."""
    numbers = sorted(courses)
    if len(numbers) < 2:
        return 0.0
    first = courses[numbers[0]]
    second = courses[numbers[1]]
    every_days = second[0].time - first[0].time
    if every_days <= 0:
        return 0.0
    doses = sorted(dose for course in courses.values() for dose in course)
    if sorted(repeated(first, every_days=every_days, times=len(numbers))) != doses:
        return 0.0
    return every_days


def _table(course: Sequence[Dose]) -> str:
    """The [[dose]] table of doses that differ in day, amount and minutes only."""
    first = course[0]
    amount = next(key for key, unit in AMOUNTS.items() if unit == first.unit)
    lines = ["[[dose]]", f'product = "{first.product}"', f'route = "{first.route}"']
    lines.append(f"{amount} = {_values([dose.amount for dose in course])}")
    if first.at_most < math.inf:
        ceiling = next(key for key, per_kg in _CEILINGS.items() if per_kg == amount)
        lines.append(f"{ceiling} = {shortest(first.at_most)}")
    lines.append(f"on = [{', '.join(shortest(dose.time) for dose in course)}]")
    if any(dose.minutes for dose in course):
        lines.append(f"minutes = {_values([dose.minutes for dose in course])}")
    if first.cycle != 1:
        lines.append(f"cycle = {first.cycle}")
    return "\n".join([*lines, ""])


def _values(numbers: Sequence[float]) -> str:
    """One value where all are the same, else a list of them."""
    if len(set(numbers)) == 1:
        return shortest(numbers[0])
    return f"[{', '.join(map(shortest, numbers))}]"
