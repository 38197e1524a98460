"""The command line of the dose decision: `kinetics recommend`."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from kinetics.checks import check
from kinetics.cli.console import print_result
from kinetics.decision import (
    Exposures,
    Recommendation,
    Target,
    exposures_as_dosed,
    exposures_at_levels,
    exposures_by_power_model,
    exposures_from_samples,
    levels_of,
    proportionality_table,
    recommend,
)
from kinetics.errors import PlanError, Problem, did_you_mean
from kinetics.inference import Fit, code_sha256, load_fit
from kinetics.pages import recommendation_page
from kinetics.printing import table_text
from kinetics.protocol import Protocol, find_protocol, read_protocol, settled
from kinetics.study import Study, read_study

__all__ = ["recommend_dose", "targets_of"]


def recommend_dose(
    protocol: Annotated[
        str, typer.Argument(help="A protocol.toml, its folder, or a data set of the library.")
    ],
    study: Annotated[str, typer.Option(help="A study's name or folder: subjects, doses, events, responses.")],
    run: Annotated[
        Path | None, typer.Option(help="A run folder, runs/NAME: its exposures, else the samples'.")
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(help="An exposure wanted, such as car_copies_cmax=1e4; may be repeated."),
    ] = None,
    strata: Annotated[
        str, typer.Option(help="Columns of subjects.csv to split responses by, with commas.")
    ] = "",
    draws: Annotated[int, typer.Option(min=20, help="Posterior draws of the exposures.")] = 200,
    level_column: Annotated[str, typer.Option(help="Column of subjects.csv: assigned level.")] = "dose_level",
    out: Annotated[Path | None, typer.Option(help="Write the page here, as .html.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """The MTD by the protocol's rule, the RP2D by utility beside it, whether they agree, and what it leans
    on.

    Example: `kinetics recommend nkg2d_phase1_synthetic --study nkg2d_phase1_synthetic --out decision.html`
    """
    rules = settled(read_protocol(protocol), protocol)
    data = read_study(study)
    fit = None if run is None else load_fit(run)
    wanted = targets_of(target or [])
    columns = [c for c in strata.split(",") if c]
    _check_strata(data, columns)
    evidence = _evidence(fit, data, rules, draws, level_column)
    found = recommend(
        data,
        rules,
        **evidence,
        targets=_known(wanted, evidence["at_levels"]),
        strata=columns,
        level_column=level_column,
        audit=_audit(protocol, data, fit),
    )
    names = [rules.level_name(i) for i in range(1, len(rules.levels) + 1)]
    page = (
        None
        if out is None
        else recommendation_page(found, names, to=out, study=data, level_column=level_column)
    )
    answer = found.as_dict() | {"page": None if page is None else str(page)}
    print_result(answer, _text(found, names, page), as_json)


def _evidence(fit: Fit | None, data: Study, rules: Protocol, draws: int, level_column: str) -> dict[str, Any]:
    """The exposures, of the fit or of the samples."""
    if fit is None:
        seen = exposures_from_samples(data, rules)
        doses = levels_of(data, level_column)
        return {
            "as_dosed": seen,
            "at_levels": exposures_by_power_model(seen, doses, rules),
            "proportionality": proportionality_table(seen, doses),
        }
    if fit.study.sha256 != data.sha256:
        what = f"the run {fit.name} was fitted to {fit.study.name} ({fit.study.sha256[:8]}), "
        what += f"the study is {data.name} ({data.sha256[:8]})"
        raise PlanError(Problem(what, "give the study that was fitted, or fit this one"))
    return {
        "as_dosed": exposures_as_dosed(fit, rules, draws=draws),
        "at_levels": exposures_at_levels(fit, rules, draws=draws),
    }


def targets_of(texts: list[str], option: str = "--target") -> list[Target]:
    """`NAME=NUMBER` as targets; PlanError for every text that is none."""
    found = []
    problems = []
    for text in texts:
        name, _, value = text.partition("=")
        try:
            found.append(Target(name, float(value)))
        except ValueError:
            problems.append(Problem(f"{option} {text!r}", "write NAME=NUMBER, such as car_copies_cmax=1e4"))
    if problems:
        raise PlanError(problems)
    return found


def _known(targets: list[Target], at_levels: list[Exposures]) -> list[Target]:
    names = list(at_levels[0].values) if at_levels else []
    strange = [t.exposure for t in targets if t.exposure not in names]
    if strange:
        raise PlanError(Problem(f"no exposure {name!r}", did_you_mean(name, names)) for name in strange)
    return targets


def _check_strata(data: Study, columns: list[str]) -> None:
    strange = [c for c in columns if c not in data.subjects.columns]
    if strange:
        known = list(map(str, data.subjects.columns))
        raise PlanError(
            Problem(f"no column {c!r}", did_you_mean(c, known), file="subjects.csv") for c in strange
        )


def _audit(protocol: str, data: Study, fit: Fit | None) -> dict[str, Any]:
    """What the decision was made from."""
    file = find_protocol(protocol)
    facts: dict[str, Any] = {
        "protocol_file": str(file),
        "protocol_sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "study_sha256": data.sha256,
        "cellkinetics": version("cellkinetics"),
        "code_sha256": code_sha256(),
    }
    if fit is None:
        facts["exposures"] = "NCA of the samples; new patients by the power model of dose"
    else:
        facts |= {
            "exposures": "posterior of the fit; new patients simulated from it",
            "fit": fit.name,
            "fit_checks": "passed" if check(fit).ok else "failed",
            "fit_model_sha256": fit.model.sha256,
            "fit_seed": fit.bound.plan.seed,
        }
    return facts


def _text(found: Recommendation, names: list[str], page: Path | None) -> str:
    label = " (SYNTHETIC)" if found.synthetic else ""
    kept = [c for c in map(str, found.levels.columns) if not c.endswith(("_lower", "_upper"))]
    shown = found.levels[kept].assign(dose=names)
    lines = [f"{found.study}{label}: {found.state}", *(f"  {line}" for line in found.sentences), ""]
    lines += ["every level", table_text(shown)]
    for title, table in (
        ("dose proportionality: exposure goes with dose to the power b (90 %)", found.proportionality),
        ("exposure-response, odds ratio for twice the exposure", found.slopes),
        ("other weights", found.sensitivity),
        ("three more patients at the level", found.next_patients),
        ("by stratum", found.strata),
    ):
        if len(table):
            lines += ["", title, table_text(table)]
    if found.audit.get("fit_checks") == "failed":
        lines += [
            "",
            "The fit behind the exposures did not pass its checks (kinetics check): do not use what leans on it.",
        ]
    return "\n".join([*lines, *([f"\nwritten: {page}"] if page else [])])
