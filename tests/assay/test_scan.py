"""Scans of labelled cells: percent of the injected dose, decay, and what cannot be read."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import kinetics as kn
from kinetics.assay.scan import HALF_LIVES
from kinetics.plan.binding import BoundFit, bind
from kinetics.plan.plan import plan_of
from tests.support.two_sites import TWO_SITES, TWO_SITES_DICTIONARY

SCAN = """
[analytes.liver_scan]
label = "Liver"
assay = "scintigraphy"
site = "liver"
unit = "%"
"""
F, A, B = 0.7, 2.0, 0.5  # typical values of the two-site model


def bound(
    root: Path, *, corrected: bool, isotope: str = "In-111", doses: int = 1, product: str = "car_nk"
) -> BoundFit:
    (root / "model.py").write_text(TWO_SITES)
    study = root / "study"
    study.mkdir(exist_ok=True)
    (study / "dictionary.toml").write_text(TWO_SITES_DICTIONARY + SCAN)
    pd.DataFrame({"subject": ["S1"]}).to_csv(study / "subjects.csv", index=False)
    pd.DataFrame({
        "subject": "S1", "time": [0.5, 1.5][:doses], "product": "car_nk", "route": "hepatic_artery",
        "cells": [1e8, 3e8][:doses],
    }).to_csv(study / "doses.csv", index=False)  # fmt: skip
    pd.DataFrame(
        {
            "subject": "S1",
            "time": [1.0, 3.0],
            "analyte": "liver_scan",
            "value": [70.0, 20.0],
            "censored": "none",
        }
    ).to_csv(study / "observations.csv", index=False)
    scan = {"product": product, "isotope": isotope, "decay_corrected": corrected}
    plan = {"model": str(root / "model.py"), "data": str(study), "vary": [], "name": "scan",
            "solver": {"rtol": 1e-9, "atol": 1e-9},
            "observe": {"liver_scan": {"output": "liver", "imaging": scan}}}  # fmt: skip
    return bind(plan_of(plan))


def read(b: BoundFit) -> np.ndarray:
    s = {f"{k}_pop": q.value for k, q in b.model.parameters.items()}
    return np.asarray(b.predicted(s, b.data)["liver_scan"])[0]


def liver(days: np.ndarray) -> np.ndarray:
    """Share of a hepatic-artery dose in the liver."""
    return F * np.exp(-B * days) + (1 - F) * A / (A - B) * (np.exp(-B * days) - np.exp(-A * days))


def test_a_corrected_scan_is_the_share_of_the_injected_cells(tmp_path: Path) -> None:
    np.testing.assert_allclose(
        read(bound(tmp_path, corrected=True)), 100 * liver(np.array([0.5, 2.5])), rtol=1e-6
    )


@pytest.mark.parametrize("isotope", HALF_LIVES)
def test_a_scan_as_measured_decays_from_its_dose_on(tmp_path: Path, isotope: str) -> None:
    days = np.array([0.5, 2.5])
    wanted = 100 * liver(days) * 0.5 ** (days / HALF_LIVES[isotope])
    np.testing.assert_allclose(read(bound(tmp_path, corrected=False, isotope=isotope)), wanted, rtol=1e-6)


def test_two_labelled_doses_are_one_injected_amount_once_both_are_given(tmp_path: Path) -> None:
    found = read(bound(tmp_path, corrected=True, doses=2))
    wanted = [100 * liver(0.5), 100 * (1e8 * liver(2.5) + 3e8 * liver(1.5)) / 4e8]
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"corrected": False, "doses": 2}, "2 labelled doses before a scan"),
        ({"corrected": True, "isotope": "F-18"}, "no half-life of 'F-18'"),
        ({"corrected": True, "product": "car_t"}, "scanned, and no car_t was given before"),
    ],
)
def test_what_no_scan_can_tell_is_refused_with_the_remedy(tmp_path: Path, keys: dict, said: str) -> None:
    with pytest.raises(kn.errors.PlanError, match=said) as caught:
        bound(tmp_path, **keys)
    assert all(problem.remedy for problem in caught.value.problems)


def test_half_lives_are_those_of_the_isotopes() -> None:
    """ICRP Publication 107: 2.80 d, 3.27 d (78.4 h), 6.0 h."""
    assert {k: round(v * 24, 1) for k, v in HALF_LIVES.items()} == {
        "In-111": 67.3,
        "Zr-89": 78.4,
        "Tc-99m": 6.0,
    }
