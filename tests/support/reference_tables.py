"""Published tables of reference answers, where the folder of real data has them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

__all__ = ["reference_table"]


def reference_table(shared_data: Path, name: str) -> pd.DataFrame:
    """A table of the folder of real data; a test that asks for one that is absent is skipped."""
    file = shared_data / name
    if not file.is_file():
        pytest.skip(f"reference answers are absent: {file}")
    return pd.read_csv(file)
