"""A docstring of this project as reStructuredText.

Docstrings have `code` in backticks, equations indented by four, lists whose points begin with a dash, and
examples in `>>>` lines. Nothing else in them is markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pydantic import BaseModel

__all__ = ["as_rst", "fields_of"]

_CODE = re.compile(r"`([^`]+)`(\w?)")
_SPAN = re.compile(r"(`[^`]+`)(\s*)")
_BEFORE_A_POINT = re.compile(r"\n(?=\s*- )")


def as_rst(lines: Sequence[str]) -> list[str]:
    """The same text with code spans and indented blocks literal, and examples unchanged."""
    rst: list[str] = []
    for block in re.split(r"\n\s*\n", "\n".join(lines).strip("\n")):
        block_lines = block.splitlines()
        if block.startswith(">>> "):
            rst += [*block_lines, ""]
        elif all(line.startswith("    ") for line in block_lines):
            rst += ["::", "", *block_lines, ""]
        else:
            rst += _prose(block)
    return rst


def _prose(block: str) -> Iterator[str]:
    """A paragraph, and each point of a list after it as a paragraph of its own."""
    for part in _BEFORE_A_POINT.split(_SPAN.sub(_on_one_line, block)):
        is_point = part.lstrip().startswith("- ")
        lines = [" ".join(part.split())] if is_point else part.splitlines()
        for line in lines:
            yield _text(line.strip())
        yield ""


def _on_one_line(span: re.Match[str]) -> str:
    """A code span that goes over the end of a line, on one line; the line ends after it instead."""
    code, space = span.groups()
    if "\n" not in code:
        return span[0]
    return " ".join(code.split()) + ("\n" if space else "")


def _text(line: str) -> str:
    """A line with its code spans literal and every other mark escaped."""
    parts = []
    end = 0
    for span in _CODE.finditer(line):
        code, letter = span.groups()
        parts.append(_escaped(line[end : span.start()]))
        parts.append(f"``{code}``")
        if letter:  # the s of `name`s
            parts.append(f"\\ {letter}")
        end = span.end()
    parts.append(_escaped(line[end:]))
    return "".join(parts)


def _escaped(text: str) -> str:
    return re.sub(r"([*_|\\`])", r"\\\1", text)


def fields_of(table: type[BaseModel]) -> list[str]:
    """The keys of a TOML's table, a line each: name, type, meaning."""
    lines = []
    for name, field in table.model_fields.items():
        annotation = str(table.__annotations__.get(name, field.annotation))
        kind = re.sub(r"(typing|kinetics\.\w+)\.", "", annotation)
        needed = ", needed" if field.is_required() else ""
        meaning = f": {_text(field.description)}" if field.description else ""
        lines.append(f"- ``{name}`` (``{kind}``{needed}){meaning}")
    return [*lines, ""]
