"""Small linear systems, written out: NumPy's answers elsewhere than on a CPU, and LAPACK's very bits on one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hindsight_jax import by_device, envs
from hindsight_jax.envs import _small_matrices
from hindsight_jax.envs._small_matrices import LARGEST, cholesky, solve, written_out


@pytest.fixture
def elsewhere(monkeypatch):
    """What other devices than CPUs compute, here."""
    monkeypatch.setattr(by_device, "choose", lambda *inputs, cpu, elsewhere: elsewhere(*inputs))


def positive_definite(size, seed=0):
    draw = np.random.default_rng(seed)
    square = draw.normal(size=(size, size))
    return (square @ square.T + size * np.eye(size)).astype(np.float32)


@pytest.mark.parametrize("size", [1, 2, 5, LARGEST])
def test_a_factor_is_numpys(size):
    matrix = positive_definite(size)
    np.testing.assert_allclose(cholesky(matrix), np.linalg.cholesky(matrix), rtol=1e-5, atol=1e-5)


def test_a_matrix_that_is_not_positive_definite_has_no_factor():
    """4 - 3^2 < 0."""
    assert np.isnan(np.asarray(cholesky(jnp.array([[1.0, 3.0], [3.0, 4.0]])))[1, 1])


@pytest.mark.parametrize("lower", [True, False])
def test_substitution_is_numpys_solution(lower):
    triangle = np.tril(positive_definite(6)) if lower else np.triu(positive_definite(6))
    right = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)
    np.testing.assert_allclose(solve(triangle, right, lower), np.linalg.solve(triangle, right), rtol=1e-4, atol=1e-5)


def solved(matrix, right):
    return jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(matrix), right)


def in_a_scan(matrix, right):
    return jax.lax.scan(lambda x, row: (solved(matrix, x) + row, x), right, jnp.stack([right, -right, right]))


def in_a_loop_and_a_branch(matrix, right):
    one_round = lambda x: jax.lax.cond(x[0] > 0, lambda x: solved(matrix, x), lambda x: -x, x)
    return jax.lax.while_loop(lambda x: jnp.max(jnp.abs(x)) > 0.1, one_round, right)


def of_upper(matrix, right):
    upper = jax.scipy.linalg.cho_factor(matrix, lower=False)[0]
    return [jax.scipy.linalg.solve_triangular(upper, right, trans=trans) for trans in (0, 1)]


FUNCTIONS = [solved, jax.jit(solved), in_a_scan, in_a_loop_and_a_branch, of_upper]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_functions_compute_the_same_without_a_library(function, elsewhere):
    matrices = np.stack([positive_definite(4, seed) for seed in range(3)])
    right = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    other = jax.vmap(written_out(function))
    assert not {"cholesky", "triangular_solve"} & set(str(jax.make_jaxpr(other)(matrices, right)).split())
    for ours, theirs in zip(
        *map(jax.tree.leaves, (other(matrices, right), jax.vmap(function)(matrices, right))), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_derivative_of_ones_own_stays(elsewhere):
    """(d/dx) of what says that its derivative is 3, beside a system."""

    @jax.custom_jvp
    def tripled(x):
        return x

    tripled.defjvp(lambda x, tangent: (x[0], 3.0 * tangent[0]))
    function = written_out(lambda x: tripled(x) + solved(jnp.eye(2), jnp.array([0.0, x]))[1])
    assert jax.jvp(function, (2.0,), (1.0,)) == (4.0, 4.0)


def test_larger_matrices_and_other_systems_are_left_to_the_library(elsewhere):
    large = positive_definite(LARGEST + 1)
    from_the_right = lambda a, b: jax.lax.linalg.triangular_solve(a, b, left_side=False, lower=True)
    assert "cholesky" in str(jax.make_jaxpr(written_out(jnp.linalg.cholesky))(large))
    assert "triangular_solve" in str(jax.make_jaxpr(written_out(from_the_right))(large, large))


def after_twenty_substeps(task, function_of):
    """The physics of sixteen starts, all actuators at half of what they may do."""
    engine = (env := envs.make(task)).engine
    states = jax.vmap(env.reset)(jax.random.split(jax.random.key(0), 16)).pipeline_state.physics
    high = np.where(engine.model.actuator_ctrllimited, engine.model.actuator_ctrlrange[:, 1], 1.0)
    control = jnp.asarray(high / 2, jnp.float32)
    substep = function_of(engine)
    with jax.numpy_rank_promotion("allow"):
        twenty = lambda state: jax.lax.scan(lambda x, _: (substep(x, control)[0], None), state, length=20)[0]
        return jax.jit(jax.vmap(twenty))(states)


@pytest.mark.seldom
def test_on_a_cpu_physics_keep_their_bits():
    ours = after_twenty_substeps("reacher", lambda engine: engine._traced_substep)
    theirs = after_twenty_substeps("reacher", lambda engine: engine._substep)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


SELDOM = pytest.param("reacher", marks=pytest.mark.seldom)
SLOW = [pytest.param(task, marks=pytest.mark.slow) for task in ("push", "door", "claw")]


@pytest.mark.parametrize("task", ["fetch_reach", SELDOM, *SLOW])
def test_elsewhere_physics_are_the_same(task, monkeypatch):
    """Positions within 0.1 mm and mrad, a hundredth of what an action moves."""
    theirs = after_twenty_substeps(task, lambda engine: engine._substep)
    monkeypatch.setattr(by_device, "choose", lambda *inputs, cpu, elsewhere: elsewhere(*inputs))
    ours = after_twenty_substeps(task, lambda engine: _small_matrices.written_out(engine._substep))
    np.testing.assert_allclose(ours.qpos, theirs.qpos, atol=1e-4)
    assert float(jnp.max(jnp.abs(ours.qvel))) > 0.01
