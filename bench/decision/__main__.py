"""`python -m bench.decision FOLDER`: run the designs, go on where an earlier run stopped, print the table.

With `--spoiled` the data are worse than the designs hope for (`spoiled`): a table of the joint design and of
BOIN12, one row for each kind of spoiling. Every finished block of trials is one CSV in the folder, written
whole or not at all.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import pandas as pd

from bench.decision.blocks import BLOCK, SCENARIOS, block_of_trials
from bench.decision.designs import DESIGNS
from bench.decision.spoiled import SPOILINGS
from bench.decision.summary import reliability, spoiled_summary, summary
from kinetics.files import write_atomic

Block = tuple[str, str, int, str]  # design, truth, first trial, spoiling


def main() -> None:
    """Read the command line, run what is missing, print the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.decision", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where the blocks of trials are kept")
    parser.add_argument("--trials", type=int, default=400, help="trials a scenario, a multiple of 50")
    parser.add_argument("--random", type=int, default=500, help="random truths, a multiple of 50")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="processes side by side")
    parser.add_argument("--designs", help="names, separated by commas")
    parser.add_argument(
        "--spoiled",
        nargs="?",
        const=",".join(SPOILINGS),
        help=f"spoil the data; of {', '.join(SPOILINGS)} those wanted, with commas, or every one",
    )
    options = parser.parse_args()
    default = "joint,BOIN12" if options.spoiled else ",".join(DESIGNS)
    designs = (options.designs or default).split(",")
    spoilings = ["", *options.spoiled.split(",")] if options.spoiled else [""]
    unknown = {*designs} - {*DESIGNS} | {*spoilings} - {"", *SPOILINGS}
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    truths = [*((t.name, options.trials) for t in SCENARIOS), ("R", options.random)]
    blocks = [
        (design, truth, first, spoiling)
        for spoiling, design, (truth, count) in product(spoilings, designs, truths)
        for first in range(0, count, BLOCK)
    ]
    trials = _trials(blocks, options.folder, options.seed, options.jobs)
    if options.spoiled:
        print(spoiled_summary(trials).to_string(index=False))
        return
    print(summary(trials).to_string(index=False, float_format=lambda x: f"{x:.1f}"))
    random = trials[trials["truth"] == "R"]
    for said, true in (("p_best", "is_best"), ("p_over", "is_over")):
        print(f"\n{said}, said against true, on R")
        print(reliability(random, said, true).to_string(index=False, float_format=lambda x: f"{x:.2f}"))


def _trials(blocks: Sequence[Block], folder: Path, seed: int, jobs: int) -> pd.DataFrame:
    """The trials of all blocks; those that the folder lacks are run."""
    files = {block: _file(folder, seed, block) for block in blocks}
    missing = [block for block, file in files.items() if not file.exists()]
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        tasks = {}
        for design, truth, first, spoiling in missing:
            task = pool.submit(block_of_trials, design, truth, first, seed, spoiling)
            tasks[task] = (design, truth, first, spoiling)
        for task in as_completed(tasks):
            write_atomic(files[tasks[task]], task.result().to_csv(index=False))
    return _read(files)


def _read(files: Mapping[Block, Path]) -> pd.DataFrame:
    """All blocks as one table, with the column `spoiling`."""
    tables = [pd.read_csv(file).assign(spoiling=spoiling) for (*_, spoiling), file in files.items()]
    return pd.concat(tables, ignore_index=True)


def _file(folder: Path, seed: int, block: Block) -> Path:
    """The file of one block."""
    design, truth, first, spoiling = block
    name = f"{design}_{truth}_{spoiling}" if spoiling else f"{design}_{truth}"
    return folder / f"seed{seed}" / f"{name.replace(' ', '-')}_{first:05d}.csv"


if __name__ == "__main__":
    main()
