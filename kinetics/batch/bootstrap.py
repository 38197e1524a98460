"""Studies resampled by subject, each written as a study of its own.

The drawn subjects have new names, and every table has their rows. Resample r of seed s is a function of the
study's subjects, s and r alone, wherever it is drawn.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from io import StringIO
from pathlib import Path

import numpy as np
import tomli_w

from kinetics.errors import PlanError, Problem, StudyError, did_you_mean
from kinetics.files import whole_folder
from kinetics.study import OPTIONAL_FILES, REQUIRED_FILES, Study
from kinetics.toml import read_toml

__all__ = ["drawn_subjects", "resample_name", "write_resample"]


def resample_name(data: str, seed: int, number: int, within: str | None) -> str:
    """The name of the folder of resample `number` of a study."""
    column = f"_{within}" if within else ""
    return f"{Path(data).stem}__seed{seed}{column}_boot{number:04d}"


def drawn_subjects(study: Study, seed: int, number: int, within: str | None = None) -> list[str]:
    """As many subjects as the study has, drawn with replacement.

    With `within`, a column of subjects.csv, each of its levels keeps its number of subjects. PlanError where
    the study has no such column.
    """
    if within is not None and within not in study.subjects.columns:
        what = f"bootstrap within {within!r}: {study.name} has no such column"
        raise PlanError(Problem(what, did_you_mean(within, [str(c) for c in study.subjects.columns])))
    rng = np.random.default_rng([seed, number])
    if within is None:
        strata = [study.subject_ids]
    else:
        groups = study.subjects.groupby(within, sort=True, dropna=False).groups.values()
        strata = [[str(subject) for subject in group] for group in groups]
    return [str(subject) for stratum in strata for subject in rng.choice(stratum, len(stratum))]


def write_resample(study: Study, folder: Path, *, seed: int, number: int, within: str | None = None) -> Path:
    """Write a resample of a study as a folder, whole or not at all. A folder that exists stays as it is.

    The n-th drawn subject S is called `n_S`. PlanError where the study is a single event table.
    """
    if folder.exists():
        return folder
    if not study.path.is_dir():
        what = f"{study.path.name} is a single event table: it cannot be resampled"
        remedy = "make it a folder of tables with a dictionary.toml"
        raise PlanError(Problem(what, remedy, file=str(study.path)))
    drawn = drawn_subjects(study, seed, number, within)
    width = len(str(len(drawn)))
    renamed = [(f"{i:0{width}d}_{subject}", subject) for i, subject in enumerate(drawn, start=1)]
    try:
        with whole_folder(folder) as partial:
            (partial / "dictionary.toml").write_text(_dictionary(study, seed, number), encoding="utf-8")
            for name in (*REQUIRED_FILES, *OPTIONAL_FILES):
                if (study.path / name).is_file():
                    (partial / name).write_text(_rows(study.path / name, renamed), encoding="utf-8")
    except OSError:
        if not folder.exists():  # else another process has written the same
            raise
    return folder


def _dictionary(study: Study, seed: int, number: int) -> str:
    """The study's dictionary as TOML, its title and source saying that this is a resample."""
    content = read_toml(study.path / "dictionary.toml", StudyError)
    content["title"] = f"BOOTSTRAP resample {number} (seed {seed}) of the subjects of: {content['title']}"
    content["source"] = f"{content['source']}; resampled from {study.name}, sha256 {study.sha256}"
    return tomli_w.dumps(content)


def _rows(table: Path, renamed: list[tuple[str, str]]) -> str:
    """The rows of a table as they were written, those of each drawn subject under its new name.

    renamed: new and old name of every drawn subject.
    """
    text = table.read_text(encoding="utf-8-sig")
    head, *rows = csv.reader(StringIO(text, newline=""))
    place = [name.strip() for name in head].index("subject")
    by_subject: dict[str, list[list[str]]] = defaultdict(list)
    for row in rows:
        if len(row) > place:
            by_subject[row[place].strip()].append(row)
    out = StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head)
    for new_name, subject in renamed:
        for row in by_subject.get(subject, []):
            writer.writerow([*row[:place], new_name, *row[place + 1 :]])
    return out.getvalue()
