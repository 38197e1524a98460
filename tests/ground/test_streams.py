"""The named random streams: each has numbers of its own, and they stay what they are."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from kinetics.streams import STREAMS, stream

PACKAGE = Path(__file__).parents[2] / "kinetics"
FIRST = {  # the first three of `stream(0, name).integers(1000, size=3)`
    "new patients of a curve": [522, 889, 992],
    "replicated studies": [979, 80, 286],
    "integration points": [503, 894, 954],
    "new patients of the power model": [450, 883, 462],
    "power model": [696, 382, 831],
    "new patients at every level": [451, 412, 517],
    "prediction discrepancies": [796, 38, 225],
    "individual residuals": [316, 759, 943],
    "new patients of the explorer": [258, 567, 223],
    "patients of another study": [291, 498, 884],
    "records of another study": [141, 519, 208],
}


def test_every_stream_has_a_number_of_its_own_and_none_is_that_of_a_bare_seed() -> None:
    numbers = list(STREAMS.values())
    assert len(set(numbers)) == len(numbers)
    assert min(numbers) > 0
    bare = np.random.default_rng(3).random(4)
    np.testing.assert_array_equal(np.random.default_rng([3, 0]).random(4), bare)


def test_the_first_numbers_of_every_stream_are_pinned() -> None:
    assert {name: stream(0, name).integers(1000, size=3).tolist() for name in STREAMS} == FIRST


def test_a_stream_begins_anew_each_time_and_depends_on_the_seed() -> None:
    first = stream(1, "power model").random(4)
    np.testing.assert_array_equal(stream(1, "power model").random(4), first)
    assert not np.array_equal(stream(2, "power model").random(4), first)


def test_an_unknown_name_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"no random stream 'power modle'; did you mean 'power model'"):
        stream(0, "power modle")


def test_every_stream_is_used_and_no_module_has_a_numbered_one_of_its_own() -> None:
    text = {file: file.read_text(encoding="utf-8") for file in PACKAGE.rglob("*.py")}
    used = {name for code in text.values() for name in re.findall(r'stream\(seed, "([^"]+)"\)', code)}
    assert used == set(STREAMS)
    numbered = [file.name for file, code in text.items() if re.search(r"default_rng\(\[\w+, \d+\]\)", code)]
    assert numbered == []
