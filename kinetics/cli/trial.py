"""The commands of a running trial: `kinetics next` and `kinetics recommend`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from pandas import DataFrame

import kinetics.checks as checks
import kinetics.inference as inference
import kinetics.pages as pages
from kinetics.cli.console import print_result
from kinetics.cli.options import (
    ArmName,
    Json,
    LevelColumn,
    ProtocolFile,
    RuleName,
    TargetRate,
    Trust,
)
from kinetics.content import code_sha256
from kinetics.decision import (
    AT_EXPOSURES,
    AT_RESPONSES,
    Exposures,
    NextDose,
    Recommendation,
    Target,
    exposures_by_power_model,
    exposures_from_samples,
    levels_of,
    next_dose as ask_rule,
    proportionality_table,
    recommend,
)
from kinetics.errors import PlanError, Problem, did_you_mean
from kinetics.escalation import Branch, Decision
from kinetics.outcomes import one_arm
from kinetics.printing import table_text
from kinetics.protocol import (
    CODINGS,
    Protocol,
    find_protocol,
    protocol_files,
    read_protocol,
    rule_name,
    settled,
)
from kinetics.study import Study, read_study

__all__ = ["next_dose", "recommend_dose"]


# -------------------------------------------------------------------------------------------- the next dose


def next_dose(
    protocol: ProtocolFile,
    study: Annotated[
        str | None, typer.Option(help="A study's name or folder; without it, before anybody was treated.")
    ] = None,
    rule: RuleName = "protocol",
    target: TargetRate = None,
    ahead: Annotated[int, typer.Option(min=0, max=4, help="Steps of the decision tree to print.")] = 0,
    response_within: Annotated[
        float | None,
        typer.Option(
            help="Days in which a response may come, for boin12 and pkboin12; default the protocol's."
        ),
    ] = None,
    exposure: Annotated[
        str, typer.Option(help="For pkboin12: an exposure and the mean wanted, car_copies_auc_28d=1e5.")
    ] = "",
    run: Annotated[
        Path | None, typer.Option(help="A run folder: pkboin12 takes exposures of its fit.")
    ] = None,
    backfill: Annotated[
        bool,
        typer.Option("--backfill", help="Say which lower levels may take patients meanwhile (BF-BOIN)."),
    ] = False,
    arm: ArmName = None,
    level_column: LevelColumn = "dose_level",
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Give the next dose level, or the MTD, with the clause that decides.

    The rule is the protocol's, or the one that --rule names; the patients are those of the study.

    The protocol's rule is that of its [design], or a 3+3. A pending patient counts as far as its last record,
    or `followed_until` of subjects.csv, says; who has left (`off_study_on`, or an event such as death or
    withdrawal) is not evaluable and replaced. Stopping clauses of the protocol are applied and shown. With
    --ahead the decision tree: what the rule will say after every outcome of the next cohorts. Where the
    protocol has arms, every arm has an answer of its own; --arm asks for one.

    Example: `kinetics next nkg2d_phase1_synthetic --study nkg2d_phase1_synthetic --rule tite_boin --ahead 1`
    """
    content = settled(read_protocol(protocol), protocol)
    kind = rule_name(content, rule)
    if run is not None and kind not in AT_EXPOSURES:
        raise PlanError(Problem(f"{kind} looks at no exposures", "leave --run out, or take --rule pkboin12"))
    data = None if study is None else read_study(study)
    answers = {}
    for name in _arms(content, arm):
        answers[name] = ask_rule(
            content,
            data,
            rule=rule,
            target=target,
            ahead=ahead,
            backfill=backfill,
            exposure=_targets([exposure], "--exposure")[0] if exposure else None,
            fit=None if run is None else _fit_of(run, trust=trust),
            response_within=response_within,
            level_column=level_column,
            arm=name,
        )
    between = {
        "days_between_patients": content.escalation.days_between_patients,
        "days_after_first_of_cohort": content.escalation.days_after_first_of_cohort,
    }
    lines = [_arm_title(name) + "\n".join(_next_dose_lines(answer)) for name, answer in answers.items()]
    by_arm = {name: answer.as_dict() | between for name, answer in answers.items()}
    print_result(_one_or_all(by_arm), "\n\n".join(lines), as_json)


