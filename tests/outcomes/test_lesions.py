"""`kinetics recist`: a table of lesion measurements as responses; the strata of the interim analysis."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kinetics.errors import StudyError
from kinetics.outcomes.lesions import lesion_responses, other_than_recorded, read_lesions
from kinetics.outcomes.strata import strata_of, strata_table
from kinetics.protocol.protocol import read_protocol
from kinetics.study.study import read_study
from tests.support.commands import call

SYNTHETIC = "nkg2d_phase1_synthetic"
HEAD = "subject,time,lesion,kind,diameter_mm,state,node,larger\n"
TWO = """A,-7,liver,target,60,,no,
A,-7,node,target,20,,yes,
A,-7,bone,non_target,,present,,
A,42,liver,target,30,,no,
A,42,node,target,9,,yes,
A,42,bone,non_target,,present,,
A,84,liver,target,0,,no,
A,84,node,target,8,,yes,
A,84,bone,non_target,,absent,,
B,-7,liver,target,100,,no,
B,42,liver,target,100,,no,
B,42,skin,new,,,,
B,84,liver,target,100,,no,
B,84,skin,new,,,,yes
"""


def file_of(tmp_path: Path, text: str = TWO, head: str = HEAD) -> Path:
    path = tmp_path / "lesions.csv"
    path.write_text(head + text, encoding="utf-8")
    return path


def test_measurements_become_responses_by_both_criteria(tmp_path):
    found = lesion_responses(read_lesions(file_of(tmp_path)))
    seen = found.visits[["subject", "time", "sum_mm", "new_lesions", "overall", "irecist"]].values.tolist()
    assert seen == [
        ["A", 42, 39, "no", "PR", "iPR"],  # 39 of 80 mm
        ["A", 84, 8, "no", "CR", "iCR"],  # the liver's gone, the node is below 10 mm
        ["B", 42, 100, "yes", "PD", "iUPD"],
        ["B", 84, 100, "yes", "PD", "iCPD"],  # the new lesion grew
    ]
    assert (found.visits["why"] != "").all()
    best = {
        r["subject"]: (r["unconfirmed"], r["confirmed"], r["irecist"]) for r in found.best.to_dict("records")
    }
    assert best == {
        "A": ("CR", "PR", "iCR"),
        "B": ("PD", "PD", "iCPD"),
    }  # nothing confirms the CR; it confirms the PR


def test_a_missing_target_a_missed_scan_and_non_targets_together(tmp_path):
    text = """A,0,liver,target,60,,no,
