"""ADPP-shaped datasets (PPTESTCD) of a study's NCA or of a run's exposure, and PKNCA's long table of an NCA.

Codes and names are those of CDISC's codelists PKPARMCD and PKPARM, as `kinetics.exposures.to_pptestcd` has
them; those that it marks with * are this package's own. PKNCA's names (`cmax`, `auclast`, `half.life` ...)
and columns (start, end, PPTESTCD, PPORRES, exclude) are those of as.data.frame(pk.nca(...)) in PKNCA 0.12
(R/class-PKNCAresults.R, R/auc.R, R/half.life.R).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pandas import DataFrame, concat, isna

import kinetics.exposures as exposures
import kinetics.inference as inference
from kinetics.exposures import CDISC, DEFAULT_RULES, NCARules, nca, to_pptestcd
from kinetics.formats.dataset import Dataset, dataset_of
from kinetics.formats.subjects import subject_keys, subject_variables
from kinetics.study import Study

__all__ = ["PKNCA_NAMES", "adpp", "adpp_of_run", "pknca"]

# column of `nca` -> PKNCA's name; first_measurable and fold_expansion, which PKNCA lacks, are left out
PKNCA_NAMES = {
    "cmax": "cmax",
    "tmax": "tmax",
    "auc_last": "auclast",
    "clast": "clast.obs",
    "tlast": "tlast",
    "half_life": "half.life",
    "lambda_z": "lambda.z",
    "lambda_z_points": "lambda.z.n.points",
    "r_squared": "r.squared",
    "adj_r_squared": "adj.r.squared",
    "span_ratio": "span.ratio",
}
_WINDOW = {
    "last": "aucint.last",
    "all": "aucint.all",
}  # NCARules.auc_tail -> PKNCA's name of the window's AUC


def adpp(study: Study, rules: NCARules = DEFAULT_RULES) -> Dataset:
    """The ADPP-shaped dataset of the study's NCA: one row per subject, analyte, cycle and parameter.

    A missing number has its reason beside it.
    """
    long = to_pptestcd(nca(study, rules=rules))
    columns = {
        "AVAL": (long["PPORRES"].astype(float), "Derived: non-compartmental analysis"),
        "PPREASND": (long["PPREASND"], "Derived: why there is no number"),
        "COMMENT": (long["COMMENT"], "Derived: what the number rests on"),
    }
    return _dataset(study, long, "NON-COMPARTMENTAL", columns)


def adpp_of_run(fit: inference.Fit, *, draws: int = 1000) -> Dataset:
    """The ADPP-shaped dataset of a run's exposure: one row per subject, analyte, cycle and parameter.

    AVAL is the posterior median of `draws` draws, AVALLO and AVALHI the ends of the 90 % interval.
    """
    summary = exposures.exposure_summary(exposures.exposure(fit, draws=draws))
    area = next(quantity for quantity in summary["quantity"] if quantity.startswith("auc_0_"))
    days = area.removeprefix("auc_0_").removesuffix("d")
    summary["key"] = summary["quantity"].replace({area: "auc_window"})
    summary = summary[summary["key"].isin(CDISC)].reset_index(drop=True)
    codes = [CDISC[key] for key in summary["key"]]
    units = [unit.format(u=u) for (_, _, unit), u in zip(codes, summary["unit"], strict=True)]
    window = summary["key"] == "auc_window"
    cycle = "cycle " + summary["cycle"].astype(str)
    long = DataFrame(
        {
            "USUBJID": summary["subject"],
            "PPCAT": summary["analyte"],
            "PPGRPID": cycle.mask(summary["cycle"].astype(str) == "course", "course"),
            "PPTESTCD": [code for code, _, _ in codes],
            "PPTEST": [test for _, test, _ in codes],
            "PPORRESU": units,
            "PPSTINT": np.where(window, "P0D", ""),
            "PPENINT": np.where(window, f"P{days}D", ""),
        }
    )
    columns = {
        "AVAL": (summary["median"], f"Derived: posterior median of {fit.name}"),
        "AVALLO": (summary["lower"], "Derived: 5 % quantile of the posterior"),
        "AVALHI": (summary["upper"], "Derived: 95 % quantile of the posterior"),
    }
    return _dataset(fit.study, long, f"MODEL {fit.bound.model.name}, {fit.method}", columns)


def _dataset(study: Study, long: DataFrame, method: str, values: dict[str, tuple[Any, str]]) -> Dataset:
    """The dataset of a long table in the shape of CDISC PP; `values` are AVAL and the columns beside it."""
    subjects = subject_variables(study)
    labels = [
        f"{test} ({unit})" if unit else test
        for test, unit in zip(long["PPTEST"], long["PPORRESU"], strict=True)
    ]
    columns = subject_keys(study, long["USUBJID"]) | {
        "PARQUAL": (long["PPCAT"], "Assigned: the analyte"),
        "PARAMCD": (long["PPTESTCD"], "Assigned: CDISC PKPARMCD"),
        "PARAM": (labels, "Assigned: CDISC PKPARM and unit"),
        **values,
        "AVALU": (long["PPORRESU"], "Derived: the analyte's unit, days"),
        "AVISIT": (long["PPGRPID"], "Derived: product and cycle, or the whole course"),
        "PPTESTCD": (long["PPTESTCD"], "Assigned: CDISC PKPARMCD"),
        "PPGRPID": (long["PPGRPID"], "Derived: product and cycle"),
        "PPSTINT": (long["PPSTINT"], "Assigned: the window"),
        "PPENINT": (long["PPENINT"], "Assigned: the window"),
        "PPANMETH": ([method] * len(long), "Assigned"),
        "ASEQ": (long.groupby("USUBJID").cumcount() + 1, "Derived: order within the subject"),
        **subjects.columns(long["USUBJID"]),
    }
    names = {}
    for code, test, _ in CDISC.values():
        names[code] = test.rstrip(" *")
        if test.endswith("*"):
            names[code] += " (own code)"
    return dataset_of(
        name="ADPP",
        label="PK Parameters Analysis Data",
        structure="One record per subject, analyte, parameter and visit",
        study=study,
        columns=columns,
        study_variables=subjects.variables,
        codelists={"PARAMCD": names} | dict(subjects.codelists),
    )


def pknca(study: Study, rules: NCARules = DEFAULT_RULES) -> DataFrame:
    """PKNCA's long results of the study's NCA.

    The columns are subject, analyte, start, end, PPTESTCD, PPORRES, exclude, PPORRESU, profile (product and
    cycle, or course), note and synthetic. start and end are days of the study: a cycle ends with the next
    one, the last cycle and the course at Inf, and an aucint with its window. Times in PPORRES count from
    start, as PKNCA's do. `note` says what a number rests on.
    """
    table = nca(study, rules=rules)
    areas = [column for column in map(str, table.columns) if column.startswith("auc_0_")]
    area = next(column for column in areas if not column.endswith("_reason"))
    length = float(area.removeprefix("auc_0_").removesuffix("d"))
    ends = _ends(table)
    profiles = (table["product"] + " cycle " + table["cycle"]).str.replace("cycle course", "course")
    parts = []
    for number, name in {**PKNCA_NAMES, area: _WINDOW[rules.auc_tail]}.items():
        reason = table[f"{number}_reason"]
        value = table[number].astype(float)
        unit = CDISC["auc_window" if number == area else number][2]
        part = DataFrame(
            {
                "subject": table["subject"],
                "analyte": table["analyte"],
                "start": table["start"],
                "end": table["start"] + length if number == area else ends,
                "PPTESTCD": name,
                "PPORRES": value,
                "exclude": reason.where(value.isna(), ""),
                "PPORRESU": [unit.format(u=u) for u in table["unit"]],
                "profile": profiles,
                "note": reason.where(value.notna(), ""),
                "order": range(len(table)),
            }
        )
        parts.append(part)
    long = concat(parts, ignore_index=True).sort_values("order", kind="stable", ignore_index=True)
    return long.drop(columns="order").assign(synthetic=study.synthetic)


def _ends(table: DataFrame) -> list[float]:
    """The day on which each profile ends: the start of the subject's next cycle, Inf after the last."""
    starts = table[table["cycle"] != "course"].groupby("subject")["start"].unique()
    ends = []
    for subject, cycle, start in zip(table["subject"], table["cycle"], table["start"], strict=True):
        later = []
        if cycle != "course" and not isna(start):
            later = [other for other in starts.get(subject, []) if other > start]
        ends.append(min(later, default=np.inf))
    return ends
