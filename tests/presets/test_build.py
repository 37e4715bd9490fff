"""What a configuration builds: networks, tasks, agents, laws, lengths; and the numbers that members may differ in."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from named_runs import EVERY_NAME, HEM, SOFT, built, small

from hindsight_jax import agents, envs, presets, relabel, training, types
from hindsight_jax.agents.base import default_hparams
from hindsight_jax.presets import AGENTS, ENVIRONMENTS


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

    def spy(env, agent, ring, law, reward_fn, sizes, preference, data):
        found.update(ring=ring, law=law, reward_fn=reward_fn, sizes=sizes, preference=preference, data=data)
        return make_run(env, agent, ring, law, reward_fn, sizes, preference, data)

    monkeypatch.setattr(training, "make_run", spy)
    return found


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
STATES = {
    "q_learning": agents.QLearningState,
    "imitation": agents.ImitationState,
    "actor_critic": agents.ActorCriticState,
    "implicit_value": agents.ImplicitValueState,
    "soft_actor_critic": agents.SoftActorCriticState,
    "contrastive": agents.ContrastiveState,
    "policy_gradient": agents.PolicyGradientState,
    "density_ratio": agents.DensityRatioState,
}


def kernels(params):
    """Shapes of the weights, sorted; each of several networks [N, ...] counts."""
    leaves = jax.tree_util.tree_flatten_with_path(params)[0]
    shapes = [leaf.shape for path, leaf in leaves if getattr(path[-1], "key", "") == "kernel"]
    return sorted(shape[-2:] for shape in shapes for _ in range(shape[0] if len(shape) == 3 else 1))


def mlp(*sizes):
    return list(itertools.pairwise(sizes))


def names_of(task, quick):
    """The names of a task: those that stand for the others, one algorithm of each kind on a physics task; or the rest.

    The tasks without an engine, and push, have all of theirs among the first.
    """
    pure = task in ("push", "flip_bit", "navigation", "grid_four_rooms")
    stand = {f"{algorithm}_{task}" for algorithm in ("hdm", "hem", "her_ddpg", "hpg", *SOFT)}
    return [n for n in EVERY_NAME if presets.split(n)[1] == task and (pure or n in stand) == quick]


@pytest.mark.parametrize("task", SHAPES)
def test_names_build_the_network_and_the_numbers_of_their_configs(task, given):
    for name in names_of(task, quick=True):
        check_build(name, given)


@pytest.mark.parametrize("algorithm", ["hdm", "hem", "her_ddpg_dense"])
def test_names_of_images_build_an_encoder_and_a_ring_of_frames(algorithm):
    """Layers [32, 8, 4], [64, 4, 2] and [64, 3, 1], which leave 2 x 2 of 48 pixels."""
    overrides = {"env.frames": 2, "env.goals": "image", "replay.capacity": 80}
    setup = built(f"{algorithm}_sawyer_reach_pixels", **overrides)[1]
    assert setup.env.spec.images == types.Images(48, 2, True)
    params = jax.eval_shape(setup.agent.init, jax.random.key(0)).params
    kernels = sorted(leaf.shape for leaf in jax.tree.leaves(params) if leaf.ndim == 4)
    one = [(3, 3, 64, 64), (4, 4, 32, 64), (8, 8, 6, 32)]
    assert kernels == sorted(one * (2 if algorithm == "her_ddpg_dense" else 1))
    assert (2 * 2 * 2 * 64, 256) in {leaf.shape for leaf in jax.tree.leaves(params)}  # state and goal
    frames = 80 * (51 + 1) * 48 * 48 * 3  # and the goal's own
    assert frames < setup.num_bytes_of_ring < 1.01 * frames
    memory = training.memory_use(setup.run)
    assert memory.ring == setup.num_bytes_of_ring
    one_batch = 256 * 48 * 48 * 3 * (2 + 2 + 1)  # s, s' and the goal
    assert one_batch < memory.batches < 1.1 * one_batch


@pytest.mark.slow
@pytest.mark.parametrize("task", [task for task in SHAPES if names_of(task, quick=False)])
def test_all_other_names_build_theirs(task, given):
    for name in names_of(task, quick=False):
        check_build(name, given)


def check_build(name, given):
    config, setup = built(name)
    algorithm, task, _ = presets.split(name)
    kind, hidden, spec = presets.ALGORITHMS[algorithm].agent, config["agent.hidden_sizes"], setup.env.spec
    observation, goal, outputs = SHAPES[task]
    assert (spec.observation_shape, spec.goal_shape) == ((observation,), (goal,)), name
    assert spec.horizon == presets.horizon(name, config), name
    assert "env.threshold" not in config or spec.threshold == config["env.threshold"], name
    discrete = config.get("env.actions", "discrete") == "discrete"
    assert isinstance(spec.action, types.Discrete if discrete else types.Box), name
    outputs = outputs if discrete else spec.action.num_dims
    inputs = observation + goal
    expected = mlp(inputs, *hidden, outputs)
    if kind == "actor_critic":
        expected += mlp(inputs + outputs, *hidden, 1) * config["agent.num_critics"]
    if kind == "implicit_value":
        expected += mlp(inputs, *hidden, 1) * config["agent.num_values"]
    if kind in ("soft_actor_critic", "contrastive"):
        expected = mlp(inputs, *hidden, 2 * outputs)
    if kind == "soft_actor_critic":
        expected += 2 * mlp(inputs + outputs, *hidden, 1)
    if kind == "contrastive":
        expected += mlp(observation + outputs, *hidden, 64) + mlp(goal, *hidden, 64)
    if config.get("agent.baseline"):
        expected += mlp(inputs, *hidden, 1)
    state = jax.eval_shape(setup.agent.init, jax.random.key(0))
    assert type(state) is STATES[kind], name
    assert kernels(state.params) == sorted(expected), name
    on_policy = kind == "policy_gradient"
    assert setup.agent.batch == ("trajectories" if on_policy else "transitions"), name
    assert (given["law"] is None) == on_policy, name
    assert (given["preference"] is None) == (config.get("relabel.preference", 0) == 0), name
    kept = config.get("replay.capacity", config["env.num_envs"])
    assert given["ring"].capacity == kept, name
    of_steps = (spec.horizon + 1) * inputs + spec.horizon * spec.action.num_dims + goal
    assert setup.num_bytes_of_ring >= kept * 4 * of_steps, name
    assert setup.flops_per_update > 6 * len(mlp(*hidden)), name


@pytest.mark.parametrize(
    "name",
    [
        "hdm_navigation",
        "gcsl_flip_bit",
        "hem_grid_four_rooms",
        "her_ddpg_navigation",
        "hpg_baseline_flip_bit",
        "sac_her_navigation",
        "crl_navigation",
    ],
)
def test_an_epoch_leaves_the_state_as_it_was_built(name):
    """Ring, law and preference included: shapes alone, nothing is computed."""
    config, setup = built(name)
    state = jax.eval_shape(setup.run.init, jax.random.key(0))
    on_policy = setup.agent.batch == "trajectories"
    stored = config["env.num_envs"] if on_policy else config["replay.capacity"]
    assert state.replay.trajectories.observation.shape[:2] == (stored, setup.env.spec.horizon + 1)
    assert (state.law is None) == on_policy
    assert (state.preference is None) == (on_policy or config["relabel.preference"] == 0)
    after, metrics = jax.eval_shape(setup.run.epoch, state)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert jax.tree.leaves(after) == jax.tree.leaves(state)
    assert {"loss", "collect_success_end"} <= set(metrics)


def other(field, value):
    """An allowed value that differs."""
    spec = presets.all_fields()[field]
    if spec.options:
        return next(option for option in spec.options if option != value)
    if isinstance(value, bool):
        return not value
    if isinstance(value, tuple):
        return (2, *value)
    return value + 1 if isinstance(value, int) else value / 2 + 0.25


@pytest.mark.parametrize(
    "name",
    [
        "her_flip_bit",
        "hem_navigation",
        "her_ddpg_navigation",
        "hpg_flip_bit_paper",
        "sac_her_navigation",
        "crl_navigation",
    ],
)
def test_every_field_of_an_agent_reaches_it(name, monkeypatch):
    """All of them changed at once: the agent is made with these values, and under their names."""
    kind, given = presets.ALGORITHMS[presets.split(name)[0]].agent, {}
    make, config = AGENTS[kind].make, presets.config(name)
    changed = {field: other(field, value) for field, value in config.items() if field.startswith("agent.")}
    changed |= {"agent.hidden_sizes": (2,)}
    if kind == "q_learning":
        changed |= {"agent.hindsight_bound": False, "agent.next_state": "relabel", "agent.imitation": "indicator"}
        changed |= {"agent.gamma_hdm": 0.75, "agent.beta": 0.5, "agent.imitation_weight": 3.0}
        changed |= {"agent.backup": "mellow", "agent.temperature": 4.0}
    if kind == "actor_critic":
        changed |= {"agent.gate": "none"}
    if kind == "policy_gradient":
        changed |= {"agent.goals": "visited", "agent.num_goals": 5}

    @functools.wraps(make)
    def spy(spec, **arguments):
        given.update(arguments)
        return make(spec, **arguments)

    monkeypatch.setitem(AGENTS, kind, AGENTS[kind]._replace(make=spy))
    presets.build(name, presets.config(name, {"env.num_envs": changed.get("agent.group_size", 2)} | changed))
    numbers = given.pop("hparams")._asdict()
    assert all(callable(given.pop(name)) for name in ("distance", "success") if name in given)
    expected = {field.removeprefix("agent."): value for field, value in changed.items()}
    expected = {k: v for k, v in expected.items() if k not in ("batch_size", "updates_per_epoch")}
    off = default_hparams(make)._asdict()  # numbers of options that are off
    assert numbers | given == off | expected


def test_numbers_reach_the_agent():
    numbers = {"gamma": 0.5, "gamma_hdm": 0.25, "beta": 2.0, "imitation_weight": 3.0, "epsilon": 0.125}
    numbers |= {"learning_rate": 0.0625, "target_rate": 0.75, "target_period": 3, "temperature": 4.0}
    soft = {"agent.backup": "mellow", "agent.hindsight_bound": False}
    setup = small(**soft, **{f"agent.{name}": value for name, value in numbers.items()})
    hparams = setup.agent.init(jax.random.key(0)).hparams._asdict()
    assert {name: float(value) for name, value in hparams.items()} == numbers | {"progress": 0.5}


def test_the_size_of_a_task_is_its_own():
    config = presets.config("hem_flip_bit") | {"env.size": 50}
    assert presets.build("hem_flip_bit", config).env.spec.horizon == 50
    spec = presets.build("hem_flip_bit", config | {"env.horizon": 7}).env.spec
    assert (spec.horizon, spec.observation_shape, spec.action) == (7, (50,), types.Discrete(1, 50))
    config = presets.config("hem_navigation") | {"env.size": 4, "env.threshold": 0.3}
    spec = presets.build("hem_navigation", config).env.spec
    assert (spec.observation_shape, spec.action, spec.threshold) == ((4,), types.Box(4), 0.3)


@pytest.mark.parametrize("actions", ["discrete", "continuous"])
@pytest.mark.parametrize("algorithm", ["gcsl", *HEM])
def test_who_can_use_both_kinds_of_action_takes_either(algorithm, actions):
    _, setup = built(f"{algorithm}_navigation", **{"env.actions": actions})
    assert setup.env.spec.action == (types.Discrete(3, 3) if actions == "discrete" else types.Box(3))


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
    config = presets.config(name) | ({"evaluation.every": 25_000} if name != "hdm_push" else {}) | overrides
    setup = presets.build(name, config)
    assert (setup.num_epochs, setup.epochs_between_evaluations) == (num_epochs, between)


def test_a_config_that_makes_no_run_is_refused():
    with pytest.raises(ValueError, match=r"^agent\.gama: got 0\.5, but there is no such field"):
        presets.build("hdm_push", presets.config("hdm_push") | {"agent.gama": 0.5})


def test_a_task_with_other_steps_than_the_table_has_is_refused(monkeypatch):
    grid = ENVIRONMENTS["grid_four_rooms"]
    monkeypatch.setitem(ENVIRONMENTS, "grid_four_rooms", grid._replace(horizon=30))
    monkeypatch.setattr(envs, "make", lambda name, horizon, **rest: make(name, horizon=horizon + 1, **rest))
    with pytest.raises(ValueError, match=r"^spec\.horizon of grid_four_rooms: got 31, but it is registered with 30\."):
        presets.build("hem_grid_four_rooms", presets.config("hem_grid_four_rooms"))


make = envs.make


def test_an_agent_of_another_batch_than_the_table_has_is_refused(monkeypatch):
    kind = AGENTS["policy_gradient"]
    monkeypatch.setitem(AGENTS, "policy_gradient", kind._replace(batch="transitions"))
    message = (
        r"^agent\.batch: got trajectories, but it is registered to learn from transitions\. Register .*'trajectories'"
    )
    with pytest.raises(ValueError, match=message):
        presets.build("hpg_flip_bit", presets.config("hpg_flip_bit"))


# Members


def takes_its_population_fields(setup, name):
    """All of the name's population fields at once, and no other."""
    known = presets.candidates(name).keys() - {"relabel.discount"}  # its law is not geometric
    mine = [field for field in presets.population_fields() if field in known]
    assert set(mine) >= {"agent.learning_rate"}
    number = jax.ShapeDtypeStruct((), jnp.float32)
    state = jax.eval_shape(setup.run.init, jax.random.key(0), dict.fromkeys(mine, number))
    same = jax.eval_shape(setup.run.init, jax.random.key(0))
    assert jax.tree.structure(state.agent) == jax.tree.structure(same.agent)
    assert jax.tree.leaves(state) == jax.tree.leaves(same)  # no shape and no dtype depends on what is overridden
    for field in set(presets.population_fields()) - set(mine):
        with pytest.raises(ValueError, match=rf"'(relabel\.)?{field.partition('.')[2]}'\]"):
            setup.run.init(jax.random.key(0), {field: 0.5})


