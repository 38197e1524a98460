"""One HTML page of a dose decision: what is recommended, every piece of evidence for it, and where each came
from.

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
_HEADS = {
    "level": "Level", "dose": "Dose", "subjects": "Treated", "evaluable": "Evaluable", "dlts": "DLTs",
    "blrm_mean": "P(DLT), BLRM", "p_under": "P(under)", "p_target": "P(in target)", "p_over": "P(overdose)",
    "dlt_median": "P(DLT), by exposure", "crs_3_median": "P(CRS ≥ 3)", "response_median": "P(response)",
    "utility": "Utility", "p_best": "P(best), allowed", "p_best_of_all": "P(best), all",
    "or_per_doubling": "Odds ratio for twice the exposure", "prior_or": "Prior", "p_positive": "P(slope > 0)",
    "learnt": "Learnt", "by_grade": "Subjects by grade", "prior_source": "Source of the prior", "of": "Of",
    "still_allowed": "Still allowed",
}  # fmt: skip


def recommendation_page(
    found: Recommendation, names: Sequence[str], *, to: str | Path, study: Study | None = None,
    level_column: str = "dose_level",
) -> Path:  # fmt: skip
    """Write the page to the file `to`, whole or not at all; returns its path. `names` are the levels', lowest
    first.

    With the `study`, exposures are drawn against the subjects' doses, `level_column` of subjects.csv.

    >>> study, protocol = kn.read_study("nkg2d_phase1_synthetic"), kn.read_protocol("nkg2d_phase1_synthetic")
    >>> names = [protocol.level_name(level) for level in (1, 2, 3, 4)]
    >>> kn.pages.recommendation_page(kn.recommend(study, protocol), names, to="decision.html").name
    'decision.html'
    """
    verdict = f"RP2D: {names[found.rp2d - 1]}" if found.rp2d else "No dose is recommended"
    return write_page(
        "recommendation.html",
        to,
        synthetic=found.synthetic,
        found=found,
        verdict=verdict + (", below the MTD: a conflict" if found.state == "conflict" else ""),
        cautions=list(_cautions(found)),
        sections=list(_sections(found, list(names), _dose_exposure(found, study, level_column))),
    )


def _cautions(found: Recommendation) -> Iterator[str]:
    if found.synthetic:
        yield "The data are synthetic: they were simulated, and no patient stands behind any number here."
    guesses = sorted(
        {k for r in found.regressions.values() for k, p in r.priors.items() if p.source == GUESS}
    )
    if guesses:
        yield f"Priors of the slopes on {', '.join(guesses)} are design guesses, not published values."
    if found.audit.get("fit_checks") == "failed":
        yield "The fit behind the exposures did not pass its checks: do not use what leans on it."
    if found.regressions and "fit" not in found.audit:
        yield "Exposures are those of the samples, taken as exact; new patients come of a power model of dose alone."
    if not found.regressions:
        yield "No exposure was given: nothing but DLTs was weighed."


def _dose_exposure(found: Recommendation, study: Study | None, by: str) -> list[Figure]:
    if study is None or found.as_dosed is None:
        return []
    figures = dose_exposure_figures(study, found.as_dosed, by=by).values()
    return [figure for figure in figures if isinstance(figure, Figure)]


def _sections(found: Recommendation, names: list[str], drawn: list[Figure]) -> Iterator[Section]:
    decision = Section("decision", "Dosage decision")
    add_figure(decision, plot_dose_decision(found, names, FEASIBLE))
    decision.tables += _levels(found, names)
    yield decision
    if len(found.proportionality) or drawn:
        pharmacokinetics = Section("pharmacokinetics", "Pharmacokinetic characteristics")
        pharmacokinetics.words.append(
            "Exposure goes with dose to the power b; 1 is proportional. The CV is of patients at one dose."
        )
        if len(found.proportionality):
            pharmacokinetics.tables.append(
                _table("Dose proportionality, median and 90 % interval", found.proportionality)
            )
        for figure in drawn:
            add_figure(pharmacokinetics, figure)
        yield pharmacokinetics
    if found.regressions:
        yield _exposure_response(found)
    safety = Section("safety", "Safety")
    safety.words.append(
        "DLTs are those that the protocol's window, clock and evaluability count; none is converted."
    )
    whole = found.outcomes.astype({k: "Int64" for k in ("dlt", "crs", "response")})
    safety.tables.append(
        _table("Subjects, level, DLT (1: yes), worst CRS grade, response (1: CR or PR)", whole)
    )
    safety.tables.append(_table("What three more patients would make of it", found.next_patients))
    yield safety
    if len(found.strata):
        activity = Section("activity", "Activity and safety, by stratum")
        activity.words.append(
            "Exact intervals (Clopper-Pearson). Strata this small show only large differences."
        )
        activity.tables.append(
            _table("Response, disease control, DLTs and grade 3 or more by stratum", found.strata)
        )
        yield activity
    if len(found.sensitivity):
        choice = Section("utility", "What the decision owes to the weights")
        choice.tables.append(_table("Other weights of the four outcomes", found.sensitivity))
        yield choice
    audit = Section("audit", "Audit trail")
    table = Table("Inputs, rule and versions", ["What", "Value"], [False, False])
    table.rows = [[table.cell(k), table.cell(str(v), mark="code")] for k, v in found.audit.items()]
    audit.tables.append(table)
    yield audit


def _levels(found: Recommendation, names: list[str]) -> list[Table]:
    """The levels by the rule and the BLRM, and by what exposure-response adds, an interval joined to its
    middle.
    """
    table = found.levels
    counted = table[["level", "subjects", "evaluable", "dlts", "blrm_mean", "p_under", "p_target", "p_over"]]
    tables = [
        _table("Every level: the rule's counts and the BLRM of the same DLTs", counted.assign(level=names))
    ]
    added = DataFrame({"level": names})
    for key in ("dlt", "crs_3", "response"):
        if f"{key}_median" in table:
            three = table[[f"{key}_median", f"{key}_lower", f"{key}_upper"]].itertuples(index=False)
            added[f"{key}_median"] = [f"{m:.2f} ({low:.2f} to {high:.2f})" for m, low, high in three]
    columns = [str(c) for c in table.columns]
    for key in columns[columns.index("p_over") + 1 :]:
        if not key.endswith(("_median", "_lower", "_upper")):
            added[key] = table[key].to_numpy()
    if len(added.columns) > 1:
        tables.append(
            _table("Every level: a new patient's chances (median, 90 %), and what they are worth", added)
        )
    return tables


def _table(caption: str, rows: DataFrame) -> Table:
    heads = [_HEADS.get(str(c), str(c).replace("_", " ")) for c in rows.columns]
    table = Table(caption, heads, [rows[c].dtype.kind in "fiu" for c in rows.columns])
    for row in rows.itertuples(index=False):
        cells = []
        for value in row:
            missing = value is NA or (isinstance(value, float) and value != value)
            cells.append(
                table.cell(
                    None if missing else value,
                    "not evaluable, not assessed or not asked for" if missing else "",
                )
            )
        table.rows.append(cells)
    return table


def _exposure_response(found: Recommendation) -> Section:
    section = Section("exposure_response", "Dose- and exposure-response")
    section.words.append(
        "A subject's exposure is its posterior, not a point: the line of each holds 90 % of its draws, and the "
        "regression weighs all of them. Where little is learnt, the slope is the prior's."
    )
    assert found.as_dosed is not None
    section.tables.append(_table("Odds ratios", found.slopes))
    for name, regression in found.regressions.items():
        title, grade = _OUTCOMES[name]
        own = found.outcomes[found.outcomes[name].notna()]
        own = own[own["subject"].isin(found.as_dosed.subjects)]
        subjects = own["subject"].tolist()
        values = found.as_dosed.of(subjects)
        for exposure in regression.priors:
            if exposure in values:
                figure = plot_exposure_response(
                    regression,
                    exposure,
                    own[name].to_numpy(float),
                    values[exposure],
                    subjects=subjects,
                    title=f"{title} against {exposure.replace('_', ' ')}",
                    grade=grade,
                    unit=found.as_dosed.units[exposure],
                    synthetic=found.synthetic,
                    study=found.study,
                )
                add_figure(section, figure)
    return section
