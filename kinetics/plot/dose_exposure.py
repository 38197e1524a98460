"""Each subject's exposure against its dose, with the power model of dose and its bands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas import DataFrame
from plotly.graph_objects import Figure, Scatter
from plotly.subplots import make_subplots

from kinetics.decision import (
    Exposures,
    counted_analytes,
    levels_of,
    power_curve,
    proportionality_table,
    usable_exposures,
)
from kinetics.errors import Problem, StudyError
from kinetics.inference import Fit
from kinetics.plot.frame import (
    GREY,
    INK,
    PALETTE,
    analyte_title,
    faint,
    finish,
    log_range,
    number_text,
    unit_text,
    value_axis,
)
from kinetics.study import Study

__all__ = ["dose_exposure_figures", "plot_dose_exposure"]

_LINE = {"mode": "lines", "hoverinfo": "skip"}


def plot_dose_exposure(
    study: Study,
    seen: Exposures,
    exposures: Sequence[str] | None = None,
    *,
    by: str = "dose_level",
    fit: Fit | None = None,
) -> Figure:
    """One panel an exposure (default all of `seen`): subjects at the dose of column `by`, and the power
    model's line.

    `seen` holds the exposures (draw, subject) in their units: of samples (`exposures_from_samples`), or of a
    `fit` (`exposures_as_dosed`, `exposures_of_table`), whose subjects then have lines that hold 90 % of their
    draws. Bands hold 90 % of the draws of the middle patient and 90 % of new patients. A Cmax has the LLOQ of
    its analyte. StudyError where fewer than three subjects or only one dose are there to fit.

    >>> study, protocol = kn.read_study("nkg2d_phase1_synthetic"), kn.read_protocol("nkg2d_phase1_synthetic")
    >>> seen = kn.decision.exposures_from_samples(study, protocol)
    >>> len(kn.plot.plot_dose_exposure(study, seen, ["car_copies_cmax"]).data) > 3
    True
    """
    doses = levels_of(study, by)
    names = list(exposures or seen.values)
    columns = min(2, len(names))
    rows = -(-len(names) // columns)
    figure = make_subplots(
        rows,
        columns,
        horizontal_spacing=0.14,
        vertical_spacing=0.27 / rows,
        subplot_titles=[_panel_title(study, name) for name in names],
    )
    figure.update_annotations(font_size=13)
    curves = {name: _curve(seen, doses, name) for name in names}
    fitted = [name for name, curve in curves.items() if isinstance(curve, DataFrame)]
    if not fitted:
        raise StudyError(why for why in curves.values() if isinstance(why, Problem))
    for k, name in enumerate(names):
        where = {"row": k // columns + 1, "col": k % columns + 1}
        _add_panel(figure, study, seen, doses, name, curves[name], first=name == fitted[0], **where)
    _dose_axes(figure, study, doses, by)
    said = [
        *_said(study, seen, doses, names, fitted),
        f"Dose: column {by} of subjects.csv, as assigned, given or not.",
        "Power model: exposure ~ dose to the power b, 1 is proportional; prior of b about 1, a guess.",
    ]
    subtitle = "Points: subjects" + ("; lines: 90 % of a subject's draws" if _uncertain(seen) else "")
    plot = 300 * rows
    top = 140
    bottom = 104
    finish(
        figure,
        study,
        title="Dose and exposure",
        subtitle=subtitle,
        notes=said,
        fit=fit,
        height=plot + top + bottom + 15 * len(said),
        top=top,
        bottom=bottom,
    )
    key = {"orientation": "h", "x": 0, "y": 1 + 26 / plot, "yanchor": "bottom", "font": {"size": 12}}
    return figure.update_layout(legend=key)


def _said(
    study: Study, seen: Exposures, doses: Mapping[str, float], names: Sequence[str], fitted: Sequence[str]
) -> Iterator[str]:
    """The power models, and who is in none."""
    table = proportionality_table(seen.only(fitted), doses)
    yield from (_power_text(study, row) for row in table.to_dict("records"))
    for name in names:
        if name not in fitted:
            yield f"{_short(study, name)}: too few for a power model."
        without = len(seen.subjects) - len(usable_exposures(seen, doses, name)[0])
        if without:
            yield f"No {_short(study, name)}: {without} of {len(seen.subjects)} subjects."


def dose_exposure_figures(
    study: Study, seen: Exposures, *, by: str = "dose_level", fit: Fit | None = None
) -> dict[str, Figure | str]:
    """`dose_exposure_ANALYTE` -> the figure of its exposures, or why there is none; analytes of cells and
    cytokines.
    """
    found: dict[str, Figure | str] = {}
    for analyte in counted_analytes(study):
        own = [name for name in seen.values if _parts(study, name)[0] == analyte]
        if own:
            try:
                found[f"dose_exposure_{analyte}"] = plot_dose_exposure(study, seen, own, by=by, fit=fit)
            except StudyError as error:
                found[f"dose_exposure_{analyte}"] = "; ".join(str(error).splitlines())
    return found


def _uncertain(seen: Exposures) -> bool:
    return any(len(values) > 1 for values in seen.values.values())


def _add_panel(
    figure: Figure,
    study: Study,
    seen: Exposures,
    doses: Mapping[str, float],
    name: str,
    curve: DataFrame | Problem,
    *,
    first: bool,
    **where: Any,
) -> None:
    _, dose, values = usable_exposures(seen, doses, name)
    lloq = _lloq(study, name)
    ends = np.quantile(values, [0.05, 0.95], axis=0).ravel().tolist()
    ends += [lloq] if lloq else []
    if isinstance(curve, DataFrame):
        ends += [curve["new_lower"].min(), curve["new_upper"].max()]
        _add_curve(figure, curve, first=first, **where)
    if len(dose):
        _add_subjects(figure, seen, doses, name, **where)
    if lloq:
        _add_lloq(figure, list(doses.values()), lloq, **where)
    title = _axis_title(study, seen, name)
    figure.update_yaxes(title_text=title, **value_axis(log_range(ends), log=True), **where)


def _curve(seen: Exposures, doses: Mapping[str, float], name: str) -> DataFrame | Problem:
    """The power model's curve, or why there is none."""
    try:
        return power_curve(seen, doses, name)
    except StudyError as error:
        return error.problems[0]


