"""A fit as a TOML: every wrong key is refused at once with the nearest right one; paths start at the study
root.
"""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import tomli_w

from kinetics.errors import PlanError
from kinetics.inference.fitting import fit
from kinetics.library import ROOT
from kinetics.model.priors import HalfNormal, LogitNormal, LogNormal, Normal, Prior
from kinetics.plan.binding import bind
from kinetics.plan.plan import FitKeys, FitPlan, find_plan, plan_of, read_plan
from kinetics.plan.tables import PriorSpec
from kinetics.toml import Spec

LEAST: dict[str, Any] = {
    "model": "ogasawara_2021", "data": "synthetic_cart_12", "observe": {"car_copies": {}}, "name": "least",
}  # fmt: skip
FULL: dict[str, Any] = LEAST | {
    "seed": 7,
    "prior_set": "solid_tumour",
    "products": ["car_t"],
    "vary": ["cmax", "tmax"],
    "effects": {"correlated": [["cmax", "tmax"]], "concentration": 1.5, "tails": {"fb": 5.0}},
    "fixed": {"fb": 0.01},
    "observe": {
        "car_copies": {"output": "copies", "likelihood": "student_t", "below_lloq": "drop", "nu": 5.0},
        "car_dna": {"likelihood": "lognormal_poisson", "dna_ug": 0.5, "scale": {"median": 1.0, "sd": 0.3}},
    },
    "correlated": {"analytes": ["car_copies", "car_cells"], "concentration": 2.0},
    "covariates": {
        "cmax": [{"covariate": "age"}, {"covariate": "dose_level", "form": "power", "centre": 3e7}]
    },
    "allometry": {"tmax": {"exponent": 0.25}},
    "priors": {"tmax": {"median": 9.0, "sd": 0.4}},
    "omega": {"cmax": {"distribution": "HalfNormal", "scale": 1.0}},
    "sampler": {"chains": 2, "warmup": 50, "draws": 60},
    "expect": {"cmax": {"median": 2000.0, "within": 900.0}},
}
FITS = sorted(path.stem for path in (ROOT / "fits").glob("*.toml"))


def study_root(folder: Path, text: str, name: str = "mine") -> Path:
    """A study folder with one fit; returns the fit's file."""
    (folder / "fits").mkdir(parents=True)
    path = folder / "fits" / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(content: dict[str, Any]) -> PlanError:
    with pytest.raises(PlanError) as caught:
        plan_of(content, file="fits/mine.toml")
    return caught.value


def test_the_least_plan_and_the_fullest_are_accepted() -> None:
    assert plan_of(LEAST).vary is None
    full = plan_of(FULL)
    assert full.covariates["cmax"][1].centre == 3e7
    assert full.effects.correlated == (("cmax", "tmax"),)


@pytest.mark.parametrize("gone", [{"centred": ["cmax"]}, {"sampler": {"dense_mass": True}}])
def test_a_key_for_the_coordinates_of_chains_is_unknown(gone: dict[str, Any]) -> None:
    """Coordinates are the sampler's own business: `start` is the only word a plan has on them."""
    assert any("unknown key" in p.what for p in refusal(LEAST | gone).problems)


