"""Wang 2007 Table 1: our likelihood, integrated over the random effect, gives the exact -2 log L."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import kinetics as kn
from kinetics.plan.binding import bind
from kinetics.plan.plan import plan_of

HERE = Path(__file__).parent
# Wang Y 2007, J Pharmacokinet Pharmacodyn 34:575, Table 1 (subject: value at time 0, value at time 1)
TABLE_1 = {
    1: (10.68, 3.6837), 2: (10.402, 6.454), 3: (9.8814, 5.8565), 4: (9.3408, 5.6209), 5: (10.082, 6.7583),
    6: (9.8938, 6.5049), 7: (9.8908, 6.9557), 8: (10.234, 6.4488), 9: (9.9882, 6.7112), 10: (9.6736, 6.6402),
}  # fmt: skip
EXACT = {
    "proportional": 39.35480346,
    "additive": -1.98961426,
}  # 200-point Gauss-Hermite of the exact likelihood


@pytest.fixture
def study(tmp_path: Path) -> kn.Study:
    folder = tmp_path / "wang"
    folder.mkdir()
    pd.DataFrame({"subject": list(TABLE_1)}).to_csv(folder / "subjects.csv", index=False)
    doses = pd.DataFrame({"subject": list(TABLE_1), "time": 0, "product": "drug", "route": "iv", "amount": 1})
    doses.to_csv(folder / "doses.csv", index=False)
    rows = [(s, t, "drug", y[t]) for s, y in TABLE_1.items() for t in (0, 1)]
    seen = pd.DataFrame(rows, columns=["subject", "time", "analyte", "value"])
    seen.to_csv(folder / "observations.csv", index=False)
    (folder / "dictionary.toml").write_text(
        'title = "Wang 2007 Table 1"\nsource = "Wang 2007"\nlicence = "facts"\nsynthetic = true\n'
        '[analytes.drug]\nlabel = "drug"\nassay = "none"\nsite = "plasma"\nunit = "mg/L"\n'
        '[columns.doses]\ntime = { unit = "day" }\namount = { unit = "mg" }\n'
        '[columns.observations]\ntime = { unit = "day" }\n'
    )
    return kn.read_study(folder)


@pytest.mark.parametrize("error", EXACT)
def test_quadrature_over_the_random_effect_gives_the_exact_objective(study: kn.Study, error: str) -> None:
    plan = plan_of(
        {"model": str(HERE / "wang_2007.py"), "data": "-", "observe": {"drug": {"likelihood": error}}}
    )
    bound = bind(plan, study=study)
    sigma = "sigma_drug" if error == "proportional" else "sigma_add_drug"
    fixed = {"k_pop": jnp.asarray(0.5), "omega_k": jnp.asarray(0.2), sigma: jnp.sqrt(0.1)}

    def by_subject(eta: jax.Array) -> jax.Array:
        terms = bound.record_log_likelihood({**fixed, "eta_k": jnp.full(10, eta)}, bound.data)
        return terms["drug"].sum(axis=1)

    nodes, weights = np.polynomial.hermite_e.hermegauss(200)
    keep = weights > 1e-280  # the outermost weights underflow
    log_weight = np.log(weights[keep] / np.sqrt(2 * np.pi))
    terms = jax.vmap(by_subject)(jnp.asarray(nodes[keep])) + log_weight[:, None]
    log_likelihood = float(jax.scipy.special.logsumexp(terms, axis=0).sum())
    objective = -2 * log_likelihood - 20 * np.log(2 * np.pi)  # the constant that NONMEM leaves out
    assert objective == pytest.approx(EXACT[error], abs=1e-6)
