"""A protocol as data: the registry's open points, the synthetic trial that settles them, and its history."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from kinetics.errors import PlanError, StudyError
from kinetics.escalation.blrm import Blrm
from kinetics.escalation.boin import Boin
from kinetics.escalation.boin12 import Boin12, Utilities
from kinetics.escalation.crm import Crm, indifference_skeleton
from kinetics.escalation.crmpack import CrmPackThreePlusThree
from kinetics.escalation.history import Cohort
from kinetics.escalation.i3_plus_3 import I3Plus3
from kinetics.escalation.joint.rule import Joint
from kinetics.escalation.keyboard import Keyboard
from kinetics.escalation.mtpi2 import Mtpi2
from kinetics.escalation.pkboin12 import PkBoin12, RawExposures
from kinetics.escalation.three_plus_three import ThreePlusThree
from kinetics.escalation.tite_boin import TiteBoin
from kinetics.escalation.tite_pkboin12 import TitePkBoin12
from kinetics.outcomes.dlts import history_of, patients_of, replayed
from kinetics.protocol.dose_rule import MODERN, RULES, assumed, rule_of
from kinetics.protocol.points import POINTS
from kinetics.protocol.protocol import lint, read_protocol, settled
from kinetics.protocol.statements import Point
from kinetics.protocol.tables import Protocol
from kinetics.study.study import Study, read_study

REGISTRY, SYNTHETIC = "nkg2d_registry", "nkg2d_phase1_synthetic"


@pytest.fixture(scope="module")
def protocol() -> Protocol:
    return read_protocol(SYNTHETIC)


@pytest.fixture(scope="module")
def study() -> Study:
    return read_study(SYNTHETIC)


@pytest.fixture
def changed(tmp_path: Path, root: Path) -> Callable[..., Path]:
    """The synthetic trial's protocol.toml with dotted fields set, or taken out where the value is None."""

    def write(fields: dict[str, Any]) -> Path:
        content = tomllib.loads((root / "data" / SYNTHETIC / "protocol.toml").read_text(encoding="utf-8"))
        for field, value in fields.items():
            *tables, key = field.split(".")
            table = content
            for name in tables:
                table = table.setdefault(name, {})
            if value is None:
                table.pop(key)
            else:
                table[key] = value
        path = tmp_path / "protocol.toml"
        path.write_text(tomli_w.dumps(content), encoding="utf-8")
        return path

    return write


# ----------------------------------------------------------------------------------------- the points


def test_all_points_of_the_registry_are_found_open_and_only_its_own_numbers_are_settled():
    found = lint(read_protocol(REGISTRY))
    assert not found.ok
    assert found.as_dict()["open_points"] == [*range(1, POINTS + 1)]
    settled_fields = {p.field for p in found.settled}
    assert settled_fields == {
        "titration.levels", "titration.size", "titration.triggers_needed", "escalation.cohort",
        "mtd.evaluable", "mtd.dlts",
    }  # fmt: skip
    assert all("detailed description" in p.because or "MTD" in p.because for p in found.settled)
    kinds = {(p.number, p.field): p.kind for p in found.open}
    assert kinds[1, "dosing.car_nk.cells"] == "contradiction"
    assert kinds[2, "endpoints.adverse_events.grading"] == "contradiction"
    assert kinds[3, "dlt.window_days"] == "contradiction"
    assert kinds[3, "dlt.clock"] == "vague"
    assert kinds[4, "size.planned"] == "contradiction"
    assert kinds[5, "dosing.car_t.per"] == "contradiction"
    assert kinds[6, "titration.after_trigger"] == kinds[6, "titration.clean_patient"] == "silence"
    assert kinds[7, "titration.triggers"] == "vague"
    assert kinds[8, "evaluable.requires"] == "vague"
    assert kinds[9, "dlt.after_other_product_only"] == "silence"
    assert kinds[10, "censoring.missed_scans"] == kinds[10, "censoring.new_therapy"] == "silence"


