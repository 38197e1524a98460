"""TOML files as frozen values.

`Spec` is the class of one table of a file, `read_toml` and `parse_toml` give its content, and `problems_of`,
`remedy_at` and `keys_at` say what is wrong with a key, what to write there, and which keys are allowed.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from kinetics.errors import InputError, PlanError, Problem, did_you_mean
from kinetics.files import not_readable

__all__ = ["Spec", "keys_at", "parse_toml", "problems_of", "read_toml", "remedy_at"]


class Spec(BaseModel):
    """A table of a TOML file. Its fields are the keys allowed; any other key is an error, and no value can be
    reassigned.

    Made of keywords it raises `refusal`, a PlanError with the problems that a file would have.

    >>> from kinetics.toml import Spec
    >>> class Sampler(Spec):
    ...     draws: int = 1000
    >>> Sampler.model_validate({"draws": 500})
    Sampler(draws=500)
    >>> try:
    ...     Sampler(draws="many")
    ... except kn.errors.PlanError as error:
    ...     print(error.problems[0].remedy)
    write a whole number
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    refusal: ClassVar[type[InputError]] = PlanError

    def __init__(self, /, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise self.refusal(problems_of(error, "", type(self))) from error

    # pydantic builds the tables inside a table without calling __init__, so that all problems come together.
    __init__.__pydantic_base_init__ = True  # pyright: ignore[reportFunctionMemberAccess]


def read_toml(path: Path, error: type[InputError], *, file: str = "") -> dict[str, Any]:
    """The content of a TOML file in UTF-8, with or without a byte-order mark.

    `error` is raised, with one Problem, where there is no such file (or it is a folder), where it is not
    UTF-8, and where it is not TOML. `file` is the name that the Problem shows; by default it is the path.
    """
    file = file or str(path)
    fault = not_readable(path)
    if fault:
        siblings = sorted(sibling.name for sibling in path.parent.glob("*.toml"))
        remedy = did_you_mean(path.name, siblings) if siblings else "check the path"
        if path.name in siblings:
            remedy = "put a file there that can be read"
        raise error(Problem(fault, remedy, file=file))
    if path.stat().st_size > _LARGEST_FILE:
        what = (
            f"a TOML of {path.stat().st_size / 1e6:.0f} MB; none is longer than {_LARGEST_FILE / 1e6:.0f} MB"
        )
        raise error(Problem(what, "is it the right file?", file=file))
    raw = path.read_bytes()
    if b"\x00" in raw or raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise error(Problem("the file is UTF-16 or binary, not UTF-8", "save it as UTF-8", file=file))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        row = raw[: cause.start].count(b"\n") + 1
        remedy = f"save it as UTF-8, or run `iconv -f latin1 -t utf-8 {file}`"
        raise error(Problem("the file is not UTF-8 (latin-1?)", remedy, file=file, row=row)) from cause
    return parse_toml(text, error, file=file)


def parse_toml(text: str, error: type[InputError], *, file: str = "") -> dict[str, Any]:
    """The content of a TOML text.

    `error` is raised, with a Problem that names `file` and the line, where it is not TOML.

    >>> from kinetics.errors import InputError
    >>> from kinetics.toml import parse_toml
    >>> parse_toml("draws = 500", InputError)
    {'draws': 500}
    """
    if _DOTTED_KEY.search(text):  # Python's reader takes the square of its length in time
        raise error(Problem(_TOO_DEEP, "write fewer dots", file=file))
    try:
        content = tomllib.loads(text)
    except RecursionError as cause:
        raise error(Problem(_TOO_DEEP, "write fewer brackets", file=file)) from cause
    except tomllib.TOMLDecodeError as cause:
        remedy = "correct the TOML at the line named (strings need quotes, tables [brackets])"
        raise error(Problem(f"not valid TOML: {cause}", remedy, file=file)) from cause
    except ValueError as cause:  # a whole number of thousands of digits
        raise error(Problem(f"not valid TOML: {cause}", "shorten the number", file=file)) from cause
    if _depth(content) > _DEEPEST:
        raise error(Problem(_TOO_DEEP, "write fewer dots and brackets", file=file))
    return content


_LARGEST_FILE = 16_000_000  # bytes; the longest that people write are below 1 MB
_DEEPEST = 50  # tables and lists inside one another; no file of ours needs more than eight
_PART = r"(?:[\w-]++|\"[^\"\n]*+\"|'[^'\n]*+')[ \t]*+\.[ \t]*+"  # of a dotted key, possessive: linear in time
_DOTTED_KEY = re.compile(rf"(?<![\w\"'.-])(?:{_PART}){{{_DEEPEST},}}")
_TOO_DEEP = f"tables or lists nested more than {_DEEPEST} deep"


def _depth(content: object) -> int:
    """How many tables and lists lie inside one another, counted level by level and not by recursion."""
    depth = 0
    level = [content]
    while level:
        inner: list[object] = []
        for part in level:
            if isinstance(part, dict):
                inner += part.values()
            elif isinstance(part, list):
                inner += part
        level = [part for part in inner if isinstance(part, dict | list)]
        depth += 1
        if depth > _DEEPEST:
            break
    return depth


def problems_of(error: ValidationError, file: str, spec: type[Spec]) -> list[Problem]:
    """What pydantic says of one content as Problems, one for each key: what is wrong, and what to write.

    `spec` is the class of the whole file, and `file` is the name that the Problems show.
    """
    problems: dict[str, Problem] = {}
    for detail in error.errors():
        place = _place(detail["loc"], spec)
        key = place.where if place.choice is None else place.choice
        if detail["type"] == "extra_forbidden":
            key = _dotted([place.where, detail["loc"][-1]])
        elif detail["type"] == "too_short" and len(detail["input"]) >= detail.get("ctx", {})["min_length"]:
            continue  # it is short only because its entries are wrong, and they have their own problems
        if key == place.choice and any(other.startswith(f"{key}.") for other in problems):
            continue  # of several types it has the one whose keys are wrong
        # a key of several types has an error for each of them, of which the first stands for all
        problems.setdefault(key, replace(_problem(detail, place, spec), file=file))
    return list(problems.values())


def _problem(error: ErrorDetails, place: _Place, spec: type[Spec]) -> Problem:
    """One of pydantic's errors as a Problem: the key with the tables that lead to it, what is wrong, and what
    to write.
    """
    where = place.where
    kind = error["type"]
    last = error["loc"][-1] if error["loc"] else ""
    if kind == "extra_forbidden":
        keys = keys_at(error["loc"][:-1], spec)
        elsewhere = [f"{table}.{last}" for table in spec.model_fields if last in _own_keys(table, spec)]
        remedy = did_you_mean(str(last), keys)
        if elsewhere and error["loc"][:-1] == ():  # the very key of another table, before one like it here
            remedy = f"write it as {' or '.join(f'`{key}`' for key in elsewhere)}"
        return Problem(f"unknown key {_dotted([where, last])!r}", remedy)
    if kind == "missing" and isinstance(last, int):
        what = f"{where.rpartition('.')[0]}: entry {last + 1} of the list is missing"
        return Problem(what, f"add it, {place.takes()}")
    if kind == "missing":
        return Problem(f"missing key {where!r}", f"add `{where} = ...`, {place.takes()}")

    message = next((text for start, text in _NOT.items() if kind.startswith(start)), "")
    message = message or error["msg"].removeprefix("Input ")
    remedy = f"write {place.takes()}"
    if kind == "too_short":
        message = f"fewer entries than {error.get('ctx', {})['min_length']}"
    if kind == "value_error":  # a sentence of a validator, which may end with its own remedy
        message, _, rest = error["msg"].removeprefix("Value error, ").partition("; ")
        remedy = rest or remedy
    elif place.choice is not None and place.choice == where:
        message = "a value of none of the types it may have"
    what = f"{where}: {message}" if where else message
    if not isinstance(error["input"], Mapping | BaseModel):
        what += f" (given {error['input']!r})"
    return Problem(what, remedy)


_NOT = {  # how the type of an error of pydantic's begins -> what is wrong
    "bool_": "not true or false",
    "dict_type": "not a table",
    "finite_number": "not a finite number",
    "float_": "not a number",
    "int_": "not a whole number",
    "list_type": "not a list",
    "literal_error": "not one of the words it takes",
    "model_": "not a table",
    "string_type": "not text",
    "tuple_type": "not a list",
}


def remedy_at(keys: Sequence[object], spec: type[Spec]) -> str:
    """What to write at a key of a file of class `spec`; `keys` lead to it, from the top.

    >>> from kinetics.study.dictionary import Dictionary
    >>> from kinetics.toml import remedy_at
    >>> remedy_at(["screening_days"], Dictionary)
    'write a number from 0 up'
    """
    return f"write {_place(keys, spec).takes()}"


def keys_at(tables: Sequence[object], spec: type[Spec]) -> list[str]:
    """The keys allowed in one table of a file of class `spec`; `tables` are the keys that lead to that table,
    from the top.

    >>> from kinetics.study.dictionary import Dictionary
    >>> from kinetics.toml import keys_at
    >>> keys_at(["analytes", "car_cells"], Dictionary)
    ['label', 'assay', 'site', 'unit', 'lloq', 'uloq', 'scale']
    """
    parts = iter(tables)
    for part in parts:
        field = spec.model_fields.get(str(part))
        if field is None:
            continue
        spec = _spec_in(field.annotation) or spec
        if get_origin(field.annotation) is dict:
            next(parts, None)  # skip the name of the entry: of an analyte, a parameter
    return [field.alias or name for name, field in spec.model_fields.items()]


def _own_keys(table: str, spec: type[Spec]) -> list[str]:
    """The keys of a table of `spec`; none of a key that is no table, or several of them."""
    annotation = spec.model_fields[table].annotation
    if any(get_origin(part) in (dict, list, tuple) for part in (annotation, *get_args(annotation))):
        return []
    inner = _spec_in(annotation)
    return [] if inner is None else list(inner.model_fields)


def _spec_in(annotation: Any) -> type[Spec] | None:
    """The Spec inside an annotation such as `dict[str, tuple[Covariate, ...]]`, or None."""
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        return annotation
    for part in get_args(annotation):
        spec = _spec_in(part)
        if spec is not None:
            return spec
    return None


@dataclass(frozen=True)
class _Place:
    """A key of a file: the keys that lead to it, joined by dots, and what may stand there.

    `choice` is the key of several types that this one is or lies in, None elsewhere.
    """

    where: str
    annotation: Any
    limits: Sequence[Any] = ()
    description: str = ""
    choice: str | None = None

    def takes(self) -> str:
        """What may stand there in words, with the description of the key where it has one."""
        words = _in_words(self.annotation, self.limits, table=re.sub(r"\.\d+\b", "", self.where))
        return f"{words}: {self.description}" if self.description else words


def _place(loc: Sequence[object], spec: type[Spec]) -> _Place:
    """The place to which `loc`, as pydantic gives it, leads; of a key that is unknown, its table's."""
    place = _Place("", spec)
    for number, part in enumerate(loc, start=1):
        annotation = _plain(place.annotation)
        if _is_choice(annotation):  # `part` is no key but pydantic's name of one of the types
            place = replace(place, choice=place.where if place.choice is None else place.choice)
            types = [kind for kind in get_args(annotation) if _is_named(kind, str(part))]
            if number == len(loc) or not types:
                break
            place = replace(place, annotation=types[0])
        elif number < len(loc) and loc[number] == "[key]":
            return _Place(_dotted([place.where, part]), get_args(annotation)[0])
        else:
            step = _step(annotation, part)
            if step is None:
                break
            place = replace(step, where=_dotted([place.where, part]), choice=place.choice)
    return place


def _step(annotation: Any, part: object) -> _Place | None:
    """What may stand one key further on; None where `annotation` has no such key."""
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        fields = {field.alias or name: field for name, field in annotation.model_fields.items()}
        field = fields.get(str(part))
        return field and _Place("", field.annotation, field.metadata, field.description or "")
    if get_origin(annotation) is dict:
        return _Place("", get_args(annotation)[1])
    if get_origin(annotation) in (tuple, list):
        return _Place("", get_args(annotation)[0])
    return None


def _plain(annotation: Any) -> Any:
    """An annotation without None and without its notes."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    parts = [part for part in get_args(annotation) if part is not NoneType]
    if get_origin(annotation) in (Union, UnionType) and len(parts) == 1:
        return _plain(parts[0])
    return annotation


def _is_named(kind: Any, name: str) -> bool:
    """Whether `name` is pydantic's name of a type: a class's own, or `function-after[check(), Class]`."""
    return re.fullmatch(rf"(.*\W)?{re.escape(getattr(kind, '__name__', '?'))}\]?", name) is not None


def _is_choice(annotation: Any) -> bool:
    """Whether an annotation without None is of several types."""
    return get_origin(annotation) in (Union, UnionType)


_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text in quotes"}
_LIMITS = {"gt": "above {}", "ge": "from {} up", "lt": "below {}", "le": "at most {}"}


def _in_words(annotation: Any, limits: Sequence[Any] = (), *, table: str = "") -> str:
    """What an annotation takes, in words: `a whole number from 1 up`.

    `limits` are pydantic's notes on it, and `table` is the header in brackets where it is a table.
    """
    of_types = [part for part in get_args(annotation) if part is not NoneType]
    if get_origin(annotation) in (Union, UnionType) and len(of_types) == 1:
        annotation = of_types[0]  # a value that may be left out
    if get_origin(annotation) is Annotated:
        limits = get_args(annotation)[1:]
    annotation = _plain(annotation)
    parts = [part for part in get_args(annotation) if part is not NoneType]
    origin = get_origin(annotation)
    spec = _spec_in(annotation)
    if isinstance(annotation, type) and annotation in _WORDS:
        return _WORDS[annotation] + _limited(limits)
    if origin is Literal:
        words = ", ".join(map(repr, parts))
        return f"one of {words}" if len(parts) > 1 else words
    if _is_choice(annotation):
        return " or ".join(map(_in_words, parts))
    if origin is tuple and Ellipsis not in parts:
        return f"a list of {len(parts)}, each {_in_words(parts[0])}"
    if origin in (tuple, list) and spec is None:
        return f"a list, each {_in_words(parts[0])}"
    if origin is dict and spec is None:
        return f"a table, each value {_in_words(parts[1])}"
    if spec is None:
        return "a value"
    header = {dict: f"tables `[{table}.NAME]`", tuple: f"tables `[[{table}]]`"}.get(
        origin, f"a table `[{table}]`"
    )
    if not table:
        header = "a table"
    return f"{header} of {', '.join(f'`{key}`' for key in keys_at([], spec))}"


def _limited(limits: Sequence[Any]) -> str:
    """The limits of a number in words, with a space before them; "" where it has none."""
    limits = [part for limit in limits for part in getattr(limit, "metadata", [limit])]
    bounds = [
        text.format(_figure(getattr(limit, name)))
        for limit in limits
        for name, text in _LIMITS.items()
        if hasattr(limit, name) and getattr(limit, name) is not None
    ]
    return f" {' and '.join(bounds)}" if bounds else ""


def _figure(limit: float) -> str:
    """A limit as text: a whole number in full."""
    if isinstance(limit, int):
        return f"{limit:,}"
    return f"{limit:g}"


def _dotted(loc: Sequence[object]) -> str:
    """Keys joined by dots, without those that are empty."""
    return ".".join(str(part) for part in loc if part != "")
