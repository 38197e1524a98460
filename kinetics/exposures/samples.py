"""Noncompartmental analysis of a study: one row per subject, analyte and cycle, and one for the course.

Numbers and rules are those of `kinetics.exposures.profile`; here a study is cut into profiles. Per cycle,
time counts from the cycle's first infusion, and its records end just before the next cycle begins; the whole
course counts from the subject's first infusion. A cycle is one product's cycle number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from pandas import DataFrame

from kinetics.errors import InputError, Problem, did_you_mean
from kinetics.exposures.profile import DEFAULT_RULES, NUMBERS, NCARules, Profile, nca_profile

if TYPE_CHECKING:
    from kinetics.study import Study

__all__ = [
    "CDISC",
    "DEFAULT_RULES",
    "NCARules",
    "Profile",
    "auc_name",
    "nca",
    "nca_profile",
    "nca_summary",
    "to_pptestcd",
]

_KEYS = ("subject", "analyte", "product", "cycle")

# number -> (PPTESTCD, PPTEST, unit); {u} is the analyte's unit. * marks a code of this package's own:
# CDISC has none for it.
CDISC = {
    "cmax": ("CMAX", "Max Conc", "{u}"),
    "tmax": ("TMAX", "Time of CMAX", "day"),
    "auc_window": ("AUCINT", "AUC from T1 to T2", "day*{u}"),
    "auc_last": ("AUCLST", "AUC to Last Nonzero Conc", "day*{u}"),
    "clast": ("CLST", "Last Nonzero Conc", "{u}"),
    "tlast": ("TLST", "Time of Last Nonzero Conc", "day"),
    "half_life": ("LAMZHL", "Half-Life Lambda z", "day"),
    "lambda_z": ("LAMZ", "Lambda z", "/day"),
    "lambda_z_points": ("LAMZNPT", "Number of Points for Lambda z", ""),
    "r_squared": ("R2", "R Squared", ""),
    "adj_r_squared": ("R2ADJ", "R Squared Adjusted", ""),
    "span_ratio": ("LAMZSPN", "Lambda z Span", ""),
    "first_measurable": ("CFIRST", "First Nonzero Conc After Dose *", "{u}"),
    "tfirst": ("TFIRST", "Time of First Nonzero Conc After Dose *", "day"),
    "fold_expansion": ("FOLDEXP", "CMAX Over First Nonzero Conc After Dose *", ""),
}


@dataclass(frozen=True)
class _Records:
    """One subject's records of one analyte: study days, values, which are below or above the limits."""

    time: np.ndarray
    value: np.ndarray
    below: np.ndarray
    above: np.ndarray

    def where(self, mask: np.ndarray) -> _Records:
        """The records that `mask` selects."""
        return _Records(self.time[mask], self.value[mask], self.below[mask], self.above[mask])


@dataclass(frozen=True)
class _Infusion:
    product: str
    cycle: str
    start: float
    end: float


@dataclass(frozen=True)
class _Cut:
    """A stretch of one subject's course: [start, end) in study days, and the infusion times around it."""

    product: str
    cycle: str
    start: float
    end: float
    dose_times: tuple[float, ...]


