"""The layers of the package, a line each, as CONTRIBUTING.md shows them.

`python -m docs.generate.layers` writes them there.
"""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import kinetics as kn
from kinetics.files import write_atomic

__all__ = ["layer_lines", "sentence"]

CONTRIBUTING = Path(__file__).parents[2] / "CONTRIBUTING.md"
BLOCK = re.compile(
    r"(?<=<!-- layers: made by python -m docs.generate.layers -->\n).*?(?=<!-- /layers -->)", re.DOTALL
)


def sentence(layer: str) -> str:
    """What a layer is for: the first paragraph of its docstring."""
    package = importlib.import_module(f"kinetics.{layer}")
    return inspect.cleandoc(package.__doc__ or "").partition("\n\n")[0].replace("\n", " ")


def layer_lines() -> str:
    """One line per layer, in the order in which data flows."""
    layers = [name for name in kn.__all__ if inspect.ismodule(getattr(kn, name)) and name != "errors"]
    return "".join(f"- `{layer}`: {sentence(layer)}\n" for layer in [*layers, "cli"])


if __name__ == "__main__":
    text = CONTRIBUTING.read_text(encoding="utf-8")
    write_atomic(CONTRIBUTING, BLOCK.sub(lambda _: layer_lines(), text))
