"""Grids: fields with several values each, all combinations of which are run. Typed and checked before anything runs."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from hindsight_jax import checks, fields
from hindsight_jax.presets import resolve

Grid = Mapping[str, tuple[Any, ...]]  # field -> its values, an axis each

_SEEDS = "every setting has the same seeds"
_NOT_IN_A_GRID = {
    "seed": _SEEDS,
    "seeds": _SEEDS,
    "total_steps": "every evaluation on the way is kept",
    "checkpoint.seconds": "no number depends on it",
    "checkpoint.keep": "no number depends on it",
    "on_nan": "no number depends on it",
    "data.file": "a program's directory is named by its values, and a path is no name",
}


def check_grid(
    name: str, config: Mapping[str, Any], grid: Mapping[str, Any], taken: Mapping[str, Any] | None = None
) -> dict[str, tuple[Any, ...]]:
    """The grid of the run `name`, typed. `config` is complete; `taken` are the fields that someone has set on purpose.

    Raises ValueError: a field that the run does not have, that cannot be an axis or that is in `taken`; an axis that is
    not a list of different values in range; or a setting whose values do not fit each other, or of which one has no
    effect beside the others.

    >>> check_grid("hdm_push", resolve.config("hdm_push"), {"agent.beta": [1, 2.5]})
    {'agent.beta': (1.0, 2.5)}
    """
    axes = {field: _axis(name, field, axis, taken or {}) for field, axis in grid.items()}
    for _, chosen in settings(axes):
        resolve.check(name, resolve.changed(name, config, chosen))
    return axes


def settings(grid: Mapping[str, Sequence[Any]]) -> Iterator[tuple[tuple[int, ...], dict[str, Any]]]:
    """(index, {field: value}) of every combination, the last field fastest.

    >>> list(settings({"a": (1,), "b": (2, 3)}))
    [((0, 0), {'a': 1, 'b': 2}), ((0, 1), {'a': 1, 'b': 3})]
    """
    for index in itertools.product(*(range(len(axis)) for axis in grid.values())):
        yield index, {field: axis[i] for (field, axis), i in zip(grid.items(), index, strict=True)}


def label(setting: Mapping[str, Any]) -> str:
    """A setting in words, without the groups of its fields.

    >>> label({"agent.gamma_hdm": 0.5, "agent.beta": 2.0})
    'gamma_hdm 0.5, beta 2'
    """
    return ", ".join(f"{field.rpartition('.')[2]} {fields.text(value)}" for field, value in setting.items())


def programs(grid: Grid) -> tuple[dict[str, tuple[Any, ...]], dict[str, tuple[Any, ...]]]:
    """The axes that members of one population may differ in, and those that need a program for each value.

    A field of the second kind changes a shape, or (a preference of 0) switches a part off.

    >>> programs({"agent.gamma": (0.9, 1.0), "agent.hidden_sizes": ((8,), (16,))})
    ({'agent.gamma': (0.9, 1.0)}, {'agent.hidden_sizes': ((8,), (16,))})
    """
    own = {field: axis for field, axis in grid.items() if _is_a_member_s_own(field, axis)}
    return own, {field: axis for field, axis in grid.items() if field not in own}


def entries(where: str, spec: fields.Field, given: Any, rule: str, remedy: str) -> tuple[Any, ...]:
    """The values of a sequence or an array, typed as the field's.

    Each must differ from the others in float32, in which a run computes, or it is a ValueError.
    """
    checks.plain_array(where, given)
    listed = np.asarray(given).tolist() if isinstance(given, (np.ndarray, jax.Array)) else given
    if isinstance(listed, (str, bytes)) or not isinstance(listed, Sequence) or not listed:
        checks.fail(where, fields.short(given), rule, remedy)
    typed = tuple(fields.checked(where, spec, entry) for entry in listed)
    if len({np.float32(value) if isinstance(value, float) else value for value in typed}) < len(typed):
        same = "a value must not come twice"
        if len(set(typed)) == len(typed):
            same += ", and float32, in which a run computes, cannot tell some of these apart"
        checks.fail(where, fields.short(given), same, "Drop what repeats.")
    return typed


def _axis(name: str, field: str, axis: Any, taken: Mapping[str, Any]) -> tuple[Any, ...]:
    """The typed values of one axis."""
    where = f"grid[{field!r}]"
    if field in _NOT_IN_A_GRID:
        checks.fail(where, fields.short(axis), _NOT_IN_A_GRID[field], "Leave it out of the grid.")
    if field in taken:
        checks.fail(where, fields.short(axis), f"it is set to {fields.text(taken[field])}, too", "Set it in one place.")
    known, every = resolve.candidates(name), resolve.all_fields()
    if field in every and field not in known:
        checks.fail(where, fields.short(axis), "this run has no use for it", "Leave it out.")
    if field not in known:
        remedy = f"{fields.did_you_mean(str(field), known)}List the fields: {fields.COMMAND} --help."
        checks.fail(where, fields.short(axis), "there is no such field", remedy)
    return entries(where, known[field], axis, "it must be a list of values", f"For example {{{field!r}: [..]}}.")


def _is_a_member_s_own(field: str, axis: Sequence[Any]) -> bool:
    return field in resolve.population_fields() and not (field == "relabel.preference" and min(axis) == 0.0)
