"""The form of the package's code: one assignment a line, few tables laid out by hand, results that are
returned, arguments that are named, and lines that fit.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

MOST_TABLES = 40  # fewer `# fmt: skip` than this in the package
MOST_POSITIONAL = 5  # arguments of a call without their names
LONGEST_LINE = 110  # characters, in comments and docstrings too
# Calls of any number of positional arguments: all of them play one part, or are handed on, or have no names.
FREE_CALLS = {"print", "min", "max", "zip", "map", "chain", "product", "union", "guard", "Progress"}
KEPT_LAYOUT = re.compile(r"#\s*fmt:\s*(skip|off)")
FREE_MODULES = {"np", "numpy", "jnp", "jax", "lax"}

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
# Methods that change a list, a set or a dictionary, and the annotations of parameters that are none of these.
CHANGES = {
    "add",
    "append",
    "appendleft",
    "clear",
    "discard",
    "extend",
    "insert",
    "pop",
    "popitem",
    "remove",
    "reverse",
    "setdefault",
    "sort",
    "update",
}
NUMBERS = {"int", "float", "bool", "str"}


def package_files() -> list[Path]:
    return sorted((ROOT / "kinetics").rglob("*.py"))


def packed_assignments(text: str) -> list[int]:
    """Lines that assign several values to several names side by side, `a, b = x, y`.

    A swap is let be, and so is every assignment in which a value reads what an earlier target held before.
    """
    lines = []
    for node in ast.walk(ast.parse(text)):
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple)):
            continue
        targets = node.targets[0]
        if not isinstance(targets, ast.Tuple | ast.List) or len(targets.elts) != len(node.value.elts):
            continue
        if any(isinstance(part, ast.Starred) for part in [*targets.elts, *node.value.elts]):
            continue
        if not _reads_an_earlier_target(targets.elts, node.value.elts):
            lines.append(node.lineno)
    return sorted(lines)


def _reads_an_earlier_target(targets: list[ast.expr], values: list[ast.expr]) -> bool:
    for i, target in enumerate(targets):
        names = _stored(target)
        for value in values[i + 1 :]:
            parts = {ast.unparse(part) for part in ast.walk(value) if isinstance(part, ast.expr)}
            if names & parts:
                return True
    return False


def _stored(target: ast.expr) -> set[str]:
    """What an assignment to `target` changes, as written: a name, an attribute, or the object of an item."""
    if isinstance(target, ast.Tuple | ast.List):
        return set().union(*(_stored(part) for part in target.elts))
    if isinstance(target, ast.Subscript):
        return {ast.unparse(target.value)}
    return {ast.unparse(target)}


def skipped_lines(text: str) -> list[int]:
    """Lines whose layout is kept by a comment: `# fmt: skip`, or everything from `# fmt: off` on."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    comments = [token for token in tokens if token.type == tokenize.COMMENT]
    return [token.start[0] for token in comments if KEPT_LAYOUT.search(token.string)]


def skipped_code(text: str) -> list[int]:
    """Lines of `# fmt: off`, and of `# fmt: skip` that do not end a literal table."""
    tables = {
        node.end_lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.Return | ast.Expr)
        and node.value is not None
        and _is_table(node.value)
    }
    lines = text.splitlines()
    return [line for line in skipped_lines(text) if line not in tables or ": skip" not in lines[line - 1]]


def _is_table(node: ast.expr) -> bool:
    """Whether a value is a container of literals, or one call on such containers, as `np.array([[1, 2]])`."""
    if isinstance(node, ast.Call):
        arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
        return any(map(_is_table, arguments)) and all(map(_is_literal, arguments))
    return isinstance(node, ast.Dict | ast.List | ast.Tuple | ast.Set) and _is_literal(node)


def _is_literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except ValueError:
        return False
    return True


def filled_arguments(text: str) -> list[int]:
    """Lines at which a function changes a list, dictionary or table that its caller handed in.

    A function that assigns the name anew (`rows = list(rows)`) changes its own copy. Functions inside a
    function are let be: they are called back, and have nobody to return to.
    """
    lines: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, FUNCTIONS):
            lines |= set(_fills(node))
    return sorted(lines)


def _fills(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[int]:
    nodes = list(_own_nodes(function))
    arguments = function.args
    parameters = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    names = {
        parameter.arg
        for parameter in parameters
        if parameter.arg not in ("self", "cls")
        and (parameter.annotation is None or ast.unparse(parameter.annotation) not in NUMBERS)
    }
    for node in nodes:  # names that the function binds itself; `x += y` changes what x is already
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.For | ast.NamedExpr | ast.With):
            names -= _bound(node)
    for node in nodes:
        if isinstance(node, ast.Attribute) and node.attr in CHANGES and ast.unparse(node.value) in names:
            yield node.lineno
        targets = node.targets if isinstance(node, ast.Assign | ast.Delete) else []
        if isinstance(node, ast.AugAssign):
            targets = [node.target]
            if ast.unparse(node.target) in names:
                yield node.lineno
        for target in targets:
            if isinstance(target, ast.Subscript) and ast.unparse(target.value) in names:
                yield node.lineno


def _own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """Every node of a function's body but those of the functions inside it."""
    for child in ast.iter_child_nodes(function):
        if not isinstance(child, (*FUNCTIONS, ast.Lambda)):
            yield child
            yield from _own_nodes(child)


def _bound(node: ast.AST) -> set[str]:
    """The names that a statement assigns."""
    targets = [*getattr(node, "targets", ()), *([node.target] if hasattr(node, "target") else [])]
    targets += [item.optional_vars for item in getattr(node, "items", ()) if item.optional_vars]
    return {
        part.id
        for target in targets
        for part in ast.walk(target)
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
    }