def _add_curve(figure: Figure, curve: DataFrame, *, first: bool, **where: Any) -> None:
    """Both bands, the line, and the line that is proportional to dose."""
    for kind, opacity, text in (
        ("new_", 0.13, "90 % of new patients"),
        ("", 0.3, "the middle patient, 90 %"),
    ):
        x = curve["dose"].to_numpy()
        colour = PALETTE[0]
        edges = [curve[f"{kind}upper"].to_numpy(), curve[f"{kind}lower"].to_numpy()[::-1]]
        figure.add_trace(
            Scatter(
                x=np.concatenate([x, x[::-1]]),
                y=np.concatenate(edges),
                fill="toself",
                name=text,
                showlegend=first,
                legendgroup=text,
                fillcolor=faint(colour, opacity),
                line={"width": 0},
                meta={"role": f"{kind}band"},
                **_LINE,
            ),
            **where,
        )
    for role, y, style, text in (
        ("power", curve["median"].to_numpy(), {"color": PALETTE[0], "width": 2}, "power model"),
        (
            "proportional",
            _proportional(curve),
            {"color": GREY, "dash": "dot", "width": 1.4},
            "proportional to dose",
        ),
    ):
        figure.add_trace(
            Scatter(
                x=curve["dose"],
                y=y,
                line=style,
                name=text,
                legendgroup=text,
                showlegend=first,
                meta={"role": role},
                **_LINE,
            ),
            **where,
        )


def _proportional(curve: DataFrame) -> np.ndarray:
    """Through the model's middle, where its line is known best."""
    dose = curve["dose"].to_numpy()
    middle = len(curve) // 2
    return float(curve["median"].iloc[middle]) * dose / dose[middle]


