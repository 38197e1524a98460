"""What `kinetics nca` prints and writes: a summary by dose level, the rows of subjects, and lower bounds."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from pandas import DataFrame, Series

from kinetics.errors import Problem, StudyError, did_you_mean
from kinetics.exposures import NCARules, nca_summary
from kinetics.plot import group_subjects, groupings
from kinetics.printing import table_text
from kinetics.spreadsheets import csv_text
from kinetics.study import Study, one_cycle_note

__all__ = ["levels_by", "nca_csv", "nca_notes", "nca_rows_text", "nca_summary_table", "nca_summary_text"]

_SHOWN = ("analyte", "subject", "cycle", "cmax", "tmax", "auc_0_28d", "half_life", "tlast", "partial")
_SUMMARISED = ("cmax", "tmax", "auc_0_28d", "half_life")
_BOUND = ">= "


def levels_by(study: Study, by: str | None) -> tuple[str, Series]:
    """What the subjects are grouped by, in words, and the group of each.

    `by` is a column of subjects.csv, `level` or `dose` (of the first dose); by default the assigned dose
    level where the study has a column of it, else the level or the amount of the first dose. StudyError for
    another.
    """
    labels = groupings(study)
    columns = list(map(str, study.subjects.columns))
    name = by
    if name is None:
        name = "dose_level" if "dose_level" in columns else next(iter(labels))
    if name in labels:
        return labels[name], group_subjects(study, name)
    if name not in columns:
        known = list(dict.fromkeys([*labels, *columns]))
        raise StudyError(Problem(f"cannot group by {name!r}", did_you_mean(name, known), file="subjects.csv"))
    return name.replace("_", " "), study.subjects[name]


def nca_summary_table(table: DataFrame, groups: Series, rules: NCARules) -> DataFrame:
    """`nca_summary` of the rows that say something of their own: without those of a course of one cycle."""
    cycles = table[table["cycle"].astype(str) != "course"]
    several = (cycles["cycle"].astype(str) != "1").any() or cycles["product"].nunique() > 1
    if len(cycles) and not several:
        table = cycles
    return nca_summary(table, rules=rules, by=groups)


def nca_summary_text(study: Study, summary: DataFrame, label: str) -> str:
    """The summary as PKNCA prints one: a row for each analyte, product, cycle and group; `label` names the
    groups.
    """
    keys = ["analyte", "product", "cycle", "group"]
    rows = []
    for key, numbers in summary.groupby(keys, sort=False, dropna=False, observed=True):
        by_number = numbers.set_index("number")
        size = int(by_number["n"].iloc[0] + by_number["n_missing"].iloc[0])
        row = dict(zip(keys, key, strict=True)) | {"n": str(size)}
        for number in _SUMMARISED:
            if number in by_number.index:
                row[number] = _cell(Series(by_number.loc[number]), size, median=number == "tmax")
        rows.append(row)
    frame = DataFrame(rows).astype({"group": object})
    frame["group"] = frame["group"].where(frame["group"].notna(), "not recorded")
    if frame["product"].nunique() == 1:
        frame = frame.drop(columns="product")
    units = {name: study.analytes[name].unit for name in dict.fromkeys(frame["analyte"])}
    frame = frame.rename(columns={"group": label})
    return (
        f"{table_text(frame)}\n"
        "geometric mean [geometric CV %], of tmax median [least, most]; (n) where fewer have the number\n"
        f"{'; '.join(f'{name} in {unit}' for name, unit in units.items())}; areas x day; times in days"
    )


def _cell(statistics: Series, size: int, *, median: bool) -> str:
    """`2,310 [85.2]`, or of a median `10 [7, 14]`; with (n) where some subjects have no number."""
    if pd.isna(statistics["median"]):
        return "-"
    if median:
        text = f"{statistics['median']:.3g} [{statistics['min']:.3g}, {statistics['max']:.3g}]"
    elif pd.isna(statistics["geometric_mean"]):
        text = f"median {statistics['median']:.4g}"
    else:
        bound = _BOUND if statistics["n_lower_bound"] else ""
        cv = statistics["geometric_cv_percent"]
        spread = "" if pd.isna(cv) else f" [{cv:.3g}]"
        text = f"{bound}{statistics['geometric_mean']:.4g}{spread}"
    return text if statistics["n"] == size else f"{text} (n = {statistics['n']})"


def nca_rows_text(table: DataFrame) -> str:
    """The rows of subjects as they are printed; a lower bound as `>= 5000`."""
    shown = [column for column in _SHOWN if column in table]
    return table_text(_with_bounds(table, digits=4)[shown])


def nca_csv(table: DataFrame) -> str:
    """The rows of subjects as CSV; a lower bound as `>= 5000`, which nothing takes for a measured value."""
    return csv_text(_with_bounds(table, digits=12), "nca.csv")


def _with_bounds(table: DataFrame, *, digits: int) -> DataFrame:
    """The table with its lower bounds as text of so many digits."""
    table = table.copy()
    for position, names in enumerate(table["lower_bound"]):
        for name in filter(None, str(names).split(",")):
            if table[name].dtype != object:
                table[name] = table[name].astype(object)
            value = float(table[name].iloc[position])
            table.at[table.index[position], name] = f"{_BOUND}{value:.{digits}g}"
    return table


def nca_notes(study: Study, table: DataFrame, *, written: bool) -> Iterator[str]:
    """What a reader of the printed numbers must know, a line each; `written` says that there is a CSV."""
    apart = one_cycle_note(study.doses)
    if apart:
        subject, notes = next(iter(apart.items()))
        yield f"note: {len(apart)} subjects, as {subject}: {next(iter(notes.values()))}"
    bounds = int((table["lower_bound"] != "").sum())
    if bounds:
        yield f"note: in {bounds} rows a value above the upper limit of quantification; >= is a lower bound"
    partial = int((table["partial"] & table["cmax"].notna()).sum())
    if partial:
        yield f"note: {partial} of {len(table)} areas are partial: they end before the window does"
    numbers = [name for name in ("half_life", "auc_0_28d") if name in table]
    if not written and table[numbers].isna().any(axis=None):
        yield "why a number is missing: the columns *_reason of --out nca.csv; each subject: --rows"
