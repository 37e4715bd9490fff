"""A ring of trajectories of unequal length, on the device, and the draw of relabelled transitions from it.

Dimension key: C capacity in trajectories, T horizon, N trajectories added at once, B batch, M candidates of a
preference.

Every slot keeps the running count of (trajectory, t) pairs at its end, so a uniform pair is one integer below the
number of stored pairs and a binary search over the slots from the oldest on: O(log C) per draw, nothing rolls, nothing
is summed again. Counts are int32 and wrap at 2^31; they are compared by their differences, which are below 2^31.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hindsight_jax import checks, relabel
from hindsight_jax.relabel import RewardFn
from hindsight_jax.types import Trajectory, Transition


class ReplayState(NamedTuple):
    """The ring. Slots that were never written are never read, whatever they hold."""

    trajectories: Trajectory  # [C, ...]
    end: jax.Array  # i32[C], pairs ever added when this slot was written, its own included
    total: jax.Array  # i32[], pairs ever added
    next_slot: jax.Array  # i32[], where the next trajectory goes; the oldest one once the ring is full
    size: jax.Array  # i32[], trajectories stored, <= C


class Replay(NamedTuple):
    """The ring's functions, all pure. `num_bytes` is what one state takes on the device."""

    init: Callable[[], ReplayState]
    add: Callable[..., ReplayState]
    sample: Callable[..., Transition]
    num_pairs: Callable[[ReplayState], jax.Array]
    num_bytes: int
    capacity: int  # in trajectories


_REWARD_REMEDY = "It is called for one step, as relabel.reward_by_index() is."


def make_ring(example: Trajectory, capacity: int) -> Replay:
    """A ring for trajectories like `example`, which has no leading axis and whose values are ignored.

    * `init()` is an empty ring.
    * `add(state, trajectories, keep=True)` stores N <= capacity trajectories (a leading axis) over the oldest ones;
      donate the state and it is written in place. A length outside of 0..T is refused; inside of jit it is stored as
      0, so that it is never read. Where `keep`, bool[], is False, nothing is stored and the state stays as it is.
    * `sample(state, key, batch_size, law, reward_fn, preference=None)` draws B transitions: (trajectory, t) is uniform
      over the stored pairs, the goal comes from `law`, reward and discount from `reward_fn(next_achieved_goal, goal,
      is_next)`, computed once, after relabelling. With a `relabel.Preference`, behaviour or hindsight is drawn first
      and each hindsight row is chosen among candidates. An empty ring is refused; inside of jit, where that is not
      known, every float of the batch is NaN and every integer -1. So are the rows of traced weights that make no law.
    * `num_pairs(state)` counts the stored pairs, i32[].

    Raises ValueError if capacity is not a positive integer, if capacity * T reaches 2^31, or if the example's fields do
    not fit together.

    >>> import jax, jax.numpy as jnp
    >>> from hindsight_jax import relabel, replay, types
    >>> zeros = types.Trajectory(jnp.zeros((4, 2)), jnp.zeros((4, 2)), jnp.zeros((3, 1), jnp.int32), jnp.zeros(2),
    ...                          jnp.int32(0), jnp.bool_(False))
    >>> ring = replay.make_ring(zeros, capacity=10)
    >>> batch_of_two = jax.tree.map(lambda x: jnp.stack([x, x]), zeros._replace(length=jnp.int32(3)))
    >>> state = ring.add(ring.init(), batch_of_two)
    >>> int(ring.num_pairs(state))
    6
    >>> batch = ring.sample(state, jax.random.key(0), 5, relabel.future(), relabel.reward_by_index())
    >>> batch.goal.shape
    (5, 2)
    """
    horizon = _check_example(example)
    checks.positive_int("capacity", capacity, "It counts trajectories.")
    if capacity * horizon >= 2**31:
        checks.fail(
            "capacity", capacity, f"capacity * horizon ({horizon}) must stay below 2^31", "Use fewer trajectories."
        )
    one = jax.tree.map(lambda x: jax.ShapeDtypeStruct(jnp.shape(x), jnp.result_type(x)), example)
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct((capacity, *x.shape), x.dtype), one)

    def init() -> ReplayState:
        zero = lambda: jnp.zeros((), jnp.int32)
        storage = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
        return ReplayState(storage, jnp.zeros((capacity,), jnp.int32), zero(), zero(), zero())

    def add(state: ReplayState, trajectories: Trajectory, keep: jax.Array | bool = True) -> ReplayState:
        _check_state(state, shapes)
        count = _check_added(one, trajectories, capacity, horizon)
        _check_keep(keep)
        return _stored(state, trajectories, keep, count, horizon)

    def sample(
        state: ReplayState,
        key: jax.Array,
        batch_size: int,
        law: relabel.Law,
        reward_fn: RewardFn,
        preference: relabel.Preference | None = None,
    ) -> Transition:
        _check_state(state, shapes)
        checks.positive_int("batch_size", batch_size, "Draw at least one transition.")
        checks.typed_key("key", key)
        _check_parts(law, reward_fn, preference)
        pairs = _num_pairs(state)
        if checks.is_concrete(pairs) and int(pairs) == 0:
            checks.fail("state", "an empty ring", "at least one pair (trajectory, t) must be stored", "Call add first.")
        return _drawn(state, key, batch_size, law, reward_fn, preference)

    def num_pairs(state: ReplayState) -> jax.Array:
        _check_state(state, shapes)
        return _num_pairs(state)

    return Replay(init, add, sample, num_pairs, _num_bytes(shapes) + 4 * (capacity + 3), int(capacity))


