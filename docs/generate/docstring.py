"""A docstring of this project as reStructuredText: `code` in backticks, equations indented by four, `>>>`
examples.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydantic import BaseModel

__all__ = ["as_rst", "fields_of"]

_CODE = re.compile(r"`([^`]+)`(\w?)")


def as_rst(lines: Sequence[str]) -> list[str]:
    """The same text, its code spans and indented blocks literal, its examples as they are; nothing else is
    markup.
    """
    found: list[str] = []
    for block in re.split(r"\n\s*\n", "\n".join(lines).strip("\n")):
        if block.startswith(">>> "):
            found += [*block.splitlines(), ""]
        elif all(line.startswith("    ") for line in block.splitlines()):
            found += ["::", "", *block.splitlines(), ""]
        else:
            text = re.sub(r"`([^`\n]*)\n\s*([^`\n]*)`\s*", r"`\1 \2`\n", block) if _split(block) else block
            for part in re.split(r"\n(?=\s*- )", text):  # a paragraph, and each point of a list after it
                point = part.lstrip().startswith("- ")
                said = [" ".join(part.split())] if point else part.splitlines()
                found += [*(_text(line.strip()) for line in said), ""]
    return found


def _split(block: str) -> bool:
    """Whether a code span goes over a line's end."""
    return any(line.count("`") % 2 for line in block.splitlines())


def _text(line: str) -> str:
    found, end = [], 0
    for code in _CODE.finditer(line):
        found += [_plain(line[end : code.start()]), f"``{code[1]}``", f"\\ {code[2]}" if code[2] else ""]
        end = code.end()
    return "".join([*found, _plain(line[end:])])


def _plain(text: str) -> str:
    return re.sub(r"([*_|\\`])", r"\\\1", text)


def fields_of(table: type[BaseModel]) -> list[str]:
    """The keys of a TOML's table: name, type, what it means."""
    lines = []
    for name, field in table.model_fields.items():
        kind = re.sub(r"(typing|kinetics\.\w+)\.", "", str(table.__annotations__.get(name, field.annotation)))
        need = ", needed" if field.is_required() else ""
        said = f": {_text(field.description)}" if field.description else ""
        lines.append(f"- ``{name}`` (``{kind}``{need}){said}")
    return [*lines, ""]
