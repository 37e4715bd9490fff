"""A Gymnasium environment as a task: what is played is what the environment said, and what cannot be is refused."""

import signal

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import plane_and_bits
import pytest
import registering
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from plane_and_bits import Bits, Counting, Plane

import hindsight_jax.interop.gymnasium  # registers our own tasks
from hindsight_jax import envs, presets, training, types
from hindsight_jax.interop.gymnasium_task import GymnasiumTask

HORIZON = 4


def counting(**arguments):
    """Seeds 2 and 3 end after as many steps, by success if even; seed 9 goes on to the horizon."""
    options = {"threshold": 0.5, "horizon": HORIZON, "num_envs": 3}
    make = lambda: Counting(ends=lambda seed: seed, by_success=lambda seed: seed % 2 == 0)
    return GymnasiumTask(make, **options | arguments)


def limited():
    """Bits, truncated after 7 steps by Gymnasium's wrapper."""
    return gymnasium.make(EnvSpec("Bits-v0", entry_point=Bits, max_episode_steps=7))


def by_time(t, observation, goal):
    """Actions that say when they were taken."""
    return np.full((len(observation), 1), t, np.int32)


@pytest.fixture(scope="module")
def played():
    return counting().play(by_time, np.array([2, 3, 9]))


def test_the_states_are_the_environments_the_terminal_ones_included_and_no_later_reset(played):
    """Rows are (seed, step, action before)."""
    for episode, (seed, length) in enumerate(((2, 2), (3, 3), (9, 4))):
        wanted = np.zeros((HORIZON + 1, 3))
        wanted[: length + 1] = [[seed, t, 9 + t if t else -1] for t in range(length + 1)]
        np.testing.assert_array_equal(played.observation[episode], wanted)
        np.testing.assert_array_equal(played.achieved_goal[episode, :, 0], wanted[:, 1])
    assert played.desired_goal.tolist() == [[2.0], [3.0], [9.0]]
    assert played.observation.dtype == played.desired_goal.dtype == np.float32


def test_actions_lengths_and_ends(played):
    """Action t is t, which the space of 10 .. 14 has as 10 + t: the environment's own record of it, above."""
    assert played.action[:, :, 0].tolist() == [[0, 1, 0, 0], [0, 1, 2, 0], [0, 1, 2, 3]]
    assert played.action.dtype == played.length.dtype == np.int32
    assert played.length.tolist() == [2, 3, 4]
    assert played.terminal.tolist() == [True, False, False]  # seed 3 was truncated, seed 9 never over
    assert played.success is None


def test_the_policy_sees_the_newest_observation_and_the_goal():
    seen = []

    def policy(t, observation, goal):
        seen.append((t, observation[:, :2].tolist(), goal.tolist()))
        return by_time(t, observation, goal)

    counting().play(policy, np.array([9, 8]))
    assert seen == [(t, [[9.0, t], [8.0, t]], [[9.0], [8.0]]) for t in range(HORIZON)]


def test_environments_are_kept_and_each_episode_begins_by_its_own_seed():
    made = []

    class Noted(Counting):
        def __init__(self):
            super().__init__(ends=lambda seed: seed)
            made.append(self)

    task = GymnasiumTask(Noted, threshold=0.5, horizon=HORIZON)
    for seeds in ([2, 3], [5, 2], [9, 9]):
        played = task.play(by_time, np.array(seeds))
        assert played.observation[:, 0].tolist() == [[seed, 0, -1] for seed in seeds]
    assert len(made) == 1 + 2  # one was looked at, two play side by side
    task.close()
    task.play(by_time, np.array([5, 2]))
    assert len(made) == 1 + 2 + 2


