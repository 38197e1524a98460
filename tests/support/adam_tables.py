"""ADPPK- and ADPC-shaped tables as other tools write them."""

from __future__ import annotations

from pathlib import Path

__all__ = ["ADPC", "ADPPK", "DOSE_CELLS", "edited_table"]

# The shape of admiral's ADPPK: hours, BLQ without a value, numeric copies, no route on records, no SUBJID.
ADPPK = """\
STUDYID,USUBJID,EVID,AFRLT,APRLT,DOSEA,PARAMCD,PARAM,ALLOQ,CMT,BLQFL,AMT,DV,AVALU,MDV,PROJID,AGE,SEX,SEXN,ROUTE,WTBL,BMIBL,CRP
X1,X1-01,0,-2,-2,100,XAN,Xanomeline,0.01,2,Y,,,ug/mL,1,XAN,60,F,2,ORAL,70,24,5
X1,X1-01,1,0,0,100,DOSE,Dose,,1,N,100,,,1,XAN,60,F,2,ORAL,70,24,5
X1,X1-01,0,1.5,1.5,100,XAN,Xanomeline,0.01,2,N,,0.25,ug/mL,0,XAN,60,F,2,ORAL,70,24,6
X1,X1-01,0,9,9,100,XAN,Xanomeline,0.01,2,N,,,ug/mL,1,XAN,60,F,2,ORAL,70,24,6
X1,X1-02,1,0,0,100,DOSE,Dose,,1,N,100,,,1,XAN,55,M,1,ORAL,82,,5
X1,X1-02,0,24,24,100,XAN,Xanomeline,0.01,2,Y,,,ug/mL,1,XAN,55,M,1,ORAL,82,,7
X1,X1-02,1,24,24,100,DOSE,Dose,,1,N,100,,,1,XAN,55,M,1,ORAL,82,,7
X1,X1-02,0,30,6,100,XAN,Xanomeline,0.01,2,N,,0.4,ug/mL,0,XAN,55,M,1,ORAL,82,,7
"""
DOSE_CELLS = "1e8,cells,CAR-T,INTRA-ARTERIAL,HEPATIC ARTERY"
# The shape of admiral's ADPC: doses as PARAMCD DOSE, units in FRLTU and DOSEU, derived records, AVALCAT1.
ADPC = f"""\
USUBJID,PARAMCD,PARAM,PARCAT1,AVAL,AVALU,AVALCAT1,ALLOQ,AFRLT,FRLTU,ARRLT,DOSEA,DOSEU,TRTA,ROUTE,EXLOC,DTYPE,WTBL,SEX
01,CART,CAR transgene,BLOOD,,copies/ug,<BLQ,50,-0.5,DAYS,-0.5,{DOSE_CELLS},,70,M
01,CART,CAR transgene,BLOOD,25,copies/ug,<BLQ,50,-0.5,DAYS,-0.5,{DOSE_CELLS},HALFLLOQ,70,M
01,DOSE,Dose,,1e8,cells,,,0,DAYS,0,{DOSE_CELLS},,70,M
01,CART,CAR transgene,BLOOD,900,copies/ug,900,50,7,DAYS,7,{DOSE_CELLS},,70,M
"""


def edited_table(path: Path, text: str, *edits: tuple[str, str]) -> Path:
    """`path`, with a table written to it in which every old text of `edits` is replaced by its new one."""
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return path
