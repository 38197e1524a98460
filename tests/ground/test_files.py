"""A file or a folder is written whole or not at all, and what was there before stays until then."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from kinetics.files import not_readable, whole_file, whole_folder, write_atomic

FAILURES = pytest.mark.parametrize(
    "error", [OSError("disk full"), KeyboardInterrupt()], ids=["disk", "ctrl-c"]
)


def everything(folder: Path) -> dict[str, str]:
    """Every file and folder below, hidden ones too: path -> content."""
    return {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8") if path.is_file() else "a folder"
        for path in folder.rglob("*")
    }


def mode(path: Path) -> str:
    return oct(path.stat().st_mode & 0o777)


def old_folder(path: Path) -> None:
    path.mkdir()
    (path / "old.txt").write_text("old")


def stop_midway(file: Path, error: BaseException) -> None:
    file.write_text("half")
    raise error


def test_a_file_is_written_with_the_folders_above_it_and_everyone_may_read_it(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "table.csv"
    assert write_atomic(target, "a,µ\n") == target
    assert (target.read_text(encoding="utf-8"), mode(target)) == ("a,µ\n", "0o644")
    write_atomic(target, b"\x00bytes")
    assert target.read_bytes() == b"\x00bytes"
    assert list(everything(tmp_path)) == ["deep", "deep/table.csv"]


def test_text_that_cannot_be_encoded_leaves_the_old_file(tmp_path: Path) -> None:
    write_atomic(tmp_path / "table.csv", "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomic(tmp_path / "table.csv", "half \udc80")
    assert everything(tmp_path) == {"table.csv": "old"}


@FAILURES
@pytest.mark.parametrize("before", [{}, {"table.csv": "old"}], ids=["new", "replaced"])
def test_a_file_that_fails_midway_leaves_nothing_and_keeps_the_old(
    tmp_path: Path, before: dict[str, str], error: BaseException
) -> None:
    for name, text in before.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(type(error)), whole_file(tmp_path / "table.csv") as partial:
        stop_midway(partial, error)
    assert everything(tmp_path) == before


def test_a_file_that_grows_has_its_name_at_the_end_alone(tmp_path: Path) -> None:
    target = tmp_path / "curves.csv"
    with whole_file(target) as partial, partial.open("w") as file:
        file.write("first\n")
        file.flush()
        assert not target.exists()
        file.write("second\n")
    assert everything(tmp_path) == {"curves.csv": "first\nsecond\n"}


def test_a_file_that_cannot_be_renamed_leaves_nothing_and_keeps_the_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_atomic(tmp_path / "table.csv", "old")
    monkeypatch.setattr(os, "replace", lambda source, target: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        write_atomic(tmp_path / "table.csv", "new")
    assert everything(tmp_path) == {"table.csv": "old"}


def test_a_folder_has_its_name_when_all_of_it_is_there(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "run"
    with whole_folder(target) as partial:
        (partial / "tables").mkdir()
        (partial / "tables" / "a.csv").write_text("a")
        (partial / ".hidden").write_text("b")
        assert not target.exists()
        assert partial.parent == target.parent
    assert everything(target) == {"tables": "a folder", "tables/a.csv": "a", ".hidden": "b"}
    assert mode(target) == "0o755"
    assert list(target.parent.iterdir()) == [target]


def test_every_file_of_a_folder_is_on_the_disk_before_it_is_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced, replace = set(), os.replace

    def rename(source: Path, target: Path) -> None:
        assert synced >= inodes
        replace(source, target)

    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.add(os.fstat(descriptor).st_ino))
    monkeypatch.setattr(os, "replace", rename)
    with whole_folder(tmp_path / "run") as partial:
        (partial / "tables").mkdir()
        files = [partial / "tables" / "a.csv", partial / "b.txt"]
        for file in files:
            file.write_text("text")
        inodes = {file.stat().st_ino for file in files}
    assert (tmp_path / "run").is_dir()


@FAILURES
@pytest.mark.parametrize("replace", [False, True])
def test_a_folder_that_fails_midway_leaves_nothing_and_keeps_the_old(
    tmp_path: Path, replace: bool, error: BaseException
) -> None:
    if replace:
        old_folder(tmp_path / "run")
    before = everything(tmp_path)
    with pytest.raises(type(error)), whole_folder(tmp_path / "run", replace=replace) as partial:
        stop_midway(partial / "half.txt", error)
    assert everything(tmp_path) == before


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_what_is_there_is_replaced_whole(tmp_path: Path, kind: str) -> None:
    target, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    old_folder(elsewhere)
    if kind == "folder":
        old_folder(target)
    elif kind == "file":
        target.write_text("old")
    else:
        target.symlink_to("elsewhere")
    with whole_folder(target, replace=True) as partial:
        (partial / "new.txt").write_text("new")
    assert not target.is_symlink()
    assert everything(target) == {"new.txt": "new"}
    assert everything(elsewhere) == {"old.txt": "old"}
    assert {path.name for path in tmp_path.iterdir()} == {"run", "elsewhere"}


@pytest.mark.parametrize("kind", ["folder", "file", "empty folder"])
def test_what_is_there_is_refused_before_anything_is_written(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "run"
    if kind == "folder":
        old_folder(target)
    elif kind == "file":
        target.write_text("old")
    else:
        target.mkdir()
    before = everything(tmp_path)
    with pytest.raises(FileExistsError, match="something is there already") as caught, whole_folder(target):
        pytest.fail("the block was entered")
    assert caught.value.filename == str(target)
    assert everything(tmp_path) == before


def test_what_another_process_wrote_meanwhile_stays(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="not empty"), whole_folder(tmp_path / "run"):
        old_folder(tmp_path / "run")
    assert everything(tmp_path) == {"run": "a folder", "run/old.txt": "old"}


@pytest.mark.parametrize("failing", [0, 1], ids=["putting the old one aside", "renaming the new one"])
@pytest.mark.parametrize(
    "error", [OSError("no permission"), KeyboardInterrupt()], ids=["permission", "ctrl-c"]
)
def test_an_exchange_that_fails_brings_the_old_folder_back(
    tmp_path: Path, failing: int, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_folder(tmp_path / "run")
    before, replace, calls = everything(tmp_path), os.replace, []

    def stumble(source: Any, target: Any) -> None:
        calls.append(target)
        if len(calls) == failing + 1:
            raise error
        replace(source, target)

    monkeypatch.setattr(os, "replace", stumble)
    with pytest.raises(type(error)), whole_folder(tmp_path / "run", replace=True) as partial:
        (partial / "new.txt").write_text("new")
    assert everything(tmp_path) == before


def test_an_old_folder_that_cannot_be_put_back_is_not_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_folder(tmp_path / "run")
    replace, calls = os.replace, []

    def stumble(source: Any, target: Any) -> None:
        calls.append(target)
        if len(calls) > 1:
            raise OSError("the disk went away")
        replace(source, target)

    monkeypatch.setattr(os, "replace", stumble)
    with pytest.raises(OSError, match="went away"), whole_folder(tmp_path / "run", replace=True):
        pass
    (aside,) = tmp_path.iterdir()
    assert everything(aside) == {"run": "a folder", "run/old.txt": "old"}


@pytest.fixture
def umask() -> Iterator[None]:
    """A umask that keeps everybody else out."""
    former = os.umask(0o077)
    yield
    os.umask(former)


@pytest.mark.usefixtures("umask")
def test_what_the_umask_keeps_from_others_is_kept_from_them(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "run") as partial:
        write_atomic(partial / "table.csv", "a\n")
    write_atomic(tmp_path / "table.csv", "a\n")
    assert mode(tmp_path / "run") == "0o700"
    assert mode(tmp_path / "run" / "table.csv") == mode(tmp_path / "table.csv") == "0o600"


def test_a_file_or_folder_that_is_replaced_keeps_its_mode(tmp_path: Path) -> None:
    write_atomic(tmp_path / "table.csv", "old").chmod(0o600)
    write_atomic(tmp_path / "table.csv", "new")
    assert mode(tmp_path / "table.csv") == "0o600"
    old_folder(tmp_path / "run")
    (tmp_path / "run").chmod(0o700)
    with whole_folder(tmp_path / "run", replace=True):
        pass
    assert mode(tmp_path / "run") == "0o700"


@pytest.mark.parametrize("whole", [whole_file, whole_folder])
def test_what_a_killed_process_left_goes_and_what_a_living_one_writes_stays(
    tmp_path: Path, whole: Callable[[Path], AbstractContextManager[Path]]
) -> None:
    target = tmp_path / "run"
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from kinetics.files import whole_folder, whole_file\n"
        f"with {whole.__name__}(Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(target)], check=False)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".run.partial-")
    with whole(target) as partial:
        assert list(tmp_path.iterdir()) == [partial]
        with whole_file(target.with_name("other")):
            assert partial.exists()
    with whole_file(target.with_name("file")) as first, whole_file(target.with_name("file")):
        assert first.exists()


def test_a_full_disk_is_told_with_the_name_of_the_file(tmp_path: Path) -> None:
    for whole in (whole_file, whole_folder):
        with pytest.raises(OSError, match=re.escape(str(tmp_path / "run"))), whole(tmp_path / "run"):
            raise OSError(errno.ENOSPC, "No space left on device")
    assert everything(tmp_path) == {}


def test_everything_of_a_folder_and_its_name_is_flushed_before_the_block_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda number: flushed.append(os.readlink(f"/proc/self/fd/{number}")))
    with whole_folder(tmp_path / "run") as partial:
        (partial / "deep").mkdir()
        (partial / "deep" / "table.csv").write_text("a")
    names = [partial / "deep" / "table.csv", partial / "deep", partial, tmp_path]
    assert set(flushed) == {str(name) for name in names}
    assert flushed[-1] == str(tmp_path)


def test_what_stands_where_a_file_should_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "nowhere").symlink_to("absent")
    (tmp_path / "circle").symlink_to("circle")
    os.mkfifo(tmp_path / "pipe")
    said = {
        name: not_readable(tmp_path / name) for name in ("file", "absent", "nowhere", "circle", "pipe", "a\0")
    }
    assert said == {
        "file": "",
        "absent": "no such file",
        "nowhere": "a link to absent, which is not there",
        "circle": "a link that leads back to itself",
        "pipe": "a pipe, not a file",
        "a\0": "no name of a file",
    }
    assert not_readable(tmp_path) == "a folder, not a file"
    assert not_readable(Path("/dev/zero")) == "a device, not a file"


@pytest.mark.parametrize("whole", [whole_file, whole_folder])
def test_folders_made_for_nothing_go_again_and_others_stay(tmp_path: Path, whole: Any) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(ValueError, match="no"), whole(tmp_path / "there" / "new" / "deep" / "a"):
        raise ValueError("no")
    assert list(tmp_path.rglob("*")) == [tmp_path / "there"]


def test_a_file_that_cannot_be_written_has_the_name_that_it_would_have(tmp_path: Path) -> None:
    target = tmp_path / "study"
    source = tmp_path / "source"
    source.write_text("a")

    def fault(code: int, *names: Path) -> OSError:
        return OSError(code, os.strerror(code), str(names[0]), None, *(str(name) for name in names[1:]))

    for inside, named in (((), target), (("data", "a.csv"), target / "data" / "a.csv")):
        with pytest.raises(OSError, match="No space") as caught, whole_folder(target) as partial:
            raise fault(errno.ENOSPC, partial.joinpath(*inside))
        assert caught.value.filename == str(named)
    with pytest.raises(OSError, match="No space") as caught, whole_folder(target) as partial:
        raise fault(errno.ENOSPC, source, partial / "copy")  # as shutil.copyfile names both
    assert (caught.value.filename, caught.value.filename2) == (str(target / "copy"), None)
    with pytest.raises(OSError, match="No such file") as caught, whole_file(target):
        raise fault(errno.ENOENT, tmp_path / "an input")
    assert caught.value.filename == str(tmp_path / "an input")
