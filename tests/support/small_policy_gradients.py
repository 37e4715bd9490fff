"""Small policy-gradient agents, whose success is equality."""

import jax.numpy as jnp
import reference

from hindsight_jax import agents, types

FLAT, CLAW, ARM = types.Discrete(1, 5), types.Discrete(3, 2), types.Box(2)
HORIZON, NUM_GOALS, LENGTHS = 4, 3, (4, 4, 2, 0, 1, 4)


def same(achieved, goal):
    return jnp.all(achieved == goal)


def made(action=FLAT, hidden_sizes=(8, 6), horizon=HORIZON, **options):
    spec = reference.spec(action, horizon)
    options = {"num_goals": NUM_GOALS} | options
    return agents.policy_gradient(spec, success=same, hidden_sizes=hidden_sizes, **options)
