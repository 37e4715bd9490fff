"""The Q-learning agent: each row against float64 NumPy, exploration, the target network, limits."""

import functools
import math

import compiles
import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
import scipy.special
import scipy.stats

from hindsight_jax import agents, types
from hindsight_jax.agents.bounds import reached_value

FLAT, CLAW = types.Discrete(1, 5), types.Discrete(3, 2)
ROWS = {  # action set, options of the agent, rewards (reached, otherwise)
    "her": (FLAT, {"imitation": "none"}, (0.0, -1.0)),
    "her_max": (FLAT, {"imitation": "none", "backup": "max"}, (0.0, -1.0)),
    "her_01": (CLAW, {"imitation": "none", "bounded": False}, (1.0, 0.0)),
    "her_sql": (CLAW, {"imitation": "none", "backup": "mellow"}, (0.0, -1.0)),
    "her_hbc": (FLAT, {"imitation": "always"}, (0.0, -1.0)),
    "hdm": (FLAT, {}, (0.0, -1.0)),
    "hdm_claw": (CLAW, {}, (0.0, -1.0)),
    "hdm_loss": (CLAW, {"next_state": "loss"}, (-1.0, -1.0)),
    "hdm_bound": (FLAT, {"hindsight_bound": True}, (0.0, -1.0)),
    "hdm_unbounded": (FLAT, {"bounded": False}, (0.0, -1.0)),
    "hdm_progress": (FLAT, {"imitation": "progress"}, (0.0, -1.0)),
}
HPARAMS = {
    "learning_rate": 0.01,
    "gamma_hdm": 0.05,
    "beta": 0.999,  # so that the bound, lower by 0.001 / (1 - gamma), still cuts through the batch
    "imitation_weight": 1.3,
    "target_rate": 0.3,
    "target_period": 2.0,
    "temperature": 0.5,
}


def distance(achieved, goal):
    return jnp.sqrt(jnp.sum(jnp.square(achieved - goal)))


def made(action=FLAT, hidden_sizes=(8, 6), **options):
    return agents.q_learning(reference.spec(action), distance=distance, hidden_sizes=hidden_sizes, **options)


@functools.cache
def row(name):
    """(agent, its jitted update)."""
    action, options, _ = ROWS[name]
    agent = made(action, **options)
    return agent, jax.jit(agent.update)


def first_state(name, seed=0, **values):
    """A state whose Q is some units large, so that bounds and indicators cut through the batch."""
    state = row(name)[0].init(jax.random.key(seed), HPARAMS | values)
    other = row(name)[0].init(jax.random.key(seed + 100))
    return state._replace(params=_larger(state.params), target_params=_larger(other.params))


def _larger(params):
    return jax.tree.map(lambda p: 2.5 * p, params)


# The reference, in float64 and by loops


def q_of(layers, observation, goal, action):
    inputs, outputs = reference.forward(layers, observation, goal)
    return inputs, outputs.reshape(-1, *action)


def backup_of(q_next, q_target, backup, temperature):
    """V(s', g): sums over the dimensions."""
    best = np.argmax(q_next, axis=-1)
    if backup == "double":
        return sum(q_target[d, best[d]] for d in range(len(best)))
    if backup == "max":
        return q_target.max(axis=-1).sum()
    return (temperature * np.log(np.mean(np.exp(q_target / temperature), axis=-1))).sum()


def reached_of(offset, gamma, beta):
    """What the trajectory earned from s' to the goal, offset - 1 actions, and would earn there: -1, then beta - 1."""
    if offset < 1:
        return -math.inf
    return sum(gamma**k * (-1 if k < offset - 2 else beta - 1) for k in range(3000))


