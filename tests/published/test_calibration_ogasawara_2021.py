"""ogasawara_2021 at the size of a phase I trial: are its intervals those of the truth? (kinetics/sbc.py)

Every replicate draws population values from the shipped fit's priors, twelve subjects from those, and their
measurements (qPCR and flow, two infusions in each of two cycles, BLQ below the LLOQ) at the design of the synthetic
study, and is fitted anew. Where the inference is right, ranks are uniform and a 90 % interval covers 90 % of the
truths, whichever parameter it is.
"""

import json
from pathlib import Path

from kinetics import load_model
from kinetics.bind import bind
from kinetics.plan import read_plan

FIT = "ogasawara_2021__synthetic_cart_12"
RECORD = Path(__file__).parents[2] / "fits" / f"{FIT}.sbc.json"


def outside(coverage: dict[str, float], sites: set[str]) -> dict[str, float]:
    """Population parameters whose 90 % interval covers less than 82 % or more than 97 %."""
    return {k: v for k, v in coverage.items() if k in sites and not 0.82 <= v <= 0.97}


def test_the_recorded_calibration_is_uniform_and_covers_for_every_population_parameter() -> None:
    record, sites = json.loads(RECORD.read_text())["calibration"], set(bind(read_plan(FIT)).priors())
    assert record["replicates"] >= 200
    assert record["model"]["sha256"] == load_model("ogasawara_2021").sha256
    assert sites <= set(record["coverage_90"])
    assert outside(record["coverage_90"], sites) == {}
    assert record["uniform"]
