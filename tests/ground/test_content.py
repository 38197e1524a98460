"""A file of content is run from its source: no compiled copy is taken for it, none is left beside it."""

from __future__ import annotations

import dataclasses
import os
import py_compile
import sys
import traceback
from pathlib import Path

import pytest

from kinetics.content import run_source


@pytest.fixture(autouse=True)
def bytecode_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever PYTHONDONTWRITEBYTECODE says where the tests run."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)


def script(folder: Path, text: str) -> Path:
    path = folder / "script.py"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_compiled_copy_that_looks_current_is_not_run(tmp_path: Path) -> None:
    """Same size, same second: all that Python's own import compares."""
    path = script(tmp_path, "VALUE = 900\n")
    py_compile.compile(str(path))
    stamp = path.stat().st_mtime
    script(tmp_path, "VALUE = 901\n")
    os.utime(path, (stamp, stamp))
    assert (tmp_path / "__pycache__").is_dir()
    assert run_source(path, "a_script").VALUE == 901


def test_nothing_is_left_beside_the_file(tmp_path: Path) -> None:
    path = script(tmp_path, "VALUE = 1\n")
    run_source(path, "a_script")
    assert list(tmp_path.iterdir()) == [path]


def test_the_bytes_given_are_run_and_not_what_the_file_holds_by_now(tmp_path: Path) -> None:
    path = script(tmp_path, "VALUE = 1\n")
    source = path.read_bytes()
    script(tmp_path, "VALUE = 2\n")
    assert run_source(path, "a_script", source).VALUE == 1
    assert run_source(path, "a_script").VALUE == 2


def test_the_module_knows_its_file_and_name_and_is_not_registered(tmp_path: Path) -> None:
    path = script(tmp_path, '"""What it is."""\nimport sys\nWHILE_IT_RUNS = sys.modules[__name__].__file__\n')
    module = run_source(path, "a_script")
    assert (module.__name__, module.__doc__) == ("a_script", "What it is.")
    assert module.__file__ == module.WHILE_IT_RUNS == str(path)
    assert "a_script" not in sys.modules


def test_a_dataclass_with_postponed_annotations_can_be_defined(tmp_path: Path) -> None:
    text = """
from __future__ import annotations
from dataclasses import dataclass
from typing import ClassVar

@dataclass(frozen=True)
class Dose:
    UNIT: ClassVar[str] = "cells"
    amount: float
"""
    dose = run_source(script(tmp_path, text), "a_script").Dose(1e8)
    assert [field.name for field in dataclasses.fields(dose)] == ["amount"]


def test_annotations_are_postponed_only_where_the_file_says_so(tmp_path: Path) -> None:
    path = script(tmp_path, "def f(x: int): ...\n")
    assert run_source(path, "a_script").f.__annotations__ == {"x": int}


def test_a_coding_cookie_is_heeded(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_bytes("# -*- coding: latin-1 -*-\nUNIT = 'µg'\n".encode("latin-1"))
    assert run_source(path, "a_script").UNIT == "µg"


def test_a_failing_line_is_shown_by_its_file_and_number(tmp_path: Path) -> None:
    path = script(tmp_path, "x = 1\ny = x / 0  # the guilty line\n")
    with pytest.raises(ZeroDivisionError) as caught:
        run_source(path, "a_script")
    shown = "".join(traceback.format_exception(caught.value))
    assert f'File "{path}", line 2' in shown
    assert "# the guilty line" in shown
    assert "a_script" not in sys.modules


def test_a_file_that_is_not_python_is_a_syntax_error_of_that_file(tmp_path: Path) -> None:
    path = script(tmp_path, "x = = 1\n")
    with pytest.raises(SyntaxError) as caught:
        run_source(path, "a_script")
    assert (caught.value.filename, caught.value.lineno) == (str(path), 1)
