"""Tables, listings and graphs of a study's NCA under the codes of the TLG catalogue, as aNCA has them.

Codes, titles of columns and which statistics stand where are those of aNCA (pharmaverse, 2026: man pages of
t_pkct01, t_pkpt03_col, t_pkpt07_norm, p_pkpg02_doseprop, l_pkpl01, l_pkcl02_uri), as its readers know them.
The numbers are those of `kinetics.exposures.nca`, with every digit in the CSV files. Where this differs: rows
of PK parameters are also by cycle (AVISIT), which aNCA has where its data do; concentrations are by actual
time where a study has no nominal one; nothing is rounded but in documents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
from pandas import DataFrame, Series
from plotly.graph_objects import Figure

import kinetics.plot as plot
from kinetics.decision import exposures_of_table
from kinetics.errors import InputError, Problem, did_you_mean
from kinetics.exposures import CDISC, NCARules, nca, to_pptestcd
from kinetics.files import whole_folder
from kinetics.formats import adpc
from kinetics.pages import Section, Table
from kinetics.spreadsheets import csv_text
from kinetics.study import Study
from kinetics.submission.rich_text import rich_text
from kinetics.submission.word_document import word_document

__all__ = ["TLG", "TlgInputs", "TlgTable", "write_tlg"]

_URINE = "urine: amounts recovered need volumes of collections, which a study here does not have"
_DOSE_NORMALISED = {"cmax": "CMAXD", "auc_last": "AUCLSTD"}  # CDISC PKPARMCD of a number divided by the dose
_STATISTICS = {
    "n": "n",
    "n_blq": "n BLQ",
    "Mean": "Mean",
    "SD": "SD",
    "CV_pct": "CV%",
    "Median": "Median",
    "GeoMean": "Geometric Mean",
    "GeoCV_pct": "Geometric CV%",
    "Min": "Min",
    "Max": "Max",
}
_OF_PARAMETERS = ("n", "Mean", "SD", "CV_pct", "GeoMean", "GeoCV_pct", "Median", "Min", "Max")
_NOT_NEEDED = {"CLST", "TLST", "LAMZ", "LAMZNPT", "R2", "R2ADJ", "LAMZSPN"}  # of the fit of lambda z


@dataclass(frozen=True)
class TlgInputs:
    """A study and how its tables are made: the group of each subject (TRT01A), and the rules of its NCA.

    `label` names the groups, `analyte` is one analyte or None for all.

    >>> study = kn.read_study("theophylline")
    >>> one = pd.Series("all", index=study.subjects.index)
    >>> inputs = kn.submission.TlgInputs(study, one, "everyone", kn.NCARules(), "theophylline")
    >>> inputs.label, inputs.analyte, len(inputs.groups), len(inputs.study.subjects)
    ('everyone', 'theophylline', 12, 12)
    >>> inputs.rules == kn.NCARules()
    True
    """

    study: Study
    groups: Series
    label: str
    rules: NCARules
    analyte: str | None = None


@dataclass(frozen=True)
class TlgTable:
    """One table of a code: `analyte` it is of, the `frame` with every digit, and footnotes."""

    analyte: str
    frame: DataFrame
    notes: tuple[str, ...] = ()


def write_tlg(inputs: TlgInputs, codes: Sequence[str], folder: Path, *, force: bool = False) -> list[str]:
    """Write the tables of `codes` into a new `folder`; the lines to print, one for each file.

    Each table is CODE_ANALYTE.csv, and CODE.rtf and CODE.docx have all tables of a code; the graph pkpg02 is
    CODE_ANALYTE.html. Without python-docx the DOCX is left out, and a line says so. InputError lists codes
    that are unknown and those that need what no study here has (urine); nothing is written then. `force`
    replaces a folder that is there.

    >>> from pathlib import Path
    >>> study = kn.read_study("theophylline")
    >>> one = pd.Series("all", index=study.subjects.index)
    >>> inputs = kn.submission.TlgInputs(study, one, "everyone", kn.NCARules())
    >>> print(kn.submission.write_tlg(inputs, ["pkpt03"], Path("tlg"))[0])
    written: tlg/pkpt03_theophylline.csv
    """
    problems = list(_problems(codes))
    if not problems and folder.exists() and not force:
        problems = [Problem("something is there already", "name another, or use --force", file=str(folder))]
    if problems:
        raise InputError(problems)
    has_word = find_spec("docx") is not None
    lines = []
    with whole_folder(folder, replace=force) as partial:
        for code in dict.fromkeys(codes):
            content = TLG[code].make(inputs)
            for name, written in _files(code, content, inputs, has_word=has_word):
                if isinstance(written, Figure):
                    plot.save_figure(written, partial / name)
                else:
                    (partial / name).write_bytes(written)
                lines.append(f"written: {folder / name}")
            for table in content:
                if isinstance(table.content, str):
                    lines.append(f"{code} {table.analyte}: not drawn: {table.content}")
    if not has_word:
        lines.append("no DOCX: python-docx is not installed (the extra `submission` has it)")
    return lines


@dataclass(frozen=True)
class _Part:
    """A table, a figure, or the reason why there is no figure, of one analyte."""

    analyte: str
    content: TlgTable | Figure | str


@dataclass(frozen=True)
class _Entry:
    """A code of the catalogue: its title, and the function that makes its parts; why it is refused, or ""."""

    title: str
    make: Callable[[TlgInputs], list[_Part]]
    refused: str = ""


def _problems(codes: Sequence[str]) -> Iterator[Problem]:
    for code in codes:
        if code not in TLG:
            yield Problem(f"no table or graph {code!r}", did_you_mean(code, TLG))
        elif TLG[code].refused:
            served = ", ".join(name for name, entry in TLG.items() if not entry.refused)
            yield Problem(f"{code} is of {TLG[code].refused}", f"leave it out; there are {served}")
    if not codes:
        yield Problem("no code is named", f"name some of {', '.join(TLG)}")


def _files(
    code: str, content: list[_Part], inputs: TlgInputs, *, has_word: bool
) -> Iterator[tuple[str, bytes | Figure]]:
    """Name and content of each file of a code."""
    title = f"{code}: {TLG[code].title}"
    study = inputs.study
    sections = []
    figures = {}
    for part in content:
        analyte = study.analytes[part.analyte]
        section = Section(part.analyte, f"{analyte.label}, {analyte.site}")
        if isinstance(part.content, TlgTable):
            name = f"{code}_{part.analyte}.csv"
            frame = part.content.frame.assign(SYNTHFL="Y" if study.synthetic else "N")
            yield name, csv_text(frame, name).encode()
            section.tables.append(_page_table(title, part.content))
        elif isinstance(part.content, Figure):
            yield f"{code}_{part.analyte}.html", part.content
            figures[part.analyte] = [part.content]
        else:
            section.words.append(f"Not drawn: {part.content}")
        sections.append(section)
    lead = [
        f"Study {study.name}, data {study.sha256[:12]}. Groups (TRT01A): {inputs.label}.",
        "The layout is that of aNCA's catalogue; no conformance to a guide is claimed.",
    ]
    yield f"{code}.rtf", rich_text(title, lead, sections, synthetic=study.synthetic)
    if has_word:
        yield f"{code}.docx", word_document(title, lead, sections, figures, synthetic=study.synthetic)


def _page_table(caption: str, table: TlgTable) -> Table:
    """A table as documents show it: the labels of its statistics, numbers at 3 significant digits."""
    heads = [_STATISTICS.get(str(name), str(name)) for name in table.frame.columns]
    numeric = [table.frame[name].dtype.kind in "fi" for name in table.frame.columns]
    page_table = Table(caption, heads, numeric, notes=list(table.notes))
    for row in table.frame.itertuples(index=False):
        page_table.rows.append([page_table.cell(value) for value in row])
    return page_table


# the tables


def _group_text(inputs: TlgInputs, subjects: Series) -> list[str]:
    """The group of each subject in words."""
    groups = {str(subject): group for subject, group in inputs.groups.items()}
    return ["not recorded" if pd.isna(groups.get(s)) else _plain(groups[s]) for s in subjects.astype(str)]


def _plain(group: object) -> str:
    return f"{group:g}" if isinstance(group, float) else str(group)


def _analytes(inputs: TlgInputs) -> list[str]:
    return list(inputs.study.analytes) if inputs.analyte is None else [inputs.analyte]


def _ordered(inputs: TlgInputs, texts: Sequence[str]) -> list[str]:
    """The groups of a table in the order of the study's: by category, by number, or by name."""
    groups = inputs.groups
    if isinstance(groups.dtype, pd.CategoricalDtype):
        order = [_plain(group) for group in groups.cat.categories]
    else:
        present = set(groups.dropna())
        order = [_plain(group) for group in sorted(present, key=lambda g: (isinstance(g, str), g))]
    return [group for group in [*order, "not recorded"] if group in set(texts)]


