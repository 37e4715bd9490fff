"""What fields take: by Python value, for grids and stored configs; text is tested with the command line."""

import doctest
import math

import numpy as np
import pytest

from hindsight_jax import fields, presets


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("seeds", np.int64(3), 3),
        ("seeds", 3.0, 3),
        ("agent.gamma", np.float32(0.5), 0.5),
        ("agent.gamma", 1, 1.0),
        ("agent.gamma_hdm", math.inf, math.inf),
        ("agent.hidden_sizes", [np.int32(5), 6], (5, 6)),
        ("agent.bounded", False, False),
        ("agent.backup", "max", "max"),
    ],
)
def test_values_get_the_type_of_the_default(field, value, expected):
    got = fields.checked(field, value)
    assert repr(got) == repr(expected)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seeds", True),
        ("seeds", "3"),
        ("seeds", 3.5),
        ("seeds", math.nan),
        ("seeds", math.inf),
        ("seeds", None),
        ("seeds", [3]),
        ("seeds", 3 + 0j),
        ("seeds", np.array([3])),
        ("agent.gamma", math.nan),
        ("agent.gamma", np.float32(np.nan)),
        ("agent.gamma", False),
        ("agent.gamma_hdm", -math.inf),
        ("agent.gamma_hdm", 10**400),
        ("agent.hidden_sizes", ()),
        ("agent.hidden_sizes", 256),
        ("agent.hidden_sizes", (256, True)),
        ("agent.hidden_sizes", (256, 1.5)),
        ("agent.hidden_sizes", "256"),
        ("agent.bounded", 1),
        ("agent.bounded", "true"),
        ("agent.backup", 1),
        ("agent.backup", "minimum"),
        ("agent.gama", 0.5),
    ],
)
def test_other_values_are_refused_by_name(field, value):
    with pytest.raises(ValueError, match=f"^{field}: got "):
        fields.checked(field, value)


@pytest.mark.parametrize("field", presets.FIELDS)
def test_defaults_and_bounds_are_allowed(field):
    spec = presets.FIELDS[field]
    assert fields.checked(field, spec.default) == spec.default
    if not spec.options and not isinstance(spec.default, (bool, tuple)):
        assert fields.checked(field, spec.low) == spec.low
        assert fields.checked(field, spec.high) == spec.high


@pytest.mark.parametrize("field", presets.FIELDS)
def test_what_is_out_of_range_is_refused(field):
    spec = presets.FIELDS[field]
    if spec.options or isinstance(spec.default, bool):
        return
    for bound, away in ((spec.low, -1), (spec.high, 1)):
        if math.isfinite(bound):
            beyond = bound + away if isinstance(spec.default, (int, tuple)) else math.nextafter(bound, away * math.inf)
            with pytest.raises(ValueError, match="must be"):
                fields.checked(field, (beyond,) if isinstance(spec.default, tuple) else beyond)


def test_only_gamma_hdm_may_be_infinite():
    open_fields = [f for f, spec in presets.FIELDS.items() if spec.high == math.inf and isinstance(spec.default, float)]
    assert open_fields == ["agent.gamma_hdm"]


@pytest.mark.parametrize("name", presets.names())
def test_every_preset_keeps_the_rules(name):
    values = presets.config(name)
    fields.check(values)
    for field, value in values.items():
        assert repr(fields.checked(field, value)) == repr(value)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ({"seed": 2**31 - 4, "seeds": 4}, {"seed": 2**31 - 3}),
        ({"replay.capacity": 200, "replay.warmup": 200}, {"replay.warmup": 201}),
        ({"replay.capacity": 200, "replay.warmup": 10, "env.num_envs": 200}, {"env.num_envs": 201}),
        ({"replay.capacity": 2**30, "env.horizon": 1}, {"env.horizon": 2}),
        ({"replay.warmup": 10, "env.horizon": 50, "env.num_envs": 2, "total_steps": 600}, {"total_steps": 599}),
        ({"total_steps": 2**31 - 48, "env.horizon": 50, "env.num_envs": 1}, {"total_steps": 2**31 - 47}),
        ({"agent.bounded": False, "relabel.reward_reached": 1.0}, {"agent.bounded": True}),
        ({"agent.hindsight_bound": False, "relabel.reward_otherwise": -0.5}, {"agent.hindsight_bound": True}),
        ({"agent.next_state": "loss", "relabel.reward_reached": -1.0}, {"agent.gamma_hdm": math.inf}),
        ({"agent.next_state": "loss", "relabel.reward_reached": -1.0}, {"relabel.reward_reached": 0.0}),
    ],
)
def test_rules_between_fields_hold_to_the_last_number(good, bad):
    base = {field: spec.default for field, spec in presets.FIELDS.items()} | good
    fields.check(base)
    with pytest.raises(ValueError, match=r"^[a-z._ ]+: got .*, but .*\. .*\.$"):
        fields.check(base | bad)


def test_text_is_what_the_command_line_takes():
    for value, written in ((1e-5, "1e-05"), (0.1, "0.1"), (-1.0, "-1"), (1e20, "1e+20"), ((5,), "5"), ("max", "max")):
        assert fields.text(value) == written


def test_the_examples_run():
    assert doctest.testmod(fields).failed == 0
