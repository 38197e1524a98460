"""Studies of other trials read by their own protocols: clocks, regimens, arms, stagger and criteria."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import nan
from pathlib import Path
from typing import Any

import pytest

from kinetics.decision.next_level import next_dose
from kinetics.errors import InputError, PlanError, StudyError
from kinetics.outcomes.by_criteria import (
    ResponseReading,
    as_recist_scans,
    best_by_criteria,
    best_category,
    rates_by_criteria,
    reading_of,
)
from kinetics.outcomes.by_subject import known_responses
from kinetics.outcomes.dlts import dlt_table, patients_of
from kinetics.outcomes.recist import Assessment
from kinetics.outcomes.responses import first_infusions
from kinetics.outcomes.stagger import stagger_of
from kinetics.outcomes.survival import survival_times
from kinetics.protocol.protocol import read_protocol
from kinetics.protocol.response_criteria import RESPONSE_CRITERIA
from kinetics.protocol.tables import Protocol
from kinetics.study.study import Study, read_study
from tests.support.commands import call
from tests.support.other_trials import FLAT, REGIMENS, trial_folder, written
from tests.support.response_studies import study_of

NK = "dll3_car_nk"
ICV = "intraventricular"


@pytest.fixture
def protocol_with(tmp_path: Path) -> Callable[..., Protocol]:
    """A protocol of a small trial with dotted fields set."""

    def read(content: dict[str, Any], fields: dict[str, Any] | None = None) -> Protocol:
        return read_protocol(written(tmp_path / "protocol.toml", content, fields or {}))

    return read


def flat(*patients: dict[str, Any]) -> list[dict[str, Any]]:
    """Patients at the first flat level unless they say otherwise; there is one event at least."""
    rows = [{"subject": f"P{i}", "dose_level": 1e7, "cells": 1e7} | p for i, p in enumerate(patients, 1)]
    rows[0].setdefault("events", [(1, "fever", 1, "no")])
    return rows


def study_at(tmp_path: Path, patients: list[dict[str, Any]], **keys: Any) -> Study:
    return read_study(str(trial_folder(tmp_path / "trial", patients, **({"product": NK} | keys))))


# ------------------------------------------------------------------------------- products, clocks, levels


def test_a_trial_of_another_product_has_its_dlts_and_its_first_cells(tmp_path, protocol_with):
    dlt = [(5, "dyspnoea", 3, "yes")]
    study = study_at(tmp_path, flat({}, {"events": dlt}, {}))
    patients = patients_of(study, protocol_with(FLAT))
    assert [p.status for p in patients] == ["evaluable"] * 3
    assert [p.dlt for p in patients] == [False, True, False]
    assert first_infusions(study) == {"P1": 0.0, "P2": 0.0, "P3": 0.0}
    assert next_dose(protocol_with(FLAT), study).dose == "1e7 cells"


def test_cells_of_a_product_that_the_protocol_does_not_give_are_refused_by_name(tmp_path, protocol_with):
    study = study_at(tmp_path, flat({}), product="dll3_car_nkk")
    with pytest.raises(StudyError, match=r"doses of dll3_car_nkk.*did you mean 'dll3_car_nk'"):
        patients_of(study, protocol_with(FLAT))


def regimen_patient(subject: str, level: str, amounts: list[float], **more: Any) -> dict[str, Any]:
    cells = {7 * week: amount for week, amount in enumerate(amounts)}
    return {"subject": subject, "dose_level": level, "cells": cells} | more


def test_a_patient_of_a_regimen_is_counted_at_the_level_that_is_named(tmp_path, protocol_with):
    fields = {"evaluable.requires.value": "first_cycle"}
    rows = [
        regimen_patient("A", "DR1", [1e7, 1e7, 1e7], events=[(1, "headache", 1, "no")]),
        regimen_patient("B", "DR2", [1e7, 5e7, 5e7]),
        regimen_patient("C", "DR2", [1e7, 5e7]),
    ]
    study = study_at(tmp_path, rows, product="b7h3_car_t", route=ICV)
    patients = patients_of(study, protocol_with(REGIMENS, fields))
    assert [(p.level, p.status) for p in patients] == [
        (1, "evaluable"),
        (2, "evaluable"),
        (2, "not_evaluable"),
    ]
    assert patients[2].why == "2 of 3 infusions that make a patient evaluable"


@pytest.mark.parametrize(
    ("clock", "day", "is_dlt"),
    [
        ("first_b7h3_car_t", 30, False),
        ("last_b7h3_car_t", 30, True),
        ("each_infusion", 30, True),
        ("first_infusion", 27, True),
        ("each_infusion", 50, False),
        ("last_b7h3_car_t", 43, False),
    ],
)
def test_a_dlt_window_begins_with_the_infusion_that_the_clock_names(
    tmp_path, protocol_with, clock, day, is_dlt
):
    row = regimen_patient("A", "DR1", [1e7, 1e7, 1e7], events=[(day, "bleeding", 4, "yes")])
    study = study_at(tmp_path, [row], product="b7h3_car_t", route=ICV)
    (patient,) = patients_of(study, protocol_with(REGIMENS, {"dlt.clock.value": clock}))
    assert (patient.status, patient.dlt) == ("evaluable", is_dlt)


def test_windows_from_every_infusion_leave_out_the_days_between_them(tmp_path, protocol_with):
    fields = {"dlt.window_days.value": 3}
    for day, is_dlt in ((2, True), (5, False), (9, True), (12, False), (17, True), (18, False)):
        row = regimen_patient("A", "DR1", [1e7, 1e7, 1e7], events=[(day, "bleeding", 4, "yes")])
        study = study_at(tmp_path, [row], product="b7h3_car_t", route=ICV)
        (patient,) = patients_of(study, protocol_with(REGIMENS, fields))
        assert patient.dlt == is_dlt, f"day {day}"
        assert is_dlt or "is outside the window" in patient.why


def test_a_window_from_the_lymphodepletion_holds_what_comes_before_the_cells(tmp_path, protocol_with):
    drugs = [{"drug": "fludarabine", "amount": 30, "unit": "mg/m2", "days": [-5, -4, -3]}]
    fields = {
        "lymphodepletion": drugs,
        "dlt.clock.value": "first_lymphodepletion",
        "dlt.window_days.value": 30,
    }
    folder = trial_folder(tmp_path / "trial", flat({"events": [(-2, "sepsis", 4, "yes")]}), product=NK)
    doses = folder / "doses.csv"
    lines = doses.read_text().splitlines()
    doses.write_text(
        "\n".join([lines[0] + ",amount,unit", "P1,-5,fludarabine,iv,,50,mg", lines[1] + ",,"]) + "\n"
    )
    (patient,) = patients_of(read_study(str(folder)), protocol_with(FLAT, fields))
    assert patient.dlt
    assert "3.0 days in" in patient.why
    (patient,) = patients_of(read_study(str(folder)), protocol_with(FLAT, {"lymphodepletion": drugs}))
    assert not patient.dlt


# ------------------------------------------------------------------------------------------------- arms

ARMS = {
    "column": "donor",
    "names": ["autologous", "new_donor"],
    "most_patients": {"value": {"autologous": 9, "new_donor": 9}, "because": "as planned"},
}


@pytest.fixture
def two_arms(tmp_path) -> Path:
    """Three clean autologous patients, and one new donor's with a DLT, all at the first level."""
    rows = flat(
        {"donor": "autologous"},
        {"donor": "autologous"},
        {"donor": "autologous"},
        {"donor": "new_donor", "events": [(4, "gvhd", 3, "yes")]},
    )
    return trial_folder(tmp_path / "trial", rows, product=NK)


