"""What `kinetics recist` does: responses of a table of lesion measurements."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kinetics.cli.console import print_result
from kinetics.files import write_atomic
from kinetics.outcomes import first_infusions, lesion_responses, other_than_recorded, read_lesions
from kinetics.printing import records, table_text
from kinetics.study import read_study

__all__ = ["recist"]

FOR_RESPONSES = ["subject", "time", "sum_mm", "new_lesions", "overall", "irecist"]


def recist(
    lesions: Annotated[
        Path, typer.Argument(help="A CSV: subject, time, lesion, kind, diameter_mm, state ...")
    ],
    study: Annotated[
        str | None,
        typer.Option(help="A study: its first infusions, its recorded responses; exit 1 if one differs."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the visits as rows for responses.csv.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Responses by RECIST 1.1 and iRECIST from lesion measurements, visit by visit with the reason; the best
    of each.

    One row a lesion and visit, the first visit the baseline; days from treatment, or as in --study. kind:
    target, non_target, new. diameter_mm: 0 gone, empty not measured. state of a non-target: absent, present,
    unequivocal_progression, not_evaluated. Optional: node, larger (yes, no).

    Example: `kinetics recist lesions.csv --study data/mine --out responses.csv`
    """
    data = None if study is None else read_study(study)
    visits = read_lesions(lesions)
    found = lesion_responses(visits, reference_day=0.0 if data is None else first_infusions(data))
    answer = {"visits": records(found.visits), "best": records(found.best)}
    text = f"visits\n{table_text(found.visits)}\n\nbest responses\n{table_text(found.best)}"
    differ = False
    if data is not None:
        other = other_than_recorded(found.visits, data)
        answer["disagreements"] = records(other)
        differ = len(other) > 0
        text += "\n\nrecorded responses that differ\n" + (table_text(other) if differ else "none")
    if out is not None:
        write_atomic(out, found.visits[FOR_RESPONSES].to_csv(index=False))
        text += f"\nwritten: {out}"
    print_result(answer, text, as_json)
    if differ:
        raise typer.Exit(1)
