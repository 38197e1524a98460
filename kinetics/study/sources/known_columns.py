"""The columns whose meaning NONMEM, Monolix, nlmixr2, Pumas, ADaM and PKNCA know, for all tables.

Every one of them is read, asked about by name, or told as not read. None becomes a covariate on its own, and
none is passed over in silence. `docs/generate/columns.py` makes the page of the site from this list.

A column is known by its name without spaces, points and underscores, in any case. Sources, by their short
names: NONMEM (NONMEM 7 Users Guide IV and VIII: $INPUT, PREDPP and NM-TRAN's DATE items), Monolix (Monolix
documentation, "Data format" and "Column types"), rxode2 (its vignettes "Event table" and "Event types", which
nlmixr2 shares), Pumas (`read_pumas`), PPK (CDISC BDS for ADaM popPK 1.0), NCA (CDISC ADaMIG for NCA input
data 1.0), ADaM (ADaMIG 1.3), SDTM (SDTMIG 3.3), PKNCA (`PKNCAconc`, `PKNCAdose`), aNCA (its
`metadata_nca_variables.csv`), custom (data of public population analyses). The guides themselves were not
at hand: what they say is from memory, and from public data and templates.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

__all__ = ["KNOWN", "MEANS", "STANDARD", "KnownColumn", "known_column", "plain_name", "with_role"]


class KnownColumn(NamedTuple):
    """One column: its name, the other names it goes by, what it is for (a key of `MEANS`), its source, and
    what it means.
    """

    name: str
    others: tuple[str, ...]
    role: str
    source: str
    meaning: str


# role -> what is done with a column that has it
MEANS: Mapping[str, str] = {
    "standard": "read",
    "below": "read: the record is left-censored at its LLOQ, which must be known (`--lloq`, LLOQ, ALLOQ)",
    "above": "asked where a record is marked: CENS -1 with the ULOQ as DV says the same",
    "date": "read with TIME as the time of day; refused where they contradict, or day and month are unclear",
    "cycle": "read: the cycle of a dose",
    "occasion": "asked: `--cycle-column` if it counts rounds of doses, or `--drop`; refused if TIME restarts",
    "exclusion": "read: a record marked 1 or Y is left out and counted; a marked dose is asked about",
    "reason": "read: a record with a reason is left out and counted",
    "analysis": "read: where any record has Y, records without it are left out and counted",
    "derived": "read: a derived record is left out and counted",
    "mark": "asked where it has several values: delete the marked rows, or `--drop` the column",
    "product": "read as the code of the product; several with one product said are refused",
    "route": "read as the code of the route; several with one route said are refused",
    "dose_unit": "compared with the unit that is said; another unit is refused",
    "duration_unit": "read",
    "interval_unit": "compared with the unit of the time; another unit is refused",
    "weight_unit": "read: the unit of the weight column",
    "value_unit": "compared with the unit that is said; another unit is refused",
    "time_unit": "compared with the unit that is said; another unit is refused",
    "analyte": "read as the code of the analyte; several with one analyte said are refused",
    "specimen": "each is an analyte of its own in an ADaM table; several in an event table are refused",
    "assay": "several assays of one analyte are refused",
    "half_life": "asked: NCA here chooses the points of the half-life by its rule; `--drop` to go on",
    "log": "not read, and told: DV is read on its natural scale",
    "time": "not read, and told: TIME (AFRLT) is read",
    "identifier": "not read, and told: ID (USUBJID) is read",
    "bookkeeping": "not read, and told (ADaM's own variables are not listed)",
    "unsupported": "asked: it changes what rows mean, and is not read; `--drop` if it may be left out",
}

# name, other names, role, source, meaning; an indented line goes on with the one above it
_COLUMNS = """
ID | IDENTIFIER | standard | NONMEM, Monolix | the subject
TIME | | standard | NONMEM, Monolix | the time of the row
DV | OBSERVATION Y | standard | NONMEM, Monolix | the measured value
AMT | AMOUNT | standard | NONMEM, Monolix | the amount of a dose
RATE | | standard | NONMEM, Monolix | the rate of an infusion; -1 and -2 are refused
DUR | TINF INFUSIONDURATION DURATION ADOSEDUR DOSEDUR EXDUR INFDUR DURINF INFT INFTIME INFUSIONTIME DURMIN
    DURH DURHR DURHRS DURDAY TINFMIN TINFH TINFHR INFDURMIN INFDURH INFDURHR INFMIN INFH INFHR | standard |
    Monolix, rxode2, Pumas, NCA, custom | the duration of an infusion; a unit in the name (DURMIN) is read