def test_every_arm_escalates_for_itself(protocol_with, two_arms):
    protocol = protocol_with(FLAT, {"arms": ARMS})
    study = read_study(str(two_arms))
    assert next_dose(protocol, study, arm="autologous").dose == "1e8 cells"
    other = next_dose(protocol, study, arm="new_donor")
    assert (other.dose, other.decision.size, [p.subject for p in other.patients]) == ("1e7 cells", 2, ["P4"])
    with pytest.raises(PlanError, match=r"name one: autologous, new_donor"):
        next_dose(protocol, study)
    table = dlt_table(study, protocol)
    assert table[["arm", "level", "subjects", "dlts"]].values.tolist()[:4] == [
        ["autologous", 1, 3, 0], ["autologous", 2, 0, 0], ["autologous", 3, 0, 0], ["new_donor", 1, 1, 1],
    ]  # fmt: skip


def test_a_subject_in_no_arm_is_named_and_so_is_a_missing_column(protocol_with, tmp_path):
    protocol = protocol_with(FLAT, {"arms": ARMS})
    stray = study_at(tmp_path, flat({"donor": "autologous"}, {"donor": "cousin"}))
    with pytest.raises(StudyError, match="P2, column donor = 'cousin': is no arm of the protocol"):
        next_dose(protocol, stray, arm="autologous")
    without = study_at(tmp_path, flat({}))
    with pytest.raises(StudyError, match="no column 'donor', which \\[arms\\] names"):
        next_dose(protocol, without, arm="autologous")


