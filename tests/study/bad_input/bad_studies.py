"""A good study, and every way to spoil it: (name, change, what the message must say)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

GOOD = {
    "dictionary.toml": """\
title = "A good study"
source = "made for the tests"
licence = "Apache-2.0"
synthetic = true

[analytes.car_copies]
label = "CAR transgene"
assay = "qpcr"
site = "blood"
unit = "copies/ug DNA"
lloq = 50.0
uloq = 1e7

[analytes.car_cells]
label = "CAR+ cells"
assay = "flow"
site = "blood"
unit = "cells/uL"

[columns.subjects]
sex = { role = "covariate", codes = { "1" = "female", "2" = "male" } }
age = { role = "covariate", unit = "year", label = "Age" }

[columns.doses]
time = { unit = "day" }
duration = { unit = "min" }

[columns.observations]
time = { unit = "h" }

[columns.events]
time = { unit = "day" }

[columns.responses]
time = { unit = "day" }
best = { codes = ["CR", "PR", "SD", "PD"] }
""",
    "subjects.csv": """\
subject,weight_kg,sex,age
P01,70,1,61
P02,55.5,2,48
P03,81,1,70
""",
    "doses.csv": """\
subject,time,product,route,cells,cells_per_kg,duration,cycle,level
P01,0,car_nk,hepatic_artery,1e9,,30,1,
P01,7,car_t,iv,,1.5e7,15,1,level_1
P02,0,car_nk,hepatic_artery,1e9,,30,1,
P02,7,car_t,iv,,3e7,15,1,level_2
P03,0,car_nk,hepatic_artery,1e9,,30,1,
P03,7,car_t,iv,,3e7,15,1,level_2
""",
    "observations.csv": """\
subject,time,analyte,value,censored,limit
P01,-24,car_copies,50,left,
P01,168,car_copies,1200,none,
P01,336,car_copies,54000,none,
P01,336,car_cells,3.5,none,
P02,168,car_copies,900,,
P02,336,car_copies,10000000,right,
P03,168,car_copies,400,interval,100
P03,336,car_cells,0,none,
""",
    "events.csv": """\
subject,time,event,grade,grading_system
P01,8,crs,2,astct_2019
P02,9,tocilizumab,,
""",
    "responses.csv": """\
subject,time,best
P01,28,PR
P02,28,SD
""",
}


class Case(NamedTuple):
    """One spoilt study, and the fragments its message must hold."""

    name: str
    spoil: Callable[[Path], object]
    says: tuple[str, ...]


def write_good(folder: Path) -> Path:
    """Write the good study."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in GOOD.items():
        (folder / name).write_text(text)
    return folder


def edit(file: str, old: str, new: str) -> Callable[[Path], object]:
    """Replace a text that must be there, once."""

    def spoil(folder: Path) -> None:
        text = (folder / file).read_text()
        assert old in text, f"{old!r} is not in {file}"
        (folder / file).write_text(text.replace(old, new, 1))

    return spoil


def raw(file: str, content: bytes) -> Callable[[Path], object]:
    """Replace the whole file."""
    return lambda folder: (folder / file).write_bytes(content)


def recode(file: str, encoding: str) -> Callable[[Path], object]:
    """Write the file, with an accent, in another encoding."""
    return lambda folder: (folder / file).write_bytes(GOOD[file].replace("P02", "Pé2").encode(encoding))


def remove(file: str) -> Callable[[Path], object]:
    """Delete the file."""
    return lambda folder: (folder / file).unlink()


def rename(file: str, new: str) -> Callable[[Path], object]:
    """Give the file another name."""
    return lambda folder: (folder / file).rename(folder / new)


D, S, X, M, E, R = (
    "dictionary.toml",
    "subjects.csv",
    "doses.csv",
    "observations.csv",
    "events.csv",
    "responses.csv",
)
OBSERVATION = "P01,168,car_copies,1200,none,"


def last_column(name: str, first: str) -> Callable[[Path], object]:
    """Give observations.csv another last column in place of `limit`: `first` in row 2, empty below."""

    def spoil(folder: Path) -> None:
        edit(M, "400,interval,100", "400,none,")(folder)
        edit(M, ",limit\n", f",{name}\n")(folder)
        edit(M, "50,left,", f"50,left,{first}")(folder)

    return spoil


