"""The dose rule of a protocol, or another rule on its levels, and what the rule assumes beside the
protocol.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from itertools import pairwise
from typing import Any

from kinetics.arguments import require
from kinetics.errors import PlanError, Problem, did_you_mean
from kinetics.escalation import (
    EXPOSURE_CLAUSE,
    HALF_WIDTH,
    TOXIC,
    Blrm,
    Boin,
    Boin12,
    Crm,
    CrmPackThreePlusThree,
    ExposureEvidence,
    I3Plus3,
    Joint,
    Keyboard,
    Mtpi2,
    PkBoin12,
    Rule,
    ThreePlusThree,
    TiteBoin,
    TitePkBoin12,
    Titration,
    Utilities,
    indifference_skeleton,
    korn_1994,
    lambdas,
    simon_1997,
    storer_1989,
)
from kinetics.protocol.design_constants import Design
from kinetics.protocol.protocol import settled
from kinetics.protocol.tables import Protocol

__all__ = ["MODERN", "RULES", "assumed", "rule_name", "rule_of", "stated"]

SIMON = ("simon_1", "simon_2", "simon_3", "simon_4")
CODINGS = ("three_plus_three", "korn", "storer", "crmpack", *SIMON)  # of 3+3
# Rules that assume more than a protocol of a 3+3 says (see `assumed`).
BY_RATE = ("boin", "tite_boin", "i3plus3", "mtpi2", "keyboard", "crm")  # the target is the DLT rate wanted
BOIN12 = ("boin12", "pkboin12", "tite_pkboin12")  # the target is the highest DLT rate acceptable
MODERN = (*BY_RATE, "blrm", *BOIN12, "joint")
RULES = ("protocol", *CODINGS, *MODERN)
# rules of one kind, which share the constants of [design]
FAMILIES = (("boin", "tite_boin"), ("i3plus3", "mtpi2", "keyboard"), BOIN12)
TARGET = 0.3  # of `BY_RATE` where nobody gives one: the usual choice
LIMIT = 0.35  # of `BOIN12`: phi_T, Lin 2020
NEEDED = 6  # evaluable patients at an MTD, and the DLTs allowed among them: the usual numbers of a 3+3
ALLOWED = 1
PRIOR = ((0.0, 0.0), (2.0, 1.0))  # of (log alpha, log beta), mean and SD: OncoBayes2's single-agent example


def rule_name(protocol: Protocol, name: str = "protocol") -> str:
    """The name of a rule, which for "protocol" is that of the protocol's own.

    "three_plus_three" is the coding that [escalation] describes; `variant` may make it another. PlanError for
    a name that is not one of `RULES`.

    >>> from kinetics.protocol import rule_name
    >>> rule_name(kn.read_protocol("nkg2d_phase1_synthetic"))
    'three_plus_three'
    """
    require(protocol=(protocol, Protocol))
    if name not in RULES:
        raise PlanError(Problem(f"unknown rule {name!r}", did_you_mean(name, RULES)))
    if name == "protocol":
        name = protocol.design.rule
    variant = protocol.escalation.variant.value
    if name == "three_plus_three" and variant not in (None, "protocol"):
        return variant
    return name


def rule_of(
    protocol: Protocol,
    name: str = "protocol",
    *,
    target: float | None = None,
    exposures: ExposureEvidence | None = None,
    wanted: float | None = None,
) -> Rule:
    """The dose rule of a settled protocol, or another of `RULES` on its levels.

    3+3, BOIN, i3+3, mTPI-2, Keyboard and the joint rule keep the protocol's titration; Simon's designs have
    their own, the others none. `name` is one of `RULES`. The constants are those of [design], for its rule
    and those of its kind; the levels, the level to start at, the cohort and the patients are the protocol's
    for every rule. `target` is the DLT rate of BOIN, TITE-BOIN, i3+3, mTPI-2, Keyboard and CRM (0.3 if nobody
    gives it), or of BOIN12 and PKBOIN-12 (0.35). PKBOIN-12 also needs what is known of the `exposures` of
    each level, and the mean exposure `wanted`. `assumed` lists what else the rule stands on that is not the
    protocol's. PlanError where a point is open, for another name, where something that the rule needs is
    missing, for a target of a rule that has none, or one that is not the protocol's for its own rule.

    >>> protocol = kn.read_protocol("nkg2d_phase1_synthetic")
    >>> kn.protocol.rule_of(protocol)
    ThreePlusThree(levels=4, titration=Titration(levels=1, size=1, triggers=1, ...), ...)
    >>> kn.protocol.rule_of(protocol, "boin", target=0.25).target
    0.25
    """
    require(protocol=(protocol, Protocol))
    settled(protocol)
    if protocol.arms is not None:
        what = "every arm of the protocol escalates for itself"
        raise PlanError(Problem(what, f"ask for one: {', '.join(protocol.arms.names)} (--arm)"))
    kind = rule_name(protocol, name)
    constants = _constants(protocol, kind)
    _check_target(protocol, name, kind, target, constants.get("target"))
    if target is not None:
        constants["target"] = target
    match kind:
        case (
            "three_plus_three" | "korn" | "storer" | "crmpack" | "simon_1" | "simon_2" | "simon_3" | "simon_4"
        ):
            return _three_plus_three(protocol, kind)
        case "boin":
            return _boin(protocol, constants)
        case "tite_boin":
            boin = _boin(protocol, constants)
            return TiteBoin(boin, **_taken(constants, most_pending="most_pending"))
        case "i3plus3":
            return I3Plus3(**_by_interval(protocol, constants))
        case "mtpi2":
            return Mtpi2(**_by_interval(protocol, constants))
        case "keyboard":
            return Keyboard(**_by_interval(protocol, constants))
        case "crm":
            return _crm(protocol, constants)
        case "blrm":
            _need_rising_doses(protocol, kind)
            return _blrm(protocol, constants)
        case "boin12":
            return _boin12(protocol, constants)
        case "pkboin12" | "tite_pkboin12":
            wanted = constants.get("wanted_exposure") if wanted is None else wanted
            if exposures is None or wanted is None:
                remedy = "say which mean exposure is wanted, and what is known of each level's"
                raise PlanError(Problem(f"{kind} looks at exposures", remedy))
            waits = PkBoin12(_boin12(protocol, constants), exposures, wanted)
            if kind == "pkboin12":
                return waits
            # the rule says which share must be known, a protocol which share may be pending
            known = {"known": 1 - constants["most_pending"]} if "most_pending" in constants else {}
            return TitePkBoin12(waits, **known)
        case "joint":
            _need_rising_doses(protocol, kind)
            return _joint(protocol, constants)
        case _:
            raise AssertionError(f"{kind} is one of RULES and has no case in rule_of")


def _need_rising_doses(protocol: Protocol, rule: str) -> None:
    """PlanError where a rule looks at doses as numbers, and the totals of the regimens do not rise."""
    levels = protocol.levels
    if any(lower >= upper for lower, upper in pairwise(levels)):
        totals = ", ".join(f"{level:.4g}" for level in levels)
        what = f"{rule} looks at doses as numbers, and the totals of the regimens do not rise: {totals}"
        raise PlanError(Problem(what, "take a rule that looks at levels alone, such as boin"))


def stated(protocol: Protocol, name: str = "protocol") -> list[str]:
    """What the protocol itself says of the rule `name`, a sentence each: its constants and where it starts.

    PlanError for a name that is not one of `RULES`, or utilities that are not those of the four outcomes.

    >>> from kinetics.protocol import stated
    >>> stated(kn.read_protocol("nkg2d_phase1_synthetic"))
    []
    """
    require(protocol=(protocol, Protocol))
    design = protocol.design
    sentences = []
    constants = _constants(protocol, rule_name(protocol, name))
    if constants:
        sentences.append(", ".join(f"{key} {_shown(value)}" for key, value in constants.items()))
    if protocol.utilities and rule_name(protocol, name) in (*BOIN12, "joint"):
        sentences.append(_weights_line(_utilities(protocol)))
    if design.start_level > 1:
        start = f"the trial starts at level {design.start_level}, {protocol.level_name(design.start_level)}"
        below = "levels below it are reached by de-escalation"
        if design.by_feasibility:
            below = "levels below it are for patients whose product falls short: they count there, "
            below += "and the rule sends nobody there"
        sentences.append(f"{start}; {below}")
    return sentences


def assumed(rule: Rule, protocol: Protocol | None = None) -> list[str]:
    """What a rule of `rule_of` stands on that no protocol says, a sentence each.

    With a `protocol`, what its [design] says of the rule is left out.

    >>> from kinetics.protocol import assumed
    >>> protocol = kn.read_protocol("nkg2d_phase1_synthetic")
    >>> assumed(kn.protocol.rule_of(protocol)), assumed(kn.protocol.rule_of(protocol, "boin"))[0]
    ([], 'target DLT rate 0.3')
    """
    if protocol is None:
        return [sentence for _, sentence in _assumptions(rule)]
    said = {*_constants(protocol, _kind_of(rule))}
    if protocol.utilities:
        said.add("utilities")
    sentences = [sentence for key, sentence in _assumptions(rule) if key not in said]
    has_numbers = protocol.mtd.evaluable.value is not None and protocol.mtd.dlts.value is not None
    if isinstance(rule, ThreePlusThree | Joint) and not has_numbers:
        more = f"more than {rule.allowed} in {rule.needed} with a DLT close a level"
        if isinstance(rule, ThreePlusThree):
            more = f"an MTD has {rule.needed} evaluable or more, at most {rule.allowed} of them with a DLT"
        sentences.append(f"{more}: the usual numbers, [mtd] has none")
    if protocol.design.rule != "three_plus_three" and not _gives_cohort(protocol):
        sentences.append(f"cohorts of {protocol.cohort_size}")
    return sentences


Assumption = tuple[str, str]


def _assumptions(rule: Rule) -> Iterator[Assumption]:
    """The sentences of a rule, each with the key of [design] that makes it the protocol's."""
    match rule:
        case Boin():
            yield "target", f"target DLT rate {rule.target:g}"
            yield from _boin_assumptions(rule)
        case TiteBoin():
            yield "target", f"target DLT rate {rule.boin.target:g}"
            yield "most_pending", f"accrual is suspended above {rule.most_pending:.0%} pending (Yuan 2018)"
            yield from _boin_assumptions(rule.boin)
        case I3Plus3() | Mtpi2() | Keyboard():
            low, high = rule.around
            yield "target", f"target DLT rate {rule.target:g}"
            yield "interval", f"rates as good as the target {low:g} to {high:g}, {HALF_WIDTH:g} either way"
            yield "cutoff", _elimination(rule.target, rule.cutoff)
        case Crm():
            skeleton = ", ".join(f"{p:.3f}" for p in rule.skeleton)
            half = "indifference intervals of half width 0.05, the target at the middle level"
            yield "target", f"target DLT rate {rule.target:g}"
            yield "skeleton", f"skeleton {skeleton}: {half}, unless [design] says otherwise"
            yield "model", f"the curve is {rule.model}"
            if rule.model == "logistic":
                yield "intercept", f"its intercept is {rule.intercept:g}, that of dfcrm"
            yield "prior_variance", f"beta ~ N(0, {rule.variance:g}), the variance of dfcrm"
            yield "cutoff", _crm_stopping(rule)
        case Blrm():
            mean_alpha, mean_beta = rule.mean
            sd_alpha, sd_beta = rule.sd
            low, high = rule.target
            means = f"prior means of log alpha {mean_alpha:g} and log beta {mean_beta:g}"
            yield "prior_mean", f"{means}: OncoBayes2's example"
            yield "prior_sd", f"their prior SDs {sd_alpha:g} and {sd_beta:g}: OncoBayes2's example"
            yield "prior_correlation", f"their prior correlation {rule.correlation:g}"
            yield "reference_dose", f"alpha is the odds at {rule.reference:.4g}, the top level"
            yield "interval", f"target interval {low:g} to {high:g}: OncoBayes2's"
            yield "overdose_at_most", f"P(overdose) at most {rule.feasible:g}: EWOC, Babb 1998"
            yield "choose", f"of the admissible levels the one that is {_chosen_by(rule)}"
        case Boin12():
            yield "utilities", _weights_line(rule.utilities)
            yield "target", f"highest DLT rate {rule.target:g}"
            yield "least_response", f"response rate wanted {rule.least_response:g}"
            yield "n_star", f"N* {rule.enough}: Lin 2020"
            yield from _bounds_assumptions(rule)
            toxic = f"a level is too toxic from P(DLT rate > {rule.target:g}) {rule.toxic:g}"
            yield "cutoff", f"{toxic}: Lin 2020"
            futile = f"a level is futile from P(response rate < {rule.least_response:g}) {rule.futile:g}"
            yield "futile_cutoff", f"{futile}: Lin 2020"
            if rule.explored is not None:
                yield "", f"with more than {rule.explored} at a level an untried one above is tried: Lin 2020"
        case Joint():
            yield "utilities", _weights_line(rule.utilities)
            yield "target", f"highest acceptable P(DLT) {rule.limit:g}"
            yield "bound", f"a level is not treated from P(above it) {rule.bound:g}"
            yield "", f"a level of which little is known gets {rule.explore:g} SD of utility more at first"
            futile = f"P(P(response) > {rule.response:g}) below {rule.futile:g} at every level"
            yield "", f"futile from {rule.least} known responses on with {futile}"
            yield "", f"certain where a level with {rule.needed} is best with {rule.certain:g}"
            for sentence in rule.prior.sentences():
                yield "", sentence
        case TitePkBoin12():
            yield from _assumptions(rule.pkboin12)
            waits = f"accrual waits until more than {rule.known:.0%} of a level are known: the authors' code"
            yield "most_pending", waits
        case PkBoin12():
            yield from _assumptions(rule.boin12)
            yield "wanted_exposure", f"mean exposure wanted {rule.wanted:g}"
            yield "", EXPOSURE_CLAUSE
        case _:
            return


