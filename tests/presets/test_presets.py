"""The rows: names, what defines them, the papers' numbers to the letter, lengths, and what members may differ in."""

import inspect
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hindsight_jax import agents, fields, presets, training, types

TABLE_1 = ("hdm", "her", "her_01", "her_sql", "her_hbc", "gcsl")  # HDM's paper: its method and its baselines
HEM = ("hem", "hpg", "hpg_baseline", "reinforce")  # hEM's, on any kind of action
DDPG = ("her_ddpg", "her_ddpg_clipped", "her_ddpg_dense")  # hEM's, continuous
HDM_TASKS = ("four_rooms", "lunar_lander", "push", "door", "claw")  # its Table 1
HEM_TASKS = ("flip_bit", "navigation", "point_mass", "reacher", "fetch_reach", "sawyer_reach", "grid_four_rooms")
DISCRETE_ONLY = ("flip_bit", "grid_four_rooms")
CONTINUOUS_FIRST = [task for task in HEM_TASKS if task not in DISCRETE_ONLY]
EVERY_NAME = (
    *(f"{algorithm}_{task}{schedule}" for algorithm in TABLE_1 for task in HDM_TASKS for schedule in ("", "_paper")),
    *(f"{algorithm}_{task}" for algorithm in TABLE_1 for task in HEM_TASKS),
    *(f"{algorithm}_{task}" for algorithm in (*HEM, *DDPG) for task in HDM_TASKS),
    *(f"{algorithm}_{task}{schedule}" for algorithm in HEM for task in HEM_TASKS for schedule in ("", "_paper")),
    *(
        f"{algorithm}_{task}{schedule}"
        for algorithm in DDPG
        for task in CONTINUOUS_FIRST
        for schedule in ("", "_paper")
    ),
)
PAPER = tuple(name for name in EVERY_NAME if name.endswith("_paper"))
MISFITS = tuple(f"{algorithm}_{task}" for algorithm in DDPG for task in DISCRETE_ONLY)
NO_PAPER = (
    *(f"{algorithm}_{task}" for algorithm in TABLE_1 for task in HEM_TASKS),
    *(f"{algorithm}_{task}" for algorithm in (*HEM, *DDPG) for task in HDM_TASKS),
)
SMALL = {
    "replay.warmup": 2,
    "replay.capacity": 4,
    "env.num_envs": 1,
    "env.horizon": 3,
    "agent.hidden_sizes": (2,),
    "agent.batch_size": 2,
    "agent.updates_per_epoch": 1,
    "evaluation.episodes": 1,
}


def small(name="hdm_push", **overrides):
    return presets.build(name, presets.config(name) | SMALL | overrides)


@pytest.fixture(scope="module")
def preferring():
    """A run whose preference is on."""
    return small(**{"relabel.preference": 0.7, "relabel.num_candidates": 5})


@pytest.fixture(scope="module")
def plain():
    """A run whose preference is off."""
    return small()


@pytest.fixture
def given(monkeypatch):
    """What `make_run` is given, by name."""
    found, make_run = {}, training.make_run

    def spy(env, agent, ring, law, reward_fn, schedule, preference):
        found.update(ring=ring, law=law, reward_fn=reward_fn, schedule=schedule, preference=preference)
        return make_run(env, agent, ring, law, reward_fn, schedule, preference)

    monkeypatch.setattr(training, "make_run", spy)
    return found


# Names


def test_names_are_the_pairs_that_fit_and_the_papers_schedules():
    assert sorted(presets.names()) == sorted(EVERY_NAME)
    assert len(set(presets.names())) == len(EVERY_NAME)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("hdm_push", ("hdm", "push", False)),
        ("hdm_push_paper", ("hdm", "push", True)),
        ("her_push", ("her", "push", False)),
        ("her_01_push_paper", ("her_01", "push", True)),
        ("her_hbc_push", ("her_hbc", "push", False)),
        ("her_ddpg_dense_navigation_paper", ("her_ddpg_dense", "navigation", True)),
        ("hpg_grid_four_rooms", ("hpg", "grid_four_rooms", False)),
        ("hpg_baseline_flip_bit_paper", ("hpg_baseline", "flip_bit", True)),
    ],
)
def test_a_name_is_split_where_its_parts_meet(name, parts):
    assert presets.split(name) == parts


READERS = (presets.split, presets.config, presets.describe, presets.fields_of)


@pytest.mark.parametrize(
    "name", ["", "hdm", "push", "hdm_push_", "hdm_push_paper_paper", "HDM_push", "hdm-push", "_paper", "hem_two_rooms"]
)
def test_unknown_names_are_refused(name):
    for function in READERS:
        with pytest.raises(ValueError, match=rf"^name: got '{name}', but there is no such name\. .*--list\.$"):
            function(name)


