"""hindsight_jax: goal-conditioned reinforcement learning by hindsight, in JAX. This file is the index.

Names are imported when they are asked for (PEP 562), so that `from hindsight_jax import losses` needs jax alone.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the same names for editors and type checkers, which do not follow _INDEX
    from hindsight_jax import agents as agents
    from hindsight_jax import datasets as datasets
    from hindsight_jax import envs as envs
    from hindsight_jax import fields as fields
    from hindsight_jax import losses as losses
    from hindsight_jax import networks as networks
    from hindsight_jax import presets as presets
    from hindsight_jax import relabel as relabel
    from hindsight_jax import rendering as rendering
    from hindsight_jax import replay as replay
    from hindsight_jax import statistics as statistics
    from hindsight_jax import study as study
    from hindsight_jax import training as training
    from hindsight_jax import types as types
    from hindsight_jax.runs.load import load as load
    from hindsight_jax.runs.load import load_replay as load_replay
    from hindsight_jax.study import train as train

_INDEX = {
    "losses": "hindsight_jax.losses",
    "relabel": "hindsight_jax.relabel",
    "replay": "hindsight_jax.replay",
    "networks": "hindsight_jax.networks",
    "rendering": "hindsight_jax.rendering",
    "envs": "hindsight_jax.envs",
    "fields": "hindsight_jax.fields",
    "agents": "hindsight_jax.agents",
    "training": "hindsight_jax.training",
    "datasets": "hindsight_jax.datasets",
    "presets": "hindsight_jax.presets",
    "statistics": "hindsight_jax.statistics",
    "study": "hindsight_jax.study",
    "train": "hindsight_jax.study:train",
    "load": "hindsight_jax.runs.load:load",
    "load_replay": "hindsight_jax.runs.load:load_replay",
    "types": "hindsight_jax.types",
}

__version__ = "0.1.0"
__all__ = sorted(_INDEX)


if not TYPE_CHECKING:  # to a type checker a name that is not above is an error

    def __getattr__(name: str) -> Any:
        if name not in _INDEX:
            raise AttributeError(f"module 'hindsight_jax' has no attribute {name!r}; it has {', '.join(__all__)}")
        module, _, attribute = _INDEX[name].partition(":")
        found = importlib.import_module(module)
        return getattr(found, attribute) if attribute else found


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
