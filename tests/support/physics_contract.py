"""What every physics task promises: a task's own tests subclass `PhysicsContract` and say how near C MuJoCo it stays.

    play = physics_contract.play_of("door", policy=pull)


    class TestContract(physics_contract.PhysicsContract):
        tolerances = ((1e-6, 1e-5), (1e-5, 1e-3), (1e-4, 1e-2))

`play` is a fixture of the module: 64 environments, one compiled reset, one compiled step, and 100 steps of them. The
task's own tests take it too, and place their states with `play.place`, so that nothing is compiled twice. A task whose
physics state is more than the engine's has that in a field named `physics`.

Dimension key: N 64 environments, T 100 steps, V degrees of freedom, S substeps, U actuators, O observation dims.
"""

import functools

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from hindsight_jax import envs, rendering, types
from hindsight_jax.envs import action_sets, physics

BATCH, STEPS = 64, 100
KEYS = jax.random.split(jax.random.key(0), BATCH)


class Play:
    """A task, and 100 steps of 64 of its environments.

    policy(observations f32[N, O], rng) gives the actions [N, D] of a step; without one they are uniform. A scripted
    one is for tasks in which a random policy touches nothing.
    """

    def __init__(self, task, policy=None, **overrides):
        self.task, self.env = task, envs.make(task, **overrides)
        self.reset, self._step = jax.jit(jax.vmap(self.env.reset)), jax.jit(jax.vmap(self.env.step))
        self.draw = jax.jit(self.env.scene)  # of one state
        kind, rng, policy = self.env.spec.action, np.random.default_rng(0), policy or self._uniform
        dtype = np.float32 if isinstance(kind, types.Box) else np.int32
        self.first = self.reset(KEYS)
        self.actions, self.trace = [], [self.first]
        for _ in range(STEPS):
            action = np.asarray(policy(np.asarray(self.trace[-1].obs["observation"]), rng), dtype)
            self.actions.append(action)
            self.trace.append(self.step(self.trace[-1], action))
        self.qpos = np.stack([engine_state(state).qpos for state in self.trace])  # [T + 1, N, V]

    def step(self, states, actions):
        """One step of 64 states with actions [N, D]. As NumPy's, for a weak type of JAX's would compile anew."""
        return self._step(states, np.asarray(actions))

    def _uniform(self, observations, rng):
        kind, shape = self.env.spec.action, (len(observations), self.env.action_size)
        return rng.uniform(-1.0, 1.0, shape) if isinstance(kind, types.Box) else rng.integers(0, kind.num_bins, shape)

    def history(self, name):
        """obs[name] of all states, [T + 1, N, ...]."""
        return np.stack([state.obs[name] for state in self.trace])

    def place(self, qpos, qvel=None):
        """64 states in the positions [n <= N, V], the last one repeated, at rest or with the velocities [n, V]."""
        full = lambda x: jnp.asarray(np.concatenate([x, np.repeat(x[-1:], BATCH - len(x), axis=0)]), jnp.float32)
        qpos = np.asarray(qpos, np.float32)
        qvel = np.zeros_like(qpos) if qvel is None else np.asarray(qvel, np.float32)
        engine = physics.Physics(full(qpos), full(qvel), full(np.zeros_like(qpos)))
        now = self.first.pipeline_state
        after = now.replace(physics=put(now.physics, engine))
        look = lambda state, now: self.env.next_state(state, now, self.env.observe(now.physics), jnp.array(True))
        return jax.vmap(look)(self.first, after)

    def with_goals(self, states, goals):
        """The 64 states with other goals f32[N, *G]; step them before you look at rewards."""
        return states.replace(pipeline_state=states.pipeline_state.replace(goal=jnp.asarray(goals)))


def play_of(task, policy=None, **overrides):
    """A fixture of the module: `play = play_of("door")`."""

    @pytest.fixture(scope="module")
    def play():
        return Play(task, policy, **overrides)

    return play


def put(now, engine):
    """The task's own physics state with the engine's state in it, where it holds more than that."""
    return engine if isinstance(now, physics.Physics) else now._replace(physics=engine)


