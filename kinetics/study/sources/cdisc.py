"""The variables and codes of ADaM-shaped tables that this package reads and writes, with their sources.

ADaM: CDISC ADaMIG v1.3 (BDS, time-to-event). NCA: CDISC ADaMIG for Non-compartmental Analysis Input Data v1.0
(2021), whose dataset is ADNCA, by custom ADPC. PPK: CDISC Basic Data Structure for ADaM popPK v1.0. PP:
SDTMIG v3.3, domain PP. Names and labels were read off the public templates and data of admiral, admiralonco
(`inst/templates/ad_*.R`) and pharmaverseadam (`adppk`), and off CDISC's own example pages. The guides
themselves were not at hand: the labels of ACYCLE, ADOSEDUR and DOSEU and the LOC terms in CDISC_ROUTES are
FROM MEMORY. `own` marks a variable that no guide has. That a table has this shape does not mean that it
conforms to a guide.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

__all__ = [
    "CDISC_ROUTES",
    "PUBLISHED",
    "SEX",
    "TIME_UNITS",
    "Variable",
    "adam_name",
    "route_of",
    "snake",
]


class Variable(NamedTuple):
    """A variable: its label (at most 40 characters), its type (text, float, integer) and its source."""

    label: str
    kind: str
    where: str


# variable -> its label, type and source; below, a line per variable: name, type (C text, N float, I integer),
# source, label
PUBLISHED: dict[str, Variable] = {
    name: Variable(label, {"C": "text", "N": "float", "I": "integer"}[kind], where)
    for name, kind, where, label in (
        line.split(maxsplit=3)
        for line in """
