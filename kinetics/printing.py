"""Tables as text and values as JSON, as commands print them and batches write them."""

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
    """The rows of a table as dictionaries, column name -> value."""
    return [{str(name): cell for name, cell in row.items()} for row in table.to_dict("records")]


def plain(value: Any) -> Any:
    """A value made of JSON types; a number that is not finite becomes None."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
