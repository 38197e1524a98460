"""The dose decision: the protocol's rule, the joint model beside it, its words, its page, what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import kinetics as kn
from kinetics.decision.level_exposures import exposures_as_dosed, exposures_at_levels, planned_doses
from kinetics.decision.outcome_regressions import Target, regressions
from kinetics.decision.power_model import (
    exposures_by_power_model,
    exposures_from_samples,
    power_model,
    proportionality_table,
)
from kinetics.decision.quantities import Exposures, Quantity
from kinetics.decision.recommendation import recommend, weight_variants
from kinetics.decision.seen_patients import early_peaks, patients_seen
from kinetics.errors import InputError, PlanError
from kinetics.escalation import Exposure, Utilities
from kinetics.outcomes.by_subject import subject_outcomes
from kinetics.pages.decision import recommendation_page
from kinetics.plan.plan import read_plan
from kinetics.protocol.protocol import read_protocol
from kinetics.protocol.tables import Protocol
from tests.support.commands import call
from tests.support.fits import prior_fit

FIRST, SECOND = "nkg2d_phase1_synthetic", "nkg2d_plateau_synthetic"


def only(study: kn.Study, *subjects: str) -> kn.Study:
    """The study with only these subjects."""
    kept = {
        table: getattr(study, table)[getattr(study, table)["subject"].isin(subjects)]
        for table in ("doses", "events", "observations", "responses")
    }
    return replace(study, subjects=study.subjects.loc[list(subjects)], **kept)


def with_column(study: kn.Study, table: str, column: str, values: object) -> kn.Study:
    return replace(study, **{table: getattr(study, table).assign(**{column: values})})


@pytest.fixture(scope="module")
def protocol() -> Protocol:
    return read_protocol(FIRST)


@pytest.fixture(scope="module")
def first() -> kn.Study:
    return kn.read_study(FIRST)


def evidence(study: kn.Study, protocol: Protocol) -> dict:
    seen = exposures_from_samples(study, protocol)
    doses = {str(k): float(v) for k, v in study.subjects["dose_level"].items()}
    return {"as_dosed": seen, "at_levels": exposures_by_power_model(seen, doses, protocol)}


def test_counts_of_another_product_are_no_exposure_to_the_level(first: kn.Study, protocol: Protocol) -> None:
    assert first.analytes["nk_cells"].product == "car_nk"
    seen = exposures_from_samples(first, protocol)
    assert {"t_cells_cmax", "car_copies_cmax", "il6_cmax"} <= set(seen.values)
    assert not [name for name in seen.values if name.startswith("nk_cells")]


def test_outcomes_are_the_protocols_dlts_the_worst_crs_and_the_best_response(
    first: kn.Study, protocol: Protocol
) -> None:
    table = subject_outcomes(first, protocol).set_index("subject")
    assert "S03" not in table.index  # had no CAR-T
    assert table["dlt"].sum() == 2
    assert table.loc["S06", ["level", "dlt", "crs"]].tolist() == [3, 1.0, 3.0]
    assert table.loc["S02", "crs"] == 1.0
    assert (table["response"].dropna() == 0).all()
    assert table.index[table["response"].isna()].tolist() == ["S07"]  # neither progressed nor a year on


def test_nobody_responds_and_no_dose_is_recommended(first: kn.Study, protocol: Protocol) -> None:
    """0 responses of 10: earlier this trial ended in a recommended dose, "in agreement" with its MTD."""
    found = recommend(first, protocol)
    assert (found.mtd, found.rp2d, found.state, found.near_best) == (2, None, "none", ())
    assert found.sentences[0].startswith("No dose is recommended: no response is likely")
    assert "0 of 10 assessed patients responded" in found.sentences[1]


def test_a_level_below_the_mtd_is_recommended_with_what_is_still_to_do(protocol: Protocol) -> None:
    found = recommend(kn.read_study(SECOND), protocol)
    assert (found.mtd, found.rp2d, found.state) == (4, 3, "recommended")
    assert found.sentences[0] == "Recommended: 5e7 cells/kg."
    assert found.sentences[1].startswith("To do: 3 more patients at 5e7 cells/kg.")
    said = " ".join(found.sentences)
    assert "conflict" not in said.lower()
    assert "MTD: 7e7 cells/kg. The recommended level lies below it" in said
    levels = found.levels.set_index("level")
    assert levels.loc[
        1, "eligible"
    ]  # the titrated patient counts: earlier no level with one patient could be
    assert levels["p_dlt"].is_monotonic_increasing
    assert levels["p_best"].sum() == pytest.approx(1.0)
    assert (levels["p_near_best"] >= levels["p_best"]).all()


def test_three_more_dlts_of_three_are_not_allowed_by_anybody(protocol: Protocol) -> None:
    """3 of 6 at the level: earlier the page said "still allowed", by the BLRM alone."""
    table = recommend(kn.read_study(SECOND), protocol).next_patients.set_index("dlts")
    assert table.loc[3, "in_all"] == "3 of 6"
    assert table.loc[3, "joint"] == "not to be treated"
    assert table.loc[3, "protocol"] == "3 more at 3e7 cells/kg"
    assert table.loc[0, "joint"] == "may be treated"
    assert table["p_over"].is_monotonic_increasing


def test_no_level_above_the_mtd_is_recommended(first: kn.Study, protocol: Protocol) -> None:
    lucky = with_column(first, "responses", "overall", "CR")
    found = recommend(lucky, protocol)
    assert found.mtd == 2
    assert found.rp2d in (1, 2)
    assert found.levels.set_index("level").loc[3, "why_not"] == "above the MTD, 3e7 cells/kg"
    with pytest.raises(InputError, match="exposures of 2 levels, the protocol has 4"):
        recommend(first, protocol, at_levels=evidence(first, protocol)["at_levels"][:2])
    with pytest.raises(InputError, match="write 'protocol' or 'joint'"):
        recommend(first, protocol, rule="boin")  # type: ignore[arg-type]


def test_while_the_rule_goes_on_nothing_is_recommended(first: kn.Study, protocol: Protocol) -> None:
    few = only(first, "S01", "S02", "S03", "S04")
    found = recommend(few, protocol)
    assert found.decision.action == "treat"
    assert (found.mtd, found.rp2d, found.state) == (None, None, "open")
    assert found.sentences[0].startswith("The trial has not ended: 1 more patient at 3e7 cells/kg")
    assert any(line.startswith("The joint rule:") for line in found.sentences)


def test_a_trial_of_the_joint_rule_ends_by_it(protocol: Protocol) -> None:
    found = recommend(kn.read_study(SECOND), protocol, rule="joint")
    assert found.state == "open"  # 13 of 18 patients
    assert "The protocol's rule: 1 of 6 evaluable with a DLT at the top level" in " ".join(found.sentences)


def test_two_patients_are_too_few_for_exposures_and_the_rule_still_speaks(
    first: kn.Study, protocol: Protocol
) -> None:
    few = only(first, "S01", "S02")
    found = recommend(few, protocol, **evidence(few, protocol))
    assert found.state == "open"
    assert found.regressions == {}
    assert found.decision.level == 2


def test_a_response_that_is_awaited_is_no_failure(protocol: Protocol) -> None:
    """The last cohort has no scan yet: earlier its patients counted as failures."""
    second = kn.read_study(SECOND)
    last = ["S11", "S12", "S13"]
    ended = second.events["event"].isin(["death", "new_therapy"]) & second.events["subject"].isin(last)
    unscanned = replace(
        second,
        responses=second.responses[~second.responses["subject"].isin(last)],
        events=second.events[~ended],
        subjects=second.subjects.drop(columns=["last_known_alive"], errors="ignore"),
        observations=second.observations[
            ~(second.observations["subject"].isin(last) & (second.observations["time"] > 60))
        ],
    )
    seen = patients_seen(unscanned, protocol)
    assert [seen[s].response for s in last] == [None] * 3
    assert [seen[s].looked for s in last] == [0.0] * 3
    table = subject_outcomes(unscanned, protocol).set_index("subject")
    assert table.loc[last, "response"].isna().all()
    levels = recommend(unscanned, protocol).levels.set_index("level")
    assert (levels.loc[4, "assessed"], levels.loc[4, "responses"]) == (3, 3)


def test_what_is_seen_of_each_patient(first: kn.Study, protocol: Protocol) -> None:
    seen = patients_seen(first, protocol)
    assert "S03" not in seen  # had no CAR-T
    assert (seen["S06"].level, seen["S06"].dlt, seen["S06"].crs) == (3, True, 3)
    assert seen["S01"].change is not None
    assert seen["S01"].change > -30
    assert all(p.dlt_exposure is not None for p in seen.values())


def test_exposures_end_at_the_event_and_at_the_landmark(first: kn.Study, protocol: Protocol) -> None:
    """Tocilizumab raises IL-6, steroids bend the curve of cells: earlier the whole 28 days were taken."""
    start = first.doses[first.doses["product"] == "car_t"].groupby("subject")["time"].min()
    drug = first.doses[first.doses["product"] == "tocilizumab"].groupby("subject")["time"].min()
    since = (drug - start).dropna()
    rescued = since[(since > 0) & (since < 28)].index
    assert len(rescued)
    to_day_28 = early_peaks(first, protocol, ("il6",), until=28)
    assert all(to_day_28[s].high == np.inf for s in rescued)
    peaks = early_peaks(first, protocol, ("il6",))
    quiet = [s for s in peaks if peaks[s].low == peaks[s].high]
    assert quiet
    records = first.observations[first.observations["analyte"] == "il6"]
    for subject in quiet:
        days = records[(records["subject"] == subject)]
        days = days[(days["time"] >= start[subject]) & (days["time"] <= start[subject] + 14)]
        assert peaks[subject].low == pytest.approx(np.log(days["value"].max()))
    below = with_column(first, "observations", "censored", "left")
    below = with_column(below, "observations", "value", 2.0)
    assert set(early_peaks(below, protocol, ("il6",)).values()) == {Exposure(-np.inf, np.log(2.0))}
    assert early_peaks(first, protocol, ("nothing",)) == {}


def test_a_protocol_with_an_open_point_decides_nothing(first: kn.Study) -> None:
    with pytest.raises(PlanError):
        recommend(first, read_protocol("nkg2d_registry"))


def test_other_weights_of_the_outcomes() -> None:
    weights = Utilities(response_without_dlt=100, response_with_dlt=60, neither=40, dlt_without_response=0)
    variants = weight_variants(weights)
    assert variants["declared"]["neither"] == 40
    assert variants["a DLT forfeits a response"]["response_with_dlt"] == 0
    assert variants["safety alone"] == {
        "response_without_dlt": 100,
        "neither": 100,
        "response_with_dlt": 0,
        "dlt_without_response": 0,
    }


def test_three_patients_do_not_make_new_ones_explode() -> None:
    """The power model of three subjects: earlier new patients had 4e194 pg/mL of IL-6."""
    rng = np.random.default_rng(3)
    a, b, s = power_model(np.log([0.5, 0.99, 1.0]), np.log([20.0, 4e4, 40.0]), 100_000, rng)
    new = a + b * np.log(4.0) + s * rng.standard_normal(len(s))
    assert np.isfinite(np.exp(new)).all()
    assert np.quantile(new, 0.999) < np.log(1e30)


def test_the_prior_of_a_slope_follows_what_the_exposure_is(first: kn.Study, protocol: Protocol) -> None:
    """Earlier it was read off the name: an analyte called `auc_cells` had the prior of an area."""
    outcomes = subject_outcomes(first, protocol)
    subjects = outcomes["subject"].tolist()
    values = {"auc_cells_cmax": np.linspace(1.0, 9.0, len(subjects))[None]}
    peak = Exposures(subjects, {"auc_cells_cmax": Quantity("auc_cells", "peak", "cells/uL")}, values)
    area = Exposures(subjects, {"auc_cells_cmax": Quantity("auc_cells", "area", "cells/uL x day")}, values)
    assert regressions(outcomes, peak, 1)["crs"].priors["auc_cells_cmax"].mean == 0.5
    assert regressions(outcomes, area, 1)["response"].priors["auc_cells_cmax"].mean == 0.3


def test_the_power_model_is_the_conjugate_posterior() -> None:
    """With 400 subjects the prior is nothing: least squares, and the SD they were drawn with."""
    rng = np.random.default_rng(2)
    x = rng.choice(np.log([0.5, 1.0, 2.0, 4.0]), 400)
    y = 3.0 + 0.7 * x + rng.normal(0, 0.5, 400)
    a, b, s = power_model(x, y, 4000, rng)
    slope, intercept = np.polyfit(x, y, 1)
    assert abs(b.mean() - slope) < 0.01
    assert abs(a.mean() - intercept) < 0.01
    assert abs(s.mean() - 0.5) < 0.05
    _, few, _ = power_model(np.zeros(3), np.array([1.0, 1.1, 0.9]), 4000, rng)
    assert abs(few.mean() - 1.0) < 0.05  # one dose says nothing of b: the prior's


def test_exposures_of_samples_and_of_new_patients(first: kn.Study, protocol: Protocol) -> None:
    seen = exposures_from_samples(first, protocol)
    nca = kn.nca(first, products=["car_t"], by="course").set_index(["subject", "analyte"])
    assert "wbc_cmax" not in seen.values
    assert "lesions_cmax" not in seen.values
    assert seen.of(["S05"])["car_copies_cmax"][0, 0] == nca.loc[("S05", "car_copies"), "cmax"]
    doses = {str(k): float(v) for k, v in first.subjects["dose_level"].items()}
    levels = exposures_by_power_model(seen, doses, protocol, draws=3000)
    medians = [np.median(e.values["car_copies_auc_28d"]) for e in levels]
    table = proportionality_table(seen, doses).set_index("exposure")
    slope = np.log(medians[3] / medians[0]) / np.log(7e7 / 1.5e7)
    assert abs(slope - table.loc["car_copies_auc_28d", "b"]) < 0.15


@pytest.fixture(scope="module")
def fitted() -> kn.Fit:
    """The trial's model with parameters from its priors, and few records."""
    return prior_fit(read_plan(f"nkg2d_blood__{FIRST}"), draws=2)


