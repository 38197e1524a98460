"""What every figure shares: palette, axes with units, numbers as text, the synthetic label and the footer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from plotly.graph_objects import Figure

from kinetics.inference import Fit
from kinetics.study import NOT_DECLARED, Analyte, Study

__all__ = [
    "DASHES",
    "FONT",
    "GREY",
    "INK",
    "PALETTE",
    "RESPONSE_COLOURS",
    "SHARED",
    "analyte_text",
    "analyte_title",
    "dress",
    "faint",
    "finish",
    "log_range",
    "number_text",
    "product_name",
    "time_title",
    "unit_text",
    "value_axis",
]

# Okabe & Ito 2008: told apart with any kind of colour vision. Yellow is last: it is faint on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
RESPONSE_COLOURS = {  # of the same palette: responses cool, progression warm, nothing known grey
    "CR": PALETTE[2],
    "PR": PALETTE[0],
    "SD": PALETTE[4],
    "PD": PALETTE[1],
    "NE": "#8a949e",
    "MISSING": "#8a949e",
}
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot", "solid", "dash")
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
INK = "#1f2933"
GREY = "#52606d"
GRID = "#e4e7eb"
SHARED: dict[str, Any] = {"shared_xaxes": "all", "shared_yaxes": "all"}  # of a grid of panels
_REMOVED = ["sendChartToCloud", "lasso2d", "select2d", "zoomIn2d", "zoomOut2d", "autoScale2d"]
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number_text(x: float, digits: int = 3, *, trim: bool = False) -> str:
    """A number at 3 significant digits: `0.0126`, `24,000`, `1.52 × 10⁷`; an em dash for a missing one.

    `trim` drops trailing zeros, for a number that was set rather than estimated.
    """
    if x is None or math.isnan(x):
        return "—"
    if math.isinf(x):
        return "∞" if x > 0 else "−∞"
    if x == 0:
        return "0"
    power = math.floor(math.log10(abs(float(f"{x:.{digits - 1}e}"))))
    sign = "−" if x < 0 else ""
    if -4 < power < 6:
        rounded = round(abs(x), digits - 1 - power)
        text = f"{sign}{rounded:,.{max(0, digits - 1 - power)}f}"
        return text.rstrip("0").rstrip(".") if trim and "." in text else text
    scale = f"{abs(x) / 10.0**power:.{digits - 1}f}"
    scale = scale.rstrip("0").rstrip(".") if trim else scale
    return f"{sign}{scale} × 10{str(power).translate(_SUPERSCRIPT)}"


def unit_text(unit: str) -> str:
    """A unit as it is printed: `copies/µg DNA`; "" for a pure number."""
    return "" if unit in ("1", "none") else unit.replace("ug", "µg").replace("uL", "µL")


def product_name(product: str) -> str:
    """`CAR-NK` of `car_nk`."""
    return {"car_nk": "CAR-NK", "car_t": "CAR-T"}.get(product, product.replace("_", " "))


def faint(colour: str, opacity: float) -> str:
    """`rgba(...)` of a `#rrggbb` colour."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"


def analyte_text(a: Analyte) -> str:
    """An analyte in words: `CAR transgene, qPCR in blood`; what nobody declared of assay and site is left
    out.
    """
    words = {"qpcr": "qPCR", "ddpcr": "ddPCR", "elisa": "ELISA", NOT_DECLARED: ""}
    assay, site = (words.get(word, word.replace("_", " ")) for word in (a.assay, a.site))
    how = f"{assay} in {site}" if assay and site else assay or site
    return f"{a.label}, {how}" if how else a.label


def analyte_title(study: Study, analyte: str) -> str:
    """Axis title of an analyte: label, assay and unit."""
    a = study.analytes[analyte]
    unit = unit_text(a.unit)
    return f"{analyte_text(a)} ({unit})" if unit else analyte_text(a)


def time_title(study: Study, since: str = "first dose") -> str:
    """Axis title of time: since the first infusion (dose, where one was not an infusion), or of the cycle."""
    infused = bool((study.doses["route"] != "oral").all())
    what = "infusion" if infused else "dose"
    return f"Time since {'the cycle’s ' if since == 'cycle' else ''}first {what} (days)"


