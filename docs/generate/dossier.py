"""The validation dossier: each requirement, the tests that show it, and their results.

Requirements are read from docs/requirements.toml, results from the JSON of the last recorded full run. `make
record` makes it from the junit files of `make test` and `make test-slow`, and a release commits it.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

__all__ = [
    "RECORDED",
    "REQUIREMENTS",
    "RESULTS",
    "Requirement",
    "dossier_page",
    "read_requirements",
    "read_results",
    "record",
    "recorded_results",
]

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "docs" / "requirements.toml"
RESULTS = ROOT / "build" / "tests"  # where make test and make test-slow leave their junit files
RECORDED = ROOT / "docs" / "test_results.json"  # of the last full run that was recorded; committed
WORST_FIRST = ("failed", "passed", "skipped", "not run")  # the first that occurs is the result of a test
SYMBOL = {"passed": "passed", "failed": "**FAILED**", "skipped": "*skipped*", "not run": "*not run*"}

HEAD = """# Validation dossier

Each requirement, the tests that show it, and their results in the runs below.

The requirements are in `docs/requirements.toml`; a test checks that every test named there exists.
This page shows what these tests show and no more: it does not qualify an installation. The commit of a run is
that of the code that it tested; a test that is "not run" belongs to none of the recorded runs.
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
    """One junit file: the code tested, when, (test, result) of every case, and the number of each result."""

    name: str
    code: str
    when: str
    cases: tuple[tuple[str, str], ...]
    totals: Mapping[str, int]


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


def recorded_results(file: Path = RECORDED) -> list[Run]:
    """The runs of the JSON that `record` wrote, with the cases of the requirements; none without the file."""
    if not file.is_file():
        return []
    runs = json.loads(file.read_text(encoding="utf-8"))
    return [
        Run(name, run["code"], run["when"], tuple(_cases_of(run["results"])), run["totals"])
        for name, run in runs.items()
    ]


def _cases_of(results: Mapping[str, Mapping[str, int]]) -> Iterator[tuple[str, str]]:
    """(test, result) of every case, from their numbers."""
    for test, counts in results.items():
        for result, number in counts.items():
            yield from [(test, result)] * number


def record(runs: Iterable[Run], requirements: Iterable[Requirement], file: Path = RECORDED) -> Path:
    """Write the runs to the JSON that is committed: totals, and the results of the requirements' tests."""
    named = {test for requirement in requirements for test in requirement.tests}
    content = {}
    for run in runs:
        results: dict[str, Counter[str]] = {}
        for test, result in run.cases:
            if test in named:
                results.setdefault(test, Counter())[result] += 1
        content[run.name] = {
            "code": run.code,
            "when": run.when,
            "totals": dict(run.totals),
            "results": results,
        }
    file.write_text(f"{json.dumps(content, indent=1, sort_keys=True)}\n", encoding="utf-8")
    return file


def _run(file: Path) -> Run:
    code = ""
    when = ""
    cases = []
    for suite in ElementTree.parse(file).iter("testsuite"):
        code = suite.get("name", "")
        when = suite.get("timestamp", "")[:16].replace("T", " ")
        cases += [(_test_of(case), _outcome(case)) for case in suite.iter("testcase")]
    return Run(file.stem, code, when, tuple(cases), Counter(result for _, result in cases))


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
        yield ":::{warning}\nNo test run is recorded: `make test`, then `make record`.\n:::\n"
        return
    yield "| run | code | when | cases | passed | failed | skipped |\n|---|---|---|---:|---:|---:|---:|"
    for run in runs:
        kinds = [run.totals.get(kind, 0) for kind in ("passed", "failed", "skipped")]
        numbers = " | ".join(str(number) for number in (sum(kinds), *kinds))
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


def main() -> None:
    """Record the results of the last test runs: `make record`."""
    runs = read_results()
    if not runs:
        raise SystemExit(f"{RESULTS}: no results; run `make test` and `make test-slow` first")
    unclean = [f"{run.name} ({run.code})" for run in runs if run.code.endswith("-dirty")]
    if unclean:
        raise SystemExit(f"no commit has the code of {', '.join(unclean)}: commit, then test again")
    print(record(runs, read_requirements()))


if __name__ == "__main__":
    main()
