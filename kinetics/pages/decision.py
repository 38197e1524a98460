"""A dose decision as one HTML page: what is recommended, the evidence for it, and where each piece came from.

The headings follow those of the evidence table in FDA's Oncology Dosing Tool Kit; no compliance is claimed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pandas import NA, DataFrame
from plotly.graph_objects import Figure

from kinetics.decision import FEASIBLE, GUESS, Recommendation
from kinetics.pages.page import Section, Table, add_figure, write_page
from kinetics.plot import dose_exposure_figures, plot_dose_decision, plot_exposure_response
from kinetics.study import Study

__all__ = ["recommendation_page"]

_OUTCOMES = {"crs": ("CRS of grade 3 or more", 3), "dlt": ("DLT", 1), "response": ("Response (CR or PR)", 1)}
_HEADS = {  # column -> heading
    "level": "Level",
    "dose": "Dose",
    "subjects": "Treated",
    "evaluable": "Evaluable",
    "dlts": "DLTs",
    "blrm_mean": "P(DLT), BLRM",
    "p_under": "P(under)",
    "p_target": "P(in target)",
    "p_over": "P(overdose)",
    "dlt_median": "P(DLT), by exposure",
    "crs_3_median": "P(CRS ≥ 3)",
    "response_median": "P(response)",
    "utility": "Utility",
    "p_best": "P(best), allowed",
    "p_best_of_all": "P(best), all",
    "or_per_doubling": "Odds ratio for twice the exposure",
    "prior_or": "Prior",
    "p_positive": "P(slope > 0)",
    "learnt": "Learnt",
    "by_grade": "Subjects by grade",
    "prior_source": "Source of the prior",
    "of": "Of",
    "still_allowed": "Still allowed",
}


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
    verdict = "No dose is recommended"
    if recommendation.rp2d:
        verdict = f"RP2D: {names[recommendation.rp2d - 1]}"
    if recommendation.state == "conflict":
        verdict += ", below the MTD: a conflict"
    dose_exposure = _dose_exposure(recommendation, study, level_column)
    return write_page(
        "recommendation.html",
        to,
        synthetic=recommendation.synthetic,
        found=recommendation,
        verdict=verdict,
        cautions=list(_cautions(recommendation)),
        sections=list(_sections(recommendation, list(names), dose_exposure)),
    )


def _cautions(recommendation: Recommendation) -> Iterator[str]:
    """What to keep in mind with any number of the page."""
    regressions = recommendation.regressions
    if recommendation.synthetic:
        yield "The data are synthetic: they were simulated, and no patient stands behind any number here."
    guesses = set()
    for regression in regressions.values():
        guesses |= {exposure for exposure, prior in regression.priors.items() if prior.source == GUESS}
    if guesses:
        names = ", ".join(sorted(guesses))
        yield f"Priors of the slopes on {names} are design guesses, not published values."
    if recommendation.audit.get("fit_checks") == "failed":
        yield "The fit behind the exposures did not pass its checks: do not use what leans on it."
    if regressions and "fit" not in recommendation.audit:
        yield (
            "Exposures are those of the samples, taken as exact; "
            "new patients come of a power model of dose alone."
        )
    if not regressions:
        yield "No exposure was given: nothing but DLTs was weighed."


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
    decision = Section("decision", "Dosage decision")
    add_figure(decision, plot_dose_decision(recommendation, names, FEASIBLE))
    decision.tables += _levels(recommendation, names)
    yield decision
    if len(recommendation.proportionality) or dose_exposure:
        yield _pharmacokinetics(recommendation, dose_exposure)
    if recommendation.regressions:
        yield _exposure_response(recommendation)
    yield _safety(recommendation)
    if len(recommendation.strata):
        activity = Section("activity", "Activity and safety, by stratum")
        activity.words.append(
            "Exact intervals (Clopper-Pearson). Strata this small show only large differences."
        )
        caption = "Response, disease control, DLTs and grade 3 or more by stratum"
        activity.tables.append(_table(caption, recommendation.strata))
        yield activity
    if len(recommendation.sensitivity):
        utility = Section("utility", "What the decision owes to the weights")
        utility.tables.append(_table("Other weights of the four outcomes", recommendation.sensitivity))
        yield utility
    audit = Section("audit", "Audit trail")
    table = Table("Inputs, rule and versions", ["What", "Value"], [False, False])
    for name, value in recommendation.audit.items():
        table.rows.append([table.cell(name), table.cell(str(value), mark="code")])
    audit.tables.append(table)
    yield audit


def _pharmacokinetics(recommendation: Recommendation, dose_exposure: list[Figure]) -> Section:
    """The section on exposure and dose."""
    section = Section("pharmacokinetics", "Pharmacokinetic characteristics")
    section.words.append(
        "Exposure goes with dose to the power b; 1 is proportional. The CV is of patients at one dose."
    )
    if len(recommendation.proportionality):
        caption = "Dose proportionality, median and 90 % interval"
        section.tables.append(_table(caption, recommendation.proportionality))
    for figure in dose_exposure:
        add_figure(section, figure)
    return section


def _safety(recommendation: Recommendation) -> Section:
    """The section on the DLTs: the outcome of each subject, and what three more patients would change."""
    section = Section("safety", "Safety")
    section.words.append(
        "DLTs are those that the protocol's window, clock and evaluability count; none is converted."
    )
    outcomes = recommendation.outcomes.astype({k: "Int64" for k in ("dlt", "crs", "response")})
    caption = "Subjects, level, DLT (1: yes), worst CRS grade, response (1: CR or PR)"
    section.tables.append(_table(caption, outcomes))
    section.tables.append(_table("What three more patients would make of it", recommendation.next_patients))
    return section


def _levels(recommendation: Recommendation, names: list[str]) -> list[Table]:
    """A table of the levels by the rule and the BLRM, and one of what exposure-response adds, if anything."""
    levels = recommendation.levels
    by_rule = levels[["level", "subjects", "evaluable", "dlts", "blrm_mean", "p_under", "p_target", "p_over"]]
    caption = "Every level: the rule's counts and the BLRM of the same DLTs"
    tables = [_table(caption, by_rule.assign(level=names))]
    added = DataFrame({"level": names})
    # Each chance with its interval as one text.
    for key in ("dlt", "crs_3", "response"):
        if f"{key}_median" in levels:
            quantiles = levels[[f"{key}_median", f"{key}_lower", f"{key}_upper"]].itertuples(index=False)
            added[f"{key}_median"] = [f"{m:.2f} ({low:.2f} to {high:.2f})" for m, low, high in quantiles]
    # The columns that follow those of the BLRM.
    columns = [str(c) for c in levels.columns]
    for key in columns[columns.index("p_over") + 1 :]:
        if not key.endswith(("_median", "_lower", "_upper")):
            added[key] = levels[key].to_numpy()
    if len(added.columns) > 1:
        caption = "Every level: a new patient's chances (median, 90 %), and what they are worth"
        tables.append(_table(caption, added))
    return tables


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


def _exposure_response(recommendation: Recommendation) -> Section:
    """The section on exposure-response: the odds ratios, and a figure for each outcome and exposure."""
    exposures = recommendation.as_dosed
    assert exposures is not None
    section = Section("exposure_response", "Dose- and exposure-response")
    section.words.append(
        "A subject's exposure is its posterior, not a point: the line of each holds 90 % of its draws, "
        "and the regression weighs all of them. Where little is learnt, the slope is the prior's."
    )
    section.tables.append(_table("Odds ratios", recommendation.slopes))
    for name, regression in recommendation.regressions.items():
        title, grade = _OUTCOMES[name]
        outcomes = recommendation.outcomes[recommendation.outcomes[name].notna()]
        outcomes = outcomes[outcomes["subject"].isin(exposures.subjects)]
        subjects = outcomes["subject"].tolist()
        values = exposures.of(subjects)
        for exposure in regression.priors:
            if exposure in values:
                figure = plot_exposure_response(
                    regression,
                    exposure,
                    outcomes[name].to_numpy(float),
                    values[exposure],
                    subjects=subjects,
                    title=f"{title} against {exposure.replace('_', ' ')}",
                    grade=grade,
                    unit=exposures.units[exposure],
                    synthetic=recommendation.synthetic,
                    study=recommendation.study,
                )
                add_figure(section, figure)
    return section