@pytest.mark.parametrize(
    ("change", "where", "remedy"),
    [
        ({"modle": "x"}, "modle", "did you mean 'model'?"),
        ({"covariate": {}}, "covariate", "did you mean 'covariates'?"),
        ({"sampler": {"target_acept": 0.9}}, "sampler.target_acept", "did you mean 'target_accept'?"),
        ({"observe": {"a": {"ouput": "x"}}}, "observe.a.ouput", "did you mean 'output'?"),
        (
            {"covariates": {"cmax": [{"covariate": "age", "from": "power"}]}},
            "covariates.cmax.0.from",
            "'form'?",
        ),
        ({"allometry": {"cl": {"exponent": 1, "refrence": 1}}}, "allometry.cl.refrence", "'reference'?"),
        ({"priors": {"cmax": {"medain": 1, "sd": 1}}}, "priors.cmax.medain", "'median'?"),
        (
            {"omega": {"cmax": {"scale": 1, "distributon": "Normal"}}},
            "omega.cmax.distributon",
            "'distribution'?",
        ),
        ({"expect": {"cmax": {"median": 1, "witin": 1}}}, "expect.cmax.witin", "did you mean 'within'?"),
        ({"observe": {"a": {"dna_ugg": 1.0}}}, "observe.a.dna_ugg", "did you mean 'dna_ug'?"),
        (
            {"observe": {"a": {"scale": {"medain": 1, "sd": 1}}}},
            "observe.a.scale.medain",
            "did you mean 'median'?",
        ),
        ({"observe": {"sigma": {"ouput": "x"}}}, "observe.sigma.ouput", "did you mean 'output'?"),
        ({"corelated": {}}, "corelated", "did you mean 'correlated'?"),
        (
            {"correlated": {"analytes": ["a", "b"], "concentraton": 2}},
            "correlated.concentraton",
            "did you mean 'concentration'?",
        ),
        ({"effects": {"corelated": []}}, "effects.corelated", "did you mean 'correlated'?"),
        ({"solver": {"maxsteps": 5}}, "solver.maxsteps", "did you mean 'max_steps'?"),
        ({"zzzzzz": 1}, "zzzzzz", "known: allometry, correlated,"),
    ],
)
def test_an_unknown_key_is_refused_with_its_nearest_match_at_every_level(
    change: dict[str, Any], where: str, remedy: str
) -> None:
    said = [p for p in refusal(LEAST | change).problems if "unknown key" in p.what]
    assert [p.what for p in said] == [f"unknown key {where!r}"]
    assert remedy in said[0].remedy
    assert said[0].file == "fits/mine.toml"


@pytest.mark.parametrize(
    ("content", "missing"),
    [
        ({}, ["data", "model", "observe"]),
        (LEAST | {"covariates": {"cmax": [{}]}}, ["covariates.cmax.0.covariate"]),
        (LEAST | {"allometry": {"cl": {}}}, ["allometry.cl.exponent"]),
        (LEAST | {"expect": {"cmax": {}}}, ["expect.cmax.median", "expect.cmax.within"]),
    ],
)
def test_missing_keys_are_all_named_with_the_line_to_add(content: dict[str, Any], missing: list[str]) -> None:
    problems = refusal(content).problems
    assert sorted(p.what for p in problems) == [f"missing key {key!r}" for key in missing]
    for problem in problems:
        key = problem.what.split("'")[1]
        assert problem.remedy.startswith(f"add `{key} = ...`, ")
        assert ": " in problem.remedy  # what it takes, and what it is


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"median": 1.0}, "LogNormal takes median and sd"),
        ({"mean": 1.0, "sd": 1.0}, "LogNormal takes median and sd"),
        ({"median": 1.0, "sd": 1.0, "scale": 2.0}, "LogNormal takes median and sd"),
        ({"median": 0.0, "sd": 1.0}, "the median of a LogNormal is above 0"),
        ({"median": -2.0, "sd": 1.0}, "the median of a LogNormal is above 0"),
        ({"distribution": "LogitNormal", "median": 1.0, "sd": 1.0}, "lies between 0 and 1"),
        ({"distribution": "LogitNormal", "median": 0.0, "sd": 1.0}, "lies between 0 and 1"),
        ({"distribution": "Normal", "median": 1.0, "sd": 1.0}, "Normal takes mean and sd"),
        ({"distribution": "HalfNormal", "sd": 1.0}, "HalfNormal takes scale"),
        ({"distribution": "HalfNormal", "scale": 0.0}, "greater than 0"),
        ({"median": 1.0, "sd": -1.0}, "greater than 0"),
        ({"distribution": "Gamma", "median": 1.0, "sd": 1.0}, "'LogNormal'"),
    ],
)
@pytest.mark.parametrize("key", ["priors", "omega"])
def test_a_prior_that_is_not_one_is_refused_in_words(key: str, spec: dict[str, Any], says: str) -> None:
    error = refusal(LEAST | {key: {"cmax": spec}})
    assert f"{key}.cmax" in str(error)
    assert says in str(error)
    assert all(p.remedy and p.file for p in error.problems)


