"""A running trial as a user has it: a study folder of a few rows, and the synthetic protocol changed.

Everything here is made up.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w

from kinetics.protocol import Protocol, read_protocol
from kinetics.study import Study, read_study

__all__ = ["OPEN", "Row", "changed_protocol", "small_study"]

Row = Sequence[object]
SHIPPED = Path(__file__).parents[2] / "data" / "nkg2d_phase1_synthetic" / "protocol.toml"
OPEN: object = object()  # takes a field out of the protocol
COLUMNS = {
    "subjects": ("subject", "dose_level"),
    "doses": ("subject", "time", "product", "cells_per_kg"),
    "events": ("subject", "time", "event", "grade", "grading_system", "attribution", "dlt"),
    "responses": ("subject", "time", "overall"),
}
UNITS = {"dose_level": "cells/kg", "followed_until": "day", "off_study_on": "day", "enrolment": "1"}


def small_study(
    folder: Path,
    levels: Mapping[str, float],
    *,
    doses: Sequence[Row] | None = None,
    events: Sequence[Row] | None = (),
    responses: Sequence[Row] | None = None,
    columns: Mapping[str, Mapping[str, object]] | None = None,
    followed: float = 60.0,
    weight: float = 70.0,
) -> Study:
    """Subjects at their assigned levels [cells/kg], followed to one day unless the columns say otherwise.

    `doses`: subject, day, product, cells/kg; by default two infusions of CAR-T at the level, days 0 and 1.
    `events` and `responses` as `COLUMNS`; None: no file. `columns`: column of subjects.csv -> its cells by
    subject.
    """
    folder.mkdir(parents=True, exist_ok=True)
    columns = columns or {}
    until = dict.fromkeys(levels, followed) | dict(columns.get("followed_until", {}))
    extra = {**columns, "followed_until": until}
    header = ["subject", "weight_kg", "dose_level", *extra]
    rows = [
        [subject, weight, level, *(cells.get(subject, "") for cells in extra.values())]
        for subject, level in levels.items()
    ]
    _write(folder / "subjects.csv", header, rows)
    if doses is None:
        doses = [(s, day, "car_t", level) for s, level in levels.items() for day in (0, 1)]
    routes = {"car_nk": "hepatic_artery"}
    given = [(*row[:3], routes.get(str(row[2]), "iv"), row[3]) for row in doses]
    _write(folder / "doses.csv", ["subject", "time", "product", "route", "cells_per_kg"], given)
    _write(
        folder / "observations.csv",
        ["subject", "time", "analyte", "value"],
        [(subject, 0.5, "car_copies", 100) for subject in levels],
    )
    for name, table in (("events", events), ("responses", responses)):
        if table is not None:
            _write(folder / f"{name}.csv", COLUMNS[name], table)
    (folder / "dictionary.toml").write_text(tomli_w.dumps(_dictionary(extra, events, responses)))
    return read_study(folder)


def changed_protocol(path: Path, **fields: Any) -> Protocol:
    """The synthetic protocol with dotted fields set (`dlt__window_days=...`), or taken out where `OPEN`.

    A field that is a point gets a sentence beside its value.
    """
    content = tomllib.loads(SHIPPED.read_text(encoding="utf-8"))
    for field, value in fields.items():
        *tables, key = field.split("__")
        table = content
        for name in tables:
            table = table.setdefault(name, {})
        if value is OPEN:
            table.pop(key, None)
        elif isinstance(table.get(key), dict) and "because" in table[key]:
            table[key] = {"value": value, "because": "a test of this point"}
        else:
            table[key] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(tomli_w.dumps(content), encoding="utf-8")
    return read_protocol(path)


def _dictionary(
    extra: Mapping[str, object], events: Sequence[Row] | None, responses: Sequence[Row] | None
) -> dict[str, Any]:
    """The dictionary of a small study."""
    subjects: dict[str, Any] = {"dose_level": {"role": "covariate", "unit": "cells/kg"}}
    for column in extra:
        unit = UNITS.get(column)
        subjects[column] = {"role": "note"} if unit is None else {"role": "note", "unit": unit}
    columns: dict[str, Any] = {
        "subjects": subjects,
        "doses": {"time": {"unit": "day"}},
        "observations": {"time": {"unit": "day"}},
    }
    if events is not None:
        notes = {"attribution": {"role": "note"}, "dlt": {"role": "note"}}
        columns["events"] = {"time": {"unit": "day"}, **notes}
    if responses is not None:
        columns["responses"] = {"time": {"unit": "day"}, "overall": {"role": "note"}}
    analyte = {"label": "CAR", "assay": "qpcr", "site": "blood", "unit": "copies/ug DNA"}
    return {
        "title": "SYNTHETIC trial of a test",
        "source": "made up",
        "licence": "CC0-1.0",
        "synthetic": True,
        "analytes": {"car_copies": analyte},
        "columns": columns,
    }


def _write(path: Path, header: Sequence[str], rows: Sequence[Row]) -> None:
    lines = [",".join(header), *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
