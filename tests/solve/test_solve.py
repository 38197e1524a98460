"""The population solver: gradients, failures, padding, batches, infusions, precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kinetics.model.model import Model, Output, State
from kinetics.regimen.schedule import Doses
from kinetics.solve import explicit, rosenbrock
from kinetics.solve.reachable import Reach, reach
from kinetics.solve.solving import Solver, solve, solver_failures
from kinetics.solve.sparse import dependencies, factorise, plan_elimination, solve_factored
from tests.support.models import decay, parameter

TIGHT = Solver(rtol=1e-10, atol=1e-10, most=4000)


def doses(*subjects: list[tuple[float, float, float, int]]) -> Doses:
    """(time, amount, duration, entry) of each dose of each subject, as many for each."""
    t, a, d, e = (np.array([[dose[i] for dose in s] for s in subjects], float) for i in range(4))
    return Doses(t, a, d, np.ones_like(a), np.zeros(t.shape, int), e.astype(int))


def lanes(model: Model, n: int, **changed: float | np.ndarray) -> dict[str, jax.Array]:
    return {k: jnp.asarray(changed.get(k, v)) * jnp.ones(n) for k, v in model.typical().items()}


def exact(t: np.ndarray, p: dict, given: list[tuple[float, float, float, int]]) -> jax.Array:
    """The centre of `decay`, boluses only; a record at a dose sees it not yet."""
    total = p["base"] * jnp.exp(-p["ke"] * t)
    for time, amount, _, entry in given:
        since = jnp.maximum(t - time - (p["late"] if entry == 0 else 0.0), 0.0)
        if entry == 1:
            total += jnp.where(t > time, amount * jnp.exp(-p["ke"] * since), 0.0)
        else:
            slow, fast = jnp.exp(-p["ke"] * since), jnp.exp(-p["ka"] * since)
            total += p["f"] * amount * p["ka"] / (p["ka"] - p["ke"]) * (slow - fast)
    return total


TIMES = np.array([0.0, 0.5, 1.0, 2.0, 2.0, 4.0, 9.0])
GIVEN = [(0.0, 10.0, 0.0, 0), (2.0, 5.0, 0.0, 1)]


@pytest.mark.parametrize("stiff", [False, True])
def test_a_linear_model_is_its_exact_solution_and_a_record_at_a_dose_comes_before_it(stiff: bool) -> None:
    model = decay(stiff=stiff)
    got = solve(model, TIMES[None], lanes(model, 1), doses(GIVEN), solver=TIGHT)["centre"][0]
    np.testing.assert_allclose(got, exact(TIMES, model.typical(), GIVEN), rtol=1e-8)


@pytest.mark.parametrize("stiff", [False, True])
def test_gradients_of_rates_first_pass_lag_start_and_amounts_are_those_of_the_exact_solution(
    stiff: bool,
) -> None:
    model = decay(stiff=stiff)
    amounts = jnp.array([10.0, 5.0])

    def ours(p: dict, amounts: jax.Array) -> jax.Array:
        d = doses(GIVEN)._replace(amount=amounts[None])
        y = solve(model, TIMES[None], {k: v[None] for k, v in p.items()}, d, solver=TIGHT)
        return jnp.sum(jnp.sin(y["centre"]))

    def truth(p: dict, amounts: jax.Array) -> jax.Array:
        given = [(t, amounts[i], d, e) for i, (t, _, d, e) in enumerate(GIVEN)]
        return jnp.sum(jnp.sin(exact(TIMES, p, given)))

    p = {k: jnp.asarray(v) for k, v in model.typical().items()}
    got, expected = (jax.jit(jax.grad(f, (0, 1)))(p, amounts) for f in (ours, truth))
    for name in p:
        assert float(got[0][name]) == pytest.approx(float(expected[0][name]), rel=1e-6), name
    np.testing.assert_allclose(got[1], expected[1], rtol=1e-6)


def test_the_hand_written_reverse_of_both_methods_is_the_derivative_of_their_step() -> None:
    def field(t: jax.Array, y: tuple, p: dict) -> tuple:
        a, b, c = y
        return (p["k"] * a * b - c + jnp.sin(t), a - p["m"] * b**2, p["k"] * c * a - p["m"])

    y = tuple(jnp.array([x, x + 0.1]) for x in (1.0, 0.5, 0.2))
    p, t, h = (
        ({"k": jnp.array([0.7, 0.9]), "m": jnp.array([1.1, 0.4])}, (jnp.array([0.3, 0.0]),)),
        jnp.array([0.3, 0.9]),
        jnp.array([0.2, 0.1]),
    )
    bar = tuple(jnp.array([x, -x]) for x in (1.0, 2.0, -0.5))
    stiff, driven = rosenbrock.Rodas4.of(field, 3, p[0]), explicit.Driven(field, (1,))
    there = jnp.asarray(True)
    for step, reverse in ((explicit.step, explicit.reverse_step), (stiff.step, stiff.reverse_step)):

        @jax.jit
        def derivatives(there, t, h, y, p, step=step, reverse=reverse):
            _, vjp = jax.vjp(lambda t, h, y, p: step(driven, there, t, h, y, p)[0], t, h, y, p)
            by_hand = [reverse(driven, there, t, h, y, p, bar, moving=moving) for moving in (False, True)]
            return vjp(bar), *by_hand

        (of_t, of_h, of_y, of_p), held, free = derivatives(there, t, h, y, p)
        for got in (held, free):
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-11), (of_y, of_p), got[:2])
        np.testing.assert_allclose(free[2], of_t, rtol=1e-11)
        np.testing.assert_allclose(free[3], of_h, rtol=1e-11)


@pytest.mark.parametrize("order", [5, 4])
def test_the_methods_have_their_order(order: int) -> None:
    """Halving the step divides the error by 2^order: y' = -y^2 + sin(t), against many small steps."""

    def field(t: jax.Array, y: tuple, p: dict) -> tuple:
        return (-(y[0] ** 2) + jnp.sin(t) * y[1], y[0] - y[1])

    step = explicit.step if order == 5 else rosenbrock.Rodas4.of(field, 2, {}).step

    def end(n: int) -> float:
        def one(i: int, y: tuple) -> tuple:
            h = jnp.full(1, 2.0 / n)
            return step(explicit.Driven(field, ()), jnp.asarray(True), i * h, h, y, ({}, ()))[0]

        return float(jax.jit(lambda y: jax.lax.fori_loop(0, n, one, y))((jnp.ones(1), jnp.zeros(1)))[0][0])

    fine = end(3200)
    rates = np.log2(np.abs(np.array([end(n) - fine for n in (10, 20)]) / [end(n) - fine for n in (20, 40)]))
    assert (rates > order - 0.3).all()  # a wrong coefficient gives 1 or 2; Tsit5 does better than 5 here
    assert (rates < order + 1.3).all()


