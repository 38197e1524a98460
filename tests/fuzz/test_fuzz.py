"""Damaged inputs of every cheap kind: each is read rightly, or refused with an error that says where and
what.

Nothing else may come of it: no other exception, no empty message, no file that was not there, no endless
time. A case is its kind and its number; the same number gives the same damage. What was found once is in
`test_corpus`.
"""

from __future__ import annotations

import math
import random
import re
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

import pytest

import kinetics as kn
from kinetics.batch.grid import tasks_of
from kinetics.batch.spec import read_batch
from kinetics.errors import InputError, KineticsError
from kinetics.formats.study_folder import write_study
from kinetics.inference.fitting import load_fit
from kinetics.lab_sheet.grid import read_grids
from kinetics.library import ROOT
from kinetics.outcomes.lesions import lesion_responses, read_lesions
from kinetics.outcomes.signs import astct_events, astct_grades, read_signs
from kinetics.regimen.regimen_file import read_regimen
from kinetics.sbml import import_sbml
from kinetics.study.study import read_study, validate_study
from kinetics.submission import lock_file, lock_plan, read_analysis_plan, read_lock
from tests.support.adam_tables import ADPC, ADPPK
from tests.support.commands import call
from tests.support.fits import oral_fit
from tests.support.lab_sheets import PHASE_1
from tests.support.mutations import damaged_files, damaged_words, write_files

FAST = 200  # cases of `make test`
MANY = 5000  # cases of `make test-slow`
SECONDS = 20  # a case takes milliseconds; a machine under load gets more

DATA = ROOT / "data"
EVENTS = """\
ID,TIME,DV,AMT,RATE,EVID,MDV,ADDL,II,CENS,LIMIT,WT,SEX
1,0,.,100,0,1,1,0,0,0,.,70,F
1,1,5.0,.,.,0,0,.,.,0,.,70,F
1,24,0.5,.,.,0,0,.,.,1,0.1,70,F
2,0,.,120,60,1,1,2,12,0,.,80,M
2,2,7.5,.,.,0,0,.,.,0,.,80,M
2,3,.,.,.,0,1,.,.,0,.,80,M
"""
EVENTS_TOML = """\
title = "Made for the tests"
source = "made for the tests"
licence = "Apache-2.0"
synthetic = true
[analytes.drug]
label = "Drug"
assay = "immunoassay"
site = "serum"
unit = "mg/L"
[event_table]
time_unit = "h"
dose_unit = "mg"
analyte = "drug"
route = "iv"
product = "drug"
weight_column = "WT"
[columns.subjects]
SEX = { role = "covariate", codes = ["F", "M"] }
"""
ADPPK_TOML = """\
title = "Made for the tests"
source = "made for the tests"
licence = "Apache-2.0"
synthetic = true
[adam]
time_unit = "h"
dose_unit = "mg"
"""
REGIMEN = """\
[[dose]]
product = "car_t"
route = "iv"
cells_per_kg = 3e7
on = [14, 15]
minutes = 30
repeat = { every_days = 14, times = 2 }
[[dose]]
product = "car_nk"
route = "hepatic_artery"
cells = [1e9, 2e9]
on = [0, 7]
"""
SBML = """\
<?xml version="1.0" encoding="UTF-8"?>
<sbml xmlns="http://www.sbml.org/sbml/level2/version4" level="2" version="4">
<model id="m" name="Made for the tests">
<listOfParameters>
<parameter id="k" value="0.5"/><parameter id="A" value="8" constant="false"/>
</listOfParameters>
<listOfRules><rateRule variable="A"><math xmlns="http://www.w3.org/1998/Math/MathML">
<apply><minus/><apply><times/><ci>k</ci><ci>A</ci></apply></apply></math></rateRule></listOfRules>
</model></sbml>
"""
LESIONS = """\
subject,time,lesion,kind,diameter_mm,state,node,larger
1,-3,liver,target,40,,no,
1,-3,lung,non_target,,present,no,
1,42,liver,target,25,,no,
1,42,lung,non_target,,present,no,no
1,84,liver,target,60,,no,
1,84,bone,new,,,no,
2,-1,node,target,22,,yes,
2,50,node,target,8,,yes,
"""
SIGNS = """\
subject,time,temperature,hypotension,vasopressors,oxygen,treated,ice,consciousness
1,1,38.5,no,0,none,no,10,alert
1,2,39.1,yes,1,low_flow,yes,7,spontaneous
1,3,37.0,no,0,none,yes,10,alert
2,4,36.8,no,0,none,no,,alert
"""
BATCH = """\
retries = 1
[[fit]]
plan = "ogasawara_2021__synthetic_cart_12"
seed = [1, 2]
[[design]]
protocol = "nkg2d_phase1_synthetic"
true_dlt = [[0.05, 0.1, 0.2, 0.35]]
[[simulate]]
model = "stein_2019"
times = "0:28:1"
[slurm]
time = "02:00:00"
memory = "8G"
"""
COMMANDS = [
    "validate study",
    "recist lesions.csv --study study",
    "recist lesions.csv --out visits.csv",
    "astct signs.csv --out events.csv",
    "lint protocol.toml",
    "nca study --out nca.csv",
    "response study",
    "design exact protocol.toml --true-dlt .05,.10,.20,.35 --trigger-without-dlt .15",
    "next protocol.toml --study study",
    "convert study made",
    "export study --as csv --out made",
    "models stein_2019",
    "new mine",
]