def nca(
    study: Study,
    *,
    analyte: str | None = None,
    window: tuple[float, float] = (0.0, 28.0),
    rules: NCARules = DEFAULT_RULES,
    by: Literal["cycle", "course", "both"] = "both",
    products: Sequence[str] | None = None,
) -> DataFrame:
    """One row per subject, analyte and cycle (`"1"`, `"2"`, ... and `"course"`), missing numbers included.

    `window`: days after the row's reference infusion; its area is the column `auc_0_28d` (after the
    window). `products`: whose infusions define cycles and time zero (default: every product).

    Columns: subject, analyte, product, cycle, start (study day of the reference infusion), unit;
    n_records, n_blq, n_missing; cmax, tmax, auc_0_28d, auc_last, clast, tlast, half_life, lambda_z,
    lambda_z_points, r_squared, adj_r_squared, span_ratio, first_measurable, tfirst, fold_expansion;
    partial (Tlast before the window's end); and `<number>_reason` for each number: why it is missing or
    excluded, or on what assumption it rests; `""` when there is nothing to say. Times in days, areas in
    unit x day. `first_measurable` is the first measurable value strictly after the reference infusion and
    fold_expansion = cmax / first_measurable.

    A value above the upper limit counts at that limit. One censored to an interval above the LLOQ counts as
    missing. `by`: rows of each "cycle", of the "course", or "both". InputError for an unknown analyte,
    product or `by`.

    >>> study = kn.read_study("synthetic_cart_12")
    >>> table = kn.nca(study, analyte="car_copies", rules=kn.NCARules.car_t())
    >>> table[["subject", "cycle", "cmax", "tmax"]].head(3)
      subject   cycle     cmax   tmax
    0     S01       1   6491.0   7.05
    1     S01       2  18250.0  10.05
    2     S01  course  18250.0  24.05
    """
    names = _analytes(study, analyte)
    infusions = _infusions(study, products)
    if by not in ("cycle", "course", "both"):
        raise InputError(Problem("by says which rows to give", "write 'cycle', 'course' or 'both'", value=by))
    records = _records(study)
    none = _Records(*np.zeros((2, 0)), *np.zeros((2, 0), bool))
    rows: list[dict[str, Any]] = []
    for subject in study.subjects.index:
        cuts = list(_cuts(infusions.get(str(subject), []), by))
        for name in names:
            own = records.get((str(subject), name), none)
            keys = {"subject": subject, "analyte": name, "unit": study.analytes[name].unit}
            rows += [keys | _row(own, cut, window, rules) for cut in cuts]
            rows += [] if cuts else [keys | _undosed(own, window)]
    return DataFrame(rows, columns=_columns(window))


def auc_name(window: tuple[float, float]) -> str:
    """The column of an area over a window in days: (0, 28) -> `auc_0_28d`."""
    return f"auc_{window[0]:g}_{window[1]:g}d"


def _named(window: tuple[float, float]) -> dict[str, str]:
    return {name: auc_name(window) if name == "auc_window" else name for name in NUMBERS}


def _columns(window: tuple[float, float]) -> list[str]:
    named = _named(window).values()
    counts = ["start", "unit", "n_records", "n_blq", "n_missing"]
    return [*_KEYS, *counts, *named, "partial", *(f"{column}_reason" for column in named)]


def _analytes(study: Study, analyte: str | None) -> list[str]:
    if analyte is None:
        return list(study.analytes)
    if analyte not in study.analytes:
        what = "no such analyte was observed"
        remedy = did_you_mean(analyte, study.analytes)
        raise InputError(Problem(what, remedy, column="analyte", value=analyte))
    return [analyte]


def _infusions(study: Study, products: Sequence[str] | None) -> dict[str, list[_Infusion]]:
    """The infusions of each subject, in time order."""
    known = set(study.doses["product"])
    unknown = [product for product in products or () if product not in known]
    if isinstance(products, str) or unknown:
        named = products if isinstance(products, str) else unknown[0]
        remedy = f"give a list of products; {did_you_mean(named, known)}"
        raise InputError(Problem("products does not list products of this study", remedy, value=str(named)))
    found: dict[str, list[_Infusion]] = {}
    for subject, *dose in zip(*_arrays(study.doses, "subject product cycle time duration"), strict=True):
        product, cycle, time, duration = dose
        if products is None or product in products:
            infusion = _Infusion(str(product), str(cycle), float(time), float(time + duration))
            found.setdefault(str(subject), []).append(infusion)
    return {subject: sorted(own, key=lambda infusion: infusion.start) for subject, own in found.items()}


def _arrays(table: DataFrame, columns: str) -> list[np.ndarray]:
    return [np.asarray(table[column]) for column in columns.split()]


def _records(study: Study) -> dict[tuple[str, str], _Records]:
    """The records of each subject and analyte."""
    subject, analyte, time, censored = _arrays(study.observations, "subject analyte time censored")
    value, lloq = (np.asarray(study.observations[name], float) for name in ("value", "lloq"))
    interval = censored == "interval"
    below = (censored == "left") | (interval & (value <= lloq))
    value = np.where(interval & ~below, np.nan, value)
    every = _Records(np.asarray(time, float), value, below, censored == "right")
    places: dict[tuple[str, str], list[int]] = {}
    for place, key in enumerate(zip(map(str, subject), map(str, analyte), strict=True)):
        places.setdefault(key, []).append(place)
    return {key: every.where(np.array(own)) for key, own in places.items()}


