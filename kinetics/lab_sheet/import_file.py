"""The TOML of an import: the answers, the open questions, and the reading of every column.

`ImportFile` is its content. `read_import_file` reads one, and `import_toml` writes one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pydantic import Field, ValidationError

from kinetics.errors import StudyError
from kinetics.lab_sheet.analytes import AnalyteFacts
from kinetics.lab_sheet.patients import Spelling
from kinetics.lab_sheet.questions import ALL, OPEN, QUESTIONS, Answers, Question
from kinetics.lab_sheet.sheet_reading import SheetReading
from kinetics.lab_sheet.time_labels import MONTH_DAYS
from kinetics.toml import Spec, problems_of, read_toml

__all__ = ["ImportFile", "import_toml", "read_import_file"]

Layout = Literal["patients in rows", "patients in columns", "left out"]


class _Table(Spec):
    refusal = StudyError


class _StudyFacts(_Table):
    """What no sheet says of a study, for its dictionary."""

    title: str = ""
    source: str = ""
    licence: str = "not declared"
    synthetic: bool = False


class _AnalyteTable(_Table):
    """The label, assay and site of an analyte."""

    label: str
    assay: str = "not_declared"
    site: str = "blood"


class _SheetTable(_Table):
    """How a sheet is read: `header_rows` are its first and its last, counted from 1."""

    layout: Layout = "patients in rows"
    header_rows: list[int] | None = Field(default=None, min_length=2, max_length=2)
    columns: dict[str, str] = Field(default={})


class ImportFile(_Table):
    """The whole TOML. An answer that begins with `?` is open."""

    files: list[str] = Field(default=[])
    out: str = ""
    month_days: float = Field(default=MONTH_DAYS, gt=27, lt=32)
    leave_out: list[str] = Field(default=[])
    study: _StudyFacts = _StudyFacts()
    answers: dict[str, str | dict[str, str | float]] = Field(default={})
    patients: dict[str, str] = Field(default={})
    analytes: dict[str, _AnalyteTable] = Field(default={})
    sheets: dict[str, _SheetTable] = Field(default={})

    @property
    def by_item(self) -> dict[str, dict[str, str]]:
        """The answers, each question with its items."""
        return {
            key: {item: _text(answer) for item, answer in value.items()}
            if isinstance(value, dict)
            else {ALL: value}
            for key, value in self.answers.items()
        }


def _text(answer: str | float) -> str:
    return answer if isinstance(answer, str) else f"{answer:.10g}"


def read_import_file(path: Path) -> ImportFile:
    """The TOML of an earlier import. StudyError with everything that is wrong with it."""
    content = read_toml(path, StudyError)
    try:
        return ImportFile.model_validate(content)
    except ValidationError as error:
        raise StudyError(problems_of(error, path.name, ImportFile)) from error


def import_toml(
    content: ImportFile,
    answers: Answers,
    questions: Sequence[Question],
    readings: Sequence[SheetReading],
    left_out: Sequence[str],
    spellings: Sequence[Spelling],
    analytes: Mapping[str, AnalyteFacts],
) -> str:
    """The text of the TOML: open questions first, then every reading.

    What the earlier TOML says of sheets and patients that are not in these files stays.
    """
    lines = [
        "# How `kinetics import` reads these files. Change what is wrong, then give the command again.",
        "# An answer that begins with ? is open: write it, or delete the ? and take the proposal after it.",
        "",
        *_lines({"files": content.files, "out": content.out, "month_days": content.month_days}),
        *_lines({"leave_out": content.leave_out}),
        "",
        "[study]",
        *_lines(content.study.model_dump()),
    ]
    open_of = {question.key: question for question in questions}
    lines += ["", "[answers]"]
    for key in ("infusion", *(name for name in QUESTIONS if name != "infusion")):
        lines += _answer_lines(key, answers.get(key, {}), open_of.get(key))
    names = content.patients | {spelling.written: spelling.patient for spelling in spellings}
    if names:
        lines += ["", "[patients]  # name in a sheet = the patient", *_lines(names)]
    for name, facts in analytes.items():
        lines += ["", f"[analytes.{_key(name)}]"]
        lines += _lines({"label": facts.label, "assay": facts.assay, "site": facts.site})
    for name, table in content.analytes.items():
        if name not in analytes:
            lines += ["", f"[analytes.{_key(name)}]", *_lines(table.model_dump())]
    for reading in readings:
        earlier = content.sheets.get(reading.name, _SheetTable())
        lines += ["", f"[sheets.{_key(reading.name)}]"]
        rows = [reading.header.first + 1, reading.header.last + 1]
        lines += _lines({"layout": reading.layout, "header_rows": rows})
        lines.append(f"[sheets.{_key(reading.name)}.columns]")
        columns = {
            key: str(use)
            for key, use, basis in zip(reading.keys, reading.uses, reading.bases, strict=True)
            if not (use.kind == "left out" and basis == "written")
        }
        lines += _lines(earlier.columns | columns)
    for name in left_out:
        lines += ["", f"[sheets.{_key(name)}]", 'layout = "left out"  # no column of patients']
    for name, sheet in content.sheets.items():
        if name not in left_out and name not in {reading.name for reading in readings}:
            lines += ["", tomli_w.dumps({"sheets": {name: sheet.model_dump(exclude_none=True)}}).strip()]
    return "\n".join(lines) + "\n"


def _answer_lines(key: str, answers: Mapping[str, str], question: Question | None) -> list[str]:
    """The lines of a question: its text, then a line for each item, the open ones with where they are."""
    items = {name: answer for name, answer in answers.items() if not answer.startswith(OPEN)}
    comments: dict[str, str] = {}
    for item in question.items if question is not None else ():
        items[item.name] = f"{OPEN} {item.proposal}" if item.proposal else OPEN
        comments[item.name] = f"  # {item.where}" if item.where else ""
    if not items:
        return []
    text, choices = QUESTIONS[key]
    choices = (question.choices if question is not None else "") or choices
    lines = ["", f"# {text} {choices}"]
    if set(items) == {ALL}:
        return [*lines, f"{_lines({key: items[ALL]})[0]}{comments.get(ALL, '')}"]
    return [
        *lines,
        *(f"{key}.{_lines({name: answer})[0]}{comments.get(name, '')}" for name, answer in items.items()),
    ]


def _lines(table: Mapping[str, Any]) -> list[str]:
    """`key = value` for each key, a line each."""
    return [f"{_key(key)} = {_value(value)}" for key, value in table.items()]


def _key(key: str) -> str:
    """A key as TOML writes it."""
    return tomli_w.dumps({key: 1}).rpartition(" = ")[0]


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return tomli_w.dumps({"x": value}).partition(" = ")[2].strip()
