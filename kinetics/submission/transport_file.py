"""SAS transport files, version 5 (.xpt): written by pyreadstat, read back and compared before they are kept.

The limits are those of the format: a name of at most 8 capitals, digits and underscores, a label of at most
40 characters and text of at most 200 bytes, all of ASCII. What is beyond them is refused by name; nothing is
shortened. A number keeps all its digits between about 1.1e-78 and 4.5e74; smaller and greater ones are
refused, because the format has no place for them. pandas (3.1) reads eight zero bytes, which are 0, as
16^-65 = 5.4e-79; `read_transport` gives 0 back.
"""

from __future__ import annotations

import importlib
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd
from pandas import DataFrame

from kinetics.errors import InputError, Problem

__all__ = [
    "TransportTable",
    "differences",
    "read_transport",
    "split_texts",
    "transport_bytes",
    "transport_problems",
]

LONGEST_NAME = 8
LONGEST_LABEL = 40
LONGEST_TEXT = 200  # bytes
_NAME = re.compile(r"[A-Z_][A-Z0-9_]*")
_ZERO_READ_AS = 16.0**-65  # what pandas makes of eight zero bytes
_LEAST = 2 * _ZERO_READ_AS  # numbers of IBM's double precision begin there, and end just below 16^63
_GREATEST = 16.0**62  # pyreadstat has no greater ones


class TransportTable:
    """A table as a transport file holds it: `name`, `label`, the rows, and the label of each variable.

    Columns of `frame` are numbers (NaN where missing) or text ("" where missing). InputError lists every
    variable that the format has no place for.

    >>> frame = pd.DataFrame({"AVAL": [1.5]})
    >>> table = kn.submission.TransportTable("ADX", "An example", frame, {"AVAL": "Value"})
    >>> table.name, list(table.frame), table.labels["AVAL"]
    ('ADX', ['AVAL'], 'Value')
    """

    def __init__(self, name: str, label: str, frame: DataFrame, labels: Mapping[str, str]) -> None:
        problems = list(transport_problems(name, label, frame, labels))
        if problems:
            raise InputError(problems)
        self.name = name
        self.label = label
        self.labels = {column: labels[column] for column in frame.columns}
        self.frame = DataFrame({column: _plain(frame[column]) for column in frame.columns})


def transport_problems(
    name: str, label: str, frame: DataFrame, labels: Mapping[str, str]
) -> Iterator[Problem]:
    """What a transport file has no place for, a problem for each variable and each kind of fault."""
    file = f"{name.lower()}.xpt"
    yield from _of_a_name(f"the data set {name!r}", name, label, file)
    if frame.empty:
        yield Problem("a data set without rows", "leave it out", file=file)
    for column in map(str, frame.columns):
        if column not in labels:
            yield Problem("a variable without a label", "give it one", file=file, column=column)
            continue
        yield from _of_a_name(f"the variable {column!r}", column, labels[column], file)
        yield from _of_values(frame[column], column, file)


def _of_a_name(what: str, name: str, label: str, file: str) -> Iterator[Problem]:
    """The problems of a name and of a label."""
    if len(name) > LONGEST_NAME:
        yield Problem(
            f"{what} has {len(name)} characters", f"{LONGEST_NAME} is the most: rename it", file=file
        )
    elif not _NAME.fullmatch(name):
        yield Problem(f"{what} is no name", "write capitals, digits and underscores", file=file)
    if len(label) > LONGEST_LABEL:
        remedy = f"{LONGEST_LABEL} is the most: shorten it"
        yield Problem(f"the label of {what} has {len(label)} characters: {label!r}", remedy, file=file)
    if not label.isascii():
        yield Problem(f"the label of {what} is not ASCII: {label!r}", "write it in ASCII", file=file)


def _of_values(values: Any, column: str, file: str) -> Iterator[Problem]:
    """The problems of the values of one variable; the first row of each kind is named."""
    plain = _plain(values)
    if plain.dtype.kind == "f":
        size = plain.abs()
        outside = ((size >= _GREATEST) | ((size < _LEAST) & (size > 0))) & plain.notna()
        for row, value in plain[outside].head(1).items():
            what = f"{int(outside.sum())} values that the format has no place for"
            remedy = "give it in another unit" if np.isfinite(value) else "leave it missing, with its reason"
            yield Problem(what, remedy, file=file, row=int(str(row)) + 2, column=column, value=f"{value:g}")
        return
    faults = {
        f"longer than {LONGEST_TEXT} bytes": plain.map(lambda text: len(text.encode()) > LONGEST_TEXT),
        "not ASCII": plain.map(lambda text: not text.isascii()),
        "ending in a space, which the format cuts off": plain.map(lambda text: text != text.rstrip(" ")),
    }
    for fault, where in faults.items():
        for row, value in plain[where].head(1).items():
            what = f"{int(where.sum())} texts {fault}"
            shown = value if len(value) <= 60 else f"{value[:57]}..."
            remedy = "change the text in the study's tables"
            yield Problem(what, remedy, file=file, row=int(str(row)) + 2, column=column, value=shown)


def _plain(values: Any) -> Any:
    """A column as numbers of double precision, or as text with "" where a value is missing."""
    values = pd.Series(values).reset_index(drop=True)
    if pd.api.types.is_bool_dtype(values):
        return values.map({True: "Y", False: "N"}).astype(object)
    if pd.api.types.is_numeric_dtype(values):
        return values.astype(float)
    return values.map(lambda value: "" if pd.isna(value) else str(value)).astype(object)


