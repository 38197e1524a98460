"""Files for other programs: ADaM-shaped tables, Monolix- and NONMEM-like results, workbooks.

exporting: `export`, the list of formats, and how the files of each are made.
dataset: an ADaM-shaped dataset, with the description of its variables.
define: that description as define.xml and as a table.
adverse_events: ADAE.
concentrations: ADPC and ADPPK, and the TOML with which `read_study` reads them again.
parameters: ADPP, and PKNCA's long table.
outcomes: ADTTE and ADRS.
subjects: the subject-level variables of every dataset.
timeline: doses and records in one order of time, each with its reference dose.
control_streams: `export_control`: a plan as control streams, which were never run.
petab_export: `export_petab`: one subject of a plan as a PEtab problem.
petab_import: `import_petab`: a PEtab problem of one condition as model, study and plan.
control_plan: what of a plan a control stream carries, and what it refuses.
control_equations: the functions of a model as assignments.
traced_formula: a function traced by JAX as assignments of NM-TRAN or Mlxtran.
nonmem_control: a NONMEM control stream.
mlxtran_project: a Monolix project.
nonmem_data: the NM-TRAN-ready data file and its TOML.
nonmem_run: a run's .ext and .phi tables.
monolix_run: a run as a Monolix-like result folder.
r_check: CSVs and check.R, with which R recomputes NCA, survival and response rates.
run_tables: population values, random effects and predictions of a run, for the last two.
study_folder: `write_study`: a study as a folder of CSV or Parquet tables, or as a workbook.
files: a folder of files, written whole or not at all.
"""

from kinetics.faces import attach

__getattr__, __dir__ = attach(__name__, __file__)

__all__ = [
    "CONTROL_FORMATS",
    "FORMATS",
    "Exported",
    "ImportedProblem",
    "export",
    "export_control",
    "export_petab",
    "import_petab",
    "unknown_formats",
    "write_study",
]