FILES = [
    Case("missing_file", remove(M), (M, "missing", "add observations.csv")),
    Case(
        "misnamed_file", rename(M, "observation.csv"), (M, "rename 'observation.csv' to 'observations.csv'")
    ),
    Case("excel_file", rename(X, "doses.xlsx"), (X, "save 'doses.xlsx' as 'CSV UTF-8'")),
    Case("misnamed_optional_file", rename(E, "event.csv"), ("event.csv", "not read", "'events.csv'")),
    Case("missing_dictionary", remove(D), (D, "missing")),
    Case("empty_file", raw(X, b""), (X, "empty")),
    Case("header_only", raw(X, b"subject,time,product,route,cells\n"), (X, "no records")),
    Case("utf_16", recode(S, "utf-16"), (S, "utf-16", "CSV UTF-8")),
    Case("latin_1", recode(S, "latin-1"), (S, "row 3", "latin-1", "iconv -f latin1 -t utf-8 subjects.csv")),
    Case("workbook_bytes", raw(M, b"PK\x03\x04\x14\x00\x06\x00"), (M, "Excel workbook", "CSV UTF-8")),
    Case(
        "semicolons",
        raw(S, GOOD[S].replace(",", ";").encode()),
        (S, "row 1", "semicolons", "a comma between columns"),
    ),
    Case("tabs", raw(S, GOOD[S].replace(",", "\t").encode()), (S, "row 1", "tabs")),
    Case(
        "ragged_row",
        edit(S, "P02,55.5,2,48", "P02,55,5,2,48"),
        (S, "row 3", "subject P02", "5 cells, the header 4", "decimal comma"),
    ),
    Case(
        "short_row",
        edit(S, "P02,55.5,2,48", "P02,55.5"),
        (S, "row 3", "2 cells, the header 4", "missing cells"),
    ),
    Case("repeated_header", edit(S, "sex,age", "age,age"), (S, "row 1", "column age", "more than once")),
    Case("padded_header", edit(S, "weight_kg", " weight_kg"), (S, "row 1", "spaces", "write 'weight_kg'")),
    Case("nameless_column", edit(S, "sex,age", "sex,"), (S, "row 1", "column 4 has no name")),
]

DICTIONARY = [
    Case(
        "toml_syntax",
        edit(D, 'title = "A good study"', "title = A good study"),
        (D, "not valid TOML", "line 1"),
    ),
    Case(
        "no_synthetic_flag",
        edit(D, "synthetic = true\n", ""),
        (D, "synthetic", "missing", "`synthetic = true`"),
    ),
    Case(
        "synthetic_as_word",
        edit(D, "synthetic = true", 'synthetic = "yes"'),
        (D, "synthetic", "'yes'", "valid boolean", "`synthetic = false` for measured data"),
    ),
    Case("no_licence", edit(D, 'licence = "Apache-2.0"\n', ""), (D, "licence", "missing", "add `licence")),
    Case("no_source", edit(D, 'source = "made for the tests"\n', ""), (D, "source", "citation")),
    Case(
        "unknown_key", edit(D, "licence", "license"), (D, "license", "unknown key", "did you mean 'licence'?")
    ),
    Case(
        "unknown_analyte_key",
        edit(D, "lloq = 50.0", "lloqq = 50.0"),
        (D, "analytes.car_copies.lloqq", "did you mean 'lloq'?"),
    ),
    Case(
        "capital_assay",
        edit(D, 'assay = "qpcr"', 'assay = "qPCR"'),
        (D, "assay", "'qPCR'", "write it 'qpcr'"),
    ),
    Case("unknown_table", edit(D, "[columns.events]", "[columns.event]"), (D, "columns.event", "'events'")),
    Case(
        "unknown_unit",
        edit(D, '"copies/ug DNA"', '"copeis/ug DNA"'),
        (D, "car_copies", "copeis/ug DNA", "did you mean"),
    ),
    Case(
        "no_unit", edit(D, 'unit = "cells/uL"\n', ""), (D, "analytes.car_cells.unit", "missing", "add `unit")
    ),
    Case(
        "uloq_below_lloq",
        edit(D, "uloq = 1e7", "uloq = 10.0"),
        (D, "car_copies", "uloq 10 is not above lloq 50"),
    ),
    Case(
        "negative_lloq",
        edit(D, "lloq = 50.0", "lloq = -50.0"),
        (D, "analytes.car_copies.lloq", "-50", "greater than 0"),
    ),
    Case(
        "lloq_as_text", edit(D, "lloq = 50.0", 'lloq = "50"'), (D, "analytes.car_copies.lloq", "valid number")
    ),
    Case(
        "no_time_unit",
        edit(D, '[columns.observations]\ntime = { unit = "h" }\n', ""),
        (M, "column time", "unit is missing", '`time = { unit = "h" }` under [columns.observations]'),
    ),
    Case(
        "time_unit_of_another_kind",
        edit(
            D,
            '[columns.observations]\ntime = { unit = "h" }',
            '[columns.observations]\ntime = { unit = "mg" }',
        ),
        (M, "column time", "'mg' is mass, 'day' is time", "one of day, h, min, week"),
    ),
    Case(
        "unknown_time_unit",
        edit(D, 'unit = "h"', 'unit = "moons"'),
        (M, "unknown unit 'moons'", "column time"),
    ),
    Case(
        "no_duration_unit",
        edit(D, 'duration = { unit = "min" }\n', ""),
        (X, "column duration", "unit is missing", 'duration = { unit = "min" }'),
    ),
    Case(
        "covariate_without_meaning",
        edit(D, 'unit = "year", ', ""),
        (D, "columns.subjects.age", "neither a unit nor codes", "codes = {...}"),
    ),
    Case(
        "declared_column_absent",
        edit(D, "age = {", "ages = {"),
        (D, "column ages", "absent from subjects.csv", "did you mean 'age'?"),
    ),
]