@pytest.mark.parametrize("name", MISFITS)
@pytest.mark.parametrize("schedule", ["", "_paper"])
def test_pairs_that_do_not_fit_are_refused_with_the_reason(name, schedule):
    algorithm, task = name.split("_flip")[0].split("_grid")[0], "flip_bit" if "flip" in name else "grid_four_rooms"
    rule = f"{algorithm} needs continuous actions and {task} has discrete ones"
    for function in (*READERS, lambda name: presets.build(name, {})):
        with pytest.raises(ValueError, match=rf"^name: got '{name}{schedule}', but {rule}\. Take another"):
            function(f"{name}{schedule}")


@pytest.mark.parametrize("name", NO_PAPER)
def test_a_pair_that_no_paper_has_has_no_schedule_of_a_paper(name):
    with pytest.raises(ValueError, match=rf"^name: got '{name}_paper', but no paper has the pair.* Take {name}\.$"):
        presets.split(f"{name}_paper")


def test_each_name_has_a_line_of_help_of_its_own():
    lines = {name: presets.describe(name) for name in EVERY_NAME}
    assert len(set(lines.values())) == len(lines)
    for name, line in lines.items():
        algorithm, task, paper = presets.split(name)
        assert line.startswith(f"{presets.ENVIRONMENTS[task].help}: {presets.ALGORITHMS[algorithm].help}")
        assert ("to the letter" in line) == paper
        assert line.isprintable()


# Fields

EVERY_RUN = (
    "seed",
    "seeds",
    "total_steps",
    "evaluation.episodes",
    "evaluation.every",
    "checkpoint.seconds",
    "checkpoint.keep",
    "on_nan",
)
NETWORK = ("learning_rate", "hidden_sizes", "layer_norm")
AGENT_FIELDS = {
    "q_learning": (
        *NETWORK, "gamma", "gamma_hdm", "beta", "epsilon", "target_rate", "target_period", "temperature",
        "scale_inputs", "backup", "imitation", "next_state", "bounded", "hindsight_bound", "evaluated", "batch_size",
        "updates_per_epoch",
    ),
    "imitation": (
        *NETWORK, "epsilon", "noise", "exploration", "scale_inputs", "batch_size", "updates_per_epoch",
    ),
    "actor_critic": (
        *NETWORK, "gamma", "epsilon", "noise", "target_rate", "target_period", "normalise_inputs", "clip_targets",
        "action_l2", "batch_size", "updates_per_epoch",
    ),
    "policy_gradient": (*NETWORK, "epsilon", "scale_inputs", "goals", "num_goals", "group_size", "baseline"),
}  # fmt: skip
ENV_FIELDS = {
    **dict.fromkeys((*HDM_TASKS, *CONTINUOUS_FIRST), ("num_envs", "actions", "bins", "horizon", "threshold")),
    "lunar_lander": ("num_envs", "actions", "horizon", "threshold"),
    "flip_bit": ("num_envs", "size", "horizon", "start"),
    "navigation": ("num_envs", "actions", "size", "horizon", "threshold"),
    "grid_four_rooms": ("num_envs", "horizon", "slip"),
}
RING = ("replay.capacity", "replay.warmup")
LAW = ("relabel.behaviour", "relabel.next_state", "relabel.preference", "relabel.num_candidates")
REWARDS = ("relabel.rewards", "relabel.reward_reached", "relabel.reward_otherwise")
DATA_FIELDS = {
    "q_learning": (*RING, *LAW, *REWARDS),
    "imitation": (*RING, *LAW),
    "actor_critic": (*RING, *LAW, *REWARDS),
    "policy_gradient": (),
}


@pytest.mark.parametrize("name", EVERY_NAME)
def test_a_name_has_the_fields_that_its_agent_and_its_task_read(name):
    algorithm, task, _ = presets.split(name)
    kind = presets.ALGORITHMS[algorithm].agent
    expected = {*EVERY_RUN, *(f"agent.{field}" for field in AGENT_FIELDS[kind]), *DATA_FIELDS[kind]}
    expected |= {f"env.{field}" for field in ENV_FIELDS[task]}
    assert set(presets.fields_of(name)) == expected
    assert list(presets.config(name)) == [field for field in fields.FIELDS if field in expected]


def test_every_field_belongs_to_a_name():
    assert {field for name in EVERY_NAME for field in presets.fields_of(name)} == set(fields.FIELDS)


@pytest.mark.parametrize("name", EVERY_NAME)
def test_every_value_is_in_range_of_its_type_and_fits_the_others(name):
    values = presets.config(name)
    for field, value in values.items():
        assert type(value) is type(fields.FIELDS[field].default), field
        assert fields.checked(field, value) == value
    presets.check(name, values)


