"""What a batch costs beyond its fits, and what a second core gains: `python -m bench.batch [fits]`.

One worker and two, by turns, on the same cores; beside them plain loops that use nothing but a core, for two
hyperthreads of one core are not two cores. Others may use the machine at the same time: ratios are of
neighbours in time.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from kinetics.batch.attempts import Attempts

ROOT = Path(__file__).parents[1]
FIT = """
model = "ogasawara_2021"
data = "synthetic_cart_12"
vary = ["cmax"]
[fixed]
lag_fraction = 0.35
doubling_time = 0.755
half_life_contraction = 5.0
half_life_persistence = 352.0
[observe.car_copies]
output = "copies"
[sampler]
chains = 1
warmup = 200
draws = 200
chunk = 200
start = "prior"
"""
LOOP = """
import time
end, n = time.perf_counter() + 4, 0
while time.perf_counter() < end:
    n += bool(sum(range(1000)))
print(n)
"""


def kinetics(folder: Path, *words: str) -> float:
    """Seconds of a command."""
    start = perf_counter()
    command = [sys.executable, "-m", "kinetics.cli", *words]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return perf_counter() - start


def loops(cores: Sequence[int]) -> int:
    """How often a plain loop goes round in four seconds, one on each core."""
    command = [sys.executable, "-c", LOOP]
    running = []
    for core in cores:
        running.append(
            subprocess.Popen(["taskset", "-c", str(core), *command], stdout=subprocess.PIPE, text=True)
        )
    return sum(int(process.communicate()[0]) for process in running)


def batch(folder: Path, name: str, fits: int, workers: int) -> dict[str, float]:
    """Of a batch: seconds until the first task begins, fits a second from then on, seconds between tasks."""
    seeds = list(range(1, fits + 1))
    text = f'[[fit]]\nplan = "fits/tiny.toml"\nseed = {seeds}\n[local]\nworkers = {workers}\n'
    (folder / f"{name}.toml").write_text(text)
    began = datetime.now().timestamp()
    kinetics(folder, "batch", f"{name}.toml")
    attempts = [Attempts(p).last for p in (folder / "runs" / f"{name}.batch" / "tasks").iterdir()]
    by_worker: dict[str, list[tuple[float, float]]] = {}
    for a in attempts:
        spans = by_worker.setdefault(a["worker"], [])
        spans.append((_seconds(a["started"]), _seconds(a["ended"])))
    gaps, each, first, last = [], [], min(_seconds(a["started"]) for a in attempts), 0.0
    for spans in by_worker.values():
        spans.sort()
        gaps += [after[0] - before[1] for before, after in pairwise(spans)]
        each += [end - start for start, end in spans[1:]]  # the first traces what the others share
        last = max(last, spans[-1][1])
    return {
        "start_s": first - began,
        "fits_per_s": len(by_worker) / (median(each) + median(gaps)),
        "each_s": median(each),
        "between_s": median(gaps),
        "whole_s": last - began,
    }


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def measured(fits: int) -> dict[str, Any]:
    cores = sorted(os.sched_getaffinity(0))[:2]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "fits").mkdir()
        (folder / "fits" / "tiny.toml").write_text(FIT)
        batch(folder, "warm", 2, 1)
        rounds = []
        for i in range(2):
            one = batch(folder, f"one{i}", fits, 1)
            two = batch(folder, f"two{i}", fits, 2)
            alone = kinetics(folder, "fit", "fits/tiny.toml", "--out", f"alone{i}")
            machine = [loops(cores[:1]), loops(cores)]
            rounds.append(
                {
                    "one": one,
                    "two": two,
                    "kinetics_fit_s": alone,
                    "gain": two["fits_per_s"] / one["fits_per_s"],
                    "gain_of_plain_loops": machine[1] / machine[0],
                    "overhead_s": one["between_s"] + one["start_s"] / fits,
                }
            )
    return {"fits": fits, "load": os.getloadavg()[0], "cpus": os.cpu_count(), "rounds": rounds}


def main() -> None:
    found = measured(int(sys.argv[1]) if len(sys.argv) > 1 else 12)
    text = json.dumps(found, indent=2)
    (ROOT / "bench" / "batch.json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
