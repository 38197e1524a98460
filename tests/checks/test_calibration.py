"""A right fit has uniform ranks, a wrong one has not; a stopped run goes on to the same ranks, elsewhere
none does.
"""

from __future__ import annotations

import json
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from kinetics.checks.calibration.calibration import Calibration, calibration_card, record_calibration
from kinetics.checks.calibration.prior_study import PriorStudy
from kinetics.checks.calibration.ranks import sbc
from kinetics.cli import models as cli_models
from kinetics.errors import FitError
from kinetics.inference.nuts import NutsProgram
from kinetics.plan.binding import bind
from kinetics.plan.plan import FitPlan, plan_of
from kinetics.plot.sbc import plot_sbc
from tests.support.commands import call
from tests.support.toy_level import SUBJECTS, TIMES, level_plan

SHORT: dict[str, Any] = {"draws": 120, "warmup": 60, "ranks": 40}
PLAN_TOML = """\
model = "{model}"
data = "{data}"
seed = 1
[observe.level]
likelihood = "additive"
sigma_scale = 2.0
"""


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> FitPlan:
    return level_plan(tmp_path_factory.mktemp("toy"))


def made_up(*, lean: float = 1.0, wrong: str | None = None, replicates: int = 200) -> Calibration:
    """A calibration of ranks that were drawn here: uniform, or of Beta(lean, 1) in one quantity of three."""
    rng = np.random.default_rng(3)
    ranks = {k: rng.integers(0, 101, replicates) for k in ("cmax_pop", "omega_cmax")}
    ranks["log_likelihood"] = np.minimum((rng.beta(lean, 1, replicates) * 101).astype(int), 100)
    runs = {"replicate": range(replicates), "seconds": 1.0, "redrawn": 0, "blq": 0.25, "draws": 500}
    facts = {
        "fit": "mine",
        "model": {"name": "level", "sha256": "a" * 64},
        "data": {"name": "toy", "sha256": "b" * 64, "synthetic": True, "subjects": 5},
        "settings": {"seed": 1, "wrong": wrong},
        "versions": {},
    }
    runs |= {"divergences": 0, "gradients": 1, "ess": 200.0}
    return Calibration(facts, pd.DataFrame(runs), pd.DataFrame(ranks), 100)


def test_the_verdict_names_what_is_rejected_and_at_which_level():
    good, bad = made_up(), made_up(lean=1.8)
    assert good.uniform
    assert "not rejected: 3 quantities, 200 replicates" in good.verdict
    assert not bad.uniform
    assert "rejected for log_likelihood" in bad.verdict
    assert bad.alpha_each == pytest.approx(0.05 / 3)
    assert list(bad.table["rejected"]) == [True, False, False]
    assert bad.table.loc[0, "z"] > 4


def test_coverage_is_the_share_of_ranks_between_the_tails():
    good = made_up()
    ranks = good.ranks["cmax_pop"]
    assert good.coverage()["cmax_pop"] == pytest.approx(np.mean([5 <= r <= 95 for r in ranks]))
    assert good.coverage(0.5)["cmax_pop"] == pytest.approx(np.mean([25 <= r <= 75 for r in ranks]))
    assert 0.82 < good.coverage()["omega_cmax"] < 0.97
    assert made_up(lean=4.0).coverage()["log_likelihood"] < 0.85


def test_the_figure_has_a_panel_a_quantity_with_its_band_and_marks_the_rejected():
    bad = made_up(lean=1.8, wrong="drop_blq")
    figure = plot_sbc(bad)
    roles = [t.meta["role"] for t in figure.data]
    assert sorted(roles) == ["band"] * 3 + ["ranks"] * 2 + ["rejected"]
    (line,) = (t for t in figure.data if t.meta["role"] == "rejected")
    assert line.name == "log_likelihood"
    band = bad.band()
    inside = np.asarray(line.y)[1:-1] + band.expected
    assert ((inside < band.lower) | (inside > band.upper)).any()
    texts = " ".join(a.text for a in figure.layout.annotations)
    assert "SIMULATED STUDIES · WRONG ON PURPOSE: drop_blq" in texts
    assert "1 of 3 quantities leave the band" in figure.layout.title.subtitle.text


