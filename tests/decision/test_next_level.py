"""`kinetics next` by any rule: cohorts that are not full, open windows, responses, exposures, the decision
tree.
"""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from pandas import DataFrame

from kinetics.decision.next_level import next_dose
from kinetics.decision.outcome_regressions import Target
from kinetics.decision.seen_patients import patients_seen
from kinetics.errors import InputError, PlanError, StudyError
from kinetics.escalation.blrm import Blrm
from kinetics.escalation.boin import Boin, eliminating
from kinetics.escalation.boin12 import Boin12
from kinetics.escalation.crm import Crm
from kinetics.escalation.crmpack import CrmPackThreePlusThree
from kinetics.escalation.history import Cohort, highest_tried, tallies
from kinetics.escalation.joint.patients import Seen
from kinetics.escalation.next_cohorts import transition_table, transitions
from kinetics.escalation.pkboin12 import ModelExposures, PkBoin12
from kinetics.escalation.tite_boin import TiteBoin
from kinetics.escalation.titration import Titration
from kinetics.escalation.whole_cohorts import WholeCohorts, asked_patient_by_patient, cohorts_of
from kinetics.outcomes.by_subject import known_responses
from kinetics.outcomes.dlts import history_of, patients_of
from kinetics.protocol.dose_rule import rule_of
from kinetics.protocol.protocol import read_protocol
from kinetics.protocol.tables import Protocol
from kinetics.study.study import Study, read_study
from tests.support.commands import call

SYNTHETIC = "nkg2d_phase1_synthetic"
ONE, DLT = Cohort(2, 1), Cohort(2, 1, 1)
BELOW = [Cohort(1, 3)]


@pytest.fixture(scope="module")
def protocol() -> Protocol:
    return read_protocol(SYNTHETIC)


@pytest.fixture(scope="module")
def study() -> Study:
    return read_study(SYNTHETIC)


def cut(study: Study, people: int, last_day: float) -> Study:
    """The first subjects; of the last of them only what was recorded up to a day of its own."""
    days = dict.fromkeys(study.subject_ids[: people - 1], 999.0) | {study.subject_ids[people - 1]: last_day}

    def early(table: DataFrame) -> DataFrame:
        return DataFrame(table[table["subject"].map(days).ge(table["time"])].reset_index(drop=True))

    tables = {name: early(getattr(study, name)) for name in ("doses", "observations", "events", "responses")}
    return replace(study, subjects=study.subjects[study.subjects.index.isin(list(days))], **tables)


# --------------------------------------------------------------------------------- cohorts being filled


@pytest.mark.parametrize("rule", [Boin(4, 0.3), TiteBoin(Boin(4, 0.3)), CrmPackThreePlusThree(4), Boin12(4)])
def test_a_cohort_is_filled_before_the_rule_decides(rule):
    asked = WholeCohorts(rule)
    for history, places in (([ONE], 2), ([ONE, ONE], 1), ([Cohort(2, 0, pending=1), DLT], 1)):
        said = asked.decide([*BELOW, *history])
        assert (said.action, said.level, said.size) == ("treat", 2, places)
        assert f"the cohort at level 2 has {3 - places} of 3" in said.why
    whole = asked.decide([*BELOW, ONE, ONE, ONE])
    assert whole == rule.decide([*BELOW, Cohort(2, 3)])


def test_two_dlts_of_two_go_down_whatever_the_third_has():
    # 2 of 3 at best: .667 is above lambda_d = .359
    said = WholeCohorts(Boin(4, 0.3)).decide([*BELOW, DLT, DLT])
    assert (said.action, said.level) == ("treat", 1)
    assert said.why.startswith("even if nobody else of this cohort had a DLT: 2 of 3 with a DLT at level 2")
    assert WholeCohorts(Boin(4, 0.3)).decide([*BELOW, DLT]).size == 2  # 1 of 3 at best: it may still stay


def test_nobody_is_treated_beyond_the_planned_to_fill_a_cohort():
    rule = WholeCohorts(Boin(4, 0.3, most=5))
    assert rule.decide([*BELOW, ONE]).size == 1
    assert rule.decide([*BELOW, ONE, ONE]).action == "stop"
    assert rule.decide([*BELOW, ONE, Cohort(2, 0, pending=1)]).action == "wait"


def test_a_titration_keeps_its_own_cohorts():
    rule = WholeCohorts(Boin(4, 0.3, titration=Titration(levels=2)))
    assert (rule.decide([Cohort(1, 1)]).level, rule.decide([Cohort(1, 1)]).size) == (2, 1)
    assert (rule.decide([Cohort(1, 1), Cohort(2, 1)]).level) == 3
    assert (rule.decide([Cohort(1, 1), DLT]).level, rule.decide([Cohort(1, 1), DLT]).size) == (2, 2)