def unnamed_arguments(text: str) -> list[int]:
    """Lines of calls with more than five positional arguments, but for FREE_CALLS and numpy's and jax's."""
    return sorted(
        node.lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
        and sum(not isinstance(argument, ast.Starred) for argument in node.args) > MOST_POSITIONAL
        and not _is_free(node.func)
    )


def _is_free(function: ast.expr) -> bool:
    name = ast.unparse(function)
    return name.rpartition(".")[2] in FREE_CALLS or name.partition(".")[0] in FREE_MODULES


def long_lines(text: str) -> list[int]:
    """Lines of more than 110 characters, a remark to the type checker aside."""
    lines = [line.partition("  # pyright: ")[0] for line in text.splitlines()]
    return [number for number, line in enumerate(lines, start=1) if len(line) > LONGEST_LINE]


def places(check: Callable[[str], list[int]], remedy: str) -> list[str]:
    """file:line of everything that a check finds in the package, with what to do."""
    return [
        f"{file.relative_to(ROOT)}:{line} {remedy}"
        for file in package_files()
        for line in check(file.read_text(encoding="utf-8"))
    ]


def test_no_two_assignments_share_a_line():
    problems = places(packed_assignments, "assigns several values side by side: give each a line")
    assert not problems, "\n".join(problems)


def test_the_formatter_lays_out_all_but_a_few_literal_tables():
    problems = places(skipped_code, "is no literal table: let the formatter lay it out")
    assert not problems, "\n".join(problems)
    kept = places(skipped_lines, "is laid out by hand")
    assert len(kept) < MOST_TABLES, "\n".join([f"Let the formatter lay out one of these {len(kept)}:", *kept])


def test_results_are_returned_and_nothing_is_handed_in_to_be_filled():
    problems = places(filled_arguments, "changes what the caller handed in: return the result instead")
    assert not problems, "\n".join(problems)


def test_arguments_beyond_the_fifth_are_named():
    problems = places(unnamed_arguments, "name the arguments beyond the fifth")
    assert not problems, "\n".join(problems)


def test_lines_fit_their_length():
    problems = places(long_lines, f"has more than {LONGEST_LINE} characters: break it")
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize(
    ("check", "wrong"),
    [
        (packed_assignments, "a, b = x, y"),
        (packed_assignments, "(a, b), c = pair, 1"),
        (packed_assignments, "self.a, self.b = 1, 2"),
        (packed_assignments, "a, b = b, x"),
        (skipped_lines, "x = f(1,2)  # fmt: skip"),
        (skipped_code, "x = f(1,2)  # fmt: skip"),
        (skipped_code, "def f(\n    x\n) -> int:  # fmt: skip\n    return 1"),
        (skipped_code, "x = [y, 2]  # fmt: skip"),
        (skipped_lines, "# fmt: off\nx = [1,2]\n# fmt: on"),
        (skipped_code, "# fmt: off\nx = [1,2]\n# fmt: on"),
        (skipped_code, "x = [1,2]  # fmt: off"),
        (filled_arguments, "def f(x, problems):\n    problems.append(x)"),
        (filled_arguments, "def f(x, *, problems):\n    for y in x:\n        problems += [y]"),
        (filled_arguments, "def f(problems):\n    add = problems.extend\n    add([1])"),
        (filled_arguments, "def f(content: dict[str, int]) -> None:\n    content['a'] = 1"),
        (filled_arguments, "def f(content):\n    x = content.setdefault('a', [])\n    return x"),
        (filled_arguments, "def f(table, x):\n    del table[x]"),
        (unnamed_arguments, "f(1, 2, 3, 4, 5, 6)"),
        (unnamed_arguments, "a.f(1, 2, 3, 4, 5, 6, x=7)"),
        (long_lines, "#" * 111),
    ],
)
def test_code_out_of_form_is_found(check, wrong):
    first, *_ = check(f"x = 1\n{wrong}\n")
    assert first >= 2


@pytest.mark.parametrize(
    ("check", "right"),
    [
        (packed_assignments, "a, b = b, a"),
        (packed_assignments, "a, b = b, a + b"),
        (packed_assignments, "x[0], x[1] = x[1], x[0]"),
        (packed_assignments, "self.a, self.b = 1, self.a"),
        (packed_assignments, "a, b = pair\na, *b = x, y, z\nc = 1, 2\nfor a, b in x: pass"),
        (skipped_lines, "x = '# fmt: skip'"),
        (skipped_code, "x = {\n  'a': -1, 'b': (2, 3),\n}  # fmt: skip"),
        (skipped_code, "X: list = np.array([[1,2],\n  [3,4]])  # fmt: skip"),
        (filled_arguments, "def f(x):\n    problems = []\n    problems.append(x)\n    return problems"),
        (filled_arguments, "def f(problems):\n    return [p for p in problems if p]"),
        (filled_arguments, "def f(rows, n: int):\n    rows = list(rows)\n    rows.append(1)\n    n += 1"),
        (filled_arguments, "def f(lines):\n    def report(x):\n        lines.append(x)\n    return report"),
        (filled_arguments, "class A:\n    def f(self, x):\n        self['a'] = x"),
        (unnamed_arguments, "f(1, 2, 3, 4, 5, x=6)"),
        (unnamed_arguments, "print(1, 2, 3, 4, 5, 6)\nnp.where(1, 2, 3, 4, 5, 6)\nf(*x, 1, 2)"),
        (long_lines, "#" * 110),
    ],
)
def test_code_in_form_is_let_be(check, right):
    assert check(f"x = 1\n{right}\n") == []