def test_the_commands_answer_for_every_arm_or_for_one(protocol_with, two_arms, tmp_path):
    protocol_with(FLAT, {"arms": ARMS})
    file = str(tmp_path / "protocol.toml")
    both = call("next", file, "--study", str(two_arms))
    assert both.code == 0, both.err
    for line in ("== autologous ==", "treat 3 at 1e8 cells", "== new_donor ==", "treat 2 at 1e7 cells"):
        assert line in both.out
    answers = call("next", file, "--study", str(two_arms), "--json").json()
    assert {arm: a["decision"]["level"] for arm, a in answers["arms"].items()} == {
        "autologous": 2,
        "new_donor": 1,
    }
    one = call("next", file, "--study", str(two_arms), "--arm", "new_donor", "--json").json()
    assert one["decision"]["level"] == 1
    design = call("design", file, "--true-dlt", ".1,.2,.3")
    assert design.code == 1
    assert "--arm" in design.err
    assert call("design", file, "--true-dlt", ".1,.2,.3", "--arm", "new_donor").code == 0


# ---------------------------------------------------------------------------------------------- stagger


def test_days_between_patients_are_printed_and_checked_against_the_dates(protocol_with, tmp_path):
    fields = {"escalation.days_after_first_of_cohort": 14, "escalation.days_between_patients": 3}
    protocol = protocol_with(FLAT, fields)
    dates = ["2026-03-01", "2026-03-11", "2026-03-20", "2026-03-21", "2026-04-30"]
    rows = flat(*({"infused_on": date} for date in dates))
    rows[3] |= {"dose_level": 1e8, "cells": 1e8}
    rows[4] |= {"dose_level": 1e8, "cells": 1e8}
    study = study_at(tmp_path, rows)
    answer = next_dose(protocol, study)
    assert [(g.subject, g.after, g.days, g.least) for g in answer.stagger.gaps] == [
        ("P4", "P3", 1, 3), ("P2", "P1", 10, 14),
    ]  # fmt: skip
    shown = call("next", str(tmp_path / "protocol.toml"), "--study", str(tmp_path / "trial"))
    assert "between patients: 14 days after the first patient of a cohort" in shown.out
    assert "too close: P2 was infused 10 days after P1; the protocol asks for 14" in shown.out


def test_a_patient_who_is_replaced_takes_no_place_in_the_cohort(protocol_with, tmp_path):
    protocol = protocol_with(FLAT, {"escalation.days_after_first_of_cohort": 14})
    rows = flat(*({"infused_on": day} for day in (0, 20, 40, 60, 70)))
    study = study_at(tmp_path, rows)
    patients = patients_of(study, protocol)
    assert [g.subject for g in stagger_of(protocol, study, patients).gaps] == ["P5"]  # P4 begins a new cohort


