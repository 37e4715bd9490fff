"""The end of an interval between two evaluations: freeze members, keep the best agents, close the metrics.

Dimension key: M members.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hindsight_jax import checks, numerics
from hindsight_jax.training import finite
from hindsight_jax.training.state import Best, PopulationState, RunState

# The columns whose values are shares, in [0, 1]. imitated_fraction is none: a soft gate's mean weight may be above 1.
RATES = ("success_end", "success_any", "collect_success_end", "hit_fraction")


def freeze_non_finite(members: RunState) -> RunState:
    """Freezes the members whose state is not finite, their rings included. They stay frozen."""
    return members._replace(frozen=members.frozen | ~jax.vmap(finite.is_finite)(members))


def successes(members: RunState, results: Mapping[str, jax.Array]) -> jax.Array:
    """f32[M], success_end; NaN where a member is frozen or one of its results is not finite."""
    return jnp.where(members.frozen | ~jax.vmap(finite.are_finite)(results), jnp.nan, results["success_end"])


def keep_best(best: Best, members: RunState, success: jax.Array) -> Best:
    """best <- now where success > best.success_end, [M] each: ties keep the earlier, and NaN is never greater."""
    now = Best(agent=members.agent, success_end=success, env_steps=members.env_steps)
    is_better = success > best.success_end
    of_leaf = lambda leaf: jnp.expand_dims(is_better, range(1, leaf.ndim))
    return jax.tree.map(lambda new, old: jnp.where(of_leaf(new), new, old), now, best)


@numerics.steady
def pop_metrics(state: PopulationState) -> tuple[PopulationState, dict[str, jax.Array]]:
    """(state with empty sums, means over the epochs since the last call): f32[M] each, NaN if there were no epochs."""
    checks.instance("state", state, PopulationState, "Pass what advance returned.")
    means = jax.tree.map(lambda total: total / state.summed_epochs, state.metric_sums)
    zeros = jax.tree.map(jnp.zeros_like, state.metric_sums)
    return state._replace(metric_sums=zeros, summed_epochs=jnp.zeros_like(state.summed_epochs)), means


def normalize_metrics(columns: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of `record`, on the host, with means in place of sums over a fraction of the transitions.

    `imitated_x_distance`, the mean of indicator times distance, becomes the last column `imitated_distance`, the mean
    distance to the goal where the indicator is 1: imitated_x_distance / imitated_fraction, in float64 and in the
    environment's units, NaN where the fraction is 0. Entries are numbers or arrays.

    >>> normalize_metrics({"imitated_x_distance": 0.06, "imitated_fraction": 0.25})
    {'imitated_fraction': 0.25, 'imitated_distance': 0.24}
    """
    checks.instance("columns", columns, Mapping, "Pass what record returned.")
    columns = dict(columns)
    if "imitated_x_distance" in columns:
        total, fraction = (np.float64(columns[name]) for name in ("imitated_x_distance", "imitated_fraction"))
        del columns["imitated_x_distance"]
        mean = np.divide(total, fraction, out=np.full(np.shape(total), np.nan), where=fraction != 0)
        columns["imitated_distance"] = mean if mean.ndim else mean.item()
    return columns
