"""The site: its code runs, its links lead somewhere, what is generated is whole, the dossier names tests
there are.
"""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from textwrap import dedent

import pytest

import kinetics as kn
import kinetics.escalation
import kinetics.plot
from docs.generate.docstring import as_rst
from docs.generate.dossier import (
    Requirement,
    dossier_page,
    read_requirements,
    read_results,
    record,
    recorded_results,
)
from docs.generate.figures import figure_of_html, images_of
from docs.generate.gallery import drawn_sha256, typical_curve
from docs.generate.layers import layer_lines
from docs.generate.offline import network_requests
from docs.generate.pages import FIGURES, generated_pages, write_sources, written_pages
from docs.generate.reference import names_by_layer
from tests.support.commands import COMMANDS
from tests.support.documented import Block, blocks, run_page

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = [README, *sorted(DOCS.rglob("*.md"))]
EVERY = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
NO_FIGURE = {"resume", "other_trials", "submission", "interchange"}  # pages on files and messages
SLOW = [page for page in PAGES if any(b.mark == "slow" for b in blocks(page.read_text(encoding="utf-8")))]


@cache
def pages() -> dict[str, str]:
    """Every page of the site as Markdown, without figures."""
    return {**written_pages(), **generated_pages()}


@EVERY
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_page(page, slow=False)


@pytest.mark.slow
@pytest.mark.parametrize("page", SLOW, ids=lambda page: page.stem)
def test_the_slow_code_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_page(page, slow=True) == sum(b.runs for b in blocks(page.read_text(encoding="utf-8")))


@EVERY
def test_python_that_is_not_run_is_python_and_uses_public_names(page: Path) -> None:
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.language == "python":
            nodes = [n for n in ast.walk(ast.parse(block.text)) if isinstance(n, ast.Attribute)]
            used = {n.attr for n in nodes if isinstance(n.value, ast.Name) and n.value.id == "kn"}
            odd = sorted(used - set(kn.__all__))
            place = f"{page.relative_to(ROOT)}:{block.line}"
            assert not odd, f"{place} uses what kinetics does not have at its root: {', '.join(odd)}"


@EVERY
def test_every_command_that_a_page_types_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    typed = {
        c
        for b in blocks(text)
        if b.language == "console"
        for c in re.findall(r"^\$ kinetics ([\w-]+)", b.text, re.M)
    }
    odd = sorted((typed | set(re.findall(r"`kinetics ([a-z][\w-]+)", text))) - set(COMMANDS))
    assert not odd, f"{page.relative_to(ROOT)} types commands that do not exist: {', '.join(odd)}"


def test_a_page_that_is_wrong_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "p.md"
    for text, said in [
        ("```python\nx = 1\n```\n\n```python\nassert x == 2, 'x is 1'\n```\n", "x is 1"),
        ("```console\n$ kinetics models\nno such line\n```\n", "does not print: no such line"),
        ("```console\n$ kinetics models nobody\n```\n", "exits with 1"),
        ("<!-- exits 1 -->\n```console\n$ kinetics models\n```\n", "exits with 0"),
        ("```console\n$ ls\n```\n", "mark it not run"),
    ]:
        page.write_text(text, encoding="utf-8")
        with pytest.raises(AssertionError, match=said):
            run_page(page, slow=False)


def test_marks_and_titles_are_read() -> None:
    page = "text\n\n<!-- not run: no -->\n```console\n$ ls\n```\n\n"
    page += '```toml title="fits/a.toml"\nx = 1\n```\n\n```text\ny\n```\n'
    assert [(b.language, b.file, b.line, b.runs) for b in blocks(page)] == [
        ("console", "", 5, False), ("toml", "fits/a.toml", 9, True), ("text", "", 13, False),
    ]  # fmt: skip
    assert Block("python", "", "", 1, "slow").runs


