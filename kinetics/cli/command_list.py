"""The commands of `kinetics`, in the order of its help: where each function is, and what the help says of it.

The help is printed from this list alone, so that it comes at once: a command's module, and with it jax or
pandas, is imported only when the command is run. A test compares each summary with the command's docstring.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["COMMANDS", "Entry"]

DATA = "Data"
LOOK = "Look"
FIT = "Fit"
DOSE = "Dose"
MANY = "Many"


class Entry(NamedTuple):
    """A command: its module and function, the part of the help that lists it, and a sentence on it.

    `function` may also be the name of a `typer.Typer`, a group of commands.
    """

    module: str
    function: str
    panel: str
    summary: str


COMMANDS: dict[str, Entry] = {
    "new": Entry("study", "new", DATA, "Make a folder with an example study, model and fit, to begin from."),
    "import": Entry(
        "import_sheet",
        "import_sheet",
        DATA,
        "Make a study of the lab's own Excel or CSV sheets, wide or long.",
    ),
    "validate": Entry(
        "study", "validate", DATA, "Check a study: every problem at once, or a summary of what is in it."
    ),
    "convert": Entry("study", "convert", DATA, "Turn any table or workbook into a study folder."),
    "export": Entry(
        "study",
        "export",
        DATA,
        "Write a study or a fit for other programs: ADaM, NONMEM, Monolix, PKNCA, Excel.",
    ),
    "plot": Entry(
        "plot", "plot", LOOK, "Draw every patient's records over time, by dose, product or covariate."
    ),
    "explore": Entry(
        "explore", "explore", LOOK, "Open a study or a fit in the browser, with sliders for other regimens."
    ),
    "nca": Entry("exposure", "nca", LOOK, "Compute Cmax, Tmax, AUC and half-life from the samples (NCA)."),
    "exposure": Entry(
        "exposure", "exposure", LOOK, "Compute Cmax, Tmax, AUC and half-life from a fit, with intervals."
    ),
    "simulate": Entry("simulate", "simulate", LOOK, "Simulate virtual patients under any regimen."),
    "predict": Entry(
        "predict",
        "predict_patients",
        LOOK,
        "Predict new patients from a fit, updated by their first samples, and compare with their records.",
    ),
    "tornado": Entry("exposure", "tornado", LOOK, "Show which parameter moves an exposure most."),
    "models": Entry(
        "models",
        "models",
        FIT,
        "List the models of the library, or show one with its parameters and sources.",
    ),
    "check-model": Entry(
        "models",
        "check_model",
        FIT,
        "Test a model file: doses, infusions, batches, mass, convergence, gradient.",
    ),
    "import-sbml": Entry(
        "models",
        "import_sbml",
        FIT,
        "Write an SBML model as a model file, or say what it has that a model file cannot say.",
    ),
    "import-petab": Entry(
        "models",
        "import_petab",
        FIT,
        "Write a PEtab problem of one condition as models/NAME.py, data/NAME and fits/NAME.toml.",
    ),
    "fit": Entry("fit", "fit_plan", FIT, "Fit a model to a study; the result is a run folder."),
    "resume": Entry(
        "fit", "resume_run", FIT, "Continue a fit that was stopped, or take more draws of a finished one."
    ),
    "check": Entry("fit", "check", FIT, "Check whether the numbers of a fit may be used."),
    "report": Entry("assess", "report", FIT, "Write the report of a fit, one HTML file that works offline."),
    "map": Entry(
        "submission",
        "analysis_plan",
        FIT,
        "A model analysis plan: question, risk, criteria, decision rules; locked before the data are read.",
    ),
    "submit": Entry(
        "submission",
        "submit",
        FIT,
        "The m5 tree of a run: transport files, define, programs, listings, report, manifest; or verify one.",
    ),
    "compare": Entry("assess", "compare", FIT, "Compare fits of the same data: which one predicts best."),
    "subgroups": Entry(
        "assess",
        "subgroups",
        FIT,
        "Show the covariate effects of a fit, and what so few patients cannot show.",
    ),
    "sbc": Entry(
        "assess", "sbc", FIT, "Test whether a fit is calibrated, on studies simulated from its priors."
    ),
    "design-sampling": Entry(
        "design_sampling",
        "design_sampling",
        FIT,
        "Show which parameters a study can determine, and which samples would help.",
    ),
    "lint": Entry(
        "protocol", "lint", DOSE, "Check a protocol: what it leaves open, and where it contradicts itself."
    ),
    "design": Entry(
        "protocol",
        "design",
        DOSE,
        "Compute what a dose-escalation rule does: exactly, by simulation, or from a fit.",
    ),
    "next": Entry(
        "trial", "next_dose", DOSE, "Give the next dose level, or the MTD, with the clause that decides."
    ),
    "recommend": Entry(
        "trial", "recommend_dose", DOSE, "Recommend a dose from DLTs and responses, with the reasons."
    ),
    "expansion": Entry("expansion", "expansion_cohorts", DOSE, "Decide go or no go for expansion cohorts."),
    "response": Entry(
        "outcomes", "response", DOSE, "Report the responses, adverse events, DLTs, PFS and OS of a study."
    ),
    "survival": Entry(
        "outcomes", "survival", DOSE, "Compute Kaplan-Meier curves and medians of any table of times."
    ),
    "astct": Entry("outcomes", "astct", DOSE, "Grade CRS and ICANS by ASTCT 2019 from raw signs."),
    "recist": Entry("outcomes", "recist", DOSE, "Judge lesion measurements by RECIST 1.1 and iRECIST."),
    "batch": Entry(
        "batch", "batch", MANY, "Run many fits, calibrations, designs or simulations, here or on Slurm."
    ),
}
