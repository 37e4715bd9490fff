"""Where Q-learning and imitation come to rest, on MDPs whose answer is known in closed form.

The agents are those of `presets.build`, so the options of the real rows are tested. Transitions are enumerated with the
exact frequencies that the goal law gives them; the expected gradient, of all parameters, must be 0 at the closed form,
and not beside it. Two MDPs: a chain that does as it is told, and one that slips.
"""

import itertools
import math

import fixed_points
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
import tabular
from fixed_points import GAMMA, SIZE, SLIPS
from scipy.special import logsumexp, softmax

from hindsight_jax import relabel


def test_the_frequencies_are_those_of_every_trajectory():
    """Two cells, one of whose moves slips, T = 2, by loops over all trajectories, steps and indices."""
    transition, mu = np.array([[[0.5, 0.5], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]]), np.array([[0.5, 0.5], [0.3, 0.7]])
    law, expected = relabel.hindsight(0.15, 0.2), np.zeros((2, 2, 2, 2, 2))
    pmf = [np.asarray(law.pmf(t, 2, 2)) for t in range(2)]
    for *states, first, second, own in itertools.product(range(2), repeat=6):
        actions = (first, second)
        chance = 0.25  # of start and own goal
        for t in range(2):
            chance *= mu[states[t], actions[t]] * transition[states[t], actions[t], states[t + 1]]
        for t, i in itertools.product(range(2), (-1, 1, 2)):
            goal = own if i < 0 else states[i]
            share = chance * pmf[t][i + 1] / 2
            expected[int(i == t + 1), states[t], actions[t], states[t + 1], goal] += share
    np.testing.assert_allclose(fixed_points.frequencies(transition, mu, law, horizon=2), expected, atol=1e-7)
    assert expected.sum() == pytest.approx(1)


# Q-learning


def backed_up(rows, value, reached=0.0, otherwise=-1.0, upper=math.inf):
    """[S, G, A]: the mean over the rows of a (s, a, g) of min(r + gamma V(s', g), upper), for value [S, G]."""
    target = np.minimum(np.array([otherwise, reached])[:, None, None] + GAMMA * value[None], upper)
    mean = np.einsum("nsaxg,nxg->sag", rows, target) / rows.sum((0, 3))
    return np.swapaxes(mean, 1, 2)


def solved(improve):
    """The table that `improve` leaves as it is."""
    q = np.zeros((SIZE, SIZE, 3))
    for _ in range(400):
        q = improve(q)
    assert np.abs(improve(q) - q).max() < 1e-12
    return q


def imitating(rows, q, beta):
    """One step to the rest of TD + beta imitation: per (s, g) the minimum, by Newton, for the targets of the last Q.

    With w the frequency of (s, g, a) and mu_g = w / sum_a w: 2 (Q - y) = beta (1 - pi(a) / mu_g(a)), pi = softmax Q.
    """
    y = backed_up(rows, q.max(-1), upper=0.0)
    mu = fixed_points.posterior_of(rows)
    for _ in range(8):
        pi = softmax(q, -1)
        slope = 2 * mu * (q - y) + beta * (pi - mu)
        curve = np.eye(3) * (2 * mu + beta * pi)[..., None] - beta * pi[..., None] * pi[..., None, :]
        q = q - np.linalg.solve(curve, slope[..., None])[..., 0]
    return q


def mellow(q):
    return 0.2 * (logsumexp(q / 0.2, axis=-1) - math.log(q.shape[-1]))


RESTS = {  # algorithm -> (its table from the rows, rewards (otherwise, reached))
    "her": (lambda rows: solved(lambda q: backed_up(rows, q.max(-1))), (-1.0, 0.0)),
    "her_01": (lambda rows: solved(lambda q: backed_up(rows, q.max(-1), 1.0, 0.0)), (0.0, 1.0)),
    "her_sql": (lambda rows: solved(lambda q: backed_up(rows, mellow(q))), (-1.0, 0.0)),
    "her_hbc": (lambda rows: solved(lambda q: imitating(rows, q, 1.0)), (-1.0, 0.0)),
    "hdm": (lambda rows: solved(lambda q: backed_up(rows, q.max(-1))), (-1.0, 0.0)),  # where it imitates nothing
}