def test_planned_doses_are_the_protocols(fitted: kn.Fit, protocol: Protocol) -> None:
    table = planned_doses(fitted, protocol, 3)
    own = table[table["subject"] == "S02"]
    car_t = own[own["product"] == "car_t"]
    assert car_t["time"].tolist() == pytest.approx([8.019, 9.019, 22.019, 23.019])
    np.testing.assert_allclose(car_t["amount"], 5e7 * 80.3)
    assert own[own["product"] == "car_nk"]["amount"].tolist() == [1e9, 2e9]
    assert own[own["product"] == "lymphodepletion"]["time"].tolist() == [0.0]
    never = table[(table["subject"] == "S03") & (table["product"] == "car_t")]
    assert never["time"].min() == 7.0  # had none: the first day that the protocol allows
    assert not table["product"].isin(["tocilizumab", "corticosteroid"]).any()


def test_exposures_of_a_fit_rise_with_the_level_and_match_its_own(fitted: kn.Fit, protocol: Protocol) -> None:
    seen = exposures_as_dosed(fitted, protocol, draws=2)
    assert "S03" not in seen.subjects
    levels = exposures_at_levels(fitted, protocol, draws=2)
    peaks = [np.median(e.values["car_t_tumour_auc_28d"]) for e in levels]
    assert (np.diff(peaks) > 0).all()
    assert seen.values["il6_cmax"].shape == (2, len(seen.subjects))
    assert np.isfinite(levels[0].values["car_copies_auc_28d"]).all()


