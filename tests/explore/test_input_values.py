"""What the server takes from a browser: only what the page offers, whatever is sent over the connection."""

from __future__ import annotations

import json
from collections.abc import Iterator
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest

from kinetics.errors import PlanError
from kinetics.explore.input_values import Range, option_of, options_of, switch_of
from kinetics.explore.selection import choices_of
from tests.support.explorer import answered, trial, what_if

SPLIT = Range("Split over days", 1, 3, whole=True)
LEVELS = list(choices_of(trial()).levels)


@pytest.mark.parametrize(
    "value", [10**9, 10**400, 0, 1.5, -1, float("nan"), float("inf"), None, True, "2", [2]]
)
def test_a_number_that_the_page_does_not_offer_is_refused_by_name(value: Any):
    with pytest.raises(PlanError, match=r"^Split over days: .* is not offered; choose a "):
        SPLIT.value(value)


def test_a_number_of_the_page_is_taken():
    assert [SPLIT.value(value) for value in (1, 2.0, 3)] == [1.0, 2.0, 3.0]
    assert Range("Body weight (kg)", 30, 200).value(61.5) == 61.5


@pytest.mark.parametrize("value", ["nope", None, 1, ["a"], {"a": 1}])
def test_an_option_that_the_page_does_not_offer_is_refused_by_name(value: Any):
    with pytest.raises(PlanError, match=r"^Analyte: .* is not offered"):
        option_of("Analyte", value, {"a": 1, "b": 2})
    with pytest.raises(PlanError, match=r"^Analyte: .* is not offered"):
        options_of("Analyte", ["a", value], {"a": 1, "b": 2})


def test_several_options_are_taken_once_each():
    assert options_of("Below", ["b", "a", "b"], ["a", "b"]) == ("b", "a")
    assert options_of("Below", [], ["a"]) == options_of("Below", None, ["a"]) == ()
    with pytest.raises(PlanError, match="'ab' is not offered"):
        options_of("Below", "ab", ["a", "b"])
    with pytest.raises(PlanError, match="'on' is not offered"):
        switch_of("Second cycle", "on")


class Reader:
    """A browser's connection to the page, without a browser."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def sent(self, output: str, method: str, **values: Any) -> Any:
        """The new value of an output after these values of inputs were sent."""
        self.connection.send(json.dumps({"method": method, "data": values}))
        for text in self.connection:
            message = json.loads(text)
            assert not message.get("errors"), message["errors"]
            if output in message.get("values", {}):
                return message["values"][output]
        raise AssertionError("the connection was closed")


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    pytest.importorskip("shiny", reason="no Shiny: the server was NOT asked")
    client = pytest.importorskip("websockets.sync.client", reason="no websockets: the server was NOT asked")
    from kinetics.explore.serve import serving
    from kinetics.explore.target import Target

    answered()  # compiled before the page asks
    server = serving(Target(trial(), what_if().model), what_if=what_if())
    thread = Thread(target=server.run, kwargs={"browser": False}, daemon=True)
    thread.start()
    address = urlsplit(server.url)
    while not server.server.started:
        thread.join(0.05)
    with client.connect(
        f"ws://{address.netloc}{address.path}websocket/?{address.query}", max_size=2**26, open_timeout=60
    ) as connection:
        found = Reader(connection)
        values: dict[str, Any] = {
            f".clientdata_output_{name}_hidden": False for name in ("course", "what_if_status")
        }
        values |= {
            "assay": "all",
            "analyte": "car_copies",
            "scale": "log",
            "per_kg": False,
            "levels": LEVELS,
            "routes": ["hepatic_artery", "iv"],
            "products": ["car_nk", "car_t"],
            "by": "dose_level",
            "subject": "every subject",
            "below": [],
            "events": ["crs"],
            "again": False,
            "again_after": 28,
            "lymphodepletion": "first",
            "weight": 70,
            "until": 90,
            "compare": False,
            "what_if_scale": "log",
            "outputs": ["copies"],
        }
        for product in ("car_nk", "car_t"):
            values |= {
                f"given_{product}": True,
                f"amount_{product}": 9,
                f"route_{product}": "iv",
                f"split_{product}": 2,
                f"start_{product}": 0,
            }
        assert "200 new patients" in found.sent("what_if_status", "init", **values)["html"]
        yield found
    server.server.should_exit = True
    thread.join(10)


@pytest.mark.parametrize(
    ("name", "value", "offered"),
    [
        ("split_car_t", 10**9, 2),
        ("start_car_t", -1e9, 0),
        ("amount_car_nk", 300, 9),
        ("route_car_t", "portal", "iv"),
        ("given_car_t", "yes", True),
        ("weight", None, 70),
        ("weight", 0.001, 70),
        ("until", 1e12, 90),
        ("lymphodepletion", "twice", "first"),
        ("again", 3, False),
        ("compare", "x", False),
    ],
)
def test_a_slider_of_no_page_gives_a_sentence_and_no_curve(
    reader: Reader, name: str, value: Any, offered: Any
):
    refused = reader.sent("what_if_status", "update", **{name: value})["html"]
    assert "is not offered; " in refused
    assert "200 new patients" not in refused
    assert "200 new patients" in reader.sent("what_if_status", "update", **{name: offered})["html"]


@pytest.mark.parametrize(
    ("name", "value", "offered"),
    [
        ("analyte", "nope", "car_copies"),
        ("below", ["il6", "nope"], []),
        ("events", "crs", ["crs"]),
        ("by", "__class__", "dose_level"),
        ("subject", "S99", "every subject"),
        ("scale", None, "log"),
        ("per_kg", 1, False),
        ("levels", [1], LEVELS),
        ("routes", ["by mouth"], ["hepatic_artery", "iv"]),
    ],
)
def test_a_filter_of_no_page_gives_a_sentence_and_no_curve(
    reader: Reader, name: str, value: Any, offered: Any
):
    assert "is not offered; " in reader.sent("course", "update", **{name: value})["figure"]
    assert "SYNTHETIC DATA" in reader.sent("course", "update", **{name: offered})["figure"]
