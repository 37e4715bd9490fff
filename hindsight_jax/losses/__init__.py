"""Losses for *one* example: arrays in, a scalar out. `jax.vmap` batches them; a batched array is refused, never summed.

Two layers. Primitives (`value`, `imitation`) turn the output of a head and an action into a scalar; losses (`hdm`,
`progress`, `em`, `policy_gradient`, `actor_critic`, `soft`, `divergence`, `energy`) combine scalars, so that they serve
flat, factorised and continuous actions alike. If a loss compares several things, one example is all of them: a
trajectory (`m_step`), the trajectories for one goal (`hindsight_policy_gradient`), pairs against all goals
(`info_nce`). No loss takes parameters, networks, configs or keys. Hyper-parameters are keyword-only and may be traced,
so that they vmap too.

[D n] and [M n], in every module of this package, are equation n of
    D, "HDM": Lunjun Zhang and Bradly C. Stadie. Understanding Hindsight Goal Relabeling from a Divergence Minimization
        Perspective. 2022. arXiv:2209.13046.
    M, "hEM": Yunhao Tang and Alp Kucukelbir. Hindsight Expectation Maximization for Goal-conditioned Reinforcement
        Learning. 2020. arXiv:2006.07549.

Dimension key: K actions of a flat set, or bins per action dim; D action dims; A dims of a continuous action; T steps
of a trajectory; N trajectories; B pairs of a (state, action) and a goal; G goals; M negatives. Suffixes: `_tm1` is at
s, `_t` at s'.
"""

from hindsight_jax.losses.actor_critic import dpg_actor
from hindsight_jax.losses.divergence import DIVERGENCES, Divergence, divergence, up_to_ratio
from hindsight_jax.losses.em import e_step, m_step
from hindsight_jax.losses.energy import energy_weight, info_nce, logsumexp_penalty, nce
from hindsight_jax.losses.hdm import hdm, hdm_indicator, next_state, td, td_error
from hindsight_jax.losses.imitation import behaviour_cloning, gaussian_log_prob, log_prob
from hindsight_jax.losses.policy_gradient import hindsight_policy_gradient
from hindsight_jax.losses.progress import (
    advantage_weight,
    expectile,
    progress,
    progress_indicator,
    q_filter,
    steps_to_goal,
    wgcsl_weight,
)
from hindsight_jax.losses.soft import soft_actor, soft_value, tanh_gaussian_log_prob, temperature_loss
from hindsight_jax.losses.value import action_value, double_value, factorised, greedy_value, mellow_value

__all__ = [
    "DIVERGENCES",
    "Divergence",
    "action_value",
    "advantage_weight",
    "behaviour_cloning",
    "divergence",
    "double_value",
    "dpg_actor",
    "e_step",
    "energy_weight",
    "expectile",
    "factorised",
    "gaussian_log_prob",
    "greedy_value",
    "hdm",
    "hdm_indicator",
    "hindsight_policy_gradient",
    "info_nce",
    "log_prob",
    "logsumexp_penalty",
    "m_step",
    "mellow_value",
    "nce",
    "next_state",
    "progress",
    "progress_indicator",
    "q_filter",
    "soft_actor",
    "soft_value",
    "steps_to_goal",
    "tanh_gaussian_log_prob",
    "td",
    "td_error",
    "temperature_loss",
    "up_to_ratio",
    "wgcsl_weight",
]
