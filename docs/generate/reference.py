"""The reference: every public name, by layer, in the order in which data flows; text from docstrings."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import kinetics as kn
from docs.generate.layers import sentence

__all__ = ["ARGUMENTS", "layers", "names_by_layer", "reference_pages"]

EXAMPLES = """## Examples

Every name has an example, and the tests run it. Each example is preceded by

```python
import kinetics as kn
import numpy as np
import pandas as pd
```

and the folder has runs to read:

- `runs/ogasawara_2021__synthetic_cart_12`, the fit of the demo;
- `runs/theophylline`, a fit of `one_compartment_oral` to `theophylline`; with `-combined` at the end of its
  name the same with another residual error, with `-laplace` the same by Laplace's method;
- `runs/nkg2d_blood__nkg2d_phase1_synthetic`, which has the sites of CAR-NK cells.

In the tests all posteriors but that of `-laplace` are written down, not sampled: their numbers mean nothing.
"""

# Arguments that mean the same in every function, so that no docstring need repeat them.
ARGUMENTS = {
    "analyte": "the name of one that the study observed",
    "map_file": "the path of a map.toml, a model analysis plan",
    "source": "a name of the library, or a path (a slash or a suffix makes it one)",
    "seed": "determines every random number: the same seed gives the same answer",
    "draws": "the most posterior draws to use; they are taken at even steps",
    "trials": "the number of trials to simulate",
    "report": "a function called with each step of progress",
    "announce": "a function called with each line of progress",
    "run": "a run folder",
    "force": "replaces what is there already",
    "log": "a logarithmic axis for values",
    "columns": "the number of panels side by side",
    "by": "the column that groups subjects",
    "confirmed": "a response counts once a later assessment confirms it",
    "level_column": "the column of subjects.csv with each subject's dose level",
    "levels": "dose levels, numbered from 1, the lowest first",
    "history": "the cohorts treated so far, in their order",
    "counts": "dose level -> what its cohorts showed, summed",
    "cohort": "patients treated together",
    "target": "the target DLT rate, a probability",
    "true_dlt": "the true DLT probability of each level",
    "true_response": "the true response probability of each level",
    "trigger_without_dlt": "the probability of a titration trigger that is not a DLT",
    "deescalate": "whether a level may take more patients after a higher one was closed",
    "titration": "single patients first, until one has a trigger",
    "depth": "the number of steps ahead",
    "synthetic": "whether the data were simulated",
    "sha256": "of the data or the model file",
}


def layers() -> list[str]:
    """The layers that users import from: the errors first, then in the order in which data flows."""
    return [name for name in kn.__all__ if inspect.ismodule(getattr(kn, name))]


def names_by_layer() -> dict[str, list[str]]:
    """layer -> dotted names of its public objects: what its face lists."""
    names = {layer: [f"kinetics.{layer}.{name}" for name in getattr(kn, layer).__all__] for layer in layers()}
    return {layer: public for layer, public in names.items() if public}


def reference_pages() -> dict[str, str]:
    """`reference/LAYER.md` of every layer that has public names, and `reference/index.md`."""
    names = names_by_layer()
    pages = {f"reference/{layer}.md": _page(layer, public) for layer, public in names.items()}
    return {"reference/index.md": _index(names), **pages}


def _page(layer: str, names: Iterable[str]) -> str:
    parts = [f"# kinetics.{layer}\n", f"{sentence(layer)}\n"]
    for name in names:
        value = _value(name)
        if isinstance(value, dict):
            parts.append(_dictionary(name, value))
            continue
        directive = _directive(value)
        members = "\n   :members:" if directive in ("autoclass", "autoexception") else ""
        parts.append(f"```{{eval-rst}}\n.. {directive}:: {name}{members}\n```\n")
    return "\n".join(parts)


def _value(name: str) -> Any:
    """The object of a dotted name."""
    module, _, short_name = name.rpartition(".")
    return getattr(importlib.import_module(module), short_name)


def _dictionary(name: str, entries: Mapping[str, Any]) -> str:
    """A dictionary of the public names: a row for each key, with its title and its source."""
    rows = ["| key | what it is |", "|---|---|"]
    for key, entry in entries.items():
        if isinstance(entry, tuple):
            words = str(entry[0])
        else:
            words = f"{entry.title} ({entry.source})"
        rows.append(f"| `{key}` | {words.replace('|', '/')} |")
    table = "\n".join(rows)
    return f"```{{eval-rst}}\n.. py:data:: {name}\n```\n\n{table}\n"


def _directive(value: Any) -> str:
    """The directive of Sphinx's autodoc that shows a public object."""
    if inspect.isclass(value):
        return "autoexception" if issubclass(value, BaseException) else "autoclass"
    return "autofunction" if callable(value) else "autodata"


def _index(names: dict[str, list[str]]) -> str:
    parts = [
        "# Reference\n",
        "Every public name, by sub-package, in the order in which data flows: `kn.study.read_study` after",
        "`import kinetics as kn`. Those in bold are at the root too: `kn.read_study`.\n",
    ]
    for layer, public in names.items():
        links = ", ".join(_link(name) for name in public)
        parts += [f"**[kinetics.{layer}]({layer}.md)**: {sentence(layer)}\n", f"{links}\n"]
    parts += [EXAMPLES, "## Arguments\n", "These arguments mean the same in every function:\n"]
    parts += ["| argument | what it is |", "|---|---|"]
    parts += [f"| `{argument}` | {meaning} |" for argument, meaning in ARGUMENTS.items()]
    parts += ["", "```{toctree}", ":hidden:", *names, "```\n"]
    return "\n".join(parts)


def _link(name: str) -> str:
    """A link to a public name, bold where it is a name of the root."""
    short_name = name.rpartition(".")[2]
    link = f"{{any}}`{short_name} <{name}>`"
    return f"**{link}**" if short_name in kn.__all__ else link
