"""Strangers' tables: what people report in public trackers is right here, or refused by name.

A case is one TOML of this folder, named after its kind: `what` it is, its `source`, the `table` (or
`tables`, for a workbook of sheets), the `options` of `read_study`, and either what the refusal says
(`refused`, and `never` for words that it must not say) or what is `right`: columns of the canonical tables,
the covariates, and words of the summary (`told`).
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kinetics.errors import StudyError
from kinetics.study import Study, read_study

FOLDER = Path(__file__).parent
KINDS = ("columns", "codes", "origins", "both", "missing", "remedies", "taken", "layout")
OPTIONS: dict[str, Any] = {
    "time_unit": "day",
    "dose_unit": "cells",
    "value_unit": "copies/ug DNA",
    "analyte": "car_copies",
    "route": "iv",
    "product": "car_t",
}
CASES = sorted(file for file in FOLDER.glob("*.toml") if file.name.partition("_")[0] in KINDS)


def case_of(file: Path) -> dict[str, Any]:
    return tomllib.loads(file.read_text(encoding="utf-8"))


def written_table(folder: Path, case: dict[str, Any]) -> Path:
    """The table of a case as a file: text, or a workbook where the case has several sheets."""
    if "toml" in case:
        (folder / "table.toml").write_text(case["toml"], encoding="utf-8")
    if "sheets" not in case:
        path = folder / case.get("file", "table.csv")
        path.write_text(case["table"], encoding=case.get("encoding", "utf-8"))
        return path
    openpyxl = pytest.importorskip("openpyxl", reason="openpyxl is not installed: a workbook was NOT read")
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, text in case["sheets"].items():
        sheet = book.create_sheet(name)
        for line in text.splitlines():
            sheet.append([number_or_text(cell) for cell in line.split(",")])
    book.save(folder / "table.xlsx")
    return folder / "table.xlsx"


def number_or_text(cell: str) -> object:
    try:
        return float(cell)
    except ValueError:
        return cell or None


def options_of(case: dict[str, Any]) -> dict[str, Any]:
    """The options of a case: those of all event tables with its own; of an ADaM table its own alone."""
    if case.get("adam"):
        return case.get("options", {})
    return OPTIONS | case.get("options", {})


def differences(study: Study, right: dict[str, Any]) -> list[str]:
    """What of a study is not as it should be, as sentences."""
    wrong = []
    for name in ("subjects", "doses", "observations"):
        for column, values in right.get(name, {}).items():
            got = list(getattr(study, name)[column])
            if not same(got, values):
                wrong.append(f"{name}.{column} is {got}, not {values}")
    if "covariates" in right and study.covariates != right["covariates"]:
        wrong.append(f"covariates are {study.covariates}, not {right['covariates']}")
    told = str(study)
    wrong += [f"{words!r} is not told: {told}" for words in right.get("told", []) if words not in told]
    return wrong


def same(got: list[Any], values: list[Any]) -> bool:
    """Whether two columns agree, numbers to 1e-6 and nan with nan (or None)."""
    if len(got) != len(values):
        return False
    for one, other in zip(got, values, strict=True):
        if isinstance(other, float | int) and not isinstance(other, bool):
            number = np.nan if one is None else float(one)
            if not np.isclose(number, other, rtol=1e-6, atol=1e-9, equal_nan=True):
                return False
        elif one != other:
            return False
    return True


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_a_strangers_table_is_right_or_refused_by_name(file: Path, tmp_path: Path) -> None:
    case = case_of(file)
    assert case["what"]
    assert case["source"]
    table = written_table(tmp_path, case)
    if "refused" not in case:
        wrong = differences(read_study(table, **options_of(case)), case["right"])
        assert not wrong, "\n".join(wrong)
        return
    with pytest.raises(StudyError) as caught:
        read_study(table, **options_of(case))
    said = str(caught.value)
    assert all(words in said for words in case["refused"]), said
    assert not any(words in said for words in case.get("never", [])), said
    assert all(problem.remedy and problem.file for problem in caught.value.problems)


def test_every_kind_has_three_cases_at_least() -> None:
    for kind in KINDS:
        assert sum(file.name.startswith(f"{kind}_") for file in CASES) >= 3, kind
