"""One sheet as it is read: which way its patients run, where its header is, and what each column holds.

`read_sheet` proposes all of it; what the TOML of an earlier import says of the sheet comes first.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from kinetics.errors import Problem, StudyError
from kinetics.lab_sheet.cell_values import cell_value
from kinetics.lab_sheet.column_names import analyte_name, measure_named, rank_of_patient, role_named
from kinetics.lab_sheet.column_use import ColumnUse, use_of
from kinetics.lab_sheet.dates import date_of, is_date
from kinetics.lab_sheet.grid import Cell, Grid, address, shown, transposed
from kinetics.lab_sheet.header_block import HeaderBlock, header_at, header_block
from kinetics.lab_sheet.time_labels import TIME_WORDS, days_of, time_label, time_unit
from kinetics.lab_sheet.unit_names import LOGARITHM, split_unit
from kinetics.lab_sheet.visit_names import cycle_and_day, is_week_and_day

__all__ = ["Basis", "DataRow", "SheetReading", "read_sheet"]

Basis = Literal["written", "guess", "answer", "toml"]
LAYOUTS = ("patients in rows", "patients in columns", "left out")

_SUMMARY = re.compile(
    r"(mean|median|average|sd|sem|se|min|max|n|total|sum|cv ?%?|geo\w* ?mean|range)\.?", re.IGNORECASE
)
# stems of names with a number that is no day: IL-6, CD19, cycle 2
_NO_TIMES = re.compile(
    r"il|cd|ccl|cxcl|csf|hla|cycle|dose|infusion|cohort|grade|visit|v|c|line|level|arm|part|(r )?iss|age"
)
_BRACKETS = re.compile(r"[\[(].*?[\])]")
_OF_A_PATIENT = ("infusion date", "weight", "dose", "product", "route")  # roles of a patient's data
_NUMBERED = re.compile(r"(?P<stem>.*?)(?:^|[ _.|]+|(?<=\w)-(?=\d))(?P<number>-?\d+)")
_REMARKS = re.compile(r"remarks?|comments?|notes?|bemerkung(en)?|kommentare?|anmerkung(en)?", re.IGNORECASE)
_COVARIATES = re.compile(r"age|sex|gender|height|bmi|bsa|cohort|arm|stage|ecog|lines?|grade", re.IGNORECASE)


@dataclass(frozen=True)
class DataRow:
    """A row of data: its place in the grid, its patient as written, and whether that is the one above."""

    place: int
    patient: str
    from_above: bool = False


@dataclass(frozen=True)
class SheetReading:
    """A sheet and the reading of each column.

    `keys` are the names of the columns in the TOML, `uses` what they are read as, `bases` whether the sheet
    says so, it is a guess, or the TOML says so. `notes` are the texts above and below the table. `set_aside`
    are the rows below the header that are no data, with the reason.
    """

    grid: Grid
    header: HeaderBlock
    keys: tuple[str, ...]
    uses: tuple[ColumnUse, ...]
    bases: tuple[Basis, ...]
    rows: tuple[DataRow, ...]
    set_aside: tuple[tuple[int, str], ...]
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name of the sheet."""
        return self.grid.sheet

    @property
    def layout(self) -> str:
        """Which way the patients run."""
        return LAYOUTS[1] if self.grid.turned else LAYOUTS[0]

    def columns(self, *kinds: str) -> list[int]:
        """The places of the columns that are read as one of these kinds, in the order of the kinds."""
        return [place for kind in kinds for place, use in enumerate(self.uses) if use.kind == kind]

    def column(self, *kinds: str) -> int | None:
        """The first of them, None without one."""
        return next(iter(self.columns(*kinds)), None)