def every_part():
    """(where, values) of whatever a name's values are put together from."""
    for algorithm, row in presets.ALGORITHMS.items():
        yield algorithm, row.values
        yield f"{algorithm}'s schedule", row.schedule
    for environment, task in presets.ENVIRONMENTS.items():
        yield environment, task.values
        yield f"{environment} in HDM", task.hdm
        for part, changes in presets.TUNED.get(environment, {}).items():
            yield f"{part} on {environment}", changes


@pytest.mark.parametrize(("where", "part"), [pytest.param(*pair, id=pair[0]) for pair in every_part()])
def test_the_table_holds_known_fields_in_their_type_and_range(where, part):
    for field, value in part.items():
        assert repr(fields.checked(field, value)) == repr(value), (where, field)


def test_two_configs_share_nothing():
    presets.config("hdm_push")["agent.gamma"] = 0.0
    assert presets.config("hdm_push")["agent.gamma"] == 0.98


# What defines an algorithm: ALGORITHMS.md, section 1

FUTURE = {"relabel.behaviour": 0.0, "relabel.next_state": 0.0}  # uniform over the future, always
FOUR_OF_FIVE = {"relabel.behaviour": 0.2, "relabel.next_state": 0.0, "relabel.rewards": "success"}  # k = 4
MINUS = {"relabel.rewards": "index", "relabel.reward_reached": 0.0, "relabel.reward_otherwise": -1.0}
ZERO_ONE = {"relabel.reward_reached": 1.0, "relabel.reward_otherwise": 0.0}
TD = {"agent.backup": "double", "agent.imitation": "none", "agent.bounded": True}
DEFINED = {
    "hdm": ("q_learning", MINUS | TD | {"agent.imitation": "indicator"}),
    "her": ("q_learning", MINUS | TD),
    "her_01": ("q_learning", ZERO_ONE | TD | {"relabel.rewards": "index", "agent.bounded": False}),
    "her_sql": ("q_learning", MINUS | TD | {"agent.backup": "mellow"}),
    "her_hbc": ("q_learning", MINUS | TD | {"agent.imitation": "always"}),
    "gcsl": ("imitation", FUTURE),
    "hem": ("imitation", FUTURE),
    "her_ddpg": ("actor_critic", FOUR_OF_FIVE | ZERO_ONE | {"agent.clip_targets": False}),
    "her_ddpg_clipped": ("actor_critic", FOUR_OF_FIVE | ZERO_ONE | {"agent.clip_targets": True}),
    "her_ddpg_dense": (
        "actor_critic",
        FOUR_OF_FIVE | {"relabel.reward_reached": 0.0, "relabel.reward_otherwise": -1.0, "agent.clip_targets": True},
    ),
    "hpg": ("policy_gradient", {"agent.goals": "visited", "agent.baseline": False}),
    "hpg_baseline": ("policy_gradient", {"agent.goals": "visited", "agent.baseline": True}),
    "reinforce": ("policy_gradient", {"agent.goals": "own", "agent.baseline": False}),
}


def test_the_table_has_every_algorithm():
    assert set(presets.ALGORITHMS) == set(DEFINED)
    assert {algorithm: row.agent for algorithm, row in presets.ALGORITHMS.items()} == {
        algorithm: kind for algorithm, (kind, _) in DEFINED.items()
    }


@pytest.mark.parametrize("name", EVERY_NAME)
def test_law_rewards_and_loss_are_the_algorithms_on_every_task_and_in_both_schedules(name):
    values, (_, expected) = presets.config(name), DEFINED[presets.split(name)[0]]
    assert {field: values[field] for field in expected} == expected


# ALGORITHMS.md, section 2.
SCHEDULE = {
    "agent.hidden_sizes": (400, 300),
    "agent.learning_rate": 5e-4,
    "agent.batch_size": 256,
    "agent.gamma": 0.98,
    "agent.target_rate": 0.005,
    "agent.target_period": 10,
    "agent.updates_per_epoch": 50,
    "agent.beta": 1.0,
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
    "relabel.preference": 0.0,
    "evaluation.episodes": 200,
}
OURS = {  # what the paper does not say, or what changes no number of its curve
    "seed",
    "seeds",
    "agent.noise",  # of continuous actions
    "replay.capacity",
    "checkpoint.seconds",
    "checkpoint.keep",
    "on_nan",
    "evaluation.every",
    "relabel.num_candidates",
}


# ENVIRONMENTS.md, section 1: the last four rows of its table, and the threshold.
TABLE_FIELDS = ("total_steps", "agent.gamma_hdm", "relabel.next_state", "agent.epsilon", "env.threshold")
TABLE_NUMBERS = {
    "four_rooms": (200_000, 0.85, 0.2, 0.1, 0.08),
    "lunar_lander": (200_000, 0.85, 0.5, 0.1, 0.08),
    "push": (1_000_000, 0.5, 0.6, 0.2, 0.05),
    "door": (1_000_000, 0.4, 0.6, 0.2, 0.05),
    "claw": (1_000_000, 0.5, 0.2, 0.2, 0.1),
}


