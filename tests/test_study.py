"""train: seeds x settings in one call, as named arrays; equal to runs of their own."""

import math
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

import hindsight_jax as hj
from hindsight_jax import presets, study, training

SMALL, NAME = tiny.VALUES, tiny.NAME


def without(field):
    return {known: value for known, value in SMALL.items() if known != field}


def trained(**changes):
    arguments = {"seeds": 2, "overrides": SMALL, "total_steps": 30} | changes
    return hj.train(NAME, **arguments)


@pytest.fixture(scope="module")
def found():
    """Epsilon x gamma, four members at once: one program; warm-up 6 steps, epochs of 6, evaluations at 18 and 30."""
    lines = []
    grid = {"agent.epsilon": [0.1, 0.5, 1.0], "agent.gamma": (0.5, 0.9)}
    result = trained(grid=grid, members_at_once=4, report=lines.append)
    return result, lines


def test_the_axes_are_the_grid_s_then_seeds_then_evaluations(found):
    result, lines = found
    assert result.grid == {"agent.epsilon": (0.1, 0.5, 1.0), "agent.gamma": (0.5, 0.9)}
    assert (result.name, result.seeds, result.num_programs) == (NAME, (0, 1), 1)
    assert {array.shape for array in result.metrics.values()} == {(3, 2, 2, 2)}
    assert {"env_steps", "updates", "success_end", "success_any", "distance_end", "q_mean"} <= set(result.metrics)
    assert np.all(result["env_steps"] == [18, 30])
    assert np.all(result["updates"] == [4, 8])
    assert "agent.epsilon" not in result.config
    assert result.config["env.size"] == 3
    assert result.config["total_steps"] == 30
    assert len(lines) == 3 * 2
    assert lines[0].startswith("her_flip_bit: 18 of 30 env steps, success ")
    with pytest.raises(ValueError, match=r"metric: got 'succes', but it must be one of .*success_any"):
        result["succes"]


@pytest.fixture(scope="module")
def run():
    """Setting (0.5, 0.9), without `study`."""
    config = presets.config(NAME) | SMALL | {"total_steps": 30, "agent.epsilon": 0.5, "agent.gamma": 0.9}
    return presets.build(NAME, config).run


@pytest.fixture(scope="module")
def population(run):
    return training.make_population(run)


def test_the_numbers_are_those_of_a_population_of_one_s_own(found, population):
    result, _ = found
    keys = training.member_keys(0, 2)
    state = population.init(keys)
    for evaluation in range(2):
        state = population.advance(state, 2)
        want = population.evaluate(state, keys)
        state, metrics = training.pop_metrics(state)
        for metric, value in (want | metrics).items():
            np.testing.assert_allclose(result[metric][1, 1, :, evaluation], value, rtol=1e-4, atol=1e-5, err_msg=metric)


@pytest.mark.parametrize("which", ["last", "best"])
def test_its_policies_are_those_of_a_population_of_one_s_own(found, run, population, which):
    """Setting (0.5, 0.9) was trained in the middle of a chunk; seed 1 is its second member."""
    result, _ = found
    keys = training.member_keys(0, 2)
    state = population.init(keys)
    for _ in range(2):
        state = population.advance(state, 2)
        state, _ = population.record(state, population.evaluate(state, keys))
    agent = jax.tree.map(lambda x: x[1], (state.best if which == "best" else state.members).agent)
    starts = jax.vmap(run.spec.env.reset)(jax.random.split(jax.random.key(3), 32)).obs
    given = (starts["observation"], starts["desired_goal"], jax.random.split(jax.random.key(4), 32))
    for explore in (False, True):
        act = lambda o, g, k, explore=explore: run.spec.agent.act(agent, o, g, k, explore)
        policy = result.policy({"agent.epsilon": 0.5, "agent.gamma": 0.9}, seed=1, which=which, explore=explore)
        np.testing.assert_array_equal(jax.jit(jax.vmap(policy))(*given), jax.vmap(act)(*given))


