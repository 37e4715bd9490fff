"""What fields take: by Python value, for grids and stored configs; text is tested with the command line."""

import math

import numpy as np
import pytest

from hindsight_jax import fields, presets
from hindsight_jax.presets import rules


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


@pytest.mark.parametrize("field", presets.all_fields())
def test_defaults_and_bounds_are_allowed(field):
    spec = presets.all_fields()[field]
    assert fields.checked(field, spec.default) == spec.default
    if not spec.options and not isinstance(spec.default, (bool, tuple)):
        assert fields.checked(field, spec.low) == spec.low
        assert fields.checked(field, spec.high) == spec.high


@pytest.mark.parametrize("field", presets.all_fields())
def test_what_is_out_of_range_is_refused(field):
    spec = presets.all_fields()[field]
    if spec.options or isinstance(spec.default, bool):
        return
    for bound, away in ((spec.low, -1), (spec.high, 1)):
        if math.isfinite(bound):
            beyond = bound + away if isinstance(spec.default, (int, tuple)) else math.nextafter(bound, away * math.inf)
            with pytest.raises(ValueError, match="must be"):
                fields.checked(field, (beyond,) if isinstance(spec.default, tuple) else beyond)


def test_only_gamma_hdm_may_be_infinite():
    open_fields = [
        f for f, spec in presets.all_fields().items() if spec.high == math.inf and isinstance(spec.default, float)
    ]
    assert open_fields == ["agent.gamma_hdm"]


def test_fields_name_the_kinds_of_agent_that_there_are():
    assert fields.AGENTS == ("q_learning", "imitation", "actor_critic", "policy_gradient")
    assert all(set(spec.agents) <= set(fields.AGENTS) for spec in presets.all_fields().values())
    assert {row.agent for row in presets.ALGORITHMS.values()} == set(fields.AGENTS)
    assert all(
        not spec.agents for field, spec in presets.all_fields().items() if field.startswith("env.")
    )  # tasks say theirs


# A dict of values


def defaults(**changes):
    """Every field's default, and a horizon, as `fields.check` wants it."""
    return {field: spec.default for field, spec in presets.all_fields().items()} | {"env.horizon": 50} | changes


def test_complete_gives_every_value_its_type():
    """Whole floats become ints and ints floats; nothing is added or left out."""
    known = ("seeds", "agent.gamma", "agent.hidden_sizes")
    done = fields.complete({"seeds": 3.0, "agent.gamma": 1, "agent.hidden_sizes": [5]}, known)
    assert repr(done) == repr({"seeds": 3, "agent.gamma": 1.0, "agent.hidden_sizes": (5,)})
    assert repr(fields.complete(defaults())) == repr(defaults())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"seeds": 3}, r"^agent\.gamma: got nothing, but every field must be there\. Start from presets\.config"),
        ({}, r"^seeds: got nothing"),
        (
            {"seeds": 3, "agent.gamma": 0.5, "agent.noise": 0.25},
            r"^agent\.noise: got 0\.25, but this run has no use for",
        ),
        (
            {"seeds": 3, "agent.noise": "loud"},
            r"^agent\.noise: got 'loud', but this run has no use for it\. Leave it out",
        ),
        (
            {"seeds": 3, "agent.gamma": 0.5, "agent.gama": 0.5},
            r"^agent\.gama: .*no such field\. Did you mean agent\.gamma",
        ),
        ({"seeds": 0, "agent.gamma": 0.5}, r"^seeds: got 0, but it must be an integer in"),
    ],
)
def test_a_dict_with_less_with_more_or_with_others_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        fields.complete(values, ("seeds", "agent.gamma"))


def test_a_long_value_is_cut_to_what_fits_a_message():
    assert fields.short("x" * 58) == repr("x" * 58)  # 60 characters with its quotes
    assert fields.short("x" * 59) == "'" + "x" * 56 + "..."
    with pytest.raises(ValueError, match=r"x\.\.\., but") as error:
        fields.checked("agent.backup", "x" * 10_000)
    assert len(str(error.value)) < 300


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
        ({"agent.hindsight_bound": True}, {"relabel.rewards": "success"}),
        ({"agent.hindsight_bound": True}, {"agent.backup": "mellow"}),
        ({"agent.hindsight_bound": False, "agent.backup": "mellow"}, {"agent.hindsight_bound": True}),
        ({"agent.clip_targets": True, "agent.gamma": 0.999}, {"agent.gamma": 1.0}),
        ({"agent.clip_targets": False, "agent.gamma": 1.0}, {"agent.clip_targets": True}),
    ],
)
def test_rules_between_fields_hold_to_the_last_number(good, bad):
    rules.check(defaults(**good))
    with pytest.raises(ValueError, match=r"^[a-z._ ]+: got .*, but .*\. .*\.$"):
        rules.check(defaults(**good | bad))


@pytest.mark.parametrize(
    ("name", "good", "bad", "message"),
    [
        # 20 trajectories of 5 steps in an epoch, no warm-up
        ("hpg_flip_bit", {"total_steps": 100}, {"total_steps": 99}, r"but one epoch takes 100\. Use at least 100"),
        ("hpg_flip_bit", {"total_steps": 2**31 - 100}, {"total_steps": 2**31 - 1}, r"count 2147483700 steps"),
        ("hpg_flip_bit", {"seed": 2**31 - 4}, {"seed": 2**31 - 3}, "the last of the 4 seeds"),
        # 20 more to warm up
        (
            "hem_flip_bit",
            {"total_steps": 200},
            {"total_steps": 199},
            r"takes 100 steps .* one epoch 100\. Use at least 200",
        ),
        ("hem_flip_bit", {"replay.capacity": 20}, {"replay.capacity": 19}, r"at most replay\.capacity \(19\)"),
        ("hem_flip_bit", {"replay.capacity": 2**31 // 5}, {"replay.capacity": 2**31 // 5 + 1}, r"below 2\^31"),
    ],
)
def test_the_rules_count_with_what_a_run_has(name, good, bad, message):
    """No ring without replay.*, one update an epoch without agent.updates_per_epoch, and a horizon of its size."""
    base = presets.config(name) | {"env.size": 5, "env.num_envs": 20} | good
    base |= {"replay.warmup": 20} if "replay.warmup" in base else {}
    presets.check(name, base)
    with pytest.raises(ValueError, match=message):
        presets.check(name, base | bad)


def test_text_is_what_the_command_line_takes():
    for value, written in ((1e-5, "1e-05"), (0.1, "0.1"), (-1.0, "-1"), (1e20, "1e+20"), ((5,), "5"), ("max", "max")):
        assert fields.text(value) == written