def test_coherence_looks_at_the_whole_last_cohort_whoever_came_last():
    rule = WholeCohorts(Crm((0.05, 0.1, 0.2, 0.35), 0.3, cohort=3))
    history = [*BELOW, *[ONE] * 6, DLT, ONE, ONE]
    orders = [[*BELOW, *[ONE] * 6, *last] for last in ([DLT, ONE, ONE], [ONE, DLT, ONE], [ONE, ONE, DLT])]
    assert {rule.decide(o).why for o in orders} == {rule.decide(history).why}
    assert "coherence" in rule.decide(history).why
    assert (
        "coherence" not in Crm((0.05, 0.1, 0.2, 0.35), 0.3).decide(history).why
    )  # by the last patient alone


def test_consecutive_patients_at_a_level_are_cohorts_of_three():
    found = cohorts_of([ONE, ONE, DLT, ONE, Cohort(1, 1), ONE], 3)
    assert found == [Cohort(2, 3, 1), Cohort(2, 1), Cohort(1, 1), Cohort(2, 1)]
    assert sum(
        c.followed for c in cohorts_of([Cohort(2, 0, pending=1, followed=0.2)] * 4, 3)
    ) == pytest.approx(0.8)


RULES = {
    "boin": Boin(4, 0.3, most=24),
    "boin, titration": Boin(4, 0.3, most=24, titration=Titration(2)),
    "tite boin": TiteBoin(Boin(4, 0.3, most=24)),
    "tite boin, titration": TiteBoin(Boin(4, 0.3, most=24, titration=Titration(2))),
    "crm": Crm((0.05, 0.1, 0.2, 0.35), 0.25, most=21),
    "blrm": Blrm((1.0, 2.0, 4.0, 8.0), 4.0, (-1.0, 0.0), (1.5, 0.8), points=61),
    "boin12": Boin12(4, most=24),
    "pkboin12": PkBoin12(Boin12(4, most=24), ModelExposures(np.array([[20.0, 60, 105, 210]] * 2)), 100.0),
    "crmpack": CrmPackThreePlusThree(4),
}


@pytest.mark.parametrize("name", RULES)
def test_laws_of_a_trial_whose_patients_come_one_by_one(name):
    """Asked before each patient, windows open a while: no level skipped, none above an open one but by
    TITE, order.
    """
    rule, rng, ends = WholeCohorts(RULES[name]), random.Random(3), set()
    for _ in range(25 if name in ("crm", "blrm") else 60):
        p = sorted(rng.random() * 0.7 for _ in range(4))
        history: list[Cohort] = []
        for _ in range(300):
            said = rule.decide(history)
            assert said.why
            assert said.would_change
            known = tallies(history, 4)
            if said.action == "stop":
                assert not any(t.pending for t in known.values()) or said.mtd == 0
                assert not said.mtd or known[said.mtd].evaluable
                gone = [i for i, t in known.items() if t.dlts >= (eliminating(t.treated, 0.3, 0.95) or 99)]
                if name.startswith(("boin,", "boin", "tite")) and "12" not in name:
                    assert (said.mtd or 0) < min(gone, default=99)
                ends.add(said.mtd)
                break
            if said.action == "treat":
                assert (said.level or 0) <= highest_tried(known) + 1
                if any(t.pending for t in known.values()) and not name.startswith("tite"):
                    assert (said.level or 0) <= highest_tried(known)
                history.append(Cohort(said.level or 0, 0, 0, pending=1, followed=0.0))
                last = next(
                    i
                    for i in range(len(history), 0, -1)
                    if history[i - 1].level != history[-1].level or i == 1
                )
                if len(history) - last < 3 and not said.titrating:  # one cohort, whatever its order
                    mixed = [*history[:last], *rng.sample(history[last:], len(history) - last)]
                    assert rule.decide(mixed) == rule.decide(history)
            history = [later(c, p, rng) for c in history]
        else:
            raise AssertionError(f"{name} did not end")
    assert len(ends) > 1


def later(c: Cohort, p: list[float], rng: random.Random) -> Cohort:
    if not c.pending or rng.random() < 0.4:
        return c
    if rng.random() < p[c.level - 1] / 2:
        return Cohort(c.level, 1, 1)
    longer = c.followed + rng.random()
    return (
        replace(c, followed=longer) if longer < 1 else Cohort(c.level, 1, responses=int(rng.random() < 0.3))
    )


# ----------------------------------------------------------------------------------------- on a study