def test_a_policy_that_was_not_trained_is_refused(found):
    result, _ = found
    setting = {"agent.epsilon": 0.5, "agent.gamma": 0.9}
    with pytest.raises(ValueError, match=r"^setting: got .* but the grid's fields are agent.epsilon, agent.gamma"):
        result.policy({"agent.gamma": 0.9})
    with pytest.raises(ValueError, match=r"^setting\['agent.gamma'\]: got 0.7, but it must be one of 0.5, 0.9"):
        result.policy(setting | {"agent.gamma": 0.7})
    with pytest.raises(ValueError, match=r"^seed: got 2, but it must be one of 0, 1"):
        result.policy(setting, seed=2)
    with pytest.raises(ValueError, match=r"^which: got 'newest'"):
        result.policy(setting, which="newest")


def test_a_study_is_printed_on_one_line(found):
    text = repr(found[0])
    assert text.startswith(
        "Study(her_flip_bit: 3 agent.epsilon x 2 agent.gamma x 2 seeds; success of all evaluations 0."
    )
    assert "\n" not in text


def test_settings_differ_and_seeds_differ(found):
    q = found[0]["q_mean"]
    assert len(np.unique(q)) == q.size


def test_the_interval_is_over_seeds(found):
    result, _ = found
    mean, low, high = result.interval("q_mean", confidence=0.5)
    np.testing.assert_allclose(mean, result["q_mean"].mean(axis=2))
    # Student's t with one degree of freedom: its median deviation is 1, and s / sqrt(2) is half of the difference
    half = np.abs(np.diff(result["q_mean"], axis=2))[:, :, 0] / 2
    np.testing.assert_allclose(high - low, 2 * half, rtol=1e-6)


def test_records_are_flat_and_complete(found):
    result, _ = found
    records = result.records()
    assert len(result) == len(records) == 3 * 2 * 2 * 2
    assert records[0].keys() == {"agent.epsilon", "agent.gamma", "seed", *result.metrics}
    last = records[-1]
    assert (last["agent.epsilon"], last["agent.gamma"], last["seed"], last["env_steps"]) == (1.0, 0.9, 1, 30.0)
    assert last["q_mean"] == result["q_mean"][2, 1, 1, 1]


def test_without_pandas_a_frame_is_refused_with_the_way_out(found, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install pandas\. Or use records\(\)"):
        found[0].to_dataframe()


def test_a_frame_has_a_line_for_each_record(found):
    pandas = pytest.importorskip("pandas")
    frame = found[0].to_dataframe()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame.columns[:3]) == ["agent.epsilon", "agent.gamma", "seed"]
    assert len(frame) == 24


def test_the_plot_has_a_panel_for_the_first_field_and_a_line_for_each_setting(found):
    axes = found[0].plot("q_mean").axes
    assert [axis.get_title() for axis in axes] == [f"her_flip_bit: epsilon {value}" for value in ("0.1", "0.5", "1")]
    for i, axis in enumerate(axes):
        assert [line.get_label() for line in axis.lines] == ["gamma 0.5", "gamma 0.9"]
        np.testing.assert_allclose(axis.lines[1].get_ydata(), found[0].interval("q_mean").mean[i, 1])
        np.testing.assert_array_equal(axis.lines[1].get_xdata(), [18, 30])


@pytest.mark.seldom
def test_shapes_make_programs_of_their_own_and_shorter_ones_end_in_nan():
    """Collections of 2 and of 6 episodes: 6 and 18 steps an epoch, so evaluations at 18 and 24, and at 24 alone."""
    lines = []
    grid = {"agent.epsilon": [0.1, 0.9], "env.num_envs": [2, 6]}
    result = trained(seeds=(7,), grid=grid, overrides=without("env.num_envs"), total_steps=24, report=lines.append)
    assert result.num_programs == 2
    assert result["env_steps"].shape == (2, 2, 1, 2)
    np.testing.assert_array_equal(result["env_steps"][:, 0, 0], [[18, 24]] * 2)
    np.testing.assert_array_equal(result["env_steps"][:, 1, 0], [[24, math.nan]] * 2)
    assert np.isnan(result["success_end"][:, 1, 0, 1]).all()
    assert np.isfinite(result["success_end"][:, :, 0, 0]).all()
    assert [(row["env.num_envs"], row["env_steps"]) for row in result.records()] == [(2, 18), (2, 24), (6, 24)] * 2
    assert len(result) == 6
    assert "(1 of 2 programs, env.num_envs 2)" in lines[0]
    assert "(2 of 2 programs, env.num_envs 6)" in lines[-1]
    assert result.plot().axes[0].get_title() == "her_flip_bit: epsilon 0.1"


