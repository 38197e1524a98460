"""Who counts in a dose escalation: who left early, another dose than the level's, phase IB, days, triggers.

The right answers are those of a reader of the protocol, patient by patient.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from kinetics.errors import PlanError, StudyError
from kinetics.escalation.history import tallies
from kinetics.outcomes import dlt_table, history_of, patients_of, worst_crs
from kinetics.protocol import lint, rule_of
from tests.support.small_trials import OPEN, changed_protocol, small_study

LOW = 1.5e7
MIDDLE = 3e7
HIGH = 5e7
THREE = dict.fromkeys(("A", "B", "C"), LOW)
CRS = ("crs", 3, "astct_2019", "car_t", "yes")


@pytest.fixture(scope="module")
def protocol(tmp_path_factory):
    """3+3 without a titration."""
    return changed_protocol(tmp_path_factory.mktemp("p") / "protocol.toml", titration=OPEN)


@pytest.fixture
def made(tmp_path):
    """A small trial: `small_study` in a folder of this test."""
    return lambda levels, **tables: small_study(tmp_path / "trial", levels, **tables)


def status(study, protocol) -> dict[str, str]:
    return {p.subject: p.status for p in patients_of(study, protocol)}


def decided(study, protocol):
    return rule_of(protocol).decide(history_of(patients_of(study, protocol)))


# ----------------------------------------------------------------------------------- who leaves early


@pytest.mark.parametrize("event", ["death", "withdrawal", "lost_to_follow_up", "new_anticancer_therapy"])
def test_who_leaves_in_the_window_without_a_dlt_is_not_evaluable_and_replaced(made, protocol, event):
    study = made(
        THREE, events=[("C", 10, event, "", "", "disease", "no")], columns={"followed_until": {"C": 10}}
    )
    assert status(study, protocol) == {"A": "evaluable", "B": "evaluable", "C": "not_evaluable"}
    decision = decided(study, protocol)
    assert (decision.action, decision.level, decision.size) == ("treat", 1, 1)


def test_a_column_says_who_left_and_a_data_cutoff_is_something_else(made, protocol):
    left = made(THREE, columns={"off_study_on": {"C": 10}, "followed_until": {"C": ""}})
    assert status(left, protocol)["C"] == "not_evaluable"
    cut = made(THREE, columns={"followed_until": {"C": 10}})
    assert status(cut, protocol)["C"] == "pending"
    assert decided(cut, protocol).action == "wait"


def test_who_leaves_after_the_window_or_after_a_dlt_counts(made, protocol):
    events = [
        ("A", 40, "death", "", "", "disease", "no"),
        ("B", 5, *CRS),
        ("B", 9, "withdrawal", "", "", "", ""),
    ]
    patients = patients_of(made(THREE, events=events), protocol)
    assert [(p.status, p.dlt) for p in patients] == [
        ("evaluable", False),
        ("evaluable", True),
        ("evaluable", False),
    ]


def test_a_second_infusion_that_was_missed_is_known_once_the_patient_has_left(made, protocol):
    doses = [(s, 0, "car_t", LOW) for s in THREE] + [(s, 1, "car_t", LOW) for s in "AB"]
    study = made(THREE, doses=doses, events=[("C", 20, "death", "", "", "disease", "no")], followed=20)
    assert status(study, protocol)["C"] == "not_evaluable"


def test_an_infusion_of_the_second_cycle_does_not_stand_for_one_of_the_first(made, protocol):
    doses = [(s, day, "car_t", LOW) for s in "AB" for day in (0, 1)] + [
        ("C", day, "car_t", LOW) for day in (0, 14)
    ]
    two_bags = [("A", 0, "car_t", LOW / 2), ("A", 0.1, "car_t", LOW / 2)]
    assert status(made(THREE, doses=doses), protocol)["C"] == "not_evaluable"
    study = made({"A": LOW}, doses=two_bags)
    assert status(study, protocol) == {"A": "not_evaluable"}  # two bags of one day are one infusion


@pytest.mark.parametrize(
    ("value", "stays", "leaves"),
    [
        ("not_evaluable", "not_evaluable", "not_evaluable"),
        ("if_followed", "evaluable", "not_evaluable"),
        ("evaluable", "evaluable", "evaluable"),
    ],
)
def test_early_progression_is_a_point_of_its_own(made, tmp_path, value, stays, leaves):
    protocol = changed_protocol(tmp_path / "p.toml", titration=OPEN, evaluable__progression=value)
    responses = [("A", 20, "PD"), ("B", 20, "PD")]
    events = [("B", 22, "new_anticancer_therapy", "", "", "disease", "no")]
    followed = {"B": 22}
    study = made(THREE, responses=responses, events=events, columns={"followed_until": followed})
    assert status(study, protocol) == {"A": stays, "B": leaves, "C": "evaluable"}


def test_the_point_of_progression_is_asked_for_where_a_patient_depends_on_it(made, tmp_path):
    protocol = changed_protocol(tmp_path / "p.toml", titration=OPEN, evaluable__progression=OPEN)
    assert [point.field for point in lint(protocol).open] == ["evaluable.progression"]
    assert status(made(THREE), protocol)["A"] == "evaluable"
    with pytest.raises(StudyError, match=r"evaluable\.progression"):
        patients_of(made(THREE, responses=[("A", 20, "PD")]), protocol)


@pytest.mark.parametrize(
    "name", ["Death", "died", "Withdrawal by Subject", "lost to follow-up", "new therapy", "PD"]
)
def test_an_end_in_other_words_is_asked_about(made, protocol, name):
    with pytest.raises(StudyError, match="is not read as one of them; write '"):
        patients_of(made(THREE, events=[("C", 10, name, "", "", "disease", "no")]), protocol)


def test_a_column_in_other_words_is_asked_about(made, protocol):
    for column in ("withdrawn_on", "EOSDY", "data_cutoff"):
        study = made(THREE, columns={column: {"C": 10}})
        study = replace(study, subjects=study.subjects.drop(columns="followed_until"))
        with pytest.raises(StudyError, match=f"column {column}: the column is not read; rename it to"):
            patients_of(study, protocol)


# ------------------------------------------------------------------------------------ what a day is


def test_one_definition_of_a_day_holds_for_window_and_follow_up(made, protocol):
    follow_up = {"A": 28.4, "B": 27.5, "C": 27.4}
    study = made(THREE, events=[("A", 28.4, *CRS)], columns={"followed_until": follow_up})
    patients = patients_of(study, protocol)
    assert [(p.status, p.dlt) for p in patients] == [
        ("evaluable", True),
        ("evaluable", False),
        ("pending", False),
    ]
    study = made(THREE, events=[("A", 28.6, *CRS)])
    assert not patients_of(study, protocol)[0].dlt


def test_a_dlt_on_the_whole_day_of_a_jittered_infusion_is_not_before_it(made, protocol):
    doses = [(s, day, "car_t", LOW) for s in THREE for day in (0.3, 1.3)]
    assert patients_of(made(THREE, doses=doses, events=[("A", 0, *CRS)]), protocol)[0].dlt


# ------------------------------------------------------------------------------ another dose than the level's


def overdosed(made, dlt: bool):
    doses = [(s, day, "car_t", HIGH if s == "C" else LOW) for s in THREE for day in (0, 1)]
    return made(THREE, doses=doses, events=[("C", 5, *CRS)] if dlt else [])


@pytest.mark.parametrize(
    ("value", "dlt", "expected"),
    [
        ("as_assigned", True, {1: (3, 1), 3: (0, 0)}),
        ("as_assigned", False, {1: (3, 0), 3: (0, 0)}),
        ("as_treated", True, {1: (2, 0), 3: (1, 1)}),
        ("as_treated", False, {1: (2, 0), 3: (1, 0)}),
        ("not_evaluable", True, {1: (3, 1), 3: (0, 0)}),
        ("not_evaluable", False, {1: (2, 0), 3: (0, 0)}),
    ],
)
def test_a_dose_outside_of_the_tolerance_counts_as_the_protocol_says(made, tmp_path, value, dlt, expected):
    protocol = changed_protocol(tmp_path / "p.toml", titration=OPEN, evaluable__other_dose=value)
    patients = patients_of(overdosed(made, dlt), protocol)
    counts = tallies(history_of(patients), 4)
    assert {level: (counts[level].evaluable, counts[level].dlts) for level in expected} == expected
    assert "received 5e7 cells/kg on day 0, assigned 1.5e7 (+233 %)" in patients[2].other_dose


def test_a_dose_outside_of_the_tolerance_is_asked_about_where_the_protocol_is_silent(made, tmp_path):
    silent = changed_protocol(
        tmp_path / "p.toml", titration=OPEN, evaluable__other_dose=OPEN, evaluable__dose_tolerance=OPEN
    )
    with pytest.raises(StudyError, match=r"subject C: received 5e7 .*`evaluable.dose_tolerance`"):
        patients_of(overdosed(made, dlt=True), silent)
    assert status(made(THREE), silent) == dict.fromkeys(THREE, "evaluable")


@pytest.mark.parametrize(
    ("share", "other"), [(0.8, False), (1.2, False), (0.79, True), (1.21, True), (0.33, True)]
)
def test_the_tolerance_holds_both_ways_and_includes_its_ends(made, protocol, share, other):
    doses = [("A", day, "car_t", share * LOW) for day in (0, 1)]
    (patient,) = patients_of(made({"A": LOW}, doses=doses), protocol)
    assert (patient.other_dose != "", patient.status == "not_evaluable") == (other, other)


@pytest.mark.parametrize(("per", "share"), [("administration", 1), ("cycle", 0.5), ("total", 0.25)])
def test_the_dose_compared_is_what_a_level_counts(made, tmp_path, per, share):
    protocol = changed_protocol(
        tmp_path / "p.toml", titration=OPEN, dosing__car_t__per=per, evaluable__requires="any_infusion"
    )
    doses = [("A", day, "car_t", share * LOW) for day in (0, 1, 14, 15)]
    (patient,) = patients_of(made({"A": LOW}, doses=doses), protocol)
    assert patient.other_dose == ""
    (double,) = patients_of(made({"A": LOW}, doses=[(*d[:3], 2 * d[3]) for d in doses]), protocol)
    assert "(+100 %)" in double.other_dose


def test_a_dose_at_no_level_with_a_dlt_is_asked_about_as_treated(made, tmp_path):
    protocol = changed_protocol(tmp_path / "p.toml", titration=OPEN, evaluable__other_dose="as_treated")
    doses = [("A", day, "car_t", 1e6) for day in (0, 1)]
    assert patients_of(made({"A": LOW}, doses=doses), protocol)[0].status == "not_evaluable"
    with pytest.raises(StudyError, match="as treated, it is at no level"):
        patients_of(made({"A": LOW}, doses=doses, events=[("A", 5, *CRS)]), protocol)


# ---------------------------------------------------------------------------------- phase IB and backfill

MANY = {**THREE, **dict.fromkeys((f"M{i:02d}" for i in range(1, 13)), MIDDLE)}
TWO_DLTS = [("M01", 5, *CRS), ("M09", 5, *CRS)]
PHASE = {s: "IB" if s > "M06" else "IA" for s in MANY}


def test_patients_of_phase_ib_do_not_count_where_the_protocol_says_so(made, tmp_path):
    protocol = changed_protocol(tmp_path / "p.toml", titration=OPEN, escalation__only={"phase": "IA"})
    study = made(MANY, events=TWO_DLTS, columns={"phase": PHASE})
    decision = decided(study, protocol)
    assert (decision.action, decision.level) == ("treat", 3)
    assert "1 of 6 evaluable with a DLT at level 2" in decision.why
    table = dlt_table(study, protocol).set_index("level")
    assert table.loc[2, ["subjects", "dlts", "outside"]].tolist() == [6, 1, 6]
    both = changed_protocol(tmp_path / "q.toml", titration=OPEN, escalation__only={"phase": ["IA", "IB"]})
    assert "2 of 12" in decided(study, both).why
    parts = changed_protocol(tmp_path / "r.toml", titration=OPEN, escalation__only={"part": 1})
    numbered = made(MANY, events=TWO_DLTS, columns={"part": {s: 2 if s > "M06" else 1 for s in MANY}})
    assert "1 of 6" in decided(numbered, parts).why


def test_the_population_of_the_expansion_is_a_point_where_the_protocol_names_it(made, tmp_path):
    named = {"titration": OPEN, "expansion__only": {"phase": "IB"}}
    silent = changed_protocol(tmp_path / "p.toml", **named)
    assert [p.field for p in lint(silent).open] == ["escalation.expansion"]
    study = made(MANY, events=TWO_DLTS, columns={"phase": PHASE})
    with pytest.raises(StudyError, match="patients of \\[expansion\\], and it is open whether"):
        patients_of(study, silent)
    for value, words in (("not_counted", "1 of 6"), ("counted", "2 of 12")):
        point = {"value": value, "because": "a test"}
        protocol = changed_protocol(tmp_path / f"{value}.toml", **named, escalation__expansion=point)
        assert words in decided(study, protocol).why


def test_a_column_that_says_who_is_of_another_part_is_not_passed_over(made, protocol):
    for column, cells in (
        ("phase", PHASE),
        ("cohort", {s: "expansion" if s > "M06" else "dose 2" for s in MANY}),
    ):
        with pytest.raises(StudyError, match="the protocol does not say whom the escalation counts"):
            patients_of(made(MANY, columns={column: cells}), protocol)


def test_backfill_patients_are_in_or_out_by_a_point(made, tmp_path, protocol):
    study = made(MANY, events=TWO_DLTS, columns={"backfill": {s: "yes" if s > "M06" else "no" for s in MANY}})
    with pytest.raises(StudyError, match=r"`escalation\.backfill` is open"):
        patients_of(study, protocol)
    for value, words in (("not_counted", "1 of 6"), ("counted", "2 of 12")):
        point = {"value": value, "because": "a test"}
        settled = changed_protocol(tmp_path / f"{value}.toml", titration=OPEN, escalation__backfill=point)
        assert words in decided(study, settled).why
    odd = made(MANY, columns={"backfill": dict.fromkeys(MANY, "Y")})
    with pytest.raises(StudyError, match="not yes or no"):
        patients_of(odd, protocol)


def test_a_phase_ib_dose_that_is_no_level_is_no_mistake(made, tmp_path):
    protocol = changed_protocol(tmp_path / "p.toml", titration=OPEN, escalation__only={"phase": "IA"})
    study = made({**THREE, "X": 4e7}, columns={"phase": {**dict.fromkeys(THREE, "IA"), "X": "IB"}})
    assert decided(study, protocol).level == 2
    assert patients_of(study, protocol)[3].level == 0


# ----------------------------------------------------------------------------------------- triggers

TITRATED = {"A": LOW, "B": MIDDLE}


@pytest.fixture(scope="module")
def titrated(tmp_path_factory):
    return changed_protocol(tmp_path_factory.mktemp("p") / "protocol.toml", titration__levels=3)


@pytest.mark.parametrize(("day", "trigger"), [(5, True), (28.4, True), (28.6, False), (150, False)])
def test_a_trigger_counts_in_its_window(made, titrated, day, trigger):
    study = made(TITRATED, events=[("A", day, "rash", 2, "ctcae_v5", "car_t", "no")], followed=160)
    assert patients_of(study, titrated)[0].trigger == trigger
    assert decided(study, titrated).size == (2 if trigger else 1)


def test_a_trigger_without_a_window_is_a_point_that_lint_names(made, tmp_path):
    silent = changed_protocol(tmp_path / "p.toml", titration__levels=3, titration__window_days=OPEN)
    assert [p.field for p in lint(silent).open] == ["titration.window_days"]
    with pytest.raises(PlanError, match=r"titration\.window_days"):
        rule_of(silent)
    endless = changed_protocol(tmp_path / "q.toml", titration__levels=3, titration__window_days="none")
    study = made(TITRATED, events=[("A", 150, "rash", 2, "ctcae_v5", "car_t", "no")], followed=160)
    assert patients_of(study, endless)[0].trigger


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (("rash", 3, "ctcae_v4", "car_t"), "the triggers are graded by ctcae_v5"),
        (("icans", 2, "astct_2019", "car_t"), "the triggers are graded by ctcae_v5"),
        (("rash", 3, "ctcae_v5", ""), "attributed to nothing"),
        (("rash", 3, "ctcae_v5", "related"), "the attribution 'related' is not understood"),
        (("rash", "", "", "car_t"), "it has no grade"),
    ],
)
def test_an_event_that_cannot_be_read_is_asked_about_and_is_no_silent_no(made, titrated, event, says):
    study = made(TITRATED, events=[("A", 5, *event, "no")])
    with pytest.raises(StudyError, match=says):
        patients_of(study, titrated)
    above = made({"A": LOW, "B": 7e7}, events=[("B", 5, *event, "no")])
    patients_of(above, titrated)  # at a level without titration it decides nothing


@pytest.mark.parametrize(
    "event",
    [
        ("rash", 1, "ctcae_v4", "car_t"),
        ("rash", 3, "ctcae_v4", "disease"),
        ("neutrophil_count_decreased", 4, "ctcae_v5", "lymphodepletion"),
        ("crs", 1, "astct_2019", ""),
    ],
)
def test_an_event_that_is_no_trigger_however_it_is_read_is_not_asked_about(made, titrated, event):
    study = made(TITRATED, events=[("A", 5, *event, "no")])
    assert not patients_of(study, titrated)[0].trigger


@pytest.mark.parametrize("name", ["CRS", "Cytokine release syndrome", "Crs"])
def test_an_event_is_the_triggers_however_it_is_written(made, titrated, name):
    study = made(TITRATED, events=[("A", 5, name, 2, "astct_2019", "CAR-T", "no")])
    assert patients_of(study, titrated)[0].trigger
    assert worst_crs(study, titrated) == {"A": 2.0}


def test_a_crs_of_another_scale_is_no_grade_0(made, titrated):
    for event in (("crs", 3, "ctcae_v5"), ("crs", "", "")):
        with pytest.raises(StudyError, match="astct_2019"):
            worst_crs(made(TITRATED, events=[("A", 5, *event, "car_t", "no")]), titrated)


def test_an_attribution_may_name_several(made, titrated):
    study = made(TITRATED, events=[("A", 5, "rash", 2, "ctcae_v5", "disease; car_t", "no")])
    assert patients_of(study, titrated)[0].trigger


# ------------------------------------------------------------------------------------------- DLTs


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (("crs", 3, "astct_2019", "car_t", "Y"), "dlt is 'Y', neither yes nor no"),
        (("crs", 3, "astct_2019", "car_t", ""), "dlt is empty"),
        (("crs", 3, "astct_2019", "", "yes"), "a DLT that is attributed to nothing"),
        (("crs", 3, "astct_2019", "disease", "yes"), "attributed to disease, which is no treatment"),
        (("rash", 3, "ctcae_v4", "car_t", "yes"), "no endpoint of the protocol is graded by ctcae_v4"),
    ],
)
def test_a_dlt_that_cannot_be_read_is_asked_about(made, protocol, event, says):
    with pytest.raises(StudyError, match=says):
        patients_of(made(THREE, events=[("A", 5, *event)]), protocol)


# -------------------------------------------------------------------------------------- zero counts


@pytest.mark.parametrize(("events", "responses"), [(None, None), ((), ()), (None, ()), ((), None)])
def test_no_event_and_no_response_are_none_and_no_refusal(made, protocol, events, responses):
    study = made(THREE, events=events, responses=responses)
    decision = decided(study, protocol)
    assert (decision.action, decision.level) == ("treat", 2)


def test_an_event_still_needs_its_columns(made, protocol):
    study = made(THREE, events=[("A", 5, *CRS)])
    with pytest.raises(StudyError, match="no column 'dlt'"):
        patients_of(replace(study, events=study.events.drop(columns="dlt")), protocol)


# ----------------------------------------------------------------------- who left, in other words and places


@pytest.mark.parametrize("followed", [10, 60])
def test_a_death_that_is_only_a_grade_5_is_a_death_on_that_day(made, protocol, followed):
    sepsis = ("C", 10, "sepsis", 5, "ctcae_v5", "other", "no")
    study = made(THREE, events=[sepsis], columns={"followed_until": {"C": followed}})
    assert status(study, protocol)["C"] == "not_evaluable"
    decision = decided(study, protocol)
    assert (decision.action, decision.level, decision.size) == ("treat", 1, 1)
    later = made(THREE, events=[sepsis, ("C", 40, "death", "", "", "other", "no")])
    assert status(later, protocol)["C"] == "evaluable"
    after = made(THREE, events=[("C", 40, "sepsis", 5, "ctcae_v5", "other", "no")])
    assert status(after, protocol)["C"] == "evaluable"


@pytest.mark.parametrize("name", ["dropout", "fatal", "physician decision", "loss to follow-up"])
def test_an_end_in_further_words_is_asked_about(made, protocol, name):
    with pytest.raises(StudyError, match="is not read as one of them; write '"):
        patients_of(made(THREE, events=[("C", 10, name, "", "", "disease", "no")]), protocol)


@pytest.mark.parametrize("name", ["allogeneic_transplant", "salvage chemotherapy", "hospice"])
def test_an_ungraded_event_that_may_be_an_end_is_asked_about(made, protocol, name):
    with pytest.raises(StudyError, match=f"'{name}' has no grade, and may be the end"):
        patients_of(made(THREE, events=[("C", 10, name, "", "", "disease", "no")]), protocol)
    before = made(THREE, events=[("C", -10, name, "", "", "disease", "no")])
    assert status(before, protocol)["C"] == "evaluable"
    graded = made(THREE, events=[("C", 10, name, 2, "ctcae_v5", "disease", "no")])
    assert status(graded, protocol)["C"] == "evaluable"


@pytest.mark.parametrize(
    ("column", "cell", "words"),
    [
        ("death_on", 10, "it speaks of a death, and events.csv has none"),
        ("DTHDY", 10, "it speaks of a death, and events.csv has none"),
        ("status", "withdrawn", "it may say that the subject left"),
        ("EOSSTT", "DISCONTINUED", "it may say that the subject left"),
        ("dropout", "yes", "it may say that the subject left"),
        ("evaluable", "no", "write `no` in a column 'dlt_evaluable'"),
        ("not_evaluable", "Y", "write `no` in a column 'dlt_evaluable'"),
        ("dlt_evaluable", "perhaps", "neither yes nor no"),
    ],
)
def test_a_column_that_says_who_died_left_or_counts_is_not_passed_over(made, protocol, column, cell, words):
    with pytest.raises(StudyError) as caught:
        patients_of(made(THREE, columns={column: {"C": cell}}), protocol)
    (problem,) = caught.value.problems
    assert (problem.subject, problem.column) == ("C", column)
    assert words in f"{problem.what}; {problem.remedy}"


def test_a_column_of_status_says_nothing_of_those_who_go_on_or_whose_day_is_known(made, protocol):
    columns = {"status": {"A": "ongoing", "B": "relapsed"}, "eosstt": {"A": "ONGOING", "B": "COMPLETED"}}
    assert status(made(THREE, columns=columns), protocol) == dict.fromkeys(THREE, "evaluable")
    left = {"status": {"C": "withdrawn"}, "off_study_on": {"C": 10}, "evaluable": {"A": "yes", "B": "yes"}}
    assert status(made(THREE, columns=left), protocol)["C"] == "not_evaluable"


def test_a_subject_is_taken_out_by_the_column_of_evaluability(made, protocol):
    study = made(THREE, columns={"dlt_evaluable": {"A": "yes", "C": "no"}})
    assert status(study, protocol) == {"A": "evaluable", "B": "evaluable", "C": "not_evaluable"}
    decision = decided(study, protocol)
    assert (decision.action, decision.level, decision.size) == ("treat", 1, 1)


def test_the_column_of_evaluability_does_not_contradict_the_tables(made, protocol):
    with_dlt = made(THREE, events=[("C", 5, *CRS)], columns={"dlt_evaluable": {"C": "no"}})
    with pytest.raises(StudyError, match=r"subject C, column dlt_evaluable: it says no, .*a DLT counts"):
        patients_of(with_dlt, protocol)
    gone = made(
        THREE, events=[("C", 10, "withdrawal", "", "", "", "")], columns={"dlt_evaluable": {"C": "yes"}}
    )
    with pytest.raises(StudyError, match=r"column dlt_evaluable: it says yes, .*left on day 10"):
        patients_of(gone, protocol)
