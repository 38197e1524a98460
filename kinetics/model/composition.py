"""Models joined into one: a parameter of one is read off the states of the others. No equation is written
twice.

A block is a model like any other. What drives it is a parameter of it, a constant while the block stands
alone; `compose` puts a function of the joined states in that parameter's place:

    compose(load_model("nk_persistence"), load_model("cytokine_crs"), links={"kill_flux": lambda y, p: 0.1 *
    y["K"]})
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from kinetics.errors import ModelError, Problem, did_you_mean
from kinetics.model.model import Balance, Derived, Model, Output, Parameter

__all__ = ["Links", "compose", "prefixed"]

Values = Mapping[str, Any]
Links = Mapping[str, Callable[[Values, Values], Any]]


def compose(
    *parts: Model,
    links: Links,
    parameters: Mapping[str, Parameter] | None = None,
    outputs: Mapping[str, Output] | None = None,
    derived: Mapping[str, Derived] | None = None,
    sites: Mapping[str, Mapping[str, str]] | None = None,
    balance: Balance | None = None,
) -> Model:
    """One model of several, each of differential equations: their states, parameters, doses and outputs
    together.

    `links` maps a parameter of a part to `value(y, p)` of all states (scalars) and parameters; it is a
    parameter no longer, and every equation and output that reads it reads the value. A later link may read an
    earlier one. How states begin and how doses enter may not read one, for there are no states yet. Parts may
    share a parameter that is the same in both. `parameters`, `outputs`, `derived` and `sites` add to the
    parts', or replace theirs. A dose enters every part that has a rule for it. What a dose is measured in,
    and the balance, are the first part's.

    ModelError lists every name that two parts use for different things, and every link to nothing.

    >>> cells, tumour = kn.load_model("nk_persistence"), kn.load_model("tumour_growth_inhibition", form="claret")
    >>> model = kn.compose(cells, tumour, links={"exposure": lambda y, p: 1e-6 * y["K"]})
    >>> list(model.states), "exposure" in model.parameters
    (['lung', 'liver', 'K', 'IL15', 'TS'], False)
    """
    if problems := list(_problems(parts, links)):
        file = next((part.path for part in parts if part.path), "")
        raise ModelError([Problem(what, remedy, file=file) for what, remedy in problems])
    first = parts[0]

    def seen(output: Output) -> Output:
        return replace(output, value=lambda y, p: output.value(y, _linked(links, y, p)))

    return Model(
        states=_union(parts, "states"),
        parameters={k: p for k, p in _union(parts, "parameters").items() if k not in links}
        | dict(parameters or {}),
        outputs={k: seen(o) for k, o in (_union(parts, "outputs") | dict(outputs or {})).items()},
        derived=_union(parts, "derived") | dict(derived or {}),
        prior_sets=_prior_sets(parts, links),
        dose_unit=first.dose_unit,
        dose_units={product: unit for part in parts for product, unit in _units(part, first).items()},
        typical_dose=first.typical_dose,
        vector_field=_joined(parts, links),
        initial=lambda p: {k: v for part in parts if part.initial for k, v in part.initial(p).items()},
        dosing=_dosing(parts),
        lag=_union(parts, "lag"),
        stiff=any(part.stiff for part in parts),
        balance=balance or first.balance,
        sites=_sites(parts) | {product: dict(by_site) for product, by_site in (sites or {}).items()},
        joined=tuple(sha for part in parts for sha in (part.sha256, *part.joined) if sha),
    )


def prefixed(model: Model, prefix: str, *, product: str | None = None) -> Model:
    """The model with `prefix` and `_` before its states, parameters and outputs, so that it can join any
    other.

    With `product` it takes doses of that product only, in the model's own unit. ModelError for a closed form.

    >>> list(kn.prefixed(kn.load_model("nk_persistence"), "nk", product="car_nk").states)
    ['nk_lung', 'nk_liver', 'nk_K', 'nk_IL15']
    """
    if model.vector_field is None:
        what = f"{model.name} is a closed form: only differential equations join others"
        raise ModelError(Problem(what, "write it as a vector_field", file=model.path))
    field = model.vector_field
    begin = model.initial

    def inner(values: Values, names: Mapping[str, Any]) -> dict[str, Any]:
        return {k: values[f"{prefix}_{k}"] for k in names if f"{prefix}_{k}" in values}

    def outer(values: Mapping[str, Any]) -> dict[str, Any]:
        return {f"{prefix}_{k}": v for k, v in values.items()}

    def of_states(value: Callable[..., Any]) -> Callable[..., Any]:
        return lambda y, p: value(inner(y, model.states), inner(p, model.parameters))

    def of_parameters(value: Callable[..., Any]) -> Callable[..., Any]:
        return lambda p: value(inner(p, model.parameters))

    def entry(key: str) -> str:
        return key if product is None or "/" in key else f"{product}/{key}"

    def entering(rule: Callable[..., Any]) -> Callable[..., Any]:
        return lambda p: outer(rule(inner(p, model.parameters)))

    law = model.balance
    return replace(
        model,
        states=outer(model.states),
        parameters=outer(model.parameters),
        outputs=outer({k: replace(o, value=of_states(o.value)) for k, o in model.outputs.items()}),
        derived=outer({k: replace(d, value=of_parameters(d.value)) for k, d in model.derived.items()}),
        prior_sets={name: outer(given) for name, given in model.prior_sets.items()},
        vector_field=lambda t, y, p: outer(field(t, inner(y, model.states), inner(p, model.parameters))),
        initial=entering(begin) if begin else None,
        dosing={entry(key): entering(rule) for key, rule in model.dosing.items()},
        lag={entry(key): of_parameters(late) for key, late in model.lag.items()},
        dose_units={product: model.dose_unit} if product else model.dose_units,
        balance=Balance(of_states(law.total), tuple(f"{prefix}_{k}" for k in law.without)) if law else None,
    )


def _linked(links: Links, y: Values, p: Values) -> dict[str, Any]:
    """The parameters, those that are read off the states among them."""
    full = dict(p)
    for name, value in links.items():
        full[name] = value(y, full)
    return full


def _joined(parts: tuple[Model, ...], links: Links) -> Callable[..., dict[str, Any]]:
    """The equations of all parts."""
    fields = [part.vector_field for part in parts if part.vector_field is not None]

    def vector_field(t: Any, y: Values, p: Values) -> dict[str, Any]:
        full = _linked(links, y, p)
        return {k: v for slopes in fields for k, v in slopes(t, y, full).items()}

    return vector_field


def _union(parts: tuple[Model, ...], what: str) -> dict[str, Any]:
    return {k: v for part in parts for k, v in getattr(part, what).items()}


def _sites(parts: tuple[Model, ...]) -> dict[str, dict[str, str]]:
    return {product: dict(by_site) for part in parts for product, by_site in part.sites.items()}


def _prior_sets(parts: tuple[Model, ...], links: Links) -> dict[str, dict[str, Parameter]]:
    sets: dict[str, dict[str, Parameter]] = {}
    for part in parts:
        for name, given in part.prior_sets.items():
            sets.setdefault(name, {}).update({k: p for k, p in given.items() if k not in links})
    return sets


def _units(part: Model, first: Model) -> dict[str, str]:
    """The unit of each product that a part names, where it is not the first part's for all."""
    named = {key.split("/")[0] for key in part.dosing if "/" in key}
    return {p: part.dose_unit for p in named if part.dose_unit != first.dose_unit} | dict(part.dose_units)


