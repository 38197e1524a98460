# %% [markdown]
# # Cytokines and CRS: cells, IL-6 and IFN-gamma on one time axis
#
# Who had cytokine release syndrome (CRS) of which grade, how high their cytokines went, and what a model that
# links cytokines to cells says about it.
#
# **The study is of real patients, and is not shipped**: `car22`, CD22 CAR-T in children and young adults with
# B-ALL (Lichtenstein et al., Blood 2021;138:2469). Where its files are absent, the first cell says so, and
# everything below is drawn from a **synthetic** trial instead. Every figure says which of the two it shows.
#
# The fit is the run `runs/cytokine_release__car22` where there is one (`$KINETICS_RUNS`: another folder of
# runs). `kinetics fit fits/cytokine_release__car22.toml` makes it in about half an hour. Without it a quick
# fit takes its place.

# %%
import os
from pathlib import Path

import numpy as np
import pandas as pd
from plotly.subplots import make_subplots

import kinetics as kn
from kinetics import plot

# %% tags=["hide-cell"]
SMALL = os.environ.get("KINETICS_SMALL") == "1"  # where a test runs this file

# %%
RUNS = Path(os.environ.get("KINETICS_RUNS", "runs"))
missing = kn.validate_study("car22")
STUDY = "nkg2d_phase1_synthetic" if missing else "car22"
study = kn.read_study(STUDY)
REAL = not study.synthetic
LABEL = "REAL PATIENTS: car22" if REAL else "SYNTHETIC DATA"
if missing:
    print(
        "THE REAL DATA ARE NOT HERE: what follows is a SYNTHETIC trial; no patient is in it. To see car22:\n"
    )
    print("\n".join(f"- {problem}" for problem in missing), "\n")
print(study)

# %% tags=["hide-cell"]
assert REAL or missing

# %% [markdown]
# ## 1. The two studies, in the same words
#
# CAR+ T cells by flow, IL-6, IFN-gamma. Time counts from the first infusion of CAR-T: in the synthetic trial
# CAR-NK comes before it. `car22` has the worst grade of each patient among its covariates and does not state
# the scale; the trial has CRS as events, graded by ASTCT.

# %%
ANALYTES = {
    "car_cells" if REAL else "t_cells": "CAR+ T cells (cells/µL)",
    "il6": "IL-6 (pg/mL)",
    "ifn_gamma": "IFN-gamma (pg/mL)",
}
CELLS = next(iter(ANALYTES))
car_t = study.doses.query("product == 'car_t'")
day0 = car_t.groupby("subject")["time"].min()
if REAL:
    grade = study.subjects["crs_grade"].astype(int)
else:
    crs = study.events.query("event == 'crs'").groupby("subject")["grade"].max()
    grade = crs.reindex(day0.index).fillna(0).astype(int)  # who had CAR-T and no such event: grade 0
grade = grade.rename("grade").sort_index()
records = study.observations[study.observations["analyte"].isin(list(ANALYTES))]
records = records[records["subject"].isin(grade.index)].assign(
    grade=lambda table: table["subject"].map(grade),
    day=lambda table: table["time"] - table["subject"].map(day0),
)
records = records[records["day"].between(0, 42)]
counts = grade.value_counts().sort_index()
pd.DataFrame({"patients": counts, "records": records["grade"].value_counts()}).rename_axis("CRS grade")

# %% tags=["hide-cell"]
assert [study.analytes[name].unit for name in ANALYTES] == ["cells/uL", "pg/mL", "pg/mL"]
assert counts.sum() == len(grade) == (42 if REAL else 11)

# %% [markdown]
# ## 2. The records
#
# One line a patient. Open circles are at a lower limit of quantification, triangles at an upper one: the
# value is known to be below or above it. A fit uses both in this way; a mean of the values would not.

# %%
COLOURS = {0: "#8a949e", 1: "#56B4E9", 2: "#E69F00", 3: "#D55E00", 4: "#000000"}
SYMBOLS = {"none": "circle", "left": "circle-open", "right": "triangle-up"}
DECADES = {
    "type": "log",
    "tickformat": ",~r",
    "dtick": 1,
    "minor": {"dtick": "D1", "ticks": "outside", "ticklen": 2},
}


