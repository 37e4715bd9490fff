"""One compiled reset and one compiled step of push, at one batch size, for every test of this folder."""

import jax
import jax.numpy as jnp
import pytest

from hindsight_jax import envs

BATCH = 64

pytest.register_assert_rewrite("physics_contract")


@pytest.fixture(scope="session")
def push():
    return envs.make("push")


@pytest.fixture(scope="session")
def reset(push):
    """keys [64] -> states."""
    return jax.jit(jax.vmap(push.reset))


@pytest.fixture(scope="session")
def step(push):
    """(states, actions [64, 1]) -> states."""
    return jax.jit(jax.vmap(push.step))


@pytest.fixture(scope="session")
def states(reset):
    """64 fresh states, not to be changed."""
    return reset(jax.random.split(jax.random.key(0), BATCH))


@pytest.fixture(scope="session")
def place(states):
    """positions [N <= 64, 4] -> 64 states at rest there, the last position repeated."""

    def placed(positions):
        positions = jnp.asarray(positions, jnp.float32)
        fill = jnp.broadcast_to(positions[-1:], (BATCH - len(positions), 4))
        physics = states.pipeline_state.physics
        still = jnp.zeros_like(physics.qvel)
        physics = physics._replace(qpos=jnp.concatenate([positions, fill]), qvel=still, warmstart=still)
        return states.replace(pipeline_state=states.pipeline_state.replace(physics=physics))

    return placed
