"""`python -m bench.decision FOLDER`: run the designs, go on where an earlier run stopped, print the table.

Every finished block of trials is one CSV in the folder, written whole or not at all.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import pandas as pd

from bench.decision.blocks import BLOCK, block_of_trials
from bench.decision.designs import DESIGNS
from bench.decision.summary import reliability, summary
from bench.decision.truths import SCENARIOS
from kinetics.files import write_atomic


def main() -> None:
    """Read the command line, run what is missing, print the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.decision", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the blocks of trials are kept")
    parser.add_argument("--trials", type=int, default=400, help="trials a scenario, a multiple of 50")
    parser.add_argument("--random", type=int, default=500, help="random truths, a multiple of 50")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="processes side by side")
    parser.add_argument("--designs", default=",".join(DESIGNS), help="names, separated by commas")
    options = parser.parse_args()
    designs = options.designs.split(",")
    blocks = [
        (design, truth, first)
        for design, (truth, count) in product(
            designs, [*((t.name, options.trials) for t in SCENARIOS), ("R", options.random)]
        )
        for first in range(0, count, BLOCK)
    ]
    files = {block: _file(options.folder, options.seed, *block) for block in blocks}
    missing = [block for block, file in files.items() if not file.exists()]
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        tasks = {pool.submit(block_of_trials, *block, options.seed): block for block in missing}
        for task in as_completed(tasks):
            write_atomic(files[tasks[task]], task.result().to_csv(index=False))
    trials = pd.concat([pd.read_csv(file) for file in files.values()], ignore_index=True)
    print(summary(trials).to_string(index=False, float_format=lambda x: f"{x:.1f}"))
    random = trials[trials["truth"] == "R"]
    for said, true in (("p_best", "is_best"), ("p_over", "is_over")):
        print(f"\n{said}, said against true, on R")
        print(reliability(random, said, true).to_string(index=False, float_format=lambda x: f"{x:.2f}"))


def _file(folder: Path, seed: int, design: str, truth: str, first: int) -> Path:
    """The file of one block."""
    name = f"{design}_{truth}".replace(" ", "-").replace("+", "and")
    return folder / f"seed{seed}" / f"{name}_{first:05d}.csv"


if __name__ == "__main__":
    main()
