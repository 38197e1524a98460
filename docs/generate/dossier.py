"""The validation dossier: each requirement, the tests that show it, and their results.

Requirements are read from docs/requirements.toml, results from pytest's junit files.
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
WORST_FIRST = ("failed", "passed", "skipped", "not run")  # the first that occurs is the result of a test
SYMBOL = {"passed": "passed", "failed": "**FAILED**", "skipped": "*skipped*", "not run": "*not run*"}

HEAD = """# Validation dossier

Each requirement, the tests that show it, and their results in the runs below.

The requirements are in `docs/requirements.toml`; a test checks that every test named there exists.
This page shows what these tests show and no more: it does not qualify an installation.
"""


@dataclass(frozen=True)
class Requirement:
    """What the software must do, in one sentence, and the tests (file::name) that show it."""

    id: str
    section: str
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
        Requirement(entry["id"], section, entry["requirement"], tuple(entry["tests"]))
        for section, entries in tables.items()
        for entry in entries
    ]


def read_results(folder: Path = RESULTS) -> list[Run]:
    """Every junit file of a folder; the parameters of a parametrised test are its cases."""
    return [_run(file) for file in sorted(folder.glob("*.xml"))]


def _run(file: Path) -> Run:
    code = ""
    when = ""
    cases = []
    for suite in ElementTree.parse(file).iter("testsuite"):
        code = suite.get("name", "")
        when = suite.get("timestamp", "")[:16].replace("T", " ")
        cases += [(_test_of(case), _outcome(case)) for case in suite.iter("testcase")]
    return Run(file.stem, code, when, tuple(cases))


def _test_of(case: ElementTree.Element) -> str:
    """The test of a case as file::name, without the case's parameters."""
    file = case.get("classname", "").replace(".", "/")
    name = case.get("name", "").partition("[")[0]
    return f"{file}.py::{name}"


def _outcome(case: ElementTree.Element) -> str:
    tags = {child.tag for child in case}
    if tags & {"failure", "error"}:
        return "failed"
    return "skipped" if "skipped" in tags else "passed"


def _result_of_cases(results: Iterable[str]) -> str:
    occurring = set(results)
    return next((result for result in WORST_FIRST if result in occurring), "not run")


def _result(requirement: Requirement, cases: dict[str, Counter[str]]) -> str:
    """Passed only where every one of its tests passed; a test that was not run leaves it not run."""
    results = [_result_of_cases(cases.get(test, ())) for test in requirement.tests]
    if "failed" in results:
        return "failed"
    return next((result for result in ("not run", "skipped") if result in results), "passed")


def dossier_page(requirements: list[Requirement], runs: list[Run]) -> str:
    """`dossier.md`: what was run, how many requirements are shown, then each with its tests."""
    cases: dict[str, Counter[str]] = {}
    for run in runs:
        for test, result in run.cases:
            cases.setdefault(test, Counter())[result] += 1
    counts = Counter(_result(requirement, cases) for requirement in requirements)
    kinds = [kind for kind in ("passed", "failed", "skipped", "not run") if counts[kind]]
    summary = ", ".join(f"{counts[kind]} {kind}" for kind in kinds)
    parts = [HEAD, f"**{len(requirements)} requirements: {summary}.**\n", *_runs(runs)]
    for section in dict.fromkeys(requirement.section for requirement in requirements):
        parts += [f"## {section.replace('_', ' ').capitalize()}\n"]
        for requirement in requirements:
            if requirement.section == section:
                parts += _requirement(requirement, cases)
    return "\n".join(parts)


def _runs(runs: list[Run]) -> Iterator[str]:
    if not runs:
        yield ":::{warning}\nNo test run at hand: `make test` and `make test-slow` leave their results in"
        yield "`build/tests/`; then `make docs` again.\n:::\n"
        return
    yield "| run | code | when | cases | passed | failed | skipped |\n|---|---|---|---:|---:|---:|---:|"
    for run in runs:
        counts = Counter(result for _, result in run.cases)
        numbers = f"{len(run.cases)} | {counts['passed']} | {counts['failed']} | {counts['skipped']}"
        yield f"| {run.name} | `{run.code}` | {run.when} | {numbers} |"
    yield ""


def _requirement(requirement: Requirement, cases: dict[str, Counter[str]]) -> Iterator[str]:
    yield f"### {requirement.id}\n"
    yield f"{requirement.sentence} Result: {SYMBOL[_result(requirement, cases)]}.\n"
    yield "| test | result |\n|---|---|"
    for test in requirement.tests:
        file, _, name = test.partition("::")
        counts = cases.get(test, Counter())
        number = f" ({counts.total()} cases)" if counts.total() > 1 else ""
        words = re.sub(r"^test_", "", name).replace("_", " ")
        symbol = SYMBOL[_result_of_cases(counts)]
        yield f"| {words}<br><small>`{file}`</small> | {symbol}{number} |"
    yield ""
