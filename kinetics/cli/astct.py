"""What `kinetics astct` does: CRS and ICANS grades of a table of raw signs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kinetics.cli.console import print_result
from kinetics.files import write_atomic
from kinetics.outcomes import astct_events, astct_grades, disagreements, read_signs
from kinetics.printing import records, table_text
from kinetics.study import read_study

__all__ = ["astct"]


def astct(
    signs: Annotated[
        Path, typer.Argument(help="A CSV: subject, time, temperature, hypotension, vasopressors, oxygen ...")
    ],
    study: Annotated[
        str | None,
        typer.Option(help="A study whose recorded ASTCT grades are compared; exit 1 if one differs."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the worst grades as rows for events.csv.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """CRS and ICANS by ASTCT 2019 from raw signs, time by time, with the sign that makes each grade.

    ICANS is graded where the table has a column `ice`. Never converted from or into CTCAE. Columns and their
    codes: subject, time (days), temperature (C), hypotension, vasopressors (without vasopressin), oxygen
    (none, low_flow, blow_by, high_flow, face_mask, non_rebreather, venturi, cpap, bipap, ventilation);
    vasopressin, treated, other_cause, ice, consciousness, seizure, motor_weakness, oedema.

    Example: `kinetics astct signs.csv --study data/mine --out crs.csv`
    """
    read = read_signs(signs)
    icans = any(s.ice is not None for own in read.values() for s in own)
    grades = astct_grades(read, icans=icans)
    events = astct_events(grades)
    answer = {"grading_system": "astct_2019", "grades": records(grades), "events": records(events)}
    text = f"grades, ASTCT 2019\n{table_text(grades)}\n\nworst of each subject\n{table_text(events)}"
    differ = False
    if study is not None:
        other = disagreements(events, read_study(study), icans=icans)
        answer["disagreements"] = records(other)
        differ = len(other) > 0
        text += "\n\nrecorded grades that differ\n" + (table_text(other) if differ else "none")
    if out is not None:
        write_atomic(out, events.drop(columns="begins").to_csv(index=False))
        text += f"\nwritten: {out}"
    print_result(answer, text, as_json)
    if differ:
        raise typer.Exit(1)
