"""Minari's data sets, on this disk alone: there and back, and what is refused."""

import warnings

import jax
import numpy as np
import pytest

from hindsight_jax import datasets, envs
from hindsight_jax.datasets import minari as adapter


def test_without_minari_the_error_names_the_extra(monkeypatch, tmp_path):
    real = adapter.importlib.import_module
    blocked = lambda name: (_ for _ in ()).throw(ImportError(name)) if name == "minari" else real(name)
    monkeypatch.setattr(adapter.importlib, "import_module", blocked)
    with pytest.raises(ImportError, match=r'need Minari: pip install "hindsight-jax\[minari\]"'):
        datasets.read_minari(tmp_path)


@pytest.fixture
def minari(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    return pytest.importorskip("minari")


def write(name, data, spec):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an author and a description, which are not given here
        datasets.write_minari(name, data, spec)


@pytest.mark.parametrize(
    ("task", "options"), [("navigation", {"actions": "continuous", "size": 2}), ("flip_bit", {"size": 3})]
)
def test_what_is_written_is_read_back_to_the_bit(task, options, minari, tmp_path):
    """Episodes of unequal length, of which some end by success."""
    env = envs.make(task, **options)
    given = datasets.collect(env, None, jax.random.key(1), 20)
    assert 0 < given.terminal.sum() < 20
    assert len(set(given.length.tolist())) > 1
    datasets.save(tmp_path / "own.npz", given)
    write("test/data-v0", given, env.spec)
    read = datasets.read_minari(tmp_path / "test" / "data-v0", env.spec)
    expected = datasets.load(tmp_path / "own.npz", env.spec)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b, strict=True), read, expected)
    episode = minari.load_dataset("test/data-v0")[0]
    assert (episode.rewards.sum(), episode.terminations[-1]) == (given.terminal[0], given.terminal[0])


def made(minari, name, observation_space, observations):
    """A data set of one episode of two actions."""
    from gymnasium import spaces
    from minari.data_collector import EpisodeBuffer

    buffer = EpisodeBuffer(
        id=0,
        observations=observations,
        actions=np.zeros((2, 1), np.float32),
        rewards=np.zeros(2),
        terminations=np.zeros(2, bool),
        truncations=np.array([False, True]),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        minari.create_dataset_from_buffers(
            name, [buffer], observation_space=observation_space, action_space=spaces.Box(-1, 1, (1,), np.float32)
        )


def test_a_goal_that_moves_on_is_refused_or_left_out(minari, tmp_path):
    from gymnasium import spaces

    number = lambda: spaces.Box(-9, 9, (1,), np.float64)
    column = lambda *values: np.array(values, np.float64)[:, None]
    parts = {"observation": column(1, 2, 3), "achieved_goal": column(4, 5, 6), "desired_goal": column(7, 7, 8)}
    made(minari, "moving-v0", spaces.Dict({name: number() for name in parts}), parts)
    with pytest.raises(ValueError, match=r'episode 0: desired_goal: got several, .* Pass goals="final"'):
        datasets.read_minari(tmp_path / "moving-v0")
    read = datasets.read_minari(tmp_path / "moving-v0", goals="final", horizon=3)
    assert read.desired_goal.tolist() == [[6.0]]
    assert (read.observation.dtype, read.observation[0, :, 0].tolist()) == (np.float32, [1, 2, 3, 0])
    assert read.terminal.tolist() == [False]


def test_what_has_no_goals_is_refused(minari, tmp_path):
    from gymnasium import spaces

    made(minari, "plain-v0", spaces.Box(-9, 9, (1,), np.float32), np.zeros((3, 1), np.float32))
    with pytest.raises(ValueError, match=r"episode 0: got float32\[3, 1\], but observations must be dicts with observ"):
        datasets.read_minari(tmp_path / "plain-v0")
    with pytest.raises(ValueError, match="absent: it is no data set of Minari"):
        datasets.read_minari(tmp_path / "absent")
    with pytest.raises(ValueError, match=r"^goals: got 'mine'"):
        datasets.read_minari(tmp_path / "plain-v0", goals="mine")
    assert len(minari.list_local_datasets()) == 1
