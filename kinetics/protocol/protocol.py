"""A protocol as data: read it, lint it, and get its dose rule; one that leaves a point open decides
nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from kinetics.errors import PlanError, Problem, did_you_mean
from kinetics.escalation import (
    Blrm,
    Boin,
    Boin12,
    Crm,
    CrmPackThreePlusThree,
    Exposures,
    PkBoin12,
    Rule,
    ThreePlusThree,
    TiteBoin,
    Titration,
    Utilities,
    indifference_skeleton,
    korn_1994,
    simon_1997,
    storer_1989,
)
from kinetics.library import find, names
from kinetics.protocol.points import (
    OpenPoint,
    SettledPoint,
    contradictions,
    open_points,
    settled_points,
    shown,
)
from kinetics.protocol.tables import Protocol
from kinetics.toml import problem_of, read_toml

__all__ = [
    "MODERN",
    "RULES",
    "Lint",
    "Protocol",
    "assumed",
    "find_protocol",
    "lint",
    "read_protocol",
    "rule_of",
    "settled",
]

RULES = (
    *("protocol", "korn", "storer", "crmpack", "simon_1", "simon_2", "simon_3", "simon_4"),
    *("boin", "tite_boin", "crm", "blrm", "boin12", "pkboin12"),
)
MODERN = RULES[RULES.index("boin") :]
TARGETS = {"boin12": 0.35, "pkboin12": 0.35}  # the paper's (Lin 2020); every other rule's is 0.3
PRIOR = ((0.0, 0.0), (2.0, 1.0))  # of (log alpha, log beta), mean and SD: OncoBayes2's single-agent example


@dataclass(frozen=True)
class Lint:
    """What is open in a protocol, what contradicts itself, and what is settled, each with its sentence.

    >>> found = kn.lint(kn.read_protocol("nkg2d_registry"))
    >>> found.ok, list(found.as_dict())
    (False, ['ok', 'open_points', 'open', 'contradictions', 'settled'])
    >>> found.problems("protocol.toml")[0].file
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
        """Everything that keeps the protocol from deciding. `file` is named in each."""
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
    """Read a protocol.toml; a bare name is a data set of the library, a folder is a study's. PlanError lists
    all.

    >>> protocol = kn.read_protocol("nkg2d_phase1_synthetic")
    >>> protocol.levels, protocol.level_unit, protocol.mtd.evaluable
    ((15000000.0, 30000000.0, 50000000.0, 70000000.0), 'cells/kg', 6)
    """
    path = find_protocol(source)
    try:
        return Protocol.model_validate(read_toml(path, PlanError))
    except ValidationError as error:
        raise PlanError([problem_of(e, str(path), Protocol) for e in error.errors()]) from error


def find_protocol(source: str | Path) -> Path:
    """The file of a protocol; a file or folder of that name here comes before the library's. PlanError if
    none.
    """
    text = str(source)
    path = Path(text)
    if not path.exists():
        path = find("protocols", text).path
    if path.is_dir():
        path = path / "protocol.toml"
    if not path.is_file():
        raise PlanError(Problem(f"no protocol {text!r}", did_you_mean(text, names("protocols")), file=text))
    return path


def lint(protocol: Protocol) -> Lint:
    """Every contradiction and silence of a protocol, and every point it settles.

    >>> found = kn.lint(kn.read_protocol("nkg2d_registry"))
    >>> found.ok, len(found.open)
    (False, 14)
    """
    return Lint(open_points(protocol), contradictions(protocol), settled_points(protocol))


def settled(protocol: Protocol, file: str = "") -> Protocol:
    """The same protocol; PlanError with every open point where it may not decide."""
    found = lint(protocol)
    if not found.ok:
        raise PlanError(found.problems(file))
    return protocol


