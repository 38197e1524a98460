"""One ADPC- or ADPPK-shaped table (CDISC ADaM, `kinetics.adam_names`) -> the study that a folder of tables gives.

Doses are the rows with EVID 1 or, without EVID, PARAMCD = DOSE: amount AMT (else AVAL, DOSEA) in DOSEU, product TRTA
(else DRUG, EXTRT, PROJID), route ROUTE with EXLOC, duration ADOSEDUR, DUR or AMT / RATE. The others are observations:
analyte PARAMCD, value DV (else AVAL) in AVALU, time AFRLT in FRLTU. A record is below its limit where BLQFL is Y, BLQFN
1, or AVALCAT1, AVALC or PCSTRESC begins with `<` or is BLQ; its limit is ALLOQ. Derived records (DTYPE filled) and
records without a value are set aside, and counted in the notes. Variables that are constant in every subject are
covariates. What the table leaves empty stands in a TOML of the same name beside it, a dictionary with a table `[adam]`,
or comes as options of `read_study`; it is never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pandas import Series

from kinetics.adam_names import route_of, snake
from kinetics.adam_sidecar import analyte_name, describe_adam, subject_variables
from kinetics.dictionary import AdamTable, Dictionary
from kinetics.errors import Problem, did_you_mean
from kinetics.parse import flag, numbers
from kinetics.tables import RawTable, cell_text
from kinetics.validate import Tables, build_tables

__all__ = ["is_adam", "read_adam_table"]

_BELOW = ("BLQ", "BQL", "BLOQ", "LLOQ")
_PRODUCTS = ("TRTA", "DRUG", "EXTRT", "DOSETRT", "PROJID")


def is_adam(columns: Sequence[str]) -> bool:
    """Whether these are the columns of an ADPC- or ADPPK-shaped table: USUBJID and PARAMCD, and no NONMEM ID."""
    upper = {column.strip().upper() for column in columns}
    return {"USUBJID", "PARAMCD"} <= upper and "ID" not in upper


def read_adam_table(
    path: Path, table: RawTable, options: Mapping[str, Any], problems: list[Problem]
) -> tuple[Tables, dict[str, object]] | None:
    """Canonical tables of one ADaM-shaped table, and notes on what was set aside; None on any problem."""
    table = replace(
        table,
        frame=table.frame.rename(columns=str.upper),
        names={column.upper(): column for column in table.columns},
        dictionary=path.with_suffix(".toml").name,
    )
    if not _required(table, problems):
        return None
    doses = _is_dose(table, problems)
    dictionary = describe_adam(path, table, list(doses), options, problems)
    if dictionary is None:
        return None
    spec = dictionary.adam or AdamTable()
    if spec.subject not in table or spec.time not in table:
        return None
    notes: dict[str, object] = {}
    derived = ~table.missing("DTYPE") if "DTYPE" in table else Series(False, index=table.frame.index)
    censored, limits = _censoring(table, spec, dictionary)
    valued = ~Series(_amount(table, ("DV", "AVAL")) == "", index=table.frame.index) | (censored != "none")
    observed = ~doses & ~derived & valued
    for note, rows in (("derived_records", derived), ("records_without_value", ~doses & ~derived & ~valued)):
        if rows.any():
            notes[note] = int(rows.sum())
    raw: dict[str, RawTable | None] = {
        "subjects.csv": _subjects(table, spec, notes),
        "doses.csv": _doses(table, doses & ~derived, spec, problems),
        "observations.csv": _observations(table, observed, spec, censored, limits, problems),
    }
    tables = build_tables(dictionary, raw, problems)
    return None if tables is None else (tables, notes)


def _required(table: RawTable, problems: list[Problem]) -> bool:
    """Whether the variables are there without which nothing can be read, none of them twice."""
    bad = False
    for name in {column for column in table.columns if table.columns.count(column) > 1}:
        bad = True
        what = "the variable occurs more than once (in other letters)"
        problems.append(Problem(what, "delete one of them", file=table.file, row=1, column=name))
    for names in (("AFRLT", "STUDYTM"), ("DV", "AVAL")):
        if not set(names) & set(table.columns):
            bad = True
            remedy = f"add {names[0]} ({did_you_mean(names[0], table.columns)})"
            problems.append(
                Problem(f"no {' or '.join(names)}", remedy, file=table.file, row=1, column=names[0])
            )
    return not bad


def _is_dose(table: RawTable, problems: list[Problem]) -> Series:
    """Which rows are doses; an event code other than 0 and 1, and a table without any dose, are Problems."""
    found = table.cells("PARAMCD").str.upper().eq("DOSE")
    if "EVID" in table:
        evid = numbers(table, "EVID", problems).fillna(0)
        remedy = "delete the row; write a reset-and-dose as EVID 1"
        flag(problems, table, ~evid.isin([0, 1]), "EVID", "neither an observation (0) nor a dose (1)", remedy)
        found = evid == 1
    if not found.any():
        remedy = "add the doses as records with PARAMCD = DOSE (or EVID 1): amount, DOSEU, TRTA, ROUTE, AFRLT"
        problems.append(Problem("the table has no dose records", remedy, file=table.file))
    return found


def _amount(table: RawTable, columns: Sequence[str]) -> Series:
    """The first filled of some columns, row by row; "" where all are empty."""
    cells = Series("", index=table.frame.index, dtype=object)
    for column in reversed(columns):
        if column in table:
            cells = table.words(column).where(~table.missing(column), cells).astype(object)
    return cells


def _censoring(table: RawTable, spec: AdamTable, dictionary: Dictionary) -> tuple[Series, Series]:
    """Every row's censoring word, and the value that goes with it: ALLOQ, AULOQ, or none of its own."""
    word = Series("none", index=table.frame.index, dtype=object)
    texts = [table.cells(c).str.upper() for c in ("AVALCAT1", "AVALC", "PCSTRESC") if c in table]
    below = table.cells("BLQFL").eq("Y") | numbers(table, "BLQFN", [], required=False).eq(1)
    above = Series(False, index=word.index)
    for cells in texts:
        below |= cells.str.startswith("<") | cells.isin(_BELOW)
        above |= cells.str.startswith(">")
    word = word.mask(below, "left").mask(above, "right")
    said = table.words("CENSOR").str.lower()
    word = word.mask(said.isin(["left", "right", "interval"]), said)
    declared = table.cells("PARAMCD").map(lambda code: dictionary.analytes.get(analyte_name(spec, code)))
    lloq, uloq = (
        _amount(table, (column,)).mask(
            _amount(table, (column,)) == "",
            declared.map(
                lambda a, b=bound: "" if a is None or getattr(a, b) is None else repr(getattr(a, b))
            ),
        )
        for column, bound in (("ALLOQ", "lloq"), ("AULOQ", "uloq"))
    )
    return word, lloq.where(word == "left", uloq.where(word == "right", ""))


