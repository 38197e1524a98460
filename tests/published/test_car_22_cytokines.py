"""IL-6 and IFN-gamma of CD22 CAR-T patients (Lichtenstein 2021): linked to their cells, against each by
itself.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import kinetics as kn
from kinetics.assay.likelihood import recorded


@pytest.fixture(scope="module")
def car22_fits(shared_data: Path) -> dict[str, kn.Fit]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KINETICS_DATA_DIR", str(shared_data))
        names = ("cytokine_release", "empirical_rise_and_fall")
        return {name: kn.fit(f"{name}__car22") for name in names}


def implied_peaks(fit: kn.Fit) -> pd.DataFrame:
    """Peak IL-6 [pg/mL] on the days of each subject's records, draw x subject."""
    data, there = fit.bound.data, recorded(fit.bound.data.observations.assays["il6"])

    @jax.jit
    def peaks(sites: dict[str, jax.Array]) -> jax.Array:
        return jnp.max(jnp.where(there, fit.bound.predicted(sites, data)["il6"], 0.0), axis=1)

    sites, known = fit.sites(at_most=400), fit.bound.site_names()
    drawn = [peaks({k: jnp.asarray(sites[k][i]) for k in known}) for i in range(400)]
    return pd.DataFrame(np.stack(drawn), columns=list(fit.bound.subjects))


def by_grade(peaks: pd.Series | pd.DataFrame, grade: pd.Series) -> pd.Series:
    """The median over subjects of worst CRS grade 0, 1, 2, and 3 or 4 (one patient each); of draws, their
    median.
    """
    pooled = grade.astype(int).clip(upper=3)
    if isinstance(peaks, pd.DataFrame):
        return peaks.T.groupby(pooled).median().median(axis=1)
    return peaks.groupby(pooled).median()


@pytest.mark.slow
@pytest.mark.fit
def test_the_joint_fit_of_cells_and_cytokines_passes_every_check(car22_fits: dict[str, kn.Fit]) -> None:
    fit = car22_fits["cytokine_release"]
    assert kn.check(fit).ok, str(kn.check(fit))


@pytest.mark.slow
@pytest.mark.fit
def test_a_new_patient_is_predicted_better_with_the_link_than_without(car22_fits: dict[str, kn.Fit]) -> None:
    table = kn.compare(car22_fits, by="subject").table.set_index("fit")
    other = table.loc["empirical_rise_and_fall"]
    assert other["rank"] == 2
    assert other["elpd_diff"] < -other["se_diff"]  # seen: -50 (SE 30); 42 patients cannot say it within 2 SE


@pytest.mark.slow
@pytest.mark.fit
def test_the_peak_of_il6_rises_with_the_grade_of_crs(car22_fits: dict[str, kn.Fit]) -> None:
    fit = car22_fits["cytokine_release"]
    grade, seen = fit.study.subjects["crs_grade"], fit.study.observed("il6")
    observed = by_grade(seen.groupby("subject")["value"].max(), grade)
    implied = by_grade(implied_peaks(fit), grade)
    assert implied.is_monotonic_increasing, f"implied {implied.to_dict()}, observed {observed.to_dict()}"
    assert (np.abs(np.log(implied[1:] / observed[1:])) < np.log(2)).all()  # grades 1 and up within a factor 2
