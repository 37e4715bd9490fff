"""Argument checks of the ring.

Dimension key: C capacity in trajectories, T horizon, N trajectories added at once.
"""

from typing import Any

import jax
import jax.numpy as jnp

from hindsight_jax import checks, relabel
from hindsight_jax.replay.state import ReplayState, RingSpec, count_pairs
from hindsight_jax.types import Trajectory


def check_example(example: Trajectory) -> int:
    """Checks that the example's fields fit together; returns its horizon T."""
    checks.instance("example", example, Trajectory, "Build one with types.Trajectory(...).")
    for name, value in example._asdict().items():
        if name == "goal_image" and value is None:
            continue
        check_kind(f"example.{name}", value, _KINDS.get(name, (jnp.floating, jnp.integer, jnp.bool_)))
    checks.rank("example.action", example.action, 2, "It is [T, D], without a batch axis.")
    horizon, num_dims = jnp.shape(example.action)
    if horizon < 1 or num_dims < 1:
        got = checks.describe(example.action)
        checks.fail("example.action", got, "T and D must be at least 1", "Give one entry per step and action dim.")
    for name in ("observation", "achieved_goal"):
        shape = jnp.shape(getattr(example, name))
        if not shape or shape[0] != horizon + 1:
            rule = f"its first axis must be T + 1 = {horizon + 1}, since s_T is stored too"
            checks.fail(f"example.{name}", checks.describe(getattr(example, name)), rule, "Keep the last observation.")
    remedy = "A goal has the shape of one achieved goal."
    checks.shape("example.desired_goal", example.desired_goal, jnp.shape(example.achieved_goal)[1:], remedy)
    for name in ("length", "terminal"):
        checks.rank(f"example.{name}", getattr(example, name), 0, "It is one number per trajectory.")
    _check_images(example)
    return horizon


def has_images(example: Trajectory) -> bool:
    """Whether the trajectory's observations are images."""
    return jnp.result_type(example.observation) == jnp.uint8


def _check_images(example: Trajectory) -> None:
    """Images are [T+1, P, P, 3], and a goal's image is alike."""
    shape = jnp.shape(example.observation)
    if has_images(example) and (len(shape) != 4 or shape[1] != shape[2] or shape[3] != 3):
        rule = "images must be square frames of three colours, [T+1, P, P, 3]"
        checks.fail("example.observation", checks.describe(example.observation), rule, "Store one frame a state.")
    if example.goal_image is not None:
        if not has_images(example):
            rule = "a goal can be an image only where observations are"
            checks.fail("example.goal_image", checks.describe(example.goal_image), rule, "Leave it None.")
        checks.shape("example.goal_image", example.goal_image, shape[1:], "A goal's image has the shape of one frame.")


_KINDS = {
    "action": (jnp.floating, jnp.integer),
    "length": (jnp.integer,),
    "terminal": (jnp.bool_,),
    "goal_image": (jnp.uint8,),
}


def check_kind(name: str, value: Any, kinds: tuple[Any, ...]) -> None:
    """Checks for an array with a dtype of one of these kinds and no empty axis."""
    checks.array(name, value)
    if not any(jnp.issubdtype(jnp.result_type(value), kind) for kind in kinds):
        rule = f"its dtype must be {' or '.join(kind.__name__.removesuffix('_') for kind in kinds)}"
        checks.fail(name, checks.describe(value), rule, "Cast it with .astype(...).")
    if 0 in jnp.shape(value):
        checks.fail(
            name, checks.describe(value), "it must have at least one entry", "types.Trajectory lists the shapes."
        )


def _check_alike(name: str, value: Any, like: Any, remedy: str) -> None:
    """Checks for an array with the shape and dtype of `like`, or None where that is None."""
    if like is None or value is None:
        if like is not value:
            rule = f"it must be {'None' if like is None else checks.describe(like)}, as in the ring's example"
            checks.fail(name, checks.describe(value), rule, remedy)
        return
    checks.shape(name, value, like.shape, remedy)
    if jnp.result_type(value) != like.dtype:
        rule = f"its dtype must be {like.dtype}, as in the ring's example"
        checks.fail(name, checks.describe(value), rule, "Cast it with .astype(...).")


