"""Python sources read without running them: the modules of the package, what they import, and small made-up
trees to try a check on.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["file_tree", "imports", "sources"]


def sources(root: Path) -> dict[str, Path]:
    """Every module of the package below `root`: dotted name -> file."""
    files = {}
    for file in sorted((root / "kinetics").rglob("*.py")):
        parts = file.relative_to(root).with_suffix("").parts
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return files


def imports(module: str, file: Path, modules: Mapping[str, Path]) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything that a module imports, wherever in the file it does.

    `from a import b` is a.b where that is one of `modules`, and a otherwise.
    """
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            # A module loaded by its name goes past the face on purpose; its layer is what matters.
            if node.args and isinstance(node.args[0], ast.Constant):
                yield node.lineno, ".".join(str(node.args[0].value).split(".")[:2])
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            for name in node.names:
                inner = f"{source}.{name.name}"
                yield node.lineno, inner if inner in modules else source


def file_tree(root: Path, files: Mapping[str, str]) -> Path:
    """`root`, with files of these names and texts written below it."""
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return root