def _fit_of(run: Path, *, trust: bool) -> inference.Fit:
    """The fit of a run folder, whose curves are then solved on every core."""
    inference.use_cores()
    inference.use_compile_cache()
    return inference.load_fit(run, trust=trust)


def _arms(protocol: Protocol, arm: str | None) -> tuple[str | None, ...]:
    """The arms to answer for: the one asked for, or all; None alone where the protocol has none."""
    if protocol.arms is None or arm is not None:
        return (arm,)
    return protocol.arms.names


def _arm_title(arm: str | None) -> str:
    """The line above the answer of an arm; "" without arms."""
    return "" if arm is None else f"== {arm} ==\n"


def _one_or_all(answers: Mapping[str | None, dict[str, Any]]) -> dict[str, Any]:
    """The answer alone where there is one; otherwise `arms`, with the answer of each."""
    if len(answers) == 1:
        (answer,) = answers.values()
        return answer
    return {"arms": {str(name): answer for name, answer in answers.items()}}


def _next_dose_lines(answer: NextDose) -> list[str]:
    """The decision with its clause, the patients it counts, deviations, backfill and the decision tree."""
    trial = answer.study or "before anybody was treated"
    label = " (SYNTHETIC)" if answer.synthetic else ""
    decision = answer.decision
    levels = ", ".join(f"{number} = {dose}" for number, dose in answer.level_names.items())
    lines = [
        f"{trial}{label}: {_action(decision, answer)}",
        f"  rule: {_rule(answer)}",
        f"  why: {decision.why}",
        f"  would change it: {decision.would_change}",
        *_beside_lines(answer),
        *(f"  between patients: {line}" for line in answer.stagger.asked),
        f"  levels: {levels}",
        *(f"  protocol: {line}" for line in answer.stated),
        *(f"  assumed: {line}" for line in answer.assumed),
        *(f"  stopping clause: {state}" for state in answer.stopping),
        *(f"  DLT at no level: {dlt}" for dlt in answer.uncounted),
        *(f"  note: {note}" for note in answer.notes),
    ]
    if answer.patients:
        lines += ["", table_text(_patient_table(answer))]
    for step in answer.deviations:
        lines.append(f"deviation: {step.subject} at level {step.level}; the rule said: {step.decision.why}")
    lines += [f"too close: {gap}" for gap in answer.stagger.gaps]
    if answer.stagger.unchecked:
        lines.append(f"between patients: {answer.stagger.unchecked}")
    for level in answer.backfill:
        room = f"{level.room} more" if level.room else "nobody"
        lines.append(f"backfill at {answer.level_names[level.level]}: {room}; {level.why}")
    if answer.ahead:
        lines += ["", "decision tree", *_tree(answer.ahead, answer, "")]
    return lines


def _rule(answer: NextDose) -> str:
    """The rule that was asked; of the protocol's own also its name, where it is no 3+3."""
    if answer.rule == "protocol" and answer.kind not in CODINGS:
        return f"protocol: {answer.kind}"
    return answer.rule


def _beside_lines(answer: NextDose) -> list[str]:
    """What the rule says but for a stopping clause, and the protocol's rule, where another was asked."""
    lines = []
    if answer.by_the_rule is not None:
        then = NextDose(**{**vars(answer), "decision": answer.by_the_rule})
        lines.append(f"  but for the clause: {_action(then.decision, then)}; {then.decision.why}")
    if answer.beside is not None:
        own = {"decision": answer.beside, "rule": "protocol", "kind": answer.beside_kind}
        then = NextDose(**{**vars(answer), **own})
        lines.append(f"  the protocol's rule: {_action(then.decision, then)}; {then.decision.why}")
    return lines


def _patient_table(answer: NextDose) -> DataFrame:
    """How each patient counts, the reason in the last column."""
    table = DataFrame(answer.as_dict()["patients"]).drop(columns=["other_dose", "assigned"])
    if not any(p.outside for p in answer.patients):
        table = table.drop(columns="outside")
    table["followed"] = [f"{p.followed:.2f}" if p.status == "pending" else "" for p in answer.patients]
    if answer.responded is not None:
        words = {True: "yes", False: "no", None: "not known yet"}
        table["responded"] = [words[answer.responded[p.subject]] for p in answer.patients]
    if "why" in table:
        table = table[[*table.columns.drop("why"), "why"]]
    return DataFrame(table)