def test_without_dates_the_stagger_is_said_not_to_be_checked(protocol_with, tmp_path):
    protocol = protocol_with(FLAT, {"escalation.days_after_first_of_cohort": 14})
    study = study_at(tmp_path, flat({}, {}))
    assert (
        "not checked: subjects.csv has no column infused_on" in next_dose(protocol, study).stagger.unchecked
    )
    some = study_at(tmp_path, flat({"infused_on": "2026-03-01"}, {"infused_on": ""}))
    assert next_dose(protocol, some).stagger.unchecked == "not checked: P2 without infused_on"
    wrong = study_at(tmp_path, flat({"infused_on": "1 March"}, {"infused_on": "01.03.2026"}))
    with pytest.raises(StudyError) as error:
        next_dose(protocol, wrong)
    assert len(error.value.problems) == 2


# ---------------------------------------------------------------------------------- responses by criteria


def assessed(*categories: str, every: float = 30.0) -> list[Assessment]:
    return [Assessment(every * i, category) for i, category in enumerate(categories, 1)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "categories", "confirmed", "best"),
    [
        ("imwg_2016", ("PR", "VGPR", "sCR", "PD"), False, "sCR"),
        ("imwg_2016", ("PR", "VGPR", "sCR", "PD"), True, "VGPR"),
        ("imwg_2016", ("VGPR", "PR"), True, "PR"),
        ("imwg_2016", ("MR", "SD"), True, "SD"),
        ("imwg_2016", ("MR", "MR"), True, "MR"),
        ("imwg_2016", ("PD", "CR"), False, "PD"),
        ("iwcll_2018", ("PR", "PR"), True, "SD"),  # 30 days apart; two months are asked for
        ("iwcll_2018", ("PR", "CRi", "PR"), True, "PR"),
        ("rano_2.0", ("MR", "MR"), True, "MR"),
        ("rano_2010", ("PR", "NE", "PR"), True, "PR"),
        ("rano_2010", ("PR", "NE", "NE", "PR"), True, "SD"),
        ("rano_2010", ("PR", "SD", "PR"), True, "SD"),
        ("lugano_2014", ("SD", "CR"), False, "CR"),
        ("nccn_all", ("CRi", "CR", "relapse"), False, "CR"),
        ("nccn_all", ("NR", "NE"), False, "NR"),
        ("eln_2022", ("MLFS", "relapse", "CR"), False, "MLFS"),
        ("pcwg3", ("NON-CR/NON-PD", "PD"), False, "NON-CR/NON-PD"),
    ],
)
def test_the_best_category_is_the_best_before_progression_confirmed_as_the_criteria_say(
    name, categories, confirmed, best
):
    found = best_category(assessed(*categories), RESPONSE_CRITERIA[name], confirmed=confirmed)
    assert found.response == best, found.why


MYELOMA = {
    "a": [(30, "VGPR"), (60, "sCR")],
    "b": [(30, "MR")],
    "c": [(30, "PR"), (60, "PD")],
    "d": [(30, "SD")],
}
RECORDED = [(subject, *row) for subject, rows in MYELOMA.items() for row in rows]


def myeloma_study(tmp_path: Path) -> Study:
    """The same responses in tables, each patient followed to the last of them."""
    rows = [{"subject": s, "responses": found, "until": found[-1][0]} for s, found in MYELOMA.items()]
    return study_at(tmp_path, flat(*rows))


def test_rates_count_what_the_criteria_or_the_protocol_count():
    study = study_of(responses=RECORDED)
    by_all = rates_by_criteria(study, ResponseReading("imwg_2016"))
    assert by_all.set_index(["dose_level", "rate"])["events"].to_dict() == {
        (1.0, "orr"): 1, (1.0, "dcr"): 2, (2.0, "orr"): 1, (2.0, "dcr"): 2,
    }  # fmt: skip
    vgpr = rates_by_criteria(study, ResponseReading("imwg_2016", ("sCR", "CR", "VGPR")))
    assert vgpr[vgpr["rate"] == "orr"]["events"].tolist() == [1, 0]