def dressed(figure, title, height):
    """Title, axes, and whose data it shows."""
    figure.add_annotation(
        text=f"<b>{LABEL}</b>",
        font={"color": "white", "size": 12},
        bgcolor="#0B5E3C" if REAL else "#B34700",
        borderpad=4,
        showarrow=False,
        xref="paper",
        x=1,
        xanchor="right",
        yref="paper",
        y=1,
        yanchor="bottom",
        yshift=42,
    )
    figure.update_xaxes(ticks="outside", linecolor="#52606d").update_yaxes(
        ticks="outside", linecolor="#52606d"
    )
    return figure.update_layout(
        title={
            "text": title,
            "x": 0,
            "xref": "paper",
            "y": 1,
            "yref": "container",
            "yanchor": "top",
            "pad": {"t": 14},
        },
        height=height,
        margin={"t": 105, "l": 80, "r": 30, "b": 60},
        template="plotly_white",
        font_size=13,
        legend={"orientation": "h", "x": 0, "yref": "container", "y": 1 - 48 / height, "yanchor": "top"},
    )


figure = make_subplots(3, 1, shared_xaxes=True, vertical_spacing=0.04)
for row, (analyte, title) in enumerate(ANALYTES.items(), start=1):
    positive = records[(records["analyte"] == analyte) & (records["value"] > 0)]
    for number, patients in positive.sort_values(["subject", "day"]).groupby("grade"):
        gaps = patients.drop_duplicates("subject").assign(
            day=np.inf, value=np.nan
        )  # a line ends with its patient
        lines = pd.concat([patients, gaps]).sort_values(["subject", "day"])
        figure.add_scatter(
            x=lines["day"].replace(np.inf, np.nan),
            y=lines["value"],
            mode="lines+markers",
            text=lines["subject"],
            marker={"color": COLOURS[number], "size": 5, "symbol": lines["censored"].map(SYMBOLS)},
            opacity=0.8,
            line={"color": COLOURS[number], "width": 1},
            name=f"grade {number}",
            legendgroup=str(number),
            showlegend=row == 2,
            row=row,
            col=1,
        )
    figure.update_yaxes(title_text=title, **DECADES, row=row, col=1)
figure.update_xaxes(title_text="Time since the first CAR-T infusion (days)", row=3, col=1)
dressed(figure, "Cells and cytokines by worst CRS grade", 780)

# %% [markdown]
# ## 3. The observed peaks, by grade
#
# The highest record of each patient. The true peak is higher where that record is right-censored.

# %%
peaks = records.groupby(["subject", "analyte"])["value"].max().unstack()[list(ANALYTES)]
medians = peaks.groupby(grade).median().round(1)
medians.columns = [f"median peak of {title}" for title in ANALYTES.values()]
by_two = peaks.groupby(grade.ge(2)).median()
if REAL:
    assert medians.iloc[:, 1].tolist() == [63.6, 40.9, 300.6, 191.5, 1260.9]
    assert counts.tolist() == [3, 24, 13, 1, 1]
medians.assign(patients=counts).rename_axis("CRS grade")

# %% tags=["hide-cell"]
assert by_two.loc[True, "il6"] > 2 * by_two.loc[False, "il6"]

# %% [markdown]
# Grades 2 and above have higher peaks of IL-6 than grades 0 and 1. So few patients do not say more than that:
# in `car22` grades 3 and 4 are one patient each, grade 0 is three, and the median does not rise at every
# step. The grades overlap: in `car22` one patient of grade 1 had a peak above that of the patient with grade
# 4.

# %%
PANELS = {name: title for name, title in ANALYTES.items() if name != CELLS}
GRADES = [int(number) for number in counts.index]
TICKS = [digit * 10.0**power for power in range(-1, 5) for digit in (1, 2, 5)]
jitter = pd.Series(np.random.default_rng(1).uniform(-0.14, 0.14, len(grade)), index=grade.index)
if REAL:
    assert peaks.loc[grade == 1, "il6"].max() > peaks.loc[grade == 4, "il6"].max()


def by_grade(spread):
    """The patients' peaks as points, one panel a cytokine; `spread` shifts them sideways."""
    figure = make_subplots(1, 2, horizontal_spacing=0.12)
    for col, (analyte, title) in enumerate(PANELS.items(), start=1):
        figure.add_scatter(
            x=grade + spread + jitter,
            y=peaks.loc[grade.index, analyte],
            mode="markers",
            text=grade.index,
            marker={"color": grade.map(COLOURS), "size": 8, "line": {"color": "white", "width": 1}},
            name="a patient's highest record",
            legendgroup="records",
            showlegend=col == 1,
            row=1,
            col=col,
        )
        figure.add_scatter(
            x=np.array(GRADES) + spread,
            y=peaks[analyte].groupby(grade).median(),
            mode="markers",
            marker_size=26,
            marker={"symbol": "line-ew-open", "color": "#1f2933", "line_width": 3},
            name="their median",
            legendgroup="median",
            showlegend=col == 1,
            row=1,
            col=col,
        )
        figure.update_xaxes(
            title_text="Worst CRS grade",
            tickvals=GRADES,
            range=[-0.5, max(GRADES) + 0.5],
            zeroline=False,
            row=1,
            col=col,
        )
        figure.update_yaxes(
            title_text=f"Peak of {title}", type="log", tickvals=TICKS, tickformat=",~r", row=1, col=col
        )
    return figure


