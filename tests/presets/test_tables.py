"""The tables: which names there are, what defines each algorithm, and the papers' numbers to the letter."""

import hashlib
import json

import pytest
from named_runs import BRAX, CONTINUOUS_FIRST, DDPG, DISCRETE_ONLY, EVERY_NAME, HDM_TASKS, IMAGES, PAPER, SEEN, TABLE_1

from hindsight_jax import fields, presets

# sha256 of each task's configs, its first 16 digits: a change of a table shows here, and must be one that was meant.
#   cd tests/presets; PYTHONPATH=../support python -c "import test_tables as t; print(*map(t.digest, t.DIGESTS))"
DIGESTS = {
    "claw": "68e27b82b51a3c32",
    "door": "e0e530f6c876ec6f",
    "fetch_reach": "afb30e4f6514ca9e",
    "flip_bit": "004a11d5b353d516",
    "four_rooms": "7ffb42f610b4d074",
    "grid_four_rooms": "bc4e5a73dc02a3a6",
    "lunar_lander": "555a64a70c954abf",
    "navigation": "1278c7698cfd11be",
    "point_mass": "aabe0d46023abed8",
    "push": "65dbfc947c27c3ad",
    "reacher": "443005496a597229",
    "sawyer_reach": "54545b6392eb072d",
    "fetch_reach_pixels": "9503e7a20f97bdbf",
    "sawyer_reach_pixels": "054d351472cb25a2",
    "point_mass_pixels": "98586512daaf73b5",
    "reacher_pixels": "ccc4a11b15c99d85",
    "push_pixels": "14ba24a5eadc442a",
    "brax_reacher": "f1d5ce4c05c8361c",
    "brax_pusher": "cdde5bb83de0eea6",
    "brax_ant": "5ff4332be3ffa22d",
    "brax_humanoid": "09f567b95da8c7fb",
    "four_rooms_pixels": "a9a44212f01dc551",
}


def digest(task):
    """Of every value of every name with this task."""
    names = [name for name in presets.names() if presets.split(name)[1] == task]
    configs = {name: {field: repr(value) for field, value in presets.config(name).items()} for name in names}
    return hashlib.sha256(json.dumps(configs, sort_keys=True).encode()).hexdigest()[:16]


@pytest.mark.parametrize("task", DIGESTS)
def test_no_config_changes_unseen(task):
    assert digest(task) == DIGESTS[task]


def test_names_are_the_pairs_that_fit_and_the_papers_schedules():
    assert sorted(presets.names()) == sorted(EVERY_NAME)
    assert len(set(presets.names())) == len(EVERY_NAME) == 532


# Values

