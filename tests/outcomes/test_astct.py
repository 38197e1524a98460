"""CRS and ICANS by ASTCT 2019: the consensus table as a truth table, a course over time, the command."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from pandas import read_csv

from kinetics.errors import InputError, StudyError
from kinetics.outcomes.astct import FEVER, Signs, crs_course, icans_course, icans_grade
from kinetics.outcomes.signs import astct_events, astct_grades, disagreements, not_compared, read_signs
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
    ({"ice": 10, "posturing": "decorticate"}, 4), ({"ice": 10, "posturing": "decerebrate"}, 4),
    ({"ice": 10, "papilloedema": True}, 4), ({"ice": 10, "sixth_nerve_palsy": True}, 4),
    ({"ice": 10, "cushing_triad": True}, 4),
    ({"capd": 0}, 0), ({"capd": 8}, 1), ({"capd": 9}, 3), ({"capd": "unable"}, 4),  # mdedge.com 192202
    ({"capd": 5, "consciousness": "voice"}, 2), ({"capd": 32}, 3),
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


def test_a_sign_that_was_not_looked_for_gives_bounds_and_says_which():
    def crs(*signs: Signs) -> list[tuple[int, int]]:
        return [(g.at_least, g.at_most) for g in crs_course(signs)]

    unmeasured: dict[str, Any] = {"vasopressors": 2, "oxygen": "ventilation", "treated": True}
    assert crs(Signs(5, None, **unmeasured)) == [(0, 4)]  # 4 if CRS had begun, nothing if not
    assert crs(Signs(1, 39.0), Signs(5, None, **unmeasured)) == [(1, 1), (4, 4)]  # it had begun
    assert crs(Signs(1, None, hypotension=True)) == [(0, 2)]
    assert crs(Signs(1, 39.0, oxygen=None)) == [(1, 4)]
    assert crs(Signs(1, 39.0, hypotension=True, vasopressors=None)) == [(2, 4)]
    assert crs(Signs(1, 39.0, hypotension=None)) == [(1, 2)]
    assert crs(Signs(1, 39.0, vasopressin=None)) == [(1, 3)]
    assert crs(Signs(1, 39.0, treated=None), Signs(2, 37.0, oxygen="low_flow")) == [(1, 1), (0, 2)]
    assert crs(Signs(1, 39.0, treated=True), Signs(2, None, oxygen="low_flow")) == [(1, 1), (2, 2)]
    (unknown,) = crs_course([Signs(1, None, hypotension=True)])
    assert (unknown.grade, unknown.why) == (
        None, "hypotension with no vasopressor; the temperature was not measured; at least 0, at most 2"
    )  # fmt: skip


ICANS_BOUNDS = [
    ({"seizure": "resolved", "consciousness": "tactile"}, (3, 3)),  # a score adds at most 3 to who is roused
    ({"seizure": "resolved", "consciousness": None}, (3, 4)),
    ({}, (0, 3)), ({"consciousness": "unarousable"}, (4, 4)), ({"ice": 0, "consciousness": None}, (3, 4)),
    ({"ice": 10, "seizure": None}, (0, 4)), ({"ice": 5, "oedema": None}, (2, 4)),
    ({"ice": 8, "motor_weakness": None}, (1, 4)), ({"ice": 8, "papilloedema": None}, (1, 4)),
    ({"consciousness": "voice"}, (2, 3)), ({"ice": 10, "consciousness": None}, (0, 4)),
]  # fmt: skip


@pytest.mark.parametrize(("signs", "bounds"), ICANS_BOUNDS)
def test_icans_without_a_sign_has_bounds(signs: dict[str, Any], bounds):
    grade = icans_grade(Signs(3.0, 37.0, **signs))
    assert (grade.at_least, grade.at_most) == bounds
    assert grade.grade == (bounds[0] if bounds[0] == bounds[1] else None)


def test_another_cause_is_read_before_and_after_treatment():
    """strangers.md F5: septic shock 40 days after tocilizumab is no CRS."""
    signs = [
        Signs(2, 39.0, treated=True),
        Signs(5, 36.8),
        Signs(45, 38.9, hypotension=True, vasopressors=1, other_cause=True),
        Signs(60, 36.9, oxygen="low_flow", other_cause=True),
    ]
    assert [g.grade for g in crs_course(signs)] == [1, 0, 0, 0]
    (septic,) = crs_course([Signs(1, 39.0, vasopressors=2, other_cause="crs")])
    assert (septic.grade, septic.why) == (0, "no CRS: another cause of 39 C, hypotension with 2 vasopressors")
    assert crs_course([Signs(1, 39.0, other_cause="icans")])[0].grade == 1


def test_a_sedated_patient_is_not_icans_4_by_consciousness():
    def bounds(**signs: Any) -> tuple[int, int]:
        grade = icans_grade(Signs(3.0, 37.0, **signs))
        return grade.at_least, grade.at_most

    asleep: dict[str, Any] = {"consciousness": "unarousable", "oxygen": "ventilation"}
    assert bounds(**asleep, other_cause=True) == (0, 4)
    assert bounds(**asleep, sedated=True) == (0, 4)
    assert bounds(**asleep, ice=0, sedated=True) == (0, 4)
    assert bounds(**asleep, sedated=True, seizure="resolved") == (3, 4)
    assert bounds(**asleep, other_cause="crs") == (4, 4)
    assert bounds(ice=10, seizure="prolonged", other_cause="icans") == (0, 0)
    assert bounds(ice=7, consciousness="voice", other_cause=True) == (0, 0)
    ventilated = crs_course([Signs(1, 39.0, sedated=True, **asleep)])  # CRS is not explained by sedation
    assert ventilated[0].grade == 4


def test_an_episode_ends_and_the_next_one_needs_fever_again():
    def course(days: float, *signs: Signs) -> list[tuple[int, int]]:
        return [(g.at_least, g.episode) for g in crs_course(signs, resolved_days=days)]

    relapse = [Signs(1, 39.0, treated=True), Signs(3, 36.8), Signs(4, 37.0, oxygen="low_flow")]
    assert course(2.0, *relapse) == [(1, 1), (0, 0), (2, 1)]  # clear for a day only: the same episode
    assert course(1.0, *relapse) == [(1, 1), (0, 0), (0, 0)]
    late = [Signs(1, 39.0, treated=True), Signs(3, 36.8), Signs(30, 37.0, oxygen="low_flow"), Signs(31, 38.4)]
    assert course(2.0, *late) == [(1, 1), (0, 0), (0, 0), (1, 2)]
    assert "was over on day 3, and fever is needed again" in crs_course(late)[2].why
    shock = [Signs(1, 39.0), Signs(2, 37.0, hypotension=True), Signs(9, 38.5)]  # day 2 is not clear
    assert course(2.0, *shock) == [(1, 1), (0, 0), (1, 1)]
    unknown = [Signs(1, 39.0, treated=True), Signs(3, None), Signs(9, 37.0, oxygen="low_flow")]
    assert course(2.0, *unknown) == [(1, 1), (0, 1), (2, 1)]  # fever on day 3 is not excluded
    scores = [Signs(1, 37.0, ice=8), Signs(2, 37.0, ice=10), Signs(9, 37.0, ice=5)]
    assert [g.episode for g in icans_course(scores)] == [1, 0, 2]
    with pytest.raises(InputError, match="above 0"):
        crs_course([Signs(1, 39.0)], resolved_days=0.0)


def test_what_was_there_at_baseline_does_not_count_and_worse_does():
    def crs(oxygen: Any, baseline: Any) -> int | None:
        return crs_course([Signs(1, 39.0, oxygen=oxygen, baseline_oxygen=baseline)])[0].grade

    assert (crs("low_flow", "low_flow"), crs("high_flow", "low_flow"), crs("low_flow", "none")) == (1, 3, 2)
    assert (crs("ventilation", "cpap"), crs("cpap", "cpap")) == (4, 1)
    assert icans_grade(Signs(1, 37.0, ice=8, baseline_ice=8)).grade == 0
    assert icans_grade(Signs(1, 37.0, ice=6, baseline_ice=8)).grade == 2
    assert icans_grade(Signs(1, 37.0, capd=10, baseline_capd=10)).grade == 0
    assert icans_grade(Signs(1, 37.0, capd=11, baseline_capd=10)).grade == 3


def test_signs_before_the_day_of_the_first_infusion_are_none_of_the_cells():
    signs = [Signs(-2, 39.0, treated=True, ice=3), Signs(0, 38.2), Signs(1, 37.0, oxygen="low_flow")]
    assert [g.grade for g in crs_course(signs, first_infusion=0.4)] == [0, 1, 0]
    assert icans_course(signs, first_infusion=0.4)[0].grade == 0


def test_signs_that_cannot_be_are_refused_all_at_once():
    wrong: dict[str, Any] = {"oxygen": "mask", "ice": 11, "vasopressors": -1}
    with pytest.raises(InputError) as error:
        crs_course([Signs(3, 101.0), Signs(2, 37.0, **wrong)])
    assert len(error.value.problems) == 5
    both: dict[str, Any] = {"ice": 3, "capd": 40, "baseline_ice": -1, "posturing": "odd"}
    with pytest.raises(InputError) as error:
        icans_grade(Signs(3, 37.0, **both))
    assert len(error.value.problems) == 4
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
    common = {"subject": "S06", "time": 16.0, "at_least": False, "grading_system": "astct_2019"}
    assert events.to_dict("records") == [
        common | {"event": event, "grade": grade, "at_most": grade, "begins": begins}
        for event, grade, begins in (("crs", 3, 15.0), ("icans", 1, 16.0))
    ]


HEAD = "subject,time,temperature,hypotension,vasopressors,oxygen"
MISSING = f"""{HEAD},treated,ice,consciousness,seizure,sedated
P1,3,37.0,no,0,none,no,,tactile,resolved,no
P2,5,,no,2,ventilation,yes,10,alert,none,no
P3,2,39.0,no,,none,no,,,resolved,no
P4,2,37.0,no,0,none,no,10,alert,none,no
"""


def test_an_unknown_grade_is_in_the_table_of_worst_grades_and_is_never_0(tmp_path):
    events = astct_events(astct_grades(read_signs(signs_file(tmp_path, MISSING))))
    rows = {(r["subject"], r["event"]): r for r in events.to_dict("records")}
    found = {key: (r["grade"], r["at_least"], r["at_most"]) for key, r in rows.items()}
    assert found[("P1", "icans")] == (3.0, False, 3)
    assert (str(found[("P2", "crs")][0]), found[("P2", "crs")][1:]) == ("nan", (True, 4))
    assert found[("P3", "crs")] == (1.0, True, 4)
    assert found[("P3", "icans")] == (3.0, True, 4)
    assert set(found) == {("P1", "icans"), ("P2", "crs"), ("P3", "crs"), ("P3", "icans")}


def test_icans_is_graded_by_any_of_its_columns(tmp_path):
    head = "subject,time,temperature,hypotension,vasopressors,oxygen"
    table = read_signs(signs_file(tmp_path, f"{head},seizure\nS1,1,37,no,0,none,resolved\n"))
    (row,) = astct_grades(table).to_dict("records")
    assert (row["icans_at_least"], row["icans_at_most"]) == (3, 4)  # neither awake nor a score
    assert "motor_weakness" in table.never_there
    without = read_signs(signs_file(tmp_path, f"{head}\nS1,1,37,no,0,none\n"))
    assert "icans" not in astct_grades(without)


def test_a_baseline_is_one_value_of_a_subject(tmp_path):
    head = "subject,time,temperature,hypotension,vasopressors,oxygen,baseline_oxygen"
    rows = "S1,1,39,no,0,low_flow,low_flow\nS1,2,39,no,0,low_flow,\n"
    grades = astct_grades(read_signs(signs_file(tmp_path, f"{head}\n{rows}")))
    assert grades["crs"].tolist() == [1, 1]
    with pytest.raises(StudyError, match="one baseline"):
        read_signs(signs_file(tmp_path, f"{head}\n{rows}S1,3,39,no,0,none,none\n"))


def test_two_rows_of_one_time_and_a_word_in_a_score_are_refused(tmp_path):
    head = "subject,time,temperature,hypotension,vasopressors,oxygen,ice,capd"
    text = f"{head}\nS1,1,39,no,0,none,3,4\nS1,1,37,no,0,none,unable,\nS2,1,37,no,0,none,,unable\n"
    with pytest.raises(StudyError) as error:
        read_signs(signs_file(tmp_path, text))
    assert len(error.value.problems) == 3
    for part in ("a second row of this subject and time", "ICE from 12 years", "not a finite number"):
        assert part in str(error.value)


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


def recorded(tmp_path: Path, text: str, rows: str) -> Any:
    """The signs of a text, and the synthetic study with these rows for its events."""
    study = read_study(SYNTHETIC)
    head = "subject,time,event,grade,grading_system"
    events = read_csv(StringIO(f"{head}\n{rows}"))
    return astct_grades(read_signs(signs_file(tmp_path, text))), replace(study, events=events)


def test_recorded_grades_that_the_signs_do_not_allow_are_named(tmp_path):
    study = read_study(SYNTHETIC)
    grades = astct_grades(read_signs(signs_file(tmp_path)), icans=False)
    assert disagreements(grades, study).to_dict("records") == [  # S06: grade 3 by both
        {"subject": "S02", "event": "crs", "recorded": 1, "by_signs": 0, "at_most": 0}
    ]
    silent = not_compared(grades, study).to_dict("records")
    why = "grade 3 is recorded; the table has no signs of the subject"
    assert {"subject": "S09", "event": "crs", "why": why} in silent  # no signs are not a grade of 0
    with pytest.raises(StudyError, match="no such subject"):
        disagreements(grades.assign(subject="X1"), study)


def test_a_recorded_grade_within_the_bounds_agrees(tmp_path):
    text = MISSING.replace("P1", "S01").replace("P2", "S02").replace("P3", "S03").replace("P4", "S04")
    rows = "S01,3,icans,3,astct_2019\nS02,5,crs,4,astct_2019\nS03,2,icans,2,astct_2019\n"
    rows += "S03,2,crs,5,astct_2019\nS04,2,crs,2,ctcae_v5\n"
    grades, study = recorded(tmp_path, text, rows)
    found = disagreements(grades, study).to_dict("records")
    assert found == [{"subject": "S03", "event": "icans", "recorded": 2, "by_signs": 3, "at_most": 4}]
    silent = not_compared(grades, study)
    assert "recorded without an ASTCT grade: ctcae_v5" in silent["why"].tolist()


def test_the_command(tmp_path):
    path = signs_file(tmp_path)
    said = call("astct", path, "--out", tmp_path / "crs.csv")
    assert said.code == 0
    assert "39.1 C, hypotension with 1 vasopressor, oxygen by low_flow" in said.out
    assert (tmp_path / "crs.csv").read_text().splitlines()[0] == "subject,time,event,grade,grading_system"
    answer = call("astct", path, "--json").json()
    assert [e["grade"] for e in answer["events"]] == [3, 1]
    differs = call("astct", path, "--study", SYNTHETIC)
    assert (differs.code, "recorded grades that the signs do not allow" in differs.out) == (1, True)
    assert "S09   crs grade 3 is recorded" in differs.out
    agrees = call("astct", signs_file(tmp_path, TABLE.replace("S02", "S01").replace(",9", ",10")), "--study",
        SYNTHETIC,
    )  # fmt: skip
    assert (agrees.code, "do not allow\nnone" in agrees.out) == (0, True)
    assert call("astct", tmp_path / "none.csv").code == 1


def test_the_command_says_bounds_and_writes_what_is_proven(tmp_path):
    out = tmp_path / "crs.csv"
    said = call("astct", signs_file(tmp_path, MISSING), "--out", out)
    assert said.code == 0
    for part in (
        "at least 3, at most 4",
        "--resolved-days",
        "not written: P2 crs of day 5",
        "at_least = yes",
    ):
        assert part in said.out
    assert out.read_text().splitlines() == [
        "subject,time,event,grade,grading_system,at_least",
        "P1,3.0,icans,3,astct_2019,no",
        "P3,2.0,crs,1,astct_2019,yes",
        "P3,2.0,icans,3,astct_2019,yes",
    ]
    answer = call("astct", signs_file(tmp_path, MISSING), "--resolved-days", "1", "--json").json()
    assert answer["resolved_days"] == 1.0
    assert "motor_weakness" in answer["never_there"]
    assert [e["grade"] for e in answer["events"]] == [3, None, 1, 3]
