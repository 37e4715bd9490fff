"""The interface between agents and training, and the numeric hyper-parameters of a member.

Dimension key: B batch, N trajectories, O observation dims, G goal dims, D action dims, M members.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from hindsight_jax import checks, fields


def accept_any(hparams: Mapping[str, Any]) -> None:
    """The check of an agent that has none: it accepts any hyper-parameters."""


class Agent(NamedTuple):
    """Three pure functions over one pytree, and the kind of batch that `update` learns from.

    * `init(key, hparams=None)` -> state; `hparams` overrides numeric hyper-parameters by name, so members may differ.
    * `act(state, observation [*O], goal [*G], key, explore)` -> action [D]; `explore` is static.
    * `update(state, batch, key)` -> (state, metrics), a dict of f32[] means over the batch. The batch is a
      `types.Transition` with a leading axis [B], or, of an agent of trajectories, a `types.Trajectory` with [N].
    * `check(hparams)` raises ValueError for hyper-parameters out of range; entries may be arrays [M].
    * `flops(count)` are the useful operations of an update on `count` transitions (or trajectories); None: not known.
    """

    init: Callable[..., Any]
    act: Callable[..., jax.Array]
    update: Callable[..., tuple[Any, dict[str, jax.Array]]]
    batch: Literal["transitions", "trajectories"] = "transitions"
    check: Callable[[Mapping[str, Any]], None] = accept_any
    flops: Callable[[int], int] | None = None


def override(defaults: Any, hparams: Mapping[str, Any] | None) -> Any:
    """The NamedTuple of numbers `defaults` as f32[] arrays, with those that `hparams` names replaced.

    Raises ValueError if a name is unknown, an entry is not one number, or a number whose range the NamedTuple declares
    (`fields.declared`) is out of it. The value of a tracer is not known, so its range is not checked.

    >>> from typing import Annotated
    >>> class Hparams(NamedTuple):
    ...     gamma: Annotated[Any, fields.Allowed("discount per env step", 0.0, 1.0)] = 0.98
    >>> override(Hparams(), {"gamma": 0.5})
    Hparams(gamma=Array(0.5, dtype=float32))
    """
    if not hasattr(defaults, "_fields"):
        remedy = "See agents.QLearningHparams."
        checks.fail("defaults", checks.describe(defaults), "it must be a NamedTuple of numbers", remedy)
    if hparams is not None and not isinstance(hparams, Mapping):
        checks.fail("hparams", checks.describe(hparams), "it must map names to numbers", 'Write {"gamma": 0.9}, say.')
    for name, value in (hparams or {}).items():
        if name not in defaults._fields:
            remedy = f"{fields.did_you_mean(str(name), defaults._fields)}See {type(defaults).__name__}."
            checks.fail(f"hparams[{name!r}]", value, f"its name must be one of {', '.join(defaults._fields)}", remedy)
        _check_number(f"hparams[{name!r}]", value)
    numbers = defaults._replace(**(hparams or {}))
    check_numbers(numbers)
    return type(numbers)(*(jnp.array(number, jnp.float32) for number in numbers))


def check_numbers(hparams: Any) -> None:
    """Checks that each entry of a NamedTuple is one number, in the range that its type declares.

    Raises ValueError otherwise; the value of a tracer is not known, so its range is not checked.
    """
    for name, value in hparams._asdict().items():
        _check_number(f"hparams.{name}", value)
    check_hparams(type(hparams), hparams._asdict())


def check_hparams(kind: type, hparams: Mapping[str, Any]) -> None:
    """Checks numbers against the ranges that the NamedTuple `kind` declares; entries may be arrays [M] of members.

    Raises ValueError for a number out of its range. Names that `kind` does not declare, and tracers, are passed over.
    """
    for name, field in _declared(kind).items():
        if name in hparams:
            remedy = f"It is: {field.help}. Default: {fields.text(field.default)}."
            checks.in_range(f"hparams.{name}", hparams[name], field.low, field.high, remedy)


def default_hparams(make: Callable[..., Any]) -> Any:
    """The default of the parameter `hparams` of a constructor of agents.

    Raises ValueError if it is not a NamedTuple.
    """
    parameter = inspect.signature(make).parameters.get("hparams")
    if parameter is None or not hasattr(parameter.default, "_fields"):
        rule = "it must have a parameter `hparams` whose default is a NamedTuple of numbers"
        checks.fail("agent", fields.short(make), rule, "Write make(spec, *, hparams=Hparams(), ...).")
    return parameter.default


@functools.cache
def _declared(kind: type) -> dict[str, fields.Field]:
    """`fields.declared`, which reads annotations at each call."""
    return fields.declared(kind)


def _check_number(name: str, value: Any) -> None:
    """One real number: a Python one or an array, not a boolean."""
    checks.real(name, value, "Pass a float, or an array f32[].")
    checks.shape(name, value, (), "Give one number to each member: map init with jax.vmap.")
    checks.fits(name, value, "Use a number that float32 holds.")