def test_a_record_beside_a_fit_is_shown_on_the_models_card_and_says_when_the_model_has_changed(tmp_path):
    plan = tmp_path / "fits" / "mine.toml"
    plan.parent.mkdir()
    record_calibration(made_up(), plan)
    file = record_calibration(made_up(lean=1.8, wrong="drop_blq"), plan)
    assert file.name == "mine.sbc.json"
    good, bad = calibration_card("level", "a" * 64, root=tmp_path)
    assert good.startswith("mine: rank uniformity not rejected, 200 replicates, least p")
    assert bad.startswith("mine, deliberately wrong (drop_blq): rank uniformity REJECTED")
    assert "changed since" not in good
    assert "the model file has changed since" in calibration_card("level", "c" * 64, root=tmp_path)[0]
    assert calibration_card("another", "a" * 64, root=tmp_path) == []


def test_a_drawn_study_is_a_function_of_seed_and_replicate_and_has_the_designs_limits(plan):
    study = PriorStudy.of(bind(plan))
    drawn, again, other = study.draw(1, 7), study.draw(1, 7), study.draw(1, 8)
    records = drawn.data.observations.assays["level"]
    np.testing.assert_array_equal(records.value, again.data.observations.assays["level"].value)
    assert not np.array_equal(records.value, other.data.observations.assays["level"].value)
    left = np.asarray(records.left)
    assert (records.value[left] == 8.0).all()
    assert (records.value[records.measured] >= 8.0).all()
    assert records.value.shape == (SUBJECTS, len(TIMES))
    assert study.fitted.assays[0].present == ("left",)
    sizes = {k: np.shape(v) for k, v in drawn.sites.items()}
    assert sizes["eta_level"] == (SUBJECTS,)
    assert sizes["sigma_add_level"] == ()


def test_truths_have_the_priors_means_and_spreads_and_measurements_the_residual_error(plan):
    study = PriorStudy.of(bind(plan))
    drawn = [study.draw(2, i) for i in range(300)]
    level = np.array([float(d.sites["level_pop"]) for d in drawn])  # Normal(10, 3)
    assert abs(level.mean() - 10) < 4 * 3 / np.sqrt(300)
    assert abs(level.std() / 3 - 1) < 4 / np.sqrt(600)
    z = []  # standardised residuals of the studies without a record below the LLOQ of 8
    for d in (d for d in drawn if d.blq == 0 and float(d.sites["level_pop"]) > 12):
        own = float(d.sites["level_pop"]) + float(d.sites["omega_level"]) * np.asarray(d.sites["eta_level"])
        y = np.asarray(d.data.observations.assays["level"].value)
        z.append((y - own[:, None]) / float(d.sites["sigma_add_level"]))
    assert np.std(z) == pytest.approx(
        1, abs=0.1
    )  # of 20 numbers in each of some 50 studies, hardly truncated


def test_records_of_every_kind_of_limit_are_drawn_as_the_study_reports_them(tmp_path):
    rows = (
        "S1,1.0,level,8.0,left,2.0,\n"  # below 8 is known to be above 2 in this assay
        "S1,2.0,level,11.0,none,,\n"
        "S2,1.0,level,14.0,right,,14.0\n"
        "S2,2.0,level,12.0,interval,9.0,\n"
    ) + "".join(f"S{i},1.0,level,11.0,none,,\n" for i in (3, 4, 5))
    study = PriorStudy.of(bind(level_plan(tmp_path, rows=rows)))
    design = study.design["level"]
    assert design.kinds == ("left", "right", "interval")
    y = np.where(design.there, 5.0, np.nan)
    low = design.records(y, drop_blq=False)
    assert low.interval[0].tolist() == [True, True]  # between floor and LLOQ
    assert (low.limit[0] == 2.0).all()
    assert (low.value[0] == 8.0).all()
    assert low.left[1].tolist() == [False, True]  # below the bracket of 9 to 12
    assert low.value[1, 1] == 9.0
    deep = design.records(np.where(design.there, 1.0, np.nan), drop_blq=False)
    assert deep.left[0].all()
    assert (deep.value[0] == 2.0).all()
    high = design.records(np.where(design.there, 20.0, np.nan), drop_blq=False)
    assert high.right[1].all()
    assert high.value[1].tolist() == [14.0, 12.0]
    inside = design.records(np.where(design.there, 10.0, np.nan), drop_blq=False)
    assert inside.interval[1].tolist() == [False, True]
    assert (inside.limit[1, 1], inside.value[1, 1]) == (9.0, 12.0)
    dropped = design.records(y, drop_blq=True)
    assert not (dropped.measured | dropped.left | dropped.right | dropped.interval)[0].any()


