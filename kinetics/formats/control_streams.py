"""A plan as control streams of NONMEM and Monolix, in one new folder; none of them was ever run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from kinetics.errors import InputError, Problem, did_you_mean
from kinetics.formats.control_plan import ControlPlan, control_plan
from kinetics.formats.exporting import Exported
from kinetics.formats.files import write_files
from kinetics.formats.mlxtran_project import mlxtran_files
from kinetics.formats.nonmem_control import UNRUN, nonmem_control_files

__all__ = ["CONTROL_FORMATS", "export_control"]

# name -> what it is, and the function that makes its files
CONTROL_FORMATS: dict[str, tuple[str, Callable[[ControlPlan], dict[str, str]]]] = {
    "nonmem-control": ("NONMEM control stream of a plan, and its data file; UNRUN", nonmem_control_files),
    "mlxtran": ("Monolix project of a plan, its model and its data file; UNRUN", mlxtran_files),
}


def export_control(
    plan: str | Path, formats: str | Sequence[str], to: str | Path, *, force: bool = False
) -> Exported:
    """Write the plan of a fits/*.toml as control streams into one new folder `to`.

    `formats` are names of CONTROL_FORMATS. `force` replaces what is there. Every file says that it was never
    run. InputError lists what of the plan a control stream cannot carry; nothing is written then.

    >>> from pathlib import Path
    >>> text = '''model = "one_compartment_oral"
    ... data = "theophylline"
    ... [observe.theophylline]
    ... likelihood = "additive"'''
    >>> _ = Path("oral.toml").write_text(text)
    >>> kn.formats.export_control("oral.toml", "nonmem-control", "control").files
    ('oral.ctl', 'oral.csv')
    """
    names = [formats] if isinstance(formats, str) else list(formats)
    unknown = [name for name in names if name not in CONTROL_FORMATS]
    if unknown:
        raise InputError(
            Problem(f"a plan has no format {name!r}", did_you_mean(name, CONTROL_FORMATS)) for name in unknown
        )
    content = control_plan(str(plan))
    files: dict[str, str] = {}
    for name in names:
        files |= CONTROL_FORMATS[name][1](content)
    folder = write_files(Path(to), dict(files), force=force)
    return Exported(folder, tuple(files), tuple(f"{name}: {UNRUN}" for name in names))
