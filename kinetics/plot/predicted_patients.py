"""A panel for each new patient: the predicted bands of a measurement, and the records, used or not."""

from __future__ import annotations

from typing import Any

import numpy as np
from pandas import DataFrame
from plotly.graph_objects import Figure
from plotly.subplots import make_subplots

from kinetics.plot.bands import add_band, add_curve
from kinetics.plot.frame import (
    GREY,
    INK,
    PALETTE,
    SHARED,
    analyte_label,
    analyte_title,
    finish,
    log_range,
    time_title,
    value_axis,
)
from kinetics.plot.records import (
    add_limits,
    add_records,
    add_symbol_key,
    drawn_records,
    first_dose,
    limit_lines,
    rows_where,
    time_ends,
    zero_note,
)
from kinetics.prediction import Prediction

__all__ = ["plot_predicted_patients"]


def plot_predicted_patients(prediction: Prediction, analyte: str, *, columns: int = 4) -> Figure:
    """One panel for each patient, on common axes, with `columns` panels in a row.

    The bands are those of a measurement of `analyte`: 90 % of a patient's records should lie in the wider
    one. Records that the prediction used are grey, those that it did not know are black.

    >>> from kinetics.plot import plot_predicted_patients
    >>> fit = kn.load_fit("runs/ogasawara_2021__synthetic_cart_12")
    >>> prediction = kn.prediction.predict(fit, "synthetic_cart_12", given=14, draws=50)
    >>> plot_predicted_patients(prediction, "car_copies").layout.title.text
    'CAR transgene: the prediction of each patient'
    """
    study = prediction.study
    bands = rows_where(prediction.bands, "analyte", analyte)
    patients = list(dict.fromkeys(bands["subject"]))
    records = drawn_records(study, analyte)
    limits = [value for _, value in limit_lines(study, analyte)]
    top = min(float(np.max(bands["q95"])), 30 * float(np.max([*records["y"], *limits])))
    span = log_range([*records["y"], *limits, top])
    records = drawn_records(study, analyte, floor=span[0])
    columns = min(columns, len(patients))
    rows = -(-len(patients) // columns)
    figure = make_subplots(
        rows,
        columns,
        **SHARED,
        subplot_titles=[str(patient) for patient in patients],
        horizontal_spacing=0.018,
        vertical_spacing=min(0.07, 0.25 / rows),
        x_title=time_title(study),
        y_title=analyte_title(study, analyte),
    )
    for k, patient in enumerate(patients):
        where = {"row": k // columns + 1, "col": k % columns + 1}
        own_bands = rows_where(bands, "subject", patient)
        own_records = rows_where(records, "subject", patient)
        _add_patient(figure, prediction, own_bands, own_records, span[0], first=k == 0, **where)
    figure.update_annotations(font_size=13)
    figure.update_annotations(selector={"textangle": -90}, xshift=-60)
    figure.update_yaxes(**value_axis(span, log=True))
    figure.update_layout(
        legend={"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "font": {"size": 12}}
    )
    add_symbol_key(figure, list(records["kind"]))
    notes = list(zero_note(records))
    if prediction.given is not None:
        notes.append(f"Grey records, up to day {prediction.given:g}, were used")
    height = 190 * rows + 230
    finish(
        figure,
        study,
        title=f"{analyte_label(study.analytes[analyte])}: the prediction of each patient",
        notes=notes,
        fit=prediction.fit,
        height=height,
        top=134,
        bottom=104,
    )
    figure.update_layout(legend_y=1 + 26 / (height - 238))
    return figure


def _add_patient(
    figure: Figure,
    prediction: Prediction,
    bands: DataFrame,
    records: DataFrame,
    floor: float,
    *,
    first: bool,
    **where: Any,
) -> None:
    """Draw the panel of one patient; the traces of the first panel are in the legend."""
    subject = str(bands["subject"].iloc[0])
    zero = first_dose(prediction.study)[subject]
    curve = bands.assign(time=bands["time"] - zero)
    style: dict[str, Any] = {"floor": floor, "colour": PALETTE[0], "show": first, **where}
    add_band(figure, curve, "q5", "q95", opacity=0.2, name="90 % of the measurements", **style)
    add_band(figure, curve, "q25", "q75", opacity=0.4, name="50 %", **style)
    add_curve(figure, curve, "q50", name="median", **style)
    add_limits(figure, prediction.study, str(bands["analyte"].iloc[0]), time_ends(curve), show=first, **where)
    last_used = -np.inf if prediction.given is None else prediction.given - zero
    meta = {"role": "records", "subject": subject}
    add_records(figure, records[records["time"] > last_used], INK, meta=meta, **where)
    if prediction.given is not None:
        add_records(
            figure, records[records["time"] <= last_used], GREY, meta=meta | {"role": "used"}, **where
        )
