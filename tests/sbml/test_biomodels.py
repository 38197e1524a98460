"""The three CAR-T models of BioModels, imported and integrated, beside an independent simulator of SBML.

libroadrunner 2 (Somogyi et al. 2015, Bioinformatics 31:3315) reads the same files by its own code. The model
files that were written are integrated by SciPy's DOP853, which has nothing in common with it but the file.
"""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from kinetics.model import Model, load_model
from kinetics.regimen import Doses
from kinetics.sbml import import_sbml
from kinetics.solve import Solver, solve

SWITCH = 9.3  # days: T_max of two of the files, where slopes jump
DAYS = np.unique(np.append(np.linspace(0, 60, 121), SWITCH))
FILES = ("BIOMD0000001024", "BIOMD0000001025", "MODEL2109110005")
TINY = 1e-12  # of the peak: what is smaller is compared with the peak (a tumour of 1e-233 cells/uL)

# file -> the same form of models/chaudhury_2020.py, and the file's name of the tumour
BY_HAND = {
    "BIOMD0000001024": ("lotka_volterra", "Tumor_cells"),
    "BIOMD0000001025": ("ec50", "Tumor_cells"),
    "MODEL2109110005": ("first_order", "U"),
}


@pytest.fixture(params=FILES)
def file(request: pytest.FixtureRequest, shared_data: Path) -> Path:
    """The SBML file of a model."""
    return shared_data / "biomodels" / f"{request.param}.xml"


@pytest.fixture
def model(file: Path, tmp_path: Path) -> Model:
    """The model file that was written from it, loaded."""
    pytest.importorskip("libsbml", reason="NOT RUN: needs python-libsbml")
    import_sbml(file, tmp_path / "model.py", item="cells")
    return load_model(tmp_path / "model.py")


def integrated(model: Model) -> dict[str, np.ndarray]:
    """Every output at DAYS, by DOP853 up to the switch and from just after it."""
    p = {name: jnp.asarray(value) for name, value in model.typical().items()}
    names = list(model.states)
    field = model.vector_field
    assert field is not None
    assert model.initial is not None

    @jax.jit
    def slopes(t, y):
        by_name = field(t, dict(zip(names, y, strict=True)), p)
        return jnp.stack([jnp.asarray(by_name[name], float) for name in names])

    beginning = model.initial(p)
    y = np.array([float(beginning[name]) for name in names])
    states = [y]
    for first, days in ((0.0, DAYS[(DAYS > 0) & (DAYS <= SWITCH)]), (SWITCH + 1e-12, DAYS[DAYS > SWITCH])):
        run = solve_ivp(
            lambda t, y: np.asarray(slopes(t, y)),
            (first, days[-1]),
            y,
            "DOP853",
            t_eval=days,
            rtol=1e-11,
            atol=1e-30,
        )
        assert run.status == 0, run.message
        states += list(run.y.T)
        y = run.y[:, -1]
    curves = np.array(states)
    by_name = {name: jnp.asarray(curves[:, i]) for i, name in enumerate(names)}
    return {name: np.asarray(output.value(by_name, p)) for name, output in model.outputs.items()}


def roadrunner_curves(file: Path, outputs: list[str]) -> dict[str, np.ndarray]:
    """The same quantities at DAYS by libroadrunner."""
    roadrunner = pytest.importorskip("roadrunner", reason="NOT RUN: needs libroadrunner")
    simulator = roadrunner.RoadRunner(str(file))
    simulator.integrator.relative_tolerance = 1e-12
    simulator.integrator.absolute_tolerance = 1e-14
    simulator.integrator.maximum_num_steps = 200_000
    simulator.integrator.stiff = False  # its BDF gives up where the tumour of MODEL2109110005 vanishes
    species = [*simulator.model.getFloatingSpeciesIds(), *simulator.model.getBoundarySpeciesIds()]
    simulator.selections = ["time", *(f"[{o}]" if o in species else o for o in outputs)]
    table = np.asarray(simulator.simulate(times=list(DAYS)))
    return {output: table[:, place] for place, output in enumerate(outputs, start=1)}


def furthest(curve: np.ndarray, other: np.ndarray) -> float:
    """The largest relative difference; of values below TINY of the peak, relative to that."""
    size = np.maximum(np.abs(other), TINY * np.max(np.abs(other)))
    return float(np.max(np.abs(curve - other) / size))


def test_an_imported_model_agrees_with_libroadrunner_to_a_millionth(file: Path, model: Model):
    curves = integrated(model)
    independent = roadrunner_curves(file, list(model.outputs))
    for output, curve in curves.items():
        compared = DAYS >= 0
        if output in ("Persistent_CAR_T_cells", "C_P"):
            compared = DAYS > SWITCH  # 0 before; libroadrunner ends its step just past the switch
            assert np.all(curve[~compared] == 0), output
            assert np.all(np.abs(independent[output][~compared]) < 1e-10), output
        assert furthest(curve[compared], independent[output][compared]) < 1e-6, output


def test_the_solver_of_fits_agrees_with_libroadrunner_to_its_tolerance(file: Path, model: Model):
    if file.stem == "MODEL2109110005":
        pytest.skip("its tumour shrinks to 1e-233 cells/uL, and the file takes the logarithm of it")
    parameters = {key: np.array([value]) for key, value in model.typical().items()}
    none = Doses(*(np.zeros((1, 0)) for _ in Doses._fields))
    curves = solve(model, DAYS[None], parameters, none, solver=Solver(rtol=1e-6, atol=1e-6))
    independent = roadrunner_curves(file, list(model.outputs))
    for output in model.outputs:
        curve = np.asarray(curves[output])[0]
        peak = float(np.max(np.abs(independent[output])))
        assert np.max(np.abs(curve - independent[output])) < 2e-5 * peak, output


def test_an_imported_model_has_the_numbers_of_the_form_written_by_hand(file: Path, model: Model):
    form, tumour = BY_HAND[file.stem]
    by_hand = load_model("chaudhury_2020", form=form)
    numbers = {key.replace("_", "").lower(): value for key, value in model.typical().items()}
    made_up = {"blood_volume", "s"}  # what the form by hand needs for doses and its gate
    for key, parameter in by_hand.parameters.items():
        if key not in made_up:
            there = f"{tumour}_0" if key == "U0" else key
            value = numbers[there.replace("_", "").lower()]
            assert value == pytest.approx(parameter.value, rel=1e-12), key
    assert {state.unit for state in model.states.values()} == {"cells/uL"}
    sources = [p.source for p in model.parameters.values()]
    assert all("prior a guess" in source and file.name in source for source in sources)
