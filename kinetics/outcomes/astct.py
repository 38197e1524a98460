"""CRS and ICANS grades by the ASTCT consensus, from raw signs, with their bounds where a sign is missing.

Source: Lee DW 2019, Biol Blood Marrow Transplant 25:625. The tables for adults were read as PMC9327779
Table 2 and PMC8021214 Table 1 give them, the table for children as mdedge.com (hematology-oncology, article
192202) gives it, none in the paper itself.

CRS: fever of 38.0 C or more, and the worse of hypotension and hypoxia, none of them attributable to another
cause. Once CRS has begun and antipyretics, tocilizumab or steroids were given, fever is no longer needed.
ICANS: the worst of the ICE score (in children below 12 years CAPD), consciousness, seizures, motor weakness
and signs of raised pressure, none of them attributable to another cause. Grade 5 (death) is an investigator's
judgement and is not derived from signs. Grades of other scales (CTCAE, Lee 2014, Penn) are not converted to
or from these.

A sign that was not looked for gives bounds: `at_least` is the grade that the other signs prove, `at_most` the
grade if the missing sign were the worst possible. Where the two are equal, that is the grade.

Three rules are ours, because the tables do not have them:

- An episode is over once a record shows none of its signs and no record for `resolved_days` after it shows
  one. Signs after that are another episode; for CRS, it needs fever to begin. The two days are a guess; a
  protocol may say otherwise.
- Oxygen no more than at baseline, and a score no worse than at baseline, do not count. A worse one counts as
  the table has it.
- Under sedation neither consciousness nor a score is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import floor
from typing import Literal, get_args

from kinetics.errors import InputError, Problem

__all__ = [
    "FEVER",
    "RESOLVED_DAYS",
    "SYSTEM",
    "WORDS",
    "Grade",
    "Signs",
    "crs_course",
    "icans_course",
    "icans_grade",
]

SYSTEM = "astct_2019"
FEVER = 38.0  # degrees Celsius, PMC9327779 Table 2
RESOLVED_DAYS = 2.0  # a guess; the consensus sets no time
WORST = 4  # of the grades that signs give
ROUNDING = 1e-9  # days

Oxygen = Literal[
    "none",
    "low_flow",
    "blow_by",
    "high_flow",
    "face_mask",
    "non_rebreather",
    "venturi",
    "cpap",
    "bipap",
    "ventilation",
]
Consciousness = Literal["alert", "spontaneous", "voice", "tactile", "unarousable"]
Seizure = Literal["none", "resolved", "prolonged"]
Oedema = Literal["none", "focal", "diffuse"]
Posturing = Literal["none", "decorticate", "decerebrate"]
OtherCause = bool | Literal["crs", "icans"]

WORDS: dict[str, tuple[str, ...]] = {
    "oxygen": get_args(Oxygen),
    "consciousness": get_args(Consciousness),
    "seizure": get_args(Seizure),
    "oedema": get_args(Oedema),
    "posturing": get_args(Posturing),
    "baseline_oxygen": get_args(Oxygen),
}
HYPOXIA: dict[str, int] = dict.fromkeys(get_args(Oxygen), 3) | {  # PMC9327779 Table 2
    "none": 0,
    "low_flow": 2,
    "blow_by": 2,
    "cpap": 4,
    "bipap": 4,
    "ventilation": 4,
}
SUPPORT: dict[str, int] = HYPOXIA | {"ventilation": 5}  # ventilation is more than CPAP at baseline
AWAKENS = {"alert": 0, "spontaneous": 1, "voice": 2, "tactile": 3, "unarousable": 4}  # PMC9327779 Table 2
UNAROUSABLE = "consciousness: unarousable"
SEIZURES = {"none": 0, "resolved": 3, "prolonged": 4}  # PMC9327779 Table 2; prolonged: above 5 minutes
OEDEMA = {"none": 0, "focal": 3, "diffuse": 4}  # PMC9327779 Table 2
GRADE_4 = {  # PMC9327779 Table 2: yes makes grade 4
    "motor_weakness": "motor weakness",
    "papilloedema": "papilloedema",
    "sixth_nerve_palsy": "palsy of the sixth cranial nerve",
    "cushing_triad": "Cushing's triad",
}
MOST_CAPD = 32  # CAPD: eight questions of 0 to 4 points


@dataclass(frozen=True)
class Signs:
    """The signs of one subject at one time; `day` is a day of the study. None: not measured, not looked for.

    `temperature` is in degrees Celsius. `vasopressors` does not count vasopressin. `treated`: an antipyretic,
    tocilizumab or steroids were given by then. `other_cause`: something else explains the signs, all of them
    (True) or those of "crs" or "icans" only. `sedated`: a sedating drug was given. `ice`: 0 to 10. `capd`, in
    children below 12 years in its place: 0 to 32, or "unable" where it could not be done. `baseline_oxygen`,
    `baseline_ice`, `baseline_capd`: before the cells.
    """

    day: float
    temperature: float | None
    hypotension: bool | None = False
    vasopressors: int | None = 0
    vasopressin: bool | None = False
    oxygen: Oxygen | None = "none"
    treated: bool | None = False
    other_cause: OtherCause = False
    sedated: bool | None = False
    ice: int | None = None
    capd: int | Literal["unable"] | None = None
    consciousness: Consciousness | None = "alert"
    seizure: Seizure | None = "none"
    motor_weakness: bool | None = False
    oedema: Oedema | None = "none"
    posturing: Posturing | None = "none"
    papilloedema: bool | None = False
    sixth_nerve_palsy: bool | None = False
    cushing_triad: bool | None = False
    baseline_oxygen: Oxygen | None = None
    baseline_ice: int | None = None
    baseline_capd: int | None = None


@dataclass(frozen=True)
class Grade:
    """The least and the greatest grade that the signs allow, 0 for none, and the reason.

    `episode` counts the episodes of a subject from 1; it is 0 where there is none.
    """

    day: float
    at_least: int
    at_most: int
    why: str
    episode: int = 0

    @property
    def grade(self) -> int | None:
        """The grade; None where a missing sign leaves it open."""
        return self.at_least if self.at_least == self.at_most else None


@dataclass(frozen=True)
class _Domain:
    """One column of the grading table at one time: the least and the greatest grade, and the sign in words.

    `missing` names the signs that were not looked for.
    """

    least: int
    most: int
    sign: str
    missing: tuple[str, ...] = ()


@dataclass
class _Episode:
    """The episode under way: whether it began and was treated, surely or possibly, and since when no sign is
    left.
    """

    began: bool = False
    may_have_begun: bool = False
    treated: bool = False
    may_be_treated: bool = False
    clear_since: float | None = None
    number: int = 0
    open: bool = False


# --------------------------------------------------------------------------------------------------- CRS


def crs_course(
    signs: Sequence[Signs], *, resolved_days: float = RESOLVED_DAYS, first_infusion: float | None = None
) -> list[Grade]:
    """The CRS grade at each time of one subject, whose `signs` are in order of time.

    An episode is over after `resolved_days` without a sign of it. Signs before the day of the
    `first_infusion` of cells are none of CRS. InputError lists every sign that cannot be.
    """
    _check(signs, resolved_days)
    episode = _Episode()
    grades = []
    for s in signs:
        if _is_before(s, first_infusion):
            grades.append(Grade(s.day, 0, 0, "before the first infusion of cells"))
            continue
        over_on = _end_episode(episode, s.day, resolved_days)
        explained = s.other_cause in (True, "crs")
        support = [_pressure(s), _hypoxia(s)]
        least = max(domain.least for domain in support)
        most = max(domain.most for domain in support)
        fever = s.temperature is not None and s.temperature >= FEVER and not explained
        may_be_fever = (s.temperature is None or fever) and not explained

        episode.began = episode.began or fever
        episode.may_have_begun = episode.may_have_begun or may_be_fever
        episode.treated = episode.treated or (episode.began and s.treated is True)
        episode.may_be_treated = episode.may_be_treated or (episode.may_have_begun and s.treated is not False)

        at_least = 0
        at_most = 0
        if fever:
            at_least = max(least, 1)
        elif episode.treated and not explained:
            at_least = least
        if may_be_fever:
            at_most = max(most, 1)
        elif episode.may_be_treated and not explained:
            at_most = most

        why = _crs_reason(s, support, episode, fever=fever, explained=explained)
        if over_on is not None and not fever and not explained and most:
            why += f"; the episode before was over on day {over_on:g}, and fever is needed again"
        if at_least < at_most:
            why += f"; at least {at_least}, at most {at_most}"
        is_clear = explained or (not may_be_fever and most == 0)
        number = _number_of(episode, s.day, at_most, is_clear=is_clear)
        grades.append(Grade(s.day, at_least, at_most, why, number))
    return grades


def _crs_reason(
    s: Signs, support: Sequence[_Domain], episode: _Episode, *, fever: bool, explained: bool
) -> str:
    """The reason for a CRS grade in words."""
    signs = [domain.sign for domain in support if domain.sign]
    missing = [name for domain in support for name in domain.missing]
    not_known = f"not known: {', '.join(missing)}" if missing else ""
    if explained:
        measured = [f"{s.temperature:g} C"] if s.temperature is not None and s.temperature >= FEVER else []
        what = ", ".join([*measured, *signs])
        return f"no CRS: another cause of {what}" if what else "no sign of CRS"
    if fever:
        parts = [f"{s.temperature:g} C", *signs]
        return "; ".join(p for p in (", ".join(parts), not_known) if p)
    unneeded = ""
    if episode.treated:
        unneeded = "fever is not needed after treatment"
    elif s.temperature is None:
        unneeded = "the temperature was not measured"
    elif episode.may_be_treated:
        unneeded = "whether CRS had begun and was treated is not known"
    if unneeded:
        nothing = "" if missing else "neither hypotension nor oxygen"
        return "; ".join(p for p in (", ".join(signs) or nothing, unneeded, not_known) if p)
    whatever = f", whatever else: {', '.join(signs)}" if signs else ""
    return f"no fever ({s.temperature:g} C): no CRS{whatever}"


def _pressure(s: Signs) -> _Domain:
    """The grade of hypotension (PMC9327779 Table 2), vasopressin not counted among the vasopressors."""
    drugs = []
    if s.vasopressors:
        drugs.append(f"{s.vasopressors} vasopressor{'s' if s.vasopressors > 1 else ''}")
    if s.vasopressin:
        drugs.append("vasopressin")
    least = 2 if s.hypotension else 0
    if drugs:
        least = 3
    if s.vasopressors is not None and s.vasopressors > 1:
        least = 4

    most = least
    missing = []
    if s.vasopressors is None:
        most = 4
        missing.append("vasopressors")
    if s.vasopressin is None and least < 3:
        most = max(most, 3)
        missing.append("vasopressin")
    if s.hypotension is None and least < 2:
        most = max(most, 2)
        missing.append("hypotension")
    sign = f"hypotension with {' and '.join(drugs) or 'no vasopressor'}" if least else ""
    if least == 2 and s.vasopressors is None:
        sign = "hypotension"
    return _Domain(least, most, sign, tuple(missing))


def _hypoxia(s: Signs) -> _Domain:
    """The grade of hypoxia (PMC9327779 Table 2); oxygen no more than at baseline does not count."""
    if s.oxygen is None:
        return _Domain(0, WORST, "", ("oxygen",))
    if s.oxygen == "none":
        return _Domain(0, 0, "")
    if s.baseline_oxygen is not None and SUPPORT[s.oxygen] <= SUPPORT[s.baseline_oxygen]:
        return _Domain(0, 0, f"oxygen by {s.oxygen}, no more than at baseline")
    grade = HYPOXIA[s.oxygen]
    return _Domain(grade, grade, f"oxygen by {s.oxygen}")


# ------------------------------------------------------------------------------------------------- ICANS


def icans_course(
    signs: Sequence[Signs], *, resolved_days: float = RESOLVED_DAYS, first_infusion: float | None = None
) -> list[Grade]:
    """The ICANS grade at each time of one subject, as `crs_course` gives that of CRS."""
    _check(signs, resolved_days)
    episode = _Episode()
    grades = []
    for s in signs:
        if _is_before(s, first_infusion):
            grades.append(Grade(s.day, 0, 0, "before the first infusion of cells"))
            continue
        _end_episode(episode, s.day, resolved_days)
        grade = icans_grade(s)
        number = _number_of(episode, s.day, grade.at_most, is_clear=not grade.at_most)
        grades.append(replace(grade, episode=number))
    return grades


def icans_grade(signs: Signs) -> Grade:
    """The ICANS grade at one time. InputError lists every sign that cannot be."""
    _check([signs])
    domains = [_score(signs), _consciousness(signs), *_findings(signs)]
    if signs.other_cause in (True, "icans"):
        domains = [_explained(domain) for domain in domains]
    at_least = max(domain.least for domain in domains)
    at_most = max(domain.most for domain in domains)
    if at_least:
        why = ", ".join(domain.sign for domain in domains if domain.least == at_least)
    else:
        why = ", ".join(domain.sign for domain in domains if domain.sign) or "no sign"
    if at_least == at_most == 0 and why in ("ICE 10", "CAPD 0"):
        why += " and nothing else"
    missing = [name for domain in domains for name in domain.missing if domain.most > at_least]
    if missing:
        why += f"; not known: {', '.join(missing)}"
    if at_least < at_most:
        why += f"; at least {at_least}, at most {at_most}"
    return Grade(signs.day, at_least, at_most, why)


def _score(s: Signs) -> _Domain:
    """The grade of the ICE score, or of CAPD in its place.

    A score not taken is at most grade 3: a patient who cannot be roused is grade 4 by consciousness.
    """
    if s.sedated or s.sedated is None:
        return _Domain(0, 3, "", ("the score, under sedation" if s.sedated else "sedation",))
    if s.capd is not None:
        grade = _capd_grade(s.capd)
        if s.baseline_capd is not None and s.capd != "unable" and s.capd <= s.baseline_capd:
            return _Domain(0, 0, f"CAPD {s.capd}, no worse than at baseline")
        return _Domain(grade, grade, f"CAPD {s.capd}")
    if s.ice is not None:
        if s.baseline_ice is not None and s.ice >= s.baseline_ice:
            at_baseline = "" if s.ice == 10 else ", no worse than at baseline"
            return _Domain(0, 0, f"ICE {s.ice}{at_baseline}")
        grade = _ice_grade(s.ice)
        return _Domain(grade, grade, f"ICE {s.ice}")
    return _Domain(0, 3, "", ("ICE or CAPD",))


def _ice_grade(score: int) -> int:
    """The grade of an ICE score (PMC9327779 Table 2).

    A score of 0 is grade 3 where the patient can be roused; where not, consciousness makes it grade 4.
    """
    if score == 10:
        return 0
    if score >= 7:
        return 1
    if score >= 3:
        return 2
    return 3


def _capd_grade(score: int | Literal["unable"]) -> int:
    """The grade of CAPD: 1 below 9, 3 from 9 up, 4 where it cannot be done (mdedge.com, article 192202)."""
    if score == "unable":
        return 4
    if score >= 9:
        return 3
    return 1 if score else 0


def _consciousness(s: Signs) -> _Domain:
    """The grade of consciousness; under sedation it is not read (PMC9327779 Table 2, footnote)."""
    if s.sedated:
        return _Domain(0, WORST, "", ("consciousness, under sedation",))
    if s.sedated is None or s.consciousness is None:
        return _Domain(0, WORST, "", ("consciousness",))
    grade = AWAKENS[s.consciousness]
    return _Domain(grade, grade, f"consciousness: {s.consciousness}" if grade else "")


def _findings(s: Signs) -> Iterator[_Domain]:
    """The grades of seizures, motor weakness and raised intracranial pressure (PMC9327779 Table 2)."""
    decisive = {"none": 0, "decorticate": 4, "decerebrate": 4}
    for name, value, grades in (
        ("seizure", s.seizure, SEIZURES),
        ("oedema", s.oedema, OEDEMA),
        ("posturing", s.posturing, decisive),
    ):
        if value is None:
            yield _Domain(0, WORST, "", (name,))
        else:
            words = f"seizure: {value}" if name == "seizure" else f"{value} {name}"
            yield _Domain(grades[value], grades[value], words if grades[value] else "")
    for name, words in GRADE_4.items():
        present = getattr(s, name)
        if present is None:
            yield _Domain(0, WORST, "", (words,))
        else:
            yield _Domain(4 if present else 0, 4 if present else 0, words if present else "")


def _explained(domain: _Domain) -> _Domain:
    """A domain whose sign has another cause: it does not count. A sign that is missing stays missing.

    What an unarousable patient would be like without that cause is not known.
    """
    if domain.missing or not domain.least:
        return domain
    if domain.sign == UNAROUSABLE:
        return _Domain(0, WORST, "", (f"{UNAROUSABLE} by another cause",))
    return _Domain(0, 0, f"{domain.sign} (has another cause)")


# ---------------------------------------------------------------------------------------------- episodes


def _is_before(s: Signs, first_infusion: float | None) -> bool:
    """Whether signs are of a day before that of the first infusion; a day written whole is that day."""
    return first_infusion is not None and s.day < floor(first_infusion)


def _end_episode(episode: _Episode, day: float, resolved_days: float) -> float | None:
    """End an episode that has been clear for long enough. Return the day since when, None if it goes on."""
    since = episode.clear_since
    if since is None or not episode.number or day - since < resolved_days - ROUNDING:
        return None
    episode.began = False
    episode.may_have_begun = False
    episode.treated = False
    episode.may_be_treated = False
    episode.open = False
    return since


def _number_of(episode: _Episode, day: float, at_most: int, *, is_clear: bool) -> int:
    """Count the time of a grade to its episode, whose number is returned; 0 where there is none."""
    if not is_clear:
        episode.clear_since = None
    elif episode.clear_since is None:
        episode.clear_since = day
    if not at_most:
        return 0
    if not episode.open:
        episode.open = True
        episode.number += 1
    return episode.number


# ---------------------------------------------------------------------------------------------- problems


def _check(signs: Iterable[Signs], resolved_days: float = RESOLVED_DAYS) -> None:
    """Raise InputError with every sign that cannot be."""
    problems = []
    if not resolved_days > 0:
        what = f"an episode is over after {resolved_days:g} days"
        problems.append(Problem(what, "write a number of days above 0"))
    last = float("-inf")
    for s in signs:
        when = f"day {s.day:g}"
        if s.day < last:
            problems.append(Problem(f"{when} comes after day {last:g}", "give the signs in order of time"))
        last = max(last, s.day)
        problems += (Problem(f"{when}: {what}", remedy) for what, remedy in _sign_problems(s))
    if problems:
        raise InputError(problems)


def _sign_problems(s: Signs) -> Iterator[tuple[str, str]]:
    """What cannot be in the signs of one time, each with its remedy."""
    if s.temperature is not None and not 25 <= s.temperature <= 45:
        yield f"a temperature of {s.temperature:g}", "write degrees Celsius"
    if s.vasopressors is not None and s.vasopressors < 0:
        yield f"{s.vasopressors} vasopressors", "count them from 0 up"
    for name in ("ice", "baseline_ice"):
        score = getattr(s, name)
        if score is not None and not 0 <= score <= 10:
            yield f"an ICE score of {score}", "write a whole number from 0 to 10"
    for name in ("capd", "baseline_capd"):
        score = getattr(s, name)
        if score is not None and score != "unable" and not 0 <= score <= MOST_CAPD:
            yield f"a CAPD score of {score}", f"write a whole number from 0 to {MOST_CAPD}"
    if s.ice is not None and s.capd is not None:
        yield "an ICE and a CAPD score", "give one: ICE from 12 years of age, CAPD below"
    for name, words in WORDS.items():
        word = getattr(s, name)
        if word is not None and word not in words:
            yield f"{name} {word!r}", f"write one of {', '.join(words)}"
