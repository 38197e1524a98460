"""Protocols of other designs: [design] names the rule and its constants, and nothing of it is passed over."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from kinetics.errors import PlanError
from kinetics.escalation.blrm import Blrm
from kinetics.escalation.boin import Boin, lambdas
from kinetics.escalation.boin12 import Boin12
from kinetics.escalation.crm import Crm, indifference_skeleton
from kinetics.escalation.history import Cohort
from kinetics.escalation.i3_plus_3 import I3Plus3
from kinetics.escalation.joint.rule import Joint
from kinetics.escalation.keyboard import Keyboard
from kinetics.escalation.mtpi2 import Mtpi2
from kinetics.escalation.pkboin12 import PkBoin12, RawExposures
from kinetics.escalation.three_plus_three import ThreePlusThree
from kinetics.escalation.tite_boin import TiteBoin
from kinetics.escalation.titration import Titration
from kinetics.protocol.dose_rule import assumed, rule_name, rule_of, stated
from kinetics.protocol.protocol import lint, read_protocol
from kinetics.protocol.tables import Protocol
from tests.support.other_designs import protocol_of_a_design, synthetic_tables

DATA = Path(__file__).parents[2] / "data"
SYNTHETIC = "nkg2d_phase1_synthetic"
Written = Callable[..., Path]


SETTLED = {"because": "chosen for this test"}


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """The synthetic trial as a protocol of another design: `design`, and other tables in place of its own."""
    return partial(protocol_of_a_design, tmp_path)


def rule_in(path: Path, **options: Any) -> Any:
    return rule_of(read_protocol(path), **options)


ON_LEVELS = {"most": 18, "cohort": 3}
DOSES = (1.5e7, 3e7, 5e7, 7e7)


@pytest.mark.parametrize(
    ("design", "rule"),
    [
        ({"rule": "boin", "target": 0.25}, Boin(4, 0.25, most=18)),
        (
            {"rule": "boin", "target": 0.3, "phi1": 0.15, "phi2": 0.4, "cutoff": 0.9, "extra_safe": True},
            Boin(4, 0.3, most=18, bounds=lambdas(0.3, 0.15, 0.4), cutoff=0.9, extra_safe=True),
        ),
        (
            {"rule": "boin", "target": 0.3, "lambda_e": 0.2, "lambda_d": 0.4, "max_at_level": 9},
            Boin(4, 0.3, most=18, bounds=(0.2, 0.4), most_at_a_level=9),
        ),
        (
            {"rule": "tite_boin", "target": 0.25, "most_pending": 0.4, "cohort": 1},
            TiteBoin(Boin(4, 0.25, cohort=1, most=18), most_pending=0.4),
        ),
        (
            {"rule": "i3plus3", "target": 0.25, "interval": [0.2, 0.3]},
            I3Plus3(4, 0.25, (0.2, 0.3), most=18),
        ),
        ({"rule": "mtpi2", "target": 0.3, "start_level": 2}, Mtpi2(4, 0.3, most=18, start=2)),
        (
            {"rule": "keyboard", "target": 0.3, "max_at_level": 12},
            Keyboard(4, 0.3, most=18, most_at_a_level=12),
        ),
        (
            {"rule": "crm", "target": 0.25, "skeleton": [0.05, 0.12, 0.25, 0.4], "model": "logistic"},
            Crm((0.05, 0.12, 0.25, 0.4), 0.25, model="logistic", most=18, toxic=0.95),
        ),
        (
            {"rule": "crm", "target": 0.3, "half_width": 0.06, "skeleton_level": 3, "cutoff": 0.9},
            Crm(indifference_skeleton(0.3, 4, at=3, half_width=0.06), 0.3, most=18, toxic=0.9),
        ),
        (
            {
                "rule": "blrm",
                "interval": [0.2, 0.35],
                "overdose_at_most": 0.3,
                "prior_mean": [-0.85, 0.0],
                "prior_sd": [1.5, 0.8],
                "prior_correlation": -0.2,
                "reference_dose": 3e7,
                "choose": "target",
            },
            Blrm(
                DOSES,
                3e7,
                (-0.85, 0.0),
                (1.5, 0.8),
                correlation=-0.2,
                target=(0.2, 0.35),
                feasible=0.3,
                choose="target",
                most=18,
            ),
        ),
        (
            {"rule": "boin12", "target": 0.3, "least_response": 0.2, "n_star": 9, "futile_cutoff": 0.85},
            Boin12(4, 0.3, 0.2, futile=0.85, enough=9, most=18),
        ),
        (
            {"rule": "boin12", "target": 0.35, "start_level": 2, "below_start": "feasibility"},
            Boin12(4, most=18, start=2, lowest=2),
        ),
        ({"rule": "joint", "target": 0.3, "bound": 0.35}, Joint(DOSES, limit=0.3, bound=0.35)),
    ],
)
def test_a_protocol_of_another_design_has_its_rule_with_its_constants(written, design, rule):
    path = written(design)
    protocol = read_protocol(path)
    assert lint(protocol).ok, str(lint(protocol))
    assert rule_of(protocol) == rule
    assert rule_name(protocol) == design["rule"]
    assert rule_of(protocol, design["rule"]) == rule  # asked by its name it is the same


def test_pkboin12_of_a_protocol_has_its_wanted_exposure(written):
    design = {"rule": "pkboin12", "target": 0.35, "exposure": "car_copies_auc_28d", "wanted_exposure": 3e4}
    rule = rule_in(written(design), exposures=RawExposures(((),) * 4))
    assert isinstance(rule, PkBoin12)
    assert rule.wanted == 3e4


def test_an_old_protocol_is_a_3_plus_3_as_before():
    protocol = read_protocol(SYNTHETIC)
    assert protocol.design.rule == "three_plus_three"
    assert rule_name(protocol) == "three_plus_three"
    assert isinstance(rule_of(protocol, "three_plus_three"), ThreePlusThree)
    assert (stated(protocol), assumed(rule_of(protocol), protocol)) == ([], [])


def test_a_3_plus_3_may_be_named_and_start_above_its_lowest_level(written):
    tables = synthetic_tables("escalation", "mtd", "size")
    path = written({"rule": "three_plus_three", "start_level": 2}, **tables)
    assert rule_in(path) == ThreePlusThree(4, start=2)
    titrated = written(
        {"start_level": 2},
        titration=synthetic_tables("titration")["titration"] | {"levels": SETTLED | {"value": 3}},
        **tables,
    )
    assert rule_in(titrated).titration == Titration(3, start=2)


def test_a_3_plus_3_without_its_tables_is_refused(written):
    with pytest.raises(PlanError, match="missing key 'mtd'"):
        read_protocol(written({"rule": "three_plus_three"}, **synthetic_tables("escalation")))
    open_points = lint(read_protocol(written({"rule": "three_plus_three"}, **synthetic_tables("mtd")))).open
    assert {"escalation.variant", "escalation.cohort"} <= {point.field for point in open_points}


@pytest.mark.parametrize(
    ("design", "says"),
    [
        ({"rule": "boin", "target": 0.3, "skeleton": [0.1, 0.2, 0.3, 0.4]}, "boin does not know `skeleton`"),
        ({"rule": "crm", "target": 0.3, "n_star": 6}, "crm does not know `n_star`"),
        ({"rule": "blrm", "target": 0.3}, "blrm does not know `target`"),
        ({"rule": "joint", "target": 0.3, "max_at_level": 9}, "joint does not know `max_at_level`"),
        ({"rule": "boin", "target": 1.3}, "no rate between 0 and 1"),
        ({"rule": "boin", "target": 0.3, "phi1": 0.4, "phi2": 0.5}, "on either side of the target"),
        ({"rule": "boin", "target": 0.3, "lambda_e": 0.2}, "come together"),
        (
            {"rule": "boin", "target": 0.3, "phi1": 0.2, "phi2": 0.4, "lambda_e": 0.2, "lambda_d": 0.4},
            "two ways to say the same bounds",
        ),
        ({"rule": "i3plus3", "target": 0.3, "interval": [0.1, 0.2]}, "does not hold the target"),
        ({"rule": "crm", "target": 0.3, "skeleton": [0.3, 0.2, 0.1, 0.4]}, "does not rise"),
        ({"rule": "boim"}, "not one of the words"),
        ({"rule": "boin", "targett": 0.3}, "did you mean 'target'"),
        ({"rule": "boin", "target": "low"}, "not a number"),
        ({"rule": "boin", "target": 0.3, "cohort": 0}, "no number from 1 up"),
        ({"rule": "blrm", "prior_sd": [0, 1]}, "not above 0"),
        ({"rule": "blrm", "prior_mean": [float("inf"), 0.0]}, "not a finite number"),
        ({"rule": "boin", "target": float("nan")}, "not a finite number"),
        ({"rule": "boin", "target": "0.3"}, "not a number"),
        ({"rule": "boin", "target": 0.3, "cohort": True}, "not a whole number"),
        ({"rule": "boin", "target": 0.3, "start_level": 1e6}, "counted from 1"),
        ({"rule": "boin", "target": 0.3, "max_at_level": 9.5}, "not a whole number"),
    ],
)
def test_a_constant_that_the_rule_does_not_know_or_cannot_have_is_refused_by_name(written, design, says):
    path = written(design)
    with pytest.raises(PlanError) as error:
        read_protocol(path)
    assert says in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("design", "field"),
    [
        ({"rule": "boin"}, "design.target"),
        ({"rule": "i3plus3", "interval": [0.25, 0.35]}, "design.target"),
        ({"rule": "pkboin12", "target": 0.35, "exposure": "car_copies_auc_28d"}, "design.wanted_exposure"),
        ({"rule": "boin", "target": {"statements": [{"value": 0.3, "where": "synopsis"}]}}, "design.target"),
        (
            {"rule": "boin12", "target": 0.3, "n_star": {"statements": [{"value": 6, "where": "appendix"}]}},
            "design.n_star",
        ),
    ],
)
def test_a_constant_that_no_paper_gives_is_a_point_of_lint(written, design, field):
    protocol = read_protocol(written(design))
    (point,) = lint(protocol).open
    assert (point.number, point.field) == (11, field)
    with pytest.raises(PlanError, match="point 11"):
        rule_of(protocol)


def test_lint_lists_the_constants_that_the_protocol_gives(written):
    because = "a DLT in three of ten patients is acceptable to the safety board"
    design = {"rule": "boin", "target": {"value": 0.3, "because": because}, "max_at_level": 12}
    report = lint(read_protocol(written(design)))
    constants = {p.field: (p.value, p.because) for p in report.settled if p.number == 11}
    assert constants["design.target"] == (0.3, because)
    assert constants["design.max_at_level"][0] == 12


@pytest.mark.parametrize(
    ("design", "tables", "says"),
    [
        ({"start_level": 5}, {}, "there are levels 1 to 4"),
        ({"below_start": "feasibility"}, {}, "the trial starts at the lowest"),
        ({}, {"escalation": {"variant": "korn"}}, "`escalation.variant` is of a 3+3"),
        ({}, {"escalation": {"second_dlt": "must_stay_away"}}, "`escalation.second_dlt` is of a 3+3"),
        ({}, {"mtd": {"definition": "at most 1 of 6", "dlts": 1}}, "`mtd.dlts` is of a 3+3"),
        ({"max_patients": 24}, {}, "`size.planned` ends at 18"),
        ({"cohort": 3}, {"escalation": {"cohort": 2}}, "`escalation.cohort` 2"),
        (
            {},
            {"size": {"more_than_planned": "allowed", "planned": [9, 18]}},
            "ends with the patients planned",
        ),
    ],
)
def test_what_contradicts_the_design_is_named(written, design, tables, says):
    report = lint(read_protocol(written({"rule": "boin", "target": 0.3} | design, **tables)))
    assert any(says in str(problem) for problem in report.problems()), str(report)


def test_a_titration_before_a_rule_that_has_none_is_named(written):
    titration = synthetic_tables("titration")
    report = lint(read_protocol(written({"rule": "crm", "target": 0.25}, **titration)))
    assert "the rule crm has no titration" in str(report)
    assert lint(read_protocol(written({"rule": "mtpi2", "target": 0.25}, **titration))).ok


def test_a_definition_of_the_mtd_is_no_constant(written):
    protocol = read_protocol(
        written({"rule": "boin", "target": 0.3}, mtd={"definition": "the level nearest to 30 %"})
    )
    assert lint(protocol).ok


def test_patients_of_the_dose_finding_may_stand_in_design_alone(written):
    path = written({"rule": "boin", "target": 0.3, "max_patients": 24}, size=None)
    protocol = read_protocol(path)
    assert lint(protocol).ok
    assert rule_of(protocol) == Boin(4, 0.3, most=24)


def test_every_constant_is_the_protocols_or_assumed(written):
    for design in (
        {"rule": "boin", "target": 0.3},
        {"rule": "crm", "target": 0.3},
        {"rule": "blrm"},
        {"rule": "boin12", "target": 0.35},
        {"rule": "keyboard", "target": 0.3},
    ):
        protocol = read_protocol(written(design))
        rule = rule_of(protocol)
        lines = assumed(rule, protocol)
        assert not any(line.startswith(("target DLT rate", "highest DLT rate")) for line in lines)
        assert f"cohorts of {rule.cohort}" in lines
        whole = "; ".join([*stated(protocol), *lines])
        assert ("0.95" in whole) == (design["rule"] != "blrm")
        assert ("0.3" in whole) or design["rule"] == "blrm"


def test_crm_says_by_what_it_stops_or_that_it_does_not(written):
    protocol = read_protocol(written({"rule": "crm", "target": 0.3}))
    rule = rule_of(protocol)
    said = [
        line for line in assumed(rule, protocol) if "stops above P(DLT rate of level 1 > 0.3) 0.95" in line
    ]
    assert len(said) == 1
    ended = rule.decide([Cohort(1, 3, 3)])  # strangers.md F12: this said "treat 3 more at level 1"
    assert (ended.action, ended.mtd) == ("stop", 0)
    assert "too toxic, no level is left" in ended.why
    never = Crm(indifference_skeleton(0.3, 4), 0.3)
    assert never.decide([Cohort(1, 3, 3)]).level == 1
    assert any("no stopping rule for toxicity" in line for line in assumed(never))


def test_rules_of_one_kind_share_the_constants_and_others_the_start_and_the_patients(written):
    design = {"rule": "boin", "target": 0.25, "lambda_e": 0.2, "lambda_d": 0.3, "start_level": 2, "cohort": 2}
    protocol = read_protocol(written(design))
    assert rule_of(protocol, "tite_boin").boin == rule_of(protocol)  # type: ignore[attr-defined]
    assert rule_of(protocol, "keyboard") == Keyboard(4, 0.25, cohort=2, most=18, start=2)
    boin12 = rule_of(protocol, "boin12")
    assert boin12 == Boin12(4, 0.35, cohort=2, most=18, start=2)  # its target is another: a limit
    assert rule_of(protocol, "korn").start == 2  # type: ignore[attr-defined]


def test_a_target_that_is_not_the_protocols_or_of_no_use_is_refused(written):
    protocol = read_protocol(written({"rule": "boin", "target": 0.25}))
    with pytest.raises(PlanError, match=r"the protocol's is 0\.25"):
        rule_of(protocol, target=0.3)
    assert rule_of(protocol, "boin", target=0.3).target == 0.3  # type: ignore[attr-defined]
    for name in ("blrm", "korn"):
        with pytest.raises(PlanError, match="has no target DLT rate"):
            rule_of(protocol, name, target=0.3)
    with pytest.raises(PlanError, match="three_plus_three has no target DLT rate"):
        rule_of(read_protocol(SYNTHETIC), target=0.3)


def test_storers_variant_can_be_settled(written):
    escalation = {
        "variant": SETTLED | {"value": "storer"},
        "cohort": SETTLED | {"value": 3},
        "second_dlt": SETTLED | {"value": "may_stay_away"},
    }
    mtd = {
        "definition": "the level below two DLTs",
        "evaluable": SETTLED | {"value": 3},
        "dlts": SETTLED | {"value": 1},
        "overdose_above": SETTLED | {"value": 0.33},
    }
    protocol = read_protocol(written(None, escalation=escalation, mtd=mtd, **synthetic_tables("size")))
    assert lint(protocol).ok, str(lint(protocol))
    rule = rule_of(protocol)
    assert rule.decide([Cohort(1, 3, 1)]).size == 3  # one of three is still filled to six
    assert rule.decide([Cohort(1, 3), Cohort(2, 3, 2)]).mtd == 1


def test_a_protocol_of_another_design_can_be_built_in_python(written):
    protocol = read_protocol(written({"rule": "keyboard", "target": 0.3}))
    assert isinstance(protocol, Protocol)
    assert protocol.cohort_size == 3


def test_a_key_of_another_table_is_named_with_its_table(tmp_path):
    content = tomllib.loads((DATA / "tite_boin_synthetic" / "protocol.toml").read_text(encoding="utf-8"))
    path = tmp_path / "protocol.toml"
    path.write_text(tomli_w.dumps({**content, "start_level": 2, "cohort": 3, "levls": [1]}), encoding="utf-8")
    with pytest.raises(PlanError) as caught:
        read_protocol(path)
    remedies = {problem.what: problem.remedy for problem in caught.value.problems}
    assert remedies["unknown key 'start_level'"] == "write it as `design.start_level`"
    assert remedies["unknown key 'cohort'"] == "write it as `design.cohort` or `escalation.cohort`"
    assert remedies["unknown key 'levls'"] == "did you mean 'levels'?"
    moved = {**content, "design": {**content["design"], "start_level": 2}}
    path.write_text(tomli_w.dumps(moved), encoding="utf-8")
    assert rule_of(read_protocol(path)).decide([]).level == 2