@pytest.mark.parametrize(
    ("spec", "prior"),
    [
        ({"median": 2000, "sd": 1.3}, LogNormal(2000, 1.3)),
        ({"distribution": "LogitNormal", "median": 0.01, "sd": 0.8}, LogitNormal(0.01, 0.8)),
        ({"distribution": "Normal", "mean": 0.0, "sd": 0.3}, Normal(0.0, 0.3)),
        ({"distribution": "HalfNormal", "scale": 0.2}, HalfNormal(0.2)),
    ],
)
def test_a_prior_of_a_toml_is_the_prior_of_a_model_file(spec: dict[str, Any], prior: Prior) -> None:
    assert PriorSpec.model_validate(spec).prior() == prior


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sampler": {"chains": 0}}, ("sampler.chains", "greater than or equal to 1", "given 0")),
        ({"sampler": {"draws": "many"}}, ("sampler.draws", "whole number", "given 'many'")),
        ({"sampler": {"target_accept": 1.0}}, ("sampler.target_accept", "less than 1", "given 1.0")),
        ({"sampler": {"kind": "HMC"}}, ("sampler.kind", "'NUTS'", "given 'HMC'")),
        ({"observe": {"a": {"likelihood": "log_normal"}}}, ("observe.a", "did you mean 'lognormal'?")),
        (
            {"observe": {"a": {"below_lloq": "half"}}},
            ("observe.a.below_lloq", "'censor', 'drop'", "given 'half'"),
        ),
        ({"observe": {"a": {"nu": 2.0}}}, ("observe.a.nu", "greater than 2", "given 2.0")),
        (
            {"observe": {"a": {"scale": {"distribution": "HalfNormal", "scale": 1.0}}}},
            ("observe.a.scale", "a scale factor has a LogNormal prior, not a HalfNormal"),
        ),
        ({"observe": {"a": {"dna_ug": 0.2}}}, ("observe.a", "`dna_ug` is lognormal_poisson's")),
        (
            {"observe": {"a": {"likelihood": "lognormal_poisson", "dna_ug": 0.0}}},
            ("observe.a.dna_ug", "greater than 0"),
        ),
        ({"correlated": {"analytes": ["a"]}}, ("correlated.analytes", "entry 2 of the list is missing")),
        ({"correlated": {"analytes": ["a", "a"]}}, ("correlated.analytes", "'a' is correlated with itself")),
        (
            {"correlated": {"analytes": ["a", "b"], "concentration": 0.5}},
            ("correlated.concentration", "greater than or equal to 1", "given 0.5"),
        ),
        (
            {"observe": "car_copies"},
            ("observe", "not a table", "tables `[observe.NAME]`", "given 'car_copies'"),
        ),
        ({"expect": {"cmax": {"median": 1, "within": 0}}}, ("expect.cmax.within", "greater than 0")),
        ({"fixed": {"cmax": "high"}}, ("fixed.cmax", "number", "given 'high'")),
        ({"effects": {"tails": {"cmax": 2.0}}}, ("effects.tails", "degrees of freedom are above 2")),
        ({"effects": {"concentration": 0.0}}, ("effects.concentration", "greater than 0", "given 0")),
        ({"sampler": {"start": "mode"}}, ("sampler.start", "'laplace', 'vi', 'prior'", "given 'mode'")),
        ({"vary": "cmax"}, ("vary", "not a list", "a list, each text in quotes", "given 'cmax'")),
    ],
)
def test_a_wrong_value_is_named_with_what_was_given(change: dict[str, Any], says: tuple[str, ...]) -> None:
    (problem,) = refusal(LEAST | change).problems
    for fragment in says:
        assert fragment in str(problem)


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        (
            {"seed": "abc"},
            "write a whole number from 0 up and at most 9,223,372,036,854,775,807: seed of every",
        ),
        ({"method": "nut"}, "write one of 'nuts', 'map', 'laplace', 'vi': how the posterior or its maximum"),
        (
            {"sampler": {"draws": 2}},
            "write a whole number from 10 up and at most 1,000,000: draws kept of each chain",
        ),
        ({"sampler": 3}, "write a table `[sampler]` of `kind`, `chains`, "),
        ({"covariates": {"cmax": {"covariate": "age"}}}, "write tables `[[covariates.cmax]]` of `covariate`"),
        ({"options": {"form": 1.5}}, "write true or false or text in quotes or a list"),
        ({"observe": {"a": {"vcn": "x"}}}, "a number above 0: vector copies in a CAR+ cell"),
        ({"observe": {"a": {"vcn": {"sd": "x"}}}}, "write a number above 0: SD of log x"),
        ({"observe": {"a": {"vcn": {"median": 1, "sd": 1, "sdd": 1}}}}, "did you mean 'sd'?"),
        ({"correlated": {"analytes": ["a", "a"]}}, "name two analytes"),
        ({"name": "a/b"}, "write text in quotes: name of the fit and of its run folder"),
    ],
)
def test_a_wrong_value_has_one_problem_that_says_what_to_write(change: dict[str, Any], remedy: str) -> None:
    (problem,) = refusal(LEAST | change).problems
    assert remedy in problem.remedy


