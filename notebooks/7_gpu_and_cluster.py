# %% [markdown]
# # GPU and cluster: what costs what, many fits, and what a killed job loses
#
# First what one evaluation of a fit costs here and on a GPU, so that you know whether a GPU would help at
# all. Then many fits as one plan, run here, and the same file sent to Slurm. Last, a fit that is interrupted
# and goes on.
#
# **Synthetic data throughout**: the shipped study `synthetic_cart_12`. No patient is in it. Timings are of
# the machine that ran this page, unless they are read from `bench/accelerator.json`, which says what machine
# it was.

# %%
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import plotly.graph_objects as go

import kinetics as kn

# %% tags=["hide-cell"]
SMALL = os.environ.get("KINETICS_SMALL") == "1"  # where a test runs this file

# %%
FOLDER = Path(tempfile.mkdtemp(prefix="kinetics-"))  # yours: your study's folder
HERE = (Path.cwd(), *Path.cwd().parents)  # the checkout, from its root or from notebooks/
BENCH = next(folder / "bench" for folder in HERE if (folder / "bench" / "accelerator.json").exists())
BLUE = "#0072B2"
ORANGE = "#D55E00"
shipped = kn.read_study("synthetic_cart_12")

# %% tags=["hide-cell"]
assert shipped.synthetic

# %% [markdown]
# ## 1. Which device jax found
#
# jax uses an accelerator where it finds one, and no line of a plan changes. A GPU needs only the extra `cuda`
# (`pip install "cellkinetics[cuda]"`). Importing `kinetics` turns on 64 bits.

# %%
platform = jax.default_backend()
print(
    f"{len(jax.devices())} device(s), {jax.devices()[0].device_kind!r}, platform {platform};",
    f"jax {jax.__version__}",
)

# %% tags=["hide-cell"]
assert jnp.zeros(1).dtype == jnp.float64

# %% [markdown]
# ## 2. What a value and gradient costs, by number of patients
#
# A fit by NUTS evaluates the log density and its gradient tens of times for each draw, so this is what a draw
# costs. `kn.plan.bind` gives the density of the shipped fit; its twelve patients are repeated to make more.

# %%
plan = kn.read_plan("ogasawara_2021__synthetic_cart_12")
COUNTS = (12, 120) if SMALL else (12, 120, 1200, 6000)
CHAINS = (1, 4) if SMALL else (1, 4, 16)


