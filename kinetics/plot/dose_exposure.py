"""Each subject's exposure against its dose, with the power model of exposure on dose and its bands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from pandas import DataFrame
from plotly.graph_objects import Figure, Scatter
from plotly.subplots import make_subplots

from kinetics.arguments import require
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
    analyte_label,
    analyte_title,
    faint,
    finish,
    log_range,
    log_ticks,
    number_text,
    unit_text,
    value_axis,
)
from kinetics.study import Study

__all__ = ["dose_exposure_figures", "plot_dose_exposure"]

_LINE = {"mode": "lines", "hoverinfo": "skip"}


def plot_dose_exposure(
    study: Study,
    observed: Exposures,
    exposures: Sequence[str] | None = None,
    *,
    by: str = "dose_level",
    fit: Fit | None = None,
) -> Figure:
    """A panel for each of `exposures` (default: all that are `observed`): subjects and the power model.

    `observed` holds the exposures (draw, subject) in their units: from samples (`exposures_from_samples`) or
    from a `fit` (`exposures_as_dosed`, `exposures_of_table`). With a fit each subject has a line that holds
    90 % of its draws. `by` is the column of subjects.csv with the dose. Bands hold 90 % of the draws of the
    middle patient and 90 % of new patients. A panel of Cmax shows the LLOQ of its analyte, and the ULOQ where
    a subject reached it. StudyError where there are fewer than three subjects or only one dose to fit.

    >>> study, protocol = kn.read_study("nkg2d_phase1_synthetic"), kn.read_protocol("nkg2d_phase1_synthetic")
    >>> seen = kn.decision.exposures_from_samples(study, protocol)
    >>> len(kn.plot.plot_dose_exposure(study, seen, ["car_copies_cmax"]).data) > 3
    True
    """
    require(study=(study, Study), fit=(fit, Fit | None))
    doses = levels_of(study, by)
    names = list(exposures or observed.values)
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
    curves = {name: _curve(observed, doses, name) for name in names}
    fitted = [name for name, curve in curves.items() if isinstance(curve, DataFrame)]
    if not fitted:
        raise StudyError(why for why in curves.values() if isinstance(why, Problem))
    for k, name in enumerate(names):
        where = {"row": k // columns + 1, "col": k % columns + 1}
        first = name == fitted[0]
        _add_panel(figure, study, observed, doses, name=name, curve=curves[name], first=first, **where)
    _dose_axes(figure, study, doses, by)
    notes = [
        *_model_notes(study, observed, doses, names, fitted),
        f"Dose: column {by} of subjects.csv, as assigned, given or not.",
        "Power model: exposure ~ dose to the power b, 1 is proportional; prior of b about 1, a guess.",
    ]
    subtitle = "Points: subjects"
    if any(len(values) > 1 for values in observed.values.values()):
        subtitle += "; lines: 90 % of a subject's draws"
    plot_height = 300 * rows
    top = 140
    bottom = 104
    finish(
        figure,
        study,
        title="Dose and exposure",
        subtitle=subtitle,
        notes=notes,
        fit=fit,
        height=plot_height + top + bottom + 15 * len(notes),
        top=top,
        bottom=bottom,
    )
    key = {"orientation": "h", "x": 0, "y": 1 + 26 / plot_height, "yanchor": "bottom", "font": {"size": 12}}
    return figure.update_layout(legend=key)


def _model_notes(
    study: Study,
    exposures: Exposures,
    doses: Mapping[str, float],
    names: Sequence[str],
    fitted: Sequence[str],
) -> Iterator[str]:
    """A line for each power model, and for each exposure the number of subjects that it does not have."""
    table = proportionality_table(exposures.only(fitted), doses)
    yield from (_power_text(study, row) for row in table.to_dict("records"))
    for name in names:
        if name not in fitted:
            yield f"{_short(study, name)}: too few for a power model."
        without = len(exposures.subjects) - len(usable_exposures(exposures, doses, name)[0])
        bounds = len(exposures.lower_bounds.get(name, ()))
        if bounds:
            yield f"{_short(study, name)}: △ is >=, above the ULOQ, counted at it ({bounds} subjects)."
        if without:
            yield f"No {_short(study, name)}: {without} of {len(exposures.subjects)} subjects."


def dose_exposure_figures(
    study: Study, observed: Exposures, *, by: str = "dose_level", fit: Fit | None = None
) -> dict[str, Figure | str]:
    """A figure for each analyte of cells or cytokines, as `dose_exposure_ANALYTE` -> figure.

    The value is a text that says why where there is no figure.
    """
    figures: dict[str, Figure | str] = {}
    for analyte in counted_analytes(study):
        names = [name for name in observed.values if _parts(study, name)[0] == analyte]
        if names:
            try:
                figures[f"dose_exposure_{analyte}"] = plot_dose_exposure(
                    study, observed, names, by=by, fit=fit
                )
            except StudyError as error:
                figures[f"dose_exposure_{analyte}"] = "; ".join(str(error).splitlines())
    return figures


def _add_panel(
    figure: Figure,
    study: Study,
    exposures: Exposures,
    doses: Mapping[str, float],
    *,
    name: str,
    curve: DataFrame | Problem,
    first: bool,
    **where: Any,
) -> None:
    """Draw one exposure: the power model where there is one, the subjects, and limits of quantification."""
    _, dose, values = usable_exposures(exposures, doses, name)
    limits = _limits(study, name, values)
    ends = np.quantile(values, [0.05, 0.95], axis=0).ravel().tolist()
    ends += limits.values()
    if isinstance(curve, DataFrame):
        ends += [curve["new_lower"].min(), curve["new_upper"].max()]
        _add_curve(figure, curve, first=first, **where)
    if len(dose):
        _add_subjects(figure, exposures, doses, name, **where)
    for kind, limit in limits.items():
        _add_limit(figure, list(doses.values()), kind, limit, **where)
    title = _axis_title(study, exposures, name)
    figure.update_yaxes(title_text=title, **value_axis(log_range(ends), log=True), **where)


def _curve(exposures: Exposures, doses: Mapping[str, float], name: str) -> DataFrame | Problem:
    """The curve of the power model, or why there is none."""
    try:
        return power_curve(exposures, doses, name)
    except StudyError as error:
        return error.problems[0]


def _add_curve(figure: Figure, curve: DataFrame, *, first: bool, **where: Any) -> None:
    """Draw both bands of the power model, its line, and the line that is proportional to dose."""
    x = curve["dose"].to_numpy()
    colour = PALETTE[0]
    bands = (("new_", 0.13, "90 % of new patients"), ("", 0.3, "the middle patient, 90 %"))
    for kind, opacity, text in bands:
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
    power_line = {"color": colour, "width": 2}
    proportional_line = {"color": GREY, "dash": "dot", "width": 1.4}
    lines = (
        ("power", curve["median"].to_numpy(), power_line, "power model"),
        ("proportional", _proportional(curve), proportional_line, "proportional to dose"),
    )
    for role, y, style, text in lines:
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
    """Exposure proportional to dose, through the middle of the model's line, where that is most certain."""
    dose = curve["dose"].to_numpy()
    middle = len(curve) // 2
    return float(curve["median"].iloc[middle]) * dose / dose[middle]