def log_range(values: Iterable[float], *, at_least: float = 1.5) -> tuple[float, float]:
    """Floor and top of a log axis that holds every positive value, `at_least` so many decades."""
    positive = np.array([v for v in values if v is not None and math.isfinite(v) and v > 0])
    if not positive.size:
        return 0.1, 10.0
    low = math.log10(positive.min()) - 0.2
    high = math.log10(positive.max()) + 0.12
    return 10 ** min(low, high - at_least), 10**high


def value_axis(limits: tuple[float, float], *, log: bool) -> dict[str, Any]:
    """Settings of a value axis: powers of ten with minor ticks, or linear from `limits`."""
    if not log:
        return {"type": "linear", "range": list(limits)}
    low, high = (math.log10(v) for v in limits)
    plain = low >= -3 and high < 6.5  # 0.001 to 1,000,000 are written out
    return {
        "type": "log",
        "range": [low, high],
        "dtick": 1 if high - low < 9 else 2,
        **({"tickformat": ",~r"} if plain else {"exponentformat": "power"}),
        "minor": {"dtick": "D1", "ticks": "outside", "ticklen": 2, "tickcolor": GREY},
    }


def finish(
    figure: Figure,
    study: Study,
    *,
    title: str,
    subtitle: str = "",
    notes: Sequence[str] = (),
    fit: Fit | None = None,
    height: int = 480,
    top: int = 84,
    bottom: int = 96,
) -> Figure:
    """Title, style, the synthetic label, and the footer: notes, study, and hashes of data and model.

    The button that would send a figure, patients' data and all, to a web service is taken away.
    """
    said = [f"Study {study.name}, data {study.sha256[:8]}"]
    if fit is not None:
        said.append(f"model {fit.model.name} {fit.model.sha256[:8]}, fit {fit.name}")
    labels = ["SYNTHETIC DATA"] if study.synthetic else []
    notes = [*notes, " · ".join(said)]
    return dress(figure, title, subtitle, notes, labels, height=height, top=top, bottom=bottom)


def dress(
    figure: Figure,
    title: str,
    subtitle: str,
    notes: Sequence[str],
    labels: Sequence[str],
    *,
    height: int,
    top: int,
    bottom: int,
) -> Figure:
    """Title, style, the labels that warn, and the notes as a footer; `bottom` holds one line of notes."""
    bottom += 15 * (len(notes) - 1)
    figure.update_layout(
        title={
            "text": title,
            "x": 0,
            "xref": "paper",
            "xanchor": "left",
            "y": 1,
            "yref": "container",
            "yanchor": "top",
            "pad": {"t": 12},
            "font": {"size": 17, "color": INK},
            "subtitle": {"text": subtitle, "font": {"size": 12.5, "color": GREY}},
        },
        font={"family": FONT, "size": 13, "color": INK},
        paper_bgcolor="white",
        plot_bgcolor="white",
        height=height,
        margin={"l": 78, "r": 24, "t": top, "b": bottom},
        hoverlabel={"font": {"family": FONT}, "align": "left"},
        hovermode="closest",
        modebar={"remove": _REMOVED},
    )
    line: dict[str, Any] = {
        "showline": True,
        "linecolor": GREY,
        "ticks": "outside",
        "tickcolor": GREY,
        "ticklen": 4,
    }
    line |= {"gridcolor": GRID, "zeroline": False, "title_font_size": 13, "tickfont_size": 12}
    figure.update_xaxes(title_standoff=10, **line)
    figure.update_yaxes(title_standoff=8, **line)
    _add_labels(figure, "<br>".join(notes), labels, top, bottom)
    return figure


def _add_labels(figure: Figure, footer: str, labels: Sequence[str], top: int, bottom: int) -> None:
    """The footer in the bottom margin, and the labels in the top one (both in pixels)."""
    paper: dict[str, Any] = {"xref": "paper", "yref": "paper", "showarrow": False}
    figure.add_annotation(
        text=footer,
        name="footer",
        x=0,
        y=0,
        xanchor="left",
        yanchor="bottom",
        align="left",
        yshift=-bottom + 8,
        font={"size": 11, "color": GREY},
        **paper,
    )
    if labels:
        figure.add_annotation(
            text=f"<b>{' · '.join(labels)}</b>",
            name="labels",
            x=1,
            y=1,
            xanchor="right",
            yanchor="top",
            yshift=top - 38,
            font={"size": 12.5, "color": "white"},
            bgcolor="#B34700",
            borderpad=4,
            **paper,
        )
