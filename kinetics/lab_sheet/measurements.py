"""Samples as measurements: a value or a limit, after the meaning of words and the LLOQ are known."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from kinetics.errors import Problem
from kinetics.lab_sheet.analytes import LEAVE_OUT
from kinetics.lab_sheet.cell_values import CellValue, number_of
from kinetics.lab_sheet.decimal_marks import DecimalMarks
from kinetics.lab_sheet.entries import Entry
from kinetics.lab_sheet.findings import Findings
from kinetics.lab_sheet.grid import shown
from kinetics.lab_sheet.questions import Answers, Item, answer_of, open_items
from kinetics.lab_sheet.samples import Sample

__all__ = ["Measurement", "measurements_of", "word_key"]

_MEANING = re.compile(r"(below|above|value|<|>)\s*(\S+)")
_NOTE = re.compile(
    r"\b(?:lloq|loq|lod|limit of (?:quanti\w+|detection)|detection limit)\b"
    r"[^\d<>]{0,20}(?P<number>\d[\d.,]*(?:[eE][+-]?\d+)?)",
    re.IGNORECASE,
)
_NO_VALUE = ("not done", "no value", LEAVE_OUT)


@dataclass(frozen=True)
class Measurement:
    """A sample with its value in the unit of its analyte.

    `censored` is none, left (below `value`) or right (above it). `lloq` is None where the limit does not
    hold for the record.
    """

    sample: Sample
    value: float
    censored: str
    lloq: float | None = None


def word_key(text: str) -> str:
    """A word without capitals and marks, by which `n.d.`, `n.d` and `ND` are one."""
    return re.sub(r"[\W_]+", "", text.lower()) or text


def measurements_of(
    samples: Sequence[tuple[Sample, float]],
    notes: Mapping[str, Sequence[str]],
    marks: DecimalMarks,
    answers: Answers,
) -> tuple[list[Measurement], Findings]:
    """The measurements, the questions of words and limits, and how each kind of cell was read.

    `notes` are the texts around each sheet, which may state an LLOQ, and `marks` its decimal marks.
    """
    read = [(sample, factor, marks.value(sample.sheet, sample.cell)) for sample, factor in samples]
    told = [(sample, factor, value) for sample, factor, value in read if value.kind != "no value"]
    meanings, words = _words(told, answers)
    meant = [(sample, factor, _meant(value, sample, meanings)) for sample, factor, value in told]
    limits, asked = _limits(meant, notes, answers)
    measurements = [
        measurement
        for sample, factor, value in meant
        if (measurement := _measurement(sample, factor, value, limits)) is not None
    ]
    entries = (
        *_of_cells(read),
        *words.entries,
        *asked.entries,
        *_below_the_limit(measurements, limits),
    )
    questions = (*words.questions, *asked.questions)
    return measurements, Findings(questions, entries, (*words.problems, *asked.problems))


Told = tuple[Sample, float, CellValue]


def _of_cells(read: Sequence[Told]) -> list[Entry]:
    """How each kind of cell was read, where it is more than a plain number."""
    cells: dict[tuple[str, str, str], list[tuple[str, str, str]]] = {}
    for sample, _, value in read:
        if not value.how or value.kind == "word":
            continue
        written = shown(sample.cell)
        read_as = value.kind
        kind = written
        if value.kind in ("below", "above"):
            read_as = f"{value.kind} {value.value:g}"
        elif value.kind == "number":
            kind = value.how
            read_as = f"{value.value:.10g}, {value.how}"
        key = (sample.analyte, sample.sheet, kind)
        cells.setdefault(key, []).append((sample.address, written, read_as))
    entries = []
    for (analyte, sheet, _), kind in cells.items():
        _, written, read_as = kind[0]
        others = len({text for _, text, _ in kind}) - 1
        written += f" and {others} like it" if others else ""
        places = tuple(place for place, _, _ in kind)
        entries.append(Entry(f"cells of {analyte}", sheet, written, read_as, "written", cells=places))
    return entries


def _words(told: Sequence[Told], answers: Answers) -> tuple[dict[str, str], Findings]:
    """Word -> its meaning; of an open one it is "?"."""
    places: dict[str, list[Sample]] = {}
    spelt: dict[str, str] = {}
    for sample, _, value in told:
        if value.kind == "word" or (value.kind == "number" and value.value == 0):
            text = "0" if value.kind == "number" else shown(sample.cell)
            key = word_key(text)
            spelt.setdefault(key, text)
            places.setdefault(key, []).append(sample)
    known = answers.get("words", {})
    by_key = {word_key(word): answer for word, answer in known.items()}
    meanings: dict[str, str] = {}
    items = []
    entries = []
    problems = []
    for key, samples in places.items():
        word = next((name for name in known if word_key(name) == key), spelt[key])
        answer = by_key.get(key, "?")
        names = ", ".join(dict.fromkeys(sample.analyte for sample in samples))
        items.append(Item(word, _meaning(key), f"{len(samples)} cells of {names}, as {samples[0].source}"))
        if answer.startswith("?"):
            meanings[key] = "?"
        elif _is_meaning(answer, key):
            meanings[key] = answer
        else:
            meanings[key] = "?"
            remedy = (
                "write not detected, not done, below NUMBER, above NUMBER, value NUMBER, or of 0 measured"
            )
            problems.append(Problem(f"words: {word} = {answer!r}", remedy))
        if meanings[key] != "?":
            cells = tuple(sample.source for sample in samples)
            sheets = ", ".join(dict.fromkeys(sample.sheet for sample in samples))
            entries.append(Entry(f"cells of {names}", sheets, spelt[key], answer, "answer", cells=cells))
    return meanings, Findings(tuple(open_items("words", items, answers)), tuple(entries), tuple(problems))


def _is_meaning(answer: str, key: str) -> bool:
    """Whether an answer says what a word means."""
    if answer in ("not detected", *_NO_VALUE) or (answer == "measured" and key == "0"):
        return True
    match = _MEANING.fullmatch(answer)
    return match is not None and number_of(match[2]) is not None


def _meaning(key: str) -> str | None:
    """The proposal for a word; none for `n.d.`, which may be not detected or not done, and for what holds a
    number.
    """
    if key == "0" or key.startswith(("neg", "undet")):
        return "not detected"
    return None if re.fullmatch(r"n\w?d|\W*|pos\w*|.*(\d|loq|above|over|high|trace).*", key) else "not done"


def _meant(value: CellValue, sample: Sample, meanings: Mapping[str, str]) -> CellValue:
    """The reading of a cell after the words; kind `word` where its meaning is open."""
    is_zero = value.kind == "number" and value.value == 0
    if value.kind != "word" and not is_zero:
        return value
    meaning = meanings["0" if is_zero else word_key(shown(sample.cell))]
    if meaning == "measured":
        return value
    if meaning == "?":
        return replace(value, kind="word")
    if meaning in _NO_VALUE:
        return replace(value, kind="no value")
    if meaning == "not detected":
        return replace(value, kind="not detected", value=None)
    match = _MEANING.fullmatch(meaning)
    number = None if match is None else number_of(match[2])
    if meaning.startswith("value"):
        return CellValue("number", number, value.how)
    kind = "below" if meaning[0] in "b<" else "above"
    return CellValue(kind, number, value.how)


def _limits(
    meant: Sequence[Told], notes: Mapping[str, Sequence[str]], answers: Answers
) -> tuple[dict[str, float], Findings]:
    """The LLOQ of each analyte that has one: of its cells `<50`, of a note, or as answered."""
    by_analyte: dict[str, list[Told]] = {}
    for one in meant:
        by_analyte.setdefault(one[0].analyte, []).append(one)
    in_sheet: dict[str, set[str]] = {}
    for sample, _, _ in meant:
        in_sheet.setdefault(sample.sheet, set()).add(sample.analyte)
    alone = {sheet for sheet, analytes in in_sheet.items() if len(analytes) == 1}
    limits: dict[str, float] = {}
    items = []
    entries = []
    problems = []
    for analyte, mine in by_analyte.items():
        stated = {value.value * factor for _, factor, value in mine if value.kind == "below" and value.value}
        lacking = [sample for sample, _, value in mine if value.kind in ("not detected", "word")]
        sheets = ", ".join(dict.fromkeys(sample.sheet for sample, _, _ in mine))
        cells = tuple(sample.source for sample in lacking)
        noted = _noted(analyte, mine, notes, alone)
        answer = answer_of("limits", analyte, answers)
        if answer is not None and answer != LEAVE_OUT:
            number = number_of(answer)
            if number is None or number <= 0:
                problems.append(
                    Problem(f"limits: {analyte} = {answer!r}", "write a number above 0, or leave out")
                )
                continue
            limits[analyte] = number
            entries.append(Entry(f"LLOQ of {analyte}", sheets, "not detected", answer, "answer", cells=cells))
        elif answer == LEAVE_OUT:
            entries.append(
                Entry(f"LLOQ of {analyte}", sheets, "not detected", "left out", "answer", cells=cells)
            )
        elif len(stated) == 1:
            limits[analyte] = next(iter(stated))
            if lacking:
                read_as = f"{limits[analyte]:g}, of the cells with < and a number"
                entries.append(
                    Entry(f"LLOQ of {analyte}", sheets, "not detected", read_as, "guess", cells=cells)
                )
        elif not stated and noted is not None:
            limits[analyte] = noted
            entries.append(
                Entry(f"LLOQ of {analyte}", sheets, "a note", f"{noted:g}", "written", cells=cells)
            )
        if answer is not None or (lacking and analyte not in limits):
            positive = [
                value.value * factor
                for _, factor, value in mine
                if value.kind == "number" and value.value is not None and value.value > 0
            ]
            proposal = f"{min(positive):.10g}" if positive and not stated else None
            where = f"{len(lacking)} cells not detected, as {cells[0] if cells else '-'}"
            if proposal:
                where += "; the least value is proposed"
            items.append(Item(analyte, proposal, where))
    return limits, Findings(tuple(open_items("limits", items, answers)), tuple(entries), tuple(problems))


def _noted(
    analyte: str, mine: Sequence[Told], notes: Mapping[str, Sequence[str]], alone: set[str]
) -> float | None:
    """The LLOQ that a header or a note states: the note of a sheet with one analyte, or that names it."""
    labels = {sample.label for sample, _, _ in mine}
    texts = [(text, True) for text in labels]
    for sheet in {sample.sheet for sample, _, _ in mine}:
        texts += [
            (text, sheet in alone or word_key(analyte) in word_key(text)) for text in notes.get(sheet, ())
        ]
    for text, is_of_analyte in texts:
        match = _NOTE.search(text)
        if match is not None and is_of_analyte:
            return number_of(match["number"].rstrip(".,"))
    return None


def _measurement(
    sample: Sample, factor: float, value: CellValue, limits: Mapping[str, float]
) -> Measurement | None:
    """The measurement of a cell; None where it has no value, or its meaning is open."""
    limit = limits.get(sample.analyte)
    if value.kind == "number" and value.value is not None:
        number = value.value * factor
        return Measurement(sample, number, "none", limit if limit is not None and number >= limit else None)
    if value.kind == "not detected" and limit is not None:
        return Measurement(sample, limit, "left", limit)
    if value.kind in ("below", "above") and value.value is not None:
        number = value.value * factor
        return Measurement(sample, number, "left" if value.kind == "below" else "right", None)
    return None


def _below_the_limit(measurements: Sequence[Measurement], limits: Mapping[str, float]) -> list[Entry]:
    """An entry for the numbers of each analyte that lie below its LLOQ: they stand as they were measured."""
    entries = []
    for analyte, limit in limits.items():
        cells = tuple(
            one.sample.source
            for one in measurements
            if one.sample.analyte == analyte and one.censored == "none" and one.value < limit
        )
        if cells:
            read_as = "measured, as written"
            written = f"a number below the LLOQ {limit:g}"
            entries.append(Entry(f"cells of {analyte}", "", written, read_as, "guess", cells=cells))
    return entries
