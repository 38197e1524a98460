"""All sheets together as the tables of a study, with every question, interpretation and problem."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pandas import DataFrame

from kinetics.errors import Problem
from kinetics.lab_sheet.analytes import AnalyteFacts, analytes_of
from kinetics.lab_sheet.covariates import subject_facts
from kinetics.lab_sheet.cycle_labels import cycles_of, header_problems
from kinetics.lab_sheet.decimal_marks import decimal_marks
from kinetics.lab_sheet.entries import Entry
from kinetics.lab_sheet.findings import Findings, together
from kinetics.lab_sheet.grid import shown
from kinetics.lab_sheet.import_file import ImportFile
from kinetics.lab_sheet.infusion_dates import calendar_of
from kinetics.lab_sheet.infusions import Infusion, infusions_of, level_of
from kinetics.lab_sheet.measurements import Measurement, measurements_of
from kinetics.lab_sheet.patients import Spelling, patient_names
from kinetics.lab_sheet.questions import QUESTIONS, Answers, Question
from kinetics.lab_sheet.responses import RESPONSE_COLUMNS, responses_of
from kinetics.lab_sheet.same_times import one_at_a_time
from kinetics.lab_sheet.samples import samples_of
from kinetics.lab_sheet.sheet_reading import SheetReading

__all__ = ["Interpretation", "interpret"]

_SCREENING_DAYS = 60.0  # what a dictionary allows without saying


@dataclass(frozen=True)
class Interpretation:
    """The tables of the study by name, the content of its dictionary, and what was found on the way.

    `places` has the sheet and the row of every row of observations.csv.
    """

    tables: Mapping[str, DataFrame]
    dictionary: Mapping[str, Any]
    analytes: Mapping[str, AnalyteFacts]
    spellings: tuple[Spelling, ...]
    places: tuple[tuple[str, int], ...]
    questions: tuple[Question, ...]
    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...]


def interpret(
    readings: Sequence[SheetReading], content: ImportFile, answers: Answers, title: str
) -> Interpretation:
    """The study that the sheets hold, as far as the answers go."""
    spellings = patient_names(readings, content.patients)
    names = {(spelling.sheet, spelling.written): spelling.patient for spelling in spellings}
    everyone = {
        names.get((reading.name, row.patient), row.patient) for reading in readings for row in reading.rows
    }
    calendar, dated = calendar_of(readings, names, answers)
    marks, marked = decimal_marks(readings, answers)
    cycles = cycles_of(readings, names, answers)
    samples, timed = samples_of(
        readings, names, calendar, answers, month_days=content.month_days, cycles=cycles
    )
    samples = [sample for sample in samples if sample.patient not in content.leave_out]
    known = {name: table.model_dump() for name, table in content.analytes.items()}
    analytes, kept, named = analytes_of(samples, answers, known)
    notes = {reading.name: reading.notes for reading in readings}
    measurements, measured = measurements_of(kept, notes, marks, answers)
    measurements, single = one_at_a_time(measurements, answers)
    patients, without = _patients(readings, names, measurements, content.leave_out)
    infusions, infused = infusions_of(
        readings, names, patients, marks, answers, cycles=cycles, later_days=calendar.later
    )
    responses, responded = responses_of(
        readings,
        names,
        calendar,
        answers,
        month_days=content.month_days,
        cycles=cycles,
        patients=patients,
    )
    facts, declared, described = subject_facts(readings, names, patients, marks)
    facts, declared = _with_levels(facts, declared, infusions)
    linear = {name for name, spec in analytes.items() if spec.scale == "linear"}
    observations, places, lloqs = _observations(measurements, patients, linear)
    dictionary, framed = _dictionary(
        content, title, analytes, lloqs, declared, observations=observations, readings=readings
    )
    found = together(
        [
            Findings(entries=tuple(_of_sheets(readings))),
            Findings(entries=tuple(_of_patients(spellings, content, everyone))),
            dated,
            marked,
            timed,
            named,
            measured,
            single,
            without,
            infused,
            responded,
            described,
            framed,
        ]
    )
    unread = [*header_problems(readings)]
    found = together([found, Findings(problems=tuple(unread))])
    if not unread and not any(reading.columns("measure", "value") for reading in readings):
        remedy = "name the times of the columns, as D7 or `Day 7`, or add a column of days"
        files = ", ".join(dict.fromkeys(reading.grid.file for reading in readings))
        found = together([found, Findings(problems=(Problem("no measurement", remedy, file=files),))])
    tables = {
        "subjects": facts.rename_axis("subject").reset_index(),
        "doses": _doses(infusions),
        "observations": observations,
    }
    if len(responses):
        tables["responses"] = responses
        dictionary["columns"]["responses"] = RESPONSE_COLUMNS
    return Interpretation(
        tables=tables,
        dictionary=dictionary,
        analytes=analytes,
        spellings=tuple(spellings),
        places=places,
        questions=_merged(found.questions),
        entries=found.entries,
        problems=found.problems,
    )


def _merged(questions: Sequence[Question]) -> tuple[Question, ...]:
    """One question for each key, in the order in which they are asked."""
    merged = []
    for key in QUESTIONS:
        same = [question for question in questions if question.key == key]
        if same:
            items = {item.name: item for question in same for item in question.items}
            merged.append(Question(key, tuple(items.values()), same[0].choices))
    return tuple(merged)


def _of_sheets(readings: Sequence[SheetReading]) -> list[Entry]:
    """How each sheet and each of its columns is read."""
    entries = []
    for reading in readings:
        first = reading.header.first + 1
        last = reading.header.last + 1
        what = "column" if reading.grid.turned else "row"
        rows = f"{what} {first}" if first == last else f"{what}s {first} to {last}"
        read_as = f"{reading.layout}, header in {rows}"
        if reading.grid.how:
            read_as += f"; {reading.grid.how}"
        entries.append(Entry("sheet", reading.name, reading.grid.file, read_as, "guess"))
        for place, (key, use, basis) in enumerate(
            zip(reading.keys, reading.uses, reading.bases, strict=True)
        ):
            cell = (reading.grid.address(reading.header.last, place),)
            read_as = str(use) + (f", {use.unit}" if use.kind == "measure" and use.unit else "")
            entries.append(Entry("column", reading.name, key, read_as, basis, cells=cell))
        for row, why in reading.set_aside:
            cells = [shown(cell) for cell in reading.grid.rows[row] if cell is not None]
            address = (reading.grid.address(row, 0),)
            entries.append(
                Entry("row", reading.name, " ".join(cells)[:60], f"left out: {why}", "guess", cells=address)
            )
        above = tuple(reading.grid.address(row.place, 0) for row in reading.rows if row.from_above)
        if above:
            entries.append(
                Entry("patient", reading.name, "an empty cell", "the patient above", "guess", cells=above)
            )
    return entries


def _of_patients(spellings: Sequence[Spelling], content: ImportFile, everyone: set[str]) -> list[Entry]:
    """The patients that are read as another name, and those that the TOML leaves out."""
    entries = [
        Entry(
            "patient",
            spelling.sheet,
            spelling.written,
            f"{spelling.patient} ({spelling.why})",
            "toml" if spelling.why == "the TOML says so" else "guess",
        )
        for spelling in spellings
    ]
    for patient in content.leave_out:
        read_as = "left out" if patient in everyone else "in none of these sheets: leave_out names no patient"
        entries.append(Entry("patient", "", patient, read_as, "toml"))
    return entries


def _patients(
    readings: Sequence[SheetReading],
    names: Mapping[tuple[str, str], str],
    measurements: Sequence[Measurement],
    leave_out: Sequence[str],
) -> tuple[list[str], Findings]:
    """The patients with a measurement, in the order of the sheets, and an entry of those without."""
    everyone = dict.fromkeys(
        names.get((reading.name, row.patient), row.patient) for reading in readings for row in reading.rows
    )
    measured = {one.sample.patient for one in measurements}
    patients = [patient for patient in everyone if patient in measured and patient not in leave_out]
    lacking = [patient for patient in everyone if patient not in measured and patient not in leave_out]
    entries = [
        Entry("patient", "", patient, "left out: no cell with a value", "written") for patient in lacking
    ]
    return patients, Findings(entries=tuple(entries))


def _with_levels(
    facts: DataFrame, declared: dict[str, dict[str, str]], infusions: Sequence[Infusion]
) -> tuple[DataFrame, dict[str, dict[str, str]]]:
    """The facts with the dose level of each patient, where all are in one unit."""
    levels = {one.patient: level_of(one) for one in infusions if one.cycle == 1}
    units = {unit for _, unit in levels.values()}
    if len(units) != 1:
        return facts, declared
    column = [f"{levels[patient][0]:.10g}" if patient in levels else "" for patient in facts.index]
    spec = {"role": "covariate", "label": "Dose", "kind": "number", "unit": units.pop()}
    return facts.assign(dose_level=column), declared | {"dose_level": spec}


def _doses(infusions: Sequence[Infusion]) -> DataFrame:
    rows = [
        (one.patient, one.day, one.amount, one.unit, one.product, one.route, one.cycle) for one in infusions
    ]
    table = DataFrame(rows, columns=["subject", "time", "amount", "unit", "product", "route", "cycle"])
    return table if (table["cycle"] > 1).any() else table.drop(columns="cycle")


def _observations(
    measurements: Sequence[Measurement], patients: Sequence[str], linear: set[str]
) -> tuple[DataFrame, tuple[tuple[str, int], ...], dict[str, float]]:
    """observations.csv in order, the sheet and row of each record, and the LLOQ that holds for all records
    of an analyte. The limits of an analyte that is not `linear` stand with its records, in logarithms as they
    are.
    """
    place = {patient: rank for rank, patient in enumerate(patients)}
    ordered = sorted(
        (one for one in measurements if one.sample.patient in place and one.sample.days is not None),
        key=lambda one: (place[one.sample.patient], one.sample.analyte, one.sample.days or 0.0),
    )
    limits: dict[str, set[float | None]] = {}
    for one in ordered:
        limit = one.value if one.censored == "left" else one.lloq
        if one.censored != "right" or limit is not None:
            limits.setdefault(one.sample.analyte, set()).add(limit)
    everywhere = {
        name: limit
        for name, values in limits.items()
        if name in linear and len(values) == 1 and (limit := next(iter(values))) is not None
    }
    rows = [
        {
            "subject": one.sample.patient,
            "time": one.sample.days,
            "analyte": one.sample.analyte,
            "value": one.value,
            "censored": one.censored,
            "lloq": None if one.sample.analyte in everywhere or one.censored != "none" else one.lloq,
            "planned": one.sample.planned,
            "cell": one.sample.source,
        }
        for one in ordered
    ]
    columns = ["subject", "time", "analyte", "value", "censored", "lloq", "planned", "cell"]
    table = DataFrame(rows, columns=columns)
    empty = [name for name in ("lloq", "planned") if (table[name].isna() | (table[name] == "")).all()]
    places = tuple((one.sample.sheet, one.sample.row) for one in ordered)
    return table.drop(columns=empty), places, everywhere


def _dictionary(
    content: ImportFile,
    title: str,
    analytes: Mapping[str, AnalyteFacts],
    lloqs: Mapping[str, float],
    declared: Mapping[str, Mapping[str, str]],
    observations: DataFrame,
    readings: Sequence[SheetReading],
) -> tuple[dict[str, Any], Findings]:
    """The content of dictionary.toml."""
    study = content.study
    files = ", ".join(dict.fromkeys(reading.grid.file for reading in readings))
    dictionary: dict[str, Any] = {
        "title": study.title or title,
        "source": study.source or f"{files}, read by kinetics import",
        "licence": study.licence,
        "synthetic": study.synthetic,
    }
    entries = [
        Entry("study", "", "nothing", "synthetic data" if study.synthetic else "measured data", "guess")
    ]
    earliest = float(observations["time"].min()) if len(observations) else 0.0
    if -earliest > _SCREENING_DAYS:
        dictionary["screening_days"] = math.ceil(-earliest)
        read_as = f"screening_days = {math.ceil(-earliest)}"
        entries.append(Entry("time", "", f"a sample on day {earliest:g}", read_as, "guess"))
    dictionary["analytes"] = {}
    measured = set(observations["analyte"])
    for name, facts in analytes.items():
        if name in measured:
            spec: dict[str, Any] = asdict(facts)
            if spec["scale"] == "linear":
                del spec["scale"]
            if name in lloqs:
                spec["lloq"] = lloqs[name]
            dictionary["analytes"][name] = spec
    note = {"role": "note", "kind": "category"}
    labels = {"planned": "Planned time", "cell": "Cell of the sheet"}
    dictionary["columns"] = {
        "subjects": {name: dict(spec) for name, spec in declared.items()},
        "doses": {"time": {"unit": "day"}},
        "observations": {"time": {"unit": "day"}}
        | {name: note | {"label": label} for name, label in labels.items() if name in observations},
    }
    return dictionary, Findings(entries=tuple(entries))
