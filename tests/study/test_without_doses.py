"""A study in which nobody was dosed says so, and is then read, drawn and fitted without a table of doses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import kinetics as kn
from kinetics.errors import FitError, InputError, StudyError
from kinetics.study.study import Study, read_study, validate_study

DICTIONARY = """title = "a marker"
source = "made up for the tests"
licence = "CC0-1.0"
synthetic = true
{say}

[columns.observations]
time = {{ unit = "day" }}

[analytes.crp]
label = "CRP"
assay = "elisa"
site = "serum"
unit = "mg/L"
"""
RECORDS = [(subject, day, 100.0 * np.exp(-0.1 * day)) for subject in ("1", "2") for day in (0, 2, 5, 9)]
MODEL = '''"""A marker that falls by itself; made for the tests; doi 10.0000/none; no change."""

from kinetics import LogNormal, Model, Output, Parameter, State

STATES = {"marker": State("CRP", "mg/L", site="serum", scale=1e-3)}
PARAMETERS = {
    "start": Parameter(100.0, "mg/L", LogNormal(100.0, 1.0), sd=0.3, source="a guess", guess=True),
    "loss": Parameter(0.1, "1/day", LogNormal(0.1, 1.0), sd=0.3, source="a guess", guess=True),
}


def vector_field(t, y, p):
    return {"marker": -p["loss"] * y["marker"]}


OUTPUTS = {"crp": Output(lambda y, p: y["marker"], "mg/L", "CRP")}
MODEL = Model(
    STATES, PARAMETERS, OUTPUTS, vector_field=vector_field,
    initial=lambda p: {"marker": p["start"]}, dose_unit="mg",
)
'''


def folder(place: Path, say: str = "without_doses = true") -> Path:
    made = place / "natural"
    made.mkdir()
    (made / "dictionary.toml").write_text(DICTIONARY.format(say=say))
    (made / "subjects.csv").write_text("subject\n1\n2\n")
    rows = [f"{subject},{day},crp,{value:.6g}" for subject, day, value in RECORDS]
    (made / "observations.csv").write_text("\n".join(["subject,time,analyte,value", *rows]) + "\n")
    return made


def table(place: Path, say: str = "without_doses = true", *, amounts: str = "") -> Path:
    header = "ID,TIME,DV"
    rows = [f"{subject},{day},{value:.6g}" for subject, day, value in RECORDS]
    if amounts:
        header += ",AMT"
        rows = [f"{row},{amounts}" for row in rows]
    path = place / "natural.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    path.with_suffix(".toml").write_text(
        f'title = "a marker"\nsource = "made up"\nlicence = "CC0-1.0"\nsynthetic = true\n{say}\n'
        '[event_table]\ntime_unit = "day"\nanalyte = "crp"\ndv_unit = "mg/L"\n'
    )
    return path


def refusal(source: Path, **options: object) -> str:
    return "\n".join(map(str, validate_study(source, **options)))  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [folder, table])
def test_a_study_that_says_so_needs_no_doses(tmp_path: Path, make):
    study = read_study(make(tmp_path))
    assert study.doses.empty
    assert study.subject_ids == ["1", "2"]
    assert len(study.observed("crp")) == len(RECORDS)
    assert "no doses" in str(study)
    with_doses = read_study("theophylline")
    assert set(study.doses.columns) <= set(with_doses.doses.columns)


def test_an_option_says_it_of_a_single_table(tmp_path: Path):
    assert read_study(table(tmp_path, ""), without_doses=True).doses.empty


def test_a_study_that_does_not_say_so_is_asked(tmp_path: Path):
    assert "doses.csv: the file is missing" in refusal(folder(tmp_path, ""))
    assert "write `without_doses = true` in dictionary.toml" in refusal(tmp_path / "natural")
    assert "write `without_doses = true` in natural.toml" in refusal(table(tmp_path, ""))
    options = {"dose_unit": "mg", "route": "iv", "product": "drug"}
    answer = refusal(table(tmp_path, "", amounts="."), **options)
    assert "no subject has a dose" in answer
    assert answer.count("natural") == 2  # one problem for all subjects, and its remedy


def test_doses_in_a_study_that_is_said_to_have_none_are_refused(tmp_path: Path):
    made = folder(tmp_path)
    (made / "doses.csv").write_text("subject,time,product,route,amount,unit\n1,0,drug,iv,5,mg\n")
    assert "said to be without doses" in refusal(made)
    path = table(tmp_path, amounts=".")
    path.write_text(path.read_text().replace("1,0,100,.", "1,0,,5", 1))
    assert "a dose, and the study is said to be without doses" in refusal(path)


def test_a_workbook_needs_no_sheet_of_doses(tmp_path: Path):
    openpyxl = pytest.importorskip("openpyxl")
    made = folder(tmp_path)
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name in ("subjects", "observations"):
        sheet = book.create_sheet(name)
        for line in (made / f"{name}.csv").read_text().splitlines():
            sheet.append(line.split(","))
    path = tmp_path / "natural.xlsx"
    book.save(path)
    path.with_suffix(".toml").write_text(DICTIONARY.format(say="without_doses = true"))
    assert read_study(path).doses.empty
    path.with_suffix(".toml").write_text(DICTIONARY.format(say=""))
    assert "if nobody was dosed, write `without_doses = true` in the dictionary" in refusal(path)


def test_its_figure_counts_no_time_from_a_dose(tmp_path: Path):
    figure = kn.plot.plot_persistence(read_study(folder(tmp_path)), "crp")
    text = str(figure.to_dict())
    assert "Time (days)" in text
    assert "first infusion" not in text
    assert "First dose" not in text


def test_what_counts_time_from_a_dose_refuses_by_name(tmp_path: Path):
    study = read_study(folder(tmp_path))
    with pytest.raises(InputError, match="natural has no doses, from which cycles and areas count time"):
        kn.nca(study)
    for form in ("adpc", "nonmem"):
        with pytest.raises(StudyError, match="natural has no doses"):
            kn.formats.export(study, form, tmp_path / form)
    assert not list(tmp_path.glob("adpc*"))


def fitted(place: Path) -> tuple[kn.Fit, Study]:
    (place / "marker.py").write_text(MODEL)
    study = read_study(folder(place))
    model = str(place / "marker.py")
    return kn.fit(model, study, observe={"crp": {"output": "crp"}}, method="laplace"), study


@pytest.mark.fit
@pytest.mark.slow
def test_it_is_fitted_and_predicted_and_has_no_exposures(tmp_path: Path):
    fit, study = fitted(tmp_path)
    table_of_fit = kn.parameter_table(fit).set_index("site")
    assert table_of_fit.loc["loss_pop", "median"] == pytest.approx(0.1, rel=0.02)
    prediction = kn.prediction.predict(fit, study, draws=20)
    assert len(prediction.records) == len(RECORDS)
    with pytest.raises(FitError, match="natural has no doses, from which exposures count time"):
        kn.exposure(fit, draws=5)


def test_a_model_that_takes_no_dose_is_simulated_without_one(tmp_path: Path):
    (tmp_path / "marker.py").write_text(MODEL)
    curves = kn.simulate(kn.load_model(tmp_path / "marker.py"), times=[0.0, 10.0])
    assert curves["value"].to_list() == pytest.approx([100.0, 100.0 * np.exp(-1.0)], rel=1e-4)