@pytest.mark.fit
@pytest.mark.slow
def test_ranks_of_a_right_fit_are_uniform_and_of_one_with_half_the_error_are_not(plan, monkeypatch):
    assert sbc(plan, replicates=32, **SHORT).uniform
    noisy = PriorStudy._measured

    def doubled(self: Any, assay: Any, sites: Any, f: Any, noise: Any) -> Any:
        return noisy(self, assay, sites, f, 2.0 * noise)

    monkeypatch.setattr(PriorStudy, "_measured", doubled)
    found = sbc(plan, replicates=32, **SHORT).table.set_index("site")
    assert found.loc["sigma_add_level", "rejected"]
    assert found.loc["sigma_add_level", "z"] < -4  # the fitted SD is too large: the truth ranks low


@pytest.mark.fit
def test_dropping_records_below_the_lloq_is_rejected(plan):
    found = sbc(plan, replicates=32, wrong="drop_blq", **SHORT)
    assert not found.uniform
    assert (
        found.table.set_index("site").loc["level_pop", "z"] < -3
    )  # the low levels are gone: fitted too high


@pytest.mark.fit
def test_a_stopped_run_goes_on_to_the_same_ranks_and_a_folder_of_other_settings_is_refused(plan, tmp_path):
    class Stop(Exception):
        pass

    def stop(replicated: Any) -> None:
        if replicated.done == 2:
            raise Stop

    whole = sbc(plan, replicates=4, **SHORT)
    with pytest.raises(Stop):
        sbc(plan, replicates=4, folder=tmp_path / "sbc", report=stop, **SHORT)
    said: list[int] = []
    resumed = sbc(
        plan, replicates=4, folder=tmp_path / "sbc", report=lambda r: said.append(r.replicate), **SHORT
    )
    assert said == [2, 3]
    pd.testing.assert_frame_equal(resumed.ranks, whole.ranks)
    with pytest.raises(FitError, match=r"settings: seed was 1, now 2; choose another folder"):
        sbc(plan, replicates=4, folder=tmp_path / "sbc", seed=2, **SHORT)
    other = level_plan(tmp_path / "other", lloq=7.0)
    with pytest.raises(FitError, match="data: sha256 was"):
        sbc(other, replicates=4, folder=tmp_path / "sbc", **SHORT)
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "notes.txt").write_text("precious")
    with pytest.raises(FitError, match="holds something else than a calibration"):
        sbc(plan, replicates=4, folder=tmp_path / "foreign", **SHORT)


@pytest.mark.fit
@pytest.mark.parametrize("at_once", [3, 8])
def test_replicates_side_by_side_have_the_ranks_they_have_alone(plan, at_once, monkeypatch):
    """Three on three devices, or eight on four, of which two have nothing to do; each ends where it would
    end alone.
    """
    own = sbc(plan, replicates=6, **SHORT)
    runs: list[int] = []
    run = NutsProgram.run
    monkeypatch.setattr(
        NutsProgram, "run", lambda p, *a, **k: runs.append(p.settings.chains) or run(p, *a, **k)
    )
    beside = sbc(plan, replicates=6, at_once=at_once, **SHORT)
    assert len(runs) < own.runs["draws"].sum() / SHORT["draws"]
    assert (beside.runs["draws"] == own.runs["draws"]).all()
    assert (np.abs(beside.ranks - own.ranks) <= 1).all(axis=None)  # rounding may move a rank
    assert own.ranks.nunique().max() > 3


