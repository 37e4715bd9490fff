"""What JAX's global settings must not change: a program, a draw, or the dtype of anything that is stored."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
import unusual

import hindsight_jax as hj
from hindsight_jax import envs, losses, numerics, presets, training, types
from hindsight_jax.envs import registry

RBG = jax.random.key(7, impl="rbg")


def same_in_both(make):
    """What `make` returns under `unusual.settings`, once that is the same as without."""
    usual = make()
    with unusual.settings():
        assert make() == usual
    return usual


def test_arrays_are_narrow_inside_and_the_settings_stay_outside():
    def seen(wide, key, static=3):
        assert isinstance(static, int)
        return wide + jnp.zeros(2), jnp.arange(2), jax.random.key_impl(key), jax.random.key_impl(jax.random.key(0))

    with unusual.settings():
        total, count, *kinds = numerics.steady(seen)(jnp.ones(2, jnp.float64), key=RBG)
        assert jnp.zeros(2).dtype == jnp.float64
    assert (total.dtype, count.dtype, *kinds) == (jnp.float32, jnp.int32, "threefry2x32", "threefry2x32")


def test_arguments_of_a_type_that_is_kept_are_passed_as_they_are():
    with jax.enable_x64(True):
        given = types.Range(jnp.zeros(2), jnp.ones(2))
        narrow, wide = numerics.steady(lambda *args: args, kept=(types.Range,))([given.low], given)
    assert narrow[0].dtype == jnp.float32
    assert wide is given


def test_arguments_without_wide_arrays_are_passed_on_as_they_are():
    given = {"a": np.float64(1.0), "b": [jnp.ones(2), None, "text"]}
    assert numerics.steady(lambda x: x)(given) is given


@pytest.mark.parametrize("seed", [0, 7, -1, 2**31 - 1])
def test_a_key_is_threefry_s_of_its_seed_for_every_setting(seed):
    assert same_in_both(lambda: jax.random.key_data(numerics.key(seed)).tolist()) == [0, seed % 2**32]


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg", "unsafe_rbg"])
def test_a_key_of_another_generator_gives_the_threefry_key_of_its_seed(impl):
    key = jax.random.key_data(jax.random.key(5, impl=impl))
    assert numerics.threefry(key) == numerics.key(5)


def small(name):
    """Values that make a preset small, of those that it has."""
    sizes = {**tiny.VALUES, "agent.group_size": 2, "agent.encoder_features": 8}
    known = presets.config(name)
    return presets.config(name, {field: value for field, value in sizes.items() if field in known})


def programs(name):
    """The jaxprs of a member's start, epoch and evaluation: what is compiled, to the letter."""
    run = presets.build(name, small(name)).run
    key = training.member_keys(0, 1)[0]
    state = jax.eval_shape(run.init, key)
    calls = ((run.init, key), (run.epoch, state), (run.evaluate, state, key))
    return [str(jax.make_jaxpr(function)(*arguments)) for function, *arguments in calls]


def marked(mark, *names):
    return [pytest.param(name, marks=mark) for name in names]


ROWS = (
    *(f"{row}_flip_bit" for row in ("hdm", "her_01", "her_sql", "her_hbc", "hem", "hpg_baseline", "reinforce")),
    *("her_ddpg_clipped_navigation", "her_ddpg_dense_navigation", "hdm_point_mass_pixels", "hem_reacher_pixels"),
    *("sac_her_navigation", "crl_navigation"),
    *("her_four_rooms", "her_lunar_lander", "her_push", "her_door", "her_claw", "her_fetch_reach"),
)


@pytest.mark.parametrize(
    "name",
    [
        "her_flip_bit",
        *marked(pytest.mark.seldom, "gcsl_flip_bit", "her_ddpg_navigation", "hpg_flip_bit"),
        *marked(pytest.mark.slow, *ROWS),
    ],
)
def test_a_training_is_the_same_program_for_every_setting(name):
    assert all("f32[" in program and "f64" not in program for program in same_in_both(lambda: programs(name)))


QUICK = ("flip_bit", "grid_four_rooms", "navigation")
ENGINE = [name for name in registry.OF_PAPERS if name not in (*QUICK, "point_mass")]


@pytest.mark.parametrize(
    "name", [*QUICK, *marked(pytest.mark.seldom, "point_mass"), *marked(pytest.mark.slow, *ENGINE)]
)
def test_a_task_is_the_same_program_for_every_setting(name):
    def made():
        env = envs.make(name)
        envs.check_task(env)
        key = numerics.key(0)
        state, action = jax.eval_shape(env.reset, key), jax.eval_shape(env.spec.action.sample, key)
        return [str(jax.make_jaxpr(env.reset)(key)), str(jax.make_jaxpr(env.step)(state, action))]

    assert not any("f64" in program for program in same_in_both(made))


class Plain(envs.PureTask):
    """A user's own task, written with JAX's default dtypes."""

    def __init__(self):
        box = types.Range((-1.0, -1.0), (1.0, 1.0))
        self._spec = types.EnvSpec((2,), (2,), types.Box(2), 3, 0.1, False, box, box)
        self.centre = jnp.zeros(2)

    def distance(self, achieved, desired):
        return jnp.linalg.norm(achieved - desired, axis=-1)

    def sample_goal(self, key):
        return jax.random.uniform(key, (2,), minval=-1.0)

    def reset(self, rng):
        return self.first_state(envs.PipelineState(self.centre, self.sample_goal(envs.typed(rng))), jnp.zeros(2))

    def step(self, state, action):
        moved = state.pipeline_state.physics + 0.1 * action
        valid = jnp.array(True)
        return self.next_state(state, envs.PipelineState(moved, state.pipeline_state.goal), moved, valid)


