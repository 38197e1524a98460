"""A protocol as data: read it, lint it, and get its dose rule; one that leaves a point open decides nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from kinetics.errors import PlanError, Problem, did_you_mean
from kinetics.escalation import (
    Boin,
    CrmPackThreePlusThree,
    Rule,
    ThreePlusThree,
    Titration,
    korn_1994,
    simon_1997,
    storer_1989,
)
from kinetics.library import ROOT
from kinetics.plan import problem_of, read_toml
from kinetics.protocol_points import (
    OpenPoint,
    SettledPoint,
    contradictions,
    open_points,
    settled_points,
    shown,
)
from kinetics.protocol_tables import Protocol

__all__ = ["RULES", "Lint", "Protocol", "lint", "read_protocol", "rule_of", "settled"]

RULES = ("protocol", "korn", "storer", "crmpack", "simon_1", "simon_2", "simon_3", "simon_4", "boin")


@dataclass(frozen=True)
class Lint:
    """What is open in a protocol, what contradicts itself, and what is settled, each with its sentence."""

    open: list[OpenPoint]
    contradictions: list[Problem]
    settled: list[SettledPoint]

    @property
    def ok(self) -> bool:
        return not self.open and not self.contradictions

    def problems(self, file: str = "") -> list[Problem]:
        """Everything that keeps the protocol from deciding."""
        clashes = [Problem(p.what, p.remedy, file=file) for p in self.contradictions]
        return [p.problem(file) for p in self.open] + clashes

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "ok": self.ok,
            "open_points": sorted({p.number for p in self.open}),
            "open": [asdict(p) for p in self.open],
            "contradictions": [p.as_dict() for p in self.contradictions],
            "settled": [asdict(p) for p in self.settled],
        }

    def __str__(self) -> str:
        lines = []
        if self.open:
            count = len({p.number for p in self.open})
            lines.append(
                f"{count} of 10 points are open: the protocol decides nothing before they are settled"
            )
            for p in self.open:
                lines.append(f"  {p.number:>2} {p.kind:<13} {p.title}: `{p.field}` {p.what}")
                lines.append(f"     {'':<13} {p.remedy}")
        lines += [f"   contradiction  {p.what}; {p.remedy}" for p in self.contradictions]
        if self.settled:
            lines.append("settled:")
        for p in self.settled:
            lines.append(f"  {p.number:>2} {p.title}: `{p.field}` = {shown(p.value)}")
            lines.append(f"     because {p.because}")
        if self.ok:
            lines.append("every point is settled, and no value contradicts another")
        return "\n".join(lines)


def read_protocol(source: str | Path) -> Protocol:
    """Read a protocol.toml; a bare name is a data set of the library, a folder is a study's. PlanError lists all."""
    path = _find(source)
    try:
        return Protocol.model_validate(read_toml(path))
    except ValidationError as error:
        raise PlanError([problem_of(e, str(path), Protocol) for e in error.errors()]) from error


def _find(source: str | Path) -> Path:
    text = str(source)
    bare = "/" not in text and not text.endswith(".toml")
    path = ROOT / "data" / text if bare and not Path(text).exists() else Path(text)
    if path.is_dir():
        path = path / "protocol.toml"
    if not path.is_file() and text.startswith(
        "data/"
    ):  # the README's `data/NAME/...`, outside a checkout too
        path = ROOT / text
    if not path.is_file():
        known = sorted(p.parent.name for p in (ROOT / "data").glob("*/protocol.toml"))
        raise PlanError(Problem(f"no protocol {text!r}", did_you_mean(text, known), file=text))
    return path


def lint(protocol: Protocol) -> Lint:
    """Every contradiction and silence of a protocol, and every point it settles."""
    return Lint(open_points(protocol), contradictions(protocol), settled_points(protocol))


def settled(protocol: Protocol, file: str = "") -> Protocol:
    """The same protocol; PlanError with every open point where it may not decide."""
    found = lint(protocol)
    if not found.ok:
        raise PlanError(found.problems(file))
    return protocol


def rule_of(protocol: Protocol, name: str = "protocol", *, target: float = 0.3) -> Rule:
    """The dose rule of a settled protocol, or another of `RULES` on its levels; `target` is BOIN's.

    Storer, Korn and BOIN keep the protocol's titration; Simon's designs have their own, crmPack's coding none.
    """
    settled(protocol)
    if name not in RULES:
        raise PlanError(Problem(f"unknown rule {name!r}", did_you_mean(name, RULES)))
    levels, titration, most = len(protocol.levels), _titration(protocol), _most(protocol)
    variant = protocol.escalation.variant if name == "protocol" else name
    if variant == "boin":
        planned = protocol.size.planned.value or (0, 30)
        return Boin(levels, target, protocol.escalation.cohort, most=planned[1], titration=titration)
    if variant == "crmpack":
        return CrmPackThreePlusThree(levels, protocol.escalation.cohort)
    if variant.startswith("simon_"):
        rule = simon_1997(levels, int(variant[-1]))  # type: ignore[arg-type]
    elif variant == "protocol":
        rule = ThreePlusThree(levels, titration, fill_top=protocol.mtd.fill_top_level)
    else:
        rule = {"storer": storer_1989, "korn": korn_1994}[variant](levels, titration)
    cohort, mtd = protocol.escalation.cohort, protocol.mtd
    return replace(rule, cohort=cohort, needed=mtd.evaluable, allowed=mtd.dlts, most=most)


def _titration(protocol: Protocol) -> Titration | None:
    t = protocol.titration
    if t is None:
        return None
    after, clean = t.after_trigger.value or "fill", t.clean_patient.value or "counted"
    return Titration(t.levels, t.size, t.triggers_needed, after_trigger=after, clean_patient=clean)


def _most(protocol: Protocol) -> int | None:
    planned = protocol.size.planned.value
    return planned[1] if planned and protocol.size.more_than_planned.value == "stops" else None