@pytest.mark.parametrize("name", [name for name in PAPER if presets.split(name)[0] in TABLE_1])
def test_paper_rows_are_the_paper_to_the_letter(name):
    """GCSL too: HDM's schedule, with the mode of its own policy to explore from and its own law of goals."""
    values, (algorithm, task, _) = presets.config(name), presets.split(name)
    _, row = DEFINED[algorithm]
    row |= {"agent.exploration": "mode"} if algorithm == "gcsl" else {}
    schedule = SCHEDULE | dict(zip(TABLE_FIELDS, TABLE_NUMBERS[task], strict=True))
    schedule = {field: value for field, value in schedule.items() if field in presets.fields_of(name)}
    assert {field: values[field] for field in (*schedule, *row)} == schedule | row
    assert set(values) - set(schedule) - set(row) <= OURS
    assert presets.horizon(name, values) == 50
    assert values["agent.updates_per_epoch"] == values["env.num_envs"] * 50  # one per env step
    assert values["replay.capacity"] * 50 >= values["total_steps"]  # nothing is overwritten


# ALGORITHMS.md, section 3.7.
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


@pytest.mark.parametrize("name", [n for n in PAPER if presets.split(n)[0] in ("hem", *DDPG)])
def test_the_rows_of_hem_have_the_numbers_that_we_chose_for_the_paper(name):
    expected = HEM_SCHEDULE if name.startswith("hem") else DDPG_SCHEDULE
    values = presets.config(name)
    assert {field: values[field] for field in expected} == expected


def test_the_tasks_of_the_papers_have_their_own_horizons():
    """ENVIRONMENTS.md: K for bits, 50, 50 and 31; a horizon that was given wins."""
    horizons = dict.fromkeys((*HDM_TASKS, *HEM_TASKS), 50) | {"flip_bit": 25, "grid_four_rooms": 31}
    for task, expected in horizons.items():
        name = f"hem_{task}"
        values = presets.config(name)
        assert presets.horizon(name, values | ({"env.size": 25} if task == "flip_bit" else {})) == expected
        assert presets.horizon(name, values | {"env.horizon": 7}) == 7
    assert presets.horizon("hem_flip_bit", presets.config("hem_flip_bit") | {"env.size": 3}) == 3


@pytest.mark.parametrize("name", PAPER)
def test_tuned_rows_differ_from_the_papers_in_the_listed_fields_alone(name):
    algorithm, environment, _ = presets.split(name)
    paper, tuned = presets.config(name), presets.config(name.removesuffix("_paper"))
    row, changes = presets.ALGORITHMS[algorithm], presets.TUNED.get(environment, {})
    listed = changes.get(row.agent, {}) | changes.get(algorithm, {})
    expected = {field: value for field, value in listed.items() if field not in row.values and paper[field] != value}
    assert {field: value for field, value in tuned.items() if value != paper[field]} == expected
    assert {field: tuned[field] for field in row.values} == {field: paper[field] for field in row.values} == row.values


@pytest.mark.parametrize("environment", presets.TUNED)
def test_what_is_tuned_reaches_a_row(environment):
    """A change under a misspelt algorithm, or of a field that the rows do not have, would be dropped without a word."""
    for part, changes in presets.TUNED[environment].items():
        rows = [a for a, row in presets.ALGORITHMS.items() if part in (a, row.agent)]
        names = [f"{algorithm}_{environment}" for algorithm in rows if f"{algorithm}_{environment}" in EVERY_NAME]
        assert names, part
        for field, value in changes.items():
            assert any(presets.config(name).get(field) == value for name in names), (part, field)


def test_the_bound_of_hindsight_is_off_where_it_does_not_hold():
    """It counts rewards of -1, values of a greedy policy, and what a trajectory reached by skill, not by luck."""
    on = [name for name in EVERY_NAME if presets.config(name).get("agent.hindsight_bound")]
    assert [name for name in on if name.endswith("push")] == ["hdm_push", "her_push", "her_hbc_push"]
    assert not any(presets.split(name)[0] in ("her_01", "her_sql") for name in on)
    assert not any(presets.split(name)[1] == "grid_four_rooms" for name in on)


# What is built

SHAPES = {  # observation, goal, and outputs of a discrete head
    "four_rooms": (2, 2, 9),
    "lunar_lander": (8, 5, 4),
    "push": (4, 4, 9),
    "door": (4, 1, 27),
    "claw": (11, 2, 9 * 3),
    "point_mass": (4, 2, 9),
    "reacher": (11, 2, 9),
    "fetch_reach": (10, 3, 27),
    "sawyer_reach": (3, 3, 27),
    "flip_bit": (6, 6, 6),
    "navigation": (3, 3, 3 * 3),
    "grid_four_rooms": (2, 2, 4),
}
SIZES = {"flip_bit": {"env.size": 6}, "navigation": {"env.size": 3}}


