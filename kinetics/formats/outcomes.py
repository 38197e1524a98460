"""ADTTE- and ADRS-shaped datasets of a study: time to event and response.

ADTTE is the BDS for time-to-event of ADaMIG v1.3: CNSR 0 is an event, 1 a censored time. Parameters OS, PFS
and DOR (admiralonco's template names the last RSD). AVAL is in days, without the one that admiral's
derive_vars_duration adds. The study has days and no dates for STARTDT and ADT: STARTREL and ENDREL stand for
them. ADRS: PARAMCD OVRLRESP is CDISC's code of an overall response (RSTESTCD; admiralonco's templates write
OVR), BOR and CBOR are admiralonco's best responses, AVAL its numbers (aval_resp: CR 1, PR 2, SD 3, PD 5, NE
6, MISSING 7).
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
from pandas import DataFrame, concat

from kinetics.formats.dataset import Dataset, dataset_of
from kinetics.formats.subjects import subject_keys, subject_variables
from kinetics.outcomes import ENDPOINTS, assessments_of, best_responses, survival_times
from kinetics.protocol import Protocol
from kinetics.study import Study

__all__ = ["RESPONSE_NUMBERS", "adrs", "adtte"]

RESPONSE_NUMBERS = {"CR": 1, "PR": 2, "SD": 3, "NON-CR/NON-PD": 4, "PD": 5, "NE": 6, "MISSING": 7}
_ONE = "everyone"  # a group of all subjects: these datasets are by subject, and need no column to group by
_BEST = {
    "BOR": ("Best Overall Response (confirmation not required)", False),
    "CBOR": ("Best Confirmed Overall Response", True),
}


def adtte(study: Study, protocol: Protocol, *, assessed_every_days: float | None = None) -> Dataset:
    """One row a subject and endpoint, by the protocol's censoring; none where the subject is not counted."""
    parts = []
    for endpoint, name in ENDPOINTS.items():
        every = None if endpoint == "os" else assessed_every_days
        times = survival_times(_as_one(study), protocol, endpoint, by=_ONE, assessed_every_days=every)
        parts.append(times[times["time"].notna()].assign(code=endpoint.upper(), name=name.capitalize()))
    rows = concat(parts, ignore_index=True)
    order = {"OS": 1, "PFS": 2, "DOR": 3}
    place = rows["subject"].map({s: i for i, s in enumerate(study.subject_ids)})
    rows = rows.assign(place=place, number=rows["code"].map(order))
    rows = rows.sort_values(["place", "number"], kind="stable", ignore_index=True)
    own = subject_variables(study)
    censored = ~rows["event"].astype(bool)
    said = [
        re.split("; |, by ", why, maxsplit=1) for why in rows["why"]
    ]  # what happened; at what it is censored
    where = [parts[-1] for parts in said]
    columns = subject_keys(study, rows["subject"]) | {
        "PARAMCD": (rows["code"], "Assigned"),
        "PARAM": (rows["name"], "Assigned"),
        "PARAMN": (rows["number"], "Assigned"),
        "AVAL": (rows["time"], "Derived: ENDREL less STARTREL"),
        "AVALU": ("DAYS", "Assigned"),
        "STARTREL": (rows["start"], "Derived: first cells; of DOR the first CR or PR"),
        "ENDREL": (rows["start"] + rows["time"], "Derived: event or censoring"),
        "CNSR": (censored.astype(int), "Derived: 0 event, 1 censored"),
        "EVNTDESC": ([parts[0] for parts in said], "Derived: events.csv, responses.csv"),
        "CNSDTDSC": (np.where(censored, where, ""), "Derived: the protocol's censoring"),
        "ASEQ": (rows.groupby("subject").cumcount() + 1, "Derived: order within the subject"),
        **own.columns(rows["subject"]),
    }
    codelists = {
        "CNSR": {"0": "event", "1": "censored"},
        "PARAMCD": {k.upper(): v for k, v in ENDPOINTS.items()},
    }
    return dataset_of(
        "ADTTE",
        "Time to Event Analysis Data",
        "One record per subject per parameter",
        study,
        columns,
        own.variables,
        codelists=codelists | dict(own.codelists),
    )


def adrs(study: Study) -> Dataset:
    """One row a subject and assessment (OVRLRESP), and one for each best response (BOR, CBOR; RECIST 1.1)."""
    rows = []
    best = {
        code: best_responses(_as_one(study), confirmed, by=_ONE).set_index("subject")
        for code, (_, confirmed) in _BEST.items()
    }
    for subject, assessments in assessments_of(study).items():
        progressed = False
        for a in assessments:
            rows.append(
                (subject, "OVRLRESP", "Overall Response", a.response, a.day, "" if progressed else "Y")
            )
            progressed = progressed or a.response == "PD"
        for code, (name, _) in _BEST.items():
            found = best[code].loc[subject]
            rows.append((subject, code, name, found["response"], found["day"], "Y"))
    table = DataFrame(rows, columns=["subject", "code", "name", "response", "day", "flag"])
    own = subject_variables(study)
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
        **own.columns(table["subject"]),
    }
    codelists = {
        "AVAL": {str(number): word for word, number in RESPONSE_NUMBERS.items()},
        "PARAMCD": {"OVRLRESP": "Overall Response"} | {code: name for code, (name, _) in _BEST.items()},
    }
    return dataset_of(
        "ADRS",
        "Response Analysis Data",
        "One record per subject per parameter per assessment",
        study,
        columns,
        own.variables,
        codelists=codelists | dict(own.codelists),
    )


def _as_one(study: Study) -> Study:
    """The study with all its subjects in one group."""
    return replace(study, subjects=study.subjects.assign(**{_ONE: "all"}))
