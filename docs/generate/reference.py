"""The reference: every public name, by room, in the order in which a reader meets the rooms; text from docstrings."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

import kinetics as kn
import kinetics.escalation
import kinetics.plot
from kinetics import plan_tables, protocol_tables

__all__ = ["ARGUMENTS", "names_by_room", "reference_pages", "tables_of_a_toml"]

ROOT = Path(__file__).parents[2]
TITLES = {
    "ground": "Errors: what can be wrong, and the remedy",
    "study": "Study: what was measured",
    "regimen": "Regimen: who gets how many cells, when, by which route",
    "model": "Model: states, parameters, how a dose enters, what is observed",
    "solve": "Solve: all subjects at once",
    "observe": "Observe: assay likelihoods and who differs",
    "fit": "Fit: sampling, resumable, on disk",
    "check": "Check: may these numbers be used?",
    "exposure": "Exposure: Cmax, AUC, half-life, persistence",
    "dose": "Dose: escalation, response, and what to recommend",
    "show": "Show: plots and reports",
}
EXAMPLES = """## Examples

Every name has an example; the tests run them. Before each of them comes

```python
import kinetics as kn
import numpy as np
import pandas as pd
```

and the folder has runs to read: `runs/ogasawara_2021__synthetic_cart_12` is the demo's, `runs/theophylline` a fit of
`one_compartment_oral` to `theophylline`, `-combined` the same with another residual error, `-laplace` the same by
Laplace's method, and `runs/nkg2d_blood__nkg2d_phase1_synthetic` has the sites of CAR-NK cells. In the tests
the posterior of all but `-laplace` is written down, not sampled: no number of theirs is a result.
"""

# Arguments that are the same wherever they are taken, so that no docstring need repeat it.
ARGUMENTS = {
    "analyte": "the name of one that the study observed",
    "source": "a name of the library, or a path (a slash or a suffix makes it one)",
    "seed": "fixes every random number: the same seed gives the same answer",
    "draws": "posterior draws, at most; the others are left out evenly",
    "trials": "how many are simulated",
    "report": "called with every piece of progress",
    "announce": "called with every line of progress",
    "run": "a run folder",
    "force": "replaces what is there",
    "log": "a logarithmic axis of values",
    "columns": "panels side by side",
    "by": "the column whose groups are told apart",
    "confirmed": "a response counts once a later assessment confirms it",
    "level_column": "the column of subjects.csv with each subject's dose level",
    "levels": "dose levels, numbered from 1, the lowest first",
    "history": "the cohorts treated so far, in their order",
    "known": "dose level -> what is known of it, summed over its cohorts",
    "cohort": "patients who are treated together",
    "target": "the DLT rate wanted, a probability",
    "true_dlt": "the true DLT probability of each level",
    "true_response": "the true response probability of each level",
    "trigger_without_dlt": "the probability of a titration trigger that is no DLT",
    "deescalate": "a level may take more patients after a higher one was closed",
    "titration": "single patients first, until one has a trigger",
    "depth": "how many steps ahead",
    "synthetic": "the data were simulated",
    "sha256": "of the data or the model file",
}


def rooms() -> dict[str, list[str]]:
    """The ladder of CONTRIBUTING.md, which a test holds to the code: room -> its modules."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    block = re.search(r"```\n(ground .*?)```", text, re.DOTALL)
    assert block is not None
    found: dict[str, list[str]] = {}
    for line in re.sub(r"\n\s+", " ", block[1]).strip().splitlines():
        room, _, modules = line.partition(" ")
        found[room] = [m.strip() for m in modules.split(",") if m.strip()]
    return found


def names_by_room() -> dict[str, list[str]]:
    """room -> dotted names of its public objects, in the order of the room's modules."""
    found: dict[str, list[str]] = {}
    for room, modules in rooms().items():
        own = [(modules.index(m), n) for n in kn.__all__ if (m := _module(n).split(".")[1]) in modules]
        names = [f"{_module(n)}.{n}" for _, n in sorted(own, key=lambda x: (x[0], x[1].casefold()))]
        found[room] = [*names, *_more(room)]
    return {room: names for room, names in found.items() if names}


def _module(name: str) -> str:
    return getattr(kn, name).__module__


def tables_of_a_toml() -> list[str]:
    """The tables of fits/*.toml and of protocol.toml, which are no names of the root but what a user writes."""
    return [
        f"{module.__name__}.{name}"
        for module in (plan_tables, protocol_tables)
        for name in module.__all__
        if inspect.isclass(value := getattr(module, name)) and issubclass(value, BaseModel)
        if name not in kn.__all__
    ]


def _more(room: str) -> Iterator[str]:
    """Public names of a room that are not at the root: tables of a TOML, the dose rules, the figures."""
    package: Any = {"dose": kinetics.escalation, "show": kinetics.plot}.get(room)
    room_of = {"fit": "kinetics.plan_tables.", "dose": "kinetics.protocol_tables."}.get(room)
    yield from (name for name in tables_of_a_toml() if room_of and name.startswith(room_of))
    for name in package.__all__ if package else ():
        value = getattr(package, name)
        yield f"{getattr(value, '__module__', package.__name__)}.{name}"


def reference_pages() -> dict[str, str]:
    """`reference/ROOM.md` of every room that has public names, and `reference/index.md`."""
    rooms = names_by_room()
    pages = {f"reference/{room}.md": _page(TITLES.get(room, room), names) for room, names in rooms.items()}
    return {"reference/index.md": _index(rooms), **pages}


def _page(title: str, names: Iterable[str]) -> str:
    parts = [f"# {title}\n"]
    for name in names:
        module, _, own = name.rpartition(".")
        value = getattr(importlib.import_module(module), own)
        if not inspect.isclass(value):
            kind, members = ("autofunction" if callable(value) else "autodata"), ""
        else:
            kind = "autoexception" if issubclass(value, BaseException) else "autoclass"
            members = "\n   :members:"
        parts.append(f"```{{eval-rst}}\n.. {kind}:: {name}{members}\n```\n")
    return "\n".join(parts)


def _index(rooms: dict[str, list[str]]) -> str:
    parts = [
        "# Reference\n",
        "Every public name, in the order in which data flows. `import kinetics as kn` has all",
    ]
    parts += [
        "of them but the dose rules (`kinetics.escalation`), the figures (`kinetics.plot`), and the tables"
    ]
    parts += ["of a TOML, whose keys are here too.\n"]
    for room, names in rooms.items():
        links = ", ".join(f"{{any}}`{n.rpartition('.')[2]} <{n}>`" for n in names)
        parts += [f"**[{TITLES.get(room, room)}]({room}.md)**\n", f"{links}\n"]
    parts += [EXAMPLES, "## Arguments\n", "Some arguments are the same wherever they are taken:\n"]
    parts += [
        "| argument | what it is |",
        "|---|---|",
        *(f"| `{k}` | {said} |" for k, said in ARGUMENTS.items()),
        "",
    ]
    parts += ["```{toctree}", ":hidden:", *rooms, "```\n"]
    return "\n".join(parts)
