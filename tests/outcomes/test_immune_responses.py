"""A study by iRECIST: recorded or measured, iBOR and rates, and what iPFS and iDOR end with. One patient a
rule.
"""

from __future__ import annotations

from math import nan
from typing import Any

import pandas as pd
import pytest

from kinetics.errors import InputError, StudyError
from kinetics.outcomes.immune_responses import (
    as_recist,
    best_immune_responses,
    immune_assessments_of,
    immune_progression,
    immune_response_rates,
)
from kinetics.outcomes.survival import survival_times
from kinetics.protocol.protocol import read_protocol
from kinetics.protocol.tables import Protocol
from kinetics.study.study import Study, read_study
from tests.support.commands import call
from tests.support.response_studies import study_of

SYNTHETIC = "nkg2d_phase1_synthetic"


@pytest.fixture(scope="module")
def protocol() -> Protocol:
    return read_protocol(SYNTHETIC)


def study_with(rows: list[dict[str, Any]], died: float | None = None) -> Study:
    """One subject `a` with cells on day 0 and 100 mm before; `row` has time and the columns of
    responses.csv.
    """
    happened = [] if died is None else [("a", died, "death", nan, "")]
    study = study_of([], happened, {"a": 1.0})
    study.events["row"] = range(2, len(happened) + 2)
    study.subjects["baseline_sld"] = 100.0
    study.subjects["last_known_alive"] = nan if died is not None else 400.0
    table = pd.DataFrame([{"subject": "a", "new_lesions": "no"} | r for r in rows])
    vars(study)["responses"] = table.assign(row=range(2, len(rows) + 2))
    vars(study)["observations"] = pd.DataFrame({"subject": [], "time": []})
    return study


def measured(*scans: tuple[Any, ...], died: float | None = None, **columns: list[Any]) -> Study:
    """Scans as (day, mm) or (day, mm, "yes" for a new lesion); `columns` beside them."""
    rows = [{"time": s[0], "sum_mm": s[1], "new_lesions": s[2] if len(s) > 2 else "no"} for s in scans]
    return study_with([r | {k: v[i] for k, v in columns.items()} for i, r in enumerate(rows)], died)


def recorded(*scans: tuple[float, str], died: float | None = None) -> Study:
    return study_with([{"time": day, "irecist": said} for day, said in scans], died)


def ended(study: Study, protocol: Protocol, endpoint: Any = "pfs") -> tuple[float, bool]:
    row = survival_times(study, protocol, endpoint, criteria="irecist").to_dict("records")[0]
    return row["time"], row["event"]


# ----------------------------------------------------------------------------- what the scans are called

MEASURED = [
    ("growth twice: confirmed", measured((42, 130), (84, 140)), "iUPD iCPD"),
    ("pseudoprogression: reset", measured((42, 130), (84, 90), (126, 60)), "iUPD iSD iPR"),
    ("a new lesion that stays confirms nothing", measured((42, 90, "yes"), (84, 90, "yes")), "iUPD iUPD"),
    ("a second new lesion does, where they are counted",
     measured((42, 90, "yes"), (84, 90, "yes"), new_lesion_count=[1, 2]), "iUPD iCPD"),
    ("new lesions 5 mm larger do, where they are measured",
     measured((42, 90, "yes"), (84, 90, "yes"), new_lesions_mm=[10.0, 15.0]), "iUPD iCPD"),
    ("and 4 mm do not", measured((42, 90, "yes"), (84, 90, "yes"), new_lesions_mm=[10.0, 14.0]), "iUPD iUPD"),
    ("no sum: not evaluable", measured((42, nan), (84, 90)), "NE iSD"),
    ("overall CR with 15 mm left: normal nodes", measured((42, 15), overall=["CR"]), "iCR"),
    ("progression of non-target lesions, said so",
     measured((42, 90), overall=["PD"], non_target=["unequivocal_progression"]), "iUPD"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "study", "expected"), MEASURED, ids=[m[0] for m in MEASURED])
def test_each_worked_patient(name, study, expected):
    assert " ".join(a.response for a in immune_assessments_of(study)["a"]) == expected


def test_a_readers_response_is_taken_as_it_is():
    found = immune_assessments_of(recorded((42, "iUPD"), (84, ""), (126, "iCPD")))["a"]
    assert [(a.response, a.progressed_on) for a in found] == [("iUPD", 42), ("iCPD", 42)]


def test_what_cannot_be_judged_is_an_error_with_a_remedy_all_at_once():
    for study, says in (
        (measured((42, 90), overall=["PD"]), "a PD that neither the sum nor a new lesion explains"),
        (recorded((42, "iCPD")), "an iCPD without an iUPD before it"),
        (recorded((42, "PD")), "write one of iCR"),
        (recorded((42, "iSD"), (42, "iSD")), "two responses on it"),
        (study_with([{"time": 42}]), "nothing to judge by iRECIST from"),
    ):
        with pytest.raises(StudyError, match=says):
            immune_assessments_of(study)
    with pytest.raises(StudyError) as error:
        immune_assessments_of(recorded((42, "PD"), (84, "iCPD")))
    assert len(error.value.problems) == 2
    assert immune_assessments_of(
        measured((42, 130), (84, 90), overall=["PD", "PD"])
    )  # only the first PD must be


