"""The model gallery: one page for each file of models/, made from what the file says."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
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
from kinetics.plot.simulation import plot_simulation
from kinetics.prediction.simulated_curves import Simulation, simulate_chunks, simulation

__all__ = ["draw_models", "drawn_sha256", "gallery_pages", "typical_curve"]

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "figures" / "models"
LETTERS_PER_LINE = 44  # of a note above one of two panels that share the width of a page
DAYS = np.linspace(0.0, 60.0, 241)
DAYS_BETWEEN_PRODUCTS = 7.0
# What a model file has beside its equations; each has a section or a table of its own.
NO_EQUATION = {"STATES", "PARAMETERS", "PRIOR_SETS", "OUTPUTS", "DERIVED", "MODEL", "SITES"}

INDEX_HEAD = """# Model gallery

One page for each file of `models/`, made from that file. Every number has its source on its line;
a design guess says that it is one, here and in every report that leans on it. [Choose a model from your
data](../how_to/choose_a_model.md) says which to begin with. Each curve is that of the typical patient.
"""

TABLE_HEAD = """| model | what | form | parameters | guesses among them |
|---|---|---|---:|---:|"""


def gallery_pages() -> dict[str, str]:
    """`models/NAME.md` of every model of the library, and `models/index.md`."""
    models = {name: kn.load_model(name) for name in kn.model.library_models()}
    pages = {"models/index.md": _index(models)}
    for name, model in models.items():
        pages[f"models/{name}.md"] = _page(model)
    return pages


def draw_models(folder: Path) -> Iterator[Path]:
    """Draw the typical curve of every model whose picture in `folder` is missing or of an older file."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in kn.model.library_models():
        model = kn.load_model(name)
        picture = folder / f"{name}.svg"
        if drawn_sha256(picture) != model.sha256:
            kn.plot.save_figure(typical_curve(model), picture, width=900)
            text = picture.read_text(encoding="utf-8")
            picture.write_text(f"{text}\n<!-- model {model.sha256} -->\n", encoding="utf-8")
            yield picture


def drawn_sha256(picture: Path) -> str:
    """The sha256 of the model file that a picture shows; "" where there is none."""
    if not picture.is_file():
        return ""
    mark = re.search(r"<!-- model (\w+) -->", picture.read_text(encoding="utf-8"))
    return mark[1] if mark else ""


def typical_curve(model: kn.Model) -> Figure:
    """Every output of the typical patient over 60 days.

    The dose is the model's typical dose, or the one that the laws use on it.
    """
    prepared, notes = _prepared(model)
    curves = pd.concat([part.curves for part in simulate_chunks(prepared)], ignore_index=True)
    figure = plot_simulation(curves, model, source="typical values", notes=notes)
    layout: Any = figure.layout
    for note in layout.annotations:
        if not note.name and len(note.text) > LETTERS_PER_LINE:
            note.update(text="<br>".join(wrap(note.text, LETTERS_PER_LINE)), font_size=11)
    return figure


def _prepared(model: kn.Model) -> tuple[Simulation, list[str]]:
    """The simulation, and the notes of its figure."""
    if model.typical_dose is None and model.vector_field is None and model.dose_unit == "cells":
        prepared = simulation(model, times=DAYS)
        return prepared, [f"{note[0].upper()}{note[1:]}." for note in prepared.notes]
    entries = [entry.rpartition("/") for entry in model.dosing] or [("", "", "iv")]  # product, "/", route
    routes: dict[str, str] = {}  # product counted in cells -> the first of its routes
    for product, _, route in entries:
        if model.unit_of(product) == "cells":
            routes.setdefault(product, route)
    if routes:
        regimen, note = _cells_of_each_product(model, routes)
    else:
        product, _, route = entries[0]
        regimen, note = _drug(model, product, route)
    return simulation(model, regimen, times=DAYS), [note]


def _cells_of_each_product(model: kn.Model, routes: Mapping[str, str]) -> tuple[kn.Regimen, str]:
    """One dose of each product, a week apart."""
    cells = model.typical_dose or 1e8
    doses = []
    notes = []
    for i, (product, route) in enumerate(routes.items()):
        day = DAYS_BETWEEN_PRODUCTS * i
        doses.append(kn.Regimen.dose(route=route, product=product or "car_t", on=day, cells=cells))
        notes.append(_dose_note(product, route, day))
    return sum(doses[1:], doses[0]), f"Dose: {cells:g} cells, {'; '.join(notes)}."