def test_a_plan_made_in_python_is_refused_as_a_file_is() -> None:
    content = LEAST | {"seed": "abc", "sampler": {"draws": 2}}
    with pytest.raises(PlanError) as caught:
        FitPlan(**content)
    wanted = [replace(problem, file="") for problem in refusal(content).problems]
    assert list(caught.value.problems) == wanted
    with pytest.raises(PlanError, match="Normal takes mean and sd"):
        PriorSpec(distribution="Normal")


def test_two_wrong_values_of_one_table_are_both_named() -> None:
    error = refusal(LEAST | {"observe": {"a": {"likelihood": "gaussian", "below_lloq": "half"}}})
    assert "gaussian" in str(error)
    assert "half" in str(error)


@pytest.mark.parametrize("name", ["../elsewhere", "a/b", "/tmp/mine", ".."])
def test_a_name_is_the_name_of_a_folder_and_not_a_path_out_of_it(name: str) -> None:
    """A run is written to OUT/NAME: a name with a slash would write beside it."""
    assert "name" in str(refusal(LEAST | {"name": name}))


def test_every_problem_of_a_plan_is_reported_at_once() -> None:
    content = {
        "data": "x", "observ": {}, "sampler": {"draws": 1, "chain": 2},
        "priors": {"a": {"sd": 1}, "b": {"median": -1, "sd": 1}},
        "covariates": {"cmax": [{"form": "cubic"}]}, "observe": {"y": {"likelihood": "gaussian"}},
    }  # fmt: skip
    error = refusal(content)
    wanted = (
        "missing key 'model'",
        "unknown key 'observ'",
        "sampler.draws",
        "unknown key 'sampler.chain'",
        "priors.a",
        "priors.b",
        "missing key 'covariates.cmax.0.covariate'",
        "covariates.cmax.0.form",
        "observe.y",
    )
    assert len(error.problems) == len(wanted)
    assert str(error).startswith(f"{len(wanted)} problems:\n")
    for text in wanted:
        assert sum(text in p.what for p in error.problems) == 1, text


@pytest.mark.parametrize("content", [LEAST, FULL, LEAST | {"seed": 0, "fixed": {"shift": 0.0}}])
def test_a_resolved_plan_reads_back_as_itself(content: dict[str, Any]) -> None:
    plan = plan_of(content)
    assert plan_of(plan.resolved()) == plan


