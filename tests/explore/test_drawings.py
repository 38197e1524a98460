"""Figures shared by the readers of a page: drawn once for each content, and bounded in memory."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from plotly.graph_objects import Figure

from kinetics.errors import KineticsError
from kinetics.explore.drawings import Drawing, Drawings
from kinetics.explore.selection import Selection, selected
from tests.support.explorer import choice, trial, what_if


class Pen:
    """Draws a figure of its title, and counts how often."""

    def __init__(self) -> None:
        self.drawn: list[str] = []

    def __call__(self, title: str) -> Any:
        def draw() -> Figure:
            self.drawn.append(title)
            return Figure(layout={"title": {"text": title}, "height": 100})

        return draw


def test_a_content_is_drawn_once_for_all_readers():
    pen = Pen()
    drawings = Drawings()
    first = drawings.of(("course", "a"), pen("a"))
    assert drawings.of(("course", "a"), pen("a")) is first
    assert drawings.of(("course", "b"), pen("b")).title == "b"
    assert pen.drawn == ["a", "b"]


def test_the_memory_of_drawings_is_bounded_and_the_latest_stay():
    pen = Pen()
    size = sys.getsizeof(Drawing.of(pen("0")()).json)
    drawings = Drawings(most_bytes=3 * size)
    for title in "12345":
        drawings.of(title, pen(title))
    assert drawings.size == 3 * size
    pen.drawn.clear()
    for title in "345":
        drawings.of(title, pen(title))
    assert pen.drawn == []
    drawings.of("1", pen("1"))
    assert pen.drawn == ["1"]


def test_a_figure_larger_than_the_bound_is_drawn_and_not_kept():
    drawings = Drawings(most_bytes=1)
    assert drawings.of("a", Pen()("a")).title == "a"
    assert drawings.size == 0


def test_an_error_is_not_kept():
    def refuse() -> Figure:
        raise KineticsError("no")

    drawings = Drawings()
    with pytest.raises(KineticsError):
        drawings.of("a", refuse)
    assert drawings.of("a", Pen()("a")).title == "a"


def test_readers_who_select_or_ask_the_same_share_the_study_and_the_answer():
    one = selected(trial(), Selection(products=("car_t",)))
    assert selected(trial(), Selection(products=("car_t",))) is one
    answer = what_if().answer(choice(weight_kg=66.0), compare=False)
    assert what_if().answer(choice(weight_kg=66.0), compare=False) is answer
    assert what_if().answer(choice(weight_kg=66.0)) is not answer
