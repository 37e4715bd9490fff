"""Agents: init, act and update as pure functions. A new algorithm is a row of arguments, not a file."""

from hindsight_jax.agents.base import Agent
from hindsight_jax.agents.q_learning import QLearningState, QLearningValues, q_learning

__all__ = ["Agent", "QLearningState", "QLearningValues", "q_learning"]
