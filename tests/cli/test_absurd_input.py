"""Counts that no study has are refused before any memory is spent on them, and nothing half-written stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import kinetics as kn
from kinetics.batch.grid import tasks_of
from kinetics.batch.spec import read_batch
from kinetics.errors import InputError, ModelError, PlanError, StudyError
from kinetics.library import ROOT
from kinetics.model.model import load_model
from kinetics.outcomes.lesions import read_lesions
from kinetics.outcomes.signs import read_signs
from kinetics.plan.plan import plan_of
from kinetics.regimen.regimen_file import read_regimen
from kinetics.study.study import read_study, validate_study
from tests.support.adam_tables import ADPC, edited_table
from tests.support.commands import call

DEEP = "[" * 20_000
PROTOCOL = (ROOT / "data" / "nkg2d_phase1_synthetic" / "protocol.toml").read_text(encoding="utf-8")
PLAN = {
    "model": "one_compartment_oral",
    "data": "theophylline",
    "observe": {"theophylline": {"likelihood": "additive"}},
}
EVENTS = {
    "time_unit": "h",
    "dose_unit": "mg",
    "value_unit": "mg/L",
    "analyte": "theophylline",
    "route": "oral",
    "product": "drug",
}


@pytest.mark.parametrize("text", [f"a = {DEEP}", ".".join(["a"] * 5000) + " = 1", f"a = {'1' * 5000}"])
@pytest.mark.parametrize(
    "read",
    [kn.read_protocol, kn.read_plan, read_regimen, read_batch, lambda path: read_study(path.parent)],
    ids=["protocol", "plan", "regimen", "batch", "study"],
)
def test_a_toml_nested_without_end_is_refused_by_name(
    tmp_path: Path, read: Callable[[Path], object], text: str
) -> None:
    file = tmp_path / "dictionary.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=r"dictionary\.toml: .*(nested more than 50 deep|not valid TOML)"):
        read(file)


@pytest.mark.parametrize(
    ("old", "new"),
    [("value = 3\n", "value = 1000000000\n"), ("patients = 12", "patients = 1000000")],
)
def test_absurd_counts_of_a_protocol_are_refused(tmp_path: Path, old: str, new: str) -> None:
    assert old in PROTOCOL
    (tmp_path / "protocol.toml").write_text(PROTOCOL.replace(old, new, 1))
    assert call("lint", tmp_path / "protocol.toml").code == 1


@pytest.mark.parametrize(
    "command",
    [
        "simulate stein_2019 --times 0:1e12:1",
        "simulate stein_2019 --times 0:1:1e-300",
        "simulate stein_2019 --patients 1000000000000",
        "simulate stein_2019 --seed -1",
        "simulate stein_2019 --seed 1000000000000000000000000000000",
        "design trials nkg2d_phase1_synthetic --true-dlt .1,.2,.3,.4 --trials 1000000000000",
        "expansion --protocol nkg2d_phase1_synthetic --true-response .1,.2,.2,.3 --patients 1000000,12,12,12",
        "fit theophylline --seed 1000000000000000000000000000000",
    ],
)
def test_absurd_numbers_of_a_command_are_refused(command: str, tmp_path: Path) -> None:
    words = command.split()
    result = call(*words)
    assert result.code in (1, 2)
    assert "Traceback" not in result.err


@pytest.mark.parametrize("addl", [10**9, 2_000_000, 300_000])
def test_a_dose_repeated_without_end_is_refused_at_its_row(tmp_path: Path, addl: int) -> None:
    table = tmp_path / "pk.csv"
    table.write_text(f"ID,TIME,AMT,DV,ADDL,II\n1,0,320,.,{addl},24\n1,1,.,5.2,.,.\n")
    (problem,) = validate_study(table, **EVENTS)  # pyright: ignore[reportArgumentType]
    assert (problem.row, problem.column) == (2, "ADDL")


def test_a_regimen_repeated_without_end_is_refused() -> None:
    text = (
        '[[dose]]\nproduct = "car_t"\nroute = "iv"\ncells = 1e8\non = 0\nrepeat = { every_days = 1, times = '
    )
    with pytest.raises(PlanError, match="more than 10000 courses"):
        read_regimen(f"{text}1000000000 }}")
    course = read_regimen(f"{text}10000 }}")
    with pytest.raises(PlanError, match="more than 100000 doses"):
        course.repeat(every_days=1, times=10_000)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 10**30},
        {"seed": -1},
        {"vary": ["ka", "ka"]},
        {"products": ["drug", "drug"]},
        {"name": "a\nb"},
        {"name": "a\0b"},
        {"name": "   "},
        {"name": "x" * 300},
        {"sampler": {"draws": 10**12}},
        {"sampler": {"chains": 10**6}},
    ],
    ids=str,
)
def test_absurd_values_of_a_plan_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(PlanError) as caught:
        plan_of(PLAN | change, file="mine.toml")
    assert [problem.file for problem in caught.value.problems] == ["mine.toml"]


@pytest.mark.parametrize(
    "value",
    ["jnp.stack([y['drug'], y['drug']])", "jnp.zeros(2)", "'a'", "None", "dict(y)"],
)
def test_an_output_of_another_shape_is_refused_when_the_model_is_loaded(tmp_path: Path, value: str) -> None:
    source = (ROOT / "models" / "one_compartment_oral.py").read_text(encoding="utf-8")
    file = tmp_path / "mine.py"
    file.write_text(
        f"{source}\nfrom dataclasses import replace as _replace\nimport jax.numpy as jnp\n"
        "_name = next(iter(MODEL.outputs))\n"
        f"_bad = _replace(MODEL.outputs[_name], value=lambda y, p: {value.replace('drug', '')!s})\n"
        "MODEL = _replace(MODEL, outputs={_name: _bad})\n".replace("y['']", "next(iter(y.values()))")
    )
    with pytest.raises(ModelError, match=r"returns (the shape|no number)"):
        load_model(file)


BATCHES = {
    "truth above 1": '[[design]]\nprotocol = "nkg2d_phase1_synthetic"\ntrue_dlt = [[0.1, 0.2, 0.3, 2.0]]',
    "two numbers": '[[design]]\nprotocol = "nkg2d_phase1_synthetic"\ntrue_dlt = [[0.1, 0.2]]',
    "no protocol": '[[design]]\nprotocol = "/etc/passwd"\ntrue_dlt = [[0.1, 0.2]]',
    "no rule": '[[design]]\nprotocol = "nkg2d_phase1_synthetic"\nrule = "x"\ntrue_dlt = [[0, 0, 0, 0.4]]',
    "times": '[[simulate]]\nmodel = "stein_2019"\ntimes = "0:1e12:1"',
    "no model": '[[simulate]]\nmodel = "stien_2019"',
    "no output": '[[simulate]]\nmodel = "stein_2019"\noutputs = "nope"',
    "no run": '[[simulate]]\nmodel = "stein_2019"\nfrom = "runs/nobody"',
    "NUL": '[[simulate]]\nmodel = "stein_2019"\nname = "a\\u0000b"',
    "line break": '[[simulate]]\nmodel = "stein_2019"\nname = "a\\nb"',
    "slash": '[[simulate]]\nmodel = "stein_2019"\nname = "../up"',
    "seed": f'[[simulate]]\nmodel = "stein_2019"\nseed = {10**30}',
    "many": '[[fit]]\nplan = "theophylline"\nbootstrap = { resamples = 100000 }\nseed = [1, 2, 3]',
}


@pytest.mark.parametrize("case", BATCHES)
def test_a_batch_is_refused_before_a_worker_starts_and_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("kinetics.cli.batch.run_here", lambda *_: pytest.fail("a worker was started"))
    (tmp_path / "B.toml").write_text(BATCHES[case])
    result = call("batch", "B.toml")
    assert result.code == 1
    assert result.err.strip()
    assert [path.name for path in tmp_path.iterdir()] == ["B.toml"]


def test_a_batch_that_can_run_in_part_says_which_tasks_cannot(tmp_path: Path) -> None:
    (tmp_path / "B.toml").write_text('[[simulate]]\nmodel = ["stein_2019", "stien_2019"]')
    plan, folder = read_batch(tmp_path / "B.toml")
    assert len(tasks_of(plan, tmp_path, folder)) == 2


LESIONS = "subject,time,lesion,kind,diameter_mm,state\n1,{},a,target,30,\n1,{},a,target,20,\n"
SIGNS = "subject,time,temperature,hypotension,vasopressors,oxygen\n1,{},38.5,no,0,none\n1,{},38,no,0,none\n"


@pytest.mark.parametrize(("read", "table"), [(read_lesions, LESIONS), (read_signs, SIGNS)])
def test_days_of_excel_and_doubled_rows_of_lesions_and_signs_are_refused(
    tmp_path: Path, read: Callable[[Path], object], table: str
) -> None:
    file = tmp_path / "table.csv"
    file.write_text(table.format(45000, 45056))
    with pytest.raises(StudyError, match=r"table\.csv row 2, .*Excel serial date"):
        read(file)
    file.write_text(table.format(3, 3))
    with pytest.raises(StudyError, match=r"table\.csv row 3, .*a second row"):
        read(file)
    file.write_text(table.format(3, 33))
    assert read(file)


@pytest.mark.parametrize("cells", ["1e30", "3"])
def test_a_dose_that_nobody_was_given_is_refused(tmp_path: Path, cells: str) -> None:
    folder = kn.formats.write_study(read_study("synthetic_cart_12"), tmp_path / "mine")
    doses = (folder / "doses.csv").read_text().splitlines()
    place = doses[0].split(",").index("amount")
    row = doses[1].split(",")
    row[place] = cells
    (folder / "doses.csv").write_text("\n".join([doses[0], ",".join(row), *doses[2:]]))
    (problem,) = validate_study(folder)
    assert (problem.file, problem.row) == ("doses.csv", 2)
    assert "a whole dose outside" in problem.what


def test_a_response_before_the_first_dose_is_refused(tmp_path: Path) -> None:
    folder = kn.formats.write_study(read_study("nkg2d_phase1_synthetic"), tmp_path / "mine")
    file = folder / "responses.csv"
    first, second, *rest = file.read_text().splitlines()
    cells = second.split(",")
    cells[1] = "-5"
    file.write_text("\n".join([first, ",".join(cells), *rest]))
    assert [problem.what for problem in validate_study(folder)] == [
        "a response before the subject's first dose"
    ]


MANY = "".join(
    f"01,CART,CAR transgene,BLOOD,900,copies/ug,900,50,{day},DAYS,7,1e8,cells,CAR-T,INTRA-ARTERIAL,"
    "HEPATIC ARTERY,,70,M\n"
    for day in range(8, 30)
)


RECORD = "01,CART,CAR transgene,BLOOD,900,copies/ug,900,50,9,"  # of day 9


@pytest.mark.parametrize(
    ("old", "new", "column"),
    [
        (RECORD, RECORD.replace("CART", "nope"), "PARAMCD"),
        (RECORD, RECORD.replace("CART", "CARR").replace("CAR transgene", "Other"), "PARAMCD"),
        (f",70,M\n{RECORD}", f",-3,M\n{RECORD}", "WTBL"),
        ("50,9,DAYS,7,1e8,cells", "50,9,DAYS,7,1e8,stone", "DOSEU"),
    ],
)
def test_a_cell_of_any_row_of_an_adpc_is_looked_at(tmp_path: Path, old: str, new: str, column: str) -> None:
    assert validate_study(edited_table(tmp_path / "adpc.csv", ADPC + MANY)) == []
    problems = validate_study(edited_table(tmp_path / "adpc.csv", ADPC + MANY, (old, new)))
    assert {problem.column for problem in problems} == {column}


def test_a_synthetic_flag_that_is_neither_is_refused(tmp_path: Path) -> None:
    head, *rows = (ADPC + MANY).splitlines()
    flags = ["Y"] * (len(rows) - 1) + ["maybe"]
    lines = [f"{head},SYNTHFL", *(f"{row},{flag}" for row, flag in zip(rows, flags, strict=True))]
    problems = validate_study(edited_table(tmp_path / "adpc.csv", "\n".join(lines)))
    assert [(p.column, p.value) for p in problems] == [("SYNTHFL", "maybe")]
