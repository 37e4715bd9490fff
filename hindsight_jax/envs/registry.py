"""Tasks by name: the built-in ones, and those that a user registers.

A built-in task's module is imported when the task is made, so listing the names imports no simulator.
"""

import difflib
import importlib
import inspect
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from hindsight_jax import checks

if TYPE_CHECKING:
    from hindsight_jax.envs.base import GoalEnv

# The built-in tasks: name -> (module, class). A new one is a file beside this one and a line here.
_OF_PAPERS = {
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
_OF_BRAX = {  # adapters lie above this layer: this table alone knows them, by name
    "brax_ant": ("hindsight_jax.interop.brax_tasks", "Ant"),
    "brax_humanoid": ("hindsight_jax.interop.brax_tasks", "Humanoid"),
    "brax_pusher": ("hindsight_jax.interop.brax_tasks", "Pusher"),
    "brax_reacher": ("hindsight_jax.interop.brax_tasks", "Reacher"),
}
_TASKS = _OF_PAPERS | _OF_BRAX
OF_PAPERS = tuple(_OF_PAPERS)  # the tasks of HDM and hEM

_REGISTERED: dict[str, "Callable[..., GoalEnv]"] = {}  # tasks added by `register`


def names() -> tuple[str, ...]:
    """The names that `make` knows, sorted. Imports no simulator.

    >>> "push" in names()
    True
    """
    return tuple(sorted({*_TASKS, *_REGISTERED}))


def register(name: str, make: "Callable[..., GoalEnv]", *, replace: bool = False) -> None:
    """Adds a task of your own: `envs.make(name, **overrides)` and `envs.names()` of this process then know it.

        class Maze(envs.PureTask):
            def __init__(self, horizon=100): ...

        envs.register("maze", Maze)
        env = envs.make("maze", horizon=50)

    Args:
      name: a lower-case identifier that is not taken.
      make: a subclass of GoalEnv, or a function that returns a GoalEnv; its keyword arguments are the overrides.
      replace: True to replace the task registered under this name. Built-in tasks cannot be replaced.

    Raises ValueError for a name that is not a lower-case identifier or is taken, and for `make` that is not callable or
    has an argument `pixels`, `frames` or `goals`, which `envs.make` has itself.
    """
    if not isinstance(name, str) or not re.fullmatch("[a-z][a-z0-9_]*", name):
        rule = "it must be a lower-case identifier"
        checks.fail("name", repr(name), rule, "Use the letters a to z, digits and _, as in 'my_task'.")
    if name in _TASKS:
        rule = "it must not be the name of a built-in task, which cannot be replaced"
        checks.fail("name", repr(name), rule, f"Use another name, such as 'my_{name}'.")
    replace = checks.flag("replace", replace, "Pass True to replace the task registered under this name.")
    if name in _REGISTERED and not replace:
        checks.fail("name", repr(name), "it must not be registered already", "Pass replace=True, or use another name.")
    checks.function("make", make, "Pass a subclass of GoalEnv, or a function that returns a GoalEnv.")
    for argument in set(_keyword_arguments(make) or ()) & {"pixels", "frames", "goals"}:
        rule = "envs.make has an argument of that name, which says how a task is seen, and would not pass it on"
        checks.fail("make", f"a function with an argument {argument!r}", rule, "Rename it.")
    _REGISTERED[name] = make


def make(name: str, *, pixels: int = 0, frames: int = 1, goals: str = "state", **overrides: Any) -> "GoalEnv":
    """The task of that name; `overrides` are keyword arguments of its class or function, in place of the defaults.

    Args:
      name: one of `names()`.
      pixels: 0, or the side of an image: states are then seen as images (`envs.ImageEnv`), as `frames` and `goals` say.
      frames: newest frames in an image observation.
      goals: "state", or "image" for goals that are seen as images, too.

    Raises ValueError for an unknown name or override, with the nearest known one; the task checks the values.

    >>> make("push", horizon=20).spec.horizon
    20
    >>> make("push", pixels=48).spec.observation_shape
    (48, 48, 3)
    """
    _check_known("name", name, names(), "Add a task of your own with envs.register.")
    if name in _REGISTERED:
        task = _REGISTERED[name]
    else:
        module, attribute = _TASKS[name]
        task = getattr(importlib.import_module(module), attribute)
    known = _keyword_arguments(task)
    if known is not None:
        for override in overrides:
            _check_known(f"override of {name}", override, known, "Leave it out.")
    env: Any = task(**overrides)
    from hindsight_jax.envs.base import GoalEnv  # here, since it imports the simulator
    from hindsight_jax.envs.host import HostEnv

    if not isinstance(env, HostEnv):
        checks.instance(f"task made as {name!r}", env, GoalEnv, "Register a function that returns a GoalEnv.")
    if checks.whole("pixels", pixels, 0, checks.INT32_MAX, "Use 48, or 0 for states as they are.") == 0:
        for argument, value, default in (("frames", frames, 1), ("goals", goals, "state")):
            if value != default:
                rule = "it says how images are seen, and needs pixels"
                checks.fail(f"override of {name}", repr(argument), rule, "Pass pixels=48, too.")
        return env  # type: ignore[return-value]  # a HostEnv only where one is registered
    if isinstance(env, HostEnv):
        rule = "a task that is stepped on the host has no images"
        checks.fail(f"override of {name}", "'pixels'", rule, "Leave it out.")
    from hindsight_jax.envs.images import ImageEnv

    return ImageEnv(env, pixels, frames, goals)


def _keyword_arguments(function: Callable[..., Any]) -> tuple[str, ...] | None:
    """The names that a function takes by keyword; None if it takes any, or if Python does not know."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some functions written in C have no signature
        return None
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    by_keyword = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return tuple(parameter.name for parameter in parameters if parameter.kind in by_keyword)


def _check_known(what: str, value: Any, options: Sequence[str], remedy: str) -> None:
    """ValueError unless the value is one of the options; the remedy is the nearest option, if one is near."""
    if isinstance(value, str) and value in options:
        return
    near = difflib.get_close_matches(str(value), options, n=1)
    rule = f"it must be one of {', '.join(options)}" if options else "the task has no overrides"
    checks.fail(what, repr(value), rule, f"Did you mean {near[0]!r}?" if near else remedy)