def test_a_word_that_is_no_category_is_named_with_the_categories_and_a_synonym_is_read():
    study = study_of(responses=[("a", 30, "nCR"), ("b", 30, "very good"), ("c", 30, "pr")])
    with pytest.raises(StudyError) as error:
        best_by_criteria(study, ResponseReading("imwg_2016"))
    assert len(error.value.problems) == 2
    assert "write one of sCR, CR, VGPR, PR, MR, SD, PD, NE" in error.value.problems[0].remedy
    metabolic = study_of(responses=[("a", 30, "CMR"), ("b", 30, "NMR"), ("c", 30, "PMD")])
    best = best_by_criteria(metabolic, ResponseReading("lugano_2014"))
    assert best["response"].tolist() == ["CR", "SD", "PD", "MISSING"]


def test_recist_and_irecist_answer_as_they_do_by_themselves():
    study = study_of(responses=[("a", 60, "PR"), ("b", 60, "SD")])
    assert best_by_criteria(study, ResponseReading())["response"].tolist() == [
        "PR",
        "SD",
        "MISSING",
        "MISSING",
    ]
    with pytest.raises(InputError, match="confirmation of iCR and iPR is not judged"):
        best_by_criteria(study, ResponseReading("irecist"), True)


def by_disease(protocol_with: Callable[..., Protocol], **keys: Any) -> Protocol:
    values = {"lymphoma": "lugano_2014", "myeloma": "imwg_2016"}
    endpoint = {"definition": "ORR", "grading_by": {"column": "disease", "values": values}} | keys
    return protocol_with(FLAT, {"endpoints.response": endpoint})


def test_every_disease_may_have_its_own_criteria(protocol_with, tmp_path):
    reading = reading_of(by_disease(protocol_with))
    words = {"CMR": "lymphoma", "NMR": "lymphoma", "VGPR": "myeloma", "MR": "myeloma"}
    rows = [{"responses": [(30, word)], "disease": disease} for word, disease in words.items()]
    study = study_at(tmp_path, flat(*rows))
    best = best_by_criteria(study, reading)
    assert best["response"].tolist() == ["PR", "SD", "PR", "SD"]
    assert best["subject"].tolist() == ["P1", "P2", "P3", "P4"]
    assert best["why"][2].startswith("VGPR on day 30")
    rates = rates_by_criteria(study, reading)
    assert rates[rates["rate"] == "orr"]["events"].tolist() == [2]
    assert known_responses(study, within_days=20, reading=reading)["P1"] is False
    assert known_responses(study, within_days=60, reading=reading)["P1"] is True
    assert "Lugano 2014 for lymphoma, IMWG 2016 for myeloma" in reading.title
    assert "IMWG 2016 asks for a second assessment" in reading.note(confirmed=False)

    subjects = study.subjects
    misspelt = replace(study, subjects=subjects.assign(disease=["lymphoma"] * 2 + ["myeloma", "Myeloma"]))
    with pytest.raises(StudyError, match=r"subject P4, column disease = 'Myeloma'.*did you mean 'myeloma'"):
        best_by_criteria(misspelt, reading)
    with pytest.raises(StudyError, match="'VGPR' is no category of Lugano 2014"):
        best_by_criteria(replace(study, subjects=subjects.assign(disease="lymphoma")), reading)
    with pytest.raises(StudyError, match="no column 'disease'"):
        best_by_criteria(replace(study, subjects=subjects.drop(columns="disease")), reading)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"grading": "lugano_2014"}, "both say by which criteria"),
        ({"counted": ["CR"]}, "`counted` goes with one `grading`"),
        ({"grading_by": {"column": "disease", "values": {"x": "irecist"}}}, "name it as `grading`"),
        ({"grading_by": {"column": "disease", "values": {"x": "lugano"}}}, "lugano_2014"),
    ],
)
def test_criteria_by_disease_are_named_once(protocol_with, keys, says):
    with pytest.raises(PlanError, match=says):
        by_disease(protocol_with, **keys)