def _drug(model: kn.Model, product: str, route: str) -> tuple[kn.Regimen, str]:
    """One dose of a drug on day 0."""
    mg = model.typical_dose or 100.0
    dose = kn.Regimen.dose(route=route, product=product or "drug", on=0.0, mg=mg)
    named_route = route if model.dosing else ""  # a closed form that names no route
    return dose, f"Dose: {mg:g} mg, {_dose_note(product, named_route, 0.0)}."


def _dose_note(product: str, route: str, day: float) -> str:
    """Such as "car_nk by hepatic artery on day 0"; a model may name no product or no route."""
    words = [word for word in (product, route.replace("_", " ")) if word]
    return f"{' by '.join(words)} on day {day:g}".strip()


def _index(models: Mapping[str, kn.Model]) -> str:
    rows = []
    for name, model in models.items():
        title = _plain(model.doc.strip().splitlines()[0])
        form = "closed form" if model.vector_field is None else f"{len(model.states)} equations"
        guesses = sum(parameter.guess for parameter in model.parameters.values())
        rows.append(f"| [`{name}`]({name}.md) | {title} | {form} | {len(model.parameters)} | {guesses} |")
    tree = ["```{toctree}", ":hidden:", *models, "```", ""]
    return "\n".join([INDEX_HEAD, *_thumbnails(models), TABLE_HEAD, *rows, "", *tree])


def _thumbnails(models: Iterable[str]) -> Iterator[str]:
    """A grid of the typical curves, each a link to its page."""
    yield "```{raw} html"
    yield '<div class="thumbnails">'
    for name in models:
        if (PICTURES / f"{name}.svg").is_file():
            image = f'<img alt="typical curve of {name}" src="../_static/models/{name}.svg">'
            yield f'<a href="{name}.html">{image}<span>{name}</span></a>'
    yield "</div>"
    yield "```\n"


def _page(model: kn.Model) -> str:
    source = Path(model.path).read_text(encoding="utf-8")
    file = f"`models/{model.name}.py`, sha256 `{model.sha256[:8]}`"
    parts = [f"# {model.name}\n", *_prose(model.doc)]
    parts += [f"`kinetics models {model.name}` prints this card; {file}.\n"]
    if (PICTURES / f"{model.name}.svg").is_file():
        picture = f"![The typical patient over 60 days](../figures/models/{model.name}.svg)\n"
        parts += ["## The typical curve\n", picture]
    parts += ["## Equations\n", "As they stand in the file.\n", f"```python\n{_equations(source)}\n```\n"]
    if "\ndef build(" in source:
        parts += ["`build` has the model's options; the tables below are those of the model without any.\n"]
    parts += ["## States\n", *_states(model)]
    parts += ["## Parameters\n", *_parameters(model.parameters)]
    for name, parameters in model.prior_sets.items():
        parts += [f"### Prior set `{name}`\n", "It replaces these:\n", *_parameters(parameters)]
    parts += ["## Outputs\n", *_outputs(model)]
    parts += ["## Calibration\n", *_calibration(model)]
    parts += ["## Tests against published numbers\n", *_tests(model.name)]
    parts += _fits(model.name)
    return "\n".join(parts)


def _prose(doc: str) -> Iterator[str]:
    """A docstring as Markdown: its paragraphs as text, its indented equations as literal blocks."""
    for block in re.split(r"\n\s*\n", doc.strip("\n")):
        lines = block.splitlines()
        if all(line.startswith("    ") for line in lines):
            yield "```text\n" + "\n".join(line[4:] for line in lines) + "\n```\n"
        else:
            yield _plain(block) + "\n"