NETWORK = ("learning_rate", "hidden_sizes", "layer_norm")
AGENT_FIELDS = {
    "q_learning": (
        *NETWORK, "gamma", "epsilon", "target_rate", "target_period", "scale_inputs", "backup", "imitation",
        "next_state", "bounded", "hindsight_bound", "evaluated", "batch_size", "updates_per_epoch",
    ),
    "imitation": (
        *NETWORK, "epsilon", "exploration", "acting", "averaging", "scale_inputs", "batch_size", "updates_per_epoch",
    ),
    "actor_critic": (
        *NETWORK, "gamma", "epsilon", "noise", "target_rate", "target_period", "normalise_inputs", "clip_targets",
        "action_l2", "num_critics", "smooth_targets", "policy_period", "gate", "scale_q", "batch_size",
        "updates_per_epoch",
    ),
    "implicit_value": (
        *NETWORK, "gamma", "epsilon", "target_rate", "target_period", "expectile", "scale_inputs", "weighting",
        "num_values", "bounded", "hindsight_bound", "exploration", "batch_size", "updates_per_epoch",
    ),
    "soft_actor_critic": (
        *NETWORK, "gamma", "target_rate", "target_period", "target_entropy", "initial_temperature", "scale_inputs",
        "batch_size", "updates_per_epoch",
    ),
    "contrastive": (
        *NETWORK, "logsumexp_weight", "target_entropy", "initial_temperature", "scale_inputs", "representation_size",
        "symmetric", "batch_size", "updates_per_epoch",
    ),
    "policy_gradient": (
        *NETWORK, "epsilon", "scale_inputs", "goals", "baseline", "activation", "first_weights",
    ),
    "density_ratio": (
        *NETWORK, "epsilon", "scale_inputs", "family", "num_others", "batch_size", "updates_per_epoch",
    ),
}  # fmt: skip
ENV_FIELDS = {
    **dict.fromkeys((*HDM_TASKS, *CONTINUOUS_FIRST), ("num_envs", "actions", "bins", "horizon", "threshold")),
    "lunar_lander": ("num_envs", "actions", "horizon", "threshold"),
    "flip_bit": ("num_envs", "size", "horizon", "start"),
    "navigation": ("num_envs", "actions", "size", "horizon", "threshold"),
    "grid_four_rooms": ("num_envs", "horizon", "slip"),
    **dict.fromkeys(BRAX, ("num_envs", "backend", "horizon", "threshold")),
}
ENV_FIELDS |= {image: ENV_FIELDS[task] for image, task in zip(IMAGES, SEEN, strict=True)}
OF_IMAGES = {"env.frames", "env.goals", "agent.last_stride", "agent.spatial_softmax"}
EVERY_RUN = (
    "seed", "seeds", "total_steps", "evaluation.episodes", "evaluation.every", "checkpoint.seconds", "checkpoint.keep",
    "on_nan",
)  # fmt: skip
RING = ("replay.capacity", "replay.warmup")
LAW = ("relabel.behaviour", "relabel.next_state", "relabel.law", "relabel.preference", "relabel.num_candidates")
REWARDS = ("relabel.rewards", "relabel.reward_reached", "relabel.reward_otherwise", "relabel.absorbing")
IMITATION = ("agent.gamma_hdm", "agent.beta", "agent.imitation_weight")
BACKED_UP = ("relabel.discount", "agent.gamma", "agent.target_rate", "agent.target_period")
OWN_FIELDS = {  # of an algorithm, beside those of all that have its kind of agent
    "hdm": IMITATION,
    "hdm_printed": IMITATION,
    "her_hbc": IMITATION[1:],
    "hdm_progress": (*IMITATION[1:], "agent.progress"),
    "td3_her": ("agent.target_noise", "agent.target_noise_clip"),
    "hdm_ac": (
        "agent.target_noise", "agent.target_noise_clip", "agent.q_weight", "agent.beta", "agent.progress",
        "agent.hindsight_bound",
    ),
    "wgcsl": ("agent.q_weight", "agent.beta", "agent.percentile_rate"),
    "hdm_v": ("agent.progress",),
    "gcivl": ("agent.advantage_scale",),
    "her_sql": ("agent.temperature",),
    **dict.fromkeys(("hpg", "hpg_baseline"), ("agent.group_size",)),
    "f_divergence": (*BACKED_UP, "agent.f", "agent.temperature", "agent.largest_ratio"),
    "nce": ("relabel.discount", "agent.noise_ratio"),
    "energy_based": (*BACKED_UP, "agent.normaliser_weight"),
}  # fmt: skip
DATA_FIELDS = {
    "q_learning": (*RING, *LAW, *REWARDS),
    "imitation": (*RING, *LAW),
    "actor_critic": (*RING, *LAW, *REWARDS),
    "implicit_value": (*RING, *LAW, *REWARDS),
    "soft_actor_critic": (*RING, *LAW, *REWARDS),
    "contrastive": (*RING, *LAW),
    "policy_gradient": (),
    "density_ratio": (*RING, *LAW),
}


