"""A file that a reader of the page opens: a table that reads as a study, or a lab's sheet that is imported.

The page asks what no sheet says, as `kinetics import` asks it on a terminal. The study folder is written
below data/, where `kinetics import` would write it, and stays there.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kinetics.errors import KineticsError, Problem, StudyError
from kinetics.files import not_a_name
from kinetics.lab_sheet import OpenQuestions, Question, run_import
from kinetics.study import Study, read_study

__all__ = ["MOST_BYTES", "SUFFIXES", "OpenedSheet", "kept_upload", "opened_sheet"]

MOST_BYTES = 50_000_000
SUFFIXES = (".csv", ".xlsx", ".xlsm", ".parquet")
_LONGEST = 500  # characters of an answer


@dataclass(frozen=True)
class OpenedSheet:
    """What became of a file: a `study`, the `questions` that it leaves open, or the `problems` with it.

    `proposal` is how each column is read, in lines. `folder` is where the study was written; None where the
    file itself is the study.
    """

    study: Study | None = None
    folder: Path | None = None
    proposal: str = ""
    questions: tuple[Question, ...] = ()
    problems: tuple[str, ...] = ()


def kept_upload(upload: Path, name: str, folder: Path) -> Path:
    """Copy an uploaded file into `folder` under its own name, and return the copy.

    StudyError for a name that is none, another kind of file, or more than 50 MB.
    """
    own_name = name.replace("\\", "/").rpartition("/")[2]
    fault = not_a_name(own_name)
    if fault:
        raise StudyError(Problem(f"{own_name!r} is no name of a file: {fault}", "give it a plain name"))
    if Path(own_name).suffix.lower() not in SUFFIXES:
        kinds = ", ".join(SUFFIXES)
        raise StudyError(Problem("not a table that is read here", f"save it as {kinds}", file=own_name))
    size = upload.stat().st_size
    if size > MOST_BYTES:
        what = f"{size / 1e6:.0f} MB, and at most {MOST_BYTES / 1e6:.0f} MB are taken here"
        raise StudyError(Problem(what, f"kinetics import {own_name}", file=own_name))
    copy = folder / own_name
    shutil.copyfile(upload, copy)
    return copy


def opened_sheet(file: Path, name: str, answers: Mapping[str, Mapping[str, str]]) -> OpenedSheet:
    """Read a file as a study, or else import it into data/`name` with the `answers` so far.

    `answers` are by question and item. A name that is none, and a folder that is there already, are problems.
    """
    try:
        return OpenedSheet(study=read_study(file))
    except StudyError as error:
        as_table = error
    fault = not_a_name(name)
    if fault:
        return OpenedSheet(problems=(f"The name of the study: {fault}",))
    too_long = [
        item for by_item in answers.values() for item, text in by_item.items() if len(text) > _LONGEST
    ]
    if too_long:
        return OpenedSheet(problems=(f"The answer for {too_long[0]} is longer than {_LONGEST} characters",))
    lines: list[str] = []
    folder = Path("data") / name
    given = {key: {k: v for k, v in by_item.items() if v.strip()} for key, by_item in answers.items()}
    try:
        made = run_import(
            [file],
            folder,
            answers={key: by_item for key, by_item in given.items() if by_item},
            tell=lines.append,
        )
        return OpenedSheet(study=made.study, folder=made.folder, proposal="\n".join(lines))
    except OpenQuestions as error:
        others = tuple(str(problem) for problem in error.problems if problem.file != str(error.toml))
        return OpenedSheet(proposal="\n".join(lines), questions=error.questions, problems=others)
    except KineticsError as error:
        problems = [str(error)]
        if not lines:  # it was not read as a lab's sheet at all
            problems.append(f"As a table with a row for each record: {as_table}")
        return OpenedSheet(proposal="\n".join(lines), problems=tuple(problems))