EVID | EVENTIDENTIFIER EVENTID | standard | NONMEM | 0 a record, 1 a dose, 2 neither; 3 and 4 are refused
CMT | COMPARTMENT | standard | NONMEM, Pumas | code of product and route (doses) or of the analyte (records)
ADM | ADMINISTRATION ADMINISTRATIONID ADMINISTRATIONTYPE | standard | Monolix | code of product, route and
    unit of a dose
DVID | YTYPE OBSERVATIONTYPE OBSERVATIONID OBSID | standard | Monolix, rxode2 | code of the analyte
MDV | IGNOREDOBSERVATION | standard | NONMEM, Monolix, PPK | 1: the row is no record
ADDL | ADDITIONALDOSES | standard | NONMEM, PPK | further doses like this one, every II
II | INTERDOSEINTERVAL | standard | NONMEM, PPK | the time between doses of ADDL
SS | STEADYSTATE NBDOSES NUMBEROFDOSES | standard | NONMEM, PPK | steady state: refused
CENS | CENSORED CENSORING | standard | Monolix, rxode2 | 1 below the LLOQ, -1 above the ULOQ
LIMIT | | standard | Monolix, rxode2 | the other bound of a censored value
LLOQ | ALLOQ LOQ | standard | Monolix, NCA | lower limit of quantification of the row
ULOQ | AULOQ | standard | Monolix | upper limit of quantification of the row
TIMING | ATPT PCTPT TPT | standard | ADaM, PKNCA | whether a sample at the time of a dose was taken after it
BLQ | BQL BLOQ BLLOQ BLQFL BQLFL BLOQFL BLQFN BQLFN BLQFLAG BQLFLAG BLOQFLAG BLQN ISBLQ ISBLOQ
    BELOWLLOQ LOQFL LLOQFL BQLN BLOQN BLOQFN BLQIND BDL BELOWLOQ |
    below | PPK, custom | the value lies below the LLOQ
ALQ | AULQ ALOQ AULOQFL ALQFL ALQFN AULQFL ISALQ ABOVEULOQ ULOQFL ULOQFN | above | PPK, custom | the value
    lies above the ULOQ
DATE | DAT DATEOFSAMPLE VISITDATE | date | NONMEM, Monolix | date of the row; month first for NM-TRAN, year
    first here unless a day above 12 proves it
DAT1 | | date | NONMEM, Monolix | date of the row, day first
DAT2 | | date | NONMEM, Monolix | date of the row, year, month, day
DAT3 | | date | NONMEM, Monolix | date of the row, year, day, month
DATETIME | DTTM ADTM ASTDTM PCDTC EXSTDTC DTC DTM ADT DATTIM | date | ADaM, SDTM, rxode2 | date and time of
    the row
CYCLE | ACYCLE CYCLENO CYCLEN CYC | cycle | NCA, custom | the cycle of a dose
OCC | OCCASION OCCASIONID IOV PERIOD APERIOD OCC1 OCC2 OCCN | occasion | Monolix, rxode2, ADaM | an
    occasion: a part of a subject's records with effects of its own
EXCL | EXCLUDE EXCLUDED EXCLFL EXCLF EXCLFN EXCLFLAG EXCLUSION EXCFLAG EXCLUDEFL IGNORE IGNORED IGNOREDLINE
    IGNORELINE OMIT REMOVE DROPFL DELETE | exclusion | PPK, Monolix, PKNCA, custom | the row is to be left
    out
NCAXFL | NCAEXFL NCAEXCLFL | exclusion | NCA | the record is excluded from NCA
C | COMMENTED | exclusion | NONMEM, custom | C: the row is commented out
NCAXRS | NCA1XRS NCA2XRS NCA3XRS NCA4XRS NCA5XRS NCA6XRS NCA7XRS NCA8XRS NCA9XRS NCAEXRS | reason | NCA,
    aNCA | why the record is excluded from NCA
ANL01FL | | analysis | ADaM | Y: the record is analysed
DTYPE | | derived | ADaM | how a derived record was made
FLAG | FLG FLAGS FL QC QCFLAG OUTLIER OUTL REJECT KEEP USE INCLUDE INCL DVFLAG | mark | custom, SDTM | marks
    rows, and only its author knows for what
PRODUCT | DRUG TRT TRTA TREATMENT EXTRT DOSETRT DRUGNAME MEDICATION | product | ADaM, SDTM | what was given
ROUTE | ROUTEN EXROUTE ADMINROUTE | route | Pumas, NCA, PKNCA | how it was given
DOSEU | AMTU DOSEUNIT DOSEUNITS AMTUNIT AMTUNITS EXDOSU UNITDOSE DOSU | dose_unit | NCA, SDTM | the unit of
    the amount
DOSEDURU | ADOSDURU ADOSEDURU DOSDURU DURU ADURU EXDURU | duration_unit | NCA, aNCA | the unit of the
    duration