@dataclass(frozen=True)
class Kind:
    """A kind of input: valid files by name, and what reads them in their folder."""

    files: Mapping[str, bytes]
    read: Callable[[Path], object]


def text(**files: str) -> dict[str, bytes]:
    return {name.replace("__", "."): content.encode() for name, content in files.items()}


def folder_files(folder: Path) -> dict[str, bytes]:
    """The tables of a study folder, cut to few rows of few subjects."""
    files = {}
    for path in sorted(folder.iterdir()):
        if path.suffix == ".csv":
            head, *rows = path.read_text(encoding="utf-8").splitlines()
            kept = [row for row in rows if row.split(",")[0] in ("S01", "S02", "S03")]
            files[path.name] = "\n".join([head, *kept, ""]).encode()
        elif path.name in ("dictionary.toml", "protocol.toml"):
            files[path.name] = path.read_bytes()
    return files


def refusal(read: Callable[[], object]) -> InputError | None:
    """The error with which an input is refused; None where it is read."""
    try:
        read()
    except InputError as error:
        return error
    return None


def study_at(place: str) -> Callable[[Path], object]:
    """Read a study; `validate_study` says the same, and every number of the study is one."""

    def read(folder: Path) -> object:
        problems = validate_study(folder / place)
        error = refusal(lambda: read_study(folder / place))
        if error is not None:
            assert list(error.problems) == problems
            raise error
        study = read_study(folder / place)
        assert problems == []
        assert (study.doses["amount"] > 0).all()
        assert study.doses["time"].map(math.isfinite).all()
        assert study.observations[["time", "value"]].map(math.isfinite).all(axis=None)
        assert not (study.subjects["weight_kg"] <= 0).any()
        assert str(study)
        return study

    return read


def typed_workbook(folder: Path) -> object:
    """Read the workbook whose sheets are the tables of a folder, numbers as numbers."""
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.remove(book.active)
    for path in sorted(folder.iterdir()):
        if not path.is_file():
            continue
        sheet = book.create_sheet(path.stem)
        for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
            cells = line.split(",") if path.suffix == ".csv" else [line]
            words = [_NO_CELL.sub("", word)[:1000] for word in cells]
            sheet.append([float(word) if _PLAIN.fullmatch(word) else word for word in words[:1000]])
    with TemporaryDirectory() as place:
        book.save(Path(place) / "trial.xlsx")
        return study_at("trial.xlsx")(Path(place))


