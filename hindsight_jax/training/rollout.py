"""Whole episodes from a batch of environments: reset, scan to the horizon, mask the steps after the end.

Dimension key: N environments, T horizon, O observation dims, G goal dims, D action dims.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from hindsight_jax import checks, numerics, types
from hindsight_jax.envs import continuity
from hindsight_jax.envs.base import GoalEnv
from hindsight_jax.training import _validation

Policy = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


class Rollout(NamedTuple):
    """N episodes and how they ended."""

    trajectories: types.Trajectory  # [N, ...]
    success_end: jax.Array  # bool[N], after the last action
    success_any: jax.Array  # bool[N], after any action
    distance_end: jax.Array  # f32[N], in the environment's units


@numerics.steady
def rollout(env: GoalEnv, policy: Policy, key: jax.Array, num_envs: int, goal: jax.Array | None = None) -> Rollout:
    """N episodes of `policy(observation [*O], goal [*G], key) -> action [D]`, each with a fresh start and goal.

    With `goal` [*G] all episodes have that goal, as in `env.reset_to`. The policy is given an image where goals are
    images. All states s_0 .. s_T are kept, the last included; where states are images, the newest frame of each. If the
    spec ends at success, an episode's length is the number of actions up to its first success; states after it are
    masked by `length` and never read.

    Raises ValueError if an argument is of another type, if the environment resets itself (`envs.AutoReset`, wrappers of
    brax), if the goal does not fit the task, or if the policy returns an action of another shape or dtype.
    """
    _validation.check_env(env)
    _validation.check_function("policy", policy, 3, "It is called for one environment, with observation, goal and key.")
    checks.typed_key("key", key)
    num_envs = checks.positive_int("num_envs", num_envs, "Play at least one episode.")
    reset = env.reset if goal is None else lambda key: env.reset_to(key, goal=goal)
    played, goals = _play(env, reset, policy, key, num_envs)
    achieved, desired, horizon = played["achieved_goal"], played["desired_goal"], env.spec.horizon
    success = jax.vmap(jax.vmap(env.success, (0, None)))(achieved[:, 1:], desired)  # [N, T]
    success_any = jnp.any(success, axis=1)
    ends = success_any & env.spec.ends_at_success
    length = jnp.where(ends, jnp.argmax(success, axis=1) + 1, horizon).astype(jnp.int32)
    if checks.is_concrete(goals):  # else they are not looked at, and not computed
        continuity.check_goals_stay(env, jnp.swapaxes(goals, 0, 1), desired, length)
    last = jnp.take_along_axis(success, length[:, None] - 1, axis=1)[:, 0]
    at_end = jax.vmap(lambda states, i: states[i])(achieved, length)  # [N, *G], phi(s_length)
    return Rollout(
        trajectories=types.Trajectory(**played, length=length, terminal=ends),
        success_end=last,
        success_any=success_any,
        distance_end=jax.vmap(env.distance)(at_end, desired),
    )


def _play(
    env: GoalEnv, reset: Callable[[jax.Array], Any], policy: Policy, key: jax.Array, num_envs: int
) -> tuple[dict[str, Any], jax.Array]:
    """Fields of N trajectories that do not depend on success, and the desired goals [T, N, *G] after every step."""
    key_reset, key_steps = jax.random.split(key)
    first = jax.vmap(reset)(jax.random.split(key_reset, num_envs))
    goal, goal_image = first.obs["desired_goal"], first.obs.get("goal_image")
    seen_goal = goal if goal_image is None else goal_image
    newest = (lambda observation: observation) if env.spec.images is None else (lambda stack: stack[..., -3:])

    def step(state, key):
        action = jax.vmap(policy)(state.obs["observation"], seen_goal, jax.random.split(key, num_envs))
        state = jax.vmap(env.step)(state, action)
        seen = state.obs
        return state, (action, newest(seen["observation"]), seen["achieved_goal"], seen["desired_goal"])

    _, (action, observation, achieved, goals) = jax.lax.scan(step, first, jax.random.split(key_steps, env.spec.horizon))
    # action [T, N, D], observation [T, N, *O], achieved, goals [T, N, *G] -> [N, T, ..], and s_0 in front of the states
    with_start = lambda start, rest: jnp.concatenate([start[:, None], jnp.swapaxes(rest, 0, 1)], axis=1)
    fields = {
        "observation": with_start(newest(first.obs["observation"]), observation),
        "achieved_goal": with_start(first.obs["achieved_goal"], achieved),
        "action": jnp.swapaxes(action, 0, 1),
        "desired_goal": goal,
        "goal_image": goal_image,
    }
    return fields, goals