def test_an_open_point_says_what_the_text_says_where_and_what_to_write():
    text = str(lint(read_protocol(REGISTRY)))
    assert "12 of 12 points are open" in text
    assert "1e9, 2e9 (detailed description" in text
    assert "1e9, 1e9 (arm" in text
    assert 'write `value` (administration, cycle or total) and `because = "..."`' in text
    assert "the written rules can use 24" in text


def test_the_synthetic_trial_settles_every_point_with_its_sentence(protocol):
    found = lint(protocol)
    assert found.ok
    assert {p.number for p in found.settled} == set(range(1, POINTS + 1))
    assert all(len(p.because.split()) > 3 for p in found.settled)
    assert "every point is settled" in str(found)


FIELDS = [
    "dosing.car_nk.cells", "endpoints.adverse_events.grading", "dlt.window_days", "dlt.clock", "size.planned",
    "size.more_than_planned", "dosing.car_t.per", "titration.after_trigger", "titration.clean_patient",
    "titration.triggers", "evaluable.requires", "dlt.after_other_product_only", "censoring.missed_scans",
    "censoring.new_therapy", "titration.levels", "titration.size", "titration.triggers_needed",
    "titration.window_days", "evaluable.replaced", "evaluable.progression", "evaluable.dose_tolerance",
    "evaluable.other_dose", "escalation.variant", "escalation.cohort", "escalation.second_dlt",
    "mtd.evaluable", "mtd.dlts", "mtd.fill_top_level", "mtd.overdose_above",
]  # fmt: skip


@pytest.mark.parametrize("field", FIELDS)
def test_a_settled_field_that_is_taken_out_is_open_again(changed, field):
    (point,) = lint(read_protocol(changed({field: None}))).open
    assert (point.field, point.kind) == (field, "silence")


@pytest.mark.parametrize("field", FIELDS)
def test_a_value_without_its_sentence_is_open(changed, field):
    (point,) = lint(read_protocol(changed({f"{field}.because": " "}))).open
    assert (point.field, point.kind) == (field, "unexplained")


def test_a_bare_value_is_a_value_without_its_sentence(changed):
    (point,) = lint(read_protocol(changed({"dlt.window_days": 28}))).open
    assert "is 28 without the sentence that says why" in point.what


def test_two_statements_that_say_the_same_are_no_contradiction(changed):
    same = [{"value": "any AE", "where": "arm"}, {"value": "any AE", "where": "outcomes"}]
    (point,) = lint(read_protocol(changed({"titration.triggers": {"statements": same}}))).open
    assert point.kind == "vague"


def test_a_trial_without_titration_and_with_one_product_has_fewer_points_to_settle(changed, root):
    path = changed({"titration": None, "dosing.car_nk": None, "stopping": None})
    assert {p.number for p in lint(read_protocol(path)).settled} == {2, 3, 4, 5, 8, 10, 11, 12}
    assert rule_of(read_protocol(path)) == ThreePlusThree(4)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"levels": [3e7, 1.5e7]}, "do not rise"),
        ({"level_product": "car_nk"}, "point 5"),
        ({"dosing.car_t": None}, "has no [dosing.car_t]"),
        ({"titration.levels": 5}, "the titration runs at 5 of 4 levels"),
        ({"escalation.variant": "storer"}, "`mtd.fill_top_level` fills it"),
        ({"mtd.evaluable.value": 2}, "fewer than the 3 of a cohort"),
        ({"evaluable.replaced.value": False}, "every rule here counts evaluable patients"),
        ({"escalation.expansion": {"value": "not_counted", "because": "x"}}, "nothing says who they are"),
        ({"escalation.variant": "korn"}, "recommends a top level with 3"),
        ({"escalation.variant": "crmpack"}, "has no titration"),
        ({"endpoints.crs": None}, "grades never convert"),
        (
            {"dlt.window_days.value": 14, "evaluable.requires.value": "every_cycle"},
            "its last infusion, day 15",
        ),
        ({"dlt.clock.value": "first_car_nk", "dosing.car_nk": None}, "which nobody is given"),
    ],
)
def test_values_that_cannot_hold_together_are_named(changed, fields, says):
    found = lint(read_protocol(changed(fields)))
    assert not found.ok
    assert any(says in str(p) for p in found.problems())


