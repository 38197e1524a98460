"""`import_study`: a lab's sheets into a study folder, with a list of how every cell was read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tomli_w
from pandas import DataFrame

from kinetics.arguments import require
from kinetics.errors import InputError, Problem, StudyError, did_you_mean
from kinetics.files import whole_folder, write_atomic
from kinetics.lab_sheet.entries import entry_table
from kinetics.lab_sheet.grid import Grid, read_grids
from kinetics.lab_sheet.import_file import ImportFile, import_toml, read_import_file
from kinetics.lab_sheet.interpretation import Interpretation, interpret
from kinetics.lab_sheet.proposal import proposal_text
from kinetics.lab_sheet.questions import PROPOSED, QUESTIONS, Item, Question, item_answers
from kinetics.lab_sheet.sheet_reading import SheetReading, read_sheet
from kinetics.spreadsheets import csv_text, shown_csv_text
from kinetics.study import Study, read_study, validate_study

__all__ = ["INTERPRETATIONS", "Imported", "OpenQuestions", "import_study", "run_import"]

INTERPRETATIONS = "interpretations.csv"
Ask = Callable[[Question, int, str], str]


class OpenQuestions(StudyError):
    """Questions that only the user can answer. The TOML that holds them is written at `toml`.

    `questions` are the open ones.
    """

    def __init__(self, problems: Sequence[Problem], questions: Sequence[Question], toml: Path) -> None:
        super().__init__(problems)
        self.questions = tuple(questions)
        self.toml = toml


@dataclass(frozen=True)
class Imported:
    """What an import made: the `folder` of the study and the `toml` with every reading.

    `interpretations` is the list in the folder's interpretations.csv, with the columns about, sheet, written,
    read_as, basis (written, guess, answer or toml), count and cells.

    >>> from pathlib import Path
    >>> text = "Patient,Day,CAR copies (copies/ug DNA)\\nP1,0,<50\\nP1,7,1200\\nP1,28,BLQ\\n"
    >>> count = Path("trial.csv").write_text(text)
    >>> made = kn.import_study("trial.csv", "data/trial", answers={"infusion": "car_t 1e8 cells"})
    >>> made.folder.name, made.toml.name, made.study.observations["censored"].tolist()
    ('trial', 'trial.import.toml', ['left', 'none', 'left'])
    >>> made.interpretations.query("written == '<50'")[["about", "read_as", "cells"]].values.tolist()
    [['cells of car_copies', 'below 50', 'C2']]
    """

    folder: Path
    toml: Path
    interpretations: DataFrame

    @property
    def study(self) -> Study:
        """The study, read from its folder."""
        return read_study(self.folder)


def _toml_beside(out: Path) -> Path:
    """The TOML of the study folder `out`: data/trial.import.toml beside data/trial."""
    return out.with_name(f"{out.name}.import.toml")


def import_study(
    files: str | Path | Sequence[str | Path] = (),
    out: str | Path | None = None,
    *,
    answers: Mapping[str, object] | None = None,
    again: str | Path | None = None,
    force: bool = False,
) -> Imported:
    """Make a study folder of a lab's own sheets: Excel or CSV, wide or long, patients in rows or columns.

    `files` are the sheets of one study, joined by their patients, and `out` is the folder to make. By default
    it is data/NAME, as the first file is called. Every reading is kept in OUT.import.toml, which is read when
    it is there; `again` names another one, for the next data cut, and its files are the default. `answers`
    answers questions: infusion, units, words, limits, times, dates, numbers, same_time, each with a text such
    as `copies = copies/ug DNA`, a dictionary of its items, or `proposed`.

    StudyError with all problems where a sheet cannot be read, and where a question is open: the TOML is
    written then, and the study is not. InputError for an answer to what is not asked. Nothing is replaced
    without `force`, but for the TOML.

    >>> from pathlib import Path
    >>> count = Path("qpcr.csv").write_text("Patient;D7;D14;M2\\nP1;1 250;3,5E+05;ND\\n")
    >>> try:
    ...     made = kn.import_study("qpcr.csv")
    ... except kn.errors.StudyError as error:
    ...     [problem.what.partition(":")[0] for problem in error.problems]
    ['units', 'words', 'limits', 'infusion']
    >>> made = kn.import_study(
    ...     "qpcr.csv",
    ...     answers={
    ...         "units": "copies/ug DNA",
    ...         "words": {"ND": "not detected"},
    ...         "limits": {"qpcr": 50},
    ...         "infusion": "car_t 1e8 cells",
    ...     },
    ... )
    >>> made.study.observations[["time", "value", "censored"]].values.tolist()
    [[7.0, 1250.0, 'none'], [14.0, 350000.0, 'none'], [60.875, 50.0, 'left']]
    """
    return run_import(files, out, answers=answers, again=again, force=force)


def run_import(
    files: str | Path | Sequence[str | Path],
    out: str | Path | None,
    *,
    answers: Mapping[str, object] | None = None,
    again: str | Path | None = None,
    force: bool = False,
    ask: Ask | None = None,
    tell: Callable[[str], None] | None = None,
) -> Imported:
    """`import_study`, with somebody to ask.

    `tell` is called with the proposal, as text, before the questions. `ask` is called with a question, its
    number and what was wrong with the answer before ("" at first), and returns the answer.
    """
    require(files=(files, str | Path | list | tuple))
    paths = [Path(files)] if isinstance(files, str | Path) else [Path(file) for file in files]
    content, toml, folder = _content(paths, out, again)
    paths = paths or [Path(file) for file in content.files]
    if folder.exists() and not force:
        remedy = "choose another folder with --out, or replace it with --force"
        raise StudyError(Problem("something is there already", remedy, file=str(folder)))
    grids = _with_known_names(read_grids(paths), paths, content)
    read = {grid.sheet: read_sheet(grid, _table(content, grid)) for grid in grids}
    readings = [reading for reading in read.values() if reading is not None]
    left_out = [name for name, reading in read.items() if reading is None]
    if not readings:
        raise StudyError([_without_patients(grid) for grid in grids])
    event_tables = [reading for reading in readings if _is_event_table(reading)]
    if event_tables:
        raise StudyError([_read_as_it_is(reading) for reading in event_tables])
    known = content.by_item
    made = interpret(readings, content, known, folder.name)
    known, made = _with_answers(readings, content, known, made, folder.name, answers=answers or {})
    if tell is not None:
        tell(proposal_text(readings, left_out, made.entries))
    if ask is not None and not made.problems:
        known, made = _asked(readings, content, known, made, folder.name, ask=ask)
    content = content.model_copy(update={"files": [str(path) for path in paths], "out": str(folder)})
    text = import_toml(
        content,
        known,
        made.questions,
        readings,
        left_out,
        spellings=made.spellings,
        analytes=made.analytes,
    )
    write_atomic(toml, text)
    if made.questions:
        problems = [*made.problems, *(_open(question, toml) for question in made.questions)]
        raise OpenQuestions(problems, made.questions, toml)
    if made.problems:
        raise StudyError(made.problems)
    table = entry_table(made.entries)
    _write(folder, made, table, force=force)
    return Imported(folder, toml, table)


def _asked(
    readings: Sequence[SheetReading],
    content: ImportFile,
    known: dict[str, dict[str, str]],
    made: Interpretation,
    title: str,
    *,
    ask: Ask,
) -> tuple[dict[str, dict[str, str]], Interpretation]:
    """The answers with those to every open question, and the interpretation by them.

    An answer that is not read is asked for again.
    """
    count = 1
    complaint = ""
    while made.questions:
        question = made.questions[0]
        try:
            reply = item_answers(question, ask(question, count, complaint))
            answers = {**known, question.key: {**known.get(question.key, {}), **reply}}
            tried = interpret(readings, content, answers, title)
            if tried.problems:
                raise StudyError(tried.problems)
        except InputError as error:
            complaint = str(error)
            continue
        complaint = ""
        count += 1
        known = answers
        made = tried
    return known, made


def _content(
    paths: Sequence[Path], out: str | Path | None, again: str | Path | None
) -> tuple[ImportFile, Path, Path]:
    """The content of the TOML, its path, and the folder of the study."""
    if again is not None:
        content = _known(Path(again))
        folder = Path(out or content.out)
        return content, Path(again) if out is None else _toml_beside(folder), folder
    if not paths:
        raise StudyError(Problem("no file to import", "name a workbook or a CSV, or a TOML with --again"))
    folder = Path(out) if out is not None else Path("data") / paths[0].stem.lower().replace(" ", "_")
    toml = _toml_beside(folder)
    return _known(toml) if toml.is_file() else ImportFile(), toml, folder


def _known(toml: Path) -> ImportFile:
    """The content of a TOML. StudyError where it answers what is no question."""
    content = read_import_file(toml)
    problems = [
        Problem(f"answers: no question {key!r}", did_you_mean(key, QUESTIONS), file=toml.name)
        for key in content.answers
        if key not in QUESTIONS
    ]
    if problems:
        raise StudyError(problems)
    return content


def _with_known_names(grids: list[Grid], paths: Sequence[Path], content: ImportFile) -> list[Grid]:
    """The sheets, each CSV with the name that the TOML has for the file in its place.

    The next data cut has another file name.
    """
    named = dict(zip((path.name for path in paths), content.files, strict=False))
    return [
        replace(grid, sheet=Path(named[grid.file]).stem)
        if grid.how and grid.file in named and grid.sheet not in content.sheets
        else grid
        for grid in grids
    ]


def _table(content: ImportFile, grid: Grid) -> dict[str, Any]:
    table = content.sheets.get(grid.sheet)
    return {} if table is None else table.model_dump(exclude_none=True)


def _without_patients(grid: Grid) -> Problem:
    remedy = "name the column of patients `Patient` in the sheet"
    return Problem("no column of patients", remedy, file=f"{grid.file} [{grid.sheet}]")


def _is_event_table(reading: SheetReading) -> bool:
    """Whether a sheet is a NONMEM table: ID with EVID, or with DV and AMT."""
    names = {name.strip().upper() for name in reading.header.names}
    return "ID" in names and ("EVID" in names or {"DV", "AMT"} <= names)


def _read_as_it_is(reading: SheetReading) -> Problem:
    what = "a table with a row for each dose and record (ID, AMT, DV, EVID), not a lab's sheet"
    remedy = f"it is read as it is: `kinetics validate {reading.grid.file}` says what it lacks"
    return Problem(what, remedy, file=f"{reading.grid.file} [{reading.name}]")


def _with_answers(
    readings: Sequence[SheetReading],
    content: ImportFile,
    known: dict[str, dict[str, str]],
    interpretation: Interpretation,
    title: str,
    *,
    answers: Mapping[str, object],
) -> tuple[dict[str, dict[str, str]], Interpretation]:
    """The answers with those of the call, and the interpretation by them.

    InputError for an answer to what is no question, or to an item that is not asked.
    """
    for key in answers:
        if key not in QUESTIONS:
            raise InputError(Problem(f"no question {key!r}", did_you_mean(key, QUESTIONS)))
    for key in QUESTIONS:
        question = next((one for one in interpretation.questions if one.key == key), None)
        if key not in answers:
            continue
        answer = answers[key]
        if isinstance(answer, Mapping):
            reply = {str(item): str(value) for item, value in answer.items()}
            unknown = [
                item for item in reply if question and item not in {one.name for one in question.items}
            ]
            if unknown and question is not None:
                names = [item.name for item in question.items]
                raise InputError(Problem(f"{key}: no item {unknown[0]!r}", did_you_mean(unknown[0], names)))
        elif question is None and (answer == PROPOSED or interpretation.problems):
            continue
        elif question is None:
            reply = item_answers(_answered(key, known), str(answer))
        else:
            reply = item_answers(question, str(answer))
        known = {**known, key: {**known.get(key, {}), **reply}}
        interpretation = interpret(readings, content, known, title)
    return known, interpretation


def _answered(key: str, known: Mapping[str, Mapping[str, str]]) -> Question:
    """A question with its answers as proposals, to be answered anew. InputError where it has none."""
    if not known.get(key):
        raise InputError(Problem(f"{key}: nothing is asked", "leave the answer out: the sheets say it"))
    return Question(key, tuple(Item(name, answer) for name, answer in known[key].items()))


def _open(question: Question, toml: Path) -> Problem:
    """The Problem of an open question."""
    names = ", ".join(item.name for item in question.items)
    remedy = f"answer it there, under [answers]: {question.key}.{_quoted(question.items[0].name)} = ..."
    return Problem(f"{question.key}: {question.text} {names}", remedy, file=str(toml))


def _quoted(name: str) -> str:
    """A key as TOML writes it."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)


def _write(folder: Path, made: Interpretation, table: DataFrame, *, force: bool) -> None:
    """Write the study folder whole or not at all. StudyError where the study would have problems."""
    with whole_folder(folder, replace=force) as partial:
        (partial / "dictionary.toml").write_text(tomli_w.dumps(dict(made.dictionary)), encoding="utf-8")
        for name, content in made.tables.items():
            (partial / f"{name}.csv").write_text(csv_text(content, f"{name}.csv"), encoding="utf-8")
        (partial / "interpretations.csv").write_text(shown_csv_text(table), encoding="utf-8")
        problems = validate_study(partial)
        if problems:
            raise StudyError([_in_the_sheet(problem, made) for problem in problems])


def _in_the_sheet(problem: Problem, made: Interpretation) -> Problem:
    """A Problem of observations.csv as one of the sheet that the record comes from."""
    if problem.file == "observations.csv" and problem.row is not None and problem.row - 2 < len(made.places):
        sheet, row = made.places[problem.row - 2]
        return replace(problem, file=f"sheet {sheet}", row=row)
    return problem
