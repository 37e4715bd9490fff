"""One rule for one number, at every entry where it must be known: Python's, NumPy's and JAX's are the same number.

A float is no count, even 3.0, and a boolean is no number.
"""

import math
import re

import jax.numpy as jnp
import numpy as np
import pytest

from hindsight_jax import agents, envs, losses, networks, relabel, rendering, replay, statistics, training
from hindsight_jax.interop.gymnasium import GymnasiumEnv
from hindsight_jax.runs.progress import Progress

LINE, OTHERS = envs.make("navigation", size=2), [0.5, 0.6, 0.9]
EXAMPLE = training.example_trajectory(LINE)
SPEC = envs.make("flip_bit", size=3).spec
far = lambda achieved, goal: jnp.any(achieved != goal)

# entry -> (a function of the number that shows what became of it, a right number)
COUNTS = {
    "size of navigation": (lambda n: envs.make("navigation", size=n).spec, 3),
    "horizon of navigation": (lambda n: envs.make("navigation", horizon=n).spec, 3),
    "horizon of flip_bit": (lambda n: envs.make("flip_bit", horizon=n).spec, 3),
    "horizon of a grid": (lambda n: envs.make("grid_four_rooms", horizon=n).spec, 3),
    "bins": (lambda n: envs.action_set("discrete", n, 2), 3),
    "num_moves": (lambda n: envs.action_set("discrete", 3, n), 3),
    "horizon of AutoReset": (lambda n: envs.AutoReset(LINE, n).horizon, 3),
    "hidden_sizes": (lambda n: networks.mlp.check_hidden_sizes([n]), 8),
    "hidden_sizes of an agent": (lambda n: repr(agents.imitation(SPEC, hidden_sizes=[n]).flops(1)), 8),
    "capacity": (lambda n: replay.make_ring(EXAMPLE, n).capacity, 3),
    "horizon of a law": (lambda n: relabel.future().pmf(0, 2, n).tolist(), 3),
    "num_candidates": (lambda n: relabel.prefer(far, num_candidates=n).num_candidates, 3),
    "num_members": (lambda n: training.member_keys(0, n).shape, 3),
    "seed": (lambda n: str(training.member_keys(n, 2)), 3),
    "seeds": (lambda n: training.members([n]).seeds, 3),
    "size of a chunk": (lambda n: training.members((0, 1)).chunks(n), 3),
    "num_resamples": (lambda n: statistics.bootstrap_iqm(OTHERS, num_resamples=n), 100),
    "seed of a bootstrap": (lambda n: statistics.bootstrap_iqm(OTHERS, seed=n, num_resamples=100), 3),
    "seed of Gymnasium": (lambda n: GymnasiumEnv("flip_bit", size=3).reset(seed=n)[0]["observation"].tolist(), 3),
    "render_size": (lambda n: GymnasiumEnv("flip_bit", size=3, render_size=n)._render_size, 3),
    "columns": (lambda n: rendering.contact_sheet(jnp.zeros((5, 2, 2, 3)), n).shape, 3),
    "gap": (lambda n: rendering.contact_sheet(jnp.zeros((5, 2, 2, 3)), 2, n).shape, 3),
    "total_steps": (lambda n: Progress(n, name="run")._total, 3),
}
NONE_IS_THE_DEFAULT = [COUNTS[name][0] for name in ("horizon of flip_bit", "horizon of AutoReset", "seed of Gymnasium")]
NUMBERS = {
    "threshold of navigation": (lambda x: envs.make("navigation", threshold=x).spec, 0.5),
    "threshold of flip_bit": (lambda x: envs.make("flip_bit", threshold=x).spec, 0.5),
    "slip": (lambda x: envs.make("grid_four_rooms", slip=x).slip, 0.5),
    "confidence": (lambda x: statistics.interval(OTHERS, x), 0.5),
    "std": (lambda x: networks.mlp.small_normal(x)(jnp.uint32([0, 1]), (3,)).tolist(), 0.5),
    "reward_reached": (lambda x: GymnasiumEnv("flip_bit", size=3, reward_reached=x)._rewards.tolist(), 0.5),
}
FLAGS = {
    "absorbing": (lambda yes: relabel.reward_by_index(absorbing=yes).__closure__ is not None, True),
    "replace": (lambda yes: envs.register("a_task_of_numbers", lambda: LINE, replace=yes), True),
}
# one number, known or traced: an array [1] is refused, too
HYPER_PARAMETERS = {
    "gamma": lambda x: agents.override(agents.QLearningHparams(), {"gamma": x}),
    "reached": lambda x: relabel.reward_by_index(x),
    "probability": lambda x: relabel.prefer(far, probability=x),
    "beta": lambda x: losses.hdm(-1.0, -1.0, -1.0, 1.0, -1.0, -1.0, gamma_hdm=0.5, beta=x),
}
NO_NUMBERS = {
    "text": "1",
    "[1]": np.array([1]),
    "JAX [1]": jnp.array([1]),
    "masked": np.ma.masked,
    "list": [1],
    "a record": np.array((1,), [("steps", int)]),
    "a span of time": np.timedelta64(1),
}
TRUE = {"True": True, "np.True_": np.True_, "jnp": jnp.array(True)}
FLOATS = {"3.0": 3.0, "np.float64": np.float64(3), "np.float32": np.float32(3), "jnp": jnp.float32(3), "NaN": math.nan}


