"""The commands of a submission: `kinetics map` and `kinetics submit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kinetics.cli.console import print_result
from kinetics.cli.groups import Group
from kinetics.cli.options import Json
from kinetics.submission import lock_file, lock_plan, plan_page, read_analysis_plan

__all__ = ["analysis_plan", "lock", "page"]

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
    help="""A model analysis plan: question, risk, criteria and decision rules as a page, locked before the data.

    `kinetics map MAP.toml` is short for `kinetics map page MAP.toml`.
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
