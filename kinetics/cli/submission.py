"""The commands of a submission: `kinetics map` and `kinetics submit`."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from kinetics.cli.console import print_result
from kinetics.cli.groups import Group
from kinetics.cli.options import Force, Json, Trust
from kinetics.errors import InputError, Problem
from kinetics.inference import load_fit, use_compile_cache, use_cores
from kinetics.pages import solve_once
from kinetics.protocol import read_protocol, settled
from kinetics.submission import (
    NCA_RULE_SETS,
    analysis_report,
    lock_file,
    lock_plan,
    plan_page,
    read_analysis_plan,
    read_calibration,
    verify,
    write_tree,
)

__all__ = ["analysis_plan", "lock", "page", "submit"]

MapFile = Annotated[Path, typer.Argument(help="A map.toml, the model analysis plan.")]


class _PageByDefault(Group):
    """A group whose first word may be left out: without the name of a command it is `page`."""

    def parse_args(self, ctx: object, args: list[str]) -> list[str]:
        """Put `page` before a first word that is no command."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:  # pyright: ignore
            args = ["page", *args]
        return super().parse_args(ctx, args)  # pyright: ignore


analysis_plan = typer.Typer(
    name="map",
    cls=_PageByDefault,
    no_args_is_help=True,
    subcommand_metavar="[page|lock] MAP.toml ...",
    rich_markup_mode="markdown",
    help="""A model analysis plan: question, risk, criteria, decision rules; locked before the data are read.

    `kinetics map MAP.toml` is short for `kinetics map page MAP.toml`. Each takes --json.
    Example: `kinetics map lock map.toml`
    """,
)


@analysis_plan.command("page")
def page(
    map_file: MapFile,
    out: Annotated[Path | None, typer.Option(help="The page to write.  [default: beside the plan]")] = None,
    as_json: Json = False,
) -> None:
    """Check a model analysis plan and write it as an HTML page. No data are read.

    Example: `kinetics map map.toml --out map.html`
    """
    plan = read_analysis_plan(map_file)
    written = plan_page(map_file, out or map_file.with_suffix(".html"))
    locked = lock_file(map_file).exists()
    result = {"title": plan.title, "risk": plan.risk, "locked": locked, "page": str(written)}
    state = "locked" if locked else "a draft, not locked"
    print_result(result, f"{plan.title}: {state}; model risk {plan.risk}\nwritten: {written}", as_json)


@analysis_plan.command("lock")
def lock(
    map_file: MapFile,
    amend: Annotated[
        str | None, typer.Option(help="Why a locked plan is changed: a numbered amendment.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Lock a model analysis plan, with hash and date, before the data are read; or amend a locked one.

    Example: `kinetics map lock map.toml`, later `kinetics map lock map.toml --amend "a second seed"`
    """
    versions = lock_plan(map_file, reason=amend)
    latest = versions.latest
    changes = []
    if latest.number:
        changes = [str(change) for change in versions.changes_of(latest.number)]
    word = f"amendment {latest.number}" if latest.number else "locked"
    lines = [f"{word}: {latest.locked}, {latest.sha256[:12]}", *(f"  {line}" for line in changes)]
    result = {"number": latest.number, "locked": latest.locked, "sha256": latest.sha256, "changes": changes}
    written = lock_file(map_file)
    text = "\n".join([*lines, f"written: {written}"])
    print_result(result | {"lock": str(written)}, text, as_json)


def submit(
    folder: Annotated[Path, typer.Argument(help="The tree to write, or with --verify the tree to check.")],
    run: Annotated[Path | None, typer.Option(help="The run folder of the primary fit.")] = None,
    map_file: Annotated[
        Path | None, typer.Option("--map", help="The locked map.toml, the model analysis plan.")
    ] = None,
    also: Annotated[
        list[Path] | None, typer.Option(help="Another run that was made; repeat it for each.")
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="summary.json of `kinetics sbc`, where the plan asks for it.")
    ] = None,
    protocol: Annotated[str | None, typer.Option(help="The protocol whose censoring ADTTE has.")] = None,
    rules: Annotated[str, typer.Option(help="NCA rules, car_t, pknca or winnonlin.")] = "car_t",
    check_tree: Annotated[
        bool, typer.Option("--verify", help="Check every file of a tree and recompute its key table.")
    ] = False,
    force: Force = False,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """The m5 tree of a run: transport files, define, programs, listings, report, manifest; or verify one.

    Example: `kinetics submit tree --run runs/NAME --map map.toml`, then `kinetics submit tree --verify`
    """
    if check_tree:
        verification = verify(folder)
        print_result(verification.as_dict(), str(verification), as_json)
        if not verification.ok:
            raise typer.Exit(1)
        return
    if run is None or map_file is None:
        raise InputError(Problem("a tree is of a run and a locked plan", "give --run and --map, or --verify"))
    if rules not in NCA_RULE_SETS:
        raise typer.BadParameter(f"{rules!r}: choose {', '.join(NCA_RULE_SETS)}")
    if folder.exists() and not force:
        remedy = "choose another folder, or replace it with --force"
        raise InputError(Problem("something is there already", remedy, file=str(folder)))
    censoring = None if protocol is None else settled(read_protocol(protocol), protocol)
    use_cores()
    use_compile_cache()
    fit = load_fit(run, trust=trust)
    solve_once(fit)
    others = [load_fit(other, trust=trust) for other in also or []]
    summary = None if calibration is None else read_calibration(calibration)
    with TemporaryDirectory(prefix="kinetics-") as scratch:
        written = analysis_report(fit, map_file, to=Path(scratch), others=others, calibration=summary)
        reports = {path.name: path.read_bytes() for path in written.files}
        tree = write_tree(
            fit, run, map_file, folder, protocol=censoring, rules=rules, reports=reports, force=force
        )
    result = {
        "folder": str(tree.folder),
        "synthetic": fit.study.synthetic,
        "files": list(tree.files),
        "notes": [*written.notes, *tree.notes],
        "deviations": len(written.deviations),
        "verification": tree.verification.as_dict(),
    }
    text = "\n".join([str(tree), *written.notes, f"deviations from the plan: {len(written.deviations)}"])
    print_result(result, text, as_json)
