# %% [markdown]
# # From posterior to RP2D: exposures, exposure-response, the dose decision
#
# Phase IA is over: it is known who had a DLT, CRS or a response, and how high each patient's cells went.
# This notebook goes from there to a recommended dose (RP2D), or to the sentence that says why there is
# none. It shows what the answer owes to the protocol's rule, the joint model of DLT and response, its
# priors and the weights.
#
# **Synthetic data throughout.** The two trials, `nkg2d_phase1_synthetic` and `nkg2d_plateau_synthetic`,
# were drawn from `models/nkg2d_nk_t_livermet.py`, a design of this project; the layout is that of
# NCT07021534. No patient is in them.
#
# `kinetics recommend` does the same on the command line. `make notebooks` and the tests run it at the same
# size.

# %%
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

import kinetics as kn
from kinetics import plot

# A fit whose exposures are used, such as "runs/nkg2d_blood__nkg2d_phase1_synthetic"; None: the samples'.
RUN = None
TRIALS = ("nkg2d_phase1_synthetic", "nkg2d_plateau_synthetic")
protocol = kn.read_protocol(TRIALS[0])  # of both
studies = {name: kn.read_study(name) for name in TRIALS}
trial = studies[TRIALS[0]]
plateau = studies[TRIALS[1]]
NAMES = [protocol.level_name(level) for level in range(1, len(protocol.levels) + 1)]
print(trial)

# %% tags=["hide-cell"]
assert all(study.synthetic for study in studies.values())

# %% [markdown]
# ## 1. Outcomes
#
# DLTs are those that the protocol counts: its window, its clock, who is evaluable. `crs` is the worst grade
# (ASTCT). `response` is 1 for a CR or PR, 0 once none can come any more, and empty while one is awaited: a
# response that may still come is no failure. One patient has no row: it never had the CAR-T whose dose is
# escalated.

# %%
outcomes = kn.outcomes.subject_outcomes(trial, protocol).set_index("subject")
outcomes.astype({"dose": float}).map("{:g}".format).replace("nan", "awaited")

# %% tags=["hide-cell"]
assert set(trial.subject_ids) - set(outcomes.index) == {"S03"}
assert trial.doses.loc[trial.doses["subject"] == "S03", "product"].ne(protocol.level_product).all()
assert outcomes.index[outcomes["response"].isna()].tolist() == ["S07"]

# %% [markdown]
# ## 2. Exposures
#
# An exposure of a **fit** is its posterior: as uncertain as the patient's curve is, at times that nobody
# sampled too. Without one it is what the **samples** say (NCA), taken as exact, and new patients come of a
# power model of dose alone, ln exposure = a + b ln dose + e. This page takes the samples'; name a run in
# `RUN` (on the command line `kinetics recommend ... --run runs/NAME`) and a fit's take the same places.
# That fit (`kinetics fit fits/nkg2d_blood__nkg2d_phase1_synthetic.toml`) takes about ten minutes on two
# cores.


# %%
def evidence(study, run=None):
    """Exposures of the patients as dosed, and of new patients at every level."""
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
AREA = "car_copies_auc_28d"
proportional = evidence(trial)["proportionality"].set_index("exposure")
area = proportional.loc[AREA]
proportional[["n", "b", "lower", "upper"]].round(2)

# %% tags=["hide-cell"]
assert area["lower"] < 1 < area["upper"]  # dose proportionality is compatible with the data ...
assert area["upper"] - area["lower"] > 0.5  # ... and so is much else

# %% [markdown]
# `b` is the power; 1 is dose proportionality. With eleven patients its 90 % interval is more than a whole
# unit wide for the area under the transgene: proportionality is not refuted, and nothing more.

# %%
plot.plot_dose_exposure(trial, kn.decision.exposures_from_samples(trial, protocol), [AREA])

# %% tags=["hide-cell"]
assert area["upper"] - area["lower"] > 1.0

# %% [markdown]
# ## 3. Exposure-response, as evidence
#
# A proportional-odds regression of the CRS grade on the peak of the transgene. The prior of its slope is a
# **design guess**: twice the peak, an odds ratio of 2^0.5 = 1.4 (90 %: 0.95 to 2.1).
# `kn.decision.exposure_response` averages a patient's likelihood over the draws of its exposure; samples
# give one draw.

