"""A table as plain text, and values as JSON has them: what commands print and batches write."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from pandas import DataFrame

__all__ = ["plain", "records", "table_text"]


def table_text(table: DataFrame) -> str:
    """A table as aligned text: four significant digits, `-` for a missing value."""
    return table.to_string(index=False, na_rep="-", float_format=lambda x: f"{x:.4g}")


def records(table: DataFrame) -> list[dict[str, Any]]:
    """The rows of a table, each a dictionary of column name -> value."""
    return [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]


def plain(value: Any) -> Any:
    """A value as JSON has it: a missing number is null."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
