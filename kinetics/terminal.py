"""What a command prints: text, or one JSON object."""

from __future__ import annotations

import json
from typing import Any

from kinetics.printing import plain

__all__ = ["print_result"]


def print_result(result: dict[str, Any], text: str, as_json: bool) -> None:
    """Print `text`, or with `as_json` the `result` as one JSON object."""
    print(json.dumps(plain(result), default=str) if as_json else text)
