"""The members of a population: settings times seeds, the seeds varying fastest.

Dimension key: M members.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from hindsight_jax import checks, numerics
from hindsight_jax.training import _validation


class Members(NamedTuple):
    """The seed and the setting (of hyper-parameters) of each member."""

    seeds: tuple[int, ...]  # [M]
    settings: tuple[Mapping[str, Any], ...]  # [M], field -> value; the same fields for all

    def chunks(self, size: int) -> list["Members"]:
        """The members in order, cut into chunks of at most `size`, whose lengths differ by at most one."""
        count = -(-len(self.seeds) // checks.positive_int("size", size, "It counts the members of a chunk."))
        bounds = [len(self.seeds) * i // count for i in range(count + 1)]
        return [Members(self.seeds[a:b], self.settings[a:b]) for a, b in itertools.pairwise(bounds)]

    def keys(self) -> jax.Array:
        """Typed keys [M]: members with the same seed have the same key, whatever their setting."""
        return jax.vmap(numerics.key)(jnp.array(self.seeds, jnp.int32))

    def overrides(self, fields: Iterable[str]) -> dict[str, jax.Array]:
        """The settings' numbers, field -> f32[M], as `Population.init` takes them. ValueError for an unknown field."""
        if isinstance(fields, str) or not isinstance(fields, Iterable) or hasattr(fields, "dtype"):
            checks.fail(
                "fields", checks.describe(fields), "it must be a list of names", 'Pass ["agent.gamma"], for example.'
            )
        names = list(fields)
        for name, setting in itertools.product(names, self.settings):
            if not isinstance(name, str) or name not in setting:
                rule = f"each must be one of {list(setting)}"
                checks.fail("fields", repr(name), rule, "Pass fields that every setting has.")
            checks.real(f"settings[{name!r}]", setting[name])
            checks.fits(f"settings[{name!r}]", setting[name], "Use a number that float32 holds.")
        return {field: jnp.array([setting[field] for setting in self.settings], jnp.float32) for field in names}


def members(seeds: Sequence[int], settings: Sequence[Mapping[str, Any]] = ({},)) -> Members:
    """Every setting with every seed, as `Members`.

    >>> members([7, 8], [{"agent.gamma": 0.5}, {"agent.gamma": 0.9}]).seeds
    (7, 8, 7, 8)

    Raises ValueError if either is empty, if a seed is not an int32, or if settings differ in their fields.
    """
    for name, given in (("seeds", seeds), ("settings", settings)):
        if not isinstance(given, Sequence) or isinstance(given, (str, bytes)) or not given:
            rule = "it must be a list of one or more"  # an iterator would be exhausted after the first setting
            checks.fail(name, checks.describe(given), rule, "Write seeds=range(4), settings=[{}], for example.")
    seeds = [_validation.checked_seed("seeds", seed) for seed in seeds]
    for setting in settings:
        checks.instance("settings", setting, Mapping, 'Write [{"agent.gamma": 0.9}], for example.')
        if set(setting) != set(settings[0]):
            rule = f"all must have the fields of the first, {sorted(settings[0])}"
            checks.fail("settings", sorted(setting), rule, "Give every field to every setting.")
    pairs = [(seed, setting) for setting in settings for seed in seeds]
    return Members(tuple(seed for seed, _ in pairs), tuple(setting for _, setting in pairs))
