"""Every wrong call behind Gymnasium's API is refused by name, before anything is compiled for it."""

import math

import numpy as np
import pytest
import wrong_calls
from wrong_arguments import JUNK, Argument, count, optional, plain_number, thing
from wrong_calls import door

from hindsight_jax import envs, types

gym = pytest.importorskip("hindsight_jax.interop.gymnasium", exc_type=ImportError)

ENV = gym.GymnasiumEnv("flip_bit", size=3)
SEED = count(3)._replace(static={k: v for k, v in count().static.items() if k not in ("0", "NumPy 0")})
# a list or an array of three numbers is a goal here
NUMBERS = ("NumPy array", "JAX array", "range")
GOAL = Argument(
    np.zeros(3, np.float32),
    {},
    {label: value for label, value in JUNK.items() if label not in NUMBERS}
    | {
        "short": np.zeros(2),
        "long": np.zeros(4),
        "a column": np.zeros((3, 1)),
        "a batch": np.zeros((2, 3)),
        "text": ["0", "0", "0"],
        "complex": np.zeros(3, np.complex64),
        "ragged": [[0.0], [0.0, 1.0], 0.0],
    },
)
GOALS = {"achieved_goal": GOAL, "desired_goal": GOAL}
ACTION = Argument(
    np.int64(1),
    {},
    {label: value for label, value in JUNK.items() if label != "integer"}
    | {"-1": -1, "3": 3, "two": np.array([1, 1]), "half": 0.5, "float32": np.float32(1)},
)
OPTIONS = Argument({"goal": [1.0, 1.0, 0.0]}, {}, JUNK | {"unknown": {"state": 1}, "a goal of words": {"goal": "here"}})
INFO = Argument({"episode_step": 1}, {}, JUNK | {"empty": {}})


def made(**arguments):
    return gym.GymnasiumEnv(**{"task": "flip_bit", "size": 3, **arguments})


def stepped(action):
    ENV.reset(seed=0)
    return ENV.step(action)


DOORS = {
    "GymnasiumEnv": door(
        made,
        task=thing("flip_bit", unknown="flip_bits", a_class=type(ENV.task), one_made=ENV.task),
        reward_reached=plain_number(0.0, math.nan),
        reward_otherwise=plain_number(-1.0, math.nan),
        render_mode=optional(thing("rgb_array", human="human", ansi="ansi")),
        render_size=count(8),
        also={
            "unknown override": {"sizes": 3},
            "an override that no cache holds": {"size": {"a": 1}},
            "a list in an override": {"size": [3, {}]},
            "True for 1": {"horizon": True},
            "50.0 for 50": {"horizon": 3.0},
        },
        called={"task": "name"},
        blames=("task", "overrides", "override of flip_bit", "size", "horizon"),
        any_blamed=True,
    ),
    "reset": door(ENV.reset, seed=optional(SEED), options=optional(OPTIONS), blames=("goal",), any_blamed=True),
    "step": door(stepped, action=ACTION),
    "compute_reward": door(ENV.compute_reward, **GOALS, info=Argument({}, {}), any_blamed=True),
    "compute_terminated": door(ENV.compute_terminated, **GOALS, info=Argument({}, {}), any_blamed=True),
    "compute_truncated": door(ENV.compute_truncated, **GOALS, info=INFO, any_blamed=True),
    "action_space": door(gym.action_space, action=thing(types.Discrete(1, 3), a_class=types.Box, a_tuple=(1, 3))),
    "observation_space": door(gym.observation_space, spec=thing(ENV.task.spec, a_class=types.EnvSpec)),
}


def test_right_calls_work():
    made(horizon=1)  # so that True and 1.0 have something in the cache to be taken for
    made(horizon=3)
    for name in ("action_space", "observation_space"):
        DOORS[name].call()


@pytest.mark.parametrize("name", DOORS)
def test_every_wrong_call_is_refused(name):
    made(horizon=1), made(horizon=3)
    assert wrong_calls.thin(DOORS) == {}
    assert wrong_calls.complaints(DOORS[name]) == {}


def test_register_takes_nothing():
    assert len(gym.register()) == len(envs.names())
    with pytest.raises(TypeError, match="argument"):
        gym.register("push")