def expected_update(name, layers, target_layers, batch, numbers):
    """(metrics, gradients) of a row."""
    action, options, _ = ROWS[name]
    imitation = options.get("imitation", "indicator")
    inputs, q = q_of(layers, batch.observation, batch.goal, action)
    _, q_next = q_of(layers, batch.next_observation, batch.goal, action)
    _, q_target = q_of(target_layers, batch.next_observation, batch.goal, action)
    inputs_reached, q_reached = q_of(layers, batch.observation, batch.next_achieved_goal, action)
    slope, slope_reached = np.zeros_like(q), np.zeros_like(q)
    rows = []
    for i in range(len(q)):
        dims = np.arange(action.num_dims)
        taken = (dims, batch.action[i])
        q_taken, v_online = q[i][taken].sum(), q_next[i].max(axis=-1).sum()
        v = backup_of(q_next[i], q_target[i], options.get("backup", "double"), numbers["temperature"])
        rewarded = imitation != "none" and options.get("next_state", "relabel") == "relabel"
        beta = numbers["beta"] if rewarded else 1.0
        if options.get("hindsight_bound"):
            v = max(v, reached_of(int(batch.offset[i]), numbers["gamma"], beta))
        reward = batch.reward[i] + (beta - 1) * batch.is_next[i]
        y = reward + numbers["gamma"] * batch.discount[i] * v
        y = min(y, max(beta - 1, 0) / (1 - numbers["gamma"])) if options.get("bounded", True) else y
        log_prob = (q[i][taken] - scipy.special.logsumexp(q[i], axis=-1)).sum()
        indicator = {"none": 0.0, "always": 1.0}.get(imitation)
        if imitation == "progress":
            gamma, arrives = numbers["gamma"], bool(reference.arrives(batch)[i])
            before = reference.steps_of(q[i].max(axis=-1).sum(), gamma)
            indicator = float(before + arrives - (0.0 if arrives else reference.steps_of(v_online, gamma)) > 0.5)
        if indicator is None:
            indicator = float(math.exp(q_taken) < numbers["gamma_hdm"] * math.exp(v_online))
        td = (q_taken - y) ** 2
        weight = numbers["beta"] * numbers["imitation_weight"] * indicator
        total = td - weight * log_prob
        slope[i][taken] += 2 * (q_taken - y) - weight
        slope[i] += weight * scipy.special.softmax(q[i], axis=-1)
        if options.get("next_state") == "loss":
            weight = numbers["beta"] * (1 - numbers["gamma_hdm"])
            total -= weight * q_reached[i][taken].sum()
            slope_reached[i][taken] -= weight
        far = indicator * math.dist(batch.achieved_goal[i], batch.goal[i])
        rows.append((total, td, q_taken, v, reward, -log_prob, indicator, far))
    names = ("loss", "td_loss", "q_mean", "target_mean", "reward_mean", *IMITATION_METRICS)
    metrics = dict(zip(names, np.mean(rows, axis=0), strict=True))
    if imitation == "none":
        metrics = {n: value for n, value in metrics.items() if n not in IMITATION_METRICS}
    flat = lambda s: s.reshape(len(q), -1) / len(q)
    gradients, _ = reference.backward(layers, inputs, flat(slope))
    reached, _ = reference.backward(layers, inputs_reached, flat(slope_reached))
    added = [(k + k2, b + b2) for (k, b), (k2, b2) in zip(gradients, reached, strict=True)]
    return metrics, added


IMITATION_METRICS = ("imitation_loss", "imitated_fraction", "imitated_x_distance")


# Rows


@pytest.mark.parametrize("name", ROWS)
def test_updates_equal_numpy(name):
    """Loss, metrics, three steps of Adam and of the target network, in the arithmetic of the paper."""
    action, _, rewards = ROWS[name]
    _, update = row(name)
    state = first_state(name)
    numbers = reference.numbers_of(state)
    layers, target_layers = reference.layers_of(state.params), reference.layers_of(state.target_params)
    adam = reference.Adam(layers, numbers["learning_rate"])
    for count in (1, 2, 3):
        batch = reference.transitions(action, seed=count, rewards=rewards)
        expected, gradients = expected_update(name, layers, target_layers, batch, numbers)
        state, metrics = update(state, batch, jax.random.key(count))
        reference.assert_metrics(metrics, expected)
        layers = adam.step(gradients)
        if count % 2 == 0:
            target_layers = reference.mixed(target_layers, layers, 0.3)
        reference.assert_layers(state.params, layers, rtol=0, atol=2e-4 * numbers["learning_rate"] * 100)
        reference.assert_layers(state.target_params, target_layers, rtol=0, atol=2e-4)
        assert int(state.updates) == count