def _add_subjects(
    figure: Figure, exposures: Exposures, doses: Mapping[str, float], name: str, **where: Any
) -> None:
    """Draw each subject at its median; subjects of one dose lie side by side, ordered by exposure."""
    subjects, dose, values = usable_exposures(exposures, doses, name)
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95], axis=0)
    rank = pd.Series(middle).groupby(dose).rank(method="first").to_numpy()
    size = pd.Series(middle).groupby(dose).transform("size").to_numpy()
    shift = np.exp(0.025 * (rank - (size + 1) / 2))  # a factor on the dose
    bounded = exposures.lower_bounds.get(name, frozenset())
    bounds = [str(subject) in bounded for subject in subjects]
    symbols = ["triangle-up-open" if bound else "circle" for bound in bounds]
    labels = [f"{'>= ' if bound else ''}{value:.3g}" for bound, value in zip(bounds, middle, strict=True)]
    error = {"array": high - middle, "arrayminus": middle - low, "color": INK, "thickness": 1, "width": 0}
    figure.add_trace(
        Scatter(
            x=dose * shift,
            y=middle,
            mode="markers",
            text=subjects,
            hovertext=labels,
            customdata=dose,
            showlegend=False,
            marker={"color": INK, "size": 7, "symbol": symbols},
            error_y=error if len(values) > 1 else None,
            hovertemplate="%{text}, dose %{customdata:.3g}: %{hovertext}<extra></extra>",
            meta={"role": "subjects"},
        ),
        **where,
    )


