"""Made-up sheets as labs keep them, and the import of one in a folder of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import openpyxl

import kinetics as kn
from kinetics.lab_sheet import Imported

__all__ = ["CAR_T", "PHASE_1", "imported", "open_questions", "records", "workbook"]

CAR_T = "car_t 1e8 cells"

# A phase I as a laboratory keeps it, made up.
PHASE_1 = """CAR-T phase I, qPCR in blood;;;;;;;;;;;;;;
Patient ID;Cohort;Weight (kg);Cells infused;Infusion date;D0;D1;D3;D7;D10;D14;D28;M2;M3;M6
1;DL1;71;1,00E+07;12.01.2024;ND;<50;120;1 250;4 300;2 100;610;<50;BLQ;BLQ
2;DL1;58;1,00E+07;2024-01-26;<50;<50;75;820;1,10E+04;3 050;540;180;<50;NA
3;DL1;;1,00E+07;09.02.2024;<50;ND;<50;95;210;160;<50;BLQ;NA;NA
4;DL2;83,5;3,00E+07;23 Feb 2024;ND;<50;330;5 400;3,20E+04;1,25E+04;2 900;760;240;<50
5;DL2;66;3,00E+07;08.03.2024;<50;<50;190;2 600;9 800;6 100;1 300;310;95;BLQ
6;DL2;74;3,00E+07;22.03.2024;<50;61;2 300;>100000;>100000;6,40E+04;8 800;1 900;720;260
7;DL3;69;1,00E+08;05.04.2024;ND;<50;940;1,90E+04;7,70E+04;4,10E+04;7 200;NA;NA;NA
8;DL3;90;1,00E+08;19.04.2024;<50;NA;410;8 300;2,60E+04;1,50E+04;3 700;980;330;110
"""


def workbook(path: Path, sheets: Mapping[str, Sequence[Sequence[Any]]]) -> Path:
    """Write a workbook of these sheets, each a list of rows."""
    book = openpyxl.Workbook()
    assert book.active is not None
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    book.save(path)
    return path


def imported(folder: Path, text: str | Mapping[str, str], **answers: Any) -> Imported:
    """Import CSV files of these texts: CAR-T is infused, units are as proposed, unless `answers` differ."""
    texts = {"sheet.csv": text} if isinstance(text, str) else text
    for name, content in texts.items():
        (folder / name).write_text(content, encoding="utf-8")
    known = {"infusion": CAR_T, "units": "proposed"} | answers
    return kn.import_study([folder / name for name in texts], folder / "study", answers=known)


def open_questions(folder: Path, text: str | Mapping[str, str], **answers: Any) -> dict[str, list[str]]:
    """Question -> items, of those that an import of these texts leaves open."""
    try:
        imported(folder, text, **answers)
    except kn.lab_sheet.importing.OpenQuestions as error:
        return {question.key: [item.name for item in question.items] for question in error.questions}
    return {}


def records(made: Imported, analyte: str | None = None) -> list[tuple[str, float, float, str]]:
    """(subject, day, value, censored) of every record."""
    table = made.study.observations
    if analyte is not None:
        table = table[table["analyte"] == analyte]
    rows = table[["subject", "time", "value", "censored"]].itertuples(index=False)
    return [(row.subject, round(row.time, 4), row.value, row.censored) for row in rows]
