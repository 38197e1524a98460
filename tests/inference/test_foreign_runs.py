"""A run folder of somebody else: nothing of it runs before it was compared and allowed, and whatever is
damaged or does not belong together is named.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray
from xarray import DataTree

from kinetics.errors import FitError, KineticsError
from kinetics.inference import fitting
from kinetics.inference.checkpoint import Checkpoint, unfinished
from kinetics.inference.fitting import load_fit, resume
from kinetics.inference.run_folder import read_run
from kinetics.library import ROOT
from kinetics.model import model_file, trust
from kinetics.plan.plan import plan_of
from tests.support.commands import call
from tests.support.fits import prior_fit

OBSERVE = {"theophylline": {"likelihood": "additive"}}


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run folder whose model writes a file when it runs, on a machine that has never run it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "their state"))
    source = (ROOT / "models" / "one_compartment_oral.py").read_text(encoding="utf-8")
    mine = tmp_path / "theirs.py"
    trace = f"open({str(tmp_path / 'ran')!r}, 'a').write('x')"
    mine.write_text(f"{source}\n{trace}\n", encoding="utf-8")
    plan = plan_of({"model": str(mine), "data": "theophylline", "name": "theirs", "observe": OBSERVE})
    run = prior_fit(plan).save(tmp_path / "runs" / "theirs")
    (tmp_path / "ran").unlink()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "our state"))
    trust.run_here.clear()
    return run


def forget_loaded_models() -> None:
    """As in a new process: the cache of loaded models would keep a file from running again."""
    fitting.load_file.__globals__["_load"].cache_clear()


def test_the_model_of_a_foreign_run_does_not_run_unasked(foreign: Path) -> None:
    forget_loaded_models()
    trace = foreign.parents[1] / "ran"
    with pytest.raises(FitError, match=r"theirs\.py is a program .* say --trust"):
        load_fit(foreign)
    assert not trace.exists()
    assert load_fit(foreign, trust=True).name == "theirs"
    assert trace.read_text() == "x"
    trust.run_here.clear()
    assert load_fit(foreign).name == "theirs"  # it is known from now on


def test_a_model_that_is_not_the_recorded_one_does_not_run_even_if_trusted(foreign: Path) -> None:
    model = foreign.parents[1] / "theirs.py"
    model.write_text(model.read_text() + "\n# another\n")
    with pytest.raises(FitError, match="the model changed since this fit"):
        load_fit(foreign, trust=True)
    assert not (foreign.parents[1] / "ran").exists()


@pytest.mark.parametrize(
    "command",
    [
        "check RUN",
        "report RUN",
        "exposure RUN",
        "explore RUN --no-browser",
        "compare RUN COPY",
        "subgroups RUN",
        "export RUN --as nonmem",
        "simulate one_compartment_oral --from RUN",
        "tornado RUN",
        "design-sampling RUN --add x:y@1:0.1",
        "design from-fit nkg2d_phase1_synthetic RUN",
        "next nkg2d_phase1_synthetic --study nkg2d_phase1_synthetic --run RUN --rule pkboin12",
        "recommend nkg2d_phase1_synthetic --study nkg2d_phase1_synthetic --run RUN",
        "resume RUN --draws 2000",
    ],
)
def test_no_command_runs_the_model_of_a_foreign_run_unasked(
    foreign: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(foreign.parents[1])
    forget_loaded_models()
    copy = foreign.with_name("copy")
    shutil.copytree(foreign, copy)
    words = command.replace("RUN", str(foreign)).replace("COPY", str(copy)).split()
    result = call(*words)
    assert result.code == 1
    assert "--trust" in result.err or "cannot be gone on from" in result.err
    assert not (foreign.parents[1] / "ran").exists()


def test_a_checkpoint_of_somebody_else_does_not_run_its_model_unasked(foreign: Path) -> None:
    forget_loaded_models()
    content, _, provenance = read_run(foreign)
    left = Checkpoint(unfinished(foreign.with_name("stopped")))
    identity = {"plan": "0", "model_file": provenance["model"]["file_sha256"]}
    left.begin(content, {"seconds": 0.0, "identity": identity})
    with pytest.raises(FitError, match="say --trust"):
        resume(foreign.with_name("stopped"))
    left.note({"seconds": 0.0, "identity": identity | {"model_file": "0" * 64}})
    with pytest.raises(FitError, match="the model changed"):
        resume(foreign.with_name("stopped"), trust=True)
    assert not (foreign.parents[1] / "ran").exists()


def test_models_of_the_library_need_no_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(trust, "run_here", set())
    assert model_file("stein_2019").is_known
    assert not (tmp_path / "state").exists()


def test_an_edited_plan_is_refused(foreign: Path) -> None:
    plan = foreign / "plan.toml"
    plan.write_text(plan.read_text().replace("seed = 0", "seed = 1"))
    with pytest.raises(FitError, match="the plan changed since this fit"):
        load_fit(foreign, trust=True)


def edited(**changes: Any) -> Callable[[Path], None]:
    """An edit of provenance.json."""

    def edit(run: Path) -> None:
        file = run / "provenance.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    return edit


def written(name: str, text: str) -> Callable[[Path], object]:
    return lambda run: (run / name).write_text(text)


def drawn(change: Callable[[dict[str, xarray.Dataset]], None]) -> Callable[[Path], None]:
    """An edit of the groups of posterior.nc."""

    def edit(run: Path) -> None:
        with xarray.open_datatree(run / "posterior.nc", engine="h5netcdf") as tree:
            groups = {str(name): node.to_dataset() for name, node in tree.load().children.items()}
        change(groups)
        DataTree.from_dict(groups).to_netcdf(run / "posterior.nc", engine="h5netcdf")

    return edit


def flip(run: Path) -> None:
    content = bytearray((run / "posterior.nc").read_bytes())
    for place in range(0, len(content), 97):
        content[place] ^= 0xFF
    (run / "posterior.nc").write_bytes(content)


def change(name: str, make: Callable[[xarray.DataArray], Any]) -> Callable[[Path], None]:
    def of(groups: dict[str, xarray.Dataset]) -> None:
        groups["posterior"] = groups["posterior"].assign({name: make(groups["posterior"][name])})

    return drawn(of)


def in_group(make: Callable[[xarray.Dataset], xarray.Dataset]) -> Callable[[Path], None]:
    return drawn(lambda groups: groups.update(posterior=make(groups["posterior"])))


DEEP = "[" * 100_000 + "]" * 100_000
DAMAGED: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a number": ("provenance.json", written("provenance.json", "3")),
    "data text": ("provenance.json", edited(data="x")),
    "data list": ("provenance.json", edited(data=[])),
    "data empty": ("provenance.json", edited(data={})),
    "model empty": ("provenance.json", edited(model={})),
    "options": ("provenance.json", edited(data={"sha256": "0", "options": {"nothing": 1}})),
    "options text": ("provenance.json", edited(data={"sha256": "0", "options": "x"})),
    "deep json": ("provenance.json", written("provenance.json", DEEP)),
    "deep toml": ("plan.toml", written("plan.toml", f"a = {DEEP}")),
    "dotted toml": ("plan.toml", written("plan.toml", ".".join("a" * 5000) + " = 1")),
    "no group": ("posterior.nc", drawn(lambda groups: groups.pop("posterior"))),
    "no statistics": ("posterior.nc", drawn(lambda groups: groups.pop("sample_stats"))),
    "no site": ("posterior.nc", in_group(lambda group: group.drop_vars("ka_pop"))),
    "another program": ("posterior.nc", in_group(lambda group: group[["ke_pop"]].rename(ke_pop="mu"))),
    "one draw": ("posterior.nc", in_group(lambda group: group.isel(draw=slice(1)))),
    "no chain": ("posterior.nc", in_group(lambda group: group.isel(chain=0, drop=True))),
    "fewer subjects": ("posterior.nc", in_group(lambda group: group.isel(subject=slice(3)))),
    "others": ("posterior.nc", in_group(lambda g: g.assign_coords(subject=g["subject"].values[::-1]))),
    "nan": ("posterior.nc", change("ka_pop", lambda values: values * np.nan)),
    "text": ("posterior.nc", change("ka_pop", lambda values: values.astype(str))),
    "shape": ("posterior.nc", change("ka_pop", lambda v: v.expand_dims({"z": 2}, axis=2))),
    "bytes": ("posterior.nc", flip),
    "half": ("posterior.nc", lambda run: truncate(run / "posterior.nc")),
    "empty": ("posterior.nc", written("posterior.nc", "")),
}


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_run_is_refused_with_the_name_of_the_file(foreign: Path, case: str) -> None:
    name, damage = DAMAGED[case]
    damage(foreign)
    with pytest.raises(KineticsError, match=name.replace(".", r"\.")) as caught:
        load_fit(foreign, trust=True)
    assert len(str(caught.value)) < 2000
    result = call("check", foreign, "--trust")
    assert (result.code, "Traceback" in result.err) == (1, False)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("facts.json", "3"),
        ("facts.json", "{}"),
        ("facts.json", '{"identity": 3}'),
        ("facts.json", DEEP),
        ("plan.toml", f"a = {DEEP}"),
    ],
)
def test_a_damaged_checkpoint_is_refused_with_the_name_of_the_file(
    tmp_path: Path, name: str, content: str
) -> None:
    left = Checkpoint(unfinished(tmp_path / "mine"))
    left.begin({"model": "one_compartment_oral"}, {"identity": {"plan": "0"}})
    (left.folder / name).write_text(content)
    with pytest.raises(FitError, match=rf"{name} is damaged"):
        resume(tmp_path / "mine")


def test_the_arrays_of_another_program_are_no_checkpoint(tmp_path: Path) -> None:
    left = Checkpoint(unfinished(tmp_path / "mine"))
    left.begin({}, {"identity": {"plan": "0"}})
    for name, read in (("start.npz", left.read_start), ("state.npz", left.read)):
        np.savez(left.folder / name, other=np.zeros(3))
        with pytest.raises(FitError, match=rf"{name} is damaged \(it holds other arrays\)"):
            read()


def test_a_full_disk_leaves_nothing_and_names_the_run(foreign: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit = load_fit(foreign, trust=True)
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if path.name == "posterior.nc":
            raise OSError(28, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        fit.save(foreign.with_name("more"))
    assert caught.value.filename == str(foreign.with_name("more"))
    assert [path.name for path in foreign.parent.iterdir()] == ["theirs"]
