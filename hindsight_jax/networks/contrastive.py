"""The encoders of contrastive RL: one of (state, action), one of goals, into one space.

Dimension key: B batch (any leading axes), O observation dims, G goal dims, D action dims, R representation dims.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from hindsight_jax import checks, types
from hindsight_jax.networks.mlp import MLP, check_features, check_leading, joined, scale_to_range


class ContrastiveEncoders(nn.Module):
    """phi(s, a) and psi(g), an MLP each (Eysenbach et al., 2022): the nearer, the likelier (s, a) leads to g."""

    hidden_sizes: Sequence[int] = (256, 256)
    representation_size: int = 64
    layer_norm: bool = True
    observation_range: types.Range | None = None
    goal_range: types.Range | None = None

    def setup(self) -> None:
        """The two networks, each with parameters of its own."""
        size = checks.positive_int("representation_size", self.representation_size, "64 are usual.")
        shape = self.hidden_sizes, size, self.layer_norm
        self.of_action, self.of_goal = MLP(*shape), MLP(*shape)

    def __call__(self, observation: jax.Array, goal: jax.Array, action: jax.Array) -> tuple[jax.Array, jax.Array]:
        """[B, O], [B, G], [B, D] -> phi(s, a) [B, R] and psi(g) [B, R]."""
        check_features("observation", observation)
        check_features("goal", goal)
        check_leading("goal", goal, jnp.shape(observation)[:-1])
        return self.phi(observation, action), self.psi(goal)

    def phi(self, observation: jax.Array, action: jax.Array) -> jax.Array:
        """[B, O], [B, D] -> [B, R]."""
        check_features("observation", observation)
        check_features("action", action)
        check_leading("action", action, jnp.shape(observation)[:-1])
        return self.of_action(joined(observation, action, self.observation_range))

    def psi(self, goal: jax.Array) -> jax.Array:
        """[B, G] -> [B, R]."""
        check_features("goal", goal)
        return self.of_goal(goal if self.goal_range is None else scale_to_range(goal, self.goal_range))
