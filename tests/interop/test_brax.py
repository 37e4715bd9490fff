"""Environments of brax and of MuJoCo Playground as tasks: what they do by themselves is what the task does.

Dimension key: O = 4 numbers of the state, G = 2 of a goal, D = 2 of an action.
"""

import copy
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from hindsight_jax import envs, rendering, training
from hindsight_jax.interop import _brax_scene
from hindsight_jax.interop.brax import BraxTask

brax_envs = pytest.importorskip("brax.envs")
from brax.envs.wrappers import training as wrappers  # noqa: E402

FORCE, FAR = 0.1, 0.5  # what an action adds to the velocity; beyond this the ball has fallen


class Ball(brax_envs.Env):
    """A ball with momentum; it observes (x, y, x', y') and its goal (x, y), and is done once it is beyond FAR."""

    state_dim, goal_indices, goal_reach_thresh = 4, (0, 1), 0.1
    action_size, observation_size, backend = 2, 6, "none"

    def reset(self, rng):
        start, goal = jax.random.split(rng)
        now = jnp.append(jax.random.uniform(start, (2,), minval=-0.2, maxval=0.2), jnp.zeros(2))
        goal = jax.random.uniform(goal, (2,), minval=-1.0)
        zero = jnp.zeros(())
        return brax_envs.State((now, goal), jnp.concatenate([now, goal]), zero, zero, {"speed": zero}, {"rng": rng})

    def step(self, state, action):
        now, goal = state.pipeline_state
        speed = now[2:] + (FORCE * jnp.ones((1, 1)) * action)[0]  # brax's own code promotes ranks, too
        now = jnp.concatenate([now[:2] + 0.1 * speed, speed])
        state.metrics.update(speed=jnp.linalg.norm(speed))
        fallen = jnp.where(jnp.max(jnp.abs(now[:2])) > FAR, 1.0, 0.0)
        obs = jnp.concatenate([now, goal])
        return state.replace(pipeline_state=(now, goal), obs=obs, reward=-jnp.linalg.norm(now[:2] - goal), done=fallen)


@struct.dataclass
class PlaygroundState:
    """The entries of Playground's State."""

    data: Any
    obs: Any
    reward: Any
    done: Any
    metrics: Any
    info: Any


class PlaygroundBall:
    """The same ball by Playground's protocol: no class of brax, a dict observed, Python's numbers among the arrays."""

    action_size, observation_size = 2, {"state": (4,), "privileged_state": (6,)}

    def _obs(self, now):
        return {"state": now, "privileged_state": jnp.append(now, jnp.zeros(2))}

    def reset(self, rng):
        now = jnp.append(jax.random.uniform(rng, (2,), minval=-0.2, maxval=0.2), jnp.zeros(2))
        return PlaygroundState(now, self._obs(now), jnp.zeros(()), jnp.zeros(()), {}, {"rng": rng, "step": 0})

    def step(self, state, action):
        speed = state.data[2:] + FORCE * action
        now = jnp.concatenate([state.data[:2] + 0.1 * speed, speed])
        info = {**state.info, "step": state.info["step"] + 1}
        return state.replace(data=now, obs=self._obs(now), done=0.0, info=info)


def anywhere(key):
    return jax.random.uniform(key, (2,), minval=-1.0)


def playground(**arguments):
    return BraxTask(
        PlaygroundBall(),
        **{"state_dim": 4, "goal_indices": (0, 1), "threshold": 0.1, "sample_goal": anywhere, "horizon": 20}
        | arguments,
    )


TASKS = {
    "brax": lambda: BraxTask(Ball(), horizon=20),
    "brax, with goals of ours": lambda: BraxTask(Ball(), horizon=20, sample_goal=anywhere),
    "Playground": playground,
}
ACTIONS = jax.random.uniform(jax.random.key(9), (20, 2), minval=-1.0)


def played(task, key, actions=ACTIONS):
    """The states of the task, the first one included."""
    first = jax.jit(task.reset)(key)
    step = lambda state, action: (task.step(state, action),) * 2
    _, rest = jax.jit(lambda first: jax.lax.scan(step, first, actions))(first)
    return first, rest


@pytest.mark.parametrize("kind", TASKS)
def test_a_task_keeps_the_contract(kind):
    envs.check_task(TASKS[kind]())


