"""The dose rule of a protocol, or another rule on its levels, and what the rule assumes beside the
protocol.
"""

from __future__ import annotations

from dataclasses import fields, replace

from kinetics.arguments import require
from kinetics.errors import PlanError, Problem, did_you_mean
from kinetics.escalation import (
    Blrm,
    Boin,
    Boin12,
    Crm,
    CrmPackThreePlusThree,
    ExposureEvidence,
    Joint,
    PkBoin12,
    Rule,
    ThreePlusThree,
    TiteBoin,
    TitePkBoin12,
    Titration,
    Utilities,
    indifference_skeleton,
    korn_1994,
    simon_1997,
    storer_1989,
)
from kinetics.protocol.protocol import settled
from kinetics.protocol.tables import Protocol

__all__ = ["MODERN", "RULES", "assumed", "rule_of"]

SIMON = ("simon_1", "simon_2", "simon_3", "simon_4")
# Rules that assume more than a protocol says (see `assumed`).
MODERN = ("boin", "tite_boin", "crm", "blrm", "boin12", "pkboin12", "tite_pkboin12", "joint")
RULES = ("protocol", "korn", "storer", "crmpack", *SIMON, *MODERN)
# the paper's (Lin 2020); most other rules' is 0.3
TARGETS: dict[str, float] = {"boin12": 0.35, "pkboin12": 0.35, "tite_pkboin12": 0.35}
PRIOR = ((0.0, 0.0), (2.0, 1.0))  # of (log alpha, log beta), mean and SD: OncoBayes2's single-agent example


def rule_of(
    protocol: Protocol,
    name: str = "protocol",
    *,
    target: float | None = None,
    exposures: ExposureEvidence | None = None,
    wanted: float | None = None,
) -> Rule:
    """The dose rule of a settled protocol, or another of `RULES` on its levels.

    Storer, Korn and BOIN keep the protocol's titration; Simon's designs have their own, the others none.
    `name` is one of `RULES`. `target` is the DLT rate of BOIN, TITE-BOIN and CRM (0.3 if not given), or of
    BOIN12 and PKBOIN-12 (0.35). PKBOIN-12 also needs what is known of the `exposures` of each level, and the
    mean exposure `wanted`. `assumed` lists what else the rule stands on that is not the protocol's. PlanError
    where a point is open, for another name, or where something that the rule needs is missing.

    >>> protocol = kn.read_protocol("nkg2d_phase1_synthetic")
    >>> kn.protocol.rule_of(protocol)
    ThreePlusThree(levels=4, titration=Titration(levels=1, size=1, triggers=1, ...), ...)
    >>> kn.protocol.rule_of(protocol, "boin", target=0.25).target
    0.25
    """
    require(protocol=(protocol, Protocol))
    settled(protocol)
    if name not in RULES:
        raise PlanError(Problem(f"unknown rule {name!r}", did_you_mean(name, RULES)))
    variant = protocol.escalation.variant.decided if name == "protocol" else name
    if target is None:
        target = protocol.mtd.overdose_above.decided if variant == "joint" else TARGETS.get(variant, 0.3)
    levels = len(protocol.levels)
    cohort = protocol.escalation.cohort.decided
    most = _most_planned(protocol)
    match variant:
        case "protocol":
            rule = ThreePlusThree(levels, _titration(protocol), fill_top=protocol.mtd.fill_top_level.decided)
            return _with_protocol_numbers(rule, protocol)
        case "korn":
            return _with_protocol_numbers(korn_1994(levels, _titration(protocol)), protocol)
        case "storer":
            return _with_protocol_numbers(storer_1989(levels, _titration(protocol)), protocol)
        case "crmpack":
            return CrmPackThreePlusThree(levels, cohort)
        case "simon_1" | "simon_2" | "simon_3" | "simon_4":
            rule = simon_1997(levels, int(variant[-1]))  # type: ignore[arg-type]
            return _with_protocol_numbers(rule, protocol)
        case "boin":
            return Boin(levels, target, cohort, most=most, titration=_titration(protocol))
        case "tite_boin":
            return TiteBoin(Boin(levels, target, cohort, most=most, titration=_titration(protocol)))
        case "crm":
            return Crm(indifference_skeleton(target, levels), target, cohort=cohort, most=most)
        case "blrm":
            return Blrm(protocol.levels, protocol.levels[-1], *PRIOR, cohort=cohort, most=most)
        case "boin12":
            return _boin12(protocol, target)
        case "pkboin12" | "tite_pkboin12":
            if exposures is None or wanted is None:
                remedy = "say which mean exposure is wanted, and what is known of each level's"
                raise PlanError(Problem(f"{variant} looks at exposures", remedy))
            waits = PkBoin12(_boin12(protocol, target), exposures, wanted)
            return waits if variant == "pkboin12" else TitePkBoin12(waits)
        case "joint":
            return _joint(protocol, target)
        case _:
            raise AssertionError(f"{variant} is one of RULES and has no case in rule_of")


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
            low, high = rule.target
            return [
                f"prior log alpha ~ N({log_alpha:g}, {sd_alpha:g}), log beta ~ N({log_beta:g}, {sd_beta:g}), "
                f"SDs, independent, alpha the odds at {rule.reference:.4g}: "
                "OncoBayes2's, with the top level as reference",
                f"target interval {low:g} to {high:g}, P(overdose) at most {rule.feasible:g}",
            ]
        case Boin12():
            return [
                f"{_weights_line(rule.utilities)}; response rate wanted {rule.least_response:g}",
                f"highest DLT rate {rule.target:g}",
            ]
        case Joint():
            limit = f"highest acceptable P(DLT) {rule.limit:g}; a level is not treated from "
            limit += f"P(above it) {rule.bound:g}"
            return [_weights_line(rule.utilities), limit, *rule.prior.sentences()]
        case TitePkBoin12():
            return assumed(rule.pkboin12)
        case PkBoin12():
            return [*assumed(rule.boin12), f"mean exposure wanted {rule.wanted:g}"]
        case _:
            return []