@pytest.mark.parametrize("content", [LEAST, FULL])
def test_a_resolved_plan_survives_its_toml(content: dict[str, Any]) -> None:
    plan = plan_of(content)
    assert plan_of(tomllib.loads(tomli_w.dumps(plan.resolved()))) == plan


def test_a_plan_in_which_nobody_varies_reads_back_as_one() -> None:
    """`vary = []` says that no parameter varies; without the key every published SD does."""
    plan = plan_of(LEAST | {"vary": []})
    assert plan_of(plan.resolved()).vary == ()


def test_a_prior_of_zero_mean_survives_the_round_trip() -> None:
    plan = plan_of(LEAST | {"priors": {"x": {"distribution": "Normal", "mean": 0.0, "sd": 2.0}}})
    assert plan_of(plan.resolved()).priors["x"].prior() == Normal(0.0, 2.0)


def test_paths_in_a_plan_start_at_the_parent_of_its_fits_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "study"
    absolute = tmp_path / "elsewhere" / "data"
    path = study_root(root, 'model = "models/mine.py"\ndata = "data/mine"\n[observe.y]\n')
    for source in (path, str(path)):
        plan = read_plan(source)
        assert (plan.model, plan.data) == (str(root / "models/mine.py"), str(root / "data/mine"))
    monkeypatch.chdir(root / "fits")
    assert read_plan("mine.toml").data == str(root / "data/mine")
    path.write_text(f'model = "mine.py"\ndata = "{absolute}"\n[observe.y]\n')
    assert (read_plan(path).model, read_plan(path).data) == (str(root / "mine.py"), str(absolute))


def test_a_bare_name_in_a_plan_stays_the_librarys(tmp_path: Path) -> None:
    path = study_root(tmp_path, 'model = "stein_2019"\ndata = "theophylline"\n[observe.y]\n')
    assert (read_plan(path).model, read_plan(path).data) == ("stein_2019", "theophylline")


def test_a_fit_is_named_by_its_file_unless_it_names_itself(tmp_path: Path) -> None:
    path = study_root(tmp_path, 'model = "m"\ndata = "d"\n[observe.y]\n', "first_try")
    assert read_plan(path).name == "first_try"
    path.write_text('name = "second"\n' + path.read_text())
    assert read_plan(path).name == "second"


@pytest.mark.parametrize("text", ["model = unquoted", "a = 1\na = 2\n", "just words"])
def test_a_file_that_is_not_toml_is_refused_with_its_name_and_line(text: str, tmp_path: Path) -> None:
    path = study_root(tmp_path, text)
    with pytest.raises(PlanError, match=r"not valid TOML: .*line \d") as caught:
        read_plan(path)
    assert caught.value.problems[0].file == str(path)


def test_a_plan_in_another_encoding_is_refused_and_not_misread(tmp_path: Path) -> None:
    path = study_root(tmp_path, "")
    path.write_bytes('model = "größe"'.encode("latin-1"))
    with pytest.raises(PlanError, match="not UTF-8"):
        read_plan(path)


def test_an_unknown_fit_gives_the_nearest_of_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PlanError, match=f"did you mean '{FITS[0]}'") as caught:
        find_plan(FITS[0].replace("__", "_"))
    assert caught.value.problems[0].what.startswith("no fit ")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PlanError, match=r"^fits/none_of_these\.toml: no such file; check the path$"):
        find_plan("fits/none_of_these.toml")
    with pytest.raises(PlanError, match=r"mine\.toml: no such file"):
        find_plan(tmp_path / "mine.toml")
    (tmp_path / "fits").mkdir()
    (tmp_path / "fits" / "mine.toml").touch()
    with pytest.raises(PlanError, match=r"fits/mien\.toml: no such file; did you mean 'mine\.toml'\?"):
        find_plan("fits/mien.toml")


