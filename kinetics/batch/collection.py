"""The results of a batch in one tidy table and one page: every parameter and check of every fit.

BATCH/results.csv (and .parquet with pyarrow): a row per parameter of a fit (its median; its maximum by
laplace or map), its objective, a check, or a number that a calibration, design or simulation gave; the column
`record` says which. BATCH/tasks.csv: a row per task. BATCH/batch.html: fits side by side.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas import DataFrame

from kinetics.batch.batch_status import Status, status
from kinetics.batch.folder import BatchFolder
from kinetics.batch.grid import AXES, Task
from kinetics.checks import compare
from kinetics.errors import BatchError, InputError
from kinetics.files import write_atomic
from kinetics.inference import load_fit
from kinetics.pages import Section, Table, write_page
from kinetics.printing import records, table_text
from kinetics.spreadsheets import shown_csv_text

__all__ = ["Collected", "bootstrap_table", "collect", "fits_table"]

_COLUMNS = (
    "record",
    "name",
    "unit",
    "value",
    "lower",
    "upper",
    "sd",
    "r_hat",
    "ess_bulk",
    "ess_tail",
    "wanted",
    "ok",
    "guess",
    "note",
)
_OF_A_PARAMETER = ("unit", "lower", "upper", "sd", "r_hat", "ess_bulk", "ess_tail", "guess")
_OF_ONE_FIT = ["plan", "model", "data", "prior_set", "priors", "method", "seed"]  # shared by its resamples


@dataclass(frozen=True)
class Collected:
    """What was collected.

    results: a row per parameter, check or number. fits: population values, a column per fit. bootstrap:
    percentiles of the resamples. comparisons: leave-one-out of the fits of each study. written: the files.
    """

    status: Status
    results: DataFrame
    fits: DataFrame
    bootstrap: DataFrame
    comparisons: list[dict[str, Any]]
    written: tuple[Path, ...]

    def as_dict(self) -> dict[str, Any]:
        """Everything but the long tables as plain values, for `--json`."""
        return {
            "counts": self.status.counts,
            "rows": len(self.results),
            "written": [str(path) for path in self.written],
            "bootstrap": records(self.bootstrap),
            "comparisons": self.comparisons,
        }

    def __str__(self) -> str:
        lines = [f"{self.status.folder.name}: {self.status.line()}; {len(self.results)} rows"]
        if len(self.fits):
            lines += ["", "population values, median or maximum (90 % interval)", table_text(self.fits)]
        if len(self.bootstrap):
            lines += ["", "bootstrap by subject: percentiles of the estimates", table_text(self.bootstrap)]
        for comparison in self.comparisons:
            lines += ["", f"leave-one-out, {comparison['data']}", table_text(DataFrame(comparison["fits"]))]
        return "\n".join([*lines, "", *(f"written: {path}" for path in self.written)])


def collect(folder: BatchFolder, *, loo: bool = False) -> Collected:
    """Read every finished task's result and write the tables and the page. BatchError where none is finished.

    `loo` compares fits of the same study by leave-one-out (`kinetics.compare`), which takes a while.
    """
    progress = status(folder)
    by_name = {task.name: task for task in folder.tasks}
    is_finished = progress.tasks["state"] == "finished"
    finished = [by_name[name] for name in progress.tasks.loc[is_finished, "task"]]
    if not finished:
        raise BatchError(f"{folder.path}: no task is finished yet; {progress.line()}")
    results_of = {task.name: folder.result(task) for task in finished}

    rows = [row for task in finished for row in _rows(task, results_of[task.name])]
    results = DataFrame(rows, columns=["task", "kind", *AXES, *_COLUMNS])
    results = results.astype({"seed": "Int64", "resample": "Int64"})
    fits = fits_table(results)
    bootstrap = bootstrap_table(results)
    comparisons = list(_compared(folder, finished)) if loo else []

    tables = _write_tables(folder, progress, results)
    page = folder.path / "batch.html"
    write_page(
        "batch.html",
        page,
        synthetic=any(result.get("synthetic") for result in results_of.values()),
        name=folder.path.stem,
        line=progress.line(),
        whole=progress.done,
        cautions=_cautions(results_of, results),
        sections=list(_sections(progress, fits, bootstrap, comparisons, results)),
    )
    return Collected(
        progress,
        results=results,
        fits=fits,
        bootstrap=bootstrap,
        comparisons=comparisons,
        written=(*tables, page),
    )


# ------------------------------------------------------------------------------------------------- the tables


def _rows(task: Task, result: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows of results.csv of one task."""
    head = {"task": task.name, "kind": task.kind, **{axis: task.axes.get(axis) for axis in AXES}}
    rows = _fit_rows(result) if task.kind == "fit" else _number_rows(task.kind, result)
    for row in rows:
        yield {**head, **row}