@pytest.mark.parametrize("slip", SLIPS)
@pytest.mark.parametrize("algorithm", RESTS)
def test_q_learning_rests_where_its_rows_say(algorithm, slip):
    """her, and hdm where its indicator picks nothing: Q = E[r + gamma max Q']; her_01: the same with rewards (0, 1);
    her_sql: mellowmax for the maximum; her_hbc: Q = E[r + gamma max Q'] + (1 - pi(a) / mu_g(a)) / 2, with mu_g the
    share of a among the rows of (s, g). Expectations are over the rows of (s, a, g).
    """
    changes = {"agent__gamma_hdm": 0.1} if algorithm == "hdm" else {}
    values, experiment = fixed_points.build(algorithm, **changes)
    rest, rewards = RESTS[algorithm]
    rows = fixed_points.rows_of(algorithm, slip)
    assert (values["relabel.reward_otherwise"], values["relabel.reward_reached"]) == rewards
    table = rest(rows)
    batches = fixed_points.transitions(rows, rewards)
    at = lambda q: fixed_points.expected_gradient(
        experiment.agent, fixed_points.state_of(experiment.agent, q), *batches
    )
    assert fixed_points.largest(at(table)) < 2e-6
    above = at(table + 0.01)
    assert fixed_points.largest(above) > 1e-5  # so the bound above means something
    assert fixed_points.gradient_of_table(above).sum() > 0  # and it falls back


def share_of_hits(rows):
    """Of the rows of (s, a, g) that arrive at g, the share that earns the 0, [S, A, G]."""
    at_goal = np.einsum("nsagg->nsag", rows)
    return at_goal[1] / np.where(at_goal.sum(0) > 0, at_goal.sum(0), 1.0)


@pytest.mark.parametrize("slip", SLIPS)
def test_her_rests_at_the_optimum_with_the_share_of_hits_if_nothing_slips(slip):
    """Then `Tabular` gives it; with slips, hindsight goals favour the steps that led to them: values are too high."""
    rows = fixed_points.rows_of("her", slip)
    optimum = tabular.Tabular(tabular.chain(SIZE, slip)).optimal_q(GAMMA, absorbing=False, hit=share_of_hits(rows))
    excess = RESTS["her"][0](rows) - optimum
    if slip:
        assert excess.mean() > 0.02
    else:
        np.testing.assert_allclose(excess, 0.0, atol=1e-10)


@pytest.mark.parametrize("slip", SLIPS)
def test_rewards_of_zero_and_one_shift_every_value_alike(slip):
    """her_01 = her + 1 / (1 - gamma): nothing ends, so a reward that is higher by 1 at each step adds just that."""
    rows = fixed_points.rows_of("her", slip)
    np.testing.assert_allclose(RESTS["her_01"][0](rows), RESTS["her"][0](rows) + 1 / (1 - GAMMA), atol=1e-10)


def imitated(gamma_hdm, rows, table):
    """(whether a row occurs and is picked by the indicator, bool[2, S, A, S, G], the gradient of the table)."""
    _, experiment = fixed_points.build("hdm", agent__gamma_hdm=0.1)
    state = fixed_points.state_of(experiment.agent, table)
    state = state._replace(hparams=state.hparams._replace(gamma_hdm=jnp.float32(gamma_hdm)))
    batches, weights = fixed_points.transitions(rows)
    gradient, metrics = fixed_points.gradients_of(experiment.agent)(state, batches)
    expected = jax.tree.map(lambda x: np.tensordot(weights, x, 1), gradient)
    picked = np.asarray(metrics["imitated_fraction"]).reshape(rows.shape) > 0
    return picked & (rows > 0), fixed_points.gradient_of_table(expected)