def test_a_name_has_the_fields_that_its_agent_and_its_task_read():
    for name in EVERY_NAME:
        algorithm, task, paper = presets.split(name)
        kind = presets.ALGORITHMS[algorithm].agent
        expected = {*EVERY_RUN, *(f"agent.{field}" for field in AGENT_FIELDS[kind]), *DATA_FIELDS[kind]}
        expected |= {"agent.num_goals"} if algorithm.startswith("hpg") and not paper else set()
        expected |= {*OWN_FIELDS.get(algorithm, ()), *(f"env.{field}" for field in ENV_FIELDS[task])}
        prefers = presets.ALGORITHMS[algorithm].actions[0]
        continuous = task in BRAX or (prefers == "continuous" and task not in DISCRETE_ONLY)
        expected -= {"env.bins"} if continuous else set()
        expected |= {"relabel.discount"} if algorithm == "crl" else set()
        expected |= {"env.pixels"} if presets.AGENTS[kind].images else set()
        expected |= OF_IMAGES if task in IMAGES else set()
        expected |= {"agent.noise", "agent.std"} if continuous and kind in ("imitation", "implicit_value") else set()
        assert set(presets.fields_of(name)) == expected, name


def test_every_value_is_in_range_of_its_type_and_fits_the_others():
    for name in EVERY_NAME:
        config, known = presets.config(name), presets.fields_of(name)
        assert all(type(config[field]) is type(known[field].default) for field in known), name
        assert presets.complete(name, config) == config, name


def every_part():
    """(where, values) of whatever a name's config is put together from."""
    for algorithm, entry in presets.ALGORITHMS.items():
        yield algorithm, entry.config
        yield f"{algorithm}'s schedule", entry.schedule
    for environment, schedule in presets.SCHEDULES.items():
        yield f"the schedule of {environment}", schedule
    for environment, task in presets.ENVIRONMENTS.items():
        yield environment, task.config
        yield f"{environment} in HDM", task.hdm
        yield f"{environment} in hEM", task.hem
        for part, changes in presets.TUNED.get(environment, {}).items():
            yield f"{part} on {environment}", changes


def test_the_tables_hold_known_fields_in_their_type_and_range():
    known = presets.all_fields()
    for where, part in every_part():
        for field, value in part.items():
            assert repr(fields.checked(field, known[field], value)) == repr(value), (where, field)


# Definitions of the algorithms, from their papers

FUTURE = {"relabel.behaviour": 0.0, "relabel.next_state": 0.0}  # uniform over the future, always
FOUR_OF_FIVE = {"relabel.behaviour": 0.2, "relabel.next_state": 0.0, "relabel.rewards": "success"}  # k = 4
MINUS = {"relabel.rewards": "index", "relabel.reward_reached": 0.0, "relabel.reward_otherwise": -1.0}
ZERO_ONE = {"relabel.reward_reached": 1.0, "relabel.reward_otherwise": 0.0}
DENSE = {"relabel.reward_reached": 0.0, "relabel.reward_otherwise": -1.0, "agent.clip_targets": True}
TWINS = {"agent.num_critics": 2, "agent.smooth_targets": True, "agent.policy_period": 2, "agent.clip_targets": True}
TD = {"agent.backup": "double", "agent.imitation": "none", "agent.bounded": True}
LINE_2 = {"agent.imitation": "indicator", "agent.next_state": "loss", "agent.backup": "max", "agent.bounded": False}
GEOMETRIC = FUTURE | {"relabel.law": "geometric"}
DEFINED = {
    "hdm": ("q_learning", MINUS | TD | {"agent.imitation": "indicator"}),
    "hdm_progress": ("q_learning", MINUS | TD | {"agent.imitation": "progress"}),
    "hdm_printed": ("q_learning", MINUS | FUTURE | LINE_2 | {"relabel.reward_reached": -1.0}),
    "her": ("q_learning", MINUS | TD),
    "her_01": ("q_learning", ZERO_ONE | TD | {"relabel.rewards": "index", "agent.bounded": False}),
    "her_sql": ("q_learning", MINUS | TD | {"agent.backup": "mellow"}),
    "her_hbc": ("q_learning", MINUS | TD | {"agent.imitation": "always"}),
    "f_divergence": ("density_ratio", GEOMETRIC | {"agent.family": "f_divergence"}),
    "nce": ("density_ratio", GEOMETRIC | {"agent.family": "nce"}),
    "energy_based": ("density_ratio", GEOMETRIC | {"agent.family": "energy"}),
    "gcsl": ("imitation", {"relabel.behaviour": 0.0, "relabel.law": "future"}),
    "hem": ("imitation", FUTURE),
    "her_ddpg": ("actor_critic", FOUR_OF_FIVE | ZERO_ONE | {"agent.clip_targets": False}),
    "her_ddpg_clipped": ("actor_critic", FOUR_OF_FIVE | ZERO_ONE | {"agent.clip_targets": True}),
    "her_ddpg_dense": (
        "actor_critic",
        FOUR_OF_FIVE | DENSE,
    ),
    "td3_her": ("actor_critic", FOUR_OF_FIVE | DENSE | TWINS),
    "hdm_ac": ("actor_critic", MINUS | TWINS | {"agent.gate": "progress", "agent.scale_q": True}),
    "wgcsl": ("actor_critic", FOUR_OF_FIVE | DENSE | {"agent.gate": "wgcsl", "agent.q_weight": 0.0}),
    "hdm_v": ("implicit_value", MINUS | {"agent.weighting": "progress"}),
    "gcivl": ("implicit_value", MINUS | {"agent.weighting": "advantage", "agent.num_values": 2}),
    "sac_her": (
        "soft_actor_critic",
        FOUR_OF_FIVE | {name: value for name, value in DENSE.items() if name != "agent.clip_targets"},
    ),
    "crl": ("contrastive", FUTURE | {"relabel.law": "geometric", "relabel.discount": 0.99}),
    "hpg": ("policy_gradient", {"agent.baseline": False}),
    "hpg_baseline": ("policy_gradient", {"agent.baseline": True}),
    "reinforce": ("policy_gradient", {"agent.goals": "own", "agent.baseline": False}),
}