def test_no_grid_is_seeds_alone_and_a_seed_is_the_same_in_any_company(found):
    alone = trained(seeds=[1, 0], overrides=SMALL | {"agent.epsilon": 0.5, "agent.gamma": 0.9})
    assert alone["q_mean"].shape == (2, 2)
    np.testing.assert_allclose(alone["q_mean"], found[0]["q_mean"][1, 1, ::-1], rtol=1e-4, atol=1e-5)
    assert len(alone.plot().axes) == 1


@pytest.mark.seldom
@pytest.mark.parametrize("size", [1, None])
def test_members_that_are_trained_one_after_another_have_the_same_numbers(found, size):
    """12 members in twelve parts and in one; `found` trains them in three."""
    result, _ = found
    parts = trained(grid=result.grid, members_at_once=size)
    for metric, array in result.metrics.items():
        np.testing.assert_allclose(parts[metric], array, rtol=1e-4, atol=1e-5, err_msg=metric)


def test_parts_are_equal_but_for_one():
    members = training.members(range(7))
    assert [part.seeds for part in members.chunks(3)] == [(0, 1), (2, 3), (4, 5, 6)]
    assert members.chunks(7) == members.chunks(100) == [members]


def test_as_many_members_as_fit_are_trained_together(monkeypatch, skipped):
    """Half of the memory has room for two members and a half."""
    one = training.memory_use(presets.build(NAME, presets.config(NAME) | SMALL | {"total_steps": 30}).run).total
    monkeypatch.setattr(training, "free_memory", lambda: 5 * one)
    trained(seeds=5)
    assert len(skipped) == 3
    monkeypatch.setattr(training, "free_memory", lambda: 2 * one - 1)
    with pytest.raises(ValueError, match=r"replay\.capacity: .* a member needs .* bytes, and half of the free memory"):
        trained(seeds=5)


@pytest.fixture
def skipped(monkeypatch):
    """Nothing is trained; what each program's members differ in."""
    ran = []

    def stand_in(setup, population_of, members, varied, say, halts):
        ran.append(varied)
        return {"env_steps": np.zeros((len(members.seeds), 1))}, (), ()

    monkeypatch.setattr(study, "_trained", stand_in)
    return ran


def test_a_preference_that_is_off_for_some_compiles_for_each_and_else_is_a_member_s_own(skipped):
    assert trained(grid={"relabel.preference": [0.0, 0.5]}).num_programs == 2
    assert trained(grid={"relabel.preference": [0.25, 0.5]}).num_programs == 1
    assert skipped == [(), (), ("relabel.preference",)]


@pytest.fixture
def poisoned(population, monkeypatch):
    """Member 1 begins with a weight that is NaN."""

    def init(keys, values):
        state = population.init(keys, values)
        leaves, structure = jax.tree.flatten(state.members.agent.params)
        leaves[0] = leaves[0].at[1, 0].set(jnp.nan)
        agent = state.members.agent._replace(params=jax.tree.unflatten(structure, leaves))
        return state._replace(members=state.members._replace(agent=agent))

    broken = population._replace(init=init)
    monkeypatch.setattr(study, "_population", lambda *_: broken)  # which is compiled by now


def test_a_member_that_is_not_finite_is_named_and_has_no_success_and_the_others_keep_theirs(poisoned):
    with pytest.warns(UserWarning, match=r"^seed 1 is frozen.*: agent\.params\..* was not finite at update 0\. Other"):
        result = trained(total_steps=18)
    assert result["frozen"].tolist() == [[0.0], [1.0]]
    assert np.isnan(result["success_end"][1]).all()
    assert np.isnan(result["success_any"][1]).all()
    assert np.isfinite(result["success_end"][0]).all()
    assert np.isnan(result.interval().mean).all()


