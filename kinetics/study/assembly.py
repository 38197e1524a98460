"""From the raw tables of a study to its canonical ones, with every check.

Every file is read, and a problem in one does not stop the reading of the next. The module of a table checks
that table; this one checks what only several tables, or several rows, show together.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from pandas import DataFrame, Series

from kinetics.errors import Problem, did_you_mean
from kinetics.files import not_readable
from kinetics.study.cells import nearest
from kinetics.study.dictionary import Dictionary, read_dictionary
from kinetics.study.doses import dose_table, no_doses
from kinetics.study.events import event_log, response_log
from kinetics.study.observations import observation_table
from kinetics.study.raw_table import RawTable, read_table
from kinetics.study.sources.parquet import read_parquet_table
from kinetics.study.subjects import subject_table

__all__ = [
    "DOSES_OR_NONE",
    "OPTIONAL_FILES",
    "REQUIRED_FILES",
    "Reading",
    "Tables",
    "build_tables",
    "by_subject",
    "read_folder",
    "table_files",
]

REQUIRED_FILES = ("subjects.csv", "doses.csv", "observations.csv")
OPTIONAL_FILES = ("events.csv", "responses.csv")

DOSES_OR_NONE = "if nobody was dosed, write `without_doses = true` in"  # before the name of the dictionary
_FETCH = "put the table there (of a link, fetch the data that it points to), or remove it"
_MOST_STUDIES = 10  # studies below a folder that are named
_MOST_GUESSES = 50  # unknown subjects for which the nearest listed one is sought
_TEXT = {  # table -> its standard columns of text
    "doses": ("subject", "unit", "product", "route", "level"),
    "observations": ("subject", "analyte", "censored"),
    "events": ("subject", "event", "grading_system"),
    "responses": ("subject",),
}


@dataclass(frozen=True)
class Tables:
    """The five canonical tables of a study and the dictionary that explains them."""

    dictionary: Dictionary
    subjects: DataFrame
    doses: DataFrame
    observations: DataFrame
    events: DataFrame
    responses: DataFrame


@dataclass(frozen=True)
class Reading:
    """The result of reading a study: its tables, None where there is any problem; all of its problems; and
    notes on what was set aside.
    """

    tables: Tables | None
    problems: list[Problem]
    notes: dict[str, object] = field(default_factory=dict)


def read_folder(folder: Path) -> Reading:
    """The canonical tables of a study folder."""
    if not os.path.isdir(folder):
        siblings = [path.name for path in folder.parent.iterdir()] if os.path.isdir(folder.parent) else []
        remedy = did_you_mean(folder.name, siblings) if siblings else "check the path"
        return Reading(None, [Problem("no such folder", remedy, file=str(folder))])
    try:
        present = {path.name for path in folder.iterdir()}
    except OSError as error:
        what = f"the folder cannot be read: {error.strerror}"
        return Reading(None, [Problem(what, "mend its permissions", file=str(folder))])
    files = table_files(folder)
    if not files and "dictionary.toml" not in present:
        below = list(_studies_below(folder))
        if below:
            what = "no study is in this folder itself, but below it"
            return Reading(None, [Problem(what, f"name one of: {', '.join(below)}", file=str(folder))])
    dictionary = None
    dictionary_problems: list[Problem] = []
    if "dictionary.toml" in present:
        dictionary, dictionary_problems = read_dictionary(folder / "dictionary.toml")
    without_doses = dictionary is not None and dictionary.without_doses
    problems = list(_file_problems(folder, present, files, without_doses=without_doses))
    problems += dictionary_problems
    raw: dict[str, RawTable | None] = {}
    for name, path in files.items():
        fault = not_readable(path)
        if fault:
            raw[name] = None
            problems.append(Problem(fault, _FETCH, file=path.name))
            continue
        read = read_parquet_table if path.suffix == ".parquet" else read_table
        raw[name], table_problems = read(path, may_be_empty=name in OPTIONAL_FILES)
        problems += table_problems
    if dictionary is None:
        return Reading(None, problems)
    return build_tables(dictionary, raw, earlier=problems)


def _studies_below(folder: Path) -> Iterator[str]:
    """The studies one or two folders below `folder`, as `kinetics new` and `kinetics import` place them."""
    for pattern in ("*/dictionary.toml", "*/*/dictionary.toml"):
        yield from (str(file.parent) for file in sorted(folder.glob(pattern))[:_MOST_STUDIES])


def _file_problems(
    folder: Path, present: set[str], files: Mapping[str, Path], *, without_doses: bool
) -> Iterator[Problem]:
    """Problems with the files of a study folder: tables that are there twice, missing, or misnamed."""
    for name in files:
        if {name, _parquet(name)} <= present:
            what = f"the table stands in {name} and in {_parquet(name)}"
            yield Problem(what, "keep one of them", file=folder.name)
    for name in ("dictionary.toml", *REQUIRED_FILES):
        needless = name == "doses.csv" and without_doses
        if name not in present and name not in files and not needless:
            yield _missing(name, present)
    for name in sorted(present):
        if _looks_like(name, present):
            yield _stray(name, present)


def table_files(folder: Path) -> dict[str, Path]:
    """Table (`subjects.csv` ...) -> the file it is read from: the CSV, else the Parquet file of that name.

    Tables without a file are left out. What has the name of a table and is no file that can be read, such as
    a link to data that were not fetched, is among them.
    """
    files = {}
    for name in (*REQUIRED_FILES, *OPTIONAL_FILES):
        for path in (folder / _parquet(name), folder / name):  # the CSV wins
            if os.path.lexists(path):
                files[name] = path
    return files


def _parquet(name: str) -> str:
    """The name of the Parquet file that may hold the table of a CSV: subjects.csv -> subjects.parquet."""
    return f"{name.removesuffix('.csv')}.parquet"


def _looks_like(name: str, present: Iterable[str]) -> list[str]:
    """The absent optional table that the file `name` was probably meant to be, in a list of at most one."""
    tables = (*REQUIRED_FILES, *OPTIONAL_FILES)
    if name in (*tables, *map(_parquet, tables), "dictionary.toml"):
        return []
    absent = [file for file in OPTIONAL_FILES if file not in present]
    return get_close_matches(name.lower(), absent, n=1, cutoff=0.8)


def _stray(name: str, present: Iterable[str]) -> Problem:
    """The Problem of a file that would be ignored, though it nearly has the name of a table."""
    remedy = f"rename it to {_looks_like(name, present)[0]!r}, or give it another name"
    return Problem("the file is not read: no table has this name", remedy, file=name)


def _missing(name: str, present: Iterable[str]) -> Problem:
    """The Problem of a required file that is not in the folder."""
    near = get_close_matches(name, sorted(present), n=1, cutoff=0.6)
    remedy = f"add {name}"
    if near and near[0] not in (*REQUIRED_FILES, *OPTIONAL_FILES):
        remedy = f"rename {near[0]!r} to {name!r}"
        if near[0].endswith((".xlsx", ".xls")):
            remedy = (
                f"save {near[0]!r} as 'CSV UTF-8' under the name {name!r}, or give the workbook as the study"
            )
    if name == "doses.csv" and remedy == f"add {name}":
        remedy += f"; {DOSES_OR_NONE} dictionary.toml"
    return Problem("the file is missing", remedy, file=name)


def build_tables(
    dictionary: Dictionary,
    raw: Mapping[str, RawTable | None],
    *,
    earlier: Sequence[Problem] = (),
    repeats: bool = True,
) -> Reading:
    """Canonical tables of raw ones, with every check; without those of two records or doses at one time where
    `repeats` is False, for what merges them was said already.

    `raw` maps `subjects.csv` ... to its table, None where it could not be read. The problems of the Reading
    are `earlier`, those found before, then those of the cells of every table, then those between tables.
    """
    problems = list(earlier)
    made: dict[str, DataFrame] = {}
    subjects, doses, observations = (raw.get(name) for name in REQUIRED_FILES)
    if subjects is not None:
        made["subjects"] = subject_table(subjects, dictionary)
    if doses is not None:
        listed = made.get("subjects", DataFrame({"weight_kg": Series(dtype=float)}))
        made["doses"] = dose_table(doses, dictionary, listed[~listed.index.duplicated()])
        if dictionary.without_doses:
            what = "the study is said to be without doses (without_doses = true), and has a table of them"
            problems.append(Problem(what, "delete one of the two", file=doses.file))
    elif dictionary.without_doses and "doses.csv" not in raw:
        made["doses"] = no_doses()
    if observations is not None:
        made["observations"] = observation_table(observations, dictionary)
    made["events"] = event_log(raw.get("events.csv"), dictionary)
    made["responses"] = response_log(raw.get("responses.csv"), dictionary)
    for name in (*REQUIRED_FILES, *OPTIONAL_FILES):
        table = raw.get(name)
        if table is not None:
            problems += table.problems
    problems += _problems_across(made, raw, dictionary, repeats=repeats)
    if problems or not {"subjects", "doses", "observations"} <= set(made):
        return Reading(None, problems)
    finished = {
        name: _with_text_columns(name, by_subject(table, made["subjects"]))
        for name, table in made.items()
        if name != "subjects"
    }
    return Reading(Tables(dictionary, subjects=made["subjects"], **finished), [])


def _problems_across(
    made: Mapping[str, DataFrame],
    raw: Mapping[str, RawTable | None],
    dictionary: Dictionary,
    *,
    repeats: bool,
) -> Iterator[Problem]:
    """Problems that only two tables, or two rows, together can show."""
    listed = list(made["subjects"].index) if "subjects" in made else None
    for name, table in made.items():
        source = raw.get(f"{name}.csv")
        if source is None or name == "subjects":
            continue
        if listed is not None:
            yield from _unknown_subjects(source, table, listed)
        if name in ("doses", "observations"):
            yield from _unsorted(source, table, "product" if name == "doses" else "analyte")
        if "doses" in made and name == "responses":
            yield from _responses_before_doses(source, table, made["doses"])
        if "doses" in made and name != "doses":
            yield from _too_early(source, table, made["doses"], dictionary.screening_days)
    observations = raw.get("observations.csv")
    if observations is not None and repeats:
        yield from _repeated_observations(observations, made["observations"])
    doses = raw.get("doses.csv")
    if doses is not None and repeats:
        yield from _repeated_doses(doses, made["doses"])
    if "doses" in made:
        yield from _analytes_of_no_product(dictionary, made["doses"])
    subjects = raw.get("subjects.csv")
    if subjects is not None and "doses" in made and not dictionary.without_doses:
        yield from _without_dose(subjects, made["subjects"], made["doses"])


def _unknown_subjects(source: RawTable, table: DataFrame, listed: list[str]) -> Iterator[Problem]:
    """A Problem for every subject with records that subjects.csv does not list, at its first record."""
    subjects = table["subject"][(table["subject"] != "") & ~table["subject"].isin(listed)]
    for place, (subject, rows) in enumerate(subjects.groupby(subjects, sort=False).groups.items()):
        what = "the subject is not in subjects.csv"
        if len(rows) > 1:
            what += f" ({len(rows)} rows)"
        guess = nearest(str(subject) if place < _MOST_GUESSES else "", listed)
        remedy = f"correct it, or add the subject to subjects.csv ({guess})"
        yield source.problem(what, remedy, row=int(rows[0]), column="subject")


def _unsorted(source: RawTable, table: DataFrame, within: str) -> Iterator[Problem]:
    """Problems of times that go back within a subject and its product or analyte."""
    step = table.groupby(["subject", within], sort=False, dropna=False)["time"].diff()
    what = f"the time goes back within the subject's {within}"
    remedy = "sort the rows by subject and time, or correct the time"
    yield from source.problems_where(step < 0, "time", what, remedy)


def _too_early(source: RawTable, table: DataFrame, doses: DataFrame, days: float) -> Iterator[Problem]:
    """Problems of records that lie longer before the subject's first dose than the screening window."""
    first_dose = table["subject"].map(doses.groupby("subject")["time"].min())
    what = f"more than {days:g} days before the subject's first dose"
    remedy = f"check the sign and the unit, or set screening_days in {source.dictionary}"
    yield from source.problems_where(table["time"] < first_dose - days, "time", what, remedy)