def read_sheet(grid: Grid, toml: Mapping[str, object] | None = None) -> SheetReading | None:
    """The reading of a sheet; None where it holds no patients, or the TOML leaves it out.

    `toml` is the table of the sheet in the TOML. StudyError where a reading in it is not one.
    """
    toml = toml or {}
    layout = toml.get("layout")
    if layout == "left out":
        return None
    turned = layout == LAYOUTS[1] if layout else _has_patients_in_columns(grid)
    if turned:
        upright = header_block(grid)
        grid = transposed(grid, 0 if upright is None else upright.first)
    written = toml.get("columns")
    header = _header(grid, toml.get("header_rows"), written if isinstance(written, Mapping) else {})
    if header is None:
        return None
    keys = _keys(header)
    body = range(header.last + 1, len(grid.rows))
    of_toml = dict(_uses_of_toml(grid, written if isinstance(written, Mapping) else {}))
    patient = next((place for place, key in enumerate(keys) if _is(of_toml.get(key), "patient")), None)
    if patient is None:
        patient = 0 if grid.turned else _patient_column(grid, header, body)
    if patient is None:
        return None
    _refuse_second_tables(grid, header, patient, body)
    data, set_aside = _data_rows(grid, patient, body, header)
    below = tuple(shown(grid.at(row, patient)) for row, why in set_aside if why == "a note below the table")
    notes = (*grid.titles, *header.titles, *below)
    if grid.turned and role_named(header.names[patient]) is None:
        notes = (header.names[patient], *notes)
    proposals = _proposals(grid, header, patient, [row.place for row in data], notes)
    uses = []
    bases: list[Basis] = []
    for key, (use, basis) in zip(keys, proposals, strict=True):
        known = of_toml.get(key)
        if known is None:
            uses.append(use)
            bases.append(basis)
        else:
            uses.append(replace(known, unit=known.unit or use.unit))
            bases.append(basis if str(known) == str(use) else "toml")
    return SheetReading(
        grid=grid,
        header=header,
        keys=keys,
        uses=tuple(uses),
        bases=tuple(bases),
        rows=tuple(data),
        set_aside=tuple(set_aside),
        notes=notes,
    )


def _header(grid: Grid, rows: object, columns: Mapping[str, object]) -> HeaderBlock | None:
    """The header where the TOML has it; where the columns of the TOML are found elsewhere, there."""
    header = header_block(grid)
    if not isinstance(rows, list) or len(rows) != 2 or int(rows[1]) > len(grid.rows):
        return header
    known = header_at(grid, int(rows[0]) - 1, int(rows[1]) - 1)
    if header is not None and len(set(_keys(header)) & set(columns)) > len(set(_keys(known)) & set(columns)):
        return header
    return known


def _is(use: ColumnUse | None, kind: str) -> bool:
    return use is not None and use.kind == kind


def _uses_of_toml(grid: Grid, written: Mapping[str, object]) -> Iterator[tuple[str, ColumnUse]]:
    """The readings that the TOML has of a sheet's columns. StudyError with all that are none."""
    problems = []
    for key, text in written.items():
        use = use_of(str(text))
        if isinstance(use, str):
            problems.append(
                Problem("no reading of a column", use, file=grid.sheet, column=key, value=str(text))
            )
        else:
            yield str(key), use
    if problems:
        raise StudyError(problems)


def _keys(header: HeaderBlock) -> tuple[str, ...]:
    """The names of the columns, each once: a repeated or a missing name has the letters of its column."""
    count = Counter(header.names)
    keys = []
    for place, name in enumerate(header.names):
        letters = re.sub(r"\d", "", address(0, place))
        keys.append(name if name and count[name] == 1 else f"{name or 'column'} ({letters})")
    return tuple(keys)


def _has_patients_in_columns(grid: Grid) -> bool:
    """Whether the first column holds what a header would: times, or the names of a patient's data."""
    header = header_block(grid)
    if header is None or len(grid.rows) < 3:
        return False
    body = range(header.last + 1, len(grid.rows))
    first = [grid.at(row, 0) for row in body if grid.at(row, 0) is not None]
    labels = [cell for cell in first if isinstance(cell, str) and _labels(cell)]
    others = [name for name in header.names[1:] if name]
    if len(set(map(shown, first))) < len(first) or not others:
        return False  # times that recur are those of a long table
    named = sum(bool(role_named(name) or _labels(name)) for name in others)
    if named > 0 or any(measure_named(name).unit for name in others):
        return False
    if len(labels) >= 2 and 2 * len(labels) >= len(first):
        return True
    # days as numbers under `Day`, and a patient over every other column
    numbers = [cell for cell in first if isinstance(cell, float) or re.fullmatch(r"-?\d+", shown(cell))]
    is_time = role_named(split_unit(header.names[0])[0]) in ("time", "actual time")
    return is_time and len(numbers) == len(first) > 1


def _labels(text: str) -> bool:
    """Whether a text is one of a header: a time, a role."""
    plain = split_unit(text)[0]
    return time_label(plain) is not None or role_named(plain) in _OF_A_PATIENT