def test_a_member_that_is_not_finite_halts_the_study_where_that_is_asked_for(poisoned):
    with pytest.raises(FloatingPointError, match=r"^seed 1: agent\.params\..* was not finite at update 0\. With"):
        trained(total_steps=18, overrides=SMALL | {"on_nan": "halt"})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "hdm_psh"}, r"name: got .*hdm_psh.*Did you mean hdm_push"),
        ({"seeds": 0}, r"seeds: got 0"),
        ({"members_at_once": 0}, r"members_at_once: got 0"),
        ({"seeds": []}, r"seeds: got \[\], but it must be a count or a sequence"),
        ({"seeds": True}, r"seeds: got True"),
        ({"seeds": "12"}, r"seeds: got '?12"),
        ({"seeds": 2.5}, r"seeds: got 2\.5"),
        ({"seeds": (1, 1)}, r"seeds: got .*1.*, but a value must not come twice"),
        ({"seeds": np.array(2.0)}, r"seeds: got .*it must be a count or a sequence"),
        ({"seeds": 2.0}, r"seeds: got 2\.0, but it must be a count or a sequence"),
        ({"seeds": np.ma.array([1, 2])}, r"seeds: got a MaskedArray of int64\[2\]"),
        ({"seeds": (-1,)}, r"seeds: got -1, but it must be an integer in"),
        ({"seeds": (0.5,)}, r"seeds: got 0\.5"),
        (
            {"grid": {"agent.gama": [0.5]}},
            r"grid\['agent\.gama'\]: got \[0\.5\], .* no such field\. Did you mean agent\.gamma",
        ),
        ({"grid": {"agent.gamma": []}}, r"grid\['agent\.gamma'\]: got \[\], but it must be a list of values"),
        ({"grid": {"agent.gamma": [0.5]}, "overrides": SMALL | {"agent.gamma": 0.9}}, r"it is set to 0\.9, too"),
        (
            {"grid": {"replay.warmup": [2, 11]}, "overrides": without("replay.warmup")},
            r"replay\.warmup: got 11, .* at most replay\.capacity \(10\)",
        ),
        (
            {"grid": {"agent.hidden_sizes": [8]}, "overrides": without("agent.hidden_sizes")},
            r"grid\['agent\.hidden_sizes'\]: got 8",
        ),
        ({"overrides": {"seeds": 3}}, r"overrides\['seeds'\]: got 3, but seeds are an argument"),
        ({"overrides": {"agent.gamma": "high"}}, r"agent\.gamma: got '?high"),
        ({"total_steps": 3}, r"total_steps: got 3, but the warm-up takes 6 steps"),
    ],
)
def test_bad_arguments_are_named_before_anything_runs(arguments, message, monkeypatch):
    monkeypatch.setattr(study, "_trained", lambda *_: pytest.fail("it ran"))
    arguments = {"name": NAME, "overrides": SMALL, "total_steps": 30} | arguments
    name = arguments.pop("name")
    with pytest.raises(ValueError, match=message):
        hj.train(name, **arguments)


def test_numpy_numbers_are_taken(skipped):
    result = trained(seeds=np.arange(3, 5), grid={"agent.gamma": np.linspace(0.5, 1.0, 3)})
    assert result.seeds == (3, 4)
    assert result.grid == {"agent.gamma": (0.5, 0.75, 1.0)}
    assert trained(seeds=np.int64(2), members_at_once=jnp.int32(1)).seeds == trained(seeds=np.array(2)).seeds == (0, 1)
    assert trained(seeds=jnp.arange(3, 5)).seeds == (3, 4)


@pytest.mark.slow
def test_a_study_can_be_stepped_through_without_jit():
    """What a debugger sees of each operation, within tens of seconds; only the order of sums differs."""
    usual = trained()
    with jax.disable_jit():
        found = trained()
    assert usual.metrics.keys() == found.metrics.keys()
    for metric, array in usual.metrics.items():
        np.testing.assert_allclose(found[metric], array, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["hdm_flip_bit", "hem_flip_bit", "hpg_flip_bit", "her_ddpg_navigation"])
def test_every_population_field_may_stand_in_a_grid_of_one_program(name, skipped):
    known = set(presets.fields_of(name)) - (
        {"relabel.behaviour"} if name.startswith("hem") else set()
    )  # hem refuses it
    for field in known & set(presets.population_fields()):
        axis = [1, 2] if field == "agent.target_period" else [0.25, 0.5]
        assert hj.train(name, seeds=2, grid={field: axis}).num_programs == 1, field
    assert {varied for one in skipped for varied in one} >= {"agent.learning_rate", "agent.epsilon"}
