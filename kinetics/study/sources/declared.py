"""What a single table cannot say of itself: the dictionary beside it, joined with the options of a call."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypedDict

from kinetics.errors import Problem, StudyError, did_you_mean
from kinetics.study.dictionary import NOT_DECLARED, Dictionary, EventTable, make_dictionary, wrong_types
from kinetics.study.raw_table import RawTable, is_number
from kinetics.study.sources.code_columns import UNSAID
from kinetics.study.sources.dates import are_dates
from kinetics.study.sources.event_rows import EventRows
from kinetics.study.sources.known_columns import with_role
from kinetics.toml import read_toml
from kinetics.units import UnitError, canonical_unit, dimension, known_units

__all__ = [
    "EventTableOptions",
    "declared_columns",
    "describe",
    "kind_of",
    "of_analyte",
    "says_without_doses",
    "sidecar",
    "sidecar_content",
    "text_keys",
]


class EventTableOptions(TypedDict, total=False):
    """Options of `read_study` for a single event table; each wins over the same key of the TOML.

    `route`, `product` and `dose_unit` are one word, or one per ADM (or CMT) code. `analyte`, `value_unit`
    (the unit of DV) and `lloq` are one word, or one per DVID (or CMT) code. Where the rows have several
    codes, one word for all of them is refused. `drop` names columns to leave out.
    `without_doses` says that nobody was dosed.
    """

    time_unit: str
    dose_unit: str | Mapping[str | int, str]
    value_unit: str | Mapping[str | int, str]
    analyte: str | Mapping[str | int, str]
    route: str | Mapping[str | int, str]
    product: str | Mapping[str | int, str]
    weight_column: str
    cycle_column: str
    drop: list[str]
    lloq: float | Mapping[str | int, float]
    synthetic: bool
    screening_days: float
    without_doses: bool


_NEEDED = {  # key -> an example, and what it says
    "time_unit": ('"h"', "the unit of TIME"),
    "dose_unit": ('"cells"', "the unit of AMT"),
    "route": ('"iv"', "how doses are given"),
    "product": ('"car_t"', "what is given"),
}
_TOP_LEVEL = ("synthetic", "screening_days", "without_doses")  # options that stand outside [event_table]
_OF_A_DOSE = ("dose_unit", "route", "product")  # nobody is asked for them where nobody was dosed
# values with which the table is checked where nobody declares them; the study is refused all the same
_STAND_IN = {"time_unit": "min", "dose_unit": "count", "route": UNSAID, "product": UNSAID}


def sidecar(path: Path) -> Path:
    """The TOML beside a table: the same name with the suffix .toml."""
    return path.with_suffix(".toml")


def describe(path: Path, rows: EventRows, options: Mapping[str, Any]) -> Dictionary | None:
    """The dictionary of an event table, None where it cannot be used.

    Everything left unsaid is a Problem that names the key to write; `rows.table` keeps the Problems.
    """
    table = rows.table
    content, problems = sidecar_content(path, options)
    table.problems.extend(problems)
    if content is None:
        return None
    spec = content["event_table"]
    for key, (example, meaning) in _NEEDED.items():
        if key in spec:
            continue
        spec[key] = _STAND_IN[key]
        if key not in _OF_A_DOSE or content.get("without_doses") is not True:
            table.problems.append(_unsaid(path, key, example, meaning))
    spec["time_unit"], problem = _unit_of_time(path, spec["time_unit"])
    table.problems.extend(problem)
    content["analytes"], problems = _analytes(path, content, options)
    table.problems.extend(problems)
    content["columns"] = _columns(content, rows)
    file = sidecar(path).name if os.path.lexists(sidecar(path)) else path.name
    dictionary, problems = make_dictionary(content, file)
    table.problems.extend(problems)
    if dictionary is not None and dictionary.event_table is not None:
        table.problems.extend(_unknown_columns(table, dictionary.event_table, file))
    return dictionary


def declared_columns(path: Path, options: Mapping[str, Any]) -> set[str]:
    """The columns of subjects that the TOML beside a table, or an option, declares."""
    content, _ = sidecar_content(path, options)
    return set() if content is None else set(content.get("columns", {}).get("subjects", {}))


def says_without_doses(path: Path, options: Mapping[str, Any]) -> bool:
    """Whether the TOML beside a table, or an option, says that nobody was dosed."""
    content, _ = sidecar_content(path, options)
    return content is not None and content.get("without_doses") is True


def _unit_of_time(path: Path, unit: str) -> tuple[str, list[Problem]]:
    """The unit of TIME as this package writes it, and the Problem of one that is none."""
    try:
        if dimension(unit) == "time":
            return canonical_unit(unit), []
    except UnitError:
        pass
    what = f"unknown unit {unit!r} of time"
    remedy = f"say one of {', '.join(known_units('time'))}"
    return _STAND_IN["time_unit"], [Problem(what, remedy, file=path.name, column="TIME")]


def sidecar_content(path: Path, options: Mapping[str, Any]) -> tuple[dict[str, Any] | None, list[Problem]]:
    """The content of the TOML beside a table, with the options written over it, and the Problems of both.

    The content is None where the TOML cannot be read. Without a TOML it says that nothing is declared.
    """
    problems = []
    for key in options:
        if key not in EventTableOptions.__annotations__:
            remedy = did_you_mean(key, EventTableOptions.__annotations__)
            problems.append(Problem(f"unknown option {key!r}", remedy, file=path.name))
    content: dict[str, Any] = {"title": path.stem, "source": "not declared", "licence": "not declared"}
    content["synthetic"] = False
    file = path.name
    if os.path.lexists(sidecar(path)):
        file = sidecar(path).name
        try:
            content = read_toml(sidecar(path), StudyError, file=file)
        except StudyError as error:
            return None, [*problems, *error.problems]
        wrong = wrong_types(content, file)
        if wrong:
            return None, [*problems, *wrong]
    content.update({key: options[key] for key in _TOP_LEVEL if key in options})
    spec = content.setdefault("event_table", {})
    for key in EventTable.model_fields:
        if key in options:
            spec[key] = text_keys(options[key])
    if "value_unit" in options:
        spec["dv_unit"] = text_keys(options["value_unit"])
    wrong = wrong_types(content, file)
    if wrong:
        return None, [*problems, *wrong]
    return content, problems


def text_keys(value: object) -> object:
    """A mapping with its codes as text, so that `{1: "oral"}` and `{"1": "oral"}` agree; any other value as
    it is.
    """
    if isinstance(value, Mapping):
        return {str(key): word for key, word in value.items()}
    return value


def _unsaid(path: Path, key: str, example: str, meaning: str) -> Problem:
    """The Problem of something that neither the table nor anyone else declares."""
    option = "value_unit" if key == "dv_unit" else key
    shell_example = example if " " in example else example.strip('"')
    flag = f"--{option.replace('_', '-')} {shell_example}"
    remedy = f"say {flag} (read_study(..., {option}={example}) in Python), or write {key} = {example} under "
    remedy += f"[event_table] in {sidecar(path).name}"
    return Problem(f"{meaning} is not declared ({option})", remedy, file=path.name)


def _analytes(
    path: Path, content: Mapping[str, Any], options: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Problem]]:
    """The descriptions of all analytes, and the Problems of an analyte or a unit that nobody declares.

    An analyte that is named and not described in the content gets a description; its unit is `value_unit`.
    """
    problems = []
    spec = content["event_table"]
    analytes = dict(content.get("analytes", {}))
    meaning = spec.get("analyte")
    names = []
    if isinstance(meaning, Mapping):
        names = list(dict.fromkeys(meaning.values()))
    elif meaning:
        names = [meaning]
    if not names and len(analytes) != 1:
        problems.append(_unsaid(path, "analyte", '"car_copies"', "what DV measures"))
        names = [UNSAID]
    for key in ("value_unit", "lloq"):
        if key in options and len(names) > 1 and not isinstance(options[key], Mapping):
            problems.append(_one_for_several(path, key, names, meaning))
    unit = spec.get("dv_unit")
    undescribed = [name for name in names if name not in analytes]
    if undescribed and unit is None:
        problems.append(_unsaid(path, "dv_unit", '"copies/ug DNA"', "the unit of DV"))
    for name in undescribed:
        unit_of_name = of_analyte(unit, name, meaning)
        if unit is not None and unit_of_name is None:
            what = f"the unit of {name} is not said (value_unit)"
            problems.append(Problem(what, "say one per code", file=path.name, value=name))
        description = {"label": name, "assay": NOT_DECLARED, "site": NOT_DECLARED}
        analytes[name] = {**description, "unit": unit_of_name or "mg/L"}
    if "lloq" in options:
        for name in names or analytes:
            lloq = of_analyte(text_keys(options["lloq"]), name, meaning)
            if lloq is not None:
                analytes[name] = {**analytes[name], "lloq": lloq}
    return analytes, problems


def of_analyte(said: Any, name: str, meaning: Any) -> Any:
    """What is said of an analyte: one value for all, or that of its code or of its name; None without one."""
    if not isinstance(said, Mapping):
        return said
    codes = (
        [code for code, analyte in meaning.items() if analyte == name] if isinstance(meaning, Mapping) else []
    )
    return next((said[key] for key in (*codes, name) if key in said), None)


def _one_for_several(path: Path, key: str, names: list[str], meaning: Mapping[str, str]) -> Problem:
    """The Problem of one unit or limit that is said for several analytes."""
    what = f"one {key} is said for the codes {', '.join(meaning)} ({', '.join(names)})"
    example = ",".join(f"{code}=..." for code in meaning)
    remedy = f"say one per code: --{key.replace('_', '-')} {example}"
    remedy += f" ({key}={{{', '.join(f'{code!r}: ...' for code in meaning)}}} in Python)"
    return Problem(what, remedy, file=path.name)


def _columns(content: Mapping[str, Any], rows: EventRows) -> dict[str, Any]:
    """The columns of the content, with the units of the standard ones and the covariates of the table."""
    spec = content["event_table"]
    columns = content.get("columns", {})
    time = {"unit": spec["time_unit"]}
    observations = {**columns.get("observations", {}), "time": time}
    doses = {**columns.get("doses", {}), "time": time, "duration": time}
    doses.update({name.lower(): {"kind": "number"} for name in ("ADDL", "II") if name in rows.table})
    subjects = dict(columns.get("subjects", {}))
    keys = ("drop", "cycle_column", "weight_column", "columns")
    kept = EventTable.model_construct(**{key: spec[key] for key in keys if key in spec})
    for column in rows.own_columns(kept, subjects):
        name = spec.get("columns", {}).get(column, column)
        if column == spec.get("weight_column"):
            subjects.setdefault("weight_kg", _weight_unit(rows.table, column))
        elif name not in subjects:
            subjects[name] = _description(rows.table, column, name)
    return {**columns, "observations": observations, "doses": doses, "subjects": subjects}


def _weight_unit(table: RawTable, weight: str) -> dict[str, str]:
    """The declaration of the weight: its unit, where a column has one, or its name does (WTLB); several are
    reported.
    """
    for column in with_role(table.columns, "weight_unit"):
        units = [unit for unit in dict.fromkeys(table.words(column)) if unit]
        if len(units) > 1:
            what = f"the weights are in {' and '.join(units)}"
            row = int(str(table.words(column).eq(units[1]).idxmax()))
            table.report(what, "write all weights in kg", row=row, column=column)
        elif units:
            return {"unit": units[0]}
    if re.search(r"(?:wt|weight)[^a-z]*(?:lbs?|pounds?)\W*$", weight, re.IGNORECASE):
        return {"unit": "lb"}
    return {}


def _description(table: RawTable, column: str, name: str) -> dict[str, str]:
    """The declaration of a column of the user's own: a covariate, or a note where its cells are dates, or the
    unit of another column, of which several are reported.
    """
    if are_dates(table, column):
        return {"role": "note", "kind": "category"}
    measured = column[:-1]
    if column[-1:].upper() == "U" and measured in table:
        units = [unit for unit in dict.fromkeys(table.words(column)) if unit]
        if not all(is_number(unit) for unit in units):
            if len(units) > 1:
                what = f"{measured} is in several units: {', '.join(units[:6])}"
                row = int(str(table.words(column).eq(units[1]).idxmax()))
                shown = table.names.get(column, column)
                remedy = f"write it in one unit, or leave both columns out (--drop {measured},{shown})"
                table.report(what, remedy, row=row, column=column)
            return {"role": "note", "kind": "category"}
    return {"role": "covariate", "kind": kind_of(table, column, name)}


def _like_number(cell: str) -> bool:
    """Whether a cell is a number, or one with a mark that is said where numbers are read: `61,5`, `<5`."""
    return is_number(cell) or re.match(r"^[<>≤≥]?\s*[+-]?\d+([.,]\d+)*$", cell) is not None


def kind_of(table: RawTable, column: str, name: str) -> str:
    """Whether a covariate is a number or a category; words among numbers are reported."""
    cells = table.cells(column)[~table.missing(column)]
    coded = table.cells(column).isin(["-99", "-999", "-9999"]) & (not cells.map(is_number).all())
    what = "in many tables this number stands for a missing one, and the other cells are words"
    table.flag(coded, column, what, "write NA, or leave the cell empty")
    numeric = cells.map({cell: _like_number(cell) for cell in dict.fromkeys(cells)}).astype(bool)
    if numeric.all():
        return "number"
    if numeric.sum() < len(numeric) / 2:
        return "category"
    shown = table.names.get(column, column)
    what = "a word in a column of numbers"
    remedy = f"write NA if the number is missing; if these are categories, say `{name} = {{ role = "
    remedy += (
        f'"covariate", kind = "category" }}` under [columns.subjects] in {table.dictionary}; or leave the '
    )
    remedy += f"column out (--drop {shown})"
    for word in dict.fromkeys(cells[~numeric]):
        table.flag(table.cells(column).eq(word), column, what, remedy)
    return "category"


def _unknown_columns(table: RawTable, spec: EventTable, file: str) -> Iterator[Problem]:
    """Problems of columns that the description names and the table does not have."""
    named = [("weight_column", spec.weight_column), ("cycle_column", spec.cycle_column)]
    named += [("drop", name) for name in spec.drop]
    named += [("columns", name) for name in spec.columns]
    for key, name in named:
        if name is not None and name not in table and name not in table.names.values():
            remedy = did_you_mean(name, table.columns)
            yield Problem(f"{key} names no column of the table", remedy, file=file, value=name)
