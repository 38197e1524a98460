"""The pinned packages against a dated list of known weaknesses, and what an auditor's report says.

`python -m tests.support.audit CONSTRAINTS` holds the list against the pins, and against pip and setuptools of
this environment. `python -m tests.support.audit CONSTRAINTS REPORT` also reads a report of pip-audit. It
prints what was found and how much was looked at. The exit code is 0 where nothing is known, 1 where something
is, and 3 where the report tells of no package at all: an auditor that finds no data calls that "no known
vulnerabilities".
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from packaging.version import Version

LIST = Path(__file__).with_name("known_weaknesses.toml")
_PIN = re.compile(r"([A-Za-z0-9._-]+)==([^\s;]+)")


def pins(text: str) -> Iterator[tuple[str, str]]:
    """(name, version) of every line of a constraints file; one package may have several."""
    for line in text.splitlines():
        if match := _PIN.match(line.strip()):
            yield match[1].lower().replace("_", "-"), match[2]


def installers() -> Iterator[tuple[str, str]]:
    """(name, version) of pip and setuptools, as far as this environment has them."""
    for name in ("pip", "setuptools"):
        with suppress(PackageNotFoundError):
            yield name, version(name)


def known_weaknesses(
    pinned: Iterable[tuple[str, str]], fixed_in: Mapping[str, Mapping[str, str]]
) -> list[str]:
    """A line for every pin that is older than the remedy of a known weakness."""
    return [
        f"{name} {pin}: {advisory}, fixed in {fixed}"
        for name, pin in pinned
        for fixed, advisory in fixed_in.get(name, {}).items()
        if Version(pin) < Version(fixed)
    ]


def reported(report: Mapping[str, Any]) -> tuple[int, list[str], list[str]]:
    """Of a report of pip-audit: how many packages were looked up, those that were not, and what was found."""
    packages = report["dependencies"]
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    found = [
        f"{package['name']} {package['version']}: {weakness['id']}"
        for package in packages
        for weakness in package.get("vulns", ())
    ]
    return len(packages) - len(skipped), skipped, found


def main(arguments: list[str]) -> int:
    """Print what is known of the pins of a constraints file; the exit code says it too."""
    known = tomllib.loads(LIST.read_text(encoding="utf-8"))
    pinned = [*pins(Path(arguments[0]).read_text(encoding="utf-8"))]
    found = known_weaknesses([*pinned, *installers()], known["fixed_in"])
    print(f"{len(pinned)} pins against the list of {known['date']}: {len(found)} known weaknesses")
    looked_up = 0
    if len(arguments) > 1:
        report = json.loads(Path(arguments[1]).read_text(encoding="utf-8"))
        looked_up, skipped, more = reported(report)
        found += more
        print(f"{looked_up} packages looked up by the auditor: {len(more)} known weaknesses")
        if looked_up and skipped:
            print(f"NOT looked up: {', '.join(skipped)}")
    for line in found:
        print(f"  {line}", file=sys.stderr)
    if found:
        return 1
    return 3 if len(arguments) > 1 and not looked_up else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