def _responses_before_doses(source: RawTable, table: DataFrame, doses: DataFrame) -> Iterator[Problem]:
    """Problems of responses that are said to be there before the subject's first dose."""
    if "overall" in table:
        first_dose = table["subject"].map(doses.groupby("subject")["time"].min())
        early = (table["time"] < first_dose) & table["overall"].notna()
        what = "a response before the subject's first dose"
        yield from source.problems_where(early, "overall", what, "leave `overall` empty at baseline")


def _repeated_observations(source: RawTable, observations: DataFrame) -> Iterator[Problem]:
    """Problems of a record that is there twice with the same value.

    Two records of one subject, time and analyte with different values are replicates, and both are records,
    as other programs take them. With the same value they may be one that was written twice. Where an event
    table does not say what DV is, its analyte is "" or "unknown", and two records of one time may come from
    two assays.
    """
    one_time = ["subject", "time", "analyte"]
    known = observations["time"].notna() & ~observations["analyte"].isin(["", "unknown"])
    same = [*one_time, *(name for name in ("value", "censored", "limit") if name in observations)]
    twice = known & observations["value"].notna() & observations.duplicated(same)
    what = "a second record of this subject, time and analyte, with the same value"
    remedy = "delete it if one sample was written twice; if two were taken, write the time of each"
    yield from source.problems_where(twice, "time", what, remedy)
    if "timing" in observations:
        timings = observations.groupby(one_time, dropna=False)["timing"].transform("nunique")
        both = known & ~twice & (timings > 1) & observations.duplicated(one_time)
        what = "a record before and a record after a dose, at one time"
        yield from source.problems_where(both, "time", what, "write when each sample was taken")