dressed(by_grade(0.0), "Highest records by CRS grade", 470)

# %% [markdown]
# ## 4. A model with a link
#
# `cytokine_release`: cells that grow, meet antigen, and release cytokines while they do, the block
# `cytokine_crs` in closed form. The burst grows with the cells and dies away when the first antigen runs out;
# a lasting part follows the cells. The model is a design, with guesses.

# %%
model = kn.load_model("cytokine_release")
print(model)

# %% [markdown]
# ### The fit
#
# Where there is a run of the full plan, its draws are used. Where there is none, a quick fit with fewer
# differences between patients is: `method = "map"`, the normal approximation about the maximum, or, in a
# test, NUTS with far too few draws. **The posterior of a quick fit has not been checked**: it shows how the
# numbers are computed, and none of them may be used. It takes a minute or a few. With `car22` it fails its
# checks, and because it does not let patients differ in how fast antigen runs out, it misses the highest
# peaks.

# %%
plan = kn.read_plan("cytokine_release__car22")
QUICK = {
    "method": "nuts",
    "sampler": {"chains": 2, "warmup": 30, "draws": 30, "start": "prior", "max_tree_depth": 4},
}
if not SMALL:
    QUICK = {"method": "map", "sampler": {"chains": 1, "draws": 400}}


def fitted(name):
    """The fit `name` in RUNS, or None."""
    run = RUNS / f"{name}__car22"
    return kn.load_fit(run) if REAL and not SMALL and (run / "posterior.nc").exists() else None


def quick():
    """Few things differ between patients, no second class of patients, no correlations."""
    keys = plan.resolved()
    observe = {analyte: keys["observe"]["car_cells" if analyte == CELLS else analyte] for analyte in ANALYTES}
    return kn.fit(
        model,
        study,
        observe=observe,
        fixed=keys["fixed"],
        products=["car_t"],
        seed=1,
        **QUICK,
        vary=["tmet", "cmax", "il6_released", "ifn_gamma_released"],
    )


full = fitted("cytokine_release")
fit = full or quick()
verdict = kn.check(fit)
print(f"{fit.name} by {fit.method}, {fit.draws} draws of {'the full plan' if full else 'the quick fit'}")
print(verdict)

# %% [markdown]
# ## 5. The curves
#
# For each grade the patient with most records: the curve with its bands, and the records.

# %%
shown = records[records["subject"].isin(fit.bound.subjects)]
chosen = shown.groupby(["grade", "subject"]).size().groupby("grade").idxmax().map(lambda pair: pair[1])


def individual(analyte):
    """The fits of the chosen patients, and whose data they are."""
    figure = plot.plot_individual_fits(fit, analyte, subjects=chosen.tolist(), columns=3)
    if REAL:  # a synthetic study is labelled already
        figure.add_annotation(
            text=f"<b>{LABEL}</b>",
            font={"color": "white", "size": 12.5},
            bgcolor="#0B5E3C",
            borderpad=4,
            xref="paper",
            x=1,
            xanchor="right",
            yref="paper",
            y=1,
            yanchor="top",
            yshift=127,
            showarrow=False,
        )
    return figure


individual("il6")

# %%
individual(CELLS)

# %% [markdown]
# ## 6. What the model implies for the peak by grade
#
# The model does not know the grades. Each patient's curve has a peak in every draw; the median of the peaks
# within a grade is drawn with its 90 % interval, beside the records. A record is the curve plus an error and
# is taken on some days only, and the highest record has the luckiest error. The two need not agree, least of
# all where a plate's upper limit cut the records off.

# %%
exposure = kn.exposure(fit, draws=60 if SMALL else 1000, by="course")
exposure = exposure[exposure["subject"].isin(grade.index)].assign(
    grade=lambda table: table["subject"].map(grade)
)
implied = exposure.groupby(["analyte", "grade", "draw"])["cmax"].median()
implied = implied.groupby(["analyte", "grade"]).quantile([0.05, 0.5, 0.95]).unstack()
figure = by_grade(-0.15)
for col, analyte in enumerate(PANELS, start=1):
    low, middle, high = (implied.loc[analyte][q] for q in (0.05, 0.5, 0.95))
    figure.add_scatter(
        x=np.array(GRADES) + 0.25,
        y=middle,
        mode="markers",
        name="the fit: median peak, 90 % interval",
        marker={"symbol": "diamond", "size": 10, "color": "#0072B2"},
        legendgroup="fit",
        showlegend=col == 1,
        error_y={"array": high - middle, "arrayminus": middle - low, "thickness": 2},
        row=1,
        col=col,
    )
