"""The commands about outcomes: `kinetics response`, `survival`, `recist` and `astct`."""

from __future__ import annotations

from math import inf, nan
from pathlib import Path
from typing import Annotated, Any, cast, get_args

import typer
from pandas import DataFrame, concat
from plotly.graph_objects import Figure

import kinetics.plot as plot
from kinetics.cli.console import print_result
from kinetics.cli.options import (
    AssessedEvery,
    Confirmed,
    FigureFormat,
    Figures,
    Json,
    MedianPlateau,
    Plain,
    SingleFile,
)
from kinetics.errors import PlanError, Problem, did_you_mean
from kinetics.files import write_atomic
from kinetics.outcomes import (
    ENDPOINTS,
    EVERYONE,
    PLATEAUS,
    RESOLVED_DAYS,
    SIZE,
    DiseaseAfterCr,
    KaplanMeier,
    Plateau,
    ResponseReading,
    SurvivalEndpoint,
    adverse_events,
    astct_events,
    astct_grades,
    best_by_criteria,
    disagreements,
    dlt_table,
    first_infusions,
    kaplan_meier,
    lesion_responses,
    not_compared,
    other_than_recorded,
    rates_by_criteria,
    read_lesions,
    read_signs,
    read_times,
    reading_of,
    strata_of,
    strata_table,
    survival_times,
    unproven,
)
from kinetics.printing import records, table_text
from kinetics.protocol import CriteriaName, Protocol, criteria_of, read_protocol, settled
from kinetics.spreadsheets import csv_text
from kinetics.study import Study, read_study

__all__ = ["astct", "recist", "response", "survival"]

PROTOCOL_ENDPOINTS = {"dor": "response", "pfs": "progression_free_survival", "os": "overall_survival"}
FOR_RESPONSES = ["subject", "time", "sum_mm", "new_lesions", "overall", "irecist"]  # columns of responses.csv

# of each endpoint: the times, everyone's curve, the curves of the groups
Survival = dict[SurvivalEndpoint, tuple[DataFrame, KaplanMeier, KaplanMeier]]


def response(
    study: Annotated[str, typer.Argument(help="A study with events.csv and responses.csv.")],
    by: Annotated[str, typer.Option(help="A column of subjects.csv.")] = "dose_level",
    confirmed: Confirmed = False,
    protocol: Annotated[
        str | None,
        typer.Option(help="A protocol.toml: DLTs by its window, DOR, PFS and OS by its censoring."),
    ] = None,
    assessed_every: AssessedEvery = None,
    entry: Annotated[
        str | None,
        typer.Option(
            help="A column of subjects.csv: the day from which each was followed (left truncation)."
        ),
    ] = None,
    plateau: MedianPlateau = "midpoint",
    irecist: Annotated[
        bool, typer.Option("--irecist", help="By iRECIST: iBOR, iORR, iPFS, iDOR; an iUPD must stand.")
    ] = False,
    criteria: Annotated[
        str | None,
        typer.Option(
            help="The criteria of the responses, as lugano_2014 or imwg_2016; default the protocol's, or "
            "else recist_1.1."
        ),
    ] = None,
    plots: Figures = None,
    plots_as: FigureFormat = "html",
    single_file: SingleFile = False,
    plain: Plain = False,
    as_json: Json = False,
) -> None:
    """Report the responses, adverse events, DLTs, PFS and OS of a study.

    ORR and DCR have exact intervals; DOR, PFS and OS have medians.

    With --irecist from the column `irecist` of responses.csv, or from its sums and new lesions. By other
    criteria than RECIST the column `overall` holds their categories.

    Example: `kinetics response nkg2d_phase1_synthetic --protocol nkg2d_phase1_synthetic --plots figures`
    """
    plot.refuse_figures([] if plots is None else [plots / f"figure.{plots_as}"], plain=plain)
    convention = _plateau(plateau)
    data = read_study(study)
    rules = None if protocol is None else settled(read_protocol(protocol), protocol)
    reading = _reading(rules, "irecist" if irecist else criteria)

    tables = _response_tables(data, by, confirmed, reading)  # title -> table, in the order of the text
    best, rates = tables.values()
    adverse = adverse_events(data, by)
    tables["adverse events, subjects by worst grade"] = adverse
    answer = {
        "study": data.name,
        "criteria": dict(reading.by_value) if reading.column else reading.criteria,
        "counted": list(reading.response),
        "best_responses": records(best),
        "response_rates": records(rates),
        "adverse_events": records(adverse),
    }

    estimates: Survival = {}
    if rules is not None:
        dlts = dlt_table(data, rules)
        tables["dose-limiting toxicities"] = dlts
        answer["dlts"] = records(dlts)
        timed, not_timed = _timed_endpoints(rules)
        answer["not_computed"] = not_timed
        for endpoint in timed:
            times = survival_times(
                data,
                rules,
                endpoint,
                by=by,
                confirmed=confirmed,
                assessed_every_days=assessed_every,
                criteria=None if reading.column else reading.criteria,
                entry=entry,
            )
            everyone = kaplan_meier(times, plateau=convention)
            estimates[endpoint] = times, everyone, kaplan_meier(times, by, plateau=convention)
        answer["time_to_event"] = _survival_answer(estimates, rules, by)
        columns, not_recorded = strata_of(rules)
        if columns:
            strata = strata_table(data, columns, rules, confirmed=confirmed)
            title = "interim analysis, by stratum, exact 95 % intervals"
            if not_recorded:
                title += f"; not recorded: {', '.join(not_recorded)}"
            tables[title] = strata
            answer |= {"strata": records(strata), "strata_not_recorded": not_recorded}
        tables |= _survival_tables(estimates, by)

    label = " (SYNTHETIC)" if data.synthetic else ""
    text = "\n\n".join([f"{data.name}{label}", *(f"{t}\n{table_text(rows)}" for t, rows in tables.items())])
    lines = [text, *(f"\n{line}" for line in answer.get("not_computed", []))]
    if plots is not None:
        figures = _figures(data, estimates, by, confirmed, reading=reading)
        lines += plot.save_figures(plots, figures, plots_as, single_file=single_file, plain=plain)
    print_result(answer, "\n".join(lines), as_json)


