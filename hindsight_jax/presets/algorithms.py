"""The tables of agents and algorithms; `environments` has the tasks, and `register` adds a user's own.

A value of a run comes from the first of these that has it: the algorithm's `config`, which defines it; what is tuned
for the pair (`tuning`); the task's numbers; the schedule of the algorithm's paper; the default that the field declares.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from hindsight_jax import agents
from hindsight_jax.fields import Value

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class AgentKind(NamedTuple):
    """A constructor of agents, and what a run of one has besides the hyper-parameters that it declares."""

    make: Callable[..., agents.Agent]  # (spec, *, hparams, ...); see `register_algorithm`
    batch: Literal["transitions", "trajectories"] = "transitions"  # what its agents learn from
    reads_rewards: bool = True  # or else it has no relabel.reward_*
    imitates: bool = False  # every row, or contrasts it: a goal must be a state that the row did reach
    images: bool = False  # its agents see images: specs that have `images`


class Algorithm(NamedTuple):
    """An entry of the table: which agent, and what makes it this algorithm."""

    agent: str  # a key of AGENTS
    actions: tuple[str, ...]  # kinds that it can use, the preferred one first
    help: str
    config: Mapping[str, Value]  # what defines it; nothing tunes these
    schedule: Mapping[str, Value] = _NOTHING  # its paper's numbers, where they are not the fields' defaults
    paper: str | None = None  # 'hdm' or 'hem': whose schedule it has
    like: str | None = None  # an algorithm whose schedule and tuned numbers it takes, where it has those fields


AGENTS: dict[str, AgentKind] = {
    "q_learning": AgentKind(agents.q_learning, images=True),
    "imitation": AgentKind(agents.imitation, reads_rewards=False, imitates=True, images=True),
    "actor_critic": AgentKind(agents.actor_critic, images=True),
    "implicit_value": AgentKind(agents.implicit_value, images=True),
    "soft_actor_critic": AgentKind(agents.soft_actor_critic),
    "contrastive": AgentKind(agents.contrastive, reads_rewards=False, imitates=True),
    "policy_gradient": AgentKind(agents.policy_gradient, batch="trajectories", reads_rewards=False),
    "density_ratio": AgentKind(agents.density_ratio, reads_rewards=False, imitates=True),
}

_DISCRETE, _BOTH, _EITHER = ("discrete",), ("discrete", "continuous"), ("continuous", "discrete")
_CONTINUOUS = ("continuous",)
_NOT_IMITATED: dict[str, Value] = {"agent.imitation": "none"}
_FUTURE: dict[str, Value] = {"relabel.behaviour": 0.0, "relabel.next_state": 0.0}  # uniform over the future, always

# What [D 8, 18, 24] suppose of a step's own goal; the agent's gamma is the same 0.98.
_GEOMETRIC: dict[str, Value] = _FUTURE | {"relabel.law": "geometric"}

# HDM's numbers for GCSL, whose agent has those of hEM as its defaults.
_HDM_IMITATION: dict[str, Value] = {
    "agent.hidden_sizes": (400, 300),
    "agent.learning_rate": 5e-4,
    "agent.epsilon": 0.1,
}
# hEM published no numbers of updates: these are ours.
_HEM: dict[str, Value] = {
    "agent.updates_per_epoch": 40,
    "env.num_envs": 20,
    "replay.warmup": 20,
}
# DDPG + HER as OpenAI's baselines have it.
_DDPG: dict[str, Value] = {
    "agent.updates_per_epoch": 40,
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
# TD3's step of the targets, with the actor; collection and exploration as DDPG + HER has them.
_TD3: dict[str, Value] = _DDPG | {"agent.target_period": 2, "agent.target_rate": 0.005}
_TWINS: dict[str, Value] = {
    "agent.num_critics": 2,
    "agent.smooth_targets": True,
    "agent.policy_period": 2,
    "agent.clip_targets": True,
}
# A policy that imitates through a gate explores as DDPG + HER does.
_GATED: dict[str, Value] = {
    "agent.updates_per_epoch": 40,
    "agent.std": 0.2,
    "agent.noise": 0.2,
    "agent.epsilon": 0.3,
    "env.num_envs": 16,
    "replay.warmup": 16,
}
_GRADIENT: dict[str, Value] = {"env.num_envs": 20}
# HPG as its author's code has it. That has batches of 2 and of 16, and a learning rate for each; at 1e-3, which hEM
# took, 2 are too few at K = 25. Its flip_bit starts at zeros.
_HPG: dict[str, Value] = {
    "agent.goals": "unique",
    "agent.activation": "tanh",
    "agent.first_weights": "small",
    "env.num_envs": 16,
    "env.start": "zeros",
}

ALGORITHMS: dict[str, Algorithm] = {
    "hdm": Algorithm(
        agent="q_learning",
        actions=_DISCRETE,
        paper="hdm",
        help="hindsight divergence minimisation: TD + imitation where its indicator says, near the goal",
        config={"agent.imitation": "indicator"},
    ),
    "hdm_progress": Algorithm(
        agent="q_learning",
        actions=_DISCRETE,
        help="HDM with a test that ranks actions: TD + imitation of steps that came closer to the goal",
        config={"agent.imitation": "progress"},
        like="hdm",
    ),
    "hdm_printed": Algorithm(
        agent="q_learning",
        actions=_DISCRETE,
        paper="hdm",
        help="HDM's Algorithm 1 as printed: line 2 as a loss, goals of the future, the target's own maximum",
        config={
            "agent.imitation": "indicator",
            "agent.next_state": "loss",
            "agent.backup": "max",
            "agent.bounded": False,
            "agent.hindsight_bound": False,
            "relabel.reward_reached": -1.0,
        }
        | _FUTURE,
    ),
    "her": Algorithm(
        agent="q_learning",
        actions=_DISCRETE,
        paper="hdm",
        help="hindsight experience replay, rewards (-1, 0), double Q-learning",
        config=_NOT_IMITATED,
    ),
    "her_01": Algorithm(
        agent="q_learning",
        actions=_DISCRETE,
        paper="hdm",
        help="hindsight experience replay, rewards (0, 1)",
        config=_NOT_IMITATED
        | {
            "relabel.reward_reached": 1.0,
            "relabel.reward_otherwise": 0.0,
            "agent.bounded": False,
            "agent.hindsight_bound": False,  # the bound counts rewards of -1
        },
    ),
    "her_sql": Algorithm(
        agent="q_learning",
        actions=_DISCRETE,
        paper="hdm",
        help="HER with the soft backup of soft Q-learning",
        config=_NOT_IMITATED
        | {"agent.backup": "mellow", "agent.hindsight_bound": False},  # soft values lie below what is reached
    ),
    "her_hbc": Algorithm(
        agent="q_learning",
        actions=_DISCRETE,
        paper="hdm",
        help="HER with imitation of every transition",
        config={"agent.imitation": "always"},
    ),
    "gcsl": Algorithm(
        agent="imitation",
        actions=_BOTH,
        paper="hdm",
        help="goal-conditioned supervised learning: imitation of goals of the future",
        config={"relabel.behaviour": 0.0, "agent.exploration": "mode"},
        schedule=_HDM_IMITATION | {"relabel.next_state": 0.0},  # on HDM's tasks their share [D appendix C]
    ),
    "hem": Algorithm(
        agent="imitation",
        actions=("continuous", "discrete"),
        paper="hem",
        help="hindsight expectation maximisation: goals of the future, then supervised learning",
        config=_FUTURE,
        schedule=_HEM,
    ),
    "her_ddpg": Algorithm(
        agent="actor_critic",
        actions=("continuous",),
        paper="hem",
        help="DDPG + HER, rewards (0, 1) by success, targets not clipped",
        config=_SPARSE,
        schedule=_DDPG,
    ),
    "her_ddpg_clipped": Algorithm(
        agent="actor_critic",
        actions=("continuous",),
        paper="hem",
        help="DDPG + HER, rewards (0, 1), targets clipped to be negative: what makes them unlearnable",
        config=_SPARSE | {"agent.clip_targets": True},
        schedule=_DDPG,
    ),
    "her_ddpg_dense": Algorithm(
        agent="actor_critic",
        actions=("continuous",),
        paper="hem",
        help="DDPG + HER, rewards (-1, 0) by success, targets clipped to their range",
        config=_DENSE | {"agent.clip_targets": True},
        schedule=_DDPG,
    ),
    "td3_her": Algorithm(
        agent="actor_critic",
        actions=("continuous",),
        help="TD3 + HER, rewards (-1, 0) by success",
        config=_DENSE | _TWINS,
        schedule=_TD3,
    ),
    "hdm_ac": Algorithm(
        agent="actor_critic",
        actions=("continuous",),
        help="TD3 + HER by index, and imitation of steps that came closer to the goal",
        config=_TWINS | {"agent.gate": "progress", "agent.scale_q": True},
        schedule=_TD3,
    ),
    "wgcsl": Algorithm(
        agent="actor_critic",
        actions=("continuous",),
        help="weighted goal-conditioned supervised learning: imitation weighed by a critic's advantage",
        config=_DENSE | {"agent.clip_targets": True, "agent.gate": "wgcsl", "agent.q_weight": 0.0},
        schedule=_DDPG | {"agent.learning_rate": 5e-4, "agent.target_rate": 0.1},
    ),
    "hdm_v": Algorithm(
        agent="implicit_value",
        actions=_EITHER,
        help="imitation of steps that came closer to the goal, by a critic of states",
        config={"agent.weighting": "progress"},
        schedule=_GATED,
    ),
    "gcivl": Algorithm(
        agent="implicit_value",
        actions=_EITHER,
        help="goal-conditioned implicit V-learning: imitation weighed by the exponential of a critic's advantage",
        config={
            "agent.weighting": "advantage",
            "agent.num_values": 2,
            "agent.hindsight_bound": False,
            "relabel.absorbing": True,  # OGBench's mask: nothing follows a goal
        },
        schedule=_GATED | {"agent.expectile": 0.9, "agent.target_rate": 0.005},
    ),
    "sac_her": Algorithm(
        agent="soft_actor_critic",
        actions=("continuous",),
        help="SAC + HER, rewards (-1, 0) by success, entropy held at a target",
        config=_DENSE,
        schedule=_DDPG | {"agent.gamma": 0.98},
    ),
    "crl": Algorithm(
        agent="contrastive",
        actions=("continuous",),
        help="contrastive RL: which goals follow (s, a), by InfoNCE, and a soft actor",
        config=_FUTURE | {"relabel.law": "geometric", "relabel.discount": 0.99},
        schedule=_DDPG,
    ),
    "hpg": Algorithm(
        agent="policy_gradient",
        actions=_BOTH,
        paper="hem",
        help="hindsight policy gradient: importance weights for goals that the batch visited",
        config={"agent.baseline": False},
        schedule=_HPG,
    ),
    "hpg_baseline": Algorithm(
        agent="policy_gradient",
        actions=_BOTH,
        paper="hem",
        help="hindsight policy gradient with a value baseline",
        config={"agent.baseline": True},
        schedule=_HPG,
    ),
    "reinforce": Algorithm(
        agent="policy_gradient",
        actions=_BOTH,
        paper="hem",
        help="policy gradient without hindsight",
        config={"agent.goals": "own", "agent.baseline": False},
        schedule=_GRADIENT,
    ),
    "f_divergence": Algorithm(
        agent="density_ratio",
        actions=_DISCRETE,
        help="f-divergence Q-learning: Q from the ratio of goals that followed to others, squared Hellinger",
        config=_GEOMETRIC | {"agent.family": "f_divergence"},
        like="hdm",
    ),
    "nce": Algorithm(
        agent="density_ratio",
        actions=_DISCRETE,
        help="noise-contrastive estimation: Q tells goals that followed from others",
        config=_GEOMETRIC | {"agent.family": "nce"},
        like="hdm",
    ),
    "energy_based": Algorithm(
        agent="density_ratio",
        actions=_DISCRETE,
        help="HDM's multi-step energy-based loss: the log-density of the uniform policy's future as Q",
        config=_GEOMETRIC | {"agent.family": "energy"},
        like="hdm",
    ),
}
