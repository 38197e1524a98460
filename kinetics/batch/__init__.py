"""Many fits: a PLAN.toml says which, workers take them one after another, here or on Slurm.

What is to be done:
`spec`: the PLAN.toml of a batch, checked
`grid`: its tasks, every combination that its tables ask for
`bootstrap`: studies resampled by subject
`preflight_checks`: whether folder, models, data and memory are fit for the batch

The batch on disk:
`folder`: the batch folder and how it is written
`attempts`: the lock and the attempts of one task
`batch_status`: tasks by state, failures by cause
`collection`: all results in one table and one page

Workers:
`worker`: the program that keeps a process at work, and replaces it if it dies
`local`: workers on this machine
`slurm`: workers on Slurm
The process that a worker keeps is `kinetics.cli.batch_process`.
"""

from kinetics.faces import attach

__getattr__, __dir__ = attach(__name__, __file__)

__all__ = []
