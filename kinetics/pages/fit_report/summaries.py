"""What a report says before its details: five numbers and three figures, and exposures summed up by dose."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from pandas import DataFrame, Series
from plotly.graph_objects import Figure

from kinetics.checks import Vpc, estimates
from kinetics.inference import Fit
from kinetics.pages.fit_report.words import cycle_words, product_words, site_words, unit_words
from kinetics.pages.page import Glance, Table
from kinetics.plan import BoundAssay
from kinetics.plot import (
    analyte_label,
    group_subjects,
    groupings,
    number_text,
    plot_persistence,
    plot_vpc,
)

__all__ = ["dose_summary", "glance_of"]

_NUMBERS = 5  # on the first screen
_WORDS = {"cmax": "Peak", "tmax": "Time to peak", "half_life": "Half-life", "tlast": "Detected until day"}
_LISTED_ONLY = ("auc_last", "clast", "fold_expansion")  # exposures that the summary leaves to the listing
_DAYS = ("tmax", "half_life", "tlast")


def glance_of(
    fit: Fit,
    parameters: DataFrame,
    checked: Vpc,
    exposures: DataFrame | None,
    *,
    log: Callable[[BoundAssay], bool],
) -> Glance:
    """Five numbers of the first analyte and three small figures: the records, the check, what was learnt.

    The numbers are exposures of the median subject, taken draw by draw, where a table of draws is given;
    else the population values about which most was learnt.
    """
    assay = fit.bound.assays[0]
    glance = Glance()
    glance.numbers = list(_exposure_numbers(fit, assay, exposures))
    label = analyte_label(fit.study.analytes[assay.analyte])
    if glance.numbers:
        glance.note = f"{label}, whole course, the median subject; in brackets 90 % of the posterior."
    else:
        glance.numbers = list(_population_numbers(fit, parameters))
        glance.note = "Population values about which most was learnt; in brackets 90 % of the posterior."
    is_log = log(assay)
    synthetic = fit.study.synthetic
    glance.add_figure(
        plot_persistence(fit.study, assay.analyte, log=None if is_log else False),
        f"The records: {label}",
        synthetic=synthetic,
    )
    glance.add_figure(
        plot_vpc(fit, checked, log=is_log), "Observed (lines), expected (bands)", synthetic=synthetic
    )
    learnt = parameters[(parameters["kind"] == "population") & parameters["contraction"].notna()]
    if learnt.empty and "estimates" in fit.posterior:
        at_maximum = estimates(fit).table
        population = at_maximum[at_maximum["site"].str.endswith("_pop") & at_maximum["rse_percent"].notna()]
        bars = _bars(fit, population["site"], population["rse_percent"], smallest_on_top=True)
        glance.add_figure(bars, "Relative standard errors", synthetic=synthetic)
    else:
        bars = _bars(fit, learnt["site"], 100 * learnt["contraction"].clip(0, 1))
        glance.add_figure(bars, "Learnt from the data", synthetic=synthetic)
    return glance


def _bars(fit: Fit, sites: Series, percent: Series, *, smallest_on_top: bool = False) -> Figure:
    """Bars of a percentage of each of `sites`, at most twelve: the greatest on top, or the smallest."""
    order = np.argsort(-percent if smallest_on_top else percent, kind="stable")[-12:]
    names = [site_words(fit, site).removesuffix(", typical patient") for site in sites.iloc[order]]
    figure = Figure()
    figure.add_bar(
        x=percent.iloc[order].clip(upper=100).to_numpy(float),
        y=[name if len(name) < 27 else f"{name[:25]}…" for name in names],
        orientation="h",
        marker_color="#0072B2",
        hovertemplate="%{y}: %{x:.0f} %<extra></extra>",
    )
    figure.update_layout(plot_bgcolor="white", paper_bgcolor="white")
    figure.update_xaxes(range=[0, 100], ticksuffix=" %", gridcolor="#e4e7eb", title_text="")
    figure.update_yaxes(automargin=True, title_text="")
    return figure


def _exposure_numbers(
    fit: Fit, assay: BoundAssay, exposures: DataFrame | None
) -> Iterator[tuple[str, str, str, str]]:
    """Label, value and interval of each exposure of the median subject."""
    if exposures is None or "draw" not in exposures:
        return
    rows = exposures[(exposures["analyte"] == assay.analyte) & (exposures["cycle"].astype(str) == "course")]
    areas = [c for c in exposures if c.startswith("auc_") and c[4:5].isdigit()]  # pyright: ignore
    unit = unit_words(assay.unit)
    for column in ["cmax", "tmax", *areas[:1], "half_life", "tlast"][:_NUMBERS]:
        by_draw = rows.groupby("draw")[column].median().dropna()
        if len(by_draw):
            low, middle, high = np.quantile(by_draw, [0.05, 0.5, 0.95])
            words = _WORDS.get(column, _area_words(column))
            of_unit = "days" if column in _DAYS[:2] else ""
            if column not in _DAYS and unit:
                of_unit = unit if column == "cmax" else f"day·{unit}"
            yield words, number_text(middle), of_unit, f"({number_text(low)} to {number_text(high)})"


def _area_words(column: str) -> str:
    """`AUC, days 0 to 28` for `auc_0_28d`."""
    start, _, end = column.removeprefix("auc_").removesuffix("d").partition("_")
    return f"AUC, days {start} to {end}"


def _population_numbers(fit: Fit, parameters: DataFrame) -> Iterator[tuple[str, str, str, str]]:
    """Label, value and interval of the population values with the greatest contraction."""
    rows = parameters[parameters["kind"] == "population"]
    rows = rows.sort_values("contraction", ascending=False, na_position="last", kind="stable")
    for row in rows.head(_NUMBERS).to_dict("records"):
        value = number_text(row["median"])
        interval = f"({number_text(row['lower'])} to {number_text(row['upper'])})"
        yield (
            site_words(fit, row["site"]).removesuffix(", typical patient"),
            value,
            unit_words(row["unit"]),
            interval,
        )


def dose_summary(fit: Fit, table: DataFrame, heads: Mapping[str, str], caption: str) -> Table:
    """Exposures by dose: geometric mean, geometric CV, median and number of subjects.

    `table` has a row for each subject and cycle of one analyte, `heads` the heading of each exposure. Rows of
    a whole course that has one cycle are left out, because they repeat it.
    """
    by = next(iter(groupings(fit.study)))
    groups = group_subjects(fit.study, by)
    cycles = table["cycle"].astype(str)
    if set(cycles) == {"1", "course"}:
        table = table[cycles != "course"]
    keys = ["product", "cycle"] if "product" in table else ["cycle"]
    shown = [column for column in heads if column in table and column not in _LISTED_ONLY]
    if "product" in table and table["product"].nunique() == 1:
        keys.remove("product")
    names = {"product": "Product", "cycle": "Cycle"}
    summary = Table(
        caption,
        [
            _heading(groupings(fit.study)[by]),
            *(names[key] for key in keys),
            "Subjects",
            *(heads[c] for c in shown),
        ],
        [False] * (1 + len(keys)) + [True] * (1 + len(shown)),
    )
    group = table["subject"].map(lambda subject: str(groups.get(subject, "")))
    numbers = []
    for group_name in [str(c) for c in groups.cat.categories]:
        of_group = table[group == group_name]
        for key, rows in of_group.groupby(keys, sort=False, dropna=False):
            if not rows[shown].notna().any(axis=None):
                continue
            words = {"product": product_words, "cycle": cycle_words}
            cells = [summary.cell(group_name)]
            cells += [summary.cell(words[k](v)) for k, v in zip(keys, key, strict=True)]
            cells.append(summary.cell(int(rows["subject"].nunique())))
            for column in shown:
                statistics = _statistics(Series(rows[column]))
                cells.append(
                    _statistic_cell(summary, statistics, len(rows), days=column in ("tmax", "tlast"))
                )
                numbers.append(
                    {"group": group_name, **dict(zip(keys, key, strict=True)), "number": column, **statistics}
                )
            summary.rows.append(cells)
    summary.notes.append(
        "Geometric mean [geometric CV], median; of times the median [least to greatest]; (n) where fewer "
        "subjects have the number"
    )
    summary.data = DataFrame(numbers)
    return summary


def _heading(label: str) -> str:
    return "Dose" if "dose" in label.lower() else label


def _statistics(values: Series) -> dict[str, float]:
    """Number, geometric mean and CV [%], median, least and greatest of the values that are there."""
    present = values.dropna().to_numpy(float)
    statistics = dict.fromkeys(("geometric_mean", "geometric_cv_percent", "median", "min", "max"), np.nan)
    if len(present):
        statistics |= {"median": float(np.median(present)), "min": present.min(), "max": present.max()}
    if len(present) and (present > 0).all():
        logs = np.log(present)
        statistics["geometric_mean"] = float(np.exp(logs.mean()))
        if len(present) > 1:
            statistics["geometric_cv_percent"] = float(100 * np.sqrt(np.expm1(logs.var(ddof=1))))
    return {"n": float(len(present)), **statistics}


def _statistic_cell(
    table: Table, statistics: Mapping[str, float], rows: int, *, days: bool
) -> dict[str, object]:
    """`2,310 [85 %], median 2,100 (n = 2)`."""
    n = int(statistics["n"])
    if not n:
        return table.cell(np.nan, "no subject has it")
    text = f"median {number_text(statistics['median'])}"
    if days:
        text = number_text(statistics["median"])
        if n > 1:
            text += f" [{number_text(statistics['min'])} to {number_text(statistics['max'])}]"
    elif not np.isnan(statistics["geometric_mean"]):
        spread = statistics["geometric_cv_percent"]
        cv = "" if np.isnan(spread) else f" [{spread:.0f} %]"
        text = f"{number_text(statistics['geometric_mean'])}{cv}, {text}"
    if n < rows:
        text += f" (n = {n})"
    return table.cell(text, mark="wrap")