SUBJECTS = [
    Case("duplicate_subject", edit(S, "P03,81", "P02,81"), (S, "row 4", "subject P02", "more than once")),
    Case("missing_id", edit(S, "P03,81", ",81"), (S, "row 4", "column subject", "missing")),
    Case("padded_id", edit(S, "P02,55.5", "P02 ,55.5"), (S, "row 3", "'P02 '", "spaces", "remove")),
    Case("no_subject_column", edit(S, "subject,", "id,"), (S, "row 1", "column subject", "required column is missing")),
    Case("undeclared_covariate", edit(S, "sex,age", "sex,agee"), (S, "column agee", "unknown column", "did you mean 'age'?")),
    Case("zero_weight", edit(S, "55.5", "0"), (S, "row 3", "subject P02", "column weight_kg", "'0'", "not positive")),
    Case("weight_in_grams", edit(S, "55.5", "55500"), (S, "row 3", "subject P02", "'55500'", "grams or pounds")),
    Case("weight_too_light", edit(S, "55.5", "0.0555"), (S, "row 3", "column weight_kg", "implausible", "write kg")),
    Case("weight_with_comma", edit(S, "55.5", '"55,5"'), (S, "row 3", "'55,5'", "comma", "write 55.5")),
    Case("unknown_code", edit(S, "55.5,2", "55.5,3"), (S, "row 3", "column sex", "'3'", "not in dictionary.toml", "1, 2")),
    Case("covariate_not_a_number", edit(S, "2,48", "2,old"), (S, "row 3", "column age", "'old'", "not a finite number")),
    Case("subject_without_dose", edit(S, "P03,81,1,70\n", "P03,81,1,70\nP04,70,1,50\n"), (S, "row 5", "P04", "no dose", "remove the subject")),
]  # fmt: skip