def test_the_description_is_the_environments():
    spec = GymnasiumTask(Bits, threshold=0.5, horizon=6).spec
    zeros, ones = (0.0,) * 4, (1.0,) * 4
    assert spec == types.EnvSpec(
        observation_shape=(4,),
        goal_shape=(4,),
        action=types.Discrete(1, 4),
        horizon=6,
        threshold=0.5,
        ends_at_success=False,
        observation_range=types.Range(zeros, ones),
        goal_range=types.Range(zeros, ones),
    )
    assert GymnasiumTask(limited, threshold=0.5).spec.horizon == 7
    assert GymnasiumTask(limited, threshold=0.5, horizon=3).spec.horizon == 3
    assert GymnasiumTask(lambda: Plane("continuous"), threshold=0.15, horizon=3).spec.action == types.Box(2)
    assert counting().spec.goal_range == types.Range((-1.0,), (1.0,))
    assert counting(goal_range=([0], [9])).spec.goal_range == types.Range((0.0,), (9.0,))


@pytest.mark.parametrize("actions", ["discrete", "continuous"])
def test_moves_are_those_of_the_actions_and_success_is_what_the_info_says(actions):
    task = GymnasiumTask(lambda: Plane(actions), threshold=0.15, horizon=8)
    toward = lambda t, observation, goal: np.clip((goal - observation) / 0.25, -1.0, 1.0).astype(np.float32)
    policy = toward if actions == "continuous" else lambda *seen: (np.rint(toward(*seen)) + 1).astype(np.int32)
    played = task.play(policy, np.arange(6))
    move = played.action - (actions == "discrete")
    after = np.clip(played.observation[:, :-1] + 0.25 * move, -1.0, 1.0)
    np.testing.assert_allclose(played.observation[:, 1:], after, atol=1e-6)
    distance = np.linalg.norm(played.achieved_goal[:, 1:] - played.desired_goal[:, None], axis=-1)
    np.testing.assert_array_equal(played.success, distance < 0.15)
    assert 0.3 < played.success.mean() < 1.0
    assert played.length.tolist() == [8] * 6


def test_the_distance_of_a_caller_is_that_of_success():
    first = lambda achieved, desired: jnp.abs(achieved - desired)[..., 0]
    task = GymnasiumTask(Quiet, threshold=0.5, horizon=2, distance=first)
    assert task.success(jnp.array([1.0, 0.0, 0.0, 0.0]), jnp.array([1.0, 1.0, 1.0, 1.0]))
    assert not task.success(jnp.array([0.5, 0.0, 0.0, 0.0]), jnp.array([1.0, 0.0, 0.0, 0.0]))  # strictly


class Quiet(Bits):
    """Says nothing of rewards."""

    def step(self, action):
        self.now = self.moved(action)
        return self.seen(), 0.0, False, False, {}

    compute_reward = property()


@pytest.mark.seldom
def test_a_task_of_ours_seen_through_gymnasium_has_its_shapes_lengths_and_successes():
    """Bits that differ are flipped in turn: as many actions, then the episode is over, and its last state the goal."""
    ours = envs.make("flip_bit", size=4, horizon=3)
    task = GymnasiumTask(lambda: gymnasium.make("hindsight_jax/FlipBit-v0", size=4, horizon=3), threshold=0.5)
    assert (task.spec.action, task.spec.horizon) == (ours.spec.action, ours.spec.horizon)
    differing = lambda observation, goal, key: jnp.argmax(observation != goal, axis=-1, keepdims=True).astype(jnp.int32)
    direct = training.rollout(ours, differing, jax.random.key(0), 6).trajectories
    played = task.play(lambda t, *seen: np.asarray(differing(*seen, None)), np.arange(6))
    for name, array in direct._asdict().items():
        if array is not None:
            assert getattr(played, name).shape == array.shape, name
            assert getattr(played, name).dtype == array.dtype, name
    for found in (direct, played):
        count = np.abs(np.asarray(found.observation[:, 0] - found.desired_goal)).sum(axis=1)
        assert found.length.tolist() == np.minimum(count, 3).tolist()
        assert found.terminal.tolist() == (count <= 3).tolist()
        last = np.asarray(found.achieved_goal)[np.arange(6), np.asarray(found.length)]
        assert np.all(last == found.desired_goal, axis=1).tolist() == (count <= 3).tolist()
        assert set(count.tolist()) >= {1, 2, 3}
    assert played.success.sum(axis=1).tolist() == played.terminal.tolist()


