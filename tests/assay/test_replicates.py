"""Two records of one analyte at one time are two records; with one value, they are a question."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import kinetics as kn
from kinetics.checks.log_likelihoods import record_log_likelihoods
from kinetics.errors import InputError
from kinetics.plan.binding import BoundFit, bind
from kinetics.plan.plan import plan_of
from kinetics.study.study import Study, read_study
from tests.support.fits import prior_fit

PLAN = {
    "model": "one_compartment_oral",
    "data": "theophylline",
    "observe": {"theophylline": {"likelihood": "combined"}},
}


def with_replicates() -> tuple[Study, pd.DataFrame]:
    """Theophylline with a second record of subject 3 at two of its times; and these records."""
    study = read_study("theophylline")
    rows = study.observations
    second = rows[rows["subject"] == "3"].iloc[[4, 7]].copy()
    second["value"] = second["value"] + 0.7
    both = pd.concat([rows, second]).sort_values(["subject", "time"], kind="stable", ignore_index=True)
    return replace(study, observations=both), second


def log_likelihood(bound: BoundFit) -> np.ndarray:
    sites = {k: jnp.asarray(float(p.median)) for k, p in bound.priors().items()}
    sites |= {f"eta_{k}": jnp.zeros(len(bound.subjects)) for k in bound.hierarchy.vary}
    return np.asarray(bound.subject_log_likelihood(sites, bound.data))


def test_the_likelihood_of_replicates_is_the_product_of_theirs():
    study, second = with_replicates()
    whole = read_study("theophylline")
    rest = whole.observations.drop(second.index)
    swapped = pd.concat([rest, second]).sort_values(["subject", "time"], kind="stable", ignore_index=True)
    together = log_likelihood(bind(plan_of(PLAN), study=study))
    alone = log_likelihood(bind(plan_of(PLAN), study=whole))
    other = log_likelihood(bind(plan_of(PLAN), study=replace(whole, observations=swapped)))
    without = log_likelihood(
        bind(plan_of(PLAN), study=replace(whole, observations=rest.reset_index(drop=True)))
    )
    np.testing.assert_allclose(together, alone + other - without, rtol=1e-10)
    who = bind(plan_of(PLAN)).subjects.index("3")
    assert together[who] != alone[who]


def test_every_replicate_has_its_row_in_what_is_read_record_by_record():
    study, _ = with_replicates()
    fit = prior_fit(plan_of(PLAN), study=study)
    units = record_log_likelihoods(fit).units
    assert len(units) == len(study.observations)
    predicted = kn.prediction.individual_records(fit, fit.bound.assays[0], draws=5)
    assert predicted.shape == (5, len(study.observations))
    repeated = study.observations.duplicated(["subject", "time"])
    at = np.flatnonzero(repeated)
    np.testing.assert_array_equal(predicted[:, at], predicted[:, at - 1])


def test_nca_refuses_two_values_of_a_time_by_name():
    study, _ = with_replicates()
    with pytest.raises(InputError, match=r"subject 3.*NCA takes one value of a time"):
        kn.nca(study)


def test_warfarin_is_read_with_its_four_pairs_of_subject_9(shared_data: Path):
    study = read_study(
        shared_data / "warfarin" / "warfarin.csv",
        time_unit="h",
        dose_unit="mg",
        route="oral",
        product="warfarin",
        analyte={"cp": "warfarin", "pca": "pca"},
        value_unit={"cp": "mg/L", "pca": "%"},
    )
    assert len(study.observations) == 483
    repeated = study.observations[study.observations.duplicated(["subject", "time", "analyte"])]
    assert list(repeated["subject"].unique()) == ["9"]
    assert len(repeated) == 4
