"""Models joined into one, so that no equation is written twice.

A block is a model like any other. What drives it is one of its parameters, a constant while the block stands
alone. `compose` puts a function of the joined states in that parameter's place:

    cells, cytokines = load_model("nk_persistence"), load_model("cytokine_crs")
    compose(cells, cytokines, links={"kill_flux": lambda y, p: 0.1 * y["K"]})
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kinetics.arguments import require
from kinetics.errors import ModelError, Problem, did_you_mean
from kinetics.model.model import Balance, Derived, Model, Output, Parameter

__all__ = ["Links", "compose", "prefixed"]

Values = Mapping[str, Any]
StateFunction = Callable[[Values], Mapping[str, Any]]  # from the parameters to states
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
    """One model of several `parts`, with their states, parameters, doses and outputs together.

    Each part is a model of differential equations. `links` maps a parameter of a part to `value(y, p)`, a
    function of all states (scalars) and parameters. The name is no longer a parameter, and every equation and
    output that reads it gets that value. A later link may read an earlier one. How states begin and how doses
    enter may not read one, because there are no states yet. Parts may share a parameter that is the same in
    both. `parameters`, `outputs`, `derived` and `sites` add to those of the parts, or replace them. A dose
    enters every part that has a rule for it. The unit of a dose is the first part's, and so is the `balance`
    where none is given.

    ModelError lists every name that two parts use for different things, every link to a parameter that no
    part has, and parts that are written in different units of time.

    >>> cells = kn.load_model("nk_persistence")
    >>> tumour = kn.load_model("tumour_growth_inhibition", form="claret")
    >>> model = kn.compose(cells, tumour, links={"exposure": lambda y, p: 1e-6 * y["K"]})
    >>> list(model.states), "exposure" in model.parameters
    (['lung', 'liver', 'K', 'IL15', 'TS'], False)
    """
    require(**{f"part {number}": (part, Model) for number, part in enumerate(parts, start=1)})
    if problems := list(_problems(parts, links)):
        file = next((part.path for part in parts if part.path), "")
        raise ModelError([Problem(what, remedy, file=file) for what, remedy in problems])
    first = parts[0]

    def linked(output: Output) -> Output:
        return replace(output, value=lambda y, p: output.value(y, _linked(links, y, p)))

    free = {name: p for name, p in _union(parts, "parameters").items() if name not in links}
    all_outputs = _union(parts, "outputs") | dict(outputs or {})
    dose_units: dict[str, str] = {}
    for part in parts:
        dose_units |= _dose_units(part, first)
    return Model(
        states=_union(parts, "states"),
        parameters=free | dict(parameters or {}),
        outputs={name: linked(output) for name, output in all_outputs.items()},
        derived=_union(parts, "derived") | dict(derived or {}),
        prior_sets=_prior_sets(parts, links),
        dose_unit=first.dose_unit,
        dose_units=dose_units,
        typical_dose=first.typical_dose,
        vector_field=_joined(parts, links),
        initial=_merged([part.initial for part in parts if part.initial]),
        dosing=_dosing(parts),
        lag=_union(parts, "lag"),
        stiff=any(part.stiff for part in parts),
        balance=balance or first.balance,
        sites=_sites(parts) | {product: dict(by_site) for product, by_site in (sites or {}).items()},
        joined=tuple(sha for part in parts for sha in (part.sha256, *part.joined) if sha),
        written_in=first.written_in,
    )


def prefixed(model: Model, prefix: str, *, product: str | None = None) -> Model:
    """The model with `prefix` and `_` before its states, parameters and outputs, so that it joins any other.

    With `product` it takes doses of that product only, in the model's own unit. ModelError for a closed form.

    >>> list(kn.prefixed(kn.load_model("nk_persistence"), "nk", product="car_nk").states)
    ['nk_lung', 'nk_liver', 'nk_K', 'nk_IL15']
    """
    require(model=(model, Model))
    if model.vector_field is None:
        what = f"{model.name} is a closed form: only differential equations join others"
        raise ModelError(Problem(what, "write it as a vector_field", file=model.path))
    vector_field = model.vector_field
    initial = model.initial
    balance = model.balance

    # The model's own functions see the names without the prefix: `inner` takes it off, `outer` puts it on.
    def inner(values: Values, names: Mapping[str, Any]) -> dict[str, Any]:
        return {name: values[f"{prefix}_{name}"] for name in names if f"{prefix}_{name}" in values}

    def outer(values: Mapping[str, Any]) -> dict[str, Any]:
        return {f"{prefix}_{name}": value for name, value in values.items()}

    def slopes(t: Any, y: Values, p: Values) -> dict[str, Any]:
        return outer(vector_field(t, inner(y, model.states), inner(p, model.parameters)))

    def of_states(value: Callable[..., Any]) -> Callable[..., Any]:
        return lambda y, p: value(inner(y, model.states), inner(p, model.parameters))

    def of_parameters(value: Callable[..., Any]) -> Callable[..., Any]:
        return lambda p: value(inner(p, model.parameters))

    def giving_states(rule: Callable[..., Any]) -> Callable[..., Any]:
        return lambda p: outer(rule(inner(p, model.parameters)))

    def entry(key: str) -> str:
        return key if product is None or "/" in key else f"{product}/{key}"

    if balance is not None:
        without = tuple(f"{prefix}_{name}" for name in balance.without)
        balance = Balance(of_states(balance.total), without)
    return replace(
        model,
        states=outer(model.states),
        parameters=outer(model.parameters),
        outputs=outer({k: replace(o, value=of_states(o.value)) for k, o in model.outputs.items()}),
        derived=outer({k: replace(d, value=of_parameters(d.value)) for k, d in model.derived.items()}),
        prior_sets={label: outer(parameters) for label, parameters in model.prior_sets.items()},
        vector_field=slopes,
        initial=giving_states(initial) if initial else None,
        dosing={entry(key): giving_states(rule) for key, rule in model.dosing.items()},
        lag={entry(key): of_parameters(days) for key, days in model.lag.items()},
        dose_units={product: model.dose_unit} if product else model.dose_units,
        balance=balance,
    )


def _linked(links: Links, y: Values, p: Values) -> dict[str, Any]:
    """The parameters, those that are read off the states among them."""
    full = dict(p)
    for name, value in links.items():
        full[name] = value(y, full)
    return full


def _joined(parts: tuple[Model, ...], links: Links) -> Callable[..., dict[str, Any]]:
    """The equations of all parts as one vector field."""
    fields = [part.vector_field for part in parts if part.vector_field is not None]

    def vector_field(t: Any, y: Values, p: Values) -> dict[str, Any]:
        full = _linked(links, y, p)
        slopes: dict[str, Any] = {}
        for field in fields:
            slopes.update(field(t, y, full))
        return slopes

    return vector_field


def _merged(rules: Sequence[StateFunction]) -> StateFunction:
    """One function of the parameters that gives the states of all rules together."""

    def merged(p: Values) -> dict[str, Any]:
        states: dict[str, Any] = {}
        for rule in rules:
            states.update(rule(p))
        return states

    return merged


def _union(parts: tuple[Model, ...], attribute: str) -> dict[str, Any]:
    """One mapping of all parts' mappings; the last part wins where two have a name."""
    union: dict[str, Any] = {}
    for part in parts:
        union.update(getattr(part, attribute))
    return union


