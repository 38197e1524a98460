"""The commands about models: `kinetics models`, `check-model`, `import-sbml` and `import-petab`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from kinetics.checks import calibration_card
from kinetics.cli.console import print_result
from kinetics.cli.options import Force, Json
from kinetics.formats import import_petab as write_problem
from kinetics.model import library_models, load_model
from kinetics.sbml import import_sbml as write_model
from kinetics.solve import check_laws

__all__ = ["check_model", "import_petab", "import_sbml", "models"]

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


def import_sbml(
    file: Annotated[Path, typer.Argument(help="An SBML file, of Level 1 to 3.")],
    out: Annotated[
        Path | None,
        typer.Option(help="The model file to write.  [default: models/FILE.py]", show_default=False),
    ] = None,
    time_unit: Annotated[
        str | None,
        typer.Option(help="The unit of time where the file declares none: day, h, min, s, week or year."),
    ] = None,
    item: Annotated[
        Literal["cells", "copies", "count"], typer.Option(help="What an item of the file is.")
    ] = "count",
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Write an SBML model as a model file, or say what it has that a model file cannot say.

    Needs the extra `sbml` (python-libsbml).

    Values, units and formulas are the file's; priors are guesses. Events, delays, algebraic rules and volumes
    that change are refused by name. Example: `kinetics import-sbml BIOMD0000001025.xml --item cells --out
    models/chaudhury_ec50.py`
    """
    target = Path("models") / f"{_module_name(file)}.py" if out is None else out
    imported = write_model(file, target, time_unit=time_unit, item=item, force=force)
    answer = {
        "model": str(imported.path),
        "states": list(imported.states),
        "parameters": list(imported.parameters),
        "outputs": list(imported.outputs),
        "without_unit": list(imported.without_unit),
        "notes": list(imported.notes),
    }
    print_result(answer, str(imported), as_json)


def import_petab(
    file: Annotated[Path, typer.Argument(help="The YAML file of a PEtab problem, version 1.")],
    name: Annotated[str | None, typer.Option(help="What to call it.  [default: that of the file]")] = None,
    time_unit: Annotated[
        str | None,
        typer.Option(help="The unit of time where the SBML declares none: day, h, min, s, week or year."),
    ] = None,
    synthetic: Annotated[bool, typer.Option("--synthetic", help="The measurements were simulated.")] = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Write a PEtab problem of one condition as models/NAME.py, data/NAME and fits/NAME.toml.

    Needs the extra `sbml` (python-libsbml, pyyaml).

    Several conditions, preequilibration, and priors and noise that a plan has not are refused by name.
    Example: `kinetics import-petab boehm.yaml`, then `kinetics fit fits/boehm.toml`
    """
    imported = write_problem(file, name=name, time_unit=time_unit, synthetic=synthetic, force=force)
    answer = {
        "model": str(imported.model),
        "data": str(imported.data),
        "plan": str(imported.plan),
        "observables": list(imported.observables),
        "estimated": list(imported.estimated),
        "notes": list(imported.notes),
    }
    print_result(answer, str(imported), as_json)


def _module_name(file: Path) -> str:
    """The name of a file as that of a model: small letters, digits and _."""
    name = "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in file.stem.lower())
    return f"m_{name}" if name[:1].isdigit() else name
