"""The commands about models: `kinetics models` and `kinetics check-model`."""

from __future__ import annotations

from typing import Annotated

import typer

from kinetics.checks import calibration_card
from kinetics.cli.console import print_result
from kinetics.cli.options import Json
from kinetics.model import library_models, load_model
from kinetics.solve import check_laws

__all__ = ["check_model", "models"]

_MARKS = {True: "ok  ", False: "FAIL", None: "-   "}


def models(
    name: Annotated[str | None, typer.Argument(help="A model's name or file.")] = None, as_json: Json = False
) -> None:
    """List the models of the library, or show one with its parameters and sources.

    Example: `kinetics models stein_2019`
    """
    if name is None:
        titles = {n: load_model(n).doc.strip().splitlines()[0] for n in library_models()}
        print_result(
            {"models": titles}, "\n".join(f"{n:<24} {title}" for n, title in titles.items()), as_json
        )
        return
    model = load_model(name)
    calibration = calibration_card(model.name, model.sha256)
    card = [str(model)]
    if calibration:
        card += ["Calibration", *(f"  {line}" for line in calibration)]
    print_result(model.as_dict() | {"calibration": calibration}, "\n".join(card), as_json)


def check_model(
    model: Annotated[str, typer.Argument(help="A model's file, or a name of the library.")],
    dose: Annotated[
        float | None, typer.Option(help="Cells or mg; default: the model's typical dose.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Test a model file: doses, infusions, batches, mass, convergence, gradient.

    Exit 1 if it breaks a law.

    Example: `kinetics check-model models/mine.py --dose 1e8`
    """
    laws = check_laws(load_model(model), amount=dose)
    broken = [law for law in laws if law.ok is False]
    lines = [f"  {_MARKS[law.ok]} {law.name:<34} {law.detail}" for law in laws]
    lines.append(f"{len(broken)} laws broken" if broken else "every law that applies holds")
    print_result({"ok": not broken, "laws": [vars(law) for law in laws]}, "\n".join(lines), as_json)
    if broken:
        raise typer.Exit(1)
