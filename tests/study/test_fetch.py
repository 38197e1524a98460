"""A data set that may not be shipped is found or fetched, its checksum held to, converted, and kept: or
nothing is.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import kinetics.library
from kinetics.errors import StudyError
from kinetics.study.fetch import cache_folder, fetched, is_fetchable
from kinetics.study.study import read_study, validate_study

CELLS = b"id,day,copies\n1,1,120.5\n1,7,8000\n2,1,90\n"
PEOPLE = b"id,kg\n1,70\n2,61.5\n"
RAW = {"cells.csv": CELLS, "people.csv": PEOPLE}
DICTIONARY = """\
title = "A set made for the tests"
source = "made for the tests"
licence = "not ours to ship"
synthetic = true
[analytes.car_copies]
label = "CAR transgene"
assay = "qpcr"
site = "blood"
unit = "copies/ug DNA"
[columns.subjects]
weight_kg = { unit = "kg" }
[columns.doses]
time = { unit = "day" }
[columns.observations]
time = { unit = "day" }
"""
CONVERT = '''"""Ours from theirs."""

import pandas as pd


def convert(raw, out):
    people = pd.read_csv(raw / "people.csv")
    cells = pd.read_csv(raw / "cells.csv")
    people.rename(columns={"id": "subject", "kg": "weight_kg"}).to_csv(out / "subjects.csv", index=False)
    doses = pd.DataFrame({"subject": people["id"], "time": 0, "product": "car_t"})
    doses = doses.assign(route="iv", cells=1e8)
    doses.to_csv(out / "doses.csv", index=False)
    cells = cells.rename(columns={"id": "subject", "day": "time", "copies": "value"})
    cells = cells.assign(analyte="car_copies")
    cells.to_csv(out / "observations.csv", index=False)
'''


@dataclass
class Publisher:
    """A web server on this machine: what it serves, and what it was asked for."""

    url: str
    files: dict[str, bytes]
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.strip("/")
            said.asked.append(name)
            body = said.files.get(name)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    said = Publisher(f"http://127.0.0.1:{server.server_address[1]}", dict(RAW))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield said
    server.shutdown()
    server.server_close()
    thread.join()


@dataclass
class Library:
    """A library with one fetchable set, a cache of its own, and a folder for raw files."""

    root: Path

    @property
    def folder(self) -> Path:
        return self.root / "library" / "data" / "mine"

    @property
    def raw(self) -> Path:
        return self.root / "raw" / "theirs"

    def describe(self, url: str | None = None, wrong: str = "") -> None:
        """Write fetch.toml; `wrong` names a file whose checksum is another."""
        text = 'folder = "theirs"\norigin = "published by nobody (doi 10.0000/none)"\n'
        for name, body in RAW.items():
            sha = hashlib.sha256(body + (b"x" if name == wrong else b"")).hexdigest()
            text += f'[files."{name}"]\nsha256 = "{sha}"\n' + (f'url = "{url}/{name}"\n' if url else "")
        (self.folder / "fetch.toml").write_text(text)

    def cached(self) -> list[str]:
        """Every file and folder that the cache holds, hidden ones too."""
        return sorted(str(p.relative_to(cache_folder())) for p in cache_folder().rglob("*"))

    def finished(self) -> list[str]:
        return [name for name in self.cached() if name.endswith(".csv")]


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Library:
    library = Library(tmp_path)
    library.folder.mkdir(parents=True)
    library.raw.mkdir(parents=True)
    (library.folder / "dictionary.toml").write_text(DICTIONARY)
    (library.folder / "convert.py").write_text(CONVERT)
    library.describe()
    monkeypatch.setattr(kinetics.library, "ROOT", tmp_path / "library")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("KINETICS_DATA_DIR", raising=False)
    return library


def put_raw(library: Library, monkeypatch: pytest.MonkeyPatch, **change: bytes) -> None:
    """The raw files on this machine, under KINETICS_DATA_DIR."""
    for name, body in RAW.items():
        (library.raw / name).write_bytes(change.get(name.removesuffix(".csv"), body))
    monkeypatch.setenv("KINETICS_DATA_DIR", str(library.raw.parent))


def nothing_half_written(library: Library) -> bool:
    """No table and no working folder is left in the cache."""
    return library.finished() == [] and not any("." in Path(name).name for name in library.cached())


def test_raw_files_of_this_machine_become_a_study(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    put_raw(library, monkeypatch)
    study = read_study("mine")
    assert (study.name, study.subject_ids) == ("mine", ["1", "2"])
    assert study.observations["value"].tolist() == [120.5, 8000.0, 90.0]
    assert study.subjects["weight_kg"].tolist() == [70.0, 61.5]
    assert study.path.is_relative_to(cache_folder())
    assert sorted(p.name for p in study.path.iterdir()) == [
        "dictionary.toml", "doses.csv", "observations.csv", "subjects.csv",
    ]  # fmt: skip
    assert {p.name for p in library.folder.iterdir()} == {"dictionary.toml", "fetch.toml", "convert.py"}


def test_raw_files_are_fetched_from_their_address(library: Library, publisher: Publisher) -> None:
    library.describe(publisher.url)
    assert read_study("mine").observations["value"].tolist() == [120.5, 8000.0, 90.0]
    assert sorted(publisher.asked) == sorted(RAW)


def test_a_local_copy_goes_before_the_network_file_by_file(
    library: Library, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.describe(publisher.url)
    put_raw(library, monkeypatch)
    (library.raw / "people.csv").unlink()
    assert len(read_study("mine").subjects) == 2
    assert publisher.asked == ["people.csv"]


def test_a_converted_set_is_kept_and_neither_fetched_nor_converted_again(
    library: Library, publisher: Publisher
) -> None:
    library.describe(publisher.url)
    first = read_study("mine")
    times = {p: p.stat().st_mtime_ns for p in first.path.iterdir()}
    publisher.files.clear()
    again = read_study("mine")
    assert (again.path, again.sha256) == (first.path, first.sha256)
    assert {p: p.stat().st_mtime_ns for p in again.path.iterdir()} == times
    assert len(publisher.asked) == len(RAW)


@pytest.mark.parametrize("file", ["dictionary.toml", "convert.py", "fetch.toml"])
def test_a_changed_recipe_is_converted_anew(
    library: Library, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_raw(library, monkeypatch)
    first = read_study("mine").path
    path = library.folder / file
    path.write_text(path.read_text() + "\n# a remark\n")
    second = read_study("mine").path
    assert second != first
    assert first.is_dir()


def test_a_wrong_checksum_is_refused_by_its_file_and_nothing_is_kept(
    library: Library, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.describe(publisher.url, wrong="cells.csv")
    for local in (False, True):
        if local:
            put_raw(library, monkeypatch)
        (problem,) = validate_study("mine")
        assert problem.file == "cells.csv"
        assert "hash" in problem.what
        assert hashlib.sha256(CELLS).hexdigest()[:12] in problem.what
        assert nothing_half_written(library)


def test_a_spoilt_local_copy_does_not_pass_for_the_published_file(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_raw(library, monkeypatch, people=b"id,kg\n1,7\n2,61.5\n")
    with pytest.raises(StudyError, match=r"people\.csv"):
        read_study("mine")
    assert nothing_half_written(library)
    assert (library.raw / "people.csv").read_bytes() == b"id,kg\n1,7\n2,61.5\n"


def test_every_missing_file_is_named_with_where_to_put_it(library: Library) -> None:
    with pytest.raises(StudyError, match="2 problems:") as caught:
        read_study("mine")
    assert [p.file for p in caught.value.problems] == sorted(RAW)
    for problem in caught.value.problems:
        assert "not to be had" in problem.what
        assert f"set KINETICS_DATA_DIR to the folder that holds theirs/{problem.file}" in problem.remedy
        assert "published by nobody (doi 10.0000/none)" in problem.remedy
    assert [str(p) for p in validate_study("mine")] == [str(p) for p in caught.value.problems]
    assert nothing_half_written(library)


def test_an_address_that_has_no_such_file_is_a_problem_and_not_a_crash(
    library: Library, publisher: Publisher
) -> None:
    library.describe(publisher.url)
    del publisher.files["people.csv"]
    (problem,) = validate_study("mine")
    assert problem.file == "people.csv"
    assert "404" in problem.what
    assert nothing_half_written(library)


def test_a_server_that_is_not_there_is_a_problem_for_every_file(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    library.describe("http://127.0.0.1:9")  # the discard port: nobody listens
    assert sorted(p.file for p in validate_study("mine")) == sorted(RAW)
    assert nothing_half_written(library)


def test_a_conversion_that_fails_leaves_nothing_and_may_be_mended(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_raw(library, monkeypatch)
    path = library.folder / "convert.py"
    path.write_text(CONVERT + '    raise KeyError("weights")\n')
    with pytest.raises(StudyError, match="weights"):
        fetched(library.folder)
    assert nothing_half_written(library)
    path.write_text(CONVERT)
    assert len(read_study("mine").subjects) == 2


def test_a_conversion_edited_twice_in_a_second_is_the_newest_and_nothing_is_left_beside_it(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python's own import would take the compiled copy of the first: the same size, the same second."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    put_raw(library, monkeypatch)
    path = library.folder / "convert.py"
    stamp = path.stat().st_mtime
    assert read_study("mine").doses["amount"].tolist() == [1e8, 1e8]
    path.write_text(CONVERT.replace("1e8", "2e8"))
    os.utime(path, (stamp, stamp))
    assert read_study("mine").doses["amount"].tolist() == [2e8, 2e8]
    assert {p.name for p in library.folder.iterdir()} == {"dictionary.toml", "fetch.toml", "convert.py"}


def test_what_another_process_converted_meanwhile_is_read_and_nothing_else_is_left(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_raw(library, monkeypatch)
    text = CONVERT + '    import shutil\n    shutil.copytree(out, out.parent / "mine")  # the other process\n'
    (library.folder / "convert.py").write_text(text)
    study = read_study("mine")
    assert len(study.subjects) == 2
    assert list(study.path.parent.iterdir()) == [study.path]


def test_a_shipped_set_is_read_where_it_lies(library: Library) -> None:
    (library.folder / "fetch.toml").unlink()
    for name, text in (
        ("subjects", "subject\n1\n"),
        ("doses", "subject,time,product,route,cells\n1,0,car_t,iv,1e8\n"),
    ):
        (library.folder / f"{name}.csv").write_text(text)
    (library.folder / "observations.csv").write_text("subject,time,analyte,value\n1,1,car_copies,5\n")
    assert not is_fetchable(library.folder)
    assert read_study("mine").path == library.folder
    assert not cache_folder().exists()


def test_the_real_car22_set_converts_to_42_patients(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KINETICS_DATA_DIR", str(shared_data))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    study = read_study("car22")
    assert len(study.subject_ids) == 42
    assert not study.synthetic
    assert set(study.analytes) == {"car_cells", "il6", "ifn_gamma", "il10"}
    assert (study.observed("car_cells").query("censored == 'left'")["value"] == 0.04).all()
