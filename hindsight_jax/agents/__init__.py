"""Agents: init, act and update as pure functions. A new algorithm is a set of arguments, not a file."""

from hindsight_jax.agents._validation import constructor
from hindsight_jax.agents.actor_critic import ActorCriticHparams, ActorCriticState, actor_critic
from hindsight_jax.agents.base import Agent, override
from hindsight_jax.agents.density_ratio import DensityRatioHparams, DensityRatioState, density_ratio
from hindsight_jax.agents.imitation import ImitationHparams, ImitationState, imitation
from hindsight_jax.agents.policy_gradient import PolicyGradientHparams, PolicyGradientState, policy_gradient
from hindsight_jax.agents.q_learning import QLearningHparams, QLearningState, q_learning

__all__ = [
    "ActorCriticHparams",
    "ActorCriticState",
    "Agent",
    "DensityRatioHparams",
    "DensityRatioState",
    "ImitationHparams",
    "ImitationState",
    "PolicyGradientHparams",
    "PolicyGradientState",
    "QLearningHparams",
    "QLearningState",
    "actor_critic",
    "constructor",
    "density_ratio",
    "imitation",
    "override",
    "policy_gradient",
    "q_learning",
]
