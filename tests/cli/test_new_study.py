"""`new_study` makes a folder whose every file works as it lies: the study, the model and the fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from kinetics.cli import new_study as new
from kinetics.cli.new_study import new_study
from kinetics.errors import InputError
from kinetics.inference.possible_starts import constrained_start, impossible_records
from kinetics.model.model import load_model
from kinetics.plan.binding import bind
from kinetics.plan.plan import read_plan
from kinetics.study.study import read_study, validate_study


def test_a_new_study_validates_and_its_fit_binds_and_can_start(tmp_path: Path) -> None:
    folder = new_study(tmp_path / "deep" / "my-study")
    assert folder == tmp_path / "deep" / "my-study"
    assert validate_study(folder / "data" / "example") == []
    assert load_model(folder / "models" / "example.py").name == "example"
    plan = read_plan(folder / "fits" / "example.toml")
    bound = bind(plan)
    assert plan.name == "example"
    assert bound.study.path == folder / "data" / "example"
    assert bound.model.path == str(folder / "models" / "example.py")
    assert {a.analyte for a in bound.assays} == {"car_copies", "car_cells"}
    assert impossible_records(bound, constrained_start(bound)) == []


def test_a_new_study_says_that_its_data_are_synthetic_and_what_to_do_next(tmp_path: Path) -> None:
    folder = new_study(tmp_path / "my-study")
    readme = (folder / "README.md").read_text()
    assert readme.startswith("# my-study\n")
    assert "SYNTHETIC" in readme
    assert read_study(folder / "data" / "example").synthetic
    for command in (
        "validate data/example",
        "plot data/example",
        "fit fits/example.toml --method laplace",
        "fit fits/example.toml",
        "check runs/example",
        "report runs/example",
    ):
        assert f"kinetics {command}" in readme
    assert (folder / ".gitignore").read_text() == "/runs/\n"


def test_a_new_study_holds_nothing_that_a_user_has_no_use_for(tmp_path: Path) -> None:
    folder = new_study(tmp_path / "my-study")
    names = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert {n for n in names if not n.startswith("data/")} == {
        ".gitignore", "README.md", "fits/example.toml", "models/example.py",
    }  # fmt: skip
    assert {Path(n).suffix for n in names if n.startswith("data/")} == {".csv", ".toml"}
    assert oct(folder.stat().st_mode & 0o777) == "0o755"


def test_the_folder_itself_is_no_study_and_says_where_its_study_is(tmp_path: Path) -> None:
    folder = new_study(tmp_path / "my-study")
    (problem,) = validate_study(folder)
    assert problem.what == "no study is in this folder itself, but below it"
    assert problem.remedy == f"name one of: {folder / 'data' / 'example'}"
    (problem,) = validate_study(folder / "data")
    assert problem.remedy == f"name one of: {folder / 'data' / 'example'}"
    assert len(validate_study(folder / "models")) == 4  # no study is below it: the missing files are named


@pytest.mark.parametrize("kind", ["folder", "file", "empty folder"])
def test_something_that_is_there_already_is_left_as_it_is(kind: str, tmp_path: Path) -> None:
    target = tmp_path / "mine"
    if kind == "file":
        target.write_text("precious")
    else:
        target.mkdir()
        if kind == "folder":
            (target / "patients.csv").write_text("precious")
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises(InputError, match="something is there already; choose another name") as caught:
        new_study(target)
    assert caught.value.problems[0].file == str(target)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_a_failure_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy, copied = new.shutil.copyfile, []

    def third_fails(source: Path, target: Path) -> None:
        if len(copied) == 2:
            raise OSError("disk full")
        copied.append(copy(source, target))

    monkeypatch.setattr(new.shutil, "copyfile", third_fails)
    with pytest.raises(OSError, match="disk full"):
        new_study(tmp_path / "my-study")
    assert len(copied) == 2
    assert list(tmp_path.iterdir()) == []
