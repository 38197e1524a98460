"""The reference ladder: posterior medians beside the published maximum-likelihood answers.

Priors are wide and deliberately off-centre (by a factor of 1.5), so agreement is the data's doing.
"""

from pathlib import Path

import numpy as np
import pytest

import kinetics as kn
from tests.published.reference_studies import phenobarbital
from tests.published.wide_priors import WEIGHT, spread, wide

pytestmark = [pytest.mark.fit, pytest.mark.slow]

SAMPLER = {"chains": 4, "warmup": 500, "draws": 2000, "target_accept": 0.9}


def assert_within(fit: kn.Fit, published: dict[str, float], *, posterior_sds: float = 1.5) -> None:
    assert kn.check(fit).ok, str(kn.check(fit))
    sites = fit.sites()
    for site, answer in published.items():
        draws = sites[site]
        distance = abs(np.median(draws) - answer) / np.std(draws)
        assert distance < posterior_sds, (
            f"{site}: {np.median(draws):.4g} +- {np.std(draws):.3g}, published {answer}"
        )


def test_theophylline_agrees_with_nlme() -> None:
    """R nlme 3.1, SSfol by ML, random lKa and lCl, additive error (Pinheiro & Bates 2000); per hour and
    kg.
    """
    fit = kn.fit(
        "one_compartment_oral",
        "theophylline",
        observe={"theophylline": {"likelihood": "additive", "sigma_scale": 2.0}},
        allometry={"cl": WEIGHT},
        priors={"ka": wide(38.23), "ke": wide(2.0615), "cl": wide(0.9521)},
        omega=spread("ka", "cl"),
        sampler=SAMPLER,
        seed=1,
    )
    published = {
        "ka_pop": 24 * np.exp(0.4657363),
        "ke_pop": 24 * np.exp(-2.4547044),
        "cl_pop": 24 * np.exp(-3.2272229),
        "omega_ka": 0.64357,
        "omega_cl": 0.16693,
        "sigma_add_theophylline": 0.70925,
    }
    assert_within(fit, published)


def test_phenobarbital_agrees_with_nonmem(shared_data: Path, tmp_path: Path) -> None:
    """NONMEM FOCE-I, proportional error, V larger by 15.9 % where the Apgar score is below 5 (pheno_real)."""
    fit = kn.fit(
        "one_compartment_iv",
        phenobarbital(shared_data / "pheno" / "pheno.dta", tmp_path / "pheno"),
        observe={"phenobarbital": {"likelihood": "proportional"}},
        allometry={"cl": WEIGHT, "v": WEIGHT},
        covariates={"v": [{"covariate": "apgar"}]},
        priors={"cl": wide(0.112693), "v": wide(0.984258)},
        omega=spread("cl", "v"),
        sampler=SAMPLER,
        seed=2,
    )
    published = {
        "cl_pop": 24 * 4.69555e-3, "v_pop": 0.984258, "beta_v_apgar_low": np.log(1.158920),
        "omega_cl": np.sqrt(2.93508e-2), "omega_v": np.sqrt(2.79060e-2),
        "sigma_phenobarbital": np.sqrt(1.32410e-2),
    }  # fmt: skip
    assert_within(fit, published)


def test_phenobarbital_agrees_with_nlme(shared_data: Path, tmp_path: Path) -> None:
    """R nlme 3.1, phenoModel by ML without covariates, additive error."""
    fit = kn.fit(
        "one_compartment_iv",
        phenobarbital(shared_data / "pheno" / "pheno.dta", tmp_path / "pheno"),
        observe={"phenobarbital": {"likelihood": "additive", "sigma_scale": 5.0}},
        priors={"cl": wide(0.1473), "v": wide(1.4085)},
        omega=spread("cl", "v"),
        sampler=SAMPLER,
        seed=3,
    )
    published = {
        "cl_pop": 24 * np.exp(-5.0932422), "v_pop": np.exp(0.342534),
        "omega_cl": 0.44021, "omega_v": 0.45044, "sigma_add_phenobarbital": 2.79274,
    }  # fmt: skip
    assert_within(fit, published)