def test_the_batch_exercises_every_branch():
    """Some rows are imitated and some not, some targets are cut, some V are raised, and the backups differ."""
    state = first_state("hdm")
    layers, target_layers = reference.layers_of(state.params), reference.layers_of(state.target_params)
    batch, numbers = reference.transitions(FLAT, seed=1), reference.numbers_of(state)
    metrics = {
        name: expected_update(name, layers, target_layers, batch, numbers)[0] for name in ROWS if ROWS[name][0] == FLAT
    }
    assert 0.2 < metrics["hdm"]["imitated_fraction"] < 0.8
    assert 0.2 < metrics["hdm_progress"]["imitated_fraction"] < 0.8
    assert metrics["hdm_bound"]["target_mean"] > metrics["hdm"]["target_mean"] + 0.05
    assert metrics["hdm_unbounded"]["td_loss"] != metrics["hdm"]["td_loss"]
    assert metrics["her_max"]["target_mean"] > metrics["her"]["target_mean"]
    assert len({m["loss"] for m in metrics.values()}) == len(metrics)  # rows differ by arguments


def constant_q(agent, online, target, **values):
    """A state of a network without hidden layers that gives these numbers for every input: kernels are 0."""
    state = agent.init(jax.random.key(0), values)
    zero = jax.tree.map(jnp.zeros_like, state.params)
    dense = zero["params"]["MLP_0"]["Dense_0"]
    fill = lambda q: {"params": {"MLP_0": {"Dense_0": dense | {"bias": jnp.asarray(q, jnp.float32).ravel()}}}}
    return state._replace(params=fill(online), target_params=fill(target))


def one_row(action, reward=-1.0, discount=1.0, offset=4):
    batch = reference.transitions(types.Discrete(len(action), 2), size=1)
    return batch._replace(
        action=np.array([action], np.int32),
        reward=np.array([reward], np.float32),
        discount=np.array([discount], np.float32),
        offset=np.array([offset], np.int32),
        achieved_goal=np.array([[0.0, 3.0]], np.float32),
        goal=np.array([[4.0, 0.0]], np.float32),
    )


def test_golden_factorised_hdm():
    """D = 2. q = [[-1, -2], [-3, -2.5]], action (1, 0): Q(s,a) = -2 - 3 = -5.

    max Q(s',.) = -1 - 2.5 = -3.5 by bins (0, 1); the target's there: -2 - 1 = -3. y = -1 + 0.5 * -3 = -2.5, TD 2.5^2.
    -5 + 3.5 = -1.5 < log 0.5: imitated, with -log pi = log(e^-1 + e^-2) + 2 + log(e^-3 + e^-2.5) + 3 = 2.2873385.
    """
    agent = made(types.Discrete(2, 2), hidden_sizes=())
    numbers = {"gamma": 0.5, "gamma_hdm": 0.5, "imitation_weight": 2.0}
    state = constant_q(agent, [[-1, -2], [-3, -2.5]], [[-2, -9], [-7, -1]], **numbers)
    _, metrics = jax.jit(agent.update)(state, one_row([1, 0]), jax.random.key(0))
    expected = {
        "q_mean": -5.0,
        "target_mean": -3.0,
        "td_loss": 6.25,
        "imitation_loss": 2.2873385,
        "imitated_fraction": 1.0,
        "imitated_x_distance": 5.0,  # (0, 3) to (4, 0)
        "reward_mean": -1.0,
        "loss": 6.25 + 2 * 2.2873385,
    }
    assert {name: float(value) for name, value in metrics.items()} == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("imitation", "beta", "is_next", "reward", "td_loss", "weight"),
    [
        # Q(s,a) = -2, V(s') = -1 by the target: y = r + 0.5 * -1
        ("always", 0.5, True, -0.5, 1.0, 0.5),  # r = -1 + 0.5: y = -1
        ("always", 0.5, False, -1.0, 0.25, 0.5),  # y = -1.5
        ("always", 3.0, True, 2.0, 12.25, 3.0),  # y = 1.5, below the highest return 2 / 0.5
        ("none", 3.0, True, 0.0, 2.25, 0.0),  # without imitation there is no beta: y = -0.5
    ],
)
def test_golden_beta_weighs_the_reward_for_reaching_and_imitation(imitation, beta, is_next, reward, td_loss, weight):
    """[D 28] and Algorithm 1, line 4: r + beta at s' = s+, and beta times -log pi = log 2 (both actions have -2)."""
    agent = made(types.Discrete(1, 2), hidden_sizes=(), imitation=imitation)
    state = constant_q(agent, [[-2, -2]], [[-1, -1]], gamma=0.5, beta=beta)
    flag, base = np.array([is_next]), np.array([0.0 if is_next else -1.0], np.float32)
    row = one_row([0])._replace(is_next=flag, relabelled=flag, reward=base)
    _, metrics = jax.jit(agent.update)(state, row, jax.random.key(0))
    assert float(metrics["reward_mean"]) == pytest.approx(reward)
    assert float(metrics["td_loss"]) == pytest.approx(td_loss)
    assert float(metrics["loss"]) == pytest.approx(td_loss + weight * math.log(2), rel=1e-6)


