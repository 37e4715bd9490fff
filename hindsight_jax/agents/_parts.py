"""What agents share: options, an Adam step whose rate is traced, a uniform action now and then, target networks.

Dimension key: B batch, D action dims.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from hindsight_jax import checks, losses, types

# Low, high and remedy of the numbers that several agents have.
RANGES: dict[str, tuple[float, float, str]] = {
    "learning_rate": (0.0, checks.FLOAT32_MAX, "0 learns nothing."),
    "gamma": (0.0, 1.0, "The papers' value is 0.98."),
    "epsilon": (0.0, 1.0, "It is a probability."),
    "target_rate": (0.0, 1.0, "1 copies the online network."),
    "target_period": (1.0, 2.0**24, "1 moves the target network at every update."),
    "noise": (0.0, checks.FLOAT32_MAX, "0 adds none; actions lie in [-1, 1]."),
}

ADAM = optax.scale_by_adam()


def check_option(name: str, got: Any, options: tuple[str, ...]) -> None:
    """ValueError if the option is unknown."""
    if not isinstance(got, str) or got not in options:
        checks.fail(name, repr(got), f"it must be one of {', '.join(options)}", "Correct the name.")


def check_ranges(ranges: Mapping[str, tuple[float, float, str]], values: Mapping[str, Any]) -> None:
    """ValueError if a known number, or one of an array of them, is out of its range (low, high, remedy)."""
    for name, value in values.items():
        if name in ranges:
            low, high, remedy = ranges[name]
            checks.in_range(f"values.{name}", value, low, high, remedy)


def discrete(spec: types.EnvSpec, who: str) -> types.Discrete:
    """The action set, which must be discrete."""
    if isinstance(spec.action, types.Discrete):
        return spec.action
    remedy = "Make the environment with actions='discrete', or take an agent for continuous actions."
    checks.fail("spec.action", spec.action, f"{who} needs a Discrete action set", remedy)


def continuous(spec: types.EnvSpec, who: str) -> types.Box:
    """The action set, which must be continuous."""
    if isinstance(spec.action, types.Box):
        return spec.action
    remedy = "Make the environment with actions='continuous', or take an agent for discrete actions."
    checks.fail("spec.action", spec.action, f"{who} needs a Box of actions", remedy)


def clipped(spec: types.EnvSpec, action: jax.Array) -> jax.Array:
    """An action of the set: [-1, 1] in each dimension of a Box; a Discrete one as it is. [D]"""
    return jnp.clip(action, -1.0, 1.0) if isinstance(spec.action, types.Box) else action


def or_uniform(spec: types.EnvSpec, key: jax.Array, epsilon: jax.Array, action: jax.Array) -> jax.Array:
    """With probability `epsilon` a uniform action of the set, else `action`. [D]"""
    key_uniform, key_action = jax.random.split(key)
    uniform = jax.random.uniform(key_uniform) < epsilon
    return jnp.where(uniform, spec.action.sample(key_action), action)


def td_towards(value: jax.Array, target: jax.Array) -> jax.Array:
    """`losses.td` of values [B] towards whole targets [B], which get no gradient."""
    zero = jnp.zeros_like(target)
    return jax.vmap(losses.td)(value, target, zero, zero)


def adam_step(params: Any, adam: Any, gradient: Any, learning_rate: jax.Array) -> tuple[Any, Any]:
    """(params, Adam's state) after one step; the rate is traced, so that the members of a population may differ."""
    direction, adam = ADAM.update(gradient, adam)
    return jax.tree.map(lambda p, d: p - learning_rate * d, params, direction), adam


def target_step(target: Any, online: Any, updates: jax.Array, rate: jax.Array, period: jax.Array) -> Any:
    """The target network, moved by `rate` towards the online one at every `period`-th update.

    A rate of 0 between the steps, rather than a cond: under vmap a cond would compute both sides and copy.
    """
    due = updates % period.astype(jnp.int32) == 0
    step = jnp.where(due, rate, 0.0)
    return jax.tree.map(lambda t, p: t + step * (p - t), target, online)