def _patient_column(grid: Grid, header: HeaderBlock, body: Sequence[int]) -> int | None:
    """The column of the patients: by its name, else the first where its cells look like ids."""
    named = [place for place, name in enumerate(header.names) if role_named(name) == "patient"]
    named += [
        place
        for place, name in enumerate(header.names)
        if place not in named and any(role_named(part) == "patient" for part in name.split(" | "))
    ]
    filled = [place for place in named if any(grid.at(row, place) is not None for row in body)]
    if filled:
        return min(filled, key=lambda place: rank_of_patient(header.names[place]))
    cells = [shown(grid.at(row, 0)) for row in body if grid.at(row, 0) is not None]
    ids = [
        cell
        for cell in cells
        if re.search(r"\d", cell) and re.search(r"[A-Za-z]", cell) and not _labels(cell)
    ]
    named_otherwise = role_named(split_unit(header.names[0])[0]) is not None
    if cells and not named_otherwise and len(ids) >= 0.8 * len(cells) and len(header.names) > 1:
        return 0
    return None


def _refuse_second_tables(grid: Grid, header: HeaderBlock, patient: int, body: Sequence[int]) -> None:
    """StudyError where a sheet holds a second table, beside the first or below it."""
    name = header.names[patient]
    remedy = "put each table on a sheet of its own"
    problems = [
        grid.problem("a second table begins here, beside the first", remedy, header.last, place)
        for place in range(grid.width)
        if name and place != patient and header.names[place].lower() == name.lower()
    ]
    for row in body:
        is_again = bool(name) and shown(grid.at(row, patient)).lower() == name.lower()
        if is_again and not _is_header_again(grid, row, header):
            problems.append(grid.problem("a second table begins here, below the first", remedy, row, patient))
    if problems:
        raise StudyError(problems)


def _is_header_again(grid: Grid, row: int, header: HeaderBlock) -> bool:
    cells = [shown(grid.at(row, place)) for place in range(grid.width)]
    return cells == [shown(grid.at(header.last, place)) for place in range(grid.width)]


def _data_rows(
    grid: Grid, patient: int, body: Sequence[int], header: HeaderBlock
) -> tuple[list[DataRow], list[tuple[int, str]]]:
    """The rows of data, and the other rows that have a cell, with the reason why they are none."""
    data: list[DataRow] = []
    aside: list[tuple[int, str]] = []
    shapes = Counter(
        _shape(shown(grid.at(row, patient))) for row in body if grid.at(row, patient) is not None
    )
    last = ""
    for row in body:
        cells = [cell for place, cell in enumerate(grid.rows[row]) if cell is not None and place != patient]
        name = shown(grid.at(row, patient))
        if not name and not cells:
            continue
        if _SUMMARY.fullmatch(name):
            aside.append((row, "a summary of other rows"))
        elif name and _is_header_again(grid, row, header):
            aside.append((row, "the header again"))
        elif name and not cells and _is_note(name, shapes):
            aside.append((row, "a note below the table"))
        elif not name and not last:
            aside.append((row, "no patient"))
        else:
            data.append(DataRow(row, name or last, from_above=not name))
            last = name or last
    return data, aside


def _is_note(name: str, shapes: Mapping[str, int]) -> bool:
    """Whether a text alone in its row, in the column of patients, is a note and no patient."""
    return bool(re.search(r"[=:*]|\s\S+\s", name)) and shapes[_shape(name)] == 1


def _shape(name: str) -> str:
    return re.sub(r"[A-Za-z]+", "a", re.sub(r"\d+", "9", name))


Proposal = tuple[ColumnUse, Basis]


def _proposals(
    grid: Grid, header: HeaderBlock, patient: int, rows: list[int], notes: Sequence[str]
) -> Iterator[Proposal]:
    """What each column is proposed to be."""
    cells = [[grid.at(row, place) for row in rows] for place in range(grid.width)]
    patients = [shown(cell) for cell in cells[patient]]
    splits = [split_unit(name) for name in header.names]
    roles = [
        role_named(label) or role_named(name) or role_named(_BRACKETS.sub("", label))
        for (label, _), name in zip(splits, header.names, strict=True)
    ]
    times = (
        {} if _time_columns(roles, cells) else _times_of_headers([label for label, _ in splits], grid.turned)
    )
    chosen = _chosen(roles, cells)
    is_long = any(kind in ("time", "actual time", "sample date") for kind in chosen.values())
    table_name = _name_of_table(grid, notes)
    table_unit = next((unit for note in (grid.sheet, *notes) if (unit := split_unit(note)[1])), None)
    for place, (label, unit) in enumerate(splits):
        if place == patient:
            yield ColumnUse("patient"), "written" if roles[place] == "patient" else "guess"
        elif place in chosen:
            yield _with_role(chosen[place], label, unit), "written"
        elif place in times:
            days, rest, basis = times[place]
            if _is_measured(cells[place]):
                name = analyte_name(split_unit(rest)[0]) or table_name
                yield ColumnUse("measure", name, unit or split_unit(rest)[1] or table_unit or "", days), basis
            else:
                yield ColumnUse("note"), "guess"
        elif not any(cell is not None for cell in cells[place]):
            yield ColumnUse("left out"), "written"
        elif is_long and _is_measure(label, unit, cells[place], patients):
            names = Counter(analyte_name(other) for other, _ in splits)
            name = analyte_name(label)
            if names[name] > 1:
                name = analyte_name(f"{label} {unit or address(0, place)[:-1]}")
            yield ColumnUse("measure", name, unit or ""), "guess"
        else:
            yield _of_patient(label, unit, cells[place]), "guess"