@pytest.mark.parametrize("kind", TASKS)
def test_the_same_actions_give_the_observations_of_the_environment_by_itself(kind):
    task, env, key = TASKS[kind](), PlaygroundBall() if kind == "Playground" else Ball(), jax.random.key(3)
    first, rest = played(task, key)
    state = jax.jit(env.reset)(jax.random.key_data(jax.random.split(key)[0]))
    seen = lambda state: (state.obs["state"] if isinstance(state.obs, dict) else state.obs)[:4]
    np.testing.assert_array_equal(first.obs["observation"], seen(state))
    step = jax.jit(env.step)
    with jax.numpy_rank_promotion("allow"):
        for t, action in enumerate(ACTIONS):
            state = step(state, action)
            np.testing.assert_array_equal(rest.obs["observation"][t], seen(state))
    np.testing.assert_array_equal(rest.obs["achieved_goal"], rest.obs["observation"][:, :2])
    np.testing.assert_array_equal(rest.obs["desired_goal"], np.tile(first.obs["desired_goal"], (20, 1)))


def test_every_reset_has_a_fresh_goal_the_environment_s_own():
    task, keys = BraxTask(Ball()), jax.random.split(jax.random.key(0), 50)
    goals = jax.jit(jax.vmap(task.reset))(keys).obs["desired_goal"]
    own = jax.vmap(lambda key: Ball().reset(jax.random.key_data(jax.random.split(key)[0])).obs[4:])(keys)
    np.testing.assert_array_equal(goals, own)
    assert len(np.unique(goals)) == 100
    alone = jax.jit(task.sample_goal)(keys[0])
    np.testing.assert_array_equal(alone, Ball().reset(jax.random.key_data(keys[0])).obs[4:])


def test_goals_of_ours_come_from_a_key_of_their_own():
    task, key = BraxTask(Ball(), sample_goal=anywhere), jax.random.key(5)
    np.testing.assert_array_equal(task.reset(key).obs["desired_goal"], anywhere(jax.random.split(key)[1]))
    np.testing.assert_array_equal(task.sample_goal(key), anywhere(key))


def test_arguments_go_before_the_environment_s_attributes():
    own = BraxTask(Ball()).spec
    assert (own.observation_shape, own.goal_shape, own.threshold, own.horizon) == ((4,), (2,), 0.1, 1000)
    limits = {"observation_range": ([-2] * 3, [2] * 3), "goal_range": ([0], [3])}
    task = BraxTask(
        Ball(),
        state_dim=3,
        goal_indices=np.array([2]),
        threshold=0.3,
        horizon=1,
        sample_goal=lambda key: jax.random.uniform(key, (1,)),
        ends_at_success=True,
        **limits,
    )
    spec = task.spec
    assert (spec.observation_shape, spec.goal_shape, spec.threshold, spec.horizon) == ((3,), (1,), 0.3, 1)
    assert (spec.ends_at_success, spec.goal_range) == (True, ((0.0,), (3.0,)))
    assert float(task.achieved_goal(jnp.array([5.0, 6.0, 7.0]))[0]) == 7.0


def test_success_is_a_euclidean_distance_below_the_threshold():
    """3-4-5: 0.06 and 0.08 are 0.1 apart, which is no success; 0.06 and 0.07 are."""
    task, zero = BraxTask(Ball(), threshold=0.1), jnp.zeros(2)
    assert float(task.distance(jnp.array([3.0, 4.0]), zero)) == 5.0
    assert not task.success(jnp.array([0.0, 0.1]), zero)
    assert task.success(jnp.array([0.06, 0.07]), zero)
    first, rest = played(task, jax.random.key(0))
    near = np.linalg.norm(np.asarray(rest.obs["achieved_goal"]) - np.asarray(first.obs["desired_goal"]), axis=1) < 0.1
    np.testing.assert_array_equal(rest.reward, near.astype(np.float32))


def test_a_fall_ends_no_episode_and_a_thousand_steps_are_kept():
    """A full force along x for 1,000 steps: x' grows by 0.1 a step, so the ball falls, and falls on."""
    task = BraxTask(Ball(), horizon=1000, sample_goal=anywhere)
    policy = lambda observation, goal, key: jnp.array([1.0, 0.0])
    result = jax.jit(lambda key: training.rollout(task, policy, key, 2))(jax.random.key(0))
    x, speed = np.asarray(result.trajectories.observation)[..., [0, 2]].transpose(2, 0, 1)
    assert x.shape == (2, 1001)
    np.testing.assert_allclose(speed[:, -1], 100.0, rtol=1e-4)
    assert (np.diff(x, axis=1) > 0.0).all()
    assert (x[:, -1] > 1000.0 * FAR).all()
    assert result.trajectories.length.tolist() == [1000, 1000]
    assert not result.trajectories.terminal.any()