def test_an_open_protocol_decides_nothing_and_lists_why():
    for ask in (settled, rule_of):
        with pytest.raises(PlanError) as error:
            ask(read_protocol(REGISTRY))
        said = {int(m[1]) for p in error.value.problems if (m := re.match(r"point (\d+)", p.what))}
        assert said == set(range(1, POINTS + 1))


# --------------------------------------------------------------------------------- reading the TOML


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"levls": [1.0]}, "did you mean 'levels'"),
        ({"mtd.evaluabel": 6}, "did you mean 'evaluable'"),
        ({"dosing.car_t.cycels": 2}, "did you mean 'cycles'"),
        ({"titration.after_trigger.becauze": "x"}, "did you mean 'because'"),
        ({"mtd.dlts.value": 6}, "every level would be tolerable"),
        ({"dlt.definition": None}, "missing key 'dlt.definition'"),
        ({"dosing.car_nk.cells.value": [1e9]}, "each of the 2 days"),
        ({"dosing.car_t.days_between_cycles": None}, "more than one cycle needs"),
        ({"titration.triggers.value": []}, "never ends"),
        ({"size.planned.value": [18, 9]}, "the fewest and the most"),
        ({"utilities.neither": 140}, "between 0 and 100"),
        ({"escalation.variant": "stoorer"}, "escalation.variant"),
    ],
)
def test_a_wrong_key_or_value_is_named_with_file_and_remedy(changed, fields, says):
    path = changed(fields)
    with pytest.raises(PlanError) as error:
        read_protocol(path)
    assert says in str(error.value)
    assert str(path) in str(error.value)


def test_every_problem_of_a_file_is_named_at_once(changed, tmp_path):
    with pytest.raises(PlanError) as error:
        read_protocol(changed({"levls": [1.0], "mtd.dlts.value": 6, "escalation.cohort": 0}))
    assert len(error.value.problems) == 3
    (tmp_path / "broken.toml").write_text("levels = [")
    with pytest.raises(PlanError, match="not valid TOML"):
        read_protocol(tmp_path / "broken.toml")


def test_a_name_is_the_librarys_and_a_path_is_yours(changed):
    assert read_protocol(f"data/{SYNTHETIC}/protocol.toml") == read_protocol(SYNTHETIC)
    assert read_protocol(changed({}).parent).title == read_protocol(SYNTHETIC).title
    with pytest.raises(PlanError, match="did you mean 'nkg2d_registry'"):
        read_protocol("nkg2d_registri")


# ------------------------------------------------------------------------------------------ its rule


def test_the_rule_is_the_one_the_fields_describe(changed, protocol):
    assert rule_of(protocol) == ThreePlusThree(4, rule_of(protocol).titration)  # type: ignore[attr-defined]
    fields = {
        "titration.after_trigger.value": "leave", "titration.clean_patient.value": "not_a_level",
        "size.more_than_planned.value": "stops", "mtd.fill_top_level.value": False,
    }  # fmt: skip
    rule = rule_of(read_protocol(changed(fields)))
    assert isinstance(rule, ThreePlusThree)
    assert (rule.most, rule.fill_top) == (18, False)
    assert (rule.titration.after_trigger, rule.titration.clean_patient) == ("leave", "not_a_level")


KINDS = {
    "crmpack": CrmPackThreePlusThree,
    "boin": Boin,
    "tite_boin": TiteBoin,
    "i3plus3": I3Plus3,
    "mtpi2": Mtpi2,
    "keyboard": Keyboard,
    "crm": Crm,
    "blrm": Blrm,
    "boin12": Boin12,
    "pkboin12": PkBoin12,
    "tite_pkboin12": TitePkBoin12,
    "joint": Joint,
}  # the others are codings of 3+3


