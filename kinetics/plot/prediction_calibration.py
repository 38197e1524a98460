"""Whether predicted bands of new patients cover their records: coverage of every central band, by analyte."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from pandas import DataFrame
from plotly.graph_objects import Figure, Scatter

from kinetics.plot.frame import GREY, PALETTE, analyte_label, finish
from kinetics.prediction import Prediction

__all__ = ["plot_prediction_calibration"]

_NOMINAL = np.linspace(0.0, 1.0, 41)


def plot_prediction_calibration(prediction: Prediction) -> Figure:
    """The share of the records inside every central band of their prediction, against the band's nominal
    share.

    One curve for each analyte. On the diagonal a prediction is calibrated; above it the bands are too wide,
    below it too narrow, or in the wrong place. A record below the LLOQ counts by the share of its range of
    PIT that lies inside (see `kinetics.prediction.new_patients`).

    >>> from kinetics.plot import plot_prediction_calibration
    >>> fit = kn.load_fit("runs/ogasawara_2021__synthetic_cart_12")
    >>> prediction = kn.prediction.predict(fit, "synthetic_cart_12", draws=50)
    >>> plot_prediction_calibration(prediction).layout.xaxis.title.text
    'nominal share of the band (%)'
    """
    figure = Figure()
    figure.add_trace(
        Scatter(
            x=[0, 100],
            y=[0, 100],
            mode="lines",
            line={"color": GREY, "width": 1, "dash": "dash"},
            name="calibrated",
            hoverinfo="skip",
            meta={"role": "diagonal"},
        )
    )
    for k, (analyte, records) in enumerate(prediction.records.groupby("analyte", sort=False)):
        label = analyte_label(prediction.study.analytes[str(analyte)])
        figure.add_trace(
            Scatter(
                x=100 * _NOMINAL,
                y=100 * _covered(records),
                mode="lines",
                line={"color": PALETTE[k % len(PALETTE)], "width": 2},
                name=f"{label}, {len(records)} records of {records['subject'].nunique()} patients",
                hovertemplate="band of %{x:.0f} %: %{y:.0f} % of the records<extra></extra>",
                meta={"role": "coverage", "analyte": str(analyte)},
            )
        )
    figure.update_xaxes(title_text="nominal share of the band (%)", range=[0, 100])
    figure.update_yaxes(title_text="records inside (%)", range=[0, 101])
    figure.update_layout(legend={"x": 0.02, "y": 0.98, "font": {"size": 12}})
    what = "patients of the population"
    if prediction.given is not None:
        what = f"patients updated by their records up to day {prediction.given:g}"
    return finish(
        figure,
        prediction.study,
        title="Predicted and measured: new patients",
        subtitle=what,
        notes=["Records below the LLOQ count by the share of their possible PIT that is inside"],
        fit=prediction.fit,
        height=560,
    )


def _covered(records: DataFrame) -> Float[np.ndarray, " band"]:
    """The share of `records` inside the central band of each nominal share of `_NOMINAL` (0 to 1)."""
    low = (0.5 - 0.5 * _NOMINAL)[:, None]
    high = (0.5 + 0.5 * _NOMINAL)[:, None]
    pit_low = records["pit_low"].to_numpy(float)
    pit_high = records["pit_high"].to_numpy(float)
    width = pit_high - pit_low
    overlap = np.clip(np.minimum(pit_high, high) - np.maximum(pit_low, low), 0.0, None)
    inside = (pit_low >= low) & (pit_low <= high)
    share = np.where(width > 0, overlap / np.where(width > 0, width, 1.0), inside)
    return share.mean(axis=1)
