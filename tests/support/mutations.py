"""Seeded damage of valid inputs: to their text, to their bytes, and to the files that hold them."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable, Mapping
from pathlib import Path

__all__ = ["damaged_files", "damaged_words", "write_files"]

CELLS = (
    "",
    " ",
    ".",
    "NA",
    "nan",
    "NaN",
    "inf",
    "-inf",
    "1e400",
    "-1e400",
    "1e-320",
    "1e30",
    "-1",
    "0",
    "-0.0",
    "3",
    "45000",
    "1" * 30,
    "9" * 400,
    "1_000",
    "0x10",
    "1,5",
    "1.2.3",
    "--1",
    "+",
    "-",
    "=1+1",
    "@x",
    "١٢",
    "²",
    "½",
    "μ",
    "é",
    "\u200b",
    "\u2028",
    "\ufeff",
    "😀",
    "ﬀ",
    "true",
    "True",
    "null",
    "None",
    "[]",
    "{}",
    "<50",
    ">1e9",
    "2024-01-31",
    "12:30",
    "a\tb",
    "\x00",
    "\x01",
    "\r",
    '"',
    "'",
    '"a"b',
    "x" * 300,
    "x" * 200_000,
    "../up",
    "/etc",
    "S01",
    "iv",
    "car_t",
    "mg",
    "cells",
    "left",
    "yes",
    "DOSE",
    "1e5",
    "1e7",
    "day",
    "h",
    "%s",
    "${HOME}",
    "\\",
)
VALUES = (
    "nan",
    "inf",
    "-inf",
    "-1",
    "0",
    "1e400",
    "1e-320",
    "1" * 30,
    "9" * 5000,
    "true",
    '""',
    '"x"',
    "[]",
    "[[]]",
    "[1, 2]",
    "{}",
    "{ a = 1 }",
    "2024-01-31",
    "07:32:00",
    "0x10",
    "1_000",
    '"""',
    "[" * 3000,
    "nope",
    '"\\u0000"',
    '"a\\nb"',
    '"é"',
    '"' + "x" * 100_000 + '"',
    "1000000000",
    "-0.0",
    "0.1",
    "3",
    '"2"',
    '["a", 1]',
    '"../../x"',
)
_NUMBER = re.compile(r"(?<![\w.])[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w.])", re.IGNORECASE)


def damaged_files(files: Mapping[str, bytes], rng: random.Random) -> dict[str, bytes | str]:
    """The files of a valid input with one to three damages: name -> content, or what stands in its place."""
    made: dict[str, bytes | str] = dict(files)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        name = rng.choice(sorted(made))
        content = made[name]
        if isinstance(content, str):
            continue
        if rng.random() < 0.12:
            made[name] = rng.choice(("absent", "link", "circle", "folder", "pipe", "device", "unreadable"))
            if made[name] == "absent":
                del made[name]
                if not made:
                    return made
        elif rng.random() < 0.2 or b"\0" in content[:100]:
            made[name] = rng.choice(_OF_BYTES)(content, rng)
        else:
            text = content.decode("utf-8", errors="replace")
            damages = _OF_TOML if name.endswith(".toml") else _OF_TABLES
            made[name] = rng.choice(damages)(text, rng).encode("utf-8", errors="replace")
    return made