# %%
PEAK = "car_copies_cmax"
measured = [s for s in as_dosed.subjects if np.isfinite(as_dosed.of([s])[PEAK]).all()]
x = {PEAK: as_dosed.of(measured)[PEAK]}
grades = outcomes.loc[measured, "crs"].astype(int).clip(upper=3)
prior = kn.decision.Slope(mean=0.5, sd=0.35, reference=float(np.median(x[PEAK])), source="a guess")
crs = kn.decision.exposure_response("crs", grades.tolist(), x, {PEAK: prior}, categories=4, seed=1)
plot.plot_exposure_response(
    crs,
    PEAK,
    grades.to_numpy(float),
    x[PEAK],
    subjects=measured,
    title="CRS of grade 2 or more against the peak",
    grade=2,
    unit=as_dosed.units[PEAK],
    label="Cmax of CAR copies",
    synthetic=trial.synthetic,
    study=trial.name,
)

# %% tags=["hide-cell"]
assert crs.ok  # the draws are worth 400 independent ones

# %% [markdown]
# The curve rises, and it would rise without data: the prior says so. Under priors with other means, the
# slope follows its prior. `learnt` is how much narrower the posterior is than the prior: less than a fifth
# here. So a regression on exposure is shown as evidence, and **the decision does not rest on it**.


# %%
def slope_from(mean):
    """The odds ratio for twice the peak under a prior of this mean."""
    moved = kn.decision.Slope(mean, prior.sd, prior.reference, "for comparison")
    response = kn.decision.exposure_response("crs", grades.tolist(), x, {PEAK: moved}, categories=4, seed=1)
    return response.table()[["prior_or", "or_per_doubling", "lower", "upper", "learnt"]].iloc[0]


priors = pd.DataFrame({f"prior mean {mean}": slope_from(mean) for mean in (0.0, 0.5, 1.0)}).T
priors.round(2)

# %% tags=["hide-cell"]
assert (priors["learnt"] < 0.2).all()
assert priors["or_per_doubling"].is_monotonic_increasing
assert (priors["or_per_doubling"] / priors["prior_or"]).between(0.9, 1.15).all()

# %% [markdown]
# The joint model uses exposure in another way: within a level, patients with a higher peak are more likely
# to have CRS, a DLT or a response. It takes the peak up to day 14 only, or up to the DLT or the first drug
# against toxicity, because serum IL-6 rises under tocilizumab (`models/cytokine_crs.py` says why) and
# steroids may lower the cells: what follows an event may be its consequence. Of a patient who had such an
# event, the peak is known to be *at least* what was seen before it.

# %%
seen = kn.decision.patients_seen(plateau, protocol)
rows = []
for subject, patient in seen.items():
    peak = f"{np.exp(patient.dlt_exposure.low):.0f}"
    if patient.dlt_exposure.high > patient.dlt_exposure.low:
        peak = f"at least {peak}"
    level = NAMES[patient.level - 1]
    rows.append(
        {"subject": subject, "level": level, "worst CRS grade": patient.crs, "IL-6 peak (pg/mL)": peak}
    )
peaks = pd.DataFrame(rows).set_index("subject")
cut = peaks["IL-6 peak (pg/mL)"].str.startswith("at least")
peaks.sort_index()

# %% tags=["hide-cell"]
assert cut.any()
assert (peaks.loc[cut, "worst CRS grade"] >= 2).all()

# %% [markdown]
# ## 4. A trial in which nobody responds: no dose
#
# The protocol's rule decides the MTD, and that is the safety envelope: no level above it is recommended. Of
# the levels up to it, those may be recommended that have an evaluable patient and whose probability of a
# DLT rate above the limit is below 40 %. One joint model of DLT, CRS grade, response and depth of response
# says how likely the outcomes of a new patient are at each level; the protocol's `[utilities]` weigh them.
# The level of highest expected utility is recommended, unless no level is likely to have responses.

# %%
first = kn.recommend(
    trial,
    protocol,
    **first_evidence,
    targets=[kn.decision.Target(PEAK, 1e4)],
    strata=["tumour"],
    audit={"exposures": RUN or "samples"},
)
print("\n".join(first.sentences))

