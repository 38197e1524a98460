"""The dose that each subject received, compared with the level that it was assigned to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isnan, nan

from pandas import DataFrame
from pandas.api.types import is_numeric_dtype

from kinetics.errors import Problem
from kinetics.outcomes.trial_days import in_window
from kinetics.protocol import Protocol, is_regimen, planned_infusions
from kinetics.study import SURFACE, Study

__all__ = [
    "OtherDose",
    "first_cycle_of",
    "infusion_days",
    "other_dose_problems",
    "other_doses",
    "unlike_assigned",
]

SIZES = {"cells/kg": "weight_kg", "cells/m2": SURFACE}  # unit of the levels -> column of subjects.csv
USUAL_TOLERANCE = 0.2  # a share; registries allow it, as of a CD5 CAR-T (trialx.com 300228)
ROUNDING = 0.01  # a share within which a dose is its level where the protocol gives no tolerance: a guess
SLACK = 1e-6  # a share that is lost in dividing by the weight


@dataclass(frozen=True)
class OtherDose:
    """A dose that is not the assigned level's: what was received, in the unit of the levels.

    `level` is the level within whose tolerance it lies, None where there is none.
    """

    received: float
    assigned: float
    unit: str
    what: str
    level: int | None

    def __str__(self) -> str:
        percent = 100 * (self.received / self.assigned - 1)
        amounts = f"{_amount(self.received)} {self.unit} {self.what}, assigned {_amount(self.assigned)}"
        return f"received {amounts} ({percent:+.0f} %)"


def other_doses(study: Study, protocol: Protocol, levels: Mapping[str, int]) -> dict[str, OtherDose]:
    """Subject -> the dose that is outside of the protocol's tolerance; subjects within it are not there.

    `levels`: subject -> assigned level, from 1. Without a tolerance every dose that is not the level's, but
    for rounding, is another.
    """
    return {
        subject: other
        for subject, level in levels.items()
        if level > 0 and (other := _other_dose(study, protocol, subject, level)) is not None
    }


def other_dose_problems(
    study: Study, protocol: Protocol, others: Mapping[str, OtherDose]
) -> Iterator[Problem]:
    """Doses that cannot be compared, and other doses where the protocol does not say how they count."""
    doses = study.doses[study.doses["product"] == protocol.level_product]
    for row in doses.to_dict("records"):
        number = int(row["row"]) if "row" in row else None
        where = {"file": "doses.csv", "row": number, "subject": str(row["subject"])}
        if row["unit"] != "cells":
            what = f"{protocol.level_product} in {row['unit']}: its levels are in {protocol.level_unit}"
            yield Problem(what, "write the cells infused", **where)
    column = SIZES.get(protocol.level_unit)
    if column is not None:
        for subject in sorted(set(doses["subject"])):
            if subject in study.subjects.index and isnan(_size(study, protocol, str(subject))):
                what = f"no {column}: the dose in {protocol.level_unit} cannot be compared with its level"
                yield Problem(what, "fill it", "subjects.csv", subject=str(subject), column=column)
    open_fields = [
        field
        for field, point in (
            ("evaluable.dose_tolerance", protocol.evaluable.dose_tolerance),
            ("evaluable.other_dose", protocol.evaluable.other_dose),
        )
        if point.value is None
    ]
    if not open_fields:
        return
    for subject, other in others.items():
        names = " and ".join(f"`{field}`" for field in open_fields)
        what = f"{other}, and the protocol leaves open {names}"
        remedy = "settle it: a tolerance, and as_assigned, as_treated or not_evaluable outside of it"
        yield Problem(what, remedy, "doses.csv", None, subject)


def unlike_assigned(study: Study, level_column: str = "dose_level") -> list[str]:
    """What a study alone says of doses unlike the assigned level, a sentence for each subject.

    Without a protocol it is not known which product the levels are of, nor whether they count an
    administration, a cycle or all. So the product is the only one, or the one whose doses most subjects'
    levels agree with, within `USUAL_TOLERANCE`; and a subject is named where none of the three does.
    """
    column = study.dictionary.columns.subjects.get(level_column)
    unit = None if column is None else column.unit
    if unit not in ("cells", "cells/kg") or not is_numeric_dtype(study.subjects[level_column]):
        return []
    likeness: dict[str, dict[str, float]] = {}  # product -> subject -> the dose nearest to the level
    cells = study.doses[study.doses["unit"] == "cells"]
    for (subject, product), rows in cells.groupby(["subject", "product"]):
        assigned = float(study.subjects[level_column][str(subject)])
        weight = float(study.subjects["weight_kg"][str(subject)])
        scale = 1 / weight if unit == "cells/kg" else 1.0
        if isnan(assigned * scale) or assigned <= 0:
            continue
        cycles = [sum(_by_day(cycle, scale).values()) for _, cycle in rows.groupby("cycle")]
        doses = [*_by_day(rows, scale).values(), *cycles, sum(cycles)]
        nearest = min(doses, key=lambda dose: abs(dose / assigned - 1))
        likeness.setdefault(str(product), {})[str(subject)] = nearest / assigned
    alike = {
        product: sum(abs(ratio - 1) <= USUAL_TOLERANCE + SLACK for ratio in ratios.values())
        for product, ratios in likeness.items()
    }
    if not alike:
        return []
    product = max(alike, key=lambda product: (alike[product], product))
    if len(alike) > 1 and 2 * alike[product] < len(likeness[product]):
        counts = ", ".join(f"{name} {alike[name]} of {len(likeness[name])}" for name in sorted(alike))
        return [f"{level_column} agrees with the doses of no product in most subjects ({counts})"]
    return [
        f"{subject}: {level_column} is {_amount(float(study.subjects[level_column][subject]))} {unit}, and "
        f"the nearest of its doses of {product} is {100 * (ratio - 1):+.0f} % off"
        for subject, ratio in likeness[product].items()
        if abs(ratio - 1) > USUAL_TOLERANCE + SLACK
    ]


def _other_dose(study: Study, protocol: Protocol, subject: str, level: int) -> OtherDose | None:
    """The dose of a subject that is outside of the tolerance around its level; None where none is."""
    doses = study.doses
    infusions = doses[(doses["subject"] == subject) & (doses["product"] == protocol.level_product)]
    size = _size(study, protocol, subject)
    comparable = infusions["unit"].eq("cells").all() and not isnan(size)
    if infusions.empty or not comparable:
        return None
    if is_regimen(protocol, level):
        return _other_regimen(protocol, level, infusions, 1 / size)
    scale = 1 / size
    assigned = float(protocol.levels[level - 1])
    tolerance = protocol.evaluable.dose_tolerance.value
    share = ROUNDING if tolerance is None else tolerance
    worst: OtherDose | None = None
    for what, received, complete in _counted_doses(protocol, infusions, scale):
        low = complete and received < assigned * (1 - share - SLACK)
        high = received > assigned * (1 + share + SLACK)
        further = worst is None or abs(received / assigned - 1) > abs(worst.received / assigned - 1)
        if (low or high) and further:
            near = _nearest_level(protocol, received, share)
            worst = OtherDose(received, assigned, protocol.level_unit, what, near)
    return worst


def _size(study: Study, protocol: Protocol, subject: str) -> float:
    """What cells are divided by to give the unit of the levels: weight [kg], surface [m2], or 1.

    NaN where it is not known.
    """
    column = SIZES.get(protocol.level_unit)
    if column is None:
        return 1.0
    return float(study.subjects[column][subject]) if column in study.subjects.columns else nan


def _other_regimen(protocol: Protocol, level: int, infusions: DataFrame, scale: float) -> OtherDose | None:
    """The infusion of a regimen that is furthest outside of the tolerance, one by one in their order.

    An infusion more than the regimen has is one that was to have none. None where all lie within.
    """
    planned = [
        infusion.amount
        for infusion in planned_infusions(protocol, level)
        if infusion.product == protocol.level_product and infusion.unit == protocol.level_unit
    ]
    tolerance = protocol.evaluable.dose_tolerance.value
    share = (ROUNDING if tolerance is None else tolerance) + SLACK
    worst: OtherDose | None = None
    for place, (day, received) in enumerate(_by_day(infusions, scale).items()):
        assigned = planned[min(place, len(planned) - 1)]
        what = f"on day {day:g}"
        if place >= len(planned):
            what = (
                f"on day {day:g}, one more infusion than the {len(planned)} of {protocol.level_name(level)}"
            )
        difference = abs(received / assigned - 1)
        outside = difference > share or place >= len(planned)
        if outside and (worst is None or difference >= abs(worst.received / worst.assigned - 1)):
            worst = OtherDose(received, assigned, protocol.level_unit, what, None)
    return worst


def _counted_doses(
    protocol: Protocol, infusions: DataFrame, scale: float
) -> Iterator[tuple[str, float, bool]]:
    """What a level counts (an administration, a cycle, or all): in words, the dose, and whether it is whole.

    A dose that is not whole may only be too high. Of administrations and cycles too low a dose is looked for
    in the infusions that make a patient evaluable, since later ones are lowered after toxicity.
    """
    dosing = protocol.dosing[protocol.level_product]
    first = first_cycle_of(protocol, infusions)
    every = protocol.evaluable.requires.value == "every_cycle"
    amounts = _by_day(infusions, scale)
    per_cycle = len(dosing.days)
    match dosing.per.value:
        case "total":
            whole = len(amounts) >= per_cycle * dosing.cycles
            yield "in all", sum(amounts.values()), whole
        case "cycle":
            for is_first, rows in ((True, first), (False, infusions[~infusions.index.isin(first.index)])):
                of_cycle = _by_day(rows, scale)
                if of_cycle:
                    whole = len(of_cycle) >= per_cycle and (is_first or every)
                    yield "in a cycle", sum(of_cycle.values()), whole
        case _:
            first_days = _by_day(first, scale)
            for day, amount in amounts.items():
                yield f"on day {day:g}", amount, every or day in first_days


def _by_day(infusions: DataFrame, scale: float) -> dict[float, float]:
    """Day -> the dose of that day: two bags of one day are one administration."""
    days: dict[float, float] = {}
    for row in infusions.sort_values("time").to_dict("records"):
        time = float(row["time"])
        day = next((day for day in days if in_window(time, day)), time)
        days[day] = days.get(day, 0.0) + float(row["amount"]) * scale
    return days


def infusion_days(infusions: DataFrame) -> list[float]:
    """The days of infusions, each once, in order."""
    return list(_by_day(infusions, 1.0))


def first_cycle_of(protocol: Protocol, infusions: DataFrame) -> DataFrame:
    """The infusions of the first cycle: by cycle number, or by their days where all have one number."""
    if infusions.empty:
        return infusions
    if infusions["cycle"].nunique() > 1:
        return infusions[infusions["cycle"] == infusions["cycle"].min()]
    dosing = protocol.dosing.get(protocol.level_product)
    if dosing is None or dosing.cycles == 1:
        return infusions
    between = (max(dosing.days) + (dosing.days_between_cycles or 0.0)) / 2
    return infusions[infusions["time"] <= infusions["time"].min() + between]


def _nearest_level(protocol: Protocol, received: float, share: float) -> int | None:
    """The level that a dose is nearest to, within the tolerance around it."""
    distances = {
        level: abs(received / float(dose) - 1) for level, dose in enumerate(protocol.levels, start=1)
    }
    distances = {level: far for level, far in distances.items() if not is_regimen(protocol, level)}
    level = min(distances, key=lambda level: (distances[level], level))
    return level if distances[level] <= share + SLACK else None


def _amount(value: float) -> str:
    return f"{value:.3g}".replace("e+0", "e")