def _plateau(word: str) -> Plateau:
    """The convention of the medians that a word names; PlanError for another word."""
    for convention in PLATEAUS:
        if word == convention:
            return convention
    raise PlanError(Problem(f"--plateau {word}", did_you_mean(word, PLATEAUS)))


def _timed_endpoints(protocol: Protocol) -> tuple[list[SurvivalEndpoint], list[str]]:
    """The times to event that a protocol allows to compute, and a sentence on those that it does not.

    A trial without a time to progression has no censoring to settle.
    """
    points = (protocol.censoring.missed_scans, protocol.censoring.new_therapy)
    if all(point.value is not None for point in points):
        return list(ENDPOINTS), []
    why = "not computed, as [censoring] of the protocol says neither how missed scans nor new therapy count"
    return ["os"], [f"duration of response and progression-free survival: {why}"]


def _reading(protocol: Protocol | None, criteria: str | None) -> ResponseReading:
    """How responses are read: by the criteria asked for, or else the protocol's, or else RECIST 1.1."""
    of_protocol = ResponseReading() if protocol is None else reading_of(protocol)
    if criteria is None or criteria == of_protocol.criteria:
        return of_protocol
    criteria_of(criteria)  # the name is one of those that there are
    return ResponseReading(cast(CriteriaName, criteria))


def _response_tables(
    study: Study, by: str, confirmed: bool, reading: ResponseReading
) -> dict[str, DataFrame]:
    """Best responses and response rates by the criteria asked for, by their titles."""
    if reading.criteria == "irecist" and confirmed:
        what = "--irecist with --confirmed: confirmation of iCR and iPR is not judged"
        raise PlanError(Problem(what, "leave one of them out"))
    rates = "response rates"
    if reading != ResponseReading():
        rates = f"response rates ({reading.title})"
    note = reading.note(confirmed)
    title = reading.title if reading.column else reading.named.title
    return {
        f"best responses ({title})": best_by_criteria(study, reading, confirmed, by=by),
        f"{rates}; {note}" if note else rates: rates_by_criteria(study, reading, by, confirmed=confirmed),
    }


def _with_everyone(everyone: DataFrame, groups: DataFrame, by: str) -> DataFrame:
    """The rows of everyone, called "all" in the column `by`, and then those of the groups."""
    whole = everyone.rename(columns={EVERYONE: by}).astype({by: object})
    return concat([whole, groups.astype({by: object})], ignore_index=True)


