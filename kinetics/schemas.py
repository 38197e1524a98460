"""The contract of the canonical tables: column names, types and ranges that every later room relies on.

The checks of `kinetics.validate` speak to the user; these hold for the program. A table that breaks its
schema is never handed on.
"""

from __future__ import annotations

import pandera.pandas as pa
from pandas import DataFrame
from pandera.errors import SchemaErrors

from kinetics.errors import Problem

__all__ = ["DOSES", "EVENTS", "OBSERVATIONS", "RESPONSES", "SUBJECTS", "check_schema"]

_ROW = pa.Column(int, pa.Check.ge(2), coerce=True)
_SUBJECT = pa.Column(str, pa.Check.str_length(min_value=1), coerce=True)
_TIME = pa.Column(float)
_NAME = r"^[a-z][a-z0-9_]*$"


def _positive(*, nullable: bool) -> pa.Column:
    return pa.Column(float, pa.Check.gt(0), nullable=nullable)


SUBJECTS = pa.DataFrameSchema(
    {"weight_kg": _positive(nullable=True)},
    index=pa.Index(str, pa.Check.str_length(min_value=1), name="subject", unique=True, coerce=True),
)
DOSES = pa.DataFrameSchema(
    {
        "subject": _SUBJECT,
        "time": pa.Column(float, pa.Check.ge(0)),
        "amount": _positive(nullable=False),
        "unit": pa.Column(str, pa.Check.isin(["cells", "mg", "count"]), coerce=True),
        "product": pa.Column(str, pa.Check.str_matches(_NAME), coerce=True),
        "route": pa.Column(str, pa.Check.str_matches(_NAME), coerce=True),
        "duration": pa.Column(float, pa.Check.ge(0)),
        "cycle": pa.Column(int, pa.Check.ge(1), coerce=True),
        "level": pa.Column(str, coerce=True),
        "row": _ROW,
    }
)
OBSERVATIONS = pa.DataFrameSchema(
    {
        "subject": _SUBJECT,
        "time": _TIME,
        "analyte": pa.Column(str, coerce=True),
        "value": pa.Column(float, pa.Check.ge(0)),
        "censored": pa.Column(str, pa.Check.isin(["none", "left", "right", "interval"]), coerce=True),
        "limit": pa.Column(float, pa.Check.ge(0), nullable=True),
        "lloq": _positive(nullable=True),
        "uloq": _positive(nullable=True),
        "nucleated_cells_per_uL": pa.Column(float, pa.Check.gt(0), nullable=True, required=False),
        "row": _ROW,
    }
)
EVENTS = pa.DataFrameSchema(
    {
        "subject": _SUBJECT,
        "time": _TIME,
        "event": pa.Column(str, pa.Check.str_length(min_value=1), coerce=True),
        "grade": pa.Column(float, pa.Check.isin(range(6)), nullable=True),
        "grading_system": pa.Column(str, coerce=True),
        "row": _ROW,
    }
)
RESPONSES = pa.DataFrameSchema({"subject": _SUBJECT, "time": _TIME, "row": _ROW})


def check_schema(schema: pa.DataFrameSchema, table: DataFrame, file: str) -> tuple[DataFrame, list[Problem]]:
    """The table in its contract's types, and every breach of the contract as a Problem."""
    try:
        return schema.validate(table, lazy=True), []
    except SchemaErrors as error:
        breaches = error.failure_cases.to_dict("records")
    rows = dict(enumerate(table["row"])) if "row" in table else {}
    return table, [
        Problem(
            f"breaks the contract of the canonical table: {breach['check']}",
            "correct the value, or report it if the file is right",
            file=file,
            row=rows.get(breach["index"]),
            column=str(breach["column"]),
            value=str(breach["failure_case"]),
        )
        for breach in breaches
    ]