IIU | IIUNIT IIUNITS ADDLU TAUU | interval_unit | PPK, custom | the unit of II
WTU | WTBLU WEIGHTU WTUNIT WTUNITS BWTU BWU | weight_unit | PPK | the unit of the body weight
DVU | UNIT UNITS DVUNIT DVUNITS AVALU CONCU CONCUNIT PCSTRESU PCORRESU | value_unit | ADaM, SDTM | the unit
    of the value
TIMEU | TIMEUNIT TIMEUNITS FRLTU RRLTU TIMU | time_unit | NCA | the unit of the time
ANALYTE | DVNAME PARAMCD PARAM PCTESTCD PCTEST ANALYT OBSNAME YNAME | analyte | NCA, SDTM, Pumas | what was
    measured
PCSPEC | SPECIMEN SPEC MATRIX TISSUE SITEOFSAMPLE PCLOC | specimen | SDTM, NCA | from where the sample was
    taken
ASSAY | PCMETHOD METHOD ASSAYID | assay | SDTM | how it was measured
EXCLUDEHALFLIFE | INCLUDEHALFLIFE HLEXCL HLINCL LAMZFL KELEXC | half_life | PKNCA, aNCA | which points the
    half-life uses
LNDV | LOGDV LDV DVL DVLN DVLOG LNCONC LOGCONC LNY LOGY | log | PPK, custom | the logarithm of DV
TAFD | TAD TSFD TSLD TALD TLD TFD TPD NTIME NOMTIME NTPD NTAFD NTAD RTIME ATIME PTIME CTIME CLOCK HOUR NFRLT
    AFRLT NRRLT ARRLT APRLT NPRLT MRRLT DAY STUDYDAY ADY PCDY VISITDY NOMDAY ATM PCTM CLOCKTIME VISIT
    VISITNUM VISITN AVISIT AVISITN ATPTN ATPTREF | time | PPK, NCA, custom | another clock, or a nominal time
USUBJID | SUBJID SUBJECT SUBJ PATID PATIENT USUBJIDN NMID CID UID | identifier | ADaM | another name of the
    subject
NUM | SEQ ROW ROWNUM RECSEQ ASEQ LINE LINENO RECORD OBSNUM RECNO PCSTAT SORT ORDER SRCDOM SRCVAR SRCSEQ
    PCSEQ EXSEQ | bookkeeping | PPK, NONMEM, custom | counts rows
CALL | L1 L2 MRG RPT XVID1 XVID2 XVID3 XVID4 XVID5 RAW SKIP | bookkeeping | NONMEM | reserved by NM-TRAN; no
    meaning here
COMMENT | COMMENTS NOTE NOTES REMARK REMARKS EXCLFCOM | bookkeeping | PPK, custom | free text
DOSNO | DOSENO DOSENUM NDOSE DOSEN DOSNUM | bookkeeping | NCA, custom | counts doses
DOSEA | DOSEP DOSELAST LASTDOSE | bookkeeping | NCA | the dose that a record refers to
CONT | | unsupported | NONMEM | the row continues on the next
PCMT | | unsupported | NONMEM | compartment of the prediction
RESET | | unsupported | rxode2, custom | the system begins anew
F1 | BIOAV BIOAVAILABILITY | unsupported | Pumas, custom | only a part of the amount counts
ALAG | ALAG1 LAG TLAG LAGTIME | unsupported | NONMEM, Pumas | the dose begins later than its row
"""


def plain_name(name: str) -> str:
    """A column's name as the registry has it: in capitals, without spaces, points and underscores."""
    return re.sub(r"[\s_.]", "", name).upper()


KNOWN: dict[str, KnownColumn] = {}
for _line in re.sub(r"\n    ", " ", _COLUMNS).strip().splitlines():
    _parts = [part.strip() for part in _line.split("|")]
    _name, _others, *_rest = _parts
    KNOWN[_name] = KnownColumn(_name, tuple(_others.split()), *_rest)
# any name -> the column it is
_BY_NAME = {name: known for known in KNOWN.values() for name in (known.name, *known.others)}
# NONMEM's name of a column of an event table -> the other names it goes by
STANDARD = {known.name: known.others for known in KNOWN.values() if known.role == "standard"}


def known_column(name: str) -> KnownColumn | None:
    """The known column of a name, None for a column of the user's own.

    ADaM's numeric copy of a flag (NCAXFN beside or instead of NCAXFL) is the flag.
    """
    plain = plain_name(name)
    flag = f"{plain[:-1]}L" if plain.endswith("FN") else plain
    return _BY_NAME.get(plain) or _BY_NAME.get(flag)


def with_role(columns: Iterable[str], *roles: str) -> list[str]:
    """Those of `columns` that are known for one of `roles`, in their order."""
    return [name for name in columns if (known := known_column(name)) is not None and known.role in roles]
