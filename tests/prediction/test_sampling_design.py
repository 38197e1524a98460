"""Expected information of a sampling design: by hand in a linear mixed model, in order for the trial's
assays.
"""

from pathlib import Path

import pytest

import kinetics as kn
from kinetics.plan.binding import bind
from kinetics.plan.plan import plan_of, read_plan
from kinetics.prediction.sampling_design import Added, design_information, most_informative
from tests.support.linear import COEFFICIENTS, linear_study
from tests.support.toy_level import SUBJECTS, TIMES, level_plan


def test_one_level_is_known_as_a_mixed_model_says(tmp_path: Path) -> None:
    """y_ij = mu + b_i + e: information of mu is n/(omega^2 + sigma^2/m), and the prior's 1/9."""
    bound = bind(level_plan(tmp_path, lloq=0.1))
    table = design_information(bound).set_index("parameter")
    omega = float(bound.hierarchy.omega["level"].median)
    sigma = next(float(p.median) for k, p in bound.priors().items() if k.startswith("sigma"))
    wanted = (SUBJECTS / (omega**2 + sigma**2 / len(TIMES)) + 1 / 9) ** -0.5
    assert table.loc["level", "sd"] == pytest.approx(wanted, rel=1e-6)
    assert table.loc["level", "learnt"] == pytest.approx(1 - wanted**2 / 9, rel=1e-6)


def test_an_added_sample_is_worth_what_its_error_allows(tmp_path: Path) -> None:
    bound = bind(level_plan(tmp_path, lloq=0.1))
    good, poor = (Added(name, "level", (5.0,), s) for name, s in (("good", 1e-4), ("poor", 10.0)))
    table = design_information(bound, add=[good, poor]).set_index("scenario")["sd"]
    omega = float(bound.hierarchy.omega["level"].median)
    assert table["with good"] == pytest.approx(
        (SUBJECTS / omega**2 + 1 / 9) ** -0.5, rel=1e-3
    )  # each level is known
    assert table["with poor"] == pytest.approx(table["as planned"], rel=1e-2)
    below = Added("below", "level", (5.0,), 1e-4, lloq=1e3)
    assert design_information(bound, add=[below]).set_index("scenario")["sd"]["with below"] == pytest.approx(
        table["as planned"]
    )


def test_a_sample_left_out_costs_most_where_nothing_else_speaks() -> None:
    bound = linear_study().bound(*COEFFICIENTS[:1])
    table = most_informative(bound, ["c"])
    assert (table["c"] >= -1e-9).all()
    assert table["day"].iloc[0] > table["day"].median()  # a curvature is told by the far end
    assert table["loss"].is_monotonic_decreasing


def test_a_parameter_that_varies_by_cycle_moves_in_every_cycle() -> None:
    plain = read_plan("ogasawara_2021__synthetic_cart_12").resolved()
    by_cycle = plain | {"gamma": {"tmax": {"distribution": "HalfNormal", "scale": 0.3}}}
    learnt = [
        design_information(bind(plan_of(p))).set_index("parameter")["learnt"] for p in (plain, by_cycle)
    ]
    assert learnt[0]["tmax"] > 0.5
    assert learnt[1]["tmax"] == pytest.approx(learnt[0]["tmax"], abs=1e-6)


def test_names_that_mean_nothing_are_refused(tmp_path: Path) -> None:
    bound = bind(level_plan(tmp_path, lloq=0.1))
    with pytest.raises(kn.errors.PlanError, match="no analyte 'flow'"):
        design_information(bound, scenarios={"flow alone": ["flow"]})
    with pytest.raises(kn.errors.PlanError, match="no output feels 'levle'"):
        most_informative(bound, ["levle"])


def test_scans_tell_of_the_liver_what_blood_cannot() -> None:
    bound = bind(plan_of(read_plan("nkg2d_blood__nkg2d_phase1_synthetic").resolved()))
    scans = Added("liver_scan", "nk_liver", (0.05, 0.2, 0.9), 0.2)
    biopsy = Added("tumour_biopsy", "tumour_biopsy", (10.0, 35.0), 0.6)
    table = design_information(bound, add=[scans, biopsy])
    learnt = table.pivot_table(index="parameter", columns="scenario", values="learnt")
    assert (learnt >= -1e-6).all().all()
    assert (learnt.le(1)).all().all()
    assert learnt.loc["F_NK", "with liver_scan"] > 0.5 + learnt.loc["F_NK", "as planned"]
    assert learnt.loc["EU_T", "with tumour_biopsy"] > learnt.loc["EU_T", "as planned"]
    assert learnt.loc["dK0", "as planned"] > 0.5  # a slope in blood
