"""What the tests of fixed points share: agents of the real rows, networks that hold a table, rows with frequencies.

The MDP is a chain of S cells; a network whose hidden units are the pairs (state, goal) holds any table of it.

Dimension key: S cells, G = S goals, A actions, T steps, R rows; tables of values are [S, G, A]. Frequencies of rows are
[2, S, A, S, G]: whether the goal is the next state by index, s, a, s', g.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tabular

from hindsight_jax import presets, relabel, types
from hindsight_jax.envs import base, navigation, registry

SIZE, HORIZON, GAMMA = 5, 6, 0.8
SLIPS = (0.0, 0.25)  # two MDPs: the deterministic chain, and one that slips


class Line(tabular.TabularEnv):
    """`tabular.chain`, episodes of which run to the horizon."""

    def __init__(self, horizon=HORIZON, slip=0.0):
        super().__init__(tabular.chain(SIZE, slip), horizon=horizon, ends_at_success=False)


LINE = presets.Environment(
    actions=("discrete",),
    help="cells in a row",
    fields={field: presets.all_fields()[field] for field in ("env.horizon", "env.slip")},
    horizon=HORIZON,
    config={},
    paper="hem",
)


@functools.cache
def build(algorithm, **changes):
    """(config, setup) of the algorithm on the chain; `__` stands for a dot."""
    name = f"{algorithm}_line"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry._TASKS, "line", (__name__, "Line"))
        patch.setitem(presets.ENVIRONMENTS, "line", LINE)
        config = presets.config(name) | {"agent.hidden_sizes": (SIZE * SIZE,)}
        if "agent.gamma" in config:
            config["agent.gamma"] = GAMMA
        config |= {field.replace("__", "."): value for field, value in changes.items()}
        return config, presets.build(name, config)


def navigating(algorithm, **changes):
    """(config, setup) of the algorithm on a line of navigation's."""
    config = presets.config(f"{algorithm}_navigation") | {"env.size": 1}
    config |= {field.replace("__", "."): value for field, value in changes.items()}
    return config, presets.build(f"{algorithm}_navigation", config)


def stepped(env, point, goal, action):
    """The next points [R] of the real task."""

    def step(point, goal, action):
        state = env.first_state(base.PipelineState(point[None], goal[None]), point[None])
        return env.step(state, action[None]).obs["observation"][0]

    return np.asarray(jax.jit(jax.vmap(step))(*(jnp.asarray(x, jnp.float32) for x in (point, goal, action))))


# Networks that hold a table


def of_table(params, table):
    """The parameters that give table [S, G, A]: hidden unit (s, g) is relu(1[state is s] + 1[goal is g] - 1)."""
    state, goal = np.divmod(np.arange(SIZE * SIZE), SIZE)
    first = {"kernel": np.concatenate([np.eye(SIZE)[:, state], np.eye(SIZE)[:, goal]]), "bias": -np.ones(SIZE * SIZE)}
    return filled(params, first, {"kernel": table.reshape(SIZE * SIZE, -1), "bias": np.zeros(table.shape[-1])})


def through(params, direction, values):
    """The parameters of the function of z = inputs @ direction / 0.2 with values [2M+1] at z = -M .. M, else linear."""
    values = np.asarray(values, np.float64)
    far = len(values) // 2
    slopes = np.diff(values, prepend=0)[1:]
    bends = np.concatenate([slopes[:1], np.diff(slopes)])
    knots = np.arange(-far, far)
    first = {"kernel": np.outer(np.asarray(direction) / navigation.STEP, np.ones(2 * far)), "bias": -knots}
    return filled(params, first, {"kernel": bends[:, None], "bias": values[:1]})


def filled(params, *layers):
    """The MLP's layers replaced, the rest kept."""
    new = {f"Dense_{i}": jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), layer) for i, layer in enumerate(layers)}
    old = params["params"]["MLP_0"]
    assert jax.tree.map(jnp.shape, dict(old)) == jax.tree.map(jnp.shape, new)
    return {"params": params["params"] | {"MLP_0": new}}


def gradient_of_table(params):
    """What of a gradient belongs to the table, [S, G, A]."""
    return np.asarray(params["params"]["MLP_0"]["Dense_1"]["kernel"]).reshape(SIZE, SIZE, -1)