@pytest.mark.parametrize(
    ("options", "values", "row_values", "td_loss"),
    [
        # Q(s,a) = -2; online argmax is bin 0, target [-4, -1]
        ({}, {}, {}, 1.0),  # double: (-2 - (-1 + 0.5 * -4))^2
        ({"backup": "max"}, {}, {}, 0.25),  # (-2 - (-1 + 0.5 * -1))^2
        ({"backup": "mellow"}, {"temperature": 1.0}, {}, 0.0315844),  # V = log((e^-4 + e^-1) / 2) = -1.644561
        ({}, {}, {"discount": 0.0}, 1.0),  # terminal: (-2 - -1)^2
        ({}, {"gamma": 1.0}, {"reward": 9.0}, 4.0),  # 9 - 4 = 5 is cut to 0: (-2 - 0)^2
        ({"bounded": False}, {"gamma": 1.0}, {"reward": 9.0}, 49.0),  # (-2 - 5)^2
        ({"hindsight_bound": True}, {}, {"offset": 4}, 0.0625),  # -(1 + 0.5) > -4: (-2 - (-1 - 0.75))^2
        ({"hindsight_bound": True}, {"gamma": 1.0}, {"offset": 4}, 1.0),  # -2 > -4: (-2 - (-1 - 2))^2
        ({"hindsight_bound": True}, {}, {"offset": 0}, 1.0),  # a behaviour goal has no bound
        ({"hindsight_bound": True}, {}, {"offset": 1}, 1.0),  # reached: V = 0, (-2 - -1)^2
    ],
)
def test_golden_targets(options, values, row_values, td_loss):
    agent = made(types.Discrete(1, 2), hidden_sizes=(), imitation="none", **options)
    state = constant_q(agent, [[-1, -2]], [[-4, -1]], **({"gamma": 0.5} | values))
    _, metrics = jax.jit(agent.update)(state, one_row([1], **row_values), jax.random.key(0))
    assert float(metrics["td_loss"]) == pytest.approx(td_loss, rel=1e-4)
    assert float(metrics["loss"]) == float(metrics["td_loss"])


# Limits of the rows


def several_updates(name, state, count=5):
    """With code optimised as it is for users."""
    action, _, rewards = ROWS[name]
    batches = [reference.transitions(action, seed=i, rewards=rewards) for i in range(count)]
    update = optimised_update(name)
    for i, batch in enumerate(batches):
        state, metrics = update(state, batch, jax.random.key(i))
    return state, metrics


@functools.cache
def optimised_update(name):
    agent = row(name)[0]
    arguments = jax.eval_shape(
        lambda key: (agent.init(key), reference.transitions(ROWS[name][0]), key), jax.random.key(0)
    )
    with compiles.optimised():
        return jax.jit(agent.update).lower(*arguments).compile()


def test_gamma_hdm_zero_is_her_to_the_bit():
    hdm, metrics = several_updates("hdm", first_state("hdm", gamma_hdm=0.0, beta=1.0))
    her, _ = several_updates("her", first_state("her"))
    reference.same_bits((hdm.params, hdm.target_params, hdm.adam), (her.params, her.target_params, her.adam))
    assert float(metrics["imitated_fraction"]) == 0.0


def test_gamma_hdm_infinity_is_her_with_behaviour_cloning():
    hdm, metrics = several_updates("hdm", first_state("hdm", gamma_hdm=math.inf))
    hbc, _ = several_updates("her_hbc", first_state("her_hbc"))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), hdm.params, hbc.params)
    assert float(metrics["imitated_fraction"]) == 1.0


def test_gamma_hdm_in_between_is_neither():
    hdm, her, hbc = (several_updates(n, first_state(n))[0].params for n in ("hdm", "her", "her_hbc"))
    kernel = lambda params: np.asarray(params["params"]["MLP_0"]["Dense_1"]["kernel"])
    assert np.abs(kernel(hdm) - kernel(her)).max() > 1e-3
    assert np.abs(kernel(hdm) - kernel(hbc)).max() > 1e-3


