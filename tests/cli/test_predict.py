"""`kinetics predict`: tables, figures and words for new patients, or for those whom the fit has kept out."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pandas as pd

from kinetics.inference.fitting import fit
from tests.support.commands import call
from tests.support.simulated_patients import known_fit, study_folder


@cache
def run_folder() -> Path:
    return known_fit().save(Path(mkdtemp(prefix="predict-")) / "known")


@cache
def oral_run() -> Path:
    """A laplace fit of theophylline without a third of its subjects."""
    run = fit(
        "one_compartment_oral",
        "theophylline",
        observe={"theophylline": {"likelihood": "combined"}},
        method="laplace",
        hold_out={"share": 0.33, "seed": 1},
        name="oral",
    )
    return run.save(Path(mkdtemp(prefix="predict-")) / "oral")


def test_the_held_out_are_predicted_and_their_tables_and_figures_written():
    printed = call("predict", oral_run(), "--draws", 200)
    assert printed.code == 0, printed.err
    assert "4 patients of theophylline predicted by oral, as patients of the population" in printed.out
    assert "method laplace: maximum likelihood without priors" in printed.out
    folder = oral_run() / "predict-theophylline"
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "records.csv",
        "bands.csv",
        "coverage.csv",
        "calibration.html",
        "patients_theophylline.html",
    }
    assert pd.read_csv(folder / "records.csv")["subject"].nunique() == 4


def test_the_first_samples_are_used_and_not_predicted():
    out = oral_run() / "early"
    printed = call("predict", oral_run(), "--given", 0.1, "--draws", 200, "--out", out, "--json")
    answer = json.loads(printed.out)
    assert answer["given"] == 0.1
    assert answer["patients"] == 4
    records = pd.read_csv(out / "records.csv")
    assert records["time"].min() > 0.1
    assert answer["coverage"][0]["records"] == len(records)


def test_patients_who_were_in_the_fit_are_said_to_be():
    printed = call("predict", run_folder(), "--study", study_folder(), "--draws", 100)
    assert "40 of them were in the fit" in printed.out


def test_a_folder_that_is_there_is_not_written_over():
    out = run_folder() / "there"
    out.mkdir(exist_ok=True)
    printed = call("predict", run_folder(), "--study", study_folder(), "--draws", 50, "--out", out)
    assert printed.code == 1
    assert "--force replaces it" in printed.err
    assert not list(out.iterdir())


def test_a_fit_without_held_out_subjects_names_the_key():
    printed = call("predict", run_folder())
    assert printed.code == 1
    assert "hold_out = { share = 0.33, seed = 1 }" in printed.err