def _cuts(infusions: list[_Infusion], by: str) -> Iterator[_Cut]:
    """The cycles of one subject in order of their first infusion, then the course."""
    starts: dict[tuple[str, str], float] = {}
    for infusion in infusions:
        starts.setdefault((infusion.product, infusion.cycle), infusion.start)
    moments = np.array([moment for i in infusions for moment in (i.start, i.end)])
    if by != "course":
        for (product, cycle), start in starts.items():
            end = min((other for other in starts.values() if other > start), default=np.inf)
            times = np.round(moments[moments < end] - start, 9)
            yield _Cut(product, cycle, start, end, tuple(times))
    if by != "cycle" and infusions:
        products = "+".join(dict.fromkeys(product for product, _ in starts))
        start = infusions[0].start
        yield _Cut(products, "course", start, np.inf, tuple(moments - start))


def _row(records: _Records, cut: _Cut, window: tuple[float, float], rules: NCARules) -> dict[str, Any]:
    """The table row of one profile."""
    own = records.where(records.time < cut.end)
    time = np.round(own.time - cut.start, 9)  # 38.1 - 10.1 is day 28
    profile = nca_profile(
        time, own.value, blq=own.below, rules=rules, window=window, dose_times=cut.dose_times
    )
    reasons = dict(profile.reasons)
    above = int((own.above & (time >= 0)).sum())
    if above:
        for name in ("cmax", "auc_window", "auc_last", "fold_expansion"):
            said = f"a lower bound: records above the upper limit counted at it ({above})"
            reasons[name] = "; ".join(filter(None, (reasons.get(name), said)))
    if profile.partial and cut.end - cut.start < window[1]:
        ended = f"the next cycle begins at day {cut.end - cut.start:g}"
        reasons["auc_window"] = "; ".join(filter(None, (reasons.get("auc_window"), ended)))
    return _flat(profile, reasons) | {"product": cut.product, "cycle": cut.cycle, "start": cut.start}


def _flat(profile: Profile, reasons: dict[str, str]) -> dict[str, Any]:
    named = _named(profile.window)
    row: dict[str, Any] = {n: getattr(profile, n) for n in ("n_records", "n_blq", "n_missing", "partial")}
    row |= {column: getattr(profile, name) for name, column in named.items()}
    return row | {f"{column}_reason": reasons.get(name, "") for name, column in named.items()}


def _undosed(records: _Records, window: tuple[float, float]) -> dict[str, Any]:
    why = "no infusion is recorded for this subject: there is no time zero"
    nothing = Profile(window, n_records=records.time.size, n_blq=int(records.below.sum()), n_missing=0)
    row = _flat(nothing, dict.fromkeys(NUMBERS, why))
    return row | {"product": "", "cycle": "course", "start": np.nan}


def _area_column(frame: DataFrame) -> str:
    """The window's area column of an `nca` table."""
    found = [c for c in frame.columns if c.startswith("auc_") and c.endswith("d")]
    if len(found) != 1 or not {*_KEYS, "unit", "partial"} <= set(frame.columns):
        raise InputError(Problem("not a table of kinetics.nca", "pass the frame as nca returned it"))
    return found[0]