def test_the_table_has_every_algorithm_with_its_agent():
    agents = {algorithm: entry.agent for algorithm, entry in presets.ALGORITHMS.items()}
    assert agents == {algorithm: kind for algorithm, (kind, _) in DEFINED.items()}
    assert set(presets.AGENTS) == set(agents.values())


def test_law_rewards_and_loss_are_the_algorithms_on_every_task_and_in_both_schedules():
    for name in EVERY_NAME:
        config, (_, expected) = presets.config(name), DEFINED[presets.split(name)[0]]
        if name.endswith("four_rooms_paper") and "agent.bounded" in expected:
            expected = expected | {"agent.bounded": False}  # as HDM's script for this task alone
        assert {field: config[field] for field in expected} == expected, name


# Schedules: HDM's Table 2 and released code

SCHEDULE = {
    "agent.hidden_sizes": (400, 300),
    "agent.learning_rate": 5e-4,
    "agent.batch_size": 256,
    "agent.gamma": 0.98,
    "agent.target_rate": 0.005,
    "agent.target_period": 10,
    "agent.updates_per_epoch": 50,
    "agent.beta": 1.0,
    "agent.imitation_weight": 1.0,
    "agent.temperature": 0.2,
    "agent.layer_norm": False,
    "agent.scale_inputs": False,
    "agent.next_state": "relabel",
    "agent.hindsight_bound": False,
    "agent.evaluated": "online",
    "env.num_envs": 1,
    "env.actions": "discrete",
    "env.bins": 3,
    "env.horizon": 0,  # its own: 50
    "replay.warmup": 200,
    "relabel.behaviour": 0.15,
    "relabel.law": "future",
    "relabel.preference": 0.0,
    "relabel.absorbing": False,  # the released code always bootstraps
    "evaluation.episodes": 200,
}
OURS = {  # what the paper does not say, or what changes no number of its curve
    "env.pixels",
    "seed",
    "seeds",
    "agent.acting",
    "agent.averaging",
    "replay.capacity",
    "checkpoint.seconds",
    "checkpoint.keep",
    "on_nan",
    "evaluation.every",
    "relabel.num_candidates",
}
# Of each task: steps, gamma_hdm, share of next-state goals, epsilon, and the threshold.
TABLE_FIELDS = ("total_steps", "agent.gamma_hdm", "relabel.next_state", "agent.epsilon", "env.threshold")
TABLE_NUMBERS = {
    "four_rooms": (200_000, 0.85, 0.2, 0.1, 0.08),
    "lunar_lander": (200_000, 0.85, 0.5, 0.1, 0.08),
    "push": (1_000_000, 0.5, 0.6, 0.2, 0.05),
    "door": (1_000_000, 0.4, 0.6, 0.2, 0.05),
    "claw": (1_000_000, 0.5, 0.2, 0.2, 0.1),
}


