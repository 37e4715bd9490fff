"""The rows: names, the papers' numbers to the letter, lengths of runs, and what members may differ in."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hindsight_jax import fields, presets, training

EVERY_NAME = (
    "hdm_push", "hdm_push_paper", "her_push", "her_push_paper", "her_01_push", "her_01_push_paper",
    "her_sql_push", "her_sql_push_paper", "her_hbc_push", "her_hbc_push_paper",
)  # fmt: skip
PAPER = tuple(name for name in EVERY_NAME if name.endswith("_paper"))
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


# Names


def test_names_are_the_table_of_the_algorithms_in_both_schedules():
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
    ],
)
def test_a_name_is_split_where_its_parts_meet(name, parts):
    assert presets.split(name) == parts


@pytest.mark.parametrize(
    "name", ["", "hdm", "push", "hdm_push_", "hdm_push_paper_paper", "HDM_push", "hdm-push", "_paper"]
)
def test_unknown_names_are_refused(name):
    for function in (presets.split, presets.config, presets.describe):
        with pytest.raises(ValueError, match=rf"^name: got '{name}', but it must be one of .*--list\.$"):
            function(name)


def test_each_name_has_a_line_of_help_of_its_own():
    lines = [presets.describe(name) for name in EVERY_NAME]
    assert len(set(lines)) == len(lines)
    assert all(line.startswith("a hand pushes a puck to a goal place: ") and "\n" not in line for line in lines)
    assert all(("to the letter" in line) == (name in PAPER) for name, line in zip(EVERY_NAME, lines, strict=True))


# Values


@pytest.mark.parametrize("name", EVERY_NAME)
def test_every_value_is_in_range_of_its_type_and_fits_the_others(name):
    values = presets.config(name)
    assert list(values) == list(presets.FIELDS)
    for field, value in values.items():
        assert type(value) is type(presets.FIELDS[field].default), field
        assert fields.checked(field, value) == value
    fields.check(values)


def test_two_configs_share_nothing():
    presets.config("hdm_push")["agent.gamma"] = 0.0
    assert presets.config("hdm_push")["agent.gamma"] == 0.98


# ALGORITHMS.md, section 2, and the row of push in ENVIRONMENTS.md.
SCHEDULE = {
    "total_steps": 1_000_000,
    "agent.hidden_sizes": (400, 300),
    "agent.learning_rate": 5e-4,
    "agent.batch_size": 256,
    "agent.gamma": 0.98,
    "agent.target_rate": 0.005,
    "agent.target_period": 10,
    "agent.updates_per_epoch": 50,
    "agent.gamma_hdm": 0.5,
    "agent.epsilon": 0.2,
    "agent.beta": 1.0,
    "agent.temperature": 0.2,
    "agent.layer_norm": False,
    "agent.scale_inputs": False,
    "agent.next_state": "relabel",
    "agent.hindsight_bound": False,
    "env.num_envs": 1,
    "env.horizon": 50,
    "env.threshold": 0.05,
    "replay.warmup": 200,
    "relabel.behaviour": 0.15,
    "relabel.next_state": 0.6,
    "relabel.preference": 0.0,
    "evaluation.episodes": 200,
}
# What each row of the table adds: backup, imitation, bound of the target, rewards of s' by index and of the others.
ROWS = {
    "hdm": ("double", "indicator", True, 0.0, -1.0),
    "her": ("double", "none", True, 0.0, -1.0),
    "her_01": ("double", "none", False, 1.0, 0.0),
    "her_sql": ("mellow", "none", True, 0.0, -1.0),
    "her_hbc": ("double", "always", True, 0.0, -1.0),
}
ROW_FIELDS = (
    "agent.backup", "agent.imitation", "agent.bounded", "relabel.reward_reached", "relabel.reward_otherwise",
)  # fmt: skip


@pytest.mark.parametrize("name", PAPER)
def test_paper_rows_are_the_paper_to_the_letter(name):
    values = presets.config(name)
    row = dict(zip(ROW_FIELDS, ROWS[presets.split(name)[0]], strict=True))
    assert {field: values[field] for field in (*SCHEDULE, *ROW_FIELDS)} == SCHEDULE | row
    assert values["agent.updates_per_epoch"] == values["env.num_envs"] * values["env.horizon"]  # one per env step
    rest = set(values) - set(SCHEDULE) - set(ROW_FIELDS)
    assert rest == {
        "seed",
        "seeds",
        "replay.capacity",
        "checkpoint.seconds",
        "evaluation.every",
        "relabel.num_candidates",
    }
    assert values["replay.capacity"] * 50 >= values["total_steps"]  # nothing is overwritten


@pytest.mark.parametrize("name", PAPER)
def test_tuned_rows_differ_from_the_papers_in_the_listed_fields_alone(name):
    algorithm, environment, _ = presets.split(name)
    paper, tuned = presets.config(name), presets.config(name.removesuffix("_paper"))
    pinned = presets.ALGORITHMS[algorithm][1]
    listed = presets.TUNED[environment]
    expected = {field: value for field, value in listed.items() if field not in pinned}
    assert {field: value for field, value in tuned.items() if value != paper[field]} == expected
    assert {field: tuned[field] for field in pinned} == {field: paper[field] for field in pinned} == pinned


def test_the_bound_of_hindsight_is_off_where_it_does_not_hold():
    """It counts rewards of -1, and values of a greedy policy."""
    on = [name for name in EVERY_NAME if presets.config(name)["agent.hindsight_bound"]]
    assert on == ["hdm_push", "her_push", "her_hbc_push"]


# What is built


@pytest.mark.parametrize("name", EVERY_NAME)
def test_every_name_builds_the_network_and_the_numbers_of_its_values(name):
    values = presets.config(name)
    experiment = presets.build(name, values)
    spec = experiment.env.spec
    assert (spec.horizon, spec.threshold, spec.action.num_bins) == (50, 0.05, 9)
    assert experiment.agent.batch == "transitions"
    state = jax.eval_shape(experiment.agent.init, jax.random.key(0))
    sizes = sorted(leaf.shape for leaf in jax.tree.leaves(state.params) if leaf.ndim == 2)
    first, second = values["agent.hidden_sizes"]
    assert sizes == sorted([(4 + 4, first), (first, second), (second, 9)])
    assert experiment.num_bytes_of_ring >= values["replay.capacity"] * 4 * (51 * (4 + 4) + 50 + 4)


def test_numbers_reach_the_agent():
    numbers = {"gamma": 0.5, "gamma_hdm": 0.25, "beta": 2.0, "epsilon": 0.125, "learning_rate": 0.0625}
    numbers |= {"target_rate": 0.75, "target_period": 3, "temperature": 4.0}
    experiment = small(**{f"agent.{name}": value for name, value in numbers.items()})
    assert {
        name: float(value) for name, value in experiment.agent.init(jax.random.key(0)).values._asdict().items()
    } == {name: float(value) for name, value in numbers.items()}


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
    ],
)
def test_lengths_are_counted_in_epochs(name, overrides, num_epochs, between):
    experiment = presets.build(name, presets.config(name) | overrides)
    assert (experiment.num_epochs, experiment.epochs_between_evaluations) == (num_epochs, between)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"agent.gama": 0.5}, "agent.gama"),
        ({"agent.bounded": "false"}, "agent.bounded"),
        ({"agent.gamma": 1.5}, "agent.gamma"),
        ({"total_steps": 10_000}, "total_steps"),  # the warm-up takes them all
        ({"agent.backup": "mellow"}, "hindsight_bound"),
    ],
)
def test_values_that_make_no_run_are_refused(change, word):
    with pytest.raises(ValueError, match=word):
        presets.build("hdm_push", presets.config("hdm_push") | change)


def test_a_missing_value_is_refused():
    values = presets.config("hdm_push")
    del values["agent.gamma"]
    with pytest.raises(ValueError, match=r"agent\.gamma"):
        presets.build("hdm_push", values)


# Members


def number():
    return jax.ShapeDtypeStruct((), jnp.float32)


def test_population_fields_are_numbers_that_run_init_takes(preferring):
    assert set(presets.POPULATION_FIELDS) <= set(presets.FIELDS)
    assert all(type(presets.FIELDS[field].default) in (int, float) for field in presets.POPULATION_FIELDS)
    values = {field: number() for field in presets.POPULATION_FIELDS}
    state = jax.eval_shape(preferring.run.init, jax.random.key(0), values)
    same = jax.eval_shape(preferring.run.init, jax.random.key(0))
    assert jax.tree.structure(state.agent) == jax.tree.structure(same.agent)
    assert jax.tree.leaves(state) == jax.tree.leaves(same)  # no shape and no dtype depends on what is overridden


def test_numbers_reach_the_law_the_reward_and_the_preference(monkeypatch):
    """Their defaults, and a member's own: what `make_run` is given is called as `run.init` calls it."""
    given = {}

    def spy(env, agent, ring, law, reward_fn, schedule, preference):
        given.update(law=law, reward_fn=reward_fn, schedule=schedule, preference=preference)
        return make_run(env, agent, ring, law, reward_fn, schedule, preference)

    make_run = training.make_run
    monkeypatch.setattr(training, "make_run", spy)
    relabelling = {"relabel.behaviour": 0.5, "relabel.next_state": 0.25, "relabel.preference": 0.75}
    small("her_01_push", **relabelling, **{"evaluation.episodes": 7})
    assert given["schedule"] == training.Schedule(1, 1, 2, 2, 7)
    # kept 0.5; else the next state 0.25, or either of two later states: 0.5 (0.25 + 0.75 / 2), 0.5 (0.75 / 2)
    np.testing.assert_allclose(given["law"]({}).pmf(1, 3, 3), [0.5, 0, 0, 0.3125, 0.1875], rtol=1e-6)
    own = given["law"]({"behaviour": 0.25, "next_state": 1.0, "preference": 0.5})
    np.testing.assert_allclose(own.pmf(1, 3, 3), [0.25, 0, 0, 0.75, 0], rtol=1e-6)
    assert float(given["preference"]({}).probability) == 0.75
    assert float(given["preference"]({"behaviour": 0.25, "preference": 0.5}).probability) == 0.5
    rewards = [float(given["reward_fn"](None, None, jnp.asarray(reached))[0]) for reached in (True, False)]
    assert rewards == [1.0, 0.0]


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
