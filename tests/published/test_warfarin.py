"""Warfarin, joint PK/PD, by the files of its page, beside NONMEM; skipped where the table is not here."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

import kinetics as kn
from tests.support.documented import blocks

_PAGE = Path(__file__).parents[2] / "docs" / "how_to" / "warfarin.md"
_SITES = {  # the reference's names that are not `NAME_pop` or `omega_NAME`
    "additive": "sigma_add_warfarin",
    "proportional": "sigma_warfarin",
    "pca_additive": "sigma_add_pca",
}


@pytest.fixture
def workplace(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files of the page and the table."""
    for block in blocks(_PAGE.read_text(encoding="utf-8")):
        if block.file:
            file = tmp_path / block.file
            file.parent.mkdir(exist_ok=True)
            file.write_text(block.text, encoding="utf-8")
    table = shared_data / "warfarin" / "warfarin.csv"
    if not table.exists():
        pytest.skip(f"no table of warfarin at {table}")
    shutil.copy(table, tmp_path / "data" / "warfarin.csv")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_table_is_read_as_the_page_declares_it(workplace: Path):
    study = kn.read_study("data/warfarin.csv")
    assert len(study.subject_ids) == 32
    assert len(study.observed("warfarin")) == 251
    assert len(study.observed("pca")) == 232
    assert set(study.doses["unit"]) == {"mg"}


@pytest.mark.fit
@pytest.mark.slow
def test_every_determined_value_is_within_half_a_standard_error_of_nonmem(workplace: Path, shared_data: Path):
    maximum = kn.checks.estimates(kn.fit("fits/warfarin.toml"))
    rows = maximum.table.set_index("site")
    reference = pd.read_csv(shared_data / "warfarin" / "nonmem_reference.csv").set_index("parameter")
    compared = 0
    for name, published in reference["estimate"].items():
        site = _SITES.get(str(name), str(name) if str(name).startswith("omega_") else f"{name}_pop")
        if site not in rows.index or pd.isna(rows.loc[site, "se"]):
            continue
        assert abs(rows.loc[site, "estimate"] - published) < 0.5 * rows.loc[site, "se"], site
        compared += 1
    assert compared >= 15
    assert maximum.ofv < reference.loc["ofv", "estimate"]  # it ended with rounding errors
    assert maximum.ofv == pytest.approx(reference.loc["ofv", "estimate"], abs=1.0)
    held = rows.loc["emax_pop", "held"]
    assert "its bound of 1" in held
    assert "combination" not in held