def test_time_to_event_boin_goes_on_where_boin_waits(protocol, study):
    early = cut(study, 8, 25.0)
    # 5e7: 1 with a DLT, 1 without, 1 followed 10.1 of 28 days (its CAR-T began on day 14): 1 / 2.36 = .424 >
    # .359
    tite = next_dose(protocol, early, rule="tite_boin", target=0.3)
    assert (tite.decision.action, tite.dose) == ("treat", "3e7 cells/kg")
    assert "1 with a DLT in 2.36 effective of 3 treated at level 3" in tite.decision.why
    assert next_dose(protocol, early, rule="boin", target=0.3).decision.action == "wait"
    (waiting,) = [p for p in tite.patients if p.status == "pending"]
    assert waiting.why == "followed 10.1 of 28 days, by last record (observations.csv)"


def test_a_day_of_last_visit_is_followed_and_not_later_records_or_silence(protocol, study):
    early = cut(study, 8, 25.0)
    day = [float("nan")] * 7 + [34.0]
    said = replace(early, subjects=early.subjects.assign(followed_until=day))
    (waiting,) = [p for p in patients_of(said, protocol) if p.status == "pending"]
    assert waiting.why == "followed 20.0 of 28 days, by followed_until"
    assert waiting.followed == pytest.approx(20 / 28, abs=1e-3)
    # 1 / (2 + 20/28) = .368: still down; a whole window would be 1 / 3 = .333: stay
    assert next_dose(protocol, said, rule="tite_boin").decision.level == 2
    until = replace(early, subjects=early.subjects.assign(followed_until=[float("nan")] * 7 + [20.0]))
    with pytest.raises(StudyError, match=r"later than followed_until of subjects.csv"):
        patients_of(until, protocol)
    words = replace(early, subjects=early.subjects.assign(followed_until="day 3"))
    with pytest.raises(StudyError, match="declare it in dictionary"):
        patients_of(words, protocol)


def test_a_response_is_known_once_it_is_seen_or_can_no_longer_come(study):
    known = known_responses(study, within_days=120)
    assert set(known) == set(study.subject_ids)
    ends = {
        s: study.responses.loc[study.responses["subject"] == s, "overall"].tolist() for s in study.subject_ids
    }
    for subject, overall in ends.items():
        if "PR" in overall or "CR" in overall:
            assert known[subject] is not None
        elif "PD" in overall:
            assert known[subject] is False
    for subject, answer in known_responses(study, within_days=9999).items():
        assert answer is (False if "PD" in ends[subject] else None)  # nobody was followed so long
    early = cut(study, 4, 30.0)
    last = early.subject_ids[-1]
    assert known_responses(early, within_days=120)[last] is None  # day 30, no scan yet
    assert known_responses(early, within_days=20)[last] is False  # its 20 days are over
    with pytest.raises(InputError, match="give a number above 0"):
        known_responses(study, within_days=0)


def test_responses_enter_the_history_by_subject(protocol, study):
    patients = patients_of(study, protocol)
    toxic = next(p.subject for p in patients if p.dlt)
    told: dict[str, bool | None] = dict.fromkeys(study.subject_ids, False)
    told |= {toxic: True, "S02": None}
    history = history_of(patients, told)
    assert sum(c.responses for c in history) == sum(c.dlts_with_response for c in history) == 1
    assert sum(c.response_pending for c in history) == 1
    assert all(c.responses == 0 for c in history_of(patients))
    assert rule_of(protocol, "boin12").decide(history).action == "wait"


def test_boin12_waits_for_responses_that_may_still_come(protocol, study):
    assert next_dose(protocol, study, rule="boin12").decision.action == "wait"  # 365 days, the protocol's
    soon = next_dose(protocol, study, rule="boin12", response_within=120)
    assert (soon.decision.action, soon.responded is not None) == ("treat", True)
    endpoints = {k: v for k, v in protocol.endpoints.items() if k != "response"}
    silent = protocol.model_copy(update={"endpoints": endpoints})
    with pytest.raises(PlanError, match="--response-within"):
        next_dose(silent, study, rule="boin12")


def test_pkboin12_drops_a_level_whose_measured_exposure_is_too_low(protocol, study):
    ask = {"rule": "pkboin12", "response_within": 120}
    little = next_dose(protocol, study, exposure=Target("car_copies_auc_28d", 1e9), **ask)
    assert "drops" in little.decision.why or "no level is admissible" in little.decision.why
    ample = next_dose(protocol, study, exposure=Target("car_copies_auc_28d", 1.0), **ask)
    assert (
        ample.decision.level == next_dose(protocol, study, rule="boin12", response_within=120).decision.level
    )
    assert "car_copies_auc_28d: NCA of the patients' samples" in ample.assumed[-1]
    with pytest.raises(PlanError, match="add --exposure"):
        next_dose(protocol, study, **ask)
    with pytest.raises(InputError, match="did you mean"):
        next_dose(protocol, study, exposure=Target("car_copies_auc", 1.0), **ask)