@pytest.mark.parametrize("name", RULES)
def test_every_named_rule_is_there_on_the_protocols_levels(protocol, name):
    known = RawExposures(((),) * 4) if name.endswith("pkboin12") else None
    rule = rule_of(protocol, name, exposures=known, wanted=None if known is None else 100.0)
    kind = KINDS.get(name, ThreePlusThree)
    assert type(rule) is kind, f"add {name} and its class to KINDS of this file"
    assert rule.levels == 4
    assert rule.decide([]).action == "treat"
    if isinstance(rule, Boin | Blrm | Boin12 | Crm | I3Plus3 | Joint | Keyboard | Mtpi2):
        assert (rule.most, rule.cohort) == (18, 3)
    assert bool(assumed(rule)) == (name in MODERN)


def test_boin12_takes_the_protocols_utilities_or_the_published_and_no_others(changed, protocol):
    assert rule_of(protocol, "boin12") == Boin12(4, most=18)  # the synthetic trial's are the published ones
    rule = rule_of(read_protocol(changed({"utilities.neither": 30})), "boin12", target=0.3)
    assert rule == Boin12(4, 0.3, utilities=Utilities(neither=30), most=18)
    assert rule_of(read_protocol(changed({"utilities": None})), "boin12") == Boin12(4, most=18)
    with pytest.raises(PlanError, match="give these four in"):
        rule_of(read_protocol(changed({"utilities.neither": None})), "boin12")


def test_a_target_is_the_rules_own_where_none_is_given(protocol):
    assert rule_of(protocol, "boin").target == 0.3  # type: ignore[attr-defined]
    assert rule_of(protocol, "boin12").target == 0.35  # type: ignore[attr-defined]
    tite = rule_of(protocol, "tite_boin", target=0.25)
    assert tite == TiteBoin(Boin(4, 0.25, most=18, titration=rule_of(protocol).titration))  # type: ignore[attr-defined]
    crm = rule_of(protocol, "crm", target=0.25)
    assert crm == Crm(indifference_skeleton(0.25, 4), 0.25, most=18, toxic=0.95)
    assert rule_of(protocol, "blrm").doses == protocol.levels  # type: ignore[attr-defined]


def test_an_unknown_rule_has_a_remedy(protocol):
    with pytest.raises(PlanError, match="did you mean 'storer'"):
        rule_of(protocol, "storrer")


# ------------------------------------------------------------------------------------ a study's history


def test_the_synthetic_trial_finds_its_mtd_with_the_clause(protocol, study):
    said = rule_of(protocol).decide(history_of(patients_of(study, protocol)))
    assert (said.action, said.mtd) == ("stop", 2)
    assert protocol.level_name(2) == "3e7 cells/kg"
    assert "2 of 4 evaluable with a DLT at level 3: more than 1, the level is closed" in said.why
    assert "0 of 6 evaluable with a DLT at level 2: the highest level with at least 6 evaluable" in said.why


def test_its_order_is_legal_patient_by_patient(protocol, study):
    steps = replayed(rule_of(protocol), patients_of(study, protocol))
    assert [s.level for s in steps] == [1, 2, 2, 2, 2, 3, 3, 3, 3, 2, 2, 2]
    assert all(s.legal for s in steps)


def test_another_order_is_not(protocol, study):
    patients = patients_of(study, protocol)
    early = [*patients[:3], replace(patients[6], subject="S99")]  # 5e7 after one evaluable at 3e7
    (stray,) = [s for s in replayed(rule_of(protocol), early) if not s.legal]
    assert (stray.subject, stray.level, stray.decision.level) == ("S99", 3, 2)


def test_who_got_no_car_t_is_not_evaluable_and_was_replaced(protocol, study):
    by = {p.subject: p for p in patients_of(study, protocol)}
    assert (by["S03"].status, by["S03"].why) == ("not_evaluable", "no car_t")
    assert [s for s, p in by.items() if p.dlt] == ["S06", "S09"]
    assert "crs grade 3 (astct_2019) 18.3 days in" in by["S06"].why
    assert [s for s, p in by.items() if p.trigger] == ["S06", "S09", "S10", "S11"]
    assert not by["S01"].trigger  # its grade 3 is of lymphodepletion, its fever of grade 1
    assert sum(c.evaluable for c in history_of(list(by.values()))) == 11