_NO_CELL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
_PLAIN = re.compile(r"[+-]?\d{1,15}(\.\d{1,9})?")


def responses(folder: Path) -> object:
    return lesion_responses(read_lesions(folder / "lesions.csv"))


def grades(folder: Path) -> object:
    return astct_events(astct_grades(read_signs(folder / "signs.csv")))


def protocol(folder: Path) -> object:
    report = kn.lint(kn.read_protocol(folder / "protocol.toml"))
    return report.ok, str(report)


def batch(folder: Path) -> object:
    plan, path = read_batch(folder / "B.toml")
    return tasks_of(plan, folder, path, file="B.toml")


def analysis_plan(folder: Path) -> object:
    return read_analysis_plan(folder / "map.toml")


def sbml(folder: Path) -> object:
    with TemporaryDirectory() as elsewhere:
        return import_sbml(folder / "m.xml", Path(elsewhere) / "m.py")


def lock(folder: Path) -> object:
    """The lock of a plan, written from the undamaged plan and damaged."""
    return read_lock(folder / "map.toml")


def locked_plan(place: Path) -> dict[str, bytes]:
    """A model analysis plan and its lock."""
    file = place / "map.toml"
    file.write_bytes((DATA / "nkg2d_phase1_synthetic" / "map.toml").read_bytes())
    lock_plan(file)
    return {path.name: path.read_bytes() for path in (file, lock_file(file))}


@cache
def kinds(place: Path) -> dict[str, Kind]:
    """Every kind of input. `place` is a folder in which a workbook may be made."""
    trial = folder_files(DATA / "nkg2d_phase1_synthetic")
    study = {name: content for name, content in trial.items() if name != "protocol.toml"}
    plan = (ROOT / "fits" / "ogasawara_2021__synthetic_cart_12.toml").read_bytes()
    plan_of_analysis = locked_plan(place)
    every = {
        "study": Kind({f"study/{name}": content for name, content in study.items()}, study_at("study")),
        "events": Kind(text(pk__csv=EVENTS, pk__toml=EVENTS_TOML), study_at("pk.csv")),
        "adpc": Kind(text(adpc__csv=ADPC), study_at("adpc.csv")),
        "adppk": Kind(text(adppk__csv=ADPPK, adppk__toml=ADPPK_TOML), study_at("adppk.csv")),
        "lab sheet": Kind(text(sheet__csv=PHASE_1), lambda folder: read_grids([folder / "sheet.csv"])),
        "plan": Kind({"fits/plan.toml": plan}, lambda folder: kn.read_plan(folder / "fits" / "plan.toml")),
        "protocol": Kind({"protocol.toml": trial["protocol.toml"]}, protocol),
        "regimen": Kind(text(regimen__toml=REGIMEN), lambda folder: read_regimen(folder / "regimen.toml")),
        "lesions": Kind(text(lesions__csv=LESIONS), responses),
        "signs": Kind(text(signs__csv=SIGNS), grades),
        "batch": Kind(text(B__toml=BATCH), batch),
        "analysis plan": Kind({"map.toml": plan_of_analysis["map.toml"]}, analysis_plan),
        "lock": Kind(plan_of_analysis, lock),
    }
    if find_spec("libsbml") is not None:
        every["sbml"] = Kind(text(m__xml=SBML), sbml)
    try:
        book = write_study(read_study("synthetic_cart_12"), place / "trial.xlsx").read_bytes()
    except InputError:  # openpyxl is not installed
        return every
    every["workbook"] = Kind({"trial.xlsx": book}, study_at("trial.xlsx"))
    return {**every, "typed workbook": Kind(study, typed_workbook)}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kinds")


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """Raise TimeoutError where the block takes longer."""

    def late(*_: Any) -> NoReturn:
        raise TimeoutError(f"more than {seconds} s")

    former = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, former)


