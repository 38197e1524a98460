"""Dose levels that have a name: one number of cells, or a regimen of several infusions.

    [[level]]
    name = "DL1"
    amount = 1e6

    [[level]]
    name = "regimen 2"
    infusions = [
        { product = "car_t", route = "intraventricular", amount = 1e7, day = 0 },
        { product = "car_t", route = "intraventricular", amount = 5e7, days = [7, 14] },
    ]

Amounts are in the protocol's `level_unit`. Days are counted from the first infusion of the regimen. `repeat`
gives the same infusions again, each time in the next cycle.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from kinetics.protocol.products_and_routes import Product, Route
from kinetics.toml import Spec

__all__ = ["Infusions", "Level", "LevelUnit", "Repeat"]

LevelUnit = Literal["cells", "cells/kg", "cells/m2"]


class Repeat(Spec):
    """The same infusions again: `times` in all, `every_days` days apart.

    >>> from kinetics.protocol.level_regimens import Repeat
    >>> Repeat(every_days=28, times=2)
    Repeat(every_days=28.0, times=2)
    """

    every_days: float = Field(gt=0, allow_inf_nan=False)
    times: int = Field(ge=1)


class Infusions(Spec):
    """Infusions of one product in one amount: on a `day`, or on several `days`.

    `unit` is that of the amount where it is not the protocol's `level_unit`, as for a flat dose of a second
    product.

    >>> from kinetics.protocol.level_regimens import Infusions
    >>> weekly = Infusions(product="car_t", route="intraventricular", amount=1e7, days=[0, 7, 14])
    >>> weekly.days_and_cycles()
    [(0.0, 1), (7.0, 1), (14.0, 1)]
    """

    product: Product
    route: Route
    amount: float = Field(gt=0, allow_inf_nan=False)
    days: tuple[float, ...] = Field(min_length=1, description="of the regimen; day 0 is its first infusion")
    cycle: int = Field(1, ge=1)
    repeat: Repeat | None = None
    unit: LevelUnit | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_day(cls, content: Any) -> Any:
        if not isinstance(content, Mapping) or "day" not in content:
            return content
        if "days" in content:
            raise ValueError("`day` and `days`; give one of them")
        rest = {key: value for key, value in content.items() if key != "day"}
        return rest | {"days": [content["day"]]}

    def days_and_cycles(self) -> list[tuple[float, int]]:
        """The day and the cycle of every infusion, with those of `repeat`."""
        times = 1
        apart = 0.0
        if self.repeat is not None:
            times = self.repeat.times
            apart = self.repeat.every_days
        return [(day + apart * turn, self.cycle + turn) for turn in range(times) for day in self.days]


class Level(Spec):
    """A dose level by name: an `amount` given as [dosing] says, or its own `infusions`.

    >>> from kinetics.protocol.level_regimens import Level
    >>> Level(name="level -1", amount=5e5).total("car_t", "cells/kg")
    500000.0
    >>> step_up = [{"product": "car_t", "route": "iv", "amount": 1e6, "day": 0}]
    >>> step_up.append({"product": "car_t", "route": "iv", "amount": 3e6, "day": 7})
    >>> Level(name="step-up", infusions=step_up).total("car_t", "cells/kg")
    4000000.0
    """

    name: str = Field(min_length=1)
    amount: float | None = Field(None, gt=0, allow_inf_nan=False)
    infusions: tuple[Infusions, ...] = ()

    @model_validator(mode="after")
    def _one_of_both(self) -> Level:
        if (self.amount is None) == (not self.infusions):
            raise ValueError(f"level {self.name!r} needs an `amount` or `infusions`; give one of them")
        return self

    def total(self, product: str, unit: str) -> float:
        """All of a product that a patient of this level gets, in `unit`; 0 where the level has none of it.

        It is the amount itself where the level is one number.
        """
        if self.amount is not None:
            return self.amount
        return sum(
            part.amount * len(part.days_and_cycles())
            for part in self.infusions
            if part.product == product and (part.unit or unit) == unit
        )