def until(study: Study, days: dict[str, float]) -> Study:
    """The study as it was on some subjects' days: what came later is not there yet, who is not named is
    not either.
    """

    def cut(table):
        return table[table["subject"].map(days).ge(table["time"])].reset_index(drop=True)

    tables = {name: cut(getattr(study, name)) for name in ("doses", "observations", "events", "responses")}
    subjects = study.subjects[study.subjects.index.isin(list(days))]
    return replace(study, subjects=subjects, **tables)


def test_an_open_window_waits_and_a_second_dlt_does_not(protocol, study):
    whole = {s: 999.0 for s in study.subject_ids}
    first_eight = {s: d for s, d in list(whole.items())[:8]}
    rule = rule_of(protocol)
    waits = rule.decide(history_of(patients_of(until(study, first_eight | {"S08": 25.0}), protocol)))
    assert (waits.action, waits.level) == ("wait", 3)
    more = rule.decide(history_of(patients_of(until(study, first_eight), protocol)))
    assert (more.action, more.level, more.size) == ("treat", 3, 3)
    ninth = first_eight | {"S09": 33.0}  # its DLT is of day 32.3, its window is not over
    back = rule.decide(history_of(patients_of(until(study, ninth), protocol)))
    assert (back.action, back.level, back.size) == ("treat", 2, 3)


def test_a_trigger_is_acted_on_before_its_window_ends(protocol, study):
    worse = study.events.copy()
    worse.loc[(worse["subject"] == "S01") & (worse["event"] == "fever"), "grade"] = 2.0
    first = until(replace(study, events=worse), {"S01": 20.0})
    (patient,) = patients_of(first, protocol)
    assert (patient.status, patient.trigger) == ("pending", True)
    said = rule_of(protocol).decide(history_of([patient]))
    assert (said.action, said.level, said.size) == ("treat", 1, 2)
    assert "a trigger ended the titration" in said.why


def test_who_may_still_get_car_t_is_pending(protocol, study):
    (patient,) = patients_of(until(study, {"S03": 10.0}), protocol)
    assert (patient.status, patient.why) == ("pending", "day 7: car_t may begin until day 14")
    assert history_of([patient]) == [Cohort(2, 0, pending=1)]


def test_a_dlt_before_any_car_t_counts_as_the_protocol_says(changed, protocol, study):
    toxic = study.events.copy()
    toxic.loc[
        (toxic["subject"] == "S03") & (toxic["event"] == "alanine_aminotransferase_increased"), "dlt"
    ] = "yes"
    with_dlt = replace(study, events=toxic)
    by = {p.subject: p for p in patients_of(with_dlt, protocol)}
    assert (by["S03"].status, by["S03"].dlt) == ("not_evaluable", False)
    counted = read_protocol(changed({"dlt.after_other_product_only.value": "at_assigned_level"}))
    by = {p.subject: p for p in patients_of(with_dlt, counted)}
    assert (by["S03"].status, by["S03"].dlt) == ("evaluable", True)


def test_a_dlt_outside_the_window_is_said_and_not_counted(changed, study):
    short = read_protocol(changed({"dlt.window_days.value": 15}))
    by = {p.subject: p for p in patients_of(study, short)}
    assert (by["S06"].status, by["S06"].dlt) == ("evaluable", False)
    assert by["S06"].why == "15 days without a DLT; a DLT 18.3 days in is outside the window"


def test_fewer_infusions_than_required_are_not_evaluable(changed, protocol, study):
    doses = study.doses[~((study.doses["subject"] == "S02") & (study.doses["cycle"] == 2))]
    less = replace(study, doses=doses)
    every = read_protocol(changed({"evaluable.requires.value": "every_cycle"}))
    assert {p.subject: p.status for p in patients_of(less, every)}["S02"] == "not_evaluable"
    assert {p.subject: p.status for p in patients_of(less, protocol)}["S02"] == "evaluable"


