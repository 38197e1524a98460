"""The protocols that ship as examples: registry texts as they are, and synthetic examples that decide."""

from __future__ import annotations

import pytest

from kinetics.errors import PlanError
from kinetics.escalation.tite_boin import TiteBoin
from kinetics.library import names
from kinetics.protocol.arms import protocol_of_arm
from kinetics.protocol.dose_rule import rule_of
from kinetics.protocol.infusion_plan import planned_infusions
from kinetics.protocol.protocol import lint, read_protocol
from tests.support.commands import call

REGISTRY_TEXTS = ["nkg2d_registry", "nct05507593", "nct06316856"]
SYNTHETIC = [
    "nkg2d_phase1_synthetic",
    "tite_boin_synthetic",
    "icv_regimens_synthetic",
    "level_minus_1_synthetic",
]


def test_every_protocol_of_the_library_is_tried_here():
    assert sorted([*REGISTRY_TEXTS, *SYNTHETIC]) == names("protocols")


@pytest.mark.parametrize("name", REGISTRY_TEXTS)
def test_a_registry_text_says_where_it_is_from_leaves_its_silence_and_decides_nothing(name):
    protocol = read_protocol(name)
    report = lint(protocol)
    assert protocol.registry.startswith("NCT")
    assert not protocol.synthetic
    assert report.open
    assert not report.contradictions
    assert {p.kind for p in report.open} >= {"silence", "vague"}
    with pytest.raises(PlanError, match="point 8, who is evaluable"):
        rule_of(protocol)
    assert call("lint", name).code == 1
    assert call("next", name).code == 1


@pytest.mark.parametrize("name", SYNTHETIC)
def test_a_synthetic_example_says_so_and_decides(name):
    protocol = read_protocol(name)
    assert protocol.synthetic
    assert "SYNTHETIC" in protocol.title
    assert lint(protocol).ok, str(lint(protocol))
    said = call("next", name)
    assert said.code == 0, said.err
    truth = ",".join(f"{0.1 * i:g}" for i in range(1, len(protocol.levels) + 1))
    assert call("design", name, "--true-dlt", truth).code == 0


def test_the_trial_with_donors_starts_above_its_low_level_and_its_arms_are_open():
    protocol = read_protocol("nct06316856")
    assert (protocol.design.rule, protocol.design.start_level, protocol.levels[0]) == ("boin12", 2, 5e5)
    assert protocol.design.by_feasibility
    assert {"arms.most_patients", "design.target", "size.planned"} <= {p.field for p in lint(protocol).open}
    assert protocol_of_arm(protocol, "new_donor").arms is None


def test_the_level_below_the_first_is_named_and_reached_by_de_escalation_alone():
    protocol = read_protocol("level_minus_1_synthetic")
    rule = rule_of(protocol)
    assert (protocol.level_name(1), rule.decide([]).level) == ("level -1 (5e5 cells/kg)", 2)


def test_the_regimens_rise_within_the_patient_and_from_one_to_the_next():
    protocol = read_protocol("icv_regimens_synthetic")
    assert list(protocol.levels) == sorted(protocol.levels)
    for level in (2, 3, 4):
        amounts = [x.amount for x in planned_infusions(protocol, level)]
        assert amounts == sorted(amounts)
        assert len(amounts) == 6
    assert max(x.amount for x in planned_infusions(protocol, 4)) == 1e8  # Vitanza 2025: up to 10 x 10^7


def test_the_tite_boin_example_has_its_own_constants():
    rule = rule_of(read_protocol("tite_boin_synthetic"))
    assert isinstance(rule, TiteBoin)
    assert (rule.boin.target, rule.boin.most, rule.most_pending) == (0.25, 24, 0.5)
