"""The exact numbers of `tabular` against other ways to the same number: by hand, linear solves, and simulation."""

import jax
import jax.numpy as jnp
import numpy as np
import probes
import pytest
import tabular
from scipy import stats

from hindsight_jax import envs, training
from hindsight_jax.envs import grid_four_rooms


def random_mdp(num_states, num_actions, seed=0):
    """(P, pi [S, A], pi [S, G, A]) with every entry positive."""
    rng = np.random.default_rng(seed)
    shapes = [(num_states, num_actions), (num_states,), (num_states, num_states)]
    rows = lambda shape, size: rng.dirichlet(np.ones(size), shape)
    return rows(shapes[0], num_states), rows(shapes[1], num_actions), rows(shapes[2], num_actions)


@pytest.mark.parametrize("absorbing", [True, False])
def test_a_golden_pair_of_states(absorbing):
    """Action 0 stays, action 1 changes the state with probability 3/4, gamma 1/2, goal 1, from state 0.

    absorbing: Q(go) = -1/4 + 1/2 1/4 Q(go) = -(1/4) / (7/8) = -2/7; Q(stay) = -1 + 1/2 Q(go) = -8/7. Q(1, stay) = 0.
    Always bootstrapping, the best at the goal is to stay, at 0: the same numbers.
    """
    table = tabular.Tabular([[[1.0, 0.0], [0.25, 0.75]], [[0.0, 1.0], [0.75, 0.25]]])
    q = table.optimal_q(0.5, absorbing=absorbing)
    np.testing.assert_allclose(q[0, 1], [-8 / 7, -2 / 7], atol=1e-11)
    # leave the goal: 3/4 of the time -1 and then -2/7; or else arrive at once
    np.testing.assert_allclose(q[1, 1], [0.0, 0.75 * (-1 + 0.5 * -2 / 7)], atol=1e-11)
    np.testing.assert_allclose(q[1, 0], q[0, 1], atol=1e-11)  # by symmetry


def test_an_absorbing_goal_does_not_pay_for_what_comes_after():
    """Two states that swap: at goal 1 from 0 the swap arrives, 0; if the chain goes on, it leaves again at -1.

    Always bootstrapping: Q(0) = 0 + gamma Q(1), Q(1) = -1 + gamma Q(0): Q(0) = -gamma / (1 - gamma^2) = -2/3 at 1/2.
    """
    swap = tabular.Tabular([[[0.0, 1.0]], [[1.0, 0.0]]])
    np.testing.assert_allclose(swap.optimal_q(0.5)[:, 1, 0], [0.0, -1.0], atol=1e-11)
    np.testing.assert_allclose(swap.optimal_q(0.5, absorbing=False)[:, 1, 0], [-2 / 3, -4 / 3], atol=1e-11)
    never = swap.optimal_q(0.5, absorbing=False, hit=0.0)
    np.testing.assert_allclose(never, -2.0, atol=1e-11)  # no row is relabelled to its own next state: -1 / (1 - gamma)


@pytest.mark.parametrize("absorbing", [True, False])
def test_optimal_values_are_those_of_their_greedy_policy_and_none_is_better(absorbing):
    transition, _, pi = random_mdp(6, 3)
    table, gamma = tabular.Tabular(transition), 0.9
    best = table.optimal_q(gamma, absorbing=absorbing)
    greedy = np.eye(3)[best.argmax(axis=-1)]
    np.testing.assert_allclose(table.policy_q(greedy, gamma, absorbing=absorbing), best, atol=1e-10)
    assert np.all(table.policy_q(pi, gamma, absorbing=absorbing) < best)


@pytest.mark.parametrize("absorbing", [True, False])
def test_a_policy_s_values_satisfy_bellman_s_equation_entry_by_entry(absorbing):
    transition, _, pi = random_mdp(4, 2, seed=1)
    hit = np.random.default_rng(2).uniform(size=(4, 2, 4))
    q = tabular.Tabular(transition).policy_q(pi, 0.8, absorbing=absorbing, hit=hit)
    for s, g, a in np.ndindex(4, 4, 2):
        expected = 0.0
        for after, chance in enumerate(transition[s, a]):
            later = 0.0 if absorbing and after == g else 0.8 * pi[after, g] @ q[after, g]
            expected += chance * ((hit[s, a, g] - 1 if after == g else -1.0) + later)
        assert q[s, g, a] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("absorbing", [True, False])
