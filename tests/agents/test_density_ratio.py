"""The agent of density ratios: its losses on a batch by hand, and where each family comes to rest, in closed form.

Dimension key: B rows, M other goals, S = 5 cells of a chain, G = S goals, A = 3 actions; tables are [S, G, A].
"""

import functools
import typing

import fixed_points
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
import tabular
from fixed_points import GAMMA, SIZE
from scipy.special import logsumexp, softmax

from hindsight_jax import agents, losses, types
from hindsight_jax.agents.density_ratio import F

JOINTS = types.Discrete(2, 3)  # a factorised set
NUM_OTHERS = 5


def test_f_is_any_divergence_of_the_losses():
    literal, _ = typing.get_args(F)
    assert typing.get_args(literal) == tuple(losses.DIVERGENCES)


# A batch by hand


@functools.cache
def made(family, f="squared_hellinger", num_others=NUM_OTHERS, action=JOINTS):
    agent = agents.density_ratio(reference.spec(action), hidden_sizes=(4,), family=family, f=f, num_others=num_others)
    return agent, jax.jit(agent.update)


def heads(params, observation, goal):
    """[B, D, K]"""
    outputs = reference.forward(reference.layers_of(params), observation, goal)[1]
    return outputs.reshape(len(outputs), *JOINTS)


def taken(params, observation, goal, action):
    """Q of the actions, [B]."""
    return np.take_along_axis(heads(params, observation, goal), action[..., None], 2)[..., 0].sum(1)


def mellow(params, observation, goal, tau):
    """V, [B]."""
    q = heads(params, observation, goal)
    return (tau * (logsumexp(q / tau, axis=2) - np.log(q.shape[2]))).sum(1)


def states(family, **numbers):
    """A state whose target network is another."""
    agent, _ = made(family)
    state, other = (agent.init(jax.random.key(seed), numbers) for seed in (3, 4))
    return state._replace(target_params=None if family == "nce" else other.params)


def by_hand(family, state, batch):
    """(loss, metrics) with a loop over the other goals; `NUM_OTHERS` of 12 rows, by place."""
    hparams, others = reference.numbers_of(state), [np.roll(batch.goal, -m, axis=0) for m in range(1, NUM_OTHERS + 1)]
    of_others = np.stack([taken(state.params, batch.observation, goal, batch.action) for goal in others])  # [M, B]
    own = taken(state.params, batch.observation, batch.goal, batch.action)
    more = {}
    if family == "nce":
        k = hparams["noise_ratio"]
        total = np.logaddexp(0, np.log(k) - own) + k * np.logaddexp(0, of_others - np.log(k)).mean(0)
    elif family == "f_divergence":
        tau, gamma, t = hparams["temperature"], hparams["gamma"], hparams["largest_ratio"]
        mean = lambda params, seen: np.mean([mellow(params, seen, goal, tau) for goal in others], axis=0)
        x = gamma * mellow(state.target_params, batch.next_observation, batch.goal, tau) - own
        end = 1 - 1 / np.sqrt(t)
        conjugate = np.where(x <= end, 1 / (1 - np.minimum(x, end)) - 1, t * x - (np.sqrt(t) - 1) ** 2)
        policy, later = mean(state.params, batch.observation), mean(state.target_params, batch.next_observation)
        total, more = conjugate + policy - gamma * later, {"ratio_cut_fraction": np.mean(x >= end)}
    else:
        gamma = hparams["gamma"]
        own = taken(state.params, batch.observation, batch.next_achieved_goal, batch.action)
        later = np.stack(
            [logsumexp(heads(state.target_params, batch.next_observation, g), axis=2).sum(1) for g in others]
        )
        weight = NUM_OTHERS * (softmax(of_others, 0) - gamma * softmax(later, 0))
        normaliser = logsumexp(of_others, 0) - np.log(NUM_OTHERS)
        total = -(1 - gamma) * own + (weight * of_others).mean(0) + hparams["normaliser_weight"] * normaliser**2
    return total.mean(), {"q_mean": own.mean(), "q_other_mean": of_others.mean()} | more


@pytest.mark.parametrize("family", ["f_divergence", "nce", "energy"])
def test_the_loss_and_metrics_are_those_of_a_loop(family):
    state = states(family, gamma=0.7, temperature=0.5, largest_ratio=2.0, noise_ratio=3.0, normaliser_weight=0.5)
    batch = reference.transitions(JOINTS, seed=1)
    after, metrics = made(family)[1](state, batch, jax.random.key(0))
    loss, expected = by_hand(family, state, batch)
    reference.assert_metrics(metrics, expected | {"loss": loss})
    if family == "f_divergence":
        assert 0 < expected["ratio_cut_fraction"] < 1
    assert (after.target_params is None) == (family == "nce")


