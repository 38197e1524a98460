"""What the subjects of a study had: their best response, adverse events by worst grade, dose-limiting
toxicities.

Every table is by a column of subjects.csv (`dose_level` unless another is named). Rates are exact: events of
n, with the interval of Clopper CJ and Pearson ES, Biometrika 1934;26:404. Grades of different systems (a
version of CTCAE, ASTCT) are never converted or put into one row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import nan
from typing import Literal, cast

from pandas import DataFrame, isna
from scipy.stats import binomtest

from kinetics.errors import InputError, Problem, StudyError, did_you_mean
from kinetics.outcomes.dlts import patients_of
from kinetics.outcomes.recist import (
    RECIST_1_1,
    Assessment,
    BestResponse,
    RecistRules,
    Response,
    best_response,
)
from kinetics.protocol import Protocol
from kinetics.study import Study

__all__ = [
    "DEATH",
    "NEW_THERAPY",
    "adverse_events",
    "assessments_of",
    "best_responses",
    "check_by",
    "clopper_pearson",
    "dlt_table",
    "first_infusions",
    "groups_of",
    "rates_of",
    "response_rates",
]

CELLS = ("car_nk", "car_t")  # a response is counted from the first infusion of these
# events that are outcomes: ungraded, not adverse
DEATH = "death"
NEW_THERAPY = "new_anticancer_therapy"
OVERALL = ("CR", "PR", "SD", "PD", "NE")
RATES = {"orr": ("CR", "PR"), "dcr": ("CR", "PR", "SD")}  # objective response; disease control
GRADES = (1, 2, 3, 4, 5)
RATE_COLUMNS = ("rate", "confirmed", "n", "events", "estimate", "lower", "upper", "reason")
BEST_COLUMNS = ("subject", "treated", "response", "day", "confirmed_on", "assessments", "why")
EVENT_COLUMNS = ("grading_system", "event", "n", "subjects", "grade_3_or_more", "ungraded")
Population = Literal["treated", "evaluable"]


def clopper_pearson(events: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """The exact interval of a proportion; NaN where n is 0."""
    if not 0 < level < 1:
        raise InputError(Problem(f"an interval of level {level:g}", "write a number between 0 and 1"))
    if not 0 <= events <= n:
        raise InputError(Problem(f"{events} events of {n}", "events lie between 0 and n"))
    if n == 0:
        return nan, nan
    interval = binomtest(events, n).proportion_ci(confidence_level=level, method="exact")
    return float(interval.low), float(interval.high)


def best_responses(
    study: Study, confirmed: bool = False, *, by: str = "dose_level", rules: RecistRules = RECIST_1_1
) -> DataFrame:
    """One row a subject, in the order of subjects.csv, from the recorded overall responses after first
    infusion.

    subject; the column `by`; treated (had an infusion of cells); response (CR, PR, SD, PD, NE, MISSING); day
    (of the study, NaN where MISSING); confirmed_on (day, NaN where not); assessments (how many after first
    infusion); why (the reason for the response, or for there being none).
    """
    check_by(study, by)
    seen = assessments_of(study)
    starts = first_infusions(study)
    rows = []
    for subject in study.subject_ids:
        own = seen[subject]
        start = starts.get(subject)
        if start is None:
            best = BestResponse("MISSING", None, None, "no infusion of cells")
        else:
            best = best_response(own, confirmed=confirmed, subject=subject, reference_day=start, rules=rules)
        if best.response == "MISSING" and start is not None:
            best = BestResponse("MISSING", None, None, "no assessment after the first infusion of cells")
        rows.append(
            {
                "subject": subject,
                by: study.subjects.loc[subject, by],
                "treated": start is not None,
                "response": best.response,
                "day": nan if best.day is None else best.day,
                "confirmed_on": nan if best.confirmed_on is None else best.confirmed_on,
                "assessments": len(own),
                "why": best.why,
            }
        )
    return DataFrame(rows)


def response_rates(
    study: Study,
    by: str = "dose_level",
    *,
    confirmed: bool = False,
    population: Population = "treated",
    level: float = 0.95,
    rules: RecistRules = RECIST_1_1,
) -> DataFrame:
    """Objective response and disease control rates, two rows a group.

    The column `by`; rate (orr, dcr); confirmed; n; events; estimate; lower; upper (Clopper-Pearson); reason
    (why there is no estimate). `population` treated counts who is NE or MISSING as without a response;
    evaluable leaves them out.
    """
    if population not in ("treated", "evaluable"):
        raise InputError(Problem(f"population {population!r}", "write 'treated' or 'evaluable'"))
    table = best_responses(study, confirmed, by=by, rules=rules)
    return rates_of(table, by, RATES, confirmed=confirmed, population=population, level=level)


def rates_of(
    best: DataFrame,
    by: str,
    rates: Mapping[str, Sequence[str]],
    *,
    confirmed: bool = False,
    population: Population = "treated",
    level: float = 0.95,
) -> DataFrame:
    """The rows of `response_rates` from a table of best responses; `rates` says which responses count for
    each.
    """
    rows = []
    for group in sorted(best[by].unique()):
        own = best[(best[by] == group) & best["treated"]]
        if population == "evaluable":
            own = own[~own["response"].isin(["NE", "MISSING"])]
        for rate, counted in rates.items():
            events = int(own["response"].isin(list(counted)).sum())
            row = {by: group, "rate": rate, "confirmed": confirmed, "n": len(own), "events": events}
            rows.append(row | _proportion(events, len(own), level, f"no {population} subject"))
    return DataFrame(rows)


def adverse_events(
    study: Study, by: str = "dose_level", *, attribution: Sequence[str] | None = None
) -> DataFrame:
    """How many subjects had each event, by their worst grade of it; one row a group, grading system and
    event.

    The column `by`; grading_system ("" where none is written); event; n (subjects of the group with a dose of
    anything); subjects (of those, with the event); grade_1 to grade_5 (by worst grade); grade_3_or_more;
    ungraded (no grade at all). An event graded by two systems has a row in each. Grade 0 is no event, nor are
    an ungraded death and a new anticancer therapy. A group without the event has a row of zeros.
    `attribution` keeps the events attributed to these, such as ["car_nk", "car_t"].
    """
    check_by(study, by)
    dosed = set(study.doses["subject"])
    outcome = study.events["event"].isin([DEATH, NEW_THERAPY]) & study.events["grade"].isna()
    events = study.events[study.events["subject"].isin(dosed) & (study.events["grade"] != 0) & ~outcome]
    if attribution is not None:
        events = events[events["attribution"].isin(_attributions(study, attribution))]
    groups = study.subjects[by]
    kinds = sorted(set(zip(events["grading_system"], events["event"], strict=True)))
    rows = []
    for group in groups_of(study, by):
        members = [s for s in study.subject_ids if s in dosed and groups[s] == group]
        for system, event in kinds:
            same = (events["grading_system"] == system) & (events["event"] == event)
            worst = events[same & events["subject"].isin(members)].groupby("subject")["grade"].max()
            counts = {f"grade_{g}": int((worst == g).sum()) for g in GRADES}
            rows.append(
                {
                    by: group,
                    "grading_system": system,
                    "event": event,
                    "n": len(members),
                    "subjects": len(worst),
                }
                | counts
                | {"grade_3_or_more": int((worst >= 3).sum()), "ungraded": int(worst.isna().sum())}
            )
    columns = [by, "grading_system", "event", "n", "subjects", *(f"grade_{g}" for g in GRADES)]
    return DataFrame(rows, columns=[*columns, "grade_3_or_more", "ungraded"])


def dlt_table(
    study: Study, protocol: Protocol, *, level_column: str = "dose_level", level: float = 0.95
) -> DataFrame:
    """Dose-limiting toxicities as the protocol counts them (its window, clock and evaluability), one row a
    level.

    level (from 1); dose (of the protocol); subjects; evaluable; pending; not_evaluable; dlts (evaluable
    subjects with one); estimate; lower; upper (Clopper-Pearson, of the evaluable); with_dlt (who, and what);
    reason (why there is no estimate).
    """
    patients = patients_of(study, protocol, level_column=level_column)
    rows = []
    for number, dose in enumerate(protocol.levels, start=1):
        own = [p for p in patients if p.level == number]
        count = {s: sum(p.status == s for p in own) for s in ("evaluable", "pending", "not_evaluable")}
        toxic = [p for p in own if p.status == "evaluable" and p.dlt]
        row = {"level": number, "dose": float(dose), "subjects": len(own)} | count | {"dlts": len(toxic)}
        row |= _proportion(len(toxic), count["evaluable"], level, "no evaluable subject")
        rows.append(row | {"with_dlt": "; ".join(f"{p.subject}: {p.why}" for p in toxic)})
    return DataFrame(rows)


def _proportion(events: int, n: int, level: float, missing: str) -> dict[str, float | str]:
    lower, upper = clopper_pearson(events, n, level)
    estimate = events / n if n else nan
    return {"estimate": estimate, "lower": lower, "upper": upper, "reason": "" if n else missing}


# ------------------------------------------------------------------------------------------- what is read


def first_infusions(study: Study) -> dict[str, float]:
    """The day of each subject's first infusion of cells."""
    cells = study.doses[study.doses["product"].isin(CELLS)]
    return {str(s): float(t) for s, t in cells.groupby("subject")["time"].min().items()}


