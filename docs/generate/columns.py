"""The page of known columns, made from the registry that the readers of tables use."""

from __future__ import annotations

from kinetics.study.sources.known_columns import KNOWN, MEANS, KnownColumn

__all__ = ["column_page"]

HEAD = """# Known columns

The columns of a single table (NONMEM, Monolix, nlmixr2, Pumas, ADaM, PKNCA) whose meaning is known, by what
is done with them. A name counts in any case, with or without spaces, points and underscores. None of them
becomes a covariate on its own: a column of this list that you want as one is declared, under
`[columns.subjects]` or in `columns` of the table's TOML. `--drop NAME` leaves a column out. Every other
column is a covariate.
"""


def column_page() -> str:
    """`columns.md`: the known columns, a table for each thing that is done with them."""
    parts = [HEAD]
    for role, means in MEANS.items():
        rows = [_row(known) for known in KNOWN.values() if known.role == role]
        title = role.replace("_", " ").capitalize()
        parts += [f"## {title}\n", f"{means[0].upper()}{means[1:]}.\n"]
        parts += ["| column | other names | what it means | known from |\n|---|---|---|---|", *rows, ""]
    return "\n".join(parts)


def _row(known: KnownColumn) -> str:
    """A line of the table."""
    others = ", ".join(f"`{name}`" for name in known.others)
    return f"| `{known.name}` | {others} | {known.meaning} | {known.source} |"
