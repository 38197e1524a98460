"""Simon's two-stage designs against the tables of 1989, and the interim look of an expansion cohort."""

from __future__ import annotations

from itertools import product
from math import comb

import pytest

from kinetics.decision.phase_ib.characteristics import expansion_characteristics
from kinetics.decision.phase_ib.cohorts import design_of, ended_at_look
from kinetics.decision.phase_ib.two_stage import two_stages
from kinetics.errors import InputError, PlanError
from kinetics.protocol.expansion_cohorts import ExpansionCohort, InterimLook
from kinetics.protocol.protocol import read_protocol
from kinetics.protocol.tables import Protocol

# Simon 1989, tables 1 and 2: rates, alpha, power; r1, n1, r, n and expected N, optimal and minimax
PUBLISHED = [
    (0.05, 0.25, 0.10, 0.90, (0, 9, 2, 24, 14.5), (0, 13, 2, 20, 16.4)),
    (0.05, 0.25, 0.05, 0.80, (0, 9, 2, 17, 12.0), (0, 12, 2, 16, 13.8)),
    (0.05, 0.25, 0.05, 0.90, (0, 9, 3, 30, 16.8), (0, 15, 3, 25, 20.4)),
    (0.10, 0.30, 0.05, 0.80, (1, 10, 5, 29, 15.0), (1, 15, 5, 25, 19.5)),
    (0.20, 0.40, 0.05, 0.80, (3, 13, 12, 43, 20.6), (4, 18, 10, 33, 22.3)),
    (0.30, 0.50, 0.05, 0.80, (5, 15, 18, 46, 23.6), (6, 19, 16, 39, 25.7)),
    (0.40, 0.60, 0.05, 0.80, (7, 16, 23, 46, 24.5), (17, 34, 20, 39, 34.4)),
    (0.50, 0.70, 0.05, 0.80, (8, 15, 26, 43, 23.5), (12, 23, 23, 37, 27.7)),
    (0.60, 0.80, 0.05, 0.80, (7, 11, 30, 43, 20.5), (8, 13, 25, 35, 20.8)),
    (0.70, 0.90, 0.05, 0.80, (4, 6, 22, 27, 14.8), (19, 23, 21, 26, 23.2)),
    (0.05, 0.20, 0.05, 0.80, (0, 10, 3, 29, 17.6), (0, 13, 3, 27, 19.8)),
    # as the reference of the R package clinfun prints ph2simon(0.5, 0.7, 0.05, 0.1)
    (0.50, 0.70, 0.05, 0.90, (13, 24, 36, 61, 34.0), (14, 27, 32, 53, 36.1)),
]


@pytest.mark.parametrize(("null", "target", "alpha", "power", "optimal", "minimax"), PUBLISHED)
def test_the_designs_are_those_of_simons_tables(null, target, alpha, power, optimal, minimax):
    found = two_stages(null, target, alpha=alpha, power=power, most=70)
    for design, published in zip(found, (optimal, minimax), strict=True):
        assert (design.stop_at, design.first, design.not_worth, design.patients) == published[:4]
        assert design.expected_n == pytest.approx(published[4], abs=0.06)
        assert design.alpha <= alpha
        assert design.power >= power


def test_the_probabilities_of_a_design_are_those_of_every_outcome():
    design = two_stages(0.1, 0.3, most=40)[0]
    later = design.patients - design.first
    for rate, worth in ((0.1, design.alpha), (0.3, design.power)):
        total = 0.0
        for x, y in product(range(design.first + 1), range(later + 1)):
            chance = comb(design.first, x) * comb(later, y)
            chance *= rate ** (x + y) * (1 - rate) ** (design.patients - x - y)
            total += chance * (x > design.stop_at and x + y > design.not_worth)
        assert worth == pytest.approx(total)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"null": 0.3, "target": 0.2}, "the target above the null"),
        ({"null": 0.1, "target": 0.3, "power": 80}, "two probabilities"),
        ({"null": 0.1, "target": 0.3, "most": 20}, "allow more patients"),
    ],
)
def test_what_no_design_can_have_is_refused(arguments, says):
    with pytest.raises(InputError, match=says):
        two_stages(**arguments)


# --------------------------------------------------------------------------------------- the interim look


@pytest.fixture(scope="module")
def with_look() -> Protocol:
    protocol = read_protocol("nkg2d_phase1_synthetic")
    content = protocol.model_dump()
    cohorts = [{"name": "colorectal", "patients": 5, "look": {"patients": 3, "stop_at": 0}}]
    cohorts += [{"name": name, "patients": 3} for name in ("gastric", "oesophageal", "other")]
    content["expansion"]["cohorts"] = cohorts
    return Protocol.model_validate(content)


def test_a_cohort_ends_with_the_probability_of_its_look(with_look):
    table = expansion_characteristics(design_of(with_look), [0.1, 0.2, 0.2, 0.3]).table.set_index("cohort")
    assert table.loc["colorectal", "p_stop"] == pytest.approx(0.9**3)
    assert table.loc["colorectal", "expected_n"] == pytest.approx(5 - 2 * 0.9**3)
    assert table.loc["colorectal", "p_no_go"] >= 0.9**3
    assert (table.loc["gastric", "p_stop"], table.loc["gastric", "expected_n"]) == (0, 3)


def test_the_look_is_simulated_as_it_is_enumerated(with_look, monkeypatch):
    design = design_of(with_look)
    exact = expansion_characteristics(design, [0.1, 0.2, 0.2, 0.3]).table
    monkeypatch.setattr("kinetics.decision.phase_ib.characteristics.MOST", 1)
    simulated = expansion_characteristics(design, [0.1, 0.2, 0.2, 0.3], trials=20_000, seed=4).table
    for column in ("p_go", "p_no_go"):
        assert simulated[column].to_numpy() == pytest.approx(exact[column].to_numpy(), abs=0.015)
    assert simulated["p_stop"].tolist() == exact["p_stop"].tolist()


def test_with_a_look_that_a_cohort_always_passes_nothing_changes():
    protocol = read_protocol("nkg2d_phase1_synthetic")
    plain = design_of(protocol, patients=[3, 3, 3, 3])
    certain = [1.0, 0.2, 0.2, 0.3]
    content = protocol.model_dump()
    first, *others = content["expansion"]["cohorts"]
    content["expansion"]["cohorts"] = [first | {"look": {"patients": 2, "stop_at": 0}}, *others]
    looked = design_of(Protocol.model_validate(content), patients=[3, 3, 3, 3])
    expected = expansion_characteristics(plain, certain).table["p_go"].tolist()
    assert expansion_characteristics(looked, certain).table["p_go"].tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("events", "assessed", "treated", "ends", "says"),
    [
        (0, 9, 9, True, "0 of 9 assessed responded, so no more patients"),
        (1, 9, 9, False, "1 of 9 responded, so it goes on"),
        (0, 7, 9, False, "0 of 7 assessed so far, 2 more to see"),
        (0, 12, 12, True, "no more patients"),  # too few of all are too few of the first
        (2, 4, 4, False, "it goes on"),
    ],
)
def test_a_look_is_decided_when_enough_are_assessed(events, assessed, treated, ends, says):
    found, why = ended_at_look(InterimLook(patients=9, stop_at=0), events, assessed, treated)
    assert (found, says in why) == (ends, True), why


def test_a_look_that_is_none_is_refused():
    with pytest.raises(PlanError, match="stops whatever happens"):
        InterimLook(patients=3, stop_at=3)
    with pytest.raises(PlanError, match="is no interim"):
        ExpansionCohort(name="gastric", patients=9, look=InterimLook(patients=9, stop_at=0))
