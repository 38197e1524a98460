# %% [markdown]
# # A first fit in ten minutes
#
# From a study to numbers that may be used: how high the cells go, when, how long they stay, and how much of
# each answer came from the patients rather than from the prior.
#
# The study, `synthetic_cart_12`, is **synthetic**: twelve virtual patients, simulated from
# `models/ogasawara_2021.py`. No patient is in it. Below it is fitted with another model, `stein_2019`, as
# would be done with patients' data, whose true model nobody knows.
#
# `make notebooks` runs it in full: 4 chains of 1,000 warm-up iterations and 1,000 draws, a minute or two on
# two cores. Tests run it with 2 chains of 40 and 40; such numbers may not be used, and the check below says
# so.

# %%
import os

import numpy as np
import pandas as pd

import kinetics as kn
from kinetics import plot

# %% tags=["hide-cell"]
SMALL = os.environ.get("KINETICS_SMALL") == "1"  # where a test runs this file
QUICK = {"chains": 2, "warmup": 40, "draws": 40, "start": "prior", "max_tree_depth": 5}
SAMPLER = QUICK if SMALL else {"chains": 4, "warmup": 1000, "draws": 1000}

# %% [markdown]
# ## Minute 1: the study
#
# A bare name is the library's; `"data/mine"` is your folder, `"mine.csv"` your event table (notebook 2).

# %%
study = kn.read_study("synthetic_cart_12")
print(study)

# %% tags=["hide-cell"]
assert study.synthetic
assert len(study.subject_ids) == 12

# %%
plot.plot_persistence(study, "car_copies", by="dose_level")

# %% [markdown]
# Each line is a patient, each open symbol a record below the LLOQ (50 copies/µg DNA): about a quarter of all.
# They are neither dropped nor replaced by a number: each enters the likelihood as the probability of being
# below the LLOQ.

# %%
below = (study.observations.query("analyte == 'car_copies'")["censored"] == "left").mean()
f"{below:.0%} of the records of the transgene are below the LLOQ"

# %% tags=["hide-cell"]
assert 0.2 < below < 0.3
assert study.analytes["car_copies"].lloq == 50

# %% [markdown]
# ## Minute 2: the model
#
# Exponential growth to a peak, then a fast and a slow decline, in closed form. The card names every
# parameter's unit, prior and source. A guess says that it is one: here it is the peak, in the prior set
# `solid_tumour`.

# %%
model = kn.load_model("stein_2019")
print(model)

# %% tags=["hide-cell"]
assert not any(parameter.guess for parameter in model.parameters.values())
assert model.prior_sets["solid_tumour"]["cmax"].guess  # no published peak in solid tumours

# %% [markdown]
# ## Minutes 3 to 6: the fit
#
# A fit is told which records an output of the model explains, which parameters differ between patients
# (`vary`), and a seed: the same seed gives the same draws. Written as a file this is a plan,
# `fits/NAME.toml`, which `kinetics fit` runs.

# %%
fit = kn.fit(
    "stein_2019",
    study,
    observe={"car_copies": {"output": "copies"}},
    prior_set="solid_tumour",
    vary=["tmax", "cmax", "alpha"],
    sampler=SAMPLER,
    seed=1,
)

# %% [markdown]
# ## Minute 7: may these numbers be used?
#
# The first question, not the last. A check that fails says what to try; `raise_for_status()` makes it an
# error, for a script that nobody watches.

# %%
verdict = kn.check(fit)
if not SMALL:
    verdict.raise_for_status()
print(verdict)

# %% tags=["hide-cell"]
assert verdict.ok != SMALL  # so few draws never pass

# %% [markdown]
# ## Minute 8: look at the fit

# %%
plot.plot_individual_fits(fit, "car_copies")

# %% [markdown]
# The bands are those of the curve; a new record scatters around them by the residual SD. Does the model, with
# its variability between patients, make data like these? The visual predictive check simulates the study
# anew:

# %%
plot.plot_vpc(fit, kn.vpc(fit, "car_copies", n=50 if SMALL else 500))

# %% [markdown]
# ## Minute 9: what the patients taught, and what the prior said
#
# `contraction` is how much narrower the posterior is than the prior: 1 if the data said everything, 0 if they
# said nothing. The patients determine the peak (`cmax`) and its day (`tmax`). The slow decline (`beta`) comes
# mostly from the prior: three months of follow-up say little about a half-life longer than that.

# %%
table = kn.parameter_table(fit).set_index("site")
learnt = table["contraction"]
shown = table.loc[table["kind"].isin(["population", "derived"])]
shown[["unit", "median", "lower", "upper", "contraction", "source"]].round(3)

# %% tags=["hide-cell"]
assert learnt[["cmax_pop", "tmax_pop"]].min() > 0.6 > 0.5 > learnt["beta_pop"]
assert table.loc["half_life_persistence", "lower"] > 90
assert study.observations["time"].max() < 91

# %%
plot.plot_prior_posterior(fit)

# %% [markdown]
# ## Minute 10: exposure
#
# Cmax, Tmax, AUC and persistence of every patient and draw, also at times when nobody sampled: an interval,
# not a number. NCA of the same samples is beside it. The two rank the patients alike, but NCA takes the
# highest record, with its error, for the peak. In S03 one record is far above its neighbours: the fit's peak
# is little more than half of it.

# %%
exposure = kn.exposure(fit)
summary = kn.exposures.exposure_summary(exposure)
nca = kn.nca(study, analyte="car_copies", by="course").set_index("subject")
peak = summary.query("cycle == 'course' and quantity == 'cmax'").set_index("subject")
both = (
    pd.DataFrame(
        {
            "fit: median": peak["median"],
            "fit: 5 %": peak["lower"],
            "fit: 95 %": peak["upper"],
            "NCA": nca["cmax"],
        }
    )
    .round(-1)
    .astype(int)
)
both.rename_axis("Cmax (copies/µg DNA)")

# %% tags=["hide-cell"]
assert np.corrcoef(np.log(both["fit: median"]), np.log(both["NCA"]))[0, 1] > 0.9
assert both.loc["S03", "fit: median"] < 0.7 * both.loc["S03", "NCA"]

# %% [markdown]
# ## From here
#
# `fit.save("runs/mine")` keeps it, `kn.report(...)` writes all of this as one HTML file (notebook 2),
# `kn.simulate` applies it to regimens that nobody was given, and `kn.recommend` leads from it to a dose
# (notebook 5). Notebook 6 is about your own equations.