# %% tags=["hide-cell"]
assert (first.state, first.mtd, first.rp2d) == ("none", 2, None)

# %%
plot.plot_dose_decision(first, NAMES)

# %% [markdown]
# The lowest level has the highest expected utility, because it does least harm. A utility alone would
# therefore recommend a dose at which nobody is likely to respond. The rule asks first: after nine patients
# with a known response, is there a level whose response rate exceeds 10 % with a probability of 25 % or
# more? There is none.

# %%
allowed = first.levels["eligible"].to_numpy()
above_ten = first.joint.posterior.p_response_above(0.10)
columns = ["level", "DLT", "response", "P(response)", "utility", "may be chosen"]
table = first.levels_in_words(NAMES)[columns].set_index("level")
table.assign(**{"P(rate above 10 %)": [f"{100 * p:.0f} %" for p in above_ten]})

# %% tags=["hide-cell"]
assert first.levels["responses"].sum() == 0
assert first.levels["assessed"].sum() == 10
assert first.levels.loc[allowed, "utility"].idxmax() == 0
assert above_ten[allowed].max() < 0.25
assert first.levels["why_not"].str.startswith("above the MTD").tolist() == [False, False, True, True]

# %% [markdown]
# ## 5. A plateau: the recommended level lies below the MTD
#
# In the second trial everyone responds, and the top level had one DLT in six, so the MTD is the highest
# level. From 5e7 to 7e7 cells/kg the chance of a response hardly rises and that of a DLT does. The text
# begins with what to do. **The recommended level has three evaluable patients, and the protocol asks for
# six**: three more are to be treated there before the level is settled.

# %%
second = kn.recommend(plateau, protocol, **evidence(plateau), strata=["tumour"])
step = second.levels[["p_response", "p_dlt"]].diff().iloc[3]
print("\n".join(second.sentences))

# %% tags=["hide-cell"]
assert (second.state, second.mtd, second.rp2d) == ("recommended", 4, 3)
assert (second.outcomes["response"] == 1).all()
assert second.sentences[1].startswith("To do: 3 more patients at 5e7 cells/kg.")
assert step["p_response"] < 0.03 < 0.05 < step["p_dlt"]

# %%
plot.plot_dose_decision(second, NAMES)

# %% [markdown]
# ### How sure that is
#
# Not very. No level is the best with a probability of even 45 %. The one most often best, 3e7, is not the
# one recommended: where 3e7 is not the best, it loses more. The expected utilities of the upper three
# levels lie within three points, and each has a 90 % interval that is at least fourteen points wide:
# **thirteen patients do not tell these levels apart.** The page says so; only a randomised comparison, as
# in phase IB, would.

# %%
levels = second.levels.set_index(pd.Index(NAMES, name="level"))
upper = levels.iloc[1:]
unsure = ("leave open which level is the best", "do not tell")
levels[["utility", "utility_lower", "utility_upper", "p_best", "p_near_best"]].round(2)

# %% tags=["hide-cell"]
assert levels["p_best"].max() < 0.45
assert levels["p_best"].idxmax() == NAMES[1] != NAMES[second.rp2d - 1]
assert levels["utility"].idxmax() == NAMES[second.rp2d - 1]
assert upper["utility"].max() - upper["utility"].min() < 3
assert (upper["utility_upper"] - upper["utility_lower"]).min() > 14
assert any(words in line for line in second.sentences for words in unsure)

# %% [markdown]
# ### What it owes to the weights
#
# Whoever looks at responses alone takes the MTD, whoever at DLTs alone the lowest level, and whoever thinks
# that a DLT forfeits a response takes 3e7. The choice is one of values as much as of data. The weights
# called declared are `[utilities]` of the protocol.

# %%
weights = second.sensitivity.set_index("weights")
weights.round(2)

# %% tags=["hide-cell"]
assert weights["level"].to_dict() == {
    "declared": 3,
    "response alone": 4,
    "safety alone": 1,
    "a DLT forfeits a response": 2,
    "a DLT costs a response little": 3,
}

