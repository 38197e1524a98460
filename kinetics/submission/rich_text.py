"""Sections of tables as RTF: text and tables that Word and LibreOffice open, without any package."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kinetics.pages import Section, Table

__all__ = ["rich_text"]

_PAGE = 15840 - 2 * 1000  # twips: the width of a landscape letter page between its margins


def rich_text(title: str, lead: Sequence[str], sections: Sequence[Section], *, synthetic: bool) -> bytes:
    """An RTF document with a title, `lead` paragraphs, and every section with its tables, without figures."""
    parts = [
        r"{\rtf1\ansi\deff0{\fonttbl{\f0 Arial;}}",
        r"\paperw15840\paperh12240\landscape\margl1000\margr1000\margt1000\margb1000\fs18",
    ]
    if synthetic:
        parts.append(r"{\header\pard\b " + _escaped("SYNTHETIC DATA: simulated, no patients") + r"\par}")
    parts.append(r"\pard\b\fs24 " + _escaped(title) + r"\b0\fs18\par")
    parts += [r"\pard " + _escaped(line) + r"\par" for line in lead]
    for section in sections:
        parts.append(r"\pard\sb200\b " + _escaped(section.title) + r"\b0\par")
        parts += [r"\pard " + _escaped(line) + r"\par" for line in section.words]
        for table in section.tables:
            parts += _table(table)
    return ("\n".join(parts) + "\n}").encode("ascii")


def _table(table: Table) -> Iterator[str]:
    """The caption, the rows and the footnotes of a table."""
    yield r"\pard\b " + _escaped(table.caption) + r"\b0\par"
    yield _row(table.heads, bold=True)
    for row in table.rows:
        yield _row([str(cell["text"]) for cell in row], bold=False)
    for number, note in enumerate(table.notes, start=1):
        yield r"\pard\fs16 " + _escaped(f"[{number}] {note}") + r"\fs18\par"


def _row(texts: Sequence[str], *, bold: bool) -> str:
    """One row; that of the heads is repeated on every page."""
    width = _PAGE // max(len(texts), 1)
    head = r"\trhdr" if bold else ""
    edges = "".join(rf"\clbrdrb\brdrs\cellx{width * place}" for place in range(1, len(texts) + 1))
    size = r"\fs14" if len(texts) > 8 else r"\fs16"
    weight = r"\b" if bold else r"\b0"
    cells = "".join(rf"\pard\intbl{size}{weight} {_escaped(text)}\cell" for text in texts)
    return rf"\trowd\trgaph60{head}{edges}{cells}\row"


def _escaped(text: str) -> str:
    """A text as RTF has it: marks of its own with a backslash, other letters by their UTF-16 numbers."""
    parts = []
    for letter in text:
        if letter in "\\{}":
            parts.append(f"\\{letter}")
        elif letter.isascii():
            parts.append(letter)
        else:
            units = letter.encode("utf-16-le")
            for k in range(0, len(units), 2):
                number = int.from_bytes(units[k : k + 2], "little", signed=True)
                parts.append(rf"\u{number}?")
    return "".join(parts)
