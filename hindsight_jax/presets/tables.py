"""The tables: algorithms and environments. What is tuned for their pairs stands in `schedules.py`.

A value comes from the first of these that has it: what defines the algorithm, TUNED, the task's numbers, the schedule
of the algorithm's paper, the field's default.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from hindsight_jax.fields import Value


class Algorithm(NamedTuple):
    """A row of the table: which agent, and what makes it this algorithm."""

    agent: str  # kind of agent, one of fields.AGENTS
    actions: tuple[str, ...]  # kinds that it can use, the preferred one first
    paper: str  # 'hdm' or 'hem': whose schedule it has
    help: str
    values: dict[str, Value]  # what defines it; nothing tunes these
    schedule: Mapping[str, Value] = MappingProxyType({})  # its paper's numbers, where they are not the fields' defaults


class Environment(NamedTuple):
    """A task: which fields it takes, and its numbers."""

    actions: tuple[str, ...]  # kinds that it has
    paper: str  # 'hdm' or 'hem': whose benchmark it is
    help: str
    fields: tuple[str, ...]  # the env.* fields that it takes, besides num_envs and (of two kinds) actions
    horizon: int  # its own number of steps; 0: its size
    values: dict[str, Value]
    hdm: Mapping[str, Value] = MappingProxyType({})  # numbers of HDM's algorithms on it


_DISCRETE, _BOTH, _EITHER = ("discrete",), ("discrete", "continuous"), ("continuous", "discrete")
_FUTURE: dict[str, Value] = {"relabel.behaviour": 0.0, "relabel.next_state": 0.0}  # uniform over the future, always

# hEM published no numbers of updates: these are ours (ALGORITHMS 3.7).
_HEM: dict[str, Value] = {
    "agent.exploration": "sample",
    "agent.hidden_sizes": (256, 256, 256),
    "agent.learning_rate": 1e-3,
    "agent.epsilon": 0.0,
    "agent.updates_per_epoch": 40,
    "env.num_envs": 20,
    "replay.warmup": 20,
}
# DDPG + HER as OpenAI's baselines have it.
_DDPG: dict[str, Value] = {
    "agent.hidden_sizes": (256, 256, 256),
    "agent.learning_rate": 1e-3,
    "agent.updates_per_epoch": 40,
    "agent.epsilon": 0.3,
    "agent.noise": 0.2,
    "agent.target_rate": 0.05,
    "agent.target_period": 40,
    "env.num_envs": 16,
    "replay.warmup": 16,
}
_SPARSE: dict[str, Value] = {
    "relabel.behaviour": 0.2,  # four goals of the future for each of its own
    "relabel.next_state": 0.0,
    "relabel.rewards": "success",
    "relabel.reward_reached": 1.0,
    "relabel.reward_otherwise": 0.0,
}
_DENSE: dict[str, Value] = _SPARSE | {"relabel.reward_reached": 0.0, "relabel.reward_otherwise": -1.0}
_GRADIENT: dict[str, Value] = {
    "agent.hidden_sizes": (256, 256),
    "agent.learning_rate": 1e-3,
    "agent.epsilon": 0.0,
    "env.num_envs": 20,
}

ALGORITHMS: dict[str, Algorithm] = {
    "hdm": Algorithm(
        "q_learning",
        _DISCRETE,
        "hdm",
        "hindsight divergence minimisation: TD + imitation where Q sees progress",
        {"agent.imitation": "indicator"},
    ),
    "her": Algorithm(
        "q_learning", _DISCRETE, "hdm", "hindsight experience replay, rewards (-1, 0), double Q-learning", {}
    ),
    "her_01": Algorithm(
        "q_learning",
        _DISCRETE,
        "hdm",
        "hindsight experience replay, rewards (0, 1)",
        {
            "relabel.reward_reached": 1.0,
            "relabel.reward_otherwise": 0.0,
            "agent.bounded": False,
            "agent.hindsight_bound": False,  # the bound counts rewards of -1
        },
    ),
    "her_sql": Algorithm(
        "q_learning",
        _DISCRETE,
        "hdm",
        "HER with the soft backup of soft Q-learning",
        {"agent.backup": "mellow", "agent.hindsight_bound": False},  # soft values lie below what is reached
    ),
    "her_hbc": Algorithm(
        "q_learning", _DISCRETE, "hdm", "HER with imitation of every row", {"agent.imitation": "always"}
    ),
    "gcsl": Algorithm(
        "imitation",
        _BOTH,
        "hdm",
        "goal-conditioned supervised learning: imitation of goals of the future",
        _FUTURE | {"agent.exploration": "mode"},
    ),
    "hem": Algorithm(
        "imitation",
        ("continuous", "discrete"),
        "hem",
        "hindsight expectation maximisation: goals of the future, then supervised learning",
        _FUTURE,
        _HEM,
    ),
    "her_ddpg": Algorithm(
        "actor_critic",
        ("continuous",),
        "hem",
        "DDPG + HER, rewards (0, 1) by success, targets not clipped",
        _SPARSE,
        _DDPG,
    ),
    "her_ddpg_clipped": Algorithm(
        "actor_critic",
        ("continuous",),
        "hem",
        "DDPG + HER, rewards (0, 1), targets clipped to be negative: what makes them unlearnable",
        _SPARSE | {"agent.clip_targets": True},
        _DDPG,
    ),
    "her_ddpg_dense": Algorithm(
        "actor_critic",
        ("continuous",),
        "hem",
        "DDPG + HER, rewards (-1, 0) by success, targets clipped to their range",
        _DENSE | {"agent.clip_targets": True},
        _DDPG,
    ),
    "hpg": Algorithm(
        "policy_gradient",
        _BOTH,
        "hem",
        "hindsight policy gradient: importance weights for goals that the batch visited",
        {"agent.goals": "visited", "agent.baseline": False},
        _GRADIENT,
    ),
    "hpg_baseline": Algorithm(
        "policy_gradient",
        _BOTH,
        "hem",
        "hindsight policy gradient with a value baseline",
        {"agent.goals": "visited", "agent.baseline": True},
        _GRADIENT,
    ),
    "reinforce": Algorithm(
        "policy_gradient",
        _BOTH,
        "hem",
        "policy gradient without hindsight",
        {"agent.goals": "own", "agent.baseline": False, "agent.group_size": 0},
        _GRADIENT,
    ),
}

_PHYSICS = ("env.bins", "env.horizon", "env.threshold")

ENVIRONMENTS: dict[str, Environment] = {
    "four_rooms": Environment(
        _BOTH,
        "hdm",
        "a ball is pushed through the doors of four rooms",
        _PHYSICS,
        50,
        {"env.threshold": 0.08, "total_steps": 200_000, "evaluation.every": 10_000},
        {"agent.gamma_hdm": 0.85, "agent.epsilon": 0.1, "relabel.next_state": 0.2},
    ),
    "lunar_lander": Environment(
        _BOTH,
        "hdm",
        "a lander comes down on a place of the ground",
        ("env.horizon", "env.threshold"),
        50,
        {"env.threshold": 0.08, "total_steps": 200_000, "evaluation.every": 10_000},
        {"agent.gamma_hdm": 0.85, "agent.epsilon": 0.1, "relabel.next_state": 0.5},
    ),
    "push": Environment(
        _BOTH,
        "hdm",
        "a hand pushes a puck to a goal place",
        _PHYSICS,
        50,
        {"env.threshold": 0.05},
        {"agent.gamma_hdm": 0.5, "agent.epsilon": 0.2, "relabel.next_state": 0.6},
    ),
    "door": Environment(
        _BOTH,
        "hdm",
        "a hooked hand opens a door to an angle",
        _PHYSICS,
        50,
        {"env.threshold": 0.05},
        {"agent.gamma_hdm": 0.4, "agent.epsilon": 0.2, "relabel.next_state": 0.6},
    ),
    "claw": Environment(
        _BOTH,
        "hdm",
        "three fingers turn a valve to an angle",
        _PHYSICS,
        50,
        {"env.threshold": 0.1},
        {"agent.gamma_hdm": 0.5, "agent.epsilon": 0.2, "relabel.next_state": 0.2},
    ),
    "point_mass": Environment(
        _EITHER,
        "hem",
        "a ball with momentum is steered between pillars",
        _PHYSICS,
        50,
        {"env.threshold": 0.02 * 2**0.5},
    ),
    "reacher": Environment(
        _EITHER,
        "hem",
        "an arm of two links reaches a place with its fingertip",
        _PHYSICS,
        50,
        {"env.threshold": 0.02 * 2**0.5},
    ),
    "fetch_reach": Environment(
        _EITHER,
        "hem",
        "a gripper reaches a place in space",
        _PHYSICS,
        50,
        {"env.threshold": 0.05},
    ),
    "sawyer_reach": Environment(
        _EITHER,
        "hem",
        "a hand reaches a place above a table",
        _PHYSICS,
        50,
        {"env.threshold": 0.06},
    ),
    "flip_bit": Environment(
        _DISCRETE,
        "hem",
        "bits are flipped, one a step, to a goal pattern",
        ("env.size", "env.horizon", "env.start"),
        0,
        {"env.size": 25},
    ),
    "navigation": Environment(
        _EITHER,
        "hem",
        "a point moves in a cube of any dimension",
        ("env.size", "env.horizon", "env.threshold"),
        50,
        {"env.size": 10, "env.threshold": 0.1},
    ),
    "grid_four_rooms": Environment(
        _DISCRETE,
        "hem",
        "a walker in a grid of four rooms, whose steps slip",
        ("env.horizon", "env.slip"),
        31,
        {},
    ),
}

# Numeric values that do not change shapes: the members of one population may differ in those that their row has.
POPULATION_FIELDS = (
    "agent.learning_rate",
    "agent.gamma",
    "agent.gamma_hdm",
    "agent.beta",
    "agent.epsilon",
    "agent.noise",
    "agent.target_rate",
    "agent.target_period",
    "agent.temperature",
    "agent.action_l2",
    "relabel.behaviour",
    "relabel.next_state",
    "relabel.preference",
)