@pytest.mark.parametrize("gamma_hdm", [0.36, 0.37, 0.5, 0.55, 0.85, 1.0])
def test_a_converged_q_is_imitated_near_the_goal(gamma_hdm):
    """Nothing slips, arriving earns 0: picked if it does not arrive and |V(s')| < (1 + log gamma_hdm) / (1 - gamma).

    For Q - V(s') = -1 - (1 - gamma) V(s') in [D 31]. At 0.36 < 1/e none is; at 0.37 those with V(s') = 0. TD has no
    gradient, so what is left is that of -log pi over the rows picked.
    """
    state, action, goal = (index.ravel() for index in np.indices((SIZE, 3, SIZE)))
    after = np.clip(state + action - 1, 0, SIZE - 1)
    rows = np.zeros((2, SIZE, 3, SIZE, SIZE))
    place = ((after == goal).astype(int), state, action, after, goal)
    rows[place] = 1 / len(state)
    table = tabular.Tabular(tabular.chain(SIZE)).optimal_q(GAMMA)
    picked, gradient = imitated(gamma_hdm, rows, table)
    near = np.abs(table.max(-1)[after, goal]) < (1 + math.log(gamma_hdm)) / (1 - GAMMA)
    np.testing.assert_array_equal(picked[place], near & (after != goal))
    assert picked.sum() == {0.36: 0, 0.37: 24, 1.0: 60}.get(gamma_hdm, picked.sum())  # 3 ways to each of 8, 20 pairs
    expected = np.zeros_like(table)
    log_prob_slope = np.eye(3)[action] - softmax(table, -1)[state, goal]
    np.add.at(expected, (state, goal), np.where(picked[place], -1 / len(state), 0.0)[:, None] * log_prob_slope)
    np.testing.assert_allclose(gradient, expected, atol=2e-6)


def test_a_converged_q_says_which_steps_made_progress():
    """Those that come closer: the one that arrives, too, whose V is 0 before as after, and not the one that stays."""
    _, experiment = fixed_points.build("hdm_progress")
    state, action, goal = (index.ravel() for index in np.indices((SIZE, 3, SIZE)))
    after = np.clip(state + action - 1, 0, SIZE - 1)
    rows = np.zeros((2, SIZE, 3, SIZE, SIZE))
    place = ((after == goal).astype(int), state, action, after, goal)
    rows[place] = 1 / len(state)
    table = tabular.Tabular(tabular.chain(SIZE)).optimal_q(GAMMA)
    batches, _ = fixed_points.transitions(rows)
    agent = experiment.agent
    _, metrics = fixed_points.gradients_of(agent)(fixed_points.state_of(agent, table), batches)
    picked = np.asarray(metrics["imitated_fraction"]).reshape(rows.shape) > 0
    closer = np.abs(after - goal) < np.abs(state - goal)
    np.testing.assert_array_equal(picked[place], closer)


def test_where_steps_slip_luck_is_imitated_below_one_over_e():
    """The indicator compares Q, a mean over s', with the V of one s'."""
    rows, transition = fixed_points.rows_of("hdm", 0.25), tabular.chain(SIZE, 0.25)
    table = RESTS["hdm"][0](rows)
    picked, _ = imitated(0.36, rows, table)
    value = table.max(-1)
    lucky = value[None, None] > np.einsum("sax,xg->sag", transition, value)[:, :, None]
    assert picked.any()
    assert np.all(np.broadcast_to(lucky, picked.shape)[picked])


# Imitation


@pytest.mark.parametrize("slip", SLIPS)
@pytest.mark.parametrize("algorithm", ["gcsl", "hem"])
def test_imitation_rests_at_the_posterior_of_the_behaviour(algorithm, slip):
    """pi(a | s, g) = P(a_t = a | s_t = s, s_i = g), t uniform, i uniform over t+1 .. T, under the behaviour."""
    _, experiment = fixed_points.build(algorithm)
    rows = fixed_points.rows_of(algorithm, slip)
    posterior = fixed_points.posterior_of(rows)
    assert np.abs(posterior - fixed_points.behaviour()[:, None]).max() > 0.3  # the goal says much about the action
    batches = fixed_points.transitions(rows)
    at = lambda pi: fixed_points.expected_gradient(
        experiment.agent, fixed_points.state_of(experiment.agent, np.log(pi)), *batches
    )
    assert fixed_points.largest(at(posterior)) < 2e-7
    behaviour = np.tile(fixed_points.behaviour()[:, None], (1, SIZE, 1))
    slope = fixed_points.gradient_of_table(at(behaviour))
    assert np.sum(slope * np.log(posterior / behaviour)) < -0.01  # downhill, to the posterior


