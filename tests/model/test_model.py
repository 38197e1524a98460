"""A model file is loaded by name or path, checked whole, and describes itself."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kinetics.errors import ModelError
from kinetics.library import ROOT
from kinetics.model.model import Model, Parameter, library_models, load_model
from kinetics.model.priors import HalfNormal, LogNormal

GOOD = '''"""A mono-exponential decline, made for the tests; doi 10.0000/none; no change."""

import jax.numpy as jnp

from kinetics import Derived, LogNormal, Model, Output, Parameter, State

STATES = {"copies": State("CAR transgene", "copies/ug DNA", site="blood")}

PARAMETERS = {
    "start": Parameter(900.0, "copies/ug DNA", LogNormal(900.0, 1.0), sd=0.5, source="a guess", guess=True),
    "rate": Parameter(0.1, "1/day", LogNormal(0.1, 0.5), source="Nobody 2020 Table 1"),
}

SETS = {"slow": {"rate": Parameter(0.01, "1/day", LogNormal(0.01, 0.5), source="Nobody 2021 Table 2")}}


def solution(t, p, doses):
    return {"copies": p["start"] * jnp.exp(-p["rate"] * t)}


OUTPUTS = {"copies": Output(lambda y, p: y["copies"], "copies/ug DNA", "CAR transgene")}

MODEL = Model(STATES, PARAMETERS, OUTPUTS, solution, prior_sets=SETS)
'''


def model_file(folder: Path, *edits: tuple[str, str], name: str = "mine") -> Path:
    """The good model, edited; an edit that changes nothing is a mistake of the test."""
    text = GOOD
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    path = folder / f"{name}.py"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(path: Path | str) -> ModelError:
    with pytest.raises(ModelError) as caught:
        load_model(path)
    return caught.value


def test_a_bare_name_is_the_librarys_and_a_path_is_yours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = model_file(tmp_path, name="stein_2019")
    monkeypatch.chdir(tmp_path)
    assert load_model("stein_2019").path == str(ROOT / "models" / "stein_2019.py")
    for reference in ("stein_2019.py", "./stein_2019.py", mine, str(mine)):
        model = load_model(reference)
        assert model.path == str(mine.resolve())
        assert (model.name, sorted(model.parameters)) == ("stein_2019", ["rate", "start"])


@pytest.mark.parametrize(
    ("reference", "remedy"),
    [("stein_2018", "did you mean 'stein_2019'?"), ("xyz", "known: acute_phase")],
)
def test_an_unknown_name_gives_the_nearest_or_all(reference: str, remedy: str) -> None:
    (problem,) = refusal(reference).problems
    assert repr(reference) in problem.what
    assert remedy in problem.remedy


def test_a_path_without_a_file_is_refused_by_that_path(tmp_path: Path) -> None:
    (problem,) = refusal(tmp_path / "none.py").problems
    assert (problem.file, problem.remedy) == (str(tmp_path / "none.py"), "check the path")


BROKEN = [
    (("MODEL = Model", "MY = Model"), "no MODEL at the end", "MODEL = Model(...)"),
    (("MODEL = Model", "MODEL = str"), "TypeError", "run it with python"),
    (("MODEL = Model(", "MODEL = dict(a=1) or Model("), "no MODEL at the end", "MODEL = Model(...)"),
    (("import jax.numpy as jnp", "import jax.nunpy as jnp"), "ModuleNotFoundError", "run it with python"),
    (("STATES = {", "STATES = {{"), "SyntaxError", "run it with python"),
    (("SETS = {", 'raise ValueError("my own")\nSETS = {'), "ValueError: my own", "run it with python"),
    (("SETS = {", "raise SystemExit(3)\nSETS = {"), "SystemExit", "run it with python"),
    (("solution, prior", 'solution, dose_unit="mgs", prior'), "mgs", "known: cells, mg"),
    (("LogNormal(0.1, 0.5)", "LogNormal(0.1, -0.5)"), "parameter rate", "sd"),
    (("solution, prior", 'solution, sites={"car_t": {}}, prior'), "sites is for a vector_field", "remove it"),
    (('"""A mono', '_ = """A mono'), "the file has no docstring", "the paper, its DOI"),
    ((', source="Nobody 2020 Table 1"', ""), "parameter rate has no source", "name the paper and table"),
    (
        (', source="Nobody 2021 Table 2"', ""),
        "parameter rate of prior set slow has no source",
        "name the paper",
    ),
    (
        ('"slow": {"rate"', '"slow": {"rat"'),
        "parameter rat of prior set slow is not a parameter",
        "mean 'rate'?",
    ),
    (("Parameter(0.1,", "Parameter(-0.1,"), "parameter rate has the value -0.1", "log link"),
    (("Parameter(0.1,", 'Parameter(float("nan"),'), "parameter rate has the value nan", "log link"),
    (("Parameter(0.1,", 'Parameter(float("inf"),'), "parameter rate has the value inf", "log link"),
    (
        ('Parameter(0.1, "1/day"', 'Parameter(0.1, "1/dy"'),
        "parameter rate: unknown unit '1/dy'",
        "kinetics.units",
    ),
    (
        ('transgene", "copies/ug DNA", site', 'transgene", "copies/ug RNA", site'),
        "state copies: unknown unit",
        "units",
    ),
    (
        ('"copies/ug DNA", "CAR transgene")', '"copies", "CAR transgene")'),
        "output copies: unknown unit",
        "units",
    ),
    (('p: y["copies"]', 'p: y["copeis"]'), "output copies reads 'copeis'", "did you mean 'copies'?"),
    (('p: y["copies"]', 'p: p["copies"]'), "output copies reads 'copies'", "it is a state, y['copies']"),
    (('p: y["copies"]', 'p: y["rate"]'), "output copies reads 'rate'", "it is a parameter, p['rate']"),
    (('-p["rate"]', '-p["rte"]'), "solution reads 'rte', which it is not given", "did you mean 'rate'?"),
    (
        (
            "solution, prior",
            'solution, derived={"life": Derived(lambda p: 1 / p["rat"], "day", "life")}, prior',
        ),
        "derived life reads 'rat'",
        "did you mean 'rate'?",
    ),
]


@pytest.mark.parametrize(("edit", "what", "remedy"), BROKEN, ids=[what for _, what, _ in BROKEN])
def test_a_broken_model_file_says_what_and_the_remedy(
    edit: tuple[str, str], what: str, remedy: str, tmp_path: Path
) -> None:
    path = model_file(tmp_path, edit)
    (problem,) = refusal(path).problems
    assert what in problem.what
    assert remedy in problem.remedy
    assert problem.file == str(path)


def test_a_misspelt_state_of_the_equations_is_one_problem(tmp_path: Path) -> None:
    text = GOOD.replace("def solution(t, p, doses):", "def field(t, y, p):")
    text = text.replace('p["start"] * jnp.exp(-p["rate"] * t)', '-p["rate"] * y["copy"]')
    path = tmp_path / "mine.py"
    path.write_text(text.replace("OUTPUTS, solution,", "OUTPUTS, vector_field=field,"), encoding="utf-8")
    (problem,) = refusal(path).problems
    assert problem.what == "vector_field reads 'copy', which it is not given"
    assert problem.remedy == "did you mean 'copies'?"


def test_a_file_that_is_not_python_is_refused_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text(GOOD)
    assert refusal(path).problems[0].file == str(path)


def test_a_value_outside_the_unit_interval_is_refused_for_a_logit_normal(tmp_path: Path) -> None:
    edits = (
        ("import Derived, LogNormal,", "import Derived, LogitNormal, LogNormal,"),
        ("LogNormal(0.1, 0.5)", "LogitNormal(0.1, 0.5)"),
    )
    assert load_model(model_file(tmp_path, *edits)).parameters["rate"].prior.link == "logit"
    (problem,) = refusal(model_file(tmp_path, *edits, ("Parameter(0.1,", "Parameter(1.5,"))).problems
    assert "parameter rate has the value 1.5" in problem.what


def test_every_fault_of_a_model_file_is_reported_at_once(tmp_path: Path) -> None:
    edits = (
        ('"""A mono', '_ = """A mono'), ('source="a guess", ', ""), (', source="Nobody 2020 Table 1"', ""),
        ("Parameter(900.0", "Parameter(-900.0"), ('0.01, "1/day"', '0.01, "per day"'),
        ('"slow": {"rate"', '"slow": {"rte"'),
    )  # fmt: skip
    error = refusal(model_file(tmp_path, *edits))
    assert len(error.problems) == 6
    assert str(error).startswith("6 problems:")
    assert len({p.what for p in error.problems}) == 6


@pytest.mark.parametrize("unit", ["L/day", "1/day", "mg/L", "cells/uL", "1", "fraction"])
def test_a_unit_or_a_quotient_of_units_is_accepted(unit: str, tmp_path: Path) -> None:
    path = model_file(tmp_path, ('Parameter(0.1, "1/day"', f'Parameter(0.1, "{unit}"'))
    assert load_model(path).parameters["rate"].unit == unit


def test_the_same_content_is_the_same_object_and_an_edited_file_is_another(tmp_path: Path) -> None:
    path = model_file(tmp_path)
    first = load_model(path)
    assert load_model(str(path)) is first
    path.touch()
    assert load_model(path) is first
    model_file(tmp_path, ("Parameter(900.0", "Parameter(901.0"))
    second = load_model(path)
    assert second is not first
    assert (first.typical()["start"], second.typical()["start"]) == (900.0, 901.0)
    assert first.sha256 != second.sha256
    model_file(tmp_path)
    assert load_model(path) is first


def test_a_file_edited_twice_in_a_second_is_the_newest_and_nothing_is_left_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python's own import would take the compiled copy of the first: the same size, the same second."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = model_file(tmp_path)
    stamp = path.stat().st_mtime
    assert load_model(path).typical()["start"] == 900.0
    model_file(tmp_path, ("Parameter(900.0", "Parameter(901.0"))
    os.utime(path, (stamp, stamp))
    assert load_model(path).typical()["start"] == 901.0
    assert list(tmp_path.iterdir()) == [path]


def test_a_refused_file_is_read_again_once_it_is_mended(tmp_path: Path) -> None:
    path = model_file(tmp_path, ("MODEL = Model", "MY = Model"))
    refusal(path)
    model_file(tmp_path)
    assert load_model(path).name == "mine"


def test_a_prior_set_replaces_its_parameters_and_no_other(tmp_path: Path) -> None:
    model = load_model(model_file(tmp_path))
    slow = model.with_prior_set("slow")
    assert slow.typical() == {"start": 900.0, "rate": 0.01}
    assert slow.parameters["start"] is model.parameters["start"]
    assert list(slow.parameters) == list(model.parameters)
    assert model.with_prior_set(None) is model
    assert model.typical()["rate"] == 0.1


def test_an_unknown_prior_set_is_refused_with_the_nearest(tmp_path: Path) -> None:
    model = load_model(model_file(tmp_path))
    with pytest.raises(ModelError, match="model mine has no prior set 'slw'; did you mean 'slow'") as caught:
        model.with_prior_set("slw")
    assert caught.value.problems[0].file == model.path
    with pytest.raises(ModelError, match="it has none"):
        replace(model, prior_sets={}).with_prior_set("slow")


@pytest.mark.parametrize(
    ("parameter", "prior"),
    [
        (Parameter(1.0, "1", LogNormal(1.0, 1.0), sd=0.4), LogNormal(0.4, 0.5)),
        (Parameter(1.0, "1", LogNormal(1.0, 1.0)), HalfNormal(0.5)),
        (Parameter(1.0, "1", LogNormal(1.0, 1.0), sd=0.4, sd_prior=HalfNormal(2.0)), HalfNormal(2.0)),
    ],
)
def test_the_prior_of_a_between_subject_sd_is_centred_on_the_published_one(
    parameter: Parameter, prior: Any
) -> None:
    assert parameter.omega_prior == prior


@pytest.mark.parametrize("name", library_models())
def test_the_card_of_a_library_model_prints_and_is_json(name: str) -> None:
    model = load_model(name)
    card = json.loads(json.dumps(model.as_dict(), allow_nan=False))
    text = str(model)
    assert card["name"] == name
    assert len(card["sha256"]) == 64
    assert set(card["parameters"]) == set(model.parameters)
    assert model.doc.strip().splitlines()[0] in text
    for key, parameter in model.parameters.items():
        (line,) = [line for line in text.splitlines() if line.startswith(f"  {key} ")]
        assert parameter.source in line
        assert f"{parameter.value:g} {parameter.unit}" in line
        assert line.endswith("GUESS") == parameter.guess
        assert card["parameters"][key]["guess"] == parameter.guess
    for key in model.outputs:
        assert any(line.startswith(f"  {key} ") for line in text.splitlines())


def numbers(model: Model) -> list[tuple[str, Parameter]]:
    """Every parameter of a model and of its prior sets."""
    return [*model.parameters.items(), *((k, p) for ps in model.prior_sets.values() for k, p in ps.items())]


@pytest.mark.parametrize("name", library_models())
def test_a_number_of_a_library_model_has_a_paper_or_is_flagged_a_guess(name: str) -> None:
    model = load_model(name)
    assert re.search(r"doi|PMC|\d{4};\d+|(19|20)\d\d", model.doc), "the docstring cites no paper"
    for key, parameter in numbers(model):
        value_part = parameter.source.partition(";")[0]  # "; sd a guess" speaks of the SD only
        assert parameter.guess or "guess" not in value_part, f"{key}: {parameter.source!r} is not flagged"
        cites = re.search(r"(19|20)\d\d|doi|PMC|nlme|NONMEM|label|CARTITUDE", parameter.source)
        assert parameter.guess or cites, f"{key}: {parameter.source!r} names no source"


@pytest.mark.parametrize("name", library_models())
def test_the_typical_value_of_a_library_model_is_its_priors_median(name: str) -> None:
    for key, parameter in numbers(load_model(name)):
        assert parameter.prior.median == pytest.approx(parameter.value, rel=1e-6), key
