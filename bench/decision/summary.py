"""The table of a run: how often each design is right, what it costs, and whether its probabilities hold."""

from __future__ import annotations

import numpy as np
import pandas as pd

__all__ = ["reliability", "summary"]


def summary(trials: pd.DataFrame) -> pd.DataFrame:
    """One row a truth's name and design, and a row "mean S" of the scenarios: percents with standard errors.

    Columns: truth, design, trials, right [%], se, lost (utility points), over [% of trials that select above
    the limit], patients, above (patients above the limit), dlts_above.
    """
    rows = []
    for (truth, design), group in trials.groupby(["truth", "design"], sort=False):
        right = group["right"].to_numpy(float)
        rows.append(
            {
                "truth": truth,
                "design": design,
                "trials": len(group),
                "right": 100 * right.mean(),
                "se": 100 * right.std() / np.sqrt(len(group)),
                "lost": group["lost"].mean(),
                "over": 100 * group["over"].mean(),
                "patients": group["patients"].mean(),
                "above": group["n_above"].mean(),
                "dlts_above": group["dlts_above"].mean(),
            }
        )
    table = pd.DataFrame(rows)
    scenarios = table[table["truth"].str.startswith("S")]
    means = scenarios.groupby("design", sort=False).mean(numeric_only=True).reset_index()
    counts = scenarios.groupby("design", sort=False)["se"].agg(lambda se: np.sqrt(np.sum(se**2)) / len(se))
    means["se"] = counts.to_numpy()
    means["trials"] = scenarios.groupby("design", sort=False)["trials"].sum().to_numpy()
    return pd.concat([table, means.assign(truth="mean S")], ignore_index=True)[list(table)]


def reliability(trials: pd.DataFrame, said: str, true: str) -> pd.DataFrame:
    """Said against true in ten bins of a probability, by design: design, bin, n, said, true.

    `said` and `true` are columns with one number a level, as space-separated text.
    """
    rows = []
    for design, group in trials.groupby("design", sort=False):
        pairs = group[[said, true]].dropna()
        values = np.array([float(x) for text in pairs[said] for x in str(text).split()])
        truths = np.array([float(x) for text in pairs[true] for x in str(text).split()])
        bins = np.minimum((values * 10).astype(int), 9)
        for b in np.unique(bins):
            inside = bins == b
            rows.append(
                {
                    "design": design,
                    "bin": f"{b / 10:.1f}-{(b + 1) / 10:.1f}",
                    "n": int(inside.sum()),
                    "said": values[inside].mean(),
                    "true": truths[inside].mean(),
                }
            )
    return pd.DataFrame(rows, columns=["design", "bin", "n", "said", "true"])


def spoiled_summary(trials: pd.DataFrame) -> pd.DataFrame:
    """One row a kind of spoiling and design: right [%] with its error, lost and over, over S and over R.

    `change` is the difference of right to the unspoiled trials of the same design, on the same patients.
    """
    rows = []
    for (spoiling, design), group in trials.groupby(["spoiling", "design"], sort=False):
        row = {"spoiled": spoiling or "nothing", "design": design}
        plain = trials[(trials["design"] == design) & (trials["spoiling"] == "")]
        for name, of_truth in (("S", ~group["truth"].eq("R")), ("R", group["truth"].eq("R"))):
            own = group[of_truth]
            both = own.merge(plain, on=["truth", "trial"], suffixes=("", "_plain"))
            changed = both.assign(change=both["right"] - both["right_plain"])
            right, error = _percent(own, "right")
            change, change_error = _percent(changed, "change")
            over, over_error = _percent(own, "over")
            row[f"right {name} %"] = f"{right:.1f} ({error:.1f})"
            row[f"change {name}"] = f"{change:+.1f} ({change_error:.1f})"
            row[f"lost {name}"] = f"{own['lost'].mean():.2f} ({_error(own, 'lost'):.2f})"
            row[f"over {name} %"] = f"{over:.1f} ({over_error:.1f})"
        row["patients"] = f"{group['patients'].mean():.1f}"
        rows.append(row)
    return pd.DataFrame(rows)


def _percent(trials: pd.DataFrame, name: str) -> tuple[float, float]:
    """The mean of a column in percent, and its standard error."""
    return 100 * trials[name].mean(), 100 * _error(trials, name)


def _error(trials: pd.DataFrame, name: str) -> float:
    """The standard error of a mean over truths with as many trials each."""
    errors = [group[name].var(ddof=1) / len(group) for _, group in trials.groupby("truth")]
    return float(np.sqrt(sum(errors)) / len(errors))