def repeated(n):
    """The study with its subjects taken n / 12 times, under new names."""
    copies = range(n // len(shipped.subject_ids))
    tables = {}
    for name in ("doses", "observations", "events", "responses"):
        table = getattr(shipped, name)
        renamed = [table.assign(subject=table["subject"] + f"_{k}") for k in copies]
        tables[name] = pd.concat(renamed, ignore_index=True)
    subjects = pd.concat([shipped.subjects.rename(index=lambda s, k=k: f"{s}_{k}") for k in copies])
    return replace(shipped, subjects=subjects, **tables)


def density(n):
    """The log density of n patients, and a point of it: medians of the priors, typical patients."""
    bound = kn.plan.bind(plan, study=repeated(n))
    draws = {
        site: prior.to_numpyro().sample(jax.random.key(0), (999,)) for site, prior in bound.priors().items()
    }
    at = {site: jnp.median(values) for site, values in draws.items()}
    at |= {f"eta_{name}": jnp.zeros(n) for name in bound.hierarchy.vary}
    return jax.value_and_grad(lambda s: bound.log_density(s, bound.data)), at


def milliseconds(call, at, times=10):
    """The fastest of some calls of a compiled program."""
    compiled = jax.jit(call)
    jax.block_until_ready(compiled(at))
    taken = []
    for _ in range(times):
        clock = perf_counter()
        jax.block_until_ready(compiled(at))
        taken.append(1e3 * (perf_counter() - clock))
    return min(taken)


def dressed(figure, title, label, height=430):
    """Title, axes, and what the figure is of."""
    figure.add_annotation(
        text=f"<b>{label}</b>",
        font={"color": "white", "size": 12},
        bgcolor="#B34700",
        borderpad=4,
        showarrow=False,
        xref="paper",
        x=1,
        xanchor="right",
        yref="paper",
        y=1,
        yanchor="bottom",
        yshift=36,
    )
    figure.update_xaxes(ticks="outside", linecolor="#52606d").update_yaxes(
        ticks="outside", linecolor="#52606d"
    )
    return figure.update_layout(
        title={
            "text": title,
            "x": 0,
            "xref": "paper",
            "y": 1,
            "yref": "container",
            "yanchor": "top",
            "pad": {"t": 14},
        },
        height=height,
        margin={"t": 105, "l": 80, "r": 30, "b": 60},
        template="plotly_white",
        font_size=13,
        legend={"orientation": "h", "x": 0, "yref": "container", "y": 1 - 48 / height, "yanchor": "top"},
    )


# %% [markdown]
# Chains and patients are two axes of one array: `jax.vmap` over chains, subjects inside. A device with idle
# lanes runs more chains at no cost; a core that is busy with one chain does not.

# %%
cost = {}
for n in COUNTS:
    call, at = density(n)
    for chains in CHAINS:
        many = {site: jnp.repeat(value[None], chains, axis=0) for site, value in at.items()}
        cost[n, chains] = milliseconds(jax.vmap(call), many)
cost = pd.Series(cost).unstack().rename_axis(index="patients", columns="chains")
figure = go.Figure()
for chains, colour in zip(CHAINS, (BLUE, ORANGE, "#009E73"), strict=False):
    figure.add_scatter(
        x=cost.index,
        y=cost[chains],
        mode="lines+markers",
        line_color=colour,
        name=f"{chains} chain{'s' * (chains > 1)}",
    )
figure.update_xaxes(type="log", title="Patients", tickvals=list(COUNTS), ticktext=[f"{n:,}" for n in COUNTS])
figure.update_yaxes(type="log", title="Value and gradient (ms)", tickformat=",~r", dtick=1)
dressed(figure, f"The shipped fit's density on this machine ({platform})", "SYNTHETIC DATA")

# %% tags=["hide-cell"]
assert (cost.to_numpy() > 0).all()

# %%
cost.assign(**{"1 chain, µs a patient": 1e3 * cost[1] / cost.index}).round(2)

# %% [markdown]
# On a CPU `kinetics fit` therefore gives each chain a core of its own, and on one accelerator it vectorises
# them. It says which (`kn.fit(..., announce=print)`), and `provenance.json` of the run names the device.
#
# ## 3. And on a GPU
#
# These times were measured (`bench/accelerator.json`): one H200 beside the CPU of its own machine, the same
# programs and, in 64 bits, the same answers. `python -m bench.accelerator` measures yours; `bench/RESULTS.md`
# has the CPU beside other software.

# %%
bench = json.loads((BENCH / "accelerator.json").read_text(encoding="utf-8"))
CASES = {
    "demo_12": "shipped fit, 12",
    "problem_a_24": "4 equations, 24",
    "problem_a_1000": "4 equations, 1,000",
    "problem_a_10000": "4 equations, 10,000",
    "livermet_12": "20 states, 12",
    "livermet_1000": "20 states, 1,000",
}
measured = pd.DataFrame({words: bench[case] for case, words in CASES.items()}).T
measured = measured[["cpu_ms", "gpu_ms", "ratio", "cpu_first_s", "gpu_first_s", "gradient_apart"]].astype(
    float
)
figure = go.Figure()
for column, name, colour in (
    ("cpu_ms", "CPU, 16 cores", ORANGE),
    ("gpu_ms", bench["machine"]["kind"], BLUE),
):
    figure.add_bar(
        x=measured.index,
        y=measured[column],
        name=name,
        marker_color=colour,
        text=[f"{ms:.3g}" for ms in measured[column]],
        textposition="outside",
        cliponaxis=False,
    )
figure.update_xaxes(title="Model and number of patients")
figure.update_yaxes(type="log", title="Value and gradient (ms)", tickformat=",~r", dtick=1, range=[-1.2, 3.1])
dressed(figure, "CPU and GPU, value and gradient (bench/accelerator.json)", "MODEL, NOT PATIENTS", 470)

# %%
small = ["demo_12", "problem_a_24", "livermet_12"]
large = ["problem_a_10000", "livermet_1000"]
measured.rename(columns={"ratio": "CPU / GPU"})

# %% tags=["hide-cell"]
assert all(bench[case]["ratio"] < 1 for case in small)
assert all(bench[case]["ratio"] > 5 for case in large)
assert bench["sampled_64_chains"]["s"] == 2 * bench["sampled_4_chains"]["s"]

# %% [markdown]
# **What does not pay.** A trial of phase I. With 12 to 24 patients the GPU was slower than the CPU beside it
# in all three rows (CPU / GPU below 1): a value and gradient is many small kernels one after another, and
# each waits for the one before. Compiling takes longer too: 48 s instead of 16 s for the 20 states.
#
# **What pays.** Many patients (35 times at 10,000), and virtual patients: 2,130,879 a second against 45,326
# in chunks of 20,000. Chains pay somewhat: 64 chains of the shipped fit took 8.8 s where 4 took 4.4 s, but
# who needs 64? Many small fits at once (`kinetics sbc --at-once`) did not pay on that H200: they go in step,
# and each waits for the longest trajectory of all (README, *On a GPU*). Many small fits are what a cluster of
# plain cores is for: section 5.

# %%
CHUNKS = {
    "simulated_chunk_1000": "chunks of 1,000",
    "simulated_chunk_20000": "chunks of 20,000",
    "simulated_float32": "chunks of 20,000, 32 bits",
}
virtual = {
    f"{where}, {what}": bench[row][f"{where}_per_s"]
    for row, what in CHUNKS.items()
    for where in ("cpu", "gpu")
}
pd.DataFrame({"virtual patients a second": virtual})

# %% tags=["hide-cell"]
assert (virtual["gpu, chunks of 20,000"], virtual["cpu, chunks of 20,000"]) == (2130879, 45326)

# %% [markdown]
# ## 4. Precision
#
# Fits are in 64 bits, always: a likelihood of LLOQ tails and curves over eight decades is not safe in 32.
# Curves of virtual patients can be computed in 32 bits (`kinetics simulate --float32`), with half the memory.
# What that costs in digits:

# %%
solver = kn.plan.bind(plan).solver
both = {}
for precision in ("float64", "float32"):
    clock = perf_counter()
    curves = kn.simulate(
        "kimmel_2021",
        study=shipped,
        patients=12,
        times=range(0, 61, 4),
        solver=replace(solver, precision=precision),
    )
    both[precision] = curves.set_index(["output", "patient", "time"])["value"]
top = both["float64"].groupby("output").transform("max")
apart = ((both["float32"] - both["float64"]).abs() / top).groupby("output").max()
apart.rename("largest difference, share of the output's highest value").to_frame()

# %% tags=["hide-cell"]
assert (apart < 1e-2).all()

# %% [markdown]
# This is fine for looking at curves, but not for a likelihood. (`kimmel_2021` is differential equations; a
# model in closed form has no solver whose precision could be chosen.)
#
# ## 5. Many fits: one plan, here or on Slurm
#
# A plan of a batch is a TOML like that of a fit. What is a list is an axis of a grid: here two seeds, and
# beside them the operating characteristics of the shipped trial's rule. `[local]` and `[slurm]` say where
# workers may run; the command line chooses between them.

# %%
(FOLDER / "fits").mkdir()
(FOLDER / "fits" / "small.toml").write_text(f"""
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
warmup = {20 if SMALL else 300}
draws = {20 if SMALL else 300}
chunk = {10 if SMALL else 100}
start = "prior"
""")
PLAN = FOLDER / "batch.toml"
PLAN.write_text("""
retries = 1

[[fit]]
plan = "fits/small.toml"
seed = [1, 2]

[[design]]
protocol = "nkg2d_phase1_synthetic"
true_dlt = [[0.05, 0.10, 0.20, 0.35]]

[local]
workers = 1
threads = 1

[slurm]
workers = 20               # the size of the job array; each takes tasks until none is left
partition = "main"         # yours
time = "02:00:00"          # of a worker, not of the batch
memory = "4G"
# gpus = 1                 # see section 3 before you ask for one
""")


def command(*words):
    """`kinetics ...` in FOLDER, as on the command line; what it says with --json."""
    process = subprocess.run(
        [sys.executable, "-m", "kinetics.cli", *words, "--json"], cwd=FOLDER, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return json.loads(process.stdout), process.stderr


result, messages = command("batch", PLAN.name, "--on", "local")
print(messages.strip().splitlines()[0])

# %% tags=["hide-cell"]
assert result["done"]
assert result["counts"]["finished"] == 3

# %% [markdown]
# ### Status
#
# `kinetics batch status batch.toml`, at any time, while workers run too: what is finished, running, stopped,
# lost, waiting or failed, failures grouped by cause.

# %%
tasks = pd.DataFrame(result["tasks"]).set_index("task")
tasks[["kind", "state", "attempts", "failures", "seconds"]]

# %% tags=["hide-cell"]
assert (tasks["state"] == "finished").all()

# %% [markdown]
# The same command once more repeats nothing that is done; it goes on where it was stopped. `kinetics batch
# retry` tries failed tasks again.
#
# ### Collect
#
# `collect` writes one tidy table of every parameter and check, one row for each task, and a page.

# %%
collected, _ = command("batch", "collect", PLAN.name)
results = pd.read_csv(FOLDER / "runs" / "batch.batch" / "results.csv")
parameters = results[
    (results["record"] == "parameter") & results["name"].isin(["cmax_pop", "omega_cmax", "sigma_car_copies"])
]
print("\n".join(Path(path).name for path in collected["written"]))
parameters[["task", "name", "unit", "value", "lower", "upper", "r_hat"]].set_index("task").round(3)

# %% tags=["hide-cell"]
assert set(results["task"]) == set(tasks.index)
assert len(parameters) == 6

# %%
peaks = parameters[parameters["name"] == "cmax_pop"]
figure = go.Figure()
figure.add_scatter(
    x=peaks["value"],
    y=peaks["task"],
    mode="markers",
    marker={"size": 11, "color": BLUE},
    name="median, 90 % interval",
    error_x={
        "array": peaks["upper"] - peaks["value"],
        "arrayminus": peaks["value"] - peaks["lower"],
        "thickness": 2,
    },
    showlegend=True,
)
figure.update_xaxes(title="Population Cmax (copies/µg DNA)", tickformat=",").update_yaxes(
    range=[-0.6, len(peaks) - 0.4], automargin=True
)
dressed(figure, "Two seeds of one fit, collected", "SYNTHETIC DATA", 330)

# %%
failed = results[(results["record"] == "check") & results["ok"].eq(False)]
f"{failed['task'].nunique()} of the 2 fits failed a check; the page says which and what to try"

# %% tags=["hide-cell"]
assert failed["task"].nunique() == 2 or not SMALL  # so few draws never pass

# %% [markdown]
# ### The same file on Slurm
#
# ```console
# $ kinetics batch batch.toml --on slurm      # submits the array, and returns
# $ kinetics batch status batch.toml          # from any node that sees the folder
# $ kinetics batch collect batch.toml
# ```
#
# It needs the extra `cluster` (submitit) and a folder that every node sees, on a file system whose locks hold
# between nodes. Nobody has to stay logged in: workers share the batch by its folder. A worker that finds
# another folder or, with `gpus = 1`, no GPU, says so and takes no task.
#
# How many workers? Timings of two on two cores are in `bench/batch.json`: they finished 1.9 to 2.0 times as
# many fits as one did. On one core with two threads it was 1.15 to 1.5: workers want cores, not threads.

# %%
rounds = json.loads((BENCH / "batch.json").read_text(encoding="utf-8"))["rounds"]

# %% tags=["hide-cell"]
assert sorted(round(each["gain"], 2) for each in rounds) == [1.94, 2.0]

# %% [markdown]
# ## 6. What a killed job loses: at most one chunk
#
# A fit by NUTS leaves a checkpoint beside its run after every chunk of iterations (`[sampler] chunk`). Slurm
# warns a worker before its time is over or its node is taken (`warning`, 120 s); the worker stops, and its
# job is queued again. A worker that dies without a warning loses only the chunk under way. A task that was
# stopped does not count as tried; one that was killed does (`retries`).
#
# The first fit of the batch once more, in this process, interrupted after half of its iterations:


# %%
def preempted(chunk):
    """Stops the fit after the first chunk of its second half."""
    print(f"{chunk.done} of {chunk.total} iterations")
    if chunk.done > chunk.total // 2:
        raise KeyboardInterrupt


run = FOLDER / "runs" / "small"
try:
    kn.fit(FOLDER / "fits" / "small.toml", seed=1, run=run, report=preempted)
    raise AssertionError("the fit was not interrupted")
except KeyboardInterrupt:
    print(sorted(path.name for path in run.with_name("small.unfinished").iterdir()))

# %% tags=["hide-cell"]
assert not run.exists()

# %% [markdown]
# On the command line this is `kinetics resume runs/small` (exit code 75 of a stopped fit says: resume me). It
# ends with the draws that it would have had, to the last bit: those that the batch's worker got without a
# stop.

# %%
resumed = kn.resume(run, announce=print)
never_stopped = kn.load_fit(FOLDER / "runs" / "batch.batch" / "runs" / "small__seed1").sites()
same = {site: np.array_equal(values, never_stopped[site]) for site, values in resumed.sites().items()}
resumed.save(run)
f"{len(same)} sites, {resumed.draws} draws each: equal to those of a fit never stopped"

# %% tags=["hide-cell"]
assert all(same.values())
assert (run / "posterior.nc").exists()

# %% [markdown]
# A change of plan, model, data, code or versions in between is refused, with the old and the new value. The
# draws are equal on the same kind of machine; on another processor they may part at the last bit, and are no
# worse.
#
# ## From here
#
# `kinetics batch --help`; README, *Many fits* and *On a GPU*; `docs/how_to/gpu.md` and
# `docs/how_to/resume.md`.