def _sites(parts: tuple[Model, ...]) -> dict[str, dict[str, str]]:
    return {product: dict(by_site) for product, by_site in _union(parts, "sites").items()}


def _prior_sets(parts: tuple[Model, ...], links: Links) -> dict[str, dict[str, Parameter]]:
    """The prior sets of all parts, without the linked parameters; sets of one name are one set."""
    sets: dict[str, dict[str, Parameter]] = {}
    for part in parts:
        for label, parameters in part.prior_sets.items():
            free = {name: p for name, p in parameters.items() if name not in links}
            sets.setdefault(label, {}).update(free)
    return sets


def _dose_units(part: Model, first: Model) -> dict[str, str]:
    """The unit of each product that a part names, where it is not the first part's for all."""
    units = {}
    if part.dose_unit != first.dose_unit:
        units = {key.split("/")[0]: part.dose_unit for key in part.dosing if "/" in key}
    return units | dict(part.dose_units)


def _dosing(parts: tuple[Model, ...]) -> dict[str, StateFunction]:
    """The dosing rules of all parts; where two parts have one for the same doses, both hold."""
    rules: dict[str, list[StateFunction]] = {}
    for part in parts:
        for key, rule in part.dosing.items():
            rules.setdefault(key, []).append(rule)
    return {key: _merged(of_key) for key, of_key in rules.items()}


def _problems(parts: tuple[Model, ...], links: Links) -> Iterator[tuple[str, str]]:
    """What keeps the parts from being joined, as (what, remedy)."""
    if not parts:
        yield "nothing to join", "give compose(...) at least one model"
        return
    for part in parts:
        if part.vector_field is None:
            what = f"{part.name} is a closed form: only differential equations join others"
            yield what, "write it as a vector_field"
    units = list(dict.fromkeys(part.written_in for part in parts))
    if len(units) > 1:
        what = f"the parts are written per {' and per '.join(units)}: a link would mix rates"
        yield what, "write them in one unit of time"
    parameters = _union(parts, "parameters")
    for name in links:
        if name not in parameters:
            yield f"links.{name}: no part has a parameter {name!r}", did_you_mean(name, parameters)
    for attribute in ("states", "outputs", "parameters"):
        first_use: dict[str, tuple[int, Any]] = {}
        for number, part in enumerate(parts):
            for name, value in getattr(part, attribute).items():
                first, first_value = first_use.setdefault(name, (number, value))
                shared = attribute == "parameters" and first_value == value
                if first == number or name in links or shared:
                    continue
                both = " and ".join(parts[i].name or f"part {i + 1}" for i in (first, number))
                what = f"{attribute.removesuffix('s')} {name}: {both} both have it, and not the same"
                yield what, "`prefixed(model, ...)` one of them"
