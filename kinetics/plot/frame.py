"""What every figure shares: palette, axes with units, numbers as text, the synthetic label and the footer."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from plotly.graph_objects import Figure

import kinetics.inference as inference
from kinetics.study import NOT_DECLARED, Analyte, Study

__all__ = [
    "DASHES",
    "FONT",
    "GREY",
    "INK",
    "PALETTE",
    "RESPONSE_COLOURS",
    "SHARED",
    "analyte_label",
    "analyte_text",
    "analyte_title",
    "are_powers",
    "dress",
    "faint",
    "finish",
    "log_range",
    "log_ticks",
    "number_text",
    "product_name",
    "time_title",
    "unit_text",
    "value_axis",
    "wrap_titles",
]

# Okabe & Ito 2008: distinguishable with any kind of colour vision. Yellow comes last: it is faint on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
RESPONSE_COLOURS = {  # from the same palette: responses cool, progression warm, not evaluable grey
    "CR": PALETTE[2],
    "PR": PALETTE[0],
    "SD": PALETTE[4],
    "NON-CR/NON-PD": PALETTE[4],
    "PD": PALETTE[1],
    "NE": "#8a949e",
    "MISSING": "#8a949e",
}
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot", "solid", "dash")
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
INK = "#1f2933"
GREY = "#52606d"
GRID = "#e4e7eb"
SHARED: dict[str, Any] = {
    "shared_xaxes": "all",
    "shared_yaxes": "all",
}  # for a grid of panels with common axes
_ACRONYMS = {  # words of column names that are not written as other words are
    "aav": "AAV",
    "b": "B",
    "car": "CAR",
    "cart": "CAR-T",
    "carnk": "CAR-NK",
    "cd3": "CD3",
    "cd4": "CD4",
    "cd8": "CD8",
    "cd19": "CD19",
    "crp": "CRP",
    "ddpcr": "ddPCR",
    "dna": "DNA",
    "gm": "GM",
    "ifn": "IFN",
    "ifng": "IFN-gamma",
    "il2": "IL-2",
    "il6": "IL-6",
    "il7": "IL-7",
    "il8": "IL-8",
    "il10": "IL-10",
    "il15": "IL-15",
    "ldh": "LDH",
    "nk": "NK",
    "pk": "PK",
    "qpcr": "qPCR",
    "t": "T",
    "tnf": "TNF",
    "vcn": "VCN",
    "wbc": "WBC",
}
# In pixels: the width of a letter of an axis title, and how far a title may reach beyond its axis in all.
_LETTER = 6.8
_OVERHANG = 50.0
_SPACE = "\u00a0"  # a space at which no line is broken
_REMOVED_BUTTONS = ["sendChartToCloud", "lasso2d", "select2d", "zoomIn2d", "zoomOut2d", "autoScale2d"]
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number_text(x: float, digits: int = 3, *, trim: bool = False) -> str:
    """A number as text with `digits` significant digits: `0.0126`, `24,000`, `1.52 × 10⁷`.

    A missing number is an em dash. `trim` drops trailing zeros, as suits a number that was set rather than
    estimated.
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
        if trim and "." in text:
            text = text.rstrip("0").rstrip(".")
        return text
    scale = f"{abs(x) / 10.0**power:.{digits - 1}f}"
    if trim:
        scale = scale.rstrip("0").rstrip(".")
    return f"{sign}{scale} × 10{str(power).translate(_SUPERSCRIPT)}"


def unit_text(unit: str) -> str:
    """A unit as it is printed: `copies/µg DNA`; "" for a pure number."""
    return "" if unit in ("1", "none") else unit.replace("ug", "µg").replace("uL", "µL")


def product_name(product: str) -> str:
    """The name of a product as it is printed: `CAR-NK` for `car_nk`."""
    return {"car_nk": "CAR-NK", "car_t": "CAR-T"}.get(product, product.replace("_", " "))


