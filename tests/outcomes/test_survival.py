"""DOR, PFS and OS: one worked patient a rule of censoring. Kaplan-Meier against a published table and by
hand.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from math import inf, isnan, nan, prod
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas import DataFrame
from scipy.stats import CensoredData, ecdf

from kinetics.errors import InputError, PlanError, StudyError
from kinetics.outcomes.survival import survival_times
from kinetics.outcomes.survival_curve import _time_at_half, kaplan_meier
from kinetics.outcomes.vital_status import follow_up
from kinetics.protocol.protocol import read_protocol
from kinetics.protocol.tables import Protocol
from kinetics.study.dictionary import Column
from kinetics.study.study import Study, read_study
from tests.support.commands import call
from tests.support.response_studies import study_of

SYNTHETIC = "nkg2d_phase1_synthetic"
DEATH, THERAPY = "death", "new_anticancer_therapy"


@pytest.fixture(scope="module")
def protocol() -> Protocol:
    """Two missed scans and a new therapy censor; a scan every 56 days and 7 late at most: a gap of 119 at
    most.
    """
    return read_protocol(SYNTHETIC)


def settled_as(protocol: Protocol, **options: Any) -> Protocol:
    """The protocol with other values in [censoring]; None takes one out."""
    content = protocol.model_dump()
    for name, value in options.items():
        point = value if name == "assessments" else {"value": value, "because": "a test"}
        content["censoring"][name] = point if value is not None else ({} if name != "assessments" else None)
    return Protocol.model_validate(content)


def one(scans: dict[float, str], died: float | None = None, therapy: float | None = None) -> Study:
    """A study of one subject `a`, with cells on day 0, that is known alive until day 400 unless it died."""
    happened = [
        ("a", day, name, nan, "") for day, name in ((died, DEATH), (therapy, THERAPY)) if day is not None
    ]
    study = study_of([("a", day, overall) for day, overall in scans.items()], happened, {"a": 1.0})
    study.events["row"] = range(2, len(happened) + 2)
    study.subjects["last_known_alive"] = nan if died is not None else 400.0
    return without_samples(study)


def without_samples(study: Study) -> Study:
    vars(study)["observations"] = DataFrame({"subject": [], "time": []})
    return study


# ------------------------------------------------------------------------------------------------- PFS

SD42: dict[float, str] = {42.0: "SD"}
PFS = [
    ("progression is the event", {42: "SD", 98: "PD"}, None, None, (98, True, "progression on day 98")),
    ("progression comes before a later death", {42: "PD"}, 90, None, (42, True, "progression on day 42")),
    ("death without progression is an event", SD42, 90, None, (90, True, "death on day 90")),
    (
        "119 days after the last scan is in time",
        {42: "SD", 161: "PD"},
        None,
        None,
        (161, True, "progression"),
    ),
    (
        "120 days after it two scans were missed: censored there",
        {42: "SD", 162: "PD"},
        None,
        None,
        (
            42,
            False,
            "progression on day 162, 120 days after the last evaluable scan: "
            "two due every 56 days missed; last",
        ),
    ),
    ("a death 119 days after it counts", SD42, 161, None, (161, True, "death")),
    ("a death 120 days after it does not", SD42, 162, None, (42, False, "death on day 162, 120 days")),
    ("a death before any scan was due counts", {}, 119, None, (119, True, "death")),
    (
        "two scans never made: censored at the start",
        {},
        120,
        None,
        (0, False, "death on day 120, 120 days after the start: two due every 56 days missed; no evaluable"),
    ),
    (
        "no scan at all: censored at the start",
        {},
        None,
        None,
        (0, False, "no progression or death; no evaluable assessment: start, day 0"),
    ),
    (
        "a scan that cannot be read is no assessment",
        {42: "SD", 98: "NE"},
        None,
        None,
        (42, False, "no progression or death; last evaluable assessment, day 42"),
    ),
    (
        "nor does it keep two from being missed",
        {42: "SD", 98: "NE", 162: "PD"},
        None,
        None,
        (42, False, "progression"),
    ),
    (
        "new therapy: censored at the scan before it",
        {42: "SD", 98: "PD"},
        None,
        60,
        (42, False, "new anticancer therapy on day 60; last evaluable assessment, day 42"),
    ),
    ("new therapy: later scans do not count", {42: "SD", 98: "SD", 154: "SD"}, None, 100, (98, False, "new")),
    (
        "new therapy before any scan: censored at the start",
        {42: "PD"},
        None,
        20,
        (0, False, "new anticancer"),
    ),
    ("new therapy on the day of progression comes after it", {98: "PD"}, None, 98, (98, True, "progression")),
    ("new therapy after progression changes nothing", {98: "PD"}, None, 110, (98, True, "progression")),
    (
        "a scan on the day that new therapy began counts",
        {42: "SD", 98: "SD"},
        None,
        98,
        (98, False, "new anticancer therapy on day 98; last evaluable assessment, day 98"),
    ),
]


@pytest.mark.parametrize(("name", "scans", "died", "therapy", "expected"), PFS, ids=[c[0] for c in PFS])
def test_each_rule_of_progression_free_survival(protocol, name, scans, died, therapy, expected):
    row = survival_times(one(scans, died, therapy), protocol, "pfs").loc[0]
    assert (row["time"], row["event"]) == expected[:2]
    assert row["why"].startswith(expected[2])


def test_other_options_of_the_protocol_give_other_ends(protocol):
    missed, treated = one({42: "SD", 162: "PD"}), one({42: "SD", 98: "PD"}, therapy=60)
    late = settled_as(protocol, missed_scans="ignored")
    assert survival_times(missed, late, "pfs").loc[0, ["time", "event"]].tolist() == [162, True]
    counted, ignored = (settled_as(protocol, new_therapy=v) for v in ("event", "ignored"))
    assert survival_times(treated, counted, "pfs").loc[0, ["time", "event"]].tolist() == [60, True]
    assert survival_times(treated, ignored, "pfs").loc[0, ["time", "event"]].tolist() == [98, True]


def test_the_plan_of_scans_may_be_given_and_must_be_known_where_two_missed_ones_censor(protocol):
    study, silent = one({42: "SD", 162: "PD"}), settled_as(protocol, assessments=None)
    with pytest.raises(
        PlanError, match=r"two missed scans censor.*\[censoring.assessments\].*--assessed-every"
    ):
        survival_times(study, silent, "pfs")
    assert survival_times(study, silent, "pfs", assessed_every_days=60).loc[
        0, "event"
    ]  # 120 is no more than 2 x 60
    assert not survival_times(study, silent, "pfs", assessed_every_days=59.9).loc[0, "event"]
    assert survival_times(study, silent, "os").loc[0, "time"] == 400  # not needed
    assert survival_times(study, settled_as(silent, missed_scans="ignored"), "pfs").loc[0, "event"]


def test_an_open_protocol_is_refused_with_everything_open(protocol):
    open_points = settled_as(protocol, missed_scans=None, new_therapy=None)
    with pytest.raises(PlanError, match=r"2 problems(.|\n)*missed_scans(.|\n)*new_therapy"):
        survival_times(one(SD42), open_points, "dor")
    with pytest.raises(InputError, match="did you mean 'pfs'"):
        survival_times(one(SD42), protocol, "pfss")  # type: ignore[arg-type]


def test_time_runs_from_the_first_infusion_of_cells(protocol):
    study = one({42: "SD", 98: "PD"}, died=200)
    study.doses.loc[study.doses["product"] == "car_t", "time"] = 5.0
    for endpoint, days in (("pfs", 93), ("os", 195)):
        row = survival_times(study, protocol, endpoint).loc[0]  # type: ignore[arg-type]
        assert (row["start"], row["time"]) == (5, days)


# ------------------------------------------------------------------------------------------ DOR and OS


@pytest.mark.parametrize(
    ("scans", "died", "confirmed", "expected"),
    [
        ({42: "PR", 84: "CR", 126: "PD"}, None, False, (42, 84, True)),  # from the first, not the best
        ({42: "PR", 84: "CR", 126: "CR"}, None, False, (42, 84, False)),
        ({42: "SD", 84: "PR"}, 120, False, (84, 36, True)),
        ({42: "SD", 84: "PR"}, None, False, (84, 0, False)),  # no assessment after it
        ({42: "PR", 70: "SD", 98: "PR", 126: "PR", 154: "PD"}, None, False, (42, 112, True)),
        ({42: "PR", 70: "SD", 98: "PR", 126: "PR", 154: "PD"}, None, True, (98, 56, True)),
        ({42: "PR", 62: "PR", 80: "PD"}, None, True, (nan, nan, False)),  # 20 days confirm nothing
        ({42: "PR", 161: "PD"}, None, False, (42, 119, True)),
        ({42: "PR", 162: "PD"}, None, False, (42, 0, False)),  # two scans missed
        ({42: "SD", 84: "PD"}, None, False, (nan, nan, False)),
        ({42: "PD", 84: "PR", 126: "PR"}, None, False, (nan, nan, False)),  # none after progression
    ],
)
def test_duration_of_response_begins_with_the_first_that_counts(protocol, scans, died, confirmed, expected):
    row = survival_times(one(scans, died), protocol, "dor", confirmed=confirmed).loc[0]
    np.testing.assert_equal(row[["start", "time", "event"]].tolist(), list(expected))
    assert row["why"]


def test_who_is_not_counted_says_why(protocol):
    study = without_samples(study_of([("a", 42.0, "SD"), ("b", 42.0, "PD")], undosed="d"))
    table = survival_times(study, protocol, "dor").set_index("subject")
    assert table["time"].isna().all()
    assert table.loc["b", "why"] == "no response: PD on day 42"
    assert table.loc["d", "why"] == "no infusion of cells"
    assert survival_times(study, protocol, "pfs").set_index("subject")["time"].isna().tolist() == [
        False
    ] * 3 + [True]


def test_overall_survival_ends_with_death_or_the_last_day_known_alive(protocol):
    dead, alive = (
        survival_times(s, protocol, "os").loc[0] for s in (one(SD42, died=90), one(SD42, therapy=50))
    )
    assert (dead["time"], dead["event"], dead["why"]) == (90, True, "death on day 90")
    assert (alive["time"], alive["event"]) == (400, False)  # a new therapy censors no survival
    assert alive["why"] == "alive on day 400, by last_known_alive"
    study = one(SD42)
    del study.subjects["last_known_alive"]
    row = survival_times(study, protocol, "os").loc[0]
    assert (row["time"], row["why"]) == (42, "alive on day 42, by last record (responses.csv)")


def test_every_contradiction_of_a_follow_up_is_named_at_once():
    happened = [
        ("a", 50.0, DEATH, nan, ""), ("a", 60.0, DEATH, nan, ""), ("b", -1.0, THERAPY, nan, ""),
        ("c", 9.0, "crs", 5.0, "astct_2019"), ("a", 70.0, THERAPY, nan, ""),
    ]  # fmt: skip
    study = without_samples(study_of([("a", 42.0, "SD"), ("a", 98.0, "PD"), ("d", 98.0, "SD")], happened))
    study.events["row"] = range(2, len(happened) + 2)
    study.subjects["last_known_alive"] = [55.0, nan, 100.0, 60.0]
    with pytest.raises(StudyError) as error:
        follow_up(study)
    said = str(error.value)
    for line in (
        "events.csv row 5, subject c: crs of grade 5 and no death; add an event `death`",
        "events.csv row 3, subject a: day 60: a second death; keep one",
        "events.csv row 6, subject a: day 70: a new therapy after death",
        "responses.csv row 3, subject a, column time: day 98: a record after the death on day 50",
        "subjects.csv, subject a, column last_known_alive = '55': known alive after the death on day 50",
        "events.csv row 4, subject b: day -1: a new therapy, and no cells before it",
        "subjects.csv, subject b, column last_known_alive: neither a death nor a day known alive; fill it",
        "subjects.csv, subject d, column last_known_alive = '60': "
        "a record on day 98 of responses.csv is later",
    ):
        assert line in said
    assert said.startswith("8 problems")


def test_the_synthetic_trial(protocol):
    """Read off its tables: S07 never progressed, S10 had another therapy on day 160, six died."""
    study = read_study(SYNTHETIC)
    pfs = survival_times(study, protocol, "pfs").set_index("subject")
    assert pfs.index[~pfs["event"]].tolist() == ["S07", "S10"]
    assert pfs.loc["S10", "time"] == 142.87
    assert pfs.loc["S03", "time"] == 43.09
    assert survival_times(study, protocol, "os")["event"].sum() == 6
    assert survival_times(study, protocol, "dor")["time"].isna().all()  # nobody responded


# ---------------------------------------------------------------------------------------- Kaplan-Meier

# Freireich EJ et al., Blood 1963;21:699: weeks of remission on 6-mercaptopurine; + is censored
SIX_MP = [*["6"] * 3, "6+", "7", "9+", "10", "10+", "11+", "13", "16", "17+", "19+", "20+", "22", "23", "25+"]
SIX_MP += ["32+", "32+", "34+", "35+"]
PRODUCT_LIMIT = {6: 0.857, 7: 0.807, 10: 0.753, 13: 0.690, 16: 0.627, 22: 0.538, 23: 0.448}


def times_of(words: list[str], **columns: Any) -> DataFrame:
    time = [float(w.strip("+")) for w in words]
    return DataFrame({"time": time, "event": [not w.endswith("+") for w in words], **columns})


def test_the_remission_times_of_freireich_give_the_published_curve():
    found = kaplan_meier(times_of(SIX_MP))
    curve = found.curve.set_index("time")
    events = curve[curve["events"] > 0]
    assert events["survival"].round(3).to_dict() == PRODUCT_LIMIT
    assert events["at_risk"].tolist() == [21, 17, 15, 12, 11, 7, 6]
    assert events["events"].tolist() == [3, 1, 1, 1, 1, 1, 1]
    assert (curve["events"].sum(), curve["censored"].sum()) == (9, 12)
    row = found.medians.loc[0]
    assert (row["n"], row["events"], row["median"], row["lower"]) == (21, 9, 23, 13)
    assert isnan(row["upper"])
    assert row["reason"] == "the interval has no upper end: too few events"


def test_the_interval_is_greenwoods_on_the_log_log_scale():
    """By hand at week 7: S = 6/7 16/17; var(log S) = 3/(21 18) + 1/(17 16); on log(-log S) divided by (log
    S)^2.
    """
    row = kaplan_meier(times_of(SIX_MP)).curve.set_index("time").loc[7.0]
    survival, variance = 18 / 21 * 16 / 17, 3 / (21 * 18) + 1 / (17 * 16)
    width = 1.959964 * np.sqrt(variance) / abs(np.log(survival))
    assert row["lower"] == pytest.approx(survival ** np.exp(width), abs=1e-6)
    assert row["upper"] == pytest.approx(survival ** np.exp(-width), abs=1e-6)
    narrow = kaplan_meier(times_of(SIX_MP), level=0.5).curve.set_index("time").loc[7.0]
    assert row["lower"] < narrow["lower"] < narrow["upper"] < row["upper"]


def test_survival_on_a_day_and_the_numbers_at_risk():
    table = kaplan_meier(times_of(SIX_MP)).at([0, 6, 12, 35, 36]).set_index("time")
    assert table["survival"].round(3).tolist()[:4] == [1, 0.857, 0.753, 0.448]
    assert table["at_risk"].tolist() == [21, 21, 12, 1, 0]
    assert isnan(table.loc[36, "survival"])
    assert table.loc[36, "reason"] == "nobody was followed so long: the last time is day 35"
    assert isnan(table.loc[0, "lower"])
    assert table.loc[0, "reason"] == "no interval before the first event"
    gone = kaplan_meier(times_of(["1", "2"])).at([9]).loc[0]
    assert (gone["survival"], gone["at_risk"], gone["reason"]) == (0, 0, "no interval where survival is 0")


@pytest.mark.parametrize(
    ("words", "median"),
    [
        (["1", "2", "3", "4"], 2.5),  # one half from 2 to 3: strangers.md F9
        (["1", "2", "3+", "9"], 5.5),  # the censoring within the plateau does not end it
        (["1", "2", "3+", "6", "7", "8"], 6),  # 2/3, then 4/9
        (["1", "2", "3"], 2),
        (["5", "5+", "9"], 9),  # the event at 5 comes before the censoring at 5: 2/3, then 0
        (["0", "0+", "3"], 3),
        (
            [*map(str, range(1, 13)), *(["99+"] * 12)],
            12,
        ),  # 12 of 24 is one half, in floats 0.5000000000000001
    ],
)
def test_the_median_is_the_time_at_one_half_or_the_midpoint_of_a_plateau(words, median):
    assert kaplan_meier(times_of(words)).medians.loc[0, "median"] == median


def test_the_other_convention_is_an_option_and_the_ends_of_the_interval_follow_it():
    first = kaplan_meier(times_of(["1", "2", "3", "4"]), plateau="first")
    assert (first.plateau, first.medians.loc[0, "median"]) == ("first", 2)
    flat = DataFrame({"time": [0.0, 3.0, 5.0, 8.0], "lower": [nan, 0.6, 0.5, 0.2]})
    assert [_time_at_half(flat, "lower", p) for p in ("midpoint", "first")] == [6.5, 5]
    ended = kaplan_meier(times_of(["3", "8+"])).medians.loc[0]  # R prints 3, SAS has no next event
    assert ended["median"] == 3
    assert "no event after the curve came to one half on day 3" in ended["reason"]
    with pytest.raises(InputError, match="did you mean 'midpoint'"):
        kaplan_meier(times_of(["1"]), plateau="midpiont")  # pyright: ignore[reportArgumentType]


# R's survival, `aml`: weeks of remission; survfit(conf.type = "log-log") prints 31 (13, NA) and 23 (5, 33)
MAINTAINED = ["9", "13", "13+", "18", "23", "28+", "31", "34", "45+", "48", "161+"]
NOT_MAINTAINED = ["5", "5", "8", "8", "12", "16+", "23", "27", "30", "33", "43", "45"]


def test_the_example_of_rs_survival_gives_its_medians():
    for words, expected in ((MAINTAINED, (31, 13, nan)), (NOT_MAINTAINED, (23, 5, 33))):
        row = kaplan_meier(times_of(words)).medians.loc[0]
        np.testing.assert_equal((row["median"], row["lower"], row["upper"]), expected)


def test_who_enters_late_is_at_risk_from_then_on():
    """By hand. At risk: A, B, C at 2; B, C, D, E at 4; B, D, E at 5. So 2/3, 2/3 x 3/4, 1/2 x 2/3."""
    table = DataFrame(
        {
            "subject": list("ABCDE"),
            "entry": [0.0, 0.0, 1.0, 3.0, 3.0],
            "time": [2.0, 6.0, 4.0, 5.0, 7.0],
            "event": [True, False, True, True, False],
        }
    )
    found = kaplan_meier(table)
    events = found.curve[found.curve["events"] > 0].set_index("time")
    assert events["at_risk"].tolist() == [3, 4, 3]
    np.testing.assert_allclose(events["survival"], [2 / 3, 1 / 2, 1 / 3])
    variance = 1 / (3 * 2) + 1 / (4 * 3) + 1 / (3 * 2)
    width = 1.959964 * np.sqrt(variance) / np.log(3)
    assert events.loc[5.0, "lower"] == pytest.approx((1 / 3) ** np.exp(width), abs=1e-6)
    assert found.medians.loc[0, "median"] == 4.5
    assert found.at([0, 1, 2, 3.5, 4, 6.5])["at_risk"].tolist() == [2, 2, 3, 4, 4, 1]
    from_the_start = kaplan_meier(table.drop(columns="entry")).curve.set_index("time")
    assert from_the_start.loc[5.0, "survival"] == pytest.approx(4 / 5 * 3 / 4 * 2 / 3)
    pd.testing.assert_frame_equal(
        kaplan_meier(table.assign(entry=0.0)).curve, kaplan_meier(table.drop(columns="entry")).curve
    )


def test_a_curve_emptied_before_the_others_entered_says_so():
    """One subject at risk at 2 dies: survival is 0 for ever, whoever enters later."""
    table = DataFrame({"entry": [0.0, 3.0, 3.0], "time": [2.0, 5.0, 9.0], "event": [True, True, False]})
    row = kaplan_meier(table).medians.loc[0]
    assert row["median"] == 2
    assert "2 entered on that day or later and change nothing" in row["reason"]
    late = kaplan_meier(table.iloc[1:])
    assert late.at([1, 4])["reason"].tolist()[0] == "nobody was followed yet: the first entered on day 3"


@pytest.mark.parametrize("seed", range(10))
def test_without_late_entries_the_curve_is_that_of_scipy(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 40))
    time = rng.integers(1, 15, n).astype(float)
    event = rng.random(n) < 0.6
    event[0] = True
    reference = ecdf(CensoredData.right_censored(time, ~event)).sf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        interval = reference.confidence_interval(0.95, method="log-log")
    curve = kaplan_meier(DataFrame({"time": time, "event": event})).curve.iloc[1:]
    np.testing.assert_allclose(curve["survival"], reference.probabilities, atol=1e-12)
    known = curve["lower"].notna().to_numpy()
    np.testing.assert_allclose(curve["lower"][known], interval.low.probabilities[known], atol=1e-10)
    np.testing.assert_allclose(curve["upper"][known], interval.high.probabilities[known], atol=1e-10)


@pytest.mark.parametrize("seed", range(10))
def test_late_entries_give_the_product_limit_over_those_at_risk(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 30))
    entry = rng.integers(0, 6, n).astype(float)
    time = entry + rng.integers(1, 10, n)
    event = rng.random(n) < 0.6
    found = kaplan_meier(DataFrame({"entry": entry, "time": time, "event": event}))
    survival = 1.0
    for t in sorted({*time[event]}):
        at_risk = sum((e < t or e == 0) and t <= end for e, end in zip(entry, time, strict=True))
        survival *= 1 - sum(event & (time == t)) / at_risk
        assert found.curve.set_index("time").loc[t, "survival"] == pytest.approx(survival, abs=1e-12)


def test_an_entry_that_cannot_be_is_refused():
    table = DataFrame({"subject": ["a", "b", "c"], "time": [5.0, 5.0, nan], "event": [True, False, False]})
    with pytest.raises(InputError) as error:
        kaplan_meier(table.assign(entry=[5.0, nan, nan]))
    assert "subject a: entered on day 5, not before the time of 5 days" in str(error.value)
    assert "subject b: an entry of nan days" in str(error.value)
    assert "subject c" not in str(error.value)


def test_a_study_says_from_when_its_subjects_were_followed(protocol):
    """The first death of the synthetic trial is on day 152.9: who enters on day 100 is at risk from then."""
    study = read_study(SYNTHETIC)
    study.subjects["followed_from"] = [0.0] * 6 + [100.0] * 6
    times = survival_times(study, protocol, "os", entry="followed_from")
    assert set(times["entry"].round()) <= {0.0, 100.0, 99.0, 98.0}
    assert kaplan_meier(times).at([50])["at_risk"].tolist() == [6]
    study.subjects["followed_from"] = 200.0
    late = survival_times(study, protocol, "pfs", entry="followed_from").set_index("subject")
    assert late.loc["S01", "why"] == (
        "not counted: followed from day 200 on, and it ended before (progression on day 142.99)"
    )
    assert isnan(late.loc["S01", "time"])
    study.subjects["followed_from"] = [nan] + [0.0] * 11
    with pytest.raises(StudyError, match="no day of entry"):
        survival_times(study, protocol, "os", entry="followed_from")
    with pytest.raises(StudyError, match="no column 'followed'"):
        survival_times(study, protocol, "os", entry="followed")


def test_a_day_of_entry_in_weeks_is_read_in_weeks_and_one_of_no_time_is_refused(protocol):
    study = read_study(SYNTHETIC)
    study.subjects["entered"] = 20.0

    def declared(unit: str) -> Study:
        columns = study.dictionary.columns
        subjects = {**columns.subjects, "entered": Column(unit=unit)}
        columns = columns.model_copy(update={"subjects": subjects})
        return replace(study, dictionary=study.dictionary.model_copy(update={"columns": columns}))

    weekly = survival_times(declared("week"), protocol, "os", entry="entered").set_index("subject")
    assert weekly.loc["S01", "entry"] == 140
    with pytest.raises(StudyError, match="column entered"):
        survival_times(declared("kg"), protocol, "os", entry="entered")


TIMES = "subject,entry,time,event,arm,age\nA,0,2,yes,x,50\nB,0,6,no,x,51\nC,1,4,1,y,52\nD,3,5,yes,y,53\n"


def test_the_command_for_a_table_of_times(tmp_path):
    path = tmp_path / "times.csv"
    path.write_text(TIMES, encoding="utf-8")
    said = call("survival", path, "--by", "arm", "--at", "1,5")
    assert said.code == 0
    for part in ("the midpoint up to the next event", "2 of 4 subjects are at risk from", "not read: age"):
        assert part in said.out
    answer = call("survival", path, "--plateau", "first", "--json").json()
    assert (answer["plateau"], answer["medians"][0]["median"]) == ("first", 4)
    assert call("survival", path, "--at", "x,-1").err.startswith("2 problems")
    path.write_text("start,time,CNSR\n1,2,1\n", encoding="utf-8")
    refused = call("survival", path)
    assert refused.code == 1
    for part in ("write it as `entry`", "event = yes where CNSR is 0", "no column 'event'"):
        assert part in refused.err
    path.write_text("entry,time,event\n3,2,yes\n0,-1,maybe\n", encoding="utf-8")
    assert call("survival", path).err.startswith("3 problems")


def test_a_median_that_is_not_reached_says_so():
    row = kaplan_meier(times_of(["3", "8+", "9+"])).medians.loc[0]
    assert isnan(row["median"])
    assert row["reason"] == "not reached: 1 event of 3, survival 0.67 at the last time, day 9"


def test_groups_have_their_own_curves_and_who_is_not_counted_has_none():
    table = times_of(["1", "2", "3+", "4"], level=[1, 1, 2, 2])
    empty = DataFrame({"time": [nan], "event": [False], "level": [3]})
    found = kaplan_meier(pd.concat([table, empty]), "level")
    assert found.groups == [1, 2, 3]
    assert found.medians["n"].tolist() == [2, 2, 0]
    assert found.medians["reason"].tolist()[2] == "nobody is counted"
    assert found.of(2)["survival"].tolist() == [1, 1, 0]
    assert found.of(3).empty
    assert found.at([0, 3])["at_risk"].tolist() == [2, 0, 2, 2, 0, 0]


@pytest.mark.parametrize("seed", range(20))
def test_survival_never_rises_is_the_product_limit_and_forgets_the_order_of_subjects(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 30))
    table = DataFrame({"time": rng.integers(0, 12, n).astype(float), "event": rng.random(n) < rng.random()})
    found = kaplan_meier(table)
    curve = found.curve
    assert (curve["survival"].diff().dropna() <= 0).all()
    assert curve["survival"].between(0, 1).all()
    known = curve[curve["lower"].notna()]
    assert (known["lower"] <= known["survival"]).all()
    assert (known["survival"] <= known["upper"]).all()
    days = sorted({*table["time"]})
    risk = [(table["time"] >= d).sum() for d in days]
    dead = [((table["time"] == d) & table["event"]).sum() for d in days]
    by_hand = [
        prod(1 - d / r for d, r in zip(dead[: i + 1], risk[: i + 1], strict=True)) for i in range(len(days))
    ]
    np.testing.assert_allclose(found.at(days)["survival"], by_hand, atol=1e-12)
    other = kaplan_meier(table.sample(frac=1, random_state=seed))
    pd.testing.assert_frame_equal(other.curve, curve)
    pd.testing.assert_frame_equal(other.medians, found.medians)


def test_a_table_that_cannot_be_read_is_refused():
    bad = DataFrame({"subject": ["a", "b"], "time": [-1.0, inf], "event": [True, "yes"]})
    with pytest.raises(InputError) as error:
        kaplan_meier(bad)
    for what in (
        "subject a: a time of -1 days",
        "subject b: a time of inf days",
        "subject b: event is 'yes'",
    ):
        assert what in str(error.value)
    with pytest.raises(InputError, match="no column 'levl'; did you mean 'level'"):
        kaplan_meier(times_of(["1"], level=[1]), "levl")
    with pytest.raises(InputError, match="row 0: no level; fill it"):
        kaplan_meier(times_of(["1"], level=[nan]), "level")
    with pytest.raises(InputError, match="an interval of level 95"):
        kaplan_meier(times_of(["1"]), level=95)


def test_reordering_the_subjects_of_a_study_changes_no_survival(protocol):
    study = read_study(SYNTHETIC)
    for endpoint in ("pfs", "os"):
        times = survival_times(study, protocol, endpoint)
        again = kaplan_meier(times.iloc[::-1], "dose_level")
        pd.testing.assert_frame_equal(again.curve, kaplan_meier(times, "dose_level").curve)


def test_groups_of_a_table_without_rows_are_refused_and_the_whole_of_it_counts_nobody():
    nobody = DataFrame({"time": [], "event": [], "arm": []})
    with pytest.raises(InputError, match="give the time of at least one subject, or leave by out"):
        kaplan_meier(nobody, by="arm")
    assert kaplan_meier(nobody).medians["reason"].tolist() == ["nobody is counted"]
