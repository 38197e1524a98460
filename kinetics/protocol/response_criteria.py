"""The criteria by which a disease's response is judged: ordered categories, and what each of them counts as.

`RESPONSE_CRITERIA` is the one list of them: a protocol's `endpoints.response.grading` names one of these, and
the column `overall` of responses.csv holds its categories. The categories themselves are judged by a reader;
only RECIST 1.1 and iRECIST are also judged here from lesion diameters (`kinetics.outcomes`).

The sources define categories. Which of them count as disease control is not always theirs: "SD or better" is
the usual reading and stands here for all. Where a source is quoted from memory, its line says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from kinetics.errors import InputError, Problem, did_you_mean

__all__ = ["RESPONSE_CRITERIA", "CriteriaName", "ResponseCriteria", "criteria_of"]

CriteriaName = Literal[
    "recist_1.1",
    "irecist",
    "lugano_2014",
    "imwg_2016",
    "iwcll_2018",
    "rano_2010",
    "rano_2.0",
    "pcwg3",
    "nccn_all",
    "eln_2022",
]

NOT_EVALUABLE = "NE"


@dataclass(frozen=True)
class ResponseCriteria:
    """The categories of a disease's response, and what they count as.

    `categories` are ordered from the best to progression; "NE" (not evaluable) may always be written beside
    them. `response` are those of the objective response rate, `disease_control` those of the disease control
    rate, `progression` those that end a response. `confirm_days`: with confirmation, a response counts if an
    assessment at least so many days later is a response too. `confirmation`: whether the criteria ask for
    it. `synonyms`: other words of the source -> the category.

    >>> from kinetics.protocol.response_criteria import RESPONSE_CRITERIA
    >>> imwg = RESPONSE_CRITERIA["imwg_2016"]
    >>> imwg.title, imwg.response, imwg.confirmation
    ('IMWG 2016', ('sCR', 'CR', 'VGPR', 'PR'), True)
    >>> imwg.category("vgpr"), RESPONSE_CRITERIA["lugano_2014"].category("CMR")
    ('VGPR', 'CR')
    >>> print(imwg.problem("nCR"))
    'nCR' is no category of IMWG 2016; write one of sCR, CR, VGPR, PR, MR, SD, PD, NE
    >>> imwg.words()[-1], imwg.best(["PR", "NE", "sCR"]), imwg.worst(["PR", "SD"])
    ('NE', 'sCR', 'SD')
    """

    title: str
    source: str
    categories: tuple[str, ...]
    response: tuple[str, ...]
    disease_control: tuple[str, ...]
    progression: tuple[str, ...] = ("PD",)
    confirmation: bool = False
    confirm_days: float = 28.0
    synonyms: dict[str, str] = field(default_factory=dict)

    def words(self) -> tuple[str, ...]:
        """Every category that may be written, the best first, "NE" last."""
        return (*self.categories, NOT_EVALUABLE)

    def category(self, word: str) -> str | None:
        """The category that a written word means, in any case of letters; None where it is none."""
        by_word = {category.lower(): category for category in self.words()}
        by_word |= {synonym.lower(): category for synonym, category in self.synonyms.items()}
        return by_word.get(word.strip().lower())

    def problem(self, word: str) -> Problem:
        """The Problem of a word that is no category: it names the categories."""
        remedy = f"write one of {', '.join(self.words())}"
        return Problem(f"{word!r} is no category of {self.title}", remedy)

    def best(self, categories: Sequence[str]) -> str:
        """The best of some categories; "NE" where no other is among them."""
        return min(categories, key=self.words().index)

    def worst(self, categories: Sequence[str]) -> str:
        """The worst of some categories, "NE" being the worst of all."""
        return max(categories, key=self.words().index)


_SOLID = ("CR", "PR", "SD", "PD")  # what RANO 2010 and Lugano share

RESPONSE_CRITERIA: dict[CriteriaName, ResponseCriteria] = {
    "recist_1.1": ResponseCriteria(
        title="RECIST 1.1",
        source="Eisenhauer EA et al., Eur J Cancer 2009;45:228; confirmation: 4.6, not less than 4 weeks; "
        "without targets: Table 2",
        categories=("CR", "PR", "SD", "NON-CR/NON-PD", "PD"),
        response=("CR", "PR"),
        disease_control=("CR", "PR", "SD", "NON-CR/NON-PD"),
    ),
    "irecist": ResponseCriteria(
        title="iRECIST",
        source="Seymour L et al., Lancet Oncol 2017;18:e143",
        categories=("iCR", "iPR", "iSD", "iUPD", "iCPD"),
        response=("iCR", "iPR"),
        disease_control=("iCR", "iPR", "iSD"),
        progression=("iCPD",),
    ),
    "lugano_2014": ResponseCriteria(
        title="Lugano 2014",
        source="Cheson BD et al., J Clin Oncol 2014;32:3059, Table 3; it asks for no confirmation",
        categories=_SOLID,
        response=("CR", "PR"),
        disease_control=("CR", "PR", "SD"),
        synonyms={"CMR": "CR", "PMR": "PR", "NMR": "SD", "PMD": "PD"},  # Table 3: metabolic responses
    ),
    "imwg_2016": ResponseCriteria(
        title="IMWG 2016",
        source="Kumar S et al., Lancet Oncol 2016;17:e328: two consecutive assessments, at any time",
        categories=("sCR", "CR", "VGPR", "PR", "MR", "SD", "PD"),
        response=("sCR", "CR", "VGPR", "PR"),
        disease_control=("sCR", "CR", "VGPR", "PR", "MR", "SD"),
        confirmation=True,
        confirm_days=0.0,
    ),
    "iwcll_2018": ResponseCriteria(
        title="iwCLL 2018",
        source="Hallek M et al., Blood 2018;131:2745; PR-L: Cheson BD et al., J Clin Oncol 2012;30:2820; "
        "from memory: a response lasts at least 2 months, and PR-L is counted beside the ORR",
        categories=("CR", "CRi", "nPR", "PR", "PR-L", "SD", "PD"),
        response=("CR", "CRi", "nPR", "PR"),
        disease_control=("CR", "CRi", "nPR", "PR", "PR-L", "SD"),
        confirmation=True,
        confirm_days=56.0,
    ),
    "rano_2010": ResponseCriteria(
        title="RANO 2010",
        source="Wen PY et al., J Clin Oncol 2010;28:1963: sustained for at least 4 weeks",
        categories=_SOLID,
        response=("CR", "PR"),
        disease_control=("CR", "PR", "SD"),
        confirmation=True,
    ),
    "rano_2.0": ResponseCriteria(
        title="RANO 2.0",
        source="Wen PY et al., J Clin Oncol 2023;41:5187; from memory: MR is of non-enhancing tumour, and a "
        "protocol says whether it counts",
        categories=("CR", "PR", "MR", "SD", "PD"),
        response=("CR", "PR"),
        disease_control=("CR", "PR", "MR", "SD"),
        confirmation=True,
    ),
    "pcwg3": ResponseCriteria(
        title="PCWG3",
        source="Scher HI et al., J Clin Oncol 2016;34:1402: soft tissue by RECIST 1.1, bone by new lesions; "
        "PSA is no category here",
        categories=("CR", "PR", "SD", "NON-CR/NON-PD", "PD"),
        response=("CR", "PR"),
        disease_control=("CR", "PR", "SD", "NON-CR/NON-PD"),
        synonyms={"Non-PD": "NON-CR/NON-PD"},
    ),
    "nccn_all": ResponseCriteria(
        title="NCCN, acute lymphoblastic leukaemia",
        source="NCCN Guidelines, Acute Lymphoblastic Leukemia, response criteria; from memory",
        categories=("CR", "CRh", "CRi", "NR", "PD", "relapse"),
        response=("CR", "CRh", "CRi"),
        disease_control=("CR", "CRh", "CRi"),
        progression=("PD", "relapse"),
        synonyms={"refractory": "NR"},
    ),
    "eln_2022": ResponseCriteria(
        title="ELN 2022, acute myeloid leukaemia",
        source="Döhner H et al., Blood 2022;140:1345; from memory: the rate of CR, CRh and CRi is the "
        "composite complete remission; MLFS and PR are counted beside it",
        categories=("CR", "CRh", "CRi", "MLFS", "PR", "NR", "PD", "relapse"),
        response=("CR", "CRh", "CRi"),
        disease_control=("CR", "CRh", "CRi", "MLFS", "PR"),
        progression=("PD", "relapse"),
    ),
}


def criteria_of(name: str) -> ResponseCriteria:
    """The criteria of a name; InputError, with the names that there are, for another."""
    if name not in RESPONSE_CRITERIA:
        raise InputError(Problem(f"criteria {name!r}", did_you_mean(name, RESPONSE_CRITERIA)))
    return RESPONSE_CRITERIA[name]  # type: ignore[index]
