"""Bad input is refused in full: where, what, the remedy, every problem at once, and nothing left behind."""

from __future__ import annotations

from pathlib import Path
from time import process_time

import pytest

from kinetics.errors import StudyError
from kinetics.study.study import read_study, validate_study
from tests.study.bad_input.bad_event_tables import CASES as TABLE_CASES, OPTIONS, TableCase, write_table
from tests.study.bad_input.bad_studies import CASES, Case, edit, write_good


def everything(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, with its bytes."""
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def one_problem_says_it_all(message: str, fragments: tuple[str, ...]) -> bool:
    """Whether one line of the message holds every fragment."""
    return any(all(fragment in line for fragment in fragments) for line in message.splitlines())


def test_the_good_study_is_good(tmp_path: Path) -> None:
    assert validate_study(write_good(tmp_path / "study")) == []


def test_case_names_are_unique_and_plenty() -> None:
    for cases in (CASES, TABLE_CASES):
        assert len(cases) == len({case.name for case in cases})
    assert len(CASES) >= 40


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_spoilt_study_says_where_what_and_the_remedy(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = write_good(tmp_path / "study")
    case.spoil(study)
    monkeypatch.chdir(tmp_path)
    before = everything(tmp_path)
    with pytest.raises(StudyError) as caught:
        read_study(study)
    assert one_problem_says_it_all(str(caught.value), case.says), str(caught.value)
    assert everything(tmp_path) == before, "reading wrote a file"
    assert [str(p) for p in validate_study(study)] == [str(p) for p in caught.value.problems]
    assert all(problem.what and problem.remedy and problem.file for problem in caught.value.problems)


@pytest.mark.parametrize("case", TABLE_CASES, ids=lambda case: case.name)
def test_a_spoilt_event_table_says_where_what_and_the_remedy(
    case: TableCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = write_table(tmp_path / "table.csv", case)
    monkeypatch.chdir(tmp_path)
    before = everything(tmp_path)
    with pytest.raises(StudyError) as caught:
        read_study(table, **{**OPTIONS, **case.options})
    assert one_problem_says_it_all(str(caught.value), case.says), str(caught.value)
    assert everything(tmp_path) == before, "reading wrote a file"


def test_problems_of_every_file_are_reported_at_once(tmp_path: Path) -> None:
    study = write_good(tmp_path / "study")
    edit("subjects.csv", "55.5", "-55.5")(study)
    edit("doses.csv", "1e9", "0")(study)
    edit("observations.csv", "1200", "12")(study)
    edit("observations.csv", "P03,336,car_cells,0", "P03,336,car_cell,x")(study)
    edit("events.csv", "astct_2019", "")(study)
    edit("responses.csv", "28,PR", "28,ZZ")(study)
    problems = validate_study(study)
    assert {p.file for p in problems} == {
        "subjects.csv", "doses.csv", "observations.csv", "events.csv", "responses.csv",
    }  # fmt: skip
    assert len(problems) >= 7
    with pytest.raises(StudyError, match=f"{len(problems)} problems:"):
        read_study(study)


def test_dictionary_problems_are_reported_together(tmp_path: Path) -> None:
    study = write_good(tmp_path / "study")
    edit("dictionary.toml", "synthetic = true\n", "")(study)
    edit("dictionary.toml", "licence", "license")(study)
    edit("dictionary.toml", "copies/ug DNA", "copies/ug RNA")(study)
    said = {p.column for p in validate_study(study)}
    assert {"synthetic", "license", "licence", "analytes.car_copies"} <= said


def test_a_dictionary_problem_does_not_hide_the_tables(tmp_path: Path) -> None:
    study = write_good(tmp_path / "study")
    edit("dictionary.toml", "synthetic = true\n", "")(study)
    edit("doses.csv", "1e9", "0")(study)
    assert [p.file for p in validate_study(study)] == ["dictionary.toml", "doses.csv"]
    with pytest.raises(StudyError):
        read_study(study)


def test_an_unknown_key_does_not_hide_a_wrong_value_beside_it(tmp_path: Path) -> None:
    study = write_good(tmp_path / "study")
    edit("dictionary.toml", "uloq = 1e7", "uloq = 10.0\nlloqq = 1.0")(study)
    said = [str(p) for p in validate_study(study)]
    assert any("unknown key" in text for text in said)
    assert any("not above lloq" in text for text in said)


def test_an_unreadable_subjects_file_does_not_flood_the_doses(tmp_path: Path) -> None:
    study = write_good(tmp_path / "study")
    (study / "subjects.csv").write_bytes(b"")
    assert [p.file for p in validate_study(study)] == ["subjects.csv"]


def test_one_mistake_gives_one_problem(tmp_path: Path) -> None:
    study = write_good(tmp_path / "study")
    edit("observations.csv", "P01,168,car_copies,1200", "P01,168,car_copies,12")(study)
    assert len(validate_study(study)) == 1


@pytest.mark.parametrize("mark", ["\ufeff", ""])
def test_a_byte_order_mark_is_no_problem(mark: str, tmp_path: Path) -> None:
    study = write_good(tmp_path / "study")
    for path in study.iterdir():
        path.write_text(mark + path.read_text(), encoding="utf-8")
    assert validate_study(study) == []


def test_windows_line_ends_and_blank_lines_are_no_problem(tmp_path: Path) -> None:
    study = write_good(tmp_path / "study")
    for path in study.glob("*.csv"):
        path.write_bytes(path.read_text().replace("\n", "\r\n").encode() + b"\r\n")
    assert validate_study(study) == []


def test_a_missing_folder_names_its_neighbour(tmp_path: Path) -> None:
    write_good(tmp_path / "study")
    (problem,) = validate_study(tmp_path / "stud")
    assert "did you mean 'study'?" in str(problem)
    assert not (tmp_path / "stud").exists()


def test_an_unknown_library_name_gives_the_nearest_and_the_way_to_a_folder() -> None:
    (problem,) = validate_study("theophyline")
    assert "did you mean 'theophylline'?" in str(problem)
    assert "./theophyline" in str(problem)


def test_options_are_refused_for_a_folder(tmp_path: Path) -> None:
    problems = validate_study(write_good(tmp_path / "study"), time_unit="h")
    assert "time_unit" in str(problems[0])
    assert "dictionary.toml" in str(problems[0])


def test_a_wrong_unit_hides_no_wrong_value_beside_it(tmp_path: Path) -> None:
    study = write_good(tmp_path / "study")
    edit("observations.csv", "censored,limit\n", "censored,limit,unit\n")(study)
    edit("observations.csv", "P01,168,car_copies,1200,none,", "P01,168,car_copies,-5,none,,copies/ug_DNA")(
        study
    )
    edit("observations.csv", "P02,168,car_copies,900,,", "P02,168,car_copies,0,left,,copies/ug_DNA")(study)
    said = {(p.row, p.column, p.what.partition(" '")[0]) for p in validate_study(study) if p.column}
    assert said == {
        (3, "unit", "unknown unit"), (3, "value", "the value is negative"),
        (6, "unit", "unknown unit"), (6, "value", "zero with censored = left"),
    }  # fmt: skip


def test_ten_times_as_many_mistakes_cost_about_ten_times_as_much(tmp_path: Path) -> None:
    study = write_good(tmp_path / "study")
    good = (study / "observations.csv").read_text()
    seconds = []
    for count in (600, 6000):
        more = "".join(f"X{row},168,gene_{row % 3000},<50,none,\n" for row in range(count))
        (study / "observations.csv").write_text(good + more)
        begun = process_time()
        assert len(validate_study(study)) == 3 * count
        seconds.append(process_time() - begun)
    assert seconds[1] < 30 * seconds[0] + 1.0  # a hundred times, were each problem to read the whole table


def test_a_subject_without_a_record_is_kept_and_told(tmp_path: Path) -> None:
    study = write_good(tmp_path / "study")
    edit("subjects.csv", "P03,81,1,70\n", "P03,81,1,70\nP04,70,1,50\n")(study)
    edit("doses.csv", "P03,0,", "P04,0,car_nk,hepatic_artery,1e9,,30,1,\nP03,0,")(study)
    good = read_study(study)
    assert good.subject_ids == ["P01", "P02", "P03", "P04"]
    assert good.summary()["subjects_without_records"] == ["P04"]
    assert "treated and without a record: P04" in str(good)


def test_a_mistake_in_many_rows_is_told_once_with_the_rows(tmp_path: Path) -> None:
    study = write_good(tmp_path / "study")
    more = "".join(f"P02,{h},car_copies,{h}x,none,\n" for h in range(200, 230))
    edit("observations.csv", "P02,336,", f"{more}P02,336,")(study)
    edit("observations.csv", "1200", "-12")(study)
    with pytest.raises(StudyError) as caught:
        read_study(study)
    assert len(caught.value.problems) == 31
    lines = str(caught.value).splitlines()
    assert len(lines) == 6
    assert lines[0] == "31 problems:"
    assert "row 9, subject P02, column value = '202x'" in lines[3]
    assert (
        lines[4]
        == "observations.csv: the same in 27 more rows, column value: 10, 11, 12, 13, 14, 15, 16, ..., 36"
    )
    assert "row 3, subject P01" in lines[5]
