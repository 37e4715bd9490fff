"""Agents: init, act and update as pure functions. A new algorithm is a row of arguments, not a file."""

from hindsight_jax.agents.actor_critic import ActorCriticState, ActorCriticValues, actor_critic
from hindsight_jax.agents.base import Agent, override
from hindsight_jax.agents.imitation import ImitationState, ImitationValues, imitation
from hindsight_jax.agents.policy_gradient import PolicyGradientState, PolicyGradientValues, policy_gradient
from hindsight_jax.agents.q_learning import QLearningState, QLearningValues, q_learning

__all__ = [
    "ActorCriticState",
    "ActorCriticValues",
    "Agent",
    "ImitationState",
    "ImitationValues",
    "PolicyGradientState",
    "PolicyGradientValues",
    "QLearningState",
    "QLearningValues",
    "actor_critic",
    "imitation",
    "override",
    "policy_gradient",
    "q_learning",
]