@pytest.mark.parametrize("kind", TASKS)
def test_compiled_and_not_and_one_by_one_and_together(kind):
    task, keys = TASKS[kind](), jax.random.split(jax.random.key(1), 3)
    together = jax.jit(jax.vmap(lambda key: played(task, key, ACTIONS[:4])[1].obs))(keys)
    for i, key in enumerate(keys):
        state = task.reset(key)
        for t in range(4):
            before = jax.tree.map(np.array, state)
            after = task.step(state, ACTIONS[t])
            jax.tree.map(np.testing.assert_array_equal, before, jax.tree.map(np.array, state))  # `step` is pure
            state = after
            for name, array in state.obs.items():
                np.testing.assert_allclose(together[name][i, t], array, rtol=1e-6, atol=1e-7)


def test_an_action_goes_to_the_environment_clipped_and_one_that_is_nan_is_none():
    task = BraxTask(Ball())
    state = task.reset(jax.random.key(0))
    moved = [task.step(state, jnp.array([x, 0.0])) for x in (5.0, 1.0, np.nan, 0.0)]
    speeds = [float(after.obs["observation"][2]) for after in moved]
    assert speeds == [np.float32(FORCE), np.float32(FORCE), 0.0, 0.0]
    assert [float(after.metrics["invalid_action"]) for after in moved] == [0.0, 0.0, 1.0, 0.0]


def test_a_goal_of_the_caller_s_is_taken_where_goals_are_ours():
    goal = jnp.array([0.25, -0.5])
    state = BraxTask(Ball(), sample_goal=anywhere).reset_to(jax.random.key(0), goal=goal)
    assert state.obs["desired_goal"].tolist() == goal.tolist()
    with pytest.raises(ValueError, match=r"^goal: got .*Ball draws its goals itself.* Give the task a sample_goal"):
        BraxTask(Ball()).reset_to(jax.random.key(0), goal=goal)
    with pytest.raises(ValueError, match=r"^start: got .*draws every start itself"):
        BraxTask(Ball()).reset_to(jax.random.key(0), start=goal)
    assert BraxTask(Ball()).reset_to(jax.random.key(0)).obs["desired_goal"].shape == (2,)


def test_a_copy_steps_on():
    task = BraxTask(Ball())
    state = task.reset(jax.random.key(2))
    again = copy.deepcopy(task)
    one, two = task.step(state, ACTIONS[0]), again.step(state, ACTIONS[0])
    np.testing.assert_array_equal(one.obs["observation"], two.obs["observation"])


class Half(brax_envs.Wrapper):
    """Halves actions; neither counts nor resets."""

    def step(self, state, action):
        return self.env.step(state, 0.5 * action)


def test_other_wrappers_are_taken_with_the_attributes_below_them():
    task = BraxTask(Half(Ball()))
    state = task.step(task.reset(jax.random.key(0)), jnp.ones(2))
    assert float(state.obs["observation"][2]) == np.float32(0.5 * FORCE)
    assert task.backend == "none"
    assert playground().backend == "mjx"


@pytest.mark.parametrize(
    "wrap",
    [
        lambda env: wrappers.EpisodeWrapper(env, 10, 1),
        wrappers.AutoResetWrapper,
        wrappers.VmapWrapper,
        lambda env: Half(wrappers.AutoResetWrapper(wrappers.EpisodeWrapper(env, 10, 1))),
    ],
)
def test_wrappers_that_reset_count_or_batch_are_refused(wrap):
    match = r"^env: got .*Wrapper.*, but no wrapper may reset it.* Pass the environment in it, env\.unwrapped\.$"
    with pytest.raises(ValueError, match=match):
        BraxTask(wrap(Ball()))


def without(*names):
    """A Ball that lacks these attributes."""
    return type("Bare", (Ball,), dict.fromkeys(names))()


def that_observes(obs):
    """A Ball whose first observation is this."""
    return type("Strange", (Ball,), {"reset": lambda self, rng: Ball.reset(self, rng).replace(obs=obs)})()


