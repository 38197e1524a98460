"""`dictionary.toml`: what each column and analyte of a study means, and the source and licence of its data.

`Dictionary` is the whole file. `read_dictionary`, `dictionary_of` and `make_dictionary` give one with its
Problems, from a file, a text and parsed content.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from kinetics.errors import Problem, StudyError, did_you_mean
from kinetics.study.sources.cdisc import snake
from kinetics.toml import Spec, keys_at, parse_toml, read_toml, remedy_at
from kinetics.units import UnitError, canonical_unit, dimension

__all__ = [
    "NOT_DECLARED",
    "AdamTable",
    "Analyte",
    "Column",
    "Columns",
    "Dictionary",
    "EventTable",
    "dictionary_of",
    "make_dictionary",
    "read_dictionary",
    "wrong_types",
]

Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
ByCode = str | dict[str, str]
NOT_DECLARED = "not_declared"  # assay or site of an analyte that a table names and nobody describes


class _Table(Spec):
    """A table of the dictionary. No value is converted: `synthetic = "yes"` is an error."""

    model_config = ConfigDict(strict=True)
    refusal = StudyError


class Analyte(_Table):
    """One measured quantity: its assay, the site it was sampled from, its unit, and its limits of
    quantification in that unit.

    `scale` says how the file writes the numbers; the canonical table is always linear. `product` is the one
    whose cells the assay counts, without it any or none: a decision about the dose of one product does not
    look at the counts of another.
    """

    label: Text
    assay: Name
    site: Name
    unit: Text
    lloq: float | None = Field(default=None, gt=0)
    uloq: float | None = Field(default=None, gt=0)
    scale: Literal["linear", "log10", "ln"] = "linear"
    product: Name | None = None

    @field_validator("unit")
    @classmethod
    def _as_written_here(cls, unit: str) -> str:
        try:
            return canonical_unit(unit)
        except UnitError:
            return unit  # said below, at the analyte

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if dimension(self.unit) in ("cells per body surface", "mass per body surface"):
            raise ValueError(f"unknown unit {self.unit!r} of a measurement: only doses are per m2")
        if self.lloq is not None and self.uloq is not None and self.uloq <= self.lloq:
            raise ValueError(f"uloq {self.uloq:g} is not above lloq {self.lloq:g}: exchange or correct them")
        return self


class Column(_Table):
    """One column: its unit, and for a column of the user's own its role, codes, kind and label.

    `codes` maps what the file writes to what it means, or lists the labels that are allowed.
    """

    unit: Text | None = None
    role: Literal["covariate", "note"] | None = None
    codes: dict[str, str] | list[str] | None = None
    kind: Literal["number", "category"] | None = None
    label: str = ""

    @property
    def labels(self) -> dict[str, str] | None:
        """Code -> label, or None where the column has no codes."""
        if isinstance(self.codes, list):
            return {code: code for code in self.codes}
        return self.codes

    @property
    def numeric(self) -> bool:
        """Whether the cells are numbers: declared so, or with a unit and neither a kind nor codes."""
        if self.kind is not None:
            return self.kind == "number"
        return self.codes is None and self.unit is not None


class Columns(_Table):
    """The columns of each table that have a unit, a role or codes to declare."""

    subjects: dict[str, Column] = Field(default={})
    doses: dict[str, Column] = Field(default={})
    observations: dict[str, Column] = Field(default={})
    events: dict[str, Column] = Field(default={})
    responses: dict[str, Column] = Field(default={})


class _SingleTable(_Table):
    """What a study in a single table cannot say itself; one word for all rows, or one per code."""

    time_unit: Text | None = None
    dose_unit: ByCode | None = None
    dv_unit: ByCode | None = None
    route: ByCode | None = None
    product: ByCode | None = None
    analyte: ByCode | None = None
    weight_column: Text | None = None
    cycle_column: Text | None = None
    columns: dict[str, Name] = Field(default={})
    drop: list[str] = Field(default=[])


class EventTable(_SingleTable):
    """How to read a single NONMEM or Monolix table; see `kinetics.study.sources.nonmem`.

    `route`, `product` and `dose_unit` are one word, or one per ADM (or CMT) code. `analyte` is one name, or
    one per DVID (or CMT) code. `subject` maps the numbers that NM-TRAN needs as IDs to the names of the
    subjects. `columns` maps the column of a covariate to the study's name of it.
    """

    subject: dict[str, str] = Field(default={})


class AdamTable(_SingleTable):
    """How to read a single ADPC- or ADPPK-shaped table; see `kinetics.study.sources.adam`.

    `analyte` maps a PARAMCD to an analyte, `columns` a subject-level variable to the study's name of it. The
    units here hold where the unit variables of the table (FRLTU, DOSEU, AVALU) are empty.
    """

    subject: Text = "USUBJID"
    time: Text = "AFRLT"


class Dictionary(_Table):
    """The dictionary of a study: provenance, analytes and columns.

    `screening_days` is the longest time before a subject's first dose at which a record may lie.
    `without_doses` says that nobody was dosed: a natural history, a challenge, an endogenous marker. Such a
    study has no table of doses. Without this word a missing table of doses is a mistake.
    """

    title: Text
    source: Text
    licence: Text
    synthetic: bool
    note: str = ""
    screening_days: float = Field(default=60.0, ge=0)
    without_doses: bool = False
    analytes: dict[str, Analyte] = Field(default={})
    columns: Columns = Columns()
    event_table: EventTable | None = None
    adam: AdamTable | None = None


_REMEDIES = {
    "title": 'add `title = "..."`',
    "source": 'add `source = "..."`, the citation of the data',
    "licence": 'add `licence = "..."`',
    "synthetic": "add `synthetic = true` for simulated data, `synthetic = false` for measured data",
    "unit": 'add `unit = "..."`',
}


# provenance with which the tables are checked where it is missing; the study is refused all the same
_STAND_IN = {"title": "missing", "source": "missing", "licence": "missing", "synthetic": True}


Described = tuple[Dictionary | None, list[Problem]]


def read_dictionary(path: Path) -> Described:
    """Read a dictionary.toml. Return the Dictionary (None where it cannot be used) and its Problems."""
    try:
        content = read_toml(path, StudyError, file=path.name)
    except StudyError as error:
        return None, list(error.problems)
    return make_dictionary(content, path.name)


def dictionary_of(text: str, file: str) -> Described:
    """The Dictionary of a TOML text (None where it cannot be used) and its Problems, which name `file`."""
    try:
        content = parse_toml(text, StudyError, file=file)
    except StudyError as error:
        return None, list(error.problems)
    return make_dictionary(content, file)


def make_dictionary(content: Mapping[str, object], file: str) -> Described:
    """The Dictionary of parsed TOML and its Problems, which name `file`.

    Where there are Problems, the Dictionary is a stand-in with which the tables can still be checked, or None
    where none can be made.
    """
    try:
        return Dictionary.model_validate(content), []
    except ValidationError as error:
        details = error.errors()
    problems = [
        _problem(file, detail["loc"], detail["type"], detail["msg"], detail.get("input"))
        for detail in details
    ]
    patched = _patched(content, [(detail["loc"], detail["type"]) for detail in details])
    if patched is None:
        return None, problems
    dictionary, more = make_dictionary(patched, file)
    return dictionary, problems + more


def wrong_types(content: Mapping[str, object], file: str) -> list[Problem]:
    """Problems of the values whose type is wrong: a number where a text or a table is wanted."""
    try:
        Dictionary.model_validate(content)
    except ValidationError as error:
        return [
            _problem(file, detail["loc"], detail["type"], detail["msg"], detail.get("input"))
            for detail in error.errors()
            if detail["type"].endswith("_type")
        ]
    return []


def _patched(
    content: Mapping[str, object], errors: Sequence[tuple[Sequence[object], str]]
) -> dict[str, Any] | None:
    """Content without unknown keys and with provenance filled in; None where there are other errors."""
    copy: dict[str, Any] = deepcopy(dict(content))
    for loc, kind in errors:
        table = copy
        key = str(loc[-1]) if loc else ""
        for part in loc[:-1]:
            table = table[str(part)]
        if kind == "extra_forbidden":
            del table[key]
        elif kind == "missing" and len(loc) == 1 and key in _STAND_IN:
            table[key] = _STAND_IN[key]
        else:
            return None
    return copy


def _problem(file: str, loc: Sequence[object], kind: str, message: str, value: object) -> Problem:
    """One of pydantic's errors as a Problem: the full path of the key, what is wrong, what to write."""
    path = ".".join(str(part) for part in loc)
    key = str(loc[-1]) if loc else ""
    if kind == "missing":
        return Problem("the key is missing", _REMEDIES.get(key, f"add `{key} = ...`"), file=file, column=path)
    if kind == "extra_forbidden":
        remedy = did_you_mean(key, keys_at(loc[:-1], Dictionary))
        return Problem("unknown key", remedy, file=file, column=path)
    if kind == "string_pattern_mismatch" and (name := snake(str(value))):
        what = "a name has lower-case letters, digits and _"
        return Problem(what, f"write it {name!r}", file=file, column=path, value=str(value))
    what = message.removeprefix("Value error, ")
    shown = "" if isinstance(value, dict | BaseModel) else str(value)
    return Problem(
        what, _REMEDIES.get(key) or remedy_at(loc, Dictionary), file=file, column=path, value=shown
    )
