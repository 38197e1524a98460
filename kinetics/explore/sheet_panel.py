"""The panel that opens a file: the sheet is uploaded, questions are answered, and its own page is served."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from shiny import Inputs, Session, reactive, render, ui

from kinetics.errors import StudyError
from kinetics.explore.opened_sheet import MOST_BYTES, SUFFIXES, OpenedSheet, kept_upload, opened_sheet
from kinetics.lab_sheet import ALL, QUESTIONS, Question
from kinetics.study import Study

__all__ = ["MOST_PAGES", "OpenPage", "serve_sheet", "sheet_panel"]

OpenPage = Callable[[Study], str]  # serves a study and returns the address of its page
MOST_PAGES = 20  # studies that one session opens


def sheet_panel() -> Any:
    """The panel: a file, the name of its study, what it asks, and the link to what was opened."""
    intro = (
        "A lab's own Excel or CSV sheet, wide or long, or a table with a row for each record. It stays on "
        "this machine. What no sheet says is asked below; the study is written to data/ and can be fitted."
    )
    content = ui.div(
        ui.p(intro),
        ui.input_file(
            "sheet",
            f"A file of at most {MOST_BYTES / 1e6:.0f} MB",
            accept=list(SUFFIXES),
            width="100%",
        ),
        ui.output_ui("sheet_answer"),
        class_="p-3 kinetics-sheet",
    )
    return ui.nav_panel("Open a sheet", content, value="sheet")


def serve_sheet(input: Inputs, session: Session, open_page: OpenPage) -> None:
    """Serve the panel: read the file when it comes, and again with every set of answers."""
    folder = tempfile.TemporaryDirectory(prefix="kinetics-sheet-")
    session.on_ended(folder.cleanup)
    opened: reactive.Value[OpenedSheet | None] = reactive.value(None)
    address: reactive.Value[str] = reactive.value("")
    state: dict[str, Any] = {"file": None, "answers": {}, "pages": 0}

    async def read(name: str) -> None:
        result = await asyncio.to_thread(opened_sheet, state["file"], name, state["answers"])
        former = opened()
        if former is not None and result.study is None and not result.questions:
            result = replace(result, questions=former.questions)  # an answer that was not read is asked again
        if result.study is not None and state["pages"] >= MOST_PAGES:
            result = OpenedSheet(problems=(f"{MOST_PAGES} studies are open: open this page anew for more",))
        elif result.study is not None:
            state["pages"] += 1
            address.set(await asyncio.to_thread(open_page, result.study))
        opened.set(result)

    @reactive.effect
    @reactive.event(input.sheet)
    async def _() -> None:
        uploads = input.sheet() or []
        if not uploads:
            return
        address.set("")
        opened.set(None)
        state["answers"] = {}
        try:
            upload = uploads[0]
            state["file"] = kept_upload(Path(upload["datapath"]), upload["name"], Path(folder.name))
        except StudyError as error:
            state["file"] = None
            opened.set(OpenedSheet(problems=(str(error),)))
            return
        await read(_study_name(state["file"]))

    @reactive.effect
    @reactive.event(input.sheet_import)
    async def _() -> None:
        former = opened()
        if former is None or state["file"] is None:
            return
        for k, (question, item) in enumerate(_items(former)):
            text = input[f"sheet_{k}"]()
            if isinstance(text, str):
                state["answers"].setdefault(question.key, {})[item] = text.strip()
        name = input.sheet_name()
        await read(name if isinstance(name, str) else "")

    @render.ui
    def sheet_answer() -> Any:
        result = opened()
        if result is None or state["file"] is None:
            return _problems(result) if result else None
        name = _study_name(state["file"])
        with reactive.isolate():
            if "sheet_name" in input and isinstance(input.sheet_name(), str):
                name = input.sheet_name() or name
        return ui.TagList(*_answer(result, address(), name, state["answers"]))


def _study_name(file: Path) -> str:
    """The name of the study of a file, as `kinetics import` has it."""
    return file.stem.lower().replace(" ", "_")


def _items(result: OpenedSheet) -> list[tuple[Question, str]]:
    """Every item that is asked, with its question."""
    return [(question, item.name) for question in result.questions for item in question.items]


def _problems(result: OpenedSheet) -> Any:
    """The problems of a file as a list; None where there are none."""
    if not result.problems:
        return None
    items = [ui.tags.li(ui.tags.pre(problem)) for problem in result.problems]
    return ui.div(ui.tags.ul(*items), class_="kinetics-caution", id="sheet_problems")


def _answer(
    result: OpenedSheet, address: str, name: str, answers: Mapping[str, Mapping[str, str]]
) -> Iterator[Any]:
    """What is shown of a file: the link to its page, or its problems and questions; and how it is read."""
    if result.study is not None:
        link = ui.tags.a(
            f"Open the page of {result.study.name}", href=address, target="_blank", rel="noreferrer"
        )
        yield ui.p(link, id="sheet_link", class_="fs-5")
        yield ui.tags.pre(str(result.study))
        if result.folder is not None:
            yield ui.p(f"Written: {result.folder}. Next: ", ui.tags.code(f"kinetics nca {result.folder}"))
    yield _problems(result)
    if result.questions:
        yield ui.h5("What no sheet says", class_="mt-3")
        first = 0
        for question in result.questions:
            fields = _fields(first, question, answers.get(question.key, {}))
            yield ui.div(*fields, class_="kinetics-question")
            first += len(question.items)
    if result.study is None:
        yield ui.input_text("sheet_name", "Name of the study: data/NAME", name)
        yield ui.input_action_button("sheet_import", "Import", class_="btn-primary")
    if result.proposal:
        yield ui.h5("How it is read", class_="mt-3")
        yield ui.tags.pre(result.proposal)


def _fields(first: int, question: Question, answers: Mapping[str, str]) -> Iterator[Any]:
    """A question, what may be answered, and an input for each of its items.

    In the input is the answer so far, else the proposal. `first` is the number of the question's first item
    among all that are asked.
    """
    yield ui.p(ui.tags.b(question.text), class_="mb-0")
    yield ui.p(question.choices or QUESTIONS[question.key][1], class_="kinetics-status mb-1")
    for k, item in enumerate(question.items, start=first):
        where = re.sub(r"\s+", " ", item.where).strip()
        label = where if item.name == ALL else f"{item.name} ({where})" if where else item.name
        text = answers.get(item.name) or item.proposal or ""
        yield ui.input_text(f"sheet_{k}", label, text, width="100%")
