"""Episodes with and without padding are the same data, on arrays that encode their identity."""

import jax
import numpy as np
import pytest
from ring_model import trajectories

from hindsight_jax import types
from hindsight_jax.datasets import episodes

BOX = types.Range((0.0, 0.0), (1.0, 1.0))


def test_padding_is_left_out_and_comes_back_as_zeros():
    """Of poison in the padding nothing is left; row k of the flat arrays is the state that it says it is."""
    padded = trajectories(3, [2, 0, 4], horizon=4)
    flat = episodes.flattened(padded)
    assert flat.observation[:, 0].tolist() == [3000, 3001, 3002, 4000, 5000, 5001, 5002, 5003, 5004]
    assert flat.action[:, 0].tolist() == [3000, 3001, 5000, 5001, 5002, 5003]
    again = episodes.padded(flat, 4)
    assert again.observation[0, :, 0].tolist() == [3000, 3001, 3002, 0, 0]
    assert again.action[1].tolist() == [[0]] * 4
    for name, array in episodes.flattened(again)._asdict().items():
        np.testing.assert_array_equal(array, getattr(flat, name), strict=True)
    longer = episodes.padded(flat, 7)
    assert longer.observation.shape == (3, 8, 2)
    np.testing.assert_array_equal(longer.observation[:, :5], again.observation)


@pytest.mark.parametrize(
    ("field", "change", "message"),
    [
        ("action", lambda x: x[0], r"trajectories\.action: got int32\[3, 1\], but it must have rank 3"),
        ("observation", lambda x: x[:, :-1], r"trajectories\.observation: .* must be \[2, 4\]: N = 2, T = 3"),
        ("desired_goal", lambda x: x[:1], r"trajectories\.desired_goal: .* must be \[2\]"),
        ("length", lambda x: x + 2, r"trajectories\.length: got .* must lie in \[0, 3\]"),
        (
            "length",
            lambda x: x.astype(float),
            r"trajectories\.length: got float64\[2\], but its dtype must be an integer",
        ),
        ("terminal", lambda x: None, r"trajectories\.terminal: got None, but it must be an array"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(field, change, message):
    padded = trajectories(0, [3, 2], horizon=3)
    with pytest.raises(ValueError, match=f"^{message}"):
        episodes.flattened(padded._replace(**{field: change(getattr(padded, field))}))


SPEC = types.EnvSpec((2,), (3,), types.Discrete(1, 1003), 4, 0.5, False, BOX, BOX)
GOOD = jax.tree.map(np.asarray, trajectories(0, [3, 0, 1], horizon=4))


def replaced(field, change):
    flat = episodes.flattened(GOOD)._replace(action=np.array([[0], [1], [2], [3]], np.int32))
    return flat._replace(**{field: change(np.array(getattr(flat, field)))})


def with_nan(x):
    x[2, 1] = np.nan
    return x


@pytest.mark.parametrize(
    ("field", "change", "message"),
    [
        ("observation", lambda x: x.astype(np.float64), r"observation: got float64\[7, 2\].* float32 or uint8"),
        ("observation", lambda x: x[1:], r"observation: got float32\[6, 2\].* 7 rows: 3 episodes of 4 actions in all"),
        ("observation", with_nan, "observation: got a number that is not finite in row 2"),
        ("observation", lambda x: x[:, :1], r"observation: .* of this task a row of it is float32\[2\]"),
        ("achieved_goal", with_nan, "achieved_goal: got a number that is not finite in row 2"),
        ("action", lambda x: x[:-1], r"action: got int32\[3, 1\].* 4 rows"),
        ("action", lambda x: x.astype(np.int64), r"action: got int64\[4, 1\]"),
        ("action", lambda x: x.astype(np.float32) / 4, r"action: got float32\[4, 1\].* int32\[1\]"),
        ("action", lambda x: x - 1, r"action: got actions from -1 to 2, but they must lie in \[0, 1002\]"),
        ("action", lambda x: x + 1000, r"action: got actions from 1000 to 1003"),
        ("action", lambda x: x[:, 0], r"action: .* must be \[A, D\]"),
        ("desired_goal", lambda x: x[:, :2], r"desired_goal: .* the shape of an achieved goal, \[3\]"),
        ("length", lambda x: x - 1, "length: got lengths from -1 to 2"),
        ("length", lambda x: x * 0, "length: got lengths from 0 to 0"),
        ("length", lambda x: x[None], r"length: .* must be \[N\]"),
        ("terminal", lambda x: x.astype(np.int32), r"terminal: got int32\[3\].* bool"),
        ("goal_image", lambda x: np.zeros((3, 4, 4, 3), np.uint8), "goal_image: .* of this task it is not so"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused_with_file_and_key(field, change, message):
    with pytest.raises(ValueError, match=rf"^data\.npz: {message}"):
        episodes.check(episodes.Source("data.npz"), replaced(field, change), 4, SPEC)


def test_what_can_is_not():
    episodes.check(episodes.Source("data.npz"), replaced("action", lambda x: x), 4, SPEC)


def test_an_episode_longer_than_the_horizon_is_refused():
    with pytest.raises(ValueError, match=r"^f: ends: got 3 actions in episode 0, but the horizon is 2\. Give .* of 3"):
        episodes.check(episodes.Source("f", {"length": "ends"}), replaced("action", lambda x: x), 2)


@pytest.mark.parametrize(("value", "good"), [(1.0, True), (1.001, False), (np.nan, False)])
def test_continuous_actions_lie_in_the_box(value, good):
    flat = replaced("action", lambda x: np.full((4, 1), value, np.float32))
    box = SPEC._replace(action=types.Box(1))
    if good:
        episodes.check(episodes.Source("f"), flat, 4, box)
        return
    with pytest.raises(ValueError, match=r"^f: action: got "):
        episodes.check(episodes.Source("f"), flat, 4, box)


def test_the_horizon_is_the_tasks_the_given_or_the_longest_episodes():
    flat = episodes.flattened(GOOD)
    assert episodes.horizon_of(flat, SPEC, 9) == 4
    assert episodes.horizon_of(flat, None, 9) == 9
    assert episodes.horizon_of(flat, None, None) == 3