def _with_protocol_numbers(rule: ThreePlusThree, protocol: Protocol) -> ThreePlusThree:
    """A coding of 3+3 with the protocol's cohort, MTD rule and cap on patients."""
    planned = protocol.size.planned.value
    stops = protocol.size.more_than_planned.value == "stops"
    return replace(
        rule,
        cohort=protocol.escalation.cohort.decided,
        needed=protocol.mtd.evaluable.decided,
        allowed=protocol.mtd.dlts.decided,
        most=planned[1] if planned and stops else None,
    )


def _boin12(protocol: Protocol, target: float) -> Boin12:
    """BOIN12 with the protocol's levels, cohort, planned patients and utilities."""
    return Boin12(
        len(protocol.levels),
        target,
        utilities=_utilities(protocol),
        cohort=protocol.escalation.cohort.decided,
        most=_most_planned(protocol),
    )


def _weights_line(utilities: Utilities) -> str:
    u = utilities
    return (
        f"utilities: response {u.response_without_dlt:g}, with DLT {u.response_with_dlt:g}, "
        f"neither {u.neither:g}, DLT alone {u.dlt_without_response:g}"
    )


def _joint(protocol: Protocol, limit: float) -> Joint:
    """The joint rule with the protocol's levels, cohort, MTD rule, patients, titration and utilities."""
    return Joint(
        protocol.levels,
        _utilities(protocol),
        limit,
        cohort=protocol.escalation.cohort.decided,
        most=_most_planned(protocol),
        titration=_titration(protocol),
        needed=protocol.mtd.evaluable.decided,
        allowed=protocol.mtd.dlts.decided,
    )


def _most_planned(protocol: Protocol) -> int:
    """The most patients planned; 30 where the protocol does not say."""
    planned = protocol.size.planned.value
    return planned[1] if planned else 30


def _utilities(protocol: Protocol) -> Utilities:
    """The protocol's utilities, or the paper's where it has none. PlanError for any but the four outcomes."""
    if not protocol.utilities:
        return Utilities()
    outcomes = {field.name for field in fields(Utilities)}
    if set(protocol.utilities) != outcomes:
        in_protocol = ", ".join(sorted(protocol.utilities))
        what = f"BOIN12 knows the utilities {', '.join(sorted(outcomes))}, not {in_protocol}"
        raise PlanError(Problem(what, "give these four in [utilities], or none for the published ones"))
    return Utilities(**protocol.utilities)


def _titration(protocol: Protocol) -> Titration | None:
    """The protocol's titration as the rules have it; None without one."""
    titration = protocol.titration
    if titration is None:
        return None
    return Titration(
        titration.levels.decided,
        titration.size.decided,
        titration.triggers_needed.decided,
        after_trigger=titration.after_trigger.value or "fill",
        clean_patient=titration.clean_patient.value or "counted",
    )
