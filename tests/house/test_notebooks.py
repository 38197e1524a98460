"""The notebooks run, show what they promise, use the public API alone, and fail where a model's direction
is turned.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from plotly.graph_objects import Figure

import kinetics as kn
from tests.support.notebook import Cell, as_ipynb, cells, page, run

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))
ROUTES = ROOT / "notebooks" / "3_hepatic_versus_systemic.py"
CYTOKINES = ROOT / "notebooks" / "4_cytokines_and_crs.py"
LABELS = ("MODEL, NOT PATIENTS", "SYNTHETIC DATA")
REAL = "REAL PATIENTS"  # where the data that are not shipped are there
EVERY = pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)


@cache
def done(file: Path) -> list[Cell]:
    """The notebook at small size, as in a clean clone, without real data: its assertions hold, or this
    raises.
    """
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as empty:
        patch.setenv("KINETICS_SMALL", "1")
        patch.delenv("KINETICS_DATA_DIR", raising=False)
        patch.setenv("XDG_CACHE_HOME", empty)  # where a converted data set would lie
        return run(file)


def figures_of(ran: list[Cell]) -> list[Figure]:
    return [cell.shown for cell in ran if isinstance(cell.shown, Figure)]


def figures(file: Path) -> list[Figure]:
    return figures_of(done(file))


def words(figure: Figure) -> str:
    """All that is written on a figure beside its title and axes."""
    return " ".join(note["text"] for note in figure.to_dict()["layout"]["annotations"])


def titles(layout: dict[str, Any]) -> list[str]:
    """Of the horizontal axes: their own, the one that panels share, or those of panels that name their
    quantity.
    """
    own = [axis.get("title", {}).get("text", "") for k, axis in layout.items() if k.startswith("xaxis")]
    notes = [n["text"] for n in layout["annotations"] if n.get("name") not in ("footer", "labels")]
    return own if any(own) else [text for text in notes if "(" in text]


def test_there_are_notebooks() -> None:
    assert {file.stem.partition("_")[0] for file in NOTEBOOKS} >= set("1234567")


@EVERY
def test_every_figure_names_its_axes_and_says_that_no_patient_is_in_it(file: Path) -> None:
    assert figures(file)
    for figure in figures(file):
        drawing = figure.to_dict()
        layout = drawing["layout"]
        assert drawing["data"]
        assert layout["title"]["text"]
        assert any(titles(layout)), layout["title"]["text"]
        assert any(label in words(figure) for label in LABELS), layout["title"]["text"]
        assert REAL not in words(figure)


@EVERY
def test_the_page_holds_every_figure_and_needs_no_network(file: Path) -> None:
    html = page(file.stem, done(file))
    assert html.count('class="plotly-graph-div"') == len(figures(file))
    assert "<h1>" in html
    assert 'src="http' not in html


@EVERY
def test_a_notebook_uses_the_public_api_alone(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    imported = [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    imported += [name.name for n in ast.walk(tree) if isinstance(n, ast.Import) for name in n.names]
    odd = [name for name in imported if name.startswith("kinetics.")]  # of them, plot is an attribute
    assert not odd, f"{file.relative_to(ROOT)} imports {', '.join(odd)}: use `import kinetics as kn` alone"
    used = {
        n.attr
        for n in ast.walk(tree)
        if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.value.id == "kn"
    }
    assert used
    unknown = sorted(used - set(kn.__all__))
    assert not unknown, f"{file.relative_to(ROOT)} uses what is not public: {', '.join(unknown)}"


@EVERY
def test_the_executed_notebook_beside_it_has_the_same_cells_and_its_figures(file: Path) -> None:
    executed = file.with_suffix(".ipynb")
    assert executed.is_file(), f"{executed.name} is missing: make notebooks"
    assert executed.stat().st_size < 1_000_000
    notebook = json.loads(executed.read_text(encoding="utf-8"))
    texts = ["".join(cell["source"]) for cell in notebook["cells"]]
    assert texts == [cell.text for cell in cells(file)], f"{executed.name} is older: make notebooks"
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", ())]
    assert any("image/png" in output.get("data", {}) for output in outputs)


@EVERY
def test_checks_of_a_notebook_are_hidden_from_its_reader(file: Path) -> None:
    for cell in cells(file):
        if cell.kind == "code" and not cell.hidden:
            asserts = [node.lineno for node in ast.parse(cell.text).body if isinstance(node, ast.Assert)]
            assert not asserts, f"{file.name}:{cell.line}: tag the cell of this assert `hide-cell`"


def test_a_hidden_cell_runs_and_is_folded_in_jupyter(tmp_path: Path) -> None:
    file = tmp_path / "n.py"
    file.write_text('# %%\nx = 2\nx\n\n# %% tags=["hide-cell"]\nassert x == 2\nprint("seen")\n')
    ran = run(file)
    assert [cell.hidden for cell in ran] == [False, True]
    first, second = as_ipynb(ran)["cells"]
    assert first["outputs"][0]["data"]["text/plain"] == ["2"]
    assert second["metadata"] == {"tags": ["hide-cell"], "jupyter": {"source_hidden": True}}
    assert "assert x == 2" not in page("n", ran)
    assert "seen" in page("n", ran)


def test_the_routes_are_compared_with_the_evidence_and_all_directions_hold() -> None:
    shown = [cell.shown for cell in done(ROUTES)]
    evidence = next(t for t in shown if "same direction" in getattr(t, "columns", ()))
    assert len(evidence) == 13
    assert evidence["same direction"].all()
    assert {"Matera 2006", "Tsai 2022, mice"} <= set(evidence["source"])
    assert len(figures(ROUTES)) == 6


def test_the_notebook_fails_where_the_artery_and_the_vein_are_exchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "models" / "tsai_2022.py").read_text(encoding="utf-8")
    turned = text.replace('"iv": lambda p: {"v": 1.0},', '"iv": hepatic_artery,').replace(
        '"hepatic_artery": hepatic_artery,', '"hepatic_artery": lambda p: {"v": 1.0},'
    )
    assert turned.count("hepatic_artery,") == 1
    model, copy = tmp_path / "turned.py", tmp_path / "notebook.py"
    model.write_text(turned, encoding="utf-8")
    notebook = ROUTES.read_text(encoding="utf-8")
    assert notebook.count('load_model("tsai_2022",') == 1
    copy.write_text(notebook.replace('"tsai_2022",', f'"{model}",', 1), encoding="utf-8")
    monkeypatch.setenv("KINETICS_SMALL", "1")
    with pytest.raises(AssertionError, match="iv: the lung first") as caught:
        run(copy)
    said = str(caught.value)
    assert "with retention it lasts" in said
    assert "nkg2d design" not in said  # the other model was left as it is


def test_the_study_that_a_notebook_writes_names_its_assay_and_site() -> None:
    drawn = figures(ROOT / "notebooks" / "6_write_your_own_model.py")
    subtitles = [(figure.to_dict()["layout"]["title"].get("subtitle") or {}).get("text") for figure in drawn]
    assert "CAR-NK cells, flow in blood" in subtitles
    assert "CAR-NK cells (cells/µL)" in " ".join(map(words, drawn))


def test_without_the_real_data_the_notebook_of_cytokines_says_so_first_and_how_to_get_them() -> None:
    printed = next(cell.printed for cell in done(CYTOKINES) if cell.printed)
    assert printed.startswith("THE REAL DATA ARE NOT HERE: what follows is a SYNTHETIC trial")
    assert "set KINETICS_DATA_DIR to the folder that holds car22/cytokines_long.csv" in printed
    assert all("SYNTHETIC DATA" in words(figure) for figure in figures(CYTOKINES))


def test_with_the_real_data_every_figure_says_that_patients_are_in_it(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KINETICS_SMALL", "1")
    monkeypatch.setenv("KINETICS_DATA_DIR", str(shared_data))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    ran = run(CYTOKINES)
    assert "42 subjects" in next(cell.printed for cell in ran if cell.printed)
    assert not any("NOT HERE" in cell.printed for cell in ran)
    assert len(figures_of(ran)) == len(figures(CYTOKINES))
    for figure in figures_of(ran):
        assert f"{REAL}: car22" in words(figure)
        assert not any(label in words(figure) for label in LABELS)


def test_cells_share_a_namespace_and_what_is_printed_and_the_last_expression_are_shown(
    tmp_path: Path,
) -> None:
    file = tmp_path / "n.py"
    file.write_text(
        "# %% [markdown]\n# # Title\n#\n# text\n\n# %%\nx = 2\n\n# %%\ny = x + 1\ny * 10\n\n# %%\nprint(x)\n"
    )
    kinds = [(cell.kind, cell.line) for cell in cells(file)]
    assert kinds == [("markdown", 2), ("code", 7), ("code", 10), ("code", 14)]
    ran = run(file)
    assert ran[0].text == "# Title\n\ntext"
    assert [cell.shown for cell in ran] == [None, None, 30, None]
    assert [cell.printed for cell in ran] == ["", "", "", "2\n"]
    assert "<pre>2\n</pre>" in page("n", ran)
    assert "<h1>Title</h1>" in page("n", ran)


def test_an_error_stands_at_its_own_line(tmp_path: Path) -> None:
    file = tmp_path / "n.py"
    file.write_text("# %%\nx = 2\n\n# %%\n\nassert x == 3\n")
    with pytest.raises(AssertionError) as caught:
        run(file)
    assert caught.traceback[-1].lineno == 5  # counted from 0
    assert Path(str(caught.traceback[-1].path)) == file


def test_a_notebook_is_a_script_too() -> None:
    """Nothing of it needs a display, an argument or another file: it compiles as a module does."""
    for file in NOTEBOOKS:
        assert importlib.util.spec_from_file_location(file.stem, file) is not None
        compile(file.read_text(encoding="utf-8"), str(file), "exec")