quality = "" if full and verdict.ok else ": a fit that failed its checks" if full else ": a quick fit"
dressed(figure, f"Peaks by CRS grade, recorded and implied{quality}", 490)

# %%
tables = {}
for analyte, title in ANALYTES.items():
    tables[title] = pd.DataFrame(
        {
            "patients": counts,
            "recorded": peaks[analyte].groupby(grade).median(),
            "fit: median": implied.loc[analyte][0.5],
            "fit: 5 %": implied.loc[analyte][0.05],
            "fit: 95 %": implied.loc[analyte][0.95],
        }
    )
table = pd.concat(tables)
table.rename_axis(["median peak", "CRS grade"]).round(1)

# %% tags=["hide-cell"]
assert (table["fit: 5 %"] <= table["fit: median"]).all()

# %% [markdown]
# ### Cells or release?
#
# Grades 2 and above over grades 0 and 1, as a ratio of geometric means, in every draw. The last two lines are
# the cytokine level that a patient's cells would hold at their height: the product of antigen and of what one
# cell releases, which no record separates.


# %%
def ratio(values, subjects):
    """Quantiles of the ratio; `values` (draw, subject)."""
    high = grade.reindex(subjects).ge(2).to_numpy()
    graded = grade.reindex(subjects).notna().to_numpy()
    logs = np.log(values)
    difference = logs[:, graded & high].mean(axis=1) - logs[:, graded & ~high].mean(axis=1)
    return np.quantile(np.exp(difference), [0.5, 0.05, 0.95])


theta = fit.theta(at_most=1000)
rows = {}
for analyte, title in ANALYTES.items():
    wide = exposure[exposure["analyte"] == analyte].pivot(index="draw", columns="subject", values="cmax")
    rows[f"peak of {title.partition(' (')[0]}"] = ratio(wide.to_numpy(), wide.columns)
for name in ("il6_released", "ifn_gamma_released"):
    rows[name] = ratio(theta[name], fit.bound.subjects)
ratios = pd.DataFrame(rows, index=["grade 2+ / grade 0-1", "5 %", "95 %"]).T
if full:
    assert ratios.loc["peak of IL-6", "5 %"] > 1
ratios.round(2)

# %% [markdown]
# ## 7. What it cannot say
#
# - **What tocilizumab and steroids did.** Patients who were given them differ from those who were not: the
#   drugs follow the grade (below), and the model has neither drug. An effect on the curves is in `lasting`,
#   the half-lives and the errors. Equations with both drugs are in `cytokine_crs`; they need the days on
#   which they were given, which `car22` does not have.
# - **What a dose does.** The cells infused in `car22` are not published: its doses are shares of a course.
# - **Who will have CRS.** A fit to a whole course describes it; it was not asked to predict a grade from the
#   first days.
# - **Anything about grade 3 or 4 alone**: see the numbers of patients above.

# %%
if REAL:
    drugs = study.subjects[["tocilizumab", "steroids"]].eq("yes")
else:
    products = {"tocilizumab": "tocilizumab", "steroids": "corticosteroid"}
    drugs = pd.DataFrame(index=grade.index)
    for name, product in products.items():
        treated = study.doses.query(f"product == '{product}'")["subject"]
        drugs[name] = grade.index.isin(treated)
drugs = drugs.groupby(grade).sum().assign(patients=counts)
share = drugs[["tocilizumab", "steroids"]].div(drugs["patients"], axis=0)
drugs.rename_axis("CRS grade")

# %% tags=["hide-cell"]
assert share.loc[2:].max().min() > share.loc[:1].max().max()

# %% [markdown]
# ## 8. Is the link worth having?
#
# `empirical_rise_and_fall` has the same cells, and cytokines that each rise and fall by themselves.
# `kn.compare` asks which of the two better predicts a record that was left out; it needs both fits to be
# sampled.

# %%
empirical = fitted("empirical_rise_and_fall")
runs = {"cytokine_release": full, "empirical_rise_and_fall": empirical}
absent = [f"kinetics fit fits/{name}__car22.toml --out {RUNS}" for name, run in runs.items() if run is None]
if absent:
    print("Not compared: of these two fits there is no run here. With the real data, make them by\n")
    print("\n".join(f"    {command}" for command in absent))
else:
    compared = kn.compare(runs)
    print(compared.table.to_string(index=False))
    print("\n".join(compared.advice))

# %% [markdown]
# Whichever predicts better, check both first (`kinetics check runs/NAME`): where chains do not agree, no
# comparison means much. `kn.compare(..., by="subject")` compares by patient instead of by record.
