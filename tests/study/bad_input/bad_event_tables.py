"""A good event table, and every way to spoil it: (name, change, what the message must say)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from kinetics.study.sources.declared import EventTableOptions

GOOD = """\
ID,TIME,DV,AMT,RATE,EVID,MDV,ADDL,II,SS,CENS,LIMIT,WT,SEX
1,0,.,100,0,1,1,0,0,0,0,.,70,1
1,1,5.0,.,.,0,0,.,.,.,0,.,70,1
1,24,0.5,.,.,0,0,.,.,.,1,.,70,1
2,0,.,120,60,1,1,2,12,0,0,.,80,2
2,2,7.5,.,.,0,0,.,.,.,0,.,80,2
"""
OPTIONS: EventTableOptions = {
    "time_unit": "h",
    "dose_unit": "mg",
    "value_unit": "mg/L",
    "analyte": "drug",
    "route": "iv",
    "product": "drug",
    "weight_column": "WT",
}


class TableCase(NamedTuple):
    """One spoilt table: texts to exchange, options to change, a TOML beside it, and what is said."""

    name: str
    edits: tuple[tuple[str, str], ...]
    says: tuple[str, ...]
    options: Mapping[str, Any] = {}
    toml: str = ""


def write_table(path: Path, case: TableCase) -> Path:
    """Write the spoilt table, and its TOML if it has one."""
    text = GOOD
    for old, new in case.edits:
        assert old in text, f"{old!r} is not in the table"
        text = text.replace(old, new, 1)
    path.write_text(text)
    if case.toml:
        path.with_suffix(".toml").write_text(case.toml)
    return path


DOSE = "1,0,.,100,0,1,1,0,0,0,0,.,70,1"
FILE = "table.csv"

CASES = [
    TableCase("evid_four", ((DOSE, DOSE.replace("100,0,1", "100,0,4")),), (FILE, "row 2", "column EVID = '4'", "not supported", "EVID 1")),
    TableCase("evid_unknown", ((DOSE, DOSE.replace("100,0,1", "100,0,7")),), (FILE, "row 2", "column EVID = '7'", "not an event code")),
    TableCase("rate_to_be_estimated", ((DOSE, DOSE.replace("100,0,", "100,-2,")),), (FILE, "row 2", "column RATE = '-2'", "not supported", "DUR")),
    TableCase("rate_negative", ((DOSE, DOSE.replace("100,0,", "100,-5,")),), (FILE, "row 2", "column RATE", "negative")),
    TableCase("steady_state", ((DOSE, DOSE.replace("0,0,0,0,.", "0,12,1,0,.")),), (FILE, "row 2", "column SS = '1'", "steady-state", "ADDL and II")),
    TableCase("addl_without_interval", (("2,12,0,0", "2,0,0,0"),), (FILE, "row 5", "subject 2", "column II", "write the time between doses in II")),
    TableCase("addl_fractional", (("2,12,0,0", "1.5,12,0,0"),), (FILE, "row 5", "column ADDL", "whole number")),
    TableCase("dose_on_observation_row", (("5.0,.,.,0", "5.0,10,.,0"),), (FILE, "row 3", "column AMT", "observation row (EVID 0)")),
    TableCase("no_dose_rows", ((f"{DOSE}\n", ""), ("2,0,.,120,60,1,1,2,12,0,0,.,80,2\n", "")), (FILE, "no subject has a dose", "add the doses", "without_doses = true")),
    TableCase("dose_without_amount", ((DOSE, DOSE.replace("100", ".")),), (FILE, "row 2", "column AMT", "dose is missing")),
    TableCase("zero_with_cens", (("1,24,0.5", "1,24,0"),), (FILE, "row 4", "column DV", "zero with censored = left", "LLOQ")),
    TableCase("bad_cens", ((".,.,.,1,.,70", ".,.,.,3,.,70"),), (FILE, "row 4", "column CENS = '3'", "censoring code")),
    TableCase("bad_mdv", (("1,1,5.0,.,.,0,0", "1,1,5.0,.,.,0,9"),), (FILE, "row 3", "column MDV", "neither 0 nor 1")),
    TableCase("negative_dv", (("1,1,5.0", "1,1,-5.0"),), (FILE, "row 3", "column DV = '-5.0'", "negative")),
    TableCase("clock", (("1,1,5.0", "1,12:30,5.0"),), (FILE, "row 3", "column TIME = '12:30'", "a clock time")),
    TableCase("no_event_table", (("ID,", "P,"), ("DV", "R"), ("AMT", "Q")), (FILE, "row 1", "no event table: none of its columns is ID or DV or AMT", "kinetics import")),
    TableCase("no_dv_column", (("DV", "CONC"),), (FILE, "row 1", "column DV", "required column is missing", "add the column 'DV'")),
    TableCase("two_names_for_dv", (("SEX", "Y"),), (FILE, "row 1", "DV and Y are one column", "delete one")),
    TableCase("semicolons_and_thousands", ((GOOD, GOOD.replace(",", ";").replace("100", "1,000").replace("0.5", "500").replace("5.0", "5").replace("7.5", "7").replace("0.7", "7")),), (FILE, "row 2", "column AMT", "mark of thousands")),
    TableCase("scattered_id", ((GOOD, GOOD + "1,48,0.7,.,.,0,0,.,.,.,0,.,70,1\n"),), (FILE, "row 7", "column ID", "do not stand together", "sort")),
    TableCase("ragged", (("1,1,5.0,", "1,1,5,0,"),), (FILE, "row 3", "15 cells, the header 14")),
    TableCase("unknown_weight_column", (), ("weight_column", "did you mean 'WT'?"), {"weight_column": "WGT"}),
    TableCase("unknown_drop", (), ("drop names no column", "SEX"), {"drop": ["SX"]}),
    TableCase("unknown_option", (), ("unknown option 'time_units'", "did you mean 'time_unit'?"), {"time_units": "h"}),
    TableCase("bad_time_unit", (), (FILE, "column TIME", "unknown unit 'moons'"), {"time_unit": "moons"}),
    TableCase("bad_dose_unit", (), (FILE, "column AMT", "'mm' is length, not a dose"), {"dose_unit": "mm"}),
    TableCase("per_kg_without_weight", ((",70,1\n", ",.,1\n"), (",70,1\n", ",.,1\n"), (",70,1\n", ",.,1\n")), (FILE, "row 2", "subject 1", "no weight", "weight_column"), {"dose_unit": "mg/kg"}),
    TableCase("route_by_code_without_column", (), (FILE, "row 2", "route is given per code, and there is no CMT"), {"route": {1: "iv"}}),
    TableCase("toml_without_provenance", (), ("table.toml", "synthetic", "missing"), toml='title = "t"\n'),
    TableCase("toml_broken", (), ("table.toml", "not valid TOML", "line 1"), toml="title = t\n"),
]  # fmt: skip
