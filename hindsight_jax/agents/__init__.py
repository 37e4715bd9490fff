"""Agents: init, act and update as pure functions. A new algorithm is a set of arguments, not a file."""

from hindsight_jax.agents._validation import constructor
from hindsight_jax.agents.actor_critic import ActorCriticHparams, ActorCriticState, actor_critic
from hindsight_jax.agents.base import Agent, override
from hindsight_jax.agents.contrastive import ContrastiveHparams, ContrastiveState, contrastive
from hindsight_jax.agents.density_ratio import DensityRatioHparams, DensityRatioState, density_ratio
from hindsight_jax.agents.imitation import ImitationHparams, ImitationState, imitation
from hindsight_jax.agents.implicit_value import ImplicitValueHparams, ImplicitValueState, implicit_value
from hindsight_jax.agents.policy_gradient import PolicyGradientHparams, PolicyGradientState, policy_gradient
from hindsight_jax.agents.q_learning import QLearningHparams, QLearningState, q_learning
from hindsight_jax.agents.soft_actor_critic import SoftActorCriticHparams, SoftActorCriticState, soft_actor_critic

__all__ = [
    "ActorCriticHparams",
    "ActorCriticState",
    "Agent",
    "ContrastiveHparams",
    "ContrastiveState",
    "DensityRatioHparams",
    "DensityRatioState",
    "ImitationHparams",
    "ImitationState",
    "ImplicitValueHparams",
    "ImplicitValueState",
    "PolicyGradientHparams",
    "PolicyGradientState",
    "QLearningHparams",
    "QLearningState",
    "SoftActorCriticHparams",
    "SoftActorCriticState",
    "actor_critic",
    "constructor",
    "contrastive",
    "density_ratio",
    "imitation",
    "implicit_value",
    "override",
    "policy_gradient",
    "q_learning",
    "soft_actor_critic",
]