def _name_of_table(grid: Grid, notes: Sequence[str]) -> str:
    """The name of what a wide sheet measures, where its headers have none: that of the sheet, or a title."""
    scale = "log_" if any(LOGARITHM.search(note) for note in notes) else ""
    for text in (*notes, grid.sheet):
        if not re.search(r"\bcar\b|\bcar[-_ ]?(t|nk)|transgene", text, re.IGNORECASE):
            continue
        if re.search(r"pcr|copies|transgene|vcn", text, re.IGNORECASE):
            return f"{scale}car_copies"
        if re.search(r"flow|facs|cytometr", text, re.IGNORECASE):
            return f"{scale}car_cells"
    if re.fullmatch(r"(sheet|tabelle|feuil|blad|hoja) ?\d*", grid.sheet, re.IGNORECASE):
        return f"{scale}measurement"
    return scale + (analyte_name(grid.sheet.rpartition(": ")[2]) or "measurement")


def _time_columns(roles: Sequence[str | None], cells: list[list[Cell]]) -> list[int]:
    """The columns that are named as times and hold some."""
    return [
        place
        for place, role in enumerate(roles)
        if role in ("time", "actual time") and _share_of_times(cells[place]) > 0.5
    ]


def _share_of_times(cells: Sequence[Cell]) -> float:
    """The share of cells, of those filled, that a column of times could hold."""
    filled = [cell for cell in cells if cell is not None]
    fitting = [
        cell
        for cell in filled
        if isinstance(cell, float)
        or (isinstance(cell, str) and (time_label(cell) or TIME_WORDS.match(cell) or _is_visit(cell)))
        or cell_value(cell if not is_date(cell) else "date").kind == "number"
    ]
    return len(fitting) / len(filled) if filled else 0.0


def _is_visit(text: str) -> bool:
    """Whether a text names a visit by its cycle and day, or by a week and a day."""
    return cycle_and_day(text) is not None or is_week_and_day(text)


def _times_of_headers(labels: Sequence[str], turned: bool) -> dict[int, tuple[float, str, Basis]]:
    """Place -> days, the label without the time, and the basis, of the headers that hold a time.

    Numbers alone are in the unit that the corner of a turned sheet names, else in days.
    """
    times: dict[int, tuple[float, str, Basis]] = {}
    for place, label in enumerate(labels):
        found = time_label(label)
        if found is not None and role_named(label) is None:
            basis: Basis = "guess" if found.unit in ("month", "year") or "-" in label else "written"
            times[place] = (found.days, found.rest, basis)
    stems: dict[str, list[tuple[int, int]]] = {}
    for place, label in enumerate(labels):
        match = _NUMBERED.fullmatch(label)
        if place in times or match is None:
            continue
        stems.setdefault(match["stem"].strip(), []).append((place, int(match["number"])))
    for stem, places in stems.items():
        numbers = [number for _, number in places]
        rising = all(later > earlier for earlier, later in pairwise(numbers))
        plain = re.sub(r"[^a-z]+", " ", stem.lower()).strip()
        scale = 1.0
        if turned and not stem:
            words = [unit for word in re.findall(r"[A-Za-z]+", labels[0]) if (unit := time_unit(word))]
            scale = days_of(1.0, words[0]) if words else 1.0
        if len(places) >= (2 if stem or turned else 3) and rising and _NO_TIMES.fullmatch(plain) is None:
            times |= {place: (number * scale, stem, "guess") for place, number in places}
    return times