# Rows, with their exact frequencies


def behaviour():
    """mu(a | s), not uniform, [S, A]."""
    return np.random.default_rng(0).dirichlet(4 * np.ones(3), SIZE)


def frequencies(transition, mu, law, horizon=HORIZON):
    """How often the ring draws a row, [2, S, A, S, G]: starts and goals uniform, actions by mu.

    The sum over t and i of P(s_t = s) mu(a | s) P(s' | s, a) times the law's probability of i and P(s_i = g | s').
    """
    step = np.einsum("sa,sax->sx", mu, transition)
    visits, rows = np.full(len(mu), 1 / len(mu)), np.zeros((2, *transition.shape, len(mu)))
    for t in range(horizon):
        pmf = np.asarray(law.pmf(t, horizon, horizon), np.float64)
        now = (visits[:, None] * mu)[..., None] * transition
        later = sum(pmf[i + 1] * np.linalg.matrix_power(step, i - t - 1) for i in range(t + 2, horizon + 1))
        rows[0] += now[..., None] * (pmf[0] / len(mu) + later)
        rows[1] += now[..., None] * pmf[t + 2] * np.eye(len(mu))
        visits = visits @ step
    return rows / rows.sum()


@functools.cache
def rows_of(algorithm, slip):
    """The frequencies under the row's own goal law."""
    values, _ = build(algorithm)
    law = relabel.hindsight(values["relabel.behaviour"], values["relabel.next_state"])
    return frequencies(tabular.chain(SIZE, slip), behaviour(), law)


def transitions(rows, rewards=(-1.0, 0.0)):
    """(every row, a stack of batches of one, their weights [R], 0 for what never occurs); (otherwise, reached)."""
    is_next, state, action, after, goal = (index.ravel() for index in np.indices(rows.shape))
    one_hot = np.eye(rows.shape[1])
    reward = np.asarray(rewards)[is_next]
    batches = batches_of_one(one_hot[state], action[:, None].astype(np.int32), one_hot[after], one_hot[goal], reward)
    return batches, rows.ravel()


def batches_of_one(observation, action, after, goal, reward):
    """Transitions with the axes [R, 1, ..]; phi is the identity, nothing is terminal, no agent here reads the rest."""
    count = len(reward)
    observation, after, goal, reward = (np.asarray(x, np.float32) for x in (observation, after, goal, reward))
    batch = types.Transition(
        observation=observation,
        action=action,
        next_observation=after,
        goal=goal,
        achieved_goal=observation,
        next_achieved_goal=after,
        reward=reward,
        discount=np.ones(count, np.float32),
        is_next=np.zeros(count, bool),
        relabelled=np.zeros(count, bool),
        offset=np.zeros(count, np.int32),
        start_reward=np.where((observation == goal).all(-1), 0.0, -1.0).astype(np.float32),
    )
    return jax.tree.map(lambda x: x[:, None], batch)


def posterior_of(rows):
    """The share of each action among the rows of (s, g), [S, G, A]."""
    mass = np.swapaxes(rows.sum((0, 3)), 1, 2)
    return mass / mass.sum(-1, keepdims=True)


# Gradients


@functools.cache
def gradients_of(agent):
    """Gradient (Adam's first moment is a tenth of it) and metrics of each batch of a stack, from one state."""
    each = jax.jit(jax.vmap(agent.update, (None, 0, None)))

    def of(state, batches, key=None):
        after, metrics = each(state, batches, jax.random.key(0) if key is None else key)
        return jax.tree.map(lambda x: 10 * np.asarray(x, np.float64), after.adam.mu), metrics

    return of


def expected_gradient(agent, state, batches, weights):
    """The weighted sum, exact in the weights."""
    each, _ = gradients_of(agent)(state, batches)
    return jax.tree.map(lambda x: np.tensordot(weights, x, 1), each)


def largest(tree):
    """The largest absolute number of a tree."""
    return max(float(np.abs(x).max()) for x in jax.tree.leaves(tree))


def state_of(agent, table):
    """The state of an agent whose network, and target network if it has one, hold the table."""
    state = agent.init(jax.random.key(0))
    params = of_table(state.params, table)
    return state._replace(params=params, **({"target_params": params} if hasattr(state, "target_params") else {}))
