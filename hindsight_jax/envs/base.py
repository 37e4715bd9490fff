"""The GoalEnv contract: a brax `Env` whose observation carries the achieved and the desired goal.

Dimension key: O observation dims, G goal dims, D action dims.

The goal lives in `pipeline_state` beside the physics, because brax's wrappers replace `obs` and `info` on reset. Other
people's wrappers run on a GoalEnv; training never auto-resets, it resets a batch and scans `horizon` steps.
"""

import abc
from typing import Any

import jax
import jax.numpy as jnp
from brax.envs.base import Env, State
from flax import struct

from hindsight_jax import checks, types


@struct.dataclass
class PipelineState:
    """What `step` carries: the simulator's state, and the goal of this episode."""

    physics: Any
    goal: jax.Array  # [*G]


def typed(key: jax.Array) -> jax.Array:
    """One typed key, from a typed or a raw one (brax's wrappers hand out raw uint32[2] keys)."""
    if jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        return key
    checks.shape("rng", key, (2,), "Pass one key: jax.random.key(seed), or map reset over keys with jax.vmap.")
    return jax.random.wrap_key_data(key, impl="threefry2x32")


class GoalEnv(Env):
    """A goal-conditioned task. `State.reward` is 1.0 where the new state is a success and 0.0 elsewhere.

    `State.obs` is {"observation" [*O], "achieved_goal" [*G], "desired_goal" [*G]}. `State.done` is 1.0 only if
    `spec.ends_at_success` and the goal is reached: the horizon is the rollout's business.
    `State.metrics["invalid_action"]` is 1.0 where the action was NaN or out of range and was replaced.
    """

    @property
    @abc.abstractmethod
    def spec(self) -> types.EnvSpec:
        """Shapes, action set, horizon and threshold."""

    @abc.abstractmethod
    def achieved_goal(self, observation: jax.Array) -> jax.Array:
        """phi(s): [*O] -> [*G]."""

    @abc.abstractmethod
    def distance(self, achieved: jax.Array, desired: jax.Array) -> jax.Array:
        """f32[], in the environment's units: what success is measured by."""

    @abc.abstractmethod
    def sample_goal(self, key: jax.Array) -> jax.Array:
        """A behaviour goal, [*G]."""

    @abc.abstractmethod
    def reset(self, rng: jax.Array) -> State:
        """A fresh start and a fresh goal, from separate keys split off `rng` (typed or raw)."""

    @abc.abstractmethod
    def step(self, state: State, action: jax.Array) -> State:
        """One control step with one action of `spec.action`."""

    @abc.abstractmethod
    def scene(self, state: State) -> Any:
        """The `rendering.Scene` of this state: its bodies, and the goal as a marker."""

    def success(self, achieved: jax.Array, desired: jax.Array) -> jax.Array:
        """bool[]: distance(achieved, desired) < threshold, strictly."""
        return self.distance(achieved, desired) < self.spec.threshold

    @property
    def observation_size(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the observation's parts, as brax asks for dictionary observations."""
        spec = self.spec
        return {
            "observation": spec.observation_shape,
            "achieved_goal": spec.goal_shape,
            "desired_goal": spec.goal_shape,
        }

    @property
    def action_size(self) -> int:
        """Numbers in one action."""
        return self.spec.action.num_dims

    @property
    def backend(self) -> str:
        """'mjx' where a physics engine steps; pure-JAX tasks override it."""
        return "mjx"