def transport_bytes(table: TransportTable) -> bytes:
    """The bytes of a table's transport file, version 5, after it was read back and compared.

    InputError where pyreadstat is not installed, and where the file does not give the table back.

    >>> frame = pd.DataFrame({"AVAL": [1.5]})
    >>> table = kn.submission.TransportTable("ADX", "An example", frame, {"AVAL": "Value"})
    >>> len(kn.submission.transport_bytes(table)) % 80
    0
    """
    try:
        pyreadstat = importlib.import_module("pyreadstat")
    except ImportError as error:
        remedy = "install it: the extra `submission` of this package has it"
        raise InputError(Problem("a transport file needs pyreadstat", remedy)) from error
    with tempfile.TemporaryDirectory(prefix="kinetics-") as folder:
        file = Path(folder) / f"{table.name.lower()}.xpt"
        numeric = [column for column in table.frame if table.frame[column].dtype.kind == "f"]
        pyreadstat.write_xport(
            table.frame,
            str(file),
            file_label=table.label,
            column_labels=table.labels,
            table_name=table.name,
            file_format_version=5,
            variable_format=dict.fromkeys(numeric, "BEST12"),
        )
        faults = list(differences(table, file))
        if faults:
            raise InputError(
                [Problem(fault, "report it: the file was not kept", file=file.name) for fault in faults]
            )
        return file.read_bytes()


def split_texts(frame: DataFrame, labels: Mapping[str, str]) -> tuple[DataFrame, dict[str, str]]:
    """The table and labels with every text of over 200 bytes continued in variables of its own.

    PPREASND goes on in PPREASN1, PPREASN2 and so on, cut between words: joined by a space they are the text.
    """
    columns: dict[str, Any] = {}
    new_labels: dict[str, str] = {}
    for column in map(str, frame.columns):
        values = _plain(frame[column])
        new_labels[column] = labels[column]
        columns[column] = values
        if values.dtype.kind == "f" or not values.map(lambda text: len(text.encode()) > LONGEST_TEXT).any():
            continue
        pieces = values.map(lambda text: _pieces(text))
        most = int(pieces.map(len).max())
        columns[column] = pieces.map(lambda parts: parts[0] if parts else "")
        for number in range(1, most):
            name = f"{column[: LONGEST_NAME - len(str(number))]}{number}"
            if name in frame.columns or name in columns:
                what = f"no name is left for the continuation of {column}"
                raise InputError(Problem(what, f"rename the variable {name}"))
            columns[name] = pieces.map(lambda parts, k=number: parts[k] if len(parts) > k else "")
            ending = f" (continued {number})"
            new_labels[name] = f"{labels[column][: LONGEST_LABEL - len(ending)]}{ending}"
    return DataFrame(columns), new_labels


def _pieces(text: str) -> list[str]:
    """A text cut between words into pieces of at most 200 characters; whole where the cuts lose anything."""
    pieces = wrap(text, LONGEST_TEXT, break_long_words=False, break_on_hyphens=False)
    return pieces if " ".join(pieces) == text else [text]


def differences(table: TransportTable, file: Path) -> Iterator[str]:
    """How a transport file, read by pandas, differs from a table: names, order, labels, types and values."""
    frame, labels = read_transport(file)
    if list(frame) != list(table.frame):
        yield f"variables {list(frame)}, not {list(table.frame)}"
        return
    for column, values in table.frame.items():
        if labels[str(column)] != table.labels[str(column)]:
            yield f"{column}: label {labels[str(column)]!r}, not {table.labels[str(column)]!r}"
        back = frame[column]
        if (back.dtype.kind == "f") != (values.dtype.kind == "f"):
            yield f"{column}: another type"
        elif len(back) != len(values):
            yield f"{len(back)} rows, not {len(values)}"
            return
        elif not back.equals(values):
            row = int(np.nonzero(~((back == values) | (back.isna() & values.isna())).to_numpy())[0][0])
            yield f"{column}, row {row + 2}: {_shown(back[row])}, not {_shown(values[row])}"


def _shown(value: Any) -> str:
    """A value in a message, every digit of a number."""
    return repr(value if isinstance(value, str) else float(value))


def read_transport(file: str | Path) -> tuple[DataFrame, dict[str, str]]:
    """The rows of a transport file by pandas' reader, and the label of each variable.

    Text is "" where it is missing, a number NaN. InputError where the file is no transport file.

    >>> try:
    ...     kn.submission.read_transport("nothing.xpt")
    ... except kn.errors.InputError as error:
    ...     print(error.problems[0].file)
    nothing.xpt
    """
    from pandas.io.sas.sas_xport import XportReader

    try:
        with XportReader(str(file), encoding="ascii") as reader:  # pyright: ignore
            fields = [dict(field) for field in reader.fields]  # pyright: ignore
            names: Any = reader.columns  # pyright: ignore
            columns = [name.decode() if isinstance(name, bytes) else str(name) for name in names]
            frame = reader.read()
    except (OSError, ValueError, KeyError) as error:
        raise InputError(Problem(f"no transport file: {error}", "write it again", file=str(file))) from error
    labels = {}
    for name, entry in zip(columns, fields, strict=True):
        label = entry["label"]
        labels[name] = (label.decode("ascii") if isinstance(label, bytes) else str(label)).strip()
        if entry["ntype"] == "char":
            texts = [_text(value) for value in frame[name]]
            frame[name] = pd.Series(texts, index=frame.index, dtype=object)
        else:
            frame[name] = frame[name].astype(float).replace(_ZERO_READ_AS, 0.0)
    return frame.reset_index(drop=True), labels


def _text(value: Any) -> str:
    """A text of pandas' reader: "" where it is missing, without the spaces that fill its length."""
    if isinstance(value, bytes):
        return value.decode("ascii").rstrip()
    return value.rstrip() if isinstance(value, str) else ""
