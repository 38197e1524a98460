"""Our ADaM-shaped tables beside those of pharmaverseadam, variable by variable: names, labels and gaps.

The variables are those of its manual pages (man/adppk.Rd, adpc.Rd, adpp.Rd, adtte_onco.Rd, adrs_onco.Rd, read
in a public copy of the repository), which admiral's and admiralonco's templates generate. They state names
and labels, not types. The variables that a data set takes over from ADSL are left out here of ADPC, ADPP and
ADRS; docs/how_to/submission.md says so.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kinetics.formats.adverse_events import adae
from kinetics.formats.concentrations import adpc, adppk
from kinetics.formats.dataset import Dataset
from kinetics.formats.outcomes import adrs, adtte
from kinetics.formats.parameters import adpp
from kinetics.protocol.protocol import read_protocol, settled
from kinetics.study.study import read_study

PAGE = Path(__file__).parents[2] / "docs" / "how_to" / "submission.md"

TEMPLATES = {
    "ADPPK": """STUDYID USUBJID EVID NFRLT AFRLT APRLT NPRLT DOSEA DOSEP PARAMCD ALLOQ CMT BLQFL BLQFN AMT DV
        AVAL DVL MDV AVALU UDTC II SS ASEQ PARAM PARAMN PROJID PROJIDN STUDYIDN SITEID SITEIDN
        USUBJIDN SUBJID SUBJIDN AGE SEX SEXN COHORT COHORTC ROUTE ROUTEN RACE RACEN ETHNIC
        ETHNICN FORM FORMN COUNTRY COUNTRYN REGION1 REGION1N HTBL WTBL ALTBL ASTBL TBILBL
        CREATBL BMIBL BSABL CRCLBL EGFRBL RECSEQ""",
    "ADPC": """STUDYID USUBJID NFRLT ADTM ATMF ADT ATM ADY FANLDTM AVISITN AVISIT ASTDT ASTDTM AENDT AENDTM
        ASTTM AENTM AFRLT ARRLT PCRFTDTM FANLDT FANLTM PCRFTDT PCRFTTM NRRLT ATPTN ATPT ATPTREF ABLFL BASETYPE
        DOSEA DOSEP DOSEU FRLTU RRLTU PARAMCD ALLOQ AVAL AVALU AVALCAT1 SRCDOM SRCVAR SRCSEQ DTYPE MRRLT
        ANL01FL ANL02FL BASE CHG ASEQ PARAM PARAMN HTBL HTBLU WTBL WTBLU BMIBL BMIBLU SUBJID AGE AGEU SEX""",
    "ADPP": """STUDYID USUBJID PPTESTCD PPTEST PPCAT PPORRES PPORRESU PPSTRESU PPSPEC PPRFDTC ADT ADY PARAMCD
        PARCAT1 AVAL AVALU SRCDOM SRCVAR SRCSEQ AVISITN AVISIT VISITNUM VISIT TRTP TRTA AVALCAT1 AVALCA1N
        SUBJID AGE AGEU SEX""",
    "ADTTE": """STUDYID USUBJID EVNTDESC SRCDOM SRCVAR SRCSEQ CNSR ADT CNSDTDSC STARTDT PARAMCD PARAM AVAL
        ASEQ ARMCD ARM ACTARMCD ACTARM AGE SEX""",
    # man/adae.Rd as far as AEENDY; then the analysis variables of pharmaverseadamjnj, which is built on it
    "ADAE": """STUDYID DOMAIN USUBJID AESEQ AESPID AETERM AELLT AELLTCD AEDECOD AEPTCD AEHLT AEHLTCD AEHLGT
        AEHLGTCD AEBODSYS AEBDSYCD AESOC AESOCCD AESEV AESER AEACN AEREL AEOUT AESCAN AESCONG AESDISAB AESDTH
        AESHOSP AESLIFE AESOD AEDTC AESTDTC AEENDTC AESTDY AEENDY ASTDT ASTDTM ASTDTF ASTTMF AENDT AENDTM
        AENDTF AENTMF ASTDY AENDY SUBJID AGE AGEU SEX""",
    "ADRS": """DOMAIN STUDYID USUBJID VISITNUM VISIT RSTESTCD RSTEST RSORRES RSSTRESC RSEVAL RSEVALID RSACPTFL
        RSDTC RSSEQ RANDDT PARAMCD PARAM PARCAT1 PARCAT2 PARCAT3 ADT ADTF AVISIT AVALC AVAL ANL01FL ANL02FL
        ASEQ SUBJID AGE AGEU SEX""",
}
# labels of the manual pages; of WTBL, PARAM, PARAMCD and PARAMN of ADPPK they have none of use
LABELS = {
    "STUDYID": "Study Identifier",
    "USUBJID": "Unique Subject Identifier",
    "SUBJID": "Subject Identifier for the Study",
    "STUDYIDN": "Study Identifier (N)",
    "USUBJIDN": "Unique Subject Identifier (N)",
    "AESEQ": "Sequence Number",
    "AETERM": "Reported Term for the Adverse Event",
    "AEDECOD": "Dictionary-Derived Term",
    "ASTDY": "Analysis Start Relative Day",
    "EVID": "Event ID",
    "NFRLT": "Nom. Rel. Time from Analyte First Dose",
    "AFRLT": "Act. Rel. Time from Analyte First Dose",
    "APRLT": "Actual Rel Time from Previous Dose",
    "NPRLT": "Nominal Rel Time from Previous Dose",
    "ARRLT": "Actual Rel. Time from Ref. Dose",
    "NRRLT": "Nominal Rel. Time from Ref. Dose",
    "DOSEA": "Actual Treatment Dose",
    "DOSEU": "Treatment Dose Units",
    "ALLOQ": "Analysis Lower Limit of Quantitation",
    "CMT": "Compartment",
    "BLQFL": "Below Lower Limit of Quant Flag",
    "BLQFN": "Below Lower Limit of Quant Flag (N)",
    "AMT": "Actual Amount of Dose Received (unit)",
    "DV": "Dependent Variable Result",
    "DVL": "Log DV",
    "MDV": "Missing Dependent Variable Result",
    "AVAL": "Analysis Value",
    "AVALC": "Analysis Value (C)",
    "AVALU": "Analysis Value Unit",
    "AVALCAT1": "Analysis Value Category 1",
    "ASEQ": "Analysis Sequence Number",
    "RECSEQ": "Record Sequence",
    "ROUTE": "Route of Administration",
    "ROUTEN": "Route of Administration (N)",
    "AGE": "Age",
    "AGEU": "Age Units",
    "SEX": "Sex",
    "SEXN": "Sex (N)",
    "AVISIT": "Analysis Visit",
    "AVISITN": "Analysis Visit (N)",
    "ATPT": "Analysis Timepoint",
    "ATPTN": "Analysis Timepoint (N)",
    "ATPTREF": "Analysis Timepoint Reference",
    "FRLTU": "Rel. Time from First Dose Unit",
    "RRLTU": "Rel. Time from Ref. Dose Unit",
    "SRCDOM": "Source Data",
    "SRCVAR": "Source Variable",
    "SRCSEQ": "Source Sequence Number",
    "PARAMCD": "Parameter Code",
    "PARAM": "Parameter",
    "PARAMN": "Parameter (N)",
    "PARCAT1": "Parameter Category 1",
    "PARCAT3": "Parameter Category 3",
    "ANL01FL": "Analysis Flag 01",
    "CNSR": "Censor",
    "EVNTDESC": "Event or Censoring Description",
    "CNSDTDSC": "Censor Date Description",
}
NOT_LABELLED = {"WTBL", "WTBLU", "PPTESTCD"}  # whose labels there are those of a source variable


def datasets() -> dict[str, Dataset]:
    study = read_study("nkg2d_phase1_synthetic")
    protocol = settled(read_protocol("nkg2d_phase1_synthetic"), "nkg2d_phase1_synthetic")
    made = (adpc(study), adppk(study), adpp(study), adrs(study), adtte(study, protocol), adae(study))
    return {dataset.name: dataset for dataset in made}


OURS = datasets()


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_shared_variable_has_the_label_of_the_template(name):
    shared = [variable for variable in TEMPLATES[name].split() if variable in OURS[name].variables]
    assert len(shared) >= 8
    for variable in shared:
        if variable not in NOT_LABELLED:
            assert OURS[name].variables[variable].label == LABELS[variable], variable


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_variable_holds_values_of_its_declared_type(name):
    for variable, described in OURS[name].variables.items():
        values = OURS[name].frame[variable].dropna()
        is_text = values.map(lambda value: isinstance(value, str)).all()
        assert bool(is_text) == (described.kind == "text") or values.empty, variable


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_page_lists_the_variables_of_the_template_that_ours_lacks(name):
    gaps = [variable for variable in TEMPLATES[name].split() if variable not in OURS[name].variables]
    line = re.search(rf"^- {name}: (.*?)\.$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert line is not None, gaps
    assert line[1].split() == gaps, " ".join(gaps)
