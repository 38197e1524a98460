"""Content that is Python: a model, the conversion of a data set, the script that made one. Run from its
source.

Python's own import takes a compiled copy from `__pycache__` where size and second of the source are those it
was made of, and leaves such a copy beside the source. A file edited twice within a second would then run as
it was before, and a data set's folder would not stay as it was shipped.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

__all__ = ["run_source"]


def run_source(path: Path, name: str, source: bytes | None = None) -> ModuleType:
    """Run a Python file and return its module, called `name`; no compiled copy is read or written.

    `source` is the file's content where the caller has read it already, to hash it say: what was hashed is
    then what runs. The module stands in `sys.modules` only while it runs, for dataclasses look up their
    annotations there. Raises what the file raises, a SyntaxError included.
    """
    if source is None:
        source = path.read_bytes()
    code = compile(source, str(path), "exec", dont_inherit=True)
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    try:
        exec(code, module.__dict__)
    finally:
        sys.modules.pop(name, None)
    return module
