"""The rules between fields hold to the last number, and count with what a run has."""

import math

import pytest

from hindsight_jax import networks, presets
from hindsight_jax.presets import rules


def defaults(**changes):
    """Every field's default, and a horizon, as `rules.check` wants it; no option that asks for certain rewards."""
    values = {name: field.default for name, field in presets.all_fields().items()}
    return values | {"env.horizon": 50, "agent.weighting": "none"} | changes


LINE_2 = {  # as hdm_printed has them
    "agent.next_state": "loss",
    "agent.bounded": False,
    "relabel.reward_reached": -1.0,
    "relabel.next_state": 0.0,
}


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ({"seed": 2**31 - 4, "seeds": 4}, {"seed": 2**31 - 3}),
        ({"replay.capacity": 200, "replay.warmup": 200}, {"replay.warmup": 201}),
        ({"replay.capacity": 200, "replay.warmup": 10, "env.num_envs": 200}, {"env.num_envs": 201}),
        ({"replay.capacity": 2**30, "env.horizon": 1}, {"env.horizon": 2}),
        (
            {"agent.updates_per_epoch": 2**20, "agent.batch_size": 2**10, "total_steps": 10_050},
            {"agent.batch_size": 2**11},
        ),
        ({"replay.warmup": 10, "env.horizon": 50, "env.num_envs": 2, "total_steps": 600}, {"total_steps": 599}),
        ({"total_steps": 2**31 - 48, "env.horizon": 50, "env.num_envs": 1}, {"total_steps": 2**31 - 47}),
        ({"agent.logsumexp_weight": 0.1, "agent.batch_size": 2}, {"agent.batch_size": 1}),
        ({"agent.bounded": False, "relabel.reward_reached": 1.0}, {"agent.bounded": True}),
        ({"agent.hindsight_bound": False, "relabel.reward_otherwise": -0.5}, {"agent.hindsight_bound": True}),
        (LINE_2 | {"agent.gamma_hdm": 1.0}, {"agent.gamma_hdm": 1.5}),
        (LINE_2, {"agent.gamma_hdm": math.inf}),
        (LINE_2, {"relabel.reward_reached": 0.0}),
        (LINE_2, {"relabel.next_state": 0.2}),
        (LINE_2, {"agent.bounded": True}),
        ({"agent.beta": 0.5}, {"relabel.reward_otherwise": -2.0}),
        ({"agent.beta": 2.0}, {"relabel.rewards": "success"}),
        ({"relabel.rewards": "success", "relabel.behaviour": 1.0}, {"relabel.rewards": "index"}),
        (
            {"agent.hindsight_bound": True, "relabel.absorbing": True, "agent.beta": 1.0},
            {"agent.beta": 1.5},
        ),
        ({"agent.hindsight_bound": True}, {"relabel.rewards": "success"}),
        ({"agent.bounded": False, "relabel.reward_otherwise": -2.0}, {"agent.weighting": "progress"}),
        ({"agent.bounded": False, "agent.weighting": "advantage"}, {"relabel.reward_otherwise": 0.0}),
        ({"agent.gate": "progress"}, {"relabel.reward_otherwise": -2.0}),
        ({"agent.imitation": "progress"}, {"relabel.reward_reached": -0.5}),
        ({"agent.imitation": "progress", "agent.beta": 1.0}, {"agent.beta": 1.5}),
        ({"agent.hindsight_bound": True}, {"agent.backup": "mellow"}),
        ({"agent.hindsight_bound": False, "agent.backup": "mellow"}, {"agent.hindsight_bound": True}),
        ({"agent.clip_targets": True, "agent.gamma": 0.999}, {"agent.gamma": 1.0}),
        ({"agent.clip_targets": False, "agent.gamma": 1.0}, {"agent.clip_targets": True}),
        ({"agent.group_size": 5, "env.num_envs": 10}, {"agent.group_size": 4}),
    ],
)
def test_rules_between_fields_hold_to_the_last_number(good, bad):
    rules.check(defaults(**good))
    with pytest.raises(ValueError, match=r"^[a-z._ ]+: got .*, but .*\. .*\.$"):
        rules.check(defaults(**good | bad))


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ({"imitates": True}, {"relabel.behaviour": 0.0}, {"relabel.behaviour": 0.1}),
        ({"imitates": True}, {"relabel.behaviour": 0.0}, {"relabel.law": "episode"}),
        ({"random": True}, {"agent.hindsight_bound": False}, {"agent.hindsight_bound": True}),
    ],
)
def test_rules_of_an_agent_that_imitates_and_of_random_dynamics(kind, good, bad):
    rules.check(defaults(**good | bad))
    rules.check(defaults(**good), **kind)
    with pytest.raises(ValueError, match=r"^[a-z._ ]+: got .*, but .*\. .*\.$"):
        rules.check(defaults(**good | bad), **kind)


@pytest.mark.parametrize(
    "field",
    ["agent.bounded", "agent.hindsight_bound", "agent.backup", "agent.next_state", "agent.gamma_hdm", "agent.gamma"],
)
def test_an_agent_need_not_have_the_fields_of_another(field):
    """A user's own may declare one of them without the others."""
    config = defaults(**{"agent.clip_targets": True, "agent.hindsight_bound": True})
    del config[field]
    rules.check(config)
    del config["relabel.rewards"], config["relabel.reward_reached"], config["relabel.reward_otherwise"]
    rules.check(config)


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
    config = presets.config(name) | {"env.size": 5, "env.num_envs": 20} | good
    config |= {"replay.warmup": 20} if "replay.warmup" in config else {}
    presets.check(name, config)
    with pytest.raises(ValueError, match=message):
        presets.check(name, config | bad)


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        ({"env.pixels": 36}, {"env.pixels": 35}, r"^env\.pixels: got 35, but it must be 0, or at least 36"),
        # 47 pixels leave 10, 4 and then 2 places a side, or 1 by a stride of 2
        (
            {"env.pixels": 47, "agent.spatial_softmax": True},
            {"agent.last_stride": 2},
            r"^agent\.spatial_softmax: .* 47 pixels leave 1 x 1",
        ),
        ({"agent.spatial_softmax": False, "agent.last_stride": 2}, {"agent.spatial_softmax": True}, "leave 1 x 1"),
    ],
)
def test_an_image_leaves_places_for_its_encoder(good, bad, message):
    config = presets.config("hem_sawyer_reach_pixels") | good
    presets.check("hem_sawyer_reach_pixels", config)
    with pytest.raises(ValueError, match=message):
        presets.check("hem_sawyer_reach_pixels", config | bad)


def test_the_least_pixels_of_two_places_are_the_encoder_s():
    for stride, least in rules.TWO_PLACES.items():
        places = lambda pixels: networks.ImageEncoder(stride).sides(pixels)[-1]  # noqa: B023
        assert (places(least - 1), places(least)) == (1, 2)