def test_a_gaussian_rests_at_the_posterior_mean_and_what_is_left_of_the_variance():
    """A line, actions -1, 0, 1 alike, T = 3. If the goal is n steps ahead and z = (g - s) / 0.2, the n actions sum to z
    and are alike: each has the mean z / n. So the mean is z E[1/n | z], the variance E[(a - mean)^2].
    """
    _, experiment = fixed_points.navigating("hem", agent__hidden_sizes=(6,))
    found = []
    for start, actions in itertools.product((-0.4, 0.2), itertools.product((-1, 0, 1), repeat=3)):
        points = start + 0.2 * np.cumsum([0, *actions])
        found += [
            (points[t], actions[t], points[t + 1], points[i], i - t, 1 / (3 - t))
            for t in range(3)
            for i in range(t + 1, 4)
        ]
    point, action, after, goal, n, weight = np.array(found).T
    np.testing.assert_allclose(fixed_points.stepped(experiment.env, point, goal, action), after, atol=1e-6)
    weight, z = weight / weight.sum(), np.rint((goal - point) / 0.2)
    mean = np.array([k * np.average(1 / n[z == k], weights=weight[z == k]) for k in range(-3, 4)])
    variance = np.average((action - mean[z.astype(int) + 3]) ** 2, weights=weight)
    column = lambda x: np.asarray(x, np.float32)[:, None]
    batches = fixed_points.batches_of_one(column(point), column(action), column(after), column(goal), 0 * point)
    state = experiment.agent.init(jax.random.key(0))

    def at(mean, variance):
        params = fixed_points.through(state.params, [-1, 1], mean)
        params["params"]["log_std"] = jnp.float32(math.log(variance) / 2)
        return fixed_points.expected_gradient(experiment.agent, state._replace(params=params), batches, weight)

    assert 0.1 < variance < 2 / 3
    assert fixed_points.largest(at(mean, variance)) < 2e-6
    assert at(mean, 1.1 * variance)["params"]["log_std"] > 1e-2  # too wide: it narrows
    assert fixed_points.largest(at(1.1 * mean, variance)) > 1e-2


# The whole loop


def learnt(algorithm, slip):
    """(the table that a run has after 2000 updates, the rows of its behaviour, which stays uniform)."""
    numbers = {"env__num_envs": 20, "replay__warmup": 4000, "agent__epsilon": 1.0, "agent__learning_rate": 3e-3}
    numbers |= {} if algorithm == "gcsl" else {"agent__target_period": 1, "agent__target_rate": 0.02}
    values, experiment = fixed_points.build(algorithm, env__slip=slip, **numbers)
    state = jax.jit(experiment.run.init)(jax.random.key(0))
    state = state._replace(agent=fixed_points.state_of(experiment.agent, np.zeros((SIZE, SIZE, 3))))
    epoch = jax.jit(experiment.run.epoch)
    for _ in range(2000 // values["agent.updates_per_epoch"]):
        state, _ = epoch(state)
    place, goal = np.divmod(np.arange(SIZE * SIZE), SIZE)
    _, table = reference.forward(reference.layers_of(state.agent.params), np.eye(SIZE)[place], np.eye(SIZE)[goal])
    law = relabel.hindsight(values["relabel.behaviour"], values["relabel.next_state"])
    rows = fixed_points.frequencies(tabular.chain(SIZE, slip), np.full((SIZE, 3), 1 / 3), law)
    return table.reshape(SIZE, SIZE, 3), rows


@pytest.mark.seldom  # it trains; so does the next one
def test_a_run_of_gcsl_learns_the_posterior():
    """From a uniform policy, by ring, goal law and all; some (s, g, a) are rare, so the mean error is what counts."""
    table, rows = learnt("gcsl", 0.25)
    posterior = fixed_points.posterior_of(rows)
    error = lambda pi: np.abs(pi - posterior).mean()
    assert error(1 / 3) > 0.15
    assert error(softmax(table, -1)) < 0.03


@pytest.mark.seldom
def test_a_run_of_her_sql_learns_its_soft_values():
    """Mellowmax is smooth, so that the noise of Q hardly raises V; values range over 3, about -3."""
    table, rows = learnt("her_sql", 0.25)
    rest = RESTS["her_sql"][0](rows)
    assert np.ptp(rest) > 2.0
    assert np.abs(table - rest).mean() < 0.1
    assert np.abs(table - rest).max() < 0.3