def _action(decision: Decision, answer: NextDose) -> str:
    """What to do: `MTD: DOSE`, `wait`, `treat 3 at DOSE` or `stop enrolment`."""
    if decision.action == "stop" and decision.mtd is None:
        return "stop enrolment"
    if decision.action == "stop":
        best = "OBD" if answer.kind in AT_RESPONSES else "MTD"
        return f"{best}: {answer.dose}"
    if decision.action == "wait":
        return "wait"
    return f"treat {decision.size} at {answer.dose}"


def _tree(branches: Sequence[Branch], answer: NextDose, indent: str) -> list[str]:
    """For each branch a line with the action and a line with the clause, later branches indented below."""
    lines = []
    for branch in branches:
        then = NextDose(**{**vars(answer), "decision": branch.decision})
        lines.append(f"{indent}- {branch.said}: {_action(branch.decision, then)}")
        lines.append(f"{indent}    {branch.decision.why}")
        lines += _tree(branch.later, answer, indent + "  ")
    return lines


# --------------------------------------------------------------------------------------- the recommended dose


def recommend_dose(
    protocol: ProtocolFile,
    study: Annotated[str, typer.Option(help="A study's name or folder: subjects, doses, events, responses.")],
    run: Annotated[
        Path | None, typer.Option(help="A run folder, runs/NAME, for exposures; default the samples'.")
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(help="An exposure wanted, such as car_copies_cmax=1e4; may be repeated."),
    ] = None,
    strata: Annotated[
        str, typer.Option(help="Columns of subjects.csv to split responses by, with commas.")
    ] = "",
    rule: Annotated[
        str, typer.Option(help="The rule that runs the trial: protocol (its own) or joint.")
    ] = "protocol",
    response_within: Annotated[
        float | None,
        typer.Option(help="Days in which a response may come; default the protocol's."),
    ] = None,
    draws: Annotated[int, typer.Option(min=20, help="Posterior draws of the exposures.")] = 200,
    arm: ArmName = None,
    level_column: LevelColumn = "dose_level",
    out: Annotated[Path | None, typer.Option(help="Write the page here, as .html.")] = None,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Recommend a dose from DLTs and responses, with the reasons.

    The protocol's rule gives the MTD, the joint model of DLT and response the best level up to it.

    Where the protocol has arms, there is an answer for each.

    Example: `kinetics recommend nkg2d_phase1_synthetic --study nkg2d_phase1_synthetic --out decision.html`
    """
    whole = settled(read_protocol(protocol), protocol)
    data = read_study(study)
    fit = None if run is None else _fit_of(run, trust=trust)
    targets = _targets(target or [], "--target")
    columns = [column for column in strata.split(",") if column]
    _require_columns(data, columns)
    names = _arms(whole, arm)
    if out is not None and len(names) > 1:
        remedy = f"ask for one arm: --arm {names[0]}"
        raise PlanError(Problem("--out writes the page of one decision, and every arm has its own", remedy))
    answers = {}
    texts = []
    for name in names:
        content, members = one_arm(whole, data, name)
        assert members is not None
        evidence = _evidence(fit, members, content, draws, level_column)
        _require_exposures(targets, evidence["at_levels"])
        recommendation = recommend(
            members,
            content,
            rule=rule,  # type: ignore[arg-type]
            response_within=response_within,
            **evidence,
            targets=targets,
            strata=columns,
            level_column=level_column,
            audit=_audit(protocol, members, fit),
        )
        levels = [content.level_name(i) for i in range(1, len(content.levels) + 1)]
        page = None
        if out is not None:
            page = pages.recommendation_page(
                recommendation, levels, to=out, study=members, level_column=level_column
            )
        answers[name] = recommendation.as_dict() | {"page": None if page is None else str(page)}
        lines = _recommendation_lines(recommendation, levels)
        if page is not None:
            lines.append(f"\nwritten: {page}")
        texts.append(_arm_title(name) + "\n".join(lines))
    print_result(_one_or_all(answers), "\n\n".join(texts), as_json)


def _targets(texts: list[str], option: str) -> list[Target]:
    """`NAME=NUMBER` as targets; PlanError for every text that is none."""
    targets = []
    problems = []
    for text in texts:
        name, _, value = text.partition("=")
        try:
            targets.append(Target(name, float(value)))
        except ValueError:
            problems.append(Problem(f"{option} {text!r}", "write NAME=NUMBER, such as car_copies_cmax=1e4"))
    if problems:
        raise PlanError(problems)
    return targets


def _require_columns(study: Study, columns: list[str]) -> None:
    """PlanError for every column that subjects.csv has not."""
    existing = [str(column) for column in study.subjects.columns]
    missing = [column for column in columns if column not in existing]
    if missing:
        raise PlanError(
            Problem(f"no column {column!r}", did_you_mean(column, existing), file="subjects.csv")
            for column in missing
        )


def _require_exposures(targets: list[Target], at_levels: list[Exposures]) -> None:
    """PlanError for every target whose exposure is not there."""
    existing = list(at_levels[0].values) if at_levels else []
    missing = [target.exposure for target in targets if target.exposure not in existing]
    if missing:
        raise PlanError(Problem(f"no exposure {name!r}", did_you_mean(name, existing)) for name in missing)


def _evidence(
    fit: inference.Fit | None, study: Study, protocol: Protocol, draws: int, level_column: str
) -> dict[str, Any]:
    """The exposures of the fit, or of the samples without one, as arguments of `recommend`."""
    if fit is None and not (study.doses["product"] == protocol.level_product).any():
        return {"at_levels": []}  # nobody was treated: there is no exposure
    if fit is None:
        as_dosed = exposures_from_samples(study, protocol)
        doses = levels_of(study, level_column, protocol)
        return {
            "as_dosed": as_dosed,
            "at_levels": exposures_by_power_model(as_dosed, doses, protocol),
            "proportionality": proportionality_table(as_dosed, doses),
        }
    if fit.study.sha256 != study.sha256:
        what = f"the run {fit.name} was fitted to {fit.study.name} ({fit.study.sha256[:8]}), "
        what += f"the study is {study.name} ({study.sha256[:8]})"
        raise PlanError(Problem(what, "give the study that was fitted, or fit this one"))
    from kinetics.decision import (  # with jax: only where there is a fit
        exposures_as_dosed,
        exposures_at_levels,
    )

    return {
        "as_dosed": exposures_as_dosed(fit, protocol, draws=draws),
        "at_levels": exposures_at_levels(fit, protocol, draws=draws),
    }


def _audit(protocol: str, study: Study, fit: inference.Fit | None) -> dict[str, Any]:
    """The files, versions and hashes that the decision was made from."""
    files = protocol_files(find_protocol(protocol))
    facts: dict[str, Any] = {
        "protocol_file": ", extending ".join(map(str, files)),
        "protocol_sha256": hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest(),
        "study_sha256": study.sha256,
        "cellkinetics": version("cellkinetics"),
        "code_sha256": code_sha256(),
    }
    if fit is None:
        facts["exposures"] = "NCA of the samples; new patients by the power model of dose"
    else:
        facts |= {
            "exposures": "posterior of the fit; new patients simulated from it",
            "fit": fit.name,
            "fit_checks": "passed" if checks.check(fit).ok else "failed",
            "fit_model_sha256": fit.model.sha256,
            "fit_seed": fit.bound.plan.seed,
        }
    return facts


def _recommendation_lines(recommendation: Recommendation, names: list[str]) -> list[str]:
    """The decision in sentences, then every table that has rows."""
    label = " (SYNTHETIC)" if recommendation.synthetic else ""
    lines = [
        f"{recommendation.study}{label}: {recommendation.state}",
        *(f"  {sentence}" for sentence in recommendation.sentences),
        "",
        "every level",
        table_text(recommendation.levels_in_words(names)),
    ]
    for title, table in (
        (
            "dose proportionality: exposure goes with dose to the power b (90 %)",
            recommendation.proportionality,
        ),
        ("exposure-response, odds ratio for twice the exposure", recommendation.slopes),
        ("other weights", recommendation.sensitivity),
        ("three more patients at the level", recommendation.next_in_words()),
        ("by stratum", recommendation.strata),
    ):
        if len(table):
            lines += ["", title, table_text(table)]
    if recommendation.audit.get("fit_checks") == "failed":
        lines += [
            "",
            "The fit behind the exposures did not pass its checks (kinetics check): "
            "do not use what leans on it.",
        ]
    return lines
