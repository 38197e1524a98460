# %% [markdown]
# # Your own data: from the lab's sheet, or a NONMEM or Monolix CSV, to a report
#
# Data come in two shapes: the sheet that the lab keeps, one column for each day, or one CSV as NONMEM and
# Monolix read it. This notebook reads one of each, finds out what is wrong with them, fits the second and
# writes a report. Put your own file in the place of either.
#
# Both are **synthetic**: the sheet is invented, and the CSV is the shipped study `synthetic_cart_12` written
# in hours. No patient is in them.
#
# `make notebooks` runs it: 4 chains of 1,000 warm-up iterations and 1,000 draws, a few minutes on two cores
# with the report. With `KINETICS_SMALL=1` it has 2 chains of 40 and 40, and 20 replicates; such numbers may
# not be used, and the check says so.

# %%
import os
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

import kinetics as kn
from kinetics import plot

# %% tags=["hide-cell"]
SMALL = os.environ.get("KINETICS_SMALL") == "1"  # where a test runs this file
QUICK = {"chains": 2, "warmup": 40, "draws": 40, "start": "prior", "max_tree_depth": 5}
SAMPLER = QUICK if SMALL else {"chains": 4, "warmup": 1000, "draws": 1000}

# %%
FOLDER = Path(tempfile.mkdtemp(prefix="kinetics-"))  # yours: the folder that you work in
CSV = FOLDER / "mine.csv"

# %% [markdown]
# ## The lab's sheet
#
# Days across the top, `<50` and `ND` among the numbers, commas for decimal points, dates for infusions. This
# one is text so that you can see it; an `.xlsx` is read in the same way.

# %%
sheet = FOLDER / "phase1.csv"
sheet.write_text(
    """CAR-T phase I, qPCR in blood (invented);;;;;;;;;;
Patient ID;Cohort;Weight (kg);Cells infused;Infusion date;D0;D7;D10;D14;D28;M3
PT-01;DL1;71;1,00E+07;12.01.2024;ND;1 250;4 300;2 100;610;BLQ
PT-02;DL1;58;1,00E+07;2024-01-26;<50;820;1,10E+04;3 050;540;<50
PT-03;DL2;83,5;3,00E+07;23.02.2024;ND;5 400;3,20E+04;1,25E+04;2 900;240
PT-04;DL2;66;3,00E+07;08.03.2024;<50;2 600;9 800;6 100;1 300;95
PT-05;DL3;69;1,00E+08;05.04.2024;ND;1,90E+04;7,70E+04;4,10E+04;7 200;NA
""",
    encoding="utf-8",
)

# %% [markdown]
# `kinetics import phase1.csv` at a terminal, or `kn.import_study` here, says how it reads each kind of cell
# and asks what the sheet does not say. The answers are kept in a TOML for the next data cut. There you also
# say what the study is; `synthetic = true` is true of this one, so leave it out of yours.

# %%
(FOLDER / "phase1.import.toml").write_text("""
[study]
title = "SYNTHETIC phase I, invented for this notebook"
source = "written by notebooks/2_your_own_data.py"
licence = "CC0-1.0"
synthetic = true
""")
made = kn.import_study(
    sheet,
    FOLDER / "phase1",
    answers={"units": "proposed", "words": {"ND": "not detected"}, "infusion": "car_t"},
)
made.interpretations[["about", "written", "read_as", "basis"]].head(10)

# %%
plot.plot_persistence(made.study, "car_copies")

# %%
kn.nca(made.study, analyte="car_copies", by="course")[
    ["subject", "cmax", "tmax", "auc_0_28d", "half_life"]
].round(1)

# %% tags=["hide-cell"]
assert len(made.study.subjects) == 5

# %% [markdown]
# ## 1. The CSV
#
# From here on it is the other shape. # One row is a dose (`EVID` 1) or a record (`EVID` 0), and the rows of
# a subject are together. `DVID` says which assay it is. `CENS` 1 says that the value was below the LLOQ,
# which is then in `DV`. The last columns are covariates.

# %%
shipped = kn.read_study("synthetic_cart_12")
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

# %% tags=["hide-cell"]
assert shipped.synthetic

# %% [markdown]
# ## 2. What the file cannot say is asked for
#
# Hours or days? Cells or cells/kg? Which assay is `DVID` 1, in which unit, with which LLOQ? Nothing is
# guessed: everything that is missing is listed at once, each with what to write.

# %%
missing = kn.validate_study(CSV)
print("\n".join(f"- {problem}" for problem in missing))

# %% tags=["hide-cell"]
assert len(missing) >= 5
assert all(problem.remedy and problem.row is None for problem in missing)  # of the file as such, of no row

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
print("\n".join(f"- {problem}" for problem in problems))

# %% tags=["hide-cell"]
assert spoilt_rows <= {problem.row for problem in problems}

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


def sorted_records(study):
    """Time and value of every record, in an order that does not depend on the names of the subjects."""
    numbers = study.observations["subject"].str.removeprefix("S").astype(int)
    records = study.observations.assign(subject=numbers)
    return records.sort_values(["analyte", "subject", "time"])[["time", "value"]]


print(study)

# %% tags=["hide-cell"]
assert study.synthetic
assert np.allclose(sorted_records(study), sorted_records(shipped), atol=1e-4)
assert np.isclose(study.doses["amount"].sum(), shipped.doses["amount"].sum())
assert (study.observations["censored"] == "left").sum() == (shipped.observations["censored"] == "left").sum()

# %%
plot.plot_persistence(study, "car_copies", by="dose_level")

# %% [markdown]
# ## 5. Before any model: NCA
#
# A number that the samples do not give is missing, with its reason, and never filled in.

# %%
nca = kn.nca(study, analyte="car_copies", by="course")
no_half_life = nca["half_life"].isna()
nca[["subject", "cmax", "tmax", "auc_0_28d", "tlast", "half_life", "half_life_reason"]].round(1)

# %% tags=["hide-cell"]
assert (nca.loc[no_half_life, "half_life_reason"] != "").all()
assert nca["cmax"].notna().all()

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
print(verdict)

# %% tags=["hide-cell"]
assert verdict.ok != SMALL

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
print(f"{page}  {page.stat().st_size / 1e6:.1f} MB")

# %% tags=["hide-cell"]
assert "The data are synthetic" in text
assert study.sha256[:8] in text
assert 'src="http' not in text

# %% [markdown]
# To go on with other software, `kn.export(fit, ["monolix", "nonmem", "adpp"], "mine-results")` writes the
# result folders and ADaM-shaped tables that it reads.

# %%
exported = kn.export(fit, ["nonmem", "adpp"], FOLDER / "results")
print("\n".join(exported.files))

# %% tags=["hide-cell"]
assert any(name.endswith(".ext") for name in exported.files)
