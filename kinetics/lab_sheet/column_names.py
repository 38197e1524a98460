"""What the name of a column says: which of the words for patients, times, doses and assays it holds."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Measure", "analyte_name", "measure_named", "rank_of_patient", "role_named"]

# role -> names, in lower case, with single spaces for every other mark; the first that fits counts
_ROLES = {
    "patient": r"(patient|pat|pt|subject|subj|participant|proband|pseudonym)( ?(id|ids|no|nr|number|nummer|code|name|identifier))?"
    r"|usubjid|subjid|ptid|patid|upn|study id|id|mrn|(sample|case|study|trial) (id|no|number)|sample",
    "infusion date": r"((car ?(t|nk)? ?)?(infusion|cart|car t|car nk|treatment|dosing|transfusion|reinfusion)( \w+)? (date|datum|day 0 date))"
    r"|(date|datum) (of )?(the )?((car ?(t|nk)? ?)?(infusion|cart|car t|car nk|treatment|dosing)|(d|day) ?0)"
    r"|(d|day) ?0 (date|datum)|infusionsdatum|infused on|date infused",
    "sample date": r"date|datum|(sample|sampling|collection|visit|draw|blood draw|specimen|test|lab|assessment)( collection)? (date|datum)"
    r"|(date|datum) (of )?(the )?(sample|sampling|collection|visit|draw|blood draw|test)|abnahmedatum|sampled on",
    "actual time": r"(cum|actual|elapsed|real|exact|cumulative)( \w+)?( (days?|time|hours?|tage?))|(days?|time|hours?|tage?) (actual|elapsed|since|from|post|after)( \w+)*"
    r"|(days?|hours?|weeks?) p ?i",
    "time": r"(study |visit |sample |sampling |nominal |planned |scheduled |protocol )?(days?|time|time ?points?|weeks?|months?|hours?|tage?|visite?|zeitpunkt|tag)( \(?nominal\)?| \(?planned\)?| point| name| label)?",
    "weight": r"(body ?|bl |baseline )?(weight|wt|bw)( bl| baseline)?( kg)?|gewicht|körpergewicht",
    "dose": r"(car ?(t|nk)? ?|cell ?|infused ?|total ?|actual ?)*(dose|cells infused|infused cells|cells given|number of cells)( infused| given| administered)?( cells)?|dosis",
    "product": r"(car ?(t|nk)? )?(product|construct|cell product)",
    "route": r"route( of (administration|infusion))?",
    "analyte": r"analyte|parameter|param|paramcd|test|test name|assay|marker|measurement|variable|readout|quantity",
    "value": r"value|result|results|aval|dv|wert|ergebnis|concentration|reading|measured value",
    "unit": r"units?|avalu|dvu|einheit",
}  # fmt: skip
# pattern of a name -> assay, the unit that is proposed (to be confirmed), and the label
_MEASURES = (
    (r"\bcopies\b|copy number|\bq?d?d?pcr\b|transgene|\bvcn\b|\bpcr\b", "qpcr", "copies/ug DNA"),
    (r"%|percent|\bpct of\b|frequency", "flow", "%"),
    (r"\babs\b|absolute|\bcar\b|\bcart\b|cd\d+|\bnk\b|b ?cells?|t ?cells?|mono|flow|facs|lympho|cells?\b", "flow", "cells/uL"),
    (r"\bcrp\b|c reactive", "clinical_chemistry", "mg/L"),
    (r"ferritin", "clinical_chemistry", "ug/L"),
    (r"\bpct\b|procalcitonin", "clinical_chemistry", "ng/mL"),
    (r"\bldh\b|\balt\b|\bast\b", "clinical_chemistry", "U/L"),
    (r"\bil ?\d+|\bifn|\btnf|gm ?csf|interleukin|interferon|cytokine|mcp|il2r", "cytokine_panel", "pg/mL"),
    (r"bcma|soluble", "immunoassay", "ng/mL"),
    (r"wbc|leu[ck]ocyt|\banc\b|\balc\b|neutroph|platelet|thromboc", "haematology", "1e9 cells/L"),
)  # fmt: skip


@dataclass(frozen=True)
class Measure:
    """What a name is taken to measure: its assay, and the unit to propose where the sheet has none."""

    assay: str
    unit: str | None


def role_named(header: str) -> str | None:
    """The role of a column by its name alone: patient, time, dose ...; None where the name has no role."""
    name = _plain(header)
    for role, pattern in _ROLES.items():
        if re.fullmatch(pattern, name):
            return role
    return None


def rank_of_patient(header: str) -> int:
    """How well a name says that its column is the patient's: 0 best."""
    name = _plain(header)
    starts = ("patient", "pat", "pt", "subj", "usubj", "participant", "proband", "upn", "study id", "id")
    return next((rank for rank, start in enumerate(starts) if name.startswith(start)), len(starts))


def measure_named(name: str) -> Measure:
    """What a measurement's name says of its assay and its unit; `not_declared` and None where nothing."""
    text = _plain(name)
    for pattern, assay, unit in _MEASURES:
        if re.search(pattern, text):
            return Measure(assay, unit)
    return Measure("not_declared", None)


def analyte_name(label: str) -> str:
    """The snake_case name of an analyte: `IL-6` is il_6, `CD3_CAR_%` is cd3_car_percent."""
    text = re.sub(r"[µμ]", "u", label.replace("%", " percent ").replace("+", " ").lower())
    text = re.sub(r"(?<=\w)[-−](?=[\s,;)]|$)", " neg ", text)
    name = re.sub(r"[^a-z0-9]+", "_", text).strip("_")
    return f"x_{name}" if name[:1].isdigit() else name


def _plain(header: str) -> str:
    """A header in lower case, with single spaces for every mark but `%`."""
    return re.sub(r"[^\w%äöüß]+|_+", " ", header.lower()).strip()