# The target network


def test_target_network_moves_every_target_period_updates():
    _, update = row("her")
    state = first_state("her", target_period=3.0, target_rate=0.25)
    for count in range(1, 8):
        before = state.target_params
        state, _ = update(state, reference.transitions(FLAT, seed=count), jax.random.key(count))
        if count % 3:
            reference.same_bits(state.target_params, before)
        else:
            mixed = jax.tree.map(lambda t, p: 0.75 * t + 0.25 * p, before, state.params)
            jax.tree.map(
                lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7), state.target_params, mixed
            )


def test_the_defaults_are_the_papers():
    hparams = agents.QLearningHparams()
    assert (hparams.learning_rate, hparams.gamma, hparams.gamma_hdm, hparams.beta) == (5e-4, 0.98, 0.85, 1.0)
    assert (hparams.target_rate, hparams.target_period, hparams.temperature) == (0.005, 10, 0.2)
    state = made(hidden_sizes=(400, 300)).init(jax.random.key(0))
    assert state.params["params"]["MLP_0"]["Dense_1"]["kernel"].shape == (400, 300)


def test_the_first_target_network_is_the_online_one_in_buffers_of_its_own():
    """Both are donated, and XLA refuses one buffer twice."""
    state = row("hdm")[0].init(jax.random.key(0))
    reference.same_bits(state.params, state.target_params)
    donated = jax.jit(row("hdm")[0].update, donate_argnums=0)
    state, _ = donated(state, reference.transitions(FLAT), jax.random.key(0))
    assert int(state.updates) == 1


# Actions

BEST = {FLAT: [[-1.0, -2.0, -0.5, -3.0, -4.0]], CLAW: [[-1.0, -2.0], [-2.0, -1.0], [-5.0, -4.0]]}
GREEDY = {FLAT: (2,), CLAW: (0, 1, 1)}


@pytest.mark.parametrize("action", [FLAT, CLAW])
def test_epsilon_greedy_has_its_law_for_each_member(action):
    """With probability epsilon all dimensions are uniform together, else all greedy; epsilon is the member's own."""
    agent, num_draws = made(action, hidden_sizes=()), 100_000
    epsilons = [0.0, 0.3, 1.0]
    make = lambda epsilon: constant_q(agent, BEST[action], BEST[action], epsilon=epsilon)
    states = jax.vmap(make)(jnp.array(epsilons))
    act = lambda state, key: agent.act(state, jnp.zeros(3), jnp.zeros(2), key, True)
    keys = jax.random.split(jax.random.key(1), num_draws)
    actions = np.asarray(jax.jit(jax.vmap(jax.vmap(act, (None, 0)), (0, None)))(states, keys))
    assert actions.dtype == np.int32
    shape = (action.num_bins,) * action.num_dims
    for drawn, epsilon in zip(actions, epsilons, strict=True):
        counts = np.bincount(np.ravel_multi_index(tuple(drawn.T), shape), minlength=math.prod(shape))
        expected = np.full(shape, epsilon / math.prod(shape))
        expected[GREEDY[action]] += 1 - epsilon
        support = expected.ravel() > 0
        assert counts.sum() == counts[support].sum() == num_draws
        if support.sum() > 1:
            assert scipy.stats.chisquare(counts[support], num_draws * expected.ravel()[support]).pvalue > 1e-3


@pytest.mark.parametrize("action", [FLAT, CLAW])
def test_without_exploration_the_best_bin_of_each_dimension_is_taken(action):
    agent = made(action, hidden_sizes=())
    state = constant_q(agent, BEST[action], np.negative(BEST[action]), epsilon=1.0)  # by the online network
    drawn = agent.act(state, jnp.zeros(3), jnp.zeros(2), jax.random.key(0), False)
    assert drawn.dtype == jnp.int32
    assert tuple(drawn.tolist()) == GREEDY[action]