def _statistics(values: np.ndarray) -> dict[str, float]:
    """Mean to Max of the values that are not NaN; geometric ones of those above 0, as aNCA has them."""
    present = values[~np.isnan(values)]
    positive = np.log(present[present > 0])
    row = dict.fromkeys(("Mean", "SD", "CV_pct", "Median", "GeoMean", "GeoCV_pct", "Min", "Max"), np.nan)
    if present.size:
        row |= {"Mean": present.mean(), "Median": float(np.median(present))}
        row |= {"Min": present.min(), "Max": present.max()}
    if present.size > 1:
        row["SD"] = present.std(ddof=1)
        if present.mean() != 0:
            row["CV_pct"] = 100 * row["SD"] / row["Mean"]
    if positive.size:
        row["GeoMean"] = float(np.exp(positive.mean()))
    if positive.size > 1:
        row["GeoCV_pct"] = 100 * float(np.sqrt(np.expm1(positive.var(ddof=1))))
    return row  # pyright: ignore


def _concentrations(inputs: TlgInputs) -> list[_Part]:
    """pkct01: concentrations by group and time after the first dose; BLQ is counted and left out of means."""
    frame = adpc(inputs.study).frame
    frame = frame[frame["PARAMCD"] != "DOSE"]
    labels = {name: (a.label, a.site) for name, a in inputs.study.analytes.items()}
    parts = []
    for analyte in _analytes(inputs):
        label, site = labels[analyte]
        rows = frame[(frame["PARAM"] == label) & (frame["PARCAT1"] == site)].reset_index(drop=True)
        timed = rows[rows["AFRLT"].notna()]
        if timed.empty:
            continue
        head, times = _times(timed)
        timed = timed.assign(group=_group_text(inputs, timed["SUBJID"]), time=times)
        table = []
        for group in _ordered(inputs, timed["group"].tolist()):
            for time, cell in timed[timed["group"] == group].groupby("time"):
                blq = cell["AVALCAT1"] == "<BLQ"
                values = cell["AVAL"].astype(float).where(~blq)
                keys = {"TRT01A": group, head: float(time)}  # pyright: ignore
                counts = {"n": int((values.notna() | blq).sum()), "n_blq": int(blq.sum())}
                table.append(keys | counts | _statistics(values.to_numpy()))
        notes = [
            "Records below the limit of quantification are counted in n and n BLQ, and in no other number.",
            f"The study has actual times and no nominal ones: a row is one {head.split(' (')[0]}.",
            *_concentration_notes(timed, len(rows) - len(timed)),
        ]
        unit = inputs.study.analytes[analyte].unit
        columns = ["TRT01A", head, *_STATISTICS]
        result = DataFrame(table, columns=columns).assign(AVALU=unit)
        parts.append(_Part(analyte, TlgTable(analyte, result, tuple(notes))))
    return parts


