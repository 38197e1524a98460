"""The command line: one module for each subject of commands.

The program and its parts:
`main`: the program `kinetics`, and what becomes of an error
`command_list`: its commands, and what its help says of each
`program`: the group of all commands, which imports a command's module when the command is run
`options`: arguments and options that several commands share
`groups`: a group of commands, which names the command that takes an option
`console`: printing a result as text or JSON; progress of a fit

From data to a fit:
`study`: `validate`, `convert`, `export`, `new`
`import_sheet`: `import`
`new_study`: the files that `new` writes
`models`: `models`, `check-model`, `import-sbml`, `import-petab`
`fit`: `fit`, `resume`, `check`
`assess`: `report`, `compare`, `subgroups`, `sbc`
`submission`: `map`, `map lock`, `submit`

From a fit to numbers:
`exposure`: `nca`, `exposure`, `tornado`
`nca_tables`: what `nca` prints and writes
`plot`: `plot`
`simulate`: `simulate`
`predict`: `predict`
`design_sampling`: `design-sampling`
`explore`: `explore`

Trials:
`protocol`: `lint`, `design`, `design from-fit`
`design_trials`: `design trials`
`design_comparison`: `design trials` of the joint rule and of `recommend`, beside the others
`trial`: `next`, `recommend`
`expansion`: `expansion`
`outcomes`: `response`, `recist`, `astct`

Many tasks:
`batch`: `batch`
`batch_process`: the process of a worker, which runs tasks by the functions of the commands above
"""

__all__: list[str] = []
