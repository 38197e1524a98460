"""Run Python content from its source: a model, the conversion of a data set, the script that made one.

Python's own import would use a compiled copy in `__pycache__` where the size of the source and the second in
which it was written are those recorded in the copy, and it would leave such a copy beside the source. A file
edited twice within a second could then run as it was before the edit, and the folder of a data set would not
stay as it was shipped.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

__all__ = ["run_source"]


def run_source(path: Path, name: str, source: bytes | None = None) -> ModuleType:
    """Run a Python file and return its module, called `name`; no compiled copy is read or written.

    `source` is the content of the file where the caller has read it already, for example to hash it: what was
    hashed is then what runs. The module is in `sys.modules` only while it runs, because dataclasses look up
    their annotations there. Raises whatever the file raises, a SyntaxError included.
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