def engine_state(state):
    """The engine's state in a state of the task."""
    now = state.pipeline_state.physics
    return now if isinstance(now, physics.Physics) else now.physics


def without_warmstart(state):
    """The state with the solver's warm start at 0: an acceleration, which makes rounding errors of places large."""
    now, blank = (
        state.pipeline_state.physics,
        lambda engine: engine._replace(warmstart=jnp.zeros_like(engine.warmstart)),
    )
    now = blank(now) if isinstance(now, physics.Physics) else now._replace(physics=blank(now.physics))
    return state.replace(pipeline_state=state.pipeline_state.replace(physics=now))


def row(tree, index):
    return jax.tree.map(lambda leaf: leaf[index], tree)


def plain(tree):
    """Typed keys as their numbers, for comparisons."""
    is_key = lambda leaf: jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.tree.map(lambda leaf: np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf), tree)


def same(one, other, atol=0.0):
    """Equal, within `atol` of each leaf's largest entry: a solver's warm start may be thousands."""

    def check(a, b):
        np.testing.assert_allclose(a, b, rtol=0.0, atol=atol * max(1.0, np.abs(b).max(initial=0.0)))

    jax.tree.map(check, plain(one), plain(other))


def in_c(play, controls_of):
    """The same actions from the same starts in C MuJoCo on the same model: (qpos [T + 1, N, V], observations).

    The controls come from the task's own `controls`, read off the C trajectory's own state: C is another environment
    that gets the same actions. Controls replayed from MJX's trajectory would drag C's servos back to it in each step,
    and hide errors. What a task's physics state holds beside the engine's, such as a key, comes from MJX's trajectory.
    """
    controls_of = jax.jit(jax.vmap(functools.partial(controls_of, play.env)))
    observe = jax.jit(jax.vmap(play.env.observe))
    runs = [_c_data(play.env.engine.model, row(engine_state(play.first), k)) for k in range(BATCH)]
    qpos, observations = [], []
    for t in range(STEPS + 1):
        now = put(play.trace[t].pipeline_state.physics, _engine_states(runs))
        qpos.append([data.qpos.copy() for data in runs])
        observations.append(observe(now))
        if t < STEPS:
            for data, controls in zip(runs, np.asarray(controls_of(now, play.actions[t])), strict=True):
                _substeps_in_c(play.env.engine.model, data, controls)
    return np.array(qpos), np.array(observations)


def _c_data(model, start):
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:], data.qacc_warmstart[:] = start
    return data


def _engine_states(runs):
    columns = zip(*((data.qpos, data.qvel, data.qacc_warmstart) for data in runs), strict=True)
    return physics.Physics(*(jnp.asarray(np.stack(column), jnp.float32) for column in columns))


def _substeps_in_c(model, data, controls):
    """Steps with the controls [S, U]."""
    for control in controls:
        data.ctrl[:] = control
        mujoco.mj_step(model, data)


def with_short_steps(asset, factor, positions, targets, num_substeps):
    """C MuJoCo's positions [T + 1, N, V] at a fraction of the timestep, from positions[0]; step t leads the slides of
    the hand, which come first, from their place in positions[t] to targets[t], in a straight line of substeps.

    The laws stay: damping, servos and contacts forget within one short substep as they did within a long one.
    """
    fine = physics.load(asset)
    fine.opt.timestep /= factor
    fine.dof_damping *= factor
    fine.actuator_gainprm[:, 0] *= factor**2
    fine.actuator_biasprm[:, 1:3] *= (factor**2, factor)
    fine.actuator_forcerange *= factor
    for solref in (fine.pair_solref, fine.jnt_solref):
        solref[:, :2] *= (factor**2, factor)
    fine.opt.iterations, fine.opt.ls_iterations = 100, 50
    data, visited = mujoco.MjData(fine), np.empty((len(targets) + 1, *positions.shape[1:]))
    slides = targets.shape[-1]
    for k in range(positions.shape[1]):
        mujoco.mj_resetData(fine, data)
        data.qpos[:] = visited[0, k] = positions[0, k]
        for t, target in enumerate(targets[:, k]):
            place = positions[t, k, :slides]
            for part in np.arange(1, num_substeps + 1)[:, None] / num_substeps:
                data.ctrl[:] = place + part * (target - place)
                mujoco.mj_step(fine, data)
            visited[t + 1, k] = data.qpos
    return visited


