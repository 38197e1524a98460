"""Which rows of a single table its columns of flags leave out, and which records they call below the LLOQ."""

from __future__ import annotations

from pandas import Series

from kinetics.errors import Problem
from kinetics.study.raw_table import RawTable
from kinetics.study.sources.known_columns import MEANS, known_column, plain_name, with_role

__all__ = [
    "below_flags",
    "check_marks",
    "check_words",
    "drop_remedy",
    "excluded_rows",
    "unread_columns",
    "unsupported",
]

_YES = {"1", "1.0", "Y", "YES", "T", "TRUE", "X"}
_NO = {"", "0", "0.0", "N", "NO", "F", "FALSE"}
_BELOW = {"BLQ", "BQL", "BLOQ", "LLOQ", "<LLOQ", "<BLQ", "BLLOQ"}
_EXCLUDED = {"EXCLUDE", "EXCLUDED", "C", "#", "IGNORE"}
_TOLD = ("log", "time", "identifier", "bookkeeping")


def drop_remedy(name: str, before: str) -> str:
    """A remedy that ends with leaving the column out, by option or in Python."""
    return f"{before}, or leave the column out (--drop {name}, drop=[{name!r}] in Python)"


def excluded_rows(table: RawTable, is_dose: Series, columns: list[str]) -> tuple[Series, dict[str, int]]:
    """The rows that some of `columns` leave out, and how many records each of these leaves out.

    Exclusions, reasons, derived records and analysis flags are read; a dose that is marked, a code that is
    neither yes nor no, and marks whose meaning only their author knows, are reported.
    """
    left_out = Series(False, index=table.frame.index)
    counts = {}
    for column in with_role(columns, "exclusion", "reason", "analysis", "derived"):
        role = known_column(column).role  # type: ignore[union-attr]
        if role in ("reason", "derived"):
            marked = ~table.missing(column)
        else:
            yes = _flagged(table, column, _EXCLUDED, ~is_dose if role == "analysis" else None)
            marked = yes if role == "exclusion" else ~yes & ~is_dose & bool(yes.any())
        if role == "derived":
            left_out |= marked
        else:
            name = table.names.get(column, column)
            remedy = drop_remedy(name, "clear the mark if the dose was given, delete the row if it was not")
            table.flag(marked & is_dose, column, f"the row of a dose is marked: {_meaning(column)}", remedy)
            left_out |= marked & ~is_dose
        if marked.any():
            counts[column] = int((marked & (~is_dose | (role == "derived"))).sum())
    return left_out, counts


def check_marks(
    table: RawTable, known: list[str], own: list[str], ids: Series, records: Series | None = None
) -> None:
    """Report columns that mark rows and of which only their author knows for what: those known for it, and
    of the user's own those that are called a flag and vary within a subject, or say yes of some and no of
    other `records` of a subject. Records that a flag calls above the ULOQ are reported too.
    """
    for column in with_role(known, "above"):
        yes = _flagged(table, column, set(), records)
        name = table.names.get(column, column)
        remedy = "write CENS -1 with the ULOQ as DV; only if the value was measured after all, leave the "
        remedy += f"column out (--drop {name}, drop=[{name!r}] in Python)"
        where = yes if records is None else yes & records
        table.flag(where, column, "the record is marked as above the ULOQ", remedy)
    for column in with_role(known, "mark"):
        _ask_about(table, column)
    for column in own:
        words = table.words(column)
        varies = words.groupby(ids).nunique() > 1
        if plain_name(column).endswith(("FL", "FLAG", "FLG")) and varies.any():
            _ask_about(table, column)
        elif records is not None and _parts_records(words[records].str.upper(), ids[records]):
            _ask_what_is_marked(table, column, records)


def _parts_records(words: Series, ids: Series) -> bool:
    """Whether a column says yes of some records of a subject and no of others, and nothing else."""
    if not words.isin(_YES | _NO).all():
        return False
    yes = words.isin(_YES)
    return bool((yes.groupby(ids).nunique() > 1).any())


