"""The policy-gradient agent's gradient is that of the expected return, by enumeration of every walk of three steps."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from scipy.special import softmax
from small_policy_gradients import made

from hindsight_jax import types
from hindsight_jax.agents._trajectories import visited_goals

drawn_goal = jax.jit(lambda batch, key: visited_goals(batch, key, 1))


@functools.cache
def every_walk():
    """The 8 walks of 3 steps to the left or right from 0: states (position, t, 1), phi = (position, 0), own goal 0."""
    action = np.array(list(itertools.product((0, 1), repeat=3)), np.int32)
    position = np.concatenate([np.zeros((8, 1)), np.cumsum(2 * action - 1, axis=1)], axis=1)
    time = np.tile(np.arange(4), (8, 1))
    return types.Trajectory(
        observation=np.stack([position, time, np.ones_like(position)], axis=-1).astype(np.float32),
        achieved_goal=np.stack([position, np.zeros_like(position)], axis=-1).astype(np.float32),
        action=action[..., None],
        desired_goal=np.zeros((8, 2), np.float32),
        length=np.full(8, 3, np.int32),
        terminal=np.zeros(8, bool),
    )


def exact_gradient(kernel, goal, rewards):
    """(kernel, bias) of a linear softmax policy, of the mean reward at the first hit, sum of P R grad log P."""
    batch, gradient = every_walk(), [np.zeros((5, 2)), np.zeros(2)]
    for observation, achieved, action in zip(batch.observation, batch.achieved_goal, batch.action[..., 0], strict=True):
        x = np.concatenate([observation[:3], np.tile(goal, (3, 1))], axis=1, dtype=np.float64)
        pi = softmax(x @ kernel, axis=1)
        reached = [t for t in range(3) if np.array_equal(achieved[t + 1], goal)]
        worth = np.prod(pi[range(3), action]) * (rewards[reached[0]] if reached else 0.0)
        score = np.eye(2)[action] - pi
        gradient[0] += worth * x.T @ score
        gradient[1] += worth * score.sum(axis=0)
    return gradient


@pytest.mark.parametrize(("goals", "baseline"), [("visited", True), ("own", False), ("own", True)])
def test_the_gradient_is_that_of_the_expected_return(goals, baseline):
    """On all walks, equally likely under the own goal, weights and ratios are exact, whatever hits when.

    A value of any parameters must not change the policy's gradient.
    """
    agent = made(types.Discrete(1, 2), (), horizon=3, goals=goals, baseline=baseline, num_goals=1)
    state = agent.init(jax.random.key(0))
    kernel = np.concatenate([np.zeros((3, 2)), [[0.7, -0.4], [0.3, 0.2]]])  # uniform for the goal 0 alone
    policy = reference.without_hidden_layers(state.params.policy, kernel, np.zeros(2))
    state = state._replace(params=state.params._replace(policy=policy))
    update = jax.jit(agent.update)
    found = set()
    for seed in range(4 if goals == "visited" else 1):
        after, metrics = update(state, every_walk(), jax.random.key(seed))
        goal = jnp.zeros(2)
        if goals == "visited":
            goal = drawn_goal(every_walk(), jax.random.key(seed))[0]
        rewards = (3.0, 2.0, 1.0) if goals == "visited" else (1.0, 1.0, 1.0)
        gradient = after.adam.mu.policy["params"]["MLP_0"]["Dense_0"]  # 0.1 times the gradient of the loss
        got = -10 * gradient["kernel"], -10 * gradient["bias"]
        reference.close(got, tuple(exact_gradient(kernel, np.asarray(goal), rewards)), atol=2e-6)
        found.add(float(goal[0]))
        assert (float(metrics["effective_sample_share"]) > 0.999) == (float(goal[0]) == 0)
    assert len(found) >= (2 if goals == "visited" else 1)


# Exploration


def test_the_gradient_is_that_of_the_expected_return_when_exploring_too():
    """Every walk of a uniform policy is as likely under any epsilon: the ratios of the mixture are exact as before."""
    agent = made(types.Discrete(1, 2), (), horizon=3, goals="own")
    states = [agent.init(jax.random.key(0), {"epsilon": epsilon}) for epsilon in (0.0, 0.5)]
    kernel = np.zeros((5, 2))
    policy = reference.without_hidden_layers(states[0].params.policy, kernel, np.zeros(2))
    moments = []
    for state in states:
        state = state._replace(params=state.params._replace(policy=policy))
        after, _ = jax.jit(agent.update)(state, every_walk(), jax.random.key(0))
        moments.append(after.adam.mu.policy)
    reference.close(*moments, atol=1e-7)