def faint(colour: str, opacity: float) -> str:
    """A `#rrggbb` colour with an opacity (0 to 1), as `rgba(...)`."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"


def analyte_label(a: Analyte) -> str:
    """The label of an analyte; one that is the name of a column, `car_copies`, in words: `CAR copies`."""
    if " " in a.label or not ("_" in a.label or a.label.lower() in _ACRONYMS):
        return a.label
    return " ".join(_ACRONYMS.get(word.lower(), word) for word in a.label.split("_") if word) or a.label


def analyte_text(a: Analyte) -> str:
    """An analyte in words: `CAR transgene, qPCR in blood`. An assay or a site not declared is left out."""
    words = {"qpcr": "qPCR", "ddpcr": "ddPCR", "elisa": "ELISA", NOT_DECLARED: ""}
    assay, site = (words.get(word, word.replace("_", " ")) for word in (a.assay, a.site))
    method = assay or site
    if assay and site:
        method = f"{assay} in {site}"
    label = analyte_label(a)
    return f"{label}, {method}" if method else label


def analyte_title(study: Study, analyte: str) -> str:
    """The axis title of an analyte: its label, assay and unit."""
    a = study.analytes[analyte]
    unit = unit_text(a.unit)
    return f"{analyte_text(a)} ({unit})" if unit else analyte_text(a)


def time_title(study: Study, since: str = "first dose") -> str:
    """The axis title of time since the first infusion, of the study or (`since="cycle"`) of the cycle.

    It says "dose" rather than "infusion" where any dose is oral. Where nobody was dosed it is plain time.
    """
    if study.doses.empty:
        return "Time (days)"
    all_infused = bool((study.doses["route"] != "oral").all())
    dosing = "infusion" if all_infused else "dose"
    cycle = "the cycle’s " if since == "cycle" else ""
    return f"Time since {cycle}first {dosing} (days)"


def log_range(values: Iterable[float], *, at_least: float = 1.5) -> tuple[float, float]:
    """The floor and top of a log axis that holds every positive value and at least `at_least` decades."""
    positive = np.array([v for v in values if v is not None and math.isfinite(v) and v > 0])
    if not positive.size:
        return 0.1, 10.0
    low = math.log10(positive.min()) - 0.2
    high = math.log10(positive.max()) + 0.12
    return 10 ** min(low, high - at_least), 10**high


def value_axis(limits: tuple[float, float], *, log: bool, powers: bool | None = None) -> dict[str, Any]:
    """Plotly's settings of a value axis over `limits`: powers of ten with minor ticks, or linear.

    A log axis of less than two decades has a tick with its whole number at 1, 2 and 5 of each, because Plotly
    would write a bare 2 and 5. `powers` writes every tick as a power of ten (True) or as a plain number
    (False); by default plain numbers are written from 0.001 to 1,000,000.
    """
    if not log:
        return {"type": "linear", "range": list(limits)}
    low, high = (math.log10(v) for v in limits)
    if powers is None:
        powers = are_powers(limits)
    if high - low < 2:
        values = log_ticks(limits)
        text = [number_text(value, trim=True) for value in values]
        return {"type": "log", "range": [low, high], "tickvals": values, "ticktext": text}
    tick_text: dict[str, Any] = {"tickformat": ",~r"}
    if powers:  # of which Plotly would write 1 and 10 as plain numbers
        alias = {"1": "10<sup>0</sup>", "10": "10<sup>1</sup>"}
        tick_text = {"exponentformat": "power", "labelalias": alias}
    return {
        "type": "log",
        "range": [low, high],
        "dtick": 1 if high - low < 9 else 2,
        **tick_text,
        "minor": {"dtick": "D1", "ticks": "outside", "ticklen": 2, "tickcolor": GREY},
    }


def are_powers(limits: tuple[float, float]) -> bool:
    """Whether the ticks of a log axis over `limits` are written as powers of ten, not as plain numbers."""
    low, high = (math.log10(v) for v in limits)
    return not (low >= -3 and high < 6.5)


def log_ticks(limits: tuple[float, float]) -> list[float]:
    """The numbers 1, 2 and 5 of every power of ten from one limit to the other."""
    low, high = limits
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = [float(f"{digit}e{power}") for power in powers for digit in (1, 2, 5)]
    return [value for value in values if low <= value <= high]


def finish(
    figure: Figure,
    study: Study,
    *,
    title: str,
    subtitle: str = "",
    notes: Sequence[str] = (),
    fit: inference.Fit | None = None,
    height: int = 480,
    top: int = 84,
    bottom: int = 96,
) -> Figure:
    """Give a figure its title, style, synthetic label and footer: notes, study, hashes of data and model.

    `height`, `top` and `bottom` (margins) are in pixels. The button that would send a figure, with its
    patients' data, to a web service is removed.
    """
    sources = [f"Study {study.name}, data {study.sha256[:8]}"]
    if fit is not None:
        sources.append(f"model {fit.model.name} {fit.model.sha256[:8]}, fit {fit.name}")
    labels = ["SYNTHETIC DATA"] if study.synthetic else []
    notes = [*notes, " · ".join(sources)]
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
    """Give a figure its title, style, warning `labels`, and `notes` as a footer.

    `height`, `top` and `bottom` (margins) are in pixels; `bottom` has room for one line of notes and grows
    with each further line.
    """
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
        modebar={"remove": _REMOVED_BUTTONS},
    )
    axis: dict[str, Any] = {
        "showline": True,
        "linecolor": GREY,
        "ticks": "outside",
        "tickcolor": GREY,
        "ticklen": 4,
        "gridcolor": GRID,
        "zeroline": False,
        "title_font_size": 13,
        "tickfont_size": 12,
    }
    figure.update_xaxes(title_standoff=10, **axis)
    figure.update_yaxes(title_standoff=8, **axis)
    wrap_titles(figure)
    _add_labels(figure, "<br>".join(notes), labels, top, bottom)
    return figure


def wrap_titles(figure: Figure) -> None:
    """Break each title of a vertical axis that is longer than its axis, and widen the left margin by its
    lines.
    """
    margin = figure.layout.margin  # pyright: ignore
    plot_height = (figure.layout.height or 480) - (margin.t or 0) - (margin.b or 0)  # pyright: ignore
    most_lines = 1
    for axis in figure.select_yaxes():
        text = axis.title.text  # pyright: ignore
        low, high = axis.domain or (0.0, 1.0)  # pyright: ignore
        if not text:
            continue
        lines = _lines(text.replace("<br>", " "), (high - low) * plot_height)
        if len(lines) > text.count("<br>") + 1:
            axis.title.text = "<br>".join(lines)  # pyright: ignore
            if low <= 0.5:
                most_lines = max(most_lines, len(lines))
    for title in figure.select_annotations(selector={"textangle": -90}):  # of all rows of panels
        lines = _lines(title.text.replace("<br>", " "), plot_height)  # pyright: ignore
        title.text = "<br>".join(lines)  # pyright: ignore
        most_lines = max(most_lines, len(lines))
    figure.update_layout(margin={"l": (margin.l or 0) + 17 * (most_lines - 1)})


def _lines(text: str, length: float) -> list[str]:
    """The text in lines that fit beside an axis of `length` px; its unit in brackets stays whole.

    A line may reach into the margins above and below the axis a little.
    """
    words, bracket, unit = text.rpartition(" (")
    if bracket:
        text = words + bracket + unit.replace(" ", _SPACE)
    most = max(12, int((length + _OVERHANG) / _LETTER))
    lines = textwrap.wrap(text, most, break_long_words=False, break_on_hyphens=False)
    return [line.replace(_SPACE, " ") for line in lines] or [text]


def _add_labels(figure: Figure, footer: str, labels: Sequence[str], top: int, bottom: int) -> None:
    """Write the footer into the bottom margin and the labels into the top margin (both in pixels)."""
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
