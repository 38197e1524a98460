"""The names that a protocol gives to products, their routes and the clock of the DLT window.

Any snake_case name is a product or a route, as in doses.csv. A route that looks like a misspelt common one is
refused. The clock of the DLT window names an end and what is infused:

    first_PRODUCT, last_PRODUCT   the first or the last infusion of that product
    first_infusion, last_infusion the first or the last infusion of cells, whatever the product
    each_PRODUCT, each_infusion   a window from every infusion
    first_lymphodepletion         the first dose of a drug of [[lymphodepletion]]
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Literal, cast

from pydantic import AfterValidator

from kinetics.errors import did_you_mean
from kinetics.study import ROUTES

__all__ = ["ANY_INFUSION", "LYMPHODEPLETION", "Clock", "ClockName", "Product", "Route", "clock_of"]

ANY_INFUSION = "infusion"  # of cells, whatever the product
LYMPHODEPLETION = "lymphodepletion"  # any drug of [[lymphodepletion]], or the product of that name

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_ROUTE_WORDS = {  # common words -> our name
    "intravenous": "iv",
    "icv": "intraventricular",
    "intracerebroventricular": "intraventricular",
    "intra_arterial_hepatic": "hepatic_artery",
    "intracranial_cavity": "intracavitary",
}


@dataclass(frozen=True)
class Clock:
    """The start of the DLT window: an end, and the product whose infusions are meant.

    `product` is a product's name, `ANY_INFUSION` or `LYMPHODEPLETION`. "each" opens a window at every
    infusion.

    >>> from kinetics.protocol.products_and_routes import clock_of
    >>> clock_of("first_car_t")
    Clock(end='first', product='car_t')
    """

    end: Literal["first", "last", "each"]
    product: str


def clock_of(name: str) -> Clock:
    """The parts of the name of a clock; ValueError, with what may be written, for another word."""
    end, _, product = name.partition("_")
    if end not in ("first", "last", "each") or not _NAME.fullmatch(product):
        raise ValueError(
            f"{name!r} is no clock; write first_, last_ or each_ and a product of [dosing] or `infusion`, "
            "such as first_car_t"
        )
    return Clock(cast(Literal["first", "last", "each"], end), product)


def _product(name: str) -> str:
    """The name of a product as doses.csv has it."""
    if not _NAME.fullmatch(name):
        raise ValueError("no name of a product; write it in snake_case as doses.csv has it, such as car_t")
    return name


def _route(name: str) -> str:
    """The name of a route as doses.csv has it."""
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    if plain in _ROUTE_WORDS:
        raise ValueError(f"another word for a route; did you mean {_ROUTE_WORDS[plain]!r}?")
    if name in ROUTES:
        return name
    if plain in ROUTES or get_close_matches(plain, ROUTES, n=1, cutoff=0.85):
        raise ValueError(f"a route that looks misspelt; {did_you_mean(plain, ROUTES)}")
    if not _NAME.fullmatch(name):
        raise ValueError("no name of a route; write it in snake_case, such as intraventricular")
    return name


def _clock(name: str) -> str:
    clock_of(name)
    return name


Product = Annotated[str, AfterValidator(_product)]
Route = Annotated[str, AfterValidator(_route)]
ClockName = Annotated[str, AfterValidator(_clock)]
