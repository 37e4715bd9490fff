"""Useful operations of an update, by arithmetic."""

import jax.numpy as jnp
import pytest

from hindsight_jax import agents
from hindsight_jax.agents import flops
from hindsight_jax.types import Box, Discrete, EnvSpec, Images, Range

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
    # three critics learn and are asked at s'; a gate that looks ahead runs both once more at s'
    twins = agents.actor_critic(box, num_critics=3, gate="progress", **sizes)
    assert twins.flops(1) == 3 * (460 + 220) + 200 + 440 + 220 + 60 + (200 + 220)
    assert agents.actor_critic(box, gate="q_filter", **sizes).flops(1) == 460 + 200 + 220 + 440 + 220 + 60
    # V: 80 + 10 weights, forward 180, learn 380; online at s', target at s and s'
    assert agents.implicit_value(box, num_values=2, **sizes).flops(1) == 440 + 2 * (380 + 3 * 180)
    # SAC's actor: 80 + 10 * 4 = 120, forward 240, learn 720 - 160 = 560; two critics of 110, and their targets at s'
    assert agents.soft_actor_critic(box, **sizes).flops(1) == 240 + 560 + 2 * (460 + 220 + 220 + 60)
    # phi (4 + 2) * 10 + 10 * 3 = 90, learn 540 - 120 = 420, to the action 2 * (30 + 2 * 10) = 100; psi 40 + 30 = 70,
    # learn 420 - 80 = 340; of each of 5 * 5 pairs three products of 3
    crl = agents.contrastive(box, representation_size=3, **sizes)
    assert crl.flops(5) == 5 * (420 + 340 + 560 + 180 + 100) + 25 * 3 * 2 * 3
    # 3 trajectories of 50 steps; V: 90 weights, learn 3 * 180 - 160 = 380
    assert gradient(goals="own").flops(3) == 150 * 860
    assert gradient(num_goals=4).flops(3) == 150 * (4 * 860 + 340)
    assert gradient(goals="unique").flops(3) == 150 * (150 * 860 + 340)  # no state twice: 150 goals
    assert gradient(goals="unique", group_size=2).flops(4) == 200 * (100 * 860 + 340)
    assert gradient(num_goals=4, baseline=True).flops(3) == 150 * (4 * (860 + 380) + 340)


def test_a_network_counts_its_first_layer_apart():
    assert flops.mlp(2, (3, 4), 5) == flops.Network(first=6, rest=12 + 20)
    assert flops.num_inputs(spec(Box(1))) == 8


def test_an_encoder_counts_its_weights_at_every_place_and_no_gradient_of_pixels():
    """36 pixels: 8 x 8 places, 3 x 3, and one, which gives 64 features."""
    first, rest = 8 * 8 * (8 * 8 * 3 * 32), 3 * 3 * (4 * 4 * 32 * 64) + 3 * 3 * 64 * 64
    seen = lambda action, goals, frames=1: EnvSpec(
        (36, 36, 3 * frames), (4,), action, 50, 0.05, False, None, BOUNDS, Images(36, frames, goals)
    )
    imitation = lambda *images, **options: agents.imitation(seen(Box(2), *images), hidden_sizes=(10,), **options)
    # (64 + 4) x 10 + 10 x 2 behind; nobody needs the gradients of the pixels and of the goal's 4 numbers
    assert imitation(False).flops(1) == 6 * (first + rest + 680 + 20) - 2 * (first + 40)
    assert imitation(False, 2).flops(3) == 3 * (6 * (2 * first + rest + 700) - 2 * (2 * first + 40))
    # two images, and 2 x 64 x 10 + 10 x 2
    assert imitation(True).flops(1) == 6 * (2 * first + 2 * rest + 1300) - 2 * 2 * first
    # 44 pixels: 10 x 10, 4 x 4, 2 x 2 places; two numbers for each of 64 maps
    large = EnvSpec((44, 44, 3), (4,), Box(2), 50, 0.05, False, None, BOUNDS, Images(44))
    spatial = agents.imitation(large, hidden_sizes=(10,), spatial_softmax=True)
    first_44, rest_44 = 100 * 6144, 16 * 32768 + 4 * 36864
    assert spatial.flops(1) == 6 * (first_44 + rest_44 + 132 * 10 + 20) - 2 * (first_44 + 40)
    # the critic's second pass over the state, for the actor's loss, begins with the features of the first
    actor, critic, behind = first + rest + 700, first + rest + 710, 710  # (64 + 4 + 2) x 10 + 10
    passes = 6 * (actor + critic) - 2 * (2 * first + 40 + 60) + 2 * (actor + critic) + 2 * behind + 2 * (10 + 20)
    assert agents.actor_critic(seen(Box(2), False), hidden_sizes=(10,)).flops(1) == passes