def _survival_tables(survival: Survival, by: str) -> dict[str, DataFrame]:
    """Medians in days, and for each subject when its time ended and why."""
    medians = []
    subjects = []
    for endpoint, (times, everyone, groups) in survival.items():
        medians.append(_with_everyone(everyone.medians, groups.medians, by).assign(endpoint=endpoint))
        subjects.append(times[times["time"].notna()].assign(endpoint=endpoint))
    _, everyone, _ = next(iter(survival.values()))
    percent = f"{100 * everyone.level:g} %"
    convention = PLATEAUS[everyone.plateau]
    median_columns = ["endpoint", by, "n", "events", "median", "lower", "upper", "reason"]
    subject_columns = ["endpoint", "subject", "start", "time", "event", "why"]
    if all("entry" in times for times, _, _ in survival.values()):
        subject_columns.insert(3, "entry")
    return {
        f"time to event: Kaplan-Meier medians in days, {percent} log-log intervals ({convention})": concat(
            medians
        )[median_columns],
        "time to event by subject": concat(subjects)[subject_columns],
    }


def _survival_answer(survival: Survival, protocol: Protocol, by: str) -> dict[str, Any]:
    """For `--json`: medians, survival on the day the protocol reads the endpoint, times and curves."""
    answer = {}
    for endpoint, (times, everyone, groups) in survival.items():
        planned = protocol.endpoints.get(PROTOCOL_ENDPOINTS[endpoint])
        days = []
        if planned is not None and planned.within_days is not None:
            days = [planned.within_days]
        answer[endpoint] = {
            "name": ENDPOINTS[endpoint],
            "plateau": everyone.plateau,
            "medians": records(_with_everyone(everyone.medians, groups.medians, by)),
            "landmarks": records(_with_everyone(everyone.at(days), groups.at(days), by)),
            "subjects": records(times),
            "curves": records(_with_everyone(everyone.curve, groups.curve, by)),
        }
    return answer


def _figures(
    study: Study, survival: Survival, by: str, confirmed: bool, *, reading: ResponseReading
) -> dict[str, Figure | str]:
    """Every figure by its file's name, or why it is not drawn."""
    figures: dict[str, Figure | str] = {}
    if reading.column or reading.criteria not in ("recist_1.1", "irecist"):
        why = f"it is drawn for RECIST 1.1, and the responses are by {reading.title}"
        figures |= dict.fromkeys(("swimmer", "waterfall", "spider"), why)
    elif SIZE in study.responses.columns:
        figures["swimmer"] = plot.plot_swimmer(study, by=by)
        figures["waterfall"] = plot.plot_waterfall(study, by=by, confirmed=confirmed)
        figures["spider"] = plot.plot_spider(study, confirmed=confirmed, by=_grouping(study, by))
    else:
        figures["swimmer"] = plot.plot_swimmer(study, by=by)
        figures |= dict.fromkeys(("waterfall", "spider"), f"responses.csv has no column {SIZE!r}")
    for endpoint, name in ENDPOINTS.items():
        key = f"kaplan_meier_{endpoint}"
        if endpoint not in survival:
            figures[key] = f"{name} needs --protocol"
            continue
        _, _, groups = survival[endpoint]
        if len(groups.curve):
            figures[key] = plot.plot_kaplan_meier(study, groups, endpoint)
        else:
            figures[key] = f"nobody is counted for {name}"
    return figures


def _grouping(study: Study, by: str) -> str | None:
    """What colours the lines of the spider: `by`, or the best response where `by` is no grouping."""
    return by if by in plot.groupings(study) or by == "product" else None


