"""Goal-conditioned tasks: `make(name, **overrides)` makes one, `names()` lists them, `register` adds one of your own.

The other names are for writing such a task (docs/add_your_own_task.md). Each imports the simulator when first used.
"""

import importlib
from typing import Any

from hindsight_jax.envs.registry import make, names, register

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


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'hindsight_jax.envs' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return list(__all__)