def built(name, **overrides):
    """(values, experiment), bits and dimensions few."""
    values = presets.config(name) | SIZES.get(presets.split(name)[1], {}) | overrides
    return values, presets.build(name, values)


def kernels(params):
    """Shapes of the weights, sorted."""
    return sorted(leaf.shape for leaf in jax.tree.leaves(params) if leaf.ndim == 2)


def mlp(*sizes):
    return list(itertools.pairwise(sizes))


def quick_to_build(name):
    """Whether a name stands for the others: a physics task with one algorithm of each kind, and all else."""
    task = presets.split(name)[1]
    return task in ("push", "flip_bit", "navigation", "grid_four_rooms") or name in (
        f"hdm_{task}", f"hem_{task}", f"her_ddpg_{task}", f"hpg_{task}",
    )  # fmt: skip


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if quick_to_build(n) else [pytest.mark.seldom]) for n in EVERY_NAME]
)
def test_every_name_builds_the_network_and_the_numbers_of_its_values(name, given):
    values, experiment = built(name)
    algorithm, task, _ = presets.split(name)
    kind, hidden = presets.ALGORITHMS[algorithm].agent, values["agent.hidden_sizes"]
    spec = experiment.env.spec
    observation, goal, outputs = SHAPES[task]
    assert (spec.observation_shape, spec.goal_shape) == ((observation,), (goal,))
    assert spec.horizon == presets.horizon(name, values)
    assert "env.threshold" not in values or spec.threshold == values["env.threshold"]
    discrete = values.get("env.actions", "discrete") == "discrete"
    assert isinstance(spec.action, types.Discrete if discrete else types.Box)
    outputs = outputs if discrete else spec.action.num_dims
    inputs = observation + goal
    expected = mlp(inputs, *hidden, outputs)
    if kind == "actor_critic":
        expected += mlp(inputs + outputs, *hidden, 1)
    if values.get("agent.baseline"):
        expected += mlp(inputs, *hidden, 1)
    state = jax.eval_shape(experiment.agent.init, jax.random.key(0))
    assert type(state) is STATES[kind]
    assert kernels(state.params) == sorted(expected)
    assert set(state.values._fields) <= {field.removeprefix("agent.") for field in values}
    on_policy = kind == "policy_gradient"
    assert experiment.agent.batch == ("trajectories" if on_policy else "transitions")
    assert (given["law"] is None) == on_policy
    assert (given["preference"] is None) == (values.get("relabel.preference", 0) == 0)
    steps, kept = spec.horizon, values.get("replay.capacity", values["env.num_envs"])
    assert given["ring"].capacity == kept
    assert experiment.num_bytes_of_ring >= kept * 4 * ((steps + 1) * inputs + steps * spec.action.num_dims + goal)


STATES = {
    "q_learning": agents.QLearningState,
    "imitation": agents.ImitationState,
    "actor_critic": agents.ActorCriticState,
    "policy_gradient": agents.PolicyGradientState,
}


@pytest.mark.parametrize(
    "name",
    ["hdm_navigation", "gcsl_flip_bit", "hem_grid_four_rooms", "her_ddpg_navigation", "hpg_baseline_flip_bit"],
)
def test_an_epoch_leaves_the_state_as_it_was_built(name):
    """Ring, law and preference included: shapes alone, nothing is computed."""
    values, experiment = built(name)
    state = jax.eval_shape(experiment.run.init, jax.random.key(0))
    on_policy = experiment.agent.batch == "trajectories"
    stored = values["env.num_envs"] if on_policy else values["replay.capacity"]
    assert state.replay.trajectories.observation.shape[:2] == (stored, experiment.env.spec.horizon + 1)
    assert (state.law is None) == on_policy
    assert (state.preference is None) == (on_policy or values["relabel.preference"] == 0)
    after, metrics = jax.eval_shape(experiment.run.epoch, state)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert jax.tree.leaves(after) == jax.tree.leaves(state)
    assert {"loss", "collect_success_end"} <= set(metrics)


def other(field, value):
    """An allowed value that differs."""
    spec = fields.FIELDS[field]
    if spec.options:
        return next(option for option in spec.options if option != value)
    if isinstance(value, bool):
        return not value
    if isinstance(value, tuple):
        return (2, *value)
    return value + 1 if isinstance(value, int) else value / 2 + 0.25


