"""PEtab problems: out and in again they predict the same numbers; what cannot be said is refused."""

from __future__ import annotations

import csv
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from kinetics.errors import InputError
from kinetics.formats import petab_import
from kinetics.formats.petab_export import export_petab
from kinetics.formats.petab_import import import_petab
from kinetics.inference.fitting import fit
from kinetics.plan.binding import BoundFit, bind
from kinetics.plan.plan import read_plan
from kinetics.solve import Solver, solve
from kinetics.study.study import read_study
from tests.support.commands import call
from tests.support.saturable import EQUATIONS

pytest.importorskip("libsbml", reason="python-libsbml is not installed: PEtab problems were NOT tried")
pytest.importorskip("yaml", reason="pyyaml is not installed: PEtab problems were NOT tried")

PLAN = """
model = "models/eq.py"
data = "theophylline"

[observe.theophylline]
output = "concentration"
likelihood = "LIKELIHOOD"
"""
DECAY = """<?xml version="1.0" encoding="UTF-8"?>
<sbml xmlns="http://www.sbml.org/sbml/level2/version4" level="2" version="4"><model id="m">
<listOfParameters>
<parameter id="k" value="9"/><parameter id="A" value="1" constant="false"/>
</listOfParameters>
<listOfRules><rateRule variable="A"><math xmlns="http://www.w3.org/1998/Math/MathML">
<apply><minus/><apply><times/><ci>k</ci><ci>A</ci></apply></apply>
</math></rateRule></listOfRules></model></sbml>
"""
YAML = """\
format_version: 1
parameter_file: p.tsv
problems:
- sbml_files: [m.xml]
  condition_files: [c.tsv]
  observable_files: [o.tsv]
  measurement_files: [d.tsv]
"""
EXACT = Solver(rtol=1e-9, atol=1e-9)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "models").mkdir()
    (tmp_path / "plans").mkdir()
    (tmp_path / "models" / "eq.py").write_text(EQUATIONS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def problem(here: Path, likelihood: str = "additive", subject: str = "2") -> Path:
    plan = here / "plans" / "eq.toml"
    plan.write_text(PLAN.replace("LIKELIHOOD", likelihood))
    return export_petab(plan, here / "petab", subject=subject, force=True).folder


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def edited(file: Path, change: Callable[[str], str]) -> None:
    text = file.read_text(encoding="utf-8")
    assert change(text) != text
    file.write_text(change(text), encoding="utf-8")


# --- out and in again --------------------------------------------------------------------------------------


def curve(bound: BoundFit, output: str, row: int = 0) -> np.ndarray:
    """A subject's output at its records, for the typical values of the model."""
    doses = type(bound.data.doses)(*(np.asarray(x)[[row]] for x in bound.data.doses))
    times = np.asarray(bound.data.observations.time)[[row]]
    typical = {name: np.array([value]) for name, value in bound.model.typical().items()}
    return np.asarray(solve(bound.model, times, typical, doses, [output], solver=EXACT)[output])[0]


def test_a_problem_that_was_read_again_predicts_what_the_plan_predicted(here: Path) -> None:
    imported = import_petab(problem(here) / "eq.yaml", name="again", to=here)
    bound = bind(read_plan(here / "plans" / "eq.toml"))
    again = bind(read_plan(imported.plan))
    records = bound.study.observations.query("subject == '2'")
    assert again.study.observations["value"].tolist() == records["value"].tolist()
    assert again.study.observations["time"].tolist() == pytest.approx(records["time"].tolist())
    expected = curve(bound, "concentration", row=list(bound.subjects).index("2"))
    np.testing.assert_allclose(curve(again, "observable_theophylline"), expected, rtol=1e-6, atol=1e-9)


def test_what_was_estimated_is_estimated_with_the_same_priors(here: Path) -> None:
    folder = problem(here)
    table = {row["parameterId"]: row for row in rows(folder / "parameters.tsv")}
    assert table["ka"]["objectivePriorType"] == "parameterScaleNormal"
    assert table["share"]["objectivePriorType"] == ""  # PEtab has no logit-normal
    imported = import_petab(folder / "eq.yaml", name="again", to=here)
    assert imported.estimated == ("half", "ka", "most", "share", "volume")
    bound = bind(read_plan(imported.plan))
    priors = bound.priors()
    assert priors["ka_pop"].median == pytest.approx(30.0)
    assert priors["ka_pop"].sd == pytest.approx(1.0)
    assert bound.hierarchy.vary == ()


@pytest.mark.parametrize("likelihood", ["additive", "proportional", "lognormal"])
def test_the_likelihood_of_each_family_is_that_of_the_formulas(here: Path, likelihood: str) -> None:
    folder = problem(here, likelihood)
    if likelihood != "additive":  # the prediction of day 0 is 0: it has no logarithm and no relative error
        edited(folder / "measurements.tsv", lambda text: re.sub(r".*\t0\.0\t.*\n", "", text))
    (observable,) = rows(folder / "observables.tsv")
    assert observable["observableTransformation"] == ("log" if likelihood == "lognormal" else "lin")
    imported = import_petab(folder / "eq.yaml", name="again", to=here)
    bound = bind(read_plan(imported.plan))
    site = "sigma_add_theophylline" if likelihood == "additive" else "sigma_theophylline"
    site = site.replace("theophylline", "observable_theophylline")
    sites = {f"{name}_pop": jnp.asarray(bound.model.typical()[name]) for name in imported.estimated}
    found = float(bound.subject_log_likelihood({**sites, site: jnp.asarray(0.4)}, bound.data)[0])
    predicted = curve(bound, "observable_theophylline")
    value = bound.study.observations["value"].to_numpy(float)
    if likelihood == "lognormal":
        expected = norm.logpdf(np.log(value), np.log(predicted), 0.4) - np.log(value)
    else:
        expected = norm.logpdf(value, predicted, 0.4 * (predicted if likelihood == "proportional" else 1.0))
    assert found == pytest.approx(float(np.sum(expected)), rel=1e-5)


def test_the_commands_say_what_they_wrote(here: Path) -> None:
    (here / "plans" / "eq.toml").write_text(PLAN.replace("LIKELIHOOD", "additive"))
    refused = call("export", "plans/eq.toml", "--as", "petab", "--out", "petab")
    assert refused.code == 1
    assert "one subject, and the study has 12" in refused.err
    assert not (here / "petab").exists()
    out = call("export", "plans/eq.toml", "--as", "petab", "--subject", "2", "--out", "petab")
    assert out.code == 0
    assert "the spread between subjects is not in the problem" in out.out
    back = call("import-petab", "petab/eq.yaml", "--name", "again")
    assert back.code == 0, back.err
    assert "1 observables, 5 estimated parameters" in back.out
    again = call("import-petab", "petab/eq.yaml", "--name", "again")
    assert (again.code, again.err.count("already there")) == (1, 3)
    assert tomllib.loads((here / "fits" / "again.toml").read_text())["vary"] == []


def test_a_problem_of_others_is_fitted(here: Path) -> None:
    """Noise as a placeholder, log10 scales, a condition with a value: as public collections have them."""
    folder = here / "theirs"
    folder.mkdir()
    (folder / "m.xml").write_text(DECAY)
    (folder / "p.yaml").write_text(YAML)
    (folder / "c.tsv").write_text("conditionId\tA\nc0\t8\n")
    (folder / "o.tsv").write_text(
        "observableId\tobservableFormula\tnoiseFormula\tobservableTransformation\n"
        "Obs_A\tscale*A\tnoiseParameter1_Obs_A\tlog10\n"
    )
    days = np.array([0.5, 1.0, 2.0, 3.0, 4.0])
    values = 16.0 * np.exp(-0.5 * days) * np.exp([0.02, -0.03, 0.01, 0.04, -0.02])
    (folder / "d.tsv").write_text(
        "observableId\tsimulationConditionId\ttime\tmeasurement\tnoiseParameters\n"
        + "".join(f"Obs_A\tc0\t{t * 86400}\t{v}\tsd_A\n" for t, v in zip(days, values, strict=True))
    )
    (folder / "p.tsv").write_text(
        "parameterId\tparameterScale\tlowerBound\tupperBound\tnominalValue\testimate\n"
        "k\tlog10\t1e-7\t1e-4\t3e-6\t1\nscale\tlog10\t0.1\t100\t3\t1\nsd_A\tlog10\t1e-3\t1\t0.02\t1\n"
    )
    imported = import_petab(folder / "p.yaml", name="theirs", to=here)
    assert imported.observables == ("obs_a",)
    assert imported.estimated == ("k", "scale")
    plan = read_plan(imported.plan)
    study = read_study(imported.data)
    assert study.observations["time"].tolist() == pytest.approx(days.tolist())
    found = fit(plan.model_copy(update={"method": "map"}))
    sites = found.sites()
    assert float(np.median(sites["scale_pop"])) == pytest.approx(2.0, rel=0.1)
    rate = float(np.median(sites["k_pop"])) * (86400 if found.model.parameters["k"].value < 1e-3 else 1)
    assert rate == pytest.approx(0.5, rel=0.1)


# --- what is refused ---------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[str, Callable[[str], str], str]] = {
    "two conditions": ("conditions.tsv", lambda t: f"{t}other\tother\n", "2 conditions"),
    "a normal prior of a rate": (
        "parameters.tsv",
        lambda t: t.replace("parameterScaleNormal", "normal", 1),
        "row 2.*a normal prior of a value above 0",
    ),
    "a Laplace prior": (
        "parameters.tsv",
        lambda t: t.replace("parameterScaleNormal", "laplace", 1),
        "row 2.*a prior laplace",
    ),
    "Laplace noise": (
        "observables.tsv",
        lambda t: t.replace("\tnormal", "\tlaplace"),
        "row 2.*noise laplace",
    ),
    "noise of another form": (
        "observables.tsv",
        lambda t: t.replace("sigma_theophylline", "1 + 0.1*output_theophylline"),
        "noiseFormula.*has no place in a plan",
    ),
    "a steady state": (
        "measurements.tsv",
        lambda t: t.replace("\t1.0125\t", "\tinf\t"),
        "row 12.*'inf' is not a finite number",
    ),
    "an unknown observable": (
        "measurements.tsv",
        lambda t: t.replace("observable_theophylline\tall_records\t0.0", "other\tall_records\t0.0"),
        "row 2.*no such observable",
    ),
    "no number": (
        "parameters.tsv",
        lambda t: t.replace("30.0\t1\t", "thirty\t1\t", 1),
        "'thirty' is not a finite",
    ),
    "a parameter twice": (
        "parameters.tsv",
        lambda t: t + t.splitlines()[1] + "\n",
        "two rows of one parameter: ka",
    ),
    "two problems": ("eq.yaml", lambda t: f"{t}- sbml_files: [eq.xml]\n", "not one problem"),
    "another version": (
        "eq.yaml",
        lambda t: t.replace("format_version: 1", "format_version: 2.0.0"),
        "format_version 1",
    ),
    "no YAML": ("eq.yaml", lambda t: "problems: [", "not a YAML file"),
    "a formula that is none": (
        "observables.tsv",
        lambda t: t.replace("\toutput_theophylline\t", "\toutput_theophylline +* 2\t"),
        "is not a formula",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_plan_cannot_say_is_refused_with_its_place(here: Path, case: str) -> None:
    file, change, said = REFUSED[case]
    folder = problem(here)
    edited(folder / file, change)
    with pytest.raises(InputError, match=said):
        import_petab(folder / "eq.yaml", name="again", to=here)
    assert not (here / "fits").exists()
    assert not (here / "data").exists()


def test_a_disk_that_is_full_half_way_leaves_nothing(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = problem(here)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "data/again")

    monkeypatch.setattr(petab_import, "write_files", full)
    with pytest.raises(OSError, match="No space"):
        import_petab(folder / "eq.yaml", name="again", to=here)
    assert [path.name for path in (here / "models").iterdir()] == ["eq.py"]
    assert not (here / "fits").exists()


def test_records_that_petab_has_no_word_for_are_refused(here: Path) -> None:
    plan = here / "plans" / "cart.toml"
    plan.write_text(
        'model = "ogasawara_2021"\ndata = "synthetic_cart_12"\n'
        '[observe.car_copies]\noutput = "copies"\nlikelihood = "lognormal"\n'
    )
    with pytest.raises(InputError) as error:
        export_petab(plan, here / "petab", subject="S01")
    assert not (here / "petab").exists()
    assert error.value.problems
