# %% [markdown]
# # Your own data: from a NONMEM or Monolix CSV to a report
#
# A study arrives as one CSV, the way NONMEM and Monolix read it. This notebook reads such a file, finds out
# what is wrong with it, fits it and writes a report. Put your own file in the place of `mine.csv`.
#
# The file is made here, so that nothing has to be downloaded: it is the shipped study `synthetic_cart_12`
# written as an event table in hours. **It is synthetic**: twelve virtual patients, simulated; no patient is
# in it.
#
# `make notebooks` runs it in full: 4 chains of 1,000 warm-up iterations and 1,000 draws, a few minutes on two
# cores with the report. Tests run it with 2 chains of 40 and 40, and 20 replicates; such numbers may not be
# used.

# %%
import os
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

import kinetics as kn
from kinetics import plot

SMALL = os.environ.get("KINETICS_SMALL") == "1"  # where a test runs this file
QUICK = {"chains": 2, "warmup": 40, "draws": 40, "start": "prior", "max_tree_depth": 5}
SAMPLER = QUICK if SMALL else {"chains": 4, "warmup": 1000, "draws": 1000}
FOLDER = Path(tempfile.mkdtemp(prefix="kinetics-"))  # yours: the folder that you work in
CSV = FOLDER / "mine.csv"

# %% [markdown]
# ## 1. The file
#
# One row is a dose (`EVID` 1) or a record (`EVID` 0), and the rows of a subject are together. `DVID` says
# which assay it is. `CENS` 1 says that the value was below the LLOQ, which is then in `DV`. The last columns
# are covariates.

# %%
shipped = kn.read_study("synthetic_cart_12")
assert shipped.synthetic
ASSAYS = {"car_copies": 1, "car_cells": 2}
doses = shipped.doses.assign(EVID=1, AMT=shipped.doses["amount"], DVID=0, CENS=0)
records = shipped.observations.assign(
    EVID=0,
    DV=shipped.observations["value"],
    DVID=shipped.observations["analyte"].map(ASSAYS),
    CENS=(shipped.observations["censored"] == "left").astype(int),
)
rows = pd.concat([doses, records]).sort_values(["subject", "time", "EVID"], kind="stable")
patients = shipped.subjects.loc[rows["subject"]]
table = pd.DataFrame(
    {
        "ID": rows["subject"].str.removeprefix("S").astype(int),
        "TIME": (24 * rows["time"]).round(3),
        "DV": rows["DV"],
        "AMT": rows["AMT"],
        "EVID": rows["EVID"],
        "DVID": rows["DVID"],
        "CENS": rows["CENS"],
        "CYCLE": rows["cycle"],
        "WT": patients["weight_kg"].to_numpy(float),
        "AGE": patients["age"].to_numpy(float),
        "DOSE": patients["dose_level"].to_numpy(float),
    }
)
table.to_csv(CSV, index=False, na_rep=".")
table.astype({"ID": str}).head(8)

# %% [markdown]
# ## 2. What the file cannot say is asked for
#
# Hours or days? Cells or cells/kg? Which assay is `DVID` 1, in which unit, with which LLOQ? Nothing is
# guessed: everything that is missing is listed at once, each with what to write.

# %%
missing = kn.validate_study(CSV)
assert len(missing) >= 5
assert all(problem.remedy and problem.row is None for problem in missing)  # of the file as such, of no row
print("\n".join(f"- {problem}" for problem in missing))

# %% [markdown]
# The answers are in a TOML of the same name beside the CSV. `synthetic = true` is true of this file; leave it
# out of yours.

# %%
(FOLDER / "mine.toml").write_text("""
title = "SYNTHETIC CAR-T study as an event table"
source = "written by notebooks/2_your_own_data.py from data/synthetic_cart_12"
licence = "CC0-1.0"
synthetic = true

[analytes.car_copies]
label = "CAR transgene"
assay = "qpcr"
site = "blood"
unit = "copies/ug DNA"
lloq = 50.0

[analytes.car_cells]
label = "CAR+ T cells"
assay = "flow"
site = "blood"
unit = "cells/uL"
lloq = 0.5

[columns.subjects]
age = { role = "covariate", unit = "year", label = "Age", kind = "number" }
dose_level = { role = "covariate", unit = "cells/kg", label = "Dose level per infusion", kind = "number" }

[event_table]
time_unit = "h"
dose_unit = "cells"
product = "car_t"
route = "iv"
analyte = { 1 = "car_copies", 2 = "car_cells" }
weight_column = "WT"
cycle_column = "CYCLE"
columns = { AGE = "age", DOSE = "dose_level" }
""")
print("\n".join(map(str, kn.validate_study(CSV))) or "nothing is wrong with it")

