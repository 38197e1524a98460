"""The infusions that a protocol plans at a level, whether its levels are numbers or regimens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kinetics.protocol.level_regimens import Level, LevelUnit
from kinetics.protocol.tables import Dosing, Protocol

__all__ = ["PlannedInfusion", "is_regimen", "last_day", "needed_infusions", "planned_infusions"]


@dataclass(frozen=True)
class PlannedInfusion:
    """One infusion of a level.

    `amount` is in `unit`. `day` is counted from the first infusion of the product where a level is a number,
    and from the first infusion of the regimen where it is a regimen (`of_regimen`).
    """

    product: str
    route: str
    cycle: int
    day: float
    amount: float
    unit: LevelUnit
    of_regimen: bool = False


def planned_infusions(protocol: Protocol, level: int) -> list[PlannedInfusion]:
    """Every infusion of every product at `level` (from 1), product by product, in the order of their days.

    Cells of another product of [dosing] that the protocol does not say are 0.
    """
    infusions: list[PlannedInfusion] = []
    regimen = is_regimen(protocol, level)
    for product, dosing in protocol.dosing.items():
        if not (regimen and product == protocol.level_product):
            infusions += _of_dosing(protocol, product, dosing, level)
    if regimen:
        infusions += _of_regimen(protocol, protocol.level[level - 1])
    return infusions


def is_regimen(protocol: Protocol, level: int) -> bool:
    """Whether `level` (from 1) is a regimen of several infusions, and not one number."""
    return bool(protocol.level) and bool(protocol.level[level - 1].infusions)


def last_day(infusions: Sequence[PlannedInfusion], product: str) -> float:
    """The days from the first to the last infusion of a product; 0 where there is none."""
    days = [infusion.day for infusion in infusions if infusion.product == product]
    return max(days) - min(days) if days else 0.0


def needed_infusions(protocol: Protocol, level: int) -> int:
    """Infusions of the level's product that make a patient of `level` (from 1) evaluable."""
    cycles = [
        infusion.cycle
        for infusion in planned_infusions(protocol, level)
        if infusion.product == protocol.level_product
    ]
    match protocol.evaluable.requires.value:
        case "first_cycle":
            return cycles.count(min(cycles))
        case "every_cycle":
            return len(cycles)
        case _:
            return 1


def _of_dosing(protocol: Protocol, product: str, dosing: Dosing, level: int) -> Iterator[PlannedInfusion]:
    """The infusions of one product of [dosing]."""
    amounts = dosing.cells.value or (0.0,) * len(dosing.days)
    unit: LevelUnit = "cells"
    if product == protocol.level_product:
        infusions = {"cycle": len(dosing.days), "total": len(dosing.days) * dosing.cycles}
        shared_by = infusions.get(dosing.per.value or "administration", 1)
        amounts = (protocol.levels[level - 1] / shared_by,) * len(dosing.days)
        unit = protocol.level_unit
    for cycle in range(dosing.cycles):
        begins = cycle * (dosing.days_between_cycles or 0.0)
        for day, amount in zip(dosing.days, amounts, strict=True):
            yield PlannedInfusion(
                product, dosing.route, cycle + 1, begins + day - dosing.days[0], amount=amount, unit=unit
            )


def _of_regimen(protocol: Protocol, level: Level) -> list[PlannedInfusion]:
    """The infusions of a level that is a regimen, in the order of their days."""
    infusions = [
        PlannedInfusion(
            part.product,
            part.route,
            cycle,
            day,
            amount=part.amount,
            unit=part.unit or protocol.level_unit,
            of_regimen=True,
        )
        for part in level.infusions
        for day, cycle in part.days_and_cycles()
    ]
    return sorted(infusions, key=lambda infusion: infusion.day)
