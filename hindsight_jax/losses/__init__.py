"""Losses for *one* example: arrays in, a scalar out. `jax.vmap` batches them; a batched array is refused, never summed.

Two layers. Primitives (`value`, `imitation`) turn the output of a head and an action into a scalar; losses (`hdm`)
combine scalars, so that they serve flat, factorised and continuous actions alike. Nothing here knows of parameters,
networks, configs or keys. Hyper-parameters are keyword-only and may be traced, so that they vmap too.

Dimension key: K actions of a flat set, or bins per action dim; D action dims. Suffixes: `_tm1` is at s, `_t` at s'.
"""

from hindsight_jax.losses.hdm import hdm, hdm_indicator, next_state, td
from hindsight_jax.losses.imitation import behaviour_cloning, log_prob
from hindsight_jax.losses.value import action_value, double_value, factorised, greedy_value, mellow_value

__all__ = [
    "action_value",
    "behaviour_cloning",
    "double_value",
    "factorised",
    "greedy_value",
    "hdm",
    "hdm_indicator",
    "log_prob",
    "mellow_value",
    "next_state",
    "td",
]
