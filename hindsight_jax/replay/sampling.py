"""Draws relabelled transitions from a ring: indices first, then the data, then the reward.

Dimension key: B batch, M candidates of a preference.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from hindsight_jax import checks, relabel
from hindsight_jax.relabel import RewardFn
from hindsight_jax.replay import pictures
from hindsight_jax.replay.state import ReplayState, RingSpec, count_pairs, find, read
from hindsight_jax.types import Transition

_REWARD_REMEDY = "It is called for one step, as relabel.reward_by_index() is."


def draw_batch(
    ring: RingSpec,
    state: ReplayState,
    key: jax.Array,
    batch_size: int,
    law: relabel.Law,
    reward_fn: RewardFn,
    preference: relabel.Preference | None,
    member: jax.Array,
) -> Transition:
    """Transitions [B, ...], pictures by number; all poison if the ring is empty or the law's weights are invalid."""
    if preference is None:
        slot, t, index = _draw(state, key, (batch_size,), law)
    else:
        slot, t, index = _draw_preferred(state, key, batch_size, law, preference)
    batch = _take(ring, state, (slot, t, index), reward_fn, member)
    has_law = jnp.all(index != relabel.INVALID)  # invalid weights invalidate every transition alike
    real = (count_pairs(state) > 0) & has_law
    return jax.tree.map(lambda x: jnp.where(real, x, _poison(x.dtype)), batch)


def _draw(state: ReplayState, key: jax.Array, shape: tuple[int, ...], law: relabel.Law):
    """slot, t and goal index, each i32[shape]: a uniform pair, then a goal by the law (-1: the behaviour goal)."""
    key_pair, key_goal = jax.random.split(key)
    pairs = jnp.maximum(count_pairs(state), 1)
    slot, t = find(state, jax.random.randint(key_pair, shape, 0, pairs, dtype=jnp.int32))
    length = read(state.trajectories.length, slot)
    draw = law.sample
    for _ in shape:
        draw = jax.vmap(draw)
    return slot, t, draw(jax.random.split(key_goal, shape), t, length)


def _draw_preferred(state: ReplayState, key: jax.Array, batch_size: int, law: relabel.Law, preference):
    """As `_draw`, i32[B] each, but a hindsight transition is the preference's choice among M candidates."""
    key_kind, key_draw, key_choice = jax.random.split(key, 3)
    shape = (batch_size, preference.num_candidates)
    slot, t, index = _draw(state, key_draw, shape, law.given_hindsight())  # [B, M] each
    achieved = read(state.trajectories.achieved_goal, slot, t)
    goal = read(state.trajectories.achieved_goal, slot, jnp.maximum(index, 0))
    changed = jax.vmap(jax.vmap(preference.is_changed))(achieved, goal)  # bool[B, M]
    choice = jax.vmap(preference.choose)(jax.random.split(key_choice, batch_size), changed)  # i32[B]
    pick = lambda x: jnp.take_along_axis(x, choice[:, None], axis=1)[:, 0]
    behaviour = jax.random.uniform(key_kind, (batch_size,)) < law.behaviour_probability()
    # A behaviour transition keeps the first candidate's pair, which is uniform.
    slot = jnp.where(behaviour, slot[:, 0], pick(slot))
    t = jnp.where(behaviour, t[:, 0], pick(t))
    return slot, t, jnp.where(behaviour, -1, pick(index))


def _take(ring: RingSpec, state: ReplayState, indices: Any, reward_fn: RewardFn, member: jax.Array) -> Transition:
    """The transitions at these indices: goals first, then reward and discount of these goals."""
    stored, (slot, t, index) = state.trajectories, indices
    relabelled = index >= 0
    hindsight = read(stored.achieved_goal, slot, jnp.maximum(index, 0))
    desired = read(stored.desired_goal, slot)
    goal = jnp.where(jnp.expand_dims(relabelled, range(1, hindsight.ndim)), hindsight, desired)
    achieved, next_achieved = (read(stored.achieved_goal, slot, time) for time in (t, t + 1))
    is_next = index == t + 1
    terminal = read(stored.terminal, slot) & (t + 1 == read(stored.length, slot))
    step = relabel.Step(next_achieved, goal, is_next=is_next, relabelled=relabelled, terminal=terminal)
    rewarded = jax.vmap(functools.partial(_reward, reward_fn))
    reward, discount = rewarded(step)
    no = jnp.zeros_like(is_next)
    start_reward, _ = rewarded(step._replace(next_achieved_goal=achieved, is_next=no, terminal=no))
    if ring.frames:
        seen = pictures.numbered(ring, member, slot, t, index)
    else:
        at = lambda time: read(stored.observation, slot, time)
        seen = {"observation": at(t), "next_observation": at(t + 1)}
    return Transition(
        **seen,
        action=read(stored.action, slot, t),
        goal=goal,
        achieved_goal=achieved,
        next_achieved_goal=next_achieved,
        reward=reward,
        discount=discount,
        is_next=is_next,
        relabelled=relabelled,
        offset=jnp.where(relabelled, index - t, 0),
        start_reward=start_reward,
    )


def _reward(reward_fn: RewardFn, step: relabel.Step) -> tuple[Any, Any]:
    """reward_fn of one step, checked: (reward, discount), two float scalars."""
    returned: Any = reward_fn(step)
    if not isinstance(returned, tuple) or len(returned) != 2:
        got = f"a function that returns {checks.describe(returned)}"
        checks.fail("reward_fn", got, "it must return (reward, discount)", _REWARD_REMEDY)
    for name, value in zip(("reward", "discount"), returned, strict=True):
        checks.shape(f"reward_fn's {name}", value, (), _REWARD_REMEDY)
        checks.floating(f"reward_fn's {name}", value)
    return returned


def _poison(dtype: Any) -> Any:
    """NaN for floats, -1 for integers, False for booleans: no data that could be mistaken for a draw."""
    if jnp.issubdtype(dtype, jnp.floating):
        return jnp.array(jnp.nan, dtype)
    return jnp.zeros((), dtype) if dtype == jnp.bool_ else jnp.array(-1).astype(dtype)