def each(entries):
    return pytest.mark.parametrize(("use", "right"), entries.values(), ids=entries)


def refused(use, wrong):
    """Each is refused with a message that shows it: "got int64[], but it must be an integer" would say nothing."""
    for value in wrong.values():
        with pytest.raises(ValueError, match=r"^[\w.\[\]']+: got .*, but ") as error:
            use(value)
        assert not re.search(r": got \w+\[\], but ", str(error.value))


@each(COUNTS)
def test_a_count_is_an_integer_of_any_of_them(use, right):
    expected = repr(use(right))
    for number in (np.int64(right), np.uint8(right), jnp.int32(right), np.array(right)):
        assert repr(use(number)) == expected
    none = {} if use in NONE_IS_THE_DEFAULT else {"None": None}
    refused(use, NO_NUMBERS | TRUE | FLOATS | none)


@pytest.mark.parametrize("name", ["size of navigation", "horizon of flip_bit", "horizon of a law", "num_resamples"])
def test_a_count_fits_into_int32(name):
    for count in (2**31, 2**70, np.uint64(2**64 - 1)):
        with pytest.raises(ValueError, match=r"^\w+: got .*, but it must be .*2147483647"):
            COUNTS[name][0](count)


@each(NUMBERS)
def test_a_number_is_real_and_one_that_float32_can_tell_from_0_and_infinity(use, right):
    expected = repr(use(right))
    for number in (np.float64(right), np.float32(right), jnp.float32(right), np.array(right), jnp.bfloat16(right)):
        assert repr(use(number)) == expected
    refused(use, NO_NUMBERS | TRUE | {"None": None, "NaN": math.nan, "np.nan": np.float32(math.nan)})


@each(FLAGS)
def test_a_flag_is_a_boolean_of_any_of_them(use, right):
    for flag in (right, np.bool_(right), jnp.array(right), np.array(right)):
        assert use(flag) == use(right)
    refused(use, NO_NUMBERS | FLOATS | {"1": 1, "np.int64": np.int64(1)})


@pytest.mark.parametrize("use", HYPER_PARAMETERS.values(), ids=HYPER_PARAMETERS)
def test_a_hyper_parameter_is_a_number_of_any_of_them(use):
    for number in (0.5, 1, np.float64(0.5), np.int64(1), jnp.float32(0.5), np.array(0.5), np.float16(0.5)):
        use(number)
    for wrong in (True, np.True_, jnp.array(True), *NO_NUMBERS.values(), math.nan, 1e-50, np.longdouble(0.5)):
        with pytest.raises(ValueError, match=r"^[\w.\[\]']+: got .*, but "):
            use(wrong)


@pytest.mark.parametrize(
    ("use", "name", "held"),
    [
        (lambda: envs.make("navigation", threshold=1e-50), "threshold", "0"),
        (lambda: envs.make("flip_bit", threshold=1e39), "threshold", "infinity"),
        (lambda: envs.make("grid_four_rooms", slip=1e-50), "slip", "0"),
        (lambda: relabel.reward_by_index(1e39), "reached", "infinity"),
        (lambda: relabel.reward_by_index(10**400), "reached", "infinity"),
        (lambda: relabel.reward_by_success(far, 1.0, -1e39), "otherwise", "infinity"),
        (lambda: GymnasiumEnv("flip_bit", size=3, reward_reached=1e39), "reward_reached", "infinity"),
        (lambda: agents.override(agents.QLearningHparams(), {"learning_rate": 1e-50}), "hparams", "0"),
        (lambda: relabel.geometric(1e-50), "discount", "0"),
    ],
)
def test_a_number_that_float32_cannot_hold_is_refused(use, name, held):
    with pytest.raises(
        ValueError, match=rf"^{name}.*: got .*, but float32, in which it is used, holds it as {held}\. \w"
    ):
        use()


def test_infinity_stays_where_it_is_meant():
    assert math.isinf(agents.override(agents.QLearningHparams(), {"gamma_hdm": math.inf}).gamma_hdm)