def test_a_dose_decision_reads_responses_by_the_criteria_of_its_protocol(protocol_with, tmp_path):
    graded = {"value": "imwg_2016", "because": "myeloma"}
    endpoint = {"definition": "ORR", "grading": graded, "within_days": 90}
    reading = reading_of(protocol_with(FLAT, {"endpoints.response": endpoint}))
    study = myeloma_study(tmp_path)
    known = known_responses(study, within_days=90, reading=reading)
    assert known == {"a": True, "b": None, "c": True, "d": None}
    strict = reading_of(protocol_with(FLAT, {"endpoints.response": endpoint | {"counted": ["sCR", "CR"]}}))
    assert known_responses(study, within_days=90, reading=strict)["c"] is False  # progressed
    with pytest.raises(StudyError, match="not an overall response"):
        known_responses(study, within_days=90)  # by RECIST


def test_a_response_that_deepens_after_the_days_for_it_came_within_them(tmp_path):
    rows = flat({"responses": [(60, "PR"), (200, "CR")]}, {"responses": [(60, "SD"), (200, "PR")]})
    study = study_at(tmp_path, rows)
    assert known_responses(study, within_days=120) == {"P1": True, "P2": False}
    assert known_responses(study, within_days=365) == {"P1": True, "P2": True}


def test_times_to_event_begin_and_end_by_the_criteria_of_the_protocol(protocol_with, tmp_path):
    graded = {"value": "imwg_2016", "because": "myeloma"}
    fields = {
        "endpoints.response": {"definition": "ORR", "grading": graded},
        "endpoints.progression_free_survival": {"definition": "to progression or death"},
        "censoring": {k: {"value": "ignored", "because": "tried"} for k in ("missed_scans", "new_therapy")},
    }
    protocol = protocol_with(FLAT, fields)
    study = myeloma_study(tmp_path)
    pfs = survival_times(study, protocol, "pfs")
    assert pfs["event"].tolist() == [False, False, True, False]
    dor = survival_times(study, protocol, "dor")
    assert dor["time"].tolist() == pytest.approx([30, nan, 30, nan], nan_ok=True)
    assert as_recist_scans(study, reading_of(protocol))["b"][0].response == "SD"  # an MR


def test_the_command_says_by_which_criteria_and_that_they_ask_for_confirmation(tmp_path):
    rows = flat({"responses": [(30, "VGPR"), (60, "CR")]}, {"responses": [(30, "SD")]})
    folder = str(trial_folder(tmp_path / "trial", rows, product=NK))
    shown = call("response", folder, "--criteria", "imwg_2016")
    assert shown.code == 0, shown.err
    assert "best responses (IMWG 2016)" in shown.out
    assert "unconfirmed; IMWG 2016 asks for a second assessment later (--confirmed)" in shown.out
    confirmed = call("response", folder, "--criteria", "imwg_2016", "--confirmed", "--json").json()
    assert [row["response"] for row in confirmed["best_responses"]] == ["VGPR", "SD"]
    assert call("response", folder).code == 1  # VGPR is no RECIST response
    wrong = call("response", folder, "--criteria", "imwg")
    assert wrong.code == 1
    assert "did you mean 'imwg_2016'" in wrong.err


# -------------------------------------------------------------------------------------- doses received


@pytest.mark.parametrize(
    ("amounts", "other"),
    [
        ([1e7, 5e7, 5e7], ""),
        ([1e7, 4.2e7, 5.9e7], ""),  # within 20 %
        ([1e7, 1e7, 5e7], "received 1e7 cells on day 7, assigned 5e7 (-80 %)"),
        ([5e7, 5e7, 5e7], "received 5e7 cells on day 0, assigned 1e7 (+400 %)"),
        ([1e7, 5e7, 5e7, 5e7], "one more infusion than the 3 of DR2"),
        ([1e7, 5e7], ""),  # a missing infusion is a matter of evaluability
    ],
)
def test_the_infusions_of_a_regimen_are_compared_one_by_one(tmp_path, protocol_with, amounts, other):
    row = regimen_patient("A", "DR2", amounts, events=[(1, "headache", 1, "no")])
    study = study_at(tmp_path, [row], product="b7h3_car_t", route=ICV)
    (patient,) = patients_of(study, protocol_with(REGIMENS))
    assert other in patient.other_dose
    assert bool(patient.other_dose) == bool(other)