@pytest.mark.seldom
def test_members_may_differ_in_population_fields(preferring):
    takes_its_population_fields(preferring, "hdm_push")


@pytest.mark.parametrize("name", ["gcsl_flip_bit", "hem_navigation", "her_ddpg_navigation", "hpg_flip_bit"])
def test_members_of_other_kinds_of_agent_may_differ_in_the_fields_that_they_have(name):
    _, setup = built(name, **({} if name.startswith("hpg") else {"relabel.preference": 0.5}))
    takes_its_population_fields(setup, name)


def step_to(distance, is_next):
    """A step to the origin, whose goal is this far away."""
    no, is_next = jnp.asarray(False), jnp.asarray(is_next)
    return relabel.Step(jnp.zeros(3), jnp.array([distance, 0, 0]), is_next=is_next, relabelled=is_next, terminal=no)


def test_numbers_reach_the_law_the_reward_and_the_preference(given):
    """Their defaults, and a member's own: what `make_run` is given is called as `run.init` calls it."""
    relabelling = {"relabel.behaviour": 0.5, "relabel.next_state": 0.25, "relabel.preference": 0.75}
    small("her_01_push", **relabelling, **{"evaluation.episodes": 7})
    assert given["sizes"] == training.RunSizes(
        num_envs=1, updates_per_epoch=1, batch_size=2, warmup_trajectories=2, evaluation_episodes=7
    )
    # kept 0.5; else the next state 0.25, or either of two later states: 0.5 (0.25 + 0.75 / 2), 0.5 (0.75 / 2)
    np.testing.assert_allclose(given["law"]({}).pmf(1, 3, 3), [0.5, 0, 0, 0.3125, 0.1875], rtol=1e-6)
    own = given["law"]({"behaviour": 0.25, "next_state": 1.0, "preference": 0.5})
    np.testing.assert_allclose(own.pmf(1, 3, 3), [0.25, 0, 0, 0.75, 0], rtol=1e-6)
    assert float(given["preference"]({}).probability) == 0.75
    assert float(given["preference"]({"behaviour": 0.25, "preference": 0.5}).probability) == 0.5
    rewards = [float(given["reward_fn"](step_to(0.0, is_next=reached))[0]) for reached in (True, False)]
    assert rewards == [1.0, 0.0]


