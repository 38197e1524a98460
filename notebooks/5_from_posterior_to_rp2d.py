# %% [markdown]
# # From posterior to RP2D: exposures, exposure-response, the dose decision
#
# Phase IA is over: it is known who had a DLT, CRS or a response, and how high each patient's cells went. This
# notebook goes from there to a recommended dose (RP2D), and shows what the answer owes to the protocol's
# rule, the models, the priors and the weights.
#
# **Synthetic data throughout.** The two trials, `nkg2d_phase1_synthetic` and `nkg2d_plateau_synthetic`, were
# drawn from `models/nkg2d_nk_t_livermet.py`, a design of this project; the layout is that of NCT07021534. No
# patient is in them.
#
# `kinetics recommend` does the same on the command line. `make notebooks` and the tests run it at the same
# size.

# %%
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.express as px

import kinetics as kn
from kinetics import plot

# A fit whose exposures are used, such as "runs/nkg2d_blood__nkg2d_phase1_synthetic"; None: the samples'.
RUN = None
TRIALS = ("nkg2d_phase1_synthetic", "nkg2d_plateau_synthetic")
protocol = kn.read_protocol(TRIALS[0])  # of both
studies = {name: kn.read_study(name) for name in TRIALS}
trial = studies[TRIALS[0]]
LEVELS = [f"{level:.2g}".replace("e+0", "e") for level in protocol.levels]
NAMES = [f"{level} cells/kg" for level in LEVELS]
assert all(study.synthetic for study in studies.values())
print(trial)

# %% [markdown]
# ## 1. Outcomes
#
# DLTs are those that the protocol counts: its window, its clock, who is evaluable. `crs` is the worst grade
# (ASTCT), `response` is 1 for a CR or PR. One patient has no row: it never had the CAR-T whose dose is
# escalated.

# %%
outcomes = kn.outcomes.subject_outcomes(trial, protocol).set_index("subject")
assert set(trial.subject_ids) - set(outcomes.index) == {"S03"}
assert trial.doses.loc[trial.doses["subject"] == "S03", "product"].ne(protocol.level_product).all()
outcomes.astype({"dose": float}).map("{:g}".format)

# %% [markdown]
# ## 2. Exposures
#
# An exposure of a **fit** is its posterior: as uncertain as the patient's curve is, at times that nobody
# sampled too. Without one it is what the **samples** say (NCA), taken as exact, and new patients come of a
# power model of dose alone, ln exposure = a + b ln dose + e. This page takes the samples'; name a run in
# `RUN` (on the command line `kinetics recommend ... --run runs/NAME`) and a fit's take the same places. That
# fit (`kinetics fit fits/nkg2d_blood__nkg2d_phase1_synthetic.toml`) takes about ten minutes on two cores.


# %%
def evidence(study, run=None):
    """What `kn.recommend` weighs: exposures of the patients as dosed, and of new patients at every level."""
    if run is not None:
        fit = kn.load_fit(run)
        return {
            "as_dosed": kn.decision.exposures_as_dosed(fit, protocol),
            "at_levels": kn.decision.exposures_at_levels(fit, protocol),
        }
    sampled = kn.decision.exposures_from_samples(study, protocol)
    doses = study.subjects["dose_level"].astype(float).to_dict()
    return {
        "as_dosed": sampled,
        "at_levels": kn.decision.exposures_by_power_model(sampled, doses, protocol),
        "proportionality": kn.decision.proportionality_table(sampled, doses),
    }


first_evidence = evidence(trial, RUN)
as_dosed = first_evidence["as_dosed"]
at_levels = first_evidence["at_levels"]
proportional = evidence(trial)["proportionality"].set_index("exposure")
area = proportional.loc["car_copies_auc_28d"]
assert area["lower"] < 1 < area["upper"]  # dose proportionality is compatible with the data ...
assert area["upper"] - area["lower"] > 0.5  # ... and so is much else
assert (proportional["upper"] - proportional["lower"]).idxmin() == area.name
proportional.round(2)

# %% [markdown]
# `b` is the power; 1 is dose proportionality. With eleven patients its 90 % interval is more than half a unit
# wide even for the best determined exposure here, the area under the transgene: proportionality is not
# refuted, and nothing more.

