"""The two tasks: what opens a lock, and what a gamble wins."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import registering

from experiments.limits import tasks
from hindsight_jax import envs, presets, training


@pytest.mark.parametrize("env", [tasks.Lock(), tasks.Gamble()])
def test_they_are_tasks(env):
    envs.check_task(env)


def test_a_wrong_digit_closes_the_lock():
    env = tasks.Lock(size=2)
    step, state, digits = jax.jit(env.step), env.reset(jax.random.key(0)), tasks.DIGITS
    seen = []
    for action in (digits[0], (digits[1] + 1) % 3, digits[0], digits[1], 0, 1, 0, 0, 0):
        state = step(state, jnp.array([action], jnp.int32))
        seen.append(np.asarray(state.obs["observation"]))
    digit, place = np.array(seen)[:, :3].argmax(1), np.array(seen)[:, 3]
    assert digit.tolist() == [1, 0, 1, 2, 2, 2, 2, 2, 2]
    assert place.tolist() == [0, 0, 0, 0, -1, -1, -2, -3, -3]


def test_starts_anywhere_have_any_number_of_digits_open():
    reset = jax.jit(jax.vmap(tasks.Lock(size=3, start="uniform").reset))
    state = reset(jax.random.split(jax.random.key(0), 200))
    opened = np.asarray(state.obs["observation"])[:, :4].argmax(1)
    assert set(opened) == {0, 1, 2, 3}
    assert set(np.asarray(state.obs["desired_goal"]).ravel()) == {-3, -2, -1, 1, 2, 3}


@pytest.mark.seldom
def test_play_opens_a_lock_of_nine_digits_never_and_of_one_often():
    """A lock of one opens in a step with probability 1/3; of nine with 3^-9 = 5e-5, in 11 tries an episode."""
    moved = []
    for size in (1, 9):
        env = tasks.Lock(size)
        policy = lambda observation, goal, key, env=env: env.spec.action.sample(key)
        achieved = training.rollout(env, policy, jax.random.key(0), 300).trajectories.achieved_goal
        moved.append(float(jnp.mean(jnp.any(achieved != 0, axis=(1, 2)))))
    assert moved[0] > 0.9
    assert moved[1] < 0.01


def test_the_gamble_wins_at_its_chance_and_the_pit_is_kept():
    env = tasks.Gamble()
    policy = lambda observation, goal, key: jnp.array([2], jnp.int32)
    played = training.rollout(env, policy, jax.random.key(0), 2_000)
    assert abs(float(played.success_end.mean()) - tasks.CHANCE) < 4 * (0.3 * 0.7 / 2_000) ** 0.5
    places = np.asarray(played.trajectories.achieved_goal)[:, 1:, 0]
    assert set(places[:, 0]) == {5.0, tasks.PIT}
    assert np.all(places[places[:, 0] == tasks.PIT] == tasks.PIT)


def test_the_walk_is_sure():
    env = tasks.Gamble()
    policy = lambda observation, goal, key: jnp.array([1], jnp.int32)
    played = training.rollout(env, policy, jax.random.key(0), 8)
    assert played.success_end.all()
    assert played.trajectories.length.tolist() == [5] * 8


def test_they_have_names_and_no_bound_counts_luck():
    with registering.tables_restored():
        tasks.register()
        assert presets.config("nce_lock")["env.size"] == 4
        with pytest.raises(ValueError, match=r"^agent\.hindsight_bound: .*random"):
            presets.check("her_gamble", presets.config("her_gamble", {"agent.hindsight_bound": True}))
