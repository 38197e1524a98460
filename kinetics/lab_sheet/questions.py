"""What only the user knows: each question with its items and proposals, and what an answer says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from kinetics.errors import InputError, Problem, did_you_mean

__all__ = [
    "ALL",
    "OPEN",
    "PROPOSED",
    "QUESTIONS",
    "Answers",
    "Item",
    "Question",
    "answer_of",
    "item_answers",
    "open_items",
]

OPEN = "?"  # an answer that begins with it is open; what follows is the proposal
ALL = "all"  # the item of a question that has one alone
PROPOSED = "proposed"

Answers = Mapping[str, Mapping[str, str]]  # question -> item -> answer

QUESTIONS = {  # key -> what is asked, and what may be answered
    "dates": ("In which order are day and month?", "day first, or month first"),
    "numbers": (
        "Is the comma or the point the decimal mark?",
        "comma, or point; of a point among decimal commas: thousands, or decimals",
    ),
    "times": ("On which day are these samples?", "a day relative to the infusion, as -7, or leave out"),
    "units": (
        "Which units are these in?",
        "a unit, as copies/ug DNA or cells/uL, of logarithms log10 copies/ug DNA, or leave out",
    ),
    "words": (
        "What do these cells say?",
        "not detected (below the LLOQ), not done, below NUMBER, above NUMBER, value NUMBER; 0: also measured",
    ),
    "limits": ("What is the LLOQ of these?", "a number in the unit of the analyte, or leave out"),
    "same_time": (
        "Two samples of one patient at the same time: which counts?",
        "planned day, first, last, or leave out",
    ),
    "infusion": (
        "What was infused on day 0?",
        "PRODUCT AMOUNT UNIT, as car_t 420e6 cells or car_nk 1e6 cells/kg; the route too if it is not iv",
    ),
}


@dataclass(frozen=True)
class Item:
    """One thing that is asked: its name, the proposal (None without one), and where it is in the sheets."""

    name: str
    proposal: str | None = None
    where: str = ""


@dataclass(frozen=True)
class Question:
    """A question with its items, of which none has an answer yet. `key` is its name in the TOML.

    `text` is what is asked and `choices` what may be answered.
    """

    key: str
    items: tuple[Item, ...]
    choices: str = ""

    @property
    def text(self) -> str:
        """What is asked."""
        return QUESTIONS[self.key][0]

    def __str__(self) -> str:
        lines = [f"{self.key}: {self.text}", f"  ({self.choices or QUESTIONS[self.key][1]})"]
        for item in self.items:
            proposal = f"  [{item.proposal}]" if item.proposal else ""
            name = "" if item.name == ALL else f"{item.name}{proposal}"
            lines.append(f"  {name or proposal.strip()}  {item.where}".rstrip())
        return "\n".join(line for line in lines if line.strip())


def open_items(key: str, items: list[Item], answers: Answers) -> list[Question]:
    """The question of those items that have no answer yet: a list of one, or of none."""
    known = answers.get(key, {})
    missing = tuple(item for item in items if known.get(item.name, OPEN).startswith(OPEN))
    return [Question(key, missing)] if missing else []


def answer_of(key: str, item: str, answers: Answers) -> str | None:
    """The answer to an item, None where it is open."""
    answer = answers.get(key, {}).get(item, OPEN)
    return None if answer.startswith(OPEN) else answer.strip()


def item_answers(question: Question, text: str) -> dict[str, str]:
    """Item -> answer of a line such as `copies = copies/ug DNA, cart_copies = leave out`.

    An empty line and `proposed` take the proposals; so do items that the line leaves out. A question of one
    item needs no name. InputError for an unknown item, and for one without a proposal that has no answer.
    """
    names = [item.name for item in question.items]
    written: dict[str, str] = {}
    text = text.strip()
    places = _starts(text, names)
    if text and text != PROPOSED and not places and len(names) == 1:
        written = {names[0]: text}
    elif text and text != PROPOSED:
        if not places or text[: places[0][0]].strip(" ,"):
            word = text.partition("=")[0].strip()
            raise InputError(Problem(f"{question.key}: no item {word!r}", did_you_mean(word, names)))
        ends = [start for start, _, _ in places[1:]] + [len(text)]
        for (_, after, name), end in zip(places, ends, strict=True):
            written[name] = text[after:end].strip(" ,")
    answers = {}
    problems = []
    for item in question.items:
        answer = written.get(item.name, "") or item.proposal
        if answer is None:
            problems.append(Problem(f"{question.key}: no answer for {item.name!r}", _remedy(question, item)))
        else:
            answers[item.name] = answer
    if problems:
        raise InputError(problems)
    return answers


def _starts(text: str, names: list[str]) -> list[tuple[int, int, str]]:
    """Where the items of an answer begin, where their answers begin, and their names, in order of place."""
    places = []
    for name in names:
        match = re.search(rf"(?:^|[,;])\s*{re.escape(name)}\s*=\s*", text)
        if match:
            places.append((match.start(), match.end(), name))
    return sorted(places)


def _remedy(question: Question, item: Item) -> str:
    choices = question.choices or QUESTIONS[question.key][1]
    return f"write `{item.name} = ...`: {choices}"