def _observations(
    table: RawTable, rows: Series, spec: AdamTable, censored: Series, limits: Series, problems: list[Problem]
) -> RawTable:
    """The observation rows as a table of observations."""
    columns = {
        spec.subject: "subject",
        spec.time: "time",
        "ALIMIT": "limit",
        "ALLOQ": "lloq",
        "AULOQ": "uloq",
    }
    part = _part(table, rows, columns | {"DV" if "DV" in table else "AVAL": "value"})
    unlimited = rows & censored.isin(["left", "right"]) & (limits == "")
    remedy = "fill ALLOQ (or AULOQ), or give lloq"
    what = "outside the limits of quantification, and the limit is not given"
    flag(problems, table, unlimited, "ALLOQ", what, remedy)
    value = _amount(table, ("DV", "AVAL")).mask(censored.isin(["left", "right"]), limits)
    part.frame["value"] = value[rows]
    part.frame["censored"] = censored[rows]
    part.frame["analyte"] = table.cells("PARAMCD")[rows].map(lambda code: analyte_name(spec, str(code)))
    part.frame["unit"] = table.words("AVALU", spec.dv_unit or "")[rows]
    return part


def _doses(table: RawTable, rows: Series, spec: AdamTable, problems: list[Problem]) -> RawTable:
    """The dose rows as a table of doses."""
    columns = {spec.subject: "subject", spec.time: "time", "DOSELVL": "level"}
    part = _part(table, rows, columns | {spec.cycle_column or "ACYCLE": "cycle"})
    part.frame["amount"] = _amount(table, ("AMT", "AVAL", "DOSEA"))[rows]
    part.frame["unit"] = _said(table, rows, ("DOSEU",), spec.dose_unit, "dose_unit", "DOSEU", problems)
    product = _said(table, rows, _PRODUCTS, spec.product, "product", "TRTA", problems)
    part.frame["product"] = product if spec.product else product.map(snake)
    route = _said(table, rows, ("ROUTE",), spec.route, "route", "ROUTE", problems)
    places = table.words("EXLOC")[rows]
    paired = [route_of(word, place) for word, place in zip(route, places, strict=True)]
    part.frame["route"] = route if spec.route else Series(paired, index=route.index, dtype=object)
    part.frame["duration"] = _durations(table, rows, problems)
    return part


