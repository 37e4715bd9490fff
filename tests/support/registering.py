"""Registrations that leave no trace, and an agent to register."""

import contextlib
from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from hindsight_jax import agents, presets
from hindsight_jax.envs import registry
from hindsight_jax.fields import Allowed
from hindsight_jax.presets import AGENTS, ALGORITHMS, ENVIRONMENTS

TABLES = (AGENTS, ALGORITHMS, ENVIRONMENTS, registry._REGISTERED)


@contextlib.contextmanager
def tables_restored():
    """Afterwards the tables are as they were."""
    before = [dict(table) for table in TABLES]
    try:
        yield
    finally:
        for table, old in zip(TABLES, before, strict=True):
            table.clear()
            table.update(old)


class Hparams(NamedTuple):
    learning_rate: Annotated[Any, Allowed("step size", 0.0, 10.0)] = 0.5
    pull: Annotated[Any, Allowed("strength", 0.0, 1e3)] = 2.0


HPARAMS = Hparams()


class State(NamedTuple):
    params: Any
    updates: jax.Array
    hparams: Hparams


@agents.constructor
def averaging(
    spec,
    *,
    distance,
    hparams: Hparams = Hparams(pull=3.0),  # noqa: B008 - a NamedTuple of numbers
    hidden_sizes: Annotated[tuple[int, ...], Allowed("units", 1, 64)] = (4,),
    rule: Annotated[Literal["mean", "sum"], Allowed("how to pool")] = "mean",
):
    """One number that is pulled towards the mean reward; it acts at random."""
    assert callable(distance)

    def init(key, own=None):
        return State(jnp.zeros(hidden_sizes), jnp.zeros((), jnp.int32), agents.override(hparams, own))

    def act(state, observation, goal, key, explore):
        return spec.action.sample(key)

    def update(state, batch, key):
        step = state.hparams.learning_rate * state.hparams.pull * jnp.mean(batch.reward)
        params = state.params + (step if rule == "mean" else step * batch.reward.shape[0])
        return State(params, state.updates + 1, state.hparams), {"loss": jnp.sum(params)}

    return agents.Agent(init, act, update)


def register_averaging(**changes):
    arguments = {"agent": averaging, "help": "pulls a number", "reads_rewards": True} | changes
    presets.register_algorithm("averaging", **arguments)
