"""`kinetics import-sbml`: what is written, and what is refused by its name in the file."""

from __future__ import annotations

import re
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from kinetics.errors import InputError
from kinetics.model import load_model
from kinetics.regimen import Doses
from kinetics.sbml import import_sbml
from kinetics.sbml.importing import ImportedModel
from kinetics.solve import solve
from tests.support.commands import call

pytest.importorskip("libsbml", reason="NOT RUN: needs python-libsbml")

NO_DOSES = Doses(*(np.zeros((1, 0)) for _ in Doses._fields))
MATH = 'xmlns="http://www.w3.org/1998/Math/MathML"'
DAY = (
    '<unitDefinition id="time"><listOfUnits><unit kind="second" multiplier="86400"/></listOfUnits>'
    "</unitDefinition>"
)


def ci(name: str) -> str:
    return f"<ci>{name}</ci>"


def apply(function: str, *arguments: object) -> str:
    return f"<apply><{function}/>{''.join(map(str, arguments))}</apply>"


def cn(value: float) -> str:
    return f"<cn>{value}</cn>"


def math(content: str) -> str:
    return f"<math {MATH}>{content}</math>"


def rate(variable: str, content: str) -> str:
    return f'<rateRule variable="{variable}">{math(content)}</rateRule>'


def assigned(variable: str, content: str) -> str:
    return f'<assignmentRule variable="{variable}">{math(content)}</assignmentRule>'


def parameter(name: str, value: object = 1.0, *, constant: bool = True, units: str = "") -> str:
    number = "" if value is None else f' value="{value}"'
    unit = f' units="{units}"' if units else ""
    return f'<parameter id="{name}"{number} constant="{str(constant).lower()}"{unit}/>'


def sbml(
    *,
    parameters: str = "",
    rules: str = "",
    units: str = DAY,
    functions: str = "",
    compartments: str = "",
    species: str = "",
    reactions: str = "",
    initial: str = "",
    events: str = "",
) -> str:
    """A file of Level 2 Version 4; its unit of time is the day."""
    parts = {
        "FunctionDefinitions": functions,
        "UnitDefinitions": units,
        "Compartments": compartments,
        "Species": species,
        "Parameters": parameters,
        "InitialAssignments": initial,
        "Rules": rules,
        "Reactions": reactions,
        "Events": events,
    }
    content = "".join(f"<listOf{name}>{part}</listOf{name}>" for name, part in parts.items() if part)
    return (
        '<?xml version="1.0" encoding="UTF-8"?><sbml xmlns="http://www.sbml.org/sbml/level2/version4" '
        f'level="2" version="4"><model id="m" name="A made-up model">{content}</model></sbml>'
    )


def decay(rhs: str = "", **parts: str) -> str:
    """A state A of beginning 8 and a rate k of 0.5, with more parts."""
    parameters = parameter("k", 0.5) + parameter("A", 8, constant=False) + parts.pop("parameters", "")
    rules = rate("A", rhs or apply("minus", apply("times", ci("k"), ci("A")))) + parts.pop("rules", "")
    return sbml(parameters=parameters, rules=rules, **parts)


def problems_of(tmp_path, text: str, **options) -> str:
    (tmp_path / "m.xml").write_text(text)
    with pytest.raises(InputError) as error:
        import_sbml(tmp_path / "m.xml", tmp_path / "m.py", **options)
    assert not (tmp_path / "m.py").exists()
    return str(error.value)


def model_of(tmp_path, text: str, **options):
    (tmp_path / "m.xml").write_text(text)
    import_sbml(tmp_path / "m.xml", tmp_path / "m.py", **options)
    return load_model(tmp_path / "m.py")


def curve_of(model, output: str, days: list[float]) -> np.ndarray:
    parameters = {name: np.array([value]) for name, value in model.typical().items()}
    return np.asarray(solve(model, np.array([days]), parameters, NO_DOSES)[output])[0]


def slope_of(tmp_path, rhs: str, **parts: str) -> float:
    """The slope of A at its beginning, 8."""
    model = model_of(tmp_path, decay(rhs, **parts), **{})
    assert model.vector_field is not None
    (tmp_path / "m.py").unlink()
    p = {name: jnp.asarray(value) for name, value in model.typical().items()}
    return float(model.vector_field(jnp.asarray(3.0), {"A": jnp.asarray(8.0)}, p)["A"])


