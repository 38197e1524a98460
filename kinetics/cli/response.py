"""The command line of what happened to the patients: `kinetics response`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from pandas import DataFrame, concat
from plotly.graph_objects import Figure

from kinetics.cli.console import print_result
from kinetics.errors import PlanError, Problem
from kinetics.outcomes import (
    ENDPOINTS,
    EVERYONE,
    SIZE,
    Criteria,
    Endpoint,
    KaplanMeier,
    adverse_events,
    best_immune_responses,
    best_responses,
    dlt_table,
    immune_response_rates,
    kaplan_meier,
    response_rates,
    strata_of,
    strata_table,
    survival_times,
)
from kinetics.plot import (
    plot_kaplan_meier,
    plot_spider,
    plot_swimmer,
    plot_waterfall,
    refuse_figures,
    save_figures,
)
from kinetics.printing import records, table_text
from kinetics.protocol import Protocol, read_protocol, settled
from kinetics.study import Study, read_study

__all__ = ["response"]

PROTOCOL_ENDPOINTS = {"dor": "response", "pfs": "progression_free_survival", "os": "overall_survival"}
Survival = dict[Endpoint, tuple[DataFrame, KaplanMeier, KaplanMeier]]  # times, everyone's curve, the groups'


def response(
    study: Annotated[str, typer.Argument(help="A study with events.csv and responses.csv.")],
    by: Annotated[str, typer.Option(help="A column of subjects.csv.")] = "dose_level",
    confirmed: Annotated[bool, typer.Option(help="A response counts once a later scan confirms it.")] = False,
    protocol: Annotated[
        str | None,
        typer.Option(help="A protocol.toml: DLTs by its window, DOR, PFS and OS by its censoring."),
    ] = None,
    assessed_every: Annotated[
        float | None, typer.Option(help="Days between planned scans, where the protocol does not say.")
    ] = None,
    irecist: Annotated[
        bool, typer.Option("--irecist", help="By iRECIST: iBOR, iORR, iPFS, iDOR; an iUPD must stand.")
    ] = False,
    plots: Annotated[Path | None, typer.Option(help="Write the figures into this folder.")] = None,
    plots_as: Annotated[str, typer.Option(help="html, or for print svg, pdf or png.")] = "html",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Best responses, ORR and DCR with exact intervals, adverse events, DLTs; medians of DOR, PFS and OS.

    With --irecist from the column `irecist` of responses.csv, or from its sums and new lesions.

    Example: `kinetics response nkg2d_phase1_synthetic --protocol nkg2d_phase1_synthetic --plots figures`
    """
    refuse_figures([] if plots is None else [plots / f"figure.{plots_as}"])
    read = read_study(study)
    tables = _responses(read, by, confirmed, irecist)
    tables["adverse events, subjects by worst grade"] = adverse_events(read, by)
    survival = {}
    answer = {}
    criteria: Criteria = "irecist" if irecist else "recist_1.1"
    if protocol is not None:
        rules = settled(read_protocol(protocol), protocol)
        tables["dose-limiting toxicities"] = dlt_table(read, rules)
        survival = _survival(read, rules, by, confirmed, assessed_every, criteria)
        answer = {"time_to_event": _answer(survival, rules, by)}
        columns, silent = strata_of(rules)
        if columns:
            title = "interim analysis, by stratum, exact 95 % intervals"
            tables[title + (f"; not recorded: {', '.join(silent)}" if silent else "")] = table = strata_table(
                read, columns, rules, confirmed=confirmed
            )
            answer |= {"strata": records(table), "strata_not_recorded": silent}
    keys = ("best_responses", "response_rates", "adverse_events", "dlts")
    rows = {key: records(table) for key, table in zip(keys, tables.values(), strict=False)}
    tables |= _tables(survival, by)
    written = [] if plots is None else save_figures(plots, _figures(read, survival, by, confirmed), plots_as)
    text = "\n\n".join(f"{name}\n{table_text(table)}" for name, table in tables.items())
    text = "\n".join([f"{read.name}{' (SYNTHETIC)' if read.synthetic else ''}\n\n{text}", *written])
    head = {"study": read.name, "criteria": criteria}
    print_result(head | rows | answer, text, as_json)