def _times(rows: DataFrame) -> tuple[str, Series]:
    """The times after the first dose by which records are grouped, and their head.

    Whole days or, where a subject has two records in one, whole hours or the exact times.
    """
    exact = rows["AFRLT"].astype(float)
    for head, width in (("AFRLT, whole days (day)", 1.0), ("AFRLT, whole hours (day)", 1 / 24)):
        times = np.floor(exact / width + 1e-9) * width
        if not DataFrame({"subject": rows["SUBJID"], "time": times}).duplicated().any():
            return head, times  # pyright: ignore
    return "AFRLT, exact (day)", exact


def _concentration_notes(rows: DataFrame, without_dose: int) -> Iterator[str]:
    blq = rows["AVALCAT1"] == "<BLQ"
    missing = int((rows["AVAL"].isna() & ~blq).sum())
    if missing:
        yield f"{missing} records without a number are left out."
    if "CENSOR" in rows:
        above = int((rows["CENSOR"] == "RIGHT").sum())
        if above:
            yield f"{above} records above the upper limit count at it: means and maxima are lower bounds."
    if without_dose:
        yield f"{without_dose} records of subjects without a dose are left out."


def _parameters(inputs: TlgInputs) -> DataFrame:
    """The NCA in long form with `bound` (no more than a lower bound), `group` and `AVISIT`, one row each."""
    table = nca(inputs.study, analyte=inputs.analyte, rules=inputs.rules)
    long = to_pptestcd(table)
    columns = _columns_of_codes(table)
    bounds = {
        (row["subject"], row["analyte"], f"{row['product']} {_cycle(row['cycle'])}".strip()): set(
            str(row["lower_bound"]).split(",")
        )
        for row in table.to_dict("records")
    }
    keys = zip(long["USUBJID"], long["PPCAT"], long["PPGRPID"], long["PPTESTCD"], strict=True)
    long["bound"] = [columns[code] in bounds[s, analyte, visit] for s, analyte, visit, code in keys]
    long["group"] = _group_text(inputs, long["USUBJID"])
    return long.rename(columns={"PPGRPID": "AVISIT"})


