"""Best responses, rates, adverse events and DLTs of a study: counts done by hand, intervals from the
binomial sum.
"""

from __future__ import annotations

from math import comb, isnan

import pytest
from scipy.stats import beta

from kinetics.errors import InputError, StudyError
from kinetics.outcomes.adverse_event_counts import adverse_events
from kinetics.outcomes.dlts import dlt_table
from kinetics.outcomes.proportions import clopper_pearson
from kinetics.outcomes.recist import Lesion, Visit, overall_responses
from kinetics.outcomes.responses import best_responses, response_rates
from kinetics.protocol.protocol import read_protocol
from kinetics.study.study import Study, read_study
from tests.support.response_studies import study_of

SYNTHETIC = "nkg2d_phase1_synthetic"


@pytest.fixture(scope="module")
def synthetic() -> Study:
    return read_study(SYNTHETIC)


# -------------------------------------------------------------------------------------------- intervals


@pytest.mark.parametrize(
    ("events", "n", "lower", "upper"),
    [
        (0, 6, 0, 0.4593),  # 1 - 0.025^(1/6)
        (6, 6, 0.5407, 1),  # 0.025^(1/6)
        (1, 6, 0.0042, 0.6412),  # lower 1 - 0.975^(1/6)
        (0, 1, 0, 0.975),  # 1 - 0.025
        (10, 20, 0.2720, 0.7280),
    ],
)
def test_the_interval_is_the_exact_one(events, n, lower, upper):
    assert clopper_pearson(events, n) == pytest.approx((lower, upper), abs=5e-5)


@pytest.mark.parametrize(("events", "n", "level"), [(2, 4, 0.95), (5, 7, 0.95), (3, 12, 0.9), (11, 12, 0.8)])
def test_at_each_end_of_the_interval_the_binomial_tail_is_half_of_what_is_left_out(events, n, level):
    lower, upper = clopper_pearson(events, n, level)

    def mass(p: float, counts: range) -> float:
        return sum(comb(n, k) * p**k * (1 - p) ** (n - k) for k in counts)

    assert mass(lower, range(events, n + 1)) == pytest.approx((1 - level) / 2, rel=1e-9)
    assert mass(upper, range(events + 1)) == pytest.approx((1 - level) / 2, rel=1e-9)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95, 0.999])
def test_the_interval_ends_at_quantiles_of_the_beta_distribution(level):
    tail = (1 - level) / 2
    for n in (1, 2, 3, 6, 10, 20, 100):
        for events in range(n + 1):
            lower, upper = clopper_pearson(events, n, level)
            quantile = beta.ppf(tail, events, n - events + 1) if events else 0.0
            assert lower == pytest.approx(quantile, abs=1e-10)
            quantile = beta.ppf(1 - tail, events + 1, n - events) if events < n else 1.0
            assert upper == pytest.approx(quantile, abs=1e-10)


def test_nobody_has_no_interval_and_nonsense_is_refused():
    assert all(isnan(end) for end in clopper_pearson(0, 0))
    for events, n, level in ((3, 2, 0.95), (-1, 2, 0.95), (1, 2, 95)):
        with pytest.raises(InputError):
            clopper_pearson(events, n, level)


# -------------------------------------------------------------------------------------------- responses


def test_the_best_response_of_each_synthetic_patient(synthetic):
    table = best_responses(synthetic).set_index("subject")
    # read off responses.csv: S03 has PD at its first scan; S12 an SD on day 38.98, before 42, and then PD
    assert table.index[table["response"] == "PD"].tolist() == ["S03", "S12"]
    assert (table["response"].drop(["S03", "S12"]) == "SD").all()
    # S01, S02, S05 and S10 were scanned before day 42: their SD is that of the second scan
    assert table.loc[["S01", "S02", "S05", "S10"], "day"].tolist() == [87.02, 83.98, 83.98, 86.91]
    assert table.loc["S12", "why"] == "PD on day 85.92: a new lesion"
    assert table.loc["S04", ["assessments", "dose_level", "treated"]].tolist() == [4, 3e7, True]
    assert best_responses(synthetic, confirmed=True)["response"].tolist() == table["response"].tolist()


def test_the_recorded_responses_of_the_synthetic_trial_are_those_its_sums_give(synthetic):
    """One target of the recorded sum, from the baseline in subjects.csv: RECIST gives what `overall` says."""
    for subject, rows in synthetic.responses.groupby("subject"):
        baseline = Visit(-1, (Lesion("sum", synthetic.subjects.loc[subject, "baseline_sld"]),))
        scans = zip(rows["time"], rows["sum_mm"], rows["new_lesions"] == "yes", strict=True)
        visits = [Visit(day, (Lesion("sum", mm),), new_lesion=new) for day, mm, new in scans]
        found = overall_responses([baseline, *visits], subject=str(subject))
        assert [a.response for a in found] == rows["overall"].tolist(), subject


