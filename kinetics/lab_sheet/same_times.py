"""Two measurements of one patient, analyte and time: which counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from kinetics.errors import Problem
from kinetics.lab_sheet.entries import Entry
from kinetics.lab_sheet.findings import Findings
from kinetics.lab_sheet.measurements import Measurement
from kinetics.lab_sheet.questions import ALL, Answers, Item, answer_of, open_items

__all__ = ["one_at_a_time"]

CHOICES = ("planned day", "first", "last", "leave out")
_MOST_ITEMS = 6  # clashes that are asked one by one
Clash = tuple[str, float]


@dataclass(frozen=True)
class _Group:
    """The measurements of one patient, analyte and time."""

    clash: Clash
    members: tuple[Measurement, ...]

    @property
    def is_repeated(self) -> bool:
        return len(self.members) > 1

    @property
    def is_alike(self) -> bool:
        return len({(one.value, one.censored) for one in self.members}) == 1


def one_at_a_time(
    measurements: Sequence[Measurement], answers: Answers
) -> tuple[list[Measurement], Findings]:
    """The measurements with one at each time, and the question of those that clash.

    Two that are alike count as one.
    """
    groups = list(_groups(measurements))
    clashes: dict[Clash, list[_Group]] = {}
    for group in groups:
        if group.is_repeated and not (group.is_alike and _planned(group) is None):
            clashes.setdefault(group.clash, []).append(group)
    differing = {clash: mine for clash, mine in clashes.items() if not all(group.is_alike for group in mine)}
    keys = {clash: f"{clash[0]} day {clash[1]:g}" for clash in differing}
    if len(keys) > _MOST_ITEMS:
        keys = dict.fromkeys(keys, ALL)
    items = list(_items(differing, keys))
    kept: list[Measurement] = []
    entries: list[Entry] = []
    problems: list[Problem] = []
    for group in groups:
        answer = None
        if group.clash in keys:
            answer = answer_of("same_time", keys[group.clash], answers)
            if answer is not None and answer not in CHOICES:
                what = f"same_time: {keys[group.clash]} = {answer!r}"
                problems.append(Problem(what, f"write {', '.join(CHOICES)}"))
                answer = None
        chosen = _chosen(group, answer)
        kept += chosen
        if group.is_repeated and (answer is not None or group.clash not in keys):
            read_as = answer or "alike: counted once"
            cells = tuple(one.sample.source for one in group.members)
            written = f"{len(group.members)} at {group.clash[0]} day {group.clash[1]:g}"
            basis = "answer" if answer else "guess"
            entries.append(
                Entry(f"cells of {group.members[0].sample.analyte}", "", written, read_as, basis, cells=cells)
            )
            if answer == "planned day" and len(chosen) == len(group.members):
                days = [one.sample.days for one in chosen]
                if len(set(days)) < len(days):
                    what = (
                        f"two samples of {group.clash[0]} on day {group.clash[1]:g}, planned for one day too"
                    )
                    problems.append(Problem(what, "answer first, last or leave out", file=cells[0]))
    return kept, Findings(tuple(open_items("same_time", items, answers)), tuple(entries), tuple(problems))


def _groups(measurements: Sequence[Measurement]) -> Iterator[_Group]:
    members: dict[tuple[str, str, float], list[Measurement]] = {}
    for one in measurements:
        if one.sample.days is not None:
            key = (one.sample.patient, one.sample.analyte, one.sample.days)
            members.setdefault(key, []).append(one)
    for (patient, _, days), mine in members.items():
        yield _Group((patient, days), tuple(mine))


def _planned(group: _Group) -> list[float] | None:
    """The planned days of a group's members, where each has one and they differ."""
    days = [one.sample.planned_days for one in group.members if one.sample.planned_days is not None]
    return days if len(days) == len(group.members) == len(set(days)) else None


def _items(clashes: dict[Clash, list[_Group]], keys: dict[Clash, str]) -> Iterator[Item]:
    """The items of the question, each once."""
    by_key: dict[str, list[_Group]] = {}
    for clash, groups in clashes.items():
        by_key.setdefault(keys[clash], []).extend(groups)
    for key, groups in by_key.items():
        has_planned = all(_planned(group) is not None for group in groups)
        first = groups[0].members
        planned = [f" ({one.sample.planned})" if one.sample.planned else "" for one in first]
        cells = ", ".join(one.sample.source + text for one, text in zip(first, planned, strict=True))
        yield Item(key, "planned day" if has_planned else None, f"{len(groups)} pairs of cells, as {cells}")


def _chosen(group: _Group, answer: str | None) -> list[Measurement]:
    """The members that count. Without an answer it is the first, for the time being."""
    members = list(group.members)
    if not group.is_repeated:
        return members
    if answer == "leave out":
        return []
    if answer == "last":
        return members[-1:]
    if answer == "planned day":
        return [
            replace(one, sample=replace(one.sample, days=one.sample.planned_days))
            if one.sample.planned_days is not None
            else one
            for one in members
        ]
    return members[:1]
