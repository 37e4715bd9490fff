"""Every wrong call of the ring raises ValueError with name, rule and remedy; nothing is written."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import wrong_calls
from wrong_arguments import Argument, alike, count, key, optional, record, thing
from wrong_calls import door

from hindsight_jax import relabel, replay
from hindsight_jax.types import Trajectory

T, CAPACITY = 3, 4
EXAMPLE = Trajectory(
    observation=jnp.zeros((T + 1, 2)),
    achieved_goal=jnp.zeros((T + 1, 2)),
    action=jnp.zeros((T, 1), jnp.int32),
    desired_goal=jnp.zeros(2),
    length=jnp.int32(T),
    terminal=jnp.array(False),
)
RING = replay.make_ring(EXAMPLE, CAPACITY)
TWO = jax.tree.map(lambda x: jnp.asarray(np.stack([x, x])), EXAMPLE)
STATE = RING.add(RING.init(), TWO)
BY_INDEX = relabel.reward_by_index()
PREFERENCE = relabel.prefer(lambda achieved, goal: jnp.any(achieved != goal))


def data(value, *right_dtypes):
    """An array that may also have these dtypes."""
    argument = alike(value)
    allowed = {f"dtype {np.dtype(dtype).name}" for dtype in right_dtypes}
    static = {label: wrong for label, wrong in argument.static.items() if label.replace("bool_", "bool") not in allowed}
    return argument._replace(static=static)


def without(argument, *labels):
    return argument._replace(static={label: wrong for label, wrong in argument.static.items() if label not in labels})


NUMBERS = (jnp.float16, jnp.float32, jnp.int16, jnp.int32, jnp.uint32)
# a further axis makes a picture, and other sizes make another task: both are right
OBSERVATION = without(
    data(EXAMPLE.observation, *NUMBERS, jnp.bool_), "a trailing axis", "axis 1 longer", "an axis less"
)
FIELDS = {
    "observation": OBSERVATION,
    "achieved_goal": data(EXAMPLE.achieved_goal, *NUMBERS, jnp.bool_),
    "action": without(data(EXAMPLE.action, *NUMBERS), "axis 1 longer"),
    "desired_goal": data(EXAMPLE.desired_goal, *NUMBERS, jnp.bool_),
    "length": data(EXAMPLE.length, jnp.int16, jnp.uint32),
    "terminal": alike(EXAMPLE.terminal),
}
# the message may name the field with which the wrong one is compared
BLAMES = [f"example.{name}" for name in FIELDS]
LENGTHS = alike(TWO.length)._replace(
    known={str(bad): jnp.array([T, bad]) for bad in (-1, T + 1, 2**31 - 1, -(2**31))},
    sizes={"5 trajectories": jnp.full(CAPACITY + 1, T)},
)
ADDED = {name: alike(value) for name, value in TWO._asdict().items() if value is not None} | {"length": LENGTHS}
STORED = {name: alike(value) for name, value in STATE._asdict().items() if name != "trajectories"}
STORED["trajectories"] = record(
    STATE.trajectories,
    **{name: alike(value) for name, value in STATE.trajectories._asdict().items() if value is not None},
)
ANOTHER_RING = replay.make_ring(EXAMPLE, CAPACITY + 1)
A_STATE = record(STATE, **STORED)._replace(
    sizes={
        "another ring's": ANOTHER_RING.init(),
        "stacked": jax.tree.map(lambda x: jnp.asarray(np.stack([x, x])), STATE),
    }
)


def rewards_of(reward, discount):
    return lambda step: (reward, discount)


BAD_REWARDS = {
    "none": lambda *step: None,
    "reward alone": lambda step: jnp.float32(0),
    "three": lambda *step: (jnp.float32(0), jnp.float32(1), True),
    "a dict": lambda step: {"reward": jnp.float32(0), "discount": jnp.float32(1)},
    "integer reward": rewards_of(jnp.int32(0), jnp.float32(1)),
    "integer discount": rewards_of(jnp.float32(0), jnp.int32(1)),
    "boolean discount": rewards_of(jnp.float32(0), jnp.array(True)),
    "a reward per coordinate": lambda step: (step.next_achieved_goal - step.goal, jnp.float32(1)),
    "a column": rewards_of(jnp.zeros(1), jnp.float32(1)),
    "a discount column": rewards_of(jnp.float32(0), jnp.ones(1)),
    "strings": rewards_of("0", "1"),
    "no discount": rewards_of(jnp.float32(0), None),
}
BAD_FLAGS = {
    "a number": lambda achieved, goal: jnp.float32(0),
    "a flag per coordinate": lambda achieved, goal: achieved != goal,
    "none": lambda achieved, goal: None,
    "a column": lambda achieved, goal: jnp.any(achieved != goal)[None],
    "an integer": lambda achieved, goal: jnp.int32(1),
    "a string": lambda achieved, goal: "yes",
    "a Python list": lambda achieved, goal: [True],
    "complex": lambda achieved, goal: jnp.complex64(0),
}

STACKED = jax.vmap(relabel.hindsight)(jnp.array([0.1, 0.2]), jnp.array([0.1, 0.2]))
SAMPLE = {
    "state": A_STATE,
    "key": key(),
    "batch_size": count(5),
    "law": thing(relabel.future(), constructor=relabel.future, pair=(1.0, relabel.future())),
    "reward_fn": thing(BY_INDEX),
    "preference": optional(thing(PREFERENCE, constructor=relabel.prefer)),
}

DOORS = {
    "make_ring": door(
        replay.make_ring,
        example=record(EXAMPLE, **FIELDS),
        capacity=count(CAPACITY),
        also={"beyond int32": {"capacity": 2**30}},
        blames=BLAMES,
        any_blamed=True,
    ),
    "add": door(
        RING.add,
        state=A_STATE,
        trajectories=record(TWO, **ADDED),
        also={"one, without an axis": {"trajectories": EXAMPLE}},
        blames=[f"trajectories.{name}" for name in FIELDS],
        any_blamed=True,
    ),
    "num_pairs": door(RING.num_pairs, state=A_STATE),
    "sample": door(
        RING.sample,
        **SAMPLE,
        also={
            "an empty ring": {"state": RING.init()},
            "law and preference": {"law": PREFERENCE, "preference": relabel.future()},
            "a stacked law": {"law": STACKED},
            "no hindsight to prefer": {"law": relabel.behaviour()},
        },
        blames=("weights",),
    ),
    "draw": door(
        RING.draw,
        **SAMPLE,
        also={"an empty ring": {"state": RING.init()}},
        blames=("weights",),
    ),
    "sample: what its functions return": door(
        wrong_calls.abstractly(
            lambda reward_fn, changed: RING.sample(
                STATE, jax.random.key(0), 5, relabel.future(), reward_fn, relabel.prefer(changed)
            )
        ),
        reward_fn=Argument(BY_INDEX, {}, BAD_REWARDS),
        changed=Argument(PREFERENCE.changed, {}, BAD_FLAGS),
    ),
}


def test_init_takes_nothing():
    with pytest.raises(TypeError, match="argument"):
        RING.init(3)


@pytest.mark.parametrize("name", DOORS)
def test_the_right_call_works_and_every_wrong_one_is_refused_at_the_door(name):
    DOORS[name].right_call()
    assert wrong_calls.complaints(DOORS[name]) == {}


@pytest.mark.parametrize("name", DOORS)
def test_wrong_shapes_and_dtypes_are_refused_inside_of_jit_and_vmap(name):
    assert wrong_calls.complaints_when_traced(DOORS[name]) == {}


def test_the_table_holds_every_function_with_twenty_wrong_calls():
    functions = {name for name, value in RING._asdict().items() if callable(value)} - {
        "init",
        "look_up",
    }  # test_pictures
    assert functions | {"make_ring"} == {name.split(":")[0] for name in DOORS}
    assert wrong_calls.thin(DOORS) == {}
