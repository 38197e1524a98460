"""Columns of codes: what parts the doses or the records of a single table, and what is said of the codes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from pandas import Series

from kinetics.study.raw_table import RawTable
from kinetics.study.sources.known_columns import with_role
from kinetics.study.sources.set_aside import drop_remedy
from kinetics.units import UnitError, convert

__all__ = ["UNSAID", "by_code", "check_parts", "check_said_unit", "check_single", "code_column", "plain_code"]


def plain_code(cell: str) -> str:
    """A code without its decimals, since `2.0` and `2` are one code."""
    return re.sub(r"\.0*$", "", cell)


def code_column(table: RawTable, rows: Series, names: Iterable[str]) -> str:
    """The column that parts `rows`: the first of `names` with several codes among them, else the first that
    is there, else the last.
    """
    names = list(names)
    present = [name for name in names if name in table]
    for name in present:
        if len(_codes(table, rows, name)) > 1:
            return name
    return (present or names[-1:])[0]


UNSAID = "unknown"  # stands for a word that nobody said: that is reported where the words are read


def _codes(table: RawTable, rows: Series, column: str) -> list[str]:
    """The different codes of `rows` in a column, in file order; an empty cell is one too."""
    return list(dict.fromkeys(table.words(column)[rows].map(plain_code)))


def by_code(
    table: RawTable, rows: Series, names: Iterable[str], meaning: str | Mapping[str, str] | None, word: str
) -> Series:
    """The value of `word` for each of `rows`: one for all, or one per code of the column that parts them.

    One value for several codes is reported, and so is a code without a value; the latter has the first value
    so that the rest can be checked.
    """
    code = code_column(table, rows, names)
    codes = table.words(code).map(plain_code)
    if not isinstance(meaning, Mapping):
        if meaning and meaning != UNSAID:
            check_single(table, rows, code, word)
        return Series(meaning or "", index=codes[rows].index, dtype=object)
    unknown = (rows & ~codes.isin(list(meaning))).to_numpy()
    what = f"the code has no {word}" if code in table else f"{word} is given per code, and there is no {code}"
    remedy = f"add the code to {word} in [event_table] (known: {', '.join(meaning)})"
    table.flag(unknown, code, what, remedy)
    first = next(iter(meaning.values()), "")
    return codes[rows].map(dict(meaning)).astype(object).fillna(first)


def check_single(table: RawTable, rows: Series, column: str, word: str) -> None:
    """Report a column that parts the rows into several codes where one value is said for all of them."""
    codes = _codes(table, rows, column)
    if len(codes) < 2:
        return
    shown = " and ".join(
        [", ".join(code or "an empty cell" for code in codes[:-1]), codes[-1] or "an empty cell"]
    )
    name = table.names.get(column, column)
    example = ",".join(f"{code}=..." for code in codes if code)
    what = f"{name} has {shown}, and one {word} is said for all of them"
    remedy = f"say one per code: --{word.replace('_', '-')} {example}"
    remedy += f" ({word}={{{', '.join(f'{code!r}: ...' for code in codes if code)}}} in Python)"
    if "" in codes:
        remedy += ", and fill the empty cells"
    cells = table.words(column).map(plain_code)
    row = int(str(cells.index[(rows & (cells != codes[0])).to_numpy()][0]))
    table.report(what, remedy, row=row, column=column)


def check_parts(table: RawTable, rows: Series, columns: Iterable[str], value: Series, word: str) -> None:
    """Report each of `columns` that has several codes among those of `rows` that share one `value`."""
    for column in columns:
        codes = table.words(column)[rows]
        for name, group in codes.groupby(value):
            distinct = list(dict.fromkeys(code or "an empty cell" for code in group))
            if len(distinct) < 2:
                continue
            shown = table.names.get(column, column)
            what = f"{shown} has {' and '.join(distinct[:6])} within one {word} ({name})"
            remedy = f"give each a code of its own (DVID, ADM or PARAMCD), and say the {word} of each code"
            row = int(str(group.index[(group != group.iloc[0]).to_numpy()][0]))
            table.report(what, drop_remedy(shown, remedy), row=row, column=column)


_SAID = ("dose_unit", "value_unit", "time_unit")  # roles of which an option says the unit


def check_said_unit(table: RawTable, rows: Series, columns: list[str], role: str, said: Series) -> None:
    """Report the cells of a column of units, among `rows`, that are another unit than the one said.

    The remedy begins with the column, since leaving it out is right only where its unit is wrong.
    """
    for column in with_role(columns, role):
        written = table.words(column)[rows]
        several = len({unit for unit in written if unit}) > 1
        if role not in _SAID:
            right = f"write the numbers in {next(iter(said), '')}"
        elif several:
            right = "write the numbers in one unit, or give each unit a code of its own and say one per code"
        else:
            right = "say the unit of the column"
        for unit, of_row in dict.fromkeys(zip(written, said, strict=True)):
            if not unit or not of_row or _same(unit, of_row):
                continue
            wrong = rows & table.words(column).eq(unit)
            name = table.names.get(column, column)
            what = f"the column says {unit}, and {of_row} is said of the rows"
            remedy = f"if the column is right, {right}; only if it is wrong, leave it out (--drop {name}, "
            table.flag(wrong, column, what, f"{remedy}drop=[{name!r}] in Python)")


def _same(unit: str, said: str) -> bool:
    """Whether two units are of one size."""
    try:
        return convert(unit, said) == 1.0
    except UnitError:
        return unit.casefold() == said.casefold()
