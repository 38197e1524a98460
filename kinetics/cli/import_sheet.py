"""The command `kinetics import`: a lab's own sheets into a study folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from kinetics.cli.console import print_result
from kinetics.cli.options import Force, Json
from kinetics.lab_sheet import INTERPRETATIONS, Imported, OpenQuestions, Question, run_import

__all__ = ["import_sheet"]


def import_sheet(
    files: Annotated[
        list[Path] | None, typer.Argument(help="A workbook or CSV files; by default those of --again.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The study folder to make.  [default: data/NAME]", show_default=False)
    ] = None,
    again: Annotated[Path | None, typer.Option(help="The TOML of an earlier import.")] = None,
    answer: Annotated[
        list[str] | None, typer.Option(help="QUESTION=ANSWER, or QUESTION=proposed; may be repeated.")
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Make a study of the lab's own Excel or CSV sheets, wide or long.

    It says how it reads each column and each kind of cell, and asks what no sheet says: on a terminal one
    question after another, elsewhere in OUT.import.toml. The list of every reading is interpretations.csv in
    the folder. Example: `kinetics import trial.xlsx`, then with the next data cut `kinetics import cut2.xlsx
    --again data/trial.import.toml --out data/cut2`
    """
    is_terminal = sys.stdin.isatty() and not as_json
    try:
        made = run_import(
            files or [],
            out,
            answers=_answers(answer or []),
            again=again,
            force=force,
            ask=_ask if is_terminal else None,
            tell=None if as_json else _tell,
        )
    except OpenQuestions as error:
        if not as_json:
            for question in error.questions:
                print(f"\n{question}", file=sys.stderr)
            print(file=sys.stderr)
        raise
    guesses = int((made.interpretations["basis"] == "guess").sum())
    answer_json = {
        "study": str(made.folder),
        "toml": str(made.toml),
        "interpretations": len(made.interpretations),
        "guesses": guesses,
    } | made.study.summary()
    print_result(answer_json, _text(made, guesses), as_json)


def _text(made: Imported, guesses: int) -> str:
    path = str(made.folder) if len(made.folder.parts) > 1 else f"./{made.folder}"
    return (
        f"\n{made.study}\n\nwritten: {path}\n"
        f"readings: {made.folder / INTERPRETATIONS}: {len(made.interpretations)}, {guesses} of them guesses\n"
        f"to change one: {made.toml}, then: kinetics import --again {made.toml} --force\n"
        f"next: kinetics nca {path} --plots figures"
    )


def _answers(pairs: list[str]) -> dict[str, str]:
    """The answers of the option --answer."""
    answers = {}
    for pair in pairs:
        key, mark, text = pair.partition("=")
        if not mark:
            raise typer.BadParameter(f"{pair!r}: write QUESTION=ANSWER, as infusion='car_t 420e6 cells'")
        answers[key.strip()] = text.strip()
    return answers


def _tell(text: str) -> None:
    print(text, flush=True)


def _ask(question: Question, number: int, complaint: str) -> str:
    """The answer that the user types to a question."""
    if complaint:
        print(f"\n{complaint}", file=sys.stderr)
    print(f"\nQuestion {number}. {question}")
    proposed = all(item.proposal for item in question.items)
    hint = "Enter takes what is in [ ]" if proposed else "NAME = ANSWER, NAME = ANSWER; the others as in [ ]"
    if len(question.items) == 1 and not proposed:
        hint = "your answer"
    return typer.prompt(hint, default="", show_default=False)
