"""A regimen as a TOML: [[dose]] tables whose keys are the keywords of `Regimen.dose`, and `repeat`.

[[dose]]
product = "car_t"
route = "iv"
cells_per_kg = 3e7
on = [14, 15]
repeat = { every_days = 14, times = 2 }

`Regimen.to_toml` writes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kinetics.arguments import require
from kinetics.errors import PlanError, Problem, did_you_mean
from kinetics.regimen.dose import Dose, doses_from
from kinetics.regimen.regimen import Regimen
from kinetics.toml import parse_toml, read_toml

__all__ = ["read_regimen"]


def read_regimen(source: str | Path) -> Regimen:
    r"""The regimen of a TOML file, or of TOML text.

    `source` is the path or the text. A string is text where it has a line break, or a `=` and no `.toml` at
    its end. PlanError lists every problem of every [[dose]], each with the file's name.

    >>> regimen = kn.read_regimen('[[dose]]\nproduct = "car_t"\nroute = "iv"\ncells = 1e8\non = [0, 7]')
    >>> regimen.doses()
      product route  time       amount   unit  duration  cycle
    0   car_t    iv   0.0  100000000.0  cells       0.0      1
    1   car_t    iv   7.0  100000000.0  cells       0.0      1
    """
    require(source=(source, str | Path))
    content, file = _content(source)
    problems = list(_table_problems(content))
    doses: list[Dose] = []
    for number, table in enumerate(_dose_tables(content), start=1):
        try:
            doses += doses_from(table)
        except PlanError as error:
            for problem in error.problems:
                problems.append(replace(problem, what=f"[[dose]] {number}: {problem.what}"))
    if problems:
        raise PlanError([replace(problem, file=file) for problem in problems])
    return Regimen(tuple(doses))


def _content(source: str | Path) -> tuple[dict[str, Any], str]:
    """The content of the TOML, and the name of its file for the problems."""
    if isinstance(source, str) and ("\n" in source or ("=" in source and not source.endswith(".toml"))):
        return parse_toml(source, PlanError, file="TOML text"), "TOML text"
    return read_toml(Path(source).expanduser(), PlanError, file=str(source)), str(source)


def _dose_tables(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The [[dose]] tables; none where `dose` is not a list of tables."""
    tables = content.get("dose", [])
    if isinstance(tables, list) and all(isinstance(table, Mapping) for table in tables):
        return tables
    return []


def _table_problems(content: Mapping[str, Any]) -> Iterator[Problem]:
    """Keys beside `dose`, and the absence of [[dose]] tables."""
    for key in content:
        if key != "dose":
            yield Problem(f"unknown key {key!r}", did_you_mean(key, ["dose"]))
    if not _dose_tables(content):
        what = "`dose` is no list of tables" if content.get("dose") else "no [[dose]]"
        yield Problem(what, "begin each dose with a line `[[dose]]`")