# %%
AREA = "car_copies_auc_28d"
patients = pd.DataFrame(
    {
        "dose": outcomes.loc[as_dosed.subjects, "dose"],
        "area": np.median(as_dosed.values[AREA], axis=0),
        "DLT": outcomes.loc[as_dosed.subjects, "dlt"].map({0.0: "no", 1.0: "yes"}).fillna("not evaluable"),
    }
)
UNIT = as_dosed.units[AREA].replace(" x ", " · ").replace("ug", "µg")
TITLES = {"dose": "Dose level (cells/kg, each infusion)", "area": f"AUC, days 0 to 28 ({UNIT})"}
figure = px.scatter(
    patients,
    x="dose",
    y="area",
    color="DLT",
    symbol="DLT",
    log_x=True,
    log_y=True,
    height=480,
    template="plotly_white",
    color_discrete_map={"no": "#0072B2", "yes": "#D55E00"},
    labels=TITLES,
    hover_name=patients.index,
    title="Exposure to CAR-T, each patient over 90 % of new patients",
)
figure.update_traces(marker_size=11, marker_line={"width": 1, "color": "white"})
low, middle, high = np.array([np.quantile(level.values[AREA], [0.05, 0.5, 0.95]) for level in at_levels]).T
figure.add_scatter(
    x=[*protocol.levels, *protocol.levels[::-1]],
    y=[*high, *low[::-1]],
    fill="toself",
    mode="lines",
    line_width=0,
    fillcolor="rgba(0, 114, 178, 0.13)",
    name="90 % of new patients",
    hoverinfo="skip",
)
figure.add_scatter(x=list(protocol.levels), y=middle, mode="lines", line_color="#0072B2", name="their median")
figure.update_xaxes(tickvals=list(protocol.levels), ticktext=LEVELS)
figure.update_yaxes(tickvals=[5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5], exponentformat="power")
figure.update_xaxes(ticks="outside", linecolor="#52606d").update_yaxes(ticks="outside", linecolor="#52606d")
figure.add_annotation(
    text="<b>SYNTHETIC DATA</b>",
    font={"color": "white", "size": 12},
    bgcolor="#B34700",
    borderpad=4,
    xref="paper",
    x=1,
    xanchor="right",
    yref="paper",
    y=1,
    yanchor="bottom",
    yshift=12,
    showarrow=False,
)
inside = np.mean(
    [
        low[level - 1] < value < high[level - 1]
        for level, value in zip(outcomes.loc[as_dosed.subjects, "level"], patients["area"], strict=True)
    ]
)
assert inside > 0.7  # the power model is not absurd for those it was made from
figure.update_layout(font_size=13)

# %% [markdown]
# ## 3. Exposure-response
#
# A proportional-odds regression of the CRS grade on the peak of the transgene. The prior of its slope is a
# **design guess**: twice the peak, an odds ratio of 2^0.5 = 1.4 (90 %: 0.95 to 2.1).
# `kn.decision.exposure_response` averages a patient's likelihood over the draws of its exposure; samples give
# one draw.

# %%
PEAK = "car_copies_cmax"
measured = [s for s in as_dosed.subjects if np.isfinite(as_dosed.of([s])[PEAK]).all()]
x = {PEAK: as_dosed.of(measured)[PEAK]}
grades = outcomes.loc[measured, "crs"].astype(int).clip(upper=3)
prior = kn.decision.Slope(mean=0.5, sd=0.35, reference=float(np.median(x[PEAK])), source="a guess")
crs = kn.decision.exposure_response("crs", grades.tolist(), x, {PEAK: prior}, categories=4, seed=1)
assert crs.ok  # the draws are worth 400 independent ones
crs.table().set_index("exposure").transpose()

# %%
assert all(len(values) == 1 for values in evidence(trial)["as_dosed"].values.values())
figure = plot.plot_exposure_response(
    crs,
    PEAK,
    grades.to_numpy(float),
    x[PEAK],
    subjects=measured,
    title="CRS of grade 2 or more against the peak",
    grade=2,
    unit=as_dosed.units[PEAK],
    synthetic=trial.synthetic,
    study=trial.name,
)
figure.update_xaxes(
    tickvals=[2e3, 5e3, 1e4, 2e4, 5e4], ticktext=["2,000", "5,000", "10,000", "20,000", "50,000"]
)

# %% [markdown]
# The curve rises, and it would rise without data: the prior says so. Under priors with other means, the slope
# follows its prior. `learnt` is how much narrower the posterior is than the prior: less than a fifth here.


# %%
def slope_from(mean):
    """The odds ratio for twice the peak under a prior of this mean."""
    moved = kn.decision.Slope(mean, prior.sd, prior.reference, "for comparison")
    response = kn.decision.exposure_response("crs", grades.tolist(), x, {PEAK: moved}, categories=4, seed=1)
    return response.table()[["prior_or", "or_per_doubling", "lower", "upper", "learnt"]].iloc[0]


priors = pd.DataFrame({f"prior mean {mean}": slope_from(mean) for mean in (0.0, 0.5, 1.0)}).T
assert (priors["learnt"] < 0.2).all()
assert priors["or_per_doubling"].is_monotonic_increasing
assert (priors["or_per_doubling"] / priors["prior_or"]).between(0.9, 1.15).all()
priors.round(2)