def test_a_failing_subject_costs_only_itself() -> None:
    """z' = grow z^2 runs to infinity at 1/(grow z0): subject 1 does, at day 2; the others never notice."""
    model = Model(
        {"z": State("z", "1", "blood")},
        {"grow": parameter(0.01), "start": parameter(1.0)},
        {"z": Output(lambda y, p: y["z"], "1", "z")},
        vector_field=lambda t, y, p: {"z": p["grow"] * y["z"] ** 2},
        initial=lambda p: {"z": p["start"]},
        dosing={"iv": lambda p: {"z": 1.0}},
    )
    times, none = np.tile([1.0, 3.0, 5.0], (3, 1)), doses(*[[(0.0, 0.0, 0.0, 0)]] * 3)
    grow = jnp.array([0.01, 0.5, 0.02])
    kept, alone = [0, 2], jnp.array([0.01, 0.02])

    def run(grow: jax.Array, n: int) -> jax.Array:
        some = Doses(*(x[:n] for x in none))
        return solve(model, times[:n], lanes(model, n, grow=grow), some)["z"]

    y = run(grow, 3)
    assert np.isnan(y[1, 1:]).all()
    assert y[1, 0] == pytest.approx(2.0, rel=1e-5)
    np.testing.assert_array_equal(y[jnp.array(kept)], run(alone, 2))
    failures = solver_failures(model, times, lanes(model, 3, grow=grow), none)
    assert failures.day[1] == pytest.approx(2.0, abs=1e-3)
    assert np.isinf(failures.day[jnp.array(kept)]).all()

    def likelihood(grow: jax.Array, n: int) -> jax.Array:
        z = run(grow, n)
        there = jnp.isfinite(z)
        return jnp.sum(jnp.where(there, jnp.log(jnp.where(there, z, 1.0)), 0.0))

    slope_of = jax.jit(jax.grad(likelihood), static_argnums=1)
    slope = slope_of(grow, 3)
    assert np.isfinite(slope).all()
    np.testing.assert_allclose(slope[jnp.array(kept)], slope_of(alone, 2), rtol=1e-12)


