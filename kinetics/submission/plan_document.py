"""A model analysis plan as one HTML page, with its lock and its amendments."""

from __future__ import annotations

from pathlib import Path

from kinetics.pages import Section, Table, write_page
from kinetics.submission.analysis_plan import AnalysisPlan, fit_plan_of, read_analysis_plan
from kinetics.submission.plan_lock import PlanLock, lock_file, read_lock

__all__ = [
    "BASIS",
    "NOT_STATED",
    "assessment_table",
    "criterion_lines",
    "plan_page",
    "table_of",
    "versions_table",
]

NOT_STATED = "the plan does not state it"
BASIS = (
    "The terms of the table are those of ICH M15 as a third party lists them (jinko-skills, "
    "references/terms.md and map.md); the guideline was not read at source, and no conformance is claimed."
)


def plan_page(map_file: str | Path, to: str | Path) -> Path:
    """Write the page of a plan to the file `to`, whole or not at all; return its path.

    A plan that is not locked is shown as a draft. PlanError as of `read_analysis_plan` and `read_lock`.

    >>> try:
    ...     kn.submission.plan_page("nothing/map.toml", "map.html")
    ... except kn.errors.PlanError as error:
    ...     print(error.problems[0].what)
    no such file
    """
    path = Path(map_file)
    plan = read_analysis_plan(path)
    lock = read_lock(path) if lock_file(path).exists() else None
    return write_page(
        "submission.html",
        to,
        synthetic=False,
        cautions=[] if lock else ["This plan is a draft: it is not locked, and it can still change."],
        sections=[
            Section("m15", "Assessment", [BASIS], tables=[assessment_table(plan)]),
            _models_section(path, plan),
            _criteria_section(plan),
            Section("rules", "Decision rules", list(plan.decision_rules)),
            _versions_section(lock),
        ],
        over="Model analysis plan",
        heading=plan.title,
        lead=plan.question_of_interest,
        verdict=None,
        foot="" if lock is None else f"Version {lock.latest.number}, {lock.latest.sha256[:12]}.",
    )


def table_of(caption: str, heads: list[str], rows: list[list[str]]) -> Table:
    """A table of texts; an empty one is an em dash."""
    table = Table(caption, heads, [False] * len(heads))
    table.rows = [[table.cell(text or None) for text in row] for row in rows]
    return table


def assessment_table(plan: AnalysisPlan) -> Table:
    """The assessment of a plan: each element, its rating where it has one, and the reason."""
    influence = plan.model_influence
    consequence = plan.consequence_of_wrong_decision
    rows = [
        ["Question of interest", "", plan.question_of_interest],
        ["Context of use", "", plan.context_of_use],
        ["Model influence", influence.rating, influence.reason],
        ["Consequence of a wrong decision", consequence.rating, consequence.reason],
        [
            "Model risk",
            plan.risk,
            f"{influence.rating} influence, {consequence.rating} consequence, by the matrix",
        ],
        ["Model impact", plan.model_impact.rating, plan.model_impact.reason],
        ["Technical criteria", "", "; ".join(criterion_lines(plan))],
        ["Appropriateness", "", plan.appropriateness or NOT_STATED],
    ]
    return table_of("Assessment", ["Element", "Rating", "What the plan says"], rows)


def criterion_lines(plan: AnalysisPlan) -> list[str]:
    """The technical criteria of a plan, a line each."""
    criteria = plan.technical_criteria
    lines = [f"check: {name}" for name in criteria.checks]
    if criteria.calibration is not None:
        lines.append(f"calibration: uniform ranks in at least {criteria.calibration.replicates} replicates")
    if criteria.held_out is not None:
        most = criteria.held_out.unreliable_at_most
        lines.append(f"prediction of a left-out {criteria.held_out.by}: at most {most} unreliable")
    return lines


def _models_section(path: Path, plan: AnalysisPlan) -> Section:
    """The fits that the plan foresees, and what it says of data, covariates and estimation."""
    rows = []
    for model in plan.models:
        fit_plan = fit_plan_of(path, model)
        sampler = fit_plan.sampler
        estimation = fit_plan.method
        if fit_plan.method == "nuts":
            estimation = f"nuts, {sampler.chains} chains of {sampler.draws} draws"
        vary = ", ".join(fit_plan.vary) if fit_plan.vary else "every parameter with a published SD"
        observed = ", ".join(fit_plan.observe)
        names = [fit_plan.name, model.role, Path(fit_plan.model).stem, Path(fit_plan.data).name]
        rows.append([*names, observed, vary, estimation, str(fit_plan.seed), model.why])
    heads = ["Fit", "Role", "Model", "Data", "Analytes", "Between subjects", "Estimation", "Seed", "Why"]
    words = [
        f"Data: {plan.data or NOT_STATED}.",
        f"Covariates: {plan.covariates or NOT_STATED}.",
        f"Estimation: {plan.estimation or 'as each fit plan says'}.",
    ]
    words = [line.replace("..", ".") for line in words]
    return Section("models", "Data, models and estimation", words, tables=[table_of("Fits", heads, rows)])


def _criteria_section(plan: AnalysisPlan) -> Section:
    """The technical criteria, one row each."""
    rows = [line.split(": ", 1) for line in criterion_lines(plan)]
    table = table_of("What the primary fit must meet", ["Kind", "Criterion"], rows)
    return Section("criteria", "Technical criteria", tables=[table])


def versions_table(lock: PlanLock) -> Table:
    """The lock and the amendments of a plan, with what each changed."""
    rows = []
    for version in lock.versions:
        changed = "locked"
        if version.number:
            changed = "; ".join(map(str, lock.changes_of(version.number)))
        rows.append([str(version.number), version.locked, version.reason, changed, version.sha256[:12]])
    return table_of("Versions", ["Version", "Locked (UTC)", "Reason", "Changed", "Hash"], rows)


def _versions_section(lock: PlanLock | None) -> Section:
    """The versions of a plan under lock."""
    if lock is None:
        return Section("versions", "Lock and amendments", ["The plan is not locked."])
    return Section("versions", "Lock and amendments", tables=[versions_table(lock)])