def _dosing(parts: tuple[Model, ...]) -> dict[str, Callable[[Values], Mapping[str, Any]]]:
    """Every part's rules; where two parts have one for the same doses, both hold."""

    def both(
        rules: tuple[Callable[[Values], Mapping[str, Any]], ...],
    ) -> Callable[[Values], Mapping[str, Any]]:
        return lambda p: {k: v for rule in rules for k, v in rule(p).items()}

    keys = dict.fromkeys(key for part in parts for key in part.dosing)
    return {key: both(tuple(part.dosing[key] for part in parts if key in part.dosing)) for key in keys}


def _problems(parts: tuple[Model, ...], links: Links) -> Iterator[tuple[str, str]]:
    if not parts:
        yield "nothing to join", "give compose(...) at least one model"
        return
    for part in parts:
        if part.vector_field is None:
            yield (
                f"{part.name} is a closed form: only differential equations join others",
                "write it as a vector_field",
            )
    known = _union(parts, "parameters")
    for name in links:
        if name not in known:
            yield f"links.{name}: no part has a parameter {name!r}", did_you_mean(name, known)
    for what in ("states", "outputs", "parameters"):
        seen: dict[str, tuple[int, Any]] = {}
        for number, part in enumerate(parts):
            for name, value in getattr(part, what).items():
                first, known_as = seen.setdefault(name, (number, value))
                if first == number or name in links or (what == "parameters" and known_as == value):
                    continue
                both = " and ".join(parts[i].name or f"part {i + 1}" for i in (first, number))
                one = what.removesuffix("s")
                yield (
                    f"{one} {name}: {both} both have it, and not the same",
                    "`prefixed(model, ...)` one of them",
                )