def test_the_rates_of_the_synthetic_trial(synthetic):
    table = response_rates(synthetic).set_index(["dose_level", "rate"])
    assert table["n"].tolist() == [1, 1, 7, 7, 4, 4]
    assert table["events"].tolist() == [0, 1, 0, 5, 0, 4]  # disease control: all but S03 and S12, both at 3e7
    assert table.loc[(3e7, "dcr"), "estimate"] == pytest.approx(5 / 7)
    assert table.loc[(5e7, "dcr"), ["lower", "upper"]].tolist() == pytest.approx([0.025**0.25, 1])
    assert table.loc[(5e7, "orr"), ["lower", "upper"]].tolist() == pytest.approx([0, 1 - 0.025**0.25])


RESPONSES = [
    ("a", 42.0, "PR"),
    ("a", 70.0, "PR"),
    ("b", 42.0, "CR"),
    ("b", 69.0, "CR"),  # one day too early to confirm
    ("c", 30.0, "SD"),
]


def test_confirmation_changes_the_objective_response_and_not_the_disease_control():
    study = study_of(RESPONSES)
    assert best_responses(study)["response"].tolist() == ["PR", "CR", "NE", "MISSING"]
    assert best_responses(study, confirmed=True)["response"].tolist() == ["PR", "SD", "NE", "MISSING"]
    assert best_responses(study, confirmed=True)["confirmed_on"].tolist()[0] == 70
    events = response_rates(study)["events"].tolist()
    assert events == [2, 2, 0, 0]  # orr and dcr at level 1, then at level 2
    assert response_rates(study, confirmed=True)["events"].tolist() == [1, 2, 0, 0]


def test_who_has_no_response_says_why_and_counts_as_without_one():
    study = study_of([row for row in RESPONSES if row[0] != "b"], undosed="b")
    table = best_responses(study).set_index("subject")
    assert table.loc["b", ["response", "why"]].tolist() == ["MISSING", "no infusion of cells"]
    assert table.loc["c", "why"] == "SD after 30 days only; 42 are needed"
    assert table.loc["d", "why"] == "no assessment after the first infusion of cells"
    assert isnan(table.loc["d", "day"])
    assert response_rates(study)["n"].tolist() == [1, 1, 2, 2]  # b had no cells; c and d count
    evaluable = response_rates(study, population="evaluable")
    assert evaluable["n"].tolist() == [1, 1, 0, 0]
    assert evaluable["reason"].tolist() == ["", "", "no evaluable subject", "no evaluable subject"]
    assert evaluable["estimate"].isna().tolist() == [False, False, True, True]
    with pytest.raises(InputError, match="write 'treated' or 'evaluable'"):
        response_rates(study, population="all")  # type: ignore[arg-type]


def test_days_are_counted_from_the_first_infusion_of_cells_not_from_lymphodepletion():
    study = study_of([("a", 45.0, "SD")])
    assert best_responses(study)["response"][0] == "SD"
    study.doses.loc[study.doses["product"] == "car_t", "time"] = 4.0
    assert best_responses(study)["response"][0] == "NE"


def test_a_baseline_measurement_is_no_assessment():
    assert best_responses(study_of([("a", -7.0, ""), ("a", 42.0, "PR")]))["assessments"][0] == 1


@pytest.mark.parametrize(
    ("responses", "complaint"),
    [
        (
            [("a", 42.0, "iUPD")],
            r"row 2, subject a, column overall = 'iUPD': day 42: not an overall response",
        ),
        ([("a", 42.0, "")], "day 42: not an overall response; write one of CR, PR"),
        ([("a", 0.0, "SD")], "day 0: a response before any cells; leave `overall` empty"),
        ([("a", 42.0, "PR"), ("a", 42.0, "SD")], "row 3, subject a.*two responses on it; keep one"),
    ],
)
def test_a_response_that_cannot_be_read_is_named(responses, complaint):
    with pytest.raises(StudyError, match=complaint):
        best_responses(study_of(responses))


def test_a_study_without_the_columns_says_so():
    study = study_of(RESPONSES)
    with pytest.raises(StudyError, match="did you mean 'dose_level'"):
        best_responses(study, by="dose_levels")
    del study.responses["overall"]
    with pytest.raises(StudyError, match=r"responses.csv: no column 'overall'"):
        best_responses(study)
    with pytest.raises(StudyError, match="'response' is a column of the table itself; rename it"):
        response_rates(study, by="response")
    with pytest.raises(StudyError, match="subject b, column dose_level: without a group"):
        adverse_events(study_of(levels={"a": 1.0, "b": float("nan")}))


