"""One reader of TOML files, and one way to say what is wrong with their keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import Field, ValidationError

from kinetics.errors import InputError, PlanError, Problem, StudyError
from kinetics.toml import Spec, keys_at, parse_toml, problems_of, read_toml, remedy_at


class Oven(Spec):
    degrees: float = Field(description="of heat")
    fan: bool = False


class Bakery(Spec):
    title: str
    ovens: dict[str, Oven] = Field({})
    spare: Oven | None = None
    shelf: tuple[Oven, ...] = ()
    loaves: tuple[int, int] | None = None
    flour: dict[str, float] = Field({})
    days: tuple[Literal["Mon", "Tue"], ...] = Field(("Mon",), min_length=1)
    salt: float = Field(0.5, gt=0, le=1)
    grower: str = Field("", alias="from")
    price: float | str = 0.0


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
    (problem,) = problems_of(caught.value, "bakery.toml", Bakery)
    return problem


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_the_content_is_read_with_or_without_a_byte_order_mark(mark: str, tmp_path: Path) -> None:
    assert read_toml(written(tmp_path, f'{mark}title = "größe"'), PlanError) == {"title": "größe"}


def test_a_file_that_is_not_there_gives_the_nearest_that_is(tmp_path: Path) -> None:
    assert refusal(tmp_path / "mien.toml").remedy == "check the path"
    written(tmp_path, "")
    assert refusal(tmp_path / "mien.toml").remedy == "did you mean 'mine.toml'?"
    assert refusal(tmp_path / "no" / "mine.toml").what == "no such file"


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert refusal(tmp_path).what == "a folder, not a file"


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
        "bakery.toml: missing key 'spare.degrees'; add `spare.degrees = ...`, a number: of heat"
    )
    found = problem({"title": "x", "shelf": [{"degrees": "hot"}]})
    assert found.what == "shelf.0.degrees: not a number (given 'hot')"
    assert found.remedy == "write a number: of heat"


@pytest.mark.parametrize(
    ("content", "what", "remedy"),
    [
        ({"title": 3}, "title: not text (given 3)", "write text in quotes"),
        ({"ovens": 3}, "ovens: not a table (given 3)", "write tables `[ovens.NAME]` of `degrees`, `fan`"),
        ({"spare": 3}, "spare: not a table (given 3)", "write a table `[spare]` of `degrees`, `fan`"),
        ({"shelf": {}}, "shelf: not a list", "write tables `[[shelf]]` of `degrees`, `fan`"),
        ({"loaves": [1]}, "loaves: entry 2 of the list is missing", "add it, a whole number"),
        ({"loaves": [1, "x"]}, "loaves.1: not a whole number (given 'x')", "write a whole number"),
        ({"flour": {"rye": "x"}}, "flour.rye: not a number (given 'x')", "write a number"),
        (
            {"days": ["Sun"]},
            "days.0: not one of the words it takes (given 'Sun')",
            "write one of 'Mon', 'Tue'",
        ),
        ({"days": []}, "days: fewer entries than 1 (given [])", "write a list, each one of 'Mon', 'Tue'"),
        (
            {"salt": 2},
            "salt: should be less than or equal to 1 (given 2)",
            "write a number above 0 and at most 1",
        ),
        ({"from": 3}, "from: not text (given 3)", "write text in quotes"),
        ({"where": 3}, "unknown key 'where'", "did you mean 'shelf'?"),
        (
            {"price": []},
            "price: a value of none of the types it may have (given [])",
            "write a number or text in quotes",
        ),
    ],
)
def test_a_wrong_value_has_what_to_write_for_its_remedy(
    content: dict[str, Any], what: str, remedy: str
) -> None:
    found = problem({"title": "x"} | content)
    assert found.what == what
    assert found.remedy == remedy or "where" in content


def test_every_key_has_a_problem_of_its_own() -> None:
    content = {"titel": 1, "fann": 2, "price": {}, "shelf": [{"fan": 3, "x": 1}, {"y": 1}]}
    with pytest.raises(ValidationError) as caught:
        Bakery.model_validate(content)
    assert sorted(found.what for found in problems_of(caught.value, "", Bakery)) == [
        "missing key 'shelf.0.degrees'",
        "missing key 'shelf.1.degrees'",
        "missing key 'title'",
        "price: a value of none of the types it may have",
        "shelf.0.fan: not true or false (given 3)",
        "unknown key 'fann'",
        "unknown key 'shelf.0.x'",
        "unknown key 'shelf.1.y'",
        "unknown key 'titel'",
    ]


def test_what_to_write_is_known_of_every_key() -> None:
    assert remedy_at(["shelf", 0, "degrees"], Bakery) == "write a number: of heat"
    assert remedy_at(["ovens", "big", "fan"], Bakery) == "write true or false"


def test_a_table_made_of_keywords_is_refused_as_a_file_is_with_its_own_error() -> None:
    with pytest.raises(PlanError) as caught:
        Bakery(title=3, shelf=[{}])  # pyright: ignore[reportArgumentType]
    assert [found.what for found in caught.value.problems] == [
        "title: not text (given 3)",
        "missing key 'shelf.0.degrees'",
    ]

    class Diary(Spec):
        refusal = StudyError

        day: int

    with pytest.raises(StudyError, match="missing key 'day'"):
        Diary()  # pyright: ignore[reportCallIssue]


@pytest.mark.parametrize("tables", [["ovens", "big"], ["spare"], ["shelf", 0]])
def test_the_keys_of_a_table_are_those_of_its_class(tables: list[object]) -> None:
    assert keys_at(tables, Bakery) == ["degrees", "fan"]
    assert keys_at([], Bakery)[:4] == ["title", "ovens", "spare", "shelf"]
    assert "from" in keys_at([], Bakery)


def test_a_table_is_a_value_that_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Oven(degrees=200).degrees = 100  # pyright: ignore[reportAttributeAccessIssue]