def test_page_and_json_of_the_command(tmp_path: Path) -> None:
    page = tmp_path / "decision.html"
    args = ("recommend", FIRST, "--study", SECOND, "--strata", "tumour,ligand_score", "--out", str(page))
    done = call(*args, "--target", "car_copies_cmax=1e4", "--json")
    assert done.code == 0, done.err
    answer = json.loads(done.out)
    assert (answer["mtd"], answer["rp2d"], answer["state"]) == (4, 3, "recommended")
    assert 0 < answer["levels"][3]["p_car_copies_cmax_above_10000"] < 1
    assert {row["stratum"] for row in answer["strata"] if row["by"] == "ligand_score"} > {
        "at most 0.8"
    } or any(row["stratum"].startswith("at most") for row in answer["strata"])
    assert len(answer["audit"]["protocol_sha256"]) == 64
    html = page.read_text()
    for words in (
        "Recommended: 5e7 cells/kg",
        "Three more patients at 5e7 cells/kg",
        "Exposure-response",
        "Audit trail",
        "SYNTHETIC DATA",
        "no claim of compliance",
    ):
        assert words in html


def test_bad_input_of_the_command_is_named(tmp_path: Path) -> None:
    done = call("recommend", FIRST, "--study", FIRST, "--strata", "tumor", "--target", "cmax")
    assert done.code == 1
    assert "write NAME=NUMBER" in done.err
    done = call("recommend", FIRST, "--study", FIRST, "--strata", "tumor", "--out", str(tmp_path / "x.html"))
    assert done.code == 1
    assert "did you mean 'tumour'" in done.err
    assert not (tmp_path / "x.html").exists()
    done = call("recommend", FIRST, "--study", FIRST, "--target", "car_copy_cmax=3")
    assert done.code == 1
    assert "car_copies_cmax" in done.err