def write_files(folder: Path, files: Mapping[str, bytes | str]) -> None:
    """Write files into a folder; a text stands for what is put in place of a file."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif content == "link":
            path.symlink_to("nowhere")
        elif content == "circle":
            path.symlink_to(path.name)
        elif content == "folder":
            path.mkdir()
        elif content == "pipe":
            os.mkfifo(path)
        elif content == "device":
            path.symlink_to("/dev/zero")
        else:
            path.write_bytes(b"")
            path.chmod(0)


def damaged_words(words: list[str], rng: random.Random) -> list[str]:
    """The words of a command line with one or two damages."""
    made = list(words)
    for _ in range(rng.choice((1, 1, 2))):
        place = rng.randrange(1, len(made)) if len(made) > 1 else 0
        kind = rng.randrange(6)
        if kind == 0:
            del made[place]
        elif kind == 1:
            made.insert(place, made[rng.randrange(len(made))])
        elif kind == 2:
            made.insert(place, rng.choice(("--json", "--nope", "--", "-x", "--out", "--help", "--study")))
        elif kind == 3:
            made[place] = _NUMBER.sub(lambda _: rng.choice(CELLS), made[place], count=1)
        else:
            made[place] = rng.choice(CELLS)
        if not made:
            return ["lint"]
    return made


# ---------------------------------------------------------------------------------------------------- bytes


def _truncated(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _flipped(content: bytes, rng: random.Random) -> bytes:
    made = bytearray(content)
    for _ in range(rng.choice((1, 1, 20))):
        if made:
            made[rng.randrange(len(made))] ^= 1 << rng.randrange(8)
    return bytes(made)


_OF_BYTES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _truncated,
    _flipped,
    lambda content, rng: b"",
    lambda content, rng: b"\xef\xbb\xbf" + content,
    lambda content, rng: content.decode("utf-8", "replace").encode("utf-16"),
    lambda content, rng: content + b"\xe9\xff",
    lambda content, rng: b"PK\x03\x04" + content,
    lambda content, rng: content.replace(b"\n", b"\r\n"),
    lambda content, rng: content.replace(b"\n", b"\r"),
    lambda content, rng: content + content,
    lambda content, rng: content + b"\0" * 10,
    lambda content, rng: content + b"\n" * 5000,
)

# ---------------------------------------------------------------------------------------------------- lines


def _of_line(change: Callable[[list[str], int, random.Random], None]) -> Callable[[str, random.Random], str]:
    """A damage of one line of a text."""

    def damage(text: str, rng: random.Random) -> str:
        lines = text.split("\n")
        change(lines, rng.randrange(len(lines)), rng)
        return "\n".join(lines)

    return damage


def _delete(lines: list[str], place: int, rng: random.Random) -> None:
    del lines[place]


def _double(lines: list[str], place: int, rng: random.Random) -> None:
    lines.insert(rng.randrange(len(lines) + 1), lines[place])


def _swap(lines: list[str], place: int, rng: random.Random) -> None:
    other = rng.randrange(len(lines))
    held = lines[place]
    lines[place] = lines[other]
    lines[other] = held


def _lengthen(lines: list[str], place: int, rng: random.Random) -> None:
    lines[place] += rng.choice((",", ",,", ",x", " x", '"', "#", "]", "\0")) * rng.choice((1, 1, 100_000))


def _change_cell(lines: list[str], place: int, rng: random.Random) -> None:
    cells = lines[place].split(",")
    cells[rng.randrange(len(cells))] = rng.choice(CELLS)
    lines[place] = ",".join(cells)


def _change_name(lines: list[str], place: int, rng: random.Random) -> None:
    names = lines[0].split(",")
    column = rng.randrange(len(names))
    kind = rng.randrange(4)
    if kind == 0:
        names[column] = names[column][:-1]
    elif kind == 1:
        names[column] = rng.choice(names)
    elif kind == 2:
        names[column] = names[column].swapcase()
    else:
        names[column] = rng.choice(CELLS)
    lines[0] = ",".join(names)


def _drop_column(text: str, rng: random.Random) -> str:
    rows = [line.split(",") for line in text.split("\n")]
    column = rng.randrange(len(rows[0]))
    return "\n".join(",".join(cells[:column] + cells[column + 1 :]) for cells in rows)


def _change_value(lines: list[str], place: int, rng: random.Random) -> None:
    key, equals, _ = lines[place].partition("=")
    lines[place] = f"{key}= {rng.choice(VALUES)}" if equals else rng.choice(VALUES)


def _change_key(lines: list[str], place: int, rng: random.Random) -> None:
    key, equals, value = lines[place].partition("=")
    made = rng.choice(
        (f"{key.strip()}x ", key.strip()[1:], f'"{key}"', "a." * rng.choice((3, 4000)) + "a", "é")
    )
    lines[place] = f"{made}{equals}{value}"


def _change_number(text: str, rng: random.Random) -> str:
    places = list(_NUMBER.finditer(text))
    if not places:
        return text
    place = rng.choice(places)
    return text[: place.start()] + rng.choice((*CELLS, *VALUES)) + text[place.end() :]


_OF_TEXT = (_of_line(_delete), _of_line(_double), _of_line(_swap), _of_line(_lengthen), _change_number)
_OF_TABLES = (
    *_OF_TEXT,
    *[_of_line(_change_cell)] * 5,
    *[_of_line(_change_name)] * 2,
    _drop_column,
    lambda text, rng: text.replace(",", ";"),
    lambda text, rng: text.replace(",", "\t"),
    lambda text, rng: text.split("\n")[0],
)
_OF_TOML = (*_OF_TEXT, *[_of_line(_change_value)] * 5, *[_of_line(_change_key)] * 2)