def test_the_target_network_moves_at_its_period():
    state = states("energy", target_rate=0.5, target_period=2)
    update, batch = made("energy")[1], reference.transitions(JOINTS)
    first, _ = update(state, batch, jax.random.key(0))
    reference.same_bits(first.target_params, state.target_params)
    second, _ = update(first, batch, jax.random.key(0))
    expected = reference.mixed(reference.layers_of(first.target_params), reference.layers_of(second.params), 0.5)
    reference.assert_layers(second.target_params, expected, rtol=1e-5, atol=1e-6)


def test_more_others_than_rows_go_round_and_leave_the_row_out():
    """Ten others of three rows are five times both of the others."""
    batch = jax.tree.map(lambda x: x[:3], reference.transitions(JOINTS))
    found = [made("nce", num_others=count) for count in (2, 10)]
    state = found[0][0].init(jax.random.key(0))
    both = [update(state, batch, jax.random.key(0))[1] for _, update in found]
    reference.close(*both)


def test_one_row_is_refused():
    agent, _ = made("nce")
    batch = jax.tree.map(lambda x: x[:1], reference.transitions(JOINTS))
    with pytest.raises(ValueError, match=r"^batch: got one row, .*two or more"):
        agent.update(agent.init(jax.random.key(0)), batch, jax.random.key(0))


def test_it_acts_greedily_or_uniformly():
    agent, _ = made("nce")
    state = agent.init(jax.random.key(0), {"epsilon": 0.4})
    greedy = heads(state.params, np.zeros((1, 3)), np.zeros((1, 2)))[0].argmax(-1)
    assert np.all(reference.actions_of(agent, state, 50, explore=False) == greedy)
    drawn = reference.actions_of(agent, state)
    reference.assert_share(np.any(drawn != greedy, axis=1), 0.4 * (1 - 1 / 9))  # of nine joint actions


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (reference.spec(types.Box(2)), r"^spec\.action: got .* density_ratio needs a Discrete"),
        (reference.spec(JOINTS)._replace(images=types.Images(48)), r"^spec\.images: got .* an encoder's pass each"),
    ],
)
def test_specs_that_it_cannot_take_are_refused(spec, message):
    with pytest.raises(ValueError, match=message):
        agents.density_ratio(spec)


def test_flops_are_those_of_every_pass():
    """8 x 4 + 4 x 6 weights, no input's gradient: learn 6 x 44 - 2 x 20 = 224, forward 88, by rows and goals."""
    spec = reference.spec(JOINTS)
    count = lambda family: agents.density_ratio(spec, hidden_sizes=(4,), family=family, num_others=3).flops(10)
    assert (5 * 4 + 4 * 6, count("nce")) == (44, 10 * 4 * 224)
    assert count("f_divergence") == 10 * (4 * 224 + 4 * 88)
    assert count("energy") == 10 * (4 * 224 + 3 * 88)


# Where they rest: a chain of five cells that does as it is told. Every row of a batch is compared with all others, so
# the products of two rows' frequencies are exact.

CHAIN = tabular.Tabular(tabular.chain(SIZE))
UNIFORM = np.full((SIZE, 3), 1 / 3)


def rows(counts):
    """The batch with counts[s, a, g] rows of each kind, and its number of rows."""
    state, action, goal = np.repeat(np.indices(counts.shape).reshape(3, -1), counts.ravel(), axis=1)
    after, one_hot = np.clip(state + action - 1, 0, SIZE - 1), np.eye(SIZE)
    stack = fixed_points.batches_of_one(
        one_hot[state], action[:, None].astype(np.int32), one_hot[after], one_hot[goal], 0.0 * state
    )
    return jax.tree.map(lambda x: x[:, 0], stack), len(state)


def frequent(scale):
    """[S, A, G]: how often g follows (s, a) under uniform play, in whole numbers and at least once."""
    return 1 + np.rint(scale * CHAIN.occupancy(UNIFORM, GAMMA)).astype(int)


def others_of(counts):
    """[S, A, G]: the mean number of other rows with goal g that rows of (s, a) meet."""
    pairs, goals, size = counts.sum(2, keepdims=True), counts.sum((0, 1)), counts.sum()
    return (pairs * goals - counts) / (size - 1)


def slopes_at(agent, batch, tables, **numbers):
    """The largest gradient of the table, for each of the tables [S, G, A]."""
    update = jax.jit(agent.update)

    def one(table):
        state = fixed_points.state_of(agent, table)
        hparams = state.hparams._replace(**{name: jnp.float32(value) for name, value in numbers.items()})
        after, metrics = update(state._replace(hparams=hparams), batch, jax.random.key(0))
        return 10 * np.abs(fixed_points.gradient_of_table(after.adam.mu)).max(), metrics

    return [one(table) for table in tables]