# %% [markdown]
# ## 3. Every problem is reported, with its row and remedy
#
# Three common mistakes: a laboratory's `<50` in `DV`, a dose without an amount, a negative value.

# %%
broken = table.astype(object).where(table.notna(), ".")
first_blq = table["CENS"].eq(1).to_numpy().argmax()
first_dose = table["EVID"].eq(1).to_numpy().argmax()
last = len(table) - 1
broken.iloc[first_blq, broken.columns.get_loc("DV")] = "<50"
broken.iloc[first_dose, broken.columns.get_loc("AMT")] = "."
broken.iloc[last, broken.columns.get_loc("DV")] = -3.0
broken.to_csv(FOLDER / "broken.csv", index=False)
(FOLDER / "broken.toml").write_bytes((FOLDER / "mine.toml").read_bytes())
problems = kn.validate_study(FOLDER / "broken.csv")
spoilt_rows = {place + 2 for place in (first_blq, first_dose, last)}  # row 1 is the header
assert spoilt_rows <= {problem.row for problem in problems}
print("\n".join(f"- {problem}" for problem in problems))

# %% [markdown]
# `kinetics validate mine.csv` reports the same on the command line; `kinetics convert mine.csv data/mine`
# makes a study folder of it.
#
# ## 4. The study
#
# Every unit is converted once, here: times are days from now on. The study that was read is the one that was
# written.

# %%
study = kn.read_study(CSV)
assert study.synthetic


def sorted_records(study):
    """Time and value of every record, in an order that does not depend on the names of the subjects."""
    numbers = study.observations["subject"].str.removeprefix("S").astype(int)
    records = study.observations.assign(subject=numbers)
    return records.sort_values(["analyte", "subject", "time"])[["time", "value"]]


assert np.allclose(sorted_records(study), sorted_records(shipped), atol=1e-4)
assert np.isclose(study.doses["amount"].sum(), shipped.doses["amount"].sum())
assert (study.observations["censored"] == "left").sum() == (shipped.observations["censored"] == "left").sum()
print(study)

# %%
plot.plot_persistence(study, "car_copies", by="dose_level")

# %% [markdown]
# ## 5. Before any model: NCA
#
# A number that the samples do not give is missing, with its reason, and never filled in.

# %%
nca = kn.nca(study, analyte="car_copies", by="course")
no_half_life = nca["half_life"].isna()
assert (nca.loc[no_half_life, "half_life_reason"] != "").all()
assert nca["cmax"].notna().all()
nca[["subject", "cmax", "tmax", "auc_0_28d", "tlast", "half_life", "half_life_reason"]].round(1)

# %% [markdown]
# ## 6. The fit
#
# The model and priors of notebook 1; `kinetics models` lists the library, notebook 6 writes a model. As a
# file this is `fits/stein_2019__mine.toml`, run by `kinetics fit`.

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
verdict = kn.check(fit)
assert verdict.ok != SMALL
print(verdict)

# %%
plot.plot_individual_fits(fit, "car_copies")

# %% [markdown]
# ## 7. The report
#
# One HTML file that needs no network: data, the fit of each subject, predictive checks, parameters with what
# was learnt, NCA beside the exposures, the checks, and hashes of data, model and versions. Of synthetic data
# it says so at its head.

# %%
page = kn.report(
    fit,
    verdict,
    nca,
    kn.exposure(fit, draws=40 if SMALL else 1000),
    to=FOLDER / "report.html",
    draws=40 if SMALL else 400,
    replicates=20 if SMALL else 500,
)
text = page.read_text(encoding="utf-8")
assert "The data are synthetic" in text
assert study.sha256[:8] in text
assert 'src="http' not in text
print(f"{page}  {page.stat().st_size / 1e6:.1f} MB")

# %% [markdown]
# To go on with other software, `kn.export(fit, ["monolix", "nonmem", "adpp"], "mine-results")` writes the
# result folders and ADaM-shaped tables that it reads.

# %%
exported = kn.export(fit, ["nonmem", "adpp"], FOLDER / "results")
assert any(name.endswith(".ext") for name in exported.files)
print("\n".join(exported.files))
