"""What the name of a column says: which of the words for patients, times, doses and assays it holds."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Measure", "analyte_name", "measure_named", "rank_of_patient", "role_named"]

_DATE = r"(date|datum)"
_CELLS = r"(car ?(t|nk)? ?)?"
_INFUSION = r"(infusion|cart|car t|car nk|treatment|dosing|transfusion|reinfusion)"
_SAMPLE = r"(sample|sampling|collection|visit|blood draw|draw|specimen|test|lab|assessment)"
_DAYS = r"(days?|time|hours?|tage?)"
_ID = r"( ?(id|ids|no|nr|number|nummer|code|name|identifier))?"

# role -> names, in lower case, with single spaces for every other mark; the first that fits counts
_ROLES = {
    "patient": rf"(patient|pat|pt|subject|subj|participant|proband|pseudonym){_ID}"
    r"|usubjid|subjid|ptid|patid|upn|study id|id|mrn|(sample|case|study|trial) (id|no|number)|sample",
    "infusion date": rf"{_CELLS}{_INFUSION}( \w+)? {_DATE}|{_DATE} (of )?(the )?{_CELLS}{_INFUSION}"
    rf"|{_DATE} (of )?(d|day) ?0|(d|day) ?0 {_DATE}|infusionsdatum|infused on|date infused",
    "sample date": rf"{_DATE}|{_SAMPLE}( collection)? {_DATE}|{_DATE} (of )?(the )?{_SAMPLE}"
    r"|abnahmedatum|sampled on",
    "actual time": rf"(cum|actual|elapsed|real|exact|cumulative)( \w+)? {_DAYS}"
    rf"|{_DAYS} (actual|elapsed|since|from|post|after)( \w+)*|(days?|hours?|weeks?) p ?i",
    "time": r"((study|visit|sample|sampling|nominal|planned|scheduled|protocol) )?"
    r"(days?|time|time ?points?|weeks?|months?|hours?|tage?|visite?|zeitpunkt|tag)"
    r"( (nominal|planned|point|name|label))?",
    "weight": r"(body ?|bl |baseline )?(weight|wt|bw)( bl| baseline)?( kg)?|gewicht|körpergewicht",
    "dose": r"(car ?(t|nk)? ?|cell ?|infused ?|total ?|actual ?)*"
    r"(dose|cells infused|infused cells|cells given|number of cells)( infused| given| administered)?( cells)?"
    r"( ?\d)?"
    r"|dosis",
    "product": rf"{_CELLS}(product|construct|cell product)",
    "route": r"route( of (administration|infusion))?",
    "response": r"(best )?(overall |objective |tumou?r |clinical )*response( recist)?( 1 1)?|bor"
    r"|recist( 1 1)?( response)?|ansprechen",
    "analyte": r"analyte|parameter|param|paramcd|test|test name|assay|marker|measurement|variable|readout"
    r"|quantity",
    "value": r"value|result|results|aval|dv|wert|ergebnis|concentration|reading|measured value",
    "unit": r"units?|avalu|dvu|einheit",
}
# pattern of a name -> assay, the unit that is proposed (to be confirmed), and the label
_MEASURES = (
    (r"\bcopies\b|copy number|\bq?d?d?pcr\b|transgene|\bvcn\b|\bpcr\b", "qpcr", "copies/ug DNA"),
    (r"%|percent|\bpct of\b|frequency", "flow", "%"),
    (r"\babs\b|absolute|\bcar\b|\bcart\b|cd\d+|\bnk\b|mono|flow|facs|lympho|cells?\b", "flow", "cells/uL"),
    (r"\bcrp\b|c reactive", "clinical_chemistry", "mg/L"),
    (r"ferritin", "clinical_chemistry", "ug/L"),
    (r"\bpct\b|procalcitonin", "clinical_chemistry", "ng/mL"),
    (r"\bldh\b|\balt\b|\bast\b", "clinical_chemistry", "U/L"),
    (r"\bil ?\d+|\bifn|\btnf|gm ?csf|interleukin|interferon|cytokine|mcp|il2r", "cytokine_panel", "pg/mL"),
    (r"bcma|soluble", "immunoassay", "ng/mL"),
    (r"wbc|leu[ck]ocyt|\banc\b|\balc\b|neutroph|platelet|thromboc", "haematology", "1e9 cells/L"),
)


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
