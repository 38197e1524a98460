"""The reference: every public name, by layer, in the order in which data flows; text from docstrings."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable

import kinetics as kn
from docs.generate.layers import sentence

__all__ = ["ARGUMENTS", "layers", "names_by_layer", "reference_pages"]

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


def layers() -> list[str]:
    """The layers of the package that users import from, in the order in which data flows, the errors
    first.
    """
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
        module, _, short = name.rpartition(".")
        value = getattr(importlib.import_module(module), short)
        members = ""
        if not inspect.isclass(value):
            kind = "autofunction" if callable(value) else "autodata"
        else:
            kind = "autoexception" if issubclass(value, BaseException) else "autoclass"
            members = "\n   :members:"
        parts.append(f"```{{eval-rst}}\n.. {kind}:: {name}{members}\n```\n")
    return "\n".join(parts)


def _index(names: dict[str, list[str]]) -> str:
    parts = [
        "# Reference\n",
        "Every public name, by sub-package, in the order in which data flows: `kn.study.read_study` after",
        "`import kinetics as kn`. Those in bold are at the root too: `kn.read_study`.\n",
    ]
    for layer, public in names.items():
        links = ", ".join(_link(name) for name in public)
        parts += [f"**[kinetics.{layer}]({layer}.md)**: {sentence(layer)}\n", f"{links}\n"]
    parts += [EXAMPLES, "## Arguments\n", "Some arguments are the same wherever they are taken:\n"]
    parts += ["| argument | what it is |", "|---|---|"]
    parts += [f"| `{argument}` | {meaning} |" for argument, meaning in ARGUMENTS.items()]
    parts += ["", "```{toctree}", ":hidden:", *names, "```\n"]
    return "\n".join(parts)


def _link(name: str) -> str:
    """A link to a public name, bold where it is a name of the root."""
    short = name.rpartition(".")[2]
    link = f"{{any}}`{short} <{name}>`"
    return f"**{link}**" if short in kn.__all__ else link
