"""Fits at the size of a phase I trial: are their intervals those of the truth? (kinetics/sbc.py)

Every replicate draws population values from the shipped fit's priors, twelve subjects from those, and their
measurements (BLQ below the LLOQ) at the design of the synthetic study, and is fitted anew. Where the
inference is right, ranks are uniform and a 90 % interval covers 90 % of the truths, whichever parameter it
is; of a closed form and of differential equations alike. A likelihood without its BLQ records is wrong, and
has to be found so.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kinetics.checks.calibration.calibration import calibration_card
from kinetics.checks.calibration.ranks import sbc
from kinetics.model.model import load_model
from kinetics.plan.binding import bind
from kinetics.plan.plan import find_plan, read_plan

CLOSED, EQUATIONS = "ogasawara_2021__synthetic_cart_12", "nk_persistence__synthetic_carnk_12"


def recorded(fit: str) -> dict[str, Any]:
    return json.loads((Path(__file__).parents[2] / "fits" / f"{fit}.sbc.json").read_text())


def outside(coverage: dict[str, float], sites: set[str]) -> dict[str, float]:
    """Population parameters whose 90 % interval covers less than 82 % or more than 97 %."""
    return {k: v for k, v in coverage.items() if k in sites and not 0.82 <= v <= 0.97}


@pytest.mark.parametrize("fit", [CLOSED, EQUATIONS])
def test_a_recorded_calibration_is_uniform_and_covers_for_every_population_parameter(fit: str) -> None:
    record, plan = recorded(fit)["calibration"], read_plan(fit)
    sites = set(bind(plan).priors())
    assert record["replicates"] >= 200
    assert record["model"]["sha256"] == load_model(record["model"]["name"]).sha256
    assert sites <= set(record["coverage_90"])
    assert outside(record["coverage_90"], sites) == {}
    assert record["uniform"]


def test_the_recorded_likelihood_without_its_blq_records_is_rejected() -> None:
    """Far fewer replicates than 200 reject what is this wrong."""
    record = recorded(CLOSED)["wrong"]["drop_blq"]
    assert record["replicates"] >= 70
    assert record["least_p"]["p"] < 1e-6
    assert not record["uniform"]


def test_the_model_card_says_both() -> None:
    lines = calibration_card("ogasawara_2021", load_model("ogasawara_2021").sha256)
    assert any("rank uniformity not rejected, 200 replicates" in line for line in lines)
    assert any("deliberately wrong (drop_blq): rank uniformity REJECTED" in line for line in lines)


@pytest.mark.slow
@pytest.mark.fit
def test_intervals_cover_the_truth_of_150_simulated_studies(tmp_path: Path) -> None:
    """Every parameter within 0.82-0.97, which a right interval leaves in 0.15 % of 150 studies.

    Forty studies, the least that says anything, would fail a right method in one parameter of eight.
    """
    plan = read_plan(find_plan(CLOSED))
    covered = sbc(plan, replicates=150, seed=7, folder=tmp_path / "sbc", jobs=2).coverage()
    sites = set(bind(plan).priors())
    assert outside(covered, sites) == {}
    assert 0.86 <= np.mean([covered[k] for k in sites]) <= 0.94
