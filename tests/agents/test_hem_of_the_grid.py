"""hEM on grid_four_rooms with a table for its network: float64, every trajectory with its exact probability.

Its mode is the best policy after one iteration from uniform play; where the policy is sure of a wrong action it takes
several, since what is imitated is the policy's own action. So a network that walks straight on stays with it for long.

Dimension key: S = 104 cells, G = S goals, A = 4 moves, T = 31 steps.
"""

import functools

import numpy as np
import pytest
import tabular

HORIZON = 31


@functools.cache
def grid():
    """(P [S, A, S], cells [S, 2], the chance [S] of each start, a corner)."""
    transition, cells = tabular.four_rooms()
    corner = np.isin(cells, (0, 10)).all(axis=1)
    return transition, cells, corner / corner.sum()


def starts_of(goal):
    """The chance of each start [S] together with this goal, any cell but the start."""
    _, cells, chance = grid()
    return chance * (np.arange(len(cells)) != goal) / (len(cells) - 1)


def success(pi):
    """The chance that the policy pi(a | s, g) [S, G, A] reaches its goal in time, a start at a corner."""
    transition, cells, _ = grid()
    reached = 0.0
    for goal in range(len(cells)):
        step, at = np.einsum("sa,sax->sx", pi[:, goal], transition), starts_of(goal)
        for _ in range(HORIZON):
            at = at @ step
            reached += at[goal]
            at[goal] = 0.0
    return reached


def mode(pi):
    """The policy that takes the most likely action."""
    return np.eye(4)[pi.argmax(axis=-1)]


def after_an_iteration(pi):
    """(what a complete M-step makes of pi's own trajectories, [S, G, A]; the mean number of rows of one)."""
    transition, cells, _ = grid()
    rows = np.zeros((len(cells), len(cells), 4))
    for goal in range(len(cells)):
        seen, at = future(np.einsum("sa,sax->sx", pi[:, goal], transition), goal), starts_of(goal)
        for t in range(HORIZON):
            likely = at[:, None] * pi[:, goal]
            rows += np.einsum("sa,sag->sga", likely, transition @ seen[HORIZON - t])
            at = np.einsum("sa,sax->x", likely, transition)
            at[goal] = 0.0
    mass = rows.sum(axis=-1, keepdims=True)
    return np.where(mass > 0, rows / np.where(mass > 0, mass, 1), 0.25), rows.sum()


def future(step, goal):
    """[T+1, S, S]: with m steps left, the next of which leads to s', the law over future goals [M, appendix C.2].

    The sum over lengths n <= m of the rest of the episode, which ends at `goal`: a state is drawn with 1 / n.
    """
    size = len(step)
    alive = np.where((np.arange(size) == goal)[:, None] | (np.arange(size) == goal), 0.0, step)
    powers = [np.diag((np.arange(size) != goal).astype(float))]
    hit, left = [np.eye(size)[goal]], [powers[0].sum(axis=1)]  # in just n steps, and not within n
    for n in range(1, HORIZON):
        powers.append(powers[-1] @ alive)
        hit.append(step[:, goal] * left[0] if n == 1 else alive @ hit[-1])
        left.append(left[-1] - hit[-1])
    seen, ended = np.zeros((HORIZON + 1, size, size)), np.zeros((size, size))
    for m in range(1, HORIZON + 1):
        passed = lambda chance, m=m: sum(powers[i] * chance[m - 1 - i] for i in range(m))
        ended = ended + passed(hit) / m
        ended[:, goal] += hit[m - 1] / m
        seen[m] = ended + passed(left) / m
    return seen


def straight_on(share):
    """A policy that reduces the larger difference with probability `share`, whatever stands between."""
    _, cells, _ = grid()
    down, right = np.moveaxis(cells[None] - cells[:, None], -1, 0)
    move = np.where(np.abs(right) > np.abs(down), np.where(right > 0, 3, 2), np.where(down > 0, 1, 0))
    return np.where(np.eye(4)[move] > 0, share, (1 - share) / 3)


@pytest.mark.seldom
def test_one_iteration_from_uniform_play_has_the_best_mode():
    """The best policy of all reaches 0.997 (tests/support/test_tabular.py): the law of goals is no obstacle."""
    pi, rows = after_an_iteration(np.full((104, 104, 4), 0.25))
    assert success(mode(pi)) > 0.9965
    assert rows == pytest.approx(29.16, abs=0.01)  # steps of an episode: few reach their goal in 31


@pytest.mark.seldom
def test_a_policy_that_is_sure_of_the_straight_way_imitates_itself():
    """Straight on, the mode reaches 0.463. The chance of a way round is multiplied by how much better it is."""
    assert success(mode(straight_on(0.7))) == pytest.approx(0.463, abs=1e-3)
    unsure, _ = after_an_iteration(straight_on(0.4))
    assert success(mode(unsure)) > 0.99
    sure, _ = after_an_iteration(straight_on(0.7))
    assert success(sure) > success(straight_on(0.7)) + 0.15
    assert success(mode(sure)) < 0.463