def on_chain(family, num_rows, f="squared_hellinger"):
    spec = types.EnvSpec(
        (SIZE,), (SIZE,), types.Discrete(1, 3), 6, 0.5, False, *[types.Range((0.0,) * SIZE, (1.0,) * SIZE)] * 2
    )
    return agents.density_ratio(spec, hidden_sizes=(SIZE * SIZE,), family=family, f=f, num_others=num_rows - 1)


def greedy_is_optimal(table):
    """The best action leads to the goal from every other cell."""
    place, goal = np.indices((SIZE, SIZE))
    right = np.sign(goal - place) + 1
    return np.all((table.argmax(-1) == right)[place != goal])


@pytest.mark.parametrize("noise_ratio", [0.5, 20.0])
def test_nce_rests_at_the_log_of_the_density_ratio(noise_ratio):
    """log n(s, a, g) / m(s, a, g), n rows of their own goal and m others': log p+ / rho+, for any k."""
    counts = frequent(40)
    batch, size = rows(counts)
    rest = np.swapaxes(np.log(counts / others_of(counts)), 1, 2)
    ratio = CHAIN.occupancy(UNIFORM, GAMMA)[2] * SIZE
    assert np.corrcoef(np.log(ratio + 0.1).ravel(), np.swapaxes(rest, 1, 2)[2].ravel())[0, 1] > 0.9
    assert greedy_is_optimal(rest)
    (at, _), (beside, _) = slopes_at(on_chain("nce", size), batch, (rest, rest + 0.1), noise_ratio=noise_ratio)
    assert at < 2e-7
    assert beside > 1e-5


SLOPES = {  # -f'(t)
    "squared_hellinger": lambda t: 1 / np.sqrt(t) - 1,
    "kl": lambda t: -np.log(t) - 1,
    "pearson_chi2": lambda t: -2 * (t - 1),
}


def rest_of(f, counts, tau):
    """Q - gamma V(s', g) = -f'(pi(a | s, g) m(s, g) / n(s, a, g)), by a damped iteration; V is the mellowmax."""
    met = np.swapaxes(others_of(counts), 1, 2).sum(2, keepdims=True) / np.swapaxes(counts, 1, 2)
    after = np.clip(np.arange(SIZE)[:, None] + np.arange(3) - 1, 0, SIZE - 1)
    q = np.zeros((SIZE, SIZE, 3))
    for _ in range(5_000):
        value = tau * (logsumexp(q / tau, axis=2) - np.log(3))
        better = SLOPES[f](softmax(q / tau, 2) * met) + GAMMA * np.swapaxes(value[after], 1, 2)
        q, change = q + 0.1 * (better - q), np.abs(better - q).max()
        if change < 1e-10:
            return q
    raise AssertionError(change)


@pytest.mark.parametrize("f", SLOPES)
def test_f_divergence_rests_where_the_residual_is_the_slope_of_f(f):
    counts, tau = frequent(12), 1.0
    batch, size = rows(counts)
    rest = rest_of(f, counts, tau)
    assert greedy_is_optimal(rest)
    numbers = {"gamma": GAMMA, "temperature": tau, "largest_ratio": 1e4}
    (at, metrics), (beside, _) = slopes_at(on_chain("f_divergence", size, f), batch, (rest, rest + 0.1), **numbers)
    assert metrics["ratio_cut_fraction"] == 0
    assert at < 1e-5
    assert beside > 1e-4


def test_the_energy_rests_at_the_future_of_the_uniform_policy():
    """Whatever the behaviour: others are uniform up to the row left out, so the rest holds up to 1 / B."""
    counts = np.full((SIZE, 3, SIZE), 4)
    batch, size = rows(counts)
    future = CHAIN.occupancy(UNIFORM, GAMMA) * SIZE
    rest = np.swapaxes(np.log(np.maximum(future, 1e-6)), 1, 2)
    assert greedy_is_optimal(rest)
    shifted = rest + np.arange(3)  # a constant of each (s, a)
    agent = on_chain("energy", size)
    numbers = {"gamma": GAMMA, "normaliser_weight": 0.1}
    (at, _), (beside, _), (constant, _) = slopes_at(agent, batch, (rest, 0 * rest, shifted), **numbers)
    assert at < 0.05 * beside
    assert constant > 10 * at
    ((open_constant, _),) = slopes_at(agent, batch, (rest + 1.0,), gamma=GAMMA, normaliser_weight=0.0)
    np.testing.assert_allclose(open_constant, at, rtol=0.05, atol=1e-6)
