"""Agents: init, act and update as pure functions. A new algorithm is a row of arguments, not a file."""

from hindsight_jax.agents.base import Agent
from hindsight_jax.agents.imitation import ImitationState, ImitationValues, imitation
from hindsight_jax.agents.q_learning import QLearningState, QLearningValues, q_learning

__all__ = [
    "Agent",
    "ImitationState",
    "ImitationValues",
    "QLearningState",
    "QLearningValues",
    "imitation",
    "q_learning",
]
