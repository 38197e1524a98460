"""The model gallery: one page a file of models/, made from what the file says."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from html import escape
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd
from plotly.graph_objects import Figure

import kinetics as kn
from kinetics.checks.calibration.calibration import calibration_card
from kinetics.model.priors import describe
from kinetics.plot.export import FIGURE_CONFIG
from kinetics.plot.simulation import plot_simulation
from kinetics.prediction.simulated_curves import Simulation, simulate_chunks, simulation

__all__ = ["gallery_pages", "typical_curve"]

ROOT = Path(__file__).parents[2]
_LETTERS = 44
DAYS = np.linspace(0.0, 60.0, 241)
# What a model file has beside its equations; each has a section or a table of its own.
_NO_EQUATION = {"STATES", "PARAMETERS", "PRIOR_SETS", "OUTPUTS", "DERIVED", "MODEL", "SITES"}


def gallery_pages(figures: Collection[str] | None = None) -> dict[str, str]:
    """`models/NAME.md` of every model of the library, and `models/index.md`; `figures`: of these alone
    (None: all).
    """
    models = {name: kn.load_model(name) for name in kn.library_models()}
    drawn = models if figures is None else figures
    pages = {f"models/{name}.md": _page(model, figure=name in drawn) for name, model in models.items()}
    return {"models/index.md": _index(models), **pages}


def typical_curve(model: kn.Model) -> Figure:
    """Every output of the typical patient over 60 days, after the model's typical dose or the one its laws
    use.
    """
    prepared, notes = _prepared(model)
    curves = pd.concat([part.curves for part in simulate_chunks(prepared)], ignore_index=True)
    figure = plot_simulation(curves, model, source="typical values", notes=notes)
    layout: Any = figure.layout
    for note in layout.annotations:  # two panels of a page's width hold so many letters a line
        if not note.name and len(note.text) > _LETTERS:
            note.update(text="<br>".join(wrap(note.text, _LETTERS)), font_size=11)
    return figure


def _prepared(model: kn.Model) -> tuple[Simulation, list[str]]:
    """What is simulated, and what is said of its doses."""
    ways = [entry.rpartition("/") for entry in model.dosing] or [("", "", "iv")]
    first = {product: route for product, _, route in reversed(ways) if model.unit_of(product) == "cells"}
    products = [product for product in dict.fromkeys(product for product, _, _ in ways) if product in first]
    if model.typical_dose is None and model.vector_field is None and model.dose_unit == "cells":
        prepared = simulation(model, times=DAYS)
        return prepared, [f"{note[0].upper()}{note[1:]}." for note in prepared.notes]
    if products:
        amount, what = model.typical_dose or 1e8, "cells"
        given = [(product, first[product], 7.0 * i) for i, product in enumerate(products)]
        doses = [kn.Regimen.dose(route=r, product=p or "car_t", on=day, cells=amount) for p, r, day in given]
    else:
        (product, _, route), amount, what = ways[0], model.typical_dose or 100.0, "mg"
        given = [(product, route if model.dosing else "", 0.0)]
        doses = [kn.Regimen.dose(route=route, product=product or "drug", on=0.0, mg=amount)]
    ways_said = (
        " by ".join(
            filter(
                None,
                (
                    p,
                    r.replace("_", " "),
                ),
            )
        )
        for p, r, _ in given
    )
    said = "; ".join(
        f"{way} on day {day:g}".strip() for way, (_, _, day) in zip(ways_said, given, strict=True)
    )
    return simulation(model, sum(doses[1:], doses[0]), times=DAYS), [f"Dose: {amount:g} {what}, {said}."]


def _index(models: Mapping[str, kn.Model]) -> str:
    rows = []
    for name, model in models.items():
        guesses = sum(p.guess for p in model.parameters.values())
        form = "closed form" if model.vector_field is None else f"{len(model.states)} equations"
        first = _plain(model.doc.strip().splitlines()[0])
        rows.append(f"| [`{name}`]({name}.md) | {first} | {form} | {len(model.parameters)} | {guesses} |")
    return "\n".join(
        [
            "# Model gallery",
            "",
            "One page a file of `models/`, made from that file. Every number there has its source on its line;",
            "a design guess says that it is one, here and in every report that leans on it.",
            "",
            "| model | what | form | parameters | of them guesses |",
            "|---|---|---|---:|---:|",
            *rows,
            "",
            "```{toctree}",
            ":hidden:",
            *models,
            "```",
            "",
        ]
    )


def _page(model: kn.Model, *, figure: bool) -> str:
    text = Path(model.path).read_text(encoding="utf-8")
    parts = [f"# {model.name}\n", *_prose(model.doc)]
    parts += [f"`kinetics models {model.name}` prints this card; `models/{model.name}.py`, sha256 "
              f"`{model.sha256[:8]}`.\n"]  # fmt: skip
    if figure:
        parts += ["## The typical curve\n", *_figure(model)]
    parts += ["## Equations\n", "As they stand in the file.\n", f"```python\n{_equations(text)}\n```\n"]
    if "\ndef build(" in text:
        parts += ["`build` has the model's options; the tables below are those without any.\n"]
    parts += ["## States\n", *_states(model), "## Parameters\n", *_parameters(model.parameters)]
    for name, changed in model.prior_sets.items():
        parts += [f"### Prior set `{name}`\n", "It replaces these:\n", *_parameters(changed)]
    parts += ["## Outputs\n", *_outputs(model), "## Calibration\n", *_calibration(model)]
    parts += ["## Tests against published numbers\n", *_tests(model.name), *_fits(model.name)]
    return "\n".join(parts)


def _prose(doc: str) -> Iterator[str]:
    """A docstring as Markdown: paragraphs as they read, what is indented (equations) as it stands."""
    for block in re.split(r"\n\s*\n", doc.strip("\n")):
        lines = block.splitlines()
        if all(line.startswith("    ") for line in lines):
            yield "```text\n" + "\n".join(line[4:] for line in lines) + "\n```\n"
        else:
            yield _plain(block) + "\n"


def _plain(text: str) -> str:
    """Text as Markdown that shows it as it is, but for its `code`."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(
        part if part.startswith("`") else re.sub(r"([*_])", r"\\\1", escape(part, quote=False))
        for part in parts
    )


