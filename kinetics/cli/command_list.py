"""The commands of `kinetics`, in the order of its help: where each function is, and what the help says of it.

The help is printed from this list alone, so that it comes at once: a command's module, and with it jax or
pandas, is imported only when the command is run. A test compares each summary with the command's docstring.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["COMMANDS", "Entry"]

DATA = "Data"
FITS = "Models and fits"
NUMBERS = "From data or a fit to numbers"
TRIALS = "Trials and the dose decision"
MANY = "Many tasks"


class Entry(NamedTuple):
    """A command: its module and function, the part of the help that lists it, and a sentence on it.

    `function` may also be the name of a `typer.Typer`, a group of commands.
    """

    module: str
    function: str
    panel: str
    summary: str


COMMANDS: dict[str, Entry] = {
    "import": Entry(
        "import_sheet",
        "import_sheet",
        DATA,
        "Make a study folder of Excel or CSV sheets as the lab has them, wide or long.",
    ),
    "validate": Entry("study", "validate", DATA, "Say every problem of a study at once, or sum it up."),
    "convert": Entry(
        "study",
        "convert",
        DATA,
        "Make a study folder of any table or workbook, in days, cells, mg and the analytes' units.",
    ),
    "export": Entry(
        "study",
        "export",
        DATA,
        "Write a study or a run for other programs: ADaM-shaped tables, NM-TRAN data, Monolix-like results, "
        "Excel.",
    ),
    "new": Entry(
        "study", "new", DATA, "Make a study folder laid out like the library, with a working example."
    ),
    "plot": Entry(
        "plot",
        "plot",
        DATA,
        "Every subject's records over time, by dose, product or covariate, and a CSV of the drawn points "
        "beside each figure.",
    ),
    "explore": Entry(
        "explore",
        "explore",
        DATA,
        "Look at a study, and at regimens that nobody was given, in a browser; end it with Ctrl-C.",
    ),
    "models": Entry("models", "models", FITS, "List the library's models, or show one model's card."),
    "check-model": Entry(
        "models",
        "check_model",
        FITS,
        "Try every law on a model: doses, infusions, batches, mass, convergence, gradient. Exit 1 if one is "
        "broken.",
    ),
    "fit": Entry(
        "fit",
        "fit_plan",
        FITS,
        "Fit a model to a study and write a run folder, runs/NAME, or runs/NAME-METHOD for another --method.",
    ),
    "resume": Entry(
        "fit",
        "resume_run",
        FITS,
        "Go on with a fit that was stopped, or take more draws of a finished one.",
    ),
    "check": Entry("fit", "check", FITS, "May these numbers be used? Exit 1 with reasons if not."),
    "report": Entry(
        "assess",
        "report",
        FITS,
        "Write runs/NAME/report.html: data, fits, VPC, parameters, NCA, checks, provenance; works offline.",
    ),
    "compare": Entry(
        "assess",
        "compare",
        FITS,
        "Which fit of the same data predicts best: leave-one-out differences, weights, parameters side by "
        "side.",
    ),
    "subgroups": Entry(
        "assess",
        "subgroups",
        FITS,
        "What the covariates of a fit show, and what so few subjects cannot show: ratios, intervals, a "
        "sentence each.",
    ),
    "map": Entry(
        "submission",
        "analysis_plan",
        FITS,
        "A model analysis plan: question, risk, criteria, decision rules; locked before the data are read.",
    ),
    "submit": Entry(
        "submission",
        "submit",
        FITS,
        "The m5 tree of a run: transport files, define, programs, listings, report, manifest; or verify one.",
    ),
    "sbc": Entry(
        "assess",
        "sbc",
        FITS,
        "Is a fit calibrated? Draw studies from its priors and fit each. Exit 1 if ranks are not uniform.",
    ),
    "design-sampling": Entry(
        "design_sampling",
        "design_sampling",
        FITS,
        "What a study can teach of each parameter, the held ones too, and which samples teach it: expected "
        "information.",
    ),
    "nca": Entry(
        "exposure",
        "nca",
        NUMBERS,
        "Cmax, Tmax, AUC0-28d, half-life ... by non-compartmental analysis, with a reason for each missing "
        "number.",
    ),
    "exposure": Entry(
        "exposure",
        "exposure",
        NUMBERS,
        "The NCA columns from the fitted curves, per subject, cycle and posterior draw; where the cells are.",
    ),
    "simulate": Entry(
        "simulate",
        "simulate",
        NUMBERS,
        "Curves of virtual patients; CSV on stdout when piped, else a summary. Exit 1 if the solver gave up.",
    ),
    "predict": Entry(
        "predict",
        "predict_patients",
        NUMBERS,
        "What a fit predicts of new patients, updated by their first samples with --given; how far it was "
        "right.",
    ),
    "tornado": Entry(
        "exposure",
        "tornado",
        NUMBERS,
        "Which parameter moves a number most: each alone at the 5 % and 95 % of its prior, or of a run's "
        "posterior.",
    ),
    "lint": Entry(
        "protocol",
        "lint",
        TRIALS,
        "Name every point a protocol leaves open or contradicts itself on, and what it settles. Exit 1 if "
        "one is open.",
    ),
    "design": Entry(
        "protocol",
        "design",
        TRIALS,
        "What a protocol's rule does: exactly, in simulated trials, or in the patients of a fit.",
    ),
    "next": Entry(
        "trial",
        "next_dose",
        TRIALS,
        "The next level, or the MTD, from a study's tables by the protocol's rule or another, with the "
        "clause.",
    ),
    "recommend": Entry(
        "trial",
        "recommend_dose",
        TRIALS,
        "The recommended dose: the MTD by the protocol's rule, and the best level up to it by the joint "
        "model of DLT and response.",
    ),
    "expansion": Entry(
        "expansion",
        "expansion_cohorts",
        TRIALS,
        "Expansion cohorts: exact and borrowed (EXNEX) response rates, go or no go; or what that rule does, "
        "exactly.",
    ),
    "response": Entry(
        "outcomes",
        "response",
        TRIALS,
        "Best responses, ORR and DCR with exact intervals, adverse events, DLTs; medians of DOR, PFS and OS.",
    ),
    "survival": Entry(
        "outcomes",
        "survival",
        TRIALS,
        "Kaplan-Meier curves and medians of a table of times, whatever they are from.",
    ),
    "astct": Entry(
        "outcomes",
        "astct",
        TRIALS,
        "CRS and ICANS by ASTCT 2019 from raw signs, time by time, with the sign that makes each grade.",
    ),
    "recist": Entry(
        "outcomes",
        "recist",
        TRIALS,
        "Responses by RECIST 1.1 and iRECIST from lesion measurements, visit by visit with the reason; the "
        "best of each.",
    ),
    "batch": Entry(
        "batch",
        "batch",
        MANY,
        "Many fits, calibrations, designs and simulations: on this machine, or on Slurm. Exit 1 if a task "
        "failed.",
    ),
}
