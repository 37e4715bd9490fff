"""grid_four_rooms against a map in plain Python: every cell and move, the slips, the goals, the shortest ways."""

import collections
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from hindsight_jax import envs, training, types
from hindsight_jax.envs import grid_four_rooms

WALLS = [
    (0, 5), (1, 5), (3, 5), (4, 5), (5, 0), (5, 2), (5, 3), (5, 4), (5, 5), (6, 5), (6, 6), (6, 7), (6, 9), (6, 10),
    (7, 5), (8, 5), (10, 5),
]  # fmt: skip
CELLS = [(row, column) for row in range(11) for column in range(11) if (row, column) not in WALLS]
FREE = set(CELLS)
UP, DOWN, LEFT, RIGHT = range(4)


def after(cell, action):
    """Where a move leads, in plain Python."""
    row, column = cell
    target = {UP: (row - 1, column), DOWN: (row + 1, column), LEFT: (row, column - 1), RIGHT: (row, column + 1)}[action]
    return target if target in FREE else cell


def distances(goal):
    """{cell: steps to the goal}, by breadth-first search; a move can be undone."""
    steps, queue = {goal: 0}, collections.deque([goal])
    while queue:
        cell = queue.popleft()
        for action in range(4):
            near = after(cell, action)
            if near not in steps:
                steps[near] = steps[cell] + 1
                queue.append(near)
    return steps


NUM = 20_000


@pytest.fixture(scope="module")
def task():
    return envs.make("grid_four_rooms")


@pytest.fixture(scope="module")
def step(task):
    """(states, actions) of any batch -> states."""
    return jax.jit(jax.vmap(task.step))


@pytest.fixture(scope="module")
def resets(task):
    """20 000 fresh states."""
    return jax.jit(jax.vmap(task.reset))(jax.random.split(jax.random.key(0), NUM))


@pytest.fixture(scope="module")
def standing(resets):
    """cells [2] or [20000, 2] -> 20 000 states with the walker there, each with its own key."""

    def stand(cells):
        cell = jnp.asarray(np.broadcast_to(cells, (NUM, 2)), jnp.int32)
        return resets.replace(pipeline_state=resets.pipeline_state.replace(cell=cell))

    return stand


@pytest.fixture(scope="module")
def dry():
    return envs.make("grid_four_rooms", slip=0.0)


def test_spec_has_the_numbers_of_the_table():
    cells = types.Range((0.0, 0.0), (10.0, 10.0))
    spec = envs.make("grid_four_rooms").spec
    assert spec == types.EnvSpec((2,), (2,), types.Discrete(1, 4), 31, 0.5, True, cells, cells)
    assert envs.make("grid_four_rooms").slip == 0.2


def test_the_map_has_its_walls_and_free_corners():
    assert grid_four_rooms.FREE.shape == (11, 11)
    assert [tuple(cell) for cell in np.argwhere(~grid_four_rooms.FREE)] == WALLS
    assert [tuple(cell) for cell in grid_four_rooms.CELLS] == CELLS
    assert len(CELLS) == 104
    assert all(tuple(start) in CELLS for start in grid_four_rooms.STARTS)