@pytest.mark.seldom  # starts processes
def test_processes_play_the_same_episodes():
    seeds, policy = np.array([3, 4]), lambda t, observation, goal: by_time(t % 2, observation, goal)
    task = GymnasiumTask(Bits, threshold=0.5, horizon=3, vectorization_mode="async")
    try:
        apart = task.play(policy, seeds)
        task.play(policy, seeds[::-1])
        again = task.play(policy, seeds)
    finally:
        task.close()
    together = GymnasiumTask(Bits, threshold=0.5, horizon=3).play(policy, seeds)
    jax.tree.map(np.testing.assert_array_equal, apart, together)
    jax.tree.map(np.testing.assert_array_equal, again, together)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler  # the processes alone leave Ctrl-C to others


def test_pictures_are_watched_where_the_environment_draws():
    task = GymnasiumTask(lambda: Bits(render_mode="rgb_array"), threshold=0.5, horizon=2)
    seen = []
    task.play(by_time, np.array([1, 2]), seen.append)
    assert task.renders
    assert [[picture.shape for picture in pictures] for pictures in seen] == [[(20, 30, 3)] * 2] * 3
    assert not counting().renders


# ---- refusals


class Odd(Bits):
    """Bits with other spaces or observations."""

    def __init__(self, parts=None, actions=None, **changes):
        super().__init__()
        self.changes = changes
        if parts is not None:
            self.observation_space = parts
        self.action_space = actions or self.action_space

    def step(self, action):
        observation, *rest = super().step(action)
        return observation | self.changes, *rest