# ------------------------------------------------------------------------------------- decision trees


def test_open_windows_are_the_first_step_of_a_tree():
    rule = asked_patient_by_patient(Boin(4, 0.3))
    tree = transitions(rule, [*BELOW, ONE, DLT, Cohort(2, 0, pending=1)], depth=2)
    assert [b.said for b in tree] == [
        "0 of 1 pending have a DLT at level 2",
        "1 of 1 pending have a DLT at level 2",
    ]
    assert [(b.decision.level, b.cohort) for b in tree] == [
        (2, None),
        (1, None),
    ]  # 1 of 3 stays, 2 of 3 goes down
    assert len(tree[0].later) == 4
    table = transition_table(rule, [*BELOW, Cohort(2, 2, pending=1)], depth=1)
    assert table["path"].tolist() == [f"ended: {y} of 1 pending have a DLT at level 2" for y in (0, 1)]


def test_a_tree_of_a_rule_that_looks_at_responses_has_both():
    tree = transitions(Boin12(3), depth=1)
    assert len(tree) == 20  # of 3 patients four kinds: 3 + 3 over 3
    assert {(b.cohort.dlts, b.cohort.responses, b.cohort.dlts_with_response) for b in tree if b.cohort} == {
        (y, r, b) for y in range(4) for r in range(4) for b in range(4) if b <= min(y, r) and y + r - b <= 3
    }
    late = transitions(Boin12(3), [Cohort(1, 3, response_pending=2)], depth=1)
    assert [b.said for b in late] == [f"{r} of 2 awaited respond at level 1" for r in range(3)]


def test_a_tree_of_the_joint_rule_awaits_the_responses_of_imagined_patients(protocol, study):
    """Earlier they did not respond, and an awaited response of a real patient gave a branch without words."""
    found = next_dose(protocol, study, rule="joint", ahead=1)
    level = found.decision.level
    assert [b.said for b in found.ahead] == [f"{dlts} of 3 at level {level} have a DLT" for dlts in range(4)]
    plateau = read_study("nkg2d_plateau_synthetic")
    answer = next_dose(protocol, plateau, rule="joint", ahead=1)
    rule = rule_of(protocol, "joint")
    seen = list(patients_seen(plateau, protocol).values())
    after = rule.decide_on([*seen, *[Seen(answer.decision.level, dlt=False)] * 3])
    assert answer.ahead[0].decision == after.decision


def test_every_branch_is_what_the_rule_says_then(protocol):
    found = next_dose(protocol, ahead=2)
    assert found.dose == "1.5e7 cells/kg"
    for first in found.ahead:
        for second in first.later:
            history = [c for c in (first.cohort, second.cohort) if c]
            assert second.decision == rule_of(protocol).decide(history)


def test_the_command_prints_the_rule_the_follow_up_and_the_tree():
    said = call(
        "next",
        SYNTHETIC,
        "--study",
        SYNTHETIC,
        "--rule",
        "boin12",
        "--response-within",
        "120",
        "--ahead",
        "1",
    )
    assert (said.code, said.err) == (0, "")
    for text in (
        "treat 3 at",
        "rule: boin12",
        "protocol: utilities",
        "responded",
        "decision tree",
        "- 0 of 3 at level",
    ):
        assert text in said.out
    answer = call("next", SYNTHETIC, "--rule", "tite_boin", "--ahead", "1", "--json").json()
    assert (answer["decision"]["level"], answer["patients"]) == (1, [])
    assert next(b["said"] for b in answer["ahead"]) == "0 of 1 at level 1 have a DLT, none a trigger"
    for options, says in (
        (["--rule", "pkboin12"], "add --exposure"),
        (["--rule", "boin", "--exposure", "a=1"], "boin looks at no exposures"),
        (["--rule", "pkboin12", "--exposure", "a"], "--exposure 'a'"),
        (["--rule", "boin", "--run", "runs/x"], "leave --run out"),
        (["--rule", "boinn"], "did you mean 'boin'"),
    ):
        wrong = call("next", SYNTHETIC, *options)
        assert (wrong.code, says in wrong.err) == (1, True), options


def test_backfill_names_the_lower_levels_that_may_take_patients(protocol, study):
    early = cut(study, 8, 25.0)
    assert next_dose(protocol, early, rule="tite_boin").backfill == []
    found = next_dose(protocol, early, rule="tite_boin", backfill=True, response_within=120)
    assert [x.level for x in found.backfill] == [1]  # the escalation is at level 2 now
    assert found.backfill[0].room == 0
    assert "no response" in found.backfill[0].why
    said = call("next", SYNTHETIC, "--study", SYNTHETIC, "--rule", "boin", "--backfill")
    assert "backfill at 3e7 cells/kg: nobody; no response in 6 yet" in said.out