def _ask_what_is_marked(table: RawTable, column: str, records: Series) -> None:
    """Report a column of yes and no that parts the `records` of a subject."""
    name = table.names.get(column, column)
    what = "the column says yes of some records of a subject and no of others, and nobody says what of them"
    remedy = drop_remedy(
        name,
        "name it EXCL where it leaves a record out, BLQ where the value lies below the LLOQ; if its first "
        f'value describes the subject, say `{name} = {{ role = "covariate", kind = "category" }}` under '
        f"[columns.subjects] in {table.dictionary}",
    )
    yes = table.words(column).str.upper().isin(_YES)
    table.report(what, remedy, row=int(str((yes & records).idxmax())), column=column)


def check_words(table: RawTable, columns: list[str], records: Series) -> None:
    """Report `records` that a word in one of `columns` calls below the LLOQ, and no code does."""
    for column in columns:
        cells = table.words(column).str.upper()
        said = records & (cells.isin(_BELOW) | cells.str.match(r"^[<≤]\s*\d"))
        name = table.names.get(column, column)
        what = "the word says below the LLOQ, and no code does"
        table.flag(said, column, what, drop_remedy(name, "write CENS 1 with the LLOQ as DV"))


def below_flags(table: RawTable, is_dose: Series, columns: list[str]) -> Series:
    """The records that a flag calls below the LLOQ; a code that is neither yes nor no is reported."""
    below = Series(False, index=table.frame.index)
    for column in with_role(columns, "below"):
        below |= _flagged(table, column, _BELOW, ~is_dose) & ~is_dose
    return below


def _flagged(table: RawTable, column: str, more: set[str], among: Series | None = None) -> Series:
    """The rows where a flag says yes (1, Y, or a word in `more`); a code of `among` that is neither yes nor
    no is reported.
    """
    cells = table.words(column).str.upper()
    yes = cells.isin(_YES | more)
    unclear = ~yes & ~cells.isin(_NO)
    if among is not None:
        unclear &= among
    name = table.names.get(column, column)
    what = f"neither yes (1, Y) nor no (0, N, empty): {_meaning(column)}"
    table.flag(unclear, column, what, drop_remedy(name, "write 1 or 0"))
    return yes


def unread_columns(columns: list[str]) -> list[str]:
    """Those of `columns` that are known and carry nothing that a study reads."""
    return with_role(columns, *_TOLD)


def _meaning(column: str) -> str:
    known = known_column(column)
    return "" if known is None else known.meaning


def _ask_about(table: RawTable, column: str) -> None:
    """Report a column of marks that has several values."""
    cells = table.words(column)
    values = list(dict.fromkeys(cells))
    if len(values) < 2:
        return
    shown = ", ".join(value or "empty" for value in values[:6])
    name = table.names.get(column, column)
    what = f"the column marks rows ({shown}), and whether they are to be left out is not said"
    remedy = drop_remedy(
        name, "delete the rows that are not to be used, or name the column EXCL (1: left out)"
    )
    row = int(str(cells.index[(cells != values[0]).to_numpy()][0]))
    table.report(what, remedy, row=row, column=column)


def unsupported(table: RawTable, columns: list[str]) -> list[Problem]:
    """Problems of the columns that change what rows mean and are not read, where they say anything."""
    problems = []
    for column in with_role(columns, "unsupported", "half_life"):
        filled = ~table.words(column).isin(["", "0", "0.0", "N", "n"])
        role = known_column(column).role  # type: ignore[union-attr]
        if column.upper() in ("F1", "BIOAV", "BIOAVAILABILITY"):
            filled &= ~table.words(column).isin(["1", "1.0"])
        if filled.any():
            name = table.names.get(column, column)
            remedy = drop_remedy(name, "write the table without it")
            what = f"{_meaning(column)}: {MEANS[role].partition(':')[2].partition(';')[0].strip()}"
            problems.append(table.problem(what, remedy, row=int(str(filled.idxmax())), column=column))
    return problems