def test_a_library_fit_is_found_by_bare_name_and_by_its_readme_path_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wanted = ROOT / "fits" / f"{FITS[0]}.toml"
    assert find_plan(FITS[0]) == find_plan(f"fits/{FITS[0]}.toml") == wanted
    mine = study_root(tmp_path, "", FITS[0])
    assert find_plan(f"fits/{FITS[0]}.toml").resolve() == mine


def test_a_plan_of_ones_own_is_read_before_a_name_and_never_changed() -> None:
    plan = plan_of(FULL)
    with pytest.raises(ValueError, match="frozen"):
        plan.seed = 3  # pyright: ignore
    assert isinstance(plan, FitPlan)


@pytest.mark.parametrize("name", FITS)
def test_every_library_fit_binds_and_all_its_records_enter(
    name: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = read_plan(name)
    if (ROOT / "data" / plan.data / "fetch.toml").is_file():
        monkeypatch.setenv("KINETICS_DATA_DIR", str(request.getfixturevalue("shared_data")))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    bound = bind(plan)
    assert {a.analyte for a in bound.assays} == set(plan.observe)
    for analyte, records in bound.data.observations.assays.items():
        entered = sum(int(getattr(records, k).sum()) for k in ("measured", "left", "right", "interval"))
        dropped = plan.observe[analyte].below_lloq == "drop"
        seen, after = bound.study.observed(analyte), plan.observe[analyte].after
        seen = seen if after is None else seen[seen["time"] > after]
        assert entered == len(seen[seen["censored"] != "left"] if dropped else seen) > 0
    assert set(bound.hierarchy.vary) >= set(plan.vary or ()) - set(bound.unused)


def specs_in(annotation: Any) -> Iterator[type[Spec]]:
    """Every Spec in an annotation such as `dict[str, tuple[Covariate, ...]]`, and every Spec in those."""
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        yield annotation
        for field in annotation.model_fields.values():
            yield from specs_in(field.annotation)
    for part in get_args(annotation):
        yield from specs_in(part)


def test_every_key_of_a_plan_and_of_its_tables_is_described() -> None:
    specs = set(specs_in(FitPlan))
    assert len(specs) > 10
    bare = [
        f"{spec.__name__}.{name}"
        for spec in specs
        for name, field in spec.model_fields.items()
        if not field.description
    ]
    assert bare == []


def test_the_keywords_of_fit_are_the_keys_of_a_plan() -> None:
    arguments = set(inspect.signature(fit).parameters) - {"keys"}
    assert set(FitKeys.__annotations__) == set(FitPlan.model_fields) - arguments
    assert FitKeys.__required_keys__ == frozenset()
    assert get_args(get_type_hints(fit)["keys"]) == (FitKeys,)


GOOD_CALL = """
from kinetics import fit
from kinetics.plan import Covariate, Observe, Sampler

fit(
    "one_compartment_oral",
    "theophylline",
    observe={"theophylline": {"likelihood": "additive"}, "other": Observe(nu=5.0)},
    covariates={"ka": [{"covariate": "weight_kg"}, Covariate(covariate="age")]},
    sampler=Sampler(chains=2),
    vary=["ka"],
    method="laplace",
)
"""
MISSPELT_CALL = """fit("one_compartment_oral", "theophylline", observ={})\n"""


def test_an_editor_accepts_a_good_call_of_fit_and_marks_a_misspelt_key(tmp_path: Path) -> None:
    pytest.importorskip("pyright")
    file = tmp_path / "calls.py"
    file.write_text(GOOD_CALL + MISSPELT_CALL, encoding="utf-8")
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, str(file)]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=300)
    problems = json.loads(done.stdout)["generalDiagnostics"]
    lines = [(p["range"]["start"]["line"], p["rule"]) for p in problems]
    assert lines == [(GOOD_CALL.count("\n"), "reportCallIssue")], problems
