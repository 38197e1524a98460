"""Small trials of other kinds than this one's, as the content of a protocol.toml. SYNTHETIC."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import tomli_w

__all__ = ["FLAT", "REGIMENS", "trial_folder", "written"]


def _settled(value: Any) -> dict[str, Any]:
    return {"value": value, "because": "chosen for this test"}


# one product, one flat infusion, 3+3
FLAT: dict[str, Any] = {
    "title": "SYNTHETIC flat doses of one product",
    "source": "written for the tests",
    "synthetic": True,
    "levels": [1e7, 1e8, 1e9],
    "level_unit": "cells",
    "level_product": "dll3_car_nk",
    "dosing": {"dll3_car_nk": {"route": "iv", "days": [0], "per": _settled("administration")}},
    "escalation": {
        "variant": _settled("protocol"),
        "cohort": _settled(3),
        "second_dlt": _settled("may_stay_away"),
    },
    "dlt": {
        "definition": "a related grade 3 or more",
        "window_days": _settled(28),
        "clock": _settled("first_dll3_car_nk"),
    },
    "evaluable": {
        "requires": _settled("any_infusion"),
        "replaced": _settled(True),
        "progression": _settled("if_followed"),
        "dose_tolerance": _settled(0.2),
        "other_dose": _settled("as_assigned"),
    },
    "mtd": {
        "definition": "at most 1 of 6 with a DLT",
        "evaluable": _settled(6),
        "dlts": _settled(1),
        "fill_top_level": _settled(True),
        "overdose_above": _settled(0.33),
    },
    "size": {"planned": _settled([9, 18]), "more_than_planned": _settled("allowed")},
    "endpoints": {"adverse_events": {"definition": "AEs", "grading": _settled("ctcae_v5")}},
}


def _icv(amount: float, **when: Any) -> dict[str, Any]:
    return {"product": "b7h3_car_t", "route": "intraventricular", "amount": amount} | when


# regimens: the same dose weekly, a step-up, and two cycles of one dose
REGIMENS: dict[str, Any] = {key: value for key, value in FLAT.items() if key not in ("levels", "dosing")} | {
    "title": "SYNTHETIC weekly infusions into the ventricle, some with intra-patient escalation",
    "level_product": "b7h3_car_t",
    "level": [
        {"name": "DR1", "infusions": [_icv(1e7, days=[0, 7, 14])]},
        {"name": "DR2", "infusions": [_icv(1e7, day=0), _icv(5e7, days=[7, 14])]},
        {"name": "flat twice", "infusions": [_icv(5.5e7, day=0, repeat={"every_days": 28, "times": 2})]},
    ],
    "dlt": FLAT["dlt"] | {"clock": _settled("each_infusion")},
}


def written(path: Path, content: dict[str, Any], fields: dict[str, Any]) -> Path:
    """The content as a TOML file, with dotted fields set, or taken out where the value is None."""
    content = deepcopy(content)
    for field, value in fields.items():
        *tables, key = field.split(".")
        table = content
        for name in tables:
            table = table.setdefault(name, {})
        if value is None:
            table.pop(key)
        else:
            table[key] = value
    path.write_text(tomli_w.dumps(content), encoding="utf-8")
    return path


def trial_folder(folder: Path, patients: list[dict[str, Any]], *, product: str, route: str = "iv") -> Path:
    """A study folder of a small synthetic trial: a row of subjects.csv for each patient.

    A patient has a `subject` and a `dose_level`; `cells` are one infusion on day 0, or a dict day -> cells;
    `until` is the day up to which it was followed. `events` are (day, event, grade, dlt) and `responses`
    (day, category); other keys are columns of subjects.csv.
    """
    tables = ("subject", "dose_level", "cells", "until", "events", "responses", "weight_kg")
    columns = [key for key in dict.fromkeys(key for p in patients for key in p) if key not in tables]
    subjects = [["subject", "weight_kg", "dose_level", "followed_until", *columns]]
    doses = [["subject", "time", "product", "route", "cells"]]
    events = [["subject", "time", "event", "grade", "grading_system", "attribution", "dlt"]]
    responses = [["subject", "time", "overall"]]
    for p in patients:
        extra = [p.get(column, "") for column in columns]
        subjects.append([p["subject"], p.get("weight_kg", 70), p["dose_level"], p.get("until", 400), *extra])
        cells = p["cells"] if isinstance(p["cells"], dict) else {0: p["cells"]}
        doses += [[p["subject"], day, product, route, amount] for day, amount in cells.items()]
        for day, event, grade, dlt in p.get("events", ()):
            events.append([p["subject"], day, event, grade, "ctcae_v5", product, dlt])
        responses += [[p["subject"], day, category] for day, category in p.get("responses", ())]
    notes = "".join(f'{column} = {{ role = "note" }}\n' for column in columns)
    dictionary = (
        'title = "SYNTHETIC small trial"\nsource = "written for the tests"\nlicence = "CC0-1.0"\n'
        'synthetic = true\n[analytes.car_copies]\nlabel = "CAR copies"\nassay = "qpcr"\nsite = "blood"\n'
        'unit = "copies/ug DNA"\n[columns.subjects]\ndose_level = { role = "note" }\n'
        f'followed_until = {{ role = "note", unit = "day" }}\n{notes}'
        '[columns.doses]\ntime = { unit = "day" }\n[columns.observations]\ntime = { unit = "day" }\n'
        '[columns.events]\ntime = { unit = "day" }\nattribution = { role = "note" }\n'
        'dlt = { role = "note", codes = ["yes", "no"] }\n'
        '[columns.responses]\ntime = { unit = "day" }\noverall = { role = "note" }\n'
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dictionary.toml").write_text(dictionary, encoding="utf-8")
    observations = [["subject", "time", "analyte", "value", "censored"]]
    observations += [[p["subject"], 1, "car_copies", 500, "none"] for p in patients]
    for name, rows in (
        ("subjects", subjects),
        ("doses", doses),
        ("observations", observations),
        ("events", events),
        ("responses", responses),
    ):
        text = "".join(",".join(map(str, row)) + "\n" for row in rows)
        if name in ("events", "responses") and len(rows) == 1:
            continue
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return folder
