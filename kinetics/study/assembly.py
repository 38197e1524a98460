"""From raw tables to canonical ones: every file is read, every problem is kept, none stops the next.

Each table is checked by the module named for it; what only two tables together can show is checked here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from pandas import DataFrame, Series

from kinetics.errors import Problem, did_you_mean
from kinetics.study.cells import flag, nearest
from kinetics.study.dictionary import Dictionary, read_dictionary
from kinetics.study.doses import dose_table
from kinetics.study.observations import observation_table
from kinetics.study.raw_table import RawTable, read_table
from kinetics.study.records import event_log, response_log
from kinetics.study.sources.parquet import read_parquet_table
from kinetics.study.subjects import subject_table

__all__ = [
    "OPTIONAL_FILES",
    "REQUIRED_FILES",
    "Tables",
    "build_tables",
    "by_subject",
    "read_folder",
    "table_files",
]

REQUIRED_FILES = ("subjects.csv", "doses.csv", "observations.csv")
OPTIONAL_FILES = ("events.csv", "responses.csv")

_TEXT = {  # table -> its standard columns of text
    "doses": ("subject", "unit", "product", "route", "level"),
    "observations": ("subject", "analyte", "censored"),
    "events": ("subject", "event", "grading_system"),
    "responses": ("subject",),
}


@dataclass(frozen=True)
class Tables:
    """The five canonical tables and the dictionary that explains them."""

    dictionary: Dictionary
    subjects: DataFrame
    doses: DataFrame
    observations: DataFrame
    events: DataFrame
    responses: DataFrame


def read_folder(folder: Path, problems: list[Problem]) -> Tables | None:
    """The canonical tables of a study folder; None where a file that all else needs cannot be read."""
    if not folder.is_dir():
        siblings = [path.name for path in folder.parent.iterdir()] if folder.parent.is_dir() else []
        remedy = did_you_mean(folder.name, siblings) if siblings else "check the path"
        problems.append(Problem("no such folder", remedy, file=str(folder)))
        return None
    present = {path.name for path in folder.iterdir()}
    files = table_files(folder)
    for name in files:
        if {name, _parquet(name)} <= present:
            what = f"the table stands in {name} and in {_parquet(name)}"
            problems.append(Problem(what, "keep one of them", file=folder.name))
    required = ("dictionary.toml", *REQUIRED_FILES)
    problems.extend(_missing(name, present) for name in required if name not in present | set(files))
    problems.extend(_stray(name, present) for name in sorted(present) if _looks_like(name, present))
    dictionary = None
    if "dictionary.toml" in present:
        dictionary = read_dictionary(folder / "dictionary.toml", problems)
    raw: dict[str, RawTable | None] = {}
    for name in (*REQUIRED_FILES, *OPTIONAL_FILES):
        read = read_parquet_table if name in files and files[name].suffix == ".parquet" else read_table
        raw[name] = read(files[name], problems) if name in files else None
    if dictionary is None:
        return None
    return build_tables(dictionary, raw, problems)


def table_files(folder: Path) -> dict[str, Path]:
    """Table (`subjects.csv` ...) -> the file it is read from: the CSV, or the Parquet file of the same
    name.
    """
    found = {}
    for name in (*REQUIRED_FILES, *OPTIONAL_FILES):
        there = [folder / file for file in (name, _parquet(name)) if (folder / file).is_file()]
        found.update({name: there[0]} if there else {})
    return found


def _parquet(name: str) -> str:
    return f"{name.removesuffix('.csv')}.parquet"


def _looks_like(name: str, present: Iterable[str]) -> list[str]:
    """The optional table a stray file name was probably meant to be."""
    tables = (*REQUIRED_FILES, *OPTIONAL_FILES)
    if name in (*tables, *map(_parquet, tables), "dictionary.toml"):
        return []
    wanted = [file for file in OPTIONAL_FILES if file not in present]
    return get_close_matches(name.lower(), wanted, n=1, cutoff=0.8)


def _stray(name: str, present: Iterable[str]) -> Problem:
    """A file that would be passed over in silence, though it nearly has a table's name."""
    remedy = f"rename it to {_looks_like(name, present)[0]!r}, or give it another name"
    return Problem("the file is not read: no table has this name", remedy, file=name)


def _missing(name: str, present: Iterable[str]) -> Problem:
    """A required file that is not in the folder."""
    near = get_close_matches(name, sorted(present), n=1, cutoff=0.6)
    remedy = f"add {name}"
    if near and near[0] not in (*REQUIRED_FILES, *OPTIONAL_FILES):
        remedy = f"rename {near[0]!r} to {name!r}"
        if near[0].endswith((".xlsx", ".xls")):
            remedy = (
                f"save {near[0]!r} as 'CSV UTF-8' under the name {name!r}, or give the workbook as the study"
            )
    return Problem("the file is missing", remedy, file=name)


