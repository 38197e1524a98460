"""Inputs that once ended in a traceback, an empty message or a long wait; each is refused by name now."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import kinetics as kn
from kinetics.batch.grid import tasks_of
from kinetics.batch.spec import read_batch
from kinetics.errors import InputError
from kinetics.study.study import read_study
from tests.support.adam_tables import ADPC, ADPPK

ADPPK_TOML = 'title = "T"\nsource = "made"\nlicence = "none"\nsynthetic = true\n[adam]\ndose_unit = "mg"\n'


def study(name: str) -> Callable[[Path], object]:
    return lambda folder: read_study(folder / name)


def batch(folder: Path) -> object:
    plan, path = read_batch(folder / "B.toml")
    return tasks_of(plan, folder, path, file="B.toml")


def protocol(folder: Path) -> object:
    return kn.read_protocol(folder / "protocol.toml")


# files, what reads them, what the message says
CORPUS: dict[str, tuple[dict[str, str], Callable[[Path], object], str]] = {
    "a header alone": ({"t.csv": ADPC.splitlines()[0]}, study("t.csv"), r"t\.csv.*no records"),
    "a number for a unit": (
        {"t.csv": ADPPK, "t.toml": f"{ADPPK_TOML}time_unit = inf\n"},
        study("t.csv"),
        r"t\.toml.*time_unit.*a valid string",
    ),
    "no unit of time": (
        {"t.csv": ADPPK, "t.toml": f'{ADPPK_TOML}time_unit = "x"\n'},
        study("t.csv"),
        "unknown unit 'x' of time",
    ),
    "a long dotted key": (
        {"protocol.toml": "a." * 100_000 + "a = 1"},
        protocol,
        r"protocol\.toml: tables or lists nested more than 50 deep",
    ),
    "a name too long": (
        {"B.toml": f'[[fit]]\nplan = "{"x" * 5000}"'},
        batch,
        r"B\.toml: \[\[fit\]\] 1: .*no fit",
    ),
    "a time that is none": (
        {"B.toml": '[[simulate]]\nmodel = "stein_2019"\ntimes = ""'},
        batch,
        r"B\.toml: \[\[simulate\]\] 1: '' is neither",
    ),
    "a table in place of a text": (
        {"t.csv": ADPPK, "t.toml": f"{ADPPK_TOML}time_unit = {{ a = 1 }}\n"},
        study("t.csv"),
        r"t\.toml.*time_unit",
    ),
}


@pytest.mark.parametrize("case", CORPUS)
def test_what_was_found_once_is_refused_by_name(tmp_path: Path, case: str) -> None:
    files, read, says = CORPUS[case]
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=says):
        read(tmp_path)
