"""Data sets that a policy, or chance, collects."""

import jax
import jax.numpy as jnp
import numpy as np
import probes
import pytest

from hindsight_jax import datasets
from hindsight_jax.datasets import collecting


def test_random_actions_are_the_tasks_and_a_key_gives_the_same_ones():
    env = probes.Chain(horizon=4, ends_at_success=True)
    data = datasets.collect(env, None, jax.random.key(0), episodes=64)
    assert isinstance(data.observation, np.ndarray)
    assert data.observation.shape == (64, 5, 5)
    counts = np.bincount(data.action.ravel(), minlength=3)
    assert counts.min() > 50  # of 256, a third each
    again = datasets.collect(env, None, jax.random.key(0), episodes=64)
    jax.tree.map(np.testing.assert_array_equal, again, data)
    assert np.any(datasets.collect(env, None, jax.random.key(1), episodes=64).action != data.action)


def test_a_policy_sees_state_and_goal():
    """It steps towards the goal, so that each episode ends by success, after as many steps as the goal is far."""
    env = probes.Chain(horizon=4, ends_at_success=True)

    def towards(observation, goal, key):
        return jnp.sign(jnp.argmax(goal) - jnp.argmax(observation))[None].astype(jnp.int32) + 1

    data = datasets.collect(env, towards, jax.random.key(0), episodes=32)
    start, goal = data.observation[:, 0].argmax(-1), data.desired_goal.argmax(-1)
    assert data.terminal.all()
    np.testing.assert_array_equal(data.length, np.maximum(np.abs(goal - start), 1))


@pytest.mark.parametrize(
    ("key", "episodes", "name"),
    [(0, 3, "key"), (jax.random.key(0), 0, "episodes"), (jax.random.key(0), 2.5, "episodes")],
)
def test_wrong_arguments_are_refused(key, episodes, name):
    with pytest.raises(ValueError, match=f"^{name}: got "):
        collecting.collect(probes.Chain(), None, key, episodes)
