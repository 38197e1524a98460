"""Control streams of a plan: their formulas, read as text, give the model's numbers; the rest is refused.

Neither NONMEM nor Monolix was at hand. What can be tested is that the assignments, evaluated by a small
reader of the two languages, are the model's own predictions and likelihood.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import solve_ivp
from scipy.stats import norm

from kinetics.errors import InputError
from kinetics.formats.control_streams import export_control
from kinetics.model import load_model
from kinetics.regimen import doses_of
from kinetics.solve import solve
from kinetics.study.study import read_study
from tests.support.commands import call
from tests.support.saturable import EQUATIONS

ORAL = """
model = "one_compartment_oral"
data = "theophylline"

[observe.theophylline]
likelihood = "LIKELIHOOD"

[allometry.cl]
exponent = 1.0
reference = 1.0
"""


def written(tmp_path: Path, plan: str, formats: str) -> Path:
    (tmp_path / "plan.toml").write_text(plan)
    return export_control(tmp_path / "plan.toml", formats.split(","), tmp_path / "out").folder


def block(text: str, name: str) -> list[str]:
    """The lines of a block of a control stream."""
    match = re.search(rf"^\{name}\b.*?\n(.*?)(?=^\$|\Z)", text, re.MULTILINE | re.DOTALL)
    assert match is not None, name
    return [
        line.partition(";")[0].strip() for line in match[1].splitlines() if line.partition(";")[0].strip()
    ]


OPERATORS = {".LT.": "<", ".LE.": "<=", ".GT.": ">", ".GE.": ">=", ".EQ.": "==", ".NE.": "!="}
FUNCTIONS = {"EXP": math.exp, "LOG": math.log, "ABS": abs, "SQRT": math.sqrt, "PHI": norm.cdf}


def run_nm_tran(lines: list[str], values: dict[str, object]) -> dict[str, object]:
    """The values after NM-TRAN's assignments, IF statements and IF blocks."""
    names = dict(values)
    active = True
    for line in lines:
        for word, sign in OPERATORS.items():
            line = line.replace(word, sign)
        line = line.replace(".AND.", " and ")
        line = line.replace("THETA(", "TH(").replace(" ETA(", " ETA_(").replace("(ETA(", "(ETA_(")
        if line == "ENDIF":
            active = True
            continue
        condition = re.fullmatch(r"IF \((.*)\) THEN", line)
        if condition:
            active = bool(eval(condition[1], FUNCTIONS, names))
            continue
        if not active:
            continue
        short = re.fullmatch(r"IF \(((?:[^()]|\([^()]*\))*)\) (.*)", line)
        if short:
            if not eval(short[1], FUNCTIONS, names):
                continue
            line = short[2]
        name, _, text = line.partition(" = ")
        indexed = re.fullmatch(r"(\w+)\((\d+)\)", name)
        names[f"{indexed[1]}{indexed[2]}" if indexed else name] = eval(text, FUNCTIONS, names)
    return names


def thetas(control: str) -> list[float]:
    return [
        float(re.findall(r"-?[\d.]+(?:e[-+]?\d+)?", line.split(",", 1)[-1])[0])
        for line in block(control, "$THETA")
    ]


def of_control(control: str) -> dict[str, object]:
    """What THETA(k) and ETA(k) are: the starts, and effects of 0."""
    starts = thetas(control)
    return {"TH": lambda k: starts[k - 1], "ETA_": lambda k: 0.0}


def own_predictions(model, study) -> pd.Series:
    """The model's typical prediction at every record of a study, clearance per kg where the plan says so."""
    records = study.observed("theophylline")
    predictions = []
    doses = doses_of(study, entries=list(model.dosing))
    times = np.full((len(study.subject_ids), 20), np.inf)
    for place, subject in enumerate(study.subject_ids):
        own = records[records["subject"] == subject]["time"].to_numpy(float)
        times[place, : len(own)] = own
    weights = study.subjects["weight_kg"].to_numpy(float)
    theta = {name: np.full(len(weights), value) for name, value in model.typical().items()}
    if "cl" in theta:
        theta["cl"] = theta["cl"] * weights
    curves = np.asarray(next(iter(solve(model, times, theta, doses).values())))
    for place, subject in enumerate(study.subject_ids):
        predictions += list(curves[place, : (records["subject"] == subject).sum()])
    return pd.Series(predictions)


def test_the_closed_form_of_a_nonmem_control_stream_predicts_as_the_model_does(tmp_path):
    folder = written(tmp_path, ORAL.replace("LIKELIHOOD", "additive"), "nonmem-control")
    control = (folder / "plan.ctl").read_text()
    data = pd.read_csv(folder / "plan.csv", na_values=".")
    names = re.search(r"^\$INPUT (.*)$", control, re.MULTILINE)[1].split()
    assert [name.removesuffix("=DROP") for name in names] == list(data.columns)
    rows = data[data["MDV"] == 0]
    results = [
        run_nm_tran(block(control, "$PRED"), of_control(control) | row.fillna(0).to_dict())
        for _, row in rows.iterrows()
    ]
    model = load_model("one_compartment_oral")
    expected = own_predictions(model, read_study("theophylline"))
    assert [r["IPRED"] for r in results] == pytest.approx(list(expected), rel=1e-9, abs=1e-12)
    sd = thetas(control)[-1]
    deviances = [-2 * norm.logpdf(dv, f, sd) for dv, f in zip(rows["DV"], expected, strict=True)]
    assert [r["Y"] for r in results] == pytest.approx(deviances, rel=1e-9)


