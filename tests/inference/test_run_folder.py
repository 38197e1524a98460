"""A run folder is written whole or not at all, and read back only while its data and model are the same."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import arviz_base
import numpy as np
import pytest
from xarray import DataTree

import kinetics as kn
from kinetics import content
from kinetics.content import code_sha256
from kinetics.errors import FitError, PlanError
from kinetics.inference.devices import chain_layout
from kinetics.inference.fitting import Fit, load_fit
from kinetics.inference.run_folder import provenance_of, read_run
from kinetics.library import ROOT
from kinetics.plan.binding import BoundFit, bind
from kinetics.plan.plan import FitPlan, plan_of
from tests.support.commands import file_contents

FILES = {"plan.toml", "posterior.nc", "provenance.json", "log.txt"}
TINY: dict[str, Any] = {
    "observe": {"theophylline": {"likelihood": "additive"}},
    "allometry": {"cl": {"exponent": 1.0, "reference": 1.0}},
    "sampler": {"chains": 2, "warmup": 50, "draws": 50},
    "seed": 3,
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A study folder with the theophylline data and model, free to be changed."""
    shutil.copytree(ROOT / "data" / "theophylline", tmp_path / "data" / "mine")
    (tmp_path / "models").mkdir()
    shutil.copy(ROOT / "models" / "one_compartment_oral.py", tmp_path / "models" / "mine.py")
    return tmp_path


def plan(home: Path, **keys: Any) -> FitPlan:
    where = {"model": str(home / "models/mine.py"), "data": str(home / "data/mine"), "name": "mine"}
    return plan_of({**where, **TINY, **keys})


def posterior(bound: BoundFit, number: int = 0) -> DataTree:
    """Draws from nowhere in the shape of a posterior: what a run folder keeps does not depend on their
    values.
    """
    rng = np.random.default_rng(number)
    names = [*bound.priors(), *(f"eta_{k}" for k in bound.hierarchy.vary), *bound.model.parameters]
    shape = {k: (2, 5) if k in bound.priors() else (2, 5, len(bound.subjects)) for k in names}
    return arviz_base.from_dict(
        {
            "posterior": {k: rng.lognormal(size=s) for k, s in shape.items()},
            "sample_stats": {"diverging": np.zeros((2, 5), bool)},
        },
        coords={"subject": bound.subjects},
        dims={k: ["subject"] for k, s in shape.items() if len(s) == 3},
    )


def made(home: Path, number: int = 0, **keys: Any) -> Fit:
    """A fit that was never sampled."""
    bound = bind(plan(home, **keys))
    return Fit(bound, posterior(bound, number), provenance_of(bound.plan, bound, {"seconds": 0.0}))


def test_a_run_folder_holds_the_plan_the_draws_their_provenance_and_the_log(home: Path) -> None:
    done = made(home)
    folder = done.save(home / "runs" / "mine", log="what was said\n")
    assert {p.name for p in folder.iterdir()} == FILES
    assert (folder / "log.txt").read_text() == "what was said\n"
    assert oct(folder.stat().st_mode & 0o777) == "0o755"
    assert [p.name for p in folder.parent.iterdir()] == ["mine"]
    facts = json.loads((folder / "provenance.json").read_text())
    assert facts["model"]["sha256"] == done.model.sha256
    assert facts["data"] == {
        "name": "mine", "path": str(home / "data/mine"), "sha256": done.study.sha256, "synthetic": False,
    }  # fmt: skip
    assert facts["code"]["sha256"] == code_sha256()
    assert (facts["fit"], facts["seed"], facts["seconds"]) == ("mine", 3, 0.0)
    assert {"jax", "numpyro", "python"} <= set(facts["versions"])
    assert facts["device"]["x64"] is True


def test_a_fit_read_back_is_the_one_saved(home: Path) -> None:
    done = made(home)
    again = load_fit(done.save(home / "runs" / "mine"))
    assert again.bound.plan == done.bound.plan
    assert again.provenance == done.provenance
    assert again.draws == done.draws == 10
    for name, values in done.sites().items():
        np.testing.assert_array_equal(again.sites()[name], values)
    assert list(again.posterior["posterior"].coords["subject"].to_numpy()) == done.bound.subjects
    assert set(again.theta(at_most=3)) == {"ka", "ke", "cl"}
    assert {v.shape for v in again.theta(at_most=3).values()} == {(3, 12)}


def test_thinning_is_even_and_keeps_the_first_and_last_draw(home: Path) -> None:
    done = made(home)
    every, some = done.sites()["ka_pop"], done.sites(at_most=4)["ka_pop"]
    np.testing.assert_array_equal(some, every[[0, 3, 6, 9]])
    np.testing.assert_array_equal(done.sites(at_most=99)["ka_pop"], every)