def rule_of(
    protocol: Protocol,
    name: str = "protocol",
    *,
    target: float | None = None,
    exposures: Exposures | None = None,
    wanted: float | None = None,
) -> Rule:
    """The dose rule of a settled protocol, or another of `RULES` on its levels.

    Storer, Korn and BOIN keep the protocol's titration; Simon's designs have their own, the others none.
    `target` is the DLT rate of BOIN, TITE-BOIN and CRM (0.3), BOIN12 and PKBOIN-12 (0.35). PKBOIN-12 also
    needs what is known of the exposures of each level, and the mean exposure `wanted`. `assumed` says what
    else is not the protocol's. `name` is one of `RULES`. PlanError where a point is open, for another name,
    or where what the rule needs is missing.

    >>> protocol = kn.read_protocol("nkg2d_phase1_synthetic")
    >>> kn.protocol.rule_of(protocol)
    ThreePlusThree(levels=4, titration=Titration(levels=1, size=1, triggers=1, ...), ...)
    >>> kn.protocol.rule_of(protocol, "boin", target=0.25).target
    0.25
    """
    settled(protocol)
    if name not in RULES:
        raise PlanError(Problem(f"unknown rule {name!r}", did_you_mean(name, RULES)))
    levels = len(protocol.levels)
    titration = _titration(protocol)
    most = _most(protocol)
    variant = protocol.escalation.variant if name == "protocol" else name
    if variant == "pkboin12":
        if exposures is None or wanted is None:
            remedy = "say which mean exposure is wanted, and what is known of each level's"
            raise PlanError(Problem("pkboin12 looks at exposures", remedy))
        boin12 = _modern(protocol, "boin12", TARGETS[variant] if target is None else target)
        assert isinstance(boin12, Boin12)
        return PkBoin12(boin12, exposures, wanted)
    if variant in MODERN:
        return _modern(protocol, variant, TARGETS.get(variant, 0.3) if target is None else target)
    if variant == "crmpack":
        return CrmPackThreePlusThree(levels, protocol.escalation.cohort)
    if variant.startswith("simon_"):
        rule = simon_1997(levels, int(variant[-1]))  # type: ignore[arg-type]
    elif variant == "protocol":
        rule = ThreePlusThree(levels, titration, fill_top=protocol.mtd.fill_top_level)
    else:
        rule = {"storer": storer_1989, "korn": korn_1994}[variant](levels, titration)
    cohort = protocol.escalation.cohort
    mtd = protocol.mtd
    return replace(rule, cohort=cohort, needed=mtd.evaluable, allowed=mtd.dlts, most=most)


def assumed(rule: Rule) -> list[str]:
    """What a rule of `rule_of` stands on that no protocol says, a sentence each."""
    match rule:
        case Boin():
            return [f"target DLT rate {rule.target:g}"]
        case TiteBoin():
            pending = f"accrual is suspended above {rule.most_pending:.0%} pending"
            return [f"target DLT rate {rule.boin.target:g}; {pending}"]
        case Crm():
            skeleton = ", ".join(f"{p:.3f}" for p in rule.skeleton)
            half = "indifference intervals of half width 0.05, the target at the middle level"
            return [f"target DLT rate {rule.target:g}; skeleton {skeleton}: {half}"]
        case Blrm():
            log_alpha, log_beta = rule.mean
            sd_alpha, sd_beta = rule.sd
            return [
                f"prior log alpha ~ N({log_alpha:g}, {sd_alpha:g}), log beta ~ N({log_beta:g}, {sd_beta:g}), SDs, "
                f"independent, alpha the odds at {rule.reference:.4g}: OncoBayes2's, with the top level as reference",
                f"target interval {rule.target[0]:g} to {rule.target[1]:g}, P(overdose) at most {rule.feasible:g}",
            ]
        case Boin12():
            u = rule.utilities
            return [
                f"utilities: response {u.response_without_dlt:g}, with DLT {u.response_with_dlt:g}, neither "
                f"{u.neither:g}, DLT alone {u.dlt_without_response:g}; response rate wanted {rule.least_response:g}",
                f"highest DLT rate {rule.target:g}",
            ]
        case PkBoin12():
            return [*assumed(rule.boin12), f"mean exposure wanted {rule.wanted:g}"]
        case _:
            return []


def _modern(protocol: Protocol, variant: str, target: float) -> Rule:
    """A rule by a DLT rate: the cohort, the levels and the planned patients are the protocol's."""
    levels = len(protocol.levels)
    cohort = protocol.escalation.cohort
    most = (protocol.size.planned.value or (0, 30))[1]
    if variant == "crm":
        return Crm(indifference_skeleton(target, levels), target, cohort=cohort, most=most)
    if variant == "blrm":
        return Blrm(protocol.levels, protocol.levels[-1], *PRIOR, cohort=cohort, most=most)
    if variant == "boin12":
        return Boin12(levels, target, utilities=_utilities(protocol), cohort=cohort, most=most)
    boin = Boin(levels, target, cohort, most=most, titration=_titration(protocol))
    return TiteBoin(boin) if variant == "tite_boin" else boin


def _utilities(protocol: Protocol) -> Utilities:
    """The protocol's; the paper's where it has none. PlanError where it has others than the four."""
    if not protocol.utilities:
        return Utilities()
    names = {field.name for field in fields(Utilities)}
    if set(protocol.utilities) != names:
        what = f"BOIN12 knows the utilities {', '.join(sorted(names))}, not {', '.join(sorted(protocol.utilities))}"
        raise PlanError(Problem(what, "give these four in [utilities], or none for the published ones"))
    return Utilities(**protocol.utilities)


def _titration(protocol: Protocol) -> Titration | None:
    t = protocol.titration
    if t is None:
        return None
    after = t.after_trigger.value or "fill"
    clean = t.clean_patient.value or "counted"
    return Titration(t.levels, t.size, t.triggers_needed, after_trigger=after, clean_patient=clean)


def _most(protocol: Protocol) -> int | None:
    planned = protocol.size.planned.value
    return planned[1] if planned and protocol.size.more_than_planned.value == "stops" else None
