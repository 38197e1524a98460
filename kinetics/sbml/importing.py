"""One SBML file read, and written as a model file that was loaded before it is kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from kinetics.arguments import require
from kinetics.errors import InputError, Problem, did_you_mean
from kinetics.files import write_atomic
from kinetics.model import load_model
from kinetics.sbml.model_source import model_source
from kinetics.sbml.reading import Item, read_sbml
from kinetics.sbml.unit_names import DAYS

__all__ = ["ImportedModel", "import_sbml"]

_ITEMS: tuple[Item, ...] = ("cells", "copies", "count")


@dataclass(frozen=True)
class ImportedModel:
    """The model `path` that was written, what is in it, and `notes` for whoever uses it.

    `states`, `parameters` and `outputs` are names. `without_unit` lists the parameters and states that have
    the unit 1 because the file's own has no word in this package, or because the file has none.

    >>> from pathlib import Path
    >>> from kinetics.sbml import ImportedModel
    >>> imported = ImportedModel(Path("models/decay.py"), ("A",), ("k",), ("A",), (), ())
    >>> print(imported)
    written: models/decay.py
    1 state, 1 parameter, 1 output; priors are guesses
    next: kinetics models models/decay.py
    """

    path: Path
    states: tuple[str, ...]
    parameters: tuple[str, ...]
    outputs: tuple[str, ...]
    without_unit: tuple[str, ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        counts = {"state": self.states, "parameter": self.parameters, "output": self.outputs}
        words = ", ".join(f"{len(v)} {k}{'' if len(v) == 1 else 's'}" for k, v in counts.items())
        lines = [f"written: {self.path}", f"{words}; priors are guesses"]
        lines += [f"note: {note}" for note in self.notes]
        if self.without_unit:
            lines.append(f"note: unit 1, see the source of each: {', '.join(self.without_unit)}")
        return "\n".join([*lines, f"next: kinetics models {self.path}"])


def import_sbml(
    file: str | Path,
    to: str | Path,
    *,
    time_unit: str | None = None,
    item: Item = "count",
    force: bool = False,
) -> ImportedModel:
    """Write the SBML model `file` as the model file `to`.

    `time_unit` is that of a file that declares none: day, h, min, s, week or year. `item` says what an item
    of the file is: cells, copies or count. `force` replaces a file that is there. InputError lists everything
    that a model file cannot say, by its name in the file; nothing is written then.

    >>> from pathlib import Path
    >>> _ = Path("decay.xml").write_text('''<?xml version="1.0" encoding="UTF-8"?>
    ... <sbml xmlns="http://www.sbml.org/sbml/level3/version1/core" level="3" version="1">
    ... <model id="decay"><listOfParameters>
    ... <parameter id="k" value="0.5" constant="true"/><parameter id="A" value="9" constant="false"/>
    ... </listOfParameters><listOfRules><rateRule variable="A">
    ... <math xmlns="http://www.w3.org/1998/Math/MathML">
    ... <apply><times/><cn>-1</cn><ci>k</ci><ci>A</ci></apply></math></rateRule>
    ... </listOfRules></model></sbml>''')
    >>> kn.sbml.import_sbml("decay.xml", "decay.py", time_unit="day").parameters
    ('k', 'A_0')
    """
    require(file=(file, str | Path), to=(to, str | Path))
    source = Path(file)
    path = Path(to)
    problems = []
    if time_unit is not None and time_unit not in DAYS:
        problems.append(Problem(f"no unit of time {time_unit!r}", did_you_mean(time_unit, DAYS)))
    if item not in _ITEMS:
        problems.append(Problem(f"an item cannot be {item!r}", did_you_mean(item, _ITEMS)))
    if path.suffix != ".py" or not path.stem.isidentifier():
        problems.append(
            Problem("a model file is NAME.py, NAME of letters, digits and _", "name another", file=str(path))
        )
    if path.exists() and not force:
        problems.append(Problem("already there", "name another, or use --force", file=str(path)))
    if problems:
        raise InputError(problems)
    model = read_sbml(source, time_unit=time_unit, item=item)
    text = model_source(model)

    # load the model from a file of its own, so that nothing is kept that does not load
    with TemporaryDirectory(prefix="kinetics-sbml-") as folder:
        trial = Path(folder) / path.name
        trial.write_text(text, encoding="utf-8")
        loaded = load_model(trial)
    written = write_atomic(path, text)
    variables = [*model.constants.values(), *model.states.values()]
    return ImportedModel(
        path=Path(written),
        states=tuple(loaded.states),
        parameters=tuple(loaded.parameters),
        outputs=tuple(loaded.outputs),
        without_unit=tuple(variable.name for variable in variables if variable.unit_note),
        notes=model.notes,
    )