def test_too_few_steps_are_said_and_never_silent() -> None:
    model = decay()
    few = Solver(most=2, infusions=False)
    y = solve(model, TIMES[None], lanes(model, 1), doses(GIVEN), solver=few)["centre"]
    failures = solver_failures(model, TIMES[None], lanes(model, 1), doses(GIVEN), solver=few)
    assert int(failures.steps[0]) == 2 + len(TIMES) + len(GIVEN)  # one is free for each stop
    assert np.isfinite(float(failures.day[0]))
    np.testing.assert_array_equal(np.isnan(y[0]), float(failures.day[0]) < TIMES)


def test_padding_with_the_last_time_and_empty_doses_changes_nothing() -> None:
    model = decay()
    padded_times = np.concatenate([TIMES, [TIMES[-1]] * 5])[None]
    padded = doses([*GIVEN, (2.0, 0.0, 0.0, 1), (2.0, 0.0, 0.0, 1)])

    def loss(p: dict, times: np.ndarray, given: Doses) -> jax.Array:
        return jnp.sum(solve(model, times, p, given)["centre"][:, : len(TIMES)] ** 2)

    p = lanes(model, 1)
    slope_of = jax.jit(jax.value_and_grad(loss))
    plain, more = (slope_of(p, *x) for x in ((TIMES[None], doses(GIVEN)), (padded_times, padded)))
    assert float(plain[0]) == pytest.approx(float(more[0]), rel=1e-12)
    for name in p:
        np.testing.assert_allclose(plain[1][name], more[1][name], rtol=1e-9, err_msg=name)


def test_chains_fold_into_lanes() -> None:
    """Under vmap, value and gradient are those of one after the other (the cost is a benchmark's)."""
    model = decay(stiff=True)
    many = {k: v * jnp.linspace(0.8, 1.3, 3)[:, None] for k, v in lanes(model, 2).items()}
    times, given = np.stack([TIMES, TIMES + 0.3]), doses(GIVEN, GIVEN)

    def loss(p: dict) -> jax.Array:
        return jnp.sum(solve(model, times, p, given)["centre"] ** 2)

    slope_of = jax.value_and_grad(loss)
    value, slope = jax.jit(jax.vmap(slope_of))(many)
    alone = jax.jit(slope_of)
    for i in range(3):
        one, its = alone({k: v[i] for k, v in many.items()})
        assert float(value[i]) == pytest.approx(float(one), rel=1e-12)
        jax.tree.map(lambda a, b, i=i: np.testing.assert_allclose(a[i], b, rtol=1e-10), slope, its)


def test_an_infusion_is_its_exact_solution_and_its_amount_has_the_exact_gradient() -> None:
    model = decay()
    given = [(1.0, 8.0, 0.5, 1)]
    times = np.array([0.5, 1.25, 1.5, 1.5 - 1e-9, 1.5 + 1e-9, 3.0])
    p = model.typical()

    def centre(amount: jax.Array) -> jax.Array:
        d = doses(given)._replace(amount=amount[None, None])
        return solve(model, times[None], lanes(model, 1), d, solver=TIGHT)["centre"][0]

    ran = np.clip(times - 1.0, 0.0, 0.5)
    after = np.maximum(times - 1.5, 0.0)
    infused = (1 - np.exp(-p["ke"] * ran)) / p["ke"] * np.exp(-p["ke"] * after) / 0.5
    expected = p["base"] * np.exp(-p["ke"] * times) + 8.0 * infused
    np.testing.assert_allclose(centre(jnp.asarray(8.0)), expected, rtol=1e-8)
    np.testing.assert_allclose(jax.jit(jax.jacrev(centre))(jnp.asarray(8.0)), infused, rtol=1e-7, atol=1e-12)