def _stored(state: ReplayState, trajectories: Trajectory, keep: Any, count: int, horizon: int) -> ReplayState:
    """The ring with these trajectories over its oldest ones, or as it was."""
    capacity, length = state.end.shape[0], trajectories.length
    length = jnp.where((length >= 0) & (length <= horizon), length, 0)
    steps = jnp.arange(count, dtype=jnp.int32)
    slots = jnp.where(keep, (state.next_slot + steps) % capacity, capacity + steps)  # beyond the ring: dropped
    write = lambda ring, new: ring.at[slots].set(new, unique_indices=True, mode="drop")
    ends = state.total + jnp.cumsum(length, dtype=jnp.int32)
    return ReplayState(
        trajectories=jax.tree.map(write, state.trajectories, trajectories._replace(length=length)),
        end=write(state.end, ends),
        total=jnp.where(keep, ends[-1], state.total),
        next_slot=jnp.where(keep, (state.next_slot + count) % capacity, state.next_slot),
        size=jnp.where(keep, jnp.minimum(state.size + count, capacity), state.size),
    )


def _drawn(state: ReplayState, key: jax.Array, batch_size: int, law: relabel.Law, reward_fn: RewardFn, preference):
    """B transitions; all poison where there is no pair, or no law."""
    if preference is None:
        slot, t, index = _draw(state, key, (batch_size,), law)
    else:
        slot, t, index = _draw_preferred(state, key, batch_size, law, preference)
    batch = _gather(state.trajectories, slot, t, index, reward_fn)
    real = (_num_pairs(state) > 0) & jnp.all(index != relabel.INVALID)  # weights that make no law make none for any row
    return jax.tree.map(lambda x: jnp.where(real, x, _poison(x.dtype)), batch)


def _num_pairs(state: ReplayState) -> jax.Array:
    """i32[], the (trajectory, t) pairs stored."""
    return jnp.where(state.size > 0, state.total - _first(state), 0)


def _oldest(state: ReplayState) -> jax.Array:
    capacity = state.end.shape[0]
    return (state.next_slot - state.size) % capacity


def _first(state: ReplayState) -> jax.Array:
    """The running count at the start of the oldest slot."""
    oldest = _oldest(state)
    return state.end[oldest] - state.trajectories.length[oldest]