def test_the_chain_of_the_probes_has_these_values(absorbing):
    q = tabular.Tabular(tabular.chain(5)).optimal_q(0.9, absorbing=absorbing)
    np.testing.assert_allclose(q, probes.Chain().exact_q(0.9), atol=1e-11)


def test_occupancy_and_visitation_are_laws_and_follow_their_recursions():
    """p(s+ | s, a) = (1 - gamma) P(s+ | s, a) + gamma E p(s+ | s', a'); d = (1 - gamma) start + gamma d P_pi."""
    transition, pi, _ = random_mdp(5, 3)
    table, gamma, start = tabular.Tabular(transition), 0.7, np.array([0.5, 0.5, 0.0, 0.0, 0.0])
    future, visits = table.occupancy(pi, gamma), table.visitation(pi, gamma, start)
    np.testing.assert_allclose(future.sum(axis=-1), 1.0, atol=1e-12)
    assert visits.sum() == pytest.approx(1.0, abs=1e-12)
    assert min(future.min(), visits.min()) > 0
    later = np.einsum("sat,tb,tbg->sag", transition, pi, future)
    np.testing.assert_allclose(future, (1 - gamma) * transition + gamma * later, atol=1e-12)
    step = np.einsum("sa,sat->st", pi, transition)
    np.testing.assert_allclose(visits, (1 - gamma) * start + gamma * visits @ step, atol=1e-12)


def test_the_environment_visits_what_occupancy_says():
    """10 000 episodes of 40 uniform actions; s+ is the state after 1 + K actions, K geometric: (1 - gamma) gamma^K."""
    table, gamma, num, start = tabular.Tabular(random_mdp(4, 2)[0]), 0.7, 10_000, np.array([0.0, 0.25, 0.0, 0.75])
    env = tabular.TabularEnv(table.transition, start, horizon=40, ends_at_success=False)
    policy = lambda observation, goal, key: env.spec.action.sample(key)
    episodes = jax.jit(lambda key: training.rollout(env, policy, key, num).trajectories)(jax.random.key(0))
    states, first = np.asarray(episodes.observation).argmax(axis=-1), np.asarray(episodes.action)[:, 0, 0]
    wait = np.random.default_rng(0).geometric(1 - gamma, num)
    assert np.all(wait <= 40)
    future = states[np.arange(num), np.minimum(wait, 40)]
    exact = table.occupancy(np.full((4, 2), 0.5), gamma)
    for state, action in ((1, 0), (1, 1), (3, 0), (3, 1)):
        rows = (states[:, 0] == state) & (first == action)
        counts = np.bincount(future[rows], minlength=4)
        assert stats.chisquare(counts, rows.sum() * exact[state, action]).pvalue > 1e-4
    starts = np.bincount(states[:, 0], minlength=4)
    assert starts[[0, 2]].tolist() == [0, 0]
    assert stats.chisquare(starts[[1, 3]], [num / 4, 3 * num / 4]).pvalue > 1e-4
    assert stats.chisquare(np.asarray(episodes.desired_goal).sum(axis=0)).pvalue > 1e-4  # every state is a goal


def test_states_are_equal_or_one_apart():
    env = tabular.TabularEnv(tabular.chain(3))
    assert [float(env.distance(jnp.eye(3)[1], row)) for row in jnp.eye(3)] == [1.0, 0.0, 1.0]