def test_the_action_depends_on_observation_and_goal():
    agent = made(types.Discrete(1, 3), hidden_sizes=())
    state = agent.init(jax.random.key(0))
    kernel = np.zeros((5, 3), np.float32)
    kernel[0, 1], kernel[3, 2] = 1.0, 1.0  # bin 1 counts observation[0], bin 2 counts goal[0]
    bias = jnp.array([0.5, 0.0, 0.0])
    state = state._replace(params={"params": {"MLP_0": {"Dense_0": {"kernel": jnp.asarray(kernel), "bias": bias}}}})
    act = lambda o, g: agent.act(
        state, jnp.array([o, 0.0, 0.0]), jnp.array([g, 0.0]), jax.random.key(0), False
    ).tolist()
    assert [act(0.0, 0.0), act(1.0, 0.0), act(0.0, 1.0), act(1.0, 2.0)] == [[0], [1], [2], [2]]


def test_an_update_draws_nothing():
    agent, update = row("hdm")
    state, batch = agent.init(jax.random.key(0)), reference.transitions(FLAT)
    reference.same_bits(update(state, batch, jax.random.key(1)), update(state, batch, jax.random.key(2)))


# The value that a trajectory reached


@hypothesis.settings(max_examples=300, deadline=None, derandomize=True)
@hypothesis.given(
    st.integers(-5, 200), st.one_of(st.floats(0, 1, width=32), st.sampled_from([0.0, 0.98, 0.9999, 1 - 2.0**-24, 1.0]))
)
def test_reached_value_is_the_sum_of_rewards_on_the_way(offset, gamma):
    value = float(reached_value(jnp.int32(offset), jnp.float32(gamma)))
    assert value == pytest.approx(reached_of(offset, gamma, 1.0), rel=2e-5, abs=1e-30)


@pytest.mark.parametrize("beta", [0.0, 0.5, 2.0])
def test_reached_value_counts_what_staying_at_the_goal_earns(beta):
    """Every step there earns beta - 1, for ever; at gamma 1 that sum has no end, so there is no bound."""
    for offset, gamma in [(0, 0.9), (1, 0.0), (1, 0.9), (2, 0.9), (9, 0.9), (50, 0.98)]:
        value = float(reached_value(jnp.int32(offset), jnp.float32(gamma), jnp.float32(beta)))
        assert value == pytest.approx(reached_of(offset, gamma, beta), rel=1e-5), (offset, gamma)
    assert float(reached_value(jnp.int32(3), jnp.float32(1.0), jnp.float32(beta))) == -math.inf
    assert value <= 0.0


def test_hindsight_bound_at_gamma_one_stays_finite():
    agent, update = row("hdm_bound")
    state, metrics = update(
        agent.init(jax.random.key(0), {"gamma": 1.0}), reference.transitions(FLAT), jax.random.key(0)
    )
    assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves((state.params, metrics)))


def test_a_continuous_action_set_is_refused():
    with pytest.raises(ValueError, match=r"spec\.action: got Box.*discrete"):
        made(types.Box(2))


def test_the_target_network_is_evaluated_where_asked():
    """Exploration reads the online network all the same."""
    spec = types.EnvSpec((2,), (2,), types.Discrete(1, 5), 50, 0.05, False, *[types.Range((-1.0,) * 2, (1.0,) * 2)] * 2)
    hparams = agents.QLearningHparams(epsilon=0.0)
    key, observations, goals = jax.random.key(0), *jax.random.normal(jax.random.key(1), (2, 64, 2))
    chosen = {}
    for evaluated in ("online", "target"):
        agent = agents.q_learning(
            spec, distance=lambda a, b: jnp.linalg.norm(a - b), hparams=hparams, hidden_sizes=(16,), evaluated=evaluated
        )
        init, act = jax.jit(agent.init), jax.vmap(agent.act, (None, 0, 0, None, None))
        state = init(key)._replace(target_params=init(jax.random.key(2)).params)
        for explore in (False, True):
            act_so = jax.jit(lambda *arguments, act=act, explore=explore: act(*arguments, explore))
            chosen[evaluated, explore] = np.asarray(act_so(state, observations, goals, key))
    np.testing.assert_array_equal(chosen["online", False], chosen["online", True])
    np.testing.assert_array_equal(chosen["target", True], chosen["online", True])
    assert np.mean(chosen["target", False] != chosen["online", False]) > 0.2


def test_an_unknown_option_is_refused_with_the_known_ones_and_the_nearest():
    with pytest.raises(ValueError, match=r"^backup: got 'doubel', but it must be one of double, max, .* mean double\?"):
        made(backup="doubel")
