"""Goal-conditioned tasks: `make(name, **overrides)` makes one, `names()` lists them, `register` adds one of your own.

The other names are for writing such a task (docs/add_your_own_task.md). Each imports the simulator when first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from hindsight_jax.envs.registry import make, names, register

if TYPE_CHECKING:  # the same names for editors and type checkers, which do not follow _LAZY
    from hindsight_jax.envs._check_task import check_task
    from hindsight_jax.envs.action_sets import action_set, choice, moves
    from hindsight_jax.envs.base import GoalEnv, PipelineState, PureTask, State, typed
    from hindsight_jax.envs.host import HostEnv
    from hindsight_jax.envs.images import ImageEnv
    from hindsight_jax.envs.physics import Engine, PhysicsTask, held, straight
    from hindsight_jax.envs.wrappers import AutoReset

_LAZY = {  # name -> module
    "AutoReset": "hindsight_jax.envs.wrappers",
    "Engine": "hindsight_jax.envs.physics",
    "GoalEnv": "hindsight_jax.envs.base",
    "HostEnv": "hindsight_jax.envs.host",
    "ImageEnv": "hindsight_jax.envs.images",
    "PhysicsTask": "hindsight_jax.envs.physics",
    "PipelineState": "hindsight_jax.envs.base",
    "PureTask": "hindsight_jax.envs.base",
    "State": "hindsight_jax.envs.base",
    "action_set": "hindsight_jax.envs.action_sets",
    "check_task": "hindsight_jax.envs._check_task",
    "choice": "hindsight_jax.envs.action_sets",
    "held": "hindsight_jax.envs.physics",
    "moves": "hindsight_jax.envs.action_sets",
    "straight": "hindsight_jax.envs.physics",
    "typed": "hindsight_jax.envs.base",
}

__all__ = [
    "AutoReset",
    "Engine",
    "GoalEnv",
    "HostEnv",
    "ImageEnv",
    "PhysicsTask",
    "PipelineState",
    "PureTask",
    "State",
    "action_set",
    "check_task",
    "choice",
    "held",
    "make",
    "moves",
    "names",
    "register",
    "straight",
    "typed",
]


if not TYPE_CHECKING:  # to a type checker a name that is not above is an error

    def __getattr__(name: str) -> Any:
        if name not in _LAZY:
            raise AttributeError(f"module 'hindsight_jax.envs' has no attribute {name!r}; it has {', '.join(__all__)}")
        return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return list(__all__)
