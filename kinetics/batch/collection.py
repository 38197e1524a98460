"""What a batch found, in one tidy table and one page: every parameter and check of every fit, and how they
compare.

BATCH/results.csv (and .parquet with pyarrow): a row a parameter of a fit (its median; its maximum by laplace
or map), or its objective, or a check, or a number that a calibration, design or simulation gave; `record`
says which. BATCH/tasks.csv: a row a task. BATCH/batch.html: fits side by side.
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


@dataclass(frozen=True)
class Collected:
    """What was collected. results: a row a parameter, check or number; fits and bootstrap compare them."""

    status: Status
    results: DataFrame
    fits: DataFrame
    bootstrap: DataFrame
    comparisons: list[dict[str, Any]]
    written: tuple[Path, ...]

    def as_dict(self) -> dict[str, Any]:
        return {
            "counts": self.status.counts,
            "rows": len(self.results),
            "written": [str(p) for p in self.written],
            "bootstrap": records(self.bootstrap),
            "comparisons": self.comparisons,
        }

    def __str__(self) -> str:
        lines = [f"{self.status.folder.name}: {self.status.line()}; {len(self.results)} rows"]
        if len(self.fits):
            lines += ["", "population values, median or maximum (90 % interval)", table_text(self.fits)]
        if len(self.bootstrap):
            lines += ["", "bootstrap by subject: percentiles of the estimates", table_text(self.bootstrap)]
        for found in self.comparisons:
            lines += ["", f"leave-one-out, {found['data']}", table_text(DataFrame(found["fits"]))]
        return "\n".join([*lines, "", *(f"written: {path}" for path in self.written)])


def collect(folder: BatchFolder, *, loo: bool = False) -> Collected:
    """Read every finished task's result and write the tables and the page; BatchError where none is finished.

    `loo` compares fits of the same study by leave-one-out (`kinetics.compare`), which takes a while.
    """
    found = status(folder)
    tasks = {t.name: t for t in folder.tasks}
    done = [tasks[name] for name in found.tasks.loc[found.tasks["state"] == "finished", "task"]]
    if not done:
        raise BatchError(f"{folder.path}: no task is finished yet; {found.line()}")
    known = {task.name: folder.result(task) for task in done}
    rows = [row for task in done for row in _rows(task, known[task.name])]
    results = DataFrame(rows, columns=["task", "kind", *AXES, *_COLUMNS])
    results = results.astype({"seed": "Int64", "resample": "Int64"})
    boot = bootstrap_table(results)
    fits = fits_table(results)
    comparisons = list(_compared(folder, done)) if loo else []
    synthetic = any(result.get("synthetic") for result in known.values())
    written = _write(folder, found, results)
    page = folder.path / "batch.html"
    sections = list(_sections(found, fits, boot, comparisons, results))
    write_page(
        "batch.html",
        page,
        synthetic=synthetic,
        name=folder.path.stem,
        line=found.line(),
        whole=found.done,
        cautions=_cautions(known, results),
        sections=sections,
    )
    return Collected(found, results, fits, boot, comparisons, (*written, page))


def fits_table(results: DataFrame) -> DataFrame:
    """Population values of the fits that are no resamples, a column a fit: `value (lower to upper)`."""
    own = results[(results["record"] == "parameter") & (results["resample"].fillna(0) == 0)]
    if own.empty:
        return DataFrame()
    said = [
        f"{v:.3g} ({lo:.3g} to {hi:.3g})"
        for v, lo, hi in zip(own["value"], own["lower"], own["upper"], strict=True)
    ]
    table = own.assign(said=said).pivot_table(
        index=["name", "unit"], columns="task", values="said", aggfunc="first", sort=False
    )
    return DataFrame(table.fillna("")).reset_index().rename_axis(columns=None)


def bootstrap_table(results: DataFrame) -> DataFrame:
    """Of each fit with resamples and each site: its estimate, the resamples' median and 2.5 and 97.5
    percentiles.
    """
    own = results[(results["record"] == "parameter") & results["resample"].notna()]
    if own.empty:
        return DataFrame()
    keys = ["plan", "model", "data", "prior_set", "priors", "method", "seed"]
    rows = []
    varying = [k for k in keys if own[k].nunique(dropna=False) > 1]
    for where, group in own.groupby([*keys, "name"], sort=False, dropna=False):
        of = dict(zip([*keys, "name"], where, strict=True))
        drawn = group.loc[group["resample"] > 0, "value"].to_numpy(float)
        itself = group.loc[group["resample"] == 0, "value"].to_numpy(float)
        low, middle, high = np.quantile(drawn, [0.025, 0.5, 0.975]) if len(drawn) else (np.nan,) * 3
        rows.append(
            {
                **{k: of[k] for k in varying},
                "name": of["name"],
                "unit": group["unit"].iloc[0],
                "estimate": itself[0] if len(itself) else np.nan,
                "resamples": len(drawn),
                "median": middle,
                "p2_5": low,
                "p97_5": high,
                "sd": float(np.std(drawn, ddof=1)) if len(drawn) > 1 else np.nan,
            }
        )
    return DataFrame(rows)


def _rows(task: Task, result: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    head = {"task": task.name, "kind": task.kind, **{axis: task.axes.get(axis) for axis in AXES}}
    if task.kind != "fit":
        yield from ({**head, **row} for row in _numbers(task.kind, result))
        return
    found = result.get(
        "estimates", {}
    )  # of a fit by laplace or map: its maximum, not the median of draws about it
    maximum = {e["site"]: e["estimate"] for e in found.get("estimates", ())}
    for p in result["parameters"]:
        row = {
            k: p.get(k) for k in ("unit", "lower", "upper", "sd", "r_hat", "ess_bulk", "ess_tail", "guess")
        }
        yield {
            **head,
            "record": "parameter",
            "name": p["site"],
            "value": maximum.get(p["site"], p["median"]),
            **row,
        }
    for name in ("ofv", "aic", "bic"):
        if name in found:
            yield {**head, "record": "objective", "name": name, "value": found[name]}
    for c in result["checks"]:
        row = {"name": c["check"], "value": c["value"], "wanted": c["threshold"], "ok": c["ok"]}
        note = "" if c["ok"] else "; ".join(x for x in (c["where"], c["what_to_try"]) if x)
        yield {**head, "record": "check", **row, "note": note}


def _numbers(record: str, result: Mapping[str, Any], at: str = "") -> Iterator[dict[str, Any]]:
    """Every number of a result, named by the way to it."""
    for key, value in result.items():
        name = f"{at}.{key}" if at else key
        if isinstance(value, Mapping):
            yield from _numbers(record, value, name)
        elif isinstance(value, list):
            yield from _numbers(record, {str(i): v for i, v in enumerate(value)}, name)
        elif isinstance(value, int | float):
            yield {"record": record, "name": name, "value": float(value)}


def _compared(folder: BatchFolder, done: list[Task]) -> Iterator[dict[str, Any]]:
    """Leave-one-out of the fits of each study, where there are two."""
    by_data: dict[str, list[Task]] = {}
    for task in done:
        if task.kind == "fit" and not task.axes.get("resample"):
            by_data.setdefault(str(task.axes["data"]), []).append(task)
    for data, tasks in by_data.items():
        if len(tasks) < 2:
            continue
        try:
            found = compare({t.name: load_fit(folder.path / "runs" / t.name) for t in tasks})
            yield {"data": data, "fits": records(found.table), "advice": list(found.advice)}
        except InputError as error:  # other records of the data, for instance
            yield {"data": data, "fits": [], "advice": [str(error)]}


def _write(folder: BatchFolder, found: Status, results: DataFrame) -> tuple[Path, ...]:
    paths = [
        write_atomic(folder.path / "results.csv", results.to_csv(index=False)),
        write_atomic(folder.path / "tasks.csv", found.tasks.to_csv(index=False)),
    ]
    if importlib.util.find_spec("pyarrow") is not None:
        content = results.assign(value=pd.to_numeric(results["value"])).astype(
            {c: "string" for c in ("prior_set", "priors", "unit", "wanted", "note")}
        )
        paths.append(write_atomic(folder.path / "results.parquet", content.to_parquet(None, index=False)))
    write_atomic(folder.path / "status.json", json.dumps(found.as_dict(), indent=1, default=str) + "\n")
    return tuple(paths)


def _cautions(known: Mapping[str, Mapping[str, Any]], results: DataFrame) -> list[str]:
    failed = sum(not r["ok"] for r in known.values() if "checks" in r)
    lines = [f"{failed} of the fits did not pass their checks: see the table of checks."] if failed else []
    guesses = results.loc[results["guess"].eq(True), "name"].unique()
    lines += [f"Priors of {', '.join(guesses)} are design guesses."] if len(guesses) else []
    return lines + list(dict.fromkeys(str(r["caution"]) for r in known.values() if r.get("caution")))


def _sections(
    found: Status, fits: DataFrame, boot: DataFrame, comparisons: list[dict[str, Any]], results: DataFrame
) -> Iterator[Section]:
    section = Section("tasks", "Tasks")
    section.tables.append(_table("How each ended", found.tasks.drop(columns=["kind"])))
    yield section
    for name, title, caption, table in (
        ("side_by_side", "Fits side by side", "Population values: median or maximum (90 % interval)", fits),
        ("bootstrap", "Bootstrap by subject", "The fit's estimate, and percentiles of its resamples' estimates", boot),
        ("checks", "Checks", "May these numbers be used? What failed", _failed_checks(results)),
        ("others", "Calibrations, designs, simulations", "Their numbers", _others(results)),
    ):  # fmt: skip
        if len(table):
            section = Section(name, title)
            section.tables.append(_table(caption, table))
            yield section
    for number, of in enumerate(comparisons):
        section = Section(f"loo{number}", f"Leave-one-out: {of['data']}", words=of["advice"])
        if of["fits"]:
            section.tables.append(_table("The best first", DataFrame(of["fits"])))
        yield section


def _failed_checks(results: DataFrame) -> DataFrame:
    failed = results[(results["record"] == "check") & results["ok"].eq(False)]
    return DataFrame(failed[["task", "name", "value", "wanted", "note"]])


def _others(results: DataFrame) -> DataFrame:
    return DataFrame(results.loc[~results["kind"].eq("fit"), ["task", "name", "value"]]).head(500)


def _table(caption: str, rows: DataFrame) -> Table:
    table = Table(
        caption, [str(c).replace("_", " ") for c in rows.columns], [rows[c].dtype.kind in "fiu" for c in rows]
    )
    for row in rows.itertuples(index=False):
        cells = [table.cell(None if pd.isna(value) or value == "" else value) for value in row]
        table.rows.append(cells)
    return table
