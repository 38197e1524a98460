"""Transport files: read back equal by pandas, and nothing shortened: what does not fit is refused by name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kinetics.errors import InputError
from kinetics.formats.concentrations import adpc, adppk
from kinetics.formats.outcomes import adrs
from kinetics.formats.parameters import adpp
from kinetics.study.study import read_study
from kinetics.submission.datasets import _with_short_texts, transport_table
from kinetics.submission.transport_file import (
    TransportTable,
    differences,
    read_transport,
    split_texts,
    transport_bytes,
)

pytest.importorskip("pyreadstat")


def table(frame: pd.DataFrame, **labels: str) -> TransportTable:
    return TransportTable("ADX", "An example", frame, {name: name for name in frame.columns} | labels)


@pytest.mark.parametrize("make", [adpc, adppk, adpp, adrs])
def test_the_data_sets_of_the_trial_read_back_equal(make, tmp_path):
    dataset = _with_short_texts(make(read_study("nkg2d_phase1_synthetic")))
    file = tmp_path / "x.xpt"
    file.write_bytes(transport_bytes(transport_table(dataset)))
    frame, labels = read_transport(file)
    assert list(frame) == list(dataset.frame)
    assert labels == {name: variable.label for name, variable in dataset.variables.items()}
    for name, variable in dataset.variables.items():
        expected = dataset.frame[name].reset_index(drop=True)
        if variable.kind == "text":
            assert list(frame[name]) == list(expected.fillna("").astype(str))
        else:
            assert np.array_equal(frame[name], expected.astype(float), equal_nan=True)


def test_numbers_keep_every_digit_and_zero_is_zero(tmp_path):
    values = [0.0, -0.5, np.pi, 1e-70, 6.02214076e23, 4e74, np.nan, 2.0**53 + 2]
    file = tmp_path / "x.xpt"
    file.write_bytes(transport_bytes(table(pd.DataFrame({"AVAL": values}))))
    frame, _ = read_transport(file)
    assert np.array_equal(frame["AVAL"], values, equal_nan=True)
    assert bytes(8) in file.read_bytes()[-720:]  # 0 is eight zero bytes


def test_what_does_not_fit_is_refused_by_name_all_at_once():
    frame = pd.DataFrame(
        {"LONGNAME9": [1.0], "LABELLED": [1.0], "UNIT": ["µg"], "AMT": [1e80], "WHY": ["x" * 201]}
    )
    with pytest.raises(InputError) as refusal:
        table(frame, LABELLED="A label of more than the forty characters that fit")
    text = str(refusal.value)
    assert len(refusal.value.problems) == 5
    assert "'LONGNAME9' has 9 characters" in text
    assert "the label of the variable 'LABELLED' has 50 characters" in text
    for name in ("UNIT", "AMT", "WHY"):
        assert f"column {name}" in text


def test_a_long_text_is_continued_and_not_cut():
    text = " ".join(f"word{k}" for k in range(100))
    frame, labels = split_texts(pd.DataFrame({"PPREASND": ["short", text]}), {"PPREASND": "Reason"})
    assert list(frame) == ["PPREASND", "PPREASN1", "PPREASN2", "PPREASN3"]
    assert " ".join(frame.iloc[1]) == text
    assert list(frame.iloc[0]) == ["short", "", "", ""]
    assert labels["PPREASN1"] == "Reason (continued 1)"


def test_a_file_that_does_not_give_the_table_back_is_noticed(tmp_path):
    written = table(pd.DataFrame({"AVAL": [1.0, 2.0], "ARM": ["A", "B"]}))
    file = tmp_path / "x.xpt"
    file.write_bytes(transport_bytes(written))
    assert list(differences(written, file)) == []
    other = table(pd.DataFrame({"AVAL": [1.0, 3.0], "ARM": ["A", "C"]}))
    assert list(differences(other, file)) == [
        "AVAL, row 3: 2.0, not 3.0",
        "ARM, row 3: 'B', not 'C'",
    ]


def test_a_broken_file_is_refused(tmp_path):
    file = tmp_path / "x.xpt"
    file.write_bytes(b"no transport file" * 40)
    with pytest.raises(InputError, match="no transport file"):
        read_transport(file)
