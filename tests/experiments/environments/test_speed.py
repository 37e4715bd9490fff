"""Speeds of tasks: what is recorded is what was done, and the raw loop does it again."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.bench import timing
from experiments.environments import speed as env_speed
from hindsight_jax import envs
from hindsight_jax.envs import physics

pytestmark = pytest.mark.seldom  # it compiles tasks, and an instrument of measurement is seldom changed
COUNT, SUBSTEPS = 3, 4


@pytest.fixture(scope="module", autouse=True)
def short():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(env_speed, "STEPS", 6)
        patch.setattr(timing, "ROUNDS", 1)
        yield


@pytest.fixture(scope="module")
def reach():
    """Compiles in little time: no contacts."""
    return envs.make("fetch_reach", actions="discrete")


@pytest.fixture(scope="module")
def path(reach):
    return env_speed.record(reach, COUNT)


def test_controls_are_what_the_actions_ask_for(reach, path):
    """The first of six steps: targets 0.05 m away, the same in all substeps; 9 i + 3 j + k means (i-1, j-1, k-1)."""
    assert path.controls.shape == (6, SUBSTEPS, COUNT, 3)
    index = np.asarray(path.actions[0, :, 0])
    moves = np.stack([index // 9 - 1, index // 3 % 3 - 1, index % 3 - 1], axis=-1)
    assert len(np.unique(moves, axis=0)) == COUNT  # the actions differ
    expected = np.asarray(path.physics.qpos) + 0.05 * moves
    np.testing.assert_allclose(path.controls[0], np.broadcast_to(expected, (SUBSTEPS, COUNT, 3)), atol=1e-6)
    assert isinstance(reach.engine, physics.Engine)  # the task is as it was


def test_the_path_starts_in_the_middle_of_an_episode(path):
    """After six steps, not at rest; `physics` is what the first states hold."""
    assert np.all(np.abs(path.physics.qvel).max(axis=1) > 0.1)
    for ours, states in zip(path.physics, path.first.pipeline_state.physics, strict=True):
        np.testing.assert_array_equal(ours, states)


def test_the_raw_loop_arrives_where_the_task_does(reach, path):
    last, (observations, achieved, rewards) = env_speed.task_loop(reach, path)()
    assert (observations.shape, achieved.shape, rewards.shape) == ((6, COUNT, 10), (6, COUNT, 3), (6, COUNT))
    with jax.numpy_rank_promotion("allow"):
        raw = env_speed.raw_mjx_loop(reach, path)()
    np.testing.assert_allclose(raw.qpos, achieved[-1], atol=1e-6)
    np.testing.assert_allclose(raw.qpos, last.pipeline_state.physics.qpos, atol=1e-6)
    assert np.abs(achieved[-1] - path.first.obs["achieved_goal"]).max() > 0.03  # they moved


def test_part_of_a_path_is_its_first_environments(path):
    part = path.of(2)
    assert part.controls.shape == (6, SUBSTEPS, 2, 3)
    np.testing.assert_array_equal(part.controls, path.controls[:, :, :2])
    np.testing.assert_array_equal(part.actions, path.actions[:, :2])
    np.testing.assert_array_equal(part.physics.qpos, path.physics.qpos[:2])
    np.testing.assert_array_equal(part.first.obs["observation"], path.first.obs["observation"][:2])


def test_a_task_in_plain_jax_has_no_raw_loop(chain):
    path = env_speed.record(chain, 4)
    assert (path.physics, path.controls) == (None, None)
    assert path.actions.shape == (6, 4, 1)
    speeds = env_speed.measure(chain, (1, 4))
    assert list(speeds) == [1, 4]
    for speed in speeds.values():
        assert (speed.raw_mjx_steps_per_second, speed.ratio) == (None, None)
        assert speed.env_steps_per_second > 0
        assert speed.compile_seconds > 0


def test_figures_follow_from_the_times(reach, path, monkeypatch):
    """6 steps of 3 environments in 0.5 s and 0.25 s: 36 and 72 a second, half of the raw loop's."""
    monkeypatch.setattr(env_speed, "task_loop", lambda env, path: lambda: jnp.zeros(()))
    monkeypatch.setattr(env_speed, "raw_mjx_loop", lambda env, path: lambda: jnp.zeros(()))
    monkeypatch.setattr(env_speed, "best_of", lambda *calls, rounds: [0.5, 0.25][: len(calls)])
    assert env_speed.speed(reach, path)[:3] == (36.0, 72.0, 0.5)
    bare = path._replace(physics=None, controls=None)
    assert env_speed.speed(reach, bare)[:3] == (36.0, None, None)