def survival(
    times: Annotated[
        Path, typer.Argument(help="A CSV: time (days), event (yes, no); entry, subject, groups.")
    ],
    by: Annotated[str | None, typer.Option(help="A column with the group of each subject.")] = None,
    level: Annotated[float, typer.Option(help="Probability of the intervals.")] = 0.95,
    plateau: MedianPlateau = "midpoint",
    at: Annotated[str | None, typer.Option(help="Days on which survival is printed: 90,180,365.")] = None,
    as_json: Json = False,
) -> None:
    """Compute Kaplan-Meier curves and medians of any table of times.

    A column `entry` is the time from which a subject was followed, as in a registry that it entered alive: it
    is at risk from then on only (left truncation). The times of a study come from `kinetics response`.

    Example: `kinetics survival times.csv --by arm --at 90,180,365`
    """
    convention = _plateau(plateau)
    days = [] if at is None else _days(at)
    table, not_read = read_times(times, by)
    estimate = kaplan_meier(table, by, level, plateau=convention)
    answer = {
        "level": level,
        "plateau": convention,
        "not_read": not_read,
        "medians": records(estimate.medians),
        "curves": records(estimate.curve),
        "landmarks": records(estimate.at(days)),
    }
    percent = f"{100 * level:g} %"
    text = f"Kaplan-Meier medians in days, {percent} log-log intervals ({PLATEAUS[convention]})\n"
    text += table_text(estimate.medians)
    if days:
        text += f"\n\nsurvival on these days\n{table_text(estimate.at(days))}"
    text += f"\n\ncurves\n{table_text(estimate.curve)}"
    if "entry" in table:
        late = int((table["entry"] > 0).sum())
        text += f"\n\nleft truncation: {late} of {len(table)} subjects are at risk from their entry on only"
    if not_read:
        text += f"\nnot read: {', '.join(not_read)}"
    print_result(answer, text, as_json)


def _days(text: str) -> list[float]:
    """Days separated by commas; PlanError where one is not a number from 0 up."""
    days = []
    problems = []
    for word in text.split(","):
        try:
            day = float(word)
        except ValueError:
            day = nan
        if 0 <= day < inf:
            days.append(day)
        else:
            problems.append(Problem(f"--at {word.strip()!r}", "write days separated by commas: 90,180,365"))
    if problems:
        raise PlanError(problems)
    return days


