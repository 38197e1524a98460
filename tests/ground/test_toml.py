"""One reader of TOML files, and one way to say what is wrong with their keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import Field, ValidationError

from kinetics.errors import InputError, PlanError, Problem, StudyError
from kinetics.toml import Spec, keys_at, parse_toml, problem_of, read_toml


class Oven(Spec):
    degrees: float
    fan: bool = False


class Bakery(Spec):
    title: str
    ovens: dict[str, Oven] = Field({})
    spare: Oven | None = None
    shelf: tuple[Oven, ...] = ()


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "mine.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refusal(path: Path, error: type[InputError] = PlanError, file: str = "") -> Problem:
    with pytest.raises(error) as caught:
        read_toml(path, error, file=file)
    assert type(caught.value) is error
    (problem,) = caught.value.problems
    return problem


def problem(content: dict[str, Any]) -> Problem:
    with pytest.raises(ValidationError) as caught:
        Bakery.model_validate(content)
    (error,) = caught.value.errors()
    return problem_of(error, "bakery.toml", Bakery)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_the_content_is_read_with_or_without_a_byte_order_mark(mark: str, tmp_path: Path) -> None:
    assert read_toml(written(tmp_path, f'{mark}title = "größe"'), PlanError) == {"title": "größe"}


def test_a_file_that_is_not_there_gives_the_nearest_that_is(tmp_path: Path) -> None:
    assert refusal(tmp_path / "mien.toml").remedy == "check the path"
    written(tmp_path, "")
    assert refusal(tmp_path / "mien.toml").remedy == "did you mean 'mine.toml'?"
    assert refusal(tmp_path / "no" / "mine.toml").what == "no such file"


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert refusal(tmp_path).what == "no such file"


def test_latin_1_is_refused_with_its_row_and_not_misread(tmp_path: Path) -> None:
    path = written(tmp_path, 'a = 1\ntitle = "größe"'.encode("latin-1"))
    found = refusal(path, StudyError)
    assert (found.what, found.row, found.file) == ("the file is not UTF-8 (latin-1?)", 2, str(path))
    assert found.remedy == f"save it as UTF-8, or run `iconv -f latin1 -t utf-8 {path}`"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_called_so(encoding: str, tmp_path: Path) -> None:
    found = refusal(written(tmp_path, 'title = "x"'.encode(encoding)))
    assert (found.what, found.remedy) == ("the file is UTF-16 or binary, not UTF-8", "save it as UTF-8")


def test_what_is_not_toml_is_refused_with_its_line_and_the_callers_error(tmp_path: Path) -> None:
    found = refusal(written(tmp_path, "a = 1\nb = x"), StudyError, file="table.toml")
    assert found.what.startswith("not valid TOML: ")
    assert "line 2" in found.what
    assert found.remedy == "correct the TOML at the line named (strings need quotes, tables [brackets])"
    assert found.file == "table.toml"
    with pytest.raises(PlanError, match="TOML text: not valid TOML"):
        parse_toml("[[dose]", PlanError, file="TOML text")


def test_an_unknown_key_gives_the_nearest_of_its_own_table() -> None:
    assert str(problem({"title": "x", "oven": {}})) == (
        "bakery.toml: unknown key 'oven'; did you mean 'ovens'?"
    )
    wrong = {"title": "x", "ovens": {"big": {"degrees": 200, "fann": True}}}
    assert str(problem(wrong)) == "bakery.toml: unknown key 'ovens.big.fann'; did you mean 'fan'?"


def test_a_missing_key_and_a_wrong_value_are_named_with_their_table() -> None:
    assert str(problem({"title": "x", "spare": {}})) == (
        "bakery.toml: missing key 'spare.degrees'; add `spare.degrees = ...`"
    )
    found = problem({"title": "x", "shelf": [{"degrees": "hot"}]})
    assert found.what.startswith("shelf.0.degrees: Input should be a valid number")
    assert found.what.endswith("(given 'hot')")


@pytest.mark.parametrize("tables", [["ovens", "big"], ["spare"], ["shelf", 0]])
def test_the_keys_of_a_table_are_those_of_its_class(tables: list[object]) -> None:
    assert keys_at(tables, Bakery) == ["degrees", "fan"]
    assert keys_at([], Bakery) == ["title", "ovens", "spare", "shelf"]


def test_a_table_is_a_value_that_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Oven(degrees=200).degrees = 100  # pyright: ignore[reportAttributeAccessIssue]