def test_a_screening_record_sees_the_states_at_rest() -> None:
    model = decay()
    y = solve(model, np.array([[-7.0, 0.0, 1.0]]), lanes(model, 1), doses([(0.0, 3.0, 0.0, 1)]))["centre"][0]
    assert y[0] == y[1] == 2.0
    assert y[2] == pytest.approx(5.0 * np.exp(-0.4), rel=1e-5)


def test_float32_is_within_its_stated_error() -> None:
    """rtol 1e-4 in single precision: within 1e-3 of the exact solution."""
    model = decay()
    y = solve(
        model, TIMES[None], lanes(model, 1), doses(GIVEN), solver=Solver(1e-4, 1e-4, precision="float32")
    )
    np.testing.assert_allclose(y["centre"][0], exact(TIMES, model.typical(), GIVEN), rtol=1e-3)
    assert y["centre"].dtype == jnp.float64


def test_states_that_no_wanted_output_feels_are_not_integrated() -> None:
    model = decay()
    assert reach(model, ["depot"]) == Reach(("depot",), ("ka",), ("ka", "f", "late"))
    assert reach(model, ["centre"]).states == ("depot", "centre")
    both = solve(model, TIMES[None], lanes(model, 1), doses(GIVEN), solver=TIGHT)
    one = solve(model, TIMES[None], lanes(model, 1), doses(GIVEN), ["depot"], solver=TIGHT)
    np.testing.assert_allclose(one["depot"], both["depot"], rtol=1e-8, atol=1e-9)


def test_dependence_is_read_through_conditionals_and_loops() -> None:
    def f(a: jax.Array, b: jax.Array, c: jax.Array) -> list[jax.Array]:
        return [
            jnp.where(a > 0, a, 0.0),
            jax.jit(lambda x, y: x * y)(a, b),
            jax.lax.fori_loop(0, 3, lambda i, x: x + c, b),
        ]

    found = dependencies(f, 1.0, 2.0, 3.0)
    assert found[:2] == [{0}, {0, 1}]
    assert {1, 2} <= found[2]


@pytest.mark.parametrize("seed", range(5))
def test_a_sparse_factorisation_solves_its_system_and_the_transposed_one(seed: int) -> None:
    rng, n = np.random.default_rng(seed), 9
    pattern = frozenset((i, j) for i in range(n) for j in range(n) if i == j or rng.random() < 0.25)
    dense = np.zeros((n, n))
    for i, j in pattern:
        dense[i, j] = rng.standard_normal() + 6.0 * (i == j)
    b = rng.standard_normal(n)
    factors = plan_elimination(n, pattern)
    lu = factorise({c: jnp.asarray(dense[c]) for c in pattern}, factors)
    got = [solve_factored(lu, factors, list(jnp.asarray(b)), transposed=t) for t in (False, True)]
    np.testing.assert_allclose(np.array(got[0]), np.linalg.solve(dense, b), rtol=1e-10)
    np.testing.assert_allclose(np.array(got[1]), np.linalg.solve(dense.T, b), rtol=1e-10)


def test_a_star_of_organs_fills_nothing_in() -> None:
    n = 12
    star = {(i, i) for i in range(n)} | {(0, i) for i in range(n)} | {(i, 0) for i in range(n)}
    assert plan_elimination(n, frozenset(star)).filled == star


def test_one_compilation_serves_other_values_of_one_shape() -> None:
    model, traced = decay(), []

    @jax.jit
    def run(p: dict, given: Doses) -> jax.Array:
        traced.append(1)
        return solve(model, TIMES[None], p, given)["centre"]

    for amount in (1.0, 2.0):
        run(lanes(model, 1, ke=0.1 * amount), doses([(0.0, amount, 0.0, 0), (2.0, 5.0, 0.0, 1)]))
    assert len(traced) == 1