@pytest.mark.parametrize("algorithm", TABLE_1)
def test_hdms_schedules_are_the_papers_or_the_released_codes(algorithm):
    """GCSL's too: HDM's numbers and share of next-state goals, with the mode of its own policy to explore from."""
    definition = DEFINED[algorithm][1] | ({"agent.exploration": "mode"} if algorithm == "gcsl" else {})
    for task, numbers in TABLE_NUMBERS.items():
        name = f"{algorithm}_{task}_paper"
        config = presets.config(name)
        schedule = SCHEDULE | dict(zip(TABLE_FIELDS, numbers, strict=True))
        schedule = {field: value for field, value in schedule.items() if field in config} | definition
        if task == "four_rooms" and "agent.bounded" in schedule:
            schedule["agent.bounded"] = False
        assert {field: config[field] for field in schedule} == schedule, name
        assert set(config) - set(schedule) <= OURS, name
        assert presets.horizon(name, config) == 50
        assert config["agent.updates_per_epoch"] == config["env.num_envs"] * 50  # one per env step
        assert config["replay.capacity"] * 50 >= config["total_steps"]  # nothing is overwritten


# hEM's, which its paper does not publish in full, and those of the implementation that came with HER.
HEM_SCHEDULE = {
    "env.num_envs": 20,
    "agent.updates_per_epoch": 40,
    "agent.batch_size": 256,
    "agent.learning_rate": 1e-3,
    "agent.noise": 0.5,
    "agent.hidden_sizes": (256, 256, 256),
}
DDPG_SCHEDULE = {
    "agent.hidden_sizes": (256, 256, 256),
    "agent.learning_rate": 1e-3,
    "agent.gamma": 0.98,
    "agent.target_rate": 0.05,
    "agent.target_period": 40,
    "agent.batch_size": 256,
    "agent.updates_per_epoch": 40,
    "env.num_envs": 16,
    "agent.noise": 0.2,
    "agent.epsilon": 0.3,
    "agent.action_l2": 1.0,
    "agent.normalise_inputs": True,
}


SHARED = (  # by all algorithms of a task that have the field
    "total_steps", "evaluation.every", "agent.hidden_sizes", "agent.learning_rate", "agent.scale_inputs",
    "agent.batch_size", "agent.updates_per_epoch", "env.num_envs", "replay.warmup",
)  # fmt: skip


def test_all_algorithms_of_a_task_share_one_schedule():
    """On policy a collection is the batch, so its size is the algorithm's own."""
    for task in presets.ENVIRONMENTS:
        names = [name for name in EVERY_NAME if presets.split(name)[1:] == (task, False)]
        for field in SHARED:
            ring = [name for name in names if field != "env.num_envs" or "replay.capacity" in presets.fields_of(name)]
            values = {presets.config(name)[field] for name in ring if field in presets.fields_of(name)}
            assert len(values) == 1, (task, field, values)


@pytest.mark.parametrize("algorithm", ["hem", *DDPG])
def test_hems_schedules_have_the_numbers_that_we_chose_for_the_paper(algorithm):
    expected = HEM_SCHEDULE if algorithm == "hem" else DDPG_SCHEDULE
    for name in [name for name in PAPER if presets.split(name)[0] == algorithm]:
        config, numbers = presets.config(name), dict(expected)
        task = presets.split(name)[1]
        if task in DISCRETE_ONLY:
            del numbers["agent.noise"]
        if task in IMAGES:
            numbers |= {"env.pixels": 48, "env.frames": 1, "env.goals": "state", "agent.last_stride": 2}
        if name in ("hem_fetch_reach_pixels_paper", "hem_reacher_pixels_paper"):
            numbers["env.num_envs"] = 80
        assert {field: config[field] for field in numbers} == numbers, name