def check_state(ring: RingSpec, state: ReplayState) -> None:
    """Checks that the state is of this ring: its slots are read and written without bounds checks."""
    checks.instance("state", state, ReplayState, "Pass what init() or add() returned.")
    remedy = "Use the ring that made the state; map over members with jax.vmap."
    count = jax.ShapeDtypeStruct((), jnp.int32)
    _check_alike("state.end", state.end, jax.ShapeDtypeStruct((ring.capacity,), jnp.int32), remedy)
    for name in ("total", "next_slot", "size"):
        _check_alike(f"state.{name}", getattr(state, name), count, remedy)
    checks.instance("state.trajectories", state.trajectories, Trajectory, remedy)
    for name, like, stored in zip(Trajectory._fields, ring.storage, state.trajectories, strict=True):
        _check_alike(f"state.trajectories.{name}", stored, like, remedy)


def check_rings(ring: RingSpec, rings: Any) -> None:
    """Checks that these are the states of one ring, or of all members' rings [M, ...]."""
    checks.instance("rings", rings, ReplayState, "Pass the state that the batch was drawn from: it holds the pictures.")
    shape = ring.storage.observation.shape
    got = rings.trajectories.observation
    if jnp.shape(got)[-len(shape) :] != shape or jnp.result_type(got) != jnp.uint8 or jnp.ndim(got) > len(shape) + 1:
        rule = f"its shape must be {list(shape)}, or that behind an axis of members"
        checks.fail("rings.trajectories.observation", checks.describe(got), rule, "Use the ring that made the state.")


def check_add(ring: RingSpec, state: ReplayState, trajectories: Trajectory, keep: Any = True) -> None:
    """Checks the arguments of `add`."""
    check_state(ring, state)
    checks.instance("trajectories", trajectories, Trajectory, "Use types.Trajectory(...).")
    checks.rank("trajectories.length", trajectories.length, 1, "Add a leading axis.")
    count = jnp.shape(trajectories.length)[0]
    if not 1 <= count <= ring.capacity:
        rule = f"their number must lie in 1..{ring.capacity}"
        checks.fail("trajectories.length", checks.describe(trajectories.length), rule, "Add fewer, or none.")
    for name, like, new in zip(Trajectory._fields, ring.example, trajectories, strict=True):
        like = None if like is None else jax.ShapeDtypeStruct((count, *like.shape), like.dtype)
        _check_alike(f"trajectories.{name}", new, like, "They must look like the ring's example.")
    checks.in_range("trajectories.length", trajectories.length, 0, ring.horizon, "A trajectory has at most T actions.")
    checks.shape("keep", keep, (), "Pass one boolean, such as ~state.frozen.")
    check_kind("keep", keep, (jnp.bool_,))


def check_sample(
    ring: RingSpec,
    state: ReplayState,
    key: jax.Array,
    batch_size: int,
    law: Any,
    reward_fn: Any,
    preference: Any = None,
    member: Any = 0,
) -> None:
    """Checks the arguments of `sample` and `draw`."""
    checks.shape("member", member, (), "It is one ring's place among its members'.")
    check_state(ring, state)
    checks.positive_int("batch_size", batch_size, "Draw at least one transition.")
    checks.typed_key("key", key)
    if not isinstance(law, relabel.Law):
        checks.fail("law", checks.describe(law), "it must be a relabel.Law", "Make it with relabel.hindsight(...).")
    checks.function("reward_fn", reward_fn, "Make it with relabel.reward_by_index().")
    if preference is not None and not isinstance(preference, relabel.Preference):
        remedy = "Make it with relabel.prefer(...), or leave it out."
        checks.fail("preference", checks.describe(preference), "it must be a relabel.Preference", remedy)
    pairs = count_pairs(state)
    if checks.is_concrete(pairs) and int(pairs) == 0:
        checks.fail("state", "an empty ring", "at least one pair (trajectory, t) must be stored", "Call add first.")
