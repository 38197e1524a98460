"""ADTTE- and ADRS-shaped datasets of a study: time to event and response.

ADTTE is the BDS for time-to-event of ADaMIG v1.3: CNSR is 0 for an event and 1 for a censored time. The
parameters are OS, PFS and DOR (admiralonco's template names the last RSD). AVAL is in days, without the one
day that admiral's derive_vars_duration adds. A study has days but no dates, so STARTREL and ENDREL stand for
STARTDT and ADT.

ADRS: PARAMCD OVRLRESP is CDISC's code of an overall response (RSTESTCD; admiralonco's templates write OVR).
BOR and CBOR are admiralonco's best responses, and AVAL has its numbers (aval_resp: CR 1, PR 2, SD 3, PD 5, NE
6, MISSING 7).
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
from pandas import DataFrame, concat

from kinetics.errors import Problem, StudyError
from kinetics.formats.dataset import Dataset, dataset_of
from kinetics.formats.subjects import subject_keys, subject_variables
from kinetics.outcomes import ENDPOINTS, assessments_of, best_responses, survival_times
from kinetics.protocol import Protocol
from kinetics.study import Study

__all__ = ["RESPONSE_NUMBERS", "adrs", "adtte"]

RESPONSE_NUMBERS = {"CR": 1, "PR": 2, "SD": 3, "NON-CR/NON-PD": 4, "PD": 5, "NE": 6, "MISSING": 7}
_ONE = "everyone"  # a group of all subjects: these datasets are by subject and need no other grouping
# PARAMCD of a best response -> (PARAM, whether it must be confirmed)
_BEST = {
    "BOR": ("Best Overall Response (confirmation not required)", False),
    "CBOR": ("Best Confirmed Overall Response", True),
}


def adtte(study: Study, protocol: Protocol, *, assessed_every_days: float | None = None) -> Dataset:
    """The ADTTE-shaped dataset: one row per subject and endpoint, by the protocol's censoring.

    A subject that does not count for an endpoint has no row for it.
    """
    # the times to every endpoint, in order of subjects
    tables = []
    for endpoint, name in ENDPOINTS.items():
        every = None if endpoint == "os" else assessed_every_days
        times = survival_times(_in_one_group(study), protocol, endpoint, by=_ONE, assessed_every_days=every)
        tables.append(times[times["time"].notna()].assign(code=endpoint.upper(), name=name.capitalize()))
    rows = concat(tables, ignore_index=True)
    rank = rows["subject"].map({subject: rank for rank, subject in enumerate(study.subject_ids)})
    rows = rows.assign(rank=rank, number=rows["code"].map({"OS": 1, "PFS": 2, "DOR": 3}))
    rows = rows.sort_values(["rank", "number"], kind="stable", ignore_index=True)

    # a reason says what happened and, after "; " or ", by ", at what the time is censored
    censored = ~rows["event"].astype(bool)
    reasons = [re.split("; |, by ", why, maxsplit=1) for why in rows["why"]]
    descriptions = [parts[0] for parts in reasons]
    censored_at = [parts[-1] for parts in reasons]

    subjects = subject_variables(study)
    columns = subject_keys(study, rows["subject"]) | {
        "PARAMCD": (rows["code"], "Assigned"),
        "PARAM": (rows["name"], "Assigned"),
        "PARAMN": (rows["number"], "Assigned"),
        "AVAL": (rows["time"], "Derived: ENDREL less STARTREL"),
        "AVALU": ("DAYS", "Assigned"),
        "STARTREL": (rows["start"], "Derived: first cells; of DOR the first CR or PR"),
        "ENDREL": (rows["start"] + rows["time"], "Derived: event or censoring"),
        "CNSR": (censored.astype(int), "Derived: 0 event, 1 censored"),
        "EVNTDESC": (descriptions, "Derived: events.csv, responses.csv"),
        "CNSDTDSC": (np.where(censored, censored_at, ""), "Derived: the protocol's censoring"),
        "ASEQ": (rows.groupby("subject").cumcount() + 1, "Derived: order within the subject"),
        **subjects.columns(rows["subject"]),
    }
    codelists = {
        "CNSR": {"0": "event", "1": "censored"},
        "PARAMCD": {endpoint.upper(): name for endpoint, name in ENDPOINTS.items()},
    }
    return dataset_of(
        name="ADTTE",
        label="Time to Event Analysis Data",
        structure="One record per subject per parameter",
        study=study,
        columns=columns,
        study_variables=subjects.variables,
        codelists=codelists | dict(subjects.codelists),
    )


def adrs(study: Study) -> Dataset:
    """The ADRS-shaped dataset: one row per subject and assessment, and one for each best response.

    Responses are those of RECIST 1.1. PARAMCD is OVRLRESP for an assessment, BOR or CBOR for a best response.
    StudyError without a response.
    """
    if study.responses.empty:
        remedy = "leave adrs out until there is one"
        raise StudyError(Problem("no response is recorded", remedy, file="responses.csv"))
    best = {
        code: best_responses(_in_one_group(study), confirmed, by=_ONE).set_index("subject")
        for code, (_, confirmed) in _BEST.items()
    }
    rows = []
    for subject, assessments in assessments_of(study).items():
        flag = "Y"  # up to and with the first PD
        for assessment in assessments:
            rows.append((subject, "OVRLRESP", "Overall Response", assessment.response, assessment.day, flag))
            if assessment.response == "PD":
                flag = ""
        for code, (name, _) in _BEST.items():
            response = best[code].loc[subject]
            rows.append((subject, code, name, response["response"], response["day"], "Y"))
    table = DataFrame(rows, columns=["subject", "code", "name", "response", "day", "flag"])
    subjects = subject_variables(study)
    columns = subject_keys(study, table["subject"]) | {
        "PARAMCD": (table["code"], "Assigned"),
        "PARAM": (table["name"], "Assigned"),
        "PARCAT1": ("Tumor Response", "Assigned"),
        "PARCAT3": ("RECIST 1.1", "Assigned"),
        "AVALC": (table["response"], "Predecessor: responses.csv overall; derived of BOR and CBOR"),
        "AVAL": (table["response"].map(RESPONSE_NUMBERS), "Assigned: number of AVALC"),
        "ASSESREL": (table["day"].astype(float), "Predecessor: responses.csv time"),
        "ANL01FL": (table["flag"], "Derived: up to the first PD"),
        "ASEQ": (table.groupby("subject").cumcount() + 1, "Derived: order within the subject"),
        **subjects.columns(table["subject"]),
    }
    codelists = {
        "AVAL": {str(number): word for word, number in RESPONSE_NUMBERS.items()},
        "PARAMCD": {"OVRLRESP": "Overall Response"} | {code: name for code, (name, _) in _BEST.items()},
    }
    return dataset_of(
        name="ADRS",
        label="Response Analysis Data",
        structure="One record per subject per parameter per assessment",
        study=study,
        columns=columns,
        study_variables=subjects.variables,
        codelists=codelists | dict(subjects.codelists),
    )


def _in_one_group(study: Study) -> Study:
    """The study with all its subjects in one group."""
    return replace(study, subjects=study.subjects.assign(**{_ONE: "all"}))