# %% [markdown]
# ### What three more patients would make of it
#
# Every number of DLTs among three more at the recommended level, by both rules. With two DLTs among six,
# the probability of a DLT rate above the limit is well below 40 %, and yet nobody more is treated there:
# the protocol's count closes the level, and no model overrules it.

# %%
more = second.next_patients
second.next_in_words().set_index("DLTs of three more")

# %% tags=["hide-cell"]
assert more["protocol"].tolist() == ["MTD 7e7 cells/kg"] * 2 + ["3 more at 3e7 cells/kg"] * 2
assert more["joint"].tolist() == ["may be treated"] * 2 + ["not to be treated"] * 2
assert more["p_over"].iloc[2] < 0.4

# %% [markdown]
# ## 6. The next cohort by the joint rule
#
# The same model can run the trial: before every cohort it treats at the level of highest expected utility,
# with the benefit of the doubt for levels of which little is known. On the command line: `kinetics next
# PROTOCOL --study STUDY --rule joint --ahead 1`. The protocol's rule stands beside it, and has ended; the
# joint rule would put three of the five patients that are left at 3e7 or 5e7, which it hardly tells apart.
# `ahead` prints what it would say after every outcome of that cohort, with its responses awaited.

# %%
then = kn.next_dose(protocol, plateau, rule="joint", ahead=1)
print(f"treat {then.decision.size} at {then.dose}: {then.decision.why}\n")
for branch in then.ahead:
    print(f"{branch.said}: then {branch.decision.size} at {NAMES[branch.decision.level - 1]}")

# %% tags=["hide-cell"]
assert (then.decision.action, then.decision.size) == ("treat", 3)
assert then.dose in ("3e7 cells/kg", "5e7 cells/kg")
assert (then.beside.action, then.beside.mtd) == ("stop", 4)
assert all(branch.decision.level in (1, 2, 3) for branch in then.ahead)

# %% [markdown]
# Before anybody is treated it begins as the protocol does, with one patient at the lowest level.
# `kn.recommend(..., rule="joint")` reports a trial that it has run.

# %%
begin = kn.next_dose(protocol, rule="joint")
running = kn.recommend(plateau, protocol, rule="joint")
print("\n".join(running.sentences[:2]))

# %% tags=["hide-cell"]
assert (begin.dose, begin.decision.size, begin.decision.titrating) == (NAMES[0], 1, True)
assert (running.state, running.rp2d) == ("open", None)

# %% [markdown]
# ## 7. What 9 to 18 patients can tell
#
# The rules were run on whole simulated trials with known truths, every rule on the same patients (`python
# -m bench.decision FOLDER --jobs 2`). The table is in `docs/how_to/dose_decision.md`. In words:
#
# - The protocol's MTD is the best level in about a third of the trials: it is a rule of safety, and does
#   not look at responses.
# - A rule that also **chooses the next cohort** by response and DLT (BOIN12, or the joint rule) is right
#   more often. This is the first lever.
# - CRS grades, depth of response and exposures add to it where the joint model reads them: **richer
#   endpoints** are the second.
# - Even so it is wrong in nearly half of the trials. It is then mostly a neighbouring level, and costs
#   little utility.
# - The model's priors are guesses, and resemble the truths that it was tried on. Real trials will be less
#   kind.
#
# After a 3+3, as here, the recommendation cannot gain the first lever: the patients are where the 3+3 put
# them, and no level above its MTD may be chosen.

# %% [markdown]
# ## 8. The page for the meeting
#
# One HTML file that needs no network. Its first screen has the sentences and the table of levels, and
# prints on one page with a place to sign; the tables above and the audit trail follow. On the command line:
# `kinetics recommend nkg2d_phase1_synthetic --study nkg2d_plateau_synthetic --out decision.html`.

# %%
page = kn.pages.recommendation_page(
    second, NAMES, to=Path(tempfile.mkdtemp(prefix="kinetics-")) / "decision.html", study=plateau
)
text = page.read_text(encoding="utf-8")
print(f"{page}  {page.stat().st_size / 1e6:.1f} MB")

# %% tags=["hide-cell"]
assert "Recommended: 5e7 cells/kg" in text
assert "To do: 3 more patients" in text
assert "SYNTHETIC DATA" in text
assert 'src="http' not in text
