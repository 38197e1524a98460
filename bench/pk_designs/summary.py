"""The tables of a run: ours beside the published designs, and what each design does in each scenario."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.pk_designs.truths import DOSES, RANDOM, SCENARIOS

__all__ = ["PUBLISHED", "beside_published", "details"]

# % right in A1 to A5, read off the authors' figure, +-2; 1,000 trials, so that their own error is 1 to 1.6
PUBLISHED = {
    "BLRM": (66, 53, 48, 78, 81),
    "PKLOGIT": (56, 61, 55, 75, 82),
    "ED-EWOC": (71, 75, 59, 60, 70),
    "ED": (57, 63, 61, 84, 69),
    "TITE-PK naive": (18, 30, 37, 100, 8),
    "TITE-PK informed": (30, 41, 47, 95, 17),
}


def beside_published(trials: pd.DataFrame) -> pd.DataFrame:
    """One row a design: design, source, A1 to A5 [% right], mean A1-A4, mean, se (of the mean over A1-A5).

    The standard error of one scenario of ours is in `details`; that of published designs is unknown (NaN).
    """
    names = [scenario.name for scenario in SCENARIOS]
    rows = []
    for design, group in trials[trials["truth"].isin(names)].groupby("design", sort=False):
        right = [100 * group.loc[group["truth"] == name, "right"].mean() for name in names]
        counts = group["truth"].value_counts().reindex(names).to_numpy()
        p = np.array(right) / 100
        se = 100 * float(np.sqrt(np.sum(p * (1 - p) / counts))) / len(names)
        rows.append(_row(str(design), "ours", right, se))
    rows += [_row(design, "published", right, np.nan) for design, right in PUBLISHED.items()]
    return pd.DataFrame(rows)


def _row(design: str, source: str, right: list[float] | tuple[int, ...], se: float) -> dict[str, object]:
    by_scenario = {scenario.name: value for scenario, value in zip(SCENARIOS, right, strict=True)}
    means = {"mean A1-A4": np.mean(right[:-1]), "mean": np.mean(right), "se": se}
    return {"design": design, "source": source, **by_scenario, **means}


def details(trials: pd.DataFrame) -> pd.DataFrame:
    """One row a scenario and design; random truths are split by their right answer ("R 0": none is right).

    Columns: truth, design, trials, right [%], se, none and level 1 to level 4 [% of trials that select it],
    patients, dlts, above (patients at levels more than 5 points above the target).
    """
    split = trials["truth"].where(trials["truth"] != RANDOM, RANDOM + " " + trials["answer"].astype(str))
    rows = []
    for (truth, design), group in trials.groupby([split, "design"], sort=False):
        right = group["right"].to_numpy(float)
        levels = {
            f"level {level}" if level else "none": 100 * (group["level"] == level).mean()
            for level in range(len(DOSES) + 1)
        }
        rows.append(
            {
                "truth": truth,
                "design": design,
                "trials": len(group),
                "right": 100 * right.mean(),
                "se": 100 * right.std() / np.sqrt(len(group)),
                **levels,
                **group[["patients", "dlts", "above"]].mean().to_dict(),
            }
        )
    return pd.DataFrame(rows)