def test_the_page_of_exposures_from_a_fit(tmp_path: Path, first: kn.Study, protocol: Protocol) -> None:
    """Exposures with draws: the page draws each subject's interval, and says what a failed fit may not be
    used for.
    """
    rng = np.random.default_rng(0)
    subjects = subject_outcomes(first, protocol)["subject"].tolist()
    names = {"car_copies_cmax": 5e3, "il6_cmax": 200.0, "car_t_tumour_auc_28d": 1e9}
    quantities = {
        "car_copies_cmax": Quantity("car_copies", "peak", "copies/ug DNA"),
        "il6_cmax": Quantity("il6", "peak", "pg/mL"),
        "car_t_tumour_auc_28d": Quantity("car_t", "area", "cells x day", "tumour"),
    }

    def some(n: int) -> dict[str, np.ndarray]:
        return {k: v * np.exp(rng.normal(0, 0.5, (40, n))) for k, v in names.items()}

    seen = Exposures(subjects, quantities, some(len(subjects)))
    levels = [Exposures(["n1"] * 10, quantities, some(10)) for _ in protocol.levels]
    audit = {"fit": "x", "fit_checks": "failed"}
    found = recommend(first, protocol, as_dosed=seen, at_levels=levels, audit=audit,
                      targets=[Target("il6_cmax", 200.0)])  # fmt: skip
    assert set(found.slopes["outcome"]) == {"crs", "dlt", "response"}
    assert found.levels["p_il6_cmax_above_200"].between(0.3, 0.7).all()
    path = recommendation_page(found, ["a", "b", "c", "d"], to=tmp_path / "page.html")
    assert "did not pass its checks" in path.read_text()
