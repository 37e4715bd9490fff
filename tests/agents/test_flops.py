"""Useful operations of an update, by arithmetic."""

import jax.numpy as jnp
import pytest

from hindsight_jax import agents
from hindsight_jax.agents import flops
from hindsight_jax.types import Box, Discrete, EnvSpec, Range

BOUNDS = Range((-1.0,) * 4, (1.0,) * 4)


def spec(action):
    """Observation and goal have 4 numbers each; 50 steps."""
    return EnvSpec((4,), (4,), action, 50, 0.05, False, BOUNDS, BOUNDS)


def distance(a, b):
    return jnp.linalg.norm(a - b)


@pytest.mark.parametrize(
    ("action", "hidden", "batch", "expected"),
    [
        # 8 x 400 + 400 x 300 + 300 x 9 = 125,900 weights, 3,200 of them first: 2 x 256 (5 x 125,900 - 3,200)
        (Discrete(1, 9), (400, 300), 256, 320_665_600),
        # 8 x 256 + 256 x 256 + 256 x 9 = 69,888: 2 x 256 (5 x 69,888 - 2,048)
        (Discrete(1, 9), (256, 256), 256, 177_864_704),
        # no first layer but the only one, and nine heads of three: 8 x 2 + 2 x 27 = 70: 2 (5 x 70 - 16)
        (Discrete(9, 3), (2,), 1, 668),
    ],
)
def test_an_update_of_hdm_is_five_forwards(action, hidden, batch, expected):
    """One at (s, g), two for its backward, two at (s', g), less the gradient of the inputs."""
    assert agents.q_learning(spec(action), distance=distance, hidden_sizes=hidden).flops(batch) == expected


def test_the_other_agents():
    """One hidden layer of 10 over 4 + 4 inputs: first 80; rest 90 (9 logits), 20 (two actions) or 10 (one value)."""
    flat, box, sizes = spec(Discrete(1, 9)), spec(Box(2)), {"hidden_sizes": (10,)}
    her = lambda **options: agents.q_learning(flat, distance=distance, imitation="none", **sizes, **options)
    gradient = lambda **options: agents.policy_gradient(flat, success=distance, **sizes, **options)
    # forward 2 * 170 = 340; learn 3 * 340 - 160 = 860
    assert agents.imitation(flat, **sizes).flops(1) == 860
    assert her(backup="mellow").flops(1) == 860 + 340  # no online pass at s': nothing asks for it
    assert her().flops(1) == 860 + 2 * 340
    assert her(backup="max", next_state="loss").flops(1) == 2 * 860 + 340
    assert agents.imitation(box, **sizes).flops(1) == 3 * 200 - 160
    # critic: (8 + 2) * 10 + 10 = 110, forward 220, learn 660 - 200 = 460; actor: forward 200, learn 440
    # through the critic to the action: 2 * (10 + 2 * 10) = 60
    assert agents.actor_critic(box, **sizes).flops(1) == 460 + 200 + 220 + 440 + 220 + 60
    # 3 trajectories of 50 steps; V: 90 weights, learn 3 * 180 - 160 = 380
    assert gradient(goals="own").flops(3) == 150 * 860
    assert gradient(num_goals=4).flops(3) == 150 * (4 * 860 + 340)
    assert gradient(goals="unique").flops(3) == 150 * (150 * 860 + 340)  # no state twice: 150 goals
    assert gradient(goals="unique", group_size=2).flops(4) == 200 * (100 * 860 + 340)
    assert gradient(num_goals=4, baseline=True).flops(3) == 150 * (4 * (860 + 380) + 340)


def test_a_network_counts_its_first_layer_apart():
    assert flops.mlp(2, (3, 4), 5) == flops.Network(first=6, rest=12 + 20)
    assert flops.num_inputs(spec(Box(1))) == 8