def test_four_rooms_as_a_table_has_the_step_frequencies_of_the_task():
    """Every cell and action 500 times: each entry within 5 sigma, none that is 0, chi-squared over all."""
    transition, cells = tabular.four_rooms()
    assert transition.shape == (104, 4, 104)
    np.testing.assert_allclose(transition.sum(axis=-1), 1.0, atol=1e-12)
    env, repeats = envs.make("grid_four_rooms"), 500

    def land(key, cell, action):
        walk = grid_four_rooms.Walk(cell, jnp.zeros(2), key)
        state = env.first_state(walk, cell.astype(jnp.float32))
        return env.step(state, action[None]).pipeline_state.cell

    state, action = (index.ravel() for index in np.indices((104, 4)))
    every = jax.jit(jax.vmap(jax.vmap(land, (0, 0, 0)), (0, None, None)))
    keys = jax.random.split(jax.random.key(1), (repeats, len(state)))
    landed = np.asarray(every(keys, jnp.asarray(cells[state], jnp.int32), jnp.asarray(action, jnp.int32)))
    number = np.full((11, 11), -1)
    number[tuple(cells.T)] = np.arange(104)
    counts = np.zeros((104, 4, 104))
    np.add.at(counts, (state[None], action[None], number[landed[..., 0], landed[..., 1]]), 1)
    assert not counts[transition == 0].any()
    expected, possible = repeats * transition, transition > 0
    sigma = np.sqrt(expected * (1 - transition))
    assert np.all(np.abs(counts - expected) <= 5 * sigma + 1e-6)
    chi2 = np.sum((counts - expected)[possible] ** 2 / expected[possible])
    assert stats.chi2(possible.sum() - 416).sf(chi2) > 1e-4


def test_four_rooms_without_slips_takes_the_shortest_way():
    """From corner to opposite corner: 20 steps, of which the last one is free: V = -(1 + .. + gamma^18)."""
    transition, cells = tabular.four_rooms(slip=0.0)
    index = {tuple(cell): i for i, cell in enumerate(cells.tolist())}
    q = tabular.Tabular(transition).optimal_q(0.9)
    assert q[index[0, 0], index[10, 10]].max() == pytest.approx(-(1 - 0.9**19) / 0.1, abs=1e-9)


def test_bad_tables_are_refused():
    with pytest.raises(ValueError, match=r"transition: got float64\[2, 1, 2\], but its rows must be probabilities"):
        tabular.Tabular([[[0.5, 0.4]], [[0.0, 1.0]]])
    with pytest.raises(ValueError, match="transition: got"):
        tabular.Tabular(np.full((2, 1, 3), 1 / 3))
    with pytest.raises(ValueError, match="transition: got"):
        tabular.Tabular([0.5, 0.5])
    table = tabular.Tabular(tabular.chain(3))
    for gamma in (-0.1, 1.0, float("nan")):
        with pytest.raises(ValueError, match="gamma: got"):
            table.optimal_q(gamma)
    with pytest.raises(ValueError, match="hit: got"):
        table.optimal_q(0.9, hit=1.5)
    with pytest.raises(ValueError, match="hit: got"):
        table.optimal_q(0.9, hit=np.ones(3))
    with pytest.raises(ValueError, match="pi: got"):
        table.policy_q(np.full((3, 3), 1 / 3), 0.9)
    with pytest.raises(ValueError, match="start: got"):
        tabular.TabularEnv(tabular.chain(3), start=[0.5, 0.5])


def test_the_best_policy_of_the_four_rooms_reaches_nearly_every_goal_in_31_steps():
    """By dynamic programming; docs/results.md quotes it beside what is learnt."""
    transition, cells = tabular.four_rooms(slip=0.2)
    corners = [i for i, cell in enumerate(cells.tolist()) if cell in [[0, 0], [0, 10], [10, 0], [10, 10]]]
    reached = np.eye(len(cells))  # [state, goal], the goal absorbing
    for _ in range(31):
        best = np.einsum("sat,tg->sag", transition, reached).max(axis=1)
        reached = np.maximum(best, np.eye(len(cells)))
    chances = [reached[corner, goal] for corner in corners for goal in range(len(cells)) if goal != corner]
    assert abs(np.mean(chances) - 0.997) < 5e-4