def test_a_file_becomes_a_model_that_solves(tmp_path):
    model = model_of(tmp_path, decay())
    assert curve_of(model, "A", [0.0, 2.0]) == pytest.approx([8.0, 8 * np.exp(-1)], rel=1e-5)
    text = (tmp_path / "m.py").read_text()
    assert "m.xml, k; no unit in the file; prior a guess" in text
    assert re.search(r'"A_0": Parameter\(8\.0', text)


def test_an_amount_is_divided_by_the_volume_its_reactions_are_in(tmp_path):
    compartment = '<compartment id="V" size="4"/>'
    species = '<species id="S" compartment="V" initialAmount="20"/>'
    law = math(apply("times", ci("k"), ci("S")))  # amount per day, of a concentration
    reaction = (
        '<reaction id="loss" reversible="false"><listOfReactants><speciesReference species="S" '
        f'stoichiometry="2"/></listOfReactants><kineticLaw>{law}</kineticLaw></reaction>'
    )
    text = sbml(compartments=compartment, species=species, reactions=reaction, parameters=parameter("k", 0.5))
    model = model_of(tmp_path, text)
    # S = 20/4 at first; dS/dt = -2 * k S / 4
    assert curve_of(model, "S", [0.0, 2.0]) == pytest.approx([5.0, 5 * np.exp(-0.5)], rel=1e-5)


def test_an_amount_by_name_is_an_amount(tmp_path):
    compartment = '<compartment id="V" size="4"/>'
    species = '<species id="S" compartment="V" initialConcentration="5" hasOnlySubstanceUnits="true"/>'
    law = math(apply("times", ci("k"), ci("S")))
    reaction = (
        '<reaction id="loss" reversible="false"><listOfReactants><speciesReference species="S"/>'
        f"</listOfReactants><kineticLaw>{law}</kineticLaw></reaction>"
    )
    text = sbml(compartments=compartment, species=species, reactions=reaction, parameters=parameter("k", 0.5))
    assert curve_of(model_of(tmp_path, text), "S", [0.0, 2.0]) == pytest.approx([20.0, 20 / np.e], rel=1e-5)


def test_a_local_parameter_stays_with_its_reaction(tmp_path):
    compartment = '<compartment id="V" size="1"/>'
    species = '<species id="S" compartment="V" initialConcentration="8"/>'
    law = math(apply("times", ci("V"), ci("k"), ci("S"))) + (
        '<listOfParameters><parameter id="k" value="0.5"/></listOfParameters>'
    )
    reaction = (
        '<reaction id="loss" reversible="false"><listOfReactants><speciesReference species="S"/>'
        f"</listOfReactants><kineticLaw>{law}</kineticLaw></reaction>"
    )
    text = sbml(
        compartments=compartment, species=species, reactions=reaction, parameters=parameter("k", 99.0)
    )
    model = model_of(tmp_path, text)
    assert model.typical()["loss_k"] == 0.5
    assert curve_of(model, "S", [2.0]) == pytest.approx([8 / np.e], rel=1e-5)


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        (apply("minus", cn(1), apply("minus", cn(2), cn(3))), 2.0),
        (apply("divide", cn(12), apply("divide", cn(6), cn(2))), 4.0),
        (apply("divide", cn(12), apply("times", cn(2), cn(3))), 2.0),
        (apply("minus", apply("power", cn(3), cn(2))), -9.0),
        (apply("power", apply("minus", cn(3)), cn(2)), 9.0),
        (apply("power", cn(2), apply("power", cn(3), cn(2))), 512.0),
        (apply("power", apply("power", cn(2), cn(3)), cn(2)), 64.0),
        (apply("times", cn(-2), apply("plus", cn(1), cn(2), cn(3))), -12.0),
        ("<apply><log/><logbase><cn>2</cn></logbase><cn>8</cn></apply>", 3.0),
        (apply("log", cn(1000)), 3.0),
        (apply("ln", cn(np.e)), 1.0),
        ("<apply><root/><degree><cn>3</cn></degree><cn>27</cn></apply>", 3.0),
        (apply("root", cn(16)), 4.0),
        (apply("abs", cn(-3)), 3.0),
        ("<cn type='e-notation'>2<sep/>-3</cn>", 0.002),
        ("<cn type='rational'>3<sep/>4</cn>", 0.75),
        (apply("power", "<cn type='rational'>1<sep/>2</cn>", cn(2)), 0.25),
        (apply("times", ci("A"), ci("k")), 4.0),
        (
            f"<piecewise><piece>{cn(1)}{apply('lt', ci('A'), cn(5))}</piece>"
            f"<piece>{cn(2)}"
            f"{apply('and', apply('geq', ci('A'), cn(5)), apply('neq', ci('A'), cn(9)))}</piece>"
            f"<otherwise>{cn(3)}</otherwise></piecewise>",
            2.0,
        ),
        (
            f"<piecewise><piece>{cn(1)}{apply('lt', cn(1), ci('A'), cn(9))}</piece>"
            f"<otherwise>{cn(3)}</otherwise></piecewise>",
            1.0,
        ),
        (
            '<csymbol encoding="text" definitionURL="http://www.sbml.org/sbml/symbols/time">t</csymbol>',
            3.0,
        ),
        ("<pi/>", np.pi),
    ],
)
def test_a_formula_keeps_its_value(tmp_path, formula, value):
    assert slope_of(tmp_path, formula) == pytest.approx(value, rel=1e-12)


