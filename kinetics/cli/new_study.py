"""The study folder that `kinetics new` makes: laid out like the library, with a working example in it."""

from __future__ import annotations

import shutil
from pathlib import Path

from kinetics.errors import InputError, Problem
from kinetics.files import whole_folder
from kinetics.library import ROOT

__all__ = ["new_study"]

MODEL = "ogasawara_2021"
DATA = "synthetic_cart_12"

README = """# {name}

    kinetics validate data/example
    kinetics plot data/example --analyte car_copies --out persistence.html
    kinetics fit fits/example.toml --method laplace    (half a minute: the maximum of the likelihood)
    kinetics report runs/example-laplace

    kinetics fit fits/example.toml                     (minutes: the posterior, for decisions)
    kinetics check runs/example
    kinetics report runs/example

`data/example` is SYNTHETIC: replace its tables by yours and declare your columns in its dictionary.toml.
`models/example.py` is a copy of the library's {model}: change it, or name a library model in
fits/example.toml.
"""

PLAN = """# One file is one fit; `kinetics fit fits/example.toml` writes runs/example.
model = "models/example.py"    # a bare name, say "stein_2019", is the library's
data = "data/example"
seed = 1
prior_set = "solid_tumour"
vary = ["tmax", "cmax", "half_life_contraction", "fb", "nucleated_per_vcn"]  # who differs between patients

[observe.car_copies]
output = "copies"
likelihood = "lognormal"

[observe.car_cells]
output = "cells"
likelihood = "lognormal"

[sampler]
chains = 4
warmup = 750
draws = 750
target_accept = 0.95
"""


def new_study(folder: str | Path) -> Path:
    """Make the folder, whole or not at all, and return its path. InputError if something is there already."""
    target = Path(folder)
    if target.exists():
        raise InputError(Problem("something is there already", "choose another name", file=str(target)))
    with whole_folder(target) as partial:
        (partial / "fits").mkdir()
        (partial / "models").mkdir()
        (partial / "data" / "example").mkdir(parents=True)
        shutil.copyfile(ROOT / "models" / f"{MODEL}.py", partial / "models" / "example.py")
        for source in sorted((ROOT / "data" / DATA).iterdir()):
            if source.suffix in (".csv", ".toml"):
                shutil.copyfile(source, partial / "data" / "example" / source.name)
        (partial / "fits" / "example.toml").write_text(PLAN, encoding="utf-8")
        (partial / "README.md").write_text(README.format(name=target.name, model=MODEL), encoding="utf-8")
        (partial / ".gitignore").write_text("/runs/\n", encoding="utf-8")
    return target
