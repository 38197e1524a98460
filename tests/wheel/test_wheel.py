"""The artefact: what is in the sdist and the wheel, and that the wheel works away from the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.wheel

ROOT = Path(__file__).parent.parent.parent
LIBRARY = "kinetics/library/"


def run(*command: str, at: Path, **environment: str) -> str:
    """What a command printed; its error output is shown where it fails."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "PYTHON"))}
    done = subprocess.run(
        command, cwd=at, capture_output=True, text=True, env={**env, **environment}, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def tracked(tree: Path) -> set[str]:
    """The files that git tracks."""
    return set(run("git", "ls-files", "-z", at=tree).split("\0")) - {""}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout in which all of it is tracked, with three stray files that are not."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    tree = tmp_path_factory.mktemp("checkout")
    names = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", at=ROOT).split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tree / name)
    run("git", "init", "--quiet", at=tree)
    run("git", "add", "--all", at=tree)
    (tree / ".git" / "info" / "exclude").write_text("private.csv\n")
    stray = tree / "data" / "x"
    stray.mkdir()
    for name in ("private.csv", "dictionary.toml", "observations.csv"):
        (stray / name).write_text("")
    (tree / "models" / "draft.py").write_text("")
    return tree


@pytest.fixture(scope="module")
def sdist(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist of that copy."""
    out = tmp_path_factory.mktemp("sdist")
    run(sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", str(out), at=tree)
    return next(out.glob("*.tar.gz"))


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of that sdist, built away from the checkout."""
    out = tmp_path_factory.mktemp("wheel")
    with tarfile.open(sdist) as archive:
        archive.extractall(out, filter="data")
    unpacked = next(out.iterdir())
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), at=unpacked)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the wheel is installed into."""
    target = tmp_path_factory.mktemp("installed")
    uv = shutil.which("uv")
    install = (
        [uv, "pip", "install", "--python", sys.executable] if uv else [sys.executable, "-m", "pip", "install"]
    )
    run(*install, "--quiet", "--no-deps", "--target", str(target), str(wheel), at=target)
    return target


def members(wheel: Path) -> set[str]:
    """The files of a wheel, without its metadata."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def expected(tree: Path) -> set[str]:
    """The files a wheel should have: the package, and the content where the package looks for it."""
    files = tracked(tree)
    package = {file for file in files if file.startswith("kinetics/")} - {LIBRARY + "_wheel.py"}
    return package | {LIBRARY + file for file in files if file.startswith(("models/", "fits/", "data/"))}


def test_the_wheel_of_the_sdist_has_the_package_and_the_whole_library(tree, wheel):
    assert members(wheel) == expected(tree)


def test_the_wheel_of_the_checkout_is_the_same(tree, wheel, tmp_path):
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), at=tree)
    assert members(next(tmp_path.glob("*.whl"))) == members(wheel)


def test_the_sdist_has_only_what_git_tracks(tree, sdist):
    with tarfile.open(sdist) as archive:
        files = {name.partition("/")[2] for name in archive.getnames()}
    assert files - tracked(tree) == {"PKG-INFO"}


def test_the_installed_wheel_reads_its_own_library(installed, tmp_path):
    script = (
        "import kinetics, sys; assert kinetics.__file__.startswith(sys.argv[1]), kinetics.__file__;"
        "kinetics.load_model('stein_2019'); kinetics.read_study('theophylline')"
    )
    run(sys.executable, "-c", script, str(installed), at=tmp_path, PYTHONPATH=str(installed))


def test_the_installed_wheel_has_the_command(installed, tmp_path):
    listing = run(sys.executable, "-m", "kinetics.cli", "models", at=tmp_path, PYTHONPATH=str(installed))
    assert "stein_2019" in listing
