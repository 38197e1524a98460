"""A dose decision as one HTML page: what to do, why, how sure, and where each piece of it came from.

The first screen is for the physician who decides: the sentences, one table of the levels, and a place to
sign; it is what a printed page shows. The rest is the evidence. The headings follow those of the evidence
table in FDA's Oncology Dosing Tool Kit; no compliance is claimed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pandas import NA, DataFrame, isna
from plotly.graph_objects import Figure

from kinetics.arguments import require
from kinetics.decision import GUESS, Quantity, Recommendation, percent
from kinetics.pages.page import Section, Table, add_figure, write_page
from kinetics.plot import dose_exposure_figures, plot_dose_decision, plot_exposure_response
from kinetics.study import Study

__all__ = ["recommendation_page"]

_OUTCOMES = {"crs": ("CRS of grade 3 or more", 3), "dlt": ("DLT", 1), "response": ("Response (CR or PR)", 1)}
_HEADS = {  # column -> heading
    "or_per_doubling": "Odds ratio for twice the exposure",
    "prior_or": "Prior",
    "p_positive": "P(slope > 0)",
    "learnt": "Learnt",
    "by_grade": "Subjects by grade 0, 1, 2, 3",
    "geometric_cv_percent": "CV between patients, %",
    "b": "Power of dose",
    "orr": "Response",
    "dcr": "Disease control",
}
_WORDS = {"orr": "response", "dcr": "disease control", "grade_3_or_more": "grade 3 or more"}
_NAMES = {"il6": "IL-6", "ifn_gamma": "IFN-gamma", "crp": "CRP", "nk_cells": "NK cells", "t_cells": "T cells"}


def recommendation_page(
    recommendation: Recommendation,
    names: Sequence[str],
    *,
    to: str | Path,
    study: Study | None = None,
    level_column: str = "dose_level",
) -> Path:
    """Write the page of a dose decision to the file `to`, whole or not at all; return its path.

    `recommendation` is what `kinetics.recommend` returns. `names` are the names of the levels, lowest first.
    With a `study` the page shows its exposures against the subjects' doses, the column `level_column` of
    subjects.csv.

    >>> study, protocol = kn.read_study("nkg2d_phase1_synthetic"), kn.read_protocol("nkg2d_phase1_synthetic")
    >>> names = [protocol.level_name(level) for level in (1, 2, 3, 4)]
    >>> kn.pages.recommendation_page(kn.recommend(study, protocol), names, to="decision.html").name
    'decision.html'
    """
    require(recommendation=(recommendation, Recommendation))
    first, *others = recommendation.sentences
    limit = percent(recommendation.joint.posterior.limit)
    caption = f"Every level, with 90 % intervals. Too toxic: P(DLT rate above {limit})"
    tables = [_plain_table(caption, recommendation.levels_in_words(names))]
    more = recommendation.next_in_words()
    if len(more):
        tables.append(_plain_table(f"Three more patients at {names[_asked(recommendation) - 1]}", more))
    dose_exposure = _dose_exposure(recommendation, study, level_column)
    return write_page(
        "recommendation.html",
        to,
        synthetic=recommendation.synthetic,
        found=recommendation,
        verdict=first.removesuffix("."),
        points=others,
        tables=tables,
        cautions=list(_cautions(recommendation)),
        sections=list(_sections(recommendation, list(names), dose_exposure)),
    )


def _asked(recommendation: Recommendation) -> int:
    """The level of the three more patients."""
    return int(recommendation.next_patients["level"].iloc[0])


def _cautions(recommendation: Recommendation) -> Iterator[str]:
    """What to keep in mind with any number of the page."""
    if recommendation.synthetic:
        yield "The data are synthetic: they were simulated, and no patient stands behind any number here."
    yield "The joint model's priors are guesses, chosen on simulated trials; the audit trail prints them."
    if recommendation.audit.get("fit_checks") == "failed":
        yield "The fit behind the exposures did not pass its checks: do not use what leans on it."


def _dose_exposure(recommendation: Recommendation, study: Study | None, by: str) -> list[Figure]:
    """The figures of exposures against doses; none without a study or without exposures."""
    if study is None or recommendation.as_dosed is None:
        return []
    figures = dose_exposure_figures(study, recommendation.as_dosed, by=by).values()
    return [figure for figure in figures if isinstance(figure, Figure)]


def _sections(
    recommendation: Recommendation, names: list[str], dose_exposure: list[Figure]
) -> Iterator[Section]:
    """The sections of the page in their order; a section without content is left out."""
    decision = Section("decision", "The levels compared")
    add_figure(decision, plot_dose_decision(recommendation, names))
    if len(recommendation.sensitivity):
        decision.words.append("Utility is the mean weight of a patient's outcome, 0 to 100.")
        decision.tables.append(_weights(recommendation, names))
    yield decision
    yield _patients(recommendation, names)
    if len(recommendation.strata):
        activity = Section("activity", "Activity and safety, by stratum")
        activity.words.append(
            "Exact intervals (Clopper-Pearson). Strata this small show only large differences."
        )
        caption = "Response, disease control, DLTs and grade 3 or more by stratum"
        activity.tables.append(_table(caption, recommendation.strata.replace(_WORDS)))
        yield activity
    if len(recommendation.proportionality) or dose_exposure:
        yield _pharmacokinetics(recommendation, dose_exposure)
    if recommendation.regressions:
        yield _exposure_response(recommendation)
    audit = Section("audit", "Audit trail")
    table = Table("Inputs, rule and versions", ["What", "Value"], [False, False])
    for name, value in recommendation.audit.items():
        table.rows.append([table.cell(name.replace("_", " ")), table.cell(str(value), mark="code")])
    audit.tables.append(table)
    yield audit


def _weights(recommendation: Recommendation, names: Sequence[str]) -> Table:
    """The level that other weights of the four outcomes would choose."""
    table = recommendation.sensitivity
    rows = DataFrame(
        {
            "Weights": table["weights"],
            "Response, no DLT": table["response_without_dlt"].round().astype(int),
            "Response and DLT": table["response_with_dlt"].round().astype(int),
            "Neither": table["neither"].round().astype(int),
            "DLT, no response": table["dlt_without_response"].round().astype(int),
            "Level": [names[level - 1] for level in table["level"]],
            "P(best)": [f"{100 * p:.0f} %" for p in table["p_best"]],
        }
    )
    return _plain_table("What other weights of the outcomes would choose", rows)


def _patients(recommendation: Recommendation, names: Sequence[str]) -> Section:
    """The section on the outcomes of each subject."""
    section = Section("patients", "Every patient")
    section.words.append(
        "DLTs are those that the protocol's window, clock and evaluability count. A response or a DLT that "
        "may still come counts as neither yes nor no."
    )
    rows = [
        {
            "Subject": row["subject"],
            "Level": names[row["level"] - 1],
            "DLT": _yes(row["dlt"], "not known"),
            "Worst CRS grade": "not graded" if isna(row["crs"]) else f"{row['crs']:.0f}",
            "Response (CR or PR)": _yes(row["response"], "awaited"),
        }
        for row in recommendation.outcomes.to_dict("records")
    ]
    section.tables.append(_plain_table("What was seen of each patient", DataFrame(rows)))
    return section


def _yes(value: float, unknown: str) -> str:
    if isna(value):
        return unknown
    return "yes" if value else "no"


def _pharmacokinetics(recommendation: Recommendation, dose_exposure: list[Figure]) -> Section:
    """The section on exposure and dose."""
    section = Section("pharmacokinetics", "Pharmacokinetic characteristics")
    section.words.append(
        "Exposure goes with dose to the power b; 1 is proportional. The CV is of patients at one dose."
    )
    if len(recommendation.proportionality):
        caption = "Dose proportionality, median and 90 % interval"
        table = recommendation.proportionality
        labels = [_label(recommendation, name) for name in table["exposure"]]
        section.tables.append(_table(caption, table.assign(exposure=labels)))
    for figure in dose_exposure:
        add_figure(section, figure)
    return section


def _exposure_response(recommendation: Recommendation) -> Section:
    """The section on exposure-response: the odds ratios, and a figure for each outcome and exposure."""
    exposures = recommendation.as_dosed
    assert exposures is not None
    section = Section("exposure_response", "Exposure-response")
    uncertain = any(len(values) > 1 for values in exposures.values.values())
    said = "Exposures are those of the samples, taken as exact."
    if uncertain:
        said = "A subject's exposure is uncertain: its line holds 90 % of the draws, and all of them weigh."
    section.words.append(
        f"{said} These regressions show what exposure explains; the decision does not rest on them. Where "
        "little is learnt, the slope is the prior's, which is a guess."
    )
    columns = ["outcome", "exposure", "n", "or_per_doubling", "lower", "upper", "p_positive", "learnt"]
    slopes = recommendation.slopes[columns]
    labels = [_label(recommendation, name) for name in slopes["exposure"]]
    outcomes = [_OUTCOMES[name][0] for name in slopes["outcome"]]
    section.tables.append(_table("Odds ratios", slopes.assign(exposure=labels, outcome=outcomes)))
    for name, regression in recommendation.regressions.items():
        title, grade = _OUTCOMES[name]
        outcomes = recommendation.outcomes[recommendation.outcomes[name].notna()]
        outcomes = outcomes[outcomes["subject"].isin(exposures.subjects)]
        subjects = outcomes["subject"].tolist()
        values = exposures.of(subjects)
        for exposure, prior in regression.priors.items():
            if exposure not in values:
                continue
            assert prior.source == GUESS
            figure = plot_exposure_response(
                regression,
                exposure,
                outcomes[name].to_numpy(float),
                values[exposure],
                subjects=subjects,
                title=f"{title} and {_label(recommendation, exposure)}",
                grade=grade,
                unit=exposures.units[exposure],
                label=_label(recommendation, exposure),
                synthetic=recommendation.synthetic,
                study=recommendation.study,
            )
            add_figure(section, figure)
    return section


def _label(recommendation: Recommendation, exposure: str) -> str:
    """An exposure in words: `peak of CAR copies`."""
    exposures = recommendation.as_dosed
    quantity = None if exposures is None else exposures.quantities.get(exposure)
    if quantity is None:
        return exposure.replace("_", " ")
    return f"{'peak' if quantity.of == 'peak' else 'area, 0 to 28 days,'} of {_name(quantity)}"


def _name(quantity: Quantity) -> str:
    name = _NAMES.get(quantity.analyte)
    if name is None:
        name = quantity.analyte.replace("_", " ").replace("car ", "CAR ")
    return f"{name} in the {quantity.site.replace('_', ' ')}" if quantity.site else name


def _plain_table(caption: str, rows: DataFrame) -> Table:
    """A table whose headings are already words and whose cells are already text."""
    heads = [str(c)[:1].upper() + str(c)[1:] for c in rows.columns]
    table = Table(caption, heads, [rows[c].dtype.kind in "fiu" for c in rows.columns])
    table.rows = [[table.cell(value) for value in row] for row in rows.itertuples(index=False)]
    return table


def _table(caption: str, rows: DataFrame) -> Table:
    """The rows as a table of the page; a missing value is a dash with a footnote."""
    heads = [_HEADS.get(str(c), str(c).replace("_", " ")) for c in rows.columns]
    table = Table(caption, heads, [rows[c].dtype.kind in "fiu" for c in rows.columns])
    for row in rows.itertuples(index=False):
        cells = []
        for value in row:
            missing = value is NA or (isinstance(value, float) and value != value)
            if missing:
                cells.append(table.cell(None, "not evaluable, not assessed or not asked for"))
            else:
                cells.append(table.cell(value))
        table.rows.append(cells)
    return table
