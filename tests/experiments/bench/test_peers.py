"""The bench against peers: what is missing is named, what is counted follows by arithmetic, and peers do equal work."""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.bench import peers, timing
from hindsight_jax import presets
from hindsight_jax.types import Discrete, EnvSpec, Range

BOX = Range((-1.0,) * 4, (1.0,) * 4)
SPEC = EnvSpec((4,), (4,), Discrete(1, 9), 5, 0.05, False, BOX, BOX)
SMALL = {"replay.capacity": 40, "replay.warmup": 4, "agent.batch_size": 16}


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(timing, "ROUNDS", 1)
    monkeypatch.setattr(peers, "DRAWS", 3)


@pytest.fixture(scope="module")
def values():
    return presets.config(peers.CONFIG) | SMALL


def test_what_is_not_installed_is_named_and_left_out(monkeypatch):
    found = {"gymnasium"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if name in found else None)
    monkeypatch.setattr(peers, "measure_training", lambda values, populations: {"training": populations})
    monkeypatch.setattr(peers, "measure_sampling", lambda values: {"sampling": values["agent.batch_size"]})
    assert peers.missing_packages() == ["stable_baselines3", "flashbax"]
    assert peers.measure(4) == {"not_installed_stable_baselines3": 1.0, "not_installed_flashbax": 1.0}
    found.add("flashbax")
    assert peers.measure(4) == {"not_installed_stable_baselines3": 1.0, "sampling": 256}
    found.add("stable_baselines3")
    assert peers.measure(4) == {"training": (4, 16), "sampling": 256}


def test_rows_of_the_full_ring_say_where_they_lie(values):
    """1000 slot + step: every row is a step of a trajectory, its goal a later state of it or the trajectory's own."""
    draw = peers.ours(SPEC, values)
    batch = jax.tree.map(np.asarray, jax.jit(draw.take)(draw.stored, draw.inputs[0]))
    slot, step = np.divmod(batch.observation[:, 0], 1000)
    assert batch.observation.shape == (16, 4)
    assert len(set(slot)) > 5
    assert set(step) <= set(range(5))
    np.testing.assert_array_equal(batch.next_observation, batch.observation + 1)
    np.testing.assert_array_equal(batch.action, batch.observation[:, :1])
    goal = np.where(batch.relabelled, 1000 * slot + step + batch.offset, -1000 * slot)
    np.testing.assert_array_equal(batch.goal[:, 0], goal)


def test_moving_takes_what_a_batch_takes(values):
    """The same numbers of the ring for each row, and no others: 4 + 4 observed, 3 x 4 achieved, 4 desired, 1 action."""
    draw, rows = peers.moving(SPEC, values), peers.ours(SPEC, values)
    places = [x[0] for x in draw.inputs]
    achieved, observed, action, desired = jax.jit(draw.take)(draw.stored, places)
    slot, t, i = map(np.asarray, places)
    for found, index in zip((*observed, *achieved), (t, t + 1, t, t + 1, i), strict=True):
        np.testing.assert_array_equal(found, np.repeat((1000.0 * slot + index)[:, None], 4, axis=1))
    np.testing.assert_array_equal(action[:, 0], 1000 * slot + t)
    np.testing.assert_array_equal(desired[:, 0], -1000 * slot)
    assert (t.max(), i.max(), slot.max()) <= (4, 5, 39)
    batch = jax.eval_shape(rows.take, rows.stored, rows.inputs[0])
    size = lambda tree: sum(x.size for x in jax.tree.leaves(tree))
    read = size(
        [batch.observation, batch.next_observation, batch.achieved_goal, batch.next_achieved_goal, batch.action]
    )
    assert size([achieved, observed, action, desired]) == read + 2 * size(
        batch.goal
    )  # two goals, of which one is taken


