"""Grades over time in a plan: records as categories, refused by name, and a term of the joint density."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kinetics as kn
from kinetics.assay import grade_log_likelihood, link_values
from kinetics.errors import PlanError
from kinetics.inference.posterior import Posterior
from kinetics.plan import bind, describe_records, plan_of
from kinetics.solve import solve
from kinetics.study import Study, read_study

DICTIONARY = """title = "SYNTHETIC IL-6, CRP and daily grades of CRS"
source = "tests/plan/test_grades.py"
licence = "CC0-1.0"
synthetic = true

[analytes.il6]
label = "IL-6"
assay = "elisa"
site = "serum"
unit = "pg/mL"

[analytes.crp]
label = "CRP"
assay = "clinical_chemistry"
site = "serum"
unit = "mg/L"

[analytes.crs]
label = "CRS grade"
assay = "clinical"
site = "body"
unit = "1"

[columns.doses]
time = { unit = "day" }

[columns.observations]
time = { unit = "day" }
"""
CRS: dict[str, Any] = {
    "analyte": "crs",
    "levels": [1, 3],
    "output": "il6",
    "link": "log_current",
    "reference": 50.0,
    "floor": 1.0,
}
GRADES = {"S1": (0, 1, 3, 1), "S2": (0, 0, 2, 0), "S3": (0, 0, 0, 0)}
DAYS = (1.0, 3.0, 5.0, 9.0)


def written(folder: Path, grades: dict[str, tuple[float, ...]] = GRADES) -> Study:
    (folder / "dictionary.toml").write_text(DICTIONARY)
    (folder / "subjects.csv").write_text("\n".join(["subject,weight_kg", *(f"{s},70" for s in grades), ""]))
    doses = "\n".join(["subject,time,product,route,cells", *(f"{s},0,car_t,iv,1e8" for s in grades), ""])
    (folder / "doses.csv").write_text(doses)
    rows = ["subject,time,analyte,value"]
    for subject, of_subject in grades.items():
        rows += [f"{subject},{day},il6,{5 + 40 * grade}" for day, grade in zip(DAYS, of_subject, strict=True)]
        rows += [f"{subject},{day},crs,{grade}" for day, grade in zip(DAYS, of_subject, strict=True)]
    (folder / "observations.csv").write_text("\n".join([*rows, ""]))
    return read_study(folder)


def keys(**grades: dict[str, Any]) -> dict[str, Any]:
    return {
        "model": "acute_phase",
        "data": "x",
        "vary": ["il6_gain"],
        "observe": {"il6": {}},
        "graded": grades,
    }


def test_grades_are_a_term_of_the_joint_density(tmp_path: Path) -> None:
    study = written(tmp_path)
    bound = bind(plan_of(keys(crs=CRS)), study=study)
    without = bind(plan_of(keys()), study=study)
    s = {k: jnp.asarray(p.median) for k, p in bound.priors().items()}
    s |= {"eta_il6_gain": jnp.asarray([0.5, 0.0, -0.7]), "slope_crs": jnp.asarray(1.5)}
    records = bound.data.grades["crs"]
    theta = bound.theta(s, bound.data)
    il6 = solve(bound.model, records.time, theta, bound.data.doses, ["il6"])["il6"]
    x = link_values("log_current", il6, records.time, reference=50.0, floor=1.0, window=1.0)
    truth = grade_log_likelihood(x, records, 1.5, np.array([2.0, 3.0]), np.zeros(3))
    added = bound.subject_log_likelihood(s, bound.data) - without.subject_log_likelihood(s, without.data)
    np.testing.assert_allclose(added, truth, rtol=1e-9, atol=1e-9)
    assert "crs: 12 grades, by category 8, 3, 1" in describe_records(bound)


def test_their_gradient_is_that_of_differences(tmp_path: Path) -> None:
    posterior = Posterior(bind(plan_of(keys(crs=CRS | {"delay": 1.0})), study=written(tmp_path)))
    coordinates = posterior.plain()
    z = 0.3 * np.random.default_rng(3).standard_normal(posterior.size)
    value = jax.jit(lambda z: posterior.log_density(z, posterior.bound.data, coordinates))
    gradient = np.asarray(jax.grad(value)(z))
    for i in range(posterior.size):
        step = np.zeros_like(z)
        step[i] = 1e-5
        slope = (float(value(z + step)) - float(value(z - step))) / 2e-5
        assert gradient[i] == pytest.approx(slope, rel=1e-5, abs=1e-5), i


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"output": "il"}, "no output 'il'"),
        ({"analyte": "crss"}, "no analyte 'crss'; did you mean 'crs'?"),
        ({"analyte": "il6"}, "il6 is in pg/mL, and a grade has no unit"),
        ({"levels": [1, 4]}, "no record of crs is 4 or more"),
        ({"levels": [1, 1]}, "the levels rise"),
        ({"floor": None}, "log_current needs `floor`"),
        ({"gap": {"distribution": "Normal", "mean": 1.0, "sd": 1.0}}, "`gap` has a LogNormal prior"),
        ({"cut": {"median": 1.0, "sd": 1.0}}, "`cut` has a Normal prior"),
        ({"covariates": [{"covariate": "sex"}]}, "no covariate 'sex'"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    with pytest.raises(PlanError) as refusal:
        bind(plan_of(keys(crs=CRS | change)), study=written(tmp_path))
    assert says in str(refusal.value)


def test_the_slope_is_found_again(tmp_path: Path) -> None:
    """Sixty subjects whose grades were drawn from their true IL-6: within two standard errors."""
    rng = np.random.default_rng(20261201)
    model = kn.load_model("acute_phase")
    n = 60
    names = [f"S{i:02d}" for i in range(n)]
    first = written(tmp_path, {name: (0, 1, 2, 3) for name in names})
    bound = bind(plan_of(keys(crs=CRS)), study=first)
    theta = {k: np.full(n, v) for k, v in model.typical().items()}
    theta["il6_gain"] = theta["il6_gain"] * np.exp(1.5 * rng.standard_normal(n))
    days = np.tile(DAYS, (n, 1))
    il6 = np.asarray(solve(model, days, theta, bound.data.doses, ["il6"])["il6"])
    odds = 2.5 * np.log10(np.maximum(il6, 1.0) / 50.0)[..., None] - np.array([0.5, 2.0])
    u = rng.random((n, 4, 1))
    category = (u < 1 / (1 + np.exp(-odds))).sum(axis=-1)
    grades = np.array([0, 1, 3])[category]
    rows = ["subject,time,analyte,value"]
    for i, name in enumerate(names):
        measured = il6[i] * np.exp(0.3 * rng.standard_normal(4))
        rows += [f"{name},{day},il6,{value:.4g}" for day, value in zip(DAYS, measured, strict=True)]
        rows += [f"{name},{day},crs,{grade}" for day, grade in zip(DAYS, grades[i], strict=True)]
    (tmp_path / "observations.csv").write_text("\n".join([*rows, ""]))
    fixed = {
        k: float(v) for k, v in model.typical().items() if k not in ("il6_gain",) and not k.startswith("crp")
    }
    plan = keys(crs=CRS) | {"method": "laplace", "fixed": fixed, "sampler": {"chains": 1, "draws": 10}}
    table = kn.checks.estimates(kn.fit(plan_of(plan), read_study(tmp_path))).table.set_index("site")
    for site, value in {"slope_crs": 2.5, "cut1_crs": 0.5, "gap2_crs": 1.5}.items():
        width = table.loc[site, "upper"] - table.loc[site, "lower"]
        assert abs(table.loc[site, "estimate"] - value) < 0.5 * width, site
        assert width < 2.0, site