# --------------------------------------------------------------------------------------- adverse events


def test_the_adverse_events_of_the_synthetic_trial_by_worst_grade(synthetic):
    table = adverse_events(synthetic).set_index(["dose_level", "grading_system", "event"])
    crs = table.loc[(5e7, "astct_2019", "crs")]  # S06 and S09 grade 3, S07 grade 1, S08 none
    assert crs[["n", "subjects", "grade_1", "grade_2", "grade_3", "grade_3_or_more"]].tolist() == [
        4,
        3,
        1,
        0,
        2,
        2,
    ]
    crs = table.loc[(3e7, "astct_2019", "crs")]  # S02 grade 1, S10 and S11 grade 2
    assert crs[["n", "subjects", "grade_1", "grade_2", "grade_3"]].tolist() == [7, 3, 1, 2, 0]
    assert table.loc[(1.5e7, "astct_2019", "crs"), ["n", "subjects"]].tolist() == [1, 0]
    low = table.loc[(3e7, "ctcae_v5", "neutrophil_count_decreased")]  # all of the seven but S05
    assert low[["subjects", "grade_3"]].tolist() == [6, 6]
    assert len(table) == 3 * 4
    cells = adverse_events(synthetic, attribution=["car_nk", "car_t"])
    assert "neutrophil_count_decreased" not in set(cells["event"])


EVENTS = [
    ("a", 5.0, "crs", 1.0, "astct_2019"),
    ("a", 6.0, "crs", 2.0, "astct_2019"),  # worse: the one that counts
    ("a", 6.0, "crs", 3.0, "ctcae_v5"),  # the same event by another scale
    ("b", 5.0, "crs", 4.0, "ctcae_v4"),
    ("b", 9.0, "rash", float("nan"), ""),
    ("c", 9.0, "rash", 0.0, "ctcae_v5"),  # grade 0: none
]


def test_a_subject_counts_once_by_its_worst_grade_and_never_across_systems():
    table = adverse_events(study_of(events=EVENTS)).set_index(["dose_level", "grading_system", "event"])
    grades = [f"grade_{g}" for g in range(1, 6)]
    assert table.loc[(1, "astct_2019", "crs"), grades].tolist() == [0, 1, 0, 0, 0]
    assert table.loc[(1, "ctcae_v5", "crs"), grades].tolist() == [0, 0, 1, 0, 0]
    assert table.loc[(1, "ctcae_v4", "crs"), grades].tolist() == [0, 0, 0, 1, 0]
    assert (table.loc[1, "n"] == 2).all()
    assert table.loc[(1, "", "rash"), ["subjects", "ungraded", "grade_3_or_more"]].tolist() == [1, 1, 0]
    assert (table.loc[2, "subjects"] == 0).all()
    assert ("ctcae_v5", "rash") not in {key[1:] for key in table.index}


def test_a_study_without_events_has_an_empty_table_with_its_columns():
    table = adverse_events(study_of())
    assert (len(table), "grade_5" in table.columns) == (0, True)


def test_an_attribution_nobody_wrote_is_refused():
    with pytest.raises(InputError, match="did you mean 'car_t'"):
        adverse_events(study_of(events=EVENTS), attribution=["cart"])


# -------------------------------------------------------------------------------------------------- DLT


def test_the_dlts_of_the_synthetic_trial_are_those_of_its_protocol(synthetic):
    table = dlt_table(synthetic, read_protocol(SYNTHETIC)).set_index("dose")
    assert table["subjects"].tolist() == [1, 7, 4, 0]
    assert table["dlts"].tolist() == [0, 0, 2, 0]
    assert (table[["evaluable", "pending", "not_evaluable"]].sum(axis=1) == table["subjects"]).all()
    assert table.loc[3e7, ["evaluable", "upper"]].tolist() == pytest.approx([6, 1 - 0.025 ** (1 / 6)])
    # 2 of 4: at p = 0.0676 the chance of two or more of four is 2.5 %
    assert table.loc[5e7, ["lower", "upper"]].tolist() == pytest.approx([0.0676, 0.9324], abs=5e-5)
    assert table.loc[5e7, "with_dlt"].startswith("S06: DLT: crs grade 3 (astct_2019)")
    assert "S09" in table.loc[5e7, "with_dlt"]
    assert table.loc[7e7, "reason"] == "no evaluable subject"
    assert isnan(table.loc[7e7, "estimate"])