def _said(
    table: RawTable,
    rows: Series,
    columns: Sequence[str],
    declared: str | Mapping[str, str] | None,
    key: str,
    variable: str,
    problems: list[Problem],
) -> Series:
    """What the rows write in the first filled of `columns`, read by `declared`: one word for all, or one a code."""
    written = _amount(table, columns)
    if isinstance(declared, str):
        return Series(declared, index=written[rows].index, dtype=object)
    if isinstance(declared, Mapping):
        unknown = rows & ~written.isin(list(declared))
        remedy = f"add it to {key} in [adam] (known: {', '.join(declared)})"
        flag(problems, table, unknown, variable, f"the code has no {key}", remedy)
        return written[rows].map(dict(declared)).fillna("")
    remedy = (
        f"fill {variable}, or write {key} under [adam] in {table.dictionary} (read_study(..., {key}=...))"
    )
    flag(problems, table, rows & (written == ""), variable, f"the {key} of the dose is not given", remedy)
    return written[rows]


def _durations(table: RawTable, rows: Series, problems: list[Problem]) -> Series:
    """Infusion durations as text: ADOSEDUR, DUR, or AMT / RATE."""
    written = _amount(table, ("ADOSEDUR", "DUR"))
    if "RATE" in table:
        rate, amount = (numbers(table, name, problems, required=False) for name in ("RATE", "AMT"))
        what, remedy = "the rate is negative", "write the amount per time, or leave it empty"
        flag(problems, table, rows & (rate < 0), "RATE", what, remedy)
        made = (amount / rate.where(rate > 0)).map(cell_text)
        written = written.mask(written == "", made)
    return written[rows]


def _part(table: RawTable, rows: Series, columns: Mapping[str, str]) -> RawTable:
    """Some rows under the canonical column names; Problems still show the table's names."""
    kept = {source: column for source, column in columns.items() if source in table}
    frame = table.frame.loc[rows, list(kept)].rename(columns=kept)
    shown = {column: table.names.get(source, source) for source, column in kept.items()}
    return RawTable(table.file, frame, shown, table.dictionary)


def _subjects(table: RawTable, spec: AdamTable, notes: dict[str, object]) -> RawTable:
    """One row a subject: the weight and the covariates at their first value."""
    subjects = table.cells(spec.subject)
    variables, varying = subject_variables(table, spec)
    if varying:
        notes["variables_of_records"] = varying
    weight = spec.weight_column or "WTBL"
    part = _part(table, ~subjects.duplicated() & (subjects != ""), {spec.subject: "subject"})
    shown = dict(part.names)
    for column, name in {weight: "weight_kg", **variables}.items():
        if column in table:
            filled = table.cells(column)[~table.missing(column)]
            baseline = filled.groupby(subjects[filled.index], sort=False).first()
            part.frame[name] = part.frame["subject"].str.strip().map(baseline).fillna("").astype(object)
            shown[name] = table.names.get(column, column)
    return replace(part, names=shown)