@pytest.mark.parametrize("name", ["gcsl_flip_bit", "hem_flip_bit", "hem_navigation"])
def test_imitation_draws_its_goals_uniformly_from_the_future(name, given):
    built(name)
    np.testing.assert_allclose(given["law"]({}).pmf(1, 3, 3), [0, 0, 0, 0.5, 0.5], rtol=1e-6)
    assert given["preference"] is None


@pytest.mark.parametrize(("algorithm", "rewards"), [("her_ddpg", [1.0, 0.0]), ("her_ddpg_dense", [0.0, -1.0])])
def test_ddpg_has_four_goals_of_the_future_for_each_of_its_own_and_rewards_by_success(algorithm, rewards, given):
    """The threshold is the task's: a goal at a distance of 0.2 is reached within 0.3 alone, whatever its index."""
    built(f"{algorithm}_navigation", **{"env.threshold": 0.3})
    np.testing.assert_allclose(given["law"]({}).pmf(1, 3, 3), [0.2, 0, 0, 0.4, 0.4], rtol=1e-6)
    for is_next in (True, False):
        near, far = (given["reward_fn"](step_to(distance, is_next=is_next)) for distance in (0.2, 0.4))
        assert [float(near[0]), float(far[0])] == rewards
        assert float(near[1]) == float(far[1]) == 1.0  # nothing is terminal