def _cycle(cycle: str) -> str:
    return "course" if cycle == "course" else f"cycle {cycle}"


def _columns_of_codes(table: DataFrame) -> dict[str, str]:
    """PPTESTCD -> the column of the NCA."""
    area = next(c for c in table.columns if c.startswith("auc_") and c.endswith("d"))
    return {code: area if name == "auc_window" else name for name, (code, _, _) in CDISC.items()}


def _labelled(long: DataFrame) -> DataFrame:
    """The long table with PARAM: the parameter's name and unit."""
    names = [test.rstrip(" *") for test in long["PPTEST"]]
    return long.assign(PARAM=[f"{t} ({u})" if u else t for t, u in zip(names, long["PPORRESU"], strict=True)])


def _summary(inputs: TlgInputs, long: DataFrame, notes: tuple[str, ...]) -> list[_Part]:
    """One table an analyte: a row for each group, visit and parameter."""
    parts = []
    for analyte in _analytes(inputs):
        of_analyte = long[long["PPCAT"] == analyte]
        table = []
        for group in _ordered(inputs, of_analyte["group"].tolist()):
            of_group = of_analyte[of_analyte["group"] == group]
            for (visit, parameter), cell in of_group.groupby(["AVISIT", "PARAM"], sort=False):
                values = cell["PPORRES"].astype(float).to_numpy()
                numbers = {"n": int(np.isfinite(values).sum())} | _statistics(values)
                keys = {"TRT01A": group, "AVISIT": visit, "PARAM": parameter}
                table.append(keys | numbers | {"n_lower_bound": int(cell["bound"].sum())})
        if table:
            columns = ["TRT01A", "AVISIT", "PARAM", *_OF_PARAMETERS, "n_lower_bound"]
            frame = DataFrame(table, columns=columns)
            if not frame["n_lower_bound"].any():
                frame = frame.drop(columns="n_lower_bound")
            parts.append(_Part(analyte, TlgTable(analyte, frame, notes)))
    return parts


_BOUNDS = "n_lower_bound counts values that are no more than lower bounds (a record above its upper limit)."


def _parameter_summary(inputs: TlgInputs) -> list[_Part]:
    """pkpt03: PK parameters as rows, statistics as columns."""
    long = _labelled(_parameters(inputs))
    return _summary(inputs, long[~long["PPTESTCD"].isin(_NOT_NEEDED)], (_BOUNDS,))