def _find(state: ReplayState, rank: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(slot, t) of the rank-th stored pair, counted from the oldest; ranks of any shape."""
    capacity = state.end.shape[0]
    oldest, first = _oldest(state), _first(state)
    slot_of = lambda k: (oldest + k) % capacity

    def halve(_, bounds):
        low, high = bounds
        middle = low + (high - low) // 2
        beyond = _read(state.end, slot_of(middle)) - first > rank  # a difference, so that the count may wrap
        return jnp.where(beyond, low, middle + 1), jnp.where(beyond, middle, high)

    start = (jnp.zeros_like(rank), jnp.full_like(rank, jnp.maximum(state.size - 1, 0)))
    low, _ = jax.lax.fori_loop(0, int(capacity - 1).bit_length(), halve, start)
    slot = slot_of(low)
    before = _read(state.end, slot) - _read(state.trajectories.length, slot) - first
    return slot, rank - before


def _draw(state: ReplayState, key: jax.Array, shape: tuple[int, ...], law: relabel.Law):
    """slot, t and goal index, each i32[shape]: a uniform pair, then the law."""
    key_pair, key_goal = jax.random.split(key)
    pairs = jnp.maximum(_num_pairs(state), 1)
    slot, t = _find(state, jax.random.randint(key_pair, shape, 0, pairs, dtype=jnp.int32))
    length = _read(state.trajectories.length, slot)
    draw = law.sample
    for _ in shape:
        draw = jax.vmap(draw)
    return slot, t, draw(jax.random.split(key_goal, shape), t, length)


def _draw_preferred(state: ReplayState, key: jax.Array, batch_size: int, law: relabel.Law, preference):
    """As _draw, but each hindsight row is the preference's choice among M candidates."""
    key_kind, key_draw, key_choice = jax.random.split(key, 3)
    shape = (batch_size, preference.num_candidates)
    slot, t, index = _draw(state, key_draw, shape, law.given_hindsight())
    achieved = _read(state.trajectories.achieved_goal, slot, t)
    goal = _read(state.trajectories.achieved_goal, slot, jnp.maximum(index, 0))
    changed = jax.vmap(jax.vmap(preference.is_changed))(achieved, goal)
    choice = jax.vmap(preference.choose)(jax.random.split(key_choice, batch_size), changed)
    pick = lambda x: jnp.take_along_axis(x, choice[:, None], axis=1)[:, 0]
    behaviour = jax.random.uniform(key_kind, (batch_size,)) < law.behaviour_probability()
    # A behaviour row keeps the first candidate's pair, which is uniform, and its own goal.
    slot = jnp.where(behaviour, slot[:, 0], pick(slot))
    t = jnp.where(behaviour, t[:, 0], pick(t))
    return slot, t, jnp.where(behaviour, -1, pick(index))


def _gather(stored: Trajectory, slot: jax.Array, t: jax.Array, index: jax.Array, reward_fn: RewardFn) -> Transition:
    """Reads the rows, puts the goals in, and only then computes reward and discount."""
    relabelled = index >= 0
    hindsight = _read(stored.achieved_goal, slot, jnp.maximum(index, 0))
    desired = _read(stored.desired_goal, slot)
    goal = jnp.where(jnp.expand_dims(relabelled, range(1, hindsight.ndim)), hindsight, desired)
    next_achieved = _read(stored.achieved_goal, slot, t + 1)
    is_next = index == t + 1
    reward, discount = jax.vmap(functools.partial(_reward, reward_fn))(next_achieved, goal, is_next)
    return Transition(
        observation=_read(stored.observation, slot, t),
        action=_read(stored.action, slot, t),
        next_observation=_read(stored.observation, slot, t + 1),
        goal=goal,
        achieved_goal=_read(stored.achieved_goal, slot, t),
        next_achieved_goal=next_achieved,
        reward=reward,
        discount=discount,
        is_next=is_next,
        relabelled=relabelled,
        offset=jnp.where(relabelled, index - t, 0),
    )


def _reward(reward_fn: RewardFn, *step: jax.Array) -> tuple[Any, Any]:
    """(reward, discount) of one step: two floats."""
    made: Any = reward_fn(*step)
    if not isinstance(made, tuple) or len(made) != 2:
        got = f"a function that returns {checks.describe(made)}"
        checks.fail("reward_fn", got, "it must return (reward, discount)", _REWARD_REMEDY)
    for name, value in zip(("reward", "discount"), made, strict=True):
        checks.shape(f"reward_fn's {name}", value, (), _REWARD_REMEDY)
        checks.floating(f"reward_fn's {name}", value)
    return made


def _read(array: jax.Array, *indices: jax.Array) -> jax.Array:
    """array[indices], without the clamping that hides a wrong index: ours are in bounds by construction."""
    return array.at[indices].get(mode="promise_in_bounds", wrap_negative_indices=False)


def _poison(dtype: Any) -> Any:
    """What a row that does not exist gives inside of jit: NaN, -1, or False."""
    if jnp.issubdtype(dtype, jnp.floating):
        return jnp.array(jnp.nan, dtype)
    return jnp.zeros((), dtype) if dtype == jnp.bool_ else jnp.array(-1).astype(dtype)


def _num_bytes(shapes: Any) -> int:
    return sum(int(np.prod(s.shape)) * s.dtype.itemsize for s in jax.tree.leaves(shapes))


def _check_example(example: Trajectory) -> int:
    """The horizon of an example whose fields fit together."""
    if not isinstance(example, Trajectory):
        checks.fail(
            "example", type(example).__name__, "it must be a Trajectory", "Build one with types.Trajectory(...)."
        )
    for name, value in example._asdict().items():
        _check_kind(f"example.{name}", value, _KINDS.get(name, (jnp.floating, jnp.integer, jnp.bool_)))
    checks.rank("example.action", example.action, 2, "It is [T, D], without a batch axis.")
    horizon, num_dims = jnp.shape(example.action)
    if horizon < 1 or num_dims < 1:
        got = checks.describe(example.action)
        checks.fail("example.action", got, "T and D must be at least 1", "Give it one row a step.")
    for name in ("observation", "achieved_goal"):
        shape = jnp.shape(getattr(example, name))
        if not shape or shape[0] != horizon + 1:
            rule = f"its first axis must be T + 1 = {horizon + 1}, since s_T is stored too"
            checks.fail(f"example.{name}", checks.describe(getattr(example, name)), rule, "Keep the last observation.")
    remedy = "A goal looks like one achieved goal."
    checks.shape("example.desired_goal", example.desired_goal, jnp.shape(example.achieved_goal)[1:], remedy)
    for name in ("length", "terminal"):
        checks.rank(f"example.{name}", getattr(example, name), 0, "It is one for a trajectory.")
    return horizon


_KINDS = {"action": (jnp.floating, jnp.integer), "length": (jnp.integer,), "terminal": (jnp.bool_,)}


def _check_kind(name: str, value: Any, kinds: tuple[Any, ...]) -> None:
    """An array of a dtype of one of these kinds, no axis of it empty."""
    checks.array(name, value)
    if not any(jnp.issubdtype(jnp.result_type(value), kind) for kind in kinds):
        rule = f"its dtype must be {' or '.join(kind.__name__.removesuffix('_') for kind in kinds)}"
        checks.fail(name, checks.describe(value), rule, "Cast it with .astype(...).")
    if 0 in jnp.shape(value):
        checks.fail(name, checks.describe(value), "it must have at least one entry", "See types.Trajectory.")


def _check_alike(name: str, value: Any, like: Any, remedy: str) -> None:
    """An array of the shape and the dtype of another."""
    checks.shape(name, value, like.shape, remedy)
    if jnp.result_type(value) != like.dtype:
        rule = f"its dtype must be {like.dtype}, as in the ring's example"
        checks.fail(name, checks.describe(value), rule, "Cast it with .astype(...).")


def _check_state(state: ReplayState, shapes: Trajectory) -> None:
    """The state of a ring of these shapes, not another ring's: its slots are read and written without a check."""
    if not isinstance(state, ReplayState):
        got = type(state).__name__
        checks.fail("state", got, "it must be a ReplayState", "Pass what init() or add() returned.")
    remedy = "Use the ring that made the state; map over members with jax.vmap."
    count = jax.ShapeDtypeStruct((), jnp.int32)
    _check_alike("state.end", state.end, jax.ShapeDtypeStruct(shapes.length.shape, jnp.int32), remedy)
    for name in ("total", "next_slot", "size"):
        _check_alike(f"state.{name}", getattr(state, name), count, remedy)
    if not isinstance(state.trajectories, Trajectory):
        checks.fail("state.trajectories", type(state.trajectories).__name__, "it must be a Trajectory", remedy)
    for name, like, stored in zip(Trajectory._fields, shapes, state.trajectories, strict=True):
        _check_alike(f"state.trajectories.{name}", stored, like, remedy)


def _check_keep(keep: Any) -> None:
    """One boolean: it holds for all trajectories that are added."""
    checks.shape("keep", keep, (), "Pass one boolean, such as ~state.frozen.")
    _check_kind("keep", keep, (jnp.bool_,))


def _check_added(example: Trajectory, trajectories: Trajectory, capacity: int, horizon: int) -> int:
    """The number of trajectories, which all look like the example."""
    if not isinstance(trajectories, Trajectory):
        got = type(trajectories).__name__
        checks.fail("trajectories", got, "it must be a Trajectory", "Use types.Trajectory(...).")
    checks.rank("trajectories.length", trajectories.length, 1, "Add a leading axis.")
    count = jnp.shape(trajectories.length)[0]
    if not 1 <= count <= capacity:
        got = checks.describe(trajectories.length)
        checks.fail("trajectories.length", got, f"their number must lie in 1..{capacity}", "Add fewer, or none.")
    for name, like, new in zip(Trajectory._fields, example, trajectories, strict=True):
        like = jax.ShapeDtypeStruct((count, *like.shape), like.dtype)
        _check_alike(f"trajectories.{name}", new, like, "They must look like the ring's example.")
    checks.in_range("trajectories.length", trajectories.length, 0, horizon, "A trajectory has at most T actions.")
    return count


def _check_parts(law: Any, reward_fn: Any, preference: Any) -> None:
    """A law, a reward function, and perhaps a preference."""
    if not isinstance(law, relabel.Law):
        checks.fail("law", checks.describe(law), "it must be a relabel.Law", "Make it with relabel.hindsight(...).")
    checks.function("reward_fn", reward_fn, "Make it with relabel.reward_by_index().")
    if preference is not None and not isinstance(preference, relabel.Preference):
        remedy = "Make it with relabel.prefer(...), or leave it out."
        checks.fail("preference", checks.describe(preference), "it must be a relabel.Preference", remedy)
