"""The verdict of a simulation-based calibration: ranks in, tests of uniformity and a summary to keep out."""

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

ALPHA = 0.05  # of all quantities together


@dataclass(frozen=True)
class Calibration:
    """Ranks of the truth among `most` draws, and what they say.

    `facts`: fit, model, data, settings and versions. `runs`, one row a replicate: replicate, seconds, redrawn
    (truths that could not be solved), blq (share of records), divergences, gradients, ess (the least of any
    site). `ranks`: one column a quantity, 0..`most`.
    """

    facts: Mapping[str, Any]
    runs: DataFrame
    ranks: DataFrame
    most: int

    @property
    def replicates(self) -> int:
        return len(self.ranks)

    @property
    def wrong(self) -> str | None:
        """The deliberately wrong likelihood that was fitted, if any."""
        return self.facts["settings"]["wrong"]

    @property
    def alpha(self) -> float:
        """How often a correct fit is rejected, over all of its quantities, at most."""
        return ALPHA

    @property
    def alpha_each(self) -> float:
        """The level of each quantity: `ALPHA` shared out evenly (Bonferroni), whatever their dependence."""
        return ALPHA / self.ranks.shape[1]

    @cached_property
    def table(self) -> DataFrame:
        """One row a quantity, the least p first: site, p (ECDF), p_chi_square, mean rank [0-1], z of it,
        rejected.
        """
        rows = []
        for site in self.ranks:
            ranks = self.ranks[site].to_numpy(int)
            p = ecdf_test(ranks, self.most)
            middle = float((ranks / self.most).mean())
            sd = np.sqrt((self.most + 2) / (12 * self.most * len(ranks)))
            rows.append(
                {
                    "site": str(site),
                    "p": p,
                    "p_chi_square": chi_square(ranks, self.most),
                    "mean_rank": middle,
                    "z": (middle - 0.5) / sd,
                    "rejected": p <= self.alpha_each,
                }
            )
        return DataFrame(rows).sort_values("p", kind="stable", ignore_index=True)

    @property
    def uniform(self) -> bool:
        """Whether no quantity's ECDF leaves its band."""
        return not bool(self.table["rejected"].any())

    def band(self) -> Band:
        """The band that every quantity's ECDF is held to."""
        return band(self.replicates, self.most, alpha=self.alpha_each)

    def coverage(self, level: float = 0.9) -> dict[str, float]:
        """Share of replicates whose truth lies in the central interval of that level, for each quantity."""
        tail = round((self.most + 1) * (1 - level) / 2)
        inside = (self.ranks >= tail) & (self.ranks <= self.most - tail)
        return {str(site): float(share) for site, share in inside.mean().items()}

    @property
    def verdict(self) -> str:
        """One paragraph: is uniformity rejected, by what, and how the replicates went."""
        worst = self.table.iloc[0]
        rejected = self.table[self.table["rejected"]]
        number = f"{self.ranks.shape[1]} quantities, {self.replicates} replicates"
        least = f"least p {worst['p']:.2g} ({worst['site']}), threshold {self.alpha_each:.2g}"
        if self.uniform:
            said = f"rank uniformity not rejected: {number}, {least}"
        else:
            said = f"rank uniformity rejected for {', '.join(rejected['site'])}: {number}, {least}"
        chi = float(min(1.0, self.table["p_chi_square"].min() * self.ranks.shape[1]))
        runs = self.runs
        return (
            f"{said}. Chi-square, adjusted: {chi:.2g}. Replicates with a divergence "
            f"{int((runs['divergences'] > 0).sum())}, with an ESS below {self.most} "
            f"{int((runs['ess'] < self.most).sum())}, truths redrawn {int(runs['redrawn'].sum())}; "
            f"median share of records below the LLOQ {100 * runs['blq'].median():.0f} %"
        )

    def __str__(self) -> str:
        head = f"{self.facts['fit']}" + (f", deliberately wrong: {self.wrong}" if self.wrong else "")
        shown = self.table.to_string(index=False, float_format=lambda x: f"{x:.3g}")
        return f"{head}\n{shown}\n\n{self.verdict}"

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
    return float(f"{x:.3g}")


def record_calibration(calibration: Calibration, plan: Path) -> Path:
    """Write the summary beside a fit's TOML as NAME.sbc.json, the wrong likelihoods tried under `wrong`."""
    file = plan.with_name(f"{plan.name.removesuffix('.toml')}.sbc.json")
    kept = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    summary = calibration.summary()
    if calibration.wrong:
        kept["wrong"] = kept.get("wrong", {}) | {calibration.wrong: summary}
    else:
        kept["calibration"] = summary
    return write_atomic(file, json.dumps(kept, indent=2) + "\n")


def calibration_card(model: str, sha256: str, *, root: Path = ROOT) -> list[str]:
    """What the fits beside the library's models say of a model's calibration: one line each, none if there is
    none.

    `sha256` is that of the model's file now; a line says where it was another one then.
    """
    lines = []
    for file in sorted(root.glob("fits/*.sbc.json")):
        kept = json.loads(file.read_text(encoding="utf-8"))
        found = [kept["calibration"]] if "calibration" in kept else []
        for summary in [*found, *kept.get("wrong", {}).values()]:
            if summary["model"]["name"] == model:
                lines.append(_line(summary, sha256))
    return lines


def _line(summary: Mapping[str, Any], sha256: str) -> str:
    wrong = summary["settings"]["wrong"]
    least = summary["least_p"]
    what = summary["fit"] + (f", deliberately wrong ({wrong})" if wrong else "")
    verdict = "not rejected" if summary["uniform"] else "REJECTED"
    stale = "" if summary["model"]["sha256"] == sha256 else "; the model file has changed since"
    return (
        f"{what}: rank uniformity {verdict}, {summary['replicates']} replicates, least p {least['p']:g} "
        f"({least['site']}; threshold {least['threshold']:g}), {summary['date']}{stale}"
    )
