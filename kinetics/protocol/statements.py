"""A point of a protocol: what the text says of it, and the value that settles it.

A `Point` is a field on which a text may be silent or say several things. It is settled by one `value` and the
sentence `because`. What the text says stays beside it as `statements`, each with the place that says so.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeVar

from pydantic import Field, model_validator

from kinetics.errors import PlanError, Problem
from kinetics.toml import Spec

__all__ = ["Count", "CountFromZero", "Few", "Point", "Positive", "Share", "Statement"]

T = TypeVar("T")
# Numbers as TOML writes them, never a text or a truth value that can be read as one.
Few = Annotated[int, Field(strict=True, ge=1, le=100)]
Count = Annotated[int, Field(strict=True, ge=1, le=1000)]
CountFromZero = Annotated[int, Field(strict=True, ge=0, le=1000)]
Positive = Annotated[float, Field(strict=True, gt=0)]
Share = Annotated[float, Field(strict=True, gt=0, lt=1)]


class Statement(Spec):
    """A statement of the text on a point, in its own terms, and where it stands.

    >>> from kinetics.protocol.statements import Statement
    >>> Statement(value=28, where="arm description")
    Statement(value=28, where='arm description')
    """

    value: Any
    where: str = Field(min_length=1)


class Point(Spec, Generic[T]):
    """One point of the protocol. A bare value in the TOML is `value` without its sentence.

    >>> from kinetics.protocol.statements import Point
    >>> Point(value=28.0, because="the DLT window of the registry").settled, Point().settled
    (True, False)
    >>> Point(value=28.0).decided
    28.0
    """

    value: T | None = None
    because: str = ""
    statements: tuple[Statement, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, content: Any) -> Any:
        if isinstance(content, dict | Point):
            return content
        return {"value": content}

    @property
    def settled(self) -> bool:
        """Whether it has a value and the sentence that says why."""
        return self.value is not None and self.because.strip() != ""

    @property
    def decided(self) -> T:
        """The value. PlanError where there is none, which `kinetics.lint` names."""
        if self.value is None:
            raise PlanError(Problem("a point of the protocol is open", "kinetics lint says which, and how"))
        return self.value
