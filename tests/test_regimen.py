"""Doses as dense arrays: padding, the share of each course, products, units."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from kinetics.errors import StudyError
from kinetics.regimen import Doses, doses_of, pad_doses
from kinetics.study import Study, read_study


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
    assert "cells and mg cannot enter one model" in str(caught.value)
    assert "products = [...]" in caught.value.problems[0].remedy
    assert doses_of(mixed, products=["car_t"]).amount.sum() == pytest.approx(study.doses["amount"].sum())
    assert doses_of(mixed, products=["fludarabine"]).amount.sum() == pytest.approx(80.0)
