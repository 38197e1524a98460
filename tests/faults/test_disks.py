"""A disk that is full or read-only: the file is named, nothing is left but a checkpoint, nothing is lost."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from kinetics.batch.attempts import Attempts
from tests.support.commands import file_contents
from tests.support.faults import Disk, command, disk, left_by_writers, posterior, write_fit

pytestmark = pytest.mark.slow

STUDY = "synthetic_cart_12"
FULL = "the disk is full; make space, or choose another place"
BATCH_FULL = "the disk is full; make space: the same command goes on"
READ_ONLY = "nothing may be written on this disk (read-only); choose another place"


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Disk]:
    """A small disk in a folder that holds a plan of the small fit."""
    write_fit(tmp_path)
    with disk(tmp_path / "disk") as made:
        yield made


def refused(*arguments: str | Path, folder: Path) -> str:
    """The last line of a command that ends with exit code 1."""
    process = command(*arguments, folder=folder)
    text, _ = process.communicate(timeout=600)
    assert process.returncode == 1, text
    return text.strip().splitlines()[-1]


def test_a_fit_on_a_full_disk_keeps_its_checkpoint_and_ends_as_it_would_have(
    small: Disk, tmp_path: Path, undisturbed: Path
):
    # full during sampling, then at the writing of the run folder
    small.resize(300)
    run = small.path / "new" / "runs" / "a"
    line = refused("fit", "fits/a.toml", "--out", run.parent, folder=tmp_path)
    assert line.startswith(f"{run}.unfinished/")
    assert line.endswith(FULL)
    assert [path.name for path in run.parent.iterdir()] == ["a.unfinished"]
    assert left_by_writers(small.path) == []

    small.resize(900)
    assert refused("resume", run, folder=tmp_path) == f"{run}: {FULL}"
    assert [path.name for path in run.parent.iterdir()] == ["a.unfinished"]
    assert left_by_writers(small.path) == []

    small.resize(8192)
    process = command("resume", run, folder=tmp_path)
    text, _ = process.communicate(timeout=600)
    assert process.returncode in (0, 1), text
    found = posterior(run)
    assert all(np.array_equal(values, found[name]) for name, values in posterior(undisturbed).items())
    assert [path.name for path in run.parent.iterdir()] == ["a"]


def test_a_disk_full_from_the_first_byte_is_left_as_it_was(small: Disk, tmp_path: Path):
    (small.path / "full").write_bytes(bytes(100))
    small.leave(0)
    line = refused("fit", "fits/a.toml", "--out", small.path / "new" / "runs", folder=tmp_path)
    assert line.startswith(str(small.path / "new"))
    assert line.endswith(FULL)
    assert [path.name for path in small.path.iterdir()] == ["full"]


# what writes each thing: a name of it -> the command's words, with DISK and RUN to be filled in
WRITERS = {
    "DISK/run/report.html": "report DISK/run --trust",
    "DISK/deep/export": "export RUN --as monolix,nonmem,adpp,excel --out DISK/deep/export",
    "DISK/deep/nca.csv": f"nca {STUDY} --out DISK/deep/nca.csv",
    "DISK/deep/plotly-": f"nca {STUDY} --plots DISK/deep",
    "DISK/deep/figure.html": f"plot {STUDY} --analyte car_copies --out DISK/deep/figure.html",
    "DISK/deep/curves.csv": "simulate stein_2019 --times 0:9000:1 --out DISK/deep/curves.csv",
    "DISK/study": "new DISK/study",
}


@pytest.mark.parametrize("name", WRITERS)
def test_what_is_written_to_a_full_disk_is_named_and_leaves_nothing(
    small: Disk, tmp_path: Path, undisturbed: Path, name: str
):
    words = WRITERS[name].replace("RUN", str(undisturbed)).replace("DISK", str(small.path)).split()
    shutil.copytree(undisturbed, small.path / "run")
    before = file_contents(small.path)
    small.leave(8)
    line = refused(*words, folder=tmp_path)
    assert line.startswith(name.replace("DISK", str(small.path)))
    assert line.endswith(FULL)
    assert file_contents(small.path) == before
    assert [path.name for path in small.path.iterdir()] == ["run"]

    # what was there stays where its replacement does not fit
    target = Path(name.replace("DISK", str(small.path)))
    if target.suffix:
        small.resize(8192)
        target.parent.mkdir(exist_ok=True)
        target.write_text("of before", encoding="utf-8")
        small.leave(8)
        assert refused(*words, folder=tmp_path).endswith(FULL)
        assert target.read_text(encoding="utf-8") == "of before"
        assert left_by_writers(small.path) == []


@pytest.mark.parametrize("name", WRITERS)
def test_what_is_written_to_a_read_only_disk_is_named(
    small: Disk, tmp_path: Path, undisturbed: Path, name: str
):
    words = WRITERS[name].replace("RUN", str(undisturbed)).replace("DISK", str(small.path)).split()
    shutil.copytree(undisturbed, small.path / "run")
    small.read_only()
    line = refused(*words, folder=tmp_path)
    first_folder = "/".join(name.split("/")[:2]).replace("DISK", str(small.path))
    assert line.startswith(first_folder)
    assert "partial" not in line
    assert line.endswith(READ_ONLY)


def test_a_fit_on_a_read_only_disk_says_so_before_it_samples(small: Disk, tmp_path: Path, undisturbed: Path):
    shutil.copytree(undisturbed, small.path / "run")
    small.read_only()
    for words in (
        ("fit", "fits/a.toml", "--out", small.path / "runs"),
        ("resume", small.path / "run", "--draws", "500"),
    ):
        line = refused(*words, folder=tmp_path)
        assert line.startswith(str(small.path))
        assert line.endswith(READ_ONLY)


@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_a_compile_cache_that_cannot_be_written_costs_nothing_but_time(
    small: Disk, tmp_path: Path, undisturbed: Path, monkeypatch: pytest.MonkeyPatch, fault: str
):
    monkeypatch.setenv("KINETICS_COMPILE_CACHE", str(small.path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(small.path / "state"))
    if fault == "full":
        small.resize(40)
    else:
        small.read_only()
    process = command("fit", "fits/a.toml", folder=tmp_path)
    text, _ = process.communicate(timeout=600)
    assert "written: runs/a" in text
    assert "Warning" not in text
    found = posterior(tmp_path / "runs" / "a")
    assert all(np.array_equal(values, found[name]) for name, values in posterior(undisturbed).items())


def test_a_batch_on_a_full_disk_goes_on_when_there_is_space(small: Disk, tmp_path: Path, undisturbed: Path):
    write_fit(small.path)
    plan = '[[fit]]\nplan = "fits/a.toml"\n[local]\nworkers = 1\n'
    (small.path / "b.toml").write_text(plan, encoding="utf-8")
    small.leave(400)
    process = command("batch", "b.toml", folder=small.path)
    text, _ = process.communicate(timeout=600)
    assert process.returncode == 1, text
    assert text.strip().splitlines()[-1] == f"{small.path}/runs/b.batch: {BATCH_FULL}"
    assert Attempts(small.path / "runs" / "b.batch" / "tasks" / "a").failures == 0

    small.resize(16384)
    process = command("batch", "b.toml", folder=small.path)
    text, _ = process.communicate(timeout=600)
    assert process.returncode == 0, text
    found = posterior(small.path / "runs" / "b.batch" / "runs" / "a")
    assert all(np.array_equal(values, found[name]) for name, values in posterior(undisturbed).items())
    assert [name for name in left_by_writers(small.path) if "partial" in name] == []