def _boin_assumptions(rule: Boin) -> Iterator[Assumption]:
    """The bounds and the elimination of BOIN."""
    yield from _bounds_assumptions(rule)
    yield "cutoff", _elimination(rule.target, rule.cutoff)


def _bounds_assumptions(rule: Boin | Boin12) -> Iterator[Assumption]:
    """The bounds, where they are the paper's; those of a protocol are among its constants."""
    if rule.bounds is None:
        yield "", _lambda_line(rule)


def _chosen_by(rule: Blrm) -> str:
    return "the highest" if rule.choose == "highest" else "most probably in the target interval"


def _lambda_line(rule: Boin | Boin12) -> str:
    low, high = rule.lambdas
    by = "phi1 0.6 and phi2 1.4 times the target, Liu & Yuan 2015"
    return f"lambda_e {low:.4f} and lambda_d {high:.4f}: {by}"


def _elimination(target: float, cutoff: float) -> str:
    return f"a level is eliminated above P(DLT rate > {target:g}) {cutoff:g}, from 3 patients on"


def _crm_stopping(rule: Crm) -> str:
    if rule.toxic is None or rule.toxic >= 1:
        return "no stopping rule for toxicity: the trial goes on however many DLTs there are"
    lowest = f"P(DLT rate of level {rule.lowest} > {rule.target:g})"
    return (
        f"the trial stops above {lowest} {rule.toxic:g} (the cut-off of BOIN's elimination; dfcrm has none)"
    )