@pytest.mark.parametrize("name", ["hdm_flip_bit", "hem_navigation", "her_ddpg_navigation", "hpg_flip_bit"])
def test_every_field_of_an_agent_reaches_it(name, monkeypatch):
    """All of them changed at once: the agent is made with these values, and under their names."""
    kind, given = presets.ALGORITHMS[presets.split(name)[0]].agent, {}
    make, values = getattr(agents, kind), presets.config(name)
    changed = {field: other(field, value) for field, value in values.items() if field.startswith("agent.")}
    changed |= {field: value for field, value in SMALL.items() if field in values and not field.startswith("env.")}
    changed |= {"agent.hindsight_bound": False, "agent.next_state": "relabel"} if kind == "q_learning" else {}

    def spy(spec, **arguments):
        given.update(arguments)
        return make(spec, **arguments)

    spy.__signature__ = inspect.signature(make)
    monkeypatch.setattr(agents, kind, spy)
    presets.build(name, values | {"env.num_envs": changed.get("agent.group_size", 2)} | changed)
    numbers = given.pop("values")._asdict()
    assert all(given.pop(name) is not None for name in ("distance", "success") if name in given)
    if "upper" in given:
        given["bounded"] = given.pop("upper") == 0.0
    mine = {field.removeprefix("agent."): value for field, value in changed.items() if field.startswith("agent.")}
    mine = {name: value for name, value in mine.items() if name not in ("batch_size", "updates_per_epoch")}
    assert numbers | given == mine


def test_numbers_reach_the_agent():
    numbers = {"gamma": 0.5, "gamma_hdm": 0.25, "beta": 2.0, "epsilon": 0.125, "learning_rate": 0.0625}
    numbers |= {"target_rate": 0.75, "target_period": 3, "temperature": 4.0}
    experiment = small(**{f"agent.{name}": value for name, value in numbers.items()})
    assert {
        name: float(value) for name, value in experiment.agent.init(jax.random.key(0)).values._asdict().items()
    } == {name: float(value) for name, value in numbers.items()}


def test_the_size_of_a_task_is_its_own():
    values = presets.config("hem_flip_bit") | {"env.size": 50}
    assert presets.build("hem_flip_bit", values).env.spec.horizon == 50
    spec = presets.build("hem_flip_bit", values | {"env.horizon": 7}).env.spec
    assert (spec.horizon, spec.observation_shape, spec.action) == (7, (50,), types.Discrete(1, 50))
    spec = presets.build("hem_navigation", presets.config("hem_navigation") | {"env.size": 4, "env.threshold": 0.3}).env
    assert (spec.spec.observation_shape, spec.spec.action, spec.spec.threshold) == ((4,), types.Box(4), 0.3)


@pytest.mark.parametrize("actions", ["discrete", "continuous"])
@pytest.mark.parametrize("algorithm", ["gcsl", *HEM])
def test_who_can_use_both_kinds_of_action_takes_either(algorithm, actions):
    _, experiment = built(f"{algorithm}_navigation", **{"env.actions": actions})
    assert experiment.env.spec.action == (types.Discrete(3, 3) if actions == "discrete" else types.Box(3))


@pytest.mark.parametrize(
    ("name", "actions", "rule"),
    [
        *((f"{algorithm}_push", "continuous", "discrete") for algorithm in TABLE_1 if algorithm != "gcsl"),
        *((f"{algorithm}_navigation", "discrete", "continuous") for algorithm in DDPG),
    ],
)
def test_actions_that_an_algorithm_cannot_use_are_refused_with_the_reason(name, actions, rule):
    algorithm, _, _ = presets.split(name)
    message = (
        rf"^env\.actions: got {actions}, but {algorithm} needs {rule} actions\. Use {rule}, or another algorithm\.$"
    )
    with pytest.raises(ValueError, match=message):
        presets.build(name, presets.config(name) | {"env.actions": actions})


@pytest.mark.parametrize(
    ("name", "overrides", "num_epochs", "between"),
    [
        ("hdm_push_paper", {}, (1_000_000 - 200 * 50) // 50, 25_000 // 50),
        ("hdm_push", {}, (250_000 - 200 * 50) // (4 * 50), 10_000 // (4 * 50)),
        ("hdm_push", {"total_steps": 10_200}, 1, 50),
        ("hdm_push", {"total_steps": 10_201}, 2, 50),  # a started epoch is finished
        ("hdm_push", {"evaluation.every": 199}, 1200, 1),  # at most once in an epoch
        ("hdm_push", {"evaluation.every": 399}, 1200, 1),
        ("hdm_push", {"evaluation.every": 400}, 1200, 2),
        ("hdm_push", {"env.horizon": 10, "env.num_envs": 3, "total_steps": 2100}, 4, 333),
        # bits: K steps each; no warm-up where the policy learns from its own trajectories
        ("hem_flip_bit", {"env.size": 5, "env.num_envs": 2, "replay.warmup": 4, "total_steps": 50}, 3, 2500),
        ("hpg_flip_bit", {"env.size": 5, "env.num_envs": 4, "total_steps": 90, "evaluation.every": 40}, 5, 2),
        ("reinforce_push", {"env.num_envs": 3, "total_steps": 151}, 2, 166),
    ],
)
def test_lengths_are_counted_in_epochs(name, overrides, num_epochs, between):
    values = presets.config(name) | ({"evaluation.every": 25_000} if name != "hdm_push" else {}) | overrides
    experiment = presets.build(name, values)
    assert (experiment.num_epochs, experiment.epochs_between_evaluations) == (num_epochs, between)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"agent.gama": 0.5}, "agent.gama"),
        ({"agent.noise": 0.5}, "agent.noise: got 0.5, but this run has no use for it"),
        ({"env.size": 3}, "env.size: got 3, but this run has no use for it"),
        ({"agent.bounded": "false"}, "agent.bounded"),
        ({"agent.gamma": 1.5}, "agent.gamma"),
        ({"total_steps": 10_000}, "total_steps"),  # the warm-up takes them all
        ({"agent.backup": "mellow"}, "hindsight_bound"),
    ],
)
def test_values_that_make_no_run_are_refused(change, word):
    with pytest.raises(ValueError, match=word):
        presets.build("hdm_push", presets.config("hdm_push") | change)


