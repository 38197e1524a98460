"""No text of a study becomes a formula in a spreadsheet, and no number is taken for one."""

from __future__ import annotations

from io import StringIO

import pandas as pd
import pytest

from kinetics.errors import InputError
from kinetics.spreadsheets import csv_text, shown_csv_text

FORMULAS = ["=1+1", "=cmd|' /C calc'!A0", "+S1", "-S01", "@SUM(A1)", "\t=1", "＝1+1", "-5 to 3", "+7 d"]
NO_FORMULAS = ["-3.5", "+1e7", "-", "+", "+++", "+/-", "--", "S-1", "a=b", "", "1=1", "-inf", "μ"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_text_that_a_spreadsheet_would_run_is_refused_by_name(text: str) -> None:
    table = pd.DataFrame({"subject": ["S1", text, text], "value": [1.0, -2.0, 3.0]})
    with pytest.raises(InputError, match="run this text as a formula") as caught:
        csv_text(table, "nca.csv")
    (problem,) = caught.value.problems
    assert (problem.file, problem.column, problem.value) == ("nca.csv", "subject", text)
    with pytest.raises(InputError, match="formula"):
        csv_text(pd.DataFrame({text: [1.0]}), "nca.csv")
    with pytest.raises(InputError, match="formula"):
        csv_text(table.set_index("subject"), "nca.csv", index=True)
    shown = pd.read_csv(StringIO(shown_csv_text(table)), dtype=str)
    assert shown["subject"].tolist() == ["S1", f"'{text}", f"'{text}"]


@pytest.mark.parametrize("text", NO_FORMULAS)
def test_numbers_and_signs_alone_stay_as_they_are(text: str) -> None:
    table = pd.DataFrame({"subject": ["S1", text], "value": [-1.5, 2.0]})
    assert csv_text(table, "nca.csv") == table.to_csv(index=False)
    assert shown_csv_text(table) == table.to_csv(index=False)


def test_of_many_texts_the_first_are_listed() -> None:
    with pytest.raises(InputError) as caught:
        csv_text(pd.DataFrame({"subject": [f"=S{i}" for i in range(500)]}), "nca.csv")
    assert len(caught.value.problems) == 20