def assessments_of(study: Study) -> dict[str, list[Assessment]]:
    """Every subject's recorded overall responses after the first infusion of cells, in order of time."""
    table = study.responses
    starts = first_infusions(study)
    if "overall" not in table.columns:
        what = "no column 'overall'" if len(table) else "no response is recorded"
        remedy = f"write each assessment's overall response ({', '.join(OVERALL)}) and declare the column"
        raise StudyError(Problem(what, remedy, file="responses.csv"))
    found: dict[str, list[Assessment]] = {s: [] for s in study.subject_ids}
    problems = []
    for row in table.sort_values(["subject", "time"], kind="stable").to_dict("records"):
        subject = str(row["subject"])
        day = float(row["time"])
        overall = row["overall"]
        baseline = day <= starts.get(subject, float("inf"))
        if (isna(overall) or overall == "") and baseline:
            continue  # the measurement before treatment, which has no response
        what = ""
        remedy = f"write one of {', '.join(OVERALL)}"
        if overall not in OVERALL:
            what = f"day {day:g}: not an overall response"
        elif baseline:
            what = f"day {day:g}: a response before any cells"
            remedy = "leave `overall` empty at baseline"
        elif found[subject] and found[subject][-1].day == day:
            what = f"day {day:g}: two responses on it"
            remedy = "keep one"
        if what:
            value = "" if isna(overall) else str(overall)
            problems.append(
                Problem(what, remedy, "responses.csv", int(row["row"]), subject, "overall", value)
            )
        else:
            why = "a new lesion" if overall == "PD" and row.get("new_lesions") == "yes" else ""
            found[subject].append(Assessment(day, cast(Response, overall), why))
    if problems:
        raise StudyError(problems)
    return found


