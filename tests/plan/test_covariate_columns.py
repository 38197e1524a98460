"""Design columns of covariates and allometry by hand, and every missing value named by its subject."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kinetics.errors import PlanError
from kinetics.model.priors import Normal
from kinetics.plan.binding import bind
from kinetics.plan.covariate_columns import design_columns
from kinetics.study.study import Study, read_study
from tests.support.plans import plan


@pytest.fixture(scope="module")
def study() -> Study:
    return read_study("synthetic_cart_12")


def on(parameter: str, **spec: Any) -> dict[str, Any]:
    return {"covariates": {parameter: [spec]}}


def with_subjects(study: Study, **columns: Any) -> Study:
    """The study with columns of subjects replaced, all or by subject: `age={"S01": nan}`."""
    subjects = study.subjects.copy()
    for name, values in columns.items():
        if isinstance(values, Mapping):
            for subject, value in values.items():
                subjects.loc[subject, name] = value
        else:
            subjects[name] = values
    return replace(study, subjects=subjects)


def test_a_linear_covariate_is_centred_at_the_median_of_the_subjects(study: Study) -> None:
    columns, effects, problems = design_columns(plan(**on("cmax", covariate="age", sd=0.3)), study)
    age = study.subjects["age"].to_numpy()
    assert problems == []
    assert [(e.site, e.parameter, e.prior) for e in effects] == [("beta_cmax_age", "cmax", Normal(0.0, 0.3))]
    (column,) = columns.values()
    np.testing.assert_allclose(column, age - np.median(age))
    assert np.median(column) == 0.0


@pytest.mark.parametrize("centre", [None, 3e7])
def test_a_power_covariate_is_the_log_of_its_ratio_to_the_centre(study: Study, centre: float | None) -> None:
    spec = on("cmax", covariate="dose_level", form="power", **({"centre": centre} if centre else {}))
    (column,) = design_columns(plan(**spec), study)[0].values()
    level = study.subjects["dose_level"].to_numpy()
    np.testing.assert_allclose(column, np.log(level / (centre or np.median(level))))


def test_a_linear_covariate_keeps_the_centre_it_is_given(study: Study) -> None:
    (column,) = design_columns(plan(**on("cmax", covariate="age", centre=0.0)), study)[0].values()
    np.testing.assert_array_equal(column, study.subjects["age"])


def test_a_category_gives_an_indicator_for_every_level_but_the_most_frequent(study: Study) -> None:
    tumour = ["gastric"] * 5 + ["colorectal"] * 4 + ["lung"] * 3
    columns, effects, _ = design_columns(
        plan(**on("cmax", covariate="tumour")), with_subjects(study, tumour=tumour)
    )
    assert {e.site for e in effects} == {"beta_cmax_tumour_colorectal", "beta_cmax_tumour_lung"}
    by_site = {e.site: columns[e.column] for e in effects}
    np.testing.assert_array_equal(by_site["beta_cmax_tumour_colorectal"], [0] * 5 + [1] * 4 + [0] * 3)
    np.testing.assert_array_equal(by_site["beta_cmax_tumour_lung"], [0] * 9 + [1] * 3)


def test_the_reference_of_a_tie_does_not_depend_on_the_order_of_the_subjects(study: Study) -> None:
    tied = with_subjects(study, sex=["male", "female"] * 6)
    turned = replace(tied, subjects=tied.subjects.iloc[::-1])
    names = [
        {e.site for e in design_columns(plan(**on("cmax", covariate="sex")), s)[1]} for s in (tied, turned)
    ]
    assert names[0] == names[1]


def test_a_code_is_a_category_even_where_it_looks_like_a_number(study: Study) -> None:
    _, effects, _ = design_columns(plan(**on("cmax", covariate="crs_grade")), study)
    grades = study.subjects["crs_grade"].astype(str).value_counts()
    assert {e.name for e in effects} == {f"crs_grade_{g}" for g in grades.index[1:]}


def test_two_parameters_may_use_one_covariate_each_in_its_own_form(study: Study) -> None:
    """The second use must not replace the design column of the first."""
    both = plan(
        covariates={
            "cmax": [{"covariate": "dose_level", "form": "power", "centre": 3e7}],
            "tmax": [{"covariate": "dose_level", "centre": 5e7}],
        }
    )
    columns, effects, _ = design_columns(both, study)
    by_parameter = {e.parameter: columns[e.column] for e in effects}
    level = study.subjects["dose_level"].to_numpy()
    np.testing.assert_allclose(by_parameter["cmax"], np.log(level / 3e7))
    np.testing.assert_allclose(by_parameter["tmax"], level - 5e7)


def test_allometry_is_the_exponent_times_the_log_of_relative_weight(study: Study) -> None:
    scaled = plan(allometry={"cmax": {"exponent": 0.75}, "tmax": {"exponent": -0.25, "reference": 60.0}})
    columns, effects, problems = design_columns(scaled, study)
    weight = study.subjects["weight_kg"].to_numpy()
    assert (effects, problems) == ((), [])
    np.testing.assert_allclose(columns["allometry_cmax"], 0.75 * np.log(weight / 70.0))
    np.testing.assert_allclose(columns["allometry_tmax"], -0.25 * np.log(weight / 60.0))


def records(study: Study, **rows: list[tuple[float, float, str]]) -> Study:
    """The study with these records of qPCR alone: subject -> time, value, censored."""
    kept = study.observations.iloc[:0]
    table = pd.DataFrame(
        [(s, t, v, c) for s, own in rows.items() for t, v, c in own],
        columns=["subject", "time", "value", "censored"],
    )
    return replace(study, observations=pd.concat([kept, table.assign(analyte="car_copies")]))


def test_a_measurement_is_read_off_a_line_of_logs_between_a_subjects_own_samples(study: Study) -> None:
    own = [(2.0, 10.0, "none"), (6.0, 1000.0, "none"), (8.0, 50.0, "left")]
    rows = {s: own if s == "S01" else [(3.0, 7.0, "none")] for s in study.subject_ids}
    changed = records(study, **rows)
    days = {1: 10.0, 3: 10.0**1.5, 6: 1000.0, 7: (1000.0 * 25.0) ** 0.5, 9: 25.0}
    for day, expected in days.items():
        scaled = plan(
            allometry={"cmax": {"covariate": f"car_copies@{day}", "exponent": 2.0, "reference": 5.0}}
        )
        columns, _, problems = design_columns(scaled, changed)
        assert problems == []
        column = columns["allometry_cmax"]
        np.testing.assert_allclose(column[:2], 2.0 * np.log(np.array([expected, 7.0]) / 5.0))


def test_a_subject_without_a_measurement_and_a_day_that_is_none_are_named(study: Study) -> None:
    rows = {s: [(3.0, 7.0, "none")] for s in study.subject_ids[1:]}
    given = {"exponent": 1.0, "reference": 1.0}
    asked = plan(allometry={"cmax": {"covariate": "car_copies@3", **given}})
    (problem,) = design_columns(asked, records(study, **rows))[2]
    assert (problem.subject, problem.what) == ("S01", "car_copies@3: no car_copies was measured")
    for day in ("day3", "nan", ""):
        asked = plan(allometry={"cmax": {"covariate": f"car_copies@{day}", **given}})
        (problem,) = design_columns(asked, study)[2]
        assert (problem.what, problem.remedy) == (
            f"covariate 'car_copies@{day}': '{day}' is no day",
            'write it as "car_copies@7"',
        )
    asked = plan(allometry={"cmax": {"covariate": "car_copy@3", **given}})
    (problem,) = design_columns(asked, study)[2]
    assert "car_copies" in problem.remedy


def test_no_covariate_gives_no_column(study: Study) -> None:
    assert design_columns(plan(), study) == ({}, (), [])


def test_every_missing_value_is_named_by_its_subject(study: Study) -> None:
    holes = with_subjects(study, age={"S03": np.nan, "S11": np.nan}, weight_kg={"S05": np.nan})
    wanted = plan(**on("cmax", covariate="age"), allometry={"tmax": {"exponent": 1.0}})
    _, effects, problems = design_columns(wanted, holes)
    assert effects == ()
    assert [(p.subject, p.what) for p in problems] == [
        ("S03", "age is missing"), ("S11", "age is missing"), ("S05", "weight_kg is missing"),
    ]  # fmt: skip
    assert all(p.file == "subjects.csv" and p.remedy for p in problems)


def test_a_missing_category_is_not_a_level_of_its_own(study: Study) -> None:
    holes = with_subjects(study, sex={"S02": None})
    columns, _, problems = design_columns(plan(**on("cmax", covariate="sex")), holes)
    assert columns == {}
    assert [p.subject for p in problems] == ["S02"]


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("dose_lvl", "did you mean 'dose_level'?"), ("zzz", "known: age"), ("weight", "'weight_kg'")],
)
def test_an_unknown_covariate_gives_the_nearest(study: Study, name: str, remedy: str) -> None:
    (problem,) = design_columns(plan(**on("cmax", covariate=name)), study)[2]
    assert problem.what == f"no covariate {name!r}"
    assert remedy in problem.remedy


def test_a_power_of_a_value_that_has_no_logarithm_is_refused_by_its_subject(study: Study) -> None:
    zero = with_subjects(study, age={"S04": 0.0})
    with pytest.raises(PlanError) as caught:
        bind(plan(**on("cmax", covariate="age", form="power", centre=50.0)), study=zero)
    assert "S04" in str(caught.value)
    assert "age" in str(caught.value)


def test_a_power_needs_a_centre_above_zero(study: Study) -> None:
    with pytest.raises(PlanError, match="centre"):
        bind(plan(**on("cmax", covariate="age", form="power", centre=-1.0)), study=study)


def test_a_power_of_a_category_is_refused(study: Study) -> None:
    with pytest.raises(PlanError, match="sex"):
        bind(plan(**on("cmax", covariate="sex", form="power")), study=study)


def test_a_covariate_that_is_the_same_in_everyone_is_refused(study: Study) -> None:
    """Its coefficient would be its prior; the indicator of a one-level category would vanish without a
    word.
    """
    same = with_subjects(study, sex="female")
    with pytest.raises(PlanError, match="sex"):
        bind(plan(**on("cmax", covariate="sex")), study=same)
