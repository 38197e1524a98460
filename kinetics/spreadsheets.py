"""Tables as CSV text that a spreadsheet shows and does not run.

Excel and others take a cell that begins with `=`, `+`, `-` or `@` for a formula, and a formula can start
programs and send what stands beside it elsewhere. Numbers (`-3.5`) are none, nor are signs alone (`-`,
`+++`). A table that other programs read is refused where it has such a text, because any mark put before an
id makes it another id. In a table for people the text gets an apostrophe, by which spreadsheets know a text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pandas import DataFrame, Series, api

from kinetics.errors import InputError, Problem

__all__ = ["csv_text", "shown_csv_text"]

_FORMULA = re.compile(r"[\t\r=+\-@＝＋－＠].*[^\W_]", re.DOTALL)
_MOST = 20  # texts that are listed of one table


def csv_text(
    table: DataFrame, file: str, *, index: bool = False, header: bool = True, missing: str = ""
) -> str:
    """A table as CSV: UTF-8, every digit, lines that end with a newline; `missing` stands for no value.

    InputError lists the texts, and `file`, where a spreadsheet would run some of them as formulas.

    >>> from kinetics.spreadsheets import csv_text
    >>> csv_text(pd.DataFrame({"subject": ["S1"], "change": [-0.5]}), "table.csv")
    'subject,change\\nS1,-0.5\\n'
    >>> try:
    ...     csv_text(pd.DataFrame({"subject": ["=1+1"]}), "table.csv")
    ... except kn.errors.InputError as error:
    ...     print(error)
    table.csv, column subject = '=1+1': a spreadsheet would run this text as a formula; ...
    """
    problems = list(_problems(table.reset_index() if index else table, file))
    if problems:
        raise InputError(problems)
    return table.to_csv(index=index, header=header, na_rep=missing, lineterminator="\n")


def shown_csv_text(table: DataFrame) -> str:
    """A table for people as CSV; a text that a spreadsheet would run as a formula begins with an apostrophe.

    >>> from kinetics.spreadsheets import shown_csv_text
    >>> shown_csv_text(pd.DataFrame({"cell": ["+7 d", "-3"]}))
    "cell\\n'+7 d\\n-3\\n"
    """
    shown = table.copy()
    for column in _columns_of_text(table):
        cells = table[column]
        shown[column] = cells.where(~_formulas(cells), "'" + cells.astype(str))
    shown.columns = [f"'{name}" if _is_formula(str(name)) else name for name in shown.columns]
    return shown.to_csv(index=False, lineterminator="\n")


def _problems(table: DataFrame, file: str) -> Iterator[Problem]:
    """A Problem for every text of a table, and every name of a column, that would be run as a formula."""
    what = "a spreadsheet would run this text as a formula"
    remedy = "begin it with a letter or a digit in the study's own table"
    left = _MOST
    for column in table.columns:
        if _is_formula(str(column)):
            yield Problem(what, remedy, file=file, column=str(column))
    for column in _columns_of_text(table):
        cells = table[column]
        for text in cells[_formulas(cells)].astype(str).unique()[:left]:
            left -= 1
            yield Problem(what, remedy, file=file, column=column, value=text)


def _columns_of_text(table: DataFrame) -> list[str]:
    """The columns that may hold text."""
    return [
        str(column)
        for column, kind in table.dtypes.items()
        if not (api.types.is_numeric_dtype(kind) or api.types.is_bool_dtype(kind))
    ]


def _formulas(cells: Series) -> Series:
    """Whether each cell is a text that a spreadsheet would run."""
    texts = {cell for cell in cells.unique() if isinstance(cell, str) and _is_formula(cell)}
    return cells.isin(list(texts))


def _is_formula(text: str) -> bool:
    """Whether a spreadsheet would run a text. A sign alone or several signs are none, nor is a number."""
    if _FORMULA.match(text) is None:
        return False
    try:
        float(text)
    except ValueError:
        return True
    return False