def _responses(study: Study, by: str, confirmed: bool, irecist: bool) -> dict[str, DataFrame]:
    """Best responses and rates by the criteria asked for."""
    if not irecist:
        return {
            "best responses (RECIST 1.1)": best_responses(study, confirmed, by=by),
            "response rates": response_rates(study, by, confirmed=confirmed),
        }
    if confirmed:
        what = "--irecist with --confirmed: confirmation of iCR and iPR is not judged"
        raise PlanError(Problem(what, "leave one of them out"))
    return {
        "best responses (iRECIST)": best_immune_responses(study, by=by),
        "response rates (iRECIST)": immune_response_rates(study, by),
    }


def _survival(
    study: Study,
    protocol: Protocol,
    by: str,
    confirmed: bool,
    assessed_every: float | None,
    criteria: Criteria,
) -> Survival:
    found: Survival = {}
    for endpoint in ENDPOINTS:
        times = survival_times(
            study,
            protocol,
            endpoint,
            by=by,
            confirmed=confirmed,
            assessed_every_days=assessed_every,
            criteria=criteria,
        )
        found[endpoint] = times, kaplan_meier(times), kaplan_meier(times, by)
    return found


def _together(everyone: DataFrame, groups: DataFrame, by: str) -> DataFrame:
    """The rows of everyone, called "all" in the column `by`, and then those of the groups."""
    whole = everyone.rename(columns={EVERYONE: by}).astype({by: object})
    return concat([whole, groups.astype({by: object})], ignore_index=True)


def _tables(survival: Survival, by: str) -> dict[str, DataFrame]:
    """Medians in days, and for each subject when its time ended and why."""
    if not survival:
        return {}
    medians = []
    subjects = []
    for endpoint, (times, everyone, groups) in survival.items():
        medians.append(_together(everyone.medians, groups.medians, by).assign(endpoint=endpoint))
        subjects.append(times[times["time"].notna()].assign(endpoint=endpoint))
    columns = ["endpoint", by, "n", "events", "median", "lower", "upper", "reason"]
    level = next(iter(survival.values()))[1].level
    return {
        f"time to event: Kaplan-Meier medians in days, {100 * level:g} % log-log intervals": concat(medians)[
            columns
        ],
        "time to event by subject": concat(subjects)[
            ["endpoint", "subject", "start", "time", "event", "why"]
        ],
    }


def _answer(survival: Survival, protocol: Protocol, by: str) -> dict[str, Any]:
    """For `--json`: medians, survival on the day the protocol reads the endpoint, times and curves."""
    found = {}
    for endpoint, (times, everyone, groups) in survival.items():
        said = protocol.endpoints.get(PROTOCOL_ENDPOINTS[endpoint])
        days = [said.within_days] if said is not None and said.within_days is not None else []
        found[endpoint] = {
            "name": ENDPOINTS[endpoint],
            "medians": records(_together(everyone.medians, groups.medians, by)),
            "landmarks": records(_together(everyone.at(days), groups.at(days), by)),
            "subjects": records(times),
            "curves": records(_together(everyone.curve, groups.curve, by)),
        }
    return found


def _figures(study: Study, survival: Survival, by: str, confirmed: bool) -> dict[str, Figure | str]:
    """Every figure by its file's name, or why it is not drawn."""
    found: dict[str, Figure | str] = {"swimmer": plot_swimmer(study, by=by)}
    if SIZE in study.responses.columns:
        found["waterfall"] = plot_waterfall(study, by=by, confirmed=confirmed)
        found["spider"] = plot_spider(study, confirmed=confirmed)
    else:
        found |= dict.fromkeys(("waterfall", "spider"), f"responses.csv has no column {SIZE!r}")
    for endpoint, name in ENDPOINTS.items():
        key = f"kaplan_meier_{endpoint}"
        if endpoint not in survival:
            found[key] = f"{name} needs --protocol"
            continue
        _, _, groups = survival[endpoint]
        nobody = not len(groups.curve)
        found[key] = f"nobody is counted for {name}" if nobody else plot_kaplan_meier(study, groups, endpoint)
    return found
