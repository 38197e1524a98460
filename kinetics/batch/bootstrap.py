"""A study resampled by subject, written as a study of its own: new subject names, every table's rows with
them.

Resample r of seed s is a function of the study's subjects, s and r alone, wherever it is drawn.
"""

from __future__ import annotations

import csv
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
    """The folder's name of resample `number` of a study."""
    return f"{Path(data).stem}__seed{seed}{f'_{within}' if within else ''}_boot{number:04d}"


def drawn_subjects(study: Study, seed: int, number: int, within: str | None = None) -> list[str]:
    """As many subjects as the study has, drawn with replacement; level by level of the column `within`."""
    if within is not None and within not in study.subjects.columns:
        known = [str(c) for c in study.subjects.columns]
        raise PlanError(
            Problem(
                f"bootstrap within {within!r}: {study.name} has no such column", did_you_mean(within, known)
            )
        )
    rng = np.random.default_rng([seed, number])
    subjects = study.subject_ids
    if within is None:
        strata = [subjects]
    else:
        groups = study.subjects.groupby(within, sort=True, dropna=False).groups.values()
        strata = [[str(s) for s in group] for group in groups]
    return [str(s) for stratum in strata for s in rng.choice(stratum, len(stratum))]


def write_resample(study: Study, folder: Path, *, seed: int, number: int, within: str | None = None) -> Path:
    """Write a resample of a study's folder, whole or not at all; what is there already stays.

    The n-th drawn subject S is called `n_S`. PlanError where the study is a single event table.
    """
    if folder.exists():
        return folder
    if not study.path.is_dir():
        what = f"{study.path.name} is a single event table: it cannot be resampled"
        raise PlanError(
            Problem(what, "make it a folder of tables with a dictionary.toml", file=str(study.path))
        )
    chosen = drawn_subjects(study, seed, number, within)
    width = len(str(len(chosen)))
    new = [(f"{i:0{width}d}_{subject}", subject) for i, subject in enumerate(chosen, start=1)]
    try:
        with whole_folder(folder) as partial:
            (partial / "dictionary.toml").write_text(_dictionary(study, seed, number), encoding="utf-8")
            for name in (*REQUIRED_FILES, *OPTIONAL_FILES):
                if (study.path / name).is_file():
                    (partial / name).write_text(_rows(study.path / name, new), encoding="utf-8")
    except OSError:
        if not folder.exists():  # else another process has written the same
            raise
    return folder


def _dictionary(study: Study, seed: int, number: int) -> str:
    """The study's own, saying what this is."""
    content = read_toml(study.path / "dictionary.toml", StudyError)
    content["title"] = f"BOOTSTRAP resample {number} (seed {seed}) of the subjects of: {content['title']}"
    content["source"] = f"{content['source']}; resampled from {study.name}, sha256 {study.sha256}"
    return tomli_w.dumps(content)


def _rows(table: Path, new: list[tuple[str, str]]) -> str:
    """A table's rows as they were written, those of each drawn subject under its new name."""
    head, *rows = csv.reader(StringIO(table.read_text(encoding="utf-8-sig"), newline=""))
    place = [name.strip() for name in head].index("subject")
    of: dict[str, list[list[str]]] = {}
    for row in rows:
        if len(row) > place:
            of.setdefault(row[place].strip(), []).append(row)
    out = StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head)
    for name, subject in new:
        writer.writerows([*row[:place], name, *row[place + 1 :]] for row in of.get(subject, []))
    return out.getvalue()
