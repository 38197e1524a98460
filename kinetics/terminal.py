"""What a command prints: a table as text, or one JSON object."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from pandas import DataFrame

__all__ = ["plain", "print_result", "records", "table_text"]


def table_text(table: DataFrame) -> str:
    return table.to_string(index=False, na_rep="-", float_format=lambda x: f"{x:.4g}")


def records(table: DataFrame) -> list[dict[str, Any]]:
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


def print_result(result: dict[str, Any], text: str, as_json: bool) -> None:
    print(json.dumps(plain(result), default=str) if as_json else text)
