"""The doors of training: what runs, rollouts and populations are made of is checked here, by types and shapes alone.

Dimension key: M members, T horizon, U updates of an epoch.
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hindsight_jax import checks, relabel, types
from hindsight_jax.agents.base import Agent
from hindsight_jax.replay import Replay

_TASK = ("reset", "step", "success", "distance")
_BATCHES = {"transitions": types.Transition, "trajectories": types.Trajectory}


def check_env(env: Any) -> None:
    """A task, or what wraps one: it has what is asked of a task here."""
    has = lambda name: callable(getattr(env, name, None))
    if not isinstance(getattr(env, "spec", None), types.EnvSpec) or not all(map(has, _TASK)):
        got = f"the class {env.__name__}" if isinstance(env, type) else type(env).__name__
        rule = f"it must be a GoalEnv, or have its spec, {', '.join(_TASK)}"
        checks.fail("env", got, rule, "Make it with envs.make(name), or derive it from envs.GoalEnv.")


def check_agent(agent: Any) -> None:
    """An agent of functions, which learns from a known kind of batch."""
    remedy = "Make it with agents.q_learning(env.spec, ...), say."
    checks.instance("agent", agent, Agent, remedy)
    for name in ("init", "act", "update", "check"):
        checks.function(f"agent.{name}", getattr(agent, name), remedy)
    if not isinstance(agent.batch, str) or agent.batch not in _BATCHES:
        checks.fail("agent.batch", repr(agent.batch), f"it must be one of {', '.join(_BATCHES)}", "Name one of them.")


def check_ring(ring: Any, example: types.Trajectory) -> None:
    """A ring of trajectories with the shapes of the environment's example, and its kind of action."""
    remedy = "Make it with replay.make_ring(training.example_trajectory(env), capacity)."
    checks.instance("ring", ring, Replay, remedy)
    is_float = lambda x: jnp.issubdtype(x.dtype, jnp.floating)
    for name, like, stored in zip(
        types.Trajectory._fields, example, jax.eval_shape(ring.init).trajectories, strict=True
    ):
        one = jax.ShapeDtypeStruct(stored.shape[1:], stored.dtype)
        if one.shape != like.shape or (name == "action" and is_float(one) != is_float(like)):
            got, rule = checks.describe(one), f"of this environment it is {checks.describe(like)}"
            checks.fail("ring", f"a ring of trajectories whose {name} is {got}", rule, remedy)


def check_goals(law: Any, reward_fn: Any, preference: Any) -> None:
    """A law and a preference, functions of a member's values that make them, or None; and a reward."""
    remedy = "Pass relabel.hindsight(...), or a function of a member's values that returns it."
    if law is not None and not isinstance(law, relabel.Law):
        check_function("law", law, 1, remedy)
    check_function("reward_fn", reward_fn, 3, "Make it with relabel.reward_by_index().")
    remedy = "Pass relabel.prefer(...), a function of a member's values that returns it, or leave it out."
    if preference is not None and not isinstance(preference, relabel.Preference):
        check_function("preference", preference, 1, remedy)


def check_function(name: str, value: Any, count: int, remedy: str) -> None:
    """A function, no class, that takes so many arguments by position; of some in C that is not known."""
    checks.function(name, value, remedy)
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*range(count))
        takes = not isinstance(value, type)
    except TypeError:
        takes = False
    if not takes:
        rule = f"it must be a function of {count} argument{'s' if count > 1 else ''}"
        checks.fail(name, f"{getattr(value, '__qualname__', type(value).__name__)}{signature}", rule, remedy)


def check_batches(batches: Any, kind: str, count: int) -> None:
    """The batches of an epoch, [U, ...]."""
    checks.instance("batches", batches, _BATCHES[kind], "Pass what gather or sample of this run returned.")
    for name, value in batches._asdict().items():
        checks.array(f"batches.{name}", value)
        if jnp.shape(value)[:1] != (count,):
            rule = f"its first axis must be the {count} updates of an epoch"
            checks.fail(f"batches.{name}", checks.describe(value), rule, "Pass what gather or sample returned.")


def checked_values(values: Any) -> dict[str, Any]:
    """A dict of what may be None or any mapping."""
    if values is not None and not isinstance(values, Mapping):
        remedy = 'Write {"agent.gamma": 0.9}, say.'
        checks.fail("values", checks.describe(values), "it must map dotted names to numbers", remedy)
    return dict(values or {})


def check_keys(name: str, keys: Any) -> None:
    """Typed keys [M], M >= 1."""
    is_array = isinstance(keys, (jax.Array, jax.ShapeDtypeStruct))
    if not is_array or not jnp.issubdtype(keys.dtype, jax.dtypes.prng_key) or keys.ndim != 1 or keys.size < 1:
        remedy = "Make them with training.member_keys(seed, num_members)."
        checks.fail(name, checks.describe(keys), "it must be typed keys [M], one for each member", remedy)


def check_devices(devices: Any) -> None:
    """A sequence of different devices, not empty."""
    is_device = lambda x: hasattr(x, "platform") and hasattr(x, "process_index")  # tests stand in for a GPU's
    good = isinstance(devices, Sequence) and len(devices) > 0 and all(map(is_device, devices))
    if not good or len(set(devices)) < len(devices):
        rule = "it must be a list of one or more different devices"
        checks.fail("devices", checks.describe(devices), rule, "Pass jax.devices(), or leave it out.")


def check_seed(name: str, seed: Any, last: int = 0) -> None:
    """An integer of 32 bits, and so is the last of those that begin with it."""
    whole = isinstance(seed, (int, np.integer)) and not isinstance(seed, bool)
    if not whole or not -(2**31) <= seed <= 2**31 - 1 - last:
        rule = "it, and every seed that follows from it, must be an integer in [-2^31, 2^31)"
        checks.fail(name, checks.describe(seed), rule, "Use a smaller one.")
