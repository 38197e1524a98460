"""The code of a page of docs/, run as its reader would: a page's blocks share a folder, and its Python a
namespace.

A block is a fence of `python`, `console`, or of any language with a title, which is a file that the reader
writes. In a console block the lines after a command are lines of what it prints; a line `...` stands for
others. A comment on the line before a fence says what is special of it:

    <!-- exits 1 -->        the command fails on purpose
    <!-- slow -->           it takes more than a few seconds: run by `make test-slow`, after its page so far
    <!-- not run: why -->   it is not run
"""

from __future__ import annotations

import ast
import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.commands import call

__all__ = ["Block", "blocks", "run_page"]

_FENCE = re.compile(r"^```(?P<info>.*)\n(?P<text>(?:.*\n)*?)^```$", re.MULTILINE)
_MARK = re.compile(r"<!-- (exits 1|slow|not run: .+?) -->\n\Z")
RUN = ("python", "console")


@dataclass(frozen=True)
class Block:
    """One fence: its language, the file it is ("" if none), its text, its line on the page, and how it is
    marked.
    """

    language: str
    file: str
    text: str
    line: int
    mark: str

    @property
    def runs(self) -> bool:
        return (self.language in RUN or bool(self.file)) and not self.mark.startswith("not run")


def blocks(page: str) -> Iterator[Block]:
    """The fences of a page in their order."""
    for fence in _FENCE.finditer(page):
        info, titled = fence["info"], re.search(r'title="([^"]+)"', fence["info"])
        mark = _MARK.search(page[: fence.start()])
        line = page.count("\n", 0, fence.start()) + 2
        words = re.split(r"[\s{}]+", info.strip("{}"), maxsplit=1)
        yield Block(words[0], titled[1] if titled else "", fence["text"], line, mark[1] if mark else "")


def run_page(page: Path, *, slow: bool) -> int:
    """Run a page's blocks in the present folder, those marked slow too if asked; how many were run.

    Without the slow ones a page ends at its first: what follows leans on it.
    """
    done, home = 0, Path.cwd()
    namespace: dict[str, object] = {"__name__": "__main__"}
    try:
        for block in blocks(page.read_text(encoding="utf-8")):
            if block.mark == "slow" and not slow:
                break
            if block.runs:
                _run(block, page, namespace)
                done += 1
    finally:
        os.chdir(home)
    return done


def _run(block: Block, page: Path, namespace: dict[str, object]) -> None:
    if block.file:
        file = Path(block.file)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block.text, encoding="utf-8")
    elif block.language == "python":
        tree = ast.increment_lineno(ast.parse(block.text), block.line - 1)
        exec(compile(tree, str(page), "exec"), namespace)
    else:
        for command, shown in _commands(block.text):
            _type(command, shown, f"{page.name}:{block.line}", fails=block.mark == "exits 1")


def _commands(text: str) -> Iterator[tuple[str, list[str]]]:
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, *shown = part.splitlines()
        yield command, [line for line in shown if line.strip() not in ("", "...")]


def _type(command: str, shown: list[str], where: str, *, fails: bool) -> None:
    words = shlex.split(command, comments=True)
    if words[0] == "cd":
        return os.chdir(words[1])
    assert words[0] == "kinetics", f"{where}: {command}: only kinetics and cd are typed; mark it not run"
    said = call(*words[1:])
    assert (said.code != 0) == fails, f"{where}: {command} exits with {said.code}\n{said.out}\n{said.err}"
    printed = " ".join(f"{said.out}\n{said.err}".split())
    for line in shown:
        assert " ".join(line.split()) in printed, (
            f"{where}: {command} does not print: {line}\n{said.out}\n{said.err}"
        )