def _repeated_doses(source: RawTable, doses: DataFrame) -> Iterator[Problem]:
    """Problems of two doses of one product at one time by one route."""
    repeated = doses.duplicated(["subject", "time", "product", "route"]) & doses["time"].notna()
    what = "a second dose of this product by this route at the same time"
    remedy = "keep one row if they are one dose; if both were given, write when each was"
    yield from source.problems_where(repeated, "time", what, remedy)


def _analytes_of_no_product(dictionary: Dictionary, doses: DataFrame) -> Iterator[Problem]:
    """Problems of analytes that count the cells of a product that nobody received."""
    products = [str(product) for product in doses["product"].unique() if product]
    for name, analyte in dictionary.analytes.items():
        if analyte.product and products and analyte.product not in products:
            what = f"[analytes.{name}]: no dose is of its product {analyte.product!r}"
            remedy = f"correct it ({nearest(analyte.product, products)}), or leave `product` out"
            yield Problem(what, remedy, file="dictionary.toml")


def _without_dose(source: RawTable, subjects: DataFrame, doses: DataFrame) -> Iterator[Problem]:
    """Problems of subjects without a dose. One without a record is no problem: he counts for DLTs."""
    present = set(doses["subject"])
    if not present and len(subjects):
        remedy = f"add the doses; {DOSES_OR_NONE} {source.dictionary}"
        yield Problem("no subject has a dose", remedy, file=source.file)
        return
    absent = [bool(subject) and subject not in present for subject in subjects.index]
    remedy = f"add the doses, or remove the subject from {source.file}"
    yield from source.problems_where(absent, "subject", "the subject has no dose", remedy)


def by_subject(table: DataFrame, subjects: DataFrame) -> DataFrame:
    """A table sorted by subject (in the order of `subjects`), then by time; ties stay in file order."""
    place = {subject: rank for rank, subject in enumerate(subjects.index)}
    ranked = table.assign(rank=table["subject"].map(place)).reset_index(drop=True)
    return table.iloc[ranked.sort_values(["rank", "time"], kind="stable").index].reset_index(drop=True)


def _with_text_columns(name: str, table: DataFrame) -> DataFrame:
    """The table with its standard columns of text in pandas' string type."""
    return table.astype(dict.fromkeys(_TEXT[name], "str"))
