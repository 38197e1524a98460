"""The validation dossier: requirement -> test -> result, from docs/requirements.toml and pytest's junit
files.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

__all__ = ["REQUIREMENTS", "RESULTS", "Requirement", "dossier_page", "read_requirements", "read_results"]

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "docs" / "requirements.toml"
RESULTS = ROOT / "build" / "tests"  # where make test and make test-slow leave their junit files
WORST = ("failed", "passed", "skipped", "not run")  # the first that occurs is the result of the whole
SYMBOL = {"passed": "passed", "failed": "**FAILED**", "skipped": "*skipped*", "not run": "*not run*"}


@dataclass(frozen=True)
class Requirement:
    """What the software must do, in one sentence, and the tests (file::name) that show it."""

    id: str
    room: str
    sentence: str
    tests: tuple[str, ...]


@dataclass(frozen=True)
class Run:
    """One junit file: the code tested, when, and (test, result) of every case."""

    name: str
    code: str
    when: str
    cases: tuple[tuple[str, str], ...]


def read_requirements(file: Path = REQUIREMENTS) -> list[Requirement]:
    """The requirements in the order of the file."""
    tables = tomllib.loads(file.read_text(encoding="utf-8"))
    return [
        Requirement(r["id"], room, r["requirement"], tuple(r["tests"]))
        for room, requirements in tables.items()
        for r in requirements
    ]


def read_results(folder: Path = RESULTS) -> list[Run]:
    """Every junit file of a folder; the parameters of a parametrised test are its cases."""
    return [_run(file) for file in sorted(folder.glob("*.xml"))]


def _run(file: Path) -> Run:
    cases, code, when = [], "", ""
    for suite in ElementTree.parse(file).iter("testsuite"):
        code, when = suite.get("name", ""), suite.get("timestamp", "")[:16].replace("T", " ")
        for case in suite.iter("testcase"):
            test = (
                f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name', '').partition('[')[0]}"
            )
            kinds = {child.tag for child in case}
            failed = kinds & {"failure", "error"}
            cases.append((test, "failed" if failed else "skipped" if "skipped" in kinds else "passed"))
    return Run(file.stem, code, when, tuple(cases))


def _worst(results: Iterable[str]) -> str:
    seen = set(results)
    return next((r for r in WORST if r in seen), "not run")


def _result(requirement: Requirement, cases: dict[str, Counter[str]]) -> str:
    """passed only where every one of its tests passed; a test that was not run leaves it not run."""
    each = [_worst(cases.get(test, ())) for test in requirement.tests]
    if "failed" in each:
        return "failed"
    return next((r for r in ("not run", "skipped") if r in each), "passed")


def dossier_page(requirements: list[Requirement], runs: list[Run]) -> str:
    """`dossier.md`: what was run, how many requirements are shown, then each with its tests."""
    cases: dict[str, Counter[str]] = {}
    for run in runs:
        for test, result in run.cases:
            cases.setdefault(test, Counter())[result] += 1
    counts = Counter(_result(r, cases) for r in requirements)
    said = ", ".join(f"{counts[r]} {r}" for r in ("passed", "failed", "skipped", "not run") if counts[r])
    parts = [
        "# Validation dossier\n",
        "Requirement, the tests that show it, and their result in the runs below.",
        "",
    ]
    parts += [
        "The requirements stand in `docs/requirements.toml`; that every test named there exists is a test."
    ]
    parts += [
        "This page shows what these tests show and no more: it is no qualification of an installation.\n"
    ]
    parts += [f"**{len(requirements)} requirements: {said}.**\n", *_runs(runs)]
    for room in dict.fromkeys(r.room for r in requirements):
        parts += [f"## {room.replace('_', ' ').capitalize()}\n"]
        for r in (r for r in requirements if r.room == room):
            parts += _section(r, cases)
    return "\n".join(parts)


def _runs(runs: list[Run]) -> Iterator[str]:
    if not runs:
        yield ":::{warning}\nNo test run at hand: `make test` and `make test-slow` leave their results in"
        yield "`build/tests/`; then `make docs` again.\n:::\n"
        return
    yield "| run | code | when | cases | passed | failed | skipped |\n|---|---|---|---:|---:|---:|---:|"
    for run in runs:
        n = Counter(result for _, result in run.cases)
        numbers = f"{len(run.cases)} | {n['passed']} | {n['failed']} | {n['skipped']}"
        yield f"| {run.name} | `{run.code}` | {run.when} | {numbers} |"
    yield ""


def _section(r: Requirement, cases: dict[str, Counter[str]]) -> Iterator[str]:
    yield f"### {r.id}\n"
    yield f"{r.sentence} Result: {SYMBOL[_result(r, cases)]}.\n"
    yield "| test | result |\n|---|---|"
    for test in r.tests:
        file, _, name = test.partition("::")
        found = cases.get(test, Counter())
        number = f" ({found.total()} cases)" if found.total() > 1 else ""
        sentence = re.sub(r"^test_", "", name).replace("_", " ")
        yield f"| {sentence}<br><small>`{file}`</small> | {SYMBOL[_worst(found)]}{number} |"
    yield ""
