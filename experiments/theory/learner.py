"""The Q-learning agent with a small network, random transitions for it, and the gradient of its update.

Dimension key: B batch, O = 3 observation dims, G = 2 goal dims, K = 3 actions, T steps of a trajectory.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hindsight_jax import agents, networks, types
from hindsight_jax.agents.base import Agent

ACTION = types.Discrete(1, 3)
HIDDEN_SIZES = (16,)
_MOMENT = 0.1  # Adam's first moment after one step from 0 is (1 - 0.9) times the gradient


def distance(achieved: jax.Array, goal: jax.Array) -> jax.Array:
    """Euclidean distance."""
    return jnp.sqrt(jnp.sum(jnp.square(achieved - goal)))


@functools.cache
def make_agent(**options: Any) -> Agent:
    """`agents.q_learning` for 3 observation dims, 2 goal dims and 3 actions; the same object for the same options."""
    return agents.q_learning(_spec(), distance=distance, hidden_sizes=HIDDEN_SIZES, **options)


@functools.cache
def make_imitator() -> Agent:
    """`agents.imitation` with the same network, whose outputs are then logits: the algorithm `gcsl`."""
    return agents.imitation(_spec(), hidden_sizes=HIDDEN_SIZES)


@functools.cache
def update_of(agent: Agent) -> Callable[..., Any]:
    """The compiled update of one agent."""
    return jax.jit(agent.update)


@functools.cache
def init_of(agent: Agent) -> Callable[..., Any]:
    """The compiled init of one agent."""
    return jax.jit(agent.init)


def _spec() -> types.EnvSpec:
    box = lambda count: types.Range((-1.0,) * count, (1.0,) * count)
    return types.EnvSpec((3,), (2,), ACTION, 50, 0.05, False, box(3), box(2))


@functools.cache
def make_state(seed: int, **values: float) -> Any:
    """A state for any agent of `make_agent`, with Q of several units and a target network that differs."""
    init = init_of(make_agent())
    state, other = (init(jax.random.key(s)) for s in (seed, seed + 100))
    larger = lambda params: jax.tree.map(lambda p: 2.5 * p, params)
    numbers = state.hparams._replace(**{name: jnp.float32(value) for name, value in values.items()})
    return state._replace(params=larger(state.params), target_params=larger(other.params), hparams=numbers)


@jax.jit
def heads(state: Any, observation: jax.Array, goal: jax.Array) -> Any:
    """Q(s, ., g) of the online network, [B, 1, K]."""
    return networks.QNetwork(action=ACTION, hidden_sizes=HIDDEN_SIZES).apply(state.params, observation, goal)


def gradient(agent: Agent, state: Any, batch: types.Transition) -> jax.Array:
    """The gradient of one update's mean loss, as one vector. It is read from Adam, so the state must be new."""
    updated, _ = update_of(agent)(state, batch, jax.random.key(0))
    return flat(updated.adam.mu) / _MOMENT


@functools.partial(jax.jit, static_argnums=0)
def row_gradients(agent: Agent, state: Any, batch: types.Transition) -> jax.Array:
    """The gradient of each transition alone, [B, n]."""
    one = lambda row: gradient(agent, state, jax.tree.map(lambda x: x[None], row))
    return jax.vmap(one)(batch)


def flat(tree: Any) -> jax.Array:
    """All leaves as one vector."""
    return jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(tree)])


@functools.cache
def random_batch(seed: int, size: int = 64) -> types.Transition:
    """Unrelated transitions of every kind: behaviour goals (offset 0), next states (1), later goals."""
    generator = np.random.default_rng(seed)
    observation, next_observation, goal = (generator.normal(size=(size, n)) for n in (3, 3, 2))
    offset = generator.permutation(np.resize([0, 1, 1, 2, 3, 7], size))
    goal = np.where((offset == 1)[:, None], next_observation[:, :2], goal)
    action = generator.integers(0, ACTION.num_bins, (size, 1))
    return _transitions(observation, action, next_observation, goal, offset)


def all_rows(seed: int, t: int, horizon: int) -> types.Transition:
    """Step t of a random trajectory with each possible goal: the behaviour goal, then s_1 .. s_T, [T + 1]."""
    generator = np.random.default_rng(seed)
    states, behaviour_goal = generator.normal(size=(horizon + 1, 3)), generator.normal(size=2)
    action = generator.integers(0, ACTION.num_bins, (horizon, 1))
    goal = np.concatenate([behaviour_goal[None], states[1:, :2]])
    offset = np.concatenate([[0], np.arange(1, horizon + 1) - t])
    repeated = lambda x: np.repeat(x[None], horizon + 1, axis=0)
    return _transitions(repeated(states[t]), repeated(action[t]), repeated(states[t + 1]), goal, offset)


def _transitions(observation, action, next_observation, goal, offset) -> types.Transition:
    """A batch of them: achieved goals are the first two coordinates, rewards are by index, 0 and -1."""
    as_float = lambda x: jnp.asarray(x, jnp.float32)
    return types.Transition(
        observation=as_float(observation),
        action=jnp.asarray(action, jnp.int32),
        next_observation=as_float(next_observation),
        goal=as_float(goal),
        achieved_goal=as_float(observation[:, :2]),
        next_achieved_goal=as_float(next_observation[:, :2]),
        reward=as_float(np.where(offset == 1, 0.0, -1.0)),
        discount=jnp.ones(len(offset), jnp.float32),
        is_next=jnp.asarray(offset == 1),
        relabelled=jnp.asarray(offset != 0),
        offset=jnp.asarray(offset, jnp.int32),
        start_reward=jnp.full(len(offset), -1.0, jnp.float32),
    )