def check_by(study: Study, by: str, own: Iterable[str] = ()) -> None:
    """StudyError unless `by` is a filled column of subjects.csv that no table's own column hides."""
    if by in (*RATE_COLUMNS, *BEST_COLUMNS, *EVENT_COLUMNS, *own):
        raise StudyError(
            Problem(f"{by!r} is a column of the table itself", "rename it", "subjects.csv", column=by)
        )
    if by not in study.subjects.columns:
        remedy = did_you_mean(by, map(str, study.subjects.columns))
        raise StudyError(Problem(f"no column {by!r}", f"name one to group by: {remedy}", file="subjects.csv"))
    empty = study.subjects[by].isna() | (study.subjects[by] == "")
    missing = [s for s, none in zip(study.subject_ids, empty, strict=True) if none]
    if missing:
        remedy = "fill it, or group by another column"
        raise StudyError(
            Problem("without a group", remedy, "subjects.csv", subject=s, column=by) for s in missing
        )


def groups_of(study: Study, by: str) -> list:
    """The groups of a column of subjects.csv, sorted."""
    return sorted(study.subjects[by].unique())


def _attributions(study: Study, wanted: Iterable[str]) -> list[str]:
    """The attributions to keep, each known to the study."""
    if "attribution" not in study.events.columns:
        raise StudyError(Problem("no column 'attribution'", "add it and declare it", file="events.csv"))
    known = set(study.events["attribution"].dropna())
    wanted = [wanted] if isinstance(wanted, str) else list(wanted)
    strange = [w for w in wanted if w not in known | set(CELLS)]
    if strange:
        raise InputError(Problem(f"no event is attributed to {w!r}", did_you_mean(w, known)) for w in strange)
    return wanted