def test_the_best_and_the_rates_are_by_immune_response():
    shrunk = measured((42, 130), (84, 65))
    best = best_immune_responses(shrunk).loc[0]
    assert (best["response"], best["day"]) == ("iPR", 84)
    rates = immune_response_rates(shrunk).set_index("rate")
    assert rates["events"].to_dict() == {"orr": 1, "dcr": 1}
    confirmed = best_immune_responses(measured((42, 130), (84, 140))).loc[0]
    assert (confirmed["response"], confirmed["progressed_on"]) == ("iCPD", 42)


# ------------------------------------------------------------------------------------------ iPFS, iDOR

IPFS = [
    ("a confirmed progression is on the day of its iUPD", recorded((42, "iUPD"), (84, "iCPD")), (42, True)),
    ("one that was reset is none", recorded((42, "iUPD"), (84, "iSD"), (126, "iSD")), (126, False)),
    (
        "the later one counts then",
        recorded((42, "iUPD"), (84, "iPR"), (126, "iUPD"), (168, "iCPD")),
        (126, True),
    ),
    ("iUPD after iUPD without a reset: the first", recorded((42, "iUPD"), (84, "iUPD")), (42, True)),
    ("on the last scan, unconfirmed", recorded((42, "iSD"), (84, "iUPD")), (84, True)),
    ("and before a death", recorded((42, "iSD"), (84, "iUPD"), died=100), (84, True)),
    ("a scan not evaluable resets nothing", recorded((42, "iUPD"), (84, "NE")), (42, True)),
    (
        "after a reset a death in time is the event",
        recorded((42, "iUPD"), (84, "iSD"), died=100),
        (100, True),
    ),
    ("no progression: the last evaluable scan", recorded((42, "iSD"), (84, "NE")), (42, False)),
    ("two scans missed before it censor", recorded((42, "iSD"), (300, "iUPD")), (42, False)),
]


@pytest.mark.parametrize(("name", "study", "expected"), IPFS, ids=[c[0] for c in IPFS])
def test_each_rule_of_immune_progression_free_survival(protocol, name, study, expected):
    assert ended(study, protocol) == expected


def test_recist_ends_at_the_first_progression_where_irecist_goes_on(protocol):
    study = measured((42, 130), (84, 65), (126, 60), overall=["PD", "PR", "PR"])
    assert survival_times(study, protocol, "pfs").loc[0, "time"] == 42
    assert ended(study, protocol) == (126, False)
    assert ended(study, protocol, "dor") == (126 - 84, False)  # from the iPR
    assert ended(study, protocol, "os") == (400, False)


def test_the_sentence_says_what_the_progression_is(protocol):
    why = survival_times(recorded((42, "iUPD"), (84, "iCPD")), protocol, "pfs", criteria="irecist").loc[
        0, "why"
    ]
    assert why == "progression on day 42 (iUPD, confirmed by the iCPD of day 84)"
    assert "unconfirmed on the last scan" in str(
        survival_times(recorded((42, "iUPD")), protocol, "pfs", criteria="irecist").loc[0, "why"]
    )
    with pytest.raises(InputError, match="did you mean 'irecist'"):
        survival_times(recorded((42, "iUPD")), protocol, "pfs", criteria="irecis")  # type: ignore[arg-type]


def test_as_recist_keeps_one_progression_and_no_scan_after_it():
    scans = immune_assessments_of(recorded((42, "iUPD"), (84, "iPR"), (126, "iUPD"), (168, "iCPD")))["a"]
    assert [(a.day, a.response) for a in as_recist(scans)] == [(42, "SD"), (84, "PR"), (126, "PD")]
    assert immune_progression(scans[:2]) is None


def test_until_the_first_progression_the_synthetic_trial_is_read_as_recorded():
    study, seen = read_study(SYNTHETIC), immune_assessments_of(read_study(SYNTHETIC))
    met = 0
    for subject, own in seen.items():
        rows = study.responses[study.responses["subject"] == subject].sort_values("time")
        for a, overall in zip(own, rows["overall"], strict=True):
            assert a.response == ("iUPD" if overall == "PD" else f"i{overall}")
            met += 1
    assert met == len(study.responses)


def test_the_command_reports_by_irecist():
    said = call("response", SYNTHETIC, "--irecist")
    assert said.code == 0
    assert "best responses (iRECIST)" in said.out
    assert "response rates (iRECIST)" in said.out
    answer = call("response", SYNTHETIC, "--protocol", SYNTHETIC, "--irecist", "--json").json()
    assert (answer["criteria"], answer["best_responses"][2]["response"]) == ("irecist", "iUPD")
    assert "unconfirmed on the last scan" in answer["time_to_event"]["pfs"]["subjects"][2]["why"]
    wrong = call("response", SYNTHETIC, "--irecist", "--confirmed")
    assert (wrong.code, "leave one of them out" in wrong.err) == (1, True)