def test_a_task_of_a_user_s_own_is_rolled_out_in_float32():
    def found():
        env = Plain()
        envs.check_task(env)
        policy = lambda observation, goal, key: jax.random.normal(key, (2,))
        played = training.rollout(env, policy, jax.random.key(0), 2)
        example = training.example_trajectory(env)
        assert {name: x.dtype for name, x in example._asdict().items() if x is not None} == {
            name: x.dtype for name, x in played.trajectories._asdict().items() if x is not None
        }
        return [(str(leaf.dtype), leaf.tolist()) for leaf in jax.tree.leaves(played)]

    assert {dtype for dtype, _ in same_in_both(found)} == {"float32", "int32", "bool"}


@pytest.mark.seldom
def test_pictures_are_of_float32():
    def drawn():
        env = envs.make("flip_bit", size=3)
        state = env.reset(jax.random.key(0))
        image = hj.rendering.render(env.scene(state), env.camera(), 8, 8)
        return str(image.dtype), hj.rendering.to_uint8(image).tolist()

    assert same_in_both(drawn)[0] == "float32"


@pytest.mark.parametrize("dtype", [jnp.float32, *marked(pytest.mark.seldom, jnp.float64)])
def test_losses_keep_the_dtype_of_their_inputs(dtype):
    """Hyper-parameters are Python numbers, which decide nothing."""
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"):
        x, row, grid = jnp.asarray(-1.0, dtype), jnp.arange(3, dtype=dtype), jnp.ones((2, 3), dtype)
        taken, every = jnp.int32(1), jnp.ones(3, bool)
        found = {
            "action_value": losses.action_value(row, taken),
            "greedy_value": losses.greedy_value(row),
            "double_value": losses.double_value(row, selector=row),
            "mellow_value": losses.mellow_value(row, temperature=0.2),
            "factorised": losses.factorised(losses.action_value)(grid, jnp.zeros(2, int)),
            "log_prob": losses.log_prob(row, taken),
            "gaussian_log_prob": losses.gaussian_log_prob(row, row, row),
            "behaviour_cloning": losses.behaviour_cloning(x),
            "td_error": losses.td_error(x, x, 0.9, x, upper=0.0),
            "td": losses.td(x, -1.0, 0.9, x),
            "hdm_indicator": losses.hdm_indicator(x, x, gamma_hdm=0.5),
            "hdm": losses.hdm(x, x, -1.0, 0.9, x, x, gamma_hdm=0.5, beta=1.0, upper=0.0),
            "next_state": losses.next_state(x, gamma_hdm=0.5, beta=1.0),
            "m_step": losses.m_step(row, every),
            "e_step": losses.e_step(row, row, temperature=1.0),
            "hindsight_policy_gradient": losses.hindsight_policy_gradient(grid, grid, grid, jnp.ones((2, 3), int)),
            "dpg_actor": losses.dpg_actor(x, row, l2=1.0),
            "tanh_gaussian_log_prob": losses.tanh_gaussian_log_prob(row, row, row),
            "steps_to_goal": losses.steps_to_goal(x, gamma=0.9),
            "progress": losses.progress(x, x, gamma=0.9),
            "progress_indicator": losses.progress_indicator(x, x, gamma=0.9, steps=0.5),
            "q_filter": losses.q_filter(x, x),
            "advantage_weight": losses.advantage_weight(x, scale=10.0),
            "wgcsl_weight": losses.wgcsl_weight(x, taken, gamma=0.9, cutoff=0.0),
            "expectile": losses.expectile(x, tau=0.7),
            "soft_value": losses.soft_value(x, x, temperature=0.5),
            "soft_actor": losses.soft_actor(x, x, temperature=0.5),
            "temperature_loss": losses.temperature_loss(x, x, target_entropy=-0.5),
            **{f"divergence {f}": losses.divergence(x, x, x, 0.9, f=f, r=-1.0) for f in losses.DIVERGENCES},
            "info_nce": losses.info_nce(jnp.ones((3, 3), dtype)),
            "logsumexp_penalty": losses.logsumexp_penalty(jnp.ones((3, 3), dtype)),
            "nce": losses.nce(x, row, k=2.0),
            "energy_weight": losses.energy_weight(jnp.ones(2, dtype), grid, 0.9),
        }
    functions = {name for name in losses.__all__ if callable(getattr(losses, name))}
    functions -= {"Divergence", "up_to_ratio"}  # they make no loss
    assert {name.split()[0] for name in found} == functions
    assert {name: str(value.dtype) for name, value in found.items() if value.dtype != dtype} == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    "setting",
    [
        lambda: jax.enable_x64(True),
        lambda: jax.numpy_dtype_promotion("strict"),
        lambda: jax.default_prng_impl("rbg"),
        lambda: jax.default_prng_impl("unsafe_rbg"),
    ],
    ids=["x64", "strict", "rbg", "unsafe_rbg"],
)
def test_a_study_has_the_same_numbers_and_its_members_do_not_meet(setting):
    train = lambda seeds: hj.train(tiny.NAME, seeds=seeds, overrides=tiny.VALUES, total_steps=30).metrics
    usual = train([0, 1])
    with setting():
        found, second = train([0, 1]), train([1])
    for metric, array in usual.items():
        np.testing.assert_array_equal(found[metric], array)
        np.testing.assert_array_equal(second[metric][0], array[1])
