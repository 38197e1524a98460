"""The command line of what happened to the patients: `kinetics response`."""

from __future__ import annotations

from typing import Annotated

import typer
from pandas import DataFrame

from kinetics.protocol import read_protocol, settled
from kinetics.response import adverse_events, best_responses, dlt_table, response_rates
from kinetics.study import read_study
from kinetics.terminal import print_result, records, table_text

__all__ = ["response"]


def response(
    study: Annotated[str, typer.Argument(help="A study with events.csv and responses.csv.")],
    by: Annotated[str, typer.Option(help="A column of subjects.csv.")] = "dose_level",
    confirmed: Annotated[bool, typer.Option(help="A response counts once a later scan confirms it.")] = False,
    protocol: Annotated[
        str | None, typer.Option(help="A protocol.toml: DLTs by its window and clock.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Best responses, ORR and DCR with exact intervals, adverse events by worst grade and system, DLTs.

    Example: `kinetics response nkg2d_phase1_synthetic --protocol nkg2d_phase1_synthetic`
    """
    read = read_study(study)
    tables: dict[str, DataFrame] = {
        "best responses (RECIST 1.1)": best_responses(read, confirmed, by=by),
        "response rates": response_rates(read, by, confirmed=confirmed),
        "adverse events, subjects by worst grade": adverse_events(read, by),
    }
    if protocol is not None:
        tables["dose-limiting toxicities"] = dlt_table(read, settled(read_protocol(protocol)))
    label = " (SYNTHETIC)" if read.synthetic else ""
    text = "\n\n".join(f"{name}\n{table_text(table)}" for name, table in tables.items())
    keys = ("best_responses", "response_rates", "adverse_events", "dlts")
    rows = {key: records(table) for key, table in zip(keys, tables.values(), strict=False)}
    print_result({"study": read.name} | rows, f"{read.name}{label}\n\n{text}", as_json)
