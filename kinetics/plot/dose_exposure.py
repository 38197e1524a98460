"""Each subject's exposure against its dose, with the power model of exposure on dose and its bands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from pandas import DataFrame, Series
from plotly.graph_objects import Figure, Scatter
from plotly.subplots import make_subplots

from kinetics.arguments import require
from kinetics.decision import (
    Exposures,
    counted_analytes,
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
from kinetics.plot.product_dose import DoseAxis, dose_axis
from kinetics.study import Study

__all__ = ["dose_exposure_figures", "plot_dose_exposure"]

_FAR = 10.0  # an LLOQ so many times below every subject is not drawn
_LINE = {"mode": "lines", "hoverinfo": "skip"}


def plot_dose_exposure(
    study: Study,
    observed: Exposures,
    exposures: Sequence[str] | None = None,
    *,
    by: str | None = None,
    fit: Fit | None = None,
) -> Figure:
    """A panel for each of `exposures` (default: all that are `observed`): subjects and the power model.

    `observed` holds the exposures (draw, subject) in their units: from samples (`exposures_from_samples`) or
    from a `fit` (`exposures_as_dosed`, `exposures_of_table`). With a fit each subject has a line that holds
    90 % of its draws. `by` is the column of subjects.csv with the dose (default: dose_level; for the cells of
    a product of which that is not the dose, what was given of it). Bands hold 90 % of the draws of
    the middle patient and 90 % of new patients. A panel of Cmax shows the LLOQ of its analyte where it is
    near, and the ULOQ where a subject reached it. Above a panel stand the power b and the CV of its model.
    StudyError where there are fewer than three subjects or only one dose to fit.

    >>> study, protocol = kn.read_study("nkg2d_phase1_synthetic"), kn.read_protocol("nkg2d_phase1_synthetic")
    >>> seen = kn.decision.exposures_from_samples(study, protocol)
    >>> len(kn.plot.plot_dose_exposure(study, seen, ["car_copies_cmax"]).data) > 3
    True
    """
    require(study=(study, Study), fit=(fit, Fit | None))
    names = list(exposures or observed.values)
    axes = {name: dose_axis(study, _parts(study, name)[0], by) for name in names}
    curves = {name: _curve(observed, axes[name].doses, name) for name in names}
    fitted = [name for name, curve in curves.items() if isinstance(curve, DataFrame)]
    if not fitted:
        raise StudyError(why for why in curves.values() if isinstance(why, Problem))
    models = _power_models(observed, axes, fitted)
    columns = min(2, len(names))
    rows = -(-len(names) // columns)
    figure = make_subplots(
        rows,
        columns,
        horizontal_spacing=0.14,
        vertical_spacing=0.33 / rows,
        subplot_titles=[_panel_title(study, name, models.get(name)) for name in names],
    )
    figure.update_annotations(font_size=13)
    for k, name in enumerate(names):
        where = {"row": k // columns + 1, "col": k % columns + 1}
        first = name == fitted[0]
        doses = axes[name].doses
        _add_panel(figure, study, observed, doses, name=name, curve=curves[name], first=first, **where)
        _dress_dose_axis(figure, axes[name], **where)
    notes = [
        *_model_notes(study, observed, axes, names, fitted),
        *dict.fromkeys(axis.note for axis in axes.values()),
        "Power model: exposure ~ dose to the power b, 1 is proportional; prior of b about 1, a guess.",
    ]
    subtitle = "Points: subjects"
    if any(len(values) > 1 for values in observed.values.values()):
        subtitle += "; lines: 90 % of a subject's draws"
    plot_height = 300 * rows
    top = 156
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
    key = {"orientation": "h", "x": 0, "y": 1 + 42 / plot_height, "yanchor": "bottom", "font": {"size": 12}}
    return figure.update_layout(legend=key)


def _model_notes(
    study: Study,
    exposures: Exposures,
    axes: Mapping[str, DoseAxis],
    names: Sequence[str],
    fitted: Sequence[str],
) -> Iterator[str]:
    """A line for each exposure without a power model or whose LLOQ is not drawn, and for the subjects that do
    not have it.
    """
    for name in names:
        doses = axes[name].doses
        values = usable_exposures(exposures, doses, name)[2]
        limits = _limits(study, name, values)
        if values.size and limits.keys() - _near(limits, values).keys():
            unit = unit_text(study.analytes[_parts(study, name)[0]].unit)
            yield f"LLOQ {number_text(limits['LLOQ'], trim=True)} {unit}: below the axis of Cmax."
        if name not in fitted:
            yield f"{_short(study, name)}: too few for a power model."
        without = len(exposures.subjects) - len(usable_exposures(exposures, doses, name)[0])
        bounds = len(exposures.lower_bounds.get(name, ()))
        if bounds:
            yield f"{_short(study, name)}: △ is >=, above the ULOQ, counted at it ({bounds} subjects)."
        if without:
            yield f"No {_short(study, name)}: {without} of {len(exposures.subjects)} subjects."


def dose_exposure_figures(
    study: Study, observed: Exposures, *, by: str | None = None, fit: Fit | None = None
) -> dict[str, Figure | str]:
    """A figure for each analyte of cells or cytokines, as `dose_exposure_ANALYTE` -> figure.

    The value is a text that says why where there is no figure. `by`: as of `plot_dose_exposure`.
    """
    figures: dict[str, Figure | str] = {}
    for analyte in counted_analytes(study):
        names = [name for name in observed.values if _parts(study, name)[0] == analyte]
        if names:
            try:
                figures[f"dose_exposure_{analyte}"] = _one_dose(study, analyte, by) or plot_dose_exposure(
                    study, observed, names, by=by, fit=fit
                )
            except StudyError as error:
                figures[f"dose_exposure_{analyte}"] = "; ".join(str(error).splitlines())
    return figures


def _one_dose(study: Study, analyte: str, by: str | None) -> str:
    """Why the exposure of a product of which all had one dose is not drawn; "" where doses differ."""
    axis = dose_axis(study, analyte, by)
    if by is not None or len(set(axis.doses.values())) != 1:
        return ""
    dose = number_text(next(iter(axis.doses.values())), trim=True)
    return f"every subject had the same dose, {dose} ({axis.title}); --by COLUMN names another dose"


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
    limits = _near(_limits(study, name, values), values)
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
    """Draw each subject at its median, at its dose: points of one dose lie above one another."""
    subjects, dose, values = usable_exposures(exposures, doses, name)
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95], axis=0)
    bounded = exposures.lower_bounds.get(name, frozenset())
    bounds = [str(subject) in bounded for subject in subjects]
    symbols = ["triangle-up-open" if bound else "circle" for bound in bounds]
    labels = [f"{'>= ' if bound else ''}{value:.3g}" for bound, value in zip(bounds, middle, strict=True)]
    error = {"array": high - middle, "arrayminus": middle - low, "color": INK, "thickness": 1, "width": 0}
    figure.add_trace(
        Scatter(
            x=dose,
            y=middle,
            mode="markers",
            text=subjects,
            hovertext=labels,
            customdata=dose,
            showlegend=False,
            marker={"color": INK, "size": 7, "symbol": symbols},
            opacity=0.7,
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


def _dress_dose_axis(figure: Figure, axis: DoseAxis, **where: Any) -> None:
    """Set a dose axis: a tick at each dose, or at powers of ten where there are more than eight doses."""
    levels = sorted(set(axis.doses.values()))
    ends = [np.log10(levels[0] / 1.25), np.log10(levels[-1] * 1.25)]
    marked = levels
    if len(levels) > 8:
        marked = log_ticks((levels[0] / 1.25, levels[-1] * 1.25))
        if levels[-1] > 100 * levels[0]:
            marked = [value for value in marked if f"{value:e}".startswith("1.")]
    text = [number_text(value, trim=True) for value in marked]
    ticks: dict[str, Any] = {"tickvals": marked, "ticktext": text, "tickangle": 0}
    figure.update_xaxes(type="log", range=ends, title_text=axis.title, **ticks, **where)


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


def _near(limits: Mapping[str, float], values: Float[np.ndarray, "draw subject"]) -> dict[str, float]:
    """The limits that are drawn: an LLOQ far below every subject would leave half the panel empty."""
    least = float(values.min()) if values.size else 0.0
    return {kind: limit for kind, limit in limits.items() if kind == "ULOQ" or least < _FAR * limit}


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


def _power_models(
    observed: Exposures, axes: Mapping[str, DoseAxis], fitted: Sequence[str]
) -> dict[str, Series]:
    """The row of `proportionality_table` of each exposure that has a power model.

    Exposures of the same doses share a table, so that the numbers are those of the table of all of them.
    """
    models = {}
    for title in dict.fromkeys(axes[name].title for name in fitted):
        alike = [name for name in fitted if axes[name].title == title]
        table = proportionality_table(observed.only(alike), axes[alike[0]].doses)
        models |= {str(row["exposure"]): row for _, row in table.iterrows()}
    return models


def _panel_title(study: Study, name: str, model: Series | None) -> str:
    """`CAR transgene, qPCR in blood`, and below it the power and the CV of the model."""
    analyte, _ = _parts(study, name)
    title = analyte_title(study, analyte).rpartition(" (")[0] if analyte else name.replace("_", " ")
    if model is None:
        return title
    return f"{title}<br><span style='font-size:12px'>{_power_text(model)}</span>"


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


def _power_text(row: Series) -> str:
    """One power model in words: its exponent b with interval, their CV, and the number of subjects."""
    b = f"b = {number_text(row['b'], 2)} ({number_text(row['lower'], 2)} to {number_text(row['upper'], 2)})"
    cv = f"CV at one dose {number_text(row['geometric_cv_percent'], 2)} %"
    return f"{b}, {cv}, n = {row['n']}"