def test_names_of_python_are_no_trouble(tmp_path):
    identity = f"<lambda><bvar>{ci('y')}</bvar>{ci('y')}</lambda>"
    functions = f'<functionDefinition id="lambda">{math(identity)}</functionDefinition>'
    text = decay(
        f"<apply>{ci('lambda')}{ci('p')}</apply>",
        functions=functions,
        parameters=parameter("p", 3.0, constant=False) + parameter("def", 1.0),
        rules=assigned("p", apply("times", cn(2), ci("def"))),
    )
    model = model_of(tmp_path, text)
    assert curve_of(model, "A", [0.0, 1.0]) == pytest.approx([8.0, 10.0])
    assert curve_of(model, "p", [0.0]) == pytest.approx([2.0])


def test_an_initial_assignment_is_computed_from_the_parameters(tmp_path):
    initial = (
        f'<initialAssignment symbol="A">{math(apply("times", cn(3), ci("k")))}</initialAssignment>'
        f'<initialAssignment symbol="b">{math(apply("plus", ci("A"), ci("k")))}</initialAssignment>'
    )
    text = decay(apply("minus", ci("b")), parameters=parameter("b", 0.0), initial=initial)
    model = model_of(tmp_path, text)
    assert "b" not in model.parameters
    assert curve_of(model, "A", [0.0, 0.5]) == pytest.approx([1.5, 0.5])  # slope -(1.5 + 0.5)


def test_seconds_become_days(tmp_path):
    model = model_of(tmp_path, decay(units=""), time_unit="h")
    assert curve_of(model, "A", [1 / 12]) == pytest.approx([8 / np.e], rel=1e-5)  # 2 h
    (tmp_path / "m.py").unlink()
    model = model_of(tmp_path, decay(units=""))
    assert curve_of(model, "A", [2 / 86400]) == pytest.approx([8 / np.e], rel=1e-5)
    assert "the default of SBML before Level 3" in (tmp_path / "m.py").read_text()
    assert "the file says that its unit of time is day" in problems_of_again(tmp_path, decay())


def problems_of_again(tmp_path, text: str) -> str:
    (tmp_path / "m.py").unlink()
    return problems_of(tmp_path, text, time_unit="h")


def test_level_3_without_a_unit_of_time_is_asked_about(tmp_path):
    text = (
        decay(units="").replace("level2/version4", "level3/version1/core").replace('level="2"', 'level="3"')
    )
    text = text.replace('version="4"', 'version="1"')
    said = problems_of(tmp_path, text)
    assert "declares no unit of time; say it: --time-unit day, h" in said
    model = model_of(tmp_path, text, time_unit="day")
    assert curve_of(model, "A", [2.0]) == pytest.approx([8 / np.e], rel=1e-5)


