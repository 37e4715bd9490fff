"""Grids: typed axes, settings in order, which axes share a program, and what is refused before anything runs."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from hindsight_jax import presets

NAME = "hdm_push"
CONFIG = presets.config(NAME)


def test_axes_are_typed_in_the_order_given():
    grid = {"agent.hidden_sizes": [[8], (16, 16)], "agent.beta": np.linspace(0, 1, 3), "env.num_envs": (np.int64(1), 2)}
    expected = {"agent.hidden_sizes": ((8,), (16, 16)), "agent.beta": (0.0, 0.5, 1.0), "env.num_envs": (1, 2)}
    found = presets.check_grid(NAME, CONFIG, grid)
    assert repr(found) == repr(expected)
    assert presets.check_grid(NAME, CONFIG, {}) == {}


@pytest.mark.parametrize(
    ("field", "axis", "expected"),
    [
        ("agent.hidden_sizes", [np.array([8, 8]), jnp.array([4])], ((8, 8), (4,))),
        ("agent.hidden_sizes", np.array([[8, 8], [4, 4]]), ((8, 8), (4, 4))),
        ("agent.gamma", jnp.linspace(0.5, 1.0, 3), (0.5, 0.75, 1.0)),
        ("agent.gamma", [jnp.float32(0.5), np.array(0.75)], (0.5, 0.75)),
        ("agent.layer_norm", [np.True_, jnp.array(False)], (True, False)),
        ("agent.layer_norm", np.array([True, False]), (True, False)),
        ("env.num_envs", range(1, 3), (1, 2)),
        ("env.num_envs", jnp.arange(1, 3), (1, 2)),
    ],
)
def test_axes_of_numpy_and_jax_are_those_of_python(field, axis, expected):
    assert repr(presets.check_grid(NAME, CONFIG, {field: axis})) == repr({field: expected})


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        (
            {"agent.gama": [0.5]},
            r"^grid\['agent\.gama'\]: got \[0\.5\], but there is no such field\. Did you mean agent\.g",
        ),
        ({"agent.gamma": []}, r"^grid\['agent\.gamma'\]: got \[\], but it must be a list of values\. For example"),
        ({"agent.gamma": 0.5}, r"^grid\['agent\.gamma'\]: got 0\.5, but it must be a list of values"),
        ({"agent.gamma": "0.5"}, r"^grid\['agent\.gamma'\]: got '0\.5', but it must be a list of values"),
        ({"agent.gamma": np.array(0.5)}, r"^grid\['agent\.gamma'\]: got .*it must be a list of values"),
        ({"agent.gamma": {0.5: 1}}, r"^grid\['agent\.gamma'\]: got .*it must be a list of values"),
        (
            {"agent.gamma": [0.5, 2]},
            r"^grid\['agent\.gamma'\]: got 2, but it must be a number in \[0, 1\]\. It is: disc",
        ),
        ({"agent.gamma": [math.nan]}, r"^grid\['agent\.gamma'\]: got nan"),
        ({"agent.gamma": [0.5, 0.5]}, r"^grid\['agent\.gamma'\]: got .*, but a value must not come twice"),
        ({"agent.gamma": [1, 1.0]}, r"a value must not come twice\. Drop"),
        ({"agent.gamma": [0.1, 0.1 + 1e-12]}, r"a value must not come twice, and float32, .* cannot tell some"),
        ({"agent.gamma": [np.float32(0.1), 0.1]}, r"a value must not come twice, and float32"),
        (
            {"agent.gamma": np.ma.array([0.1, 0.2], mask=[0, 1])},
            r"got a MaskedArray of float64\[2\], but it must be a plain",
        ),
        ({"agent.gamma_hdm": [0.5, 1e39]}, r"got 1e\+39, but float32, in which it is used, holds it as infinity"),
        ({"env.threshold": [0.1, jnp.array([0.2])]}, r"got float32\[1\], but it must be a number in"),
        ({"env.num_envs": [1, 2.0]}, r"got 2\.0, but it must be an integer"),
        ({"agent.hidden_sizes": [np.array([8.0])]}, r"got 8\.0, but it must be one or more integers"),
        ({"agent.noise": [0.5]}, r"^grid\['agent\.noise'\]: .*this run has no use for it\. Leave it out"),
        ({"seed": [1, 2]}, r"^grid\['seed'\]: .*every setting has the same seeds\. Leave it out of the grid"),
        ({"total_steps": [100_000]}, r"^grid\['total_steps'\]: .*every evaluation on the way is kept"),
        ({"on_nan": ["halt"]}, r"^grid\['on_nan'\]: .*no number depends on it"),
        ({"agent.beta": [0.5]}, r"^grid\['agent\.beta'\]: got \[0\.5\], but it is set to 1, too\. Set it in one place"),
        ({"replay.warmup": [2, 10_001]}, r"^replay\.warmup: got 10001, .* at most replay\.capacity \(10000\)"),
        ({"agent.backup": ["mellow"], "agent.hindsight_bound": [False, True]}, r"^agent\.backup: got mellow"),
    ],
)
def test_other_axes_are_refused(grid, message):
    with pytest.raises(ValueError, match=message):
        presets.check_grid(NAME, CONFIG, grid, taken={"agent.beta": 1.0})


def test_a_base_value_that_the_grid_replaces_does_not_count():
    config = CONFIG | {"replay.warmup": 20_000}
    assert presets.check_grid(NAME, config, {"replay.warmup": [100]}) == {"replay.warmup": (100,)}
    with pytest.raises(ValueError, match=r"^replay\.warmup: got 20000"):
        presets.check_grid(NAME, config, {"agent.beta": [1.0]})


def test_settings_count_with_the_last_field_fastest():
    grid = {"a": (1, 2), "b": (3, 4)}
    expected = [((0, 0), (1, 3)), ((0, 1), (1, 4)), ((1, 0), (2, 3)), ((1, 1), (2, 4))]
    assert [(index, tuple(setting.values())) for index, setting in presets.settings(grid)] == expected
    assert list(presets.settings({})) == [((), {})]


@pytest.mark.parametrize(
    ("axis", "shared"), [((0.25, 0.5), True), ((0.0, 0.5), False)], ids=["on for all", "off for some"]
)
def test_a_preference_that_is_off_for_some_needs_a_program_for_each(axis, shared):
    own, shaping = presets.programs({"relabel.preference": axis, "agent.gamma": (0.5,), "env.num_envs": (1, 2)})
    assert list(own) == (["relabel.preference", "agent.gamma"] if shared else ["agent.gamma"])
    assert list(shaping) == (["env.num_envs"] if shared else ["relabel.preference", "env.num_envs"])


def test_a_label_has_no_groups():
    assert presets.label({"agent.hidden_sizes": (8, 8), "seed": 3, "agent.gamma_hdm": math.inf}) == (
        "hidden_sizes 8,8, seed 3, gamma_hdm inf"
    )
