"""A model analysis plan under lock: what changed is named, an amendment is numbered, no data are read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kinetics.errors import PlanError
from kinetics.submission.analysis_plan import RISK, read_analysis_plan
from kinetics.submission.plan_lock import lock_file, lock_plan, read_lock
from tests.support.commands import call
from tests.support.submissions import map_text


@pytest.fixture
def map_file(tmp_path) -> Path:
    file = tmp_path / "map.toml"
    file.write_text(map_text(), encoding="utf-8")
    return file


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def test_the_risk_is_that_of_the_declared_matrix(map_file):
    assert read_analysis_plan(map_file).risk == RISK["medium"]["high"] == "high"
    rows = "\n".join(f'{i} = {{ low = "low", medium = "low", high = "medium" }}' for i in RISK)
    with map_file.open("a", encoding="utf-8") as file:
        file.write(f"\n[risk_matrix]\n{rows}\n")
    assert read_analysis_plan(map_file).risk == "medium"


def test_every_fault_of_a_plan_is_named_at_once(map_file):
    edit(map_file, 'rating = "high"', 'rating = "grave"')
    edit(map_file, '"failed predictions"', '"failed prediction"')
    edit(map_file, "decision_rules", "decision_rule")
    with pytest.raises(PlanError) as refusal:
        read_analysis_plan(map_file)
    text = str(refusal.value)
    for part in (
        "consequence_of_wrong_decision.rating",
        "did you mean 'failed predictions'",
        "decision_rules",
    ):
        assert part in text


def test_a_check_that_the_method_never_makes_is_refused_before_the_lock(map_file):
    edit(map_file, '"failed predictions"', '"R-hat, worst"')
    edit(map_file, "theophylline.toml", "laplace.toml")
    (map_file.parent / "laplace.toml").write_text(PLAN, encoding="utf-8")
    refused = call("map", "lock", map_file)
    assert refused.code == 1
    assert "a fit by laplace has no check 'R-hat, worst'" in refused.err
    assert not lock_file(map_file).exists()


PLAN = """method = "laplace"
model = "one_compartment_oral"
data = "theophylline"
[observe.theophylline]
likelihood = "additive"
"""


@pytest.fixture(autouse=True)
def fit_plan(tmp_path) -> None:
    (tmp_path / "theophylline.toml").write_text(PLAN.partition("\n")[2], encoding="utf-8")


def test_a_lock_has_the_time_of_the_clock_and_reads_no_data(map_file):
    edit(map_file.parent / "theophylline.toml", '"theophylline"', '"data_that_are_still_to_come"')
    before = datetime.now(UTC) - timedelta(seconds=1)
    lock_plan(map_file)
    (version,) = read_lock(map_file).versions
    assert before <= datetime.fromisoformat(version.locked) <= datetime.now(UTC)
    assert version.content["fits"]["theophylline"]["data"] == "data_that_are_still_to_come"


def test_a_changed_plan_is_refused_until_it_is_an_amendment(map_file):
    assert call("map", "lock", map_file).code == 0
    edit(map_file.parent / "theophylline.toml", 'model = "one', 'seed = 7\nmodel = "one')
    silent = call("map", "lock", map_file)
    assert silent.code == 1
    assert "fits.theophylline.seed: 0 -> 7" in silent.err
    amended = call("map", "lock", map_file, "--amend", "the seed of the statistician", "--json")
    assert amended.code == 0
    assert amended.json()["number"] == 1
    assert amended.json()["changes"] == ["fits.theophylline.seed: 0 -> 7"]
    assert [version.number for version in read_lock(map_file).versions] == [0, 1]
    again = call("map", "lock", map_file, "--amend", "once more")
    assert again.code == 1
    assert "nothing has changed" in again.err


def test_a_lock_edited_by_hand_is_refused(map_file):
    lock_plan(map_file)
    edit(lock_file(map_file), "20", "19")
    with pytest.raises(PlanError, match="its hash does not fit its content"):
        read_lock(map_file)


def test_a_page_says_whether_the_plan_is_locked(map_file):
    assert call("map", map_file).code == 0
    page = map_file.with_suffix(".html")
    assert "This plan is a draft" in page.read_text(encoding="utf-8")
    lock_plan(map_file)
    assert call("map", "page", map_file).code == 0
    text = page.read_text(encoding="utf-8")
    assert "draft" not in text
    assert read_lock(map_file).latest.sha256[:12] in text
    assert "compliant" not in text.lower()