@pytest.mark.parametrize("name", ["hem_flip_bit", "hem_navigation", "her_ddpg_push", "hpg_grid_four_rooms"])
def test_every_field_that_a_run_has_no_use_for_is_refused_by_name(name):
    values = presets.config(name)
    for field, spec in fields.FIELDS.items():
        if field not in values:
            with pytest.raises(
                ValueError, match=rf"^{field}: got .*, but this run has no use for it\. Leave it out\.$"
            ):
                presets.build(name, values | {field: spec.default})


@pytest.mark.parametrize("name", ["hdm_push", "hem_flip_bit", "hpg_navigation"])
def test_a_missing_value_is_refused(name):
    for field in presets.config(name):
        values = presets.config(name)
        del values[field]
        with pytest.raises(ValueError, match=rf"^{field}: got nothing"):
            presets.build(name, values)


# Members


def number():
    return jax.ShapeDtypeStruct((), jnp.float32)


def test_population_fields_are_numbers_that_run_init_takes(preferring):
    assert set(presets.POPULATION_FIELDS) <= set(fields.FIELDS)
    assert all(type(fields.FIELDS[field].default) in (int, float) for field in presets.POPULATION_FIELDS)
    takes_them(preferring, "hdm_push")


@pytest.mark.parametrize("name", ["gcsl_flip_bit", "hem_navigation", "her_ddpg_navigation", "hpg_flip_bit"])
def test_members_of_other_kinds_of_agent_may_differ_in_the_fields_that_they_have(name):
    _, experiment = built(name, **({} if name.startswith("hpg") else {"relabel.preference": 0.5}))
    takes_them(experiment, name)


def takes_them(experiment, name):
    """All of the name's population fields at once, and no other."""
    mine = [field for field in presets.POPULATION_FIELDS if field in presets.fields_of(name)]
    assert set(mine) >= {"agent.learning_rate"}
    state = jax.eval_shape(experiment.run.init, jax.random.key(0), {field: number() for field in mine})
    same = jax.eval_shape(experiment.run.init, jax.random.key(0))
    assert jax.tree.structure(state.agent) == jax.tree.structure(same.agent)
    assert jax.tree.leaves(state) == jax.tree.leaves(same)  # no shape and no dtype depends on what is overridden
    for field in set(presets.POPULATION_FIELDS) - set(mine):
        with pytest.raises(ValueError, match=r"values"):
            experiment.run.init(jax.random.key(0), {field: 0.5})


def test_numbers_reach_the_law_the_reward_and_the_preference(given):
    """Their defaults, and a member's own: what `make_run` is given is called as `run.init` calls it."""
    relabelling = {"relabel.behaviour": 0.5, "relabel.next_state": 0.25, "relabel.preference": 0.75}
    small("her_01_push", **relabelling, **{"evaluation.episodes": 7})
    assert given["schedule"] == training.Schedule(1, 1, 2, 2, 7)
    # kept 0.5; else the next state 0.25, or either of two later states: 0.5 (0.25 + 0.75 / 2), 0.5 (0.75 / 2)
    np.testing.assert_allclose(given["law"]({}).pmf(1, 3, 3), [0.5, 0, 0, 0.3125, 0.1875], rtol=1e-6)
    own = given["law"]({"behaviour": 0.25, "next_state": 1.0, "preference": 0.5})
    np.testing.assert_allclose(own.pmf(1, 3, 3), [0.25, 0, 0, 0.75, 0], rtol=1e-6)
    assert float(given["preference"]({}).probability) == 0.75
    assert float(given["preference"]({"behaviour": 0.25, "preference": 0.5}).probability) == 0.5
    goal = jnp.zeros(3)
    rewards = [float(given["reward_fn"](goal, goal, jnp.asarray(reached))[0]) for reached in (True, False)]
    assert rewards == [1.0, 0.0]