@pytest.mark.parametrize("family", ["lognormal", "proportional", "additive"])
def test_the_likelihood_of_a_record_is_the_plans_own(family, tmp_path):
    folder = written(tmp_path, ORAL.replace("LIKELIHOOD", family), "nonmem-control")
    control = (folder / "plan.ctl").read_text()
    lines = block(control, "$PRED")
    begin = next(k for k, line in enumerate(lines) if line == "Y = 0")
    sd = thetas(control)[-1]
    for censored in (0, 1):
        values = {"IPRED": 4.0, "IPLOG": math.log(4.0), "DV": 3.0, "CENS": censored, "DVID": 1, "MDV": 0}
        deviance = run_nm_tran(lines[begin:], of_control(control) | values)["Y"]
        if family == "lognormal":
            z = math.log(3 / 4) / sd
            jacobian = -math.log(3.0)
            scale = sd
        else:
            scale = sd * 4 if family == "proportional" else sd
            z = (3.0 - 4.0) / scale
            jacobian = 0.0
        log_likelihood = norm.logcdf(z) if censored else norm.logpdf(z) - math.log(scale) + jacobian
        assert deviance == pytest.approx(-2 * log_likelihood, rel=1e-9)


def test_the_equations_of_a_control_stream_are_the_models(tmp_path):
    (tmp_path / "mine.py").write_text(EQUATIONS)
    plan = ORAL.replace('"one_compartment_oral"', f'"{tmp_path / "mine.py"}"').partition("[allometry")[0]
    folder = written(tmp_path, plan.replace("LIKELIHOOD", "proportional"), "nonmem-control,mlxtran")
    control = (folder / "plan.ctl").read_text()
    parameters = run_nm_tran(block(control, "$PK"), of_control(control))
    assert parameters["F1"] == 0.8
    assert "COMP=(C1 DEFDOSE) ; gut" in control
    lines = block(control, "$DES")

    def slope(t, a):
        result = run_nm_tran(lines, parameters | {"T": t, "A": lambda k: a[k - 1]})
        return [result["DADT1"], result["DADT2"]]

    study = read_study("theophylline")
    subject = study.subject_ids[0]
    amount = study.doses[study.doses["subject"] == subject]["amount"].iloc[0]
    times = study.observed("theophylline").query("subject == @subject")["time"].to_numpy(float)
    run = solve_ivp(slope, (0, times[-1]), [0.8 * amount, 0.0], "LSODA", t_eval=times, rtol=1e-9, atol=1e-9)
    expected = own_predictions(load_model(tmp_path / "mine.py"), study)[: len(times)]
    assert run.y[1][1:] / 30 == pytest.approx(list(expected)[1:], rel=1e-4)
    model = (folder / "plan_model.txt").read_text()
    assert "depot(target=x_gut, p=fraction)" in model
    assert "fraction = p_share" in model
    assert len(re.findall(r"^ddt_x_", model, re.MULTILINE)) == 2


def test_every_file_says_that_it_was_never_run_and_priors_are_left_out(tmp_path):
    folder = written(tmp_path, ORAL.replace("LIKELIHOOD", "additive"), "nonmem-control,mlxtran")
    names = {"plan.ctl", "plan.csv", "plan.mlxtran", "plan_model.txt"}
    assert {path.name for path in folder.iterdir()} == names
    for name in names - {"plan.csv"}:
        assert "UNRUN" in (folder / name).read_text().splitlines()[0]
    project = (folder / "plan.mlxtran").read_text()
    assert "priors are not carried" in project
    assert "p_ke = {distribution=logNormal, typical=p_ke_pop, no-variability}" in project
    assert "beta_cl = {value=1.0, method=FIXED}" in project


def test_what_a_control_stream_cannot_carry_is_refused_by_name(tmp_path):
    plan = ORAL.replace("LIKELIHOOD", "student_t") + "\n[effects]\ntails = { ka = 4 }\n"
    (tmp_path / "plan.toml").write_text(plan)
    result = call("export", tmp_path / "plan.toml", "--as", "mlxtran", "--out", tmp_path / "out", "--json")
    assert result.code == 1
    said = " ".join(p["what"] for p in result.json()["problems"])
    assert "student_t is not carried" in said
    assert "have tails are not carried" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        ("ogasawara_2021__synthetic_cart_12", "one dose a subject; S01 has 4"),
        ("nk_persistence__synthetic_carnk_12", "begins on day 0"),
        ("nkg2d_blood__nkg2d_phase1_synthetic", "one product by one route"),
    ],
)
def test_plans_of_the_library_that_have_more_are_refused(fit, message, tmp_path):
    with pytest.raises(InputError, match=message):
        export_control(fit, "nonmem-control", tmp_path / "out")


def test_a_plans_formats_are_not_mixed_with_a_studys(tmp_path):
    (tmp_path / "plan.toml").write_text(ORAL.replace("LIKELIHOOD", "additive"))
    result = call("export", tmp_path / "plan.toml", "--as", "nonmem-control,adpc")
    assert result.code == 1
    assert "a plan has no format 'adpc'" in result.err
    done = call("export", tmp_path / "plan.toml", "--as", "nonmem-control", "--out", tmp_path / "out")
    assert done.code == 0
    assert "UNRUN" in done.out
