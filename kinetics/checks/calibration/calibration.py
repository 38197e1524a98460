"""The verdict of a simulation-based calibration: ranks in, tests of their uniformity and a summary out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pandas import DataFrame

from kinetics.checks.calibration.uniformity import Band, band, chi_square, ecdf_test
from kinetics.files import write_atomic
from kinetics.library import ROOT

__all__ = ["ALPHA", "Calibration", "calibration_card", "record_calibration"]

ALPHA = 0.05  # the level of the test over all quantities together


@dataclass(frozen=True)
class Calibration:
    """Ranks of the truth among `most` draws, and the tests of their uniformity.

    `facts`: fit, model, data, settings and versions. `runs` has one row for each replicate: replicate,
    seconds, redrawn (truths that could not be solved), blq (share of records), divergences, gradients, ess
    (the least of any site). `ranks` has one column for each quantity, of ranks 0..`most`.
    """

    facts: Mapping[str, Any]
    runs: DataFrame
    ranks: DataFrame
    most: int

    @property
    def replicates(self) -> int:
        """The number of replicates."""
        return len(self.ranks)

    @property
    def wrong(self) -> str | None:
        """The deliberately wrong likelihood that was fitted, if any."""
        return self.facts["settings"]["wrong"]

    @property
    def alpha(self) -> float:
        """The greatest probability that a correct fit is rejected, over all of its quantities."""
        return ALPHA

    @property
    def alpha_each(self) -> float:
        """The level of each quantity: `ALPHA` divided by their number (Bonferroni).

        It holds whatever the dependence of the quantities.
        """
        return ALPHA / self.ranks.shape[1]

    @cached_property
    def table(self) -> DataFrame:
        """One row for each quantity, the least p first.

        Columns: site, p (of the ECDF test), p_chi_square, mean_rank [0-1], z (of the mean rank), rejected.
        """
        rows = []
        for site in self.ranks:
            ranks = self.ranks[site].to_numpy(int)
            p = ecdf_test(ranks, self.most)
            mean_rank = float((ranks / self.most).mean())
            sd = np.sqrt((self.most + 2) / (12 * self.most * len(ranks)))
            rows.append(
                {
                    "site": str(site),
                    "p": p,
                    "p_chi_square": chi_square(ranks, self.most),
                    "mean_rank": mean_rank,
                    "z": (mean_rank - 0.5) / sd,
                    "rejected": p <= self.alpha_each,
                }
            )
        return DataFrame(rows).sort_values("p", kind="stable", ignore_index=True)

    @property
    def uniform(self) -> bool:
        """Whether the ECDF of every quantity stays in its band."""
        return not bool(self.table["rejected"].any())

    def band(self) -> Band:
        """The band in which the ECDF of every quantity should stay."""
        return band(self.replicates, self.most, alpha=self.alpha_each)

    def coverage(self, level: float = 0.9) -> dict[str, float]:
        """Share of replicates whose truth lies in the central interval of `level`, for each quantity."""
        tail = round((self.most + 1) * (1 - level) / 2)
        inside = (self.ranks >= tail) & (self.ranks <= self.most - tail)
        return {str(site): float(share) for site, share in inside.mean().items()}

    @property
    def verdict(self) -> str:
        """One paragraph: whether uniformity is rejected, by which quantities, and how the fits went."""
        worst = self.table.iloc[0]
        number = f"{self.ranks.shape[1]} quantities, {self.replicates} replicates"
        least = f"least p {worst['p']:.2g} ({worst['site']}), threshold {self.alpha_each:.2g}"
        if self.uniform:
            finding = "rank uniformity not rejected"
        else:
            rejected = self.table[self.table["rejected"]]
            finding = f"rank uniformity rejected for {', '.join(rejected['site'])}"
        chi = float(min(1.0, self.table["p_chi_square"].min() * self.ranks.shape[1]))
        runs = self.runs
        return (
            f"{finding}: {number}, {least}. Chi-square, adjusted: {chi:.2g}. Replicates with a divergence "
            f"{int((runs['divergences'] > 0).sum())}, with an ESS below {self.most} "
            f"{int((runs['ess'] < self.most).sum())}, truths redrawn {int(runs['redrawn'].sum())}; "
            f"median share of records below the LLOQ {100 * runs['blq'].median():.0f} %"
        )

    def __str__(self) -> str:
        head = str(self.facts["fit"])
        if self.wrong:
            head += f", deliberately wrong: {self.wrong}"
        table = self.table.to_string(index=False, float_format=lambda x: f"{x:.3g}")
        return f"{head}\n{table}\n\n{self.verdict}"

    def summary(self) -> dict[str, Any]:
        """The result as plain values, small enough to keep beside the fit."""
        worst = self.table.iloc[0]
        return {
            **{k: self.facts[k] for k in ("fit", "model", "data", "settings", "versions")},
            "date": datetime.now(UTC).date().isoformat(),
            "replicates": self.replicates,
            "quantities": self.ranks.shape[1],
            "uniform": self.uniform,
            "alpha": ALPHA,
            "least_p": {
                "site": worst["site"],
                "p": _digits(worst["p"]),
                "threshold": _digits(self.alpha_each),
            },
            "p": {row["site"]: _digits(row["p"]) for _, row in self.table.iterrows()},
            "p_chi_square": {row["site"]: _digits(row["p_chi_square"]) for _, row in self.table.iterrows()},
            "coverage_90": {site: _digits(share) for site, share in self.coverage().items()},
            "replicates_with_divergences": int((self.runs["divergences"] > 0).sum()),
            "replicates_with_low_ess": int((self.runs["ess"] < self.most).sum()),
            "redrawn": int(self.runs["redrawn"].sum()),
            "verdict": self.verdict,
        }


def _digits(x: float) -> float:
    """`x` to three digits."""
    return float(f"{x:.3g}")


def record_calibration(calibration: Calibration, plan: Path) -> Path:
    """Write the summary beside a fit's TOML as NAME.sbc.json and return its path.

    That of a deliberately wrong likelihood goes under `wrong`, beside the calibration itself.
    """
    file = plan.with_name(f"{plan.name.removesuffix('.toml')}.sbc.json")
    summaries = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    if calibration.wrong:
        summaries["wrong"] = summaries.get("wrong", {}) | {calibration.wrong: calibration.summary()}
    else:
        summaries["calibration"] = calibration.summary()
    return write_atomic(file, json.dumps(summaries, indent=2) + "\n")


def calibration_card(model: str, sha256: str, *, root: Path = ROOT) -> list[str]:
    """The calibrations of a model's fits that the library keeps, one line each; empty if there is none.

    `sha256` is that of the model's file now. A line says so where the file has changed since.
    """
    lines = []
    for file in sorted(root.glob("fits/*.sbc.json")):
        kept = json.loads(file.read_text(encoding="utf-8"))
        summaries = [kept["calibration"]] if "calibration" in kept else []
        summaries += kept.get("wrong", {}).values()
        for summary in summaries:
            if summary["model"]["name"] == model:
                lines.append(_line(summary, sha256))
    return lines


def _line(summary: Mapping[str, Any], sha256: str) -> str:
    """One line on a kept summary."""
    wrong = summary["settings"]["wrong"]
    least = summary["least_p"]
    fit = summary["fit"]
    if wrong:
        fit += f", deliberately wrong ({wrong})"
    verdict = "not rejected" if summary["uniform"] else "REJECTED"
    stale = "" if summary["model"]["sha256"] == sha256 else "; the model file has changed since"
    return (
        f"{fit}: rank uniformity {verdict}, {summary['replicates']} replicates, least p {least['p']:g} "
        f"({least['site']}; threshold {least['threshold']:g}), {summary['date']}{stale}"
    )
