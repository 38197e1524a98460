"""A study's recorded responses by the criteria that a protocol names: Lugano, IMWG, iwCLL, RANO and others.

RECIST 1.1 and iRECIST have rules of their own (`responses`, `immune_responses`); for every other criteria of
`kinetics.protocol.RESPONSE_CRITERIA` the column `overall` of responses.csv holds the categories as a reader
recorded them, and the best response is the best of these up to the first progression.

Where a protocol names the criteria of each subject by a column, such as the disease, responses are told in
words that all of them share: PR is what each subject's criteria count as a response, SD what they count as
disease control, PD a progression. The category that was recorded stands in the reason.

With confirmation, a response counts with the worst category of the assessments from it to a later one, at
least `confirm_days` after it, if all of these but one NE are better than stable disease. (One NE as in
RECIST's rules here; the sources speak of consecutive assessments.) One that is not confirmed is an SD, or
"NE" where the criteria have no SD.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import nan
from typing import cast

from pandas import DataFrame, concat, isna

from kinetics.errors import InputError, Problem, StudyError, did_you_mean
from kinetics.outcomes.arm_studies import study_of_subjects
from kinetics.outcomes.grouping import check_by
from kinetics.outcomes.immune_responses import (
    as_recist,
    best_immune_responses,
    immune_assessments_of,
    immune_response_rates,
)
from kinetics.outcomes.recist import RECIST_1_1, Assessment, BestResponse, RecistRules, Response
from kinetics.outcomes.responses import (
    Population,
    assessments_of,
    best_responses,
    first_infusions,
    rates_of,
    response_rates,
)
from kinetics.protocol import RESPONSE_CRITERIA, CriteriaName, Protocol, ResponseCriteria, criteria_of
from kinetics.study import Study

__all__ = [
    "ResponseReading",
    "as_recist_scans",
    "best_by_criteria",
    "best_category",
    "category_assessments",
    "rates_by_criteria",
    "reading_of",
    "recist_rules",
]

_SHARED_RESPONSE = ("PR",)  # the word for a response where subjects have criteria of their own
_STABLE = ("SD", "NON-CR/NON-PD", "NR")  # categories that need no confirmation


@dataclass(frozen=True)
class ResponseReading:
    """How a study's responses are read: by which criteria, and which categories count as a response.

    `counted` is empty where those of the criteria count. With a `column` of subjects.csv, `by_value` holds
    the criteria of the subjects with each of its values, and `criteria` is not used.

    >>> from kinetics.outcomes.by_criteria import ResponseReading
    >>> reading = ResponseReading("imwg_2016", counted=("sCR", "CR", "VGPR"))
    >>> reading.response, reading.rates()["dcr"][-1], reading.title
    (('sCR', 'CR', 'VGPR'), 'SD', 'IMWG 2016, a response being sCR, CR, VGPR')
    """

    criteria: CriteriaName = "recist_1.1"
    counted: tuple[str, ...] = ()
    column: str = ""
    by_value: tuple[tuple[str, CriteriaName], ...] = ()

    @property
    def named(self) -> ResponseCriteria:
        """The criteria themselves. InputError for a name that there is not."""
        return criteria_of(self.criteria)

    @property
    def parts(self) -> dict[str, ResponseReading]:
        """Value of the column -> how the responses of its subjects are read; empty without a column."""
        return {value: ResponseReading(criteria) for value, criteria in self.by_value}

    @property
    def response(self) -> tuple[str, ...]:
        """The categories that count as a response."""
        if self.column:
            return _SHARED_RESPONSE
        return self.counted or self.named.response

    @property
    def title(self) -> str:
        """The criteria in print, and the categories that count where they are not the criteria's."""
        if self.column:
            named = [f"{part.title} for {value}" for value, part in self.parts.items()]
            return f"{', '.join(named)}; PR a response, SD disease control"
        counted = f", a response being {', '.join(self.counted)}" if self.counted else ""
        return f"{self.named.title}{counted}"

    def rates(self) -> dict[str, tuple[str, ...]]:
        """Objective response and disease control: name -> categories that count."""
        if self.column:
            return {"orr": _SHARED_RESPONSE, "dcr": (*_SHARED_RESPONSE, "SD")}
        return {"orr": self.response, "dcr": self.named.disease_control}

    def note(self, confirmed: bool) -> str:
        """A sentence where the criteria ask for a confirmation that was not asked for; "" else."""
        if self.column:
            notes = dict.fromkeys(part.note(confirmed) for part in self.parts.values())
            return "; ".join(note for note in notes if note)
        if confirmed or not self.named.confirmation:
            return ""
        when = f"at least {self.named.confirm_days:g} days later" if self.named.confirm_days else "later"
        return f"unconfirmed; {self.named.title} asks for a second assessment {when} (--confirmed)"


