"""The library's own file: every bit comes back, and what cannot be used is refused by file and key."""

import os

import jax
import numpy as np
import pytest
from ring_model import trajectories

from hindsight_jax import datasets, replay, types
from hindsight_jax.datasets import native

UNIT = types.Range((0.0, 0.0), (1.0, 1.0))
SPEC = types.EnvSpec((2,), (3,), types.Discrete(1, 10_000), 6, 0.5, False, UNIT, UNIT)


def assert_same(found, expected):
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b, strict=True), found, expected)


def test_ring_to_file_to_ring_keeps_every_bit(tmp_path):
    """Of a wrapped ring with poisoned padding: lengths 0 to T, flags, dtypes, order; padding is zeros in the end."""
    ring = replay.make_ring(jax.tree.map(lambda x: x[0], trajectories(0, [4], 4)), 3)
    state = ring.add(ring.add(ring.init(), trajectories(0, [4, 2], 4)), trajectories(2, [0, 3], 4))
    datasets.save(tmp_path / "data.npz", state)
    loaded = datasets.load(tmp_path / "data.npz")
    assert loaded.length.tolist() == [2, 0, 3]
    assert loaded.terminal.tolist() == [True, True, True]
    assert loaded.observation[0, :, 0].tolist() == [1000, 1001, 1002, 0, 0]
    assert loaded.action[2, :, 0].tolist() == [3000, 3001, 3002, 0]
    _, again = datasets.to_ring(loaded)
    datasets.save(tmp_path / "again.npz", again)
    assert_same(datasets.load(tmp_path / "again.npz"), loaded)
    assert datasets.sha256(tmp_path / "again.npz") == datasets.sha256(tmp_path / "data.npz")


def test_the_keys_are_those_of_the_docstring(tmp_path):
    datasets.save(tmp_path / "data.npz", trajectories(0, [2, 1], 3))
    with np.load(tmp_path / "data.npz") as file:
        shapes = {key: (file[key].dtype.name, file[key].shape) for key in file.files}
    assert shapes == {
        "format": ("int32", ()),
        "horizon": ("int32", ()),
        "observation": ("float32", (5, 2)),
        "achieved_goal": ("float32", (5, 3)),
        "action": ("int32", (3, 1)),
        "desired_goal": ("float32", (2, 3)),
        "length": ("int32", (2,)),
        "terminal": ("bool", (2,)),
    }
    documented = {line.split()[0] for line in native.__doc__.splitlines() if line.startswith("    ")}
    assert documented == {*shapes, "goal_image"}


def test_a_task_pads_to_its_horizon(tmp_path):
    datasets.save(tmp_path / "data.npz", trajectories(0, [2, 4], 4))
    loaded = datasets.load(tmp_path / "data.npz", SPEC)
    assert loaded.action.shape == (2, 6, 1)
    assert loaded.action[:, :, 0].tolist() == [[0, 1, 0, 0, 0, 0], [1000, 1001, 1002, 1003, 0, 0]]
    assert loaded.achieved_goal[0, :, 0].tolist() == [0.25, 1.25, 2.25, 0, 0, 0, 0]


def test_continuous_actions_and_images_keep_their_bits(tmp_path):
    numbers = np.random.default_rng(0)
    frames = numbers.integers(0, 256, (2, 4, 5, 5, 3), np.uint8)
    goals = numbers.normal(size=(2, 4, 2)).astype(np.float32)
    given = types.Trajectory(
        observation=frames,
        achieved_goal=goals,
        action=numbers.uniform(-1, 1, (2, 3, 2)).astype(np.float32),
        desired_goal=goals[:, 0],
        length=np.array([3, 3], np.int32),
        terminal=np.array([False, True]),
        goal_image=frames[:, 0],
    )
    datasets.save(tmp_path / "data.npz", given)
    assert_same(datasets.load(tmp_path / "data.npz"), given)


def written(path, **changes):
    """A good file with other arrays; None leaves a key out."""
    datasets.save(path, trajectories(0, [2, 4], 4))
    with np.load(path) as file:
        arrays = {**file, **changes}
    np.savez(path, **{key: array for key, array in arrays.items() if array is not None})
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"achieved_goal": None}, r"achieved_goal: got only .*, but the file must have the keys format, horizon, obs"),
        ({"length": np.array([2, 3], np.int32)}, r"observation: got float32\[8, 2\], but it must have 7 rows"),
        ({"length": np.array([-1, 7], np.int32)}, "length: got lengths from -1 to 7"),
        ({"format": np.int32(2)}, "format: got .*2.*, but this version reads 1"),
        ({"format": np.zeros(2, np.int32)}, r"format: got int32\[2\], but this version reads 1"),
        ({"horizon": np.int32(0)}, "horizon: got .*0.*, but it must be an integer >= 1"),
        ({"horizon": np.int32(3)}, "length: got 4 actions in episode 1, but the horizon is 3"),
        ({"terminal": np.array([None, None])}, "terminal: it cannot be read .*Put back a copy"),
        ({"action": np.full((6, 1), 10_000, np.int32)}, "action: got actions from 10000 to 10000"),
    ],
)
def test_other_files_are_refused_by_key(changes, message, tmp_path):
    path = written(tmp_path / "data.npz", **changes)
    spec = None if "horizon" in changes else SPEC
    with pytest.raises(ValueError, match=rf"data\.npz: {message}"):
        datasets.load(path, spec)


def test_files_that_are_none_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"none\.npz: cannot be read \(No such file or directory\)\. Check the path"):
        datasets.load(tmp_path / "none.npz")
    with pytest.raises(ValueError, match=r"none\.npz: cannot be read"):
        datasets.sha256(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("observation")
    np.save(tmp_path / "one.npy", np.zeros(3))
    for name in ("text.npz", "one.npy"):
        with pytest.raises(ValueError, match=f"{name}: it is not an npz file"):
            datasets.load(tmp_path / name)
    damaged = bytearray(written(tmp_path / "data.npz").read_bytes())
    damaged[damaged.index(b"observation.npy") + 200] ^= 0xFF  # a byte of its numbers
    (tmp_path / "damaged.npz").write_bytes(damaged)
    with pytest.raises(ValueError, match=r"damaged\.npz: observation: it cannot be read \(Bad CRC"):
        datasets.load(tmp_path / "damaged.npz")


def test_nothing_is_written_of_what_is_refused(tmp_path):
    path = tmp_path / "data.npz"
    datasets.save(path, trajectories(0, [2], 3))
    before = path.read_bytes()
    bad = trajectories(0, [3], 3)
    bad.achieved_goal[0, 3, 0] = np.nan
    with pytest.raises(ValueError, match=r"^trajectories: achieved_goal: got a number that is not finite in row 3"):
        datasets.save(path, bad)
    with pytest.raises(ValueError, match=r"^path: got ''"):
        datasets.save("", trajectories(0, [2], 3))
    with pytest.raises(ValueError, match=r"absent/data\.npz: cannot be written \(No such file"):
        datasets.save(tmp_path / "absent" / "data.npz", trajectories(0, [2], 3))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["data.npz"]
