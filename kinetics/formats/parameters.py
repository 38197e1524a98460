"""ADPP-shaped datasets (PPTESTCD) of a study's NCA or of a run's exposure, and PKNCA's long table of an NCA.

Codes and names are CDISC's codelists PKPARMCD and PKPARM, as `kinetics.exposures.to_pptestcd` has them; those
it marks * are this package's own. PKNCA's names (`cmax`, `auclast`, `half.life` ...) and columns (start, end,
PPTESTCD, PPORRES, exclude) are those of as.data.frame(pk.nca(...)), PKNCA 0.12 (R/class-PKNCAresults.R,
R/auc.R, R/half.life.R).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pandas import DataFrame, concat, isna

from kinetics.exposures import CDISC, DEFAULT_RULES, NCARules, exposure, exposure_summary, nca, to_pptestcd
from kinetics.formats.dataset import Dataset, dataset_of
from kinetics.formats.subjects import subject_keys, subject_variables
from kinetics.inference import Fit
from kinetics.study import Study

__all__ = ["PKNCA_NAMES", "adpp", "adpp_of_run", "pknca"]

PKNCA_NAMES = {  # our number -> PKNCA's; what PKNCA has not (first_measurable, fold_expansion) is left out
    "cmax": "cmax", "tmax": "tmax", "auc_last": "auclast", "clast": "clast.obs", "tlast": "tlast",
    "half_life": "half.life", "lambda_z": "lambda.z", "lambda_z_points": "lambda.z.n.points",
    "r_squared": "r.squared", "adj_r_squared": "adj.r.squared", "span_ratio": "span.ratio",
}  # fmt: skip
_WINDOW = {"last": "aucint.last", "all": "aucint.all"}  # by NCARules.auc_tail


def adpp(study: Study, rules: NCARules = DEFAULT_RULES) -> Dataset:
    """One row a subject, analyte, cycle and parameter of the study's NCA, missing ones with their reason."""
    long = to_pptestcd(nca(study, rules=rules))
    columns = {
        "AVAL": (long["PPORRES"].astype(float), "Derived: non-compartmental analysis"),
        "PPREASND": (long["PPREASND"], "Derived: why there is no number"),
        "COMMENT": (long["COMMENT"], "Derived: what the number rests on"),
    }
    return _dataset(study, long, "NON-COMPARTMENTAL", columns)


def adpp_of_run(fit: Fit, *, draws: int = 1000) -> Dataset:
    """One row a subject, analyte, cycle and parameter of a run's exposure: posterior median and 90 %
    interval.
    """
    summary = exposure_summary(exposure(fit, draws=draws))
    area = next(q for q in summary["quantity"] if q.startswith("auc_0_"))
    days = area.removeprefix("auc_0_").removesuffix("d")
    summary["key"] = summary["quantity"].replace({area: "auc_window"})
    summary = summary[summary["key"].isin(CDISC)].reset_index(drop=True)
    codes = [CDISC[key] for key in summary["key"]]
    window = summary["key"] == "auc_window"
    cycle = "cycle " + summary["cycle"].astype(str)
    long = DataFrame(
        {
            "USUBJID": summary["subject"],
            "PPCAT": summary["analyte"],
            "PPGRPID": cycle.mask(summary["cycle"].astype(str) == "course", "course"),
            "PPTESTCD": [code for code, _, _ in codes],
            "PPTEST": [test for _, test, _ in codes],
            "PPORRESU": [u.format(u=unit) for (_, _, u), unit in zip(codes, summary["unit"], strict=True)],
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
    """The dataset of a long table in the shape of CDISC PP, with AVAL and what goes with it."""
    own = subject_variables(study)
    units = [
        f"{test} ({unit})" if unit else test
        for test, unit in zip(long["PPTEST"], long["PPORRESU"], strict=True)
    ]
    columns = subject_keys(study, long["USUBJID"]) | {
        "PARQUAL": (long["PPCAT"], "Assigned: the analyte"),
        "PARAMCD": (long["PPTESTCD"], "Assigned: CDISC PKPARMCD"),
        "PARAM": (units, "Assigned: CDISC PKPARM and unit"),
        **values,
        "AVALU": (long["PPORRESU"], "Derived: the analyte's unit, days"),
        "AVISIT": (long["PPGRPID"], "Derived: product and cycle, or the whole course"),
        "PPTESTCD": (long["PPTESTCD"], "Assigned: CDISC PKPARMCD"),
        "PPGRPID": (long["PPGRPID"], "Derived: product and cycle"),
        "PPSTINT": (long["PPSTINT"], "Assigned: the window"),
        "PPENINT": (long["PPENINT"], "Assigned: the window"),
        "PPANMETH": ([method] * len(long), "Assigned"),
        "ASEQ": (long.groupby("USUBJID").cumcount() + 1, "Derived: order within the subject"),
        **own.columns(long["USUBJID"]),
    }
    names = {
        code: f"{test.rstrip(' *')}{' (own code)' if test.endswith('*') else ''}"
        for code, test, _ in CDISC.values()
    }
    return dataset_of(
        "ADPP",
        "PK Parameters Analysis Data",
        "One record per subject, analyte, parameter and visit",
        study,
        columns,
        own.variables,
        codelists={"PARAMCD": names} | dict(own.codelists),
    )


def pknca(study: Study, rules: NCARules = DEFAULT_RULES) -> DataFrame:
    """PKNCA's long results of the study's NCA: subject, analyte, start, end, PPTESTCD, PPORRES, exclude,
    PPORRESU.

    start and end are days of the study: of a cycle up to the next one, Inf of the last and of the course, and
    of aucint the window. Times in PPORRES count from start, as PKNCA's do. `note` says what a number rests
    on.
    """
    table = nca(study, rules=rules)
    area = next(c for c in map(str, table.columns) if c.startswith("auc_0_") and not c.endswith("_reason"))
    length = float(area.removeprefix("auc_0_").removesuffix("d"))
    ends = _ends(table)
    parts = []
    for number, name in {**PKNCA_NAMES, area: _WINDOW[rules.auc_tail]}.items():
        reason = table[f"{number}_reason"]
        value = table[number].astype(float)
        unit = CDISC["auc_window" if number == area else number][2]
        parts.append(
            DataFrame(
                {
                    "subject": table["subject"],
                    "analyte": table["analyte"],
                    "start": table["start"],
                    "end": table["start"] + length if number == area else ends,
                    "PPTESTCD": name,
                    "PPORRES": value,
                    "exclude": reason.where(value.isna(), ""),
                    "PPORRESU": [unit.format(u=u) for u in table["unit"]],
                    "profile": (table["product"] + " cycle " + table["cycle"]).str.replace(
                        "cycle course", "course"
                    ),
                    "note": reason.where(value.notna(), ""),
                    "order": range(len(table)),
                }
            )
        )
    long = concat(parts, ignore_index=True).sort_values("order", kind="stable", ignore_index=True)
    return long.drop(columns="order").assign(synthetic=study.synthetic)


def _ends(table: DataFrame) -> list[float]:
    """The day on which each profile ends: the start of the subject's next cycle, Inf after the last."""
    starts = table[table["cycle"] != "course"].groupby("subject")["start"].unique()
    ends = []
    for subject, cycle, start in zip(table["subject"], table["cycle"], table["start"], strict=True):
        later = [] if cycle == "course" or isna(start) else [s for s in starts.get(subject, []) if s > start]
        ends.append(min(later, default=np.inf))
    return ends