def _fit_rows(result: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A row for every parameter, objective and check of a fit."""
    # a fit by laplace or map gives its maximum, not the median of draws about it
    estimates = result.get("estimates", {})
    maximum = {row["site"]: row["estimate"] for row in estimates.get("estimates", ())}
    for parameter in result["parameters"]:
        site = parameter["site"]
        yield {
            "record": "parameter",
            "name": site,
            "value": maximum.get(site, parameter["median"]),
            **{key: parameter.get(key) for key in _OF_A_PARAMETER},
        }
    for name in ("ofv", "aic", "bic"):
        if name in estimates:
            yield {"record": "objective", "name": name, "value": estimates[name]}
    for check in result["checks"]:
        note = ""
        if not check["ok"]:
            note = "; ".join(text for text in (check["where"], check["what_to_try"]) if text)
        yield {
            "record": "check",
            "name": check["check"],
            "value": check["value"],
            "wanted": check["threshold"],
            "ok": check["ok"],
            "note": note,
        }


def _number_rows(record: str, result: Mapping[str, Any], path: str = "") -> Iterator[dict[str, Any]]:
    """A row for every number of a result, named by its path, as `p_mtd.0`."""
    for key, value in result.items():
        name = f"{path}.{key}" if path else key
        if isinstance(value, Mapping):
            yield from _number_rows(record, value, name)
        elif isinstance(value, list):
            yield from _number_rows(record, {str(i): item for i, item in enumerate(value)}, name)
        elif isinstance(value, int | float):
            yield {"record": record, "name": name, "value": float(value)}


def fits_table(results: DataFrame) -> DataFrame:
    """Population values of the fits that are no resamples, a column per fit: `value (lower to upper)`."""
    is_resample = results["resample"].fillna(0) != 0
    rows = results[(results["record"] == "parameter") & ~is_resample]
    if rows.empty:
        return DataFrame()
    cells = [
        f"{value:.3g} ({lower:.3g} to {upper:.3g})"
        for value, lower, upper in zip(rows["value"], rows["lower"], rows["upper"], strict=True)
    ]
    table = rows.assign(cell=cells).pivot_table(
        index=["name", "unit"], columns="task", values="cell", aggfunc="first", sort=False
    )
    return DataFrame(table.fillna("")).reset_index().rename_axis(columns=None)


def bootstrap_table(results: DataFrame) -> DataFrame:
    """A row for each fit with resamples and each site: its estimate, and percentiles of the resamples.

    The percentiles are 2.5, 50 (the median) and 97.5. A column says of what differs between fits.
    """
    rows = results[(results["record"] == "parameter") & results["resample"].notna()]
    if rows.empty:
        return DataFrame()
    varying = [key for key in _OF_ONE_FIT if rows[key].nunique(dropna=False) > 1]
    summaries = []
    for keys, group in rows.groupby([*_OF_ONE_FIT, "name"], sort=False, dropna=False):
        place = dict(zip([*_OF_ONE_FIT, "name"], keys, strict=True))
        resampled = group.loc[group["resample"] > 0, "value"].to_numpy(float)
        itself = group.loc[group["resample"] == 0, "value"].to_numpy(float)
        low = median = high = np.nan
        if len(resampled):
            low, median, high = np.quantile(resampled, [0.025, 0.5, 0.975])
        summaries.append(
            {
                **{key: place[key] for key in varying},
                "name": place["name"],
                "unit": group["unit"].iloc[0],
                "estimate": itself[0] if len(itself) else np.nan,
                "resamples": len(resampled),
                "median": median,
                "p2_5": low,
                "p97_5": high,
                "sd": float(np.std(resampled, ddof=1)) if len(resampled) > 1 else np.nan,
            }
        )
    return DataFrame(summaries)


def _compared(folder: BatchFolder, finished: list[Task]) -> Iterator[dict[str, Any]]:
    """Leave-one-out of the fits of each study that has two or more."""
    by_study: dict[str, list[Task]] = {}
    for task in finished:
        if task.kind == "fit" and not task.axes.get("resample"):
            by_study.setdefault(str(task.axes["data"]), []).append(task)
    for study, tasks in by_study.items():
        if len(tasks) < 2:
            continue
        try:
            comparison = compare({task.name: load_fit(folder.path / "runs" / task.name) for task in tasks})
            yield {"data": study, "fits": records(comparison.table), "advice": list(comparison.advice)}
        except InputError as error:  # other records of the data, for instance
            yield {"data": study, "fits": [], "advice": [str(error)]}


def _write_tables(folder: BatchFolder, progress: Status, results: DataFrame) -> tuple[Path, ...]:
    """Write results, tasks and status into the batch folder, and return the paths of the tables."""
    paths = [
        write_atomic(folder.path / "results.csv", shown_csv_text(results)),
        write_atomic(folder.path / "tasks.csv", shown_csv_text(progress.tasks)),
    ]
    if importlib.util.find_spec("pyarrow") is not None:
        typed = results.assign(value=pd.to_numeric(results["value"]))
        typed = typed.astype(dict.fromkeys(("prior_set", "priors", "unit", "wanted", "note"), "string"))
        paths.append(write_atomic(folder.path / "results.parquet", typed.to_parquet(None, index=False)))
    write_atomic(folder.path / "status.json", json.dumps(progress.as_dict(), indent=1, default=str) + "\n")
    return tuple(paths)


# --------------------------------------------------------------------------------------------------- the page


def _cautions(results_of: Mapping[str, Mapping[str, Any]], results: DataFrame) -> list[str]:
    """What a reader has to know first: failed checks, design guesses, and the cautions of fits."""
    cautions = []
    failed = sum(not result["ok"] for result in results_of.values() if "checks" in result)
    if failed:
        cautions.append(f"{failed} of the fits did not pass their checks: see the table of checks.")
    guesses = results.loc[results["guess"].eq(True), "name"].unique()
    if len(guesses):
        cautions.append(f"Priors of {', '.join(guesses)} are design guesses.")
    of_fits = [str(result["caution"]) for result in results_of.values() if result.get("caution")]
    return cautions + list(dict.fromkeys(of_fits))


def _sections(
    progress: Status,
    fits: DataFrame,
    bootstrap: DataFrame,
    comparisons: list[dict[str, Any]],
    results: DataFrame,
) -> Iterator[Section]:
    """The sections of the page; a table without rows has none."""
    yield _section("tasks", "Tasks", "How each ended", progress.tasks.drop(columns=["kind"]))
    if len(fits):
        caption = "Population values: median or maximum (90 % interval)"
        yield _section("side_by_side", "Fits side by side", caption, fits)
    if len(bootstrap):
        caption = "The fit's estimate, and percentiles of its resamples' estimates"
        yield _section("bootstrap", "Bootstrap by subject", caption, bootstrap)
    is_failed = (results["record"] == "check") & results["ok"].eq(False)
    failed = DataFrame(results.loc[is_failed, ["task", "name", "value", "wanted", "note"]])
    if len(failed):
        yield _section("checks", "Checks", "May these numbers be used? What failed", failed)
    others = DataFrame(results.loc[~results["kind"].eq("fit"), ["task", "name", "value"]]).head(500)
    if len(others):
        yield _section("others", "Calibrations, designs, simulations", "Their numbers", others)
    for number, comparison in enumerate(comparisons):
        title = f"Leave-one-out: {comparison['data']}"
        section = Section(f"loo{number}", title, words=comparison["advice"])
        if comparison["fits"]:
            section.tables.append(_table("The best first", DataFrame(comparison["fits"])))
        yield section


def _section(name: str, title: str, caption: str, rows: DataFrame) -> Section:
    """A section with one table."""
    section = Section(name, title)
    section.tables.append(_table(caption, rows))
    return section


def _table(caption: str, rows: DataFrame) -> Table:
    """A table of the page; numbers are aligned to the right."""
    heads = [str(column).replace("_", " ") for column in rows.columns]
    table = Table(caption, heads, [rows[column].dtype.kind in "fiu" for column in rows])
    for row in rows.itertuples(index=False):
        table.rows.append([table.cell(None if pd.isna(value) or value == "" else value) for value in row])
    return table
