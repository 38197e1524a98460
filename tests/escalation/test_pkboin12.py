"""PKBOIN-12: how much exposure is enough, what too little of it drops, and the OBD."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kinetics.errors import InputError
from kinetics.escalation.boin12 import Boin12
from kinetics.escalation.history import Cohort
from kinetics.escalation.pkboin12 import ModelExposures, PkBoin12, RawExposures
from tests.support.boin12_trials import AMPLE, BOIN12_RULES, FIVE, trials


def pk(means: tuple[float, ...], spread: float = 0.0, rule: Boin12 = FIVE) -> PkBoin12:
    """Draws with these means; a `spread` puts half of them so far below, half above."""
    return PkBoin12(rule, ModelExposures(np.array([means, means]) * [[1 - spread], [1 + spread]]), 100.0)


def test_zeta_lies_half_way_to_too_little():
    assert pk((1, 2, 3, 4, 5)).zeta == pytest.approx(80)  # psi0 = 100, psi1 = 60: 1.25 zeta1 = psi0


def test_exposure_of_raw_values_is_a_normal_tail_and_of_draws_a_share():
    raw = RawExposures(((80.0, 100.0, 120.0), (50.0,), (7.0, 7.0)))
    assert raw.mean(1) == pytest.approx(100)
    # sd 20, error 20 / sqrt 3: (110 - 100) / 11.547 = .866
    assert raw.below(1, 110) == pytest.approx(0.80676, abs=1e-5)
    assert (raw.mean(2), raw.below(2, 60)) == (50, None)  # one value has no spread
    assert (raw.below(3, 8), raw.below(3, 6)) == (1.0, 0.0)
    assert RawExposures(((),)).mean(1) is None
    draws = ModelExposures(np.array([[1.0, 10.0], [2.0, 20.0], [6.0, 90.0], [7.0, 80.0]]))
    assert (draws.mean(1), draws.below(2, 25)) == (4.0, 0.5)


def test_enough_exposure_lets_lower_levels_be_chosen_too():
    # level 1 has the best score, and the trial is at level 3
    history = [Cohort(1, 3, 0, responses=3), Cohort(2, 3), Cohort(3, 3, 0, responses=1)]
    assert FIVE.decide(history).level == 4  # .295, more than .156 at level 3 and .113 at level 2
    far = pk((90, 150, 200, 250, 300)).decide(history)
    assert far.level == 1
    assert "mean exposure 200" in far.why
    # not where level 1 has too little, nor where level 3 has
    assert pk((70, 150, 200, 250, 300)).decide(history).level == 4
    assert pk((60, 65, 70, 250, 300)).decide(history).level == 4
    # down goes to the best of these, too
    toxic = [*history[:2], Cohort(3, 3, 2)]
    assert (FIVE.decide(toxic).level, pk((90, 150, 200, 250, 300)).decide(toxic).level) == (2, 1)


def test_too_little_exposure_drops_the_lowest_level_from_six_patients_on():
    rule = pk((10, 20, 200, 300, 400))
    history = [Cohort(1, 3, 0, responses=3), Cohort(2, 6, 0, responses=2)]
    assert FIVE.decide(history).level == 1
    # the decision that drops level 1 may still send patients there; the next one may not
    newest = rule.decide(history)
    assert newest.level == 1
    too_little = "P(mean exposure < 100) is 1.000 at level 2, which drops level 1"
    assert f"{too_little} from the next decision on" in newest.why
    later = rule.decide([*history, Cohort(1, 3, 0, responses=3)])
    assert later.level == 2
    assert f"{too_little}," in later.why
    assert rule.decide([history[0], replace(history[1], evaluable=5)]).level == 1
    # half of the draws above the bar: not certain enough
    assert pk((10, 60, 200, 300, 400), spread=0.9).decide(history).level == 1
    # nor is anything dropped by level 1 itself; and a rate to go down at stays where nothing is left below
    assert rule.decide([Cohort(1, 6, 0, responses=5)]).level == 1
    assert rule.decide([Cohort(1, 3), Cohort(2, 6, 3, responses=3)]).level == 1
    stays = rule.decide([Cohort(1, 3), Cohort(2, 6, 2), Cohort(2, 3, 2)])
    assert (stays.level, "no level is below" in stays.why) == (2, True)


def test_every_decision_at_a_level_with_too_little_drops_one_more():
    # level 4 has too little: a decision at six patients, and one at every three more
    rule = pk((10, 20, 30, 40, 400), rule=Boin12(5, most=60))

    def dropped(patients: int) -> set[int]:
        history = [Cohort(1, 3), Cohort(2, 3), Cohort(3, 3), Cohort(4, patients), Cohort(5, 3)]
        return set(rule.limits(history).dropped)

    assert [dropped(n) for n in (5, 6, 8, 9, 12, 30)] == [set(), {1}, {1}, {1, 2}, {1, 2, 3}, {1, 2, 3}]


def test_two_levels_with_too_little_drop_two():
    rule = pk((10, 20, 30, 300, 400))
    history = [Cohort(1, 3, 0, responses=3), Cohort(2, 6, 0, responses=6), Cohort(3, 6, 0, responses=1)]
    assert FIVE.decide(history).level == 2
    assert rule.decide(history).level == 2  # dropped by this decision
    assert rule.decide([*history, Cohort(2, 3, 0, responses=3)]).level == 3


def test_too_little_exposure_at_the_top_ends_the_trial_without_an_obd():
    said = pk((10, 20, 30, 40, 50)).decide([Cohort(4, 3, 0, responses=3), Cohort(5, 6, 0, responses=5)])
    assert (said.action, said.mtd) == ("stop", 0)
    assert "which drops every level" in said.why


def test_the_obd_has_the_exposure_nearest_to_the_wanted_from_below_or_more():
    # five patients a level: nothing is dropped before six
    rule = Boin12(4, most=20)
    history = [Cohort(i, 5, 0, responses=r) for i, r in ((1, 5), (2, 3), (3, 4), (4, 2))]
    assert rule.decide(history).mtd == 1
    said = PkBoin12(rule, ModelExposures(np.array([[20.0, 60.0, 105.0, 210.0]])), 100.0).decide(history)
    assert said.mtd == 3
    assert "exposure is nearest to 100 from below at level 2" in said.why
    # exposures that fall are pooled: (90 + 50) / 2 at levels 1 and 2, the lower of the two is the bound
    pooled = PkBoin12(rule, ModelExposures(np.array([[90.0, 50.0, 300.0, 400.0]])), 100.0)
    assert pooled.decide(history).mtd == 1
    # where that is above the MTD, the MTD it is
    toxic = [Cohort(1, 5, 0, responses=5), Cohort(3, 5, 5), Cohort(4, 5, 5), Cohort(2, 5, 2, responses=1)]
    late = PkBoin12(rule, ModelExposures(np.array([[10.0, 20.0, 30.0, 310.0]])), 100.0)
    assert (rule.decide(toxic).mtd, late.decide(toxic).mtd) == (1, 2)


def test_raw_values_and_draws_of_the_same_mean_decide_alike():
    rng = np.random.default_rng(2)
    raw = RawExposures(tuple(tuple(rng.normal(m, m / 5, 40).tolist()) for m in (40, 90, 180, 300, 500)))
    means = [raw.mean(i) or 0.0 for i in range(1, 6)]
    errors = [np.std(own, ddof=1) / np.sqrt(40) for own in raw.values]
    draws = ModelExposures(rng.normal(means, errors, (4000, 5)))
    for bar in (80.0, 92.0, 190.0):
        for i in range(1, 6):
            assert draws.below(i, bar) == pytest.approx(raw.below(i, bar), abs=0.03)
    for history, _ in trials("boin12", 4, 60):
        said = [PkBoin12(BOIN12_RULES["boin12"], e, 150.0).decide(history) for e in (four(raw), four(draws))]
        assert (said[0].action, said[0].level, said[0].mtd) == (said[1].action, said[1].level, said[1].mtd)


def four(exposures: RawExposures | ModelExposures) -> RawExposures | ModelExposures:
    if isinstance(exposures, RawExposures):
        return RawExposures(exposures.values[:4])
    return ModelExposures(exposures.draws[:, :4])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: PkBoin12(FIVE, RawExposures(((1.0,),)), 100.0), "exposures of 1 levels for a rule of 5"),
        (lambda: PkBoin12(FIVE, AMPLE, 0.0), "a wanted exposure of 0"),
        (lambda: RawExposures(((1.0,), (float("nan"),))), "level 2: an exposure is no number"),
        (lambda: ModelExposures(np.array([1.0, 2.0])), "a row per draw and a column per level"),
    ],
)
def test_exposures_that_cannot_be_are_refused(make, says):
    with pytest.raises(InputError, match=says):
        make()
