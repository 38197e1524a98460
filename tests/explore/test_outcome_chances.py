"""The chances of a regimen are the regressions' own, at the exposures of its new patients."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kinetics.explore.outcome_chances import OutcomeChances, chance_table
from kinetics.explore.what_if import Answer, Choice, Course
from kinetics.plan import plan_of
from tests.support.fits import cart_fit, prior_fit

TWICE = Choice((Course("car_t", 6e7, split=2),))


@pytest.fixture(scope="module")
def chances() -> OutcomeChances:
    plan = {
        "model": "ogasawara_2021",
        "data": "nkg2d_phase1_synthetic",
        "name": "blood",
        "products": ["car_t"],
        "vary": ["cmax"],
        "observe": {"car_copies": {"output": "copies"}},
    }
    found = OutcomeChances(prior_fit(plan_of(plan)))
    found.find()
    return found


def answer(peak: float) -> Answer:
    numbers = pd.DataFrame(
        {"route": "chosen", "output": "copies", "unit": "copies/ug DNA", "patient": [1, 2, 3]}
    ).assign(peak=[peak, 2 * peak, 3 * peak], peak_day=9.0, auc_28d=12 * peak)
    return Answer(bands=pd.DataFrame(), numbers=numbers, seconds=0.0, gave_up=0)


def test_a_chance_is_the_mean_of_the_new_patients(chances: OutcomeChances) -> None:
    assert chances.why_not == ""
    table = chance_table(chances, answer(2e4), TWICE).set_index("outcome")
    crs = chances.by_outcome["crs"]
    x = {"car_copies_cmax": np.tile([2e4, 4e4, 6e4], (200, 1))}
    assert table.loc["CRS of grade 2 or more", "median"] == pytest.approx(
        np.median(crs.probability(x, 2).mean(axis=1))
    )
    assert table.loc["CRS of grade 2 or more", "events"] == sum(crs.counts[2:])
    assert table.loc["DLT", "by"] == "dose"
    dlt = chances.by_outcome["dlt"]
    at_dose = {"dose": np.full((200, 3), 3e7)}  # of one of the two infusions
    assert table.loc["DLT", "median"] == pytest.approx(np.median(dlt.probability(at_dose, 1).mean(axis=1)))
    order = table.loc[["CRS of any grade", "CRS of grade 2 or more", "CRS of grade 3 or more"], "median"]
    assert (np.diff(order) < 0).all()


def test_more_cells_have_more_dlts_and_another_product_has_no_chance(chances: OutcomeChances) -> None:
    low = chance_table(chances, answer(2e4), TWICE).set_index("outcome")
    high = chance_table(chances, answer(2e4), Choice((Course("car_t", 1.4e8, split=2),))).set_index("outcome")
    assert high.loc["DLT", "median"] > low.loc["DLT", "median"]
    assert chance_table(chances, answer(2e4), Choice((Course("car_nk", 1e7),))).empty


def test_it_says_why_there_is_none() -> None:
    without = OutcomeChances(None)
    without.find()
    assert "need a run" in str(without.why_not)
    no_protocol = OutcomeChances(cart_fit())
    no_protocol.find()
    assert "no protocol.toml" in str(no_protocol.why_not)
    assert chance_table(no_protocol, answer(1.0), TWICE).empty