def test_both_ways_of_calling_draw_every_input(values):
    draw = peers.Draw(lambda stored, x: stored + x, jnp.float32(10.0), jnp.arange(3.0))
    np.testing.assert_array_equal(peers.in_a_scan(draw)(), [10.0, 11.0, 12.0])
    seen = []
    listening = draw._replace(
        take=lambda stored, x: jax.debug.callback(lambda y: seen.append(float(y)), x, ordered=True)
    )
    peers.one_call(listening)()
    jax.effects_barrier()
    assert seen == [0.0, 1.0, 2.0]


def test_the_threads_that_train_faster_are_chosen(monkeypatch):
    """A clock of ours: with one thread a call takes 2 s, with all it takes 3 s, and the other way round."""
    for slowness, expected in (({1: 2.0, 4: 3.0}, 1), ({1: 3.0, 4: 2.0}, 4)):
        clock, chosen = [0.0], []
        torch = type("torch", (), {"set_num_threads": staticmethod(chosen.append)})
        monkeypatch.setattr(peers.importlib, "import_module", lambda name, torch=torch: torch)
        monkeypatch.setattr(peers.os, "cpu_count", lambda: 4)
        monkeypatch.setattr(peers.time, "perf_counter", lambda clock=clock: clock[0])

        def train(clock=clock, chosen=chosen, slowness=slowness):
            clock[0] += slowness[chosen[-1]]

        assert peers.choose_threads(train) == expected == chosen[-1]
        monkeypatch.undo()


def test_flashbax_draws_neighbours_of_a_full_buffer(values):
    pytest.importorskip("flashbax")
    pairs = peers.flashbax_buffer(SPEC, values, 2)
    assert pairs.stored.experience["observation"].shape == (1, 200, 4)  # 40 trajectories of 5 steps
    rows = jax.jit(pairs.take)(pairs.stored, pairs.inputs[0])
    assert {name: x.shape for name, x in rows.items()} == {
        "observation": (16, 2, 4),
        "achieved_goal": (16, 2, 4),
        "desired_goal": (16, 2, 4),
        "action": (16, 2, 1),
    }
    sequences = peers.flashbax_buffer(SPEC, values, 6, pairs.stored)
    assert jax.jit(sequences.take)(pairs.stored, pairs.inputs[0])["observation"].shape == (16, 6, 4)


@pytest.mark.slow
def test_figures_of_sampling_agree_with_one_another(values):
    pytest.importorskip("flashbax")
    figures = peers.measure_sampling(values)
    for place in ("one_call", "in_scan"):
        of = lambda name, place=place: figures[f"{name}_microseconds_{place}"]
        assert all(of(name) > 0 for name in ("ours", "moving", "flashbax_pairs", "flashbax_sequences"))
        assert figures[f"flashbax_pairs_over_ours_{place}"] == of("flashbax_pairs") / of("ours")
        assert figures[f"ours_over_moving_{place}"] == of("ours") / of("moving")


@pytest.mark.slow
def test_stable_baselines3_does_one_update_for_an_env_step(values, monkeypatch):
    baselines = pytest.importorskip("stable_baselines3")
    small = values | {"agent.hidden_sizes": (8, 8), "env.horizon": 5, "agent.updates_per_epoch": 5}
    monkeypatch.setattr(peers, "UPDATES", 1)
    kept = []
    make = peers.baselines
    monkeypatch.setattr(peers, "baselines", lambda *arguments: kept.append(make(*arguments)) or kept[0])
    figures = peers.measure_training(small, (1, 2))
    model = kept[0]
    assert isinstance(model, baselines.DQN)
    assert model.replay_buffer.her_ratio == pytest.approx(0.85)
    assert (model.replay_buffer.buffer_size, model.batch_size) == (200, 16)
    steps = 5 * peers.WARMUP_EPISODES + 2 * 5 * peers.EPISODES  # a round to warm up, and one that counts
    choosing = model._n_updates - 2 * 5 * peers.EPISODES
    assert model.num_timesteps == steps
    assert choosing in (2, 4)  # one or two numbers of threads, two calls each
    for count in (1, 2):
        speed = figures[f"ours_env_steps_per_second_{count}_seeds"]
        assert figures[f"ours_over_sb3_{count}_seeds"] == speed / figures["sb3_env_steps_per_second"]
