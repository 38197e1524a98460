"""A regimen as a TOML: [[dose]] tables whose keys are the keywords of `Regimen.dose`, and `repeat`.

[[dose]]
product = "car_t"
route = "iv"
cells_per_kg = 3e7
on = [14, 15]
repeat = { every_days = 14, times = 2 }
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kinetics.errors import PlanError, Problem, did_you_mean
from kinetics.regimen.dose import Dose, doses_from
from kinetics.regimen.regimen import Regimen
from kinetics.toml import parse_toml, read_toml

__all__ = ["read_regimen"]


def read_regimen(source: str | Path) -> Regimen:
    r"""The regimen of a TOML file, or of TOML text; a text has a line break, or a `=` and no `.toml` at its
    end.

    PlanError lists every problem of every [[dose]], each with the file's name. `source` is the path, or the
    text.

    >>> regimen = kn.read_regimen('[[dose]]\nproduct = "car_t"\nroute = "iv"\ncells = 1e8\non = [0, 7]')
    >>> regimen.doses()
      product route  time       amount   unit  duration  cycle
    0   car_t    iv   0.0  100000000.0  cells       0.0      1
    1   car_t    iv   7.0  100000000.0  cells       0.0      1
    """
    content, file = _content(source)
    found = [Problem(f"unknown key {key!r}", did_you_mean(key, ["dose"])) for key in content if key != "dose"]
    doses: list[Dose] = []
    for number, table in enumerate(_tables(content, found), start=1):
        try:
            doses += doses_from(table)
        except PlanError as error:
            found += [replace(p, what=f"[[dose]] {number}: {p.what}") for p in error.problems]
    if found:
        raise PlanError([replace(problem, file=file) for problem in found])
    return Regimen(tuple(doses))


def _content(source: str | Path) -> tuple[dict[str, Any], str]:
    """The content of the TOML, and the name of its file for the problems."""
    if isinstance(source, str) and ("\n" in source or ("=" in source and not source.endswith(".toml"))):
        return parse_toml(source, PlanError, file="TOML text"), "TOML text"
    return read_toml(Path(source).expanduser(), PlanError, file=str(source)), str(source)


def _tables(content: Mapping[str, Any], found: list[Problem]) -> list[Mapping[str, Any]]:
    """The [[dose]] tables; none and a Problem where there is no list of them."""
    tables = content.get("dose", [])
    if isinstance(tables, list) and tables and all(isinstance(table, Mapping) for table in tables):
        return tables
    what = "`dose` is no list of tables" if tables else "no [[dose]]"
    found.append(Problem(what, "begin each dose with a line `[[dose]]`"))
    return []
