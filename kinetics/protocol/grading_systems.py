"""The scales by which adverse events are graded. Grades of different scales never convert.

`GRADING_SYSTEMS` is the one list of them: a protocol's triggers, stopping rules and graded endpoints name one
of these, and events.csv stores it with each grade.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["GRADING_SYSTEMS", "GradingName", "GradingSystem"]

GradingName = Literal[
    "ctcae_v3",
    "ctcae_v4",
    "ctcae_v5",
    "ctcae_v6",
    "lee_2014",
    "penn_2018",
    "cartox_2018",
    "astct_2019",
]


@dataclass(frozen=True)
class GradingSystem:
    """A scale of adverse events.

    `title` is its name in print, `grades` are its lowest and highest grade, `source` is where it is defined.

    >>> from kinetics.protocol.grading_systems import GRADING_SYSTEMS
    >>> lee = GRADING_SYSTEMS["lee_2014"]
    >>> lee.title, lee.grades, lee.source
    ('Lee 2014', (1, 5), 'Lee DW et al., Blood 2014;124:188')
    """

    title: str
    source: str
    grades: tuple[int, int] = (1, 5)


GRADING_SYSTEMS: dict[GradingName, GradingSystem] = {
    "ctcae_v3": GradingSystem("CTCAE v3.0", "NCI, Common Terminology Criteria for Adverse Events v3.0, 2003"),
    "ctcae_v4": GradingSystem("CTCAE v4.0", "NCI, CTCAE v4.0, 2009 (v4.03 of 2010 has the same grades)"),
    "ctcae_v5": GradingSystem("CTCAE v5.0", "NCI, CTCAE v5.0, 27 November 2017"),
    "ctcae_v6": GradingSystem("CTCAE v6.0", "NCI, CTCAE v6.0, 22 July 2025"),
    "lee_2014": GradingSystem("Lee 2014", "Lee DW et al., Blood 2014;124:188"),
    "penn_2018": GradingSystem("Penn 2018", "Porter D et al., J Hematol Oncol 2018;11:35", (1, 4)),
    "cartox_2018": GradingSystem("CARTOX", "Neelapu SS et al., Nat Rev Clin Oncol 2018;15:47", (1, 4)),
    "astct_2019": GradingSystem("ASTCT 2019", "Lee DW et al., Biol Blood Marrow Transplant 2019;25:625"),
}
