"""Goal-conditioned tasks. `make(name, **overrides)` gives one, `names()` lists them; the simulator waits until then."""

import importlib
from typing import Any

from hindsight_jax.envs.registry import make, names

_LAZY = {"GoalEnv": "hindsight_jax.envs.base", "AutoReset": "hindsight_jax.envs.wrappers"}

__all__ = ["AutoReset", "GoalEnv", "make", "names"]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'hindsight_jax.envs' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return list(__all__)