def _add_subjects(
    figure: Figure, seen: Exposures, doses: Mapping[str, float], name: str, **where: Any
) -> None:
    """Each at its median; those of one dose side by side, in the order of the exposure."""
    subjects, dose, values = usable_exposures(seen, doses, name)
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95], axis=0)
    rank = pd.Series(middle).groupby(dose).rank(method="first").to_numpy()
    size = pd.Series(middle).groupby(dose).transform("size").to_numpy()
    aside = np.exp(0.025 * (rank - (size + 1) / 2))  # of the dose
    line = {"array": high - middle, "arrayminus": middle - low, "color": INK, "thickness": 1, "width": 0}
    figure.add_trace(
        Scatter(
            x=dose * aside,
            y=middle,
            mode="markers",
            text=subjects,
            customdata=dose,
            showlegend=False,
            marker={"color": INK, "size": 7},
            error_y=line if len(values) > 1 else None,
            hovertemplate="%{text}, dose %{customdata:.3g}: %{y:.3g}<extra></extra>",
            meta={"role": "subjects"},
        ),
        **where,
    )


def _add_lloq(figure: Figure, doses: list[float], lloq: float, **where: Any) -> None:
    text = f"LLOQ {number_text(lloq, trim=True)}"
    figure.add_trace(
        Scatter(
            x=[min(doses) / 1.25, max(doses) * 1.25],
            y=[lloq, lloq],
            mode="lines+text",
            text=["", text],
            textposition="top left",
            textfont={"size": 11, "color": GREY},
            hoverinfo="skip",
            showlegend=False,
            line={"color": GREY, "dash": "dash", "width": 1},
            meta={"role": "lloq"},
        ),
        **where,
    )


def _dose_axes(figure: Figure, study: Study, doses: Mapping[str, float], by: str) -> None:
    """A tick at every dose; where there are many, at powers of ten."""
    spec = study.dictionary.columns.subjects.get(by)
    label = (spec.label if spec else "") or by.replace("_", " ").capitalize()
    unit = unit_text((spec.unit or "") if spec else "")
    levels = sorted(set(doses.values()))
    ends = [np.log10(levels[0] / 1.25), np.log10(levels[-1] * 1.25)]
    ticks: dict[str, Any] = {"exponentformat": "power"}
    if len(levels) <= 8:
        ticks = {"tickvals": levels, "ticktext": [number_text(v, trim=True) for v in levels], "tickangle": 0}
    title = f"{label} ({unit})" if unit else label
    figure.update_xaxes(type="log", range=ends, title_text=title, **ticks)


def _parts(study: Study, name: str) -> tuple[str, str]:
    """(analyte, "cmax" or "auc_28d"), of an analyte of the study; else ("", name)."""
    for analyte in sorted(study.analytes, key=len, reverse=True):
        if name.startswith(f"{analyte}_") and name[len(analyte) + 1 :].partition("_")[0] in ("cmax", "auc"):
            return analyte, name[len(analyte) + 1 :]
    return "", name


def _lloq(study: Study, name: str) -> float | None:
    analyte, kind = _parts(study, name)
    return study.analytes[analyte].lloq if analyte and kind == "cmax" else None


def _words(kind: str) -> str:
    return "Cmax" if kind == "cmax" else f"AUC0–{kind.removeprefix('auc_')}"


def _short(study: Study, name: str) -> str:
    analyte, kind = _parts(study, name)
    return f"{_words(kind)} of {study.analytes[analyte].label}" if analyte else name.replace("_", " ")


def _panel_title(study: Study, name: str) -> str:
    """`CAR transgene, qPCR in blood`."""
    analyte, _ = _parts(study, name)
    return analyte_title(study, analyte).rpartition(" (")[0] if analyte else name.replace("_", " ")


def _axis_title(study: Study, seen: Exposures, name: str) -> str:
    """`AUC0–28d (day·cells/µL)`."""
    analyte, kind = _parts(study, name)
    unit = unit_text(seen.units[name])
    unit = f"day·{unit.removesuffix(' x day')}" if unit.endswith(" x day") else unit
    words = (
        _words(kind)
        if analyte
        else "Cmax"
        if name.endswith("_cmax")
        else "AUC"
        if "_auc_" in name
        else "Exposure"
    )
    return f"{words} ({unit})"


def _power_text(study: Study, row: Mapping[Any, Any]) -> str:
    b = f"b {number_text(row['b'], 2)} ({number_text(row['lower'], 2)} to {number_text(row['upper'], 2)})"
    cv = f"CV at one dose {number_text(row['geometric_cv_percent'], 2)} %"
    return f"{_short(study, row['exposure'])}: {b}, n = {row['n']}, {cv}."
