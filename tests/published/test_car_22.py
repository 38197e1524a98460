"""CD22 CAR-T, real patients (Lichtenstein 2021): the library's fit passes its checks and predicts the
data.
"""

import os
from pathlib import Path

import numpy as np
import pytest

import kinetics as kn
from kinetics.checks.visual_check import vpc


@pytest.fixture
def car22(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> kn.Study:
    monkeypatch.setenv("KINETICS_DATA_DIR", str(shared_data))
    return kn.read_study("car22")


def test_the_converted_study_keeps_every_cell_count_with_zeros_below_the_limit(car22: kn.Study) -> None:
    cells = car22.observed("car_cells")
    assert (len(car22.subject_ids), len(cells), int((cells["censored"] == "left").sum())) == (42, 139, 22)
    measured = cells.loc[cells["censored"] == "none", "value"]
    assert measured.min() == pytest.approx(0.040614)
    assert measured.max() == pytest.approx(13653.4034)
    assert (car22.observed("il6")["censored"] == "right").sum() == 10  # at 1472, 1502 or 1530 pg/mL
    assert not car22.synthetic


@pytest.mark.slow
@pytest.mark.fit
def test_the_library_fit_passes_every_check_and_its_vpc_covers(car22: kn.Study) -> None:
    fit = kn.fit("ogasawara_2021__car22")
    assert kn.check(fit).ok, str(kn.check(fit))
    seen = vpc(fit, "car_cells", n=300, seed=1)
    assert seen.covered >= 0.8  # of 90 % intervals, 15 quantiles
    assert seen.covered_blq >= 0.8  # and 5 shares of records below the LLOQ
    tmax, contraction = (np.median(fit.sites()[f"{k}_pop"]) for k in ("tmax", "half_life_contraction"))
    assert 9.3 <= tmax <= 13  # Stein 2019: 9.3 d; the median observed peak here is day 13
    assert 3.3 <= contraction <= 7  # Stein 2019: 4.3 d, Ogasawara 2021: 5.0 d
    assert "KINETICS_DATA_DIR" in os.environ