A,0,lung,target,40,,no,
A,0,bone,non_target,,present,,
A,0,skin,non_target,,present,,
A,42,liver,target,,,no,
A,42,lung,target,40,,no,
A,42,bone,non_target,,absent,,
A,42,skin,non_target,,absent,,
A,84,liver,target,,,no,
A,84,lung,target,,,no,
A,126,liver,target,50,,no,
A,126,lung,target,40,,no,
A,126,bone,non_target,,unequivocal_progression,,
A,126,skin,non_target,,present,,
"""
    found = lesion_responses(read_lesions(file_of(tmp_path, text)))
    assert found.visits["overall"].tolist() == ["NE", "NE", "PD"]
    assert "not measured: liver" in found.visits["why"].iloc[0]


def test_the_day_of_treatment_decides_what_a_stable_disease_is(tmp_path):
    path = file_of(tmp_path, "A,-7,liver,target,60,,no,\nA,45,liver,target,60,,no,\n")
    assert lesion_responses(read_lesions(path)).best["unconfirmed"].tolist() == ["SD"]
    assert lesion_responses(read_lesions(path), reference_day={"A": 10.0}).best["unconfirmed"].tolist() == [
        "NE"
    ]


def test_every_problem_is_named_with_its_row(tmp_path):
    text = "A,0,liver,targett,60,,no,\nA,0,bone,non_target,,here,,\nA,x,,target,-3,,maybe,\n"
    with pytest.raises(StudyError) as error:
        read_lesions(file_of(tmp_path, text))
    for part in (
        "row 2",
        "write one of target",
        "write one of absent",
        "has no name",
        "below 0",
        "yes nor no",
        "row 4",
    ):
        assert part in str(error.value)
    with pytest.raises(StudyError, match="no column 'state'"):
        read_lesions(file_of(tmp_path, "A,0,liver,target,60\n", "subject,time,lesion,kind,diameter_mm\n"))
    forgotten = "A,0,liver,target,60,,no,\nA,0,lung,target,60,,no,\nA,42,liver,target,60,,no,\n"
    with pytest.raises(StudyError, match="target lung is not listed"):
        lesion_responses(read_lesions(file_of(tmp_path, forgotten)))


BONE = "".join(f"A,{day},bone,non_target,,{state},,\n" for day, state in ((-7, "present"), (42, "present")))


def test_a_subject_without_targets_is_judged_by_its_other_lesions(tmp_path):
    found = lesion_responses(read_lesions(file_of(tmp_path, BONE)))
    (row,) = found.visits.to_dict("records")
    assert (row["overall"], row["irecist"]) == ("NON-CR/NON-PD", "NON-iCR/NON-iUPD")
    assert str(row["sum_mm"]) == "nan"
    assert found.best.loc[0, "confirmed"] == "NON-CR/NON-PD"
    said = call("recist", file_of(tmp_path, BONE))
    assert (said.code, "NON-CR/NON-PD" in said.out) == (0, True)


def test_the_command_says_how_disease_after_a_cr_is_judged(tmp_path):
    node = "".join(f"A,{day},n,target,{mm},,yes,\n" for day, mm in ((-7, 20), (42, 8), (84, 10)))
    path = file_of(tmp_path, node)
    options = (("--json",), ("--json", "--disease-after-cr", "pd_if_confirmed"))
    answers = [call("recist", path, *option).json() for option in options]
    assert [a["visits"][1]["overall"] for a in answers] == ["PD", "PR"]
    assert [a["visits"][1]["irecist"] for a in answers] == ["iUPD", "iPR"]
    assert [a["disease_after_cr"] for a in answers] == ["pd", "pd_if_confirmed"]
    assert "known: as_measured, pd, pd_if_confirmed" in call("recist", path, "--disease-after-cr", "no").err


def test_the_command_compares_with_what_was_recorded(tmp_path):
    lesions = "".join(
        f"S01,{day},liver,target,{mm},,no,\n"
        for day, mm in ((0, 89), (39.94, 93), (87.02, 92), (142.99, 114))
    )
    path, out = file_of(tmp_path, lesions), tmp_path / "responses.csv"
    said = call("recist", path, "--study", SYNTHETIC, "--out", out)
    assert (said.code, "recorded responses that differ\nnone" in said.out) == (0, True)
    assert out.read_text().splitlines()[0] == "subject,time,sum_mm,new_lesions,overall,irecist"
    other = file_of(tmp_path, lesions.replace("114", "99"))
    differs = call("recist", other, "--study", SYNTHETIC, "--json")
    assert (differs.code, differs.json()["disagreements"][0]["by_lesions"]) == (1, "SD")
    found = lesion_responses(read_lesions(other)).visits
    assert len(other_than_recorded(found, read_study(SYNTHETIC))) == 1
    assert call("recist", tmp_path / "none.csv").code == 1


# ------------------------------------------------------------------------------------- interim strata


def test_the_interim_strata_are_the_registrys_and_what_is_not_recorded_is_said():
    columns, silent = strata_of(read_protocol(SYNTHETIC))
    assert (len(columns), silent) == (6, ["tumour markers"])
    assert len(strata_of(read_protocol("nkg2d_registry"))[1]) == 7


def test_a_stratum_has_response_dlts_and_severe_events_by_system():
    study, protocol = read_study(SYNTHETIC), read_protocol(SYNTHETIC)
    table = strata_table(study, ["tumour", "ligand_score"], protocol)
    rows = {(r["by"], r["stratum"], r["rate"]): (r["events"], r["n"]) for r in table.to_dict("records")}
    # by hand: DLTs of S06 (colorectal) and S09 (oesophageal); S03 was not evaluable
    assert rows["tumour", "colorectal", "dlt"] == (1, 8)
    assert rows["tumour", "oesophageal", "dlt"] == (1, 3)
    assert rows["tumour", "colorectal", "dcr"] == (7, 9)
    assert rows["tumour", "colorectal", "grade_3_or_more astct_2019"] == (1, 9)
    assert rows["tumour", "colorectal", "grade_3_or_more ctcae_v5"] == (
        0,
        9,
    )  # neutropenia is lymphodepletion's
    assert {s for by, s, _ in rows if by == "ligand_score"} == {"above 0.9", "at most 0.9"}
    assert "dlt" not in set(strata_table(study, ["tumour"])["rate"])
    with pytest.raises(StudyError, match="did you mean 'tumour'"):
        strata_table(study, ["tumor"])


def test_what_was_not_recorded_is_a_stratum():
    study = read_study(SYNTHETIC)
    subjects = study.subjects.copy()
    subjects.loc["S01", "nlr"] = float("nan")
    table = strata_table(replace(study, subjects=subjects), ["nlr"])
    assert table.loc[table["stratum"] == "not recorded", "n"].tolist()[0] == 1


def test_the_command_tells_of_the_strata():
    answer = call("response", SYNTHETIC, "--protocol", SYNTHETIC, "--json").json()
    assert answer["strata_not_recorded"] == ["tumour markers"]
    assert {r["by"] for r in answer["strata"]} >= {"tumour", "nlr"}


def test_strata_of_events_without_an_attribution_are_refused_with_what_to_add():
    study = read_study(SYNTHETIC)
    without = replace(study, events=study.events.drop(columns="attribution"))
    with pytest.raises(
        StudyError, match=r"events.csv: no column 'attribution'.*add it \(car_nk, car_t or other\)"
    ):
        strata_table(without, ["tumour"])
    empty = replace(without, events=without.events.iloc[:0])
    assert "orr" in set(strata_table(empty, ["tumour"])["rate"])