@pytest.mark.parametrize("name", ["hpg_flip_bit", "hpg_baseline_navigation", "reinforce_grid_four_rooms"])
def test_a_policy_gradient_has_no_law_and_a_ring_of_one_collection(name, given):
    built(name, **{"env.num_envs": 8, "evaluation.episodes": 9})
    assert (given["law"], given["preference"], given["ring"].capacity) == (None, None, 8)
    assert given["sizes"] == training.RunSizes(
        num_envs=8, updates_per_epoch=1, batch_size=8, warmup_trajectories=0, evaluation_episodes=9
    )


@pytest.mark.parametrize(
    "name", ["relabel.futur", "relabel.reward_reached", "relabel.num_candidates", "relabel.relabel.next_state"]
)
def test_unknown_numbers_of_the_law_are_refused_by_name(plain, name):
    with pytest.raises(
        ValueError, match=rf"overrides\['{name}'\]: got .*relabel\.behaviour, relabel\.next_state\."
    ) as error:
        plain.run.init(jax.random.key(0), {name: 0.5})
    assert "above 0" not in str(error.value)  # a remedy that would not help


@pytest.mark.parametrize("name", ["gama", "hidden_sizes", "batch_size"])
def test_unknown_numbers_of_the_agent_are_refused_by_name(plain, name):
    with pytest.raises(ValueError, match=rf"^hparams\['{name}'\]: got .*learning_rate, gamma, gamma_hdm"):
        plain.run.init(jax.random.key(0), {f"agent.{name}": 0.5})


@pytest.mark.parametrize("name", ["gamma", "env.threshold", "replay.capacity", "agent.", "relabel."])
def test_numbers_that_belong_to_no_part_are_refused(plain, name):
    with pytest.raises(ValueError, match=r"start with agent\. or relabel\."):
        plain.run.init(jax.random.key(0), {name: 0.5})


def test_a_preference_that_is_off_cannot_differ_between_members(plain):
    message = r"overrides\['relabel\.preference'\]: .*set relabel\.preference above 0\.$"
    with pytest.raises(ValueError, match=message):
        plain.run.init(jax.random.key(0), {"relabel.preference": 0.5})


@pytest.mark.seldom
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
    overrides = {"agent.gamma_hdm": jnp.array([0.3, 0.5]), "relabel.next_state": jnp.array([0.1, 0.2])}
    state = jax.eval_shape(jax.vmap(plain.run.init), training.member_keys(0, 2), overrides)
    assert state.agent.hparams.gamma_hdm.shape == (2,)
    assert {leaf.shape[0] for leaf in jax.tree.leaves(state)} == {2}
