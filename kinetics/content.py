"""Python content as its source: run it, be it a model, a conversion or the script of a data set; hash it.

Python's own import would use a compiled copy in `__pycache__` where the size of the source and the second in
which it was written are those recorded in the copy, and it would leave such a copy beside the source. A file
edited twice within a second could then run as it was before the edit, and the folder of a data set would not
stay as it was shipped.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from types import ModuleType

__all__ = ["code_sha256", "run_source"]


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


def code_sha256() -> str:
    """The SHA-256 of this package's source files: their paths and their contents."""
    folder = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