@pytest.mark.parametrize(
    "keys",
    [
        {"covariates": {"ka": [{"covariate": "weight_kg"}]}},
        {"vary": []},
        {"priors": {"ka": {"median": 30.0, "sd": 1.0}}},
    ],
    ids=["covariate", "nobody varies", "prior"],
)
def test_a_plan_with_any_keys_survives_its_run_folder(home: Path, keys: dict[str, Any]) -> None:
    done = made(home, **keys)
    again = load_fit(done.save(home / "runs" / "mine"))
    assert again.bound.plan == done.bound.plan
    assert again.bound.hierarchy == done.bound.hierarchy


def test_a_run_is_not_overwritten_unless_forced(home: Path) -> None:
    folder = made(home, 0).save(home / "runs" / "mine")
    before = file_contents(home)
    with pytest.raises(FitError, match=r"exists; choose another --out, or replace it with --force") as caught:
        made(home, 1).save(folder)
    assert str(folder) in str(caught.value)
    assert file_contents(home) == before
    (folder / "report.html").write_text("of the old run")
    made(home, 1).save(folder, force=True)
    assert {p.name for p in folder.iterdir()} == FILES
    assert [p.name for p in folder.parent.iterdir()] == ["mine"]
    np.testing.assert_array_equal(load_fit(folder).sites()["ka_pop"], made(home, 1).sites()["ka_pop"])


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()], ids=["disk", "ctrl-c"])
@pytest.mark.parametrize("force", [False, True])
def test_a_write_that_fails_leaves_nothing_of_itself_and_the_old_run_whole(
    home: Path, force: bool, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = made(home, 0), made(home, 1)
    folder = home / "runs" / "mine"
    if force:
        old.save(folder)
    before = file_contents(home)

    write = Path.write_bytes

    def half(path: Path, content: bytes) -> int:
        if path.name == "posterior.nc":
            write(path, b"half of it")
            raise error
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(type(error)):
        new.save(folder, force=force)
    assert file_contents(home) == before
    runs = home / "runs"
    assert runs.exists() == force  # a folder that was made for nothing is gone too
    assert [path.name for path in runs.glob("*")] == ["mine"] * force


def test_a_failed_exchange_brings_the_old_run_back(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made(home, 0).save(home / "runs" / "mine")
    before, replace_folder = file_contents(home), os.replace

    def stumble(source: Any, target: Any) -> None:
        if Path(target) == folder and Path(source).name.startswith("."):
            raise OSError("no permission")
        replace_folder(source, target)

    monkeypatch.setattr(os, "replace", stumble)
    with pytest.raises(OSError, match="no permission"):
        made(home, 1).save(folder, force=True)
    assert file_contents(home) == before


@pytest.mark.parametrize(
    ("file", "old", "new", "what"),
    [
        ("data/mine/observations.csv", "0.74", "0.75", "data"),
        ("data/mine/dictionary.toml", "Theophylline", "Theophyllin", "data"),
        ("models/mine.py", "LogNormal(38.23, 1.0)", "LogNormal(38.23, 1.1)", "model"),
        ("models/mine.py", '"drug"', '"theophylline"', "model"),
    ],
)
def test_a_changed_study_or_model_is_refused_with_both_hashes(
    home: Path, file: str, old: str, new: str, what: str
) -> None:
    done = made(home)
    folder = done.save(home / "runs" / "mine")
    path = home / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    now = bind(done.bound.plan)
    hashes = {"data": (done.study.sha256, now.study.sha256), "model": (done.model.sha256, now.model.sha256)}[
        what
    ]
    assert hashes[0] != hashes[1]
    with pytest.raises(FitError, match=f"the {what} changed since this fit") as caught:
        load_fit(folder)
    for part in (str(folder), hashes[0][:12], hashes[1][:12], "fit again"):
        assert part in str(caught.value)


def test_a_change_that_no_longer_fits_the_plan_is_still_called_a_change(home: Path) -> None:
    """The parameter `ke` renamed: the reason is the changed file, not the plan."""
    done = made(home, priors={"ke": {"median": 2.0, "sd": 1.0}})
    folder = done.save(home / "runs" / "mine")
    path = home / "models" / "mine.py"
    path.write_text(path.read_text().replace('"ke"', '"kel"'))
    with pytest.raises((FitError, PlanError), match="the model changed since this fit"):
        load_fit(folder)


def test_a_model_moved_back_is_readable_again(home: Path) -> None:
    folder = made(home).save(home / "runs" / "mine")
    path = home / "models" / "mine.py"
    text = path.read_text()
    path.write_text(text + "\n")
    with pytest.raises(FitError, match="the model changed"):
        load_fit(folder)
    path.write_text(text)
    assert load_fit(folder).name == "mine"


@pytest.mark.parametrize("missing", [["plan.toml"], ["posterior.nc"], ["provenance.json", "posterior.nc"]])
def test_the_missing_files_of_a_run_are_named(home: Path, missing: list[str]) -> None:
    folder = made(home).save(home / "runs" / "mine")
    for name in missing:
        (folder / name).unlink()
    with pytest.raises(FitError, match="is not a finished run: no ") as caught:
        read_run(folder)
    assert all(name in str(caught.value) for name in missing)
    assert not any(name in str(caught.value) for name in FILES - set(missing))


@pytest.mark.parametrize(
    ("file", "text"),
    [("posterior.nc", "not HDF5"), ("provenance.json", "{"), ("provenance.json", "{}"), ("plan.toml", "= 1")],
)
def test_a_damaged_file_of_a_run_is_refused_by_its_name(home: Path, file: str, text: str) -> None:
    folder = made(home).save(home / "runs" / "mine")
    (folder / file).write_text(text)
    with pytest.raises(kn.KineticsError, match=file):
        load_fit(folder)


def test_a_run_that_is_not_there_names_those_that_are(home: Path) -> None:
    made(home).save(home / "runs" / "mine")
    with pytest.raises(FitError, match=r"no run folder .*runs there: mine"):
        load_fit(home / "runs" / "min")
    with pytest.raises(FitError, match="fit one with `kinetics fit`"):
        load_fit(home / "nowhere" / "mine")


def test_a_fit_of_a_single_table_reads_back_with_what_was_said_of_it(tmp_path: Path) -> None:
    """The options of `read_study` belong to the study: without them its run could never be opened."""
    table = tmp_path / "pk.csv"
    table.write_text("ID,TIME,AMT,DV\n1,0,320,.\n1,1,.,5.2\n1,4,.,7.1\n2,0,300,.\n2,2,.,6.0\n")
    study = kn.read_study(
        table,
        time_unit="h",
        dose_unit="mg",
        value_unit="mg/L",
        analyte="theophylline",
        route="oral",
        product="drug",
    )
    keys = {
        "observe": TINY["observe"],
        "model": "one_compartment_oral",
        "data": str(study.path),
        "name": "pk",
    }
    bound = bind(plan_of(keys), study=study)
    done = Fit(bound, posterior(bound), provenance_of(bound.plan, bound, {}))
    folder = done.save(tmp_path / "runs" / "pk")
    assert load_fit(folder).study.sha256 == study.sha256


def test_the_hash_of_the_code_is_of_every_source_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.py").write_text("y = 1\n")
    monkeypatch.setattr(content, "__file__", str(tmp_path / "content.py"))
    hashes = {code_sha256()}
    (tmp_path / "sub" / "b.py").write_text("y = 2\n")
    hashes.add(code_sha256())
    (tmp_path / "sub" / "b.py").rename(tmp_path / "c.py")
    hashes.add(code_sha256())
    assert len(hashes) == 3


def test_fit_refuses_what_it_cannot_read_before_it_samples(home: Path) -> None:
    with pytest.raises(FitError, match="the study is missing"):
        kn.fit(kn.load_model("stein_2019"))
    with pytest.raises(PlanError, match="did you mean 'sampler'"):
        kn.fit(plan(home), samplr={"draws": 10})
    with pytest.raises(FitError, match="subject 1, day 0, theophylline"):
        kn.fit(plan(home), observe={"theophylline": {"likelihood": "lognormal"}})
    with pytest.raises(PlanError, match="no analyte 'theophylline'"):
        kn.fit(plan(home), "synthetic_cart_12")


@pytest.mark.fit
def test_a_sampled_fit_is_the_same_from_a_plan_and_from_keywords_and_after_reading_back(home: Path) -> None:
    said: list[str] = []
    chunks: list[Any] = []
    done = kn.fit(plan(home), announce=said.append, report=chunks.append)
    assert [(c.done, c.warmup) for c in chunks] == [(50, True), (100, False)]
    assert "theophylline: 132 records" in said[0]
    assert said[1] == str(chain_layout(2))
    assert done.draws == 100
    assert done.posterior["posterior"].sizes["subject"] == 12
    assert not any(name.startswith("log_likelihood") for name in done.sites())
    sites = done.sites()
    by_hand = np.exp(np.log(sites["ka_pop"])[:, None] + sites["omega_ka"][:, None] * sites["eta_ka"])
    np.testing.assert_allclose(done.theta()["ka"], by_hand, rtol=1e-8)
    assert done.posterior["sample_stats"]["tree_depth"].to_numpy().max() <= 10
    again = load_fit(done.save(home / "runs" / "mine"))
    keyed = kn.fit(home / "models" / "mine.py", home / "data" / "mine", **TINY)
    assert keyed.name == "mine__mine"
    for name, values in sites.items():
        np.testing.assert_array_equal(again.sites()[name], values)
        np.testing.assert_array_equal(keyed.sites()[name], values)
    other = replace(done, posterior=kn.fit(plan(home, seed=4)).posterior)
    assert not np.array_equal(other.sites()["ka_pop"], sites["ka_pop"])