@pytest.mark.parametrize(
    ("env", "arguments", "message"),
    [
        (Ball, {}, r"env: got the class Ball, but it must be an environment"),
        (None, {}, r"env: got NoneType, but it must be an environment"),
        (envs.make("flip_bit", size=3), {}, r"env: got FlipBit, but it must be of brax, and is a task already"),
        (without("action_size"), {}, r"env\.action_size: got None, but it must be an integer >= 1"),
        (that_observes(jnp.zeros((2, 3))), {}, r"env's observation: got float32\[2, 3\], but it must be one vector"),
        (that_observes(jnp.zeros(6, jnp.int32)), {}, r"env's observation: got int32\[6\], but it must be one vector"),
        (that_observes({"pixels": jnp.zeros(6)}), {}, r"env's observation: got a dict of pixels, but .*'state'"),
        (without("state_dim"), {}, r"state_dim: got None, but Bare has no attribute state_dim in its place"),
        (without("goal_indices"), {}, r"goal_indices: got None, but Bare has no attribute goal_indices"),
        (without("goal_reach_thresh"), {}, r"threshold: got None, but Bare has no attribute goal_reach_thresh"),
        (Ball(), {"state_dim": 7}, r"state_dim: got 7, but it must be an integer in \[1, 6\]"),
        (Ball(), {"state_dim": 5}, r"state_dim: got one that leaves 1 numbers, but without sample_goal"),
        (Ball(), {"goal_indices": (0, 4)}, r"goal_indices: got \(0, 4\), but it must be one or more different"),
        (Ball(), {"goal_indices": (0, -1)}, r"goal_indices: got \(0, -1\), "),
        (Ball(), {"goal_indices": (0, 0)}, r"goal_indices: got \(0, 0\), "),
        (Ball(), {"goal_indices": ()}, r"goal_indices: got \(\), "),
        (Ball(), {"goal_indices": (0.0, 1.0)}, r"goal_indices: got \(0\.0, 1\.0\), "),
        (Ball(), {"goal_indices": 0}, r"goal_indices: got 0, "),
        (Ball(), {"threshold": 0.0}, r"threshold: got 0\.0, but it must be a finite number > 0"),
        (Ball(), {"horizon": 0}, r"horizon: got 0, but it must be an integer >= 1"),
        (Ball(), {"ends_at_success": 1}, r"ends_at_success: got 1, but it must be True or False"),
        (Ball(), {"sample_goal": 3}, r"sample_goal: got 3, but it must be a function"),
        (Ball(), {"sample_goal": lambda key: jnp.zeros(3)}, r"sample_goal\(key\): got float32\[3\], but its shape"),
        (Ball(), {"sample_goal": lambda key: jnp.zeros(2, int)}, r"sample_goal\(key\): .*its dtype must be floating"),
        (Ball(), {"goal_range": ((0, 0), (1, 0))}, r"goal_range: got .*2 finite numbers each"),
        (Ball(), {"observation_range": ((0, 0), (1, 1))}, r"observation_range: got .*4 finite numbers each"),
    ],
)
def test_wrong_arguments_are_refused(env, arguments, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        BraxTask(env, **arguments)


def test_wrong_calls_are_refused():
    task = BraxTask(Ball())
    state = task.reset(jax.random.key(0))
    with pytest.raises(ValueError, match=r"^action: got float32\[3\], but its shape must be \[2\]"):
        task.step(state, jnp.zeros(3))
    with pytest.raises(ValueError, match=r"^action: got int32\[2\], but its dtype must be floating"):
        task.step(state, jnp.zeros(2, int))
    with pytest.raises(ValueError, match=r"^state"):
        task.step(playground().reset(jax.random.key(0)), jnp.zeros(2))
    with pytest.raises(NotImplementedError, match="Ball has no system of brax"):
        task.bodies(state)


# Pictures ------------------------------------------------------------------------------------------------------------


def test_geoms_lie_where_their_links_are():
    """A capsule 1 m out along x on a link that is turned by 90 degrees about z, at (5, 0, 0): at (5, 1, 0)."""
    model = SimpleNamespace(
        geom_bodyid=np.array([0, 1, 2, 1, 1]),
        geom_type=np.array([0, 3, 2, 7, 2]),  # plane, capsule, sphere, mesh, sphere
        geom_rgba=np.array([[1, 1, 1, 1]] * 4 + [[1, 1, 1, 0]], np.float32),  # the last one is clear
        geom_pos=np.array([[0, 0, 0], [1, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]], np.float32),
        geom_quat=np.array([[1, 0, 0, 0]] * 5, np.float32),
        geom_size=np.ones((5, 3), np.float32),
    )
    system = SimpleNamespace(mj_model=model, link_names=["arm", "goal"])
    still, moving = (_brax_scene.rows_of(system, ("goal",), moving) for moving in (False, True))
    assert (still.tolist(), moving.tolist()) == ([0], [1])
    assert _brax_scene.rows_of(system, (), moving=True).tolist() == [1, 2]
    half = np.sqrt(0.5)
    links = SimpleNamespace(pos=jnp.array([[5.0, 0, 0], [0, 0, 0]]), rot=jnp.array([[half, 0, 0, half], [1, 0, 0, 0]]))
    with jax.numpy_rank_promotion("allow"):
        scene = _brax_scene.scene_of(system, moving, links)
        assert _brax_scene.scene_of(system, still).kinds == (rendering.PLANE,)
    assert scene.kinds == (rendering.CAPSULE,)
    np.testing.assert_allclose(scene.position, [[5.0, 1.0, 0.0]], atol=1e-6)
    np.testing.assert_allclose(scene.rotation[0], [[0, -1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-6)