def _normalised_summary(inputs: TlgInputs) -> list[_Part]:
    """pkpt07: Cmax and AUClast over the cells (or mg) of the doses of the cycle."""
    columns = {CDISC[name][0]: code for name, code in _DOSE_NORMALISED.items()}
    long = _parameters(inputs)
    long = long[long["PPTESTCD"].isin(columns) & ~long["AVISIT"].str.endswith("course")]
    amounts = _amounts(inputs.study)
    keys = list(zip(long["USUBJID"].astype(str), long["AVISIT"], strict=True))
    dose = np.array([amounts.get(key, (np.nan, ""))[0] for key in keys])
    units = [amounts.get(key, (np.nan, ""))[1] for key in keys]
    long = long.assign(
        PPORRES=long["PPORRES"].astype(float) / dose,
        PPORRESU=[f"{u}/{d}" for u, d in zip(long["PPORRESU"], units, strict=True)],
        PPTEST=[f"{t} Norm by Dose" for t in long["PPTEST"]],
        PPTESTCD=[columns[code] for code in long["PPTESTCD"]],
    )
    note = "The dose is the sum of the product's amounts in the cycle, as given. Whole courses are left out."
    return _summary(inputs, _labelled(long), (note, _BOUNDS))


def _amounts(study: Study) -> dict[tuple[str, str], tuple[float, str]]:
    """Subject and cycle of a product, as AVISIT has it -> the sum of its doses and their unit."""
    sums = {}
    for (subject, product, cycle), doses in study.doses.groupby(["subject", "product", "cycle"]):
        units = set(doses["unit"])
        if len(units) == 1:
            sums[str(subject), f"{product} cycle {cycle}"] = (float(doses["amount"].sum()), units.pop())
    return sums


def _listing(inputs: TlgInputs) -> list[_Part]:
    """pkpl01: PK parameters of each subject and cycle, a column each; a lower bound as `>= 5000`."""
    long = _labelled(_parameters(inputs))
    parts = []
    for analyte in _analytes(inputs):
        of_analyte = long[long["PPCAT"] == analyte]
        if of_analyte.empty:
            continue
        table = []
        keys = ["group", "USUBJID", "AVISIT"]
        for (group, subject, visit), rows in of_analyte.groupby(keys, sort=False):
            values = {
                row["PARAM"]: f">= {row['PPORRES']:.12g}" if row["bound"] else row["PPORRES"]
                for row in rows.to_dict("records")
            }
            table.append({"TRT01A": group, "USUBJID": subject, "AVISIT": visit} | values)
        frame = DataFrame(table)
        order = {group: k for k, group in enumerate(_ordered(inputs, frame["TRT01A"].tolist()))}
        frame = frame.sort_values("TRT01A", key=lambda c: c.map(order), kind="stable", ignore_index=True)
        note = "An empty cell has its reason in the columns *_reason of kinetics nca --out FILE.csv."
        parts.append(_Part(analyte, TlgTable(analyte, frame, (note,))))
    return parts


def _dose_proportionality(inputs: TlgInputs) -> list[_Part]:
    """pkpg02: exposure of each subject against dose on log axes, with the power model."""
    table = nca(inputs.study, analyte=inputs.analyte, rules=inputs.rules, by="course")
    figures = plot.dose_exposure_figures(inputs.study, exposures_of_table(table))
    return [_Part(name.removeprefix("dose_exposure_"), figure) for name, figure in figures.items()]


def _nothing(inputs: TlgInputs) -> list[_Part]:
    return []


# code -> title, what makes it, and why it is refused
TLG: dict[str, _Entry] = {
    "pkct01": _Entry("Summary Concentration Table", _concentrations),
    "pkpt03": _Entry("Summary PK Parameters Table, Statistics in Columns", _parameter_summary),
    "pkpt07": _Entry("Mean Dose-Normalized PK Parameters Table", _normalised_summary),
    "pkpg01": _Entry("Mean Cumulative Urine Amount", _nothing, _URINE),
    "pkpg02": _Entry("Dose-Proportionality Plot with Power-Model Regression", _dose_proportionality),
    "pkpl01": _Entry("Listing of Individual PK Parameters", _listing),
    "pkcl02": _Entry("Urine Concentration and Volume Listing", _nothing, _URINE),
}