def _add_limit(figure: Figure, doses: list[float], kind: str, limit: float, **where: Any) -> None:
    text = f"{kind} {number_text(limit, trim=True)}"
    figure.add_trace(
        Scatter(
            x=[min(doses) / 1.25, max(doses) * 1.25],
            y=[limit, limit],
            mode="lines+text",
            text=["", text],
            textposition="top left",
            textfont={"size": 11, "color": GREY},
            hoverinfo="skip",
            showlegend=False,
            line={"color": GREY, "dash": "dash", "width": 1},
            meta={"role": kind.lower()},
        ),
        **where,
    )


def _dose_axes(figure: Figure, study: Study, doses: Mapping[str, float], by: str) -> None:
    """Set the dose axes: a tick at each dose, or at powers of ten where there are more than eight doses."""
    spec = study.dictionary.columns.subjects.get(by)
    label = (spec.label if spec else "") or by.replace("_", " ").capitalize()
    unit = unit_text((spec.unit or "") if spec else "")
    levels = sorted(set(doses.values()))
    ends = [np.log10(levels[0] / 1.25), np.log10(levels[-1] * 1.25)]
    marked = levels
    if len(levels) > 8:
        marked = log_ticks((levels[0] / 1.25, levels[-1] * 1.25))
        if levels[-1] > 100 * levels[0]:
            marked = [value for value in marked if f"{value:e}".startswith("1.")]
    text = [number_text(value, trim=True) for value in marked]
    ticks: dict[str, Any] = {"tickvals": marked, "ticktext": text, "tickangle": 0}
    title = f"{label} ({unit})" if unit else label
    figure.update_xaxes(type="log", range=ends, title_text=title, **ticks)


def _parts(study: Study, name: str) -> tuple[str, str]:
    """The analyte of an exposure and its kind ("cmax", "auc_28d"); ("", name) where no analyte fits."""
    for analyte in sorted(study.analytes, key=len, reverse=True):
        kind = name.removeprefix(f"{analyte}_")
        if kind != name and kind.partition("_")[0] in ("cmax", "auc"):
            return analyte, kind
    return "", name


def _limits(study: Study, name: str, values: Float[np.ndarray, "draw subject"]) -> dict[str, float]:
    """The limits of quantification that a panel of Cmax shows: the LLOQ, and a ULOQ that was reached."""
    analyte, kind = _parts(study, name)
    if not analyte or kind != "cmax":
        return {}
    spec = study.analytes[analyte]
    limits = {}
    if spec.lloq:
        limits["LLOQ"] = spec.lloq
    if spec.uloq and values.size and values.max() >= spec.uloq:
        limits["ULOQ"] = spec.uloq
    return limits


def _kind_text(kind: str) -> str:
    """`Cmax`; `AUC0–28d`."""
    return "Cmax" if kind == "cmax" else f"AUC0–{kind.removeprefix('auc_')}"


def _short(study: Study, name: str) -> str:
    """`AUC0–28d of CAR transgene`."""
    analyte, kind = _parts(study, name)
    return (
        f"{_kind_text(kind)} of {analyte_label(study.analytes[analyte])}"
        if analyte
        else name.replace("_", " ")
    )


def _panel_title(study: Study, name: str) -> str:
    """`CAR transgene, qPCR in blood`."""
    analyte, _ = _parts(study, name)
    return analyte_title(study, analyte).rpartition(" (")[0] if analyte else name.replace("_", " ")


def _axis_title(study: Study, exposures: Exposures, name: str) -> str:
    """`AUC0–28d (day·cells/µL)`."""
    analyte, kind = _parts(study, name)
    unit = unit_text(exposures.units[name])
    if unit.endswith(" x day"):
        unit = f"day·{unit.removesuffix(' x day')}"
    quantity = "Exposure"
    if analyte:
        quantity = _kind_text(kind)
    elif name.endswith("_cmax"):
        quantity = "Cmax"
    elif "_auc_" in name:
        quantity = "AUC"
    return f"{quantity} ({unit})"


def _power_text(study: Study, row: Mapping[Any, Any]) -> str:
    """One power model in words: its exponent b with interval, the number of subjects and their CV."""
    b = f"b {number_text(row['b'], 2)} ({number_text(row['lower'], 2)} to {number_text(row['upper'], 2)})"
    cv = f"CV at one dose {number_text(row['geometric_cv_percent'], 2)} %"
    return f"{_short(study, row['exposure'])}: {b}, n = {row['n']}, {cv}."
