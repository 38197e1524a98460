"""The command line of one-at-a-time sensitivity: `kinetics tornado`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kinetics.cli.console import print_result
from kinetics.exposures import Tornado, tornado as run_tornado
from kinetics.files import write_atomic
from kinetics.inference import load_fit, use_compile_cache
from kinetics.model import load_model
from kinetics.plot import plot_tornado, refuse_figures, save_figures
from kinetics.printing import table_text
from kinetics.regimen import read_regimen

__all__ = ["tornado"]

_COLUMNS = ["parameter", "unit", "low", "high", "at_low", "at_high", "swing", "scale", "guess"]


def tornado(
    model: Annotated[str, typer.Argument(help="A model's name or file, or a run folder, runs/NAME.")],
    quantity: Annotated[
        list[str] | None,
        typer.Option(help="What is moved, as copies_cmax; may be repeated. Default: the first AUC."),
    ] = None,
    regimen: Annotated[Path | None, typer.Option(help="A TOML of [[dose]] tables.")] = None,
    window: Annotated[str, typer.Option(help="Study days of the quantities, start:stop.")] = "0:28",
    weight: Annotated[float, typer.Option(help="kg, for doses per kg.")] = 70.0,
    level: Annotated[
        float, typer.Option(help="How much of a prior or posterior lies between its ends.")
    ] = 0.9,
    most: Annotated[int, typer.Option(min=1, help="Parameters shown.")] = 15,
    out: Annotated[Path | None, typer.Option(help="Write every quantity and parameter as CSV.")] = None,
    plots: Annotated[Path | None, typer.Option(help="Write a figure a quantity into this folder.")] = None,
    plots_as: Annotated[str, typer.Option(help="html, or for print svg, pdf or png.")] = "html",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Which parameter moves a number most: each alone at the 5 % and 95 % of its prior, or of a run's
    posterior.

    Example: `kinetics tornado stein_2019 --quantity transgene_cmax --plots figures`
    """
    use_compile_cache()
    refuse_figures([] if plots is None else [plots / f"figure.{plots_as}"])
    days = _window(window)
    of = load_fit(model) if Path(model).is_dir() else load_model(model)
    dosed = None if regimen is None else read_regimen(regimen)
    every = run_tornado(of, dosed, window=days, weight_kg=weight, level=level)
    wanted = quantity or [next(q for q in every.units if "_auc_" in q)]
    for q in wanted:
        every.of(q)  # all are there before anything is written
    written = [] if out is None else [f"written: {write_atomic(out, every.table.to_csv(index=False))}"]
    if plots is not None:
        figures = {f"tornado_{q}": plot_tornado(every, q, most=most) for q in wanted}
        written += save_figures(plots, figures, plots_as)
    answer = every.as_dict()
    kept: list[dict[str, Any]] = [row for row in answer["rows"] if row["quantity"] in wanted]
    print_result(answer | {"quantities": wanted, "rows": kept}, _text(every, wanted, most, written), as_json)


def _window(text: str) -> tuple[float, float]:
    try:
        start, end = map(float, text.split(":"))
    except ValueError:
        raise typer.BadParameter(f"{text!r}: write start:stop, as 0:28", param_hint="'--window'") from None
    return start, end


def _text(found: Tornado, wanted: list[str], most: int, written: list[str]) -> str:
    label = "SYNTHETIC DATA  " if found.synthetic else ""
    lines = [
        f"{label}{found.model.name}: each parameter alone at the ends of its {100 * found.level:g} % ({found.source})"
    ]
    lines += [f"{note[0].upper()}{note[1:]}." for note in found.notes]
    for q in wanted:
        table = found.of(q)
        unit = found.units[q]
        middle = f"{table['at_middle'].iloc[0]:.4g}" + (f" {unit}" if unit != "1" else "")
        lines += ["", f"{q}, {middle} with all at the middle", table_text(table.head(most)[_COLUMNS])]
    lines.append(f"\nquantities: {', '.join(found.units)}")
    return "\n".join([*lines, *written])