DOSES = [
    Case("negative_dose", edit(X, "1e9", "-1e9"), (X, "row 2", "subject P01", "column cells", "'-1e9'", "negative")),
    Case("zero_dose", edit(X, "1e9", "0"), (X, "row 2", "subject P01", "column cells", "zero", "delete the row")),
    Case("dose_not_a_number", edit(X, "1e9", "10^9"), (X, "row 2", "column cells", "'10^9'", "1.5e7")),
    Case("dose_with_thousands", edit(X, "1e9", '"1,000,000,000"'), (X, "row 2", "column cells", "remove the commas")),
    Case("infinite_dose", edit(X, "1e9", "inf"), (X, "row 2", "column cells", "not a finite number")),
    Case("missing_dose", edit(X, "1e9", ""), (X, "row 2", "subject P01", "dose is missing", "cells or cells_per_kg")),
    Case("two_doses", edit(X, "1e9,,", "1e9,1e7,"), (X, "row 2", "subject P01", "given twice", "cells and cells_per_kg")),
    Case("no_dose_column", edit(X, "cells,cells_per_kg", "cell,cell_per_kg"), (X, "no dose column", "cells, cells_per_kg, amount")),
    Case("per_kg_without_weight", edit(S, "70,1,61", ",1,61"), (X, "row 3", "subject P01", "column cells_per_kg", "no weight", "weight_kg")),
    Case("dose_before_time_zero", edit(X, "P01,0,", "P01,-1,"), (X, "row 2", "subject P01", "column time", "before time zero", "day 0")),
    Case("dose_of_unknown_subject", edit(X, "P01,0,", "P1,0,"), (X, "row 2", "subject P1", "not in subjects.csv", "did you mean 'P01'?")),
    Case("doses_repeated", edit(X, "P01,7,car_t", "P01,0,car_nk,hepatic_artery,2e9,,,,\nP01,7,car_t"), (X, "row 3", "subject P01", "second dose of this product", "keep one row")),
    Case("doses_unsorted", edit(X, "P01,0,car_nk,hepatic_artery,1e9,,30,1,", "P01,9,car_t,iv,1e9,,30,1,"), (X, "row 3", "subject P01", "column time", "goes back", "sort the rows")),
    Case("route_in_capitals", edit(X, "car_t,iv", "car_t,IV"), (X, "row 3", "column route", "'IV'", "did you mean 'iv'?")),
    Case("route_misspelt", edit(X, "hepatic_artery", "hepatic_artey"), (X, "row 2", "column route", "did you mean 'hepatic_artery'?")),
    Case("product_not_a_name", edit(X, "car_nk", "CAR-NK"), (X, "row 2", "column product", "'CAR-NK'", "snake_case")),
    Case("no_product", edit(X, "car_nk", ""), (X, "row 2", "column product", "empty", "car_t")),
    Case("negative_duration", edit(X, ",30,1", ",-30,1"), (X, "row 2", "column duration", "negative", "bolus")),
    Case("duration_in_wrong_unit", edit(X, ",30,1", ",30000,1"), (X, "row 2", "column duration", "longer than a week")),
    Case("enormous_cycle", edit(X, ",30,1,", ",30,1e30,"), (X, "row 2", "column cycle", "'1e30'", "too large")),
    Case("fractional_cycle", edit(X, ",30,1,", ",30,1.5,"), (X, "row 2", "column cycle", "'1.5'", "whole number")),
    Case("dose_unit_missing", edit(X, "cells,cells_per_kg", "amount,cells_per_kg"), (X, "column amount", "unit is missing", "[columns.doses]")),
    Case(
        "dose_unit_of_another_kind",
        lambda folder: (
            edit(X, "cells,cells_per_kg", "amount,cells_per_kg")(folder),
            edit(D, "duration = {", 'amount = { unit = "mm" }\nduration = {')(folder),
        ),
        (X, "row 2", "column amount", "'mm' is length, not a dose", "mg/kg"),
    ),
]  # fmt: skip
OBSERVATIONS = [
    Case("unknown_analyte", edit(M, OBSERVATION, "P01,168,car_copie,1200,none,"), (M, "row 3", "column analyte", "'car_copie'", "did you mean 'car_copies'?")),
    Case("no_analyte", edit(M, OBSERVATION, "P01,168,,1200,none,"), (M, "row 3", "analyte is missing")),
    Case("unknown_subject", edit(M, OBSERVATION, "P07,168,car_copies,1200,none,"), (M, "row 3", "subject P07", "did you mean 'P0")),
    Case("negative_value", edit(M, OBSERVATION, "P01,168,car_cells,-3,none,"), (M, "row 3", "subject P01", "column value", "'-3'", "negative")),
    Case("missing_value", edit(M, OBSERVATION, "P01,168,car_copies,,none,"), (M, "row 3", "column value", "empty", "write a number")),
    Case("value_word", edit(M, OBSERVATION, "P01,168,car_copies,BLQ,none,"), (M, "row 3", "'BLQ'", "write the LLOQ as the value and censored = left")),
    Case("value_below_sign", edit(M, OBSERVATION, "P01,168,car_copies,<50,none,"), (M, "row 3", "'<50'", "write value 50 and censored = left")),
    Case("value_above_sign", edit(M, OBSERVATION, "P01,168,car_copies,>1e7,none,"), (M, "row 3", "write value 1e7 and censored = right")),
    Case("decimal_comma", edit(M, OBSERVATION, 'P01,168,car_cells,"3,5",none,'), (M, "row 3", "column value", "'3,5'", "write 3.5")),
    Case("zero_flagged_left", edit(M, "P01,-24,car_copies,50", "P01,-24,car_copies,0"), (M, "row 2", "subject P01", "zero with censored = left", "write the LLOQ")),
    Case("below_lloq_not_flagged", edit(M, OBSERVATION, "P01,168,car_copies,12,none,"), (M, "row 3", "'12'", "below the LLOQ and not flagged", "censored = left")),
    Case("above_uloq_not_flagged", edit(M, OBSERVATION, "P01,168,car_copies,2e7,none,"), (M, "row 3", "above the ULOQ and not flagged", "censored = right")),
    Case("left_at_another_value", edit(M, "P01,-24,car_copies,50", "P01,-24,car_copies,30"), (M, "row 2", "'30'", "the value is not the LLOQ")),
    Case("right_at_another_value", edit(M, "10000000,right", "900,right"), (M, "row 7", "P02", "the value is not the ULOQ")),
    Case("bad_censoring_code", edit(M, OBSERVATION, "P01,168,car_copies,1200,2,"), (M, "row 3", "column censored", "'2'", "none, left, right or interval")),
    Case("bounds_reversed", edit(M, "400,interval,100", "100,interval,400"), (M, "row 8", "P03", "column limit", "'400'", "reversed")),
    Case("interval_without_limit", edit(M, "400,interval,100", "400,interval,"), (M, "row 8", "P03", "without its lower bound")),
    Case("negative_limit", edit(M, "400,interval,100", "400,interval,-1"), (M, "row 8", "column limit", "negative")),
    Case("duplicate_record", edit(M, OBSERVATION, f"{OBSERVATION}\nP01,168,car_copies,1200,none,"), (M, "row 4", "subject P01", "second record", "with the same value", "written twice")),
    Case("times_unsorted", edit(M, OBSERVATION, "P01,999,car_copies,1200,none,"), (M, "row 4", "subject P01", "column time", "'336'", "goes back", "sort")),
    Case("date_string", edit(M, OBSERVATION, "P01,2024-03-05,car_copies,1200,none,"), (M, "row 3", "column time", "a date", "time since the first dose")),
    Case("clock_time", edit(M, OBSERVATION, "P01,12:30,car_copies,1200,none,"), (M, "row 3", "column time", "a clock time")),
    Case(
        "excel_serial_date",
        lambda folder: (
            edit(D, 'unit = "h"', 'unit = "day"')(folder),
            edit(M, "P03,336,", "P03,45356,")(folder),
        ),
        (M, "row 9", "subject P03", "'45356'", "Excel serial date"),
    ),
    Case("time_beyond_any_follow_up", edit(M, "P03,336,", "P03,900000,"), (M, "row 9", "column time", "20 years", "declared unit")),
    Case("before_screening", edit(M, "P01,-24,", "P01,-2400,"), (M, "row 2", "subject P01", "more than 60 days before", "screening_days")),
    Case("missing_time", edit(M, OBSERVATION, "P01,,car_copies,1200,none,"), (M, "row 3", "column time", "empty")),
    Case("unknown_column", edit(M, "censored", "censord"), (M, "row 1", "column censord", "did you mean 'censored'?", "[columns.observations]")),
    Case("missing_column", edit(M, ",value,", ",val,"), (M, "row 1", "column value", "required column is missing")),
    Case("lloq_conflict", last_column("lloq", "25"), (M, "row 2", "column lloq", "'25'", "conflicts with the dictionary's")),
    Case("row_uloq_below_lloq", last_column("uloq", "5"), (M, "row 2", "column uloq", "not above lloq")),
    Case("cells_in_a_copies_analyte", last_column("unit", "cells/uL"), (M, "row 2", "column unit", "'cells/uL'", "nucleated_cells_per_uL and vcn")),
    Case("unit_of_another_kind", last_column("unit", "mg/L"), (M, "row 2", "column unit", "do not convert", "write the value in copies/ug DNA")),
    Case("unknown_row_unit", last_column("unit", "copy"), (M, "row 2", "unknown unit 'copy'")),
]  # fmt: skip
RECORDS = [
    Case("grade_without_system", edit(E, "2,astct_2019", "2,"), (E, "row 2", "P01", "grading system", "ctcae_v5")),
    Case("grade_six", edit(E, "2,astct_2019", "6,astct_2019"), (E, "row 2", "column grade", "'6'", "0 to 5")),
    Case("event_without_name", edit(E, "8,crs", "8,"), (E, "row 2", "column event", "missing")),
    Case("event_of_unknown_subject", edit(E, "P01,8", "P99,8"), (E, "row 2", "subject P99", "not in subjects.csv")),
    Case("response_code", edit(R, "28,PR", "28,Pr"), (R, "row 2", "column best", "'Pr'", "did you mean 'PR'?")),
    Case("response_time", edit(R, "P01,28", "P01,week 4"), (R, "row 2", "column time", "'week 4'", "number")),
    Case("response_before_screening", edit(R, "P01,28", "P01,-90"), (R, "row 2", "column time", "before the subject's first")),
]  # fmt: skip

CASES = [*FILES, *DICTIONARY, *SUBJECTS, *DOSES, *OBSERVATIONS, *RECORDS]