def test_every_move_from_every_cell_follows_plain_python(dry, standing):
    pairs = [(cell, action) for cell in CELLS for action in range(4)]
    pairs = pairs * (NUM // len(pairs)) + pairs[: NUM % len(pairs)]  # with other goals each time
    states = standing([cell for cell, _ in pairs])
    moved = jax.jit(jax.vmap(dry.step))(states, jnp.array([[action] for _, action in pairs]))
    expected = np.array([after(cell, action) for cell, action in pairs])
    np.testing.assert_array_equal(moved.obs["observation"], expected)
    np.testing.assert_array_equal(moved.pipeline_state.cell, expected)
    goal = np.asarray(states.pipeline_state.goal)
    np.testing.assert_array_equal(moved.reward, np.all(expected == goal, axis=1))
    np.testing.assert_array_equal(dry.distance(moved.obs["achieved_goal"], goal), np.abs(expected - goal).sum(axis=1))


def test_slips_have_their_frequency(step, standing):
    """In the open, 1 - 0.2 + 0.2 / 4 = 0.85 of the steps go where they should and 0.05 each other way."""
    moved = np.asarray(step(standing((2, 2)), jnp.full((NUM, 1), LEFT)).pipeline_state.cell)
    counts = np.array([np.sum(np.all(moved == after((2, 2), action), axis=1)) for action in range(4)])
    chance = np.array([0.05, 0.05, 0.85, 0.05])
    assert counts.sum() == NUM
    assert np.all(np.abs(counts - NUM * chance) < 4 * np.sqrt(NUM * chance * (1 - chance)))


def test_slips_of_successive_steps_are_independent(step, standing):
    """The walker is put back after its first step: a repeated key would repeat the slip."""
    first = step(standing((2, 2)), jnp.full((NUM, 1), LEFT))
    again = first.replace(pipeline_state=first.pipeline_state.replace(cell=jnp.full((NUM, 2), 2, jnp.int32)))
    second = step(again, jnp.full((NUM, 1), LEFT))
    slips = [np.any(np.asarray(state.pipeline_state.cell) != (2, 1), axis=1) for state in (first, second)]
    both, chance = np.sum(slips[0] & slips[1]), 0.15**2
    assert abs(both - NUM * chance) < 4 * np.sqrt(NUM * chance * (1 - chance))


def test_a_bad_action_does_not_slip(step, standing):
    moved = step(standing((2, 2)), jnp.full((NUM, 1), 4))
    assert np.all(np.asarray(moved.pipeline_state.cell) == 2)
    assert moved.metrics["invalid_action"].all()


def test_starts_are_the_corners_and_goals_any_other_free_cell(resets):
    """4 x 103 pairs, about 49 of each."""
    starts, goals = (np.asarray(resets.obs[name], int).tolist() for name in ("observation", "desired_goal"))
    counts = {(corner, cell): 0 for corner in itertools.product((0, 10), repeat=2) for cell in CELLS if cell != corner}
    for start, goal in zip(starts, goals, strict=True):
        counts[tuple(start), tuple(goal)] += 1  # another start, a wall, or the start itself would be a KeyError
    assert len(counts) == 4 * 103
    assert min(counts.values()) > 0
    assert stats.chisquare(list(counts.values())).pvalue > 1e-4


def test_sample_goal_is_uniform_over_the_free_cells(dry):
    goals = np.asarray(jax.jit(jax.vmap(dry.sample_goal))(jax.random.split(jax.random.key(1), NUM)), int)
    counts = np.zeros((11, 11))
    np.add.at(counts, tuple(goals.T), 1)
    assert not counts[tuple(np.array(WALLS).T)].any()
    assert stats.chisquare(counts[tuple(np.array(CELLS).T)]).pvalue > 1e-4


def test_the_doors_join_the_rooms():
    """Monotone ways through two doors join opposite corners: 10 + 10 steps; neighbours pay 2 for a door's detour."""
    to_top_left, to_bottom_right = distances((0, 0)), distances((10, 10))
    assert len(to_top_left) == 104
    assert to_top_left[10, 10] == 20
    assert to_top_left[0, 10] == 10 + 2 * 2  # down to row 2 and back
    assert to_top_left[10, 0] == 10 + 2 * 1  # to column 1 and back
    assert to_bottom_right[10, 0] == 10 + 2 * 1  # up to row 9 and back
    assert to_bottom_right[0, 10] == 10 + 2 * 2  # to column 8 and back
    assert distances((0, 10))[10, 0] == 20


def test_the_shortest_way_has_the_length_of_the_search(dry):
    """A table of best moves, [row, column, goal row, goal column]."""
    table = np.zeros((11, 11, 11, 11), np.int32)
    steps = {goal: distances(goal) for goal in CELLS}
    for goal in CELLS:
        for cell in CELLS:
            table[cell + goal] = min(range(4), key=lambda action: steps[goal][after(cell, action)])
    best = jnp.asarray(table)

    def policy(observation, goal, key):
        del key
        return best[tuple(jnp.concatenate([observation, goal]).astype(jnp.int32))][None]

    result = jax.jit(lambda key: training.rollout(dry, policy, key, 256))(jax.random.key(0))
    start, goal = (
        np.asarray(result.trajectories.observation[:, 0], int),
        np.asarray(result.trajectories.desired_goal, int),
    )
    expected = [steps[tuple(g)][tuple(s)] for s, g in zip(start.tolist(), goal.tolist(), strict=True)]
    np.testing.assert_array_equal(result.trajectories.length, expected)
    assert result.success_any.all()
    assert max(expected) <= 31