def dictionary(**changes):
    box = spaces.Box(0.0, 1.0, (4,))
    return spaces.Dict({"observation": box, "achieved_goal": box, "desired_goal": box} | changes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Odd(parts=spaces.Box(0.0, 1.0, (4,))),
            "observation_space of Odd: .* must be a Dict of obs",
        ),
        (lambda: Odd(parts=dictionary(time=spaces.Box(0, 1, (1,)))), "observation_space of Odd: .*and nothing else"),
        (
            lambda: Odd(parts=spaces.Dict({"observation": spaces.Box(0, 1, (4,))})),
            "of Odd: got .'observation'., ",
        ),
        (
            lambda: Odd(parts=dictionary(observation=spaces.Box(0, 255, (8, 8, 3), np.uint8))),
            r"observation_space\['observation'\] of Odd: .*images are not supported",
        ),
        (lambda: Odd(parts=dictionary(observation=spaces.Discrete(3))), "it must be a Box or MultiBinary"),
        (lambda: Odd(parts=dictionary(achieved_goal=spaces.Box(0, 1, (3,)))), "both must be goals, of one shape"),
        (lambda: Odd(actions=spaces.MultiDiscrete([2, 3])), "action_space: .*every dimension must have as many bins"),
        (lambda: Odd(actions=spaces.Box(-np.inf, np.inf, (2,))), "action_space: .*it must be bounded"),
        (lambda: Odd(actions=spaces.MultiBinary(4)), "action_space: .*it must be a Discrete, a MultiDiscrete or a Box"),
        (lambda: Odd(observation=np.full(4, np.nan)), "observation of Odd: got .nan.*must be finite"),
        (lambda: Odd(observation=np.full(4, 1e300)), "observation of Odd: got .inf.*must be finite"),
        (lambda: Odd(observation=np.zeros(5)), r"observation of Odd: got shape \[5\], but its space says \[4\]"),
        (lambda: Odd(desired_goal=np.full(4, 3.0)), "desired_goal of Odd: .*must stay for an episode"),
        (lambda: Odd(more=1), "observation of Odd: .*it must have observation, achieved_goal, desired_goal"),
        (lambda: "an environment", "make.*: got str"),
        (lambda: gymnasium.vector.SyncVectorEnv([Bits]), "make: .*it must make one environment"),
    ],
)
def test_what_is_no_environment_of_goals_is_refused_at_once(make, message):
    with pytest.raises(ValueError, match=message):
        GymnasiumTask(make, threshold=0.5, horizon=3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threshold": 0.0}, "threshold: got 0.0"),
        ({"horizon": None}, "horizon: got None, but an episode must have a number of steps"),
        ({"horizon": 0}, "horizon: got 0"),
        ({"num_envs": 0}, "num_envs: got 0"),
        ({"vectorization_mode": "threads"}, "vectorization_mode: got 'threads'"),
        ({"goal_range": ([0.0], [1.0])}, "goal_range: .*4 finite numbers each"),
        ({"observation_range": ([1.0] * 4, [0.0] * 4)}, "observation_range: .*each low below its high"),
        ({"distance": lambda achieved, desired: jnp.sum(achieved - desired)}, r"distance: .*it must make float32\[2\]"),
        ({"threshold": 1.5}, "compute_reward of Bits: got reward -1 for .*by distance and threshold that is success"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        GymnasiumTask(Bits, **{"threshold": 0.5, "horizon": 3} | arguments)


def test_a_horizon_beyond_the_limit_of_time_is_refused():
    with pytest.raises(ValueError, match=r"horizon: got 8, but it must be .* at most spec.max_episode_steps, 7"):
        GymnasiumTask(limited, threshold=0.5, horizon=8)


def test_trouble_later_in_a_run_is_refused_as_well():
    class Late(Bits):
        def reset(self, *, seed=None, options=None):
            self.bad = seed == 77
            return super().reset(seed=seed)

        def step(self, action):
            observation, *rest, info = super().step(action)
            return observation | {"achieved_goal": np.full(4, np.inf if self.bad else 0.0)}, *rest, info

        compute_reward = plane_and_bits.GoalGymnasium.compute_reward

    task = GymnasiumTask(Late, threshold=0.5, horizon=3)
    task.play(by_time, np.array([76, 78]))
    with pytest.raises(ValueError, match=r"achieved_goal of Late: .*finite"):
        task.play(by_time, np.array([76, 77]))


def test_a_success_that_is_said_at_some_steps_alone_is_that_of_the_distance():
    class AtTheEnd(Bits):
        def step(self, action):
            return *super().step(action)[:-1], {}

    assert GymnasiumTask(AtTheEnd, threshold=0.5, horizon=3).play(by_time, np.array([1])).success is None


def test_resets_that_do_not_follow_their_seed_are_a_warning():
    class Unseeded(Bits):
        def draw(self):
            self.drawn = getattr(self, "drawn", 0) + 1
            return np.full(4, self.drawn % 3 / 2)

    with pytest.warns(UserWarning, match=r"Unseeded: two reset\(seed=0\) differ"):
        GymnasiumTask(Unseeded, threshold=0.5, horizon=3)


@pytest.mark.slow  # compiles and trains
@pytest.mark.parametrize("algorithm", ["hem", "her_ddpg_dense"])
def test_continuous_actions_are_learnt(algorithm):
    """Hardly any goal by chance, and nearly all after ten collections."""
    make = lambda: GymnasiumTask(lambda: Plane("continuous"), threshold=0.15, horizon=10)
    uniform = lambda t, observation, goal: np.random.default_rng(t).uniform(-1.0, 1.0, (64, 2)).astype(np.float32)
    assert make().play(uniform, np.arange(64)).success[:, -1].mean() < 0.1
    with registering.tables_restored():
        presets.register_environment("plane", make, help="a point", actions=("continuous",), horizon=10)
        small = {"env.num_envs": 16, "agent.hidden_sizes": (64, 64), "agent.batch_size": 128, "replay.capacity": 500}
        small |= {"evaluation.every": 1600, "evaluation.episodes": 64}
        study = hindsight_jax.train(f"{algorithm}_plane", seeds=1, overrides=small, total_steps=1800)
    assert study["success_end"][0, -1] > 0.8
