"""A fit from two nouns or one TOML: reproducible, honest about its checks, read back as it was written."""

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kinetics as kn
from kinetics.inference.nuts import _kept_gradient
from kinetics.plan.plan import plan_of

pytestmark = pytest.mark.fit

KEYS = {
    "observe": {"theophylline": {"likelihood": "additive"}},
    "allometry": {"cl": {"exponent": 1.0, "reference": 1.0}},
    "sampler": {"chains": 2, "warmup": 300, "draws": 300, "chunk": 150},
    "seed": 5,
}


@pytest.fixture(scope="module")
def theophylline() -> kn.Fit:
    return kn.fit("one_compartment_oral", "theophylline", **KEYS)


def test_same_seed_gives_the_same_draws_and_another_seed_others(theophylline: kn.Fit) -> None:
    again = kn.fit("one_compartment_oral", "theophylline", **KEYS)
    other = kn.fit("one_compartment_oral", "theophylline", **{**KEYS, "seed": 6})
    for site, draws in theophylline.sites().items():
        np.testing.assert_array_equal(again.sites()[site], draws)
    assert not np.array_equal(other.sites()["cl_pop"], theophylline.sites()["cl_pop"])


def test_chunk_length_does_not_change_the_draws(theophylline: kn.Fit) -> None:
    chunked = kn.fit(
        "one_compartment_oral", "theophylline", **{**KEYS, "sampler": KEYS["sampler"] | {"chunk": 70}}
    )
    for site, draws in theophylline.sites().items():
        np.testing.assert_allclose(chunked.sites()[site], draws, rtol=1e-10)


def test_individual_parameters_are_those_of_the_sites(theophylline: kn.Fit) -> None:
    s, theta = theophylline.sites(), theophylline.theta()
    weight = theophylline.study.subjects["weight_kg"].to_numpy()
    expected = s["cl_pop"][:, None] * np.exp(s["omega_cl"][:, None] * s["eta_cl"]) * weight
    np.testing.assert_allclose(theta["cl"], expected, rtol=1e-10)
    np.testing.assert_allclose(theta["ke"], np.repeat(s["ke_pop"][:, None], 12, axis=1), rtol=1e-12)


def test_progress_counts_every_iteration_and_says_where_chains_run() -> None:
    chunks, lines = [], []
    kn.fit("one_compartment_oral", "theophylline", report=chunks.append, announce=lines.append, **KEYS)
    assert [c.done for c in chunks] == [150, 300, 450, 600]
    assert [c.warmup for c in chunks] == [True, True, False, False]
    assert any("132 records, 0 below LLOQ" in line for line in lines)
    assert any("2 chains in parallel on 2" in line for line in lines)


def test_a_short_fit_fails_its_checks_with_reasons(theophylline: kn.Fit) -> None:
    """600 draws of 2 chains cannot give 400 effective draws of everything: the checks must say so."""
    verdict = kn.check(theophylline)
    assert set(verdict.rows["check"]) >= {"R-hat, worst", "ESS bulk, worst", "divergent transitions"}
    searches = verdict.rows.set_index("check").loc["searches at best maximum"]
    assert searches["ok"]
    assert searches["where"].startswith(f"{len(theophylline.provenance['searches'])} searches")
    short = kn.fit(
        "one_compartment_oral",
        "theophylline",
        **{**KEYS, "sampler": {"chains": 2, "warmup": 20, "draws": 20}},
    )
    failed = kn.check(short)
    assert not failed.ok
    assert any(f.startswith("ESS bulk") and "more draws" in f for f in failed.failures)
    with pytest.raises(kn.errors.CheckError, match="these numbers may not be used"):
        failed.raise_for_status()


def test_one_chain_cannot_pass(theophylline: kn.Fit) -> None:
    alone = kn.fit(
        "one_compartment_oral",
        "theophylline",
        **{**KEYS, "sampler": {"chains": 1, "warmup": 50, "draws": 50}},
    )
    row = kn.check(alone).rows.set_index("check").loc["R-hat, worst"]
    assert not row["ok"]
    assert "at least 2 chains" in row["what_to_try"]


def test_what_a_plan_expects_is_checked(theophylline: kn.Fit) -> None:
    plan = theophylline.bound.plan.resolved()
    near = plan_of({**plan, "expect": {"cl": {"median": 0.95, "within": 0.2}}})
    far = plan_of({**plan, "expect": {"cl": {"median": 9.5, "within": 0.2}}})
    for chosen, ok in ((near, True), (far, False)):
        fit = replace(theophylline, bound=replace(theophylline.bound, plan=chosen))
        row = kn.check(fit).rows.set_index("check").loc["expected cl"]
        assert bool(row["ok"]) is ok


def test_parameter_table_says_what_the_data_taught(theophylline: kn.Fit) -> None:
    table = kn.parameter_table(theophylline).set_index("site")
    draws = theophylline.sites()["cl_pop"]
    assert table.loc["cl_pop", "median"] == pytest.approx(np.median(draws))
    assert table.loc["cl_pop", "contraction"] == pytest.approx(1 - np.var(np.log(draws)) / 1.0**2)
    assert 0.95 < table.loc["cl_pop", "contraction"] < 1
    omega = theophylline.sites()["omega_cl"]
    assert table.loc["cl_pop", "cv_percent"] == pytest.approx(np.median(100 * np.sqrt(np.expm1(omega**2))))
    eta = theophylline.sites()["eta_cl"]
    assert table.loc["cl_pop", "shrinkage"] == pytest.approx(1 - eta.mean(axis=0).std())
    assert table.loc["half_life", "kind"] == "derived"
    ke = theophylline.sites()["ke_pop"]
    assert table.loc["half_life", "median"] == pytest.approx(np.median(np.log(2) / ke))
    assert table.loc["sigma_add_theophylline", "unit"] == "mg/L"


def test_provenance_names_hashes_versions_seed_and_device(theophylline: kn.Fit, tmp_path: Path) -> None:
    p = theophylline.provenance
    assert p["seed"] == 5
    assert p["data"]["sha256"] == theophylline.study.sha256
    assert p["model"]["sha256"] == theophylline.model.sha256
    assert {"jax", "numpyro", "python"} <= set(p["versions"])
    assert p["device"]["x64"] is True
    saved = kn.load_fit(theophylline.save(tmp_path / "run"))
    assert saved.provenance == p
    np.testing.assert_array_equal(saved.sites()["cl_pop"], theophylline.sites()["cl_pop"])


def test_what_the_density_calls_is_batched_once_inside_loops_over_chains() -> None:
    """A solver folds chains into lanes by a rule of its own; loops over chains would call it again and
    again.
    """
    folded = []

    @jax.custom_batching.custom_vmap
    def square(x):
        return x**2

    @square.def_vmap
    def _(axis_size, in_batched, x):
        folded.append(axis_size)
        return x**2, True

    def density(z, data, coordinates):
        return -jnp.sum(square(jax.lax.stop_gradient(z - data))) - jnp.sum((z - data) ** 2) * coordinates

    kept = _kept_gradient(density)

    def climb(z, data):
        def step(i, z):
            return z + 0.1 * jax.lax.fori_loop(0, 2, lambda j, _: jax.grad(kept)(z, data, 1.0), z)

        return jax.lax.fori_loop(0, 50, step, z)

    data = jnp.arange(6.0).reshape(2, 3)
    found = jax.jit(jax.vmap(lambda data: climb(jnp.zeros(3), data)))(data)  # a start that all chains share
    np.testing.assert_allclose(found, data, atol=1e-3)
    assert len(folded) <= 2, folded  # of a shared start, and of starts of their own; 3 without a kept trace
