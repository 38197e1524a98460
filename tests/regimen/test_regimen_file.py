"""A regimen as TOML: it reads as it is written, round-trips, and every mistake is named with its file."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest

from kinetics.errors import PlanError
from kinetics.regimen.regimen import Regimen
from kinetics.regimen.regimen_file import read_regimen

TRIAL = """\
[[dose]]
product = "car_nk"
route = "hepatic_artery"
cells = [1e9, 2e9]
on = [0, 1]
minutes = 30

[[dose]]
product = "car_t"
route = "iv"
cells_per_kg = 3e7
on = [14, 15]
repeat = { every_days = 14, times = 2 }
"""
REGIMEN = (
    Regimen.hepatic_artery(cells=[1e9, 2e9], on=[0, 1], product="car_nk", minutes=30)
    + Regimen.iv(cells_per_kg=3e7, on=[14, 15]).repeat(every_days=14, times=2)
)  # fmt: skip
DOSE = '[[dose]]\nproduct = "car_t"\nroute = "iv"\n'
NUMBERS = "write one number for all days, or a list with one for each day"
LEAST = f"{DOSE}cells = 1e9\non = 0\n"


def refusal(source: str | Path) -> PlanError:
    with pytest.raises(PlanError) as caught:
        read_regimen(source)
    return caught.value


def test_a_file_a_path_and_a_text_read_as_the_same_regimen(tmp_path: Path) -> None:
    path = tmp_path / "trial.toml"
    path.write_text(TRIAL)
    assert read_regimen(TRIAL) == read_regimen(path) == read_regimen(str(path)) == REGIMEN
    assert read_regimen(TRIAL).doses(70)["amount"].tolist() == [1e9, 2e9, 2.1e9, 2.1e9, 2.1e9, 2.1e9]
    assert read_regimen('dose = [{ product = "car_t", route = "iv", cells = 1, on = 2 }]') == Regimen.iv(
        cells=1, on=2
    )


def test_a_regimen_writes_the_file_one_would_write_by_hand() -> None:
    assert REGIMEN.to_toml() == TRIAL


@pytest.mark.parametrize(
    "regimen",
    [
        REGIMEN,
        Regimen.lymphodepletion(on=[0, 1, 2]) + REGIMEN.later(days=5),
        Regimen.tocilizumab(on=[3, 4.25]) + Regimen.steroid(mg=[80, 40], on=[3, 4], drug="dexamethasone"),
        Regimen.tocilizumab(on=3, at_most_mg=None) + Regimen.tocilizumab(on=3),
        Regimen.iv(cells_per_kg=2e6, at_most_cells=2e8, on=0),
        Regimen.iv(cells=[1e9, 1e9], on=[2, 2], minutes=[0, 15]),
        Regimen.iv(cells=1e9, on=0, cycle=3).repeat(every_days=0.1, times=4),
        Regimen.iv(cells=1e9, on=0) + Regimen.iv(cells=1e9, on=14, cycle=3),
        Regimen.iv(cells=1e9, on=0) + Regimen.iv(cells=2e9, on=14, cycle=2),
        Regimen.iv(cells=1e9, on=7, cycle=2) + Regimen.iv(cells=1e9, on=9),
        REGIMEN.but_infused({("car_t", 1, 2): 1234567890.125, ("car_t", 2, 1): 0}),
        REGIMEN.repeat(every_days=1 / 3, times=3),
    ],
)
def test_what_is_written_reads_back_as_the_same_regimen(regimen: Regimen) -> None:
    assert read_regimen(regimen.to_toml()) == regimen


def test_regimens_at_random_read_back_as_they_were() -> None:
    rng = np.random.default_rng(20250101)
    for _ in range(100):
        regimen = Regimen()
        for _ in range(rng.integers(1, 4)):
            n = int(rng.integers(1, 4))
            regimen += Regimen.dose(
                route=str(rng.choice(["iv", "portal_vein"])),
                product=str(rng.choice(["car_t", "car_nk"])),
                on=rng.choice([rng.integers(0, 30, n), rng.uniform(0, 30, n)]),
                minutes=rng.choice([rng.integers(0, 60, n), rng.uniform(0, 60, n)]),
                cycle=int(rng.integers(1, 4)),
                cells_per_kg=rng.lognormal(17, 3, n),
            ).repeat(every_days=float(rng.choice([14.0, rng.uniform(1, 20)])), times=int(rng.integers(1, 4)))
        assert read_regimen(regimen.to_toml()) == regimen


def test_a_repeat_is_written_where_courses_are_exactly_the_first_one_again() -> None:
    assert "repeat = { every_days = 14, times = 2 }" in REGIMEN.to_toml()
    less = REGIMEN.but_infused({("car_t", 2, 2): 2e9}).to_toml()
    assert "repeat" not in less
    assert [table.get("cycle", 1) for table in tomllib.loads(less)["dose"]] == [1, 1, 2, 2]


def test_every_mistake_of_every_dose_is_named_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'titel = "x"\n'
        '[[dose]]\nprodukt = "car_nk"\nroute = "hepatic_arterie"\ncells = "1e9"\non = [0, 1]\n'
        "repeat = { every = 14, times = 2.5 }\n"
        f"{DOSE}cells_per_kg = [nan, 3e7, 1]\non = [14, 15]\nminutes = true\n"
        '[[dose]]\nproduct = 3\nroute = "iv"\n'
    )
    problems = refusal(path).problems
    assert {problem.file for problem in problems} == {str(path)}
    found = {p.what: p.remedy for p in problems}
    nan = "[[dose]] 2: car_t on day 14: cells_per_kg = nan is not an amount above 0"
    assert "write the amount that was infused" in found.pop(nan)
    assert found == {
        "unknown key 'titel'": "known: dose",
        "[[dose]] 1: unknown key 'produkt'": "did you mean 'product'?",
        "[[dose]] 1: missing key 'product'": 'add `product = ...`, a snake_case name such as "car_t"',
        "[[dose]] 1: unknown key 'repeat.every'": "did you mean 'every_days'?",
        "[[dose]] 1: missing key 'repeat.every_days'": (
            "add `every_days = ...`, the days from one course's start to the next one's"
        ),
        "[[dose]] 1: times = 2.5 is not a whole number from 1 up": (
            "write the number of courses in all: 2 is the first and one more"
        ),
        "[[dose]] 1: cells = '1e9' is not a number or a list of numbers": NUMBERS,
        "[[dose]] 1: route = 'hepatic_arterie' looks misspelt": "did you mean 'hepatic_artery'?",
        "[[dose]] 2: cells_per_kg has 3 values, on has 2 days": (
            "write one value for all days, or one for each"
        ),
        "[[dose]] 2: minutes = True is not a number or a list of numbers": NUMBERS,
        "[[dose]] 3: missing key 'on'": "add `on = ...`, a day from 0 up, or a list of days",
        "[[dose]] 3: no amount is given": "give exactly one of cells, cells_per_kg, mg, mg_per_kg, count",
        "[[dose]] 3: product = 3 is not a snake_case name": "write a snake_case name such as 'car_t'",
    }


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (f"{DOSE}cells = 1e9\nmg = 2\non = 0\n", "the amount is given 2 times (cells, mg)"),
        (f"{DOSE}cells = 1e9\non = [0, [1]]\n", "on = [0, [1]] is not a number or a list of numbers"),
        (
            f"{DOSE}cells = 1e9\non = -5\n",
            "on = -5 is not a day from 0 up; day 0 is the regimen's first event",
        ),
        (f"{DOSE}cells = 1e9\non = 2025-01-01\n", "is not a number or a list of numbers"),
        (f"{LEAST}cycle = 1.5\n", "cycle = 1.5 is not a whole number from 1 up"),
        (f"{LEAST}cycle = true\n", "cycle = True is not a whole number from 1 up"),
        (
            f"{LEAST}repeat = 3\n",
            "repeat = 3 is not a table; write `repeat = { every_days = 14, times = 2 }`",
        ),
        (
            f"{LEAST}repeat = {{ every_days = '14', times = 2 }}\n",
            "every_days = '14' is not a number of days above 0",
        ),
        (
            f"{LEAST}repeat = {{ every_days = 14, times = true }}\n",
            "times = True is not a whole number from 1 up",
        ),
        (
            f"{LEAST}at_most_cells = 1e9\n",
            "at_most_cells without cells_per_kg; a ceiling belongs to a dose per kg",
        ),
        (f"{DOSE}on = 0\ncells_per_kg = 1\nat_most_cells = [3]\n", "at_most_cells = [3] is a list"),
        (f"{DOSE}on = 0\ncells_per_kg = 1\nat_most_cells = 'x'\n", "at_most_cells = 'x' is not a number"),
        (f"{LEAST}mintues = 30\n", "unknown key 'mintues'; did you mean 'minutes'?"),
        (f"{LEAST}repeat = {{ every_days = 14, tmies = 2, times = 2 }}\n", "did you mean 'times'?"),
        ("# nothing yet\n", "no [[dose]]; begin each dose with a line `[[dose]]`"),
        ('[dose]\nproduct = "car_t"\n', "`dose` is no list of tables"),
        ("dose = [1, 2]", "`dose` is no list of tables"),
        ("[[dose]\n", "not valid TOML"),
    ],
)
def test_each_mistake_is_refused_with_what_to_do(text: str, wanted: str) -> None:
    (problem,) = refusal(text).problems
    assert wanted in str(problem)
    assert str(problem).startswith("TOML text: ")


def test_the_least_file_is_a_bolus_of_the_first_cycle() -> None:
    doses = read_regimen(LEAST).doses()
    assert doses["duration"].item() == 0
    assert doses["cycle"].item() == 1


def test_a_file_that_is_not_there_gives_the_nearest_that_is(tmp_path: Path) -> None:
    assert "check the path" in str(refusal(tmp_path / "trail.toml"))
    (tmp_path / "trial.toml").write_text(TRIAL)
    (problem,) = refusal(str(tmp_path / "trail.toml")).problems
    assert (problem.what, problem.remedy) == ("no such file", "did you mean 'trial.toml'?")
    assert problem.file == str(tmp_path / "trail.toml")


def test_a_file_in_another_encoding_is_refused_and_not_misread(tmp_path: Path) -> None:
    path = tmp_path / "latin.toml"
    path.write_bytes('product = "größe"'.encode("latin-1"))
    (problem,) = refusal(path).problems
    assert problem.what == "the file is not UTF-8 (latin-1?)"
    assert problem.remedy == f"save it as UTF-8, or run `iconv -f latin1 -t utf-8 {path}`"
    assert problem.file == str(path)
