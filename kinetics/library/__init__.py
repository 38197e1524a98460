"""The library that ships with the package: models/, fits/ and data/.

In a wheel these folders lie beside this file, otherwise at the root of the checkout. A reference without a
slash, a backslash or a dot is a name of the library; any other is the path of a file of the user's.
"""

import os
from pathlib import Path
from typing import Literal, NamedTuple

__all__ = ["ROOT", "Kind", "Location", "find", "is_bare", "names"]

_HERE = Path(__file__).parent
ROOT = _HERE if (_HERE / "models").is_dir() else _HERE.parent.parent

Kind = Literal["models", "fits", "data", "protocols"]

_PLACES: dict[Kind, str] = {  # where a name lies below ROOT: a data set is a folder, the others are files
    "models": "models/{}.py",
    "fits": "fits/{}.toml",
    "data": "data/{}",
    "protocols": "data/{}/protocol.toml",
}
_README_PREFIX: dict[Kind, str] = {"fits": "fits/", "protocols": "data/"}  # how paths begin in the README


class Location(NamedTuple):
    """The path that a reference points to, which may not exist, and whether the reference was a bare name."""

    path: Path
    bare: bool


def is_bare(reference: str) -> bool:
    """Whether a reference is a name of the library and not a path.

    >>> from kinetics.library import is_bare
    >>> is_bare("stein_2019"), is_bare("models/mine.py"), is_bare("my.study"), is_bare("./mine")
    (True, False, False, False)
    """
    return not any(mark in reference for mark in "/\\.")


def find(kind: Kind, reference: str | Path) -> Location:
    """The location of a model, fit, data set or protocol: in the library for a bare name, else the path.

    A fit or protocol may be written as the README does (`fits/NAME.toml`, `data/NAME/protocol.toml`) outside
    a checkout too: where the working folder has no such path, it is the library's.

    >>> from kinetics.library import find
    >>> find("protocols", "nkg2d_registry").path.parts[-3:]
    ('data', 'nkg2d_registry', 'protocol.toml')
    >>> str(find("models", "models/mine.py").path)
    'models/mine.py'
    """
    text = str(reference)
    if is_bare(text):
        return Location(ROOT / _PLACES[kind].format(text), bare=True)
    path = Path(reference)
    if kind in _README_PREFIX and text.startswith(_README_PREFIX[kind]):
        shipped = ROOT / text
        if os.path.exists(shipped) and not os.path.exists(path):
            path = shipped
    return Location(path, bare=False)


def names(kind: Kind) -> list[str]:
    """The names of the library's models, fits, data sets or protocols, sorted.

    >>> from kinetics.library import names
    >>> names("protocols")
    ['icv_regimens_synthetic', 'level_minus_1_synthetic', 'nct05507593', 'nct06316856', ...]
    """
    if kind == "models":
        return sorted(file.stem for file in ROOT.glob("models/*.py") if not file.stem.startswith("_"))
    if kind == "fits":
        return sorted(file.stem for file in ROOT.glob("fits/*.toml"))
    marker = "dictionary.toml" if kind == "data" else "protocol.toml"
    return sorted(file.parent.name for file in ROOT.glob(f"data/*/{marker}"))
