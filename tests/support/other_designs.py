"""The synthetic trial's protocol.toml as a protocol of another design."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import tomli_w

__all__ = ["protocol_of_a_design", "synthetic_tables"]

SYNTHETIC = Path("data/nkg2d_phase1_synthetic/protocol.toml")


def synthetic_tables(*names: str) -> dict[str, Any]:
    """Some tables of the synthetic trial's protocol.toml."""
    content = tomllib.loads(SYNTHETIC.read_text(encoding="utf-8"))
    return {name: content[name] for name in names}


def protocol_of_a_design(folder: Path, design: dict[str, Any] | None, **tables: Any) -> Path:
    """A protocol.toml in `folder`, with [design] and `tables` in place of what only a 3+3 has.

    A table that is None is taken out.
    """
    content = tomllib.loads(SYNTHETIC.read_text(encoding="utf-8"))
    for table in ("escalation", "mtd", "titration"):
        del content[table]
    del content["size"]["more_than_planned"]
    if design is not None:
        content["design"] = design
    content |= tables
    path = folder / "protocol.toml"
    written = {name: table for name, table in content.items() if table is not None}
    path.write_text(tomli_w.dumps(written), encoding="utf-8")
    return path
