"""Times to events in a plan: read from subjects.csv, refused by name, and a term of the joint density."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kinetics.assay import event_log_likelihood, event_times, link_values
from kinetics.errors import PlanError
from kinetics.inference.posterior import Posterior
from kinetics.plan import bind, bind_new_subjects, describe_records, plan_of
from kinetics.solve import solve
from kinetics.study import Study, read_study

DICTIONARY = """title = "SYNTHETIC copies and the days of progression"
source = "tests/plan/test_events.py"
licence = "CC0-1.0"
synthetic = true

[analytes.car_copies]
label = "CAR transgene"
assay = "qpcr"
site = "blood"
unit = "copies/ug DNA"
lloq = 50.0

[columns.subjects]
arm = { role = "covariate", kind = "category" }
pfs_days = { role = "note", unit = "day" }
pfs_weeks = { role = "note", unit = "week" }
pfs_bare = { role = "note" }
progressed = { role = "note" }
entered = { role = "note", unit = "day" }

[columns.doses]
time = { unit = "day" }

[columns.observations]
time = { unit = "day" }
"""
SUBJECTS = """subject,weight_kg,arm,pfs_days,pfs_weeks,pfs_bare,progressed,entered
S1,70,a,35,5,35,yes,0
S2,70,b,140,20,140,no,0
S3,70,a,,,35,,0
S4,70,b,84,12,84,1,20
S5,70,a,7,1,7,yes,0
"""
PFS: dict[str, Any] = {
    "time": "pfs_days",
    "event": "progressed",
    "output": "copies",
    "link": "log_peak",
    "reference": 1e4,
    "floor": 50.0,
}


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return written(tmp_path, SUBJECTS)


def written(folder: Path, subjects: str) -> Study:
    (folder / "dictionary.toml").write_text(DICTIONARY)
    (folder / "subjects.csv").write_text(subjects)
    names = [line.split(",")[0] for line in subjects.splitlines()[1:]]
    doses = [f"{name},0,car_t,iv,1e8" for name in names]
    (folder / "doses.csv").write_text("\n".join(["subject,time,product,route,cells", *doses, ""]))
    rows = [
        f"{name},{day},car_copies,{value}"
        for name in names
        for day, value in ((3, 100), (7, 9000), (14, 8000), (28, 900))
    ]
    (folder / "observations.csv").write_text("\n".join(["subject,time,analyte,value", *rows, ""]))
    return read_study(folder)


def keys(**events: dict[str, Any]) -> dict[str, Any]:
    return {
        "model": "ogasawara_2021",
        "data": "x",
        "vary": ["cmax"],
        "observe": {"car_copies": {}},
        "time_to_event": events,
    }


def test_an_event_is_a_term_of_the_joint_density(study: Study) -> None:
    covariates = [{"covariate": "arm"}]
    with_event = bind(plan_of(keys(pfs=PFS | {"covariates": covariates})), study=study)
    without = bind(plan_of(keys()), study=study)
    s = {k: jnp.asarray(p.median) for k, p in with_event.priors().items()}
    s |= {"eta_cmax": jnp.asarray([0.3, -0.2, 0.0, 0.5, -1.0]), "slope_pfs": jnp.asarray(-0.8)}
    s |= {"beta_pfs_arm_b": jnp.asarray(0.4)}

    end = np.array([35.0, 140.0, np.nan, 84.0, 7.0])
    events = event_times(end, np.array([True, False, False, True, True]), np.zeros(5))
    theta = with_event.theta(s, with_event.data)
    copies = solve(with_event.model, events.time, theta, with_event.data.doses, ["copies"])["copies"]
    x = link_values("log_peak", copies, events.time, reference=1e4, floor=50.0, window=28.0)
    p = {"slope": -0.8, "median": 365.0, "shape": 1.0}
    truth = event_log_likelihood("weibull", x, events, p, np.array([0.0, 0.4, 0.0, 0.4, 0.0]))

    added = with_event.subject_log_likelihood(s, with_event.data) - without.subject_log_likelihood(
        s, without.data
    )
    np.testing.assert_allclose(added, truth, rtol=1e-9, atol=1e-12)
    assert float(truth[2]) == 0.0
    assert "pfs: 3 events in 4 subjects, 1 without a time" in describe_records(with_event)
    prior = sum(
        float(with_event.priors()[k].to_numpyro().log_prob(s[k]))
        for k in with_event.priors()
        if k not in without.priors()
    )
    difference = with_event.log_density(s, with_event.data) - without.log_density(s, without.data)
    assert float(difference) == pytest.approx(float(jnp.sum(truth)) + prior, rel=1e-9)


def test_its_gradient_is_that_of_differences(study: Study) -> None:
    posterior = Posterior(bind(plan_of(keys(pfs=PFS | {"link": "log_auc"})), study=study))
    coordinates = posterior.plain()
    rng = np.random.default_rng(3)
    z = 0.3 * rng.standard_normal(posterior.size)
    value = jax.jit(lambda z: posterior.log_density(z, posterior.bound.data, coordinates))
    gradient = np.asarray(jax.grad(value)(z))
    for i in range(posterior.size):
        step = np.zeros_like(z)
        step[i] = 1e-5
        slope = (float(value(z + step)) - float(value(z - step))) / 2e-5
        assert gradient[i] == pytest.approx(slope, rel=1e-5, abs=1e-5), i


def test_weeks_are_days_and_an_entry_is_left_truncation(study: Study) -> None:
    days = bind(plan_of(keys(pfs=PFS)), study=study).data.event_times["pfs"]
    weeks = bind(plan_of(keys(pfs=PFS | {"time": "pfs_weeks"})), study=study).data.event_times["pfs"]
    np.testing.assert_allclose(days.end, weeks.end)
    entered = bind(plan_of(keys(pfs=PFS | {"entry": "entered"})), study=study).data.event_times["pfs"]
    at_risk = np.sum(np.asarray(entered.upper) - np.asarray(entered.lower), axis=1)
    np.testing.assert_allclose(at_risk[[0, 1, 3, 4]], [35.0, 140.0, 64.0, 7.0])


def test_a_landmark_says_who_is_left_out(study: Study) -> None:
    bound = bind(plan_of(keys(pfs=PFS | {"landmark": 10.0})), study=study)
    assert "pfs: 2 events in 3 subjects, 1 without a time, 1 not counted" in describe_records(bound)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"output": "copiess"}, "no output 'copiess'; did you mean 'copies'?"),
        ({"time": "pfs_dais"}, "no column 'pfs_dais'"),
        ({"time": "pfs_bare"}, "pfs_bare has no unit, not a time"),
        ({"event": "arm"}, "'a' in arm; write yes or no (1 or 0)"),
        ({"landmark": 100.0}, "nobody had the event after day 100"),
        ({"covariates": [{"covariate": "sex"}]}, "no covariate 'sex'"),
        ({"covariates": [{"covariate": "arm"}, {"covariate": "arm"}]}, "arm stands there twice"),
        ({"reference": None}, "log_peak needs `reference`"),
        ({"reference": -1.0}, "the `reference` of a logarithm is above 0"),
        ({"floor": None}, "log_peak needs `floor`"),
        ({"link": "log_growth"}, "it has no `reference`"),
        ({"link": "current"}, "it has no `floor`"),
        ({"link": "peak"}, "log_peak"),
        ({"median": {"distribution": "Normal", "mean": 1.0, "sd": 1.0}}, "`median` has a LogNormal prior"),
        ({"slope": {"median": 1.0, "sd": 1.0}}, "a log hazard ratio has a Normal prior"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(study: Study, change: dict[str, Any], says: str) -> None:
    with pytest.raises(PlanError) as refusal:
        bind(plan_of(keys(pfs=PFS | change)), study=study)
    assert says in str(refusal.value)


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        ("35,5,35,maybe,0", "'maybe' in progressed"),
        ("35,5,35,,0", "progressed is empty and the other column is not"),
        (",5,35,yes,0", "pfs_days is empty and the other column is not"),
        ("0,5,35,yes,0", "pfs_days is 0"),
        ("35,5,35,yes,", "entered is empty"),
    ],
)
def test_a_cell_that_means_nothing_is_refused_with_its_subject(tmp_path: Path, cells: str, says: str) -> None:
    study = written(tmp_path, SUBJECTS.replace("35,5,35,yes,0", cells, 1))
    with pytest.raises(PlanError) as refusal:
        bind(plan_of(keys(pfs=PFS | {"entry": "entered"})), study=study)
    assert says in str(refusal.value)
    assert "subject S1" in str(refusal.value)


def test_an_event_has_a_name_of_its_own(study: Study) -> None:
    with pytest.raises(PlanError, match="car_copies is the name of an analyte too"):
        bind(plan_of(keys(car_copies=PFS)), study=study)


def test_new_subjects_need_no_time(study: Study, tmp_path: Path) -> None:
    bound = bind(plan_of(keys(pfs=PFS)), study=study)
    new = tmp_path / "new"
    new.mkdir()
    header = SUBJECTS.splitlines()[0]
    other = written(new, f"{header}\nN1,70,a,,,,,\n")
    assert bind_new_subjects(bound, other).events == ()
