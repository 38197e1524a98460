"""A protocol as data: find its file, read it, and lint it. One that leaves a point open decides nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from kinetics.arguments import require
from kinetics.errors import PlanError, Problem
from kinetics.protocol.extending import protocol_content, protocol_file
from kinetics.protocol.points import (
    POINTS,
    OpenPoint,
    SettledPoint,
    contradictions,
    open_points,
    settled_points,
    shown,
)
from kinetics.protocol.tables import Protocol
from kinetics.toml import problems_of

__all__ = ["Lint", "Protocol", "find_protocol", "lint", "read_protocol", "settled"]


@dataclass(frozen=True)
class Lint:
    """What is open in a protocol, what contradicts itself, and what is settled, each with its sentence.

    >>> report = kn.lint(kn.read_protocol("nkg2d_registry"))
    >>> report.ok, list(report.as_dict())
    (False, ['ok', 'open_points', 'open', 'contradictions', 'settled'])
    >>> report.problems("protocol.toml")[0].file
    'protocol.toml'
    """

    open: list[OpenPoint]
    contradictions: list[Problem]
    settled: list[SettledPoint]

    @property
    def ok(self) -> bool:
        """Whether nothing is open and nothing contradicts itself."""
        return not self.open and not self.contradictions

    def problems(self, file: str = "") -> list[Problem]:
        """Everything that keeps the protocol from deciding. Each problem names `file`."""
        problems = [point.problem(file) for point in self.open]
        for clash in self.contradictions:
            problems.append(Problem(clash.what, clash.remedy, file=file))
        return problems

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values, for `--json`."""
        return {
            "ok": self.ok,
            "open_points": sorted({point.number for point in self.open}),
            "open": [asdict(point) for point in self.open],
            "contradictions": [clash.as_dict() for clash in self.contradictions],
            "settled": [asdict(point) for point in self.settled],
        }

    def __str__(self) -> str:
        lines = []
        if self.open:
            count = len({point.number for point in self.open})
            lines.append(
                f"{count} of {POINTS} points are open: the protocol decides nothing before they are settled"
            )
        for point in self.open:
            lines.append(f"  {point.number:>2} {point.kind:<13} {point.title}: `{point.field}` {point.what}")
            lines.append(f"     {'':<13} {point.remedy}")
        for clash in self.contradictions:
            lines.append(f"   contradiction  {clash.what}; {clash.remedy}")
        if self.settled:
            lines.append("settled:")
        for point in self.settled:
            lines.append(f"  {point.number:>2} {point.title}: `{point.field}` = {shown(point.value)}")
            lines.append(f"     because {point.because}")
        if self.ok:
            lines.append("every point is settled, and no value contradicts another")
        return "\n".join(lines)


def read_protocol(source: str | Path) -> Protocol:
    """Read a protocol.toml. A bare name is a data set of the library, a folder is that of a study.

    A file with `extends = "NAME"` adds to another protocol, or changes it. PlanError lists everything wrong
    with the file.

    >>> protocol = kn.read_protocol("nkg2d_phase1_synthetic")
    >>> protocol.levels, protocol.level_unit, protocol.mtd.evaluable.value
    ((15000000.0, 30000000.0, 50000000.0, 70000000.0), 'cells/kg', 6)
    """
    path = find_protocol(source)
    try:
        return Protocol.model_validate(protocol_content(path))
    except ValidationError as error:
        raise PlanError(problems_of(error, str(path), Protocol)) from error


def find_protocol(source: str | Path) -> Path:
    """The file of a protocol: a file or folder of that name here, or else the library's.

    PlanError where there is no such file.
    """
    require(source=(source, str | Path))
    return protocol_file(str(source))


def lint(protocol: Protocol) -> Lint:
    """Every contradiction and every open point of a protocol, and every point that it settles.

    >>> report = kn.lint(kn.read_protocol("nkg2d_registry"))
    >>> report.ok, len(report.open)
    (False, 23)
    """
    require(protocol=(protocol, Protocol))
    return Lint(open_points(protocol), contradictions(protocol), settled_points(protocol))


def settled(protocol: Protocol, file: str = "") -> Protocol:
    """The same protocol; PlanError with every open point where it may not decide."""
    report = lint(protocol)
    if not report.ok:
        raise PlanError(report.problems(file))
    return protocol