def test_a_level_that_is_none_and_missing_columns_are_errors_with_a_remedy(changed, protocol, study):
    other = read_protocol(changed({"levels": [1e7, 3e7, 6e7, 7e7]}))
    with pytest.raises(StudyError, match="known: 1e7 cells/kg") as error:
        patients_of(study, other)
    assert len(error.value.problems) == 5  # S01 at 1.5e7, four at 5e7
    bare = replace(study, events=study.events.drop(columns=["dlt", "attribution"]))
    with pytest.raises(StudyError) as error:
        patients_of(bare, protocol, level_column="dose_levl")
    assert len(error.value.problems) == 3
    assert "did you mean 'dose_level'" in str(error.value)


# ------------------------------------------------------------------------------- defaults that were silent


def test_an_older_protocol_is_read_and_its_bare_values_want_their_sentences(changed):
    """The form of a protocol.toml before its defaults were points."""
    older = {
        "mtd": {"definition": "at most 1 of 6", "evaluable": 6, "dlts": 1, "fill_top_level": True},
        "escalation": {"variant": "protocol", "cohort": 3, "days_between_patients": 14},
        "titration.levels": 1,
        "titration.size": 1,
        "titration.triggers_needed": 1,
        "evaluable": {"replaced": True, "requires": {"value": "first_cycle", "because": "both infusions"}},
        "stopping": ["the sponsor may stop the trial"],
    }
    protocol = read_protocol(changed(older))
    assert (protocol.mtd.evaluable.value, protocol.escalation.cohort.value) == (6, 3)
    assert [clause.words for clause in protocol.stopping] == ["the sponsor may stop the trial"]
    kinds = {point.field: point.kind for point in lint(protocol).open}
    assert {field for field, kind in kinds.items() if kind == "unexplained"} == {
        "mtd.evaluable", "mtd.dlts", "mtd.fill_top_level", "escalation.variant", "escalation.cohort",
        "titration.levels", "titration.size", "titration.triggers_needed", "evaluable.replaced",
    }  # fmt: skip
    assert {field for field, kind in kinds.items() if kind == "silence"} == {
        "mtd.overdose_above", "escalation.second_dlt", "evaluable.progression", "evaluable.dose_tolerance",
        "evaluable.other_dose",
    }  # fmt: skip


def test_a_registry_that_says_only_3_plus_3_has_an_open_mtd(changed):
    """Earlier it had 6 and 1, which nobody had said."""
    found = lint(read_protocol(changed({"mtd": {"definition": "by 3+3"}, "escalation": {}})))
    assert {p.field for p in found.open if p.number in (11, 12)} == {
        "escalation.variant", "escalation.cohort", "escalation.second_dlt", "mtd.evaluable", "mtd.dlts",
        "mtd.fill_top_level", "mtd.overdose_above",
    }  # fmt: skip


def test_storers_3_plus_3_can_be_a_protocols(changed):
    fields = {"escalation.variant.value": "storer", "mtd.fill_top_level": None, "mtd.evaluable.value": 3}
    found = read_protocol(changed(fields))
    assert lint(found).ok
    rule = rule_of(found)
    assert (rule.deescalate, rule.fill_top) == (False, False)  # type: ignore[attr-defined]


def test_the_censoring_of_pfs_is_asked_only_where_it_is_an_endpoint(changed):
    without = {
        "endpoints.progression_free_survival": None,
        "endpoints.response.definition": "ORR",
        "censoring": None,
    }
    assert lint(read_protocol(changed(without))).ok
    for more in (
        {"endpoints.pfs": {"definition": "first infusion to progression or death"}},
        {"endpoints.response.definition": "ORR and duration of response"},
        {"endpoints.ttp": {"definition": "time to progression"}},
    ):
        found = lint(read_protocol(changed({**without, **more})))
        assert {p.field for p in found.open} == {"censoring.missed_scans", "censoring.new_therapy"}


def test_an_open_point_has_no_value_to_decide_by() -> None:
    with pytest.raises(PlanError, match="a point of the protocol is open"):
        _ = Point().decided
