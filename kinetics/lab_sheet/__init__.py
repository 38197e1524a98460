"""A lab's own sheets (Excel or CSV, wide or long) into a study folder, with a list of how each cell was read.

- `importing`: `import_study`: begin here.
- `interpretation`: all sheets together as the tables of a study.
- `import_file`: the TOML with the answers, the open questions and the reading of every column.
- `questions`: what is asked, and how an answer is read.
- `grid`, `header_block`, `sheet_reading`: the cells of a sheet, its header, and what each column holds.
- `column_names`, `column_use`, `unit_names`, `time_labels`, `dates`, `cell_values`, `decimal_marks`: what a
  name, a unit, a time, a date and a cell say.
- `visit_names`, `cycle_labels`: visits named by cycle and day, and infusions by number.
- `patients`, `infusion_dates`, `samples`, `analytes`, `measurements`, `same_times`, `infusions`, `responses`,
  `covariates`: one step of the reading each.
- `entries`, `findings`, `proposal`: the list of interpretations, what a step finds beside its result, and the
  lines that a person looks over.
"""

from kinetics.faces import attach

__getattr__, __dir__ = attach(__name__, __file__)

__all__ = ["Imported", "import_study"]