def _chosen(roles: Sequence[str | None], cells: list[list[Cell]]) -> dict[int, str]:
    """The columns that are read by the role that their name has, where their cells allow it."""
    chosen: dict[int, str] = {}
    best = {
        role: max(places, key=lambda place: _share_of_times(cells[place]))
        for role in ("time", "actual time")
        if (places := [place for place in _time_columns(roles, cells) if roles[place] == role])
    }
    is_tall = {"analyte", "value"} <= set(roles)
    for place, role in enumerate(roles):
        filled = [cell for cell in cells[place] if cell is not None]
        dates = [cell for cell in filled if date_of(cell) is not None or is_date(cell)]
        if role in best and best[role] == place:
            chosen[place] = role
        elif role in ("sample date", "infusion date") or (role in ("time", "actual time") and dates):
            if filled and 2 * len(dates) >= len(filled):
                chosen[place] = "infusion date" if role == "infusion date" else "sample date"
        elif role in ("weight", "dose", "product", "route", "response") or (
            is_tall and role in ("analyte", "value", "unit")
        ):
            chosen[place] = role
    if not is_tall:
        return chosen
    return chosen


def _with_role(kind: str, label: str, unit: str | None) -> ColumnUse:
    """The use of a column by its role, with the unit that its name states."""
    if kind in ("time", "actual time"):
        words = [found for word in re.findall(r"[A-Za-z]+", label) if (found := time_unit(word))]
        return ColumnUse(kind, unit=unit or (words[0] if words else ""))
    unread = _BRACKETS.search(label)
    if kind in ("weight", "dose") and unit is None and unread is not None:
        return ColumnUse(
            kind, unit=unread[0].strip("[]() ")
        )  # a unit that is not read: it is asked or refused
    return ColumnUse(kind, unit=unit or "")


def _is_measured(cells: Sequence[Cell]) -> bool:
    """Whether the filled cells of a column are measurements, and not words."""
    filled = [cell for cell in cells if cell is not None]
    plain = [cell for cell in filled if not is_date(cell)]
    kinds = [cell_value(cell).kind for cell in plain]
    told = [kind for kind in kinds if kind != "no value"]
    texts = [cell for cell, kind in zip(plain, kinds, strict=True) if kind == "word" and len(shown(cell)) > 5]
    if 2 * (len(filled) - len(plain)) > len(filled) or (told and 2 * len(texts) > len(told)):
        return False
    return _has_number_or_word(kinds, plain)


def _has_number_or_word(kinds: Sequence[str], cells: Sequence[Cell]) -> bool:
    numbers = [kind for kind in kinds if kind in ("number", "below", "above", "not detected")]
    short = [
        cell
        for cell in cells
        if isinstance(cell, str) and re.fullmatch(r"n\W*d\W*|neg\w*", cell, re.IGNORECASE)
    ]
    return bool(numbers) or bool(short) or not any(kind == "word" for kind in kinds)


def _is_measure(label: str, unit: str | None, cells: Sequence[Cell], patients: Sequence[str]) -> bool:
    """Whether a column of a long table was measured anew in every row, and is not a fact of its patient."""
    kinds = [cell_value(cell).kind for cell in cells if cell is not None]
    numbers = sum(kind in ("number", "below", "above", "not detected") for kind in kinds)
    if not _is_measured(cells) or not numbers or _COVARIATES.fullmatch(label.split("_")[0]):
        return False
    if measure_named(label).unit or unit:
        return True
    values: dict[str, set[str]] = {}
    for patient, cell in zip(patients, cells, strict=True):
        values.setdefault(patient, set()).add(shown(cell))
    return len(values) == len(patients) or any(len(found) > 1 for found in values.values())


def _of_patient(label: str, unit: str | None, cells: Sequence[Cell]) -> ColumnUse:
    """A fact of the patient: a covariate where it is numbers or few words, else a note."""
    filled = [cell for cell in cells if cell is not None]
    kinds = [cell_value(cell).kind for cell in filled]
    numeric = sum(kind == "number" for kind in kinds)
    words = {shown(cell) for cell in filled}
    if not label.strip():
        return ColumnUse("left out")
    if any(is_date(cell) for cell in filled) or _REMARKS.fullmatch(label.strip()):
        return ColumnUse("note")
    if numeric >= 0.8 * len(filled):
        return ColumnUse("covariate", unit=unit or "")
    return ColumnUse("covariate" if len(words) <= min(10, max(2, len(filled) // 2)) else "note")