# %% [markdown]
# ## 4. The decision of the first trial
#
# The protocol's rule decides the MTD; nothing below can raise it. A BLRM of the same DLTs says how likely
# each level is an overdose; the regressions, at the exposures of new patients, how likely DLT, CRS and
# response are; the protocol's `[utilities]` weigh those. The RP2D is the level of highest expected utility
# among those that are not above the MTD, had a whole cohort, and are an overdose with a probability of at
# most 0.25.

# %%
first = kn.recommend(
    trial,
    protocol,
    **first_evidence,
    targets=[kn.decision.Target(PEAK, 1e4)],
    strata=["tumour"],
    audit={"exposures": RUN or "samples"},
)
assert (first.state, first.mtd, first.rp2d) == ("agreement", 2, 2)
print("\n".join(first.sentences))

# %%
plot.plot_dose_decision(first, NAMES, 0.25)

# %% [markdown]
# No one responded, so the utility chooses the level that does least harm, and the lowest would be "most
# useful" of all in nine draws of ten. It is not recommended, because one patient had it and a whole cohort is
# required. A utility without a condition on evidence would have recommended a dose on the strength of one
# patient.

# %%
levels = first.levels.set_index(pd.Index(NAMES, name="level"))
assert outcomes["response"].sum() == 0
assert levels["p_best_of_all"].idxmax() == NAMES[0]
assert levels["p_best_of_all"].iloc[0] > 0.85
assert levels["evaluable"].iloc[0] == 1 < protocol.escalation.cohort
assert levels["p_over"].iloc[1] <= 0.25 < levels["p_over"].iloc[2]
columns = ["subjects", "evaluable", "dlts", "blrm_mean", "p_over", "utility", "p_best", "p_best_of_all"]
levels[columns].round(3)

# %% [markdown]
# ### What three more patients would change
#
# Every outcome of the next cohort at the RP2D. Two DLTs among three would leave the level allowed
# (P(overdose) just below 0.25); three would not.

# %%
assert first.next_patients["still_allowed"].tolist() == [True, True, True, False]
first.next_patients.round(3)

# %% [markdown]
# ## 5. A plateau: the rule and the utility disagree
#
# In the second trial everyone responds and the top level had one DLT in six, so the MTD is the highest level.
# Exposure still rises with dose, while the chance of a response hardly does and that of a DLT doubles: the
# utility prefers a lower level.

# %%
plateau = studies[TRIALS[1]]
second = kn.recommend(plateau, protocol, **evidence(plateau), strata=["tumour"])
assert (second.state, second.mtd, second.rp2d) == ("conflict", 4, 2)
assert (second.outcomes["response"] == 1).all()
plateau_doses = plateau.subjects["dose_level"].astype(float).to_dict()
assert kn.decision.proportionality_table(second.as_dosed, plateau_doses)["b"].median() > 0.5
gained = second.levels.iloc[3] - second.levels.iloc[1]
assert gained["response_median"] < 0.02 < 0.05 < gained["dlt_median"]
assert second.levels["dlt_median"].iloc[3] > 2 * second.levels["dlt_median"].iloc[1]
print("\n".join(second.sentences))

# %%
plot.plot_dose_decision(second, NAMES, 0.25)

# %% [markdown]
# ### What it owes to the weights
#
# Four of five sets of weights choose the same level; "response alone", which does not mind a DLT, chooses the
# MTD. The conflict is one of values as much as of data, and the page shows it.

# %%
weights = second.sensitivity.set_index("weights")
assert weights.drop(index="response alone")["level"].eq(2).all()
assert weights.loc["response alone", "level"] == 4
weights.round(2)

# %% [markdown]
# It owes much to the priors too: every slope of both trials is a design guess that the patients moved by less
# than a fifth.

# %%
slopes = pd.concat({name: r.slopes for name, r in zip(TRIALS, (first, second), strict=True)}).droplevel(1)
assert slopes["prior_source"].str.contains("design guess").all()
assert (slopes["learnt"] < 0.2).all()
slopes[["outcome", "exposure", "n", "or_per_doubling", "lower", "upper", "prior_or", "learnt"]].round(2)

# %% [markdown]
# ## 6. The page for the meeting
#
# One HTML file that needs no network: the verdict, every table above, and the audit trail. On the command
# line: `kinetics recommend nkg2d_phase1_synthetic --study nkg2d_plateau_synthetic --out decision.html`.

# %%
page = kn.pages.recommendation_page(
    second, NAMES, to=Path(tempfile.mkdtemp(prefix="kinetics-")) / "decision.html"
)
text = page.read_text(encoding="utf-8")
assert "RP2D: 3e7 cells/kg, below the MTD: a conflict" in text
assert "synthetic" in text.lower()
assert 'src="http' not in text
print(f"{page}  {page.stat().st_size / 1e6:.1f} MB")
