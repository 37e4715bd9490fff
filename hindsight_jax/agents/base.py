"""What training needs of an agent.

Dimension key: B batch, O observation dims, G goal dims, D action dims.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from hindsight_jax import checks


class Agent(NamedTuple):
    """Three pure functions over one pytree, and the kind of batch that `update` learns from.

    * `init(key, values=None)` -> state; `values` overrides numeric hyper-parameters by name, so members may differ.
    * `act(state, observation [*O], goal [*G], key, explore)` -> action [D]; `explore` is static.
    * `update(state, batch, key)` -> (state, metrics), a dict of f32[] means over the batch.
    """

    init: Callable[..., Any]
    act: Callable[..., jax.Array]
    update: Callable[..., tuple[Any, dict[str, jax.Array]]]
    batch: Literal["transitions", "trajectories"] = "transitions"
    check: Callable[[Mapping[str, Any]], None] = lambda values: None  # of known `values`, arrays [M] too: ValueError


def override(defaults: Any, values: Mapping[str, Any] | None) -> Any:
    """The NamedTuple of numbers `defaults` as f32[] arrays, with those that `values` names replaced.

    Raises ValueError if a name is unknown or a value is not one number.
    """
    if not hasattr(defaults, "_fields"):
        checks.fail("defaults", checks.describe(defaults), "it must be a NamedTuple of numbers", "See QLearningValues.")
    if values is not None and not isinstance(values, Mapping):
        checks.fail("values", checks.describe(values), "it must map names to numbers", 'Write {"gamma": 0.9}, say.')
    for name, value in (values or {}).items():
        if name not in defaults._fields:
            rule = f"its name must be one of {', '.join(defaults._fields)}"
            checks.fail(f"values[{name!r}]", value, rule, "Rename it.")
        _check_number(f"values[{name!r}]", value)
    numbers = defaults._replace(**(values or {}))
    for name, value in numbers._asdict().items():
        _check_number(f"values.{name}", value)
    return type(numbers)(*(jnp.array(number, jnp.float32) for number in numbers))


def _check_number(name: str, value: Any) -> None:
    """One real number: a Python one or an array, not a boolean."""
    checks.real(name, value, "Pass a float, or an array f32[].")
    checks.shape(name, value, (), "Give one number to each member: map init with jax.vmap.")
