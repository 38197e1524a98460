"""CRS and ICANS by ASTCT 2019: the consensus table as a truth table, a course over time, the command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kinetics.errors import InputError, StudyError
from kinetics.outcomes.astct import (
    FEVER,
    Signs,
    astct_events,
    astct_grades,
    crs_course,
    disagreements,
    icans_grade,
    read_signs,
)
from kinetics.study.study import read_study
from tests.support.commands import call

SYNTHETIC = "nkg2d_phase1_synthetic"

CRS = [  # PMC9327779 Table 2 and PMC8021214 Table 1, row by row
    ({}, 1), ({"temperature": 37.9}, 0), ({"temperature": 38.0}, 1), ({"other_cause": True}, 0),
    ({"hypotension": True}, 2), ({"vasopressors": 1}, 3), ({"vasopressors": 1, "vasopressin": True}, 3),
    ({"vasopressin": True}, 3), ({"vasopressors": 2}, 4), ({"vasopressors": 2, "vasopressin": True}, 4),
    ({"oxygen": "low_flow"}, 2), ({"oxygen": "blow_by"}, 2), ({"oxygen": "high_flow"}, 3),
    ({"oxygen": "face_mask"}, 3), ({"oxygen": "non_rebreather"}, 3), ({"oxygen": "venturi"}, 3),
    ({"oxygen": "cpap"}, 4), ({"oxygen": "bipap"}, 4), ({"oxygen": "ventilation"}, 4),
    ({"vasopressors": 1, "oxygen": "low_flow"}, 3),  # PMC8021214: the more severe one
    ({"hypotension": True, "oxygen": "cpap"}, 4), ({"temperature": 37.0, "vasopressors": 2}, 0),
]  # fmt: skip
ICANS = [
    ({"ice": 10}, 0), ({"ice": 9}, 1), ({"ice": 7}, 1), ({"ice": 6}, 2), ({"ice": 3}, 2), ({"ice": 2}, 3),
    ({"ice": 0}, 3), ({"ice": 0, "consciousness": "unarousable"}, 4), ({"consciousness": "unarousable"}, 4),
    ({"ice": 10, "consciousness": "spontaneous"}, 1), ({"ice": 10, "consciousness": "voice"}, 2),
    ({"ice": 8, "consciousness": "tactile"}, 3), ({"ice": 10, "seizure": "resolved"}, 3),
    ({"ice": 10, "seizure": "prolonged"}, 4), ({"ice": 10, "motor_weakness": True}, 4),
    ({"ice": 10, "oedema": "focal"}, 3), ({"ice": 10, "oedema": "diffuse"}, 4),
]  # fmt: skip


@pytest.mark.parametrize(("signs", "grade"), CRS)
def test_each_cell_of_the_crs_table(signs: dict[str, Any], grade):
    whole: dict[str, Any] = {"temperature": 39.0} | signs
    (found,) = crs_course([Signs(3.0, **whole)])
    assert (found.grade, bool(found.why)) == (grade, True)


@pytest.mark.parametrize(("signs", "grade"), ICANS)
def test_each_cell_of_the_icans_table(signs: dict[str, Any], grade):
    whole: dict[str, Any] = signs
    found = icans_grade(Signs(3.0, 37.0, **whole))
    assert (found.grade, bool(found.why)) == (grade, True)


def test_fever_is_needed_until_crs_has_begun_and_was_treated():
    def grades(*signs: Signs) -> list[int | None]:
        return [g.grade for g in crs_course(signs)]

    hypotensive: dict[str, Any] = {"hypotension": True}
    assert grades(Signs(1, 39.0), Signs(2, 37.0, **hypotensive)) == [1, 0]  # no treatment: fever still needed
    assert grades(Signs(1, 39.0, treated=True), Signs(2, 37.0, **hypotensive), Signs(3, 36.8)) == [1, 2, 0]
    assert grades(Signs(1, 37.0, treated=True, **hypotensive), Signs(2, 37.0, vasopressors=1)) == [
        0,
        0,
    ]  # never began
    assert grades(Signs(1, 39.0, treated=True), Signs(2, None, oxygen="low_flow")) == [1, 2]


def test_what_was_not_measured_is_not_known_and_says_so():
    (unknown,) = crs_course([Signs(1, None, hypotension=True)])
    assert (unknown.grade, unknown.why) == (None, "the temperature was not measured")
    ice = icans_grade(Signs(1, 37.0, seizure="resolved"))
    assert (ice.grade, ice.why) == (None, "the ICE score was not taken; at least 3 by the other signs")


def test_signs_that_cannot_be_are_refused_all_at_once():
    wrong: dict[str, Any] = {"oxygen": "mask", "ice": 11, "vasopressors": -1}
    with pytest.raises(InputError) as error:
        crs_course([Signs(3, 101.0), Signs(2, 37.0, **wrong)])
    assert len(error.value.problems) == 5
    assert FEVER == 38.0


TABLE = """subject,time,temperature,hypotension,vasopressors,oxygen,treated,ice
S06,15,38.4,no,0,none,no,10
S06,16,39.1,yes,1,low_flow,yes,9
S06,17,37.0,yes,0,none,yes,10
S02,10,37.2,no,0,none,no,10
"""


def signs_file(tmp_path: Path, text: str = TABLE) -> Path:
    path = tmp_path / "signs.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_of_signs_becomes_grades_and_rows_for_events(tmp_path):
    grades = astct_grades(read_signs(signs_file(tmp_path)), icans=True)
    assert grades[["subject", "crs", "icans"]].values.tolist() == [
        ["S02", 0, 0], ["S06", 1, 0], ["S06", 3, 1], ["S06", 2, 0]
    ]  # fmt: skip
    events = astct_events(grades)
    assert events.to_dict("records") == [
        {"subject": "S06", "time": 16.0, "event": e, "grade": g, "grading_system": "astct_2019", "begins": b}
        for e, g, b in (("crs", 3, 15.0), ("icans", 1, 16.0))
    ]


def test_every_problem_of_a_table_is_named(tmp_path):
    head = "subject,time,temperature,hypotension,vasopressors,oxygen,icee"
    text = f"{head}\nS1,1,38,maybe,0,mask,3\nS1,x,38,no,1.5,none,3\n"
    with pytest.raises(StudyError) as error:
        read_signs(signs_file(tmp_path, text))
    said = str(error.value)
    for part in (
        "did you mean 'ice'",
        "neither yes nor no",
        "write one of none, low_flow",
        "row 3",
        "whole number",
    ):
        assert part in said
    with pytest.raises(StudyError, match="no column 'oxygen'"):
        read_signs(signs_file(tmp_path, "subject,time,temperature,hypotension,vasopressors\nS1,1,38,no,0\n"))
    with pytest.raises(StudyError, match="no such file"):
        read_signs(tmp_path / "none.csv")


def test_recorded_grades_that_differ_are_named(tmp_path):
    study = read_study(SYNTHETIC)
    events = astct_events(astct_grades(read_signs(signs_file(tmp_path)), icans=False))
    found = disagreements(events, study, icans=False).to_dict("records")
    assert "S06" not in {r["subject"] for r in found}  # grade 3 by both
    assert {"subject": "S09", "event": "crs", "recorded": 3, "by_signs": 0} in found
    with pytest.raises(StudyError, match="no such subject"):
        disagreements(events.assign(subject="X1"), study, icans=False)


def test_the_command(tmp_path):
    path = signs_file(tmp_path)
    said = call("astct", path, "--out", tmp_path / "crs.csv")
    assert said.code == 0
    assert "39.1 C, hypotension with 1 vasopressor, oxygen by low_flow" in said.out
    assert (tmp_path / "crs.csv").read_text().splitlines()[0] == "subject,time,event,grade,grading_system"
    answer = call("astct", path, "--json").json()
    assert [e["grade"] for e in answer["events"]] == [3, 1]
    differs = call("astct", path, "--study", SYNTHETIC)
    assert (differs.code, "recorded grades that differ" in differs.out) == (1, True)
    assert call("astct", tmp_path / "none.csv").code == 1
