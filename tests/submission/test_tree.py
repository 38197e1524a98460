"""The way from a locked plan to a verified tree, and what is noticed when something is changed on it."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from kinetics.checks.verdict import check
from kinetics.inference.fitting import Fit
from kinetics.plan.plan import read_plan
from kinetics.submission.analysis_plan import read_analysis_plan
from kinetics.submission.criteria import criterion_outcomes
from kinetics.submission.departures import deviations
from kinetics.submission.manifest import DATASETS, KEY_TABLE, verify
from kinetics.submission.plan_lock import lock_plan, read_lock
from kinetics.submission.transport_file import read_transport
from tests.support.commands import call, file_contents
from tests.support.fits import prior_fit
from tests.support.submissions import map_text

pytest.importorskip("pyreadstat")
pytest.importorskip("docx")

PLAN = """model = "one_compartment_oral"
data = "theophylline"
[observe.theophylline]
likelihood = "additive"
"""


def begun(fit: Fit, hours: float) -> Fit:
    """The fit as if it had begun some hours from now."""
    started = (datetime.now(UTC) + timedelta(hours=hours)).isoformat()
    return replace(fit, provenance={**fit.provenance, "started": started})


@pytest.fixture(scope="module")
def walk(tmp_path_factory) -> Path:
    """A folder with a locked plan, a run that began after the lock, its report and its tree."""
    folder = tmp_path_factory.mktemp("walk")
    (folder / "theophylline.toml").write_text(PLAN, encoding="utf-8")
    (folder / "map.toml").write_text(map_text(checks=', "R-hat, worst"'), encoding="utf-8")
    assert call("map", "lock", folder / "map.toml").code == 0
    fit = begun(prior_fit(read_plan(folder / "theophylline.toml")), 1)
    fit.save(folder / "run")
    made = call("submit", folder / "tree", "--run", folder / "run", "--map", folder / "map.toml", "--json")
    assert made.code == 0, made.err
    (folder / "made.json").write_text(made.out, encoding="utf-8")
    return folder


def test_the_tree_verifies_and_holds_every_part(walk):
    answer = json.loads((walk / "made.json").read_text())
    assert answer["verification"]["ok"] is True
    assert answer["deviations"] == 0
    names = {Path(name).name for name in answer["files"]}
    assert {"adpc.xpt", "adppk.xpt", "adpp.xpt", "draws.xpt", "define.xml", "manifest.json"} <= names
    assert {"analysis_report.html", "analysis_report.docx", "reviewers_guide.html"} <= names
    assert {"fit_plan.txt", "model_one_compartment_oral.txt", "analysis_plan_lock.txt"} <= names
    checked = call("submit", walk / "tree", "--verify")
    assert checked.code == 0
    assert "numbers of the key table recomputed" in checked.out
    assert "compliant" not in (walk / "tree" / "manifest.json").read_text().lower()


def test_a_byte_changed_anywhere_is_named(walk, tmp_path):
    contents = file_contents(walk / "tree")
    for name, content in contents.items():
        tree = tmp_path / "tree"
        shutil.copytree(walk / "tree", tree)
        middle = len(content) // 2
        changed = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        (tree / name).write_bytes(changed)
        if name.endswith((".xpt", "key_table.txt", ".json", ".sha256")):
            result = call("submit", tree, "--verify")
            assert result.code == 1, name
            assert Path(name).name in result.out + result.err, name
        else:
            assert any(name in line for line in verify_files_only(tree)), name
        shutil.rmtree(tree)


def verify_files_only(tree: Path) -> tuple[str, ...]:
    """The problems of the files of a tree, without recomputing its numbers."""
    from kinetics.submission.manifest import _of_files

    listed = json.loads((tree / "manifest.json").read_bytes())["files"]
    return tuple(_of_files(tree, {name: entry["sha256"] for name, entry in listed.items()}))


def test_files_that_are_gone_or_added_are_named(walk, tmp_path):
    tree = tmp_path / "tree"
    shutil.copytree(walk / "tree", tree)
    (tree / DATASETS / "adpp.xpt").unlink()
    (tree / "m5" / "note.txt").write_text("added", encoding="utf-8")
    problems = "\n".join(verify(tree).problems)
    assert "adpp.xpt: missing" in problems
    assert "m5/note.txt: not in the manifest" in problems


def test_a_key_number_that_the_data_do_not_give_is_named_though_the_hashes_fit(walk, tmp_path):
    tree = tmp_path / "tree"
    shutil.copytree(walk / "tree", tree)
    table = pd.read_csv(tree / KEY_TABLE, dtype=str, keep_default_na=False)
    row = table.index[(table["item"] == "ka_pop") & (table["statistic"] == "median")][0]
    table.loc[row, "value"] = "12.5"
    table.to_csv(tree / KEY_TABLE, index=False)
    assert any("ka_pop median: 12.5 is stated" in line for line in verify(tree).problems)


def test_records_that_the_fit_does_not_use_are_kept_and_marked(walk):
    frame, _ = read_transport(walk / "tree" / DATASETS / "adppk.xpt")
    assert set(frame["FITFL"]) == {"Y"}
    fit = prior_fit(read_plan("ogasawara_2021__synthetic_cart_12"))
    from kinetics.submission.datasets import datasets_of
    from kinetics.submission.key_table import NCA_RULE_SETS

    one = replace(fit, bound=replace(fit.bound, plan=_of_one_analyte(fit)))
    records = datasets_of(one, None, NCA_RULE_SETS["car_t"]())[1].frame
    unused = records[records["FITFL"] == "N"]
    assert set(unused["FITREAS"]) == {"the plan does not observe this analyte"}
    assert len(records) == len(fit.study.observations) + len(fit.study.doses)


def _of_one_analyte(fit: Fit):
    plan = fit.bound.plan
    return plan.model_copy(update={"observe": {"car_copies": plan.observe["car_copies"]}})


def departures_of(walk: Path, fit: Fit) -> dict[str, tuple[str, str]]:
    plan = read_analysis_plan(walk / "map.toml")
    outcomes = criterion_outcomes(plan, fit, check(fit))
    found = deviations(read_lock(walk / "map.toml"), walk / "map.toml", [fit], outcomes)
    return {deviation.subject: (deviation.planned, deviation.done) for deviation in found}


@pytest.fixture
def plain(tmp_path) -> Path:
    """A folder with a locked plan."""
    (tmp_path / "theophylline.toml").write_text(PLAN, encoding="utf-8")
    (tmp_path / "map.toml").write_text(map_text(checks=', "R-hat, worst"'), encoding="utf-8")
    lock_plan(tmp_path / "map.toml")
    return tmp_path


def test_a_run_as_planned_has_no_deviation(plain):
    assert departures_of(plain, begun(prior_fit(read_plan(plain / "theophylline.toml")), 1)) == {}


def test_another_seed_is_a_deviation(plain):
    plan = read_plan(plain / "theophylline.toml").model_copy(update={"seed": 99})
    found = departures_of(plain, begun(prior_fit(plan), 1))
    assert found == {"run theophylline: seed": ("0", "99")}


def test_a_plan_changed_after_the_lock_and_an_amendment_after_the_run_are_deviations(plain):
    fit = begun(prior_fit(read_plan(plain / "theophylline.toml")), 1)
    text = (plain / "map.toml").read_text(encoding="utf-8")
    (plain / "map.toml").write_text(text.replace(', "R-hat, worst"', ""), encoding="utf-8")
    key = "plan changed after the lock: map.technical_criteria.checks"
    assert departures_of(plain, fit) == {key: ("R-hat, worst", "nothing")}
    lock_plan(plain / "map.toml", reason="one chain")
    assert departures_of(plain, fit) == {}
    late = departures_of(plain, begun(fit, -1))
    assert set(late) == {"time of the lock", "amendment 1"}
    assert "R-hat, worst -> nothing (reason: one chain)" in late["amendment 1"][1]


def test_a_planned_check_that_was_not_made_is_a_deviation(plain):
    fit = begun(prior_fit(read_plan(plain / "theophylline.toml")), 1)
    checked = check(fit)
    dropped = replace(checked, rows=checked.rows[checked.rows["check"] != "R-hat, worst"])
    outcomes = criterion_outcomes(read_analysis_plan(plain / "map.toml"), fit, dropped)
    found = deviations(read_lock(plain / "map.toml"), plain / "map.toml", [fit], outcomes)
    assert [d.subject for d in found] == ["criterion: R-hat, worst"]
    assert found[0].done.startswith("not made")


def test_a_run_of_another_model_is_not_planned_and_the_planned_one_is_missed(plain):
    other = begun(prior_fit(read_plan("ogasawara_2021__synthetic_cart_12")), 1)
    found = departures_of(plain, other)
    assert found["fit theophylline"] == ("planned", "no such run is reported")
    assert found[f"run {other.name}"][0] == "no such fit"


def test_a_calibration_that_was_planned_and_not_made_is_a_deviation(plain):
    with (plain / "map.toml").open("a", encoding="utf-8") as file:
        file.write("calibration = { replicates = 100 }\n")
    lock_plan(plain / "map.toml", reason="calibration added")
    fit = begun(prior_fit(read_plan(plain / "theophylline.toml")), 1)
    assert "criterion: calibration by simulation" in departures_of(plain, fit)
    plan = read_analysis_plan(plain / "map.toml")
    summary = {
        "fit": fit.name,
        "replicates": 100,
        "uniform": True,
        "model": {"name": fit.model.name, "sha256": fit.model.sha256},
        "data": {"name": fit.study.name, "sha256": fit.study.sha256},
        "settings": {"wrong": None},
    }
    assert criterion_outcomes(plan, fit, check(fit), summary)[-1].outcome == "met"
    few = summary | {"replicates": 99}
    assert criterion_outcomes(plan, fit, check(fit), few)[-1].outcome == "not met"
    wrong = summary | {"settings": {"wrong": "drop_blq"}}
    assert criterion_outcomes(plan, fit, check(fit), wrong)[-1].outcome == "not made"


def test_the_report_says_what_was_planned_and_done(walk):
    page = (next((walk / "tree").rglob("analysis_report.html"))).read_text(encoding="utf-8")
    for words in ("Question of interest", "Model influence", "failed predictions", "No deviation was found"):
        assert words in page
    assert re.search(r"\bcompliant\b", page.split("<script>")[0]) is None
    import docx

    document = docx.Document(str(next((walk / "tree").rglob("analysis_report.docx"))))
    text = "\n".join(paragraph.text for paragraph in document.paragraphs)
    assert "Planned criteria and their outcomes" in text
    assert document.core_properties.created.year >= 2026


def test_without_a_browser_the_pages_are_written_and_the_lack_is_said(walk, tmp_path, monkeypatch):
    monkeypatch.setenv("KINETICS_BROWSER", "no-such-browser")
    arguments = ["--run", walk / "run", "--map", walk / "map.toml", "--json"]
    made = call("submit", tmp_path / "tree", *arguments)
    assert made.code == 0, made.err
    answer = made.json()
    assert not any(name.endswith(".pdf") for name in answer["files"])
    assert any("no Chrome or Chromium" in note for note in answer["notes"])


@pytest.mark.parametrize("name", ["nkg2d_blood__nkg2d_phase1_synthetic", "ogasawara_2021__synthetic_cart_12"])
def test_the_key_table_of_a_trial_is_recomputed_from_its_transport_files(name, tmp_path):
    from kinetics.submission.datasets import datasets_of, transport_table
    from kinetics.submission.key_table import NCA_RULE_SETS, key_table, key_table_of_files, table_differences
    from kinetics.submission.transport_file import transport_bytes
    from kinetics.submission.tree import reading_of

    fit = prior_fit(read_plan(name), draws=20)
    rules = NCA_RULE_SETS["car_t"]()
    datasets = {dataset.name: dataset for dataset in datasets_of(fit, None, rules)}
    for part in ("ADPPK", "DRAWS"):
        (tmp_path / f"{part.lower()}.xpt").write_bytes(transport_bytes(transport_table(datasets[part])))
    (tmp_path / "reading.toml").write_text(reading_of(fit.study, datasets["ADPPK"]), encoding="utf-8")
    labels = {column: variable.label for column, variable in datasets["DRAWS"].variables.items()}
    stated = key_table(fit.study, datasets["DRAWS"].frame, labels, rules)
    recomputed = key_table_of_files(tmp_path, tmp_path / "reading.toml", rules)
    assert len(stated) > 200
    assert list(table_differences(stated, recomputed)) == []