def reading_of(protocol: Protocol) -> ResponseReading:
    """The criteria and categories of a protocol's [endpoints.response]; RECIST 1.1 where it names none."""
    endpoint = protocol.endpoints.get("response")
    if endpoint is not None and endpoint.grading_by is not None:
        by_value = tuple(endpoint.grading_by.values.items())
        return ResponseReading(column=endpoint.grading_by.column, by_value=by_value)
    if endpoint is None or endpoint.grading is None or endpoint.grading.value not in RESPONSE_CRITERIA:
        return ResponseReading()
    return ResponseReading(cast(CriteriaName, endpoint.grading.value), endpoint.counted)


def best_by_criteria(
    study: Study,
    reading: ResponseReading,
    confirmed: bool = False,
    *,
    by: str = "dose_level",
) -> DataFrame:
    """The best response of each subject by any criteria, as `kinetics.outcomes.best_responses`.

    StudyError with every category that is none of the criteria's. InputError for iRECIST with confirmation.
    """
    if reading.column:
        return _best_in_shared_words(study, reading, confirmed, by)
    if reading.criteria == "recist_1.1":
        return best_responses(study, confirmed, by=by)
    if reading.criteria == "irecist":
        _refuse_confirmation(confirmed)
        return best_immune_responses(study, by=by)
    check_by(study, by)
    by_subject = category_assessments(study, reading.named)
    starts = first_infusions(study)
    rows = []
    for subject in study.subject_ids:
        assessments = by_subject[subject]
        best = best_category(assessments, reading.named, confirmed=confirmed)
        why = best.why if subject in starts else "no infusion of cells"
        rows.append(
            {
                "subject": subject,
                by: study.subjects.loc[subject, by],
                "treated": subject in starts,
                "response": best.response,
                "day": nan if best.day is None else best.day,
                "confirmed_on": nan if best.confirmed_on is None else best.confirmed_on,
                "assessments": len(assessments),
                "why": why,
            }
        )
    return DataFrame(rows)


def _best_in_shared_words(study: Study, reading: ResponseReading, confirmed: bool, by: str) -> DataFrame:
    """The best response of each subject by its own criteria: PR, SD, PD, NE or MISSING."""
    tables = []
    for value, subjects in _subjects_by_value(study, reading).items():
        part = reading.parts[value]
        best = best_by_criteria(study_of_subjects(study, subjects), part, confirmed, by=by)
        words = [_shared_word(str(category), part) for category in best["response"]]
        tables.append(best.assign(response=words))
    return concat(tables).set_index("subject").loc[study.subject_ids].reset_index()


def _shared_word(category: str, reading: ResponseReading) -> str:
    """What a category is in words that all criteria share."""
    if category in ("NE", "MISSING"):
        return category
    if category in reading.response:
        return "PR"
    if category in reading.named.progression:
        return "PD"
    return "SD" if category in reading.named.disease_control else "NE"


def _subjects_by_value(study: Study, reading: ResponseReading) -> dict[str, list[str]]:
    """Value of the column -> its subjects. StudyError for a missing column and for every other value."""
    if reading.column not in study.subjects.columns:
        remedy = did_you_mean(reading.column, map(str, study.subjects.columns))
        what = f"no column {reading.column!r}, by which the protocol names the criteria of a response"
        raise StudyError(Problem(what, remedy, file="subjects.csv"))
    subjects: dict[str, list[str]] = {value: [] for value, _ in reading.by_value}
    problems = []
    for subject, cell in study.subjects[reading.column].items():
        value = "" if isna(cell) else str(cell)
        if value in subjects:
            subjects[value].append(str(subject))
            continue
        problems.append(
            Problem(
                "the protocol names no response criteria for it",
                f"{did_you_mean(value, subjects)}; or add it to [endpoints.response.grading_by]",
                file="subjects.csv",
                subject=str(subject),
                column=reading.column,
                value=value,
            )
        )
    if problems:
        raise StudyError(problems)
    return {value: members for value, members in subjects.items() if members}


def rates_by_criteria(
    study: Study,
    reading: ResponseReading,
    by: str = "dose_level",
    *,
    confirmed: bool = False,
    population: Population = "treated",
    level: float = 0.95,
) -> DataFrame:
    """Rates of objective response and of disease control by any criteria, as `response_rates`."""
    if reading == ResponseReading():
        return response_rates(study, by, confirmed=confirmed, population=population, level=level)
    if reading == ResponseReading("irecist"):
        _refuse_confirmation(confirmed)
        return immune_response_rates(study, by)
    best = best_by_criteria(study, reading, confirmed, by=by)
    return rates_of(best, by, reading.rates(), confirmed=confirmed, population=population, level=level)


