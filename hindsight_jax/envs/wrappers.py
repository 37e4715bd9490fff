"""`AutoReset`, for training loops that step without end. Our own training resets a batch, and refuses it."""

from typing import Any

import jax
import jax.numpy as jnp

from hindsight_jax import checks, numerics
from hindsight_jax.envs import base


class AutoReset(base.Wrapper):
    """Ends an episode after `horizon` steps, or when the task ends it, and starts the next in the same `step`.

    Every episode has a fresh start and a fresh goal, from a key that is split once per episode. (brax's own wrapper
    replays the first state and goal for ever.) It wraps one environment: map `reset` and `step` with `jax.vmap`.

    At an end `obs` is the first observation of the next episode; reward, done and metrics are those of the last step.
      info["final_observation"]: the observation dict that this step led to, before any reset.
      info["truncation"]: f32[], 1.0 where the horizon ended the episode and the task did not.
      info["episode_step"]: i32[], steps taken in the current episode (brax's wrappers use the key "steps").
      info["reset_key"]: the typed key of the next start and goal.

    Args:
      env: a GoalEnv.
      horizon: steps per episode; the task's own by default.

    Raises ValueError if env is not a GoalEnv or horizon is not an integer >= 1.

    >>> from hindsight_jax import envs
    >>> env = envs.AutoReset(envs.make("push"), horizon=3)
    >>> state = jax.vmap(env.reset)(jax.random.split(jax.random.key(0), 8))
    >>> state = jax.jit(jax.vmap(env.step))(state, jnp.zeros((8, 1), jnp.int32))
    >>> state.info["episode_step"].tolist()
    [1, 1, 1, 1, 1, 1, 1, 1]
    """

    def __init__(self, env: base.GoalEnv, horizon: int | None = None):
        if not isinstance(env, base.GoalEnv):
            checks.fail(
                "env",
                repr(env),
                "it must be a GoalEnv",
                "Make one with envs.make(name), and apply AutoReset before other wrappers.",
            )
        horizon = env.spec.horizon if horizon is None else horizon
        super().__init__(env)
        self.horizon = checks.positive_int("horizon", horizon, "Leave it out for the task's own.")

    def reset(self, rng: jax.Array) -> base.State:
        """The first state of the first episode; `rng` is typed or raw."""
        now, later = jax.random.split(base.typed(rng))
        state = self.env.reset(now)
        zeros = {"episode_step": jnp.zeros((), jnp.int32), "truncation": jnp.zeros((), jnp.float32)}
        return state.replace(info={**state.info, **zeros, "reset_key": later, "final_observation": state.obs})

    def step(self, state: base.State, action: jax.Array) -> base.State:
        """One step, and at an end the first state of the next episode."""
        after = self.env.step(state, action)
        if "reset_key" not in state.info:
            rule = "it must hold episode_step and reset_key"
            checks.fail(
                "state.info", sorted(state.info), rule, "Pass a state that the wrapper's reset or step returned."
            )
        steps = state.info["episode_step"] + 1
        ended = (after.done > 0) | (steps >= self.horizon)
        now, later = jax.random.split(state.info["reset_key"])  # both are unused where the episode goes on
        fresh = self.env.reset(now)
        info = {
            **after.info,
            "episode_step": jnp.where(ended, 0, steps),
            "truncation": jnp.where(ended, 1.0 - after.done, 0.0),
            "reset_key": jnp.where(ended, later, state.info["reset_key"]),
            "final_observation": after.obs,
        }
        return after.replace(
            pipeline_state=_where(ended, fresh.pipeline_state, after.pipeline_state),
            obs=_where(ended, fresh.obs, after.obs),
            done=ended.astype(after.done.dtype),
            info=info,
        )


numerics.steady_methods(AutoReset, kept=(base.State,))


def _where(condition: jax.Array, yes: Any, no: Any) -> Any:
    """jnp.where, for two trees of the same structure."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)
