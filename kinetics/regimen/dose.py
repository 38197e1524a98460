"""One dose as it is written: the keywords of `Regimen.dose`, which are the keys of a [[dose]] table in TOML.

The rules are written here once and hold for both: exactly one amount, one value for all days or one for each,
names in snake_case, days from 0 up.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any, TypeGuard

import numpy as np

from kinetics.arrays import AnyArray
from kinetics.errors import PlanError, Problem, did_you_mean
from kinetics.study import ROUTES

__all__ = ["AMOUNTS", "KEYS", "Dose", "doses_from", "problems_of", "repeated", "shortest", "toml_of"]

# keyword -> unit. A count is for what is neither cells nor a mass: one day of lymphodepletion is 1.
AMOUNTS = {"cells": "cells", "cells_per_kg": "cells/kg", "mg": "mg", "mg_per_kg": "mg/kg", "count": "count"}
_CEILINGS = {"at_most_cells": "cells_per_kg", "at_most_mg": "mg_per_kg"}
_REQUIRED = ("product", "route", "on")
_REPEAT = ("every_days", "times")
KEYS = (*_REQUIRED, *AMOUNTS, *_CEILINGS, "minutes", "cycle", "repeat")

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
        """The whole dose [cells, mg or count] at each body weight [kg], its ceiling kept."""
        kg = np.asarray(weights, float)
        return np.minimum(self.amount * kg, self.at_most) if self.per_kg else np.full(kg.shape, self.amount)


def problems_of(dose: Dose) -> list[Problem]:
    """Everything wrong with the values of one dose."""
    key = next((key for key, unit in AMOUNTS.items() if unit == dose.unit), "amount")
    here = f"{dose.product} on day {dose.time:g}: "
    every = f"{dose.product}: "
    rules = [
        (
            0 <= dose.time < math.inf,
            f"{here}on = {dose.time:g} is not a day from 0 up",
            "day 0 is the regimen's first event; `.later(days=...)` moves the rest",
        ),
        (
            0 < dose.amount < math.inf,
            f"{here}{key} = {dose.amount:g} is not an amount above 0",
            "write the amount that was infused; leave out a dose that was not given",
        ),
        (
            0 <= dose.minutes <= _WEEK,
            f"{here}minutes = {dose.minutes:g} is not a duration from 0 to a week",
            "write 0 for a bolus",
        ),
        (
            _whole(dose.cycle, 1),
            f"{every}cycle = {dose.cycle!r} is not a whole number from 1 up",
            "write 1, 2, 3, ...",
        ),
        (dose.at_most > 0, f"{every}a ceiling of {dose.at_most:g} is not above 0", "write the largest dose"),
        (
            dose.per_kg or dose.at_most == math.inf,
            f"{every}a ceiling, and {key} is not per kg",
            "leave the ceiling out",
        ),
        (
            dose.unit in AMOUNTS.values(),
            f"{every}unit {dose.unit!r}",
            did_you_mean(dose.unit, AMOUNTS.values()),
        ),
    ]
    found = [Problem(what, remedy) for right, what, remedy in rules if not right]
    return [*_name("product", dose.product, "car_t"), *_name("route", dose.route, "iv"), *found]


def _whole(value: object, least: int) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, Real) and not isinstance(value, bool)


def _name(key: str, word: object, example: str) -> list[Problem]:
    """What is wrong with a name: any snake_case site is a route, but a slip of a known one is refused."""
    known = ROUTES if key == "route" else _PRODUCTS
    if isinstance(word, str) and re.fullmatch(r"[a-z][a-z0-9_]*", word):
        slip = key == "route" and word not in known and get_close_matches(word, known, n=1, cutoff=0.85)
        return [Problem(f"{key} = {word!r} looks misspelt", did_you_mean(word, known))] if slip else []
    guess = re.sub(r"[^a-z0-9]+", "_", str(word).lower()).strip("_")
    remedy = did_you_mean(guess, known) if guess in known else f"write a snake_case name such as {example!r}"
    return [Problem(f"{key} = {word!r} is not a snake_case name", remedy)]


def doses_from(keys: Mapping[str, Any]) -> list[Dose]:
    """The doses that one set of keywords writes; PlanError lists everything wrong with them."""
    found = _key_problems(keys)
    days = _numbers("on", keys.get("on", 0.0), found) or [0.0]
    given = [key for key in AMOUNTS if key in keys]
    if len(given) != 1:
        what = (
            f"the amount is given {len(given)} times ({', '.join(given)})" if given else "no amount is given"
        )
        found.append(Problem(what, f"give exactly one of {', '.join(AMOUNTS)}"))
    amounts = {key: _column(key, keys[key], len(days), found) for key in given} or {
        "cells": [1.0] * len(days)
    }
    minutes = _column("minutes", keys.get("minutes", 0.0), len(days), found)
    ceiling = _ceiling(keys, found)
    cycle = keys.get("cycle", 1)
    doses = [
        Dose(
            time=day,
            product=keys.get("product", "car_t"),
            route=keys.get("route", "iv"),
            cycle=int(cycle) if _whole(cycle, 1) else cycle,
            amount=amount,
            unit=AMOUNTS[key],
            minutes=long,
            at_most=ceiling,
        )
        for key, column in amounts.items()
        for day, amount, long in zip(days, column, minutes, strict=True)
    ]
    said: dict[str, Problem] = {}  # one value for many days is one mistake: the first day stands for all
    for problem in (problem for dose in doses for problem in problems_of(dose)):
        said.setdefault(problem.what.partition(": ")[2] or problem.what, problem)
    if found or said:
        raise PlanError([*found, *said.values()])
    return repeated(doses, **keys["repeat"]) if "repeat" in keys else doses


def _ceiling(keys: Mapping[str, Any], found: list[Problem]) -> float:
    """The largest whole dose [cells or mg] of a dose per kg; infinite where none is written."""
    for key in (key for key in _CEILINGS if key in keys):
        if _CEILINGS[key] not in keys:
            found.append(Problem(f"{key} without {_CEILINGS[key]}", "a ceiling belongs to a dose per kg"))
        elif np.ndim(np.asarray(keys[key], object)):
            found.append(Problem(f"{key} = {keys[key]!r} is a list", "write one ceiling for all days"))
        elif number := _numbers(key, keys[key], found):
            return number[0]
    return math.inf


def _key_problems(keys: Mapping[str, Any]) -> list[Problem]:
    """Keys that are unknown or missing, in the dose and in its `repeat`."""
    found = [Problem(f"unknown key {key!r}", did_you_mean(key, KEYS)) for key in keys if key not in KEYS]
    found += [Problem(f"missing key {key!r}", f"add `{key} = ...`") for key in _REQUIRED if key not in keys]
    if "repeat" not in keys:
        return found
    repeat = keys["repeat"]
    if not isinstance(repeat, Mapping):
        what = f"repeat = {repeat!r} is not a table"
        return [*found, Problem(what, "write `repeat = { every_days = 14, times = 2 }`")]
    for key in repeat:
        if key not in _REPEAT:
            found.append(Problem(f"unknown key 'repeat.{key}'", did_you_mean(key, _REPEAT)))
    for key in _REPEAT:
        if key not in repeat:
            found.append(Problem(f"missing key 'repeat.{key}'", f"add `{key} = ...`"))
    return found + _repeat_problems(repeat.get("every_days", 1), repeat.get("times", 1))


def _repeat_problems(every_days: object, times: object) -> list[Problem]:
    found = []
    apart = _is_number(every_days) and 0 < every_days < math.inf
    if not apart:
        what = f"every_days = {every_days!r} is not a number of days above 0"
        found.append(Problem(what, "write the days from one course's start to the next one's"))
    if not _whole(times, 1):
        what = f"times = {times!r} is not a whole number from 1 up"
        found.append(Problem(what, "write the number of courses in all: 2 is the first and one more"))
    return found


def _numbers(key: str, value: object, found: list[Problem]) -> list[float] | None:
    """A number or a list of them as floats; None and a Problem where it is neither."""
    try:
        array = np.asarray(value)
    except ValueError:  # lists of different lengths
        array = np.asarray("")
    if array.dtype.kind in "iuf" and array.ndim <= 1 and array.size:
        return [float(number) for number in np.atleast_1d(array)]
    found.append(Problem(f"{key} = {value!r} is not a number or a list of numbers", "write 14 or [14, 15]"))
    return None


def _column(key: str, value: object, days: int, found: list[Problem]) -> list[float]:
    """A number for every day: one for all, or one for each."""
    values = _numbers(key, value, found)
    if values is None or np.ndim(np.asarray(value, object)) == 0:
        return (values or [1.0]) * days
    if len(values) != days:
        what = f"{key} has {len(values)} values, on has {days} days"
        found.append(Problem(what, "write one value for all days, or one for each"))
    return (values + values[-1:] * days)[:days]


def repeated(doses: Sequence[Dose], *, every_days: float, times: int) -> list[Dose]:
    """`times` courses in all, `every_days` [day] from start to start; each product's cycles count on.

    PlanError where `every_days` is not above 0 or `times` not a whole number from 1 up.
    """
    if problems := _repeat_problems(every_days, times):
        raise PlanError(problems)
    cycles: dict[str, set[int]] = {}
    for dose in doses:
        cycles.setdefault(dose.product, set()).add(dose.cycle)
    span = {product: max(numbers) - min(numbers) + 1 for product, numbers in cycles.items()}
    return [
        replace(d, time=float(d.time + k * every_days), cycle=d.cycle + k * span[d.product])
        for k in range(int(times))
        for d in doses
    ]


def shortest(number: float) -> str:
    """The shortest writing that reads back as the same number: 3e7, 2.5e8, 14."""
    text = f"{number:.6g}"
    return re.sub(r"e\+?(-?)0*", r"e\1", text if float(text) == number else repr(float(number)))


def toml_of(doses: Iterable[Dose]) -> str:
    """The [[dose]] tables that read back as these doses: one for each course, or one with a `repeat`."""
    groups: dict[tuple[object, ...], dict[int, list[Dose]]] = {}
    for dose in sorted(doses):
        group = groups.setdefault((dose.product, dose.route, dose.unit, dose.at_most), {})
        group.setdefault(dose.cycle, []).append(dose)
    tables = []
    for courses in groups.values():
        every = _interval(courses)
        if every:
            repeat = f"repeat = {{ every_days = {shortest(every)}, times = {len(courses)} }}\n"
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
    every = second[0].time - first[0].time
    written = sorted(dose for course in courses.values() for dose in course)
    same = every > 0 and sorted(repeated(first, every_days=every, times=len(numbers))) == written
    return every if same else 0.0


def _table(course: Sequence[Dose]) -> str:
    """The [[dose]] table of doses that differ in day, amount and minutes only."""
    first = course[0]
    amount = next(key for key, unit in AMOUNTS.items() if unit == first.unit)
    lines = ["[[dose]]", f'product = "{first.product}"', f'route = "{first.route}"']
    lines += [f"{amount} = {_values([d.amount for d in course])}"]
    if first.at_most < math.inf:
        ceiling = next(key for key, per_kg in _CEILINGS.items() if per_kg == amount)
        lines += [f"{ceiling} = {shortest(first.at_most)}"]
    lines += [f"on = [{', '.join(shortest(d.time) for d in course)}]"]
    if any(d.minutes for d in course):
        lines += [f"minutes = {_values([d.minutes for d in course])}"]
    if first.cycle != 1:
        lines += [f"cycle = {first.cycle}"]
    return "\n".join([*lines, ""])


def _values(numbers: Sequence[float]) -> str:
    """One value where all are the same, else a list of them."""
    same = len(set(numbers)) == 1
    return shortest(numbers[0]) if same else f"[{', '.join(map(shortest, numbers))}]"
