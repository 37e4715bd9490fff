"""The table of tasks: the fields that each takes, and its numbers.

`algorithms` says which value of a run comes first.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from hindsight_jax.fields import Field, Value
from hindsight_jax.presets.fields import ENV

_NOTHING: Mapping[str, Any] = MappingProxyType({})


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


_DISCRETE, _BOTH, _EITHER = ("discrete",), ("discrete", "continuous"), ("continuous", "discrete")
_CONTINUOUS = ("continuous",)
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