def judge(kind: Kind, files: Mapping[str, bytes | str], folder: Path) -> None:
    """Hold one input to the contract."""
    folder.mkdir()
    write_files(folder, files)
    before = everything(folder)
    with within(SECONDS):
        error = refusal(lambda: kind.read(folder))
    if error is not None:
        assert error.problems
        for problem in error.problems:
            assert problem.what.strip(), error
            assert problem.remedy.strip(), error
        assert any(problem.file or problem.subject for problem in error.problems), f"nowhere: {error}"
        assert 0 < len(str(error)) < 1_000_000
    assert everything(folder) == before


def commanded(number: int, place: Path, folder: Path) -> None:
    """Hold one command line to the contract: an exit code, and a message where it is not 0."""
    rng = random.Random(f"command {number}")
    folder.mkdir()
    trial = folder_files(DATA / "nkg2d_phase1_synthetic")
    protocol_file = trial.pop("protocol.toml")
    files: dict[str, bytes | str] = {f"study/{name}": content for name, content in trial.items()}
    files |= {"protocol.toml": protocol_file, "lesions.csv": LESIONS.encode(), "signs.csv": SIGNS.encode()}
    write_files(folder, files)
    before = everything(folder)
    words = damaged_words(rng.choice(COMMANDS).split(), rng)
    with within(SECONDS), pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = call(*words)
    assert result.code in (0, 1, 2), words
    assert "Traceback" not in result.err, words
    if result.code:
        assert (result.err + result.out).strip(), words
    if result.code == 2 or (result.code and "--study" not in words):
        assert everything(folder) == before, words


def run(numbers: range, place: Path, tmp_path: Path) -> None:
    """Try every numbered case, its kind in turn, and report all that break the contract."""
    of_kinds = kinds(place)
    names = [*sorted(of_kinds), "command"]
    broken = []
    for number in numbers:
        name = names[number % len(names)]
        folder = tmp_path / str(number)
        try:
            if name == "command":
                commanded(number, place, folder)
            else:
                rng = random.Random(f"{name} {number}")
                judge(of_kinds[name], damaged_files(of_kinds[name].files, rng), folder)
        except Exception as error:
            broken.append(f"{name} {number}: {type(error).__name__}: {str(error)[:500]}")
    assert not broken, f"{len(broken)} of {len(numbers)} cases:\n" + "\n".join(broken)


def test_every_undamaged_input_is_read(place: Path, tmp_path: Path) -> None:
    for number, kind in enumerate(kinds(place).values()):
        folder = tmp_path / str(number)
        folder.mkdir()
        write_files(folder, kind.files)
        kind.read(folder)


def test_damaged_inputs_are_read_rightly_or_refused(place: Path, tmp_path: Path) -> None:
    run(range(FAST), place, tmp_path)


@pytest.mark.slow
def test_damaged_runs_are_refused_with_the_name_of_a_file(tmp_path: Path) -> None:
    run_folder = oral_fit().save(tmp_path / "run")
    whole = {path.name: path.read_bytes() for path in run_folder.iterdir()}
    broken = []
    for number in range(150):
        folder = tmp_path / str(number)
        folder.mkdir()
        files = damaged_files(whole, random.Random(f"run {number}"))
        write_files(folder, files)
        try:
            with within(SECONDS):
                load_fit(folder)
        except KineticsError as error:
            if not str(error).strip():
                broken.append(f"run {number}: an empty message")
        except Exception as error:
            broken.append(f"run {number}: {type(error).__name__}: {str(error)[:500]}")
    assert not broken, "\n".join(broken)


@pytest.mark.slow
@pytest.mark.parametrize("begin", range(FAST, MANY, 480))
def test_many_damaged_inputs_are_read_rightly_or_refused(place: Path, tmp_path: Path, begin: int) -> None:
    run(range(begin, min(begin + 480, MANY)), place, tmp_path)
