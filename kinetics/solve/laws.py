"""The laws that every model must obey, whoever wrote it: `kinetics check-model models/mine.py`, and
tests/laws.

A law is tried on a few made-up subjects who differ in one respect only: a dose or none, a dose given at once
or in two parts, a bolus or a short infusion. Times are days. The dose is an argument because a mouse's dose
is not a patient's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array, Float

from kinetics.arguments import require
from kinetics.model import Model, Output
from kinetics.regimen import Doses, pad_doses
from kinetics.solve.reachable import reach
from kinetics.solve.reference import reference_solve
from kinetics.solve.solving import Solver, solve

__all__ = ["LAWS", "Law", "Trial", "check_laws"]

TIMES = np.array([0.5, 1.0, 1.02, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0, 14.0, 21.0, 28.0, 42.0, 60.0])
_TOTAL = "(mass balance)"  # an output added to the model's own, so that all share a compilation
DAY = 1.0  # day of the dose
SHORT = 0.02  # days: the duration of an infusion that ends at the third record
LONG = 1.0  # days: the duration of an infusion that is given in two parts too
Curves = dict[str, Float[np.ndarray, "subject record"]]


@dataclass(frozen=True)
class Law:
    """The result of one law: `ok`, None where the model makes no such claim, and the details in words."""

    name: str
    ok: bool | None
    detail: str


@dataclass(frozen=True)
class Trial:
    """A model under trial with its dose `amount` (cells or mg).

    The solutions that several laws need are computed once.
    """

    model: Model
    amount: float
    seed: int = 0
    traced: list[tuple[int, ...]] = field(default_factory=list)  # the shape of the doses, one for each trace

    @property
    def routes(self) -> list[str]:
        """The routes by which the model takes doses."""
        return list(self.model.dosing) or ["iv"]

    def doses(self, subjects: Sequence[Sequence[tuple[Any, ...]]]) -> Doses:
        """Arrays of the doses (time, amount, duration) or (time, amount, duration, route) of each subject.

        Without a route it is the first of the model.
        """
        rows = []
        for i, subject_doses in enumerate(subjects):
            for time, amount, duration, *by_route in subject_doses:
                key = by_route[0] if by_route else self.routes[0]
                product, _, route = key.rpartition("/")
                rows.append((str(i), time, amount, duration, product or "car_t", route, 1))
        names = ["subject", "time", "amount", "duration", "product", "route", "cycle"]
        table = pd.DataFrame(rows, columns=names)
        return pad_doses(table, [str(i) for i in range(len(subjects))], tuple(self.model.dosing))

    def run(
        self,
        doses: Doses,
        theta: Mapping[str, Any] | None = None,
        *,
        rtol: float = 1e-7,
    ) -> Curves:
        """Every output of every subject, and the total of the mass balance.

        Parameters are typical unless `theta` has others.
        """
        n = len(doses.time)
        p = {k: np.full(n, v) for k, v in self.model.typical().items()} | dict(theta or {})
        return {k: np.asarray(v) for k, v in self._program(p, doses, rtol).items()}

    @cached_property
    def _program(self) -> Callable[..., dict[str, Array]]:
        law = self.model.balance
        outputs = dict(self.model.outputs)
        if law is not None:
            outputs[_TOTAL] = Output(law.total, "1", "total")
        return _program(replace(self.model, outputs=outputs), self.traced)

    @cached_property
    def subjects(self) -> dict[str, list[list[tuple[Any, ...]]]]:
        """The doses of the subjects of each group; all groups are solved in one compilation."""
        d = self.amount
        first = (DAY, self.amount, 0.0)
        split = [(DAY, 0.3 * d, 0.0), (DAY, 0.7 * d, 0.0)]
        others = [[first, (*first, route)] for route in self.routes[1:]]
        durations = [0.0, 1e-3, 1e-4, SHORT, SHORT - 1e-7, SHORT + 1e-7]
        return {
            "answering": [[(DAY, 0.0, 0.0)], [(3.0, d, 0.0)], [first], *others],
            "doses": [[first], [(DAY, 0.0, 0.0)], split, [(5.0, d, 0.0)], [first, (5.0, d, 0.0)]],
            "infusions": [[(DAY, d, x)] for x in durations],
            "halves": [[(DAY, d, LONG)], [(DAY, d / 2, LONG / 2), (DAY + LONG / 2, d / 2, LONG / 2)]],
            "converging": [[first], [(2.0, d, SHORT)]],
            "drawn": [[first]] * 9,
        }

    @cached_property
    def all_doses(self) -> Doses:
        """The doses of the subjects of all groups; whatever is solved with these shares a compilation."""
        return self.doses([subject for group in self.subjects.values() for subject in group])

    @cached_property
    def _curves(self) -> Curves:
        keys = jax.random.split(jax.random.key(self.seed), len(self.model.parameters))
        groups = self.subjects
        theta = {}
        before = sum(len(v) for k, v in groups.items() if k != "drawn") + 1
        for key, (name, q) in zip(keys, self.model.parameters.items(), strict=True):
            draws = np.asarray(q.prior.to_numpyro().sample(key, (len(groups["drawn"]) - 1,)))
            theta[name] = np.concatenate([np.full(before, q.value), draws])
        return self.run(self.all_doses, theta)

    def group(self, name: str, curves: Curves | None = None) -> Curves:
        """The curves of one group of subjects.

        "answering": no dose; a dose on day 3; a dose on day 1; that dose with one more by each other route.
        "doses": a dose; none; the dose in two parts at one time; a dose on day 5; doses on both days.
        "infusions": over 0, 1e-3 and 1e-4 d; ending at a record, just before it, just after it.
        "halves": an infusion over a day; the same, stopped and resumed at once after half of it.
        "converging": a bolus; an infusion.
        "drawn": typical parameters, then eight draws from the priors.
        """
        curves = self._curves if curves is None else curves
        rows = self.rows(name)
        return {k: v[rows] for k, v in curves.items() if k != _TOTAL}

    def rows(self, name: str) -> slice:
        """The rows of a group among all subjects."""
        sizes = {k: len(v) for k, v in self.subjects.items()}
        start = sum(list(sizes.values())[: list(sizes).index(name)])
        return slice(start, start + sizes[name])


def _program(model: Model, traced: list[tuple[int, ...]]) -> Callable[..., dict[str, Array]]:
    """Every output as a function of parameters, doses and tolerance; each trace is noted in `traced`."""

    def run(p: dict[str, Array], doses: Doses, rtol: Any) -> dict[str, Array]:
        traced.append(doses.time.shape)
        times = np.tile(TIMES, (len(doses.time), 1))
        return solve(model, times, p, doses, solver=Solver(rtol=rtol, atol=rtol, most=20_000))

    return jax.jit(run)


def check_laws(model: Model, *, amount: float | None = None, seed: int = 0) -> list[Law]:
    """Try every law on `model`. `amount` is the dose [cells or mg], by default the model's typical dose.

    >>> [(law.name, law.ok) for law in kn.solve.check_laws(kn.load_model("one_compartment_iv"))][:3]
    [('answers a dose', True), ('finite and not negative', True), ('a dose in two parts is the dose', True)]
    """
    require(model=(model, Model))
    default = 1e8 if model.dose_unit == "cells" else 100.0
    trial = Trial(model, amount or model.typical_dose or default, seed)
    results = []
    for name, law in LAWS.items():
        try:
            ok, detail = law(trial)
        except Exception as error:
            ok = False
            detail = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        results.append(Law(name, ok, detail))
    return results


Verdict = tuple[bool | None, str]


def _apart(a: Curves, b: Curves, i: int | slice, j: int | slice, *, floor: float = 1e-6) -> tuple[float, str]:
    """The largest difference between two subjects, and what differs.

    It is relative to the value plus `floor` times the largest value of the output.
    """
    worst = (0.0, "nothing differs")
    for name in b:
        x = a[name][i]
        y = b[name][j]
        size = np.abs(y) + floor * np.nanmax(np.abs(b[name])) + 1e-300
        gap = float(np.max(np.nan_to_num(np.abs(x - y) / size, nan=np.inf)))
        if gap > worst[0]:
            worst = (gap, f"{name} differs by {gap:.1e}")
    return worst


def _answers(trial: Trial) -> Verdict:
    """A dose by each route changes an output."""
    if trial.model.vector_field is not None and not trial.model.dosing:
        return None, "it takes no dose"
    curves = trial.group("answering")
    others = range(len(trial.routes) - 1)

    def differ(i: int, j: int) -> bool:
        return _apart(curves, curves, i, j, floor=1e-12)[0] > 1e-6

    # The amount matters, or at least the day: a dose may only mark the start of treatment.
    answered = [differ(2, 0) or differ(2, 1)]
    # A route may act on what another has brought, so the others are tried after the first.
    answered += [differ(3 + i, 2) for i in others]
    silent = [route for route, is_answered in zip(trial.routes, answered, strict=True) if not is_answered]
    if silent:
        return False, f"no output answers a dose by {', '.join(silent)}"
    return True, "every route is answered"


def _finite(trial: Trial) -> Verdict:
    """Outputs are finite and not negative."""
    curves = trial.group("drawn")
    bad = [k for k, v in curves.items() if not np.isfinite(v).all()]
    below = [k for k, v in curves.items() if k not in bad and v.min() < -1e-5 * np.abs(v).max()]
    faults = []
    if bad:
        faults.append(f"{', '.join(bad)} not finite")
    if below:
        faults.append(f"{', '.join(below)} below zero")
    return not faults, "; ".join(faults) or "at the typical values and at 8 draws of the priors"


def _split(trial: Trial) -> Verdict:
    """A dose in two parts at one time is the whole dose."""
    c = trial.group("doses")
    gap, detail = _apart(c, c, 2, 0)
    return gap < 1e-5, detail


def _superposes(trial: Trial) -> Verdict:
    """The curves of two doses add up, where the model claims it."""
    if not trial.model.linear:
        return None, "it does not claim that doses superpose"
    c = trial.group("doses")
    joined = {k: (v[0] + v[3] - v[1])[None] for k, v in c.items()}
    gap, detail = _apart(joined, c, 0, 4)
    return gap < 1e-4, detail


def _becomes_bolus(trial: Trial) -> Verdict:
    """A short infusion approaches the bolus."""
    c = {k: v[:, 3:] for k, v in trial.group("infusions").items()}  # well after the infusion
    long = _apart(c, c, 1, 0)[0]
    short = _apart(c, c, 2, 0)[0]
    return short <= 0.2 * long + 1e-5, f"{long:.1e} from the bolus at 1e-3 d, {short:.1e} at 1e-4 d"


def _ends_at_a_record(trial: Trial) -> Verdict:
    """It makes no difference whether an infusion ends at a record or beside it."""
    c = trial.group("infusions")
    gap, detail = max(_apart(c, c, 4, 3), _apart(c, c, 5, 3))
    return gap < 1e-3, detail


def _halves(trial: Trial) -> Verdict:
    """An infusion that is stopped halfway and resumed at once is the infusion.

    A closed form may be the curve of whole doses, however long they take; not where it claims that doses
    superpose.
    """
    c = trial.group("halves")
    gap, detail = _apart(c, c, 1, 0)
    ignores = trial.model.solution is not None and _ignores_duration(trial)
    if ignores and not trial.model.linear:
        return None, f"it ignores the duration of infusions: one over {LONG:g} d is a bolus to it"
    if ignores:
        return False, f"the solution ignores `doses.duration`: an infusion over {LONG:g} d is a bolus to it"
    return gap < 1e-4, detail


def _ignores_duration(trial: Trial) -> bool:
    """Whether an infusion over a day has the curves of the bolus."""
    infusion = trial.group("halves")
    bolus = trial.group("doses")
    return all(np.array_equal(infusion[name][0], bolus[name][0]) for name in bolus)


def _batch(trial: Trial) -> Verdict:
    """A subject has the same curves alone and among others."""
    alone = trial.run(trial.doses([[(DAY, trial.amount, 0.0)]]))
    gap, detail = _apart(alone, trial.group("doses"), 0, 0)
    return gap < 1e-9, detail


def _converges(trial: Trial) -> Verdict:
    """The solution converges to the reference as the tolerance falls."""
    if trial.model.vector_field is None:
        return None, "it is a closed form"
    fine = trial.group("converging", trial.run(trial.all_doses, rtol=1e-9))
    coarse = trial.group("converging", trial.run(trial.all_doses, rtol=1e-5))
    doses = trial.doses(trial.subjects["converging"])
    truth = reference_solve(trial.model, TIMES, trial.model.typical(), doses)
    truth = {k: np.where(np.abs(v) < 1e-18, 0.0, v) for k, v in truth.items()}  # rounding error about 0
    every = slice(None)
    # The floor is a thousandth of an output's largest value: below it the accuracy is a matter of `scale`.
    far = _apart(coarse, truth, every, every, floor=1e-3)[0]
    near = _apart(fine, truth, every, every, floor=1e-3)[0]
    detail = f"{far:.1e} from the reference at rtol 1e-5, {near:.1e} at 1e-9"
    return near < 1e-5 and near <= far + 1e-7, detail


def _balances(trial: Trial) -> Verdict:
    """Nothing is made or lost, where the model claims it."""
    law = trial.model.balance
    if law is None:
        return None, "it does not claim a mass balance"
    theta = {k: np.zeros(len(trial.all_doses.time)) for k in law.without}
    total = trial.run(trial.all_doses, theta, rtol=1e-10)[_TOTAL][trial.rows("infusions")]
    dosed = trial.amount * (TIMES > DAY + SHORT)
    settled = (TIMES < DAY) | (TIMES > DAY + SHORT)
    gap = float(np.max(np.abs(total - total[:, :1] - dosed)[:, settled]) / trial.amount)
    return gap < 1e-8, f"off by {gap:.1e} of the dose"


def _gradient(trial: Trial) -> Verdict:
    """The gradient equals the finite difference."""
    model = trial.model
    step = 1e-3
    names = list(model.parameters)
    if model.vector_field is not None:
        names = list(reach(model, list(model.outputs)).all)
    typical = model.typical()
    solver = Solver(rtol=1e-9, atol=1e-9, most=20_000, infusions=False)
    scale = {k: float(np.nanmax(np.abs(v[0]))) for k, v in trial.group("doses").items() if np.any(v[0] != 0)}

    def loss(logs: dict[str, Array], doses: Doses) -> tuple[Array, Array]:
        n = len(doses.time)
        p = {k: jnp.full(n, v) for k, v in typical.items()}
        p |= {k: typical[k] * jnp.exp(v) for k, v in logs.items()}
        y = solve(model, np.tile(TIMES, (n, 1)), p, doses, solver=solver)
        each = sum((jnp.sum(jnp.sqrt(jnp.abs(y[k]) / scale[k] + 1e-3), axis=1) for k in scale), jnp.zeros(n))
        return jnp.sum(each), each

    one = trial.doses([[(DAY, trial.amount, 0.0)]])
    # Subjects with one parameter changed by one and two steps up and down, and the typical subject last.
    changes = [x * step * np.eye(len(names)) for x in (1, -1, 2, -2)]
    logs = np.concatenate([*changes, np.zeros((1, len(names)))])
    many = Doses(*(np.repeat(x, len(logs), axis=0) for x in one))
    by_name = {k: logs[:, i] for i, k in enumerate(names)}
    slopes, values = jax.jit(jax.grad(loss, has_aux=True))(by_name, many)
    up, down, up2, down2 = np.asarray(values)[:-1].reshape(4, len(names))
    finite = (8 * (up - down) - (up2 - down2)) / (12 * step)  # a difference of fourth order
    exact = np.array([float(slopes[k][-1]) for k in names])
    gap = np.abs(exact - finite) / (np.abs(finite) + 1e-3 * np.abs(finite).max() + 1e-12)
    worst = int(np.nan_to_num(gap, nan=np.inf).argmax())
    return bool((gap < 1e-4).all()), f"{names[worst]}: {exact[worst]:.6g} against {finite[worst]:.6g}"


def _compiles_once(trial: Trial) -> Verdict:
    """New parameter values do not cause another compilation."""
    alone = trial.doses([[(DAY, trial.amount, 0.0)]])
    for factor in (1.0, 1.1):
        trial.run(alone, {k: np.full(1, v * factor) for k, v in trial.model.typical().items()})
    times = trial.traced.count(alone.time.shape)
    return times == 1, f"traced {times} times for one shape"


LAWS: dict[str, Callable[[Trial], Verdict]] = {
    "answers a dose": _answers,
    "finite and not negative": _finite,
    "a dose in two parts is the dose": _split,
    "doses superpose": _superposes,
    "a short infusion is a bolus": _becomes_bolus,
    "an infusion may end at a record": _ends_at_a_record,
    "an infusion in two parts is one": _halves,
    "one subject or many": _batch,
    "converges to the reference": _converges,
    "mass balance": _balances,
    "gradient is the finite difference": _gradient,
    "one compilation a shape": _compiles_once,
}