def test_a_unit_without_a_word_is_named_and_compared_with_nothing(tmp_path):
    units = (
        DAY
        + '<unitDefinition id="nM"><listOfUnits><unit kind="mole" scale="-9"/></listOfUnits></unitDefinition>'
    )
    model = model_of(tmp_path, decay(units=units, parameters=parameter("c", 2.0, units="nM")))
    assert model.parameters["c"].unit == "1"
    assert "the file's unit: (1e-09 mole)^1" in model.parameters["c"].source


EVENT = (
    f'<event id="dose2"><trigger>{math(apply("gt", ci("A"), cn(9)))}</trigger><listOfEventAssignments>'
    f'<eventAssignment variable="A">{math(cn(1))}</eventAssignment></listOfEventAssignments></event>'
)
DELAY = (
    '<apply><csymbol encoding="text" definitionURL="http://www.sbml.org/sbml/symbols/delay">delay</csymbol>'
    f"{ci('A')}{cn(1)}</apply>"
)
ALGEBRAIC = f"<algebraicRule>{math(apply('minus', ci('x'), ci('A')))}</algebraicRule>"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (decay(events=EVENT), "event dose2, which sets A at once"),
        (decay(apply("minus", DELAY)), "rule of A uses delay"),
        (
            decay(parameters=parameter("x", 1, constant=False), rules=ALGEBRAIC),
            "algebraic rule: 0 = x - A",
        ),
        (decay(parameters=parameter("q", None)), "parameter q has no value"),
        (decay(apply("factorial", ci("k"))), "rule of A uses factorial"),
        (
            decay(compartments='<compartment id="V" size="2" constant="false"/>', rules=rate("V", cn(1))),
            "compartment V changes its size by a rule",
        ),
        (decay(apply("times", ci("k"), ci("nothing"))), "line 1: not valid SBML"),
        (sbml(parameters=parameter("k")), "nothing in the model changes"),
        ("<sbml", "not valid SBML"),
        ("<!DOCTYPE x><sbml/>", "declares a document type"),
    ],
)
def test_what_a_model_file_cannot_say_is_refused_by_name(tmp_path, text, message):
    assert message in problems_of(tmp_path, text)


def test_all_problems_come_at_once_and_nothing_is_written(tmp_path):
    text = decay(
        apply("minus", DELAY),
        events=EVENT,
        parameters=parameter("x", 1, constant=False) + parameter("q", None),
        rules=ALGEBRAIC,
    )
    (tmp_path / "m.xml").write_text(text)
    result = call("import-sbml", tmp_path / "m.xml", "--out", tmp_path / "models" / "m.py", "--json")
    assert result.code == 1
    assert [p["what"].split()[0] for p in result.json()["problems"]] == [
        "event",
        "algebraic",
        "rule",
        "parameter",
    ]
    assert not (tmp_path / "models").exists()


def test_a_circle_of_rules_is_refused(tmp_path):
    text = decay(
        parameters=parameter("x", 1, constant=False) + parameter("z", 1, constant=False),
        rules=assigned("x", ci("z")) + assigned("z", ci("x")),
    )
    assert "valid SBML" in problems_of(tmp_path, text) or "circle" in problems_of(tmp_path, text)


def test_the_command_writes_says_and_does_not_overwrite(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "My model.xml").write_text(decay())
    first = call("import-sbml", "My model.xml")
    assert first.code == 0
    assert "written: models/my_model.py\n1 state, 2 parameters, 1 output; priors are guesses" in first.out
    again = call("import-sbml", "My model.xml")
    assert again.code == 1
    assert "already there" in again.err
    assert call("import-sbml", "My model.xml", "--force").code == 0
    assert call("models", "models/my_model.py").code == 0


def test_a_title_cannot_end_the_docstring(tmp_path):
    text = decay().replace("A made-up model", "&quot;&quot;&quot;\\ import os")
    model = model_of(tmp_path, text)
    assert "import os" in model.doc


def test_an_import_says_what_it_wrote():
    imported = ImportedModel(Path("m.py"), ("A", "B"), (), ("A",), ("A",), ("n",))
    lines = str(imported).splitlines()
    assert lines[1:3] == ["2 states, 0 parameters, 1 output; priors are guesses", "note: n"]
