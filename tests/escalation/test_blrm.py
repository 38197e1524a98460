"""BLRM: a published example, overdose control, intervals, and what is refused."""

from __future__ import annotations

import pytest

from kinetics.errors import InputError
from kinetics.escalation.blrm import Blrm
from kinetics.escalation.history import Cohort
from tests.support.reference_tables import reference_table


def test_neuenschwanders_example_has_its_posterior_means(shared_data):
    # Neuenschwander 2008 with the prior in escalation and bcrm: log alpha ~ N(2.15, .84), log beta ~ N(.52,
    # .80), covariance .134 (from memory of bcrm's manual; 0 instead misses by .009), reference 250 mg. The
    # reference is a JAGS run: .005 is a Monte-Carlo error's worth
    table = reference_table(shared_data, "published/neuenschwander2008_example.csv")
    rule = Blrm(tuple(table["dose"]), 250.0, (2.15, 0.52), (0.84, 0.80), 0.134 / (0.84 * 0.80))
    history = [
        Cohort(i, n, y)
        for i, (n, y) in enumerate(zip(table["n_patients"], table["n_dlt"], strict=True), start=1)
    ]
    means = [p.mean for p in rule.posterior(history)]
    assert means == pytest.approx(table["bcrm_jags_posterior_mean"].tolist(), abs=0.005)
    finer = Blrm(rule.doses, 250.0, rule.mean, rule.sd, rule.correlation, points=481).posterior(history)
    assert means == pytest.approx([p.mean for p in finer], abs=1e-5)


def test_overdose_control_prints_its_intervals_and_stops_where_nothing_is_admissible():
    rule = Blrm((1.5e7, 3e7, 5e7, 7e7), 5e7, (-0.85, 1.0), (1.0, 1.0), -0.5)
    said = rule.decide([Cohort(1, 3)])
    assert said.level == 2  # no untried level is skipped
    assert "target 0.16 to 0.33, P(overdose) at most 0.25" in said.why
    toxic = rule.decide([Cohort(1, 6, 5)])
    assert (toxic.action, toxic.mtd) == ("stop", 0)
    for p in rule.posterior([Cohort(1, 3, 1)]):
        assert p.under + p.target + p.over == pytest.approx(1)


def test_other_intervals_give_other_doses():
    history = [Cohort(1, 3), Cohort(2, 3, 1)]
    prior = ((1.5e7, 3e7, 5e7, 7e7), 5e7, (-0.85, 0.0), (1.0, 1.0), -0.5)
    strict = Blrm(*prior, target=(0.16, 0.25)).decide(history)
    loose = Blrm(*prior, target=(0.20, 0.60)).decide(history)
    assert (strict.level or 0) < (loose.level or 0)


def test_a_prior_that_is_none_and_doses_that_do_not_rise_are_refused_together():
    with pytest.raises(InputError) as error:
        Blrm((2.0, 1.0), 1.0, (0, 0), (1, 1), 1.5)
    assert len(error.value.problems) == 2
