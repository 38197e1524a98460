"""The dose decision: the protocol's rule beside the models, agreement and conflict, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import kinetics as kn
from kinetics.decision.level_exposures import (
    Exposures,
    exposures_as_dosed,
    exposures_at_levels,
    planned_doses,
)
from kinetics.decision.power_model import (
    exposures_by_power_model,
    exposures_from_samples,
    power_model,
    proportionality_table,
)
from kinetics.decision.recommendation import _allowed, _chosen, recommend
from kinetics.decision.weighing import FEASIBLE, OUTCOMES, Target, blrm_of, p_best, utilities, weight_variants
from kinetics.errors import InputError, PlanError
from kinetics.escalation.history import Decision
from kinetics.outcomes.by_subject import subject_outcomes
from kinetics.pages.decision import recommendation_page
from kinetics.plan.plan import read_plan
from kinetics.protocol.protocol import read_protocol
from kinetics.protocol.tables import Protocol
from tests.support.commands import call
from tests.support.fits import prior_fit

FIRST, SECOND = "nkg2d_phase1_synthetic", "nkg2d_plateau_synthetic"
WEIGHTS = dict(zip(OUTCOMES, (100.0, 60.0, 40.0, 0.0), strict=True))


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


def test_outcomes_are_the_protocols_dlts_the_worst_crs_and_the_best_response(
    first: kn.Study, protocol: Protocol
) -> None:
    table = subject_outcomes(first, protocol).set_index("subject")
    assert "S03" not in table.index  # had no CAR-T
    assert table["dlt"].sum() == 2
    assert table.loc["S06", ["level", "dlt", "crs"]].tolist() == [3, 1.0, 3.0]
    assert table.loc["S02", "crs"] == 1.0
    assert (table["response"] == 0).all()


def test_without_exposures_only_the_rule_speaks(first: kn.Study, protocol: Protocol) -> None:
    found = recommend(first, protocol)
    assert (found.mtd, found.rp2d, found.state) == (2, 2, "rule only")
    assert "nothing but DLTs was weighed" in found.sentences[-1]
    history_of_level_2 = found.next_patients.set_index("dlts")["p_over"]
    assert history_of_level_2.is_monotonic_increasing
    assert not found.next_patients.set_index("dlts").loc[3, "still_allowed"]


def test_the_first_trial_agrees_and_the_second_does_not(first: kn.Study, protocol: Protocol) -> None:
    agreed = recommend(first, protocol, **evidence(first, protocol))
    assert (agreed.mtd, agreed.rp2d, agreed.state) == (2, 2, "agreement")
    second = kn.read_study(SECOND)
    found = recommend(second, protocol, **evidence(second, protocol))
    assert (found.mtd, found.state) == (4, "conflict")
    assert found.rp2d == 2
    said = " ".join(found.sentences)
    assert "Conflict: the MTD is 7e7 cells/kg, the utility prefers 3e7 cells/kg." in said
    assert "3 evaluable patients were treated at it; the protocol asks for 6" in said
    assert "With other weights (response alone) the level would be 7e7 cells/kg." in said
    levels = found.levels.set_index("level")
    assert levels["dlt_median"].is_monotonic_increasing
    assert levels["p_best"].sum() == pytest.approx(1.0)
    assert levels.loc[1, "p_best"] == 0.0  # one evaluable patient is no cohort


def test_a_level_too_likely_to_be_an_overdose_is_not_recommended(first: kn.Study, protocol: Protocol) -> None:
    """Two of four with a DLT, were the rule to allow it, and weights that only ask for responses."""
    lax = protocol.model_copy(
        update={
            "levels": protocol.levels[:3],
            "mtd": protocol.mtd.model_copy(update={"dlts": 2, "evaluable": 4}),
            "utilities": weight_variants(WEIGHTS)["response alone"],
        }
    )
    found = recommend(first, lax, **evidence(first, lax))
    assert (found.mtd, found.rp2d, found.state) == (3, 2, "conflict")
    said = " ".join(found.sentences)
    assert "Conflict: the MTD is 5e7 cells/kg, P(overdose) there is 0." in said
    assert "above 0.25, by the BLRM of the same DLTs." in said
    with pytest.raises(InputError, match="exposures of 4 levels, the protocol has 3"):
        recommend(first, lax, **evidence(first, protocol))


def test_while_the_rule_goes_on_nothing_is_recommended(first: kn.Study, protocol: Protocol) -> None:
    few = replace(
        first,
        subjects=first.subjects.iloc[:4],
        **{t: getattr(first, t)[getattr(first, t)["subject"].isin(["S01", "S02", "S03", "S04"])]
           for t in ("doses", "events", "observations", "responses")},
    )  # fmt: skip
    found = recommend(few, protocol)
    assert found.decision.action == "treat"
    assert (found.mtd, found.rp2d, found.state) == (None, None, "open")
    assert found.sentences[-1] == "The rule has not ended, so no dose is recommended yet."


def test_two_patients_are_too_few_for_exposures_and_the_rule_still_speaks(
    first: kn.Study, protocol: Protocol
) -> None:
    few = replace(
        first,
        subjects=first.subjects.iloc[:2],
        **{t: getattr(first, t)[getattr(first, t)["subject"].isin(["S01", "S02"])]
           for t in ("doses", "events", "observations", "responses")},
    )  # fmt: skip
    found = recommend(few, protocol, **evidence(few, protocol))
    assert found.state == "open"
    assert found.regressions == {}
    assert found.decision.level == 2


def test_a_protocol_with_an_open_point_decides_nothing(first: kn.Study) -> None:
    with pytest.raises(PlanError):
        recommend(first, read_protocol("nkg2d_registry"))


def test_utilities_by_hand_and_what_is_best() -> None:
    dlt, response = np.array([[0.1, 0.3], [0.5, 0.5]]), np.array([[0.2, 0.6], [0.0, 1.0]])
    u = utilities([dlt, dlt * 0], [response, response * 0], WEIGHTS)
    by_hand = np.mean(
        [
            0.2 * 0.9 * 100 + 0.2 * 0.1 * 60 + 0.8 * 0.9 * 40,
            0.6 * 0.7 * 100 + 0.6 * 0.3 * 60 + 0.4 * 0.7 * 40,
        ]
    )
    np.testing.assert_allclose(u[0, 0], by_hand)
    np.testing.assert_allclose(u[1], 40.0)
    np.testing.assert_allclose(p_best(u, [True, True]), [1.0, 0.0])
    np.testing.assert_allclose(p_best(u, [False, True]), [0.0, 1.0])
    np.testing.assert_allclose(p_best(u, [False, False]), 0.0)
    with pytest.raises(InputError, match="dlt_without_response"):
        utilities([dlt], [response], {"response_without_dlt": 100.0})
    assert weight_variants(WEIGHTS)["a DLT forfeits a response"]["response_with_dlt"] == 0.0


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
    assert (answer["mtd"], answer["rp2d"], answer["state"]) == (4, 2, "conflict")
    assert 0 < answer["levels"][3]["p_car_copies_cmax_above_10000"] < 1
    assert {row["stratum"] for row in answer["strata"] if row["by"] == "ligand_score"} > {
        "at most 0.8"
    } or any(row["stratum"].startswith("at most") for row in answer["strata"])
    assert len(answer["audit"]["protocol_sha256"]) == 64
    html = page.read_text()
    for words in (
        "RP2D: 3e7 cells/kg, below the MTD: a conflict",
        "Dose- and exposure-response",
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

    def some(n: int) -> dict[str, np.ndarray]:
        return {k: v * np.exp(rng.normal(0, 0.5, (40, n))) for k, v in names.items()}

    seen = Exposures(subjects, dict.fromkeys(names, "unit"), some(len(subjects)))
    levels = [Exposures(["n1"] * 10, seen.units, some(10)) for _ in protocol.levels]
    audit = {"fit": "x", "fit_checks": "failed"}
    found = recommend(first, protocol, as_dosed=seen, at_levels=levels, audit=audit,
                      targets=[Target("il6_cmax", 200.0)])  # fmt: skip
    assert set(found.slopes["outcome"]) == {"crs", "dlt", "response"}
    assert found.levels["p_il6_cmax_above_200"].between(0.3, 0.7).all()
    path = recommendation_page(found, ["a", "b", "c", "d"], to=tmp_path / "page.html")
    assert "did not pass its checks" in path.read_text()


def test_the_blrm_is_the_one_that_design_uses(protocol: Protocol) -> None:
    blrm = blrm_of(protocol)
    assert blrm.target == (0.16, protocol.mtd.overdose_above)
    assert blrm.reference == protocol.levels[-1]
    over = [p.over for p in blrm.posterior([])]
    assert over == sorted(over)
    assert over[0] < over[-1]


def test_over_random_trials_nothing_is_recommended_above_the_mtd_or_without_a_whole_cohort(
    protocol: Protocol,
) -> None:
    rng, seen = np.random.default_rng(6), set()
    for _ in range(500):
        table = pd.DataFrame({
            "level": [1, 2, 3, 4], "evaluable": rng.integers(0, 8, 4), "p_over": rng.random(4) * 0.6,
            "utility": rng.random(4) * 100,
        })  # fmt: skip
        if rng.random() < 0.3:
            table = table.drop(columns="utility")
        action = "stop" if rng.random() < 0.8 else "treat"
        mtd = int(rng.integers(0, 5)) if action == "stop" else None
        decision = Decision(action, "a clause", "an outcome", level=None if mtd is not None else 2, mtd=mtd)
        allowed = _allowed(protocol, decision, table)
        rp2d, state = _chosen(decision, table, allowed)
        seen.add(state)
        if rp2d is None:
            assert state in ("open", "none")
            continue
        row = table.to_dict("records")[rp2d - 1]
        assert rp2d <= (mtd or 0)
        assert row["evaluable"] >= protocol.escalation.cohort
        assert row["p_over"] <= FEASIBLE
    assert seen == {"open", "none", "rule only", "agreement", "conflict"}
