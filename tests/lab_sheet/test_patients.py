"""One name for each patient across the sheets, and no two patients under one."""

from __future__ import annotations

import pytest

import kinetics as kn
from tests.support.lab_sheets import imported, records

UNITS = {"a": "cells/uL", "b": "cells/uL"}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (["PT-01", "PT-02"], ["pt 1", "Pt2"]),
        (["PT-01", "PT-02"], ["PT-01_1", "PT-02_3"]),
        (["PT-01", "PT-02"], ["1", "2"]),
        (["1", "2"], ["PT-01", "PT-02"]),
    ],
)
def test_names_of_one_patient_are_joined_and_listed(tmp_path, first, second):
    texts = {
        "a.csv": "Patient,D7\n" + "".join(f"{name},{place}\n" for place, name in enumerate(first, 5)),
        "b.csv": "Sample ID,D14\n" + "".join(f"{name},{place}\n" for place, name in enumerate(second, 7)),
    }
    made = imported(tmp_path, texts, units=UNITS)
    assert made.study.subject_ids == first
    assert [row[2] for row in records(made, "b")] == [7.0, 8.0]
    listed = made.interpretations.query("about == 'patient' and basis == 'guess'")
    assert set(listed["written"]) == set(second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (["A-01", "A-02"], ["B-01", "B-02"]),
        (["P001", "P011"], ["P002", "P012"]),
        (["P1", "P11"], ["P2.1", "P111"]),
        (["101-001", "101-011"], ["101001", "10111"]),
    ],
)
def test_names_of_two_patients_stay_apart(tmp_path, first, second):
    texts = {
        "a.csv": "Patient,D7\n" + "".join(f"{name},5\n" for name in first),
        "b.csv": "Patient,D14\n" + "".join(f"{name},7\n" for name in second),
    }
    assert imported(tmp_path, texts, units=UNITS).study.subject_ids == [*first, *second]


def test_a_join_is_undone_in_the_toml(tmp_path):
    texts = {"a.csv": "Patient,D7\nPT-01,5\n", "b.csv": "Patient,D14\npt1,7\n"}
    made = imported(tmp_path, texts, units=UNITS)
    assert made.study.subject_ids == ["PT-01"]
    toml = made.toml.read_text(encoding="utf-8")
    made.toml.write_text(toml.replace('pt1 = "PT-01"', 'pt1 = "pt1"'), encoding="utf-8")
    again = made.folder.with_name("again")
    assert kn.import_study(out=again, again=made.toml).study.subject_ids == ["PT-01", "pt1"]
