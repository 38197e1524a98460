"""TOML files as frozen values.

`Spec` is the class of one table of a file, `read_toml` and `parse_toml` give its content, and `problem_of`
and `keys_at` say what is wrong with a key and which keys are allowed.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict
from pydantic_core import ErrorDetails

from kinetics.errors import InputError, Problem, did_you_mean

__all__ = ["Spec", "keys_at", "parse_toml", "problem_of", "read_toml"]


class Spec(BaseModel):
    """A table of a TOML file. Its fields are the keys allowed; any other key is an error, and no value can be
    reassigned.

    >>> from kinetics.toml import Spec
    >>> class Sampler(Spec):
    ...     draws: int = 1000
    >>> Sampler.model_validate({"draws": 500})
    Sampler(draws=500)
    """

    model_config = ConfigDict(extra="forbid", frozen=True)


def read_toml(path: Path, error: type[InputError], *, file: str = "") -> dict[str, Any]:
    """The content of a TOML file in UTF-8, with or without a byte-order mark.

    `error` is raised, with one Problem, where there is no such file (or it is a folder), where it is not
    UTF-8, and where it is not TOML. `file` is the name that the Problem shows; by default it is the path.
    """
    file = file or str(path)
    if not path.is_file():
        siblings = sorted(sibling.name for sibling in path.parent.glob("*.toml"))
        remedy = did_you_mean(path.name, siblings) if siblings else "check the path"
        raise error(Problem("no such file", remedy, file=file))
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
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as cause:
        remedy = "correct the TOML at the line named (strings need quotes, tables [brackets])"
        raise error(Problem(f"not valid TOML: {cause}", remedy, file=file)) from cause


def problem_of(error: ErrorDetails, file: str, spec: type[Spec]) -> Problem:
    """One of pydantic's errors as a Problem: the key with the tables that lead to it, what is wrong, and for
    an unknown key the nearest one that exists.

    `spec` is the class of the whole file, and `file` is the name that the Problem shows.
    """
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        key = str(error["loc"][-1])
        remedy = did_you_mean(key, keys_at(error["loc"][:-1], spec))
        return Problem(f"unknown key {where!r}", remedy, file=file)
    if error["type"] == "missing":
        return Problem(f"missing key {where!r}", f"add `{where} = ...`", file=file)
    what = f"{where}: {error['msg'].removeprefix('Value error, ')}"
    if not isinstance(error["input"], dict):
        what += f" (given {error['input']!r})"
    return Problem(what, "mend this key", file=file)


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
    return list(spec.model_fields)


def _spec_in(annotation: Any) -> type[Spec] | None:
    """The Spec inside an annotation such as `dict[str, tuple[Covariate, ...]]`, or None."""
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        return annotation
    for part in get_args(annotation):
        spec = _spec_in(part)
        if spec is not None:
            return spec
    return None