def anchors(text: str) -> set[str]:
    """What a link into a page may name: slugs of headings, and targets of its own."""
    headings = re.findall(r"^#{1,3} (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M)
    slugs = {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in headings}
    return slugs | set(re.findall(r"^\(([\w-]+)\)=$", text, re.M))


def toctrees(text: str) -> list[str]:
    """What a page's toctrees list."""
    trees = re.findall(r"^```\{toctree\}\n(.*?)^```", text, re.M | re.S)
    return [line for tree in trees for line in tree.splitlines() if line and not line.startswith(":")]


def broken(site: dict[str, str]) -> list[str]:
    """Every link and every entry of a toctree that leads to no page, or to no heading of it."""
    found = []
    for name, text in site.items():
        code = r"^```(?!\{toctree\}).*?^```$|`[^`\n]*`"
        plain = re.sub(code, "", text, flags=re.M | re.S)
        links = re.findall(r"\]\(([^)\s]+)\)", plain)
        links += [f"{entry}.md" for entry in toctrees(text)]
        for link in links:
            path, _, anchor = link.partition("#")
            if re.match(r"\w+:", link) or link.endswith((".svg", ".png")):
                continue
            to = (Path("/") / name).parent / path if path else Path("/") / name
            target = str(to.resolve().relative_to("/"))
            if target not in site:
                found.append(f"{name}: {link}: no such page")
            elif anchor and anchor not in anchors(site[target]):
                found.append(f"{name}: {link}: no such heading")
    return found


def test_the_readme_is_short_and_its_links_and_pictures_are_there() -> None:
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 130
    for link in re.findall(r"\]\(([^)#\s]+)", text):
        assert (ROOT / link).exists(), f"README.md: {link}"
    for picture in (FIGURES / "front").glob("*.svg"):
        assert picture.stat().st_size < 150_000, picture.name


def test_every_command_that_the_readme_types_is_one_with_its_options() -> None:
    text = README.read_text(encoding="utf-8")
    text = text.replace("\\\n", " ")
    typed = re.findall(r"^(?:\$ )?kinetics ([a-z][\w-]*)(.*?)(?:\s#.*)?$", text, re.MULTILINE)
    assert len(typed) >= 15
    sections = re.split(r"^## ", pages()["commands.md"], flags=re.MULTILINE)
    for name, rest in typed:
        described = "".join(section for section in sections if section.split()[0] == name)
        for option in re.findall(r"--[a-z-]+", rest):
            assert f"`{option}" in described, f"kinetics {name} {option}"


@pytest.mark.parametrize("page", [p for p in PAGES if p.parent.name in ("tutorials", "how_to")], ids=str)
def test_a_tutorial_or_how_to_has_a_figure_that_its_own_code_writes(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    images = images_of(text)
    assert images or page.stem in NO_FIGURE, f"{page.name}: no figure"
    for image in images:
        assert (FIGURES / image).is_file(), f"{image} is not drawn: make figures"
        assert Path(image).parent.name == page.stem
        name = Path(image).stem
        folder = any(option in text for option in ("--plots figures", "--organs organs", "kinetics report"))
        written = f"{name}.html" in text or folder or page.stem in ("explore", "batch")
        assert written, f"{page.name}: no code writes {name}.html"


def test_every_picture_is_shown_by_a_page_and_is_small() -> None:
    shown = {image for page in PAGES for image in images_of(page.read_text(encoding="utf-8"))}
    for picture in FIGURES.rglob("*.*"):
        name = str(picture.relative_to(FIGURES))
        assert name in shown or name.startswith("models/"), f"no page shows docs/figures/{name}"
        assert picture.stat().st_size < 400_000, name


def test_a_figure_is_read_back_from_the_page_that_holds_it(tmp_path: Path) -> None:
    study = kn.read_study("theophylline")
    figure = kn.plot.plot_persistence(study, "theophylline")
    kn.plot.save_figure(figure, tmp_path / "f.html")
    again = figure_of_html((tmp_path / "f.html").read_text(encoding="utf-8"))
    assert again is not None
    assert len(again.data) == len(figure.data)
    assert again.layout.title.text == figure.layout.title.text
    assert figure_of_html("<p>nothing</p>") is None


def test_every_internal_link_leads_to_a_page_and_a_heading_of_it() -> None:
    problems = broken(pages())
    assert not problems, "\n".join(problems)


def test_every_page_is_in_the_navigation() -> None:
    listed = set()
    for name, text in pages().items():
        listed |= {str(Path(name).parent / f"{entry}.md") for entry in toctrees(text)}
    odd = sorted(set(pages()) - listed - {"index.md"})
    assert not odd, f"list these in a toctree of docs/index.md: {', '.join(odd)}"


def test_a_broken_link_is_found() -> None:
    site = {
        "index.md": "# A b\n[x](a/b.md) [y](#a-b) [z](#c) [w](a/c.md)\n```{toctree}\n:hidden:\na/d\n```\n",
        "a/b.md": "",
    }
    assert [line.split(": ")[1] for line in broken(site)] == ["#c", "a/c.md", "a/d.md"]


@pytest.mark.parametrize("model", kn.model.library_models())
def test_the_gallery_has_every_model_with_its_equations_numbers_and_sources(model: str) -> None:
    page, card = pages()[f"models/{model}.md"], kn.load_model(model)
    assert f"[`{model}`]({model}.md)" in pages()["models/index.md"]
    for name, p in card.parameters.items():
        (row,) = [
            line
            for line in page.split("### Prior set")[0].splitlines()
            if line.startswith(f"| `{name}` | {p.value:g} |")
        ]
        assert bool(re.search(r"\*\*(a )?guess\*\*", row)) == p.guess
        assert p.unit in row
        told = (
            re.sub(r"\*\*|\\(?=[*_|])", "", row)
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&amp;", "&")
        )
        assert p.source in told
    assert all(f"| `{name}` |" in page for name in (*card.states, *card.outputs, *card.derived))
    equations = page.split("## Equations")[1].split("## States")[0]
    assert "def " in equations
    assert "PARAMETERS = " not in equations
    assert all(f"### Prior set `{name}`" in page for name in card.prior_sets)


def test_the_gallery_names_the_golden_tests_and_the_calibration() -> None:
    assert "test_golden_kimmel_2021.py" in pages()["models/kimmel_2021.md"]
    assert "extinction probability is that of simulated" in pages()["models/kimmel_2021.md"]
    assert "stein 2019 curve at the golden days" in pages()["models/stein_2019.md"]
    assert "replicates" in pages()["models/ogasawara_2021.md"].split("## Calibration")[1]
    assert "No fit of this model" in pages()["models/kimmel_2021.md"]


def test_every_model_has_a_picture_of_its_present_file_and_a_thumbnail() -> None:
    stale = []
    for name in kn.model.library_models():
        is_shown = f"figures/models/{name}.svg" in pages()[f"models/{name}.md"]
        is_current = drawn_sha256(FIGURES / "models" / f"{name}.svg") == kn.load_model(name).sha256
        if not (is_shown and is_current):
            stale.append(name)
    assert not stale, f"run `python -m docs.generate.figures models`: {', '.join(stale)}"
    assert pages()["models/index.md"].count("<img ") == len(kn.model.library_models())


def test_a_typical_curve_is_drawn_from_the_model() -> None:
    figure = typical_curve(kn.load_model("stein_2019"))
    assert figure.data
    assert "typical values" in figure.to_json()


def test_a_model_page_lists_tests_of_its_own_model_alone() -> None:
    section = pages()["models/ogasawara_2021.md"].split("## Tests against published numbers")[1]
    section = section.split("\n## ")[0]
    assert "stein 2019 curve" not in section
    assert "transit 2022" not in section
    assert "ogasawara 2021" in section


def test_the_reference_has_every_public_name_once() -> None:
    names = [name for public in names_by_layer().values() for name in public]
    twice = sorted({name for name in names if names.count(name) > 1})
    assert not twice, f"listed twice: {', '.join(twice)}"
    roots = {name for name in kn.__all__ if not inspect.ismodule(getattr(kn, name))}
    unlisted = sorted(roots - {name.rpartition(".")[2] for name in names})
    assert not unlisted, f"of the root, and in __all__ of no layer: {', '.join(unlisted)}"
    assert list(names_by_layer())[:3] == ["errors", "study", "lab_sheet"]
    shown = "".join(text for name, text in pages().items() if name.startswith("reference/"))
    unshown = [
        name for name in names if not re.search(rf"^\.\. (auto\w+|py:data):: {re.escape(name)}$", shown, re.M)
    ]
    assert not unshown, f"the reference (docs/generate/reference.py) leaves out: {', '.join(unshown)}"


def test_the_command_page_has_every_command_with_its_options() -> None:
    page = pages()["commands.md"]
    assert {h.split()[0] for h in re.findall(r"^## (.+)$", page, re.M)} == set(COMMANDS)
    assert "| `--starts " in page.split("## fit\n")[1].split("\n## ")[0]
    assert page.count("--json") > len(COMMANDS)


def test_a_docstring_keeps_its_text_as_markup_of_sphinx() -> None:
    doc = dedent("""\
        One `a_b`s of x* and y_, [day].

            f = a * b

        Split `over
        lines` here.

        Points:
        - one that
          goes on
        - `two`.

        >>> 2 * "*"
        '**'""")
    assert as_rst(doc.splitlines()) == [
        "One `a_b`\\ s of x\\* and y\\_, [day].".replace("`a_b`", "``a_b``"),
        "", "::", "", "    f = a * b", "",
        "Split ``over lines``", "here.", "", "Points:", "", "- one that goes on", "", "- ``two``.", "",
        '>>> 2 * "*"', "'**'", "",
    ]  # fmt: skip


def test_what_a_site_would_load_from_a_network_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<a href="https://doi.org/x">fine</a><script src="https://e.org/s.js"></script>'
        '<link rel="stylesheet" href="//e.org/c.css">'
        '<link href="https://e.org/f" rel="preconnect"><img alt="" src="_static/x.png">'
    )
    (tmp_path / "a.css").write_text(
        "@font-face { src: url('https://e.org/f.woff2') } body { background: url(x.png) }"
    )
    found = {address for _, address in network_requests(tmp_path)}
    assert found == {"https://e.org/s.js", "//e.org/c.css", "https://e.org/f", "https://e.org/f.woff2"}


def test_sources_are_written_once_and_nothing_of_before_stays(tmp_path: Path) -> None:
    write_sources({"a/b.md": "x", "c.md": "y"}, tmp_path)
    before = (tmp_path / "c.md").stat().st_mtime_ns
    write_sources({"c.md": "y"}, tmp_path)
    assert not (tmp_path / "a").exists()
    assert (tmp_path / "c.md").stat().st_mtime_ns == before
    assert (tmp_path / "_static" / "plotly.min.js").stat().st_size > 1e6


def names_of_tests(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_every_requirement_has_an_id_of_its_own_and_tests_that_exist() -> None:
    requirements = read_requirements()
    assert len({r.id for r in requirements}) == len(requirements) >= 30
    for r in requirements:
        assert r.tests, f"docs/requirements.toml: {r.id} names no test that shows it"
        for test in r.tests:
            file, _, name = test.partition("::")
            assert (ROOT / file).is_file(), f"docs/requirements.toml: {r.id} names no file: {file}"
            assert name in names_of_tests(ROOT / file), (
                f"docs/requirements.toml: {r.id} names no test: {test}"
            )


JUNIT = """<testsuites><testsuite name="abc1234" timestamp="2026-01-02T03:04:05.6+00:00">
<testcase classname="tests.test_a" name="test_x[1]"/><testcase classname="tests.test_a" name="test_x[2]"/>
<testcase classname="tests.test_a" name="test_y[1]"/>
<testcase classname="tests.test_a" name="test_y[2]"><failure/></testcase>
<testcase classname="tests.test_a" name="test_z"><skipped/></testcase></testsuite></testsuites>"""


def test_a_requirement_is_as_good_as_the_worst_of_its_tests(tmp_path: Path) -> None:
    (tmp_path / "fast.xml").write_text(JUNIT)
    x, y, z, w = (f"tests/test_a.py::test_{k}" for k in "xyzw")
    given = {"A": (x,), "B": (x, y), "C": (x, z), "D": (x, w), "E": (y, w)}
    requirements = [Requirement(k, "room", f"{k} holds.", tests) for k, tests in given.items()]
    page = dossier_page(requirements, read_results(tmp_path))
    said = dict(re.findall(r"^(\w) holds\. Result: (.+)\.$", page, re.M))
    assert said == {"A": "passed", "B": "**FAILED**", "C": "*skipped*", "D": "*not run*", "E": "**FAILED**"}
    assert "1 passed, 2 failed, 1 skipped, 1 not run" in page
    assert "| fast | `abc1234` | 2026-01-02 03:04 | 5 | 3 | 1 | 1 |" in page
    assert "passed (2 cases)" in page
    assert "No test run is recorded" in dossier_page(requirements, [])
    file = record(read_results(tmp_path), requirements, tmp_path / "recorded.json")
    again = dossier_page(requirements, recorded_results(file))
    assert again == page


def test_the_dossier_shows_the_last_recorded_run_with_its_commit_and_date() -> None:
    runs = recorded_results()
    assert runs, "no run is recorded: make test, make record"
    page = pages()["dossier.md"]
    for run in runs:
        assert f"| {run.name} | `{run.code}` | {run.when} |" in page
        assert not run.code.endswith("-dirty")


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_asks_no_network(tmp_path: Path) -> None:
    pytest.importorskip("sphinx", reason="Sphinx is absent: make install")
    command = [
        sys.executable,
        "-m",
        "docs.generate",
        "--out",
        str(tmp_path / "site"),
        "--work",
        str(tmp_path / "work"),
    ]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert built.returncode == 0, built.stderr
    assert (tmp_path / "site" / "models" / "stein_2019.html").is_file()
    assert list(network_requests(tmp_path / "site")) == []


def test_contributing_shows_every_layer_with_its_sentence():
    shown = layer_lines() in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert shown, "CONTRIBUTING.md has another list of layers: run `python -m docs.generate.layers`"