def hostile(kind, idle):
    """(the action that moves nothing, last entries of invalid actions) of an action set."""
    if isinstance(kind, types.Box):
        return 0.0, np.array([np.nan, np.inf, -np.inf], np.float32)
    middle = kind.num_bins // 2 if idle is None else idle
    return middle, np.array([-1, kind.num_bins, 10_000, -(2**31), 2**31 - 1], np.int32)


def no_boxes(size):
    """What is no box of that many dims: no pair, a wrong size, the wrong order, NaN, and too far away."""
    zeros, ones, far, nan = (tuple([x] * size) for x in (0.0, 1.0, 1e6, float("nan")))
    yield from ("box", 0.0, (), (zeros,), (zeros, zeros, zeros), (zeros, (*zeros, 0.0)), (zeros[1:], zeros[1:]))
    yield from ((ones, zeros), (nan, nan), (zeros, far), (far, far))


def within(error, tolerances, name):
    """The errors [T + 1, N] are small, by median and worst environment, up to the 1st, 20th and 100th step."""
    for steps, (median, worst) in zip((1, 20, 100), tolerances, strict=True):
        largest = error[: steps + 1].max(axis=0)
        got = float(np.median(largest)), float(largest.max())
        assert got[0] <= median, f"{name}, {steps} steps: (median, worst) is {got}"
        assert got[1] <= worst, f"{name}, {steps} steps: (median, worst) is {got}"