def test_a_dose_per_square_metre_needs_a_surface_and_is_compared_with_it(tmp_path, protocol_with):
    protocol = protocol_with(FLAT, {"level_unit": "cells/m2"})
    rows = flat({"surface_m2": 1.5, "cells": 1.5e7}, {"surface_m2": 1.5, "cells": 3e7})
    patients = patients_of(study_at(tmp_path, rows), protocol)
    assert patients[0].other_dose == ""
    assert "received 2e7 cells/m2 on day 0, assigned 1e7 (+100 %)" in patients[1].other_dose
    with pytest.raises(StudyError, match="no surface_m2: the dose in cells/m2 cannot be compared"):
        patients_of(study_at(tmp_path, flat({"cells": 1.5e7})), protocol)


def test_a_stopping_clause_of_a_trial_of_regimens_is_met(tmp_path, protocol_with):
    clause = {"words": "one bleeding", "event": "bleeding", "dlt": True, "after": "b7h3_car_t"}
    any_death = {"words": "one death by the treatment", "grade": 5}
    protocol = protocol_with(REGIMENS, {"stopping": [clause, any_death]})
    row = regimen_patient("A", "DR1", [1e7, 1e7, 1e7], events=[(9, "bleeding", 3, "yes")])
    answer = next_dose(protocol, study_at(tmp_path, [row], product="b7h3_car_t", route=ICV))
    assert (answer.decision.action, answer.decision.why[:28]) == ("stop", "stopping clause met: one ble")
    fatal = regimen_patient("A", "DR1", [1e7, 1e7, 1e7], events=[(9, "sepsis", 5, "yes")])
    answer = next_dose(protocol, study_at(tmp_path, [fatal], product="b7h3_car_t", route=ICV))
    assert "one death by the treatment" in answer.decision.why


def test_recommend_answers_for_every_arm_also_for_one_without_patients(protocol_with, tmp_path):
    rows = flat({"donor": "autologous"}, {"donor": "autologous"}, {"donor": "autologous"})
    folder = str(trial_folder(tmp_path / "trial", rows, product=NK))
    protocol_with(FLAT, {"arms": ARMS})
    file = str(tmp_path / "protocol.toml")
    said = call("recommend", file, "--study", folder)
    assert said.code == 0, said.err
    for line in (
        "== autologous ==",
        "== new_donor ==",
        "The trial has not ended: 3 more patients at 1e7 cells.",
    ):
        assert line in said.out
    page = call("recommend", file, "--study", folder, "--out", tmp_path / "page.html")
    assert page.code == 1
    assert "ask for one arm: --arm autologous" in page.err
    assert not (tmp_path / "page.html").exists()


def test_recommend_takes_a_named_level_at_its_number(protocol_with, tmp_path):
    levels = [{"name": "low", "amount": 1e7}, {"name": "high", "amount": 1e8}]
    protocol_with(FLAT, {"levels": None, "level": levels})
    rows = flat({"dose_level": "low"}, {"dose_level": "low"}, {"dose_level": "high", "cells": 1e8})
    folder = str(trial_folder(tmp_path / "trial", rows, product=NK))
    said = call("recommend", tmp_path / "protocol.toml", "--study", folder)
    assert said.code == 0, said.err
    assert "high (1e8 cells)" in said.out


def test_a_trial_without_a_time_to_progression_has_overall_survival_and_says_why_no_more(
    protocol_with, tmp_path
):
    protocol_with(FLAT)
    folder = str(trial_folder(tmp_path / "trial", flat({"responses": [(30, "PR")]}), product=NK))
    said = call("response", folder, "--protocol", tmp_path / "protocol.toml")
    assert said.code == 0, said.err
    assert "duration of response and progression-free survival: not computed, as [censoring]" in said.out
