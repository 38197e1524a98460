"""Stopping clauses as data: what they count, what they ask about, and how the safety board lifts them."""

from __future__ import annotations

import pytest

from kinetics.errors import PlanError, StudyError
from kinetics.outcomes import patients_of, stopping_states, uncounted_dlts
from kinetics.protocol import StoppingClause, read_protocol
from tests.support.small_trials import OPEN, changed_protocol, small_study

LOW = 1.5e7
FOUR = dict.fromkeys(("A", "B", "C", "D"), LOW)
NK = [(s, day, "car_nk", 1.4e7) for s in FOUR for day in (0, 1)]
CRS_NK = ("crs", 4, "astct_2019", "car_nk", "yes")
FATAL = ("crs", 5, "astct_2019", "car_t", "no")


@pytest.fixture
def made(tmp_path):
    return lambda levels, **tables: small_study(tmp_path / "trial", levels, **tables)


def clause(tmp_path, **fields):
    """The synthetic protocol with one clause, without a titration."""
    clauses = [{"words": "the clause", **fields}]
    return changed_protocol(tmp_path / "protocol.toml", titration=OPEN, stopping=clauses)


def patients(study, protocol) -> list[str]:
    (state,) = stopping_states(protocol, study)
    return [text.split()[0] for text in state.patients]


# ------------------------------------------------------------------------------- the shipped protocol's own


@pytest.mark.parametrize(("count", "met"), [(1, False), (2, True), (3, True)])
def test_two_dlts_after_car_nk_before_any_car_t_stop_enrolment(made, count, met):
    protocol = read_protocol("nkg2d_phase1_synthetic")
    study = made(FOUR, doses=NK, events=[(s, 3, *CRS_NK) for s in list(FOUR)[:count]])
    state = stopping_states(protocol, study)[0]
    assert (len(state.patients), state.met) == (count, met)
    dlts = uncounted_dlts(study, protocol, patients_of(study, protocol))
    assert [dlt.subject for dlt in dlts] == list(FOUR)[:count]
    assert dlts[0].why == "before any car_t, and there was none"


def test_a_dlt_after_the_first_car_t_is_not_before_it(made):
    protocol = read_protocol("nkg2d_phase1_synthetic")
    doses = [*NK, *((s, day, "car_t", LOW) for s in "AB" for day in (8, 9))]
    events = [("A", 3, *CRS_NK), ("B", 8.2, "crs", 3, "astct_2019", "car_t", "yes")]
    assert stopping_states(protocol, made(FOUR, doses=doses, events=events))[0].patients == (
        "A crs grade 4 (astct_2019) on day 3",
    )


def test_clauses_in_words_are_there_and_not_applied():
    states = stopping_states(read_protocol("nkg2d_phase1_synthetic"))
    assert [state.applied for state in states] == [True, True, False]
    assert "the program does not apply it" in str(states[2])
    (words,) = stopping_states(read_protocol("nkg2d_registry"))
    assert not words.applied


# ------------------------------------------------------------------------------------ what a clause counts


@pytest.mark.parametrize(
    ("fields", "who"),
    [
        ({"event": "crs", "grade": 3, "system": "astct_2019"}, ["A", "B"]),
        ({"event": "crs", "grade": 4, "system": "astct_2019"}, ["B"]),
        ({"event": "any", "grade": 3, "system": "ctcae_v5"}, ["C"]),
        ({"grade": 3, "system": "ctcae_v5", "within_days": 9}, []),
        ({"dlt": True}, ["B"]),
        ({"event": "crs", "attribution": ["car_nk"]}, []),
        ({"event": "crs", "after": "car_nk"}, []),
        ({"event": "infection"}, []),
        ({"event": "infection", "attribution": ["any"]}, ["D"]),
    ],
)
def test_a_clause_counts_the_patients_with_such_an_event(made, tmp_path, fields, who):
    events = [
        ("A", 5, "crs", 3, "astct_2019", "car_t", "no"),
        ("A", 9, "crs", 3, "astct_2019", "car_t", "no"),  # a second event of one patient
        ("B", 5, "crs", 4, "astct_2019", "car_t", "yes"),
        ("C", 10, "rash", 3, "ctcae_v5", "car_t", "no"),
        ("D", 10, "infection", 2, "ctcae_v5", "disease", "no"),
    ]
    kinds = [event for event in events if fields.get("system") in (None, event[4])]
    assert patients(made(FOUR, events=kinds), clause(tmp_path, **fields)) == who


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (("crs", 4, "ctcae_v5", "car_t", "no"), "which is by astct_2019"),
        (("crs", 4, "astct_2019", "", "no"), "its attribution does not say"),
        (("crs", "", "", "car_t", "no"), "it has no grade"),
    ],
)
def test_an_event_that_may_meet_a_clause_is_asked_about(made, tmp_path, event, says):
    protocol = clause(tmp_path, event="crs", grade=3, system="astct_2019")
    with pytest.raises(StudyError, match=says):
        stopping_states(protocol, made(FOUR, events=[("A", 5, *event)]))


