"""Many fits: a PLAN.toml says which, workers take them one after another, here or on Slurm.

`spec` reads the TOML, `grid` makes tasks of it, `folder` and `attempts` keep them on disk, `worker` is the process that
`local` and `slurm` start, `work` what it does, `status` and `collect` say what became of it.
"""

__all__: list[str] = []
