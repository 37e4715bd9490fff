"""The static parts and the state of a run and of a population.

Dimension key: M members, K trajectories of a data set, B batch.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from hindsight_jax import checks, relabel
from hindsight_jax.agents.base import Agent
from hindsight_jax.replay import Replay, ReplayState, RewardFn


class RunSizes(NamedTuple):
    """The static counts of a run, per member."""

    num_envs: int = 1  # trajectories collected in one epoch
    updates_per_epoch: int = 50
    batch_size: int = 256  # transitions of one update
    warmup_trajectories: int = 200  # uniform random actions, collected by init; 0 on policy, and offline
    evaluation_episodes: int = 200


class Data(NamedTuple):
    """Trajectories that a run reads and never writes, of which all members share one copy; in no checkpoint.

    With a share of 1 the run is offline: it learns from these alone, collects nothing, and has no warm-up.
    `datasets.to_ring` makes ring and state of a data set. Every number drawn from an empty ring is NaN or -1,
    which freezes the member.
    """

    ring: Replay
    state: ReplayState  # [K, ...]
    share: float  # of each batch's B transitions, rounded to whole ones; in (0, 1]


class RunSpec(NamedTuple):
    """The static parts of a run: the arguments of `make_run`."""

    env: Any  # GoalEnv or HostEnv
    agent: Agent
    ring: Replay
    law: Any  # relabel.Law, a function of a member's overrides that returns one, or None
    reward_fn: RewardFn
    sizes: RunSizes
    preference: Any  # relabel.Preference, a function of a member's overrides that returns one, or None
    data: Data | None = None

    @property
    def data_rows(self) -> int:
        """How many transitions of a batch come from `data`."""
        return 0 if self.data is None else round(self.data.share * self.sizes.batch_size)

    @property
    def is_offline(self) -> bool:
        """Whether every transition comes from `data`, so that nothing is collected."""
        return self.data is not None and self.data.share == 1.0


class RunState(NamedTuple):
    """Everything that changes during a run: restored from a checkpoint, a run goes on bit for bit."""

    agent: Any
    replay: Any  # ReplayState; None while a population learns, which needs no ring
    law: relabel.Law | None  # its weights may differ between members; None for an on-policy agent
    preference: relabel.Preference | None
    key: jax.Array
    epoch_key: jax.Array  # u32[...], key data at the start of the last epoch; if frozen, of the epoch that failed
    # i32[], warm-up included; every trajectory counts T, since the batch runs on to the horizon. Offline, where none is
    # taken, N T for every epoch, as if it had collected: the clock of the schedule.
    env_steps: jax.Array
    updates: jax.Array  # i32[]
    frozen: jax.Array  # bool[], something was not finite: from then on only `key` and `env_steps` change


class Best(NamedTuple):
    """Each member's agent at its best evaluation so far (of ties, the earliest)."""

    agent: Any  # every leaf [M, ...]
    success_end: jax.Array  # f32[M]; -inf before the first evaluation
    env_steps: jax.Array  # i32[M]


class PopulationState(NamedTuple):
    """All members, and their metrics since the last `record`. A checkpoint holds exactly this."""

    members: RunState  # every leaf [M, ...]
    best: Best
    metric_sums: dict[str, jax.Array]  # f32[M] each, summed over epochs
    epochs: jax.Array  # i32[], done so far
    summed_epochs: jax.Array  # i32[], epochs in metric_sums


def with_overrides_of(state: PopulationState, other: PopulationState) -> PopulationState:
    """The state with the hyper-parameters of another of its shapes: a run goes on with other values.

    They are the agents' `hparams`, the law's weights and the preference's. Networks, Adam's moments, rings, keys and
    counts stay; the best agents and the metrics' sums begin anew.

    Raises ValueError for what is no state, or has other shapes.
    """
    for name, given in (("state", state), ("other", other)):
        checks.instance(name, given, PopulationState, "Pass what init, advance or record returned.")
    shapes = lambda tree: [(x.shape, x.dtype) for x in jax.tree.leaves(tree)]
    if jax.tree.structure(state) != jax.tree.structure(other) or shapes(state) != shapes(other):
        checks.fail("other", "a state of other shapes", "it must be of the same kind of run", "Change no shape.")

    def chosen(path: Any, old: jax.Array, new: jax.Array) -> jax.Array:
        return new if any(getattr(part, "name", None) == "hparams" for part in path) else old

    agent = jax.tree_util.tree_map_with_path(chosen, state.members.agent, other.members.agent)
    overrides = {"law": other.members.law, "preference": other.members.preference}
    members = state.members._replace(agent=agent, **overrides)
    best = other.best._replace(agent=jax.tree.map(jnp.copy, agent))  # a copy: members and best are both donated
    return other._replace(members=members, best=best, epochs=state.epochs)