def recist(
    lesions: Annotated[
        Path, typer.Argument(help="A CSV: subject, time, lesion, kind, diameter_mm, state ...")
    ],
    study: Annotated[
        str | None,
        typer.Option(
            help="A study: gives the first infusions, and its recorded responses are compared; "
            "exit 1 if one differs."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the visits as rows for responses.csv.")] = None,
    disease_after_cr: Annotated[
        str,
        typer.Option(
            help="Disease that is back after a CR: pd; pd_if_confirmed, PD only after a confirmed CR (EORTC "
            "FAQ); as_measured."
        ),
    ] = "pd",
    as_json: Json = False,
) -> None:
    """Judge lesion measurements by RECIST 1.1 and iRECIST.

    Every visit has its response and the reason; then comes the best of each subject.

    One row per lesion and visit, the first visit the baseline; days from treatment, or as in --study. kind:
    target, non_target, new. diameter_mm: 0 gone, empty not measured. state of a non-target: absent, present,
    unequivocal_progression, not_evaluated. Optional: node, larger (yes, no). A subject without targets is
    judged by its non-target lesions: CR, NON-CR/NON-PD, PD.

    Example: `kinetics recist lesions.csv --study data/mine --out responses.csv`
    """
    data = None if study is None else read_study(study)
    visits = read_lesions(lesions)
    start = 0.0 if data is None else first_infusions(data)
    after_cr = _disease_after_cr(disease_after_cr)
    responses = lesion_responses(visits, reference_day=start, disease_after_cr=after_cr)
    answer = {
        "disease_after_cr": after_cr,
        "visits": records(responses.visits),
        "best": records(responses.best),
    }
    text = f"visits\n{table_text(responses.visits)}\n\nbest responses\n{table_text(responses.best)}"
    differ = None
    if data is not None:
        differ = other_than_recorded(responses.visits, data)
        answer["disagreements"] = records(differ)
        text += f"\n\nrecorded responses that differ\n{_table_or_none(differ)}"
    if out is not None:
        write_atomic(out, csv_text(responses.visits[FOR_RESPONSES], str(out)))
        text += f"\nwritten: {out}"
    print_result(answer, text, as_json)
    if differ is not None and len(differ):
        raise typer.Exit(1)


def _disease_after_cr(word: str) -> DiseaseAfterCr:
    """The rule that a word names; PlanError for another word."""
    for rule in get_args(DiseaseAfterCr):
        if word == rule:
            return rule
    raise PlanError(Problem(f"--disease-after-cr {word}", did_you_mean(word, get_args(DiseaseAfterCr))))


def astct(
    signs: Annotated[
        Path, typer.Argument(help="A CSV: subject, time, temperature, hypotension, vasopressors, oxygen ...")
    ],
    study: Annotated[
        str | None,
        typer.Option(
            help="A study: gives the first infusions, and its recorded ASTCT grades are compared; exit 1 if "
            "the signs do not allow one."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the worst grades as rows for events.csv.")] = None,
    resolved_days: Annotated[
        float, typer.Option(help="Days without a sign after which an episode is over; 2 is a guess.")
    ] = RESOLVED_DAYS,
    as_json: Json = False,
) -> None:
    """Grade CRS and ICANS by ASTCT 2019 from raw signs.

    Each grade comes with its time and the sign that makes it.

    An empty cell is a sign not looked for: the grade then has bounds, at_least and at_most. ICANS is graded
    where the table has a column of it. Never converted from or into CTCAE. Columns and their codes: subject,
    time (days), temperature (C), hypotension, vasopressors (without vasopressin), oxygen (none, low_flow,
    blow_by, high_flow, face_mask, non_rebreather, venturi, cpap, bipap, ventilation); vasopressin, treated,
    other_cause (no, yes, crs, icans), sedated; ice or capd, consciousness, seizure, motor_weakness, oedema,
    posturing, papilloedema, sixth_nerve_palsy, cushing_triad; baseline_oxygen, baseline_ice, baseline_capd.

    Example: `kinetics astct signs.csv --study data/mine --out crs.csv`
    """
    data = None if study is None else read_study(study)
    table = read_signs(signs)
    starts = None if data is None else first_infusions(data)
    grades = astct_grades(table, resolved_days=resolved_days, first_infusions=starts)
    events = astct_events(grades)
    open_events = unproven(events)
    answer = {
        "grading_system": "astct_2019",
        "resolved_days": resolved_days,
        "never_there": table.never_there,
        "grades": records(grades),
        "events": records(events),
    }
    text = "\n\n".join(f"{name}, ASTCT 2019\n{table_text(rows)}" for name, rows in _by_event(grades).items())
    text += f"\n\nworst of each episode\n{_table_or_none(events)}\n"
    text += f"\nan episode is over after {resolved_days:g} days without a sign of it"
    if resolved_days == RESOLVED_DAYS:
        text += " (a guess; --resolved-days)"
    if table.never_there:
        text += f"\nwithout a column, and so never there: {', '.join(table.never_there)}"
    differ = None
    if data is not None:
        differ = disagreements(grades, data)
        silent = not_compared(grades, data)
        answer |= {"disagreements": records(differ), "not_compared": records(silent)}
        text += f"\n\nrecorded grades that the signs do not allow\n{_table_or_none(differ)}"
        if len(silent):
            text += f"\n\nnot compared\n{table_text(silent)}"
    if out is not None:
        write_atomic(out, csv_text(_for_events(events), str(out)))
        text += f"\nwritten: {out}"
        if (events["at_least"] & events["grade"].notna()).any():
            text += "\nat_least = yes: the grade is a lower bound (declare the column in dictionary.toml)"
        for row in records(open_events):
            text += f"\nnot written: {row['subject']} {row['event']} of day {row['time']:g}, "
            text += "which the signs neither prove nor exclude"
    print_result(answer, text, as_json)
    if differ is not None and len(differ):
        raise typer.Exit(1)


def _by_event(grades: DataFrame) -> dict[str, DataFrame]:
    """The grades of CRS and of ICANS, each as a table of its own."""
    tables = {}
    for event in ("crs", "icans"):
        if event not in grades:
            continue
        columns = {
            name: name.removeprefix(f"{event}_")
            for name in map(str, grades.columns)
            if name.startswith(event)
        }
        columns[event] = "grade"
        tables[event.upper()] = grades[["subject", "time", *columns]].rename(columns=columns)
    return tables


def _for_events(events: DataFrame) -> DataFrame:
    """The rows of events.csv: the grades that the signs prove, and which of them are lower bounds."""
    proven = events[events["grade"].notna()]
    proven = proven.assign(
        grade=proven["grade"].astype(int), at_least=proven["at_least"].map({True: "yes", False: "no"})
    )
    columns = ["subject", "time", "event", "grade", "grading_system"]
    if (proven["at_least"] == "yes").any():
        columns.append("at_least")
    return proven[columns]


def _table_or_none(table: DataFrame) -> str:
    return table_text(table) if len(table) else "none"
