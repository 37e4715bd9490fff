"""The tables of agents, algorithms and environments; `register` adds a user's own.

A value of a run comes from the first of these that has it: the algorithm's `config`, which defines it; what is tuned
for the pair (`tuning`); the task's numbers; the schedule of the algorithm's paper; the default that the field declares.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from hindsight_jax import agents
from hindsight_jax.fields import Field, Value
from hindsight_jax.presets.fields import ENV

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class AgentKind(NamedTuple):
    """A constructor of agents, and what a run of one has besides the hyper-parameters that it declares."""

    make: Callable[..., agents.Agent]  # (spec, *, hparams, ...); see `register_algorithm`
    batch: Literal["transitions", "trajectories"] = "transitions"  # what its agents learn from
    reads_rewards: bool = True  # or else it has no relabel.reward_*
    imitates: bool = False  # every row, so that a goal must be a state that the row did reach
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


class Environment(NamedTuple):
    """A task: the fields that it takes, and its numbers."""

    actions: tuple[str, ...]  # kinds that it has
    help: str
    fields: Mapping[str, Field]  # env.* fields that it takes, besides num_envs and (of two kinds) actions
    horizon: int  # its own number of steps; 0: its size
    config: Mapping[str, Value]
    hdm: Mapping[str, Value] = _NOTHING  # numbers of HDM's algorithms on it
    hem: Mapping[str, Value] = _NOTHING  # numbers of hEM itself on it
    paper: str | None = None  # 'hdm' or 'hem': whose benchmark it is
    tried: tuple[str, ...] = ()  # the algorithms that the paper ran on it; (): all that it has
    random: bool = False  # its dynamics are random, so what a trajectory reached may be luck
    task: str = ""  # of `envs.names()`; "": the environment's own name


def _env(*names: str) -> dict[str, Field]:
    """The env.* fields of these names."""
    return {f"env.{name}": ENV[name] for name in names}


AGENTS: dict[str, AgentKind] = {
    "q_learning": AgentKind(agents.q_learning, images=True),
    "imitation": AgentKind(agents.imitation, reads_rewards=False, imitates=True, images=True),
    "actor_critic": AgentKind(agents.actor_critic, images=True),
    "policy_gradient": AgentKind(agents.policy_gradient, batch="trajectories", reads_rewards=False),
}

_DISCRETE, _BOTH, _EITHER = ("discrete",), ("discrete", "continuous"), ("continuous", "discrete")
_CONTINUOUS = ("continuous",)
_NOT_IMITATED: dict[str, Value] = {"agent.imitation": "none"}
_FUTURE: dict[str, Value] = {"relabel.behaviour": 0.0, "relabel.next_state": 0.0}  # uniform over the future, always

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
}

_PHYSICS = _env("bins", "horizon", "threshold")
_BRAX = _env("backend", "horizon", "threshold")

ENVIRONMENTS: dict[str, Environment] = {
    "four_rooms": Environment(
        actions=_BOTH,
        paper="hdm",
        help="a ball is pushed through the doors of four rooms",
        fields=_PHYSICS,
        horizon=50,
        config={"env.threshold": 0.08, "total_steps": 200_000, "evaluation.every": 10_000},
        hdm={
            "agent.gamma_hdm": 0.85,
            "agent.epsilon": 0.1,
            "relabel.next_state": 0.2,
            "agent.bounded": False,  # as HDM's script for this task alone
        },
    ),
    "lunar_lander": Environment(
        actions=_BOTH,
        paper="hdm",
        help="a lander comes down on a place of the ground",
        random=True,
        fields=_env("horizon", "threshold"),
        horizon=50,
        config={"env.threshold": 0.08, "total_steps": 200_000, "evaluation.every": 10_000},
        hdm={"agent.gamma_hdm": 0.85, "agent.epsilon": 0.1, "relabel.next_state": 0.5},
    ),
    "push": Environment(
        actions=_BOTH,
        paper="hdm",
        help="a hand pushes a puck to a goal place",
        fields=_PHYSICS,
        horizon=50,
        config={"env.threshold": 0.05},
        hdm={"agent.gamma_hdm": 0.5, "agent.epsilon": 0.2, "relabel.next_state": 0.6},
    ),
    "door": Environment(
        actions=_BOTH,
        paper="hdm",
        help="a hooked hand opens a door to an angle",
        fields=_PHYSICS,
        horizon=50,
        config={"env.threshold": 0.05},
        hdm={"agent.gamma_hdm": 0.4, "agent.epsilon": 0.2, "relabel.next_state": 0.6},
    ),
    "claw": Environment(
        actions=_BOTH,
        paper="hdm",
        help="three fingers turn a valve to an angle",
        fields=_PHYSICS,
        horizon=50,
        config={"env.threshold": 0.1},
        hdm={"agent.gamma_hdm": 0.5, "agent.epsilon": 0.2, "relabel.next_state": 0.2},
    ),
    "point_mass": Environment(
        actions=_EITHER,
        paper="hem",
        help="a ball with momentum is steered between pillars",
        fields=_PHYSICS,
        horizon=50,
        config={"env.threshold": 0.02 * 2**0.5},
    ),
    "reacher": Environment(
        actions=_EITHER,
        paper="hem",
        help="an arm of two links reaches a place with its fingertip",
        fields=_PHYSICS,
        horizon=50,
        config={"env.threshold": 0.02 * 2**0.5},
    ),
    "fetch_reach": Environment(
        actions=_EITHER,
        paper="hem",
        help="a gripper reaches a place in space",
        fields=_PHYSICS,
        horizon=50,
        config={"env.threshold": 0.05},
    ),
    "sawyer_reach": Environment(
        actions=_EITHER,
        paper="hem",
        help="a hand reaches a place above a table",
        fields=_PHYSICS,
        horizon=50,
        config={"env.threshold": 0.06},
    ),
    "flip_bit": Environment(
        actions=_DISCRETE,
        paper="hem",
        help="bits are flipped, one a step, to a goal pattern",
        fields=_env("size", "horizon", "start"),
        horizon=0,
        config={"env.size": 25},
    ),
    "navigation": Environment(
        actions=_EITHER,
        paper="hem",
        help="a point moves in a cube of any dimension",
        fields=_env("size", "horizon", "threshold"),
        horizon=50,
        config={"env.size": 10, "env.threshold": 0.1},
    ),
    "grid_four_rooms": Environment(
        actions=_DISCRETE,
        paper="hem",
        help="a walker in a grid of four rooms, whose steps slip",
        fields=_env("horizon", "slip"),
        horizon=31,
        config={},
    ),
    "brax_reacher": Environment(
        actions=_CONTINUOUS,
        help="brax's arm of two links reaches a place",
        fields=_BRAX,
        horizon=100,
        config={"env.threshold": 0.05},
    ),
    "brax_pusher": Environment(
        actions=_CONTINUOUS,
        help="brax's arm of seven joints pushes an object",
        fields=_BRAX,
        horizon=100,
        config={"env.threshold": 0.1},
    ),
    "brax_ant": Environment(
        actions=_CONTINUOUS,
        help="brax's ant walks to a place 10 m away",
        fields=_BRAX,
        horizon=1000,
        config={"env.threshold": 0.5, "env.backend": "spring"},
    ),
    "brax_humanoid": Environment(
        actions=_CONTINUOUS,
        help="brax's humanoid walks to a place 1 to 5 m away",
        fields=_BRAX,
        horizon=1000,
        config={"env.threshold": 0.5, "env.backend": "spring"},
    ),
}


def _from_images(task: str, hem: Mapping[str, Value] = _NOTHING) -> Environment:
    """The task seen as images, by hEM's network [M, appendix C.2]; hEM's own reaching tasks with its numbers."""
    known = ENVIRONMENTS[task]
    images: dict[str, Value] = {"env.pixels": 48, "agent.last_stride": 2}
    is_hem_s = known.paper == "hem"
    return known._replace(
        help=f"{task} from images",
        config=dict(known.config) | images,
        hem=hem,
        paper="hem" if is_hem_s else None,
        tried=("hem", "her_ddpg_dense") if is_hem_s else (),
        task=task,
    )


_MANY: dict[str, Value] = {"env.num_envs": 80}  # trajectories of a collection [M, section 4.3]
ENVIRONMENTS |= {
    "fetch_reach_pixels": _from_images("fetch_reach", _MANY),
    "sawyer_reach_pixels": _from_images("sawyer_reach"),
    "point_mass_pixels": _from_images("point_mass"),
    "reacher_pixels": _from_images("reacher", _MANY),
    "push_pixels": _from_images("push"),
    "four_rooms_pixels": _from_images("four_rooms"),
}