def _plain(text: str) -> str:
    """Text as Markdown that shows it unchanged; its `code` stays code."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(
        part if part.startswith("`") else re.sub(r"([*_])", r"\\\1", escape(part, quote=False))
        for part in parts
    )


def _equations(source: str) -> str:
    """The code of a model file without its imports, its tables and its constants that cite a source."""
    lines = source.splitlines()
    statements = []
    for node in ast.parse(source).body[1:]:
        if _is_equation(node):
            decorators = getattr(node, "decorator_list", [])
            first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
            statements.append("\n".join(lines[first - 1 : node.end_lineno]))
    return "\n\n".join(statements)


def _is_equation(node: ast.stmt) -> bool:
    if isinstance(node, ast.Import | ast.ImportFrom):
        return False
    if not isinstance(node, ast.Assign):
        return True
    parts = [part for target in node.targets for part in ast.walk(target)]
    names = {part.id for part in parts if isinstance(part, ast.Name)}
    if names & NO_EQUATION or "Parameter(" in ast.unparse(node):
        return False
    is_constant = isinstance(node.value, ast.Constant | ast.JoinedStr)
    is_source = is_constant and all(name.startswith("_") for name in names)
    return not (names and is_source)


def _table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |\n|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(_cell(value) for value in row) + " |"
    yield ""


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|")


def _states(model: kn.Model) -> Iterator[str]:
    rows = [
        (f"`{name}`", state.label, state.unit, state.site.replace("_", " "))
        for name, state in model.states.items()
    ]
    return _table(("state", "what", "unit", "site"), rows)


def _parameters(parameters: Mapping[str, kn.Parameter]) -> Iterator[str]:
    rows = []
    for name, parameter in parameters.items():
        prior = describe(parameter.prior)
        sd = "" if parameter.sd is None else f"{parameter.sd:g}"
        rows.append((f"`{name}`", f"{parameter.value:g}", parameter.unit, prior, sd, _source(parameter)))
    return _table(("parameter", "value", "unit", "prior", "SD between subjects", "source"), rows)


def _source(parameter: kn.Parameter) -> str:
    source = _plain(parameter.source)
    if not parameter.guess:
        return source
    if source.startswith("a guess"):
        return f"**a guess**{source.removeprefix('a guess')}"
    return f"**guess**: {source}"


def _outputs(model: kn.Model) -> Iterator[str]:
    rows = [(f"`{name}`", "output", output.label, output.unit) for name, output in model.outputs.items()]
    rows += [(f"`{name}`", "derived", derived.label, derived.unit) for name, derived in model.derived.items()]
    return _table(("name", "kind", "what", "unit"), rows)


def _calibration(model: kn.Model) -> Iterator[str]:
    lines = calibration_card(model.name, model.sha256)
    if not lines:
        yield "No fit of this model has a recorded simulation-based calibration.\n"
    for line in lines:
        yield f"- {_plain(line)}"
    yield ""


def _tests(model: str) -> Iterator[str]:
    """The files of tests/published that load a model, its own golden file first, with their sentences."""
    files = [file for file in sorted((ROOT / "tests/published").glob("test_*.py")) if _loads(file, model)]
    files.sort(key=lambda file: not _is_golden(file, model))
    if not files:
        yield "None. `tests/laws` tries every law on it.\n"
    for file in files:
        yield f"`{file.relative_to(ROOT)}`\n"
        for test in _tests_of(file, model):
            yield f"- {test.replace('_', ' ')}"
        yield ""


def _tests_of(file: Path, model: str) -> Iterator[str]:
    """The names of the tests of the model in a file: all of its golden file, else those naming it."""
    text = file.read_text(encoding="utf-8")
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            source = ast.get_source_segment(text, node) or ""
            if _is_golden(file, model) or model in source or model in node.name:
                yield node.name.removeprefix("test_")


def _is_golden(file: Path, model: str) -> bool:
    return file.stem == f"test_golden_{model}"


def _loads(file: Path, model: str) -> bool:
    text = file.read_text(encoding="utf-8")
    return _is_golden(file, model) or f'"{model}"' in text or f"/{model}.py" in text


def _fits(model: str) -> Iterator[str]:
    plans = []
    for file in sorted((ROOT / "fits").glob("*.toml")):
        if tomllib.loads(file.read_text(encoding="utf-8"))["model"] == model:
            plans.append(f"- `fits/{file.name}`")
    if plans:
        yield from ("## Shipped fits\n", *plans, "")
