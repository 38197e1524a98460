"""`python -m bench.pk_designs FOLDER`: run the designs, go on where an earlier run stopped, print the tables.

Every finished block of trials is one CSV in the folder, written whole or not at all.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import pandas as pd

from bench.pk_designs.blocks import BLOCK, block_of_trials
from bench.pk_designs.designs import DESIGNS
from bench.pk_designs.summary import beside_published, details
from bench.pk_designs.truths import RANDOM, SCENARIOS
from kinetics.files import write_atomic


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, run what is missing, print the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.pk_designs", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the blocks of trials are kept")
    parser.add_argument("--trials", type=int, default=1000, help="trials a scenario")
    parser.add_argument("--random", type=int, default=0, help="random truths, on which rules are chosen")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="processes side by side")
    parser.add_argument("--designs", default=",".join(DESIGNS), help="names, separated by commas")
    options = parser.parse_args(arguments)
    counts = {**{truth.name: options.trials for truth in SCENARIOS}, RANDOM: options.random}
    blocks = [
        (design, truth, first, options.seed, min(BLOCK, count - first))
        for design, (truth, count) in product(options.designs.split(","), counts.items())
        for first in range(0, count, BLOCK)
    ]
    files = {block: _file(options.folder, *block) for block in blocks}
    missing = [block for block, file in files.items() if not file.exists()]
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        tasks = {pool.submit(block_of_trials, *block): block for block in missing}
        for task in as_completed(tasks):
            write_atomic(files[tasks[task]], task.result().to_csv(index=False))
    trials = pd.concat([pd.read_csv(file) for file in files.values()], ignore_index=True)
    for table in (beside_published(trials), details(trials)):
        print(table.to_string(index=False, float_format=lambda x: f"{x:.1f}", na_rep=""))
        print()


def _file(folder: Path, design: str, truth: str, first: int, seed: int, count: int) -> Path:
    """The file of one block."""
    name = f"{design}_{truth}".replace(" ", "-")
    return folder / f"seed{seed}" / f"{name}_{first:05d}_{count}.csv"


if __name__ == "__main__":
    main()