@pytest.mark.fit
def test_the_command_writes_its_results_and_its_exit_code_is_the_verdict(tmp_path):
    plan = level_plan(tmp_path)
    file = tmp_path / "fits" / "toy.toml"
    file.parent.mkdir()
    file.write_text(PLAN_TOML.format(model=plan.model, data=plan.data))
    options = ["--replicates", 3, "--draws", 100, "--warmup", 60, "--ranks", 20, "--out", tmp_path / "out"]
    said = call("sbc", file, *options, "--record", "--json")
    assert said.code == 0, said.err
    result = said.json()
    assert result["uniform"]
    assert result["replicates"] == 3
    assert said.err.splitlines()[-1].startswith("3/3  replicate 2")
    assert (tmp_path / "out" / "ranks.html").stat().st_size > 1e6
    kept = json.loads((file.parent / "toy.sbc.json").read_text())
    assert kept["calibration"]["verdict"] == result["verdict"]
    again = call("sbc", file, *options)
    assert "replicate" not in again.err
    assert "rank uniformity not rejected" in again.out


def test_the_command_exits_1_where_uniformity_is_rejected_and_refuses_an_unknown_wrong(tmp_path, monkeypatch):
    bad = made_up(lean=1.8)
    monkeypatch.setattr("kinetics.cli.assess.run_sbc", lambda *args, **keys: bad)
    said = call("sbc", "ogasawara_2021__synthetic_cart_12", "--out", tmp_path / "out")
    assert said.code == 1
    assert "rejected for log_likelihood" in said.out
    refused = call("sbc", "ogasawara_2021__synthetic_cart_12", "--wrong", "drop_blk")
    assert refused.code == 1
    assert "did you mean 'drop_blq'" in refused.err


def test_the_models_card_shows_what_was_recorded(tmp_path, monkeypatch):
    monkeypatch.setattr(
        cli_models, "calibration_card", lambda name, sha256: [f"{name}: rank uniformity not rejected"]
    )
    shown = call("models", "stein_2019")
    assert shown.out.rstrip().endswith("Calibration\n  stein_2019: rank uniformity not rejected")
    assert call("models", "stein_2019", "--json").json()["calibration"]


def test_settings_that_cannot_be_are_refused(plan):
    with pytest.raises(FitError, match="200 ranks out of 100 draws"):
        sbc(plan, ranks=200, draws=100)
    with pytest.raises(FitError, match="unknown wrong likelihood 'half'"):
        sbc(plan, wrong="half")


def test_errors_of_correlated_analytes_have_the_correlation_that_was_drawn():
    content = {
        "model": "ogasawara_2021",
        "data": "synthetic_cart_12",
        "observe": {"car_copies": {}, "car_cells": {}},
        "correlated": {"analytes": ["car_copies", "car_cells"]},
        "name": "pair",
    }
    study = PriorStudy.of(bind(plan_of(content)))
    rng, analytes = np.random.default_rng(4), ("car_copies", "car_cells")
    sites = {"rho_car_copies_car_cells": 0.7, "sigma_car_copies": 0.5, "sigma_car_cells": 2.0}
    given = {k: jnp.asarray(v) for k, v in sites.items()}
    f = {a: np.full(study.design[a].there.shape, 3.0) for a in analytes}
    drawn = [study._measurements(given, f, rng) for _ in range(15)]
    z = [np.array([np.log(y[a] / 3.0) / sites[f"sigma_{a}"] for y in drawn]) for a in analytes]
    assert np.corrcoef(z[0].ravel(), z[1].ravel())[0, 1] == pytest.approx(0.7, abs=0.03)
    assert [np.std(x) for x in z] == pytest.approx([1, 1], abs=0.05)