class PhysicsContract:
    """Subclass it as `class TestContract` in a module with a `play` fixture, and give the tolerances.

    What depends on the task stands in class attributes, or in methods to override.
    """

    tolerances: tuple  # (median, worst) of the 64 errors of qpos up to the 1st, 20th and 100th step
    observation_tolerances: tuple | None = None  # likewise of the observations; `tolerances` if None
    has_bins = True  # the task takes `bins`
    boxes: tuple = ()  # (override, its number of dims) of start and goal boxes, such as ("goal", 2)
    fixed_start = False  # every episode starts alike
    idle = None  # the discrete action that an invalid one counts as; the middle one if None

    def controls_of(self, env, now, action):
        """The controls [S, U] of one action, in one state."""
        return env.controls(now, action_sets.moves(env.spec.action, action, env._num_moves)[0])

    def error(self, ours, c):
        """[..., V] and [..., V] -> [...]: what `tolerances` bounds; the largest coordinate's by default."""
        return np.abs(ours - c).max(axis=-1)

    def observation_error(self, ours, c):
        """[..., O] and [..., O] -> [...]: what `observation_tolerances` bounds."""
        return np.abs(ours - c).max(axis=-1)

    def test_it_follows_c_mujoco(self, play):
        """Contacts amplify float32's errors, so they are judged by median and worst case, each up to its step."""
        qpos, observations = in_c(play, self.controls_of)
        error = self.error(play.qpos, qpos)
        assert error.max() > 0.0  # float32 against float64, not one simulator twice
        within(error, self.tolerances, "qpos")
        error = self.observation_error(play.history("observation"), observations)
        within(error, self.observation_tolerances or self.tolerances, "observation")

    def test_the_spec_describes_the_arrays(self, play):
        env, spec = play.env, play.env.spec
        assert {name: leaf.shape[1:] for name, leaf in play.first.obs.items()} == env.observation_size
        assert env.observation_size["observation"] == spec.observation_shape
        assert env.observation_size["desired_goal"] == env.observation_size["achieved_goal"] == spec.goal_shape
        assert all(leaf.dtype == jnp.float32 for leaf in play.first.obs.values())
        assert (env.action_size, env.backend, spec.horizon) == (spec.action.num_dims, "mjx", 50)
        for bounds, shape in ((spec.observation_range, spec.observation_shape), (spec.goal_range, spec.goal_shape)):
            assert len(bounds.low) == len(bounds.high) == shape[0]
            assert all(type(x) is float for x in bounds.low + bounds.high)
            assert all(low < high for low, high in zip(bounds.low, bounds.high, strict=True))
        assert type(spec.threshold) is float

    def test_every_state_has_the_structure_of_the_first(self, play):
        like = lambda s: jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype, getattr(leaf, "weak_type", False)), s)
        assert like(play.trace[0]) == like(play.trace[1]) == like(play.trace[-1])
        assert all(leaf.size > 0 for leaf in jax.tree.leaves(play.first))  # a checkpoint takes no empty arrays

    def test_a_hundred_steps_stay_finite_and_move(self, play):
        assert all(np.isfinite(leaf).all() for state in play.trace for leaf in jax.tree.leaves(plain(state)))
        assert not any(state.metrics["invalid_action"].any() for state in play.trace)
        assert np.all(np.ptp(play.qpos, axis=0).max(axis=-1) > 1e-4)

    def test_starts_and_goals_are_fresh_and_independent(self, play):
        draws = [play.reset(jax.random.split(jax.random.key(seed), BATCH)).obs for seed in range(1, 17)]
        starts = np.concatenate([draw["observation"] for draw in draws])
        goals = np.concatenate([draw["desired_goal"] for draw in draws])
        assert len(np.unique(goals, axis=0)) > 0.5 * len(goals)
        assert len(np.unique(starts, axis=0)) == 1 if self.fixed_start else len(np.unique(starts, axis=0)) > 1000
        varied = lambda x: x[:, np.ptp(x, axis=0) > 1e-6]
        starts, goals = varied(starts), varied(goals)
        assert goals.shape[1] > 0
        table = np.corrcoef(starts.T, goals.T)[: starts.shape[1], starts.shape[1] :]
        assert np.abs(table).max(initial=0.0) < 0.14  # 4.5 sigma of 1024 draws

    def test_reset_is_the_same_after_play(self, play):
        same(play.reset(KEYS), play.first)

    @pytest.mark.seldom  # compiles a reset; the tasks in plain JAX do so by default
    def test_reset_alone_takes_a_raw_key(self, play):
        same(jax.jit(play.env.reset)(jax.random.key_data(KEYS[5])), row(play.first, 5), atol=1e-6)

    @pytest.mark.parametrize("rng", [0, np.zeros(2), np.zeros(3, np.uint32), KEYS[:2]], ids=["0", "f64", "3", "two"])
    def test_reset_refuses_what_is_no_key(self, play, rng):
        with pytest.raises(ValueError, match="rng: got"):
            play.env.reset(rng)

    def test_reward_is_success_of_what_was_achieved(self, play):
        """Ten steps again; half of the environments want what they achieve in the last, and come near on the way."""
        env, achieved = play.env, play.trace[59].obs["achieved_goal"]
        goals = play.first.obs["desired_goal"].at[::2].set(achieved[::2])
        states = [play.with_goals(play.trace[49], goals)]
        for action in play.actions[49:59]:
            states.append(play.step(states[-1], action))
        np.testing.assert_array_equal(states[-1].obs["achieved_goal"], achieved)
        np.testing.assert_array_equal(states[-1].obs["desired_goal"], goals)
        assert states[-1].reward[::2].all()
        assert not states[-1].reward.all()
        for state in (play.first, *states[1:]):
            self.check_success(env, state)
        for state in states[1:]:
            np.testing.assert_array_equal(state.done, state.reward * env.spec.ends_at_success)
        assert not play.first.done.any()
        np.testing.assert_array_equal(play.history("desired_goal"), np.stack([play.first.obs["desired_goal"]] * 101))

    def check_success(self, env, state):
        """Goals, reward and metrics of 64 states follow from the observation and the goal."""
        obs = state.obs
        np.testing.assert_array_equal(obs["achieved_goal"], jax.vmap(env.achieved_goal)(obs["observation"]))
        np.testing.assert_array_equal(obs["desired_goal"], state.pipeline_state.goal)
        success = jax.vmap(env.success)(obs["achieved_goal"], obs["desired_goal"])
        distance = jax.vmap(env.distance)(obs["achieved_goal"], obs["desired_goal"])
        np.testing.assert_array_equal(success, np.asarray(distance) < np.float32(env.spec.threshold))
        np.testing.assert_array_equal(state.metrics["success"], success)
        np.testing.assert_array_equal(state.reward, success)

    def test_a_step_reads_neither_the_observation_nor_the_neighbours(self, play):
        """brax's wrappers replace `obs`; and a batch of one row repeated steps as that row did."""
        before = play.trace[7]
        blank = before.replace(obs=jax.tree.map(jnp.zeros_like, before.obs))
        same(play.step(blank, play.actions[7]), play.trace[8])
        repeated = jax.tree.map(lambda leaf: jnp.stack([leaf[3]] * BATCH), before)
        after = play.step(repeated, np.repeat(play.actions[7][3:4], BATCH, axis=0))
        same(row(after, 0), row(play.trace[8], 3), atol=1e-5)
        same(row(after, BATCH - 1), row(after, 0), atol=1e-6)

    @pytest.mark.seldom  # compiles a step for one environment, and one more operation by operation
    def test_one_environment_alone_equals_its_row_of_a_batch_and_needs_no_jit(self, play):
        alone, before, action = jax.jit(play.env.step), play.trace[7], play.actions[7]
        after = without_warmstart(play.trace[8])
        for k in (0, 31, 63):
            same(without_warmstart(alone(row(before, k), action[k])), row(after, k), atol=1e-5)
        same(without_warmstart(play.env.step(row(before, 0), action[0])), row(after, 0), atol=1e-5)

    def test_an_invalid_action_is_the_idle_one_and_is_counted(self, play):
        self.check_hostile_actions(play.env, play.step, play.trace[7])

    def test_a_state_that_is_not_finite_stays_in_its_row(self, play):
        """In C MuJoCo it would be reset without a word; here it is seen, and the neighbours step as ever."""
        before = play.trace[7]
        engine = engine_state(before)
        poisoned = put(before.pipeline_state.physics, engine._replace(qpos=engine.qpos.at[5].set(jnp.nan)))
        after = play.step(
            before.replace(pipeline_state=before.pipeline_state.replace(physics=poisoned)), play.actions[7]
        )
        assert np.isnan(engine_state(after).qpos[5]).any()
        assert np.isnan(after.obs["observation"][5]).any()
        assert after.reward[5] == 0.0
        others = lambda states: jax.tree.map(lambda leaf: np.delete(leaf, 5, axis=0), plain(states))
        jax.tree.map(np.testing.assert_array_equal, others(after), others(play.trace[8]))

    @pytest.mark.seldom  # its own compiled step
    def test_the_other_kind_of_actions_steps_and_refuses_likewise(self, play):
        other = "discrete" if isinstance(play.env.spec.action, types.Box) else "continuous"
        env = envs.make(play.task, actions=other)
        assert type(env.spec.action) is not type(play.env.spec.action)
        self.check_hostile_actions(env, jax.jit(jax.vmap(env.step)), play.trace[7])

    def check_hostile_actions(self, env, step, states):
        """Invalid rows step as idle ones do, valid ones beside them as ever, and numbers are clipped to [-1, 1]."""
        num_dims = env.action_size
        idle, bad = hostile(env.spec.action, self.idle)
        wanted = np.broadcast_to(idle, (BATCH, num_dims)).astype(bad.dtype)
        mixed = wanted.copy()
        mixed[: len(bad), -1] = bad
        after, still = step(states, mixed), step(states, wanted)
        assert after.metrics["invalid_action"].tolist() == [1.0] * len(bad) + [0.0] * (BATCH - len(bad))
        assert not still.metrics["invalid_action"].any()
        same(after.replace(metrics=still.metrics), still)
        one = step(
            states, np.full_like(wanted, 1 if isinstance(env.spec.action, types.Box) else env.spec.action.num_bins - 1)
        )
        assert np.abs(engine_state(one).qpos - engine_state(still).qpos).max() > 1e-4
        if isinstance(env.spec.action, types.Box):
            large = step(states, np.full_like(wanted, 1e30))
            same(large, one)
        state, others = row(states, 0), (np.float32, np.int32, np.bool_)
        wrong = [np.zeros(shape, bad.dtype) for shape in ((), (num_dims + 1,), (1, num_dims), (0,))]
        for action in (*wrong, *(np.zeros(num_dims, dtype) for dtype in others if dtype != bad.dtype)):
            with pytest.raises(ValueError, match="action: got"):
                env.step(state, action)

    def test_overrides_reach_the_spec(self, play):
        env = envs.make(play.task, horizon=7, threshold=0.123, actions="continuous")
        assert (env.spec.horizon, env.spec.threshold) == (7, 0.123)
        assert isinstance(env.spec.action, types.Box)
        if self.has_bins:
            moves, few = env.spec.action.num_dims, play.env.spec.action
            wanted = types.Discrete(moves, 2) if few.num_dims > 1 else types.Discrete(1, 2**moves)
            assert envs.make(play.task, actions="discrete", bins=2).spec.action == wanted

    def test_overrides_are_checked(self, play):
        nan, inf = float("nan"), float("inf")
        cases = [("threshold", value) for value in (0, 0.0, -1.0, nan, inf, "0.05", True, None, 1j, [0.1])]
        cases += [("horizon", value) for value in (0, -1, 2.5, 50.0, True, None, "50")]
        cases += [("actions", value) for value in ("Discrete", None, 9, ["discrete"])]
        cases += [("bins", value) for value in (0, 1, -3, 3.0, True, "3", None, 102)] * self.has_bins
        cases += [(name, value) for name, size in self.boxes for value in no_boxes(size)]
        for name, value in cases:
            with pytest.raises(ValueError, match=rf"^{name}: got .*, but it must .*\. \S"):
                envs.make(play.task, **{name: value})
        with pytest.raises(ValueError, match="Did you mean 'threshold'"):
            envs.make(play.task, treshold=0.1)

    def test_the_scene_is_finite_and_the_camera_sees_it(self, play):
        """The centres of what moves and of what is translucent, the goal, are in a picture of width = height."""
        scene, moved = play.draw(row(play.trace[9], 0)), play.draw(row(play.trace[60], 0))
        camera = play.env.camera()
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(scene))
        assert isinstance(scene, rendering.Scene)
        assert isinstance(camera, rendering.Camera)
        assert np.abs(np.asarray(scene.position - moved.position)).max() > 1e-4
        alpha = np.asarray(scene.rgba)[:, 3]
        assert np.any((alpha > 0) & (alpha < 1))
        shown = (alpha < 1) | np.any(scene.position != moved.position, axis=1)
        local = np.asarray((scene.position - camera.position[None]) @ camera.rotation)[shown]  # right, up, forward
        assert np.all(local[:, 2] > 0)
        scale = local[:, 2] if camera.perspective else np.ones(len(local))
        assert np.all(np.abs(local[:, :2]) < float(camera.extent) * scale[:, None])

    @pytest.mark.seldom
    def test_the_picture_shows_state_and_goal(self, play):
        camera = play.env.camera()
        picture = jax.jit(lambda state: rendering.render(play.env.scene(state), camera, 64, 64))
        now, later = row(play.trace[9], 0), row(play.trace[60], 0)
        other = row(play.with_goals(play.trace[9], jnp.roll(play.first.obs["desired_goal"], 1, axis=0)), 0)
        other = other.replace(obs={**other.obs, "desired_goal": other.pipeline_state.goal})
        image = np.asarray(picture(now))
        assert image.shape == (64, 64, 3)
        assert np.all((image >= 0) & (image <= 1))
        assert np.any(np.abs(picture(later) - image) > 0.05)
        assert np.any(np.abs(picture(other) - image) > 0.02)
