"""Flat files of steps, as OGBench has them: where episodes end, which actions count, and what is refused."""

import numpy as np
import pytest

from hindsight_jax import datasets, envs, types
from hindsight_jax.datasets import flat

# Two episodes, of 2 actions and of 1: the third and the fifth row are last states, whose actions lead nowhere.
ROWS = {
    "observations": np.array([[0, 0.5, 9], [1, 0.5, 9], [2, 0.5, 9], [1000, 0.5, 9], [1001, 0.5, 9]]),
    "actions": np.array([[0.0], [0.1], [7.0], [0.2], [np.nan]]),
    "terminals": np.array([0, 0, 1, 0, 1]),
    "qpos": np.zeros((5, 4)),
}


def written(path, **changes):
    np.savez(path, **{key: array for key, array in (ROWS | changes).items() if array is not None})
    return path


def test_a_file_is_read_as_its_rows_say(tmp_path):
    read = datasets.read_flat(written(tmp_path / "d.npz"), (0, 2))
    assert read.length.tolist() == [2, 1]
    assert read.observation[:, :, 0].tolist() == [[0, 1, 2], [1000, 1001, 0]]
    assert read.achieved_goal.tolist() == [[[0, 9], [1, 9], [2, 9]], [[1000, 9], [1001, 9], [0, 0]]]
    np.testing.assert_array_equal(read.action[..., 0], np.float32([[0.0, 0.1], [0.2, 0.0]]))
    assert read.desired_goal.tolist() == [[2, 9], [1001, 9]]
    assert read.terminal.tolist() == [False, False]
    assert {x.dtype.name for x in (read.observation, read.achieved_goal, read.action, read.desired_goal)} == {"float32"}


def test_a_function_says_what_a_state_achieves(tmp_path):
    read = datasets.read_flat(written(tmp_path / "d.npz"), lambda observation: -observation[:, :1], horizon=4)
    assert read.action.shape == (2, 4, 1)
    assert read.achieved_goal[0, :3, 0].tolist() == [0, -1, -2]


def test_integer_actions_may_have_no_axis(tmp_path):
    path = written(tmp_path / "d.npz", actions=np.array([3, 4, -1, 5, -1]))
    read = datasets.read_flat(path, (0,))
    assert (read.action.dtype, read.action[..., 0].tolist()) == (np.int32, [[3, 4], [5, 0]])


@pytest.mark.parametrize("task", ["navigation", "flip_bit"])
def test_what_is_written_is_read_back(task, tmp_path):
    """But for goals, and the reason of an episode's end."""
    import jax

    env = envs.make(task, size=3, **({"actions": "continuous"} if task == "navigation" else {}))
    given = datasets.load(_collected(env, tmp_path / "own.npz"))
    datasets.write_flat(tmp_path / "d.npz", given)
    read = datasets.read_flat(tmp_path / "d.npz", jax.vmap(env.achieved_goal), env.spec)
    for name in ("observation", "achieved_goal", "action", "length"):
        np.testing.assert_array_equal(getattr(read, name), getattr(given, name), strict=True)


def _collected(env, path):
    import jax

    datasets.save(path, datasets.collect(env, None, jax.random.key(0), 5))
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"terminals": None}, "d.npz: terminals: got only observations, actions, qpos, but the file must have"),
        ({"terminals": np.array([0, 0, 1, 0, 0])}, "d.npz: terminals: got 0 in the last row"),
        (
            {"terminals": np.array([0, 2, 1, 0, 1])},
            r"d.npz: terminals: got int64\[5\], but it must be \[R\], of 0 and 1",
        ),
        ({"actions": np.zeros((4, 1))}, r"d.npz: actions: got float64\[4, 1\], but terminals has 5 rows"),
        ({"actions": np.full((5, 1), 1.5)}, r"d.npz: actions: got actions from 1.5 to 1.5, .* \[-1.0, 1.0\]"),
        ({"actions": np.array([[0.0], [np.nan], [0.0], [0.0], [0.0]])}, "d.npz: actions: got a number .* in row 1"),
        ({"observations": np.array(["a"] * 5)}, r"d.npz: observations: got <U1\[5\]"),
    ],
)
def test_files_that_do_not_fit_are_refused_by_key(changes, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        datasets.read_flat(written(tmp_path / "d.npz", **changes), lambda x: np.zeros((len(x), 1)))


@pytest.mark.parametrize(
    ("goal", "message"),
    [
        ((0, 3), r"achieved_goal: got \(0, 3\), but it must be a function, or indices in 0\.\.2"),
        ((), "achieved_goal: got "),
        (lambda x: x[0], r"achieved_goal: got a function that returns float32\[3\]"),
    ],
)
def test_goals_that_are_none_are_refused(goal, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        datasets.read_flat(written(tmp_path / "d.npz"), goal)


def test_other_tasks_and_horizons_are_refused(tmp_path):
    path = written(tmp_path / "d.npz")
    unit = types.Range((0.0,), (1.0,))
    spec = types.EnvSpec((2,), (1,), types.Box(1), 5, 0.1, False, unit, unit)
    with pytest.raises(
        ValueError, match=r"observations: got float32\[5, 3\], but of this task a row of it is float32\[2\]"
    ):
        datasets.read_flat(path, (0,), spec)
    with pytest.raises(ValueError, match="terminals: got 2 actions in episode 0, but the horizon is 1"):
        flat.read_flat(path, (0,), horizon=1)