def to_pptestcd(frame: DataFrame) -> DataFrame:
    """An `nca` table in the long shape of CDISC PP: one row per subject, analyte, cycle and parameter.

    USUBJID, PPCAT (analyte), PPGRPID (product and cycle), PPTESTCD, PPTEST, PPORRES (number), PPORRESU,
    PPSTAT ("NOT DONE" when missing), PPREASND (why it is missing), COMMENT (what a present number rests
    on), PPSTINT and PPENINT (AUCINT only: P0D and P28D). PPTEST ends in * for a sponsor code, where CDISC
    has none: CFIRST, TFIRST, FOLDEXP. InputError where `frame` is no `nca` table.

    >>> long = kn.exposures.to_pptestcd(kn.nca(kn.read_study("theophylline"), window=(0, 1)))
    >>> long[["USUBJID", "PPTESTCD", "PPORRES", "PPORRESU"]].head(2)
      USUBJID PPTESTCD    PPORRES PPORRESU
    0       1     CMAX  10.500000     mg/L
    1       1     TMAX   0.046667      day
    """
    area = _area_column(frame)
    start, end = area.removeprefix("auc_").removesuffix("d").split("_")
    rows: list[dict[str, Any]] = []
    for row in frame.to_dict("records"):
        group = " ".join(
            filter(None, (row["product"], f"cycle {row['cycle']}".replace("cycle course", "course")))
        )
        for name, (code, test, unit) in CDISC.items():
            column = area if name == "auc_window" else name
            missing = pd.isna(row[column])
            reason = row[f"{column}_reason"]
            rows.append(
                {
                    "USUBJID": row["subject"],
                    "PPCAT": row["analyte"],
                    "PPGRPID": group,
                    "PPTESTCD": code,
                    "PPTEST": test,
                    "PPORRES": row[column],
                    "PPORRESU": unit.format(u=row["unit"]),
                    "PPSTAT": "NOT DONE" if missing else "",
                    "PPREASND": reason if missing else "",
                    "COMMENT": "" if missing else reason,
                    "PPSTINT": f"P{start}D" if code == "AUCINT" else "",
                    "PPENINT": f"P{end}D" if code == "AUCINT" else "",
                }
            )
    return DataFrame(rows)


def nca_summary(frame: DataFrame, *, rules: NCARules = DEFAULT_RULES) -> DataFrame:
    """Statistics over subjects: one row per analyte, product, cycle and number of an `nca` table.

    Columns: analyte, product, cycle, number, n, n_missing, geometric_mean, geometric_cv_percent, mean, sd,
    median, min, max, reason. All NaN where more than `rules.max_missing` of the subjects have no number; the
    geometric ones also where a value is 0; sd and geometric_cv_percent where n is 1. InputError where `frame`
    is no `nca` table.

    >>> summary = kn.nca_summary(kn.nca(kn.read_study("synthetic_cart_12")))
    >>> rows = summary.query("analyte == 'car_copies' and cycle == '1' and number == 'cmax'")
    >>> rows[["n", "n_missing", "geometric_mean"]].round(1)
        n  n_missing  geometric_mean
    0  12          0          3060.3
    """
    area = _area_column(frame)
    columns = [area if name == "auc_window" else name for name in NUMBERS]
    groups: dict[tuple[str, ...], list[int]] = {}
    for place, key in enumerate(zip(*_arrays(frame, "analyte product cycle"), strict=True)):
        groups.setdefault(key, []).append(place)
    partial = np.asarray(frame["partial"], bool)
    rows: list[dict[str, Any]] = []
    for key, places in groups.items():
        for column in columns:
            values = np.asarray(frame[column], float)[places]
            row = _statistics(values, rules.max_missing)
            cut_short = int((partial[places] & ~np.isnan(values)).sum()) if column == area else 0
            said = f"{cut_short} areas are partial" if cut_short else ""
            row["reason"] = "; ".join(filter(None, (row["reason"], said)))
            rows.append(
                dict(zip(("analyte", "product", "cycle"), key, strict=True)) | {"number": column} | row
            )
    return DataFrame(rows)


def _statistics(every: np.ndarray, max_missing: float) -> dict[str, Any]:
    found = every[~np.isnan(every)]
    n = found.size
    n_missing = every.size - found.size
    names = ("geometric_mean", "geometric_cv_percent", "mean", "sd", "median", "min", "max")
    row: dict[str, Any] = {"n": n, "n_missing": n_missing} | dict.fromkeys(names, np.nan) | {"reason": ""}
    if not n or n_missing > max_missing * every.size:
        return row | {"reason": f"{n_missing} of {every.size} subjects have no number"}
    row |= {"mean": found.mean(), "median": np.median(found), "min": found.min(), "max": found.max()}
    row |= {"sd": found.std(ddof=1)} if n > 1 else {}
    if (found <= 0).any():
        return row | {"reason": f"{(found <= 0).sum()} values are 0: no geometric statistic"}
    spread = np.log(found).std(ddof=1) if n > 1 else np.nan
    cv = 100 * np.sqrt(np.expm1(spread**2))
    return row | {"geometric_mean": np.exp(np.log(found).mean()), "geometric_cv_percent": cv}