def category_assessments(study: Study, criteria: ResponseCriteria) -> dict[str, list[Assessment]]:
    """Every subject's recorded categories after the first infusion of cells, in order of time.

    Without a record nobody has one. StudyError with every word that is no category of these criteria.
    """
    table = study.responses
    if table.empty:
        return {subject: [] for subject in study.subject_ids}
    if "overall" not in table.columns:
        what = "no column 'overall'"
        remedy = f"write each assessment's category ({', '.join(criteria.words())}) and declare the column"
        raise StudyError(Problem(what, remedy, file="responses.csv"))
    starts = first_infusions(study)
    by_subject: dict[str, list[Assessment]] = {subject: [] for subject in study.subject_ids}
    problems = []
    for row in table.sort_values(["subject", "time"], kind="stable").to_dict("records"):
        subject = str(row["subject"])
        day = float(row["time"])
        word = "" if isna(row["overall"]) else str(row["overall"])
        at_baseline = day <= starts.get(subject, float("inf"))
        if at_baseline and word == "":
            continue  # the measurement before treatment, which has no response
        category = criteria.category(word)
        if category is None:
            problem = criteria.problem(word)
        elif at_baseline:
            problem = Problem("a response before any cells", "leave `overall` empty at baseline")
        elif by_subject[subject] and by_subject[subject][-1].day == day:
            problem = Problem("two responses on it", "keep one")
        else:
            by_subject[subject].append(Assessment(day, cast(Response, category)))
            continue
        problems.append(
            replace(
                problem,
                what=f"day {day:g}: {problem.what}",
                file="responses.csv",
                row=int(row["row"]) if "row" in row else None,
                subject=subject,
                column="overall",
            )
        )
    if problems:
        raise StudyError(problems)
    return by_subject


def best_category(
    assessments: Sequence[Assessment], criteria: ResponseCriteria, *, confirmed: bool
) -> BestResponse:
    """The best category up to the first progression, and the reason for it."""
    if not assessments:
        return BestResponse("MISSING", None, None, "no assessment after the first infusion of cells")
    ends = [place for place, a in enumerate(assessments) if a.response in criteria.progression]
    counted = assessments[: ends[0] + 1] if ends else assessments
    candidates = [_candidate(counted, place, criteria, confirmed) for place in range(len(counted))]
    return min(candidates, key=lambda candidate: criteria.words().index(candidate.response))


def as_recist_scans(study: Study, reading: ResponseReading) -> dict[str, list[Assessment]]:
    """Every subject's assessments in the words of RECIST, for times to event.

    A counted response is a PR, a progression is a PD, anything else an SD, and NE stays NE; RECIST's own are
    as they are. `why` is the category.
    """
    if reading.column:
        scans: dict[str, list[Assessment]] = {}
        for value, subjects in _subjects_by_value(study, reading).items():
            scans |= as_recist_scans(study_of_subjects(study, subjects), reading.parts[value])
        return {subject: scans[subject] for subject in study.subject_ids}
    if reading.criteria == "recist_1.1" and not reading.counted:
        return assessments_of(study)
    if reading.criteria == "irecist":
        return {subject: as_recist(immune) for subject, immune in immune_assessments_of(study).items()}
    criteria = reading.named

    def plain(category: str) -> Response:
        if category in reading.response:
            return "PR"
        if category in criteria.progression:
            return "PD"
        return "NE" if category == "NE" else "SD"

    return {
        subject: [Assessment(a.day, plain(a.response), a.response) for a in assessments]
        for subject, assessments in category_assessments(study, criteria).items()
    }


def recist_rules(reading: ResponseReading, rules: RecistRules = RECIST_1_1) -> RecistRules:
    """The rules by which scans of `as_recist_scans` are confirmed: after the days of the criteria.

    Of several criteria it is the longest time.
    """
    if reading.column:
        days = max(part.named.confirm_days for part in reading.parts.values())
        return replace(rules, confirm_days=days, sd_days=0.0)
    if reading.criteria in ("recist_1.1", "irecist"):
        return rules
    return replace(rules, confirm_days=reading.named.confirm_days, sd_days=0.0)


def _candidate(
    assessments: Sequence[Assessment], place: int, criteria: ResponseCriteria, confirmed: bool
) -> BestResponse:
    """The best response that one assessment can count as."""
    a = assessments[place]
    needs_no_other = a.response in (*_STABLE, *criteria.progression, "NE")
    if needs_no_other or not confirmed:
        asked = "" if needs_no_other else ", not asked to be confirmed"
        return BestResponse(a.response, a.day, None, f"{a.response} on day {a.day:g}{asked}")
    run = [str(a.response)]
    options = []
    for later in assessments[place + 1 :]:
        if later.response in (*_STABLE, *criteria.progression):
            break
        run.append(later.response)
        if run.count("NE") > RECIST_1_1.most_ne_between:
            break
        if later.response != "NE" and later.day - a.day >= criteria.confirm_days:
            category = criteria.worst([word for word in run if word != "NE"])
            options.append((category, later.day))
    if options:
        category, day = min(options, key=lambda option: criteria.words().index(option[0]))
        why = f"{a.response} on day {a.day:g}, {category} confirmed {day - a.day:g} days later"
        return BestResponse(cast(Response, category), a.day, day, why)
    instead: Response = "SD" if "SD" in criteria.categories else "NE"
    return BestResponse(instead, a.day, None, f"{a.response} on day {a.day:g}, not confirmed: {instead}")


def _refuse_confirmation(confirmed: bool) -> None:
    """Raise InputError where confirmed responses by iRECIST are asked for."""
    if confirmed:
        what = "iRECIST with confirmation: confirmation of iCR and iPR is not judged"
        raise InputError(Problem(what, "leave one of them out"))