def build_tables(
    dictionary: Dictionary, raw: Mapping[str, RawTable | None], problems: list[Problem]
) -> Tables | None:
    """Canonical tables of raw ones, all checks made; None where a required table is not readable."""
    made: dict[str, DataFrame] = {}
    subjects, doses, observations = (raw.get(name) for name in REQUIRED_FILES)
    if subjects is not None:
        made["subjects"] = subject_table(subjects, dictionary, problems)
    if doses is not None:
        weights = made["subjects"]["weight_kg"] if "subjects" in made else Series(dtype=float)
        weights = weights[~weights.index.duplicated()]
        made["doses"] = dose_table(doses, dictionary, weights, problems)
    if observations is not None:
        made["observations"] = observation_table(observations, dictionary, problems)
    made["events"] = event_log(raw.get("events.csv"), dictionary, problems)
    made["responses"] = response_log(raw.get("responses.csv"), dictionary, problems)
    _check_across(made, raw, dictionary, problems)
    if problems or not {"subjects", "doses", "observations"} <= set(made):
        return None
    ordered = {
        name: by_subject(table, made["subjects"]) for name, table in made.items() if name != "subjects"
    }
    typed = {name: _with_text_columns(name, table) for name, table in ordered.items()}
    return Tables(dictionary, subjects=made["subjects"], **typed)


def _check_across(
    made: Mapping[str, DataFrame],
    raw: Mapping[str, RawTable | None],
    dictionary: Dictionary,
    problems: list[Problem],
) -> None:
    """What only two tables, or two rows, together can show."""
    known = list(made["subjects"].index) if "subjects" in made else None
    for name, table in made.items():
        source = raw.get(f"{name}.csv")
        if source is None or name == "subjects":
            continue
        if known is not None:
            _unknown_subjects(source, table, known, problems)
        if name in ("doses", "observations"):
            _unsorted(source, table, "product" if name == "doses" else "analyte", problems)
        if "doses" in made and name != "doses":
            _too_early(source, table, made["doses"], dictionary.screening_days, problems)
    if "observations" in made and (source := raw["observations.csv"]) is not None:
        key = ["subject", "time", "analyte"]
        repeated = made["observations"].duplicated(key) & made["observations"]["time"].notna()
        unsaid = ["", "unknown"]  # an event table that does not say what DV is: two assays are no replicates
        repeated &= ~made["observations"]["analyte"].isin(unsaid)
        remedy = "keep one record, or average the replicates"
        flag(problems, source, repeated, "time", "a second record of this subject, time and analyte", remedy)
    if "doses" in made and (source := raw["doses.csv"]) is not None:
        key = ["subject", "time", "product", "route"]
        repeated = made["doses"].duplicated(key) & made["doses"]["time"].notna()
        what = "a second dose of this product by this route at the same time"
        flag(problems, source, repeated, "time", what, "keep one row, with the sum if both were given")
    if (subjects := raw.get("subjects.csv")) is not None:
        for name, word in (("doses", "dose"), ("observations", "observation")):
            if name in made:
                _without(subjects, made["subjects"], made[name], word, problems)


def _unknown_subjects(source: RawTable, table: DataFrame, known: list[str], problems: list[Problem]) -> None:
    """Records of a subject that subjects.csv does not list."""
    for subject in dict.fromkeys(table["subject"]):
        if subject and subject not in known:
            rows = table["subject"] == subject
            remedy = f"correct it, or add the subject to subjects.csv ({nearest(subject, known)})"
            first = rows & (rows.cumsum() == 1)
            what = "the subject is not in subjects.csv"
            what += f" ({int(rows.sum())} rows)" if rows.sum() > 1 else ""
            flag(problems, source, first, "subject", what, remedy)


def _unsorted(source: RawTable, table: DataFrame, within: str, problems: list[Problem]) -> None:
    """Times that go back within a subject (and analyte, or product)."""
    step = table.groupby(["subject", within], sort=False, dropna=False)["time"].diff()
    what = f"the time goes back within the subject's {within}"
    flag(problems, source, step < 0, "time", what, "sort the rows by subject and time, or correct the time")


def _too_early(
    source: RawTable, table: DataFrame, doses: DataFrame, days: float, problems: list[Problem]
) -> None:
    """Records longer before the subject's first dose than the screening window."""
    first = table["subject"].map(doses.groupby("subject")["time"].min())
    what = f"more than {days:g} days before the subject's first dose"
    remedy = f"check the sign and the unit, or set screening_days in {source.dictionary}"
    flag(problems, source, table["time"] < first - days, "time", what, remedy)


def _without(
    source: RawTable, subjects: DataFrame, table: DataFrame, word: str, problems: list[Problem]
) -> None:
    """Subjects without a dose, or without an observation."""
    mask = [bool(subject) and subject not in set(table["subject"]) for subject in subjects.index]
    remedy = f"add the {word}s, or remove the subject from {source.file}"
    flag(problems, source, mask, "subject", f"the subject has no {word}", remedy)


def by_subject(table: DataFrame, subjects: DataFrame) -> DataFrame:
    """A table by subject (in the order of `subjects`), then time; ties stay in file order."""
    place = {subject: rank for rank, subject in enumerate(subjects.index)}
    ranked = table.assign(rank=table["subject"].map(place)).reset_index(drop=True)
    return table.iloc[ranked.sort_values(["rank", "time"], kind="stable").index].reset_index(drop=True)


def _with_text_columns(name: str, table: DataFrame) -> DataFrame:
    """The table with its columns of text as pandas' string type, whatever they were read as."""
    return table.astype(dict.fromkeys(_TEXT[name], "str"))
