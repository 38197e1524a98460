"""A dose decision as one HTML page: what to do, why, how sure, and where each piece of it came from.

The first screen is for the physician who decides: the sentences, one table of the levels, and a place to
sign; it is what a printed page shows. The rest is the evidence. The headings follow those of the evidence
table in FDA's Oncology Dosing Tool Kit; no compliance is claimed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pandas import DataFrame, isna
from plotly.graph_objects import Figure

from kinetics.arguments import require
from kinetics.decision import GUESS, Quantity, Recommendation, counted_analytes, percent
from kinetics.errors import StudyError
from kinetics.pages.page import Section, Table, add_figure, write_page
from kinetics.plot import (
    plot_dose_decision,
    plot_dose_exposure,
    plot_exposure_response,
    unit_text,
)
from kinetics.study import Study

__all__ = ["recommendation_page"]

_OUTCOMES = {"crs": ("CRS of grade 3 or more", 3), "dlt": ("DLT", 1), "response": ("Response (CR or PR)", 1)}
_RATES = {"orr": "response (CR or PR)", "dcr": "disease control", "dlt": "DLT"}
_SYSTEMS = {"astct_2019": "ASTCT 2019", "ctcae_v4": "CTCAE v4", "ctcae_v5": "CTCAE v5"}
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
        level = names[_asked(recommendation) - 1]
        caption = (
            f"Three more patients at {level}, responses awaited. A level that its DLTs close is not treated"
        )
        tables.append(_plain_table(caption, more))
    dose_exposure = _dose_exposure(recommendation, study, level_column)
    return write_page(
        "recommendation.html",
        to,
        synthetic=recommendation.synthetic,
        found=recommendation,
        verdict=_unbroken(first.removesuffix(".")),
        points=[_unbroken(sentence) for sentence in others],
        tables=tables,
        cautions=list(_cautions(recommendation)),
        sections=list(_sections(recommendation, list(names), dose_exposure)),
    )


def _unbroken(sentence: str) -> str:
    """The sentence without a line break before a percent sign."""
    return sentence.replace(" %", "\N{NO-BREAK SPACE}%")


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
    """The figure of exposures against doses; none without a study, or where too few subjects have any."""
    exposures = recommendation.as_dosed
    if study is None or exposures is None:
        return []
    counted = counted_analytes(study)
    names = [n for n, q in exposures.quantities.items() if q.analyte in counted and not q.site]
    names = [name for name in names if name in exposures.values]
    try:
        return [plot_dose_exposure(study, exposures, names, by=by)] if names else []
    except StudyError:
        return []


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
            "Exact 95 % intervals (Clopper-Pearson). Strata this small show only large differences."
        )
        activity.tables.append(_strata(recommendation))
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


def _strata(recommendation: Recommendation) -> Table:
    """Rates by stratum, as fractions and in percent."""
    rows = []
    for row in recommendation.strata.to_dict("records"):
        rate = "nobody to count"
        if row["n"]:
            rate = f"{percent(row['estimate'])} ({100 * row['lower']:.0f} to {100 * row['upper']:.0f})"
        rows.append(
            {
                "Covariate": row["by"].replace("_", " "),
                "Stratum": row["stratum"],
                "What": _rate_name(row["rate"]),
                "Patients": f"{row['events']} of {row['n']}",
                "Rate": rate,
            }
        )
    return _plain_table("Response, disease control, DLTs and severe toxicity by stratum", DataFrame(rows))


def _rate_name(rate: str) -> str:
    """A rate in words: `toxicity of grade 3 or more (ASTCT 2019)`."""
    kind, _, system = rate.partition(" ")
    if kind == "grade_3_or_more":
        return f"toxicity of grade 3 or more ({_SYSTEMS.get(system, system.replace('_', ' '))})"
    return _RATES.get(rate, rate.replace("_", " "))


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
        "Exposure goes with dose to the power b; 1 is proportional. The CV is of patients at one dose. These "
        "are whole exposures. The joint model takes a peak only up to a landmark or the event, because what "
        "follows may be its consequence."
    )
    if len(recommendation.proportionality):
        caption = "Dose proportionality, median and 90 % interval"
        rows = [
            {
                "Exposure": _label(recommendation, row["exposure"]),
                "Unit": unit_text(row["unit"]),
                "Patients": row["n"],
                "Power b": _estimate(row["b"], row["lower"], row["upper"]),
                "CV": f"{row['geometric_cv_percent']:.0f} %",
            }
            for row in recommendation.proportionality.to_dict("records")
        ]
        section.tables.append(_plain_table(caption, DataFrame(rows)))
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
    section.tables.append(_odds_ratios(recommendation))
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


def _odds_ratios(recommendation: Recommendation) -> Table:
    """The slopes as odds ratios for twice the exposure, with their priors."""
    rows = [
        {
            "Outcome": "CRS, by grade" if row["outcome"] == "crs" else _OUTCOMES[row["outcome"]][0],
            "Exposure": _label(recommendation, row["exposure"]),
            "Patients": row["n"],
            "Odds ratio": _estimate(row["or_per_doubling"], row["lower"], row["upper"]),
            "Prior": _estimate(row["prior_or"], row["prior_lower"], row["prior_upper"]),
            "P(above 1)": percent(row["p_positive"]),
            "Learnt": percent(max(row["learnt"], 0.0)),
        }
        for row in recommendation.slopes.to_dict("records")
    ]
    caption = (
        "Odds ratios for twice the exposure, with 90 % intervals. Learnt: how much narrower than the prior"
    )
    return _plain_table(caption, DataFrame(rows))


def _estimate(middle: float, lower: float, upper: float) -> str:
    """An estimate with its interval, at two decimals: `0.84 (−0.23 to 1.43)`."""
    return f"{middle:.2f} ({lower:.2f} to {upper:.2f})".replace("-", "−")


def _label(recommendation: Recommendation, exposure: str) -> str:
    """An exposure in words: `Cmax of CAR copies`."""
    exposures = recommendation.as_dosed
    quantity = None if exposures is None else exposures.quantities.get(exposure)
    if quantity is None:
        return exposure.replace("_", " ")
    return f"{'Cmax' if quantity.of == 'peak' else 'AUC0–28d'} of {_name(quantity)}"


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