def test_the_safety_boards_answer_lifts_a_clause_until_the_next_patient(made, tmp_path):
    resumed = {"patients": 2, "because": "board of 3 March"}
    events = [(s, 5, "crs", 3, "astct_2019", "car_t", "no") for s in FOUR]
    protocol = clause(tmp_path, event="crs", count=2, resumed=resumed)
    for patients_with_crs, met in ((2, False), (3, True)):
        (state,) = stopping_states(protocol, made(FOUR, events=events[:patients_with_crs]))
        assert (state.met, "resumed before: board of 3 March" in str(state)) == (met, True)


def test_everybody_is_looked_at_the_patients_outside_of_the_escalation_too(made, tmp_path):
    protocol = changed_protocol(
        tmp_path / "p.toml",
        titration=OPEN,
        escalation__only={"phase": "IA"},
        stopping=[{"words": "one", "event": "crs"}],
    )
    columns = {"phase": dict.fromkeys(FOUR, "IB")}
    study = made(FOUR, events=[("A", 5, "crs", 3, "astct_2019", "car_t", "no")], columns=columns)
    assert patients(study, protocol) == ["A"]


# ----------------------------------------------------------------------------------- deaths by the treatment


def test_a_death_by_the_treatment_meets_a_clause_or_is_asked_about(made, tmp_path):
    death = ("A", 5, "death", "", "", "car_t", "no")
    for events in ([("A", 5, *FATAL)], [death], [("A", 5, *FATAL), death]):
        assert patients(made(FOUR, events=events), clause(tmp_path, grade=5)) == ["A"]
        silent = changed_protocol(tmp_path / "q.toml", titration=OPEN, stopping=[])
        with pytest.raises(StudyError, match="a death by the treatment, and no stopping clause") as error:
            stopping_states(silent, made(FOUR, events=events))
        assert len(error.value.problems) == 1


def test_a_fatal_event_that_is_attributed_to_nothing_is_asked_about(made, tmp_path):
    events = [("A", 5, "crs", 5, "astct_2019", "", "no")]
    with pytest.raises(StudyError, match="attribution does not say"):
        stopping_states(clause(tmp_path, dlt=True), made(FOUR, events=events))


def test_a_death_of_the_disease_stops_nothing(made, tmp_path):
    events = [("A", 5, "death", "", "", "disease", "no")]
    assert patients(made(FOUR, events=events), clause(tmp_path, grade=5)) == []


# ------------------------------------------------------------------------------------ how a clause is written


def test_a_clause_that_cannot_be_applied_is_refused_by_name():
    for fields, says in (
        ({"count": 2}, "`count` says nothing alone"),
        ({"event": "crs", "grade": 3}, "a grade is of a scale"),
        ({"dlt": True, "count": 0}, "count"),
        ({"dlt": True, "within_days": float("inf")}, "within_days: not a finite number"),
        ({"dlt": True, "within_days": -1}, "within_days"),
        ({"dlt": True, "count": 3, "resumed": {"patients": 2, "because": "x"}}, "stops at 3"),
    ):
        with pytest.raises(PlanError, match=says):
            StoppingClause(words="a clause", **fields)


def test_a_text_is_a_clause_in_words(tmp_path):
    protocol = changed_protocol(
        tmp_path / "p.toml", stopping=["the sponsor may stop", {"words": "w", "dlt": True}]
    )
    assert [c.applied for c in protocol.stopping] == [False, True]
