"""ADAE: every recorded adverse event once, each grade beside its system, and what is left out said."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from kinetics.errors import StudyError
from kinetics.formats.adverse_events import adae, has_adverse_events
from kinetics.formats.exporting import export
from kinetics.study.study import read_study
from tests.support.commands import call

TRIAL = "nkg2d_phase1_synthetic"


@pytest.fixture(scope="module")
def study():
    return read_study(TRIAL)


def with_rows(study, *rows: tuple[object, ...]):
    """The study with other events: subject, time, event, grade, grading_system."""
    events = pd.DataFrame(rows, columns=["subject", "time", "event", "grade", "grading_system"])
    events["grade"] = events["grade"].astype(float)
    return replace(study, events=events.assign(row=range(len(events))))


def test_every_event_is_a_row_with_its_grade_and_system(study):
    frame = adae(study).frame
    status = study.events["event"].isin(["death", "new_anticancer_therapy"]) & study.events["grade"].isna()
    recorded = study.events[~status]
    assert len(frame) == len(recorded)
    for column, variable in (("event", "AETERM"), ("grade", "ATOXGRN"), ("grading_system", "AEGRSYS")):
        merged = frame.sort_values(["SUBJID", "ASTREL"], kind="stable")[variable].tolist()
        assert merged == recorded.sort_values(["subject", "time"], kind="stable")[column].tolist()
    assert set(frame.loc[frame["CQ01NAM"] == "CRS", "AEGRSYS"]) == {"astct_2019"}
    assert set(frame["AETOXGR"]) <= {"1", "2", "3", "4", "5", ""}


def test_the_declared_columns_of_the_events_come_along(study):
    dataset = adae(study)
    labels = {variable.label: name for name, variable in dataset.variables.items()}
    assert set(dataset.frame[labels["Dose-limiting toxicity"]]) <= {"yes", "no"}
    assert "Attributed to" in labels


def test_days_count_from_the_first_infusion_without_a_day_0(study):
    subject = study.subject_ids[0]
    first = study.doses[(study.doses["subject"] == subject) & (study.doses["unit"] == "cells")]["time"].min()
    rows = [(subject, first + shift, "fever", 1, "ctcae_v5") for shift in (-0.5, 0.0, 0.9, 1.0)]
    frame = adae(with_rows(study, *rows)).frame
    assert frame["ASTDY"].tolist() == [-1, 1, 1, 2]
    assert frame["TRTEMFL"].tolist() == ["", "Y", "Y", "Y"]
    assert frame["AESEQ"].tolist() == [1, 2, 3, 4]


def test_the_names_of_crs_are_one_term_and_others_keep_theirs(study):
    subject = study.subject_ids[0]
    names = ["CRS", "Cytokine release syndrome", "ICANS", "neutrophil_count_decreased"]
    frame = adae(with_rows(study, *((subject, 40.0, name, 2, "x") for name in names))).frame
    assert frame["CQ01NAM"].tolist() == ["CRS", "CRS", "", ""]
    assert frame["CQ02NAM"].tolist() == ["", "", "ICANS", ""]
    assert frame["AEDECOD"].iloc[3] == "neutrophil count decreased"
    assert frame["AETERM"].tolist() == names


def test_what_is_no_adverse_event_is_counted_and_not_carried(study):
    subject = study.subject_ids[0]
    rows = [
        (subject, 40.0, "death", float("nan"), ""),
        (subject, 40.0, "death", 5, "ctcae_v5"),
        (subject, 41.0, "crs", 0, "astct_2019"),
    ]
    dataset = adae(with_rows(study, *rows))
    assert dataset.frame["AETERM"].tolist() == ["death"]
    assert dataset.frame["AETOXGR"].tolist() == ["5"]
    assert "not carried: 1 rows of events.csv of grade 0" in dataset.notes
    empty = with_rows(study, rows[2])
    assert not has_adverse_events(empty)
    with pytest.raises(StudyError, match="no adverse event is recorded"):
        adae(empty)


def test_export_as_adae_writes_the_table_and_describes_it(tmp_path, study):
    done = export(study, "adae", tmp_path / "out")
    assert done.files == ("adae.csv", "define.xml", "define.csv")
    table = pd.read_csv(tmp_path / "out" / "define.csv")
    labels = dict(zip(table["variable"], table["label"], strict=True))
    assert labels["AEDECOD"] == "Dictionary-Derived Term"
    assert labels["TRTEMFL"] == "Treatment Emergent Analysis Flag"
    assert all(len(name) <= 8 and len(label) <= 40 for name, label in labels.items())
    none = call("export", "theophylline", "--as", "adae", "--out", tmp_path / "none")
    assert none.code == 1
    assert "no adverse event is recorded" in none.err