STUDYID C ADaM Study Identifier
USUBJID C ADaM Unique Subject Identifier
SUBJID C ADaM Subject Identifier for the Study
STUDYIDN I PPK Study Identifier (N)
USUBJIDN I PPK Unique Subject Identifier (N)
TRTA C ADaM Actual Treatment
PARAM C ADaM Parameter
PARAMCD C ADaM Parameter Code
PARAMN I ADaM Parameter (N)
PARCAT1 C ADaM Parameter Category 1
PARCAT2 C ADaM Parameter Category 2
PARCAT3 C ADaM Parameter Category 3
PARQUAL C ADaM Parameter Qualifier
AVAL N ADaM Analysis Value
AVALC C ADaM Analysis Value (C)
AVALU C ADaM Analysis Value Unit
AVALCAT1 C ADaM Analysis Value Category 1
ALLOQ N NCA Analysis Lower Limit of Quantitation
AVISIT C ADaM Analysis Visit
AVISITN I ADaM Analysis Visit (N)
ACYCLE I NCA Analysis Cycle
ATPT C ADaM Analysis Timepoint
ATPTN N ADaM Analysis Timepoint (N)
ATPTREF C ADaM Analysis Timepoint Reference
NFRLT N NCA Nom. Rel. Time from Analyte First Dose
AFRLT N NCA Act. Rel. Time from Analyte First Dose
NRRLT N NCA Nominal Rel. Time from Ref. Dose
ARRLT N NCA Actual Rel. Time from Ref. Dose
APRLT N PPK Actual Rel Time from Previous Dose
NPRLT N PPK Nominal Rel Time from Previous Dose
FRLTU C NCA Rel. Time from First Dose Unit
RRLTU C NCA Rel. Time from Ref. Dose Unit
DOSEA N NCA Actual Treatment Dose
DOSEU C NCA Treatment Dose Units
ADOSEDUR N NCA Actual Dose Duration
ROUTE C NCA Route of Administration
ROUTEN I PPK Route of Administration (N)
EXLOC C SDTM Location of Dose Administration
EVID I PPK Event ID
MDV I PPK Missing Dependent Variable Result
CMT I PPK Compartment
AMT N PPK Actual Amount of Dose Received (unit)
DV N PPK Dependent Variable Result
DVL N PPK Log DV
BLQFL C PPK Below Lower Limit of Quant Flag
BLQFN I PPK Below Lower Limit of Quant Flag (N)
PROJID C PPK Project Identifier
ASEQ I ADaM Analysis Sequence Number
RECSEQ I PPK Record Sequence
SRCDOM C ADaM Source Data
SRCVAR C ADaM Source Variable
SRCSEQ I ADaM Source Sequence Number
ANL01FL C ADaM Analysis Flag 01
AGE N ADaM Age
AGEU C ADaM Age Units
SEX C ADaM Sex
SEXN I ADaM Sex (N)
WTBL N PPK Weight at Baseline
WTBLU C PPK Weight at Baseline Unit
CNSR I ADaM Censor
EVNTDESC C ADaM Event or Censoring Description
CNSDTDSC C ADaM Censor Date Description
AESEQ I SDTM Sequence Number
AETERM C SDTM Reported Term for the Adverse Event
AEDECOD C SDTM Dictionary-Derived Term
AETOXGR C SDTM Standard Toxicity Grade
ATOXGRN I ADaM Analysis Toxicity Grade (N)
ASTDY I ADaM Analysis Start Relative Day
TRTEMFL C ADaM Treatment Emergent Analysis Flag
CQ01NAM C ADaM Customized Query 01 Name
CQ02NAM C ADaM Customized Query 02 Name
PPTESTCD C PP Parameter Short Name
PPGRPID C PP Group Identifier
PPSTINT C PP Planned Start of Assessment Interval
PPENINT C PP Planned End of Assessment Interval
PPANMETH C PP Analysis Method
PPREASND C PP Reason Parameter Not Calculated
STUDYTM N own Study day of the record, from day 0
DOSELVL C own Dose level as the study names it
CENSOR C own Censoring: LEFT, RIGHT or INTERVAL
AULOQ N own Analysis Upper Limit of Quantitation
ALIMIT N own Other bound of a censored value
AVALLO N own Lower end of the 90 % credible interval
AVALHI N own Upper end of the 90 % credible interval
COMMENT C own What the number rests on
STARTREL N own Study day on which the time begins
ENDREL N own Study day on which the time ends
ASSESREL N own Study day of the assessment
ASTREL N own Study day of the start of the event
AEGRSYS C own Grading system of the toxicity grade
SYNTHFL C own Synthetic data flag
""".strip().splitlines()
    )
}

# our route -> CDISC ROUTE (C66729) and LOC (C74456). The terms INTRAVENOUS, INTRA-ARTERIAL and ORAL are the
# FDA's and CDISC's. Writing the portal vein as INTRAVENOUS with a location is a choice of this package.
CDISC_ROUTES = {
    "iv": ("INTRAVENOUS", ""),
    "hepatic_artery": ("INTRA-ARTERIAL", "HEPATIC ARTERY"),
    "portal_vein": ("INTRAVENOUS", "PORTAL VEIN"),
    "oral": ("ORAL", ""),
    "intrathecal": ("INTRATHECAL", ""),
    "intraventricular": ("INTRAVENTRICULAR", ""),
    "intraperitoneal": ("INTRAPERITONEAL", ""),
    "intrapleural": ("INTRAPLEURAL", ""),
    "intratumoural": ("INTRATUMOR", ""),
    "intracavitary": ("INTRACAVITARY", ""),
    "subcutaneous": ("SUBCUTANEOUS", ""),
}
# other terms of ROUTE (C66729) and common words -> our route
_ROUTE_WORDS = {
    "INTRAVENOUS DRIP": "iv",
    "INTRAVENOUS BOLUS": "iv",
    "INTRAVENOUS INFUSION": "iv",
    "INTRAVENOUS PUSH": "iv",
    "IV": "iv",
    "IV INFUSION": "iv",
    "IV BOLUS": "iv",
    "IV DRIP": "iv",
    "IV PUSH": "iv",
    "I.V.": "iv",
    "PO": "oral",
    "BY MOUTH": "oral",
    "INTRACEREBROVENTRICULAR": "intraventricular",
    "ICV": "intraventricular",
    "INTRATUMORAL": "intratumoural",
    "INTRATUMOURAL": "intratumoural",
    "SC": "subcutaneous",
    "IP": "intraperitoneal",
}
SEX = {"F": "female", "M": "male", "U": "unknown"}  # CDISC SEX (C66731)
TIME_UNITS = {  # FRLTU as other people's tables have it -> our unit
    "H": "h", "HR": "h", "HRS": "h", "HOUR": "h", "HOURS": "h",
    "D": "day", "DAY": "day", "DAYS": "day",
    "MIN": "min", "MINUTE": "min", "MINUTES": "min",
    "WEEK": "week", "WEEKS": "week",
}  # fmt: skip


def route_of(route: str, location: str) -> str:
    """Our name of a CDISC route at a location: (INTRA-ARTERIAL, HEPATIC ARTERY) -> hepatic_artery.

    A route that is not in CDISC_ROUTES keeps its name, in snake case.
    """
    pair = route.strip().upper(), location.strip().upper()
    ours = {theirs: name for name, theirs in CDISC_ROUTES.items()}
    ours |= {(word, ""): name for word, name in _ROUTE_WORDS.items()}
    return ours.get(pair, snake(" ".join(pair)))


def snake(words: str) -> str:
    """A name in snake case, with `x_` before a first digit: `IL-6 (serum)` -> `il_6_serum`."""
    name = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")
    return f"x_{name}" if name[:1].isdigit() else name


def adam_name(name: str, taken: Iterable[str]) -> str:
    """The name of an ADaM variable: `dose_level` -> `DOSELEVE`.

    It has at most 8 capitals and digits, begins with a letter, and is none of `taken`.
    """
    taken = set(taken)
    plain = re.sub(r"[^A-Z0-9]", "", name.upper()) or "X"
    if plain[0].isdigit():
        plain = f"X{plain}"
    candidate = plain[:8]
    count = 1
    while candidate in taken:
        count += 1
        candidate = f"{plain[: 8 - len(str(count))]}{count}"
    return candidate