def _shown(value: Any) -> str:
    """A constant as a protocol writes it."""
    if isinstance(value, tuple):
        return " ".join(f"{x:g}" for x in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


# ------------------------------------------------------------------------------- constants of the protocol


def _constants(protocol: Protocol, kind: str) -> dict[str, Any]:
    """The constants of [design] that hold for a rule of this kind: its own, or those of a rule of its family.

    Rules that look for a DLT rate share the target.
    """
    design = protocol.design
    if kind not in MODERN:
        return {}
    constants = design.constants()
    shared = {key: value for key, value in constants.items() if key in Design.knows(kind)}
    of_a_family = any({design.rule, kind} <= set(family) for family in FAMILIES)
    if kind == design.rule or of_a_family:
        return shared
    common = ["cohort", "max_patients"]
    if kind in BY_RATE and design.rule in BY_RATE:
        common.append("target")
    return {key: shared[key] for key in common if key in shared}


def _check_target(
    protocol: Protocol, name: str, kind: str, target: float | None, in_protocol: float | None
) -> None:
    """PlanError for a target that the rule does not have, or that is not its protocol's."""
    if target is None:
        return
    if kind in CODINGS or kind == "blrm":
        what = f"{kind} has no target DLT rate, and {target:g} is given"
        raise PlanError(Problem(what, "leave the target out, or ask a rule that has one, such as boin"))
    if name == "protocol" and in_protocol is not None and target != in_protocol:
        what = f"the target {target:g} is given, and the protocol's is {in_protocol:g}"
        raise PlanError(Problem(what, f"leave it out, or ask by the rule's name: {kind}"))


def _kind_of(rule: Rule) -> str:
    """The name in [design] of a rule of `rule_of`."""
    match rule:
        case Boin():
            return "boin"
        case TiteBoin():
            return "tite_boin"
        case I3Plus3():
            return "i3plus3"
        case Mtpi2():
            return "mtpi2"
        case Keyboard():
            return "keyboard"
        case Crm():
            return "crm"
        case Blrm():
            return "blrm"
        case Boin12():
            return "boin12"
        case PkBoin12():
            return "pkboin12"
        case TitePkBoin12():
            return "tite_pkboin12"
        case Joint():
            return "joint"
        case _:
            return "three_plus_three"


def _taken(constants: dict[str, Any], **keys: str) -> dict[str, Any]:
    """Constants under the names of a rule's fields; `keys` are field -> key of [design]."""
    return {field: constants[key] for field, key in keys.items() if key in constants}


def _gives_cohort(protocol: Protocol) -> bool:
    """Whether the protocol says how many patients a cohort has."""
    return (protocol.design.cohort.value or protocol.escalation.cohort.value) is not None


def _needed(protocol: Protocol) -> int:
    """The fewest evaluable patients at an MTD; the usual 6 where the rule is no 3+3 and nobody says."""
    return NEEDED if protocol.mtd.evaluable.value is None else protocol.mtd.evaluable.value


def _allowed(protocol: Protocol) -> int:
    """The most of them with a DLT; the usual 1 where the rule is no 3+3 and nobody says."""
    return ALLOWED if protocol.mtd.dlts.value is None else protocol.mtd.dlts.value


def _lowest(protocol: Protocol) -> int:
    """The lowest level to which a rule may send anybody."""
    return protocol.design.start_level if protocol.design.by_feasibility else 1


def _of_every_rule(protocol: Protocol) -> dict[str, Any]:
    """The fields that every cohort rule has: cohort, patients, where it starts and how far down it goes."""
    return {
        "cohort": protocol.cohort_size,
        "most": _most_planned(protocol),
        "start": protocol.design.start_level,
        "lowest": _lowest(protocol),
    }


# ------------------------------------------------------------------------------------ the rules, one by one


def _three_plus_three(protocol: Protocol, kind: str) -> Rule:
    """A coding of 3+3 with the protocol's cohort, MTD rule, start and cap on patients."""
    levels = len(protocol.levels)
    cohort = protocol.cohort_size
    start = protocol.design.start_level
    if kind == "crmpack":
        return CrmPackThreePlusThree(levels, cohort, start, _lowest(protocol))
    planned = protocol.size.planned.value
    stops = protocol.size.more_than_planned.value == "stops"
    needed = _needed(protocol)
    if kind == "three_plus_three":
        rule = ThreePlusThree(levels, _titration(protocol), fill_top=bool(protocol.mtd.fill_top_level.value))
    elif kind == "korn":
        rule = korn_1994(levels, _titration(protocol))
    elif kind == "storer":
        rule = storer_1989(levels, _titration(protocol))
        # the level recommended may have one cohort, but a level with a DLT has two before it is left
        needed = max(needed, 2 * cohort)
    else:
        rule = simon_1997(levels, int(kind[-1]))  # type: ignore[arg-type]
        if rule.titration is not None:
            rule = replace(rule, titration=replace(rule.titration, start=start))
    return replace(
        rule,
        cohort=cohort,
        needed=needed,
        allowed=_allowed(protocol),
        most=planned[1] if planned and stops else None,
        start=start,
        lowest=_lowest(protocol),
    )


def _boin(protocol: Protocol, constants: dict[str, Any]) -> Boin:
    target = constants.get("target", TARGET)
    return Boin(
        len(protocol.levels),
        target,
        titration=_titration(protocol),
        bounds=_bounds(constants, target),
        **_of_every_rule(protocol),
        **_taken(constants, most_at_a_level="max_at_level", cutoff="cutoff", extra_safe="extra_safe"),
    )


def _bounds(constants: dict[str, Any], target: float) -> tuple[float, float] | None:
    """lambda_e and lambda_d, where the protocol gives them or the rates that they follow from."""
    if "lambda_e" in constants:
        return constants["lambda_e"], constants["lambda_d"]
    if "phi1" in constants or "phi2" in constants:
        return lambdas(target, constants.get("phi1"), constants.get("phi2"))
    return None


def _by_interval(protocol: Protocol, constants: dict[str, Any]) -> dict[str, Any]:
    """The fields of i3+3, mTPI-2 and Keyboard."""
    fields_of_it = {
        "levels": len(protocol.levels),
        "target": constants.get("target", TARGET),
        "titration": _titration(protocol),
    }
    fields_of_it |= _of_every_rule(protocol)
    return fields_of_it | _taken(
        constants, interval="interval", most_at_a_level="max_at_level", cutoff="cutoff"
    )


def _crm(protocol: Protocol, constants: dict[str, Any]) -> Crm:
    target = constants.get("target", TARGET)
    skeleton = constants.get("skeleton")
    if skeleton is None:
        shape = _taken(constants, half_width="half_width", at="skeleton_level")
        skeleton = indifference_skeleton(target, len(protocol.levels), **shape)
    return Crm(
        skeleton,
        target,
        toxic=constants.get("cutoff", TOXIC),
        **_of_every_rule(protocol),
        **_taken(
            constants,
            model="model",
            variance="prior_variance",
            intercept="intercept",
            most_at_a_level="max_at_level",
        ),
    )


def _blrm(protocol: Protocol, constants: dict[str, Any]) -> Blrm:
    mean, sd = PRIOR
    return Blrm(
        protocol.levels,
        constants.get("reference_dose", protocol.levels[-1]),
        constants.get("prior_mean", mean),
        constants.get("prior_sd", sd),
        **_of_every_rule(protocol),
        **_taken(
            constants,
            correlation="prior_correlation",
            target="interval",
            feasible="overdose_at_most",
            choose="choose",
            most_at_a_level="max_at_level",
        ),
    )


def _boin12(protocol: Protocol, constants: dict[str, Any]) -> Boin12:
    """BOIN12 with the protocol's levels, cohort, planned patients and utilities."""
    target = constants.get("target", LIMIT)
    return Boin12(
        len(protocol.levels),
        target,
        utilities=_utilities(protocol),
        bounds=_bounds(constants, target),
        **_of_every_rule(protocol),
        **_taken(
            constants,
            least_response="least_response",
            toxic="cutoff",
            futile="futile_cutoff",
            enough="n_star",
            most_at_a_level="max_at_level",
        ),
    )


def _weights_line(utilities: Utilities) -> str:
    u = utilities
    return (
        f"utilities: response {u.response_without_dlt:g}, with DLT {u.response_with_dlt:g}, "
        f"neither {u.neither:g}, DLT alone {u.dlt_without_response:g}"
    )


def _joint(protocol: Protocol, constants: dict[str, Any]) -> Joint:
    """The joint rule with the protocol's levels, cohort, MTD rule, patients, titration and utilities."""
    return Joint(
        protocol.levels,
        _utilities(protocol),
        constants.get("target", protocol.overdose_above),
        titration=_titration(protocol),
        needed=_needed(protocol),
        allowed=_allowed(protocol),
        **_of_every_rule(protocol),
        **_taken(constants, bound="bound"),
    )


def _most_planned(protocol: Protocol) -> int:
    """The patients that end the trial: those of [design], or the most planned; 30 where nothing is said."""
    planned = protocol.size.planned.value
    return protocol.design.max_patients.value or (planned[1] if planned else 30)


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
        start=protocol.design.start_level,
    )