def _equations(text: str) -> str:
    """The source of every statement that is neither an import nor one of the tables."""
    kept, lines = [], text.splitlines()
    for node in ast.parse(text).body[1:]:
        targets = node.targets if isinstance(node, ast.Assign) else []
        names = {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
        source = all(name.startswith("_") for name in names) and isinstance(
            getattr(node, "value", None), ast.Constant | ast.JoinedStr
        )
        numbers = isinstance(node, ast.Assign) and "Parameter(" in ast.unparse(node)
        if (
            isinstance(node, ast.Import | ast.ImportFrom)
            or names & _NO_EQUATION
            or numbers
            or (names and source)
        ):
            continue
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
        kept.append("\n".join(lines[first - 1 : node.end_lineno]))
    return "\n\n".join(kept)


def _figure(model: kn.Model) -> Iterator[str]:
    html = typical_curve(model).to_html(
        full_html=False, include_plotlyjs=False, config=FIGURE_CONFIG, div_id=f"curve-{model.name}"
    )
    yield f'```{{raw}} html\n<script src="../_static/plotly.min.js"></script>\n<div class="figure">{html}</div>\n```\n'


def _table(head: tuple[str, ...], rows: Iterator[tuple[object, ...]]) -> Iterator[str]:
    def cell(x: object) -> str:
        return str(x).replace("|", "\\|")

    yield "| " + " | ".join(head) + " |\n|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(cell(x) for x in row) + " |"
    yield ""


def _states(model: kn.Model) -> Iterator[str]:
    rows = ((f"`{k}`", s.label, s.unit, s.site.replace("_", " ")) for k, s in model.states.items())
    return _table(("state", "what", "unit", "site"), rows)


def _parameters(parameters: Mapping[str, kn.Parameter]) -> Iterator[str]:
    rows = (
        (
            f"`{k}`",
            f"{p.value:g}",
            p.unit,
            describe(p.prior),
            "" if p.sd is None else f"{p.sd:g}",
            _source(p),
        )
        for k, p in parameters.items()
    )
    return _table(("parameter", "value", "unit", "prior", "SD between subjects", "source"), rows)


def _source(p: kn.Parameter) -> str:
    text = _plain(p.source)
    if not p.guess:
        return text
    return (
        f"**a guess**{text.removeprefix('a guess')}" if text.startswith("a guess") else f"**guess**: {text}"
    )


def _outputs(model: kn.Model) -> Iterator[str]:
    both = [*model.outputs.items(), *model.derived.items()]
    kinds = ["output"] * len(model.outputs) + ["derived"] * len(model.derived)
    rows = ((f"`{k}`", kind, o.label, o.unit) for kind, (k, o) in zip(kinds, both, strict=True))
    return _table(("name", "kind", "what", "unit"), rows)


def _calibration(model: kn.Model) -> Iterator[str]:
    lines = calibration_card(model.name, model.sha256)
    if not lines:
        yield "No fit of this model has a recorded simulation-based calibration.\n"
    for line in lines:
        yield f"- {_plain(line)}"
    yield ""


def _tests(name: str) -> Iterator[str]:
    """The files of tests/published that load the model, its own golden file first, with their sentences."""
    files = [f for f in sorted((ROOT / "tests" / "published").glob("test_*.py")) if _names(f, name)]
    files.sort(key=lambda f: f.stem != f"test_golden_{name}")
    if not files:
        yield "None. `tests/laws` tries every law on it.\n"
    for file in files:
        yield f"`{file.relative_to(ROOT)}`\n"
        for test in re.findall(r"^def test_(\w+)", file.read_text(encoding="utf-8"), re.MULTILINE):
            yield f"- {test.replace('_', ' ')}"
        yield ""


def _names(file: Path, model: str) -> bool:
    text = file.read_text(encoding="utf-8")
    return file.stem == f"test_golden_{model}" or f'"{model}"' in text or f"/{model}.py" in text


def _fits(name: str) -> Iterator[str]:
    plans = {f.name: tomllib.loads(f.read_text(encoding="utf-8")) for f in (ROOT / "fits").glob("*.toml")}
    found = [f"- `fits/{file}`" for file, plan in sorted(plans.items()) if plan["model"] == name]
    if found:
        yield from ("## Shipped fits\n", *found, "")
