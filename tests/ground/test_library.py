"""One rule for what is the library's and what is yours: a bare name, or the path of a file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kinetics import library
from kinetics.errors import ModelError, PlanError, StudyError
from kinetics.library import ROOT, Kind, find, is_bare, names
from kinetics.model.model import load_model
from kinetics.plan.plan import find_plan
from kinetics.protocol.protocol import find_protocol
from kinetics.study.study import read_study

KINDS: list[Kind] = ["models", "fits", "data", "protocols"]
NAMED: dict[Kind, tuple[str, str]] = {
    "models": ("stein_2019", "models/stein_2019.py"),
    "fits": ("nk_persistence__synthetic_carnk_12", "fits/nk_persistence__synthetic_carnk_12.toml"),
    "data": ("theophylline", "data/theophylline"),
    "protocols": ("nkg2d_registry", "data/nkg2d_registry/protocol.toml"),
}


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", KINDS)
def test_a_bare_name_is_the_librarys(kind: Kind, elsewhere: Path) -> None:
    name, file = NAMED[kind]
    assert find(kind, name) == (ROOT / file, True)
    assert find(kind, name).path.exists()
    assert name in names(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_bare_name_that_the_library_has_not_still_points_into_it(kind: Kind) -> None:
    path, bare = find(kind, "nothing_like_it")
    assert (bare, path.exists()) == (True, False)
    assert path.is_relative_to(ROOT)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "reference",
    [
        *("./mine", "mine/", "models/mine.py", "/srv/study"),
        *("mine.py", "mine.toml", "table.csv", "my.study", "my.study.toml", ".hidden"),
        *(".", "..", "..\\mine", "C:\\mine"),
    ],
)  # a slash, a suffix or dots, a folder by itself, and as Windows writes a path
def test_anything_with_a_slash_or_a_dot_is_your_path(reference: str, kind: Kind, elsewhere: Path) -> None:
    assert find(kind, reference) == (Path(reference), False)
    assert not is_bare(reference)


def test_a_folder_of_a_librarys_name_does_not_hide_the_library(elsewhere: Path) -> None:
    (elsewhere / "theophylline").mkdir()
    assert find("data", "theophylline").path == ROOT / "data" / "theophylline"
    assert find("data", "./theophylline").path == Path("theophylline")


@pytest.mark.parametrize("kind", ["fits", "protocols"])
def test_a_path_as_the_readme_writes_it_is_the_librarys_where_there_is_none_here(
    kind: Kind, elsewhere: Path
) -> None:
    _, file = NAMED[kind]
    assert find(kind, file) == (ROOT / file, False)
    mine = elsewhere / file
    mine.parent.mkdir(parents=True)
    mine.touch()
    assert find(kind, file) == (Path(file), False)
    assert find(kind, f"{file}x") == (Path(f"{file}x"), False)


@pytest.mark.parametrize("kind", ["models", "data"])
def test_a_path_to_a_model_or_data_set_is_never_anything_else(kind: Kind, elsewhere: Path) -> None:
    _, file = NAMED[kind]
    assert find(kind, file) == (Path(file), False)


def test_names_are_those_of_the_library_sorted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in ("models/b.py", "models/a.py", "models/_not.py", "fits/x__y.toml", "fits/x__y.sbc.json",
                 "data/two/dictionary.toml", "data/two/protocol.toml", "data/one/protocol.toml"):  # fmt: skip
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    monkeypatch.setattr(library, "ROOT", tmp_path)
    assert [names(kind) for kind in KINDS] == [["a", "b"], ["x__y"], ["two"], ["one", "two"]]


def test_an_unknown_name_gives_the_nearest_of_its_kind(elsewhere: Path) -> None:
    with pytest.raises(ModelError, match="no model 'stien_2019'; did you mean 'stein_2019'"):
        load_model("stien_2019")
    with pytest.raises(PlanError, match="did you mean 'nk_persistence__synthetic_carnk_12'"):
        find_plan("nk_persistence_synthetic_carnk_12")
    with pytest.raises(StudyError, match=r"no study 'theophyline' .*did you mean 'theophylline'"):
        read_study("theophyline")
    with pytest.raises(PlanError, match="no protocol 'nkg2d_registri'; did you mean 'nkg2d_registry'"):
        find_protocol("nkg2d_registri")


def test_a_name_with_a_dot_is_looked_for_here_and_not_in_the_library(elsewhere: Path) -> None:
    with pytest.raises(ModelError, match=r"^my\.study: a model is a \.py file"):
        load_model("my.study")
    with pytest.raises(PlanError, match=r"^my\.study: no such file"):
        find_plan("my.study")
    with pytest.raises(PlanError, match=r"no protocol 'my\.study'"):
        find_protocol("my.study")
    (elsewhere / "my.study").mkdir()
    (elsewhere / "my.study" / "protocol.toml").touch()
    assert find_protocol("my.study") == Path("my.study/protocol.toml")


def test_a_protocol_folder_of_that_name_here_comes_before_the_librarys(elsewhere: Path) -> None:
    assert find_protocol("nkg2d_registry") == ROOT / "data/nkg2d_registry/protocol.toml"
    (elsewhere / "nkg2d_registry").mkdir()
    (elsewhere / "nkg2d_registry" / "protocol.toml").touch()
    assert find_protocol("nkg2d_registry") == Path("nkg2d_registry/protocol.toml")


def test_the_library_is_found_without_jax_and_pandas() -> None:
    program = (
        "import runpy, sys; module = runpy.run_path(sys.argv[1]);"
        "assert not {'jax', 'pandas', 'pydantic', 'kinetics'} & set(sys.modules);"
        "print(module['find']('models', 'stein_2019').path)"
    )
    command = [sys.executable, "-I", "-c", program, library.__file__]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert Path(printed.strip()) == ROOT / "models" / "stein_2019.py"