@pytest.mark.parametrize("name", ["gcsl_flip_bit", "hem_flip_bit", "hem_navigation"])
def test_imitation_draws_its_goals_uniformly_from_the_future(name, given):
    built(name)
    np.testing.assert_allclose(given["law"]({}).pmf(1, 3, 3), [0, 0, 0, 0.5, 0.5], rtol=1e-6)
    assert given["preference"] is None


@pytest.mark.parametrize(
    ("name", "rewards"), [("her_ddpg_navigation", [1.0, 0.0]), ("her_ddpg_dense_navigation", [0.0, -1.0])]
)
def test_ddpg_has_four_goals_of_the_future_for_each_of_its_own_and_rewards_by_success(name, rewards, given):
    """The threshold is the task's: a goal at a distance of 0.2 is reached within 0.3 alone, whatever its index."""
    built(name, **{"env.threshold": 0.3})
    np.testing.assert_allclose(given["law"]({}).pmf(1, 3, 3), [0.2, 0, 0, 0.4, 0.4], rtol=1e-6)
    for is_next in (True, False):
        near, far = (
            given["reward_fn"](jnp.zeros(3), jnp.array([distance, 0, 0]), jnp.asarray(is_next))
            for distance in (0.2, 0.4)
        )
        assert [float(near[0]), float(far[0])] == rewards
        assert float(near[1]) == float(far[1]) == 1.0  # nothing is terminal


@pytest.mark.parametrize("name", ["hpg_flip_bit", "hpg_baseline_navigation", "reinforce_grid_four_rooms"])
def test_a_policy_gradient_has_no_law_and_a_ring_of_one_collection(name, given):
    built(name, **{"env.num_envs": 8, "evaluation.episodes": 9})
    assert (given["law"], given["preference"], given["ring"].capacity) == (None, None, 8)
    assert given["schedule"] == training.Schedule(
        num_envs=8, updates_per_epoch=1, batch_size=8, warmup_trajectories=0, evaluation_episodes=9
    )


@pytest.mark.parametrize(
    "name", ["relabel.futur", "relabel.reward_reached", "relabel.num_candidates", "relabel.relabel.next_state"]
)
def test_unknown_numbers_of_the_law_are_refused_by_name(plain, name):
    with pytest.raises(
        ValueError, match=rf"values\['{name}'\]: got .*relabel\.behaviour, relabel\.next_state\. "
    ) as error:
        plain.run.init(jax.random.key(0), {name: 0.5})
    assert "above 0" not in str(error.value)  # a remedy that would not help


@pytest.mark.parametrize("name", ["agent.gama", "agent.hidden_sizes", "agent.batch_size"])
def test_unknown_numbers_of_the_agent_are_refused_by_name(plain, name):
    with pytest.raises(
        ValueError, match=rf"values\['{name.partition('.')[2]}'\]: got .*learning_rate, gamma, gamma_hdm"
    ):
        plain.run.init(jax.random.key(0), {name: 0.5})


@pytest.mark.parametrize("name", ["gamma", "env.threshold", "replay.capacity", "agent.", "relabel."])
def test_numbers_that_belong_to_no_part_are_refused(plain, name):
    with pytest.raises(ValueError, match=r"start with agent\. or relabel\."):
        plain.run.init(jax.random.key(0), {name: 0.5})


def test_a_preference_that_is_off_cannot_differ_between_members(plain):
    with pytest.raises(ValueError, match=r"values\['relabel\.preference'\]: .*set relabel\.preference above 0\.$"):
        plain.run.init(jax.random.key(0), {"relabel.preference": 0.5})


def test_a_goal_asks_for_a_change_beyond_three_millimetres_of_the_puck(plain, preferring):
    assert plain.run.init is not preferring.run.init
    state = jax.eval_shape(preferring.run.init, jax.random.key(0))
    assert state.preference.num_candidates == 5
    assert jax.eval_shape(plain.run.init, jax.random.key(0)).preference is None
    here = jnp.array([0.1, 0.6, -0.1, 0.6])
    moved = lambda hand, puck: bool(state.preference.changed(here, here + jnp.array([hand, 0.0, 0.0, puck])))
    assert [moved(0.0, 0.0), moved(0.0, 0.0029), moved(0.0, 0.0031), moved(0.0, -0.0031)] == [False, False, True, True]
    assert not moved(0.1, 0.0)  # the hand does not count


def test_members_begin_with_numbers_of_their_own(plain):
    """`init` under vmap: shapes alone, nothing is computed."""
    values = {"agent.gamma_hdm": jnp.array([0.3, 0.5]), "relabel.next_state": jnp.array([0.1, 0.2])}
    state = jax.eval_shape(jax.vmap(plain.run.init), training.member_keys(0, 2), values)
    assert state.agent.values.gamma_hdm.shape == (2,)
    assert {leaf.shape[0] for leaf in jax.tree.leaves(state)} == {2}
