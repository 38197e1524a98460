"""Regimens: days, amounts and courses. Doses as dense arrays: padding, the share of each course, units."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError, replace
from functools import reduce
from itertools import permutations
from operator import add
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kinetics.errors import PlanError, StudyError
from kinetics.regimen.dose import Dose
from kinetics.regimen.regimen import Regimen
from kinetics.regimen.schedule import Doses, doses_for, doses_of, pad_doses
from kinetics.study.study import Study, read_study


def table(*rows: tuple[str, str, float, float, int]) -> pd.DataFrame:
    """Doses from (subject, product, time, amount, cycle)."""
    frame = pd.DataFrame(rows, columns=["subject", "product", "time", "amount", "cycle"])
    return frame.assign(duration=0.02, unit="cells")


@pytest.fixture(scope="module")
def study() -> Study:
    return read_study("synthetic_cart_12")


MIXED = table(
    ("b", "car_nk", 0.0, 3e9, 1), ("b", "car_nk", 2.0, 1e9, 1), ("b", "car_t", 7.0, 5e8, 1),
    ("b", "car_nk", 14.0, 2e9, 2), ("a", "car_t", 1.0, 4e8, 1),
)  # fmt: skip


def courses(doses: Doses, amounts: np.ndarray) -> Iterator[tuple[int, int, np.ndarray]]:
    """(subject, course, which slots) of every course that holds a dose."""
    for i in range(amounts.shape[0]):
        for course in np.unique(doses.course[i][amounts[i] > 0]):
            yield i, course, (doses.course[i] == course) & (amounts[i] > 0)


def test_every_subject_has_as_many_slots_as_the_busiest_one() -> None:
    doses = pad_doses(MIXED, ["a", "b"])
    assert {field.shape for field in doses} == {(2, 4)}
    np.testing.assert_array_equal(doses.time, [[1, 1, 1, 1], [0, 2, 7, 14]])
    np.testing.assert_array_equal(doses.amount, [[4e8, 0, 0, 0], [3e9, 1e9, 5e8, 2e9]])
    np.testing.assert_array_equal(doses.duration, [[0.02, 0, 0, 0], [0.02] * 4])


def test_an_unused_slot_has_no_amount_no_share_and_no_duration() -> None:
    doses = pad_doses(MIXED, ["a", "b"])
    unused = doses.amount == 0
    assert unused.sum() == 3
    assert not doses.share[unused].any()
    assert not doses.duration[unused].any()


def test_shares_are_the_amount_over_its_course_and_sum_to_one() -> None:
    doses = pad_doses(MIXED, ["a", "b"])
    np.testing.assert_allclose(doses.share, [[1, 0, 0, 0], [0.75, 0.25, 1, 1]])
    seen = list(courses(doses, doses.amount))
    assert len(seen) == 4
    for i, _, slots in seen:
        assert doses.share[i, slots].sum() == pytest.approx(1.0)


def test_cycle_one_of_two_products_is_two_courses() -> None:
    doses = pad_doses(MIXED, ["b"])
    nk, t = doses.course[0, 0], doses.course[0, 2]
    assert nk == doses.course[0, 1]
    assert len({nk, t, doses.course[0, 3]}) == 3
    assert sorted({int(c) for c in doses.course[0]}) == [0, 1, 2]


def test_courses_of_the_library_study_each_sum_to_one(study: Study) -> None:
    doses = doses_of(study)
    expected = study.doses.groupby(["subject", "product", "cycle"]).ngroups
    shares = [doses.share[i, slots].sum() for i, _, slots in courses(doses, doses.amount)]
    assert len(shares) == expected > len(study.subject_ids)
    np.testing.assert_allclose(shares, 1.0)


def test_unsorted_doses_come_out_in_the_order_of_time() -> None:
    shuffled = MIXED.iloc[[3, 1, 4, 0, 2]]
    for got, wanted in zip(pad_doses(shuffled, ["a", "b"]), pad_doses(MIXED, ["a", "b"]), strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_subjects_come_in_the_order_asked_and_one_without_doses_gets_none() -> None:
    doses = pad_doses(MIXED, ["b", "nobody", "a"])
    np.testing.assert_array_equal(doses.amount.sum(axis=1), [6.5e9, 0.0, 4e8])
    assert not doses.share[1].any()
    assert all(np.isfinite(field).all() for field in doses)


def test_no_dose_at_all_still_leaves_one_empty_slot() -> None:
    doses = pad_doses(MIXED.iloc[:0], ["a", "b"])
    assert doses.amount.shape == (2, 1)
    assert not doses.amount.any()


def test_only_the_products_asked_for_remain(study: Study) -> None:
    both = replace(study, doses=pd.concat([study.doses, study.doses.head(3).assign(product="car_nk")]))
    nk = doses_of(both, products=["car_nk"])
    t = doses_of(both, products=["car_t"])
    assert nk.amount.sum() == pytest.approx(study.doses["amount"].head(3).sum())
    assert t.amount.sum() == pytest.approx(study.doses["amount"].sum())
    np.testing.assert_array_equal(t.amount, doses_of(study).amount)
    total = doses_of(both, products=["car_t", "car_nk"]).amount.sum()
    assert total == pytest.approx(nk.amount.sum() + t.amount.sum())


def test_a_product_that_was_not_given_is_refused_with_those_that_were(study: Study) -> None:
    with pytest.raises(StudyError) as caught:
        doses_of(study, products=["car_t", "car_nk", "car_m"])
    (problem,) = caught.value.problems
    assert "no dose of product car_m, car_nk" in problem.what
    assert "products in this study: car_t" in problem.remedy
    assert problem.file == str(study.path)


def test_cells_and_milligrams_are_refused_together_and_taken_apart(study: Study) -> None:
    chemo = study.doses.head(2).assign(product="fludarabine", unit="mg", amount=40.0)
    mixed = replace(study, doses=pd.concat([study.doses, chemo]))
    with pytest.raises(StudyError) as caught:
        doses_of(mixed)
    assert "cells and fludarabine in mg would enter together" in str(caught.value)
    assert "products = [...]" in caught.value.problems[0].remedy
    assert doses_of(mixed, products=["car_t"]).amount.sum() == pytest.approx(study.doses["amount"].sum())
    assert doses_of(mixed, products=["fludarabine"]).amount.sum() == pytest.approx(80.0)


NK = Regimen.hepatic_artery(cells=[1e9, 2e9], on=[0, 1], product="car_nk")
CAR_T = Regimen.iv(cells_per_kg=3e7, on=[14, 15], product="car_t", minutes=30)
TRIAL = NK + CAR_T.repeat(every_days=14, times=2)
ENTRIES = ("car_nk/hepatic_artery", "iv")


def refusal(act: Callable[[], object]) -> list[str]:
    """Every problem of the PlanError that `act` raises, as it is shown."""
    with pytest.raises(PlanError) as caught:
        act()
    return [str(problem) for problem in caught.value.problems]


def test_the_trials_regimen_gives_its_days_amounts_and_cycles() -> None:
    doses = TRIAL.doses(weight_kg=70)
    assert list(doses.columns) == ["product", "route", "time", "amount", "unit", "duration", "cycle"]
    assert doses["product"].tolist() == ["car_nk"] * 2 + ["car_t"] * 4
    assert doses["route"].tolist() == ["hepatic_artery"] * 2 + ["iv"] * 4
    assert doses["time"].tolist() == [0, 1, 14, 15, 28, 29]
    assert doses["amount"].tolist() == [1e9, 2e9, 2.1e9, 2.1e9, 2.1e9, 2.1e9]
    assert doses["unit"].tolist() == ["cells"] * 6
    assert doses["duration"].tolist() == pytest.approx([0, 0, 1 / 48, 1 / 48, 1 / 48, 1 / 48])
    assert doses["cycle"].tolist() == [1, 1, 1, 1, 2, 2]


def test_each_route_is_its_own_constructor_and_the_product_is_car_t_unless_said() -> None:
    made = [Regimen.iv, Regimen.hepatic_artery, Regimen.portal_vein]
    tables = [constructor(cells=1e9, on=0).doses() for constructor in made]
    assert [t["route"].item() for t in tables] == ["iv", "hepatic_artery", "portal_vein"]
    assert {t["product"].item() for t in tables} == {"car_t"}
    assert Regimen.dose(route="pleura", cells=1e9, on=0).doses()["route"].item() == "pleura"


def test_amounts_and_minutes_are_one_for_all_days_or_one_for_each() -> None:
    doses = Regimen.iv(mg_per_kg=[1.0, 2.0], on=np.array([3, 5]), minutes=[10, 60], product="drug").doses(50)
    assert doses["amount"].tolist() == [50.0, 100.0]
    assert doses["duration"].tolist() == pytest.approx([10 / 1440, 60 / 1440])
    assert doses["unit"].tolist() == ["mg", "mg"]
    assert Regimen.iv(cells=1e9, on=range(3)) == Regimen.iv(cells=[1e9] * 3, on=[0, 1, 2], minutes=0)


def test_a_whole_dose_needs_no_weight_and_a_dose_per_kg_scales_with_it() -> None:
    assert NK.doses().equals(NK.doses(weight_kg=50))
    assert CAR_T.doses(50)["amount"].tolist() == [1.5e9, 1.5e9]


def test_a_ceiling_holds_above_its_weight_only() -> None:
    tocilizumab = Regimen.tocilizumab(on=3)
    assert tocilizumab.doses(60)["amount"].item() == 480  # 8 mg/kg
    assert tocilizumab.doses(100)["amount"].item() == 800
    assert tocilizumab.doses(130)["amount"].item() == 800  # at most 800 mg
    assert Regimen.tocilizumab(on=3, at_most_mg=None).doses(130)["amount"].item() == 1040
    capped = Regimen.iv(cells_per_kg=2e6, at_most_cells=2e8, on=0)
    assert [capped.doses(kg)["amount"].item() for kg in (70, 120)] == [1.4e8, 2e8]


def test_other_events_are_doses_of_their_own_products() -> None:
    chemo, steroid = Regimen.lymphodepletion(on=[0, 1, 2]), Regimen.steroid(mg_per_kg=2, on=[9, 10])
    table = (chemo + steroid + Regimen.steroid(mg=10, on=11, drug="dexamethasone", route="oral")).doses(70)
    assert table["product"].tolist() == [
        *["lymphodepletion"] * 3, "methylprednisolone", "methylprednisolone", "dexamethasone",
    ]  # fmt: skip
    assert table["amount"].tolist() == [1, 1, 1, 140, 140, 10]
    assert table["unit"].tolist() == ["count"] * 3 + ["mg"] * 3
    assert table["route"].tolist() == ["iv"] * 5 + ["oral"]
    assert Regimen.tocilizumab(on=3).doses(60)["duration"].item() == pytest.approx(1 / 24)


def test_joining_is_the_union_of_the_doses_in_any_order() -> None:
    parts = [NK, CAR_T, Regimen.tocilizumab(on=14), NK.later(days=28)]
    joined = reduce(add, parts)
    rows = pd.concat([part.doses(70) for part in parts])
    got, wanted = (sorted(t.itertuples(index=False, name=None)) for t in (joined.doses(70), rows))
    assert got == wanted
    assert len(joined.given) == 7
    for order in permutations(parts):
        assert reduce(add, order) == joined
    assert sum(parts, Regimen()) == joined
    assert NK + NK != NK


def test_joined_doses_enter_a_model_as_the_sum_of_the_parts() -> None:
    def by_day(regimen: Regimen) -> dict[tuple[float, int], float]:
        doses, total = doses_for(regimen, np.array([70.0]), ENTRIES), {}
        for time, amount, entry in zip(doses.time[0], doses.amount[0], doses.entry[0], strict=True):
            total[(float(time), int(entry))] = total.get((float(time), int(entry)), 0.0) + float(amount)
        return total

    other = Regimen.iv(cells=5e8, on=[14, 20], product="car_nk")
    one, two, both = by_day(CAR_T), by_day(other), by_day(CAR_T + other)
    assert both == {day: one.get(day, 0.0) + two.get(day, 0.0) for day in {*one, *two}}
    assert both[(14.0, 1)] == 2.6e9


def test_repeat_counts_the_cycles_of_each_product_on() -> None:
    thrice = TRIAL.repeat(every_days=60, times=3).doses(70)
    nk, t = (thrice[thrice["product"] == product] for product in ("car_nk", "car_t"))
    assert nk["time"].tolist() == [0, 1, 60, 61, 120, 121]
    assert nk["cycle"].tolist() == [1, 1, 2, 2, 3, 3]
    assert t["cycle"].tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]
    assert t["time"].tolist() == [14, 15, 28, 29, 74, 75, 88, 89, 134, 135, 148, 149]
    third = Regimen.iv(cells=1e9, on=0, cycle=3).repeat(every_days=7, times=2)
    assert third.doses()["cycle"].tolist() == [3, 4]
    assert TRIAL.repeat(every_days=60, times=1) == TRIAL


def test_a_repeat_is_what_addl_and_ii_write_in_an_event_table(tmp_path: Path) -> None:
    path = tmp_path / "addl.csv"
    path.write_text(
        "ID,TIME,DV,AMT,DUR,EVID,ADDL,II,WT\n1,14,.,3e7,0.5,1,3,14,70\n1,15,.,5e7,0.25,1,2,7.3,70\n"
        "1,20,5,.,.,0,.,.,70\n"
    )
    table = read_study(
        path, time_unit="day", dose_unit="cells/kg", value_unit="cells/uL", analyte="cells", route="iv",
        product="car_t", weight_column="WT",
    ).doses  # fmt: skip
    regimen = Regimen.iv(cells_per_kg=3e7, on=14, minutes=720).repeat(every_days=14, times=4)
    regimen += Regimen.iv(cells_per_kg=5e7, on=15, minutes=360).repeat(every_days=7.3, times=3)
    columns = ["product", "route", "time", "amount", "unit", "duration"]
    wanted = table.sort_values(["time", "amount"])[columns].reset_index(drop=True)
    got = regimen.doses(70).sort_values(["time", "amount"])[columns].reset_index(drop=True)
    assert len(got) == 7
    pd.testing.assert_frame_equal(got, wanted, check_dtype=False, rtol=1e-12)


def test_later_moves_every_dose_and_only_keeps_a_product() -> None:
    assert TRIAL.later(days=5).doses(70)["time"].tolist() == [5, 6, 19, 20, 33, 34]
    assert TRIAL.later(days=5).later(days=-5) == TRIAL
    assert TRIAL.only("car_nk") == NK
    assert TRIAL.only("car_t", "car_nk") == TRIAL
    assert refusal(lambda: TRIAL.only("cart")) == ["no dose of product 'cart'; did you mean 'car_t'?"]


def test_what_was_infused_replaces_what_was_planned() -> None:
    infused = TRIAL.but_infused({("car_nk", 1, 2): 1.4e9, ("car_t", 1, 1): 2e9, ("car_t", 2, 2): 0}).doses(70)
    assert infused["time"].tolist() == [0, 1, 14, 15, 28]  # the last one was not given
    assert infused["amount"].tolist() == [1e9, 1.4e9, 2e9, 2.1e9, 2.1e9]
    assert infused["unit"].tolist() == ["cells"] * 5  # whole doses, whatever the weight
    assert TRIAL.but_infused({("car_t", 1, 1): 2e9}).doses(50)["amount"].tolist()[2:4] == [2e9, 1.5e9]
    above = Regimen.tocilizumab(on=3).but_infused({("tocilizumab", 1, 1): 810})
    assert above.doses()["amount"].item() == 810  # the ceiling is that of the plan
    assert TRIAL.but_infused({}) == TRIAL


def test_infusions_that_there_are_not_and_amounts_that_are_none_are_refused_together() -> None:
    found = refusal(
        lambda: NK.but_infused({("car_nk", 1, 3): 1e9, ("car_nk", 1, 1): -1.0, ("car_nk", 1, 2): np.nan})
    )
    assert found == [
        "no infusion ('car_nk', 1, 3); known: ('car_nk', 1, 1), ('car_nk', 1, 2)",
        "infusion ('car_nk', 1, 1): -1.0 is not an amount; write what was infused, 0 for nothing",
        "infusion ('car_nk', 1, 2): nan is not an amount; write what was infused, 0 for nothing",
    ]


def test_a_regimen_is_a_frozen_value() -> None:
    again = Regimen.hepatic_artery(cells=[2e9, 1e9], on=[1, 0], product="car_nk")
    assert again == NK
    assert hash(again) == hash(NK)
    assert len({NK, again, CAR_T}) == 2
    assert NK.later(days=1) != NK
    with pytest.raises(FrozenInstanceError):
        NK.given = ()  # pyright: ignore
    with pytest.raises(TypeError):
        NK + 1  # pyright: ignore


def test_it_is_shown_as_a_table() -> None:
    regimen = CAR_T + Regimen.tocilizumab(on=16.5) + NK.only("car_nk")
    assert str(regimen) == repr(regimen)
    assert str(regimen).splitlines() == [
        "Regimen of 5 doses",
        "  product      cycle  day   route           amount                   over",
        "  car_nk       1      0     hepatic_artery  1e9 cells                bolus",
        "  car_nk       1      1     hepatic_artery  2e9 cells                bolus",
        "  car_t        1      14    iv              3e7 cells/kg             30 min",
        "  car_t        1      15    iv              3e7 cells/kg             30 min",
        "  tocilizumab  1      16.5  iv              8 mg/kg, at most 800 mg  60 min",
    ]


def test_everything_wrong_with_a_dose_is_said_at_once() -> None:
    found = refusal(
        lambda: Regimen.dose(
            route="hepatic_atery",
            product="CAR-T",
            cells=[-1e9, np.nan, 3],
            on=[-1, np.inf],
            minutes=[-5],
            cycle=0,
        )
    )
    whole = "\n".join(found)
    assert len(found) == 10
    assert "cells has 3 values, on has 2 days; write one value for all days, or one for each" in found
    assert "minutes has 1 values, on has 2 days" in whole
    assert "product = 'CAR-T' is not a snake_case name; did you mean 'car_t'?" in found
    assert "route = 'hepatic_atery' looks misspelt; did you mean 'hepatic_artery'?" in found
    assert "CAR-T on day -1: on = -1 is not a day from 0 up" in whole
    assert "CAR-T on day inf: on = inf is not a day from 0 up" in whole
    assert (
        "CAR-T on day -1: cells = -1e+09 is not an amount above 0; write the amount that was infused" in whole
    )
    assert "CAR-T on day inf: cells = nan is not an amount above 0" in whole
    assert "CAR-T on day -1: minutes = -5 is not a duration from 0 to a week; write 0 for a bolus" in whole
    assert "CAR-T: cycle = 0 is not a whole number from 1 up" in whole


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (
            lambda: Regimen.iv(on=0),
            "no amount is given; give exactly one of cells, cells_per_kg, mg, mg_per_kg",
        ),
        (lambda: Regimen.iv(on=0, cells=1, mg_per_kg=2), "the amount is given 2 times (cells, mg_per_kg)"),
        (
            lambda: Regimen.iv(on=0, cells=0),
            "cells = 0 is not an amount above 0; write the amount that was infused",
        ),
        (lambda: Regimen.iv(on=[], cells=1e9), "on = [] is not a number or a list of numbers"),
        (
            lambda: Regimen.iv(on=0, cells=1e9, minutes=20000),
            "minutes = 20000 is not a duration from 0 to a week",
        ),
        (lambda: Regimen.iv(on=0, cells=1e9, at_most_cells=1e8), "at_most_cells without cells_per_kg"),
        (lambda: Regimen.iv(on=0, cells_per_kg=1e7, at_most_mg=9), "at_most_mg without mg_per_kg"),
        (lambda: Regimen.iv(on=0, cells_per_kg=1e7, at_most_cells=-9), "a ceiling of -9 is not above 0"),
        (lambda: Regimen.dose(route="IV", on=0, cells=1), "is not a snake_case name; did you mean 'iv'?"),
        (lambda: Regimen.dose(route="left arm", on=0, cells=1), "write a snake_case name such as 'iv'"),
        (lambda: Regimen.steroid(on=0), "no amount is given"),
        (lambda: NK.later(days=-1), "on = -1 is not a day from 0 up; day 0 is the regimen's first event"),
        (lambda: NK.later(days=np.nan), "on = nan is not a day from 0 up"),
        (lambda: CAR_T.repeat(every_days=0, times=2), "every_days = 0 is not a number of days above 0"),
        (
            lambda: CAR_T.repeat(every_days=np.nan, times=2),
            "every_days = nan is not a number of days above 0",
        ),
        (lambda: CAR_T.repeat(every_days=14, times=0), "times = 0 is not a whole number from 1 up"),
        (
            lambda: Regimen((Dose(0.0, "car_t", "iv", 1, 1.0, "grams"),)),
            "unit 'grams'; known: cells, cells/kg",
        ),
        (
            lambda: Regimen((Dose(0.0, "car_t", "iv", 1, 1.0, "mg", 0.0, 5.0),)),
            "a ceiling, and mg is not per kg",
        ),
        (
            lambda: CAR_T.doses(),
            "car_t is dosed per kg, and 1 of 1 body weights are missing; give `weight_kg`",
        ),
        (
            lambda: CAR_T.doses(70000),
            "1 of 1 body weights are implausible in kg: 70000; write kg, from 0.3 to 400",
        ),
        (lambda: CAR_T.doses(-70), "1 of 1 body weights are implausible in kg: -70"),
    ],
)
def test_each_wrong_dose_is_refused_with_what_to_do(make: Callable[[], object], wanted: str) -> None:
    (found,) = refusal(make)
    assert wanted in found


def test_one_wrong_value_for_many_days_is_one_mistake() -> None:
    (found,) = refusal(lambda: Regimen.iv(cells=-1e9, on=[3, 4, 5]))
    assert found.startswith("car_t on day 3: cells = -1e+09 is not an amount above 0")


def test_both_faults_of_a_repeat_are_said() -> None:
    assert len(refusal(lambda: CAR_T.repeat(every_days=-1, times=-1))) == 2


def test_many_patients_get_what_each_would_get_alone() -> None:
    weights = np.array([50.0, 70.0, 110.0])
    regimen = TRIAL + Regimen.iv(cells=1e9, on=14, minutes=10) + Regimen.tocilizumab(on=[16, 17])
    entries = (*ENTRIES, "tocilizumab/iv")
    alone = pd.concat([regimen.doses(kg).assign(subject=str(i)) for i, kg in enumerate(weights)])
    wanted = pad_doses(alone, ["0", "1", "2"], entries)
    for got, one in zip(doses_for(regimen, weights, entries), wanted, strict=True):
        assert got.shape == (3, 9)
        np.testing.assert_allclose(got, one, rtol=1e-14)


def test_patients_weights_scale_their_doses_and_entries_are_by_product() -> None:
    doses = doses_for(TRIAL, np.array([50.0, 70.0]), ENTRIES, dose_unit="cells")
    np.testing.assert_array_equal(doses.time, [[0, 1, 14, 15, 28, 29]] * 2)
    np.testing.assert_array_equal(doses.amount[:, 2:], [[1.5e9] * 4, [2.1e9] * 4])
    np.testing.assert_array_equal(doses.entry, [[0, 0, 1, 1, 1, 1]] * 2)
    np.testing.assert_allclose(doses.share, [[1 / 3, 2 / 3, 0.5, 0.5, 0.5, 0.5]] * 2)
    assert len(set(doses.course[0])) == 3


def test_a_regimen_without_doses_and_one_without_patients_are_empty() -> None:
    nothing = doses_for(Regimen(), np.array([70.0, 80.0]), ENTRIES)
    assert nothing.amount.tolist() == [[0.0], [0.0]]
    assert nothing.share.tolist() == [[0.0], [0.0]]
    assert doses_for(TRIAL, np.zeros(0), ENTRIES).amount.shape == (0, 6)
    assert Regimen().doses().empty


def test_every_dose_without_an_entry_is_named() -> None:
    found = refusal(lambda: doses_for(TRIAL + Regimen.tocilizumab(on=3), np.array([70.0]), ["portal_vein"]))
    assert len(found) == 3
    assert found[0].startswith(
        "the model has no entry for car_nk given hepatic_artery; its entries: portal_vein"
    )
    assert found[2].endswith("leave a product out with `regimen.only(...)`")


def test_bad_weights_are_refused_where_a_dose_is_per_kg() -> None:
    weights = np.array([70.0, np.nan, 0.0, 7e4])
    found = refusal(lambda: doses_for(TRIAL, weights, ENTRIES))
    assert "1 of 4 body weights are missing" in found[0]
    assert "2 of 4 body weights are implausible in kg: 0, 70000" in found[1]
    assert doses_for(NK, weights, ENTRIES).amount.tolist() == [[1e9, 2e9]] * 4


@pytest.mark.parametrize(
    ("extra", "entries", "dose_unit", "wanted"),
    [
        (Regimen.tocilizumab(on=3), ("iv",), "", "cells and tocilizumab in mg would enter together by iv"),
        (Regimen.tocilizumab(on=3), (), "", "would enter together by the model's solution"),
        (
            Regimen.tocilizumab(on=3),
            ("iv",),
            "cells",
            "tocilizumab in mg would enter by iv, which takes cells",
        ),
        (Regimen.lymphodepletion(on=3), ("iv",), "", "lymphodepletion in count would enter by iv"),
    ],
)
def test_amounts_that_cannot_be_added_do_not_enter_together(
    extra: Regimen, entries: tuple[str, ...], dose_unit: str, wanted: str
) -> None:
    (found,) = refusal(lambda: doses_for(CAR_T + extra, np.array([70.0]), entries, dose_unit=dose_unit))
    assert wanted in found
    own = f"{extra.given[0].product}/iv"
    assert f"give the model an entry '{own}'" in found
    doses = doses_for(CAR_T + extra, np.array([70.0]), ("iv", own), dose_unit="cells")
    assert sorted(doses.entry[0]) == [0, 0, 1]


def test_milligrams_of_two_drugs_do_not_enter_together() -> None:
    drugs = Regimen.tocilizumab(on=3) + Regimen.steroid(mg=100, on=4)
    (found,) = refusal(lambda: doses_for(drugs, np.array([70.0]), ["iv"], dose_unit="mg"))
    assert found.startswith("methylprednisolone in mg and tocilizumab in mg would enter together by iv")
    assert doses_for(drugs.only("tocilizumab"), np.array([70.0]), ["iv"], dose_unit="mg").amount.item() == 560


def test_a_studys_dose_without_an_entry_is_refused_with_its_file(study: Study) -> None:
    with pytest.raises(StudyError) as caught:
        doses_of(study, entries=["portal_vein"])
    (problem,) = caught.value.problems
    assert problem.what == "the model has no entry for car_t given iv"
    assert "its entries: portal_vein; leave a product out with `products = [...]`" in problem.remedy
    assert problem.file == str(study.path)
