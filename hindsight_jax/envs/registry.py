"""Tasks by name. A task is a class; its module is imported when it is made, so that names cost nothing."""

import difflib
import importlib
import inspect
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hindsight_jax import checks

if TYPE_CHECKING:
    from hindsight_jax.envs.base import GoalEnv

# name -> (module, class). A new task is a file beside this one and a line here.
_TASKS = {
    "claw": ("hindsight_jax.envs.claw", "Claw"),
    "door": ("hindsight_jax.envs.door", "Door"),
    "fetch_reach": ("hindsight_jax.envs.fetch_reach", "FetchReach"),
    "flip_bit": ("hindsight_jax.envs.flip_bit", "FlipBit"),
    "four_rooms": ("hindsight_jax.envs.four_rooms", "FourRooms"),
    "grid_four_rooms": ("hindsight_jax.envs.grid_four_rooms", "GridFourRooms"),
    "lunar_lander": ("hindsight_jax.envs.lunar_lander", "LunarLander"),
    "navigation": ("hindsight_jax.envs.navigation", "Navigation"),
    "point_mass": ("hindsight_jax.envs.point_mass", "PointMass"),
    "push": ("hindsight_jax.envs.push", "Push"),
    "reacher": ("hindsight_jax.envs.reacher", "Reacher"),
    "sawyer_reach": ("hindsight_jax.envs.sawyer_reach", "SawyerReach"),
}


def names() -> tuple[str, ...]:
    """The names that `make` knows, sorted. Imports no simulator.

    >>> "push" in names()
    True
    """
    return tuple(sorted(_TASKS))


def make(name: str, **overrides: Any) -> "GoalEnv":
    """The task of that name; `overrides` are the arguments of its class, with its defaults.

    Raises ValueError for an unknown name or override, with the nearest known one; values are checked by the class.

    >>> make("push", horizon=20).spec.horizon
    20
    """
    _known("name", name, names())
    module, attribute = _TASKS[name]
    task = getattr(importlib.import_module(module), attribute)
    parameters = tuple(inspect.signature(task).parameters)
    for override in overrides:
        _known(f"override of {name}", override, parameters)
    return task(**overrides)


def _known(what: str, value: Any, options: Iterable[str]) -> None:
    """ValueError if the value is none of the options, with the nearest one as a remedy."""
    options = tuple(options)
    if not isinstance(value, str) or value not in options:
        near = difflib.get_close_matches(str(value), options, n=1)
        remedy = f"Did you mean {near[0]!r}?" if near else "Pick one of them."
        checks.fail(what, repr(value), f"it must be one of {', '.join(options) or 'none'}", remedy)
